package watch

import (
	"context"
	"fmt"
	"iter"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/timeline"
)

// keptFor is how long the history goes back, at least: a report that asks for more gets no more.
const keptFor = 90 * 24 * time.Hour

// History hands on each line of the history in the time before, oldest first, and then what goes on:
// incidents that have not left the state, of which Ended is zero if they are open, and what is not seen now.
// now is the time by the store's clock. It holds no more in memory than a segment of the history of each
// shard takes, asks the cloud nothing, and changes no state. What cannot be read is left out, and the first
// reason is the error that comes at the end. An error of take ends it.
func (w *Watcher) History(ctx context.Context, back time.Duration,
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
	var damage error
	for r, err := range lines(all, all.InOrder(ctx, now.Add(-back)), now) {
		if err != nil {
			if damage == nil {
				damage = fmt.Errorf("read the history: %w", err)
			}
			continue
		}
		if c, ok := names[r.CLB.Key()]; ok && r.CLB.Label == "" {
			r.CLB.Label = c.Label
		}
		if err := take(r, now); err != nil {
			return err
		}
	}
	return damage
}

// lines are those of the history, and then what goes on.
func lines(all state.Level, history iter.Seq2[incident.Record, error],
	now time.Time) iter.Seq2[incident.Record, error] {
	return func(yield func(incident.Record, error) bool) {
		for r, err := range history {
			if !yield(r, err) {
				return
			}
		}
		for i, h := range all.Heads {
			if h == nil {
				continue
			}
			so := h.Incidents.SoFar(now)
			if last := h.Incidents.At; !last.IsZero() && now.Sub(last) >= gap {
				shard := state.Shard{N: i + 1, Of: all.Of}
				so = append(so, incident.Record{At: now, Shard: shard.String(), Unseen: &last})
			}
			for _, r := range so {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// remember adds to a survey what changed and how everything stood since a time, until now. cell is how long
// each cell of the timeline is; 0 lets timeline.CellOf choose.
func (found *Survey) remember(ctx context.Context, all state.Level, since, now time.Time,
	cell time.Duration) (err error) {
	from := since
	if oldest := now.Add(-keptFor); from.Before(oldest) {
		from = oldest
	}
	if cell == 0 {
		cell = timeline.CellOf(now.Sub(from))
	}
	past := timeline.New(from, now, cell, state.OwnedBy)
	found.Past, err = incident.PeriodOf(since, func(yield func(incident.Record, error) bool) {
		for r, err := range lines(all, all.Read(ctx, since), now) {
			if err == nil {
				past.Take(r)
			}
			if !yield(r, err) {
				return
			}
		}
	})
	if err != nil { // what is left is there all the same
		return fmt.Errorf("read the history: %w", err)
	}
	var standing []timeline.Standing
	for _, s := range found.Standings {
		if s.Err == nil {
			standing = append(standing, timeline.Standing{CLB: s.CLB, Capacity: s.Capacity})
		}
	}
	found.Timeline = past.Done(standing)
	return nil
}
