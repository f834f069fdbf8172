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
	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

const (
	web = "ap-guangzhou/lb-8a3k2m1q"
	api = "ap-guangzhou/lb-c4r9t0zw"
)

func backend(id string, status lb.Status) lb.Backend {
	return lb.Backend{ID: id, Name: strings.TrimPrefix(id, "ins-"), Status: status, Weight: 10, LanIP: "10.0.3.17"}
}

func up(ids ...string) (pool []lb.Backend) {
	for _, id := range ids {
		pool = append(pool, backend(id, lb.Running))
	}
	return pool
}

// tick does one tick a minute after the last, and it must succeed.
func tick(t *testing.T, w *watchtest.World, keys ...string) watch.Summary {
	t.Helper()
	sum, err := try(t, w, keys...)
	if err != nil {
		t.Fatalf("Tick: %v", err)
	}
	return sum
}

// try does one tick a minute after the last, in a new process that has 50 seconds, as on the platform.
func try(t *testing.T, w *watchtest.World, keys ...string) (watch.Summary, error) {
	t.Helper()
	w.Advance(time.Minute)
	ctx, cancel := context.WithDeadline(t.Context(), w.Now().Add(50*time.Second))
	defer cancel()
	return w.Watcher(keys...).Tick(ctx)
}

// news is what Slack was told, a word or two for each thing, messages separated by "|".
func news(w *watchtest.World) string {
	var messages []string
	for _, a := range w.Told() {
		var words []string
		for _, p := range a.Pools {
			for _, c := range p.Changes {
				words = append(words, fmt.Sprintf("%s %s%s", c.Backend.ID, c.Kind, part(c.Part)))
			}
		}
		for _, n := range a.CLBs {
			words = append(words, fmt.Sprintf("%s %s", n.CLB.Name(), n.Fate))
		}
		for _, b := range a.Blind {
			words = append(words, strings.TrimSpace("blind "+b.CLB.ID+" "+b.What))
		}
		for _, s := range a.Sighted {
			words = append(words, strings.TrimSpace("sighted "+s.CLB.ID+" "+s.What))
		}
		if a.Baseline != nil {
			words = append(words, fmt.Sprintf("baseline %d/%d/%d", a.Baseline.CLBs, a.Baseline.Running, a.Baseline.Backends))
		}
		messages = append(messages, strings.Join(words, ", "))
	}
	return strings.Join(messages, " | ")
}

// part is what a change is about, such as " 1/3 TCP:22".
func part(p *lb.Part) string {
	if p == nil {
		return ""
	}
	rules := ""
	if p.Rules {
		rules = " rules"
	}
	return fmt.Sprintf(" %d/%d%s %s", p.N, p.Of, rules, strings.Join(p.Names, "+"))
}

func TestTick(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		steps []func(*watchtest.World) // a tick follows each
		want  string
	}{
		{"first run is a baseline", nil, "baseline 1/2/2"},
		{"quiet ticks tell nothing", steps(nothing, nothing), "baseline 1/2/2"},
		{"added", steps(pool(up("ins-a", "ins-b", "ins-c")...)), "baseline 1/2/2 | ins-c added"},
		{"removed", steps(pool(up("ins-b")...)), "baseline 1/2/2 | ins-a removed"},
		{"left running and recovered",
			steps(pool(backend("ins-a", 4), backend("ins-b", 2)), nothing, pool(up("ins-a", "ins-b")...)),
			"baseline 1/2/2 | ins-a left running | ins-a recovered"},
		{"from one status to another, neither running, is the same incident",
			steps(pool(backend("ins-a", 9), backend("ins-b", 2)), pool(backend("ins-a", 4), backend("ins-b", 2))),
			"baseline 1/2/2 | ins-a left running"},
		{"unknown status is not running", steps(pool(backend("ins-a", 99), backend("ins-b", 2))), "baseline 1/2/2 | ins-a left running"},
		{"weight, name and addresses are not news",
			steps(pool(lb.Backend{ID: "ins-a", Name: "x", Status: 2, Weight: 0, LanIP: "1.2.3.4", WanIPs: []string{"5.6.7.8"}}, backend("ins-b", 2))),
			"baseline 1/2/2"},
		{"really emptied", steps(pool()), "baseline 1/2/2 | ins-a removed, ins-b removed"},
		{"replaced", steps(pool(up("ins-b", "ins-c")...)), "baseline 1/2/2 | ins-a removed, ins-c added"},
		{"several at once are one message, worst first",
			steps(pool(backend("ins-b", 7), backend("ins-c", 2))), "baseline 1/2/2 | ins-b left running, ins-a removed, ins-c added"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Set(web, up("ins-a", "ins-b")...)
			tick(t, w, web)
			for _, step := range tt.steps {
				step(w)
				tick(t, w, web)
			}
			if got := news(w); got != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
			if h := w.Head(); len(h.Outbox) != 0 || h.Lease != nil {
				t.Errorf("in the end the outbox has %d alerts and the lease is %v, want none", len(h.Outbox), h.Lease)
			}
		})
	}
}

func steps(s ...func(*watchtest.World)) []func(*watchtest.World) { return s }
func nothing(*watchtest.World)                                   {}
func pool(bs ...lb.Backend) func(*watchtest.World) {
	return func(w *watchtest.World) { w.Set(web, bs...) }
}

func TestTickOfRecovery(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, backend("ins-a", 2), backend("ins-b", 4))
	tick(t, w, web)
	w.Set(web, backend("ins-a", 4), backend("ins-b", 4))
	tick(t, w, web)
	down := w.Now()
	for range 11 {
		tick(t, w, web)
	}
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	changes := w.Told()[2].Pools[0].Changes
	if a := changes[0]; a.Kind != lb.Recovered || a.Was != 4 || !a.Out.Since.Equal(down) || a.At.Sub(a.Out.Since) != 12*time.Minute || a.Out.AtLeast {
		t.Errorf("ins-a: %+v out %+v, want recovered from 4 after 12 min since %v", a, a.Out, down)
	}
	if b := changes[1]; b.Kind != lb.Recovered || !b.Out.AtLeast {
		t.Errorf("ins-b: %+v out %+v, want recovered after at least the time since the baseline", b, b.Out)
	}
}

func TestTickThatIsQuietCostsNothing(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	var ops []string
	w.Fail(func(op, _ string) (bool, error) { ops = append(ops, op); return true, nil })
	tick(t, w, web)
	if got, want := strings.Join(ops, " "), "load open read"; got != want {
		t.Errorf("a quiet tick did %q, want %q", got, want)
	}
}

func TestTickRenewsTheHeadNowAndThen(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	for range 30 {
		tick(t, w, web)
		if age := w.Now().Sub(w.Head().ObservedAt); age > 5*time.Minute {
			t.Fatalf("the head is %v old, want at most 5 minutes", age)
		}
	}
	if n := w.Head().N; n > 10 {
		t.Errorf("30 quiet ticks took the head to %d, want a heartbeat every 5 minutes", n)
	}
}

func TestTickAfterAGap(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	last := w.Head().ObservedAt
	w.Advance(3 * time.Hour)
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	if c := w.Told()[1].Pools[0].Changes[0]; !c.After.Equal(last) {
		t.Errorf("told after a gap as since %v, want %v", c.After, last)
	}
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	if c := w.Told()[2].Pools[0].Changes[0]; !c.After.IsZero() {
		t.Errorf("told without a gap as since %v, want no such time", c.After)
	}
}

func TestTickConfirmsAnEmptyPool(t *testing.T) {
	t.Parallel()
	t.Run("empty once is nothing", func(t *testing.T) {
		t.Parallel()
		w := watchtest.New()
		w.Set(web, up("ins-a", "ins-b")...)
		tick(t, w, web)
		w.Set(web)
		reads := 0
		w.Fail(func(op, _ string) (bool, error) {
			if op == "read" {
				if reads++; reads == 2 {
					w.Set(web, up("ins-a", "ins-b")...)
				}
			}
			return true, nil
		})
		sum := tick(t, w, web)
		if got, want := news(w), "baseline 1/2/2"; got != want || sum.Read != 1 || reads != 2 {
			t.Errorf("told %q after %d readings, %+v; want %q after 2", got, reads, sum, want)
		}
	})
	t.Run("empty and then unreadable is not empty yet", func(t *testing.T) {
		t.Parallel()
		w := watchtest.New()
		w.Set(web, up("ins-a", "ins-b")...)
		w.Set(api, up("ins-c")...)
		tick(t, w, web, api)
		w.Set(web)
		reads := 0
		w.Fail(func(op, key string) (bool, error) {
			if op == "read" && key == web {
				if reads++; reads == 2 {
					return false, errors.New("down")
				}
			}
			return true, nil
		})
		sum := tick(t, w, web, api)
		if got, want := news(w), "baseline 2/3/3"; got != want || sum.Unreadable != 0 {
			t.Errorf("told %q, %+v; want %q and both read", got, sum, want)
		}
		w.Fail(nil)
		tick(t, w, web, api)
		if got, want := news(w), "baseline 2/3/3 | ins-a removed, ins-b removed"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestTickThatCannotRead(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Set(api, up("ins-c")...)
	tick(t, w, web, api)
	good := w.Head().ObservedAt
	w.Fail(func(op, key string) (bool, error) {
		if op == "read" && key == web {
			return false, advice.Add(errors.New("code 6000"), "wait")
		}
		return true, nil
	})
	w.Set(api, backend("ins-c", 4))
	if sum := tick(t, w, web, api); sum.Read != 1 || sum.Unreadable != 1 || sum.Sent != 1 {
		t.Errorf("%+v, want the other load balancer read and its news sent", sum)
	}
	since := w.Now()
	for range 10 {
		tick(t, w, web, api)
	}
	if got, want := news(w), "baseline 2/2/2 | ins-c left running | blind lb-8a3k2m1q"; got != want {
		t.Fatalf("told %q, want %q", got, want)
	}
	if b := w.Told()[2].Blind[0]; !b.Since.Equal(since) || !b.LastGood.Equal(good) || b.Ticks != 3 || b.Why != "code 6000" || b.Do != "wait" {
		t.Errorf("blind notice %+v, want since %v, last good %v, 3 ticks, with reason and advice", b, since, good)
	}
	w.Fail(nil)
	w.Set(web, up("ins-b")...)
	tick(t, w, web, api)
	if got, want := news(w), "baseline 2/2/2 | ins-c left running | blind lb-8a3k2m1q | ins-a removed, ins-b added, sighted lb-8a3k2m1q"; got != want {
		t.Fatalf("told %q, want %q", got, want)
	}
	last := w.Told()[3]
	if s := last.Sighted[0]; s.Changes != 2 || !s.LastGood.Equal(good) {
		t.Errorf("readable again %+v, want 2 changes and last good %v", s, good)
	}
	if c := last.Pools[0].Changes[0]; !c.After.Equal(good) {
		t.Errorf("a change in the gap is told as since %v, want %v", c.After, good)
	}
	if h := w.Head(); len(h.Blind) != 0 {
		t.Errorf("still blind: %v", h.Blind)
	}
}

func TestTickUnreadableForAMomentIsNotNews(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Set(api, up("ins-c")...)
	tick(t, w, web, api)
	for range 5 {
		w.Fail(func(op, key string) (bool, error) {
			return op != "read" || key != web, errIf(op == "read" && key == web)
		})
		tick(t, w, web, api)
		tick(t, w, web, api)
		w.Fail(nil)
		tick(t, w, web, api)
	}
	if got, want := news(w), "baseline 2/2/2"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func errIf(fail bool) error {
	if fail {
		return errors.New("it fails")
	}
	return nil
}

func TestTickWithNothingReadable(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	// One alert is owed when the API goes down.
	w.Set(web, backend("ins-a", 4))
	w.Fail(func(op, _ string) (bool, error) { return op != "notify", errIf(op == "notify") })
	tick(t, w, web)
	w.Fail(func(op, _ string) (bool, error) { return op != "read", errIf(op == "read") })
	sum, err := try(t, w, web)
	if err == nil || !strings.Contains(err.Error(), "no load balancer could be read") {
		t.Errorf("Tick with the API down: %v, want an error that says so", err)
	}
	if got, want := news(w), "baseline 1/1/1 | ins-a left running"; got != want || sum.Sent != 1 {
		t.Errorf("told %q, want %q: what is owed goes out all the same", got, want)
	}
}

func TestTickJoinsWhatCouldNotBeTold(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	w.Fail(func(op, _ string) (bool, error) {
		if op == "notify" {
			return false, watch.ErrNotSent
		}
		return true, nil
	})
	for i := range 20 {
		w.Set(web, backend("ins-a", lb.Status(2+2*(1-i%2))), backend("ins-b", 2))
		if sum := tick(t, w, web); sum.Pending != 1 || sum.Unsent == nil {
			t.Fatalf("%+v, want one alert owed, and why", sum)
		}
	}
	w.Fail(nil)
	tick(t, w, web)
	told := w.Told()
	if len(told) != 2 {
		t.Fatalf("%d messages after Slack was away for 20 ticks, want 2", len(told))
	}
	if c, _ := told[1].Totals(); c.LeftRunning != 10 || c.Recovered != 10 {
		t.Errorf("it tells of %+v, want all 20 changes", c)
	}
	for i, c := range told[1].Pools[0].Changes {
		if want := []lb.Kind{lb.LeftRunning, lb.Recovered}[i%2]; c.Kind != want {
			t.Fatalf("change %d is %s, want %s: news of one backend stays in order", i, c.Kind, want)
		}
	}
}

func TestTickRefusedMessageDoesNotBlock(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Fail(func(op, _ string) (bool, error) {
		if op == "notify" {
			return false, fmt.Errorf("%w: no_text", watch.ErrRefused)
		}
		return true, nil
	})
	if sum := tick(t, w, web); sum.Pending != 0 || !errors.Is(sum.Unsent, watch.ErrRefused) {
		t.Errorf("%+v, want nothing owed, and why", sum)
	}
	w.Fail(nil)
	w.Set(web)
	tick(t, w, web)
	if got, want := news(w), "ins-a removed"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestTickForgetsAndStartsOverQuietly(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Set(api, up("ins-c")...)
	tick(t, w, web)
	tick(t, w, web, api)
	tick(t, w, api)
	w.Set(web, up("ins-z")...)
	tick(t, w, web, api)
	if got, want := news(w), "baseline 1/1/1 | baseline 1/1/1 | baseline 1/1/1"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestCrash kills a run before and after each of its calls to the world, and loses each call's answer, while backends
// change; the runs that follow must tell everything, in order, and double only what Slack took or was asked to take.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, mode := range []struct {
		name  string
		apply bool
		err   error
	}{
		{"dies before", false, watchtest.ErrDied},
		{"dies after", true, watchtest.ErrDied},
		{"fails", false, errors.New("it fails")},
		{"answer lost", true, errors.New("the answer is lost")},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n++ {
				w := watchtest.New()
				w.Set(web, up("ins-a", "ins-b")...)
				w.Set(api, up("ins-c")...)
				tick(t, w, web, api)
				calls, hit := 0, ""
				w.Fail(func(op, _ string) (bool, error) {
					if calls++; calls-1 != n {
						return true, nil
					}
					hit = op
					return mode.apply, mode.err
				})
				for _, step := range [][]lb.Backend{
					{backend("ins-a", 4), backend("ins-b", 2)}, {backend("ins-a", 4)}, up("ins-a"), up("ins-a", "ins-d"),
				} {
					w.Set(web, step...)
					_, _ = try(t, w, web, api) // may fail: that is the point
				}
				w.Fail(nil)
				tick(t, w, web, api)
				tick(t, w, web, api)
				if hit == "" {
					if n < 40 {
						t.Fatalf("only %d calls: the test looks at too little", n)
					}
					return
				}
				var got []string
				for _, m := range strings.Split(news(w), " | ")[1:] {
					got = append(got, strings.Split(m, ", ")...)
				}
				count := make(map[string]int)
				for _, g := range got {
					count[g]++
				}
				for _, want := range []string{"ins-a left running", "ins-b removed", "ins-a recovered", "ins-d added"} {
					if count[want] == 0 {
						t.Errorf("call %d, %s: told %q, want %q too", n, hit, got, want)
					}
					if count[want] > 1 && hit != "notify" && hit != "commit" { // the message, or the mark after it
						t.Errorf("call %d, %s: told %q, want %q once", n, hit, got, want)
					}
					delete(count, want)
				}
				if len(count) > 0 {
					t.Errorf("call %d, %s: told %v, which did not happen", n, hit, count)
				}
				if slices.Index(got, "ins-a left running") > slices.Index(got, "ins-a recovered") {
					t.Errorf("call %d, %s: told %q, want news of one backend in order", n, hit, got)
				}
				if h := w.Head(); len(h.Outbox) != 0 {
					t.Errorf("call %d, %s: %d alerts are still owed", n, hit, len(h.Outbox))
				}
			}
		})
	}
}
