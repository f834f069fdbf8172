package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

// Guarantee 7: no secret in a log, an error, an answer or the stored state.

// TestNoSecretLeaks makes everything go wrong that may say too much. What it saw is searched after all tests
// (leaks_test.go).
func TestNoSecretLeaks(t *testing.T) { byV2(t, testNoSecretLeaks) }

func testNoSecretLeaks(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start(scf.WithTimeout(3 * time.Second))
	l.tick(f)
	n := 0
	for _, fault := range cloud.Faults() {
		l.cloud.Fail("", fault, -1)
		l.cloud.SetStatus("ins-web-1", 2+2*(n%2))
		_, _ = l.try(f)
		l.cloud.ClearFaults()
		n++
	}
	for _, fault := range []slack.Fault{
		slack.Reset(), slack.Answer(404, "no_service"), slack.Answer(400, "invalid_payload"),
		slack.Redirect("/x"),
		slack.RateLimited(""), slack.TakesThenHangs(), slack.TakesThenDrops(), slack.Answer(500, "x"),
	} {
		l.slack.Fail(fault, -1)
		l.cloud.SetStatus("ins-web-1", 2+2*(n%2))
		_, _ = l.try(f)
		_, _ = l.invoke(f, `{"action":"report"}`)
		_, _ = l.invoke(f, `{"action":"test"}`)
		l.slack.ClearFaults()
		n++
	}
	for _, name := range []string{"SLACK_WEBHOOK_URL", "SLACK_API_URL"} {
		_, _ = l.try(f, scf.WithSetting(name, strings.Replace(l.settings[name], "127.0.0.1", "127.0.0.9", 1)))
	}
	seen.secret("a wrong setting", "hunter2hunter2")
	_, _ = l.try(f, scf.WithSetting("SLACK_WEBHOOK_URL",
		"https://hooks.slack.com/services/T0/B0/hunter2hunter2\x7f"))
	_, _ = l.try(f, scf.WithSetting("SLACK_BOT_TOKEN", "hunter2hunter2"))
	_, _ = l.try(f, scf.WithSetting("SLACK_CHANNEL", "hunter2hunter2"))
	_, _ = l.try(f, scf.WithSetting("CLB_RATE", "x"))
	_, _ = l.invoke(f, `{"action":"nonsense"}`)
	if in == inCOS {
		f2 := l.start(scf.WithTimeout(5 * time.Second))
		for _, fault := range cos.Faults() {
			l.bucket.Fail("", fault, 4)
			l.cloud.SetStatus("ins-web-1", 2+2*(n%2))
			_, _ = l.try(f2)
			l.bucket.ClearFaults()
			n++
		}
		l.end(f2)
	}
	for _, args := range [][]string{{"report"}, {"report", "--json"}, {"check"}, {"check", "--send"},
		{"tick", "--dry-run"}, {"tick"}, {"version"}, {"x"}} {
		l.command(args...)
	}
	l.end(f)
}

// Guarantee 7: no text from the cloud is markup to Slack; every message is inside Slack's limits.

func TestHostileNames(t *testing.T) { byV2(t, testHostileNames) }

func testHostileNames(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	l.tick(f)
	hostile := "<!channel> <@U024BE7LH|boss> <https://evil.example|Open console> *b* `c` :fire: & " +
		"\n>quote\u202e\u2028\x00" + strings.Repeat("界", 40)
	bad := vm("x")
	bad.Name, bad.LanIP = hostile, hostile
	l.cloud.Bind(region, web, bad)
	l.tick(f)
	l.cloud.SetStatus("ins-x", 4)
	l.tick(f)
	l.cloud.Fail(api, cloud.FaultCode(6000, hostile, hostile), -1)
	for range 3 {
		l.tick(f)
	}
	if _, err := l.invoke(f, `{"action":"report"}`); err != nil {
		t.Error(err)
	}
	messages := l.slack.Messages()[1:]
	if len(messages) < 4 || len(l.slack.Refused()) != 0 {
		t.Fatalf("%d messages, want 4 at the least; refused: %q", len(messages), l.slack.Refused())
	}
	for _, p := range l.slack.Channel() { // as they are after edits
		messages = append(messages, slack.Message{Raw: p.Raw})
	}
	for _, m := range messages {
		var v any
		if err := json.Unmarshal(m.Raw, &v); err != nil {
			t.Fatal(err)
		}
		for _, s := range markup(v) {
			for _, bad := range []string{"<!channel>", "<@U", "<https://evil", "\u202e", "\u2028", "\x00"} {
				if strings.Contains(s, bad) {
					t.Errorf("markup that Slack parses has %q in it: %q", bad, s)
				}
			}
		}
	}
}

// markup are the texts of a message that Slack parses: text and fallback, and mrkdwn text objects.
func markup(v any) (found []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			found = append(found, markup(e)...)
		}
	case map[string]any:
		_, hasType := v["type"]
		for k, e := range v {
			if s, ok := e.(string); ok && (k == "fallback" || k == "text" &&
				(!hasType || v["type"] == "mrkdwn")) {
				found = append(found, s)
			}
			found = append(found, markup(e)...)
		}
	}
	return found
}

func TestFiveThousandChangesAreOneMessage(t *testing.T) {
	everywhere(t, testFiveThousandChangesAreOneMessage)
}

func testFiveThousandChangesAreOneMessage(t *testing.T, in place) {
	l := newLab(t, in)
	var ids []string
	for i := range 50 {
		lb := fmt.Sprintf("lb-mass%04d", i)
		ids = append(ids, lb)
		var pool []cloud.Instance
		for j := range 100 {
			pool = append(pool, vm(fmt.Sprintf("m-%d-%d", i, j)))
		}
		l.cloud.Bind(region, lb, pool...)
	}
	l.settings["CLB_IDS"] = strings.Join(ids, " ")
	f := l.start(scf.WithTimeout(2 * time.Minute)) // the machine may be busy
	if sum := l.tick(f); sum.Read != 50 {
		t.Fatalf("baseline: %+v, want all read", sum)
	}
	for i, lb := range ids {
		var pool []cloud.Instance
		for j := range 100 {
			down := vm(fmt.Sprintf("m-%d-%d", i, j))
			down.Status = 4
			pool = append(pool, down)
		}
		l.cloud.Bind(region, lb, pool...)
	}
	if sum := l.tick(f); sum.Changes != 5000 || sum.Sent != 1 || sum.Pending != 0 {
		t.Fatalf("%+v, want 5000 changes in one message", sum)
	}
	if got := text(t, l.slack.Messages()[1].Raw); !strings.Contains(strings.ReplaceAll(got, ",", ""),
		"5000") || !strings.Contains(got, "50 load balancers") {
		t.Errorf("the message is %q, want the exact total", got)
	}
	if _, err := l.invoke(f, `{}`); err != nil {
		t.Error(err)
	}
	if r := l.slack.Refused(); len(r) > 0 {
		t.Errorf("Slack refused %q", r)
	}
}
