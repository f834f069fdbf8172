package story

import (
	"maps"

	"clbwatch/internal/lb"
)

// World is what a story has done so far. The zero value is before its first step, with an API and a Slack
// that are well.
type World struct {
	CLBs  map[string]map[string]Backend // by name, then by id of the backend
	Fails bool                          // the API does
	Slack string                        // what Step.Slack said last; "" is well
}

// Backend is one backend of a load balancer in a story.
type Backend struct {
	Status, Weight int
	Failing        bool // its health check
}

// Serves reports whether it runs and does not fail its health check.
func (b Backend) Serves() bool { return b.Status == int(lb.Running) && !b.Failing }

// Take makes one step.
func (w *World) Take(s Step) {
	switch {
	case s.API != "":
		w.Fails = s.API != "well"
		return
	case s.Slack != "":
		w.Slack = s.Slack
		if s.Slack == "well" {
			w.Slack = ""
		}
		return
	}
	if w.CLBs == nil {
		w.CLBs = make(map[string]map[string]Backend)
	}
	pool := maps.Clone(w.CLBs[s.CLB])
	if pool == nil {
		pool = make(map[string]Backend)
	}
	for id, status := range s.Set {
		b, ok := pool[id]
		if b.Status = status; !ok {
			b.Weight = lb.DefaultWeight
		}
		if pool[id] = b; status == 0 {
			delete(pool, id)
		}
	}
	for id, weight := range s.Weights {
		b := pool[id]
		b.Weight = weight
		pool[id] = b
	}
	for id, failing := range s.Failing {
		b := pool[id]
		b.Failing = failing
		pool[id] = b
	}
	w.CLBs[s.CLB] = pool
}

// Reading is what a reading of a load balancer finds: name says what the backend with this id is called.
func (w *World) Reading(clb string, name func(id string) lb.Backend) (bs []lb.Backend) {
	for id, x := range w.CLBs[clb] {
		b := name(id)
		b.Status, b.Weight, b.Checked = lb.Status(x.Status), x.Weight, 1
		if x.Failing {
			b.Failing = []string{"TCP:80 → 8080"}
		}
		bs = append(bs, b)
	}
	lb.SortBackends(bs)
	return bs
}
