package watchtest

import (
	"container/heap"
	"iter"
	"time"

	"clbwatch/internal/incident"
)

// engine lets runs and whatever else happens take turns in the world's time. Only one of them works at a
// time, and each in the same order every time: what is drawn decides all.
type engine struct {
	world *World
	queue events
	seq   int
}

// event is something that happens at some time.
type event struct {
	at  time.Time
	seq int // of those at one time, the first that was planned is first
	do  func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any) {
	*q = append(*q, x.(event))
}
func (q *events) Pop() any {
	all := *q
	last := all[len(all)-1]
	*q = all[:len(all)-1]
	return last
}

// in plans something.
func (e *engine) in(d time.Duration, do func()) {
	e.seq++
	heap.Push(&e.queue, event{e.world.Now().Add(max(d, 0)), e.seq, do})
}

// pass lets time pass, and all happen that is planned until then.
func (e *engine) pass(d time.Duration) {
	end := e.world.Now().Add(d)
	for len(e.queue) > 0 && !e.queue[0].at.After(end) {
		next := heap.Pop(&e.queue).(event)
		e.world.set(next.at)
		next.do()
	}
	e.world.set(end)
}

// set makes it so late. Time never goes back: whoever let it pass on the way had his reason.
func (w *World) set(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.After(w.now) {
		w.now = now
	}
}

// Times of runs.
const (
	// Beyond MaxBehind, and what else clocks differ by, nobody can tell a clock that is behind from one that was
	// ahead.
	maxLag   = incident.MaxBehind - 5*time.Minute
	runTime  = 50 * time.Second       // until the deadline that a run is given
	killTime = 60 * time.Second       // until the platform kills it
	latency  = 200 * time.Millisecond // of a call
	gaveUp   = 10 * time.Second       // when a caller of Slack gives up
)

// proc is a run as the engine has it: it stops at each call that one goroutine makes at a time, for as long
// as the call takes, while others go on. Readings are made by several at once, and take no time.
type proc struct {
	*engine
	run   *run
	began time.Time // true time
	kill  time.Time
	ahead time.Duration // of its machine's clock
	own   bool          // the store's clock is its machine's
	lag   time.Duration // how long its clock stood still while it slept; the store's, too, until an answer
	fate  func(op, what string) fate
	stale func(effect func() error, d time.Duration) // plans a write that arrives late; nil if it cannot

	yield  func(time.Duration) bool
	next   func() (time.Duration, bool)
	stop   func()
	asleep bool // frozen: the platform kills nobody meanwhile
	done   bool
}

// fate is what becomes of one call.
type fate struct {
	how     how
	applied bool          // it took effect
	took    time.Duration // how long it takes, or is stopped
	before  bool          // frozen: before the call takes effect
	lags    bool          // frozen: the clock stood still meanwhile
	err     error         // what it says
	do      func()        // what happens beside it
}

// how is the way in which a call goes wrong.
type how int

const (
	well      how = iota
	fails         // with an error, before or after it took effect
	dies          // the run is killed there, before or after
	slow          // it takes its time; if that is more than the run has, the platform kills it
	freezes       // the run is stopped, before or after the effect, and goes on later
	lies          // the cloud gives no backends; a store lists what was, or misses what is there
	arrives       // it takes effect after its sender gave up
	changes       // what is read changes just before or just after
	temporary     // Slack certainly did not take it
	down          // nothing arrives in the channel: no connection, 429, a bad token
	unknown       // Slack answers 5xx or not at all, and did not do it
	lost          // it did, and the answer is lost
)

// spawn begins a run. work is what it does; after is called once it has ended or died.
func (p *proc) spawn(work, after func()) {
	p.began = p.world.Now()
	p.kill = p.began.Add(killTime)
	p.next, p.stop = iter.Pull(func(yield func(time.Duration) bool) {
		p.yield = yield
		work()
	})
	p.step(after)
}

// step lets a run go on until its next stop.
func (p *proc) step(after func()) {
	d, ok := p.next()
	if !ok {
		p.done = true
		after()
		return
	}
	if left := p.kill.Sub(p.world.Now()); !p.asleep && d > left {
		p.in(left, func() { p.run.die(); p.step(after) })
		return
	}
	p.in(d, func() { p.step(after) })
}

// pause stops the run for a while.
func (p *proc) pause(d time.Duration) {
	if d > 0 && !p.run.isDead() && !p.yield(d) {
		p.run.die() // the history is over
	}
}

// freeze stops the run as if its process were stopped, or its machine slept.
func (p *proc) freeze(f fate) {
	p.asleep = true
	p.pause(f.took)
	p.asleep = false
	p.kill = p.kill.Add(f.took)
	if f.lags && p.lag+f.took <= maxLag {
		p.lag += f.took
	}
}

// local is the time by the clock of the machine.
func (p *proc) local() time.Time { return p.world.Now().Add(p.ahead - p.lag) }

// shared is the time by the store's clock.
func (p *proc) shared() time.Time {
	if p.own {
		return p.local()
	}
	return p.world.Now().Add(-p.lag)
}

// parallel are the calls that several goroutines make at once.
var parallel = map[string]bool{"read": true, "health": true, "list": true, "exist": true, "hear": true}

// call makes one call that is not to Slack.
func (p *proc) call(op, what string, effect func() error) error {
	if p.run.isDead() {
		return ErrDied
	}
	f := p.fate(op, what)
	if parallel[op] {
		return p.read(f, effect)
	}
	p.pause(latency / 2)
	switch f.how {
	case slow:
		p.pause(f.took)
	case freezes:
		if f.before {
			p.freeze(f)
		}
	case arrives:
		if p.stale != nil && !p.run.isDead() {
			p.stale(effect, f.took)
			p.pause(gaveUp)
			return f.err
		}
	}
	if p.run.isDead() {
		return ErrDied
	}
	if !p.own {
		p.lag = 0 // the answer tells the time
	}
	var err error
	if f.how != fails && f.how != dies || f.applied {
		err = effect()
	}
	switch f.how {
	case dies:
		p.run.die()
		return ErrDied
	case fails:
		err = f.err
	case lies:
		if err == nil {
			err = f.err
		}
	case freezes:
		if !f.before {
			p.freeze(f)
		}
	}
	p.pause(latency / 2)
	if p.run.isDead() {
		return ErrDied
	}
	return err
}

// read makes one of several readings at once.
func (p *proc) read(f fate, effect func() error) error {
	switch f.how {
	case fails:
		return f.err
	case lies:
		if err := effect(); err != nil {
			return err
		}
		return f.err
	case changes:
		if f.before {
			f.do()
			return effect()
		}
		defer f.do()
	}
	return effect()
}
