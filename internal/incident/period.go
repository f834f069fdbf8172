package incident

import (
	"time"

	"clbwatch/internal/lb"
)

// Period is what happened since some time, by load balancer, as the history has it. It folds changes as open incidents do.
type Period struct {
	Since time.Time
	Root  Root // of one incident for each load balancer: its Rows and Tally say what the changes amount to
	by    map[string]*Incident
}

// Add takes in one line of the history; lines come in the order in which they happened.
func (p *Period) Add(rec Record) {
	if rec.Change == nil || rec.At.Before(p.Since) {
		return
	}
	if p.by == nil {
		p.by = make(map[string]*Incident)
	}
	key := rec.CLB.Key()
	i := p.by[key]
	if i == nil {
		i = &Incident{Key: key, Began: rec.At, Label: rec.CLB.Label, Title: rec.CLB.Title}
		p.by[key] = i
		p.Root.Incidents = append(p.Root.Incidents, i)
	}
	ch := rec.Change.change(rec.At)
	n := i.Counts.Of(ch.Kind)
	if n == nil {
		return // of another version
	}
	*n++
	i.Changed = rec.At
	p.Root.machines(i, []lb.Change{ch}, rec.At, Rules{})
	if len(i.Machines) > maxMachines {
		s := State{Roots: []*Root{&p.Root}}
		s.bound()
	}
}

// change is the change that a line of the history remembers, as far as it does.
func (p *Past) change(at time.Time) lb.Change {
	ch := lb.Change{Kind: p.Kind, At: at, Was: p.Was, Backend: lb.Backend{ID: p.ID, Name: p.Name, Status: p.Is}}
	switch p.Kind {
	case lb.Unhealthy, lb.Unbound, lb.Bound:
		ch.Part = &lb.Part{} // which checks or bindings is not remembered
	}
	if !p.Out.IsZero() {
		ch.Out = &lb.Out{Since: p.Out}
	}
	return ch
}
