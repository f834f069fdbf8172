package lb

import (
	"slices"
	"strings"
)

// Delta is what one reading changed about a load balancer as a whole.
type Delta struct {
	Changes []Change // worst first; never empty
	Before  Capacity // by the reading before
	Now     Capacity // by this one

	Removed int // weight that was unbound, of backends that served or went out of service since they did
	Added   int // weight that was bound, of backends that run

	// listeners or rules that nothing serves any more because backends are out; nil if there are none
	Bare     *Part
	Emptied  []string // listeners or rules that served, and whose last serving backend was unbound; sorted
	Refilled []string // listeners or rules that are served now and were not before; sorted
}

// Compare says what changed from old to next, both sorted by ID, where next and changes are what Diff made of
// a reading.
func Compare(old, next []Backend, changes []Change) Delta {
	d := Delta{Changes: changes, Before: CapacityOf(old), Now: CapacityOf(next)}
	i := 0
	for _, b := range next {
		for i < len(old) && old[i].ID < b.ID {
			d.Removed += old[i].counted()
			i++
		}
		if i == len(old) || old[i].ID != b.ID {
			if !b.Stopped() {
				d.Added += b.Weight
			}
			continue
		}
		was := old[i]
		i++
		switch {
		case was.Out != nil && was.Out.New && b.Out == nil:
			d.Added += b.Weight // it serves for the first time
		case len(was.Bindings) > 0 && len(b.Bindings) > 0:
			if was.counted() > 0 {
				d.Removed += weigh(without(was.Bindings, b.Bindings))
			}
			d.Added += weigh(without(b.Bindings, was.Bindings))
		}
	}
	for ; i < len(old); i++ {
		d.Removed += old[i].counted()
	}
	d.ways(old, next)
	return d
}

// counted is the weight that the load balancer loses with the backend: none of what never served while it was
// watched.
func (b Backend) counted() int {
	switch {
	case b.Out != nil && (b.Out.AtLeast || b.Out.New):
		return 0
	case b.Out == nil && b.Ill != nil && (b.Ill.AtLeast || b.Ill.New):
		return b.Serving()
	}
	return b.Weight
}

func weigh(bs []Binding) (sum int) {
	for _, b := range bs {
		sum += b.Weight
	}
	return sum
}

// way is one listener, or one rule of a listener that has some: traffic goes a way of its own through each.
type way struct {
	serving int             // weight
	out     int             // weight that went out of service
	bound   map[string]bool // which backends, by which bindings
	served  []string        // of those, the ones that serve
}

func (w *way) hasAny(bindings []string) bool {
	return slices.ContainsFunc(bindings, func(b string) bool { return w.bound[b] })
}

func (b Binding) way() string { return strings.TrimSpace(b.Listener + " " + b.Rule) }

// ways compares listeners and rules.
func (d *Delta) ways(old, next []Backend) {
	was, is := waysOf(old), waysOf(next)
	var bare []string
	rules := false
	for name, w := range is {
		rules = rules || strings.Contains(name, " ")
		if w.serving == 0 && w.out > 0 {
			bare = append(bare, name)
		}
		if before := was[name]; w.serving > 0 && (before == nil || before.serving == 0) {
			d.Refilled = append(d.Refilled, name)
		}
	}
	for name, w := range was {
		now := is[name]
		switch {
		case w.serving == 0, now != nil && (now.serving > 0 || now.out > 0):
		case now == nil || !now.hasAny(w.served):
			d.Emptied = append(d.Emptied, name) // else what is bound was drained
		}
	}
	slices.Sort(d.Emptied)
	slices.Sort(d.Refilled)
	if len(bare) > 0 {
		slices.Sort(bare)
		d.Bare = &Part{N: len(bare), Of: len(is), Rules: rules}
		d.Bare.name(bare)
	}
}

func waysOf(bs []Backend) map[string]*way {
	ways := make(map[string]*way)
	for _, b := range bs {
		out := b.anew()
		for _, on := range b.Bindings {
			w := ways[on.way()]
			if w == nil {
				w = &way{bound: make(map[string]bool)}
				ways[on.way()] = w
			}
			serves := !b.Stopped()
			if _, fails := slices.BinarySearch(b.Failing, on.String()); fails {
				serves = false
			}
			key := b.ID + " " + on.String()
			w.bound[key] = true
			switch {
			case on.Weight == 0:
			case serves:
				w.serving += on.Weight
				w.served = append(w.served, key)
			case out:
				w.out += on.Weight
			}
		}
	}
	return ways
}

// anew reports whether the backend is out of service and served before, while it was watched.
func (b Backend) anew() bool {
	served := func(o *Out) bool { return o != nil && !o.AtLeast && !o.New }
	return served(b.Out) || served(b.Ill)
}

// Accept takes what is out of service for granted, as if it had been so at first sight. It reports whether
// that changes anything.
func Accept(bs []Backend) (changed bool) {
	for i := range bs {
		for _, o := range []**Out{&bs[i].Out, &bs[i].Ill} {
			if *o != nil && !(*o).AtLeast {
				*o, changed = &Out{Since: (*o).Since, AtLeast: true}, true
			}
		}
	}
	return changed
}
