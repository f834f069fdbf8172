package watch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// Where there is not enough time for all, it is not the same ones each time that are left out.
func TestNoLoadBalancerIsStarved(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 100) // it divides the milliseconds of a minute
	seen := make(map[string]bool)
	for range 60 {
		v := w.Watcher(keys...)
		inner := v.Source
		var mu sync.Mutex
		n := 0
		v.Source = readFunc(func(ctx context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error) {
			mu.Lock()
			defer mu.Unlock()
			if n++; n > 80 {
				return lb.Reading{}, errors.New("no time left")
			}
			seen[c.Key()] = true
			return inner.Read(ctx, c, known)
		})
		run(t, w, v)
	}
	if len(seen) < 100 {
		t.Errorf("in 60 ticks with time for 80 of 100, %d were ever read", len(seen))
	}
}

// A load balancer that hangs delays the others by less than 5 s, and counts as unread.
func TestLoadBalancerThatHangsDelaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := watchtest.New()
		keys := many(w, 100)
		v := w.Watcher(keys...)
		v.Source = stuck{v.Source, keys[7]}
		sum, took, err := inBubble(t, w, v, 0)
		if err != nil || sum.Read != 99 || sum.Unreadable != 1 || took > 5*time.Second {
			t.Errorf("%+v, %v, in %v, want 99 read within 5 s", sum, err, took)
		}
		if sum.Unread == nil || !strings.Contains(sum.Unread.Error(), "no answer while the others were read") {
			t.Errorf("Unread = %v, want it to say that it was given up because the others were done", sum.Unread)
		}
	})
}

func TestWhereAllHangTheyHaveAllTheTimeThereIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := watchtest.New()
		v := w.Watcher(many(w, 100)...)
		v.Source = stuck{v.Source, ""}
		if sum, took, err := inBubble(t, w, v, 0); err == nil || took < 40*time.Second {
			t.Errorf("all hang: %+v, %v after %v, want an error once the time is up", sum, err, took)
		}
		reasons := make(map[string]bool)
		for _, r := range w.Head().Incidents.Reasons {
			reasons[r.Why+", "+r.Do] = true
		}
		if !reasons["context deadline exceeded, "] ||
			!reasons["not reached before the deadline of this run, "+watch.DoTime] {
			t.Errorf("they cannot be read because of %v, want also that some were not reached, and what to do",
				reasons)
		}
	})
}

type stuck struct {
	watch.Source
	key string
}

func (s stuck) Read(ctx context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error) {
	if s.key == "" || c.Key() == s.key {
		<-ctx.Done()
		return lb.Reading{}, ctx.Err()
	}
	return s.Source.Read(ctx, c, known)
}

// brokenSpool is a disk that is full, or that cannot be read back.
type brokenSpool struct {
	watch.Spool
	write, read error
}

func (s brokenSpool) Write(p []byte) (int, error) {
	if s.write != nil {
		return 0, s.write
	}
	return s.Spool.Write(p)
}

func (s brokenSpool) ReadAt(p []byte, off int64) (int, error) {
	if s.read != nil {
		return 0, s.read
	}
	return s.Spool.ReadAt(p, off)
}

func TestNewsThatCannotBeSpooledIsNotLost(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	for name, broken := range map[string]brokenSpool{"full": {write: full}, "unreadable": {read: full},
		"none": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Set(web, up("ins-a", "ins-b")...)
			tick(t, w, web)
			w.Set(web, backend("ins-a", 2), backend("ins-b", 4))
			v := w.Watcher(web)
			spool := v.Spool
			v.Spool = func() (watch.Spool, error) {
				if name == "none" {
					return nil, full
				}
				inner, err := spool()
				broken.Spool = inner
				return broken, err
			}
			w.Advance(time.Minute)
			if sum, err := v.Tick(deadline(t, w)); !errors.Is(err, full) {
				t.Errorf("Tick = %+v, %v, want %v", sum, err, full)
			}
			tick(t, w, web)
			if got, want := news(w), "watching 1: 2 of 2 | ins-b stopped"; got != want {
				t.Errorf("posted %q, want %q", got, want)
			}
		})
	}
}

// Many readings that changed are kept apart in the spool, whatever their size.
func TestManyChangedReadingsAreKeptApart(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 50)
	tick(t, w, keys...)
	for i, key := range keys {
		bs := up("ins-a", "ins-b")
		for n := range i {
			bs = append(bs, backend(fmt.Sprintf("ins-%02d-%02d", i, n), 2))
		}
		lb.SortBackends(bs)
		w.Set(key, bs...)
	}
	if sum := tick(t, w, keys...); sum.Changes != 49*50/2 {
		t.Errorf("%+v, want %d changes", sum, 49*50/2)
	}
	if sum := ticks(t, 2, w, keys...); sum.Changes != 0 {
		t.Errorf("%+v a tick later, want none", sum)
	}
}

// counting counts what is open of a store and of a spool.
type counting struct {
	state.Store
	open *int
}

type closer struct {
	io.ReadCloser
	open *int
}

func (c closer) Close() error { *c.open--; return c.ReadCloser.Close() }

type writeCloser struct {
	state.SnapshotWriter
	open *int
}

func (c writeCloser) Close() error { *c.open--; return c.SnapshotWriter.Close() }

type spoolCloser struct {
	watch.Spool
	open *int
}

func (c spoolCloser) Close() error { *c.open--; return c.Spool.Close() }

func (s counting) OpenSnapshot(ctx context.Context, b state.Blob) (io.ReadCloser, error) {
	r, err := s.Store.OpenSnapshot(ctx, b)
	if err != nil {
		return nil, err
	}
	*s.open++
	return closer{r, s.open}, nil
}

func (s counting) CreateSnapshot(ctx context.Context) (state.SnapshotWriter, error) {
	sw, err := s.Store.CreateSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	*s.open++
	return writeCloser{sw, s.open}, nil
}

// TestNothingStaysOpen checks files, of which an instance that lives for weeks would run out.
func TestNothingStaysOpen(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(ctx context.Context, v *watch.Watcher) error{
		"tick":    func(ctx context.Context, v *watch.Watcher) error { _, err := v.Tick(ctx); return err },
		"preview": func(ctx context.Context, v *watch.Watcher) error { _, _, err := v.Preview(ctx); return err },
		"survey": func(ctx context.Context, v *watch.Watcher) error {
			_, err := v.Survey(ctx, time.Time{}, 0)
			return err
		},
		"conflict": func(ctx context.Context, v *watch.Watcher) error {
			commits := 0
			v.Store = conflicting{v.Store, &commits}
			if _, err := v.Tick(ctx); !errors.Is(err, state.ErrConflict) {
				return fmt.Errorf("Tick = %w, want a conflict", err)
			}
			return nil
		},
		"nothing new": func(ctx context.Context, v *watch.Watcher) error {
			v.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
				return lb.Reading{Backends: up("ins-a"), Digest: "other bytes"}, nil
			})
			sum, err := v.Tick(ctx)
			if sum.Changes > 0 {
				return fmt.Errorf("it has %d changes", sum.Changes)
			}
			return err
		},
		"damaged": func(ctx context.Context, v *watch.Watcher) error {
			n := 0
			v.Store = rewriting{v.Store, func(text string) string {
				if n++; n > 1 {
					return text[:len(text)-1]
				}
				return text
			}}
			if _, err := v.Tick(ctx); err == nil {
				return errors.New("a damaged snapshot is taken")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Set(web, up("ins-a")...)
			tick(t, w, web)
			w.Set(web, backend("ins-a", 4))
			w.Advance(time.Minute)
			v, open := w.Watcher(web), 0
			v.Store = counting{v.Store, &open}
			spool := v.Spool
			v.Spool = func() (watch.Spool, error) {
				s, err := spool()
				open++
				return spoolCloser{s, &open}, err
			}
			if err := do(deadline(t, w), v); err != nil || open != 0 {
				t.Errorf("%v, and %d files are left open", err, open)
			}
		})
	}
}
