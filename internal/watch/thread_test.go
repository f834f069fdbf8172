package watch_test

import (
	"context"

	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// threads is where each message went: "2" is a message of its own, the second; "2<1" belongs to the thread of the first, and
// "2<1 over" ends the last incident there.
func threads(w *watchtest.World) string {
	var where []string
	for i, d := range w.Deliveries() {
		s := fmt.Sprint(i + 1)
		if d.Thread != nil {
			s += "<" + d.Thread.Receipt.TS
			if !d.Thread.Open() {
				s += " over"
			}
		}
		where = append(where, s)
	}
	return strings.Join(where, ", ")
}

func TestThreads(t *testing.T) {
	t.Parallel()
	type step = func(*watchtest.World)
	set := func(key string, bs ...lb.Backend) step {
		return func(w *watchtest.World) { w.Set(key, bs...) }
	}
	down, fine := backend("ins-a", 4), backend("ins-a", 2)
	b, bDown := backend("ins-b", 2), backend("ins-b", 9)
	x, xDown := backend("ins-x", 2), backend("ins-x", 4)
	slack := func(works bool) step {
		return func(w *watchtest.World) {
			if works {
				w.Fail(nil)
				return
			}
			w.Fail(func(op, _ string) (bool, error) {
				if op == "notify" {
					return false, fmt.Errorf("%w: no connection", watch.ErrNotSent)
				}
				return true, nil
			})
		}
	}
	unsure := func(w *watchtest.World) {
		w.Fail(func(op, _ string) (bool, error) {
			return true, errIf(op == "notify") // taken, and the answer is lost
		})
	}
	for _, tt := range []struct {
		name    string
		steps   []step // a tick after each; prod-web has a and b, prod-api has x, all running
		news    string
		threads string
	}{
		{"down and back", []step{set(web, down, b), set(web, fine, b)}, "ins-a left running | ins-a recovered", "1, 2, 3<2 over"},
		{"worse before it is better", []step{set(web, down, b), set(web, down, bDown), set(web, fine, bDown), set(web, fine, b)},
			"ins-a left running | ins-b left running | ins-a recovered | ins-b recovered", "1, 2, 3<2, 4<2, 5<2 over"},
		{"another load balancer is another thread", []step{set(web, down, b), set(api, xDown), set(web, fine, b), set(api, x)},
			"ins-a left running | ins-x left running | ins-a recovered | ins-x recovered", "1, 2, 3, 4<2 over, 5<3 over"},
		{"two in one message are over one after the other", []step{
			func(w *watchtest.World) { w.Set(web, down, b); w.Set(api, xDown) }, set(web, fine, b), set(api, x)},
			"ins-x left running, ins-a left running | ins-a recovered | ins-x recovered", "1, 2, 3<2, 4<2 over"},
		{"both are over in one tick: one reply", []step{
			func(w *watchtest.World) { w.Set(web, down, b); w.Set(api, xDown) },
			func(w *watchtest.World) { w.Set(web, fine, b); w.Set(api, x) }},
			"ins-x left running, ins-a left running | ins-x recovered, ins-a recovered", "1, 2, 3<2 over"},
		{"after it is over it begins anew", []step{set(web, down, b), set(web, fine, b), set(web, down, b)},
			"ins-a left running | ins-a recovered | ins-a left running", "1, 2, 3<2 over, 4"},
		{"what ran before and is removed is news without an incident", []step{set(web, b), set(web, fine, b)},
			"ins-a removed | ins-a added", "1, 2, 3"},
		{"emptied and filled again", []step{set(api), set(api, x)}, "ins-x removed | ins-x added", "1, 2, 3<2 over"},
		{"the one that is out is removed", []step{set(web, down, b), set(web, b)}, "ins-a left running | ins-a removed", "1, 2, 3<2 over"},
		{"another status of the same incident is told to nobody", []step{set(web, down, b), set(web, backend("ins-a", 8), b), set(web, fine, b)},
			"ins-a left running | ins-a recovered", "1, 2, 3<2 over"},
		{"added before it runs", []step{set(web, fine, b, backend("ins-c", 8)), set(web, fine, b, backend("ins-c", 2))},
			"ins-c added | ins-c recovered", "1, 2, 3<2 over"},
		{"news of one with an incident and of one without", []step{set(web, down, b),
			func(w *watchtest.World) { w.Set(web, fine, b); w.Set(api, x, backend("ins-y", 2)) }},
			"ins-a left running | ins-y added | ins-a recovered", "1, 2, 3, 4<2 over"},
		{"opened and closed while Slack was away: one message", []step{slack(false), set(web, down, b), set(web, fine, b), slack(true)},
			"ins-a left running, ins-a recovered", "1, 2"},
		{"opened, worse and others while Slack was away", []step{slack(false), set(web, down, b), set(api, xDown), set(web, down, bDown), slack(true), set(api, x)},
			"ins-a left running, ins-b left running, ins-x left running | ins-x recovered", "1, 2, 3<2"},
		{"later news while Slack was away is one reply", []step{set(web, down, b), slack(false), set(web, down, bDown), set(web, fine, bDown), set(web, fine, b), slack(true)},
			"ins-a left running | ins-b left running, ins-a recovered, ins-b recovered", "1, 2, 3<2 over"},
		{"over and open again while Slack was away keeps its order", []step{set(web, down, b), slack(false), set(web, fine, b), set(web, down, b), slack(true)},
			"ins-a left running | ins-a recovered | ins-a left running", "1, 2, 3<2 over, 4"},
		{"the answer to the first message is lost", []step{unsure, set(web, down, b), set(web, fine, b), slack(true)},
			"ins-a left running | ins-a recovered", "1, 2, 3<2 over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Thread()
			w.Set(web, fine, b)
			w.Set(api, x)
			tick(t, w, web, api)
			for _, do := range tt.steps {
				do(w)
				tick(t, w, web, api)
			}
			tick(t, w, web, api)
			if got := strings.TrimPrefix(news(w), "baseline 2/3/3 | "); sorted(got) != sorted(tt.news) {
				t.Errorf("told %q\nwant %q", got, tt.news)
			}
			if got := threads(w); got != tt.threads {
				t.Errorf("messages went to %s, want %s", got, tt.threads)
			}
			if h := w.Head(); len(h.Outbox) > 0 || strings.HasSuffix(tt.threads, "over") && len(h.Threads) > 0 {
				t.Errorf("in the end the head owes %+v and has the threads %+v", h.Outbox, h.Threads)
			}
		})
	}
}

// sorted puts what one message tells into an order, so that tests do not depend on which load balancer comes first.
func sorted(news string) string {
	messages := strings.Split(news, " | ")
	for i, m := range messages {
		words := strings.Split(m, ", ")
		slices.Sort(words)
		messages[i] = strings.Join(words, ", ")
	}
	return strings.Join(messages, " | ")
}

func TestThreadsOutliveAnyDeath(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		w := watchtest.New()
		w.Thread()
		w.Set(web, up("ins-a", "ins-b")...)
		tick(t, w, web)
		w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
		calls, died := 0, false
		die := func(op, _ string) (bool, error) {
			if calls++; calls == n/2+1 {
				died = true
				return n%2 == 1, watchtest.ErrDied // once before and once after the call took effect
			}
			return true, nil
		}
		w.Fail(die)
		_, _ = try(t, w, web) // may have died
		w.Set(web, up("ins-a", "ins-b")...)
		_, _ = try(t, w, web)
		w.Fail(nil)
		tick(t, w, web)
		tick(t, w, web)
		if got, want := news(w), "baseline 1/2/2 | ins-a left running | ins-a recovered"; got != want && got != "baseline 1/2/2" {
			joined := got == "baseline 1/2/2 | ins-a left running, ins-a recovered"
			if !joined {
				t.Errorf("killed at call %d: told %q, want %q", n, got, want)
			}
		} else if got == want && threads(w) != "1, 2, 3<2 over" {
			t.Errorf("killed at call %d: messages went to %s, want the recovery in the thread", n, threads(w))
		}
		if h := w.Head(); len(h.Outbox) > 0 || len(h.Threads) > 0 {
			t.Errorf("killed at call %d: owed in the end: %+v, threads %+v", n, h.Outbox, h.Threads)
		}
		if !died {
			if n < 20 {
				t.Fatalf("only %d calls: the test looks at too little", n)
			}
			return
		}
	}
}

func TestAThreadMovesToTheNewMessage(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Thread()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
	tick(t, w, web)
	w.Set(web, backend("ins-a", 4), backend("ins-b", 4))
	w.Advance(time.Minute)
	v := w.Watcher(web)
	real := v.Notifier
	v.Notifier = notifierFunc(func(d watch.Delivery) (watch.Receipt, error) { // the first message was deleted
		d.Thread = nil
		return real.Notify(t.Context(), d)
	})
	if _, err := v.Tick(deadline(t, w)); err != nil {
		t.Fatal(err)
	}
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	if got := threads(w); got != "1, 2, 3, 4<3 over" {
		t.Errorf("messages went to %s, want the last in the thread of the third", got)
	}
	if last := w.Deliveries()[3].Thread.Alert; last.Pools[0].Counts.LeftRunning != 2 {
		t.Errorf("the new first message would be edited to %+v, want both that left running", last)
	}
}

func TestSlackThatFindsNothingAgainHasNoThreads(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	w.Set(api, up("ins-x")...)
	tick(t, w, web, api)
	w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
	tick(t, w, web, api)
	w.Set(api, backend("ins-x", 4))
	tick(t, w, web, api)
	w.Set(web, up("ins-a", "ins-b")...)
	w.Set(api, up("ins-x")...)
	tick(t, w, web, api)
	want := "baseline 2/3/3 | ins-a left running | ins-x left running | ins-a recovered, ins-x recovered"
	if got := news(w); got != want || threads(w) != "1, 2, 3, 4" {
		t.Errorf("told %q, to %s, want %q, each a message of its own", got, threads(w), want)
	}
}

func TestALoadBalancerThatIsNotWatchedAnyMoreHasNoThread(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Thread()
	w.Set(web, up("ins-a")...)
	w.Set(api, up("ins-x")...)
	tick(t, w, web, api)
	w.Set(web, backend("ins-a", 4))
	tick(t, w, web, api)
	w.Set(api, backend("ins-x", 4))
	tick(t, w, api)
	if h := w.Head(); len(h.Threads) != 1 {
		t.Errorf("the head has the threads %+v, want that of %s only", h.Threads, api)
	}
}

func TestAHeadOfTheVersionBeforeGoesOn(t *testing.T) {
	t.Parallel()
	old := watch.Head{Schema: 1, N: 5, Writer: "w", Outbox: []watch.Alert{{ID: "5-w", Pools: []watch.PoolNews{{CLB: lb.CLB{Region: "r", ID: "lb-1"},
		Counts: lb.Counts{LeftRunning: 1}, Capacity: lb.Capacity{Running: 1, Total: 2}}}}}}
	b, err := old.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "hread") || strings.Contains(string(b), "log\":") {
		t.Fatalf("the test's head is not of schema 1: %s", b)
	}
	h, err := watch.DecodeHead(5, b)
	if err != nil || !reflect.DeepEqual(h.Outbox, old.Outbox) {
		t.Errorf("DecodeHead(%s) = %+v, %v, want what it was", b, h, err)
	}
}

func TestTheLogIsBoundedAndSaysSinceWhen(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	from := w.Head().LogFrom
	if from.IsZero() {
		t.Fatal("the first head does not say since when its log is whole")
	}
	var ids []string
	for i := range 70 {
		ids = append(ids, fmt.Sprintf("ins-%02d", i))
	}
	w.Set(web, up(ids...)...)
	tick(t, w, web)
	if h := w.Head(); len(h.Log) != 71 || !h.LogFrom.Equal(from) {
		t.Errorf("after 71 changes the log has %d, whole since %v; want all, since %v", len(h.Log), h.LogFrom, from)
	}
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	h := w.Head()
	if len(h.Log) != 100 || !h.LogFrom.After(h.Log[28].At) || h.LogFrom.After(h.Log[30].At) {
		t.Errorf("after 142 changes the log has %d, whole since %v, want the last 100 and the time of the first dropped", len(h.Log), h.LogFrom)
	}
	found, err := w.Watcher(web).Survey(t.Context())
	if err != nil || len(found.Log) != 100 || !found.LogFrom.Equal(h.LogFrom) {
		t.Errorf("Survey has a log of %d since %v, %v, want that of the head", len(found.Log), found.LogFrom, err)
	}
}

func TestFell(t *testing.T) {
	t.Parallel()
	cap := func(running, total, serving, weight int) lb.Capacity {
		return lb.Capacity{Running: running, Total: total, Serving: serving, Weight: weight}
	}
	for _, tt := range []struct {
		name        string
		before, now lb.Capacity
		counts      lb.Counts
		want        bool // at 50 percent
	}{
		{"half is out", cap(4, 4, 40, 40), cap(2, 4, 20, 40), lb.Counts{LeftRunning: 2}, true},
		{"less than half is out", cap(4, 4, 40, 40), cap(3, 4, 30, 40), lb.Counts{LeftRunning: 1}, false},
		{"half was out before", cap(2, 4, 20, 40), cap(1, 4, 10, 40), lb.Counts{LeftRunning: 1}, false},
		{"half was out, now all", cap(2, 4, 20, 40), cap(0, 4, 0, 40), lb.Counts{LeftRunning: 2}, true},
		{"none ran before", cap(0, 4, 0, 40), cap(0, 3, 0, 30), lb.Counts{Removed: 1}, false},
		{"half is removed", cap(4, 4, 40, 40), cap(2, 2, 20, 20), lb.Counts{Removed: 2}, true},
		{"all are removed", cap(4, 4, 40, 40), cap(0, 0, 0, 0), lb.Counts{Removed: 4}, true},
		{"all are replaced", cap(4, 4, 40, 40), cap(4, 4, 40, 40), lb.Counts{Removed: 4, Added: 4}, false},
		{"as many are added and do not run yet", cap(4, 4, 40, 40), cap(4, 8, 40, 80), lb.Counts{Added: 4}, false},
		{"what is drained counts nothing", cap(4, 4, 10, 10), cap(1, 4, 10, 10), lb.Counts{LeftRunning: 3}, false},
		{"all weights are 0", cap(4, 4, 0, 0), cap(1, 4, 0, 0), lb.Counts{LeftRunning: 3}, false},
	} {
		p := watch.PoolNews{Capacity: tt.now, Before: &tt.before, Counts: tt.counts}
		if got := p.Fell(50); got != tt.want {
			t.Errorf("%s: Fell(50) = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// notifierFunc is a notifier that need not look at the context.
type notifierFunc func(watch.Delivery) (watch.Receipt, error)

func (f notifierFunc) Notify(_ context.Context, d watch.Delivery) (watch.Receipt, error) { return f(d) }
