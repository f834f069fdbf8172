package notifier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slack-go/slack"

	"clbwatch/internal/report"
	"clbwatch/internal/watch"
	"clbwatch/notifier/message"
)

// Bounds of one post.
const (
	pace        = time.Second      // Slack takes about one message a second and channel
	maxWait     = 10 * time.Second // the longest Retry-After that is waited for here; a longer one is the next tick's
	postTimeout = 15 * time.Second // for callers whose context has no deadline
	maxAnswer   = 512              // bytes of a webhook's answer that are read; Slack's are one word
	// maxAPIAnswer is how many bytes of an answer of the Web API are read: a page of the history, with the largest messages.
	maxAPIAnswer = 8 << 20
)

// Config says where messages go: to a channel by bot, if Token is set, else to a webhook. Both are secrets.
type Config struct {
	WebhookURL string // of an incoming webhook; https, or http to this machine
	Token      string // of a bot
	Channel    string // the ID of its channel
	APIURL     string // of the Web API, such as https://slack.com/api/

	Style     Style
	Transport http.RoundTripper // nil: http.DefaultTransport
	Now       func() time.Time  // the clock
	// Sleep waits for d or until ctx ends, whose error it then returns.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Slack posts to one channel, by bot or by incoming webhook. It may be used from several goroutines.
type Slack struct {
	cfg     Config
	secrets []string // what no error may contain

	mu   sync.Mutex
	next time.Time // when the next post may go out
}

var _ watch.Notifier = (*Slack)(nil)

// New returns a Slack for the bot or, without one, the webhook. An error names the setting and never its value.
func New(c Config) (*Slack, error) {
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Token != "" {
		return &Slack{cfg: c, secrets: []string{c.Token, url.QueryEscape(c.Token)}}, nil
	}
	u, err := url.Parse(strings.TrimSpace(c.WebhookURL))
	switch {
	case c.WebhookURL == "":
		return nil, errors.New("neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set; see README, Settings")
	case err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") == "":
		// err is dropped: url.Parse quotes the URL.
		return nil, errors.New("SLACK_WEBHOOK_URL is not a webhook's URL; copy it from the Slack app's page Incoming Webhooks")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, errors.New("SLACK_WEBHOOK_URL must begin with https://, or its secret would travel in the clear")
	}
	c.WebhookURL = u.String()
	s := &Slack{cfg: c, secrets: []string{c.WebhookURL, u.RequestURI(), u.Path}}
	if last := u.Path[strings.LastIndex(u.Path, "/")+1:]; len(last) >= 8 {
		s.secrets = append(s.secrets, last)
	}
	return s, nil
}

func (s *Slack) bot() bool { return s.cfg.Token != "" }

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Notify posts one alert. A bot threads later news of an incident and posts no alert twice, however often it is told to;
// a webhook tells no more than that it took the message, so the Receipt is empty.
func (s *Slack) Notify(ctx context.Context, d watch.Delivery) (watch.Receipt, error) {
	if s.bot() {
		return s.deliver(ctx, d)
	}
	return watch.Receipt{}, s.send(ctx, AlertMessage(d.Alert, s.cfg.Style))
}

// Report posts a report. Its errors are those of Notify.
func (s *Slack) Report(ctx context.Context, r report.Report) error {
	if s.bot() {
		return s.postReport(ctx, r)
	}
	return s.send(ctx, rendered(message.Report(r, message.Style{})))
}

// Test posts one message saying that alerts will arrive here. Its errors are those of Notify.
func (s *Slack) Test(ctx context.Context) error {
	m := rendered(message.Test(s.cfg.Now(), message.Style{}))
	if s.bot() {
		_, err := s.say(ctx, watch.Receipt{Channel: s.cfg.Channel}, m, slack.SlackMetadata{EventType: "clbwatch_test", EventPayload: map[string]any{}})
		return err
	}
	return s.send(ctx, m)
}

// rendered is a message of the renderer in the form in which alerts are sent.
func rendered(m message.Message) Message {
	return Message{Text: m.Text, Blocks: m.Blocks, Attachment: m.Attachment, Plain: m.Plain}
}

// Check asks whether messages would be taken, without posting any: a bot is asked what it may do, a webhook is sent an
// empty message, which a live one refuses as such.
func (s *Slack) Check(ctx context.Context) error {
	if s.bot() {
		return s.checkBot(ctx)
	}
	switch err := s.post(ctx, &slack.WebhookMessage{}); {
	case errors.Is(err, errContent):
		return nil
	case err == nil:
		return errors.New("SLACK_WEBHOOK_URL: an empty message was taken, which Slack would refuse; check that it is a Slack webhook")
	default:
		return err
	}
}

// errContent says that the message itself was refused, not the webhook.
var errContent = errors.New("the message was refused")

// send posts the message and, if Slack does not like its looks, once more as text, so that people have it.
func (s *Slack) send(ctx context.Context, m Message) error {
	err := s.post(ctx, m.webhook())
	if !errors.Is(err, errContent) {
		return err
	}
	text := s.post(ctx, m.textOnly())
	if errors.Is(text, errContent) {
		return fmt.Errorf("%w, as blocks and as text: %w", watch.ErrRefused, text)
	}
	return text
}

// post posts once and, if Slack asks to wait for a time that ctx has left, once more.
func (s *Slack) post(ctx context.Context, m *slack.WebhookMessage) error {
	return s.patiently(ctx, func() error { return s.postOnce(ctx, m) })
}

// patiently makes a call and, if Slack asks to wait for a time that ctx has left, once more.
func (s *Slack) patiently(ctx context.Context, call func() error) error {
	err := call()
	var limited *rateLimited
	if !errors.As(err, &limited) || limited.wait > maxWait {
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

// postOnce posts at most once. nil means that Slack said ok.
func (s *Slack) postOnce(ctx context.Context, m *slack.WebhookMessage) error {
	if err := s.keepPace(ctx); err != nil {
		return fmt.Errorf("%w: wait to post to Slack: %w", watch.ErrNotSent, err)
	}
	x, client := s.exchange(maxAnswer)
	err := slack.PostWebhookCustomHTTPContext(x.trace(ctx), s.cfg.WebhookURL, client, m)
	if x.status == 0 {
		return s.unanswered(x, err)
	}
	// slack-go has not read the answer and says ok to what is none; x knows.
	return s.redact(x.verdict(s.cfg.Now()))
}

// exchange returns a client for one call, and what keeps its answer.
func (s *Slack) exchange(limit int64) (*exchange, *http.Client) {
	x := &exchange{next: s.cfg.Transport, limit: limit, conceal: s.conceal}
	return x, &http.Client{
		Transport: x,
		Timeout:   postTimeout,
		// A followed redirect would turn the post into an empty GET and look like success.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// unanswered is what became of a call that got no answer.
func (s *Slack) unanswered(x *exchange, err error) error {
	// An *url.Error quotes the whole URL; what it wraps does not.
	for u := (*url.Error)(nil); errors.As(err, &u); {
		err = u.Err
	}
	if x.unsent() {
		return s.redact(fmt.Errorf("%w: no connection to Slack: %w", watch.ErrNotSent, err))
	}
	return s.redact(fmt.Errorf("post to Slack, which may have the message: %w", err))
}

// keepPace waits until a second after the last post.
func (s *Slack) keepPace(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	now := s.cfg.Now()
	wait := max(s.next.Sub(now), 0)
	s.next = now.Add(wait + pace)
	s.mu.Unlock()
	if wait == 0 {
		return nil
	}
	return s.cfg.Sleep(ctx, wait)
}

// redact is the last line of defence: it gives up the chain of an error that holds a secret, and the secret with it.
func (s *Slack) redact(err error) error {
	if err == nil {
		return nil
	}
	text := s.conceal(err.Error())
	if text == err.Error() {
		return err
	}
	if errors.Is(err, watch.ErrNotSent) {
		return fmt.Errorf("%w (%s)", watch.ErrNotSent, text)
	}
	return errors.New(text)
}

// conceal is a text without the secrets. What an answer says is concealed before it is cut short, and again at the end.
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

// unsent reports whether the post certainly never left: no name, no route, no TLS, no proxy. A Transport that does not
// tell is taken to have sent it.
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

// verdict is what the answer means (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
func (x *exchange) verdict(now time.Time) error {
	switch code := x.code(); {
	case x.status == http.StatusOK && string(x.body) == "ok" && x.broken == nil:
		return nil
	case x.status == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %w", watch.ErrNotSent, &rateLimited{x.retryAfter(now)})
	case x.status >= 300 && x.status < 400:
		return fmt.Errorf("%w: SLACK_WEBHOOK_URL answers with a redirect (%d), which no Slack webhook does; copy it again", watch.ErrNotSent, x.status)
	case x.status < 500 && webhookAdvice(code) != "": // of a 5xx nothing is certain
		return fmt.Errorf("%w: SLACK_WEBHOOK_URL: Slack says %s: %s", watch.ErrNotSent, code, webhookAdvice(code))
	case x.status == http.StatusBadRequest && code != "", x.status == http.StatusRequestEntityTooLarge, x.status == http.StatusOK && contentCode(code):
		return fmt.Errorf("%w: %s", errContent, x)
	case x.status >= 400 && x.status < 500:
		return fmt.Errorf("%w: SLACK_WEBHOOK_URL: %s; if it lasts, make a new webhook and set it", watch.ErrNotSent, x)
	case x.broken != nil:
		return fmt.Errorf("post to Slack, which may have the message: the answer broke off: %w", x.broken)
	default:
		return fmt.Errorf("post to Slack, which may have the message: %s", x)
	}
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

// contentCode reports whether the code is about the message.
func contentCode(code string) bool {
	switch code {
	case "invalid_payload", "invalid_blocks", "invalid_attachments", "no_text", "too_many_attachments", "msg_blocks_too_long":
		return true
	}
	return false
}

// webhookAdvice is what to do about a webhook that takes no message; "" for other codes.
func webhookAdvice(code string) string {
	switch code {
	case "no_service", "no_service_id", "no_active_hooks":
		return "the webhook was revoked or turned off; make a new one in the Slack app's page Incoming Webhooks and set it"
	case "invalid_token":
		return "the secret in it is wrong; copy it again from the Slack app's page Incoming Webhooks"
	case "no_team", "team_disabled":
		return "its workspace is gone or turned off; make a webhook in another one and set it"
	case "channel_not_found", "user_not_found":
		return "what it posted to is gone; make a new webhook and set it"
	case "channel_is_archived":
		return "its channel is archived; bring the channel back, or make a webhook for another one and set it"
	case "action_prohibited", "posting_to_general_channel_denied":
		return "an administrator forbids posting there; ask them, or make a webhook for another channel and set it"
	}
	return ""
}
