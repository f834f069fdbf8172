package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/timeline"
)

// Survey is how everything stands now, and what the state knows of how it came to that.
type Survey struct {
	Silences []incident.Silence // that are active; see ListSilences
	// why the silences that people made could not be listed; nil if they could
	SilencesErr error

	Standings []Standing          // by key, then the regions that could not be searched
	Open      []incident.Document // what is open, as the newest heads have it
	Past      incident.Period     // what changed since the time that was asked for
	Timeline  *timeline.Past      // how everything stood since then; nil if that is not known
	// there is a state, and all of its history could be read, so that Past and Timeline are complete
	Known bool

	// Of what was not read now, but stored by ticks: when it was stored, and how long ago that is, by the
	// store's clock. Else zero.
	At  time.Time
	Age time.Duration
}

// Standing is how one load balancer stands now. Where a region could not be searched for load balancers, it
// is a Standing too: CLB.ID is then what CLB_DISCOVER says of it, such as "ap-guangzhou/prod-*", and Err says
// why.
type Standing struct {
	CLB  lb.CLB
	Kind lb.Type
	lb.Capacity
	NotRunning []lb.Backend // by ID, with Out where the state knows it
	Unknown    []lb.Backend // whose status the cloud does not tell now; by ID
	// what is odd about rows of the answer, such as "ins-2 has no RunFlag"; the first few
	Odd       []string
	Functions int          // cloud functions that are bound: they are not watched
	Ill       []lb.Backend // running, and failing health checks; by ID, with Ill where the state knows it
	// the first of all, by ID, without Out; at most maxListed of one, and none where there are many load
	// balancers
	Backends  []lb.Backend
	HealthErr error // why the health of its backends could not be read, where it should have been
	Err       error // why it could not be read; all else is zero then
}

// Bounds of a survey: it must not hold a million backends to show a few hundred.
const (
	maxListed     = 1000 // backends of one load balancer
	maxListedCLBs = 100  // beyond it no backends are listed but those not running
)

// Survey reads every load balancer and says how it stands. It changes no state. From the state it takes only
// what happened since a time; if it cannot, the standings come without that, and the error says why. cell is
// how long each cell of the timeline is; 0 lets timeline.CellOf choose.
func (w *Watcher) Survey(ctx context.Context, since time.Time, cell time.Duration) (Survey, error) {
	t := w.schedule(ctx)
	readCtx, cancel := context.WithDeadline(ctx, t.readUntil) // or no time is left to tell
	defer cancel()
	var known base
	if len(w.Discover) > 0 {
		// for regions that cannot be listed now; recall says what is wrong with the state
		known, _ = w.load(readCtx)
	}
	ls := w.listAll(readCtx, known, w.Now(), 0)
	ls.wait()
	r := w.enlist(readCtx, known, ls, nil)
	all := make([]int, len(r.clbs))
	for i := range all {
		all[i] = i
	}
	out := make([]Standing, len(r.clbs))
	for i, c := range r.clbs {
		out[i].CLB = c
	}
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
				out[i] = Standing{CLB: r.clbs[i], Err: advice.Add(
					fmt.Errorf("it reads as empty, and there was no time to confirm it: %w", err), DoTime)}
			}
		} else {
			w.stand(readCtx, empty, out)
		}
	}
	found := Survey{Standings: w.standing(readCtx, out, r), Past: incident.Period{Since: since}}
	recallCtx, cancel2 := context.WithDeadline(ctx, t.readUntil.Add(t.sendUntil.Sub(t.readUntil)/2))
	defer cancel2()
	made, silencesErr := w.madeSilences(recallCtx) // first: the history may take all the time
	heads, err := w.recall(recallCtx, &found, cell)
	found.Silences, found.SilencesErr = w.activeSilences(made, w.Store.Now(), heads), silencesErr
	for _, s := range w.Discover {
		if err := r.unlistedErr(s); err != nil {
			found.Standings = append(found.Standings, Standing{CLB: lb.CLB{Region: s.Region, ID: s.String()},
				Err: err})
		}
	}
	return found, err
}

// standing leaves out what was discovered once and is deleted now: no list has it, nor the reading, nor the
// cloud when it is asked for it.
func (w *Watcher) standing(ctx context.Context, all []Standing, r roster) []Standing {
	var doubtful []lb.CLB
	for _, s := range all {
		if errors.Is(s.Err, lb.ErrNotFound) && r.scope[s.CLB.Key()] != "" {
			doubtful = append(doubtful, s.CLB)
		}
	}
	gone := make(map[string]bool)
	for _, c := range w.deleted(ctx, doubtful, func(lb.CLB) {}) {
		gone[c.Key()] = true
	}
	return slices.DeleteFunc(all, func(s Standing) bool { return gone[s.CLB.Key()] })
}

// stand reads some load balancers.
func (w *Watcher) stand(ctx context.Context, which []int, out []Standing) {
	w.each(ctx, which, func(ctx context.Context, i int) error {
		out[i] = Standing{CLB: out[i].CLB}
		r, err := w.Source.Read(ctx, out[i].CLB, "")
		if err != nil {
			out[i].Err = given(ctx, err)
			return err
		}
		lb.Settle(nil, r.Backends, false)
		out[i].Kind, out[i].HealthErr, out[i].Odd, out[i].Functions = r.Kind, r.HealthErr, r.Odd,
			max(r.Functions, 0)
		out[i].has(r.Backends, len(out))
		return nil
	})
}

// has takes in the backends of one of so many load balancers.
func (s *Standing) has(backends []lb.Backend, of int) {
	for j := range backends {
		switch b := &backends[j]; {
		case b.Stopped():
			b.Failing = nil // it fails everything
			s.NotRunning = append(s.NotRunning, *b)
		case b.Status == lb.Unknown:
			s.Unknown = append(s.Unknown, *b)
		case len(b.Failing) > 0:
			s.Ill = append(s.Ill, *b)
		}
	}
	s.Capacity = lb.CapacityOf(backends)
	if of <= maxListedCLBs {
		s.Backends = backends[:min(len(backends), maxListed)]
	}
}

// recall adds what the state knows: since when backends are out, what is open, and what happened. Where it is
// divided into shards, all of them are asked, and their heads returned.
func (w *Watcher) recall(ctx context.Context, found *Survey, cell time.Duration) ([]*state.Head, error) {
	all, err := state.Current(ctx, w.Store, w.States)
	if err != nil {
		return nil, err
	}
	named := make(map[string]lb.CLB, len(found.Standings))
	for _, s := range found.Standings {
		named[s.CLB.Key()] = s.CLB
	}
	name := func(key string) lb.CLB {
		if c, ok := named[key]; ok {
			return c
		}
		return lb.ParseKey(key)
	}
	known := false
	for i, head := range all.Heads {
		if head == nil {
			continue
		}
		known = true
		found.opens(head, name)
		if err := recallShard(ctx, head, all.Stores[i], found); err != nil {
			return all.Heads, err
		}
	}
	if err := found.remember(ctx, all, found.Past.Since, w.Store.Now(), cell); err != nil {
		return all.Heads, err
	}
	if found.Known = known; !known {
		found.Timeline = nil
	}
	return all.Heads, nil
}

// opens adds what is open, as a head has it.
func (found *Survey) opens(head *state.Head, name func(key string) lb.CLB) {
	for _, r := range head.Incidents.Roots {
		if r.Open() {
			found.Open = append(found.Open, head.Incidents.Document(r, name))
		}
	}
}

// recallShard adds since when backends are out, as the snapshot of one shard knows it.
func recallShard(ctx context.Context, head *state.Head, store state.Store, found *Survey) error {
	old, err := state.OpenSnapshot(ctx, store, head)
	if err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	defer old.Close()
	var since []func() // sets since when some are out
	for i := range found.Standings {
		s := found.Standings[i] // in the state of one shard there is nothing of another's
		line, err := old.Seek(s.CLB.Key())
		if err != nil {
			return err
		}
		if line == nil || len(s.NotRunning)+len(s.Ill) == 0 {
			continue
		}
		before, err := state.DecodePool(line)
		if err != nil {
			return err
		}
		was := make(map[string]lb.Backend, len(before))
		for _, b := range before {
			was[b.ID] = b
		}
		since = append(since, func() {
			for i := range s.NotRunning {
				s.NotRunning[i].Out = was[s.NotRunning[i].ID].Out
			}
			for i := range s.Ill {
				s.Ill[i].Ill = was[s.Ill[i].ID].Ill
			}
		})
	}
	if err := old.Drain(); err != nil { // ticks fail by it, and nothing in it may be believed
		return err
	}
	for _, set := range since {
		set()
	}
	return nil
}
