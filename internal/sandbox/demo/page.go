package demo

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

//go:embed page
var pageFiles embed.FS

// webPage shows a stage in a browser: the cloud, the channel and the runs of the function. It answers to this
// machine only, and takes orders from its own page only.
type webPage struct {
	st   *stage
	mux  *http.ServeMux
	kick chan struct{} // something was done: tick

	viewers atomic.Int64 // browsers that look at it now
}

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

const (
	maxOrder = 4 << 10
	maxAdded = 50 // backends of one load balancer: the page is for people
)

func newPage(st *stage) *webPage {
	p := &webPage{st: st, mux: http.NewServeMux(), kick: make(chan struct{}, 1)}
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	p.mux.Handle("GET /", http.FileServerFS(files))
	p.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "page.html")
	})
	p.mux.HandleFunc("GET /events", p.events)
	p.mux.HandleFunc("POST /do", p.do)
	return p
}

// ServeHTTP refuses whoever is not on this machine, and every other page in the browser.
func (p *webPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	origin := r.Header.Get("Origin")
	if err != nil || host != "127.0.0.1" && host != "localhost" || origin != "" &&
		origin != "http://"+r.Host {
		http.Error(w, "this page is for this machine, and takes orders from itself only",
			http.StatusForbidden)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "+
			"frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	p.mux.ServeHTTP(w, r)
}

func (p *webPage) do(w http.ResponseWriter, r *http.Request) {
	var o order
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if err == nil {
		err = json.Unmarshal(raw, &o)
	}
	act, known := actions[o.Action]
	switch {
	case err != nil || r.Header.Get("Content-Type") != "application/json":
		// A form of another page cannot send that type.
		http.Error(w, "an order is JSON", http.StatusBadRequest)
	case !known:
		const there = "there are add, failAPI, failSlack, remove, report, start and stop"
		http.Error(w, fmt.Sprintf("there is no action %.40q; "+there, o.Action), http.StatusBadRequest)
	case !p.st.isLive():
		http.Error(w, "the story is still told", http.StatusConflict)
	default:
		if err := act(p.st, o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case p.kick <- struct{}{}:
		default: // a tick is due already
		}
		p.st.announce()
		w.WriteHeader(http.StatusNoContent)
	}
}

// events sends the whole state whenever it changes.
func (p *webPage) events(w http.ResponseWriter, r *http.Request) {
	p.viewers.Add(1)
	defer p.viewers.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for {
		// before the state is taken, or a change in between is missed
		ours, slacks := p.st.changed(), p.st.slack.Changed()
		doc, err := json.Marshal(p.st.state())
		if err == nil {
			_, err = fmt.Fprintf(w, "data: %s\n\n", doc)
		}
		if err == nil {
			err = flush.Flush()
		}
		if err != nil {
			return // the browser is gone
		}
		select {
		case <-ours:
		case <-slacks:
		case <-r.Context().Done():
			return
		}
	}
}

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

func (s *stage) isLive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

// changed returns a channel that is closed at the next change of the stage.
func (s *stage) changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change
}

func (s *stage) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.change)
	s.change = make(chan struct{})
}

// ran notes a run for the page.
func (s *stage) ran(r runState) {
	s.mu.Lock()
	s.runs = append(s.runs, r)
	s.runs = slices.Clone(s.runs[max(len(s.runs)-maxRuns, 0):])
	s.mu.Unlock()
	s.announce()
}

// liveEvery is how often a live stage ticks by itself. On the platform it is a minute.
const liveEvery = 5 * time.Second

// goLive ticks by itself, and at once after each order, until ctx ends or, if patience is above 0, nobody has
// looked at the page for so long.
func (s *stage) goLive(ctx context.Context, p *webPage, patience time.Duration) error {
	s.mu.Lock()
	s.live = true
	s.mu.Unlock()
	s.announce()
	every := time.NewTicker(liveEvery)
	defer every.Stop()
	seen := time.Now()
	for {
		if p.viewers.Load() > 0 {
			seen = time.Now()
		} else if patience > 0 && time.Since(seen) >= patience {
			s.say("Nobody looks at the page: that was all.")
			return nil
		}
		s.mu.Lock()
		events := append([]string{""}, s.orders...)
		s.orders = nil
		s.mu.Unlock()
		for _, event := range events {
			// A run that fails is shown, and the next one goes on.
			if _, err := s.invoke(ctx, event, true); ctx.Err() != nil {
				return nil
			} else if err != nil && strings.Contains(err.Error(), "start the function") {
				return err
			}
		}
		select {
		case <-every.C:
		case <-p.kick:
		case <-ctx.Done():
			return nil
		}
	}
}
