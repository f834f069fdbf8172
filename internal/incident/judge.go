package incident

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"clbwatch/internal/lb"
)

// Rules are the settings that notification goes by. Each must be set unless it says otherwise.
type Rules struct {
	StableAfter  time.Duration // how patient the watcher is: 1 s to 1 h
	TransientFor time.Duration // how long what may pass by itself is held back; 0: not at all
	// MentionAt: from how many percent of its weight lost a load balancer is degraded; 1 to 100
	MentionAt  int
	BlindAfter int     // observations without a reading before that is reported; at least 1
	Windows    Windows // silences that recur; there may be none
	Route      Route   // where incidents are posted that are about nothing in Routes
	// Routes: load balancers with a channel of their own, by a bot; the first that matches counts
	Routes []RouteRule
	Tag    string // a new random text for each commit, of at least 8 bytes: see Root.Tag
	Suffix string // what the numbers of this shard's incidents end in, such as "-2"
}

// Observation is what one tick saw, as far as notification goes.
type Observation struct {
	At      time.Time // when it began
	Changed []Changed // load balancers whose backends changed
	Unread  []Unread  // what could not be read, each once
	// Gone: load balancers and searches that are not watched any more, by Key: EndDeleted or EndDropped
	Gone map[string]End
	// Accepted: load balancers whose outages the snapshot takes for granted from now on: see Abandoning
	Accepted map[string]bool
	Notices  []Incident // notices: their About, Key, names and what they say
	// Silences: those that people made and that are active or ended not long ago; nil if that is not known
	Silences []Silence
	// Name returns what is known of the names of a load balancer, by Key; nil if nothing is
	Name func(key string) lb.CLB
}

// Changed is one load balancer whose backends changed.
type Changed struct {
	CLB lb.CLB
	lb.Delta
}

// MaxBehind is by how much the clocks of two runs may differ: beyond that, one of them is wrong.
const MaxBehind = 15 * time.Minute

// elapsed reports whether a time has passed since then. A timer never fires exactly on time: all but a tenth
// will do, or all but 20 s.
func elapsed(d time.Duration, since, at time.Time) bool {
	return at.Sub(since) >= d-min(d/10, 20*time.Second)
}

// tenths is a part of STABLE_AFTER, as rules are stated.
func (r Rules) tenths(n int) time.Duration { return r.StableAfter * time.Duration(n) / 10 }

// Judge takes in one observation: which incidents begin, get worse or better, are stable, are closed. It
// changes s, and returns what the history is to have of it. Each change becomes part of exactly one incident.
// All times are those of observations: one that claims to be earlier than the last counts as made at the same
// time, unless it is earlier by so much that the clock of the last must have been wrong.
func (s *State) Judge(o Observation, rules Rules) (past []Record) {
	if o.At.Before(s.At) && s.At.Sub(o.At) <= MaxBehind {
		o.At = s.At
	}
	s.name, s.crowded = o.Name, false
	s.settleRoutes(rules)
	s.byKey = s.indexed()
	over, past := s.hush(o, rules)
	s.pause(o, rules)
	for _, c := range o.Changed {
		past = append(past, s.change(c, o.At, rules)...)
	}
	past = append(past, s.read(o, rules)...)
	for key, end := range sorted(o.Gone) {
		s.gone(key, end, o.At)
	}
	s.notices(o, rules)
	s.lift(over, o.At)
	for _, r := range s.Roots {
		s.settle(r, o, rules)
	}
	s.bound()
	s.forgetReasons()
	s.At, s.byKey, s.name = o.At, nil, nil
	return past
}

func sorted[V any](m map[string]V) func(func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// place is where an open incident is.
type place struct {
	root     *Root
	incident *Incident
}

// indexed are the open incidents about backends, by the Key of their load balancers.
func (s *State) indexed() map[string]place {
	open := make(map[string]place)
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.About == Backends && i.Open() {
				open[i.Key] = place{r, i}
			}
		}
	}
	return open
}

// begin starts an incident, in a root that may take it or in a new one, on the route that it keeps. It is no
// news yet.
func (s *State) begin(i Incident, at time.Time, rules Rules) (*Root, *Incident) {
	s.Last++
	i.ID, i.Began = strconv.FormatInt(s.Last, 10)+rules.Suffix, at
	if i.About.Notice() {
		i.Closed, i.End = at, EndNotice
	}
	rules.Route = s.routeOf(&i, rules) // of this incident, from here on
	r := s.rootFor(i.About.Notice(), at, rules)
	if r == nil {
		r = &Root{Tag: rules.Tag, Made: at, Delivery: Delivery{Route: rules.Route}}
		s.Roots = append(s.Roots, r)
	}
	r.Incidents = append(r.Incidents, &i)
	s.cover(&i, at)
	return r, &i
}

// news gives the root a new revision that is news about an incident.
func (r *Root) news(i *Incident, at time.Time) {
	r.Rev++
	r.isNews(i, at)
}

// isNews makes the root's revision news about an incident.
func (r *Root) isNews(i *Incident, at time.Time) {
	if i.Rev == 0 || i.Hushed { // whom the first news concerns does not follow the thread
		i.Loud, i.Hushed = r.Rev, false
	}
	if i.LiftedBy != "" && i.Lifted == 0 {
		i.Lifted = r.Rev
	}
	r.News, i.Rev, r.NewsAt = r.Rev, r.Rev, at
}

// rootFor is the root on rules.Route that a new incident joins; nil if there is none.
func (s *State) rootFor(notice bool, at time.Time, rules Rules) *Root {
	here, everywhere := 0, 0 // open roots
	var newest *Root
	for _, r := range slices.Backward(s.Roots) {
		d := &r.Delivery
		if r.Open() {
			if everywhere++; d.Route == rules.Route {
				here++
			}
		}
		if d.Route != rules.Route || r.Notice() != notice || d.failedAlone() {
			continue
		}
		untouched := !d.Posted && d.Claim == nil && d.Doubt == nil
		if notice {
			if untouched {
				return r
			}
			continue
		}
		if !r.Open() {
			continue
		}
		if !elapsed(rules.tenths(3), r.Made, at) || untouched && !s.channel(d.Route).LastYes.After(r.Made) {
			return r
		}
		if newest == nil {
			newest = r
		}
	}
	if (here >= maxRoots || everywhere >= maxAllRoots) && !notice {
		return newest
	}
	return nil
}

// change takes in what changed on one load balancer.
func (s *State) change(c Changed, at time.Time, rules Rules) (past []Record) {
	in, ok := s.byKey[c.CLB.Key()]
	if !ok {
		i := Incident{Key: c.CLB.Key(), Label: c.CLB.Label, Title: c.CLB.Title, Before: c.Before,
			Worst: c.Before}
		in.root, in.incident = s.begin(i, at, rules)
		s.byKey[c.CLB.Key()] = in
	}
	r, i := in.root, in.incident
	r.Rev++
	if i.Label, i.Title, i.Now = c.CLB.Label, c.CLB.Title, c.Now; i.Label != "" {
		i.Title = "" // nobody is shown it then
	}
	i.Removed, i.Added, i.Bare = i.Removed+c.Removed, i.Added+c.Added, c.Bare
	i.empty(c.Delta)
	i.Counts = i.Counts.Plus(lb.Count(c.Changes))
	worse := cmp.Or(cmp.Compare(c.Now.Running, i.Worst.Running), cmp.Compare(c.Now.Serving, i.Worst.Serving))
	if worse < 0 {
		i.Worst = c.Now
	}
	news, better := r.machines(i, c.Changes, at, rules), true
	past = recordsOf(i, c)
	for _, ch := range c.Changes {
		back := ch.Kind == lb.Recovered || ch.Kind == lb.Healthy
		better = better && back
		never := back && ch.Out != nil && ch.Out.New // it was added stopped, and serves for the first time
		i.WasOut = i.WasOut || ch.Kind == lb.LeftRunning || ch.Kind == lb.Unhealthy || back && !never
	}
	if i.level(rules) == Down { // nothing is pending any more
		news = i.unhold(r.Rev, func(Machine) bool { return true }) || news
	}
	news = i.breaks(r.Rev, rules) || news
	i.Hushed = i.Hushed || i.Stable && !better
	if news {
		r.isNews(i, at)
	}
	if i.Calm, i.Stable = (time.Time{}), false; !at.Equal(i.Began) {
		i.Changed = at
	}
	if !i.Paused.IsZero() {
		i.Paused = at // the status can be read, the health cannot
	}
	r.relevel(i, at, rules)
	return past
}

// machines takes changes into the records of their machines. It reports whether any of them is news: none is
// as long as it may pass by itself.
func (r *Root) machines(i *Incident, changes []lb.Change, at time.Time, rules Rules) (news bool) {
	index := make(map[string]int, len(i.Machines))
	for n, m := range i.Machines {
		index[m.ID] = n
	}
	for _, ch := range changes {
		n, ok := index[ch.Backend.ID]
		if !ok {
			if _, crowded := i.Crowd[hash(ch.Backend.ID)]; crowded {
				was := i.Crowd[hash(ch.Backend.ID)].Now
				i.Crowd.take(ch)
				if i.silenced() && (i.Rev == 0 || was != Out) { // else people may know that it was out
					continue
				}
				if news = true; i.CrowdRev <= r.Delivery.Shown {
					i.CrowdRev, i.CrowdAt = r.Rev, at
				}
				continue
			}
			n = len(i.Machines)
			index[ch.Backend.ID] = n
			i.Machines = append(i.Machines, newMachine(ch))
		}
		m := &i.Machines[n]
		was := *m
		m.take(ch, r.Rev, rules)
		// People were shown that it was out, or will be: that it is not is news. What is pending may have been
		// shown by a post about something else.
		shown := !was.Pending || !was.OutAt.After(r.Delivery.UpdatedAt)
		ends := was.Now == Out && m.Now != Out && !was.Silent && shown
		if ends {
			m.Pending = false
		}
		if m.silence(i.silenced() && !ends, was.Now); m.Silent && (ch.Kind == lb.Unbound || ch.Kind == lb.Bound) {
			m.Rebound = !m.Rebound || !samePart(m.Unbound, m.Bound)
		}
		news = news || !m.Held()
	}
	return news
}

// empty carries on which listeners and rules have nothing bound any more that serves.
func (i *Incident) empty(d lb.Delta) {
	for _, name := range d.Refilled {
		i.Emptied = slices.DeleteFunc(i.Emptied, func(e string) bool { return e == brief(name) })
	}
	for _, name := range d.Emptied {
		if e := brief(name); !slices.Contains(i.Emptied, e) && len(i.Emptied) < maxEmptied {
			i.Emptied = append(i.Emptied, e)
		}
	}
}

// brief is a listener's name, such as "TCP:443", or what tells rules apart: they may be long.
func brief(name string) string {
	if len(name) <= 16 && !strings.Contains(name, " ") {
		return name
	}
	return strconv.FormatUint(hash(name), 36)
}

// unhold makes machines that are pending so no longer, and reports whether any of that is news. rev is the
// revision that shows them.
func (i *Incident) unhold(rev int, which func(Machine) bool) (news bool) {
	for n := range i.Machines {
		if m := &i.Machines[n]; m.Pending && which(*m) {
			m.Pending = false
			if m.silence(i.silenced(), m.Began); !m.Silent {
				m.Rev, news = rev, true
			}
		}
	}
	return news
}

// calm is since when the incident counts as unchanged.
func (i *Incident) calm() time.Time {
	if i.Calm.IsZero() {
		return i.LastChange()
	}
	return i.Calm
}

// gone closes what is open about a load balancer or search that is not watched any more.
func (s *State) gone(key string, end End, at time.Time) {
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.Key == key && i.Open() {
				r.close(i, end, at)
				if !i.Untold() { // else nobody misses it: what was deleted has a notice
					r.news(i, at)
				}
			}
		}
	}
	for _, about := range []About{Reading, Health, Listing} {
		delete(s.Unread, blindKey(key, about))
	}
}

func (s *State) notices(o Observation, rules Rules) {
	n := make(map[About]int)
	for _, i := range o.Notices {
		if n[i.About]++; n[i.About] > maxNotices {
			continue // the summary of the tick has them all
		}
		r, i := s.begin(i, o.At, rules)
		if i.Withheld = i.silenced(); i.Withheld {
			r.Rev++
			continue
		}
		r.news(i, o.At)
	}
}

// settle does what time alone does to a root, once all that was seen is taken in.
func (s *State) settle(r *Root, o Observation, rules Rules) {
	for _, i := range r.Incidents {
		switch {
		case !i.Open():
		case i.About.Blind():
			if i.Readable && elapsed(rules.StableAfter, i.LastChange(), o.At) {
				r.close(i, EndResolved, o.At)
			}
		default:
			r.settleOne(i, o, rules)
		}
	}
	r.watchMarks(o.At)
	if r.stable() {
		r.PaceFrom = r.Delivery.Counted
	}
}

func (r *Root) settleOne(i *Incident, o Observation, rules Rules) {
	lasts := func(m Machine) bool { return m.Now == Out && elapsed(rules.TransientFor, m.OutAt, o.At) }
	if news := i.unhold(r.Rev+1, lasts); i.breaks(r.Rev+1, rules) || news {
		r.news(i, o.At)
	}
	r.relevel(i, o.At, rules) // what was held back may count now
	i.rearm(o.At, rules, false)
	if !i.Paused.IsZero() || i.LastChange().Equal(o.At) {
		return
	}
	if !i.Stable && elapsed(rules.StableAfter, i.calm(), o.At) {
		was := i.Level
		i.Stable, i.Removed, i.Added = true, 0, 0
		r.Rev++
		if r.relevel(i, o.At, rules); i.Level < was {
			r.forgetMarks(i, o.At)
		}
		i.rearm(o.At, rules, true)
	}
	switch {
	case !i.Stable, i.withheld():
	case i.Now.Out == 0:
		r.unack(i, o.At)
		if r.close(i, i.outcome(), o.At); i.Level >= Degraded {
			r.forgetMarks(i, o.At) // a listener is not bound any more, and that is accepted
		}
	case o.Accepted[i.Key]:
		r.close(i, EndAbandoned, o.At)
		r.forgetMarks(i, o.At)
		r.news(i, o.At)
	}
}

// outcome is how an incident ends in which nothing is out any more.
func (i *Incident) outcome() End {
	if i.WasOut && len(i.Emptied) == 0 && i.Now.Serving >= i.Before.Serving &&
		i.Now.Running >= i.Before.Running {
		return EndResolved
	}
	return EndOver
}

func (r *Root) close(i *Incident, end End, at time.Time) {
	i.Closed, i.End, i.Stable = at, end, true
	r.Rev++
}

// Abandoning are the load balancers whose incidents will be abandoned by an observation at this time that
// finds them unchanged: something has been out for so long that nobody means to change it. The snapshot that
// goes with it takes what is out for granted from then on: see Observation.Accepted.
func (s *State) Abandoning(at time.Time, rules Rules) map[string]bool {
	keys := make(map[string]bool)
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			out := i.About == Backends && i.Open() && i.Stable && i.Paused.IsZero() && i.Now.Out > 0
			if out && i.Silence == "" && elapsed(144*rules.StableAfter, i.calm(), at) {
				keys[i.Key] = true
			}
		}
	}
	return keys
}
