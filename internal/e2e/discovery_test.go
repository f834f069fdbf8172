package e2e

import (
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
)

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
func TestDeletionNeedsAReading(t *testing.T) {
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
