package clb

import (
	"context"
	"sync"
	"time"
)

const (
	// maxGather is how long a question waits for others: until all readers wait, but no longer than this, so that a load
	// balancer that hangs holds up no other.
	maxGather = time.Second
	// idleFor is for how long all must wait: readers begin one after another.
	idleFor = 10 * time.Millisecond
)

// crowd is the readers of one Client. What they ask one by one is put together into calls for many.
type crowd struct {
	sleep func(context.Context, time.Duration) error

	mu              sync.Mutex
	active, waiting int
	looking         bool                // whether all still wait in a moment
	open            map[*gathering]bool // calls that are being put together
}

// gathering is one call for several ids.
type gathering struct {
	ids  []string
	run  func()        // makes the call; called once
	done chan struct{} // closed when run has returned
}

func (c *crowd) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.active++
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.active--
	c.flushIfIdle()
}

// flushIfIdle starts all calls if there is nobody left who could add to them, now and in a moment. The caller holds c.mu.
func (c *crowd) flushIfIdle() {
	if c.waiting < c.active || c.looking || len(c.open) == 0 {
		return
	}
	c.looking = true
	go func() {
		_ = c.sleep(context.Background(), idleFor) // it has no error
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.looking = false; c.waiting < c.active {
			return // who is not idle any more looks again
		}
		for g := range c.open {
			c.start(g)
		}
	}()
}

// start starts a call, unless it was started. The caller holds c.mu.
func (c *crowd) start(g *gathering) {
	if !c.open[g] {
		return
	}
	delete(c.open, g)
	go func() {
		defer close(g.done)
		g.run()
	}()
}

// wait waits for calls, or for ctx to end.
func (c *crowd) wait(ctx context.Context, calls []*gathering) error {
	c.mu.Lock()
	c.waiting++
	c.flushIfIdle()
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting--
	}()
	for _, g := range calls {
		select {
		case <-g.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// questions are asked for many ids at once, and each only once.
type questions[V any] struct {
	crowd *crowd
	max   int // ids in one call
	// ask makes one call. What is not in the answer is absent. retryAlone reports whether an error is about one of the ids.
	ask        func(ctx context.Context, region string, ids []string) (map[string]V, error)
	retryAlone func(error) bool

	// Guarded by crowd.mu, by region.
	open map[string]*group[V]            // the call that is being put together
	in   map[string]map[string]*group[V] // in which call each id is
}

// group is one call for several ids, and what it answered: to be read once it is done.
type group[V any] struct {
	gathering
	answers map[string]answered[V]
}

type answered[V any] struct {
	value V
	found bool
	err   error
}

func newQuestions[V any](crowd *crowd, most int, ask func(context.Context, string, []string) (map[string]V, error), retryAlone func(error) bool) *questions[V] {
	return &questions[V]{crowd: crowd, max: most, ask: ask, retryAlone: retryAlone, open: make(map[string]*group[V]), in: make(map[string]map[string]*group[V])}
}

// get returns what is known of some ids; what is not in it is absent.
func (q *questions[V]) get(ctx context.Context, region string, ids []string) (map[string]V, error) {
	groups := make([]*group[V], len(ids))
	var calls []*gathering
	q.crowd.mu.Lock()
	for i, id := range ids {
		g := q.in[region][id]
		if g == nil {
			g = q.join(ctx, region, id)
		}
		if groups[i] = g; i == 0 || groups[i-1] != g {
			calls = append(calls, &g.gathering)
		}
	}
	q.crowd.mu.Unlock()
	if err := q.crowd.wait(ctx, calls); err != nil {
		return nil, err
	}
	found := make(map[string]V, len(ids))
	for i, id := range ids {
		a := groups[i].answers[id]
		if a.err != nil {
			return nil, a.err
		}
		if a.found {
			found[id] = a.value
		}
	}
	return found, nil
}

// join adds an id to the call that is being put together. The caller holds crowd.mu.
func (q *questions[V]) join(ctx context.Context, region, id string) *group[V] {
	g := q.open[region]
	if g == nil || !q.crowd.open[&g.gathering] {
		g = &group[V]{gathering: gathering{done: make(chan struct{})}, answers: make(map[string]answered[V])}
		g.run = func() { q.fetch(ctx, region, g.ids, g.answers) }
		q.open[region] = g
		q.crowd.open[&g.gathering] = true
		go func() {
			_ = q.crowd.sleep(ctx, maxGather) // if ctx ended, so does the call
			q.crowd.mu.Lock()
			defer q.crowd.mu.Unlock()
			q.crowd.start(&g.gathering)
		}()
	}
	if q.in[region] == nil {
		q.in[region] = make(map[string]*group[V])
	}
	q.in[region][id] = g
	if g.ids = append(g.ids, id); len(g.ids) == q.max {
		q.crowd.start(&g.gathering)
	}
	return g
}

// fetch makes the call and keeps the answers. Where one id spoils it for the others, it is found by halves.
func (q *questions[V]) fetch(ctx context.Context, region string, ids []string, answers map[string]answered[V]) {
	found, err := q.ask(ctx, region, ids)
	if err != nil && len(ids) > 1 && q.retryAlone(err) {
		q.fetch(ctx, region, ids[:len(ids)/2], answers)
		q.fetch(ctx, region, ids[len(ids)/2:], answers)
		return
	}
	for _, id := range ids {
		v, ok := found[id]
		answers[id] = answered[V]{v, ok, err}
	}
}
