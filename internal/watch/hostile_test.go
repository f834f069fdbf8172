package watch

import (
	"strings"
	"testing"
)

// endless is text without an end.
type endless struct {
	of   string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.of)
	}
	e.read += n
	return n, nil
}

// TestLineWithoutAnEndIsAnError: what a small stored object unpacks to does not take all memory.
func TestLineWithoutAnEndIsAnError(t *testing.T) {
	t.Parallel()
	e := &endless{of: "x"}
	if _, _, err := openSnapshot(e); err == nil || !strings.Contains(err.Error(), "more than") || e.read > 2*maxLine {
		t.Errorf("an index without an end: %v, after %d bytes; want an error after %d or so", err, e.read, maxLine)
	}
	if _, err := DecodeHead(1, []byte(`{"schema":`+strings.Repeat("[", 1<<20))); err == nil {
		t.Error("a head of a million brackets was taken")
	}
}
