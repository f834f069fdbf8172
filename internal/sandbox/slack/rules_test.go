package slack

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"clbwatch/internal/sandbox/terminal"
)

func TestSlackTakesMessages(t *testing.T) {
	t.Parallel()
	s := newWebhookTest(t)
	s.Mention = "U024BE7LH"             // one of the examples does
	s.Connect("", "http://127.0.0.1:1") // one has buttons
	messages := []string{plainText, withBlocks, withinAttch}
	files, err := filepath.Glob("../terminal/testdata/render/[bcfr]*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d examples, error %v", len(files), err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, strings.TrimSpace(string(raw)))
	}
	for i, m := range messages {
		if got := s.post(t.Context(), m); got != "200 ok" {
			t.Errorf("message %d: %s (%q)", i, got, s.Refused())
		}
	}
	var got []string
	for _, m := range s.Messages() {
		got = append(got, string(m.Raw))
	}
	if !slices.Equal(got, messages) {
		t.Errorf("%d messages were recorded, want the %d posted", len(got), len(messages))
	}
}

func TestSlackRefuses(t *testing.T) {
	t.Parallel()
	list := func(n int, item string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	blocks := func(b string) string { return `{"text":"t","blocks":[` + b + `]}` }
	attached := func(a string) string { return `{"text":"t","attachments":[` + a + `]}` }
	section := func(n int) string {
		return `{"type":"section","text":{"type":"mrkdwn","text":"` + strings.Repeat("字", n) + `"}}`
	}
	rich := func(e string) string {
		return blocks(`{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[` + e + `]}]}`)
	}
	pre := func(e string) string {
		return blocks(`{"type":"rich_text","elements":[{"type":"rich_text_preformatted",` +
			`"elements":[{"type":"text","text":"x"}]` + e + `}]}`)
	}
	const divider = `{"type":"divider"}`
	tests := []struct{ name, message, want string }{
		{"no JSON", `hello`, "invalid_payload"},
		{"half a message", `{"text":"hello"`, "invalid_payload"},
		{"two messages", plainText + plainText, "invalid_payload"},
		{"a list", `[]`, "invalid_payload"},
		{"broken UTF-8", "{\"text\":\"\xff\"}", "invalid_payload"},
		{"text of another type", `{"text":5}`, "invalid_payload"},
		{"empty", `{}`, "no_text"},
		{"blank text", `{"text":" \n"}`, "no_text"},
		{"blocks without text", `{"blocks":[` + divider + `]}`, "no_text"},
		{"text of 40,000", `{"text":"` + strings.Repeat("字", 40_000) + `"}`, "ok"},
		{"text of 40,001", `{"text":"` + strings.Repeat("字", 40_001) + `"}`, "msg_too_long"},
		{"over a megabyte", `{"text":"x","pad":"` + strings.Repeat("x", 1<<20) + `"}`, "invalid_payload"},
		{"50 blocks", `{"text":"t","blocks":` + list(50, divider) + `}`, "ok"},
		{"51 blocks", `{"text":"t","blocks":` + list(51, divider) + `}`, "invalid_blocks"},
		{"51 blocks, attachments included",
			`{"text":"t","blocks":` + list(25, divider) + `,"attachments":[{"blocks":` + list(26, divider) +
				`}]}`, "invalid_blocks"},
		{"21 attachments", `{"text":"t","attachments":` + list(21, `{"text":"x"}`) + `}`,
			"too_many_attachments"},
		{"blocks of 13,000 bytes", blocks(sections(13_000)), "ok"},
		{"blocks over 13,000 bytes", blocks(sections(13_001)), "msg_blocks_too_long"},
		{"size is counted unescaped", blocks(strings.ReplaceAll(sections(13_000), "z", `\u003c`)), "ok"},
		{"unknown block", blocks(`{"type":"carousel"}`), "invalid_blocks"},
		{"block without type", blocks(`{}`), "invalid_blocks"},
		{"block that is null", blocks(`null`), "invalid_blocks"},
		{"section of 3,000 characters", blocks(section(3000)), "ok"},
		{"section of 3,001 characters", blocks(section(3001)), "invalid_blocks"},
		{"section with empty text", blocks(section(0)), "invalid_blocks"},
		{"section with nothing", blocks(`{"type":"section"}`), "invalid_blocks"},
		{"section with a string", blocks(`{"type":"section","text":"x"}`), "invalid_blocks"},
		{"section with an unknown property",
			blocks(`{"type":"section","text":{"type":"mrkdwn","text":"x"},"colour":1}`), "invalid_blocks"},
		{"text of an unknown type", blocks(`{"type":"section","text":{"type":"markdown","text":"x"}}`),
			"invalid_blocks"},
		{"verbatim plain text",
			blocks(`{"type":"section","text":{"type":"plain_text","text":"x","verbatim":true}}`),
			"invalid_blocks"},
		{"11 fields", blocks(`{"type":"section","fields":` + list(11, `{"type":"mrkdwn","text":"x"}`) + `}`),
			"invalid_blocks"},
		{"field of 2,001 characters",
			blocks(`{"type":"section","fields":[{"type":"mrkdwn","text":"` + strings.Repeat("x", 2001) +
				`"}]}`), "invalid_blocks"},
		{"header of 150 characters",
			blocks(`{"type":"header","text":{"type":"plain_text","text":"` + strings.Repeat("x", 150) +
				`"}}`), "ok"},
		{"header of 151 characters",
			blocks(`{"type":"header","text":{"type":"plain_text","text":"` + strings.Repeat("x", 151) +
				`"}}`), "invalid_blocks"},
		{"header in mrkdwn", blocks(`{"type":"header","text":{"type":"mrkdwn","text":"x"}}`),
			"invalid_blocks"},
		{"context of 11 elements",
			blocks(`{"type":"context","elements":` + list(11, `{"type":"mrkdwn","text":"x"}`) + `}`),
			"invalid_blocks"},
		{"context of none", blocks(`{"type":"context","elements":[]}`), "invalid_blocks"},
		{"divider with text", blocks(`{"type":"divider","text":"x"}`), "invalid_blocks"},
		{"block_id of 256 characters",
			blocks(`{"type":"divider","block_id":"` + strings.Repeat("x", 256) + `"}`), "invalid_blocks"},
		{"block_id given twice",
			blocks(`{"type":"divider","block_id":"a"},{"type":"divider","block_id":"a"}`), "invalid_blocks"},
		{"rich text", rich(`{"type":"text","text":"x","style":{"bold":true}}`), "ok"},
		{"empty rich text", rich(`{"type":"text","text":""}`), "invalid_blocks"},
		{"unknown style", rich(`{"type":"text","text":"x","style":{"blink":true}}`), "invalid_blocks"},
		{"a mention", rich(`{"type":"broadcast","range":"channel"}`), "invalid_blocks"},
		{"link without address", rich(`{"type":"link","text":"x"}`), "invalid_blocks"},
		{"date without time", rich(`{"type":"date","format":"{date}"}`), "invalid_blocks"},
		{"rich text of no elements",
			blocks(`{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[]}]}`),
			"invalid_blocks"},
		{"unknown rich text",
			blocks(`{"type":"rich_text","elements":[{"type":"rich_text_table","elements":[]}]}`),
			"invalid_blocks"},
		{"list without style",
			blocks(`{"type":"rich_text","elements":[{"type":"rich_text_list","elements":[]}]}`),
			"invalid_blocks"},
		{"border 1", pre(`,"border":1`), "ok"},
		{"border 3", pre(`,"border":3`), "invalid_blocks"},
		{"emoji in preformatted text",
			blocks(`{"type":"rich_text","elements":[{"type":"rich_text_preformatted",` +
				`"elements":[{"type":"emoji","name":"x"}]}]}`), "invalid_blocks"},
		{"bad block in an attachment", attached(`{"blocks":[{"type":"carousel"}]}`), "invalid_blocks"},
		{"legacy field beside blocks", attached(`{"blocks":[` + divider + `],"footer":"x"}`),
			"invalid_attachments"},
		{"named colour", attached(`{"blocks":[` + divider + `],"color":"danger"}`), "invalid_attachments"},
		{"empty attachment", attached(`{"color":"#a30200"}`), "invalid_attachments"},
		{"legacy attachment", attached(`{"color":"#a30200","text":"x","footer":"x"}`), "ok"},
	}
	s := newWebhookTest(t)
	taken := 0
	for _, tt := range tests {
		want := "400 " + tt.want
		if tt.want == "ok" {
			want = "200 ok"
			taken++
		}
		if got := s.post(t.Context(), tt.message); got != want {
			t.Errorf("%s: %s, want %s (%s)", tt.name, got, want, s.Refused()[len(s.Refused())-1])
		}
	}
	if got := len(s.Messages()); got != taken {
		t.Errorf("%d messages taken, want %d", got, taken)
	}
	if s.Attempts() != len(tests) {
		t.Errorf("%d attempts, want %d", s.Attempts(), len(tests))
	}
}

// sections is five sections; {"blocks":[...]} around them has n bytes.
func sections(n int) string {
	const around = len(`{"type":"section","text":{"type":"mrkdwn","text":""}}`)
	rest := n - len(`{"blocks":[]}`) - 4 - 5*around
	var parts []string
	for i := range 5 {
		size := rest / 5
		if i == 4 {
			size = rest - 4*(rest/5)
		}
		parts = append(parts,
			`{"type":"section","text":{"type":"mrkdwn","text":"`+strings.Repeat("z", size)+`"}}`)
	}
	return strings.Join(parts, ",")
}

func TestWhoIsMentionedMustBeAskedFor(t *testing.T) {
	t.Parallel()
	s := newAPITest(t)
	rich := `[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"user",` +
		`"user_id":"U024BE7LH"}]}]}]`
	for _, m := range [][]string{{"text", "hello <!channel>"}, {"text", "<@U024BE7LH> hello"},
		{"text", "x", "blocks", rich}} {
		if got := s.call("chat.postMessage", m...); got["error"] != "invalid_blocks" {
			t.Errorf("%q: %v, want it refused", m, got)
		}
	}
	s.Mention = "U024BE7LH"
	if got := s.call("chat.postMessage", "text", "<@U024BE7LH>", "blocks", rich); got["ok"] != true {
		t.Errorf("the one who may be mentioned: %v", got)
	}
	s.Mention, s.Users = "", []string{"U0123ABCD", "U024BE7LH"}
	if got := s.call("chat.postMessage", "text", "<@U0123ABCD>", "blocks", rich); got["ok"] != true {
		t.Errorf("users who may be named: %v", got)
	}
	got := s.call("chat.postMessage", "text", "<!here>", "blocks", rich)
	if got["error"] != "invalid_blocks" {
		t.Errorf("the channel beside users who may be named: %v, want it refused", got)
	}
}

// FuzzSlackRules holds that what the rules take is a message within Slack's limits, counted here in another
// way, and one that can be drawn.
func FuzzSlackRules(f *testing.F) {
	for _, m := range []string{plainText, withBlocks, withinAttch,
		`{"text":"x","blocks":[{"type":"rich_text","elements":[null]}]}`, `{"text":"<!channel>"}`,
		`{"text":"x","attachments":` + attachedButtons + `}`} {
		f.Add([]byte(m))
	}
	files, _ := filepath.Glob("../terminal/testdata/render/*.json")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if check(raw) != nil {
			return
		}
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatalf("%q was taken: %v", raw, err)
		}
		blocks := 0
		var walk func(v any)
		walk = func(v any) {
			switch v := v.(type) {
			case []any:
				for _, e := range v {
					walk(e)
				}
			case map[string]any:
				if list, ok := v["blocks"].([]any); ok {
					blocks += len(list)
				}
				for _, e := range v {
					walk(e)
				}
			case string:
				if utf8.RuneCountInString(v) > maxText {
					t.Errorf("a text of %d characters was taken", utf8.RuneCountInString(v))
				}
			}
		}
		walk(m)
		if blocks > maxBlocks {
			t.Errorf("%d blocks were taken: %q", blocks, raw)
		}
		if err := terminal.Render(io.Discard, raw, terminal.Options{}); err != nil {
			t.Errorf("%q was taken and cannot be drawn: %v", raw, err)
		}
	})
}
