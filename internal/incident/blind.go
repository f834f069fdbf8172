package incident

import (
	"maps"
	"slices"
	"time"
)

// read carries on what can be read and what cannot. It returns what the history is to have of that.
func (s *State) read(o Observation, rules Rules) (past []Record) {
	seen := func(key string, since time.Time) {
		past = append(past, Record{At: o.At, CLB: s.clb(&Incident{Key: key}), Unseen: &since})
	}
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
				if why := s.reason(u.Reason); why != i.Why {
					i.Why = why
					r.Rev++
				}
			}
			if blind != i.Readable {
				continue
			}
			i.Readable = !blind
			switch {
			case blind:
				i.Times++
			case i.About == Reading:
				seen(i.Key, i.LastChange())
			}
			i.Changed = o.At.Truncate(time.Second)
			r.news(i, o.At)
			r.relevel(i, o.At, rules)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Unread)) {
		u := s.Unread[key]
		_, unknown := now[blindKey(u.Key, Reading)]
		if _, blind := now[key]; !blind && !(unknown && u.About == Health) {
			delete(s.Unread, key)
			if u.About == Reading {
				seen(u.Key, u.Since)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if reported[key] {
			continue
		}
		u, ok := s.Unread[key]
		if !ok {
			u = now[key]
			u.Since, u.LastGood, u.Ticks = o.At.Truncate(time.Second), u.LastGood.Truncate(time.Second), 0
		}
		u.Ticks++
		u.Reason = Reason{}
		u.Why = s.reason(now[key].Reason)
		if u.Ticks < rules.BlindAfter {
			if s.Unread == nil {
				s.Unread = make(Unreads)
			}
			s.Unread[key] = u
			continue
		}
		delete(s.Unread, key)
		r, i := s.begin(Incident{Key: u.Key, About: u.About, Why: u.Why, LastGood: u.LastGood}, o.At, rules)
		i.Began = u.Since
		r.news(i, o.At)
		r.relevel(i, o.At, rules)
		r.rise(blindMark, i)
	}
	return past
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

// reason finds or adds why something cannot be read, and returns its number; 0 if nobody knows.
func (s *State) reason(why Reason) int {
	why = Reason{cut(why.Why), cut(why.Do)}
	if why == (Reason{}) {
		return 0
	}
	for _, same := range []Reason{why, {}} { // an empty one is one that nothing refers to any more
		if at := slices.Index(s.Reasons, same); at >= 0 {
			s.Reasons[at] = why
			return at + 1
		}
	}
	if len(s.Reasons) < maxReasons {
		s.Reasons = append(s.Reasons, why)
		return len(s.Reasons)
	}
	if !s.crowded {
		if at := s.pastReason(); at >= 0 {
			s.Reasons[at] = why
			return at + 1
		}
		s.crowded = true
	}
	s.Reasons[maxReasons-1] = otherReasons
	return maxReasons
}

// otherReasons is the last of too many.
var otherReasons = Reason{Why: "other reasons"}

// pastReason gives up a reason that only what can be read again refers to, and returns where it was; -1 if
// there is none. Those have other reasons then.
func (s *State) pastReason() int {
	used := make([]bool, maxReasons+1)
	for _, u := range s.Unread {
		used[u.Why] = true
	}
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			used[i.Why] = used[i.Why] || i.Open() && !i.Readable
		}
	}
	for n := 1; n < maxReasons; n++ { // not the last one: it is the others'
		if used[n] {
			continue
		}
		for _, r := range s.Roots {
			for _, i := range r.Incidents {
				if i.Why == n {
					i.Why = maxReasons
				}
			}
		}
		s.Reasons[maxReasons-1] = otherReasons
		return n - 1
	}
	return -1
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
