package watch_test

import (
	"context"
	"testing"
	"time"

	"clbwatch/internal/state"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// shards does one tick of each of so many shards, a minute after the last; all must succeed.
func shards(t *testing.T, w *watchtest.World, of int, keys ...string) {
	t.Helper()
	w.Advance(time.Minute)
	for n := 1; n <= of; n++ {
		if _, err := shard(t, w, n, of, keys...); err != nil {
			t.Fatalf("Tick of shard %d/%d: %v", n, of, err)
		}
	}
}

func shard(t *testing.T, w *watchtest.World, n, of int, keys ...string) (watch.Summary, error) {
	t.Helper()
	ctx, cancel := context.WithDeadline(t.Context(), w.Now().Add(50*time.Second))
	defer cancel()
	s := state.Shard{N: n, Of: of}
	if of == 1 {
		s = state.Shard{}
	}
	return w.Shard(s, keys...).Tick(ctx)
}
