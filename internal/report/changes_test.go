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
	lines := []string{r.sentence(r.ChangesTitle())}
	for _, p := range r.Changed() {
		for _, c := range p.Backends {
			lines = append(lines, fmt.Sprintf("%s: %s %s", Name(p.CLB), c.Backend, r.sentence(c.Says)))
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
		"out and back":                 {[]event{{10, left, "a"}, {12, back, "a"}}, nil, []string{"a out 04:10 – 04:12, back"}},
		"back":                         {[]event{{12, back, "a"}}, nil, []string{"a running since 04:12"}},
		"added":                        {[]event{{12, come, "a"}}, nil, []string{"a added 04:12"}},
		"removed":                      {[]event{{12, gone, "a"}}, nil, []string{"a removed 04:12"}},
		"out, then removed":            {[]event{{12, left, "a"}, {13, gone, "a"}}, nil, []string{"a out 04:12, removed 04:13"}},
		"removed and added again":      {[]event{{12, gone, "a"}, {13, come, "a"}}, nil, []string{"a removed 04:12, added again 04:13"}},
		"added and removed":            {[]event{{12, come, "a"}, {13, gone, "a"}}, nil, []string{"a added 04:12, removed 04:13"}},
		"added and started":            {[]event{{12, come, "a"}, {13, back, "a"}}, nil, []string{"a added 04:12, running since 04:13"}},
		"out again and again": {[]event{{10, left, "a"}, {11, back, "a"}, {12, left, "a"}, {13, back, "a"}, {14, left, "a"}, {15, back, "a"}}, nil,
			[]string{"a out 3 times, last 04:14 – 04:15, back"}},
		"out again, and now": {[]event{{10, left, "a"}, {11, back, "a"}, {12, left, "a"}}, []string{"a"}, []string{"a out 2 times, last since 04:12"}},
		"back, and out again": {[]event{{11, back, "a"}, {12, left, "a"}, {13, back, "a"}}, nil,
			[]string{"a running since 04:11, out 04:12 – 04:13, back"}},
		"more than is told": {[]event{{10, gone, "a"}, {11, come, "a"}, {12, gone, "a"}, {13, come, "a"}, {14, gone, "a"}}, nil,
			[]string{"a …, removed 04:12, added again 04:13, removed 04:14"}},
		"out, removed, and back as it was": {[]event{{10, left, "a"}, {12, gone, "a"}, {13, come, "a"}}, []string{"a"}, []string{"a out 04:10, removed 04:12, added again 04:13"}},
		"unhealthy":                        {[]event{{10, ill, "a"}}, []string{"ill a"}, []string{"a unhealthy since 04:10"}},
		"unhealthy, and then it stopped":   {[]event{{10, ill, "a"}, {12, left, "a"}}, []string{"a"}, []string{"a unhealthy 04:10, out since 04:12"}},
		"unhealthy, and out for another":   {[]event{{10, ill, "a"}}, []string{"a"}, []string{"a unhealthy 04:10"}},
		"unhealthy again and again":        {[]event{{10, ill, "a"}, {11, well, "a"}, {12, ill, "a"}, {13, well, "a"}}, nil, []string{"a unhealthy 2 times, last 04:12 – 04:13, healthy again"}},
		"healthy":                          {[]event{{12, well, "a"}}, nil, []string{"a healthy since 04:12"}},
		"out, then healthy":                {[]event{{10, left, "a"}, {12, well, "a"}}, nil, []string{"a out 04:10, healthy since 04:12"}},
		"unbound from some":                {[]event{{12, off, "a"}}, nil, []string{"a partly unbound 04:12"}},
		"bound to more":                    {[]event{{12, on, "a"}}, nil, []string{"a bound to more listeners 04:12"}},
		"bound anew":                       {[]event{{12, off, "a"}, {12, on, "a"}}, nil, []string{"a bound anew 04:12"}},
		"unbound, and bound later":         {[]event{{12, off, "a"}, {13, on, "a"}}, nil, []string{"a partly unbound 04:12, bound to more listeners 04:13"}},
		"several":                          {[]event{{10, left, "b"}, {11, come, "a"}, {12, back, "b"}}, nil, []string{"b out 04:10 – 04:12, back", "a added 04:11"}},
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
			found := watch.Survey{Standings: []watch.Standing{s}, LogFrom: at(0, 0).AddDate(0, 0, -9)}
			for _, e := range tt.log {
				found.Log = append(found.Log, past(web, at(4, e.minute), e.kind, e.id))
			}
			want := []string{"Changed in the last 24 h"}
			for _, w := range tt.want {
				want = append(want, "prod-web: "+w)
			}
			if got := told(New(at(4, 53), 0, found, time.Time{}, nil)); !reflect.DeepEqual(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestWhatIsNotKnownGoesOn(t *testing.T) {
	t.Parallel()
	log := []incident.Record{past(web, at(4, 10), lb.Unhealthy, "a"), past(web, at(4, 11), lb.LeftRunning, "b")}
	s := watch.Standing{CLB: web, Capacity: lb.Capacity{Total: 9, Running: 9}, HealthErr: errors.New("timeout")}
	want := []string{"Changed in the last 24 h", "prod-web: a unhealthy since 04:10", "prod-web: b out 04:11"}
	if got := told(New(at(4, 53), 0, watch.Survey{Standings: []watch.Standing{s}, Log: log, LogFrom: at(0, 0).AddDate(0, 0, -9)}, time.Time{}, nil)); !reflect.DeepEqual(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSameNameOfTwoBackends(t *testing.T) {
	t.Parallel()
	named := func(minute int, k lb.Kind, id string) incident.Record {
		return incident.Record{At: at(3, minute), CLB: web, Kind: k, ID: id, Name: "未命名", Is: lb.Running}
	}
	for name, tt := range map[string]struct {
		log  []incident.Record
		want []string
	}{
		"one went, another came":        {[]incident.Record{named(10, lb.Removed, "1"), named(12, lb.Added, "2")}, []string{"未命名 replaced 03:12"}},
		"the new one came first":        {[]incident.Record{named(10, lb.Added, "2"), named(12, lb.Removed, "1")}, []string{"未命名 replaced 03:12"}},
		"one by one":                    {[]incident.Record{named(1, lb.Removed, "1"), named(2, lb.Added, "2"), named(3, lb.Removed, "3"), named(4, lb.Added, "4")}, []string{"未命名 replaced 03:02", "未命名 replaced 03:04"}},
		"one of them is new besides":    {[]incident.Record{named(1, lb.Removed, "1"), named(1, lb.Added, "2"), named(1, lb.Added, "3")}, []string{"未命名 replaced 03:01", "未命名 3 added 03:01"}},
		"long after":                    {[]incident.Record{named(0, lb.Removed, "1"), named(61, lb.Added, "2")}, []string{"未命名 1 removed 03:00", "未命名 2 added 04:01"}},
		"the one that came went again":  {[]incident.Record{named(1, lb.Removed, "1"), named(2, lb.Added, "2"), named(3, lb.Removed, "2")}, []string{"未命名 1 removed 03:01", "未命名 2 added 03:02, removed 03:03"}},
		"both were out: not replaced":   {[]incident.Record{named(1, lb.LeftRunning, "1"), named(2, lb.Recovered, "2")}, []string{"未命名 1 out 03:01", "未命名 2 running since 03:02"}},
		"both went, and one came again": {[]incident.Record{named(1, lb.Removed, "1"), named(1, lb.Removed, "2"), named(2, lb.Added, "3")}, []string{"未命名 replaced 03:02", "未命名 2 removed 03:01"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := New(at(4, 53), 0, watch.Survey{Standings: []watch.Standing{{CLB: web}}, Log: tt.log, LogFrom: at(1, 0)}, at(2, 0), nil)
			want := []string{"Changed since the last report, 02:00"}
			for _, w := range tt.want {
				want = append(want, "prod-web: "+w)
			}
			if got := told(r); !reflect.DeepEqual(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestWhichChangesAreToldOf(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		logFrom, last time.Time
		err           error
		want          []string
	}{
		"the last 24 h":            {at(0, 0).AddDate(0, 0, -9), time.Time{}, nil, []string{"Changed in the last 24 h", "prod-web: b added Nov 22 05:00", "prod-web: c added 04:30"}},
		"since the last report":    {at(0, 0).AddDate(0, 0, -9), at(4, 20), nil, []string{"Changed since the last report, 04:20", "prod-web: c added 04:30"}},
		"none since then":          {at(0, 0).AddDate(0, 0, -9), at(4, 40), nil, []string{"Nothing changed since the last report, 04:40"}},
		"a report of long ago":     {at(0, 0).AddDate(0, 0, -9), at(0, 0).AddDate(0, 0, -2), nil, []string{"Changed since the last report, Nov 21 00:00", "prod-web: a added Nov 22 04:00", "prod-web: b added Nov 22 05:00", "prod-web: c added 04:30"}},
		"the log is too short":     {at(4, 10), time.Time{}, nil, []string{"Changed since 04:10 (older changes are not known)", "prod-web: c added 04:30"}},
		"and has nothing":          {at(4, 40), at(4, 20), nil, []string{"Nothing changed since 04:40 (older changes are not known)"}},
		"no state":                 {time.Time{}, at(4, 20), nil, []string{"What changed is not known: no tick has run yet"}},
		"state that is broken":     {time.Time{}, at(4, 20), watch.ErrConflict, []string{""}},
		"the log begins with it":   {at(4, 30), at(4, 20), nil, []string{"Changed since 04:30 (older changes are not known)", "prod-web: c added 04:30"}},
		"of another balancer only": {at(0, 0).AddDate(0, 0, -9), at(4, 32), nil, []string{"Nothing changed since the last report, 04:32"}},
		"a report of the future":   {at(0, 0).AddDate(0, 0, -9), at(4, 54), nil, []string{"Changed in the last 24 h", "prod-web: b added Nov 22 05:00", "prod-web: c added 04:30"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := watch.Survey{Standings: []watch.Standing{{CLB: web}}, LogFrom: tt.logFrom}
			if !tt.logFrom.IsZero() {
				found.Log = []incident.Record{
					past(web, at(4, 0).AddDate(0, 0, -1), lb.Added, "a"), past(web, at(5, 0).AddDate(0, 0, -1), lb.Added, "b"),
					past(api, at(4, 30), lb.Added, "of a load balancer that is not watched any more"), past(web, at(4, 30), lb.Added, "c"),
					past(api, at(4, 34), lb.Removed, "x"),
				}
			}
			if got := told(New(at(4, 53), 0, found, tt.last, tt.err)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestDaysAreSaidWhereTheyAreOther(t *testing.T) {
	t.Parallel()
	day := func(n, hour int) time.Time { return at(hour, 0).AddDate(0, 0, n) }
	found := watch.Survey{Standings: []watch.Standing{{CLB: web, Err: errors.New("timeout")}}, LogFrom: day(-99, 0), Log: []incident.Record{
		past(web, day(-31, 4), lb.Added, "a"), past(web, day(-2, 23), lb.LeftRunning, "b"), past(web, day(-1, 10), lb.Recovered, "b"),
		past(web, day(-1, 10), lb.LeftRunning, "c"), past(web, day(0, 0), lb.Recovered, "c"), past(web, day(0, 1), lb.LeftRunning, "d"),
		past(web, day(0, 2), lb.Removed, "e"), past(web, day(0, 3), lb.Added, "e"),
	}}
	want := []string{"Changed since the last report, Oct 23 03:00", "prod-web: a added Oct 23 04:00", "prod-web: b out Nov 21 23:00 – 10:00, back",
		"prod-web: c out Nov 22 10:00 – 00:00, back", "prod-web: d out since 01:00", "prod-web: e removed 02:00, added again 03:00"}
	r := New(at(4, 53), 0, found, day(-31, 3), nil)
	if got := told(r); !reflect.DeepEqual(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	near := r.Changed()[0].Backends
	if says := near[1].Says; !says[3].Near {
		t.Errorf("%+v: the end is 11 h after the beginning, and its day is said again", says)
	}
	if says := near[2].Says; says[3].Near {
		t.Errorf("%+v: the end is 14 h after the beginning, and its day is not said", says)
	}
}

func TestChangesAreCounted(t *testing.T) {
	t.Parallel()
	log := []incident.Record{past(api, at(4, 0), lb.LeftRunning, "x")}
	for i, k := range []lb.Kind{lb.LeftRunning, lb.Recovered, lb.LeftRunning, lb.Removed, lb.Added, lb.Added, lb.Added,
		lb.Unhealthy, lb.Healthy, lb.Unbound, lb.Bound, "a kind of another version"} {
		log = append(log, past(web, at(4, i), k, "a"))
	}
	r := New(at(4, 53), 0, watch.Survey{Standings: []watch.Standing{{CLB: api, Capacity: lb.Capacity{Running: 1, Total: 1}}, {CLB: web}}, Log: log, LogFrom: at(1, 0)}, at(2, 0), nil)
	got := r.Changed()
	if len(got) != 2 || got[0].CLB != web || got[1].CLB != api {
		t.Fatalf("changes on %v, want those of prod-web, which has no backends, before lb-c4r9t0zw, which is well", got)
	}
	if want := (lb.Counts{LeftRunning: 2, Recovered: 1, Removed: 1, Added: 3, Unhealthy: 1, Healthy: 1, Unbound: 1, Bound: 1}); got[0].Counts != want {
		t.Errorf("counts = %+v, want %+v", got[0].Counts, want)
	}
}
