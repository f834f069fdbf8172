package cloud

import (
	"cmp"
	"crypto/md5"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// DescribeLoadBalancers is the action that lists load balancers, of API 2.0
// (https://cloud.tencent.com/document/api/214/1261) and of API 3.0
// (https://cloud.tencent.com/document/api/214/30685): the name of its faults and calls for Fail, CallsTo,
// FailV3On and CallsV3To.
const DescribeLoadBalancers = "DescribeLoadBalancers"

// Kinds of load balancers, as the API numbers them in forward.
const (
	anyKind     = -1
	classic     = 0
	application = 1
)

// What every load balancer here has in common.
const (
	created = "2017-05-11 10:00:00"
	vpc     = 35503 // the number of vpcName
	vpcName = "vpc-5hw1ws7h"
)

// balancer is a load balancer as the cloud has it.
type balancer struct {
	region, id, name string
	forward          int // classic or application
	tags             map[string]string
	target           string                // the region of what is bound to it; "" for its own
	listeners        []Listener            // nil for the default ones
	pools            map[string][]Instance // by place, each in the order of binding
	health           map[probe]string      // what was set; else all is well
}

// Create makes an empty load balancer, or empties one.
func (c *Cloud) Create(region, lb string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.balancer(region, lb)
	b.pools, b.health = make(map[string][]Instance), make(map[probe]string)
}

// Delete removes a load balancer: reading it is an error from now on.
func (c *Cloud) Delete(region, lb string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.balancers, region+"/"+lb)
}

// SetName names a load balancer, which it creates if need be. Without it the name is the id.
func (c *Cloud) SetName(region, lb, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.balancer(region, lb).name = name
}

// SetApplication makes a load balancer, which it creates if need be, one of the application kind (forward 1),
// as an upgrade does: id and name stay, and what was bound is bound to every listener and rule of it. What
// DescribeLoadBalancerBackends answers for it is not documented; here it is code 5000, or what
// SetApplicationsEmpty says.
func (c *Cloud) SetApplication(region, lb string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.balancer(region, lb)
	if b.forward == application {
		return
	}
	pool := b.pools[""]
	b.forward, b.pools = application, make(map[string][]Instance)
	for _, p := range b.places() {
		b.pools[p.name] = slices.Clone(pool)
	}
}

// Application reports whether a load balancer is of the application kind.
func (c *Cloud) Application(region, lb string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known(region, lb, application) != nil
}

// SetApplicationsEmpty chooses what DescribeLoadBalancerBackends answers for load balancers of the
// application kind: in perfect form that nothing is bound, or code 5000.
func (c *Cloud) SetApplicationsEmpty(empty bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applicationsEmpty = empty
}

// SetTags gives a load balancer, which it creates if need be, other tags. Only API 3.0 shows them.
func (c *Cloud) SetTags(region, lb string, tags map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.balancer(region, lb).tags = maps.Clone(tags)
}

// SetTargetRegion says in which region the backends of a load balancer are, which it creates if need be:
// cross-region binding. The instances move there, as CVM sees it; "" is the load balancer's own region. Only
// API 3.0 shows it.
func (c *Cloud) SetTargetRegion(region, lb, target string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.balancer(region, lb)
	from := b.home()
	b.target = target
	for _, pool := range b.pools {
		c.move(pool, from, b.home())
	}
}

// home is the region of what is bound.
func (b *balancer) home() string { return cmp.Or(b.target, b.region) }

// balancer returns a load balancer, a new and classic one if need be. The caller holds c.mu.
func (c *Cloud) balancer(region, lb string) *balancer {
	b, ok := c.balancers[region+"/"+lb]
	if !ok {
		b = &balancer{region: region, id: lb, name: lb, forward: classic,
			pools: make(map[string][]Instance), health: make(map[probe]string)}
		c.balancers[region+"/"+lb] = b
	}
	return b
}

// known returns the load balancer of an id and kind, or nil. The caller holds c.mu.
func (c *Cloud) known(region, lb string, forward int) *balancer {
	if b := c.balancers[region+"/"+lb]; b != nil && b.forward == forward {
		return b
	}
	return nil
}

// find returns the load balancers of a region and kind without their backends, sorted by id: those with the
// ids, or all if there are none.
func (c *Cloud) find(region string, ids []string, forward int) []balancer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []balancer
	add := func(b *balancer) {
		if forward == anyKind || forward == b.forward {
			found = append(found, balancer{
				region: b.region, id: b.id, name: b.name, forward: b.forward, tags: b.tags, target: b.target,
			})
		}
	}
	if ids == nil {
		for key, b := range c.balancers {
			if strings.HasPrefix(key, region+"/") {
				add(b)
			}
		}
	}
	for _, id := range ids {
		if b, ok := c.balancers[region+"/"+id]; ok {
			add(b)
		}
	}
	slices.SortFunc(found, func(a, b balancer) int { return cmp.Compare(a.id, b.id) })
	return slices.CompactFunc(found, func(a, b balancer) bool { return a.id == b.id })
}

// readList reads what DescribeLoadBalancers of API 2.0 takes. Without forward it means the
// classic kind only, unlike API 3.0.
func (q *query) readList(form url.Values) (err error) {
	if err = q.readPage(form); err != nil {
		return err
	}
	if q.forward, err = number(form, "forward", classic, anyKind, application); err != nil {
		return err
	}
	q.ids, err = numbered(form, "loadBalancerIds")
	return err
}

// numbered returns the values of name.0, name.1 and so on, which may begin at 1 as well; nil if there are
// none.
func numbered(form url.Values, name string) ([]string, error) {
	at := make(map[int]string)
	for key := range form {
		rest, ok := strings.CutPrefix(key, name)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(strings.TrimPrefix(rest, "."))
		if err != nil || rest != "."+strconv.Itoa(n) || form.Get(key) == "" {
			return nil, fmt.Errorf("%s %q is not %s.N with a value", key, form.Get(key), name)
		}
		at[n] = form.Get(key)
	}
	var values []string
	for i, n := range slices.Sorted(maps.Keys(at)) {
		if _, zero := at[0]; zero && n != i || !zero && n != i+1 {
			return nil, fmt.Errorf("%s has a gap before %d", name, n)
		}
		values = append(values, at[n])
	}
	return values, nil
}

// listedV2 is a load balancer as API 2.0 lists it; both ids have long been the same.
type listedV2 struct {
	LoadBalancerID   string   `json:"loadBalancerId"`
	UnLoadBalancerID string   `json:"unLoadBalancerId"`
	LoadBalancerName string   `json:"loadBalancerName"`
	LoadBalancerType int      `json:"loadBalancerType"` // 2: public
	Forward          int      `json:"forward"`
	Status           int      `json:"status"` // 1: running
	LoadBalancerVips []string `json:"loadBalancerVips"`
	CreateTime       string   `json:"createTime"`
	VpcID            int      `json:"vpcId"`
	Isolation        int      `json:"isolation"`
}

// listV2 is the right answer to DescribeLoadBalancers of API 2.0.
func (c *Cloud) listV2(q query) (answer, []Instance, error) {
	found := c.find(q.region, q.ids, q.forward)
	total := len(found)
	set := []listedV2{}
	for _, b := range cut(found, q.offset, q.limit) {
		set = append(set, listedV2{b.id, b.id, b.name, 2, b.forward, 1, b.vips(), created, vpc, 0})
	}
	return answer{Code: 0, CodeDesc: "Success", TotalCount: &total, Set: set}, nil, nil
}

// listedV3 is a load balancer as API 3.0 lists it. Unlike API 2.0 it has the type and the VPC in words, the
// tags, and where its backends are.
type listedV3 struct {
	LoadBalancerID   string `json:"LoadBalancerId"`
	LoadBalancerName string
	LoadBalancerType string
	Forward          int
	Status           int // 1: running
	LoadBalancerVips []string
	CreateTime       string
	VpcID            string `json:"VpcId"`
	NumericalVpcID   int    `json:"NumericalVpcId"`
	TargetRegionInfo regionV3
	Tags             []tagV3 // null without any
	Isolation        int
}

type regionV3 struct {
	Region string
	VpcID  string `json:"VpcId"`
}

type tagV3 struct{ TagKey, TagValue string }

// listV3 is the right answer to DescribeLoadBalancers of API 3.0. The documentation has the latest first;
// here all are of one second, and in the order of their ids.
func (c *Cloud) listV3(q queryV3) (map[string]any, error) {
	found := c.find(q.region, q.ids, q.forward)
	set := []listedV3{}
	for _, b := range cut(found, q.offset, q.limit) {
		var tags []tagV3
		for _, key := range slices.Sorted(maps.Keys(b.tags)) {
			tags = append(tags, tagV3{key, b.tags[key]})
		}
		set = append(set, listedV3{
			b.id, b.name, "OPEN", b.forward, 1, b.vips(), created, vpcName, vpc,
			regionV3{b.home(), vpcName}, tags, 0,
		})
	}
	return map[string]any{"TotalCount": len(found), "LoadBalancerSet": set}, nil
}

// cut returns one page.
func cut[T any](found []T, offset, limit int) []T {
	from := min(offset, len(found))
	return found[from:min(from+limit, len(found))]
}

// vips are the addresses of a load balancer: one, always the same, of those kept for documentation (RFC
// 5737).
func (b balancer) vips() []string {
	sum := md5.Sum([]byte(b.id))
	return []string{fmt.Sprintf("203.0.113.%d", 1+sum[0]%254)}
}
