// Package statetest is a state.Store in memory for tests. Whatever a store may do wrong, a test can make it
// do, and it keeps every object that was ever written, so that a test can look.
package statetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"clbwatch/internal/state"
)

// Hook decides about one call: whether it takes effect, and what it returns; nil is what is so. The
// operations are load, head, heads, commit, open, create, "commit snapshot", "open segment", "create
// segment", segments, once, "write once", "read object", "list objects" and collect; what is what the call
// is about.
type Hook func(op, what string) (apply bool, err error)

// Memory is a state.Store. Make one with New. It is safe for concurrent use.
type Memory struct {
	Clock func() time.Time // what Now returns

	mu       sync.Mutex
	hook     Hook
	heads    map[int64][]byte
	snaps    map[string][]byte // by SHA256 and tag
	segments map[segment][]byte
	happened map[string]bool
	objects  map[string]object // by key
	wrote    []string          // keys of objects, in the order in which they were written
	lag      int               // see Lag
	made     int
	calls    map[string]int
}

var (
	_ state.Inspector = (*Memory)(nil)
	_ state.Objects   = (*Memory)(nil)
)

// New returns an empty store whose clock is now.
func New(now func() time.Time) *Memory {
	return &Memory{Clock: now, heads: make(map[int64][]byte), snaps: make(map[string][]byte),
		segments: make(map[segment][]byte), happened: make(map[string]bool), calls: make(map[string]int),
		objects: make(map[string]object)}
}

// Fail sets the hook that decides about every call from now on; nil lets all succeed.
func (m *Memory) Fail(hook Hook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// Calls counts the calls by operation.
func (m *Memory) Calls(op string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[op]
}

// Damage flips a bit of the stored head n.
func (m *Memory) Damage(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heads[n] = bytes.Clone(m.heads[n])
	m.heads[n][len(m.heads[n])/2] ^= 1
}

// Forget deletes head n.
func (m *Memory) Forget(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.heads, n)
}

// ForgetSegment deletes a segment of history.
func (m *Memory) ForgetSegment(s state.Segment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.segments, key(s))
}

// ForgetSnapshot deletes a snapshot.
func (m *Memory) ForgetSnapshot(b state.Blob) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.snaps, b.SHA256+b.Tag)
}

// Newest returns the newest head, or nil; it panics if that is damaged.
func (m *Memory) Newest() *state.Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, err := m.newest()
	if err != nil {
		panic(err)
	}
	return h
}

// do counts a call, asks the hook about it and lets it take effect.
func (m *Memory) do(op, what string, effect func() error) error {
	m.mu.Lock()
	m.calls[op]++
	hook := m.hook
	m.mu.Unlock()
	apply, err := true, error(nil)
	if hook != nil {
		apply, err = hook(op, what)
	}
	if !apply {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return errors.Join(err, effect())
}

// Now is the clock.
func (m *Memory) Now() time.Time { return m.Clock().UTC() }

// Load returns the newest head.
func (m *Memory) Load(context.Context) (h *state.Head, err error) {
	err = m.do("load", "", func() (err error) { h, err = m.newest(); return err })
	return h, err
}

func (m *Memory) newest() (*state.Head, error) {
	n := int64(0)
	for k := range m.heads {
		n = max(n, k)
	}
	if n == 0 {
		return nil, nil
	}
	return state.DecodeHead(n, m.heads[n])
}

// Commit makes h the newest head.
func (m *Memory) Commit(_ context.Context, h *state.Head) error {
	b, err := h.Encode()
	if err != nil {
		return err
	}
	return m.do("commit", fmt.Sprint(h.N), func() error {
		if m.heads[h.N] != nil {
			return state.ErrConflict
		}
		m.heads[h.N] = b
		return nil
	})
}

// Head returns head n.
func (m *Memory) Head(_ context.Context, n int64) (h *state.Head, err error) {
	err = m.do("head", fmt.Sprint(n), func() (err error) {
		if m.heads[n] == nil {
			return state.ErrAbsent
		}
		h, err = state.DecodeHead(n, m.heads[n])
		return err
	})
	return h, err
}

// Heads lists the heads.
func (m *Memory) Heads(context.Context) (all []state.Stored, err error) {
	err = m.do("heads", "", func() error {
		for n := range m.heads {
			all = append(all, state.Stored{N: n})
		}
		slices.SortFunc(all, func(a, b state.Stored) int { return int(b.N - a.N) })
		return nil
	})
	return all, err
}

// OpenSnapshot returns the text of a snapshot.
func (m *Memory) OpenSnapshot(_ context.Context, b state.Blob) (r io.ReadCloser, err error) {
	err = m.do("open", b.SHA256, func() error {
		text, ok := m.snaps[b.SHA256+b.Tag]
		if !ok {
			return fmt.Errorf("snapshot %s: %w", b.SHA256, state.ErrAbsent)
		}
		r = io.NopCloser(bytes.NewReader(text))
		return nil
	})
	return r, err
}

// CreateSnapshot starts a snapshot.
func (m *Memory) CreateSnapshot(context.Context) (w state.SnapshotWriter, err error) {
	err = m.do("create", "", func() error { w = &snapshotWriter{m: m}; return nil })
	return w, err
}

type snapshotWriter struct {
	bytes.Buffer
	m *Memory
}

func (w *snapshotWriter) Commit() (b state.Blob, err error) {
	sum := sha256.Sum256(w.Bytes())
	b = state.Blob{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(w.Len())}
	return b, w.m.do("commit snapshot", b.SHA256, func() error {
		w.m.snaps[b.SHA256] = bytes.Clone(w.Bytes())
		return nil
	})
}

func (w *snapshotWriter) Close() error { return nil }

// segment is what names a segment.
type segment struct {
	day  string
	n    int
	name string
}

func key(s state.Segment) segment { return segment{s.Day, s.N, s.Name} }

func (s segment) String() string { return fmt.Sprintf("%s/%d-%s", s.day, s.n, s.name) }

// OpenSegment returns the text of a segment.
func (m *Memory) OpenSegment(_ context.Context, s state.Segment) (r io.ReadCloser, err error) {
	err = m.do("open segment", key(s).String(), func() error {
		text, ok := m.segments[key(s)]
		if !ok {
			return fmt.Errorf("segment %s: %w", key(s), state.ErrAbsent)
		}
		r = io.NopCloser(bytes.NewReader(text))
		return nil
	})
	return r, err
}

// CreateSegment stores a segment.
func (m *Memory) CreateSegment(_ context.Context, day string, n int, write func(io.Writer) error) (
	s state.Segment, err error) {
	var text bytes.Buffer
	if err := write(&text); err != nil {
		return s, err
	}
	err = m.do("create segment", fmt.Sprintf("%s/%d", day, n), func() error {
		m.made++
		size := int64(text.Len())
		s = state.Segment{Day: day, N: n, Name: fmt.Sprintf("made-%d", m.made), Bytes: size, Text: size}
		m.segments[key(s)] = text.Bytes()
		return nil
	})
	return s, err
}

// Segments lists the segments, those that do not count among them.
func (m *Memory) Segments(context.Context) (all []state.Stored, err error) {
	err = m.do("segments", "", func() error {
		for k := range m.segments {
			all = append(all, state.Stored{Day: k.day, N: int64(k.n), Name: k.name})
		}
		slices.SortFunc(all, func(a, b state.Stored) int {
			return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.N, b.N), cmp.Compare(a.Name, b.Name))
		})
		return nil
	})
	return all, err
}

// Once reports whether this call is the first ever with this name.
func (m *Memory) Once(_ context.Context, name string) (first bool, err error) {
	err = m.do("once", name, func() error {
		first = !m.happened[name]
		m.happened[name] = true
		return nil
	})
	return first && err == nil, err
}

// Collect only counts.
func (m *Memory) Collect(context.Context) error {
	return m.do("collect", "", func() error { return nil })
}
