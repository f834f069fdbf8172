package watch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// lapse makes some readings of a load balancer the ones given; all others are what the world has.
type lapse struct {
	watch.Source
	key    string
	lapses map[int]lb.Reading // by the number of the reading, from 1
	n      *int
}

func (l lapse) Read(ctx context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error) {
	if c.Key() == l.key {
		*l.n++
		if r, ok := l.lapses[*l.n]; ok {
			if r.Digest == known {
				return lb.Reading{Digest: known, Unchanged: true}, nil
			}
			return r, nil
		}
	}
	return l.Source.Read(ctx, c, known)
}

func lapsing(w *watchtest.World, lapses map[int]lb.Reading) *watch.Watcher {
	v := w.Watcher(web)
	v.Source = lapse{v.Source, web, lapses, new(int)}
	return v
}

func reading(digest string, bs ...lb.Backend) lb.Reading {
	lb.SortBackends(bs)
	return lb.Reading{Backends: bs, Digest: lb.Digest(digest)}
}

// A reading that lacks something is wrong about that until another one lacks it too; all else in it counts at
// once.
func TestRemovalIsBelievedWhenTwoReadingsShowIt(t *testing.T) {
	t.Parallel()
	stopped := backend("ins-b", 4)
	all := up("ins-a", "ins-b", "ins-c", "ins-d")
	odd := reading("odd", up("ins-a")...)
	odd.Unnamed = 1
	vague := bound("ins-a", "TCP:80 80")
	vague.Vague = true
	tests := []struct {
		name   string
		before []lb.Backend // the baseline; the world stays so
		lapses map[int]lb.Reading
		late   bool // there is no time for a second reading
		ticks  int
		want   string
	}{
		{"one lapse", all,
			map[int]lb.Reading{1: reading("1", stopped, up("ins-c")[0], up("ins-d")[0]),
				2: reading("2", append(up("ins-a", "ins-c", "ins-d"), stopped)...)},
			false, 1, "ins-b stopped"},
		{"two lapses, of other backends", all,
			map[int]lb.Reading{1: reading("1", up("ins-b", "ins-c", "ins-d")...),
				2: reading("2", up("ins-a", "ins-c", "ins-d")...)},
			false, 2, ""},
		{"two lapses, one backend in both", all,
			map[int]lb.Reading{1: reading("1", up("ins-c", "ins-d")...), 2: reading("2", up("ins-b", "ins-d")...)},
			false, 1, "ins-a removed"},
		{"the same bytes twice", all,
			map[int]lb.Reading{1: reading("1", up("ins-a", "ins-b")...), 2: reading("1", up("ins-a", "ins-b")...)},
			false, 1, "ins-c removed, ins-d removed"},
		{"no time: the next tick, of the same bytes", all,
			map[int]lb.Reading{1: reading("1", up("ins-b", "ins-c", "ins-d")...),
				2: reading("1", up("ins-b", "ins-c", "ins-d")...)},
			true, 2, "ins-a removed"},
		{"no time: the next tick, of other bytes", all,
			map[int]lb.Reading{1: reading("1", up("ins-b", "ins-c", "ins-d")...),
				2: reading("2", stopped, up("ins-c")[0], up("ins-d")[0])},
			true, 2, "ins-b stopped, ins-a removed"},
		{"no time: the next tick has it", all, map[int]lb.Reading{1: reading("1",
			up("ins-b", "ins-c", "ins-d")...)}, true, 3, ""},
		{"a row that names nobody", all, map[int]lb.Reading{1: odd, 2: odd, 3: odd, 4: odd}, false, 2, ""},
		{"a binding that is missing once", []lb.Backend{bound("ins-a", "TCP:80 80", "TCP:81 81")},
			map[int]lb.Reading{1: reading("1", bound("ins-a", "TCP:80 80"))}, false, 2, ""},
		{"a binding that is missing twice", []lb.Backend{bound("ins-a", "TCP:80 80", "TCP:81 81")},
			map[int]lb.Reading{1: reading("1", bound("ins-a", "TCP:80 80")),
				2: reading("1", bound("ins-a", "TCP:80 80"))},
			false, 1, "ins-a unbound"},
		{"a row that names no binding", []lb.Backend{bound("ins-a", "TCP:80 80", "TCP:81 81")},
			map[int]lb.Reading{1: reading("1", vague), 2: reading("1", vague), 3: reading("1", vague)}, false, 2, ""},
		{"empty once", all, map[int]lb.Reading{1: reading("1")}, false, 2, ""},
		{"empty twice, of the same bytes", all, map[int]lb.Reading{1: reading("1"), 2: reading("1")}, false, 1,
			"ins-a removed, ins-b removed, ins-c removed, ins-d removed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Set(web, tt.before...)
			tick(t, w, web)
			v := lapsing(w, tt.lapses)
			if tt.late {
				v.Sleep = func(context.Context, time.Duration) error { return errors.New("no time") }
			}
			for range tt.ticks {
				if sum := run(t, w, v); sum.Read != 1 {
					t.Fatalf("Tick = %+v", sum)
				}
			}
			if got := strings.Join(history(t, w), ", "); got != tt.want {
				t.Errorf("reported %q, want %q", got, tt.want)
			}
		})
	}
}

func TestConfirmationCostsACallOnlyWhereSomethingIsLacking(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 20)
	tick(t, w, keys...)
	w.Set(keys[3], up("ins-a", "ins-b", "ins-c")...)
	before := w.Reads()
	tick(t, w, keys...)
	if got := w.Reads() - before; got != 20 {
		t.Errorf("%d readings after something was added, want 20", got)
	}
	w.Set(keys[3], up("ins-b", "ins-c")...)
	before = w.Reads()
	ticks(t, 2, w, keys...)
	if got := w.Reads() - before; got != 41 {
		t.Errorf("%d readings in two ticks after something was removed, want 41", got)
	}
}

// Bindings that another API calls by other ids are the same, and nothing is lacking.
func TestReadingByAnotherAPILacksNothing(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	reads, by := 0, "2.0"
	v := w.Watcher(web)
	v.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
		reads++
		b := bound("ins-a", "TCP:80 80", "TCP:81 81")
		for i := range b.Bindings {
			b.Bindings[i].ID = by + b.Bindings[i].Listener
		}
		r := reading("by "+by, b)
		r.Kind, r.By = lb.Application, by
		return r, nil
	})
	run(t, w, v)
	by = "3.0"
	if sum := run(t, w, v); sum.Changes != 0 || reads != 2 {
		t.Errorf("%+v after %d readings, want no change, and no second reading in the second tick", sum, reads)
	}
	if !strings.Contains(w.Snapshot(), `"by":"3.0"`) {
		w.Advance(5 * time.Minute)
		run(t, w, v)
	}
	if s := w.Snapshot(); !strings.Contains(s, `"by":"3.0"`) || !strings.Contains(s, `"3.0TCP:80"`) {
		t.Errorf("the snapshot does not have the new ids: %s", s)
	}
}

// Two readings by another API lack another binding each: neither is gone.
func TestLapsesOfAnotherAPIRemoveNothing(t *testing.T) {
	t.Parallel()
	read := func(by string, on ...string) lb.Reading {
		b := bound("ins-a", on...)
		for i := range b.Bindings {
			b.Bindings[i].ID = by + b.Bindings[i].Listener
		}
		r := reading(by+strings.Join(on, ","), b)
		r.Kind, r.By = lb.Application, by
		return r
	}
	w := watchtest.New()
	v := lapsing(w, map[int]lb.Reading{1: read("2.0", "TCP:80 80", "TCP:81 81"), 2: read("3.0", "TCP:80 80"),
		3: read("3.0", "TCP:81 81"),
		4: read("3.0", "TCP:80 80", "TCP:81 81")})
	for range 3 {
		run(t, w, v)
	}
	if got := history(t, w); len(got) > 0 {
		t.Errorf("reported %q, want nothing", got)
	}
}

// What seems empty is read again from the start: it may have been upgraded. All else is compared with what
// was just read.
func TestSecondReadingOfAnEmptyOneAssumesNothing(t *testing.T) {
	t.Parallel()
	for _, left := range []int{0, 1} {
		w := watchtest.New()
		w.Set(web, up("ins-a", "ins-b")...)
		tick(t, w, web)
		v := w.Watcher(web)
		var asked []lb.Digest
		v.Source = readFunc(func(_ context.Context, _ lb.CLB, known lb.Digest) (lb.Reading, error) {
			asked = append(asked, known)
			return reading("less", up("ins-a", "ins-b")[:left]...), nil
		})
		run(t, w, v)
		want := lb.Digest("")
		if left > 0 {
			want = "less"
		}
		if len(asked) != 2 || asked[1] != want {
			t.Errorf("%d left: asked for what differs from %q, want %q the second time", left, asked, want)
		}
	}
}

func TestConfirmationWaitsAMoment(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	w.Set(web, up("ins-a")...)
	v := w.Watcher(web)
	var slept []time.Duration
	v.Sleep = func(_ context.Context, d time.Duration) error { slept = append(slept, d); return nil }
	run(t, w, v)
	if len(slept) != 1 || slept[0] != 2*time.Second {
		t.Errorf("it waited for %v before the second reading, want once for 2 s", slept)
	}
}

// A second reading that fails makes a load balancer neither unreadable nor empty.
func TestSecondReadingThatFails(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	w.Set(api, up("ins-c")...)
	tick(t, w, web, api)
	w.Set(web, backend("ins-b", 4))
	reads := 0
	w.Fail(func(op, key string) (bool, error) {
		if op == "read" && key == web {
			if reads++; reads == 2 {
				return false, errors.New("code 4500")
			}
		}
		return true, nil
	})
	sum := tick(t, w, web, api)
	if got := strings.Join(history(t, w), ", "); got != "ins-b stopped" || sum.Unreadable != 0 || reads != 2 {
		t.Errorf("reported %q after %d readings, %+v; want what stopped, and both read", got, reads, sum)
	}
	w.Fail(nil)
	tick(t, w, web, api)
	if got := strings.Join(history(t, w), ", "); got != "ins-b stopped, ins-a removed" {
		t.Errorf("reported %q after the next tick, want the removal too", got)
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
	if sum := run(t, w, v); sum.Unreadable != 0 || sum.Changes != 1 {
		t.Errorf("%+v, want both read, and one change", sum)
	}
	ticks(t, 2, w, web, api)
	if got, want := strings.Join(history(t, w), ", "),
		"ins-d stopped, ins-c removed, ins-a removed"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
	calls := ops(w)
	if tick(t, w, web, api); slices.Contains(*calls, "create") {
		t.Errorf("the tick after did %q, want no snapshot: nothing is in doubt any more", *calls)
	}
}

// A first run reads "empty" while another takes the baseline: it is not believed on that one reading.
func TestEmptyReadingMeetsABaseline(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	slow := w.Watcher(web)
	slow.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
		return lb.Reading{Digest: "empty"}, nil
	})
	spool := slow.Spool
	slow.Spool = func() (watch.Spool, error) { // after the slow run has loaded, and before it commits
		tick(t, w, web)
		return spool()
	}
	if _, err := slow.Tick(deadline(t, w)); err != nil {
		t.Fatal(err)
	}
	if got, want := news(w), "watching 1: 2 of 2"; got != want {
		t.Errorf("posted %q after one reading, want %q", got, want)
	}
}

// The cloud answers with nothing for a moment, a tick after a snapshot was written because of another load
// balancer.
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
	if got, want := strings.Join(history(t, w), ", "), "ins-c removed, ins-d added"; got != want || reads != 2 {
		t.Errorf("reported %q after %d readings, want %q after 2", got, reads, want)
	}
}

// What the rows do not tell is as it was, and no news.
func TestWhatRowsDoNotTellIsAsItWas(t *testing.T) {
	t.Parallel()
	unknown := func(id string) lb.Backend {
		return lb.Backend{ID: id, Status: lb.Unknown, Weight: lb.UnknownWeight}
	}
	stopped := backend("ins-b", 4)
	w := watchtest.New()
	w.Set(web, backend("ins-a", 4), backend("ins-b", lb.Running))
	tick(t, w, web)
	v := lapsing(w, map[int]lb.Reading{
		1: reading("1", unknown("ins-a"), stopped, unknown("ins-z")),
		2: reading("2", unknown("ins-a"), stopped, unknown("ins-z")),
		3: reading("3", unknown("ins-a"), stopped, backend("ins-z", lb.Running)),
		4: reading("4", backend("ins-a", lb.Running), unknown("ins-b"), unknown("ins-z")),
		5: reading("5", backend("ins-a", lb.Running), unknown("ins-b"), backend("ins-z", 4))})
	for range 5 {
		run(t, w, v)
	}
	if got, want := strings.Join(history(t, w), ", "),
		"ins-b stopped, ins-z added, ins-a recovered, ins-z stopped"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
	if c := w.Slack()[1].First.Incidents[0].Now; c.Unknown != 1 || c.Running != 0 || c.Weight != 30 ||
		c.Serving != 10 {
		t.Errorf("after the first odd rows: %+v, want one unknown, which serves as far as anybody knows", c)
	}
}
