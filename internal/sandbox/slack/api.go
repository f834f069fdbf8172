package slack

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const apiPath = "/api/"

// apiRefusal is an error that the Web API answers with. why is for the person who debugs.
type apiRefusal struct{ code, why string }

func (e apiRefusal) Error() string { return e.code + ": " + e.why }

func refuseAPI(code, format string, args ...any) error {
	return apiRefusal{code, fmt.Sprintf(format, args...)}
}

// apiCall is one call, its parameters decoded from a form or from JSON.
type apiCall struct {
	method string
	params map[string]json.RawMessage // texts of a form are JSON strings here
}

func (c apiCall) text(name string) string {
	var v any
	d := json.NewDecoder(bytes.NewReader(c.params[name]))
	d.UseNumber()
	if d.Decode(&v) != nil || v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// list is a parameter that is JSON in itself, in a form as text.
func (c apiCall) list(name string) json.RawMessage {
	raw := c.params[name]
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return json.RawMessage(s)
	}
	return raw
}

// serveAPI answers one call of the Web API.
func (s *Workspace) serveAPI(w http.ResponseWriter, r *http.Request) {
	method := strings.TrimPrefix(r.URL.Path, apiPath)
	s.mu.Lock()
	s.settle()
	s.calls[method]++
	if method == "chat.postMessage" {
		s.attempts++
	}
	s.mu.Unlock()
	c, err := readCall(w, r, method, s.token)
	do := map[string]func(apiCall) (effect func() map[string]any, err error){
		"auth.test": s.authTest, "chat.postMessage": s.postMessage, "chat.update": s.update,
		"conversations.history": s.history, "conversations.replies": s.replies,
	}[method]
	if err == nil && do == nil {
		err = refuseAPI("unknown_method", "%q is not a method here", method)
	}
	w.Header().Set("X-OAuth-Scopes", "chat:write,channels:history,groups:history")
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		var effect func() map[string]any
		if effect, err = do(c); err == nil {
			s.answer(w, r, c, effect, do)
			return
		}
	} else {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	e := apiRefusal{"internal_error", err.Error()}
	if rf := (refusal{}); errors.As(err, &rf) {
		e = apiRefusal{rf.body, rf.why}
		if rf.body == "invalid_payload" {
			e.code = "invalid_arguments"
		}
	}
	_ = errors.As(err, &e) // else it stays what it is
	s.note(method + ": " + e.Error())
	writeAPI(w, map[string]any{"ok": false, "error": e.code,
		"response_metadata": map[string]any{"messages": []string{"[ERROR] " + e.why}}})
}

// answer lets the call take effect, unless it comes too soon or a fault prevents that. do checks the call
// anew, if it takes effect later. The caller holds s.mu.
func (s *Workspace) answer(w http.ResponseWriter, r *http.Request, c apiCall, effect func() map[string]any,
	do func(apiCall) (func() map[string]any, error)) {
	if wait := s.tooSoon(c); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"ok":false,"error":"ratelimited"}`) // the client is gone if this fails
		return
	}
	f := s.due(c.method, c.text("channel"), c.message(), c.text("thread_ts") != "")
	switch {
	case f.serve == nil:
		writeAPI(w, effect())
		return
	case f.taken:
		effect()
	case f.held:
		s.hold(f.after, func() {
			if effect, err := do(c); err == nil { // else Slack refuses it, and nobody hears
				effect()
			}
		})
	}
	s.mu.Unlock() // it may hang
	defer s.mu.Lock()
	f.serve(w, r)
}

// tooSoon is how long the caller has to wait: chat.postMessage has the rate of the channel, the others Tier
// 3. Source: docs.slack.dev/apis/web-api/rate-limits. The caller holds s.mu.
func (s *Workspace) tooSoon(c apiCall) time.Duration {
	method := c.method
	if s.Unlimited || method == "auth.test" {
		return 0
	}
	if method == "chat.postMessage" {
		return s.spend(c.text("channel"))
	}
	const tier3 = 50
	now := s.Now()
	recent := slices.DeleteFunc(s.recent[method], func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	if len(recent) >= tier3 {
		s.recent[method] = recent
		return time.Minute - now.Sub(recent[0])
	}
	s.recent[method] = append(recent, now)
	return 0
}

func writeAPI(w http.ResponseWriter, v map[string]any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails, and there is nobody to tell
}

// readCall decodes a call and checks its token.
func readCall(w http.ResponseWriter, r *http.Request, method, token string) (apiCall, error) {
	c := apiCall{method: method, params: make(map[string]json.RawMessage)}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPost))
	if err != nil {
		return c, refuseAPI("request_timeout", "body: %v", err)
	}
	given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch mt, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); {
	case r.Method != http.MethodPost:
		return c, refuseAPI("invalid_arguments", "method %s", r.Method)
	case mt == "application/json":
		if err := json.Unmarshal(body, &c.params); err != nil {
			return c, refuseAPI("invalid_json", "%v", err)
		}
	case mt == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return c, refuseAPI("invalid_form_data", "%v", err)
		}
		for k, v := range form {
			if len(v) > 1 {
				return c, refuseAPI("invalid_arguments", "%s is given twice", k)
			}
			c.params[k], _ = json.Marshal(v[0]) // a string is always JSON
		}
		given = cmp.Or(form.Get("token"), given)
	default:
		return c, refuseAPI("invalid_post_type", "content type %q", mt)
	}
	if len(r.URL.RawQuery) > 0 {
		return c, refuseAPI("invalid_arguments", "parameters in the URL, where they are logged")
	}
	switch given {
	case token:
		return c, nil
	case "":
		return c, refuseAPI("not_authed", "no token")
	}
	return c, refuseAPI("invalid_auth", "wrong token")
}

// message is the message of the call as it is kept.
func (c apiCall) message() json.RawMessage {
	m := map[string]any{"text": c.text("text")}
	for _, name := range []string{"blocks", "attachments", "metadata"} {
		if raw := c.list(name); len(raw) > 0 {
			m[name] = raw
		}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return json.RawMessage("{}") // whoever gave it is refused by check
	}
	return raw
}
