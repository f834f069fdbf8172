package lb

import (
	"cmp"
	"slices"
	"time"
)

// Diff reports what it takes to get from old to now, two pools sorted by ID: the worst first (rank), and by
// ID in each kind. at is when the reading now began; after is when old was last seen, if that is long ago.
// next is now with each backend's Out and Ill carried on from old.
func Diff(old, now []Backend, at, after time.Time) (next []Backend, changes []Change) {
	next = slices.Clone(now)
	tell := func(k Kind, b Backend, p *Part) *Change {
		// What a change is about is in its Part: a backend may have thousands of bindings.
		ch := Change{Kind: k, Part: p, At: at, After: after, Lost: b.Weight - b.Serving()}
		b.Bindings, b.Failing, b.Checked, b.Ill, b.Missing = nil, nil, 0, nil, false
		ch.Backend = b
		changes = append(changes, ch)
		return &changes[len(changes)-1]
	}
	gone := func(b Backend) {
		ch := tell(Removed, b, partOf(b.Bindings, b.Bindings, false))
		ch.Lost, ch.Ill = 0, b.Ill != nil
	}
	i := 0
	for j := range next {
		b := &next[j]
		for i < len(old) && old[i].ID < b.ID {
			gone(old[i])
			i++
		}
		b.Unclear, b.Passing, b.VagueHealth = nil, nil, false
		if b.Stopped() {
			b.Out, b.Failing = &Out{Since: at}, nil
		}
		if i == len(old) || old[i].ID != b.ID {
			if b.Out != nil {
				b.Out.New = true
			}
			tell(Added, *b, partOf(b.Bindings, b.Bindings, false))
			// if it fails its checks too, that is told if it still does next time: it needs a moment to pass
			// them
			continue
		}
		was := old[i]
		i++
		first := len(changes)
		if len(was.Bindings) > 0 && len(b.Bindings) > 0 { // else the kind of the load balancer changed
			went, came := without(was.Bindings, b.Bindings), without(b.Bindings, was.Bindings)
			exactly := len(went) > 0 && len(came) > 0 // it may be the port alone that is another
			if len(went) > 0 {
				tell(Unbound, *b, partOf(went, was.Bindings, exactly))
			}
			if len(came) > 0 {
				tell(Bound, *b, partOf(came, b.Bindings, exactly))
			}
		}
		switch {
		case !was.Stopped() && b.Stopped():
			tell(LeftRunning, *b, nil).Was = was.Status
		case was.Stopped() && b.Running():
			c := tell(Recovered, *b, nil)
			c.Was, c.Out = was.Status, was.Out
		case b.Stopped() && was.Out != nil:
			b.Out = was.Out // another status of the same incident
		case !b.Stopped():
			diffHealth(was, b, at, tell)
		}
		for n := first; n < len(changes); n++ {
			changes[n].Ill = was.Ill != nil
		}
	}
	for ; i < len(old); i++ {
		gone(old[i])
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return cmp.Compare(Rank[a.Kind], Rank[b.Kind]) })
	return next, changes
}

// diffHealth tells what changed about the health of a backend that runs and ran.
func diffHealth(was Backend, b *Backend, at time.Time, tell func(Kind, Backend, *Part) *Change) {
	b.Ill = was.Ill
	news := b.Failing
	if was.Ill != nil {
		news = more(b.Failing, was.Failing)
	}
	switch {
	case len(news) > 0:
		if b.Ill == nil {
			b.Ill = &Out{Since: at, New: len(was.Failing) > 0} // it failed when it was added, and was given a moment
		}
		tell(Unhealthy, *b, checksOf(b.Failing, b.Checked))
	case len(b.Failing) == 0 && was.Ill != nil:
		b.Ill = nil
		tell(Healthy, *b, nil).Out = was.Ill
	}
}

// more returns what a has more of than b, both sorted: two listeners of one name may fail.
func more(a, b []string) (only []string) {
	left := make(map[string]int, len(b))
	for _, s := range b {
		left[s]++
	}
	for _, s := range a {
		if left[s] > 0 {
			left[s]--
		} else {
			only = append(only, s)
		}
	}
	return only
}

// Rank orders changes by how much they matter.
var Rank = map[Kind]int{LeftRunning: 0, Unhealthy: 1, Removed: 2, Unbound: 3, Added: 4, Bound: 5,
	Recovered: 6, Healthy: 7}

// Baseline is the first reading of a load balancer: nothing in it is news, and what is out was out before.
func Baseline(now []Backend, at time.Time) []Backend {
	next := slices.Clone(now)
	for i := range next {
		b := &next[i]
		b.Unclear, b.Passing, b.VagueHealth = nil, nil, false
		if b.Stopped() {
			b.Out, b.Failing = &Out{Since: at, AtLeast: true}, nil
		}
	}
	baselineHealth(next, at)
	return next
}

// baselineHealth takes the first health there is of a load balancer's backends as it is: what fails failed
// before.
func baselineHealth(bs []Backend, at time.Time) {
	for i := range bs {
		if len(bs[i].Failing) > 0 && !bs[i].Stopped() {
			bs[i].Ill = &Out{Since: at, AtLeast: true}
		}
	}
}

// KeepHealth gives backends, both sorted by ID, the health they had where a reading could not tell it: of all
// of them, or of checks that are not decided.
func KeepHealth(old, now []Backend, all bool) {
	for i := range now {
		b := &now[i]
		at, ok := slices.BinarySearchFunc(old, b.ID, func(o Backend, id string) int {
			return cmp.Compare(o.ID,
				id)
		})
		if !ok {
			continue
		}
		if all {
			b.Checked, b.Failing = old[at].Checked, old[at].Failing
			continue
		}
		if b.VagueHealth {
			b.Unclear = more(more(old[at].Failing, b.Failing), slices.Sorted(slices.Values(b.Passing)))
			b.Checked = max(b.Checked, old[at].Checked)
		}
		for _, s := range b.Unclear {
			if slices.Contains(old[at].Failing, s) {
				b.Failing = append(b.Failing, s)
			}
		}
		slices.Sort(b.Failing)
	}
}

// AssumeHealth gives backends, both sorted by ID, the first health that was ever read, as if they had had it
// before.
func AssumeHealth(old, now []Backend, at time.Time) {
	for i := range old {
		j, ok := slices.BinarySearchFunc(now, old[i].ID, func(n Backend,
			id string) int {
			return cmp.Compare(n.ID, id)
		})
		if ok && !old[i].Stopped() && !now[j].Stopped() {
			old[i].Checked, old[i].Failing = now[j].Checked, now[j].Failing
		}
	}
	baselineHealth(old, at)
}

// WithoutHealth forgets health: it is not read any more.
func WithoutHealth(bs []Backend) {
	for i := range bs {
		bs[i].Checked, bs[i].Failing, bs[i].Ill = 0, nil, nil
	}
}

// OutAnew counts the backends that are out of service and were not at first sight.
func OutAnew(bs []Backend) (n int) {
	for _, b := range bs {
		if b.Out != nil && !b.Out.AtLeast || b.Ill != nil && !b.Ill.AtLeast {
			n++
		}
	}
	return n
}
