package demo

import (
	"context"
	"errors"
	"strings"
	"time"

	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/terminal"
)

// liveEvery is how often a live stage ticks by itself. On the platform it is a minute.
const liveEvery = 5 * time.Second

// goLive ticks by itself, and at once after each order, until ctx ends or, if patience is above 0, nobody has
// looked at the page for so long.
func (s *stage) goLive(ctx context.Context, p *webPage, patience time.Duration) error {
	s.mu.Lock()
	s.live = true
	s.mu.Unlock()
	s.announce()
	every := time.NewTicker(liveEvery)
	defer every.Stop()
	seen := time.Now()
	for {
		if p.viewers.Load() > 0 {
			seen = time.Now()
		} else if patience > 0 && time.Since(seen) >= patience {
			s.say("Nobody looks at the page: that was all.")
			return nil
		}
		events, passing := s.next()
		for _, event := range append(events, "") {
			// A run that fails is shown, and the next one goes on.
			if _, err := s.invoke(ctx, event, true); ctx.Err() != nil {
				return nil
			} else if err != nil && strings.Contains(err.Error(), "start the function") {
				return err
			} else if err != nil && event != "" {
				s.refuse(err)
			}
		}
		if passing && s.minuteOver() {
			continue
		}
		select {
		case <-every.C:
		case <-p.kick:
		case <-ctx.Done():
			return nil
		}
	}
}

// next is what happens before a tick: the events that are asked for, a step of each rolling restart and, if
// some are to pass, a minute.
func (s *stage) next() (events []string, passing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, s.orders = s.orders, nil
	if passing = s.minutes > 0; passing {
		s.later(time.Minute)
	}
	for lb := range s.restarts {
		s.roll(lb)
	}
	return events, passing
}

// minuteOver notes that the tick of a minute that passed is done, and reports whether more are to pass.
func (s *stage) minuteOver() (more bool) {
	s.mu.Lock()
	s.minutes--
	more = s.minutes > 0
	s.mu.Unlock()
	s.announce()
	return more
}

// rolling is a rolling restart of a load balancer.
type rolling struct {
	left []string // ids of the backends to come
	down string   // the one that is stopped now; "" before the first
}

// roll starts the backend that a rolling restart has stopped, and stops the next. What was removed meanwhile
// is left out. The caller holds s.mu.
func (s *stage) roll(lb string) {
	r := s.restarts[lb]
	if s.bound(order{LB: lb, ID: r.down}) == nil {
		s.cloud.SetStatus(r.down, 2)
	}
	for len(r.left) > 0 {
		r.down, r.left = r.left[0], r.left[1:]
		if s.bound(order{LB: lb, ID: r.down}) == nil {
			s.cloud.SetStatus(r.down, 4)
			return
		}
	}
	delete(s.restarts, lb)
}

// refuse notes what is wrong with an order, for the page; nil if nothing is.
func (s *stage) refuse(err error) {
	s.mu.Lock()
	s.refused = ""
	if ferr, ok := errors.AsType[*scf.Error](err); ok {
		s.refused = terminal.Clean(ferr.Message) // without the name that Go gives its type
	} else if err != nil {
		s.refused = terminal.Clean(err.Error())
	}
	s.mu.Unlock()
	s.announce()
}

func (s *stage) isLive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}
