package watchtest

import (
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/timeline"
	"clbwatch/internal/watch"
)

// Course is the timeline of the time before, by lines of the history that do not say how load balancers
// stood: as they stand now, without what changed since. A backend's weight is 10.
func Course(to time.Time, back time.Duration, log []incident.Record, now ...watch.Standing) *timeline.Past {
	stood := make(map[string]lb.Capacity)
	var standing []timeline.Standing
	for _, s := range now {
		if s.Err == nil {
			stood[s.CLB.Key()] = s.Capacity
			standing = append(standing, timeline.Standing{CLB: s.CLB, Capacity: s.Capacity})
		}
	}
	lines := slices.Clone(log)
	for n := len(lines) - 1; n >= 0; n-- {
		r := &lines[n]
		c, ok := stood[r.CLB.Key()]
		if r.Change == nil || !ok {
			continue
		}
		before := c
		switch r.Change.Kind {
		case lb.LeftRunning, lb.Removed:
			before.Running, before.Serving = c.Running+1, c.Serving+10
		case lb.Recovered, lb.Added:
			before.Running, before.Serving = max(c.Running-1, 0), max(c.Serving-10, 0)
		case lb.Unhealthy:
			before.Serving += 10
		case lb.Healthy:
			before.Serving = max(c.Serving-10, 0)
		}
		switch r.Change.Kind {
		case lb.Removed:
			before.Total, before.Weight = c.Total+1, c.Weight+10
		case lb.Added:
			before.Total, before.Weight = c.Total-1, c.Weight-10
		}
		r.Stood = &incident.Stood{Before: before, Now: c}
		stood[r.CLB.Key()] = before
	}
	past := timeline.New(to.Add(-back), to, timeline.CellOf(back), func(shard, _ string) bool { return shard == "1/1" })
	for _, r := range lines {
		past.Take(r)
	}
	return past.Done(standing)
}
