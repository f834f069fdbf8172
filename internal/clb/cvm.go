package clb

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"clbwatch/internal/lb"
)

// The status of an application load balancer's instances is CVM's to say.

// maxInstances is how many instances one call asks for. Source: DescribeInstancesStatus, InstanceIds.
const maxInstances = 100

// describeInstances is the action that tells the states of instances and nothing else: its answers are a fiftieth of
// those of DescribeInstances. Source: https://cloud.tencent.com/document/api/213/15738.
var describeInstances = action{"cvm", "2017-03-12", "DescribeInstancesStatus"}

// Statuses that API 2.0 has no number for.
const (
	returned     lb.Status = 5
	unknownState lb.Status = 99
)

// instanceStates are the states of CVM as the statuses that API 2.0 gives the same instances, so that a backend leaves the
// running status under the same conditions on both kinds of load balancers. Source: InstanceStatus, InstanceState.
var instanceStates = map[string]lb.Status{
	"LAUNCH_FAILED": 1, "RUNNING": lb.Running, "PENDING": 3, "STOPPED": 4, "SHUTDOWN": returned, "TERMINATING": 6,
	"REBOOTING": 7, "STARTING": 8, "STOPPING": 9,
	"ENTER_SERVICE_LIVE_MIGRATE": 21, "SERVICE_LIVE_MIGRATE": 21, "EXIT_SERVICE_LIVE_MIGRATE": 21,
	"ENTER_RESCUE_MODE": lb.Rescue, "RESCUE_MODE": lb.Rescue, "EXIT_RESCUE_MODE": lb.Rescue,
}

// statuses asks for the status of at most maxInstances instances. One that CVM does not know, and that is bound all the
// same, was returned: but only if it is missing from two answers.
func (c *Client) statuses(ctx context.Context, region string, ids []string) (map[string]lb.Status, error) {
	found, err := c.describeInstances(ctx, region, ids)
	if err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { _, ok := found[id]; return ok })
	if len(missing) > 0 {
		again, err := c.describeInstances(ctx, region, missing)
		if err != nil {
			return nil, err
		}
		maps.Copy(found, again)
		for _, id := range missing {
			if _, ok := again[id]; !ok {
				found[id] = returned
			}
		}
	}
	return found, nil
}

func (c *Client) describeInstances(ctx context.Context, region string, ids []string) (found map[string]lb.Status, err error) {
	params := map[string]any{"InstanceIds": ids, "Limit": maxInstances}
	err = c.callV3(ctx, region, describeInstances, params, func(body []byte) error {
		found, err = decodeStates(body, ids)
		return err
	})
	return found, err
}

// decodeStates reads an answer. It counts if it is whole by its own total, and about what was asked for.
func decodeStates(body []byte, asked []string) (map[string]lb.Status, error) {
	var a struct {
		Response *struct {
			TotalCount        *number
			InstanceStatusSet *[]struct {
				InstanceID    string `json:"InstanceId"`
				InstanceState string
			}
		}
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, transient{fmt.Errorf("the answer is damaged: %w", err)}
	}
	if a.Response == nil || a.Response.InstanceStatusSet == nil || a.Response.TotalCount == nil {
		return nil, errors.New("the answer has no InstanceStatusSet, or no TotalCount")
	}
	set := *a.Response.InstanceStatusSet
	if len(set) != int(*a.Response.TotalCount) {
		return nil, transient{fmt.Errorf("the answer has %d instances and says that they are %d", len(set), *a.Response.TotalCount)}
	}
	found := make(map[string]lb.Status, len(set))
	for _, s := range set {
		if !slices.Contains(asked, s.InstanceID) {
			return nil, fmt.Errorf("the answer is about %.60q, which was not asked for", s.InstanceID)
		}
		if s.InstanceState == "" {
			return nil, fmt.Errorf("%s has no InstanceState", s.InstanceID)
		}
		status, ok := instanceStates[s.InstanceState]
		if !ok {
			status = unknownState
		}
		found[s.InstanceID] = status
	}
	if len(found) != len(set) {
		return nil, errors.New("the answer has an instance twice")
	}
	return found, nil
}

// sumStates stands for the statuses of some instances.
func sumStates(states map[string]lb.Status) string {
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(states)) {
		_, _ = fmt.Fprintf(h, "%s=%d\n", id, states[id]) // never fails
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:9])
}

// endpointOf is where a product of API 3.0 answers: the host of its own beside that of CLB, or the same, if that is no
// product's, as a proxy's.
func (c *Client) endpointOf(service string) *url.URL {
	u := *c.EndpointV3
	if rest, ok := strings.CutPrefix(u.Host, "clb."); ok {
		u.Host = service + "." + rest
	}
	return &u
}
