package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/watch"
)

// FuzzSlackAnswers holds that nothing but Slack's own yes is one, that no error shows a secret that the answer echoes, and
// that a 5xx, after which Slack may have the message, is never taken for a message not sent.
func FuzzSlackAnswers(f *testing.F) {
	for status, bodies := range map[int][]string{
		200: {
			"ok", "ok\n", "", "invalid_payload", "<html>SECRET</html>", `{"ok":true,"channel":"C024BE91L","ts":"1795409616.000100"}`, `{"ok":true}`, `{"ok":false}`,
			`{"ok":false,"error":"invalid_blocks","response_metadata":{"messages":["[ERROR] SECRET must be less than 3001 characters"]}}`,
			`{"ok":false,"error":"missing_scope","needed":"channels:history SECRET","provided":"chat:write"}`, `{"ok":false,"error":"SECRET"}`, `{"ok":`,
			`{"ok":true,"messages":[{"ts":"1795409616.000100","metadata":{"event_type":"clbwatch_alert","event_payload":{"id":"1042"}}}],"has_more":true,"response_metadata":{"next_cursor":"bmV4dA=="}}`,
			`{"ok":true,"messages":[{"ts":"1","metadata":{"event_type":"clbwatch_report","event_payload":{"at":"1795409616"}}}]}`,
			`{"ok":true,"messages":[{"ts":"1","metadata":{"event_type":"clbwatch_report","event_payload":{"at":7}}}]}`,
		},
		302: {""}, 400: {"invalid_payload", "no_text"}, 403: {"action_prohibited", "<html>"}, 404: {"no_service", "channel_not_found"}, 410: {"channel_is_archived"},
		413: {""}, 429: {"", `{"ok":false,"error":"ratelimited"}`}, 500: {"rollup_error", "SECRET"}, 503: {"<html>503</html>"},
	} {
		for _, b := range bodies {
			f.Add(status, "3", []byte(b))
		}
	}
	f.Add(429, "Mon, 23 Nov 2026 04:53:00 GMT", []byte(""))
	f.Add(429, "-1", []byte(""))
	const token, hookPath = "xoxb-sEcReT-sEcReT", "/services/T0/B0/sEcReTsEcReT"
	at := time.Unix(1795409616, 0)
	f.Fuzz(func(t *testing.T, status int, after string, body []byte) {
		status = min(max(status, 200), 599)
		calls := 0
		config := Config{Now: func() time.Time { return at }, Sleep: func(context.Context, time.Duration) error { return nil }}
		serve := func(secret string) http.RoundTripper {
			said := strings.ReplaceAll(string(body), "SECRET", secret)
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				if calls++; calls > 200 {
					t.Fatalf("more than 200 calls for %d %q", status, body)
				}
				if r.Body != nil {
					_, _ = io.Copy(io.Discard, r.Body) // of our own making
				}
				return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {after}, "Content-Type": {"application/json"}, "Location": {"https://evil.example/"}},
					Body: io.NopCloser(strings.NewReader(said)), Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
			})
		}
		look := func(what string, err error) {
			if err == nil {
				return
			}
			s := err.Error()
			if strings.Contains(s, "sEcReT") || len(s) > 2000 {
				t.Errorf("%s: %d bytes, or a secret: %s", what, len(s), s)
			}
			// An edit can be repeated: the alert itself was not sent.
			if status >= 500 && errors.Is(err, watch.ErrNotSent) && !strings.Contains(s, "edit the first message") {
				t.Errorf("%s: after %d Slack may have the message, and it is said not to be sent: %v", what, status, err)
			}
		}

		config.Transport, config.WebhookURL = serve(hookPath), "https://hooks.slack.com"+hookPath
		hook, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		_, err = hook.Notify(t.Context(), watch.Delivery{Alert: bad("1042")})
		look("webhook", err)
		if yes := status == 200 && string(body) == "ok"; (err == nil) != yes {
			t.Errorf("a webhook's %d %q is taken as %v", status, body, err)
		}
		look("check", hook.Check(t.Context()))

		config.Transport, config.Token, config.Channel, config.APIURL = serve(token), token, "C024BE91L", "https://slack.com/api/"
		bot, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		var yes struct {
			OK bool   `json:"ok"`
			TS string `json:"ts"`
		}
		isJSON := json.NewDecoder(strings.NewReader(string(body))).Decode(&yes) == nil // slack-go reads the first value
		for _, d := range []watch.Delivery{{Alert: bad("1042")}, {Alert: good("1042"), Again: true, Thread: resolved(watch.Receipt{Channel: "C024BE91L", TS: "1"})}} {
			r, err := bot.Notify(t.Context(), d)
			look("bot", err)
			if err == nil && (status != 200 || !isJSON || !yes.OK || r.TS == "" || r.Channel == "") {
				t.Errorf("a bot's %d %q is taken for a yes: %+v", status, body, r)
			}
		}
		last, err := bot.LastReport(t.Context())
		look("check", err)
		if err == nil && !last.IsZero() && !strings.Contains(string(body), "at") && !strings.Contains(string(body), `\u`) {
			t.Errorf("%q says that the last report was of %v", body, last)
		}
		look("check", bot.Check(t.Context()))
	})
}
