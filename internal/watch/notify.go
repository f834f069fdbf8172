package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/text"
)

const (
	// callTime is the longest that one call to Slack may take.
	callTime = 10 * time.Second
	// leastTime is how long a call must be able to take, or it is left to the next tick: one that is cut short
	// is in doubt. Where a run is short, it is a quarter of the time that there is for all calls.
	leastTime = 2 * time.Second
)

// Notifier makes calls to Slack.
type Notifier interface {
	// Do makes one call about a root, in the words and the layout of the document as it is now, and says what
	// its answer means. It is called by one goroutine at a time and gives up when ctx ends; an outcome that is
	// not Done has an error, with advice where there is some (package advice).
	Do(ctx context.Context, call incident.Call, doc incident.Document) incident.Outcome
}

// round is what one run does about the roots it has claimed.
type round struct {
	w     *Watcher
	state *incident.State // the run's own copy, which goes on with each answer
	by    string
	at    time.Time               // of the observation that is posted
	end   time.Time               // of the round, by Watcher.Now
	least time.Duration           // that a call must be able to take
	names func(key string) lb.CLB // of load balancers whose incidents do not hold them
	down  map[incident.Route]bool // routes on which nothing would arrive now
	slow  map[incident.Route]bool // routes on which something went wrong: the others come first
	steps []incident.Step         // what was done
	errs  []advice.Group          // by incident: the first few
	late  error                   // that no time was left
	sent  int
}

// round is what a run does with the head that it committed; nil if it claimed nothing.
func (w *Watcher) round(h *state.Head, seen *sweep) *round {
	posts, edits := h.Incidents.Claimed(h.Writer)
	if len(posts)+len(edits) == 0 {
		return nil
	}
	return &round{w: w, state: h.Incidents.Clone(), by: h.Writer, at: h.Incidents.At, names: seen.name,
		down: make(map[incident.Route]bool), slow: make(map[incident.Route]bool)}
}

// notify posts what the run has claimed: first what no post has shown, then edits, until the round ends. What
// goes wrong about one root delays no other, and a channel in trouble none of the others.
func (r *round) notify(ctx context.Context, end time.Time) {
	r.end, r.least = end, min(leastTime, end.Sub(r.w.Now())/4)
	posts, edits := r.state.Claimed(r.by)
	r.each(ctx, posts, (*incident.Root).NextPost)
	r.each(ctx, edits, func(root *incident.Root) (incident.Call, bool) {
		return root.NextEdit(r.w.Store.Now())
	})
}

// each makes the calls about some roots, in their order, but for those of channels on which a call went
// wrong: these come last, so that the time which their calls take is nobody else's.
func (r *round) each(ctx context.Context, roots []*incident.Root,
	next func(*incident.Root) (incident.Call, bool)) {
	for len(roots) > 0 {
		well := func(root *incident.Root) bool { return !r.slow[root.Delivery.Route] }
		at := max(slices.IndexFunc(roots, well), 0)
		root := roots[at]
		roots = slices.Delete(roots, at, at+1)
		for {
			call, ok := next(root)
			if !ok || !r.do(ctx, root, call) {
				break
			}
		}
	}
}

// do makes one call, and reports whether the next one about the same root may follow.
func (r *round) do(ctx context.Context, root *incident.Root, call incident.Call) bool {
	if r.down[call.Route] {
		return false
	}
	until, ok := r.until(root.Delivery.Claim)
	if !ok {
		r.late = errors.New("no time left for calls to Slack: the next tick goes on")
		r.down[call.Route] = true
		return false
	}
	callCtx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	doc := r.state.Document(root, r.names)
	out := r.w.Notifier.Do(callCtx, call, doc)
	step := incident.Step{Root: root.Prefix(), Call: call, Outcome: out, Now: r.w.Store.Now(), At: r.at}
	r.steps = append(r.steps, step)
	if out.Class != incident.Done && out.Class != incident.NotThere {
		r.errs = advice.Put(r.errs, maxUnread, root.ID(), out.Err)
		r.slow[call.Route] = true
	}
	if out.Class == incident.Done && call.Do == incident.Send {
		r.sent++
	}
	stop := root.Take(step)
	r.down[call.Route] = r.down[call.Route] || stop
	return !stop
}

// until is when a call that begins now must have ended; ok is false if that is too soon. No call lasts longer
// than the claim that it is made under: a run that was stopped past that end makes none.
func (r *round) until(claim *incident.Claim) (until time.Time, ok bool) {
	now := r.w.Now()
	most := min(callTime, r.end.Sub(now))
	return now.Add(most), most > 0 && most >= r.least && claim.Until.Sub(r.w.Store.Now()) >= most
}

// unsent is what went wrong on the way to Slack.
func (r *round) unsent() error {
	errs := make([]error, 0, len(r.errs)+1)
	for _, g := range r.errs {
		which := "incident"
		if len(g.Names) > 1 {
			which = "incidents"
		}
		errs = append(errs, fmt.Errorf("%s %s: %w", which, text.Few(g.Names, maxNamed), g.Err))
	}
	return errors.Join(append(errs, r.late)...)
}
