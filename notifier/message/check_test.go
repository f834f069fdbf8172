package message_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack"

	sandbox "clbwatch/internal/sandbox/slack"
	"clbwatch/notifier/message"
)

// markup is what would mean something to Slack in mrkdwn; ours is taken out before.
var (
	ours = regexp.MustCompile(
		"<!date\\^-?[0-9]+\\^(?:\\{date_short_pretty\\} )?\\{time\\}\\|[0-9: UTC-]+>|`[A-Za-z0-9-]+`|" +
			"`clbwatch history`|^:[a-z_]+: | <!subteam\\^S024BE7LH>\n?$|" +
			"<https://runbook\\.example\\.com/[^<>| ]*\\|Runbook>|<#C[0-9A-Z]+>|<@U0123ABCD>",
	)
	markup = regexp.MustCompile(
		"[<>*~`@#]|&(?:[^alg]|$)|:[^ \n]+:|://|[^A-Za-z0-9]_|_[^A-Za-z0-9]|\\.[A-Za-z]",
	)
)

// checkMrkdwn holds that a text that Slack parses has no markup in it but ours, and nothing that becomes a
// link.
func checkMrkdwn(t failer, s string) {
	t.Helper()
	checkParsed(t, s, markup)
}

// checkVerbatim holds the same of a text object with verbatim set, where Slack makes no links of itself.
func checkVerbatim(t failer, s string) {
	t.Helper()
	checkParsed(t, s, regexp.MustCompile(strings.TrimSuffix(markup.String(), `|\.[A-Za-z]`)))
}

func checkParsed(t failer, s string, markup *regexp.Regexp) {
	t.Helper()
	if !utf8.ValidString(s) || s == "" {
		t.Fatalf("mrkdwn %q: empty or not UTF-8", s)
	}
	for l := range strings.Lines(s) {
		if found := markup.FindString(ours.ReplaceAllString(l, "")); found != "" {
			t.Fatalf("markup %q in %q", found, l)
		}
	}
}

// checkMessage holds what is true of every message, whatever it says.
func checkMessage(t failer, m message.Message) {
	t.Helper()
	for _, s := range []string{m.Text, m.Plain} {
		if s == "" && m.Blocks == nil {
			continue
		}
		if len(s) == 0 || len(s) > 3000 {
			t.Fatalf("text of %d bytes: %q", len(s), s)
		}
		checkMrkdwn(t, s)
	}
	if m.Text == "" {
		t.Fatal("no text")
	}
	if m.Blocks == nil && m.Attachment.Color != "" {
		t.Fatal("an attachment without a title")
	}
	checkTaken(t, m)
	type node = map[string]any
	attachments := []slack.Attachment{}
	if m.Attachment.Color != "" {
		attachments = append(attachments, m.Attachment)
	}
	raw, err := json.Marshal(map[string]any{"blocks": m.Blocks, "attachments": attachments})
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 11_000 {
		t.Fatalf("blocks and attachments take %d bytes", len(raw))
	}
	var w struct {
		Blocks      []node
		Attachments []node
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		t.Fatal(err)
	}
	n := len(w.Blocks)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case node:
			switch v["type"] {
			case "rich_text", "rich_text_section", "rich_text_preformatted":
				if es, _ := v["elements"].([]any); len(es) == 0 {
					t.Fatalf("%v has no elements", v)
				}
			case "context", "emoji", "actions":
			case "button":
				label, _ := v["text"].(node)
				checkLiteral(t, label["text"])
				checkLiteral(t, v["accessibility_label"])
			case "date":
				checkLiteral(t, v["fallback"])
			case "link":
				u, _ := v["url"].(string)
				if !strings.HasPrefix(u, "https://console.cloud.tencent.com/") ||
					len(u) > 3000 || strings.ContainsAny(u, "<>| \n") {
					t.Fatalf("link to %q", u)
				}
				checkLiteral(t, v["text"])
			case "text":
				checkLiteral(t, v["text"])
			case "user":
				if v["user_id"] != "U0123ABCD" {
					t.Fatalf("%v is mentioned", v)
				}
			case "usergroup":
				if v["usergroup_id"] != "S024BE7LH" {
					t.Fatalf("%v is mentioned", v)
				}
			case "mrkdwn":
				checkVerbatim(t, v["text"].(string))
				if v["verbatim"] != true || len(v["text"].(string)) > 3000 {
					t.Fatalf("mrkdwn %v is not verbatim, or too long", v)
				}
			default:
				t.Fatalf("an element of type %v, which no message needs", v["type"])
			}
			walk(v["elements"])
		}
	}
	for _, b := range w.Blocks {
		walk(b)
	}
	for _, a := range w.Attachments {
		blocks, _ := a["blocks"].([]any)
		if n += len(blocks); len(blocks) == 0 {
			t.Fatal("an attachment without blocks")
		}
		walk(blocks)
		for key := range a {
			if key != "color" && key != "fallback" && key != "blocks" {
				t.Fatalf("attachment has %q, which Slack refuses beside blocks", key)
			}
		}
	}
	if n > 45 {
		t.Fatalf("%d blocks", n)
	}
}

// checkTaken holds that a strict Slack takes the message.
func checkTaken(t failer, m message.Message) {
	t.Helper()
	ws := strict()
	r := httptest.NewRequest("POST", ws.URL("http://slack.test"), bytes.NewReader(wire(t, m)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	ws.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("Slack says %d %s: %v\n%s", w.Code, w.Body, ws.Refused(), m.Text)
	}
}

func strict() *sandbox.Workspace {
	ws := sandbox.New()
	ws.Connect("http://slack.test", "http://app.test/")
	ws.Unlimited, ws.Mention, ws.Users = true, "S024BE7LH", []string{"U0123ABCD"}
	return ws
}

func checkLiteral(t failer, v any) {
	t.Helper()
	s, _ := v.(string)
	if s == "" {
		t.Fatalf("an element without text: %v", v)
	}
	for _, r := range s {
		if r != '\n' && !unicode.IsPrint(r) || r == utf8.RuneError {
			t.Fatalf("%U in %q", r, s)
		}
	}
}

// failer is a test, or one draw of a property.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}
