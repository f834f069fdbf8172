package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/sandbox/slack"
	"clbwatch/internal/watch"
)

// newBot is a bot in a workspace of its own.
func newBot(t *testing.T) (*Slack, *slack.Workspace, *testClock) {
	t.Helper()
	w := slack.New()
	w.Unlimited = true
	srv := httptest.NewServer(w)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	c := &testClock{t: time.Now()} // contexts end in real time
	s, err := New(Config{Token: w.Token(), Channel: w.ChannelID(), APIURL: w.APIURL(srv.URL), Transport: &http.Transport{}, Now: c.now, Sleep: c.sleep})
	if err != nil {
		t.Fatal(err)
	}
	return s, w, c
}

// bad is an alert that opens an incident, news that ends it, and the thread between the two.
func bad(id string) watch.Alert {
	change := lb.Change{Kind: lb.LeftRunning, Was: lb.Running, At: time.Now(), Backend: lb.Backend{ID: "ins-web07", Name: "web-07", Status: 4, Weight: 10}}
	return watch.Alert{ID: id, Thread: id, From: time.Now(), To: time.Now(), Pools: []watch.PoolNews{{
		CLB: web, Counts: lb.Counts{LeftRunning: 1}, Capacity: lb.Capacity{Running: 11, Total: 12, Weight: 120, Serving: 110},
		Before: &lb.Capacity{Running: 12, Total: 12, Weight: 120, Serving: 120}, Out: 1, Changes: []lb.Change{change},
	}}}
}

func good(id string) watch.Alert {
	change := lb.Change{Kind: lb.Recovered, Was: 4, At: time.Now(), Backend: lb.Backend{ID: "ins-web07", Name: "web-07", Status: lb.Running, Weight: 10}}
	return watch.Alert{ID: id, Thread: "1", Reply: true, From: time.Now(), To: time.Now(), Pools: []watch.PoolNews{{
		CLB: web, Counts: lb.Counts{Recovered: 1}, Capacity: lb.Capacity{Running: 12, Total: 12, Weight: 120, Serving: 120},
		Before: &lb.Capacity{Running: 11, Total: 12, Weight: 120, Serving: 110}, Changes: []lb.Change{change},
	}}}
}

func resolved(at watch.Receipt) *watch.Thread {
	now := time.Now()
	return &watch.Thread{Receipt: at, Alert: bad("1"), Course: map[string]watch.Course{web.Key(): {
		Capacity: lb.Capacity{Running: 12, Total: 12, Weight: 120, Serving: 120}, Since: now.Add(-12 * time.Minute), Over: now, Later: lb.Counts{Recovered: 1},
	}}}
}

// textOf is what a notification would show of a message.
func textOf(t *testing.T, p slack.Post) string {
	t.Helper()
	var m struct{ Text string }
	if err := json.Unmarshal(p.Raw, &m); err != nil {
		t.Fatal(err)
	}
	return m.Text
}

func TestBotTellsOnceWhateverIsLost(t *testing.T) {
	t.Parallel()
	for _, fault := range []slack.Fault{
		slack.TakesThenDrops(), slack.TakesThenFails(), slack.NoTS(), // it has the message
		slack.Reset(), slack.OKFalse(), slack.EmptyAnswer(), slack.HTML(), // it has not
		slack.Answer(http.StatusInternalServerError, ""), slack.Error("internal_error"), slack.Error("fatal_error"),
		slack.Error("a_word_of_tomorrow"),
	} {
		for _, inThread := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in a thread: %v", fault, inThread), func(t *testing.T) {
				t.Parallel()
				s, w, _ := newBot(t)
				d := watch.Delivery{Alert: bad("1")}
				before := 0
				if inThread {
					r, err := s.Notify(t.Context(), d)
					if err != nil {
						t.Fatal(err)
					}
					d, before = watch.Delivery{Alert: good("2"), Thread: resolved(r)}, 1
				}
				w.FailMethod("chat.postMessage", fault, 1)
				if _, err := s.Notify(t.Context(), d); class(err) != "unknown" {
					t.Fatalf("Notify: %v, want an error that leaves open whether people have it", err)
				}
				d.Again = true
				r, err := s.Notify(t.Context(), d)
				if err != nil {
					t.Fatalf("Notify again: %v", err)
				}
				posts := w.Channel()
				if len(posts) != before+1 {
					t.Fatalf("the channel has %d messages, want %d", len(posts), before+1)
				}
				if last := posts[before]; inThread && (last.Thread != posts[0].TS || r.TS != posts[0].TS) || !inThread && r.TS != last.TS {
					t.Errorf("the receipt says %+v of %+v", r, posts)
				}
			})
		}
	}
}

func TestBotFindsItsMessageAmongMany(t *testing.T) {
	t.Parallel()
	s, w, _ := newBot(t)
	w.PageLimit = 3
	w.FailMethod("chat.postMessage", slack.TakesThenDrops(), 1)
	if _, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1")}); err == nil {
		t.Fatal("the fault had no effect")
	}
	for i := range 40 {
		w.Say(fmt.Sprint("others talk ", i))
	}
	if _, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("2")}); err != nil { // another alert is another message
		t.Fatal(err)
	}
	r, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1"), Again: true})
	if posts := w.Channel(); err != nil || r.TS != posts[0].TS || len(posts) != 42 {
		t.Errorf("Notify = %+v, %v, with %d messages in the channel, want the first one found among 42", r, err, len(posts))
	}
}

func TestBotThatMayNotLookTellsTwiceRatherThanNever(t *testing.T) {
	t.Parallel()
	s, w, _ := newBot(t)
	w.FailMethod("conversations.history", slack.Error("missing_scope"), -1)
	if _, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1"), Again: true}); err != nil || len(w.Channel()) != 1 {
		t.Errorf("Notify: %v, with %d messages, want it told", err, len(w.Channel()))
	}
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "channels:history") {
		t.Errorf("Check: %v, want the scope that is missing", err)
	}
}

func TestBotThatCannotLookNowTellsNothing(t *testing.T) {
	t.Parallel()
	s, w, _ := newBot(t)
	w.FailMethod("conversations.history", slack.Answer(http.StatusServiceUnavailable, ""), -1)
	if _, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1"), Again: true}); err == nil || len(w.Channel()) != 0 {
		t.Errorf("Notify: %v, with %d messages, want an error and none: it may be there already", err, len(w.Channel()))
	}
}

func TestBotResolvesInPlace(t *testing.T) {
	t.Parallel()
	s, w, _ := newBot(t)
	first, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1")})
	if err != nil {
		t.Fatal(err)
	}
	before := textOf(t, w.Channel()[0])
	r, err := s.Notify(t.Context(), watch.Delivery{Alert: good("2"), Thread: resolved(first)})
	posts := w.Channel()
	if err != nil || r != first || len(posts) != 2 {
		t.Fatalf("Notify = %+v, %v, with %d messages, want the first message's receipt and two", r, err, len(posts))
	}
	if after := textOf(t, posts[0]); after == before || posts[0].Edited.IsZero() || !strings.Contains(string(posts[0].Raw), "#2eb886") {
		t.Errorf("the first message is %s after it was %q, want it green", posts[0].Raw, before)
	}
	if posts[1].Thread != first.TS || posts[1].Broadcast || !strings.Contains(textOf(t, posts[1]), "recovered") {
		t.Errorf("the second message is %+v, want the recovery in the thread", posts[1])
	}
}

func TestBotMakesAnOutageSeenInTheChannel(t *testing.T) {
	t.Parallel()
	s, w, _ := newBot(t)
	first, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1")})
	if err != nil {
		t.Fatal(err)
	}
	worse := bad("2")
	worse.Pools[0].Capacity = lb.Capacity{Total: 12, Weight: 120}
	thread := resolved(first)
	thread.Course[web.Key()] = watch.Course{Capacity: worse.Pools[0].Capacity, Since: time.Now()}
	if _, err := s.Notify(t.Context(), watch.Delivery{Alert: worse, Thread: thread}); err != nil {
		t.Fatal(err)
	}
	if posts := w.Channel(); len(posts) != 2 || !posts[1].Broadcast {
		t.Errorf("the channel has %+v, want a reply that is shown in the channel", posts)
	}
}

func TestBotPostsAnewWhatCannotBeAnswered(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*slack.Workspace, *watch.Thread){
		"deleted": func(w *slack.Workspace, th *watch.Thread) { w.Delete(th.Receipt.TS) },
		"too old to edit": func(w *slack.Workspace, _ *watch.Thread) {
			w.FailMethod("chat.update", slack.Error("edit_window_closed"), -1)
		},
		"not ours any more": func(w *slack.Workspace, _ *watch.Thread) {
			w.FailMethod("chat.update", slack.Error("cant_update_message"), -1)
		},
		"an edit that is refused": func(w *slack.Workspace, _ *watch.Thread) {
			w.FailMethod("chat.update", slack.Error("invalid_blocks"), -1)
		},
		"in another channel": func(_ *slack.Workspace, th *watch.Thread) { th.Receipt.Channel = "C0ELSEWHERE" },
	} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, again: %v", name, again), func(t *testing.T) {
				t.Parallel()
				s, w, _ := newBot(t)
				first, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1")})
				if err != nil {
					t.Fatal(err)
				}
				d := watch.Delivery{Alert: good("2"), Thread: resolved(first)}
				lose(w, d.Thread)
				if again {
					w.FailMethod("chat.postMessage", slack.TakesThenDrops(), 1)
					if _, err := s.Notify(t.Context(), d); class(err) != "unknown" {
						t.Fatal(err)
					}
					d.Again = true
				}
				r, err := s.Notify(t.Context(), d)
				if err != nil {
					t.Fatal(err)
				}
				var told []slack.Post
				for _, p := range w.Channel() {
					if strings.Contains(textOf(t, p), "recovered") {
						told = append(told, p)
					}
				}
				if len(told) != 1 || told[0].Thread != "" || told[0].TS != r.TS || r.TS == first.TS {
					t.Errorf("the receipt is %+v and the recovery %+v, want it told once, as a new message", r, told)
				}
			})
		}
	}
}

func TestBotSettings(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"invalid_auth": "SLACK_BOT_TOKEN", "not_authed": "SLACK_BOT_TOKEN", "token_revoked": "SLACK_BOT_TOKEN", "account_inactive": "SLACK_BOT_TOKEN",
		"missing_scope": "chat:write", "not_allowed_token_type": "xoxb-", "no_permission": "administrator",
		"channel_not_found": "SLACK_CHANNEL", "not_in_channel": "/invite", "is_archived": "archived", "restricted_action": "SLACK_CHANNEL",
	} {
		s, w, _ := newBot(t)
		w.FailMethod("chat.postMessage", slack.Error(code), 1)
		_, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1")})
		if class(err) != "not sent" || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v, want that it was not sent, the code, and %q", code, err, want)
		}
		w.FailMethod("conversations.history", slack.Error(code), -1)
		if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check with %s: %v, want %q", code, err, want)
		}
	}
	s, w, _ := newBot(t)
	if err := s.Check(t.Context()); err != nil || len(w.Channel()) != 0 {
		t.Errorf("Check: %v, with %d messages, want all well and nothing posted", err, len(w.Channel()))
	}
	w.Leave()
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "/invite") {
		t.Errorf("Check out of the channel: %v, want what to do", err)
	}
	if _, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1")}); class(err) != "not sent" {
		t.Errorf("Notify out of the channel: %v, want that it was not sent", err)
	}
}

func TestBotRateLimit(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"chat.postMessage", "chat.update"} {
		for _, tt := range []struct {
			after string
			left  time.Duration
			want  string
		}{
			{"3", time.Minute, "delivered"},
			{"30", time.Minute, "not sent"},    // longer than a tick should sleep
			{"8", 5 * time.Second, "not sent"}, // beyond the deadline
		} {
			s, w, c := newBot(t)
			first, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1")})
			if err != nil {
				t.Fatal(err)
			}
			w.FailMethod(method, slack.RateLimited(tt.after), 1)
			ctx, cancel := context.WithDeadline(t.Context(), c.now().Add(tt.left))
			defer cancel()
			_, err = s.Notify(ctx, watch.Delivery{Alert: good("2"), Thread: resolved(first)})
			if class(err) != tt.want {
				t.Errorf("%s says 429, retry after %s, with %v left: %v, want %s", method, tt.after, tt.left, err, tt.want)
			}
			if n := len(w.Channel()); (n == 2) != (tt.want == "delivered") {
				t.Errorf("%s, retry after %s: %d messages", method, tt.after, n)
			}
		}
	}
}

func TestBotWhatSlackRefusesGoesAsText(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"invalid_blocks", "msg_blocks_too_long", "invalid_attachments", "metadata_too_large"} {
		s, w, _ := newBot(t)
		w.FailMethod("chat.postMessage", slack.Error(code), 1)
		if _, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1")}); err != nil {
			t.Fatalf("%s: %v, want it told as text", code, err)
		}
		raw := string(w.Channel()[0].Raw)
		if strings.Contains(raw, "rich_text") || strings.Contains(raw, alertEvent) || !strings.Contains(raw, "web-07") || !strings.Contains(raw, "shut down") {
			t.Errorf("%s: the second attempt is %s, want text with the news and nothing else", code, raw)
		}
		w.FailMethod("chat.postMessage", slack.Error(code), -1)
		if _, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("2")}); class(err) != "refused" || !strings.Contains(err.Error(), code) {
			t.Errorf("%s as text too: %v, want it refused for good", code, err)
		}
	}
}

func TestBotReport(t *testing.T) {
	t.Parallel()
	s, w, _ := newBot(t)
	if last, err := s.LastReport(t.Context()); err != nil || !last.IsZero() {
		t.Errorf("LastReport = %v, %v, want none", last, err)
	}
	var r report.Report
	var all []lb.Backend
	for i := range 150 {
		all = append(all, lb.Backend{ID: fmt.Sprintf("ins-%03d", i), Name: fmt.Sprintf("web-%03d", i), Status: lb.Running, Weight: 10})
	}
	r = report.New(time.Now(), time.Second, watch.Survey{Standings: []watch.Standing{{
		CLB: web, Capacity: lb.Capacity{Running: 150, Total: 150, Weight: 1500, Serving: 1500}, Backends: all,
	}}}, time.Time{}, nil)
	start := time.Now().Add(-time.Second).Truncate(time.Second)
	if err := s.Report(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	posts := w.Channel()
	if len(posts) < 2 || slices.ContainsFunc(posts[1:], func(p slack.Post) bool { return p.Thread != posts[0].TS }) {
		t.Fatalf("the channel has %d messages, want the report and its pages in the thread", len(posts))
	}
	w.Say("thanks")
	if last, err := s.LastReport(t.Context()); err != nil || last.Before(start) || last.After(time.Now().Add(time.Second)) {
		t.Errorf("LastReport = %v, %v, want the time of the one just posted", last, err)
	}
	w.FailMethod("chat.postMessage", slack.Error("not_in_channel"), -1)
	if err := s.Report(t.Context(), r); class(err) != "not sent" {
		t.Errorf("Report: %v, want that it was not sent", err)
	}
}

func TestBotErrorsHoldNoToken(t *testing.T) {
	t.Parallel()
	s, w, _ := newBot(t)
	token := w.Token()
	s.cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("proxy says no to %s with %s", r.URL, token)
	})
	_, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1")})
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), token) {
			t.Errorf("the token is in %q", e)
		}
	}
	if err == nil {
		t.Error("Notify = nil")
	}
	// What the workspace echoes is cleaned too.
	s2, w2, _ := newBot(t)
	w2.FailMethod("chat.postMessage", slack.Error("bad "+w2.Token()), 1)
	if _, err := s2.Notify(t.Context(), watch.Delivery{Alert: bad("1")}); err == nil || strings.Contains(err.Error(), w2.Token()) {
		t.Errorf("Notify: %v, want an error without the token", err)
	}
}

func TestBotFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	s, w, _ := newBot(t)
	w.FailMethod("chat.postMessage", slack.Redirect("/elsewhere"), 1)
	if _, err := s.Notify(t.Context(), watch.Delivery{Alert: bad("1")}); class(err) != "not sent" || !strings.Contains(err.Error(), "SLACK_API_URL") {
		t.Errorf("Notify: %v, want that it was not sent, and the setting", err)
	}
}

func TestBotPostsOneMessageASecond(t *testing.T) {
	t.Parallel()
	s, _, c := newBot(t)
	for i := range 4 {
		if _, err := s.Notify(t.Context(), watch.Delivery{Alert: bad(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.slept) != 3 || c.slept[0] != time.Second {
		t.Errorf("slept %v between four messages, want a second each", c.slept)
	}
}
