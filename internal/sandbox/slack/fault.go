package slack

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"clbwatch/internal/sandbox"
)

// Fault is one way in which Slack fails. Make one with the functions below, and say with Fail, FailMethod or
// FailCalls what it hits.
type Fault struct {
	name   string
	taken  bool          // the message is recorded all the same
	held   bool          // the message is recorded later
	after  time.Duration // of held: how much later; below 0: at Release
	blocks bool          // only posts with blocks are hit, and counted
	serve  func(http.ResponseWriter, *http.Request)
}

// String names the fault, for a subtest.
func (f Fault) String() string { return f.name }

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

// Error refuses the call with one of Slack's words, and takes nothing: the Web API answers 200 and an error,
// the webhook 400.
func Error(code string) Fault {
	return Fault{name: code, serve: func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, apiPath) {
			writeText(w, http.StatusBadRequest, code)
			return
		}
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

// TakesThenBreaksOff takes the message and ends the connection in the middle of the answer.
func TakesThenBreaksOff() Fault {
	return Fault{name: "taken, answer broken off", taken: true,
		serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"ok":tr`)      // too little, whether it arrives or not
			_ = http.NewResponseController(w).Flush() // likewise
			panic(http.ErrAbortHandler)
		}}
}

// Hangs takes nothing and never answers; the call ends when the client goes away.
func Hangs() Fault {
	return Fault{name: "hangs", serve: func(_ http.ResponseWriter, r *http.Request) { sandbox.Hang(r) }}
}

// HeldBack drops the connection: the network has the call, and hands it on when d has passed by the
// Workspace's clock; with d below 0, at Release. What Slack would refuse then does not take effect.
func HeldBack(d time.Duration) Fault {
	return Fault{name: fmt.Sprintf("held back for %v", d), held: true, after: d,
		serve: func(w http.ResponseWriter, _ *http.Request) { sandbox.Reset(w) }}
}
