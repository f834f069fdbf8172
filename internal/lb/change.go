package lb

import "time"

// Kind says what happened to a backend. The words are those of logs, docs and messages.
type Kind string

// The kinds of changes; nothing else about a backend is news.
const (
	Added       Kind = "added"
	Removed     Kind = "removed"
	LeftRunning Kind = "left running"
	Recovered   Kind = "recovered"
	Unbound     Kind = "unbound"       // from some of the listeners and rules it was bound to
	Bound       Kind = "bound"         // to more of them
	Unhealthy   Kind = "unhealthy"     // it runs and fails health checks that it passed
	Healthy     Kind = "healthy again" // it passes them all
)

// Change is one thing that happened to one backend.
type Change struct {
	Kind    Kind      `json:"kind"`
	Backend Backend   `json:"backend"`       // as read now; as last seen, if removed
	Was     Status    `json:"was,omitempty"` // the status before; LeftRunning and Recovered only
	At      time.Time `json:"at"`            // when the reading that shows it began
	// the last reading without it, where that is long before At (gap): it happened between the two
	After time.Time `json:"after,omitzero"`
	// Recovered and Healthy only: since when it had not been running, or healthy
	Out *Out `json:"out,omitempty"`
	// the weight that the backend takes away while it is out of service; 0 if it is not
	Lost int  `json:"-"`
	Ill  bool `json:"-"` // it ran and failed a health check before
	// which of its bindings were added or removed, on an application load balancer; of Unhealthy: which checks
	// it fails now, the new ones among them
	Part *Part `json:"part,omitempty"`
}

// Counts says how many changes of each kind there are.
type Counts struct {
	LeftRunning int `json:"leftRunning,omitempty"`
	Unhealthy   int `json:"unhealthy,omitempty"`
	Removed     int `json:"removed,omitempty"`
	Unbound     int `json:"unbound,omitempty"`
	Added       int `json:"added,omitempty"`
	Bound       int `json:"bound,omitempty"`
	Recovered   int `json:"recovered,omitempty"`
	Healthy     int `json:"healthy,omitempty"`
}

// Of is the count of one kind, to be read or changed; nil if there is no such kind.
func (c *Counts) Of(k Kind) *int {
	switch k {
	case LeftRunning:
		return &c.LeftRunning
	case Unhealthy:
		return &c.Unhealthy
	case Removed:
		return &c.Removed
	case Unbound:
		return &c.Unbound
	case Added:
		return &c.Added
	case Bound:
		return &c.Bound
	case Recovered:
		return &c.Recovered
	case Healthy:
		return &c.Healthy
	}
	return nil
}

// Total is the number of changes of all kinds.
func (c Counts) Total() (n int) {
	for k := range Rank {
		n += *c.Of(k)
	}
	return n
}

// Bad is the number of changes that cost something.
func (c Counts) Bad() int { return c.LeftRunning + c.Unhealthy + c.Removed + c.Unbound }

// Plus adds two counts.
func (c Counts) Plus(d Counts) Counts {
	for k := range Rank {
		*c.Of(k) += *d.Of(k)
	}
	return c
}

// Count counts changes by their kind.
func Count(changes []Change) (c Counts) {
	for _, ch := range changes {
		*c.Of(ch.Kind)++
	}
	return c
}
