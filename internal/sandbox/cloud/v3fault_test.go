package cloud

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// common is what a client sees of the faults that any action can have.
var common = map[string]string{
	"200 with HTML": "200 invalid character '<'", "502 with HTML": "502 invalid character '<'",
	"503 with HTML":    "503 invalid character '<'",
	"connection reset": "connection reset", "half the JSON": "200 unexpected end of JSON",
	"no RequestId":            "200 no RequestId",
	"the envelope of API 2.0": "200 no RequestId",
}

// testFaults shows what a client sees of each fault: once, of this action only, and of right requests only. A
// word that wants has not is that of an error.
func testFaults(t *testing.T, faults []V3Fault, right call, wants map[string]string, plausible ...string) {
	t.Helper()
	var got []string
	for _, f := range faults {
		if f.Plausible() {
			got = append(got, f.String())
		}
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			c := newForwardTest(t)
			c.Register(testRegion, many(3)...)
			ask := func(k call) string {
				r, err := c.do(t.Context(), k)
				if err != nil {
					return fmt.Sprintf("%d %v", r.status, err)
				}
				return fmt.Sprintf("%d %s", r.status, brief(r.body))
			}
			want, ok := wants[f.String()]
			if !ok {
				want, ok = common[f.String()]
			}
			if !ok {
				want = "200 " + f.String()
			}
			whole := ask(right)
			c.FailV3On(right.header["X-TC-Action"], f, 1)
			if got := ask(rightCall(DescribeClassicalLBTargets,
				`{"LoadBalancerId":"`+testLB+`"}`)); strings.Count(got, "ins-") != 3 {
				t.Errorf("another action met the fault: %s", got)
			}
			wrong := right
			wrong.body = `{"x":1}`
			if got := ask(wrong); got != "200 UnknownParameter" {
				t.Errorf("a wrong request met the fault: %s", got)
			}
			if got := ask(right); !strings.Contains(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
			if got := ask(right); got != whole {
				t.Errorf("the call after the fault: %s, want %s", got, whole)
			}
		})
	}
	if !slices.Equal(got, plausible) {
		t.Errorf("plausible: %q, want %q", got, plausible)
	}
}

func TestTargetFaults(t *testing.T) {
	t.Parallel()
	testFaults(t, TargetFaults(), rightCall(DescribeTargets, `{"LoadBalancerId":"lb-f"}`), map[string]string{
		"no Listeners": `200 {"Listener":[{`, "null for no targets": `200 {"Listeners":null}`,
		"no targets":                 `200 {"Listeners":[]}`,
		"a target without an id":     `"Targets":[{"Type":"cvm","InstanceId":"","Port":81`,
		"a target without a port":    `"Targets":[{"Type":"cvm","InstanceId":"ins-42lrdi7x","Weight":10`,
		"no targets on any listener": `"Rules":null,"Targets":[],"EndPort":0}]}`,
		"null for all targets":       `"Rules":null,"Targets":null,"EndPort":0}]}`,
		"shuffled":                   `"InstanceId":"ins-42lrdi7x"`,
	}, "null for no targets", "no targets", "no targets on any listener", "null for all targets")
}

func TestInstanceFaults(t *testing.T) {
	t.Parallel()
	zero, one, two := `{"InstanceId":"ins-00000","InstanceState":"RUNNING"}`, `{"InstanceId":"ins-00001",`+
		`"InstanceState":"RUNNING"}`, `{"InstanceId":"ins-00002","InstanceState":"RUNNING"}`
	set := func(total int, items ...string) string {
		return fmt.Sprintf(`200 {"InstanceStatusSet":[%s],"TotalCount":%d}`, strings.Join(items, ","), total)
	}
	testFaults(t, InstanceFaults(), rightCall(DescribeInstancesStatus, "{"+idList(3)+"}"), map[string]string{
		"no InstanceStatusSet":     `200 {"InstanceStatuses":[{`,
		"null for the set":         `200 {"InstanceStatusSet":null,"TotalCount":3}`,
		"no TotalCount":            fmt.Sprintf(`200 {"InstanceStatusSet":[%s,%s,%s]}`, zero, one, two),
		"a TotalCount of one more": set(4, zero, one, two),
		"one item short":           set(3, zero, one), "one item missing": set(2, zero, one),
		"one item twice": set(3, zero, one, zero),
		"an instance that was not asked for": set(4, zero, one, two,
			`{"InstanceId":"ins-stranger","InstanceState":"RUNNING"}`),
		"no InstanceState": `{"InstanceId":"ins-00000","InstanceStates":"RUNNING"}`,
		"no InstanceId":    `{"InstanceIt":"ins-00000",`,
		"an empty list":    set(0), "shuffled": zero,
	}, "InvalidInstanceId.NotFound", "one item missing", "an empty list")
}

func TestListFaults(t *testing.T) {
	t.Parallel()
	testFaults(t, ListFaults(), rightCall(DescribeLoadBalancers, `{"Offset":1,"Limit":2}`), map[string]string{
		"no LoadBalancerSet": `200 {"LoadBalancers":[{`,
		"null for the set":   `200 {"LoadBalancerSet":null,"TotalCount":4}`, "no TotalCount": `}]}`,
		"a TotalCount of one more": `,"TotalCount":5}`, "one item short": `"Isolation":0}],"TotalCount":4}`,
		"one item missing":  `"Isolation":0}],"TotalCount":3}`,
		"one item twice":    `"TotalCount":4}`,
		"offset ignored":    `200 {"LoadBalancerSet":[{"LoadBalancerId":"lb-a"`,
		"no LoadBalancerId": `{"LoadBalancerIt":"lb-b"`, "no Forward": `"Forwards":1`,
		"an empty list": `200 {"LoadBalancerSet":[],"TotalCount":0}`,
		"shuffled":      `{"LoadBalancerId":"lb-b"`,
	}, "one item missing", "an empty list")
	c := newForwardTest(t)
	ids := func() string { r, _ := c.do(t.Context(), call{}); return r.String() }
	pages := map[string]string{"one item short": "[lb-a lb-b lb-f] of 4",
		"one item missing": "[lb-a lb-b lb-f] of 3", "one item twice": "[lb-a lb-b lb-f lb-a] of 4",
		"offset ignored": "[lb-a lb-b lb-f lb-test0001] of 4"} // a first page is neither hit nor counted
	for _, f := range ListFaults() {
		want, ok := pages[f.String()]
		if !ok {
			continue
		}
		c.FailV3(f, 1)
		if got := ids(); got != want {
			t.Errorf("%s: %s, want %s", f, got, want)
		}
		if f.String() == V3IgnoreOffset().String() {
			if r, _ := c.do(t.Context(), call{body: `{"Offset":2}`}); r.String() != want {
				t.Errorf("%s: %s, want %s", f, r, want)
			}
		}
	}
	if got, want := ids(), "[lb-a lb-b lb-f lb-test0001] of 4"; got != want {
		t.Errorf("after the faults: %s, want %s", got, want)
	}
}

func TestV3FaultsOfOneThing(t *testing.T) {
	t.Parallel()
	c := newForwardTest(t)
	one := func(f V3Fault, action, body string) string {
		c.FailV3(f, 1)
		return c.ask(t, action, body)
	}
	if got, want := one(V3Twice(), DescribeInstancesStatus, `{"InstanceIds":["ins-1"]}`),
		`{"InstanceStatusSet":[{"InstanceId":"ins-1","InstanceState":"RUNNING"},{"InstanceId":"ins-1",`+
			`"InstanceState":"RUNNING"}],"TotalCount":2}`; got != want {
		t.Errorf("one twice: %s, want %s", got, want)
	}
	const none = `{"InstanceStatusSet":[],"TotalCount":0}`
	for _, f := range []V3Fault{V3Short(), V3Missing(), V3Twice()} {
		if got := one(f, DescribeInstancesStatus, `{"InstanceIds":["ins-none"]}`); got != none {
			t.Errorf("%s of none: %s, want %s", f, got, none)
		}
	}
	classic := `{"LoadBalancerId":"` + testLB + `"}`
	if got := one(V3Empty(), DescribeClassicalLBTargets, classic); got != `{"Targets":[]}` {
		t.Errorf("a classic one that is empty: %s", got)
	}
	for _, f := range []V3Fault{V3Null(), V3NullSet()} {
		if got := one(f, DescribeClassicalLBTargets, classic); got != `{"Targets":null}` {
			t.Errorf("%s, a classic one: %s", f, got)
		}
	}
	if got := one(V3Null(), DescribeTargets, `{"LoadBalancerId":"lb-f"}`); got != `{"Listeners":null}` {
		t.Errorf("null: %s", got)
	}
	if got := one(V3NoID(), DescribeClassicalLBTargets, classic); !strings.HasPrefix(got,
		`{"Targets":[{"Type":"CVM","InstanceId":"",`) {
		t.Errorf("no id, a classic one: %s", got)
	}
	right := c.ask(t, DescribeClassicalLBListeners, classic)
	// it has only one listener
	for _, f := range []V3Fault{V3NoTotal(), V3Total(), V3EmptySet(), V3NoPort(), V3NoTargets(),
		V3Shuffle()} {
		if got := one(f, DescribeClassicalLBListeners, classic); got != right {
			t.Errorf("%s changed what it is not about: %s", f, got)
		}
	}
	if got := one(V3Shuffle(), DescribeClassicalLBTargets, classic); strings.Count(got, "ins-0000") != 3 {
		t.Errorf("shuffled, a classic one: %s", got)
	}
}

func TestV3FaultsOfAnActionComeFirst(t *testing.T) {
	t.Parallel()
	c := newForwardTest(t)
	c.FailV3(V3Code("Any", ""), -1)
	c.FailV3On(DescribeTargets, V3Code("Own", ""), 2)
	var got []string
	for range 3 {
		got = append(got, c.ask(t, DescribeTargets, `{"LoadBalancerId":"lb-f"}`),
			c.ask(t, DescribeLoadBalancers, `{}`))
	}
	if want := []string{"Own", "Any", "Own", "Any", "Any", "Any"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	c.ClearFaults()
	if got := c.ask(t, DescribeTargets,
		`{"LoadBalancerId":"lb-nowhere"}`); got != "InvalidParameter.LBIdNotFound" {
		t.Errorf("an unknown load balancer: %s", got)
	}
	c.FailV3On(DescribeTargets, V3HTML(http.StatusBadGateway), 1)
	if got := c.ask(t, DescribeTargets,
		`{"LoadBalancerId":"lb-nowhere"}`); got != "InvalidParameter.LBIdNotFound" {
		t.Errorf("a wrong request met the fault: %s", got)
	}
}

// Shuffled answers differ from one another at last.
func TestShuffledIsAnotherOrder(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	c.SetApplication(testRegion, "lb-many")
	c.Bind(testRegion, "lb-many", many(9)...)
	const body = `{"LoadBalancerId":"lb-many"}`
	change := map[string]string{"Action": DescribeForwardLBBackends, "loadBalancerId": "lb-many"}
	right, rightV2 := c.ask(t, DescribeTargets, body), string(c.get(t, change).body)
	c.FailV3(V3Shuffle(), -1)
	c.Fail("", FaultShuffle(), -1)
	if got := c.ask(t, DescribeTargets, body); got == right || len(got) != len(right) {
		t.Errorf("API 3.0: %s", got)
	}
	if got := string(c.get(t, change).body); got == rightV2 || len(got) != len(rightV2) {
		t.Errorf("API 2.0: %s", got)
	}
}
