// Package watchtest is the world around a watch.Watcher, in memory and under a test's control: load
// balancers, a store, Slack and a clock. Every call to it can fail as the real ones can, before it did
// anything or after, and whoever makes the call can die there. It takes no short cut that the real ones would
// not: snapshots and heads go through bytes.
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

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
)

// Fault decides what becomes of one call: whether it takes effect, and what the caller is told. It is called
// once at a time. op is "read", "health", "list", "exist", "hear", "load", "open", "create", "commit
// snapshot", "commit", "open segment", "create segment", "once", "collect", what a Call does ("send", "look",
// "ask", "edit", "copies", "void", "leave"), or what a store in a Place says; what is the key of a load
// balancer or message, the region, the head or the day.
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

// Errors by which a fault says what Slack answers. Any other leaves open whether Slack did what it was asked
// for.
var (
	ErrDown      = errors.New("nothing arrives in the channel")
	ErrRefused   = errors.New("Slack refuses it")
	ErrTemporary = errors.New("Slack did not do it this time")
)

// Place opens the state of a shard for one process. Each call that this makes outside goes through do, which
// decides what becomes of it; now is the time in the world.
type Place func(s state.Shard, do func(op, what string, effect func() error) error,
	now func() time.Time) (state.Store, error)

// World is what a watcher lives in. The zero value is not usable; see New.
type World struct {
	faults  sync.Mutex // one call of fault at a time, without mu: it may change the world
	mu      sync.Mutex
	now     time.Time
	pools   map[string][]lb.Backend
	kinds   map[string]lb.Type
	names   map[string]watch.Listed
	health  bool
	states  map[state.Shard]*heads
	blobs   map[string][]byte // snapshots and segments of history
	once    map[string]bool
	slack   []Message
	bot     bool
	reads   int
	nonce   int
	fault   Fault
	collect int
	place   Place

	silences []incident.Silence
}

// New returns a world without load balancers, at a fixed time, so far ahead that no real deadline passes.
func New() *World {
	return &World{
		now:   time.Date(2126, 11, 23, 4, 53, 0, 0, time.UTC),
		pools: map[string][]lb.Backend{}, kinds: map[string]lb.Type{}, names: map[string]watch.Listed{},
		states: map[state.Shard]*heads{}, blobs: map[string][]byte{}, once: map[string]bool{}, bot: true,
	}
}

// heads are those of one shard.
type heads struct {
	stored map[int64][]byte
	newest int64
}

func (w *World) heads(s state.Shard) *heads {
	s = unsharded(s)
	if w.states[s] == nil {
		w.states[s] = &heads{stored: map[int64][]byte{}}
	}
	return w.states[s]
}

// Watcher returns a watcher of these load balancers ("region/id") in the world: a new process with no memory.
func (w *World) Watcher(keys ...string) *watch.Watcher { return (&run{World: w}).watcher(keys...) }

func (r *run) watcher(keys ...string) *watch.Watcher {
	w := r.World
	var clbs []lb.CLB
	for _, key := range slices.Sorted(slices.Values(keys)) {
		region, id, _ := strings.Cut(key, "/")
		clbs = append(clbs, lb.CLB{Region: region, ID: id})
	}
	return &watch.Watcher{
		Part: state.Part{Store: must(r.store(state.Shard{})), States: r.store, By: state.CLI, Nonce: func() string {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.nonce++
			return fmt.Sprintf("%08dnonce", w.nonce)
		}},
		CLBs: clbs, Source: (*source)(r), Finder: (*source)(r), Notifier: (*slack)(r), Silences: (*silences)(r),
		Rules: incident.Rules{StableAfter: StableAfter, MentionAt: 50, BlindAfter: 3, Route: w.Route()},
		Spool: MemorySpool,
		Now:   r.local, Sleep: func(ctx context.Context, d time.Duration) error { w.Advance(d); return ctx.Err() },
	}
}

// StableAfter is the setting of every Watcher.
const StableAfter = 10 * time.Minute

// Shard returns a watcher of one part of what Watcher would watch.
func (w *World) Shard(s state.Shard, keys ...string) *watch.Watcher {
	watcher := w.Watcher(keys...)
	watcher.Shard = s
	watcher.Store = must(watcher.States(s))
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
func (w *World) Head() *state.Head { return w.HeadOf(state.Shard{}) }

// HeadOf returns the newest head of a shard, or nil.
func (w *World) HeadOf(s state.Shard) *state.Head {
	if w.place != nil {
		return must(must(w.place(s, func(_, _ string, effect func() error) error { return effect() },
			w.Now)).Load(context.Background()))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heads(s).head()
}

func (s *heads) head() *state.Head {
	if s.newest == 0 {
		return nil
	}
	h, err := state.DecodeHead(s.newest, s.stored[s.newest])
	if err != nil {
		panic(err) // the world wrote it
	}
	return h
}

// Snapshot returns the text of the newest head's snapshot.
func (w *World) Snapshot() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.heads(state.Shard{}).head(); h != nil && h.Snapshot != nil {
		return string(w.blobs[h.Snapshot.SHA256])
	}
	return ""
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
func (r *run) store(s state.Shard) (state.Store, error) {
	if r.place != nil {
		return r.place(s, r.call, r.local)
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
	shard state.Shard
}

func (s *store) Load(context.Context) (h *state.Head, err error) {
	r := s.run
	err = r.do("load", "", func() error { h = r.heads(s.shard).head(); return nil })
	return h, err
}

func (s *store) Commit(_ context.Context, h *state.Head) error {
	r := s.run
	return r.do("commit", fmt.Sprint(h.N), func() error {
		b, err := h.Encode()
		if err != nil {
			return err
		}
		st := r.heads(s.shard)
		if st.stored[h.N] != nil {
			return state.ErrConflict
		}
		st.stored[h.N] = b
		st.newest = max(st.newest, h.N)
		return nil
	})
}

func (s *store) OpenSnapshot(_ context.Context, b state.Blob) (out io.ReadCloser, err error) {
	r := s.run
	err = r.do("open", b.SHA256, func() error {
		text, ok := r.blobs[b.SHA256]
		if !ok {
			return fmt.Errorf("there is no snapshot %s", b.SHA256)
		}
		out = io.NopCloser(bytes.NewReader(text))
		return nil
	})
	return out, err
}

func (s *store) CreateSnapshot(context.Context) (out state.SnapshotWriter, err error) {
	r := s.run
	err = r.do("create", "", func() error { out = &snapshotWriter{run: r}; return nil })
	return out, err
}

func (s *store) OpenSegment(_ context.Context, seg state.Segment) (out io.ReadCloser, err error) {
	r := s.run
	err = r.do("open segment", seg.Name, func() error {
		text, ok := r.blobs[seg.Name]
		if !ok {
			return state.ErrAbsent
		}
		out = io.NopCloser(bytes.NewReader(text))
		return nil
	})
	return out, err
}

func (s *store) CreateSegment(_ context.Context, day string, n int,
	write func(io.Writer) error) (seg state.Segment, err error) {
	r := s.run
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return seg, err
	}
	sum := sha256.Sum256(b.Bytes())
	seg = state.Segment{Day: day, N: n, Name: hex.EncodeToString(sum[:]), Bytes: int64(b.Len()),
		Text: int64(b.Len())}
	return seg, r.do("create segment", day, func() error {
		r.blobs[seg.Name] = bytes.Clone(b.Bytes())
		return nil
	})
}

func (s *store) Once(_ context.Context, name string) (first bool, err error) {
	r := s.run
	err = r.do("once", name, func() error {
		first = !r.once[name]
		r.once[name] = true
		return nil
	})
	return first, err
}

func (s *store) Now() time.Time {
	if s.run.proc != nil {
		return s.run.proc.shared()
	}
	return s.run.Now()
}

func (s *store) Collect(context.Context) error {
	r := s.run
	return r.do("collect", "", func() error { r.collect++; return nil })
}

type snapshotWriter struct {
	bytes.Buffer
	run *run
}

func (w *snapshotWriter) Commit() (b state.Blob, err error) {
	sum := sha256.Sum256(w.Bytes())
	b = state.Blob{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(w.Len())}
	return b, w.run.do("commit snapshot", b.SHA256, func() error {
		w.run.blobs[b.SHA256] = bytes.Clone(w.Bytes())
		return nil
	})
}

func (w *snapshotWriter) Close() error { return nil }

// MemorySpool is room for the readings of a tick, in memory.
func MemorySpool() (watch.Spool, error) { return &spool{}, nil }

type spool struct{ b []byte }

func (s *spool) Write(p []byte) (int, error) { s.b = append(s.b, p...); return len(p), nil }
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(s.b).ReadAt(p, off)
}
func (s *spool) Close() error { return nil }
