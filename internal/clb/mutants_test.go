package clb

import (
	"context"
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
)

// The tests in this file were each written for a deliberate fault that no other test saw.

// TestWhatNoRepeatMendsIsNotRepeated covers the codes that TestReadRefuses does not.
func TestWhatNoRepeatMendsIsNotRepeated(t *testing.T) {
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

// TestOutageUntilTheDeadlineIsNotUnchanged has the time end in the pause before a second attempt.
func TestOutageUntilTheDeadlineIsNotUnchanged(t *testing.T) {
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

func TestDescribeTellsWhatIsKnown(t *testing.T) {
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

func TestSkewIsHowFarOurClockIsAhead(t *testing.T) {
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
