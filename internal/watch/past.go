package watch

import (
	"context"
	"fmt"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// Incidents hands on each incident that left the state in the time before, in that order, and then those that
// are open, of which Ended is zero. now is the time by the store's clock. It holds no more in memory than a
// segment of the history takes, asks the cloud nothing, and changes no state. What cannot be read is left out,
// and the first reason is the error that comes at the end. An error of take ends it.
func (w *Watcher) Incidents(ctx context.Context, back time.Duration,
	take func(r incident.Record, now time.Time) error) error {
	all, err := w.current(ctx)
	if err != nil {
		return err
	}
	now := w.Store.Now()
	names := make(map[string]lb.CLB) // of the settings: what was found carries its name
	for _, c := range w.CLBs {
		names[c.Key()] = c
	}
	hand := func(r incident.Record) error {
		if r.Closed == nil {
			return nil
		}
		if c, ok := names[r.CLB.Key()]; ok && r.CLB.Label == "" {
			r.CLB.Label = c.Label
		}
		return take(r, now)
	}
	var damage error
	for r, err := range all.Read(ctx, now.Add(-back)) {
		if err != nil {
			if damage == nil {
				damage = fmt.Errorf("read the history: %w", err)
			}
			continue
		}
		if err := hand(r); err != nil {
			return err
		}
	}
	for _, h := range all.Heads {
		if h == nil {
			continue
		}
		for _, r := range h.Incidents.Roots {
			for _, rec := range r.SoFar(now) {
				if err := hand(rec); err != nil {
					return err
				}
			}
		}
	}
	return damage
}
