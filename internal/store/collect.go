package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"clbwatch/internal/state"
)

// maxSkipped is how many damaged heads Collect looks past to learn what the oldest one uses.
const maxSkipped = 5

// Collect deletes, oldest first, heads that are old and not among the newest, then old snapshots that no
// remaining head points to, segments of history that no head lists any more, and what killed runs left over.
// What is in use it learns from heads, never from their absence. Silences it deletes where there are no
// heads, too.
func (p *Place) Collect(ctx context.Context) error {
	return errors.Join(p.collectState(ctx), p.CollectRoot(ctx))
}

func (p *Place) collectState(ctx context.Context) error {
	if err := p.b.sweep(ctx); err != nil {
		return err
	}
	newest, err := p.Load(ctx)
	if err != nil || newest == nil {
		return err
	}
	if err := p.writeInit(ctx); err != nil {
		return err
	}
	keep, err := p.b.list(ctx, headPrefix, 0)
	if err != nil {
		return err
	}
	before := p.Now().Add(-keepFor)
	for len(keep) > keepHeads && keep[len(keep)-1].modified.Before(before) {
		if err := p.b.remove(ctx, keep[len(keep)-1].key); err != nil {
			return err
		}
		keep = keep[:len(keep)-1]
	}
	oldest, modified, err := p.oldest(ctx, keep)
	if err != nil {
		return err
	}
	// A snapshot that a kept head points to is the one of the oldest, or younger than that.
	unused := before
	if modified.Before(before) {
		unused = modified
	}
	used := make(map[string]bool)
	for _, h := range []*state.Head{newest, oldest} {
		if h.Snapshot != nil {
			used[textKey(h.Snapshot.SHA256, h.Snapshot.Tag)] = true
		}
	}
	return errors.Join(
		p.collect(ctx, snapPrefix, func(o object) bool { return used[o.key] || !o.modified.Before(unused) }),
		p.collectHistory(ctx, newest, before),
		p.collect(ctx, troublePrefix, func(o object) bool { return !o.modified.Before(before) }),
		p.collect(ctx, checkPrefix, func(o object) bool { return !o.modified.Before(before) }))
}

// oldest returns the oldest head of a listing that can be read, and when it was written.
func (p *Place) oldest(ctx context.Context, listed []object) (h *state.Head, modified time.Time, err error) {
	if len(listed) == 0 {
		return nil, modified, errors.New("no head is listed, though there are some: nothing is deleted")
	}
	for _, o := range slices.Backward(listed[max(0, len(listed)-maxSkipped):]) {
		var n int64
		if n, err = headNumber(o.key); err != nil {
			break
		}
		if h, err = p.Head(ctx, n); err == nil {
			return h, o.modified, nil
		}
		if !errors.Is(err, state.ErrDamaged) {
			break
		}
	}
	return nil, modified, fmt.Errorf("the oldest head that is kept: %w", err)
}

// collect deletes the objects with a prefix that need not be kept.
func (p *Place) collect(ctx context.Context, prefix string, keep func(object) bool) error {
	objects, err := p.b.list(ctx, prefix, 0)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if keep(o) {
			continue
		}
		if err := p.b.remove(ctx, o.key); err != nil {
			return err
		}
	}
	return nil
}

// collectHistory deletes segments that the newest head does not list: those that are too old, those of runs
// that lost their race, and those whose lines another has taken in. The last it keeps until that other is as
// old as before, because the heads before may still list them.
func (p *Place) collectHistory(ctx context.Context, newest *state.Head, before time.Time) error {
	objects, err := p.b.list(ctx, historyPrefix, 0)
	if err != nil {
		return err
	}
	listed, slots := make(map[string]bool), make(map[state.Segment]bool)
	for _, s := range newest.History {
		if s.In == "" {
			listed[segmentKey(s)] = true
		}
	}
	for _, o := range objects {
		if slot, ok := slotOf(o.key); ok && listed[o.key] && !o.modified.Before(before) {
			slots[slot] = true
		}
	}
	for _, o := range objects {
		slot, ok := slotOf(o.key)
		if !ok || listed[o.key] || slots[slot] || !o.modified.Before(before) {
			continue
		}
		if err := p.b.remove(ctx, o.key); err != nil {
			return err
		}
	}
	return nil
}

// slotOf is what the segments of one day and number have in common.
func slotOf(key string) (slot state.Segment, ok bool) {
	s, ok := segmentOf(key)
	return state.Segment{Day: s.Day, N: s.N}, ok
}
