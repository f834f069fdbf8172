package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/report"
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

// drops takes the post and answers with a closed connection.
func drops(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// endless answers until the client has had enough.
func endless(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := w.Write(make([]byte, 1<<10)); err != nil {
			return
		}
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

// class is what a tick decides by.
func class(err error) string {
	switch {
	case err == nil:
		return "delivered"
	case errors.Is(err, watch.ErrRefused) && errors.Is(err, watch.ErrNotSent):
		return "both"
	case errors.Is(err, watch.ErrRefused):
		return "refused"
	case errors.Is(err, watch.ErrNotSent):
		return "not sent"
	}
	return "unknown"
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

func TestNotify(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers []http.HandlerFunc
		class   string
		posts   int
		says    string // in the error
	}{
		"ok": {[]http.HandlerFunc{says(200, "ok")}, "delivered", 1, ""},

		"ok in other words":           {[]http.HandlerFunc{says(200, "<html>log in to the guest network</html>")}, "unknown", 1, "answer 200"},
		"ok and a newline":            {[]http.HandlerFunc{says(200, "ok\n")}, "unknown", 1, "answer 200"},
		"ok without a word":           {[]http.HandlerFunc{says(200, "")}, "unknown", 1, "answer 200"},
		"ok with far too much":        {[]http.HandlerFunc{says(200, strings.Repeat("ok", 1<<20))}, "unknown", 1, "answer 200"},
		"an answer without end":       {[]http.HandlerFunc{endless}, "unknown", 1, "answer 200"},
		"no content":                  {[]http.HandlerFunc{says(204, "")}, "unknown", 1, "answer 204"},
		"ok that breaks off":          {[]http.HandlerFunc{says(200, "ok", "Content-Length", "10")}, "unknown", 1, "broke off"},
		"200 with a refusal":          {[]http.HandlerFunc{says(200, "invalid_payload"), says(200, "ok")}, "delivered", 2, ""},
		"200 with a dead webhook":     {[]http.HandlerFunc{says(200, "no_service")}, "not sent", 1, "no_service"},
		"invalid blocks, text taken":  {[]http.HandlerFunc{says(400, "invalid_blocks"), says(200, "ok")}, "delivered", 2, ""},
		"too long, text taken":        {[]http.HandlerFunc{says(400, "msg_blocks_too_long"), says(200, "ok")}, "delivered", 2, ""},
		"too large, text taken":       {[]http.HandlerFunc{says(413, "<html>"), says(200, "ok")}, "delivered", 2, ""},
		"refused in both forms":       {[]http.HandlerFunc{says(400, "invalid_attachments")}, "refused", 2, "invalid_attachments"},
		"refused, then revoked":       {[]http.HandlerFunc{says(400, "invalid_blocks"), says(404, "no_service")}, "not sent", 2, "no_service"},
		"refused, then out of order":  {[]http.HandlerFunc{says(400, "invalid_blocks"), says(500, "rollup_error")}, "unknown", 2, "rollup_error"},
		"400 of a proxy, not Slack's": {[]http.HandlerFunc{says(400, "<html>bad request</html>")}, "not sent", 1, "answer 400"},

		"action prohibited": {[]http.HandlerFunc{says(403, "action_prohibited")}, "not sent", 1, "administrator"},
		"general closed":    {[]http.HandlerFunc{says(403, "posting_to_general_channel_denied")}, "not sent", 1, "administrator"},
		"wrong secret":      {[]http.HandlerFunc{says(403, "invalid_token")}, "not sent", 1, "copy it again"},
		"revoked":           {[]http.HandlerFunc{says(404, "no_service")}, "not sent", 1, "SLACK_WEBHOOK_URL: Slack says no_service: the webhook was revoked"},
		"revoked by id":     {[]http.HandlerFunc{says(404, "no_service_id")}, "not sent", 1, "make a new one"},
		"no active hooks":   {[]http.HandlerFunc{says(404, "no_active_hooks")}, "not sent", 1, "make a new one"},
		"no channel":        {[]http.HandlerFunc{says(404, "channel_not_found")}, "not sent", 1, "make a new webhook"},
		"no user":           {[]http.HandlerFunc{says(404, "user_not_found")}, "not sent", 1, "make a new webhook"},
		"no team":           {[]http.HandlerFunc{says(404, "no_team")}, "not sent", 1, "workspace"},
		"team disabled":     {[]http.HandlerFunc{says(404, "team_disabled")}, "not sent", 1, "workspace"},
		"channel archived":  {[]http.HandlerFunc{says(410, "channel_is_archived")}, "not sent", 1, "archived"},
		"404 of a stranger": {[]http.HandlerFunc{says(404, "404 page not found: "+secret)}, "not sent", 1, "answer 404"},
		"secret as a word":  {[]http.HandlerFunc{says(403, "no such "+secret)}, "not sent", 1, "answer 403"},

		"moved":            {[]http.HandlerFunc{says(302, "", "Location", "/elsewhere")}, "not sent", 1, "redirect"},
		"moved, post kept": {[]http.HandlerFunc{says(307, "", "Location", secret+"x")}, "not sent", 1, "redirect"},
		"moved to nowhere": {[]http.HandlerFunc{says(301, "", "Location", ":%"+secret)}, "not sent", 1, "redirect"},

		"rollup error":              {[]http.HandlerFunc{says(500, "rollup_error")}, "unknown", 1, "rollup_error"},
		"out of service":            {[]http.HandlerFunc{says(503, "<html>"+secret)}, "unknown", 1, "answer 503"},
		"taken but the answer lost": {[]http.HandlerFunc{drops}, "unknown", 1, "may have the message"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, h, _ := newSlack(t, tt.answers...)
			_, err := s.Notify(t.Context(), watch.Delivery{Alert: alerts()["one-down"]})
			checkNoSecret(t, err)
			if got := class(err); got != tt.class || len(h.sent()) != tt.posts {
				t.Fatalf("%s after %d posts (%v), want %s after %d", got, len(h.sent()), err, tt.class, tt.posts)
			}
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q does not say %q", err, tt.says)
			}
			for _, p := range h.sent() {
				if !strings.HasPrefix(p, "POST {") {
					t.Errorf("sent %q", p)
				}
			}
		})
	}
}

func TestTextOnlyAfterRefusalHasTheNewsAndNoBlocks(t *testing.T) {
	t.Parallel()
	s, h, _ := newSlack(t, says(400, "invalid_blocks"), says(200, "ok"))
	if _, err := s.Notify(t.Context(), watch.Delivery{Alert: alerts()["six-on-two"]}); err != nil {
		t.Fatal(err)
	}
	var rich, text map[string]any
	for i, m := range []*map[string]any{&rich, &text} {
		if err := json.Unmarshal([]byte(strings.TrimPrefix(h.sent()[i], "POST ")), m); err != nil {
			t.Fatal(err)
		}
	}
	if rich["blocks"] == nil || rich["attachments"] == nil || rich["unfurl_links"] != false || rich["unfurl_media"] != false {
		t.Errorf("first post %v", rich)
	}
	if s, _ := text["text"].(string); text["blocks"] != nil || text["attachments"] != nil || !strings.Contains(s, "api-02  10.0.5.5  left running: returned (5): will not come back") {
		t.Errorf("second post %v", text)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after   []string         // Retry-After header
		last    http.HandlerFunc // the answer after the wait
		timeout time.Duration    // of ctx; 0: none
		class   string
		slept   time.Duration
	}{
		"seconds":                 {[]string{"Retry-After", "3"}, says(200, "ok"), 0, "delivered", 3 * time.Second},
		"ten seconds":             {[]string{"Retry-After", "10"}, says(200, "ok"), time.Hour, "delivered", 10 * time.Second},
		"not said":                {nil, says(200, "ok"), 0, "delivered", time.Second},
		"nonsense":                {[]string{"Retry-After", "soon"}, says(200, "ok"), 0, "delivered", time.Second},
		"too long":                {[]string{"Retry-After", "11"}, says(200, "ok"), 0, "not sent", 0},
		"absurd":                  {[]string{"Retry-After", "999999999999"}, says(200, "ok"), 0, "not sent", 0},
		"beyond the deadline":     {[]string{"Retry-After", "9"}, says(200, "ok"), 9 * time.Second, "not sent", 0},
		"again":                   {[]string{"Retry-After", "2"}, says(429, "", "Retry-After", "2"), 0, "not sent", 2 * time.Second},
		"then out of order":       {[]string{"Retry-After", "2"}, says(500, "rollup_error"), 0, "unknown", 2 * time.Second},
		"then the answer is lost": {[]string{"Retry-After", "2"}, drops, 0, "unknown", 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, h, c := newSlack(t, says(429, "rate_limited", tt.after...), tt.last)
			ctx := t.Context()
			if tt.timeout > 0 {
				var cancel func()
				ctx, cancel = context.WithTimeout(ctx, tt.timeout)
				defer cancel()
			}
			_, err := s.Notify(ctx, watch.Delivery{Alert: alerts()["one-down"]})
			checkNoSecret(t, err)
			var slept time.Duration
			for _, d := range c.slept {
				slept += d
			}
			if got := class(err); got != tt.class || slept != tt.slept || len(h.sent()) > 2 {
				t.Errorf("%s, slept %v, %d posts (%v); want %s, slept %v", got, slept, len(h.sent()), err, tt.class, tt.slept)
			}
		})
	}
	t.Run("until a date", func(t *testing.T) {
		t.Parallel()
		s, _, c := newSlack(t, says(429, ""), says(200, "ok"))
		c.t = time.Date(2026, 11, 23, 4, 53, 36, 0, time.UTC)
		x := &exchange{header: http.Header{"Retry-After": {"Mon, 23 Nov 2026 04:53:40 GMT"}}}
		if got := x.retryAfter(s.cfg.Now()); got != 4*time.Second {
			t.Errorf("wait %v, want 4s", got)
		}
	})
}

func TestOneMessageASecond(t *testing.T) {
	t.Parallel()
	s, h, c := newSlack(t, says(200, "ok"))
	for range 4 {
		if err := s.Test(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Report(t.Context(), report.Report{At: at(4, 53)}); err != nil {
		t.Fatal(err)
	}
	if len(h.sent()) != 5 || len(c.slept) != 4 || c.slept[0] != time.Second || c.slept[3] != time.Second {
		t.Errorf("%d posts, slept %v; want a second between each", len(h.sent()), c.slept)
	}
}

func TestContextThatIsOverPostsNothing(t *testing.T) {
	t.Parallel()
	s, h, _ := newSlack(t, says(200, "ok"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Notify(ctx, watch.Delivery{Alert: alerts()["one-down"]}); class(err) != "not sent" || len(h.sent()) != 0 {
		t.Errorf("%v after %d posts, want not sent after none", err, len(h.sent()))
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, h, _ := newSlack(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel() // the deadline comes while Slack has the message
		<-r.Context().Done()
	})
	_, err := s.Notify(ctx, watch.Delivery{Alert: alerts()["one-down"]})
	checkNoSecret(t, err)
	if class(err) != "unknown" || !errors.Is(err, context.Canceled) || len(h.sent()) != 1 {
		t.Errorf("%v after %d posts, want unknown after one", err, len(h.sent()))
	}
}

// roundTripper is a Transport that tells nothing of its connections.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNoConnection(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	selfSigned := httptest.NewUnstartedServer(http.NotFoundHandler())
	selfSigned.Config.ErrorLog = log.New(io.Discard, "", 0)
	selfSigned.StartTLS()
	defer selfSigned.Close()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no way to "+r.URL.String()+secret, http.StatusForbidden)
	}))
	defer proxy.Close()
	proxyURL, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(err error) *http.Transport {
		return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}
	}
	for name, tt := range map[string]struct {
		url       string
		transport http.RoundTripper
		class     string
	}{
		"nobody listens":            {closed.URL, &http.Transport{}, "not sent"},
		"no such name":              {"https://hooks.invalid", dial(&net.DNSError{Err: "no such host", Name: "hooks.invalid", IsNotFound: true}), "not sent"},
		"no route":                  {"https://hooks.invalid", dial(&net.OpError{Op: "dial", Err: errors.New("network is unreachable")}), "not sent"},
		"certificate not trusted":   {selfSigned.URL, &http.Transport{}, "not sent"},
		"proxy says no":             {"https://hooks.invalid", &http.Transport{Proxy: http.ProxyURL(proxyURL)}, "not sent"},
		"error that quotes the url": {"https://hooks.invalid", dial(errors.New("dial https://hooks.invalid" + secret)), "not sent"},
		"transport that tells not":  {"https://hooks.invalid", roundTripper(func(r *http.Request) (*http.Response, error) { return nil, errors.New("post " + r.URL.String()) }), "unknown"},
		"nested url errors": {"https://hooks.invalid", roundTripper(func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: io.ErrUnexpectedEOF}
		}), "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &testClock{t: time.Now()}
			s, err := New(Config{WebhookURL: tt.url + secret, Transport: tt.transport, Now: c.now, Sleep: c.sleep})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Notify(t.Context(), watch.Delivery{Alert: alerts()["one-down"]})
			checkNoSecret(t, err)
			if got := class(err); got != tt.class {
				t.Errorf("%s (%v), want %s", got, err, tt.class)
			}
		})
	}
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
			if err == nil || !strings.Contains(err.Error(), "SLACK_WEBHOOK_URL") || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("New: %v, want SLACK_WEBHOOK_URL … %s", err, tt.says)
			}
			checkNoSecret(t, err)
		})
	}
	for _, u := range []string{"https://hooks.slack.com" + secret, "http://127.0.0.1:80" + secret, "http://[::1]:80" + secret, "http://localhost" + secret, " https://hooks.slack.com" + secret + "\n"} {
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
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Check: %v, want %q", err, tt.says)
			}
			if len(h.sent()) != 1 || strings.Contains(h.sent()[0], "text") {
				t.Errorf("posted %q", h.sent())
			}
		})
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
	fmt.Println(errors.Is(err, watch.ErrNotSent))
	fmt.Println(err)
	// Output:
	// true
	// message not sent: SLACK_WEBHOOK_URL: Slack says no_service: the webhook was revoked or turned off; make a new one in the Slack app's page Incoming Webhooks and set it
}
