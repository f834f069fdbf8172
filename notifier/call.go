package notifier

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"clbwatch/internal/incident"
	"clbwatch/notifier/message"
)

// What the metadata of our messages say they are. Whoever reads the channel can read them: they hold a key
// and no more.
const (
	messageEvent = "clbwatch"
	voidEvent    = "clbwatch_repeat" // a copy: it is found no more
)

// Route says where messages go, for the state: the bot's channel, or which webhook, without its secret.
func (s *Slack) Route() incident.Route {
	if s.bot() {
		return incident.Route(s.cfg.Channel)
	}
	sum := sha256.Sum256([]byte(s.cfg.WebhookURL))
	return incident.Route("webhook:" + hex.EncodeToString(sum[:4]))
}

// Do makes one call about a root, and says what came of it. It keeps Slack's pace of one message a second,
// and once waits for as long as Slack asks to, if that is 10 s at most and ctx has it left. It never repeats
// what may have happened. Err is nil if and only if the Class is Done; it names the setting that is to blame,
// if one is, carries advice, and holds no secret.
func (s *Slack) Do(ctx context.Context, call incident.Call, doc incident.Document) incident.Outcome {
	if call.Route.Bot() != s.bot() { // the settings have changed, and the caller has not noticed
		why := fmt.Errorf("the settings have no way to %s", call.Route)
		return s.result(call, verdict{class: incident.ChannelDown, why: why}).Outcome
	}
	switch {
	case call.Do == incident.Ask:
		return s.ask(ctx, call)
	case call.Do == incident.Send:
		return s.send(ctx, call, s.render(doc, call))
	case !s.bot():
		why := errors.New("a webhook can only post")
		return s.result(call, verdict{class: incident.Content, why: why}).Outcome
	case call.Do == incident.Look:
		return s.lookFor(ctx, call, doc.Delivery.TS)
	case call.Do == incident.Copies:
		return s.copies(ctx, call)
	default:
		return s.update(ctx, call, s.render(doc, call))
	}
}

// asking makes one request of the Web API.
type asking func(context.Context, *slack.Client) error

// api makes one request of the Web API.
func (s *Slack) api(ctx context.Context, call incident.Call, do asking) result {
	return s.request(ctx, call, func(ctx context.Context, client *http.Client) error {
		at := slack.OptionAPIURL(s.cfg.APIURL)
		return do(ctx, slack.New(s.cfg.Token, at, slack.OptionHTTPClient(client)))
	})
}

// hook makes one request of the webhook.
func (s *Slack) hook(ctx context.Context, call incident.Call, m *slack.WebhookMessage) result {
	return s.request(ctx, call, func(ctx context.Context, client *http.Client) error {
		return slack.PostWebhookCustomHTTPContext(ctx, s.cfg.WebhookURL, client, m)
	})
}

// ask asks Slack something that changes nothing: a bot asks who it is, a webhook is sent an empty message,
// which it refuses.
func (s *Slack) ask(ctx context.Context, call incident.Call) incident.Outcome {
	if s.bot() {
		return s.api(ctx, call, func(ctx context.Context, api *slack.Client) error {
			_, err := api.AuthTestContext(ctx)
			return err
		}).Outcome
	}
	r := s.hook(ctx, call, &slack.WebhookMessage{})
	if r.Class == incident.Content { // no_text, or another word for it: it reads what is posted
		return incident.Outcome{}
	}
	return r.Outcome
}

// sendByBot posts a message into the channel or a thread. If Slack may refuse it for its metadata, it is
// posted without: should its answer be lost, it cannot be found, but people have it.
func (s *Slack) sendByBot(ctx context.Context, call incident.Call, m message.Message) incident.Outcome {
	options := options(m)
	if call.TS != "" {
		options = append(options, slack.MsgOptionTS(call.TS))
		if call.Post.Broadcast {
			options = append(options, slack.MsgOptionBroadcast())
		}
	}
	ts := ""
	post := func(options ...slack.MsgOption) result {
		return s.api(ctx, call, func(ctx context.Context, api *slack.Client) (err error) {
			_, ts, err = api.PostMessageContext(ctx, string(call.Route), options...)
			if err == nil && ts == "" {
				err = errors.New("it says ok and gives no ts")
			}
			return err
		})
	}
	if call.Key == "" { // it is never looked for
		r := post(options...)
		r.TS = ts
		return r.Outcome
	}
	r := post(append(slices.Clone(options), metadata(messageEvent, call.Key))...)
	if r.Class == incident.Content && (call.Form == incident.Bare || strings.Contains(r.word, "metadata")) {
		r = post(options...)
	}
	if r.Class == incident.Done {
		r.TS = ts
	}
	return r.Outcome
}

// update edits a message. One that turned out a copy loses its key, so that it is not found again.
func (s *Slack) update(ctx context.Context, call incident.Call, m message.Message) incident.Outcome {
	options := options(m)
	if call.Do == incident.Void {
		options = append(options, metadata(voidEvent, call.Key))
	}
	return s.api(ctx, call, func(ctx context.Context, api *slack.Client) error {
		_, _, _, err := api.UpdateMessageContext(ctx, string(call.Route), call.TS, options...)
		return err
	}).Outcome
}

func metadata(event, key string) slack.MsgOption {
	payload := map[string]any{keyField: key}
	return slack.MsgOptionMetadata(slack.SlackMetadata{EventType: event, EventPayload: payload})
}

// lookFor looks for a message by its key: a root in the channel, an update in the thread of root and, if
// updates go there, in the channel. If the thread is gone, Slack may have posted the update in the channel
// all the same.
func (s *Slack) lookFor(ctx context.Context, call incident.Call, root string) (o incident.Outcome) {
	thread := ""
	if !call.Post.Root {
		thread = cmp.Or(call.TS, root)
	}
	is := func(m slack.Message) bool {
		if keyOf(m) != call.Key {
			return false
		}
		o.TS = m.Timestamp
		return true
	}
	r := result{Outcome: incident.Outcome{Class: incident.Gone}} // what is in no thread is in the channel
	if thread != "" {
		r = s.scan(ctx, call, thread, is)
	}
	if o.TS == "" && (r.Class == incident.Gone || r.Class == incident.Done && call.TS == "") {
		r = s.scan(ctx, call, "", is)
	}
	switch {
	case o.TS != "":
		return incident.Outcome{TS: o.TS}
	case r.Class == incident.Done:
		why := errors.New("it is not there")
		return s.result(call, verdict{class: incident.NotThere, why: why}).Outcome
	}
	return r.Outcome
}

// copies finds all messages of a root in the channel and in its thread, oldest first.
func (s *Slack) copies(ctx context.Context, call incident.Call) incident.Outcome {
	var found []incident.Copy
	collect := func(m slack.Message) bool {
		c := incident.Copy{Key: keyOf(m), TS: m.Timestamp}
		ours := c.Key != "" && strings.HasPrefix(c.Key, call.Key)
		if ours && !slices.Contains(found, c) { // what is broadcast is in both
			found = append(found, c)
		}
		return false
	}
	r := s.scan(ctx, call, "", collect)
	if r.Class == incident.Done && call.TS != "" {
		if r = s.scan(ctx, call, call.TS, collect); r.Class == incident.Gone {
			r = result{} // nothing is in it
		}
	}
	if r.Class == incident.Done {
		slices.SortFunc(found, func(a, b incident.Copy) int { return cmp.Compare(a.TS, b.TS) })
		r.Found = found
	}
	return r.Outcome
}

// keyOf is the key of a message of ours that counts; "" for any other.
func keyOf(m slack.Message) string {
	if m.Metadata.EventType != messageEvent || m.Timestamp == "" {
		return ""
	}
	key, _ := m.Metadata.EventPayload[keyField].(string)
	return key
}

// stretch is which messages of a channel or thread are asked for.
type stretch = slack.GetConversationHistoryParameters

// isIt reports whether a message is the one that is looked for.
type isIt func(slack.Message) bool

// scan goes through the messages since call.Since until one is the one that is looked for, through 2,500 at
// most: those of the channel, newest first, or those of a thread, oldest first.
func (s *Slack) scan(ctx context.Context, call incident.Call, thread string, is isIt) (r result) {
	from := stretch{
		ChannelID: string(call.Route), Limit: historyPage, IncludeAllMetadata: true,
		Oldest: fmt.Sprintf("%d.000000", max(call.Since.Add(-lookBack).Unix(), 0)),
	}
	for range maxPages {
		var messages []slack.Message
		next := ""
		r = s.api(ctx, call, func(ctx context.Context, api *slack.Client) (err error) {
			messages, next, err = read(ctx, api, thread, from)
			if err == nil && messages == nil {
				err = errors.New("it says ok and gives no messages")
			}
			return err
		})
		if r.Class != incident.Done || slices.ContainsFunc(messages, is) || next == "" {
			return r
		}
		from.Cursor = next
	}
	return r
}

// read reads one page of a channel or of a thread, and says where the next one begins.
func read(ctx context.Context, api *slack.Client, thread string, from stretch) (
	messages []slack.Message, next string, err error,
) {
	if thread != "" {
		in := slack.GetConversationRepliesParameters{
			ChannelID: from.ChannelID, Timestamp: thread, Cursor: from.Cursor, Limit: from.Limit,
			Oldest: from.Oldest, IncludeAllMetadata: true,
		}
		messages, _, next, err = api.GetConversationRepliesContext(ctx, &in)
		return messages, next, err
	}
	answer, err := api.GetConversationHistoryContext(ctx, &from)
	if err != nil {
		return nil, "", err
	}
	return answer.Messages, answer.ResponseMetaData.NextCursor, nil
}
