package cloud

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
)

// signTC3 is the header Authorization as the documentation has it, written apart from the one under test.
// names are the signed headers besides content-type and host.
func signTC3(service, host, id, key, body string, at time.Time, header map[string]string,
	names ...string) string {
	hash := func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
	mac := func(key, s string) string {
		m := hmac.New(sha256.New, []byte(key))
		_, _ = io.WriteString(m, s)
		return string(m.Sum(nil))
	}
	canonical := "content-type:" + header["Content-Type"] + "\nhost:" + host + "\n"
	for _, n := range names {
		canonical += n + ":" + strings.ToLower(header[n]) + "\n"
	}
	signed := strings.Join(append([]string{"content-type", "host"}, names...), ";")
	date := at.UTC().Format("2006-01-02")
	scope := date + "/" + service + "/tc3_request"
	text := fmt.Sprintf("TC3-HMAC-SHA256\n%d\n%s\n%s", at.Unix(), scope,
		hash("POST\n/\n\n"+canonical+"\n"+signed+"\n"+hash(body)))
	return fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x",
		id, scope, signed, mac(mac(mac(mac("TC3"+key, date), service), "tc3_request"), text))
}

// The samples of Tencent's documentation: signed by content-type and host, and by x-tc-action as well.
func TestTC3Vectors(t *testing.T) {
	t.Parallel()
	const (
		body  = `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`
		host  = "cvm.tencentcloudapi.com"
		stamp = 1551113065
	)
	header := map[string]string{"Content-Type": "application/json; charset=utf-8",
		"x-tc-action": "DescribeInstances"}
	for _, v := range []struct {
		key, want string
		names     []string
	}{
		{"Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
			"72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168", nil},
		{strings.Repeat("*", 32), "10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f",
			[]string{"x-tc-action"}},
	} {
		auth := signTC3("cvm", host, "AKIDsample", v.key, body, time.Unix(stamp, 0), header, v.names...)
		if !strings.HasSuffix(auth, "Signature="+v.want) {
			t.Errorf("the test signs %s, want %s", auth, v.want)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+host+"/",
			strings.NewReader(body))
		for k, val := range header {
			r.Header.Set(k, val)
		}
		r.Header.Set("X-TC-Timestamp", fmt.Sprint(stamp))
		a, err := sandbox.ParseTC3(auth)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Sign(r, []byte(body), v.key); err != nil || got != v.want {
			t.Errorf("the cloud's signature is %s, %v, want %s", got, err, v.want)
		}
	}
}

// v3Test is the cloud of newListTest with its API 3.0, and a client for it.
type v3Test struct {
	*cloudTest
	v3 *httptest.Server
}

func newV3Test(t *testing.T) *v3Test {
	c := &v3Test{cloudTest: newListTest(t)}
	c.v3 = httptest.NewServer(c.V3())
	t.Cleanup(c.v3.Close)
	return c
}

// call is a request, right if it is zero.
type call struct {
	header  map[string]string // changed before signing; "" takes one out
	after   map[string]string // changed after signing
	body    string
	sent    string // instead of body
	method  string
	path    string
	host    string // signed and sent instead of the server's
	service string
	signed  []string
	at      time.Duration // clock of the client
	zone    time.Duration // of the date that the client signs
	cred    *sandbox.Credential
}

// replyV3 is what a client makes of an answer.
type replyV3 struct {
	Response struct {
		Error struct{ Code, Message string }

		TotalCount      int
		LoadBalancerSet []struct {
			LoadBalancerID string `json:"LoadBalancerId"`
		}
		RequestID string `json:"RequestId"`
	}

	status int
	body   []byte
}

// String is the ids and TotalCount, or the code of the error.
func (r replyV3) String() string {
	if code := r.Response.Error.Code; code != "" || r.Response.RequestID == "" {
		return code
	}
	ids := []string{}
	for _, b := range r.Response.LoadBalancerSet {
		ids = append(ids, b.LoadBalancerID)
	}
	return fmt.Sprintf("%s of %d", ids, r.Response.TotalCount)
}

func (c *v3Test) do(ctx context.Context, k call) (r replyV3, err error) {
	cred := c.cred
	if k.cred != nil {
		cred = *k.cred
	}
	if k.body == "" {
		k.body = "{}"
	}
	if k.method == "" {
		k.method = http.MethodPost
	}
	if k.service == "" {
		k.service = "clb"
	}
	host := cmp.Or(k.host, strings.TrimPrefix(c.v3.URL, "http://"))
	at := c.Now().Add(k.at)
	header := map[string]string{
		"Content-Type": "application/json", "X-TC-Action": DescribeLoadBalancers,
		"X-TC-Version": "2018-03-17",
		"X-TC-Region":  testRegion, "X-TC-Timestamp": fmt.Sprint(at.Unix()), "X-TC-Token": cred.Token,
		"x-tc-token": cred.Token,
	}
	maps.Copy(header, k.header)
	header["Authorization"] = signTC3(k.service, host, cred.SecretID, cred.SecretKey, k.body, at, header,
		k.signed...)
	if k.zone != 0 {
		day := at.UTC().Format(time.DateOnly)
		header["Authorization"] = strings.Replace(header["Authorization"], day,
			at.UTC().Add(k.zone).Format(time.DateOnly), 1)
	}
	maps.Copy(header, k.after)
	if k.sent == "" {
		k.sent = k.body
	}
	req, err := http.NewRequestWithContext(ctx, k.method, c.v3.URL+k.path, strings.NewReader(k.sent))
	if err != nil {
		return r, err
	}
	for name, v := range header {
		if v != "" {
			req.Header.Set(name, v)
		}
	}
	req.Host = host
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	r.status = resp.StatusCode
	if r.body, err = io.ReadAll(resp.Body); err == nil {
		err = json.Unmarshal(r.body, &r)
	}
	return r, err
}

// ask makes a right call of an action, and returns the answer's Response without its RequestId, or the code
// of the error.
func (c *v3Test) ask(t *testing.T, action, body string) string {
	t.Helper()
	r, err := c.do(t.Context(), rightCall(action, body))
	if err != nil {
		t.Fatalf("%s %s: %v; body %.200s", action, body, err, r.body)
	}
	return brief(r.body)
}

func rightCall(action, body string) call {
	k := call{header: map[string]string{"X-TC-Action": action}, body: body}
	if action == DescribeInstancesStatus {
		k.header["X-TC-Version"], k.service = "2017-03-12", "cvm"
	}
	return k
}

// brief is the Response of a body without its RequestId, or the code of its error.
func brief(body []byte) string {
	var b struct {
		Response map[string]json.RawMessage
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return err.Error()
	}
	if b.Response["RequestId"] == nil {
		return "no RequestId: " + string(body)
	}
	delete(b.Response, "RequestId")
	var e struct{ Code string }
	if raw, ok := b.Response["Error"]; ok && json.Unmarshal(raw, &e) == nil {
		return e.Code
	}
	return string(marshal(b.Response))
}

func TestV3AnswersAsDocumented(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	first, err := c.do(t.Context(), call{body: `{"LoadBalancerIds":["lb-b"]}`})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"Response":{`, `"TotalCount":1`, `"LoadBalancerSet":[{"LoadBalancerId":"lb-b",` +
			`"LoadBalancerName":"lb-b","LoadBalancerType":"OPEN",` +
			`"Forward":1,"Status":1,"LoadBalancerVips":["203.0.113.`, `"VpcId":"vpc-5hw1ws7h"`,
	} {
		if !strings.Contains(string(first.body), want) {
			t.Errorf("got %s, want %s in it", first.body, want)
		}
	}
	second, _ := c.do(t.Context(), call{})
	if a, b := first.Response.RequestID, second.Response.RequestID; len(a) != 36 || a == b {
		t.Errorf("RequestIds %q and %q, want new ones", a, b)
	}
	if len(c.Refused()) != 0 || c.CallsV3() != 2 || c.Calls() != 0 {
		t.Errorf("refused %q, %d calls of 3.0, %d of 2.0; want none, 2, 0", c.Refused(), c.CallsV3(),
			c.Calls())
	}
	empty, _ := c.do(t.Context(), call{body: `{"LoadBalancerIds":["lb-nowhere"]}`})
	if !strings.Contains(string(empty.body), `"LoadBalancerSet":[]`) {
		t.Errorf("nothing found: %s", empty.body)
	}
}

func TestV3IsStrict(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	longTerm := sandbox.Credential{SecretID: "secretIdFoo", SecretKey: "secretKeyBar"}
	c.Accept(longTerm)
	header := func(name, value string) call { return call{header: map[string]string{name: value}} }
	after := func(name, value string) call { return call{after: map[string]string{name: value}} }
	body := func(s string) call { return call{body: s} }
	const (
		all       = "[lb-a lb-b lb-test0001] of 3"
		signature = "AuthFailure.SignatureFailure"
		malformed = "AuthFailure.InvalidAuthorization"
		parameter = "InvalidParameter"
		value     = "InvalidParameterValue"
	)
	ids := `{"LoadBalancerIds":["lb-a"` + strings.Repeat(`,"lb-a"`, 19) + `]}`
	tests := []struct {
		name string
		call call
		want string
	}{
		{"nothing wrong: all kinds", call{}, all},
		{"at the product's host", call{host: "clb.tencentcloudapi.com"}, all},
		{"content type with charset", header("Content-Type", "application/json; charset=utf-8"), all},
		{"token signed", call{signed: []string{"x-tc-token"}}, all},
		{"long-term key without token", call{cred: &longTerm}, all},
		{"clock 4 minutes behind", call{at: -4 * time.Minute}, all},
		{"classic", body(`{"Forward":0}`), "[lb-a lb-test0001] of 2"},
		{"application", body(`{"Forward":1}`), "[lb-b] of 1"},
		{"20 ids", body(ids), "[lb-a] of 1"},
		{"a page", body(`{"Offset":1,"Limit":1}`), "[lb-b] of 3"},
		{"an empty region", header("X-TC-Region", "ap-shanghai"), "[] of 0"},

		{"clock 6 minutes behind", call{at: -6 * time.Minute}, "AuthFailure.SignatureExpire"},
		{"clock 6 minutes ahead", call{at: 6 * time.Minute}, "AuthFailure.SignatureExpire"},
		{"unknown secret id", call{cred: &sandbox.Credential{SecretID: "AKIDnobody"}},
			"AuthFailure.SecretIdNotFound"},
		{"wrong key",
			call{cred: &sandbox.Credential{SecretID: c.cred.SecretID, SecretKey: "x", Token: c.cred.Token}},
			signature},
		{"no token", call{cred: &sandbox.Credential{SecretID: c.cred.SecretID, SecretKey: c.cred.SecretKey}},
			"AuthFailure.TokenFailure"},
		{"wrong token",
			call{cred: &sandbox.Credential{SecretID: c.cred.SecretID, SecretKey: c.cred.SecretKey,
				Token: "x"}}, "AuthFailure.TokenFailure"},
		{"a token for a long-term key",
			call{cred: &sandbox.Credential{SecretID: "secretIdFoo", SecretKey: "secretKeyBar", Token: "x"}},
			"AuthFailure.TokenFailure"},
		{"body changed", call{sent: `{"Limit":1}`}, signature},
		{"content type changed", after("Content-Type", "application/json;charset=utf-8"), signature},
		{"timestamp changed", after("X-TC-Timestamp", fmt.Sprint(time.Now().Unix()-7)), signature},
		{"query added", call{path: "/?a=b"}, signature},
		{"signed header not sent", call{signed: []string{"x-tc-trace"}}, signature},
		{"scope of another service", call{service: "cvm"}, signature},
		{"scope of another day", call{zone: 24 * time.Hour}, signature},
		{"no authorization", after("Authorization", ""), malformed},
		{"authorization of another kind", after("Authorization", "Bearer x"), malformed},
		{"content-type and host not signed", after("Authorization",
			"TC3-HMAC-SHA256 Credential=x/2019-02-25/clb/tc3_request, SignedHeaders=host, Signature=00"),
			malformed},
		{"signed headers out of order", after("Authorization",
			"TC3-HMAC-SHA256 Credential=x/2019-02-25/clb/tc3_request, SignedHeaders=host;content-type, "+
				"Signature=00"), malformed},
		{"no timestamp", after("X-TC-Timestamp", ""), parameter},
		{"get", call{method: http.MethodGet}, "UnsupportedProtocol"},
		{"form", header("Content-Type", "application/x-www-form-urlencoded"), parameter},
		{"no action", header("X-TC-Action", ""), "InvalidAction"},
		{"unknown action", header("X-TC-Action", "DescribeListeners"), "InvalidAction"},
		{"no version", header("X-TC-Version", ""), "NoSuchVersion"},
		{"version of another product", header("X-TC-Version", "2017-03-12"), "NoSuchVersion"},
		{"at another product's host", call{host: "cvm.tencentcloudapi.com"}, "InvalidAction"},
		{"no region", header("X-TC-Region", ""), "MissingParameter"},
		{"region of API 2.0", header("X-TC-Region", "gz"), "UnsupportedRegion"},
		{"not JSON", body(`{`), parameter},
		{"JSON null", body(`null`), parameter},
		{"21 ids", body(strings.Replace(ids, "]", `,"lb-a"]`, 1)), value},
		{"no ids", body(`{"LoadBalancerIds":[]}`), value},
		{"ids as a string", body(`{"LoadBalancerIds":"lb-a"}`), value},
		{"forward -1", body(`{"Forward":-1}`), value},
		{"forward as a string", body(`{"Forward":"1"}`), value},
		{"limit 101", body(`{"Limit":101}`), value},
		{"limit 0", body(`{"Limit":0}`), value},
		{"offset below 0", body(`{"Offset":-1}`), value},
		{"name of API 2.0", body(`{"loadBalancerIds":["lb-a"]}`), "UnknownParameter"},
		{"body too long", call{sent: strings.Repeat(" ", sandbox.MaxBodyTC3+1)}, parameter},
	}
	refused := 0
	for _, tt := range tests {
		r, err := c.do(t.Context(), tt.call)
		if err != nil || r.status != http.StatusOK || r.String() != tt.want {
			t.Errorf("%s: %s, status %d, error %v (%s), want %s", tt.name, r, r.status, err,
				r.Response.Error.Message, tt.want)
		}
		if r.Response.Error.Code != "" {
			refused++
		}
		if r.Response.RequestID == "" {
			t.Errorf("%s: no RequestId: %s", tt.name, r.body)
		}
	}
	got := c.Refused()
	if len(got) != refused || !strings.HasPrefix(got[0], "3.0 AuthFailure.SignatureExpire: ") {
		t.Errorf("%d refused, want %d: %q", len(got), refused, got)
	}
	if r, _ := c.do(t.Context(), call{path: "/v2/index.php"}); r.status != http.StatusNotFound {
		t.Errorf("another path: status %d, want 404", r.status)
	}
	c.Revoke(c.cred.SecretID)
	if r, _ := c.do(t.Context(), call{}); r.String() != "AuthFailure.SecretIdNotFound" {
		t.Errorf("revoked: %s", r.body)
	}
}

func TestV3TakesTheDayOfUTC(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	// 00:30 in Beijing is still yesterday in UTC.
	now := time.Date(2026, 3, 1, 0, 30, 0, 0, time.FixedZone("", 8*3600))
	c.Now = func() time.Time { return now }
	if r, err := c.do(t.Context(), call{}); err != nil || r.Response.Error.Code != "" {
		t.Errorf("signed by the day of UTC: %s, error %v", r.body, err)
	}
	if r, _ := c.do(t.Context(), call{zone: 8 * time.Hour}); r.String() != "AuthFailure.SignatureFailure" {
		t.Errorf("signed by the day of Beijing: %s", r.body)
	}
}

func TestV3Faults(t *testing.T) {
	t.Parallel()
	wants := []string{
		"200 RequestLimitExceeded", "200 InternalError", "200 UnauthorizedOperation",
		"200 invalid character '<'",
		"502 invalid character '<'", "connection reset",
	}
	for i, f := range V3Faults()[:len(wants)] { // the others are seen by whom they are made for, internal/clb
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			c := newV3Test(t)
			c.FailV3(f, 1)
			if r, _ := c.do(t.Context(),
				call{header: map[string]string{"X-TC-Action": "x"}}); r.String() != "InvalidAction" {
				t.Errorf("a wrong request met the fault: %s", r.body)
			}
			r, err := c.do(t.Context(), call{})
			got := fmt.Sprintf("%d %s", r.status, r)
			if err != nil {
				got = fmt.Sprintf("%d %v", r.status, err)
			}
			if !strings.Contains(got, wants[i]) {
				t.Errorf("got %s, want %s", got, wants[i])
			}
			if again, err := c.do(t.Context(), call{}); err != nil || again.Response.TotalCount != 3 {
				t.Errorf("the call after the fault: %s, error %v", again.body, err)
			}
		})
	}
}

func TestV3FaultsCount(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	c.FailV3(V3Code("A", ""), 2)
	c.FailV3(V3Code("B", ""), -1)
	var got []string
	for range 4 {
		r, _ := c.do(t.Context(), call{})
		got = append(got, r.String())
	}
	if c.list(t, nil) != "[lb-a lb-test0001] of 2" {
		t.Error("API 2.0 met a fault of 3.0")
	}
	c.ClearFaults()
	r, _ := c.do(t.Context(), call{})
	if got, want := append(got, r.String()), []string{"A", "A", "B", "B",
		"[lb-a lb-b lb-test0001] of 3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestV3HangsUntilTheClientGoesAway(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	c.FailV3(V3Hang(), 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := c.do(ctx, call{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
}

func TestMayIsAskedForEachAction(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	var asked []string
	c.May = func(id, action, resource string) bool {
		asked = append(asked, fmt.Sprint(id == c.cred.SecretID, " ", action, " ", resource))
		return action == "name/clb:DescribeLoadBalancers"
	}
	for action, want := range map[string]string{DescribeLoadBalancers: "",
		DescribeTargets: "UnauthorizedOperation"} {
		r, err := c.do(t.Context(), call{header: map[string]string{"X-TC-Action": action},
			body: map[bool]string{true: "{}", false: `{"LoadBalancerId":"lb-1"}`}[want == ""]})
		if err != nil || r.Response.Error.Code != want {
			t.Errorf("%s = %s, %v, want %s", action, r, err, want)
		}
	}
	if got := c.get(t, map[string]string{"Action": DescribeLoadBalancers}); got.code() == "4101" {
		t.Errorf("2.0: %s", got.code())
	}
	c.May = func(string, string, string) bool { return false }
	if got := c.get(t, map[string]string{"Action": DescribeLoadBalancers}); got.code() != "4101" {
		t.Errorf("2.0, refused: %s", got.code())
	}
	slices.Sort(asked)
	if asked = slices.Compact(asked); !slices.Equal(asked, []string{"true name/clb:DescribeLoadBalancers *",
		"true name/clb:DescribeTargets *"}) {
		t.Errorf("asked %q", asked)
	}
}
