package incident

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// shot is what a message says of one incident: enough to compare it with how things are.
type shot struct {
	id, key string
	about   About
	open    bool
	end     End
	level   Level
	running int
	total   int
	out     map[string]bool // machines that it shows as out
	blind   bool
}

// message is one message in Slack.
type message struct {
	ts        string
	route     Route
	prefix    string // of its root
	key       string
	thread    string // "" in the channel itself
	post      Post
	form      Form
	at        time.Time // when it appeared
	rev       int       // what it shows now
	sent      shots     // what it showed when it was sent
	shows     shots
	edits     int
	held      bool // it appeared after its sender had given up
	void      bool // edited to say that it is a repeat
	continues bool // edited to say that it goes on elsewhere
	deleted   bool
}

func (m *message) inChannel() bool { return m.thread == "" || m.post.Broadcast }

func (m *message) of(key string) *shot { return m.sent.of(key) }

// shots are what a message says.
type shots []shot

// of is what it says of a load balancer's backends, last; nil if nothing.
func (all shots) of(key string) (last *shot) {
	for n := range all {
		if all[n].key == key && all[n].about == Backends {
			last = &all[n]
		}
	}
	return last
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

func photograph(r *Root) (all shots) {
	for _, i := range r.Incidents {
		s := shot{id: i.ID, key: i.Key, about: i.About, open: i.Open(), end: i.End, level: i.Level,
			running: i.Now.Running,
			total:   i.Now.Total, blind: i.About.Blind() && !i.Readable, out: make(map[string]bool)}
		for _, m := range i.Machines {
			if m.Now == Out {
				s.out[m.ID] = true
			}
		}
		all = append(all, s)
	}
	return all
}

// fakeSlack keeps what it accepted. It is strict: what a real one refuses, it refuses.
type fakeSlack struct {
	messages []*message
	byTS     map[string]*message
	byKey    map[string][]*message
}

func newSlack() *fakeSlack {
	return &fakeSlack{byTS: make(map[string]*message), byKey: make(map[string][]*message)}
}

var errSlack = errors.New("slack says no")

// do carries out a call that arrives, and says what the answer means.
func (s *fakeSlack) do(c Call, r *Root, now time.Time, held bool) Outcome {
	no := func(class Class) Outcome { return Outcome{Class: class, Err: errSlack} }
	switch c.Do {
	case Ask:
		return Outcome{Class: Done}
	case Send:
		if c.TS != "" && (s.byTS[c.TS] == nil || s.byTS[c.TS].deleted) {
			return no(Gone)
		}
		m := &message{ts: fmt.Sprintf("%06d", len(s.messages)+1), route: c.Route, prefix: r.Prefix(),
			key: c.Key, thread: c.TS,
			post: c.Post, form: c.Form, at: now, rev: c.Post.Rev, sent: photograph(r), held: held}
		m.shows = m.sent
		s.messages = append(s.messages, m)
		s.byTS[m.ts] = m
		s.byKey[m.key] = append(s.byKey[m.key], m)
		if !c.Route.Bot() {
			return Outcome{Class: Done}
		}
		return Outcome{Class: Done, TS: m.ts}
	case Look:
		for _, m := range s.byKey[c.Key] {
			if !m.deleted && m.route == c.Route {
				return Outcome{Class: Done, TS: m.ts}
			}
		}
		return no(NotThere)
	case Copies:
		var found []Copy
		for _, m := range s.messages {
			if !m.deleted && m.route == c.Route && strings.HasPrefix(m.key, c.Key) {
				found = append(found, Copy{m.key, m.ts})
			}
		}
		return Outcome{Class: Done, Found: found}
	}
	m := s.byTS[c.TS]
	if m == nil || m.deleted {
		return no(Gone)
	}
	m.edits++
	switch c.Do {
	case Edit:
		m.rev, m.shows, m.form = c.Post.Rev, photograph(r), c.Form
	case Void:
		m.void = true
	case Leave:
		m.continues = true
	}
	return Outcome{Class: Done}
}
