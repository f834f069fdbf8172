package replay

import (
	"maps"
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/story"
)

// Story are the observations of a story: one a minute. If it does not say when it starts, that is on a Monday
// at midnight.
func Story(s story.Story) Ticks {
	start := s.Start
	if start.IsZero() {
		start = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	}
	return func(yield func(Tick) error) error {
		var world story.World
		snapshot := make(map[string][]lb.Backend)
		next := 0
		for minute := -1; minute < s.Ticks+story.Settle; minute++ {
			stirred := minute < 0
			for ; next < len(s.Steps) && s.Steps[next].T <= minute; next++ {
				world.Take(s.Steps[next])
				stirred = true
			}
			if !stirred {
				continue
			}
			at := start.Add(time.Duration(minute) * every)
			t := Tick{Observation: incident.Observation{At: at}, Slack: world.Slack}
			observe(&t.Observation, &world, snapshot)
			if err := yield(t); err != nil {
				return err
			}
		}
		end := start.Add(time.Duration(s.Ticks+story.Settle) * every)
		return yield(Tick{Observation: incident.Observation{At: end}, Over: true})
	}
}

// observe reads what there is in the world of a story.
func observe(o *incident.Observation, world *story.World, snapshot map[string][]lb.Backend) {
	for _, name := range slices.Sorted(maps.Keys(world.CLBs)) {
		clb := lb.CLB{Region: "story", ID: name, Label: name}
		if world.Fails {
			o.Unread = append(o.Unread, incident.Unread{Key: clb.Key(), About: incident.Reading,
				Reason: incident.Reason{Why: "the story says that the API fails"}})
			continue
		}
		now := world.Reading(name, func(id string) lb.Backend { return lb.Backend{ID: id, Name: id} })
		old, known := snapshot[name]
		if !known {
			snapshot[name] = lb.Baseline(now, o.At)
			continue
		}
		next, changes := lb.Diff(old, now, o.At, time.Time{})
		if len(changes) > 0 {
			o.Changed = append(o.Changed, incident.Changed{CLB: clb, Delta: lb.Compare(old, next, changes)})
		}
		snapshot[name] = next
	}
	o.Name = func(key string) lb.CLB {
		c := lb.ParseKey(key)
		c.Label = c.ID
		return c
	}
}
