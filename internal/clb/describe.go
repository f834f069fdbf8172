package clb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	sdkhttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"

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

// Skew is how far this machine's clock is ahead of the API's, to the second. The API refuses requests that are five
// minutes off (code 4500).
func (c *Client) Skew(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, c.Endpoint.String(), nil)
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

// TryV3 asks API 3.0 for load balancers in one region, and returns how many of them it finds.
// Source: DescribeLoadBalancers, https://cloud.tencent.com/document/api/214/30685.
func (c *Client) TryV3(ctx context.Context, region string, ids []string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	p := profile.NewClientProfile()
	p.HttpProfile.Scheme, p.HttpProfile.Endpoint = c.EndpointV3.Scheme, c.EndpointV3.Host
	p.Language = "en-US"
	client := common.NewCommonClient(common.NewTokenCredential(c.Credentials.SecretID, c.Credentials.SecretKey, c.Credentials.Token), region, p)
	client.WithHttpTransport(bounded{c.HTTP.Transport})
	req := sdkhttp.NewCommonRequest("clb", "2018-03-17", "DescribeLoadBalancers")
	req.SetContext(ctx)
	if err := req.SetActionParameters(map[string]any{"LoadBalancerIds": ids[:min(len(ids), maxIDs)]}); err != nil {
		return 0, err
	}
	resp := sdkhttp.NewCommonResponse()
	if err := client.Send(req, resp); err != nil {
		return 0, c.redact(c.refusedV3(err))
	}
	var body struct{ Response struct{ TotalCount *int } }
	if err := json.Unmarshal(resp.GetBody(), &body); err != nil || body.Response.TotalCount == nil {
		return 0, errors.New("the answer of API 3.0 has no TotalCount")
	}
	return *body.Response.TotalCount, nil
}

func (c *Client) refusedV3(err error) error {
	var refused *sdkerrors.TencentCloudSDKError
	if !errors.As(err, &refused) || strings.HasPrefix(refused.Code, "ClientError") {
		return watch.Advise(fmt.Errorf("call API 3.0: %w", err), reach(c.EndpointV3, "CLB_V3_ENDPOINT"))
	}
	return watch.Advise(fmt.Errorf("API 3.0 refuses: %.80q %.160q, request %.60q", refused.Code, refused.Message, refused.RequestId),
		"see whether the keys are right, and granted clb:DescribeLoadBalancers (README, Deploy)")
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
		}{io.LimitReader(resp.Body, maxBody), resp.Body}
	}
	return resp, err
}
