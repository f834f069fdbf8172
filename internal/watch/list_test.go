package watch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// hanging lists nothing until it is given up, in some regions.
type hanging struct {
	watch.Finder
	regions string
}

func (h hanging) List(ctx context.Context, region string) ([]watch.Listed, error) {
	if strings.Contains(h.regions, region) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.Finder.List(ctx, region)
}

// inBubble does one tick with a minute of time, by the clock of the bubble, and returns how long it took. The
// store's clock is off by so much.
func inBubble(t *testing.T, w *watchtest.World, v *watch.Watcher, off time.Duration) (watch.Summary,
	time.Duration, error) {
	t.Helper()
	w.Advance(time.Since(w.Now()) + off) // the store's clock
	v.Now = time.Now
	v.Sleep = func(ctx context.Context, d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := time.Now()
	sum, err := v.Tick(ctx)
	return sum, time.Since(start), err
}

func TestListIsAskedForEveryFiveMinutes(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Set(api, up("ins-2")...)
	lists, commits, drafts := 0, 0, 0
	w.Fail(func(op, _ string) (bool, error) {
		switch op {
		case "list":
			lists++
		case "create":
			drafts++
		case "commit snapshot":
			commits++
		}
		return true, nil
	})
	discovers(t, w, 21, guangzhou, web) // one named, one found
	if lists != 5 || commits != 1 || drafts != 1 || w.Reads() != 42 {
		t.Errorf("in 20 minutes: %d lists, %d snapshots of %d begun, %d readings; want 5, the first, and 42", lists,
			commits, drafts, w.Reads())
	}
}

// When a list was had is stored at once, also in a tick in which nothing else is.
func TestListIsNotAskedForTwice(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	discovers(t, w, 3, guangzhou)
	v := w.Watcher()
	v.Discover = guangzhou
	v.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
		return lb.Reading{Backends: up("ins-1"), Digest: "learned", Remember: true}, nil
	})
	run(t, w, v) // writes a head, so that the next heartbeat is not due when the list is
	lists := 0
	w.Fail(func(op, _ string) (bool, error) {
		if op == "list" {
			lists++
		}
		return true, nil
	})
	for range 4 {
		run(t, w, v)
	}
	if lists != 1 {
		t.Errorf("%d lists in 4 minutes, want 1", lists)
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
		t.Errorf("without a list: %+v, %v, want what is known to be watched, and why there is no list", sum,
			sum.Unread)
	}
	listed := w.Head().Listed["ap-guangzhou"]
	for _, m := range w.Slack() {
		for _, i := range m.First.Incidents {
			if i.About == incident.Listing && !i.LastGood.Equal(listed) {
				t.Errorf("the last good list is from %v, want %v", i.LastGood, listed)
			}
		}
	}
	w.Fail(nil)
	discovers(t, w, 8, guangzhou) // it is left alone for longer and longer, for five minutes at most
	want := "watching 1: 2 of 2 | ins-2 removed | ap-guangzhou unreadable: list | ap-guangzhou readable"
	if got := strings.ReplaceAll(news(w), "ap-guangzhou/", ""); got != want {
		t.Errorf("posted %q, want %q", got, want)
	}
	if u := w.Head().Unlisted; len(u) > 0 {
		t.Errorf("the head still has %+v", u)
	}
}

func TestFirstTickWithoutAListIsAnError(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Fail(fail("list", errors.New("code 4101")))
	if sum, err := discover(t, w, guangzhou); err == nil || !strings.Contains(err.Error(), "4101") {
		t.Errorf("the first tick without a list: %+v, %v, want an error: there is nothing to watch", sum, err)
	}
}

// A region that fails is left alone for 1, 2, 4 and then 5 minutes.
func TestRegionThatFailsIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	var at []int
	minute := 0
	w.Fail(func(op, _ string) (bool, error) {
		if op == "list" {
			at = append(at, minute)
			return false, errors.New("code 4101")
		}
		return true, nil
	})
	for ; minute < 20; minute++ {
		discovers(t, w, 1, guangzhou, web)
	}
	if got, want := fmt.Sprint(at), "[0 1 3 7 12 17]"; got != want {
		t.Errorf("listed in minutes %s, want %s", got, want)
	}
}

func TestRegionThatThereIsNotIsReported(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Fail(fail("list", fmt.Errorf("code UnsupportedRegion: %w", watch.ErrNoRegion)))
	discovers(t, w, 10, []watch.Scope{{Region: "ap-gangzhou"}}, web)
	if got, want := news(w), "watching 1: 1 of 1 | ap-gangzhou unreadable: list"; got != want {
		t.Errorf("posted %q, want %q", got, want)
	}
}

// Regions that hang delay what is known by 5 s at most, however many they are, and are left alone for longer
// and longer.
func TestListsThatHangDelayNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := watchtest.New()
		w.Set(web, up("ins-1")...)
		w.Set(api, up("ins-2")...)
		w.Set("ap-shanghai/lb-3", up("ins-3")...)
		scopes := []watch.Scope{{Region: "ap-shanghai"}, {Region: "ap-beijing"}, {Region: "ap-tokyo"},
			{Region: "ap-seoul"}}
		slow := 0
		for minute := range 12 {
			v := w.Watcher(web, api)
			v.Discover, v.Finder = scopes, hanging{v.Finder, "ap-beijing ap-tokyo ap-seoul"}
			sum, took, err := inBubble(t, w, v, 0)
			if err != nil || sum.Read != 3 || sum.Unread == nil || took > 5*time.Second {
				t.Errorf("minute %d: %+v, %v, in %v, want three read, and why the others are not listed, within 5 s",
					minute, sum, err, took)
			}
			if took > time.Second {
				slow++
			}
			time.Sleep(time.Minute - took)
		}
		if slow > 5 || slow < 3 {
			t.Errorf("%d of 12 ticks waited for the regions, want them left alone for 1, 2, 4 and then 5 minutes",
				slow)
		}
		if got := news(w); strings.Count(got, "unreadable: list") != 3 {
			t.Errorf("posted %q, want each of the three regions as one that cannot be listed", got)
		}
	})
}

// The first list of all has longer: nobody is delayed by it. The store's clock does not matter for that.
func TestFirstListHasAThirdOfTheTime(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{0, -time.Hour, 40 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := watchtest.New()
			w.Set(web, up("ins-1")...)
			v := w.Watcher()
			v.Discover, v.Finder = guangzhou, slowly{v.Finder, 12 * time.Second}
			if sum, took, err := inBubble(t, w, v, off); err != nil || sum.Read != 1 || took > 13*time.Second {
				t.Errorf("a list that takes 12 s, store off by %v: %+v, %v after %v, want one read", off, sum, err, took)
			}
			w = watchtest.New()
			v = w.Watcher()
			v.Discover, v.Finder = guangzhou, slowly{v.Finder, time.Hour}
			if sum, took, err := inBubble(t, w, v, off); err == nil ||
				!strings.Contains(err.Error(), "did not answer in time") ||
				took > 16*time.Second || took < 14*time.Second {
				t.Errorf("a list that hangs, store off by %v: %+v, %v after %v, want an error after a third of the 45 s",
					off, sum, err, took)
			}
		})
	}
}

type slowly struct {
	watch.Finder
	takes time.Duration
}

func (s slowly) List(ctx context.Context, region string) ([]watch.Listed, error) {
	select {
	case <-time.After(s.takes):
		return s.Finder.List(ctx, region)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestListFromTheFutureIsAskedForAgain(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Advance(24 * time.Hour) // a clock that was wrong
	discovers(t, w, 1, guangzhou)
	w.Advance(-24 * time.Hour)
	w.Set(api, up("ins-2")...)
	if sum := discovers(t, w, 1, guangzhou); sum.CLBs != 2 {
		t.Errorf("%+v, want the new one found, and not a day later", sum)
	}
}

// A pause that a wrong clock noted does not keep a region from being listed for long.
func TestPauseFromTheFutureIsIgnored(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	discovers(t, w, 1, guangzhou)
	w.Advance(24 * time.Hour)
	w.Fail(fail("list", errors.New("code 4101")))
	discovers(t, w, 1, guangzhou)
	w.Fail(nil)
	w.Advance(-24 * time.Hour)
	w.Set(api, up("ins-2")...)
	if sum := discovers(t, w, 6, guangzhou); sum.CLBs != 2 {
		t.Errorf("%+v, want the new one found", sum)
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
	v := watchtest.New().Watcher()
	v.Discover, v.Finder = guangzhou, endless{}
	if clbs, unlisted := v.Watched(t.Context()); len(clbs) > 0 ||
		!strings.Contains(fmt.Sprint(unlisted["ap-guangzhou"]), "20001") {
		t.Errorf("Watched = %d, %v, want an error that says how many", len(clbs), unlisted)
	}
}
