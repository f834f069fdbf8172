package e2e

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

// The draws follow from the seed: what changes, how long after the start of a run it is killed or frozen, how
// the network fails. When the draws are made, and what they hit, is up to the machine.
var (
	changesFlag = flag.Int("changes", 12, "how many changes TestKill and TestNetwork live through")
	seedFlag    = flag.Uint64("seed", 0,
		"the seed of TestKill and TestNetwork, as a failure prints it; a new one if 0")
)

// TestKill kills the function with SIGKILL at random moments while backends change, and freezes it beyond the
// end of its claims: cold starts, runs that overlap, the same event twice, changes in the middle of a run,
// posts and edits that the network holds back. Then it compares what is stored, and what the channel shows,
// with what happened.
func TestKill(t *testing.T) { everywhere(t, testKill) }

func testKill(t *testing.T, in place) {
	s := newStorm(t, in, time.Second, 0.6)
	s.live(*changesFlag)
	s.compare()
	if deaths := s.deaths(); deaths == 0 {
		t.Error("no kill hit a run")
	}
}

// TestFrozenRunPostsNothingMore: a run that was frozen until its claims had ended looks at the clock before
// its next post.
func TestFrozenRunPostsNothingMore(t *testing.T) {
	in(t, func(t *testing.T, in place) {
		l := newLab(t, in)
		if in == inCOS {
			l.byBot()
		}
		// the one's claims end seconds later
		f, g := l.start(scf.WithTimeout(time.Second), scf.WithGrace(time.Minute)), l.start()
		l.tick(f)
		l.live(g, 5, map[int]func(){0: l.stop("web-1")})
		// Two things to post: a new message about the one, and then an update about the other.
		l.run("web-1")()
		l.stop("api-1")()
		taken := l.slack.Changed()
		l.slack.Fail(slack.TakesLate(200*time.Millisecond), 1)
		frozen := make(chan error)
		go func() {
			_, err := l.try(f)
			frozen <- err
		}()
		<-taken
		f.Freeze()
		if sum := l.tick(g); sum.Sent > 0 {
			t.Errorf("while another run has claimed it: %+v, want nothing posted", sum)
		}
		want := []string{"web-1 stopped", "api-1 stopped", "web-1 back"}
		// By the real clock, which the frozen run goes by when it goes on.
		for end := time.Now().Add(time.Minute); !slices.Equal(l.news(), want) &&
			time.Now().Before(end); <-time.After(time.Second) {
			l.tick(g)
		}
		before := l.news()
		if !slices.Equal(before, want) {
			t.Errorf("once the claims have ended, posted %q, want %q", before, want)
		}
		f.Thaw()
		if err := <-frozen; err != nil && strings.Contains(err.Error(), "panic") {
			t.Error(err)
		}
		l.live(g, 25, nil)
		if got := l.news(); !slices.Equal(got, before) {
			t.Errorf("after it went on, posted %q, want nothing more than %q", got, before)
		}
		for _, p := range l.slack.Channel() {
			if strings.Contains(text(t, p.Raw), "epeat of") {
				t.Errorf("there is a copy: %s", text(t, p.Raw))
			}
		}
	}, byBot, inCOS)
}

// TestFrozenRunUndoesNothing: a run that was frozen before an edit makes it after another run has made a
// newer one.
func TestFrozenRunUndoesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, byBot)
	f, g := l.start(), l.start()
	l.tick(f)
	l.live(g, 5, map[int]func(){0: l.stop("web-1")})
	l.run("web-1")()
	taken := l.slack.Changed()
	l.slack.Fail(slack.TakesLate(200*time.Millisecond), 1) // the update; then comes the edit
	frozen := make(chan error)
	go func() {
		_, err := l.try(f)
		frozen <- err
	}()
	<-taken
	f.Freeze()
	l.later(2 * time.Minute)
	l.stop("web-2")()
	l.tick(g)
	edited := l.slack.Channel()[1].Edited
	f.Thaw()
	if err := <-frozen; err != nil {
		t.Error(err)
	}
	if p := l.slack.Channel()[1]; !p.Edited.After(edited) ||
		!strings.Contains(text(t, p.Raw), "3 of 3 running") {
		t.Fatalf("the frozen run has not undone the newer edit: %s; this test tests nothing", text(t, p.Raw))
	}
	l.live(g, 1, nil)
	if got := text(t, l.slack.Channel()[1].Raw); !strings.Contains(got, "2 of 3 running") {
		t.Errorf("then the message says %s, want that 2 of 3 run", got)
	}
	want := []string{"web-1 stopped", "web-1 back", "web-2 stopped"}
	if got := l.news(); !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
}

// byBot makes a bot post, in a place where the webhook does.
func (l *lab) byBot() {
	l.settings["SLACK_BOT_TOKEN"], l.settings["SLACK_CHANNEL"] = l.slack.Token(), l.slack.ChannelID()
	l.settings["SLACK_API_URL"] = l.slack.APIURL(loopbackServer.FindString(l.settings["SLACK_WEBHOOK_URL"]))
	delete(l.settings, "SLACK_WEBHOOK_URL")
}

var loopbackServer = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`)

// storm is a lab in which backends change while runs are killed and, if there is one, the network fails.
type storm struct {
	*lab
	in         place
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
	hit      map[string]int // where kills hit
	held     int            // posts and edits that the network held back, and runs that were frozen
	frozen   int
}

// backend is one that may be bound to its load balancer or not.
type backend struct {
	lb, name string
	now      string   // absent, serving or stopped
	happened []string // to it, in order
}

const absent, serving, stopped = "absent", "serving", "stopped"

// invocation is one run of the function.
type invocation struct {
	from, to time.Time // when it began and answered
	died     bool      // it was killed, by us or at its time limit
	frozen   bool      // it was stopped for a while
	err      error     // of its own
	sum      summary
	gone     bool // its instance is gone
}

const more = "lb-m0re4all"

func newStorm(t *testing.T, in place, limit time.Duration, deadly float64) *storm {
	seed := cmp.Or(*seedFlag, rand.Uint64())
	t.Logf("-seed %d", seed)
	s := &storm{
		lab: newLab(t, in), in: in, seed: seed, deadly: deadly, limit: limit, usual: 20 * time.Millisecond,
		fresh: make(map[*backend]bool), hit: make(map[string]int),
		what: rand.New(rand.NewPCG(seed, 1)), when: rand.New(rand.NewPCG(seed, 2)),
	}
	s.settings["CLB_IDS"] += "," + more
	if !in.classic() {
		s.cloud.SetApplication(region, more)
	}
	s.cloud.Bind(region, more, vm("more-1"), vm("more-2"), vm("more-3"), vm("more-4"))
	for _, lb := range []string{web, api, more} {
		for _, b := range s.cloud.Pool(region, lb) {
			s.backends = append(s.backends, &backend{lb: lb, name: b.Name, now: serving})
		}
	}
	return s
}

// live lives through so many changes, and then through an hour in which nothing happens.
func (s *storm) live(n int) {
	s.t.Helper()
	for !s.round(s.deadly, nil) { // the baseline, under fire too
	}
	for n > 0 {
		batch := min(1+s.what.IntN(2), n)
		var all []func()
		readings := 1
		for range batch {
			change, removal := s.change()
			if all = append(all, change); removal {
				readings = 2 // it takes two to believe that
			}
		}
		n -= batch
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
		// the next changes may only come when these were seen, or nobody can
		for seen := 0; seen < readings; {
			if s.round(s.deadly, nil) {
				seen++
			}
		}
		clear(s.fresh)
	}
	s.weather.clear()
	s.slack.ClearFaults()
	f := s.start()
	for range 30 {
		s.later(2 * time.Minute)
		if _, err := s.try(f); err != nil && !overdue(err) {
			s.t.Errorf("a tick in calm weather: %v", err)
		}
	}
}

// overdue reports whether an error says that something could not be posted for long, which is so after a
// storm.
func overdue(err error) bool {
	return strings.Contains(err.Error(), "has not reached Slack, or may not have, for 15 minutes")
}

// change draws the next change, and reports whether it is a removal. No backend changes twice before it is
// seen.
func (s *storm) change() (do func(), removal bool) {
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
	case was != absent && how == 0 && bound[b.lb] < 15: // another one comes to the same load balancer
		b = &backend{lb: b.lb, name: fmt.Sprintf("new-%d", len(s.backends)), now: absent}
		s.backends = append(s.backends, b)
		fallthrough
	case was == absent:
		in := vm(b.name)
		b.now = serving
		if s.what.IntN(4) == 0 {
			b.now, in.Status = stopped, 4
		}
		b.happened = append(b.happened, "added")
		s.fresh[b] = true
		return func() { s.cloud.Bind(region, b.lb, in) }, false
	case how == 1 && bound[b.lb] > 2:
		b.now = absent
		b.happened = append(b.happened, "removed")
		s.fresh[b] = true
		return func() { s.cloud.Unbind(region, b.lb, id) }, true
	case was == serving:
		b.now = stopped
		b.happened = append(b.happened, "left running")
		s.fresh[b] = true
		status := []int{4, 7, 9, 99}[s.what.IntN(4)]
		return func() { s.cloud.SetStatus(id, status) }, false
	}
	b.now = serving
	b.happened = append(b.happened, "recovered")
	s.fresh[b] = true
	return func() { s.cloud.SetStatus(id, 2) }, false
}

// round lets the function run once or, sometimes, the same event go to two instances, and then lets time
// pass. Each run dies with some probability, or is frozen while the other one runs, and during, unless it is
// nil, happens meanwhile. It reports whether a run that began before it saw every backend.
func (s *storm) round(deadly float64, during func()) (seen bool) {
	s.t.Helper()
	for i := range s.fs {
		if s.when.Float64() < 0.1 { // killed between two runs
			s.stop(i)
		}
		if s.fs[i] == nil {
			s.fs[i] = s.start(scf.WithTimeout(s.limit), scf.WithGrace(5*time.Second))
		}
	}
	// by the clock of the channel, of which ten minutes and more may pass in two rounds
	if s.when.IntN(8) == 0 {
		method := []string{"chat.postMessage", "chat.update", slack.Webhook}[s.when.IntN(3)]
		s.slack.FailCalls(slack.Calls{Methods: []string{method}, Times: 1},
			slack.HeldBack(time.Duration(1+s.when.IntN(8))*time.Minute))
		s.held++
	}
	n := 1
	// one that sees a change, say, and one that does not
	if s.when.IntN(5) == 0 || during != nil && s.when.IntN(2) == 0 {
		n = 2
	}
	span := float64(s.usual) * 1.25
	freeze := s.when.IntN(8) == 0
	if freeze {
		n = 1
	}
	type plan struct{ wait, kill time.Duration }
	var plans []plan
	for i := range n {
		p := plan{wait: time.Duration(s.when.Float64() * span * float64(i))}
		if !freeze && s.when.Float64() < deadly {
			p.kill = max(time.Duration(s.when.Float64()*span), 1)
		}
		plans = append(plans, p)
	}
	middle := time.Duration(s.when.Float64() * float64(s.usual))
	before := s.traces()
	last := make([]*invocation, n)
	event := string(scf.TimerEvent(time.Now()))
	var wg sync.WaitGroup
	for i, p := range plans {
		wg.Go(func() {
			<-time.After(p.wait)
			last[i] = s.run(s.fs[i], event, p.kill)
		})
	}
	if during != nil && !freeze {
		wg.Go(func() {
			<-time.After(middle)
			during()
		})
	}
	if freeze {
		<-time.After(middle)
		s.fs[0].Freeze()
		s.frozen++
		if during != nil {
			during()
		}
		s.later(2 * time.Minute) // its claims end, if it has made any
		other := s.run(s.fs[1], event, 0)
		s.runs = append(s.runs, other)
		seen = !other.died && other.err == nil && other.sum.Unreadable == 0
		if other.gone {
			s.stop(1)
		}
		s.fs[0].Thaw()
	}
	wg.Wait()
	for i, r := range last {
		r.frozen = freeze
		s.runs = append(s.runs, r)
		if r.gone {
			s.end(s.fs[i])
			s.fs[i] = nil
		}
		if r.died || r.err != nil {
			continue
		}
		if !freeze { // else what it read is dropped: the other run has read since
			s.usual = (3*s.usual + min(r.to.Sub(r.from), s.limit/2)) / 4
			seen = seen || r.sum.Unreadable == 0
		}
	}
	if n == 1 && last[0].died {
		s.hit[s.where(before)]++
	}
	s.later([]time.Duration{time.Minute, time.Minute, time.Minute, 5 * time.Minute}[s.when.IntN(4)])
	return seen
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
		if overdue(err) { // it has done its work, of which only the log tells
			r.err, r.sum.Unreadable = nil, unreadable(f.Logs())
		}
	default:
		r.died = true
	}
	r.gone = r.died || killed.Load() // it may have been killed after its answer
	return r
}

var unreadableField = regexp.MustCompile(`"unreadable":(\d+)`)

// unreadable is how many load balancers the last tick of a log could not read.
func unreadable(log []string) int {
	for _, line := range slices.Backward(log) {
		if m := unreadableField.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1]) // it is a number
			return n
		}
	}
	return 1
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
	return traces{len(s.heads()), len(s.objects("snap/")), len(s.slack.Messages()),
		s.cloud.Calls() + s.cloud.CallsV3()}
}

// heads are the keys of all heads, the newest first; they are kept for a day.
func (s *storm) heads() []string {
	return slices.DeleteFunc(s.objects("head/"),
		func(key string) bool { return !strings.HasSuffix(key, ".json") })
}

// where says how far the run came that was just killed.
func (s *storm) where(before traces) string {
	now := s.traces()
	heads := s.heads()
	claimed, marked := false, false
	for _, key := range heads[:max(0, now.heads-before.heads)] { // old ones may have been collected
		h := s.headAt(key)
		mine := slices.ContainsFunc(h.Incidents.Roots,
			func(r storedRoot) bool { return r.Delivery.Claim != nil && r.Delivery.Claim.By == h.Writer })
		claimed = claimed || mine
		marked = marked || key == heads[0] && !mine
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

// compare holds the history and the channel against what happened.
func (s *storm) compare() {
	s.t.Helper()
	s.compareHistory()
	copies := s.compareCopies()
	s.compareChannel()
	n, failed := 0, 0
	for _, b := range s.backends {
		n += len(b.happened)
	}
	for _, r := range s.runs {
		if r.err != nil {
			failed++
			if s.weather == nil && !r.frozen && r.to.Sub(r.from) < s.limit/2 {
				s.t.Errorf("a run that nobody disturbed failed: %v", r.err)
			}
		}
	}
	s.t.Logf("%d changes of %d backends, %d runs, %d killed, %d frozen, %d failed, %d calls held back, %d "+
		"messages, %d copies; where kills hit: %v%s",
		n, len(s.backends), len(s.runs), s.deaths(), s.frozen, failed, s.held, len(s.slack.Messages()),
		copies, s.hit, s.weather)
}

// compareHistory: each change is in exactly one incident, and each incident is open or closed.
func (s *storm) compareHistory() {
	s.t.Helper()
	stored := make(map[string][]string)
	incidents := make(map[string]string) // how it stands, by number
	for _, r := range s.head().Incidents.Roots {
		for _, i := range r.Incidents {
			incidents[i.ID] += cmp.Or(i.End, "open")
		}
	}
	var of []string
	for _, r := range s.records() {
		switch {
		case r.Change != nil:
			stored[r.Change.Name] = append(stored[r.Change.Name], r.Change.Kind)
			of = append(of, r.Incident)
		case r.Closed != nil:
			incidents[r.Incident] += r.Closed.End
		}
	}
	for _, b := range s.backends {
		if got := stored[b.name]; !slices.Equal(got, b.happened) {
			s.t.Errorf("the history has %q of %s, and what happened is %q", got, b.name, b.happened)
		}
		delete(stored, b.name)
	}
	if len(stored) > 0 {
		s.t.Errorf("the history has what never was: %v", stored)
	}
	slices.Sort(of)
	for _, id := range slices.Compact(of) {
		if is := incidents[id]; !slices.Contains([]string{"open", "resolved", "over"}, is) {
			s.t.Errorf("incident %s is %q, want it open or closed, once", id, is)
		}
	}
}

// compareCopies: nothing is posted more than twice; by a bot once, unless the network or the platform held it
// back, and then the copy says what it is. It returns how many copies there are.
func (s *storm) compareCopies() (copies int) {
	s.t.Helper()
	if s.in != byBot {
		marked := 0
		for _, m := range s.slack.Messages() {
			if strings.Contains(text(s.t, m.Raw), "may be a repeat") {
				marked++
			}
		}
		if causes := s.deaths() + s.held + s.frozen; s.weather == nil && marked > causes {
			s.t.Errorf("%d messages may be a repeat, after %d kills, calls held back and frozen runs", marked,
				causes)
		}
		return marked
	}
	arrived := make(map[string]int)
	for _, m := range s.slack.Messages() {
		arrived[keyOf(s.t, m.Raw)]++
	}
	for key, n := range arrived {
		copies += n - 1
		if n > 2 || n > 1 && s.weather == nil && s.held+s.frozen == 0 {
			s.t.Errorf("post %s came %d times by a bot", key, n)
		}
	}
	current := make(map[string]int) // those that do not say that they are a copy
	for _, p := range s.slack.Channel() {
		if key := keyOf(s.t, p.Raw); key != "" {
			current[key]++
		}
	}
	for key, n := range current {
		if n > 1 {
			s.t.Errorf("post %s is there %d times, and none of them says that it is a copy", key, n)
		}
	}
	return copies
}

// keyOf is what a bot's message is recognised by; "" if it is a copy.
func keyOf(t testing.TB, raw json.RawMessage) string {
	t.Helper()
	var m struct {
		Metadata struct {
			EventType string            `json:"event_type"`
			Payload   map[string]string `json:"event_payload"`
		}
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if m.Metadata.EventType != "clbwatch" || len(m.Metadata.Payload) != 1 {
		return ""
	}
	for _, v := range m.Metadata.Payload {
		return v
	}
	return ""
}

var stoppedCount = regexp.MustCompile(`^Stopped(?: \((\d+)\)|  )`)

// compareChannel: the channel shows how things are.
func (s *storm) compareChannel() {
	s.t.Helper()
	type stand struct{ running, total int }
	want := make(map[string]stand)
	changed := make(map[string]bool)
	out := 0
	for _, b := range s.backends {
		w := want[b.lb]
		switch b.now {
		case serving:
			w.running, w.total = w.running+1, w.total+1
		case stopped:
			w.total++
			out++
		}
		want[b.lb] = w
		changed[b.lb] = changed[b.lb] || len(b.happened) > 0
	}
	lost := s.lost()
	for lb, w := range want {
		name := map[string]string{web: "prod-web"}[lb]
		said, is := s.standings(cmp.Or(name, lb), s.in == byBot), fmt.Sprintf("%d of %d", w.running, w.total)
		if s.in == byBot || s.held+s.frozen == 0 {
			// else what was held back may have the last word: nobody can edit it
			said = said[max(len(said)-1, 0):]
		}
		if changed[lb] && !slices.Contains(said, is) && !lost[lb] {
			s.t.Errorf("the channel says %q of %s, and %s run", said, lb, is)
		}
	}
	if s.in != byBot {
		return
	}
	open := make(map[string]bool) // the numbers of messages with something open
	for _, r := range s.head().Incidents.Roots {
		for _, i := range r.Incidents {
			if i.End == "" {
				open[r.Incidents[0].ID] = true
			}
		}
	}
	shown := 0
	for _, p := range s.slack.Channel() {
		says := text(s.t, p.Raw)
		bad := strings.HasPrefix(says, ":red_circle:") || strings.HasPrefix(says, ":large_orange_circle:")
		id, _, _ := strings.Cut(keyOf(s.t, p.Raw), ".")
		if p.Thread != "" || id == "" {
			continue
		}
		if bad && !open[id] {
			s.t.Errorf("a closed message looks open: %s", says)
		}
		if !open[id] {
			continue
		}
		for _, line := range lines(s.t, p.Raw) {
			if n := stoppedCount.FindStringSubmatch(line); n != nil {
				k, _ := strconv.Atoi(cmp.Or(n[1], "1")) // digits
				shown += k
			}
		}
	}
	if shown != out {
		s.t.Errorf("open messages show %d stopped backends, and there are %d", shown, out)
	}
}

var (
	namesLine = regexp.MustCompile(`Slack may not have shown, or did not take, earlier news of ` +
		`incidents? ([^.;]*)`)
	numbers = regexp.MustCompile(`(\d+)(?: to (\d+))?`)
)

// lost are the load balancers of which the webhook may have lost news, both copies of it, so that nobody can
// know; but then a later message names the one that is lost, or one is still to name it.
func (s *storm) lost() map[string]bool {
	s.t.Helper()
	lost := make(map[string]bool)
	if s.in == byBot {
		return lost
	}
	named := make(map[string]bool)
	for _, m := range s.slack.Messages() {
		for _, line := range namesLine.FindAllStringSubmatch(strings.Join(lines(s.t, m.Raw), "\n"), -1) {
			for _, n := range numbers.FindAllStringSubmatch(line[1], -1) {
				from, _ := strconv.Atoi(n[1]) // digits
				to, _ := strconv.Atoi(cmp.Or(n[2], n[1]))
				for ; from <= to; from++ {
					named[strconv.Itoa(from)] = true
				}
			}
		}
	}
	newest := s.heads()[0]
	for _, key := range s.heads() {
		for _, r := range s.headAt(key).Incidents.Roots {
			for _, i := range r.Incidents {
				if _, id, _ := strings.Cut(i.K, "/"); named[r.Incidents[0].ID] ||
					key == newest && r.Delivery.Presumed != "" {
					lost[id] = true
				}
			}
		}
	}
	return lost
}
