package notifier

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

// What changes amount to, beside the kinds of watch. They are told where several changes come together in one alert.
const (
	replaced    lb.Kind = "replaced"            // one instance removed, another added under its name or address
	wasOut      lb.Kind = "stopped and back"    // left running and recovered
	wasUnbound  lb.Kind = "removed and back"    // removed and added again
	cameAndWent lb.Kind = "added, then removed" // there before the alert could be told, and gone again
	rebound     lb.Kind = "bound anew"          // unbound and bound in one reading: by another port, say
	wasIll      lb.Kind = "unhealthy and back"  // unhealthy and healthy again
)

// kinds are all there are, by how much they matter.
var kinds = []lb.Kind{
	lb.LeftRunning, lb.Unhealthy, lb.Removed, lb.Unbound, replaced, rebound, lb.Added, lb.Bound,
	cameAndWent, wasUnbound, wasOut, wasIll, lb.Recovered, lb.Healthy,
}

// costs reports whether a change of the kind cost something.
func costs(k lb.Kind) bool {
	var c lb.Counts
	if n := c.Of(k); n != nil {
		*n = 1
	}
	return c.Bad() > 0
}

// event is what changes of one backend amount to, on all load balancers where they are the same.
type event struct {
	kind  lb.Kind
	b     lb.Backend // as read last
	was   lb.Status  // the status before, where the kind has one
	old   lb.Backend // replaced only: whom it replaces
	part  *lb.Part   // of what: see watch.Change; what it has now, where that came for what went
	went  *lb.Part   // replaced, rebound and wasUnbound only: what went
	at    time.Time  // when it was seen; of wasOut and wasIll: when it was back
	after time.Time  // not before this; zero if that is close to at
	out   *lb.Out    // since when it was out, or unhealthy: where that is over
	pools []int      // on which load balancers of the alert
}

// eventsOf folds the changes of an alert, worst first. What was cut from the alert is in none.
func eventsOf(a watch.Alert) []event {
	var all []event
	at := make(map[sameness]int)
	for i, p := range a.Pools {
		for _, e := range replace(fold(p.Changes)) {
			key := e.sameness(p.CLB.Region)
			if n, ok := at[key]; ok && !slices.Contains(all[n].pools, i) {
				all[n].pools = append(all[n].pools, i)
				if all[n].bindings() != e.bindings() {
					all[n].part, all[n].went = nil, nil
				}
				continue
			}
			at[key] = len(all)
			e.pools = []int{i}
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(e, o event) int {
		return cmp.Compare(slices.Index(kinds, e.kind), slices.Index(kinds, o.kind))
	})
	return all
}

// sameness is what two events of one instance, on two load balancers, have in common if they are the same.
type sameness struct {
	kind             lb.Kind
	region, id, old  string
	part             string
	is, was          lb.Status
	at, after, since int64
	atLeast          bool
}

func (e event) sameness(region string) sameness {
	s := sameness{kind: e.kind, region: region, id: e.b.ID, old: e.old.ID, is: e.b.Status, was: e.was, at: e.at.UnixMilli(), after: e.after.UnixMilli()}
	switch e.kind {
	case lb.Unbound, lb.Bound, rebound, lb.Unhealthy: // elsewhere it is a detail
		s.part = e.bindings()
	}
	if e.out != nil {
		s.since, s.atLeast = e.out.Since.UnixMilli(), e.out.AtLeast
	}
	return s
}

// side is what a change is about: changes of the same side of a backend make one event.
type side struct{ id, of string }

func sideOf(ch lb.Change) side {
	switch ch.Kind {
	case lb.Unhealthy, lb.Healthy:
		return side{ch.Backend.ID, "health"}
	case lb.Unbound, lb.Bound:
		return side{ch.Backend.ID, fmt.Sprint("bindings at ", ch.At.UnixMilli())} // later ones may be others
	}
	return side{ch.Backend.ID, "status"}
}

// overtakes reports whether a change of a backend makes an earlier event of it no news any more: a backend that does not
// run fails every check, and one that is gone has no bindings.
func overtakes(ch lb.Change, e event) bool {
	switch e.kind {
	case lb.Unhealthy:
		return ch.Kind == lb.LeftRunning || ch.Kind == lb.Removed
	case lb.Unbound, lb.Bound, rebound:
		return ch.Kind == lb.Removed
	}
	return false
}

// fold makes one event of all changes of a backend's status on one load balancer, one of those of its health, and one of
// those of its bindings in each reading; in the order in which they were first seen.
func fold(changes []lb.Change) []event {
	var events []event
	at := make(map[side]int)
	first := make(map[side]lb.Change)
	for _, ch := range changes {
		for i, e := range events {
			if e.b.ID == ch.Backend.ID && overtakes(ch, e) {
				events[i].kind = ""
			}
		}
		s := sideOf(ch)
		if i, ok := at[s]; ok && events[i].kind != "" {
			events[i] = then(first[s], events[i], ch)
			continue
		}
		at[s], first[s] = len(events), ch
		events = append(events, newEvent(ch))
	}
	return slices.DeleteFunc(events, func(e event) bool { return e.kind == "" })
}

func newEvent(ch lb.Change) event {
	return event{kind: ch.Kind, b: ch.Backend, was: ch.Was, part: ch.Part, at: ch.At, after: ch.After, out: ch.Out}
}

// then is what an event becomes by one change more; first is the first change that it is made of.
func then(first lb.Change, e event, ch lb.Change) event {
	absent := first.Kind == lb.Added
	ran := first.Kind == lb.LeftRunning || first.Kind == lb.Removed && first.Backend.Running()
	next := newEvent(ch)
	switch {
	case first.Kind == lb.Unbound && ch.Kind == lb.Bound:
		next.kind, next.went = rebound, first.Part
	case first.Kind == lb.Unhealthy && ch.Kind == lb.Healthy && (ch.Out == nil || !ch.Out.Since.Before(first.At)):
		next.kind, next.out = wasIll, &lb.Out{Since: first.At}
	case absent && ch.Kind == lb.Removed:
		next.kind = cameAndWent
	case absent:
		next.kind, next.at, next.after, next.part = lb.Added, first.At, first.After, e.part
	case ch.Kind == lb.Removed:
	case ran && ch.Backend.Running() && ch.Kind == lb.Recovered:
		next.kind = wasOut
		if next.out == nil || first.Kind == lb.LeftRunning {
			next.out = &lb.Out{Since: first.At}
		}
	case ch.Kind == lb.Added && ch.Backend.Running():
		next.kind, next.went = wasUnbound, first.Part
	case ch.Kind == lb.Added: // back, and not running
		next.kind = lb.LeftRunning
	case first.Kind == ch.Kind: // it was out again in between
		next.out = first.Out
	}
	if e.kind == wasUnbound && next.kind == wasOut {
		next.kind = wasUnbound
	}
	return next
}

// replace makes one event of an instance that was removed and another that took its name or its address.
func replace(events []event) []event {
	pair := func(key func(lb.Backend) string) {
		by := make(map[string][]int)
		for i, e := range events {
			if k := key(e.b); k != "" && (e.kind == lb.Removed || e.kind == lb.Added) {
				by[k] = append(by[k], i)
			}
		}
		for i := range events {
			two := by[key(events[i].b)]
			if len(two) != 2 || two[0] != i || events[two[0]].kind == events[two[1]].kind {
				continue
			}
			gone, here := two[0], two[1]
			if events[gone].kind == lb.Added {
				gone, here = here, gone
			}
			events[here].kind, events[here].old, events[here].went = replaced, events[gone].b, events[gone].part
			events[gone].kind = ""
		}
		events = slices.DeleteFunc(events, func(e event) bool { return e.kind == "" })
	}
	pair(func(b lb.Backend) string { return b.Name })
	pair(func(b lb.Backend) string { return b.LanIP })
	return events
}

// tally counts what an alert tells of each kind: backends where each is named, else bindings of backends.
func tally(a watch.Alert, events []event) map[lb.Kind]int {
	n := make(map[lb.Kind]int)
	for _, e := range events {
		n[e.kind]++
	}
	// What was cut is counted in Counts only.
	add := func(c lb.Counts) {
		for _, k := range kinds {
			if of := c.Of(k); of != nil {
				n[k] += *of
			}
		}
	}
	add(a.More.Counts)
	for _, p := range a.Pools {
		if len(p.Changes) == p.Counts.Total() {
			continue
		}
		rest := p.Counts
		for _, ch := range p.Changes {
			if of := rest.Of(ch.Kind); of != nil {
				*of--
			}
		}
		add(rest)
	}
	return n
}
