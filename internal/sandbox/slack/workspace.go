// Package slack is a workspace of Slack on the laptop, with an incoming webhook, a bot, and people who type
// commands and press buttons. It keeps to Slack's rules, rates and words, and fails as a test asks. It
// refuses what Slack refuses, and some messages that Slack would take but a person would regret.
package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"clbwatch/internal/sandbox"
)

const (
	maxRefused = 100 // refusals kept for Refused
	burst      = 5   // messages at once before the rate counts
)

// Workspace is a channel with an incoming webhook and a bot that may post in it, and further channels that
// the bot may be invited to. It refuses what Slack refuses, as far as that is known, and some things that
// Slack would take but a person would regret (see check). It is safe for concurrent use. Make one with
// New.
type Workspace struct {
	Now func() time.Time // the clock, safe for concurrent use; set it before serving
	// the clock by which requests to the app are signed, which is that of whoever checks them: time.Now from
	// New, also where Now is made to run ahead. Set it before serving
	Clock     func() time.Time
	Unlimited bool // no limit of one message a second; set it before serving

	// the one who may be mentioned: an ID, or here, channel or everyone; "" for nobody. Set it before serving
	Mention string
	Users   []string // IDs of users who may be named beside, such as those who silence. Set it before serving
	// how long a message can be edited; 0: for ever. Set it before serving
	EditWindow time.Duration
	// the most messages on a page of the history; 0: as many as are asked for. Set it before serving
	PageLimit int
	// a reply to what is gone is posted in the channel, as Slack was seen to do (slack-go issue 1571);
	// else it is refused, as it was seen to do too. Set it before serving
	Unthreads bool
	// how long an app may take to answer a command or a click, by the real clock; 0: 3 s, as Slack has it
	// (docs.slack.dev/interactivity/implementing-slash-commands). Set it before serving
	AnswerLimit time.Duration
	// how many messages are kept of all channels, and as many that one person sees; 0: all. Set it before
	// serving
	Keep int
	// ID of the Enterprise organization that the workspace belongs to, such as "E0SANDBOX"; "" for none. Set
	// it before serving
	Enterprise string

	path, token    string
	secret, verify string // the signing secret, and the token that came before signatures

	mu       sync.Mutex
	messages []Message
	taken    int // messages, with those that are not kept
	attempts int
	refused  []string
	faults   []*pending
	held     []held        // what takes effect later
	at       time.Time     // when what is being handed on takes effect; zero: now
	changed  chan struct{} // closed at the next message, edit or deletion

	rooms  map[string]*room // the channels by ID
	posts  []Post           // of all channels as they stand
	lastTS int64            // of the last post, in microseconds
	calls  map[string]int
	recent map[string][]time.Time // calls of the last minute

	private    []Ephemeral
	base       string              // of this workspace's own server
	requestURL string              // where commands and clicks go; "" while no app is connected
	responses  map[string]*respond // by the path of their URL
	last       *Request            // that a person caused
}

// room is one channel.
type room struct {
	away     bool      // the bot is not in it
	tokens   float64   // messages that may come now
	refilled time.Time // when tokens was right
}

// New returns a channel whose webhook and bot have secrets of their own.
func New() *Workspace {
	return &Workspace{
		Now: time.Now, Clock: time.Now, path: "/services/T0SANDBOX/B0SANDBOX/" + sandbox.RandomHex(12),
		token: "xoxb-0-0-" + sandbox.RandomHex(12), rooms: map[string]*room{mainChannel: {tokens: burst}},
		secret: sandbox.RandomHex(16), verify: sandbox.RandomHex(12),
		changed: make(chan struct{}), calls: make(map[string]int), recent: make(map[string][]time.Time),
		responses: make(map[string]*respond),
	}
}

// Message is a message that Slack took.
type Message struct {
	At  time.Time       // by the Workspace's clock
	Raw json.RawMessage // as it was posted
}

// Post is a message of the channel as it stands.
type Post struct {
	// Slack's id of it, such as "1795409616.000100"; unique, rising
	TS string `json:"ts"`
	// ts of the first message of its thread; "" if it is no reply
	Thread string `json:"thread,omitempty"`

	Broadcast bool            `json:"broadcast,omitempty"` // a reply that is shown in the channel too
	At        time.Time       `json:"at"`
	Edited    time.Time       `json:"edited,omitzero"`
	Bot       bool            `json:"bot"`            // by the bot; else by the webhook, or by User
	User      string          `json:"user,omitempty"` // ID of the person who wrote it; "" for the app
	Raw       json.RawMessage `json:"raw"`            // text, blocks, attachments and metadata as they stand now

	channel string // its ID
}

// URL is the webhook's address on a server such as "http://127.0.0.1:8080".
func (s *Workspace) URL(base string) string { return strings.TrimSuffix(base, "/") + s.path }

// APIURL is the address of the Web API on a server such as "http://127.0.0.1:8080".
func (s *Workspace) APIURL(base string) string { return strings.TrimSuffix(base, "/") + apiPath }

// Token is the bot's token.
func (s *Workspace) Token() string { return s.token }

const (
	mainChannel = "C0SANDBOX1" // ID of the channel that the webhook posts to, too
	somebody    = "U0OTHERS0"  // ID of the person whose name does not matter
)

// ChannelID is the ID of the first channel.
func (s *Workspace) ChannelID() string { return mainChannel }

// Add makes another channel. The bot is not in it until Invite.
func (s *Workspace) Add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms[id] = &room{away: true, tokens: burst}
}

// Invite brings the bot into a channel; Remove takes it out.
func (s *Workspace) Invite(id string) { s.setMember(id, true) }

// Remove takes the bot out of a channel.
func (s *Workspace) Remove(id string) { s.setMember(id, false) }

// Messages returns what was taken, in order; with Keep the last of them.
func (s *Workspace) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return slices.Clone(s.messages)
}

// Channel returns the messages of the first channel in order; deleted ones are gone.
func (s *Workspace) Channel() []Post { return s.ChannelOf(mainChannel) }

// ChannelOf returns the messages of a channel in order; deleted ones are gone.
func (s *Workspace) ChannelOf(id string) []Post {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return s.in(id)
}

// in are the messages of a channel. The caller holds s.mu.
func (s *Workspace) in(id string) []Post {
	return slices.DeleteFunc(slices.Clone(s.posts), func(p Post) bool { return p.channel != id })
}

// Wait returns when at least n messages were taken since the start, or the error of ctx.
func (s *Workspace) Wait(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		s.settle()
		have, changed := s.taken, s.changed
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

// Changed returns a channel that is closed at the next post, edit or deletion.
func (s *Workspace) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Attempts is how many requests came to the webhook's own address.
func (s *Workspace) Attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

// CallsOf is how often a method of the Web API was called, in vain or not.
func (s *Workspace) CallsOf(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Refused lists why messages were refused, faults not counted: the last 100, oldest first.
func (s *Workspace) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// Say is somebody else writing in the first channel. It returns the message's ts.
func (s *Workspace) Say(text string) string {
	raw, _ := json.Marshal(map[string]string{"text": text}) // a string is always JSON
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return s.post(raw, Post{User: somebody, channel: mainChannel}).TS
}

// Delete deletes a message, as a person does by hand. It reports whether it was there.
func (s *Workspace) Delete(ts string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	i := slices.IndexFunc(s.posts, func(p Post) bool { return p.TS == ts })
	if i < 0 {
		return false
	}
	s.posts = slices.Delete(s.posts, i, i+1)
	s.announce()
	return true
}

// Leave takes the bot out of the first channel; Join brings it back.
func (s *Workspace) Leave() { s.setMember(mainChannel, false) }

// Join brings the bot back into the first channel.
func (s *Workspace) Join() { s.setMember(mainChannel, true) }

func (s *Workspace) setMember(id string, in bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms[id].away = !in
}

// post adds a message to its channel. The caller holds s.mu.
func (s *Workspace) post(raw json.RawMessage, p Post) Post {
	p.At, p.Raw, p.TS = s.now(), raw, s.nextTS()
	s.posts = append(s.posts, p)
	s.trim()
	s.announce()
	return p
}

// nextTS is the ts of the next message: rising even if the clock stands still, or goes back. The caller holds
// s.mu.
func (s *Workspace) nextTS() string {
	s.lastTS = max(s.lastTS+100, s.now().UnixMicro())
	return fmt.Sprintf("%d.%06d", s.lastTS/1_000_000, s.lastTS%1_000_000)
}

// index is where a message of a channel is in posts; -1 if it is not. The caller holds s.mu.
func (s *Workspace) index(channel, ts string) int {
	return slices.IndexFunc(s.posts, func(p Post) bool { return p.TS == ts && p.channel == channel })
}

// announce wakes whoever waits for a change. The caller holds s.mu.
func (s *Workspace) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// note keeps why something was refused. The caller holds s.mu.
func (s *Workspace) note(why string) {
	if len(s.refused) == maxRefused {
		s.refused = slices.Delete(s.refused, 0, 1)
	}
	s.refused = append(s.refused, why)
}

// spend takes one message off what a channel's rate allows, or says how long to wait. The caller holds s.mu.
func (s *Workspace) spend(channel string) time.Duration {
	now, r := s.Now(), s.rooms[channel]
	if !r.refilled.IsZero() {
		r.tokens = min(burst, r.tokens+now.Sub(r.refilled).Seconds())
	}
	r.refilled = now
	if s.Unlimited {
		return 0
	}
	if r.tokens < 1 {
		return time.Duration((1 - r.tokens) * float64(time.Second))
	}
	r.tokens--
	return 0
}
