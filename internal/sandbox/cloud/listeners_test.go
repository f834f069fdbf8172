package cloud

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// boundV2 is what DescribeForwardLBBackends says is bound where: "TCP:8443 ins-1 10" is the weight 10.
func (c *cloudTest) boundV2(t *testing.T, lb string) []string {
	t.Helper()
	r := c.get(t, map[string]string{"Action": DescribeForwardLBBackends, "loadBalancerId": lb})
	type backend struct {
		UnInstanceID string `json:"unInstanceId"`
		UniqEniID    string `json:"uniqEniId"`
		TargetType   string
		LanIP        string `json:"lanIp"`
		Port, Weight int
	}
	var a struct {
		Code int
		Data []struct {
			ProtocolType     string
			LoadBalancerPort int
			Backends         []backend
			Rules            []struct {
				Domain, URL string
				Backends    []backend
			}
		}
	}
	if err := json.Unmarshal(r.body, &a); err != nil || a.Code != 0 {
		t.Fatalf("%v: %s", err, r.body)
	}
	got := []string{}
	add := func(on string, bs []backend) {
		if len(bs) == 0 {
			got = append(got, on+" nothing")
		}
		for _, b := range bs {
			id := b.UnInstanceID
			if b.TargetType != "cvm" {
				id = b.TargetType + " " + b.UnInstanceID + b.UniqEniID + b.LanIP
			}
			got = append(got, fmt.Sprintf("%s %s:%d %d", on, id, b.Port, b.Weight))
		}
	}
	for _, l := range a.Data {
		on := fmt.Sprintf("%s:%d", strings.ToUpper(l.ProtocolType), l.LoadBalancerPort)
		if l.Backends != nil {
			add(on, l.Backends)
		}
		for _, r := range l.Rules {
			add(on+" "+r.Domain+r.URL, r.Backends)
		}
	}
	return got
}

// boundV3 is the same by DescribeTargets.
func (c *v3Test) boundV3(t *testing.T, lb string) []string {
	t.Helper()
	type target struct {
		Type               string
		InstanceID         string   `json:"InstanceId"`
		EniID              string   `json:"EniId"`
		PrivateIPAddresses []string `json:"PrivateIpAddresses"`
		Port, Weight       int
	}
	var a struct {
		Listeners []struct {
			Protocol string
			Port     int
			Targets  []target
			Rules    []struct {
				Domain, URL string
				Targets     []target
			}
		}
	}
	text := c.ask(t, DescribeTargets, `{"LoadBalancerId":"`+lb+`"}`)
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	got := []string{}
	add := func(on string, ts []target) {
		if len(ts) == 0 {
			got = append(got, on+" nothing")
		}
		for _, b := range ts {
			id := b.InstanceID
			if strings.ToLower(b.Type) != "cvm" {
				id = strings.ToLower(b.Type) + " " + b.InstanceID + b.EniID + b.PrivateIPAddresses[0]
			}
			got = append(got, fmt.Sprintf("%s %s:%d %d", on, id, b.Port, b.Weight))
		}
	}
	for _, l := range a.Listeners {
		on := fmt.Sprintf("%s:%d", l.Protocol, l.Port)
		if l.Rules == nil {
			add(on, l.Targets)
		}
		for _, r := range l.Rules {
			add(on+" "+r.Domain+r.URL, r.Targets)
		}
	}
	return got
}

// bound is what both say.
func (c *v3Test) bound(t *testing.T, lb string) []string {
	t.Helper()
	v2, v3 := c.boundV2(t, lb), c.boundV3(t, lb)
	if !slices.Equal(v2, v3) {
		t.Errorf("API 2.0 says %q, API 3.0 %q", v2, v3)
	}
	return v3
}

func TestAnApplicationLoadBalancerBindsToListenersAndRules(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	const lb = "lb-app"
	steps := []struct {
		name string
		do   func()
		want []string
	}{
		{"new", func() { c.SetApplication(testRegion, lb) },
			[]string{"HTTP:80 example.com/ nothing", "HTTP:80 example.com/api nothing", "TCP:8443 nothing"}},
		{"bound everywhere", func() { c.Bind(testRegion, lb, Instance{ID: "ins-1", Weight: 10}) },
			[]string{"HTTP:80 example.com/ ins-1:8080 10", "HTTP:80 example.com/api ins-1:8080 10",
				"TCP:8443 ins-1:8080 10"}},
		{"bound to one listener", func() {
			c.BindTo(testRegion, lb, "TCP:8443", Instance{ID: "ins-2", Weight: 5})
		},
			[]string{"HTTP:80 example.com/ ins-1:8080 10", "HTTP:80 example.com/api ins-1:8080 10",
				"TCP:8443 ins-1:8080 10", "TCP:8443 ins-2:8080 5"}},
		{"bound again with another weight", func() {
			c.BindTo(testRegion, lb, "HTTP:80 example.com/api", Instance{ID: "ins-1", Weight: 0})
		},
			[]string{"HTTP:80 example.com/ ins-1:8080 10", "HTTP:80 example.com/api ins-1:8080 0",
				"TCP:8443 ins-1:8080 10", "TCP:8443 ins-2:8080 5"}},
		{"unbound from one rule", func() { c.UnbindFrom(testRegion, lb, "HTTP:80 example.com/", "ins-1") },
			[]string{"HTTP:80 example.com/ nothing", "HTTP:80 example.com/api ins-1:8080 0",
				"TCP:8443 ins-1:8080 10", "TCP:8443 ins-2:8080 5"}},
		{"bound to all rules of a listener", func() {
			c.BindTo(testRegion, lb, "HTTP:80", Instance{ID: "ins-2", Weight: 5})
		},
			[]string{"HTTP:80 example.com/ ins-2:8080 5", "HTTP:80 example.com/api ins-1:8080 0",
				"HTTP:80 example.com/api ins-2:8080 5",
				"TCP:8443 ins-1:8080 10", "TCP:8443 ins-2:8080 5"}},
		{"weighed everywhere", func() { c.SetWeight(testRegion, lb, "ins-1", 7) },
			[]string{"HTTP:80 example.com/ ins-2:8080 5", "HTTP:80 example.com/api ins-1:8080 7",
				"HTTP:80 example.com/api ins-2:8080 5",
				"TCP:8443 ins-1:8080 7", "TCP:8443 ins-2:8080 5"}},
		{"unbound from a listener", func() { c.UnbindFrom(testRegion, lb, "HTTP:80", "ins-2") },
			[]string{"HTTP:80 example.com/ nothing", "HTTP:80 example.com/api ins-1:8080 7",
				"TCP:8443 ins-1:8080 7", "TCP:8443 ins-2:8080 5"}},
		{"other listeners", func() {
			c.Listen(testRegion, lb, Listener{Protocol: "TCP", Port: 8443, BackendPort: 443},
				Listener{Protocol: "UDP", Port: 53},
				Listener{Protocol: "HTTPS", Port: 443, Rules: []Rule{{Domain: "a.example", URL: "/"}}},
				Listener{Protocol: "HTTP", Port: 8080}, Listener{Protocol: "TCP_SSL", Port: 993})
		}, []string{"TCP:8443 ins-1:443 7", "TCP:8443 ins-2:443 5", "UDP:53 nothing", "HTTPS:443 " +
			"a.example/ nothing", "TCP_SSL:993 nothing"}},
		{"unbound everywhere", func() {
			c.Unbind(testRegion, lb, "ins-1")
			c.UnbindFrom(testRegion, "lb-nowhere", "TCP:1", "ins-2")
		},
			[]string{"TCP:8443 ins-2:443 5", "UDP:53 nothing", "HTTPS:443 a.example/ nothing",
				"TCP_SSL:993 nothing"}},
		{"emptied", func() { c.Create(testRegion, lb) },
			[]string{"TCP:8443 nothing", "UDP:53 nothing", "HTTPS:443 a.example/ nothing",
				"TCP_SSL:993 nothing"}},
		{"no listeners", func() { c.Listen(testRegion, lb); c.Bind(testRegion, lb, many(1)...) }, []string{}},
	}
	for _, s := range steps {
		s.do()
		if got := c.bound(t, lb); !slices.Equal(got, s.want) {
			t.Errorf("%s: %q, want %q", s.name, got, s.want)
		}
	}
	if got := c.Refused(); len(got) != 0 {
		t.Errorf("refused: %q", got)
	}
}

func TestAnUpgradeKeepsWhatIsBound(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	before := c.Pool(testRegion, testLB)
	c.SetApplication(testRegion, testLB)
	c.SetApplication(testRegion, testLB) // it is one already
	var want []string
	for _, on := range []string{"HTTP:80 example.com/", "HTTP:80 example.com/api", "TCP:8443"} {
		for _, in := range before {
			want = append(want, fmt.Sprintf("%s %s:8080 %d", on, in.ID, in.Weight))
		}
	}
	if got := c.bound(t, testLB); !slices.Equal(got, want) {
		t.Errorf("bound: %q, want %q", got, want)
	}
	if got := c.Pool(testRegion, testLB); !slices.EqualFunc(got, before, func(a, b Instance) bool {
		return a.ID == b.ID
	}) {
		t.Errorf("the pool is %v, want %v, each once", got, before)
	}
	c.Unbind(testRegion, testLB, "ins-00001") // from one pool: the others are others
	if got := c.Pool(testRegion, testLB); len(got) != 2 {
		t.Errorf("after an unbinding: %v, want 2", got)
	}

	c.Listen(testRegion, "lb-up", Listener{Protocol: "TCP", Port: 22, BackendPort: 2222})
	c.Bind(testRegion, "lb-up", Instance{ID: "ins-1", Weight: 1})
	c.SetApplication(testRegion, "lb-up")
	if got, want := c.bound(t, "lb-up"), []string{"TCP:22 ins-1:2222 1"}; !slices.Equal(got, want) {
		t.Errorf("with listeners of its own: %q, want %q", got, want)
	}
}

func TestListenersHaveIDsThatStay(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	ids := func(lb string) []string {
		text := c.ask(t, DescribeTargets, `{"LoadBalancerId":"`+lb+`"}`)
		return regexp.MustCompile(`"(lbl|loc)-[a-z0-9]{8}"`).FindAllString(text, -1)
	}
	c.SetApplication(testRegion, "lb-x")
	first := ids("lb-x")
	all := append(ids("lb-b"), first...)
	if len(first) != 4 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 8 {
		t.Errorf("ids %q, want 8 of two load balancers, each once", all)
	}
	c.Bind(testRegion, "lb-x", many(2)...)
	c.Listen(testRegion, "lb-x", Listener{Protocol: "TCP", Port: 8443},
		Listener{Protocol: "HTTP", Port: 80, Rules: []Rule{{Domain: "example.com", URL: "/api"}}})
	for _, id := range ids("lb-x") {
		if !slices.Contains(first, id) {
			t.Errorf("%s is new, want only those of %q", id, first)
		}
	}
}

func TestTheCloudKeepsWhatItWasGiven(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	rules, wan, tags := []Rule{{Domain: "a.example", URL: "/"}}, []string{"203.0.113.1"},
		map[string]string{"team": "web"}
	c.SetApplication(testRegion, "lb-k")
	c.Listen(testRegion, "lb-k", Listener{Protocol: "HTTP", Port: 80, Rules: rules})
	c.Bind(testRegion, "lb-k", Instance{ID: "ins-1", WanIPs: wan})
	c.SetTags(testRegion, "lb-k", tags)
	state := func() string {
		return c.ask(t, DescribeTargets, `{"LoadBalancerId":"lb-k"}`) +
			c.ask(t, DescribeLoadBalancers, `{"LoadBalancerIds":["lb-k"]}`)
	}
	before := state()
	rules[0].URL, wan[0], tags["team"] = "/other", "203.0.113.2", "other"
	if after := state(); after != before {
		t.Errorf("the caller's slices and maps are the cloud's: %s, want %s", after, before)
	}
}

func TestListenersThatCannotBePanic(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	web := []Rule{{Domain: "a.example", URL: "/"}}
	for name, do := range map[string]func(){
		"unknown protocol": func() { c.Listen(testRegion, "lb-b", Listener{Protocol: "tcp", Port: 1}) },
		"no port":          func() { c.Listen(testRegion, "lb-b", Listener{Protocol: "TCP"}) },
		"port too high":    func() { c.Listen(testRegion, "lb-b", Listener{Protocol: "TCP", Port: 65536}) },
		"rules of TCP": func() {
			c.Listen(testRegion, "lb-b", Listener{Protocol: "TCP", Port: 1, Rules: web})
		},
		"a listener twice": func() {
			c.Listen(testRegion, "lb-b", Listener{Protocol: "TCP", Port: 1},
				Listener{Protocol: "TCP", Port: 1})
		},
		"a rule twice": func() {
			c.Listen(testRegion, "lb-b", Listener{Protocol: "HTTP", Port: 1, Rules: append(web, web...)})
		},
		"binding to no listener": func() {
			c.BindTo(testRegion, "lb-b", "TCP:844", Instance{ID: "ins-1"})
		},
		"binding to no rule": func() {
			c.BindTo(testRegion, "lb-b", "HTTP:80 example.com", Instance{ID: "ins-1"})
		},
		"binding to a classic listener": func() {
			c.BindTo(testRegion, testLB, "TCP:80", Instance{ID: "ins-1"})
		},
		"all of a classic one":       func() { c.BindTo(testRegion, testLB, "", Instance{ID: "ins-1"}) },
		"unbinding from no listener": func() { c.UnbindFrom(testRegion, "lb-b", "", "ins-1") },
		"health at no listener": func() {
			c.SetHealth(testRegion, "lb-b", "ins-1", "TCP:80", "Dead")
		},
		"health that is none": func() { c.SetHealth(testRegion, "lb-b", "ins-1", "", "dead") },
		"health at no classic listener": func() {
			c.SetHealth(testRegion, testLB, "ins-1", "TCP:8443", "Dead")
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			do()
		}()
	}
	if got := c.bound(t, "lb-b"); len(got) != 6 { // and the cloud goes on
		t.Errorf("what panicked took effect: %q", got)
	}
}
