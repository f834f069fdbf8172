package watch_test

import (
	"flag"
	"os"
	"testing"

	"pgregory.net/rapid"

	"clbwatch/internal/watchtest"
)

var trace = flag.Bool("trace", false, "log what happens in each history that fails")

// TestMain makes fewer histories than rapid would, unless it is asked for some number.
func TestMain(m *testing.M) {
	os.Exit(watchtest.Main(m, 4))
}

// TestCampaign lives through random histories with the state in memory; internal/store has them with real
// stores. A history that fails shrinks, and is replayed with the seed it prints; with -trace it tells all
// that happened.
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
			c.Trace = *trace
			var tally watchtest.Tally
			rapid.Check(t, func(t *rapid.T) { c.Run(t, &tally) })
			t.Log(&tally)
		})
	}
}
