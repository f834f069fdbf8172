package incident

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// bound moves machines to where they need less room, the least important first, and counts what has none at all.
func (s *State) bound() {
	total, crowd := 0, 0
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			crowd += len(i.Crowd)
		}
	}
	for _, r := range slices.Backward(s.Roots) {
		room := min(maxMachines, maxInHead-total)
		for _, i := range r.Incidents {
			n := len(i.Machines)
			if n <= room {
				room -= n
				total += n
				continue
			}
			slices.SortStableFunc(i.Machines, func(a, b Machine) int {
				return cmp.Or(cmp.Compare(b.Now, a.Now), cmp.Compare(b.Rev, a.Rev))
			})
			for _, m := range i.Machines[room:] {
				if crowd >= maxCrowd {
					r.Beyond++
					continue
				}
				if i.Crowd == nil {
					i.Crowd = make(Crowd)
				}
				i.Crowd[hash(m.ID)] = m.member()
				crowd++
			}
			i.Machines = slices.Clip(i.Machines[:room])
			total += room
			room = 0
		}
	}
}

// Clone copies the state so that the copy can be judged while the original stays as it is.
func (s *State) Clone() *State {
	next := *s
	next.Roots = make([]*Root, len(s.Roots))
	for n, r := range s.Roots {
		root := *r
		root.Incidents = make([]*Incident, len(r.Incidents))
		for k, i := range r.Incidents {
			incident := *i
			incident.Machines, incident.Emptied, incident.Crowd = slices.Clone(i.Machines), slices.Clone(i.Emptied), maps.Clone(i.Crowd)
			root.Incidents[k] = &incident
		}
		root.Delivery = r.Delivery.clone()
		next.Roots[n] = &root
	}
	next.Unread, next.Reasons = maps.Clone(s.Unread), slices.Clone(s.Reasons)
	next.Channels = make(map[Route]*Channel, len(s.Channels))
	for route, c := range s.Channels {
		channel := *c
		next.Channels[route] = &channel
	}
	return &next
}

func cut(text string) string {
	if len(text) > maxWhy {
		text = strings.ToValidUTF8(text[:maxWhy], "") + "…"
	}
	return text
}
