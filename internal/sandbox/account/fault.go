package account

import (
	"fmt"
	"net/http"

	"clbwatch/internal/sandbox"
)

// Fault is one way in which the API fails. Make one with the functions below.
type Fault struct {
	name    string
	instead func(http.ResponseWriter, *http.Request) // nothing takes effect
	after   func(http.ResponseWriter, *http.Request) // it took effect
	breaks  bool                                     // the change of a function fails later
}

// String names the fault, for a subtest.
func (f Fault) String() string { return f.name }

// Faults returns every fault of a single call, but those that wait: what a deployment must survive.
func Faults() []Fault {
	return []Fault{
		Refuse(), Throttle(), Code("InternalError", "an internal error"),
		HTML(http.StatusInternalServerError),
		HTML(http.StatusBadGateway), HTML(http.StatusOK), Reset(), AppliesThenDrops(),
		AppliesThenAnswers("InternalError", "an internal error"),
	}
}

// Code answers with an error of API 3.0, and nothing takes effect.
func Code(code, message string) Fault {
	return Fault{name: code, instead: func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, sandbox.APIError{Code: code, Message: message})
	}}
}

// Refuse says that the caller lacks a permission.
func Refuse() Fault {
	return Code("UnauthorizedOperation",
		"you are not authorized to perform this operation. Check your CAM policies")
}

// Throttle says that there were too many calls a second.
func Throttle() Fault {
	return Code("RequestLimitExceeded", "your current request times exceed the limit")
}

// AppliesThenAnswers answers with an error of API 3.0 to what took effect.
func AppliesThenAnswers(code, message string) Fault {
	f := Code(code, message)
	return Fault{name: "applied, then " + code, after: f.instead}
}

// HTML answers with an HTTP status and a gateway's page, and nothing takes effect.
func HTML(status int) Fault {
	return Fault{name: fmt.Sprintf("%d with HTML", status), instead: func(w http.ResponseWriter,
		_ *http.Request) {
		sandbox.WriteHTML(w, status)
	}}
}

// Reset resets the connection, and nothing takes effect.
func Reset() Fault {
	return Fault{name: "connection reset", instead: func(w http.ResponseWriter, _ *http.Request) {
		sandbox.Reset(w)
	}}
}

// AppliesThenDrops resets the connection: the answer is lost. Who tries again finds that it is so already.
func AppliesThenDrops() Fault {
	return Fault{name: "applied, answer lost", after: func(w http.ResponseWriter, _ *http.Request) {
		sandbox.Reset(w)
	}}
}

// Hang never answers, and nothing takes effect; the call ends when the client goes away.
func Hang() Fault {
	return Fault{name: "hang", instead: func(_ http.ResponseWriter, r *http.Request) { sandbox.Hang(r) }}
}

// AppliesThenHangs never answers; the call ends when the client goes away.
func AppliesThenHangs() Fault {
	return Fault{name: "applied, then hangs", after: func(_ http.ResponseWriter, r *http.Request) {
		sandbox.Hang(r)
	}}
}

// Breaks lets CreateFunction, UpdateFunctionCode or UpdateFunctionConfiguration succeed, but what it started
// fails: the function becomes CreateFailed or UpdateFailed instead of Active. Other actions it leaves alone.
func Breaks() Fault { return Fault{name: "the change fails later", breaks: true} }

// pending is a fault that was asked for.
type pending struct {
	action string // "" for every one
	fault  Fault
	times  int // calls left; below 0 without end
}

// Fail makes the next calls of an action go wrong, or any if action is "". times below 0 lasts until
// ClearFaults. Faults apply one after another, those of the action first, and only to requests that are right
// as far as that does not depend on what the account has: a fault comes before "it is there already".
func (a *Account) Fail(action string, f Fault, times int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, &pending{action, f, times})
}

// ClearFaults ends every fault; calls that hang go on hanging.
func (a *Account) ClearFaults() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = nil
}

// due takes the fault for this call, if there is one.
func (a *Account) due(action string) Fault {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, of := range []string{action, ""} {
		for _, p := range a.faults {
			if p.action != of || p.times == 0 {
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
