package clb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	sdkhttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
)

// maxBodyV3 bounds an answer of API 3.0, in bytes: 10,000 backends take 3 MB.
const maxBodyV3 = 8 << 20

// action is one of API 3.0.
type action struct{ service, version, name string }

// describeClassic reads a classic load balancer. It has no pages and no total.
// Source: https://cloud.tencent.com/document/api/214/31790.
var describeClassic = action{"clb", "2018-03-17", "DescribeClassicalLBTargets"}

// readClassicV3 reads a classic load balancer by API 3.0.
func (c *Client) readClassicV3(ctx context.Context, balancer lb.CLB, m memory) (r lb.Reading, err error) {
	next := memory{api: V3}
	var backends []lb.Backend
	var answer []byte
	defer func() { c.free(answer) }()
	var decode func() error
	err = c.callV3(ctx, balancer.Region, describeClassic, map[string]any{"LoadBalancerId": balancer.ID}, func(body []byte) (err error) {
		answer = body
		if next.sum, err = sumV3(body); err != nil {
			return err
		}
		decode = func() (err error) { backends, err = decodeClassic(body); return err }
		if m.api != V3 || m.sum != next.sum {
			return decode()
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	health, r := c.readHealth(ctx, V3, balancer, m, &next)
	if r.Unchanged {
		return r, nil
	}
	if backends == nil { // only its health is new, or the week
		if err := decode(); err != nil {
			return lb.Reading{}, err
		}
	}
	health.apply(backends)
	r.Backends = backends
	return r, nil
}

// sumV3 stands for an answer of API 3.0 but for its RequestId, which is another each time. As a key it cannot stand in a
// text, where its quotes would be escaped.
func sumV3(body []byte) (string, error) {
	const key = `"RequestId"`
	at := bytes.Index(body, []byte(key)) // LastIndex would take a quarter of a tick
	if at < 0 {
		return "", transient{fmt.Errorf("the answer has no RequestId: it is not one of API 3.0: %.60q", body)}
	}
	value := bytes.TrimLeft(body[at+len(key):], " \t\r\n:")
	end := 0
	if len(value) > 0 && value[0] == '"' {
		end = 1 + bytes.IndexByte(value[1:], '"')
	}
	h := sha256.New()
	h.Write(body[:at])
	h.Write(value[end:])
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16]), nil
}

// target is one backend of an answer of API 3.0.
type target struct {
	Type               string
	InstanceID         string `json:"InstanceId"`
	InstanceName       json.RawMessage
	PrivateIPAddresses json.RawMessage `json:"PrivateIpAddresses"`
	PublicIPAddresses  json.RawMessage `json:"PublicIpAddresses"`
	RunFlag            *number
	Weight             json.RawMessage
}

// decodeClassic reads an answer. Targets may be null, which says that there are none, but must be there.
func decodeClassic(body []byte) ([]lb.Backend, error) {
	var a struct {
		Response *struct{ Targets json.RawMessage }
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, transient{fmt.Errorf("the answer is damaged: %w", err)}
	}
	if a.Response == nil || a.Response.Targets == nil {
		return nil, errors.New("the answer has no Targets")
	}
	var targets []target
	if err := json.Unmarshal(a.Response.Targets, &targets); err != nil {
		return nil, fmt.Errorf("the answer's Targets: %w", err)
	}
	if len(targets) > maxPages*pageSize {
		return nil, fmt.Errorf("more than %d backends: not a plausible answer", maxPages*pageSize)
	}
	backends := make([]lb.Backend, 0, len(targets))
	ids := make(map[string]bool, len(targets))
	for i, t := range targets {
		b, err := t.backend()
		if err != nil {
			return nil, fmt.Errorf("target %d: %w", i+1, err)
		}
		if ids[b.ID] {
			return nil, fmt.Errorf("%.60q is in the answer twice", b.ID)
		}
		ids[b.ID] = true
		backends = append(backends, b)
	}
	lb.SortBackends(backends)
	return backends, nil
}

// backend is the same that API 2.0 gives for the instance.
func (t target) backend() (lb.Backend, error) {
	if t.InstanceID == "" || len(t.InstanceID) > 100 {
		return lb.Backend{}, fmt.Errorf("InstanceId is missing or not plausible: %.60q", t.InstanceID)
	}
	if t.RunFlag == nil {
		return lb.Backend{}, fmt.Errorf("%s has no RunFlag", t.InstanceID)
	}
	b := lb.Backend{
		ID:     t.InstanceID,
		Name:   text(t.InstanceName),
		Status: lb.Status(*t.RunFlag),
		Weight: weightOf(t.Weight),
		WanIPs: texts(t.PublicIPAddresses),
	}
	if lan := texts(t.PrivateIPAddresses); len(lan) > 0 {
		b.LanIP = lan[0]
	}
	return b, nil
}

// callV3 makes one call of API 3.0 until read takes its answer, or an error that another attempt would not mend.
func (c *Client) callV3(ctx context.Context, region string, a action, params map[string]any, read func(body []byte) error) error {
	pause := firstBackoff
	for n := 1; ; n++ {
		if err := c.await(ctx, region+" 3.0 "+a.name); err != nil {
			return err
		}
		body, err := c.attemptV3(ctx, region, a, params)
		if err == nil {
			err = read(body)
		}
		switch {
		case retryOf(err) == never:
			return err
		case n >= attempts:
			return fmt.Errorf("%w (%d attempts)", err, n)
		case c.Sleep(ctx, pause) != nil:
			return err // it says more than that the time is up
		}
		pause *= 3
	}
}

// attemptV3 sends one request signed by TC3-HMAC-SHA256 and returns the body of an answer that is no error.
func (c *Client) attemptV3(ctx context.Context, region string, a action, params map[string]any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	endpoint := c.endpointOf(a.service)
	p := profile.NewClientProfile()
	p.HttpProfile.Scheme, p.HttpProfile.Endpoint = endpoint.Scheme, endpoint.Host
	p.Language = "en-US"
	client := common.NewCommonClient(common.NewTokenCredential(c.Credentials.SecretID, c.Credentials.SecretKey, c.Credentials.Token), region, p)
	answer := &keeper{next: c.HTTP.Transport, read: c.readBody}
	client.WithHttpTransport(answer)
	req := sdkhttp.NewCommonRequest(a.service, a.version, a.name)
	req.SetContext(ctx)
	if err := req.SetActionParameters(params); err != nil {
		return nil, err
	}
	if err := client.Send(req, &sdkhttp.BaseResponse{}); err != nil {
		return nil, c.refusedV3(a, endpoint, err)
	}
	return answer.body, nil
}

// keeper keeps an answer as it came, and gives the SDK of it only what the SDK has to judge: errors, and what may be no
// answer at all. It would read every answer several times over, and nobody looks at that.
type keeper struct {
	next http.RoundTripper
	read func(r io.Reader, limit int64) ([]byte, error)
	body []byte
}

// RoundTrip sends the request on and reads its answer, up to maxBodyV3.
func (k *keeper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := k.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	k.body, err = k.read(resp.Body, maxBodyV3)
	_ = resp.Body.Close() // only read
	if err != nil {
		return nil, err
	}
	judge := k.body
	if !bytes.HasPrefix(bytes.TrimLeft(judge, " \t\r\n"), []byte("{")) {
		judge = nil // no answer; of null it would panic
	}
	if resp.StatusCode == http.StatusOK && bytes.Contains(judge, []byte(`"RequestId"`)) && !bytes.Contains(judge, []byte(`"Error"`)) {
		judge = []byte("{}")
	}
	resp.Header = http.Header{"Content-Type": {"application/json"}} // by others it would unpack the body, without a bound, or not judge it
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(judge)), int64(len(judge))
	return resp, nil
}

// refusal is an error that API 3.0 answers with.
type refusal struct{ code, message, request, do string }

// Error says what came.
func (r *refusal) Error() string {
	return fmt.Sprintf("API 3.0 refuses: %.80q %.160q, request %.60q", r.code, r.message, r.request)
}

// Do says what a person can do about it.
func (r *refusal) Do() string { return r.do }

// refusedV3 is what an error of the SDK means, and what to do about it.
func (c *Client) refusedV3(a action, endpoint *url.URL, err error) error {
	var sdk *sdkerrors.TencentCloudSDKError
	if !errors.As(err, &sdk) || strings.HasPrefix(sdk.Code, "ClientError") {
		if sdk != nil && strings.Contains(sdk.Code, "Parse") {
			return transient{advice.Add(errors.New("API 3.0 answers with what is not its JSON"), reach(endpoint, "CLB_V3_ENDPOINT"))}
		}
		return transient{advice.Add(fmt.Errorf("call API 3.0: %w", err), reach(endpoint, "CLB_V3_ENDPOINT"))}
	}
	r := &refusal{code: sdk.Code, message: sdk.Message, request: sdk.RequestId}
	switch {
	case strings.HasPrefix(r.code, "RequestLimitExceeded"):
		r.do = doSlower
		return transient{r}
	case strings.HasPrefix(r.code, "InternalError"), strings.HasPrefix(r.code, "InternalServerError"), r.code == "FailedOperation.ResourceInOperating":
		r.do = doWait
		return transient{r}
	case strings.HasPrefix(r.code, "UnauthorizedOperation"), r.code == "AuthFailure.UnauthorizedOperation":
		r.do = "grant " + a.service + ":" + a.name + " to the user of the keys, on SCF to the execution role (README, Deploy)"
	case r.code == "AuthFailure.SignatureExpire":
		r.do = "see whether the clock is right"
	case strings.HasPrefix(r.code, "AuthFailure"):
		r.do = doKeys
	case strings.HasPrefix(r.code, "InvalidParameter"), strings.HasPrefix(r.code, "ResourceNotFound"), r.code == "UnsupportedRegion":
		r.do = "see whether the load balancer was deleted, and its id and region in CLB_IDS"
	}
	return r
}
