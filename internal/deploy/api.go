package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	sdkhttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
)

// Keys sign requests. Token is "" for long-term keys.
type Keys struct{ SecretID, SecretKey, Token string }

// API calls Tencent Cloud's API 3.0. All fields must be set, unless they say otherwise.
type API struct {
	Keys   Keys
	Region string   // of the function
	Base   *url.URL // instead of the hosts of all services; nil for those
	HTTP   http.RoundTripper
}

const (
	callTime  = 30 * time.Second
	maxAnswer = 8 << 20 // bytes
)

// Versions of the services that are called.
const (
	camVersion = "2019-01-16" // https://cloud.tencent.com/document/api/598/33155
	scfVersion = "2018-04-16" // https://cloud.tencent.com/document/api/583/17234
	stsVersion = "2018-08-13" // https://cloud.tencent.com/document/api/1312/48195
)

// call is one call of API 3.0.
type call struct {
	service, version, action string
	params                   map[string]any
}

func cam(action string, params map[string]any) call { return call{"cam", camVersion, action, params} }
func scf(action string, params map[string]any) call { return call{"scf", scfVersion, action, params} }

// name is what permissions call it.
func (c call) name() string { return c.service + ":" + c.action }

// do makes a call and decodes what is in its Response.
func (a *API) do(ctx context.Context, c call, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	p := profile.NewClientProfile()
	p.Language = "en-US"
	p.HttpProfile.Endpoint = c.service + ".tencentcloudapi.com"
	if a.Base != nil {
		p.HttpProfile.Scheme, p.HttpProfile.Endpoint = a.Base.Scheme, a.Base.Host
	}
	region := a.Region
	if c.service == "cam" {
		region = "" // roles and policies are everywhere
	}
	keys := common.NewTokenCredential(a.Keys.SecretID, a.Keys.SecretKey, a.Keys.Token)
	client := common.NewCommonClient(keys, region, p)
	client.WithHttpTransport(bounded{a.HTTP})
	req := sdkhttp.NewCommonRequest(c.service, c.version, c.action)
	req.SetContext(ctx)
	params := c.params
	if params == nil {
		params = map[string]any{}
	}
	if err := req.SetActionParameters(params); err != nil {
		return fmt.Errorf("%s: %w", c.name(), err)
	}
	resp := sdkhttp.NewCommonResponse()
	if err := client.Send(req, resp); err != nil {
		return refusedBy(c, err)
	}
	var answer struct{ Response json.RawMessage }
	if err := json.Unmarshal(resp.GetBody(), &answer); err != nil || len(answer.Response) == 0 {
		return &callError{call: c.name(), message: "the answer is not one of API 3.0", unknown: true}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Response, into); err != nil {
		return &callError{call: c.name(), message: "the answer is not what the API documents: " + err.Error(),
			unknown: true}
	}
	return nil
}

// bounded cuts answers off that are longer than any is.
type bounded struct{ next http.RoundTripper }

// RoundTrip sends the request on.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

// callError is what a call of API 3.0 or of COS failed with.
type callError struct {
	call, code, message, request string
	unknown                      bool   // it may have happened all the same
	do                           string // what a person can do about it
}

// Error says what came.
func (e *callError) Error() string {
	text := e.call
	if e.code != "" {
		text += fmt.Sprintf(": %.80s", e.code)
	}
	text += fmt.Sprintf(": %.300s", e.message)
	if e.request != "" {
		text += fmt.Sprintf(" (request %.60s)", e.request)
	}
	return text
}

// Do says what a person can do about it.
func (e *callError) Do() string {
	if e.do == "" && e.unknown {
		return "run the command again: it continues where it stopped"
	}
	return e.do
}

// refusedBy is what an error of the SDK means.
func refusedBy(c call, err error) error {
	var sdk *sdkerrors.TencentCloudSDKError
	if !errors.As(err, &sdk) {
		return &callError{call: c.name(), message: plain(err), unknown: true}
	}
	e := &callError{call: c.name(), code: sdk.Code, message: sdk.Message, request: sdk.RequestId}
	family, _, _ := strings.Cut(sdk.Code, ".")
	switch {
	case family == "ClientError":
		e.code, e.message, e.unknown = "", plain(err), true
	case family == "UnauthorizedOperation" || strings.HasPrefix(sdk.Code, "AuthFailure.Unauthorized"):
		e.do = "in the console, under CAM, allow " + e.call + " to the user whose keys these are, or deploy with " +
			"the keys of somebody who may"
	case family == "AuthFailure":
		e.do = "check TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY and this machine's clock"
	case slices.Contains([]string{"InternalError", "RequestLimitExceeded", "ResourceUnavailable",
		"ServiceUnavailable"}, family):
		e.unknown = true
	}
	return e
}

// plain is an error without the URL that net/http puts before it.
func plain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	return err.Error()
}

// codeIs reports whether a call was refused with one of some codes, or one that begins so before a dot.
func codeIs(err error, codes ...string) bool {
	var e *callError
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.code == code || strings.HasPrefix(e.code, code+".") {
			return true
		}
	}
	return false
}
