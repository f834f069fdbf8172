package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// discover does one tick a minute after the last, of what scopes find beside keys.
func discover(t *testing.T, w *watchtest.World, scopes []watch.Scope, keys ...string) (watch.Summary, error) {
	t.Helper()
	w.Advance(time.Minute)
	ctx, cancel := context.WithDeadline(t.Context(), w.Now().Add(50*time.Second))
	defer cancel()
	watcher := w.Watcher(keys...)
	watcher.Discover = scopes
	return watcher.Tick(ctx)
}

// discovers does so many ticks, which must succeed.
func discovers(t *testing.T, w *watchtest.World, ticks int, scopes []watch.Scope, keys ...string) (sum watch.Summary) {
	t.Helper()
	for range ticks {
		var err error
		if sum, err = discover(t, w, scopes, keys...); err != nil {
			t.Fatalf("Tick: %v", err)
		}
	}
	return sum
}

var guangzhou = []watch.Scope{{Region: "ap-guangzhou"}}

func TestScope(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	for id, l := range map[string]watch.Listed{
		"lb-1": {Name: "prod-web", Tags: map[string]string{"env": "prod"}}, "lb-2": {Name: "prod/api"}, "lb-3": {Name: "test-web", Tags: map[string]string{"env": ""}},
	} {
		w.Set("ap-guangzhou/"+id, up("ins-1")...)
		w.Name("ap-guangzhou/"+id, l.Name, l.Tags)
	}
	w.Set("ap-shanghai/lb-4", up("ins-1")...)
	for _, tt := range []struct {
		scope watch.Scope
		want  string
	}{
		{watch.Scope{Region: "ap-guangzhou"}, "lb-1 lb-2 lb-3"},
		{watch.Scope{Region: "ap-guangzhou", Glob: "prod-*"}, "lb-1"},
		{watch.Scope{Region: "ap-guangzhou", Glob: "prod?*"}, "lb-1 lb-2"}, // a slash is a letter like others
		{watch.Scope{Region: "ap-guangzhou", Glob: "prod/*"}, "lb-2"},
		{watch.Scope{Region: "ap-guangzhou", Key: "env", Tag: "prod"}, "lb-1"},
		{watch.Scope{Region: "ap-guangzhou", Key: "env"}, "lb-3"}, // tagged with nothing, and not: not tagged
		{watch.Scope{Region: "ap-shanghai"}, "lb-4"},
		{watch.Scope{Region: "ap-beijing"}, ""},
	} {
		watcher := w.Watcher()
		watcher.Discover = []watch.Scope{tt.scope}
		clbs, unlisted := watcher.Watched(t.Context())
		var got []string
		for _, c := range clbs {
			got = append(got, c.ID)
		}
		if strings.Join(got, " ") != tt.want || len(unlisted) > 0 {
			t.Errorf("%s finds %v, %v, want %s", tt.scope, got, unlisted, tt.want)
		}
	}
}

func TestDiscoveredComeAndGo(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1", "ins-2")...)
	w.Name(web, "prod-web", nil)
	w.Set(api, up("ins-3")...)
	discovers(t, w, 2, guangzhou)
	w.Set("ap-guangzhou/lb-new", up("ins-4")...)
	w.Name("ap-guangzhou/lb-new", "fresh", nil)
	sum := discovers(t, w, 6, guangzhou)
	if sum.CLBs != 3 || sum.Read != 3 {
		t.Errorf("six ticks after one was made: %+v, want three read", sum)
	}
	w.Set(web, up("ins-1")...)
	discovers(t, w, 1, guangzhou)
	w.Delete(web)
	sum = discovers(t, w, 2, guangzhou)
	if sum.CLBs != 2 || sum.Unreadable != 0 {
		t.Errorf("after one was deleted: %+v, want two, and none unreadable", sum)
	}
	want := "baseline 2/3/3 | baseline 1/1/1 | ins-2 removed | prod-web deleted"
	if got := news(w); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if n := w.Told()[3].CLBs[0]; n.Before == nil || n.Before.Total != 1 || n.CLB.Title != "prod-web" {
		t.Errorf("told %+v, want the name and what it had", n)
	}
	if b := w.Told()[1].Baseline; b.Pools[0].CLB.Name() != "fresh" {
		t.Errorf("now watching %+v, want its name", b)
	}
	w.Set(web, up("ins-1")...) // made again
	discovers(t, w, 6, guangzhou)
	if got := news(w); got != want+" | baseline 1/1/1" {
		t.Errorf("told %q, want it watched anew", got)
	}
}

func TestDeletedBetweenTwoListsIsNotTakenForUnreadable(t *testing.T) {
	t.Parallel()
	for _, exists := range []bool{false, true} {
		w := watchtest.New()
		w.Set(web, up("ins-1")...)
		w.Set(api, up("ins-2")...)
		discovers(t, w, 1, guangzhou)
		if exists { // the reading is wrong, and the list knows better
			w.Fail(fail("read", fmt.Errorf("code 5000: %w", lb.ErrNotFound)))
			if _, err := discover(t, w, guangzhou); err == nil {
				t.Error("nothing could be read, and the tick says nothing")
			}
			w.Fail(nil)
		} else {
			w.Delete(web)
		}
		discovers(t, w, 1, guangzhou)
		want := map[bool]string{false: "baseline 2/2/2 | lb-8a3k2m1q deleted", true: "baseline 2/2/2"}[exists]
		if got := news(w); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

// A list that leaves one out in perfect form must not be believed alone.
func TestListThatIsShortDeletesNothing(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Set(api, up("ins-2")...)
	discovers(t, w, 1, guangzhou)
	for i := range 12 {
		w.Advance(time.Minute)
		watcher := w.Watcher()
		watcher.Discover = guangzhou
		watcher.Finder = shortList{watcher.Finder}
		if i > 5 {
			w.Fail(fail("exist", errors.New("it hangs"))) // nor where nobody can say
		}
		if _, err := watcher.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.Fail(nil)
	w.Set(api, append(up("ins-2"), up("ins-9")...)...)
	discovers(t, w, 1, guangzhou)
	if got, want := news(w), "baseline 2/2/2 | ins-9 added"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// shortList leaves the last load balancer out.
type shortList struct{ watch.Finder }

func (s shortList) List(ctx context.Context, region string) ([]watch.Listed, error) {
	l, err := s.Finder.List(ctx, region)
	slices.SortFunc(l, func(a, b watch.Listed) int { return strings.Compare(a.ID, b.ID) })
	return l[:max(len(l)-1, 0)], err
}

func TestListIsAskedForEveryFiveMinutes(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	lists, commits := 0, 0
	w.Fail(func(op, _ string) (bool, error) {
		switch op {
		case "list":
			lists++
		case "commit snapshot":
			commits++
		}
		return true, nil
	})
	discovers(t, w, 21, guangzhou)
	if lists != 5 || commits != 1 {
		t.Errorf("in 20 minutes: %d lists and %d snapshots, want 5 and the first", lists, commits)
	}
}

func TestRegionThatCannotBeListed(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1", "ins-2")...)
	discovers(t, w, 1, guangzhou)
	w.Fail(fail("list", errors.New("code 4101")))
	w.Set(web, up("ins-1")...)
	sum := discovers(t, w, 9, guangzhou)
	if sum.Read != 1 || sum.Unread == nil || !strings.Contains(sum.Unread.Error(), "4101") {
		t.Errorf("without a list: %+v, %v, want what is known to be watched, and why there is no list", sum, sum.Unread)
	}
	w.Fail(nil)
	discovers(t, w, 5, guangzhou) // it is left alone for longer and longer, for five minutes at most
	if got, want := news(w), "baseline 1/2/2 | ins-2 removed | blind ap-guangzhou list | sighted ap-guangzhou list"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	// Without any list there is nothing to watch: that is no success.
	w = watchtest.New()
	w.Fail(fail("list", errors.New("code 4101")))
	if sum, err := discover(t, w, guangzhou); err == nil {
		t.Errorf("the first tick without a list: %+v, want an error", sum)
	}
}

func TestWhatIsSearchedForChanges(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	prod := []watch.Scope{{Region: "ap-guangzhou", Glob: "prod-*"}}
	w.Set(web, up("ins-1")...)
	w.Name(web, "prod-web", nil)
	w.Set(api, up("ins-2")...)
	w.Name(api, "test-api", nil)
	discovers(t, w, 1, guangzhou)
	discovers(t, w, 1, prod) // the settings say so: quietly
	w.Name(web, "web", nil)  // people say so in the cloud: coverage gets smaller, and they should know
	discovers(t, w, 6, prod)
	discovers(t, w, 1, nil, web) // named by its id: a baseline of its own
	if got, want := news(w), "baseline 2/2/2 | prod-web unmatched | baseline 1/1/1"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestNamedByIDAndDiscovered(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1", "ins-2")...)
	w.Set(api, up("ins-3")...)
	discovers(t, w, 1, guangzhou, web)
	discovers(t, w, 1, guangzhou) // from the settings to the search, and back: watched all the time
	w.Set(web, up("ins-1")...)
	discovers(t, w, 6, guangzhou)
	w.Set(web, up("ins-1", "ins-4")...)
	sum := discovers(t, w, 1, guangzhou, web)
	if got, want := news(w), "baseline 2/3/3 | ins-2 removed | ins-4 added"; got != want || sum.CLBs != 2 {
		t.Errorf("told %q of %d, want %q of 2", got, sum.CLBs, want)
	}
}

func TestSurveyFindsWhatThereIsNow(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	discovers(t, w, 1, guangzhou)
	w.Set(api, up("ins-2")...)
	w.Name(api, "fresh", nil)
	watcher := w.Watcher()
	watcher.Discover = guangzhou
	found, err := watcher.Survey(t.Context())
	if err != nil || len(found.Standings) != 2 || found.Standings[1].CLB.Name() != "fresh" || found.Standings[1].Total != 1 {
		t.Errorf("Survey = %+v, %v, want the new one too", found.Standings, err)
	}
	w.Fail(fail("list", errors.New("code 4101")))
	found, err = watcher.Survey(t.Context())
	if err != nil || len(found.Standings) != 2 || found.Standings[0].Total != 1 || found.Standings[1].Err == nil || found.Standings[1].CLB.ID != "ap-guangzhou" {
		t.Errorf("Survey without a list = %+v, %v, want what is known, and the region that could not be searched", found.Standings, err)
	}
}

func TestWhatBecameOfLoadBalancersIsJoinedAndBounded(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	for i := range 130 {
		w.Set(fmt.Sprintf("ap-guangzhou/lb-%04d", i), up("ins-1")...)
	}
	discovers(t, w, 1, guangzhou)
	w.Fail(fail("notify", watch.ErrNotSent))
	for i := range 120 {
		if w.Delete(fmt.Sprintf("ap-guangzhou/lb-%04d", i)); i == 59 {
			discovers(t, w, 1, guangzhou)
		}
	}
	discovers(t, w, 1, guangzhou)
	w.Fail(nil)
	discovers(t, w, 1, guangzhou)
	a := w.Told()[1]
	if len(a.CLBs) != 50 || len(a.CLBs)+a.MoreCLBs != 120 || len(w.Told()) != 2 {
		t.Errorf("told %d by name and %d more in %d messages, want 120 in all, in one", len(a.CLBs), a.MoreCLBs, len(w.Told())-1)
	}
}

func TestListFromTheFutureIsAskedForAgain(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	watcher := w.Watcher()
	watcher.Discover = guangzhou
	watcher.Now = func() time.Time { return w.Now().Add(24 * time.Hour) } // a clock that was wrong
	if _, err := watcher.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Set(api, up("ins-2")...)
	if sum := discovers(t, w, 1, guangzhou); sum.CLBs != 2 {
		t.Errorf("%+v, want the new one found, and not a day later", sum)
	}
}

// endless is a region with more load balancers than a function can read.
type endless struct{ watch.Finder }

func (endless) List(context.Context, string) (list []watch.Listed, err error) {
	for i := range 20_001 {
		list = append(list, watch.Listed{ID: fmt.Sprintf("lb-%05d", i)})
	}
	return list, nil
}

func TestTooManyAreNotTaken(t *testing.T) {
	t.Parallel()
	watcher := watchtest.New().Watcher()
	watcher.Discover, watcher.Finder = guangzhou, endless{}
	if clbs, unlisted := watcher.Watched(t.Context()); len(clbs) > 0 || !strings.Contains(fmt.Sprint(unlisted["ap-guangzhou"]), "20001") {
		t.Errorf("Watched = %d, %v, want an error that says how many", len(clbs), unlisted)
	}
}

func TestOneShardTellsOfARegionThatCannotBeListed(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	for i := range 10 {
		w.Set(fmt.Sprintf("ap-guangzhou/lb-%04d", i), up("ins-1")...)
	}
	read := 0
	for minute := range 9 {
		if minute > 0 {
			w.Fail(fail("list", errors.New("code 4101")))
		}
		w.Advance(time.Minute)
		for n := 1; n <= 3; n++ {
			watcher := w.Shard(watch.Shard{N: n, Of: 3})
			watcher.Discover = guangzhou
			sum, err := watcher.Tick(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			read += sum.Read
		}
	}
	if got := strings.Count(news(w), "blind ap-guangzhou list"); got != 1 || read != 90 {
		t.Errorf("told %d times in %q, and read %d; want once, and each load balancer each time", got, news(w), read)
	}
}
