package watch

import (
	"cmp"
	"slices"
	"time"
)

// Diff reports what it takes to get from old to now, two pools sorted by ID: ordered left running, removed, added,
// recovered, and by ID in each. at is when the reading now began; after is when old was last seen, if that is long ago.
// next is now with each backend's Out carried on from old.
func Diff(old, now []Backend, at, after time.Time) (next []Backend, changes []Change) {
	next = slices.Clone(now)
	i := 0
	for j := range next {
		b := &next[j]
		for i < len(old) && old[i].ID < b.ID {
			changes = append(changes, Change{Kind: Removed, Backend: old[i], At: at, After: after})
			i++
		}
		if !b.Running() {
			b.Out = &Out{Since: at}
		}
		if i == len(old) || old[i].ID != b.ID {
			changes = append(changes, Change{Kind: Added, Backend: *b, At: at, After: after})
			continue
		}
		was := old[i]
		i++
		switch {
		case was.Running() && !b.Running():
			changes = append(changes, Change{Kind: LeftRunning, Backend: *b, Was: was.Status, At: at, After: after})
		case !was.Running() && b.Running():
			changes = append(changes, Change{Kind: Recovered, Backend: *b, Was: was.Status, At: at, After: after, Out: was.Out})
		case !b.Running() && was.Out != nil:
			b.Out = was.Out // another status of the same incident
		}
	}
	for ; i < len(old); i++ {
		changes = append(changes, Change{Kind: Removed, Backend: old[i], At: at, After: after})
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return cmp.Compare(rank[a.Kind], rank[b.Kind]) })
	return next, changes
}

// rank orders changes by how much they matter.
var rank = map[Kind]int{LeftRunning: 0, Removed: 1, Added: 2, Recovered: 3}

// baseline is the first reading of a load balancer: nothing in it is news, and what is out was out before.
func baseline(now []Backend, at time.Time) []Backend {
	next := slices.Clone(now)
	for i := range next {
		if !next[i].Running() {
			next[i].Out = &Out{Since: at, AtLeast: true}
		}
	}
	return next
}

// incident counts the backends that are out of service and were not at first sight.
func incident(bs []Backend) (n int) {
	for _, b := range bs {
		if b.Out != nil && !b.Out.AtLeast {
			n++
		}
	}
	return n
}
