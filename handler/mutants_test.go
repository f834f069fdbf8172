package handler_test

import (
	"errors"
	"testing"
)

// The tests in this file were each written for a deliberate fault that no other test saw.

func TestTestMessageIsAnsweredWithWhetherItWasSent(t *testing.T) {
	t.Parallel()
	if out, err := serve(&app{}).Invoke(t.Context(), []byte(`"test"`)); err != nil || string(out) != `{"sent":true}` {
		t.Errorf("Invoke = %s, %v, want that it was sent", out, err)
	}
	revoked := errors.New("no_service")
	if out, err := serve(&app{err: revoked}).Invoke(t.Context(), []byte(`"test"`)); !errors.Is(err, revoked) {
		t.Errorf("Invoke = %s, %v, want %v", out, err, revoked)
	}
}
