package watch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// TestCampaign lives through random histories: backends come, go, stop and start while readings, the store and Slack
// fail before or after they did something, runs die, overlap and come late, and clocks differ. In the end, and at each
// message, a model says what people must believe. A history that fails shrinks, and is replayed with the seed it prints.
func TestCampaign(t *testing.T) {
	t.Parallel()
	for _, threads := range []bool{false, true} {
		t.Run(fmt.Sprintf("threads %v", threads), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { campaign(t, threads) })
		})
	}
}

// history is one campaign.
type history struct {
	*rapid.T
	world *watchtest.World
	finds bool                                // Slack finds its messages again
	pools map[string]map[string]watch.Backend // the cloud as it is
	had   map[string]bool                     // "key/id status", whatever a backend ever was
	maybe map[string]bool                     // alerts whose delivery or mark went wrong: they may be told twice
}

var campaignKeys = []string{api, web, "ap-shanghai/lb-far"}

func campaign(t *rapid.T, threads bool) {
	h := &history{T: t, world: watchtest.New(), finds: threads, pools: map[string]map[string]watch.Backend{}, had: map[string]bool{}, maybe: map[string]bool{}}
	if threads {
		h.world.Thread()
	}
	for _, key := range campaignKeys {
		h.pools[key] = map[string]watch.Backend{}
		for _, id := range []string{"ins-a", "ins-b"} {
			h.pools[key][id] = backend(id, watch.Running)
		}
		h.set(key)
	}
	h.tick(0) // the baseline
	t.Repeat(map[string]func(*rapid.T){
		"change":    func(*rapid.T) { h.change() },
		"tick":      func(*rapid.T) { h.tick(0) },
		"bad tick":  func(*rapid.T) { h.badTick() },
		"late tick": func(*rapid.T) { h.world.Advance(20 * time.Minute); h.tick(0) },
		"fast and slow clocks": func(*rapid.T) {
			h.tick(time.Duration(rapid.IntRange(-50, 50).Draw(t, "seconds")) * time.Second)
		},
		"": func(*rapid.T) { h.check(false) },
	})
	h.world.Fail(nil)
	for range 25 { // a lease that a dead run took may last for a while
		h.tick(0)
	}
	h.check(true)
	if head := h.world.Head(); len(head.Outbox) > 0 {
		t.Fatalf("in the end %+v is owed", head.Outbox)
	}
}

func (h *history) set(key string) {
	h.world.Set(key, slices.Collect(maps.Values(h.pools[key]))...)
	for id, b := range h.pools[key] {
		h.had[fmt.Sprint(key, "/", id, " ", b.Status)] = true
	}
}

// change does one thing to one backend.
func (h *history) change() {
	key := rapid.SampledFrom(campaignKeys).Draw(h.T, "key")
	id := rapid.SampledFrom([]string{"ins-a", "ins-b", "ins-c"}).Draw(h.T, "id")
	status := rapid.SampledFrom([]watch.Status{0, 2, 2, 4, 9}).Draw(h.T, "status")
	delete(h.pools[key], id)
	if status != 0 {
		h.pools[key][id] = backend(id, status)
	}
	h.set(key)
}

// tick is a run a minute after the last, by a clock that is off.
func (h *history) tick(off time.Duration) {
	h.world.Advance(time.Minute)
	h.run(off)
}

func (h *history) run(off time.Duration) {
	now := func() time.Time { return h.world.Now().Add(off) }
	ctx, cancel := context.WithDeadline(context.Background(), now().Add(50*time.Second))
	defer cancel()
	w := h.world.Watcher(campaignKeys...)
	w.Now = now
	_, _ = w.Tick(ctx) // what it says of itself is tested elsewhere
}

// badTick is a run in which one call or several go wrong, or another run does all its work at one of its calls.
func (h *history) badTick() {
	at := rapid.IntRange(0, 14).Draw(h.T, "call")
	times := rapid.IntRange(1, 4).Draw(h.T, "times")
	apply := rapid.Bool().Draw(h.T, "it happened")
	how := rapid.SampledFrom([]string{"fails", "dies", "not sent", "overlaps"}).Draw(h.T, "how")
	if how == "not sent" {
		apply = false
	}
	n := 0
	h.world.Fail(func(op, what string) (bool, error) {
		n++
		if n-1 < at || n-1 >= at+times {
			return true, nil
		}
		switch how {
		case "overlaps":
			h.world.Fail(nil)
			h.run(0)
			return true, nil
		case "not sent":
			if op == "notify" {
				return false, fmt.Errorf("%w: no connection", watch.ErrNotSent)
			}
			return true, nil
		case "dies":
			h.unsure()
			return apply, watchtest.ErrDied
		}
		h.unsure()
		if op == "notify" && apply {
			h.maybe[what] = true
		}
		return apply, errors.New("it went wrong")
	})
	h.tick(0)
	h.world.Fail(nil)
}

// unsure notes that what is being sent now may be told again: its mark may be lost.
func (h *history) unsure() {
	if head := h.world.Head(); head != nil {
		for _, a := range head.Outbox {
			h.maybe[a.ID] = true
		}
	}
	for _, d := range h.world.Deliveries() {
		h.maybe[d.Alert.ID] = true
	}
}

// check follows what people were told and compares it with what they must believe: in the end, with what is.
func (h *history) check(end bool) {
	believed := map[string]string{}
	for _, key := range campaignKeys {
		for _, id := range []string{"ins-a", "ins-b"} {
			believed[key+"/"+id] = "running"
		}
	}
	seen := map[string]bool{}
	for _, d := range h.world.Deliveries() {
		if seen[d.Alert.ID] {
			if h.finds || !h.maybe[d.Alert.ID] {
				h.Fatalf("alert %s was told twice; messages can be found: %v, an answer was lost: %v", d.Alert.ID, h.finds, h.maybe[d.Alert.ID])
			}
			continue
		}
		seen[d.Alert.ID] = true
		for _, p := range d.Alert.Pools {
			for _, c := range p.Changes {
				h.follow(believed, p.CLB.Key()+"/"+c.Backend.ID, c)
			}
		}
	}
	if !end {
		return
	}
	for _, key := range campaignKeys {
		for _, id := range []string{"ins-a", "ins-b", "ins-c"} {
			is := "absent"
			if b, ok := h.pools[key][id]; ok {
				is = state(b)
			}
			if got := believed[key+"/"+id]; got != is && (got != "" || is != "absent") {
				h.Fatalf("people believe that %s/%s is %s, and it is %s", key, id, got, is)
			}
		}
	}
}

func state(b watch.Backend) string {
	if b.Running() {
		return "running"
	}
	return "out"
}

// follow is one step of what people believe. A step from where they are not was lost, doubled or out of order.
func (h *history) follow(believed map[string]string, of string, c watch.Change) {
	from, to := map[watch.Kind]string{watch.Added: "absent", watch.LeftRunning: "running", watch.Recovered: "out"}[c.Kind], state(c.Backend)
	was := believed[of]
	if was == "" {
		was = "absent"
	}
	if c.Kind == watch.Removed {
		from, to = was, "absent"
		if was == "absent" {
			from = "present"
		}
	}
	if was != from {
		h.Fatalf("told that %s was %s while people believe that it is %s", of, c.Kind, was)
	}
	if c.Kind != watch.Removed && !h.had[fmt.Sprint(of, " ", c.Backend.Status)] {
		h.Fatalf("told that %s was %s with the status %v, which it never had", of, c.Kind, c.Backend.Status)
	}
	believed[of] = to
}
