package clb

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox/cloud"
)

var app = lb.CLB{Region: "ap-guangzhou", ID: "lb-app"}

// withApplication adds an application load balancer with instances, network interfaces and an address
// elsewhere.
func withApplication(t *testing.T) *twins {
	t.Helper()
	w := newTwins(t)
	w.SetApplication(app.Region, app.ID)
	w.Listen(app.Region, app.ID, cloud.Listener{Protocol: "HTTPS", Port: 443,
		Rules: []cloud.Rule{{Domain: "a.com", URL: "/"}, {Domain: "a.com", URL: "/api"}}},
		cloud.Listener{Protocol: "TCP", Port: 22, BackendPort: 2222}, cloud.Listener{Protocol: "UDP", Port: 53})
	for i := range 4 {
		w.Bind(app.Region, app.ID, cloud.Instance{ID: fmt.Sprint("ins-", i), Name: fmt.Sprint("web-", i),
			LanIP: fmt.Sprint("10.0.0.", i), Status: 2 + 2*(i%2), Weight: 10 * i})
	}
	w.Bind(app.Region, app.ID, cloud.Instance{ID: "eni-1", Type: "ENI", LanIP: "10.1.0.1", Weight: 10},
		cloud.Instance{ID: "eni-1", Type: "ENI", LanIP: "10.1.0.2", Weight: 10},
		cloud.Instance{ID: "ccn", Type: "CCN", LanIP: "10.2.0.1", Weight: 10})
	return w
}

func (w *twins) readApp(api API, known lb.Digest) lb.Reading {
	w.t.Helper()
	r, err := w.client(api).Read(w.t.Context(), app, known)
	if err != nil {
		w.t.Fatalf("Read by %s: %v", api, err)
	}
	return r
}

func TestBothAPIsReadTheSameApplication(t *testing.T) {
	t.Parallel()
	w := withApplication(t)
	two, three := w.readApp(V2, ""), w.readApp(V3, "")
	if len(two.Backends) != 7 || !reflect.DeepEqual(two.Backends, three.Backends) ||
		two.Kind != lb.Application || three.Kind != lb.Application {
		t.Fatalf("by 2.0 %+v\nby 3.0 %+v\nwant the same 7", two.Backends, three.Backends)
	}
	var ids []string
	for _, b := range two.Backends {
		ids = append(ids, fmt.Sprintf("%s %d", b.ID, b.Status))
	}
	if got, want := strings.Join(ids, ", "), "10.2.0.1 2, eni-1:10.1.0.1 2, eni-1:10.1.0.2 2, ins-0 2, ins-1 "+
		"4, ins-2 2, ins-3 4"; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	b := two.Backends[6]
	for i := range b.Bindings {
		if b.Bindings[i].ID == "" {
			t.Errorf("%s has no id", b.Bindings[i])
		}
		b.Bindings[i].ID = ""
	}
	want := []lb.Binding{{Listener: "HTTPS:443", Rule: "a.com/", Port: 8080, Weight: 30},
		{Listener: "HTTPS:443", Rule: "a.com/api", Port: 8080, Weight: 30},
		{Listener: "TCP:22", Port: 2222, Weight: 30}, {Listener: "UDP:53", Port: 8080, Weight: 30}}
	if !reflect.DeepEqual(b.Bindings, want) || b.Weight != 120 || b.Name != "web-3" || b.LanIP != "10.0.0.3" {
		t.Errorf("read %+v, want bindings %+v", b, want)
	}
	for api, known := range map[API]lb.Digest{V2: two.Digest, V3: three.Digest} {
		if r := w.readApp(api, known); !r.Unchanged || r.Digest != known {
			t.Errorf("read again by %s: %+v, want it unchanged", api, r)
		}
	}
	w.SetStatus("ins-0", 9) // the answer about the load balancer is the same: only CVM's is another
	for api, known := range map[API]lb.Digest{V2: two.Digest, V3: three.Digest} {
		if r := w.readApp(api, known); r.Unchanged || r.Backends[3].Status != 9 {
			t.Errorf("by %s after an instance stopped: %+v", api, r)
		}
	}
}

func TestApplicationsOfAnotherRegion(t *testing.T) {
	t.Parallel()
	w := withApplication(t)
	w.SetTargetRegion(app.Region, app.ID, "ap-shanghai")
	for _, api := range []API{V2, V3} {
		r := w.readApp(api, "")
		if r.Backends[3].Status != lb.Running {
			t.Errorf("by %s: %+v, want the status from the region that the instances are in", api, r.Backends[3])
		}
		if again := w.readApp(api, r.Digest); !again.Unchanged {
			t.Errorf("by %s again: %+v, want the region remembered", api, again)
		}
	}
}

func TestApplicationFaults(t *testing.T) {
	t.Parallel()
	read := func(w *twins, api API, fault string) {
		before := w.readApp(api, "")
		r, err := w.client(api).Read(t.Context(), app, before.Digest)
		_ = r
		if err != nil {
			t.Fatalf("%s: before it: %v", fault, err)
		}
	}
	for _, f := range cloud.ForwardFaults() {
		w := withApplication(t)
		read(w, V2, f.String())
		w.Fail(app.ID, f, -1)
		checkFault(t, w, V2, f.String(), f.Plausible())
	}
	for _, f := range cloud.TargetFaults() {
		w := withApplication(t)
		w.FailV3On(cloud.DescribeTargets, f, -1)
		checkFault(t, w, V3, f.String(), f.Plausible())
	}
	for _, f := range cloud.InstanceFaults() {
		w := withApplication(t)
		w.FailV3On(cloud.DescribeInstancesStatus, f, -1)
		checkFault(t, w, V3, f.String(), f.Plausible())
		if f.Plausible() { // an instance that is missing once is asked for again
			w = withApplication(t)
			w.FailV3On(cloud.DescribeInstancesStatus, f, 1)
			if r := w.readApp(V3, ""); r.Backends[3].Status != lb.Running {
				t.Errorf("%s once: %+v", f, r.Backends[3])
			}
		}
	}
}

// checkFault checks that a reading under a fault is an error, or the truth.
func checkFault(t *testing.T, w *twins, api API, fault string, plausible bool) {
	t.Helper()
	r, err := w.client(api).Read(t.Context(), app, "")
	// What is odd is not told, and nothing else is wrong.
	wrong := func(b lb.Backend) bool { return b.ID == "ins-1" && b.Status != 4 && b.Status != lb.Unknown }
	if err == nil && !plausible && (len(r.Backends) != 7 && r.Unnamed == 0 ||
		slices.ContainsFunc(r.Backends, wrong)) {
		t.Errorf("%s is taken for %+v", fault, r)
	}
	if err != nil && (strings.Contains(err.Error(), w.cr.SecretKey) ||
		strings.Contains(err.Error(), w.cr.Token)) {
		t.Errorf("%s: a secret is in %v", fault, err)
	}
}

func TestNullIsNone(t *testing.T) {
	t.Parallel()
	w := withApplication(t)
	w.FailV3On(cloud.DescribeTargets, cloud.V3Null(), -1)
	if r := w.readApp(V3, ""); len(r.Backends) != 0 || r.Unchanged {
		t.Errorf("null for the listeners: %+v, want an empty pool, which watch asks for twice", r)
	}
	w.ClearFaults()
	for _, action := range []string{cloud.DescribeClassicalLBHealthStatus, cloud.DescribeClassicalLBListeners} {
		w.FailV3On(action, cloud.V3NullSet(), -1)
		c := w.client(V3)
		c.Health = true
		r, err := c.Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}, "")
		if err != nil || !r.Health || r.HealthErr != nil || r.Backends[0].Checked != 0 {
			t.Errorf("null for %s: %+v, %v, want that nothing is checked", action, r, err)
		}
	}
}

func TestKindThatChanged(t *testing.T) {
	t.Parallel()
	for _, api := range []API{V2, V3, Auto} {
		w := newTwins(t)
		classic := w.read(api, "")
		w.SetApplication("ap-guangzhou", "lb-1")
		r := w.read(api, classic.Digest)
		if r.Kind != lb.Application || len(r.Backends) != 3 || len(r.Backends[0].Bindings) == 0 {
			t.Errorf("by %s after an upgrade: %+v, want an application load balancer with the same 3", api, r)
		}
	}
}

func TestInstancesThatSpoilACall(t *testing.T) {
	t.Parallel()
	w := withApplication(t)
	other := lb.CLB{Region: app.Region, ID: "lb-bad"}
	w.SetApplication(other.Region, other.ID)
	w.Bind(other.Region, other.ID, cloud.Instance{ID: "ins-bad!", LanIP: "10.0.0.1", Status: 2})
	c := w.client(V3)
	bad := make(chan string, 1)
	go func() { r, err := c.Read(t.Context(), other, ""); bad <- fmt.Sprint(statuses(r), err) }()
	if r, err := c.Read(t.Context(), app, ""); err != nil || len(r.Backends) != 7 {
		t.Errorf("Read = %+v, %v, want it read: the bad id is another's", r, err)
	}
	// If it was asked for before all others, nothing says that CVM may be asked at all.
	if got := <-bad; got != "ins-bad! unknown<nil>" && !strings.Contains(got, "InvalidInstanceId.Malformed") {
		t.Errorf("Read of the load balancer with a bad id: %s, want its status unknown", got)
	}
}

func TestHealthIsTheSameByBothAPIs(t *testing.T) {
	t.Parallel()
	w := withApplication(t)
	w.Listen("ap-guangzhou", "lb-1", cloud.Listener{Protocol: "TCP", Port: 80},
		cloud.Listener{Protocol: "HTTP", Port: 81, BackendPort: 8081})
	w.SetHealth("ap-guangzhou", "lb-1", "ins-0", "HTTP:81", "Dead")
	w.SetHealth(app.Region, app.ID, "ins-2", "HTTPS:443 a.com/api", "Dead")
	w.SetHealth(app.Region, app.ID, "ins-2", "TCP:22", "Unknown")
	for _, testCLB := range []lb.CLB{{Region: "ap-guangzhou", ID: "lb-1"}, app} {
		var last []lb.Backend
		for _, api := range []API{V2, V3} {
			c := w.client(api)
			c.Health = true
			r, err := c.Read(t.Context(), testCLB, "")
			if err != nil || r.HealthErr != nil || !r.Health {
				t.Fatalf("Read of %s by %s with health: %+v, %v", testCLB.ID, api, r, err)
			}
			if last != nil && !reflect.DeepEqual(last, r.Backends) {
				t.Errorf("%s by 2.0 %+v\nby 3.0 %+v\nwant the same", testCLB.ID, last, r.Backends)
			}
			last = r.Backends
			c = w.client(api)
			c.Health = true
			if again, err := c.Read(t.Context(), testCLB, r.Digest); err != nil || !again.Unchanged || !again.Health {
				t.Errorf("%s by %s again: %+v, %v, want it unchanged", testCLB.ID, api, again, err)
			}
			if again, err := w.client(api).Read(t.Context(), testCLB, r.Digest); err != nil || again.Unchanged ||
				again.Health {
				t.Errorf("%s by %s without health: %+v, %v, want it new, and without", testCLB.ID, api, again, err)
			}
		}
		b := last[0]
		want := []string{"HTTP:81 → 8081"}
		if testCLB == app {
			b, want = last[5], []string{"HTTPS:443 a.com/api → 8080"}
			if !reflect.DeepEqual(b.Unclear, []string{"TCP:22 → 2222"}) || b.Serving() != 60 {
				t.Errorf("%+v serves %d, want TCP:22 undecided, and three of four bindings of 20", b, b.Serving())
			}
		}
		if !reflect.DeepEqual(b.Failing, want) || b.Checked < 2 {
			t.Errorf("%s fails %q of %d, want %q", b.ID, b.Failing, b.Checked, want)
		}
	}
}

func TestHealthThatFailsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	w := withApplication(t)
	c := w.client(V3)
	c.Health = true
	w.FailV3On(cloud.DescribeTargetHealth, cloud.V3Code("UnauthorizedOperation", "no "+w.cr.SecretKey), -1)
	r, err := c.Read(t.Context(), app, "")
	if err != nil || len(r.Backends) != 7 || r.Health || r.HealthErr == nil ||
		!strings.Contains(advice.Of(r.HealthErr), "clb:DescribeTargetHealth") ||
		strings.Contains(r.HealthErr.Error(), w.cr.SecretKey) {
		t.Errorf("Read = %+v, %v, want the backends, and why their health is not known, without the key", r, err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	for i := range 230 {
		w.SetName("ap-shanghai", fmt.Sprintf("lb-%04d", i), fmt.Sprint("name ", i))
	}
	w.SetApplication("ap-shanghai", "lb-0001")
	w.SetTags("ap-shanghai", "lb-0002", map[string]string{"env": "prod"})
	for _, api := range []API{V2, V3, Auto} {
		list, err := w.client(api).List(t.Context(), "ap-shanghai")
		if err != nil || len(list) != 230 {
			t.Fatalf("List by %s = %d, %v, want 230", api, len(list), err)
		}
		for _, l := range list {
			if l.ID == "lb-0002" && (l.Name != "name 2" || (l.Tags["env"] == "prod") == (api == V2)) {
				t.Errorf("by %s: %+v, want its name, and by 3.0 its tags", api, l)
			}
		}
	}
	if list, err := w.client(V3).List(t.Context(), "ap-beijing"); err != nil || len(list) != 0 {
		t.Errorf("List of a region without any = %v, %v", list, err)
	}
	there, err := w.client(V3).Exist(t.Context(), "ap-shanghai", []string{"lb-0001", "lb-none"})
	if err != nil || !there["lb-0001"] || there["lb-none"] {
		t.Errorf("Exist = %v, %v", there, err)
	}
	for _, f := range cloud.ListFaults() {
		w.ClearFaults()
		w.FailV3On(cloud.DescribeLoadBalancers, f, -1)
		if list, err := w.client(V3).List(t.Context(), "ap-shanghai"); err == nil && !f.Plausible() &&
			len(list) != 230 {
			t.Errorf("%s is taken for a list of %d", f, len(list))
		}
	}
}

// FuzzDecoders holds that no decoder of an answer panics, and what they let through is bounded.
func FuzzDecoders(f *testing.F) {
	f.Add([]byte(`{"Response":{"Listeners":[{"Protocol":"HTTP","Port":80,"Rules":[{"Domain":"a.com","Url":"/","Targets":[{"Type":"CVM","InstanceId":"ins-1","Port":80,"Weight":10}]}],"Targets":null}],"RequestId":"r"}}`))
	f.Add([]byte(`{"Response":{"TotalCount":1,"InstanceStatusSet":[{"InstanceId":"ins-1","InstanceState":"RUNNING"}],"RequestId":"r"}}`))
	f.Add([]byte(`{"Response":{"LoadBalancers":[{"LoadBalancerId":"lb-1","Listeners":[{"Protocol":"TCP","Port":80,"Rules":[{"Targets":[{"IP":"10.0.0.1","Port":80,"HealthStatus":true}]}]}]}]}}`))
	f.Add([]byte(`{"Response":{"HealthList":[{"IP":"10.0.0.1","Port":80,"ListenerPort":80,"Protocol":"tcp","HealthStatus":1}]}}`))
	f.Add([]byte(`{"Response":{"Listeners":[{"ListenerId":"lbl-1","HealthSwitch":1}]}}`))
	f.Add([]byte(`{"Response":{"TotalCount":1,"LoadBalancerSet":[{"LoadBalancerId":"lb-1","Forward":1,"Tags":[{"TagKey":"a","TagValue":"b"}],"TargetRegionInfo":{"Region":"x"}}]}}`))
	f.Add([]byte(`[{"protocol":1,"loadBalancerPort":80,"rules":[{"domain":"a","url":"/","backends":[{"unInstanceId":"ins-1","port":80,"targetType":"cvm"}]}]}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, decode := range []func([]byte) (*tree, error){decodeTargets,
			func(b []byte) (*tree, error) { return decodeForward(b) }} {
			tree, err := decode(body)
			if err != nil {
				continue
			}
			for _, b := range tree.backends {
				if b.ID == "" || len(b.ID) > 100 || len(b.Name) > maxText || len(b.LanIP) > maxAddress ||
					len(b.Type) > 16 || len(b.Bindings) == 0 && !b.Vague {
					t.Errorf("%s gives %+v", body, b)
				}
			}
			if len(tree.odd) > maxOdd {
				t.Errorf("%s has %d notes", body, len(tree.odd))
			}
		}
		if found, err := decodeStates(body, []string{"ins-1"}); err == nil && len(found) > 1 {
			t.Errorf("%s gives %v, which was not asked for", body, found)
		}
		if l, err := decodeList(body, "ap-guangzhou"); err == nil {
			for _, id := range l.ids {
				if !plausibleID(id) {
					t.Errorf("%s gives the id %q", body, id)
				}
			}
		}
		_, _ = decodeTargetHealth(body, "lb-1")
		_, _ = decodeClassicHealth(body)
		_, _, _ = decodeListeners(body)
		_, _ = instancesIn(body, V2)
		_, _ = instancesIn(body, V3)
	})
}

func FuzzRecall(f *testing.F) {
	f.Add("v3:application:2944:ap-shanghai:a.b:c:e:d")
	f.Add("v2::::a:::")
	f.Add("v3:2944:a")
	f.Fuzz(func(t *testing.T, s string) {
		if m := recall(lb.Digest(s)); m != (memory{}) && string(m.digest()) != s {
			t.Errorf("%q is recalled as %+v", s, m)
		}
	})
}

// statuses are those of a reading, as text.
func statuses(r lb.Reading) string {
	var all []string
	for _, b := range r.Backends {
		all = append(all, fmt.Sprintf("%s %s", b.ID, b.Status))
	}
	return strings.Join(all, ", ")
}

// What is remembered of a load balancer is asked for again before an instance is believed to be terminated.
func TestTargetRegionIsLookedUpAgain(t *testing.T) {
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
