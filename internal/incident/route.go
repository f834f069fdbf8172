package incident

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Route says where a root is posted: the ID of a bot's channel, or "webhook:" and what tells webhooks apart.
type Route string

// Bot reports whether a bot posts there, so that messages can be edited and answered.
func (r Route) Bot() bool { return !strings.HasPrefix(string(r), "webhook") }

// Channel is what is known of one Route.
type Channel struct {
	LastYes time.Time `json:"lastYes,omitzero"` // when it accepted a post last
}

func (s *State) channel(r Route) *Channel {
	if c := s.Channels[r]; c != nil {
		return c
	}
	if s.Channels == nil {
		s.Channels = make(map[Route]*Channel)
	}
	s.Channels[r] = &Channel{}
	return s.Channels[r]
}

// settleRoutes moves what goes on to where the settings want it now.
func (s *State) settleRoutes(rules Rules) {
	for _, r := range s.Roots {
		d := &r.Delivery
		if d.Route == rules.Route {
			continue
		}
		old := *d
		*d = Delivery{Route: rules.Route, Series: old.Series + 1, Updates: old.nextUpdate(),
			Messages: old.Messages, Counted: old.Counted, Due: old.Due}
		if old.Posted && !r.Open() { // it has been reported where people were
			d.Series, d.Posted, d.NoEdit = old.Series, true, true
			d.Shown, d.ShownEnd, d.RootRev = r.Rev, true, r.Rev
			for m := range r.Marks {
				r.Marks[m].Rise, r.Marks[m].Shown, r.Marks[m].Again = 0, false, false
			}
		}
		if old.TS != "" && old.Route.Bot() && rules.Route.Bot() && r.Open() {
			d.Left = append(slices.Clone(old.Left), Receipt{old.Route, old.TS})
		}
	}
	for route := range s.Channels {
		if route != rules.Route {
			delete(s.Channels, route)
		}
	}
}

// Apart is a new root for some of the incidents, which another shard reports from now on. It is due since at,
// or for longer. Its first message shows how bad things are, and an update will show when that ends; neither
// mentions anybody.
func (r *Root) Apart(incidents []*Incident, at time.Time) *Root {
	own := *r
	own.Incidents, own.Rev, own.Beyond, own.PaceFrom = incidents, r.Rev+1, 0, 0
	own.Delivery = Delivery{Route: r.Delivery.Route, Due: r.Delivery.Due}
	if own.Delivery.Due.IsZero() {
		own.Delivery.Due = at
	}
	for m := range own.Marks {
		mark := &own.Marks[m]
		*mark = Mark{Left: mark.Left, Mentioned: mark.Mentioned}
		if own.at(m) {
			mark.Rise, mark.Alone = own.Rev, true
		}
	}
	return &own
}

// Key is what the posts of a root are recognised by: of the root, or of an update.
func (r *Root) Key(p Post) string {
	if p.Root {
		return r.Prefix() + "root-" + strconv.Itoa(p.N)
	}
	return r.Prefix() + strconv.Itoa(p.N)
}

// Prefix is what the keys of all posts of a root begin with.
func (r *Root) Prefix() string { return r.ID() + "." + r.Tag + "." }
