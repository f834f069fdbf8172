package demo

import (
	"fmt"
	"net/http"
	"slices"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

// actions are the buttons, by name. Each says what is wrong with an order, and does nothing then.
var actions = map[string]func(*stage, order) error{
	"stop":   func(st *stage, o order) error { return st.setStatus(o, 4) },
	"start":  func(st *stage, o order) error { return st.setStatus(o, 2) },
	"remove": func(st *stage, o order) error { return st.remove(o) },
	"add":    func(st *stage, o order) error { return st.add(o) },
	"failAPI": func(st *stage, o order) error {
		return st.fail(func(f *failing) error {
			if !st.has(o.LB) {
				return fmt.Errorf("there is no load balancer %q", o.LB)
			}
			f.api[o.LB] = !f.api[o.LB]
			return nil
		})
	},
	"failSlack": func(st *stage, _ order) error {
		return st.fail(func(f *failing) error { f.slack = !f.slack; return nil })
	},
	"report": func(st *stage, _ order) error { st.order(`{"action":"report"}`); return nil },
}

// order is one press of a button.
type order struct {
	Action string `json:"action"`
	LB     string `json:"lb"`   // id of a load balancer
	ID     string `json:"id"`   // of a backend
	Name   string `json:"name"` // of a backend to add; "" for one that the page makes up
}

const maxAdded = 50 // backends of one load balancer: the page is for people

// failing is what the page makes fail.
type failing struct {
	api   map[string]bool // by id of a load balancer
	slack bool
}

func (s *stage) has(lb string) bool { return lb == web || lb == api }

// bound is an error if there is no such backend on the load balancer.
func (s *stage) bound(o order) error {
	if slices.ContainsFunc(s.cloud.Pool(scf.Region, o.LB), func(ins cloud.Instance) bool {
		return ins.ID == o.ID
	}) {
		return nil
	}
	return fmt.Errorf("there is no backend %.60q on %.60q", o.ID, o.LB)
}

func (s *stage) setStatus(o order, status int) error {
	if err := s.bound(o); err != nil {
		return err
	}
	s.cloud.SetStatus(o.ID, status)
	return nil
}

func (s *stage) remove(o order) error {
	if err := s.bound(o); err != nil {
		return err
	}
	s.cloud.Unbind(scf.Region, o.LB, o.ID)
	return nil
}

func (s *stage) add(o order) error {
	pool := s.cloud.Pool(scf.Region, o.LB)
	switch {
	case !s.has(o.LB):
		return fmt.Errorf("there is no load balancer %.60q", o.LB)
	case len(pool) >= maxAdded:
		return fmt.Errorf("%d backends are enough here", maxAdded)
	}
	s.mu.Lock()
	s.added++
	n := 20 + s.added
	s.mu.Unlock()
	prefix := map[string]string{web: "web", api: "api"}[o.LB]
	ins := instance(fmt.Sprintf("%s-%d", prefix, n), fmt.Sprintf("10.0.9.%d", n%250))
	if o.Name != "" {
		ins.Name = o.Name
	}
	s.cloud.Bind(scf.Region, o.LB, ins)
	return nil
}

// fail changes what fails, and makes it so.
func (s *stage) fail(change func(*failing) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing.api == nil {
		s.failing.api = make(map[string]bool)
	}
	if err := change(&s.failing); err != nil {
		return err
	}
	s.cloud.ClearFaults()
	s.slack.ClearFaults()
	for lb, fails := range s.failing.api {
		if fails {
			s.cloud.Fail(lb, cloud.FaultStatus(http.StatusBadGateway), -1)
		}
	}
	if s.failing.slack {
		// after a 503 the function would wait a minute
		s.slack.FailCalls(slack.Calls{}, slack.RateLimited(""))
	}
	return nil
}

// order asks for an event by hand.
func (s *stage) order(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders = append(s.orders, event)
}

