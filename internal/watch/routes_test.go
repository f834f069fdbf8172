package watch_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

const team incident.Route = "C0TEAM001"

// routed is a watcher that sends some load balancers' news to a channel of its own.
func routed(w *watchtest.World, glob string, keys ...string) *watch.Watcher {
	v := w.Watcher(keys...)
	v.Rules.Routes = []incident.RouteRule{{Glob: glob, Route: team}}
	return v
}

// channelsOf is where messages about a load balancer are.
func channelsOf(w *watchtest.World, key string) (at []incident.Route) {
	for _, m := range w.Slack() {
		for _, i := range m.First.Incidents {
			if i.Key == key && i.About != incident.Watching {
				at = append(at, m.Call.Route)
			}
		}
	}
	return at
}

// TestRoutesGoByTheNamesThatAreKnown holds that a load balancer which cannot be read, or is gone, is
// posted in the channel of its name, and that "now watching" is posted in the default one.
func TestRoutesGoByTheNamesThatAreKnown(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Name(web, "prod-web", nil)
	v := routed(w, "prod-*")
	region := lb.ParseKey(web).Region
	v.Discover = []watch.Scope{{Region: region}}
	tick := func(n int) {
		for range n {
			run(t, w, v)
		}
	}
	tick(1)
	if all := w.Slack(); len(all) != 1 || all[0].Call.Route != v.Rules.Route {
		t.Fatalf("%d messages at first, want that it is watched, in the default channel", len(all))
	}
	w.Fail(failOf("read", web, fmt.Errorf("not granted")))
	for range 4 {
		w.Advance(time.Minute)
		_, _ = v.Tick(deadline(t, w)) // nothing can be read
	}
	w.Fail(nil)
	if at := channelsOf(w, web); len(at) == 0 || at[0] != team {
		t.Errorf("that it cannot be read is posted in %q", at)
	}
	tick(15)
	n := len(channelsOf(w, web))
	w.Delete(web)
	tick(7)
	if at := channelsOf(w, web)[n:]; len(at) != 1 || at[0] != team {
		t.Errorf("that it is deleted is posted in %q", at)
	}
}

// TestSlowChannelDelaysNoOther holds that a channel whose calls take long does not take the time of
// another's, whether they fail or not.
func TestSlowChannelDelaysNoOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		class  incident.Class
		others int // of ten messages, those in the other channel
	}{
		{incident.ChannelDown, 5}, {incident.Temporary, 5}, {incident.Unknown, 5}, {incident.Done, 1},
	} {
		for _, what := range []string{"posts", "edits"} {
			t.Run(fmt.Sprintf("class %d, %s", tt.class, what), func(t *testing.T) {
				t.Parallel()
				w := watchtest.New()
				keys := many(w, 10)
				ticks(t, 2, w, keys...)
				v := w.Watcher(keys...)
				others := keys[10-tt.others:]
				rule := func(glob string, to incident.Route) {
					v.Rules.Routes = append(v.Rules.Routes, incident.RouteRule{Glob: glob, Route: to})
				}
				for _, key := range others {
					rule(lb.ParseKey(key).ID, v.Rules.Route)
				}
				rule("*", team)
				w.Fail(fail("send", watchtest.ErrTemporary)) // no incident joins a root that failed alone
				for _, key := range keys {
					w.Set(key, backend("ins-a", 4), backend("ins-b", 2))
					run(t, w, v)
				}
				w.Fail(nil)
				w.Advance(4 * time.Minute)
				if what == "edits" {
					run(t, w, v)
					for _, key := range keys {
						w.Set(key, up("ins-a", "ins-b")...)
					}
				}
				slack := v.Notifier
				v.Notifier = notifyFunc(func(ctx context.Context, call incident.Call,
					doc incident.Document) incident.Outcome {
					if call.Route != team || what == "edits" && call.Do == incident.Send {
						return slack.Do(ctx, call, doc)
					}
					w.Advance(9 * time.Second)
					if tt.class == incident.Done {
						return slack.Do(ctx, call, doc)
					}
					return incident.Outcome{Class: tt.class, Err: fmt.Errorf("class %d", tt.class)}
				})
				w.Advance(time.Minute)
				_, _ = v.Tick(deadline(t, w)) // it fails for what is due in the slow channel
				served := 0
				for _, m := range w.Slack() {
					i := m.First.Incidents[0]
					root := m.Thread == "" && i.About != incident.Watching && slices.Contains(others, i.Key)
					if root && (what == "posts" || m.Edits > 0) {
						served++
					}
				}
				if served != tt.others {
					t.Errorf("%d messages of the other channel are served, want %d", served, tt.others)
				}
			})
		}
	}
}

// TestShardsKeepRoutes holds that another number of shards moves no incident to another channel.
func TestShardsKeepRoutes(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, backend("ins-a", 2), backend("ins-b", 2))
	w.Name(web, "prod-web", nil)
	region := lb.ParseKey(web).Region
	v := routed(w, "prod-*")
	v.Discover = []watch.Scope{{Region: region}}
	run(t, w, v)
	w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
	run(t, w, v)
	w.Name(web, "staging-web", nil)
	w.Advance(6 * time.Minute) // it is listed anew
	for n := 1; n <= 2; n++ {
		s := w.Shard(state.Shard{N: n, Of: 2})
		s.Rules.Routes, s.Discover = v.Rules.Routes, v.Discover
		run(t, w, s)
		run(t, w, s)
	}
	if at := channelsOf(w, web); len(at) == 0 || at[len(at)-1] != team {
		t.Errorf("posted in %q, want all in the channel where it began", at)
	}
}
