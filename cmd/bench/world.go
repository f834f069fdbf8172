package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

const (
	region  = "ap-guangzhou"
	readers = 64 // of the function, at once; the others get as many

	running, stopped = 2, 4 // statuses of an instance

	unpaced = "100000" // CLB_RATE: as fast as can be
)

// balancers are what a world has.
type balancers struct {
	n, pool     int    // how many, and backends of each
	api         string // v2 or v3, by which the function reads them
	application bool   // of that kind, each backend on two rules and a listener, or classic ones
	listeners   int    // of an application one; 0: those two rules and a listener
}

func (c balancers) String() string {
	kind, api := "classic", "2.0"
	if c.application {
		kind = "application"
	}
	if c.api == "v3" {
		api = "3.0"
	}
	pool := fmt.Sprint(c.pool)
	if c.listeners > 0 {
		pool = fmt.Sprintf("%d listeners x %d", c.listeners, c.pool)
	}
	return fmt.Sprintf("%s x %s, %s, API %s", thousands(c.n), pool, kind, api)
}

// world is a cloud and a Slack, and the settings of a function that lives there.
type world struct {
	cloud    *cloud.Cloud
	slack    *slack.Workspace
	answers  *answers // those about load balancers; nil if the cloud itself gives every one
	url      string   // where the load balancers are read
	ids      []string
	have     balancers
	settings map[string]string
	dir      string // of the state
	servers  []*http.Server
	serves   []chan struct{}
}

// newWorld makes the load balancers, all of whose backends run. keep says that answers are kept (see
// answers).
func newWorld(have balancers, keep bool) (*world, error) {
	// On SCF, state under /tmp is refused.
	dir, err := os.MkdirTemp("/var/tmp", "clbwatch-bench-")
	if err != nil {
		return nil, err
	}
	w := &world{cloud: cloud.New(), slack: slack.New(), have: have, dir: dir}
	w.slack.Unlimited = true
	for i := range have.n {
		w.ids = append(w.ids, fmt.Sprintf("lb-%08d", i))
		if have.application {
			w.cloud.SetApplication(region, w.ids[i])
		}
		if have.listeners > 0 {
			w.cloud.Listen(region, w.ids[i], manyListeners(have.listeners)...)
		}
		w.set(i, have.pool, running)
	}
	v2, v3 := http.Handler(w.cloud), w.cloud.V3()
	if keep {
		w.answers = &answers{kept: make(map[string]map[string]*exchange)}
		if have.api == "v3" {
			w.answers.cloud, v3 = v3, w.answers
		} else {
			w.answers.cloud, v2 = v2, w.answers
		}
	}
	urls := make([]string, 0, 3)
	for _, h := range []http.Handler{v2, v3, w.slack} {
		url, err := w.serve(h)
		if err != nil {
			w.close()
			return nil, err
		}
		urls = append(urls, url)
	}
	w.url = urls[0]
	if have.api == "v3" {
		w.url = urls[1]
	}
	w.settings = map[string]string{
		"CLB_IDS": strings.Join(w.ids, " "), "CLB_API": have.api, "CLB_ENDPOINT": urls[0] + cloud.APIPath,
		"CLB_V3_ENDPOINT": urls[1],
		"CLB_RATE":        unpaced, "SLACK_WEBHOOK_URL": w.slack.URL(urls[2]),
		"STATE_URL": "file://" + filepath.Join(dir, "state"),
	}
	return w, os.Mkdir(filepath.Join(dir, "state"), 0o750)
}

// manyListeners are so many, which bind backends themselves.
func manyListeners(n int) (ls []cloud.Listener) {
	for i := range n {
		ls = append(ls, cloud.Listener{Protocol: "TCP", Port: 8000 + i})
	}
	return ls
}

// serve serves a part of the world on a port of this machine.
func (w *world) serve(h http.Handler) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server, ended := &http.Server{Handler: h}, make(chan struct{})
	w.servers, w.serves = append(w.servers, server), append(w.serves, ended)
	go func() {
		defer close(ended)
		_ = server.Serve(l) // until it is closed
	}()
	return "http://" + l.Addr().String(), nil
}

func (w *world) close() {
	for i, s := range w.servers {
		_ = s.Close() // nobody waits for its answers any more
		<-w.serves[i]
	}
	_ = os.RemoveAll(w.dir) // what is left there harms nobody
}

// set gives the first backends of a load balancer a status. All are made by it.
func (w *world) set(i, backends, status int) {
	pool := make([]cloud.Instance, backends)
	for j := range pool {
		name := fmt.Sprintf("%05d-%03d", i, j)
		pool[j] = cloud.Instance{ID: "ins-" + name, Name: "web-" + name, LanIP: fmt.Sprintf("10.%d.%d.%d",
			i/256, i%256, j), Status: status, Weight: 10}
	}
	w.cloud.Bind(region, w.ids[i], pool...)
	if w.answers != nil {
		w.answers.forget(w.ids[i])
	}
}

// onePercent changes one backend of every hundredth load balancer, the i-th time: it stops, or it runs again.
func (w *world) onePercent(i int) {
	for lb := 0; lb < w.have.n; lb += 100 {
		w.set(lb, 1, []int{stopped, running}[i%2])
	}
}

// start starts an instance of the function.
func (w *world) start(ctx context.Context, binary string, opts ...scf.Option) (*scf.Function, error) {
	tmp, err := os.MkdirTemp(w.dir, "tmp-")
	if err != nil {
		return nil, err
	}
	return scf.Start(ctx, binary, w.settings, append(opts,
		scf.WithCredential(w.cloud.Issue), scf.WithSetting("TMPDIR", tmp),
		scf.WithTimeout(10*time.Minute))...)
}

// tick lets the function do one tick, in which it must read everything.
func (w *world) tick(ctx context.Context, f *scf.Function, opts ...scf.Option) (summary, error) {
	var sum summary
	answer, ferr, err := f.Invoke(ctx, scf.TimerEvent(time.Now()), opts...)
	if ferr != nil {
		err = ferr
	}
	if err == nil {
		err = json.Unmarshal(answer, &sum)
	}
	if err == nil && (sum.Read != w.have.n || sum.Pending > 0) {
		err = fmt.Errorf("the tick says %s", answer)
	}
	if err != nil {
		return sum, errors.Join(fmt.Errorf("a tick of %s: %w", w.have, err), w.refused())
	}
	return sum, nil
}

// summary is the answer to a tick.
type summary struct{ Read, Changes, Pending int }

// refused is what the cloud or Slack refused, which nobody's requests should be.
func (w *world) refused() error {
	if r := append(w.cloud.Refused(), w.slack.Refused()...); len(r) > 0 {
		return fmt.Errorf("the sandbox refused %d requests, such as %s", len(r), r[0])
	}
	return nil
}

// subject is the function, measured tick by tick.
func (w *world) subject(ctx context.Context, f *scf.Function, opts ...scf.Option) subject {
	return subject{f.Pid(), func() error {
		_, err := w.tick(ctx, f, opts...)
		return err
	}}
}

// floor starts the floor for what the function read last, in rounds that take roundTime, 0 for as fast as can
// be.
func (w *world) floor(ctx context.Context, roundTime time.Duration) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startWorker(ctx, floorJob{w.url, w.answers.requests(w.ids), readers, roundTime}, self,
		floorCommand)
}
