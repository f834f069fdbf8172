package message_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/notifier/message"
)

// start is when stories begin: a Monday.
var start = time.Date(2026, 11, 23, 4, 41, 36, 0, time.UTC)

// story is a world whose load balancers are judged each minute. What becomes due is posted, to a Slack that
// takes it.
type story struct {
	t     failer
	at    time.Time
	rules incident.Rules
	style message.Style
	state incident.State
	pools map[string][]lb.Backend // by label: what the next reading finds
	known map[string][]lb.Backend // and what the last one found
	clbs  map[string]lb.CLB

	unread []incident.Unread
	gone   map[string]incident.End

	silences []incident.Silence

	notices []incident.Incident
	answer  func(incident.Call) incident.Class // nil: all is taken

	sent func(*incident.Root, incident.Call, message.Message) // looks at what is sent; nil: nobody does

	quiet bool // nothing is rendered

	posts []sent // what Slack took, in order
}

// sent is a message, and the call that it was for.
type sent struct {
	message.Message
	call incident.Call
}

func newStory(t failer) *story {
	t.Helper()
	return &story{
		t: t, at: start, clbs: make(map[string]lb.CLB),
		pools: make(map[string][]lb.Backend), known: make(map[string][]lb.Backend),
		rules: incident.Rules{
			StableAfter: 10 * time.Minute,
			MentionAt:   50,
			BlindAfter:  3,
			Route:       "C024BE91L",
			Tag:         "k3q9xw1z",
		},
		style: message.Style{
			Mention:    "S024BE7LH",
			RunbookURL: "https://runbook.example.com/{region}/{clb}?name={label}",
		},
	}
}

// watch begins to watch a load balancer with n backends, such as web-01.
func (s *story) watch(label string, n int) *story {
	s.clbs[label] = lb.CLB{
		Region: "ap-guangzhou",
		ID:     fmt.Sprintf("lb-%08x", len(s.clbs)*0x1f3d5b7+0x8a3c2f1),
		Label:  label,
	}
	for i := range n {
		s.pools[label] = append(s.pools[label], machine(label, i+1))
	}
	lb.SortBackends(s.pools[label])
	s.known[label] = lb.Baseline(s.pools[label], s.at)
	return s
}

func machine(label string, n int) lb.Backend {
	_, kind, _ := strings.Cut(label, "-")
	return lb.Backend{
		ID:     fmt.Sprintf("ins-%s%05x", kind, n*7919),
		Name:   fmt.Sprintf("%s-%02d", kind, n),
		Status: lb.Running,
		Weight: 10,
		LanIP:  fmt.Sprintf("10.0.%d.%d", len(label), n),
	}
}

// silence makes ada silence something from the next reading on.
func (s *story) silence(q incident.Silence, d time.Duration) *story {
	q.ID, q.By, q.Made, q.Until = fmt.Sprint(len(s.silences)+7), "U0123ABCD", s.at, s.at.Add(d)
	s.silences = append(s.silences, q)
	return s
}

// share puts a machine behind more load balancers.
func (s *story) share(b lb.Backend, labels ...string) *story {
	for _, label := range labels {
		s.pools[label] = append(slices.Clone(s.pools[label]), b)
		lb.SortBackends(s.pools[label])
		s.known[label] = lb.Baseline(s.pools[label], s.at)
	}
	return s
}

// change changes a backend for the next reading; one that is not there is added, and one with status 0
// removed.
func (s *story) change(label, name string, f func(*lb.Backend)) *story {
	pool := slices.Clone(s.pools[label])
	at := slices.IndexFunc(pool, func(b lb.Backend) bool { return b.Name == name })
	if at < 0 {
		pool = append(
			pool,
			lb.Backend{
				ID:     "ins-" + name + "x",
				Name:   name,
				Status: lb.Running,
				Weight: 10,
				LanIP:  "10.0.9.9",
			},
		)
		at = len(pool) - 1
	}
	f(&pool[at])
	if pool[at].Status == 0 {
		pool = slices.Delete(pool, at, at+1)
	}
	lb.SortBackends(pool)
	s.pools[label] = pool
	return s
}

// set gives backends a status; 0 removes them.
func (s *story) set(label string, status lb.Status, names ...string) *story {
	for _, name := range names {
		s.change(label, name, func(b *lb.Backend) { b.Status = status })
	}
	return s
}

// tick judges one observation, and posts what is due.
func (s *story) tick() *story {
	o := incident.Observation{
		At:       s.at,
		Unread:   s.unread,
		Gone:     s.gone,
		Notices:  s.notices,
		Accepted: s.state.Abandoning(s.at, s.rules),
		Silences: s.silences,
	}
	for _, label := range slices.Sorted(maps.Keys(s.pools)) {
		nextPool, changes := lb.Diff(s.known[label], s.pools[label], s.at, time.Time{})
		if len(changes) > 0 {
			o.Changed = append(
				o.Changed,
				incident.Changed{CLB: s.clbs[label], Delta: lb.Compare(s.known[label], nextPool, changes)},
			)
		}
		s.known[label] = nextPool
	}
	s.gone, s.notices = nil, nil
	s.state.Judge(o, s.rules)
	for key := range o.Accepted {
		for label, c := range s.clbs {
			if c.Key() == key {
				lb.Accept(s.known[label])
			}
		}
	}
	s.notify()
	s.at = s.at.Add(time.Minute)
	return s
}

func (s *story) ticks(n int) *story {
	for range n {
		s.tick()
	}
	return s
}

// skip goes on for so long with an observation every now and then.
func (s *story) skip(d time.Duration) *story {
	for end := s.at.Add(d); s.at.Before(end); s.at = s.at.Add(4 * time.Minute) {
		s.tick()
	}
	return s
}

func (s *story) document(r *incident.Root) incident.Document {
	return s.state.Document(r, func(key string) lb.CLB {
		for _, c := range s.clbs {
			if c.Key() == key {
				return c
			}
		}
		return lb.CLB{}
	})
}

// notify makes the calls of one run.
func (s *story) notify() {
	s.state.Plan(s.at, s.at, "run", s.at.Add(time.Minute), s.rules)
	run := s.state.Clone()
	var steps []incident.Step
	take := func(r *incident.Root, call incident.Call) (stop bool) {
		class := incident.Done
		if s.answer != nil {
			class = s.answer(call)
		}
		var m message.Message
		if !s.quiet {
			m = message.Of(s.document(r), call, s.style)
			checkMessage(s.t, m)
			checkState(s.t, r)
		}
		if s.sent != nil {
			s.sent(r, call, m)
		}
		if class == incident.Done {
			s.posts = append(s.posts, sent{m, call})
		}
		step := incident.Step{
			Root:    r.Prefix(),
			Call:    call,
			Outcome: incident.Outcome{Class: class, TS: fmt.Sprintf("%d.000100", s.at.Unix())},
			Now:     s.at,
			At:      s.at,
		}
		steps = append(steps, step)
		return r.Take(step)
	}
	stop := false
	posts, edits := run.Claimed("run")
	for _, r := range posts {
		for call, ok := r.NextPost(); ok && !stop; call, ok = r.NextPost() {
			stop = take(r, call)
		}
	}
	for _, r := range edits {
		for call, ok := r.NextEdit(s.at); ok && !stop; call, ok = r.NextEdit(s.at) {
			stop = take(r, call)
		}
	}
	s.state.Mark("run", steps, s.at)
}

// last is the last message of a kind.
func (s *story) last(is func(incident.Call) bool) message.Message {
	s.t.Helper()
	for _, p := range slices.Backward(s.posts) {
		if is(p.call) {
			return p.Message
		}
	}
	s.t.Fatalf("no such message among %d", len(s.posts))
	return message.Message{}
}

// root is the root as it stands now; update is the last update.
func (s *story) root() message.Message {
	s.t.Helper()
	return s.last(
		func(c incident.Call) bool { return c.Do == incident.Edit || c.Do == incident.Send && c.Post.Root },
	)
}

func (s *story) update() message.Message {
	s.t.Helper()
	return s.last(func(c incident.Call) bool { return c.Do == incident.Send && !c.Post.Root })
}

// as renders the newest root for a call of one's own.
func (s *story) as(call incident.Call) message.Message {
	s.t.Helper()
	m := message.Of(s.document(s.state.Roots[len(s.state.Roots)-1]), call, s.style)
	checkMessage(s.t, m)
	return m
}
