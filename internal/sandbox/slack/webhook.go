package slack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxPost = 1 << 20 // bytes of a message as posted

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
	if isResponse(r.URL.Path) {
		s.serveResponse(w, r)
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
		if f := s.asked(raw); f.serve != nil {
			f.serve(w, r)
			return
		}
		s.mu.Lock()
		err = s.check(raw)
		s.mu.Unlock()
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

// asked takes the fault that is due for an empty message. Without one, that is refused like any other.
func (s *Workspace) asked(raw json.RawMessage) Fault {
	var m struct {
		Text                string
		Blocks, Attachments []json.RawMessage
	}
	if json.Unmarshal(raw, &m) != nil || m.Text != "" || len(m.Blocks)+len(m.Attachments) > 0 {
		return Fault{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.due(WebhookAsk, mainChannel, raw, false)
}

// check holds a message against Slack's rules, and refuses two that Slack would take: one that mentions
// somebody whom nobody asked to mention, and one with buttons while no app is connected: a person who presses
// one would see a warning triangle. The caller holds s.mu.
func (s *Workspace) check(raw []byte) error {
	if err := check(raw); err != nil {
		return err
	}
	if s.requestURL == "" && len(buttons(raw)) > 0 {
		return refuse("invalid_blocks", "it has buttons, and no app is connected that would hear of a click")
	}
	for _, who := range mentions(raw) {
		if who != s.Mention && !slices.Contains(s.Users, who) {
			return refuse("invalid_blocks", "it mentions %q", who)
		}
	}
	return nil
}

// take records the message unless it comes too soon (wait is above 0 then) or the fault that is due prevents
// it.
func (s *Workspace) take(raw json.RawMessage) (f Fault, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	if wait := s.spend(mainChannel); wait > 0 {
		return f, wait
	}
	take := func() {
		p := s.post(raw, Post{channel: mainChannel})
		s.took(Message{At: p.At, Raw: raw})
	}
	switch f = s.due(Webhook, mainChannel, raw, false); {
	case f.held:
		s.hold(f.after, take)
	case f.serve != nil && !f.taken:
		s.rooms[mainChannel].tokens++
	default:
		take()
	}
	return f, 0
}

// asRefusal is what Slack answers to a message that breaks a rule.
func asRefusal(err error) refusal {
	rf := refusal{http.StatusBadRequest, "invalid_payload", err.Error()}
	_ = errors.As(err, &rf) // whatever has no word of its own is an invalid payload
	return rf
}

func (s *Workspace) refuse(w http.ResponseWriter, err error) {
	rf := asRefusal(err)
	s.mu.Lock()
	s.note(rf.Error())
	s.mu.Unlock()
	writeText(w, rf.status, rf.body)
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
