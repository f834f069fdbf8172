package slack

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"clbwatch/internal/sandbox"
)

const (
	maxAnswer = 1 << 20 // bytes of an app's answer that are read

	headerTime = "X-Slack-Request-Timestamp"
	headerSign = "X-Slack-Signature"
)

// Request is a request to the app's request URL. A test may alter a Clone of it, sign it anew or not, and
// send it.
type Request struct {
	URL    string
	Header http.Header
	Body   []byte
}

// Clone returns a copy that shares nothing with r.
func (r Request) Clone() Request {
	return Request{URL: r.URL, Header: r.Header.Clone(), Body: slices.Clone(r.Body)}
}

// Sign sets the headers with which Slack proves that it sent the body at that time. Source:
// docs.slack.dev/authentication/verifying-requests-from-slack.
func (r Request) Sign(secret string, at time.Time) {
	r.signAs(secret, strconv.FormatInt(at.Unix(), 10))
}

func (r Request) signAs(secret, at string) {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "v0:%s:%s", at, r.Body) // a hash takes whatever it is given
	r.Header.Set(headerTime, at)
	r.Header.Set(headerSign, "v0="+hex.EncodeToString(mac.Sum(nil)))
}

// Padded returns the request with a field more in its form, so that the body has n bytes, such as 6 MB. It is
// not signed anew.
func (r Request) Padded(n int) Request {
	r = r.Clone()
	if fill := n - len(r.Body) - len("&pad="); fill >= 0 {
		r.Body = append(append(r.Body, "&pad="...), bytes.Repeat([]byte("x"), fill)...)
	}
	return r
}

// HTTP is the request for an HTTP client, or for a handler that is called without one.
func (r Request) HTTP(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("make a request to the app: %w", err)
	}
	req.Header = r.Header.Clone()
	return req, nil
}

// Response is what an app answered.
type Response struct {
	Status int
	Header http.Header
	Body   []byte        // at most 1 MB
	Took   time.Duration // by the real clock
}

// Send sends a request as it stands, and shows nobody what the app answers. The time limit is that of ctx.
func (s *Workspace) Send(ctx context.Context, r Request) (Response, error) {
	req, err := r.HTTP(ctx)
	if err != nil {
		return Response{}, err
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return Response{}, fmt.Errorf("call the app: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Response{}, fmt.Errorf("read the app's answer: %w", err)
	}
	return Response{Status: resp.StatusCode, Header: resp.Header, Body: body, Took: time.Since(start)}, nil
}

// Last is the last request that a Command or a Click sent. It reports false if there was none.
func (s *Workspace) Last() (Request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return Request{}, false
	}
	return s.last.Clone(), true
}

// Replay sends the bytes and headers of the last Command or Click once more, as somebody does who listened.
// Nobody is shown the answer.
func (s *Workspace) Replay(ctx context.Context) (Response, error) {
	r, ok := s.Last()
	if !ok {
		return Response{}, errors.New("replay: nothing was sent yet")
	}
	return s.Send(ctx, r)
}

// Forgery is a request that an app must not believe.
type Forgery struct {
	Name    string
	Request Request
}

// Forgeries are requests made from a good one that is not Slack's, or not of now, by Clock.
func (s *Workspace) Forgeries(good Request) []Forgery {
	now := s.Clock()
	sign := func(secret string, ago time.Duration) func(*Request) {
		return func(r *Request) { r.Sign(secret, now.Add(-ago)) }
	}
	set := func(header string, value func(was string) string) func(*Request) {
		return func(r *Request) { r.Header.Set(header, value(r.Header.Get(header))) }
	}
	var all []Forgery
	for _, f := range []struct {
		name  string
		alter func(*Request)
	}{
		{"first byte changed", func(r *Request) { r.Body[0] ^= 1 }},
		{"last byte changed", func(r *Request) { r.Body[len(r.Body)-1] ^= 1 }},
		{"a field more", func(r *Request) { r.Body = append(r.Body, "&user_id=U0MALLORY"...) }},
		{"no body", func(r *Request) { r.Body = nil }},
		{"another secret", sign(sandbox.RandomHex(16), 0)},
		{"an empty secret", sign("", 0)},
		{"of 6 minutes ago", sign(s.secret, 6*time.Minute)},
		{"of 6 minutes ahead", sign(s.secret, -6*time.Minute)},
		{"of 1970", func(r *Request) { r.Sign(s.secret, time.Unix(0, 0)) }},
		{"time changed", func(r *Request) {
			was := r.Header.Get(headerSign)
			r.Sign(s.secret, now.Add(-time.Second))
			if r.Header.Get(headerSign) == was { // it was of a second ago
				r.Sign(s.secret, now)
			}
			r.Header.Set(headerSign, was)
		}},
		{"time that is no number", func(r *Request) { r.signAs(s.secret, "now") }},
		{"time that is empty", func(r *Request) { r.signAs(s.secret, "") }},
		{"no time", func(r *Request) { r.Header.Del(headerTime) }},
		{"no signature", func(r *Request) { r.Header.Del(headerSign) }},
		{"empty signature", set(headerSign, func(string) string { return "" })},
		{"signature without digits", set(headerSign, func(string) string { return "v0=" })},
		{"half a signature", set(headerSign, func(was string) string { return was[:len(was)/2] })},
		{"signature and more", set(headerSign, func(was string) string { return was + "00" })},
		{"signature of another version", set(headerSign, func(was string) string {
			return strings.Replace(was, "v0=", "v1=", 1)
		})},
		{"signature that is not hex", set(headerSign, func(was string) string {
			return was[:len(was)-1] + "x"
		})},
	} {
		r := good.Clone()
		f.alter(&r)
		all = append(all, Forgery{f.name, r})
	}
	return all
}
