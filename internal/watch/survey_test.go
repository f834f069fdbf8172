package watch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

func TestSurvey(t *testing.T) {
	t.Parallel()
	other := api + "x"
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web, other)
	w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
	tick(t, w, web, other)
	before, down := w.Head().N, w.Now()
	w.Set(web, backend("ins-a", 4), backend("ins-b", 4))
	calls := ops(w)
	got, err := w.Watcher(web, other).Survey(deadline(t, w), time.Time{}, 0)
	if err != nil || len(got.Standings) != 2 || got.Standings[0].Err == nil ||
		got.Standings[0].CLB.Key() != other {
		t.Fatalf("Survey = %+v, %v, want two standings, the first with an error", got, err)
	}
	s := got.Standings[1]
	if s.Total != 2 || s.Running != 0 || len(s.NotRunning) != 2 || len(s.Backends) != 2 {
		t.Errorf("Survey = %+v, want two, and both not running", s)
	}
	if a, b := s.NotRunning[0], s.NotRunning[1]; a.Out == nil || !a.Out.Since.Equal(down) || b.Out != nil {
		t.Errorf("Survey = %+v, want the first out since %v, and of the second nothing known", s.NotRunning, down)
	}
	if w.Head().N != before || slices.Contains(*calls, "send") || slices.Contains(*calls, "look") {
		t.Errorf("Survey changed the state, or asked Slack: %q", *calls)
	}
}

func TestSurveyTellsWhatIsOpenAndWhatHappened(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	w.Set(web, up("ins-b")...)
	tick(t, w, web)
	w.Advance(24 * time.Hour) // the day ends: what happened is in a segment now
	tick(t, w, web)
	since := w.Now()
	w.Set(web, backend("ins-b", 4))
	tick(t, w, web, api) // with a notice, which is not open
	v := w.Watcher(web)
	for _, tt := range []struct {
		since time.Time
		want  string
	}{{time.Time{}, "ins-a ins-b"}, {since, "ins-b"}} {
		got, err := v.Survey(deadline(t, w), tt.since, 0)
		if ids := past(got); err != nil || strings.Join(ids, " ") != tt.want || !got.Known ||
			!got.Past.Since.Equal(tt.since) {
			t.Errorf("Survey since %v = %q, known: %v, %v, want %s", tt.since, ids, got.Known, err, tt.want)
		}
		if len(got.Open) != 1 || got.Open[0].Incidents[0].Key != web || got.Open[0].Name(web).ID != "lb-web" {
			t.Errorf("Survey says that %+v is open, want the incident of %s", got.Open, web)
		}
	}
}

func TestSurveyOfTheHistoryIsBounded(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	var ids []string
	for i := range 3000 {
		ids = append(ids, fmt.Sprintf("ins-%04d", i))
	}
	w.Set(web, up(ids...)...)
	tick(t, w, web)
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	got, err := w.Watcher(web).Survey(deadline(t, w), time.Time{}, 0)
	if err != nil || len(past(got)) > 1000 {
		t.Errorf("Survey of 6,002 changes names %d machines, %v", len(past(got)), err)
	}
	if c := got.Past.Root.Incidents[0].Counts; c.Added != 3001 || c.Removed != 3001 {
		t.Errorf("Survey counts %+v, want each change", c)
	}
}

// past lists the machines that a survey names as changed.
func past(found watch.Survey) (ids []string) {
	for _, i := range found.Past.Root.Incidents {
		for _, m := range i.Machines {
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func TestSurveyWithoutStateKnowsNothingOfThePast(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, backend("ins-a", 4))
	got, err := w.Watcher(web).Survey(deadline(t, w), w.Now().Add(-time.Hour), 0)
	if err != nil || len(got.Standings) != 1 || got.Known || len(past(got))+len(got.Open) > 0 {
		t.Errorf("Survey = %+v, %v, want the standing, and no word about the past", got, err)
	}
}

func TestSurveySaysWhatItHadToDoWithout(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]watchtest.Fault{
		"the state cannot be loaded":     fail("load", errors.New("down")),
		"the snapshot cannot be opened":  fail("open", errors.New("down")),
		"the history cannot be read":     fail("open segment", errors.New("down")),
		"the snapshot is another's text": nil,
		"a line of it is damaged":        nil,
		"its end is damaged":             nil,
	} {
		w := watchtest.New()
		w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
		tick(t, w, web)
		w.Set(web, backend("ins-a", 4))
		tick(t, w, web)
		w.Advance(24 * time.Hour)
		tick(t, w, web)
		w.Fail(fault)
		v := w.Watcher(web)
		switch {
		case strings.HasPrefix(name, "a line"):
			v.Store = rewriting{v.Store, func(text string) string {
				return strings.Replace(text, `"backends":[{`,
					`"backends":[[`, 1)
			}}
		case strings.HasPrefix(name, "its end"):
			v.Store = tailless{v.Store}
		case fault == nil:
			v.Store = foreign{v.Store}
		}
		if got, err := v.Survey(deadline(t, w), time.Time{}, 0); err == nil || len(got.Standings) != 1 ||
			len(got.Standings[0].NotRunning) != 1 ||
			strings.Contains(name, "end") && got.Standings[0].NotRunning[0].Out != nil {
			t.Errorf("%s: Survey = %+v, %v, want the standing and an error", name, got, err)
		} else if got.Known {
			t.Errorf("%s: Survey says that it knows all that happened", name)
		}
	}
}

// A segment of the history that cannot be read hides nothing that came later.
func TestSurveyOfADamagedHistory(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	w.Advance(24 * time.Hour)
	tick(t, w, web)
	w.Set(web, backend("ins-a", 4))
	tick(t, w, web)
	w.Fail(fail("open segment", errors.New("down")))
	got, err := w.Watcher(web).Survey(deadline(t, w), w.Now().Add(-48*time.Hour), 0)
	if err == nil || !strings.Contains(err.Error(), "read the history") ||
		!slices.Equal(past(got), []string{"ins-a"}) || got.Known {
		t.Errorf("Survey = %q, known: %v, %v, want what is left, and an error", past(got), got.Known, err)
	}
}

// tailless has snapshots of which only the end shows that they are damaged, as one of another content.
type tailless struct{ state.Store }

func (e tailless) OpenSnapshot(ctx context.Context, b state.Blob) (io.ReadCloser, error) {
	r, err := e.Store.OpenSnapshot(ctx, b)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	damaged := iotest.ErrReader(state.ErrDamaged)
	return io.NopCloser(io.MultiReader(bytes.NewReader(content), damaged)), errors.Join(err, r.Close())
}

// foreign has snapshots of another form.
type foreign struct{ state.Store }

func (foreign) OpenSnapshot(context.Context, state.Blob) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(`{"schema":1,"clbs":{}}` + "\nnot a record\n")), nil
}

func TestSurveySortsBackends(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Health(true)
	stopped := ill("ins-s", 2, "TCP:80 → 80")
	stopped.Status = 4
	w.Set(web, ill("ins-a", 2), ill("ins-i", 2, "TCP:80 → 80"))
	tick(t, w, web)
	w.Set(web, ill("ins-a", 2, "TCP:81 → 81"), ill("ins-i", 2, "TCP:80 → 80"))
	tick(t, w, web)
	since := w.Now()
	w.Set(web, ill("ins-a", 2, "TCP:81 → 81"), stopped, lb.Backend{ID: "ins-u", Status: lb.Unknown,
		Weight: lb.UnknownWeight})
	got, err := w.Watcher(web).Survey(deadline(t, w), time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := got.Standings[0]
	if len(s.NotRunning) != 1 || s.NotRunning[0].ID != "ins-s" || s.NotRunning[0].Failing != nil {
		t.Errorf("not running: %+v, want ins-s, of which it goes without saying that it fails", s.NotRunning)
	}
	if len(s.Ill) != 1 || s.Ill[0].ID != "ins-a" || s.Ill[0].Ill == nil || !s.Ill[0].Ill.Since.Equal(since) {
		t.Errorf("ill: %+v, want ins-a since %v", s.Ill, since)
	}
	if len(s.Unknown) != 1 || s.Unknown[0].ID != "ins-u" || s.Unknown[0].Weight != lb.DefaultWeight {
		t.Errorf("unknown: %+v, want ins-u with the default weight", s.Unknown)
	}
}

func TestSurveyOfManyListsNoBackends(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 101)
	for _, n := range []int{100, 101} {
		got, err := w.Watcher(keys[:n]...).Survey(deadline(t, w), time.Time{}, 0)
		if err != nil || (len(got.Standings[0].Backends) > 0) != (n == 100) || got.Standings[0].Total != 2 {
			t.Errorf("Survey of %d lists %d of %d backends of the first, %v", n, len(got.Standings[0].Backends),
				got.Standings[0].Total, err)
		}
	}
}

func TestSurveyLeavesTimeToPost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := watchtest.New()
		v := w.Watcher(web)
		v.Now = time.Now
		v.Source = stuck{v.Source, ""}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		got, err := v.Survey(ctx, time.Time{}, 0)
		if took := time.Since(start); err != nil || took > 2*time.Second || got.Standings[0].Err == nil {
			t.Errorf("Survey = %+v, %v after %v of 3 s, want time left to post the report", got, err, took)
		}
	})
}

func TestSurveyConfirmsAnEmptyReading(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		w := watchtest.New()
		v := w.Watcher(web)
		reads := 0
		v.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
			if reads++; reads == 1 {
				return lb.Reading{}, nil
			}
			return lb.Reading{Backends: up("ins-a")}, nil
		})
		if late {
			v.Sleep = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
		}
		got, err := v.Survey(deadline(t, w), time.Time{}, 0)
		if s := got.Standings[0]; err != nil || (s.Total == 1) == late || (s.Err != nil) != late || late &&
			advice.Of(s.Err) == "" {
			t.Errorf("no time: %v: Survey = %+v, %v, want what the second reading says, or an error", late, s, err)
		}
	}
}

func TestSurveyFindsWhatThereIsNow(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	discovers(t, w, 1, guangzhou)
	w.Set(api, up("ins-2")...)
	w.Name(api, "fresh", nil)
	v := w.Watcher()
	v.Discover = guangzhou
	found, err := v.Survey(deadline(t, w), time.Time{}, 0)
	if err != nil || len(found.Standings) != 2 || found.Standings[0].CLB.Name() != "fresh" ||
		found.Standings[0].Total != 1 {
		t.Errorf("Survey = %+v, %v, want the new one too", found.Standings, err)
	}
	w.Fail(fail("list", errors.New("code 4101")))
	found, err = v.Survey(deadline(t, w), time.Time{}, 0)
	if err != nil || len(found.Standings) != 2 || found.Standings[0].Total != 1 ||
		found.Standings[1].Err == nil ||
		found.Standings[1].CLB.ID != "ap-guangzhou" {
		t.Errorf("Survey without a list = %+v, %v, want what is known, and the region that could not be searched",
			found.Standings, err)
	}
	w.Advance(5 * time.Minute)
	discovers(t, w, 1, guangzhou) // which cannot be listed, and is left alone by ticks for now
	w.Fail(nil)
	if found, err := v.Survey(deadline(t, w), time.Time{}, 0); err != nil || len(found.Standings) != 2 ||
		found.Standings[1].Err != nil {
		t.Errorf("Survey = %+v, %v, want the region searched", found.Standings, err)
	}
	w.Delete(web)
	if found, err := v.Survey(deadline(t, w), time.Time{}, 0); err != nil || len(found.Standings) != 1 ||
		found.Standings[0].CLB.Key() != api {
		t.Errorf("Survey = %+v, %v, want what was deleted left out", found.Standings, err)
	}
}

func TestSurveyTakesNoLongerThanAThirdForLists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := watchtest.New()
		w.Set(web, up("ins-1")...)
		v := w.Watcher(web)
		v.Discover, v.Finder = []watch.Scope{{Region: "ap-beijing"}, {Region: "ap-tokyo"}},
			hanging{v.Finder, "ap-beijing ap-tokyo"}
		v.Now = time.Now
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		found, err := v.Survey(ctx, time.Time{}, 0)
		if took := time.Since(start); err != nil || len(found.Standings) != 3 || found.Standings[0].Total != 1 ||
			took > 16*time.Second {
			t.Errorf("Survey = %+v, %v after %v, want one read, and two regions that could not be listed",
				found.Standings, err, took)
		}
	})
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
	for i, key := range keys {
		w.Set(key, backend(fmt.Sprintf("ins-%04d-a", i), 4), backend(fmt.Sprintf("ins-%04d-b", i), 4))
	}
	shards(t, w, 4, keys...)
	shards(t, w, 2, keys...) // each takes its own part of the history along
	found, err := w.Watcher(keys...).Survey(deadline(t, w), time.Time{}, 0)
	if err != nil || len(found.Standings) != 10 || len(past(found)) != 20 {
		t.Fatalf("Survey = %d standings, %d changes, %v; want 10 and 20", len(found.Standings), len(past(found)),
			err)
	}
	for _, s := range found.Standings {
		if len(s.NotRunning) != 2 || s.NotRunning[0].Out == nil || s.NotRunning[1].Out == nil {
			t.Errorf("%s: %+v, want since when", s.CLB.ID, s.NotRunning)
		}
	}
	open := make(map[string]bool)
	for _, doc := range found.Open {
		for _, i := range doc.Incidents {
			open[i.Key] = true
		}
	}
	if len(open) != 10 {
		t.Errorf("Survey says that something is open about %d, want all 10", len(open))
	}
}
