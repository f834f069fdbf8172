package cloud

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// newForwardTest is a cloud with lb-f, whose listeners have one of each kind of backend, and ids as they come
// out.
func newForwardTest(t *testing.T) *v3Test {
	c := newV3Test(t)
	c.SetApplication(testRegion, "lb-f")
	c.Listen(testRegion, "lb-f",
		Listener{Protocol: "HTTP", Port: 80, Rules: []Rule{{Domain: "www.example.com", URL: "/second"}},
			BackendPort: 81},
		Listener{Protocol: "TCP", Port: 888, BackendPort: 666})
	c.BindTo(testRegion, "lb-f", "HTTP:80 www.example.com/second",
		Instance{ID: "ins-42lrdi7x", Name: "web", LanIP: "10.212.199.17", WanIPs: []string{"45.113.71.7"},
			Status: 4, Weight: 10})
	for _, in := range []Instance{
		{ID: "ins-1", Name: "plain", LanIP: "10.0.0.1", Status: 2, Weight: 40},
		{ID: "eni-cccccc", Name: "pod", LanIP: "10.0.0.2", Type: "ENI", Weight: 10},
		{ID: "eni-cccccc", Name: "pod", LanIP: "10.0.0.3", Type: "ENI", Weight: 10},
		{ID: "ins-42lrdi7x", Name: "pod", LanIP: "10.0.0.4", Type: "ENI", Weight: 10},
		{ID: "elsewhere", Name: "elsewhere", LanIP: "192.168.0.9", Type: "CCN", Weight: 0},
	} {
		c.BindTo(testRegion, "lb-f", "TCP:888", in)
	}
	return c
}

func TestForwardAnswersAsDocumented(t *testing.T) {
	t.Parallel()
	c := newForwardTest(t)
	got := string(c.get(t,
		map[string]string{"Action": DescribeForwardLBBackends, "loadBalancerId": "lb-f"}).body)
	const at = `"addTimestamp":"2017-05-11 10:00:00"}`
	want := `{"code":0,"message":"","codeDesc":"Success","data":[` +
		`{"loadBalancerPort":80,"protocol":1,"protocolType":"http","listenerId":"lbl-zitgw9xa",` +
		`"rules":[{"locationId":"loc-tci3p9bx","domain":"www.example.com","url":"/second","backends":[` +
		`{"instanceName":"web","lanIp":"10.212.199.17","wanIpSet":["45.113.71.7"],"instanceStatus":0,` +
		`"port":81,"weight":10,"unInstanceId":"ins-42lrdi7x","uniqEniId":"eni-d9k6nsi5","targetType":"cvm",` +
		at + `]}]},` +
		`{"loadBalancerPort":888,"protocol":2,"protocolType":"tcp","listenerId":"lbl-k65ojcz9","backends":[` +
		`{"instanceName":"plain","lanIp":"10.0.0.1","wanIpSet":null,"instanceStatus":0,"port":666,` +
		`"weight":40,"unInstanceId":"ins-1","targetType":"cvm",` + at + `,` +
		`{"instanceName":"pod","lanIp":"10.0.0.2","instanceStatus":0,"port":666,"weight":10,` +
		`"uniqEniId":"eni-cccccc","targetType":"eni",` + at + `,` +
		`{"instanceName":"pod","lanIp":"10.0.0.3","instanceStatus":0,"port":666,"weight":10,` +
		`"uniqEniId":"eni-cccccc","targetType":"eni",` + at + `,` +
		`{"instanceName":"pod","lanIp":"10.0.0.4","instanceStatus":0,"port":666,"weight":10,` +
		`"unInstanceId":"ins-42lrdi7x","targetType":"eni",` + at + `,` +
		`{"lanIp":"192.168.0.9","instanceStatus":0,"port":666,"weight":0,"targetType":"ccn"}]}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDescribeTargetsAnswersAsDocumented(t *testing.T) {
	t.Parallel()
	c := newForwardTest(t)
	got := c.ask(t, DescribeTargets, `{"LoadBalancerId":"lb-f"}`)
	const at = `"RegisteredTime":"2017-05-11 10:00:00"`
	want := `{"Listeners":[` +
		`{"ListenerId":"lbl-zitgw9xa","Protocol":"HTTP","Port":80,"Rules":[{"LocationId":"loc-tci3p9bx",` +
		`"Domain":"www.example.com","Url":"/second","Targets":[` +
		`{"Type":"cvm","InstanceId":"ins-42lrdi7x","Port":81,"Weight":10,` +
		`"PublicIpAddresses":["45.113.71.7"],"PrivateIpAddresses":["10.212.199.17"],"InstanceName":"web",` +
		at + `,"EniId":""}],` +
		`"FunctionTargets":null}],"Targets":null,"EndPort":0},` +
		`{"ListenerId":"lbl-k65ojcz9","Protocol":"TCP","Port":888,"Rules":null,"Targets":[` +
		`{"Type":"CVM","InstanceId":"ins-1","Port":666,"Weight":40,"PublicIpAddresses":null,` +
		`"PrivateIpAddresses":["10.0.0.1"],"InstanceName":"plain",` + at + `,"EniId":""},` +
		`{"Type":"ENI","InstanceId":"","Port":666,"Weight":10,"PublicIpAddresses":null,` +
		`"PrivateIpAddresses":["10.0.0.2"],"InstanceName":"pod",` + at + `,"EniId":"eni-cccccc"},` +
		`{"Type":"ENI","InstanceId":"","Port":666,"Weight":10,"PublicIpAddresses":null,` +
		`"PrivateIpAddresses":["10.0.0.3"],"InstanceName":"pod",` + at + `,"EniId":"eni-cccccc"},` +
		`{"Type":"ENI","InstanceId":"ins-42lrdi7x","Port":666,"Weight":10,"PublicIpAddresses":null,` +
		`"PrivateIpAddresses":["10.0.0.4"],"InstanceName":"pod",` + at + `,"EniId":""},` +
		`{"Type":"CCN","InstanceId":"","Port":666,"Weight":0,"PublicIpAddresses":null,` +
		`"PrivateIpAddresses":["192.168.0.9"],"InstanceName":"","RegisteredTime":"","EniId":""}],` +
		`"EndPort":0}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestForwardIsStrict(t *testing.T) {
	t.Parallel()
	c := newForwardTest(t)
	const listener = "lbl-k65ojcz9" // TCP:888
	tests := []struct {
		name   string
		change map[string]string
		want   string // ports of the listeners, or the code
	}{
		{"all", nil, "80 888"},
		{"one listener", map[string]string{"listenerIds.0": listener}, "888"},
		{"listeners from 1, one unknown",
			map[string]string{"listenerIds.1": "lbl-nowhere", "listenerIds.2": listener}, "888"},
		{"a protocol", map[string]string{"protocol": "1"}, "80"},
		{"a protocol that none has", map[string]string{"protocol": "3"}, ""},
		{"a port", map[string]string{"loadBalancerPort": "888"}, "888"},
		{"a port of another protocol", map[string]string{"loadBalancerPort": "888", "protocol": "1"}, ""},

		{"no load balancer", map[string]string{"loadBalancerId": ""}, "4000"},
		{"unknown load balancer", map[string]string{"loadBalancerId": "lb-nowhere"}, "5000"},
		{"classic load balancer", map[string]string{"loadBalancerId": testLB}, "5000"},
		{"another region", map[string]string{"Region": "ap-shanghai"}, "5000"},
		{"offset", map[string]string{"offset": "0"}, "4000"},
		{"limit", map[string]string{"limit": "100"}, "4000"},
		{"protocol 5", map[string]string{"protocol": "5"}, "4000"},
		{"protocol in words", map[string]string{"protocol": "HTTP"}, "4000"},
		{"port 0", map[string]string{"loadBalancerPort": "0"}, "4000"},
		{"a listener without a number", map[string]string{"listenerIds": listener}, "4000"},
		{"wrong signature", map[string]string{"Signature": "d3Jvbmc="}, "4100"},
		{"no token", map[string]string{"Token": ""}, "4105"},
	}
	refused := 0
	for _, tt := range tests {
		change := map[string]string{"Action": DescribeForwardLBBackends, "loadBalancerId": "lb-f"}
		for k, v := range tt.change {
			change[k] = v
		}
		r := c.get(t, change)
		got := r.code()
		if got == "0" {
			got = strings.Join(portsIn(r.body), " ")
		} else {
			refused++
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s (%s)", tt.name, got, tt.want, r.body)
		}
	}
	if got := c.Refused(); len(got) != refused {
		t.Errorf("%d refused, want %d: %q", len(got), refused, got)
	}
	if got := c.CallsTo(DescribeForwardLBBackends); got != len(tests) || c.CallsTo("lb-f") != len(tests)-3 {
		t.Errorf("%d calls of the action, %d for lb-f, want %d and %d", got, c.CallsTo("lb-f"), len(tests),
			len(tests)-3)
	}
}

func portsIn(body []byte) (ports []string) {
	for _, part := range strings.Split(string(body), `"loadBalancerPort":`)[1:] {
		port, _, _ := strings.Cut(part, ",")
		ports = append(ports, port)
	}
	return ports
}

func TestActionsForOneLoadBalancerAreStrict(t *testing.T) {
	t.Parallel()
	c := newForwardTest(t)
	listener := madeUpID("lbl-", testLB, "TCP:80")
	const (
		app, plain  = `"LoadBalancerId":"lb-f"`, `"LoadBalancerId":"` + testLB + `"`
		parameter   = "InvalidParameter"
		notFound    = "InvalidParameter.LBIdNotFound"
		value       = "InvalidParameterValue"
		missingOne  = "MissingParameter"
		unknownOne  = "UnknownParameter"
		ok          = "ok"
		appInList   = `"LoadBalancerIds":["lb-f"]`
		plainInList = `"LoadBalancerIds":["` + testLB + `"]`
	)
	tests := []struct{ action, params, want string }{
		{DescribeTargets, app, ok},
		{DescribeTargets, plain, parameter},
		{DescribeTargets, `"LoadBalancerId":"lb-nowhere"`, notFound},
		{DescribeTargets, ``, missingOne},
		{DescribeTargets, `"LoadBalancerId":""`, missingOne},
		{DescribeTargets, `"LoadBalancerId":null`, missingOne},
		{DescribeTargets, `"LoadBalancerId":["lb-f"]`, value},
		{DescribeTargets, `"loadBalancerId":"lb-f"`, unknownOne},
		{DescribeTargets, app + `,"Limit":100`, unknownOne},
		{DescribeTargets, app + `,"ListenerIds":["lbl-k65ojcz9"]`, unknownOne},
		{DescribeTargets, app + `,"Filters":[]`, unknownOne},

		{DescribeClassicalLBTargets, plain, ok},
		{DescribeClassicalLBTargets, app, parameter},
		{DescribeClassicalLBTargets, `"LoadBalancerId":"lb-nowhere"`, notFound},

		{DescribeClassicalLBListeners, plain, ok},
		{DescribeClassicalLBListeners, app, parameter},
		{DescribeClassicalLBListeners, `"LoadBalancerId":"lb-nowhere"`, notFound},
		{DescribeClassicalLBListeners, ``, missingOne},
		{DescribeClassicalLBListeners, plain + `,"Protocol":"TCP"`, unknownOne},

		{DescribeClassicalLBHealthStatus, plain + `,"ListenerId":"` + listener + `"`, ok},
		{DescribeClassicalLBHealthStatus, plain, missingOne},
		{DescribeClassicalLBHealthStatus, `"ListenerId":"` + listener + `"`, missingOne},
		{DescribeClassicalLBHealthStatus, plain + `,"ListenerId":"lbl-k65ojcz9"`,
			"InvalidParameter.ListenerIdNotFound"},
		{DescribeClassicalLBHealthStatus, plain + `,"ListenerId":7`, value},
		{DescribeClassicalLBHealthStatus, app + `,"ListenerId":"lbl-k65ojcz9"`, parameter},

		{DescribeTargetHealth, appInList, ok},
		{DescribeTargetHealth, plainInList, parameter},
		{DescribeTargetHealth, `"LoadBalancerIds":["lb-f","lb-nowhere"]`, notFound},
		{DescribeTargetHealth, ``, missingOne},
		{DescribeTargetHealth, `"LoadBalancerIds":[]`, value},
		{DescribeTargetHealth, `"LoadBalancerIds":["lb-f"` + strings.Repeat(`,"lb-b"`, 19) + `]`, ok},
		{DescribeTargetHealth, `"LoadBalancerIds":["lb-f"` + strings.Repeat(`,"lb-b"`, 20) + `]`, value},
		{DescribeTargetHealth, app, unknownOne},
	}
	refused := 0
	calls := make(map[string]int)
	for _, tt := range tests {
		got := c.ask(t, tt.action, "{"+tt.params+"}")
		if strings.HasPrefix(got, "{") {
			got = ok
		} else {
			refused++
		}
		calls[tt.action]++
		if got != tt.want {
			t.Errorf("%s {%s}: %s, want %s", tt.action, tt.params, got, tt.want)
		}
	}
	if got := c.Refused(); len(got) != refused {
		t.Errorf("%d refused, want %d: %q", len(got), refused, got)
	}
	for action, n := range calls {
		if got := c.CallsV3To(action); got != n {
			t.Errorf("%d calls of %s, want %d", got, action, n)
		}
	}
	if got := c.CallsV3(); got != len(tests) {
		t.Errorf("%d calls, want %d", got, len(tests))
	}
}

func TestInstancesAreWrittenInBothWays(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	c.SetApplication(testRegion, "lb-many")
	c.Bind(testRegion, "lb-many", many(20)...)
	v3 := c.ask(t, DescribeTargets, `{"LoadBalancerId":"lb-many"}`)
	v2 := string(c.get(t,
		map[string]string{"Action": DescribeForwardLBBackends, "loadBalancerId": "lb-many"}).body)
	for _, want := range []string{`"Type":"cvm"`, `"Type":"CVM"`} {
		if !strings.Contains(v3, want) {
			t.Errorf("no %s among 20 instances: %s", want, v3)
		}
	}
	if n := strings.Count(v2, `"uniqEniId":"eni-`); n == 0 || n == strings.Count(v2, `"targetType":"cvm"`) {
		t.Errorf("%d of 60 bindings have a uniqEniId, want some", n)
	}
	if again := c.ask(t, DescribeTargets, `{"LoadBalancerId":"lb-many"}`); again != v3 {
		t.Errorf("the same state gave %s, then %s", v3, again)
	}
}

func TestForwardFaults(t *testing.T) {
	t.Parallel()
	bound := func(n int) string { return "0, " + strconv.Itoa(n) + " bindings" }
	wants := map[string]string{
		"3.0 envelope": "absent, 0 bindings", "status 502": "invalid character '<'",
		"status 503":    "invalid character '<'",
		"200 with HTML": "invalid character '<'", "body cut": "unexpected EOF",
		"half the JSON": "unexpected end of JSON", "huge body": bound(6),
		"connection reset": "connection reset", "302 redirect": "invalid character '<'",
		"code absent": "absent, 6 bindings",
		"data absent": bound(0), "data null": bound(0), "data empty": bound(0),
		"no backends on any listener": bound(0),
		"a backend without an id":     bound(6), "a backend without a port": bound(6),
		"code as a string": `"0", 6 bindings`, "shuffled": bound(6),
	}
	parts := map[string]string{ // what the body has, beyond that
		"data null": `"data":null}`, "data empty": `"codeDesc":"Success","data":[]}`,
		"no backends on any listener": `"url":"/second","backends":[]}]},`,
		"a backend without an id":     `"weight":10,"targetType":"cvm"`,
		"a backend without a port":    `"instanceStatus":0,"weight":10,"unInstanceId":"ins-42lrdi7x"`,
	}
	plausible := []string{}
	for _, f := range ForwardFaults() {
		if f.Plausible() {
			plausible = append(plausible, f.String())
		}
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			c := newForwardTest(t)
			change := map[string]string{"Action": DescribeForwardLBBackends, "loadBalancerId": "lb-f"}
			want, ok := wants[f.String()]
			if !ok {
				want = strings.TrimPrefix(f.String(), "code ") + ", 0 bindings"
			}
			ask := func() string {
				r, err := get(t.Context(), c.url(c.params(change), c.cred.SecretKey))
				if err != nil {
					return err.Error()
				}
				if part := parts[f.String()]; !strings.Contains(string(r.body), part) {
					return "no " + part + " in " + string(r.body)
				}
				return r.code() + ", " + strconv.Itoa(strings.Count(string(r.body), `"targetType"`)) +
					" bindings"
			}
			for _, whose := range []string{"lb-f", DescribeForwardLBBackends, ""} {
				c.Fail(whose, f, 1)
				if whose == DescribeForwardLBBackends {
					if got := c.get(t, nil); got.code() != "0" || len(got.BackendSet) != 3 {
						t.Errorf("a classic load balancer met the action's fault: %s", got.body)
					}
				}
				if got := ask(); !strings.Contains(got, want) {
					t.Errorf("for %q: %s, want %s", whose, got, want)
				}
			}
			parts := c.boundV2(t, "lb-f")
			if len(parts) != 6 {
				t.Errorf("after the fault: %q", parts)
			}
		})
	}
	if want := []string{"data empty", "no backends on any listener"}; !slices.Equal(plausible, want) {
		t.Errorf("plausible: %q, want %q", plausible, want)
	}
}

func TestFaultsOfALoadBalancerComeFirst(t *testing.T) {
	t.Parallel()
	c := newForwardTest(t)
	c.Fail("", FaultCode(6000, "", ""), 1)
	c.Fail(DescribeForwardLBBackends, FaultCode(5100, "", ""), 1)
	c.Fail("lb-f", FaultCode(4400, "", ""), 1)
	var got []string
	for range 4 {
		got = append(got,
			c.get(t, map[string]string{"Action": DescribeForwardLBBackends, "loadBalancerId": "lb-f"}).code())
	}
	if want := []string{"4400", "5100", "6000", "0"}; !slices.Equal(got, want) {
		t.Errorf("codes %q, want %q: its own, those of the action, those of all", got, want)
	}
	c.Fail("", FaultCode(6000, "", ""), 1)
	c.Fail(DescribeLoadBalancers, FaultCode(5100, "", ""), 1)
	if got := c.list(t, nil) + c.list(t, nil); got != "51006000" {
		t.Errorf("lists: codes %s, want 5100 and 6000", got)
	}
}

func TestACodeClosesAllOfAPI2(t *testing.T) {
	t.Parallel()
	c := newForwardTest(t)
	c.Fail("", FaultCode(4300, "RequestForbidden", "closed"), -1)
	for action, lb := range map[string]string{DescribeLoadBalancers: "", DescribeLoadBalancerBackends: testLB,
		DescribeForwardLBBackends: "lb-f", DescribeLBHealthStatus: testLB} {
		if got := c.get(t, map[string]string{"Action": action, "loadBalancerId": lb}).code(); got != "4300" {
			t.Errorf("%s: code %s, want 4300", action, got)
		}
	}
	if got := c.boundV3(t, "lb-f"); len(got) != 6 {
		t.Errorf("API 3.0 has %q, want all of it", got)
	}
}
