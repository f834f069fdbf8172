package incident

import (
	"slices"
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
	*i.Counts.Of(ch.Kind)++
	i.Changed = rec.At
	if _, crowded := i.Crowd[hash(ch.Backend.ID)]; crowded {
		i.Crowd.take(ch)
		return
	}
	at := slices.IndexFunc(i.Machines, func(m Machine) bool { return m.ID == ch.Backend.ID })
	if at < 0 {
		at = len(i.Machines)
		i.Machines = append(i.Machines, newMachine(ch))
	}
	i.Machines[at].take(ch, 0, Rules{})
	if len(i.Machines) > maxMachines {
		s := State{Roots: []*Root{&p.Root}}
		s.bound()
	}
}

// change is the change that a line of the history remembers, as far as it does.
func (p *Past) change(at time.Time) lb.Change {
	ch := lb.Change{Kind: p.Kind, At: at, Was: p.Was, Backend: lb.Backend{ID: p.ID, Name: p.Name, Status: p.Is}}
	if !p.Out.IsZero() {
		ch.Out = &lb.Out{Since: p.Out}
	}
	return ch
}
