package watch

import (
	"context"
	"time"

	"clbwatch/internal/incident"
)

// hearTime is how long a tick waits for the silences: those that it knows already go on without that.
const hearTime = 5 * time.Second

// heard is what one run learned about silences.
type heard struct {
	all []incident.Silence // that could be read
	err error              // why not all could be
}

// hear lists the silences while load balancers are read.
func (w *Watcher) hear(ctx context.Context, b base) <-chan heard {
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
