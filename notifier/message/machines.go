package message

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

const (
	maxCells   = 20 // of a machine's name in a row, which phones break from about 38 on
	maxPast    = 12 // machines of one kind that are not out
	maxPhrases = 6  // of one kind: of more, each row says the little that tells it apart
)

// section is what one heading says of machines of one kind.
type section struct {
	kind  incident.RowKind
	total int // machines, those among them that have no row
	rows  []incident.Row
}

var headings = map[incident.RowKind]string{
	incident.Stopped:     "Stopped",
	incident.Failing:     "Unhealthy",
	incident.Removed:     "Removed",
	incident.Replaced:    "Replaced",
	incident.Partly:      "Listeners changed",
	incident.Added:       "Added",
	incident.CameAndWent: "Added and removed again",
	incident.Recovered:   "Recovered",
	incident.Back:        "Out and back",
}

// sections are the machines by what became of them, what matters most first.
func (v view) sections() (all []section) {
	t := v.Tally(ofBackends)
	at := make(map[incident.RowKind]int)
	for _, row := range v.Rows() {
		n, ok := at[row.Kind]
		if !ok {
			n, at[row.Kind] = len(all), len(all)
			all = append(all, section{kind: row.Kind, total: t.Kinds[row.Kind]})
		}
		all[n].rows = append(all[n].rows, row)
	}
	for _, kind := range allKinds { // those of which none has a row
		if _, ok := at[kind]; !ok && t.Kinds[kind] > 0 && kind != incident.Removed && kind != incident.Added {
			all = append(all, section{kind: kind, total: t.Kinds[kind]})
		}
	}
	order := make(map[string]int)
	for n, i := range v.worst() {
		if _, ok := order[i.Key]; !ok {
			order[i.Key] = n
		}
	}
	for n := range all {
		s := &all[n]
		s.total = max(s.total, len(s.rows))
		slices.SortStableFunc(s.rows, func(a, b incident.Row) int { // first what many share
			shared := cmp.Compare(len(b.In), len(a.In))
			return cmp.Or(shared, cmp.Compare(order[a.In[0].Key], order[b.In[0].Key]))
		})
	}
	return all
}

// machines say what became of machines, as far as there is room: which, and where to look at them.
func (v view) machines(r room) (blocks []block) {
	left := r.rows
	for _, s := range v.sections() {
		most := left
		if s.kind > incident.Removed {
			most = min(most, maxPast)
		}
		shown := s.rows[:min(len(s.rows), most)]
		left -= len(shown)
		b := v.section(s, shown)
		if more := s.total - len(shown); more > 0 && len(shown) > 0 {
			b = append(b, lineOf(words("… and "+plural(more, "more"))))
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func (v view) section(s section, shown []incident.Row) block {
	head := fmt.Sprintf("%s (%d)", headings[s.kind], s.total)
	switch {
	case len(shown) == 0:
		return block{lineOf(bold(head))}
	case s.total == 1:
		return block{lineOf(append(line{bold(headings[s.kind]), words("  ")}, v.one(shown[0])...)...)}
	}
	groups := group(shown, func(a, b incident.Row) bool { return v.phrase(a).key() == v.phrase(b).key() })
	if len(groups) == 1 && len(shown) > 1 {
		says := append(line{bold(head), words("  ")}, v.phrase(shown[0])...)
		return block{lineOf(says...), v.rows(shown, false)}
	}
	b := block{lineOf(bold(head))}
	if len(groups) > maxPhrases {
		return append(b, v.rows(shown, true))
	}
	for _, g := range groups {
		if len(g) == 1 {
			b = append(b, lineOf(v.one(g[0])...))
			continue
		}
		b = append(b, lineOf(v.phrase(g[0])...), v.rows(g, false))
	}
	return b
}

// one says on one line which machine it is, and what became of it.
func (v view) one(m incident.Row) line {
	return append(append(v.which(m, false), words("  ·  ")), v.phrase(m)...)
}

// rows are machines as rows of columns, with a word on each that tells it apart if that is wanted.
func (v view) rows(rows []incident.Row, apart bool) part {
	lines := make([]line, 0, len(rows))
	for _, m := range rows {
		l := v.which(m, true)
		if apart {
			l = append(l, words(brief(m)))
		}
		lines = append(lines, l)
	}
	return aligned(lines)
}

// which says which machine it is, with a link to its page, and behind what if that is not plain.
func (v view) which(m incident.Row, column bool) line {
	region := m.In[0].CLB().Region
	name := text.Short(report.BackendName(lb.Backend{ID: m.ID, Name: m.Name}), maxCells)
	id := span{text: text.Clean(m.ID, 24), url: v.style.backendURL(region, m.Type, m.ID)}
	if m.Kind == incident.Replaced {
		id.text = text.Clean(m.Old.ID, 24) + " → " + cmp.Or(id.text, "?")
	}
	if id.text == "" {
		id.text = "(no id)"
	}
	var where []string
	several := keys(v.Incidents) > 1
	if address := text.Clean(m.IP, 40); address != "" && m.Kind != incident.Replaced && !(column && several) {
		where = append(where, address)
	}
	if several {
		on := v.name(m.In[0])
		if n := keys(m.In) - 1; n > 0 {
			on += fmt.Sprintf(" +%d", n)
		}
		where = append(where, on)
	}
	if column {
		return line{words(name), id, words(strings.Join(where, " "))}
	}
	l := line{bold(name), words("  "), id}
	if len(where) > 0 {
		l = append(l, words("  "+strings.Join(where, "  ")))
	}
	return l
}

// brief is what tells a machine apart from others of its kind, in a few characters: rows of columns have no
// more room.
func brief(m incident.Row) string {
	switch {
	case m.Kind == incident.Stopped:
		return statusWord(m.Status)
	case m.Outages > 1:
		return fmt.Sprintf("%d× %s", m.Outages, text.Duration(m.OutFor))
	case m.Outages == 1 && m.OutFor > 0:
		return text.Duration(m.OutFor)
	}
	return ""
}

// phrase says what became of a machine, and when.
func (v view) phrase(m incident.Row) line {
	switch m.Kind {
	case incident.Stopped:
		s := status(m.Status)
		if m.Began == incident.Absent {
			s = "added, and does not run: " + s
		}
		return append(append(line{words(s)}, v.ongoing(m)...), words(outlook(m.Status)))
	case incident.Failing:
		fails := "fails " + report.OutOf(m.Fails, "check") + report.Names(m.Fails)
		return append(line{words(fails)}, v.ongoing(m)...)
	case incident.Removed:
		l := v.seen(m)
		if m.Status != lb.Running && m.Status != 0 {
			l = append(l, words(", was "+status(m.Status)))
		}
		return l
	case incident.Partly:
		return append(line{words(partly(m.Machine) + ", ")}, v.seen(m)...)
	case incident.Recovered:
		l := append(line{words("serves since ")}, v.seen(m)...)
		return append(l, words(", was out for "+text.Duration(m.OutFor)+orMore(m)))
	case incident.Back:
		return v.outages(m)
	}
	return v.seen(m)
}

// seen says when a machine became what it is: some time between two readings if they are far apart.
func (v view) seen(m incident.Row) line {
	if m.After.IsZero() {
		return line{date(m.Since)}
	}
	return line{words("some time between "), date(m.After), words(" and "), date(m.Since)}
}

// ongoing says since when a machine is out, and how often it was before.
func (v view) ongoing(m incident.Row) line {
	l := line{words(" since ")}
	if m.Longer {
		l = line{words(" since before ")}
	}
	if m.After.IsZero() || !m.Since.Equal(m.OutAt) {
		l = append(l, date(m.OutAt))
	} else {
		l = append(line{words(", stopped ")}, v.seen(m)...)
	}
	if before := m.Outages - 1; before > 0 && m.OutFor > 0 {
		inAll := text.Duration(m.OutFor)
		l = append(l, words(fmt.Sprintf(", out %s before, %s in all", times(before), inAll)))
	}
	return l
}

func orMore(m incident.Row) string {
	if m.Longer {
		return " or more"
	}
	return ""
}

// outages say when a machine that is back was out. Two outages are two, with times of their own.
func (v view) outages(m incident.Row) line {
	if m.Outages == 0 {
		return append(line{words("removed and added again ")}, v.seen(m)...)
	}
	inAll := text.Duration(m.OutFor) + orMore(m)
	last := m.Since.Sub(m.OutAt)
	straight := !m.Longer && m.Began == incident.Serving && !v.removals(m) // Since ends its last outage
	first := m.OutFor - last                                               // if there were two
	switch {
	case m.Outages == 1 && straight && last == m.OutFor:
		return v.style.between(m.OutAt, m.Since)
	case m.Outages == 1:
		return line{words("from "), date(m.OutAt), words(" for " + inAll + ", back "), date(m.Since)}
	case m.Outages == 2 && straight && first > 0 && !m.First.Add(first).After(m.OutAt):
		l := append(line{words("out twice: ")}, v.style.between(m.First, m.First.Add(first))...)
		l = append(append(l, words(", ")), v.style.between(m.OutAt, m.Since)...)
		return append(l, words(", "+inAll+" in all"))
	}
	l := line{words("out " + times(m.Outages) + " since "), date(m.First), words(", last ")}
	return append(l, date(m.OutAt), words(", "+inAll+" in all"))
}

// removals reports whether anything was removed where the machine is: it may have been it.
func (v view) removals(m incident.Row) bool {
	for _, i := range m.In {
		if i.Counts.Removed > 0 {
			return true
		}
	}
	return false
}

// partly says which listeners or rules a machine was unbound from or bound to.
func partly(m incident.Machine) string {
	switch {
	case m.Unbound == nil:
		return "bound to " + text.Plural(m.Bound.N, "more "+report.Thing(m.Bound)) + report.Names(m.Bound)
	case m.Bound == nil:
		return "unbound from " + report.OutOf(m.Unbound, report.Thing(m.Unbound)) + report.Names(m.Unbound)
	}
	return "bound to " + report.Some(m.Bound) + " instead of " + report.Some(m.Unbound)
}

// key tells lines apart by what they say.
func (l line) key() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.text + "\x00")
	}
	return b.String()
}

// group puts together what is the same, in the order of the first of each.
func group[T any](all []T, same func(a, b T) bool) (groups [][]T) {
next:
	for _, x := range all {
		for n := range groups {
			if same(groups[n][0], x) {
				groups[n] = append(groups[n], x)
				continue next
			}
		}
		groups = append(groups, []T{x})
	}
	return groups
}
