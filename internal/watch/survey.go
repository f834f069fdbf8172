package watch

import (
	"context"
	"fmt"
)

// Standing is how one load balancer stands now.
type Standing struct {
	CLB        CLB
	Backends   int       // how many are bound
	Running    int       // how many of those run
	NotRunning []Backend // the others, by ID, with Out where the state knows it
	Err        error     // why it could not be read; all else is zero then
}

// Survey reads every load balancer and says how it stands. It changes no state. Of the state it needs only since when
// backends are out: if that cannot be had, the standings come without it, and the error says why.
func (w *Watcher) Survey(ctx context.Context) ([]Standing, error) {
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
		if s.Err == nil && s.Backends == 0 {
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
	return out, w.recall(recallCtx, out)
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
		out[i].Backends, out[i].Running = len(r.Backends), running(r.Backends)
		for _, b := range r.Backends {
			if !b.Running() {
				out[i].NotRunning = append(out[i].NotRunning, b)
			}
		}
	})
}

// recall adds to standings since when backends are out.
func (w *Watcher) recall(ctx context.Context, standings []Standing) error {
	head, err := w.Store.Load(ctx)
	if err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	old, _, err := w.snapshot(ctx, head)
	if err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	defer old.close()
	for _, s := range standings {
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
