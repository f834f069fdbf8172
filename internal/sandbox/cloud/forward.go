package cloud

import (
	"crypto/md5"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// DescribeForwardLBBackends and DescribeTargets are the actions that tell what is bound to the listeners and
// rules of an application load balancer, of API 2.0 (https://cloud.tencent.com/document/api/214/8987) and of
// API 3.0 (https://cloud.tencent.com/document/api/214/30684): the names of their faults and calls. Neither
// has pages.
const (
	DescribeForwardLBBackends = "DescribeForwardLBBackends"
	DescribeTargets           = "DescribeTargets"
)

// readForward reads what DescribeForwardLBBackends takes besides loadBalancerId: which listeners to show.
func (q *query) readForward(form url.Values) (err error) {
	if err = noPages(form); err != nil {
		return err
	}
	if q.listeners, err = numbered(form, "listenerIds"); err != nil {
		return err
	}
	if q.protocol, err = number(form, "protocol", 0, 1, 4); err != nil {
		return err
	}
	q.port, err = number(form, "loadBalancerPort", 0, 1, 65535)
	return err
}

// listenerV2 is a listener as DescribeForwardLBBackends shows it. It has rules or backends, by its protocol.
type listenerV2 struct {
	LoadBalancerPort int          `json:"loadBalancerPort"`
	Protocol         int          `json:"protocol"`
	ProtocolType     string       `json:"protocolType"` // in lower case, as in the published sample
	ListenerID       string       `json:"listenerId"`
	Rules            *[]ruleV2    `json:"rules,omitempty"`
	Backends         *[]backendV2 `json:"backends,omitempty"`
}

type ruleV2 struct {
	LocationID string      `json:"locationId"`
	Domain     string      `json:"domain"`
	URL        string      `json:"url"`
	Backends   []backendV2 `json:"backends"`
}

// backendV2 is a backend as the published sample has it: one that is no instance has no wanIpSet.
type backendV2 struct {
	InstanceName string `json:"instanceName,omitempty"`
	LanIP        string `json:"lanIp"`
	WanIPSet     any    `json:"wanIpSet,omitempty"`
	// always 0, as in the sample: what it means there nobody says
	InstanceStatus int    `json:"instanceStatus"`
	Port           *int   `json:"port,omitempty"`
	Weight         int    `json:"weight"`
	UnInstanceID   string `json:"unInstanceId,omitempty"`
	UniqEniID      string `json:"uniqEniId,omitempty"`
	TargetType     string `json:"targetType"`
	AddTimestamp   string `json:"addTimestamp,omitempty"`
}

// forwardV2 is the right answer to DescribeForwardLBBackends. What it is for a classic load balancer is not
// documented; here it is code 5000.
func (c *Cloud) forwardV2(q query) (answer, []Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.known(q.region, q.lb, application)
	if b == nil {
		return answer{}, nil, missing("%s of the application kind in %s", q.lb, q.region)
	}
	data := []listenerV2{}
	for _, l := range b.listening() {
		id := b.listenerID(l)
		if q.listeners != nil && !slices.Contains(q.listeners, id) ||
			q.protocol != 0 && q.protocol != protocols[l.Protocol] ||
			q.port != 0 && q.port != l.Port {
			continue
		}
		shown := listenerV2{LoadBalancerPort: l.Port, Protocol: protocols[l.Protocol],
			ProtocolType: strings.ToLower(l.Protocol), ListenerID: id}
		rules := []ruleV2{}
		for _, p := range l.places() {
			backends := []backendV2{}
			for _, in := range b.pools[p.name] {
				backends = append(backends, in.backendV2(l.backendPort()))
			}
			if !l.hasRules() {
				shown.Backends = &backends
				continue
			}
			rules = append(rules, ruleV2{b.locationID(p), p.rule.Domain, p.rule.URL, backends})
		}
		if l.hasRules() {
			shown.Rules = &rules
		}
		data = append(data, shown)
	}
	return answer{Code: 0, CodeDesc: "Success", Set: data}, nil, nil
}

func (in Instance) backendV2(port int) backendV2 {
	b := backendV2{LanIP: in.LanIP, Port: &port, Weight: in.Weight}
	switch {
	case in.isCVM():
		b.TargetType, b.UnInstanceID, b.WanIPSet = "cvm", in.ID, in.WanIPs
		// In the sample an instance has the id of its network interface too. In older ones it has not.
		if in.odd() {
			b.UniqEniID = madeUpID("eni-", in.ID)
		}
	case in.Type == "ENI":
		b.TargetType, b.UnInstanceID, b.UniqEniID = "eni", in.idLike("ins-"), in.idLike("eni-")
	default: // the documentation knows the other two only
		b.TargetType = strings.ToLower(in.Type)
		return b
	}
	b.InstanceName, b.AddTimestamp = in.Name, created
	return b
}

// odd is true for half of all instances, always the same: those that are written in the second way, where the
// documentation has two.
func (in Instance) odd() bool {
	sum := md5.Sum([]byte(in.ID))
	return sum[0]&1 == 1
}

// listenerV3 is a listener as DescribeTargets shows it.
type listenerV3 struct {
	ListenerID string `json:"ListenerId"`
	Protocol   string
	Port       int
	Rules      []ruleV3   // null for TCP, UDP and TCP_SSL
	Targets    []targetV3 // null for HTTP and HTTPS
	EndPort    int        // 0: not a range
}

type ruleV3 struct {
	LocationID      string `json:"LocationId"`
	Domain          string
	Domains         []string `json:",omitempty"`
	URL             string   `json:"Url"`
	Targets         []targetV3
	FunctionTargets []functionV3 // null
}

// functionV3 is a cloud function that is bound to a rule.
type functionV3 struct {
	Function struct {
		FunctionNamespace, FunctionName, FunctionQualifier, FunctionQualifierType string
	}
	Weight int
}

func functionNamed(i int) (f functionV3) {
	f.Function.FunctionNamespace, f.Function.FunctionName = "default", fmt.Sprint("fn-", i)
	f.Function.FunctionQualifier, f.Function.FunctionQualifierType = "$LATEST", "VERSION"
	f.Weight = 10
	return f
}

// targetV3 is a backend as DescribeTargets shows it. It does not say whether an instance runs: CVM does.
type targetV3 struct {
	Type               string // of an instance "CVM" or "cvm": both are in the documentation's samples
	InstanceID         string `json:"InstanceId"`
	Port               *int   `json:",omitempty"`
	Weight             int
	PublicIPAddresses  []string `json:"PublicIpAddresses"`
	PrivateIPAddresses []string `json:"PrivateIpAddresses"`
	InstanceName       string
	RegisteredTime     string
	EniID              string `json:"EniId"`
}

// forwardV3 is the right answer to DescribeTargets.
func (c *Cloud) forwardV3(q queryV3) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := c.ofKind(q.region, q.lb, application)
	if err != nil {
		return nil, err
	}
	listeners := []listenerV3{}
	for _, l := range b.listening() {
		shown := listenerV3{ListenerID: b.listenerID(l), Protocol: l.Protocol, Port: l.Port,
			EndPort: l.EndPort}
		if l.hasRules() {
			shown.Rules = []ruleV3{}
		}
		for _, p := range l.places() {
			targets := []targetV3{}
			for _, in := range b.pools[p.name] {
				targets = append(targets, in.targetV3(l.backendPort()))
			}
			if !l.hasRules() {
				shown.Targets = targets
				continue
			}
			rule := ruleV3{LocationID: b.locationID(p), Domain: p.rule.Domain, Domains: p.rule.Domains,
				URL: p.rule.URL, Targets: targets}
			for i := range p.rule.Functions {
				rule.FunctionTargets = append(rule.FunctionTargets, functionNamed(i))
			}
			shown.Rules = append(shown.Rules, rule)
		}
		listeners = append(listeners, shown)
	}
	return map[string]any{"Listeners": listeners}, nil
}

func (in Instance) targetV3(port int) targetV3 {
	t := targetV3{Port: &port, Weight: in.Weight, PrivateIPAddresses: []string{in.LanIP}}
	switch {
	case in.isCVM() && in.odd():
		t.Type, t.InstanceID, t.PublicIPAddresses = "cvm", in.ID, in.WanIPs
	case in.isCVM():
		t.Type, t.InstanceID, t.PublicIPAddresses = "CVM", in.ID, in.WanIPs
	case in.Type == "ENI":
		t.Type, t.InstanceID, t.EniID = "ENI", in.idLike("ins-"), in.idLike("eni-")
	default:
		t.Type = in.Type
		return t
	}
	t.InstanceName, t.RegisteredTime = in.Name, created
	return t
}
