package watch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// readFunc is a source of one's own.
type readFunc func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error)

func (f readFunc) Read(ctx context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error) {
	return f(ctx, c, known)
}

// fail makes one operation fail.
func fail(op string, err error) watchtest.Fault {
	return func(o, _ string) (bool, error) {
		if o == op {
			return false, err
		}
		return true, nil
	}
}

func TestAClockThatWasAheadBlindsNobody(t *testing.T) {
	t.Parallel()
	for _, readable := range []bool{false, true} {
		w := watchtest.New()
		w.Set(web, up("ins-a", "ins-b")...)
		tick(t, w, web)
		w.Advance(24 * time.Hour) // wrong …
		if !readable {
			w.Fail(fail("read", errors.New("code 4500")))
		}
		_, _ = try(t, w, web)
		w.Fail(nil)
		w.Advance(-24 * time.Hour) // … and right again
		w.Set(web, up("ins-a")...)
		tick(t, w, web)
		if got, want := news(w), "baseline 1/2/2 | ins-b removed"; got != want {
			t.Errorf("after a tick a day ahead, readable: %v: told %q, want %q", readable, got, want)
		}
	}
}

func TestALeaseFromTheFutureHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	w.Advance(24 * time.Hour)
	w.Set(web, up("ins-a")...)
	w.Fail(fail("notify", watchtest.ErrDied))
	_, _ = try(t, w, web)
	w.Fail(nil)
	w.Advance(-24 * time.Hour)
	tick(t, w, web)
	if got, want := news(w), "baseline 1/2/2 | ins-b removed"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestAlertThatPeopleMayHaveIsNotChanged has a run die after Slack took the message, and the next one meet a 429: what is
// told again must be the same alert, under the same number, and later news another.
func TestAlertThatPeopleMayHaveIsNotChanged(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]watchtest.Fault{
		"killed after it was taken": func(op, _ string) (bool, error) {
			if op == "notify" {
				return true, watchtest.ErrDied
			}
			return true, nil
		},
		"the answer was lost": func(op, _ string) (bool, error) {
			if op == "notify" {
				return true, errors.New("connection reset")
			}
			return true, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Set(web, up("ins-a", "ins-b")...)
			tick(t, w, web)
			w.Set(web, up("ins-b")...)
			w.Fail(first)
			_, _ = try(t, w, web)
			w.Fail(fail("notify", fmt.Errorf("%w: 429", watch.ErrNotSent)))
			tick(t, w, web)
			w.Fail(nil)
			w.Set(web)
			tick(t, w, web)
			told := w.Told()
			if got, want := news(w), "baseline 1/2/2 | ins-a removed | ins-a removed | ins-b removed"; got != want || told[1].ID != told[2].ID {
				t.Errorf("told %q, want %q with the second under the number of the first: %s, %s", got, want, told[1].ID, told[2].ID)
			}
		})
	}
}

func TestFailureStopsWhatComesAfter(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	w.Set(web, up("ins-b")...)
	w.Fail(fail("notify", watchtest.ErrDied)) // leaves an alert that is claimed
	_, _ = try(t, w, web)
	w.Set(web)
	calls := 0
	w.Fail(func(op, _ string) (bool, error) {
		if op == "notify" {
			calls++
			return false, errors.New("503")
		}
		return true, nil
	})
	if sum := tick(t, w, web); calls != 1 || sum.Pending != 2 {
		t.Errorf("%d messages tried, %+v; want the second to wait for the first, so that news stays in order", calls, sum)
	}
}

// TestEmptyPoolIsConfirmedAgainstTheStateItIsTold has a first run read "empty" while another run takes the baseline.
func TestEmptyPoolIsConfirmedAgainstTheStateItIsTold(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	slow := w.Watcher(web)
	slow.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
		return lb.Reading{Digest: "empty"}, nil
	})
	slow.Spool = func() (watch.Spool, error) { // after the slow run has loaded, and before it commits
		tick(t, w, web)
		w.Advance(-time.Second)
		return w.Watcher(web).Spool()
	}
	now := w.Now()
	slow.Now = func() time.Time { return now.Add(2 * time.Minute) } // it began later
	if _, err := slow.Tick(deadline(t, w)); err != nil {
		t.Fatal(err)
	}
	if got, want := news(w), "baseline 1/2/2"; got != want {
		t.Errorf("told %q after one reading, want %q", got, want)
	}
}

func TestRemovalIsConfirmedByTheNextTickWhereThereIsNoTime(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Set(api, up("ins-c", "ins-d")...)
	tick(t, w, web, api)
	w.Set(web)
	w.Set(api, backend("ins-d", 4)) // what stopped is news at once
	v := w.Watcher(web, api)
	v.Sleep = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
	w.Advance(time.Minute)
	if sum, err := v.Tick(deadline(t, w)); err != nil || sum.Unreadable != 0 || sum.Changes != 1 {
		t.Errorf("%+v, %v, want both read, and one change", sum, err)
	}
	tick(t, w, web, api)
	tick(t, w, web, api)
	if got, want := news(w), "baseline 2/3/3 | ins-d left running | ins-c removed, ins-a removed"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestNoLoadBalancerIsStarved(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	var keys []string
	for i := range 100 { // it divides the milliseconds of a minute
		key := fmt.Sprintf("ap-guangzhou/lb-%04d", i)
		keys = append(keys, key)
		w.Set(key, up("ins-a")...)
	}
	seen := make(map[string]bool)
	for range 60 {
		w.Advance(time.Minute)
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
		if _, err := v.Tick(deadline(t, w)); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) < 100 {
		t.Errorf("in 60 ticks with time for 80 of 100, %d were ever read", len(seen))
	}
}

func TestDigestThatChangesAloneIsStoredInTime(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	digest := lb.Digest("one")
	var ops []string
	do := func() string {
		w.Advance(time.Minute)
		ops = nil
		w.Fail(func(op, _ string) (bool, error) { ops = append(ops, op); return true, nil })
		v := w.Watcher(web)
		v.Source = readFunc(func(_ context.Context, _ lb.CLB, known lb.Digest) (lb.Reading, error) {
			if known == digest {
				return lb.Reading{Digest: known, Unchanged: true}, nil
			}
			return lb.Reading{Digest: digest, Backends: up("ins-a")}, nil
		})
		if _, err := v.Tick(deadline(t, w)); err != nil {
			t.Fatal(err)
		}
		return strings.Join(ops, " ")
	}
	do()
	digest = "two" // something that nobody needs has changed, for good
	for range 7 {
		do()
	}
	if got, want := do(), "load open"; got != want {
		t.Errorf("minutes later a quiet tick does %q, want %q", got, want)
	}
	if got, want := news(w), "baseline 1/1/1"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestJoinedNewsOfReadingIsHowItIsNow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		down []bool // tick by tick, with Slack away
		want string
	}{
		{[]bool{true, true, true}, "blind lb-8a3k2m1q"},
		{[]bool{true, true, true, false}, "sighted lb-8a3k2m1q"},
		{[]bool{true, true, true, false, true, true, true}, "blind lb-8a3k2m1q"},
	} {
		w := watchtest.New()
		w.Set(web, up("ins-a")...)
		w.Set(api, up("ins-c")...)
		tick(t, w, web, api)
		for _, down := range tt.down {
			w.Fail(func(op, key string) (bool, error) {
				switch {
				case op == "notify":
					return false, watch.ErrNotSent
				case op == "read" && key == web && down:
					return false, errors.New("down")
				}
				return true, nil
			})
			tick(t, w, web, api)
		}
		w.Fail(nil)
		if tt.down[len(tt.down)-1] {
			w.Fail(func(op, key string) (bool, error) {
				return op != "read" || key != web, errIf(op == "read" && key == web)
			})
		}
		tick(t, w, web, api)
		if got, want := news(w), "baseline 2/2/2 | "+tt.want; got != want {
			t.Errorf("down %v: told %q, want %q", tt.down, got, want)
		}
	}
}

func TestSurveyLeavesTimeToTell(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	v := w.Watcher(web)
	v.Now = time.Now
	v.Source = readFunc(func(ctx context.Context, _ lb.CLB, _ lb.Digest) (lb.Reading, error) {
		<-ctx.Done()
		return lb.Reading{}, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := v.Survey(ctx); err != nil || ctx.Err() != nil {
		t.Errorf("Survey = %v; the context: %v, want time left to post the report", err, ctx.Err())
	}
}

func TestSurveyConfirmsAnEmptyPool(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	v := w.Watcher(web)
	reads := 0
	v.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
		if reads++; reads == 1 {
			return lb.Reading{}, nil
		}
		return lb.Reading{Backends: up("ins-a")}, nil
	})
	if got, err := v.Survey(t.Context()); err != nil || got.Standings[0].Total != 1 {
		t.Errorf("Survey = %+v, %v, want what the second reading says", got, err)
	}
}

// truncating cuts the end off snapshots, and says so as a store does, at the end.
type truncating struct{ watch.Store }

func (s truncating) OpenSnapshot(ctx context.Context, b watch.Blob) (io.ReadCloser, error) {
	r, err := s.Store.OpenSnapshot(ctx, b)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	cut := strings.NewReader(string(text[:len(text)-10]))
	return io.NopCloser(io.MultiReader(cut, iotest.ErrReader(errors.New("its content is not what its name says")))), nil
}

// TestDeadlines checks that a run divides its time: reading ends with time left to send, sending with time left to mark.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	end := w.Now().Add(50 * time.Second)
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()
	read, send := reserves(ctx, t, w.Watcher(web), end)
	var lease time.Duration
	w.Set(web)
	v2 := w.Watcher(web)
	v2.Notifier = notifyFunc(func(context.Context, watch.Delivery) error {
		lease = w.Head().Lease.Until.Sub(end)
		return nil
	})
	w.Advance(5 * time.Second)
	if _, err := v2.Tick(ctx); err != nil {
		t.Fatal(err)
	}
	if read < 10*time.Second || send < 2*time.Second || send >= read {
		t.Errorf("reading ends %v and sending %v before the run does", read, send)
	}
	if lease < time.Second || lease > 10*time.Second {
		t.Errorf("the lease ends %v after the run, want a few seconds: the next tick may come 10 s later", lease)
	}
}

// reserves does one tick that ends at end at the latest, and says how long before that reading and sending have to end.
func reserves(ctx context.Context, t *testing.T, v *watch.Watcher, end time.Time) (read, send time.Duration) {
	t.Helper()
	inner := v.Source
	v.Source = readFunc(func(ctx context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error) {
		d, _ := ctx.Deadline()
		read = end.Sub(d)
		return inner.Read(ctx, c, known)
	})
	v.Notifier = notifyFunc(func(ctx context.Context, _ watch.Delivery) error {
		d, _ := ctx.Deadline()
		send = end.Sub(d)
		return nil
	})
	if _, err := v.Tick(ctx); err != nil {
		t.Fatal(err)
	}
	return read, send
}

type notifyFunc func(context.Context, watch.Delivery) error

func (f notifyFunc) Notify(ctx context.Context, d watch.Delivery) (watch.Receipt, error) {
	return watch.Receipt{}, f(ctx, d)
}

func TestDecodeHeadRefuses(t *testing.T) {
	t.Parallel()
	good := watch.Head{Schema: 4, N: 5, Writer: "w", Snapshot: &watch.Blob{SHA256: strings.Repeat("0", 64), Tag: "T", Bytes: 9},
		Outbox: []watch.Alert{{ID: "x"}}}
	b, err := good.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.DecodeHead(5, b); err != nil {
		t.Fatalf("DecodeHead(%s): %v", b, err)
	}
	for _, change := range [][2]string{
		{`"snapshot"`, `"snapshoX"`}, {`"outbox"`, `"outbin"`}, {`"writer":"w"`, `"writer":""`}, {`"n":5`, `"n":6`}, {`"schema":4`, `"schema":5`}, {`"schema":4`, `"schema":0`},
		{`"bytes":9`, `"bytes":0`}, {strings.Repeat("0", 64), "00"}, {`}`, ``},
	} {
		damaged := strings.Replace(string(b), change[0], change[1], 1)
		if h, err := watch.DecodeHead(5, []byte(damaged)); err == nil {
			t.Errorf("DecodeHead takes %s: %+v", damaged, h)
		}
	}
}

func TestSnapshotThatIsDamagedBehindTheIndexIsNotCommitted(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	var keys []string
	for i := range 3 {
		key := fmt.Sprintf("ap-guangzhou/lb-%04d", i)
		keys = append(keys, key)
		w.Set(key, up("ins-a")...)
	}
	tick(t, w, keys...)
	// The last load balancer is dropped from the settings, so that only reading on to the end meets the damage in it.
	v := w.Watcher(keys[:2]...)
	v.Store = truncating{v.Store}
	w.Set(keys[0], up("ins-b")...)
	w.Advance(time.Minute)
	if sum, err := v.Tick(deadline(t, w)); err == nil {
		t.Errorf("a tick on a damaged snapshot: %+v, want an error", sum)
	}
	if got, want := news(w), "baseline 3/3/3"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestSummaryNamesWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	sum := tick(t, w, web, api)
	if sum.Unread == nil || !strings.Contains(sum.Unread.Error(), "cannot read "+api) {
		t.Errorf("Unread = %v, want it to name %s", sum.Unread, api)
	}
}

func TestSurveySaysWhatItHadToDoWithout(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]watchtest.Fault{
		"the state cannot be loaded":     fail("load", errors.New("down")),
		"the snapshot cannot be opened":  fail("open", errors.New("down")),
		"the snapshot is another's text": nil,
	} {
		w := watchtest.New()
		w.Set(web, backend("ins-a", 4))
		tick(t, w, web)
		w.Fail(fault)
		v := w.Watcher(web)
		if fault == nil {
			v.Store = foreign{v.Store}
		}
		if got, err := v.Survey(t.Context()); err == nil || len(got.Standings) != 1 || len(got.Standings[0].NotRunning) != 1 {
			t.Errorf("%s: Survey = %+v, %v, want the standing and an error", name, got, err)
		}
	}
}

// foreign has snapshots that are none of ours.
type foreign struct{ watch.Store }

func (foreign) OpenSnapshot(context.Context, watch.Blob) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(`{"schema":1,"clbs":{}}` + "\nnot a record\n")), nil
}

// sourceFunc is a source in a function.
type sourceFunc func(lb.CLB, lb.Digest) (lb.Reading, error)

func (f sourceFunc) Read(_ context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error) {
	return f(c, known)
}

func TestADigestToRememberIsStoredAtOnce(t *testing.T) {
	t.Parallel()
	for _, remember := range []bool{false, true} {
		w := watchtest.New()
		w.Set(web, up("ins-a")...)
		tick(t, w, web)
		w.Advance(time.Minute)
		v := w.Watcher(web)
		v.Source = sourceFunc(func(lb.CLB, lb.Digest) (lb.Reading, error) {
			return lb.Reading{Backends: up("ins-a"), Digest: "learned", Remember: remember}, nil
		})
		if sum, err := v.Tick(deadline(t, w)); err != nil || sum.Changes != 0 {
			t.Fatal(sum, err)
		}
		if stored := strings.Contains(w.Snapshot(), "learned"); stored != remember {
			t.Errorf("a digest to remember: %v; stored a minute after the last head: %v", remember, stored)
		}
	}
}
