package watchtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
)

// Silence makes somebody silence load balancers, or acknowledge an incident, and returns it with its number.
func (w *World) Silence(q incident.Silence, d time.Duration) incident.Silence {
	w.mu.Lock()
	defer w.mu.Unlock()
	q.ID, q.Made, q.Until = fmt.Sprint(len(w.silences)+1), w.now, w.now.Add(d)
	w.silences = append(w.silences, q)
	return q
}

// EndSilence makes somebody end a silence.
func (w *World) EndSilence(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range w.silences {
		if q := &w.silences[n]; q.ID == id && q.Ended.IsZero() {
			q.Ended = w.now
		}
	}
}

// silences are those of the world as a run hears of them. Its fault's op is "hear".
type silences run

var _ watch.Silences = (*silences)(nil)

// List returns all of them. A listing that is behind lacks what was made or ended in the last minute.
func (s *silences) List(context.Context, []incident.Silence) (all []incident.Silence, err error) {
	r := (*run)(s)
	hear := func(until time.Time) {
		all = []incident.Silence{}
		for _, q := range r.World.silences {
			if q.Made.After(until) {
				continue
			}
			if q.Ended.After(until) {
				q.Ended = time.Time{}
			}
			all = append(all, q)
		}
	}
	err = r.do("hear", "silences", func() error { hear(r.World.now); return nil })
	if errors.Is(err, ErrStale) {
		r.World.mu.Lock()
		defer r.World.mu.Unlock()
		hear(r.World.now.Add(-time.Minute))
		return all, nil
	}
	return all, err
}

// Make and End are what people do; runs do not.
func (*silences) Make(context.Context, incident.Silence) (q incident.Silence, err error) {
	return q, errors.New("a run makes no silence")
}

// End ends none.
func (*silences) End(context.Context, string, string, time.Time) (q incident.Silence, err error) {
	return q, errors.New("a run ends no silence")
}

// covering are the silences of the world that cover a load balancer at a time.
func (w *World) covering(key string, at time.Time) (some []incident.Silence) {
	w.mu.Lock()
	defer w.mu.Unlock()
	newest := make(map[string]string)
	for _, q := range w.silences {
		newest[q.What] = q.ID
	}
	for _, q := range w.silences {
		if q.Active(at) && q.What != "" && newest[q.What] == q.ID && lb.ParseKey(key).Matches(q.What) {
			some = append(some, q)
		}
	}
	return some
}

// silences makes somebody silence something, acknowledge an incident, or end a silence.
func (h *history) silences(e happening) {
	switch e.What {
	case "silence":
		h.tally.Silences.Add(1)
		what := []string{"*", "lb-c4r9t0zw", "lb-8a*", "lb-far"}[e.N%4]
		h.world.Silence(incident.Silence{What: what, All: e.N/4%2 == 0}, e.For*time.Duration(1+e.N/8%6))
	case "end silence":
		h.world.EndSilence(fmt.Sprint(1 + e.N%8))
	case "acknowledge":
		var open []string
		for _, head := range h.current() {
			for _, r := range head.Incidents.Roots {
				for _, i := range r.Incidents {
					if i.Open() {
						open = append(open, i.ID)
					}
				}
			}
		}
		if len(open) > 0 {
			h.tally.Acks.Add(1)
			h.world.Silence(incident.Silence{Incident: open[e.N%len(open)]}, incident.MaxAck)
		}
	}
}

// clocksDiffer is by how much the times that runs note may differ from each other, and some more.
const clocksDiffer = 9 * time.Minute

// hears notes when a shard has come to know silences.
func (h *history) hears(s state.Shard, head *state.Head) {
	for _, q := range head.Incidents.Silences {
		if key := s.String() + " " + q.ID; h.heard[key].IsZero() {
			h.heard[key] = h.world.Now()
		}
	}
}

// keepsQuiet holds that a message does not alarm about what a silence holds back that was known when it
// happened.
func (h *history) keepsQuiet(s state.Shard, call incident.Call, r *incident.Root) {
	now := h.world.Now()
	for _, i := range r.Incidents {
		if i.About != incident.Backends || !i.Open() {
			continue
		}
		for _, q := range h.world.covering(i.Key, now.Add(clocksDiffer)) {
			heard := h.heard[s.String()+" "+q.ID]
			rose := h.rose[i.ID] || i.Level >= incident.Degraded
			for _, m := range i.Machines {
				told := m.Now == incident.Out && m.Rev > r.Delivery.Shown && !m.Held()
				known := !heard.IsZero() && m.OutAt.After(heard.Add(clocksDiffer))
				// A root that people were told of before shows all there is.
				before := call.Post.Root && !i.Began.After(heard.Add(clocksDiffer))
				if told && known && !before && (q.All || !rose) {
					h.Fatalf("%s says that %s of %s stopped, which silence %s holds back: %s", call.Key, m.ID, i.Key, q.ID,
						show(r))
				}
			}
		}
	}
}

// told holds that people know what no silence holds back any more.
func (h *history) told(i *incident.Incident) {
	if i.Ack != "" || len(h.world.covering(i.Key, h.world.Now().Add(-clocksDiffer))) > 0 {
		return
	}
	for _, m := range i.Machines {
		if m.Silent && m.Now != m.Known && m.Now == incident.Out {
			h.Fatalf("incident %s: no silence covers %s, and nobody was told of %s: %+v", i.ID, i.Key, m.ID, m)
		}
	}
}

// nobodyKnows reports whether nothing about a root was ever news.
func nobodyKnows(r *incident.Root) bool {
	return !slices.ContainsFunc(r.Incidents, func(i *incident.Incident) bool { return i.Rev > 0 })
}

// heldBack holds that an incident which nobody was told of has left nothing behind.
func (h *history) heldBack(r incident.Record) {
	c := r.Closed
	if c.Undelivered != "a silence held it back" {
		return
	}
	h.tally.HeldBack.Add(1)
	over := c.End == incident.EndResolved || c.End == incident.EndOver
	if n := c.Counts; over && (n.Added != n.Removed || n.LeftRunning > n.Recovered+n.Removed) {
		h.Fatalf("incident %s of %s is over, and nobody was told what it left: %+v", r.Incident, r.CLB.Key(), c)
	}
}
