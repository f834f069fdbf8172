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
	CLB      lb.CLB    `json:"loadBalancer"`
	Counts   lb.Counts `json:"counts"`   // of all that ticks found: a backend that came and went counts twice
	Backends []Change  `json:"backends"` // what matters most first; the most important few hundred
}

// Change is what happened to one backend in the time of the report, folded to what a person wants to know.
type Change struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"` // untrusted text
	Now     string    `json:"now"`            // what it amounts to, in a word
	At      time.Time `json:"at"`             // since when it is so
	Outages int       `json:"outages,omitempty"`
	OutFor  float64   `json:"outSeconds,omitempty"` // in all, of the outages that are over

	Backend string `json:"-"` // its name, and its id where others have the same name; Clean
	Says    []Span `json:"-"` // such as "out 04:41 – 04:53, back"
}

// ChangesTitle says what time the changes are about; nil where the Note says already that nothing is known.
func (r Report) ChangesTitle() []Span {
	changed := "Changed"
	if len(r.Changed) == 0 {
		changed = "Nothing changed"
	}
	switch {
	case r.ChangesFrom.IsZero() && r.Note != "":
		return nil
	case r.ChangesFrom.IsZero():
		return []Span{words("What changed is not known: no tick has run yet")}
	}
	return []Span{words("%s in the last %s", changed, text.Duration(r.At.Sub(r.Since)))}
}

// changed are the changes of a period, of the load balancers of the report, worst first as WorstFirst.
func (r Report) changed(past *incident.Period) (all []PoolChanges) {
	found := make(map[string]*incident.Incident)
	for _, i := range past.Root.Incidents {
		found[i.Key] = i
	}
	for _, p := range r.WorstFirst() {
		if i := found[p.CLB.Key()]; i != nil {
			all = append(all, PoolChanges{p.CLB, i.Counts, changesOf(i, p)})
		}
	}
	return all
}

// changesOf are the changes of one load balancer, by backend.
func changesOf(i *incident.Incident, p Pool) []Change {
	rows := (&incident.Root{Incidents: []*incident.Incident{i}}).Rows()
	same := make(map[string]int)
	for _, row := range rows {
		same[name(row)]++
	}
	out := make(map[string]bool)
	for _, b := range slices.Concat(p.NotRunning, p.Unhealthy) {
		out[b.ID] = true
	}
	changes := make([]Change, 0, len(rows))
	for _, row := range rows {
		known := p.Err == "" && (row.Kind != incident.Failing || p.HealthErr == "")
		c := Change{ID: row.ID, Name: row.Name, Now: nowWords[row.Kind], At: row.Since, Outages: row.Outages,
			OutFor: row.OutFor.Seconds(), Backend: name(row), Says: says(row, !known || out[row.ID])}
		if id := text.Clean(row.ID, maxName); same[c.Backend] > 1 && row.Kind != incident.Replaced {
			c.Backend += " " + id
		}
		changes = append(changes, c)
	}
	return changes
}

func name(row incident.Row) string { return BackendName(lb.Backend{ID: row.ID, Name: row.Name}) }

// nowWords are what the JSON calls kinds of rows.
var nowWords = map[incident.RowKind]string{
	incident.Stopped: "stopped", incident.Failing: "failing", incident.Removed: "removed",
	incident.Replaced: "replaced",
	incident.Partly:   "rebound", incident.Added: "added", incident.CameAndWent: "came and went",
	incident.Recovered: "recovered", incident.Back: "back",
}

// says is what happened to a machine, as a sentence. out tells whether it is still out, if it was last.
func says(row incident.Row, out bool) []Span {
	at := func(t time.Time) Span {
		return Span{At: t, Near: row.Since.Sub(t).Abs() < 12*time.Hour && !t.Equal(row.Since)}
	}
	is, back := "out", "back"
	if row.Fails != nil {
		is = "unhealthy"
	}
	times := ""
	if row.Outages > 1 {
		times = fmt.Sprintf("%d times, last ", row.Outages)
	}
	switch row.Kind {
	case incident.Stopped, incident.Failing:
		if out {
			return []Span{words("%s %ssince ", is, times), moment(row.OutAt)}
		}
		return []Span{words("%s %s", is, times), moment(row.OutAt)}
	case incident.Recovered:
		if row.OutAt.IsZero() || row.OutAt.Equal(row.Since) { // since when it had been out is not known
			return []Span{words("running since "), moment(row.Since)}
		}
		return []Span{words("%s %s", is, times), moment(row.OutAt), words(" – "), at(row.Since),
			words(", %s", back)}
	case incident.Back:
		if row.Outages == 0 {
			return []Span{words("removed, and added again "), moment(row.Since)}
		}
		return []Span{words("%s %s", is, times), moment(row.OutAt), words(" – "),
			{At: row.Since, Near: row.Since.Sub(row.OutAt) < 12*time.Hour},
			words(", %s", back)}
	case incident.Added:
		if row.Status != lb.Running && row.Status != 0 {
			return []Span{words("added "), moment(row.Since), words(" %s", row.Status)}
		}
		return []Span{words("added "), moment(row.Since)}
	case incident.CameAndWent:
		return []Span{words("added "), moment(row.First), words(", removed "), at(row.Since)}
	case incident.Removed:
		return []Span{words("removed "), moment(row.Since)}
	case incident.Replaced:
		return []Span{words("replaced "), moment(row.Since)}
	}
	if row.Bound == nil {
		return []Span{words("partly unbound "), moment(row.Since)}
	}
	return []Span{words("bound to other listeners "), moment(row.Since)}
}
