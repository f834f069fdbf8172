package notifier

import (
	"testing"
	"time"
)

// The tests in this file were each written for a deliberate fault that no other test saw.

func TestDurationIsSaidInTheUnitsOfPeople(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "less than 1 min", 29 * time.Second: "less than 1 min", 30 * time.Second: "1 min", 59 * time.Minute: "59 min",
		time.Hour: "1 h", 47*time.Hour + 59*time.Minute: "47 h 59 min", 48 * time.Hour: "2 d", 73 * time.Hour: "3 d 1 h",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) = %q, want %q", d, got, want)
		}
	}
}
