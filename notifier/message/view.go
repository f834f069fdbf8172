package message

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// view is what one message shows of a root: all of it or, in an update, what no post has shown.
type view struct {
	*incident.Root // what is shown
	doc            incident.Document
	style          Style
	update         bool
	quiet          []*incident.Incident // of the root, about which a silence holds everything back
}

// viewOf is a view of all that people are told of.
func viewOf(doc incident.Document, s Style) view {
	v := view{Root: doc.Root, doc: doc, style: s}
	var told []*incident.Incident
	for _, i := range doc.Incidents {
		switch {
		case !i.Untold():
			told = append(told, i)
		case i.Open() || i.Withheld: // else it came and went, which is in the report
			v.quiet = append(v.quiet, i)
		}
	}
	if len(told) == 0 {
		v.quiet = nil
	} else if len(told) < len(doc.Incidents) {
		root := *doc.Root
		root.Incidents, v.Root = told, &root
	}
	return v
}

// clb is the load balancer of an incident, with the names there are.
func (v view) clb(i *incident.Incident) lb.CLB {
	c := i.CLB()
	search := i.About == incident.Listing || i.About == incident.Nothing
	if c.Label == "" && c.Title == "" && v.doc.Name != nil && !search {
		if named := v.doc.Name(i.Key); named.ID != "" {
			return named
		}
	}
	return c
}

// name is what people call it, short enough for a title.
func (v view) name(i *incident.Incident) string {
	return text.Short(report.Name(v.clb(i)), maxNameInTitle)
}

// maxNameInTitle is how many cells of a name a title has room for.
const maxNameInTitle = 32

// worst are the incidents, the worst first.
func (v view) worst() []*incident.Incident {
	all := slices.Clone(v.Incidents)
	slices.SortStableFunc(all, incident.Worst)
	return all
}

// of are the incidents that are about backends, reading, or notices, the worst first.
func (v view) of(which func(*incident.Incident) bool) (some []*incident.Incident) {
	for _, i := range v.worst() {
		if which(i) {
			some = append(some, i)
		}
	}
	return some
}

func ofBackends(i *incident.Incident) bool   { return i.About == incident.Backends }
func openBackends(i *incident.Incident) bool { return ofBackends(i) && i.Open() }
func ofReading(i *incident.Incident) bool    { return i.About.Blind() }
func unreadable(i *incident.Incident) bool   { return i.About.Blind() && i.Open() && !i.Readable }

// keys are how many load balancers incidents are about, each counted once.
func keys(all []*incident.Incident) int {
	seen := make(map[string]bool)
	for _, i := range all {
		seen[i.Key] = true
	}
	return len(seen)
}

// numbers are the numbers of the incidents that the message covers.
func (v view) numbers() string {
	ids := make([]string, 0, len(v.Incidents))
	for _, i := range v.Incidents {
		ids = append(ids, i.ID)
	}
	return incidents(ids)
}

// follows reports whether b is the number after a, of the same shard.
func follows(a, b string) bool {
	number := func(id string) (int, string) {
		digits, suffix, _ := strings.Cut(id, "-")
		n, err := strconv.Atoi(digits)
		if err != nil {
			return -1, id
		}
		return n, suffix
	}
	m, s := number(a)
	n, t := number(b)
	return m >= 0 && n == m+1 && s == t
}

// context is under which number it is, where and when. The number comes first: what comes last may take a
// line of its own on a phone.
func (v view) context() []line {
	when := line{date(v.Began())}
	if last := v.last(); !v.Open() && !v.Notice() && last.Sub(v.Began()) >= 60e9 {
		when = v.style.between(v.Began(), last)
	}
	return []line{{words(v.numbers())}, {words(v.regions())}, when}
}

// whenAt is which of the context says when it is.
const whenAt = 2

// regions names where it is.
func (v view) regions() string {
	clbs := make([]lb.CLB, 0, len(v.Incidents))
	for _, i := range v.Incidents {
		clbs = append(clbs, i.CLB())
	}
	return regionsOf(clbs)
}

// regionsOf names at most three regions.
func regionsOf(clbs []lb.CLB) string {
	set := make(map[string]bool)
	for _, c := range clbs {
		if r := token(c.Region); r != "" {
			set[r] = true
		}
	}
	all := slices.Sorted(maps.Keys(set))
	if len(all) > 3 {
		return strings.Join(all[:3], ", ") + " and " + plural(len(all)-3, "more")
	}
	return strings.Join(all, ", ")
}

// plural counts what has no plural of its own: "2 more".
func plural(n int, word string) string { return strconv.Itoa(n) + " " + word }

// look is how a message looks: the one place where a level becomes an emoji and a colour.
func (v view) look() look {
	blind := !slices.ContainsFunc(v.Incidents, ofBackends)
	switch level := v.Level(); {
	case v.Notice():
		return neutral
	case level >= incident.Degraded:
		return look{"red_circle", "#a30200"}
	case level == incident.Impaired && blind:
		return look{"warning", "#e8912d"}
	case level == incident.Impaired, !v.Open() && v.ended(incident.EndAbandoned) > 0:
		return look{"large_orange_circle", "#e8912d"}
	case v.Resolved(), v.update && v.well():
		return look{"large_green_circle", "#2eb886"}
	}
	t := v.Tally(ofBackends)
	lost := t.Kinds[incident.Removed] > t.Kinds[incident.Added]
	for _, i := range v.Incidents {
		lost = lost || i.End == incident.EndDeleted || ofBackends(i) && i.Counts.Unbound > i.Counts.Bound
	}
	if lost {
		return look{"large_yellow_circle", "#daa038"}
	}
	return look{"large_blue_circle", "#439fe0"}
}

var neutral = look{"information_source", "#8d9096"}

// well reports whether something was wrong, and all that was lost is back: all serves that did, and all can
// be read.
func (v view) well() bool {
	return !slices.ContainsFunc(v.Incidents, func(i *incident.Incident) bool {
		switch {
		case i.About.Blind():
			return !i.Readable
		case i.End != "":
			return i.End != incident.EndResolved
		}
		return !i.WasOut || i.Now.Out > 0 || fewer(i)
	})
}

// ended counts the incidents that were closed in one way.
func (v view) ended(how incident.End) (n int) {
	for _, i := range v.Incidents {
		if i.End == how {
			n++
		}
	}
	return n
}
