package clb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/watch"
)

// statuses are those of a reading, as text.
func statuses(r lb.Reading) string {
	var all []string
	for _, b := range r.Backends {
		all = append(all, fmt.Sprintf("%s %s", b.ID, b.Status))
	}
	return strings.Join(all, ", ")
}

// What is remembered of a load balancer is asked for again before an instance is believed to be terminated.
func TestTargetRegionThatChanged(t *testing.T) {
	t.Parallel()
	for _, api := range []API{V2, V3, Auto} {
		w := newTwins(t)
		w.SetApplication(app.Region, app.ID)
		w.Listen(app.Region, app.ID, cloud.Listener{Protocol: "TCP", Port: 80})
		known := w.readApp(api, "")
		w.SetTargetRegion(app.Region, app.ID, "ap-hongkong")
		w.Bind(app.Region, app.ID, cloud.Instance{ID: "ins-a", LanIP: "10.0.0.1", Status: 2, Weight: 10},
			cloud.Instance{ID: "ins-b", LanIP: "10.0.0.2", Status: 2, Weight: 10})
		r := w.readApp(api, known.Digest)
		if got, want := statuses(r), "ins-a running (2), ins-b running (2)"; got != want {
			t.Errorf("by %s: %s, want %s", api, got, want)
		}
		if again := w.readApp(api, r.Digest); !again.Unchanged {
			t.Errorf("by %s again: %+v, want the new region remembered", api, again)
		}
	}
}

// An instance that was just created needs a moment until CVM knows it.
func TestInstanceThatWasJustCreated(t *testing.T) {
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

// A role that may do less than everything reads what it may read.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	denied := cloud.V3Code("UnauthorizedOperation", "no")
	classic := lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}
	for _, tt := range []struct {
		name    string
		api     API
		clb     lb.CLB
		refuse  []string // actions
		want    string   // statuses; "" for an error
		advices []string
	}{
		{"2.0, only the classic action", V2, classic, []string{cloud.DescribeLoadBalancers},
			"ins-0 running (2), ins-1 shut down (4), ins-2 running (2)", nil},
		{"3.0, only the classic action", V3, classic, []string{cloud.DescribeLoadBalancers},
			"ins-0 running (2), ins-1 shut down (4), ins-2 running (2)", nil},
		{"3.0, only the application actions", V3, app,
			[]string{cloud.DescribeLoadBalancers, cloud.DescribeClassicalLBTargets}, "running (2)", nil},
		{"2.0, only the application actions", V2, app,
			[]string{cloud.DescribeLoadBalancers, cloud.DescribeLoadBalancerBackends}, "running (2)", nil},
		{"2.0, nothing", V2, classic, []string{cloud.DescribeLoadBalancers, cloud.DescribeLoadBalancerBackends,
			cloud.DescribeForwardLBBackends}, "",
			[]string{"clb:DescribeLoadBalancerBackends on this", "clb:DescribeLoadBalancers on all"}},
		{"3.0, nothing", V3, classic, []string{cloud.DescribeLoadBalancers, cloud.DescribeClassicalLBTargets,
			cloud.DescribeTargets}, "",
			[]string{"clb:DescribeClassicalLBTargets on this", "clb:DescribeLoadBalancers on all"}},
		{"3.0, no CVM", V3, app, []string{cloud.DescribeInstancesStatus}, "",
			[]string{"cvm:DescribeInstancesStatus on all"}},
	} {
		for _, code := range []int{4101, 4102, 4103, 4110} {
			w := withApplication(t)
			for _, a := range tt.refuse {
				w.FailV3On(a, denied, -1)
				w.Fail(a, cloud.FaultCode(code, "AuthFailure", "no"), -1)
			}
			r, err := w.client(tt.api).Read(t.Context(), tt.clb, "")
			if tt.want != "" && (err != nil || !strings.Contains(statuses(r), tt.want)) {
				t.Errorf("%s, %d: Read = %s, %v, want %s", tt.name, code, statuses(r), err, tt.want)
			}
			if tt.want == "" && err == nil {
				t.Errorf("%s, %d: Read = %s, want an error", tt.name, code, statuses(r))
			}
			for _, want := range tt.advices {
				if !strings.Contains(advice.Of(err), want) {
					t.Errorf("%s, %d: %v: advice %q, want %s in it", tt.name, code, err, advice.Of(err), want)
				}
			}
		}
	}
}

// Where the instances are is asked of 3.0, which may refuse: that spoils nothing that 2.0 told.
func TestOptionalQuestionSpoilsNothing(t *testing.T) {
	t.Parallel()
	w := withApplication(t)
	w.FailV3On(cloud.DescribeLoadBalancers, cloud.V3Code("UnauthorizedOperation", "no"), -1)
	c := w.client(V2)
	var errs [2]error
	done := make(chan struct{})
	go func() { defer close(done); _, errs[0] = c.Read(t.Context(), app, "") }()
	r, err := c.Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}, "")
	<-done
	if err != nil || len(r.Backends) != 3 || errs[0] != nil {
		t.Errorf("classic: %s, %v; application: %v, want both read", statuses(r), err, errs[0])
	}
}

// If nobody says where the instances are, and CVM knows none of them here, they may be elsewhere: that is not
// known.
func TestInstancesThatMayBeElsewhere(t *testing.T) {
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

// No list of load balancers, or none in it, is an answer: there are none.
func TestNothingIsAnAnswer(t *testing.T) {
	t.Parallel()
	null := func(keys ...string) cloud.Change {
		return func(v any) any {
			for _, k := range keys {
				cloud.Set(k, nil)(v)
			}
			return v
		}
	}
	w := withApplication(t)
	for _, change := range []cloud.Change{null("LoadBalancers"), cloud.Set("LoadBalancers", []any{})} {
		w.ClearFaults()
		w.FailV3On(cloud.DescribeTargetHealth, cloud.V3Odd("none", change), -1)
		c := w.client(V3)
		c.Health = true
		if r, err := c.Read(t.Context(), app, ""); err != nil || !r.Health || r.HealthErr != nil ||
			r.Backends[0].Checked != 0 {
			t.Errorf("Read = %+v, %v, want that nothing is checked", r, err)
		}
	}
	none := func(total, set string) cloud.Change {
		return func(v any) any { cloud.Set(total, 0)(v); return cloud.Set(set, nil)(v) }
	}
	w.ClearFaults()
	w.FailV3On(cloud.DescribeLoadBalancers, cloud.V3Odd("none", none("TotalCount", "LoadBalancerSet")), -1)
	w.Fail(cloud.DescribeLoadBalancers, cloud.FaultOdd("none", none("totalCount", "loadBalancerSet")), -1)
	w.Fail(cloud.DescribeLoadBalancerBackends, cloud.FaultOdd("none", none("totalCount", "backendSet")), -1)
	for _, api := range []API{V2, V3} {
		if list, err := w.client(api).List(t.Context(), "ap-guangzhou"); err != nil || len(list) != 0 {
			t.Errorf("List by %s = %v, %v, want none", api, list, err)
		}
	}
	if r := w.read(V2, classicV2); len(r.Backends) != 0 {
		t.Errorf("read %+v, want none", r)
	}
}

// Two listeners of one protocol and port, and two rules of one domain and path, are told apart by their ids.
func TestTwinListenersAndRules(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	w.SetApplication(app.Region, app.ID)
	w.Listen(app.Region, app.ID, cloud.Listener{Protocol: "TCP", Port: 443},
		cloud.Listener{Protocol: "TCP", Port: 443, Twin: "b"},
		cloud.Listener{Protocol: "HTTPS", Port: 8443, Rules: []cloud.Rule{{Domain: "a.com", URL: "/"},
			{Domain: "a.com", URL: "/", Twin: "b"}}})
	w.Bind(app.Region, app.ID, cloud.Instance{ID: "ins-a", LanIP: "10.0.0.1", Status: 2, Weight: 10})
	before := map[API]lb.Reading{V2: w.readApp(V2, ""), V3: w.readApp(V3, "")}
	w.SetHealth(app.Region, app.ID, "ins-a", "TCP:443#b", "Dead")
	c := w.client(V3)
	c.Health = true
	if r, err := c.Read(t.Context(), app, ""); err != nil ||
		!slices.Equal(r.Backends[0].Failing, []string{"TCP:443 → 8080"}) || r.Backends[0].Serving() != 30 {
		t.Errorf("with health: %+v, %v, want one of two listeners failing, and 30 of 40 served", r.Backends, err)
	}
	w.UnbindFrom(app.Region, app.ID, "TCP:443#b", "ins-a")
	w.UnbindFrom(app.Region, app.ID, "HTTPS:8443 a.com/#b", "ins-a")
	for api, was := range before {
		now := w.readApp(api, was.Digest)
		if len(was.Backends[0].Bindings) != 4 || len(now.Backends[0].Bindings) != 2 {
			t.Fatalf("by %s: %v, then %v, want 4 bindings, then 2", api, was.Backends[0].Bindings,
				now.Backends[0].Bindings)
		}
		if _, changes := lb.Diff(was.Backends, now.Backends, w.now, time.Time{}); len(changes) != 1 ||
			changes[0].Kind != lb.Unbound || changes[0].Part.N != 2 {
			t.Errorf("by %s: %+v, want it unbound from two", api, changes)
		}
	}
	two, three := before[V2].Backends, before[V3].Backends
	lb.Settle(two, three, true)
	if _, changes := lb.Diff(two, three, w.now, time.Time{}); len(changes) > 0 {
		t.Errorf("from 2.0 to 3.0: %+v, want no news", changes)
	}
}

// A pod on a network interface is another backend than the node that it is on.
func TestHealthIsOfTheBackendAtTheAddress(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	w.SetApplication(app.Region, app.ID)
	w.Listen(app.Region, app.ID, cloud.Listener{Protocol: "TCP", Port: 80},
		cloud.Listener{Protocol: "TCP", Port: 81})
	w.BindTo(app.Region, app.ID, "TCP:80", cloud.Instance{ID: "ins-node", LanIP: "10.0.0.1", Status: 2,
		Weight: 10})
	w.BindTo(app.Region, app.ID, "TCP:81", cloud.Instance{ID: "eni-pod", Type: "ENI", LanIP: "10.1.0.1",
		Weight: 10})
	w.SetHealth(app.Region, app.ID, "eni-pod", "", "Dead")
	ofNode := cloud.In(cloud.Set("TargetId", "ins-node"), "LoadBalancers", "*", "Listeners", "*", "Rules", "*",
		"Targets", "*")
	w.FailV3On(cloud.DescribeTargetHealth, cloud.V3Odd("nodes' ids", ofNode), -1)
	c := w.client(V3)
	c.Health = true
	r, err := c.Read(t.Context(), app, "")
	if err != nil || r.Backends[0].ID != "eni-pod:10.1.0.1" || len(r.Backends[0].Failing) != 1 ||
		len(r.Backends[1].Failing) != 0 || r.Backends[1].Checked != 1 {
		t.Errorf("Read = %+v, %v, want the pod failing and not its node", r.Backends, err)
	}
}

func TestRangesDomainsAndFunctions(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	w.SetApplication(app.Region, app.ID)
	w.Listen(app.Region, app.ID, cloud.Listener{Protocol: "TCP", Port: 8000, EndPort: 8010},
		cloud.Listener{Protocol: "HTTP", Port: 80, Rules: []cloud.Rule{{Domain: "a.com",
			Domains: []string{"a.com", "b.com"}, URL: "/x", Functions: 2}}})
	w.Bind(app.Region, app.ID, cloud.Instance{ID: "ins-a", LanIP: "10.0.0.1", Status: 2, Weight: 10})
	three, two := w.readApp(V3, ""), w.readApp(V2, "")
	if got, want := fmt.Sprint(three.Backends[0].Bindings),
		"[HTTP:80 a.com,b.com/x → 8080 TCP:8000-8010 → 8080]"; got != want || three.Functions != 2 {
		t.Errorf("read %s and %d functions, want %s and 2", got, three.Functions, want)
	}
	lb.Settle(two.Backends, three.Backends, true)
	if _, changes := lb.Diff(two.Backends, three.Backends, w.now, time.Time{}); len(changes) > 0 {
		t.Errorf("from 2.0 to 3.0: %+v, want no news", changes)
	}
	if two.Functions >= 0 {
		t.Errorf("API 2.0 tells of %d functions, want that it does not tell", two.Functions)
	}
}

func TestRegionThatThereIsNot(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	for _, code := range []string{"UnsupportedRegion", "InvalidParameter.RegionNotFound"} {
		w.ClearFaults()
		w.FailV3On(cloud.DescribeLoadBalancers, cloud.V3Code(code, "no"), -1)
		w.Fail(cloud.DescribeLoadBalancers, cloud.FaultCode(4000, "InvalidParameter", "region "+w.cr.SecretID), -1)
		for _, api := range []API{V2, V3} {
			if _, err := w.client(api).List(t.Context(), "ap-nowhere"); !errors.Is(err, watch.ErrNoRegion) {
				t.Errorf("List by %s with %s: %v, want that there is no such region", api, code, err)
			}
		}
	}
}

// A row that the answer has twice hides no other, in either API.
func TestRowsThatAreRepeatedHideNothing(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	w.FailV3On(cloud.DescribeClassicalLBTargets, cloud.V3Odd("twice", cloud.In(cloud.Repeat(0), "Targets")), -1)
	w.Fail(cloud.DescribeLoadBalancerBackends, cloud.FaultOdd("twice", cloud.In(cloud.Repeat(0), "backendSet")),
		-1)
	for api, known := range map[API]lb.Digest{V2: classicV2, V3: classicV3} {
		if r := w.read(api, known); len(r.Backends) != 3 || r.Backends[1].Status != 4 || len(r.Odd) != 1 {
			t.Errorf("by %s: %s, odd %q, want all three, and that one is there twice", api, statuses(r), r.Odd)
		}
	}
}

// A reader that is given up does not take the question away from the others that share it.
func TestReaderThatGivesUpSpoilsNoSharedQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crowd := &crowd{sleep: func(ctx context.Context, d time.Duration) error {
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, open: make(map[*gathering]bool)}
		q := newQuestions(crowd, 10, &extra{left: maxExtra},
			func(ctx context.Context, _ string, ids []string) (map[string]int, error) {
				select {
				case <-time.After(3 * time.Second):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				found := make(map[string]int)
				for _, id := range ids {
					found[id] = 1
				}
				return found, nil
			})
		crowd.enter()
		crowd.enter()
		ctx, cancel := context.WithCancel(t.Context())
		defer time.AfterFunc(2*time.Second, cancel).Stop()
		go func() { _, _, _ = q.get(ctx, "r", []string{"a"}); crowd.leave() }()
		synctest.Wait()
		found, failed, err := q.get(t.Context(), "r", []string{"b"})
		if err != nil || len(failed) > 0 || found["b"] != 1 {
			t.Errorf("get = %v, %v, %v, want an answer", found, failed, err)
		}
	})
}
