package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// ask is what somebody asks for.
type ask = watch.SilenceRequest

// silences keeps silences as strictly as a store does: numbers are used once, what is made does not change,
// and only what is there and goes on can be ended. The call that fails names is an error.
type silences struct {
	mu    sync.Mutex
	all   []incident.Silence
	fails string
	// what ended is ended again, as it was
	lenient bool
	wrote   []string // "make 1", "end 1"
}

func (s *silences) fail(op string) error {
	if s.fails == op {
		return errors.New("COS: 503")
	}
	return nil
}

func (s *silences) List(context.Context, []incident.Silence) ([]incident.Silence, error) {
	return slices.Clone(s.all), s.fail("list")
}

func (s *silences) Make(_ context.Context, made incident.Silence) (incident.Silence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if made.ID != "" || made.Made.IsZero() || !made.Until.After(made.Made) || !made.Ended.IsZero() {
		return made, fmt.Errorf("it is not a new silence: %+v", made)
	}
	if err := s.fail("make"); err != nil {
		return made, err
	}
	made.ID = fmt.Sprint(len(s.all) + 1)
	s.all, s.wrote = append(s.all, made), append(s.wrote, "make "+made.ID)
	return made, nil
}

func (s *silences) End(_ context.Context, id, by string, at time.Time) (incident.Silence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail("end"); err != nil {
		return incident.Silence{}, err
	}
	for i := range s.all {
		if old := &s.all[i]; old.ID == id && old.Active(at) {
			old.Ended, old.EndedBy, s.wrote = at, by, append(s.wrote, "end "+id)
			return *old, nil
		}
	}
	for _, old := range s.all {
		if old.ID == id && s.lenient {
			return old, nil
		}
	}
	return incident.Silence{}, fmt.Errorf("there is no silence %s that goes on", id)
}

// silenced is a world in which prod-web has 3 backends of which 2 are out, and incident 2 is open; prod-api
// has one, and batch was never read.
func silenced(t *testing.T) (*watchtest.World, *watch.Watcher, *silences) {
	t.Helper()
	w := watchtest.New()
	w.Health(true)
	w.Set(web, ill("ins-a", 2), ill("ins-b", 2), ill("ins-c", 2))
	w.Set(api, up("ins-d")...)
	tick(t, w, web, api)
	stopped := ill("ins-b", 2)
	stopped.Status = 4
	w.Set(web, ill("ins-a", 2, "TCP:80 → 80"), stopped, ill("ins-c", 2))
	tick(t, w, web, api)
	v, kept := w.Watcher(web, api), &silences{}
	v.Silences = kept
	v.CLBs = append(v.CLBs, lb.CLB{Region: "ap-tokyo", ID: "lb-new"})
	for i, label := range []string{"prod-api", "prod-web", "batch"} {
		v.CLBs[i].Label = label
	}
	return w, v, kept
}

func TestSilence(t *testing.T) {
	t.Parallel()
	const all, hour = "3 load balancers, 4 backends, 2 of them out", time.Hour
	for _, tt := range []struct {
		name   string
		r      ask
		covers string
		lasts  time.Duration
	}{
		{"by a glob of labels", ask{What: "prod-*"}, "2 load balancers, 4 backends, 2 of them out",
			hour},
		{"by id", ask{What: "lb-*", For: 90 * time.Minute}, all, 90 * time.Minute},
		{"for as long as it goes", ask{What: "*", For: 168 * hour, Why: "move"}, all, 168 * hour},
		{"without a reason", ask{What: "*", For: 4*hour - 1}, all, 4*hour - 1},
		{"for a minute", ask{What: "*", For: time.Minute, All: true}, all, time.Minute},
		{"with one backend", ask{What: "prod-api"}, "1 load balancer, 1 backend, none out", hour},
		{"of what was never read", ask{What: "batch"}, "1 load balancer, 0 backends, none out", hour},
		{"an acknowledgement", ask{Incident: "2"}, "1 load balancer, 3 backends, 2 of them out",
			24 * hour},
		{"a short acknowledgement", ask{Incident: "2", For: hour, Why: "on it"},
			"1 load balancer, 3 backends, 2 of them out", hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, v, kept := silenced(t)
			tt.r.By = " ada "
			reads := w.Reads()
			a, err := v.Silence(deadline(t, w), tt.r)
			if err != nil || a.Covers != tt.covers {
				t.Fatalf("Silence = %+v, %v, want that it covers %s", a, err, tt.covers)
			}
			want := incident.Silence{ID: "1", What: tt.r.What, Incident: tt.r.Incident, All: tt.r.All,
				Why: tt.r.Why, By: "ada", Made: w.Now(), Until: w.Now().Add(tt.lasts)}
			if a.Silence != want || kept.all[0] != want || a.Replaces != "" {
				t.Errorf("Silence made %+v, want %+v", a, want)
			}
			if w.Reads() != reads {
				t.Error("the cloud was asked")
			}
		})
	}
}

func TestSilenceThatIsRefusedWritesNothing(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", incident.MaxSilenceText+1)
	const bounds, together = "lasts from 1m to 7d", "given together"
	for _, tt := range []struct {
		r    ask
		want string
	}{
		{ask{}, "nothing to silence, expected one of what"},
		{ask{What: "*", Incident: "2"}, "what and incident are given together"},
		{ask{Incident: "2", End: "1"}, "incident and end are given together"},
		{ask{What: "*", For: -time.Hour}, bounds},
		{ask{What: "*", For: time.Second}, bounds},
		{ask{What: "*", For: 168*time.Hour + 1, Why: "x"}, bounds},
		{ask{What: "*", For: 4 * time.Hour}, "needs a reason"},
		{ask{What: "*", For: 4 * time.Hour, Why: " "}, "needs a reason"},
		{ask{What: "*", Why: long}, "why has 201 bytes, expected at most 200"},
		{ask{What: "*", By: long}, "by has 201 bytes"},
		{ask{What: long}, "what has 201 bytes"},
		{ask{What: "*", Why: "a\nb"}, `why is "a\nb", expected one line`},
		{ask{What: "*\x1b[2J"}, "without control characters"},
		{ask{What: "*", By: "\xff"}, `by is "\xff"`},
		{ask{What: "prd-*"}, `no load balancer matches "prd-*"; there are "batch", "prod-api", ` +
			`"prod-web"`},
		{ask{What: "Prod-*"}, "no load balancer matches"},
		{ask{Incident: "2", All: true}, "all and incident are given together"},
		{ask{Incident: "2", For: 25 * time.Hour}, "lasts from 1m to 24h"},
		{ask{Incident: "#2"}, `incident is "#2", expected the number of an incident`},
		{ask{Incident: "9"}, "incident 9 is not open; open are 2"},
		{ask{Incident: "1"}, "incident 1 is not open"}, // a notice
		{ask{End: "window 2"}, "SILENCES ends by itself"},
		{ask{End: "1", For: time.Hour}, together},
		{ask{End: "1", All: true}, together},
		{ask{End: "1", Why: "x"}, together},
		{ask{End: "1"}, "end silence 1: there is no silence 1"},
	} {
		w, v, kept := silenced(t)
		a, err := v.Silence(deadline(t, w), tt.r)
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(kept.wrote) > 0 {
			t.Errorf("Silence(%+v) = %+v, %v, and wrote %q, want an error with %q", tt.r, a, err, kept.wrote,
				tt.want)
		}
	}
}

func TestSilenceNamesOnlyAFewThatThereAre(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	v := w.Watcher(many(w, 30)...)
	v.Silences = &silences{}
	v.CLBs[0].Label = "\x1b[2J\u202e" + strings.Repeat("數", 400)
	_, err := v.Silence(deadline(t, w), ask{What: "x"})
	if err == nil || len(err.Error()) > 500 || !strings.HasSuffix(err.Error(), `"lb-0007" and 22 more`) ||
		strings.ContainsAny(err.Error(), "\x1b\u202e") {
		t.Errorf("%v, want the first eight, and how many more", err)
	}
	v.CLBs = nil
	if _, err := v.Silence(deadline(t, w), ask{What: "x"}); err == nil ||
		!strings.Contains(err.Error(), "no load balancer is known yet") {
		t.Errorf("%v, want that there are none", err)
	}
}

// The same scope again replaces what there was. That ends, or it would come back when the new one is over.
func TestSilenceReplacesThatOfTheSameScope(t *testing.T) {
	t.Parallel()
	w, v, kept := silenced(t)
	silence := func(what, by string, want string) {
		t.Helper()
		w.Advance(time.Minute)
		a, err := v.Silence(deadline(t, w), ask{What: what, By: by})
		if err != nil || a.Replaces != want {
			t.Fatalf("Silence(%s) = %+v, %v, want that it replaces %q", what, a, err, want)
		}
	}
	silence("prod-*", "ada", "")
	silence("prod-web", "ada", "")
	silence("prod-*", "bob", "1")
	if old := kept.all[0]; old.Ended != w.Now() || old.EndedBy != "bob" {
		t.Errorf("the first one is %+v, want that it ended", old)
	}
	kept.fails = "end"
	a, err := v.Silence(deadline(t, w), ask{What: "prod-*"})
	if err == nil || a.Silence.ID != "4" ||
		!strings.Contains(err.Error(), "silence 4 was made; end silence 3") {
		t.Errorf("Silence = %+v, %v, want what was done, and what was not", a, err)
	}
	kept.fails = ""
	active, err := v.ListSilences(deadline(t, w))
	if got := ids(active); err != nil || got != "2 4" {
		t.Errorf("ListSilences = %s, %v, want the newest of each scope", got, err)
	}
	silence("prod-*", "ada", "4") // and 3
	const want = "make 1, make 2, make 3, end 1, make 4, make 5, end 3, end 4"
	if got := strings.Join(kept.wrote, ", "); got != want {
		t.Errorf("it wrote %s, want %s", got, want)
	}
	w.Advance(time.Hour)
	silence("prod-*", "ada", "") // what is over is not replaced
}

func ids(all []incident.Silence) string {
	var ids []string
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return strings.Join(ids, " ")
}

// What is newest counts even when it is over: an older one of the same scope must not come back.
func TestListSilencesByScope(t *testing.T) {
	t.Parallel()
	w, v, kept := silenced(t)
	until, over := w.Now().Add(time.Hour), w.Now().Add(-time.Minute)
	kept.all = []incident.Silence{
		{ID: "10", What: "c*", Until: until}, {ID: "2", What: "a*", Until: until},
		{ID: "9", What: "a*", Until: until, Ended: over}, {ID: "3", What: "b*", Until: until},
		{ID: "4", What: "d*", Until: over}, {ID: "5", Incident: "2", Until: until},
	}
	for n := range kept.all {
		kept.all[n].Made = w.Now().Add(-time.Hour)
	}
	got, err := v.ListSilences(deadline(t, w))
	if err != nil || ids(got) != "3 5 10" {
		t.Errorf("ListSilences = %s, %v, want 3 5 10", ids(got), err)
	}
}

func TestSilencesAreBounded(t *testing.T) {
	t.Parallel()
	w, v, kept := silenced(t)
	for i := range incident.MaxSilences {
		kept.all = append(kept.all, incident.Silence{ID: fmt.Sprint(i + 1), What: fmt.Sprint("x", i),
			Until: w.Now().Add(time.Hour)})
	}
	if _, err := v.Silence(deadline(t, w), ask{What: "*"}); err == nil || len(kept.wrote) > 0 ||
		!strings.Contains(err.Error(), "100 silences are active") {
		t.Errorf("%v, %q, want that there are too many", err, kept.wrote)
	}
	kept.all[7].What = "*" // it makes room for the one that takes its place
	if a, err := v.Silence(deadline(t, w), ask{What: "*"}); err != nil || a.Replaces != "8" {
		t.Errorf("Silence = %+v, %v, want that it replaces silence 8", a, err)
	}
}

// An incident's number stands for all of a message if it is the first in it, and else for itself.
func TestAcknowledgementOfAMessage(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b", "ins-c")...)
	w.Set(api, up("ins-d", "ins-e")...)
	tick(t, w, web, api)
	w.Set(web, append(up("ins-a", "ins-b"), backend("ins-c", 4))...)
	w.Set(api, append(up("ins-d"), backend("ins-e", 4))...)
	tick(t, w, web, api)
	var blind string
	w.Fail(fail("read", errors.New("denied")))
	for blind == "" {
		_, _ = try(t, w, web, api)
		for _, r := range w.Head().Incidents.Roots {
			if r.Incidents[0].About.Blind() {
				blind = r.ID()
			}
		}
	}
	v := w.Watcher(web, api)
	v.Silences = &silences{}
	for id, want := range map[string]string{
		"2":   "2 load balancers, 5 backends, 2 of them out",
		"3":   "1 load balancer, 3 backends, 1 of them out",
		blind: "never silenced",
		"99":  "open are 2, 3",
	} {
		a, err := v.Silence(deadline(t, w), ask{Incident: id})
		if says := fmt.Sprint(a.Covers, err); !strings.Contains(says, want) {
			t.Errorf("Silence of incident %s = %s, want %s", id, says, want)
		}
	}
}

// A silence is of all shards, whichever of them is asked.
func TestSilenceOfAllShards(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := fleet(w, 10)
	shards(t, w, 4, keys...)
	w.Set(keys[0], backend("ins-0000-a", 4), backend("ins-0000-b", 4))
	shards(t, w, 4, keys...)
	for _, s := range []state.Shard{{}, {N: 2, Of: 4}} {
		v := w.Shard(s, keys...)
		v.Silences = &silences{}
		a, err := v.Silence(deadline(t, w), ask{What: "lb-*"})
		if want := "10 load balancers, 20 backends, 2 of them out"; err != nil || a.Covers != want {
			t.Errorf("shard %s: Silence = %+v, %v, want %s", s, a, err, want)
		}
		_, err = v.Silence(deadline(t, w), ask{Incident: "999"})
		if err == nil || !strings.Contains(err.Error(), "open are 2-") {
			t.Errorf("shard %s: %v, want the incident of its shard", s, err)
		}
	}
}

func TestSilenceOfWhatWasFound(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1")...)
	w.Name(web, "shop", nil)
	discovers(t, w, 1, guangzhou)
	v := w.Watcher(api)
	v.Silences, v.Discover = &silences{}, guangzhou
	a, err := v.Silence(deadline(t, w), ask{What: "sho?"})
	if err != nil || a.CLBs != 1 || a.Backends != 1 {
		t.Errorf("Silence = %+v, %v, want what was found by its name", a, err)
	}
}

func TestEndSilence(t *testing.T) {
	t.Parallel()
	w, v, kept := silenced(t)
	for _, r := range []ask{{What: "prod-web"}, {Incident: "2"}, {What: "batch"}} {
		if _, err := v.Silence(deadline(t, w), r); err != nil {
			t.Fatal(err)
		}
	}
	a, err := v.Silence(deadline(t, w), ask{End: "1", By: "bob"})
	if err != nil || a.Silence != kept.all[0] || a.Silence.EndedBy != "bob" || a.Silence.Ended != w.Now() ||
		a.Covers != "1 load balancer, 3 backends, 2 of them out" {
		t.Errorf("Silence = %+v, %v, want what ended, and what it covered", a, err)
	}
	w.Fail(fail("load", errors.New("down"))) // what it covered is not needed to end it
	if a, err = v.Silence(deadline(t, w), ask{End: "2"}); err != nil || a.Silence != kept.all[1] ||
		kept.all[1].Ended.IsZero() || a.Covers != "" {
		t.Errorf("Silence = %+v, %v, want what ended", a, err)
	}
	if _, err = v.Silence(deadline(t, w), ask{End: "2"}); err == nil ||
		!strings.Contains(err.Error(), "silence 2") {
		t.Errorf("%v, want that there is no such silence", err)
	}
}

func TestSilenceSaysWhatFailed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fails string          // of the silences
		fault watchtest.Fault // of all else
		want  string
	}{
		"the state cannot be loaded":     {"", fail("load", errors.New("down")), "load state: down"},
		"the snapshot cannot be opened":  {"", fail("open", errors.New("down")), "load state: down"},
		"the silences cannot be listed":  {"list", nil, "list the silences: COS: 503"},
		"the silence cannot be written":  {"make", nil, "make a silence: COS: 503"},
		"the snapshot is another's text": {"foreign", nil, "load state: snapshot: it is damaged"},
	} {
		w, v, kept := silenced(t)
		kept.fails = tt.fails
		w.Fail(tt.fault)
		if tt.fails == "foreign" {
			v.Store = foreign{v.Store}
		}
		a, err := v.Silence(deadline(t, w), ask{What: "*"})
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || len(kept.wrote) > 0 {
			t.Errorf("%s: Silence = %+v, %v, and wrote %q, want an error with %q", name, a, err, kept.wrote,
				tt.want)
		}
	}
	w, v, kept := silenced(t)
	v.Store = truncating{v.Store} // beyond what the silence is about
	if a, err := v.Silence(deadline(t, w), ask{What: "prod-api"}); err == nil || len(kept.wrote) > 0 {
		t.Errorf("Silence = %+v, %v, and wrote %q, want an error: the snapshot is damaged", a, err, kept.wrote)
	}
	w, v, _ = silenced(t)
	v.Silences = nil
	if _, err := v.Silence(deadline(t, w), ask{What: "*"}); err == nil ||
		!strings.Contains(err.Error(), "no silences are kept") {
		t.Errorf("%v, want that there are no silences here", err)
	}
	if all, err := v.ListSilences(deadline(t, w)); err != nil || len(all) > 0 {
		t.Errorf("ListSilences = %v, %v, want none", all, err)
	}
}

func TestSurveyTellsWhatIsSilenced(t *testing.T) {
	t.Parallel()
	w, v, kept := silenced(t)
	if _, err := v.Silence(deadline(t, w), ask{What: "prod-*"}); err != nil {
		t.Fatal(err)
	}
	got, err := v.Survey(deadline(t, w), time.Time{}, 0)
	if err != nil || ids(got.Silences) != "1" || got.SilencesErr != nil {
		t.Errorf("Survey says that %+v is silenced, %v, %v", got.Silences, got.SilencesErr, err)
	}
	kept.fails = "list"
	got, err = v.Survey(deadline(t, w), time.Time{}, 0)
	if err != nil || got.SilencesErr == nil || len(got.Standings) != 3 || len(got.Open) != 1 {
		t.Errorf("Survey = %+v, %v, want all but the silences, and why", got, err)
	}
}
