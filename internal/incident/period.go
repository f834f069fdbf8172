package incident

import (
	"cmp"
	"iter"
	"time"

	"clbwatch/internal/lb"
)

// Period is what happened since some time, by load balancer, as the history has it.
type Period struct {
	Since time.Time
	Root  Root // of one incident for each load balancer: its Rows and Tally say what the changes amount to
}

// maxFolded is how many lines of the history are folded at once: each time, all machines are indexed anew.
const maxFolded = 4096

// PeriodOf folds lines of the history, in the order in which they happened, as open incidents fold changes.
// Lines that cannot be had are left out, and the first reason is returned with what is left.
func PeriodOf(since time.Time, lines iter.Seq2[Record, error]) (p Period, err error) {
	p.Since = since
	at := make(map[string]*Incident)
	changes := make(map[string][]lb.Change)
	n := 0
	for rec, damage := range lines {
		if damage != nil {
			err = cmp.Or(err, damage)
			continue
		}
		if rec.Change == nil || rec.At.Before(since) {
			continue
		}
		key := rec.CLB.Key()
		if at[key] == nil {
			at[key] = &Incident{Key: key, Began: rec.At, Label: rec.CLB.Label, Title: rec.CLB.Title}
			p.Root.Incidents = append(p.Root.Incidents, at[key])
		}
		if count := at[key].Counts.Of(rec.Change.Kind); count != nil { // or it is a kind of another version
			*count++
			changes[key] = append(changes[key], rec.Change.Change(rec.At))
		}
		if n++; n%maxFolded == 0 {
			p.fold(changes)
		}
	}
	p.fold(changes)
	return p, err
}

// fold takes in changes of load balancers, and forgets them.
func (p *Period) fold(changes map[string][]lb.Change) {
	machines := 0
	for _, i := range p.Root.Incidents {
		for _, ch := range changes[i.Key] {
			i.Changed = ch.At
		}
		p.Root.machines(i, changes[i.Key], i.Changed, Rules{})
		machines += len(i.Machines)
	}
	clear(changes)
	if machines > maxMachines {
		s := State{Roots: []*Root{&p.Root}}
		s.bound()
	}
}

// Change is the change that a line of the history remembers, as far as it does.
func (p *Past) Change(at time.Time) lb.Change {
	ch := lb.Change{Kind: p.Kind, At: at, Was: p.Was, Backend: lb.Backend{ID: p.ID, Name: p.Name, Status: p.Is}}
	ch.Lost, ch.Ill, ch.Part = p.Lost, p.Ill, p.Part
	switch p.Kind {
	case lb.Unhealthy, lb.Unbound, lb.Bound:
		ch.Part = cmp.Or(p.Part, &lb.Part{})
	}
	if p.Out.IsZero() {
		return ch
	}
	out := &lb.Out{Since: p.Out, AtLeast: p.More, New: p.New}
	switch p.Kind {
	case lb.Removed, lb.Unbound, lb.Bound: // see outBefore
		ch.Backend.Out = out
	default:
		ch.Out = out
	}
	return ch
}
