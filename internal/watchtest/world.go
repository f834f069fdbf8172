// Package watchtest is the world around a watch.Watcher, in memory and under a test's control: load balancers, a store,
// Slack and a clock. Every call to it can fail as the real ones can, before it did anything or after, and whoever makes
// the call can die there. It takes no short cut that the real ones would not: snapshots and heads go through bytes.
package watchtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

// Fault decides what becomes of one call: whether it takes effect, and what the caller is told. It is called once at a
// time. op is "read", "health", "list", "exist",
// "load", "open", "create", "commit snapshot", "commit", "notify" or "collect", or what a store in a Place says; what is the
// key, region, head or alert.
type Fault func(op, what string) (apply bool, err error)

// ErrDied is what a run gets from a world in which it is dead: nothing it does takes effect any more.
var ErrDied = errors.New("the run died")

// Errors by which a fault makes what it is about lie. A store of the world's own just fails.
var (
	ErrEmpty  = errors.New("a load balancer seems to have no backends")
	ErrAbsent = errors.New("what is there is not found")
	ErrTaken  = errors.New("what was just created was there before")
	ErrStale  = errors.New("the newest is not listed yet")
)

// Place opens the state of a shard for one process. Each call that this makes outside goes through do, which decides
// what becomes of it; now is the time in the world.
type Place func(s watch.Shard, do func(op, what string, effect func() error) error, now func() time.Time) (watch.Store, error)

// World is what a watcher lives in. The zero value is not usable; see New.
type World struct {
	faults  sync.Mutex // one call of fault at a time, without mu: it may change the world
	mu      sync.Mutex
	now     time.Time
	pools   map[string][]lb.Backend
	kinds   map[string]lb.Type
	names   map[string]watch.Listed
	health  bool
	states  map[watch.Shard]*state
	snaps   map[string][]byte
	told    []watch.Delivery
	threads bool
	reads   int
	nonce   int
	fault   Fault
	collect int
	place   Place
}

// New returns a world without load balancers, at a fixed time, so far ahead that no real deadline passes.
func New() *World {
	return &World{
		now:   time.Date(2126, 11, 23, 4, 53, 0, 0, time.UTC),
		pools: map[string][]lb.Backend{}, kinds: map[string]lb.Type{}, names: map[string]watch.Listed{},
		states: map[watch.Shard]*state{}, snaps: map[string][]byte{},
	}
}

// state is the heads of one shard.
type state struct {
	heads  map[int64][]byte
	newest int64
}

func (w *World) state(s watch.Shard) *state {
	if s.Of <= 1 {
		s = watch.Shard{}
	}
	if w.states[s] == nil {
		w.states[s] = &state{heads: map[int64][]byte{}}
	}
	return w.states[s]
}

// Watcher returns a watcher of these load balancers ("region/id") in the world: a new process with no memory.
func (w *World) Watcher(keys ...string) *watch.Watcher {
	r := &run{World: w}
	var clbs []lb.CLB
	for _, key := range slices.Sorted(slices.Values(keys)) {
		region, id, _ := strings.Cut(key, "/")
		clbs = append(clbs, lb.CLB{Region: region, ID: id})
	}
	return &watch.Watcher{
		CLBs: clbs, Source: (*source)(r), Finder: (*source)(r), Store: must(r.store(watch.Shard{})), Notifier: (*slack)(r), BlindAfter: 3,
		Stores: r.store,
		Spool:  func() (watch.Spool, error) { return &spool{}, nil },
		Now:    w.Now, Sleep: func(ctx context.Context, d time.Duration) error { w.Advance(d); return ctx.Err() },
		Nonce: func() string {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.nonce++
			return fmt.Sprintf("%08dnonce", w.nonce) // alerts are named by the first 8 bytes
		},
	}
}

// Shard returns a watcher of one part of what Watcher would watch.
func (w *World) Shard(s watch.Shard, keys ...string) *watch.Watcher {
	watcher := w.Watcher(keys...)
	watcher.Shard = s
	watcher.Store = must(watcher.Stores(s))
	return watcher
}

// Now is the time in the world.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Advance lets time pass.
func (w *World) Advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Fail makes f decide about every call from now on; nil ends it.
func (w *World) Fail(f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// Set makes this the pool of a load balancer.
func (w *World) Set(key string, pool ...lb.Backend) {
	w.mu.Lock()
	defer w.mu.Unlock()
	pool = slices.Clone(pool)
	lb.SortBackends(pool)
	w.pools[key] = pool
}

// SetKind makes a load balancer one of this kind.
func (w *World) SetKind(key string, kind lb.Type) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kinds[key] = kind
}

// Name gives a load balancer a name and tags in the list of its region.
func (w *World) Name(key, name string, tags map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[key] = watch.Listed{Name: name, Tags: tags}
}

// Delete deletes a load balancer.
func (w *World) Delete(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pools, key)
}

// Health says whether the health of backends is read too.
func (w *World) Health(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.health = on
}

// Thread makes Slack one that finds its messages again: it gives receipts, and takes an alert once however often it comes.
func (w *World) Thread() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.threads = true
}

// Told returns the alerts that Slack took, in order.
func (w *World) Told() (told []watch.Alert) {
	for _, d := range w.Deliveries() {
		told = append(told, d.Alert)
	}
	return told
}

// Deliveries returns what Slack took, in order.
func (w *World) Deliveries() []watch.Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

// Reads is how many readings were asked for.
func (w *World) Reads() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads
}

// Collections is how often old state was collected.
func (w *World) Collections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.collect
}

// In keeps the state in a place, from now on.
func (w *World) In(p Place) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.place = p
}

// Head returns the newest head, or nil.
func (w *World) Head() *watch.Head { return w.HeadOf(watch.Shard{}) }

// HeadOf returns the newest head of a shard, or nil.
func (w *World) HeadOf(s watch.Shard) *watch.Head {
	if w.place != nil {
		return must(must(w.place(s, func(_, _ string, effect func() error) error { return effect() }, w.Now)).Load(context.Background()))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state(s).head()
}

func (s *state) head() *watch.Head {
	if s.newest == 0 {
		return nil
	}
	h, err := watch.DecodeHead(s.newest, s.heads[s.newest])
	if err != nil {
		panic(err) // the world wrote it
	}
	return h
}

// Snapshot returns the text of the newest head's snapshot.
func (w *World) Snapshot() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.state(watch.Shard{}).head(); h != nil && h.Snapshot != nil {
		return string(w.snaps[h.Snapshot.SHA256])
	}
	return ""
}

// run is one process in the world. It dies where a fault says so with ErrDied.
type run struct {
	*World
	dead bool
}

// do makes one call: effect takes place under the lock, if the fault lets it.
func (r *run) do(op, what string, effect func() error) error {
	return r.call(op, what, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		return effect()
	})
}

// call makes one call, if the fault lets it.
func (r *run) call(op, what string, effect func() error) error {
	r.mu.Lock()
	fault := r.fault
	r.mu.Unlock()
	apply, err := true, error(nil)
	if fault != nil && !r.isDead() {
		r.faults.Lock()
		apply, err = fault(op, what)
		r.faults.Unlock()
	}
	if r.isDead() {
		return ErrDied
	}
	if errors.Is(err, ErrDied) {
		defer r.die()
	}
	if !apply {
		return err
	}
	return errors.Join(effect(), err)
}

func (r *run) die() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
}

func (r *run) isDead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead
}

type source run

func (s *source) Read(_ context.Context, c lb.CLB, known lb.Digest) (out lb.Reading, err error) {
	r := (*run)(s)
	err = r.do("read", c.Key(), func() error {
		r.reads++
		pool, ok := r.pools[c.Key()]
		if !ok {
			return fmt.Errorf("%w: %s", lb.ErrNotFound, c.Key())
		}
		kind, health := r.kinds[c.Key()], r.health
		pool = slices.Clone(pool)
		if !health {
			for i := range pool {
				pool[i].Checked, pool[i].Failing, pool[i].Unclear = 0, nil, nil
			}
		}
		b, err := json.Marshal([]any{pool, kind, health})
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		out = lb.Reading{Kind: kind, Backends: pool, Digest: lb.Digest(hex.EncodeToString(sum[:])), Health: health}
		if out.Digest == known {
			out = lb.Reading{Kind: kind, Digest: known, Unchanged: true, Health: health}
		}
		return nil
	})
	if errors.Is(err, ErrEmpty) {
		out, err = lb.Reading{Kind: out.Kind, Digest: "empty", Health: out.Health}, nil
	}
	if err != nil || !out.Health {
		return out, err
	}
	if err := r.do("health", c.Key(), func() error { return nil }); err != nil {
		out.Health, out.HealthErr = false, err
		for i := range out.Backends {
			out.Backends[i].Checked, out.Backends[i].Failing = 0, nil
		}
		if !out.Unchanged {
			out.Digest += " without health"
		}
	}
	return out, nil
}

// List returns the load balancers of a region.
func (s *source) List(_ context.Context, region string) (list []watch.Listed, err error) {
	r := (*run)(s)
	err = r.do("list", region, func() error {
		for key := range r.pools {
			if in, id, _ := strings.Cut(key, "/"); in == region {
				l := r.names[key]
				l.ID = id
				list = append(list, l)
			}
		}
		return nil
	})
	return list, err
}

// Exist returns those of some load balancers that there are.
func (s *source) Exist(_ context.Context, region string, ids []string) (there map[string]bool, err error) {
	r := (*run)(s)
	there = make(map[string]bool)
	err = r.do("exist", region, func() error {
		for _, id := range ids {
			_, there[id] = r.pools[region+"/"+id]
		}
		return nil
	})
	return there, err
}

// store opens the state of a shard.
func (r *run) store(s watch.Shard) (watch.Store, error) {
	if r.place != nil {
		return r.place(s, r.call, r.Now)
	}
	return &store{r, s}, nil
}

// must is for what cannot fail but by a mistake in a test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// store is the state of one shard.
type store struct {
	*run
	shard watch.Shard
}

func (s *store) Load(context.Context) (h *watch.Head, err error) {
	r := s.run
	err = r.do("load", "", func() error { h = r.state(s.shard).head(); return nil })
	return h, err
}

func (s *store) Commit(_ context.Context, h *watch.Head) error {
	r := s.run
	return r.do("commit", fmt.Sprint(h.N), func() error {
		b, err := h.Encode()
		if err != nil {
			return err
		}
		st := r.state(s.shard)
		if st.heads[h.N] != nil {
			return watch.ErrConflict
		}
		st.heads[h.N] = b
		st.newest = max(st.newest, h.N)
		return nil
	})
}

func (s *store) OpenSnapshot(_ context.Context, b watch.Blob) (out io.ReadCloser, err error) {
	r := s.run
	err = r.do("open", b.SHA256, func() error {
		text, ok := r.snaps[b.SHA256]
		if !ok {
			return fmt.Errorf("there is no snapshot %s", b.SHA256)
		}
		out = io.NopCloser(bytes.NewReader(text))
		return nil
	})
	return out, err
}

func (s *store) CreateSnapshot(context.Context) (out watch.SnapshotWriter, err error) {
	r := s.run
	err = r.do("create", "", func() error { out = &snapshotWriter{run: r}; return nil })
	return out, err
}

func (s *store) Collect(context.Context) error {
	r := s.run
	return r.do("collect", "", func() error { r.collect++; return nil })
}

type snapshotWriter struct {
	bytes.Buffer
	run *run
}

func (w *snapshotWriter) Commit() (b watch.Blob, err error) {
	sum := sha256.Sum256(w.Bytes())
	b = watch.Blob{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(w.Len())}
	return b, w.run.do("commit snapshot", b.SHA256, func() error {
		w.run.snaps[b.SHA256] = bytes.Clone(w.Bytes())
		return nil
	})
}

func (w *snapshotWriter) Close() error { return nil }

type slack run

func (s *slack) Notify(_ context.Context, d watch.Delivery) (receipt watch.Receipt, err error) {
	r := (*run)(s)
	err = r.do("notify", d.Alert.ID, func() error {
		at := slices.IndexFunc(r.told, func(o watch.Delivery) bool { return o.Alert.ID == d.Alert.ID })
		if !r.threads || !d.Again || at < 0 {
			at = len(r.told)
			r.told = append(r.told, d)
		}
		switch {
		case r.threads && d.Thread != nil:
			receipt = d.Thread.Receipt
		case r.threads:
			receipt = watch.Receipt{Channel: "C1", TS: fmt.Sprint(at + 1)}
		}
		return nil
	})
	return receipt, err
}

type spool struct{ b []byte }

func (s *spool) Write(p []byte) (int, error) { s.b = append(s.b, p...); return len(p), nil }
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(s.b).ReadAt(p, off)
}
func (s *spool) Close() error { return nil }
