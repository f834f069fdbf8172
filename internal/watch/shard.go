package watch

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"time"

	"clbwatch/internal/advice"
)

// Shard is one of several parts that load balancers are divided into, where one function does not get through them all in
// its time. Each part has a state of its own. The zero Shard is all of them.
type Shard struct {
	N, Of int // the Nth, from 1
}

// Owns reports whether a load balancer is in the shard. Which one it is in depends on its key and on how many there are.
func (s Shard) Owns(key string) bool {
	if s.Of <= 1 {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	return int(h.Sum32()%uint32(s.Of)) == s.N-1
}

// first reports whether the shard is the one that speaks for all.
func (s Shard) first() bool { return s.N <= 1 }

// String is the shard as the settings have it, such as "2/4"; "1/1" for all.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", max(s.N, 1), max(s.Of, 1)) }

// MaxShards bounds how many shards there may be: more would ask the cloud for the same lists over and over.
const MaxShards = 64

// owner is the shard, of so many, that a load balancer is in.
func owner(key string, of int) int {
	n := 1
	for !(Shard{n, of}).Owns(key) {
		n++
	}
	return n
}

// former is the state of so many shards: one head for each of them, and where it is. They are all of one era: how often
// the state went over to another number of shards before it came here.
type former struct {
	of, era int
	heads   []*Head
	stores  []Store
}

// level loads the state of so many shards, and says which of them are not there: those without a head, and those whose
// head is older than the era after era, left from when the state was here before.
func (w *Watcher) level(ctx context.Context, of, era int) (f former, absent []int, err error) {
	f = former{of: of, era: math.MaxInt}
	for i := range of {
		s, err := w.Stores(Shard{i + 1, of})
		var h *Head
		if err == nil {
			h, err = s.Load(ctx)
		}
		if err != nil {
			return f, nil, fmt.Errorf("state of shard %d/%d: %w", i+1, of, err)
		}
		f.heads, f.stores = append(f.heads, h), append(f.stores, s)
		if h == nil || h.Era <= era && (h.Era != 0 || era != 0) { // heads of schema 3 have no eras
			absent = append(absent, i)
		} else {
			f.era = min(f.era, h.Era)
		}
	}
	return f, absent, nil
}

// moved is how many shards the state is going over to, or went; 0 if it stays.
func (f former) moved() (to int, err error) {
	for _, h := range f.heads {
		switch {
		case h == nil || h.Moved == 0 || h.Moved == to:
		case to == 0:
			to = h.Moved
		default:
			return 0, fmt.Errorf("the state of %d shards went over to %d and to %d", f.of, to, h.Moved)
		}
	}
	return to, nil
}

// nowhere is no number of shards: trace then looks for the state as it is now, and changes nothing.
const nowhere = -1

// trace follows the state from the root, where it begins, to where it went over to so many shards, or is about to: each
// shard's last head says how many took over from it. own is the last head of a shard that has been one of so many before;
// what was before that is not meant. Where not all shards that the state went over to have run, because they were not meant
// to or died, the others are brought there: their part of it is still with the former ones.
func (w *Watcher) trace(ctx context.Context, own *Head, to int) (former, error) {
	var prev former
	of, era, since := 1, -1, -1
	if own != nil {
		since = own.Era
	}
	for range 2 * MaxShards {
		f, absent, err := w.level(ctx, of, era)
		if err != nil {
			return f, err
		}
		if prev.of == 0 && len(absent) > 0 {
			return f, nil // the first run there ever was
		}
		if len(absent) > 0 {
			if to == nowhere {
				return f, advice.Add(fmt.Errorf("the state of %d shards is not whole: %d of them have not run yet", of, len(absent)),
					"it is once each of them has run")
			}
			for _, i := range absent {
				part := *w
				part.Shard, part.Store = Shard{i + 1, of}, f.stores[i]
				if err := part.bring(ctx, prev, f.heads[i]); err != nil {
					return f, err
				}
			}
			continue
		}
		next, err := f.moved()
		if err != nil {
			return f, err
		}
		switch {
		case next == 0 && of == to:
			return f, ErrConflict // another run brought it here since own was loaded
		case next == 0, next == to && f.era > since:
			return f, nil
		}
		prev, of, era = f, next, f.era
	}
	return prev, errors.New("the state went from one number of shards to another without end")
}

// takeOver brings the state of this shard here from where another number of shards left it. own is this shard's head, if
// it ever had one.
func (w *Watcher) takeOver(ctx context.Context, own *Head) error {
	f, err := w.trace(ctx, own, max(w.Shard.Of, 1))
	if err != nil {
		return err
	}
	return w.bring(ctx, f, own)
}

// bring makes this shard's head from those of the former ones. What was owed goes on being owed, once; what was known goes
// on being known. If we stop at any point, the next tick goes on from there: a former shard's head says that it moved, and
// nobody changes it any more.
func (w *Watcher) bring(ctx context.Context, f former, own *Head) error {
	mine := max(w.Shard.Of, 1)
	now := w.Now().UTC().Truncate(time.Millisecond)
	for i, h := range f.heads {
		if h != nil && h.leased(now) {
			return advice.Add(fmt.Errorf("shard %d/%d is still at work with the state, until %s", i+1, f.of, h.Lease.Until.Format(time.TimeOnly)),
				"it goes on by itself once the former timers are closed")
		}
		if h == nil || h.Moved != mine {
			next := h.successor(w.Nonce(), now)
			next.Moved, next.Lease = mine, nil
			if err := f.stores[i].Commit(ctx, next); err != nil {
				return fmt.Errorf("take over from shard %d/%d: %w", i+1, f.of, err)
			}
			f.heads[i] = next
		}
	}
	h := own.successor(w.Nonce(), now)
	h = &Head{Schema: h.Schema, N: h.N, Writer: h.Writer, Parent: h.Parent, CommittedAt: now, Era: f.heads[0].Era + 1,
		Blind: make(map[string]Blind), Threads: make(Threads)}
	for _, old := range f.heads {
		w.inherit(h, old)
	}
	slices.SortStableFunc(h.Outbox, func(a, b Alert) int { return a.From.Compare(b.From) })
	slices.SortStableFunc(h.Log, func(a, b Past) int { return a.At.Compare(b.At) })
	slices.Sort(h.Untold)
	blob, err := w.gather(ctx, f)
	if err != nil {
		return fmt.Errorf("take over from %d shards: %w", f.of, err)
	}
	h.Snapshot = blob
	if err := w.Store.Commit(ctx, h); err != nil {
		return fmt.Errorf("take over from %d shards: %w", f.of, err)
	}
	return nil
}

// inherit adds to a head what of a former shard's is for this one. An alert goes over whole, since people may have it.
func (w *Watcher) inherit(h, old *Head) {
	h.ObservedAt = later(h.ObservedAt, old.ObservedAt)
	h.LogFrom = later(h.LogFrom, old.LogFrom)
	for scope, at := range old.Listed { // each shard lists them all
		if h.Listed == nil {
			h.Listed = make(map[string]time.Time)
		}
		if last, ok := h.Listed[scope]; !ok || at.Before(last) {
			h.Listed[scope] = at
		}
	}
	for _, a := range old.Outbox {
		if w.Shard.Owns(a.about()) {
			h.Outbox = append(h.Outbox, a)
		}
	}
	for key, b := range old.Blind {
		if b.What == OfRegion && w.Shard.first() || b.What != OfRegion && w.Shard.Owns(b.CLB.Key()) {
			h.Blind[key] = b
		}
	}
	for id, t := range old.Threads {
		// A message has one editor: whose is the first load balancer that it tells of, of those with an open incident.
		for _, key := range slices.Sorted(maps.Keys(t.Course)) {
			if t.Course[key].Over.IsZero() {
				if w.Shard.Owns(key) {
					h.Threads[id] = t
				}
				break
			}
		}
	}
	for _, key := range old.Untold {
		if w.Shard.Owns(key) {
			h.Untold = append(h.Untold, key)
		}
	}
	for _, p := range old.Log {
		if w.Shard.Owns(p.CLB.Key()) {
			h.Log = append(h.Log, p)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// gather writes the snapshot of this shard from those of the former ones; nil if they had none.
func (w *Watcher) gather(ctx context.Context, f former) (*Blob, error) {
	idx := index{Schema: snapshotSchema, CLBs: make(map[string]entry)}
	var from []*snapshotReader
	defer func() {
		for _, s := range from {
			s.close()
		}
	}()
	for i, h := range f.heads {
		part := &Watcher{Store: f.stores[i]}
		s, known, err := part.snapshot(ctx, h)
		if err != nil {
			return nil, err
		}
		from = append(from, s)
		for key, e := range known.CLBs {
			if w.Shard.Owns(key) && owner(key, f.of) == i+1 {
				idx.CLBs[key] = e
			}
		}
	}
	if len(idx.CLBs) == 0 {
		return nil, nil
	}
	to, err := w.Store.CreateSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = to.Close() }() // drops it where it was not committed
	if err := writeLine(to, idx); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(idx.CLBs)) {
		line, err := from[owner(key, f.of)-1].seek(key)
		if err != nil {
			return nil, err
		}
		if line == nil {
			continue // it was never read
		}
		if _, err := to.Write(append(slices.Clone(line), '\n')); err != nil {
			return nil, err
		}
	}
	for _, s := range from { // to the end, where the store checks them
		if err := s.drain(); err != nil {
			return nil, err
		}
	}
	blob, err := to.Commit()
	return &blob, err
}
