package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watchtest"
)

// TestEveryTimeoutLeavesTimeForEachStep checks, for short and long runs, what reading and sending may take,
// and that a claim ends soon after its run.
func TestEveryTimeoutLeavesTimeForEachStep(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                  string
		timeout               time.Duration // 0: none
		readLeast, readMost   time.Duration // between the end of reading and that of the run
		leastToMark, mostMark time.Duration // between the end of sending and that of the run
	}{
		{"1 s", time.Second, 300 * time.Millisecond, 500 * time.Millisecond, 100 * time.Millisecond,
			700 * time.Millisecond},
		{"the platform's default of 3 s", 3 * time.Second, time.Second, 1500 * time.Millisecond,
			500 * time.Millisecond, 2500 * time.Millisecond},
		{"20 s", 20 * time.Second, 7 * time.Second, 9 * time.Second, 3 * time.Second, 11 * time.Second},
		{"50 s", 50 * time.Second, 14 * time.Second, 16 * time.Second, 4 * time.Second, 41 * time.Second},
		{"15 min", 15 * time.Minute, 10 * time.Second, 20 * time.Second, 4 * time.Second, 15 * time.Minute},
		{"no limit: five minutes", 0, 10 * time.Second, 20 * time.Second, 4 * time.Second, 5 * time.Minute},
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
			v := w.Watcher(web)
			var read, send, claim time.Duration
			source, slack := v.Source, v.Notifier
			v.Source = readFunc(func(ctx context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error) {
				d, _ := ctx.Deadline()
				read = end.Sub(d)
				return source.Read(ctx, c, known)
			})
			v.Notifier = notifyFunc(func(ctx context.Context, call incident.Call,
				doc incident.Document) incident.Outcome {
				d, _ := ctx.Deadline()
				send, claim = end.Sub(d), doc.Delivery.Claim.Until.Sub(end)
				return slack.Do(ctx, call, doc)
			})
			sum, err := v.Tick(ctx)
			if err != nil || sum.Sent != 1 || sum.Pending != 0 {
				t.Fatalf("Tick = %+v, %v, unsent %v, want one message sent", sum, err, sum.Unsent)
			}
			if read < tt.readLeast || read > tt.readMost || send < tt.leastToMark || send > tt.mostMark {
				t.Errorf("reading ends %v before the run, want %v to %v; sending %v, want %v to %v",
					read, tt.readLeast, tt.readMost, send, tt.leastToMark, tt.mostMark)
			}
			if claim < time.Second || claim > 10*time.Second {
				t.Errorf("the claim ends %v after the run, want a few seconds: the next tick may come 10 s later", claim)
			}
		})
	}
}

// A call that would be cut short is not begun: it would be in doubt. What was claimed for it is due in the
// next tick.
func TestCallsEndWithTheRound(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := apart(t, w, 7)
	v := w.Watcher(keys...)
	slack, calls := v.Notifier, 0
	v.Notifier = notifyFunc(func(ctx context.Context, call incident.Call,
		doc incident.Document) incident.Outcome {
		calls++
		w.Advance(8800 * time.Millisecond)
		return slack.Do(ctx, call, doc)
	})
	w.Advance(time.Minute)
	sum, err := v.Tick(deadline(t, w))
	if err != nil || sum.Sent != 5 || calls != 5 || sum.Pending != 2 || sum.Unsent == nil ||
		strings.Count(sum.Unsent.Error(), "no time left") != 1 {
		t.Errorf("45 s at 8.8 s a call: %d calls, %+v, %v; want five, and two left to the next tick, said once",
			calls, sum, err)
	}
	for _, r := range w.Head().Incidents.Roots {
		if r.Delivery.Claim != nil || r.Delivery.Doubt != nil {
			t.Errorf("incident %s: %+v, want no claim and no doubt", r.ID(), r.Delivery)
		}
	}
	if sum := tick(t, w, keys...); sum.Sent != 2 || len(w.Slack()) != len(keysOf(w.Slack())) {
		t.Errorf("the next tick: %+v, want the others sent", sum)
	}
}

// apart gives each of n load balancers an incident that is due and has a root of its own: they began so far
// apart that none joins another's.
func apart(t *testing.T, w *watchtest.World, n int) (keys []string) {
	t.Helper()
	keys = many(w, n)
	ticks(t, 2, w, keys...)
	v := w.Watcher(keys...)
	for i, key := range keys {
		w.Set(key, backend("ins-a", 4), backend("ins-b", 2))
		w.Fail(fail("send", watchtest.ErrTemporary)) // no incident joins a root that failed on its own
		if sum := run(t, w, v); sum.Changes != 1 || len(w.Head().Incidents.Roots) != i+1 {
			t.Fatalf("%+v, %d roots, want one more", sum, len(w.Head().Incidents.Roots))
		}
	}
	w.Fail(nil)
	w.Advance(4 * time.Minute) // the back-off
	return keys
}

func TestOneRefusedRootDelaysNoOther(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]error{
		"refused": watchtest.ErrRefused, "temporary": watchtest.ErrTemporary,
		"no answer": errors.New("connection reset"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			keys := apart(t, w, 3)
			first := w.Head().Incidents.Roots[0].Prefix()
			w.Fail(func(op, key string) (bool, error) {
				if op == "send" && strings.HasPrefix(key, first) {
					return false, fault
				}
				return true, nil
			})
			sum := tick(t, w, keys...)
			if sum.Sent != 2 || sum.Pending != 1 || !errors.Is(sum.Unsent, fault) {
				t.Errorf("%+v, unsent %v; want two sent, one due, and why", sum, sum.Unsent)
			}
			if !strings.Contains(sum.Unsent.Error(), "incident "+strings.Split(first, ".")[0]+": ") {
				t.Errorf("unsent: %v, want it to name incident %s", sum.Unsent, first)
			}
			w.Fail(nil)
			ticks(t, 5, w, keys...)
			settled(t, w)
			if got := len(keysOf(w.Slack())); got != 4 || len(w.Slack()) != 4 {
				t.Errorf("%d messages under %d keys, want the baseline's and three", len(w.Slack()), got)
			}
		})
	}
}

func TestSummarySaysWhatWentWrongInAFewLines(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := apart(t, w, 7)
	n := 0
	w.Fail(func(op, _ string) (bool, error) {
		if n++; op == "send" {
			return false, fmt.Errorf("%w, for reason %d", watchtest.ErrTemporary, n)
		}
		return true, nil
	})
	if sum := tick(t, w, keys...); sum.Pending != 7 || strings.Count(sum.Unsent.Error(), "\n") != 4 {
		t.Errorf("%+v, want seven due, and five lines", sum)
	}
}

func TestSummaryGivesOneReasonOnce(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := apart(t, w, 7)
	w.Fail(fail("send", watchtest.ErrTemporary))
	want := "incidents 2, 3, 4, 5, 6, and 2 more: " + watchtest.ErrTemporary.Error()
	if sum := tick(t, w, keys...); sum.Pending != 7 || sum.Unsent.Error() != want {
		t.Errorf("%+v, want seven due, and %q", sum, want)
	}
}

// Where nothing would arrive, one call says so for all, and it counts against no root.
func TestChannelThatIsDownIsAskedOnce(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := apart(t, w, 3)
	calls := 0
	w.Fail(func(op, _ string) (bool, error) {
		if op == "send" {
			calls++
			return false, watchtest.ErrDown
		}
		return true, nil
	})
	if sum := tick(t, w, keys...); calls != 1 || sum.Pending != 3 || !errors.Is(sum.Unsent, watchtest.ErrDown) {
		t.Errorf("%d calls, %+v; want one, and three messages due", calls, sum)
	}
	w.Fail(nil)
	if sum := tick(t, w, keys...); sum.Sent != 3 {
		t.Errorf("a minute later: %+v, want three sent at once", sum)
	}
}

func TestAtMostTwentyEditsInATick(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 30)
	ticks(t, 2, w, keys...)
	for _, key := range keys {
		w.Set(key, backend("ins-a", 4), backend("ins-b", 2))
		w.Advance(2 * time.Minute) // too late to join the root before
		tick(t, w, keys...)
	}
	if n := len(w.Head().Incidents.Roots); n != 30 {
		t.Fatalf("%d roots, want 30", n)
	}
	for _, key := range keys {
		w.Set(key, up("ins-a", "ins-b")...)
	}
	edits := 0
	w.Fail(func(op, _ string) (bool, error) {
		if op == "edit" {
			edits++
		}
		return true, nil
	})
	tick(t, w, keys...)
	if edits != 20 {
		t.Errorf("%d edits in the first tick, want 20", edits)
	}
	tick(t, w, keys...)
	if edits < 30 {
		t.Errorf("%d edits in two ticks, want all 30 roots", edits)
	}
	settled(t, w)
}

// TestClaimHoldsUntilItsEnd has a run be killed while it posts, and others come around the end of its claim.
func TestClaimHoldsUntilItsEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		after time.Duration // the end of the claim
		looks int
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
			w.Fail(fail("send", watchtest.ErrDied))
			_, _ = try(t, w, web)
			claim := w.Head().Incidents.Roots[len(w.Head().Incidents.Roots)-1].Delivery.Claim
			w.Advance(claim.Until.Add(tt.after).Sub(w.Now()))
			looks := 0
			w.Fail(func(op, _ string) (bool, error) {
				if op == "look" {
					looks++
				}
				return true, nil
			})
			sum, err := w.Watcher(web).Tick(deadline(t, w))
			if err != nil || looks != tt.looks || sum.Sent != tt.looks || sum.Pending != 1-tt.looks ||
				sum.Unsent != nil {
				t.Errorf("%+v, %v, %d looks, want %d, and as many sent", sum, err, looks, tt.looks)
			}
		})
	}
}

func TestClaimFromTheFutureHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	w.Advance(24 * time.Hour)
	w.Set(web, up("ins-a")...)
	w.Fail(fail("send", watchtest.ErrDied))
	_, _ = try(t, w, web)
	w.Fail(nil)
	w.Advance(-24 * time.Hour)
	tick(t, w, web)
	if got, want := news(w), "watching 1: 2 of 2 | ins-b removed"; got != want {
		t.Errorf("posted %q, want %q", got, want)
	}
}

// TestRunThatSleptPostsNothing stops a run, after it has claimed, for longer than its claim lasts; another
// run takes over meanwhile.
func TestRunThatSleptPostsNothing(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	ticks(t, 2, w, web)
	w.Set(web, up("ins-a")...)
	v := w.Watcher(web)
	slept := w.Now().Add(time.Minute)
	v.Now = func() time.Time { return slept } // its own clock stood still, as in a machine that was suspended
	store := &atCommit{Store: v.Store}
	store.then = func() {
		w.Advance(time.Minute)
		tick(t, w, web) // finds it in doubt, and posts it
	}
	v.Store = store
	w.Advance(time.Minute)
	sum, err := v.Tick(deadline(t, w))
	if err != nil || sum.Sent != 0 || sum.Unsent == nil {
		t.Errorf("the run that slept: %+v, %v, want nothing sent, and why", sum, err)
	}
	ticks(t, 15, w, web)
	if all := w.Slack(); len(all) != 2 || news(w) != "watching 1: 2 of 2 | ins-b removed" {
		t.Errorf("posted %q in %d messages, want each once", news(w), len(all))
	}
}

// TestRunThatSleptAtFirstDoesNothing freezes a run before it has loaded anything, for longer than it has
// time: it may have settings that are not so any more.
func TestRunThatSleptAtFirstDoesNothing(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	ticks(t, 2, w, web)
	w.Set(web, up("ins-a")...)
	w.Advance(time.Minute)
	ctx := deadline(t, w)
	w.Fail(func(op, _ string) (bool, error) {
		w.Fail(nil)
		w.Advance(9 * time.Minute)
		return true, nil
	})
	if sum, err := w.Watcher(web).Tick(ctx); err == nil || sum.Changes > 0 || sum.Sent > 0 {
		t.Errorf("the run that slept: %+v, %v, want an error, and nothing done", sum, err)
	}
	ticks(t, 2, w, web)
	if got := news(w); got != "watching 1: 2 of 2 | ins-b removed" {
		t.Errorf("posted %q, want what happened once", got)
	}
}

// atCommit does something right after the first commit.
type atCommit struct {
	state.Store
	then func()
}

func (s *atCommit) Commit(ctx context.Context, h *state.Head) error {
	err := s.Store.Commit(ctx, h)
	if then := s.then; then != nil {
		s.then = nil
		then()
	}
	return err
}

func TestMarkThatFailsFailsTheTick(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"commit", "load"} {
		w := watchtest.New()
		w.Set(web, up("ins-a", "ins-b")...)
		ticks(t, 2, w, web)
		w.Set(web, up("ins-a")...)
		sent, down := false, errors.New("403")
		w.Fail(func(o, _ string) (bool, error) {
			switch {
			case o == "send":
				sent = true
			case sent && o == op:
				return false, down
			case sent && o == "commit":
				return false, state.ErrConflict // it has to load, then
			}
			return true, nil
		})
		if sum, err := try(t, w, web); !errors.Is(err, down) ||
			!strings.Contains(err.Error(), "1 messages were sent but could not be marked") {
			t.Errorf("%s fails: %+v, %v, want an error that says what was not marked", op, sum, err)
		}
		w.Fail(nil)
		ticks(t, 3, w, web)
		if n := len(w.Slack()); n != 2 {
			t.Errorf("%s fails: %d messages, want that none is repeated", op, n)
		}
	}
}

// TestMarkAfterATakeOverCastsDoubtOnly has a run be stopped in the middle of a call for so long that another
// takes its claim over and posts too. Slack then has the message twice; the first run's mark must not hide
// that, and the copy is marked as one.
func TestMarkAfterATakeOverCastsDoubtOnly(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	ticks(t, 2, w, web)
	w.Set(web, up("ins-a")...)
	v := w.Watcher(web)
	slack := v.Notifier
	v.Notifier = notifyFunc(func(ctx context.Context, call incident.Call,
		doc incident.Document) incident.Outcome {
		w.Advance(2 * time.Minute)
		tick(t, w, web) // looks for the post, finds nothing, and posts it
		w.Set(web, up("ins-a", "ins-c")...)
		tick(t, w, web) // later news: the root is at another revision now
		return slack.Do(ctx, call, doc)
	})
	w.Advance(time.Minute)
	if sum, err := v.Tick(deadline(t, w)); err != nil || sum.Sent != 1 {
		t.Errorf("the run that was stopped: %+v, %v", sum, err)
	}
	r := w.Head().Incidents.Roots[0]
	if first := w.Slack()[1]; r.Delivery.TS != first.TS || r.Delivery.Updates != 1 || r.Delivery.RootRev != 0 {
		t.Errorf("after the late mark: %+v, want the receipt of the other run (%s), its update, and doubt about "+
			"the root", r.Delivery, first.TS)
	}
	ticks(t, 25, w, web)
	all := w.Slack()
	var copies []bool
	for _, m := range all {
		if m.Key == all[1].Key {
			copies = append(copies, m.Repeat)
		}
	}
	if !slices.Equal(copies, []bool{false, true}) {
		t.Errorf("the root is there %d times, marked as a repeat: %v; want the second one marked", len(copies),
			copies)
	}
	if n := len(w.Head().Incidents.Roots); n != 0 {
		t.Errorf("%d roots are left in the end", n)
	}
}

// TestFaultsWhileInDoubt lets each call go wrong that deals with a post whose answer was lost.
func TestFaultsWhileInDoubt(t *testing.T) {
	t.Parallel()
	for _, arrived := range []bool{false, true} {
		for _, mode := range append(modes[:4:4], []struct {
			name  string
			apply bool
			err   error
		}{
			{"refused", false, watchtest.ErrRefused},
			{"temporary", false, watchtest.ErrTemporary},
			{"channel down", false, watchtest.ErrDown},
		}...) {
			t.Run(fmt.Sprintf("arrived %v, %s", arrived, mode.name), func(t *testing.T) {
				t.Parallel()
				seen := make(map[string]bool)
				for n := 0; ; n++ {
					w := watchtest.New()
					w.Set(web, up("ins-a", "ins-b")...)
					ticks(t, 2, w, web)
					w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
					lost, calls, hit := false, 0, ""
					w.Fail(func(op, _ string) (bool, error) {
						switch {
						case op == "send" && !lost:
							lost = true
							return arrived, errors.New("connection reset")
						case !lost, op == "load", op == "open", op == "read":
							return true, nil
						}
						if calls++; calls-1 != n {
							return true, nil
						}
						hit = op
						return mode.apply, mode.err
					})
					_, _ = try(t, w, web)
					w.Set(web, up("ins-a", "ins-b")...)
					for range 14 {
						_, _ = try(t, w, web)
					}
					w.Fail(nil)
					for range 8 {
						w.Advance(3 * time.Minute)
						tick(t, w, web)
					}
					if hit == "" {
						break
					}
					seen[hit] = true
					at := fmt.Sprintf("fault at call %d, %s", n, hit)
					if got := history(t, w); !slices.Equal(got, []string{"ins-a stopped", "ins-a recovered"}) {
						t.Errorf("%s: the history has %q", at, got)
					}
					most := 1
					if mode.err == watchtest.ErrRefused && hit == "look" { // the bot may not look: one second copy
						most = 2
					}
					copies := make(map[string]int)
					for _, m := range w.Slack() {
						if copies[m.Key]++; copies[m.Key] > most {
							t.Errorf("%s: %s is there %d times", at, m.Key, copies[m.Key])
						}
						if m.Call.Post.Root && m.Shows.Open() && most == 1 {
							t.Errorf("%s: the root %s still looks open", at, m.Key)
						}
					}
					if !strings.Contains(news(w), "ins-a") {
						t.Errorf("%s: posted %q", at, news(w))
					}
					if roots := w.Head().Incidents.Roots; len(roots) > 0 {
						t.Errorf("%s: there are still %d roots: %+v", at, len(roots), roots[0].Delivery)
					}
				}
				for _, op := range []string{"look", "copies", "edit", "commit"} {
					if !seen[op] {
						t.Errorf("no %s ever went wrong: the test looks at too little", op)
					}
				}
			})
		}
	}
}

func TestTickFailsWhenNothingIsDeliveredForAQuarterOfAnHour(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	ticks(t, 2, w, web)
	w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
	w.Fail(fail("send", watchtest.ErrDown))
	since := w.Now().Add(time.Minute)
	for {
		sum, err := try(t, w, web)
		late := w.Now().Sub(since) >= 15*time.Minute
		if (err != nil) != late {
			t.Fatalf("%v after it was due: %v, want an error from 15 min on", w.Now().Sub(since), err)
		}
		if !late {
			continue
		}
		if !strings.Contains(err.Error(), "incident 2") || advice.Of(err) == "" || sum.Pending != 1 ||
			sum.Read != 1 {
			t.Errorf("%v, %q, %+v; want it to name the incident and say what to do, and the load balancer read", err,
				advice.Of(err), sum)
		}
		break
	}
	w.Set(web, backend("ins-a", 4))
	if sum, err := try(t, w, web); err == nil || sum.Changes != 1 {
		t.Errorf("%+v, %v, want an error, and all work done", sum, err)
	}
	w.Fail(nil)
	tick(t, w, web)
	if got, want := news(w), "watching 1: 2 of 2 | ins-a stopped, ins-b removed"; got != want {
		t.Errorf("posted %q, want %q", got, want)
	}
}

// What nobody could deliver for a while is one message, with all that happened, as things stand when it is
// posted.
func TestNewsThatWaitsIsOneMessage(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	ticks(t, 2, w, web)
	w.Fail(fail("send", watchtest.ErrDown))
	for i := range 10 {
		w.Set(web, backend("ins-a", lb.Status(2+2*(1-i%2))), backend("ins-b", 2))
		if sum := tick(t, w, web); sum.Pending != 1 || sum.Unsent == nil {
			t.Fatalf("%+v, want one message due, and why", sum)
		}
	}
	w.Fail(nil)
	tick(t, w, web)
	all := w.Slack()
	if len(all) != 2 {
		t.Fatalf("%d messages after Slack was away for 10 ticks, want 2", len(all))
	}
	if c := all[1].First.Incidents[0].Counts; c.LeftRunning != 5 || c.Recovered != 5 {
		t.Errorf("it counts %+v, want all 10 changes", c)
	}
	for i, change := range history(t, w) {
		if want := []string{"ins-a stopped", "ins-a recovered"}[i%2]; change != want {
			t.Fatalf("change %d is %s, want %s: the history is in order", i, change, want)
		}
	}
}

// The document that is posted has the names and reasons that its message needs.
func TestDocumentKnowsNamesAndReasons(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Set(api, up("ins-b")...)
	v := w.Watcher(web, api)
	v.CLBs[1].Label = "prod-web"
	slack := v.Notifier
	var said []string
	v.Notifier = notifyFunc(func(ctx context.Context, call incident.Call,
		doc incident.Document) incident.Outcome {
		for _, i := range doc.Incidents {
			said = append(said, fmt.Sprintf("%s %s: %q, do %q", i.About, doc.Name(i.Key).Name(), doc.Reason(i.Why).Why,
				doc.Reason(i.Why).Do))
		}
		return slack.Do(ctx, call, doc)
	})
	run(t, w, v)
	run(t, w, v)
	w.Fail(failOf("read", web, advice.Add(errors.New("code 6000"), "wait")))
	for range 3 {
		run(t, w, v)
	}
	if want := []string{`watching lb-api: "", do ""`,
		`reading prod-web: "code 6000", do "wait"`}; !slices.Equal(said, want) {
		t.Errorf("posted %q, want %q", said, want)
	}
	if got := v.CLBs[0]; got.Name() != "lb-api" {
		t.Errorf("%+v", got)
	}
}
