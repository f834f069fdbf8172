package notifier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/sandbox/slack"
	"clbwatch/internal/watch"
)

const secret = "/services/T0AAAAAAA/B0BBBBBBB/sEcReTsEcReTsEcReTsEcReT"

// hook is a webhook that answers as told, one answer after the other; the last one stays.
type hook struct {
	mu      sync.Mutex
	answers []http.HandlerFunc
	posts   []string // bodies
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a broken post shows as a short body
	h.mu.Lock()
	h.posts = append(h.posts, r.Method+" "+string(body))
	answer := h.answers[0]
	if len(h.answers) > 1 {
		h.answers = h.answers[1:]
	}
	h.mu.Unlock()
	answer(w, r)
}

// sent are the posts so far.
func (h *hook) sent() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.posts)
}

func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client may be gone
	}
}

// testClock is a time that only sleeping moves.
type testClock struct {
	mu    sync.Mutex
	t     time.Time
	slept []time.Duration
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *testClock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func newSlack(t *testing.T, answers ...http.HandlerFunc) (*Slack, *hook, *testClock) {
	t.Helper()
	h := &hook{answers: answers}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c := &testClock{t: time.Now()} // contexts end in real time
	s, err := New(Config{WebhookURL: srv.URL + secret, Transport: &http.Transport{}, Now: c.now, Sleep: c.sleep})
	if err != nil {
		t.Fatal(err)
	}
	return s, h, c
}

func checkNoSecret(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	queue := []error{err}
	for len(queue) > 0 {
		e := queue[0]
		queue = queue[1:]
		for _, text := range []string{e.Error(), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e)} {
			for _, part := range []string{"sEcReT", "B0BBBBBBB", "T0AAAAAAA"} {
				if strings.Contains(text, part) {
					t.Fatalf("the secret is in %q", text)
				}
			}
		}
		if inner := errors.Unwrap(e); inner != nil {
			queue = append(queue, inner)
		}
		if joined, ok := any(e).(interface{ Unwrap() []error }); ok {
			queue = append(queue, joined.Unwrap()...)
		}
	}
}

// roundTripper is a Transport that tells nothing of its connections.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newBot(t *testing.T) (*Slack, *slack.Workspace, *testClock) {
	t.Helper()
	w := slack.New()
	w.Unlimited = true
	srv := httptest.NewServer(w)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	c := &testClock{t: time.Now()} // contexts end in real time
	s, err := New(Config{Token: w.Token(), Channel: w.ChannelID(), APIURL: w.APIURL(srv.URL),
		Transport: &http.Transport{}, Now: c.now, Sleep: c.sleep})
	if err != nil {
		t.Fatal(err)
	}
	return s, w, c
}

func TestNewRefusesBadURL(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ url, says string }{
		"not set":             {"", "nor SLACK_WEBHOOK_URL is set"},
		"not a url":           {"https://hooks.example/%zz" + secret, "is not a webhook's URL"},
		"control character":   {"https://hooks.example" + secret + "\x7f", "is not a webhook's URL"},
		"no host":             {secret, "is not a webhook's URL"},
		"no path":             {"https://sEcReT.example/", "is not a webhook's URL"},
		"in the clear":        {"http://hooks.example" + secret, "https://"},
		"another scheme":      {"ftp://127.0.0.1" + secret, "https://"},
		"looks like loopback": {"http://127.0.0.1.example" + secret, "https://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(Config{WebhookURL: tt.url})
			if err == nil || !strings.Contains(err.Error(), "SLACK_WEBHOOK_URL") ||
				!strings.Contains(err.Error(), tt.says) {
				t.Fatalf("New: %v, want SLACK_WEBHOOK_URL … %s", err, tt.says)
			}
			checkNoSecret(t, err)
		})
	}
	for _, u := range []string{"https://hooks.slack.com" + secret, "http://127.0.0.1:80" + secret,
		"http://[::1]:80" + secret, "http://localhost" + secret, " https://hooks.slack.com" + secret + "\n"} {
		if _, err := New(Config{WebhookURL: u}); err != nil {
			t.Errorf("New with %q: %v", strings.TrimSuffix(u, secret), err)
		}
	}
}

func TestCheckPostsNothingAndSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		says   string // "": alive
	}{
		"alive":                {says(400, "no_text"), ""},
		"alive in other words": {says(400, "invalid_payload"), ""},
		"revoked":              {says(404, "no_service"), "revoked"},
		"takes anything":       {says(200, "ok"), "empty message"},
		"not Slack":            {says(400, "<html>"), "answer 400"},
		"out of order":         {says(500, ""), "answer 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, h, _ := newSlack(t, tt.answer)
			err := s.Check(t.Context())
			checkNoSecret(t, err)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error()+advice.Of(err),
				tt.says) {
				t.Errorf("Check: %v, want %q", err, tt.says)
			}
			if len(h.sent()) != 1 || strings.Contains(h.sent()[0], "text") {
				t.Errorf("posted %q", h.sent())
			}
		})
	}
}

func TestBotCheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"invalid_auth": "SLACK_BOT_TOKEN", "missing_scope": "chat:write", "channel_not_found": "SLACK_CHANNEL",
		"not_in_channel": "/invite",
	} {
		s, w, _ := newBot(t)
		w.FailMethod("conversations.history", slack.Error(code), -1)
		err := s.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), code) || !strings.Contains(err.Error()+advice.Of(err),
			want) {
			t.Errorf("Check with %s: %v, do %q, want %q", code, err, advice.Of(err), want)
		}
	}
	s, w, _ := newBot(t)
	if err := s.Check(t.Context()); err != nil || len(w.Channel()) != 0 {
		t.Errorf("Check: %v, with %d messages, want all well and nothing posted", err, len(w.Channel()))
	}
	w.Leave()
	if err := s.Check(t.Context()); err == nil || !strings.Contains(advice.Of(err), "/invite") {
		t.Errorf("Check out of the channel: %v, do %q, want what to do", err, advice.Of(err))
	}
}

// whole is a report with a page in its thread.
func whole() report.Report {
	var all []lb.Backend
	for i := range 150 {
		all = append(all, lb.Backend{ID: fmt.Sprintf("ins-%03d", i), Name: fmt.Sprintf("web-%03d", i),
			Status: lb.Running, Weight: 10})
	}
	return report.New(time.Now(), time.Second, watch.Survey{Standings: []watch.Standing{{
		CLB: lb.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q", Label: "prod-web"}, Backends: all,
		Capacity: lb.Capacity{Running: 150, Total: 150, Weight: 1500, Serving: 1500},
	}}}, 24*time.Hour, nil)
}

func TestBotPostsAReportAndItsPages(t *testing.T) {
	t.Parallel()
	s, w, _ := newBot(t)
	if err := s.Report(t.Context(), whole()); err != nil {
		t.Fatal(err)
	}
	posts := w.Channel()
	if len(posts) < 2 || slices.ContainsFunc(posts[1:],
		func(p slack.Post) bool { return p.Thread != posts[0].TS }) {
		t.Fatalf("the channel has %d messages, want the report and its pages in the thread", len(posts))
	}
	if n := w.CallsOf("conversations.history"); n != 0 {
		t.Errorf("Slack was asked for its history %d times: a report asks it for nothing", n)
	}
	w.FailMethod("chat.postMessage", slack.Error("not_in_channel"), -1)
	if err := s.Report(t.Context(), whole()); err == nil || !strings.Contains(advice.Of(err), "/invite") {
		t.Errorf("Report: %v, do %q, want what to do", err, advice.Of(err))
	}
}

func TestWhatIsRefusedAsBlocksIsPostedAsText(t *testing.T) {
	t.Parallel()
	for name, post := range map[string]func(*Slack, context.Context) error{
		"report": func(s *Slack, ctx context.Context) error {
			return s.Report(ctx, report.Report{At: time.Unix(1795409616, 0)})
		},
		"test": (*Slack).Test,
		"trouble": func(s *Slack, ctx context.Context) error {
			return s.Trouble(ctx,
				errors.New("load state: damaged"))
		},
	} {
		s, h, _ := newSlack(t, says(400, "invalid_blocks"), says(200, "ok"))
		if err := post(s, t.Context()); err != nil {
			t.Errorf("%s: %v, want it posted as text", name, err)
		}
		if sent := h.sent(); len(sent) != 2 || !strings.Contains(sent[0], "rich_text") ||
			strings.Contains(sent[1], "rich_text") {
			t.Errorf("%s: %d posts, want blocks and then text", name, len(sent))
		}
		s, h, _ = newSlack(t, says(400, "invalid_blocks"))
		if err := post(s, t.Context()); err == nil || len(h.sent()) != 2 {
			t.Errorf("%s: %v after %d posts, want an error after both forms", name, err, len(h.sent()))
		}
	}
}

func TestTroubleSaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	s, w, _ := newBot(t)
	why := advice.Add(errors.New("load state: head 42: its checksum is wrong <!channel>"),
		"`clbwatch state` shows what is there")
	if err := s.Trouble(t.Context(), why); err != nil {
		t.Fatal(err)
	}
	raw := string(w.Channel()[0].Raw)
	for _, want := range []string{"clbwatch cannot work", "its checksum is wrong", "shows what is there"} {
		if !strings.Contains(raw, want) {
			t.Errorf("the message lacks %q: %s", want, raw)
		}
	}
	if r := w.Refused(); len(r) > 0 {
		t.Errorf("Slack refused %q", r)
	}
}

func TestOneMessageASecond(t *testing.T) {
	t.Parallel()
	s, h, c := newSlack(t, says(200, "ok"))
	for range 4 {
		if err := s.Test(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.sent()) != 4 || len(c.slept) != 3 || c.slept[0] != time.Second || c.slept[2] != time.Second {
		t.Errorf("%d posts, slept %v; want a second between each", len(h.sent()), c.slept)
	}
}

// TestNoErrorHoldsASecret tries what quotes the URL or the token: proxies, transports, Slack's own words.
func TestNoErrorHoldsASecret(t *testing.T) {
	t.Parallel()
	for name, transport := range map[string]http.RoundTripper{
		"a transport that quotes": roundTripper(func(r *http.Request) (*http.Response, error) {
			return nil,
				errors.New("post " + r.URL.String())
		}),
		"nested url errors": roundTripper(func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: io.ErrUnexpectedEOF}
		}),
		"a dialler that quotes": &http.Transport{DialContext: func(context.Context, string, string) (net.Conn,
			error) {
			return nil, errors.New("dial https://hooks.invalid" + secret)
		}},
	} {
		c := &testClock{t: time.Now()}
		s, err := New(Config{WebhookURL: "https://hooks.invalid" + secret, Transport: transport, Now: c.now,
			Sleep: c.sleep})
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{s.Test(t.Context()), s.Check(t.Context()),
			s.Trouble(t.Context(), errors.New("x"))} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
			checkNoSecret(t, err)
		}
	}
	s, w, _ := newBot(t)
	w.FailMethod("chat.postMessage", slack.Error("bad "+w.Token()), -1)
	if err := s.Test(t.Context()); err == nil || strings.Contains(err.Error(), w.Token()) {
		t.Errorf("Test: %v, want an error without the token", err)
	}
}

func ExampleSlack() {
	srv := httptest.NewServer(says(http.StatusNotFound, "no_service"))
	defer srv.Close()
	c := &testClock{t: time.Now()}
	s, err := New(Config{WebhookURL: srv.URL + "/services/secret", Now: c.now, Sleep: c.sleep})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.Report(context.Background(), report.Report{})
	fmt.Println(err)
	fmt.Println(advice.Of(err))
	// Output:
	// post to Slack: SLACK_WEBHOOK_URL: Slack says no_service
	// the webhook was revoked or turned off; make a new one in the Slack app's page Incoming Webhooks and set it
}
