package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var toxiproxyFlag = flag.String("toxiproxy", "", "the built toxiproxy, for TestNetwork (make kills)")

// TestNetwork is TestKill with fewer kills, and a real proxy in front of the API, Slack and COS that resets,
// stalls, cuts, delays and shreds what goes through it, in either direction, or refuses connections.
func TestNetwork(t *testing.T) {
	if *toxiproxyFlag == "" {
		t.Skip("it needs toxiproxy: make kills")
	}
	everywhere(t, testNetwork)
}

func testNetwork(t *testing.T, in place) {
	s := newStorm(t, in, 2*time.Second, 0.1)
	s.weather = newWeather(s.lab, s.seed)
	s.live(*changesFlag)
	s.compare()
}

// weather is what the network is like: a proxy before each server, which is well for a while and ill for a
// while.
type weather struct {
	end chan struct{} // closed when it is to clear up
	all sync.WaitGroup

	mu     sync.Mutex
	counts map[string]int
}

// newWeather puts a proxy before every server that the settings name.
func newWeather(l *lab, seed uint64) *weather {
	l.t.Helper()
	w := &weather{end: make(chan struct{}), counts: make(map[string]int)}
	for i, name := range slices.Sorted(maps.Keys(l.settings)) {
		at := loopbackServer.FindStringSubmatch(l.settings[name])
		if at == nil {
			continue
		}
		p := newProxy(l.t, at[1])
		l.settings[name] = strings.Replace(l.settings[name], at[1], p.listen, 1)
		w.all.Go(func() { w.change(name, p, rand.New(rand.NewPCG(seed, uint64(100+i)))) })
	}
	l.t.Cleanup(w.clear)
	return w
}

// change lets a proxy be well and ill in turn, until clear.
func (w *weather) change(server string, p *proxy, rnd *rand.Rand) {
	for on := true; on && w.pass(rnd, 400); {
		name, attributes := "down", map[string]int{}
		switch rnd.IntN(6) {
		case 0:
			name, attributes["timeout"] = "reset_peer", rnd.IntN(20)
		case 1:
			name, attributes["timeout"] = "timeout", 0 // nothing goes through any more
		case 2:
			name, attributes["bytes"] = "limit_data", rnd.IntN(2000)
		case 3:
			name, attributes["latency"], attributes["jitter"] = "latency", rnd.IntN(300), 50
		case 4:
			name, attributes["average_size"], attributes["delay"] = "slicer", 1+rnd.IntN(100), 100
		}
		stream := []string{"upstream", "downstream"}[rnd.IntN(2)]
		if server == "SLACK_API_URL" && (name == "latency" || name == "slicer") {
			// A post that is held back until its sender gave up and the next run looked for it comes twice,
			// by a bot too.
			stream = "downstream"
		}
		w.mu.Lock()
		w.counts[name]++
		w.mu.Unlock()
		if name == "down" {
			p.stop()
		} else {
			p.poison(name, stream, attributes)
		}
		on = w.pass(rnd, 400)
		if name == "down" || !p.cure() {
			p.stop()
			p.start()
		}
	}
}

// pass waits for a random time of at most so many milliseconds. It reports whether the weather goes on
// changing.
func (w *weather) pass(rnd *rand.Rand, atMost int) bool {
	select {
	case <-w.end:
		return false
	case <-time.After(time.Duration(1+rnd.IntN(atMost)) * time.Millisecond):
		return true
	}
}

// clear makes the network work, for good.
func (w *weather) clear() {
	if w == nil {
		return
	}
	w.mu.Lock()
	select {
	case <-w.end:
	default:
		close(w.end)
	}
	w.mu.Unlock()
	w.all.Wait()
}

// String counts what was done.
func (w *weather) String() string {
	if w == nil {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("; the network: %v", w.counts)
}

// proxy is a toxiproxy in front of one server, in a process of its own.
type proxy struct {
	t           testing.TB
	api, listen string // addresses
	config      string // file
	cmd         *exec.Cmd
}

// newProxy starts a proxy for a server at an address.
func newProxy(t testing.TB, server string) *proxy {
	t.Helper()
	p := &proxy{t: t, api: freeAddress(t), listen: freeAddress(t),
		config: filepath.Join(t.TempDir(), "config")}
	config, err := json.Marshal([]map[string]any{{"name": "it", "listen": p.listen, "upstream": server,
		"enabled": true}})
	if err == nil {
		err = os.WriteFile(p.config, config, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.start()
	t.Cleanup(p.stop)
	return p
}

// freeAddress is below the ports that systems give out by themselves, and those that the sandbox gives to
// functions, so that it is still free when a proxy comes back. On Linux all of 127.0.0.0/8 is this machine:
// there no other test takes it.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 50 {
		ip := net.IPv4(127, 0, 0, 1)
		if runtime.GOOS == "linux" {
			ip = net.IPv4(127, byte(1+rand.IntN(254)), byte(rand.IntN(256)), byte(1+rand.IntN(254)))
		}
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, 10_000+rand.IntN(10_000)))
		if err == nil {
			_ = l.Close() // it has done nothing
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

// start runs the proxy and waits until it is there.
func (p *proxy) start() {
	p.t.Helper()
	host, port, _ := strings.Cut(p.api, ":")
	p.cmd = exec.Command(*toxiproxyFlag, "-host", host, "-port", port, "-config", p.config)
	p.cmd.Env = []string{"LOG_LEVEL=error"}
	if err := p.cmd.Start(); err != nil {
		p.t.Errorf("toxiproxy: %v", err)
		return
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", p.listen); err == nil {
			_ = conn.Close() // it was only to see
			if p.call(http.MethodGet, "/version", nil) == nil {
				return
			}
		}
	}
	p.t.Error("toxiproxy does not answer")
}

// stop kills the proxy, if it runs: connections are reset, new ones refused.
func (p *proxy) stop() {
	_ = p.cmd.Process.Kill() // it is gone already if this fails
	_ = p.cmd.Wait()         // it was killed
}

// poison makes the proxy do something to what goes upstream or downstream.
func (p *proxy) poison(toxic, stream string, attributes map[string]int) {
	body, err := json.Marshal(map[string]any{"name": "it", "type": toxic, "stream": stream,
		"attributes": attributes})
	if err == nil {
		err = p.call(http.MethodPost, "/proxies/it/toxics", body)
	}
	if err != nil {
		p.t.Errorf("toxiproxy: add %s: %v", body, err)
	}
}

// cure ends that. It reports whether it could: v2.12.0 sometimes hangs when a connection ends at the same
// moment.
func (p *proxy) cure() bool { return p.call(http.MethodDelete, "/proxies/it/toxics/it", nil) == nil }

// call asks the proxy's API for something.
func (p *proxy) call(method, path string, body []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.api+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // only the status counts
	if resp.StatusCode/100 != 2 {
		return errors.New(resp.Status)
	}
	return nil
}
