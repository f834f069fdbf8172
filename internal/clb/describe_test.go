package clb

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/watch"
)

func TestDescribeByV2(t *testing.T) {
	t.Parallel()
	var ids []string
	for i := range 41 {
		ids = append(ids, fmt.Sprintf("lb-%04d", i))
	}
	c := &fake{lists: true, answer: func(_ int, f url.Values) (int, string) {
		var rows []string
		for i := 0; f.Get("loadBalancerIds."+strconv.Itoa(i)) != ""; i++ {
			id := f.Get("loadBalancerIds." + strconv.Itoa(i))
			if id == ids[1] {
				continue // unknown to it
			}
			forward := 0
			if id == ids[40] {
				forward = 1
			}
			rows = append(rows, fmt.Sprintf(`{"unLoadBalancerId":"%s","loadBalancerName":"of %s","forward":%d}`, id,
				id, forward))
		}
		if len(rows) > 20 {
			return 200, `{"code":4000,"message":"too many"}`
		}
		return 200, fmt.Sprintf(`{"code":0,"totalCount":%d,"loadBalancerSet":[%s]}`, len(rows),
			strings.Join(rows, ","))
	}}
	got, err := c.client(t).Describe(t.Context(), V2, "ap-guangzhou", ids)
	if err != nil || len(got) != 40 || got[ids[0]].Name != "of lb-0000" || got[ids[0]].Kind != lb.Classic ||
		got[ids[40]].Kind != lb.Application {
		t.Errorf("Describe = %d load balancers, the first %+v, the last %+v, %v; want 40, classic and application",
			len(got), got[ids[0]], got[ids[40]], err)
	}
	for body, want := range map[string]string{
		`{"code":0}`: "no loadBalancerSet",
		`{"code":0,"totalCount":1,"loadBalancerSet":null}`: "no loadBalancerSet",
		`{"code":4104,"message":"hunter2key"}`:             "4104",
	} {
		c := &fake{lists: true, answer: always(200, body)}
		if got, err := c.client(t).Describe(t.Context(), V2, "ap-guangzhou", ids[:1]); err == nil ||
			!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2key") {
			t.Errorf("Describe of %s = %v, %v, want an error with %q and no secret", body, got, err, want)
		}
	}
}

// answering is a client of an API at which everything is answered by f.
func answering(t *testing.T, f http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := (&fake{}).client(t)
	client.Endpoint, client.EndpointV3 = u, u
	return client
}

func TestSkew(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 4, 53, 0, 0, time.UTC)
	for date, want := range map[string]time.Duration{
		"Mon, 23 Nov 2026 04:53:00 GMT": 0, "Mon, 23 Nov 2026 04:47:00 GMT": 6 * time.Minute, "Mon, 23 Nov 2026 " +
			"04:53:30 GMT": -30 * time.Second,
	} {
		client := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", date) })
		client.Now = func() time.Time { return now }
		if got, err := client.Skew(t.Context()); got != want || err != nil {
			t.Errorf("Date %s: Skew = %v, %v, want %v", date, got, err, want)
		}
	}
	client := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", "noon") })
	if got, err := client.Skew(t.Context()); err == nil || !strings.Contains(err.Error(), "noon") {
		t.Errorf("Date noon: Skew = %v, %v, want an error", got, err)
	}
	client = answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if got, err := client.Skew(t.Context()); err == nil || !strings.Contains(advice.Of(err), "CLB_ENDPOINT") {
		t.Errorf("no answer: Skew = %v, %v, advice %q, want an error that names CLB_ENDPOINT", got, err,
			advice.Of(err))
	}
}

// No list of load balancers, or none in it, is an answer: there are none.
func TestEmptyAnswers(t *testing.T) {
	t.Parallel()
	null := func(keys ...string) cloud.Change {
		return func(v any) any {
			for _, k := range keys {
				cloud.Set(k, nil)(v)
			}
			return v
		}
	}
	w := withApplication(t)
	for _, change := range []cloud.Change{null("LoadBalancers"), cloud.Set("LoadBalancers", []any{})} {
		w.ClearFaults()
		w.FailV3On(cloud.DescribeTargetHealth, cloud.V3Odd("none", change), -1)
		c := w.client(V3)
		c.Health = true
		if r, err := c.Read(t.Context(), app, ""); err != nil || !r.Health || r.HealthErr != nil ||
			r.Backends[0].Checked != 0 {
			t.Errorf("Read = %+v, %v, want that nothing is checked", r, err)
		}
	}
	none := func(total, set string) cloud.Change {
		return func(v any) any { cloud.Set(total, 0)(v); return cloud.Set(set, nil)(v) }
	}
	w.ClearFaults()
	w.FailV3On(cloud.DescribeLoadBalancers, cloud.V3Odd("none", none("TotalCount", "LoadBalancerSet")), -1)
	w.Fail(cloud.DescribeLoadBalancers, cloud.FaultOdd("none", none("totalCount", "loadBalancerSet")), -1)
	w.Fail(cloud.DescribeLoadBalancerBackends, cloud.FaultOdd("none", none("totalCount", "backendSet")), -1)
	for _, api := range []API{V2, V3} {
		if list, err := w.client(api).List(t.Context(), "ap-guangzhou"); err != nil || len(list) != 0 {
			t.Errorf("List by %s = %v, %v, want none", api, list, err)
		}
	}
	if r := w.read(V2, classicV2); len(r.Backends) != 0 {
		t.Errorf("read %+v, want none", r)
	}
}

func TestUnknownRegion(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	for _, code := range []string{"UnsupportedRegion", "InvalidParameter.RegionNotFound"} {
		w.ClearFaults()
		w.FailV3On(cloud.DescribeLoadBalancers, cloud.V3Code(code, "no"), -1)
		w.Fail(cloud.DescribeLoadBalancers, cloud.FaultCode(4000, "InvalidParameter", "region "+w.cr.SecretID), -1)
		for _, api := range []API{V2, V3} {
			if _, err := w.client(api).List(t.Context(), "ap-nowhere"); !errors.Is(err, watch.ErrNoRegion) {
				t.Errorf("List by %s with %s: %v, want that there is no such region", api, code, err)
			}
		}
	}
}

func TestClockAdviceNamesTheHostThatWasAsked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ api, want string }{
		{"v2", "see whether localhost can be reached from here: DNS, firewall, proxy, CLB_ENDPOINT"},
		{"v3", "see whether 127.0.0.1 can be reached from here: DNS, firewall, proxy, CLB_V3_ENDPOINT"},
		{"auto", "see whether 127.0.0.1 can be reached from here: DNS, firewall, proxy, CLB_V3_ENDPOINT"},
	} {
		c := &Client{API: API(tt.api), HTTP: http.DefaultClient, Now: time.Now,
			Endpoint:   &url.URL{Scheme: "http", Host: "localhost:1", Path: "/"},
			EndpointV3: &url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: "/"}}
		if _, err := c.Skew(t.Context()); advice.Of(err) != tt.want {
			t.Errorf("%s: Skew = %v, advice %q, want %q", tt.api, err, advice.Of(err), tt.want)
		}
	}
}
