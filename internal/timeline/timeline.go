// Package timeline says how load balancers stood over a period, as the history has it: the share of the
// weight in service hour by hour or day by day, how long nothing ran, how often something happened and how
// long it took, and what was not seen. It reads lines one after the other, keeps no more than sums, and
// refuses to count as well or as bad what nobody saw.
package timeline

import (
	"cmp"
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// Bounds of what is kept, whatever the history says.
const (
	mostCells   = 400
	maxMachines = 50_000 // of which outages are counted, of all load balancers
	maxMarks    = 500    // of one load balancer
	maxSilences = 5000
	maxGaps     = 20_000
)

// Reader takes in the lines of a period and adds them up. Make it with New.
type Reader struct {
	from, to time.Time
	cell     time.Duration
	owns     func(shard, key string) bool

	tracks   map[string]*track // by key
	gaps     []gap
	silences map[silenceID]*Silence
	machines int // of all tracks
	messages int
}

// gap is a time in which no tick of a shard ran.
type gap struct {
	span
	shard string
}

type silenceID struct {
	id   string
	made time.Time
}

// New begins a period that is divided into cells of equal length, the last of which ends with it. More than
// 400 cells are too many: they become longer. owns reports whether a load balancer is in a shard: see
// incident.Record.
func New(from, to time.Time, cell time.Duration, owns func(shard, key string) bool) *Reader {
	if !to.After(from) {
		to = from.Add(time.Minute)
	}
	for cell < time.Minute || to.Sub(from) > mostCells*cell {
		cell = max(2*cell, time.Minute)
	}
	return &Reader{from: from, to: to, cell: cell, owns: owns, tracks: make(map[string]*track),
		silences: make(map[silenceID]*Silence)}
}

// CellOf is how long the cells of a period are that are shown as a line of characters: an hour, or a day
// where the period is longer than two days.
func CellOf(period time.Duration) time.Duration {
	if period <= 48*time.Hour {
		return time.Hour
	}
	return 24 * time.Hour
}

// FineCellOf is how long the cells of a period are that is drawn: there are at most 360 of them.
func FineCellOf(period time.Duration) time.Duration {
	for _, m := range []time.Duration{1, 2, 5, 10, 15, 30, 60, 120, 180, 360} {
		if period <= 360*m*time.Minute {
			return m * time.Minute
		}
	}
	return 12 * time.Hour
}

// Take takes in one line of the history. Those of a load balancer come in the order in which they were
// written.
func (r *Reader) Take(rec incident.Record) {
	switch {
	case rec.Change != nil:
		r.change(rec)
	case rec.Closed != nil:
		r.closed(rec)
	case rec.First != nil:
		r.track(rec.CLB).begin(rec.At, standingOf(*rec.First))
	case rec.Gone != "":
		r.track(rec.CLB).end(rec.At)
	case rec.Silence != nil:
		r.silence(rec)
	case rec.Unseen != nil && rec.Shard == "":
		r.track(rec.CLB).unreadable(span{*rec.Unseen, rec.At})
	case rec.Unseen != nil:
		g := gap{span{*rec.Unseen, rec.At}, rec.Shard}
		r.gaps = upTo(maxGaps, r.gaps, g)
		for key, t := range r.tracks {
			if r.owns(g.shard, key) {
				t.notSeen(g.span)
			}
		}
	}
}

// upTo appends to a list that may have so many.
func upTo[T any](most int, all []T, one T) []T {
	if len(all) >= most {
		return all
	}
	return append(all, one)
}

// track finds or begins what is known of a load balancer.
func (r *Reader) track(c lb.CLB) *track {
	key := c.Key()
	t := r.tracks[key]
	if t == nil {
		n := int((r.to.Sub(r.from) + r.cell - 1) / r.cell)
		t = &track{from: r.from, to: r.to, cell: r.cell, done: r.from, watched: true, blank: true,
			line: &Line{CLB: c, sums: make([]sum, n)}}
		r.tracks[key] = t
		for _, g := range r.gaps {
			if r.owns(g.shard, key) {
				t.notSeen(g.span)
			}
		}
	}
	if c.Label != "" || c.Title != "" {
		t.line.CLB = c
	}
	return t
}

// change takes in what changed on a load balancer. The last change of an observation says how it stood.
func (r *Reader) change(rec incident.Record) {
	t := r.track(rec.CLB)
	if c := rec.Change; c.Kind == lb.LeftRunning || c.Kind == lb.Unhealthy {
		if t.machines[c.ID] == nil && r.machines < maxMachines {
			t.know(c.ID)
			r.machines++
		}
		if m := t.machines[c.ID]; m != nil {
			m.out(c.Name, rec.At)
		}
	}
	if rec.Stood != nil {
		t.turn(rec.At, standingOf(rec.Stood.Before), standingOf(rec.Stood.Now))
	}
}

// closed takes in an incident: one that is over or, if it has no end, one that goes on.
func (r *Reader) closed(rec incident.Record) {
	c := rec.Closed
	if c.Root == "" {
		r.messages += c.Messages
	}
	if c.About.Notice() || c.About == incident.Listing {
		return
	}
	t := r.track(rec.CLB)
	if root := cmp.Or(c.Root, rec.Incident); root != t.root { // a root's incidents come together
		t.root = root
		t.line.Messages += c.Messages
	}
	if c.About != incident.Backends {
		return
	}
	t.line.Incidents++
	if c.End == incident.EndResolved && !c.Last.Before(c.Began) {
		t.line.recoveries = append(t.line.recoveries, c.Last.Sub(c.Began))
	}
	t.line.Marks = upTo(maxMarks, t.line.Marks, Mark{rec.Incident, c.Level, c.Began, c.Ended})
}

// silence takes in that a silence began or ended.
func (r *Reader) silence(rec incident.Record) {
	q := rec.Silence
	id := silenceID{q.ID, q.Made.Truncate(time.Second)}
	s := r.silences[id]
	if s == nil {
		if len(r.silences) >= maxSilences {
			return
		}
		s = &Silence{From: q.Made}
		if q.Ended.IsZero() {
			s.From = later(q.Made, rec.At) // it counts once a tick knows it
		}
		r.silences[id] = s
	}
	s.Silence, s.To = *q, q.End()
}

// Standing is how a load balancer stands at the end of a period.
type Standing struct {
	CLB lb.CLB
	lb.Capacity
}

// Done ends the period. now are the load balancers that are watched and could be read: of which the history
// has nothing stood so all the time.
func (r *Reader) Done(now []Standing) *Past {
	for _, s := range now {
		t := r.track(s.CLB)
		t.line.CLB = s.CLB
		t.resolve(standingOf(s.Capacity))
	}
	p := &Past{From: r.from, To: r.to, Cell: r.cell, byKey: make(map[string]*Line, len(r.tracks))}
	for key, t := range r.tracks {
		p.byKey[key] = t.finish()
		p.Lines = append(p.Lines, t.line)
	}
	slices.SortFunc(p.Lines, func(a, b *Line) int { return cmp.Compare(a.CLB.Key(), b.CLB.Key()) })
	for _, l := range p.Lines {
		p.Total.add(l.Figures)
	}
	p.Total.Messages = r.messages
	for _, s := range r.silences {
		if s.To = earlier(s.To, r.to); s.To.After(r.from) {
			p.Silences = append(p.Silences, *s)
		}
	}
	slices.SortFunc(p.Silences, func(a, b Silence) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID))
	})
	return p
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
