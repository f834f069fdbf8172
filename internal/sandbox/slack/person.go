package slack

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"unicode/utf16"

	"clbwatch/internal/sandbox"
)

// typed is the request for a command. Source of its fields: docs.slack.dev/interactivity/
// implementing-slash-commands.
func (s *Workspace) typed(who Person, channel, line string) (Request, *respond, error) {
	command, text, _ := strings.Cut(line, " ")
	if len(command) < 2 || command[0] != '/' {
		return Request{}, nil, fmt.Errorf("type a command: %q does not begin with one", line)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	to, err := s.invite(who, channel, "/commands/")
	if err != nil {
		return Request{}, nil, fmt.Errorf("type %s: %w", command, err)
	}
	domain := teamDomain
	if who.team() != Team {
		domain = strings.ToLower(who.Team)
	}
	fields := [][2]string{{"token", s.verify}, {"team_id", who.team()}, {"team_domain", domain}}
	if s.Enterprise != "" {
		fields = append(fields, [2]string{"enterprise_id", s.Enterprise},
			[2]string{"enterprise_name", "Sandbox Enterprise"})
	}
	fields = append(fields, [][2]string{{"channel_id", to.channel}, {"channel_name", channelName(to.channel)},
		{"user_id", who.id()}, {"user_name", who.name()}, {"command", command}, {"text", text},
		{"api_app_id", appID}, {"is_enterprise_install", "false"}, {"response_url", s.base + to.path},
		{"trigger_id", to.trigger}}...)
	return s.request(fields), to, nil
}

// pressed is the request for a click. Source of its fields: docs.slack.dev/reference/interaction-payloads/
// block_actions-payload.
func (s *Workspace) pressed(who Person, channel, ts, button string) (Request, *respond, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	to, err := s.invite(who, channel, "/actions/")
	if err != nil {
		return Request{}, nil, fmt.Errorf("press %s: %w", button, err)
	}
	to.click, to.ts = true, ts
	p, err := s.visible(to)
	if err != nil {
		return Request{}, nil, fmt.Errorf("press %s: %w", button, err)
	}
	message := s.clicked(p)
	raw, _ := json.Marshal(message) // it was JSON before
	b, err := find(buttons(raw), button)
	if err != nil {
		return Request{}, nil, fmt.Errorf("press %s: %w", button, err)
	}
	user := map[string]any{"id": who.id(), "username": who.name(), "name": who.name(), "team_id": who.team()}
	container := map[string]any{"type": "message", "message_ts": ts, "channel_id": to.channel,
		"is_ephemeral": to.private, "is_app_unfurl": false}
	if b.attachment > 0 {
		container["type"], container["attachment_id"] = "message_attachment", b.attachment
	}
	if p.Thread != "" {
		container["thread_ts"] = p.Thread
	}
	action := map[string]any{"type": "button", "action_id": b.ActionID, "block_id": b.blockID,
		"text": map[string]any{"type": b.Text.Type, "text": b.Text.Text,
			"emoji": b.Text.Emoji == nil || *b.Text.Emoji},
		"action_ts": s.nextTS()}
	if b.Value != nil {
		action["value"] = *b.Value
	}
	if b.Style != "" {
		action["style"] = b.Style
	}
	payload := map[string]any{
		"type": "block_actions", "user": user, "api_app_id": appID, "token": s.verify,
		"container": container, "trigger_id": to.trigger,
		"team":       map[string]any{"id": Team, "domain": teamDomain},
		"enterprise": nil, "is_enterprise_install": false,
		"channel":      map[string]any{"id": to.channel, "name": channelName(to.channel)},
		"state":        map[string]any{"values": map[string]any{}},
		"response_url": s.base + to.path, "actions": []any{action},
	}
	if !to.private { // Slack does not repeat a message that only one person sees
		payload["message"] = message
	}
	if s.Enterprise != "" {
		payload["enterprise"] = map[string]any{"id": s.Enterprise, "name": "Sandbox Enterprise"}
	}
	return s.request([][2]string{{"payload", escaped(payload)}}), to, nil
}

// invite makes the response URL and the trigger for something that a person does. The caller holds s.mu.
func (s *Workspace) invite(who Person, channel, path string) (*respond, error) {
	channel = cmp.Or(channel, mainChannel)
	switch {
	case s.requestURL == "":
		return nil, errors.New("no app is connected; call Connect")
	case s.rooms[channel] == nil:
		return nil, fmt.Errorf("there is no channel %s; call Add", channel)
	}
	number := func() int64 { return 1e12 + rand.Int64N(9e12) }
	to := &respond{who: who, channel: channel, left: maxUses, until: s.now().Add(useFor),
		path:    fmt.Sprintf("%s%s/%d/%s", path, Team, number(), sandbox.RandomHex(12)),
		trigger: fmt.Sprintf("%d.%d.%s", number(), number(), sandbox.RandomHex(16))}
	s.invited(to)
	return to, nil
}

// visible is the message that a person presses a button of. The caller holds s.mu.
func (s *Workspace) visible(to *respond) (Post, error) {
	if i := s.index(to.channel, to.ts); i >= 0 {
		if s.posts[i].User != "" {
			return Post{}, fmt.Errorf("message %s is not the app's", to.ts)
		}
		return s.posts[i], nil
	}
	if i := s.whisper(to, to.ts); i >= 0 {
		to.private = true
		return s.private[i].Post, nil
	}
	return Post{}, fmt.Errorf("there is no message %s in %s", to.ts, to.channel)
}

// find finds a button by its action_id or else by its label.
func find(all []placed, name string) (found placed, err error) {
	n := 0
	for _, b := range all {
		switch name {
		case b.ActionID:
			return b, nil
		case b.Text.Text:
			found = b
			n++
		}
	}
	if n != 1 {
		return placed{}, fmt.Errorf("%d buttons of the message have that action_id or label", n)
	}
	return found, nil
}

// clicked is a post as the payload of a click repeats it: the whole message as it stands, and who wrote it.
// Whether Slack repeats metadata is not documented. The caller holds s.mu.
func (s *Workspace) clicked(p Post) map[string]any {
	m := shown(p, true)
	m["team"], m["app_id"] = Team, appID
	if p.Bot {
		m["user"] = botUser
	} else {
		m["subtype"] = "bot_message"
	}
	if !p.Edited.IsZero() {
		m["edited"] = map[string]any{"user": botID, "ts": fmt.Sprintf("%d.000000", p.Edited.Unix())}
	}
	for _, r := range s.posts {
		if r.Thread == p.TS && r.channel == p.channel {
			m["thread_ts"] = p.TS // the first message of a thread belongs to it, once there is one
		}
	}
	return m
}

// channelName is what Slack says as channel_name.
func channelName(id string) string {
	switch {
	case id == mainChannel:
		return "alerts"
	case strings.HasPrefix(id, "D"):
		return "directmessage"
	case strings.HasPrefix(id, "G"):
		return "privategroup"
	}
	return strings.ToLower(id)
}

// request is a signed request with a form. The caller holds s.mu.
func (s *Workspace) request(fields [][2]string) Request {
	var body []byte
	for i, f := range fields {
		if i > 0 {
			body = append(body, '&')
		}
		body = fmt.Appendf(body, "%s=%s", f[0], url.QueryEscape(f[1]))
	}
	r := Request{URL: s.requestURL, Body: body, Header: map[string][]string{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json,*/*"},
		"User-Agent": {"Slackbot 1.0 (+https://api.slack.com/robots)"}}}
	r.Sign(s.secret, s.Clock())
	return r
}

// escaped is v as Slack writes JSON: in ASCII, and with "\/" for a slash.
func escaped(v any) string {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // it is made of maps, texts and what was JSON before
	var b strings.Builder
	for _, r := range strings.TrimSpace(plain.String()) {
		switch {
		case r == '/':
			b.WriteString(`\/`)
		case r < 0x80:
			b.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
	}
	return b.String()
}
