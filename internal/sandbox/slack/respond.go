package slack

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// How often and how long a response_url may be used. Source: docs.slack.dev/interactivity/
// handling-user-interaction.
const (
	maxUses = 5
	useFor  = 30 * time.Minute
)

// respond is a response_url: who did what where, and how often it may still be used.
type respond struct {
	path, trigger string
	who           Person
	channel       string
	until         time.Time
	left          int

	click   bool
	ts      string // of the message that was clicked
	private bool   // only the person sees that message
}

// isResponse reports whether a path is that of a response_url.
func isResponse(path string) bool {
	return strings.HasPrefix(path, "/commands/") || strings.HasPrefix(path, "/actions/")
}

// serveResponse takes or refuses one message to a response_url. What it refuses does not count as a use.
func (s *Workspace) serveResponse(w http.ResponseWriter, r *http.Request) {
	raw, err := readPost(w, r)
	if err != nil {
		s.refuse(w, err)
		return
	}
	fault, err := s.takeResponse(r.URL.Path, raw)
	switch {
	case err != nil:
		s.refuse(w, err)
	case fault.serve != nil:
		fault.serve(w, r)
	default:
		writeText(w, http.StatusOK, "ok")
	}
}

// takeResponse lets a message to a response_url take effect, unless a fault prevents that.
func (s *Workspace) takeResponse(path string, raw json.RawMessage) (f Fault, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	s.calls[ResponseURL]++
	to := s.responses[path]
	if to == nil {
		return f, refusal{http.StatusNotFound, "no_service", "there is no response_url of that path"}
	}
	effect, m, err := s.respond(to, raw)
	if err != nil {
		return f, err
	}
	switch f = s.due(ResponseURL, to.channel, m.raw, m.thread != ""); {
	case f.held:
		s.hold(f.after, func() {
			if effect, _, err := s.respond(to, raw); err == nil { // else Slack refuses it, and nobody hears
				effect()
			}
		})
	case f.serve == nil || f.taken:
		effect()
	}
	return f, nil
}

// respond checks a message to a response_url and says what it does. The caller holds s.mu.
func (s *Workspace) respond(to *respond, raw json.RawMessage) (effect func(), m reply, err error) {
	switch {
	case !s.now().Before(to.until):
		return nil, m, goneURL("expired_url", "it was good for 30 minutes")
	case to.left == 0:
		return nil, m, goneURL("used_url", "it was used five times")
	}
	if m, err = readReply(raw, "response_type", "replace_original", "delete_original", "thread_ts"); err != nil {
		return nil, m, err
	}
	if !m.deletes {
		if err := s.check(m.raw); err != nil {
			return nil, m, err
		}
	}
	do, err := s.effectOf(to, m)
	return func() { to.left--; do() }, m, err
}

func goneURL(word, why string) error {
	return refusal{http.StatusNotFound, `{"ok":false,"error":"` + word + `"}`, why}
}

// effectOf is what a message does that breaks no rule by itself. The caller holds s.mu.
//
// Some of it Slack would take. What becomes of the message that was clicked if replace_original is not named
// depends on the kind of that message and is not documented for all of them (getsentry/sentry#73590 lost
// messages by it), so it must be named. And Slack ignores a response_type beside replace_original, because a
// message stays as visible as it is; here the two may not contradict each other.
func (s *Workspace) effectOf(to *respond, m reply) (do func(), err error) {
	switch {
	case !to.click && (m.replaces || m.deletes):
		return nil, refuse("invalid_payload", "a command has no message to replace or delete")
	case to.click && !m.names["replace_original"] && !m.deletes:
		return nil, refuse("invalid_payload", "replace_original is not named: the message may get lost")
	case m.deletes && len(m.names) > 1:
		return nil, refuse("invalid_payload", "delete_original deletes, and does nothing else")
	case m.replaces && m.thread != "":
		return nil, refuse("invalid_payload", "a message that is replaced stays where it is")
	case m.replaces && m.names["response_type"] && m.inChannel == to.private:
		return nil, refuse("invalid_payload", "a message that is replaced stays as visible as it is")
	}
	if m.deletes || m.replaces {
		return s.changeOf(to, m)
	}
	switch i := s.index(to.channel, m.thread); {
	case m.thread != "" && i < 0:
		return nil, refuse("thread_not_found", "thread_ts %q", m.thread)
	case m.thread != "" && s.posts[i].Thread != "":
		return nil, refuse("cannot_reply_to_message", "thread_ts %q is a reply", m.thread)
	}
	return func() { s.show(m, to) }, nil
}

// changeOf replaces or deletes the message that was clicked. Whether metadata outlive that is not documented;
// here they are lost. The caller holds s.mu.
func (s *Workspace) changeOf(to *respond, m reply) (do func(), err error) {
	private, i := s.whisper(to, to.ts), s.index(to.channel, to.ts)
	switch {
	case to.private && private < 0 || !to.private && i < 0:
		return nil, refusal{http.StatusNotFound, "message_not_found", "the message that was clicked is gone"}
	case m.deletes && to.private:
		return func() { s.private = slices.Delete(s.private, private, private+1); s.announce() }, nil
	case m.deletes:
		return func() { s.posts = slices.Delete(s.posts, i, i+1); s.announce() }, nil
	}
	p := func() *Post { return &s.posts[i] }
	if to.private {
		p = func() *Post { return &s.private[private].Post }
	}
	return func() { p().Raw, p().Edited = m.raw, s.now(); s.announce() }, nil
}

// reply is what an app says to a person, in its answer or to a response_url.
type reply struct {
	raw       json.RawMessage // the message, without the rest
	names     map[string]bool // all that was named, of the message too
	inChannel bool
	replaces  bool
	deletes   bool
	thread    string
}

// readReply takes a reply apart. Beside the parts of a message it may have only what is in allowed, so that a
// misspelt name is seen.
func readReply(raw json.RawMessage, allowed ...string) (m reply, err error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil || all == nil {
		return m, refuse("invalid_payload", "not a JSON object")
	}
	m.names = make(map[string]bool)
	for name, v := range all {
		m.names[name] = true
		var ok bool
		switch name {
		case "text", "blocks", "attachments":
			continue
		case "response_type":
			m.inChannel = string(v) == `"in_channel"`
			ok = m.inChannel || string(v) == `"ephemeral"`
		case "replace_original":
			m.replaces, ok = flag(v)
		case "delete_original":
			m.deletes, ok = flag(v)
		case "thread_ts":
			ok = json.Unmarshal(v, &m.thread) == nil && m.thread != ""
		case "unfurl_links", "unfurl_media": // a link from the cloud would be fetched and shown
			ok = string(v) == "false"
		}
		if !ok || !strings.HasPrefix(name, "unfurl_") && !slices.Contains(allowed, name) {
			return m, refuse("invalid_payload", "%s: %s", name, v)
		}
		delete(all, name)
	}
	m.raw, err = json.Marshal(all)
	return m, err
}

func flag(v json.RawMessage) (on, ok bool) {
	return string(v) == "true", string(v) == "true" || string(v) == "false"
}
