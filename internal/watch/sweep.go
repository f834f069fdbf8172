package watch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
)

const (
	// readers bounds how many load balancers are read at once. At 20 calls a second it allows for answers
	// that take 3 s.
	readers = 64
	// maxStall is for how long nothing may be read, after something was, before whatever is still being read
	// is given up: load balancers that hang must not delay the others. It is less than the 5 s that design.md
	// allows.
	maxStall = 4 * time.Second
)

// sweep is what one tick saw: which load balancers there are, and one observation for each.
type sweep struct {
	at   time.Time // before the first call, by the store's clock
	base int64     // the number of the head that it started from
	from string    // the observation that this holds
	roster
	seen []observation // in the order of roster.clbs

	silences heard

	mu       sync.Mutex
	spool    Spool // readings that changed; nil until there is one
	size     int64
	took     time.Duration // to put them there
	commitBy time.Time     // when they must be compared and stored; zero if there is no limit
}

// observation is what one tick saw of one load balancer.
type observation struct {
	err       error     // why it could not be read; all else is zero then
	healthErr error     // why its backends' health could not be
	health    bool      // their health was read
	kind      lb.Type   // of the load balancer, if changed
	by        string    // the version of the API, if changed
	digest    lb.Digest // of the answer
	backends  int       // how many it has, if changed
	unnamed   int       // rows that do not say what they are about, if changed
	odd       []string  // what is odd about rows, if changed
	changed   bool      // not the answer that the snapshot was made from: the reading is in the spool
	remember  bool      // its digest must be stored with this tick
	at        span      // where

	twice bool // it was read twice
	first span // the first reading, if twice
	lacks bool // it may lack something that was known
	// it may be the first whole reading that lacks something: the next one, of the same bytes, confirms that
	missing bool
}

// span is where a reading is in the spool.
type span struct{ off, len int64 }

// observe reads every load balancer: first those that are known, while regions are listed, then those that
// were found. It does not fail: what could not be read is in the observations. What was read must be
// committed by a time, zero for any.
func (w *Watcher) observe(ctx context.Context, b base, commitBy time.Time) *sweep {
	s := &sweep{at: w.Store.Now().UTC().Truncate(time.Millisecond), base: b.head.Number(), from: b.head.Holds(),
		commitBy: commitBy}
	ls := w.listAll(ctx, b, s.at, relist)
	s.roster = w.enlist(ctx, b, &lists{at: s.at}, nil)
	s.seen = make([]observation, len(s.clbs))
	w.readAll(ctx, s, b, w.shuffled(len(s.clbs)))
	if len(w.Discover) > 0 {
		until := w.Now().Add(listGrace)
		if len(s.clbs) == 0 {
			until = w.Now().Add(noDeadline) // nobody is delayed: until the lists' own deadline
		}
		ls.waitUntil(ctx, until)
		w.readFound(ctx, s, b, ls)
	}
	ls.wait()
	w.strike(ctx, s)
	w.confirm(ctx, s, b)
	return s
}

// shuffled are the numbers below n, from anywhere on, so that a tick which runs out of time does not starve
// the same load balancers every time.
func (w *Watcher) shuffled(n int) []int {
	all := make([]int, n)
	start := fnv.New32a()
	_, _ = start.Write([]byte(w.Nonce())) // never fails
	for i := range all {
		all[i] = (i + int(start.Sum32())) % n
	}
	return all
}

// readFound takes lists over into a sweep, and reads what was not known before.
func (w *Watcher) readFound(ctx context.Context, s *sweep, b base, ls *lists) {
	seen, said := make(map[string]observation, len(s.clbs)), make(map[string]error)
	for i, c := range s.clbs {
		seen[c.Key()] = s.seen[i]
		said[c.Key()] = s.seen[i].err
	}
	s.roster = w.enlist(ctx, b, ls, said)
	s.seen = make([]observation, len(s.clbs))
	var fresh []int
	for i, c := range s.clbs {
		if o, ok := seen[c.Key()]; ok {
			s.seen[i] = o
		} else {
			fresh = append(fresh, i)
		}
	}
	w.readAll(ctx, s, b, fresh)
}

// readAll reads some load balancers.
func (w *Watcher) readAll(ctx context.Context, s *sweep, b base, which []int) {
	w.each(ctx, which, func(ctx context.Context, i int) error {
		s.seen[i] = w.read(ctx, s, i, b.known[s.clbs[i].Key()].Digest)
		return s.seen[i].err
	})
}

// each calls f for every i of which, several at once. Once some have succeeded, and for maxStall none has,
// those that are still at it have their contexts ended.
func (w *Watcher) each(ctx context.Context, which []int, f func(ctx context.Context, i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	stall := newStall(ctx, maxStall)
	defer stall.stop()
	for range min(readers, len(which)) {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(which) {
					return
				}
				ctx, done := stall.enter()
				done(f(ctx, which[n]))
			}
		})
	}
	wg.Wait()
}

func (w *Watcher) read(ctx context.Context, s *sweep, i int, known lb.Digest) observation {
	if ctx.Err() != nil {
		return observation{err: errNotReached}
	}
	r, err := w.Source.Read(ctx, s.clbs[i], known)
	if err != nil {
		return observation{err: given(ctx, err)}
	}
	o := observation{digest: r.Digest, health: r.Health, healthErr: r.HealthErr}
	if r.Unchanged {
		return o
	}
	o.kind, o.by, o.backends, o.changed, o.remember = r.Kind, r.By, len(r.Backends), true, r.Remember
	o.unnamed, o.odd = r.Unnamed, r.Odd
	if o.at, err = w.keep(s, r.Backends); err != nil {
		return observation{err: err}
	}
	return o
}

// commitTakes is how many times longer it takes to compare and store readings than it took to put them into
// the spool.
const commitTakes = 5

var errNoTimeToCommit = advice.Add(errors.New("it was read, and there is no time left to take that over: "+
	"the next run goes on with it"), DoTime)

var errNotReached = advice.Add(errors.New("not reached before the deadline of this run"), DoTime)

// given says so if a reading was given up because the others were done.
func given(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return advice.Add(fmt.Errorf("%w: %w", errStalled, err), advice.Of(err))
	}
	return err
}

// keep puts a reading into the spool.
func (w *Watcher) keep(s *sweep, bs []lb.Backend) (span, error) {
	if bs == nil {
		bs = []lb.Backend{}
	}
	s.mu.Lock() // before it is encoded: one at a time, for the memory that takes
	defer s.mu.Unlock()
	start := w.Now()
	// at least one goes on
	if s.took > 0 && !s.commitBy.IsZero() && s.commitBy.Sub(start) < commitTakes*s.took {
		return span{}, errNoTimeToCommit
	}
	defer func() { s.took += w.Now().Sub(start) }()
	b, err := json.Marshal(bs)
	if err != nil {
		return span{}, fmt.Errorf("keep reading: %w", err)
	}
	if s.spool == nil {
		if s.spool, err = w.Spool(); err != nil {
			return span{}, fmt.Errorf("keep reading: %w", err)
		}
	}
	at := span{s.size, int64(len(b))}
	m, err := s.spool.Write(b)
	s.size += int64(m)
	if err != nil {
		return span{}, fmt.Errorf("keep reading: %w", err)
	}
	return at, nil
}

// reading brings a changed reading back from the spool.
func (s *sweep) reading(at span) ([]lb.Backend, error) {
	b := make([]byte, at.len)
	if _, err := s.spool.ReadAt(b, at.off); err != nil {
		return nil, fmt.Errorf("read back a reading: %w", err)
	}
	var bs []lb.Backend
	if err := json.Unmarshal(b, &bs); err != nil {
		return nil, fmt.Errorf("read back a reading: %w", err)
	}
	return bs, nil
}

// quiet reports whether the snapshot is as it was: every load balancer that was read is as the snapshot has
// it, and it has no other.
func (s *sweep) quiet(known map[string]state.Entry) bool {
	watched := 0
	for i, o := range s.seen {
		e, ok := known[s.clbs[i].Key()]
		if o.changed || o.err == nil && e.Doubt || s.renamed(i, known) {
			return false
		}
		if ok {
			watched++
		}
	}
	return watched == len(known)
}

// renamed reports whether the snapshot has another name of a load balancer, or another Scope.
func (s *sweep) renamed(i int, known map[string]state.Entry) bool {
	key := s.clbs[i].Key()
	e := known[key]
	return e.In != s.scope[key] || e.In != "" && e.Name != s.clbs[i].Title
}

// name is what is known of the names of a load balancer.
func (s *sweep) name(key string) lb.CLB {
	at, ok := slices.BinarySearchFunc(s.clbs, key,
		func(c lb.CLB, key string) int { return cmp.Compare(c.Key(), key) })
	if !ok {
		return lb.ParseKey(key)
	}
	return s.clbs[at]
}

func (s *sweep) close() error {
	if s.spool == nil {
		return nil
	}
	return s.spool.Close()
}
