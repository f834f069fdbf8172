package report

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

// told is what a report says about changes, a line each.
func told(r Report) []string {
	terminal := &terminal{Look: Look{Zone: time.UTC}, at: r.At}
	lines := []string{terminal.sentence(r.ChangesTitle())}
	for _, p := range r.Changed {
		for _, c := range p.Backends {
			lines = append(lines, fmt.Sprintf("%s: %s %s", Name(p.CLB), c.Backend, terminal.sentence(c.Says)))
		}
	}
	return lines
}

func TestChangesAreFoldedByBackend(t *testing.T) {
	t.Parallel()
	const (
		left, back, come, gone = lb.LeftRunning, lb.Recovered, lb.Added, lb.Removed
		ill, well, off, on     = lb.Unhealthy, lb.Healthy, lb.Unbound, lb.Bound
	)
	type event struct {
		minute int // of hour 4
		kind   lb.Kind
		id     string
	}
	for name, tt := range map[string]struct {
		log  []event
		out  []string // the ids that are not running now; with "ill " before, that are unhealthy
		want []string
	}{
		"out":                          {[]event{{10, left, "a"}}, []string{"a"}, []string{"a out since 04:10"}},
		"out, and not seen to be over": {[]event{{10, left, "a"}}, nil, []string{"a out 04:10"}},
		"out and back": {[]event{{10, left, "a"}, {12, back, "a"}}, nil,
			[]string{"a out 04:10 – 04:12, back"}},
		"back":              {[]event{{12, back, "a"}}, nil, []string{"a running since 04:12"}},
		"added":             {[]event{{12, come, "a"}}, nil, []string{"a added 04:12"}},
		"removed":           {[]event{{12, gone, "a"}}, nil, []string{"a removed 04:12"}},
		"out, then removed": {[]event{{12, left, "a"}, {13, gone, "a"}}, nil, []string{"a removed 04:13"}},
		"removed and added again": {[]event{{12, gone, "a"}, {13, come, "a"}}, nil,
			[]string{"a removed, and added again 04:13"}},
		"added and removed": {[]event{{12, come, "a"}, {13, gone, "a"}}, nil,
			[]string{"a added 04:12, removed 04:13"}},
		"out again and again": {[]event{{10, left, "a"}, {11, back, "a"}, {12, left, "a"}, {13, back, "a"},
			{14, left, "a"}, {15, back, "a"}}, nil,
			[]string{"a out 3 times, last 04:14 – 04:15, back"}},
		"out again, and now": {[]event{{10, left, "a"}, {11, back, "a"}, {12, left, "a"}},
			[]string{"a"}, []string{"a out 2 times, last since 04:12"}},
		"unhealthy": {[]event{{10, ill, "a"}}, []string{"ill a"},
			[]string{"a unhealthy since 04:10"}},
		"unhealthy, and then it stopped": {[]event{{10, ill, "a"}, {12, left, "a"}}, []string{"a"},
			[]string{"a out since 04:10"}},
		"healthy":           {[]event{{12, well, "a"}}, nil, []string{"a running since 04:12"}},
		"unbound from some": {[]event{{12, off, "a"}}, nil, []string{"a partly unbound 04:12"}},
		"bound to more":     {[]event{{12, on, "a"}}, nil, []string{"a bound to other listeners 04:12"}},
		"several, the worst first": {[]event{{11, come, "a"}, {12, left, "b"}}, []string{"b"},
			[]string{"b out since 04:12", "a added 04:11"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := watch.Standing{CLB: web, Capacity: lb.Capacity{Total: 9, Running: 9 - len(tt.out)}}
			for _, id := range tt.out {
				if sick, ok := strings.CutPrefix(id, "ill "); ok {
					s.Ill = append(s.Ill, lb.Backend{ID: "ins-" + sick, Status: lb.Running})
					continue
				}
				s.NotRunning = append(s.NotRunning, lb.Backend{ID: "ins-" + id, Status: 4})
			}
			var log []incident.Record
			for _, e := range tt.log {
				log = append(log, past(web, at(4, e.minute), e.kind, e.id))
			}
			found := surveyed(log, s)
			want := []string{"Changed in the last 24 h"}
			for _, w := range tt.want {
				want = append(want, "prod-web: "+w)
			}
			if got := told(New(at(4, 53), 0, found, 24*time.Hour, nil)); !reflect.DeepEqual(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestWhatIsNotKnownGoesOn(t *testing.T) {
	t.Parallel()
	log := []incident.Record{past(web, at(4, 10), lb.Unhealthy, "a"), past(web, at(4, 11), lb.LeftRunning, "b")}
	s := watch.Standing{CLB: web, Capacity: lb.Capacity{Total: 9, Running: 9}, HealthErr: errors.New("timeout")}
	want := []string{"Changed in the last 24 h", "prod-web: b out 04:11", "prod-web: a unhealthy since 04:10"}
	if got := told(New(at(4, 53), 0, surveyed(log, s), 24*time.Hour, nil)); !reflect.DeepEqual(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTwoBackendsOfOneName(t *testing.T) {
	t.Parallel()
	named := func(minute int, k lb.Kind, id string) incident.Record {
		return incident.Record{At: at(3, minute), CLB: web, Change: &incident.Past{Kind: k, ID: id, Name: "未命名",
			Is: lb.Running}}
	}
	for name, tt := range map[string]struct {
		log  []incident.Record
		want []string
	}{
		"one went, another came": {[]incident.Record{named(10, lb.Removed, "1"), named(12, lb.Added, "2")},
			[]string{"未命名 replaced 03:12"}},
		"one of them is new besides": {[]incident.Record{named(1, lb.Removed, "1"), named(1, lb.Added, "2"),
			named(1, lb.Added, "3")}, []string{"未命名 replaced 03:01", "未命名 3 added 03:01"}},
		"both were out": {[]incident.Record{named(1, lb.LeftRunning, "1"), named(2, lb.Recovered, "1"),
			named(2, lb.Recovered, "2")},
			[]string{"未命名 2 running since 03:02", "未命名 1 out 03:01 – 03:02, back"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := New(at(4, 53), 0, surveyed(tt.log, watch.Standing{CLB: web}), 24*time.Hour, nil)
			want := []string{"Changed in the last 24 h"}
			for _, w := range tt.want {
				want = append(want, "prod-web: "+w)
			}
			if got := told(r); !reflect.DeepEqual(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestChangesTitle(t *testing.T) {
	t.Parallel()
	one := surveyed([]incident.Record{past(web, at(4, 30), lb.Added, "c")}, watch.Standing{CLB: web})
	none := surveyed(nil, watch.Standing{CLB: web})
	fresh := watch.Survey{Standings: []watch.Standing{{CLB: web}}}
	for want, r := range map[string]Report{
		"Changed in the last 24 h":                       New(at(4, 53), 0, one, 24*time.Hour, nil),
		"Changed in the last 7 d":                        New(at(4, 53), 0, one, 7*24*time.Hour, nil),
		"Nothing changed in the last 1 h":                New(at(4, 53), 0, none, time.Hour, nil),
		"What changed is not known: no tick has run yet": New(at(4, 53), 0, fresh, time.Hour, nil),
		"": New(at(4, 53), 0, fresh, time.Hour, errors.New("damaged")),
	} {
		if got := told(r)[0]; got != want {
			t.Errorf("title %q, want %q", got, want)
		}
	}
}

func TestChangesOfWhatIsNotWatchedAnyMoreAreLeftOut(t *testing.T) {
	t.Parallel()
	log := []incident.Record{past(api, at(4, 30), lb.Added, "x")}
	if got := told(New(at(4, 53), 0, surveyed(log, watch.Standing{CLB: web}), 24*time.Hour,
		nil)); len(got) != 1 {
		t.Errorf("got %q, want nothing of another load balancer", got)
	}
}

func TestChangesAreCounted(t *testing.T) {
	t.Parallel()
	log := []incident.Record{past(api, at(4, 0), lb.LeftRunning, "x")}
	for i, k := range []lb.Kind{lb.LeftRunning, lb.Recovered, lb.LeftRunning, lb.Removed, lb.Added, lb.Added,
		lb.Added,
		lb.Unhealthy, lb.Healthy, lb.Unbound, lb.Bound, "a kind of another version"} {
		log = append(log, past(web, at(4, i), k, "a"))
	}
	r := New(at(4, 53), 0, surveyed(log, watch.Standing{CLB: api, Capacity: lb.Capacity{Running: 1, Total: 1}},
		watch.Standing{CLB: web}), 24*time.Hour, nil)
	if len(r.Changed) != 2 || r.Changed[0].CLB != web || r.Changed[1].CLB != api {
		t.Fatalf("changes on %v, want those of prod-web, which has no backends, before lb-c4r9t0zw, which is well",
			r.Changed)
	}
	want := lb.Counts{LeftRunning: 2, Recovered: 1, Removed: 1, Added: 3, Unhealthy: 1, Healthy: 1, Unbound: 1,
		Bound: 1}
	if r.Changed[0].Counts != want {
		t.Errorf("counts = %+v, want %+v", r.Changed[0].Counts, want)
	}
}

func TestOpenIncidentsAreListedWorstFirst(t *testing.T) {
	t.Parallel()
	found := surveyed(nil, watch.Standing{CLB: web})
	for _, i := range []*incident.Incident{
		{ID: "1", Key: web.Key(), Label: "prod-web", Level: incident.Impaired, Began: at(4, 0)},
		{ID: "2", Key: api.Key(), Level: incident.Down, Began: at(4, 10)},
		{ID: "3", Key: api.Key(), End: incident.EndResolved},
	} {
		found.Open = append(found.Open, incident.Document{Root: &incident.Root{Incidents: []*incident.Incident{i}}})
	}
	r := New(at(4, 53), 0, found, 24*time.Hour, nil)
	blind := &incident.Incident{ID: "3", Key: web.Key(), About: incident.Reading}
	name := func(string) lb.CLB { return lb.CLB{Label: "prod-web"} }
	named := New(at(4, 53), 0, watch.Survey{Known: true, Open: []incident.Document{
		{Root: &incident.Root{Incidents: []*incident.Incident{blind}}, Name: name}}}, 24*time.Hour, nil)
	if o := named.Open[0]; o.CLB.Label != "prod-web" || o.Is() != "cannot be read" {
		t.Errorf("open = %+v, want prod-web, which cannot be read", o)
	}
	if len(r.Open) != 2 || r.Open[0].ID != "2" || r.Open[0].Level != "down" || r.Open[1].ID != "1" {
		t.Errorf("open = %+v, want 2, which is down, and 1", r.Open)
	}
	var text strings.Builder
	if err := r.WriteText(&text, Look{}); err != nil ||
		!strings.Contains(text.String(), "incident 1  prod-web  impaired since 2026-11-23 04:00 UTC") {
		t.Errorf("the text is\n%s\n%v, want the open incidents in it", text.String(), err)
	}
}
