package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/watch"
)

// FuzzBotAnswers makes the answers of Slack's Web API: to the edit of a thread, to the search for the alert, and to the
// post. An alert is told only if Slack says ok to it or shows it in the channel, never counts as not sent where Slack
// said ok, and no error holds the token.
func FuzzBotAnswers(f *testing.F) {
	const token = "xoxb-17653672481-q7Zk3vWp9xLm" // of no word that an input may have
	const (
		posted = `{"ok":true,"channel":"C024BE91L","ts":"1503435956.000247","message":{"text":"x"}}`
		ours   = `{"ok":true,"messages":[{"type":"message","ts":"1503435957.000100","metadata":{"event_type":"clbwatch_alert","event_payload":{"id":"1"}}},` +
			`{"type":"message","ts":"1503435956.000100","metadata":{"event_type":"clbwatch_report","event_payload":{"at":"1795409616"}}}],"has_more":false}`
		others = `{"ok":true,"messages":[{"type":"message","ts":"1503435957.000100","text":"hi"}],"has_more":true,"response_metadata":{"next_cursor":"bmV4dA=="}}`
	)
	for _, found := range []string{ours, others, `{"ok":true,"messages":[]}`, `{"ok":true,"messages":[null]}`, `{"ok":false,"error":"missing_scope","needed":"channels:history","provided":"chat:write"}`} {
		f.Add(200, posted, found, posted)
	}
	for _, said := range []string{
		`{"ok":false,"error":"invalid_blocks","response_metadata":{"messages":["[ERROR] failed to match"]},"errors":["x"]}`,
		`{"ok":false,"error":"ratelimited"}`, `{"ok":false,"error":"internal_error"}`, `{"ok":false,"error":"message_not_found"}`,
		`{"ok":false,"error":"SECRET","needed":"SECRET","response_metadata":{"messages":["SECRET"]}}`,
		`{"ok":true}`, `{"ok":"true","ts":1}`, `{}`, `null`, ``, `<html>`, `{"ok":true,"ts":"1.2"`,
	} {
		f.Add(200, posted, others, said)
		f.Add(200, said, said, posted)
	}
	for _, status := range []int{302, 403, 429, 500} {
		f.Add(status, posted, ours, posted)
	}
	f.Fuzz(func(t *testing.T, status int, edited, found, said string) {
		status = 200 + max(status-200, 0)%400
		// The token is put in here, where fuzzing cannot take it to pieces: a part of it is no secret that came back.
		said, found, edited = strings.ReplaceAll(said, "SECRET", token), strings.ReplaceAll(found, "SECRET", token), strings.ReplaceAll(edited, "SECRET", token)
		clock := &testClock{t: time.Unix(1795409616, 0)}
		posts, pages := 0, 0
		answer := func(r *http.Request) (int, string) {
			switch path.Base(r.URL.Path) {
			case "chat.postMessage":
				posts++
				return status, said
			case "chat.update":
				return 200, edited
			default: // conversations.history, conversations.replies, auth.test
				if pages++; pages > 2 { // however many more it promises: their number has a test of its own
					return 200, `{"ok":true,"messages":[]}`
				}
				return 200, found
			}
		}
		way := roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Body != nil {
				_, _ = io.Copy(io.Discard, r.Body) // of our own making
			}
			code, body := answer(r)
			return &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {"1"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})
		s, err := New(Config{Token: token, Channel: "C024BE91L", APIURL: "https://slack.com/api/", Transport: way, Now: clock.now, Sleep: clock.sleep})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []watch.Delivery{
			{Alert: bad("1")},
			{Alert: bad("1"), Again: true},
			{Alert: good("1"), Again: true, Thread: resolved(watch.Receipt{Channel: "C024BE91L", TS: "1503435956.000247"})},
		} {
			posts, pages = 0, 0
			r, err := s.Notify(t.Context(), d)
			told := posts > 0 && status == 200 && saysPosted(said)
			switch {
			case err == nil && !told && !(d.Again && holds(found, "1")):
				t.Errorf("after %d %q, with %q in the channel, Notify = %+v: it is nowhere", status, said, found, r)
			case err == nil && (r.Channel == "" || r.TS == ""):
				t.Errorf("after %d %q, with %q in the channel, Notify = %+v", status, said, found, r)
			case told && errors.Is(err, watch.ErrNotSent):
				t.Errorf("after %q, Notify = %v: people have it", said, err)
			}
			if d.Again && posts > 0 && !strings.Contains(found, "missing_scope") && !strings.Contains(strings.ToLower(found), "ok") && !strings.Contains(found, `\`) {
				t.Errorf("after the search was answered %q, which is no list, the alert was posted again", found)
			}
			if posts > 4 {
				t.Errorf("%d posts for one alert", posts)
			}
			checkNoToken(t, token, err)
		}
		pages = 0
		at, err := s.LastReport(t.Context())
		if err == nil && !at.IsZero() && !strings.Contains(found, strconv.FormatInt(at.Unix(), 10)) && !strings.ContainsAny(found, `+\`) {
			t.Errorf("with %q in the channel, LastReport = %v", found, at)
		}
		checkNoToken(t, token, err)
		checkNoToken(t, token, s.Check(context.WithoutCancel(t.Context())))
	})
}

func checkNoToken(t *testing.T, token string, err error) {
	t.Helper()
	plain := func(s string) string { return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s)) }
	if err != nil && strings.Contains(plain(err.Error()), plain(token[len(token)-12:])) {
		t.Errorf("the token is in %q", err)
	}
}

// saysPosted reports whether the answer is that of a post that was taken.
func saysPosted(body string) bool {
	var a struct {
		OK               bool
		TS               string
		MessageTimeStamp string `json:"message_ts"`
	}
	return json.NewDecoder(strings.NewReader(body)).Decode(&a) == nil && a.OK && a.TS+a.MessageTimeStamp != ""
}

// holds reports whether the page of messages has the alert.
func holds(page, id string) bool {
	var a struct {
		OK       bool
		Messages []struct {
			TS       string
			Metadata struct {
				Type    string         `json:"event_type"`
				Payload map[string]any `json:"event_payload"`
			}
		}
	}
	if json.NewDecoder(strings.NewReader(page)).Decode(&a) != nil || !a.OK {
		return false
	}
	for _, m := range a.Messages {
		if m.TS != "" && m.Metadata.Type == alertEvent && m.Metadata.Payload[keyField] == id {
			return true
		}
	}
	return false
}
