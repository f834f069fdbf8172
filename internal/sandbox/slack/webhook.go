// Package slack is a channel of Slack on the laptop, with an incoming webhook and a bot, that keeps to Slack's rules, rates and
// words, and fails as a test asks. It refuses what Slack refuses, and some messages that Slack would take but a person would
// regret.
package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"clbwatch/internal/sandbox"
)

const (
	maxPost    = 1 << 20 // bytes of a message as posted
	maxRefused = 100     // refusals kept for Refused
	burst      = 5       // messages at once before the rate counts
)

// Message is a message that Slack took.
type Message struct {
	At  time.Time       // by the Workspace's clock
	Raw json.RawMessage // as it was posted
}

// Workspace is one channel, with an incoming webhook and a bot that may post in it. It refuses what Slack refuses, as far as that is known, and some things that Slack would
// take but a person would regret (see check). It is safe for concurrent use. Make one with New.
type Workspace struct {
	Now       func() time.Time // the clock; set it before serving
	Unlimited bool             // no limit of one message a second; set it before serving

	Mention    string        // the one who may be mentioned: an ID, or here, channel or everyone; "" for nobody. Set it before serving
	EditWindow time.Duration // how long a message can be edited; 0: for ever. Set it before serving
	PageLimit  int           // the most messages on a page of the history; 0: as many as are asked for. Set it before serving

	path, token string

	mu       sync.Mutex
	messages []Message
	attempts int
	refused  []string
	faults   []*pending
	tokens   float64       // messages that may come now
	refilled time.Time     // when tokens was right
	changed  chan struct{} // closed at the next message, edit or deletion

	posts  []Post // the channel as it stands
	lastTS int64  // of the last post, in microseconds
	away   bool   // the bot is not in the channel
	calls  map[string]int
	recent map[string][]time.Time // calls of the last minute
}

// New returns a channel whose webhook and bot have secrets of their own.
func New() *Workspace {
	return &Workspace{
		Now: time.Now, path: "/services/T0SANDBOX/B0SANDBOX/" + sandbox.RandomHex(12), token: "xoxb-0-0-" + sandbox.RandomHex(12), tokens: burst,
		changed: make(chan struct{}), calls: make(map[string]int), recent: make(map[string][]time.Time),
	}
}

// URL is the webhook's address on a server such as "http://127.0.0.1:8080".
func (s *Workspace) URL(base string) string { return strings.TrimSuffix(base, "/") + s.path }

// Messages returns what was taken, in order.
func (s *Workspace) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Attempts is how many requests came to the webhook's own address.
func (s *Workspace) Attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

// Refused lists why messages were refused, faults not counted: the last 100, oldest first.
func (s *Workspace) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// Wait returns when at least n messages were taken since the start, or the error of ctx.
func (s *Workspace) Wait(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		have, changed := len(s.messages), s.changed
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages: %w", have, n, ctx.Err())
		}
	}
}

// Fail makes the next posts go wrong, in the order of the calls; times below 0 lasts until ClearFaults. A post that breaks
// Slack's rules is refused as ever and uses up no fault.
func (s *Workspace) Fail(f Fault, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &pending{f, times, ""})
}

// ClearFaults ends every fault; posts that hang go on hanging.
func (s *Workspace) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// refusal is an answer other than ok.
type refusal struct {
	status int
	body   string
	why    string // for the person who debugs; Slack does not say
}

func (r refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.body, r.why) }

// ServeHTTP takes or refuses one message.
func (s *Workspace) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, apiPath) {
		s.serveAPI(w, r)
		return
	}
	if r.URL.Path != s.path {
		writeText(w, http.StatusNotFound, "no_service")
		return
	}
	s.mu.Lock()
	s.attempts++
	s.mu.Unlock()

	raw, err := readPost(w, r)
	if err == nil {
		err = s.check(raw)
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	fault, wait := s.take(raw)
	switch {
	case wait > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		writeText(w, http.StatusTooManyRequests, "rate_limited")
	case fault.serve != nil:
		fault.serve(w, r)
	default:
		writeText(w, http.StatusOK, "ok")
	}
}

// check holds a message against Slack's rules, and refuses one that mentions somebody whom nobody asked to mention.
func (s *Workspace) check(raw []byte) error {
	if err := check(raw); err != nil {
		return err
	}
	for _, who := range mentions(raw) {
		if who != s.Mention {
			return refuse("invalid_blocks", "it mentions %q", who)
		}
	}
	return nil
}

// take records the message unless it comes too soon (wait is above 0 then) or the fault that is due prevents it.
func (s *Workspace) take(raw json.RawMessage) (f Fault, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.spend(); wait > 0 {
		return f, wait
	}
	f = s.due("", raw)
	if f.serve != nil && !f.taken {
		s.tokens++
		return f, 0
	}
	p := s.post(raw, Post{})
	s.messages = append(s.messages, Message{At: p.At, Raw: raw})
	return f, 0
}

// spend takes one message off what the channel's rate allows, or says how long to wait. The caller holds s.mu.
func (s *Workspace) spend() time.Duration {
	now := s.Now()
	if !s.refilled.IsZero() {
		s.tokens = min(burst, s.tokens+now.Sub(s.refilled).Seconds())
	}
	s.refilled = now
	if s.Unlimited {
		return 0
	}
	if s.tokens < 1 {
		return time.Duration((1 - s.tokens) * float64(time.Second))
	}
	s.tokens--
	return 0
}

func (s *Workspace) refuse(w http.ResponseWriter, err error) {
	rf := refusal{http.StatusBadRequest, "invalid_payload", err.Error()}
	_ = errors.As(err, &rf) // whatever has no word of its own is an invalid payload
	s.mu.Lock()
	s.note(rf.Error())
	s.mu.Unlock()
	writeText(w, rf.status, rf.body)
}

// note keeps why something was refused. The caller holds s.mu.
func (s *Workspace) note(why string) {
	if len(s.refused) == maxRefused {
		s.refused = slices.Delete(s.refused, 0, 1)
	}
	s.refused = append(s.refused, why)
}

func readPost(w http.ResponseWriter, r *http.Request) (json.RawMessage, error) {
	if r.Method != http.MethodPost {
		return nil, fmt.Errorf("method %s", r.Method)
	}
	if mt, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); mt != "application/json" {
		return nil, fmt.Errorf("content type %q", r.Header.Get("Content-Type"))
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPost))
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return bytes.TrimSpace(raw), nil
}

func writeText(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the client is gone if this fails, and there is nobody to tell
}

// Fault is one way in which Slack fails. Make one with the functions below.
type Fault struct {
	name   string
	taken  bool // the message is recorded all the same
	blocks bool // only posts with blocks are hit, and counted
	serve  func(http.ResponseWriter, *http.Request)
}

// String names the fault, for a subtest.
func (f Fault) String() string { return f.name }

// Answer answers with any status and body, and takes nothing: 404 no_service, 410 channel_is_archived,
// 500 rollup_error, or a 200 that does not say ok.
func Answer(status int, body string) Fault {
	return Fault{name: fmt.Sprintf("%d %s", status, body), serve: func(w http.ResponseWriter, _ *http.Request) {
		writeText(w, status, body)
	}}
}

// RateLimited answers 429. retryAfter is the header as it stands: seconds, an HTTP date, or "" for no header.
func RateLimited(retryAfter string) Fault {
	return Fault{name: fmt.Sprintf("429, retry after %q", retryAfter), serve: func(w http.ResponseWriter, _ *http.Request) {
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
	return Fault{name: "connection reset", serve: func(w http.ResponseWriter, _ *http.Request) { sandbox.Reset(w) }}
}

// TakesThenDrops takes the message and drops the connection: the answer is lost.
func TakesThenDrops() Fault {
	return Fault{name: "taken, answer lost", taken: true, serve: func(w http.ResponseWriter, _ *http.Request) { sandbox.Reset(w) }}
}

// TakesThenFails takes the message and answers 500 all the same.
func TakesThenFails() Fault {
	f := Answer(http.StatusInternalServerError, "rollup_error")
	f.name, f.taken = "taken, then 500", true
	return f
}

// TakesThenHangs takes the message and never answers; the call ends when the client goes away.
func TakesThenHangs() Fault {
	return Fault{name: "taken, then hangs", taken: true, serve: func(_ http.ResponseWriter, r *http.Request) { sandbox.Hang(r) }}
}

// TakesLate takes the message and says ok after a while.
func TakesLate(d time.Duration) Fault {
	return Fault{name: "taken, ok comes late", taken: true, serve: func(w http.ResponseWriter, r *http.Request) {
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
