package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"clbwatch/internal/lb"
)

const (
	// heartbeat is how old the head may get before a quiet tick renews it. It bounds how exactly a gap can be told.
	heartbeat = 5 * time.Minute
	// gap is how old the last known reading must be for a change to be told as "between … and …".
	gap = 2*heartbeat + time.Minute
	// leaseSlack is how long the lease outlives the run that holds it, for clocks that differ.
	leaseSlack = 5 * time.Second
	// noDeadline is how long a run may take where the platform sets no limit.
	noDeadline = 5 * time.Minute
	// collectEvery is how many heads pass between two collections of old state.
	collectEvery = 64
	// maxLease is the longest that a lease can still last: the platform's longest timeout, and clocks that differ.
	maxLease = 15*time.Minute + clockSlack
	// clockSlack is how far the clocks of two runs may differ before one of them is wrong.
	clockSlack = time.Minute
	// maxUnread bounds how many reasons a summary gives.
	maxUnread = 5
	// maxConflicts is how often a commit starts over because another run was first.
	maxConflicts = 8
)

// Watcher watches load balancers. All fields must be set, unless they say otherwise.
type Watcher struct {
	CLBs       []lb.CLB // sorted by Key, each once
	Discover   []Scope  // more load balancers to be found; each once
	Shard      Shard    // which of them are this run's
	Source     Source
	Finder     Finder                     // nil if nothing is to be discovered
	Stores     func(Shard) (Store, error) // the state of any shard, of however many: where it is left when their number changes; nil if there are no others
	Store      Store
	Notifier   Notifier
	BlindAfter int // ticks without a reading before people are told; at least 1

	Spool func() (Spool, error)                            // room for one tick's changed readings
	Now   func() time.Time                                 // the clock
	Sleep func(ctx context.Context, d time.Duration) error // returns early, with an error, when ctx ends
	Nonce func() string                                    // a new random text each time, at least 8 bytes
}

// Summary is what one tick did.
type Summary struct {
	CLBs       int `json:"clbs"`       // load balancers watched
	Read       int `json:"read"`       // of those, read whole and verified
	Unreadable int `json:"unreadable"` // of those, not
	Changes    int `json:"changes"`    // backend changes found
	Sent       int `json:"sent"`       // messages delivered
	Pending    int `json:"pending"`    // alerts still owed

	Head   int64 `json:"-"` // number of the head at the end
	Unsent error `json:"-"` // why alerts are still owed, or were refused; the tick itself did its job
	Stale  bool  `json:"-"` // a faster run saw the load balancers later than this one, whose readings were dropped
	Unread error `json:"-"` // why load balancers, their health or the lists of them could not be read, a line each, the first few
	Odd    error `json:"-"` // rows that do not tell all, a line for each load balancer that has some, the first few
	Untidy error `json:"-"` // why old state was not deleted; it is tried again later
}

// Tick does one round: load, observe, diff, commit, notify, mark. Whatever stops it between two steps, the next tick
// goes on from the head. It is an error only if the job could not be done at all: no state, or nothing readable.
func (w *Watcher) Tick(ctx context.Context) (Summary, error) {
	t := w.schedule(ctx)
	base, err := w.begin(ctx)
	if err != nil {
		return Summary{CLBs: len(w.CLBs)}, err
	}

	readCtx, cancel := context.WithDeadline(ctx, t.readUntil)
	seen := w.observe(readCtx, base)
	cancel()
	defer func() { _ = seen.close() }() // an unlinked temporary file: nothing is lost with it
	sum := w.summary(seen)

	// If we stop before the commit, nothing has happened: the next tick diffs against the same snapshot.
	head, claimed, err := w.commit(ctx, base, seen, t.leaseUntil, &sum)
	if err != nil {
		return sum, err
	}
	// If we stop from here on, the alerts are in the outbox, and the next tick sends them when our lease has ended.
	sum.Head = head.N
	sum.Pending = len(head.Outbox)
	if claimed != nil {
		sendCtx, cancel := context.WithDeadline(ctx, t.sendUntil)
		w.notify(sendCtx, head, claimed, &sum)
		cancel()
		// If we stop here, messages that people have are sent again: the one double that a webhook cannot avoid.
		if head, err = w.mark(ctx, head, claimed); err != nil {
			return sum, fmt.Errorf("%d messages were sent but could not be marked, the next tick may repeat them: %w", sum.Sent, err)
		}
		sum.Head, sum.Pending = head.N, len(head.Outbox)
	}
	if base.number()/collectEvery < head.N/collectEvery {
		tidyCtx, cancel := context.WithDeadline(ctx, t.sendUntil)
		sum.Untidy = w.Store.Collect(tidyCtx)
		cancel()
	}
	return sum, sum.nothingRead()
}

// nothingRead is an error if there was something to read and nothing could be.
func (s Summary) nothingRead() error {
	if s.Read > 0 || s.CLBs == 0 && s.Unread == nil {
		return nil
	}
	return fmt.Errorf("no load balancer could be read: %w", s.Unread)
}

// Preview does the first half of a tick and reports what it would tell. Nothing is stored and nobody is told.
func (w *Watcher) Preview(ctx context.Context) (Alert, Summary, error) {
	base, err := w.load(ctx)
	if err != nil {
		return Alert{}, Summary{CLBs: len(w.CLBs)}, err
	}
	seen := w.observe(ctx, base)
	defer func() { _ = seen.close() }() // an unlinked temporary file
	sum := w.summary(seen)
	d, err := w.diff(ctx, base, seen)
	if err != nil {
		return Alert{}, sum, err
	}
	defer d.close()
	sum.Changes = d.changes
	if base.head != nil {
		sum.Head, sum.Pending = base.head.N, len(base.head.Outbox)
	}
	return d.alert.bound(), sum, sum.nothingRead()
}

// schedule divides the time of a run, so that a hanging call cannot take the time of what comes after it.
type schedule struct{ readUntil, sendUntil, leaseUntil time.Time }

func (w *Watcher) schedule(ctx context.Context) schedule {
	now := w.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = now.Add(noDeadline)
	}
	left := deadline.Sub(now)
	return schedule{
		readUntil:  deadline.Add(-min(15*time.Second, left*2/5)), // then: confirm, diff, commit, notify, mark
		sendUntil:  deadline.Add(-min(5*time.Second, left/5)),    // then: mark
		leaseUntil: deadline.Add(leaseSlack),
	}
}

// base is what a tick starts from: the newest head, or nil, and the index of its snapshot.
type base struct {
	head  *Head
	known index
}

func (b base) number() int64 {
	if b.head == nil {
		return 0
	}
	return b.head.N
}

func (b base) untold() []string {
	if b.head == nil {
		return nil
	}
	return b.head.Untold
}

// begin loads what a tick starts from. Where this shard has no state, or its state went over to another number of
// shards, it is brought here first.
func (w *Watcher) begin(ctx context.Context) (base, error) {
	for range maxConflicts {
		head, err := w.Store.Load(ctx)
		if err != nil {
			return base{}, fmt.Errorf("load state: %w", err)
		}
		if w.Stores == nil || (head != nil || w.Shard.Of <= 1) && (head == nil || head.Moved == 0) {
			return w.open(ctx, head)
		}
		// Other shards may be at it too.
		if err := w.takeOver(ctx, head); err != nil && !errors.Is(err, ErrConflict) {
			return base{}, err
		}
	}
	return base{}, fmt.Errorf("take over the state: %w, %d times in a row", ErrConflict, maxConflicts)
}

func (w *Watcher) load(ctx context.Context) (base, error) {
	head, err := w.Store.Load(ctx)
	if err != nil {
		return base{}, fmt.Errorf("load state: %w", err)
	}
	return w.open(ctx, head)
}

func (w *Watcher) open(ctx context.Context, head *Head) (base, error) {
	if head != nil && head.Moved != 0 {
		return base{}, fmt.Errorf("load state: it went over to %d shards", head.Moved)
	}
	s, known, err := w.snapshot(ctx, head)
	if err != nil {
		return base{}, fmt.Errorf("load state: %w", err)
	}
	s.close()
	return base{head, known}, nil
}

// commit writes what was seen and what is owed because of it. It returns the newest head: the old one if there was
// nothing to write, which is how most ticks end. claimed is what this run is now to send, nil if it is not the sender.
// If another run was first, it starts over from that run's head.
func (w *Watcher) commit(ctx context.Context, b base, seen *sweep, leaseUntil time.Time, sum *Summary) (h *Head, claimed map[string]outcome, err error) {
	for range maxConflicts {
		d, err := w.diff(ctx, b, seen)
		if err != nil {
			return nil, nil, err
		}
		h, claimed, err := w.write(ctx, b.head, d, leaseUntil)
		d.close()
		sum.Changes, sum.Stale = d.changes, d.stale
		if !errors.Is(err, ErrConflict) {
			return h, claimed, err
		}
		if b, err = w.load(ctx); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("commit state: %w, %d times in a row", ErrConflict, maxConflicts)
}

// write commits the head that follows, first the snapshot it points to, if there is anything to write.
func (w *Watcher) write(ctx context.Context, old *Head, d *delta, leaseUntil time.Time) (h *Head, claimed map[string]outcome, err error) {
	now := w.Now().UTC().Truncate(time.Millisecond)
	h = old.successor(w.Nonce(), now)
	d.apply(h)
	if !d.stale {
		h.Threads = h.Threads.of(d.clbs)
	}
	send := len(h.Outbox) > 0 && !h.leased(now)
	if old != nil && !send && d.empty() && !due(old, now) {
		return old, nil, nil
	}
	if send {
		claimed = h.claim(leaseUntil)
	}
	if d.snapshot != nil {
		// If we stop after this, the snapshot is an orphan that Collect deletes.
		blob, err := d.snapshot.Commit()
		if err != nil {
			return nil, nil, fmt.Errorf("commit snapshot: %w", err)
		}
		h.Snapshot = &blob
	}
	if err := w.Store.Commit(ctx, h); err != nil {
		return nil, nil, fmt.Errorf("commit state: %w", err)
	}
	return h, claimed, nil
}

// due reports whether a head is so old that a quiet tick renews it.
func due(h *Head, now time.Time) bool { return now.Sub(h.CommittedAt) >= heartbeat }

// notify sends what is owed, oldest first, and stops at the first failure, so that messages keep their order. It notes
// in sent what became of each.
func (w *Watcher) notify(ctx context.Context, h *Head, sent map[string]outcome, sum *Summary) {
	threads := h.Threads
	for _, a := range h.Outbox {
		if ctx.Err() != nil {
			sum.Unsent = fmt.Errorf("no time left to send: %w", ctx.Err())
			return
		}
		d := Delivery{Alert: a, Again: sent[a.ID].fate == unknown}
		if t, ok := threads[a.Thread]; ok {
			t = t.with(a)
			d.Thread = &t
		}
		receipt, err := w.Notifier.Notify(ctx, d)
		if err == nil {
			sent[a.ID] = outcome{done, receipt}
			threads = threads.after(a, receipt)
			sum.Sent++
			continue
		}
		sum.Unsent = fmt.Errorf("send alert %s: %w", a.ID, err)
		if errors.Is(err, ErrRefused) {
			sent[a.ID] = outcome{fate: done}
			continue
		}
		if !errors.Is(err, ErrNotSent) {
			sent[a.ID] = outcome{fate: unknown}
		}
		return
	}
}

// mark takes what was sent out of the newest head, whoever wrote that, and gives the lease back.
func (w *Watcher) mark(ctx context.Context, h *Head, sent map[string]outcome) (*Head, error) {
	sender := h.Writer
	for range maxConflicts {
		next := h.successor(w.Nonce(), w.Now().UTC().Truncate(time.Millisecond))
		next.mark(sender, sent)
		err := w.Store.Commit(ctx, next)
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, fmt.Errorf("mark: %w", err)
		}
		if h, err = w.Store.Load(ctx); err != nil {
			return nil, fmt.Errorf("mark: %w", err)
		}
		if h == nil {
			return nil, errors.New("mark: the state is gone")
		}
	}
	return nil, fmt.Errorf("mark: %w, %d times in a row", ErrConflict, maxConflicts)
}

func (w *Watcher) summary(s *sweep) Summary {
	sum := Summary{CLBs: len(s.seen)}
	var unread, odd []error
	note := func(err error) {
		if len(unread) < maxUnread {
			unread = append(unread, err)
		}
	}
	for _, scope := range w.Discover {
		if err := s.unlistedErr(scope); err != nil {
			note(err)
		}
	}
	for i, o := range s.seen {
		if o.err != nil {
			sum.Unreadable++
			note(fmt.Errorf("cannot read %s: %w", s.clbs[i].Key(), o.err))
			continue
		}
		sum.Read++
		if o.healthErr != nil {
			note(fmt.Errorf("cannot read the health of %s: %w", s.clbs[i].Key(), o.healthErr))
		}
	}
	for i, o := range s.seen {
		if len(o.odd) > 0 && len(odd) < maxUnread {
			odd = append(odd, fmt.Errorf("%s: %s", s.clbs[i].Key(), strings.Join(o.odd, "; ")))
		}
	}
	sum.Unread, sum.Odd = errors.Join(unread...), errors.Join(odd...)
	return sum
}
