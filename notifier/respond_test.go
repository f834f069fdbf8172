package notifier_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/talk"
	"clbwatch/notifier"
	"clbwatch/notifier/message"
)

// TestRespond holds what people are told after a click, that it goes to Slack only, and that no error has the
// address in it, which is a secret.
func TestRespond(t *testing.T) {
	t.Parallel()
	type posted struct {
		Type    string `json:"response_type"`
		Text    string `json:"text"`
		Thread  string `json:"thread_ts"`
		Replace *bool  `json:"replace_original"`
	}
	posts := make(chan posted, 20)
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p posted
		raw, _ := io.ReadAll(r.Body) // a broken one does not decode
		if err := json.Unmarshal(raw, &p); err != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("posted %s, %v", raw, err)
		}
		posts <- p
		switch code, _ := strconv.Atoi(r.URL.Query().Get("code")); code {
		case 0:
		case 1:
			<-hang
		default:
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
		}
	}))
	t.Cleanup(func() { close(hang); srv.Close() })
	to := srv.URL + "/actions/T1/2/hunter2"
	m := message.Message{Text: "hi"}
	respond := func(ctx context.Context, r talk.Reply) error {
		return notifier.Respond(ctx, http.DefaultTransport, srv.URL+"/api/", r)
	}
	if err := respond(t.Context(), talk.Reply{To: to, Message: m, Public: true, Thread: "1.2"}); err != nil {
		t.Fatal(err)
	}
	if got := <-posts; got.Type != "in_channel" || got.Text != "hi" || got.Thread != "1.2" ||
		got.Replace == nil ||
		*got.Replace {
		t.Errorf("posted %+v, want a reply for everybody, beside the message", got)
	}
	if err := respond(t.Context(), talk.Reply{To: to, Message: m, Replace: true}); err != nil {
		t.Fatal(err)
	}
	if got := <-posts; !*got.Replace || got.Type != "" {
		t.Errorf("posted %+v, want the message replaced", got)
	}
	for code, want := range map[string]string{"404": "answers 404", "500": "answers 500", "302": "answers 302",
		"1": "in time"} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := respond(ctx, talk.Reply{To: to + "?code=" + code, Message: m})
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("status %s: %v, want %q, and no address", code, err, want)
		}
		<-posts
	}
	for name, to := range map[string]string{
		"another host": "https://example.com/actions/hunter2", "in the clear": "http://hooks.slack.com/actions/hunter2",
		"a host like Slack's": "https://hooks.slack.com.example.com/hunter2", "a user": "https://hunter2@hooks.slack.com/",
		"a port": "https://hooks.slack.com:8443/hunter2", "nothing": "", "no URL": "%hunter2",
		"this machine, another port": "http://127.0.0.1:1/hunter2", "a file": "file:///etc/hunter2",
	} {
		err := respond(t.Context(), talk.Reply{To: to, Message: m})
		if err == nil || !strings.Contains(err.Error(), "not one of Slack's") ||
			strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want that it is not Slack's", name, err)
		}
	}
	if err := notifier.Respond(t.Context(), http.DefaultTransport, "https://slack.com/api/",
		talk.Reply{To: srv.URL, Message: m}); err == nil || len(posts) > 0 {
		t.Errorf("with the real Slack: %v and %d calls to this machine, want none", err, len(posts))
	}
}
