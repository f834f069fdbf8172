package cloud

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// The actions that tell what the health checks say, of a classic load balancer by API 2.0
// (https://cloud.tencent.com/document/api/214/1326), by API 3.0
// (https://cloud.tencent.com/document/api/214/31791 and 31792), and of one of the application kind by API 3.0
// (https://cloud.tencent.com/document/api/214/34898): the names of their faults and calls.
const (
	DescribeLBHealthStatus          = "DescribeLBHealthStatus"
	DescribeClassicalLBListeners    = "DescribeClassicalLBListeners"
	DescribeClassicalLBHealthStatus = "DescribeClassicalLBHealthStatus"
	DescribeTargetHealth            = "DescribeTargetHealth"
)

// What a health check says. Source: TargetHealth, HealthStatusDetail.
const (
	alive   = "Alive"
	dead    = "Dead"
	unknown = "Unknown" // not probed yet, or not decided
)

// probe is a health check of a backend.
type probe struct{ id, place string } // place is "" for all of them

// SetHealth says what the health checks of a backend find on a load balancer, which it creates if need be:
// state is "Alive", as it is without it, "Dead" or "Unknown". listener is as for BindTo, of a classic load
// balancer as well; "" is all, and ends what was set for one. An instance that does not run is dead, whatever
// was set.
func (c *Cloud) SetHealth(region, lb, id, listener, state string) {
	if !slices.Contains([]string{alive, dead, unknown}, state) {
		panic(fmt.Sprintf("sandbox: no health check says %q", state))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.balancer(region, lb)
	if listener == "" {
		for k := range b.health {
			if k.id == id {
				delete(b.health, k)
			}
		}
		b.health[probe{id, ""}] = state
		return
	}
	for _, p := range b.on(b.checked(), listener) {
		b.health[probe{id, p.name}] = state
	}
}

// Check is what a health check says of a backend.
type Check struct {
	Place string // "HTTP:80 example.com/api", "TCP:8443", the same of a classic load balancer
	ID    string // of the instance
	State string // "Alive", "Dead" or "Unknown"
}

// Checks returns what the health checks of a load balancer say, in the order of its listeners and rules.
func (c *Cloud) Checks(region, lb string) (all []Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.balancers[region+"/"+lb]
	if b == nil {
		return nil
	}
	for _, p := range b.checked() {
		bound := b.pools[p.name]
		if b.forward == classic {
			bound = b.pools[""]
		}
		for _, in := range bound {
			all = append(all, Check{p.name, in.ID, c.state(b, p, in)})
		}
	}
	return all
}

// checked returns where backends are checked, in order: where they are bound, or at the listeners of a
// classic load balancer.
func (b *balancer) checked() []place {
	if b.forward == application {
		return b.places()
	}
	var all []place
	for _, l := range b.listening() {
		all = append(all, place{name: l.name(), on: l})
	}
	return all
}

// state is what the health check of a backend says. The caller holds c.mu.
func (c *Cloud) state(b *balancer, p place, in Instance) string {
	if !c.runs(in) {
		return dead
	}
	for _, k := range []probe{{in.ID, p.name}, {in.ID, ""}} {
		if s, ok := b.health[k]; ok {
			return s
		}
	}
	return alive
}

// readHealth reads what DescribeLBHealthStatus takes besides loadBalancerId.
func (q *query) readHealth(form url.Values) error {
	if form.Has("listenerId") {
		q.listeners = []string{form.Get("listenerId")}
	}
	return noPages(form)
}

// checkV2 is a health check of a classic load balancer as API 2.0 shows it.
type checkV2 struct {
	IP       string `json:"ip"`
	Protocol string `json:"protocol"`
	Port     int    `json:"port"`
	VPort    int    `json:"vport"`
	// 1 or 0; the page had -1 as well until 2017, for what was not probed in whole
	HealthStatus int `json:"healthStatus"`
}

// healthV2 is the right answer to DescribeLBHealthStatus. What it is for an application load balancer is not
// documented; here it is code 5000.
func (c *Cloud) healthV2(q query) (answer, []Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.known(q.region, q.lb, classic)
	if b == nil {
		return answer{}, nil, missing("%s of the classic kind in %s", q.lb, q.region)
	}
	data := []checkV2{}
	found := q.listeners == nil
	for _, p := range b.checked() {
		if q.listeners != nil && !slices.Contains(q.listeners, b.listenerID(p.on)) {
			continue
		}
		found = true
		for _, in := range b.pools[""] {
			data = append(data, checkV2{
				in.LanIP, p.on.Protocol, p.on.backendPort(), p.on.Port, oneIf(c.state(b, p, in) == alive),
			})
		}
	}
	if !found {
		return answer{}, nil, missing("a listener %s of %s", q.listeners[0], q.lb)
	}
	return answer{Code: 0, CodeDesc: "Success", Set: data}, nil, nil
}

// classicListenerV3 is a listener of a classic load balancer as API 3.0 shows it.
type classicListenerV3 struct {
	ListenerID    string `json:"ListenerId"`
	ListenerPort  int
	InstancePort  int
	ListenerName  string
	Protocol      string // in lower case, as in the published sample
	SessionExpire int
	HealthSwitch  int // 1: there are health checks
	TimeOut       int
	IntervalTime  int
	HealthNum     int
	UnhealthNum   int
	HTTPHash      string `json:"HttpHash"`
	HTTPCode      int    `json:"HttpCode"`
	HTTPCheckPath string `json:"HttpCheckPath"`
	SSLMode       string
	CertID        string `json:"CertId"`
	CertCaID      string `json:"CertCaId"`
	Status        int    // 1: running
}

// classicListenersV3 is the right answer to DescribeClassicalLBListeners. It has no total.
func (c *Cloud) classicListenersV3(q queryV3) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := c.ofKind(q.region, q.lb, classic)
	if err != nil {
		return nil, err
	}
	listeners := []classicListenerV3{}
	for _, l := range b.listening() {
		listeners = append(listeners, classicListenerV3{
			ListenerID: b.listenerID(l), ListenerPort: l.Port, InstancePort: l.backendPort(),
			ListenerName: listenerName(l), Protocol: strings.ToLower(l.Protocol),
			HealthSwitch: 1, TimeOut: 2, IntervalTime: 5, HealthNum: 3,
			UnhealthNum: 3, HTTPCode: 31, Status: 1,
		})
	}
	return map[string]any{"Listeners": listeners}, nil
}

// listenerName is the name that a person gave a listener, which says nothing.
func listenerName(l Listener) string { return strings.ToLower(l.Protocol) + "-listener" }

// classicCheckV3 is a health check of a classic load balancer as API 3.0 shows it.
type classicCheckV3 struct {
	IP           string
	Port         int
	ListenerPort int
	Protocol     string
	HealthStatus int // 1 or 0
}

// classicHealthV3 is the right answer to DescribeClassicalLBHealthStatus, which is about one listener.
func (c *Cloud) classicHealthV3(q queryV3) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := c.ofKind(q.region, q.lb, classic)
	if err != nil {
		return nil, err
	}
	for _, p := range b.checked() {
		if b.listenerID(p.on) != q.listener {
			continue
		}
		list := []classicCheckV3{}
		for _, in := range b.pools[""] {
			list = append(list, classicCheckV3{
				in.LanIP, p.on.backendPort(), p.on.Port, p.on.Protocol, oneIf(c.state(b, p, in) == alive),
			})
		}
		return map[string]any{"HealthList": list}, nil
	}
	return nil, errorV3{"InvalidParameter.ListenerIdNotFound", q.lb + " has no listener " + q.listener}
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// balancerHealthV3 is a load balancer of the application kind as DescribeTargetHealth shows it.
type balancerHealthV3 struct {
	LoadBalancerID   string `json:"LoadBalancerId"`
	LoadBalancerName string
	Listeners        []listenerHealthV3
}

type listenerHealthV3 struct {
	ListenerID   string `json:"ListenerId"`
	ListenerName string
	Protocol     string
	Port         int
	Rules        []ruleHealthV3 // one without Domain and Url for TCP, UDP and TCP_SSL
}

type ruleHealthV3 struct {
	LocationID string `json:"LocationId"`
	Domain     *string
	URL        *string `json:"Url"`
	Targets    []checkV3
}

// checkV3 is a health check. The misspelt twin of HealthStatusDetail is in the documentation too.
type checkV3 struct {
	IP                 string
	Port               int
	HealthStatus       bool   // false for unknown as well
	TargetID           string `json:"TargetId"`
	HealthStatusDetail string
	HealthStatusDetial string
}

// targetHealthV3 is the right answer to DescribeTargetHealth.
func (c *Cloud) targetHealthV3(q queryV3) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := []balancerHealthV3{}
	for _, id := range q.ids {
		b, err := c.ofKind(q.region, id, application)
		if err != nil {
			return nil, err
		}
		shown := balancerHealthV3{b.id, b.name, []listenerHealthV3{}}
		for _, l := range b.listening() {
			rules := []ruleHealthV3{}
			for _, p := range l.places() {
				rule := ruleHealthV3{LocationID: b.locationID(p), Targets: []checkV3{}}
				if l.hasRules() {
					rule.Domain, rule.URL = &p.rule.Domain, &p.rule.URL
				}
				for _, in := range b.pools[p.name] {
					state := c.state(b, p, in)
					target := in.idLike("ins-") + in.idLike("eni-") // only one of them can be
					rule.Targets = append(rule.Targets,
						checkV3{in.LanIP, l.backendPort(), state == alive, target, state, state})
				}
				rules = append(rules, rule)
			}
			shown.Listeners = append(shown.Listeners,
				listenerHealthV3{b.listenerID(l), listenerName(l), l.Protocol, l.Port, rules})
		}
		all = append(all, shown)
	}
	return map[string]any{"LoadBalancers": all}, nil
}
