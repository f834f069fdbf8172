package report

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func at(hour, minute int) time.Time { return time.Date(2026, 11, 23, hour, minute, 36, 0, time.UTC) }

var (
	web = lb.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q", Label: "prod-web"}
	api = lb.CLB{Region: "ap-beijing", ID: "lb-c4r9t0zw"}
	old = lb.CLB{Region: "ap-beijing", ID: "lb-gone", Label: "old"}
)

func past(c lb.CLB, when time.Time, k lb.Kind, name string) incident.Record {
	p := &incident.Past{Kind: k, ID: "ins-" + name, Name: name, Is: lb.Running}
	if k == lb.LeftRunning {
		p.Is = 4
	}
	return incident.Record{At: when, Incident: "1", CLB: c, Change: p}
}

// surveyed is a survey whose history has these lines.
func surveyed(log []incident.Record, all ...watch.Standing) watch.Survey {
	return watch.Survey{Standings: all, Known: true, Past: period(log...),
		Timeline: watchtest.Course(at(4, 53), 24*time.Hour, log, all...)}
}

// period is the history of these lines.
func period(log ...incident.Record) incident.Period {
	p, _ := incident.PeriodOf(time.Time{}, func(yield func(incident.Record, error) bool) {
		for _, rec := range log {
			if !yield(rec, nil) {
				return
			}
		}
	})
	return p
}

func sample() Report {
	found := surveyed([]incident.Record{
		past(web, at(23, 50).AddDate(0, 0, -1), lb.LeftRunning, "网页服务器-02"),
		past(web, at(0, 5), lb.Recovered, "网页服务器-02"),
		past(api, at(3, 0), lb.Added, "api-14"),
		past(lb.CLB{Region: "ap-beijing", ID: "lb-forgotten"}, at(3, 0), lb.Removed, "x"),
		{At: at(4, 41), CLB: web, Change: &incident.Past{Kind: lb.LeftRunning, ID: "ins-9o9ex9s0", Name: "web-07",
			Is: 4}},
		past(old, at(4, 42), lb.Removed, "\x1b]0;x\x07old-1\n"),
	}, []watch.Standing{
		{CLB: web, Capacity: lb.Capacity{Total: 12, Running: 10, Weight: 120, Serving: 100},
			NotRunning: []lb.Backend{
				{ID: "ins-9o9ex9s0", Name: "web-07", Status: 4, LanIP: "10.0.3.17", Out: &lb.Out{Since: at(4, 41)}},
				{ID: "ins-9o9ex9s1", Name: "网页服务器-11", Status: 9, LanIP: "10.0.3.121",
					Out: &lb.Out{Since: at(4, 53).Add(-72 * time.Hour), AtLeast: true}},
			}},
		{CLB: api, Capacity: lb.Capacity{Total: 3, Running: 1, Weight: 30, Serving: 10}, NotRunning: []lb.Backend{
			{ID: "ins-1", Name: "bad\x1b[2J\nprod-web  all fine \u202egnp", Status: 99,
				WanIPs: []string{"203.0.113.9"}},
			{ID: "ins-2", Status: 7, Out: &lb.Out{Since: at(4, 53).AddDate(-1, 0, 0)}},
		}},
		{CLB: old, Err: advice.Add(errors.New("LBNotFound: no such\nload balancer"),
			"check the id and its region in CLB_IDS")},
		{CLB: lb.CLB{Region: "ap-beijing", ID: "lb-spare", Label: "备用"}},
		{CLB: lb.CLB{Region: "ap-beijing", ID: "lb-idle", Label: "drained"},
			Capacity: lb.Capacity{Total: 2, Running: 2}},
	}...)
	return New(at(4, 53), 2140*time.Millisecond, found, 24*time.Hour, nil)
}

// applications is a report of application load balancers, which were discovered, and of what of them cannot
// be read.
func applications() Report {
	shop := lb.CLB{Region: "ap-guangzhou", ID: "lb-k7d0w2pe", Title: "prod-shop"}
	both := []lb.Binding{{Listener: "HTTP:80", Rule: "shop.example.com/", Port: 8080},
		{Listener: "TCP:22", Port: 22}}
	ill := []lb.Backend{
		{ID: "ins-1", Name: "web-07", Status: lb.Running, LanIP: "10.0.3.17", Bindings: both, Checked: 2,
			Failing: []string{"HTTP:80 shop.example.com/ → 8080"}, Ill: &lb.Out{Since: at(4, 41)}},
		{ID: "ins-2", Name: "web-08", Status: lb.Running, LanIP: "10.0.3.18", Bindings: both, Checked: 1,
			Failing: []string{"HTTP:80 <b>\x1b[2J\n → 8080", "TCP:22 → 22"}},
	}
	found := watch.Survey{Known: true, Standings: []watch.Standing{
		{CLB: shop, Kind: lb.Application, Capacity: lb.Capacity{Running: 3, Total: 4, Ill: 2, Weight: 40,
			Serving: 20}, Ill: ill,
			NotRunning: []lb.Backend{{ID: "ins-3", Name: "web-09", Status: 4, LanIP: "10.0.3.19", Bindings: both,
				Out: &lb.Out{Since: at(4, 0)}}}},
		{CLB: web, Capacity: lb.Capacity{Running: 12, Total: 12, Weight: 120, Serving: 120}},
		{CLB: lb.CLB{Region: "ap-guangzhou", ID: "lb-5zz1", Title: "prod-blog"}, Kind: lb.Application,
			Capacity:  lb.Capacity{Running: 1, Total: 1, Weight: 10, Serving: 10},
			HealthErr: advice.Add(errors.New("UnauthorizedOperation"), "grant the role clb:DescribeTargetHealth")},
		{CLB: lb.CLB{Region: "ap-guangzhou", ID: "ap-guangzhou/prod-*"}, Err: errors.New("InternalError")},
	}}
	found.Past = period(past(shop, at(3, 0), lb.Unbound, "web-04"),
		incident.Record{At: at(4, 41), CLB: shop, Change: &incident.Past{Kind: lb.Unhealthy, ID: "ins-1",
			Name: "web-07", Is: lb.Running}})
	return New(at(4, 53), 300*time.Millisecond, found, 24*time.Hour, nil)
}

func TestWriteText(t *testing.T) {
	t.Parallel()
	well := watch.Survey{Standings: []watch.Standing{{CLB: web, Capacity: lb.Capacity{Total: 1, Running: 1,
		Weight: 10, Serving: 10}}}}
	fresh := watch.Survey{Standings: []watch.Standing{{CLB: web, Capacity: lb.Capacity{Total: 1, Weight: 10},
		NotRunning: []lb.Backend{{ID: "ins-1", Name: "web-01", Status: 4}}}}}
	watched := surveyed(nil, well.Standings...)
	silenced := watched
	silenced.Silences = []incident.Silence{
		{ID: "7", What: "prod-*", Until: at(14, 0), By: "ada", Why: "deploy 4711"},
		{ID: "8", Incident: "12", Until: at(4, 0).AddDate(0, 0, 1), By: "U0123ABCD"},
		{ID: "9", What: "x\x1b[2J\nsilence 1  *", Until: at(5, 0), By: "\u202ebob\n", Why: "a\nb\x07",
			All: true},
		{ID: "window 2", What: "batch-*", Until: at(6, 0)},
	}
	silenced.Open = []incident.Document{{Root: &incident.Root{Incidents: []*incident.Incident{{ID: "12",
		Key: web.Key(), Label: web.Label, Level: incident.Degraded, Began: at(4, 41)}}}}}
	unlisted := well
	unlisted.SilencesErr = errors.New("list the silences: COS: 503")
	for name, r := range map[string]Report{
		"report":      sample(),
		"application": applications(),
		"no-state": New(at(4, 53), 300*time.Millisecond, fresh, 24*time.Hour,
			errors.New("load state: permission denied")),
		"silenced": New(at(4, 53), 300*time.Millisecond, silenced, 24*time.Hour, nil),
		"unlisted": New(at(4, 53), 300*time.Millisecond, unlisted, 24*time.Hour, errors.New("load state: x")),
		"no-tick":  New(at(4, 53), 300*time.Millisecond, well, 24*time.Hour, nil),
		"all-well": New(at(4, 53), 300*time.Millisecond, watched, time.Hour, nil),
		"unread": New(at(4, 53), 300*time.Millisecond,
			watch.Survey{Standings: []watch.Standing{{CLB: old, Err: errors.New("timeout")}},
				Known: true}, 24*time.Hour, nil),
	} {
		for _, color := range []bool{false, true} {
			golden := filepath.Join("testdata", name+map[bool]string{true: ".ansi", false: ".txt"}[color])
			t.Run(golden, func(t *testing.T) {
				t.Parallel()
				var got bytes.Buffer
				if err := r.WriteText(&got, Look{Color: color}); err != nil {
					t.Fatal(err)
				}
				if *update {
					if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if got.String() != string(want) {
					t.Errorf("WriteText:\n%s\nwant:\n%s", &got, want)
				}
			})
		}
	}
}

func TestTextIsInUTC(t *testing.T) {
	t.Parallel()
	there, r := time.FixedZone("", 8*3600), sample()
	var want, got strings.Builder
	if err := r.WriteText(&want, Look{}); err != nil {
		t.Fatal(err)
	}
	r.At, r.ChangesFrom = r.At.In(there), r.ChangesFrom.In(there)
	for _, p := range r.Changed {
		for _, c := range p.Backends {
			for i := range c.Says {
				if !c.Says[i].At.IsZero() {
					c.Says[i].At = c.Says[i].At.In(there)
				}
			}
		}
	}
	for _, p := range r.Pools {
		for _, b := range p.NotRunning {
			if b.Out != nil {
				b.Out.Since = b.Out.Since.In(there)
			}
		}
	}
	if err := r.WriteText(&got, Look{}); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Errorf("with times of another zone:\n%s\nwant:\n%s", &got, &want)
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	part := func(n, of int, rules bool, names ...string) *lb.Part {
		return &lb.Part{N: n, Of: of, Rules: rules, Names: names}
	}
	for _, tt := range []struct {
		part        *lb.Part
		outOf, some string
	}{
		{part(1, 3, false, "TCP:22"), "1 of 3 listeners (TCP:22)", "TCP:22"},
		{part(3, 3, false, "A", "B", "C"), "all 3 listeners (A, B, C)", "3 listeners (A, B, C)"},
		{part(1, 1, false, "TCP:22"), "its only listener (TCP:22)", "TCP:22"},
		{part(2, 2, false, "A", "B"), "both listeners (A, B)", "2 listeners (A, B)"},
		{part(5, 6, true, "A", "B", "C"), "5 of 6 rules (A, B, C, …)", "5 rules (A, B, C, …)"},
		{part(1, 2, true), "1 of 2 rules", "1 rule"},
		{part(1, 2, true, "\u202e\n"), "1 of 2 rules (?)", "?"},
		{part(1, 2, true, "HTTPS:443 "+strings.Repeat("a", 60)+".example.com/ → 8080"),
			"1 of 2 rules (HTTPS:443 aaaaaaaaaaaaaa…aaa.example.com/ → 8080)",
			"HTTPS:443 aaaaaaaaaaaaaa…aaa.example.com/ → 8080"},
	} {
		if outOf, some := OutOf(tt.part, Thing(tt.part))+Names(tt.part), Some(tt.part); outOf != tt.outOf ||
			some != tt.some {
			t.Errorf("%+v is %q, and %q, want %q, and %q", tt.part, outOf, some, tt.outOf, tt.some)
		}
	}
	for want, b := range map[string]lb.Backend{
		"fails its only check (TCP:80 → 80)": {Checked: 1, Failing: []string{"TCP:80 → 80"}},
		"fails 1 of 2 checks (TCP:80 → 80)":  {Checked: 2, Failing: []string{"TCP:80 → 80"}},
		"fails all 4 checks (a, b, c, …)":    {Failing: []string{"a", "b", "c", "d"}},
	} {
		if got := Fails(b); got != want {
			t.Errorf("Fails(%+v) = %q, want %q", b, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]lb.CLB{
		"shop": {ID: "lb-1", Label: "shop", Title: "prod-shop"}, "prod-shop": {ID: "lb-1",
			Title: "prod\n-shop\u202e"}, "lb-1": {ID: "lb-1", Title: "\u200b"}, "(no id)": {},
	} {
		if want = strings.Replace(want, "prod-", "prod -", 1); Name(c) != want {
			t.Errorf("Name(%+v) = %q, want %q", c, Name(c), want)
		}
	}
	for id, want := range map[string]bool{"ap-guangzhou": true, "ap-guangzhou/prod-*": true,
		"ap-guangzhou/tag:a=b": true, "lb-1": false, "ap-guangzhou-2": false, "": false} {
		if got := IsRegion(lb.CLB{Region: "ap-guangzhou", ID: id}); got != want {
			t.Errorf("IsRegion(%q) = %v, want %v", id, got, want)
		}
	}
	if IsRegion(lb.CLB{}) {
		t.Error("what has no region and no id is taken for a region")
	}
}

func FuzzWriteText(f *testing.F) {
	f.Add("prod-web", "web-07", "LBNotFound", "check CLB_IDS", 3, int64(0))
	f.Add("\x1b]0;x\x07", "a\nb", "\u202e\xff", "\u2028", -1, int64(-1))
	f.Fuzz(func(t *testing.T, label, name, err, do string, n int, when int64) {
		c := lb.CLB{ID: name, Region: label, Label: label}
		found := watch.Survey{Known: true, Standings: []watch.Standing{
			{CLB: c, Capacity: lb.Capacity{Total: n, Weight: n, Serving: n / 3},
				NotRunning: []lb.Backend{{ID: err, Name: name, LanIP: do, Status: lb.Status(n)}}},
			{CLB: lb.CLB{ID: label}, Err: advice.Add(errors.New(err+"x"), do)},
			{CLB: lb.CLB{ID: err, Title: label}, Kind: lb.Type(do), HealthErr: errors.New(do),
				Ill: []lb.Backend{{ID: name, Type: label, Status: lb.Running, Checked: n, Failing: []string{name, do},
					Ill: &lb.Out{Since: at(4, 41)}}}},
			{CLB: lb.CLB{ID: "r/" + name, Region: "r"}, Err: advice.Add(errors.New(err), do)},
		}}
		var log []incident.Record
		for i, k := range []lb.Kind{lb.Added, lb.LeftRunning, lb.Recovered, lb.Removed, lb.Unbound, lb.Bound,
			lb.Unhealthy, lb.Healthy, lb.Kind(do)} {
			past := &incident.Past{Kind: k, ID: err, Name: name, Is: lb.Status(n)}
			log = append(log, incident.Record{At: at(4, 0).Add(time.Duration(when + int64(i))), CLB: c, Change: past})
		}
		found.Past = period(log...)
		found.Silences = []incident.Silence{{ID: name, What: label, Why: err, By: do, All: n > 0,
			Until: at(4, 0).Add(time.Duration(when))}, {ID: "7", Incident: do, Why: label, By: name}}
		found.SilencesErr = errors.New(err)
		r := New(at(4, 53), 0, found, 24*time.Hour, errors.New(do))
		var plain, color strings.Builder
		if err := errors.Join(r.WriteText(&plain, Look{}), r.WriteText(&color, Look{Color: true})); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(plain.String(), "\n"); n > 33 {
			t.Errorf("%d lines: a name started one of its own:\n%s", n, plain.String())
		}
		for _, r := range plain.String() {
			if r != '\n' && !unicode.IsPrint(r) || r == utf8.RuneError {
				t.Fatalf("%U in %q", r, plain.String())
			}
		}
		if got := escapes.ReplaceAllString(color.String(), ""); got != plain.String() {
			t.Errorf("in colour the text is another:\n%q\nwant:\n%q", got, plain.String())
		}
	})
}

// escapes are the only ones that we write.
var escapes = regexp.MustCompile("\x1b\\[[0-9]+m")
