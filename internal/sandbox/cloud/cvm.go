package cloud

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"
)

// DescribeInstancesStatus is the action of CVM that tells the states of instances
// (https://cloud.tencent.com/document/api/213/15738): the name of its faults and calls. V3 answers it, to
// requests whose scope is of the service cvm.
const DescribeInstancesStatus = "DescribeInstancesStatus"

// maxInstances is how many instances one request may ask for. Source: DescribeInstancesStatus, InstanceIds.
const maxInstances = 100

// machine is an instance as CVM knows it.
type machine struct {
	status  int
	regions []string // one, in the real cloud, where ids are unique
	gone    bool
	hidden  time.Time // CVM does not know it before
}

// Register makes CVM know instances of a region without their being bound to anything. What is bound it knows
// already, and goes on knowing when it is unbound.
func (c *Cloud) Register(region string, ins ...Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exist(region, ins)
}

// Forget makes CVM not know an instance any more, as one that was destroyed. It stays bound, as it does in
// the real cloud (facts: the limits of CLB); binding it again, or Register, undoes it.
func (c *Cloud) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.machines[id]; m != nil {
		m.gone = true
	}
}

// exist notes that the instances among some backends exist in a region. The caller holds c.mu.
func (c *Cloud) exist(region string, ins []Instance) {
	for _, in := range ins {
		if !in.isCVM() {
			continue
		}
		m := c.machines[in.ID]
		if m == nil {
			m = &machine{}
			c.machines[in.ID] = m
		}
		m.status, m.gone = in.Status, false
		if !slices.Contains(m.regions, region) {
			m.regions = append(m.regions, region)
		}
	}
}

// move notes that the instances among some backends are in another region now. The caller holds c.mu.
func (c *Cloud) move(ins []Instance, from, to string) {
	for _, in := range ins {
		if m := c.machines[in.ID]; m != nil && in.isCVM() && from != to {
			m.regions = slices.DeleteFunc(m.regions, func(r string) bool { return r == from })
			m.regions = append(m.regions, to)
		}
	}
}

// runs reports whether a backend can answer at all. Of what is no instance nobody says that it does not run.
// The caller holds c.mu.
func (c *Cloud) runs(in Instance) bool {
	m := c.machines[in.ID]
	return !in.isCVM() || m != nil && !m.gone && m.status == 2
}

// instanceStates are the states of CVM (https://cloud.tencent.com/document/api/213/15753#InstanceStatus) for
// the numbers of instanceStatus of API 2.0.
var instanceStates = map[int]string{
	1: "LAUNCH_FAILED", 2: "RUNNING", 3: "PENDING", 4: "STOPPED", 5: "SHUTDOWN", 6: "TERMINATING",
	7: "REBOOTING", 8: "STARTING", 9: "STOPPING",
	21: "SERVICE_LIVE_MIGRATE",
}

// stateV3 is an instance as DescribeInstancesStatus shows it. For a number without a word of its own it has a
// word that nobody knows, which is legal.
type stateV3 struct {
	InstanceID    string `json:"InstanceId"`
	InstanceState string
}

// statesV3 is the right answer to DescribeInstancesStatus: the instances that were asked for and that there
// are in the region, in the order of the question, or all.
func (c *Cloud) statesV3(q queryV3) (map[string]any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := q.ids
	if ids == nil {
		ids = slices.Sorted(maps.Keys(c.machines))
	}
	for _, id := range q.ids {
		if code, ok := c.refusing[id]; ok {
			return nil, refusalV3{code, "because of " + id}
		}
	}
	found := []stateV3{}
	for _, id := range ids {
		m := c.machines[id]
		if m == nil || c.Now().Before(m.hidden) || m.gone || !slices.Contains(m.regions, q.region) {
			continue
		}
		state, ok := instanceStates[m.status]
		if !ok {
			state = fmt.Sprintf("STATUS_%d", m.status)
		}
		found = append(found, stateV3{id, state})
	}
	return map[string]any{"TotalCount": len(found), "InstanceStatusSet": cut(found, q.offset, q.limit)}, nil
}

var instanceID = regexp.MustCompile(`^ins-[0-9a-zA-Z-]+$`)

// readInstances reads InstanceIds of DescribeInstancesStatus. That none at all means every instance is
// documented; that an empty list does is not, and it is refused.
func readInstances(q *queryV3, raw json.RawMessage) error {
	if json.Unmarshal(raw, &q.ids) != nil || len(q.ids) == 0 {
		return errorV3{"InvalidParameterValue", "InstanceIds are no list of ids"}
	}
	if len(q.ids) > maxInstances {
		return errorV3{"InvalidParameterValue.LimitExceeded",
			fmt.Sprintf("%d InstanceIds, and %d are the most", len(q.ids), maxInstances)}
	}
	seen := make(map[string]bool)
	for _, id := range q.ids {
		switch {
		case !instanceID.MatchString(id):
			return errorV3{"InvalidInstanceId.Malformed", fmt.Sprintf("%q is no id of an instance", id)}
		case seen[id]:
			return errorV3{"InvalidParameterValue.Duplicate", id + " is in InstanceIds twice"}
		}
		seen[id] = true
	}
	return nil
}
