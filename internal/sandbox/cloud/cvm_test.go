package cloud

import (
	"fmt"
	"strings"
	"testing"
)

// states is what a client sees: "ins-1=RUNNING ins-2=STOPPED of 2", or the code of the error.
func (c *v3Test) states(t *testing.T, region, params string) string {
	t.Helper()
	k := rightCall(DescribeInstancesStatus, "{"+params+"}")
	k.header["X-TC-Region"] = region
	r, err := c.do(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	text := brief(r.body)
	text = strings.NewReplacer(`{"InstanceStatusSet":[`, "", `{"InstanceId":"`, "", `","InstanceState":"`,
		"=", `"}`, "", `,`, " ", `] "TotalCount":`, " of ", `],"TotalCount":`, " of ").Replace(text)
	return strings.TrimSpace(strings.TrimSuffix(text, "}"))
}

func idList(n int) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf(`"ins-%05d"`, i)
	}
	return `"InstanceIds":[` + strings.Join(ids, ",") + `]`
}

func TestCVMAnswersAsDocumented(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	c.Bind(testRegion, testLB, Instance{ID: "ins-r8hr2upy", Status: 2},
		Instance{ID: "ins-5d8a23rs", Status: 4})
	got := c.ask(t, DescribeInstancesStatus,
		`{"InstanceIds":["ins-r8hr2upy","ins-5d8a23rs"],"Offset":0,"Limit":2}`)
	want := `{"InstanceStatusSet":[{"InstanceId":"ins-r8hr2upy","InstanceState":"RUNNING"},` +
		`{"InstanceId":"ins-5d8a23rs","InstanceState":"STOPPED"}],"TotalCount":2}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := c.states(t, testRegion, `"InstanceIds":["ins-none"]`), "of 0"; got != want {
		t.Errorf("an unknown instance: %s, want %s", got, want)
	}
}

func TestCVMKnowsAllStates(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	for status, want := range map[int]string{1: "LAUNCH_FAILED", 2: "RUNNING", 3: "PENDING", 4: "STOPPED",
		5: "SHUTDOWN", 6: "TERMINATING", 7: "REBOOTING", 8: "STARTING", 9: "STOPPING",
		21: "SERVICE_LIVE_MIGRATE", 0: "STATUS_0", 99: "STATUS_99"} {
		c.SetStatus("ins-00000", status)
		if got, want := c.states(t, testRegion, `"InstanceIds":["ins-00000"]`), "ins-00000="+want+
			" of 1"; got != want {
			t.Errorf("status %d: %s, want %s", status, got, want)
		}
	}
}

func TestCVMIsStrict(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	c.Register("ap-nanjing", many(101)...)
	ids := func(list string) string { return `"InstanceIds":[` + list + `]` }
	const region = "ap-nanjing"
	tests := []struct{ name, params, want string }{
		{"100 ids, 20 without a limit", idList(100), "ins-00019=RUNNING of 100"},
		{"100 ids", idList(100) + `,"Limit":100`, "ins-00099=RUNNING of 100"},
		{"a page", idList(100) + `,"Limit":1,"Offset":1`, "ins-00001=RUNNING of 100"},
		{"a page past the end", idList(3) + `,"Offset":3`, "of 3"},
		{"no ids: all of the region", ``, "ins-00019=RUNNING of 101"},
		{"some unknown", ids(`"ins-none","ins-00007"`), "ins-00007=RUNNING of 1"},

		{"101 ids", idList(101), "InvalidParameterValue.LimitExceeded"},
		{"an empty list", ids(``), "InvalidParameterValue"},
		{"ids as a string", `"InstanceIds":"ins-00000"`, "InvalidParameterValue"},
		{"the id of a network interface", ids(`"eni-cccccc"`), "InvalidInstanceId.Malformed"},
		{"an empty id", ids(`"ins-00000",""`), "InvalidInstanceId.Malformed"},
		{"an id with more", ids(`"ins-00000 "`), "InvalidInstanceId.Malformed"},
		{"the old form of an id", ids(`"qcvmed9e93b0bb2784b043c983761e624639"`),
			"InvalidInstanceId.Malformed"},
		{"an id twice", ids(`"ins-00000","ins-00000"`), "InvalidParameterValue.Duplicate"},
		{"limit 101", idList(1) + `,"Limit":101`, "InvalidParameterValue"},
		{"limit 0", idList(1) + `,"Limit":0`, "InvalidParameterValue"},
		{"offset below 0", idList(1) + `,"Offset":-1`, "InvalidParameterValue"},
		{"filters", `"Filters":[]`, "UnknownParameter"},
	}
	for _, tt := range tests {
		if got := c.states(t, region, tt.params); got != tt.want && !strings.HasSuffix(got, " "+tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	right := func(change func(*call)) call {
		k := rightCall(DescribeInstancesStatus, `{"InstanceIds":["ins-00000"]}`)
		change(&k)
		return k
	}
	for _, tt := range []struct {
		name string
		call call
		want string
	}{
		{"scope of CLB", right(func(k *call) { k.service = "clb" }), "AuthFailure.SignatureFailure"},
		{"version of CLB", right(func(k *call) { k.header["X-TC-Version"] = "2018-03-17" }), "NoSuchVersion"},
		{"at the host of CLB", right(func(k *call) { k.host = "clb.tencentcloudapi.com" }), "InvalidAction"},
		{"at the host of CLB in a region", right(func(k *call) {
			k.host = "clb.ap-shanghai-fsi.tencentcloudapi.com"
		}), "InvalidAction"},
		{"region of API 2.0", right(func(k *call) { k.header["X-TC-Region"] = "gz" }), "UnsupportedRegion"},
		{"at its own host", right(func(k *call) {
			k.host = "cvm.tencentcloudapi.com"
		}), `{"InstanceStatusSet":[{"InstanceId":"ins-00000","InstanceState":"RUNNING"}],"TotalCount":1}`},
	} {
		if r, err := c.do(t.Context(), tt.call); err != nil || brief(r.body) != tt.want {
			t.Errorf("%s: %s, error %v, want %s", tt.name, r.body, err, tt.want)
		}
	}
}

func TestCVMKnowsWhatIsBound(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	const far = "ap-beijing"
	both := func() string {
		return c.states(t, testRegion, `"InstanceIds":["ins-a"]`) + "; " +
			c.states(t, far, `"InstanceIds":["ins-a"]`)
	}
	in := Instance{ID: "ins-a", Status: 2}
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"bound to nothing", func() {}, "of 0; of 0"},
		{"a network interface of that name", func() {
			c.Bind(testRegion, "lb-eni", Instance{ID: "ins-a", Type: "ENI"})
		}, "of 0; of 0"},
		{"bound", func() { c.Bind(testRegion, "lb-1", in) }, "ins-a=RUNNING of 1; of 0"},
		{"stopped", func() { c.SetStatus("ins-a", 4) }, "ins-a=STOPPED of 1; of 0"},
		{"bound to a listener too", func() {
			c.SetApplication(testRegion, "lb-2")
			c.BindTo(testRegion, "lb-2", "TCP:8443", in)
		}, "ins-a=RUNNING of 1; of 0"},
		{"destroyed", func() { c.Forget("ins-a") }, "of 0; of 0"},
		{"destroyed, and told to run", func() {
			c.SetStatus("ins-a", 2)
			c.Forget("ins-none")
		}, "of 0; of 0"},
		{"bound again", func() { c.Bind(testRegion, "lb-1", in) }, "ins-a=RUNNING of 1; of 0"},
		{"unbound", func() { c.Unbind(testRegion, "lb-1", "ins-a") }, "ins-a=RUNNING of 1; of 0"},
		{"its load balancer's backends are elsewhere", func() {
			c.SetTargetRegion(testRegion, "lb-2", far)
		}, "of 0; ins-a=RUNNING of 1"},
		{"the same again", func() { c.SetTargetRegion(testRegion, "lb-2", far) }, "of 0; ins-a=RUNNING of 1"},
		{"bound where the backends are elsewhere", func() {
			c.Forget("ins-a")
			c.Bind(testRegion, "lb-2", in)
		}, "of 0; ins-a=RUNNING of 1"},
		{"bound to a listener there", func() {
			c.Forget("ins-a")
			c.BindTo(testRegion, "lb-2", "TCP:8443", in)
		}, "of 0; ins-a=RUNNING of 1"},
		{"and back", func() { c.SetTargetRegion(testRegion, "lb-2", "") }, "ins-a=RUNNING of 1; of 0"},
		{"registered", func() {
			c.Forget("ins-a")
			c.Register(testRegion, Instance{ID: "ins-a", Status: 8})
		}, "ins-a=STARTING of 1; of 0"},
	}
	for _, s := range steps {
		s.do()
		if got := both(); got != s.want {
			t.Errorf("%s: %s, want %s", s.name, got, s.want)
		}
	}
	c.Forget("ins-a")
	if got := c.Pool(testRegion, "lb-2"); len(got) != 1 || got[0].ID != "ins-a" {
		t.Errorf("destroyed: bound is %v, want it still", got)
	}
}
