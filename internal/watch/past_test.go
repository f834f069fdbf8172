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
	err := v.Incidents(deadline(t, w), back, func(r incident.Record, _ time.Time) error {
		c := r.Closed
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

func TestIncidentsOfThePast(t *testing.T) {
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
	err := v.Incidents(deadline(t, w), 48*time.Hour, func(incident.Record, time.Time) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("Incidents = %v after %d, want it to stop", err, n)
	}
}
