package demo

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"clbwatch/internal/sandbox"
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

const maxOrder = 4 << 10 // bytes

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
	p.mux.HandleFunc("POST /type", p.typed)
	p.mux.HandleFunc("POST /press", p.pressed)
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
			"form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	p.mux.ServeHTTP(w, r)
}

// do carries out an order about the cloud, or about the page itself.
func (p *webPage) do(w http.ResponseWriter, r *http.Request) {
	var o order
	if !p.read(w, r, &o) {
		return
	}
	act, known := actions[o.Action]
	if !known {
		there := strings.Join(slices.Sorted(maps.Keys(actions)), ", ")
		http.Error(w, fmt.Sprintf("there is no action %.40q, only %s", o.Action, there),
			http.StatusBadRequest)
		return
	}
	err := act(p.st, o)
	p.st.refuse(err)
	p.done(w, err)
}

// typed sends what is typed into the channel's box.
func (p *webPage) typed(w http.ResponseWriter, r *http.Request) {
	var o struct {
		Text string `json:"text"`
	}
	if p.read(w, r, &o) {
		p.done(w, p.st.typed(r.Context(), o.Text))
	}
}

// pressed presses a button of a message.
func (p *webPage) pressed(w http.ResponseWriter, r *http.Request) {
	var b press
	if p.read(w, r, &b) {
		p.done(w, p.st.pressed(r.Context(), b))
	}
}

// read reads an order into v. If it is none, or none is taken now, it says so to the browser and reports false.
func (p *webPage) read(w http.ResponseWriter, r *http.Request, v any) bool {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if err == nil {
		err = json.Unmarshal(raw, v)
	}
	switch {
	case err != nil || r.Header.Get("Content-Type") != "application/json":
		// A form of another page cannot send that type.
		http.Error(w, "an order is JSON", http.StatusBadRequest)
	case !p.st.isLive():
		http.Error(w, "the story is still told", http.StatusConflict)
	default:
		return true
	}
	return false
}

// done answers an order, and has the function tick if something was done.
func (p *webPage) done(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case p.kick <- struct{}{}:
	default: // a tick is due already
	}
	w.WriteHeader(http.StatusNoContent)
}

// calm is the least time between two states that are sent: what happens at once is sent at once.
const calm = 50 * time.Millisecond

// events sends the whole state whenever it changes, with as many messages as "messages" asks for.
func (p *webPage) events(w http.ResponseWriter, r *http.Request) {
	p.viewers.Add(1)
	defer p.viewers.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	asked, err := strconv.Atoi(r.URL.Query().Get("messages"))
	if err != nil {
		asked = fewPosts
	}
	for {
		// before the state is taken, or a change in between is missed
		ours, slacks := p.st.changed(), p.st.slack.Changed()
		doc, err := json.Marshal(p.st.state(asked))
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
		sandbox.Pause(r.Context(), calm)
	}
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
