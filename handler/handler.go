// Package handler is the way in: one event of the platform becomes one tick, report or test message. It refuses an
// event that it does not understand before anything is touched, and decides nothing about load balancers.
package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/tencentyun/scf-go-lib/cloudfunction"
	"github.com/tencentyun/scf-go-lib/functioncontext"

	"clbwatch/internal/report"
	"clbwatch/internal/watch"
)

// App does what events ask for.
type App interface {
	// Tick does one tick.
	Tick(ctx context.Context) (watch.Summary, error)
	// Report reads how things stand, posts it and returns it. It changes no state.
	Report(ctx context.Context) (report.Report, error)
	// Test posts one test message.
	Test(ctx context.Context) error
	// Log is where this invocation is logged.
	Log() *slog.Logger
}

// Handler answers events.
type Handler struct {
	// Open makes the App of one invocation.
	Open func(Invocation) (App, error)
	// Now is the clock.
	Now func() time.Time
}

// Invocation is what the platform and the event say about one invocation.
type Invocation struct {
	// Environment is that of this invocation, as it came with it; nil if none came. The library leaves in the process what
	// an earlier invocation brought and this one does not have.
	Environment map[string]string
	Shard       string // what the event says of it, such as "2/4"; "" if it says nothing
	Memory      int64  // bytes that the platform grants the instance; 0 if it does not say
}

// Serve answers the platform's calls on _LAMBDA_SERVER_PORT. It does not return.
func Serve(h *Handler) { cloudfunction.StartHandler(h) }

// Invoke answers one event with JSON. Its error names no secret.
func (h *Handler) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	action, shard, err := actionOf(event)
	if err != nil {
		return nil, err
	}
	app, err := h.Open(invocation(ctx, shard))
	if err != nil {
		return nil, err
	}
	start := h.Now()
	answer, err := actions[action](ctx, app)
	log := app.Log()
	if shard != "" {
		log = log.With("shard", shard)
	}
	log = log.With("action", action, "ms", h.Now().Sub(start).Milliseconds())
	if sum, ok := answer.(watch.Summary); ok {
		log = log.With("clbs", sum.CLBs, "read", sum.Read, "unreadable", sum.Unreadable, "changes", sum.Changes,
			"sent", sum.Sent, "pending", sum.Pending, "head", sum.Head)
		if sum.Unread != nil {
			log = log.With("unreadableWhy", sum.Unread.Error())
		}
		if sum.Unsent != nil {
			log = log.With("unsentWhy", sum.Unsent.Error())
		}
		if sum.Stale {
			log = log.With("stale", true)
		}
		if sum.Odd != nil {
			log = log.With("oddRows", sum.Odd.Error())
		}
		if sum.Untidy != nil {
			log = log.With("untidyWhy", sum.Untidy.Error())
		}
		if err == nil && (sum.Unread != nil || sum.Unsent != nil || sum.Untidy != nil || sum.Odd != nil) {
			log.Warn("done, with trouble")
			return json.Marshal(answer)
		}
	}
	if err != nil {
		log.Error(err.Error())
		return nil, err
	}
	log.Info("done")
	return json.Marshal(answer)
}

// invocation is what the platform says, and has garbage collected before the instance needs more memory than it is given,
// and is killed. A quarter is left for what the collector does not know of.
func invocation(ctx context.Context, shard string) Invocation {
	i := Invocation{Shard: shard}
	instance, ok := functioncontext.FromContext(ctx)
	if !ok {
		return i
	}
	i.Environment, i.Memory = instance.Environment, int64(max(instance.MemoryLimitInMb, 0))<<20
	if i.Memory > 0 {
		debug.SetMemoryLimit(i.Memory / 4 * 3)
	}
	return i
}

// actions are what an event can ask for, by name.
var actions = map[string]func(context.Context, App) (any, error){
	"tick":   func(ctx context.Context, a App) (any, error) { return a.Tick(ctx) },
	"report": func(ctx context.Context, a App) (any, error) { return a.Report(ctx) },
	"test":   func(ctx context.Context, a App) (any, error) { return map[string]bool{"sent": true}, a.Test(ctx) },
}

// actionOf says what an event asks for, and of which shard. A timer's event asks for a tick; an event that asks for nothing,
// for a report. Names are matched to the letter: encoding/json's own matching would take {"TYPE":…} for {"Type":…}.
func actionOf(event []byte) (action, shard string, err error) {
	event = bytes.TrimSpace(event)
	var object map[string]json.RawMessage
	switch {
	case len(event) == 0 || string(event) == "null":
		return "report", "", nil
	case json.Unmarshal(event, &action) == nil: // a plain string
	case json.Unmarshal(event, &object) == nil:
		if string(object["Type"]) == `"Timer"` {
			shard, err = shardOf(argument(object["Message"]))
			return "tick", shard, err
		}
		raw, ok := object["action"]
		if !ok {
			raw = []byte(`"report"`)
		}
		if err := json.Unmarshal(raw, &action); err != nil {
			return "", "", fmt.Errorf("the event's action is %.40q, %w", raw, errActions)
		}
		if shard, err = shardOf(object); err != nil {
			return "", "", err
		}
	default:
		return "", "", fmt.Errorf("the event is %.40q, %w", event, errEvent)
	}
	if _, ok := actions[action]; !ok {
		return "", "", fmt.Errorf("the event asks for %.40q, %w", action, errActions)
	}
	return action, shard, nil
}

// argument is a timer's argument, which is JSON in a string; nil if it is something else: it is the user's own.
func argument(message json.RawMessage) (object map[string]json.RawMessage) {
	var text string
	if json.Unmarshal(message, &text) != nil || json.Unmarshal([]byte(text), &object) != nil {
		return nil
	}
	return object
}

// shardOf is the shard that an object names; "" if it names none. What a shard may be is the settings' to say.
func shardOf(object map[string]json.RawMessage) (shard string, err error) {
	raw, ok := object["shard"]
	if !ok {
		return "", nil
	}
	if err := json.Unmarshal(raw, &shard); err != nil || shard == "" {
		return "", fmt.Errorf(`the event's shard is %.40q, expected one such as "2/4"`, raw)
	}
	return shard, nil
}

var (
	errActions = errors.New(`expected "report", "tick" or "test"`)
	errEvent   = errors.New(`expected a timer's event or {"action": …} with "report", "tick" or "test"`)
)
