package watch_test

import (
	"context"
	"errors"
	"io"
	"slices"
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
		if err != nil || !found.Known || len(found.Standings) != 3 || len(found.Open) != 1 ||
			len(found.Silences) != 1 {
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
				if s.Err != nil ||
					!brief && (s.Total != want.Total || s.Running != want.Running || len(s.NotRunning) != 1 ||
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

// TestSilenceOfARoot holds that the load balancers that are open in a message are silenced, each by a name
// that only it has, and no others.
func TestSilenceOfARoot(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ web, api, want string }{
		"names of their own": {"prod-web", "prod-api", "prod-api prod-web"},
		"the same name":      {"prod", "prod", "lb-api lb-web"},
		"a glob for a name":  {"prod-*", "prod-api", "lb-web prod-api"},
		"no name":            {"", "", "lb-api lb-web"},
	} {
		w := watchtest.New()
		v, kept := w.Watcher(web, api), &silences{}
		v.Silences, v.CLBs[0].Label, v.CLBs[1].Label = kept, tt.api, tt.web
		v.Rules.Route = "webhook:1"
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
		slices.Sort(what)
		got := strings.Join(what, " ")
		if err != nil || got != tt.want || len(kept.all) != 2 || a.CLBs != 2 || a.Out != 2 {
			t.Errorf("%s: Silence = %+v, %v, on %s, want %s", name, a, err, got, tt.want)
		}
		if r := a.Shown.Root; r == nil || r.ID() != "2" || r.Incidents[0].Silence == "" ||
			r.Incidents[1].Silence == "" {
			t.Errorf("%s: the root is shown as %+v, want it silenced", name, r)
		}
		if w.Head().Incidents.Roots[0].Incidents[0].Silence != "" {
			t.Errorf("%s: the head was changed", name)
		}
		_, err = v.Silence(deadline(t, w), ask{Root: "99"})
		if err == nil || !strings.Contains(err.Error(), "open are 2, 3") {
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
	roots := w.Head().Incidents.Roots
	_, err := v.Silence(deadline(t, w), ask{Root: roots[len(roots)-1].ID()})
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
	longer.Why = "another deploy"
	do(longer, time.Second, "5", false)
	do(longer, 2*time.Minute, "6", false) // it extends
	ack := ask{Incident: "2", By: "ada"}
	do(ack, 0, "7", false)
	do(ack, 10*time.Second, "7", true)
	if len(kept.all) != 7 {
		t.Errorf("%d silences were made, want 7", len(kept.all))
	}
}

// TestSilenceOfARootShortensNothing holds that a press on a button does not take the place of a silence that
// is longer, or stricter, and that what is silenced by others needs no other.
func TestSilenceOfARootShortensNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		first ask
		want  string // what is made then, or why nothing is
	}{
		"a longer one":             {ask{What: "prod-web", For: 3 * time.Hour, Why: "move"}, "silenced already, by silence 1"},
		"a stricter one":           {ask{What: "prod-web", For: 5 * time.Minute, All: true}, "silenced already, by silence 1"},
		"a longer one of many":     {ask{What: "prod-*", For: 3 * time.Hour, Why: "move"}, "silenced already, by silence 1"},
		"a shorter one":            {ask{What: "prod-web", For: 5 * time.Minute}, "prod-web"},
		"one of something else":    {ask{What: "prod-api", For: 3 * time.Hour}, "prod-web"},
		"an acknowledgement of it": {ask{Incident: "2"}, "prod-web"},
	} {
		w, v, kept := silenced(t)
		v.CLBs = v.CLBs[:2]
		v.Rules.Route = "webhook:1"
		if _, err := v.Tick(deadline(t, w)); err != nil { // the head knows their names
			t.Fatal(err)
		}
		if _, err := v.Silence(deadline(t, w), tt.first); err != nil {
			t.Fatal(err)
		}
		a, err := v.Silence(deadline(t, w), ask{Root: "2", For: time.Hour})
		if got := a.Silence.What; err != nil && !strings.Contains(err.Error(), tt.want) ||
			err == nil && got != tt.want {
			t.Errorf("%s: %+v, %v, want %s", name, a, err, tt.want)
		}
		if err != nil && len(kept.all) != 1 {
			t.Errorf("%s: %d silences are there, want one", name, len(kept.all))
		}
	}
}

// TestShownKnowsAllSilences holds that the second press shows what the first one did, before any tick has.
func TestShownKnowsAllSilences(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	v := w.Watcher(web)
	v.Silences, v.Rules.Route, v.CLBs[0].Label = &silences{}, "webhook:1", "prod-web"
	w.Set(web, up("ins-a", "ins-b", "ins-c")...)
	_, _ = v.Tick(deadline(t, w))
	w.Advance(time.Minute)
	w.Set(web, append(up("ins-a", "ins-b"), backend("ins-c", 4))...)
	if _, err := v.Tick(deadline(t, w)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Silence(deadline(t, w), ask{Incident: "2", By: "ada"}); err != nil {
		t.Fatal(err)
	}
	a, err := v.Silence(deadline(t, w), ask{Root: "2", By: "bob"})
	if err != nil || a.Shown.Root == nil {
		t.Fatalf("Silence = %+v, %v", a, err)
	}
	if i := a.Shown.Incidents[0]; i.Ack != "1" || i.Silence != "2" {
		t.Errorf("the root is shown as acknowledged by %q and silenced by %q, want 1 and 2", i.Ack, i.Silence)
	}
	if q, ok := a.Shown.Silence("1"); !ok || q.By != "ada" {
		t.Errorf("the acknowledgement is %+v, want ada's", q)
	}
}

// slow is a store whose snapshots take their time once their index is read.
type slow struct {
	state.Store
	pause time.Duration
}

func (s slow) OpenSnapshot(ctx context.Context, b state.Blob) (io.ReadCloser, error) {
	r, err := s.Store.OpenSnapshot(ctx, b)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	index, rest, _ := strings.Cut(string(text), "\n")
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader(index+"\n"), &late{s.pause, strings.NewReader(rest)}), r}, err
}

type late struct {
	pause time.Duration
	io.Reader
}

func (l *late) Read(p []byte) (int, error) {
	<-time.After(l.pause)
	l.pause = 0
	return l.Reader.Read(p)
}

// TestSilenceWithoutTimeToCount holds that a silence is made, or ended, though there is no time to count what
// it covers.
func TestSilenceWithoutTimeToCount(t *testing.T) {
	t.Parallel()
	_, v, kept := silenced(t)
	v.Store = slow{v.Store, 2500 * time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), 4500*time.Millisecond)
	defer cancel()
	a, err := v.Silence(ctx, ask{What: "prod-*"})
	if err != nil || a.Silence.ID != "1" || !a.Uncounted ||
		a.Covers != "2 load balancers; there was no time to count backends" {
		t.Errorf("Silence = %+v, %v, want it made, and no backends counted", a, err)
	}
	if len(kept.all) != 1 {
		t.Errorf("%d silences are there, want one", len(kept.all))
	}
}

// TestEndSaysWhatWasSo holds that whoever ends what is over is told so, and what goes on in its place.
func TestEndSaysWhatWasSo(t *testing.T) {
	t.Parallel()
	w, v, kept := silenced(t)
	end := func(id, by string, again bool, still string) {
		t.Helper()
		a, err := v.Silence(deadline(t, w), ask{End: id, By: by})
		if err != nil || a.Again != again || a.Still != still {
			t.Errorf("end %s: %+v, %v, want it over before: %v, and %q going on", id, a, err, again, still)
		}
	}
	for _, by := range []string{"ada", "bob"} {
		w.Advance(time.Minute)
		if _, err := v.Silence(deadline(t, w), ask{What: "prod-*", By: by}); err != nil {
			t.Fatal(err)
		}
	}
	kept.lenient = true
	w.Advance(time.Minute)
	end("1", "ada", true, "2") // bob's took its place
	end("2", "ada", false, "")
	w.Advance(time.Minute)
	end("2", "bob", true, "")
	if kept.all[1].EndedBy != "ada" {
		t.Errorf("silence 2 was ended by %s, want ada", kept.all[1].EndedBy)
	}
}

// TestAgainIsOfTheNewest holds that what another silence of the scope has replaced does not stand.
func TestAgainIsOfTheNewest(t *testing.T) {
	t.Parallel()
	w, v, kept := silenced(t)
	at := w.Now()
	kept.all = []incident.Silence{
		{ID: "1", What: "prod-*", By: "ada", Made: at, Until: at.Add(2 * time.Hour)},
		{ID: "2", What: "prod-*", By: "bob", Made: at, Until: at.Add(5 * time.Minute), All: true},
	}
	a, err := v.Silence(deadline(t, w), ask{What: "prod-*", By: "ada", For: 2 * time.Hour})
	if err != nil || a.Again || a.Silence.ID != "3" || a.Replaces != "2" {
		t.Errorf("Silence = %+v, %v, want a new one in the place of bob's", a, err)
	}
}
