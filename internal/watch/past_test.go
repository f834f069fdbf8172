package watch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// went are the incidents of the time before, in short.
func went(t *testing.T, w *watchtest.World, v *watch.Watcher, back time.Duration) (all []string) {
	t.Helper()
	err := v.History(deadline(t, w), back, func(r incident.Record, _ time.Time) error {
		c := r.Closed
		if c == nil {
			return nil
		}
		end := string(c.End)
		if end == "" {
			end = "open"
		}
		all = append(all, fmt.Sprintf("%s %s %s %s %s %v", r.Incident, r.CLB.Label, end, c.Level, c.By,
			c.Ended.Sub(c.Began).Round(time.Minute)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestHistoryTellsIncidents(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	v, kept := w.Watcher(web, api), &silences{}
	v.Silences, v.CLBs[0].Label, v.CLBs[1].Label = kept, "prod-api", "prod-web"
	live := func(minutes int) {
		t.Helper()
		for range minutes {
			if _, err := v.Tick(deadline(t, w)); err != nil {
				t.Fatal(err)
			}
			w.Advance(time.Minute)
		}
	}
	w.Set(web, up("ins-a", "ins-b", "ins-c", "ins-d")...)
	w.Set(api, up("ins-e", "ins-f")...)
	live(2)
	w.Set(web, append(up("ins-b", "ins-c", "ins-d"), backend("ins-a", 4))...)
	live(2)
	if _, err := v.Silence(deadline(t, w), ask{Incident: "2", By: "ada"}); err != nil {
		t.Fatal(err)
	}
	live(1)
	w.Set(web, append(up("ins-d"), backend("ins-a", 4), backend("ins-b", 4), backend("ins-c", 4))...)
	live(4) // worse than it was when ada took it
	w.Set(web, up("ins-a", "ins-b", "ins-c", "ins-d")...)
	live(30)
	w.Set(api, append(up("ins-e"), backend("ins-f", 4))...)
	live(2)
	got := strings.Join(went(t, w, v, 24*time.Hour), "\n")
	const want = "1 prod-api notice ok  0s\n2 prod-web resolved degraded ada 17m0s\n3 prod-api open degraded  "
	if !strings.HasPrefix(got, want) {
		t.Errorf("the incidents are\n%s\nwant\n%s", got, want)
	}
	w.Advance(26 * time.Hour) // the day ends: what happened is in a segment now
	_, _ = v.Tick(deadline(t, w))
	if got := went(t, w, v, time.Hour); len(got) != 1 || !strings.HasPrefix(got[0], "3 prod-api open") {
		t.Errorf("of the last hour: %q, want what is open", got)
	}
	if got := went(t, w, v, 48*time.Hour); len(got) != 3 {
		t.Errorf("of two days: %q, want all", got)
	}
	enough := errors.New("enough")
	n := 0
	err := v.History(deadline(t, w), 48*time.Hour, func(incident.Record, time.Time) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("History = %v after %d, want it to stop", err, n)
	}
}

// TestHistoryTellsWhatWasWatched holds the lines that are about no incident: what is watched, what was not
// seen, and silences.
func TestHistoryTellsWhatWasWatched(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	begin := w.Now()
	kept := &silences{}
	live := func(minutes int, keys ...string) {
		t.Helper()
		v := w.Watcher(keys...)
		v.Silences = kept
		for range minutes {
			_, _ = v.Tick(deadline(t, w)) // where nothing can be read, it is an error
			w.Advance(time.Minute)
		}
	}
	v := w.Watcher(web, api)
	v.Silences = kept
	told := func() (all []string) {
		t.Helper()
		err := v.History(deadline(t, w), 24*time.Hour, func(r incident.Record, _ time.Time) error {
			says, minute := "", func(at time.Time) int { return int(at.Sub(begin).Round(time.Minute) / time.Minute) }
			switch {
			case r.First != nil:
				says = fmt.Sprintf("first %d of %d", r.First.Running, r.First.Total)
			case r.Gone != "":
				says = "gone: " + string(r.Gone)
			case r.Unseen != nil:
				says = fmt.Sprintf("unseen %s since %d", r.Shard, minute(*r.Unseen))
			case r.Silence != nil:
				says = fmt.Sprintf("silence %s of %s until %d, ended %v", r.Silence.ID, r.Silence.What,
					minute(r.Silence.Until), !r.Silence.Ended.IsZero())
			default:
				return nil
			}
			all = append(all, strings.TrimSpace(fmt.Sprintf("%d %s %s", minute(r.At), r.CLB.ID, says)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	holds := func(when string, want ...string) {
		t.Helper()
		got := told()
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s the history has\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	w.Set(web, up("ins-a", "ins-b")...)
	w.Set(api, backend("ins-c", 4), backend("ins-d", 2))
	live(2, web, api)
	want := []string{"0 lb-api first 1 of 2", "0 lb-web first 2 of 2"}
	holds("after the baseline", want...)

	unreadable := func(op, key string) (bool, error) {
		if op == "read" && key == api {
			return false, errors.New("RequestLimitExceeded")
		}
		return true, nil
	}
	w.Fail(unreadable)
	live(2, web, api)
	holds("while one cannot be read", append(want, "4 lb-api unseen  since 2")...)
	live(5, web, api)
	holds("while it cannot be read for long", append(want, "9 lb-api unseen  since 2")...)
	w.Fail(nil)
	live(2, web, api)
	want = append(want, "9 lb-api unseen  since 2")
	holds("once it can be read", want...)

	w.Advance(20 * time.Minute)
	holds("when no tick has run for a while", append(want, "31  unseen 1/1 since 10")...)
	live(1, web, api)
	want = append(want, "31  unseen 1/1 since 10")
	holds("once ticks run again", want...)

	if _, err := v.Silence(deadline(t, w), ask{What: "*api*", For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	live(2, web, api)
	want = append(want, "32  silence 1 of *api* until 92, ended false")
	holds("in a silence", want...)
	if _, err := v.Silence(deadline(t, w), ask{End: "1"}); err != nil {
		t.Fatal(err)
	}
	live(1, web, api)
	want = append(want, "34  silence 1 of *api* until 92, ended true")
	holds("after the silence", want...)

	live(2, web)
	want = append(want, "35 lb-api gone: dropped")
	holds("once one is not watched any more", want...)
	live(1, web, api)
	want = append(want, "37 lb-api first 1 of 2")
	holds("once it is watched again", want...)
}

// TestHistoryGoesOverToShards holds that lines about no load balancer go to one shard, and count for those
// load balancers that they were about.
func TestHistoryGoesOverToShards(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 6)
	shards(t, w, 2, keys...)
	w.Advance(20 * time.Minute)
	shards(t, w, 2, keys...)
	w.Advance(20 * time.Minute)
	shards(t, w, 3, keys...)
	shards(t, w, 3, keys...)
	v := w.Watcher(keys...)
	gaps := make(map[string]int)
	err := v.History(deadline(t, w), 24*time.Hour, func(r incident.Record, _ time.Time) error {
		if r.Shard != "" {
			gaps[r.Shard]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(gaps) != 5 || gaps["1/2"] != 1 || gaps["2/2"] != 1 {
		t.Errorf("no ticks are told of %v, want once of each of two shards, and of each of three", gaps)
	}
	found, err := v.Survey(deadline(t, w), w.Now().Add(-time.Hour), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		dark := found.Timeline.Of(key).Watched - found.Timeline.Of(key).Seen
		if want := 43 * time.Minute; dark.Round(time.Minute) != want {
			t.Errorf("%s was not seen for %v, want %v", key, dark, want)
		}
	}
}
