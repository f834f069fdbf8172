package slack

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// apiTest is a workspace, and a client of its Web API.
type apiTest struct {
	*Workspace
	t   *testing.T
	url string
}

func newAPITest(t *testing.T) *apiTest {
	t.Helper()
	s := New()
	s.Unlimited = true
	srv := httptest.NewServer(s)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return &apiTest{s, t, s.APIURL(srv.URL)}
}

// call calls a method with the token, the channel and these parameters as a form. It returns the answer, or
// the HTTP status.
func (s *apiTest) call(method string, pairs ...string) map[string]any {
	s.t.Helper()
	form := url.Values{"token": {s.Token()}, "channel": {s.ChannelID()}}
	if method == "chat.postMessage" {
		form["unfurl_links"], form["unfurl_media"] = []string{"false"}, []string{"false"}
	}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return s.send(method, "application/x-www-form-urlencoded", "", form.Encode())
}

func (s *apiTest) send(method, contentType, auth, body string) map[string]any {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+method,
		strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return map[string]any{"error": "no answer"}
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return map[string]any{"error": "no answer"}
	}
	v := map[string]any{}
	if json.Unmarshal(raw, &v) != nil || resp.StatusCode != http.StatusOK {
		return map[string]any{"error": fmt.Sprint(resp.StatusCode), "after": resp.Header.Get("Retry-After")}
	}
	return v
}

const attached = `[{"color":"#a30200","blocks":[{"type":"divider"}]}]`

func TestWebAPIRefuses(t *testing.T) {
	t.Parallel()
	s := newAPITest(t)
	root, _ := s.call("chat.postMessage", "text", "first")["ts"].(string)
	reply, _ := s.call("chat.postMessage", "text", "reply", "thread_ts", root)["ts"].(string)
	other := s.Say("by somebody else")
	if root == "" || reply == "" {
		t.Fatalf("nothing was posted: %q", s.Refused())
	}
	for _, tt := range []struct {
		want, method string
		pairs        []string
	}{
		{"not_authed", "chat.postMessage", []string{"token", ""}},
		{"invalid_auth", "chat.postMessage", []string{"token", "xoxb-wrong"}},
		{"unknown_method", "chat.shout", nil},
		{"channel_not_found", "chat.postMessage", []string{"channel", "#alerts", "text", "x"}},
		{"channel_not_found", "chat.update",
			[]string{"channel", "C0ELSEWHERE", "ts", root, "text", "x", "blocks", "[]", "attachments", "[]"}},
		{"no_text", "chat.postMessage", []string{"text", ""}},
		{"invalid_blocks", "chat.postMessage", []string{"text", "x", "blocks", `[{"type":"nonsense"}]`}},
		{"invalid_attachments", "chat.postMessage",
			[]string{"text", "x", "attachments", `[{"color":"red","blocks":[{"type":"divider"}]}]`}},
		{"msg_blocks_too_long", "chat.postMessage",
			[]string{"text", "x", "blocks",
				"[" +
					strings.Repeat(`{"type":"section","text":{"type":"plain_text","text":"`+
						strings.Repeat("x", 2900)+`"}},`, 5) + `{"type":"divider"}]`}},
		{"invalid_arguments", "chat.postMessage", []string{"text", "x", "unfurl_links", "true"}},
		{"invalid_arguments", "chat.postMessage", []string{"text", "x", "client_msg_id", "1"}},
		{"invalid_metadata_format", "chat.postMessage", []string{"text", "x", "metadata", "[]"}},
		{"invalid_metadata_schema", "chat.postMessage",
			[]string{"text", "x", "metadata", `{"event_type":"a"}`}},
		{"metadata_too_large", "chat.postMessage",
			[]string{"text", "x", "metadata",
				`{"event_type":"a","event_payload":{"x":"` + strings.Repeat("y", 2000) + `"}}`}},
		{"thread_not_found", "chat.postMessage", []string{"text", "x", "thread_ts", "1.000000"}},
		{"invalid_metadata_schema", "chat.postMessage", []string{"text", "x", "metadata", "{}"}},
		{"cannot_reply_to_message", "chat.postMessage", []string{"text", "x", "thread_ts", reply}},
		{"invalid_arguments", "chat.postMessage", []string{"text", "x", "reply_broadcast", "true"}},
		{"message_not_found", "chat.update",
			[]string{"ts", "1.000000", "text", "x", "blocks", "[]", "attachments", "[]"}},
		{"cant_update_message", "chat.update",
			[]string{"ts", other, "text", "x", "blocks", "[]", "attachments", "[]"}},
		{"invalid_arguments", "chat.update", []string{"ts", root, "text", "x"}},
		{"msg_too_long", "chat.update",
			[]string{"ts", root, "text", strings.Repeat("界", 1400), "blocks", "[]", "attachments", "[]"}},
		{"thread_not_found", "conversations.replies", []string{"ts", reply}},
		{"invalid_limit", "conversations.history", []string{"limit", "1000"}},
		{"invalid_cursor", "conversations.history", []string{"cursor", "x"}},
		{"invalid_ts_oldest", "conversations.history", []string{"oldest", "-1"}},
	} {
		if got := s.call(tt.method, tt.pairs...); got["ok"] != false || got["error"] != tt.want {
			t.Errorf("%s %.100q = %v, want %s", tt.method, tt.pairs, got, tt.want)
		}
	}
	if got := s.send("chat.postMessage", "text/plain", "", "x"); got["error"] != "invalid_post_type" {
		t.Errorf("as text: %v", got)
	}
	if n := len(s.Channel()); n != 3 {
		t.Errorf("the channel has %d messages, want the 3 that were right", n)
	}
	s.Leave()
	for method, pairs := range map[string][]string{
		"chat.postMessage":      {"text", "x"},
		"chat.update":           {"text", "x", "ts", root, "blocks", "[]", "attachments", "[]"},
		"conversations.history": nil, "conversations.replies": {"ts", root},
	} {
		if got := s.call(method, pairs...); got["error"] != "not_in_channel" {
			t.Errorf("%s out of the channel: %v", method, got)
		}
	}
	s.Join()
	if got := s.call("chat.postMessage", "text", "back"); got["ok"] != true {
		t.Errorf("back in the channel: %v", got)
	}
}

func TestWebAPIPostsThreadsAndEdits(t *testing.T) {
	t.Parallel()
	s := newAPITest(t)
	s.EditWindow = time.Hour
	body := fmt.Sprintf(`{"channel":%q,"text":"first","attachments":%s,"unfurl_links":false,`+
		`"unfurl_media":false,"metadata":{"event_type":"e","event_payload":{"id":"1"}}}`, s.ChannelID(),
		attached)
	posted := s.send("chat.postMessage", "application/json", "Bearer "+s.Token(), body)
	ts, _ := posted["ts"].(string)
	if posted["channel"] != s.ChannelID() || ts == "" {
		t.Fatalf("posted %v", posted)
	}
	for i := range 3 {
		if got := s.call("chat.postMessage", "text", fmt.Sprint("reply ", i), "thread_ts", ts,
			"reply_broadcast", fmt.Sprint(i == 2)); got["ok"] != true {
			t.Fatal(got)
		}
	}
	changed := s.Changed()
	if got := s.call("chat.update", "ts", ts, "text", "edited", "blocks", "[]", "attachments",
		"[]"); got["ok"] != true {
		t.Fatal(got)
	}
	<-changed
	posts := s.Channel()
	if len(posts) != 4 || posts[0].Edited.IsZero() || !strings.Contains(string(posts[0].Raw), "edited") ||
		!posts[0].Bot ||
		posts[1].Thread != ts || posts[1].Broadcast || !posts[3].Broadcast ||
		!slices.IsSortedFunc(posts, func(a, b Post) int { return compareTS(a.TS, b.TS) }) {
		t.Errorf("the channel is %+v", posts)
	}
	texts := func(answer map[string]any) (got []string) {
		all, _ := answer["messages"].([]any)
		for _, m := range all {
			m, _ := m.(map[string]any)
			got = append(got, fmt.Sprint(m["text"]))
		}
		return got
	}
	if got := texts(s.call("conversations.history")); !slices.Equal(got, []string{"reply 2", "edited"}) {
		t.Errorf("the history is %q, want the newest first, without replies that are in the thread only", got)
	}
	if got := texts(s.call("conversations.replies", "ts", ts)); !slices.Equal(got,
		[]string{"edited", "reply 0", "reply 1", "reply 2"}) {
		t.Errorf("the thread is %q, want all of it, oldest first", got)
	}
	// Page by page.
	s.PageLimit = 3
	first := s.call("conversations.replies", "ts", ts)
	meta, _ := first["response_metadata"].(map[string]any)
	second := s.call("conversations.replies", "ts", ts, "cursor", fmt.Sprint(meta["next_cursor"]))
	if got := append(texts(first), texts(second)...); len(got) != 4 || first["has_more"] != true ||
		second["has_more"] != false || second["response_metadata"] != nil {
		t.Errorf("two pages: %v, %v", first, second)
	}
	if got := texts(s.call("conversations.history", "oldest", posts[3].TS)); len(got) != 0 {
		t.Errorf("the history after the last message is %q", got)
	}
	if got := texts(s.call("conversations.history", "oldest", posts[3].TS, "inclusive",
		"true")); len(got) != 1 {
		t.Errorf("the history from the last message on is %q", got)
	}
	s.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if got := s.call("chat.update", "ts", ts, "text", "x", "blocks", "[]", "attachments",
		"[]"); got["error"] != "edit_window_closed" {
		t.Errorf("an edit after two hours: %v", got)
	}
	if !s.Delete(ts) || s.Delete(ts) || len(s.Channel()) != 3 {
		t.Errorf("after the first message was deleted the channel is %+v", s.Channel())
	}
	if got := s.call("chat.postMessage", "text", "x", "thread_ts",
		ts); got["error"] != "thread_not_found" {
		t.Errorf("a reply to what was deleted: %v", got)
	}
	s.Unthreads = true
	got := s.call("chat.postMessage", "text", "x", "thread_ts", ts)
	if posts := s.Channel(); got["ok"] != true || len(posts) != 4 || posts[3].Thread != "" {
		t.Errorf("a reply to what was deleted, where Slack posts it in the channel: %v, %+v", got, posts)
	}
}

func TestWebAPIShowsMetadataIfAsked(t *testing.T) {
	t.Parallel()
	s := newAPITest(t)
	s.call("chat.postMessage", "text", "x", "metadata", `{"event_type":"e","event_payload":{"id":"1"}}`)
	for ask, want := range map[string]bool{"": false, "true": true, "1": true} {
		got, _ := json.Marshal(s.call("conversations.history", "include_all_metadata", ask))
		if strings.Contains(string(got), "event_type") != want {
			t.Errorf("include_all_metadata=%q: %s", ask, got)
		}
	}
}

func TestWebAPIKeepsMetadataInAnEdit(t *testing.T) {
	t.Parallel()
	const meta = `{"event_type":"e","event_payload":{"id":"1"}}`
	for _, tt := range []struct{ name, edit, want string }{
		{"not named", "", `"id":"1"`},
		{"others", `{"event_type":"e","event_payload":{"id":"2"}}`, `"id":"2"`},
		{"removed", "{}", ""},
	} {
		s := newAPITest(t)
		ts, _ := s.call("chat.postMessage", "text", "x", "metadata", meta)["ts"].(string)
		edit := []string{"ts", ts, "text", "edited", "blocks", "[]", "attachments", "[]"}
		if tt.edit != "" {
			edit = append(edit, "metadata", tt.edit)
		}
		if got := s.call("chat.update", edit...); got["ok"] != true {
			t.Errorf("%s: %v", tt.name, got)
		}
		raw := string(s.Channel()[0].Raw)
		if !strings.Contains(raw, "edited") || !strings.Contains(raw, tt.want) ||
			strings.Contains(raw, "metadata") != (tt.want != "") {
			t.Errorf("%s: the message is %s, want it edited, with metadata %q", tt.name, raw, tt.want)
		}
	}
}

func TestWebAPILimitsTheRate(t *testing.T) {
	t.Parallel()
	s := newAPITest(t)
	s.Unlimited = false
	now := time.Now()
	s.Now = func() time.Time { return now }
	limited := func(method string, calls int, pairs ...string) (first int, after any) {
		for i := range calls {
			if got := s.call(method, pairs...); got["error"] == "429" {
				return i, got["after"]
			}
		}
		return calls, nil
	}
	if n, after := limited("chat.postMessage", 10, "text", "x"); n != burst || after != "1" {
		t.Errorf("after %d posts: wait for %v s, want after %d for 1 s", n, after, burst)
	}
	if n, after := limited("conversations.history", 60); n != 50 || after != "60" {
		t.Errorf("after %d calls: wait for %v s, want after 50 for 60 s", n, after)
	}
	now = now.Add(time.Minute)
	if n, _ := limited("conversations.history", 1); n != 1 {
		t.Error("limited a minute later too")
	}
}
