package account

import (
	"fmt"
	"strings"
	"testing"
)

func TestRolesAndPolicies(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	role := func(name, trust string, pairs ...any) string {
		return jsonOf(append([]any{"RoleName", name, "PolicyDocument", trust}, pairs...)...)
	}
	policy := func(name, document string, pairs ...any) string {
		return jsonOf(append([]any{"PolicyName", name, "PolicyDocument", document}, pairs...)...)
	}
	long := strings.Repeat("x", 301)
	for _, step := range []struct{ name, action, body, want string }{
		{"no such role", "GetRole", `{"RoleName":"fn"}`, "InvalidParameter.RoleNotExist"},
		{"neither", "GetRole", `{}`, "InvalidParameter.ParamError"},
		{"both", "GetRole", `{"RoleName":"fn","RoleId":"1"}`, "InvalidParameter.ParamError"},
		{"a bad name", "CreateRole", role("f n", trustSCF), "InvalidParameter.RoleNameError"},
		{"a long description", "CreateRole", role("fn", trustSCF, "Description", long),
			"InvalidParameter.DescriptionLengthOverlimit"},
		{"a day and more", "CreateRole", role("fn", trustSCF, "SessionDuration", 99999),
			"InvalidParameter.ParamError"},
		{"two logins", "CreateRole", role("fn", trustSCF, "ConsoleLogin", 2), "InvalidParameter.ParamError"},
		{"tags", "CreateRole", role("fn", trustSCF, "Tags", []any{}), "UnknownParameter"},
		{"a role", "CreateRole", role("fn", trustSCF, "Description", "Runs"), ""},
		{"it again", "CreateRole", role("fn", trustSCF), "InvalidParameter.RoleNameInUse"},
		{"a policy's bad name", "CreatePolicy", policy("p/q", readCLB), "InvalidParameter.PolicyNameError"},
		{"its long description", "CreatePolicy", policy("p", readCLB, "Description", long),
			"InvalidParameter.DescriptionLengthOverlimit"},
		{"no policy yet", "AttachRolePolicy", `{"PolicyName":"p","AttachRoleName":"fn"}`,
			"InvalidParameter.PolicyNameError"},
		{"nor by id", "AttachRolePolicy", `{"PolicyId":1,"AttachRoleName":"fn"}`,
			"InvalidParameter.PolicyIdNotExist"},
		{"nor to be read", "GetPolicy", `{"PolicyId":1}`, "ResourceNotFound.PolicyIdNotFound"},
		{"nor to be changed", "UpdatePolicy", policy("p", readCLB), "ResourceNotFound.PolicyIdNotFound"},
		{"nor to be deleted", "DeletePolicy", `{"PolicyId":[1]}`, "ResourceNotFound.PolicyIdNotFound"},
		{"nothing to be deleted", "DeletePolicy", `{"PolicyId":[]}`, "InvalidParameter.ParamError"},
		{"a policy", "CreatePolicy", policy("p", readCLB), ""},
		{"it again", "CreatePolicy", policy("p", readCLB), "FailedOperation.PolicyNameInUse"},
		{"to no role", "AttachRolePolicy", `{"PolicyName":"p","AttachRoleName":"none"}`,
			"InvalidParameter.RoleNotExist"},
		{"attached", "AttachRolePolicy", `{"PolicyName":"p","AttachRoleName":"fn"}`, ""},
		{"attached again", "AttachRolePolicy", `{"PolicyId":10001,"AttachRoleName":"fn"}`, ""},
		{"by id and name", "AttachRolePolicy", `{"PolicyId":10001,"PolicyName":"p","AttachRoleName":"fn"}`,
			"InvalidParameter.ParamError"},
		{"of no role", "ListAttachedRolePolicies", `{"RoleName":"none","Page":1,"Rp":20}`,
			"InvalidParameter.ParamError"},
		{"without a page", "ListAttachedRolePolicies", `{"RoleName":"fn"}`, "MissingParameter"},
		{"too many rows", "ListAttachedRolePolicies", `{"RoleName":"fn","Page":1,"Rp":201}`,
			"InvalidParameter.ParamError"},
		{"no scope", "ListPolicies", `{"Scope":"Mine"}`, "InvalidParameter.ScopeError"},
		{"page 0", "ListPolicies", `{"Page":0}`, "InvalidParameter.ParamError"},
		{"a bad change", "UpdatePolicy", policy("p", "{}"), "InvalidParameter.VersionError"},
		{"a change", "UpdatePolicy", policy("p", strings.Replace(readCLB, "Describe*", "*", 1)), ""},
		{"whom it trusts", "UpdateAssumeRolePolicy", role("fn", trustCVM), ""},
		{"whom it does not", "UpdateAssumeRolePolicy", role("fn", readCLB),
			"InvalidParameter.StatementError"},
	} {
		if got := a.ask(t, "cam", step.action, step.body); got.code != step.want {
			t.Errorf("%s: %s, want %s", step.name, got.raw, step.want)
		}
	}
	got := a.must(t, "cam", "GetRole", `{"RoleName":"fn"}`)
	byID := a.must(t, "cam", "GetRole", `{"RoleId":`+got.get("RoleInfo.RoleId")+`}`)
	if byID.get("RoleInfo.RoleName") != `"fn"` || !strings.Contains(byID.get("RoleInfo.PolicyDocument"),
		"cvm") ||
		byID.get("RoleInfo.Description") != `"Runs"` {
		t.Errorf("the role is %s", byID.raw)
	}
	if got := a.must(t, "cam", "GetPolicy",
		`{"PolicyId":10001}`); !strings.Contains(got.get("PolicyDocument"),
		"name/clb:*") || got.get("Type") != "1" || got.get("PolicyName") != `"p"` {
		t.Errorf("the policy is %s", got.raw)
	}
	for body, want := range map[string]string{`{"PolicyId":10001}`: "none", `{"PolicyName":"p"}`: "10001"} {
		if got := a.must(t, "cam", "UpdatePolicy", body); got.get("PolicyId") != want && want != "none" ||
			want == "none" && strings.Contains(got.raw, "PolicyId") {
			t.Errorf("UpdatePolicy %s = %s, want the id %s", body, got.raw, want)
		}
	}
	list := a.must(t, "cam", "ListAttachedRolePolicies", `{"RoleName":"fn","Page":1,"Rp":200}`)
	if list.get("TotalNum") != "1" || list.get("List.0.PolicyName") != `"p"` ||
		list.get("List.0.PolicyId") != "10001" {
		t.Errorf("attached is %s", list.raw)
	}
	a.must(t, "cam", "DetachRolePolicy", `{"PolicyId":10001,"DetachRoleName":"fn"}`)
	if a.Allows("fn", "name/clb:DescribeTargets", "*") {
		t.Error("what was detached still allows")
	}
	a.must(t, "cam", "AttachRolePolicy", `{"PolicyId":10001,"AttachRoleName":"fn"}`)
	a.must(t, "cam", "DeletePolicy", `{"PolicyId":[10001]}`)
	list = a.must(t, "cam", "ListAttachedRolePolicies", `{"RoleName":"fn","Page":1,"Rp":200}`)
	if list.get("TotalNum") != "0" || list.get("List") != "[]" {
		t.Errorf("with its policy deleted, attached is %s", list.raw)
	}
	a.must(t, "cam", "DeleteRole", `{"RoleName":"fn"}`)
	if got := a.ask(t, "cam", "DeleteRole",
		`{"RoleName":"fn"}`); got.code != "InvalidParameter.RoleNotExist" {
		t.Errorf("deleted again: %s", got.raw)
	}
}

func TestPoliciesAreListedInPages(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	for i := range 23 {
		name := fmt.Sprintf("fn-%02d", i)
		a.must(t, "cam", "CreatePolicy", jsonOf("PolicyName", name, "PolicyDocument", readCLB))
		a.must(t, "cam", "AttachRolePolicy", jsonOf("PolicyName", name, "AttachRoleName", "fn"))
	}
	for _, test := range []struct{ action, body, want string }{
		{"ListPolicies", `{}`, `23 "fn-00" "fn-19" none`},
		{"ListPolicies", `{"Scope":"Local","Page":2}`, `23 "fn-20" none none`},
		{"ListPolicies", `{"Rp":200}`, `23 "fn-00" "fn-19" "fn-20"`},
		{"ListPolicies", `{"Scope":"QCS"}`, `0 none none none`},
		{"ListPolicies", `{"Keyword":"fn-2"}`, `3 "fn-20" none none`},
		{"ListAttachedRolePolicies", `{"RoleName":"fn","Page":1,"Rp":20}`, `23 "fn-00" "fn-19" none`},
		{"ListAttachedRolePolicies", `{"RoleName":"fn","Page":2,"Rp":20}`, `23 "fn-20" none none`},
		{"ListAttachedRolePolicies", `{"RoleName":"fn","Page":3,"Rp":20}`, `23 none none none`},
		{"ListAttachedRolePolicies", `{"RoleName":"fn","Page":1,"Rp":20,"Keyword":"-05"}`,
			`1 "fn-05" none none`},
		{"ListAttachedRolePolicies", `{"RoleName":"fn","Page":1,"Rp":20,"PolicyType":"QCS"}`,
			`0 none none none`},
	} {
		got := a.must(t, "cam", test.action, test.body)
		if is := strings.Join([]string{got.get("TotalNum"), got.get("List.0.PolicyName"),
			got.get("List.19.PolicyName"), got.get("List.20.PolicyName")}, " "); is != test.want {
			t.Errorf("%s %s = %s, want %s", test.action, test.body, is, test.want)
		}
	}
}

func TestDocumentsAreChecked(t *testing.T) {
	t.Parallel()
	a := New()
	statement := func(s string) string { return `{"version":"2.0","statement":[{` + s + `}]}` }
	resource := func(s string) string {
		return statement(`"effect":"allow","action":"name/cos:GetObject","resource":"` + s + `"`)
	}
	act := func(s string) string { return statement(`"effect":"allow","action":` + s + `,"resource":"*"`) }
	for want, all := range map[string][]string{
		"PolicyDocumentError": {`x`, `[]`, `null`, `{"version":"2.0","statement":[{}],"name":"x"}`},
		"VersionError": {`{"statement":[]}`, `{"version":"1.0","statement":[]}`,
			`{"version":2.0,"statement":[]}`},
		"StatementError": {`{"version":"2.0","statement":[]}`,
			`{"version":"2.0","statement":{"effect":"allow"}}`,
			statement(`"Effect":"allow"`),
			statement(`"effect":"allow","action":"name/clb:A","resource":"*",` +
				`"principal":{"service":"scf.qcloud.com"}`)},
		"EffectError": {statement(`"effect":"Allow","action":"*","resource":"*"`)},
		"ResourceError": {statement(`"effect":"allow","action":"name/clb:A"`),
			strings.ReplaceAll(resource("1"), `"1"`, `1`)},
		"ConditionError": {statement(`"effect":"allow","action":"name/clb:A","resource":"*","condition":[]`)},
		"ActionError": {statement(`"effect":"allow","resource":"*"`), act(`"clb:DescribeTargets"`),
			act(`"*"`),
			act(`[]`), act(`["name/clb:A",1]`)},
		"ActionServiceNotExist": {act(`"name/elb:A"`)},
		"ResourceQcsError": {resource("qcs::cos:ap-guangzhou:uid/1250000000"), resource("cos:x"),
			resource("qcs::cos:ap-guangzhou:uid/1250000000:")},
		"ResourceProjectError":    {resource("qcs:7:cos:ap-guangzhou:uid/1250000000:b/*")},
		"ResourceServiceNotExist": {resource("qcs::oss:ap-guangzhou:uid/1250000000:b/*")},
		"ResourceRegionError":     {resource("qcs::cos:REGION:uid/1250000000:b/*")},
		"ResourceUinError": {resource("qcs::cos:ap-guangzhou:uid/1250000001:b/*"),
			resource("qcs::scf:ap-guangzhou:uid/1250000000:b/*"),
			resource("qcs::cos:ap-guangzhou:uin/1:b/*")},
		"PolicyDocumentLengthOverLimit": {strings.Repeat(" ", maxDocument) + readCLB},
		"": {readCLB, act(`["name/clb:DescribeTargets","name/cvm:*"]`), act(`"name/cos:Get*"`),
			resource("qcs::cos:ap-guangzhou:uid/1250000000:b-1/p/*"), resource("qcs::cos:::b/*"),
			resource("qcs::cos:ap-guangzhou:uin/100000000001:b-1/p/*")},
	} {
		for _, text := range all {
			_, err := parsePolicy(text, a.UIN, a.AppID)
			if got := codeOf(err); got != want {
				t.Errorf("policy %.150s: %v, want %s", text, err, want)
			}
		}
	}
	trust := func(s string) string {
		return statement(`"effect":"allow","action":"name/sts:AssumeRole","principal":` + s)
	}
	for text, want := range map[string]string{
		trustSCF: "", readCLB: "StatementError", trust(`{"service":"scf.qcloud.com"}`): "",
		trust(`{"service":["scf"]}`): "PrincipalServiceNotExist", trust(`{}`): "PrincipalError",
		trust(`"*"`): "PrincipalError", trust(`{"federated":"x"}`): "PrincipalError",
		trust(`{"qcs":["qcs::cam::uin/100000000001:root"]}`):         "",
		trust(`{"qcs":["qcs::cam::uin/1:root"]}`):                    "PrincipalQcsNotExist",
		statement(`"effect":"allow","action":"name/sts:AssumeRole"`): "PrincipalError",
		strings.Replace(trustSCF, "sts:AssumeRole", "sts:*", 1):      "ActionError",
	} {
		_, err := parseTrust(text, a.UIN)
		if got := codeOf(err); got != want {
			t.Errorf("trust %.150s: %v, want %s", text, err, want)
		}
	}
}

// codeOf is the code of a refusal, without InvalidParameter; "" if err is nil.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	code, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "3.0 InvalidParameter."), ":")
	return code
}

func TestTrustUnderAConditionIsNone(t *testing.T) {
	t.Parallel()
	for change, want := range map[string]bool{"": true, `"condition":{},`: true,
		`"condition":{"ip_equal":{"qcs:ip":"10.0.0.1"}},`: false} {
		d, err := parseTrust(strings.Replace(trustSCF, `"effect"`, change+`"effect"`, 1), "100000000001")
		if got := d.trusts(functionService); err != nil || got != want {
			t.Errorf("with %q it trusts: %v, %v, want %v", change, got, err, want)
		}
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	for i, s := range []string{
		`{"effect":"allow","action":["name/cos:GetObject","name/cos:PutObject"],
		  "resource":["qcs::cos:ap-guangzhou:uid/1250000000:b-1250000000/p/*"]}`,
		`{"effect":"deny","action":"name/cos:*",
		  "resource":"qcs::cos::uid/1250000000:b-1250000000/p/secret*"}`,
		`{"effect":"allow","action":"name/clb:Describe*","resource":"*"}`,
		`{"effect":"allow","action":"name/cvm:*","resource":"*",
		  "condition":{"ip_equal":{"qcs:ip":"10.0.0.1"}}}`,
		`{"effect":"allow","action":"name/scf:*","resource":"qcs::scf:::namespace/*/function/fn"}`,
	} {
		name := fmt.Sprintf("p%d", i)
		a.must(t, "cam", "CreatePolicy", jsonOf("PolicyName", name, "PolicyDocument",
			`{"version":"2.0","statement":[`+s+`]}`))
		a.must(t, "cam", "AttachRolePolicy", jsonOf("PolicyName", name, "AttachRoleName", "fn"))
	}
	a.must(t, "cam", "CreatePolicy", jsonOf("PolicyName", "unattached", "PolicyDocument",
		`{"version":"2.0","statement":[{"effect":"allow","action":"name/cam:*","resource":"*"}]}`))
	cos := func(key string) string { return "qcs::cos:ap-guangzhou:uid/1250000000:b-1250000000/" + key }
	for _, test := range []struct {
		role, action, resource string
		want                   bool
	}{
		{"fn", "name/cos:GetObject", cos("p/head"), true},
		{"fn", "name/cos:GetObject", cos("p/a/b:c"), true},
		{"fn", "name/cos:GetObject", cos("q/head"), false},
		{"fn", "name/cos:GetObject", cos("p"), false},
		{"fn", "name/cos:GetObject", strings.Replace(cos("p/head"), "guangzhou", "shanghai", 1), false},
		{"fn", "name/cos:GetObject", strings.Replace(cos("p/head"), "uid/1250000000", "uid/1", 1), false},
		{"fn", "name/cos:getobject", cos("p/head"), false},
		{"fn", "name/cos:DeleteObject", cos("p/head"), false},
		{"fn", "name/cos:GetObject", cos("p/secrets"), false},
		{"fn", "name/cos:GetObject", "*", false},
		{"fn", "name/clb:DescribeTargets", "*", true},
		{"fn", "name/clb:DescribeTargets", "qcs::clb:ap-guangzhou:uin/100000000001:clb/lb-1", true},
		{"fn", "name/clb:DeleteListener", "*", false},
		{"fn", "name/cvm:DescribeInstancesStatus", "*", false}, // under a condition
		{"fn", "name/scf:Invoke", a.functionResource("ap-guangzhou", "fn"), true},
		{"fn", "name/scf:Invoke", a.functionResource("ap-guangzhou", "fn2"), false},
		{"fn", "name/cam:GetRole", "*", false},
		{"none", "name/clb:DescribeTargets", "*", false},
	} {
		if got := a.Allows(test.role, test.action, test.resource); got != test.want {
			t.Errorf("Allows(%s, %s, %s) = %v, want %v", test.role, test.action, test.resource, got,
				test.want)
		}
	}
}
