package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"

	"clbwatch/internal/advice"
	"clbwatch/internal/state"
	"clbwatch/internal/text"
)

// maxNamed is how many shards an error names.
const maxNamed = 5

// State says what is there of the state, of each of its shards. It reads all of it, and changes nothing.
func (a *App) State(ctx context.Context) (all []*state.Inventory, err error) {
	err = a.each(ctx, func(s state.Shard, in state.Inspector) error {
		v, err := state.Inspect(ctx, in, true)
		if err == nil {
			v.Shard, v.Place = s, path.Join(a.cfg.State.String(), below(s))
			all = append(all, v)
		}
		return err
	})
	if len(all) > 0 {
		a.addSilences(ctx, all[0])
	}
	return all, err
}

// addSilences adds the silences to what is there of the state.
func (a *App) addSilences(ctx context.Context, v *state.Inventory) {
	all, err := a.silences.List(ctx, nil)
	if err != nil {
		v.Damage = append(v.Damage, state.Damage{What: "silences", Err: err})
	}
	for _, s := range all {
		if s.Active(v.At) {
			v.Silences = append(v.Silences, s)
		}
	}
}

// Take makes the state that of whichever function ticks next. It returns the shards that it took, and the
// functions that were at work with them, each once.
func (a *App) Take(ctx context.Context) (took []state.Shard, was state.Lineage, err error) {
	last := make(map[string]int) // in was, by name
	err = a.each(ctx, func(s state.Shard, in state.Inspector) error {
		had, err := state.Take(ctx, in, "", rand.Text())
		if err != nil {
			return err
		}
		took = append(took, s)
		for _, c := range had {
			if i, ok := last[c.Name]; !ok {
				last[c.Name] = len(was)
				was = append(was, c)
			} else if c.Alive.After(was[i].Alive) {
				was[i].Alive = c.Alive
			}
		}
		return nil
	})
	return took, was, err
}

// Repair goes back to the newest head that can be read, in each shard where that is not the newest.
func (a *App) Repair(ctx context.Context) (all []state.Repaired, err error) {
	err = a.each(ctx, func(s state.Shard, in state.Inspector) error {
		h, from, err := state.Repair(ctx, in, rand.Text())
		if errors.Is(err, state.ErrSound) {
			h, from, err = nil, 0, nil
		}
		if err == nil {
			all = append(all, state.Repaired{Shard: s, N: h.Number(), From: from})
		}
		return err
	})
	return all, err
}

// each does something with the state of each shard. The error is that of all where it failed, those together
// that say the same.
func (a *App) each(ctx context.Context, do func(state.Shard, state.Inspector) error) error {
	shards, err := a.shards(ctx)
	if err != nil {
		return err
	}
	var failed []advice.Group
	for _, s := range shards {
		in, err := a.inspector(s)
		if err == nil {
			err = do(s, in)
		}
		if err != nil {
			failed = advice.Put(failed, len(shards), s.String(), err)
		}
	}
	var errs []error
	for _, g := range failed {
		switch {
		case len(shards) == 1 && shards[0].Of <= 1:
			errs = append(errs, g.Err)
		case len(g.Names) == 1:
			errs = append(errs, fmt.Errorf("shard %s: %w", g.Names[0], g.Err))
		default:
			errs = append(errs, fmt.Errorf("shards %s: %w", text.Few(g.Names, maxNamed), g.Err))
		}
	}
	return errors.Join(errs...)
}

// shards are those that the state is divided into now: the one that the settings name, if its state is there
// and did not go over to another number of shards; else all there are. state.Current follows the state in the
// same way and stops where it is damaged, which is what people want to see here.
func (a *App) shards(ctx context.Context) ([]state.Shard, error) {
	h, err := a.store.Load(ctx)
	own := state.Shard{N: max(a.cfg.Shard.N, 1), Of: max(a.cfg.Shard.Of, 1)}
	if err != nil || h != nil && h.Moved == 0 || h == nil && own.Of == 1 {
		return []state.Shard{own}, nil // whoever looks at it meets the error again
	}
	of, era := 1, 0
	for range state.MaxShards {
		next, nextEra, there := 0, era, false
		for _, s := range parts(of) {
			in, err := a.inspector(s)
			if err != nil {
				return nil, err
			}
			switch h, err := in.Load(ctx); {
			case errors.Is(err, state.ErrDamaged):
				there = true
			case err != nil:
				return nil, fmt.Errorf("load state of shard %s: %w", s, err)
			case h == nil:
			case h.Era > era: // else it is left from when the state was here before
				there = true
				if h.Moved != 0 {
					next, nextEra = h.Moved, max(nextEra, h.Era)
				}
			}
		}
		if of == 1 && !there {
			return []state.Shard{own}, nil // nothing was ever committed
		}
		if next == 0 {
			break
		}
		of, era = next, nextEra
	}
	return parts(of), nil
}

// parts are all shards of so many.
func parts(of int) (all []state.Shard) {
	for n := range of {
		all = append(all, state.Shard{N: n + 1, Of: of})
	}
	return all
}

// inspector opens the state of a shard.
func (a *App) inspector(s state.Shard) (state.Inspector, error) {
	opened, err := a.watcher.States(s)
	if err != nil {
		return nil, err
	}
	in, ok := opened.(state.Inspector)
	if !ok {
		return nil, fmt.Errorf("the state of shard %s cannot be inspected", s)
	}
	return in, nil
}
