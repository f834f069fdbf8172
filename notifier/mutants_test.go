package notifier

import (
	"context"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/watch"
)

// The tests in this file were each written for a deliberate fault that no other test saw.

// TestWaitThatIsCutShortIsNotDelivered has the run end while Slack makes it wait: the alert must stay owed.
func TestWaitThatIsCutShortIsNotDelivered(t *testing.T) {
	t.Parallel()
	s, h, _ := newSlack(t, says(429, "rate_limited", "Retry-After", "3"), says(200, "ok"))
	s.cfg.Sleep = func(context.Context, time.Duration) error { return context.Canceled }
	if _, err := s.Notify(t.Context(), watch.Delivery{Alert: alerts()["one-down"]}); class(err) != "not sent" || len(h.sent()) != 1 {
		t.Errorf("%v after %d posts, want not sent after one", err, len(h.sent()))
	}
}

func TestReadingOfLongAgoIsToldWithItsDay(t *testing.T) {
	t.Parallel()
	b := blind()
	b.LastGood = b.Since.Add(-48 * time.Hour)
	if m := AlertMessage(watch.Alert{To: at(4, 53), Blind: []watch.Blind{b}}, Style{}); !strings.Contains(m.Plain, "last good reading 2026-11-21 04:43 UTC") {
		t.Errorf("the message does not say when the last good reading was:\n%s", m.Plain)
	}
}
