package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

// Guarantee 4: a removal is believed only when two readings show it, and nothing but a whole reading says
// anything.

func TestAPIFaults(t *testing.T) { in(t, testAPIFaults, inFiles, app) }

func testAPIFaults(t *testing.T, in place) {
	faults := cloud.Faults()
	if !in.classic() {
		faults = cloud.ForwardFaults()
	}
	for _, fault := range append(faults, cloud.FaultCode(4300, "RequestForbidden", "closed"),
		cloud.FaultCode(6100, "ActionNotFound", "x"), cloud.FaultHang()) {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, in)
			for i := range 130 { // two pages
				l.cloud.Bind(region, web, vm(fmt.Sprintf("web-%d", i)))
			}
			f := l.start(scf.WithTimeout(4 * time.Second))
			l.tick(f)
			times := -1
			if fault.Plausible() {
				times = 1 // for longer it cannot be told from the truth
			}
			l.cloud.Fail(web, fault, times)
			for range 4 {
				l.tick(f)
			}
			l.cloud.ClearFaults()
			l.tick(f)
			l.cloud.Unbind(region, web, "ins-web-3")
			l.tick(f)
			l.tick(f) // which confirms it, if there was no time to
			got := l.news()
			backends := slices.DeleteFunc(slices.Clone(got),
				func(s string) bool { return !strings.HasSuffix(s, "removed") })
			if !slices.Equal(backends, []string{"web-3 removed"}) {
				t.Errorf("posted %q, want the one removal that happened", got)
			}
			others := len(got) - 1
			if others != 0 && others != 2 {
				t.Errorf("posted %q, want nothing else, or that it cannot be read and that it can again", got)
			}
		})
	}
}

// TestAPI3Faults has every fault of API 3.0 during a change: it must never be told as something that did not
// happen, and the change must be told when it is over.
func TestAPI3Faults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in     place
		action string
		faults []cloud.V3Fault
	}{
		{byV3, cloud.DescribeClassicalLBTargets, cloud.V3Faults()},
		{appByV3, cloud.DescribeTargets, cloud.TargetFaults()},
		{appByV3, cloud.DescribeInstancesStatus, cloud.InstanceFaults()},
		{app, cloud.DescribeInstancesStatus, cloud.InstanceFaults()}, // with API 2.0 too the status is CVM's
	} {
		for _, fault := range tt.faults {
			t.Run(string(tt.in)+" "+tt.action+" "+fault.String(), func(t *testing.T) {
				t.Parallel()
				l := newLab(t, tt.in)
				f := l.start()
				l.tick(f)
				times := 20
				switch {
				case fault.Plausible() && tt.action == cloud.DescribeInstancesStatus:
					times = 1 // what is missing is asked for again
				case fault.Plausible():
					times = 2 // both load balancers read as empty, once
				}
				l.cloud.FailV3On(tt.action, fault, times)
				_, _ = l.try(f)
				if got := l.news(); len(got) > 0 {
					t.Errorf("posted %q", got)
				}
				l.cloud.ClearFaults()
				if tt.in != app {
					l.closeV2()
				}
				l.cloud.SetStatus("ins-web-1", 4)
				l.settle(f)
				if got, want := l.news(), []string{"web-1 stopped"}; !slices.Equal(got, want) {
					t.Errorf("posted %q, want %q", got, want)
				}
			})
		}
	}
}

// TestAPI2ClosesInMidRun has the whole life of a backend across the turn from one API to the other and back.
func TestAPI2ClosesInMidRun(t *testing.T) { in(t, testAPI2ClosesInMidRun, inFiles, app) }

func testAPI2ClosesInMidRun(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	l.tick(f)
	l.cloud.SetStatus("ins-web-1", 4)
	l.tick(f)
	before := l.cloud.Calls()
	l.closeV2()
	l.tick(f) // the turn itself is no news
	if n := l.cloud.Calls() - before; n != 1 {
		t.Errorf("%d calls of API 2.0 when it closed, want 1", n)
	}
	l.cloud.SetStatus("ins-web-1", 2)
	l.tick(f)
	l.cloud.Unbind(region, web, "ins-web-2")
	l.end(f)
	f = l.start() // what was learned is in the state
	l.tick(f)
	if n := l.cloud.Calls() - before; n != 1 {
		t.Errorf("%d calls of API 2.0 after it closed, want 1", n)
	}
	l.cloud.ClearFaults()
	l.cloud.Bind(region, web, vm("web-4"))
	l.tick(f, scf.WithSetting("CLB_API", "v2")) // and back
	l.tick(f, scf.WithSetting("CLB_API", "v3"))
	l.tick(f)
	if got, want := l.news(), []string{"web-1 stopped", "web-1 back", "web-2 removed",
		"web-4 added"}; !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
}

func TestAPIFaultThatPassesIsNotNews(t *testing.T) { byV2(t, testAPIFaultThatPassesIsNotNews) }

func testAPIFaultThatPassesIsNotNews(t *testing.T, in place) {
	faults := cloud.Faults()
	if !in.classic() {
		faults = cloud.ForwardFaults()
	}
	for _, fault := range faults {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, in)
			f := l.start()
			l.tick(f)
			for range 2 {
				l.cloud.Fail("", fault, 1)
				l.tick(f)
			}
			l.tick(f)
			if got := l.news(); len(got) != 0 {
				t.Errorf("posted %q, want nothing", got)
			}
		})
	}
}

// Guarantee 5: one unreadable load balancer delays no other; a hanging call does not outlive the deadline.

func TestOneHangingLoadBalancerDelaysNoOther(t *testing.T) {
	byV2(t, testOneHangingLoadBalancerDelaysNoOther)
}

func testOneHangingLoadBalancerDelaysNoOther(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start(scf.WithTimeout(5 * time.Second))
	l.tick(f)
	l.cloud.Fail(web, cloud.FaultHang(), -1)
	l.cloud.SetStatus("ins-api-1", 4)
	if sum := l.tick(f); sum.Read != 1 || sum.Unreadable != 1 || sum.Sent != 1 {
		t.Errorf("%+v, want the other read and told", sum)
	}
	if got, want := l.news(), []string{"api-1 stopped"}; !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
}

func TestShortDeadlines(t *testing.T) { byV2(t, testShortDeadlines) }

func testShortDeadlines(t *testing.T, in place) {
	l := newLab(t, in)
	// so that a busy machine is not told from a function that is late
	f := l.start(scf.WithGrace(2 * time.Second))
	l.tick(f)
	l.cloud.Fail("", cloud.FaultHang(), -1)
	for _, limit := range []time.Duration{time.Millisecond, 50 * time.Millisecond, 500 * time.Millisecond,
		2 * time.Second} {
		sum, err := l.try(f, scf.WithTimeout(limit))
		if err == nil || strings.Contains(err.Error(), "TimeLimitReached") {
			t.Errorf("with %v for a hanging API: %+v, %v, want an error of its own in time", limit, sum, err)
		}
	}
	l.cloud.ClearFaults()
	l.cloud.SetStatus("ins-web-1", 4)
	l.slack.Fail(slack.TakesThenHangs(), 1)
	if sum, err := l.try(f, scf.WithTimeout(2*time.Second)); err != nil || sum.Pending == 0 {
		t.Errorf("with 2 s for a hanging Slack: %+v, %v, want it owed, in time", sum, err)
	}
}

// Guarantee 5: one row, list or instance that is odd hides nothing else, and is itself no news.

func TestOddRowHidesNothing(t *testing.T) {
	for name, change := range map[string]cloud.Change{
		"a status that is null":   cloud.Set("RunFlag", nil),
		"a status that is a text": cloud.Set("RunFlag", "running"),
		"no status":               cloud.Drop("RunFlag"),
		"an id that is null":      cloud.Set("InstanceId", nil),
		"a row that is null":      func(any) any { return nil },
		"a row that is a text":    func(any) any { return "web-1" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, byV3)
			f := l.start()
			l.tick(f)
			l.cloud.FailV3On(cloud.DescribeClassicalLBTargets,
				cloud.V3Odd(name, cloud.In(cloud.Row(0, change), "Targets")), -1)
			l.cloud.SetStatus("ins-web-2", 4)
			if sum := l.tick(f); sum.Read != 2 || sum.Unreadable != 0 {
				t.Errorf("%+v, want both read", sum)
			}
			l.wantPosted([]string{"web-2", "prod-web"})
			l.cloud.ClearFaults()
			l.tick(f)
			l.wantPosted([]string{"web-2", "prod-web"})
		})
	}
}

func TestMistypedRowHidesNothingByAPI2(t *testing.T) {
	t.Parallel()
	l := newLab(t, inFiles)
	f := l.start()
	l.tick(f)
	l.cloud.Fail(web, cloud.FaultOdd("null", cloud.In(cloud.Row(0, cloud.Set("instanceStatus", nil)),
		"backendSet")), -1)
	l.cloud.SetStatus("ins-web-2", 4)
	l.tick(f)
	l.wantPosted([]string{"web-2", "prod-web"})
}

// A removal is news once two readings show it, and a moment's lapse is none.
func TestRemovalNeedsTwoReadings(t *testing.T) {
	t.Parallel()
	l := newLab(t, byV3)
	f := l.start()
	l.tick(f)
	lapse := cloud.V3Odd("one row less", cloud.In(func(v any) any { return v.([]any)[1:] }, "Targets"))
	l.cloud.FailV3On(cloud.DescribeClassicalLBTargets, lapse, 1)
	l.tick(f)
	if got := l.news(); len(got) > 0 {
		t.Errorf("one reading lacks a backend: told %q, want nothing", got)
	}
	l.cloud.Unbind(region, web, "ins-web-1")
	l.tick(f, scf.WithTimeout(3*time.Second)) // there is no time for a second reading
	l.tick(f, scf.WithTimeout(3*time.Second))
	l.wantPosted([]string{"web-1", "prod-web"})
}

// A target region that changed is looked up, and a new instance given a moment.
func TestTargetRegionChanges(t *testing.T) {
	t.Parallel()
	l := newLab(t, appByV3)
	f := l.start()
	l.tick(f)
	l.cloud.SetTargetRegion(region, api, "ap-hongkong")
	l.cloud.Bind(region, api, vm("hk-1"))
	l.cloud.HideInstance("ins-hk-1", 300*time.Millisecond)
	l.tick(f)
	l.tick(f)
	for _, text := range l.texts() {
		if strings.Contains(text, "returned") || strings.Contains(text, "terminated") ||
			strings.Contains(text, "stopped") {
			t.Errorf("told %s, want only that hk-1 was added", text)
		}
	}
	l.wantPosted([]string{"hk-1"})
}

// The role may read load balancers, and nothing else.
func TestLeastPrivilege(t *testing.T) {
	for _, in := range []place{inFiles, byV3} {
		t.Run(string(in), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, in)
			refused := cloud.V3Code("UnauthorizedOperation", "no")
			l.cloud.FailV3On(cloud.DescribeLoadBalancers, refused, -1)
			l.cloud.Fail(cloud.DescribeLoadBalancers, cloud.FaultCode(4110, "AuthFailure", "no"), -1)
			f := l.start()
			if sum := l.tick(f); sum.Read != 2 {
				t.Errorf("%+v, want both read", sum)
			}
			l.cloud.SetStatus("ins-web-2", 4)
			l.tick(f)
			l.wantPosted([]string{"web-2", "prod-web"})
			if answer, err := l.invoke(f, `{"action":"report"}`); err != nil ||
				!strings.Contains(string(answer), `"backends":3`) {
				t.Errorf("report: %s, %v, want it read too", answer, err)
			}
			stdout, _, code := l.command("check")
			if !strings.Contains(stdout, "clb:DescribeLoadBalancers") || code != 0 {
				t.Errorf("check, %d:\n%s\nwant the refused action named, and all well without it", code,
					stdout)
			}
		})
	}
}

// One instance for which CVM refuses every call is unknown, and all others are seen.
func TestInstanceThatCVMRefuses(t *testing.T) {
	t.Parallel()
	l := newLab(t, appByV3)
	f := l.start()
	l.tick(f)
	l.cloud.RefuseInstance("ins-web-1", "UnauthorizedOperation")
	l.cloud.SetStatus("ins-web-2", 4)
	l.cloud.SetStatus("ins-api-1", 4)
	if sum := l.tick(f); sum.Read != 2 {
		t.Errorf("%+v, want both read", sum)
	}
	l.wantPosted([]string{"web-2", "api-1"})
	if answer, err := l.invoke(f, `{"action":"report"}`); err != nil ||
		!strings.Contains(string(answer), "web-1") {
		t.Errorf("report: %s, %v, want web-1 shown as unknown", answer, err)
	}
}

// Answers that do not fit into the memory are errors of their load balancers, and the function lives.
func TestAnswersBeyondTheMemory(t *testing.T) {
	t.Parallel()
	l := newLab(t, byV3)
	var ids []string
	for i := range 12 {
		id := fmt.Sprintf("lb-huge%04d", i)
		l.cloud.Bind(region, id, vm(fmt.Sprint("huge-", i)))
		ids = append(ids, region+"/"+id)
	}
	l.settings["CLB_IDS"] += "," + strings.Join(ids, ",")
	f := l.start(scf.WithMemory(128))
	l.tick(f)
	endless := cloud.V3Serve("endless", func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"Response":{"RequestId":"r","Targets":[`))
		row, _ := json.Marshal(map[string]any{"InstanceId": "ins-x", "RunFlag": 2, "Weight": 10,
			"InstanceName": strings.Repeat("x", 200)})
		for {
			if _, err := w.Write(append(row, ',')); err != nil {
				return
			}
		}
	})
	l.cloud.FailV3On(cloud.DescribeClassicalLBTargets, endless, 10)
	sum := l.tick(f)
	if sum.Read+sum.Unreadable != 14 || sum.Read < 4 {
		t.Errorf("%+v, want the others read", sum)
	}
	l.cloud.ClearFaults()
	if sum := l.tick(f); sum.Read != 14 {
		t.Errorf("afterwards: %+v, want all read", sum)
	}
}
