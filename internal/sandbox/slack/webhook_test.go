package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"clbwatch/internal/sandbox/terminal"
)

type webhookTest struct {
	*Workspace
	srv *httptest.Server
}

func newWebhookTest(t *testing.T) *webhookTest {
	s := &webhookTest{Workspace: New()}
	s.Unlimited = true
	s.srv = httptest.NewServer(s.Workspace)
	t.Cleanup(s.srv.Close)
	return s
}

// post returns "status body", or the error.
func (s *webhookTest) post(ctx context.Context, message string) string {
	return s.request(ctx, http.MethodPost, s.URL(s.srv.URL), "application/json", message)
}

func (s *webhookTest) request(ctx context.Context, method, address, contentType, body string) string {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", contentType)
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	got := fmt.Sprintf("%d %s", resp.StatusCode, answer)
	if ra := resp.Header.Get("Retry-After"); ra != "" {
		got += ", retry after " + ra
	}
	return got
}

const (
	plainText   = `{"text":"hello","replace_original":false}`
	withBlocks  = `{"text":"hello","blocks":[{"type":"divider"}]}`
	withinAttch = `{"text":"hello","attachments":[{"color":"#a30200","blocks":[{"type":"divider"}]}]}`
)

func TestSlackTakesMessages(t *testing.T) {
	t.Parallel()
	s := newWebhookTest(t)
	s.Mention = "U024BE7LH" // one of the examples does
	messages := []string{plainText, withBlocks, withinAttch}
	files, err := filepath.Glob("../terminal/testdata/render/[cfr]*.json")
	if err != nil || len(files) < 4 {
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
		return blocks(`{"type":"rich_text","elements":[{"type":"rich_text_preformatted","elements":[{"type":"text","text":"x"}]` + e + `}]}`)
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
		{"51 blocks, attachments included", `{"text":"t","blocks":` + list(25, divider) + `,"attachments":[{"blocks":` + list(26, divider) + `}]}`, "invalid_blocks"},
		{"21 attachments", `{"text":"t","attachments":` + list(21, `{"text":"x"}`) + `}`, "too_many_attachments"},
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
		{"section with an unknown property", blocks(`{"type":"section","text":{"type":"mrkdwn","text":"x"},"colour":1}`), "invalid_blocks"},
		{"text of an unknown type", blocks(`{"type":"section","text":{"type":"markdown","text":"x"}}`), "invalid_blocks"},
		{"verbatim plain text", blocks(`{"type":"section","text":{"type":"plain_text","text":"x","verbatim":true}}`), "invalid_blocks"},
		{"11 fields", blocks(`{"type":"section","fields":` + list(11, `{"type":"mrkdwn","text":"x"}`) + `}`), "invalid_blocks"},
		{"field of 2,001 characters", blocks(`{"type":"section","fields":[{"type":"mrkdwn","text":"` + strings.Repeat("x", 2001) + `"}]}`), "invalid_blocks"},
		{"header of 150 characters", blocks(`{"type":"header","text":{"type":"plain_text","text":"` + strings.Repeat("x", 150) + `"}}`), "ok"},
		{"header of 151 characters", blocks(`{"type":"header","text":{"type":"plain_text","text":"` + strings.Repeat("x", 151) + `"}}`), "invalid_blocks"},
		{"header in mrkdwn", blocks(`{"type":"header","text":{"type":"mrkdwn","text":"x"}}`), "invalid_blocks"},
		{"context of 11 elements", blocks(`{"type":"context","elements":` + list(11, `{"type":"mrkdwn","text":"x"}`) + `}`), "invalid_blocks"},
		{"context of none", blocks(`{"type":"context","elements":[]}`), "invalid_blocks"},
		{"divider with text", blocks(`{"type":"divider","text":"x"}`), "invalid_blocks"},
		{"block_id of 256 characters", blocks(`{"type":"divider","block_id":"` + strings.Repeat("x", 256) + `"}`), "invalid_blocks"},
		{"block_id given twice", blocks(`{"type":"divider","block_id":"a"},{"type":"divider","block_id":"a"}`), "invalid_blocks"},
		{"rich text", rich(`{"type":"text","text":"x","style":{"bold":true}}`), "ok"},
		{"empty rich text", rich(`{"type":"text","text":""}`), "invalid_blocks"},
		{"unknown style", rich(`{"type":"text","text":"x","style":{"blink":true}}`), "invalid_blocks"},
		{"a mention", rich(`{"type":"broadcast","range":"channel"}`), "invalid_blocks"},
		{"link without address", rich(`{"type":"link","text":"x"}`), "invalid_blocks"},
		{"date without time", rich(`{"type":"date","format":"{date}"}`), "invalid_blocks"},
		{"rich text of no elements", blocks(`{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[]}]}`), "invalid_blocks"},
		{"unknown rich text", blocks(`{"type":"rich_text","elements":[{"type":"rich_text_table","elements":[]}]}`), "invalid_blocks"},
		{"list without style", blocks(`{"type":"rich_text","elements":[{"type":"rich_text_list","elements":[]}]}`), "invalid_blocks"},
		{"border 1", pre(`,"border":1`), "ok"},
		{"border 3", pre(`,"border":3`), "invalid_blocks"},
		{"emoji in preformatted text", blocks(`{"type":"rich_text","elements":[{"type":"rich_text_preformatted","elements":[{"type":"emoji","name":"x"}]}]}`), "invalid_blocks"},
		{"bad block in an attachment", attached(`{"blocks":[{"type":"carousel"}]}`), "invalid_blocks"},
		{"legacy field beside blocks", attached(`{"blocks":[` + divider + `],"footer":"x"}`), "invalid_attachments"},
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
		parts = append(parts, `{"type":"section","text":{"type":"mrkdwn","text":"`+strings.Repeat("z", size)+`"}}`)
	}
	return strings.Join(parts, ",")
}

func TestSlackWantsAPostOfJSONAtItsAddress(t *testing.T) {
	t.Parallel()
	s := newWebhookTest(t)
	tests := []struct{ name, method, address, contentType, want string }{
		{"right", "POST", s.URL(s.srv.URL), "application/json; charset=utf-8", "200 ok"},
		{"base with a slash", "POST", s.URL(s.srv.URL + "/"), "application/json", "200 ok"},
		{"get", "GET", s.URL(s.srv.URL), "application/json", "400 invalid_payload"},
		{"form", "POST", s.URL(s.srv.URL), "application/x-www-form-urlencoded", "400 invalid_payload"},
		{"no type", "POST", s.URL(s.srv.URL), "", "400 invalid_payload"},
		{"another secret", "POST", s.URL(s.srv.URL) + "x", "application/json", "404 no_service"},
		{"no secret", "POST", s.srv.URL, "application/json", "404 no_service"},
	}
	for _, tt := range tests {
		if got := s.request(t.Context(), tt.method, tt.address, tt.contentType, plainText); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if New().URL("") == s.URL("") {
		t.Error("two webhooks have the same secret")
	}
}

func TestSlackLimitsTheRate(t *testing.T) {
	t.Parallel()
	s := newWebhookTest(t)
	now := time.Unix(1_795_409_616, 0)
	s.Unlimited, s.Now = false, func() time.Time { return now }
	post := func(want string) {
		t.Helper()
		if got := s.post(t.Context(), plainText); got != want {
			t.Errorf("after %d messages: %s, want %s", len(s.Messages()), got, want)
		}
	}
	for range burst {
		post("200 ok")
	}
	post("429 rate_limited, retry after 1")
	now = now.Add(1100 * time.Millisecond)
	post("200 ok")
	post("429 rate_limited, retry after 1")
	now = now.Add(time.Hour)
	for range burst {
		post("200 ok")
	}
	post("429 rate_limited, retry after 1")
	if got := s.Messages()[burst].At; !got.Equal(time.Unix(1_795_409_617, 1e8)) {
		t.Errorf("message %d came at %v, by another clock", burst, got)
	}
}

func TestSlackFaults(t *testing.T) {
	t.Parallel()
	const date = "Mon, 23 Nov 2026 04:53:36 GMT"
	tests := []struct {
		fault         Fault
		message, want string
		taken         bool
	}{
		{Answer(404, "no_service"), plainText, "404 no_service", false},
		{Answer(500, "rollup_error"), plainText, "500 rollup_error", false},
		{Answer(200, "not quite"), plainText, "200 not quite", false},
		{RateLimited("30"), plainText, "429 rate_limited, retry after 30", false},
		{RateLimited(""), plainText, "429 rate_limited", false},
		{RateLimited(date), plainText, "429 rate_limited, retry after " + date, false},
		{RefusesBlocks(), withBlocks, "400 invalid_blocks", false},
		{RefusesBlocks(), withinAttch, "400 invalid_blocks", false},
		{RefusesBlocks(), plainText, "200 ok", true},
		{Redirect("https://example.com"), plainText, "302 ", false},
		{Reset(), plainText, "reset by peer", false},
		{TakesThenDrops(), plainText, "reset by peer", true},
		{TakesThenFails(), plainText, "500 rollup_error", true},
		{TakesThenHangs(), plainText, "deadline exceeded", true},
		{TakesLate(time.Hour), plainText, "deadline exceeded", true},
		{TakesLate(time.Millisecond), plainText, "200 ok", true},
	}
	for _, tt := range tests {
		t.Run(tt.fault.String(), func(t *testing.T) {
			t.Parallel()
			s := newWebhookTest(t)
			s.Fail(tt.fault, -1)
			ctx := t.Context()
			if strings.Contains(tt.want, "deadline") {
				short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
				ctx = short
			}
			if got := s.post(t.Context(), `{}`); got != "400 no_text" {
				t.Errorf("a wrong message: %s, want its own refusal", got)
			}
			if got := s.post(ctx, tt.message); !strings.HasSuffix(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if got := len(s.Messages()) == 1; got != tt.taken {
				t.Errorf("taken: %v, want %v", got, tt.taken)
			}
			s.ClearFaults()
			if got := s.post(t.Context(), withBlocks); got != "200 ok" {
				t.Errorf("cleared: %s, want 200 ok", got)
			}
		})
	}
}

func TestSlackFaultsCount(t *testing.T) {
	t.Parallel()
	s := newWebhookTest(t)
	s.Fail(Answer(500, "a"), 2)
	s.Fail(Answer(500, "b"), 1)
	for _, want := range []string{"500 a", "500 a", "500 b", "200 ok"} {
		if got := s.post(t.Context(), plainText); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSlackWait(t *testing.T) {
	t.Parallel()
	s := newWebhookTest(t)
	done := make(chan error)
	go func() { done <- s.Wait(t.Context(), 2) }()
	s.post(t.Context(), plainText)
	s.post(t.Context(), plainText)
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ctx, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait(cancelled, 3) = %v, want %v", err, context.Canceled)
	}
	if err := s.Wait(ctx, 2); err != nil {
		t.Errorf("Wait(cancelled, 2) = %v, want nil: they are there", err)
	}
}

// FuzzSlackRules holds that what the rules take is a message within Slack's limits, counted here in another way, and one that
// can be drawn.
func FuzzSlackRules(f *testing.F) {
	for _, m := range []string{plainText, withBlocks, withinAttch, `{"text":"x","blocks":[{"type":"rich_text","elements":[null]}]}`, `{"text":"<!channel>"}`} {
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
