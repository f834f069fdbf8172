package watchtest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"clbwatch/internal/incident"
	"clbwatch/internal/watch"
)

// channel is Slack as one run of a campaign meets it.
type channel struct{ *member }

var _ watch.Notifier = channel{}

// Errors by which Slack answers in a campaign.
var (
	errNotDone = errors.New("Slack did not do it this time")
	errAnswer  = errors.New("Slack did not answer, or with 500")
	errBlocked = errors.New("nothing arrives in the channel")
	errRefused = errors.New("Slack refuses it")
)

// outage is what is wrong with a whole channel for a while.
type outage int

const (
	noOutage    outage = iota
	outUnsent          // no connection, 429, or a word about the channel
	outFails           // 500, and nothing happens
	outAnswers         // everything happens, and no answer arrives
	outHangs           // nothing happens, and no answer arrives
	outageKinds        // how many there are
)

// curse is what Slack refuses about one root, for good.
type curse int

const (
	unharmed   curse = iota
	noMention        // a mention
	noBlocks         // anything but plain text
	noText           // anything but a bare line
	mute             // everything, by a known word
	posts500         // every post is answered 500, and nothing happens
	postsLost        // every post happens, and its answer is lost
	hangs            // every call hangs
	noEdits          // edits
	edits500         // edits are answered 500
	noReplies        // replies
	replies500       // replies are answered 500
	noLooks          // to look for its messages
	curseKinds       // how many there are
)

var curseNames = [...]string{"", "no mention", "no blocks", "no text", "mute", "posts 500", "posts lost",
	"hangs", "no edits", "edits 500", "no replies", "replies 500", "no looks"}

// muted reports whether nothing about the root can be posted.
func (c curse) muted() bool { return c == mute || c == posts500 || c == hangs }

// curse says what is refused about a root.
func (h *history) curse(prefix string) curse {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.cursed[prefix]
	if !ok {
		if n := h.chance("curse", prefix); h.weather.Cursed > n {
			c = 1 + curse(h.number("which curse", prefix)%(int(curseKinds)-1))
		}
		h.cursed[prefix] = c
		h.tally.Curses[c].Add(1)
	}
	return c
}

// number is a number that depends on what it is for, and on nothing that happened.
func (h *history) number(of ...any) int {
	sum := fnv.New64a()
	_, _ = fmt.Fprint(sum, h.weather.Seed, of) // never fails
	n := sum.Sum64()
	n ^= n >> 29
	n *= 0xbf58476d1ce4e5b9
	n ^= n >> 32
	return int(n >> 1)
}

// chance is a number of percent, below 100.
func (h *history) chance(of ...any) int { return h.number(of...) % 100 }

// Do makes one call, which takes its time and may go wrong.
func (s channel) Do(_ context.Context, call incident.Call, doc incident.Document) incident.Outcome {
	h, p := s.history, s.proc
	if p.run.isDead() {
		return incident.Outcome{Class: incident.Unknown, Err: ErrDied}
	}
	root := copyOf(doc.Root) // what is sent now, whatever becomes of the root while it is on its way
	sent := incident.Document{Root: &root, Reason: doc.Reason, Name: doc.Name, Silence: doc.Silence,
		Newer: doc.Newer}
	h.asked(s.member, call, doc.Root)
	effect := func(late bool) incident.Outcome { return h.applies(s.member, call, sent, late) }
	f := h.slackFate(s.member, call)
	p.pause(latency / 2)
	if f.how == slow {
		p.pause(f.took)
	}
	if f.how == freezes && f.before {
		p.freeze(f)
	}
	if p.run.isDead() {
		return incident.Outcome{Class: incident.Unknown, Err: ErrDied}
	}
	out := h.answers(p, call, doc.Root, f, effect)
	if f.how == dies {
		p.run.die()
	}
	if f.how == freezes && !f.before {
		p.freeze(f)
	}
	p.pause(latency / 2)
	if p.run.isDead() {
		return incident.Outcome{Class: incident.Unknown, Err: ErrDied}
	}
	return out
}

// answers is what Slack does and says.
func (h *history) answers(p *proc, call incident.Call, r *incident.Root, f fate,
	effect func(late bool) incident.Outcome,
) incident.Outcome {
	silent := func() incident.Outcome {
		p.pause(f.took)
		return incident.Outcome{Class: incident.Unknown, Err: errAnswer}
	}
	c := h.curse(r.Prefix())
	post := call.Do == incident.Send
	switch {
	case c == hangs && (post || call.Do == incident.Edit):
		f.took = gaveUp
		return silent()
	case c == posts500 && post, c == replies500 && post && call.TS != "",
		c == edits500 && call.Do == incident.Edit:
		f.took = 0
		return silent()
	}
	switch h.outage {
	case outUnsent:
		return incident.Outcome{Class: incident.ChannelDown, Err: errBlocked}
	case outFails:
		f.took = 0
		return silent()
	case outHangs:
		f.took = gaveUp
		return silent()
	}
	if h.refuses(c, call) {
		h.tally.Refusals.Add(1)
		return incident.Outcome{Class: incident.Content, Err: errRefused}
	}
	switch f.how {
	case temporary:
		return incident.Outcome{Class: incident.Temporary, Err: errNotDone}
	case down:
		return incident.Outcome{Class: incident.ChannelDown, Err: errBlocked}
	case unknown:
		return silent()
	case dies:
		if !f.applied {
			return silent()
		}
	case arrives:
		p.in(f.took, func() { effect(true) })
		p.pause(gaveUp)
		return incident.Outcome{Class: incident.Unknown, Err: errAnswer}
	}
	out := effect(false)
	if f.how == lost || h.outage == outAnswers || c == postsLost && post {
		p.pause(f.took)
		return incident.Outcome{Class: incident.Unknown, Err: errAnswer}
	}
	return out
}

// refuses reports whether Slack never takes this.
func (h *history) refuses(c curse, call incident.Call) bool {
	looks := call.Do == incident.Look || call.Do == incident.Copies
	if looks && (h.Blind || c == noLooks) {
		return true
	}
	if call.Do == incident.Edit {
		return c == noEdits
	}
	if call.Do != incident.Send {
		return false
	}
	switch c {
	case noMention:
		return call.Post.Mention
	case noBlocks:
		return call.Form < incident.Plain
	case noText:
		return call.Form < incident.Bare
	case mute:
		return true
	case noReplies:
		return call.TS != ""
	}
	return false
}

// delivery is what a campaign knows of one message beside what Slack has.
type delivery struct {
	late bool // it arrived after its sender had given up, or lost its claim
}

// applies does in Slack what a call asks for.
func (h *history) applies(m *member, call incident.Call, doc incident.Document, late bool) incident.Outcome {
	root := doc.Root
	now := h.docs[root.Prefix()]
	fenced := now == nil || now.Delivery.Claim == nil || now.Delivery.Claim.By != root.Delivery.Claim.By
	if fenced {
		h.overtaken(m, call, root)
		if !late {
			h.tally.Late.Add(1)
		}
	}
	if late {
		h.tally.Held.Add(1)
	}
	h.world.mu.Lock()
	out := m.run.takes(call, doc)
	n := len(h.world.slack)
	h.world.mu.Unlock()
	h.log("Slack: %s %s, late %v, taken over %v: %d %s %v", ops[call.Do], call.Key, late, fenced,
		out.Class, out.TS, out.Err)
	if out.Class != incident.Done {
		return out
	}
	switch call.Do {
	case incident.Send:
		h.messages = append(h.messages, delivery{late: late || fenced})
		if len(h.messages) != n {
			h.Fatalf("Slack has %d messages, %d are known", n, len(h.messages))
		}
		h.accepted(root)
		if !late {
			h.keepsQuiet(m.shard, call, root)
		}
	case incident.Edit:
		h.tally.Edits.Add(1)
	case incident.Void:
		h.tally.Voids.Add(1)
	}
	return out
}

// asked counts a call to Slack.
func (h *history) asked(m *member, call incident.Call, r *incident.Root) {
	h.tally.Calls.Add(1)
	h.log("run %d: %s %s at %s %q form %d rev %d", m.number, ops[call.Do], call.Key, call.Route, call.TS,
		call.Form, call.Post.Rev)
}
