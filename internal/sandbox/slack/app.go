package slack

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Team is the ID of the workspace.
const Team = "T0SANDBOX"

const (
	teamDomain = "sandbox"
	appID      = "A0SANDBOX"
	botID      = "B0SANDBOX"
	botUser    = "U0SANDBOX"

	answerLimit = 3 * time.Second // docs.slack.dev/interactivity/handling-user-interaction
)

// Connect says where Slack sends commands and clicks, and where its own server is, such as
// "http://127.0.0.1:8080": response URLs are there. With "" for the request URL the app is disconnected, and
// messages with buttons are refused.
func (s *Workspace) Connect(base, requestURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base, s.requestURL = strings.TrimSuffix(base, "/"), requestURL
}

// SigningSecret is what Slack signs commands and clicks with: 32 hexadecimal digits.
func (s *Workspace) SigningSecret() string { return s.secret }

// Person is somebody who types a command or presses a button.
type Person struct {
	ID string // such as "U0123ABCD"; "" for somebody whose name does not matter
	// ID of the person's own workspace, if it is another one: in a channel that two share (Slack Connect), or
	// where the app is installed, too
	Team string
}

func (p Person) id() string { return cmp.Or(p.ID, somebody) }

func (p Person) name() string { return strings.ToLower(p.id()) }

func (p Person) team() string { return cmp.Or(p.Team, Team) }

// Reaction is what a person sees after a command or a click.
type Reaction struct {
	// what the app answered; zero if nothing came in time
	Response Response
	// the word for what went wrong, which the person sees: "operation_timeout", "dispatch_failed" if nobody
	// was there, "http_client_error" and "http_service_error" for any status but 200, or the word that
	// refuses a message; "" if all went well. After a click Slack shows a warning triangle instead
	Error string

	Shown   json.RawMessage // the message that the answer shows; nil if it shows none
	Private bool            // only the person sees it
	TS      string          // of the message shown

	TriggerID, ResponseURL string // what the app was given
}

// Command is somebody typing a slash command, such as "/clb silence prod-* 2h why", in a channel; "" is the
// first one. The bot need not be in it. An error says that nothing was typed, or that ctx ended.
func (s *Workspace) Command(ctx context.Context, who Person, channel, line string) (Reaction, error) {
	req, to, err := s.typed(who, channel, line)
	if err != nil {
		return Reaction{}, err
	}
	r, err := s.deliver(ctx, req, to)
	if err != nil || r.Error != "" {
		return r, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	if err := s.showAnswer(&r, to, line); err != nil {
		s.note("answer to " + line + ": " + err.Error())
		r.Error = asRefusal(err).body
	}
	return r, nil
}

// Insist is somebody who types a command again each time it times out, because the text stays in the input
// box; each time is a command of its own. It returns what the person sees each time, and gives up after so
// many times.
func (s *Workspace) Insist(ctx context.Context, who Person, channel, line string, times int) (
	seen []Reaction, err error) {
	for range times {
		r, err := s.Command(ctx, who, channel, line)
		if err != nil {
			return seen, err
		}
		if seen = append(seen, r); r.Error != "operation_timeout" {
			break
		}
	}
	return seen, nil
}

// Click is somebody pressing a button of a message, which may be one that only they see. The button is found
// by its action_id, or by the label on it; the channel "" is the first one. An error says that there is no
// such button, or that ctx ended.
func (s *Workspace) Click(ctx context.Context, who Person, channel, ts, button string) (Reaction, error) {
	req, to, err := s.pressed(who, channel, ts, button)
	if err != nil {
		return Reaction{}, err
	}
	r, err := s.deliver(ctx, req, to)
	if err != nil || r.Error != "" {
		return r, err
	}
	if len(r.Response.Body) > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.note(fmt.Sprintf("answer to a click on %s: it is not empty, and nobody sees it: %.100q", button,
			r.Response.Body))
	}
	return r, nil
}

// NewCommand is the request that Command would send, to be altered. Its response URL works.
func (s *Workspace) NewCommand(who Person, channel, line string) (Request, error) {
	r, _, err := s.typed(who, channel, line)
	return r, err
}

// NewClick is the request that Click would send, to be altered. Its response URL works.
func (s *Workspace) NewClick(who Person, channel, ts, button string) (Request, error) {
	r, _, err := s.pressed(who, channel, ts, button)
	return r, err
}

// deliver sends what a person did, and says how the app failed, if it did.
func (s *Workspace) deliver(ctx context.Context, req Request, to *respond) (Reaction, error) {
	s.mu.Lock()
	kept := req.Clone()
	s.last = &kept
	r := Reaction{TriggerID: to.trigger, ResponseURL: s.base + to.path}
	s.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, cmp.Or(s.AnswerLimit, answerLimit))
	defer cancel()
	answer, err := s.Send(limited, req)
	switch {
	case err == nil:
		r.Response = answer
	case ctx.Err() != nil:
		return r, fmt.Errorf("wait for the app: %w", ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		r.Error = "operation_timeout"
		return r, nil
	default:
		r.Error = "dispatch_failed"
		return r, nil
	}
	if answer.Status == http.StatusOK {
		return r, nil
	}
	r.Error = "http_client_error"
	if answer.Status >= http.StatusInternalServerError {
		r.Error = "http_service_error"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(fmt.Sprintf("answer to a person: status %d, %.100q", answer.Status, answer.Body))
	return r, nil
}

// showAnswer shows what the answer to a command says. The caller holds s.mu.
func (s *Workspace) showAnswer(r *Reaction, to *respond, line string) error {
	body := bytes.TrimSpace(r.Response.Body)
	if len(body) == 0 {
		return nil
	}
	m := reply{}
	switch kind, _, _ := strings.Cut(r.Response.Header.Get("Content-Type"), ";"); {
	case kind == "text/plain" && body[0] == '{':
		return refuse("invalid_payload", "JSON as plain text: the person would read it as it stands")
	case kind == "text/plain":
		m.raw, _ = json.Marshal(map[string]string{"text": string(body)}) // a string is always JSON
	case kind == "application/json":
		var err error
		if m, err = readReply(body, "response_type"); err != nil {
			return err
		}
	default:
		return refuse("invalid_payload", "content type %q", kind)
	}
	// Documented as the way to show the command and nothing else.
	bare := m.inChannel && string(m.raw) == "{}"
	if !bare {
		if err := s.check(m.raw); err != nil {
			return err
		}
	}
	if m.inChannel {
		raw, _ := json.Marshal(map[string]string{"text": line}) // a string is always JSON
		s.post(raw, Post{User: to.who.id(), channel: to.channel})
	}
	if !bare {
		r.Shown, r.Private, r.TS = m.raw, !m.inChannel, s.show(m, to)
	}
	return nil
}

// show posts a reply where the person is, or shows it to the person alone. It returns its ts. The caller
// holds s.mu.
func (s *Workspace) show(m reply, to *respond) string {
	if m.inChannel {
		p := s.post(m.raw, Post{Bot: true, Thread: m.thread, channel: to.channel})
		s.took(Message{At: p.At, Raw: m.raw})
		return p.TS
	}
	e := Ephemeral{To: to.who.id(), Channel: to.channel}
	e.Post = Post{TS: s.nextTS(), Thread: m.thread, At: s.now(), Bot: true, Raw: m.raw, channel: to.channel}
	s.private = newest(s.private, e, s.Keep)
	s.announce()
	return e.TS
}

// Ephemeral is a message that only one person sees.
type Ephemeral struct {
	Post

	To      string // ID of the one who sees it
	Channel string // ID of the channel in which it is shown
}

// Ephemerals returns what only this person sees, in order, as it stands; "" is for everybody's. Slack forgets
// such messages when the person's client restarts; here they stay.
func (s *Workspace) Ephemerals(user string) []Ephemeral {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return slices.DeleteFunc(slices.Clone(s.private), func(e Ephemeral) bool {
		return user != "" && e.To != user
	})
}

// whisper is where a message is that only this person sees; -1 if there is none. The caller holds s.mu.
func (s *Workspace) whisper(to *respond, ts string) int {
	return slices.IndexFunc(s.private, func(e Ephemeral) bool {
		return e.TS == ts && e.Channel == to.channel && e.To == to.who.id()
	})
}
