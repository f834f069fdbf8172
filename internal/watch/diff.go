package watch

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
)

// delta is what a sweep changes about a head.
type delta struct {
	stale     bool                 // another observation was committed since the sweep began: all else is empty
	seen      incident.Observation // what notification is to know of it
	read      bool                 // something was read
	snapshot  *state.Draft         // the new snapshot, not yet committed; nil if the old one still holds
	changes   int                  // of backends
	listed    map[string]time.Time // when each Scope was listed last
	unlisted  map[string]state.Unlisted
	listedNow bool               // one was by this sweep, or failed for the first time
	unposted  []string           // see state.Head.Unposted
	baseline  *incident.Baseline // load balancers read for the first time
	past      []incident.Record  // what the history is to have beside what Judge says
}

// empty reports whether the head need not change because of it.
func (d *delta) empty() bool {
	return d.snapshot == nil && !d.listedNow && len(d.seen.Changed)+len(d.seen.Notices) == 0
}

// apply takes all but the snapshot over into the head of a shard, and judges it.
func (d *delta) apply(h *state.Head, of state.Shard, rules incident.Rules) {
	if d.stale {
		return
	}
	if last := h.Incidents.At; !last.IsZero() && d.seen.At.Sub(last) >= gap {
		h.Tail = append(h.Tail, incident.Record{At: d.seen.At, Shard: of.String(), Unseen: &last})
	}
	h.Tail = append(h.Tail, d.past...)
	h.Listed, h.Unlisted, h.Unposted = d.listed, d.unlisted, d.unposted
	at := h.ObservedAt
	if d.read {
		at = d.seen.At
	}
	h.Observe(h.Writer, at)
	for _, r := range h.Incidents.Judge(d.seen, rules) {
		if r.Silence == nil || of.First() { // each shard knows every silence
			h.Tail = append(h.Tail, r)
		}
	}
}

func (d *delta) close() {
	if d.snapshot != nil {
		d.snapshot.Close() // drops what was not committed
	}
}

// diff compares a sweep with the snapshot and writes the snapshot that follows, in one pass over both: lines
// that did not change are copied, only changed load balancers are decoded.
func (w *Watcher) diff(ctx context.Context, b base, seen *sweep) (*delta, error) {
	if b.head.Holds() != seen.from { // a slower run must not undo what a faster one saw later
		return &delta{stale: true}, nil
	}
	d := &delta{listed: seen.listed, listedNow: seen.listedAt, unlisted: seen.unlisted}
	d.seen = incident.Observation{At: b.after(seen.at), Accepted: b.abandoning(b.after(seen.at), w.Rules),
		Silences: seen.silences.all, Name: seen.name}
	for i, o := range seen.seen { // nobody knows how it is
		if o.err != nil || o.healthErr != nil {
			delete(d.seen.Accepted, seen.clbs[i].Key())
		}
	}
	if b.head != nil { // a list that failed now, or that failed before and was had now
		d.listedNow = d.listedNow || !maps.Equal(b.head.Unlisted, d.unlisted)
	}
	d.read = slices.ContainsFunc(seen.seen, func(o observation) bool { return o.err == nil })
	if !seen.quiet(b.known) || len(b.unposted())+len(d.seen.Accepted) > 0 {
		if err := w.compare(ctx, b, seen, d); err != nil {
			d.close()
			return nil, fmt.Errorf("diff: %w", err)
		}
	}
	w.notices(b, seen, d)
	w.unread(b, seen, d)
	return d, nil
}

// compare goes through the old snapshot and the sweep side by side, and writes the snapshot that follows.
func (w *Watcher) compare(ctx context.Context, b base, seen *sweep, d *delta) error {
	old, err := state.OpenSnapshot(ctx, w.Store, b.head)
	if err != nil {
		return err
	}
	defer old.Close()
	clbs := w.entries(b, seen)
	if d.snapshot, err = state.CreateSnapshot(ctx, w.Store, clbs); err != nil {
		return err
	}
	same, remember := len(clbs) == len(b.known), false
	for i, clb := range seen.clbs {
		key, o := clb.Key(), seen.seen[i]
		line, err := old.Seek(key)
		if err != nil {
			return err
		}
		next := line // nil if it was never read
		_, untold := slices.BinarySearch(b.unposted(), key)
		unclear := o.err != nil || o.healthErr != nil
		if untold && unclear {
			d.unposted = append(d.unposted, key)
		}
		confirms := o.err == nil && !o.changed && b.known[key].Doubt && line != nil
		accepts := d.seen.Accepted[key] && line != nil
		if o.changed || confirms || accepts || untold && !unclear && line != nil {
			if next, err = w.follow(b, seen, i, line, d); err != nil {
				return err
			}
			same = same && bytes.Equal(line, next) && clbs[key].Unnamed == b.known[key].Unnamed
			remember = remember || o.remember
		}
		if next == nil {
			continue
		}
		if err := d.snapshot.Write(next); err != nil {
			return err
		}
	}
	if err := old.Drain(); err != nil {
		return err
	}
	d.dropped(b, seen, clbs)
	// Only bytes that we do not keep changed: the new digests can wait.
	if same && (maps.Equal(clbs, b.known) || !renews(b.head, w.Store.Now()) && !remember) {
		d.close()
		d.snapshot = nil
	}
	return nil
}

// renews reports whether digests alone are worth a snapshot: with a heartbeat or, while something is open and
// each tick writes a head, with the first one of every heartbeat by the clock.
func renews(h *state.Head, now time.Time) bool {
	return due(h, now) || now.Truncate(heartbeat).After(h.CommittedAt)
}

// follow returns the record that follows line, nil at first sight, by a reading, and notes what is news about
// it.
func (w *Watcher) follow(b base, seen *sweep, i int, line []byte, d *delta) ([]byte, error) {
	clb, o, known := seen.clbs[i], seen.seen[i], b.known[seen.clbs[i].Key()]
	var now []lb.Backend
	var err error
	if o.changed {
		now, err = seen.reading(o.at)
	} else { // it is as it was, and what was not reported then is now
		o.kind, o.by = known.Kind, known.By
		now, err = state.DecodePool(line)
	}
	if err != nil {
		return nil, err
	}
	if line == nil {
		lb.Settle(nil, now, false)
		d.first(clb, lb.CapacityOf(now))
		return state.EncodePool(clb.Key(), lb.Baseline(now, d.seen.At))
	}
	before, err := state.DecodePool(line)
	if err != nil {
		return nil, err
	}
	was := lb.CapacityOf(before)
	if now, err = w.hold(seen, o, known, before, now); err != nil {
		return nil, err
	}
	switch {
	case o.healthErr != nil:
		lb.KeepHealth(before, now, true)
	case !o.health:
		lb.WithoutHealth(before)
	case !known.Health:
		lb.AssumeHealth(before, now, d.seen.At)
	default:
		lb.KeepHealth(before, now, false)
	}
	now, changes := lb.Diff(before, now, d.seen.At, w.lastGood(b, clb, d.seen.At))
	upgraded := o.kind != known.Kind
	if upgraded {
		// What is bound may differ in form now: that is the upgrade, and no removal. What stopped did so all the
		// same.
		changes = slices.DeleteFunc(changes, func(c lb.Change) bool {
			return c.Kind == lb.Added ||
				c.Kind == lb.Removed
		})
		d.notice(incident.Upgraded, clb, was, lb.CapacityOf(now))
	}
	if o.healthErr == nil && slices.ContainsFunc(now, func(b lb.Backend) bool {
		return b.Running() &&
			len(b.Failing) > 0 && b.Ill == nil
	}) {
		d.unposted = append(d.unposted, clb.Key())
	}
	switch {
	case len(changes) > 0:
		d.changes += len(changes)
		delta := lb.Compare(before, now, changes)
		if upgraded {
			delta.Removed, delta.Added, delta.Emptied = 0, 0, nil
		}
		d.seen.Changed = append(d.seen.Changed, incident.Changed{CLB: clb, Delta: delta})
		delete(d.seen.Accepted, clb.Key()) // it is not abandoned
	case d.seen.Accepted[clb.Key()]:
		lb.Accept(now)
	}
	return state.EncodePool(clb.Key(), now)
}

// dropped notes for the history which load balancers are not watched any more.
func (d *delta) dropped(b base, seen *sweep, now map[string]state.Entry) {
	deleted := make(map[string]bool, len(seen.gone))
	for _, g := range seen.gone {
		deleted[g.CLB.Key()] = g.deleted
	}
	for key, e := range b.known {
		if _, ok := now[key]; ok || !e.Known() {
			continue
		}
		r := incident.Record{At: d.seen.At, CLB: seen.name(key), Gone: incident.EndDropped}
		if deleted[key] {
			r.Gone = incident.EndDeleted
		}
		d.past = append(d.past, r)
	}
	slices.SortFunc(d.past, func(a, b incident.Record) int { return cmp.Compare(a.CLB.Key(), b.CLB.Key()) })
}

// first notes a load balancer that was read for the first time.
func (d *delta) first(clb lb.CLB, is lb.Capacity) {
	d.past = append(d.past, incident.Record{At: d.seen.At, CLB: clb, First: &is})
	if d.baseline == nil {
		d.baseline = &incident.Baseline{}
	}
	d.baseline.Add(incident.Standing{CLB: clb, Now: is})
}

// notice notes news that needs nobody.
func (d *delta) notice(about incident.About, clb lb.CLB, was, is lb.Capacity) {
	d.seen.Notices = append(d.seen.Notices, incident.Incident{
		About: about, Key: clb.Key(), Label: clb.Label, Title: clb.Title, Before: was, Now: is})
}

// notices notes what became of load balancers themselves, and searches that find nothing.
func (w *Watcher) notices(b base, seen *sweep, d *delta) {
	if d.baseline != nil {
		clb := d.baseline.Worst[0].CLB
		d.seen.Notices = append(d.seen.Notices, incident.Incident{
			About: incident.Watching, Key: clb.Key(), Label: clb.Label, Title: clb.Title, Baseline: d.baseline})
	}
	if w.Shard.First() {
		for _, s := range seen.empty {
			d.seen.Notices = append(d.seen.Notices, incident.Incident{About: incident.Nothing, Key: s.String()})
		}
	}
	d.seen.Gone = make(map[string]incident.End)
	if b.head != nil { // whatever something is open about and is not watched any more
		watched := make(map[string]bool, len(seen.clbs))
		for _, c := range seen.clbs {
			watched[c.Key()] = true
		}
		for _, s := range w.Discover {
			watched[s.String()] = true
		}
		for key := range b.head.Incidents.Watches() {
			if !watched[key] {
				d.seen.Gone[key] = incident.EndDropped
			}
		}
	}
	slices.SortFunc(seen.gone, func(a, b goneCLB) int { return cmp.Compare(a.CLB.Key(), b.CLB.Key()) })
	for _, g := range seen.gone {
		about := incident.Unmatched
		if g.deleted {
			about = incident.Deleted
			d.seen.Gone[g.CLB.Key()] = incident.EndDeleted
		}
		d.notice(about, g.CLB, lb.Capacity{}, lb.Capacity{})
	}
}

// hold returns what may be believed of a reading: nothing that it is the first to lack is gone yet.
func (w *Watcher) hold(seen *sweep, o observation, known state.Entry, before, now []lb.Backend) ([]lb.Backend,
	error) {
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

// entries are what the snapshot that follows knows of each load balancer: what was read now, and what was
// known of the rest.
func (w *Watcher) entries(b base, seen *sweep) map[string]state.Entry {
	clbs := make(map[string]state.Entry, len(seen.clbs))
	for i, clb := range seen.clbs {
		key := clb.Key()
		e := b.known[key]
		if o := seen.seen[i]; o.changed {
			unnamed := o.unnamed
			if o.lacks && e.Known() {
				unnamed = min(unnamed, e.Unnamed)
			}
			// If another run committed since, nobody knows what this reading is the first to lack.
			e = state.Entry{Digest: o.digest, Backends: o.backends, Kind: o.kind, By: o.by, Unnamed: unnamed,
				Doubt: o.missing || b.head.Number() != seen.base, Health: o.health || o.healthErr != nil && e.Health}
		} else if o.err == nil {
			e.Doubt = false // confirmed
		}
		e.In, e.Name = seen.scope[key], ""
		if e.In != "" {
			e.Name = clb.Title
		}
		if e != (state.Entry{}) { // what was found by a search is remembered before it is read
			clbs[key] = e
		}
	}
	return clbs
}

// lastGood is the last reading that is known of, if it is long ago, else zero.
func (w *Watcher) lastGood(b base, clb lb.CLB, at time.Time) time.Time {
	last, ok := b.head.Incidents.LastGood(clb.Key())
	if !ok {
		last = b.head.ObservedAt
	}
	if at.Sub(last) < gap {
		return time.Time{}
	}
	return last
}

// unread notes what could not be read.
func (w *Watcher) unread(b base, seen *sweep, d *delta) {
	note := func(key string, about incident.About, last time.Time, err error) {
		if err != nil {
			d.seen.Unread = append(d.seen.Unread, incident.Unread{
				Key: key, About: about, LastGood: last, Reason: incident.ReasonOf(err)})
		}
	}
	for i, clb := range seen.clbs {
		o, known := seen.seen[i], b.known[clb.Key()]
		note(clb.Key(), incident.Reading, b.observedIf(known.Known()), o.err)
		note(clb.Key(), incident.Health, b.observedIf(known.Health), o.healthErr)
	}
	if w.Shard.First() { // each shard lists every region: one reports
		for _, s := range w.Discover {
			note(s.String(), incident.Listing, seen.listed[s.String()], seen.unlistedErr(s))
		}
	}
}
