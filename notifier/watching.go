package notifier

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
	"clbwatch/internal/watch"
)

// This file tells of load balancers as a whole: what became of them, what of them cannot be read, and which are new.

// fated are the load balancers that one thing became of.
func fated(a watch.Alert, f watch.Fate) []lb.CLB {
	var all []lb.CLB
	for _, n := range a.CLBs {
		if n.Fate == f {
			all = append(all, n.CLB)
		}
	}
	return all
}

// fateTitle says what became of load balancers; "" if that became of none.
func fateTitle(a watch.Alert, f watch.Fate) string {
	all := fated(a, f)
	who, is, was, kind := text.Plural(len(all), "load balancer"), " are ", " were ", "of another kind"
	switch {
	case len(all) == 0:
		return ""
	case a.MoreCLBs > 0: // of which nobody knows
		who = fmt.Sprintf("%d or more load balancers", len(all))
	case len(all) == 1:
		who, is, was = report.Name(all[0]), " is ", " was "
		kind = kindOf(a.CLBs[slices.IndexFunc(a.CLBs, func(n watch.CLBNews) bool { return n.Fate == f })].Is)
	}
	switch f {
	case watch.Nothing:
		return "CLB_DISCOVER finds nothing"
	case watch.Deleted:
		return who + was + "deleted"
	case watch.Unmatched:
		return who + is + "no longer watched"
	default:
		return who + is + kind + " now"
	}
}

// kindOf is a kind of load balancer in words.
func kindOf(k lb.Type) string {
	if k == lb.Application {
		return "an application load balancer"
	}
	return "a classic load balancer"
}

// fate says what became of a load balancer: in a few words, and the rest of it.
func fate(n watch.CLBNews) (is, rest string) {
	if n.Before != nil {
		rest = fmt.Sprintf("; it had %s, %d running", text.Plural(n.Before.Total, "backend"), n.Before.Running) + report.AndUnhealthy(n.Before.Ill)
	}
	switch n.Fate {
	case watch.Nothing:
		return "finds nothing", ": no load balancer there matches it; clbwatch check lists those that there are"
	case watch.Deleted:
		return "deleted", rest
	case watch.Unmatched:
		return "no longer watched", ": it does not match CLB_DISCOVER any more" + rest
	}
	was := lb.Classic
	if n.Is == lb.Classic {
		was = lb.Application
	}
	rest = ", it was " + was.String()
	if n.Before != nil && n.Now != nil {
		rest += fmt.Sprintf(": %s before, %d now, %d running", text.Plural(n.Before.Total, "backend"), n.Now.Total, n.Now.Running) + report.AndUnhealthy(n.Now.Ill)
	}
	return kindOf(n.Is) + " now", rest + "; same id"
}

// fateBlocks tell what became of load balancers.
func fateBlocks(a watch.Alert, r room) []block {
	if len(a.CLBs)+a.MoreCLBs == 0 {
		return nil
	}
	shown := a.CLBs[:min(r.pools, len(a.CLBs))]
	var b block
	for _, n := range shown {
		says := append(named(n.CLB), words("  ·  "))
		if n.Fate == watch.Deleted || n.Fate == watch.Nothing {
			says[0].url = console // it has no page any more
		}
		is, rest := fate(n)
		says = append(says, bold(is))
		if rest != "" {
			says = append(says, words(rest))
		}
		b = append(b, line(append(says, seen(n.At, time.Time{}, a)...)...))
	}
	if more := len(a.CLBs) - len(shown) + a.MoreCLBs; more > 0 {
		b = append(b, line(words(fmt.Sprintf("… and %s", text.Plural(more, "more load balancer")))))
	}
	return []block{b}
}

// objects says what some news of reading is about: for each kind of it what is done, "read" or "list", and with what. What
// there is no room to name, more, is counted with the first kind.
func objects[T any](all []T, more int, of func(T) (lb.CLB, string)) (verbs, objects []string) {
	for _, what := range []string{watch.OfBackends, watch.OfHealth, watch.OfRegion} {
		var clbs []lb.CLB
		for _, x := range all {
			if c, is := of(x); is == what {
				clbs = append(clbs, c)
			}
		}
		if len(clbs) == 0 {
			continue
		}
		verbs, objects = append(verbs, report.Verb(what)), append(objects, report.Objects(what, clbs[0], len(clbs)+more))
		more = 0
	}
	return verbs, objects
}

// means is what follows from something that cannot be read.
func means(what string) part {
	switch what {
	case watch.OfHealth:
		return line(bold("What it means"), words("  What becomes unhealthy is "), bold("not"), words(" being detected; all else is. The last known health is kept."))
	case watch.OfRegion:
		return line(bold("What it means"), words("  New load balancers and deleted ones are "), bold("not"), words(" being found. Those known are watched as before."))
	}
	return line(bold("What it means"), words("  Changes on what cannot be read are "), bold("not"), words(" being detected. The last known state is kept; what changes meanwhile is told after the next good reading."))
}

// blindBlocks tell what cannot be read: in one block what has the same remedy, in one line of it what failed together.
func blindBlocks(a watch.Alert, r room) []block {
	left := len(a.Blind) + a.MoreBlind
	if left == 0 {
		return nil
	}
	room := min(r.pools, 6) // blocks, lines in each, and names in each line
	remedy := func(b watch.Blind) string { return cmp.Or(b.Do, b.Why) }
	groups := group(a.Blind, func(b, o watch.Blind) bool { return b.What == o.What && remedy(b) == remedy(o) })
	var blocks []block
	explained := make(map[string]bool)
	for _, alike := range groups[:min(room, len(groups))] {
		lines := group(alike, func(b, o watch.Blind) bool {
			return b.Since.Equal(o.Since) && b.LastGood.Equal(o.LastGood) && b.Ticks == o.Ticks
		})
		var b block
		for _, l := range lines[:min(room, len(lines))] {
			b = append(b, blindLine(l, room))
			left -= min(len(l), room)
		}
		if why := text.Clean(alike[0].Why, maxText); why != "" {
			b = append(b, pre([]string{why}))
		}
		if what := alike[0].What; !explained[what] {
			b, explained[what] = append(b, means(what)), true
		}
		if do := text.Clean(alike[0].Do, maxText); do != "" {
			b = append(b, line(bold("What to do"), words("  "+do)))
		}
		blocks = append(blocks, b)
	}
	if left > 0 {
		blocks = append(blocks, block{line(words(fmt.Sprintf("… and %s that cannot be read", text.Plural(left, "more load balancer"))))})
	}
	return blocks
}

// group puts together what is the same, in the order of the first of each.
func group[T any](all []T, same func(b, o T) bool) [][]T {
	var groups [][]T
	for _, b := range all {
		i := slices.IndexFunc(groups, func(g []T) bool { return same(g[0], b) })
		if i < 0 {
			i, groups = len(groups), append(groups, nil)
		}
		groups[i] = append(groups[i], b)
	}
	return groups
}

// blindLine says since when load balancers that failed together cannot be read.
func blindLine(together []watch.Blind, room int) part {
	b := together[0]
	says := named(b.CLB)
	if len(together) > 1 {
		says = nil
		for i, o := range together[:min(room, len(together))] {
			if i > 0 {
				says = append(says, words(", "))
			}
			says = append(says, named(o.CLB)[0])
		}
		if len(together) > room {
			says = append(says, words(" and others")) // counted once, at the end
		}
	}
	failed := "the reading failed"
	if b.Ticks > 1 {
		failed = fmt.Sprintf("%d readings in a row failed", b.Ticks)
	}
	says = append(says, words("  ·  "+cannot(b.What)+" since "), date(b.Since), words(", "+failed+"  ·  "))
	switch {
	case b.LastGood.IsZero():
		says = append(says, words("never read before"))
	case b.Since.Sub(b.LastGood) < 12*time.Hour:
		says = append(says, words("last good reading "), clock(b.LastGood))
	default:
		says = append(says, words("last good reading "), date(b.LastGood))
	}
	return line(says...)
}

// cannot is what goes wrong, beside the name of a load balancer.
func cannot(what string) string {
	switch what {
	case watch.OfHealth:
		return "health cannot be read"
	case watch.OfRegion:
		return "load balancers cannot be listed"
	}
	return "cannot be read"
}

// sightedBlocks tell what can be read again.
func sightedBlocks(a watch.Alert, r room) []block {
	if len(a.Sighted)+a.MoreSighted == 0 {
		return nil
	}
	shown := a.Sighted[:min(r.pools, len(a.Sighted))]
	var b block
	for _, s := range shown {
		from := s.LastGood
		if from.IsZero() {
			from = s.Since
		}
		again, found := "readable again", "  ·  nothing changed meanwhile"
		switch {
		case s.What == watch.OfHealth:
			again, found = "health readable again", ""
		case s.What == watch.OfRegion:
			again, found = "load balancers listed again", ""
		case s.Changes > 0:
			found = "  ·  " + text.Plural(s.Changes, "change") + " found in between"
		}
		b = append(b, line(append(named(s.CLB), words("  ·  "+again+", gap "), date(from), words(" – "), clock(s.At),
			words(fmt.Sprintf(" (%s)%s", text.Duration(s.At.Sub(from)), found)))...))
	}
	if more := len(a.Sighted) - len(shown) + a.MoreSighted; more > 0 {
		b = append(b, line(words(fmt.Sprintf("… and %s", text.Plural(more, "more load balancer")))))
	}
	return []block{b}
}

// baselineBlocks tell what is watched from now on.
func baselineBlocks(base *watch.Baseline, r room) []block {
	if base == nil {
		return nil
	}
	const from = "This is where watching begins; changes from here on are told."
	if base.CLBs == 1 && len(base.Pools) == 1 {
		p := base.Pools[0]
		return []block{{line(append(named(p.CLB), words("  ·  "+running(p.Capacity)))...), line(words(from))}}
	}
	b := block{line(words(from))}
	// The worst few, and all that have backends not running: rows of zeros are noise.
	notWhole := len(slices.DeleteFunc(slices.Clone(base.Pools), func(p watch.PoolNews) bool { return p.Running == p.Total }))
	shown := min(r.pools, max(notWhole, 3), len(base.Pools))
	lines := poolTable(base.Pools[:shown], "")
	out := base.Backends - base.Running
	for _, p := range base.Pools[:shown] {
		out -= p.Total - p.Running
	}
	if more := base.CLBs - shown; more > 0 && out == 0 {
		lines = append(lines, fmt.Sprintf("… and %d more, all running", more))
	} else if more > 0 {
		lines = append(lines, fmt.Sprintf("… and %s", text.Plural(more, "more load balancer")))
	}
	return []block{append(b, pre(lines))}
}
