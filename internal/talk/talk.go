// Package talk is what Slack says to clbwatch and hears in return: one request, proved to come from Slack
// before anything else is done, becomes one command or click and one answer. It answers from what ticks
// stored, asks the cloud nothing, and keeps nothing of a request but what somebody asked for.
package talk

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/watch"
	"clbwatch/notifier/message"
)

const (
	// patience is how long an answer may take. Slack waits for 3 s from when it sent the request, the way here
	// and back included.
	patience = 2200 * time.Millisecond
	// replyTimeout is how much of that is kept for telling who clicked.
	replyTimeout = 900 * time.Millisecond
)

// Desk does what people ask for, from what is stored.
type Desk interface {
	// Stored says how everything stood when ticks read it last; with brief set without backends and history.
	Stored(ctx context.Context, back time.Duration, brief bool) (watch.Survey, error)
	// Silence makes or ends a silence, and says what it covers.
	Silence(ctx context.Context, r watch.SilenceRequest) (watch.SilenceAnswer, error)
	// ListSilences returns the silences that are active. If some may be missing, the error says why.
	ListSilences(ctx context.Context) ([]incident.Silence, error)
}

var _ Desk = (*watch.Watcher)(nil)

// Talk answers Slack. All fields must be set.
type Talk struct {
	Secret   string   // what Slack signs with; "" refuses everything
	Channels []string // IDs of those that commands and clicks are taken from
	Desk     Desk
	// Once reports whether this call is the first ever with this name, which is "asked/" and 64 digits.
	Once func(ctx context.Context, name string) (first bool, err error)
	// Reply tells people what a click did.
	Reply func(ctx context.Context, r Reply) error
	Style message.Style
}

// Reply is what people are told after a click.
type Reply struct {
	To      string // the address that came with the click, which is a secret: https, and a host of Slack's
	Message message.Message
	Public  bool   // everybody in the channel sees it, not only who clicked
	Thread  string // the ts of the message that it is a reply to; "" if it is none
	Replace bool   // it takes the place of the message that was clicked
}

// Request is an HTTP request, as the platform hands it on.
type Request struct {
	Method  string
	Headers map[string]string // in any case
	Body    []byte            // as it was signed
	Decoded []byte            // Body without base64, where it may be in it; nil if it cannot be
}

// Answer is what is answered.
type Answer struct {
	Status int      // 200 or, if the request is not proved to come from Slack, 401
	Body   []byte   // JSON, or nothing
	Log    []string // keys and values, without secrets
}

// Answer answers one request. It takes no longer than Slack waits, and nothing runs after it.
func (t *Talk) Answer(ctx context.Context, r Request) Answer {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := t.verify(r)
	if err != nil {
		return Answer{Status: http.StatusUnauthorized, Log: []string{"refused", err.Error()}}
	}
	form, err := url.ParseQuery(string(body))
	switch {
	case err != nil:
		return Answer{Status: http.StatusOK, Log: []string{"refused", "the body is not a form"}}
	case form.Get("ssl_check") == "1": // of an app that is distributed
		return Answer{Status: http.StatusOK, Log: []string{"asked", "ssl_check"}}
	case form.Has("payload"):
		return t.click(ctx, form.Get("payload"))
	}
	return t.command(ctx, form)
}

// elsewhere is an error if a channel is none that commands and clicks are taken from.
func (t *Talk) elsewhere(channel string) error {
	switch {
	case slices.Contains(t.Channels, channel):
		return nil
	case len(t.Channels) == 0:
		return errors.New("SLACK_CHANNEL of this function is not set: it says from which channel clbwatch takes " +
			"commands")
	}
	return errors.New("clbwatch takes commands only in the channels that it alerts: see SLACK_CHANNEL and " +
		"SLACK_ROUTES")
}

// errTaken is the error of a request that was here before.
var errTaken = errors.New("this very request was taken before")

// first is an error unless a request is here for the first time. Whoever sends it again, later, or at the
// same time, changes nothing by it. trigger is Slack's own number for it.
func (t *Talk) first(ctx context.Context, trigger string) error {
	if trigger == "" {
		return errors.New("the request has no trigger_id")
	}
	sum := sha256.Sum256([]byte(trigger))
	// If we stop after this, nothing was done, and nothing will be: people see no answer, and ask again.
	first, err := t.Once(ctx, "asked/"+hex.EncodeToString(sum[:]))
	switch {
	case err != nil:
		return fmt.Errorf("write the state: %w", err)
	case !first:
		return errTaken
	}
	return nil
}

// plainly is an error in words for people: with what to do, and without what only helps who develops.
func plainly(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, watch.ErrDoubt) {
		return errors.New("the state did not answer in time: try again; if it stays so, give clbwatch-slack more " +
			"memory, which brings more CPU, or a region nearer to the state's bucket")
	}
	if do := advice.Of(err); do != "" {
		return fmt.Errorf("%w: %s", err, do)
	}
	return err
}

// silence does what somebody asks of silences, once.
func (t *Talk) silence(ctx context.Context, trigger string, r watch.SilenceRequest) (watch.SilenceAnswer,
	error) {
	if err := r.Check(); err != nil {
		return watch.SilenceAnswer{}, err
	}
	if err := t.first(ctx, trigger); err != nil {
		return watch.SilenceAnswer{}, err
	}
	return t.Desk.Silence(ctx, r)
}

// changed is what people are told of a change: what was done, and what of it was not, or may not have been.
func (t *Talk) changed(a watch.SilenceAnswer, err error, by string) message.Message {
	title := "Not done"
	if errors.Is(err, watch.ErrDoubt) {
		title = "It is not known whether it was done"
	}
	if err != nil && a.Silence.ID == "" {
		return message.Refused(title, plainly(err), t.Style)
	}
	return message.Silenced(message.Made{
		Silences: append([]incident.Silence{a.Silence}, a.Others...), Covers: a.Covers, Replaces: a.Replaces,
		Again: a.Again, Still: a.Still, By: by, But: plainly(err),
	}, t.Style)
}

// did is what the log says of a change.
func did(a watch.SilenceAnswer) (log []string) {
	if a.Silence.ID == "" {
		return nil
	}
	ids, what := []string{a.Silence.ID}, []string{a.Silence.Scope()}
	for _, s := range a.Others {
		ids, what = append(ids, s.ID), append(what, s.Scope())
	}
	return []string{"silence", strings.Join(ids, " "), "what", strings.Join(what, " "), "covers", a.Covers,
		"until", a.Silence.End().UTC().Format(time.RFC3339), "by", cmp.Or(a.Silence.EndedBy, a.Silence.By)}
}
