package demo

import (
	"slices"
	"time"

	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

// state is what the page shows.
type state struct {
	Live       bool            `json:"live"` // orders are taken
	SlackFails bool            `json:"slackFails"`
	Balancers  []balancerState `json:"balancers"`
	Posts      []slack.Post    `json:"posts"`
	Runs       []runState      `json:"runs"` // the last ones, oldest first
}

type balancerState struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Running  int            `json:"running"`
	Fails    bool           `json:"fails"`
	Backends []backendState `json:"backends"`
}

type backendState struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	IP     string `json:"ip"`
	Status int    `json:"status"`
}

// runState is one run of the function.
type runState struct {
	At     time.Time `json:"at"`
	What   string    `json:"what"` // tick or report
	MS     int64     `json:"ms"`
	Answer string    `json:"answer"`
	Wrong  bool      `json:"wrong"`
}

const maxRuns = 20

func (s *stage) state() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	doc := state{Live: s.live, SlackFails: s.failing.slack, Posts: s.slack.Channel(),
		Runs: slices.Clone(s.runs), Balancers: []balancerState{}}
	for _, lb := range []struct{ id, name string }{{web, "prod-web"}, {api, "prod-api"}} {
		b := balancerState{ID: lb.id, Name: lb.name, Fails: s.failing.api[lb.id], Backends: []backendState{}}
		for _, ins := range s.cloud.Pool(scf.Region, lb.id) {
			if ins.Status == 2 {
				b.Running++
			}
			b.Backends = append(b.Backends, backendState{ins.ID, ins.Name, ins.LanIP, ins.Status})
		}
		doc.Balancers = append(doc.Balancers, b)
	}
	return doc
}

