package cloud

import (
	"crypto/md5"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
)

// DescribeLoadBalancerBackends and DescribeClassicalLBTargets are the actions that tell what is bound to a
// classic load balancer, of API 2.0 (https://cloud.tencent.com/document/api/214/1259) and of API 3.0
// (https://cloud.tencent.com/document/api/214/31790): the names of their faults and calls.
const (
	DescribeLoadBalancerBackends = "DescribeLoadBalancerBackends"
	DescribeClassicalLBTargets   = "DescribeClassicalLBTargets"
)

// Bind binds instances to a load balancer, which it creates if need be: to every listener and rule, if it is
// of the application kind. An instance with a known ID replaces the old one; network interfaces are told
// apart by their address as well.
func (c *Cloud) Bind(region, lb string, ins ...Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.balancer(region, lb)
	for _, p := range b.places() {
		b.pools[p.name] = bind(b.pools[p.name], ins)
	}
	c.exist(b.home(), ins)
}

// BindTo binds an instance to one listener of a load balancer of the application kind, such as "TCP:8443", or
// to one rule of it, such as "HTTP:80 example.com/api"; "HTTP:80" is all rules of it. It may have another
// weight there than elsewhere. If there is no such listener it panics: the test is mistaken.
func (c *Cloud) BindTo(region, lb, listener string, ins Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.balancer(region, lb)
	for _, p := range b.on(b.places(), listener) {
		b.pools[p.name] = bind(b.pools[p.name], []Instance{ins})
	}
	c.exist(b.home(), []Instance{ins})
}

func bind(pool, ins []Instance) []Instance {
	at := make(map[string]int, len(pool)+len(ins))
	for i, in := range pool {
		at[in.key()] = i
	}
	pool = slices.Grow(pool, len(ins))
	for _, in := range ins {
		in.WanIPs = slices.Clone(in.WanIPs)
		if i, ok := at[in.key()]; ok {
			pool[i] = in
			continue
		}
		at[in.key()] = len(pool)
		pool = append(pool, in)
	}
	return pool
}

// Unbind takes one instance from a load balancer, wherever it is bound; an unknown one is no news.
func (c *Cloud) Unbind(region, lb, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.balancers[region+"/"+lb]; ok {
		b.unbind(b.places(), id)
	}
}

// UnbindFrom takes one instance from one listener, or one rule of it, named as for BindTo; an unknown
// instance is no news, nor is an unknown load balancer.
func (c *Cloud) UnbindFrom(region, lb, listener, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.balancers[region+"/"+lb]; ok {
		b.unbind(b.on(b.places(), listener), id)
	}
}

func (b *balancer) unbind(from []place, id string) {
	for _, p := range from {
		b.pools[p.name] = slices.DeleteFunc(b.pools[p.name], func(in Instance) bool { return in.ID == id })
	}
}

// Pool returns what is bound to a load balancer, each once, in the order of binding; if it is of the
// application kind, in that of the listeners first.
func (c *Cloud) Pool(region, lb string) []Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.balancers[region+"/"+lb]
	if !ok {
		return nil
	}
	if b.forward == classic {
		return slices.Clone(b.pools[""])
	}
	var pool []Instance
	seen := make(map[string]bool)
	for _, p := range b.places() {
		for _, in := range b.pools[p.name] {
			if !seen[in.key()] {
				seen[in.key()] = true
				pool = append(pool, in)
			}
		}
	}
	return pool
}

// SetStatus gives an instance a status on every load balancer it is bound to, and for CVM: a machine has only
// one.
func (c *Cloud) SetStatus(id string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.balancers {
		b.change(id, func(in *Instance) { in.Status = status })
	}
	if m := c.machines[id]; m != nil {
		m.status = status
	}
}

// SetWeight gives an instance a weight on one load balancer, wherever it is bound there.
func (c *Cloud) SetWeight(region, lb, id string, weight int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.balancers[region+"/"+lb]; ok {
		b.change(id, func(in *Instance) { in.Weight = weight })
	}
}

func (b *balancer) change(id string, do func(*Instance)) {
	for _, pool := range b.pools {
		for i := range pool {
			if pool[i].ID == id {
				do(&pool[i])
			}
		}
	}
}

// key is what tells a backend from the others. Several may share a network interface.
func (in Instance) key() string {
	if in.isCVM() {
		return in.ID
	}
	return in.ID + " " + in.LanIP
}

func (in Instance) isCVM() bool { return in.Type == "" || in.Type == "CVM" }

// idLike is the ID, if it begins so.
func (in Instance) idLike(prefix string) string {
	if strings.HasPrefix(in.ID, prefix) {
		return in.ID
	}
	return ""
}

// readBackends reads what DescribeLoadBalancerBackends takes besides loadBalancerId.
func (q *query) readBackends(form url.Values) error { return q.readPage(form) }

// backendsV2 is the right answer to DescribeLoadBalancerBackends.
func (c *Cloud) backendsV2(q query) (answer, []Instance, error) {
	c.mu.Lock()
	b := c.balancers[q.region+"/"+q.lb]
	var pool []Instance
	known := b != nil && (b.forward == classic || c.applicationsEmpty)
	if known && b.forward == classic {
		pool = slices.Clone(b.pools[""])
	}
	c.mu.Unlock()
	if !known {
		return answer{}, nil, missing("%s in %s", q.lb, q.region)
	}
	return page(pool, q), pool, nil
}

type row struct {
	InstanceID     string   `json:"instanceId"`
	UnInstanceID   string   `json:"unInstanceId,omitempty"`
	InstanceName   string   `json:"instanceName"`
	LanIP          string   `json:"lanIp"`
	WanIPSet       []string `json:"wanIpSet"`
	InstanceStatus *int     `json:"instanceStatus,omitempty"`
	Weight         int      `json:"weight"`
}

// page is the right answer to a query for the backends of a classic load balancer.
func page(pool []Instance, q query) answer {
	total := len(pool)
	return answer{Code: 0, CodeDesc: "Success", TotalCount: &total, Set: rows(cut(pool, q.offset, q.limit))}
}

func rows(pool []Instance) []row {
	out := make([]row, len(pool))
	for i, in := range pool {
		sum := md5.Sum([]byte(in.ID)) // the old form of the id looks like this
		out[i] = row{"qcvm" + hex.EncodeToString(sum[:]), in.ID, in.Name, in.LanIP, in.WanIPs,
			&pool[i].Status, in.Weight}
	}
	return out
}

// classicTargetV3 is a backend as DescribeClassicalLBTargets shows it. RunFlag has the numbers of
// instanceStatus of API 2.0.
type classicTargetV3 struct {
	Type               string
	InstanceID         string `json:"InstanceId"`
	Weight             int
	PublicIPAddresses  []string `json:"PublicIpAddresses"`
	PrivateIPAddresses []string `json:"PrivateIpAddresses"`
	InstanceName       string
	RunFlag            int
}

// classicTargetsV3 is the right answer to DescribeClassicalLBTargets, which has no pages.
func (c *Cloud) classicTargetsV3(q queryV3) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := c.ofKind(q.region, q.lb, classic)
	if err != nil {
		return nil, err
	}
	targets := []classicTargetV3{}
	for _, in := range b.pools[""] {
		kind := "CVM"
		if !in.isCVM() {
			kind = in.Type
		}
		targets = append(targets,
			classicTargetV3{kind, in.ID, in.Weight, in.WanIPs, []string{in.LanIP}, in.Name, in.Status})
	}
	return map[string]any{"Targets": targets}, nil
}

// ofKind returns a load balancer that API 3.0 is asked about, which refuses one of the other kind, as was
// seen with DescribeClassicalLBListeners (facts: tencentcloud-sdk-go issue 135). The caller holds c.mu.
func (c *Cloud) ofKind(region, lb string, forward int) (*balancer, error) {
	b, ok := c.balancers[region+"/"+lb]
	switch {
	case !ok:
		return nil, errorV3{"InvalidParameter.LBIdNotFound", "there is no LoadBalancerId " + lb}
	case b.forward != forward:
		return nil, errorV3{"InvalidParameter", "Invalid LoadBalancerId, LoadBalancerId: " + lb}
	}
	return b, nil
}
