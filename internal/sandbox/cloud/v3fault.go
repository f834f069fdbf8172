package cloud

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"

	"clbwatch/internal/sandbox"
)

// FailV3 makes the next calls of API 3.0 go wrong, of whatever action; below 0 times until ClearFaults.
// Faults apply one after another, and only to requests that are right themselves.
func (c *Cloud) FailV3(f V3Fault, times int) { c.FailV3On("", f, times) }

// FailV3On makes the next calls of one action of API 3.0 go wrong, as FailV3 does, whose faults apply after
// these.
func (c *Cloud) FailV3On(action string, f V3Fault, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faultsV3 = append(c.faultsV3, &pendingV3{action, f, times})
}

// V3Fault is one way in which API 3.0 answers wrongly, or legally but oddly. Make one with the functions
// below.
type V3Fault struct {
	name       string
	laterPages bool // only calls with an Offset are hit, and counted
	plausible  bool

	// edit changes the answer, or returns another. again is the right answer with another Offset.
	edit func(response map[string]any, again func(offset int) map[string]any) map[string]any
	// serve answers instead. body is the right answer.
	serve func(w http.ResponseWriter, r *http.Request, body []byte)
}

// String names the fault, for a subtest.
func (f V3Fault) String() string { return f.name }

// Plausible reports whether the wrong answer is of perfect form and right in itself: only another answer
// shows that it is wrong, and for as long as there is none it cannot be told from the truth.
func (f V3Fault) Plausible() bool { return f.plausible }

// V3Faults returns every kind of fault of an answer of DescribeClassicalLBTargets but V3Hang.
func V3Faults() []V3Fault {
	return []V3Fault{
		V3Code("RequestLimitExceeded", "the request limit is exceeded"),
		V3Code("InternalError", "internal error"),
		V3Code("UnauthorizedOperation", "not authorised by CAM"),
		V3HTML(http.StatusOK), V3HTML(http.StatusBadGateway), V3Reset(), V3Half(),
		V3Edit("no RequestId", `"RequestId"`, `"RequestIt"`),
		V3Edit("no Targets", `"Targets"`, `"Target"`),
		V3Edit("no InstanceId", `"InstanceId"`, `"InstanceIt"`),
		V3Edit("no RunFlag", `"RunFlag"`, `"RanFlag"`),
		V3Edit("the envelope of API 2.0", `{"Response":`, `{"code":0,"data":`), V3Empty(),
	}
}

// anyV3 returns the faults that any action can have. None of their answers looks like a right one.
func anyV3() []V3Fault {
	return []V3Fault{
		V3Code("RequestLimitExceeded", "the request limit is exceeded"),
		V3Code("InternalError", "internal error"),
		V3Code("UnauthorizedOperation", "not authorised by CAM"),
		V3Code("AuthFailure.SignatureFailure", "the signature does not match"),
		V3Code("ResourceNotFound", "no such resource"),
		V3HTML(http.StatusOK), V3HTML(http.StatusBadGateway), V3HTML(http.StatusServiceUnavailable),
		V3Reset(), V3Half(), V3Edit("no RequestId", `"RequestId"`, `"RequestIt"`),
		V3Edit("the envelope of API 2.0", `{"Response":`, `{"code":0,"data":`),
	}
}

// TargetFaults returns every fault of an answer of DescribeTargets that must not be taken for a change of the
// backends, if only because it passes (those that are Plausible) or is legal (shuffled).
func TargetFaults() []V3Fault {
	return append(anyV3(), V3Code("InvalidParameter", "Invalid LoadBalancerId"),
		V3Code("InvalidParameter.LBIdNotFound", "no such load balancer"),
		V3Edit("no Listeners", `"Listeners"`, `"Listener"`), V3Null(), V3NoID(), V3NoPort(), V3Empty(),
		V3NoTargets(), V3NullTargets(), V3Shuffle())
}

// InstanceFaults returns every fault of an answer of DescribeInstancesStatus that must not be taken for a
// change of an instance, if only because it passes (those that are Plausible) or is legal (shuffled).
func InstanceFaults() []V3Fault {
	return append(anyV3(), V3Code("InternalServerError", "internal error"),
		plausibly(V3Code("InvalidInstanceId.NotFound", "no such instance")),
		V3Edit("no InstanceStatusSet", `"InstanceStatusSet"`, `"InstanceStatuses"`), V3NullSet(),
		V3NoTotal(), V3Total(), V3Short(), V3Twice(), V3Missing(), V3Stranger(),
		V3Edit("no InstanceState", `"InstanceState"`, `"InstanceStates"`),
		V3Edit("no InstanceId", `"InstanceId"`, `"InstanceIt"`),
		V3EmptySet(), V3Shuffle())
}

// plausibly is a fault whose answer cannot be told from the truth.
func plausibly(f V3Fault) V3Fault {
	f.plausible = true
	return f
}

// ListFaults returns every fault of an answer of DescribeLoadBalancers that must not be taken for a change of
// which load balancers there are, if only because it passes (those that are Plausible) or is legal
// (shuffled).
func ListFaults() []V3Fault {
	return append(anyV3(), V3Edit("no LoadBalancerSet", `"LoadBalancerSet"`, `"LoadBalancers"`),
		V3NullSet(), V3NoTotal(), V3Total(), V3Short(), V3Twice(), V3IgnoreOffset(), V3Missing(),
		V3Edit("no LoadBalancerId", `"LoadBalancerId"`, `"LoadBalancerIt"`),
		V3Edit("no Forward", `"Forward"`, `"Forwards"`),
		V3EmptySet(), V3Shuffle())
}

// V3Half sends half of the JSON as a whole and valid HTTP answer.
func V3Half() V3Fault {
	return V3Fault{name: "half the JSON", serve: func(w http.ResponseWriter, _ *http.Request, body []byte) {
		writeJSON(w, body[:len(body)/2])
	}}
}

// V3Edit sends the right answer with one text in it replaced, wherever it is.
func V3Edit(name, old, with string) V3Fault {
	return V3Fault{name: name, serve: func(w http.ResponseWriter, _ *http.Request, body []byte) {
		writeJSON(w, bytes.ReplaceAll(body, []byte(old), []byte(with)))
	}}
}

// V3Empty answers in perfect form that nothing is bound: that there are no Targets or, where they belong to
// listeners, no Listeners.
func V3Empty() V3Fault {
	return V3Fault{name: "no targets", plausible: true,
		edit: func(response map[string]any, _ func(int) map[string]any) map[string]any {
			if _, ok := response["Listeners"]; ok {
				return map[string]any{"Listeners": []any{}}
			}
			return map[string]any{"Targets": []any{}}
		}}
}

// V3Null answers that there are no Targets with null, as API 3.0 may; where they belong to listeners, it is
// no Listeners.
func V3Null() V3Fault {
	return V3Fault{name: "null for no targets", plausible: true,
		edit: func(response map[string]any, _ func(int) map[string]any) map[string]any {
			if _, ok := response["Listeners"]; ok {
				return map[string]any{"Listeners": nil}
			}
			return map[string]any{"Targets": nil}
		}}
}

// V3NullSet sends the set that the answer is about as null.
func V3NullSet() V3Fault {
	return V3Fault{name: "null for the set",
		edit: func(response map[string]any, _ func(int) map[string]any) map[string]any {
			for _, key := range setsV3 {
				if _, ok := response[key]; ok {
					response[key] = nil
				}
			}
			return response
		}}
}

// setsV3 are the names of what answers are about.
var setsV3 = []string{"LoadBalancerSet", "InstanceStatusSet", "Listeners", "Targets", "LoadBalancers",
	"HealthList"}

// V3NoTargets answers in perfect form that there are the listeners and rules, and that nothing is bound to
// them.
func V3NoTargets() V3Fault {
	return eachTargets("no targets on any listener", true, func([]targetV3) []targetV3 {
		return []targetV3{}
	})
}

// V3NullTargets is V3NoTargets with null instead of empty lists, as API 3.0 may.
func V3NullTargets() V3Fault {
	return eachTargets("null for all targets", true, func([]targetV3) []targetV3 { return nil })
}

// V3NoID leaves the id of the first instance that is bound empty.
func V3NoID() V3Fault {
	f := V3Fault{name: "a target without an id"}
	f.edit = func(response map[string]any, again func(int) map[string]any) map[string]any {
		if ts, ok := response["Targets"].([]classicTargetV3); ok && len(ts) > 0 {
			ts[0].InstanceID = ""
		}
		return firstTarget(func(t *targetV3) { t.InstanceID = "" })(response, again)
	}
	return f
}

// V3NoPort leaves the port of the first instance that is bound out.
func V3NoPort() V3Fault {
	return V3Fault{name: "a target without a port", edit: firstTarget(func(t *targetV3) { t.Port = nil })}
}

// firstTarget changes the first instance that an answer of DescribeTargets has.
func firstTarget(change func(*targetV3)) func(map[string]any, func(int) map[string]any) map[string]any {
	return func(response map[string]any, again func(int) map[string]any) map[string]any {
		done := false
		return eachTargets("", false, func(ts []targetV3) []targetV3 {
			for i := range ts {
				if !done && strings.EqualFold(ts[i].Type, "cvm") {
					done = true
					change(&ts[i])
				}
			}
			return ts
		}).edit(response, again)
	}
}

// eachTargets changes the targets on every listener and rule of an answer of DescribeTargets.
func eachTargets(name string, plausible bool, change func([]targetV3) []targetV3) V3Fault {
	return V3Fault{name: name, plausible: plausible,
		edit: func(response map[string]any, _ func(int) map[string]any) map[string]any {
			listeners, _ := response["Listeners"].([]listenerV3) // other answers have none
			for i := range listeners {
				l := &listeners[i]
				if l.Targets != nil {
					l.Targets = change(l.Targets)
				}
				for j := range l.Rules {
					l.Rules[j].Targets = change(l.Rules[j].Targets)
				}
			}
			return response
		}}
}

// V3NoTotal leaves TotalCount out.
func V3NoTotal() V3Fault {
	return V3Fault{name: "no TotalCount",
		edit: func(response map[string]any, _ func(int) map[string]any) map[string]any {
			delete(response, "TotalCount")
			return response
		}}
}

// V3Total counts one more in TotalCount than there is.
func V3Total() V3Fault {
	return listFault("a TotalCount of one more", false, func(items []any, total int) ([]any, int) {
		return items, total + 1
	})
}

// V3Short leaves out the last item of a page; TotalCount counts it.
func V3Short() V3Fault {
	return listFault("one item short", false, func(items []any, total int) ([]any, int) {
		return items[:max(len(items)-1, 0)], total
	})
}

// V3Missing leaves out the last item of a page in perfect form: TotalCount does not count it either.
func V3Missing() V3Fault {
	return listFault("one item missing", true, func(items []any, total int) ([]any, int) {
		if len(items) == 0 {
			return items, total
		}
		return items[:len(items)-1], total - 1
	})
}

// V3Twice has the first item of a page in the place of the last as well, or beside itself if it is the only
// one.
func V3Twice() V3Fault {
	return listFault("one item twice", false, func(items []any, total int) ([]any, int) {
		switch len(items) {
		case 0:
			return items, total
		case 1:
			return append(items, items[0]), total + 1
		}
		items[len(items)-1] = items[0]
		return items, total
	})
}

// V3Stranger adds an instance to the answer of DescribeInstancesStatus that nobody asked for.
func V3Stranger() V3Fault {
	return listFault("an instance that was not asked for", false, func(items []any, total int) ([]any, int) {
		return append(items, stateV3{"ins-stranger", "RUNNING"}), total + 1
	})
}

// V3EmptySet answers a list in perfect form with nothing.
func V3EmptySet() V3Fault {
	return listFault("an empty list", true, func([]any, int) ([]any, int) { return []any{}, 0 })
}

// V3IgnoreOffset answers later pages with the first one.
func V3IgnoreOffset() V3Fault {
	return V3Fault{name: "offset ignored", laterPages: true,
		edit: func(_ map[string]any, again func(int) map[string]any) map[string]any { return again(0) }}
}

// V3Shuffle sends what is in a list, or on the listeners of a load balancer, in random order: this is legal.
func V3Shuffle() V3Fault {
	list := listFault("", false, func(items []any, total int) ([]any, int) {
		shuffle(items)
		return items, total
	})
	targets := eachTargets("", false, func(ts []targetV3) []targetV3 { shuffle(ts); return ts })
	return V3Fault{name: "shuffled",
		edit: func(response map[string]any, again func(int) map[string]any) map[string]any {
			switch set := response["Listeners"].(type) {
			case []listenerV3:
				for _, l := range set {
					shuffle(l.Rules)
				}
				shuffle(set)
			case []classicListenerV3:
				shuffle(set)
			}
			if set, ok := response["Targets"].([]classicTargetV3); ok {
				shuffle(set)
			}
			return targets.edit(list.edit(response, again), again)
		}}
}

func shuffle[T any](s []T) { rand.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] }) }

// listFault changes the items and the total of an answer that has a list with a total.
func listFault(name string, plausible bool, change func(items []any, total int) ([]any, int)) V3Fault {
	return V3Fault{name: name, plausible: plausible,
		edit: func(response map[string]any, _ func(int) map[string]any) map[string]any {
			total, _ := response["TotalCount"].(int)
			if set, ok := response["LoadBalancerSet"].([]listedV3); ok {
				response["LoadBalancerSet"], response["TotalCount"] = change(anys(set), total)
			}
			if set, ok := response["InstanceStatusSet"].([]stateV3); ok {
				response["InstanceStatusSet"], response["TotalCount"] = change(anys(set), total)
			}
			return response
		}}
}

func anys[T any](s []T) []any {
	out := make([]any, len(s))
	for i, v := range s {
		out[i] = v
	}
	return out
}

// V3Code answers with an error of API 3.0, such as RequestLimitExceeded.
func V3Code(code, message string) V3Fault {
	return V3Fault{name: code, serve: func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		writeJSON(w, errorV3{code, message}.body())
	}}
}

// V3HTML answers with an HTTP status and a gateway's page.
func V3HTML(status int) V3Fault {
	return V3Fault{name: fmt.Sprintf("%d with HTML", status),
		serve: func(w http.ResponseWriter, _ *http.Request, _ []byte) { sandbox.WriteHTML(w, status) }}
}

// V3Reset resets the connection before an answer.
func V3Reset() V3Fault {
	return V3Fault{name: "connection reset", serve: func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		sandbox.Reset(w)
	}}
}

// V3Hang never answers; the call ends when the client goes away.
func V3Hang() V3Fault {
	return V3Fault{name: "hang", serve: func(_ http.ResponseWriter, r *http.Request, _ []byte) {
		sandbox.Hang(r)
	}}
}

// pendingV3 is a fault that was asked for.
type pendingV3 struct {
	action string // "" for every action
	fault  V3Fault
	times  int // calls left; below 0 without end
}

// dueV3 takes the fault for this call, if there is one.
func (c *Cloud) dueV3(action string, q queryV3) V3Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, whose := range []string{q.region + " " + action, action, ""} {
		for _, p := range c.faultsV3 {
			if p.action != whose || p.times == 0 || p.fault.laterPages && q.offset == 0 {
				continue
			}
			if p.times > 0 {
				p.times--
			}
			return p.fault
		}
	}
	return V3Fault{}
}
