package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// discover does one tick a minute after the last, of what scopes find beside keys.
func discover(t *testing.T, w *watchtest.World, scopes []watch.Scope, keys ...string) (watch.Summary, error) {
	t.Helper()
	w.Advance(time.Minute)
	v := w.Watcher(keys...)
	v.Discover = scopes
	return v.Tick(deadline(t, w))
}

// discovers does so many ticks, which must succeed.
func discovers(t *testing.T, w *watchtest.World, ticks int, scopes []watch.Scope,
	keys ...string) (sum watch.Summary) {
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

// notices are the notices of some kind that were posted.
func notices(w *watchtest.World, about incident.About) (all []incident.Incident) {
	for _, m := range w.Slack() {
		for _, i := range m.First.Incidents {
			if i.About == about && i.Rev > m.First.Delivery.Shown {
				all = append(all, *i)
			}
		}
	}
	return all
}

func TestScope(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	for id, l := range map[string]watch.Listed{
		"lb-1": {Name: "prod-web", Tags: map[string]string{"env": "prod"}}, "lb-2": {Name: "prod/api"},
		"lb-3": {Name: "test-web", Tags: map[string]string{"env": ""}},
	} {
		w.Set("ap-guangzhou/"+id, up("ins-1")...)
		w.Name("ap-guangzhou/"+id, l.Name, l.Tags)
	}
	w.Set("ap-shanghai/lb-4", up("ins-1")...)
	for _, tt := range []struct {
		scope watch.Scope
		text  string
		want  string
	}{
		{watch.Scope{Region: "ap-guangzhou"}, "ap-guangzhou", "lb-1 lb-2 lb-3"},
		{watch.Scope{Region: "ap-guangzhou", Glob: "prod-*"}, "ap-guangzhou/prod-*", "lb-1"},
		// a slash is a letter like others
		{watch.Scope{Region: "ap-guangzhou", Glob: "prod?*"}, "ap-guangzhou/prod?*", "lb-1 lb-2"},
		{watch.Scope{Region: "ap-guangzhou", Glob: "prod/*"}, "ap-guangzhou/prod/*", "lb-2"},
		{watch.Scope{Region: "ap-guangzhou", Key: "env", Tag: "prod"}, "ap-guangzhou/tag:env=prod", "lb-1"},
		// an empty value, which is not the same as no tag
		{watch.Scope{Region: "ap-guangzhou", Key: "env"}, "ap-guangzhou/tag:env=", "lb-3"},
		{watch.Scope{Region: "ap-shanghai"}, "ap-shanghai", "lb-4"},
		{watch.Scope{Region: "ap-beijing"}, "ap-beijing", ""},
	} {
		v := w.Watcher()
		v.Discover = []watch.Scope{tt.scope}
		clbs, unlisted := v.Watched(t.Context())
		var got, found []string
		for _, c := range clbs {
			got = append(got, c.ID)
		}
		if strings.Join(got, " ") != tt.want || len(unlisted) > 0 || tt.scope.String() != tt.text {
			t.Errorf("%s, %q, finds %v, %v, want %s", tt.scope, tt.text, got, unlisted, tt.want)
		}
		search := v.Search(t.Context())
		for _, c := range search[0].CLBs {
			found = append(found, c.ID)
		}
		if slices.Sort(found); len(search) != 1 || !slices.Equal(found, got) || search[0].Err != nil ||
			search[0].Scope != tt.scope {
			t.Errorf("Search = %+v, want %v", search, got)
		}
	}
}

func TestSearchThatFails(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Fail(fail("list", errors.New("code 4101")))
	v := w.Watcher(api)
	v.Discover = guangzhou
	if all := v.Search(t.Context()); len(all) != 1 || all[0].Err == nil || len(all[0].CLBs) > 0 {
		t.Errorf("Search = %+v, want an error", all)
	}
	if clbs, unlisted := v.Watched(t.Context()); len(clbs) != 1 || unlisted["ap-guangzhou"] == nil {
		t.Errorf("Watched = %v, %v, want what the settings name, and an error", clbs, unlisted)
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
	if n := notices(w, incident.Watching); len(n) != 2 || n[1].Baseline.Worst[0].CLB.Name() != "fresh" {
		t.Errorf("posted %+v, want the name of what is watched now", n)
	}
	w.Set(web, up("ins-1")...)
	discovers(t, w, 1, guangzhou)
	w.Delete(web)
	sum = discovers(t, w, 2, guangzhou)
	if sum.CLBs != 2 || sum.Unreadable != 0 {
		t.Errorf("after one was deleted: %+v, want two, and none unreadable", sum)
	}
	want := "watching 2: 3 of 3 | watching 1: 1 of 1 | ins-2 removed | lb-web deleted | lb-web is over: deleted"
	if got := news(w); got != want {
		t.Errorf("posted %q, want %q", got, want)
	}
	if n := notices(w, incident.Deleted); len(n) != 1 || n[0].Title != "prod-web" {
		t.Errorf("posted %+v, want its name", n)
	}
	w.Set(web, up("ins-1")...) // made again
	discovers(t, w, 6, guangzhou)
	if got := news(w); got != want+" | watching 1: 1 of 1" {
		t.Errorf("posted %q, want it watched anew", got)
	}
}

func TestDeletionEndsWhatIsOpen(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1", "ins-2")...)
	w.Set(api, up("ins-3")...)
	discovers(t, w, 2, guangzhou)
	w.Set(web, backend("ins-1", 4), backend("ins-2", 2))
	discovers(t, w, 1, guangzhou)
	w.Delete(web)
	discovers(t, w, 3, guangzhou)
	if i := w.Slack()[1].Shows.Incidents[0]; i.End != incident.EndDeleted {
		t.Errorf("the root shows an incident that ended as %q, want deleted", i.End)
	}
	if s := w.Snapshot(); strings.Contains(s, web) {
		t.Errorf("the snapshot still has it: %s", s)
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
		want := map[bool]string{false: "watching 2: 2 of 2 | lb-web deleted", true: "watching 2: 2 of 2"}[exists]
		if got := news(w); got != want {
			t.Errorf("posted %q, want %q", got, want)
		}
	}
}

// What the settings name is not struck off: that it does not exist is for people to see.
func TestNamedByIDAndDeletedIsUnreadable(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Set(api, up("ins-2")...)
	tick(t, w, web, api)
	w.Delete(web)
	if sum := ticks(t, 3, w, web, api); sum.Unreadable != 1 || sum.CLBs != 2 {
		t.Errorf("%+v, want two, one of them unreadable", sum)
	}
	if got, want := news(w), "watching 2: 2 of 2 | lb-web unreadable: reading"; got != want {
		t.Errorf("posted %q, want %q", got, want)
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
		v := w.Watcher()
		v.Discover = guangzhou
		v.Finder = shortList{v.Finder}
		if i > 5 {
			w.Fail(fail("exist", errors.New("it hangs"))) // nor where nobody can say
		}
		run(t, w, v)
	}
	w.Fail(nil)
	w.Set(web, append(up("ins-1"), up("ins-9")...)...)
	discovers(t, w, 1, guangzhou)
	if got, want := news(w), "watching 2: 2 of 2 | ins-9 added"; got != want {
		t.Errorf("posted %q, want %q", got, want)
	}
}

// shortList leaves the last load balancer out.
type shortList struct{ watch.Finder }

func (s shortList) List(ctx context.Context, region string) ([]watch.Listed, error) {
	l, err := s.Finder.List(ctx, region)
	slices.SortFunc(l, func(a, b watch.Listed) int { return strings.Compare(a.ID, b.ID) })
	return l[:max(len(l)-1, 0)], err
}

// blank answers with nothing, in perfect form, to all that is asked about which load balancers there are.
type blank struct{ watch.Finder }

func (blank) List(context.Context, string) ([]watch.Listed, error) { return nil, nil }
func (blank) Exist(context.Context, string, []string) (map[string]bool, error) {
	return map[string]bool{}, nil
}

func TestDeletionNeedsTheReadingsWordToo(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1", "ins-2")...)
	discovers(t, w, 1, guangzhou)
	w.Advance(10 * time.Minute)
	w.Set(web, up("ins-1")...)
	v := w.Watcher()
	v.Discover, v.Finder = guangzhou, blank{}
	if sum := run(t, w, v); sum.Read != 1 {
		t.Errorf("%+v, want it read", sum)
	}
	w.Fail(fail("read", errors.New("code 6000"))) // nor is one that cannot be read
	w.Advance(10 * time.Minute)
	_, _ = v.Tick(deadline(t, w))
	w.Fail(nil)
	if got := notices(w, incident.Deleted); len(got) > 0 {
		t.Errorf("posted %+v, want nothing: it is there", got)
	}
	w.Delete(web)
	w.Advance(10 * time.Minute)
	run(t, w, v)
	if got := notices(w, incident.Deleted); len(got) != 1 || got[0].Key != web {
		t.Errorf("posted %+v, want that it was deleted", got)
	}
}

// Where nobody can say whether what reading does not find exists, it stays, as unreadable.
func TestDeletionNeedsTheCloudsWord(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Set(api, up("ins-2")...)
	discovers(t, w, 1, guangzhou)
	w.Delete(web)
	w.Fail(fail("exist", errors.New("code 4101")))
	if sum := discovers(t, w, 6, guangzhou); sum.CLBs != 2 || sum.Unreadable != 1 {
		t.Errorf("%+v, want two, one of them unreadable", sum)
	}
	if n := notices(w, incident.Deleted); len(n) > 0 {
		t.Errorf("posted %+v, want nothing", n)
	}
	w.Fail(nil)
	discovers(t, w, 1, guangzhou)
	if n := notices(w, incident.Deleted); len(n) != 1 {
		t.Errorf("posted %+v, want that it was deleted", n)
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
	w.Name(web, "web", nil)  // people say so in the cloud: less is watched, and they should know
	discovers(t, w, 6, prod)
	discovers(t, w, 1, nil, web) // named by its id: a baseline of its own
	if got, want := news(w), "watching 2: 2 of 2 | lb-web unmatched | watching 1: 1 of 1"; got != want {
		t.Errorf("posted %q, want %q", got, want)
	}
	if n := notices(w, incident.Unmatched); len(n) != 1 || n[0].Title != "prod-web" {
		t.Errorf("posted %+v, want the name that it had", n)
	}
}

func TestIncidentOfWhatDoesNotMatchAnyMoreIsClosed(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	prod := []watch.Scope{{Region: "ap-guangzhou", Glob: "prod-*"}}
	w.Set(web, up("ins-1", "ins-2")...)
	w.Name(web, "prod-web", nil)
	w.Set(api, up("ins-3")...)
	w.Name(api, "prod-api", nil)
	discovers(t, w, 2, prod)
	w.Set(web, backend("ins-1", 4), backend("ins-2", 2))
	discovers(t, w, 1, prod)
	w.Name(web, "web", nil)
	discovers(t, w, 6, prod)
	if i := w.Slack()[1].Shows.Incidents[0]; i.End != incident.EndDropped {
		t.Errorf("the root shows an incident that ended as %q, want dropped", i.End)
	}
}

// Which search found a load balancer is remembered as it is, also in ticks without a list.
func TestEachSearchHasItsOwn(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Set("ap-shanghai/lb-3", up("ins-3")...)
	scopes := []watch.Scope{{Region: "ap-guangzhou"}, {Region: "ap-shanghai"}}
	discovers(t, w, 2, scopes)
	w.Set("ap-shanghai/lb-3", up("ins-3", "ins-4")...)
	discovers(t, w, 1, scopes)
	for _, in := range []string{"ap-guangzhou", "ap-shanghai"} {
		if s := w.Snapshot(); strings.Count(s, `"in":"`+in+`"`) != 1 {
			t.Errorf("the snapshot is %s, want one that %s found", s, in)
		}
	}
	w.Fail(failOf("list", "ap-guangzhou", errors.New("code 4101")))
	if sum := discovers(t, w, 6, scopes[:1]); sum.CLBs != 1 {
		t.Errorf("%+v, want the one in ap-guangzhou only", sum)
	}
}

func TestNewNameIsStoredInTime(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1", "ins-2")...)
	w.Name(web, "old", nil)
	discovers(t, w, 2, guangzhou)
	w.Name(web, "new", nil)
	discovers(t, w, 12, guangzhou)
	if s := w.Snapshot(); !strings.Contains(s, `"name":"new"`) {
		t.Errorf("the snapshot has the old name: %s", s)
	}
	w.Set(web, backend("ins-1", 4), backend("ins-2", 2))
	discovers(t, w, 1, guangzhou)
	if i := newest(t, w); i.Title != "new" {
		t.Errorf("the incident is about %q, want the new name", i.Title)
	}
}

func TestNamedByIDAndDiscovered(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1", "ins-2")...)
	w.Set(api, up("ins-3")...)
	discovers(t, w, 1, guangzhou, web)
	lists := 0
	w.Fail(func(op, _ string) (bool, error) {
		if op == "list" {
			lists++
		}
		return true, nil
	})
	discovers(t, w, 1, guangzhou) // from the settings to the search, and back: watched all the time
	w.Set(web, up("ins-1")...)
	discovers(t, w, 3, guangzhou)
	if lists != 1 {
		t.Errorf("%d lists in four ticks after it was not named any more, want 1", lists)
	}
	discovers(t, w, 3, guangzhou)
	w.Set(web, up("ins-1", "ins-4")...)
	sum := discovers(t, w, 1, guangzhou, web)
	if got, want := news(w), "watching 2: 3 of 3 | ins-2 removed | ins-4 added"; got != want || sum.CLBs != 2 {
		t.Errorf("posted %q of %d, want %q of 2", got, sum.CLBs, want)
	}
}

func TestManyDeletionsAreOneMessageAndBounded(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 130)
	discovers(t, w, 2, guangzhou)
	for _, key := range keys[:120] {
		w.Delete(key)
	}
	sum := discovers(t, w, 1, guangzhou)
	if n := notices(w, incident.Deleted); len(n) != 50 || len(w.Slack()) != 2 || sum.CLBs != 10 {
		t.Errorf("%d named in %d messages, %+v; want the first 50, in one, and 10 left", len(n), len(w.Slack())-1,
			sum)
	}
}

func TestSearchThatFindsNothingIsReportedOnce(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Name(web, "prod-web", nil)
	scopes := []watch.Scope{{Region: "ap-guangzhou", Glob: "pord-*"}, {Region: "ap-shanghai"},
		{Region: "ap-guangzhou", Glob: "prod-*"}}
	discovers(t, w, 12, scopes)
	var keys []string
	for _, n := range notices(w, incident.Nothing) {
		keys = append(keys, n.Key)
	}
	if got, want := strings.Join(keys, ", "), "ap-guangzhou/pord-*, ap-shanghai"; got != want {
		t.Errorf("posted %q, want %q", got, want)
	}
}

// What was found is remembered before it could be read: it is not lost where its region cannot be listed the
// next time.
func TestFoundAndNotReadYetIsRemembered(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Set(api, up("ins-2")...)
	w.Fail(failOf("read", web, errors.New("code 6000")))
	discovers(t, w, 1, guangzhou)
	w.Fail(fail("list", errors.New("code 4101")))
	if sum := discovers(t, w, 6, guangzhou); sum.CLBs != 2 || sum.Read != 2 {
		t.Errorf("%+v, want both read", sum)
	}
	if got := len(notices(w, incident.Watching)); got != 2 {
		t.Errorf("%d baselines, want one of each", got)
	}
}

func TestOneShardReportsAboutSearches(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	many(w, 10)
	scopes := append(guangzhou[:1:1], watch.Scope{Region: "ap-tokyo"})
	read := 0
	for minute := range 9 {
		if minute > 0 {
			w.Fail(failOf("list", "ap-guangzhou", errors.New("code 4101")))
		}
		w.Advance(time.Minute)
		for n := 1; n <= 3; n++ {
			v := w.Shard(state.Shard{N: n, Of: 3})
			v.Discover = scopes
			sum, err := v.Tick(deadline(t, w))
			if err != nil {
				t.Fatal(err)
			}
			read += sum.Read
		}
	}
	if got := strings.Count(news(w), "ap-guangzhou unreadable: list"); got != 1 || read != 90 {
		t.Errorf("reported %d times in %q, and read %d; want once, and each load balancer each time", got, news(w),
			read)
	}
	if n := notices(w, incident.Nothing); len(n) != 1 || n[0].Key != "ap-tokyo" {
		t.Errorf("posted %+v, want once that a search finds nothing", n)
	}
}
