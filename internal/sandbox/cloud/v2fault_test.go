package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What a client sees of each fault, in the order of Faults, then of those that wait.
func TestCloudFaults(t *testing.T) {
	t.Parallel()
	two := map[string]string{"offset": "2", "limit": "2"}
	rows := func(n int, total string) string { return fmt.Sprintf("code 0, %d rows of %s", n, total) }
	tests := []struct {
		fault  Fault
		change map[string]string
		want   string // code, rows and total, or a part of the error
	}{
		{FaultCode(4400, "LimitExceeded", "quota"), nil, "code 4400, 0 rows of absent"},
		{FaultCodeString(), nil, `code "0", 3 rows of 3`},
		{FaultEnvelope("InternalError", "x"), nil, "code absent, 0 rows of absent"},
		{FaultStatus(502), nil, "invalid character '<'"},
		{FaultHTML(), nil, "invalid character '<'"},
		{FaultCut(), nil, "unexpected EOF"},
		{FaultHalf(), nil, "unexpected end of JSON"},
		{FaultHuge(3 << 20), nil, rows(3, "3")},
		{FaultReset(), nil, "connection reset"},
		{FaultRedirect("/elsewhere"), nil, "invalid character '<'"},
		{FaultNoSet(), nil, rows(0, "3")},
		{FaultNullSet(), nil, rows(0, "3")},
		{FaultNoTotal(), nil, rows(3, "absent")},
		{FaultNoCode(), nil, "code absent, 3 rows of 3"},
		{FaultIgnoreOffset(), two, rows(2, "3")},
		{FaultRepeat(), two, rows(1, "3")},
		{FaultEmptyPage(), nil, rows(0, "3")},
		{FaultShort(), nil, rows(2, "3")},
		{FaultEmptyPool(), nil, rows(0, "0")},
		{FaultNoID(), nil, rows(3, "3")},
		{FaultNoStatus(), nil, rows(3, "3")},
		{FaultShuffle(), nil, rows(3, "3")},
		{FaultDelay(time.Millisecond), nil, rows(3, "3")},
	}
	for _, tt := range tests {
		t.Run(tt.fault.String(), func(t *testing.T) {
			t.Parallel()
			c := newCloudTest(t)
			c.Fail(testLB, tt.fault, 1)
			r, err := get(t.Context(), c.url(c.params(tt.change), c.cred.SecretKey))
			got := fmt.Sprint(err)
			if err == nil {
				total := "absent"
				if r.TotalCount != nil {
					total = strconv.Itoa(*r.TotalCount)
				}
				got = fmt.Sprintf("code %s, %d rows of %s", r.code(), len(r.BackendSet), total)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s; body %.200s", got, tt.want, r.body)
			}
			again := c.get(t, map[string]string{"limit": "100"})
			if again.code() != "0" || len(again.BackendSet) != 3 {
				t.Errorf("the call after the fault: %s", again.body)
			}
		})
	}
}

func TestCloudFaultsInTheirDetails(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	fail := func(f Fault, change map[string]string) reply {
		c.Fail("", f, 1)
		return c.get(t, change)
	}
	if r := fail(FaultNullSet(), nil); !bytes.Contains(r.body, []byte(`"backendSet":null`)) {
		t.Errorf("null: %s", r.body)
	}
	if r := fail(FaultNoSet(), nil); bytes.Contains(r.body, []byte("backendSet")) {
		t.Errorf("absent: %s", r.body)
	}
	if r := fail(FaultEmptyPage(), nil); !bytes.Contains(r.body, []byte(`"backendSet":[]`)) {
		t.Errorf("empty page: %s", r.body)
	}
	if r := fail(FaultNoID(), nil); bytes.Count(r.body, []byte("unInstanceId")) != 2 {
		t.Errorf("unInstanceId absent: %s", r.body)
	}
	if r := fail(FaultNoStatus(), nil); r.BackendSet[0].InstanceStatus != nil {
		t.Errorf("instanceStatus absent: %s", r.body)
	}
	if r := fail(FaultIgnoreOffset(), map[string]string{"offset": "1"}); !slices.Equal(r.ids(),
		[]string{"ins-00000", "ins-00001", "ins-00002"}) {
		t.Errorf("offset ignored: %q", r.ids())
	}
	if r := fail(FaultRepeat(), map[string]string{"offset": "1"}); !slices.Equal(r.ids(),
		[]string{"ins-00000", "ins-00001"}) {
		t.Errorf("ids repeated: %q", r.ids())
	}
	if r := fail(FaultHuge(3<<20), nil); len(r.body) < 3<<20 {
		t.Errorf("huge body: %d bytes", len(r.body))
	}
	if r := fail(FaultShuffle(), nil); !slices.Equal(slices.Sorted(slices.Values(r.ids())),
		[]string{"ins-00000", "ins-00001", "ins-00002"}) {
		t.Errorf("shuffled: %q", r.ids())
	}
	c.Fail("", FaultStatus(502), 1)
	if r, _ := get(t.Context(), c.url(c.params(nil), c.cred.SecretKey)); r.status != 502 {
		t.Errorf("status %d, want 502", r.status)
	}
	c.Fail("", FaultRedirect("/elsewhere"), 1)
	if r, _ := get(t.Context(), c.url(c.params(nil), c.cred.SecretKey)); r.status != 302 {
		t.Errorf("status %d, want 302", r.status)
	}
}

func TestCloudFaultsCount(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	c.Bind(testRegion, "lb-other", many(1)...)
	code := func(change map[string]string) string { return c.get(t, change).code() }
	other := map[string]string{"loadBalancerId": "lb-other"}

	c.Fail(testLB, FaultCode(6000, "InternalError", ""), 2)
	if code(other) != "0" || code(map[string]string{"Action": "x"}) != "6100" {
		t.Error("another load balancer or a wrong request met the fault")
	}
	if got := code(nil) + code(nil) + code(nil); got != "600060000" {
		t.Errorf("twice: codes %s, want 6000 6000 0", got)
	}
	c.Fail("", FaultCode(6200, "", ""), -1)
	c.Fail(testLB, FaultCode(6000, "", ""), 1)
	if got := code(nil) + code(nil) + code(other); got != "600062006200" {
		t.Errorf("its own first, then everyone's: codes %s, want 6000 6200 6200", got)
	}
	c.ClearFaults()
	if got := code(nil); got != "0" {
		t.Errorf("cleared: code %s, want 0", got)
	}
	c.Fail("", FaultEmptyPage().LaterPages(), 1)
	if got := len(c.get(t, nil).BackendSet); got != 3 {
		t.Errorf("first page: %d rows, want 3", got)
	}
	if got := len(c.get(t, map[string]string{"offset": "2"}).BackendSet); got != 0 {
		t.Errorf("later page: %d rows, want 0", got)
	}
}

func TestCloudHangsUntilTheClientGoesAway(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	for _, f := range []Fault{FaultHang(), FaultDelay(time.Hour)} {
		c.Fail("", f, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, err := get(ctx, c.url(c.params(nil), c.cred.SecretKey))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error %v, want the deadline", f, err)
		}
		cancel()
	}
	// The clean-up of the server waits for its handlers: if one hung on, the test would not end.
}
