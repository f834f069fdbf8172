package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// answers stands before a cloud and keeps what it answered about each load balancer, until that changes: so
// that what is measured reads as fast as it can, and does not wait for a sandbox that writes JSON. The first
// time the cloud sees and checks a request itself. What is not about one load balancer always goes on to it.
type answers struct {
	cloud   http.Handler
	latency time.Duration // before every answer; changed while nobody asks

	mu           sync.Mutex
	kept         map[string]map[string]*exchange // by load balancer, and by what was asked
	others       []*exchange                     // about none or several, since they were last counted
	calls, bytes int                             // of requests, and of answers
}

// exchange is a request, and its answer.
type exchange struct {
	Path   string      `json:"path"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
	answer []byte
}

// requestID comes with an answer of API 3.0, and is another each time.
var requestID = []byte(`"RequestId":"`)

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	time.Sleep(a.latency)
	lb, asked := about(r, body)
	a.mu.Lock()
	a.calls++
	n := a.calls
	x := a.kept[lb][asked]
	a.mu.Unlock()
	if x == nil {
		x = &exchange{Path: r.URL.Path, Header: r.Header.Clone(), Body: body}
		copied := &tee{ResponseWriter: w}
		a.cloud.ServeHTTP(copied, r)
		x.answer = copied.written
		a.mu.Lock()
		defer a.mu.Unlock()
		a.bytes += len(x.answer)
		if lb != "" {
			if a.kept[lb] == nil {
				a.kept[lb] = make(map[string]*exchange)
			}
			a.kept[lb][asked] = x
		} else {
			a.others = append(a.others, x)
		}
		return
	}
	a.mu.Lock()
	a.bytes += len(x.answer)
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(x.answer)))
	answer := x.answer
	if at := bytes.LastIndex(answer, requestID); at >= 0 {
		at += len(requestID)
		id := fmt.Sprintf("00000000-0000-4000-8000-%012x", n)
		_, _ = w.Write(answer[:at]) // the client is gone if this fails, and its round fails with it
		_, _ = io.WriteString(w, id)
		answer = answer[at+len(id):]
	}
	_, _ = w.Write(answer)
}

// about says which load balancer a request is about, "" for none or several, and what it asks of it.
func about(r *http.Request, body []byte) (lb, asked string) {
	if action := r.Header.Get("X-TC-Action"); action != "" {
		var p struct{ LoadBalancerID string }
		_ = json.Unmarshal(body, &p) // what it cannot read is for the cloud to refuse
		return p.LoadBalancerID, action
	}
	form, _ := url.ParseQuery(string(body)) // as above
	return form.Get("loadBalancerId"), form.Get("Action") + " " + form.Get("offset")
}

// forget drops what was answered about load balancers.
func (a *answers) forget(lbs ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, lb := range lbs {
		delete(a.kept, lb)
	}
}

// requests are what was asked about load balancers, in their order, and whatever else was since it was last
// counted.
func (a *answers) requests(lbs []string) (all []*exchange) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, lb := range lbs {
		for _, x := range a.kept[lb] {
			all = append(all, x)
		}
	}
	return append(all, a.others...)
}

// count returns how many requests there were, and how many bytes of answers, since it was last called.
func (a *answers) count() (calls, bytes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls, bytes = a.calls, a.bytes
	a.calls, a.bytes, a.others = 0, 0, nil
	return calls, bytes
}

// tee keeps what is written.
type tee struct {
	http.ResponseWriter
	written []byte
}

func (t *tee) Write(p []byte) (int, error) {
	t.written = append(t.written, p...)
	return t.ResponseWriter.Write(p)
}
