package slack

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"clbwatch/internal/sandbox"
)

// Bounds of the Web API. Source: docs.slack.dev, the pages of the methods.
const (
	maxUpdateText = 4_000 // bytes of text in chat.update; measured by others
	maxMetadata   = 1 << 10
	defaultPage   = 100
	maxPage       = 999
)

// Post is a message of the channel as it stands.
type Post struct {
	TS        string          `json:"ts"`                  // Slack's id of it, such as "1795409616.000100"; unique, rising
	Thread    string          `json:"thread,omitempty"`    // ts of the first message of its thread; "" if it is no reply
	Broadcast bool            `json:"broadcast,omitempty"` // a reply that is shown in the channel too
	At        time.Time       `json:"at"`
	Edited    time.Time       `json:"edited,omitzero"`
	Bot       bool            `json:"bot"` // by the bot; else by the webhook, or by somebody else
	Raw       json.RawMessage `json:"raw"` // text, blocks, attachments and metadata as they stand now

	others bool
}

// Channel returns the messages of the channel in order; deleted ones are gone.
func (s *Workspace) Channel() []Post {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.posts)
}

// Changed returns a channel that is closed at the next post, edit or deletion.
func (s *Workspace) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Delete deletes a message, as a person does by hand. It reports whether it was there.
func (s *Workspace) Delete(ts string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.index(ts)
	if i < 0 {
		return false
	}
	s.posts = slices.Delete(s.posts, i, i+1)
	s.announce()
	return true
}

// Say is somebody else writing in the channel. It returns the message's ts.
func (s *Workspace) Say(text string) string {
	raw, _ := json.Marshal(map[string]string{"text": text}) // a string is always JSON
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.post(raw, Post{others: true}).TS
}

// Leave takes the bot out of the channel; Join brings it back.
func (s *Workspace) Leave() { s.setMember(false) }

// Join brings the bot back into the channel.
func (s *Workspace) Join() { s.setMember(true) }

func (s *Workspace) setMember(in bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = !in
}

// APIURL is the address of the Web API on a server such as "http://127.0.0.1:8080".
func (s *Workspace) APIURL(base string) string { return strings.TrimSuffix(base, "/") + apiPath }

// Token is the bot's token.
func (s *Workspace) Token() string { return s.token }

// ChannelID is the ID of the one channel there is.
func (s *Workspace) ChannelID() string { return "C0SANDBOX1" }

// FailMethod makes the next calls of one method of the Web API go wrong, such as "chat.update"; below 0 times until
// ClearFaults. A call that breaks Slack's rules is refused as ever and uses up no fault.
func (s *Workspace) FailMethod(method string, f Fault, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &pending{f, times, method})
}

// Error answers with an error of the Web API, and takes nothing.
func Error(code string) Fault {
	return Fault{name: code, serve: func(w http.ResponseWriter, _ *http.Request) { writeAPI(w, map[string]any{"ok": false, "error": code}) }}
}

// OKFalse answers {"ok":false} without an error, and takes nothing.
func OKFalse() Fault {
	return Fault{name: "not ok, no error", serve: func(w http.ResponseWriter, _ *http.Request) { writeAPI(w, map[string]any{"ok": false}) }}
}

// NoTS takes the message, and answers ok without saying where it is.
func NoTS() Fault {
	return Fault{name: "taken, ok without ts", taken: true, serve: func(w http.ResponseWriter, _ *http.Request) { writeAPI(w, map[string]any{"ok": true}) }}
}

// EmptyAnswer answers 200 with nothing, and takes nothing.
func EmptyAnswer() Fault {
	f := Answer(http.StatusOK, "")
	f.name = "empty answer"
	return f
}

// HTML answers 200 with a proxy's page, and takes nothing.
func HTML() Fault {
	return Fault{name: "a proxy's page", serve: func(w http.ResponseWriter, _ *http.Request) { sandbox.WriteHTML(w, http.StatusOK) }}
}

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
			s.answer(w, r, method, effect, c)
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
	writeAPI(w, map[string]any{"ok": false, "error": e.code, "response_metadata": map[string]any{"messages": []string{"[ERROR] " + e.why}}})
}

// answer lets the call take effect, unless it comes too soon or a fault prevents that. The caller holds s.mu.
func (s *Workspace) answer(w http.ResponseWriter, r *http.Request, method string, effect func() map[string]any, c apiCall) {
	if wait := s.tooSoon(method); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"ok":false,"error":"ratelimited"}`) // the client is gone if this fails
		return
	}
	raw := c.message()
	f := s.due(method, raw)
	if f.serve == nil {
		writeAPI(w, effect())
		return
	}
	if f.taken {
		effect()
	}
	s.mu.Unlock() // it may hang
	defer s.mu.Lock()
	f.serve(w, r)
}

// tooSoon is how long the caller has to wait: chat.postMessage has the rate of the channel, the others Tier 3.
// Source: docs.slack.dev/apis/web-api/rate-limits. The caller holds s.mu.
func (s *Workspace) tooSoon(method string) time.Duration {
	if s.Unlimited || method == "auth.test" {
		return 0
	}
	if method == "chat.postMessage" {
		return s.spend()
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

func (s *Workspace) inChannel(c apiCall) error {
	switch id := c.text("channel"); {
	case id != s.ChannelID():
		return refuseAPI("channel_not_found", "channel %q", id)
	case s.away:
		return refuseAPI("not_in_channel", "the bot left")
	}
	return nil
}

func (s *Workspace) authTest(apiCall) (func() map[string]any, error) {
	return func() map[string]any {
		return map[string]any{"ok": true, "url": "https://sandbox.slack.example/", "team": "sandbox", "user": "clbwatch", "team_id": "T0SANDBOX", "user_id": "U0SANDBOX", "bot_id": "B0SANDBOX"}
	}, nil
}

// allowed refuses parameters that nobody wrote down here, so that a misspelt one is seen.
func (c apiCall) allowed(names ...string) error {
	for _, name := range slices.Sorted(maps.Keys(c.params)) {
		if name != "token" && !slices.Contains(names, name) {
			return refuseAPI("invalid_arguments", "parameter %s", name)
		}
	}
	return nil
}

// checkMessage holds a message against the rules for all messages, and those for metadata.
func (s *Workspace) checkMessage(c apiCall) error {
	if err := s.check(c.message()); err != nil {
		return err
	}
	raw := c.list("metadata")
	if len(raw) == 0 {
		return nil
	}
	var m struct {
		EventType    string         `json:"event_type"`
		EventPayload map[string]any `json:"event_payload"`
	}
	switch err := json.Unmarshal(raw, &m); {
	case err != nil:
		return refuseAPI("invalid_metadata_format", "%v", err)
	case m.EventType == "" || m.EventPayload == nil:
		return refuseAPI("invalid_metadata_schema", "event_type and event_payload are required")
	case len(raw) > maxMetadata:
		return refuseAPI("metadata_too_large", "%d bytes", len(raw))
	}
	return nil
}

func (s *Workspace) postMessage(c apiCall) (func() map[string]any, error) {
	if err := errors.Join(c.allowed("channel", "text", "blocks", "attachments", "metadata", "thread_ts", "reply_broadcast", "unfurl_links", "unfurl_media"),
		s.inChannel(c), s.checkMessage(c)); err != nil {
		return nil, err
	}
	thread := c.text("thread_ts")
	broadcast := c.text("reply_broadcast") == "true"
	switch i := s.index(thread); {
	case c.text("unfurl_links") != "false" || c.text("unfurl_media") != "false":
		return nil, refuseAPI("invalid_arguments", "unfurling is on: a link from the cloud would be fetched and shown")
	case thread != "" && (i < 0 || s.posts[i].Thread != ""):
		return nil, refuseAPI("cannot_reply_to_message", "thread_ts %q", thread)
	case broadcast && thread == "":
		return nil, refuseAPI("invalid_arguments", "reply_broadcast without thread_ts")
	}
	raw := c.message()
	return func() map[string]any {
		p := s.post(raw, Post{Bot: true, Thread: thread, Broadcast: broadcast})
		s.messages = append(s.messages, Message{At: p.At, Raw: raw})
		return map[string]any{"ok": true, "channel": s.ChannelID(), "ts": p.TS, "message": shown(p, false)}
	}, nil
}

func (s *Workspace) update(c apiCall) (func() map[string]any, error) {
	if err := errors.Join(c.allowed("channel", "ts", "text", "blocks", "attachments", "metadata", "unfurl_links", "unfurl_media"),
		s.inChannel(c), s.checkMessage(c)); err != nil {
		return nil, err
	}
	i := s.index(c.text("ts"))
	switch {
	case i < 0:
		return nil, refuseAPI("message_not_found", "ts %q", c.text("ts"))
	case !s.posts[i].Bot:
		return nil, refuseAPI("cant_update_message", "it is not the bot's")
	case s.EditWindow > 0 && s.Now().Sub(s.posts[i].At) > s.EditWindow:
		return nil, refuseAPI("edit_window_closed", "it is of %v", s.posts[i].At)
	case len(c.text("text")) > maxUpdateText:
		return nil, refuseAPI("msg_too_long", "text has %d bytes", len(c.text("text")))
	case c.params["blocks"] == nil || c.params["attachments"] == nil:
		// Slack keeps what is not named: a message edited so would be half old.
		return nil, refuseAPI("invalid_arguments", "blocks and attachments must both be named")
	}
	raw, ts := c.message(), c.text("ts")
	return func() map[string]any {
		p := &s.posts[s.index(ts)]
		p.Raw, p.Edited = raw, s.Now()
		s.announce()
		return map[string]any{"ok": true, "channel": s.ChannelID(), "ts": ts, "text": c.text("text")}
	}, nil
}

func (s *Workspace) history(c apiCall) (func() map[string]any, error) {
	if err := errors.Join(c.allowed("channel", "cursor", "inclusive", "latest", "limit", "oldest", "include_all_metadata"), s.inChannel(c)); err != nil {
		return nil, err
	}
	posts := slices.DeleteFunc(slices.Clone(s.posts), func(p Post) bool { return p.Thread != "" && !p.Broadcast })
	slices.Reverse(posts)
	return s.page(c, posts)
}

func (s *Workspace) replies(c apiCall) (func() map[string]any, error) {
	if err := errors.Join(c.allowed("channel", "ts", "cursor", "inclusive", "latest", "limit", "oldest", "include_all_metadata"), s.inChannel(c)); err != nil {
		return nil, err
	}
	ts := c.text("ts")
	if i := s.index(ts); i < 0 || s.posts[i].Thread != "" {
		return nil, refuseAPI("thread_not_found", "ts %q", ts)
	}
	return s.page(c, slices.DeleteFunc(slices.Clone(s.posts), func(p Post) bool { return p.TS != ts && p.Thread != ts }))
}

// page is one page of posts, the first message of a thread apart within oldest and latest.
func (s *Workspace) page(c apiCall, posts []Post) (func() map[string]any, error) {
	limit := defaultPage
	if n := c.text("limit"); n != "" {
		var err error
		if limit, err = strconv.Atoi(n); err != nil || limit < 1 || limit > maxPage {
			return nil, refuseAPI("invalid_limit", "%q", n)
		}
	}
	if s.PageLimit > 0 {
		limit = min(limit, s.PageLimit)
	}
	for _, name := range []string{"oldest", "latest"} {
		at := c.text(name)
		if at == "" {
			continue
		}
		if v, err := strconv.ParseFloat(at, 64); err != nil || v < 0 {
			return nil, refuseAPI("invalid_ts_"+name, "%q", at)
		}
		posts = slices.DeleteFunc(posts, func(p Post) bool {
			if p.TS == c.text("ts") {
				return false
			}
			before := compareTS(p.TS, at)
			return name == "oldest" && before < 0 || name == "latest" && before > 0 || before == 0 && c.text("inclusive") != "true"
		})
	}
	from := 0
	if cursor := c.text("cursor"); cursor != "" {
		from = 1 + slices.IndexFunc(posts, func(p Post) bool { return "after:"+p.TS == cursor })
		if from == 0 {
			return nil, refuseAPI("invalid_cursor", "%q", cursor)
		}
	}
	to := min(from+limit, len(posts))
	messages := []any{}
	for _, p := range posts[from:to] {
		messages = append(messages, shown(p, c.text("include_all_metadata") == "true" || c.text("include_all_metadata") == "1"))
	}
	answer := map[string]any{"ok": true, "messages": messages, "has_more": to < len(posts)}
	if to < len(posts) {
		answer["response_metadata"] = map[string]any{"next_cursor": "after:" + posts[to-1].TS}
	}
	return func() map[string]any { return answer }, nil
}

func compareTS(a, b string) int {
	x, _ := strconv.ParseFloat(a, 64)
	y, _ := strconv.ParseFloat(b, 64)
	return cmp.Compare(x, y)
}

// shown is a post as the Web API shows it.
func shown(p Post, metadata bool) map[string]any {
	m := map[string]any{}
	_ = json.Unmarshal(p.Raw, &m) // it was checked
	if !metadata {
		delete(m, "metadata")
	}
	m["type"], m["ts"] = "message", p.TS
	if p.Thread != "" {
		m["thread_ts"] = p.Thread
	}
	if p.others {
		m["user"] = "U0OTHERS0"
		return m
	}
	m["bot_id"] = "B0SANDBOX"
	return m
}

// post adds a message to the channel. The caller holds s.mu.
func (s *Workspace) post(raw json.RawMessage, p Post) Post {
	p.At, p.Raw = s.Now(), raw
	// Rising even if the clock stands still, or goes back.
	s.lastTS = max(s.lastTS+100, p.At.UnixMicro())
	p.TS = fmt.Sprintf("%d.%06d", s.lastTS/1_000_000, s.lastTS%1_000_000)
	s.posts = append(s.posts, p)
	s.announce()
	return p
}

// index is where a message is in the channel; -1 if it is not. The caller holds s.mu.
func (s *Workspace) index(ts string) int {
	return slices.IndexFunc(s.posts, func(p Post) bool { return p.TS == ts })
}

// announce wakes whoever waits for a change. The caller holds s.mu.
func (s *Workspace) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// CallsOf is how often a method of the Web API was called, in vain or not.
func (s *Workspace) CallsOf(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}
