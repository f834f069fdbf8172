package watch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// inBubble does one tick with a minute of time, by the clock of the bubble, and returns how long it took.
func inBubble(t *testing.T, v *watch.Watcher) (watch.Summary, error, time.Duration) {
	t.Helper()
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
	return sum, err, time.Since(start)
}

// Regions that hang delay what is known by 5 s at most, however many they are, and are left alone for longer and longer.
func TestListsThatHangDelayNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := watchtest.New()
		w.Set(web, up("ins-1")...)
		w.Set(api, up("ins-2")...)
		w.Set("ap-shanghai/lb-3", up("ins-3")...)
		scopes := []watch.Scope{{Region: "ap-shanghai"}, {Region: "ap-beijing"}, {Region: "ap-tokyo"}, {Region: "ap-seoul"}}
		slow := 0
		for minute := range 12 {
			v := w.Watcher(web, api)
			v.Discover, v.Finder = scopes, hanging{v.Finder, "ap-beijing ap-tokyo ap-seoul"}
			sum, err, took := inBubble(t, v)
			if err != nil || sum.Read != 3 || sum.Unread == nil || took > 5*time.Second {
				t.Errorf("minute %d: %+v, %v, in %v, want three read, and why the others are not listed, within 5 s", minute, sum, err, took)
			}
			if took > time.Second {
				slow++
			}
			time.Sleep(time.Minute - took)
		}
		if slow > 5 || slow < 3 {
			t.Errorf("%d of 12 ticks waited for the regions, want them left alone for 1, 2, 4 and then 5 minutes", slow)
		}
		if got := news(w); strings.Count(got, "blind") != 3 {
			t.Errorf("told %q, want each of the three regions as one that cannot be listed", got)
		}
	})
}

// A load balancer that hangs delays the others by less than 5 s, and counts as unread.
func TestLoadBalancerThatHangsDelaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := watchtest.New()
		keys := many(w, 100)
		v := w.Watcher(keys...)
		v.Source = stuck{v.Source, keys[7]}
		sum, err, took := inBubble(t, v)
		if err != nil || sum.Read != 99 || sum.Unreadable != 1 || took > 5*time.Second {
			t.Errorf("%+v, %v, in %v, want 99 read within 5 s", sum, err, took)
		}
		v.Source = stuck{v.Source, ""} // all of them
		if _, err, took := inBubble(t, v); err == nil || took < 30*time.Second {
			t.Errorf("all hang: %v after %v, want an error once the time is up", err, took)
		}
	})
}

type stuck struct {
	watch.Source
	key string
}

func (s stuck) Read(ctx context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error) {
	if s.key == "" || c.Key() == s.key {
		<-ctx.Done()
		return lb.Reading{}, ctx.Err()
	}
	return s.Source.Read(ctx, c, known)
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
	if sum, err := v.Tick(deadline(t, w)); err != nil || sum.Read != 1 {
		t.Errorf("%+v, %v, want it read", sum, err)
	}
	if got, want := news(w), "baseline 1/2/2 | ins-2 removed"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	w.Fail(fail("read", errors.New("code 6000"))) // nor is one that cannot be read
	w.Advance(10 * time.Minute)
	_, _ = v.Tick(deadline(t, w))
	w.Fail(nil)
	w.Delete(web)
	w.Advance(10 * time.Minute)
	if _, err := v.Tick(deadline(t, w)); err != nil {
		t.Error(err)
	}
	if got, want := news(w), "baseline 1/2/2 | ins-2 removed | lb-8a3k2m1q deleted"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestSearchThatFindsNothingIsReportedOnce(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Name(web, "prod-web", nil)
	scopes := []watch.Scope{{Region: "ap-guangzhou", Glob: "pord-*"}, {Region: "ap-shanghai"}, {Region: "ap-guangzhou", Glob: "prod-*"}}
	discovers(t, w, 12, scopes)
	var told []string
	for _, a := range w.Told() {
		for _, n := range a.CLBs {
			told = append(told, fmt.Sprint(n.Fate, " ", n.CLB.ID))
		}
	}
	if got, want := strings.Join(told, ", "), "nothing ap-guangzhou/pord-*, nothing ap-shanghai"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestRegionThatThereIsNotIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Fail(fail("list", fmt.Errorf("code UnsupportedRegion: %w", watch.ErrNoRegion)))
	for range 10 {
		discovers(t, w, 1, []watch.Scope{{Region: "ap-gangzhou"}}, web)
	}
	if got, want := news(w), "blind ap-gangzhou list, baseline 1/1/1"; !strings.Contains(got, "blind ap-gangzhou list") || strings.Count(got, "blind") != 1 || len(w.Told()) != 1 {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestSurveyTakesNoLongerThanAThirdForLists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := watchtest.New()
		w.Set(web, up("ins-1")...)
		v := w.Watcher(web)
		v.Discover, v.Finder = []watch.Scope{{Region: "ap-beijing"}, {Region: "ap-tokyo"}}, hanging{v.Finder, "ap-beijing ap-tokyo"}
		v.Now = time.Now
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		found, err := v.Survey(ctx)
		if err != nil || len(found.Standings) != 3 || found.Standings[0].Total != 1 || time.Since(start) > 16*time.Second {
			t.Errorf("Survey = %+v, %v after %v, want one read, and two regions that could not be listed", found.Standings, err, time.Since(start))
		}
	})
}
