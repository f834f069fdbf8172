package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/text"
)

const (
	// heartbeat is how old the head may get before a quiet tick renews it. It bounds how exactly a gap can be
	// told.
	heartbeat = 5 * time.Minute
	// gap is how old the last known reading must be for a change to be reported as "between … and …".
	gap = 2*heartbeat + time.Minute
	// claimSlack is how long a claim outlives the run that made it: the clock of COS is exact to a few seconds.
	claimSlack = 10 * time.Second
	// noDeadline is how long a run may take where the platform sets no limit.
	noDeadline = 5 * time.Minute
	// collectEvery is how many heads pass between two collections of old state.
	collectEvery = 64
	// clockSlack is how far the clocks of two runs may differ before one of them is wrong.
	clockSlack = time.Minute
	// maxUnread bounds how many reasons a summary gives.
	maxUnread = 5
	// maxNamed bounds how many names a reason is given with.
	maxNamed = 5
	// maxConflicts is how often a commit starts over because another run was first.
	maxConflicts = 8
)

// Watcher watches load balancers. All fields must be set, unless they say otherwise.
type Watcher struct {
	state.Part // the state; its Shard says which load balancers are this run's

	CLBs     []lb.CLB // sorted by Key, each once
	Discover []Scope  // more load balancers to be found; each once
	Source   Source
	Finder   Finder // nil if nothing is to be discovered
	Notifier Notifier
	Rules    incident.Rules // but for Tag, which each commit has its own of
	Silences Silences       // nil: there are none

	Spool func() (Spool, error) // room for one tick's changed readings
	// the clock that deadlines go by; all else goes by the store's
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error // returns early, with an error, when ctx ends
}

// Summary is what one tick did.
type Summary struct {
	CLBs       int `json:"clbs"`       // load balancers watched
	Read       int `json:"read"`       // of those, read whole and verified
	Unreadable int `json:"unreadable"` // of those, not
	Changes    int `json:"changes"`    // backend changes found
	Sent       int `json:"sent"`       // messages that Slack took, without edits
	Pending    int `json:"pending"`    // messages that are due and not in Slack

	Head   int64 `json:"-"` // number of the head at the end
	Unsent error `json:"-"` // what went wrong on the way to Slack, the first few; the tick itself did its job
	// another run saw the load balancers after this one began, whose readings were dropped
	Stale bool `json:"-"`
	// why load balancers, their health or the lists of them could not be read, a line each, the first few
	Unread error `json:"-"`
	// rows that do not tell all, a line for each load balancer that has some, the first few
	Odd     error `json:"-"`
	Untidy  error `json:"-"` // why old state was not deleted; it is tried again later
	Unheard error `json:"-"` // why not all silences could be read: those that are known go on
}

// Tick does one round: load, observe, diff, judge, commit, notify, mark. Whatever stops it between two steps,
// the next tick goes on from the head. It is an error if the job could not be done at all (no state, or
// nothing readable), or if something has been due for too long.
func (w *Watcher) Tick(ctx context.Context) (Summary, error) {
	t := w.schedule(ctx)
	base, err := w.begin(ctx)
	if err != nil {
		return Summary{CLBs: len(w.CLBs)}, NoState{err}
	}
	// By the wall clock: the other one stands still in a machine that sleeps.
	if late := w.Now().Round(0).Sub(t.end.Round(0)); late > 0 {
		return Summary{CLBs: len(w.CLBs)}, fmt.Errorf("this run was frozen for so long that its time was over %v "+
			"ago: "+
			"its settings may be old, and the next one goes on", late.Round(time.Second))
	}

	readCtx, cancel := context.WithDeadline(ctx, t.readUntil)
	silences := w.hear(readCtx, base)
	seen := w.observe(readCtx, base, t.sendUntil)
	seen.silences = <-silences
	cancel()
	defer func() { _ = seen.close() }() // an unlinked temporary file: nothing is lost with it
	sum := w.summary(seen)

	// If we stop before the commit, nothing has happened: the next tick diffs against the same snapshot.
	head, err := w.commit(ctx, base, seen, t, &sum)
	if err != nil {
		return sum, NoState{err}
	}
	// If we stop from here on, what this run claimed is in doubt once its claims have ended: the next tick looks
	// for it.
	if run := w.round(head, seen); run != nil {
		run.notify(ctx, t.sendUntil)
		sum.Sent, sum.Unsent = run.sent, run.unsent()
		// If we stop here, the same: a bot finds what it posted, and a webhook posts it once more, marked as a
		// repeat.
		if head, err = w.mark(ctx, head, run); err != nil {
			return sum, fmt.Errorf("%d messages were sent but could not be marked, the next tick may repeat them: %w",
				sum.Sent, err)
		}
	}
	sum.Head, sum.Pending = head.N, head.Incidents.Pending()
	if base.head.Number()/collectEvery < head.N/collectEvery {
		tidyCtx, cancel := context.WithDeadline(ctx, t.sendUntil)
		sum.Untidy = w.Store.Collect(tidyCtx)
		cancel()
	}
	return sum, errors.Join(sum.nothingRead(), w.overdue(head))
}

// NoState is the error of a tick that could do nothing, because its state could not be read or written.
type NoState struct{ error }

// Unwrap returns why.
func (e NoState) Unwrap() error { return e.error }

// nothingRead is an error if there was something to read and nothing could be.
func (s Summary) nothingRead() error {
	if s.Read > 0 || s.CLBs == 0 && s.Unread == nil {
		return nil
	}
	return fmt.Errorf("no load balancer could be read: %w", s.Unread)
}

// overdue is an error if something has been due, or presumed delivered, for too long: the platform counts it,
// so that somebody notices.
func (w *Watcher) overdue(h *state.Head) error {
	late := h.Incidents.Overdue(w.Store.Now())
	if len(late) == 0 {
		return nil
	}
	var ids []string
	for _, r := range late[:min(len(late), maxUnread)] {
		ids = append(ids, r.ID())
	}
	err := fmt.Errorf("the news of %d messages, such as incident %s, has not reached Slack, or may not have, "+
		"for 15 minutes",
		len(late), strings.Join(ids, ", "))
	return advice.Add(err, "the log says what Slack answers; clbwatch check tries the settings")
}

// Preview does the first half of a tick and returns the documents that it would post. Nothing is stored or
// posted.
func (w *Watcher) Preview(ctx context.Context) (posts []Preview, sum Summary, err error) {
	b, err := w.load(ctx)
	if err != nil {
		return nil, Summary{CLBs: len(w.CLBs)}, err
	}
	silences := w.hear(ctx, b)
	seen := w.observe(ctx, b, time.Time{})
	seen.silences = <-silences
	defer func() { _ = seen.close() }() // an unlinked temporary file
	sum = w.summary(seen)
	d, err := w.diff(ctx, b, seen)
	if err != nil {
		return nil, sum, err
	}
	defer d.close()
	sum.Changes = d.changes
	h := w.Next(b.head)
	d.apply(h, w.Shard, w.rules())
	now := w.Store.Now()
	h.Incidents.Plan(d.seen.At, now, "preview", now.Add(time.Minute), w.rules())
	roots, _ := h.Incidents.Claimed("preview")
	for _, r := range roots {
		if call, ok := r.NextPost(); ok {
			posts = append(posts, Preview{Call: call, Document: h.Incidents.Document(r, seen.name)})
		}
	}
	sum.Head, sum.Pending = b.head.Number(), len(posts)
	return posts, sum, sum.nothingRead()
}

// Preview is one message that a tick would post.
type Preview struct {
	Call     incident.Call
	Document incident.Document
}

// schedule divides the time of a run, so that a hanging call cannot take the time of what comes after it.
type schedule struct{ readUntil, sendUntil, end time.Time }

func (w *Watcher) schedule(ctx context.Context) schedule {
	now := w.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = now.Add(noDeadline)
	}
	left := deadline.Sub(now)
	return schedule{
		readUntil: deadline.Add(-min(15*time.Second, left*2/5)), // then: confirm, diff, judge, commit, notify, mark
		sendUntil: deadline.Add(-min(5*time.Second, left/5)),    // then: mark
		end:       deadline,
	}
}

// base is what a tick starts from: the newest head, or nil, and the index of its snapshot.
type base struct {
	head  *state.Head
	known map[string]state.Entry // by key
}

func (b base) unposted() []string {
	if b.head == nil {
		return nil
	}
	return b.head.Unposted
}

// after is a time after the head's observation: at, unless the clocks of two runs differ.
func (b base) after(at time.Time) time.Time {
	if b.head == nil || b.head.Incidents.At.Before(at) || b.head.Incidents.At.Sub(at) > incident.MaxBehind {
		return at
	}
	return b.head.Incidents.At.Add(time.Millisecond)
}

// observedIf is when the head's observation began, if something was known by it.
func (b base) observedIf(known bool) time.Time {
	if b.head == nil || !known {
		return time.Time{}
	}
	return b.head.ObservedAt
}

// abandoning are the load balancers whose incidents this observation may abandon.
func (b base) abandoning(at time.Time, rules incident.Rules) map[string]bool {
	if b.head == nil {
		return nil
	}
	return b.head.Incidents.Abandoning(at, rules)
}

// begin loads what a tick starts from.
func (w *Watcher) begin(ctx context.Context) (base, error) {
	head, err := w.Part.Begin(ctx)
	if err != nil {
		return base{}, err
	}
	return w.open(ctx, head)
}

// load loads what a commit starts from that another run was faster than.
func (w *Watcher) load(ctx context.Context) (base, error) {
	head, err := w.Part.Load(ctx)
	if err != nil {
		return base{}, err
	}
	return w.open(ctx, head)
}

func (w *Watcher) open(ctx context.Context, head *state.Head) (base, error) {
	s, err := state.OpenSnapshot(ctx, w.Store, head)
	if err != nil {
		return base{}, fmt.Errorf("load state: %w", err)
	}
	s.Close()
	return base{head, s.Index.CLBs}, nil
}

// rules are the rules of one commit.
func (w *Watcher) rules() incident.Rules {
	r := w.Rules
	r.Tag, r.Suffix = w.Nonce(), w.Shard.Suffix()
	return r
}

// commit writes what was seen, what it means, and what this run is to post because of it. It returns the
// newest head: the old one if there was nothing to write, which is how most ticks end. If another run was
// first, it starts over from that run's head.
func (w *Watcher) commit(ctx context.Context, b base, seen *sweep, t schedule, sum *Summary) (h *state.Head,
	err error) {
	for range maxConflicts {
		d, err := w.diff(ctx, b, seen)
		if err != nil {
			return nil, err
		}
		h, err := w.write(ctx, b.head, d, t)
		d.close()
		sum.Changes, sum.Stale = d.changes, d.stale
		if !errors.Is(err, state.ErrConflict) {
			return h, err
		}
		if b, err = w.load(ctx); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("commit state: %w, %d times in a row", state.ErrConflict, maxConflicts)
}

// write commits the head that follows, first what it points to, if there is anything to write.
func (w *Watcher) write(ctx context.Context, old *state.Head, d *delta, t schedule) (h *state.Head,
	err error) {
	h = w.Next(old)
	rules, now := w.rules(), w.Store.Now()
	busy := old != nil && old.Incidents.Busy()
	d.apply(h, w.Shard, rules)
	until := now.Add(t.end.Sub(w.Now()) + claimSlack)
	h.Tail = append(h.Tail, h.Incidents.Plan(h.Incidents.At, now, h.Writer, until, rules)...)
	busy = busy || h.Incidents.Busy() || h.Incidents.Stirred()
	if old != nil && !busy && d.empty() && !due(old, now) {
		return old, nil
	}
	if d.snapshot != nil {
		// If we stop after this, the snapshot is an orphan that Collect deletes.
		if h.Snapshot, err = d.snapshot.Commit(); err != nil {
			return nil, err
		}
	}
	if err := state.Commit(ctx, w.Store, h); err != nil {
		return nil, fmt.Errorf("commit state: %w", err)
	}
	return h, nil
}

// due reports whether a head is so old that a quiet tick renews it, or from the future: then a clock was
// wrong, and nobody could tell until that time whether anybody is at work.
func due(h *state.Head, now time.Time) bool {
	age := now.Sub(h.CommittedAt)
	return age >= heartbeat || age < -clockSlack
}

// mark takes what was done into the newest head, whoever wrote that, and ends the run's claims.
func (w *Watcher) mark(ctx context.Context, h *state.Head, run *round) (*state.Head, error) {
	for range maxConflicts {
		next := w.Next(h)
		next.Incidents.Mark(run.by, run.steps, w.Store.Now())
		err := state.Commit(ctx, w.Store, next)
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, state.ErrConflict) {
			return nil, fmt.Errorf("mark: %w", err)
		}
		if h, err = w.Part.Load(ctx); err == nil && h == nil {
			err = errors.New("the state is gone")
		}
		if err != nil {
			return nil, fmt.Errorf("mark: %w", err)
		}
	}
	return nil, fmt.Errorf("mark: %w, %d times in a row", state.ErrConflict, maxConflicts)
}

func (w *Watcher) summary(s *sweep) Summary {
	sum := Summary{CLBs: len(s.seen)}
	var unread, unhealthy []advice.Group
	var errs, odd []error
	for _, scope := range w.Discover {
		if err := s.unlistedErr(scope); err != nil && len(errs) < maxUnread {
			errs = append(errs, err)
		}
	}
	for i, o := range s.seen {
		if o.err != nil {
			sum.Unreadable++
			unread = advice.Put(unread, maxUnread, s.clbs[i].Key(), o.err)
			continue
		}
		sum.Read++
		if o.healthErr != nil {
			unhealthy = advice.Put(unhealthy, maxUnread, s.clbs[i].Key(), o.healthErr)
		}
	}
	for _, g := range unread {
		errs = append(errs, fmt.Errorf("cannot read %s: %w", text.Few(g.Names, maxNamed), g.Err))
	}
	for _, g := range unhealthy {
		errs = append(errs, fmt.Errorf("cannot read the health of %s: %w", text.Few(g.Names, maxNamed), g.Err))
	}
	for i, o := range s.seen {
		if len(o.odd) > 0 && len(odd) < maxUnread {
			odd = append(odd, fmt.Errorf("%s: %s", s.clbs[i].Key(), strings.Join(o.odd, "; ")))
		}
	}
	sum.Unread = errors.Join(errs[:min(len(errs), maxUnread)]...)
	sum.Odd, sum.Unheard = errors.Join(odd...), s.silences.err
	return sum
}
