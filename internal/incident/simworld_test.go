package incident

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"clbwatch/internal/lb"
)

// ms are milliseconds of simulated true time.
type ms int64

const (
	second = 1000 * ms(1)
	minute = 60 * second
)

var epoch = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)

func (t ms) time() time.Time { return epoch.Add(time.Duration(t) * time.Millisecond) }

// event is something that happens at a time.
type event struct {
	at  ms
	seq int
	do  func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any     { o := *q; x := o[len(o)-1]; *q = o[:len(o)-1]; return x }

// faults is what may go wrong in one history, and how often.
type faults struct {
	kill, freeze float64 // of each step of a run
	freezeMax    ms
	// it may be frozen between its look at the clock and its call, too
	gap                              bool
	clean, unknown, lost, held, temp float64 // of each call to Slack
	heldMax                          ms
	storeFails, storeLate            float64 // of each call to the store
	read                             float64 // of each reading
	twice                            float64 // an event comes twice
	skew                             [3]ms   // of the clocks that observations go by
	slow                             float64 // a call takes some seconds
	curse                            float64 // a root is refused something for good
	curses                           []curse
	noLook                           bool // the bot may not look for its posts
}

// curse is what Slack refuses one root for good.
type curse int

const (
	noCurse     curse = iota
	badBlocks         // Full and NoMention are refused
	badText           // and Plain
	badAll            // and Bare
	always500         // posts are answered 500, and nothing happens
	alwaysLost        // posts happen, and their answers are lost
	alwaysTemp        // posts fail for a time that never ends
	alwaysHangs       // all calls hang, and nothing happens
	badEdit           // edits are refused
	edit500           // edits are answered 500
	badReply          // its thread takes nothing
	reply500          // its thread answers 500
	badLook           // the bot may not look for its posts
	badMention        // a mention is refused
	curseKinds
)

// mute reports whether no post of the root ever arrives.
func (c curse) mute() bool {
	return c == badAll || c == always500 || c == alwaysTemp || c == alwaysHangs
}

// outage is what the whole channel does for a while.
type outage int

const (
	fine outage = iota
	refusing
	breaking // 5xx, and nothing happens
	losing   // all happens, and answers are lost
	hanging
	outages
)

// simHead is a head of the store.
type simHead struct {
	n       int
	writer  string
	reading int // which run's observation it holds
	snap    map[string][]lb.Backend
	state   *State
	past    []Record
	at      ms
}

// sim is one history.
type sim struct {
	seed  uint64
	rng   *rand.Rand
	f     faults
	rules Rules
	// unfenced runs do not look at the clock before a call.
	unfenced bool
	now      ms
	queue    events
	seq      int
	faulty   bool
	outage   outage
	end      ms

	clbs  []string
	world map[string][]int8
	heads []*simHead // by number; [0] is none
	slack *fakeSlack
	runs  map[int]*run
	nrun  int

	final   map[string]*Root     // the newest committed form of each root, by Prefix
	isOpen  map[string]bool      // roots that are in the newest head
	cursed  map[string]curse     // by Prefix
	heldKey map[string]bool      // keys of which a copy appeared after its sender had given up
	waiting map[string][]waiting // news that is committed and in no post yet
	outEnd  ms                   // when the channel came back last
	removal map[string]bool      // roots with a removal in them
	// roots of which all copies of a message were lost, so that it is presumed delivered
	gone    map[string]bool
	tooLate map[string]bool // roots about which a call took effect long after its claim had ended
	over15  map[string]ms   // since when a root is unposted and reportable

	stats *simStats
	bad   []string
}

type waiting struct {
	rev    int
	at     ms
	urgent bool
}

func (s *sim) at(t ms, do func()) { s.seq++; heap.Push(&s.queue, event{t, s.seq, do}) }

func (s *sim) p(x float64) bool { return x > 0 && s.rng.Float64() < x }

func (s *sim) between(a, b ms) ms { return a + ms(s.rng.Int64N(int64(max(1, b-a)))) }

func (s *sim) complain(format string, args ...any) {
	s.bad = append(s.bad, fmt.Sprintf("seed %d, %s: ", s.seed,
		time.Duration(s.now)*time.Millisecond)+fmt.Sprintf(format, args...))
}

// play lets everything happen until the end.
func (s *sim) play() {
	for len(s.queue) > 0 {
		e := heap.Pop(&s.queue).(event)
		if e.at > s.end {
			break
		}
		s.now = e.at
		e.do()
	}
	for _, r := range s.runs {
		r.stop()
	}
}

// run is one invocation. It can be killed and frozen wherever it waits.
type run struct {
	s       *sim
	id      int
	skew    ms
	yield   func(ms) bool
	next    func() (ms, bool)
	stop    func()
	timeout ms
	frozen  bool
}

type killed struct{}

func (s *sim) spawn(skew ms, do func(*run)) {
	s.nrun++
	r := &run{s: s, id: s.nrun, skew: skew, timeout: s.now + 55*second}
	r.next, r.stop = iter.Pull(func(yield func(ms) bool) {
		defer func() {
			if x := recover(); x != nil {
				if _, ok := x.(killed); !ok {
					panic(x)
				}
			}
		}()
		r.yield = yield
		do(r)
	})
	s.runs[r.id] = r
	s.step(r)
}

// step lets a run go on until it waits for something.
func (s *sim) step(r *run) {
	wake, ok := r.next()
	if !ok {
		delete(s.runs, r.id)
		return
	}
	die := func() { r.stop(); delete(s.runs, r.id) }
	if s.faulty {
		if s.p(s.f.kill) {
			s.stats.kills++
			s.at(s.between(s.now, wake+1), die)
			return
		}
		if s.p(s.f.freeze) {
			s.stats.freezes++
			r.frozen = true
			wake += s.between(5*second, s.f.freezeMax)
		}
	}
	if wake > r.timeout && !r.frozen {
		s.at(r.timeout, die)
		return
	}
	s.at(wake, func() { s.step(r) })
}

func (r *run) sleep(d ms) {
	if !r.yield(r.s.now + d) {
		panic(killed{})
	}
}

func (r *run) latency() ms {
	if r.s.faulty && r.s.p(r.s.f.slow) {
		return r.s.between(2*second, 9*second)
	}
	return r.s.between(60, 400)
}

// ---- the store

func (s *sim) newest() *simHead { return s.heads[len(s.heads)-1] }

func (r *run) load() *simHead {
	r.sleep(r.latency())
	if r.s.faulty && r.s.p(r.s.f.storeFails) {
		return nil
	}
	return r.s.newest()
}

// put is where a head takes effect, if it is the first of its number.
func (s *sim) put(h *simHead) {
	if h.n != len(s.heads) {
		return
	}
	h.at = s.now
	if s.seq%23 == 0 { // now and then a state goes through bytes
		text, err := json.Marshal(h.state)
		if err != nil {
			panic(err)
		}
		h.state = new(State)
		if err := json.Unmarshal(text, h.state); err != nil {
			panic(err)
		}
	}
	s.heads = append(s.heads, h)
	s.committed(h)
}

type commitResult int

const (
	committed commitResult = iota
	conflict
	failed
)

func (r *run) commit(h *simHead) commitResult {
	s := r.s
	for range 3 {
		d := r.latency()
		switch x := s.rng.Float64(); {
		case s.faulty && x < s.f.storeFails:
			r.sleep(d)
		case s.faulty && x < s.f.storeFails+s.f.storeLate:
			s.at(s.now+s.between(5*second, 120*second), func() { s.put(h) })
			r.sleep(10 * second)
		default:
			s.at(s.now+d/2, func() { s.put(h) })
			r.sleep(d)
		}
		r.sleep(r.latency()) // it reads back whose it is
		if s.faulty && s.p(s.f.storeFails) {
			return failed
		}
		switch {
		case h.n >= len(s.heads):
			continue
		case s.heads[h.n].writer == h.writer:
			return committed
		default:
			return conflict
		}
	}
	return failed
}

// ---- Slack

// curse is what is the matter with a root.
func (s *sim) curse(prefix string) curse {
	c, ok := s.cursed[prefix]
	if !ok {
		if s.p(s.f.curse) {
			c = s.f.curses[s.rng.IntN(len(s.f.curses))]
		}
		s.cursed[prefix] = c
	}
	return c
}

// send is one call to Slack.
func (r *run) send(c Call, root *Root) Outcome {
	s := r.s
	s.stats.calls++
	lat := r.latency()
	no := func(class Class) Outcome { return Outcome{Class: class, Err: errSlack} }
	hang := func() Outcome { r.sleep(10 * second); return no(Unknown) }
	answer := func(class Class) Outcome { r.sleep(lat); return no(class) }
	switch s.outage {
	case refusing:
		return answer(ChannelDown)
	case breaking:
		return answer(Unknown)
	case hanging:
		return hang()
	}
	lost := false
	is, reply := s.curse(root.Prefix()), c.Do == Send && c.TS != ""
	edits := c.Do == Edit || c.Do == Void
	switch {
	case is == badMention && c.Do == Send && c.Post.Mention, is == badBlocks && c.Do == Send &&
		c.Form < Plain,
		is == badText && c.Do == Send && c.Form < Bare, is == badAll && c.Do == Send, is == badEdit && edits,
		is == badReply && reply, (is == badLook || s.f.noLook) && (c.Do == Look || c.Do == Copies):
		return answer(Content)
	case is == always500 && c.Do == Send, is == edit500 && edits, is == reply500 && reply:
		return answer(Unknown)
	case is == alwaysTemp && c.Do == Send:
		return answer(Temporary)
	case is == alwaysHangs && c.Do != Ask:
		return hang()
	case is == alwaysLost && c.Do == Send:
		lost = true
	}
	out := no(Unknown)
	effect := func(held bool) func() {
		return func() {
			n := len(s.slack.messages)
			until := r.until(root)
			out = s.slack.do(c, root, s.now.time(), held || s.now > until)
			s.tooLate[root.Prefix()] = s.tooLate[root.Prefix()] || s.now > until+10*minute
			for _, m := range s.slack.messages[n:] {
				s.posted(m)
			}
		}
	}
	x := s.rng.Float64()
	if !s.faulty {
		x = 1
	}
	changes := c.Do != Look && c.Do != Ask && c.Do != Copies
	below := func(p float64) bool { x -= p; return x < 0 }
	switch {
	case below(s.f.clean):
		return answer(ChannelDown)
	case below(s.f.temp):
		return answer(Temporary)
	case below(s.f.unknown):
		if s.p(.5) {
			return hang()
		}
		return answer(Unknown)
	case below(s.f.lost), s.outage == losing, lost:
		s.at(s.now+lat/2, effect(false))
		if s.p(.5) {
			return hang()
		}
		return answer(Unknown)
	case changes && below(s.f.held):
		s.stats.held++
		s.at(s.now+s.between(12*second, s.f.heldMax), effect(true))
		return hang()
	}
	if s.f.gap && s.faulty && changes && s.p(s.f.freeze) {
		s.stats.gaps++
		r.frozen = true
		r.sleep(s.between(5*second, s.f.freezeMax))
	}
	s.at(s.now+lat/2, effect(false))
	r.sleep(lat)
	return out
}

// until is when the claim of a run ends.
func (r *run) until(root *Root) ms {
	if c := root.Delivery.Claim; c != nil {
		return ms(c.Until.Sub(epoch) / time.Millisecond)
	}
	return 0
}

// posted notes that a message appeared.
func (s *sim) posted(m *message) {
	s.stats.posts++
	if m.held {
		s.heldKey[m.key] = true
	}
	var rest []waiting
	for _, w := range s.waiting[m.prefix] {
		if w.rev > m.post.Rev {
			rest = append(rest, w)
			continue
		}
		if s.cursed[m.prefix] == noCurse {
			s.stats.delay(s.now-max(w.at, min(s.outEnd, s.now)), w.urgent)
		}
	}
	s.waiting[m.prefix] = rest
}

// ---- the cloud

const (
	absent int8 = iota
	up
	down
)

func (s *sim) pool(clb string) (bs []lb.Backend) {
	for n, is := range s.world[clb] {
		status := lb.Running
		switch is {
		case absent:
			continue
		case down:
			status = 4
		}
		bs = append(bs, lb.Backend{ID: fmt.Sprintf("%s-%d", clb, n), Name: "web", Status: status, Weight: 10})
	}
	return bs
}

// observe reads every load balancer, one after the other.
func (r *run) observe(h *simHead) (o Observation, snap map[string][]lb.Backend) {
	s := r.s
	o = Observation{At: (s.now + r.skew).time()}
	snap = maps.Clone(h.snap)
	for _, name := range s.clbs {
		r.sleep(s.between(30, 150))
		if s.faulty && s.p(s.f.read) {
			o.Unread = append(o.Unread, Unread{Key: keyOf(name), About: Reading,
				Reason: Reason{Why: "InternalError"}})
			continue
		}
		clb := lb.ParseKey(keyOf(name))
		clb.Label = name
		next, changes := lb.Diff(snap[name], s.pool(name), o.At, time.Time{})
		if len(changes) > 0 {
			o.Changed = append(o.Changed, Changed{clb, lb.Compare(snap[name], next, changes)})
		}
		snap[name] = next
	}
	return o, snap
}

// tick is one invocation, from top to bottom.
func (r *run) tick() {
	s := r.s
	h := r.load()
	if h == nil {
		return
	}
	base := h.reading
	at := (s.now + r.skew).time()
	o, snap := r.observe(h)
	var next *simHead
	for try := 0; ; try++ {
		if try == 8 {
			return
		}
		next = &simHead{n: h.n + 1, writer: fmt.Sprintf("w%d-%d", r.id, try), reading: h.reading,
			snap: h.snap, state: h.state.Clone()}
		rules := s.rules
		rules.Tag = next.writer
		if h.reading == base { // else another run has read something newer
			next.past = next.state.Judge(o, rules)
			next.reading, next.snap = r.id, snap
		} else {
			s.stats.dropped++
		}
		next.past = append(next.past, next.state.Plan(at, s.now.time(), next.writer,
			(r.timeout+5*second).time(), rules)...)
		switch r.commit(next) {
		case failed:
			return
		case conflict:
			if h = r.load(); h == nil {
				return
			}
			continue
		}
		break
	}
	steps := r.notify(next.state.Clone(), next.writer, at)
	r.mark(next.writer, steps)
}

// fenced reports whether the claim ends too soon for another call.
func (r *run) fenced(root *Root) bool {
	if !r.s.unfenced && r.s.now >= r.until(root)-15*second {
		r.s.stats.fenced++
		return true
	}
	return false
}

func (r *run) notify(state *State, by string, at time.Time) (steps []Step) {
	s := r.s
	posts, edits := state.Claimed(by)
	stopped := false
	do := func(root *Root, c Call) bool {
		began := s.now
		out := r.send(c, root.clone())
		if *simTrace == root.Prefix() {
			fmt.Printf("%8.1f..%8.1f run %d %v ts %q key %s form %d rev %d rises %b/%b "+
				"ends %b end %v level %v mention %v -> %v %q; %s\n", float64(began)/60000,
				float64(s.now)/60000, r.id, []string{"send", "look", "ask", "edit", "copies", "void",
					"leave"}[c.Do], c.TS, c.Key, c.Form, c.Post.Rev,
				c.Post.Rises, c.Post.Current, c.Post.Ends, c.Post.End, c.Post.Level, c.Post.Mention,
				[]string{"done", "not there", "UNKNOWN", "temporary", "channel down", "gone",
					"content"}[out.Class], out.TS, describe(root))
		}
		step := Step{Root: root.Prefix(), Call: c, Outcome: out, Now: s.now.time(), At: at}
		steps = append(steps, step)
		if root.Take(step) {
			stopped = true
		}
		return !stopped
	}
	each := func(roots []*Root, next func(*Root) (Call, bool)) {
		for _, root := range roots {
			for n := 0; !stopped; n++ {
				c, ok := next(root)
				if !ok || r.fenced(root) || !do(root, c) {
					break
				}
				if n > 60 {
					s.complain("calls about %s never end: %+v", root.Prefix(), c)
					break
				}
			}
		}
	}
	each(posts, (*Root).NextPost)
	each(edits, func(root *Root) (Call, bool) { return root.NextEdit(s.now.time()) })
	return steps
}

func describe(r *Root) string {
	d := &r.Delivery
	out := fmt.Sprintf("shown %d root %d rev %d news %d fails %d", d.Shown, d.RootRev, r.Rev, r.News, d.Fails)
	if d.Doubt != nil {
		out += fmt.Sprintf(" doubt %v %d x%d rev %d", d.Doubt.Root, d.Doubt.N, d.Doubt.Copies, d.Doubt.Rev)
	}
	for m, k := range r.Marks {
		out += fmt.Sprintf(" m%d{%d s%v a%v left %v}", m, k.Rise, k.Shown, k.Again, !k.Left.IsZero())
	}
	return out
}

func (r *run) mark(by string, steps []Step) {
	s := r.s
	for range 8 {
		h := r.load()
		if h == nil {
			return
		}
		next := &simHead{n: h.n + 1, writer: fmt.Sprintf("m%d-%d", r.id, s.seq), reading: h.reading,
			snap: h.snap, state: h.state.Clone()}
		next.state.Mark(by, steps, s.now.time())
		if r.commit(next) != conflict {
			return
		}
	}
}

// clone is the root as it is now: a call that the network holds back shows it so.
func (r *Root) clone() *Root {
	c := *r
	c.Incidents = slices.Clone(r.Incidents)
	return &c
}
