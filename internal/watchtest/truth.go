package watchtest

import (
	"context"
	"maps"
	"slices"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
)

// checkWorld compares the snapshots and the documents with what is.
func (h *history) checkWorld(records []incident.Record, heads []*state.Head, open map[string]*incident.Root) {
	abandoned := make(map[string]bool)
	dropped := make(map[string]bool)
	for _, r := range records {
		if r.Closed != nil {
			abandoned[r.CLB.Key()] = abandoned[r.CLB.Key()] || r.Closed.End == incident.EndAbandoned
			dropped[r.CLB.Key()] = dropped[r.CLB.Key()] || r.Closed.End == incident.EndDropped
		}
	}
	machines := make(map[string]incident.Machine)
	for _, r := range open {
		for _, i := range r.Incidents {
			abandoned[i.Key] = abandoned[i.Key] || i.End == incident.EndAbandoned
			dropped[i.Key] = dropped[i.Key] || i.End == incident.EndDropped
			if i.About != incident.Backends || !i.Open() {
				continue
			}
			if h.gone[i.Key] {
				h.Fatalf("incident %s of %s goes on, which was deleted", i.ID, i.Key)
			}
			h.told(i)
			for _, m := range i.Machines {
				machines[i.Key+"/"+m.ID] = m
			}
		}
	}
	for n, head := range heads {
		pools := h.snapshot(h.shards()[n], head)
		for _, key := range campaignKeys {
			if !h.shards()[n].Owns(key) || h.gone[key] {
				continue
			}
			if got, want := plain(pools[key]), plain(slices.Collect(maps.Values(h.pools[key]))); got != want {
				h.Fatalf("the snapshot has %s as %s, and it is %s", key, got, want)
			}
			for _, b := range pools[key] {
				h.checkBackend(key, b, machines, abandoned[key], dropped[key] && h.sharded)
			}
			for _, id := range campaignIDs {
				m, ok := machines[key+"/"+id]
				if _, there := h.pools[key][id]; ok && !there && m.Now != incident.Absent {
					h.Fatalf("an open incident has %s of %s as there, and it is not: %+v", id, key, m)
				}
			}
		}
	}
}

// checkBackend holds that what is out is in an open incident as that, and what is not is not.
func (h *history) checkBackend(key string, b lb.Backend, machines map[string]incident.Machine,
	abandoned, dropped bool,
) {
	m, ok := machines[key+"/"+b.ID]
	out := !b.Running() || len(b.Failing) > 0
	granted := (b.Out == nil || b.Out.AtLeast) && (b.Ill == nil || b.Ill.AtLeast)
	switch {
	case ok && out != (m.Now == incident.Out):
		h.Fatalf("an open incident has %s of %s as %+v, and it is %+v", b.ID, key, m, b)
	case out && granted && !abandoned:
		h.Fatalf("it is taken for granted that %s of %s is out: %+v", b.ID, key, b)
	case out && !granted && !ok && !dropped:
		h.Fatalf("%s of %s is out, and no open incident has it: %+v", b.ID, key, b)
	}
}

// plain is what a pool amounts to.
func plain(pool []lb.Backend) string {
	var all []string
	for _, b := range pool {
		s := b.ID + " " + b.Status.String()
		if b.Running() {
			s += " " + strings.Join(b.Failing, " ")
		}
		for _, on := range b.Bindings {
			s += " " + on.Listener
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// snapshot reads the snapshot of a shard.
func (h *history) snapshot(s state.Shard, head *state.Head) map[string][]lb.Backend {
	snap, err := state.OpenSnapshot(context.Background(), must((&run{World: h.world}).store(s)), head)
	if err != nil {
		h.Fatalf("open the snapshot of shard %s: %v", s, err)
	}
	defer snap.Close()
	pools := make(map[string][]lb.Backend)
	for _, key := range slices.Sorted(maps.Keys(snap.Index.CLBs)) {
		line, err := snap.Seek(key)
		if err != nil {
			h.Fatalf("read the snapshot of shard %s: %v", s, err)
		}
		if line != nil {
			pools[key] = must(state.DecodePool(line))
		}
	}
	return pools
}
