package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
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
}

// empty reports whether the head need not change because of it.
func (d *delta) empty() bool { return d.alert.Empty() && d.snapshot == nil && !d.blindChanged }

// apply takes all but the snapshot over into a head.
func (d *delta) apply(h *Head) {
	if d.stale {
		return
	}
	h.Blind = d.blind
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
	d := &delta{alert: Alert{From: seen.at, To: seen.at}, found: make(map[string]int)}
	if slices.ContainsFunc(seen.seen, func(o observation) bool { return o.err == nil }) {
		d.at = seen.at
	}
	if !seen.quiet(b.known.CLBs) {
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
	idx := w.index(b.known.CLBs, seen)
	if err := writeLine(d.snapshot, idx); err != nil {
		return err
	}
	same, remember := len(idx.CLBs) == len(b.known.CLBs), false
	for i, clb := range w.CLBs {
		line, err := old.seek(clb.Key())
		if err != nil {
			return err
		}
		next := line // nil if it was never read
		if o := seen.seen[i]; o.changed && !o.doubtful(b.known.CLBs[clb.Key()]) {
			if next, err = w.follow(b, seen, i, line, d); err != nil {
				return err
			}
			same, remember = same && bytes.Equal(line, next), remember || o.remember
		}
		if next == nil {
			continue
		}
		if _, err := d.snapshot.Write(append(next, '\n')); err != nil { // over the line's own end, if it is the old one
			return err
		}
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

// follow returns the record that follows line, nil at first sight, by a changed reading, and notes what is news about it.
func (w *Watcher) follow(b base, seen *sweep, i int, line []byte, d *delta) ([]byte, error) {
	clb := w.CLBs[i]
	now, err := seen.reading(seen.seen[i])
	if err != nil {
		return nil, err
	}
	news := PoolNews{CLB: clb, Capacity: capacity(now)}
	if line == nil {
		d.alert.Baseline = d.alert.Baseline.plus(news)
		return json.Marshal(record{clb.Key(), baseline(now, seen.at)})
	}
	before, err := decodeRecord(line)
	if err != nil {
		return nil, err
	}
	was := capacity(before)
	now, news.Changes = Diff(before, now, seen.at, w.lastGood(b, clb, seen.at))
	news.Before, news.Out = &was, incident(now)
	if news.Counts = count(news.Changes); news.Counts.Total() > 0 {
		d.changes += news.Counts.Total()
		d.found[clb.Key()] = news.Counts.Total()
		d.alert.Pools = append(d.alert.Pools, news)
	}
	return json.Marshal(record{clb.Key(), now})
}

// index is the first line of the snapshot that follows: what was read, and what was known of the rest.
func (w *Watcher) index(known map[string]entry, seen *sweep) index {
	idx := index{Schema: snapshotSchema, CLBs: make(map[string]entry, len(w.CLBs))}
	for i, clb := range w.CLBs {
		e, ok := known[clb.Key()]
		if o := seen.seen[i]; o.changed && !o.doubtful(e) {
			e, ok = entry{o.digest, o.backends}, true
		}
		if ok {
			idx.CLBs[clb.Key()] = e
		}
	}
	return idx
}

// lastGood is the last reading that is known of, if it is long ago, else zero.
func (w *Watcher) lastGood(b base, clb CLB, at time.Time) time.Time {
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
	for i, clb := range w.CLBs {
		was, blind := old[clb.Key()]
		o := seen.seen[i]
		if o.err == nil {
			if blind && was.Told {
				d.alert.Sighted = append(d.alert.Sighted,
					Sighted{CLB: clb, LastGood: was.LastGood, Since: was.Since, At: seen.at, Changes: d.found[clb.Key()]})
			}
			continue
		}
		if !blind {
			was = Blind{Since: seen.at}
			if _, ok := b.known.CLBs[clb.Key()]; ok {
				was.LastGood = b.head.ObservedAt
			}
		}
		was.CLB = clb
		if !was.Told {
			was.Ticks++
			was.Why, was.Do = explain(o.err)
			if was.Ticks >= w.BlindAfter {
				was.Told = true
				d.alert.Blind = append(d.alert.Blind, was)
			}
		}
		d.blind[clb.Key()] = was
	}
	d.blindChanged = !maps.Equal(old, d.blind)
}

// explain returns an error's text, cut, and what can be done about it.
func explain(err error) (why, do string) {
	why = err.Error()
	if len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "") + "…"
	}
	return why, Advice(err)
}

func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
