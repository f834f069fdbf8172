package clb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"clbwatch/internal/watch"
)

// What `clbwatch check` asks beside a reading. A tick needs none of it.

// Balancer is what is known of a load balancer itself.
type Balancer struct {
	Name        string // untrusted text
	Application bool   // of the application kind, which the classic action cannot read
}

type balancer struct {
	ID      string          `json:"unLoadBalancerId"`
	Name    json.RawMessage `json:"loadBalancerName"`
	Forward *number         `json:"forward"`
}

// maxIDs is how many load balancers one call may ask for. Source: DescribeLoadBalancers of API 3.0, which says 20.
const maxIDs = 20

// Describe returns what API 2.0 knows of load balancers in one region, by id; those that it does not know are left out.
// Source: DescribeLoadBalancers, https://cloud.tencent.com/document/api/214/1261.
func (c *Client) Describe(ctx context.Context, region string, ids []string) (map[string]Balancer, error) {
	found := make(map[string]Balancer)
	for len(ids) > 0 {
		some := ids[:min(len(ids), maxIDs)]
		ids = ids[len(some):]
		params := map[string]string{"forward": "-1", "limit": strconv.Itoa(maxIDs)} // without forward: the classic ones only
		for i, id := range some {
			params["loadBalancerIds."+strconv.Itoa(i)] = id
		}
		p, err := c.call(ctx, request{"DescribeLoadBalancers", region, params}, "")
		if err != nil {
			return nil, c.redact(err)
		}
		if p.answer.Balancers == nil {
			return nil, errors.New("the answer has no loadBalancerSet")
		}
		for _, b := range *p.answer.Balancers {
			if b.Forward == nil {
				return nil, fmt.Errorf("%.60q has no forward, which is its kind", b.ID)
			}
			found[b.ID] = Balancer{text(b.Name), *b.Forward == 1}
		}
	}
	return found, nil
}

// Pages is how many calls a reading takes.
func Pages(r watch.Reading) int { return strings.Count(string(r.Digest), ".") + 1 }

// ReadBy is the version of the API that a reading is of: "2.0" or "3.0".
func ReadBy(r watch.Reading) string {
	if strings.HasPrefix(string(r.Digest), byV3) {
		return "3.0"
	}
	return "2.0"
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

// DescribeV3 is Describe by API 3.0.
// Source: DescribeLoadBalancers, https://cloud.tencent.com/document/api/214/30685.
func (c *Client) DescribeV3(ctx context.Context, region string, ids []string) (map[string]Balancer, error) {
	found := make(map[string]Balancer)
	for len(ids) > 0 {
		some := ids[:min(len(ids), maxIDs)]
		ids = ids[len(some):]
		err := c.callV3(ctx, region, "DescribeLoadBalancers", map[string]any{"LoadBalancerIds": some}, func(body []byte) error {
			var a struct {
				Response *struct {
					LoadBalancerSet *[]struct {
						ID      string          `json:"LoadBalancerId"`
						Name    json.RawMessage `json:"LoadBalancerName"`
						Forward *number
					}
				}
			}
			if err := json.Unmarshal(body, &a); err != nil || a.Response == nil || a.Response.LoadBalancerSet == nil {
				return errors.New("the answer of API 3.0 has no LoadBalancerSet")
			}
			for _, b := range *a.Response.LoadBalancerSet {
				if b.Forward == nil {
					return fmt.Errorf("%.60q has no Forward, which is its kind", b.ID)
				}
				found[b.ID] = Balancer{text(b.Name), *b.Forward == 1}
			}
			return nil
		})
		if err != nil {
			return nil, c.redact(err)
		}
	}
	return found, nil
}

// bounded bounds the answers that the SDK reads whole.
type bounded struct{ next http.RoundTripper }

// RoundTrip sends the request on.
func (t bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxBodyV3), resp.Body}
	}
	return resp, err
}
