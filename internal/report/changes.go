package report

import (
	"fmt"
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/text"
)

// Span is a piece of a sentence: words or, if At is set, a time, which each medium shows in its own way.
type Span struct {
	Text string // Clean
	At   time.Time
	Near bool // At is close to the time before it in the sentence: the day need not be said again
}

func words(format string, a ...any) Span { return Span{Text: fmt.Sprintf(format, a...)} }
func moment(t time.Time) Span            { return Span{At: t} }

// PoolChanges are what changed on one load balancer.
type PoolChanges struct {
	CLB      lb.CLB
	Counts   lb.Counts // of all that ticks found: a backend that came and went counts twice
	Backends []Change  // in the order of their first changes
}

// Change is what happened to one backend in the time of the report, folded to what a person wants to know.
type Change struct {
	Backend string // its name, and its id where others have the same name; Clean
	Says    []Span // such as "out 04:41 – 04:53, back"
}

// ChangesTitle says what time the changes are about; nil where the Note says already that nothing is known.
func (r Report) ChangesTitle() []Span {
	changed := "Changed"
	if len(r.Changes) == 0 {
		changed = "Nothing changed"
	}
	switch {
	case r.ChangesFrom.IsZero() && r.Note != "":
		return nil
	case r.ChangesFrom.IsZero():
		return []Span{words("What changed is not known: no tick has run yet")}
	case r.ChangesFrom.After(r.Since):
		return []Span{words("%s since ", changed), moment(r.ChangesFrom), words(" (older changes are not known)")}
	}
	return []Span{words("%s in the last %s", changed, text.Duration(r.At.Sub(r.Since)))}
}

// Changed are the changes by load balancer, worst first as WorstFirst.
func (r Report) Changed() []PoolChanges {
	found := make(map[string][]incident.Record)
	for _, c := range r.Changes {
		found[c.CLB.Key()] = append(found[c.CLB.Key()], c)
	}
	var out []PoolChanges
	for _, p := range r.WorstFirst() {
		if all := found[p.CLB.Key()]; len(all) > 0 {
			out = append(out, PoolChanges{p.CLB, counts(all), fold(all, p)})
		}
	}
	return out
}

func counts(all []incident.Record) (n lb.Counts) {
	for _, c := range all {
		if of := n.Of(c.Change.Kind); of != nil {
			*of++
		}
	}
	return n
}

// step is a part of what happened to a backend: one change, or any number of times that it was out, or unhealthy, and came
// back.
type step struct {
	kind     lb.Kind   // LeftRunning, Unhealthy: out since from, until to; Recovered, Healthy: seen to come back only
	times    int       // out
	from, to time.Time // to is zero while it is out; only that is set if it is one change
	is       lb.Status
}

// rebound is a step that is both Unbound and Bound.
const rebound lb.Kind = "bound anew"

// outages are the kinds of change that last: what a sentence calls them and their end, and the kind of that.
var outages = map[lb.Kind]struct {
	is, back string
	end      lb.Kind
}{
	lb.LeftRunning: {"out", "back", lb.Recovered},
	lb.Unhealthy:   {"unhealthy", "healthy again", lb.Healthy},
}

// history is all that happened to one backend.
type history struct {
	id, name string
	steps    []step
	replaced bool // by one of the same name, which came when it went
}

// fold puts the changes of one load balancer together by backend.
func fold(all []incident.Record, p Pool) []Change {
	var order []*history
	byID := make(map[string]*history)
	for _, c := range all {
		h := byID[c.Change.ID]
		if h == nil {
			h = &history{id: c.Change.ID}
			byID[c.Change.ID], order = h, append(order, h)
		}
		h.name = BackendName(lb.Backend{ID: c.Change.ID, Name: c.Change.Name})
		h.add(c)
	}
	order = replace(order)
	same := make(map[string]int)
	for _, h := range order {
		same[h.name]++
	}
	type outage struct {
		kind lb.Kind
		id   string
	}
	now := make(map[outage]bool)
	for _, b := range p.NotRunning {
		now[outage{lb.LeftRunning, b.ID}] = true
	}
	for _, b := range p.Unhealthy {
		now[outage{lb.Unhealthy, b.ID}] = true
	}
	changes := make([]Change, 0, len(order))
	for _, h := range order {
		last := h.steps[len(h.steps)-1].kind
		known := p.Err == "" && (last != lb.Unhealthy || p.HealthErr == "")
		c := Change{Backend: h.name, Says: h.says(!known || now[outage{last, h.id}])}
		if id := text.Clean(h.id, maxName); same[h.name] > 1 && !h.replaced {
			c.Backend += " " + id
		}
		changes = append(changes, c)
	}
	return changes
}

// add adds a later change.
func (h *history) add(c incident.Record) {
	_, lasts := outages[c.Change.Kind]
	if n := len(h.steps); n > 0 {
		switch last := &h.steps[n-1]; {
		case lasts && c.Change.Kind == last.kind:
			last.times++
			last.from, last.to = c.At, time.Time{}
			return
		case last.times > 0 && c.Change.Kind == outages[last.kind].end:
			last.to = c.At
			return
		case last.kind == lb.Unbound && c.Change.Kind == lb.Bound && last.to.Equal(c.At):
			last.kind = rebound
			return
		}
	}
	s := step{kind: c.Change.Kind, to: c.At, is: c.Change.Is}
	if lasts {
		s.times, s.from, s.to = 1, c.At, time.Time{}
	}
	h.steps = append(h.steps, s)
}

// only is the one thing that happened, if that is that it was added or removed.
func (h *history) only() (step, bool) {
	if len(h.steps) != 1 || h.steps[0].kind != lb.Added && h.steps[0].kind != lb.Removed {
		return step{}, false
	}
	return h.steps[0], true
}

// soon is how far apart one backend may go and another of its name come, in either order, to be taken for its replacement.
const soon = time.Hour

// replace takes two backends of one name, of which one went and one came, for one that was replaced.
func replace(order []*history) []*history {
	alone := make(map[string][]*history) // by name: those that only came, or only went
	var out []*history
	for _, h := range order {
		is, one := h.only()
		others := alone[h.name]
		i := slices.IndexFunc(others, func(o *history) bool {
			was, still := o.only()
			return still && one && was.kind != is.kind && is.to.Sub(was.to).Abs() <= soon
		})
		if i >= 0 {
			others[i].steps, others[i].replaced = []step{{to: is.to}}, true
			continue
		}
		if one {
			alone[h.name] = append(others, h)
		}
		out = append(out, h)
	}
	return out
}

// maxSteps is how many steps of one backend are told: the last ones.
const maxSteps = 3

// says is the history as a sentence. out tells whether the last step, if it is an outage, goes on, as far as that is known.
func (h *history) says(out bool) []Span {
	var says []Span
	steps := h.steps
	if more := len(steps) - maxSteps; more > 0 {
		says, steps = []Span{words("…, ")}, steps[more:]
	}
	var before time.Time
	say := func(t time.Time) Span {
		near := !before.IsZero() && t.Sub(before).Abs() < 12*time.Hour
		before = t
		return Span{At: t, Near: near}
	}
	for i, s := range steps {
		if i > 0 {
			says = append(says, words(", "))
		}
		again := ""
		if i > 0 && s.kind == lb.Added {
			again = "again "
		}
		last := i == len(steps)-1
		switch {
		case h.replaced:
			says = append(says, words("replaced "), say(s.to))
		case s.times > 0:
			is, times := outages[s.kind].is, ""
			if s.times > 1 {
				times = fmt.Sprintf("%d times, last ", s.times)
			}
			switch {
			case !s.to.IsZero():
				says = append(says, words("%s %s", is, times), say(s.from), words(" – "), say(s.to), words(", %s", outages[s.kind].back))
			case last && out:
				says = append(says, words("%s %ssince ", is, times), say(s.from))
			default:
				says = append(says, words("%s %s", is, times), say(s.from))
			}
		case s.kind == lb.Recovered:
			says = append(says, words("running since "), say(s.to))
		case s.kind == lb.Healthy:
			says = append(says, words("healthy since "), say(s.to))
		case s.kind == lb.Added:
			says = append(says, words("added %s", again), say(s.to))
			if s.is != lb.Running && s.is != 0 {
				says = append(says, words(" %s", s.is))
			}
		default:
			says = append(says, words("%s ", text.Clean(Happened(s.kind), maxName)), say(s.to))
		}
	}
	return says
}
