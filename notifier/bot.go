package notifier

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"clbwatch/internal/report"
	"clbwatch/internal/text"
	"clbwatch/internal/watch"
	"clbwatch/notifier/message"
)

// What the metadata of our messages say they are. Whoever reads the channel can read them: they hold a number and no more.
const (
	alertEvent  = "clbwatch_alert"
	reportEvent = "clbwatch_report"
	keyField    = "id" // of an alert
	atField     = "at" // of a report: when its reading began, in Unix seconds
)

const (
	// lookBack is how far before the news was read the message about it is looked for: for clocks that differ.
	lookBack = 5 * time.Minute
	// historyPage is how many messages are asked for at once; Slack recommends no more than 200.
	historyPage = 100
	// maxPages is how much of a channel is looked through: 2,500 messages since the news was read.
	maxPages = 25
	// maxReportPages is how far back the last report is looked for: 500 messages.
	maxReportPages = 5
)

// errGone says that a message cannot be edited or answered any more: it was deleted, or is too old.
var errGone = errors.New("the message is gone")

// deliver tells one alert by bot: it brings the thread's first message up to date and posts the alert below it, or in the
// channel if it belongs to no thread or that is gone. The edit comes first: it can be repeated, and finds what is gone.
func (s *Slack) deliver(ctx context.Context, d watch.Delivery) (watch.Receipt, error) {
	m, where := AlertMessage(d.Alert, s.cfg.Style), watch.Receipt{Channel: s.cfg.Channel}
	if d.Thread != nil && d.Thread.Receipt.Channel == s.cfg.Channel { // in another one it was before the settings changed
		switch err := s.edit(ctx, d.Thread.Receipt, ThreadMessage(*d.Thread)); {
		case err == nil:
			m, where = ReplyMessage(*d.Thread, d.Alert, s.cfg.Style), d.Thread.Receipt
		case !errors.Is(err, errGone):
			return watch.Receipt{}, fmt.Errorf("%w: edit the first message: %w", watch.ErrNotSent, err)
		}
	}
	if d.Again {
		found, err := s.find(ctx, where, d.Alert)
		if err != nil {
			return watch.Receipt{}, fmt.Errorf("look whether Slack has the message already: %w", err)
		}
		if found != "" {
			return receipt(where, found), nil
		}
	}
	ts, err := s.say(ctx, where, m, slack.SlackMetadata{EventType: alertEvent, EventPayload: map[string]any{keyField: d.Alert.ID}})
	return receipt(where, ts), err
}

// receipt is what later news belongs to: the thread, or the message ts that may open one.
func receipt(where watch.Receipt, ts string) watch.Receipt {
	if where.TS == "" {
		where.TS = ts
	}
	return where
}

// say posts the message and, if Slack refuses it as it is, once more as plain text, so that people have it.
func (s *Slack) say(ctx context.Context, where watch.Receipt, m Message, meta slack.SlackMetadata) (ts string, err error) {
	post := func(m Message, more ...slack.MsgOption) error {
		options := append(m.options(), more...)
		if where.TS != "" {
			options = append(options, slack.MsgOptionTS(where.TS))
			if m.Broadcast {
				options = append(options, slack.MsgOptionBroadcast())
			}
		}
		return s.call(ctx, true, func(ctx context.Context, api *slack.Client) (err error) {
			_, ts, err = api.PostMessageContext(ctx, where.Channel, options...)
			if err == nil && ts == "" {
				err = errors.New("the answer says ok and gives no ts")
			}
			return err
		})
	}
	if err = post(m, slack.MsgOptionMetadata(meta)); errors.Is(err, errContent) {
		// Without the metadata too: it may be what is refused.
		if err = post(m.asText()); errors.Is(err, errContent) {
			err = fmt.Errorf("%w, as blocks and as text: %w", watch.ErrRefused, err)
		}
	}
	return ts, err
}

// edit brings a message up to date. errGone: it cannot be.
func (s *Slack) edit(ctx context.Context, at watch.Receipt, m Message) error {
	edit := func(m Message) error {
		return s.call(ctx, false, func(ctx context.Context, api *slack.Client) error {
			_, _, _, err := api.UpdateMessageContext(ctx, at.Channel, at.TS, m.options()...)
			return err
		})
	}
	err := edit(m)
	if errors.Is(err, errContent) {
		err = edit(m.asText())
	}
	if errors.Is(err, errContent) { // then news is told without it
		return errGone
	}
	return err
}

// options are the message in slack-go's terms. Blocks and attachments are always given: an edit keeps what it does not name.
func (m Message) options() []slack.MsgOption {
	attachments := []slack.Attachment{}
	if m.Attachment.Color != "" {
		attachments = append(attachments, m.Attachment)
	}
	return []slack.MsgOption{
		slack.MsgOptionText(m.Text, false), slack.MsgOptionBlocks(m.Blocks...), slack.MsgOptionAttachments(attachments...),
		slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
	}
}

func (m Message) asText() Message { return Message{Text: m.Plain, Broadcast: m.Broadcast} }

// find looks for the message that told an alert, in the channel or in a thread of it; "" if it is not there. Where the
// token may not look, nothing is found: a message told twice is better than one not told.
func (s *Slack) find(ctx context.Context, where watch.Receipt, a watch.Alert) (ts string, err error) {
	is := func(m slack.Message) bool {
		return m.Metadata.EventType == alertEvent && m.Metadata.EventPayload[keyField] == a.ID
	}
	m, err := s.look(ctx, where, a.To.Add(-lookBack), maxPages, is)
	if errors.Is(err, errScope) {
		return "", nil
	}
	return m.Timestamp, err
}

// look returns the newest message of the channel, or the oldest of the thread, that is what is looked for.
func (s *Slack) look(ctx context.Context, where watch.Receipt, oldest time.Time, pages int, is func(slack.Message) bool) (found slack.Message, err error) {
	since, cursor := fmt.Sprintf("%d.000000", max(oldest.Unix(), 0)), ""
	for range pages {
		var page []slack.Message
		err := s.call(ctx, false, func(ctx context.Context, api *slack.Client) (err error) {
			if where.TS != "" {
				page, _, cursor, err = api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
					ChannelID: where.Channel, Timestamp: where.TS, Cursor: cursor, Limit: historyPage, Oldest: since, IncludeAllMetadata: true,
				})
				return err
			}
			answer, err := api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{
				ChannelID: where.Channel, Cursor: cursor, Limit: historyPage, Oldest: since, IncludeAllMetadata: true,
			})
			if err == nil {
				page, cursor = answer.Messages, answer.ResponseMetaData.NextCursor
			}
			return err
		})
		if err != nil {
			return slack.Message{}, err
		}
		if i := slices.IndexFunc(page, is); i >= 0 {
			return page[i], nil
		}
		if cursor == "" {
			break
		}
	}
	return slack.Message{}, nil
}

// LastReport is the time of the last report that was posted; zero if that is not known, as ever with a webhook.
func (s *Slack) LastReport(ctx context.Context) (time.Time, error) {
	if !s.bot() {
		return time.Time{}, nil
	}
	m, err := s.look(ctx, watch.Receipt{Channel: s.cfg.Channel}, time.Time{}, maxReportPages, func(m slack.Message) bool {
		return m.Metadata.EventType == reportEvent
	})
	if err != nil || m.Timestamp == "" {
		return time.Time{}, err
	}
	seconds, _ := m.Metadata.EventPayload[atField].(string)
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, errors.New("the last report in Slack does not say of when it is")
	}
	return time.Unix(at, 0).UTC(), nil
}

// postReport posts a report, and its pages into a thread of it.
func (s *Slack) postReport(ctx context.Context, r report.Report) error {
	meta := slack.SlackMetadata{EventType: reportEvent, EventPayload: map[string]any{atField: strconv.FormatInt(r.At.Unix(), 10)}}
	where := watch.Receipt{Channel: s.cfg.Channel}
	ts, err := s.say(ctx, where, rendered(message.Report(r, message.Style{})), meta)
	if err != nil {
		return err
	}
	where.TS = ts
	pages := message.ReportPages(r, message.Style{})
	for i, page := range pages {
		if _, err := s.say(ctx, where, rendered(page), slack.SlackMetadata{EventType: reportEvent + "_page", EventPayload: map[string]any{}}); err != nil {
			return fmt.Errorf("the report is posted; page %d of %d in its thread is not: %w", i+1, len(pages), err)
		}
	}
	return nil
}

// checkBot asks Slack whether the token may post, edit and look in the channel, without posting anything.
func (s *Slack) checkBot(ctx context.Context) error {
	var scopes []string
	x, err := s.try(ctx, func(ctx context.Context, api *slack.Client) error {
		_, err := api.AuthTestContext(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for _, scope := range strings.Split(x.header.Get("X-Oauth-Scopes"), ",") {
		scopes = append(scopes, strings.TrimSpace(scope))
	}
	if x.header.Get("X-Oauth-Scopes") != "" && !slices.Contains(scopes, "chat:write") {
		return errors.New("SLACK_BOT_TOKEN: the scope chat:write is missing; " + addScope)
	}
	_, err = s.look(ctx, watch.Receipt{Channel: s.cfg.Channel}, s.cfg.Now().Add(-time.Minute), 1, func(slack.Message) bool { return false })
	return err
}

// call makes one call of the Web API and, if Slack asks to wait for a time that ctx has left, once more. posts says that
// it makes a message, of which Slack takes one a second.
func (s *Slack) call(ctx context.Context, posts bool, f func(context.Context, *slack.Client) error) error {
	return s.patiently(ctx, func() error {
		if posts {
			if err := s.keepPace(ctx); err != nil {
				return fmt.Errorf("%w: wait to post to Slack: %w", watch.ErrNotSent, err)
			}
		}
		_, err := s.try(ctx, f)
		return err
	})
}

// try makes one call of the Web API, and says what its answer means.
func (s *Slack) try(ctx context.Context, f func(context.Context, *slack.Client) error) (*exchange, error) {
	x, client := s.exchange(maxAPIAnswer)
	err := f(x.trace(ctx), slack.New(s.cfg.Token, slack.OptionAPIURL(s.cfg.APIURL), slack.OptionHTTPClient(client)))
	if x.status == 0 {
		return x, s.unanswered(x, err)
	}
	return x, s.redact(x.meaning(err, s.cfg.Now()))
}

// errScope says that the token may not look for messages.
var errScope = errors.New("missing_scope")

const addScope = "add the scopes chat:write and channels:history (groups:history for a private channel) in the Slack app's page " +
	"OAuth & Permissions, and install the app again"

// meaning is what an answer of the Web API means, of which slack-go made err
// (https://docs.slack.dev/reference/methods/chat.postMessage).
func (x *exchange) meaning(err error, now time.Time) error {
	var said slack.SlackErrorResponse
	switch {
	case x.status == 429:
		return fmt.Errorf("%w: %w", watch.ErrNotSent, &rateLimited{x.retryAfter(now)})
	case x.status >= 300 && x.status < 400:
		return fmt.Errorf("%w: SLACK_API_URL answers with a redirect (%d), which Slack does not; set it as the README says, or not at all", watch.ErrNotSent, x.status)
	case x.status >= 400 && x.status < 500:
		return fmt.Errorf("%w: SLACK_API_URL: answer %d, which is not Slack's; is a proxy in between?", watch.ErrNotSent, x.status)
	case x.broken != nil:
		return fmt.Errorf("the answer broke off, Slack may have the message: %w", x.broken)
	case x.status != 200:
		return fmt.Errorf("answer %d, Slack may have the message", x.status)
	case err == nil && !x.ok():
		return errors.New("the answer does not say ok, Slack may have the message")
	case err == nil:
		return nil
	case !errors.As(err, &said):
		return fmt.Errorf("the answer makes no sense, Slack may have the message: %w", err)
	}
	code := cmp.Or(errorCode(said.Err), "no word that it has")
	hints := ""
	if h := said.ResponseMetadata.Messages; len(h) > 0 {
		hints = ": " + text.Clean(x.conceal(strings.Join(h, "; ")), maxText)
	}
	switch do := botAdvice(code); {
	case code == "missing_scope":
		return fmt.Errorf("%w: SLACK_BOT_TOKEN: Slack says %w (needed: %s); %s", watch.ErrNotSent, errScope, text.Clean(x.conceal(said.Needed), 100), addScope)
	case do != "":
		return fmt.Errorf("%w: Slack says %s: %s", watch.ErrNotSent, code, do)
	}
	switch code {
	case "ratelimited", "rate_limited":
		return fmt.Errorf("%w: %w", watch.ErrNotSent, &rateLimited{x.retryAfter(now)})
	case "request_timeout", "team_added_to_org":
		return fmt.Errorf("%w: Slack says %s; the next tick tries again", watch.ErrNotSent, code)
	case "message_not_found", "cant_update_message", "edit_window_closed", "cannot_reply_to_message", "thread_not_found", "is_inactive":
		return fmt.Errorf("%w: %s", errGone, code)
	case "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_attachments", "too_many_attachments",
		"attachment_payload_limit_exceeded", "msg_too_long", "no_text", "markdown_text_conflict", "metadata_too_large", "invalid_metadata_format",
		"invalid_metadata_schema", "metadata_must_be_sent_from_app", "invalid_arguments", "block_mismatch", "too_many_contact_cards":
		return fmt.Errorf("%w: %s%s", errContent, code, hints)
	}
	return fmt.Errorf("Slack says %s%s, and may have the message", code, hints) // internal_error and fatal_error say so themselves
}

// ok reports whether the answer says so. slack-go takes one that says nothing at all for success.
func (x *exchange) ok() bool {
	var a struct {
		OK bool `json:"ok"`
	}
	return json.Unmarshal(x.body, &a) == nil && a.OK
}

// botAdvice is what to do about a token or a channel that takes no message; "" for other codes.
func botAdvice(code string) string {
	switch code {
	case "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive":
		return "SLACK_BOT_TOKEN is not valid (any more); copy it from the Slack app's page OAuth & Permissions"
	case "not_allowed_token_type":
		return "SLACK_BOT_TOKEN is a token of another kind; copy the Bot User OAuth Token, which begins with xoxb-"
	case "no_permission", "access_denied", "org_login_required", "ekm_access_denied", "two_factor_setup_required",
		"team_access_not_granted", "enterprise_is_restricted", "accesslimited":
		return "the workspace does not let the app in (SLACK_BOT_TOKEN); ask one of its administrators"
	case "channel_not_found":
		return "SLACK_CHANNEL is not the ID of a channel that the app can see; copy it from the channel's details, and invite the app if the channel is private"
	case "not_in_channel":
		return "the app is not in the channel (SLACK_CHANNEL); write /invite @ and the app's name there"
	case "is_archived":
		return "the channel (SLACK_CHANNEL) is archived; bring it back, or set another one"
	case "restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel",
		"restricted_action_non_threadable_channel", "restricted_action_thread_locked", "messages_tab_disabled":
		return "the app may not post in the channel (SLACK_CHANNEL); ask an administrator, or set another one"
	case "message_limit_exceeded":
		return "the workspace has used up its messages; ask one of its administrators"
	}
	return ""
}
