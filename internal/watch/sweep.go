package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
)

const (
	// readers bounds how many load balancers are read at once. At 20 calls a second it allows for answers that take 3 s.
	readers = 64
	// confirmAfter is how long a pool that reads as empty is left alone before the second reading that confirms it.
	confirmAfter = 2 * time.Second
)

// sweep is what one tick saw: which load balancers there are, and one observation for each.
type sweep struct {
	at time.Time // before the first call
	roster
	seen []observation // in the order of roster.clbs

	mu    sync.Mutex
	spool Spool // readings that changed; nil until there is one
	size  int64
}

// observation is what one tick saw of one load balancer.
type observation struct {
	err       error     // why it could not be read; all else is zero then
	healthErr error     // why its backends' health could not be
	health    bool      // their health was read
	kind      lb.Type   // of the load balancer, if changed
	digest    lb.Digest // of the answer
	backends  int       // how many it has, if changed
	changed   bool      // not the answer that the snapshot was made from: the reading is in the spool
	remember  bool      // its digest must be stored with this tick
	off, len  int64     // where

	confirmed bool // it reads as empty, and did so twice
}

// doubtful reports whether the load balancer, which had backends, reads as empty for the first time.
func (o observation) doubtful(known entry) bool {
	return o.changed && o.backends == 0 && known.Backends > 0 && !o.confirmed
}

// observe reads every load balancer. It does not fail: what could not be read is in the observations.
// The order starts anywhere, so that a tick which runs out of time does not starve the same ones every time.
func (w *Watcher) observe(ctx context.Context, b base) *sweep {
	known := b.known.CLBs
	s := &sweep{at: w.Now().UTC().Truncate(time.Millisecond)}
	s.roster = w.find(ctx, b, s.at, relist)
	s.seen = make([]observation, len(s.clbs))
	all := make([]int, len(s.clbs))
	start := fnv.New32a()
	_, _ = start.Write([]byte(w.Nonce())) // never fails
	for i := range all {
		all[i] = (i + int(start.Sum32())) % len(all)
	}
	each(all, func(i int) { s.seen[i] = w.read(ctx, s, i, known[s.clbs[i].Key()].Digest) })
	w.strike(ctx, s)

	var emptied []int
	for i, o := range s.seen {
		if o.doubtful(known[s.clbs[i].Key()]) {
			emptied = append(emptied, i)
		}
	}
	if len(emptied) > 0 {
		// A cloud that answers with nothing for a moment would be told as everything removed. If the second reading
		// is not to be had, the load balancer counts as unread.
		if err := w.Sleep(ctx, confirmAfter); err != nil {
			for _, i := range emptied {
				s.seen[i] = observation{err: unconfirmed(err)}
			}
			return s
		}
		each(emptied, func(i int) {
			s.seen[i] = w.read(ctx, s, i, "")
			s.seen[i].confirmed = true
		})
	}
	return s
}

func unconfirmed(err error) error {
	return advice.Add(fmt.Errorf("it reads as empty, and there was no time to confirm it: %w", err), DoTime)
}

// each calls f for every i of which, several at once.
func each(which []int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(readers, len(which)) {
		wg.Go(func() {
			for {
				k := int(next.Add(1)) - 1
				if k >= len(which) {
					return
				}
				f(which[k])
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
		return observation{err: err}
	}
	o := observation{digest: r.Digest, health: r.Health, healthErr: r.HealthErr}
	if r.Unchanged {
		return o
	}
	o.kind, o.backends, o.changed, o.remember = r.Kind, len(r.Backends), true, r.Remember
	if o.off, o.len, err = w.keep(s, r.Backends); err != nil {
		return observation{err: err}
	}
	return o
}

var errNotReached = advice.Add(errors.New("not reached before the deadline of this run"), DoTime)

// keep puts a reading into the spool.
func (w *Watcher) keep(s *sweep, bs []lb.Backend) (off, n int64, err error) {
	b, err := json.Marshal(bs)
	if err != nil {
		return 0, 0, fmt.Errorf("keep reading: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spool == nil {
		if s.spool, err = w.Spool(); err != nil {
			return 0, 0, fmt.Errorf("keep reading: %w", err)
		}
	}
	off = s.size
	m, err := s.spool.Write(b)
	s.size += int64(m)
	if err != nil {
		return 0, 0, fmt.Errorf("keep reading: %w", err)
	}
	return off, int64(m), nil
}

// reading brings a changed reading back from the spool.
func (s *sweep) reading(o observation) ([]lb.Backend, error) {
	b := make([]byte, o.len)
	if _, err := s.spool.ReadAt(b, o.off); err != nil {
		return nil, fmt.Errorf("read back a reading: %w", err)
	}
	var bs []lb.Backend
	if err := json.Unmarshal(b, &bs); err != nil {
		return nil, fmt.Errorf("read back a reading: %w", err)
	}
	return bs, nil
}

// quiet reports whether every load balancer was read and is as the snapshot has it.
func (s *sweep) quiet(known map[string]entry) bool {
	if len(s.seen) != len(known) || len(s.gone) > 0 {
		return false
	}
	for i, o := range s.seen {
		if o.changed || o.err != nil || s.renamed(i, known) {
			return false
		}
	}
	return true
}

// renamed reports whether the snapshot has another name of a load balancer, or another Scope.
func (s *sweep) renamed(i int, known map[string]entry) bool {
	key := s.clbs[i].Key()
	e := known[key]
	return e.In != s.scope[key] || e.In != "" && e.Name != s.clbs[i].Title
}

func (s *sweep) close() error {
	if s.spool == nil {
		return nil
	}
	return s.spool.Close()
}
