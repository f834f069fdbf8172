package clb

import (
	"errors"
	"fmt"
	"strings"
)

// retry says whether another attempt can mend an error.
type retry int

const (
	never   retry = iota
	backoff       // after a pause
	resign        // at once, with a fresh timestamp and nonce, and once only
)

func retryOf(err error) retry {
	var code *Error
	switch {
	case errors.As(err, new(transient)):
		return backoff
	case errors.As(err, &code):
		return codes[code.Code].retry
	}
	return never
}

// transient is an error of the way to the API or of its gateway.
type transient struct{ error }

func (t transient) Unwrap() error { return t.error }

// unreachable is an error of a host to which no connection could be made.
type unreachable struct{ error }

func (u unreachable) Unwrap() error { return u.error }

// Error is an answer of API 2.0 with a code other than 0.
// Source: 错误码, https://cloud.tencent.com/document/api/214/11602.
type Error struct {
	Action  string // that was refused, such as "DescribeLoadBalancers"
	Code    int
	Desc    string // codeDesc, such as "AuthFailure"; untrusted text
	Message string // untrusted text
}

// Error says what the code means, and what came with it.
func (e *Error) Error() string {
	what := codes[e.Code].what
	if what == "" {
		what = "the API refuses"
	}
	return fmt.Sprintf("%s (code %d %.60q: %.160q)", what, e.Code, e.Desc, e.Message)
}

// Do says what a person can do about the error.
func (e *Error) Do() string {
	do := codes[e.Code].do
	if do == doCAM {
		return doGrant("clb:" + e.Action)
	}
	return do
}

// doGrant is what to do about an action that the account may not call.
func doGrant(action string) string {
	on := " on this load balancer"
	if action == "clb:DescribeLoadBalancers" || strings.HasPrefix(action, "cvm:") { // it knows no resources
		on = " on all resources (*)"
	}
	return "grant " + action + on + " to the user of the keys, on SCF to the execution role (docs/deploy.md)"
}

// Denied reports whether an error says that the account may not call an action.
func Denied(err error) bool { return denied(err) }

// denied reports whether an error says that the account may not call an action.
func denied(err error) bool {
	var code *Error
	var refused *refusal
	switch {
	case errors.As(err, &code):
		return codes[code.Code].do == doCAM
	case errors.As(err, &refused):
		return deniedCode(refused.code)
	}
	return false
}

const (
	doClosed = "set CLB_API to auto or v3"
	doCAM    = "grant it" // Error.Do says what
	doKeys   = "see whether the keys are right and enabled, on SCF whether the function has its execution role"
	doClock  = "see whether this machine's clock is right: clbwatch check compares it with the API's"
	doWait   = "usually clears by itself"
	doSlower = "lower CLB_RATE, or raise the timer's interval"
)

// codes are the published codes that a read can meet.
var codes = map[int]struct {
	retry    retry
	what, do string
}{
	4000: {never, "the API does not take a parameter",
		"see whether the load balancer's id and region are right in CLB_IDS"},
	4100: {never, "the signature is refused", doKeys},
	4101: {never, "not authorised for this action", doCAM},
	4102: {never, "not authorised for this load balancer", doCAM},
	4103: {never, "not authorised for this action on this load balancer", doCAM},
	4104: {never, "the SecretId is unknown or disabled", doKeys},
	4105: {never, "the token is refused", doKeys},
	4106: {never, "the account asks for a second factor", doKeys},
	4110: {never, "not authorised", doCAM},
	4200: {resign, "the request is too old", doClock},
	4300: {never, "API 2.0 is closed for this account", doClosed},
	4400: {backoff, "too many calls", doSlower},
	4500: {resign, "the timestamp or nonce is refused", doClock},
	4600: {never, "the API wants HTTPS", "see whether CLB_ENDPOINT begins with https://"},
	5000: {never, "there is no such load balancer",
		"see whether it was deleted, and its id and region in CLB_IDS"},
	5100: {backoff, "the operation did not succeed", doWait},
	6000: {backoff, "internal error of the API", doWait},
	6100: {never, "API 2.0 is closed for this account: it does not know the action", doClosed},
	6200: {backoff, "the API is under maintenance", doWait},
}
