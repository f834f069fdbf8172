package account

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	sdkhttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
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

// What this repository deploys is taken.
func TestDeployedDocuments(t *testing.T) {
	t.Parallel()
	a := New()
	fill := strings.NewReplacer("REGION", "ap-guangzhou", "APPID", a.AppID, "BUCKET", "ops-"+a.AppID,
		"PREFIX", "clbwatch")
	for name, parse := range map[string]func(string) error{
		"clb-read.json":  func(s string) error { _, err := parsePolicy(s, a.UIN, a.AppID); return err },
		"cos-state.json": func(s string) error { _, err := parsePolicy(s, a.UIN, a.AppID); return err },
		"trust.json":     func(s string) error { _, err := parseTrust(s, a.UIN); return err },
	} {
		b, err := os.ReadFile("../../../deploy/" + name)
		if err == nil {
			err = parse(fill.Replace(string(b)))
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
