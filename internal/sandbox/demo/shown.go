package demo

import (
	"bytes"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
)

// state is what the page shows.
type state struct {
	Live       bool            `json:"live"` // orders are taken
	Now        time.Time       `json:"now"`  // the stage's clock
	Minutes    int             `json:"minutes"`
	Refused    string          `json:"refused"`
	SlackFails bool            `json:"slackFails"`
	Balancers  []balancerState `json:"balancers"`
	Posts      []post          `json:"posts"` // of the channel the newest, with their threads; oldest first
	Older      int             `json:"older"` // messages of the channel before these
	Runs       []runState      `json:"runs"`  // the last ones, oldest first

	Me     string            `json:"me"`     // ID of who types and presses
	People map[string]string `json:"people"` // names of users by ID
}

type balancerState struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Places     []placeState   `json:"places"` // of an application load balancer
	Running    int            `json:"running"`
	Fails      bool           `json:"fails"`
	Restarting int            `json:"restarting"` // backends that a rolling restart has not started again
	Silences   []silenceState `json:"silences"`   // that are active
	Incident   *incidentState `json:"incident"`   // the newest that is open; nil if none is
	Backends   []backendState `json:"backends"`
}

// silenceState is a silence, or an acknowledgement, as the bucket keeps it.
type silenceState struct {
	ID    string    `json:"id"`
	What  string    `json:"what"`
	By    string    `json:"by"`
	Why   string    `json:"why"`
	Made  time.Time `json:"made"`
	Until time.Time `json:"until"`
}

type incidentState struct {
	ID  string        `json:"id"`
	Ack *silenceState `json:"ack"` // nil if nobody has acknowledged it
}

type backendState struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	IP     string `json:"ip"`
	Status int    `json:"status"`
	// the places whose health check it fails, though it runs
	Failing []string `json:"failing"`
}

// placeState is a listener without rules, or a rule.
type placeState struct {
	Name    string `json:"name"` // "HTTPS:443 shop.example.com/pay"
	Bound   int    `json:"bound"`
	Passing int    `json:"passing"` // of these
}

// runState is one run of the function.
type runState struct {
	At     time.Time `json:"at"`
	What   string    `json:"what"` // tick, report, or slack if that was answered
	MS     int64     `json:"ms"`
	Answer string    `json:"answer"`
	Wrong  bool      `json:"wrong"`
}

const maxRuns = 20

// state is what the page shows, with so many messages of the channel.
func (s *stage) state(messages int) state {
	s.mu.Lock()
	defer s.mu.Unlock()
	doc := state{Live: s.live, Now: s.now(), Minutes: s.minutes, Refused: s.refused,
		SlackFails: s.failing.slack, Runs: slices.Clone(s.runs), Me: ada, People: people}
	doc.Posts, doc.Older = recent(slices.DeleteFunc(s.posts(), func(p post) bool {
		return p.Private && s.dismissed[p.TS]
	}), messages)
	silences, open := s.activeSilences(), s.openIncidents()
	for _, lb := range cast {
		b := balancerState{ID: lb.id, Name: lb.name, Fails: s.failing.api[lb.id],
			Silences: []silenceState{}, Backends: []backendState{}, Places: s.places(lb)}
		if r := s.restarts[lb.id]; r != nil {
			b.Restarting = len(r.left) + min(len(r.down), 1)
		}
		for _, q := range silences {
			if q.covers(lb) {
				b.Silences = append(b.Silences, q)
			}
		}
		if i, ok := open[lb.id]; ok {
			b.Incident = &incidentState{ID: i.ID}
			if at := slices.IndexFunc(silences, func(q silenceState) bool { return q.ID == i.Ack }); at >= 0 {
				b.Incident.Ack = &silences[at]
			}
		}
		for _, ins := range s.cloud.Pool(scf.Region, lb.id) {
			if ins.Status == 2 {
				b.Running++
			}
			b.Backends = append(b.Backends, backendState{ins.ID, ins.Name, ins.LanIP, ins.Status,
				s.failingAt(lb, ins)})
		}
		doc.Balancers = append(doc.Balancers, b)
	}
	return doc
}

// places are where an application load balancer checks its backends.
func (s *stage) places(lb balancer) []placeState {
	all := []placeState{}
	if !s.cloud.Application(scf.Region, lb.id) {
		return all
	}
	for _, c := range s.cloud.Checks(scf.Region, lb.id) {
		if len(all) == 0 || all[len(all)-1].Name != c.Place {
			all = append(all, placeState{Name: c.Place})
		}
		p := &all[len(all)-1]
		if p.Bound++; c.State == "Alive" {
			p.Passing++
		}
	}
	return all
}

// failingAt are the places whose health check a backend fails, though it runs.
func (s *stage) failingAt(lb balancer, ins cloud.Instance) []string {
	names := []string{}
	for _, c := range s.cloud.Checks(scf.Region, lb.id) {
		if c.ID == ins.ID && c.State != "Alive" && ins.Status == 2 {
			names = append(names, c.Place)
		}
	}
	return names
}

// covers reports whether a silence is about a load balancer. The function's globs know no more than * and ?.
func (q silenceState) covers(lb balancer) bool {
	return slices.ContainsFunc([]string{lb.name, lb.id}, func(name string) bool {
		matches, err := path.Match(q.What, name)
		return matches && err == nil
	})
}

// Where the function keeps its state in the bucket: see STATE_URL.
const (
	stateFolder    = "watch"
	silencesFolder = stateFolder + "/silence/"
	headsFolder    = stateFolder + "/head/"
)

// activeSilences are those in the bucket that are not over, acknowledgements too, in the order of their keys.
func (s *stage) activeSilences() (active []silenceState) {
	for _, key := range s.bucket.Keys(silencesFolder) {
		content, _ := s.bucket.Get(key)
		_, ended := s.bucket.Get(key + ".end")
		q := silenceState{ID: path.Base(key)}
		// The end of a silence has no time until which it lasts.
		if json.Unmarshal(content, &q) == nil && !ended && s.now().Before(q.Until) {
			active = append(active, q)
		}
	}
	return active
}

// storedIncident is what the page needs of an incident in the function's state.
type storedIncident struct {
	ID     string    `json:"id"`
	Key    string    `json:"k"` // region/id of the load balancer
	About  string    `json:"a"` // "" for its backends
	Closed time.Time `json:"closed"`
	Ack    string    `json:"ack"` // the number of its acknowledgement
}

// openIncidents are the newest open incidents in the function's state, by id of the load balancer. That one
// cannot be read is not among them: nobody can acknowledge that.
func (s *stage) openIncidents() map[string]storedIncident {
	open := make(map[string]storedIncident)
	heads := s.bucket.Keys(headsFolder)
	if len(heads) == 0 {
		return open
	}
	content, _ := s.bucket.Get(heads[0]) // the newest sorts first
	line, _, _ := bytes.Cut(content, []byte("\n"))
	var head struct {
		Incidents struct {
			Roots []struct{ Incidents []storedIncident }
		}
	}
	if json.Unmarshal(line, &head) != nil {
		return open // the function says what is wrong with it
	}
	for _, root := range head.Incidents.Roots {
		for _, i := range root.Incidents {
			_, lb, _ := strings.Cut(i.Key, "/")
			if i.About == "" && i.Closed.IsZero() {
				open[lb] = i
			}
		}
	}
	return open
}
