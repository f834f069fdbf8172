package watchtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"pgregory.net/rapid"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

// Campaign is one random history of load balancers and of all that goes wrong around them, against a model that knows
// what people must believe. Backends come, go, stop, start, are bound, unbound and fail checks, and load balancers are
// deleted, while readings, the store and Slack fail before or after they did something, are slow, or lie, runs die,
// overlap and come late, clocks differ, days pass, and shards become more or fewer.
type Campaign struct {
	Place  Place // of the state; nil is the world's own
	Finds  bool  // Slack finds its messages again, as a bot does
	Lively bool  // backends have bindings and health, and load balancers are found by a search

	*rapid.T
	world *World
	pools map[string]map[string]lb.Backend // the cloud as it is
	past  map[string][]lb.Status           // what each backend, "key/id", was in turn; 0 is absent
	maybe map[string]bool                  // alerts whose delivery or mark went wrong: they may be told twice
	gone  map[string]bool                  // load balancers that were deleted
	of    int                              // shards
	tally *Tally
}

// Tally counts what campaigns lived through, to be shown: what never happened proves nothing.
type Tally struct {
	Histories, Runs, Faults, Lost, Deaths, Overlaps, Changes, Told, Doubles atomic.Int64
}

// String is the tally in a line.
func (t *Tally) String() string {
	return fmt.Sprintf("%d histories, %d runs, %d faults (%d of them lost only an answer), %d deaths, %d overlaps, "+
		"%d changes, %d alerts told, %d of them twice where that is allowed", t.Histories.Load(), t.Runs.Load(),
		t.Faults.Load(), t.Lost.Load(), t.Deaths.Load(), t.Overlaps.Load(), t.Changes.Load(), t.Told.Load(), t.Doubles.Load())
}

// maxShards is how many shards there may be in a campaign.
const maxShards = 3

const (
	campaignAPI = "ap-guangzhou/lb-c4r9t0zw" // an application load balancer, if the history is lively
	campaignWeb = "ap-guangzhou/lb-8a3k2m1q"
	campaignFar = "ap-shanghai/lb-far" // may be deleted, if the history is lively
)

var (
	campaignKeys     = []string{campaignAPI, campaignWeb, campaignFar}
	campaignBindings = []lb.Binding{ // one for each listener, so that what is told of listeners tells of bindings
		{Listener: "HTTPS:443", Rule: "a.com/", Port: 8080, Weight: 10}, {Listener: "TCP:22", Port: 22, Weight: 10}, {Listener: "TCP:80", Port: 80, Weight: 10},
	}
)

// Run lives through the history, and fails t where people were told what is not so, or not told what is.
func (c Campaign) Run(t *rapid.T, tally *Tally) {
	c.T, c.tally, c.world, c.of = t, tally, New(), 1
	c.pools, c.past, c.maybe, c.gone = map[string]map[string]lb.Backend{}, map[string][]lb.Status{}, map[string]bool{}, map[string]bool{}
	if c.Finds {
		c.world.Thread()
	}
	if c.Place != nil {
		c.world.In(c.Place)
	}
	c.world.Health(c.Lively)
	if c.Lively {
		c.world.SetKind(campaignAPI, lb.Application)
	}
	for _, key := range campaignKeys {
		c.pools[key] = map[string]lb.Backend{}
		for _, id := range []string{"ins-a", "ins-b"} {
			c.set(key, c.backend(key, id, lb.Running, len(campaignBindings)))
		}
		c.set(key, lb.Backend{ID: "ins-c"}) // absent
	}
	c.tick(0) // the baseline
	steps := map[string]func(*rapid.T){
		"change":    func(*rapid.T) { c.change() },
		"tick":      func(*rapid.T) { c.tick(0) },
		"bad tick":  func(*rapid.T) { c.bad(func() { c.tick(0) }) },
		"worse":     func(*rapid.T) { c.change(); c.bad(func() { c.tick(0) }); c.change(); c.bad(func() { c.tick(0) }) },
		"late tick": func(*rapid.T) { c.world.Advance(20 * time.Minute); c.tick(0) },
		"days pass": func(*rapid.T) { c.world.Advance(25 * time.Hour); c.bad(c.collect); c.tick(0) },
		"fast and slow clocks": func(*rapid.T) {
			c.tick(time.Duration(rapid.IntRange(-600, 600).Draw(t, "seconds")) * time.Second)
		},
		"": func(*rapid.T) { c.check(false) },
	}
	if c.Lively {
		steps["other shards"] = func(*rapid.T) { c.of = c.number() }
		steps["a stray shard"] = func(*rapid.T) { c.stray() }
		steps["delete"] = func(*rapid.T) { c.delete() }
	}
	t.Repeat(steps)
	c.world.Advance(10 * time.Minute) // until regions are listed again
	c.tick(0)
	c.calm(owesNothing)
	c.check(true)
	for _, s := range c.shards() {
		if head := c.world.HeadOf(s); head != nil && len(head.Outbox) > 0 {
			t.Fatalf("in the end shard %s owes %+v", s, head.Outbox)
		}
	}
	tally.Histories.Add(1)
}

// calm lets half an hour pass in which nothing goes wrong, or less once it is done: a lease that a dead run took under a
// clock that was ahead may last for a while.
func (c *Campaign) calm(done func(head *watch.Head) bool) {
	for range 30 {
		c.tick(0)
		all := true
		for _, s := range c.shards() {
			all = all && done(c.world.HeadOf(s))
		}
		if all {
			return
		}
	}
}

// shards are those that there are now.
func (c *Campaign) shards() []watch.Shard { return shards(c.of) }

func shards(of int) (all []watch.Shard) {
	for n := range of {
		all = append(all, watch.Shard{N: n + 1, Of: of})
	}
	return all
}

// backend is one of a load balancer, on so many listeners.
func (c *Campaign) backend(key, id string, status lb.Status, on int) lb.Backend {
	b := lb.Backend{ID: id, Name: "prod-" + strings.TrimPrefix(id, "ins-"), Status: status, Weight: 10, LanIP: "10.0.0.1"}
	if c.Lively && key == campaignAPI {
		b.Bindings = slices.Clone(campaignBindings[:on])
		b.Weight = 10 * on
	}
	if c.Lively {
		b.Checked = max(1, len(b.Bindings))
	}
	return b
}

// set makes this of a backend; with the status 0 it is absent.
func (c *Campaign) set(key string, b lb.Backend) {
	delete(c.pools[key], b.ID)
	if b.Status != 0 {
		c.pools[key][b.ID] = b
	}
	of := key + "/" + b.ID
	if past := c.past[of]; len(past) == 0 || past[len(past)-1] != b.Status {
		c.past[of] = append(past, b.Status)
	}
	c.world.Set(key, slices.Collect(maps.Values(c.pools[key]))...)
}

// change does one thing to one backend.
func (c *Campaign) change() { c.draw()() }

// draw is a change that is yet to happen.
func (c *Campaign) draw() func() {
	key := rapid.SampledFrom(campaignKeys).Draw(c.T, "key")
	id := rapid.SampledFrom([]string{"ins-a", "ins-b", "ins-c"}).Draw(c.T, "id")
	status := rapid.SampledFrom([]lb.Status{0, 2, 2, 4, 9}).Draw(c.T, "status")
	b := c.backend(key, id, status, rapid.IntRange(1, len(campaignBindings)).Draw(c.T, "listeners"))
	if b.Checked > 0 && rapid.Bool().Draw(c.T, "fails checks") {
		b.Failing = []string{"TCP:80 → 80"}
	}
	return func() {
		if c.gone[key] {
			return
		}
		c.tally.Changes.Add(1)
		c.set(key, b)
	}
}

// delete deletes the load balancer that is far.
func (c *Campaign) delete() {
	c.gone[campaignFar] = true
	c.pools[campaignFar] = map[string]lb.Backend{}
	c.world.Delete(campaignFar)
}

// number draws how many shards there are, once nothing is owed: an alert goes over whole, so what it tells of another
// shard's load balancer may come after later news of that.
func (c *Campaign) number() int {
	c.calm(owesNothing)
	return rapid.IntRange(1, maxShards).Draw(c.T, "shards")
}

func owesNothing(head *watch.Head) bool {
	return head != nil && head.Moved == 0 && len(head.Outbox) == 0
}

// stray is a run of a number of shards that nobody wants, such as by an event that is wrong.
func (c *Campaign) stray() {
	of := c.number()
	n := rapid.IntRange(1, of).Draw(c.T, "shard")
	c.bad(func() { c.world.Advance(time.Minute); c.run(watch.Shard{N: n, Of: of}, 0) })
}

// tick is a run of every shard, a minute after the last, by a clock that is off.
func (c *Campaign) tick(off time.Duration) {
	c.world.Advance(time.Minute)
	for _, s := range c.shards() {
		c.run(s, off)
	}
}

func (c *Campaign) run(s watch.Shard, off time.Duration) {
	c.tally.Runs.Add(1)
	now := func() time.Time { return c.world.Now().Add(off) }
	ctx, cancel := context.WithDeadline(context.Background(), now().Add(50*time.Second))
	defer cancel()
	w := c.watcher(s)
	w.Now = now
	_, _ = w.Tick(ctx) // what it says of itself is tested elsewhere
}

func (c *Campaign) watcher(s watch.Shard) *watch.Watcher {
	if !c.Lively {
		return c.world.Shard(s, campaignKeys...)
	}
	w := c.world.Shard(s)
	w.Discover = []watch.Scope{{Region: "ap-guangzhou"}, {Region: "ap-shanghai"}}
	return w
}

// collect is a collection of old state in each shard, beside those that ticks make now and then.
func (c *Campaign) collect() {
	for _, s := range c.shards() {
		_ = c.watcher(s).Store.Collect(context.Background()) // it may fail: it is tried again
	}
}

// The ways in which calls go wrong.
const (
	fails    = "fails"    // before or after it took effect
	dies     = "dies"     // the run is killed there, before or after
	slow     = "slow"     // it takes its time; if that is more than the run has, the platform kills it
	overlaps = "overlaps" // a backend changes, and another run does all its work meanwhile
	notSent  = "not sent" // Slack certainly did not take it: no connection, 429
	lies     = "lies"     // the cloud gives no backends; a store lists what was, misses what is there, or says that what is new was there before
)

// bad does something while one call or several go wrong.
func (c *Campaign) bad(do func()) {
	at := rapid.IntRange(0, 30).Draw(c.T, "call")
	times := rapid.IntRange(1, 4).Draw(c.T, "times")
	apply := rapid.Bool().Draw(c.T, "it happened")
	how := rapid.SampledFrom([]string{fails, dies, slow, overlaps, notSent, lies}).Draw(c.T, "how")
	took := time.Duration(rapid.IntRange(1, 60).Draw(c.T, "seconds")) * time.Second
	change := c.draw()
	kill := c.world.Now().Add(time.Minute + 50*time.Second)
	n := 0
	c.world.Fail(func(op, what string) (bool, error) {
		n++
		if n-1 < at || n-1 >= at+times {
			return true, nil
		}
		c.tally.Faults.Add(1)
		switch how {
		case overlaps:
			c.tally.Overlaps.Add(1)
			c.world.Fail(nil)
			change() // the other run sees later what this one may have read
			c.run(watch.Shard{N: 1 + n%c.of, Of: c.of}, 0)
			return true, nil
		case notSent:
			if op == "notify" {
				return false, fmt.Errorf("%w: no connection", watch.ErrNotSent)
			}
			return true, nil
		case slow:
			c.world.Advance(took)
			if c.world.Now().Before(kill) {
				return true, nil
			}
			c.unsure()
			c.tally.Deaths.Add(1)
			return apply, ErrDied
		case dies:
			c.unsure()
			c.tally.Deaths.Add(1)
			return apply, ErrDied
		case lies:
			switch op {
			case "read": // once: twice in a row is what it is proof against, and no more
				if n-1 == at {
					return true, ErrEmpty
				}
			case "get":
				return false, ErrAbsent
			case "list heads":
				return true, ErrStale
			case "create object":
				return true, ErrTaken
			}
			return true, nil
		}
		c.unsure()
		if apply {
			c.tally.Lost.Add(1)
		}
		if op == "notify" && apply {
			c.maybe[what] = true
		}
		return apply, errors.New("it went wrong")
	})
	do()
	c.world.Fail(nil)
}

// unsure notes that what is being sent now may be told again: its mark may be lost.
func (c *Campaign) unsure() {
	for of := range maxShards {
		for _, s := range shards(of + 1) {
			if head := c.world.HeadOf(s); head != nil {
				for _, a := range head.Outbox {
					c.maybe[a.ID] = true
				}
			}
		}
	}
	for _, d := range c.world.Deliveries() {
		c.maybe[d.Alert.ID] = true
	}
}

// belief is what people know of one backend. The zero belief is that it is not there.
type belief struct {
	there, running, ill bool
	on                  string // its listeners
}

// truth is what there is to know of a backend.
func truth(b lb.Backend) belief {
	var on []string
	for _, b := range b.Bindings {
		on = append(on, b.Listener)
	}
	return belief{true, b.Running(), b.Running() && len(b.Failing) > 0, strings.Join(on, " ")}
}

// check follows what people were told and compares it with what they must believe: in the end, with what is.
func (c *Campaign) check(end bool) {
	believed := map[string]belief{}
	for _, key := range campaignKeys {
		for _, id := range []string{"ins-a", "ins-b"} {
			believed[key+"/"+id] = truth(c.backend(key, id, lb.Running, len(campaignBindings)))
		}
	}
	told := map[string]int{} // how far in its past people are, of each backend
	seen := map[string]bool{}
	for _, d := range c.world.Deliveries() {
		if end {
			c.tally.Told.Add(1)
		}
		if seen[d.Alert.ID] {
			if c.Finds || !c.maybe[d.Alert.ID] {
				c.Fatalf("alert %s was told twice; messages can be found: %v, an answer was lost: %v", d.Alert.ID, c.Finds, c.maybe[d.Alert.ID])
			}
			if end {
				c.tally.Doubles.Add(1)
			}
			continue
		}
		seen[d.Alert.ID] = true
		for _, p := range d.Alert.Pools {
			for _, ch := range p.Changes {
				key := p.CLB.Key() + "/" + ch.Backend.ID
				believed[key] = c.follow(believed[key], key, ch)
				told[key] = c.happened(key, told[key], ch)
			}
		}
		for _, n := range d.Alert.CLBs {
			if n.Fate == watch.Nothing && c.gone[campaignFar] {
				continue
			}
			if n.Fate != watch.Deleted || !c.gone[n.CLB.Key()] {
				c.Fatalf("told that %s is %s", n.CLB.Key(), n.Fate)
			}
			for key := range believed {
				if strings.HasPrefix(key, n.CLB.Key()+"/") {
					believed[key] = belief{}
				}
			}
		}
	}
	if !end {
		return
	}
	for _, key := range campaignKeys {
		for _, id := range []string{"ins-a", "ins-b", "ins-c"} {
			is := belief{}
			if b, ok := c.pools[key][id]; ok {
				is = truth(b)
			}
			if got := believed[key+"/"+id]; got != is {
				c.Fatalf("people believe of %s/%s: %+v, and it is %+v", key, id, got, is)
			}
		}
	}
}

// follow is one step of what people believe. A step from where they are not was lost, doubled or out of order.
func (c *Campaign) follow(was belief, of string, ch lb.Change) (is belief) {
	on := strings.Fields(was.on)
	is = was
	possible := was.there
	switch ch.Kind {
	case lb.Added:
		possible, is, on = !was.there, belief{there: true, running: ch.Backend.Running()}, nil
	case lb.Removed:
		is, on, ch.Part = belief{}, nil, nil
	case lb.LeftRunning:
		possible, is.running, is.ill = was.running, false, false
	case lb.Recovered:
		possible, is.running, is.ill = was.there && !was.running, true, false
	case lb.Unhealthy:
		possible, is.ill, ch.Part = was.running, true, nil
	case lb.Healthy:
		possible, is.ill = was.ill, false
	case lb.Bound, lb.Unbound:
	default:
		c.Fatalf("told of %s that it is %q", of, ch.Kind)
	}
	if ch.Part != nil {
		for _, name := range ch.Part.Names { // a listener, or one of its bindings
			listener, _, _ := strings.Cut(name, " ")
			at := slices.Index(on, listener)
			if (at < 0) != (ch.Kind != lb.Unbound) {
				c.Fatalf("told of %s: %s %s, while people believe %+v", of, ch.Kind, listener, was)
			}
			if at < 0 {
				on = append(on, listener)
			} else {
				on = slices.Delete(on, at, at+1)
			}
		}
	}
	slices.Sort(on)
	is.on = strings.Join(on, " ")
	if !possible {
		c.Fatalf("told that %s was %s, while people believe %+v", of, ch.Kind, was)
	}
	return is
}

// happened looks for what is told in what became of the backend since what was told last, and returns how far that goes.
func (c *Campaign) happened(of string, last int, ch lb.Change) int {
	status := ch.Backend.Status
	switch ch.Kind {
	case lb.Removed:
		status = 0
	case lb.Added, lb.LeftRunning, lb.Recovered:
	default:
		return last // it may be told beside another change, or have had the status for long
	}
	past := c.past[of]
	for i := last + 1; i < len(past); i++ {
		if past[i] == status {
			return i
		}
	}
	c.Fatalf("told that %s was %s (%v), which did not happen since what was told before: it was %v, told up to %d", of, ch.Kind, status, past, last)
	return last
}
