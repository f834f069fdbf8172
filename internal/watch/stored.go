package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
)

// Stored says how everything stood when ticks stored it last, and what changed in the time before. It asks
// the cloud nothing and changes no state. With brief set it leaves out the backends and the history: its
// Standings then say which load balancers are watched, and which cannot be read. The oldest of several shards
// counts. A quiet tick stores nothing new for 5 minutes: what it says may be that much older than the last
// tick, and true all the same.
func (w *Watcher) Stored(ctx context.Context, back time.Duration, brief bool) (found Survey, err error) {
	listing, cancel := part(ctx, 3) // how things stand matters more
	made, silencesErr := w.madeSilences(listing)
	cancel()
	v, err := w.view(ctx)
	if err != nil {
		return Survey{}, err
	}
	defer v.close()
	found = Survey{SilencesErr: silencesErr, Silences: w.activeSilences(made, v.at, v.level.Heads)}
	for _, h := range v.level.Heads {
		if h == nil {
			continue
		}
		if !found.Known || h.CommittedAt.Before(found.At) {
			found.At = h.CommittedAt
		}
		found.Known = true
		found.opens(h, func(key string) lb.CLB { return v.clbs[key] })
	}
	if !found.Known {
		return found, errors.New("no tick has stored anything yet")
	}
	found.Age = max(v.at.Sub(found.At), time.Second)
	since := v.at.Add(-back)
	found.Past = incident.Period{Since: since}
	if err := v.stand(ctx, &found, brief); err != nil || brief {
		return found, err
	}
	return found, found.remember(ctx, v.level, since, v.at, 0)
}

// stand adds how each load balancer stood.
func (v *view) stand(ctx context.Context, found *Survey, brief bool) error {
	out := make(map[string]*Standing, len(v.clbs))
	for key, c := range v.clbs {
		out[key] = &Standing{CLB: c, Err: errUnread}
	}
	for _, s := range v.snapshots {
		for _, key := range slices.Sorted(maps.Keys(s.Index.CLBs)) {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("read the state: %w", err)
			}
			if brief {
				out[key].Err = nil
				continue
			}
			line, err := s.Seek(key)
			if err != nil {
				return fmt.Errorf("read the state: %w", err)
			}
			if line == nil {
				continue // never read
			}
			pool, err := state.DecodePool(line)
			if err != nil {
				return fmt.Errorf("read the state: %w", err)
			}
			out[key].Err, out[key].Kind = nil, s.Index.CLBs[key].Kind
			out[key].has(pool, len(out))
		}
		if brief {
			continue
		}
		if err := s.Drain(); err != nil {
			return fmt.Errorf("read the state: %w", err)
		}
	}
	for _, h := range v.level.Heads {
		if h != nil {
			unreadable(h.Incidents, out)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(out)) {
		found.Standings = append(found.Standings, *out[key])
	}
	return nil
}

// errUnread is why nothing is known about a load balancer.
var errUnread = errors.New("no tick has read it yet")

// unreadable notes what could not be read last.
func unreadable(s incident.State, out map[string]*Standing) {
	note := func(key string, about incident.About, why incident.Reason) {
		switch one := out[key]; {
		case one == nil: // a search
		case about == incident.Reading:
			*one = Standing{CLB: one.CLB, Err: errors.New(why.Why)}
		case about == incident.Health && one.Err == nil:
			one.HealthErr = errors.New(why.Why)
		}
	}
	for _, u := range s.Unread {
		note(u.Key, u.About, s.Reason(u.Why))
	}
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.About.Blind() && i.Open() && !i.Readable {
				note(i.Key, i.About, s.Reason(i.Why))
			}
		}
	}
}
