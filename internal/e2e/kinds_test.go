package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
)

// What there is beside the life of one backend: bindings, health, load balancers that are found, change their
// kind or go, and shards. Each over both APIs.

func byBothAPIs(t *testing.T, test func(t *testing.T, in place)) {
	t.Helper()
	in(t, test, app, appByV3)
}

// texts are the texts of all messages after the first, and all that is written in their blocks.
func (l *lab) texts() []string {
	var all []string
	for _, m := range l.slack.Messages()[1:] {
		all = append(all, strings.Join(strs(l.t, m.Raw), "\n"))
	}
	return all
}

// wantPosted checks that as many messages were posted after the first, each with the words in it.
func (l *lab) wantPosted(words ...[]string) {
	l.t.Helper()
	got := l.texts()
	if len(got) != len(words) {
		l.t.Fatalf("posted %d messages, want %d:\n%s", len(got), len(words), strings.Join(got, "\n---\n"))
	}
	for i, all := range words {
		for _, w := range all {
			if !strings.Contains(got[i], w) {
				l.t.Errorf("message %d is\n%s\nwant %q in it", i+1, got[i], w)
			}
		}
	}
}

func TestBindings(t *testing.T) { byBothAPIs(t, testBindings) }

func testBindings(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	l.tick(f)
	l.cloud.UnbindFrom(region, web, "TCP:8443", "ins-web-1")
	l.tick(f)
	l.cloud.UnbindFrom(region, web, "HTTP:80 example.com/api", "ins-web-2")
	l.tick(f)
	l.cloud.BindTo(region, web, "TCP:8443", vm("web-1"))
	l.tick(f)
	for _, id := range []string{"ins-api-1", "ins-api-2"} {
		l.cloud.UnbindFrom(region, api, "TCP:8443", id)
	}
	l.tick(f)
	l.cloud.Unbind(region, web, "ins-web-3")
	l.tick(f)
	l.tick(f)
	l.wantPosted([]string{"web-1", "1 of 2 listeners", "TCP:8443"},
		[]string{"web-2", "1 of 3", "example.com/api"}, []string{"web-1", "TCP:8443"},
		[]string{"DOWN on TCP:8443"}, []string{"web-3", "removed"})
}

func TestBackendsThatAreNoInstances(t *testing.T) { byBothAPIs(t, testBackendsThatAreNoInstances) }

func testBackendsThatAreNoInstances(t *testing.T, in place) {
	l := newLab(t, in)
	eni := cloud.Instance{ID: "eni-1234abcd", Type: "ENI", Name: "pod-1", LanIP: "10.9.0.1", Status: 2,
		Weight: 10}
	second := eni
	second.Name, second.LanIP = "pod-2", "10.9.0.2" // on the same interface
	l.cloud.Bind(region, web, eni, second)
	f := l.start()
	l.tick(f)
	l.cloud.Forget("ins-web-1") // destroyed, and still bound
	l.tick(f)
	l.tick(f)
	l.wantPosted([]string{"web-1", "terminated (5)"})
	out, _, code := l.command("report", "--json")
	if code != 0 || !strings.Contains(out, `"backends": 5`) ||
		!strings.Contains(out, `"kind": "application"`) {
		t.Errorf("report = %d, %s, want both of the interface, and the kind", code, out)
	}
}

func TestHealth(t *testing.T) {
	in(t, func(t *testing.T, in place) {
		l := newLab(t, in)
		l.settings["CLB_HEALTH"] = "on"
		on := map[bool]string{true: "TCP:80", false: "TCP:8443"}[in.classic()]
		f := l.start()
		l.tick(f)
		// not decided yet: no news, by those that say so
		l.cloud.SetHealth(region, web, "ins-web-1", "", "Unknown")
		if in.classic() {
			l.cloud.SetHealth(region, web, "ins-web-1", "", "Alive")
		}
		l.tick(f)
		l.cloud.SetHealth(region, web, "ins-web-1", on, "Dead")
		l.tick(f)
		l.tick(f)
		l.cloud.SetHealth(region, web, "ins-web-1", "", "Alive")
		l.tick(f)
		l.cloud.SetStatus("ins-web-2", 4) // it fails everything, which goes without saying
		l.tick(f)
		l.wantPosted([]string{"web-1", "unhealthy", on, "8080"}, []string{"web-1 back on prod-web"},
			[]string{"web-2", "shut down (4)"})
	}, inFiles, byV3, app, appByV3)
}

func TestMigration(t *testing.T) {
	in(t, func(t *testing.T, in place) {
		l := newLab(t, in)
		f := l.start()
		l.tick(f)
		l.cloud.SetApplication(region, web)
		l.tick(f)
		l.tick(f)
		l.cloud.SetStatus("ins-web-1", 4)
		l.tick(f)
		l.wantPosted([]string{"prod-web", "application"}, []string{"web-1", "shut down (4)"})

		l = newLab(t, in)
		l.cloud.SetApplicationsEmpty(true) // by API 2.0 it may read as empty in perfect form
		f = l.start()
		l.tick(f)
		l.cloud.SetApplication(region, web)
		l.tick(f)
		l.wantPosted([]string{"prod-web", "application"})
	}, inFiles, byV3)
}

func TestDiscovery(t *testing.T) {
	in(t, func(t *testing.T, in place) {
		l := newLab(t, in)
		l.settings["CLB_IDS"], l.settings["CLB_DISCOVER"] = "", region+"/prod-*,ap-shanghai"
		l.cloud.SetName(region, web, "prod-web")
		l.cloud.SetName(region, api, "test-api")
		for i := range 130 { // more than a page
			l.cloud.Bind("ap-shanghai", fmt.Sprintf("lb-%04d", i), vm(fmt.Sprintf("sh-%d", i)))
		}
		f := l.start()
		if sum := l.tick(f); sum.CLBs != 131 || sum.Read != 131 {
			t.Fatalf("the first tick: %+v, want 131 found and read", sum)
		}
		l.cloud.SetStatus("ins-web-1", 4)
		l.tick(f)
		l.cloud.Delete("ap-shanghai", "lb-0007") // its reading says so: no list is needed
		if sum := l.tick(f); sum.CLBs != 130 || sum.Unreadable != 0 {
			t.Errorf("after one was deleted: %+v, want 130", sum)
		}
		l.end(f)
		f = l.start() // which there are is in the state
		if sum := l.tick(f); sum.CLBs != 130 {
			t.Errorf("a cold start: %+v, want 130", sum)
		}
		l.wantPosted([]string{"web-1", "prod-web"}, []string{"lb-0007", "deleted"})
		for _, fault := range cloud.ListFaults() {
			l := newLab(t, in)
			l.settings["CLB_IDS"], l.settings["CLB_DISCOVER"] = "", region
			f := l.start()
			l.tick(f)
			l.aged() // the list is asked for again
			l.cloud.FailV3On(cloud.DescribeLoadBalancers, fault, 1)
			if sum, err := l.try(f); err != nil || sum.CLBs != 2 || sum.Read != 2 {
				t.Errorf("%s: %+v, %v, want what is known to be watched", fault, sum, err)
			}
			if got := l.news(); len(got) > 0 {
				t.Errorf("%s: posted %q, want nothing", fault, got)
			}
		}
	}, inFiles, byV3, app, appByV3)
}

// aged makes the newest head forget when regions were listed.
func (l *lab) aged() {
	l.t.Helper()
	l.forge(func(head map[string]any) { delete(head, "listed") })
}

func TestShards(t *testing.T) { in(t, testShards, inFiles, inCOS, appByV3) }

func testShards(t *testing.T, in place) {
	l := newLab(t, in)
	var ids []string
	for i := range 24 {
		id := fmt.Sprintf("lb-%08d", i)
		if !in.classic() {
			l.cloud.SetApplication(region, id)
		}
		l.cloud.Bind(region, id, vm(fmt.Sprintf("a-%d", i)), vm(fmt.Sprintf("b-%d", i)))
		ids = append(ids, id)
	}
	l.settings["CLB_IDS"] = strings.Join(ids, ",")
	f := l.start()
	l.tick(f)
	var want []string
	round := func(of int) {
		i := len(want)
		l.cloud.SetStatus(fmt.Sprintf("ins-a-%d", i), 4)
		want = append(want, fmt.Sprintf("a-%d stopped", i))
		for range 2 {
			sum := summary{}
			for n := 1; n <= of; n++ {
				event := string(scf.TimerEvent(time.Now()))
				if of > 1 {
					event = fmt.Sprintf(`{"Type":"Timer","TriggerName":"shard-%d",`+
						`"Time":"2026-11-23T04:53:00Z",`+
						`"Message":"{\"shard\":\"%d/%d\"}"}`, n, n, of)
				}
				out, err := l.invoke(f, event)
				if err != nil {
					t.Fatalf("shard %d/%d: %v", n, of, err)
				}
				var s summary
				if err := json.Unmarshal(out, &s); err != nil {
					t.Fatal(err)
				}
				sum.CLBs, sum.Read = sum.CLBs+s.CLBs, sum.Read+s.Read
			}
			if sum.CLBs != 24 || sum.Read != 24 {
				t.Errorf("%d shards read %+v in all, want 24", of, sum)
			}
		}
	}
	for _, of := range []int{3, 4, 1, 2} {
		round(of)
	}
	got := l.news() // what goes to another shard while it is open is posted there anew
	slices.Sort(got)
	if len(got) > len(want)+2 || !slices.Equal(slices.Compact(got), want) {
		t.Errorf("posted %q, want %q, each again at most once", got, want)
	}
	if _, err := l.invoke(f, `{"Type":"Timer","Message":"{\"shard\":\"5/4\"}"}`); err == nil ||
		!strings.Contains(err.Error(), "SHARD") {
		t.Errorf("shard 5/4: %v, want an error that names it", err)
	}
	out, err := l.invoke(f, `{"action":"report"}`)
	if err != nil || strings.Count(string(out), `"out":{"since"`) != len(want) {
		t.Errorf("a report of all shards = %s, %v, want since when each of %d is out", out, err, len(want))
	}
}
