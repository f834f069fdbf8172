package clb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
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
)

// action is one of API 3.0.
type action struct{ service, version, name string }

// sumV3 stands for an answer of API 3.0 but for its RequestId, which is another each time. As a key it cannot
// stand in a text, where its quotes would be escaped.
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

// callV3 makes one call of API 3.0 until read takes its answer, or an error that another attempt would not
// mend. The answer is read into what l has room for.
func (c *Client) callV3(ctx context.Context, l *lease, region string, a action, params map[string]any,
	read func(body []byte) error) error {
	before := l.bytes
	pause := firstBackoff
	for n := 1; ; n++ {
		if err := c.await(ctx, region+" 3.0 "+a.name); err != nil {
			return err
		}
		body, err := c.attemptV3(ctx, l, region, a, params)
		if err == nil {
			err = read(body)
		}
		if err != nil {
			l.keep(before)
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
func (c *Client) attemptV3(ctx context.Context, l *lease, region string, a action,
	params map[string]any) ([]byte, error) {
	ctx, cancel := l.attempt(ctx)
	defer cancel()
	endpoint := c.endpointOf(a.service, region)
	p := profile.NewClientProfile()
	p.HttpProfile.Scheme, p.HttpProfile.Endpoint = endpoint.Scheme, endpoint.Host
	p.Language = "en-US"
	keys := common.NewTokenCredential(c.Credentials.SecretID, c.Credentials.SecretKey, c.Credentials.Token)
	client := common.NewCommonClient(keys, region, p)
	answer := &keeper{next: c.HTTP.Transport, lease: l}
	client.WithHttpTransport(answer)
	req := sdkhttp.NewCommonRequest(a.service, a.version, a.name)
	req.SetContext(ctx)
	if err := req.SetActionParameters(params); err != nil {
		return nil, err
	}
	if err := client.Send(req, &sdkhttp.BaseResponse{}); err != nil {
		if answer.err != nil {
			return nil, answer.err
		}
		return nil, c.refusedV3(a, endpoint, late(ctx, err))
	}
	return answer.body, nil
}

// keeper keeps an answer as it came, and gives the SDK of it only what the SDK has to judge: errors, and what
// may be no answer at all. It would read every answer several times over, and nobody looks at that.
type keeper struct {
	next  http.RoundTripper
	lease *lease
	body  []byte
	err   error // why the answer could not be read, which the SDK would hide
}

// RoundTrip sends the request on and reads its answer, up to maxBodyV3.
func (k *keeper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := k.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	k.body, k.err = k.lease.read(resp.Body, resp.ContentLength, maxBodyV3)
	_ = resp.Body.Close() // only read
	if k.err != nil {
		return nil, k.err
	}
	judge := k.body
	if !bytes.HasPrefix(bytes.TrimLeft(judge, " \t\r\n"), []byte("{")) {
		judge = nil // no answer; of null it would panic
	}
	plain := bytes.Contains(judge, []byte(`"RequestId"`)) && !bytes.Contains(judge, []byte(`"Error"`))
	if resp.StatusCode == http.StatusOK && plain {
		judge = []byte("{}")
	}
	// By other headers the SDK would unpack the body, without a bound, or not judge it.
	resp.Header = http.Header{"Content-Type": {"application/json"}}
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
			err := errors.New("API 3.0 answers with what is not its JSON")
			return transient{advice.Add(err, reach(endpoint, v3Name))}
		}
		if u := (*url.Error)(nil); errors.As(err, &u) { // its text has the URL, and the SDK's the word error twice
			err = u.Err
		}
		return transient{advice.Add(fmt.Errorf("call API 3.0: %w", err), reach(endpoint, v3Name))}
	}
	r := &refusal{code: sdk.Code, message: sdk.Message, request: sdk.RequestId}
	switch {
	case strings.HasPrefix(r.code, "RequestLimitExceeded"):
		r.do = doSlower
		return transient{r}
	case passes3(r.code):
		r.do = doWait
		return transient{r}
	case deniedCode(r.code):
		r.do = doGrant(a.service + ":" + a.name)
	case r.code == "AuthFailure.SignatureExpire":
		r.do = doClock
	case strings.HasPrefix(r.code, "AuthFailure"):
		r.do = doKeys
	case noRegion(r.code):
		r.do = "see whether the region is right in CLB_IDS, CLB_REGION and CLB_DISCOVER"
	case strings.HasPrefix(r.code, "InvalidParameter"), strings.HasPrefix(r.code, "ResourceNotFound"):
		r.do = "see whether the load balancer was deleted, and its id and region in CLB_IDS"
	}
	return r
}

// passes3 reports whether an error of API 3.0 usually clears by itself.
func passes3(code string) bool {
	family, _, _ := strings.Cut(code, ".")
	switch family {
	case "InternalError", "InternalServerError", "ResourceUnavailable", "ServiceUnavailable",
		"FailedOperation":
		return true
	}
	return false
}

// deniedCode reports whether an error of API 3.0 says that the account may not call the action.
func deniedCode(code string) bool {
	return strings.HasPrefix(code, "UnauthorizedOperation") || code == "AuthFailure.UnauthorizedOperation"
}

// noRegion reports whether an error of API 3.0 says that there is no such region.
func noRegion(code string) bool {
	return code == "UnsupportedRegion" || strings.HasSuffix(code, ".RegionNotFound") ||
		strings.HasSuffix(code, ".UnsupportedRegion")
}
