package scf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

const (
	// bytes of a request's body, and of a function's answer: what the API's Invoke takes and gives for a
	// synchronous call. What a URL takes is not documented
	maxURLBody = 6 << 20

	maxDrained = 64 << 20 // bytes of a refused request that are read, so that the client hears the refusal
	maxAnswers = 100      // answers kept for Answers
)

// Busy is how the platform refuses a synchronous invocation while all instances that the function may have
// are busy (583/51585 of its documentation). What the caller of a Function URL sees then is not documented;
// here it is HTTP status 432.
func Busy() *Error {
	return &Error{Status: 432, Type: "ResourceLimitReached", Message: "too many instances are busy"}
}

// URL is a Function URL: it makes an event of each request, invokes the function, and makes an HTTP answer of
// what the function returns. It is safe for concurrent use. Make one with NewURL.
type URL struct {
	invoke func(ctx context.Context, event []byte) ([]byte, *Error, error)

	mu      sync.Mutex
	shape   Shape
	calls   int
	answers []string
}

// NewURL returns a Function URL whose events have this shape. invoke runs the function, and may start an
// instance for it; ferr is a failure of the function or Busy, err that there was no outcome.
func NewURL(shape Shape,
	invoke func(ctx context.Context, event []byte) (payload []byte, ferr *Error, err error)) *URL {
	return &URL{invoke: invoke, shape: shape}
}

// SetShape changes the shape of the events from the next request on.
func (u *URL) SetShape(shape Shape) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.shape = shape
}

// Calls is how often the function was invoked.
func (u *URL) Calls() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls
}

// Answers returns what the platform logged of the invocations as RetMsg, which a function cannot keep it
// from: what was returned, or the error. It is the last 100, oldest first.
func (u *URL) Answers() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.answers)
}

// ServeHTTP answers one request: 413 to one of more than 6 MB, 432 if the function is busy, 500 if it failed,
// 502 if its answer is not one; else as the function says. Which status between 500 and 599 the platform
// itself takes is not documented.
func (u *URL) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxURLBody+1))
	if err != nil {
		http.Error(w, "the body broke off", http.StatusBadRequest)
		return
	}
	if len(body) > maxURLBody {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained) // what does not come need not be read
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	u.mu.Lock()
	shape := u.shape
	u.calls++
	u.mu.Unlock()
	payload, ferr, err := u.invoke(r.Context(), shape.event(r, body))
	logged := string(payload)
	switch {
	case err != nil:
		logged = err.Error()
	case ferr != nil:
		logged = ferr.Error()
	}
	u.log(logged)
	switch {
	case ferr != nil && ferr.Status == Busy().Status:
		http.Error(w, ferr.Error(), ferr.Status)
		return
	case err != nil || ferr != nil:
		http.Error(w, logged, http.StatusInternalServerError)
		return
	}
	a, err := readAnswer(payload)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	a.write(w)
}

func (u *URL) log(answer string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.answers) == maxAnswers {
		u.answers = slices.Delete(u.answers, 0, 1)
	}
	u.answers = append(u.answers, answer)
}

// httpAnswer is what a function answers to an HTTP event.
type httpAnswer struct {
	status  int
	headers map[string]string
	body    string
}

// readAnswer takes apart what a function returned (583/96099 of the platform's documentation). A value
// without a statusCode is sent whole.
func readAnswer(payload []byte) (a httpAnswer, err error) {
	if len(payload) > maxURLBody {
		return a, fmt.Errorf("answer of %d bytes", len(payload))
	}
	if !json.Valid(payload) {
		return a, errors.New("answer is not JSON")
	}
	var m map[string]json.RawMessage
	_ = json.Unmarshal(payload, &m) // a value of another kind has no statusCode
	if m["statusCode"] == nil {
		return httpAnswer{status: http.StatusOK, headers: map[string]string{"Content-Type": "application/json"},
			body: string(bytes.TrimSpace(payload))}, nil
	}
	if err := json.Unmarshal(m["statusCode"], &a.status); err != nil || a.status < 200 || a.status > 599 {
		return a, fmt.Errorf("answer with statusCode %s", m["statusCode"])
	}
	if raw := m["headers"]; raw != nil && json.Unmarshal(raw, &a.headers) != nil {
		return a, errors.New("answer with headers that are not texts")
	}
	if raw := m["body"]; raw != nil && (raw[0] != '"' || json.Unmarshal(raw, &a.body) != nil) {
		return a, errors.New("answer with a body that is not a text")
	}
	// The field is another gateway's; for URLs it is not documented.
	if raw := string(m["isBase64Encoded"]); raw != "" && raw != "false" {
		return a, errors.New("answer with isBase64Encoded")
	}
	return a, nil
}

func (a httpAnswer) write(w http.ResponseWriter) {
	w.Header()["Content-Type"] = nil // what the function does not name is not guessed
	for name, value := range a.headers {
		w.Header().Set(name, strings.NewReplacer("\r", " ", "\n", " ").Replace(value))
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body) // the client is gone if this fails, and there is nobody to tell
}
