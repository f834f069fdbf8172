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

// shards does one tick of each of so many shards, a minute after the last; all must succeed.
func shards(t *testing.T, w *watchtest.World, of int, keys ...string) {
	t.Helper()
	w.Advance(time.Minute)
	for n := 1; n <= of; n++ {
		if _, err := shard(t, w, n, of, keys...); err != nil {
			t.Fatalf("Tick of shard %d/%d: %v", n, of, err)
		}
	}
}

func shard(t *testing.T, w *watchtest.World, n, of int, keys ...string) (watch.Summary, error) {
	t.Helper()
	ctx, cancel := context.WithDeadline(t.Context(), w.Now().Add(50*time.Second))
	defer cancel()
	s := watch.Shard{N: n, Of: of}
	if of == 1 {
		s = watch.Shard{}
	}
	return w.Shard(s, keys...).Tick(ctx)
}

func fleet(w *watchtest.World, n int) (keys []string) {
	for i := range n {
		key := fmt.Sprintf("ap-guangzhou/lb-%04d", i)
		w.Set(key, up(fmt.Sprintf("ins-%04d-a", i), fmt.Sprintf("ins-%04d-b", i))...)
		keys = append(keys, key)
	}
	return keys
}

func TestShardsOwnEachLoadBalancerOnce(t *testing.T) {
	t.Parallel()
	for of := 1; of <= 8; of++ {
		counts := make([]int, of)
		for i := range 4000 {
			for n := 1; n <= of; n++ {
				if (watch.Shard{N: n, Of: of}).Owns(fmt.Sprintf("ap-guangzhou/lb-%08x", i*2654435761)) {
					counts[n-1]++
				}
			}
		}
		sum := 0
		for _, c := range counts {
			sum += c
			if c < 4000/of*8/10 || c > 4000/of*12/10 {
				t.Errorf("%d shards have %v of 4000, want about as many each", of, counts)
			}
		}
		if sum != 4000 {
			t.Errorf("%d shards have %d of 4000 in all", of, sum)
		}
	}
	if !(watch.Shard{N: 4, Of: 4}).Owns("ap-guangzhou/lb-8a3k2m1q") { // or every state there is would be divided in another way
		t.Error("ap-guangzhou/lb-8a3k2m1q is not in 4/4 any more")
	}
}

// changed is what was told of backends, sorted, and how many messages said "now watching".
func changed(w *watchtest.World) (changes []string, baselines int) {
	for _, a := range w.Told() {
		for _, p := range a.Pools {
			for _, c := range p.Changes {
				changes = append(changes, c.Backend.ID+" "+string(c.Kind))
			}
		}
		if a.Baseline != nil {
			baselines++
		}
	}
	slices.Sort(changes)
	return changes, baselines
}

func TestChangingTheNumberOfShardsLosesNothingAndFloodsNobody(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 40)
	shards(t, w, 1, keys...)
	var want []string
	for round, of := range []int{4, 4, 1, 2, 3, 4, 1, 64, 1} {
		// What happens between the last tick of one number and the first of the next is told all the same.
		for i := round; i < 40; i += 7 {
			w.Set(keys[i], up(fmt.Sprintf("ins-%04d-a", i), fmt.Sprintf("ins-%04d-r%d", i, round))...)
		}
		shards(t, w, of, keys...)
		shards(t, w, of, keys...)
	}
	last := make(map[int]string)
	for round := range 9 {
		for i := round; i < 40; i += 7 {
			was := last[i]
			if was == "" {
				was = fmt.Sprintf("ins-%04d-b", i)
			}
			last[i] = fmt.Sprintf("ins-%04d-r%d", i, round)
			want = append(want, was+" removed", last[i]+" added")
		}
	}
	slices.Sort(want)
	got, baselines := changed(w)
	if !slices.Equal(got, want) || baselines != 1 {
		t.Errorf("told %d changes and %d baselines, want %d and 1\n%v\n%v", len(got), baselines, len(want), got, want)
	}
}

func TestShardsFromTheBeginning(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 20)
	shards(t, w, 3, keys...)
	w.Set(keys[7], up("ins-new")...)
	shards(t, w, 1, keys...)
	got, baselines := changed(w)
	if want := []string{"ins-0007-a removed", "ins-0007-b removed", "ins-new added"}; !slices.Equal(got, want) || baselines != 3 {
		t.Errorf("told %v and %d baselines, want %v and one for each shard", got, baselines, want)
	}
}

func TestWhatIsOwedGoesOverOnce(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Thread()
	keys := fleet(w, 12)
	shards(t, w, 2, keys...)
	w.Fail(fail("notify", watch.ErrNotSent))
	for i := range 12 {
		b := backend(fmt.Sprintf("ins-%04d-a", i), 4)
		w.Set(keys[i], b, backend(fmt.Sprintf("ins-%04d-b", i), lb.Running))
	}
	shards(t, w, 2, keys...)
	shards(t, w, 3, keys...)
	w.Fail(nil)
	shards(t, w, 3, keys...)
	got, _ := changed(w)
	if len(got) != 12 || len(slices.Compact(slices.Clone(got))) != 12 {
		t.Errorf("told %v, want 12 that left running, each once", got)
	}
}

// What is owed of a load balancer goes to its own shard, or that one's later news would come first.
func TestWhatIsOwedOfALoadBalancerStaysInOrder(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		w := watchtest.New()
		keys := fleet(w, 4)
		shards(t, w, 1, keys...)
		w.Fail(fail("notify", watch.ErrNotSent))
		w.Set(keys[i], up(fmt.Sprintf("ins-%04d-a", i))...)
		shards(t, w, 1, keys...)
		w.Fail(nil)
		w.Set(keys[i])
		for n := 3; n > 0; n-- {
			w.Advance(time.Minute)
			if _, err := shard(t, w, n, 3, keys...); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, a := range w.Told()[1:] {
			for _, p := range a.Pools {
				for _, c := range p.Changes {
					got = append(got, c.Backend.ID)
				}
			}
		}
		if want := []string{fmt.Sprintf("ins-%04d-b", i), fmt.Sprintf("ins-%04d-a", i)}; !slices.Equal(got, want) {
			t.Errorf("told that %v were removed, want %v", got, want)
		}
	}
}

func TestThreadsGoOverToOneEditor(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Thread()
	keys := fleet(w, 6)
	shards(t, w, 1, keys...)
	for i, key := range keys { // each an incident of its own
		w.Set(key, backend(fmt.Sprintf("ins-%04d-a", i), 4), backend(fmt.Sprintf("ins-%04d-b", i), lb.Running))
		shards(t, w, 1, keys...)
	}
	shards(t, w, 3, keys...)
	for i, key := range keys {
		w.Set(key, up(fmt.Sprintf("ins-%04d-a", i), fmt.Sprintf("ins-%04d-b", i))...)
	}
	shards(t, w, 3, keys...)
	closed := 0
	for _, d := range w.Deliveries() {
		if d.Thread != nil && !d.Thread.Open() {
			closed++
		}
	}
	if closed != 6 {
		t.Errorf("%d threads were closed, want all 6", closed)
	}
}

// TestTakeOverDies kills the first run of each new shard at every call it makes, before and after the call took effect.
func TestTakeOverDies(t *testing.T) {
	t.Parallel()
	for _, apply := range []bool{false, true} {
		for at := 1; ; at++ {
			w := watchtest.New()
			keys := fleet(w, 8)
			shards(t, w, 2, keys...)
			w.Set(keys[3], up("ins-0003-a")...)
			n, died := 0, false
			w.Fail(func(op, _ string) (bool, error) {
				if op != "read" {
					n++
				}
				if n == at {
					died = true
					return apply, watchtest.ErrDied
				}
				return true, nil
			})
			w.Advance(time.Minute)
			for i := 1; i <= 3; i++ {
				_, _ = shard(t, w, i, 3, keys...) // one of them dies
			}
			w.Fail(nil)
			if !died {
				break
			}
			w.Set(keys[5], up("ins-0005-b")...)
			for range 3 {
				shards(t, w, 3, keys...)
			}
			got, baselines := changed(w)
			got = slices.Compact(got) // the mark may have been lost
			if want := []string{"ins-0003-b removed", "ins-0005-a removed"}; !slices.Equal(got, want) || baselines != 2 {
				t.Fatalf("died at call %d, apply %v: told %v and %d baselines, want %v", at, apply, got, baselines, want)
			}
		}
	}
}

func TestFormerShardAtWorkIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 4)
	shards(t, w, 1, keys...)
	w.Set(keys[0], up("ins-0000-a")...)
	w.Advance(time.Minute)
	w.Fail(fail("notify", watchtest.ErrDied)) // it holds the lease, and may have told it
	_, _ = shard(t, w, 1, 1, keys...)
	w.Fail(nil)
	if _, err := shard(t, w, 1, 2, keys...); err == nil || !strings.Contains(err.Error(), "still at work") || advice.Of(err) == "" {
		t.Errorf("a new shard during the former one's lease: %v, want an error that says what to do", err)
	}
	w.Advance(time.Minute)
	shards(t, w, 2, keys...)
	shards(t, w, 2, keys...)
	if got, _ := changed(w); !slices.Equal(slices.Compact(got), []string{"ins-0000-b removed"}) {
		t.Errorf("told %v", got)
	}
}

// A run of the former number that was under way when the state went over must not change it any more.
func TestLateRunOfAFormerNumberChangesNothing(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 4)
	shards(t, w, 1, keys...)
	w.Set(keys[0], up("ins-0000-a")...)
	once := true
	w.Fail(func(op, _ string) (bool, error) {
		if op == "read" && once {
			once = false
			w.Fail(nil)
			for n := 1; n <= 2; n++ {
				if _, err := shard(t, w, n, 2, keys...); err != nil {
					t.Errorf("shard %d/2: %v", n, err)
				}
			}
		}
		return true, nil
	})
	w.Advance(time.Minute)
	if _, err := shard(t, w, 1, 1, keys...); err == nil || !strings.Contains(err.Error(), "went over to 2 shards") {
		t.Errorf("the late run: %v, want an error", err)
	}
	w.Fail(nil)
	if got, _ := changed(w); !slices.Equal(got, []string{"ins-0000-b removed"}) {
		t.Errorf("told %v, want it once", got)
	}
}

func TestShardThatNeverRanIsBroughtAlong(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 8)
	shards(t, w, 1, keys...)
	if _, err := shard(t, w, 1, 4, keys...); err != nil {
		t.Fatal(err)
	}
	w.Set(keys[3], up("ins-0003-a")...)
	found, err := w.Watcher(keys...).Survey(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the state of 4 shards is not whole: 3 of them have not run yet") || advice.Of(err) == "" || len(found.Standings) != 8 {
		t.Errorf("a report while three of four have not run = %d load balancers, %v, want all of them, and an error that says what is missing", len(found.Standings), err)
	}
	if h := w.HeadOf(watch.Shard{N: 2, Of: 4}); h != nil {
		t.Errorf("the report left a head: %+v", h)
	}
	shards(t, w, 2, keys...)
	if got, baselines := changed(w); !slices.Equal(got, []string{"ins-0003-b removed"}) || baselines != 1 {
		t.Errorf("told %v and %d baselines, want what changed meanwhile, once", got, baselines)
	}
}

// While one run takes the state over or back, others do all their work, at every point of it.
func TestTakeOverMeetsOtherRuns(t *testing.T) {
	t.Parallel()
	for _, first := range []watch.Shard{{N: 1, Of: 2}, {N: 2, Of: 2}, {N: 1, Of: 3}, {N: 2, Of: 3}} {
		for _, others := range [][]watch.Shard{{{N: 1, Of: 2}}, {{N: 2, Of: 2}}, {{N: 1, Of: 2}, {N: 2, Of: 2}}, {{N: 1, Of: 3}}, {{N: 3, Of: 3}, {N: 2, Of: 3}}} {
			for at := 1; ; at++ {
				w := watchtest.New()
				keys := fleet(w, 8)
				shards(t, w, 2, keys...)
				if _, err := shard(t, w, 1, 3, keys...); err != nil { // a stray one
					t.Fatal(err)
				}
				n := 0
				var want []string
				w.Fail(func(op, _ string) (bool, error) {
					if n++; n == at {
						w.Fail(nil)
						for i, key := range keys {
							w.Set(key, up(fmt.Sprintf("ins-%04d-a", i))...)
							want = append(want, fmt.Sprintf("ins-%04d-b removed", i))
						}
						for _, other := range others {
							_, _ = shard(t, w, other.N, other.Of, keys...) // it may have to wait
						}
					}
					return true, nil
				})
				w.Advance(time.Minute)
				_, _ = shard(t, w, first.N, first.Of, keys...) // the other may have been faster
				w.Fail(nil)
				if want == nil {
					break
				}
				for range 3 {
					shards(t, w, 2, keys...)
				}
				if got, baselines := changed(w); !slices.Equal(got, want) || baselines != 2 {
					t.Fatalf("%v meets %v at call %d: told %v and %d baselines, want %v and 2", first, others, at, got, baselines, want)
				}
			}
		}
	}
}

// schema3 is a store as an older version of clbwatch writes it.
type schema3 struct{ watch.Store }

func (s schema3) Commit(ctx context.Context, h *watch.Head) error {
	h.Schema, h.Era = 3, 0
	return s.Store.Commit(ctx, h)
}

func TestShardsOfAnOlderVersionGoOn(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 12)
	for i, s := range []watch.Shard{{}, {N: 1, Of: 2}, {N: 2, Of: 2}, {N: 1, Of: 2}, {N: 2, Of: 2}} {
		w.Advance(time.Minute)
		if i == 3 {
			w.Set(keys[0], up("ins-0000-a")...)
			w.Set(keys[1], up("ins-0001-a")...)
		}
		old := w.Shard(s, keys...)
		stores := old.Stores
		old.Store = schema3{old.Store}
		old.Stores = func(s watch.Shard) (watch.Store, error) {
			found, err := stores(s)
			return schema3{found}, err
		}
		if _, err := old.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.Set(keys[2], up("ins-0002-a")...)
	shards(t, w, 3, keys...)
	w.Set(keys[3], up("ins-0003-a")...)
	shards(t, w, 2, keys...)
	w.Set(keys[4], up("ins-0004-a")...)
	shards(t, w, 1, keys...)
	want := []string{"ins-0000-b removed", "ins-0001-b removed", "ins-0002-b removed", "ins-0003-b removed", "ins-0004-b removed"}
	if got, baselines := changed(w); !slices.Equal(got, want) || baselines != 1 {
		t.Errorf("told %v and %d baselines, want %v and one", got, baselines, want)
	}
}

func TestUnreadableFormerStateIsAnError(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 4)
	shards(t, w, 1, keys...)
	n := 0
	w.Fail(func(op, _ string) (bool, error) {
		if op == "load" {
			if n++; n == 2 {
				return false, errors.New("403")
			}
		}
		return true, nil
	})
	if _, err := shard(t, w, 1, 2, keys...); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("%v, want the error, and no fresh start", err)
	}
	w.Fail(nil)
	shards(t, w, 2, keys...)
	if got, baselines := changed(w); len(got) > 0 || baselines != 1 {
		t.Errorf("told %v and %d baselines, want nothing new", got, baselines)
	}
}

func TestSurveyOfAllShards(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 10)
	shards(t, w, 4, keys...)
	for i, key := range keys {
		w.Set(key, backend(fmt.Sprintf("ins-%04d-a", i), 4), backend(fmt.Sprintf("ins-%04d-b", i), lb.Running))
	}
	shards(t, w, 4, keys...)
	shards(t, w, 2, keys...) // each takes its own part of the log along
	found, err := w.Watcher(keys...).Survey(t.Context())
	if err != nil || len(found.Standings) != 10 || len(found.Log) != 10 || found.LogFrom.IsZero() {
		t.Fatalf("Survey = %d standings, %d changes since %v, %v; want 10 and 10", len(found.Standings), len(found.Log), found.LogFrom, err)
	}
	for _, s := range found.Standings {
		if len(s.NotRunning) != 1 || s.NotRunning[0].Out == nil {
			t.Errorf("%s: %+v, want since when", s.CLB.ID, s.NotRunning)
		}
	}
}

// A number of shards that ran once only in part, because an event was wrong or a run died, and is not wanted any more.
// Nothing that the other number left long ago counts.
func TestANumberOfShardsThatRanInPartIsLeftAgain(t *testing.T) {
	t.Parallel()
	for _, before := range [][]int{{1}, {1, 4, 1}, {4, 1}, {2, 4, 1, 2}} {
		for _, wrong := range []int{4, 64} {
			for _, dies := range []bool{false, true} {
				w := watchtest.New()
				keys := fleet(w, 12)
				var want []string
				change := func(i int) {
					w.Set(keys[i], up(fmt.Sprintf("ins-%04d-a", i))...)
					want = append(want, fmt.Sprintf("ins-%04d-b removed", i))
				}
				for i, of := range before {
					shards(t, w, of, keys...)
					change(i)
					shards(t, w, of, keys...)
				}
				of := before[len(before)-1]
				change(5)
				w.Fail(fail("notify", watch.ErrNotSent))
				shards(t, w, of, keys...) // it is owed
				w.Fail(nil)
				if dies {
					n := 0
					w.Fail(func(op, _ string) (bool, error) {
						if op == "commit" {
							if n++; n > 1 {
								return false, watchtest.ErrDied
							}
						}
						return true, nil
					})
				}
				w.Advance(time.Minute)
				if _, err := shard(t, w, 3, wrong, keys...); (err != nil) != dies {
					t.Fatalf("after %v, shard 3/%d: %v", before, wrong, err)
				}
				w.Fail(nil)
				change(6)
				for range 2 {
					shards(t, w, of, keys...)
				}
				change(7)
				shards(t, w, of, keys...)
				slices.Sort(want)
				if got, baselines := changed(w); !slices.Equal(got, want) || baselines != before[0] {
					t.Errorf("after %v, 3/%d (died: %v): told %d changes and %d baselines, want %d and %d\n%v\n%v",
						before, wrong, dies, len(got), baselines, len(want), before[0], got, want)
				}
			}
		}
	}
}
