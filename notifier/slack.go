package notifier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/watch"
	"clbwatch/notifier/message"
)

// Config says where messages go: to a channel by bot, if Token is set, else to a webhook. Both are secrets.
type Config struct {
	WebhookURL string // of an incoming webhook; https, or http to this machine
	Token      string // of a bot
	Channel    string // the ID of its channel
	APIURL     string // of the Web API, such as https://slack.com/api/

	Style     message.Style
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

// Report posts a report. Its errors are those of Notify.
func (s *Slack) Report(ctx context.Context, r report.Report) error {
	if s.bot() {
		return s.postReport(ctx, r)
	}
	return s.send(ctx, ReportMessage(r))
}

// Test posts one message saying that alerts will arrive here. Its errors are those of Notify.
func (s *Slack) Test(ctx context.Context) error {
	m := testMessage(s.cfg.Now())
	if s.bot() {
		_, err := s.say(ctx, incident.Receipt{Route: s.Route()}, m, slack.SlackMetadata{EventType: "clbwatch_test", EventPayload: map[string]any{}})
		return err
	}
	return s.send(ctx, m)
}

// Trouble posts that clbwatch cannot work, and why. Its errors are those of Report.
func (s *Slack) Trouble(ctx context.Context, why error) error {
	m := troubleMessage(why)
	if s.bot() {
		_, err := s.say(ctx, incident.Receipt{Route: s.Route()}, m, slack.SlackMetadata{EventType: "clbwatch_trouble", EventPayload: map[string]any{}})
		return err
	}
	return s.send(ctx, m)
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
		return fmt.Errorf("%w, as blocks and as text: %w", errRefused, text)
	}
	return text
}

// post posts once and, if Slack asks to wait for a time that ctx has left, once more.
func (s *Slack) post(ctx context.Context, m *slack.WebhookMessage) error {
	return s.patiently(ctx, func() error { return s.postOnce(ctx, m) })
}

// postOnce posts at most once. nil means that Slack said ok.
func (s *Slack) postOnce(ctx context.Context, m *slack.WebhookMessage) error {
	if err := s.keepPace(ctx); err != nil {
		return fmt.Errorf("%w: wait to post to Slack: %w", errNotSent, err)
	}
	x, client := s.exchange(maxAnswer)
	err := slack.PostWebhookCustomHTTPContext(x.trace(ctx), s.cfg.WebhookURL, client, m)
	if x.status == 0 {
		return s.unanswered(x, err)
	}
	// slack-go has not read the answer and says ok to what is none; x knows.
	return s.redact(x.verdict(s.cfg.Now()))
}

// verdict is what the answer means (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
func (x *exchange) verdict(now time.Time) error {
	switch code := x.code(); {
	case x.status == http.StatusOK && string(x.body) == "ok" && x.broken == nil:
		return nil
	case x.status == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %w", errNotSent, &rateLimited{x.retryAfter(now)})
	case x.status >= 300 && x.status < 400:
		return fmt.Errorf("%w: SLACK_WEBHOOK_URL answers with a redirect (%d), which no Slack webhook does; copy it again", errNotSent, x.status)
	case x.status < 500 && webhookAdvice(code) != "": // of a 5xx nothing is certain
		return fmt.Errorf("%w: SLACK_WEBHOOK_URL: Slack says %s: %s", errNotSent, code, webhookAdvice(code))
	case x.status == http.StatusBadRequest && code != "", x.status == http.StatusRequestEntityTooLarge, x.status == http.StatusOK && contentCode(code):
		return fmt.Errorf("%w: %s", errContent, x)
	case x.status >= 400 && x.status < 500:
		return fmt.Errorf("%w: SLACK_WEBHOOK_URL: %s; if it lasts, make a new webhook and set it", errNotSent, x)
	case x.broken != nil:
		return fmt.Errorf("post to Slack, which may have the message: the answer broke off: %w", x.broken)
	default:
		return fmt.Errorf("post to Slack, which may have the message: %s", x)
	}
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
