package lb

// Capacity is how much of a load balancer there is, and how much of it serves.
type Capacity struct {
	Running int `json:"running"`           // backends running
	Total   int `json:"total"`             // backends bound
	Ill     int `json:"ill,omitempty"`     // of those running, how many fail a health check
	Weight  int `json:"weight,omitempty"`  // the sum of their weights: weight 0 is drained and counts nothing
	Serving int `json:"serving,omitempty"` // of that, the weight of those that serve
}

func CapacityOf(bs []Backend) (c Capacity) {
	for _, b := range bs {
		c.Total++
		c.Weight += b.Weight
		c.Serving += b.Serving()
		if b.Running() {
			c.Running++
		}
		if b.Running() && len(b.Failing) > 0 {
			c.Ill++
		}
	}
	return c
}

// Lost is the share of weight that does not serve: lost of all. Both are 0 where every weight is 0.
func (c Capacity) Lost() (lost, all int) { return c.Weight - c.Serving, c.Weight }
