package clb

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox/cloud"
)

// answersOf makes the answers about rows, by the action whose rows they are.
func answersOf() map[string]func(rows []any) (api API, instead map[string]string) {
	return map[string]func(rows []any) (api API, instead map[string]string){
		"DescribeLoadBalancerBackends": func(rows []any) (API, map[string]string) {
			return V2, map[string]string{"DescribeLoadBalancerBackends": marshal(map[string]any{"code": 0,
				"totalCount": len(rows), "backendSet": rows})}
		},
		"DescribeClassicalLBTargets": func(rows []any) (API, map[string]string) {
			return V3, map[string]string{"DescribeClassicalLBTargets": marshal(map[string]any{"Response": map[string]any{"RequestId": "r", "Targets": rows}})}
		},
		"DescribeTargets": func(rows []any) (API, map[string]string) {
			states := []any{}
			for i := range rowCount {
				states = append(states, map[string]any{"InstanceId": rowID(i), "InstanceState": stateOf(rows, i)})
			}
			return V3, map[string]string{
				"DescribeTargets": marshal(map[string]any{"Response": map[string]any{"RequestId": "r", "Listeners": []any{
					map[string]any{"ListenerId": "lbl-1", "Protocol": "TCP", "Port": 80, "Rules": nil, "Targets": rows}}}}),
				"DescribeInstancesStatus": marshal(map[string]any{"Response": map[string]any{"RequestId": "r",
					"TotalCount": rowCount, "InstanceStatusSet": states}}),
			}
		},
		"DescribeInstancesStatus": func(rows []any) (API, map[string]string) {
			targets := []any{}
			for i := range rowCount {
				targets = append(targets, rowOf(i, false))
			}
			_, instead := answersOf()["DescribeTargets"](targets)
			var states []any
			for _, r := range rows {
				m, ok := r.(map[string]any)
				if !ok {
					states = append(states, r)
					continue
				}
				states = append(states, map[string]any{"InstanceId": m["InstanceId"],
					"InstanceState": map[bool]string{true: "STOPPED", false: "RUNNING"}[m["RunFlag"] == 4]})
			}
			instead["DescribeInstancesStatus"] = marshal(map[string]any{"Response": map[string]any{"RequestId": "r",
				"TotalCount": len(rows), "InstanceStatusSet": states}})
			return V3, instead
		},
	}
}

const rowCount = 9

func rowID(i int) string { return fmt.Sprintf("ins-%d", i) }

// rowOf is the ith row, in the words of all actions at once.
func rowOf(i int, stopped bool) map[string]any {
	status := map[bool]int{true: 4, false: 2}[stopped]
	return map[string]any{"unInstanceId": rowID(i), "instanceStatus": status, "weight": 10, "Type": "CVM",
		"InstanceId": rowID(i), "RunFlag": status,
		"Weight": 10, "Port": 80}
}

// stateOf is what CVM says of the ith instance.
func stateOf(rows []any, i int) string {
	for _, r := range rows {
		if m, ok := r.(map[string]any); ok && m["InstanceId"] == rowID(i) && m["RunFlag"] == 4 {
			return "STOPPED"
		}
	}
	return "RUNNING"
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// FuzzRows removes, nulls and repeats rows of an answer. It holds that the news of all other rows is seen,
// that an odd row is no news, and that what is missing is removed once two readings say so, and not before.
func FuzzRows(f *testing.F) {
	f.Add(uint16(0), uint16(1), uint16(0), uint16(2))
	f.Add(uint16(1), uint16(0), uint16(0), uint16(0x1fe))
	f.Add(uint16(4), uint16(3), uint16(8), uint16(0x100))
	f.Add(uint16(0x1ff), uint16(0), uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, removed, nulled, repeated, stopped uint16) {
		is := func(mask uint16, i int) bool { return mask>>i&1 == 1 }
		for action, answers := range answersOf() {
			var clean, rows []any
			for i := range rowCount {
				clean = append(clean, rowOf(i, false))
				switch row := rowOf(i, is(stopped, i)); {
				case is(removed, i):
				case is(nulled, i):
					rows = append(rows, nil)
				case is(repeated, i):
					rows = append(rows, row, row)
				default:
					rows = append(rows, row)
				}
			}
			if rows == nil {
				rows = []any{}
			}
			api, c := reader(action)
			_, instead := answers(clean)
			client := served(api, instead)
			client.Health = false
			before, err := client.Read(t.Context(), c, "")
			if err != nil || len(before.Backends) != rowCount {
				t.Fatalf("%s: %+v, %v", action, before, err)
			}
			_, instead = answers(rows)
			client = served(api, instead)
			client.Health = false
			r, err := client.Read(t.Context(), c, before.Digest)
			if err != nil {
				if slices.ContainsFunc(rows, func(r any) bool { return r != nil }) {
					t.Errorf("%s of %s: %v, want the rows that are right", action, marshal(rows), err)
				}
				continue // there is nothing right in it
			}
			checkRows(t, action, before.Backends, r, func(i int) (gone, odd, out bool) {
				return is(removed, i), !is(removed, i) && is(nulled, i), is(stopped, i)
			})
		}
	})
}

// checkRows compares what is news with what happened to each backend.
func checkRows(t *testing.T, action string, old []lb.Backend, r lb.Reading,
	what func(i int) (gone, odd, out bool)) {
	t.Helper()
	lb.Settle(old, r.Backends, false)
	for _, twice := range []bool{false, true} {
		var first []lb.Backend
		if twice {
			first = r.Backends
		}
		now, _ := lb.Hold(old, first, r.Backends, r.Unnamed > 0)
		_, changes := lb.Diff(old, now, time.Time{}, time.Time{})
		for i := range rowCount {
			var kinds []string
			for _, ch := range changes {
				if ch.Backend.ID == rowID(i) {
					kinds = append(kinds, string(ch.Kind))
				}
			}
			gone, odd, out := what(i)
			want := ""
			switch {
			case action == "DescribeInstancesStatus" && (gone || odd): // CVM does not know it, or nobody knows
				if got := strings.Join(kinds, ", "); got == string(lb.Removed) || odd && got != "" {
					t.Errorf("%s: %s is %s", action, rowID(i), got)
				}
				continue
			case odd:
			case gone && twice && r.Unnamed == 0:
				want = string(lb.Removed)
			case gone:
			case out:
				want = string(lb.LeftRunning)
			}
			if got := strings.Join(kinds, ", "); got != want {
				t.Errorf("%s, read twice: %v: news of %s is %q, want %q; unnamed %d", action, twice, rowID(i), got, want,
					r.Unnamed)
			}
		}
	}
}

// A row that the answer has twice hides no other, in either API.
func TestRepeatedRowsHideNothing(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	w.FailV3On(cloud.DescribeClassicalLBTargets, cloud.V3Odd("twice", cloud.In(cloud.Repeat(0), "Targets")), -1)
	w.Fail(cloud.DescribeLoadBalancerBackends, cloud.FaultOdd("twice", cloud.In(cloud.Repeat(0), "backendSet")),
		-1)
	for api, known := range map[API]lb.Digest{V2: classicV2, V3: classicV3} {
		if r := w.read(api, known); len(r.Backends) != 3 || r.Backends[1].Status != 4 || len(r.Odd) != 1 {
			t.Errorf("by %s: %s, odd %q, want all three, and that one is there twice", api, statuses(r), r.Odd)
		}
	}
}
