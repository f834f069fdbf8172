package incident

import (
	"cmp"
	"slices"
	"time"
)

// LastGood is the last good reading of a load balancer that cannot be read; ok is false if it can be.
func (s *State) LastGood(key string) (last time.Time, ok bool) {
	if u, ok := s.Unread[blindKey(key, Reading)]; ok {
		return u.LastGood, true
	}
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.Key == key && i.About == Reading && i.Open() && !i.Readable {
				return i.LastGood, true
			}
		}
	}
	return time.Time{}, false
}

// Newer is the number of an incident about the backends of the same load balancer that began after one was
// closed: how that one stood in the end is not how things stand any more. It is "" if there is none.
func (s *State) Newer(i *Incident) (id string) {
	if i.Open() || i.About != Backends {
		return ""
	}
	for _, r := range s.Roots {
		for _, o := range r.Incidents {
			if o.About == Backends && o.Key == i.Key && o.ID != i.ID && !o.Began.Before(i.Closed) {
				id = o.ID
			}
		}
	}
	return id
}

// Watches are the keys of load balancers and searches about which something is open or counted.
func (s *State) Watches() map[string]bool {
	keys := make(map[string]bool)
	for _, u := range s.Unread {
		keys[u.Key] = true
	}
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.Open() {
				keys[i.Key] = true
			}
		}
	}
	return keys
}

// Busy reports whether time alone may change what the state says: something is open, not reported, or on its
// way.
func (s *State) Busy() bool { return len(s.Roots)+len(s.Unread) > 0 }

// Add counts one load balancer, and keeps it if it is one of the worst.
func (b *Baseline) Add(s Standing) {
	b.CLBs++
	b.Backends += s.Now.Total
	b.Running += s.Now.Running
	b.Worst = append(b.Worst, s)
	slices.SortStableFunc(b.Worst, func(a, b Standing) int {
		return cmp.Or(cmp.Compare(b.Now.Total-b.Now.Running, a.Now.Total-a.Now.Running),
			cmp.Compare(a.CLB.Key(), b.CLB.Key()))
	})
	b.Worst = b.Worst[:min(len(b.Worst), maxBaseline)]
}

// Pending is how many roots have something due that no post has shown.
func (s *State) Pending() (n int) {
	for _, r := range s.Roots {
		if !r.Delivery.Due.IsZero() {
			n++
		}
	}
	return n
}
