package clb

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

// samples are whole answers, by action: two rows of each list at least, the first of which is made odd.
var samples = map[string]string{
	"DescribeLoadBalancerBackends": `{"code":0,"totalCount":2,"backendSet":[
		{"unInstanceId":"ins-a","instanceName":"a","lanIp":"10.0.0.1","wanIpSet":["1.1.1.1"],"instanceStatus":2,"weight":30},
		{"unInstanceId":"ins-b","instanceName":"b","lanIp":"10.0.0.2","wanIpSet":null,"instanceStatus":2,"weight":30}]}`,
	"DescribeClassicalLBTargets": `{"Response":{"RequestId":"r","Targets":[
		{"InstanceId":"ins-a","InstanceName":"a","PrivateIpAddresses":["10.0.0.1"],"PublicIpAddresses":["1.1.1.1"],"RunFlag":2,"Weight":30},
		{"InstanceId":"ins-b","InstanceName":"b","PrivateIpAddresses":["10.0.0.2"],"PublicIpAddresses":null,"RunFlag":2,"Weight":30}]}}`,
	"DescribeForwardLBBackends": `{"code":0,"data":[
		{"listenerId":"lbl-1","protocol":2,"protocolType":"tcp","loadBalancerPort":80,"loadBalancerEndPort":80,"backends":[
			{"targetType":"cvm","unInstanceId":"ins-a","uniqEniId":"","port":80,"weight":30,"instanceName":"a","lanIp":"10.0.0.1","wanIpSet":["1.1.1.1"]},
			{"targetType":"cvm","unInstanceId":"ins-b","uniqEniId":"","port":80,"weight":30,"instanceName":"b","lanIp":"10.0.0.2","wanIpSet":null}]},
		{"listenerId":"lbl-2","protocol":1,"protocolType":"http","loadBalancerPort":81,"rules":[{"locationId":"loc-1","domain":"a.com","url":"/","backends":[
			{"targetType":"cvm","unInstanceId":"ins-a","port":80,"weight":30,"lanIp":"10.0.0.1"},
			{"targetType":"cvm","unInstanceId":"ins-b","port":80,"weight":30,"lanIp":"10.0.0.2"}]}]}]}`,
	"DescribeTargets": `{"Response":{"RequestId":"r","Listeners":[
		{"ListenerId":"lbl-1","Protocol":"TCP","Port":80,"EndPort":0,"Rules":null,"FunctionTargets":[],"Targets":[
			{"Type":"CVM","InstanceId":"ins-a","EniId":"","Port":80,"Weight":30,"InstanceName":"a","PrivateIpAddresses":["10.0.0.1"],"PublicIpAddresses":["1.1.1.1"]},
			{"Type":"CVM","InstanceId":"ins-b","EniId":"","Port":80,"Weight":30,"InstanceName":"b","PrivateIpAddresses":["10.0.0.2"],"PublicIpAddresses":null}]},
		{"ListenerId":"lbl-2","Protocol":"HTTP","Port":81,"EndPort":0,"Targets":null,"Rules":[{"LocationId":"loc-1","Domain":"a.com","Domains":["a.com"],"Url":"/","FunctionTargets":[],"Targets":[
			{"Type":"CVM","InstanceId":"ins-a","Port":80,"Weight":30,"PrivateIpAddresses":["10.0.0.1"]},
			{"Type":"CVM","InstanceId":"ins-b","Port":80,"Weight":30,"PrivateIpAddresses":["10.0.0.2"]}]}]}]}}`,
	"DescribeInstancesStatus": `{"Response":{"RequestId":"r","TotalCount":2,"InstanceStatusSet":[
		{"InstanceId":"ins-a","InstanceState":"RUNNING"},{"InstanceId":"ins-b","InstanceState":"RUNNING"}]}}`,
	"3.0:DescribeLoadBalancers": `{"Response":{"RequestId":"r","TotalCount":2,"LoadBalancerSet":[
		{"LoadBalancerId":"lb-1","LoadBalancerName":"one","Forward":0,"TargetRegionInfo":{"Region":"ap-guangzhou"},"Tags":[{"TagKey":"env","TagValue":"prod"}]},
		{"LoadBalancerId":"lb-2","LoadBalancerName":"two","Forward":1,"TargetRegionInfo":{"Region":"ap-guangzhou"},"Tags":[]}]}}`,
	"2.0:DescribeLoadBalancers": `{"code":0,"totalCount":2,"loadBalancerSet":[
		{"unLoadBalancerId":"lb-1","loadBalancerName":"one","forward":0},{"unLoadBalancerId":"lb-2","loadBalancerName":"two","forward":1}]}`,
	"DescribeTargetHealth": `{"Response":{"RequestId":"r","LoadBalancers":[{"LoadBalancerId":"lb-2","Listeners":[
		{"ListenerId":"lbl-1","Protocol":"TCP","Port":80,"Rules":[{"LocationId":"","Domain":"","Url":"","Targets":[
			{"IP":"10.0.0.1","TargetId":"ins-a","Port":80,"HealthStatus":false,"HealthStatusDetail":"Dead"},
			{"IP":"10.0.0.2","TargetId":"ins-b","Port":80,"HealthStatus":true,"HealthStatusDetail":"Alive"}]}]}]}]}}`,
	"DescribeClassicalLBListeners": `{"Response":{"RequestId":"r","Listeners":[
		{"ListenerId":"lbl-1","HealthSwitch":1},{"ListenerId":"lbl-2","HealthSwitch":1}]}}`,
	"DescribeClassicalLBHealthStatus": `{"Response":{"RequestId":"r","HealthList":[
		{"IP":"10.0.0.1","Protocol":"TCP","Port":80,"ListenerPort":80,"HealthStatus":0},{"IP":"10.0.0.2","Protocol":"TCP","Port":80,"ListenerPort":80,"HealthStatus":1}]}}`,
	"DescribeLBHealthStatus": `{"code":0,"data":[
		{"ip":"10.0.0.1","protocol":"TCP","port":80,"vport":80,"healthStatus":0},{"ip":"10.0.0.2","protocol":"TCP","port":80,"vport":80,"healthStatus":1}]}`,
}

// decodedInto is what the answers are decoded into.
var decodedInto = map[string]any{
	"DescribeLoadBalancerBackends": answer{}, "DescribeClassicalLBTargets": classicTargets{},
	"DescribeForwardLBBackends": struct{ Data list[forwardV2] }{},
	"DescribeTargets":           targetsV3{}, "DescribeInstancesStatus": instancesV3{},
	"3.0:DescribeLoadBalancers": balancersV3{}, "DescribeTargetHealth": healthV3{},
	"DescribeClassicalLBListeners": listenersV3{}, "DescribeClassicalLBHealthStatus": classicHealthAnswer{},
	"DescribeLBHealthStatus": struct{ Data list[healthV2] }{},
}

type fieldRow struct {
	action, path string
	want         [3]string // absent, null, wrong
}

func fieldTable(t *testing.T) (rows []fieldRow) {
	t.Helper()
	f, err := os.Open("testdata/fields.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if w := strings.Fields(s.Text()); len(w) == 5 && w[0] != "#" {
			rows = append(rows, fieldRow{w[0], w[1], [3]string(w[2:])})
		}
	}
	if len(rows) < 100 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	return rows
}

// mutate makes the first field at a path odd; how is 0 for absent, 1 for null, 2 for another type. It tells
// whether there was one.
func mutate(v any, path []string, how int) (any, bool) {
	if len(path) == 0 {
		if how == 1 {
			return nil, true
		}
		if _, text := v.(string); text {
			return map[string]any{"a": 1.0}, true
		}
		return "nonsense", true
	}
	switch at := v.(type) {
	case map[string]any:
		old, ok := at[path[0]]
		if !ok || old == nil {
			return v, false
		}
		if len(path) == 1 && how == 0 {
			delete(at, path[0])
			return v, true
		}
		at[path[0]], ok = mutate(old, path[1:], how)
		return v, ok
	case []any:
		for i := range at {
			next, ok := mutate(at[i], path[1:], how)
			if at[i] = next; ok {
				return v, true
			}
		}
	}
	return v, false
}

// served is a client of an API that answers each action with its sample, or with what takes its place.
func served(api API, instead map[string]string) *Client {
	u := &url.URL{Scheme: "https", Host: "clb.example", Path: "/"}
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		action, by := r.Header.Get("X-TC-Action"), "3.0:"
		if action == "" {
			b, _ := io.ReadAll(r.Body)
			form, _ := url.ParseQuery(string(b))
			action, by = form.Get("Action"), "2.0:"
		}
		body := ""
		for _, key := range []string{by + action, action} {
			if s, ok := instead[key]; ok && body == "" {
				body = s
			}
			if s, ok := samples[key]; ok && body == "" {
				body = s
			}
		}
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
			ContentLength: -1,
			Body:          io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	return &Client{Endpoint: u, EndpointV3: u, API: api, Health: true, HTTP: &http.Client{Transport: transport},
		Rate: rate.Inf, Now: time.Now,
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

// reader is how an action is asked: by which API, and about which load balancer.
func reader(action string) (API, lb.CLB) {
	api, c := V3, lb.CLB{Region: "ap-guangzhou", ID: "lb-2"}
	switch action {
	case "DescribeLoadBalancerBackends", "DescribeLBHealthStatus", "2.0:DescribeLoadBalancers",
		"DescribeForwardLBBackends":
		api = V2
	}
	switch action {
	case "DescribeLoadBalancerBackends", "DescribeLBHealthStatus", "DescribeClassicalLBTargets",
		"DescribeClassicalLBListeners", "DescribeClassicalLBHealthStatus":
		c.ID = "lb-1"
	}
	return api, c
}

// TestFields makes each field that the decodedInto read absent, null and of the wrong type, in one row, and
// has another row bring news at the same time.
func TestFields(t *testing.T) {
	t.Parallel()
	for _, row := range fieldTable(t) {
		for how, want := range row.want {
			if want == "-" {
				continue
			}
			t.Run(fmt.Sprint(row.action, " ", row.path, " ", []string{"absent", "null", "wrong"}[how]),
				func(t *testing.T) {
					t.Parallel()
					testField(t, row, how, want)
				})
		}
	}
}

func testField(t *testing.T, row fieldRow, how int, want string) {
	var body map[string]any
	if err := json.Unmarshal([]byte(samples[row.action]), &body); err != nil {
		t.Fatal(err)
	}
	path := strings.Split(row.path, ".")
	if _, ok := body["Response"]; ok {
		path = append([]string{"Response"}, path...)
	}
	if _, ok := mutate(body, path, how); !ok {
		t.Fatalf("there is no %s in the sample of %s", row.path, row.action)
	}
	odd, _ := json.Marshal(body)
	instead := map[string]string{row.action: string(odd)}
	news := "ins-b left running"
	switch row.action { // the other row's news
	case "DescribeLoadBalancerBackends":
		instead[row.action] = replaceLast(string(odd), `"instanceStatus":2`, `"instanceStatus":4`)
	case "DescribeClassicalLBTargets":
		instead[row.action] = replaceLast(string(odd), `"RunFlag":2`, `"RunFlag":4`)
	case "DescribeForwardLBBackends", "DescribeTargets":
		instead["DescribeInstancesStatus"] = replaceLast(samples["DescribeInstancesStatus"], "RUNNING", "STOPPED")
	case "DescribeInstancesStatus":
		instead[row.action] = replaceLast(string(odd), "RUNNING", "STOPPED")
	case "3.0:DescribeLoadBalancers", "2.0:DescribeLoadBalancers":
		testListField(t, row, want, instead)
		return
	default:
		news = "ins-b unhealthy"
		for _, w := range [][2]string{{`"HealthStatus":true`, `"HealthStatus":false`}, {"Alive", "Dead"},
			{`"HealthStatus":1`, `"HealthStatus":0`}, {`"healthStatus":1`, `"healthStatus":0`}} {
			instead[row.action] = replaceLast(instead[row.action], w[0], w[1])
		}
		if row.action == "DescribeClassicalLBListeners" {
			instead["DescribeClassicalLBHealthStatus"] = replaceLast(samples["DescribeClassicalLBHealthStatus"],
				`"HealthStatus":1`, `"HealthStatus":0`)
		}
	}
	api, c := reader(row.action)
	before, err := served(api, nil).Read(t.Context(), c, "")
	if err != nil || before.HealthErr != nil || len(before.Backends) != 2 {
		t.Fatalf("the sample: %+v, %v", before, err)
	}
	r, err := served(api, instead).Read(t.Context(), c, before.Digest)
	if err == nil && strings.Contains(news, "unhealthy") {
		err = r.HealthErr
	}
	if want == "error" {
		if err == nil {
			t.Errorf("read %+v, want an error", r)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	a := lb.Backend{}
	if at := slices.IndexFunc(r.Backends, func(b lb.Backend) bool { return b.ID == "ins-a" }); at >= 0 {
		a = r.Backends[at]
	}
	switch health := strings.Contains(news, "unhealthy"); {
	case want == "none" && !health:
		if len(r.Backends) != 0 || r.Unnamed != 0 {
			t.Errorf("read %+v, want nothing", r)
		}
		return
	case want == "none":
		if a.Checked != 0 {
			t.Errorf("read %+v, want nothing checked", a)
		}
		return
	case want == "unnamed" && r.Unnamed == 0, want == "unknown" && a.Status != lb.Unknown, want == "vague" &&
		!a.Vague,
		want == "unclear" && len(a.Unclear) == 0, want == "skipped" && !a.VagueHealth:
		t.Errorf("read %+v, unnamed %d, want %s", a, r.Unnamed, want)
	}
	old := lb.Baseline(before.Backends, time.Time{})
	lb.Settle(old, r.Backends, false)
	now, missing := lb.Hold(old, nil, r.Backends, r.Unnamed > 0)
	lb.KeepHealth(old, now, false)
	var got []string
	next, changes := lb.Diff(old, now, time.Time{}, time.Time{})
	for _, ch := range changes {
		got = append(got, fmt.Sprint(ch.Backend.ID, " ", ch.Kind))
	}
	if !slices.Equal(got, []string{news}) || missing != (want == "lacking") {
		t.Errorf("news %q, something missing: %v, want only %q", got, missing, news)
	}
	if i := slices.IndexFunc(next, func(b lb.Backend) bool { return b.ID == "ins-a" }); i < 0 ||
		next[i].Weight != old[0].Weight || !reflect.DeepEqual(next[i].Failing, old[0].Failing) {
		t.Errorf("ins-a is %+v, and was %+v", next, old[0])
	}
}

// testListField tests a field of a list of load balancers.
func testListField(t *testing.T, row fieldRow, want string, instead map[string]string) {
	api, c := reader(row.action)
	list, err := served(api, instead).List(t.Context(), c.Region)
	rest := slices.ContainsFunc(list, func(l watch.Listed) bool { return l.ID == "lb-2" && l.Name == "two" })
	switch {
	case (err != nil) != (want == "error"):
		t.Errorf("List = %v, %v, want %s", list, err, want)
	case want == "skipped" && (len(list) != 1 || !rest), want == "same" && (len(list) != 2 || !rest):
		t.Errorf("List = %v, want %s", list, want)
	}
}

func replaceLast(s, old, with string) string {
	if at := strings.LastIndex(s, old); at >= 0 {
		return s[:at] + with + s[at+len(old):]
	}
	return s
}

// TestFieldsAreAllHere compares the table with what the decodedInto read.
func TestFieldsAreAllHere(t *testing.T) {
	t.Parallel()
	have := make(map[string]bool)
	for _, r := range fieldTable(t) {
		have[r.action+" "+strings.ToLower(r.path)] = true
	}
	elsewhere := []string{"codedesc", "message", "response", "loadbalancerset", "data", "healthstatusdetial"}
	for action, into := range decodedInto {
		for _, path := range fieldsOf(reflect.TypeOf(into)) {
			path = strings.TrimPrefix(strings.ToLower(path), "response.")
			first, _, _ := strings.Cut(path, ".")
			last := path[strings.LastIndex(path, ".")+1:]
			if strings.Contains(path, "rules.*.backends.*.") ||
				strings.Contains(path, "listeners.*.rules.*.targets.*.") && action == "DescribeTargets" ||
				first == "error" {
				continue // as those of listeners
			}
			if slices.Contains(elsewhere, last) && action != "DescribeForwardLBBackends" ||
				slices.Contains(elsewhere, first) && action == "DescribeLoadBalancerBackends" {
				continue
			}
			if !have[action+" "+path] && !slices.Contains([]string{"rules", "rules.*", "targets", "listeners",
				"listeners.*", "loadbalancers.*", "*"}, tail(path)) {
				t.Errorf("%s: %s is not in testdata/fields.txt", action, path)
			}
		}
	}
}

// tail is the last key of a path, with the star behind it.
func tail(path string) string {
	w := strings.Split(path, ".")
	if len(w) > 1 && w[len(w)-1] == "*" {
		return strings.Join(w[len(w)-2:], ".")
	}
	return w[len(w)-1]
}

func fieldsOf(t reflect.Type) (paths []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct && strings.HasPrefix(t.Name(), "list[") {
		of, _ := t.FieldByName("of")
		for _, p := range fieldsOf(of.Type.Elem()) {
			paths = append(paths, "*."+p)
		}
		return paths
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[num]() || t == reflect.TypeFor[told]() ||
		t == reflect.TypeFor[truth]() {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		paths = append(paths, name)
		for _, p := range fieldsOf(f.Type) {
			paths = append(paths, name+"."+p)
		}
	}
	return paths
}
