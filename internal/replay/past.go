package replay

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// maxKept bounds what is kept of a period beside its changes: times in which something was not seen, and
// notices.
const maxKept = 500_000

// errTooMuch is the error of a period that has more than that.
var errTooMuch = errors.New("too much could not be read in this time: choose a shorter one")

// Lines hands on the lines of the history, oldest first, and then of what goes on now. An error of take ends
// it.
type Lines func(take func(r incident.Record, now time.Time) error) error

// Past are the observations that the history has. It reads the lines twice: that something could not be read
// is written when it can be again.
//
// What the history does not have is played as if it were not: what was open before its first line, why
// something could not be read, addresses of backends, and ticks that only one of several shards missed.
func Past(lines Lines) Ticks {
	return func(yield func(Tick) error) error {
		p := &past{acked: make(map[string]string), clbs: make(map[string]lb.CLB)}
		if err := lines(p.foresee); err != nil {
			return err
		}
		p.order()
		if err := lines(func(r incident.Record, _ time.Time) error { return p.take(r, yield) }); err != nil {
			return err
		}
		if err := p.flush(yield); err != nil {
			return err
		}
		if err := p.before(p.end, yield); err != nil {
			return err
		}
		return yield(Tick{Observation: incident.Observation{At: p.end}, Over: true})
	}
}

// past is a history as it is played.
type past struct {
	now     time.Time         // of the first reading: lines of then say what goes on
	end     time.Time         // the same, or after the last tick, if that is long ago
	dark    []dark            // by begin
	notices []notice          // by time
	left    []incident.Record // incidents that were left as they are, by time

	acked    map[string]string // what incidents are about that somebody acknowledged, by number: see subject
	clbs     map[string]lb.CLB // by key
	unread   []dark            // goes on now
	silences []incident.Silence
	ledger   ledger

	at    time.Time // of the lines that are collected
	lines []incident.Record
}

// dark is a time in which something could not be read.
type dark struct {
	key      string
	about    incident.About
	from, to time.Time
}

type notice struct {
	at time.Time
	incident.Incident
}

// foresee takes in what must be known before the lines are played.
func (p *past) foresee(r incident.Record, now time.Time) error {
	if p.now.IsZero() {
		p.now, p.end = now, now
	}
	if len(p.dark)+len(p.notices)+len(p.left) > maxKept {
		return errTooMuch
	}
	c := r.Closed
	if q := r.Silence; q != nil && q.Incident != "" && q.Ended.IsZero() {
		p.acked[q.Incident] = "" // what it is about, a later line says
	}
	if _, ok := p.acked[r.Incident]; ok && c != nil {
		p.acked[r.Incident] = subject(r.CLB.Key(), c.About)
	}
	goesOn := !r.At.Before(p.now)
	until := r.At
	if goesOn {
		until = p.now.Add(every)
	}
	switch {
	case r.Shard == "1/1" && goesOn:
		p.end = r.Unseen.Add(time.Second) // then was the last
	case r.Unseen != nil && r.Shard == "":
		p.dark = append(p.dark, dark{r.CLB.Key(), incident.Reading, *r.Unseen, until})
	case c == nil:
	case c.About == incident.Health || c.About == incident.Listing:
		d := dark{r.CLB.Key(), c.About, c.Began, c.Last}
		if c.About == incident.Listing {
			d.key = r.CLB.ID
		}
		if c.Ended.IsZero() || !c.Last.After(c.Began) {
			d.to = until
		}
		p.dark = append(p.dark, d)
	case c.About == incident.Watching: // the first readings say so
	case c.About.Notice():
		key := r.CLB.Key()
		if c.About == incident.Nothing {
			key = r.CLB.ID
		}
		p.notices = append(p.notices, notice{c.Began, incident.Incident{About: c.About, Key: key,
			Label: r.CLB.Label, Title: r.CLB.Title, Before: c.Before, Now: c.Now}})
	case c.End == incident.EndAbandoned:
		p.left = append(p.left, r)
	}
	return nil
}

// subject is what an incident is about: here it has another number.
func subject(key string, about incident.About) string { return key + " " + string(about) }

func (p *past) order() {
	slices.SortStableFunc(p.dark, func(a, b dark) int { return a.from.Compare(b.from) })
	slices.SortStableFunc(p.notices, func(a, b notice) int { return a.at.Compare(b.at) })
	slices.SortStableFunc(p.left, func(a, b incident.Record) int {
		return a.Closed.Ended.Compare(b.Closed.Ended)
	})
}

// take collects the lines of one observation.
func (p *past) take(r incident.Record, yield func(Tick) error) error {
	if !r.At.Before(p.now) {
		return nil
	}
	if !r.At.Equal(p.at) {
		if err := p.flush(yield); err != nil {
			return err
		}
		p.at = r.At
	}
	if r.CLB.Label != "" || r.CLB.Title != "" {
		p.clbs[r.CLB.Key()] = r.CLB
	}
	p.lines = append(p.lines, r)
	return nil
}

// flush plays the lines that were collected.
func (p *past) flush(yield func(Tick) error) error {
	if len(p.lines) == 0 {
		return nil
	}
	if err := p.before(p.at, yield); err != nil {
		return err
	}
	t := p.tick(p.at)
	changed := make(map[string]*incident.Changed)
	var order []string
	var baseline *incident.Baseline
	for _, r := range p.lines {
		key := r.CLB.Key()
		switch {
		case r.Change != nil:
			c := changed[key]
			if c == nil {
				c = &incident.Changed{CLB: r.CLB}
				changed[key], order = c, append(order, key)
			}
			c.Changes = append(c.Changes, r.Change.Change(r.At))
			if s := r.Stood; s != nil {
				c.Before, c.Now, c.Removed, c.Added = s.Before, s.Now, s.Removed, s.Added
				c.Bare, c.Emptied, c.Refilled = s.Bare, s.Emptied, s.Refilled
			}
		case r.First != nil:
			if baseline == nil {
				baseline = new(incident.Baseline)
			}
			baseline.Add(incident.Standing{CLB: r.CLB, Now: *r.First})
		case r.Gone != "":
			if t.Gone == nil {
				t.Gone = make(map[string]incident.End)
			}
			t.Gone[key] = r.Gone
		case r.Unseen != nil && r.Shard == "1/1":
			t.LastBefore = *r.Unseen
		case r.Silence != nil:
			p.silence(*r.Silence)
		}
	}
	p.lines = p.lines[:0]
	for _, key := range order {
		t.Changed = append(t.Changed, p.ledger.change(*changed[key], 1))
	}
	if baseline != nil {
		first := baseline.Worst[0].CLB
		t.Notices = append(t.Notices, incident.Incident{About: incident.Watching, Key: first.Key(),
			Label: first.Label, Title: first.Title, Baseline: baseline})
	}
	t.Silences = slices.Clone(p.silences)
	return yield(t)
}

// silence takes in that one began or ended. Windows of the settings are the rules' business.
func (p *past) silence(q incident.Silence) {
	switch {
	case q.What == "":
		q.Incident = p.acked[q.Incident] // see player.silences
	case q.By == "SILENCES":
		return
	}
	p.silences = slices.DeleteFunc(p.silences, func(s incident.Silence) bool { return s.ID == q.ID })
	p.silences = append(p.silences, q)
	if n := len(p.silences) - incident.MaxSilences; n > 0 {
		p.silences = slices.Delete(p.silences, 0, n)
	}
}

// before plays what began or ended before a time and has no line then: that something could not be read, or
// could be again, and notices.
func (p *past) before(until time.Time, yield func(Tick) error) error {
	until = until.Truncate(time.Second) // so are the times that lines tell
	for {
		at := p.next()
		if at.IsZero() || !at.Before(until) {
			return nil
		}
		if err := yield(p.tick(at)); err != nil {
			return err
		}
	}
}

// next is when the next of that happens; zero if nothing does.
func (p *past) next() (at time.Time) {
	soonest := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if len(p.dark) > 0 {
		soonest(p.dark[0].from)
	}
	for _, d := range p.unread {
		soonest(d.to)
	}
	if len(p.notices) > 0 {
		soonest(p.notices[0].at)
	}
	return at
}

// tick is an observation at a time, with what began or ended until then and has no line.
func (p *past) tick(at time.Time) Tick {
	for len(p.left) > 0 && !p.left[0].Closed.Ended.After(at) {
		p.ledger.accept(p.left[0].CLB.Key())
		p.left = p.left[1:]
	}
	p.unread = slices.DeleteFunc(p.unread, func(d dark) bool { return !d.to.After(at) })
	for len(p.dark) > 0 && !p.dark[0].from.After(at) {
		if d := p.dark[0]; d.to.After(at) {
			p.unread = append(p.unread, d)
		}
		p.dark = p.dark[1:]
	}
	t := Tick{Observation: incident.Observation{At: at, Name: p.name, Silences: slices.Clone(p.silences)}}
	for _, d := range p.unread {
		t.Unread = append(t.Unread, incident.Unread{Key: d.key, About: d.about, LastGood: d.from,
			Reason: incident.Reason{Why: "the history does not say why"}})
	}
	slices.SortFunc(t.Unread, func(a, b incident.Unread) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.About, b.About))
	})
	for len(p.notices) > 0 && !p.notices[0].at.After(at) {
		t.Notices = append(t.Notices, p.notices[0].Incident)
		p.notices = p.notices[1:]
	}
	return t
}

func (p *past) name(key string) lb.CLB {
	if c, ok := p.clbs[key]; ok {
		return c
	}
	return lb.ParseKey(key)
}
