package lb

// Capacity is how much of a load balancer there is, and how much of it serves. Weights are sums of the
// backends' weights; weight 0 is drained and counts nothing.
type Capacity struct {
	Running int `json:"running"`       // backends running
	Total   int `json:"total"`         // backends bound
	Ill     int `json:"ill,omitempty"` // of those running, how many fail a health check
	// backends whose status is not known: they are neither running nor out
	Unknown int `json:"unknown,omitempty"`
	Weight  int `json:"weight,omitempty"`  // of all
	Serving int `json:"serving,omitempty"` // of that, the weight that serves
	Lost    int `json:"lost,omitempty"`    // of the rest, the weight of what served before, while it was watched
	Out     int `json:"out,omitempty"`     // backends out of service that were not so at first sight
}

// CapacityOf adds up backends.
func CapacityOf(bs []Backend) (c Capacity) {
	for _, b := range bs {
		c.Total++
		c.Weight += b.Weight
		c.Serving += b.Serving()
		switch {
		case b.Running():
			c.Running++
		case b.Status == Unknown:
			c.Unknown++
		}
		if b.Running() && len(b.Failing) > 0 {
			c.Ill++
		}
		if b.anew() {
			c.Lost += b.Weight - b.Serving()
		}
	}
	c.Out = OutAnew(bs)
	return c
}

// NotServing is the share of weight that does not serve: lost of all. Both are 0 where every weight is 0.
func (c Capacity) NotServing() (lost, all int) { return c.Weight - c.Serving, c.Weight }
