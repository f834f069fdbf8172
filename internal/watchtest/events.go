package watchtest

import (
	"context"
	"maps"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// occurs makes something happen.
func (h *history) occurs(e happening) {
	if e.What != "" {
		h.log("%s %d for %s", e.What, e.N, e.For)
	}
	switch e.What {
	case "outage":
		h.tally.Outages[e.Outage].Add(1)
		h.outage = e.Outage
		h.in(e.For, func() { h.outage, h.outageEnd = noOutage, h.world.Now() })
	case "api out":
		h.tally.APIOuts.Add(1)
		h.apiOut = true
		h.in(e.For, func() { h.apiOut = false })
	case "sleep":
		h.tally.Sleeps.Add(1)
		h.pass(e.For)
		h.slept(e.For)
	case "days":
		h.tally.Days.Add(1)
		h.pass(25 * time.Hour)
		h.slept(25 * time.Hour)
		h.collect()
	case "delete message":
		if n := len(h.world.Slack()); n > 0 {
			h.tally.Deleted.Add(1)
			h.deletes(h.world.Slack()[e.N%n])
		}
	case "route":
		to := []incident.Route{campaignBot, campaignOther, campaignWebhook}[e.N%3]
		glob := []string{"", "lb-far", "lb-8a*", "lb-*"}[e.N/3%4]
		if !to.Bot() { // only a bot posts to several channels
			glob = ""
		}
		if to != h.route || glob != h.apart {
			h.tally.Routes.Add(1)
			h.route, h.apart = to, glob
			h.moves()
		}
	case "silence", "acknowledge", "end silence":
		h.silences(e)
	case "calm":
		h.calm()
	case "shards":
		h.calm()
		h.tally.Shards.Add(1)
		h.of = 1 + e.N%maxShards
		h.sharded = true
	case "stray":
		h.calm()
		h.tally.Strays.Add(1)
		h.sharded = true
		of := 1 + e.N%maxShards
		h.tick(shards(of)[e.N/maxShards%of], 0, nil)
		h.pass(time.Minute)
	case "delete":
		h.mu.Lock()
		h.pools[campaignFar] = map[string]lb.Backend{}
		h.gone[campaignFar] = true
		h.mu.Unlock()
		h.world.Delete(campaignFar)
	}
}

// collect is a collection of old state in each shard, beside those that ticks make now and then.
func (h *history) collect() {
	for _, s := range h.shards() {
		_ = must((&run{World: h.world}).store(s)).Collect(context.Background()) // it is tried again
	}
}

// calm lets nothing go wrong until what there is to do must be done, and then compares all that is known.
func (h *history) calm() {
	h.tally.Calms.Add(1)
	h.faulty, h.apiOut = false, false
	if h.outage != noOutage {
		h.outage, h.outageEnd = noOutage, h.world.Now()
	}
	why := ""
	for n := range 45 {
		step := 4 * time.Minute
		if n < 6 {
			step = time.Minute // as ever
		}
		for i, s := range h.shards() {
			h.tick(s, time.Duration(i)*time.Second, nil)
		}
		h.pass(step)
		if n == 3 {
			for m := range h.alive { // frozen for longer
				m.run.die()
			}
		}
		if n < 12 { // LATE, STABLE_AFTER, and claims made under a clock that is ahead
			continue
		}
		if why = h.unrest(); why == "" {
			break
		}
	}
	if why != "" {
		h.Fatalf("after nearly three calm hours: %s", why)
	}
	h.check()
	h.faulty = true
}

// heal makes all well.
func (h *history) heal() {
	for _, key := range campaignKeys {
		for id, b := range maps.Clone(h.pools[key]) {
			h.set(key, h.backend(key, id, lb.Running, max(1, len(b.Bindings))))
		}
	}
}

// last holds that nothing stays in the state for good. Of each day it plays less than an hour: until it is
// known that Slack takes something in no form takes two such days, and then it stays for another.
func (h *history) last() {
	for range 5 {
		if h.empty() == "" {
			return
		}
		h.pass(25 * time.Hour)
		h.slept(25 * time.Hour)
		h.calm()
	}
	if why := h.empty(); why != "" {
		h.Fatalf("after five days in which all is well: %s", why)
	}
}
