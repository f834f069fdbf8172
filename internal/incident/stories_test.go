package incident

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/story"
	"clbwatch/internal/watchtest/stories"
)

// player plays a story: it is the world, the tick and Slack, in simulated time.
type player struct {
	t      *testing.T
	story  story.Story
	rules  Rules
	begin  time.Time
	jitter bool
	answer func(Call, *Root, *player) int // what Slack does: ok, and below

	minute int
	now    time.Time
	world  story.World
	snap   map[string][]lb.Backend
	head   *State
	slack  *fakeSlack
	oracle *oracle

	posted   []*message // of this tick
	overdue  []int      // minutes of ticks that failed
	problems []string
}

// What Slack does with a call.
const (
	well      = iota
	noConn    // nothing gets through
	broken    // 500, and nothing happened
	brokenYet // 500, and it happened
	lostYet   // no answer, and it happened
	refuses   // a word
)

func play(t *testing.T, s story.Story, route Route, change func(*player)) *player {
	p := &player{t: t, story: s, snap: make(map[string][]lb.Backend),
		slack: newSlack(), begin: s.Start, head: &State{}}
	if p.begin.IsZero() {
		p.begin = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	}
	p.rules = Rules{StableAfter: s.Duration("STABLE_AFTER"), TransientFor: s.Duration("TRANSIENT_FOR"),
		MentionAt: 50, BlindAfter: 3, Route: route}
	p.oracle = newOracle(p)
	if change != nil {
		change(p)
	}
	next := 0
	for p.minute = -1; p.minute < s.Ticks+story.Settle; p.minute++ {
		for ; next < len(s.Steps) && s.Steps[next].T <= p.minute; next++ {
			p.world.Take(s.Steps[next])
		}
		p.tick()
	}
	return p
}

func keyOf(clb string) string { return "ap-test/" + clb }

func (p *player) tick() {
	at := p.begin.Add(time.Duration(p.minute) * time.Minute)
	if p.jitter {
		at = at.Add(time.Duration((p.minute*7919+31)%3000) * time.Millisecond)
	}
	p.now = at
	s := p.load()
	o := Observation{At: at, Accepted: make(map[string]bool)}
	abandoning := s.Abandoning(at, p.rules)
	for _, name := range slices.Sorted(maps.Keys(p.world.CLBs)) {
		clb := lb.ParseKey(keyOf(name))
		clb.Label = name
		if p.world.Fails {
			o.Unread = append(o.Unread, Unread{Key: clb.Key(), About: Reading,
				Reason: Reason{Why: "RequestLimitExceeded"}})
			continue
		}
		old := p.snap[name]
		now := p.world.Reading(name, func(id string) lb.Backend { return lb.Backend{ID: id, Name: id} })
		if p.minute < 0 {
			p.snap[name] = lb.Baseline(now, at)
			continue
		}
		next, changes := lb.Diff(old, now, at, time.Time{})
		if len(changes) > 0 {
			o.Changed = append(o.Changed, Changed{clb, lb.Compare(old, next, changes)})
		} else if abandoning[clb.Key()] {
			lb.Accept(next)
			o.Accepted[clb.Key()] = true
		}
		p.snap[name] = next
	}
	rules := p.rules
	rules.Tag = fmt.Sprintf("tag%05d", p.minute+1)
	by := fmt.Sprintf("run %d", p.minute)
	s.Judge(o, rules)
	p.now = p.now.Add(time.Second)
	s.Plan(at, p.now, by, p.now.Add(55*time.Second), rules)
	p.head = s

	p.posted = nil
	steps := p.notify(s.Clone(), by, at)
	top := p.load()
	top.Mark(by, steps, p.now)
	if len(top.Overdue(p.now)) > 0 {
		p.overdue = append(p.overdue, p.minute)
	}
	p.head = top
	if p.oracle != nil {
		p.oracle.check()
	}
}

// load is the newest state: now and then, and always in a short story, it went through bytes.
func (p *player) load() *State {
	if p.story.Ticks > 1000 && p.minute%10 != 0 {
		return p.head.Clone()
	}
	text, err := json.Marshal(p.head)
	if err != nil {
		p.t.Fatal(err)
	}
	s := new(State)
	if err := json.Unmarshal(text, s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *player) notify(s *State, by string, at time.Time) (steps []Step) {
	posts, edits := s.Claimed(by)
	call := func(r *Root, c Call) (stop bool) {
		p.now = p.now.Add(200 * time.Millisecond)
		step := Step{Root: r.Prefix(), Call: c, Outcome: p.send(c, r), Now: p.now, At: at}
		steps = append(steps, step)
		return r.Take(step)
	}
	stopped := false
	for _, r := range posts {
		for n := 0; !stopped; n++ {
			c, ok := r.NextPost()
			if !ok {
				break
			}
			if stopped = call(r, c); n > 20 {
				p.t.Fatalf("minute %d: a post never ends: %+v", p.minute, c)
			}
		}
	}
	for _, r := range edits {
		for n := 0; !stopped; n++ {
			c, ok := r.NextEdit(p.now)
			if !ok {
				break
			}
			if stopped = call(r, c); n > 50 {
				p.t.Fatalf("minute %d: an edit never ends: %+v", p.minute, c)
			}
		}
	}
	return steps
}

// send is one call, as the story has Slack answer it.
func (p *player) send(c Call, r *Root) Outcome {
	is := well
	switch bad, poisoned := strings.CutPrefix(p.world.Slack, "500 to what names "); {
	case p.world.Slack == "no connection":
		is = noConn
	case poisoned && c.Do != Look && c.Do != Ask && c.Do != Copies && c.Form < Bare:
		for _, i := range r.Incidents {
			if strings.Contains(i.Label, bad) {
				is = broken
			}
		}
	}
	if p.answer != nil {
		is = p.answer(c, r, p)
	}
	unknown := Outcome{Class: Unknown, Err: errSlack}
	switch is {
	case noConn:
		return Outcome{Class: ChannelDown, Err: errSlack}
	case broken:
		return unknown
	case refuses:
		return Outcome{Class: Content, Err: errSlack}
	}
	n := len(p.slack.messages)
	out := p.slack.do(c, r, p.now, false)
	p.posted = append(p.posted, p.slack.messages[n:]...)
	if is != well {
		return unknown
	}
	return out
}

// tally is what Slack accepted, as story.Bounds has it.
func (p *player) tally() (b story.Bounds) {
	for _, m := range p.slack.messages {
		b.Messages++
		switch {
		case m.thread == "" && (m.post.Root || !m.route.Bot()):
			b.Channel++
		default:
			b.Updates++
			if m.inChannel() {
				b.Broadcast++
			}
		}
		if m.post.Mention {
			b.Mentions++
		}
	}
	return b
}

func (p *player) complain(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf("minute %d: ", p.minute)+fmt.Sprintf(format, args...))
}

const (
	bot     Route = "C0123456789"
	webhook Route = "webhook:abcd"
)

// TestStoriesMeetTheirBounds plays every story but the silenced one, by bot and by webhook, on time and a
// little off it.
func TestStoriesMeetTheirBounds(t *testing.T) {
	t.Parallel()
	all, err := stories.All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 22 {
		t.Fatalf("only %d stories", len(all))
	}
	for _, s := range all {
		if s.Settings["SILENCES"] != "" {
			continue // the setting is parsed by package config, which `make stories` uses
		}
		if s.Ticks > 1500 && os.Getenv("HISTORIES") == "" {
			continue // `make stories` plays it, through Slack
		}
		for _, route := range []Route{bot, webhook} {
			for _, jitter := range []bool{false, true} {
				if jitter && s.Ticks > 150 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/jitter=%v", s.Name, route, jitter), func(t *testing.T) {
					t.Parallel()
					p := play(t, s, route, func(p *player) { p.jitter = jitter })
					got := p.tally()
					want := *s.Bot
					if route.Bot() {
						got.Messages = 0
					} else {
						want, got = *s.Webhook, story.Bounds{Messages: got.Messages}
					}
					if !got.Within(want) {
						t.Errorf("too much: %+v, want at most %+v", got, want)
					} else if got != want {
						t.Logf("fewer: %+v of %+v", got, want)
					}
					for n, x := range p.problems {
						if n == 3 {
							t.Errorf("… and %d more", len(p.problems)-n)
							break
						}
						t.Error(x)
					}
					if t.Failed() && testing.Verbose() {
						p.dump(t)
					}
				})
			}
		}
	}
}

func (p *player) dump(t *testing.T) {
	var b strings.Builder
	for n, m := range p.slack.messages {
		if n == 60 {
			fmt.Fprintf(&b, "… %d messages in all", len(p.slack.messages))
			break
		}
		what := "update"
		if m.post.Root {
			what = "ROOT"
		}
		fmt.Fprintf(&b, "%7.1f %s %s rev %d", m.at.Sub(p.begin).Minutes(), what, m.key, m.post.Rev)
		for _, x := range []struct {
			is   bool
			name string
		}{{m.post.Broadcast, "broadcast"}, {m.post.Mention, "MENTION"},
			{m.post.Reminder, "reminder"}, {m.post.End, "end"}} {
			if x.is {
				b.WriteString(" " + x.name)
			}
		}
		fmt.Fprintf(&b, " rises %b/%b ends %b", m.post.Rises, m.post.Current, m.post.Ends)
		fmt.Fprintf(&b, "; now rev %d after %d edits:", m.rev, m.edits)
		for k, s := range m.shows {
			if k == 3 {
				fmt.Fprintf(&b, " … (%d)", len(m.shows))
				break
			}
			fmt.Fprintf(&b, " %s %s %s%s %d/%d", s.id, s.key, s.level, s.end, s.running, s.total)
		}
		b.WriteByte('\n')
	}
	t.Log("\n" + b.String())
}

// lostAnswers is a story of one load balancer that is down, while Slack's answers are lost or say 500 for an
// hour.
func lostAnswers() story.Story {
	all := func(s int) map[string]int {
		m := make(map[string]int)
		for n := range 4 {
			m[fmt.Sprintf("w%d", n)] = s
		}
		return m
	}
	return story.Story{Name: "lost answers", Ticks: 60, Steps: []story.Step{
		{T: -1, CLB: "a", Set: all(2)}, {T: 0, CLB: "a", Set: all(4)}}}
}

// TestLostAnswers holds how often a message may be there when Slack never says yes to it.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	posts := func(c Call, _ *Root, p *player) int {
		if p.minute < 60 && c.Do == Send {
			return lostYet
		}
		return well
	}
	everything := func(_ Call, _ *Root, p *player) int {
		if p.minute < 60 {
			return brokenYet
		}
		return well
	}
	for _, c := range []struct {
		name    string
		route   Route
		noLook  bool
		answer  func(Call, *Root, *player) int
		copies  int
		overdue bool // ticks fail from the 15th minute on
	}{
		{"posts' answers lost, bot", bot, false, posts, 1, false},
		{"posts' answers lost, bot that may not look", bot, true, posts, 2, true},
		{"posts' answers lost, webhook", webhook, false, posts, 2, true},
		{"500 to everything, bot", bot, false, everything, 1, true},
		{"500 to everything, bot that may not look", bot, true, everything, 1, true},
		{"500 to everything, webhook", webhook, false, everything, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := play(t, lostAnswers(), c.route, func(p *player) {
				p.oracle = nil
				p.answer = func(call Call, r *Root, p *player) int {
					if c.noLook && (call.Do == Look || call.Do == Copies) {
						return refuses
					}
					return c.answer(call, r, p)
				}
			})
			mentions := 0
			for _, m := range p.slack.messages {
				if m.post.Mention {
					mentions++
				}
				copies := p.slack.byKey[m.key]
				later := func(m *message) bool { return m.at.Sub(p.begin) >= time.Hour }
				hour := slices.DeleteFunc(slices.Clone(copies), later)
				if len(hour) > c.copies || len(copies) > 2 {
					t.Errorf("%d copies of %s, %d in the first hour, want at most %d",
						len(copies), m.key, len(hour), c.copies)
				}
				early := m.at.Sub(p.begin) < 90*time.Minute
				if m.post.Reminder && early && c.overdue && c.copies == 1 {
					t.Errorf("%s reminds at %v of what was just posted", m.key, m.at.Sub(p.begin))
				}
				if m.post.Repeat && m.post.Mention {
					t.Errorf("the repeat of %s mentions", m.key)
				}
			}
			if mentions != 1 {
				t.Errorf("%d mentions, want 1", mentions)
			}
			if c.copies == 2 && len(p.slack.byKey[p.slack.messages[0].key]) != 2 {
				t.Errorf("the root was posted once only, though nobody knows of it")
			}
			first := -1
			if len(p.overdue) > 0 {
				first = p.overdue[0]
			}
			if c.overdue != (first >= 14 && first <= 18) {
				t.Errorf("ticks fail from minute %d on, want about the 15th: %v", first, c.overdue)
			}
			for _, m := range p.slack.messages {
				root := m.post.Root && !m.void && m.route.Bot()
				if root && m.shows.of(keyOf("a")).level != Down && !c.noLook {
					t.Errorf("root %s shows %v", m.key, m.shows.of(keyOf("a")).level)
				}
			}
			if t.Failed() && testing.Verbose() {
				p.dump(t)
			}
		})
	}
}
