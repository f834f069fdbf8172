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
	MentionAt    int           // from how many percent of its weight lost a load balancer is degraded; 1 to 100
	BlindAfter   int           // observations without a reading before that is reported; at least 1
	Route        Route         // where incidents are posted
	Tag          string        // a new random text for each commit, of at least 8 bytes: see Root.Tag
	Suffix       string        // what the numbers of this shard's incidents end in, such as "-2"; "" where there are no shards
}

// Observation is what one tick saw, as far as notification goes.
type Observation struct {
	At       time.Time       // when it began
	Changed  []Changed       // load balancers whose backends changed
	Unread   []Unread        // what could not be read, each once
	Gone     map[string]End  // load balancers and searches that are not watched any more, by Key: EndDeleted or EndDropped
	Accepted map[string]bool // load balancers whose outages the snapshot takes for granted from now on: see Abandoning
	Notices  []Incident      // notices: their About, Key, names and what they say
}

// Changed is one load balancer whose backends changed.
type Changed struct {
	CLB lb.CLB
	lb.Delta
}

// elapsed reports whether a time has passed since then. A timer never fires exactly on time: all but a tenth will do, or
// all but 20 s.
func elapsed(d time.Duration, since, at time.Time) bool {
	return at.Sub(since) >= d-min(d/10, 20*time.Second)
}

// tenths is a part of STABLE_AFTER, as rules are stated.
func (r Rules) tenths(n int) time.Duration { return r.StableAfter * time.Duration(n) / 10 }

// Judge takes in one observation: which incidents begin, get worse or better, are stable, are closed. It changes s, and
// returns what the history is to have of it. Each change becomes part of exactly one incident. All times are those of
// observations; s.At must be before o.At.
func (s *State) Judge(o Observation, rules Rules) (past []Record) {
	s.settleRoutes(rules)
	s.pause(o, rules)
	for _, c := range o.Changed {
		past = append(past, s.change(c, o.At, rules)...)
	}
	s.read(o, rules)
	for key, end := range sorted(o.Gone) {
		s.gone(key, end, o.At)
	}
	s.notices(o, rules)
	for _, r := range s.Roots {
		s.settle(r, o, rules)
	}
	s.bound()
	s.forgetReasons()
	s.At = o.At
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

// open finds the open incident of a load balancer or search, about something.
func (s *State) open(key string, about About) (*Root, *Incident) {
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.Key == key && i.About == about && i.Open() {
				return r, i
			}
		}
	}
	return nil, nil
}

// begin starts an incident, in a root that may take it or in a new one.
func (s *State) begin(i Incident, at time.Time, rules Rules) (*Root, *Incident) {
	s.Last++
	i.ID, i.Began = strconv.FormatInt(s.Last, 10)+rules.Suffix, at
	if i.About.Notice() {
		i.Closed, i.End = at, EndNotice
	}
	r := s.rootFor(i.About.Notice(), at, rules)
	joins := r != nil
	if !joins {
		r = &Root{Tag: rules.Tag, Made: at, Delivery: Delivery{Route: rules.Route}}
		s.Roots = append(s.Roots, r)
	}
	r.Incidents = append(r.Incidents, &i)
	r.news(&i, at)
	if joins {
		i.Loud = r.News // whom it concerns does not follow that thread
	}
	return r, &i
}

// news notes that something about an incident is news.
func (r *Root) news(i *Incident, at time.Time) {
	r.Rev++
	r.News, i.Rev, r.NewsAt = r.Rev, r.Rev, at
}

// rootFor is the root that a new incident joins; nil if there is none.
func (s *State) rootFor(notice bool, at time.Time, rules Rules) *Root {
	open := 0
	var newest *Root
	for _, r := range slices.Backward(s.Roots) {
		d := &r.Delivery
		if d.Route != rules.Route || r.Notice() != notice || d.failedAlone() {
			if r.Open() {
				open++
			}
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
		open++
		if !elapsed(rules.tenths(3), r.Made, at) || untouched && !s.channel(d.Route).LastYes.After(r.Made) {
			return r
		}
		if newest == nil {
			newest = r
		}
	}
	if open >= maxRoots && !notice {
		return newest
	}
	return nil
}

// change takes in what changed on one load balancer.
func (s *State) change(c Changed, at time.Time, rules Rules) (past []Record) {
	r, i := s.open(c.CLB.Key(), Backends)
	if i == nil {
		r, i = s.begin(Incident{Key: c.CLB.Key(), Before: c.Before, Worst: c.Before}, at, rules)
	} else {
		r.Rev++
	}
	i.Label, i.Title, i.Now = c.CLB.Label, c.CLB.Title, c.Now
	i.Removed, i.Added, i.Bare = i.Removed+c.Removed, i.Added+c.Added, c.Bare
	i.empty(c.Delta)
	i.Counts = i.Counts.Plus(lb.Count(c.Changes))
	pending, better := true, true
	for _, ch := range c.Changes {
		past = append(past, recordOf(i, c.CLB, ch))
		better = better && (ch.Kind == lb.Recovered || ch.Kind == lb.Healthy)
		m := i.machine(ch)
		if m == nil {
			i.Crowd.take(ch)
			pending = false
			continue
		}
		m.take(ch, r.Rev, rules)
		i.WasOut = i.WasOut || m.Outages > 0
		pending = pending && m.Pending
	}
	if less := c.Now; less.Running < i.Worst.Running || less.Running == i.Worst.Running && less.Serving < i.Worst.Serving {
		i.Worst = less
	}
	if !pending {
		r.News, i.Rev, r.NewsAt = r.Rev, r.Rev, at
	}
	if i.Stable && !better && !pending {
		i.Loud = r.Rev
	}
	i.Changed, i.Calm, i.Stable = at, time.Time{}, false
	r.relevel(i, at, rules)
	if i.Level == Down {
		r.unhold(i, at, func(Machine) bool { return true })
	}
	return past
}

// empty carries on which listeners and rules have nothing bound any more that serves.
func (i *Incident) empty(d lb.Delta) {
	i.Emptied = slices.DeleteFunc(i.Emptied, func(name string) bool { return slices.Contains(d.Refilled, name) })
	for _, name := range d.Emptied {
		if !slices.Contains(i.Emptied, name) && len(i.Emptied) < maxEmptied {
			i.Emptied = append(i.Emptied, name)
		}
	}
}

// unhold makes what was held back news.
func (r *Root) unhold(i *Incident, at time.Time, which func(Machine) bool) {
	held := false
	for n := range i.Machines {
		if m := &i.Machines[n]; m.Pending && which(*m) {
			if !held {
				r.news(i, at)
			}
			m.Pending, m.Rev, held = false, r.News, true
		}
	}
}

// pause stops the count of what is stable where nothing is known, and lets it go on where it is known again.
func (s *State) pause(o Observation, rules Rules) {
	unread := make(map[string]bool)
	for _, u := range o.Unread {
		if u.About != Listing {
			unread[u.Key] = true
		}
	}
	var missed time.Duration // no observation was made
	if !s.At.IsZero() {
		missed = max(0, o.At.Sub(s.At)-rules.StableAfter/2)
	}
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			switch is := i.About == Backends && i.Open(); {
			case !is:
			case unread[i.Key] && i.Paused.IsZero():
				i.Paused = o.At
			case unread[i.Key]:
			case !i.Paused.IsZero():
				i.Calm, i.Paused = i.calm().Add(o.At.Sub(i.Paused)), time.Time{}
			case missed > 0:
				i.Calm = i.calm().Add(missed)
			}
		}
	}
}

// calm is since when the incident counts as unchanged.
func (i *Incident) calm() time.Time {
	if i.Calm.IsZero() {
		return i.LastChange()
	}
	return i.Calm
}

// read carries on what can be read and what cannot.
func (s *State) read(o Observation, rules Rules) {
	now := make(map[string]Unread)
	for _, u := range o.Unread {
		now[u.key()] = u
	}
	reported := make(map[string]bool)
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if !i.About.Blind() || !i.Open() {
				continue
			}
			key := blindKey(i.Key, i.About)
			reported[key] = true
			u, blind := now[key]
			if _, unknown := now[blindKey(i.Key, Reading)]; unknown && i.About == Health {
				continue // nobody knows
			}
			if blind {
				i.Why = s.reason(u.Reason)
			}
			if blind != i.Readable {
				continue
			}
			i.Readable = !blind
			if blind {
				i.Times++
			}
			i.Changed = o.At
			r.news(i, o.At)
			r.relevel(i, o.At, rules)
		}
	}
	for key := range s.Unread {
		u := s.Unread[key]
		_, unknown := now[blindKey(u.Key, Reading)]
		if _, blind := now[key]; !blind && !(unknown && u.About == Health) {
			delete(s.Unread, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if reported[key] {
			continue
		}
		u, ok := s.Unread[key]
		if !ok {
			u = now[key]
			u.Since, u.Ticks = o.At, 0
		}
		u.Ticks++
		u.Why = s.reason(now[key].Reason)
		if u.Ticks < rules.BlindAfter {
			if s.Unread == nil {
				s.Unread = make(map[string]Unread)
			}
			s.Unread[key] = u
			continue
		}
		delete(s.Unread, key)
		r, i := s.begin(Incident{Key: u.Key, About: u.About, Why: u.Why, LastGood: u.LastGood}, o.At, rules)
		i.Began = u.Since
		i.Changed = o.At
		r.relevel(i, o.At, rules)
		r.rise(blindMark, i)
	}
}

// gone closes what is open about a load balancer or search that is not watched any more.
func (s *State) gone(key string, end End, at time.Time) {
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.Key == key && i.Open() {
				r.close(i, end, at)
				r.news(i, at)
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
		s.begin(i, o.At, rules)
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
	r.unhold(i, o.At, func(m Machine) bool { return m.Now == Out && elapsed(rules.TransientFor, m.OutAt, o.At) })
	r.relevel(i, o.At, rules) // what was held back may count now
	i.rearm(o.At, rules, false)
	if !i.Paused.IsZero() || i.Changed.Equal(o.At) {
		return
	}
	if !i.Stable && elapsed(rules.StableAfter, i.calm(), o.At) {
		i.Stable, i.Removed, i.Added = true, 0, 0
		r.Rev++
		if r.relevel(i, o.At, rules) {
			r.forgetMarks()
		}
		i.rearm(o.At, rules, true)
	}
	switch {
	case !i.Stable:
	case i.Now.Out == 0:
		r.close(i, i.outcome(), o.At)
	case o.Accepted[i.Key]:
		r.close(i, EndAbandoned, o.At)
		r.forgetMarks()
		r.news(i, o.At)
	}
}

// outcome is how an incident ends in which nothing is out any more.
func (i *Incident) outcome() End {
	if i.WasOut && i.Now.Serving >= i.Before.Serving && i.Now.Running >= i.Before.Running {
		return EndResolved
	}
	return EndOver
}

func (r *Root) close(i *Incident, end End, at time.Time) {
	i.Closed, i.End, i.Stable = at, end, true
	r.Rev++
}

// Abandoning are the load balancers whose incidents will be abandoned by an observation at this time that finds them
// unchanged: something has been out for so long that nobody means to change it. The snapshot that goes with it takes what
// is out for granted from then on: see Observation.Accepted.
func (s *State) Abandoning(at time.Time, rules Rules) map[string]bool {
	keys := make(map[string]bool)
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.About == Backends && i.Open() && i.Stable && i.Paused.IsZero() && i.Now.Out > 0 && elapsed(144*rules.StableAfter, i.calm(), at) {
				keys[i.Key] = true
			}
		}
	}
	return keys
}

// reason finds or adds why something cannot be read, and returns its number.
func (s *State) reason(why Reason) int {
	why = Reason{cut(why.Why), cut(why.Do)}
	if at := slices.Index(s.Reasons, why); at >= 0 {
		return at + 1
	}
	if at := slices.Index(s.Reasons, Reason{}); at >= 0 { // one that nothing refers to any more
		s.Reasons[at] = why
		return at + 1
	}
	if len(s.Reasons) == maxReasons {
		s.Reasons[maxReasons-1] = Reason{Why: "other reasons"}
		return maxReasons
	}
	s.Reasons = append(s.Reasons, why)
	return len(s.Reasons)
}

// Reason is why something cannot be read, by its number.
func (s *State) Reason(n int) Reason {
	if n < 1 || n > len(s.Reasons) {
		return Reason{}
	}
	return s.Reasons[n-1]
}

// forgetReasons makes room for others where nothing refers to a reason any more.
func (s *State) forgetReasons() {
	used := make([]bool, len(s.Reasons)+1)
	for _, u := range s.Unread {
		used[min(u.Why, len(s.Reasons))] = true
	}
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			used[min(i.Why, len(s.Reasons))] = true
		}
	}
	for n := range s.Reasons {
		if !used[n+1] {
			s.Reasons[n] = Reason{}
		}
	}
	for n := len(s.Reasons); n > 0 && s.Reasons[n-1] == (Reason{}); n-- {
		s.Reasons = s.Reasons[:n-1]
	}
}

// bound moves machines to where they need less room, the least important first, and counts what has none at all.
func (s *State) bound() {
	total, crowd := 0, 0
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			crowd += len(i.Crowd)
		}
	}
	for _, r := range slices.Backward(s.Roots) {
		room := min(maxMachines, maxInHead-total)
		for _, i := range r.Incidents {
			n := len(i.Machines)
			if n <= room {
				room -= n
				total += n
				continue
			}
			slices.SortStableFunc(i.Machines, func(a, b Machine) int {
				return cmp.Or(cmp.Compare(b.Now, a.Now), cmp.Compare(b.Rev, a.Rev))
			})
			for _, m := range i.Machines[room:] {
				if crowd >= maxCrowd {
					r.Beyond++
					continue
				}
				if i.Crowd == nil {
					i.Crowd = make(Crowd)
				}
				i.Crowd[hash(m.ID)] = m.member()
				crowd++
			}
			i.Machines = slices.Clip(i.Machines[:room])
			total += room
			room = 0
		}
	}
}

// Clone copies the state so that the copy can be judged while the original stays as it is.
func (s *State) Clone() *State {
	next := *s
	next.Roots = make([]*Root, len(s.Roots))
	for n, r := range s.Roots {
		root := *r
		root.Incidents = make([]*Incident, len(r.Incidents))
		for k, i := range r.Incidents {
			incident := *i
			incident.Machines, incident.Emptied, incident.Crowd = slices.Clone(i.Machines), slices.Clone(i.Emptied), maps.Clone(i.Crowd)
			root.Incidents[k] = &incident
		}
		root.Delivery = r.Delivery.clone()
		next.Roots[n] = &root
	}
	next.Unread, next.Reasons = maps.Clone(s.Unread), slices.Clone(s.Reasons)
	next.Channels = make(map[Route]*Channel, len(s.Channels))
	for route, c := range s.Channels {
		channel := *c
		next.Channels[route] = &channel
	}
	return &next
}

func cut(text string) string {
	if len(text) > maxWhy {
		text = strings.ToValidUTF8(text[:maxWhy], "") + "…"
	}
	return text
}
