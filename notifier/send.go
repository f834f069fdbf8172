package notifier

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"clbwatch/internal/incident"
	"clbwatch/notifier/message"
)

const (
	// lookBack is how far before a root was made its posts are looked for: for clocks that differ.
	lookBack = 5 * time.Minute
	// historyPage is how many messages are asked for at once; Slack recommends no more than 200.
	historyPage = 100
	// maxPages is how much of a channel is looked through: 2,500 messages.
	maxPages = 25
	// maxText bounds what is shown of Slack's own explanations, in characters.
	maxText = 200
)

// keyField is where a message's metadata has its key.
const keyField = "id"

// say posts a message that belongs to no incident: in a thread, if that is not "", else in the channel. What
// is refused as it is, is posted once more as plain text, so that people have it.
func (s *Slack) say(ctx context.Context, route incident.Route, thread string, m message.Message) (ts string,
	err error) {
	call := incident.Call{Do: incident.Send, Route: route, TS: thread}
	out := s.send(ctx, call, m)
	if out.Class == incident.Content {
		call.Form = incident.Plain
		out = s.send(ctx, call, message.Message{Text: m.Plain})
	}
	return out.TS, out.Err
}

// send posts a message.
func (s *Slack) send(ctx context.Context, call incident.Call, m message.Message) incident.Outcome {
	if s.bot() {
		return s.sendByBot(ctx, call, m)
	}
	return s.hook(ctx, call, m.Webhook(false)).Outcome
}

// options are a message as the Web API takes it. Blocks and attachments are always given: an edit keeps what
// it does not name.
func options(m message.Message) []slack.MsgOption {
	attachments := []slack.Attachment{}
	if m.Attachment.Color != "" {
		attachments = append(attachments, m.Attachment)
	}
	return []slack.MsgOption{
		slack.MsgOptionText(m.Text, false), slack.MsgOptionBlocks(m.Blocks...),
		slack.MsgOptionAttachments(attachments...),
		slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
	}
}

// checkBot asks Slack whether the token may post, edit and look in the channel, without posting anything.
func (s *Slack) checkBot(ctx context.Context) error {
	r := s.api(ctx, incident.Call{Do: incident.Ask, Route: s.Route()},
		func(ctx context.Context, api *slack.Client) error {
			_, err := api.AuthTestContext(ctx)
			return err
		})
	if r.Err != nil {
		return r.Err
	}
	var scopes []string
	for _, scope := range strings.Split(r.header.Get("X-Oauth-Scopes"), ",") {
		scopes = append(scopes, strings.TrimSpace(scope))
	}
	if r.header.Get("X-Oauth-Scopes") != "" && !slices.Contains(scopes, "chat:write") {
		return errors.New("SLACK_BOT_TOKEN: the scope chat:write is missing; " + addScope)
	}
	return s.mayLook(ctx, s.Route())
}

// mayLook asks Slack whether the bot may look for messages in a channel, which it must be in for that.
func (s *Slack) mayLook(ctx context.Context, route incident.Route) error {
	look := incident.Call{Do: incident.Look, Route: route, Since: s.cfg.Now()}
	return s.scan(ctx, look, "", func(slack.Message) bool { return true }).Err
}

// checkWebhook sends an empty message, which a live webhook refuses as such.
func (s *Slack) checkWebhook(ctx context.Context) error {
	switch r := s.hook(ctx, incident.Call{Do: incident.Ask, Route: s.Route()},
		&slack.WebhookMessage{}); r.Class {
	case incident.Content:
		return nil
	case incident.Done:
		return errors.New("SLACK_WEBHOOK_URL: an empty message was taken, which Slack would refuse; check that " +
			"it is a Slack webhook")
	default:
		return r.Err
	}
}
