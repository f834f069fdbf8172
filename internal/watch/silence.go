package watch

import (
	"context"
	"time"

	"clbwatch/internal/incident"
)

// Silences keeps the silences that people make. It may be used by several runs at once.
type Silences interface {
	// List returns those that are active, and those that ended less than a day ago. Of those that known has and
	// that have not ended since, nothing is read anew.
	List(ctx context.Context, known []incident.Silence) ([]incident.Silence, error)
	// Make stores a silence under the next free number, and returns it with that as its ID.
	Make(ctx context.Context, s incident.Silence) (incident.Silence, error)
	// End ends one. It is an error that names it if there is none.
	End(ctx context.Context, id, by string, at time.Time) (incident.Silence, error)
}

// SilenceRequest is what somebody wants of silences. What, Incident or End is set, and only one of them.
type SilenceRequest struct {
	What     string        // a glob of load balancers
	Incident string        // the number of an incident, to acknowledge it
	End      string        // the number of a silence, to end it
	For      time.Duration // 0: DefaultSilence, or of an incident MaxAck
	All      bool
	Why, By  string
}

// SilenceAnswer says which silence was made or ended, and what it covers now.
type SilenceAnswer struct {
	Silence  incident.Silence `json:"silence"`
	CLBs     int              `json:"loadBalancers"`
	Backends int              `json:"backends"`
	Out      int              `json:"out"`    // of the backends, those that do not run or fail their health check
	Covers   string           `json:"covers"` // the same in words: "3 load balancers, 41 backends, 2 of them out"
}

// hearTime is how long a tick waits for the silences: those that it knows already go on without that.
const hearTime = 5 * time.Second

// heard is what one run learned about silences.
type heard struct {
	all []incident.Silence // that could be read
	err error              // why not all could be
}

// silences lists the silences while load balancers are read.
func (w *Watcher) silences(ctx context.Context, b base) <-chan heard {
	out := make(chan heard, 1)
	if w.Silences == nil {
		out <- heard{}
		return out
	}
	var known []incident.Silence
	if b.head != nil {
		known = b.head.Incidents.Silences
	}
	go func() {
		ctx, cancel := context.WithTimeout(ctx, hearTime)
		defer cancel()
		var h heard
		h.all, h.err = w.Silences.List(ctx, known)
		out <- h
	}()
	return out
}
