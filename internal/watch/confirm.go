package watch

import (
	"context"
	"errors"
	"slices"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/state"
)

// confirmAfter is how long a load balancer that lacks something is left alone before the second reading that
// confirms it.
const confirmAfter = 2 * time.Second

// confirm reads once more what lacks a backend or a binding for the first time: a cloud that answers with
// less for a moment must not be taken for one where things were removed. Where there is no time, the next
// tick confirms it.
func (w *Watcher) confirm(ctx context.Context, s *sweep, b base) {
	lacking, err := w.lacking(ctx, s, b)
	for i, o := range s.seen { // if nobody knows, it may be so
		s.seen[i].lacks = o.changed && (err != nil || slices.Contains(lacking, i))
		s.seen[i].missing = s.seen[i].lacks && !w.unsure(s, i, b)
	}
	if len(lacking) == 0 || w.Sleep(ctx, confirmAfter) != nil {
		return
	}
	w.each(ctx, lacking, func(ctx context.Context, i int) error {
		known := s.seen[i].digest
		if s.seen[i].backends == 0 {
			known = "" // it may have been upgraded: what it is is looked up again
		}
		o := w.read(ctx, s, i, known)
		switch {
		case o.err != nil: // the first reading counts for what it has
			return o.err
		case !o.changed: // the same once more
			s.seen[i].twice, s.seen[i].first, s.seen[i].missing = true, s.seen[i].at, false
		default:
			o.twice, o.first, o.lacks, o.remember = true, s.seen[i].at, true, o.remember || s.seen[i].remember
			s.seen[i] = o
			s.seen[i].missing = !w.unsure(s, i, b)
		}
		return nil
	})
}

// unsure reports whether a reading has more rows that do not tell what they are about than there were when it
// had all.
func (w *Watcher) unsure(s *sweep, i int, b base) bool {
	return s.seen[i].unnamed > b.known[s.clbs[i].Key()].Unnamed
}

// lacking are the load balancers, by their place in the sweep, whose readings lack something for the first
// time. Its error is diff's to report.
func (w *Watcher) lacking(ctx context.Context, s *sweep, b base) (which []int, err error) {
	if !slices.ContainsFunc(s.seen, func(o observation) bool { return o.changed }) {
		return nil, nil
	}
	old, err := state.OpenSnapshot(ctx, w.Store, b.head)
	if err != nil {
		return nil, err
	}
	defer old.Close()
	for i, c := range s.clbs {
		o, e := s.seen[i], b.known[c.Key()]
		if !o.changed || o.kind != e.Kind { // what is bound to one of another kind differs in form
			continue
		}
		line, err := old.Seek(c.Key())
		if err != nil {
			return nil, err
		}
		if line == nil {
			continue
		}
		before, err := state.DecodePool(line)
		now, err2 := s.reading(o.at)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		lb.Settle(before, now, e.By != o.by)
		if lb.Lacks(before, now) {
			which = append(which, i)
		}
	}
	return which, nil
}

// strike takes load balancers out of a sweep that were discovered, and that reading found to be deleted.
func (w *Watcher) strike(ctx context.Context, s *sweep) {
	var doubtful []lb.CLB
	for i, o := range s.seen {
		if errors.Is(o.err, lb.ErrNotFound) && s.scope[s.clbs[i].Key()] != "" {
			doubtful = append(doubtful, s.clbs[i])
		}
	}
	struck := make(map[string]bool)
	for _, c := range w.deleted(ctx, doubtful, func(lb.CLB) {}) {
		struck[c.Key()] = true
		s.gone = append(s.gone, goneCLB{c, true})
	}
	if len(struck) == 0 {
		return
	}
	var clbs []lb.CLB
	var seen []observation
	for i, c := range s.clbs {
		if !struck[c.Key()] {
			clbs, seen = append(clbs, c), append(seen, s.seen[i])
		}
	}
	s.clbs, s.seen = clbs, seen
}
