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
	if err := json.Unmarshal([]byte(payload), &c); err != nil || c.Type != "block_actions" || len(c.Actions) != 1 {
		answer.Log = []string{"refused", "it is no click on a button"}
		return answer
	}
	answer.Log = []string{"asked", text.Clean(c.Actions[0].ID, 40), "user", text.Clean(c.User.ID, 30)}
	reply, log, err := t.press(ctx, c)
	answer.Log = append(answer.Log, log...)
	switch {
	case errors.Is(err, errTaken): // people have been told
		answer.Log = append(answer.Log, "refused", err.Error())
		return answer
	case err != nil:
		answer.Log = append(answer.Log, "refused", err.Error())
		reply = Reply{Message: message.Refused(plainly(err), t.Style)}
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

// press does what a click asks for, and returns what people are told of it.
func (t *Talk) press(ctx context.Context, c click) (Reply, []string, error) {
	channel := c.Container.Channel
	if channel == "" {
		channel = c.Channel.ID
	}
	if err := t.elsewhere(channel); err != nil {
		return Reply{}, nil, err
	}
	// In a channel that is shared with another company, its people see the buttons too.
	if c.User.Team != "" && c.Team.ID != "" && c.User.Team != c.Team.ID {
		return Reply{}, nil, errors.New("only members of the workspace that clbwatch is installed in may do that")
	}
	ctx, cancel := context.WithTimeout(ctx, patience-replyTimeout)
	defer cancel()
	pressed := c.Actions[0]
	r := watch.SilenceRequest{By: c.User.ID}
	length, silences := strings.CutPrefix(pressed.ID, message.SilenceFor)
	switch {
	case pressed.ID == message.Acknowledge:
		r.Incident = pressed.Value
	case silences:
		d, ok := text.Length(length)
		if !ok || d < incident.MinSilence || d > incident.MaxSilence {
			return Reply{}, nil, fmt.Errorf("%.20q is not a time of 1m to 7d", length)
		}
		r.Root, r.For, r.Why = pressed.Value, d, "incident "+pressed.Value
	default:
		return Reply{}, nil, errors.New("there is no such button any more")
	}
	a, err := t.silence(ctx, c.Trigger, r)
	if err != nil {
		return Reply{}, nil, err
	}
	if doc := a.Shown; doc.Root != nil && !doc.Delivery.Route.Bot() {
		// Nobody but this click can edit what a webhook posted, and nobody will: it cannot come too late.
		root := incident.Call{Do: incident.Send, Route: doc.Delivery.Route, Post: incident.Post{Root: true}}
		return Reply{Message: message.Of(doc, root, t.Style), Replace: true}, did(a), nil
	}
	// The next tick edits what a bot posted; an edit from here could come after a later one.
	return Reply{Message: t.silenced(a, c.User.ID), Public: true, Thread: c.Container.TS}, did(a), nil
}
