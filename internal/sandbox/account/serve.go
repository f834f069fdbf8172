package account

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"clbwatch/internal/sandbox"
)

// product is a service: its version, and whether it has regions.
//
// Sources: the SDK's clients for versions. That cam needs no region, and sts needs one, is said in the
// documentation of their actions (598/…, 1312/66098).
type product struct {
	version  string
	regional bool
}

var products = map[string]product{
	"scf": {"2018-04-16", true}, "cam": {"2019-01-16", false}, "sts": {"2018-08-13", true},
}

// action is an action of API 3.0.
type action struct {
	writes bool
	do     func(*Account, *request, json.RawMessage) (map[string]any, error)
	// do takes a.mu itself, and not for long
	unlocked bool
}

// request is a request that passed the checks that are the same for every action.
type request struct {
	*http.Request
	service, action, region string

	caller issued
	fault  Fault // that applies to it; zero if none does
}

// reads and writes make an action of a function whose parameters are a struct: see decode.
func reads[P any](do func(*Account, *request, P) (map[string]any, error)) action {
	return action{do: func(a *Account, q *request, body json.RawMessage) (map[string]any, error) {
		var p P
		if err := decode(body, &p); err != nil {
			return nil, err
		}
		return do(a, q, p)
	}}
}

func writes[P any](do func(*Account, *request, P) (map[string]any, error)) action {
	act := reads(do)
	act.writes = true
	return act
}

// actions are what there is of each service.
func actions(service string) map[string]action {
	switch service {
	case "scf":
		return functionActions()
	case "cam":
		return accessActions()
	case "sts":
		return map[string]action{"GetCallerIdentity": reads((*Account).getCallerIdentity)}
	}
	return nil
}

// ServeHTTP answers one request: a POST of JSON at the path /, signed by TC3-HMAC-SHA256.
func (a *Account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", a.Now().UTC().Format(http.TimeFormat))
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	var tooLarge *http.MaxBytesError
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, sandbox.MaxBodyTC3))
	if errors.As(err, &tooLarge) {
		err = sandbox.APIError{Code: "RequestSizeLimitExceeded", Message: "the body is over 10 MB"}
	}
	q := request{Request: r, action: r.Header.Get("X-TC-Action"), region: r.Header.Get("X-TC-Region")}
	if auth, bad := sandbox.ParseTC3(r.Header.Get("Authorization")); bad == nil {
		q.service = auth.Service()
	}
	if err == nil {
		err = a.check(&q, body)
	}
	n := a.noteCall(q, body)
	if err != nil {
		a.refuse(w, n, err)
		return
	}
	a.answer(w, &q, n, body)
}

// answer does what a right request asks for, as far as the fault that is due lets it.
func (a *Account) answer(w http.ResponseWriter, q *request, n int, body []byte) {
	q.fault = a.due(q.action)
	if q.fault.instead != nil {
		a.mu.Lock()
		a.calls[n].Code = q.fault.name
		a.mu.Unlock()
		q.fault.instead(w, q.Request)
		return
	}
	response, err := a.do(q, body)
	if q.fault.after != nil {
		if err != nil {
			_ = a.note(n, err) // the answer does not say it
		}
		q.fault.after(w, q.Request)
		return
	}
	if err != nil {
		a.refuse(w, n, err)
		return
	}
	if response == nil {
		response = make(map[string]any)
	}
	write(w, response)
}

func (a *Account) do(q *request, body []byte) (map[string]any, error) {
	act := actions(q.service)[q.action]
	if !act.unlocked {
		a.mu.Lock()
		defer a.mu.Unlock()
	}
	return act.do(a, q, body)
}

// check applies the rules that are the same for every action. Codes are those that all of API 3.0 shares
// (https://cloud.tencent.com/document/api/583/17240 and its like, "public error codes").
func (a *Account) check(q *request, body []byte) error {
	if q.Method != http.MethodPost {
		return refusal("UnsupportedProtocol", "the sandbox takes POST only, not %s", q.Method)
	}
	if err := sandbox.CheckTC3(q.Request, body, q.service, a.Now(), a.Credential); err != nil {
		return err
	}
	p, known := products[q.service]
	if !known {
		return refusal("NoSuchProduct", "the request is signed for %q", q.service)
	}
	if host, _, real := strings.Cut(q.Host, "."); real && strings.Contains(q.Host, "tencentcloudapi.com") &&
		host != q.service {
		return refusal("NoSuchProduct", "signed for %s, sent to %s", q.service, q.Host)
	}
	ct := q.Header.Get("Content-Type")
	if ct != "application/json" && !strings.HasPrefix(ct, "application/json;") {
		return refusal("InvalidParameter", "content type %q", ct)
	}
	if v := q.Header.Get("X-TC-Version"); v != p.version {
		return refusal("NoSuchVersion", "X-TC-Version %q of %s", v, q.service)
	}
	if _, ok := actions(q.service)[q.action]; !ok {
		return refusal("InvalidAction", "X-TC-Action %q of %s", q.action, q.service)
	}
	switch {
	case !p.regional:
		q.region = "" // it is of no use there
	case q.region == "":
		return refusal("MissingParameter", "X-TC-Region is missing")
	case !slices.Contains(a.Regions, q.region):
		return refusal("UnsupportedRegion", "X-TC-Region %q", q.region)
	}
	return a.authorize(q, body)
}

// authorize holds a role to its policies. The user may do everything.
func (a *Account) authorize(q *request, body []byte) error {
	auth, err := sandbox.ParseTC3(q.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	q.caller = a.credentials[auth.SecretID]
	if q.caller.role == "" || q.service == "sts" {
		return nil
	}
	resource := "*"
	var named struct{ FunctionName string }
	if q.service == "scf" && json.Unmarshal(body, &named) == nil && named.FunctionName != "" {
		resource = a.functionResource(q.region, named.FunctionName)
	}
	if what := "name/" + q.service + ":" + q.action; !a.allows(q.caller.role, what, resource) {
		return refusal("UnauthorizedOperation", "the role %s may not %s on %s", q.caller.role, what, resource)
	}
	return nil
}

// noteCall remembers a request, and returns its place in a.calls.
func (a *Account) noteCall(q request, body []byte) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, Call{Service: q.service, Action: q.action, Region: q.region,
		Writes: actions(q.service)[q.action].writes, Body: string(body)})
	return len(a.calls) - 1
}

// note remembers why the n-th call was refused, and returns it in the words of the API.
func (a *Account) note(n int, err error) sandbox.APIError {
	var e sandbox.APIError
	if !errors.As(err, &e) {
		e = sandbox.APIError{Code: "InvalidParameter", Message: err.Error()}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[n].Code = e.Code
	if len(a.refused) == maxRefused {
		a.refused = slices.Delete(a.refused, 0, 1)
	}
	a.refused = append(a.refused, e.Error())
	return e
}

func (a *Account) refuse(w http.ResponseWriter, n int, err error) { writeError(w, a.note(n, err)) }

// refusal is an APIError.
func refusal(code, format string, args ...any) error {
	return sandbox.APIError{Code: code, Message: fmt.Sprintf(format, args...)}
}

func writeError(w http.ResponseWriter, e sandbox.APIError) {
	write(w, map[string]any{"Error": map[string]string{"Code": e.Code, "Message": e.Message}})
}

// write sends the body of API 3.0, with a new RequestId. An error has the HTTP status 200, too.
func write(w http.ResponseWriter, response map[string]any) {
	response["RequestId"] = sandbox.RequestID()
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(map[string]any{"Response": response}); err != nil {
		panic(err) // texts and numbers always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	_, _ = w.Write(body.Bytes()) // the client is gone if this fails, and there is nobody to tell
}
