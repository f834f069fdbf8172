package watch

import (
	"maps"
	"slices"
	"time"

	"clbwatch/internal/lb"
)

// Thread is a message that people have and that tells of incidents still open: later news of them belongs to it, until
// every one is over.
type Thread struct {
	Receipt Receipt           `json:"receipt"` // where the message is
	Alert   Alert             `json:"alert"`   // what it told first, as far as a message has room
	Course  map[string]Course `json:"course"`  // how its incidents went on, by load balancer
}

// Course is how the incident of one load balancer went on after it was told first.
type Course struct {
	lb.Capacity           // as it was told last
	Since       time.Time `json:"since"`          // when the incident was first seen
	Over        time.Time `json:"over,omitzero"`  // when every backend ran again; zero while it is open
	Later       lb.Counts `json:"later,omitzero"` // what was told after the first message
}

// Open reports whether any of its incidents is open.
func (t Thread) Open() bool {
	for _, c := range t.Course {
		if c.Over.IsZero() {
			return true
		}
	}
	return false
}

// Bounds of what is kept to edit a message: about what it has room for.
const (
	maxThreads       = 32
	maxThreadPools   = 15
	maxThreadChanges = 60
)

// newThread is the thread of a message that told a.
func newThread(a Alert, r Receipt) Thread {
	a.Claimed = false
	t := Thread{Receipt: r, Alert: a.cut(maxThreadPools, maxThreadChanges), Course: make(map[string]Course)}
	for _, p := range a.Pools { // those that were cut too: their later news belongs here
		if p.Open() {
			t.Course[p.CLB.Key()] = Course{Capacity: p.Capacity, Since: since(p, a.From)}
		}
	}
	return t
}

// since is when the first of the changes was seen.
func since(p PoolNews, from time.Time) time.Time {
	for _, ch := range p.Changes {
		return ch.At
	}
	return from
}

// with returns the thread after later news of its load balancers was told.
func (t Thread) with(a Alert) Thread {
	t.Course = maps.Clone(t.Course)
	for _, p := range a.Pools {
		c, ok := t.Course[p.CLB.Key()]
		if !ok || !c.Over.IsZero() {
			continue
		}
		c.Capacity, c.Later = p.Capacity, c.Later.Plus(p.Counts)
		if !p.Open() {
			c.Over = a.To
			if n := len(p.Changes); n > 0 {
				c.Over = p.Changes[n-1].At
			}
		}
		t.Course[p.CLB.Key()] = c
	}
	return t
}

// Threads are the messages that tell of open incidents, by name.
type Threads map[string]Thread

// after returns the threads once a was told by the message r, or in the thread of that.
func (ts Threads) after(a Alert, r Receipt) Threads {
	next := make(Threads, len(ts))
	for id, t := range ts {
		if t = t.with(a); id == a.Thread && r.TS != "" && r != t.Receipt {
			// The message was gone, and a new one took its place.
			moved := newThread(merge(t.Alert, a), r)
			for key, c := range t.Course {
				if _, ok := moved.Course[key]; ok || c.Over.IsZero() {
					moved.Course[key] = c
				}
			}
			t = moved
		}
		if t.Open() {
			next[id] = t
		}
	}
	if _, ok := ts[a.Thread]; !ok && r.TS != "" && a.Thread != "" { // heads of schema 1 owe alerts without a thread
		if t := newThread(a, r); t.Open() {
			next[a.Thread] = t
		}
	}
	for len(next) > maxThreads {
		delete(next, slices.MinFunc(slices.Collect(maps.Keys(next)), func(x, y string) int {
			return next[x].Alert.To.Compare(next[y].Alert.To)
		}))
	}
	if len(next) == 0 {
		return nil
	}
	return next
}

// of returns the threads without load balancers that are not watched any more.
func (ts Threads) of(clbs []lb.CLB) Threads {
	watched := make(map[string]bool, len(clbs))
	for _, c := range clbs {
		watched[c.Key()] = true
	}
	var next Threads
	for id, t := range ts {
		t.Course = maps.Clone(t.Course)
		maps.DeleteFunc(t.Course, func(key string, _ Course) bool { return !watched[key] })
		if !t.Open() {
			continue
		}
		if next == nil {
			next = make(Threads)
		}
		next[id] = t
	}
	return next
}

// shares reports whether both alerts tell of a same load balancer.
func (a Alert) shares(b Alert) bool {
	for _, p := range b.Pools {
		if slices.ContainsFunc(a.Pools, func(q PoolNews) bool { return q.CLB.Key() == p.CLB.Key() }) {
			return true
		}
	}
	return false
}

// Past is one change that was found, kept for reports.
type Past struct {
	At   time.Time `json:"at"`
	CLB  lb.CLB    `json:"clb"`
	Kind lb.Kind   `json:"kind"`
	ID   string    `json:"id"`             // the backend's
	Name string    `json:"name,omitempty"` // untrusted text
	Is   lb.Status `json:"is,omitempty"`   // its status then
}

// remember adds the changes to the log, and drops the oldest beyond its bound.
func (h *Head) remember(a Alert) {
	log := slices.Clone(h.Log)
	for _, p := range a.Pools {
		for _, ch := range p.Changes {
			log = append(log, Past{At: ch.At, CLB: p.CLB, Kind: ch.Kind, ID: ch.Backend.ID, Name: ch.Backend.Name, Is: ch.Backend.Status})
		}
	}
	if over := len(log) - maxLog; over > 0 {
		h.LogFrom = log[over-1].At.Add(time.Millisecond) // times are whole milliseconds
		log = slices.Clone(log[over:])
	}
	h.Log = log
}
