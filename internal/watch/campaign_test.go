package watch_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"clbwatch/internal/watchtest"
)

// TestCampaign lives through random histories with the state in memory; internal/store has them with real stores. A
// history that fails shrinks, and is replayed with the seed it prints.
func TestCampaign(t *testing.T) {
	t.Parallel()
	for _, lively := range []bool{false, true} {
		for _, finds := range []bool{false, true} {
			t.Run(fmt.Sprintf("lively %v, threads %v", lively, finds), func(t *testing.T) {
				t.Parallel()
				var tally watchtest.Tally
				rapid.Check(t, func(t *rapid.T) { watchtest.Campaign{Lively: lively, Finds: finds}.Run(t, &tally) })
				t.Log(&tally)
			})
		}
	}
}
