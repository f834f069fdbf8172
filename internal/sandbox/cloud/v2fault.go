package cloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"clbwatch/internal/sandbox"
)

// Fault is one way in which the API answers wrongly, or legally but oddly. Make one with the functions below.
type Fault struct {
	name       string
	laterPages bool // only calls with an offset are hit, and counted
	plausible  bool // see Plausible

	edit  func(a *answer, pool []Instance, q query)        // changes the answer
	serve func(http.ResponseWriter, *http.Request, answer) // answers instead
}

// String names the fault, for a subtest.
func (f Fault) String() string { return f.name }

// Plausible reports whether the wrong answer is of perfect form and right in itself: only another answer
// shows that it is wrong, and for as long as there is none it cannot be told from the truth.
func (f Fault) Plausible() bool { return f.plausible }

// LaterPages returns the fault for calls with an offset above 0 only: others are neither hit nor counted.
func (f Fault) LaterPages() Fault {
	f.name += ", later pages"
	f.laterPages = true
	return f
}

// Faults returns every fault of an answer of DescribeLoadBalancerBackends that must not be taken for a change
// of the backends, if only because it passes (an empty pool) or is legal (shuffled rows). Those that wait are
// not among them.
func Faults() []Fault {
	return []Fault{
		FaultCode(4100, "AuthFailure", "(100004)signature failure"),
		FaultCode(4400, "LimitExceeded", "quota exceeded"),
		FaultCode(4500, "ReplayAttack", "replay"),
		FaultCode(5000, "ResourceNotFound", "no such load balancer"),
		FaultCode(5100, "ResourceOpFailed", "operation failed"),
		FaultCode(6000, "InternalError", "internal error"),
		FaultCode(6200, "Maintenance", "under maintenance"),
		FaultEnvelope("InternalError", "An internal error has occurred."),
		FaultStatus(http.StatusBadGateway), FaultStatus(http.StatusServiceUnavailable), FaultHTML(),
		FaultCut(), FaultHalf(), FaultHuge(16 << 20), FaultReset(), FaultRedirect("/"),
		FaultNoSet(), FaultNullSet(), FaultNoTotal(), FaultNoCode(),
		FaultEmptyPage(), FaultShort(), FaultEmptyPool(),
		FaultIgnoreOffset(), FaultRepeat(), FaultNoID(), FaultNoStatus(), FaultCodeString(), FaultShuffle(),
	}
}

// ForwardFaults returns the same for DescribeForwardLBBackends.
func ForwardFaults() []Fault {
	called := func(name string, f Fault) Fault { f.name = name; return f }
	return []Fault{
		FaultCode(4100, "AuthFailure", "(100004)signature failure"),
		FaultCode(4101, "AuthFailure", "no permission for the API"),
		FaultCode(4400, "LimitExceeded", "quota exceeded"), FaultCode(4500, "ReplayAttack", "replay"),
		FaultCode(5000, "ResourceNotFound", "no such load balancer"),
		FaultCode(5100, "ResourceOpFailed", "operation failed"),
		FaultCode(6000, "InternalError", "internal error"),
		FaultCode(6200, "Maintenance", "under maintenance"),
		FaultEnvelope("InternalError", "An internal error has occurred."),
		FaultStatus(http.StatusBadGateway), FaultStatus(http.StatusServiceUnavailable), FaultHTML(),
		FaultCut(), FaultHalf(), FaultHuge(16 << 20), FaultReset(), FaultRedirect("/"), FaultNoCode(),
		called("data absent", FaultNoSet()), called("data null", FaultNullSet()),
		called("data empty", FaultEmptyPool()), FaultNoBackends(),
		called("a backend without an id", FaultNoID()), FaultNoPort(), FaultCodeString(),
		called("shuffled", FaultShuffle()),
	}
}

// FaultCode answers with an error of API 2.0.
func FaultCode(code int, codeDesc, message string) Fault {
	return Fault{name: fmt.Sprintf("code %d", code), edit: func(a *answer, _ []Instance, _ query) {
		*a = answer{Code: code, CodeDesc: codeDesc, Message: message}
	}}
}

// FaultCodeString sends the code as a string, as the API does at times: this is legal.
func FaultCodeString() Fault {
	return Fault{name: "code as a string", edit: func(a *answer, _ []Instance, _ query) {
		a.Code = fmt.Sprint(a.Code)
	}}
}

// FaultEnvelope answers with an error in the envelope of API 3.0, which has no code at the top.
func FaultEnvelope(code, message string) Fault {
	return Fault{name: "3.0 envelope", serve: func(w http.ResponseWriter, _ *http.Request, _ answer) {
		body, _ := json.Marshal(map[string]any{"Response": map[string]any{ // strings always marshal
			"Error":     map[string]string{"Code": code, "Message": message},
			"RequestId": "3b1f0f2e-7a34-4c9e-9d0a-5f3b7f0c2a11"}})
		writeJSON(w, body)
	}}
}

// FaultStatus answers with an HTTP status and a gateway's page.
func FaultStatus(status int) Fault {
	return Fault{name: fmt.Sprintf("status %d", status),
		serve: func(w http.ResponseWriter, _ *http.Request, _ answer) {
			sandbox.WriteHTML(w, status)
		}}
}

// FaultHTML answers 200 with a page instead of JSON.
func FaultHTML() Fault {
	f := FaultStatus(http.StatusOK)
	f.name = "200 with HTML"
	return f
}

// FaultCut announces the whole body, sends half of it and drops the connection.
func FaultCut() Fault {
	return Fault{name: "body cut", serve: func(w http.ResponseWriter, _ *http.Request, a answer) {
		body := a.body()
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}}
}

// FaultHalf sends half of the JSON as a whole and valid HTTP answer.
func FaultHalf() Fault {
	return Fault{name: "half the JSON", serve: func(w http.ResponseWriter, _ *http.Request, a answer) {
		body := a.body()
		writeJSON(w, body[:len(body)/2])
	}}
}

// FaultHuge sends a right answer with a message of so many bytes.
func FaultHuge(size int) Fault {
	return Fault{name: "huge body", serve: func(w http.ResponseWriter, _ *http.Request, a answer) {
		before, after, _ := bytes.Cut(a.body(), []byte(`"message":"`))
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, err := io.WriteString(w, string(before)+`"message":"`)
		for sent := 0; sent < size && err == nil; sent += len(chunk) {
			_, err = w.Write(chunk)
		}
		if err == nil {
			_, _ = w.Write(after)
		}
	}}
}

// FaultReset resets the connection before an answer.
func FaultReset() Fault {
	return Fault{name: "connection reset", serve: func(w http.ResponseWriter, _ *http.Request, _ answer) {
		sandbox.Reset(w)
	}}
}

// FaultHang never answers; the call ends when the client goes away.
func FaultHang() Fault {
	return Fault{name: "hang", serve: func(_ http.ResponseWriter, r *http.Request, _ answer) {
		sandbox.Hang(r)
	}}
}

// FaultDelay gives the right answer after a while.
func FaultDelay(d time.Duration) Fault {
	return Fault{name: "delay", serve: func(w http.ResponseWriter, r *http.Request, a answer) {
		if sandbox.Pause(r.Context(), d) {
			writeJSON(w, a.body())
		}
	}}
}

// FaultRedirect answers 302.
func FaultRedirect(location string) Fault {
	return Fault{name: "302 redirect", serve: func(w http.ResponseWriter, r *http.Request, _ answer) {
		http.Redirect(w, r, location, http.StatusFound)
	}}
}

// FaultNoSet leaves backendSet out.
func FaultNoSet() Fault {
	return Fault{name: "backendSet absent", edit: func(a *answer, _ []Instance, _ query) { a.Set = nil }}
}

// FaultNullSet sends backendSet as null.
func FaultNullSet() Fault {
	return Fault{name: "backendSet null", edit: func(a *answer, _ []Instance, _ query) { a.Set = []row(nil) }}
}

// FaultNoTotal leaves totalCount out.
func FaultNoTotal() Fault {
	return Fault{name: "totalCount absent", edit: func(a *answer, _ []Instance, _ query) {
		a.TotalCount = nil
	}}
}

// FaultNoCode leaves code out.
func FaultNoCode() Fault {
	return Fault{name: "code absent", edit: func(a *answer, _ []Instance, _ query) { a.Code = nil }}
}

// FaultIgnoreOffset answers later pages with the first one.
func FaultIgnoreOffset() Fault {
	return Fault{name: "offset ignored", laterPages: true, edit: func(a *answer, pool []Instance, q query) {
		q.offset = 0
		a.Set = page(pool, q).Set
	}}
}

// FaultRepeat begins later pages one row too early, so that an id comes twice and the last one never.
func FaultRepeat() Fault {
	return Fault{name: "ids repeated across pages", laterPages: true,
		edit: func(a *answer, pool []Instance, q query) {
			q.offset--
			q.limit = min(q.limit, max(len(pool)-q.offset-1, 0))
			a.Set = page(pool, q).Set
		}}
}

// FaultEmptyPage sends no rows while totalCount says that there are.
func FaultEmptyPage() Fault {
	return Fault{name: "empty page", edit: func(a *answer, _ []Instance, _ query) { a.Set = []row{} }}
}

// FaultShort leaves out the last row of a page; totalCount counts it.
func FaultShort() Fault {
	return Fault{name: "one row short", edit: func(a *answer, _ []Instance, _ query) {
		if rs, ok := a.Set.([]row); ok && len(rs) > 0 {
			a.Set = rs[:len(rs)-1]
		}
	}}
}

// FaultEmptyPool answers that nothing is bound, in perfect form.
func FaultEmptyPool() Fault {
	return Fault{name: "pool empty", plausible: true, edit: func(a *answer, _ []Instance, q query) {
		if *a = page(nil, q); actionsV2[q.action].under == "data" {
			a.TotalCount = nil
		}
	}}
}

// FaultNoBackends answers for an application load balancer in perfect form that there are the listeners and
// rules, and that nothing is bound to them.
func FaultNoBackends() Fault {
	return Fault{name: "no backends on any listener", plausible: true,
		edit: func(a *answer, _ []Instance, _ query) {
			a.eachBackends(func([]backendV2) []backendV2 { return []backendV2{} })
		}}
}

// FaultNoID leaves unInstanceId out of the first row, or of the first instance on a listener.
func FaultNoID() Fault {
	return Fault{name: "unInstanceId absent", edit: func(a *answer, _ []Instance, _ query) {
		if rs, ok := a.Set.([]row); ok && len(rs) > 0 {
			rs[0].UnInstanceID = ""
		}
		a.firstBackend(func(b *backendV2) { b.UnInstanceID, b.UniqEniID = "", "" })
	}}
}

// FaultNoPort leaves the port of the first instance on a listener out.
func FaultNoPort() Fault {
	return Fault{name: "a backend without a port", edit: func(a *answer, _ []Instance, _ query) {
		a.firstBackend(func(b *backendV2) { b.Port = nil })
	}}
}

// eachBackends changes what is bound to every listener and rule of an answer of DescribeForwardLBBackends.
func (a *answer) eachBackends(change func([]backendV2) []backendV2) {
	listeners, _ := a.Set.([]listenerV2) // other answers have none
	for _, l := range listeners {
		if l.Backends != nil {
			*l.Backends = change(*l.Backends)
		}
		if l.Rules == nil {
			continue
		}
		for i := range *l.Rules {
			r := &(*l.Rules)[i]
			r.Backends = change(r.Backends)
		}
	}
}

// firstBackend changes the first instance of such an answer.
func (a *answer) firstBackend(change func(*backendV2)) {
	done := false
	a.eachBackends(func(bs []backendV2) []backendV2 {
		for i := range bs {
			if !done && bs[i].TargetType == "cvm" {
				done = true
				change(&bs[i])
			}
		}
		return bs
	})
}

// FaultNoStatus leaves instanceStatus out of the first row.
func FaultNoStatus() Fault {
	return Fault{name: "instanceStatus absent", edit: func(a *answer, _ []Instance, _ query) {
		if rs, ok := a.Set.([]row); ok && len(rs) > 0 {
			rs[0].InstanceStatus = nil
		}
	}}
}

// FaultShuffle sends the rows of a page, or what is on the listeners of a load balancer, in random order:
// this is legal.
func FaultShuffle() Fault {
	return Fault{name: "rows shuffled", edit: func(a *answer, _ []Instance, _ query) {
		switch set := a.Set.(type) {
		case []row:
			shuffle(set)
		case []checkV2:
			shuffle(set)
		case []listenerV2:
			for _, l := range set {
				if l.Rules != nil {
					shuffle(*l.Rules)
				}
			}
			shuffle(set)
			a.eachBackends(func(bs []backendV2) []backendV2 { shuffle(bs); return bs })
		}
	}}
}

// pending is a fault that was asked for.
type pending struct {
	lb    string // or an action; "" for every call
	fault Fault
	times int // calls left; below 0 without end
}

// due takes the fault for this call, if there is one.
func (c *Cloud) due(q query) Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	whose := []string{q.action, ""}
	if q.lb != "" {
		whose = []string{q.lb, q.action, ""}
	}
	for _, lb := range whose {
		for _, p := range c.faults {
			if p.lb != lb || p.times == 0 || p.fault.laterPages && q.offset == 0 {
				continue
			}
			if p.times > 0 {
				p.times--
			}
			return p.fault
		}
	}
	return Fault{}
}
