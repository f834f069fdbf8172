package clb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"clbwatch/internal/advice"
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

	kindUnknown   bool // the answer does not tell its kind
	regionUnknown bool // nor where its instances are, and nobody else does
}

// memory is what to read it as.
func (b Balancer) memory() memory { return memory{kind: b.Kind, region: b.TargetRegion} }

// balancer is one of DescribeLoadBalancers of API 2.0, https://cloud.tencent.com/document/api/214/1261.
type balancer struct {
	ID      str `json:"unLoadBalancerId"`
	Name    str `json:"loadBalancerName"`
	Forward num `json:"forward"`
}

// describeBalancers is the same of API 3.0. Source: https://cloud.tencent.com/document/api/214/30685.
var describeBalancers = action{"clb", "2018-03-17", "DescribeLoadBalancers"}

const (
	// maxIDs is how many load balancers one call may ask for. Source: DescribeLoadBalancers of API 3.0,
	// LoadBalancerIds.
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
	rows  int // of the answer, those too that say nothing
	total int // of all pages
}

// Describe returns what one version of the API, V2 or V3, knows of load balancers in one region, by id; those
// that it does not know are left out.
func (c *Client) Describe(ctx context.Context, by API, region string, ids []string) (map[string]Balancer,
	error) {
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
func (c *Client) kinds(ctx context.Context, region string, ids []string) (all map[string]Balancer,
	err error) {
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
	// Where its instances are, which only API 3.0 says. If it does not, the others are known all the same.
	more, err := c.list(ctx, V3, region, apps, 0)
	for _, id := range apps {
		is, ok := more.all[id]
		if !ok {
			is = all[id]
			is.regionUnknown = err != nil
		}
		all[id] = is
	}
	return all, nil
}

// lists is the version of the API that is asked for lists: 3.0, which alone tells tags, unless only 2.0 is
// wanted.
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

// List returns all load balancers of a region: a list that is whole by its own total. What an odd row is
// about, it does not know: such a load balancer is not in it.
func (c *Client) List(ctx context.Context, region string) ([]watch.Listed, error) {
	list, err := c.listAll(ctx, region)
	if errors.Is(err, errShifted) { // one came or went between two pages
		list, err = c.listAll(ctx, region)
	}
	if noSuchRegion(err) {
		err = marked{err, watch.ErrNoRegion}
	}
	return list, c.redact(err)
}

// noSuchRegion reports whether an error about a whole list says that there is no such region.
func noSuchRegion(err error) bool {
	var code *Error
	var refused *refusal
	switch {
	case errors.As(err, &code):
		return code.Code == 4000 // nothing else in the request could be wrong
	case errors.As(err, &refused):
		return noRegion(refused.code)
	}
	return false
}

func (c *Client) listAll(ctx context.Context, region string) (list []watch.Listed, err error) {
	seen := make(map[string]bool)
	rows := 0
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
		if rows += f.rows; f.rows > 0 && len(f.ids) == 0 {
			return nil, errors.New("no row of the list has a plausible id of a load balancer")
		}
		switch {
		case rows == f.total:
			return list, nil
		case rows > f.total || f.rows < listSize:
			return nil,
				fmt.Errorf("%w: the list has %d load balancers after page %d and says that they are %d",
					errShifted, rows, n+1, f.total)
		}
	}
	return nil, fmt.Errorf("more than %d load balancers: not a plausible list", maxListPages*listSize)
}

// list makes one call of DescribeLoadBalancers: for some ids, or for one page of all if there are none.
func (c *Client) list(ctx context.Context, by API, region string, ids []string, offset int) (found, error) {
	if by == V3 {
		return c.listV3(ctx, region, ids, offset)
	}
	// without forward: the classic ones only
	params := map[string]string{"forward": "-1", "limit": strconv.Itoa(listSize)}
	if offset > 0 {
		params["offset"] = strconv.Itoa(offset)
	}
	for i, id := range ids {
		params["loadBalancerIds."+strconv.Itoa(i)] = id
	}
	l := c.parts().room.lease()
	defer l.keep(0)
	p, err := c.call(ctx, l, request{"DescribeLoadBalancers", region, params}, "")
	if err != nil {
		return found{}, err
	}
	a := p.answer
	if a.TotalCount == nil || !a.Balancers.there || a.Balancers.null && *a.TotalCount > 0 {
		return found{}, errors.New("the answer has no loadBalancerSet, or no totalCount")
	}
	f := found{total: int(*a.TotalCount), all: make(map[string]Balancer)}
	for _, b := range a.Balancers.of {
		f.add(b.ID, b.Name, b.Forward, Balancer{})
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
	l := c.parts().room.lease()
	defer l.keep(0)
	err = c.callV3(ctx, l, region, describeBalancers, params, func(body []byte) (err error) {
		f, err = decodeList(body, region)
		return err
	})
	return f, err
}

// balancersV3 is an answer of DescribeLoadBalancers.
type balancersV3 struct {
	Response *struct {
		TotalCount      *number
		LoadBalancerSet list[balancerV3]
	}
}

type balancerV3 struct {
	ID               str `json:"LoadBalancerId"`
	Name             str `json:"LoadBalancerName"`
	Forward          num
	TargetRegionInfo *struct{ Region str }
	Tags             list[struct{ TagKey, TagValue str }]
}

func decodeList(body []byte, region string) (f found, err error) {
	var a balancersV3
	if err := decodeAnswer(body, &a); err != nil {
		return f, err
	}
	r := a.Response
	if r == nil || r.TotalCount == nil || !r.LoadBalancerSet.there || r.LoadBalancerSet.null &&
		*r.TotalCount > 0 {
		return f, errors.New("the answer of API 3.0 has no LoadBalancerSet, or no TotalCount")
	}
	f = found{total: int(*a.Response.TotalCount), all: make(map[string]Balancer)}
	for _, b := range a.Response.LoadBalancerSet.of {
		is := Balancer{Tags: make(map[string]string, len(b.Tags.of))}
		for _, t := range b.Tags.of {
			is.Tags[string(t.TagKey)] = string(t.TagValue)
		}
		if t := b.TargetRegionInfo; t != nil && string(t.Region) != region && plausibleID(string(t.Region)) {
			is.TargetRegion = string(t.Region)
		}
		f.add(b.ID, b.Name, b.Forward, is)
	}
	return f, nil
}

// add takes the next row of an answer. One without an id is not known; one without a kind is tried as either.
func (f *found) add(id, name str, forward num, is Balancer) {
	f.rows++
	if !plausibleID(string(id)) {
		return
	}
	is.Name = string(name)
	is.kindUnknown = !forward.ok
	if forward.v == 1 {
		is.Kind = lb.Application
	}
	f.ids = append(f.ids, string(id))
	f.all[string(id)] = is
}

// plausibleID reports whether an id, or a region, is of letters, digits and dashes: it becomes part of keys
// and digests.
func plausibleID(id string) bool {
	for _, r := range id {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return id != "" && len(id) <= 64
}

// Skew is how far this machine's clock is ahead of the API's, to the second. The API refuses requests that
// are five minutes off (code 4500).
func (c *Client) Skew(ctx context.Context) (time.Duration, error) {
	if c.API == V3 {
		return c.skew(ctx, c.EndpointV3, v3Name)
	}
	skew, err := c.skew(ctx, c.Endpoint, v2Name)
	if closed(err) && c.API == Auto {
		return c.skew(ctx, c.EndpointV3, v3Name)
	}
	return skew, err
}

// skew asks an endpoint, which a setting names.
func (c *Client) skew(ctx context.Context, endpoint *url.URL, setting string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, endpoint.String(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return 0, unreached(err, endpoint, setting)
	}
	_ = resp.Body.Close() // a HEAD has none
	theirs, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		err := fmt.Errorf("%s does not say what time it is: Date is %.40q", endpoint.Hostname(),
			resp.Header.Get("Date"))
		return 0, advice.Add(err, "see whether a proxy is in between, and whether "+setting+" is right")
	}
	return c.Now().Sub(theirs).Truncate(time.Second), nil
}
