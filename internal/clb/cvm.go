package clb

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/lb"
)

// The status of an application load balancer's instances is CVM's to say.

// maxInstances is how many instances one call asks for. Source: DescribeInstancesStatus, InstanceIds.
const maxInstances = 100

// describeInstances is the action that tells the states of instances and nothing else: its answers are a
// fiftieth of those of DescribeInstances. Source: https://cloud.tencent.com/document/api/213/15738.
var describeInstances = action{"cvm", "2017-03-12", "DescribeInstancesStatus"}

// Statuses that API 2.0 has no number for.
const (
	terminated   lb.Status = 5
	unknownState lb.Status = 99
)

// instanceStates are the states of CVM as the statuses that API 2.0 gives the same instances, so that a
// backend leaves the running status under the same conditions on both kinds of load balancers. Source:
// InstanceStatus, InstanceState.
var instanceStates = map[string]lb.Status{
	"LAUNCH_FAILED": 1, "RUNNING": lb.Running, "PENDING": 3, "STOPPED": 4, "SHUTDOWN": terminated,
	"TERMINATING": 6,
	"REBOOTING":   7, "STARTING": 8, "STOPPING": 9,
	"ENTER_SERVICE_LIVE_MIGRATE": 21, "SERVICE_LIVE_MIGRATE": 21, "EXIT_SERVICE_LIVE_MIGRATE": 21,
	"ENTER_RESCUE_MODE": lb.Rescue, "RESCUE_MODE": lb.Rescue, "EXIT_RESCUE_MODE": lb.Rescue,
}

// statuses asks for the status of at most maxInstances instances. One that is in neither, with a nil error,
// CVM does not know; with an error, nobody knows.
func (c *Client) statuses(ctx context.Context, region string, ids []string) (found map[string]lb.Status,
	err error) {
	params := map[string]any{"InstanceIds": ids, "Limit": maxInstances}
	l := c.parts().room.lease()
	defer l.keep(0)
	err = c.callV3(ctx, l, region, describeInstances, params, func(body []byte) error {
		states, err := decodeStates(body, ids)
		if states != nil {
			found = states
		}
		return err
	})
	return found, err
}

// instancesV3 is an answer of DescribeInstancesStatus.
type instancesV3 struct {
	Response *struct {
		TotalCount        num
		InstanceStatusSet list[struct {
			InstanceID    str  `json:"InstanceId"`
			InstanceState *str // nil if there is none, or null
		}]
	}
}

// decodeStates reads an answer. What it says of instances that were asked for counts; that some are missing
// counts only if there are no odd rows and the answer is whole by its own total: else there is an error too.
func decodeStates(body []byte, asked []string) (map[string]lb.Status, error) {
	var a instancesV3
	if err := decodeAnswer(body, &a); err != nil {
		return nil, err
	}
	if a.Response == nil || !a.Response.InstanceStatusSet.there {
		return nil, errors.New("the answer has no InstanceStatusSet")
	}
	set := a.Response.InstanceStatusSet.of
	found := make(map[string]lb.Status, len(set))
	odd, told := 0, 0
	for _, s := range set {
		id := string(s.InstanceID)
		if !slices.Contains(asked, id) {
			odd++
			continue
		}
		status := lb.Unknown
		if s.InstanceState != nil && *s.InstanceState != "" {
			told++
			status = cmp.Or(instanceStates[string(*s.InstanceState)], unknownState)
		}
		if was, twice := found[id]; twice && was != status {
			status = lb.Unknown
		}
		found[id] = status
	}
	if len(set) > 1 && told == 0 {
		return nil, errors.New("no row of the answer has an InstanceState")
	}
	total := a.Response.TotalCount
	switch {
	case len(found) == len(asked):
		return found, nil
	case odd > 0:
		return some(found),
			transient{fmt.Errorf("the answer has %d rows that are about no instance that was asked for", odd)}
	case !total.ok || total.v != len(set):
		return some(found), transient{fmt.Errorf("the answer has %d instances and says that they are %d",
			len(set), total.v)}
	}
	return found, nil
}

// some is what was found; nil if that is nothing.
func some(found map[string]lb.Status) map[string]lb.Status {
	if len(found) == 0 {
		return nil
	}
	return found
}

const (
	// askAgainAfter is how long an instance that CVM does not know is left alone before it is asked for
	// again: one that was just created needs a moment.
	askAgainAfter = 2 * time.Second
)

// instancesOf returns the statuses of a load balancer's instances, and which of them CVM does not know. Those
// are terminated, and bound all the same; but that is believed only if the load balancer is still what was
// remembered of it, and if they are missing from two answers. The status of what nobody tells is Unknown.
func (c *Client) instancesOf(ctx context.Context, balancer lb.CLB, m memory,
	ids []string) (states map[string]lb.Status, gone string, err error) {
	if len(ids) == 0 {
		return nil, "", nil
	}
	region := cmp.Or(m.region, balancer.Region)
	states, failed, err := c.parts().instances.get(ctx, region, ids)
	if err != nil {
		return nil, "", err
	}
	if len(failed) == len(ids) && !c.parts().instances.answeredAny(region) {
		return nil, "", failed[ids[0]] // nobody may ask, or nothing answers
	}
	for id := range failed {
		states[id] = lb.Unknown
	}
	missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { _, ok := states[id]; return ok })
	if len(missing) == 0 {
		return states, "", nil
	}
	is, err := c.lookUp(ctx, balancer)
	sure := err == nil && !is.regionUnknown
	if sure && !is.kindUnknown && (is.Kind != lb.Application || is.TargetRegion != m.region) {
		return nil, "", errMoved{is}
	}
	if !sure && len(missing) == len(ids) { // they may all be in another region
		for _, id := range missing {
			states[id] = lb.Unknown
		}
		return states, "", nil
	}
	if gone = sumIDs(missing); gone != m.gone {
		if missing, err = c.askAgain(ctx, region, missing, states); err != nil {
			return nil, "", err
		}
		gone = sumIDs(missing)
	}
	for _, id := range missing {
		states[id] = terminated
	}
	return states, gone, nil
}

// askAgain asks once more, after a while, for instances that were missing from a first answer, and returns
// those that are still missing. What it does not learn is Unknown.
func (c *Client) askAgain(ctx context.Context, region string, ids []string,
	states map[string]lb.Status) (missing []string, err error) {
	c.parts().crowd.while(func() { err = c.Sleep(ctx, askAgainAfter) })
	var found map[string]lb.Status
	var failed map[string]error
	if err == nil {
		found, failed, err = c.parts().again.get(ctx, region, ids)
	}
	for _, id := range ids {
		status, ok := found[id]
		switch {
		case ok:
			states[id] = status
		case err != nil || failed[id] != nil:
			states[id] = lb.Unknown
		default:
			missing = append(missing, id)
		}
	}
	return missing, nil
}

// sumIDs stands for some ids, in order; "" for none.
func sumIDs(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(ids, " ")))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// sumStates stands for the statuses of some instances.
func sumStates(states map[string]lb.Status) string {
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(states)) {
		_, _ = fmt.Fprintf(h, "%s=%d\n", id, states[id]) // never fails
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:9])
}

// endpointOf is where a product of API 3.0 answers about a region: the host of its own beside that of CLB, or
// the same, if that is no product's, as a proxy's. The finance regions have hosts of their own and answer at
// no other.
func (c *Client) endpointOf(service, region string) *url.URL {
	u := *c.EndpointV3
	rest, ok := strings.CutPrefix(u.Host, "clb.")
	switch {
	case ok && rest == "tencentcloudapi.com" && strings.HasSuffix(region, "-fsi"):
		u.Host = service + "." + region + "." + rest
	case ok:
		u.Host = service + "." + rest
	}
	return &u
}
