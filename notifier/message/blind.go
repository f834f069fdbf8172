package message

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

const (
	maxWhy    = 200 // characters of why something cannot be read, or of what to do about it
	maxGroups = 4   // reasons, and names beside each
)

// objects name what incidents about reading are about, and what is done with it: "read" or "list".
func (v view) objects(which func(*incident.Incident) bool) (verbs, objects []string) {
	for _, about := range []incident.About{incident.Reading, incident.Health, incident.Listing} {
		some := v.of(func(i *incident.Incident) bool { return i.About == about && which(i) })
		if len(some) == 0 {
			continue
		}
		c := v.clb(some[0])
		c.Label = v.name(some[0])
		verbs = append(verbs, report.Verb(about))
		objects = append(objects, report.Objects(about, c, keys(some)))
	}
	return verbs, objects
}

// cannotRead says what cannot be read; "" if all can.
func (v view) cannotRead() string {
	verbs, objects := v.objects(unreadable)
	var parts []string
	for n, verb := range verbs {
		cannot := "cannot "
		if n == 0 {
			cannot = "Cannot "
		}
		parts = append(parts, cannot+verb+" "+objects[n])
	}
	return strings.Join(parts, ", ")
}

// readAgain says what can be read again or, where that is over, what could not be read; "" if there is
// nothing.
func (v view) readAgain() string {
	verbs, objects := v.objects(func(i *incident.Incident) bool { return !unreadable(i) })
	switch {
	case len(objects) == 0:
		return ""
	case v.Open() || v.update:
		return "Readable again: " + strings.Join(objects, ", ")
	}
	for n := range objects {
		objects[n] = verbs[n] + " " + objects[n]
	}
	return "Could not " + strings.Join(objects, ", ")
}

// blind says what cannot be read, since when, why, what it means and what to do; what has one remedy comes
// together.
func (v view) blind(r room) (blocks []block) {
	unread := v.of(unreadable)
	same := func(a, b *incident.Incident) bool {
		x, y := v.reason(a), v.reason(b)
		return a.About == b.About && cmp.Or(x.Do, x.Why) == cmp.Or(y.Do, y.Why)
	}
	groups := group(unread, same)
	slices.SortStableFunc(groups, func(a, b []*incident.Incident) int { return cmp.Compare(len(b), len(a)) })
	most := min(maxGroups, r.clbs)
	left := len(unread)
	explained := make(map[incident.About]bool)
	for _, g := range groups[:min(len(groups), most)] {
		left -= len(g)
		why, about := v.reason(g[0]), g[0].About
		b := block{v.unread(g, most)}
		if s := text.Clean(why.Why, maxWhy); s != "" {
			b = append(b, pre([]string{s}))
		}
		if !explained[about] {
			b, explained[about] = append(b, means(about)), true
		}
		if s := text.Clean(why.Do, maxWhy); s != "" {
			b = append(b, lineOf(bold("What to do"), words("  "+s)))
		}
		blocks = append(blocks, b)
	}
	if left > 0 {
		others := text.Plural(len(groups)-most, "other reason")
		more := fmt.Sprintf("… and %d more that cannot be read, for %s", left, others)
		blocks = append(blocks, block{lineOf(words(more))})
	}
	return append(blocks, v.sighted(r)...)
}

func (v view) reason(i *incident.Incident) incident.Reason {
	if v.doc.Reason == nil {
		return incident.Reason{}
	}
	return v.doc.Reason(i.Why)
}

// unread says since when some cannot be read, and when they could last.
func (v view) unread(g []*incident.Incident, most int) part {
	l := v.names(g, most)
	i, first, last := g[0], g[0].Began, g[0].LastGood
	for _, o := range g[1:] {
		if o.Began.Before(first) {
			first = o.Began
		}
		if o.LastGood.Before(last) {
			last = o.LastGood
		}
	}
	l = append(l, words("  ·  "+cannot(i.About)+" since "), date(first))
	if i.Times > 0 && len(g) == 1 {
		l = append(l, words(", "+times(i.Times+1)))
	}
	switch {
	case last.IsZero() && len(g) == 1:
		return lineOf(append(l, words("  ·  never read before"))...)
	case last.IsZero():
		return lineOf(append(l, words("  ·  some never read before"))...)
	case first.Sub(last) < 12*time.Hour:
		return lineOf(append(l, words("  ·  last good reading "), clock(last))...)
	}
	return lineOf(append(l, words("  ·  last good reading "), date(last))...)
}

// names are some load balancers, the first few of them.
func (v view) names(g []*incident.Incident, most int) line {
	if len(g) == 1 {
		return v.named(g[0])
	}
	var l line
	for n, i := range g[:min(len(g), most)] {
		if n > 0 {
			l = append(l, words(", "))
		}
		l = append(l, v.named(i)[0])
	}
	if more := len(g) - most; more > 0 {
		l = append(l, words(" and "+plural(more, "more")))
	}
	return l
}

// cannot is what goes wrong, beside the name of a load balancer.
func cannot(a incident.About) string {
	switch a {
	case incident.Health:
		return "health cannot be read"
	case incident.Listing:
		return "load balancers cannot be listed"
	}
	return "cannot be read"
}

// means is what follows from something that cannot be read.
func means(a incident.About) part {
	what := "Changes there"
	rest := " being detected. The last known state is kept; changes are reported after the next good reading."
	switch a {
	case incident.Health:
		what = "Failing health checks"
		rest = " being detected; everything else is. The last known health is kept."
	case incident.Listing:
		what, rest = "New and deleted load balancers", " being found. The known ones are watched as before."
	}
	return lineOf(bold("What it means"), words("  "+what+" are "), bold("not"), words(rest))
}

// sighted say what can be read again, and how long it could not be; what has one answer comes together.
func (v view) sighted(r room) []block {
	all := v.of(func(i *incident.Incident) bool { return ofReading(i) && !unreadable(i) })
	if len(all) == 0 {
		return nil
	}
	groups := group(all, func(a, b *incident.Incident) bool { return v.again(a).key() == v.again(b).key() })
	var b block
	left := len(all)
	for _, g := range groups[:min(len(groups), r.clbs)] {
		left -= len(g)
		b = append(b, lineOf(append(v.names(g, maxGroups), v.again(g[0])...)...))
	}
	if left > 0 {
		b = append(b, lineOf(words("… and "+plural(left, "more")+" that can be read again")))
	}
	return []block{b}
}

// again says since when something can be read again, and how long it could not be.
func (v view) again(i *incident.Incident) line {
	var l line
	switch {
	case !i.Readable:
		return append(line{words("  ·  ")}, v.end(i)...)
	case i.About == incident.Health:
		l = line{words("  ·  health readable again, gap ")}
	case i.About == incident.Listing:
		l = line{words("  ·  load balancers listed again, gap ")}
	default:
		l = line{words("  ·  readable again, gap ")}
	}
	from := i.LastGood
	if from.IsZero() || i.Times > 0 {
		from = i.Began
	}
	if l = append(l, v.style.between(from, i.LastChange())...); i.Times > 0 {
		l = append(l, words(", with readings in between"))
	}
	return l
}
