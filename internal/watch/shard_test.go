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
	s := state.Shard{N: n, Of: of}
	if of == 1 {
		s = state.Shard{}
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

// changed is what the history of all shards has, sorted, and how many messages said "now watching".
func changed(t *testing.T, w *watchtest.World) (changes []string, baselines int) {
	t.Helper()
	changes = history(t, w)
	slices.Sort(changes)
	return changes, len(notices(w, incident.Watching))
}

// posted is what the messages say of backends, each time that they say it, sorted.
// What is in two messages, because the first went to another shard, is there once.
func posted(w *watchtest.World) (says []string) {
	for _, word := range w.News() {
		if strings.HasPrefix(word, "ins-") {
			says = append(says, word)
		}
	}
	slices.Sort(says)
	return slices.Compact(says)
}

func TestChangingTheNumberOfShardsLosesNothingAndFloodsNobody(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 40)
	shards(t, w, 1, keys...)
	var want []string
	for round, of := range []int{4, 4, 1, 2, 3, 4, 1, 64, 1} {
		// What happens between the last tick of one number and the first of the next is reported all the same.
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
	got, baselines := changed(t, w)
	if !slices.Equal(got, want) || baselines != 1 {
		t.Errorf("reported %d changes and %d baselines, want %d and 1\n%v\n%v", len(got), baselines, len(want), got,
			want)
	}
}

func TestShardsFromTheBeginning(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 20)
	shards(t, w, 3, keys...)
	w.Set(keys[7], up("ins-new")...)
	shards(t, w, 1, keys...)
	got, baselines := changed(t, w)
	if want := []string{"ins-0007-a removed", "ins-0007-b removed", "ins-new added"}; !slices.Equal(got, want) ||
		baselines != 3 {
		t.Errorf("reported %v and %d baselines, want %v and one for each shard", got, baselines, want)
	}
	ids := make(map[string]bool)
	for _, m := range w.Slack() {
		for _, i := range m.First.Incidents {
			if ids[i.ID] {
				t.Errorf("two incidents are called %s", i.ID)
			}
			ids[i.ID] = true
		}
	}
}

func TestWhatIsDueGoesOverOnce(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 12)
	shards(t, w, 2, keys...)
	w.Fail(fail("send", watchtest.ErrDown))
	var want []string
	for i := range 12 {
		id := fmt.Sprintf("ins-%04d-a", i)
		w.Set(keys[i], backend(id, 4), backend(fmt.Sprintf("ins-%04d-b", i), lb.Running))
		want = append(want, id+" stopped")
	}
	shards(t, w, 2, keys...)
	shards(t, w, 3, keys...)
	w.Fail(nil)
	shards(t, w, 3, keys...)
	if got, _ := changed(t, w); !slices.Equal(got, want) {
		t.Errorf("the history has %v, want %v", got, want)
	}
	if got := posted(w); !slices.Equal(got, want) {
		t.Errorf("posted %v, want %v", got, want)
	}
}

// A root goes over with its incidents: what happens to them later is in its thread, and it ends as it should.
func TestIncidentsGoOverToOneEditor(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 6)
	shards(t, w, 1, keys...)
	for i, key := range keys { // each with a root of its own
		w.Set(key, backend(fmt.Sprintf("ins-%04d-a", i), 4), backend(fmt.Sprintf("ins-%04d-b", i), lb.Running))
		w.Advance(2 * time.Minute)
		shards(t, w, 1, keys...)
	}
	shards(t, w, 3, keys...)
	for i, key := range keys {
		w.Set(key, up(fmt.Sprintf("ins-%04d-a", i), fmt.Sprintf("ins-%04d-b", i))...)
	}
	for range 15 {
		shards(t, w, 3, keys...)
	}
	resolved := 0
	for _, m := range w.Slack() {
		if m.Call.Post.Root && !m.Shows.Notice() {
			if m.Shows.Resolved() {
				resolved++
			} else {
				t.Errorf("%s ends as %+v", m.Key, m.Shows.Incidents[0])
			}
		}
	}
	if resolved != 6 {
		t.Errorf("%d roots are resolved, want all 6", resolved)
	}
}

// TestIncidentsOfOneRootGoToSeveralShards has two load balancers share a root and then belong to two shards.
// Neither is reported as what it is not: they are watched all the time.
func TestIncidentsOfOneRootGoToSeveralShards(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 6)
	shards(t, w, 1, keys...)
	for i, key := range keys {
		w.Set(key, backend(fmt.Sprintf("ins-%04d-a", i), 4), backend(fmt.Sprintf("ins-%04d-b", i), lb.Running))
	}
	shards(t, w, 1, keys...)
	shards(t, w, 2, keys...)
	shards(t, w, 2, keys...)
	open := make(map[string]int)
	for _, m := range w.Slack() {
		for _, i := range m.Shows.Incidents {
			if i.End == incident.EndDropped {
				t.Errorf("%s says that %s is not watched any more", m.Key, i.Key)
			}
			if i.Open() {
				open[i.Key]++
			}
		}
	}
	for _, key := range keys {
		if open[key] != 1 {
			t.Errorf("%d messages say that something is open about %s, want 1", open[key], key)
		}
	}
}

// TestTakeOverDies kills the first run of each new shard at every call it makes, before and after the call
// took effect.
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
				if at < 30 {
					t.Errorf("only %d calls: the test looks at too little", at)
				}
				break
			}
			w.Set(keys[5], up("ins-0005-b")...)
			for range 3 {
				shards(t, w, 3, keys...)
			}
			got, baselines := changed(t, w)
			want := []string{"ins-0003-b removed", "ins-0005-a removed"}
			if !slices.Equal(got, want) || baselines != 2 || !slices.Equal(posted(w), want) {
				t.Fatalf("died at call %d, apply %v: reported %v, posted %v and %d baselines, want %v", at, apply, got,
					posted(w), baselines, want)
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
	w.Fail(fail("send", watchtest.ErrDied)) // it has a claim, and may have posted
	_, _ = shard(t, w, 1, 1, keys...)
	w.Fail(nil)
	if _, err := shard(t, w, 1, 2, keys...); err == nil || !strings.Contains(err.Error(), "still at work") ||
		advice.Of(err) == "" {
		t.Errorf("a new shard during the former one's claim: %v, want an error that says what to do", err)
	}
	w.Advance(time.Minute)
	shards(t, w, 2, keys...)
	shards(t, w, 2, keys...)
	want := []string{"ins-0000-b removed"}
	if got, _ := changed(t, w); !slices.Equal(got, want) || !slices.Equal(posted(w), want) {
		t.Errorf("reported %v, posted %v", got, posted(w))
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
	if _, err := shard(t, w, 1, 1, keys...); err == nil ||
		!strings.Contains(err.Error(), "went over to 2 shards") {
		t.Errorf("the late run: %v, want an error", err)
	}
	if _, _, err := w.Watcher(keys...).Preview(deadline(t, w)); err == nil ||
		!strings.Contains(err.Error(), "went over to 2 shards") {
		t.Errorf("a preview of the former number: %v, want an error", err)
	}
	w.Fail(nil)
	want := []string{"ins-0000-b removed"}
	if got, _ := changed(t, w); !slices.Equal(got, want) || !slices.Equal(posted(w), want) {
		t.Errorf("reported %v, posted %v, want it once", got, posted(w))
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
	found, err := w.Watcher(keys...).Survey(deadline(t, w), time.Time{}, 0)
	if err == nil || !strings.Contains(err.Error(),
		"the state of 4 shards is not whole: 3 of them have not run yet") || advice.Of(err) == "" ||
		len(found.Standings) != 8 {
		t.Errorf("a report while three of four have not run = %d load balancers, %v, want all of them, and an "+
			"error that says what is missing",
			len(found.Standings), err)
	}
	if h := w.HeadOf(state.Shard{N: 2, Of: 4}); h != nil {
		t.Errorf("the report left a head: %+v", h)
	}
	shards(t, w, 2, keys...)
	if got, baselines := changed(t, w); !slices.Equal(got, []string{"ins-0003-b removed"}) || baselines != 1 {
		t.Errorf("reported %v and %d baselines, want what changed meanwhile, once", got, baselines)
	}
}

// While one run takes the state over or back, others do all their work, at every point of it.
func TestTakeOverMeetsOtherRuns(t *testing.T) {
	t.Parallel()
	for _, first := range []state.Shard{{N: 1, Of: 2}, {N: 2, Of: 3}} {
		for _, others := range [][]state.Shard{{{N: 1, Of: 2}}, {{N: 2, Of: 2}}, {{N: 1, Of: 2}, {N: 2, Of: 2}},
			{{N: 1, Of: 3}},
			{{N: 3, Of: 3}, {N: 2, Of: 3}}} {
			t.Run(fmt.Sprint(first, " meets ", others), func(t *testing.T) {
				t.Parallel()
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
					if got, baselines := changed(t, w); !slices.Equal(got, want) || baselines != 2 ||
						!slices.Equal(posted(w), want) {
						t.Fatalf("at call %d: reported %v, posted %v and %d baselines, want %v and 2", at, got, posted(w),
							baselines, want)
					}
				}
			})
		}
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
	if got, baselines := changed(t, w); len(got) > 0 || baselines != 1 {
		t.Errorf("reported %v and %d baselines, want nothing new", got, baselines)
	}
}

// A number of shards that ran once only in part, because an event was wrong or a run died, and is not wanted
// any more. Nothing that the other number left long ago counts.
func TestNumberOfShardsThatRanInPartIsLeftAgain(t *testing.T) {
	t.Parallel()
	for _, before := range [][]int{{1}, {1, 4, 1}, {4, 1}, {2, 4, 1, 2}} {
		for _, wrong := range []int{4, 64} {
			for _, dies := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v, then 3/%d, dies %v", before, wrong, dies), func(t *testing.T) {
					t.Parallel()
					leaveAgain(t, before, wrong, dies)
				})
			}
		}
	}
}

func leaveAgain(t *testing.T, before []int, wrong int, dies bool) {
	t.Helper()
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
	w.Fail(fail("send", watchtest.ErrDown))
	shards(t, w, of, keys...) // it is due
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
		t.Fatalf("shard 3/%d: %v", wrong, err)
	}
	w.Fail(nil)
	change(6)
	for range 2 {
		shards(t, w, of, keys...)
	}
	change(7)
	shards(t, w, of, keys...)
	slices.Sort(want)
	if got, baselines := changed(t, w); !slices.Equal(got, want) || baselines != before[0] ||
		!slices.Equal(posted(w), want) {
		t.Errorf("reported %d changes, posted %d and %d baselines, want %d and %d\n%v\n%v\n%v",
			len(got), len(posted(w)), baselines, len(want), before[0], got, posted(w), want)
	}
}
