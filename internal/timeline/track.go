package timeline

import (
	"cmp"
	"slices"
	"time"

	"clbwatch/internal/lb"
)

const (
	flapOutages = 3         // so often out of service
	flapWithin  = time.Hour // within this time: the machine flaps
	maxFlappers = 10        // that are named, of one load balancer
	maxDark     = 64        // times without a reading that are kept before they are added up
)

// standing is what counts of how a load balancer stood.
type standing struct {
	share     float64 // of its weight that is in service, 0 to 1
	up, whole bool    // at least one backend runs; all of the weight is in service
	idle      bool    // there never was a backend: that counts neither as well nor as bad
}

// standingOf says what of a capacity counts. Weight 0 is drained on purpose: where all is drained, nothing is
// missing as long as all of it runs.
func standingOf(c lb.Capacity) standing {
	s := standing{up: c.Running > 0, idle: c.Total == 0}
	switch {
	case c.Weight > 0:
		s.share = float64(min(c.Serving, c.Weight)) / float64(c.Weight)
	case c.Total > 0 && c.Running == c.Total:
		s.share = 1
	}
	s.whole = s.up && s.share == 1
	return s
}

// span is a time from one observation to another.
type span struct{ from, to time.Time }

// track is one load balancer as its lines are read. What is added up lags behind by one change, because the
// line that says since when it was not seen comes after the change that was found when it was seen again.
type track struct {
	from, to time.Time // the period
	cell     time.Duration
	line     *Line

	watched bool
	done    time.Time // everything before is added up
	is      standing  // from done on
	blank   bool      // it is not known yet how it stood until now: always the same
	turned  time.Time // it changed then, which is not added up yet; zero if there is no such change
	then    standing  // and stood so from there on
	dark    []span    // when it was not seen, as far as it is not added up

	machines map[string]*machine // that were out of service, by id
	root     string              // of the last incident
}

// machine is how often a backend was out of service.
type machine struct {
	name    string
	outages int
	last    [flapOutages - 1]time.Time
	flaps   bool
}

func (t *track) know(id string) {
	if t.machines == nil {
		t.machines = make(map[string]*machine)
	}
	t.machines[id] = new(machine)
}

func (m *machine) out(name string, at time.Time) {
	m.name = cmp.Or(name, m.name)
	m.outages++
	m.flaps = m.flaps || m.outages >= flapOutages && at.Sub(m.last[0]) <= flapWithin
	copy(m.last[:], m.last[1:])
	m.last[len(m.last)-1] = at
}

// begin notes the first reading of a load balancer: before, it was not watched.
func (t *track) begin(at time.Time, is standing) {
	if t.blank {
		t.forget()
	}
	t.settle(at)
	if t.watched && !t.blank {
		t.addUp(at)
	}
	t.watched, t.blank, t.is, t.done = true, false, is, later(at, t.from)
}

// end notes that it is not watched any more.
func (t *track) end(at time.Time) {
	t.settle(at.Add(time.Nanosecond))
	t.addUp(at)
	t.watched = false
}

// turn notes how it stood before and after the changes of one observation.
func (t *track) turn(at time.Time, before, now standing) {
	t.resolve(before)
	t.settle(at)
	t.turned, t.then = at, now
	t.then.idle = false // whose last backend was removed is down
}

// settle adds up what was before the last change, if that was before a time.
func (t *track) settle(at time.Time) {
	if t.turned.IsZero() || !t.turned.Before(at) {
		return
	}
	t.addUp(t.turned)
	t.is, t.turned = t.then, time.Time{}
}

// notSeen notes a time in which it was not seen: nothing changed within.
func (t *track) notSeen(s span) { t.dark = append(t.dark, s) }

// unreadable notes a time in which it could not be read.
func (t *track) unreadable(s span) {
	t.notSeen(s)
	if len(t.dark) <= maxDark {
		return
	}
	if t.settle(s.to); t.turned.IsZero() {
		t.addUp(s.to) // all that follows is later
	}
}

// addUp takes a time into the sums, up to an observation.
func (t *track) addUp(to time.Time) {
	defer func() { t.dark = slices.DeleteFunc(t.dark, func(d span) bool { return !d.to.After(to) }) }()
	to = earlier(to, t.to)
	switch {
	case !to.After(t.done):
		return
	case !t.watched || t.is.idle:
		t.done = to
		return
	}
	t.line.Watched += to.Sub(t.done)
	t.each(t.done, to, func(s *sum, _ time.Duration) { s.watched = true })
	slices.SortFunc(t.dark, func(a, b span) int { return a.from.Compare(b.from) })
	at := t.done
	for _, d := range t.dark {
		t.add(at, earlier(d.from, to))
		at = later(at, d.to)
	}
	t.add(at, to)
	t.done = to
}

// add takes a time in which it was seen into the sums.
func (t *track) add(from, to time.Time) {
	if !to.After(from) {
		return
	}
	t.each(from, to, func(s *sum, d time.Duration) { s.add(d, t.is) })
	t.line.count(to.Sub(from), t.is)
}

// each calls f for each cell that a time has a part in, with how long that is.
func (t *track) each(from, to time.Time, f func(s *sum, d time.Duration)) {
	for at := from; at.Before(to); {
		// the last cell ends with the period, so the first may be shorter than the others
		n := len(t.line.sums) - 1 - int((t.to.Sub(at)-1)/t.cell)
		end := earlier(t.to.Add(-time.Duration(len(t.line.sums)-1-n)*t.cell), to)
		f(&t.line.sums[n], end.Sub(at))
		at = end
	}
}

// resolve says how it stood until now, where that was not known.
func (t *track) resolve(is standing) {
	if !t.blank {
		return
	}
	if t.blank, t.is = false, is; is.idle {
		t.forget()
		return
	}
	seen := t.line.Seen
	t.line.Seen, t.line.Up, t.line.Whole, t.line.service = 0, 0, 0, 0
	t.line.count(seen, is)
	for n := range t.line.sums {
		s := &t.line.sums[n]
		seen := s.seen
		if *s = (sum{watched: s.watched}); seen > 0 {
			s.add(seen, is)
		}
	}
}

// forget drops what was added up.
func (t *track) forget() {
	t.line.Watched, t.line.Seen, t.line.Up, t.line.Whole, t.line.service = 0, 0, 0, 0, 0
	clear(t.line.sums)
}

// finish adds up the rest.
func (t *track) finish() *Line {
	if t.blank { // nobody knows how it ever stood
		t.forget()
		t.watched = false
	}
	t.settle(t.to.Add(time.Nanosecond))
	t.addUp(t.to)
	for id, m := range t.machines {
		if m.flaps {
			t.line.Flapping = append(t.line.Flapping, Flapper{id, m.name, m.outages})
		}
	}
	t.line.Flaps = len(t.line.Flapping)
	slices.SortFunc(t.line.Flapping, func(a, b Flapper) int {
		return cmp.Or(cmp.Compare(b.Outages, a.Outages), cmp.Compare(a.ID, b.ID))
	})
	t.line.Flapping = t.line.Flapping[:min(len(t.line.Flapping), maxFlappers)]
	return t.line
}
