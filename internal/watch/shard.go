package watch

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"
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

// former is the state as it was left by another number of shards: one head for each of them, and where it is.
type former struct {
	of     int
	heads  []*Head
	stores []Store
}

// nowhere is no number of shards: trace then looks for the state as it is now.
const nowhere = -2

// trace goes from the state of so many shards to where it went from there, and stops where it did not go on, or at so
// many as to. Each shard's last head says how many shards took over from it (Head.Moved).
func (w *Watcher) trace(ctx context.Context, of, to int) (f former, err error) {
	for range MaxShards {
		f = former{of: of}
		next := make(map[int]int) // how many went where
		for n := 1; n <= of; n++ {
			s, err := w.Stores(Shard{n, of})
			var h *Head
			if err == nil {
				h, err = s.Load(ctx)
			}
			if err != nil {
				return f, fmt.Errorf("state of shard %d/%d: %w", n, of, err)
			}
			f.heads, f.stores = append(f.heads, h), append(f.stores, s)
			if h == nil {
				next[-1]++
			} else {
				next[h.Moved]++
			}
		}
		switch {
		case len(next) == 1 && next[-1] == 0 && next[0] == 0 && next[to] == 0:
			of = f.heads[0].Moved // all of them went on from here
		case next[-1] == of && of == 1, next[0]+next[to] == of:
			return f, nil
		default:
			return f, Advise(fmt.Errorf("the state of %d shards is not whole: some of them never ran", of),
				"set the number of shards back to "+fmt.Sprint(of)+", let each run once, and change it then")
		}
	}
	return f, errors.New("the state went from one number of shards to another without end")
}

// takeOver brings the state of this shard here from where another number of shards left it. own is this shard's head, if
// it ever had one. What was owed goes on being owed, once; what was known goes on being known. If we stop at any point, the
// next tick goes on from there: a former shard's head says that it moved, and nobody changes it any more.
func (w *Watcher) takeOver(ctx context.Context, own *Head) error {
	mine, from := max(w.Shard.Of, 1), 1
	if own != nil {
		from = own.Moved
	}
	f, err := w.trace(ctx, from, mine)
	if err != nil {
		return err
	}
	now := w.Now().UTC().Truncate(time.Millisecond)
	for i, h := range f.heads {
		if h != nil && h.leased(now) {
			return Advise(fmt.Errorf("shard %d/%d is still at work with the state, until %s", i+1, f.of, h.Lease.Until.Format(time.TimeOnly)),
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
	h = &Head{Schema: h.Schema, N: h.N, Writer: h.Writer, Parent: h.Parent, CommittedAt: now, Blind: make(map[string]Blind), Threads: make(Threads)}
	for i, old := range f.heads {
		w.inherit(h, old, i)
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

// inherit adds to a head what of a former shard's is for this one.
func (w *Watcher) inherit(h, old *Head, i int) {
	h.ObservedAt = later(h.ObservedAt, old.ObservedAt)
	h.LogFrom = later(h.LogFrom, old.LogFrom)
	if i%max(w.Shard.Of, 1) == max(w.Shard.N, 1)-1 { // each is somebody's
		h.Outbox = append(h.Outbox, old.Outbox...)
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
