package watch

import (
	"cmp"
	"slices"
	"time"

	"clbwatch/internal/lb"
)

// PoolNews is what an alert tells about the backends of one load balancer.
type PoolNews struct {
	CLB         lb.CLB       `json:"clb"`
	Counts      lb.Counts    `json:"counts"` // exact, also where Changes had to be cut
	lb.Capacity              // after the changes
	Before      *lb.Capacity `json:"before,omitempty"`  // before them; nil if it is not known
	Bare        *lb.Part     `json:"bare,omitempty"`    // listeners and rules that lost their last running backend by the changes; nil if none did
	Out         int          `json:"out,omitempty"`     // backends out of service after the changes that are part of an incident: not those found so at first sight
	Changes     []lb.Change  `json:"changes,omitempty"` // in the order they were seen; of one reading: the worst first
}

// Open reports whether the changes leave an incident open: something that ran does not, or nothing runs.
func (p PoolNews) Open() bool { return p.Out > 0 || p.Running == 0 }

// Lost is the share of weight that was lost: lost of all, where backends that the changes removed count as lost, and
// those they added as found.
func (p PoolNews) Lost() (lost, all int) {
	all = p.Weight
	if p.Before != nil {
		all = max(all, p.Before.Weight)
	}
	return all - p.Serving, all
}

// Fell reports whether the changes are what brought the load balancer, or one of its listeners or rules, down to none
// running, or the load balancer to a loss of at least that many percent of its weight.
func (p PoolNews) Fell(percent int) bool {
	switch {
	case p.Counts.Bad() == 0:
		return false
	case p.Bare != nil:
		return true
	}
	var before lb.Capacity // not known: whatever is lost was lost by these changes
	if p.Before != nil {
		before = *p.Before
	}
	if p.Running == 0 {
		return p.Before == nil || before.Running > 0
	}
	return atLeast(percent, p.Lost) && !atLeast(percent, before.NotServing)
}

func atLeast(percent int, share func() (lost, all int)) bool {
	lost, all := share()
	return all > 0 && lost*100 >= percent*all
}

// What of a load balancer could not be read: Blind and Sighted say it.
const (
	OfBackends = ""       // its backends, and so everything
	OfHealth   = "health" // the health of its backends; their status was read
	OfRegion   = "list"   // which load balancers there are: CLB.ID is what CLB_DISCOVER says of a region, such as "ap-guangzhou/prod-*"
)

// Blind tells of a load balancer that could not be read.
type Blind struct {
	CLB      lb.CLB    `json:"clb"`
	What     string    `json:"what,omitempty"`    // OfBackends, OfHealth or OfRegion
	Since    time.Time `json:"since"`             // the first tick that could not read it
	LastGood time.Time `json:"lastGood,omitzero"` // the last reading known to be good; zero if there was none
	Ticks    int       `json:"ticks"`             // ticks without a reading, up to the notice
	Why      string    `json:"why"`               // the last error; untrusted text, at most maxWhy bytes
	Do       string    `json:"do,omitempty"`      // what a person can do about it
	Told     bool      `json:"told,omitempty"`    // the notice is out or owed
}

// key tells what is blind, of all that may be.
func (b Blind) key() string { return blindKey(b.CLB, b.What) }

func (s Sighted) key() string { return blindKey(s.CLB, s.What) }

func blindKey(c lb.CLB, what string) string {
	if what == OfBackends {
		return c.Key()
	}
	return c.Key() + " " + what
}

// Sighted tells of a load balancer that is readable again after a Blind notice.
type Sighted struct {
	CLB      lb.CLB    `json:"clb"`
	What     string    `json:"what,omitempty"`    // as in Blind
	LastGood time.Time `json:"lastGood,omitzero"` // the last good reading before the gap; zero if there was none
	Since    time.Time `json:"since"`             // the first tick that could not read it
	At       time.Time `json:"at"`                // when it was read again
	Changes  int       `json:"changes"`           // changes found that happened in the gap; they are told in Pools
}

// Baseline tells that load balancers are watched from now on: their first reading is not news.
type Baseline struct {
	CLBs     int        `json:"clbs"`     // how many load balancers are new
	Backends int        `json:"backends"` // how many backends they have
	Running  int        `json:"running"`  // how many of those run
	Pools    []PoolNews `json:"pools"`    // the first ones, worst first, without changes; at most maxBaselinePools
}

// plus adds a load balancer that was read for the first time; b may be nil.
func (b *Baseline) plus(p PoolNews) *Baseline {
	if b == nil {
		b = &Baseline{}
	}
	b.CLBs++
	b.Backends += p.Total
	b.Running += p.Running
	b.Pools = append(b.Pools, p)
	return b
}

// Fate is what became of a load balancer itself.
type Fate string

// What is told of a load balancer itself.
const (
	Deleted   Fate = "deleted"   // it was discovered, and is not there any more
	Unmatched Fate = "unmatched" // it is there, and is not what CLB_DISCOVER asks for any more
	Migrated  Fate = "migrated"  // it is of the other kind now
	Nothing   Fate = "nothing"   // the first list of a Scope has none: CLB.ID is what CLB_DISCOVER says of it
)

// CLBNews tells what became of a load balancer itself. Its backends are then not told as removed or added.
type CLBNews struct {
	CLB    lb.CLB       `json:"clb"`
	Fate   Fate         `json:"fate"`
	At     time.Time    `json:"at"`               // when it was seen
	Is     lb.Type      `json:"is,omitempty"`     // Migrated only: what it is now
	Before *lb.Capacity `json:"before,omitempty"` // as it was read last; nil if it never was
	Now    *lb.Capacity `json:"now,omitempty"`    // Migrated only: as it is now
}

// Alert is one message owed to people: the news of one tick, or of several that could not be told one by one.
// Its size is bounded however much happened (bound); counts stay exact.
type Alert struct {
	ID          string     `json:"id"`                // unique; printed in the message, so that a double can be recognised
	Thread      string     `json:"thread,omitempty"`  // the Head's name for the thread that it opens or belongs to
	Reply       bool       `json:"reply,omitempty"`   // it belongs to the thread of an earlier one: later news of the same incidents
	From        time.Time  `json:"from"`              // when the oldest news in it was read
	To          time.Time  `json:"to"`                // when the newest news in it was read
	Pools       []PoolNews `json:"pools,omitempty"`   // worst first
	More        More       `json:"more,omitzero"`     // what did not fit into Pools
	Blind       []Blind    `json:"blind,omitempty"`   // cannot be read, by key
	Sighted     []Sighted  `json:"sighted,omitempty"` // readable again, by key
	CLBs        []CLBNews  `json:"clbs,omitempty"`    // of load balancers themselves, in the order they were seen
	MoreBlind   int        `json:"moreBlind,omitempty"`
	MoreSighted int        `json:"moreSighted,omitempty"`
	MoreCLBs    int        `json:"moreClbs,omitempty"`
	Baseline    *Baseline  `json:"baseline,omitempty"` // now watching
	Claimed     bool       `json:"claimed,omitempty"`  // a sender took it up: it may have been told already, so nothing may be added to it
}

// More counts what an Alert has no room to name.
type More struct {
	CLBs   int       `json:"clbs"` // in alerts that were joined, one may be counted in each
	Counts lb.Counts `json:"counts"`
}

// Bounds of one alert in the stored head: it stays below 1 MB, with the longest names there can be.
const (
	maxPools         = 100
	maxChanges       = 600
	maxBlind         = 50
	maxBaselinePools = 15
	maxWhy           = 300
)

// Empty reports whether the alert has nothing to tell.
func (a Alert) Empty() bool {
	return len(a.Pools) == 0 && len(a.Blind) == 0 && len(a.Sighted) == 0 && len(a.CLBs) == 0 && a.Baseline == nil
}

// about is the key of the first load balancer that the alert tells of; "" if it tells of none.
func (a Alert) about() string {
	switch {
	case len(a.Pools) > 0:
		return a.Pools[0].CLB.Key()
	case len(a.CLBs) > 0:
		return a.CLBs[0].CLB.Key()
	case len(a.Blind) > 0:
		return a.Blind[0].CLB.Key()
	case len(a.Sighted) > 0:
		return a.Sighted[0].CLB.Key()
	}
	return ""
}

// Totals returns how many changes the alert tells of, and on how many load balancers.
func (a Alert) Totals() (c lb.Counts, clbs int) {
	c, clbs = a.More.Counts, a.More.CLBs+len(a.Pools)
	for _, p := range a.Pools {
		c = c.Plus(p.Counts)
	}
	return c, clbs
}

// merge returns one alert with the news of both; older was owed before newer. The id is newer's.
// Nothing is dropped but detail beyond the bounds; news of one backend stays in order.
func merge(older, newer Alert) Alert {
	m := newer
	m.From, m.Thread, m.Reply = older.From, older.Thread, older.Reply
	m.Pools = mergePools(older.Pools, newer.Pools)
	m.More = More{older.More.CLBs + newer.More.CLBs, older.More.Counts.Plus(newer.More.Counts)}
	// What is told of reading is how it is now: a gap that is over is told by its end.
	now := make(map[string]bool)
	for _, b := range newer.Blind {
		now[b.key()] = true
	}
	for _, s := range newer.Sighted {
		now[s.key()] = true
	}
	m.Blind = slices.Concat(slices.DeleteFunc(slices.Clone(older.Blind), func(b Blind) bool { return now[b.key()] }), newer.Blind)
	m.Sighted = slices.Concat(slices.DeleteFunc(slices.Clone(older.Sighted), func(s Sighted) bool { return now[s.key()] }), newer.Sighted)
	m.CLBs = slices.Concat(older.CLBs, newer.CLBs)
	m.MoreBlind += older.MoreBlind
	m.MoreSighted += older.MoreSighted
	m.MoreCLBs += older.MoreCLBs
	if b, o := newer.Baseline, older.Baseline; b != nil && o != nil {
		m.Baseline = &Baseline{b.CLBs + o.CLBs, b.Backends + o.Backends, b.Running + o.Running, slices.Concat(o.Pools, b.Pools)}
	} else if b == nil {
		m.Baseline = o
	}
	return m.bound()
}

func mergePools(older, newer []PoolNews) []PoolNews {
	at := make(map[string]int, len(older))
	out := slices.Clone(older)
	for i, p := range out {
		at[p.CLB.Key()] = i
	}
	for _, n := range newer {
		i, ok := at[n.CLB.Key()]
		if !ok {
			out = append(out, n)
			continue
		}
		n.Before = out[i].Before
		if n.Bare == nil && n.Counts.Recovered+n.Counts.Added+n.Counts.Bound == 0 {
			n.Bare = out[i].Bare // nothing that came could have changed it
		}
		n.Counts = out[i].Counts.Plus(n.Counts)
		n.Changes = slices.Concat(out[i].Changes, n.Changes)
		out[i] = n
	}
	return out
}

// bound puts the worst first and cuts what does not fit; what is cut stays counted.
func (a Alert) bound() Alert { return a.cut(maxPools, maxChanges) }

// cut bounds the alert to so many load balancers, and changes in all.
func (a Alert) cut(pools, changes int) Alert {
	a.Pools = slices.Clone(a.Pools)
	slices.SortStableFunc(a.Pools, worse)
	for len(a.Pools) > pools {
		last := a.Pools[len(a.Pools)-1]
		a.Pools = a.Pools[:len(a.Pools)-1]
		a.More.CLBs++
		a.More.Counts = a.More.Counts.Plus(last.Counts)
	}
	room := changes
	for i := range a.Pools {
		// The pools that follow get a fair share of what this one leaves.
		share := max(room/(len(a.Pools)-i), 1)
		if i == len(a.Pools)-1 || len(a.Pools[i].Changes) <= share {
			share = min(room, len(a.Pools[i].Changes))
		}
		a.Pools[i].Changes = a.Pools[i].Changes[:share:share]
		room -= share
	}
	a.Blind, a.MoreBlind = first(a.Blind, a.MoreBlind)
	a.Sighted, a.MoreSighted = first(a.Sighted, a.MoreSighted)
	a.CLBs, a.MoreCLBs = first(a.CLBs, a.MoreCLBs)
	if a.Baseline != nil && len(a.Baseline.Pools) > 1 {
		b := *a.Baseline
		slices.SortStableFunc(b.Pools, worse)
		b.Pools = b.Pools[:min(len(b.Pools), maxBaselinePools)]
		a.Baseline = &b
	}
	return a
}

func first[T any](s []T, more int) ([]T, int) {
	if len(s) <= maxBlind {
		return s, more
	}
	return s[:maxBlind], more + len(s) - maxBlind
}

// lostPercent is how much of its weight the news cost the load balancer; 0 if it cost nothing.
func (p PoolNews) lostPercent() int {
	lost, all := p.Lost()
	if all == 0 || p.Counts.Bad() == 0 {
		return 0
	}
	return lost * 100 / all
}

// worse orders load balancers by how bad their news is: lost the last running backend, or that of a listener, then by
// the share of weight lost, then left running, then unhealthy, then removed, then not running at all, then size.
func worse(a, b PoolNews) int {
	dead := func(p PoolNews) int {
		switch {
		case p.Counts.Bad() == 0:
			return 0
		case p.Running == 0:
			return 2
		case p.Bare != nil:
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(dead(b), dead(a)),
		cmp.Compare(b.lostPercent(), a.lostPercent()),
		cmp.Compare(b.Counts.LeftRunning, a.Counts.LeftRunning),
		cmp.Compare(b.Counts.Unhealthy, a.Counts.Unhealthy),
		cmp.Compare(b.Counts.Removed, a.Counts.Removed),
		cmp.Compare(b.Counts.Unbound, a.Counts.Unbound),
		cmp.Compare(b.Total-b.Running, a.Total-a.Running),
		cmp.Compare(b.Counts.Total(), a.Counts.Total()),
		cmp.Compare(a.CLB.Key(), b.CLB.Key()),
	)
}
