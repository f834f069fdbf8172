package watch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watchtest"
)

// TestStored holds that what ticks stored says how everything stood, without a word to the cloud.
func TestStored(t *testing.T) {
	t.Parallel()
	w, v, kept := silenced(t)
	kept.all = []incident.Silence{{ID: "7", What: "prod-*", Made: w.Now(), Until: w.Now().Add(time.Hour)}}
	at := w.Now()
	w.Advance(90 * time.Second)
	reads, head := w.Reads(), w.Head().N
	for _, brief := range []bool{false, true} {
		found, err := v.Stored(deadline(t, w), time.Hour, brief)
		if err != nil || !found.Known || len(found.Standings) != 3 || len(found.Open) != 1 || len(found.Silences) != 1 {
			t.Fatalf("Stored(%v) = %+v, %v, want three load balancers, an incident and a silence", brief, found, err)
		}
		if found.At.Sub(at).Abs() > time.Second || found.Age < 89*time.Second || found.Age > 91*time.Second {
			t.Errorf("Stored(%v) is of %v, %v ago, want %v, 90 s ago", brief, found.At, found.Age, at)
		}
		if got := len(past(found)); (got > 0) == brief {
			t.Errorf("Stored(%v) has %d things of the past", brief, got)
		}
		for _, s := range found.Standings {
			switch s.CLB.Label {
			case "batch":
				if s.Err == nil || !strings.Contains(s.Err.Error(), "no tick has read it") {
					t.Errorf("Stored(%v): batch is %+v, want that it was never read", brief, s)
				}
			case "prod-web":
				want := lb.Capacity{Total: 3, Running: 2, Ill: 1, Out: 2}
				if s.Err != nil || !brief && (s.Total != want.Total || s.Running != want.Running || len(s.NotRunning) != 1 ||
					len(s.Ill) != 1 || s.NotRunning[0].Out == nil || !s.NotRunning[0].Out.Since.Equal(at)) {
					t.Errorf("Stored(%v): prod-web is %+v, want %+v, and since when", brief, s, want)
				}
			}
		}
	}
	if w.Reads() != reads || w.Head().N != head {
		t.Error("Stored asked the cloud, or changed the state")
	}
	gone, cancel := context.WithCancel(deadline(t, w))
	cancel()
	if found, err := v.Stored(gone, time.Hour, false); !errors.Is(err, context.Canceled) || !found.Known {
		t.Errorf("Stored without time = %v, %v, want what there was time for, and why it is not all", found.Known, err)
	}
}

func TestStoredBeforeTheFirstTick(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	if found, err := w.Watcher(web).Stored(deadline(t, w), time.Hour, true); err == nil || found.Known {
		t.Errorf("Stored = %+v, %v, want that there is nothing", found, err)
	}
}

func TestStoredSaysWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Set(api, up("ins-b")...)
	tick(t, w, web, api)
	w.Fail(fail("read", errors.New("denied")))
	for n := range 6 { // at first it is not an incident yet
		_, _ = try(t, w, web, api)
		found, err := w.Watcher(web, api).Stored(deadline(t, w), time.Hour, n%2 == 0)
		if err != nil || len(found.Standings) != 2 {
			t.Fatalf("Stored = %+v, %v", found, err)
		}
		for _, s := range found.Standings {
			if s.Err == nil || !strings.Contains(s.Err.Error(), "denied") || s.Total > 0 {
				t.Errorf("after %d ticks %s stands %+v, want that it cannot be read, and why", n+1, s.CLB.Key(), s)
			}
		}
	}
}

func TestStoredOfAllShards(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 10)
	shards(t, w, 4, keys...)
	found, err := w.Shard(state.Shard{}, keys...).Stored(deadline(t, w), time.Hour, false)
	n := 0
	for _, s := range found.Standings {
		n += s.Total
	}
	if err != nil || len(found.Standings) != 10 || n != 20 {
		t.Errorf("Stored = %d load balancers with %d backends, %v, want 10 with 20", len(found.Standings), n, err)
	}
}

// TestSilenceOfARoot holds that the load balancers that are open in a message are silenced, each by a name that
// only it has, and no others.
func TestSilenceOfARoot(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ web, api, want string }{
		"names of their own": {"prod-web", "prod-api", "prod-api prod-web"},
		"the same name":      {"prod", "prod", "lb-api lb-web"},
		"a glob for a name":  {"prod-*", "prod-api", "prod-api lb-web"},
		"no name":            {"", "", "lb-api lb-web"},
	} {
		w := watchtest.New()
		v, kept := w.Watcher(web, api), &silences{}
		v.Silences, v.CLBs[0].Label, v.CLBs[1].Label = kept, tt.api, tt.web
		w.Set(web, up("ins-a", "ins-b", "ins-c")...)
		w.Set(api, up("ins-d", "ins-e")...)
		_, _ = v.Tick(deadline(t, w))
		w.Advance(time.Minute)
		w.Set(web, append(up("ins-a", "ins-b"), backend("ins-c", 4))...)
		w.Set(api, append(up("ins-d"), backend("ins-e", 4))...)
		if _, err := v.Tick(deadline(t, w)); err != nil {
			t.Fatal(err)
		}
		a, err := v.Silence(deadline(t, w), ask{Root: "2", For: time.Hour, By: "ada", Why: "incident 2"})
		var what []string
		for _, s := range append([]incident.Silence{a.Silence}, a.Others...) {
			what = append(what, s.What)
		}
		if got := strings.Join(what, " "); err != nil || got != tt.want || len(kept.all) != 2 || a.CLBs != 2 || a.Out != 2 {
			t.Errorf("%s: Silence = %+v, %v, on %s, want %s", name, a, err, got, tt.want)
		}
		if r := a.Shown.Root; r == nil || r.ID() != "2" || r.Incidents[0].Silence == "" || r.Incidents[1].Silence == "" {
			t.Errorf("%s: the root is shown as %+v, want it silenced", name, r)
		}
		if w.Head().Incidents.Roots[0].Incidents[0].Silence != "" {
			t.Errorf("%s: the head was changed", name)
		}
		if _, err := v.Silence(deadline(t, w), ask{Root: "99"}); err == nil || !strings.Contains(err.Error(), "open are 2, 3") {
			t.Errorf("%s: Silence of root 99 = %v, want which are open", name, err)
		}
	}
}

// TestSilenceOfARootOfMany holds that nobody silences half of the cloud by one press.
func TestSilenceOfARootOfMany(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 6)
	tick(t, w, keys...)
	for _, key := range keys {
		w.Set(key, backend("ins-"+key+"-x", 4))
	}
	tick(t, w, keys...)
	v, kept := w.Watcher(keys...), &silences{}
	v.Silences = kept
	_, err := v.Silence(deadline(t, w), ask{Root: w.Head().Incidents.Roots[len(w.Head().Incidents.Roots)-1].ID()})
	if err == nil || !strings.Contains(err.Error(), "at most 5") || len(kept.all) > 0 {
		t.Errorf("Silence = %v, and made %d, want that these are too many", err, len(kept.all))
	}
}

// TestSilenceAskedAgain holds that the same request a moment later is the same silence: people press Enter
// again when the answer does not come.
func TestSilenceAskedAgain(t *testing.T) {
	t.Parallel()
	w, v, kept := silenced(t)
	do := func(r ask, wait time.Duration, id string, again bool) {
		t.Helper()
		w.Advance(wait)
		a, err := v.Silence(deadline(t, w), r)
		if err != nil || a.Silence.ID != id || a.Again != again || a.Again && a.Replaces != "" {
			t.Errorf("%+v after %v: %+v, %v, want silence %s, again: %v", r, wait, a, err, id, again)
		}
	}
	r := ask{What: "prod-*", For: 2 * time.Hour, Why: "deploy", By: "ada"}
	do(r, 0, "1", false)
	do(r, 4*time.Second, "1", true)
	for id, other := range map[string]func(*ask){
		"2": func(r *ask) { r.By = "bob" },
	} {
		changed := r
		other(&changed)
		do(changed, time.Second, id, false)
	}
	all := r
	all.All = true
	do(all, time.Second, "3", false)
	longer := all
	longer.For = 3 * time.Hour
	do(longer, time.Second, "4", false)
	do(longer, 2*time.Minute, "5", false) // it extends
	ack := ask{Incident: "2", By: "ada"}
	do(ack, 0, "6", false)
	do(ack, 10*time.Second, "6", true)
	if len(kept.all) != 6 {
		t.Errorf("%d silences were made, want 6", len(kept.all))
	}
}
