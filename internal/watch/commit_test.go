package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// modes are the ways in which one call of a run can go wrong.
var modes = []struct {
	name  string
	apply bool
	err   error
}{
	{"dies before", false, watchtest.ErrDied},
	{"dies after", true, watchtest.ErrDied},
	{"fails", false, errors.New("it fails")},
	{"answer lost", true, errors.New("the answer is lost")},
	{"conflicts", false, state.ErrConflict},
}

// TestChangesSurviveAnyFault lets each call of some ticks go wrong, one at a time, in every way there is,
// while backends change. Each change must be in the history once, and in Slack; a bot must not post anything
// twice, and a webhook only what may not have arrived.
func TestChangesSurviveAnyFault(t *testing.T) {
	t.Parallel()
	for _, bot := range []bool{true, false} {
		for _, mode := range modes {
			t.Run(fmt.Sprintf("bot %v, %s", bot, mode.name), func(t *testing.T) {
				t.Parallel()
				n := 0
				for faultAt(t, bot, n, mode.apply, mode.err) {
					n++
				}
				if n < 35 {
					t.Fatalf("only %d calls: the test looks at too little", n)
				}
			})
		}
	}
}

// faultAt lets the nth call go wrong, and reports whether there was one.
func faultAt(t *testing.T, bot bool, n int, apply bool, fault error) bool {
	t.Helper()
	w := watchtest.New()
	if !bot {
		w.Webhook()
	}
	w.Set(web, up("ins-a", "ins-b")...)
	w.Set(api, up("ins-c")...)
	tick(t, w, web, api)
	calls, hit := 0, ""
	w.Fail(func(op, _ string) (bool, error) {
		if calls++; calls-1 != n {
			return true, nil
		}
		hit = op
		return apply, fault
	})
	for _, step := range [][]lb.Backend{
		{backend("ins-a", 4), backend("ins-b", 2)}, {backend("ins-a", 4)}, up("ins-a"), up("ins-a", "ins-d"),
	} {
		w.Set(web, step...)
		_, _ = try(t, w, web, api) // may fail: that is the point
	}
	w.Fail(nil)
	ticks(t, 5, w, web, api)
	at := fmt.Sprintf("fault at call %d, %s", n, hit)
	got := history(t, w)
	sorted := slices.Sorted(slices.Values(got))
	if want := []string{"ins-a recovered", "ins-a stopped", "ins-b removed",
		"ins-d added"}; !slices.Equal(sorted, want) {
		t.Errorf("%s: the history has %q, want each of %q once", at, got, want)
	}
	if slices.Index(got, "ins-a stopped") > slices.Index(got, "ins-a recovered") {
		t.Errorf("%s: the history has %q, want what happened to one backend in order", at, got)
	}
	posted := ", " + strings.ReplaceAll(news(w), " | ", ", ") + ", "
	for _, want := range []string{"ins-a back", "ins-b removed", "ins-d added"} {
		if !strings.Contains(posted, ", "+want+", ") {
			t.Errorf("%s: posted %q, want %q too", at, posted, want)
		}
	}
	copies := make(map[string]int)
	for _, m := range w.Slack() {
		if copies[m.Key]++; copies[m.Key] > 1 {
			switch {
			case bot, hit != "send" && hit != "commit", copies[m.Key] > 2:
				t.Errorf("%s: %s is there %d times", at, m.Key, copies[m.Key])
			case !m.Call.Post.Repeat || m.Call.Post.Mention:
				t.Errorf("%s: the second %s is not marked as a repeat, or mentions somebody: %+v", at, m.Key, m.Call.Post)
			}
		}
	}
	if bot {
		settledLate(t, at, w)
	}
	return hit != ""
}

// settledLate checks that once enough time has passed nothing is open, and no root looks as if it were.
func settledLate(t *testing.T, at string, w *watchtest.World) {
	t.Helper()
	for range 8 {
		w.Advance(3 * time.Minute)
		tick(t, w, web, api)
	}
	if roots := w.Head().Incidents.Roots; len(roots) > 0 {
		t.Errorf("%s: half an hour later there are still %d roots: %+v", at, len(roots), roots[0])
	}
	for _, m := range w.Slack() {
		if m.Thread == "" && m.Shows.Open() {
			t.Errorf("%s: the root %s still looks open", at, m.Key)
		}
	}
}

// TestOverlap lets a second run do its whole tick at each of the calls of a first one: a repeated event, a
// run longer than the timer's interval, a tick by hand. Everything must be posted once, and the slower run
// must undo nothing.
func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, second := range []struct {
		name   string
		change func(*watchtest.World) // between the two
		want   []string
	}{
		{"the same world", nothing, []string{"ins-a stopped", "ins-b removed"}},
		{"one more backend", pool(backend("ins-a", 4), backend("ins-c", 2)),
			[]string{"ins-a stopped", "ins-b removed", "ins-c added"}},
	} {
		t.Run(second.name, func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n++ {
				w := watchtest.New()
				w.Set(web, up("ins-a", "ins-b")...)
				ticks(t, 2, w, web)
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
				ticks(t, 2, w, web) // post what the runs left to it
				if !ran {
					if n < 8 {
						t.Fatalf("only %d calls: the test looks at too little", n)
					}
					return
				}
				if got := slices.Sorted(slices.Values(history(t, w))); !slices.Equal(got, second.want) {
					t.Errorf("overlapped at call %d: the history has %q, want %q", n, got, second.want)
				}
				posted := strings.FieldsFunc(strings.TrimPrefix(news(w), "watching 1: 2 of 2 | "),
					func(r rune) bool { return r == ',' || r == '|' })
				for i := range posted {
					posted[i] = strings.TrimSpace(posted[i])
				}
				if slices.Sort(posted); !slices.Equal(posted, second.want) {
					t.Errorf("overlapped at call %d: posted %q, want %q", n, posted, second.want)
				}
				if all := w.Slack(); len(all) != len(keysOf(all)) {
					t.Errorf("overlapped at call %d: %d messages under %d keys", n, len(all), len(keysOf(all)))
				}
				settled(t, w)
			}
		})
	}
}

func keysOf(all []watchtest.Message) map[string]bool {
	keys := make(map[string]bool)
	for _, m := range all {
		keys[m.Key] = true
	}
	return keys
}

// TestSlowRunUndoesNothing has a run see the world early and commit late: what a faster run saw in between
// stands.
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
	sum, err := try(t, w, web)
	if err != nil || !sum.Stale || sum.Changes != 0 {
		t.Errorf("the slow run: %+v, %v, want it to say that its readings were dropped", sum, err)
	}
	if sum := tick(t, w, web); sum.Stale {
		t.Errorf("the next run: %+v, want it not to be stale", sum)
	}
	if got := history(t, w); len(got) > 0 {
		t.Errorf("the history has %q, want nothing", got)
	}
	if s := w.Snapshot(); !strings.Contains(s, `"status":2`) {
		t.Errorf("the snapshot is what the slow run saw: %s", s)
	}
}

// A run whose readings are dropped still posts what is due.
func TestStaleRunStillDelivers(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	var saw *state.Head
	w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
	w.Fail(func(op, _ string) (bool, error) {
		if op != "read" {
			return true, nil
		}
		w.Fail(nil)
		w.Set(web, backend("ins-a", 2), backend("ins-b", 4)) // the faster run sees another world, and cannot post
		faster := w.Watcher(web)
		faster.Notifier = answering(incident.Outcome{Class: incident.ChannelDown, Err: watchtest.ErrDown})
		if _, err := faster.Tick(deadline(t, w)); err != nil {
			t.Errorf("the faster run: %v", err)
		}
		saw = w.Head()
		w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
		return true, nil
	})
	if sum, err := try(t, w, web); err != nil || !sum.Stale || sum.Sent != 1 || sum.Pending != 0 {
		t.Errorf("the slower run: %+v, %v, want its readings dropped and one message sent", sum, err)
	}
	if got, want := news(w), "watching 1: 2 of 2 | ins-b stopped"; got != want {
		t.Errorf("posted %q, want %q: what the faster run saw", got, want)
	}
	if h := w.Head(); h.Observation != saw.Observation || !h.ObservedAt.Equal(saw.ObservedAt) ||
		!h.Incidents.At.Equal(saw.Incidents.At) {
		t.Errorf("the slower run left %+v, want what the faster one saw, %+v", h, saw)
	}
}

// What one run marks while another observes does not make that one's readings stale.
func TestMarkOfAnotherRunMakesNothingStale(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	ticks(t, 2, w, web)
	w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
	var sum watch.Summary
	w.Fail(func(op, _ string) (bool, error) {
		if op != "send" { // the first run has committed, and has not marked
			return true, nil
		}
		w.Fail(nil)
		w.Set(web, backend("ins-a", 4))
		second := w.Watcher(web)
		spool := second.Spool
		second.Spool = func() (watch.Spool, error) { // the second run is reading; now the first, or another, marks
			next := w.Head().Next("another", state.CLI, w.Now())
			if err := second.Store.Commit(t.Context(), next); err != nil {
				t.Error(err)
			}
			return spool()
		}
		var err error
		if sum, err = second.Tick(deadline(t, w)); err != nil {
			t.Error(err)
		}
		return true, nil
	})
	tick(t, w, web)
	if sum.Stale || sum.Changes != 1 {
		t.Errorf("the second run: %+v, want its reading to count", sum)
	}
	if got, want := strings.Join(history(t, w), ", "), "ins-a stopped, ins-b removed"; got != want {
		t.Errorf("the history has %q, want %q", got, want)
	}
}

func TestManyRunsAtOnce(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	ids := []string{"ins-a", "ins-b", "ins-c", "ins-d"}
	w.Set(web, up(ids...)...)
	tick(t, w, web)
	for i := range ids {
		w.Set(web, up(ids[i+1:]...)...)
		w.Advance(time.Minute)
		var wg sync.WaitGroup
		for range 8 {
			ctx := deadline(t, w)
			wg.Go(func() {
				if _, err := w.Watcher(web).Tick(ctx); err != nil && !errors.Is(err, state.ErrConflict) {
					t.Errorf("Tick: %v", err)
				}
			})
		}
		wg.Wait()
		tick(t, w, web)
	}
	want := "watching 1: 4 of 4 | ins-a removed | ins-b removed | ins-c removed | ins-d removed"
	if got := news(w); got != want || len(w.Slack()) != len(keysOf(w.Slack())) {
		t.Errorf("posted %q in %d messages, want %q, each once", got, len(w.Slack()), want)
	}
}

// conflicting is a store in which another run is always faster.
type conflicting struct {
	state.Store
	commits *int
}

func (s conflicting) Commit(context.Context, *state.Head) error {
	*s.commits++
	return state.ErrConflict
}

func TestCommitGivesUpWhereOthersAreAlwaysFaster(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	v, commits := w.Watcher(web), 0
	v.Store = conflicting{v.Store, &commits}
	w.Advance(time.Minute)
	if _, err := v.Tick(deadline(t, w)); !errors.Is(err, state.ErrConflict) || commits != 8 {
		t.Errorf("Tick = %v after %d commits, want %v after 8", err, commits, state.ErrConflict)
	}
	if len(w.Slack()) > 0 {
		t.Error("it posted what it could not commit")
	}
}

func TestStateThatCannotBeReadOrWrittenFailsTheTick(t *testing.T) {
	t.Parallel()
	down := errors.New("403 AccessDenied")
	for _, op := range []string{"load", "open", "create", "commit snapshot", "commit"} {
		w := watchtest.New()
		w.Set(web, up("ins-a", "ins-b")...)
		ticks(t, 2, w, web)
		w.Set(web, up("ins-a")...)
		w.Fail(fail(op, down))
		if sum, err := try(t, w, web); !errors.Is(err, down) || sum.CLBs != 1 || len(w.Slack()) != 1 {
			t.Errorf("%s fails: %+v, %v, %d messages; want the error, and nothing posted", op, sum, err,
				len(w.Slack()))
		}
		w.Fail(nil)
		tick(t, w, web)
		if got, want := news(w), "watching 1: 2 of 2 | ins-b removed"; got != want {
			t.Errorf("%s failed once: posted %q, want %q", op, got, want)
		}
	}
}

func TestTwoFunctionsOnOneStateAreAnError(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	one, other := w.Watcher(web), w.Watcher(web)
	one.By, other.By = "ap-guangzhou/default/one", "ap-guangzhou/default/other"
	run(t, w, one)
	before := w.Head().N
	w.Advance(time.Minute)
	if _, err := other.Tick(deadline(t, w)); err == nil || !strings.Contains(err.Error(), "default/one") ||
		w.Head().N != before {
		t.Errorf("Tick of another function = %v, head %d, want an error that names the first, and head %d", err,
			w.Head().N, before)
	}
	tick(t, w, web) // the command line disturbs nobody
	w.Advance(10 * time.Minute)
	run(t, w, other)
	if by := w.Head().By[0].Name; by != other.By {
		t.Errorf("10 minutes later the head is committed by %s, want %s", by, other.By)
	}
}

func TestClockThatWasAheadHidesNothing(t *testing.T) {
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
		if got, want := news(w), "watching 1: 2 of 2 | ins-b removed"; got != want {
			t.Errorf("after a tick a day ahead, readable: %v: posted %q, want %q", readable, got, want)
		}
	}
}

// The head of a run whose clock was ahead is renewed all the same, or nobody would know for a day who is at
// work.
func TestHeadFromTheFutureIsRenewed(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	ticks(t, 2, w, web)
	w.Advance(24 * time.Hour)
	tick(t, w, web)
	w.Advance(-24 * time.Hour)
	tick(t, w, web)
	if at := w.Head().CommittedAt; at.After(w.Now()) {
		t.Errorf("the newest head is from %v, which is in the future of %v", at, w.Now())
	}
	if h := w.Head(); h.ObservedAt.After(w.Now()) || h.Incidents.At.After(w.Now()) {
		t.Errorf("what it holds was observed at %v and %v, which is in the future of %v", h.ObservedAt,
			h.Incidents.At, w.Now())
	}
}

// Runs are ordered by what they saw, not by their clocks: one whose clock is behind continues where the other
// ended.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for _, behind := range []time.Duration{20 * time.Second, 59 * time.Second, 4 * time.Minute} {
		w := watchtest.New()
		w.Set(web, up("ins-a", "ins-b")...)
		ticks(t, 2, w, web)
		w.Advance(behind)
		w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
		tick(t, w, web)
		last := w.Head().Incidents.At
		w.Advance(-behind - time.Minute)
		w.Set(web, up("ins-a", "ins-b")...)
		tick(t, w, web)
		if got, want := strings.Join(history(t, w), ", "), "ins-a stopped, ins-a recovered"; got != want {
			t.Errorf("%v behind: the history has %q, want %q", behind, got, want)
		}
		all := w.Slack()
		m := all[len(all)-1].First.Incidents[0].Machines[0]
		if at := w.Head().Incidents.At; !at.After(last) || m.OutFor < 0 || m.OutFor > time.Second {
			t.Errorf("%v behind: observed at %v after %v, out for %v; want later, and a moment", behind, at, last,
				m.OutFor)
		}
	}
}

// notifyFunc is a notifier in a function.
type notifyFunc func(context.Context, incident.Call, incident.Document) incident.Outcome

func (f notifyFunc) Do(ctx context.Context, call incident.Call, doc incident.Document) incident.Outcome {
	return f(ctx, call, doc)
}

// answering answers everything with the same outcome.
func answering(out incident.Outcome) notifyFunc {
	return func(context.Context, incident.Call, incident.Document) incident.Outcome { return out }
}
