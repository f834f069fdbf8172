package report

import (
	"math"
	"time"

	"clbwatch/internal/watch"
)

// New makes a report of what a survey found. incomplete is why the state cannot be
// read, which knows since when backends are not running, or nil.
func New(at time.Time, took time.Duration, standings []watch.Standing, incomplete error) Report {
	r := Report{At: at.UTC().Truncate(time.Second), Took: math.Round(took.Seconds()*1000) / 1000, Pools: make([]Pool, 0, len(standings))}
	for _, s := range standings {
		p := Pool{CLB: s.CLB, Backends: s.Backends, Running: s.Running, NotRunning: s.NotRunning}
		if s.Err != nil {
			p.Err, p.Do = s.Err.Error(), watch.Advice(s.Err)
		}
		r.Pools = append(r.Pools, p)
	}
	if incomplete != nil {
		r.Note = "The state cannot be read, so ticks fail and no change is told: " + incomplete.Error()
	}
	return r
}
