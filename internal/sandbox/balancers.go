package sandbox

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

// DescribeLoadBalancers is the action that lists load balancers (https://cloud.tencent.com/document/api/214/1261): the
// name of its faults and calls for Fail and CallsTo.
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
	id, name string
	forward  int        // classic or application
	pool     []Instance // in the order of binding
}

// SetName names a load balancer, which it creates if need be. Without it the name is the id.
func (c *Cloud) SetName(region, lb, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.balancer(region, lb).name = name
}

// SetApplication makes a load balancer, which it creates if need be, one of the application kind (forward 1), as an
// upgrade does: id and name stay. What DescribeLoadBalancerBackends answers for it is not documented; here it is code 5000,
// or what SetApplicationsEmpty says.
func (c *Cloud) SetApplication(region, lb string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.balancer(region, lb).forward = application
}

// SetApplicationsEmpty chooses what DescribeLoadBalancerBackends answers for load balancers of the application kind: in
// perfect form that nothing is bound, or code 5000.
func (c *Cloud) SetApplicationsEmpty(empty bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applicationsEmpty = empty
}

// balancer returns a load balancer, a new and classic one if need be. The caller holds c.mu.
func (c *Cloud) balancer(region, lb string) *balancer {
	b, ok := c.balancers[region+"/"+lb]
	if !ok {
		b = &balancer{id: lb, name: lb, forward: classic}
		c.balancers[region+"/"+lb] = b
	}
	return b
}

// find returns the load balancers of a region and kind without their backends, sorted by id: those with the ids, or all
// if there are none.
func (c *Cloud) find(region string, ids []string, forward int) []balancer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []balancer
	add := func(b *balancer) {
		if forward == anyKind || forward == b.forward {
			found = append(found, balancer{id: b.id, name: b.name, forward: b.forward})
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

// readList reads what DescribeLoadBalancers of API 2.0 takes besides offset and limit. Without forward it means the
// classic kind only, unlike API 3.0.
func (q *query) readList(form url.Values) (err error) {
	q.list, q.lb = true, DescribeLoadBalancers
	if q.forward, err = number(form, "forward", classic, anyKind, application); err != nil {
		return err
	}
	q.ids, err = numbered(form, "loadBalancerIds")
	return err
}

// numbered returns the values of name.0, name.1 and so on, which may begin at 1 as well; nil if there are none.
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

// listAnswer is an answer with the set under another name.
type listAnswer struct {
	Code       any    `json:"code,omitempty"`
	Message    string `json:"message"`
	CodeDesc   string `json:"codeDesc"`
	TotalCount *int   `json:"totalCount,omitempty"`
	BackendSet any    `json:"loadBalancerSet,omitempty"`

	list bool
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

// listV2 is the right answer to a query for load balancers.
func listV2(found []balancer, q query) answer {
	total := len(found)
	set := []listedV2{}
	for _, b := range cut(found, q.offset, q.limit) {
		set = append(set, listedV2{b.id, b.id, b.name, 2, b.forward, 1, b.vips(), created, vpc, 0})
	}
	return answer{Code: 0, CodeDesc: "Success", TotalCount: &total, BackendSet: set}
}

// cut returns one page.
func cut(found []balancer, offset, limit int) []balancer {
	from := min(offset, len(found))
	return found[from:min(from+limit, len(found))]
}

// vips are the addresses of a load balancer: one, always the same, of those kept for documentation (RFC 5737).
func (b balancer) vips() []string {
	sum := md5.Sum([]byte(b.id))
	return []string{fmt.Sprintf("203.0.113.%d", 1+sum[0]%254)}
}
