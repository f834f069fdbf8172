package notifier

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
)

// FuzzCallAnswers gives each call any answer there is. Only Slack's own yes counts as one, a 5xx leaves open
// what happened, nothing is called without end, and no error shows a secret that the answer echoes.
func FuzzCallAnswers(f *testing.F) {
	for status, bodies := range map[int][]string{
		200: {
			"ok", "ok\n", "", "invalid_payload", "<html>SECRET</html>", "{}", "null",
			`{"ok":true,"ts":"1795409616.000100"}`, `{"ok":false,"error":"ratelimited"}`,
			`{"ok":true}`, `{"ok":false}`, `{"ok":false,"error":"SECRET","needed":"SECRET"}`,
			`{"ok":true,"ts":"1"}{`,
			`{"ok":false,"error":"invalid_blocks","response_metadata":{"messages":["[ERROR] SECRET is too long"]}}`,
			`{"ok":false,"error":"missing_scope","needed":"channels:history SECRET"}`,
			`{"ok":true,"messages":[{"ts":"1","metadata":{"event_type":"clbwatch",` +
				`"event_payload":{"id":"12.a7.root-0"}}}],` +
				`"has_more":true,"response_metadata":{"next_cursor":"bmV4dA=="}}`,
			`{"ok":true,"messages":[{"ts":"1","metadata":{"event_type":"clbwatch","event_payload":{"id":7}}},null]}`,
			`{"ok":true,"messages":[]}`, `{"ok":true,"messages":null}`,
		},
		302: {""}, 400: {"no_text", `{"ok":false,"error":"invalid_auth"}`},
		403: {"action_prohibited", "<html>"}, 413: {""}, 429: {"", `{"ok":false}`},
		500: {"rollup_error", `{"ok":true,"ts":"1"}`}, 503: {"<html>503</html>"},
	} {
		for _, b := range bodies {
			f.Add(status, "3", b)
		}
	}
	f.Add(429, "Mon, 23 Nov 2026 04:53:00 GMT", "")
	const token, path = "xoxb-sEcReT-sEcReT", "/services/T0/B0/sEcReTsEcReT"
	f.Fuzz(func(t *testing.T, status int, after, body string) {
		status = min(max(status, 200), 599)
		calls := 0
		way := func(secret string) http.RoundTripper {
			said := strings.ReplaceAll(body, "SECRET", secret)
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				calls++
				if r.Body != nil {
					_, _ = io.Copy(io.Discard, r.Body) // of our own making
				}
				header := http.Header{"Retry-After": {after}, "Location": {"https://evil.example/"}}
				answer := io.NopCloser(strings.NewReader(said))
				return &http.Response{StatusCode: status, Header: header, Body: answer, Request: r}, nil
			})
		}
		clock := &testClock{t: time.Unix(1795409616, 0)}
		config := Config{Now: clock.now, Sleep: clock.sleep, Transport: way(token), Token: token,
			Channel: "C024BE91L", APIURL: "https://slack.com/api/"}
		bot, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		config.Token, config.Transport, config.WebhookURL = "", way(path), "https://hooks.slack.com"+path
		hook, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		var yes struct {
			OK       bool            `json:"ok"`
			TS       json.RawMessage `json:"ts"`
			MTS      json.RawMessage `json:"message_ts"`
			Messages json.RawMessage `json:"messages"`
		}
		agreed := status == 200 && json.Unmarshal([]byte(body), &yes) == nil && yes.OK
		for do := incident.Send; do <= incident.Leave; do++ {
			for _, s := range []*Slack{bot, hook} {
				s.render, calls = stub, 0
				r := rootOf(s, clock.now(), "")
				root := incident.Post{Root: true}
				call := incident.Call{Do: do, Route: s.Route(), Key: r.Key(root), Post: root}
				if do != incident.Send {
					call.TS = "1.2"
				}
				o := s.Do(context.WithoutCancel(t.Context()), call, incident.Document{Root: r})
				what := "call " + tried(do) + " by " + string(s.Route())
				if calls > 2*2*maxPages {
					t.Errorf("%s: %d calls", what, calls)
				}
				if (o.Err == nil) != (o.Class == incident.Done) {
					t.Errorf("%s: class %d and the error %v", what, o.Class, o.Err)
				}
				if o.Err != nil && (strings.Contains(o.Err.Error(), "sEcReT") || len(o.Err.Error()) > 2000) {
					t.Errorf("%s: %d bytes, or a secret: %v", what, len(o.Err.Error()), o.Err)
				}
				if status >= 500 && o.Class != incident.Unknown && calls > 0 {
					t.Errorf("%s: after %d it is class %d: Slack may have done it", what, status, o.Class)
				}
				var may bool
				switch {
				case s == hook && do == incident.Send:
					may = status == 200 && body == "ok"
				case s == hook:
					may = do == incident.Ask && status < 500 // it refuses what is empty in a word of Slack's
				case do == incident.Send:
					may = agreed && len(yes.TS)+len(yes.MTS) > 0 && o.TS != ""
				case do == incident.Look || do == incident.Copies:
					may = agreed && yes.Messages != nil
				default:
					may = agreed
				}
				if o.Class == incident.Done && !may {
					t.Errorf("%s: %d %q is taken for a yes: %+v", what, status, body, o)
				}
				sure := o.Class != incident.Done && o.Class != incident.Unknown
				if agreed && s == bot && do == incident.Send && sure {
					t.Errorf("%s: %q says yes, and is class %d", what, body, o.Class)
				}
			}
		}
	})
}
