package incident

import (
	"time"

	"clbwatch/internal/lb"
)

// Record is one line of the history: a change, or how an incident went once it is over. Exactly one of Change
// and Closed is set.
type Record struct {
	At       time.Time `json:"at"`       // observation that showed it
	Incident string    `json:"incident"` // its number
	CLB      lb.CLB    `json:"clb"`      // of a list: ID is what CLB_DISCOVER says of the region
	Change   *Past     `json:"change,omitempty"`
	Closed   *Summary  `json:"closed,omitempty"`
}

// Past is one change of one backend.
type Past struct {
	Kind lb.Kind   `json:"kind"`
	ID   string    `json:"id"`             // the backend's
	Name string    `json:"name,omitempty"` // untrusted text
	Is   lb.Status `json:"is,omitempty"`   // its status then
	Was  lb.Status `json:"was,omitempty"`  // and before, where that changed
	Out  time.Time `json:"out,omitzero"`   // recovered and healthy again only: since when it had been out
}

// Summary is how an incident went.
type Summary struct {
	About  About       `json:"about,omitempty"`
	Began  time.Time   `json:"began"`
	End    End         `json:"end"`
	Before lb.Capacity `json:"before,omitzero"`
	Worst  lb.Capacity `json:"worst,omitzero"`
	Now    lb.Capacity `json:"now,omitzero"`
	Counts lb.Counts   `json:"counts,omitzero"`
	// Messages: how many its root took in Slack, the incidents beside it included
	Messages int `json:"messages"`
	// Undelivered: why its news was never delivered, or is presumed delivered
	Undelivered string `json:"undelivered,omitempty"`
}

func recordOf(i *Incident, c lb.CLB, ch lb.Change) Record {
	p := &Past{Kind: ch.Kind, ID: ch.Backend.ID, Name: ch.Backend.Name, Is: ch.Backend.Status, Was: ch.Was}
	if ch.Out != nil {
		p.Out = ch.Out.Since
	}
	return Record{At: ch.At, Incident: i.ID, CLB: c, Change: p}
}

// records are what the history keeps of a root that leaves the state.
func (r *Root) records(at time.Time, undelivered string) (all []Record) {
	for _, i := range r.Incidents {
		all = append(all, r.record(i, at, undelivered))
	}
	return all
}

// record is what the history keeps of an incident.
func (r *Root) record(i *Incident, at time.Time, undelivered string) Record {
	went := &Summary{About: i.About, Began: i.Began, End: i.End, Before: i.Before, Worst: i.Worst, Now: i.Now,
		Counts: i.Counts, Messages: r.Delivery.Messages, Undelivered: undelivered}
	return Record{At: at, Incident: i.ID, CLB: i.CLB(), Closed: went}
}
