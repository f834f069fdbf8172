package demo

import (
	"context"
	"strings"
	"time"
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
		s.mu.Lock()
		events := append([]string{""}, s.orders...)
		s.orders = nil
		s.mu.Unlock()
		for _, event := range events {
			// A run that fails is shown, and the next one goes on.
			if _, err := s.invoke(ctx, event, true); ctx.Err() != nil {
				return nil
			} else if err != nil && strings.Contains(err.Error(), "start the function") {
				return err
			}
		}
		select {
		case <-every.C:
		case <-p.kick:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *stage) isLive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

