package account

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
)

// accountTest is an account with a role for functions, a key for it and a server.
type accountTest struct {
	*Account
	srv  *httptest.Server
	cred sandbox.Credential
}

const (
	trustSCF = `{"version":"2.0","statement":[{"action":"name/sts:AssumeRole","effect":"allow",` +
		`"principal":{"service":["scf.qcloud.com"]}}]}`
	trustCVM = `{"version":"2.0","statement":[{"action":"name/sts:AssumeRole","effect":"allow",` +
		`"principal":{"service":["cvm.qcloud.com"]}}]}`
	readCLB = `{"version":"2.0","statement":[{"effect":"allow","action":["name/clb:Describe*"],` +
		`"resource":["*"]}]}`
)

func newAccountTest(t *testing.T) *accountTest {
	t.Helper()
	a := &accountTest{Account: New()}
	a.cred = a.Issue()
	a.srv = httptest.NewServer(a.Account)
	t.Cleanup(func() {
		a.srv.Close()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// signTC3 is the header Authorization as the documentation has it, written apart from the one under test.
func signTC3(service, host, id, key, body string, at time.Time, contentType string) string {
	hash := func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
	mac := func(key, s string) string {
		m := hmac.New(sha256.New, []byte(key))
		_, _ = io.WriteString(m, s)
		return string(m.Sum(nil))
	}
	const signed = "content-type;host"
	date := at.UTC().Format(time.DateOnly)
	scope := date + "/" + service + "/tc3_request"
	text := fmt.Sprintf("TC3-HMAC-SHA256\n%d\n%s\n%s", at.Unix(), scope,
		hash("POST\n/\n\ncontent-type:"+contentType+"\nhost:"+host+"\n\n"+signed+"\n"+hash(body)))
	return fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x",
		id, scope, signed, mac(mac(mac(mac("TC3"+key, date), service), "tc3_request"), text))
}

// call is a request, a right one of scf if only its action and body are set.
type call struct {
	action, body  string
	service, host string
	method, path  string
	header        map[string]string // changed before signing; "" takes one out
	after         map[string]string // changed after signing
	sent          string            // instead of body
	at            time.Duration     // clock of the client
	cred          *sandbox.Credential
}

// answer is what a client makes of an answer.
type answer struct {
	status int
	code   string // of an error; "no answer" if there is none
	fields map[string]any
	raw    string
}

func (a answer) String() string { return strings.TrimSpace(fmt.Sprintf("%d %s", a.status, a.code)) }

func (a *accountTest) do(ctx context.Context, k call) (got answer, err error) {
	cred := a.cred
	if k.cred != nil {
		cred = *k.cred
	}
	k.service, k.method, k.body = cmp.Or(k.service, "scf"), cmp.Or(k.method, "POST"), cmp.Or(k.body, "{}")
	host := cmp.Or(k.host, strings.TrimPrefix(a.srv.URL, "http://"))
	at := a.Now().Add(k.at)
	header := map[string]string{"Content-Type": "application/json", "X-TC-Action": k.action,
		"X-TC-Version": products[k.service].version, "X-TC-Region": "ap-guangzhou",
		"X-TC-Timestamp": fmt.Sprint(at.Unix()), "X-TC-Token": cred.Token}
	maps.Copy(header, k.header)
	header["Authorization"] = signTC3(k.service, host, cred.SecretID, cred.SecretKey, k.body, at,
		header["Content-Type"])
	maps.Copy(header, k.after)
	req, err := http.NewRequestWithContext(ctx, k.method, a.srv.URL+k.path, strings.NewReader(cmp.Or(k.sent,
		k.body)))
	if err != nil {
		return got, err
	}
	for name, v := range header {
		if v != "" {
			req.Header.Set(name, v)
		}
	}
	req.Host = host
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return answer{code: "no answer"}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return got, err
	}
	got = answer{status: resp.StatusCode, raw: string(raw)}
	var all struct{ Response map[string]any }
	if json.Unmarshal(raw, &all) != nil {
		got.code = "not JSON"
		return got, nil
	}
	if all.Response["RequestId"] == nil {
		got.code = "no RequestId"
	}
	if e, ok := all.Response["Error"].(map[string]any); ok {
		got.code, _ = e["Code"].(string)
	}
	got.fields = all.Response
	return got, nil
}

// ask makes a right request, and returns the answer.
func (a *accountTest) ask(t *testing.T, service, action, body string) answer {
	t.Helper()
	got, err := a.do(t.Context(), call{service: service, action: action, body: body})
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	return got
}

// must is ask for what must succeed.
func (a *accountTest) must(t *testing.T, service, action, body string) answer {
	t.Helper()
	got := a.ask(t, service, action, body)
	if got.String() != "200" {
		t.Fatalf("%s %s = %s", action, body, got.raw)
	}
	return got
}

// get returns a field of an answer, such as Triggers.0.TriggerDesc, as JSON; null if there is none.
func (a answer) get(path string) string {
	var v any = a.fields
	for key := range strings.SplitSeq(path, ".") {
		switch of := v.(type) {
		case map[string]any:
			v = of[key]
		case []any:
			var i int
			if _, err := fmt.Sscan(key, &i); err != nil || i >= len(of) {
				return "none"
			}
			v = of[i]
		default:
			return "none"
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// jsonOf is a JSON object of pairs of a key and a value.
func jsonOf(pairs ...any) string {
	m := make(map[string]any)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// zipOf is a zip with one file, in base64.
func zipOf(t *testing.T, name string, mode os.FileMode, content []byte) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(mode)
	f, err := w.CreateHeader(h)
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// newFunction makes the role fn and the function fn, and waits until it is active.
func (a *accountTest) newFunction(t *testing.T) {
	t.Helper()
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	a.must(t, "scf", "CreateFunction", a.functionBody(t))
	a.await(t, "fn")
}

func (a *accountTest) functionBody(t *testing.T, pairs ...any) string {
	t.Helper()
	return jsonOf(append([]any{"FunctionName", "fn", "Runtime", "Go1", "Handler", "main", "Role", "fn",
		"MemorySize", 128, "Timeout", 5, "Code", map[string]any{"ZipFile": zipOf(t, "main", 0o755,
			[]byte("x"))},
		"Environment", map[string]any{"Variables": []map[string]string{{"Key": "SETTING", "Value": "blue"}}}},
		pairs...)...)
}

func (a *accountTest) await(t *testing.T, name string) {
	t.Helper()
	for range a.Polls + 1 {
		if a.must(t, "scf", "GetFunction", jsonOf("FunctionName", name)).get("Status") == `"Active"` {
			return
		}
	}
	t.Fatalf("%s is not active after %d polls", name, a.Polls+1)
}

func TestRequestsAreChecked(t *testing.T) {
	t.Parallel()
	stranger := sandbox.Credential{SecretID: "AKIDstranger", SecretKey: "k"}
	list := call{action: "ListFunctions"}
	with := func(change func(*call)) call {
		k := list
		change(&k)
		return k
	}
	header := func(name, v string) call {
		return with(func(k *call) { k.header = map[string]string{name: v} })
	}
	for _, test := range []struct {
		name string
		call call
		want string
	}{
		{"nothing wrong", list, "200"},
		{"four minutes late", with(func(k *call) { k.at = -4 * time.Minute }), "200"},
		{"six minutes late", with(func(k *call) { k.at = -6 * time.Minute }),
			"200 AuthFailure.SignatureExpire"},
		{"six minutes early", with(func(k *call) { k.at = 6 * time.Minute }),
			"200 AuthFailure.SignatureExpire"},
		{"a charset", header("Content-Type", "application/json; charset=utf-8"), "200"},
		{"a form", header("Content-Type", "application/x-www-form-urlencoded"), "200 InvalidParameter"},
		{"GET", with(func(k *call) { k.method = "GET" }), "200 UnsupportedProtocol"},
		{"another path", with(func(k *call) { k.path = "/v3" }), "404 not JSON"},
		{"unsigned", with(func(k *call) { k.after = map[string]string{"Authorization": ""} }),
			"200 AuthFailure.InvalidAuthorization"},
		{"a stranger", with(func(k *call) { k.cred = &stranger }), "200 AuthFailure.SecretIdNotFound"},
		{"another body than signed", with(func(k *call) { k.sent = `{"Limit":1}` }),
			"200 AuthFailure.SignatureFailure"},
		{"a token that is not the key's",
			with(func(k *call) { k.after = map[string]string{"X-TC-Token": "x"} }),
			"200 AuthFailure.TokenFailure"},
		{"another host than signed", with(func(k *call) { k.host = "cam.tencentcloudapi.com" }),
			"200 NoSuchProduct"},
		{"the service's host", with(func(k *call) { k.host = "scf.tencentcloudapi.com" }), "200"},
		{"its host in the region", with(func(k *call) { k.host = "scf.ap-guangzhou.tencentcloudapi.com" }),
			"200"},
		{"another service", with(func(k *call) { k.service = "clb" }), "200 NoSuchProduct"},
		{"an action of another service", with(func(k *call) { k.action = "GetRole" }), "200 InvalidAction"},
		{"no action", with(func(k *call) { k.action = "" }), "200 InvalidAction"},
		{"another version", header("X-TC-Version", "2019-01-16"), "200 NoSuchVersion"},
		{"no region", header("X-TC-Region", ""), "200 MissingParameter"},
		{"no such region", header("X-TC-Region", "mars"), "200 UnsupportedRegion"},
		{"no object", with(func(k *call) { k.body = "[]" }), "200 InvalidParameter"},
		{"no JSON", with(func(k *call) { k.body = `{"Limit":` }), "200 InvalidParameter"},
		{"too large", with(func(k *call) { k.body = strings.Repeat(" ", sandbox.MaxBodyTC3+1) }),
			"200 RequestSizeLimitExceeded"},
		{"no such parameter", with(func(k *call) { k.body = `{"Size":1}` }), "200 UnknownParameter"},
		{"a parameter in another case", with(func(k *call) { k.body = `{"limit":1}` }),
			"200 UnknownParameter"},
		{"a text for a number", with(func(k *call) { k.body = `{"Limit":"1"}` }), "200 InvalidParameter"},
		{"half a number", with(func(k *call) { k.body = `{"Limit":1.5}` }), "200 InvalidParameter"},
		{"a number for a text", with(func(k *call) { k.body = `{"SearchKey":1}` }), "200 InvalidParameter"},
		{"null", with(func(k *call) { k.body = `{"SearchKey":null}` }), "200 InvalidParameter"},
		{"one is missing", call{action: "ListTriggers"}, "200 MissingParameter"},
		{"one in another is missing", call{action: "UpdateFunctionEventInvokeConfig",
			body: `{"FunctionName":"f","AsyncTriggerConfig":{"MsgTTL":60}}`}, "200 MissingParameter"},
		{"cam without a region", call{service: "cam", action: "ListPolicies",
			header: map[string]string{"X-TC-Region": ""}}, "200"},
		{"sts without a region", call{service: "sts", action: "GetCallerIdentity",
			header: map[string]string{"X-TC-Region": ""}}, "200 MissingParameter"},
		{"who calls", call{service: "sts", action: "GetCallerIdentity"}, "200"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newAccountTest(t)
			got, err := a.do(t.Context(), test.call)
			if got.String() != test.want || err != nil && got.code != "no answer" {
				t.Errorf("%s, %v, want %s; %s", got, err, test.want, got.raw)
			}
			if refused := len(a.Refused()); (test.want == "200" ||
				test.want == "404 not JSON") != (refused == 0) {
				t.Errorf("refused %q", a.Refused())
			}
		})
	}
}

func TestCallersAreKnown(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "vm", "PolicyDocument", trustCVM))
	user := a.must(t, "sts", "GetCallerIdentity", "")
	if got := user.get("Arn") + user.get("AccountId") + user.get("UserId") + user.get("PrincipalId") +
		user.get("Type"); got != `"qcs::cam:100000000001:uin/100000000002""100000000001""100000000002"`+
		`"100000000002""CAMUser"` {
		t.Errorf("the user is %s", got)
	}
	if _, ok := a.Assume("vm"); ok {
		t.Error("a function may run as a role that does not trust it")
	}
	cr, ok := a.Assume("fn")
	if !ok {
		t.Fatal("the role cannot be assumed")
	}
	ask := func(service, action, body string) answer {
		t.Helper()
		got, err := a.do(t.Context(), call{service: service, action: action, body: body, cred: &cr})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := ask("sts", "GetCallerIdentity", ""); got.get("Type") != `"CAMRole"` ||
		!strings.Contains(got.get("Arn"), "qcs::sts:100000000001:assumed-role/") {
		t.Errorf("the role is %s", got.raw)
	}
	if got := ask("scf", "GetFunction", `{"FunctionName":"fn"}`); got.code != "UnauthorizedOperation" {
		t.Errorf("a role without a policy gets %s", got)
	}
	a.must(t, "cam", "CreatePolicy", jsonOf("PolicyName", "p", "PolicyDocument",
		`{"version":"2.0","statement":[
		{"effect":"allow","action":"name/scf:Get*",
		 "resource":"qcs::scf:ap-guangzhou:uin/100000000001:namespace/default/function/fn"}]}`))
	a.must(t, "cam", "AttachRolePolicy", jsonOf("PolicyName", "p", "AttachRoleName", "fn"))
	for body, want := range map[string]string{`{"FunctionName":"fn"}`: "ResourceNotFound.Function",
		`{"FunctionName":"other"}`: "UnauthorizedOperation"} {
		if got := ask("scf", "GetFunction", body); got.code != want {
			t.Errorf("GetFunction %s = %s, want %s", body, got, want)
		}
	}
	if !a.May(cr.SecretID, "name/scf:GetFunction", a.functionResource("ap-guangzhou", "fn")) ||
		a.May(cr.SecretID, "name/cos:GetObject", "*") || !a.May(a.cred.SecretID, "name/cos:GetObject", "*") ||
		a.May("nobody", "name/cos:GetObject", "*") {
		t.Error("May does not say what policies do")
	}
	a.Revoke(cr.SecretID)
	if got := ask("sts", "GetCallerIdentity", ""); got.code != "AuthFailure.SecretIdNotFound" {
		t.Errorf("a credential that was revoked gets %s", got)
	}
}

// Every fault once, of an action that writes: whether it took effect, and what a second call says then.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault Fault
		first string
		again string
	}{
		{Refuse(), "200 UnauthorizedOperation", "200"},
		{Throttle(), "200 RequestLimitExceeded", "200"},
		{Code("InternalError", "x"), "200 InternalError", "200"},
		{HTML(http.StatusInternalServerError), "500 not JSON", "200"},
		{HTML(http.StatusOK), "200 not JSON", "200"},
		{Reset(), "0 no answer", "200"},
		{AppliesThenDrops(), "0 no answer", "200 InvalidParameter.RoleNameInUse"},
		{AppliesThenAnswers("InternalError", "x"), "200 InternalError", "200 InvalidParameter.RoleNameInUse"},
		{Hang(), "0 no answer", "200"},
		{AppliesThenHangs(), "0 no answer", "200 InvalidParameter.RoleNameInUse"},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			t.Parallel()
			a := newAccountTest(t)
			a.Fail("CreateRole", test.fault, 1)
			body := jsonOf("RoleName", "fn", "PolicyDocument", trustSCF)
			a.must(t, "cam", "ListPolicies", "") // no other action is hit
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if !strings.Contains(test.fault.String(), "hang") {
				ctx = t.Context()
			}
			got, _ := a.do(ctx, call{service: "cam", action: "CreateRole", body: body})
			if got.String() != test.first {
				t.Errorf("first: %s, want %s", got, test.first)
			}
			if got := a.ask(t, "cam", "CreateRole", body).String(); got != test.again {
				t.Errorf("again: %s, want %s", got, test.again)
			}
		})
	}
}

func TestFaultsEndAndComeInOrder(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.Fail("", Throttle(), 1)
	a.Fail("ListPolicies", Refuse(), 2)
	var got []string
	for range 4 {
		got = append(got, a.ask(t, "cam", "ListPolicies", "").code)
	}
	want := []string{"UnauthorizedOperation", "UnauthorizedOperation", "RequestLimitExceeded", ""}
	if !slices.Equal(got, want) {
		t.Errorf("codes %q, want %q", got, want)
	}
	a.Fail("", Refuse(), -1)
	for range 3 {
		if got := a.ask(t, "cam", "ListPolicies", ""); got.code != "UnauthorizedOperation" {
			t.Errorf("a fault without end: %s", got)
		}
	}
	a.ClearFaults()
	a.must(t, "cam", "ListPolicies", "")
	if n := len(Faults()); n < 8 {
		t.Errorf("%d faults", n)
	}
}

func TestCallsAreListed(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	for _, k := range []call{
		{service: "sts", action: "GetCallerIdentity"}, {service: "cam", action: "ListPolicies"},
		{action: "GetFunction", body: `{"FunctionName":"fn"}`}, {action: "ListTriggers"},
	} {
		if _, err := a.do(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.Writes(); len(got) != 0 {
		t.Errorf("calls that write: %v", got)
	}
	a.Fail("CreateRole", Throttle(), 1)
	a.ask(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	var got []string
	for _, c := range a.Calls() {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %v %s", c.Service, c.Action, c.Region,
			c.Writes,
			c.Code)))
	}
	want := []string{"sts GetCallerIdentity ap-guangzhou false", "cam ListPolicies  false",
		"scf GetFunction ap-guangzhou false ResourceNotFound.Function",
		"scf ListTriggers ap-guangzhou false MissingParameter",
		"cam CreateRole  true RequestLimitExceeded", "cam CreateRole  true"}
	if !slices.Equal(got, want) {
		t.Errorf("calls\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
