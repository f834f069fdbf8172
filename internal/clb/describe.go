package clb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

// What there is to know of load balancers themselves: which there are, and of which kind.

// Balancer is what is known of a load balancer itself.
type Balancer struct {
	Name         string // untrusted text
	Kind         lb.Type
	TargetRegion string            // where its instances are, if elsewhere; "" by API 2.0, which does not say
	Tags         map[string]string // untrusted text; nil by API 2.0, which does not say
}

// balancer is one of DescribeLoadBalancers of API 2.0, https://cloud.tencent.com/document/api/214/1261.
type balancer struct {
	ID      string          `json:"unLoadBalancerId"`
	Name    json.RawMessage `json:"loadBalancerName"`
	Forward *number         `json:"forward"`
}

// describeBalancers is the same of API 3.0. Source: https://cloud.tencent.com/document/api/214/30685.
var describeBalancers = action{"clb", "2018-03-17", "DescribeLoadBalancers"}

const (
	// maxIDs is how many load balancers one call may ask for. Source: DescribeLoadBalancers of API 3.0, LoadBalancerIds.
	maxIDs = 20
	// listSize is how many load balancers one page of a list has. Source: the same, Limit.
	listSize = 100
	// maxListPages bounds a list.
	maxListPages = 500
)

// found is one page of a list of load balancers, by either API.
type found struct {
	ids   []string // in the order of the answer
	all   map[string]Balancer
	total int // of all pages
}

// Describe returns what one version of the API, V2 or V3, knows of load balancers in one region, by id; those that it does
// not know are left out.
func (c *Client) Describe(ctx context.Context, by API, region string, ids []string) (map[string]Balancer, error) {
	all := make(map[string]Balancer)
	for len(ids) > 0 {
		some := ids[:min(len(ids), maxIDs)]
		ids = ids[len(some):]
		f, err := c.list(ctx, by, region, some, 0)
		if err != nil {
			return nil, c.redact(err)
		}
		maps.Copy(all, f.all)
	}
	return all, nil
}

// kinds is Describe for at most maxIDs load balancers, by the version that is to be asked.
func (c *Client) kinds(ctx context.Context, region string, ids []string) (all map[string]Balancer, err error) {
	var apps []string
	err = c.either(ctx, false, func(by API) error {
		f, err := c.list(ctx, by, region, ids, 0)
		all, apps = f.all, nil
		for id, b := range f.all {
			if by == V2 && b.Kind == lb.Application {
				apps = append(apps, id)
			}
		}
		return err
	})
	if err != nil || len(apps) == 0 {
		return all, err
	}
	// Where its instances are, which only API 3.0 says.
	more, err := c.list(ctx, V3, region, apps, 0)
	maps.Copy(all, more.all)
	return all, err
}

// lists is the version of the API that is asked for lists: 3.0, which alone tells tags, unless only 2.0 is wanted.
func (c *Client) lists() API {
	if c.API == V2 {
		return V2
	}
	return V3
}

// Exist returns those of some load balancers of a region that there are.
func (c *Client) Exist(ctx context.Context, region string, ids []string) (map[string]bool, error) {
	all, err := c.Describe(ctx, c.lists(), region, ids)
	there := make(map[string]bool, len(all))
	for id := range all {
		there[id] = true
	}
	return there, err
}

var _ watch.Finder = (*Client)(nil)

// List returns all load balancers of a region: a list that is whole by its own total, and has none twice.
func (c *Client) List(ctx context.Context, region string) ([]watch.Listed, error) {
	list, err := c.listAll(ctx, region)
	if errors.Is(err, errShifted) { // one came or went between two pages
		list, err = c.listAll(ctx, region)
	}
	return list, c.redact(err)
}

func (c *Client) listAll(ctx context.Context, region string) (list []watch.Listed, err error) {
	seen := make(map[string]bool)
	for n := range maxListPages {
		f, err := c.list(ctx, c.lists(), region, nil, n*listSize)
		if err != nil {
			return nil, err
		}
		for _, id := range f.ids {
			if seen[id] {
				return nil, fmt.Errorf("%w: %.60q is in the list twice", errShifted, id)
			}
			seen[id] = true
			list = append(list, watch.Listed{ID: id, Name: f.all[id].Name, Tags: f.all[id].Tags})
		}
		switch {
		case len(list) == f.total:
			return list, nil
		case len(list) > f.total || len(f.ids) < listSize:
			return nil, fmt.Errorf("%w: the list has %d load balancers after page %d and says that they are %d", errShifted, len(list), n+1, f.total)
		}
	}
	return nil, fmt.Errorf("more than %d load balancers: not a plausible list", maxListPages*listSize)
}

// list makes one call of DescribeLoadBalancers: for some ids, or for one page of all if there are none.
func (c *Client) list(ctx context.Context, by API, region string, ids []string, offset int) (found, error) {
	if by == V3 {
		return c.listV3(ctx, region, ids, offset)
	}
	params := map[string]string{"forward": "-1", "limit": strconv.Itoa(listSize)} // without forward: the classic ones only
	if offset > 0 {
		params["offset"] = strconv.Itoa(offset)
	}
	for i, id := range ids {
		params["loadBalancerIds."+strconv.Itoa(i)] = id
	}
	p, err := c.call(ctx, request{"DescribeLoadBalancers", region, params}, "")
	if err != nil {
		return found{}, err
	}
	if p.answer.Balancers == nil || p.answer.TotalCount == nil {
		return found{}, errors.New("the answer has no loadBalancerSet, or no totalCount")
	}
	f := found{total: int(*p.answer.TotalCount), all: make(map[string]Balancer)}
	for _, b := range *p.answer.Balancers {
		if err := f.add(b.ID, b.Name, b.Forward, Balancer{}); err != nil {
			return found{}, err
		}
	}
	return f, nil
}

func (c *Client) listV3(ctx context.Context, region string, ids []string, offset int) (f found, err error) {
	params := map[string]any{"Limit": listSize}
	if offset > 0 {
		params["Offset"] = offset
	}
	if len(ids) > 0 {
		params["LoadBalancerIds"] = ids
	}
	err = c.callV3(ctx, region, describeBalancers, params, func(body []byte) (err error) {
		f, err = decodeList(body, region)
		return err
	})
	return f, err
}

func decodeList(body []byte, region string) (f found, err error) {
	var a struct {
		Response *struct {
			TotalCount      *number
			LoadBalancerSet *[]struct {
				ID               string          `json:"LoadBalancerId"`
				Name             json.RawMessage `json:"LoadBalancerName"`
				Forward          *number
				TargetRegionInfo *struct{ Region string }
				Tags             []struct{ TagKey, TagValue string }
			}
		}
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return f, transient{fmt.Errorf("the answer is damaged: %w", err)}
	}
	if a.Response == nil || a.Response.LoadBalancerSet == nil || a.Response.TotalCount == nil {
		return f, errors.New("the answer of API 3.0 has no LoadBalancerSet, or no TotalCount")
	}
	f = found{total: int(*a.Response.TotalCount), all: make(map[string]Balancer)}
	for _, b := range *a.Response.LoadBalancerSet {
		is := Balancer{Tags: make(map[string]string, len(b.Tags))}
		for _, t := range b.Tags {
			is.Tags[t.TagKey] = t.TagValue
		}
		if t := b.TargetRegionInfo; t != nil && t.Region != region && plausibleID(t.Region) {
			is.TargetRegion = t.Region
		}
		if err := f.add(b.ID, b.Name, b.Forward, is); err != nil {
			return f, err
		}
	}
	return f, nil
}

// add takes the next load balancer of an answer.
func (f *found) add(id string, name json.RawMessage, forward *number, is Balancer) error {
	if !plausibleID(id) {
		return fmt.Errorf("the list has %.60q, which is no load balancer's id", id)
	}
	if forward == nil {
		return fmt.Errorf("%.60q has no forward, which is its kind", id)
	}
	is.Name = text(name)
	if *forward == 1 {
		is.Kind = lb.Application
	}
	f.ids = append(f.ids, id)
	f.all[id] = is
	return nil
}

// plausibleID reports whether an id, or a region, is of letters, digits and dashes: it becomes part of keys and digests.
func plausibleID(id string) bool {
	for _, r := range id {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return id != "" && len(id) <= 64
}

// Skew is how far this machine's clock is ahead of the API's, to the second. The API refuses requests that are five
// minutes off (code 4500).
func (c *Client) Skew(ctx context.Context) (time.Duration, error) {
	if c.API == V3 {
		return c.skew(ctx, c.EndpointV3)
	}
	skew, err := c.skew(ctx, c.Endpoint)
	if closed(err) && c.API == Auto {
		return c.skew(ctx, c.EndpointV3)
	}
	return skew, err
}

func (c *Client) skew(ctx context.Context, endpoint *url.URL) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, endpoint.String(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return 0, c.unreached(err)
	}
	_ = resp.Body.Close() // a HEAD has none
	theirs, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, fmt.Errorf("the API does not say what time it is: Date is %.40q", resp.Header.Get("Date"))
	}
	return c.Now().Sub(theirs).Truncate(time.Second), nil
}
