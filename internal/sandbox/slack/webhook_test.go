package slack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
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
