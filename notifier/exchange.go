package notifier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"clbwatch/internal/incident"
)

// Bounds of one call.
const (
	pace        = time.Second      // Slack takes about one message a second and channel
	maxWait     = 10 * time.Second // the longest Retry-After waited for; a longer one is the next tick's
	othersWait  = 2 * time.Second  // the same where other channels would wait, too
	postTimeout = 15 * time.Second // for callers whose context has no deadline
	maxAnswer   = 512              // bytes of a webhook's answer that are read; Slack's are one word
	// maxAPIAnswer is how many bytes of an answer of the Web API are read: a page of the history, with the
	// largest messages.
	maxAPIAnswer = 8 << 20
)

// patiently makes a call and, if Slack asks to wait for a time that ctx has left, once more.
func (s *Slack) patiently(ctx context.Context, call func() error) error {
	err := call()
	var limited *rateLimited
	most := maxWait
	if len(s.cfg.Others) > 0 {
		most = othersWait
	}
	if !errors.As(err, &limited) || limited.wait > most {
		return err
	}
	if end, ok := ctx.Deadline(); ok && s.cfg.Now().Add(limited.wait).After(end.Add(-time.Second)) {
		return err
	}
	if s.cfg.Sleep(ctx, limited.wait) != nil {
		return err
	}
	return call()
}

// rateLimited is answer 429.
type rateLimited struct{ wait time.Duration }

func (e *rateLimited) Error() string {
	return fmt.Sprintf("Slack asks to wait for %v; the next tick tries again", e.wait)
}

// exchange returns a client for one call, and what keeps its answer.
func (s *Slack) exchange(limit int64) (*exchange, *http.Client) {
	x := &exchange{next: s.cfg.Transport, limit: limit, conceal: s.conceal}
	return x, straight(x, postTimeout)
}

// straight is a client that follows no redirect, which would turn a post into an empty GET and look like
// success.
func straight(transport http.RoundTripper, timeout time.Duration) *http.Client {
	return &http.Client{Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// unquoted is an error without the URL that net/http puts around it, which is a secret.
func unquoted(err error) error {
	for u := (*url.Error)(nil); errors.As(err, &u); {
		err = u.Err
	}
	return err
}

// keepPace waits until a second after the last post on the same route.
func (s *Slack) keepPace(ctx context.Context, route incident.Route) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	now := s.cfg.Now()
	wait := max(s.next[route].Sub(now), 0)
	s.next[route] = now.Add(wait + pace)
	s.mu.Unlock()
	if wait == 0 {
		return nil
	}
	return s.cfg.Sleep(ctx, wait)
}

// redact is the last line of defence: of an error that holds a secret it gives up the chain, and the secret
// with it.
func (s *Slack) redact(err error) error {
	if err == nil {
		return nil
	}
	text := s.conceal(err.Error())
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// conceal is a text without the secrets. What an answer says is concealed before it is cut short, and again
// at the end.
func (s *Slack) conceal(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	return text
}

// exchange is the transport of one post. It keeps what slack-go drops: the answer, and how far the post got.
type exchange struct {
	next  http.RoundTripper
	limit int64 // bytes of the answer that are read

	conceal func(string) string // takes the secrets out of a text

	status int // 0: no answer
	header http.Header
	body   []byte
	broken error // the answer broke off

	asked, connected atomic.Bool
}

// trace notes in x whether a connection was asked for, and whether there was one to send on.
func (x *exchange) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { x.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { x.connected.Store(true) },
	})
}

// unsent reports whether the post certainly never left: no name, no route, no TLS, no proxy. A Transport that
// does not say is taken to have sent it.
func (x *exchange) unsent() bool { return x.asked.Load() && !x.connected.Load() }

// RoundTrip keeps the beginning of the answer and hands it on.
func (x *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := x.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, x.limit))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	x.status, x.header, x.body, x.broken = resp.StatusCode, resp.Header, body, err
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// code is Slack's word for what is wrong; "" if the answer is no such word, as a proxy's page is not.
func (x *exchange) code() string { return errorCode(string(x.body[:min(len(x.body), maxAnswer)])) }

// errorCode is a text that may be one of Slack's words for what is wrong; "" if it cannot be.
func errorCode(code string) string {
	code = strings.TrimSpace(code)
	if len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return code
}

// String describes the answer without quoting text that is not Slack's.
func (x *exchange) String() string {
	if code := x.code(); code != "" {
		return fmt.Sprintf("answer %d %s", x.status, code)
	}
	return fmt.Sprintf("answer %d without a word of Slack's", x.status)
}

// retryAfter is how long Slack asks to wait: seconds or a date, and if it does not say, the usual pace.
func (x *exchange) retryAfter(now time.Time) time.Duration {
	after := x.header.Get("Retry-After")
	if n, err := strconv.Atoi(after); err == nil && n >= 0 {
		return time.Duration(min(n, 24*3600)) * time.Second
	}
	if at, err := http.ParseTime(after); err == nil {
		return max(at.Sub(now), 0)
	}
	return pace
}
