package clb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cloud"
)

// twins is a cloud with both APIs, and a client of it; each client lives for one tick.
type twins struct {
	*cloud.Cloud
	t      *testing.T
	v2, v3 *url.URL
	cr     sandbox.Credential
	now    time.Time // of the client, for 2.0 and for the week
}

func newTwins(t *testing.T) *twins {
	t.Helper()
	w := &twins{Cloud: cloud.New(), t: t, now: time.Now()}
	for _, s := range []struct {
		u **url.URL
		h http.Handler
	}{{&w.v2, w.Cloud}, {&w.v3, w.V3()}} {
		srv := httptest.NewServer(s.h)
		t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
		u, err := url.Parse(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/"
		*s.u = u
	}
	w.v2.Path = cloud.APIPath
	w.cr = w.Issue()
	for i := range 3 {
		w.Bind("ap-guangzhou", "lb-1", cloud.Instance{ID: fmt.Sprint("ins-", i), Name: fmt.Sprint("web-", i),
			LanIP:  fmt.Sprint("10.0.0.", i),
			WanIPs: []string{"203.0.113.9", "203.0.113.1"}, Status: 2 + 2*(i%2), Weight: 10 * i})
	}
	return w
}

func (w *twins) client(api API) *Client {
	return &Client{Endpoint: w.v2, EndpointV3: w.v3, API: api, HTTP: NewHTTP(), Rate: rate.Inf,
		Credentials: Credentials{SecretID: w.cr.SecretID, SecretKey: w.cr.SecretKey, Token: w.cr.Token},
		Now:         func() time.Time { return w.now },
		Sleep:       func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

// What a tick knows of a classic load balancer: which one it is, but not what it has.
var (
	classicV2 = memory{api: V2, sum: "-"}.digest()
	classicV3 = memory{api: V3, sum: "-"}.digest()
)

func (w *twins) read(api API, known lb.Digest) lb.Reading {
	w.t.Helper()
	r, err := w.client(api).Read(w.t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}, known)
	if err != nil {
		w.t.Fatalf("Read by %s: %v", api, err)
	}
	return r
}

func TestBothAPIsReadTheSameBackends(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	two, three := w.read(V2, ""), w.read(V3, "")
	if len(two.Backends) != 3 || !reflect.DeepEqual(two.Backends, three.Backends) {
		t.Errorf("by 2.0 %+v\nby 3.0 %+v\nwant the same", two.Backends, three.Backends)
	}
	if again := w.read(V3, three.Digest); !again.Unchanged || again.Digest != three.Digest {
		t.Errorf("read again by 3.0: %+v, want it unchanged although the RequestId is another", again)
	}
	w.SetStatus("ins-0", 9)
	if again := w.read(V3, three.Digest); again.Unchanged || again.Backends[0].Status != 9 {
		t.Errorf("after a change: %+v", again)
	}
	// The digest of one API means nothing to the other.
	if r := w.read(V2, three.Digest); r.Unchanged || len(r.Backends) != 3 {
		t.Errorf("by 2.0 with a digest of 3.0: %+v", r)
	}
	if r := w.read(V3, two.Digest); r.Unchanged || len(r.Backends) != 3 {
		t.Errorf("by 3.0 with a digest of 2.0: %+v", r)
	}
}

func TestReadV3Refuses(t *testing.T) {
	t.Parallel()
	for _, f := range cloud.V3Faults() {
		w := newTwins(t)
		w.FailV3(f, -1)
		r, err := w.client(V3).Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}, classicV3)
		if f.String() == cloud.V3Empty().String() {
			if err != nil || len(r.Backends) != 0 { // a perfect lie: watch asks twice
				t.Errorf("%s: %+v, %v", f, r, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s is taken for %+v", f, r)
		} else if strings.Contains(err.Error(), w.cr.SecretKey) || strings.Contains(err.Error(), w.cr.Token) {
			t.Errorf("%s: a secret is in %v", f, err)
		}
	}
	w := newTwins(t)
	w.FailV3(cloud.V3Null(), 1)
	if r := w.read(V3, classicV3); len(r.Backends) != 0 {
		t.Errorf("null for no targets: %+v", r)
	}
}

func TestReadV3TriesAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault cloud.V3Fault
		again bool
	}{
		{cloud.V3Code("RequestLimitExceeded", "x"), true},
		{cloud.V3Code("RequestLimitExceeded.IPLimitExceeded", "x"), true},
		{cloud.V3Code("InternalError", "x"), true}, {cloud.V3Code("FailedOperation.ResourceInOperating", "x"),
			true},
		{cloud.V3HTML(502), true}, {cloud.V3HTML(200), true}, {cloud.V3Reset(), true}, {cloud.V3Half(), true},
		{cloud.V3Code("UnauthorizedOperation", "x"), false}, {cloud.V3Code("AuthFailure.SecretIdNotFound", "x"),
			false},
	} {
		w := newTwins(t)
		w.FailV3(tt.fault, 1)
		_, err := w.client(V3).Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}, classicV3)
		if (err == nil) != tt.again || w.CallsV3() != map[bool]int{true: 2, false: 1}[tt.again] {
			t.Errorf("%s: %v after %d calls, want another attempt: %v", tt.fault, err, w.CallsV3(), tt.again)
		}
		w = newTwins(t)
		w.FailV3(tt.fault, -1)
		_, err = w.client(V3).Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}, classicV3)
		if err == nil || advice.Of(err) == "" && !strings.Contains(tt.fault.String(), "half") || tt.again &&
			w.CallsV3() != attempts {
			t.Errorf("%s without end: %v, advice %q, after %d calls", tt.fault, err, advice.Of(err), w.CallsV3())
		}
	}
}

func TestReadV3OfALoadBalancerThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	for _, known := range []lb.Digest{"", classicV2, classicV3} {
		for _, api := range []API{V2, V3, Auto} {
			r, err := w.client(api).Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-none"}, known)
			if !errors.Is(err, lb.ErrNotFound) || !strings.Contains(advice.Of(err), "CLB_IDS") {
				t.Errorf("Read by %s, knowing %q = %+v, %v, advice %q, want that it is not there and what to do", api,
					known, r, err, advice.Of(err))
			}
		}
	}
}

// sweep reads n load balancers at once, as a tick does, and returns their digests.
func (w *twins) sweep(n int, known []lb.Digest) (digests []lb.Digest, errs []error) {
	c := w.client(Auto)
	digests, errs = make([]lb.Digest, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			d := classicV2
			if known != nil {
				d = known[i]
			}
			r, err := c.Read(w.t.Context(), lb.CLB{Region: "ap-guangzhou", ID: fmt.Sprint("lb-", i)}, d)
			digests[i], errs[i] = r.Digest, err
		})
	}
	wg.Wait()
	return digests, errs
}

var closedFault = cloud.FaultCode(4300, "RequestForbidden", "closed")

func TestAutoTurnsAtThePriceOfOneCall(t *testing.T) {
	t.Parallel()
	const n = 30
	w := newTwins(t)
	for i := range n {
		w.Bind("ap-guangzhou", fmt.Sprint("lb-", i), cloud.Instance{ID: "ins-x", Status: 2, Weight: 10})
	}
	two, errs := w.sweep(n, nil)
	if err := errors.Join(errs...); err != nil || w.Calls() != n || w.CallsV3() != 0 {
		t.Fatalf("while 2.0 is open: %v, %d calls of 2.0 and %d of 3.0, want %d and none", err, w.Calls(),
			w.CallsV3(), n)
	}
	w.Fail("", closedFault, -1)
	three, errs := w.sweep(n, two)
	if err := errors.Join(errs...); err != nil || w.Calls() != n+1 || w.CallsV3() != n {
		t.Fatalf("when 2.0 closed: %v, %d more calls of 2.0 and %d of 3.0, want 1 and %d", err, w.Calls()-n,
			w.CallsV3(), n)
	}
	if _, errs = w.sweep(n, three); errors.Join(errs...) != nil || w.Calls() != n+1 || w.CallsV3() != 2*n {
		t.Errorf("a tick later: %d more calls of 2.0, want none: it is remembered", w.Calls()-n-1)
	}
	for i, d := range three { // as if they were of another week: the SDK signs by the real clock
		three[i] = lb.Digest(strings.Replace(string(d), ":"+week(w.now)+":", ":1:", 1))
	}
	if _, errs = w.sweep(n, three); errors.Join(errs...) != nil || w.Calls() != n+2 {
		t.Errorf("a week later: %v, %d more calls of 2.0, want one: it is tried again", errors.Join(errs...),
			w.Calls()-n-1)
	}
	w.ClearFaults()
	if _, errs = w.sweep(n, three); errors.Join(errs...) != nil || w.Calls() != 2*n+2 {
		t.Errorf("when it is open again: %v, %d calls of 2.0 in all, want %d", errors.Join(errs...), w.Calls(),
			2*n+2)
	}
}

func TestAutoTurnsInTheMiddleOfASweep(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	for i := range 3 {
		w.Bind("ap-guangzhou", fmt.Sprint("lb-", i), cloud.Instance{ID: "ins-x", Status: 2, Weight: 10})
	}
	c := w.client(Auto)
	for i, closes := range []bool{false, true, true} {
		if closes {
			w.Fail("", closedFault, -1)
		}
		r, err := c.Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: fmt.Sprint("lb-", i)}, classicV2)
		if err != nil || strings.HasPrefix(string(r.Digest), "v3:") != closes {
			t.Errorf("load balancer %d: %+v, %v, want it read by 3.0: %v", i, r, err, closes)
		}
	}
	if w.Calls() != 2 {
		t.Errorf("%d calls of 2.0, want the one that worked and the one that was refused", w.Calls())
	}
}

func TestAutoTurnsWhere2IsNotThere(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	w.v2 = &url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: cloud.APIPath}
	if r := w.read(Auto, classicV2); !strings.HasPrefix(string(r.Digest), "v3:") || len(r.Backends) != 3 {
		t.Errorf("without a host for 2.0: %+v, want it read by 3.0", r)
	}
	w.Fail("", cloud.FaultCode(6100, "ActionNotFound", "x"), -1)
	if r := w.read(Auto, classicV2); len(r.Backends) != 3 {
		t.Errorf("2.0 without the action: %+v", r)
	}
}

func TestAutoDoesNotTurnForLess(t *testing.T) {
	t.Parallel()
	for _, f := range []cloud.Fault{cloud.FaultStatus(502), cloud.FaultReset(), cloud.FaultCode(4104, "x", "x"),
		cloud.FaultNoSet()} {
		w := newTwins(t)
		w.Fail("", f, -1)
		r, err := w.client(Auto).Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}, classicV2)
		if err == nil || w.CallsV3() > 0 {
			t.Errorf("%s: %+v, %v, %d calls of 3.0, want an error and none", f, r, err, w.CallsV3())
		}
	}
}

func TestAutoSaysBothWhenBothRefuse(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	w.Fail("", closedFault, -1)
	w.FailV3(cloud.V3Code("UnauthorizedOperation", "no"), -1)
	_, err := w.client(Auto).Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}, classicV2)
	if err == nil || !strings.Contains(err.Error(), "4300") ||
		!strings.Contains(err.Error(), "UnauthorizedOperation") ||
		!strings.Contains(advice.Of(err), "clb:DescribeClassicalLBTargets") {
		t.Errorf("Read: %v, advice %q, want both reasons, and what to grant", err, advice.Of(err))
	}
}

func TestAutoReaderThatWaitsGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	hanging, gone := context.WithCancel(t.Context())
	c := w.client(Auto)
	w.Fail("lb-1", cloud.FaultHang(), -1)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer gone()
	wg.Go(func() { _, _ = c.Read(hanging, lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}, classicV2) })
	for w.Calls() == 0 { // until it is on its way
		if t.Context().Err() != nil {
			t.Fatal("it never came")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Read(ctx, lb.CLB{Region: "ap-guangzhou", ID: "lb-2"}, classicV2); !errors.Is(err,
		context.Canceled) {
		t.Errorf("Read: %v, want the context's error", err)
	}
}

func TestDescribeV3TellsWhatIsKnown(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	var ids []string
	for i := range 41 {
		ids = append(ids, fmt.Sprintf("lb-%04d", i))
		if i != 1 {
			w.SetName("ap-guangzhou", ids[i], "of "+ids[i])
		}
	}
	w.SetApplication("ap-guangzhou", ids[40])
	got, err := w.client(V3).Describe(t.Context(), V3, "ap-guangzhou", ids)
	if err != nil || len(got) != 40 || got[ids[0]].Name != "of lb-0000" || got[ids[0]].Kind != lb.Classic ||
		got[ids[40]].Kind != lb.Application {
		t.Errorf("Describe by V3 = %d load balancers, the first %+v, the last %+v, %v; want 40, classic and "+
			"application", len(got), got[ids[0]], got[ids[40]], err)
	}
	w.FailV3(cloud.V3Edit("no set", "LoadBalancerSet", "X"), -1)
	if _, err := w.client(V3).Describe(t.Context(), V3, "ap-guangzhou", ids[:1]); err == nil ||
		!strings.Contains(err.Error(), "no LoadBalancerSet") {
		t.Errorf("without a set: %v", err)
	}
}

func FuzzDecodeClassic(f *testing.F) {
	f.Add([]byte(`{"Response":{"Targets":[{"Type":"CVM","InstanceId":"ins-1","Weight":10,"RunFlag":2,"PrivateIpAddresses":["10.0.0.1"]}],"RequestId":"r"}}`))
	f.Add([]byte(`{"Response":{"Targets":null,"RequestId":"r"}}`))
	f.Add([]byte(`{"code":0,"backendSet":[]}`))
	f.Add([]byte(`{"Response":{"Targets":[{"InstanceId":"ins-1","RunFlag":"2","Weight":"x"}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = sumV3(body) // must not panic
		got, err := decodeClassic(body)
		if err != nil {
			return
		}
		for _, b := range got.backends {
			if b.ID == "" || len(b.Name) > maxText || len(b.LanIP) > maxAddress || b.Weight < lb.UnknownWeight {
				t.Errorf("%s gives %+v", body, b)
			}
		}
	})
}

// TestAutoDecidesByWhat3Says: that 2.0 is closed, which is told along, hides no refusal of 3.0 from whoever
// decides by it, in the reader that finds it out nor in those that come later.
func TestAutoDecidesByWhat3Says(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	w.Fail("", cloud.FaultCode(4300, "RequestForbidden", "closed"), -1)
	w.FailV3On(cloud.DescribeLoadBalancers, cloud.V3Code("UnauthorizedOperation", "no"), -1)
	c := w.client(Auto)
	for range 2 {
		_, err := c.lookUp(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-1"})
		if !denied(err) || !strings.Contains(err.Error(), "and by API 2.0: API 2.0 is closed") {
			t.Errorf("lookUp = %v, denied %v, want it denied, with what 2.0 says", err, denied(err))
		}
	}
}
