package incident

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"clbwatch/internal/lb"
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

// RouteRule sends incidents about some load balancers to a channel of their own.
type RouteRule struct {
	Glob  string // see lb.CLB.Matches
	Route Route
}

// routeOf is where an incident is posted according to the rules. What covers many load balancers, or is about
// a search, has no channel of its own.
func (s *State) routeOf(i *Incident, rules Rules) Route {
	switch i.About {
	case Listing, Nothing, Watching:
		return rules.Route
	}
	return rules.RouteOf(s.clb(i))
}

// RouteOf is where incidents about a load balancer of these names begin.
func (r Rules) RouteOf(c lb.CLB) Route {
	for _, rule := range r.Routes {
		if c.Matches(rule.Glob) {
			return rule.Route
		}
	}
	return r.Route
}

// clb is the load balancer of an incident, with what is known of its names by now.
func (s *State) clb(i *Incident) lb.CLB {
	c := i.CLB()
	if s.name != nil {
		known := s.name(i.Key)
		c.Label, c.Title = cmp.Or(known.Label, c.Label), cmp.Or(known.Title, c.Title)
	}
	return c
}

// routing is a digest of where the rules send incidents.
func (r Rules) routing() string {
	text, _ := json.Marshal([]any{r.Route, r.Routes}) // strings are always JSON
	return strconv.FormatUint(hash(string(text)), 36)
}

// settleRoutes moves what goes on to where the settings want it now, if the settings have changed. Nothing
// else moves an incident: a load balancer that is renamed keeps its channel until the incident is over.
func (s *State) settleRoutes(rules Rules) {
	if now := rules.routing(); now != s.Routing {
		s.Routing = now
		var roots []*Root
		for _, r := range s.Roots {
			for _, p := range r.divide(func(i *Incident) Route { return s.routeOf(i, rules) }, s.At) {
				p.root.move(p.to)
				roots = append(roots, p.root)
			}
		}
		s.Roots = roots
	}
	used := map[Route]bool{rules.Route: true}
	for _, rule := range rules.Routes {
		used[rule.Route] = true
	}
	for _, r := range s.Roots {
		used[r.Delivery.Route] = true
	}
	maps.DeleteFunc(s.Channels, func(r Route, _ *Channel) bool { return !used[r] })
}

// part is a root and where it is to be.
type part struct {
	root *Root
	to   Route
}

// divide makes roots of their own for incidents of the root that belong to different routes now; they are
// due since at. The root itself goes on with its first incident, by whose number people know it, and with
// those of the same route. What is over and was reported stays in it.
func (r *Root) divide(routeOf func(*Incident) Route, at time.Time) []part {
	leads := func(i *Incident) bool { return i.Open() || !r.Delivery.Posted }
	lead := r.Incidents[0]
	if n := slices.IndexFunc(r.Incidents, leads); n >= 0 && !leads(lead) {
		lead = r.Incidents[n]
	}
	parts := []part{{r, routeOf(lead)}}
	of := map[Route][]*Incident{}
	var others []Route // in the order of their incidents
	for _, i := range r.Incidents {
		to := parts[0].to
		if leads(i) {
			to = routeOf(i)
		}
		if of[to] == nil && to != parts[0].to {
			others = append(others, to)
		}
		of[to] = append(of[to], i)
	}
	if len(others) == 0 {
		return parts
	}
	for _, to := range others {
		parts = append(parts, part{r.Apart(of[to], at), to})
	}
	r.keep(of[parts[0].to])
	return parts
}

// keep leaves only some of the incidents in the root. What only the others were at has no end here.
func (r *Root) keep(incidents []*Incident) {
	var was [marks]bool
	for m := range was {
		was[m] = r.at(m)
	}
	r.Incidents, r.News = incidents, 0
	r.Rev++
	for _, i := range incidents {
		r.News = max(r.News, i.Rev)
	}
	for m := range r.Marks {
		switch mark := &r.Marks[m]; {
		case was[m] && !r.at(m):
			*mark = Mark{Mentioned: mark.Mentioned}
		case was[m]:
			mark.Alone = mark.Alone || r.alone(m)
		}
	}
}

// move ends what is known of the root's delivery, if it is to be posted elsewhere from now on.
func (r *Root) move(to Route) {
	d := &r.Delivery
	if d.Route == to {
		return
	}
	old := *d
	*d = Delivery{Route: to, Series: old.Series + 1, Updates: old.nextUpdate(),
		Messages: old.Messages, Counted: old.Counted, Due: old.Due}
	if old.Posted && !r.Open() { // it has been reported where people were
		d.Series, d.Posted, d.NoEdit = old.Series, true, true
		d.Shown, d.ShownEnd, d.RootRev = r.Rev, true, r.Rev
		for m := range r.Marks {
			r.Marks[m].Rise, r.Marks[m].Shown, r.Marks[m].Again = 0, false, false
		}
	}
	if !to.Bot() || !r.Open() {
		return
	}
	d.Left = slices.Clone(old.Left)
	if old.TS != "" && old.Route.Bot() {
		d.Left = append(d.Left, Receipt{old.Route, old.TS})
	}
}

// Apart is a new root for some of the incidents, which another shard or another channel reports from now on.
// It is due since at, or for longer. Its first message shows how bad things are, and an update will show when
// that ends; neither mentions anybody, unless no post may have done that before.
func (r *Root) Apart(incidents []*Incident, at time.Time) *Root {
	own := *r
	own.Incidents, own.Rev, own.Beyond, own.PaceFrom = incidents, r.Rev+1, 0, 0
	own.Delivery = Delivery{Route: r.Delivery.Route, Due: r.Delivery.Due}
	if own.Delivery.Due.IsZero() {
		own.Delivery.Due = at
	}
	called := r.Delivery.Posted || r.Delivery.Doubt != nil || r.Delivery.Claim != nil
	for m := range own.Marks {
		mark := &own.Marks[m]
		*mark = Mark{Left: mark.Left, Mentioned: mark.Mentioned}
		if own.at(m) {
			mark.Rise, mark.Alone = own.Rev, called || own.alone(m)
		}
	}
	return &own
}

// alone reports whether removals alone brought the root to a mark of a level.
func (r *Root) alone(mark int) bool {
	return mark == blindMark || !slices.ContainsFunc(r.Incidents, func(i *Incident) bool {
		return i.Open() && i.Level >= levelOfMark[mark] && !i.Alone
	})
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
