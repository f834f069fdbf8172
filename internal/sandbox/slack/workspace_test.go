package slack

import (
	"context"
	"errors"
	"testing"
)

func TestSlackWait(t *testing.T) {
	t.Parallel()
	s := newWebhookTest(t)
	done := make(chan error)
	go func() { done <- s.Wait(t.Context(), 2) }()
	s.post(t.Context(), plainText)
	s.post(t.Context(), plainText)
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ctx, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait(cancelled, 3) = %v, want %v", err, context.Canceled)
	}
	if err := s.Wait(ctx, 2); err != nil {
		t.Errorf("Wait(cancelled, 2) = %v, want nil: they are there", err)
	}
}
