package cloud

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
)

// sign is the signature as the documentation has it, written apart from the one under test.
func sign(method, host, path string, params map[string]string, key string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(params)) {
		parts = append(parts, k+"="+params[k])
	}
	h := sha1.New
	if params["SignatureMethod"] == "HmacSHA256" {
		h = sha256.New
	}
	m := hmac.New(h, []byte(key))
	_, _ = io.WriteString(m, method+host+path+"?"+strings.Join(parts, "&"))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Method, Host, Path, SecretKey, Expected string
		Params                                        map[string]string
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		form := url.Values{"Signature": {"not signed itself"}}
		for k, val := range v.Params {
			form.Set(k, val)
		}
		if got := signature(v.Method, v.Host+":8080", v.Path, form, v.SecretKey); got != v.Expected {
			t.Errorf("%s: the cloud's signature is %s, want %s", v.Name, got, v.Expected)
		}
		if got := sign(v.Method, v.Host, v.Path, v.Params, v.SecretKey); got != v.Expected {
			t.Errorf("%s: the test's signature is %s, want %s", v.Name, got, v.Expected)
		}
	}
	if len(vectors) != 4 {
		t.Errorf("%d vectors, want 4", len(vectors))
	}
}

const testRegion, testLB = "ap-guangzhou", "lb-test0001"

// cloudTest is a cloud with one load balancer of three backends, and a client for it.
type cloudTest struct {
	*Cloud
	srv  *httptest.Server
	cred sandbox.Credential
	mu   sync.Mutex
	n    int64
}

func newCloudTest(t *testing.T) *cloudTest {
	c := &cloudTest{Cloud: New()}
	c.srv = httptest.NewServer(c.Cloud)
	t.Cleanup(c.srv.Close)
	c.Bind(testRegion, testLB, many(3)...)
	c.cred = c.Issue()
	return c
}

func many(n int) []Instance {
	out := make([]Instance, n)
	for i := range out {
		out[i] = Instance{ID: fmt.Sprintf("ins-%05d", i), Name: fmt.Sprintf("web-%d", i), LanIP: "10.0.0.1",
			Status: 2, Weight: 10}
	}
	return out
}

// params are those of a right request, with changes; "" takes one out.
func (c *cloudTest) params(change map[string]string) map[string]string {
	c.mu.Lock()
	c.n++
	p := map[string]string{
		"Action": "DescribeLoadBalancerBackends", "Region": testRegion,
		"Timestamp": strconv.FormatInt(time.Now().Unix(), 10),
		"Nonce":     strconv.FormatInt(c.n, 10), "SecretId": c.cred.SecretID, "Token": c.cred.Token,
		"SignatureMethod": "HmacSHA256", "loadBalancerId": testLB,
		"RequestClient": "extra parameters are tolerated",
	}
	c.mu.Unlock()
	for k, v := range change {
		if p[k] = v; v == "" {
			delete(p, k)
		}
	}
	return p
}

func (c *cloudTest) url(params map[string]string, key string) string {
	form := url.Values{}
	for k, v := range params {
		form.Set(k, v)
	}
	if !form.Has("Signature") {
		form.Set("Signature", sign("GET", "127.0.0.1", APIPath, params, key))
	}
	return c.srv.URL + APIPath + "?" + form.Encode()
}

// reply is what a client makes of an answer.
type reply struct {
	Code       *json.RawMessage
	Message    string
	CodeDesc   string
	TotalCount *int
	BackendSet []struct {
		InstanceID     string `json:"instanceId"`
		UnInstanceID   string `json:"unInstanceId"`
		InstanceStatus *int   `json:"instanceStatus"`
		Weight         int    `json:"weight"`
	}

	status int
	body   []byte
}

func (r reply) code() string {
	if r.Code == nil {
		return "absent"
	}
	return string(*r.Code)
}

func (r reply) ids() (ids []string) {
	for _, b := range r.BackendSet {
		ids = append(ids, b.UnInstanceID)
	}
	return ids
}

func get(ctx context.Context, address string) (r reply, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return r, err
	}
	return do(req)
}

func do(req *http.Request) (r reply, err error) {
	client := &http.Client{
		// so that a reset is not retried by the transport
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return r, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	r.status, r.body = resp.StatusCode, body
	if err != nil {
		return r, err
	}
	err = json.Unmarshal(body, &r)
	return r, err
}

func (c *cloudTest) get(t *testing.T, change map[string]string) reply {
	t.Helper()
	r, err := get(t.Context(), c.url(c.params(change), c.cred.SecretKey))
	if err != nil {
		t.Fatalf("get: %v; body %.200s", err, r.body)
	}
	return r
}

func TestCloudAnswersAsDocumented(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	c.Bind(testRegion, "lb-one", Instance{ID: "ins-9o9ex9s0", Name: "test_k8s_1", LanIP: "10.104.222.152",
		WanIPs: []string{"193.112.93.144"}, Status: 4, Weight: 44})
	got := c.get(t, map[string]string{"loadBalancerId": "lb-one"})
	want := `{"code":0,"message":"","codeDesc":"Success","totalCount":1,"backendSet":[` +
		`{"instanceId":"qcvm` + strings.TrimPrefix(got.BackendSet[0].InstanceID, "qcvm") +
		`","unInstanceId":"ins-9o9ex9s0","instanceName":"test_k8s_1",` +
		`"lanIp":"10.104.222.152","wanIpSet":["193.112.93.144"],"instanceStatus":4,"weight":44}]}`
	if string(got.body) != want {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
	if again := c.get(t, map[string]string{"loadBalancerId": "lb-one"}); !bytes.Equal(again.body, got.body) {
		t.Errorf("the same state gave %s, then %s", got.body, again.body)
	}
	c.Bind(testRegion, "lb-wan", Instance{ID: "ins-1"}, Instance{ID: "ins-2", WanIPs: []string{}})
	if got := c.get(t, map[string]string{"loadBalancerId": "lb-wan"}); !bytes.Contains(got.body,
		[]byte(`"wanIpSet":null`)) ||
		!bytes.Contains(got.body, []byte(`"wanIpSet":[]`)) {
		t.Errorf("no public address: %s", got.body)
	}
	c.Create(testRegion, "lb-none")
	if got := c.get(t, map[string]string{"loadBalancerId": "lb-none"}); !strings.Contains(string(got.body),
		`"totalCount":0,"backendSet":[]`) {
		t.Errorf("empty load balancer: %s", got.body)
	}
	if len(c.Refused()) != 0 {
		t.Errorf("refused: %q", c.Refused())
	}
}

func TestCloudRefuses(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	unix := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	tests := []struct {
		name   string
		change map[string]string
		want   string
	}{
		{"nothing wrong", nil, "0"},
		{"nothing wrong, HmacSHA1", map[string]string{"SignatureMethod": "HmacSHA1"}, "0"},
		{"nothing wrong, method absent", map[string]string{"SignatureMethod": ""}, "0"},
		{"clock 4 minutes behind", map[string]string{"Timestamp": unix(-4 * time.Minute)}, "0"},
		{"clock 6 minutes behind", map[string]string{"Timestamp": unix(-6 * time.Minute)}, "4500"},
		{"clock 6 minutes ahead", map[string]string{"Timestamp": unix(6 * time.Minute)}, "4500"},
		{"no action", map[string]string{"Action": ""}, "4000"},
		{"no region", map[string]string{"Region": ""}, "4000"},
		{"no timestamp", map[string]string{"Timestamp": ""}, "4000"},
		{"no nonce", map[string]string{"Nonce": ""}, "4000"},
		{"no secret id", map[string]string{"SecretId": ""}, "4000"},
		{"timestamp in words", map[string]string{"Timestamp": "now"}, "4000"},
		{"nonce 0", map[string]string{"Nonce": "0"}, "4000"},
		{"nonce below 0", map[string]string{"Nonce": "-4"}, "4000"},
		{"unknown signature method", map[string]string{"SignatureMethod": "HmacMD5"}, "4000"},
		{"wrong signature", map[string]string{"Signature": "d3Jvbmc="}, "4100"},
		{"unknown secret id", map[string]string{"SecretId": "AKIDnobody"}, "4104"},
		{"no token", map[string]string{"Token": ""}, "4105"},
		{"wrong token", map[string]string{"Token": "x"}, "4105"},
		{"unknown action", map[string]string{"Action": "DescribeLoadBalancer"}, "6100"},
		{"no load balancer", map[string]string{"loadBalancerId": ""}, "4000"},
		{"unknown load balancer", map[string]string{"loadBalancerId": "lb-nowhere"}, "5000"},
		{"another region", map[string]string{"Region": "ap-shanghai"}, "5000"},
		{"limit 100", map[string]string{"limit": "100"}, "0"},
		{"limit 101", map[string]string{"limit": "101"}, "4000"},
		{"limit 0", map[string]string{"limit": "0"}, "4000"},
		{"offset below 0", map[string]string{"offset": "-1"}, "4000"},
		{"offset in words", map[string]string{"offset": "two"}, "4000"},
	}
	for _, tt := range tests {
		if got := c.get(t, tt.change); got.code() != tt.want || got.status != http.StatusOK {
			t.Errorf("%s: code %s, status %d (%s), want code %s", tt.name, got.code(), got.status,
				got.Message, tt.want)
		}
	}
	if c.Calls() != len(tests) {
		t.Errorf("%d calls, want %d", c.Calls(), len(tests))
	}
	if c.CallsTo("lb-nowhere") != 1 {
		t.Errorf("%d calls to lb-nowhere, want 1", c.CallsTo("lb-nowhere"))
	}
	if got, want := len(c.Refused()), len(tests)-5; got != want {
		t.Errorf("%d refused, want %d: %q", got, want, c.Refused())
	}
}

func TestCloudRefusesAReplayAndARevokedCredential(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	address := c.url(c.params(nil), c.cred.SecretKey)
	for _, want := range []string{"0", "4500"} {
		if got, err := get(t.Context(), address); err != nil || got.code() != want {
			t.Errorf("code %s, error %v, want %s", got.code(), err, want)
		}
	}
	// Another key may use the same nonce at the same time.
	p := c.params(nil)
	old := c.cred
	c.cred = c.Issue()
	first, _ := get(t.Context(), c.url(p, old.SecretKey))
	p["SecretId"], p["Token"] = c.cred.SecretID, c.cred.Token
	second, _ := get(t.Context(), c.url(p, c.cred.SecretKey))
	if first.code() != "0" || second.code() != "0" {
		t.Errorf("codes %s and %s, want 0 and 0", first.code(), second.code())
	}
	c.Revoke(c.cred.SecretID)
	if got := c.get(t, nil); got.code() != "4104" {
		t.Errorf("revoked: code %s, want 4104", got.code())
	}
}

func TestCloudTakesLongTermKeysWithoutToken(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	c.cred = sandbox.Credential{SecretID: "secretIdFoo", SecretKey: "secretKeyBar"}
	c.Accept(c.cred)
	if got := c.get(t, map[string]string{"Token": ""}); got.code() != "0" {
		t.Errorf("code %s, want 0", got.code())
	}
}

func TestCloudForms(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	signed := func(method string) url.Values {
		p := c.params(map[string]string{"Token": c.cred.Token})
		form := url.Values{"Signature": {sign(method, "127.0.0.1", APIPath, p, c.cred.SecretKey)}}
		for k, v := range p {
			form.Set(k, v)
		}
		return form
	}
	const formType = "application/x-www-form-urlencoded"
	twice := signed("GET")
	twice.Add("loadBalancerId", "lb-other")
	tests := []struct {
		name, method, path, query, body, contentType string
		wantCode                                     string
		wantStatus                                   int
	}{
		{"post", "POST", APIPath, "", signed("POST").Encode(), formType, "0", 200},
		{"post with the query of a get", "POST", APIPath, signed("POST").Encode(), "", formType, "4000", 200},
		{"post signed as a get", "POST", APIPath, "", signed("GET").Encode(), formType, "4100", 200},
		{"post of another type", "POST", APIPath, "", signed("POST").Encode(), "application/json", "4000",
			200},
		{"post too long", "POST", APIPath, "", signed("POST").Encode() + "&x=" + strings.Repeat("x", 2<<20),
			formType, "4000", 200},
		{"put", "PUT", APIPath, "", signed("PUT").Encode(), formType, "4000", 200},
		{"a parameter twice", "GET", APIPath, twice.Encode(), "", "", "4000", 200},
		{"a broken query", "GET", APIPath, "a=%zz", "", "", "4000", 200},
		{"another path", "GET", "/", signed("GET").Encode(), "", "", "absent", 404},
	}
	for _, tt := range tests {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, c.srv.URL+tt.path+"?"+tt.query,
			strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", tt.contentType)
		if got, _ := do(req); got.code() != tt.wantCode || got.status != tt.wantStatus {
			t.Errorf("%s: code %s, status %d (%s), want %s, %d", tt.name, got.code(), got.status, got.Message,
				tt.wantCode, tt.wantStatus)
		}
	}
}

func TestCloudPages(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	c.Bind(testRegion, testLB, many(250)...) // the three of before are replaced
	for _, tt := range []struct {
		offset, limit string
		from, to      int
	}{{"", "", 0, 20}, {"0", "100", 0, 100}, {"100", "100", 100, 200}, {"200", "100", 200, 250},
		{"300", "100", 0, 0}} {
		got := c.get(t, map[string]string{"offset": tt.offset, "limit": tt.limit})
		var want []string
		for i := tt.from; i < tt.to; i++ {
			want = append(want, fmt.Sprintf("ins-%05d", i))
		}
		if !slices.Equal(got.ids(), want) || *got.TotalCount != 250 {
			t.Errorf("offset %q limit %q: %d rows of %d, want %d of 250", tt.offset, tt.limit, len(got.ids()),
				*got.TotalCount, len(want))
		}
	}
}

func TestCloudForgetsOldNoncesOnly(t *testing.T) {
	t.Parallel()
	c := New()
	for i := range 3 * maxNonces {
		if !c.fresh(strconv.Itoa(i)) {
			t.Fatalf("nonce %d is not fresh", i)
		}
		if i >= 1000 && c.fresh(strconv.Itoa(i-1000)) {
			t.Fatalf("nonce %d was forgotten after 1000 others", i-1000)
		}
	}
	if n := len(c.nonces[0]) + len(c.nonces[1]); n > 2*maxNonces {
		t.Errorf("%d nonces are kept, want at most %d", n, 2*maxNonces)
	}
}

func BenchmarkCloud(b *testing.B) {
	c := New()
	for i := range 10_000 {
		c.Bind(testRegion, fmt.Sprintf("lb-%06d", i), many(100)...)
	}
	i := 0
	for b.Loop() {
		i++
		a, _, err := c.backendsV2(query{region: testRegion, lb: fmt.Sprintf("lb-%06d", i%10_000), limit: 100})
		if err != nil {
			b.Fatal(err)
		}
		_ = a.body()
	}
}
