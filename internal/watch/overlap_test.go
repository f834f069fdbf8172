package watch_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// TestOverlap lets a second run do its whole tick at each of the calls of a first one: a retried event, a run longer
// than the timer's interval, a tick by hand. Everything must be told once, and the slower run must undo nothing.
func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, second := range []struct {
		name   string
		change func(*watchtest.World) // between the two
		want   string                 // of all messages, in any grouping
	}{
		{"the same world", nothing, "ins-a left running, ins-b removed"},
		{"a backend more", pool(backend("ins-a", 4), backend("ins-c", 2)), "ins-a left running, ins-b removed, ins-c added"},
	} {
		t.Run(second.name, func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n++ {
				w := watchtest.New()
				w.Set(web, up("ins-a", "ins-b")...)
				tick(t, w, web)
				w.Set(web, backend("ins-a", 4))
				calls, ran := 0, false
				w.Fail(func(op, _ string) (bool, error) {
					if calls++; calls-1 == n {
						w.Fail(nil)
						ran = true
						w.Advance(time.Second)
						second.change(w)
						sum, err := w.Watcher(web).Tick(deadline(t, w))
						if err != nil {
							t.Errorf("the second run, at %s of the first: %+v, %v", op, sum, err)
						}
					}
					return true, nil
				})
				if sum, err := try(t, w, web); err != nil {
					t.Errorf("the first run, overlapped at its call %d: %+v, %v", n, sum, err)
				}
				tick(t, w, web) // tells what the runs left to it
				if !ran {
					if n < 8 {
						t.Fatalf("only %d calls: the test looks at too little", n)
					}
					return
				}
				got := strings.ReplaceAll(strings.TrimPrefix(news(w), "baseline 1/2/2 | "), " | ", ", ")
				if got != second.want && !(n < calls && got == strings.Join(reversed(second.want), ", ")) {
					t.Errorf("overlapped at call %d: told %q, want %q", n, got, second.want)
				}
				if h := w.Head(); len(h.Outbox) != 0 || h.Lease != nil {
					t.Errorf("overlapped at call %d: %d alerts are owed, the lease is %v", n, len(h.Outbox), h.Lease)
				}
			}
		})
	}
}

func reversed(list string) []string {
	parts := strings.Split(list, ", ")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts
}

func deadline(t *testing.T, w *watchtest.World) context.Context {
	t.Helper()
	ctx, cancel := context.WithDeadline(t.Context(), w.Now().Add(50*time.Second))
	t.Cleanup(cancel)
	return ctx
}

// TestSlowRunUndoesNothing has a run see the world early and commit late: what a faster run saw in between stands.
func TestSlowRunUndoesNothing(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	w.Set(web, backend("ins-a", 4)) // what the slow run sees
	w.Fail(func(op, _ string) (bool, error) {
		if op == "create" { // the slow run has read, and is about to compare
			w.Fail(nil)
			for range 2 {
				w.Set(web, up("ins-a")...)
				tick(t, w, web)
				w.Advance(6 * time.Minute) // long enough for the quiet tick to renew the head
			}
		}
		return true, nil
	})
	if _, err := try(t, w, web); err != nil {
		t.Fatal(err)
	}
	tick(t, w, web)
	if got, want := news(w), "baseline 1/1/1"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if s := w.Snapshot(); !strings.Contains(s, `"status":2`) {
		t.Errorf("the snapshot is what the slow run saw: %s", s)
	}
}

func TestManyRunsAtOnce(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b", "ins-c", "ins-d")...)
	tick(t, w, web)
	ids := []string{"ins-a", "ins-b", "ins-c", "ins-d"}
	for i := range ids {
		w.Set(web, up(ids[i+1:]...)...)
		w.Advance(time.Minute)
		var wg sync.WaitGroup
		for range 8 {
			ctx := deadline(t, w)
			wg.Go(func() {
				if _, err := w.Watcher(web).Tick(ctx); err != nil && !errors.Is(err, watch.ErrConflict) {
					t.Errorf("Tick: %v", err)
				}
			})
		}
		wg.Wait()
		tick(t, w, web)
	}
	if got, want := news(w), "baseline 1/4/4 | ins-a removed | ins-b removed | ins-c removed | ins-d removed"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestLease checks that nobody sends while another may be sending, and that a lease ends with the run that held it.
func TestLease(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	w.Set(web, up("ins-a")...)
	w.Fail(func(op, _ string) (bool, error) {
		if op == "notify" {
			return false, watchtest.ErrDied // with the lease in its hand
		}
		return true, nil
	})
	if _, err := try(t, w, web); err == nil {
		t.Fatal("the run that died says it did not")
	}
	w.Fail(nil)
	w.Advance(-time.Minute) // a run that starts at the same moment
	if sum := tick(t, w, web); sum.Sent != 0 || sum.Pending != 1 {
		t.Errorf("%+v while another run has the lease, want nothing sent and 1 owed", sum)
	}
	if sum := tick(t, w, web); sum.Sent != 1 || sum.Pending != 0 {
		t.Errorf("%+v a minute later, want it sent", sum)
	}
}

func TestCollectIsCalledNowAndThen(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	for i := range 100 {
		w.Set(web, up("ins-a", string(rune('b'+i%2)))...) // news each time: two heads a tick
		tick(t, w, web)
	}
	if n, head := w.Collections(), w.Head().N; int64(n) != head/64 {
		t.Errorf("%d collections in %d heads, want one for 64", n, head)
	}
}

func TestPreviewChangesNothing(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	before := w.Head()
	w.Set(web)
	w.Advance(time.Minute)
	a, sum, err := w.Watcher(web).Preview(t.Context())
	if c, _ := a.Totals(); err != nil || c.Removed != 1 || sum.Changes != 1 {
		t.Errorf("Preview = %+v, %+v, %v, want 1 removed", a, sum, err)
	}
	if h := w.Head(); h.N != before.N || len(w.Told()) != 1 {
		t.Errorf("after Preview the head is %d and %d messages were told, want %d and 1", h.N, len(w.Told()), before.N)
	}
}

func TestSurvey(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, backend("ins-a", 2), backend("ins-b", 2))
	tick(t, w, web, api+"x")
	w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
	tick(t, w, web, api+"x")
	before, down := w.Head().N, w.Now()
	w.Set(web, backend("ins-a", 4), backend("ins-b", 4))
	got, err := w.Watcher(web, api+"x").Survey(t.Context())
	if err != nil || len(got.Standings) != 2 || got.Standings[1].Err == nil {
		t.Fatalf("Survey = %+v, %v, want two standings, the second with an error", got, err)
	}
	s := got.Standings[0]
	if s.Total != 2 || s.Running != 0 || len(s.NotRunning) != 2 || s.NotRunning[0].Out == nil || !s.NotRunning[0].Out.Since.Equal(down) || s.NotRunning[1].Out != nil {
		t.Errorf("Survey = %+v, want two not running, the first since %v", s, down)
	}
	w.Fail(func(op, _ string) (bool, error) { return op != "load", errIf(op == "load") })
	if got, err := w.Watcher(web).Survey(t.Context()); err == nil || got.Standings[0].Total != 2 {
		t.Errorf("Survey without state = %+v, %v, want the standings and an error", got, err)
	}
	w.Fail(nil)
	if w.Head().N != before {
		t.Error("Survey changed the state")
	}
}
