package watch_test

import (
	"os"
	"testing"

	"pgregory.net/rapid"

	"clbwatch/internal/watchtest"
)

// TestCampaign lives through random histories with the state in memory; internal/store has them with real stores. A
// history that fails shrinks, and is replayed with the seed it prints.
func TestCampaign(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]watchtest.Campaign{
		"bot":            {},
		"bot, files":     {Own: true},
		"bot, lively":    {Lively: true},
		"bot, blind":     {Blind: true, Lively: true},
		"webhook":        {Route: "webhook:1"},
		"webhook, files": {Route: "webhook:1", Own: true, Lively: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tally watchtest.Tally
			c.Trace = os.Getenv("TRACE") != ""
			rapid.Check(t, func(t *rapid.T) { c.Run(t, &tally) })
			t.Log(&tally)
		})
	}
}
