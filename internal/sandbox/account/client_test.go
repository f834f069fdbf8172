package account

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"clbwatch/internal/sandbox/cos"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	sdkhttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	sdk "github.com/tencentyun/cos-go-sdk-v5"
)

// Tencent's own client is understood, and understands what it gets.
func TestOfficialClient(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	p := profile.NewClientProfile()
	p.HttpProfile.Scheme, p.HttpProfile.Endpoint = "http", strings.TrimPrefix(a.srv.URL, "http://")
	client := common.NewCommonClient(common.NewCredential(a.cred.SecretID, a.cred.SecretKey), "ap-guangzhou",
		p)
	ask := func(service, version, action string, params map[string]any) (map[string]any, error) {
		t.Helper()
		q := sdkhttp.NewCommonRequest(service, version, action)
		if err := q.SetActionParameters(params); err != nil {
			t.Fatal(err)
		}
		r := sdkhttp.NewCommonResponse()
		if err := client.Send(q, r); err != nil {
			return nil, err
		}
		var all struct{ Response map[string]any }
		return all.Response, json.Unmarshal(r.GetBody(), &all)
	}
	who, err := ask("sts", "2018-08-13", "GetCallerIdentity", map[string]any{})
	if err != nil || who["AccountId"] != "100000000001" {
		t.Errorf("who calls: %v, %v", who, err)
	}
	_, err = ask("scf", "2018-04-16", "GetFunction", map[string]any{"FunctionName": "fn"})
	var e *sdkerrors.TencentCloudSDKError
	if !errors.As(err, &e) || e.Code != "ResourceNotFound.Function" {
		t.Errorf("no function: %v", err)
	}
	if _, err = ask("cam", "2019-01-16", "CreateRole", map[string]any{"RoleName": "fn",
		"PolicyDocument":  trustSCF,
		"SessionDuration": 7200}); err != nil {
		t.Errorf("a role: %v", err)
	}
}

// deployed is a document of this repository's deploy/, for a bucket and a prefix.
func deployed(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("REGION", "ap-guangzhou", "APPID", "1250000000", "BUCKET", "ops-1250000000",
		"PREFIX", "clbwatch").Replace(string(b))
}

// A role with the policies of this repository may use its part of the bucket, and read load balancers.
func TestDeployedDocuments(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	for _, name := range []string{"clb-read.json", "cos-state.json"} {
		a.must(t, "cam", "CreatePolicy", jsonOf("PolicyName", name, "PolicyDocument", deployed(t, name)))
		a.must(t, "cam", "AttachRolePolicy", jsonOf("PolicyName", name, "AttachRoleName", "fn"))
	}
	cr, ok := a.Assume("fn")
	if !ok {
		t.Fatal("a function cannot run as it")
	}
	for action, want := range map[string]bool{"DescribeTargets": true, "DeregisterTargets": false} {
		if got := a.May(cr.SecretID, "name/clb:"+action, "*"); got != want {
			t.Errorf("May %s = %v, want %v", action, got, want)
		}
	}
	s := cos.NewService(a.Credential)
	s.May = a.May
	s.Add("ops-1250000000", "ap-guangzhou")
	srv := httptest.NewServer(s.At("ops-1250000000", "ap-guangzhou"))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := sdk.NewClient(&sdk.BaseURL{BucketURL: u}, &http.Client{Transport: &sdk.AuthorizationTransport{
		SecretID: cr.SecretID, SecretKey: cr.SecretKey, SessionToken: cr.Token}})
	put := func(key string) error {
		_, err := client.Object.Put(t.Context(), key, strings.NewReader("x"), nil)
		return err
	}
	_, _, listed := client.Bucket.Get(t.Context(), &sdk.BucketGetOptions{Prefix: "clbwatch/"})
	_, _, acl := client.Bucket.GetACL(t.Context())
	_, _, versioning := client.Bucket.GetVersioning(t.Context())
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"its own key", put("clbwatch/head"), ""}, {"another's", put("other/head"), "AccessDenied"},
		{"a name that begins alike", put("clbwatch2"), "AccessDenied"}, {"the listing", listed, ""},
		{"versioning", versioning, ""}, {"the ACL", acl, "AccessDenied"},
	} {
		var e *sdk.ErrorResponse
		if got := errors.As(test.err, &e); got != (test.want != "") || got && e.Code != test.want {
			t.Errorf("%s: %v, want %q", test.name, test.err, test.want)
		}
	}
}
