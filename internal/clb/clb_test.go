package clb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox/cloud"
)

func TestSignAgainstPublishedVectors(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/api2-signature.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Method, Host, Path, SecretKey, Expected string
		Params                                        map[string]string
	}
	if err := json.Unmarshal(b, &vectors); err != nil || len(vectors) < 7 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	for _, v := range vectors {
		if got := sign(v.Method, v.Host, v.Path, v.Params, v.SecretKey); got != v.Expected {
			t.Errorf("%s: sign(%s %s%s %v) = %s, want %s", v.Name, v.Method, v.Host, v.Path, v.Params, got, v.Expected)
		}
	}
}

// fake answers calls by a function and remembers them, but for those that ask which kind lb-byhpduqt is: it
// is classic.
type fake struct {
	lists bool // it answers and remembers these too
	mu    sync.Mutex
	calls []url.Values
	// n counts from 1; status 0 drops the connection
	answer func(n int, form url.Values) (status int, body string)
	pauses []time.Duration
}

func (c *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		panic(err)
	}
	if !c.lists && r.PostForm.Get("Action") == "DescribeLoadBalancers" {
		_, _ = w.Write([]byte(`{"code":0,"totalCount":1,"loadBalancerSet":[{"unLoadBalancerId":"lb-byhpduqt","forward":0}]}`))
		return
	}
	c.mu.Lock()
	c.calls = append(c.calls, r.PostForm)
	n := len(c.calls)
	c.mu.Unlock()
	status, body := c.answer(n, r.PostForm)
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	if status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// seen returns the calls so far.
func (c *fake) seen() []url.Values {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

func (c *fake) client(t *testing.T) *Client {
	t.Helper()
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	endpoint, err := url.Parse(srv.URL + "/v2/index.php")
	if err != nil {
		t.Fatal(err)
	}
	return &Client{
		Endpoint: endpoint, Credentials: Credentials{"AKIDtest", "hunter2key", "hunter2token"}, HTTP: NewHTTP(),
		Rate: rate.Inf, Now: time.Now,
		Sleep: c.sleep,
	}
}

// sleep takes no time, and notes the pauses of readers.
func (c *fake) sleep(ctx context.Context, d time.Duration) error {
	if d != maxGather && d != idleFor {
		c.pauses = append(c.pauses, d)
	}
	return ctx.Err()
}

// always answers every call alike.
func always(status int, body string) func(int, url.Values) (int, string) {
	return func(int, url.Values) (int, string) { return status, body }
}

// first answers the first n calls with one body, and the others well.
func first(n, status int, body string) func(int, url.Values) (int, string) {
	return func(call int, form url.Values) (int, string) {
		if call <= n {
			return status, body
		}
		return pages(1)(call, form)
	}
}

// pages serves a pool of so many backends, page by page.
func pages(total int) func(int, url.Values) (int, string) {
	return func(_ int, form url.Values) (int, string) {
		offset, _ := strconv.Atoi(form.Get("offset"))
		limit, _ := strconv.Atoi(form.Get("limit"))
		var rows []string
		for i := offset; i < min(offset+limit, total); i++ {
			rows = append(rows, row1(i))
		}
		return 200, body(total, rows...)
	}
}

func row1(i int) string {
	return fmt.Sprintf(`{"unInstanceId":"ins-%04d","instanceName":"web","lanIp":"10.0.0.1","wanIpSet":null,"instanceStatus":2,"weight":10}`, i)
}

func body(total int, rows ...string) string {
	return fmt.Sprintf(`{"code":0,"message":"","codeDesc":"Success","totalCount":%d,"backendSet":[%s]}`, total,
		strings.Join(rows, ","))
}

var testCLB = lb.CLB{Region: "ap-guangzhou", ID: "lb-byhpduqt"}

// document is the sample answer of DescribeLoadBalancerBackends,
// https://cloud.tencent.com/document/api/214/1259.
const document = `{"code":0,"message":"","codeDesc":"Success","totalCount":1,"backendSet":[

 {"instanceId":"qcvmed9e93b0bb2784b043c983761e624639","unInstanceId":"ins-9o9ex9s0","instanceName":"test_k8s_1",
  "lanIp":"10.104.222.152","wanIpSet":["193.112.93.144"],"instanceStatus":4,"weight":44}]}`

func TestReadDocumentSample(t *testing.T) {
	t.Parallel()
	c := &fake{answer: always(200, document)}
	r, err := c.client(t).Read(t.Context(), testCLB, "")
	want := []lb.Backend{{ID: "ins-9o9ex9s0", Name: "test_k8s_1", Status: 4, Weight: 44, LanIP: "10.104.222.152",
		WanIPs: []string{"193.112.93.144"}}}
	if err != nil || !reflect.DeepEqual(r.Backends, want) || r.Unchanged {
		t.Errorf("Read = %+v, %v, want %+v", r, err, want)
	}
	f := c.seen()[0]
	for k, want := range map[string]string{
		"Action": "DescribeLoadBalancerBackends", "Region": "ap-guangzhou", "loadBalancerId": "lb-byhpduqt",
		"offset": "0",
		"limit":  "100", "SecretId": "AKIDtest", "Token": "hunter2token", "SignatureMethod": "HmacSHA256",
	} {
		if f.Get(k) != want {
			t.Errorf("the call has %s=%q, want %q", k, f.Get(k), want)
		}
	}
}

func TestReadPagesUntilTheTotal(t *testing.T) {
	t.Parallel()
	for _, total := range []int{0, 1, 99, 100, 101, 250, 1000} {
		c := &fake{answer: pages(total)}
		r, err := c.client(t).Read(t.Context(), testCLB, "")
		wantCalls := max(1, (total+99)/100)
		if wantCalls > 1 {
			wantCalls *= 2 // several pages must be read alike twice
		}
		if err != nil || len(r.Backends) != total || len(c.seen()) != wantCalls {
			t.Errorf("%d backends: Read = %d backends, %v, in %d calls, want %d calls", total, len(r.Backends), err,
				len(c.seen()), wantCalls)
		}
	}
}

func TestReadUnchanged(t *testing.T) {
	t.Parallel()
	for _, total := range []int{0, 20, 250} {
		c := &fake{answer: pages(total)}
		client := c.client(t)
		r, err := client.Read(t.Context(), testCLB, "")
		if err != nil {
			t.Fatal(err)
		}
		again, err := client.Read(t.Context(), testCLB, r.Digest)
		if err != nil || !again.Unchanged || again.Digest != r.Digest || again.Backends != nil {
			t.Errorf("%d backends, the same bytes: %+v, %v, want unchanged", total, again, err)
		}
		for _, other := range []int{total + 1, max(total-1, 0), total + 100} {
			if other == total {
				continue
			}
			c.answer = pages(other)
			again, err = client.Read(t.Context(), testCLB, r.Digest)
			if err != nil || again.Unchanged || len(again.Backends) != other {
				t.Errorf("%d backends, then %d: %d, unchanged %v, %v", total, other, len(again.Backends), again.Unchanged,
					err)
			}
		}
	}
}

func TestReadLastPageChanged(t *testing.T) {
	t.Parallel()
	c := &fake{answer: pages(250)}
	client := c.client(t)
	r, _ := client.Read(t.Context(), testCLB, "")
	c.answer = func(n int, form url.Values) (int, string) {
		status, b := pages(250)(n, form)
		return status, strings.Replace(b, `"ins-0249","instanceName":"web"`, `"ins-0249","instanceName":"new"`, 1)
	}
	again, err := client.Read(t.Context(), testCLB, r.Digest)
	if err != nil || len(again.Backends) != 250 || again.Backends[249].Name != "new" ||
		again.Backends[0].Name != "web" {
		t.Errorf("Read = %d backends, %v, want all 250 with the last one changed", len(again.Backends), err)
	}
}

func TestReadTakesWhatIsLegal(t *testing.T) {
	t.Parallel()
	const id = `"unInstanceId":"ins-1"`
	tests := []struct {
		name, body string
		want       lb.Backend
	}{
		{"code as a string", strings.Replace(body(1, `{`+id+`,"instanceStatus":2,"weight":10}`), `"code":0`,
			`"code":"0"`, 1), lb.Backend{Status: 2, Weight: 10}},
		{"status and weight as strings", body(1, `{`+id+`,"instanceStatus":"4","weight":"7"}`),
			lb.Backend{Status: 4, Weight: 7}},
		{"status without a meaning", body(1, `{`+id+`,"instanceStatus":99,"weight":0}`), lb.Backend{Status: 99}},
		{"status 0", body(1, `{`+id+`,"instanceStatus":0,"weight":0}`), lb.Backend{}},
		{"no weight", body(1, `{`+id+`,"instanceStatus":2}`), lb.Backend{Status: 2, Weight: lb.UnknownWeight}},
		{"status null", body(2, `{`+id+`,"instanceStatus":null,"weight":0}`,
			`{"unInstanceId":"ins-9","instanceStatus":2,"weight":1}`), lb.Backend{Status: lb.Unknown}},
		{"a row of another type", body(2, `{`+id+`,"instanceStatus":2,"weight":0}`, `7`), lb.Backend{Status: 2}},
		{"the same backend twice", body(2, `{`+id+`,"instanceStatus":2,"weight":0}`,
			`{`+id+`,"instanceStatus":4,"weight":0}`), lb.Backend{Status: lb.Unknown}},
		{"addresses null", body(1, `{`+id+`,"instanceStatus":2,"weight":1,"lanIp":null,"wanIpSet":null}`),
			lb.Backend{Status: 2, Weight: 1}},
		{"addresses empty", body(1, `{`+id+`,"instanceStatus":2,"weight":1,"lanIp":"","wanIpSet":[]}`),
			lb.Backend{Status: 2, Weight: 1}},
		{"addresses out of order", body(1, `{`+id+`,"instanceStatus":2,"weight":1,"wanIpSet":["2.2.2.2","1.1.1.1"]}`),
			lb.Backend{Status: 2, Weight: 1, WanIPs: []string{"1.1.1.1", "2.2.2.2"}}},
		{"weight of another type", body(1, `{`+id+`,"instanceStatus":2,"weight":""}`),
			lb.Backend{Status: 2, Weight: lb.UnknownWeight}},
		{"weight null", body(1, `{`+id+`,"instanceStatus":2,"weight":null}`),
			lb.Backend{Status: 2, Weight: lb.UnknownWeight}},
		{"other types where nothing depends on it",
			body(1, `{`+id+`,"instanceStatus":2,"weight":1,"instanceName":false,"lanIp":7,"wanIpSet":{}}`),
			lb.Backend{Status: 2, Weight: 1}},
	}
	for _, tt := range tests {
		c := &fake{answer: always(200, tt.body)}
		tt.want.ID = "ins-1"
		r, err := c.client(t).Read(t.Context(), testCLB, "")
		if err != nil || len(r.Backends) == 0 || !reflect.DeepEqual(r.Backends[0], tt.want) {
			t.Errorf("%s: Read = %+v, %v, want %+v", tt.name, r.Backends, err, tt.want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	ok := row1(1)
	tests := []struct {
		name     string
		answer   func(int, url.Values) (int, string)
		want     string // in the error
		advice   string // in the advice
		attempts int
	}{
		{"the envelope of API 3.0", always(200, `{"Response":{"Error":{"Code":"AuthFailure.X","Message":"no"},"RequestId":"1"}}`), "API 3.0", "CLB_ENDPOINT", 1},
		{"the envelope of API 3.0 without an error", always(200, `{"Response":{"TotalCount":0,"RequestId":"1"}}`),
			"API 3.0", "", 1},
		{"no code", always(200, `{"totalCount":0,"backendSet":[]}`), "no code", "", 1},
		{"code null", always(200, `{"code":null,"totalCount":0,"backendSet":[]}`), "no code", "", 1},
		{"code of another kind", always(200, `{"code":true,"totalCount":0,"backendSet":[]}`), "damaged", "", 3},
		{"an empty object", always(200, `{}`), "no code", "", 1},
		{"no backendSet", always(200, `{"code":0,"totalCount":0}`), "no backendSet", "", 1},
		{"backendSet null with backends promised", always(200, `{"code":0,"totalCount":3,"backendSet":null}`),
			"no backendSet", "", 1},
		{"no totalCount", always(200, `{"code":0,"backendSet":[]}`), "no totalCount", "", 1},
		{"negative totalCount", always(200, `{"code":0,"totalCount":-1,"backendSet":[]}`), "no totalCount", "", 1},
		{"fewer rows than totalCount", always(200, body(2, ok)), "1 of 2", "", 2},
		{"no row where totalCount says one", always(200, body(1)), "0 of 1", "", 2},
		{"more rows than totalCount", always(200, body(0, ok)), "more backends than", "", 1},
		{"a row without an id", always(200, body(1, `{"instanceStatus":2}`)), "unInstanceId", "", 1},
		{"a row without a status", always(200, body(1, `{"unInstanceId":"ins-1"}`)), "instanceStatus", "", 1},
		{"offset ignored", func(n int, f url.Values) (int, string) {
			f.Set("offset", "0")
			return pages(150)(n,
				f)
		}, "twice", "", 4},
		{"ids repeated on page two", func(n int, f url.Values) (int, string) {
			s, b := pages(150)(n, f)
			return s, strings.Replace(b, "ins-0120", "ins-0020", 1)
		}, "twice", "", 4},
		{"an empty page two", func(n int, f url.Values) (int, string) {
			if f.Get("offset") != "0" {
				return 200, body(150)
			}
			return pages(150)(n, f)
		}, "100 of 150", "", 4},
		{"the default limit of 20", func(n int, f url.Values) (int,
			string) {
			f.Set("limit", "20")
			return pages(50)(n, f)
		}, "20 of 50", "", 2},
		{"totalCount changes all the time", func(n int, f url.Values) (int, string) { return pages(150+n)(n, f) },
			"totalCount was", "", 4},
		{"HTML with 200", always(200, "<html>busy</html>"), "not JSON", "", 3},
		{"an empty body", always(200, ""), "not JSON", "", 3},
		{"truncated JSON", always(200, document[:150]), "damaged", "", 3},
		{"JSON with something behind it", always(200, body(0)+"{}"), "damaged", "", 3},
		{"an over-long body", always(200, `{"code":0,"message":"`+strings.Repeat("x", maxBody)+`"}`), "more than",
			"", 1},
		{"500", always(500, "<html>"), "500", "clears by itself", 3},
		{"502", always(502, "<html>"), "502", "", 3},
		{"429", always(429, ""), "too many calls", "CLB_RATE", 3},
		{"a totalCount that nobody has", always(200, body(2_000_000_000, ok)), "not a plausible one", "", 1},
		{"4101", always(200, `{"code":4101,"message":""}`), "4101", "clb:DescribeLoadBalancerBackends", 1},
		{"4104", always(200, `{"code":4104,"message":""}`), "4104", "keys are right", 1},
		{"an id of a mile", always(200, body(1, `{"unInstanceId":"`+strings.Repeat("x", 101)+
			`","instanceStatus":2}`)), "unInstanceId", "", 1},
		{"the credentials echoed", always(200, `{"code":4105,"message":"token hunter2token of AKIDtest with hunter2key"}`), "4105", "keys are right", 1},
		{"the credentials echoed by a proxy", always(200, `no hunter2token for AKIDtest and hunter2key`),
			"not JSON", "", 3},
		{"404", always(404, "{}"), "404", "CLB_ENDPOINT", 1},
		{"a redirect", always(302, ""), "302", "CLB_ENDPOINT", 1},
		{"the connection breaks", always(0, ""), "EOF", "can be reached from here", 3},
		{"4000", always(200, `{"code":4000,"message":"(100004) x","codeDesc":"InvalidParameter"}`), "4000",
			"CLB_IDS", 1},
		{"4100", always(200, `{"code":4100,"message":"","codeDesc":"AuthFailure"}`), "4100", "execution role", 1},
		{"4102", always(200, `{"code":4102,"message":"","codeDesc":"AuthFailure"}`), "4102",
			"clb:DescribeLoadBalancerBackends", 1},
		{"4300", always(200, `{"code":4300,"message":"x","codeDesc":"RequestForbidden"}`),
			"API 2.0 is closed for this account", "CLB_API", 1},
		{"6100", always(200, `{"code":6100,"message":"x","codeDesc":"ActionNotFound"}`),
			"API 2.0 is closed for this account", "CLB_API", 1},
		{"5000", always(200, `{"code":5000,"message":""}`), "no such load balancer", "CLB_IDS", 1},
		{"code as a string", always(200, `{"code":"5000","message":""}`), "no such load balancer", "", 1},
		{"an unknown code", always(200, `{"code":9999,"message":{"a":1}}`), "9999", "", 1},
		{"4400 all the time", always(200, `{"code":4400,"message":""}`), "too many calls", "CLB_RATE", 3},
		{"5100 all the time", always(200, `{"code":5100,"message":""}`), "5100", "", 3},
		{"6000 all the time", always(200, `{"code":6000,"message":""}`), "6000", "", 3},
		{"6200 all the time", always(200, `{"code":6200,"message":""}`), "6200", "", 3},
		{"4500 all the time", always(200, `{"code":4500,"message":""}`), "4500", "clock", 2},
		{"4200 all the time", always(200, `{"code":4200,"message":""}`), "4200", "clock", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &fake{answer: tt.answer}
			r, err := c.client(t).Read(t.Context(), testCLB, "")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(advice.Of(err), tt.advice) {
				t.Errorf("Read = %+v, %v, advice %q; want an error with %q, advice with %q", r, err, advice.Of(err),
					tt.want, tt.advice)
			}
			if len(c.seen()) != tt.attempts {
				t.Errorf("%d calls, want %d", len(c.seen()), tt.attempts)
			}
			for _, secret := range []string{"AKIDtest", "hunter2key", "hunter2token"} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("the error has %q in it: %v", secret, err)
				}
			}
		})
	}
}

func TestReadTriesAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(int, url.Values) (int, string){
		"after 4400": first(2, 200, `{"code":4400,"message":""}`), "after 5100": first(2, 200,
			`{"code":5100,"message":""}`),
		"after 6000": first(1, 200, `{"code":6000,"message":""}`), "after 6200": first(1, 200,
			`{"code":6200,"message":""}`),
		"after 4500": first(1, 200, `{"code":4500,"message":""}`), "after 4200": first(1, 200,
			`{"code":"4200","message":""}`),
		"after 503": first(2, 503, ""), "after a broken connection": first(2, 0,
			""), "after a truncated answer": first(1, 200, document[:99]),
		"after the pool shifted between two pages": func(n int, f url.Values) (int, string) {
			if n == 1 {
				return pages(151)(n, f)
			}
			return pages(150)(n, f)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &fake{answer: answer}
			if _, err := c.client(t).Read(t.Context(), testCLB, ""); err != nil {
				t.Fatalf("Read: %v", err)
			}
			var nonces, signatures []string
			for _, f := range c.seen() {
				nonces, signatures = append(nonces, f.Get("Nonce")), append(signatures, f.Get("Signature"))
			}
			for _, s := range [][]string{nonces, signatures} {
				slices.Sort(s)
				if len(c.seen()) < 2 || len(slices.Compact(slices.Clone(s))) != len(c.seen()) {
					t.Errorf("%d attempts with %v, want each its own", len(c.seen()), s)
				}
			}
		})
	}
}

// TestReadIsNotTornBetweenPages replaces a backend of page one between the calls for page one and two, so
// that another, which never left, is on neither page while everything adds up.
func TestReadIsNotTornBetweenPages(t *testing.T) {
	t.Parallel()
	var before, after []int
	for i := range 150 {
		before = append(before, i)
		if i != 5 {
			after = append(after, i)
		}
	}
	after = append(after, 150)
	c := &fake{answer: func(n int, f url.Values) (int, string) {
		pool := before
		if n > 1 {
			pool = after
		}
		offset, _ := strconv.Atoi(f.Get("offset"))
		var rows []string
		for _, i := range pool[offset:min(offset+100, 150)] {
			rows = append(rows, row1(i))
		}
		return 200, body(150, rows...)
	}}
	r, err := c.client(t).Read(t.Context(), testCLB, "")
	if err != nil || len(r.Backends) != 150 || !slices.ContainsFunc(r.Backends,
		func(b lb.Backend) bool { return b.ID == "ins-0100" }) {
		t.Errorf("Read = %d backends, %v, want 150 with ins-0100, which never left", len(r.Backends), err)
	}
	c.answer = func(n int, f url.Values) (int, string) { // never the same twice
		s, b := pages(150)(n, f)
		return s, strings.Replace(b, `"web"`, fmt.Sprintf(`"web%d"`, n), 1)
	}
	if _, err := c.client(t).Read(t.Context(), testCLB, ""); err == nil ||
		!strings.Contains(err.Error(), "do not fit together") {
		t.Errorf("Read of what never settles = %v, want an error", err)
	}
}

func TestReadPausesLongerEachTime(t *testing.T) {
	t.Parallel()
	c := &fake{answer: always(503, "")}
	_, _ = c.client(t).Read(t.Context(), testCLB, "")
	if want := []time.Duration{200 * time.Millisecond, 600 * time.Millisecond}; !slices.Equal(c.pauses, want) {
		t.Errorf("paused %v, want %v", c.pauses, want)
	}
}

func TestReadBoundsWhatItKeeps(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("界", 1000)
	var ips []string
	for range 100 {
		ips = append(ips, `"`+long+`"`)
	}
	c := &fake{answer: always(200, body(1, `{"unInstanceId":"ins-1","instanceStatus":2,"weight":1,"instanceName":"`+long+`","lanIp":"`+long+`","wanIpSet":[`+strings.Join(ips, ",")+`]}`))}
	r, err := c.client(t).Read(t.Context(), testCLB, "")
	if err != nil {
		t.Fatal(err)
	}
	b := r.Backends[0]
	if len(b.Name) > 256 || len(b.LanIP) > 256 || len(b.WanIPs) > 16 || len(b.WanIPs[0]) > 64 ||
		!utf8.ValidString(b.Name+b.WanIPs[0]) {
		t.Errorf("kept %d, %d and %d addresses of %d bytes", len(b.Name), len(b.LanIP), len(b.WanIPs),
			len(b.WanIPs[0]))
	}
}

func TestEachAttemptHasItsOwnTimeLimit(t *testing.T) {
	t.Parallel()
	for _, known := range []lb.Digest{classicV2, classicV3} {
		synctest.Test(t, func(t *testing.T) {
			var limits []time.Duration
			endpoint := &url.URL{Scheme: "http", Host: "api.example", Path: "/v2/index.php"}
			client := &Client{Endpoint: endpoint, EndpointV3: endpoint, API: V2, Rate: rate.Inf, Now: time.Now,
				Sleep: (&fake{}).sleep}
			if known == classicV3 {
				client.API = V3
			}
			client.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				start := time.Now()
				<-r.Context().Done()
				limits = append(limits, time.Since(start))
				return nil, r.Context().Err()
			})}
			_, err := client.Read(t.Context(), testCLB, known)
			want := []time.Duration{attemptTimeout, attemptTimeout, attemptTimeout}
			if !slices.Equal(limits, want) || strings.Contains(fmt.Sprint(err), "http://") ||
				!strings.Contains(fmt.Sprint(err), "no answer within 5s") {
				t.Errorf("attempts limited to %v, and %v; want three of 5 s, and no URL", limits, err)
			}
		})
	}
}

// TestReadersKeepTheRate reads 50 load balancers at once at 20 calls a second, in a time of the test's own.
func TestReadersKeepTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var calls []time.Time
		client := &Client{
			Endpoint: &url.URL{Scheme: "http", Host: "api.test", Path: "/"}, Rate: 20, Now: time.Now,
			HTTP: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				mu.Lock()
				calls = append(calls, time.Now())
				mu.Unlock()
				time.Sleep(300 * time.Millisecond) // of the test's own time: a slow API
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body(0)))}, nil
			})},
		}
		start := time.Now()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := client.Read(t.Context(), testCLB, classicV2); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took, want := time.Since(start), 49*time.Second/20+300*time.Millisecond; took < want ||
			took > want+50*time.Millisecond {
			t.Errorf("50 calls took %v, want %v: the rate, and one answer", took, want)
		}
		for i, at := range calls {
			if i >= 20 && at.Sub(calls[i-20]) < 990*time.Millisecond {
				t.Errorf("21 calls within %v", at.Sub(calls[i-20]))
			}
		}
	})
}

func TestEachRegionHasARateOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := &Client{
			Endpoint: &url.URL{Scheme: "http", Host: "api.test", Path: "/"}, Rate: 1, Now: time.Now,
			HTTP: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body(0)))}, nil
			})},
		}
		start := time.Now()
		for range 3 {
			for _, region := range []string{"ap-guangzhou", "ap-shanghai", "ap-beijing"} {
				if _, err := client.Read(t.Context(), lb.CLB{Region: region, ID: "lb-1"}, classicV2); err != nil {
					t.Error(err)
				}
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("three calls in each of three regions took %v, want 2 s at one a second and region", took)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestReadGivesUpAtTheDeadline(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{})
	c := &fake{answer: func(int, url.Values) (int, string) { <-hanging; return 200, body(0) }}
	client := c.client(t)
	t.Cleanup(func() { close(hanging) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Read(ctx, testCLB, classicV2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read of a hanging API = %v, want the deadline", err)
	}
	client = (&fake{answer: always(200, body(0))}).client(t)
	client.Rate = rate.Every(time.Hour)
	if _, err := client.Read(t.Context(), testCLB, classicV2); err != nil { // the one turn there is
		t.Fatal(err)
	}
	if _, err := client.Read(ctx, testCLB, classicV2); err == nil ||
		!strings.Contains(advice.Of(err), "CLB_RATE") {
		t.Errorf("Read without a turn = %v, want an error with advice about CLB_RATE", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte(body(2, row1(1), row1(2))))
	f.Add([]byte(`{"Response":{"Error":{"Code":"x","Message":"y"}}}`))
	f.Add([]byte(`{"code":"0","totalCount":"1","backendSet":[{"unInstanceId":"i","instanceStatus":"2"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p pool
		if err := p.add(page{body: b}); err != nil {
			return
		}
		if len(p.backends) > p.total {
			t.Errorf("%q: %d backends of %d", b, len(p.backends), p.total)
		}
		ids := map[string]bool{}
		for _, b := range p.backends {
			if b.ID == "" || ids[b.ID] || len(b.Name) > maxText {
				t.Errorf("not a backend that may be taken: %+v", b)
			}
			ids[b.ID] = true
		}
	})
}

// TestPermanentErrorsAreNotRetried covers the codes that TestReadRefuses does not.
func TestPermanentErrorsAreNotRetried(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{
		4103: "clb:DescribeLoadBalancerBackends", 4106: "keys are right", 4110: "clb:DescribeLoadBalancerBackends",
		4600: "https://",
	} {
		c := &fake{answer: always(200, `{"code":`+strconv.Itoa(code)+`,"message":""}`)}
		_, err := c.client(t).Read(t.Context(), testCLB, "")
		if err == nil || !strings.Contains(advice.Of(err), want) || len(c.seen()) != 1 {
			t.Errorf("code %d: %v after %d calls, advice %q; want one call and advice with %q", code, err,
				len(c.seen()), advice.Of(err), want)
		}
	}
}

// TestChangeOnTheLastPageCostsNoThirdReading counts calls: they are what an account has few of.
func TestChangeOnTheLastPageCostsNoThirdReading(t *testing.T) {
	t.Parallel()
	c := &fake{answer: pages(250)}
	client := c.client(t)
	r, err := client.Read(t.Context(), testCLB, "")
	if err != nil {
		t.Fatal(err)
	}
	before := len(c.seen())
	c.answer = func(n int, form url.Values) (int, string) {
		status, b := pages(250)(n, form)
		return status, strings.Replace(b, `"ins-0249","instanceName":"web"`, `"ins-0249","instanceName":"new"`, 1)
	}
	if _, err := client.Read(t.Context(), testCLB, r.Digest); err != nil || len(c.seen())-before != 6 {
		t.Errorf("Read = %v in %d calls, want 6: three pages, and once more to be sure", err, len(c.seen())-before)
	}
}

// TestOutageUntilTheDeadlineIsAnError has the time end in the pause before a second attempt.
func TestOutageUntilTheDeadlineIsAnError(t *testing.T) {
	t.Parallel()
	c := &fake{answer: pages(1)}
	client := c.client(t)
	r, err := client.Read(t.Context(), testCLB, "")
	if err != nil {
		t.Fatal(err)
	}
	c.answer = always(503, "")
	client.Sleep = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
	again, err := client.Read(t.Context(), testCLB, r.Digest)
	if err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("Read = %+v, %v, want an error with 503", again, err)
	}
}

// A role that may do less than everything reads what it may read.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	denied := cloud.V3Code("UnauthorizedOperation", "no")
	classic := lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}
	for _, tt := range []struct {
		name    string
		api     API
		clb     lb.CLB
		refuse  []string // actions
		want    string   // statuses; "" for an error
		advices []string
	}{
		{"2.0, only the classic action", V2, classic, []string{cloud.DescribeLoadBalancers},
			"ins-0 running (2), ins-1 shut down (4), ins-2 running (2)", nil},
		{"3.0, only the classic action", V3, classic, []string{cloud.DescribeLoadBalancers},
			"ins-0 running (2), ins-1 shut down (4), ins-2 running (2)", nil},
		{"3.0, only the application actions", V3, app,
			[]string{cloud.DescribeLoadBalancers, cloud.DescribeClassicalLBTargets}, "running (2)", nil},
		{"2.0, only the application actions", V2, app,
			[]string{cloud.DescribeLoadBalancers, cloud.DescribeLoadBalancerBackends}, "running (2)", nil},
		{"2.0, nothing", V2, classic, []string{cloud.DescribeLoadBalancers, cloud.DescribeLoadBalancerBackends,
			cloud.DescribeForwardLBBackends}, "",
			[]string{"clb:DescribeLoadBalancerBackends on this", "clb:DescribeLoadBalancers on all"}},
		{"3.0, nothing", V3, classic, []string{cloud.DescribeLoadBalancers, cloud.DescribeClassicalLBTargets,
			cloud.DescribeTargets}, "",
			[]string{"clb:DescribeClassicalLBTargets on this", "clb:DescribeLoadBalancers on all"}},
		{"3.0, no CVM", V3, app, []string{cloud.DescribeInstancesStatus}, "",
			[]string{"cvm:DescribeInstancesStatus on all"}},
	} {
		for _, code := range []int{4101, 4102, 4103, 4110} {
			w := withApplication(t)
			for _, a := range tt.refuse {
				w.FailV3On(a, denied, -1)
				w.Fail(a, cloud.FaultCode(code, "AuthFailure", "no"), -1)
			}
			r, err := w.client(tt.api).Read(t.Context(), tt.clb, "")
			if tt.want != "" && (err != nil || !strings.Contains(statuses(r), tt.want)) {
				t.Errorf("%s, %d: Read = %s, %v, want %s", tt.name, code, statuses(r), err, tt.want)
			}
			if tt.want == "" && err == nil {
				t.Errorf("%s, %d: Read = %s, want an error", tt.name, code, statuses(r))
			}
			for _, want := range tt.advices {
				if !strings.Contains(advice.Of(err), want) {
					t.Errorf("%s, %d: %v: advice %q, want %s in it", tt.name, code, err, advice.Of(err), want)
				}
			}
		}
	}
}

// Where the instances are is asked of 3.0, which may refuse: that spoils nothing that 2.0 told.
func TestRefusedLookUpLosesNoReading(t *testing.T) {
	t.Parallel()
	w := withApplication(t)
	w.FailV3On(cloud.DescribeLoadBalancers, cloud.V3Code("UnauthorizedOperation", "no"), -1)
	c := w.client(V2)
	var errs [2]error
	done := make(chan struct{})
	go func() { defer close(done); _, errs[0] = c.Read(t.Context(), app, "") }()
	r, err := c.Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}, "")
	<-done
	if err != nil || len(r.Backends) != 3 || errs[0] != nil {
		t.Errorf("classic: %s, %v; application: %v, want both read", statuses(r), err, errs[0])
	}
}
