package incident

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"clbwatch/internal/lb"
)

// Record is one line of the history: a change; how an incident went, once it is over; that watching a load
// balancer began or ended; that something was not seen for a while; or that a silence began or ended. Exactly
// one of Change, Closed, First, Gone, Unseen and Silence is set.
type Record struct {
	At       time.Time `json:"at"`                 // observation that showed it
	Incident string    `json:"incident,omitempty"` // the number, of Change and Closed
	// of a list: ID is what CLB_DISCOVER says of the region. Zero of Silence, and of Unseen with Shard
	CLB    lb.CLB `json:"clb,omitzero"`
	Change *Past  `json:"change,omitempty"`
	// Stood: of the last of several changes of a load balancer in one observation, how it stood then
	Stood  *Stood   `json:"stood,omitempty"`
	Closed *Summary `json:"closed,omitempty"`
	// First: how the load balancer stood when it was read for the first time
	First *lb.Capacity `json:"first,omitempty"`
	// Gone: why the load balancer is not watched any more: EndDeleted or EndDropped
	Gone End `json:"gone,omitempty"`
	// Unseen: since when the load balancer could not be read, or no tick ran, until At
	Unseen *time.Time `json:"unseen,omitempty"`
	// Shard: of Unseen, where no tick ran: for which load balancers, such as "2/4" or "1/1" for all
	Shard   string   `json:"shard,omitempty"`
	Silence *Silence `json:"silence,omitempty"` // as it begins, or as it ends: then Ended says when
}

// Valid reports whether the record says one thing.
func (r Record) Valid() bool {
	says := 0
	for _, is := range []bool{r.Change != nil, r.Closed != nil, r.First != nil, r.Gone != "", r.Unseen != nil,
		r.Silence != nil} {
		if is {
			says++
		}
	}
	return says == 1 && (r.Stood == nil || r.Change != nil) && (r.Shard == "" || r.Unseen != nil)
}

// Past is one change of one backend: all that judging it again takes.
type Past struct {
	Kind lb.Kind   `json:"kind"`
	ID   string    `json:"id"`             // the backend's
	Name string    `json:"name,omitempty"` // untrusted text
	Is   lb.Status `json:"is,omitempty"`   // its status then
	Was  lb.Status `json:"was,omitempty"`  // and before, where that changed
	Lost int       `json:"lost,omitempty"` // see lb.Change
	Ill  bool      `json:"ill,omitempty"`
	Part *lb.Part  `json:"part,omitempty"`
	// Out: of what was out before: since when, at least if More; it had been out since it came if New
	Out  time.Time `json:"out,omitzero"`
	More bool      `json:"more,omitempty"`
	New  bool      `json:"new,omitempty"`
}

// Stood is how a load balancer stood before and after the changes of one observation: an lb.Delta without
// them.
type Stood struct {
	Before, Now       lb.Capacity
	Removed, Added    int
	Bare              *lb.Part
	Emptied, Refilled []string
}

// storedStood is the stored form of a Stood.
type storedStood struct {
	Before   figures  `json:"b"`
	Now      figures  `json:"n"`
	Removed  int      `json:"removed,omitempty"`
	Added    int      `json:"added,omitempty"`
	Bare     *lb.Part `json:"bare,omitempty"`
	Emptied  []string `json:"emptied,omitempty"`
	Refilled []string `json:"refilled,omitempty"`
}

// MarshalJSON encodes the stored form.
func (s Stood) MarshalJSON() ([]byte, error) {
	return json.Marshal(storedStood{figuresOf(s.Before), figuresOf(s.Now), s.Removed, s.Added, s.Bare,
		s.Emptied, s.Refilled})
}

// UnmarshalJSON decodes the stored form, and refuses a field that it does not know.
func (s *Stood) UnmarshalJSON(raw []byte) error {
	var stored storedStood
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&stored); err != nil {
		return err
	}
	*s = Stood{stored.Before.capacity(), stored.Now.capacity(), stored.Removed, stored.Added, stored.Bare,
		stored.Emptied, stored.Refilled}
	return nil
}

// Summary is how an incident went.
type Summary struct {
	About  About       `json:"about,omitempty"`
	Began  time.Time   `json:"began"`
	Last   time.Time   `json:"last,omitzero"`  // observation of its last change
	Ended  time.Time   `json:"ended,omitzero"` // observation that closed it; its Record may come later
	End    End         `json:"end,omitempty"`
	Level  Level       `json:"level,omitempty"` // at worst
	Before lb.Capacity `json:"before,omitzero"`
	Worst  lb.Capacity `json:"worst,omitzero"`
	Now    lb.Capacity `json:"now,omitzero"`
	Counts lb.Counts   `json:"counts,omitzero"`
	// Root: the number of its root; "" if that is its own
	Root string `json:"root,omitempty"`
	// Messages: how many its root took in Slack, the incidents beside it included
	Messages int `json:"messages"`
	// By: who acknowledged it last; "" if nobody did, or nobody knows. Untrusted text
	By string `json:"by,omitempty"`
	// Undelivered: why its news was never delivered, or is presumed delivered
	Undelivered string `json:"undelivered,omitempty"`
}

// recordsOf are what the history has of what changed on one load balancer in one observation.
func recordsOf(i *Incident, c Changed) (all []Record) {
	for _, ch := range c.Changes {
		p := &Past{Kind: ch.Kind, ID: ch.Backend.ID, Name: ch.Backend.Name, Is: ch.Backend.Status, Was: ch.Was,
			Lost: ch.Lost, Ill: ch.Ill, Part: ch.Part}
		if out := outBefore(ch); out != nil {
			p.Out, p.More, p.New = out.Since, out.AtLeast, out.New
		}
		all = append(all, Record{At: ch.At, Incident: i.ID, CLB: c.CLB, Change: p})
	}
	if n := len(all); n > 0 {
		all[n-1].Stood = &Stood{c.Before, c.Now, c.Removed, c.Added, c.Bare, c.Emptied, c.Refilled}
	}
	return all
}

// outBefore is since when a backend was out before a change; nil if it was not, or nobody knows.
func outBefore(ch lb.Change) *lb.Out {
	switch ch.Kind {
	case lb.Removed, lb.Unbound, lb.Bound:
		return ch.Backend.Out
	}
	return ch.Out
}

// records are what the history keeps of a root that leaves the state.
func (r *Root) records(at time.Time, undelivered string) (all []Record) {
	for _, i := range r.Incidents {
		all = append(all, r.record(i, at, undelivered))
	}
	return all
}

// SoFar is what the history would have, at a time, of the incidents that have not left the state, most of
// which are open, and of the load balancers that cannot be read.
func (s *State) SoFar(at time.Time) (all []Record) {
	blind := func(key string, since time.Time) {
		all = append(all, Record{At: at, CLB: lb.ParseKey(key), Unseen: &since})
	}
	for key := range sorted(s.Unread) {
		if u := s.Unread[key]; u.About == Reading {
			blind(u.Key, u.Since)
		}
	}
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.Open() && i.About == Reading && !i.Readable {
				blind(i.Key, i.LastChange())
			}
			all = append(all, r.record(i, at, ""))
		}
	}
	return all
}

// record is what the history keeps of an incident.
func (r *Root) record(i *Incident, at time.Time, undelivered string) Record {
	went := &Summary{
		About: i.About, Began: i.Began, Last: i.LastChange().Truncate(time.Second),
		Ended: i.Closed.Truncate(time.Second), End: i.End, Level: i.Peak,
		Before: i.Before, Worst: i.Worst, Now: i.Now, Counts: i.Counts,
		Messages: r.Delivery.Messages, Undelivered: undelivered,
	}
	if i.About.Blind() {
		went.Level = Impaired
	}
	if id := r.ID(); id != i.ID {
		went.Root = id
	}
	if n := slices.IndexFunc(r.Takers, func(t Taker) bool { return t.Ack == i.Took }); n >= 0 {
		went.By = r.Takers[n].By
	}
	return Record{At: at, Incident: i.ID, CLB: i.CLB(), Closed: went}
}
