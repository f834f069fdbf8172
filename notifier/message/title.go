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

// headline is what a message is about in one line that fits a lock screen, what matters most first.
func (v view) headline() string {
	parts := nonEmpty([]string{v.outNow(), v.cannotRead()})
	if len(parts) == 0 || v.outNow() == "" && len(v.of(ofBackends)) > 0 {
		parts = append(parts, nonEmpty([]string{v.cameAndWent()})...)
	}
	if len(parts) == 0 {
		parts = nonEmpty([]string{v.readAgain(), v.noticed()})
	}
	return text.Clean(strings.Join(parts, " · "), maxTitle)
}

// outNow says what is out; "" if nothing is, of what the message shows.
func (v view) outNow() string {
	open := v.of(openBackends)
	if len(open) == 0 {
		return ""
	}
	t := v.Tally(openBackends)
	out := t.Kinds[incident.Stopped]+t.Kinds[incident.Failing] > 0
	if open[0].Level < incident.Degraded && !out { // the worst comes first
		return ""
	}
	if keys(open) == 1 {
		i := open[0]
		switch i.Level {
		case incident.Down:
			return v.name(i) + " DOWN" + downWhere(i) + ": " + howMany(i) + v.cause(i)
		case incident.Degraded:
			return v.name(i) + " degraded: " + v.healthy(i)
		}
		return v.happened(openBackends, lossKinds) + after(i.Now, t)
	}
	levels := v.levels(open)
	switch {
	case levels == "":
		return v.happened(openBackends, lossKinds)
	case !slices.ContainsFunc(lossKinds, func(k incident.RowKind) bool { return t.Kinds[k] > 0 }):
		return levels
	}
	return levels + ", " + v.happened(openBackends, lossKinds)
}

// levels says how many load balancers are how bad, or which if it is one.
func (v view) levels(open []*incident.Incident) string {
	var parts []string
	for _, l := range []struct {
		level incident.Level
		is    string
	}{{incident.Down, "DOWN"}, {incident.Degraded, "degraded"}} {
		other := func(i *incident.Incident) bool { return i.Level != l.level }
		some := slices.DeleteFunc(slices.Clone(open), other)
		switch {
		case len(some) == 0:
		case len(some) == 1:
			parts = append(parts, v.name(some[0])+" "+l.is)
		case len(parts) > 0:
			parts = append(parts, fmt.Sprintf("%d %s", len(some), l.is))
		default:
			parts = append(parts, text.Plural(len(some), "load balancer")+" "+l.is)
		}
	}
	return strings.Join(parts, ", ")
}

// downWhere says which listeners or rules are down, where the load balancer as a whole is not.
func downWhere(i *incident.Incident) string {
	if i.Now.Serving == 0 {
		return ""
	}
	on := bareNames(i)
	if on == "" {
		return ""
	}
	return " on " + on
}

// bareNames names the listeners or rules that nothing serves; "" if there are none.
func bareNames(i *incident.Incident) string {
	n, thing := len(i.Emptied), "listener"
	for _, name := range i.Emptied {
		if strings.Contains(name, " ") {
			thing = "rule"
		}
	}
	names := i.Emptied
	if i.Bare != nil {
		n += i.Bare.N
		names = append(slices.Clone(names), i.Bare.Names...)
		if i.Bare.Rules {
			thing = "rule"
		}
	}
	if n == 1 && len(names) == 1 {
		if name := text.Short(text.Clean(names[0], 100), maxNameInTitle); name != "" {
			return name
		}
	}
	if n == 0 {
		return ""
	}
	return text.Plural(n, thing)
}

// howMany says how much of a load balancer that is down runs.
func howMany(i *incident.Incident) string {
	if i.Now.Serving == 0 && i.Now.Running > 0 {
		return fmt.Sprintf("0 of %d serving", i.Now.Total)
	}
	return running(i.Now)
}

// healthy says how much of a load balancer that is degraded runs and why or, where nothing but health checks
// fails, how much is healthy.
func (v view) healthy(i *incident.Incident) string {
	t := v.all(i)
	if n := t.Kinds[incident.Failing]; n > 1 && n == i.Now.Ill && n == lost(t) {
		return fmt.Sprintf("%d of %d healthy", i.Now.Running-n, i.Now.Total)
	}
	return running(i.Now) + v.cause(i)
}

// lost are how many machines are a loss.
func lost(t incident.Tally) (n int) {
	for _, k := range lossKinds {
		n += t.Kinds[k]
	}
	return n
}

// all are the machines of an incident, those among them that are no news.
func (v view) all(i *incident.Incident) incident.Tally {
	return v.doc.Tally(func(o *incident.Incident) bool { return o.ID == i.ID })
}

// cause says in brackets which machine it was, or how many, where that is not plain from what runs.
func (v view) cause(i *incident.Incident) string {
	only := func(o *incident.Incident) bool { return o == i }
	t := v.Tally(only)
	kinds := []incident.RowKind{incident.Stopped, incident.Failing, incident.Removed, incident.Partly}
	n := 0
	for _, k := range kinds {
		n += t.Kinds[k]
	}
	if n == 0 {
		kinds = []incident.RowKind{incident.Added, incident.Recovered, incident.Back}
		for _, k := range kinds {
			n += t.Kinds[k]
		}
	}
	if m := v.single(only, kinds); n == 1 && m != nil {
		return " (" + backend(*m) + " " + briefly(*m) + ")"
	}
	if n == 0 || !i.Open() {
		return ""
	}
	t = v.all(i)
	if out := i.Now.Total - i.Now.Running; lost(t) == out && t.Kinds[incident.Stopped] == out {
		return ""
	}
	return " (" + strings.Join(counted(t, kinds, 3), ", ") + ")"
}

// single is the only machine of some kinds; nil if there are more, or it is not kept with details.
func (v view) single(which func(*incident.Incident) bool, kinds []incident.RowKind) *incident.Row {
	var found *incident.Row
	for _, row := range v.Rows() {
		kind := row.Kind
		if kind == incident.Replaced {
			kind = incident.Added
		}
		if !slices.Contains(kinds, kind) || !slices.ContainsFunc(row.In, which) {
			continue
		}
		if found != nil && (found.ID != row.ID || found.In[0].CLB().Region != row.In[0].CLB().Region) {
			return nil
		}
		if found == nil {
			found = &row
		}
	}
	return found
}

// Kinds of rows: those that are a loss, and all.
var (
	lossKinds = []incident.RowKind{incident.Stopped, incident.Failing, incident.Removed}
	allKinds  = []incident.RowKind{incident.Stopped, incident.Failing, incident.Removed, incident.Partly,
		incident.Added, incident.CameAndWent, incident.Recovered, incident.Back}
)

// happened says what happened to machines, each counted once, and where.
func (v view) happened(which func(*incident.Incident) bool, kinds []incident.RowKind) string {
	t := v.Tally(which)
	none := func(k incident.RowKind) bool { return t.Kinds[k] == 0 }
	present := slices.DeleteFunc(slices.Clone(kinds), none)
	if len(present) == 0 { // none of them could be kept
		return "Changes on " + v.oneOrMany(v.of(which))
	}
	var on []*incident.Incident
	for _, i := range v.of(which) {
		one := v.Tally(func(o *incident.Incident) bool { return o == i })
		if slices.ContainsFunc(present, func(k incident.RowKind) bool { return one.Kinds[k] > 0 }) {
			on = append(on, i)
		}
	}
	where := v.oneOrMany(on)
	says := counted(t, present, 4)
	total := 0
	for _, k := range present {
		total += t.Kinds[k]
	}
	if m := v.single(which, present); m != nil && total == 1 && !t.AtLeast {
		return single(*m, where, keys(on), !v.Open())
	}
	preposition := " on "
	if r := v.replacements(t, present, on); r != "" {
		m := v.single(which, []incident.RowKind{incident.Added})
		if m != nil && m.Kind == incident.Replaced && total == 2 {
			return single(*m, where, keys(on), !v.Open())
		}
		says = []string{r}
	} else if len(present) == 1 {
		preposition = cmp.Or(prepositions[present[0]], preposition)
	}
	first, rest, _ := strings.Cut(says[0], " ")
	if t.AtLeast {
		first = "more than " + first
	}
	machines := " machines "
	if first == "1" {
		machines = " machine "
	}
	out := present[0] <= incident.Failing
	if v.update && out && v.doc.Tally(ofBackends).Kinds[present[0]] > t.Kinds[present[0]] {
		machines = " more" + machines // others were posted before
	}
	says[0] = first + machines + rest
	return strings.Join(says, ", ") + preposition + where
}

// oneOrMany names the load balancer if it is one, and counts them if there are more.
func (v view) oneOrMany(all []*incident.Incident) string {
	if n := keys(all); n != 1 {
		return text.Plural(n, "load balancer")
	}
	return v.name(all[0])
}

// replacements says that as many machines were added as were removed, on each load balancer, and nothing else
// happened; "" if it is not so.
func (v view) replacements(t incident.Tally, present []incident.RowKind, on []*incident.Incident) string {
	n := t.Kinds[incident.Added]
	both := []incident.RowKind{incident.Removed, incident.Added}
	if !slices.Equal(present, both) || n != t.Kinds[incident.Removed] {
		return ""
	}
	for _, i := range on {
		one := v.Tally(func(o *incident.Incident) bool { return o == i })
		if one.Kinds[incident.Added] != one.Kinds[incident.Removed] {
			return ""
		}
	}
	return fmt.Sprintf("%d replaced", n)
}

var prepositions = map[incident.RowKind]string{
	incident.Removed: " from ", incident.Added: " to ",
}

// words of kinds where machines of a kind are counted.
var countWords = map[incident.RowKind]string{
	incident.Stopped:     "stopped",
	incident.Failing:     "unhealthy",
	incident.Removed:     "removed",
	incident.Replaced:    "replaced",
	incident.Partly:      "with changed listeners",
	incident.Added:       "added",
	incident.CameAndWent: "added and removed again",
	incident.Recovered:   "recovered",
	incident.Back:        "out and back",
}

// counted counts machines of each kind, of the first few kinds that there are.
func counted(t incident.Tally, kinds []incident.RowKind, most int) (says []string) {
	for _, k := range kinds {
		if t.Kinds[k] > 0 && len(says) < most {
			says = append(says, fmt.Sprintf("%d %s", t.Kinds[k], countWords[k]))
		}
	}
	return says
}

// single says what happened to the only machine, behind so many load balancers, while the root is open or
// when it is over.
func single(m incident.Row, where string, clbs int, over bool) string {
	name := backend(m)
	switch m.Kind {
	case incident.Stopped, incident.Failing:
		if clbs > 1 {
			return name + " " + countWords[m.Kind] + ", behind " + where
		}
	case incident.Removed:
		return name + " removed from " + where
	case incident.Partly:
		return name + " " + partly(m.Machine) + " on " + where
	case incident.Added:
		return name + " added to " + where
	case incident.CameAndWent:
		return name + " added to " + where + " and removed again"
	case incident.Back:
		switch {
		case over:
			return name + " was out on " + where
		case m.Outages == 0:
			return name + " removed from " + where + " and added again"
		case m.Outages > 1:
			inAll := times(m.Outages) + ", " + text.Duration(m.OutFor) + " in all"
			return name + " back on " + where + ", out " + inAll
		}
		return name + " back on " + where + " after " + text.Duration(m.OutFor)
	}
	return name + " " + countWords[m.Kind] + " on " + where
}

// times says how often: twice, 3 times.
func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// briefly says what became of a machine, in a word or two.
func briefly(m incident.Row) string {
	switch m.Kind {
	case incident.Stopped:
		return statusWord(m.Status)
	case incident.Partly:
		if m.Unbound == nil {
			return "bound"
		}
		return "unbound"
	case incident.Back:
		return "back"
	}
	return countWords[m.Kind]
}

// backend is what people call a machine, short enough for a title.
func backend(m incident.Row) string {
	return text.Short(report.BackendName(lb.Backend{ID: m.ID, Name: m.Name}), maxNameInTitle)
}

// cameAndWent says what happened where nothing is out any more, or what an incident that is over was about.
func (v view) cameAndWent() string {
	all := v.of(ofBackends)
	if len(all) == 0 {
		return ""
	}
	var down []*incident.Incident
	for _, i := range all {
		if i.WasOut && i.Worst.Serving == 0 && i.Before.Serving > 0 {
			down = append(down, i)
		}
	}
	one := all[0]
	if keys(all) == 1 {
		how := v.now(one, ", ")
		if one.End == incident.EndAbandoned { // the ending says it
			how = ""
		} else if !one.Open() && one.WasOut && one.Worst.Running < one.Before.Running {
			how = ", at worst " + running(one.Worst)
		}
		if len(down) == 1 && !v.update {
			return v.name(one) + " was DOWN" + how + v.cause(one)
		}
		return v.happened(ofBackends, allKinds) + how
	}
	s := v.happened(ofBackends, allKinds)
	switch {
	case len(down) == 0 || v.update:
		return s
	case len(down) == 1:
		return v.name(down[0]) + " was DOWN, " + s
	}
	return text.Plural(len(down), "load balancer") + " were DOWN, " + s
}
