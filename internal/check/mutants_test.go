package check_test

import (
	"context"
	"errors"
	"testing"

	"clbwatch/internal/check"
)

// The tests in this file were each written for a deliberate fault that no other test saw.

// brokenPipe is an output that nobody reads any more.
type brokenPipe struct{ err error }

func (p brokenPipe) Write([]byte) (int, error) { return 0, p.err }

func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	probe := check.Probe{Name: "x", Run: func(context.Context) (string, error) { return "found", nil }}
	for _, asJSON := range []bool{false, true} {
		if _, err := check.Run(t.Context(), brokenPipe{broken}, []check.Probe{probe}, asJSON); !errors.Is(err, broken) {
			t.Errorf("Run, as JSON: %v: %v, want %v", asJSON, err, broken)
		}
	}
}
