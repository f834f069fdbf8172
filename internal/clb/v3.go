package clb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	sdkhttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"

	"clbwatch/internal/watch"
)

// API is which version of the API is asked.
type API string

// Versions of the API. Auto is 2.0 until that says that it is closed, and then 3.0.
const (
	V2   API = "v2"
	V3   API = "v3"
	Auto API = "auto"
)

const (
	// maxTargets bounds a reading of API 3.0, which has no pages.
	maxTargets = maxPages * pageSize
	// maxBodyV3 bounds an answer of API 3.0, in bytes: 10,000 backends take 3 MB.
	maxBodyV3 = 8 << 20
)

// byV3 begins the digest of a reading by API 3.0. The week follows: in another one, 2.0 is tried again (Auto).
const byV3 = "v3:"

func week(now time.Time) string { return fmt.Sprint(now.Unix() / (7 * 24 * 3600)) }

// turn is what one Client learned of API 2.0: who comes first finds out, the others wait, so that a 2.0 that is closed
// costs one call a sweep and not one for each reader.
type turn struct {
	first chan struct{} // has room for the one who finds out
	known chan struct{} // closed when it is known
	shut  chan struct{} // has something in it once 2.0 is closed
}

// maxFindOut is how long the others wait: a load balancer that hangs must not hold them up.
const maxFindOut = time.Second

// mine reports whether it is the caller who finds out.
func (t *turn) mine() bool {
	select {
	case t.first <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t *turn) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, maxFindOut)
	defer cancel()
	select {
	case <-t.known:
	case <-ctx.Done(): // what comes next looks at the context itself
	}
}

// turnV3 reads by 3.0, to be remembered.
func (c *Client) turnV3(ctx context.Context, lb watch.CLB, known watch.Digest) (watch.Reading, error) {
	r, err := c.readV3(ctx, lb, known)
	r.Remember = err == nil && !r.Unchanged
	return r, err
}

// readAuto reads by 2.0 or, if that is closed, by 3.0.
func (c *Client) readAuto(ctx context.Context, lb watch.CLB, known watch.Digest) (watch.Reading, error) {
	if strings.HasPrefix(string(known), byV3+week(c.Now())+":") {
		return c.readV3(ctx, lb, known)
	}
	t := c.turned()
	finder := t.mine()
	if !finder {
		t.wait(ctx)
	}
	if len(t.shut) > 0 {
		return c.turnV3(ctx, lb, known)
	}
	r, err := c.readWhole(ctx, lb, ofV2(known))
	if closed(err) {
		select {
		case t.shut <- struct{}{}:
		default: // somebody else saw it too
		}
	}
	if finder {
		close(t.known)
	}
	if !closed(err) {
		return r, err
	}
	r, err3 := c.turnV3(ctx, lb, known)
	if err3 != nil {
		return watch.Reading{}, watch.Advise(fmt.Errorf("%w; and by API 2.0: %w", err3, err), watch.Advice(err3))
	}
	return r, nil
}

func (c *Client) turned() *turn {
	c.once.Do(func() {
		c.turn = &turn{first: make(chan struct{}, 1), known: make(chan struct{}), shut: make(chan struct{}, 1)}
	})
	return c.turn
}

// ofV2 is a digest as far as it is one of API 2.0.
func ofV2(known watch.Digest) watch.Digest {
	if strings.HasPrefix(string(known), byV3) {
		return ""
	}
	return known
}

// closed reports whether API 2.0 is closed for the account, or is not there at all.
func closed(err error) bool {
	var code *Error
	return errors.As(err, &code) && (code.Code == 4300 || code.Code == 6100) || errors.As(err, new(unreachable))
}

// readV3 reads a classic load balancer by API 3.0: DescribeClassicalLBTargets,
// https://cloud.tencent.com/document/api/214/31790. It has no pages and no total.
func (c *Client) readV3(ctx context.Context, lb watch.CLB, known watch.Digest) (watch.Reading, error) {
	var targets []target
	var sum string
	unchanged := false
	err := c.callV3(ctx, lb.Region, "DescribeClassicalLBTargets", map[string]any{"LoadBalancerId": lb.ID}, func(body []byte) (err error) {
		if sum, err = sumV3(body); err != nil {
			return err
		}
		if _, was, _ := strings.Cut(strings.TrimPrefix(string(known), byV3), ":"); strings.HasPrefix(string(known), byV3) && was == sum {
			unchanged = true
			return nil
		}
		targets, err = decodeTargets(body)
		return err
	})
	digest := watch.Digest(byV3 + week(c.Now()) + ":" + sum)
	switch {
	case err != nil:
		return watch.Reading{}, err
	case unchanged && digest == known:
		return watch.Reading{Digest: known, Unchanged: true}, nil
	case unchanged: // only the week is another
		return c.readV3(ctx, lb, "")
	}
	backends := make([]watch.Backend, 0, len(targets))
	ids := make(map[string]bool, len(targets))
	for i, t := range targets {
		b, err := t.backend()
		if err != nil {
			return watch.Reading{}, fmt.Errorf("target %d: %w", i+1, err)
		}
		if ids[b.ID] {
			return watch.Reading{}, fmt.Errorf("%.60q is in the answer twice", b.ID)
		}
		ids[b.ID] = true
		backends = append(backends, b)
	}
	watch.SortBackends(backends)
	return watch.Reading{Backends: backends, Digest: digest}, nil
}

// requestID is in every answer, another each time. It cannot stand in a string, where its quotes would be escaped.
var requestID = regexp.MustCompile(`"RequestId"\s*:\s*"[^"]*"`)

// sumV3 stands for an answer of API 3.0 but for its RequestId.
func sumV3(body []byte) (string, error) {
	at := requestID.FindIndex(body)
	if at == nil {
		return "", transient{fmt.Errorf("the answer has no RequestId: it is not one of API 3.0: %.60q", body)}
	}
	h := sha256.New()
	h.Write(body[:at[0]])
	h.Write(body[at[1]:])
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

// decodeTargets reads an answer. Targets may be null, which says that there are none, but must be there.
func decodeTargets(body []byte) ([]target, error) {
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
	if len(targets) > maxTargets {
		return nil, fmt.Errorf("more than %d backends: not a plausible answer", maxTargets)
	}
	return targets, nil
}

// backend is the same that API 2.0 gives for the instance.
func (t target) backend() (watch.Backend, error) {
	if t.InstanceID == "" || len(t.InstanceID) > 100 {
		return watch.Backend{}, fmt.Errorf("InstanceId is missing or not plausible: %.60q", t.InstanceID)
	}
	if t.RunFlag == nil {
		return watch.Backend{}, fmt.Errorf("%s has no RunFlag", t.InstanceID)
	}
	weight := number(defaultWeight)
	if json.Unmarshal(t.Weight, &weight) != nil {
		weight = defaultWeight
	}
	b := watch.Backend{
		ID:     t.InstanceID,
		Name:   text(t.InstanceName),
		Status: watch.Status(*t.RunFlag),
		Weight: int(min(max(weight, 0), math.MaxInt16)),
		WanIPs: texts(t.PublicIPAddresses),
	}
	if lan := texts(t.PrivateIPAddresses); len(lan) > 0 {
		b.LanIP = lan[0]
	}
	return b, nil
}

// callV3 makes one call of API 3.0 until read takes its answer, or an error that another attempt would not mend.
func (c *Client) callV3(ctx context.Context, region, action string, params map[string]any, read func(body []byte) error) error {
	pause := firstBackoff
	for n := 1; ; n++ {
		if err := c.await(ctx, region+" 3.0 "+action); err != nil {
			return err
		}
		body, err := c.attemptV3(ctx, region, action, params)
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
func (c *Client) attemptV3(ctx context.Context, region, action string, params map[string]any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	p := profile.NewClientProfile()
	p.HttpProfile.Scheme, p.HttpProfile.Endpoint = c.EndpointV3.Scheme, c.EndpointV3.Host
	p.Language = "en-US"
	client := common.NewCommonClient(common.NewTokenCredential(c.Credentials.SecretID, c.Credentials.SecretKey, c.Credentials.Token), region, p)
	client.WithHttpTransport(bounded{c.HTTP.Transport})
	req := sdkhttp.NewCommonRequest("clb", "2018-03-17", action)
	req.SetContext(ctx)
	if err := req.SetActionParameters(params); err != nil {
		return nil, err
	}
	answer := &raw{BaseResponse: &sdkhttp.BaseResponse{}}
	if err := client.Send(req, answer); err != nil {
		return nil, c.refusedV3(action, err)
	}
	return answer.body, nil
}

// raw is an answer as it came: the SDK need not decode what nobody looks at.
type raw struct {
	*sdkhttp.BaseResponse
	body []byte
}

// UnmarshalJSON keeps the bytes.
func (r *raw) UnmarshalJSON(b []byte) error {
	r.body = bytes.Clone(b)
	return nil
}

// refusedV3 is what an error of the SDK means, and what to do about it.
func (c *Client) refusedV3(action string, err error) error {
	var refused *sdkerrors.TencentCloudSDKError
	if !errors.As(err, &refused) || strings.HasPrefix(refused.Code, "ClientError") {
		if refused != nil && strings.Contains(refused.Code, "Parse") {
			return transient{watch.Advise(errors.New("API 3.0 answers with what is not its JSON"), reach(c.EndpointV3, "CLB_V3_ENDPOINT"))}
		}
		return transient{watch.Advise(fmt.Errorf("call API 3.0: %w", err), reach(c.EndpointV3, "CLB_V3_ENDPOINT"))}
	}
	do, again := "", false
	switch code := refused.Code; {
	case strings.HasPrefix(code, "RequestLimitExceeded"):
		do, again = doSlower, true
	case strings.HasPrefix(code, "InternalError"), code == "FailedOperation.ResourceInOperating":
		do, again = doWait, true
	case strings.HasPrefix(code, "UnauthorizedOperation"), code == "AuthFailure.UnauthorizedOperation":
		do = "grant clb:" + action + " to the user of the keys, on SCF to the execution role (README, Deploy)"
	case code == "AuthFailure.SignatureExpire":
		do = "see whether the clock is right"
	case strings.HasPrefix(code, "AuthFailure"):
		do = doKeys
	case strings.HasPrefix(code, "InvalidParameter"), strings.HasPrefix(code, "ResourceNotFound"), code == "UnsupportedRegion":
		do = "see whether the load balancer was deleted, whether it is classic (this version reads no others), and its id and region in CLB_IDS"
	}
	out := watch.Advise(fmt.Errorf("API 3.0 refuses: %.80q %.160q, request %.60q", refused.Code, refused.Message, refused.RequestId), do)
	if again {
		return transient{out}
	}
	return out
}
