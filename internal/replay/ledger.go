package replay

import (
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// ledger knows what is out of service and taken for granted: it counts as if it had been out at first sight.
// What the history says goes by the settings of its time; a ledger takes that back, or applies others.
type ledger struct {
	out     map[string]map[string]int // weight that is out since it served, by load balancer and backend
	granted map[string]map[string]int // of that, what is taken for granted
}

// accept takes for granted what is out of a load balancer.
func (l *ledger) accept(key string) {
	for id, weight := range l.out[key] {
		put(&l.granted, key, id, weight)
	}
}

// change follows what changed, and returns it as it is where what is granted is left out of the figures: sign
// -1; or counted again, where it was left out: sign 1.
func (l *ledger) change(c incident.Changed, sign int) incident.Changed {
	key := c.CLB.Key()
	l.figures(key, &c.Before, sign)
	for _, ch := range c.Changes {
		id := ch.Backend.ID
		weight, granted := l.granted[key][id]
		switch ch.Kind {
		case lb.LeftRunning, lb.Unhealthy:
			put(&l.out, key, id, ch.Lost)
		case lb.Added:
			if ch.Backend.Stopped() {
				put(&l.out, key, id, 0)
			}
		case lb.Removed:
			if granted {
				c.Removed += sign * weight
			}
			drop(l.out, key, id)
		case lb.Recovered, lb.Healthy:
			drop(l.out, key, id)
		default:
			continue
		}
		drop(l.granted, key, id)
	}
	l.figures(key, &c.Now, sign)
	return c
}

// figures corrects a capacity for what is granted.
func (l *ledger) figures(key string, c *lb.Capacity, sign int) {
	for _, weight := range l.granted[key] {
		c.Out = max(c.Out+sign, 0)
		c.Lost = max(c.Lost+sign*weight, 0)
	}
}

func put(m *map[string]map[string]int, key, id string, weight int) {
	if *m == nil {
		*m = make(map[string]map[string]int)
	}
	if (*m)[key] == nil {
		(*m)[key] = make(map[string]int)
	}
	(*m)[key][id] = weight
}

func drop(m map[string]map[string]int, key, id string) {
	if delete(m[key], id); len(m[key]) == 0 {
		delete(m, key)
	}
}
