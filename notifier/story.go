package notifier

import (
	"cmp"
	"slices"
	"time"

	"clbwatch/internal/watch"
)

// What changes amount to, beside the kinds of watch. They are told where several changes come together in one alert.
const (
	replaced    watch.Kind = "replaced"            // one instance removed, another added under its name or address
	wasOut      watch.Kind = "stopped and back"    // left running and recovered
	wasUnbound  watch.Kind = "removed and back"    // removed and added again
	cameAndWent watch.Kind = "added, then removed" // there before the alert could be told, and gone again
)

// event is what changes of one backend amount to, on all load balancers where they are the same.
type event struct {
	kind  watch.Kind
	b     watch.Backend // as read last
	was   watch.Status  // the status before, where the kind has one
	old   watch.Backend // replaced only: whom it replaces
	at    time.Time     // when it was seen; of wasOut: when it was back
	after time.Time     // not before this; zero if that is close to at
	out   *watch.Out    // since when it was out: recovered and wasOut
	pools []int         // on which load balancers of the alert
}

// rank orders events by how much they matter.
var rank = map[watch.Kind]int{watch.LeftRunning: 0, watch.Removed: 1, replaced: 2, watch.Added: 3, cameAndWent: 4, wasUnbound: 5, wasOut: 6, watch.Recovered: 7}

// eventsOf folds the changes of an alert, worst first. What was cut from the alert is in none.
func eventsOf(a watch.Alert) []event {
	var all []event
	at := make(map[sameness]int)
	for i, p := range a.Pools {
		for _, e := range replace(fold(p.Changes)) {
			key := e.sameness(p.CLB.Region)
			if n, ok := at[key]; ok && !slices.Contains(all[n].pools, i) {
				all[n].pools = append(all[n].pools, i)
				continue
			}
			at[key] = len(all)
			e.pools = []int{i}
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(e, o event) int { return cmp.Compare(rank[e.kind], rank[o.kind]) })
	return all
}

// sameness is what two events of one instance, on two load balancers, have in common if they are the same.
type sameness struct {
	kind             watch.Kind
	region, id, old  string
	is, was          watch.Status
	at, after, since int64
	atLeast          bool
}

func (e event) sameness(region string) sameness {
	s := sameness{kind: e.kind, region: region, id: e.b.ID, old: e.old.ID, is: e.b.Status, was: e.was, at: e.at.UnixMilli(), after: e.after.UnixMilli()}
	if e.out != nil {
		s.since, s.atLeast = e.out.Since.UnixMilli(), e.out.AtLeast
	}
	return s
}

// fold makes one event of all changes of a backend on one load balancer, in the order in which they were first seen.
func fold(changes []watch.Change) []event {
	var events []event
	at := make(map[string]int)
	first := make(map[string]watch.Change)
	for _, ch := range changes {
		id := ch.Backend.ID
		i, ok := at[id]
		if !ok {
			at[id], first[id] = len(events), ch
			events = append(events, event{kind: ch.Kind, b: ch.Backend, was: ch.Was, at: ch.At, after: ch.After, out: ch.Out})
			continue
		}
		events[i] = then(first[id], events[i], ch)
	}
	return events
}

// then is what an event becomes by one change more; first is the backend's first change.
func then(first watch.Change, e event, ch watch.Change) event {
	absent := first.Kind == watch.Added
	ran := first.Kind == watch.LeftRunning || first.Kind == watch.Removed && first.Backend.Running()
	next := event{kind: ch.Kind, b: ch.Backend, was: ch.Was, at: ch.At, after: ch.After, out: ch.Out}
	switch {
	case absent && ch.Kind == watch.Removed:
		next.kind = cameAndWent
	case absent:
		next.kind, next.at, next.after = watch.Added, first.At, first.After
	case ch.Kind == watch.Removed:
	case ran && ch.Backend.Running() && ch.Kind == watch.Recovered:
		next.kind = wasOut
		if next.out == nil || first.Kind == watch.LeftRunning {
			next.out = &watch.Out{Since: first.At}
		}
	case ch.Kind == watch.Added && ch.Backend.Running():
		next.kind = wasUnbound
	case ch.Kind == watch.Added: // back, and not running
		next.kind = watch.LeftRunning
	case first.Kind == watch.Recovered && ch.Kind == watch.Recovered:
		next.out = first.Out
	}
	if e.kind == wasUnbound && next.kind == wasOut {
		next.kind = wasUnbound
	}
	return next
}

// replace makes one event of an instance that was removed and another that took its name or its address.
func replace(events []event) []event {
	pair := func(key func(watch.Backend) string) {
		by := make(map[string][]int)
		for i, e := range events {
			if k := key(e.b); k != "" && (e.kind == watch.Removed || e.kind == watch.Added) {
				by[k] = append(by[k], i)
			}
		}
		for i := range events {
			two := by[key(events[i].b)]
			if len(two) != 2 || two[0] != i || events[two[0]].kind == events[two[1]].kind {
				continue
			}
			gone, here := two[0], two[1]
			if events[gone].kind == watch.Added {
				gone, here = here, gone
			}
			events[here].kind, events[here].old = replaced, events[gone].b
			events[gone].kind = ""
		}
		events = slices.DeleteFunc(events, func(e event) bool { return e.kind == "" })
	}
	pair(func(b watch.Backend) string { return b.Name })
	pair(func(b watch.Backend) string { return b.LanIP })
	return events
}

// tally counts what an alert tells of each kind: backends where each is named, else bindings of backends.
func tally(a watch.Alert, events []event) map[watch.Kind]int {
	n := make(map[watch.Kind]int)
	for _, e := range events {
		n[e.kind]++
	}
	// What was cut is counted in Counts only.
	add := func(c watch.Counts) {
		n[watch.LeftRunning] += c.LeftRunning
		n[watch.Removed] += c.Removed
		n[watch.Added] += c.Added
		n[watch.Recovered] += c.Recovered
	}
	add(a.More.Counts)
	for _, p := range a.Pools {
		if len(p.Changes) == p.Counts.Total() {
			continue
		}
		rest := p.Counts
		for _, ch := range p.Changes {
			switch ch.Kind {
			case watch.LeftRunning:
				rest.LeftRunning--
			case watch.Removed:
				rest.Removed--
			case watch.Added:
				rest.Added--
			case watch.Recovered:
				rest.Recovered--
			}
		}
		add(rest)
	}
	return n
}
