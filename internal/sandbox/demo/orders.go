package demo

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

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
			if _, err := balancerOf(o); err != nil {
				return err
			}
			f.api[o.LB] = !f.api[o.LB]
			return nil
		})
	},
	"failSlack": func(st *stage, _ order) error {
		return st.fail(func(f *failing) error { f.slack = !f.slack; return nil })
	},
	"report":    func(st *stage, _ order) error { st.order(report); return nil },
	"dismiss":   func(st *stage, o order) error { return st.dismiss(o) },
	"stopHalf":  func(st *stage, o order) error { return st.stopHalf(o) },
	"restart":   func(st *stage, o order) error { return st.restart(o) },
	"later":     func(st *stage, _ order) error { return st.tenMinutes() },
	"failCheck": func(st *stage, o order) error { return st.failCheck(o) },
	"passCheck": func(st *stage, o order) error { return st.passCheck(o) },
}

// order is one press of a button of the page's own.
type order struct {
	Action string `json:"action"`
	LB     string `json:"lb"`   // id of a load balancer
	ID     string `json:"id"`   // of a backend, or the ts of a message
	Name   string `json:"name"` // of a backend to add; "" for one that the page makes up
}

// balancer is a load balancer of the cast.
type balancer struct{ id, name string }

var cast = []balancer{{web, "prod-web"}, {api, "prod-api"}, {shop, "prod-shop"}}

const maxAdded = 50 // backends of one load balancer: the page is for people

// failing is what the page makes fail.
type failing struct {
	api   map[string]bool // by id of a load balancer
	slack bool
}

// balancerOf is the load balancer that an order is about.
func balancerOf(o order) (balancer, error) {
	at := slices.IndexFunc(cast, func(b balancer) bool { return b.id == o.LB })
	if at < 0 {
		return balancer{}, fmt.Errorf("there is no load balancer %.60q", o.LB)
	}
	return cast[at], nil
}

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

// failCheck has a backend of an application load balancer fail its health check at the first listener.
func (s *stage) failCheck(o order) error {
	if err := s.bound(o); err != nil {
		return err
	}
	if !s.cloud.Application(scf.Region, o.LB) {
		return fmt.Errorf("%.60q is not an application load balancer", o.LB)
	}
	for _, c := range s.cloud.Checks(scf.Region, o.LB) {
		if c.ID == o.ID {
			listener, _, _ := strings.Cut(c.Place, " ")
			s.cloud.SetHealth(scf.Region, o.LB, o.ID, listener, "Dead")
			return nil
		}
	}
	return fmt.Errorf("no listener checks %.60q", o.ID)
}

// passCheck has a backend pass all its health checks.
func (s *stage) passCheck(o order) error {
	if err := s.bound(o); err != nil {
		return err
	}
	s.cloud.SetHealth(scf.Region, o.LB, o.ID, "", "Alive")
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
	if _, err := balancerOf(o); err != nil {
		return err
	}
	if len(s.cloud.Pool(scf.Region, o.LB)) >= maxAdded {
		return fmt.Errorf("%d backends are enough here", maxAdded)
	}
	s.mu.Lock()
	s.added++
	n := 20 + s.added
	s.mu.Unlock()
	prefix := map[string]string{web: "web", api: "api", shop: "shop"}[o.LB]
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

// running are the backends of an order's load balancer that run. It is an error if none does.
func (s *stage) running(o order) (balancer, []string, error) {
	lb, err := balancerOf(o)
	if err != nil {
		return lb, nil, err
	}
	var ids []string
	for _, ins := range s.cloud.Pool(scf.Region, o.LB) {
		if ins.Status == 2 {
			ids = append(ids, ins.ID)
		}
	}
	if len(ids) == 0 {
		return lb, nil, fmt.Errorf("no backend of %s runs", lb.name)
	}
	return lb, ids, nil
}

// stopHalf stops half of the backends that run, rounded up.
func (s *stage) stopHalf(o order) error {
	_, ids, err := s.running(o)
	for _, id := range ids[:(len(ids)+1)/2] {
		s.cloud.SetStatus(id, 4)
	}
	return err
}

// restart begins a rolling restart: see roll.
func (s *stage) restart(o order) error {
	lb, ids, err := s.running(o)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.restarts[o.LB] != nil {
		return fmt.Errorf("a rolling restart of %s is under way", lb.name)
	}
	if s.restarts == nil {
		s.restarts = make(map[string]*rolling)
	}
	s.restarts[o.LB] = &rolling{left: ids}
	return nil
}

// tenMinutes lets ten minutes pass, a tick each.
func (s *stage) tenMinutes() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.minutes > 0 {
		return fmt.Errorf("ten minutes are passing: %d to go", s.minutes)
	}
	s.minutes = 10
	return nil
}

// dismiss takes away a message that only ada sees.
func (s *stage) dismiss(o order) error {
	private := make(map[string]bool) // by ts
	for _, p := range s.posts() {
		if p.Private {
			private[p.TS] = true
		}
	}
	if !private[o.ID] {
		return fmt.Errorf("there is no message %.60q that only you see", o.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dismissed == nil {
		s.dismissed = make(map[string]bool)
	}
	// what Slack has forgotten
	maps.DeleteFunc(s.dismissed, func(ts string, _ bool) bool { return !private[ts] })
	s.dismissed[o.ID] = true
	return nil
}

// order asks for an event by hand.
func (s *stage) order(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders = append(s.orders, event)
}
