package cloud

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// newListTest is a cloud with lb-a of the classic kind, lb-b of the application kind and testLB, and one far
// away.
func newListTest(t *testing.T) *cloudTest {
	c := newCloudTest(t)
	c.Create(testRegion, "lb-a")
	c.SetName(testRegion, "lb-a", "prod web")
	c.Bind(testRegion, "lb-b", many(2)...)
	c.SetApplication(testRegion, "lb-b")
	c.Create("ap-guangzhou-open", "lb-far")
	return c
}

// list is what a client sees: the ids and totalCount, or the code.
func (c *cloudTest) list(t *testing.T, change map[string]string) string {
	t.Helper()
	all := map[string]string{"Action": DescribeLoadBalancers, "loadBalancerId": ""}
	maps.Copy(all, change)
	r := c.get(t, all)
	var l struct {
		TotalCount *int
		Set        []struct {
			ID string `json:"unLoadBalancerId"`
		} `json:"loadBalancerSet"`
	}
	if err := json.Unmarshal(r.body, &l); err != nil {
		t.Fatal(err)
	}
	if r.code() != "0" {
		return r.code()
	}
	var ids []string
	for _, b := range l.Set {
		ids = append(ids, b.ID)
	}
	if l.TotalCount == nil {
		return fmt.Sprintf("%s of absent", ids)
	}
	return fmt.Sprintf("%s of %d", ids, *l.TotalCount)
}

func TestCloudListsAsDocumented(t *testing.T) {
	t.Parallel()
	c := newListTest(t)
	got := c.get(t, map[string]string{"Action": DescribeLoadBalancers, "loadBalancerIds.0": "lb-a"})
	want := `{"code":0,"message":"","codeDesc":"Success","totalCount":1,` +
		`"loadBalancerSet":[{"loadBalancerId":"lb-a","unLoadBalancerId":"lb-a",` +
		`"loadBalancerName":"prod web","loadBalancerType":2,"forward":0,"status":1,` +
		`"loadBalancerVips":["203.0.113.`
	if !strings.HasPrefix(string(got.body), want) ||
		!strings.HasSuffix(string(got.body),
			`"createTime":"2017-05-11 10:00:00","vpcId":35503,"isolation":0}]}`) {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
	upgraded := c.get(t, map[string]string{"Action": DescribeLoadBalancers, "forward": "1"})
	want = `"loadBalancerName":"lb-b","loadBalancerType":2,"forward":1`
	if !strings.Contains(string(upgraded.body), want) {
		t.Errorf("application kind: %s", upgraded.body)
	}
}

func TestCloudLists(t *testing.T) {
	t.Parallel()
	c := newListTest(t)
	eleven := map[string]string{"forward": "-1"}
	for i := range 11 { // signed in the order .0, .1, .10, .2
		eleven[fmt.Sprintf("loadBalancerIds.%d", i)] = fmt.Sprintf("lb-none%d", i)
	}
	eleven["loadBalancerIds.10"] = "lb-a"
	tests := []struct {
		name   string
		change map[string]string
		want   string
	}{
		{"without forward: classic only", nil, "[lb-a lb-test0001] of 2"},
		{"classic", map[string]string{"forward": "0"}, "[lb-a lb-test0001] of 2"},
		{"application", map[string]string{"forward": "1"}, "[lb-b] of 1"},
		{"all", map[string]string{"forward": "-1"}, "[lb-a lb-b lb-test0001] of 3"},
		{"another region", map[string]string{"Region": "ap-guangzhou-open"}, "[lb-far] of 1"},
		{"an empty region", map[string]string{"Region": "ap-shanghai"}, "[] of 0"},
		{"ids from 0", map[string]string{"loadBalancerIds.0": "lb-test0001", "loadBalancerIds.1": "lb-a"},
			"[lb-a lb-test0001] of 2"},
		{"ids from 1", map[string]string{"loadBalancerIds.1": "lb-a"}, "[lb-a] of 1"},
		{"eleven ids", eleven, "[lb-a] of 1"},
		{"an id twice", map[string]string{"loadBalancerIds.0": "lb-a", "loadBalancerIds.1": "lb-a"},
			"[lb-a] of 1"},
		{"an unknown id", map[string]string{"loadBalancerIds.0": "lb-nowhere"}, "[] of 0"},
		{"an id of another region", map[string]string{"loadBalancerIds.0": "lb-far"}, "[] of 0"},
		{"an application id without forward", map[string]string{"loadBalancerIds.0": "lb-b"}, "[] of 0"},
		{"a page", map[string]string{"forward": "-1", "offset": "1", "limit": "1"}, "[lb-b] of 3"},
		{"a page past the end", map[string]string{"offset": "9"}, "[] of 2"},

		{"a gap in the ids", map[string]string{"loadBalancerIds.0": "lb-a", "loadBalancerIds.2": "lb-b"},
			"4000"},
		{"ids from 2", map[string]string{"loadBalancerIds.2": "lb-a"}, "4000"},
		{"an id without a number", map[string]string{"loadBalancerIds": "lb-a"}, "4000"},
		{"an id with an odd number", map[string]string{"loadBalancerIds.00": "lb-a"}, "4000"},
		{"an id below 0", map[string]string{"loadBalancerIds.-1": "lb-a"}, "4000"},
		{"forward 2", map[string]string{"forward": "2"}, "4000"},
		{"limit 101", map[string]string{"limit": "101"}, "4000"},
		{"offset below 0", map[string]string{"offset": "-1"}, "4000"},
		{"no region", map[string]string{"Region": ""}, "4000"},
		{"wrong signature", map[string]string{"Signature": "d3Jvbmc="}, "4100"},
		{"unknown secret id", map[string]string{"SecretId": "AKIDnobody"}, "4104"},
		{"no token", map[string]string{"Token": ""}, "4105"},
	}
	for _, tt := range tests {
		if got := c.list(t, tt.change); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := c.CallsTo(DescribeLoadBalancers); got != len(tests) || c.Calls() != len(tests) {
		t.Errorf("%d of %d calls, want %d", got, c.Calls(), len(tests))
	}
	c.Bind(testRegion, "lb-z", many(1)...)
	for i := range 30 {
		c.Create("ap-beijing", fmt.Sprintf("lb-%02d", i))
	}
	if got := c.list(t, map[string]string{"Region": "ap-beijing"}); !strings.Contains(got, "lb-19] of 30") {
		t.Errorf("without a limit: %s, want 20 of 30", got)
	}
	c.Delete(testRegion, "lb-a")
	if got, want := c.list(t, nil), "[lb-test0001 lb-z] of 2"; got != want {
		t.Errorf("after a deletion: %s, want %s", got, want)
	}
}

func TestCloudRefusesAnApplicationLoadBalancersBackends(t *testing.T) {
	t.Parallel()
	c := newListTest(t)
	c.SetName(testRegion, testLB, "kept")
	c.SetApplication(testRegion, testLB)
	if got := c.get(t, nil); got.code() != "5000" {
		t.Errorf("code %s, want 5000", got.code())
	}
	c.SetApplicationsEmpty(true)
	if got := c.get(t, nil); !strings.Contains(string(got.body),
		`"code":0,"message":"","codeDesc":"Success","totalCount":0,"backendSet":[]`) {
		t.Errorf("made to look empty: %s", got.body)
	}
	if got := c.get(t, map[string]string{"loadBalancerId": "lb-nowhere"}); got.code() != "5000" {
		t.Errorf("unknown: code %s, want 5000", got.code())
	}
	c.Create(testRegion, testLB) // emptied, not made again
	found := c.find(testRegion, []string{testLB}, application)
	if len(found) != 1 || found[0].name != "kept" {
		t.Errorf("emptied: %+v, want its name and kind kept", found)
	}
}

func TestV3ListsTagsAndWhereTheBackendsAre(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	c.SetTags(testRegion, "lb-a", map[string]string{"team": "web", "env": "prod"})
	c.SetTargetRegion(testRegion, "lb-a", "ap-beijing")
	c.SetTags(testRegion, "lb-b", map[string]string{"team": "web"})
	c.SetTags(testRegion, "lb-b", nil)
	for id, want := range map[string]string{
		"lb-a": `"TargetRegionInfo":{"Region":"ap-beijing","VpcId":"vpc-5hw1ws7h"},"Tags":[{"TagKey":"env",` +
			`"TagValue":"prod"},{"TagKey":"team","TagValue":"web"}],`,
		"lb-b": `"TargetRegionInfo":{"Region":"ap-guangzhou","VpcId":"vpc-5hw1ws7h"},"Tags":null,`,
	} {
		if got := c.ask(t, DescribeLoadBalancers, `{"LoadBalancerIds":["`+id+`"]}`); !strings.Contains(got,
			want) {
			t.Errorf("%s: %s, want %s in it", id, got, want)
		}
	}
	if r := c.get(t,
		map[string]string{"Action": DescribeLoadBalancers}); strings.Contains(strings.ToLower(string(r.body)),
		"tag") {
		t.Errorf("API 2.0 shows tags: %s", r.body)
	}
	c.SetTags("ap-shanghai", "lb-new", map[string]string{"a": "b"})
	c.SetTargetRegion("ap-shanghai", "lb-newer", "ap-beijing")
	if got := c.ask(t, DescribeLoadBalancers,
		`{"Filters":[{"Name":"tag-key","Values":["team"]}]}`); got != "UnknownParameter" {
		t.Errorf("filters: %s, want them refused", got)
	}
	k := rightCall(DescribeLoadBalancers, `{}`)
	k.header["X-TC-Region"] = "ap-shanghai"
	if r, err := c.do(t.Context(), k); err != nil || r.String() != "[lb-new lb-newer] of 2" {
		t.Errorf("made by what was said of them: %s, error %v", r, err)
	}
}

func TestListsHavePages(t *testing.T) {
	t.Parallel()
	c := newV3Test(t)
	const region, n = "ap-beijing", 250
	var want []string
	for i := range n {
		id := fmt.Sprintf("lb-%03d", i)
		want = append(want, id)
		c.Create(region, id)
		if i%2 == 1 {
			c.SetApplication(region, id)
		}
	}
	var v2, v3 []string
	for offset := 0; offset < n; offset += 100 {
		k := rightCall(DescribeLoadBalancers, fmt.Sprintf(`{"Offset":%d,"Limit":100}`, offset))
		k.header["X-TC-Region"] = region
		r, err := c.do(t.Context(), k)
		if err != nil || r.Response.TotalCount != n {
			t.Fatalf("offset %d: TotalCount %d, error %v, want %d", offset, r.Response.TotalCount, err, n)
		}
		for _, b := range r.Response.LoadBalancerSet {
			v3 = append(v3, b.LoadBalancerID)
		}
		old := c.list(t,
			map[string]string{"Region": region, "forward": "-1", "offset": fmt.Sprint(offset),
				"limit": "100"})
		ids, total, _ := strings.Cut(strings.TrimPrefix(old, "["), "] of ")
		if total != fmt.Sprint(n) {
			t.Fatalf("offset %d: totalCount %s, want %d", offset, total, n)
		}
		v2 = append(v2, strings.Fields(ids)...)
	}
	if !slices.Equal(v2, want) || !slices.Equal(v3, want) {
		t.Errorf("API 2.0 lists %q, API 3.0 %q, want each of %d once and in order", v2, v3, n)
	}
}

func TestCloudListFaults(t *testing.T) {
	t.Parallel()
	c := newListTest(t)
	const right = "[lb-a lb-test0001] of 2"
	tests := []struct {
		fault Fault
		want  string
	}{
		{FaultCode(4400, "LimitExceeded", "quota"), "4400"},
		{FaultEnvelope("InternalError", "x"), "absent"},
		{FaultNoCode(), "absent"},
		{FaultNoSet(), "[] of 2"},
		{FaultNullSet(), "[] of 2"},
		{FaultEmptyPage(), "[] of 2"},
		{FaultNoTotal(), "[lb-a lb-test0001] of absent"},
		{FaultEmptyPool(), "[] of 0"},
		{FaultShuffle(), right},
		{FaultDelay(time.Millisecond), right},
	}
	for _, tt := range tests {
		c.Fail(DescribeLoadBalancers, tt.fault, 1)
		if got := c.get(t, nil); got.code() != "0" || len(got.BackendSet) != 3 {
			t.Errorf("%s: the backends met the list's fault: %s", tt.fault, got.body)
		}
		if got := c.list(t, nil); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.fault, got, tt.want)
		}
		if got := c.list(t, nil); got != right {
			t.Errorf("after %s: %s, want %s", tt.fault, got, right)
		}
	}
	c.Fail("", FaultCode(6000, "", ""), 2)
	if got := c.list(t, nil) + c.get(t, nil).code(); got != "60006000" {
		t.Errorf("for every call: codes %s, want 6000 6000", got)
	}
	c.Fail(DescribeLoadBalancers, FaultNullSet(), 1)
	if got := c.get(t,
		map[string]string{"Action": DescribeLoadBalancers}); !strings.Contains(string(got.body),
		`"loadBalancerSet":null`) {
		t.Errorf("null: %s", got.body)
	}
}

func TestCloudTellsTheTimeByItsClock(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	now := time.Date(2031, 2, 3, 4, 5, 6, 0, time.FixedZone("", 8*3600))
	c.Now = func() time.Time { return now }
	api3 := c.V3()
	c.srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			api3.ServeHTTP(w, r)
			return
		}
		c.Cloud.ServeHTTP(w, r)
	})
	var dates []string
	for _, path := range []string{APIPath, "/", "/nowhere"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			req, err := http.NewRequestWithContext(t.Context(), method, c.srv.URL+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			dates = append(dates, resp.Header.Values("Date")...)
		}
	}
	if want := slices.Repeat([]string{"Sun, 02 Feb 2031 20:05:06 GMT"}, 6); !slices.Equal(dates, want) {
		t.Errorf("Date %q, want %q", dates, want)
	}
}
