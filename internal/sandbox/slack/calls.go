package slack

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// What calls to the webhook go by in Calls, beside the methods of the Web API.
const (
	Webhook    = "webhook"        // a message
	WebhookAsk = "webhook, empty" // an empty message: it asks whether anybody is there
	// a post to a response_url
	ResponseURL = "response_url"
)

// Calls picks the calls that a fault hits: those that fit everything that is set. The zero value picks all.
type Calls struct {
	Channel string   // only calls about this channel, by ID; "": all
	Methods []string // of the Web API, such as "chat.update", or one of the names above; nil: all
	// only messages that contain this text, as a person would read it
	Naming   string
	Mentions bool      // only messages that mention somebody
	Replies  bool      // only posts into a thread
	Times    int       // only the next so many; 0: all
	Until    time.Time // only before then, by the Workspace's clock; zero: until ClearFaults
}

// FailCalls makes those calls go wrong. Where several faults fit, the one that was asked for first wins. A
// message that breaks Slack's rules is refused as ever and uses up no fault.
func (s *Workspace) FailCalls(c Calls, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &pending{f, c, cmp.Or(c.Times, -1)})
}

// Fail makes the next posts go wrong, by webhook or bot, in the order of the calls; times below 0 lasts until
// ClearFaults.
func (s *Workspace) Fail(f Fault, times int) {
	s.failNext(f, times, Webhook, "chat.postMessage")
}

// FailMethod makes the next calls of one method of the Web API go wrong, such as "chat.update"; times below 0
// lasts until ClearFaults.
func (s *Workspace) FailMethod(method string, f Fault, times int) {
	s.failNext(f, times, method)
}

func (s *Workspace) failNext(f Fault, times int, methods ...string) {
	if times != 0 {
		s.FailCalls(Calls{Methods: methods, Times: max(times, 0)}, f)
	}
}

// ClearFaults ends every fault. Calls that hang go on hanging, and what is held back stays so.
func (s *Workspace) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// pending is a fault that was asked for.
type pending struct {
	fault Fault
	calls Calls
	left  int // calls that it still hits; below 0: all
}

// due takes the fault for a call, if there is one. raw is the message, if the call has one; reply says that
// it goes into a thread. The caller holds s.mu.
func (s *Workspace) due(method, channel string, raw json.RawMessage, reply bool) Fault {
	for _, p := range s.faults {
		c := p.calls
		switch {
		case p.left == 0,
			c.Channel != "" && c.Channel != channel,
			c.Methods != nil && !slices.Contains(c.Methods, method),
			!c.Until.IsZero() && !s.Now().Before(c.Until),
			c.Replies && !reply,
			c.Mentions && len(mentions(raw)) == 0,
			c.Naming != "" && !contains(raw, c.Naming),
			p.fault.blocks && !hasBlocks(raw):
			continue
		}
		if p.left > 0 {
			p.left--
		}
		return p.fault
	}
	return Fault{}
}

// contains reports whether any text of a message, its metadata apart, has the word.
func contains(raw json.RawMessage, word string) bool {
	var m map[string]any
	_ = json.Unmarshal(raw, &m) // it passed check
	delete(m, "metadata")
	var walk func(v any) bool
	walk = func(v any) bool {
		switch v := v.(type) {
		case string:
			return strings.Contains(v, word)
		case []any:
			return slices.ContainsFunc(v, walk)
		case map[string]any:
			for _, e := range v {
				if walk(e) {
					return true
				}
			}
		}
		return false
	}
	return walk(m)
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

// held is a call that the network holds back.
type held struct {
	until time.Time // when it is handed on; zero: at Release
	apply func()
}

// hold keeps a call for later. The caller holds s.mu.
func (s *Workspace) hold(after time.Duration, apply func()) {
	h := held{apply: apply}
	if after >= 0 {
		h.until = s.Now().Add(after)
	}
	s.held = append(s.held, h)
}

// settle hands on what was held back until now, in the order of the times. The caller holds s.mu.
func (s *Workspace) settle() {
	now := s.Now()
	var ripe []held
	s.held = slices.DeleteFunc(s.held, func(h held) bool {
		if h.until.IsZero() || h.until.After(now) {
			return false
		}
		ripe = append(ripe, h)
		return true
	})
	slices.SortStableFunc(ripe, func(a, b held) int { return a.until.Compare(b.until) })
	for _, h := range ripe {
		s.at = h.until
		h.apply()
	}
	s.at = time.Time{}
}

// now is the time at which a call takes effect. The caller holds s.mu.
func (s *Workspace) now() time.Time {
	if !s.at.IsZero() {
		return s.at
	}
	return s.Now()
}

// Release hands on all that is held back, in the order it came, and returns how much that was.
func (s *Workspace) Release() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	all := s.held
	s.held = nil
	for _, h := range all {
		h.apply()
	}
	return len(all)
}

// Held is how many calls are held back.
func (s *Workspace) Held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return len(s.held)
}
