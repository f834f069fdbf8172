package app

import (
	"context"
	"errors"
	"sync"

	"clbwatch/internal/config"
	"clbwatch/internal/state"
	"clbwatch/internal/store"
)

// openRoot opens the root of the state, where silences are, whatever the shard. It returns the store that the
// shard uses, too: own, and for the first of several shards one that collects silences.
func (p *Process) openRoot(cfg *config.Config, own *store.Place) (root *store.Place,
	shard state.Store, err error) {
	if cfg.Shard.Of <= 1 {
		return own, own, nil
	}
	if root, err = p.openStore(cfg, state.Shard{}); err != nil {
		return nil, nil, err
	}
	if cfg.Shard.First() {
		return root, firstShard{own, root}, nil
	}
	return root, own, nil
}

// firstShard is the state of the first of several shards. Silences lie at the root of the state, where no
// shard collects: the first one does it for all.
type firstShard struct {
	*store.Place
	root *store.Place
}

// Collect deletes what is old, of the shard and of silences.
func (s firstShard) Collect(ctx context.Context) error {
	return errors.Join(s.Place.Collect(ctx), s.root.CollectRoot(ctx))
}

// past is what a process knows from one invocation to the next about silences of the last state that it
// opened.
type past struct {
	mu    sync.Mutex
	place string
	past  *state.Past
}

// of returns what is known about the state in a place.
func (p *past) of(place string) *state.Past {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.past == nil || p.place != place {
		p.place, p.past = place, new(state.Past)
	}
	return p.past
}
