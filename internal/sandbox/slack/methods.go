package slack

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
)

// Bounds of the Web API. Source: docs.slack.dev, the pages of the methods.
const (
	maxUpdateText = 4_000 // bytes of text in chat.update; measured by others
	maxMetadata   = 1 << 10
	defaultPage   = 100
	maxPage       = 999
)

func (s *Workspace) authTest(apiCall) (func() map[string]any, error) {
	return func() map[string]any {
		return map[string]any{"ok": true, "url": "https://sandbox.slack.example/", "team": "sandbox",
			"user": "clbwatch", "team_id": Team, "user_id": botUser, "bot_id": botID}
	}, nil
}

func (s *Workspace) postMessage(c apiCall) (func() map[string]any, error) {
	known := c.allowed("channel", "text", "blocks", "attachments", "metadata", "thread_ts", "reply_broadcast",
		"unfurl_links", "unfurl_media")
	if err := errors.Join(known, s.inChannel(c), s.checkMessage(c)); err != nil {
		return nil, err
	}
	channel, thread := c.text("channel"), c.text("thread_ts")
	broadcast := c.text("reply_broadcast") == "true"
	switch i := s.index(channel, thread); {
	case c.text("unfurl_links") != "false" || c.text("unfurl_media") != "false":
		return nil, refuseAPI("invalid_arguments",
			"unfurling is on: a link from the cloud would be fetched and shown")
	case thread != "" && i < 0 && s.Unthreads:
		thread, broadcast = "", false
	case thread != "" && i < 0:
		return nil, refuseAPI("thread_not_found", "thread_ts %q", thread)
	case thread != "" && s.posts[i].Thread != "":
		return nil, refuseAPI("cannot_reply_to_message", "thread_ts %q is a reply", thread)
	case broadcast && thread == "":
		return nil, refuseAPI("invalid_arguments", "reply_broadcast without thread_ts")
	}
	raw := c.message()
	return func() map[string]any {
		p := s.post(raw, Post{Bot: true, Thread: thread, Broadcast: broadcast, channel: channel})
		s.took(Message{At: p.At, Raw: raw})
		return map[string]any{"ok": true, "channel": channel, "ts": p.TS, "message": shown(p, false)}
	}, nil
}

func (s *Workspace) update(c apiCall) (func() map[string]any, error) {
	known := c.allowed("channel", "ts", "text", "blocks", "attachments", "metadata", "unfurl_links",
		"unfurl_media")
	if err := errors.Join(known, s.inChannel(c), s.checkMessage(c)); err != nil {
		return nil, err
	}
	channel, ts := c.text("channel"), c.text("ts")
	i := s.index(channel, ts)
	switch {
	case i < 0:
		return nil, refuseAPI("message_not_found", "ts %q", c.text("ts"))
	case !s.posts[i].Bot:
		return nil, refuseAPI("cant_update_message", "it is not the bot's")
	case s.EditWindow > 0 && s.now().Sub(s.posts[i].At) > s.EditWindow:
		return nil, refuseAPI("edit_window_closed", "it is of %v", s.posts[i].At)
	case len(c.text("text")) > maxUpdateText:
		return nil, refuseAPI("msg_too_long", "text has %d bytes", len(c.text("text")))
	case c.params["blocks"] == nil || c.params["attachments"] == nil:
		// Slack keeps what is not named: a message edited so would be half old.
		return nil, refuseAPI("invalid_arguments", "blocks and attachments must both be named")
	}
	return func() map[string]any {
		p := &s.posts[s.index(channel, ts)]
		p.Raw, p.Edited = c.edited(p.Raw), s.now()
		s.announce()
		return map[string]any{"ok": true, "channel": channel, "ts": ts, "text": c.text("text")}
	}, nil
}

// edited is the message of the call in place of an old one: metadata that it does not name stay, and an empty
// object removes them. Source: docs.slack.dev/reference/methods/chat.update.
func (c apiCall) edited(old json.RawMessage) json.RawMessage {
	var was, is map[string]json.RawMessage
	_, _ = json.Unmarshal(old, &was), json.Unmarshal(c.message(), &is) // both were checked
	switch meta, named := is["metadata"]; {
	case !named && was["metadata"] != nil:
		is["metadata"] = was["metadata"]
	case named && noMetadata(meta):
		delete(is, "metadata")
	}
	raw, _ := json.Marshal(is) // it was JSON before
	return raw
}

func noMetadata(raw json.RawMessage) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal(raw, &m) == nil && m != nil && len(m) == 0
}

func (s *Workspace) history(c apiCall) (func() map[string]any, error) {
	known := c.allowed("channel", "cursor", "inclusive", "latest", "limit", "oldest", "include_all_metadata")
	if err := errors.Join(known, s.inChannel(c)); err != nil {
		return nil, err
	}
	posts := slices.DeleteFunc(s.in(c.text("channel")), func(p Post) bool {
		return p.Thread != "" && !p.Broadcast
	})
	slices.Reverse(posts)
	return s.page(c, posts)
}

func (s *Workspace) replies(c apiCall) (func() map[string]any, error) {
	known := c.allowed("channel", "ts", "cursor", "inclusive", "latest", "limit", "oldest",
		"include_all_metadata")
	if err := errors.Join(known, s.inChannel(c)); err != nil {
		return nil, err
	}
	ts := c.text("ts")
	if i := s.index(c.text("channel"), ts); i < 0 || s.posts[i].Thread != "" {
		return nil, refuseAPI("thread_not_found", "ts %q", ts)
	}
	return s.page(c, slices.DeleteFunc(slices.Clone(s.posts), func(p Post) bool {
		return p.TS != ts && p.Thread != ts
	}))
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
			return name == "oldest" && before < 0 || name == "latest" && before > 0 ||
				before == 0 && c.text("inclusive") != "true"
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
		messages = append(messages,
			shown(p, c.text("include_all_metadata") == "true" || c.text("include_all_metadata") == "1"))
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
	identify(m, p)
	if p.User != "" {
		m["user"] = p.User
		return m
	}
	m["bot_id"] = botID
	return m
}

func (s *Workspace) inChannel(c apiCall) error {
	switch id := c.text("channel"); {
	case s.rooms[id] == nil:
		return refuseAPI("channel_not_found", "channel %q", id)
	case s.rooms[id].away:
		return refuseAPI("not_in_channel", "the bot left")
	}
	return nil
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
	if len(raw) == 0 || c.method == "chat.update" && noMetadata(raw) {
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
