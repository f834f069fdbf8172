package clb

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox/cloud"
)

// An instance that was just created needs a moment until CVM knows it.
func TestNewInstanceIsAskedForTwice(t *testing.T) {
	t.Parallel()
	w := withApplication(t)
	now := time.Now()
	w.Now = func() time.Time { return now } // of the cloud
	w.HideInstance("ins-2", 300*time.Millisecond)
	c := w.client(V3)
	var pauses []time.Duration
	c.Sleep = func(ctx context.Context, d time.Duration) error {
		if d != maxGather && d != idleFor {
			pauses = append(pauses, d)
			now = now.Add(d)
		}
		return ctx.Err()
	}
	r, err := c.Read(t.Context(), app, "")
	if err != nil || r.Backends[5].Status != lb.Running ||
		!slices.Equal(pauses, []time.Duration{2 * time.Second}) {
		t.Errorf("Read = %s, %v after pauses of %v, want ins-2 running after one of 2 s", statuses(r), err, pauses)
	}
}

// One that is terminated and stays bound costs no pause and no second question later.
func TestTerminatedInstanceIsAskedForOnce(t *testing.T) {
	t.Parallel()
	w := withApplication(t)
	w.Forget("ins-2")
	first := w.readApp(V3, "")
	if first.Backends[5].Status != terminated {
		t.Fatalf("read %s, want ins-2 terminated", statuses(first))
	}
	c := w.client(V3)
	c.Sleep = func(ctx context.Context, d time.Duration) error {
		if d == askAgainAfter {
			t.Error("it pauses for what is known")
		}
		return ctx.Err()
	}
	if r, err := c.Read(t.Context(), app, first.Digest); err != nil || !r.Unchanged {
		t.Errorf("Read = %+v, %v, want it unchanged", r, err)
	}
}

// If nobody says where the instances are, and CVM knows none of them here, they may be elsewhere: that is not
// known.
func TestInstancesOfAnUnknownRegionAreUnknown(t *testing.T) {
	t.Parallel()
	w := withApplication(t)
	w.SetTargetRegion(app.Region, app.ID, "ap-shanghai")
	w.FailV3On(cloud.DescribeLoadBalancers, cloud.V3Code("UnauthorizedOperation", "no"), -1)
	r, err := w.client(V2).Read(t.Context(), app, "")
	if err != nil || r.Backends[3].Status != lb.Unknown || len(r.Odd) == 0 {
		t.Errorf("Read = %s, %v, odd %q, want the instances' statuses unknown, and that said", statuses(r), err,
			r.Odd)
	}
}

// CVM is asked about backends that are instances, and only about those.
func TestCVMIsNotAskedWhereNoStatusIsNeeded(t *testing.T) {
	t.Parallel()
	for _, api := range []API{V2, V3} {
		w := newTwins(t)
		w.SetApplication(app.Region, app.ID)
		w.Bind(app.Region, app.ID, cloud.Instance{ID: "eni-1", Type: "ENI", LanIP: "10.1.0.1", Weight: 10},
			cloud.Instance{ID: "ccn", Type: "CCN", LanIP: "10.2.0.1", Weight: 10})
		// A pod's interface stands beside the id of the node that it is on.
		beside := cloud.In(cloud.Set("InstanceId", "ins-node"), "Listeners", "*", "Rules", "*", "Targets", "*")
		w.FailV3On(cloud.DescribeTargets, cloud.V3Odd("nodes' ids", beside), -1)
		w.Fail(cloud.DescribeForwardLBBackends, cloud.FaultOdd("nodes' ids",
			cloud.In(cloud.Set("unInstanceId", "ins-node"), "data", "*", "rules", "*", "backends", "*")), -1)
		w.FailV3On(cloud.DescribeInstancesStatus, cloud.V3Code("UnauthorizedOperation", "no"), -1)
		r, err := w.client(api).Read(t.Context(), app, "")
		if err != nil || len(r.Backends) != 2 || w.CallsV3To(cloud.DescribeInstancesStatus) != 0 {
			t.Errorf("by %s: %s, %v, %d questions to CVM, want two backends and none", api, statuses(r), err,
				w.CallsV3To(cloud.DescribeInstancesStatus))
			continue
		}
		if again, err := w.client(api).Read(t.Context(), app, r.Digest); err != nil || !again.Unchanged {
			t.Errorf("by %s again: %+v, %v, want it unchanged", api, again, err)
		}
	}
}

// crowded are load balancers with so many instances in all.
func crowded(w *twins, balancers, each int) (clbs []lb.CLB) {
	for i := range balancers {
		c := lb.CLB{Region: "ap-guangzhou", ID: fmt.Sprint("lb-many-", i)}
		w.SetApplication(c.Region, c.ID)
		w.Listen(c.Region, c.ID, cloud.Listener{Protocol: "TCP", Port: 80})
		for j := range each {
			w.Bind(c.Region, c.ID, cloud.Instance{ID: fmt.Sprintf("ins-%d-%d", i, j),
				LanIP: fmt.Sprintf("10.%d.0.%d", i, j), Status: 2, Weight: 10})
		}
		clbs = append(clbs, c)
	}
	return clbs
}

// An instance for which CVM refuses every call makes itself unknown, and nothing else.
func TestInstanceThatCVMRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code string
		want lb.Status
	}{
		{"UnauthorizedOperation", lb.Unknown}, {"InvalidParameterValue", lb.Unknown},
		{"InvalidInstanceId.NotFound", terminated},
	} {
		w := newTwins(t)
		clbs := crowded(w, 10, 10)
		w.RefuseInstance("ins-3-4", tt.code)
		c := w.client(V3)
		readings := make([]lb.Reading, len(clbs))
		errs := make([]error, len(clbs))
		done := make(chan int)
		for i := range clbs {
			go func() { readings[i], errs[i] = c.Read(t.Context(), clbs[i], ""); done <- i }()
		}
		for range clbs {
			<-done
		}
		for i, r := range readings {
			for _, b := range r.Backends {
				if want := map[bool]lb.Status{true: tt.want, false: lb.Running}[b.ID == "ins-3-4"]; errs[i] != nil ||
					b.Status != want {
					t.Errorf("%s: %s is %s, %v, want %s", tt.code, b.ID, b.Status, errs[i], want)
				}
			}
		}
		if n := w.CallsV3To(cloud.DescribeInstancesStatus); n > 2+maxExtra+2 {
			t.Errorf("%s: %d calls, want at most %d more than 2", tt.code, n, maxExtra)
		}
	}
}

// However many are refused, a run makes no more than 30 calls to find them.
func TestSearchForRefusedInstancesIsBounded(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	clbs := crowded(w, 1, 100)
	for i := range 50 {
		w.RefuseInstance(fmt.Sprintf("ins-0-%d", 2*i), "UnauthorizedOperation")
	}
	r, err := w.client(V3).Read(t.Context(), clbs[0], "")
	if n := w.CallsV3To(cloud.DescribeInstancesStatus); n > 1+maxExtra || err == nil && len(r.Backends) != 100 {
		t.Errorf("%d calls, %v, want at most %d", n, err, 1+maxExtra)
	}
}
