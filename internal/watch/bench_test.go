package watch

import (
	"fmt"
	"testing"
	"time"

	"clbwatch/internal/lb"
)

// BenchmarkDiff compares two pools of 100 backends, which is done only where an answer's bytes are new.
func BenchmarkDiff(b *testing.B) {
	var old []lb.Backend
	for i := range 100 {
		old = append(old, lb.Backend{ID: fmt.Sprintf("ins-%08d", i), Name: fmt.Sprint("web-", i), LanIP: "10.0.0.1", Status: lb.Running, Weight: 10})
	}
	for _, stopped := range []int{0, 1, 100} {
		b.Run(fmt.Sprint("stopped=", stopped), func(b *testing.B) {
			now := append([]lb.Backend(nil), old...)
			for i := range stopped {
				now[i].Status = 4
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, changes := lb.Diff(old, now, time.Time{}, time.Time{}); len(changes) != stopped {
					b.Fatalf("%d changes, want %d", len(changes), stopped)
				}
			}
		})
	}
}
