package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"clbwatch/internal/text"
	"clbwatch/internal/watch"
)

// request is what an event asks for.
type request struct {
	action string        // one of actions
	shard  string        // such as "2/4"; "" if the event names none
	since  time.Duration // of a report: the time that it looks back on

	silence watch.SilenceRequest
}

// recently is what a report looks back on if the event does not say.
const recently = 24 * time.Hour

// actions are what an event can ask for, by name.
var actions = map[string]func(context.Context, App, request) (any, error){
	"tick":   func(ctx context.Context, a App, _ request) (any, error) { return a.Tick(ctx) },
	"report": func(ctx context.Context, a App, r request) (any, error) { return a.Report(ctx, r.since) },
	"check":  func(ctx context.Context, a App, _ request) (any, error) { return a.Check(ctx) },
	"silence": func(ctx context.Context, a App, r request) (any, error) {
		return a.Silence(ctx, r.silence)
	},
	"test": func(ctx context.Context, a App, _ request) (any, error) {
		return map[string]bool{"sent": true}, a.Test(ctx)
	},
}

var (
	errActions = errors.New(`expected {"action": …} with "check", "report", "silence", "test" or "tick"`)
	errEvent   = fmt.Errorf("expected a timer's event, or nothing; else %w", errActions)
)

// parse says what an event asks for. A timer's event asks for a tick, unless its argument says otherwise; an
// event that says nothing asks for a report, and so does what the console's Test button sends by itself.
// Names are matched to the letter: encoding/json's own matching would take {"TYPE":…} for {"Type":…}.
// Anything else is an error, before anything is touched.
func parse(event []byte) (request, error) {
	event = bytes.TrimSpace(event)
	r := request{action: "report", since: recently}
	var object map[string]json.RawMessage
	switch {
	case len(event) == 0 || string(event) == "null":
		return r, nil
	case json.Unmarshal(event, &r.action) == nil: // a plain string
		return r, r.take(nil)
	case json.Unmarshal(event, &object) != nil || object == nil:
		return r, fmt.Errorf("the event is %.40q, %w", event, errEvent)
	case string(object["Type"]) == `"Timer"`:
		r.action = "tick"
		return r, r.take(argument(object["Message"]))
	case len(object) == 0 || isTest(object):
		return r, nil
	}
	if _, ok := object["action"]; !ok {
		return r, fmt.Errorf("the event has no action, %w", errActions)
	}
	return r, r.take(object)
}

// isTest reports whether the event is what the console's Test button sends by itself: key1 and key2.
func isTest(object map[string]json.RawMessage) bool {
	for key := range object {
		if key != "key1" && key != "key2" {
			return false
		}
	}
	return true
}

// take takes what an object says of the request; it may say nothing.
func (r *request) take(object map[string]json.RawMessage) error {
	if raw, ok := object["action"]; ok {
		if err := json.Unmarshal(raw, &r.action); err != nil {
			return fmt.Errorf("the event's action is %.40q, %w", raw, errActions)
		}
	}
	if err := r.known(); err != nil {
		return err
	}
	if r.action == "silence" {
		return r.takeSilence(object)
	}
	if raw, ok := object["shard"]; ok {
		if err := json.Unmarshal(raw, &r.shard); err != nil || r.shard == "" {
			return fmt.Errorf(`the event's shard is %.40q, expected one such as "2/4"`, raw)
		}
	}
	if raw, ok := object["since"]; ok {
		var since string
		err := json.Unmarshal(raw, &since)
		if err == nil {
			r.since, err = text.Period(since)
		}
		if err != nil {
			return fmt.Errorf(`the event's since is %.40q, expected a time of 1m to 90d, such as "7d"`, raw)
		}
	}
	return nil
}

func (r *request) known() error {
	if _, ok := actions[r.action]; !ok {
		return fmt.Errorf("the event asks for %.40q, %w", r.action, errActions)
	}
	return nil
}

// argument is a timer's argument, which is JSON in a string; nil if it is something else: it is the user's
// own.
func argument(message json.RawMessage) (object map[string]json.RawMessage) {
	var words string
	if json.Unmarshal(message, &words) != nil || json.Unmarshal([]byte(words), &object) != nil {
		return nil
	}
	return object
}
