// Package replay plays what changed, as the history or a story has it, through the rules of notification once
// more, under other settings: which messages there would have been, and when each change would have been
// reported. It runs the very code that ticks run, in simulated time, and refuses to post anything.
package replay

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/story"
)

// every is how long after one tick the next follows.
const every = time.Minute

// Tick is one observation, as it was or might have been.
type Tick struct {
	incident.Observation
	// LastBefore: after it no tick ran until this one; zero if ticks ran all the time
	LastBefore time.Time
	// Slack: how Slack answers from here on: as story.Step has it; "" is well
	Slack string
	// Over: it is no observation, but the end: what is open stays open
	Over bool
}

// Ticks hands on observations in the order of their times: those in which something is new. Of times between
// them nothing is known to be new, so what cannot be read goes on.
type Ticks func(yield func(Tick) error) error

// Message is one that Slack would have taken.
type Message struct {
	At       time.Time
	Call     incident.Call
	Document incident.Document // as it was then, until the Message was handed on
}

// Update reports whether it is about a root that is in the channel already.
func (m Message) Update() bool { return !m.Call.Post.Root }

// Counts are how many messages of each kind there were.
type Counts struct {
	Messages  int // all of them
	Channel   int // that began something; by webhook all
	Updates   int // replies in threads
	Broadcast int // of those, the ones shown in the channel too
	Mentions  int
}

func (c *Counts) add(call incident.Call) {
	c.Messages++
	switch {
	case call.Post.Root || !call.Route.Bot():
		c.Channel++
	default:
		c.Updates++
		if call.Post.Broadcast || call.TS == "" {
			c.Broadcast++
		}
	}
	if call.Post.Mention {
		c.Mentions++
	}
}

// player plays one set of settings.
type player struct {
	rules  incident.Rules
	state  *incident.State
	ledger ledger
	tick   int
	posts  int
	now    time.Time
	slack  string
	counts Counts

	// acks: the numbers of incidents that were acknowledged, by that of the acknowledgement
	acks map[string]string

	say     func(Message) error // may be nil
	told    func(r *incident.Root, p incident.Post)
	settled func(incident string) // it left the state
}

// judge takes one observation in, and gives up what is out for as long as the rules say.
func (p *player) judge(o incident.Observation) {
	unread := make(map[string]bool, len(o.Unread))
	for _, u := range o.Unread {
		unread[u.Key] = true
	}
	changed := make(map[string]bool, len(o.Changed))
	all := make([]incident.Changed, 0, len(o.Changed))
	for _, c := range o.Changed {
		changed[c.CLB.Key()] = true
		all = append(all, p.ledger.change(c, -1))
	}
	o.Changed, o.Accepted = all, make(map[string]bool)
	o.Silences = p.silences(o.Silences)
	for key := range p.state.Abandoning(o.At, p.rules) {
		if !changed[key] && !unread[key] {
			o.Accepted[key] = true
			p.ledger.accept(key)
		}
	}
	p.tick++
	p.rules.Tag = fmt.Sprintf("replay%07d", p.tick)
	p.state.Judge(o, p.rules)
	p.now = o.At.Add(time.Second)
}

// silences are those of an observation, in which an acknowledgement names the subject of an incident.
func (p *player) silences(all []incident.Silence) (known []incident.Silence) {
	for _, q := range all {
		if q.What == "" {
			if p.acks[q.ID] == "" {
				p.acks[q.ID] = p.openOf(q.Incident)
			}
			if q.Incident = p.acks[q.ID]; q.Incident == "" {
				continue // under these settings nothing was open
			}
		}
		known = append(known, q)
	}
	return known
}

// openOf is the number of the incident that is open about a subject; "" if none is.
func (p *player) openOf(what string) string {
	for _, r := range p.state.Roots {
		for _, i := range r.Incidents {
			if i.Open() && subject(i.Key, i.About) == what {
				return i.ID
			}
		}
	}
	return ""
}

// post makes the calls that are due after an observation.
func (p *player) post(at time.Time) error {
	by := p.rules.Tag
	for _, rec := range p.state.Plan(at, p.now, by, p.now.Add(55*time.Second), p.rules) {
		if rec.Closed != nil {
			p.settled(rec.Incident)
		}
	}
	posts, edits := p.state.Claimed(by)
	if len(posts)+len(edits) == 0 {
		return nil
	}
	run := p.state.Clone()
	posts, edits = run.Claimed(by)
	var steps []incident.Step
	stopped := false
	each := func(roots []*incident.Root, next func(*incident.Root) (incident.Call, bool)) error {
		for _, r := range roots {
			for call, ok := next(r); ok && !stopped; call, ok = next(r) {
				p.now = p.now.Add(200 * time.Millisecond)
				out := p.answer(r, call)
				if out.Class == incident.Done && call.Do == incident.Send {
					if err := p.sent(run, r, call); err != nil {
						return err
					}
				}
				step := incident.Step{Root: r.Prefix(), Call: call, Outcome: out, Now: p.now, At: at}
				steps = append(steps, step)
				stopped = r.Take(step)
			}
		}
		return nil
	}
	if err := each(posts, (*incident.Root).NextPost); err != nil {
		return err
	}
	err := each(edits, func(r *incident.Root) (incident.Call, bool) { return r.NextEdit(p.now) })
	p.state.Mark(by, steps, p.now)
	return err
}

// answer is what Slack says: what it answers with 500 never arrived.
func (p *player) answer(r *incident.Root, call incident.Call) incident.Outcome {
	bad, poisoned := strings.CutPrefix(p.slack, story.Poison)
	asks := call.Do == incident.Look || call.Do == incident.Ask || call.Do == incident.Copies
	switch {
	case p.slack == "no connection":
		return incident.Outcome{Class: incident.ChannelDown, Err: errSlack}
	case poisoned && !asks && call.Form < incident.Bare && names(r, bad):
		return incident.Outcome{Class: incident.Unknown, Err: errSlack}
	case call.Do == incident.Look:
		return incident.Outcome{Class: incident.NotThere, Err: errSlack}
	}
	out := incident.Outcome{Class: incident.Done}
	if call.Do == incident.Send && call.Route.Bot() {
		p.posts++
		out.TS = fmt.Sprintf("%d.%06d", p.now.Unix(), p.posts)
	}
	return out
}

// sent counts a message and hands it on.
func (p *player) sent(s *incident.State, r *incident.Root, call incident.Call) error {
	p.counts.add(call)
	p.told(r, call.Post)
	if p.say == nil {
		return nil
	}
	return p.say(Message{At: p.now, Call: call, Document: s.Document(r, nil)})
}

var errSlack = errors.New("slack says no")

// names reports whether a message about a root would contain a text in the name of a load balancer.
func names(r *incident.Root, what string) bool {
	return slices.ContainsFunc(r.Incidents, func(i *incident.Incident) bool {
		return strings.Contains(i.Label, what)
	})
}
