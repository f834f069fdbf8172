package talk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/text"
	"clbwatch/internal/watch"
	"clbwatch/notifier/message"
)

// click is what Slack says of a press of a button, as far as it matters here. Source: docs.slack.dev,
// block_actions payload.
type click struct {
	Type    string `json:"type"`
	Trigger string `json:"trigger_id"`
	Reply   string `json:"response_url"`
	Team    struct {
		ID string `json:"id"`
	} `json:"team"`
	User struct {
		ID   string `json:"id"`
		Team string `json:"team_id"`
	} `json:"user"`
	Channel struct {
		ID string `json:"id"`
	} `json:"channel"`
	Container struct {
		Channel string `json:"channel_id"`
		TS      string `json:"message_ts"`
	} `json:"container"`
	Actions []struct {
		ID    string `json:"action_id"`
		Value string `json:"value"`
	} `json:"actions"`
}

// click answers a click with nothing, as Slack wants it, after people were told what came of it.
func (t *Talk) click(ctx context.Context, payload string) Answer {
	answer := Answer{Status: http.StatusOK}
	var c click
	err := json.Unmarshal([]byte(payload), &c)
	if err != nil || c.Type != "block_actions" || len(c.Actions) != 1 {
		answer.Log = []string{"refused", "it is no click on a button"}
		return answer
	}
	answer.Log = []string{"asked", text.Clean(c.Actions[0].ID, 40), "user", text.Clean(c.User.ID, 30)}
	reply, log, err := t.press(ctx, c)
	answer.Log = append(answer.Log, log...)
	if err != nil {
		answer.Log = append(answer.Log, "refused", err.Error())
	}
	if errors.Is(err, errTaken) { // people have been told
		return answer
	}
	reply.To = c.Reply
	// What was done stays done: the next tick shows it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replyTimeout)
	defer cancel()
	if err := t.Reply(ctx, reply); err != nil {
		answer.Log = append(answer.Log, "unanswered", err.Error())
	}
	return answer
}

// press does what a click asks for, and returns what people are told of it, also of an error.
func (t *Talk) press(ctx context.Context, c click) (Reply, []string, error) {
	r, err := t.asked(c)
	var a watch.SilenceAnswer
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, patience-replyTimeout)
		defer cancel()
		a, err = t.silence(ctx, c.Trigger, r)
	}
	told := Reply{Message: t.changed(a, err, c.User.ID)}
	switch doc := a.Shown; {
	case err != nil: // only who clicked is told
	case doc.Root != nil && !doc.Delivery.Route.Bot():
		// Nobody else edits what a webhook posted.
		root := incident.Call{Do: incident.Send, Route: doc.Delivery.Route, Post: incident.Post{Root: true}}
		told.Message, told.Replace = message.Of(doc, root, t.Style), true
	default:
		// The next tick edits what a bot posted; an edit from here could come after a later one.
		told.Public, told.Thread = true, c.Container.TS
	}
	return told, did(a), err
}

// asked is what a click asks for.
func (t *Talk) asked(c click) (r watch.SilenceRequest, err error) {
	channel := c.Container.Channel
	if channel == "" {
		channel = c.Channel.ID
	}
	if err := t.elsewhere(channel); err != nil {
		return r, err
	}
	// In a channel that is shared with another company, its people see the buttons too.
	if c.User.Team != "" && c.Team.ID != "" && c.User.Team != c.Team.ID {
		return r, errors.New("only members of the workspace that clbwatch is installed in may do that")
	}
	r.By = c.User.ID
	pressed := c.Actions[0]
	length, silences := strings.CutPrefix(pressed.ID, message.SilenceFor)
	switch {
	case pressed.ID == message.Acknowledge:
		r.Incident = pressed.Value
	case silences:
		d, ok := text.Length(length)
		if !ok || d < incident.MinSilence || d > incident.MaxSilence {
			return r, fmt.Errorf("%.20q is not a time of 1m to 7d", length)
		}
		r.Root, r.For, r.Why = pressed.Value, d, "incident "+pressed.Value
	default:
		return r, errors.New("there is no such button any more")
	}
	return r, nil
}
