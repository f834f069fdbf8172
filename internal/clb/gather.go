package clb

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	// maxGather is how long a question waits for others: until all readers wait, but no longer than this, so
	// that a load balancer that hangs holds up no other.
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

// flushIfIdle starts all calls if there is nobody left who could add to them, now and in a moment. The caller
// holds c.mu.
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

// while does something for which a reader waits: others need not wait for it.
func (c *crowd) while(f func()) {
	c.mu.Lock()
	c.waiting++
	c.flushIfIdle()
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting--
	}()
	f()
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
func (c *crowd) wait(ctx context.Context, calls []*gathering) (err error) {
	c.while(func() {
		for _, g := range calls {
			select {
			case <-g.done:
			case <-ctx.Done():
				err = ctx.Err()
				return
			}
		}
	})
	return err
}

// extra is how many calls more than the least one run makes, to find the ids that spoil calls for others.
type extra struct {
	mu   sync.Mutex
	left int
}

// maxExtra is how many those may be.
const maxExtra = 30

// take takes n of them, if there are so many.
func (e *extra) take(n int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.left < n {
		return false
	}
	e.left -= n
	return true
}

// questions are asked for many ids at once, and each only once.
type questions[V any] struct {
	crowd *crowd
	max   int // ids in one call
	extra *extra
	// ask makes one call. What is not in the answer is absent; if there is an error too, it is not known.
	ask func(ctx context.Context, region string, ids []string) (map[string]V, error)

	// Guarded by crowd.mu, by region.
	open   map[string]*group[V]            // the call that is being put together
	in     map[string]map[string]*group[V] // in which call each id is
	worked map[string]bool                 // a call was answered
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

func newQuestions[V any](crowd *crowd, most int, extra *extra, ask func(context.Context, string,
	[]string) (map[string]V, error)) *questions[V] {
	return &questions[V]{crowd: crowd, max: most, extra: extra, ask: ask,
		open: make(map[string]*group[V]), in: make(map[string]map[string]*group[V]),
		worked: make(map[string]bool)}
}

// get returns what is known of some ids, and why it is not known of others; what is in neither is absent. The
// error is that of ctx, which ended first.
func (q *questions[V]) get(ctx context.Context, region string, ids []string) (found map[string]V,
	failed map[string]error, err error) {
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
		return nil, nil, err
	}
	found, failed = make(map[string]V, len(ids)), make(map[string]error)
	for i, id := range ids {
		switch a := groups[i].answers[id]; {
		case a.err != nil:
			failed[id] = a.err
		case a.found:
			found[id] = a.value
		}
	}
	return found, failed, nil
}

// alone is a context of the same deadline: whoever asks first may be given up before the others.
func alone(ctx context.Context) (context.Context, context.CancelFunc) {
	free := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(free, deadline)
	}
	return context.WithCancel(free)
}

// answeredAny reports whether a call about the region was answered.
func (q *questions[V]) answeredAny(region string) bool {
	q.crowd.mu.Lock()
	defer q.crowd.mu.Unlock()
	return q.worked[region]
}

// join adds an id to the call that is being put together. The caller holds crowd.mu.
func (q *questions[V]) join(ctx context.Context, region, id string) *group[V] {
	g := q.open[region]
	if g == nil || !q.crowd.open[&g.gathering] {
		g = &group[V]{gathering: gathering{done: make(chan struct{})}, answers: make(map[string]answered[V])}
		g.run = func() {
			ctx, cancel := alone(ctx)
			defer cancel()
			q.fetch(ctx, region, g.ids, g.answers)
		}
		q.open[region] = g
		q.crowd.open[&g.gathering] = true
		go func() {
			_ = q.crowd.sleep(ctx, maxGather) // it has no error
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

// fetch makes the call and keeps the answers. Where some ids spoil it for the others, those that the error
// names are left out, or the ids are halved, as long as there are calls to spare.
func (q *questions[V]) fetch(ctx context.Context, region string, ids []string,
	answers map[string]answered[V]) {
	found, err := q.ask(ctx, region, ids)
	if found == nil && err != nil && retryOf(err) == never && len(ids) > 1 && ctx.Err() == nil {
		if bad := namedIn(err, ids); len(bad) > 0 && len(bad) < len(ids) && q.extra.take(1) {
			for _, id := range bad {
				answers[id] = answered[V]{}
			}
			q.fetch(ctx, region, slices.DeleteFunc(slices.Clone(ids),
				func(id string) bool { return slices.Contains(bad, id) }), answers)
			return
		}
		if q.extra.take(2) {
			q.fetch(ctx, region, ids[:len(ids)/2], answers)
			q.fetch(ctx, region, ids[len(ids)/2:], answers)
			return
		}
	}
	if len(ids) == 1 && notFound(err) {
		err = nil // there is no such thing: that is an answer
	}
	if err == nil || found != nil {
		q.crowd.mu.Lock()
		q.worked[region] = true
		q.crowd.mu.Unlock()
	}
	for _, id := range ids {
		if v, ok := found[id]; ok {
			answers[id] = answered[V]{v, true, nil}
		} else {
			answers[id] = answered[V]{err: err}
		}
	}
}

// notFound reports whether an error says that there is no such thing as was asked for.
func notFound(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) && strings.HasSuffix(refused.code, "NotFound") &&
		(strings.Contains(refused.code, "Instance") || strings.Contains(refused.code, "LBId"))
}

// namedIn are those of ids that an error says are not there.
func namedIn(err error, ids []string) (named []string) {
	var refused *refusal
	if !notFound(err) || !errors.As(err, &refused) {
		return nil
	}
	words := strings.FieldsFunc(refused.message, func(r rune) bool {
		return r != '-' &&
			!unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	for _, id := range ids {
		if slices.Contains(words, id) {
			named = append(named, id)
		}
	}
	return named
}
