package app

import (
	"context"
	"os"
	"time"

	"clbwatch/internal/watch"
)

// sleep waits for d. If ctx ends first, it returns its error at once.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// spool returns a temporary file without a name: it is gone when it is closed, or when the process ends.
func spool() (watch.Spool, error) {
	f, err := os.CreateTemp("", "clbwatch-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
