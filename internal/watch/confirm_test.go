package watch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// lapse makes the nth reading of a load balancer the one given, and those after it what the world has.
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

// A reading that lacks something is wrong about that until another one lacks it too; all else in it counts at once.
func TestRemovalIsBelievedWhenTwoReadingsShowIt(t *testing.T) {
	t.Parallel()
	stopped := backend("ins-b", 4)
	all := up("ins-a", "ins-b", "ins-c", "ins-d")
	odd := reading("odd", up("ins-a")...)
	odd.Unnamed = 1
	oddAll, oddOne := reading("all and odd", all...), reading("one less and odd", up("ins-a", "ins-b", "ins-c")...)
	oddAll.Unnamed, oddOne.Unnamed = 1, 1
	vague := bound("ins-a", "TCP:80 80")
	vague.Vague = true
	none := errors.New("no time")
	tests := []struct {
		name   string
		before []lb.Backend // the baseline; the world stays so
		lapses map[int]lb.Reading
		late   bool // there is no time for a second reading
		ticks  int
		want   string
	}{
		{"one lapse", all, map[int]lb.Reading{1: reading("1", stopped, up("ins-c")[0], up("ins-d")[0]), 2: reading("2", append(up("ins-a", "ins-c", "ins-d"), stopped)...)}, false, 1,
			" | ins-b left running"},
		{"two lapses, of other backends", all, map[int]lb.Reading{1: reading("1", up("ins-b", "ins-c", "ins-d")...), 2: reading("2", up("ins-a", "ins-c", "ins-d")...)},
			false, 2, ""},
		{"two lapses, one backend in both", all, map[int]lb.Reading{1: reading("1", up("ins-c", "ins-d")...), 2: reading("2", up("ins-b", "ins-d")...)},
			false, 1, " | ins-a removed"},
		{"the same bytes twice", all, map[int]lb.Reading{1: reading("1", up("ins-a", "ins-b")...), 2: reading("1", up("ins-a", "ins-b")...)},
			false, 1, " | ins-c removed, ins-d removed"},
		{"no time: the next tick, of the same bytes", all, map[int]lb.Reading{1: reading("1", up("ins-b", "ins-c", "ins-d")...), 2: reading("1", up("ins-b", "ins-c", "ins-d")...)},
			true, 2, " | ins-a removed"},
		{"no time: the next tick, of other bytes", all, map[int]lb.Reading{1: reading("1", up("ins-b", "ins-c", "ins-d")...), 2: reading("2", stopped, up("ins-c")[0], up("ins-d")[0])},
			true, 2, " | ins-b left running, ins-a removed"},
		{"no time: the next tick has it", all, map[int]lb.Reading{1: reading("1", up("ins-b", "ins-c", "ins-d")...)}, true, 3, ""},
		{"a row that names nobody", all, map[int]lb.Reading{1: odd, 2: odd, 3: odd, 4: odd}, false, 2, ""},
		{"a row that names nobody, and one backend less later", all, map[int]lb.Reading{1: oddAll, 2: oddOne, 3: oddOne}, false, 2, " | ins-d removed"},
		{"a binding that is missing once", []lb.Backend{bound("ins-a", "TCP:80 80", "TCP:81 81")},
			map[int]lb.Reading{1: reading("1", bound("ins-a", "TCP:80 80"))}, false, 2, ""},
		{"a binding that is missing twice", []lb.Backend{bound("ins-a", "TCP:80 80", "TCP:81 81")},
			map[int]lb.Reading{1: reading("1", bound("ins-a", "TCP:80 80")), 2: reading("1", bound("ins-a", "TCP:80 80"))}, false, 1,
			" | ins-a unbound 1/2 TCP:81"},
		{"a row that names no binding", []lb.Backend{bound("ins-a", "TCP:80 80", "TCP:81 81")},
			map[int]lb.Reading{1: reading("1", vague), 2: reading("1", vague), 3: reading("1", vague)}, false, 2, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Set(web, tt.before...)
			tick(t, w, web)
			start := news(w)
			v := lapsing(w, tt.lapses)
			if tt.late {
				v.Sleep = func(context.Context, time.Duration) error { return none }
			}
			for range tt.ticks {
				w.Advance(time.Minute)
				if sum, err := v.Tick(deadline(t, w)); err != nil || sum.Read != 1 {
					t.Fatalf("Tick = %+v, %v", sum, err)
				}
			}
			if got := news(w); got != start+tt.want {
				t.Errorf("told %q, want %q", got, start+tt.want)
			}
		})
	}
}

func TestConfirmationCostsACallOnlyWhenThereIsNews(t *testing.T) {
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
	tick(t, w, keys...)
	tick(t, w, keys...)
	if got := w.Reads() - before; got != 41 {
		t.Errorf("%d readings in two ticks after something was removed, want 41", got)
	}
}

// What the rows do not tell is as it was, and no news.
func TestWhatRowsDoNotTellIsAsItWas(t *testing.T) {
	t.Parallel()
	unknown := lb.Backend{ID: "ins-a", Status: lb.Unknown, Weight: lb.UnknownWeight}
	fresh := lb.Backend{ID: "ins-z", Status: lb.Unknown, Weight: lb.UnknownWeight}
	stopped := backend("ins-b", 4)
	w := watchtest.New()
	w.Set(web, backend("ins-a", 4), backend("ins-b", lb.Running))
	tick(t, w, web)
	v := lapsing(w, map[int]lb.Reading{1: reading("1", unknown, stopped, fresh), 2: reading("2", unknown, stopped, fresh),
		3: reading("3", unknown, stopped, backend("ins-z", lb.Running)), 4: reading("4", backend("ins-a", lb.Running), unknownOf("ins-b"), unknownOf("ins-z")),
		5: reading("5", backend("ins-a", lb.Running), unknownOf("ins-b"), backend("ins-z", 4))})
	for range 5 {
		w.Advance(time.Minute)
		if _, err := v.Tick(deadline(t, w)); err != nil {
			t.Fatal(err)
		}
	}
	want := "baseline 1/1/2 | ins-b left running, ins-z added | ins-a recovered | ins-z left running"
	if got := news(w); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if p := w.Told()[1].Pools[0]; p.Unknown != 1 || p.Running != 0 || p.Weight != 30 || p.Serving != 10 {
		t.Errorf("after the first odd rows: %+v, want one unknown, which serves as far as anybody knows", p.Capacity)
	}
}

func unknownOf(id string) lb.Backend {
	return lb.Backend{ID: id, Status: lb.Unknown, Weight: lb.UnknownWeight}
}
