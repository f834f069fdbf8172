package watch

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errStalled: a call was given up because the others had been done for a while.
var errStalled = errors.New("no answer while the others were read")

// stall ends the contexts of calls that hang while others succeed.
type stall struct {
	parent context.Context //nolint:containedctx // it makes the contexts of calls
	most   time.Duration
	timer  *time.Timer

	mu     sync.Mutex
	open   map[int]context.CancelCauseFunc
	next   int
	passed bool // something succeeded
	ended  bool
}

func newStall(ctx context.Context, most time.Duration) *stall {
	s := &stall{parent: ctx, most: most, open: make(map[int]context.CancelCauseFunc)}
	s.timer = time.AfterFunc(most, s.expire)
	return s
}

// enter begins a call. done ends it and says whether it succeeded.
func (s *stall) enter() (ctx context.Context, done func(error)) {
	ctx, cancel := context.WithCancelCause(s.parent)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.next
	s.next++
	s.open[n] = cancel
	return ctx, func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, n)
		cancel(nil)
		if err == nil && !s.ended {
			s.passed = true
			s.timer.Reset(s.most)
		}
	}
}

// expire ends all calls, if others succeeded, and goes on watching those that follow.
func (s *stall) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if s.passed {
		for _, cancel := range s.open {
			cancel(errStalled)
		}
	}
	s.timer.Reset(s.most)
}

// stop ends the watch.
func (s *stall) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.timer.Stop()
}
