package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var toxiproxyFlag = flag.String("toxiproxy", "", "the built toxiproxy, for TestNetwork (make kills)")

// TestNetwork is TestKill with fewer kills, and a real proxy in front of the API, Slack and COS that resets, stalls, cuts,
// delays and shreds what goes through it, in either direction, or refuses connections.
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
	s.compare(in)
}

// weather is what the network is like: a proxy before each server, which is well for a while and ill for a while.
type weather struct {
	t   testing.TB
	api string // of the proxy
	end chan struct{}
	all sync.WaitGroup

	mu     sync.Mutex
	struck []illness
	counts map[string]int
}

// illness is a time in which a proxy did something to a connection.
type illness struct {
	proxy    string
	from, to time.Time // to is zero while it lasts
}

var loopbackServer = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`)

// newWeather starts the proxy, and puts it before every server that the settings name.
func newWeather(l *lab, seed uint64) *weather {
	l.t.Helper()
	port := freePort(l.t)
	w := &weather{t: l.t, api: "http://" + port, end: make(chan struct{}), counts: make(map[string]int)}
	host, number, _ := strings.Cut(port, ":")
	cmd := exec.Command(*toxiproxyFlag, "-host", host, "-port", number, "-seed", strconv.FormatUint(seed>>1, 10))
	cmd.Env = []string{"LOG_LEVEL=error"}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		w.clear()
		_ = cmd.Process.Kill() // it has nothing to finish
		_ = cmd.Wait()
	})
	for end := time.Now().Add(10 * time.Second); ; {
		resp, err := http.Get(w.api + "/version")
		if err == nil {
			_ = resp.Body.Close()
			break
		}
		if time.Now().After(end) {
			l.t.Fatalf("toxiproxy does not answer: %v", err)
		}
		<-time.After(10 * time.Millisecond)
	}
	for i, key := range slices.Sorted(maps.Keys(l.settings)) {
		at := loopbackServer.FindStringSubmatch(l.settings[key])
		if at == nil {
			continue
		}
		var made struct{ Listen string }
		w.call(http.MethodPost, "/proxies", map[string]any{"name": key, "listen": "127.0.0.1:0", "upstream": at[1], "enabled": true}, &made)
		l.settings[key] = strings.Replace(l.settings[key], at[1], made.Listen, 1)
		rnd := rand.New(rand.NewPCG(seed, uint64(100+i)))
		w.all.Go(func() { w.change(key, rnd) })
	}
	return w
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // it listens no more, and the proxy does
	return l.Addr().String()
}

// call asks the proxy's API for something, and answer takes what it says unless that is nil.
func (w *weather) call(method, path string, what, answer any) {
	w.t.Helper()
	body, err := json.Marshal(what)
	if err != nil {
		panic(err) // maps of texts and numbers always marshal
	}
	req, err := http.NewRequest(method, w.api+path, bytes.NewReader(body))
	if err != nil {
		panic(err) // the address is ours
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Errorf("toxiproxy: %v", err)
		return
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		w.t.Errorf("toxiproxy: %s %s: %s %s %v", method, path, resp.Status, text, err)
		return
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			w.t.Errorf("toxiproxy: %s %s: %v", method, path, err)
		}
	}
}

// change lets a proxy be well and ill in turn, until clear.
func (w *weather) change(proxy string, rnd *rand.Rand) {
	path := "/proxies/" + proxy
	for {
		if !w.pass(rnd, 200) {
			return
		}
		toxic, attributes := "down", map[string]any{}
		switch rnd.IntN(6) {
		case 0:
			toxic, attributes["timeout"] = "reset_peer", rnd.IntN(20)
		case 1:
			toxic, attributes["timeout"] = "timeout", 0 // it stalls
		case 2:
			toxic, attributes["bytes"] = "limit_data", rnd.IntN(2000)
		case 3:
			toxic, attributes["latency"], attributes["jitter"] = "latency", rnd.IntN(300), 50
		case 4:
			toxic, attributes["average_size"], attributes["size_variation"], attributes["delay"] = "slicer", 1+rnd.IntN(100), 0, 100
		}
		stream := []string{"upstream", "downstream"}[rnd.IntN(2)]
		w.mu.Lock()
		w.struck = append(w.struck, illness{proxy: proxy, from: time.Now()})
		mine := len(w.struck) - 1
		if toxic == "down" {
			w.counts[toxic]++
		} else {
			w.counts[toxic+" "+stream]++
		}
		w.mu.Unlock()
		if toxic == "down" {
			w.call(http.MethodPost, path, map[string]any{"enabled": false}, nil)
		} else {
			w.call(http.MethodPost, path+"/toxics", map[string]any{"name": "it", "type": toxic, "stream": stream, "attributes": attributes}, nil)
		}
		on := w.pass(rnd, 400)
		if toxic == "down" {
			w.call(http.MethodPost, path, map[string]any{"enabled": true}, nil)
		} else {
			w.call(http.MethodDelete, path+"/toxics/it", nil, nil)
		}
		w.mu.Lock()
		w.struck[mine].to = time.Now()
		w.mu.Unlock()
		if !on {
			return
		}
	}
}

// pass waits for a random time of at most so many milliseconds. It reports whether the weather goes on changing.
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

// hit reports whether something was done between two moments to what goes to Slack or where the state is.
func (w *weather) hit(from, to time.Time) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.struck, func(i illness) bool {
		return !strings.HasPrefix(i.proxy, "CLB_") && i.from.Before(to) && (i.to.IsZero() || i.to.After(from))
	})
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
