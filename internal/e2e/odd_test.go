package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
)

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

func TestRowThatAnotherTypeIsInHidesNothingByAPI2(t *testing.T) {
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

// Regions that cannot be searched delay nothing.
func TestRegionsThatHangDelayNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, byV3)
	l.settings["CLB_DISCOVER"] = "ap-shanghai,ap-beijing,ap-chengdu"
	for _, r := range []string{"ap-shanghai", "ap-beijing", "ap-chengdu"} {
		l.cloud.FailV3In(r, cloud.DescribeLoadBalancers, cloud.V3Hang(), -1)
	}
	f := l.start(scf.WithTimeout(time.Minute))
	for range 3 {
		start := time.Now()
		if sum := l.tick(f); sum.Read != 2 || time.Since(start) > 10*time.Second {
			t.Errorf("%+v in %v, want both read, and soon", sum, time.Since(start))
		}
	}
}

// A list and the question by id are both empty in perfect form, and the load balancer can be read.
func TestDeletionNeedsTheReadingsWord(t *testing.T) {
	t.Parallel()
	l := newLab(t, byV3)
	l.settings["CLB_IDS"], l.settings["CLB_DISCOVER"] = "", region
	f := l.start()
	l.tick(f)
	l.aged()
	l.cloud.FailV3On(cloud.DescribeLoadBalancers, cloud.V3EmptySet(), -1)
	if sum := l.tick(f); sum.Read != 2 {
		t.Errorf("%+v, want both read", sum)
	}
	if got := l.news(); len(got) > 0 {
		t.Errorf("posted %q, want nothing", got)
	}
}

func TestSearchThatFindsNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, byV3)
	l.settings["CLB_IDS"], l.settings["CLB_DISCOVER"] = region+"/"+web, region+"/pord-*"
	l.cloud.SetName(region, api, "prod-api")
	f := l.start()
	l.tick(f)
	l.tick(f)
	var got []string
	for _, p := range l.slack.Channel() {
		got = append(got, string(p.Raw))
	}
	if len(got) != 1 || !strings.Contains(got[0], "pord-*") ||
		!strings.Contains(got[0], "CLB_DISCOVER finds no load balancer in") {
		t.Errorf("posted %q, want that the search finds nothing, once, beside what is watched now", got)
	}
	stdout, _, code := l.command("check")
	if !strings.Contains(stdout, "prod-api") || code == 0 {
		t.Errorf("check, %d:\n%s\nwant it wrong, and what there is", code, stdout)
	}
	l.settings["CLB_IDS"], l.settings["CLB_DISCOVER"] = "ap-shanghai/"+web, region
	stdout, _, code = l.command("check")
	if !strings.Contains(stdout, region+"/"+web) || code == 0 {
		t.Errorf("check, %d:\n%s\nwant where the load balancer is", code, stdout)
	}
}

// Answers that do not fit into the memory are errors of their load balancers, and the function lives.
func TestAnswersThatDoNotFit(t *testing.T) {
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
