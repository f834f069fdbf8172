package stories

import (
	"maps"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/story"
)

// Truth is what is true of the load balancers of a story, minute by minute, by docs/design.md and by its own
// count. Times are minutes of the story. Make one with NewTruth.
type Truth struct {
	CLBs   map[string]*CLB
	Stable int // STABLE_AFTER
	Blind  int // minutes without a reading until now
	Seen   int // minutes with a reading until now

	transient int // TRANSIENT_FOR
}

// Level is how bad it is on one load balancer.
type Level int

// Levels, from well to worst.
const (
	OK Level = iota
	Impaired
	Degraded
	Down
)

// String is the level in a word.
func (l Level) String() string { return [...]string{"ok", "impaired", "degraded", "down"}[l] }

// CLB is what is true of one load balancer.
type CLB struct {
	Name    string
	Pool    map[string]story.Backend
	Changed map[string]int // when each backend changed last

	Open, Stable bool // an incident goes on; it is stable
	Began, News  int  // when it began and changed last
	Level        Level
	ByRemovals   bool            // nothing is out: what was lost was removed
	Accepted     bool            // the level fell this minute without a recovery: see settle
	Resolved     bool            // the last incident ended with as much serving and running as there was
	Abandoned    bool            // it ended with something out that nobody does anything about
	Owed         []Duty          // what became due; whoever has checked it clears it
	Held         map[string]bool // what is out, and is not to be reported yet

	ran, granted   map[string]bool // it served while it was watched; its outage is taken for granted
	since          map[string]int  // since when what may pass by itself lasts
	last           int             // News, and the minutes without a reading since
	before         story.Backend   // how many ran when it began, and their weight
	removed, added int             // weight
	wasOut         bool
	left           [2]int // since when it is not at degraded, at down; -1 while it is
	risen          [2]bool
}

// Duty is something that must be in the channel as soon as Slack takes it.
type Duty struct {
	What  string
	Level Level // what it is at least to be shown as, unless that is over by then
}

// NewTruth is the truth before the first minute.
func NewTruth(s story.Story) *Truth {
	return &Truth{CLBs: make(map[string]*CLB), Stable: int(s.Duration("STABLE_AFTER") / time.Minute),
		transient: int(s.Duration("TRANSIENT_FOR") / time.Minute)}
}

// Tenths is how many minutes a part of STABLE_AFTER takes, rounded up to whole ones.
func (t *Truth) Tenths(n int) int { return (t.Stable*n + 9) / 10 }

// Observe goes on to a minute, in which the world is as it is.
func (t *Truth) Observe(minute int, w *story.World) {
	if t.Blind, t.Seen = t.Blind+1, 0; !w.Fails {
		t.Blind, t.Seen = 0, t.Seen+1
	}
	for name, pool := range w.CLBs {
		c := t.CLBs[name]
		if c == nil {
			t.CLBs[name] = begin(name, pool)
			continue
		}
		c.Accepted = false
		if w.Fails {
			c.last++
			continue
		}
		c.change(minute, t.held(c, pool, minute))
		c.settle(minute, t.Stable)
	}
}

func begin(name string, pool map[string]story.Backend) *CLB {
	c := &CLB{Name: name, Pool: maps.Clone(pool), Changed: make(map[string]int), ran: make(map[string]bool),
		granted: make(map[string]bool), since: make(map[string]int)}
	for id, b := range pool {
		c.ran[id], c.granted[id] = b.Serves(), !b.Serves()
	}
	return c
}

// held is the pool as it counts: what may pass by itself is as it was, until it has lasted long enough, or
// until nothing serves any more.
func (t *Truth) held(c *CLB, pool map[string]story.Backend, minute int) map[string]story.Backend {
	seen := maps.Clone(pool)
	c.Held = make(map[string]bool)
	for id, b := range pool {
		was, known := c.Pool[id]
		passes := b.Failing || lb.Status(b.Status).Transient()
		if !known || !was.Serves() || !passes {
			delete(c.since, id)
			continue
		}
		if _, ok := c.since[id]; !ok {
			c.since[id] = minute
		}
		if minute-c.since[id] < t.transient {
			seen[id], c.Held[id] = story.Backend{Status: was.Status, Weight: b.Weight}, true
		}
	}
	for _, b := range pool {
		if b.Serves() && b.Weight > 0 {
			return seen
		}
	}
	c.Held = nil
	return pool
}

func (c *CLB) change(minute int, pool map[string]story.Backend) {
	changed, better := false, true
	before, removed, added := c.serving(), 0, 0
	for id, was := range c.Pool {
		is, there := pool[id]
		if there && is.Status == was.Status && is.Failing == was.Failing {
			continue
		}
		changed, better = true, better && is.Serves()
		c.Changed[id] = minute
		switch {
		case !there:
			if c.ran[id] && !c.granted[id] {
				removed += was.Weight
			}
			delete(c.ran, id)
			delete(c.granted, id)
		case is.Serves():
			if !c.ran[id] && !c.granted[id] {
				added += is.Weight
			}
			c.ran[id] = true
			delete(c.granted, id)
		}
	}
	for id, is := range pool {
		if _, there := c.Pool[id]; there {
			continue
		}
		changed, better = true, false
		c.Changed[id] = minute
		if is.Serves() {
			c.ran[id] = true
			added += is.Weight
		}
	}
	if c.Pool = maps.Clone(pool); !changed {
		return
	}
	switch {
	case !c.Open:
		c.Open, c.Began, c.before, c.removed, c.added, c.wasOut = true, minute, before, 0, 0, false
		c.Resolved, c.Abandoned = false, false
		c.owe("the first news", OK)
	case c.Stable && !better:
		c.owe("a change after being stable", OK)
	}
	c.removed, c.added = c.removed+removed, c.added+added
	c.last, c.News, c.Stable = minute, minute, false
	c.wasOut = c.wasOut || c.Out() > 0
	c.relevel(minute)
}

// settle does what time alone does.
func (c *CLB) settle(minute, stable int) {
	was := c.Level
	for n := range c.risen {
		if c.risen[n] && c.left[n] >= 0 && minute-c.left[n] >= stable {
			c.risen[n] = false
		}
	}
	if c.Open && !c.Stable && minute-c.last >= stable {
		c.Stable, c.removed, c.added = true, 0, 0
		c.relevel(minute)
		c.Accepted = c.Level < was
		for n := range c.risen {
			c.risen[n] = c.risen[n] && c.left[n] < 0
		}
	}
	switch now := c.serving(); {
	case !c.Open || !c.Stable:
	case c.Out() == 0:
		c.Open = false
		c.Resolved = c.wasOut && now.Weight >= c.before.Weight && now.Status >= c.before.Status
	case minute-c.last >= 144*stable:
		for id, b := range c.Pool {
			c.granted[id] = !b.Serves()
		}
		c.Open, c.Abandoned, c.Accepted = false, true, true
		c.relevel(minute)
	}
}

func (c *CLB) owe(what string, l Level) { c.Owed = append(c.Owed, Duty{what, l}) }

// serving is how many run, as Status, and the weight that serves.
func (c *CLB) serving() (n story.Backend) {
	for _, b := range c.Pool {
		if b.Status == int(lb.Running) {
			n.Status++
		}
		if b.Serves() {
			n.Weight += b.Weight
		}
	}
	return n
}

// Running is how many backends run.
func (c *CLB) Running() int { return c.serving().Status }

// Is reports whether a backend is out, which served while it was watched.
func (c *CLB) Is(id string) (out bool) {
	b, there := c.Pool[id]
	return there && !b.Serves() && c.ran[id] && !c.granted[id]
}

// Out is how many backends are.
func (c *CLB) Out() (n int) {
	for id := range c.Pool {
		if c.Is(id) {
			n++
		}
	}
	return n
}

func (c *CLB) relevel(minute int) {
	lost := max(0, c.removed-c.added)
	for id, b := range c.Pool {
		if c.Is(id) {
			lost += b.Weight
		}
	}
	switch serving := c.serving().Weight; {
	case !c.Open:
		c.Level = OK
	case serving == 0 && c.before.Weight > 0 && lost > 0:
		c.Level = Down
	case lost > 0 && lost*2 >= lost+serving:
		c.Level = Degraded
	case c.Out() > 0:
		c.Level = Impaired
	default:
		c.Level = OK
	}
	c.ByRemovals = c.Out() == 0
	for n, l := range []Level{Degraded, Down} {
		switch {
		case c.Level >= l:
			c.left[n] = -1
			if !c.risen[n] {
				c.risen[n] = true
				c.owe("a rise", c.Level)
			}
		case c.left[n] < 0:
			c.left[n] = minute
		}
	}
}
