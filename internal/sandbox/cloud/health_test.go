package cloud

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestHealthAnswersAsDocumented(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	c.SetName(testRegion, "lb-h", "prod")
	c.SetApplication(testRegion, "lb-h")
	c.Listen(testRegion, "lb-h",
		Listener{Protocol: "HTTP", Port: 666, Rules: []Rule{{Domain: "www.123.com", URL: "/service"}}},
		Listener{Protocol: "TCP", Port: 789, BackendPort: 80},
		Listener{Protocol: "HTTPS", Port: 1949})
	c.BindTo(testRegion, "lb-h", "TCP:789", Instance{ID: "ins-19425500", LanIP: "172.16.0.6", Status: 2})
	c.BindTo(testRegion, "lb-h", "TCP:789", Instance{ID: "eni-cccccc", LanIP: "172.16.0.7", Type: "ENI"})
	c.BindTo(testRegion, "lb-h", "TCP:789", Instance{ID: "x", LanIP: "172.16.0.8", Type: "CCN"})
	c.SetHealth(testRegion, "lb-h", "ins-19425500", "TCP:789", "Dead")
	got := c.ask(t, DescribeTargetHealth, `{"LoadBalancerIds":["lb-h"]}`)
	id := func(kind, name string) string { return madeUpID(kind, "lb-h", name) }
	want := `{"LoadBalancers":[{"LoadBalancerId":"lb-h","LoadBalancerName":"prod","Listeners":[` +
		`{"ListenerId":"` + id("lbl-", "HTTP:666") +
		`","ListenerName":"http-listener","Protocol":"HTTP","Port":666,"Rules":[` +
		`{"LocationId":"` + id("loc-", "HTTP:666 www.123.com/service") +
		`","Domain":"www.123.com","Url":"/service","Targets":[]}]},` +
		`{"ListenerId":"` + id("lbl-", "TCP:789") +
		`","ListenerName":"tcp-listener","Protocol":"TCP","Port":789,"Rules":[` +
		`{"LocationId":"` + id("loc-", "TCP:789") + `","Domain":null,"Url":null,"Targets":[` +
		`{"IP":"172.16.0.6","Port":80,"HealthStatus":false,"TargetId":"ins-19425500",` +
		`"HealthStatusDetail":"Dead","HealthStatusDetial":"Dead"},` +
		`{"IP":"172.16.0.7","Port":80,"HealthStatus":true,"TargetId":"eni-cccccc",` +
		`"HealthStatusDetail":"Alive","HealthStatusDetial":"Alive"},` +
		`{"IP":"172.16.0.8","Port":80,"HealthStatus":true,"TargetId":"","HealthStatusDetail":"Alive",` +
		`"HealthStatusDetial":"Alive"}]}]},` +
		`{"ListenerId":"` + id("lbl-", "HTTPS:1949") +
		`","ListenerName":"https-listener","Protocol":"HTTPS","Port":1949,"Rules":[]}]}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestClassicHealthAnswersAsDocumented(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	c.Listen(testRegion, "lb-c", Listener{Protocol: "TCP", Port: 111, BackendPort: 1111},
		Listener{Protocol: "UDP", Port: 1213, BackendPort: 12312})
	c.Bind(testRegion, "lb-c", Instance{ID: "ins-1", LanIP: "10.142.9.250", Status: 2},
		Instance{ID: "ins-2", LanIP: "10.104.63.53", Status: 2})
	c.SetHealth(testRegion, "lb-c", "ins-1", "TCP:111", "Dead")
	c.SetHealth(testRegion, "lb-c", "ins-2", "UDP:1213", "Unknown")
	tcp, udp := madeUpID("lbl-", "lb-c", "TCP:111"), madeUpID("lbl-", "lb-c", "UDP:1213")

	listeners := c.ask(t, DescribeClassicalLBListeners, `{"LoadBalancerId":"lb-c"}`)
	more := `"SessionExpire":0,"HealthSwitch":1,"TimeOut":2,"IntervalTime":5,"HealthNum":3,"UnhealthNum":3,` +
		`"HttpHash":"","HttpCode":31,"HttpCheckPath":"","SSLMode":"","CertId":"","CertCaId":"","Status":1}`
	want := `{"Listeners":[{"ListenerId":"` + tcp +
		`","ListenerPort":111,"InstancePort":1111,"ListenerName":"tcp-listener","Protocol":"tcp",` + more +
		`,{"ListenerId":"` + udp +
		`","ListenerPort":1213,"InstancePort":12312,"ListenerName":"udp-listener","Protocol":"udp",` + more +
		`]}`
	if listeners != want {
		t.Errorf("got  %s\nwant %s", listeners, want)
	}
	for listener, want := range map[string]string{
		tcp: `{"HealthList":[{"IP":"10.142.9.250","Port":1111,"ListenerPort":111,"Protocol":"TCP",` +
			`"HealthStatus":0},{"IP":"10.104.63.53","Port":1111,"ListenerPort":111,"Protocol":"TCP",` +
			`"HealthStatus":1}]}`,
		udp: `{"HealthList":[{"IP":"10.142.9.250","Port":12312,"ListenerPort":1213,"Protocol":"UDP",` +
			`"HealthStatus":1},{"IP":"10.104.63.53","Port":12312,"ListenerPort":1213,"Protocol":"UDP",` +
			`"HealthStatus":0}]}`,
	} {
		if got := c.ask(t, DescribeClassicalLBHealthStatus,
			`{"LoadBalancerId":"lb-c","ListenerId":"`+listener+`"}`); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}

	all := `{"code":0,"message":"","codeDesc":"Success","data":[` +
		`{"ip":"10.142.9.250","protocol":"TCP","port":1111,"vport":111,"healthStatus":0},` +
		`{"ip":"10.104.63.53","protocol":"TCP","port":1111,"vport":111,"healthStatus":1},` +
		`{"ip":"10.142.9.250","protocol":"UDP","port":12312,"vport":1213,"healthStatus":1},` +
		`{"ip":"10.104.63.53","protocol":"UDP","port":12312,"vport":1213,"healthStatus":0}]}`
	for _, tt := range []struct {
		name   string
		change map[string]string
		want   string
	}{
		{"all", nil, all},
		{"one listener", map[string]string{"listenerId": tcp},
			strings.Split(all, `,{"ip":"10.142.9.250","protocol":"UDP"`)[0] + `]}`},
		{"nothing bound", map[string]string{"loadBalancerId": "lb-a"},
			`{"code":0,"message":"","codeDesc":"Success","data":[]}`},
		{"unknown listener", map[string]string{"listenerId": "lbl-nowhere"}, "5000"},
		{"a listener of none", map[string]string{"listenerId": ""}, all}, // the client's test leaves it out
		{"unknown load balancer", map[string]string{"loadBalancerId": "lb-nowhere"}, "5000"},
		{"application load balancer", map[string]string{"loadBalancerId": "lb-b"}, "5000"},
		{"no load balancer", map[string]string{"loadBalancerId": ""}, "4000"},
		{"limit", map[string]string{"limit": "100"}, "4000"},
		{"offset", map[string]string{"offset": "0"}, "4000"},
	} {
		change := map[string]string{"Action": DescribeLBHealthStatus, "loadBalancerId": "lb-c"}
		for k, v := range tt.change {
			change[k] = v
		}
		r := c.get(t, change)
		got := r.code()
		if got == "0" {
			got = string(r.body)
		}
		if got != tt.want {
			t.Errorf("%s: got  %s\nwant %s", tt.name, got, tt.want)
		}
	}
	c.Fail(DescribeLBHealthStatus, FaultCode(6000, "InternalError", ""), 1)
	if r := c.get(t, map[string]string{"loadBalancerId": "lb-c"}); r.code() != "0" {
		t.Errorf("the backends met the fault of health: %s", r.body)
	}
	if r := c.get(t,
		map[string]string{"Action": DescribeLBHealthStatus, "loadBalancerId": "lb-c"}); r.code() != "6000" {
		t.Errorf("code %s, want 6000", r.code())
	}
}

// health is the words of DescribeTargetHealth, in order, for one target.
func (c *v3Test) health(t *testing.T, lb, id string) (words []string) {
	t.Helper()
	var a struct {
		LoadBalancers []struct {
			Listeners []struct {
				Rules []struct {
					Targets []struct {
						TargetID           string `json:"TargetId"`
						HealthStatus       bool
						HealthStatusDetail string
					}
				}
			}
		}
	}
	text := c.ask(t, DescribeTargetHealth, `{"LoadBalancerIds":["`+lb+`"]}`)
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, l := range a.LoadBalancers[0].Listeners {
		for _, r := range l.Rules {
			for _, target := range r.Targets {
				if target.HealthStatus != (target.HealthStatusDetail == "Alive") {
					t.Errorf("HealthStatus %v with %s", target.HealthStatus, target.HealthStatusDetail)
				}
				if target.TargetID == id {
					words = append(words, target.HealthStatusDetail)
				}
			}
		}
	}
	return words
}

func TestHealthIsAsItWasSet(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	const lb, id = "lb-h", "ins-00000"
	c.SetApplication(testRegion, lb)
	c.Bind(testRegion, lb, many(2)...)
	set := func(listener, state string) func() {
		return func() { c.SetHealth(testRegion, lb, id, listener, state) }
	}
	steps := []struct {
		name string
		do   func()
		want string // on example.com/, example.com/api and TCP:8443
	}{
		{"without a word", func() {}, "[Alive Alive Alive]"},
		{"one rule", set("HTTP:80 example.com/api", "Dead"), "[Alive Dead Alive]"},
		{"another listener", set("TCP:8443", "Unknown"), "[Alive Dead Unknown]"},
		{"all rules of a listener", set("HTTP:80", "Dead"), "[Dead Dead Unknown]"},
		{"one rule back", set("HTTP:80 example.com/", "Alive"), "[Alive Dead Unknown]"},
		{"everywhere", set("", "Unknown"), "[Unknown Unknown Unknown]"},
		{"one listener more", set("TCP:8443", "Alive"), "[Unknown Unknown Alive]"},
		{"stopped", func() { c.SetStatus(id, 4) }, "[Dead Dead Dead]"},
		{"started", func() { c.SetStatus(id, 2) }, "[Unknown Unknown Alive]"},
		{"destroyed", func() { c.Forget(id) }, "[Dead Dead Dead]"},
		{"registered", func() { c.Register(testRegion, many(1)...) }, "[Unknown Unknown Alive]"},
		{"emptied and bound again", func() {
			c.Create(testRegion, lb)
			c.Bind(testRegion, lb, many(2)...)
		}, "[Alive Alive Alive]"},
	}
	for _, s := range steps {
		s.do()
		if got := fmt.Sprint(c.health(t, lb, id)); got != s.want {
			t.Errorf("%s: %s, want %s", s.name, got, s.want)
		}
		if got := c.health(t, lb, "ins-00001"); !slices.Equal(got, []string{"Alive", "Alive", "Alive"}) {
			t.Errorf("%s: the other instance is %s", s.name, got)
		}
	}
	c.SetStatus(id, 4) // a classic one, by API 2.0
	r := c.get(t, map[string]string{"Action": DescribeLBHealthStatus})
	if n := strings.Count(string(r.body), `"healthStatus":0`); n != 1 {
		t.Errorf("%d of 3 fail, want 1, that does not run: %s", n, r.body)
	}
}
