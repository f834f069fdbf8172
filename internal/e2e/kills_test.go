package e2e

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clbwatch/internal/sandbox/scf"
)

// The draws follow from the seed: what changes, how long after the start of a run it is killed, how the network fails.
// When the draws are made, and what they hit, is up to the machine.
var (
	changesFlag = flag.Int("changes", 12, "how many changes TestKill and TestNetwork live through")
	seedFlag    = flag.Uint64("seed", 0, "the seed of TestKill and TestNetwork, as a failure prints it; a new one if 0")
)

// TestKill kills the function with SIGKILL at random moments while backends change: cold starts, runs that overlap, the
// same event twice, changes in the middle of a run. Then it compares what people were told with what happened.
func TestKill(t *testing.T) { everywhere(t, testKill) }

func testKill(t *testing.T, in place) {
	s := newStorm(t, in, time.Second, 0.6)
	s.live(*changesFlag)
	s.compare(in)
	if deaths := s.deaths(); deaths == 0 {
		t.Error("no kill hit a run")
	}
}

// storm is a lab in which backends change while runs are killed and, if there is one, the network fails.
type storm struct {
	*lab
	seed       uint64
	what, when *rand.Rand    // what changes, and when what is killed
	deadly     float64       // the share of runs that are killed
	weather    *weather      // nil: the network works
	limit      time.Duration // of a run

	fs       [2]*scf.Function  // the instances; the second one is for runs that overlap
	usual    time.Duration     // how long a run takes that nobody kills
	backends []*backend        // all there ever were
	fresh    map[*backend]bool // changed since a run last saw everything
	runs     []*invocation
	last     []*invocation  // of the last round
	hit      map[string]int // where kills hit
}

// backend is one that may be bound to its load balancer or not.
type backend struct {
	lb, name string
	first    string   // running or stopped, and not news
	now      string   // absent, running or stopped
	happened []string // to it, in order
}

const absent, running, stopped = "absent", "running", "stopped"

// invocation is one run of the function.
type invocation struct {
	from, to time.Time // when it began and answered; if it did not answer, to is when the next one began
	died     bool      // it was killed, by us or at its time limit
	err      error     // of its own
	sum      summary
	gone     bool // its instance is gone
}

func newStorm(t *testing.T, in place, limit time.Duration, deadly float64) *storm {
	seed := cmp.Or(*seedFlag, rand.Uint64())
	t.Logf("-seed %d", seed)
	s := &storm{
		lab: newLab(t, in), seed: seed, deadly: deadly, limit: limit, usual: 20 * time.Millisecond, fresh: make(map[*backend]bool), hit: make(map[string]int),
		what: rand.New(rand.NewPCG(seed, 1)), when: rand.New(rand.NewPCG(seed, 2)),
	}
	const more = "lb-m0re4all"
	s.settings["CLB_IDS"] += "," + more
	if !in.classic() {
		s.cloud.SetApplication(region, more)
	}
	s.cloud.Bind(region, more, vm("more-1"), vm("more-2"), vm("more-3"), vm("more-4"))
	for _, lb := range []string{web, api, more} {
		for _, b := range s.cloud.Pool(region, lb) {
			s.backends = append(s.backends, &backend{lb: lb, name: b.Name, first: running, now: running})
		}
	}
	return s
}

// live lives through so many changes.
func (s *storm) live(n int) {
	s.t.Helper()
	for !s.round(s.deadly, nil).seen { // the baseline, under fire too
	}
	waiting := 0 // changes since nothing was owed
	for n > 0 {
		batch := min(1+s.what.IntN(2), n)
		var all []func()
		for range batch {
			all = append(all, s.change())
		}
		n, waiting = n-batch, waiting+batch
		do := func() {
			for _, change := range all {
				change()
			}
		}
		if s.when.IntN(4) == 0 { // in the middle of a run
			s.round(s.deadly, do)
		} else {
			do()
		}
		// The next changes may only come when these were seen, or there is nothing to tell.
		r := s.round(s.deadly, nil)
		for ; !r.seen; r = s.round(s.deadly, nil) {
		}
		clear(s.fresh)
		if !r.owed {
			waiting = 0
		}
		// The lease of a run that was killed holds for seconds. News must not pile up until a message has no room for it.
		if waiting > 20 {
			for s.round(s.deadly/3, nil).owed {
				<-time.After(50 * time.Millisecond)
			}
			waiting = 0
		}
	}
	s.weather.clear()
	f := s.start()
	s.settle(f)
	s.tick(f)
}

// change draws the next change. No backend changes twice before it is seen.
func (s *storm) change() func() {
	bound := make(map[string]int)
	for _, b := range s.backends {
		if b.now != absent {
			bound[b.lb]++
		}
	}
	var b *backend
	for b == nil || s.fresh[b] {
		b = s.backends[s.what.IntN(len(s.backends))]
	}
	was, id := b.now, "ins-"+b.name
	how := s.what.IntN(3)
	switch {
	case was != absent && how == 0 && bound[b.lb] < 30: // another one comes to the same load balancer
		b = &backend{lb: b.lb, name: fmt.Sprintf("new-%d", len(s.backends)), first: absent, now: absent}
		s.backends = append(s.backends, b)
		fallthrough
	case was == absent:
		in := vm(b.name)
		b.now = running
		if s.what.IntN(4) == 0 {
			b.now, in.Status = stopped, 4
		}
		b.happened = append(b.happened, "added")
		s.fresh[b] = true
		return func() { s.cloud.Bind(region, b.lb, in) }
	case how == 1 && bound[b.lb] > 2: // an empty pool is read twice, seconds apart
		b.now = absent
		b.happened = append(b.happened, "removed")
		s.fresh[b] = true
		return func() { s.cloud.Unbind(region, b.lb, id) }
	case was == running:
		b.now = stopped
		b.happened = append(b.happened, "left running")
		s.fresh[b] = true
		status := []int{4, 7, 9, 99}[s.what.IntN(4)]
		return func() { s.cloud.SetStatus(id, status) }
	}
	b.now = running
	b.happened = append(b.happened, "recovered")
	s.fresh[b] = true
	return func() { s.cloud.SetStatus(id, 2) }
}

// result is what a round came to: seen, if a run that began before it saw every backend; owed, unless a run said that
// nothing is.
type result struct{ seen, owed bool }

// round lets the function run once or, sometimes, the same event go to two instances. Each run dies with some probability,
// and during, unless it is nil, happens meanwhile.
func (s *storm) round(deadly float64, during func()) result {
	s.t.Helper()
	for i := range s.fs {
		if s.when.Float64() < 0.1 { // killed between two runs
			s.stop(i)
		}
	}
	n := 1
	if s.when.IntN(5) == 0 || during != nil && s.when.IntN(2) == 0 { // one that sees a change, say, and one that does not
		n = 2
	}
	type plan struct{ wait, kill time.Duration }
	var plans []plan
	for i := range n {
		if s.fs[i] == nil {
			s.fs[i] = s.start(scf.WithTimeout(s.limit))
		}
		span := float64(s.usual) * 1.25
		p := plan{wait: time.Duration(s.when.Float64() * span * float64(i))}
		if s.when.Float64() < deadly {
			p.kill = max(time.Duration(s.when.Float64()*span), 1)
		}
		plans = append(plans, p)
	}
	middle := time.Duration(s.when.Float64() * float64(s.usual))
	before := s.traces()
	now := time.Now()
	for _, r := range s.last { // what came from a run that was killed has arrived by now, as a rule
		if r.died {
			r.to = now
		}
	}
	s.last = make([]*invocation, n)
	event := string(scf.TimerEvent(now))
	var wg sync.WaitGroup
	for i, p := range plans {
		wg.Go(func() {
			<-time.After(p.wait)
			s.last[i] = s.run(s.fs[i], event, p.kill)
		})
	}
	if during != nil {
		wg.Go(func() {
			<-time.After(middle)
			during()
		})
	}
	wg.Wait()
	s.runs = append(s.runs, s.last...)
	res := result{owed: true}
	for i, r := range s.last {
		if r.gone {
			s.stop(i)
		}
		if r.died || r.err != nil {
			continue
		}
		s.usual = (3*s.usual + r.to.Sub(r.from)) / 4
		res.seen = res.seen || r.sum.Unreadable == 0
		res.owed = res.owed && r.sum.Pending > 0
	}
	if n == 1 && s.last[0].died {
		s.hit[s.where(before)]++
	}
	return res
}

// run invokes the function, and kills it after a while unless that is 0.
func (s *storm) run(f *scf.Function, event string, kill time.Duration) *invocation {
	r := &invocation{from: time.Now()}
	var killed atomic.Bool
	if kill > 0 {
		timer := time.AfterFunc(kill, func() { killed.Store(true); f.Kill() })
		defer timer.Stop()
	}
	out, err := s.invoke(f, event)
	r.to = time.Now()
	var ferr *scf.Error
	switch {
	case err == nil:
		r.err = json.Unmarshal(out, &r.sum)
	case errors.As(err, &ferr) && ferr.Status == 0:
		r.err = err
	default:
		r.died = true
	}
	r.gone = r.died || killed.Load() // it may have been killed after its answer
	return r
}

func (s *storm) stop(i int) {
	if s.fs[i] != nil {
		s.end(s.fs[i])
		s.fs[i] = nil
	}
}

func (s *storm) deaths() (n int) {
	for _, r := range s.runs {
		if r.died {
			n++
		}
	}
	return n
}

// traces are what a run leaves: how much is stored, and how many messages.
type traces struct{ heads, snaps, messages, calls int }

func (s *storm) traces() traces {
	return traces{len(s.heads()), len(s.objects("snap/")), len(s.slack.Messages()), s.cloud.Calls() + s.cloud.CallsV3()}
}

// where says how far the run came that was just killed.
func (s *storm) where(before traces) string {
	now := s.traces()
	heads := s.heads()
	claimed, marked := false, false
	for _, key := range heads[:now.heads-before.heads] {
		h := s.head(key)
		claimed = claimed || h.Lease.By == h.Writer
		marked = marked || key == heads[0] && h.Lease.By == ""
	}
	switch {
	case claimed && marked, now.heads > before.heads && !claimed:
		return "after the last write"
	case claimed && now.messages > before.messages:
		return "between Slack and the mark"
	case claimed:
		return "between the commit and Slack"
	case now.snaps > before.snaps:
		return "between the snapshot and the commit"
	case now.calls > before.calls:
		return "while or after reading"
	}
	return "before reading"
}

// storedHead is what is compared of a head.
type storedHead struct {
	Writer string
	Lease  struct{ By string }
	Outbox []storedAlert
}

type storedAlert struct {
	ID    string
	Pools []struct {
		Changes []struct {
			Kind    string
			Backend struct {
				Name   string
				Status int
			}
		}
	}
}

// heads are the keys of all heads, the newest first; they are kept for a day.
func (s *storm) heads() []string {
	return slices.DeleteFunc(s.objects("head/"), func(key string) bool { return !strings.HasSuffix(key, ".json") })
}

func (s *storm) head(key string) (h storedHead) {
	s.t.Helper()
	if err := json.Unmarshal(s.content(key), &h); err != nil {
		s.t.Fatalf("%s: %v", key, err)
	}
	return h
}

var alertNumber = regexp.MustCompile("alert `([^`]+)`")

// compare holds what Slack got against what happened. What a message is about is told twice: by its text, which is what
// people see, and by the alert of its number, which has every change.
func (s *storm) compare(in place) {
	s.t.Helper()
	alerts := make(map[string]storedAlert)
	heads := s.heads()
	for _, key := range slices.Backward(heads) {
		for _, a := range s.head(key).Outbox {
			alerts[a.ID] = a // the last word: until it is taken up, news may join it
		}
	}
	if owed := s.head(heads[0]).Outbox; len(owed) > 0 {
		s.t.Errorf("%d alerts are still owed", len(owed))
	}
	arrived := make(map[string][]time.Time)
	told := make(map[string][]string)
	state := make(map[string]string)
	for _, b := range s.backends {
		state[b.name] = b.first
	}
	for _, m := range s.slack.Messages() {
		number := alertNumber.FindSubmatch(m.Raw)
		if number == nil {
			s.t.Fatalf("a message without a number: %s", m.Raw)
		}
		id := string(number[1])
		a, ok := alerts[id]
		if !ok {
			s.t.Errorf("alert %s was told and never owed", id)
		}
		if arrived[id] = append(arrived[id], m.At); len(arrived[id]) > 1 {
			continue
		}
		before := maps.Clone(state)
		var news []string
		for _, p := range a.Pools {
			for _, c := range p.Changes {
				name := c.Backend.Name
				told[name] = append(told[name], c.Kind)
				news = append(news, name)
				switch {
				case c.Kind == "removed":
					state[name] = absent
				case c.Backend.Status == 2:
					state[name] = running
				default:
					state[name] = stopped
				}
			}
		}
		slices.Sort(news)
		news = slices.Compact(news)
		var names []string
		for _, line := range shown(s.t, m.Raw) {
			names = append(names, line.name)
			if want := amounts(before[line.name], state[line.name]); !slices.Contains(want, line.kind) {
				s.t.Errorf("alert %s says %q of %s, which was %s and is %s", id, line.kind, line.name, before[line.name], state[line.name])
			}
		}
		if slices.Sort(names); !slices.Equal(names, news) {
			s.t.Errorf("alert %s names %q, want %q", id, names, news)
		}
	}
	lost := 0
	for _, b := range s.backends {
		if got := told[b.name]; !slices.Equal(got, b.happened) {
			lost++
			s.t.Errorf("of %s people were told %q, and what happened is %q", b.name, got, b.happened)
		}
		delete(told, b.name)
	}
	if len(told) > 0 {
		s.t.Errorf("told of what there never was: %v", told)
	}
	doubles, late := 0, 0
	for id, at := range arrived {
		for i, first := range at[:len(at)-1] {
			doubles++
			switch why := s.repeatable(first); {
			case why == "":
				s.t.Errorf("alert %s came at %v, for good, and again at %v", id, first, at[1:])
			case why == "late":
				late++
			case in == byBot && s.weather != nil && !s.begun(first, at[i+1]):
				late++ // whoever sent the other one looked before this one was there
			case in == byBot:
				s.t.Errorf("alert %s came %d times by a bot, which finds its messages", id, len(at))
			}
		}
	}
	n := 0
	for _, b := range s.backends {
		n += len(b.happened)
	}
	failed := 0
	for _, r := range s.runs {
		if r.err != nil {
			failed++
			if s.weather == nil && r.to.Sub(r.from) < s.limit/2 {
				s.t.Errorf("a run that nobody disturbed failed: %v", r.err)
			}
		}
	}
	s.t.Logf("%d changes of %d backends, %d runs, %d killed, %d failed, %d messages, %d of them again (%d after one that came late), %d backends told wrong; where kills hit: %v%s",
		n, len(s.backends), len(s.runs), s.deaths(), failed, len(s.slack.Messages()), doubles, late, lost, s.hit, s.weather)
}

// amounts are the words for what happened to a backend between two alerts, as far as how it was and is says so.
func amounts(before, after string) []string {
	switch {
	case before == absent && after == absent:
		return []string{"added, then removed"}
	case before == absent:
		return []string{"added"}
	case after == absent:
		return []string{"removed"}
	case after == stopped:
		return []string{"left running"}
	case before == stopped:
		return []string{"recovered", "removed and back"}
	}
	return []string{"left running and recovered", "removed and back"}
}

// begun reports whether a run began between two moments.
func (s *storm) begun(after, before time.Time) bool {
	return slices.ContainsFunc(s.runs, func(r *invocation) bool { return r.from.After(after) && r.from.Before(before) })
}

// diedBefore reports whether a run was killed in the round before.
func (s *storm) diedBefore(r *invocation) bool {
	return slices.ContainsFunc(s.runs, func(d *invocation) bool {
		return d.died && !d.to.After(r.from) && r.from.Sub(d.to) < s.limit
	})
}

// repeatable says why a message that arrived then may come again; "" if nothing went wrong with it. By what the function
// says of itself it was not told for good; but that only counts if something was done to the run.
func (s *storm) repeatable(arrived time.Time) string {
	late := true
	for _, r := range s.runs {
		if arrived.Before(r.from) || arrived.After(r.to) {
			continue
		}
		late = false
		if r.died {
			return "killed"
		}
		n := 0
		for _, m := range s.slack.Messages() {
			if !m.At.Before(r.from) && !m.At.After(r.to) {
				n++
			}
		}
		disturbed := s.weather.hit(r.from, r.to) || r.to.Sub(r.from) > s.limit/2 // the machine was busy with other tests
		if disturbed && (r.err != nil || r.sum.Sent < n) {
			return "answer lost"
		}
		// Slack got more than this run says it sent: the rest was on its way when its sender was killed, just before.
		if r.err == nil && r.sum.Sent < n && s.diedBefore(r) {
			return "late"
		}
	}
	if late && s.weather != nil { // the network held it back until its sender had given up
		return "late"
	}
	return ""
}
