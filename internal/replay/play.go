package replay

import (
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// maxListed is how many changes a Result lists of each kind.
const maxListed = 20

// Result is what came of a play.
type Result struct {
	Counts Counts
	// With other settings, which are compared: what these would have posted, and the changes that would have
	// been reported at another time by the first ones, or not at all. Changes that neither reports are in
	// none.
	Other   Counts
	Changes int // that were compared
	Later   Shift
	Sooner  Shift
	Never   Shift // reported by the other settings only
	Only    Shift // reported by the first ones only
}

// Shift are changes that are reported at another time, or by one of two settings only.
type Shift struct {
	N       int
	Longest time.Duration // by which they are later or sooner
	// Listed: by time, of each backend the one that is moved most; of the 20 that are moved most, or the
	// first 20
	Listed []Moved
}

// Moved is a change that is reported at another time.
type Moved struct {
	At   time.Time // observation of it
	CLB  lb.CLB
	Kind lb.Kind
	ID   string // the backend's
	Name string // untrusted text
	By   time.Duration
	More int // changes of the same backend that are moved, too
}

// news is a change until it is known when it is reported.
type news struct {
	Moved
	told [2]time.Time // zero: not at all, once it is settled
	open int          // how many players have not settled it
}

// Play plays observations through rules, and at the same time through others, if those are not nil, to
// compare them. Each message of the first is handed to say as it would be posted; say may be nil. An error of
// ticks or say ends it.
func Play(ticks Ticks, rules incident.Rules, others *incident.Rules,
	say func(Message) error) (Result, error) {
	g := &game{}
	g.join(rules, say)
	if others != nil {
		g.join(*others, nil)
	}
	if err := ticks(g.take); err != nil {
		return Result{}, err
	}
	for n := range g.waiting {
		for id := range g.waiting[n] {
			g.settle(n, id)
		}
	}
	g.result.Counts = g.players[0].counts
	if others != nil {
		g.result.Other = g.players[1].counts
	}
	return g.result, nil
}

// game is one play.
type game struct {
	players []*player
	waiting []map[string][]*news // of each player, by the number of the incident
	last    Tick
	result  Result
}

func (g *game) join(rules incident.Rules, say func(Message) error) {
	n := len(g.players)
	p := &player{rules: rules, state: new(incident.State), acks: make(map[string]string), say: say}
	g.players, g.waiting = append(g.players, p), append(g.waiting, make(map[string][]*news))
	p.told = func(r *incident.Root, post incident.Post) { g.told(n, r, post) }
	p.settled = func(id string) { g.settle(n, id) }
}

// take plays an observation, and before it the ticks in which nothing was new.
func (g *game) take(t Tick) error {
	until := t.At.Add(-every / 2)
	if !t.LastBefore.IsZero() {
		until = t.LastBefore
	}
	if t.Over {
		return g.quiet(t.At.Add(-1))
	}
	if err := g.quiet(until); err != nil {
		return err
	}
	g.last = t
	var all []*news
	for n, p := range g.players {
		p.slack = t.Slack
		p.judge(t.Observation)
		all = g.note(n, t, all)
		if err := p.post(t.At); err != nil {
			return err
		}
	}
	return nil
}

// quiet plays ticks in which nothing is new, until a time, for those players of which time alone may change
// something.
func (g *game) quiet(until time.Time) error {
	last := g.last
	if last.At.IsZero() {
		return nil
	}
	for at := last.At.Add(every); !at.After(until); at = at.Add(every) {
		busy := false
		for _, p := range g.players {
			if len(last.Unread) == 0 && !p.state.Busy() {
				continue
			}
			busy = true
			p.judge(incident.Observation{At: at, Unread: last.Unread, Silences: last.Silences, Name: last.Name})
			if err := p.post(at); err != nil {
				return err
			}
		}
		if !busy {
			return nil
		}
	}
	return nil
}

// note remembers which changes a player is to report. all are those of the observation, once the first has
// noted them.
func (g *game) note(n int, t Tick, all []*news) []*news {
	open := make(map[string]string) // numbers of incidents by key
	if len(t.Changed) > 0 {
		for _, r := range g.players[n].state.Roots {
			for _, i := range r.Incidents {
				if i.About == incident.Backends && i.Open() {
					open[i.Key] = i.ID
				}
			}
		}
	}
	at := 0
	for _, c := range t.Changed {
		for _, ch := range c.Changes {
			if n == 0 {
				all = append(all, &news{open: len(g.players), Moved: Moved{At: t.At, CLB: c.CLB, Kind: ch.Kind,
					ID: ch.Backend.ID, Name: ch.Backend.Name}})
			}
			id := open[c.CLB.Key()]
			g.waiting[n][id] = append(g.waiting[n][id], all[at])
			at++
		}
	}
	return all
}

// told notes which changes a post of a player reports.
func (g *game) told(n int, r *incident.Root, p incident.Post) {
	for _, i := range r.Incidents {
		waiting := g.waiting[n][i.ID]
		if len(waiting) == 0 {
			continue
		}
		machines := make(map[string]*incident.Machine, len(i.Machines))
		for m := range i.Machines {
			machines[i.Machines[m].ID] = &i.Machines[m]
		}
		waiting = slices.DeleteFunc(waiting, func(w *news) bool {
			if !shows(p, i, machines[w.ID]) {
				return false
			}
			w.told[n] = g.players[n].now
			g.done(w)
			return true
		})
		if g.waiting[n][i.ID] = waiting; len(waiting) == 0 {
			delete(g.waiting[n], i.ID)
		}
	}
}

// shows reports whether a post shows what happened to a machine of an incident last; m is nil if the machine
// has no details. A root shows what is pending, too.
func shows(p incident.Post, i *incident.Incident, m *incident.Machine) bool {
	switch {
	case m == nil:
		return !i.Untold()
	case p.Root:
		return !m.Silent
	}
	return !m.Held()
}

// settle notes that a player will not report any more what is left of an incident.
func (g *game) settle(n int, id string) {
	waiting := g.waiting[n][id]
	delete(g.waiting[n], id)
	for _, w := range waiting {
		g.done(w)
	}
}

// done compares when a change is reported, once all players have settled it.
func (g *game) done(w *news) {
	if w.open--; w.open > 0 || len(g.players) < 2 {
		return
	}
	r := &g.result
	r.Changes++
	is, other := w.told[0], w.told[1]
	switch {
	case is.IsZero() && other.IsZero():
	case is.IsZero():
		r.Never.add(w.Moved)
	case other.IsZero():
		r.Only.add(w.Moved)
	case is.Sub(other) >= every/2:
		w.By = is.Sub(other)
		r.Later.add(w.Moved)
	case other.Sub(is) >= every/2:
		w.By = other.Sub(is)
		r.Sooner.add(w.Moved)
	}
}

func (s *Shift) add(m Moved) {
	s.N++
	s.Longest = max(s.Longest, m.By)
	same := func(o Moved) bool { return o.ID == m.ID && o.CLB.Key() == m.CLB.Key() }
	if n := slices.IndexFunc(s.Listed, same); n >= 0 {
		more := s.Listed[n].More + 1
		if m.By > s.Listed[n].By {
			s.Listed[n] = m
		}
		s.Listed[n].More = more
	} else if len(s.Listed) < maxListed {
		s.Listed = append(s.Listed, m)
	} else {
		least := 0
		for n := range s.Listed {
			if s.Listed[n].By <= s.Listed[least].By { // of the same, the last
				least = n
			}
		}
		if m.By <= s.Listed[least].By {
			return
		}
		s.Listed[least] = m
	}
	slices.SortStableFunc(s.Listed, func(a, b Moved) int { return a.At.Compare(b.At) })
}
