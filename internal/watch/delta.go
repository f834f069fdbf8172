package watch

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
)

// delta is what a sweep changes about a head.
type delta struct {
	stale        bool             // the sweep is older than what the head has seen: all else is empty
	at           time.Time        // when the sweep began; zero if it read nothing
	snapshot     SnapshotWriter   // the new snapshot, not yet committed; nil if the old one still holds
	alert        Alert            // the news
	changes      int              // how many backend changes that is
	found        map[string]int   // of which load balancer, by key
	blind        map[string]Blind // load balancers that cannot be read
	blindChanged bool
	clbs         []lb.CLB             // those that were read, or tried
	listed       map[string]time.Time // when each Scope was listed last
	listedNow    bool                 // one was by this sweep
	unlisted     map[string]Unlisted  // Scopes that cannot be listed
	untold       []string             // see Head.Untold
}

// empty reports whether the head need not change because of it.
func (d *delta) empty() bool {
	return d.alert.Empty() && d.snapshot == nil && !d.blindChanged && !d.listedNow
}

// apply takes all but the snapshot over into a head.
func (d *delta) apply(h *Head) {
	if d.stale {
		return
	}
	h.Blind, h.Listed, h.Unlisted, h.Untold = d.blind, d.listed, d.unlisted, d.untold
	if !d.at.IsZero() {
		h.ObservedAt = d.at
	}
	if !d.alert.Empty() {
		h.remember(d.alert)
		h.owe(d.alert)
	}
}

func (d *delta) close() {
	if d.snapshot != nil {
		_ = d.snapshot.Close() // drops what was not committed; a leftover is deleted by Collect
	}
}

// diff compares a sweep with the snapshot and writes the snapshot that follows, in one pass over both: lines that did
// not change are copied, only changed load balancers are decoded.
func (w *Watcher) diff(ctx context.Context, b base, seen *sweep) (*delta, error) {
	// A slower run must not undo what a faster one saw later. But a head from the future was written under a wrong clock.
	if b.head != nil && !b.head.ObservedAt.Before(seen.at) && b.head.ObservedAt.Sub(w.Now()) < clockSlack {
		return &delta{stale: true}, nil
	}
	d := &delta{alert: Alert{From: seen.at, To: seen.at}, found: make(map[string]int), clbs: seen.clbs,
		listed: seen.listed, listedNow: seen.listedAt, unlisted: seen.unlisted}
	if b.head != nil { // a list that failed now, or that failed before and was had now
		d.listedNow = d.listedNow || !maps.Equal(b.head.Unlisted, d.unlisted)
	}
	if w.Shard.first() {
		for _, s := range seen.empty {
			d.alert.CLBs = append(d.alert.CLBs, CLBNews{CLB: lb.CLB{Region: s.Region, ID: s.String()}, Fate: Nothing, At: seen.at})
		}
	}
	if slices.ContainsFunc(seen.seen, func(o observation) bool { return o.err == nil }) {
		d.at = seen.at
	}
	if !seen.quiet(b.known.CLBs) || len(b.untold()) > 0 {
		if err := w.compare(ctx, b, seen, d); err != nil {
			d.close()
			return nil, fmt.Errorf("diff: %w", err)
		}
	}
	w.blind(b, seen, d)
	return d, nil
}

// compare goes through the old snapshot and the sweep side by side, and writes the snapshot that follows.
func (w *Watcher) compare(ctx context.Context, b base, seen *sweep, d *delta) error {
	old, _, err := w.snapshot(ctx, b.head)
	if err != nil {
		return err
	}
	defer old.close()
	if d.snapshot, err = w.Store.CreateSnapshot(ctx); err != nil {
		return err
	}
	idx := w.index(b.number(), b.known.CLBs, seen)
	if err := writeLine(d.snapshot, idx); err != nil {
		return err
	}
	same, remember := len(idx.CLBs) == len(b.known.CLBs), false
	gone := slices.Clone(seen.gone)
	slices.SortFunc(gone, func(a, b CLBNews) int { return cmp.Compare(a.CLB.Key(), b.CLB.Key()) })
	for i, clb := range seen.clbs {
		key, o := clb.Key(), seen.seen[i]
		if gone, err = w.bury(old, gone, key, d); err != nil {
			return err
		}
		line, err := old.seek(key)
		if err != nil {
			return err
		}
		next := line // nil if it was never read
		_, untold := slices.BinarySearch(b.untold(), key)
		unclear := o.err != nil || o.healthErr != nil
		if untold && unclear {
			d.untold = append(d.untold, key)
		}
		confirms := o.err == nil && !o.changed && b.known.CLBs[key].Doubt && line != nil
		if o.changed || confirms || untold && !unclear && line != nil {
			if next, err = w.follow(b, seen, i, line, d); err != nil {
				return err
			}
			same = same && bytes.Equal(line, next) && idx.CLBs[key].Unnamed == b.known.CLBs[key].Unnamed
			remember = remember || o.remember
		}
		if next == nil {
			continue
		}
		if _, err := d.snapshot.Write(append(next, '\n')); err != nil { // over the line's own end, if it is the old one
			return err
		}
	}
	if _, err := w.bury(old, gone, "", d); err != nil {
		return err
	}
	if err := old.drain(); err != nil {
		return err
	}
	// Bytes that nobody needs may have changed, or their order: then only the digests are new, and that can wait.
	if same && (maps.Equal(idx.CLBs, b.known.CLBs) || !due(b.head, w.Now()) && !remember) {
		d.close()
		d.snapshot = nil
	}
	return nil
}

// bury tells what became of the load balancers that are gone, of those whose key is before next, or of all if that is "".
// It returns the others.
func (w *Watcher) bury(old *snapshotReader, gone []CLBNews, next string, d *delta) ([]CLBNews, error) {
	for len(gone) > 0 && (next == "" || gone[0].CLB.Key() < next) {
		news := gone[0]
		line, err := old.seek(news.CLB.Key())
		if err != nil {
			return nil, err
		}
		if line != nil {
			before, err := decodeRecord(line)
			if err != nil {
				return nil, err
			}
			was := lb.CapacityOf(before)
			news.Before = &was
		}
		d.alert.CLBs, gone = append(d.alert.CLBs, news), gone[1:]
	}
	return gone, nil
}

// follow returns the record that follows line, nil at first sight, by a reading, and notes what is news about it.
func (w *Watcher) follow(b base, seen *sweep, i int, line []byte, d *delta) ([]byte, error) {
	clb, o, known := seen.clbs[i], seen.seen[i], b.known.CLBs[seen.clbs[i].Key()]
	var now []lb.Backend
	var err error
	if o.changed {
		now, err = seen.reading(o.at)
	} else { // it is as it was, and what was not told then is now
		o.kind, o.by = known.Kind, known.By
		now, err = decodeRecord(line)
	}
	if err != nil {
		return nil, err
	}
	if line == nil {
		lb.Settle(nil, now, false)
		d.alert.Baseline = d.alert.Baseline.plus(PoolNews{CLB: clb, Capacity: lb.CapacityOf(now)})
		return json.Marshal(record{clb.Key(), lb.Baseline(now, seen.at)})
	}
	before, err := decodeRecord(line)
	if err != nil {
		return nil, err
	}
	was := lb.CapacityOf(before)
	if now, err = w.hold(seen, o, known, before, now); err != nil {
		return nil, err
	}
	news := PoolNews{CLB: clb}
	switch {
	case o.healthErr != nil:
		lb.KeepHealth(before, now, true)
	case !o.health:
		lb.WithoutHealth(before)
	case !known.Health:
		lb.AssumeHealth(before, now, seen.at)
	default:
		lb.KeepHealth(before, now, false)
	}
	news.Capacity, news.Bare = lb.CapacityOf(now), lb.Bare(before, now)
	now, news.Changes = lb.Diff(before, now, seen.at, w.lastGood(b, clb, seen.at))
	if o.kind != known.Kind {
		// What is bound may differ in form now: that is the migration, and no removal. What stopped running did so all the same.
		news.Changes = slices.DeleteFunc(news.Changes, func(c lb.Change) bool { return c.Kind == lb.Added || c.Kind == lb.Removed })
		news.Bare = nil
		is := news.Capacity
		d.alert.CLBs = append(d.alert.CLBs, CLBNews{CLB: clb, Fate: Migrated, At: seen.at, Is: o.kind, Before: &was, Now: &is})
	}
	if o.healthErr == nil && slices.ContainsFunc(now, func(b lb.Backend) bool { return b.Running() && len(b.Failing) > 0 && b.Ill == nil }) {
		d.untold = append(d.untold, clb.Key())
	}
	news.Before, news.Out = &was, lb.OutAnew(now)
	if news.Counts = lb.Count(news.Changes); news.Counts.Total() > 0 {
		d.changes += news.Counts.Total()
		d.found[clb.Key()] = news.Counts.Total()
		d.alert.Pools = append(d.alert.Pools, news)
	}
	return json.Marshal(record{clb.Key(), now})
}

// hold returns what may be believed of a reading: nothing that it is the first to lack is gone yet.
func (w *Watcher) hold(seen *sweep, o observation, known entry, before, now []lb.Backend) ([]lb.Backend, error) {
	if !o.changed {
		if known.Doubt { // the same bytes once more
			now = lb.Believe(now)
		}
		return now, nil
	}
	lb.Settle(before, now, known.By != o.by)
	if o.kind != known.Kind {
		return now, nil // what is bound to the other kind differs in form, and is not told
	}
	var first []lb.Backend
	if o.twice {
		var err error
		if first, err = seen.reading(o.first); err != nil {
			return nil, err
		}
		lb.Settle(before, first, known.By != o.by)
	}
	now, _ = lb.Hold(before, first, now, o.unnamed > known.Unnamed)
	return now, nil
}

// index is the first line of the snapshot that follows: what was read, and what was known of the rest.
func (w *Watcher) index(number int64, known map[string]entry, seen *sweep) index {
	idx := index{Schema: snapshotSchema, CLBs: make(map[string]entry, len(w.CLBs))}
	for i, clb := range seen.clbs {
		key := clb.Key()
		e := known[key]
		if o := seen.seen[i]; o.changed {
			unnamed := o.unnamed
			if o.lacks && e.known() {
				unnamed = min(unnamed, e.Unnamed)
			}
			// If another run committed since, nobody knows what this reading is the first to lack.
			e = entry{Digest: o.digest, Backends: o.backends, Kind: o.kind, By: o.by, Doubt: o.missing || number != seen.base, Unnamed: unnamed,
				Health: o.health || o.healthErr != nil && e.Health}
		} else if o.err == nil {
			e.Doubt = false // confirmed
		}
		e.In, e.Name = seen.scope[key], ""
		if e.In != "" {
			e.Name = clb.Title
		}
		if e != (entry{}) { // what was discovered is remembered before it is read
			idx.CLBs[key] = e
		}
	}
	return idx
}

// lastGood is the last reading that is known of, if it is long ago, else zero.
func (w *Watcher) lastGood(b base, clb lb.CLB, at time.Time) time.Time {
	last := b.head.ObservedAt
	if blind, ok := b.head.Blind[clb.Key()]; ok {
		last = blind.LastGood
	}
	if at.Sub(last) < gap {
		return time.Time{}
	}
	return last
}

// blind counts the ticks without a reading, and tells once when they are too many and once when they are over.
func (w *Watcher) blind(b base, seen *sweep, d *delta) {
	old := map[string]Blind{}
	if b.head != nil && b.head.Blind != nil {
		old = b.head.Blind
	}
	d.blind = make(map[string]Blind)
	lastIf := func(known bool) (last time.Time) {
		if known {
			last = b.head.ObservedAt
		}
		return last
	}
	for i, clb := range seen.clbs {
		o, known := seen.seen[i], b.known.CLBs[clb.Key()]
		w.blindTo(old, Blind{CLB: clb, LastGood: lastIf(known.known())}, o.err, seen.at, d)
		if o.err == nil {
			w.blindTo(old, Blind{CLB: clb, What: OfHealth, LastGood: lastIf(known.Health)}, o.healthErr, seen.at, d)
		} else if was, ok := old[blindKey(clb, OfHealth)]; ok {
			d.blind[was.key()] = was // nobody knows
		}
	}
	if w.Shard.first() { // each shard lists every region: one tells
		for _, s := range w.Discover {
			w.blindTo(old, Blind{CLB: lb.CLB{Region: s.Region, ID: s.String()}, What: OfRegion, LastGood: seen.listed[s.String()]},
				seen.unlistedErr(s), seen.at, d)
		}
	}
	d.blindChanged = !maps.Equal(old, d.blind)
}

// blindTo carries one count on: of what could not be read because of err or, if that is nil, was read.
func (w *Watcher) blindTo(old map[string]Blind, what Blind, err error, at time.Time, d *delta) {
	was, blind := old[what.key()]
	if err == nil {
		if blind && was.Told {
			s := Sighted{CLB: what.CLB, What: what.What, LastGood: was.LastGood, Since: was.Since, At: at}
			if s.What == OfBackends {
				s.Changes = d.found[s.CLB.Key()]
			}
			d.alert.Sighted = append(d.alert.Sighted, s)
		}
		return
	}
	if !blind {
		was = Blind{Since: at, LastGood: what.LastGood}
	}
	was.CLB, was.What = what.CLB, what.What
	if !was.Told {
		was.Ticks++
		was.Why, was.Do = explain(err)
		if was.Ticks >= w.BlindAfter || errors.Is(err, ErrNoRegion) { // a mistake in the settings, which no tick mends
			was.Told = true
			d.alert.Blind = append(d.alert.Blind, was)
		}
	}
	d.blind[was.key()] = was
}

// explain returns an error's text, cut, and what can be done about it.
func explain(err error) (why, do string) {
	why = err.Error()
	if len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "") + "…"
	}
	return why, advice.Of(err)
}

func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
