// Package handler is the way in: one event of the platform becomes one tick, report, silence, test message or
// answer to Slack. It refuses an event that it does not understand before anything is touched, and decides
// nothing about load balancers.
package handler

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tencentyun/scf-go-lib/cloudfunction"
	"github.com/tencentyun/scf-go-lib/functioncontext"

	"clbwatch/internal/report"
	"clbwatch/internal/talk"
	"clbwatch/internal/watch"
)

// App does what events ask for.
type App interface {
	// Tick does one tick.
	Tick(ctx context.Context) (watch.Summary, error)
	// Report reads how things stand and what happened in the time before, posts it and returns it. It changes no
	// state.
	Report(ctx context.Context, since time.Duration) (report.Report, error)
	// Silence makes or ends a silence, and says what it covers.
	Silence(ctx context.Context, r watch.SilenceRequest) (watch.SilenceAnswer, error)
	// Check tries what a tick needs and returns what it found, as JSON.
	Check(ctx context.Context) (json.RawMessage, error)
	// Test posts one test message.
	Test(ctx context.Context) error
	// Talk answers a request of Slack's. Whatever it is, the answer says so.
	Talk(ctx context.Context, r talk.Request) talk.Answer
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
	// Environment is that of this invocation, as it came with it; nil if none came. The library leaves in the
	// process what an earlier invocation brought and this one does not have.
	Environment map[string]string
	Function    string // "region/namespace/name" of the function; "" if the platform does not say
	Shard       string // what the event says of it, such as "2/4"; "" if it says nothing
	Memory      int64  // bytes that the platform grants the instance; 0 if it does not say
}

// Serve answers the platform's calls on _LAMBDA_SERVER_PORT. It does not return.
func Serve(h *Handler) { cloudfunction.StartHandler(h) }

// Invoke answers one event with JSON. Its error names no secret.
func (h *Handler) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	if r, ok := parseHTTP(event); ok {
		return h.answer(ctx, r)
	}
	r, err := parse(event)
	if err != nil {
		return nil, err
	}
	app, err := h.Open(invocation(ctx, r.shard))
	if err != nil {
		return nil, err
	}
	start := h.Now()
	answer, err := actions[r.action](ctx, app, r)
	log := app.Log()
	if r.shard != "" {
		log = log.With("shard", r.shard)
	}
	log = log.With("action", r.action, "ms", h.Now().Sub(start).Milliseconds())
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
		if sum.Unheard != nil {
			log = log.With("silencesWhy", sum.Unheard.Error())
		}
		trouble := errors.Join(sum.Unread, sum.Unsent, sum.Untidy, sum.Odd, sum.Unheard)
		if err == nil && trouble != nil {
			log.Warn("done, with trouble")
			return json.Marshal(answer)
		}
	}
	if err != nil {
		log.Error(err.Error())
		return nil, err
	}
	if a, ok := answer.(watch.SilenceAnswer); ok {
		s := a.Silence
		log = log.With("silence", s.ID, "what", s.Scope(), "by", s.By, "until", s.Until, "covers", a.Covers)
		if !s.Ended.IsZero() {
			log = log.With("endedBy", s.EndedBy)
		}
	}
	log.Info("done")
	return json.Marshal(answer)
}

// invocation is what the platform says, and has garbage collected before the instance needs more memory than
// it is given, and is killed. A quarter is left for what the collector does not know of.
func invocation(ctx context.Context, shard string) Invocation {
	i := Invocation{Shard: shard}
	instance, ok := functioncontext.FromContext(ctx)
	if !ok {
		return i
	}
	if instance.FunctionName != "" {
		i.Function = strings.Join([]string{instance.TencentcloudRegion, instance.Namespace, instance.FunctionName},
			"/")
	}
	i.Environment, i.Memory = instance.Environment, int64(max(instance.MemoryLimitInMb, 0))<<20
	if i.Memory > 0 {
		debug.SetMemoryLimit(i.Memory / 4 * 3)
	}
	return i
}
