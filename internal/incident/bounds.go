package incident

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// bound moves machines to where they need less room, the least important first, and counts what has none at
// all. Of too many incidents the older ones lose their names, which are in the snapshot.
func (s *State) bound() {
	crowd, named := 0, 0
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			crowd += len(i.Crowd)
		}
	}
	total, bytes := maxInHead, maxDetails
	for _, r := range slices.Backward(s.Roots) {
		room := maxMachines
		for _, i := range r.Incidents {
			if i.About == Backends {
				named++
			}
			if named > maxNamed {
				i.Label, i.Title = "", ""
			}
			fit := i.fit(min(room, total), &bytes)
			room, total = room-fit, total-fit
			for _, m := range i.Machines[fit:] {
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
			i.Machines = slices.Clip(i.Machines[:fit])
		}
	}
}

// fit puts the machines that matter most first if there is no room for all, and returns for how many there
// is. bytes is what is left of maxDetails.
func (i *Incident) fit(room int, bytes *int) (n int) {
	sizes := func() (sum int) {
		for n = range min(len(i.Machines), room) {
			text, err := json.Marshal(i.Machines[n])
			if err != nil || sum+len(text) > *bytes {
				return sum
			}
			sum += len(text)
		}
		n = min(len(i.Machines), room)
		return sum
	}
	used := sizes()
	if n < len(i.Machines) {
		slices.SortStableFunc(i.Machines, func(a, b Machine) int {
			return cmp.Or(cmp.Compare(b.Now, a.Now), cmp.Compare(b.Rev, a.Rev))
		})
		used = sizes()
	}
	*bytes -= used
	return n
}

// retire takes the oldest incidents out of open roots that are over and were shown, if there are too many. It
// returns what the history is to have of them. Roots keep their first: it gives them their number.
func (s *State) retire(at time.Time) (past []Record) {
	type member struct {
		root     *Root
		incident *Incident
	}
	var over []member
	for _, r := range s.Roots {
		d := &r.Delivery
		if !r.Open() || d.Claim != nil || d.Doubt != nil {
			continue
		}
		for _, i := range r.Incidents[1:] {
			if !i.Open() && i.Rev <= d.Shown && i.Loud <= d.Shown {
				over = append(over, member{r, i})
			}
		}
	}
	if len(over) <= maxOver {
		return nil
	}
	slices.SortStableFunc(over, func(a, b member) int { return a.incident.Closed.Compare(b.incident.Closed) })
	gone := make(map[*Incident]bool)
	for _, m := range over[:len(over)-maxOver] {
		gone[m.incident] = true
		m.root.Over++
		m.root.Unmended = m.root.Unmended || m.incident.End != EndResolved
		past = append(past, m.root.record(m.incident, at, ""))
	}
	for _, r := range s.Roots {
		r.Incidents = slices.DeleteFunc(r.Incidents, func(i *Incident) bool { return gone[i] })
	}
	return past
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
			incident.Machines, incident.Emptied = slices.Clone(i.Machines), slices.Clone(i.Emptied)
			incident.Crowd = maps.Clone(i.Crowd)
			root.Incidents[k] = &incident
		}
		root.Delivery = r.Delivery.clone()
		next.Roots[n] = &root
	}
	next.Unread, next.Reasons = maps.Clone(s.Unread), slices.Clone(s.Reasons)
	next.Silences = slices.Clone(s.Silences)
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
