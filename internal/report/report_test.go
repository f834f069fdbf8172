package report

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/timeline"
	"clbwatch/internal/watch"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	shop, unread := Pool{CLB: lb.CLB{ID: "lb-1", Label: "shop"}}, Pool{Err: "timeout"}
	whole, dead := Pool{CLB: web, Backends: 12, Running: 10}, Pool{CLB: api, Backends: 3}
	ill := Pool{CLB: lb.CLB{ID: "lb-ill"}, Backends: 3, Running: 3, Unhealthy: make([]lb.Backend, 2)}
	deaf := Pool{CLB: lb.CLB{ID: "lb-deaf"}, Backends: 2, Running: 2, HealthErr: "timeout"}
	for _, tt := range []struct {
		pools []Pool
		want  string
	}{
		{sample().Pools, "13 of 17 backends running on 4 load balancers, 1 cannot be read"},
		{[]Pool{whole}, "10 of 12 backends running on prod-web"},
		{[]Pool{whole, dead}, "10 of 15 backends running on 2 load balancers, none on lb-c4r9t0zw"},
		{[]Pool{whole, dead, shop, dead, unread}, "10 of 18 backends running on 4 load balancers, none on 2 of " +
			"them, 1 cannot be read"},
		{[]Pool{dead}, "None of 3 backends running on lb-c4r9t0zw"},
		{[]Pool{dead, dead}, "None of 6 backends running on 2 load balancers"},
		{sample().Pools[2:3], "Cannot read old"},
		{[]Pool{unread, unread}, "Cannot read 2 load balancers"},
		{[]Pool{shop}, "shop has no backends"},
		{[]Pool{shop, shop}, "2 load balancers have no backends"},
		{[]Pool{shop, unread}, "1 load balancer has no backends, 1 cannot be read"},
		{nil, "No load balancer is watched"},
		{[]Pool{ill}, "3 of 3 backends running on lb-ill, 2 unhealthy"},
		{[]Pool{ill, dead, ill}, "6 of 9 backends running on 3 load balancers, none on lb-c4r9t0zw, 4 unhealthy"},
		{[]Pool{deaf}, "2 of 2 backends running on lb-deaf, cannot read the health of lb-deaf"},
		{[]Pool{deaf, unread, deaf}, "4 of 4 backends running on 2 load balancers, 1 cannot be read, cannot read " +
			"the health of 2 load balancers"},
	} {
		if got := (Report{Pools: tt.pools}).Summary(); got != tt.want {
			t.Errorf("Summary of %+v = %q, want %q", tt.pools, got, tt.want)
		}
	}
	region := func(id string) Unread {
		return Unread{CLB: lb.CLB{Region: "ap-guangzhou", ID: id}, What: incident.Listing, Err: "timeout"}
	}
	for _, tt := range []struct {
		report Report
		want   string
	}{
		{Report{Unlisted: []Unread{region("ap-guangzhou")}}, "Cannot list the load balancers of ap-guangzhou"},
		{Report{Unlisted: []Unread{region("ap-guangzhou/a*"), region("ap-guangzhou/b*")}},
			"Cannot list the load balancers of ap-guangzhou/a* and 1 more"},
		{Report{Pools: []Pool{whole}, Unlisted: []Unread{region("ap-guangzhou")}},
			"10 of 12 backends running on prod-web, cannot list the load balancers of ap-guangzhou"},
	} {
		if got := tt.report.Summary(); got != tt.want {
			t.Errorf("Summary of %+v = %q, want %q", tt.report, got, tt.want)
		}
		if got := tt.report.Severity(); got != Unknown {
			t.Errorf("severity of %+v = %d, want %d", tt.report, got, Unknown)
		}
	}
}

func TestHowBadItIs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pool  Pool
		want  Severity
		share string
	}{
		"all run": {Pool{Backends: 2, Running: 2, Weight: 20, Serving: 20}, Well,
			"██████████ 100 %"},
		"one does not": {Pool{Backends: 12, Running: 10, Weight: 120, Serving: 100}, Partial,
			"████████░░  83 %"},
		"hardly any is lost": {Pool{Backends: 200, Running: 199, Weight: 2000, Serving: 1995}, Partial,
			"█████████░  99 %"},
		"what is out is drained": {Pool{Backends: 2, Running: 1, Weight: 10, Serving: 10}, Partial,
			"██████████ 100 %"},
		"less than half is lost": {Pool{Backends: 2, Running: 1, Weight: 21, Serving: 11}, Partial,
			"█████░░░░░  52 %"},
		"half is lost": {Pool{Backends: 2, Running: 1, Weight: 20, Serving: 10}, Down,
			"█████░░░░░  50 %"},
		"hardly any is left": {Pool{Backends: 2, Running: 1, Weight: 1001, Serving: 1}, Down,
			"█░░░░░░░░░   1 %"},
		"none run":                  {Pool{Backends: 2, Weight: 20}, Down, "░░░░░░░░░░   0 %"},
		"none run, and all drained": {Pool{Backends: 2}, Down, "drained"},
		"all run, and all drained":  {Pool{Backends: 2, Running: 2}, Well, "drained"},
		"some run, and all drained": {Pool{Backends: 2, Running: 1}, Partial, "drained"},
		"what runs is drained":      {Pool{Backends: 2, Running: 1, Weight: 10}, Down, "░░░░░░░░░░   0 %"},
		"no backends":               {Pool{}, Partial, "no backends"},
		"one is unhealthy": {Pool{Backends: 12, Running: 12, Weight: 120, Serving: 110,
			Unhealthy: make([]lb.Backend, 1)}, Partial, "█████████░  91 %"},
		"half are unhealthy": {Pool{Backends: 2, Running: 2, Weight: 20, Serving: 10,
			Unhealthy: make([]lb.Backend, 1)}, Down, "█████░░░░░  50 %"},
		"health cannot be read": {Pool{Backends: 2, Running: 2, Weight: 20, Serving: 20, HealthErr: "timeout"},
			Unknown, "██████████ 100 %"},
		"nor is it well": {Pool{Backends: 2, Weight: 20, HealthErr: "timeout"}, Down,
			"░░░░░░░░░░   0 %"},
		"it cannot be read": {Pool{Err: "timeout"}, Unknown, "cannot be read"},
		"two thirds are left": {Pool{Backends: 3, Running: 2, Weight: 3, Serving: 2}, Partial,
			"███████░░░  66 %"},
		"more serves than there is": {Pool{Backends: 2, Running: 2, Weight: 10, Serving: 20}, Well,
			"██████████ 100 %"},
		"weights that make no sense": {Pool{Backends: 2, Running: 2, Weight: -1, Serving: -5}, Well, "drained"},
	} {
		if got := tt.pool.Severity(); got != tt.want {
			t.Errorf("%s: severity %d, want %d", name, got, tt.want)
		}
		if got := tt.pool.Share(); got != tt.share {
			t.Errorf("%s: share %q, want %q", name, got, tt.share)
		}
		if got := (Report{Pools: []Pool{{Backends: 1, Running: 1}, tt.pool,
			{Backends: 1, Running: 1}}}).Severity(); got != tt.want {
			t.Errorf("%s: severity of the report %d, want %d", name, got, tt.want)
		}
	}
	for _, tt := range []struct {
		report Report
		want   Severity
	}{{Report{}, Partial}, {Report{Note: "no state"},
		Unknown}, {Report{Note: "no state", Pools: []Pool{{Backends: 1}}}, Down}} {
		if got := tt.report.Severity(); got != tt.want {
			t.Errorf("severity of %+v = %d, want %d", tt.report, got, tt.want)
		}
	}
}

func TestWorstFirst(t *testing.T) {
	t.Parallel()
	pool := func(label string, running, weight, serving int) Pool {
		return Pool{CLB: lb.CLB{Label: label}, Backends: 10, Running: running, Weight: weight, Serving: serving}
	}
	sick := pool("2 drained ill", 10, 0, 0)
	sick.Unhealthy = make([]lb.Backend, 2)
	sicker := pool("3 drained ill", 10, 0, 0)
	sicker.Unhealthy = make([]lb.Backend, 3)
	unread := pool("unread", 0, 0, 0)
	unread.Err = "timeout"
	r := Report{Pools: []Pool{
		sick, sicker, pool("well", 10, 100, 100), pool("also well", 10, 100, 100), pool("2 drained out", 8, 80, 80),
		pool("3 drained out", 7, 70, 70),
		pool("a fifth lost", 9, 100, 80), unread, pool("half lost", 5, 100, 50), pool("dead", 0, 100, 0),
	}}
	var got []string
	for _, p := range r.WorstFirst() {
		got = append(got, p.CLB.Label)
	}
	want := []string{"dead", "half lost", "unread", "a fifth lost", "3 drained out", "2 drained out",
		"3 drained ill", "2 drained ill", "well", "also well"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("WorstFirst = %q, want %q", got, want)
	}
	if r.Pools[2].CLB.Label != "well" {
		t.Error("WorstFirst changed the order of the report itself")
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	running := func(id, name string) lb.Backend { return lb.Backend{ID: id, Name: name, Status: lb.Running} }
	out := []lb.Backend{{ID: "2", Name: "z", Status: 4, Out: &lb.Out{Since: at(4, 41)}},
		{ID: "9", Name: "beyond what is listed", Status: 4}}
	sick := running("7", "y")
	sick.Failing = []string{"TCP:80 → 80"}
	s := watch.Standing{CLB: web, NotRunning: out, Ill: []lb.Backend{sick},
		Backends: []lb.Backend{running("1", "c"), {ID: "2", Name: "z", Status: 4}, running("3", ""),
			running("4", "a"), running("6", "a"), running("5", "a"), sick}}
	r := New(at(4, 53).Add(999*time.Millisecond), 1234567*time.Microsecond,
		watch.Survey{Standings: []watch.Standing{s}}, 24*time.Hour, nil)
	if !r.At.Equal(at(4, 53)) || r.Took != 1.235 {
		t.Errorf("at %v, took %v, want whole seconds, and milliseconds", r.At, r.Took)
	}
	want := []lb.Backend{out[0], out[1], sick, running("3", ""), running("4", "a"), running("5", "a"),
		running("6", "a"), running("1", "c")}
	if got := r.Pools[0].Members; !reflect.DeepEqual(got, want) {
		t.Errorf("Members = %+v, want those not running and those unhealthy as they were found, then the others "+
			"by name: %+v", got, want)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	want := sample()
	more := applications()
	want.Pools, want.Unlisted = append(want.Pools, more.Pools...), more.Unlisted
	if err := want.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	// These names are promised.
	for _, name := range []string{"at", "tookSeconds", "loadBalancers", "changesFrom", "changes", "loadBalancer",
		"backends", "running",
		"weight", "servingWeight", "notRunning", "error", "do", "region", "id", "label", "name", "status", "lanIp",
		"out", "since", "atLeast", "kind",
		"unhealthy", "healthError", "unlisted", "of", "checked", "failing", "ill", "bindings", "on", "rule",
		"port", "course", "figures", "strip", "cells", "lowest", "total", "cellSeconds", "up", "allWeight", "inService",
		"notSeen", "incidents", "messages", "flappingBackends"} {
		if !strings.Contains(b.String(), `"`+name+`": `) {
			t.Errorf("there is no %q in:\n%s", name, &b)
		}
	}
	var got Report
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for i := range want.Pools {
		want.Pools[i].Members = nil
		if c := want.Pools[i].Course; c != nil {
			c.Figures = timeline.Figures{}
		}
	}
	want.Timeline = nil
	want.Unlisted[0].What = ""
	for _, p := range want.Changed {
		for i := range p.Backends {
			p.Backends[i].Backend, p.Backends[i].Says = "", nil
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back %+v, want %+v", got, want)
	}
}

// A report starts with what is silenced, then what is open, then how things stand: in JSON too.
func TestJSONStartsWithSilences(t *testing.T) {
	t.Parallel()
	found := watch.Survey{
		Silences: []incident.Silence{{ID: "7", What: "prod-*", Until: at(14, 0), By: "ada"}},
		Open: []incident.Document{{Root: &incident.Root{Incidents: []*incident.Incident{{ID: "12",
			Key: web.Key()}}}}},
		Standings: []watch.Standing{{CLB: web}},
	}
	var b bytes.Buffer
	if err := New(at(4, 53), 0, found, 24*time.Hour, nil).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	last := -1
	for _, key := range []string{`"silences": [`, `"id": "7"`, `"what": "prod-*"`, `"open": [`,
		`"incident": "12"`,
		`"loadBalancers": [`} {
		i := strings.Index(b.String(), key)
		if i <= last {
			t.Errorf("%s is not where it should be in %s", key, &b)
		}
		last = i
	}
}
