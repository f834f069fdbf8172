package store

import (
	"net/http"
	"sync"
	"time"
)

const (
	// maxAnswer is how long an answer may take to tell the time: after that nobody knows what time it is
	// there.
	maxAnswer = callTimeout
	// dateRounds is how far the Date of an answer may be behind because it has no fractions of a second.
	dateRounds = 2 * time.Second
)

// clock is the time of the servers that keep the state. It is as good on one machine as on another, whatever
// their own clocks say: never more than a second behind the servers, nor more than maxAnswer ahead of them. A
// machine whose clock is set forward is ahead until the next answer.
type clock struct {
	read func() instant

	mu   sync.Mutex
	date time.Time // of the newest answer; zero before the first
	sent instant   // when its request was sent
}

// instant is a moment by the clocks of this machine.
type instant struct {
	wall time.Time     // without a monotonic reading
	mono time.Duration // since the start; it stands still while the machine sleeps
}

// newClock makes a clock. Until the first answer it is now, which may have a monotonic reading.
func newClock(now func() time.Time) *clock {
	start := now()
	return &clock{read: func() instant {
		t := now()
		return instant{t.Round(0), t.Sub(start)}
	}}
}

// since is the time from a to b: the longer of two measures. The machine may have slept, or its clock may
// have been set.
func since(a, b instant) time.Duration { return max(b.mono-a.mono, b.wall.Sub(a.wall)) }

// now is the time.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at(c.read())
}

func (c *clock) at(i instant) time.Time {
	if c.date.IsZero() {
		return i.wall.UTC()
	}
	return c.date.Add(since(c.sent, i))
}

// heard takes the time from an answer to a request that was sent at some instant.
func (c *clock) heard(h http.Header, sent instant) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || h.Get("x-cos-request-id") == "" { // not COS's own
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.read()
	took := since(sent, got)
	if took > maxAnswer || took < 0 {
		return
	}
	if behind := c.at(got).Sub(date.Add(took)); !c.date.IsZero() && behind >= 0 && behind < dateRounds {
		return // the one before was closer
	}
	c.date, c.sent = date.UTC(), sent
}
