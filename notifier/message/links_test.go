package message_test

import (
	"strings"
	"testing"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/notifier/message"
)

// posted is a message as it is posted, without JSON's escapes.
func posted(t *testing.T, m message.Message) string {
	t.Helper()
	return strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(string(wire(t, m)))
}

func TestLinksLeadToTheConsole(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 3)
	s.change("prod-web", "web-02", func(b *lb.Backend) { b.ID, b.Type = "eni-4f0w8", "ENI" })
	s.known["prod-web"] = lb.Baseline(s.pools["prod-web"], s.at)
	s.set("prod-web", 4, "web-01", "web-03").set("prod-web", 0, "web-02")
	body := posted(t, s.tick().root())
	for _, want := range []string{
		`"https://console.cloud.tencent.com/clb/detail?rid=1&id=lb-08a3c2f1"`,
		`"https://console.cloud.tencent.com/cvm/instance/detail?rid=1&id=ins-web01eef"`,
		`<https://runbook.example.com/ap-guangzhou/lb-08a3c2f1?name=prod-web|Runbook>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("there is no link %s in\n%s", want, body)
		}
	}
	if strings.Contains(body, "id=eni-") {
		t.Errorf("what is no instance is linked as one:\n%s", body)
	}
	s.style.ConsoleURL = "https://console.tencentcloud.com/"
	m := message.Of(s.document(s.state.Roots[0]), incident.Call{Do: incident.Edit}, s.style)
	if body := posted(t, m); strings.Contains(body, "console.cloud.tencent.com") ||
		!strings.Contains(
			body,
			`"https://console.tencentcloud.com/cvm/instance/detail?rid=1&id=ins-web01eef"`,
		) {
		t.Errorf("CONSOLE_URL is not where links lead:\n%s", body)
	}
}

// TestRunbookLinkCannotBeBroken fills in names that would end a link.
func TestRunbookLinkCannotBeBroken(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("a|b>c/d?e&f <!channel>", 1)
	s.set("a|b>c/d?e&f <!channel>", 4, many("a|b>c/d?e&f <!channel>", 1, 1)...)
	for label, pool := range s.pools {
		s.change(label, pool[0].Name, func(b *lb.Backend) { b.Status = 4 })
	}
	body := posted(t, s.tick().root())
	want := "<https://runbook.example.com/ap-guangzhou/lb-08a3c2f1?name=" +
		"a%7Cb%3Ec%2Fd%3Fe&amp;f%20%3C%21channel%3E|Runbook>"
	if !strings.Contains(
		body,
		want,
	) {
		t.Errorf("there is no %s in\n%s", want, body)
	}
}

func TestWithoutARunbookThereIsNoLink(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 1)
	s.style.RunbookURL = ""
	if body := string(wire(t, s.set("prod-web", 4, "web-01").tick().root())); strings.Contains(
		body,
		"Runbook",
	) {
		t.Errorf("there is a link to no runbook:\n%s", body)
	}
}
