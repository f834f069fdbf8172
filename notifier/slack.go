// Package notifier is Slack: it makes one call at a time, by a bot or an incoming webhook, and says what the
// answer means.
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

	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/watch"
	"clbwatch/notifier/message"
)

// Config says where messages go: to a channel by bot, if Token is set, else to a webhook. Both are secrets.
type Config struct {
	WebhookURL string   // of an incoming webhook; https, or http to this machine
	Token      string   // of a bot
	Channel    string   // the ID of its channel
	Others     []string // IDs of other channels in which it posts what calls say; each once
	APIURL     string   // of the Web API, such as https://slack.com/api/

	Style     message.Style
	Transport http.RoundTripper // nil: http.DefaultTransport
	Now       func() time.Time  // the clock
	// Sleep waits for d or until ctx ends, whose error it then returns.
	Sleep func(ctx context.Context, d time.Duration) error
}

func (c Config) render(doc incident.Document, call incident.Call) message.Message {
	return message.Of(doc, call, c.Style)
}

// Slack posts to channels by bot, or to one by incoming webhook. What belongs to no incident goes to
// Config.Channel. It may be used from several goroutines.
type Slack struct {
	cfg     Config
	secrets []string // what no error may contain
	render  func(incident.Document, incident.Call) message.Message

	mu   sync.Mutex
	next map[incident.Route]time.Time // when the next post may go out
}

var _ watch.Notifier = (*Slack)(nil)

// New returns a Slack for the bot or, without one, the webhook. An error names the setting and never its
// value.
func New(c Config) (*Slack, error) {
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Token != "" {
		return &Slack{cfg: c, secrets: []string{c.Token, url.QueryEscape(c.Token)}, render: c.render,
			next: make(map[incident.Route]time.Time)}, nil
	}
	u, err := url.Parse(strings.TrimSpace(c.WebhookURL))
	switch {
	case c.WebhookURL == "":
		return nil, errors.New("neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set; see docs/settings.md")
	case err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") == "":
		// err is dropped: url.Parse quotes the URL.
		return nil, errors.New("SLACK_WEBHOOK_URL is not a webhook's URL; copy it from the Slack app's page " +
			"Incoming Webhooks")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, errors.New("SLACK_WEBHOOK_URL must begin with https://, or its secret would travel in the clear")
	}
	c.WebhookURL = u.String()
	s := &Slack{cfg: c, secrets: []string{c.WebhookURL, u.RequestURI(), u.Path}, render: c.render,
		next: make(map[incident.Route]time.Time)}
	if last := u.Path[strings.LastIndex(u.Path, "/")+1:]; len(last) >= 8 {
		s.secrets = append(s.secrets, last)
	}
	return s, nil
}

func (s *Slack) bot() bool { return s.cfg.Token != "" }

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Report posts a report: by bot with every backend in its thread. Its error says what is wrong, and what to
// do about it.
func (s *Slack) Report(ctx context.Context, r report.Report) error {
	ts, err := s.say(ctx, s.Route(), "", message.Report(r, s.cfg.Style))
	if err != nil || !s.bot() {
		return err
	}
	pages := message.ReportPages(r, s.cfg.Style)
	for i, page := range pages {
		if _, err := s.say(ctx, s.Route(), ts, page); err != nil {
			return fmt.Errorf("the report is posted; page %d of %d in its thread is not: %w", i+1, len(pages), err)
		}
	}
	return nil
}

// Test posts one message saying that alerts will arrive here. Its errors are those of Report.
func (s *Slack) Test(ctx context.Context) error { return s.test(ctx, s.Route()) }

// TestIn does the same in one of Config.Others.
func (s *Slack) TestIn(ctx context.Context, channel string) error {
	return s.test(ctx, incident.Route(channel))
}

func (s *Slack) test(ctx context.Context, route incident.Route) error {
	_, err := s.say(ctx, route, "", message.Test(s.cfg.Now(), s.cfg.Style))
	return err
}

// Trouble posts that clbwatch cannot work, and why. Its errors are those of Report.
func (s *Slack) Trouble(ctx context.Context, why error) error {
	_, err := s.say(ctx, s.Route(), "", message.Trouble(why, s.cfg.Style))
	return err
}

// Check asks whether messages would be taken, without posting any: a bot is asked what it may do, a webhook
// is sent an empty message.
func (s *Slack) Check(ctx context.Context) error {
	if s.bot() {
		return s.checkBot(ctx)
	}
	return s.checkWebhook(ctx)
}

// CheckIn asks whether a bot may look for its messages in one of Config.Others, without posting any. What
// Check asks beyond that is the same for all channels.
func (s *Slack) CheckIn(ctx context.Context, channel string) error {
	return s.mayLook(ctx, incident.Route(channel))
}
