package slack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"clbwatch/internal/sandbox"
)

// Fault is one way in which Slack fails. Make one with the functions below.
type Fault struct {
	name   string
	taken  bool // the message is recorded all the same
	blocks bool // only posts with blocks are hit, and counted
	serve  func(http.ResponseWriter, *http.Request)
}

// String names the fault, for a subtest.
func (f Fault) String() string { return f.name }

// Fail makes the next posts go wrong, in the order of the calls; times below 0 lasts until ClearFaults. A
// post that breaks Slack's rules is refused as ever and uses up no fault.
func (s *Workspace) Fail(f Fault, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &pending{f, times, ""})
}

// FailMethod makes the next calls of one method of the Web API go wrong, such as "chat.update"; below 0 times
// until ClearFaults. A call that breaks Slack's rules is refused as ever and uses up no fault.
func (s *Workspace) FailMethod(method string, f Fault, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &pending{f, times, method})
}

// ClearFaults ends every fault; posts that hang go on hanging.
func (s *Workspace) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Answer answers with any status and body, and takes nothing: 404 no_service, 410 channel_is_archived,
// 500 rollup_error, or a 200 that does not say ok.
func Answer(status int, body string) Fault {
	return Fault{name: fmt.Sprintf("%d %s", status, body),
		serve: func(w http.ResponseWriter, _ *http.Request) {
			writeText(w, status, body)
		}}
}

// RateLimited answers 429. retryAfter is the header as it stands: seconds, an HTTP date, or "" for no header.
func RateLimited(retryAfter string) Fault {
	return Fault{name: fmt.Sprintf("429, retry after %q", retryAfter),
		serve: func(w http.ResponseWriter, _ *http.Request) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			writeText(w, http.StatusTooManyRequests, "rate_limited")
		}}
}

// RefusesBlocks answers 400 invalid_blocks to a message with blocks, and takes one of plain text.
func RefusesBlocks() Fault {
	f := Answer(http.StatusBadRequest, "invalid_blocks")
	f.name, f.blocks = "blocks refused", true
	return f
}

// Redirect answers 302.
func Redirect(location string) Fault {
	return Fault{name: "302 redirect", serve: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		writeText(w, http.StatusFound, "")
	}}
}

// Reset resets the connection and takes nothing.
func Reset() Fault {
	return Fault{name: "connection reset", serve: func(w http.ResponseWriter, _ *http.Request) {
		sandbox.Reset(w)
	}}
}

// HTML answers 200 with a proxy's page, and takes nothing.
func HTML() Fault {
	return Fault{name: "a proxy's page", serve: func(w http.ResponseWriter, _ *http.Request) {
		sandbox.WriteHTML(w, http.StatusOK)
	}}
}

// EmptyAnswer answers 200 with nothing, and takes nothing.
func EmptyAnswer() Fault {
	f := Answer(http.StatusOK, "")
	f.name = "empty answer"
	return f
}

// Error answers with an error of the Web API, and takes nothing.
func Error(code string) Fault {
	return Fault{name: code, serve: func(w http.ResponseWriter, _ *http.Request) {
		writeAPI(w, map[string]any{"ok": false, "error": code})
	}}
}

// OKFalse answers {"ok":false} without an error, and takes nothing.
func OKFalse() Fault {
	return Fault{name: "not ok, no error", serve: func(w http.ResponseWriter, _ *http.Request) {
		writeAPI(w, map[string]any{"ok": false})
	}}
}

// NoTS takes the message, and answers ok without saying where it is.
func NoTS() Fault {
	return Fault{name: "taken, ok without ts", taken: true,
		serve: func(w http.ResponseWriter, _ *http.Request) { writeAPI(w, map[string]any{"ok": true}) }}
}

// TakesThenDrops takes the message and drops the connection: the answer is lost.
func TakesThenDrops() Fault {
	return Fault{name: "taken, answer lost", taken: true,
		serve: func(w http.ResponseWriter, _ *http.Request) { sandbox.Reset(w) }}
}

// TakesThenFails takes the message and answers 500 all the same.
func TakesThenFails() Fault {
	f := Answer(http.StatusInternalServerError, "rollup_error")
	f.name, f.taken = "taken, then 500", true
	return f
}

// TakesThenHangs takes the message and never answers; the call ends when the client goes away.
func TakesThenHangs() Fault {
	return Fault{name: "taken, then hangs", taken: true, serve: func(_ http.ResponseWriter, r *http.Request) {
		sandbox.Hang(r)
	}}
}

// TakesLate takes the message and says ok after a while.
func TakesLate(d time.Duration) Fault {
	return Fault{name: "taken, ok comes late", taken: true,
		serve: func(w http.ResponseWriter, r *http.Request) {
			if sandbox.Pause(r.Context(), d) {
				writeText(w, http.StatusOK, "ok")
			}
		}}
}

// pending is a fault that was asked for.
type pending struct {
	fault  Fault
	times  int    // posts left; below 0 without end
	method string // of the Web API; "" for every post, by webhook or bot
}

// due takes the fault for this call, if there is one; method is "" for the webhook. The caller holds s.mu.
func (s *Workspace) due(method string, raw json.RawMessage) Fault {
	for _, p := range s.faults {
		posts := p.method == "" && (method == "" || method == "chat.postMessage")
		if !posts && (p.method == "" || p.method != method) {
			continue
		}
		if p.times == 0 || p.fault.blocks && !hasBlocks(raw) {
			continue
		}
		if p.times > 0 {
			p.times--
		}
		return p.fault
	}
	return Fault{}
}

func hasBlocks(raw json.RawMessage) bool {
	var m struct {
		Blocks      []json.RawMessage
		Attachments []struct{ Blocks []json.RawMessage }
	}
	_ = json.Unmarshal(raw, &m) // it passed check
	for _, a := range m.Attachments {
		if len(a.Blocks) > 0 {
			return true
		}
	}
	return len(m.Blocks) > 0
}
