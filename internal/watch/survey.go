package watch

import (
	"context"
	"fmt"
	"time"
)

// Survey is how everything stands now, and what the state knows of how it came to that.
type Survey struct {
	Standings []Standing // in the order of Watcher.CLBs
	Log       []Past     // the last changes that ticks found, oldest first
	LogFrom   time.Time  // the log has every change since; zero if there is no state
}

// Standing is how one load balancer stands now.
type Standing struct {
	CLB CLB
	Capacity
	NotRunning []Backend // by ID, with Out where the state knows it
	Backends   []Backend // the first of all, by ID, without Out; at most maxListed of one, and none where there are many load balancers
	Err        error     // why it could not be read; all else is zero then
}

// Bounds of a survey: it must not hold a million backends to show a few hundred.
const (
	maxListed     = 1000 // backends of one load balancer
	maxListedCLBs = 100  // beyond it no backends are listed but those not running
)

// Survey reads every load balancer and says how it stands. It changes no state. Of the state it needs only what was
// before: if that cannot be had, the standings come without it, and the error says why.
func (w *Watcher) Survey(ctx context.Context) (Survey, error) {
	all := make([]int, len(w.CLBs))
	for i := range all {
		all[i] = i
	}
	out := make([]Standing, len(w.CLBs))
	t := w.schedule(ctx)
	readCtx, cancel := context.WithDeadline(ctx, t.readUntil) // or no time is left to tell
	defer cancel()
	w.stand(readCtx, all, out)
	var empty []int
	for i, s := range out {
		if s.Err == nil && s.Total == 0 {
			empty = append(empty, i)
		}
	}
	// As in a tick: "no backends" is believed when it is said twice.
	if len(empty) > 0 {
		if err := w.Sleep(readCtx, confirmAfter); err != nil {
			for _, i := range empty {
				out[i] = Standing{CLB: w.CLBs[i], Err: unconfirmed(err)}
			}
		} else {
			w.stand(readCtx, empty, out)
		}
	}
	recallCtx, cancel2 := context.WithDeadline(ctx, t.readUntil.Add(t.sendUntil.Sub(t.readUntil)/2))
	defer cancel2()
	found := Survey{Standings: out}
	err := w.recall(recallCtx, &found)
	return found, err
}

// stand reads some load balancers.
func (w *Watcher) stand(ctx context.Context, which []int, out []Standing) {
	each(which, func(i int) {
		out[i] = Standing{CLB: w.CLBs[i]}
		r, err := w.Source.Read(ctx, w.CLBs[i], "")
		if err != nil {
			out[i].Err = err
			return
		}
		out[i].Capacity = capacity(r.Backends)
		if len(w.CLBs) <= maxListedCLBs {
			out[i].Backends = r.Backends[:min(len(r.Backends), maxListed)]
		}
		for _, b := range r.Backends {
			if !b.Running() {
				out[i].NotRunning = append(out[i].NotRunning, b)
			}
		}
	})
}

// recall adds what the state knows: since when backends are out, and the last changes.
func (w *Watcher) recall(ctx context.Context, found *Survey) error {
	head, err := w.Store.Load(ctx)
	if err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	old, _, err := w.snapshot(ctx, head)
	if err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	defer old.close()
	if head != nil {
		found.Log, found.LogFrom = head.Log, head.LogFrom
	}
	for _, s := range found.Standings {
		line, err := old.seek(s.CLB.Key())
		if err != nil {
			return err
		}
		if line == nil || len(s.NotRunning) == 0 {
			continue
		}
		before, err := decodeRecord(line)
		if err != nil {
			return err
		}
		since := make(map[string]*Out, len(before))
		for _, b := range before {
			since[b.ID] = b.Out
		}
		for i := range s.NotRunning {
			s.NotRunning[i].Out = since[s.NotRunning[i].ID]
		}
	}
	return nil
}
