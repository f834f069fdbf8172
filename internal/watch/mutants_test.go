package watch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// The tests in this file were each written for a deliberate fault that no other test saw.

// many makes n load balancers with two running backends each, and returns their keys.
func many(w *watchtest.World, n int) []string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf("ap-guangzhou/lb-%04d", i))
		w.Set(keys[i], up("ins-a", "ins-b")...)
	}
	return keys
}

// TestJoinedNewsCountsWhatWasCut has more happen than an alert names, while Slack is away, and a little more after.
func TestJoinedNewsCountsWhatWasCut(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 300)
	tick(t, w, keys...)
	unreadable := func(op, key string) (bool, error) {
		switch {
		case op == "notify":
			return false, watch.ErrNotSent
		case op == "read" && key >= keys[200]:
			return false, errors.New("code 6000")
		}
		return true, nil
	}
	w.Fail(unreadable)
	for _, key := range keys[:120] {
		w.Set(key, up("ins-a")...)
	}
	for range 3 {
		tick(t, w, keys...)
	}
	w.Set(keys[0])
	w.Fail(func(op, key string) (bool, error) {
		if op == "notify" {
			return true, nil
		}
		return unreadable(op, key)
	})
	tick(t, w, keys...)
	told := w.Told()
	a := told[len(told)-1]
	if c, _ := a.Totals(); c.Removed != 121 || len(a.Blind)+a.MoreBlind != 100 {
		t.Errorf("told of %d removed and %d unreadable, want all 121 and 100", c.Removed, len(a.Blind)+a.MoreBlind)
	}
}

func TestJoinedNewsKeepsEachPart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		steps []func(*watchtest.World) (down bool) // a tick follows each, with Slack away but for the last
		want  string
	}{
		{"a baseline, then a change", []func(*watchtest.World) bool{
			func(*watchtest.World) bool { return false },
			func(w *watchtest.World) bool { w.Set(web, up("ins-b")...); return false },
		}, "ins-a removed, baseline 2/3/3"},
		{"an unreadable load balancer, then a change of another", []func(*watchtest.World) bool{
			func(*watchtest.World) bool { return false },
			func(*watchtest.World) bool { return true }, func(*watchtest.World) bool { return true }, func(*watchtest.World) bool { return true },
			func(w *watchtest.World) bool { w.Set(web, up("ins-b")...); return true },
		}, "ins-a removed, blind lb-c4r9t0zw, baseline 2/3/3"},
		{"one readable again, then a change of another", []func(*watchtest.World) bool{
			func(*watchtest.World) bool { return false },
			func(*watchtest.World) bool { return true }, func(*watchtest.World) bool { return true }, func(*watchtest.World) bool { return true },
			func(*watchtest.World) bool { return false },
			func(w *watchtest.World) bool { w.Set(web, up("ins-b")...); return false },
		}, "ins-a removed, sighted lb-c4r9t0zw, baseline 2/3/3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Set(web, up("ins-a", "ins-b")...)
			w.Set(api, up("ins-c")...)
			for i, step := range tt.steps {
				down := step(w)
				w.Fail(func(op, key string) (bool, error) {
					switch {
					case op == "notify" && i < len(tt.steps)-1:
						return false, watch.ErrNotSent
					case op == "read" && key == api && down:
						return false, errors.New("code 6000")
					}
					return true, nil
				})
				tick(t, w, web, api)
			}
			if got := news(w); got != tt.want {
				t.Errorf("told %q in one message, want %q", got, tt.want)
			}
		})
	}
}

func TestNewLoadBalancerIsToldWithWhatIsOwed(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	w.Set(api, up("ins-c")...)
	tick(t, w, web)
	w.Set(web, up("ins-b")...)
	w.Fail(fail("notify", watch.ErrNotSent))
	tick(t, w, web)
	w.Fail(nil)
	tick(t, w, web, api)
	if got, want := news(w), "baseline 1/2/2 | ins-a removed, baseline 1/1/1"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestWorstIsToldFirst checks the order of load balancers in a message, and with it what a cut leaves out.
func TestWorstIsToldFirst(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 5)
	w.Set(keys[4], up("ins-a")...)
	w.Set(keys[3], up("ins-a", "ins-b", "ins-c", "ins-d")...)
	tick(t, w, keys...)
	w.Set(keys[0], up("ins-a", "ins-b", "ins-z")...)                                                   // added
	w.Set(keys[1], up("ins-a")...)                                                                     // removed
	w.Set(keys[2], backend("ins-a", 4), backend("ins-b", 2))                                           // one left running
	w.Set(keys[3], backend("ins-a", 4), backend("ins-b", 4), backend("ins-c", 2), backend("ins-d", 2)) // two did
	w.Set(keys[4], backend("ins-a", 4))                                                                // the last one did
	tick(t, w, keys...)
	var got []string
	for _, p := range w.Told()[1].Pools {
		got = append(got, strings.TrimPrefix(p.CLB.ID, "lb-000"))
	}
	if got, want := strings.Join(got, " "), "4 3 2 1 0"; got != want {
		t.Errorf("told in the order %s, want %s: dead, left running, removed, added", got, want)
	}
}

// TestBigChangeLeavesRoomForTheOthers has one load balancer change more than an alert can name, and others a little.
func TestBigChangeLeavesRoomForTheOthers(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 10)
	tick(t, w, keys...)
	big := up("ins-a", "ins-b")
	for i := range 2000 {
		big = append(big, backend(fmt.Sprintf("ins-new-%04d", i), 2))
	}
	w.Set(keys[0], big...)
	for _, key := range keys[1:] {
		w.Set(key, up("ins-a", "ins-b", "ins-c")...)
	}
	tick(t, w, keys...)
	named := 0
	for _, p := range w.Told()[1].Pools {
		if len(p.Changes) == 0 {
			t.Errorf("no change of %s is named", p.CLB.ID)
		}
		named += len(p.Changes)
	}
	if c, _ := w.Told()[1].Totals(); c.Added != 2009 || named < 60 || named > 600 {
		t.Errorf("%d changes counted and %d named, want 2009 and 60 to 600", c.Added, named)
	}
}

func TestBaselineOfManyNamesAFew(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 40)
	w.Set(keys[39], backend("ins-a", 4), backend("ins-b", 4))
	tick(t, w, keys...)
	b := w.Told()[0].Baseline
	if b.CLBs != 40 || b.Backends != 80 || b.Running != 78 || len(b.Pools) > 20 || b.Pools[0].CLB.Key() != keys[39] {
		t.Errorf("baseline %d/%d/%d names %d load balancers, the first %s; want 40/78/80, a few of them, the worst first",
			b.CLBs, b.Running, b.Backends, len(b.Pools), b.Pools[0].CLB.Key())
	}
}

// rewriting changes the text of stored snapshots.
type rewriting struct {
	watch.Store
	change func(string) string
}

func (s rewriting) OpenSnapshot(ctx context.Context, b watch.Blob) (io.ReadCloser, error) {
	r, err := s.Store.OpenSnapshot(ctx, b)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	return struct {
		io.Reader
		io.Closer
	}{strings.NewReader(s.change(string(text))), r}, err
}

// TestSnapshotThatIsNotWholeStopsTheTick: what is missing would be taken for a new load balancer, and its changes lost.
func TestSnapshotThatIsNotWholeStopsTheTick(t *testing.T) {
	t.Parallel()
	lines := func(order ...int) func(string) string {
		return func(text string) string {
			l := strings.SplitAfter(text, "\n")
			var out strings.Builder
			for _, i := range order {
				out.WriteString(l[i])
			}
			return out.String()
		}
	}
	replace := func(old, new string) func(string) string {
		return func(text string) string { return strings.Replace(text, old, new, 1) }
	}
	second := func(change func(string) string) func(string) string {
		n := 0
		return func(text string) string {
			if n++; n >= 2 {
				return change(text)
			}
			return text
		}
	}
	for name, change := range map[string]func(string) string{
		"of another schema":             replace(`"schema":1`, `"schema":2`),
		"its index no JSON":             replace(`{"schema"`, `["schema"`),
		"empty":                         func(string) string { return "" },
		"its records out of order":      lines(0, 2, 1, 3),
		"a record twice":                lines(0, 1, 2, 2, 3),
		"a record of another form":      replace(`{"key":"ap-guangzhou/lb-0001"`, `{"Key":"ap-guangzhou/lb-0001"`),
		"a record that is no JSON":      replace(`"backends":[{`, `"backends":[[`),
		"empty from the second look on": second(func(string) string { return "" }),
		"the last line cut short":       func(text string) string { return text[:len(text)-1] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			keys := many(w, 3)
			tick(t, w, keys...)
			before := w.Head().N
			for _, key := range keys {
				w.Set(key, up("ins-a", "ins-9")...)
			}
			w.Advance(time.Minute)
			v := w.Watcher(keys...)
			v.Store = rewriting{v.Store, change}
			if sum, err := v.Tick(deadline(t, w)); err == nil || w.Head().N != before {
				t.Errorf("Tick = %+v, %v, head %d; want an error and the head still %d", sum, err, w.Head().N, before)
			}
		})
	}
}

// TestEveryTimeoutLeavesTimeForEachStep checks, for short and long runs, what reading and sending may take.
func TestEveryTimeoutLeavesTimeForEachStep(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                  string
		timeout               time.Duration // 0: none
		readLeast, readMost   time.Duration // between the end of reading and that of the run
		leastToMark, mostMark time.Duration // between the end of sending and that of the run
	}{
		{"the platform's default of 3 s", 3 * time.Second, time.Second, 1500 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond},
		{"20 s", 20 * time.Second, 7 * time.Second, 9 * time.Second, 3 * time.Second, 5 * time.Second},
		{"15 min", 15 * time.Minute, 10 * time.Second, 20 * time.Second, 4 * time.Second, 6 * time.Second},
		{"no limit: five minutes", 0, 10 * time.Second, 20 * time.Second, 4 * time.Second, 6 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Set(web, up("ins-a")...)
			ctx, end := t.Context(), w.Now().Add(5*time.Minute)
			if tt.timeout > 0 {
				var cancel context.CancelFunc
				end = w.Now().Add(tt.timeout)
				ctx, cancel = context.WithDeadline(ctx, end)
				defer cancel()
			}
			read, send := reserves(ctx, t, w.Watcher(web), end)
			if read < tt.readLeast || read > tt.readMost || send < tt.leastToMark || send > tt.mostMark {
				t.Errorf("reading ends %v before the run, want %v to %v; sending %v, want %v to %v",
					read, tt.readLeast, tt.readMost, send, tt.leastToMark, tt.mostMark)
			}
		})
	}
}

// TestLeaseHoldsUntilItsEnd has a sender be killed, and others come around the end of its lease.
func TestLeaseHoldsUntilItsEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		after time.Duration // the end of the lease
		sent  int
	}{
		{"just before", -time.Millisecond, 0},
		{"at its end", 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Set(web, up("ins-a", "ins-b")...)
			tick(t, w, web)
			w.Set(web, up("ins-a")...)
			w.Fail(fail("notify", watchtest.ErrDied))
			_, _ = try(t, w, web)
			w.Fail(nil)
			w.Advance(w.Head().Lease.Until.Add(tt.after).Sub(w.Now()))
			if sum, err := w.Watcher(web).Tick(deadline(t, w)); err != nil || sum.Sent != tt.sent || sum.Pending != 1-tt.sent {
				t.Errorf("%+v, %v, want %d sent", sum, err, tt.sent)
			}
		})
	}
}

// TestEmptyReadingIsDoubtedAfterNewsOfAnother has the cloud answer with nothing for a moment, a tick after a snapshot was
// written because of another load balancer.
func TestEmptyReadingIsDoubtedAfterNewsOfAnother(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	w.Set(api, up("ins-c")...)
	tick(t, w, web, api)
	w.Set(api, up("ins-d")...)
	tick(t, w, web, api)
	reads := 0
	w.Fail(func(op, key string) (bool, error) {
		if op == "read" && key == web {
			w.Set(web)
			if reads++; reads > 1 {
				w.Set(web, up("ins-a", "ins-b")...)
			}
		}
		return true, nil
	})
	tick(t, w, web, api)
	if got, want := news(w), "baseline 2/3/3 | ins-c removed, ins-d added"; got != want || reads != 2 {
		t.Errorf("told %q after %d readings, want %q after 2", got, reads, want)
	}
}

// TestAnswerThatDiffersInNothingIsNotStoredEachTick has an API whose bytes are others at each call.
func TestAnswerThatDiffersInNothingIsNotStoredEachTick(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	n := 0
	do := func() int64 {
		w.Advance(time.Minute)
		v := w.Watcher(web)
		v.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
			n++
			return lb.Reading{Digest: lb.Digest(fmt.Sprint("digest ", n)), Backends: up("ins-a")}, nil
		})
		if _, err := v.Tick(deadline(t, w)); err != nil {
			t.Fatal(err)
		}
		return w.Head().N
	}
	before := do()
	for range 3 {
		if got := do(); got != before {
			t.Errorf("head %d after a tick without news, want still %d", got, before)
		}
	}
}

func TestReasonOfAMileIsCut(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(api, up("ins-c")...)
	w.Fail(func(op, key string) (bool, error) {
		if op == "read" && key == web {
			return false, errors.New(strings.Repeat("界", 10_000))
		}
		return true, nil
	})
	tick(t, w, web, api)
	if why := w.Head().Blind[web].Why; len(why) > 320 || !strings.HasPrefix(why, "界界") || !strings.HasSuffix(why, "界…") {
		t.Errorf("%d bytes are kept, ending in %.20q, want about 300 and whole characters", len(why), why[max(0, len(why)-10):])
	}
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
	for name, broken := range map[string]brokenSpool{"full": {write: full}, "unreadable": {read: full}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Set(web, up("ins-a", "ins-b")...)
			tick(t, w, web)
			w.Set(web, up("ins-a")...)
			w.Advance(time.Minute)
			v := w.Watcher(web)
			spool := v.Spool
			v.Spool = func() (watch.Spool, error) {
				inner, err := spool()
				broken.Spool = inner
				return broken, err
			}
			if sum, err := v.Tick(deadline(t, w)); !errors.Is(err, full) {
				t.Errorf("Tick = %+v, %v, want %v", sum, err, full)
			}
			tick(t, w, web)
			if got, want := news(w), "baseline 1/2/2 | ins-b removed"; got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		})
	}
}

// counting counts what is open of a store.
type counting struct {
	watch.Store
	open *int
}

type closer struct {
	io.ReadCloser
	open *int
}

func (c closer) Close() error { *c.open--; return c.ReadCloser.Close() }

type writeCloser struct {
	watch.SnapshotWriter
	open *int
}

func (c writeCloser) Close() error { *c.open--; return c.SnapshotWriter.Close() }

func (s counting) OpenSnapshot(ctx context.Context, b watch.Blob) (io.ReadCloser, error) {
	r, err := s.Store.OpenSnapshot(ctx, b)
	if err != nil {
		return nil, err
	}
	*s.open++
	return closer{r, s.open}, nil
}

func (s counting) CreateSnapshot(ctx context.Context) (watch.SnapshotWriter, error) {
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
		"survey":  func(ctx context.Context, v *watch.Watcher) error { _, err := v.Survey(ctx); return err },
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
			if err := do(deadline(t, w), v); err != nil || open != 0 {
				t.Errorf("%v, and %d files are left open", err, open)
			}
		})
	}
}
