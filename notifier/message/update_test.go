package message_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// TestUpdatesSayWhatNoPostHasShown holds that an update is about what is new, and how it stands.
func TestUpdatesSayWhatNoPostHasShown(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 9).set("prod-web", 4, "web-01").tick()
	s.set("prod-web", 4, "web-02").tick()
	got := s.update()
	if want := ":large_orange_circle: web-02 stopped on prod-web, 7 of 9 running"; got.Text != want {
		t.Errorf("the update is %q, want %q", got.Text, want)
	}
	contains(t, got.Plain, "7 of 9 running  ·  serving 77 %")
	if strings.Contains(got.Plain, "web-01") {
		t.Errorf("the update repeats what was posted:\n%s", got.Plain)
	}
	if root := s.root(); !strings.Contains(root.Plain, "web-01") || !strings.Contains(root.Plain, "web-02") {
		t.Errorf("the root does not have both:\n%s", root.Plain)
	}
}

func TestUpdateAboutOneOfSeveralSaysHowItIsInAll(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 6).watch("prod-api", 6)
	s.set("prod-web", 4, "web-01").set("prod-api", 4, "api-01").tick()
	got := s.set("prod-api", 4, "api-02").tick().update()
	if !strings.Contains(got.Text, ": api-02 stopped on prod-api, 4 of 6 running") ||
		!strings.HasSuffix(got.Plain, "• In all  3 machines stopped on 2 load balancers") {
		t.Errorf("the update says\n%s", got.Plain)
	}
}

// TestWhatWasOverBeforeItCouldBePostedIsSaid has a load balancer down and well again while Slack takes
// nothing.
func TestWhatWasOverBeforeItCouldBePostedIsSaid(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 4).set("prod-web", 4, "web-01").tick()
	s.answer = func(incident.Call) incident.Class { return incident.ChannelDown }
	s.set("prod-web", 4, many("web", 1, 4)...).tick().set("prod-web", 2, many("web", 2, 4)...).tick()
	s.answer = nil
	contains(t, s.tick().update().Text, "out and back on prod-web, 3 of 4 running, was DOWN in between")
}

func TestEndOfALevelNamesItsLoadBalancer(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 6).set("prod-web", 4, many("web", 1, 3)...).ticks(2)
	s.set("prod-web", 2, "web-01", "web-02").ticks(4)
	want := ":large_orange_circle: prod-web no longer degraded: 5 of 6 running"
	if got := s.update().Text; got != want {
		t.Errorf("the end of a level is %q, want %q", got, want)
	}
}

// TestHeldBackNewsIsInNoUpdate has a restart that may pass by itself beside a machine that was shut down.
func TestHeldBackNewsIsInNoUpdate(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 9)
	s.rules.TransientFor = 5 * time.Minute
	s.set("prod-web", 4, "web-01").tick().set("prod-web", 4, "web-02").set("prod-web", 7, "web-03").tick()
	if got := s.update().Plain; strings.Contains(got, "web-03") || !strings.Contains(got, "web-02") {
		t.Errorf("the update says\n%s", got)
	}
	if got := s.root().Plain; !strings.Contains(got, "web-03") {
		t.Errorf("the root does not show what is held back as it is:\n%s", got)
	}
}

// TestOutagesHaveTheirOwnTimes holds what is said of a machine that was out more than once.
func TestOutagesHaveTheirOwnTimes(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 9)
	flap := func(minutes int) string {
		return s.set("prod-web", 4, "web-01").ticks(minutes).set("prod-web", 2, "web-01").tick().root().Plain
	}
	contains(t, flap(1), "2026-11-23 04:41 UTC – 04:42 UTC (1 min)")
	contains(t, flap(2), "out twice: 2026-11-23 04:41 UTC – 04:42 UTC (1 min), "+
		"2026-11-23 04:43 UTC – 04:45 UTC (2 min), 3 min in all")
	contains(t, flap(1), "out 3 times since 2026-11-23 04:41 UTC, last 2026-11-23 04:46 UTC, 4 min in all")
	s.set("prod-web", 4, "web-01").tick()
	contains(t, s.root().Plain, "shut down (4) since 2026-11-23 04:48 UTC, out 3 times before, 4 min in all")
}

// TestOutageThatARemovalEndedHasNoMadeUpTimes holds that what is not known is not worked out.
func TestOutageThatARemovalEndedHasNoMadeUpTimes(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 9).set("prod-web", 4, "web-01").ticks(9)
	s.set("prod-web", 2, "web-01").tick()
	b := machine("prod-web", 1)
	s.set("prod-web", 4, "web-01").tick().set("prod-web", 0, "web-01").ticks(3)
	s.pools["prod-web"] = append(s.pools["prod-web"], b)
	lb.SortBackends(s.pools["prod-web"])
	got := s.tick().root().Plain
	contains(t, got, "out twice since 2026-11-23 04:41 UTC, last 2026-11-23 04:51 UTC, 10 min in all")
}

// TestWhatIsLeftOutIsCounted has more machines than a message has room for.
func TestWhatIsLeftOutIsCounted(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 400)
	for n := 1; n <= 300; n++ {
		s.set("prod-web", 4, many("web", n, n)...)
	}
	m := s.tick().root()
	if got := strings.Count(m.Plain, "\nweb-"); got != 20 {
		t.Errorf("%d of 300 machines are named, want 20:\n%s", got, m.Plain)
	}
	contains(t, m.Plain, "Stopped (300)")
	contains(t, m.Plain, "… and 280 more")
}

// TestCrowdIsCounted has more machines than are kept with details.
func TestCrowdIsCounted(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 2000)
	for n := 1; n <= 900; n++ {
		s.pools["prod-web"][n].Status = 4
	}
	m := s.tick().root()
	contains(t, m.Text, "900 machines stopped on prod-web, 1100 of 2000 running")
	contains(t, m.Plain, "… and 880 more")
}

// TestUpdateAboutACrowdSaysHowItIs has an update about machines that are not kept with details.
func TestUpdateAboutACrowdSaysHowItIs(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 2000)
	for n := range 900 {
		s.pools["prod-web"][n].Status = 4
	}
	s.tick()
	s.pools["prod-web"] = slices.Clone(s.pools["prod-web"])
	for n := range 20 {
		s.pools["prod-web"][900+n].Status = 4
	}
	contains(t, s.tick().update().Text, ": 920 machines stopped on prod-web, 1080 of 2000 running")
}

// TestWhatCannotBeReadIsExplainedForEachKind has one reason for two things that cannot be read.
func TestWhatCannotBeReadIsExplainedForEachKind(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 1).watch("prod-api", 1)
	why := incident.Reason{Why: "UnauthorizedOperation", Do: "Grant the role clb:Describe."}
	s.unread = []incident.Unread{
		{Key: s.clbs["prod-web"].Key(), About: incident.Reading, Reason: why},
		{Key: s.clbs["prod-api"].Key(), About: incident.Health, Reason: why},
	}
	got := s.ticks(3).root()
	contains(t, got.Text, "Cannot read prod-web, cannot read the health of prod-api")
	contains(t, got.Plain, "Changes there are not being detected")
	contains(t, got.Plain, "Failing health checks are not being detected")
}

// TestUnreadableLoadBalancerIsShownAsLastRead has an incident whose load balancer cannot be read any more.
func TestUnreadableLoadBalancerIsShownAsLastRead(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 9).set("prod-web", 4, "web-01").tick()
	s.unread = []incident.Unread{{Key: s.clbs["prod-web"].Key(), About: incident.Reading}}
	got := s.tick().as(incident.Call{Do: incident.Edit}).Plain
	contains(t, got, "as last read: cannot be read since 2026-11-23 04:42 UTC")
}

// TestEndingsAreHonest holds what is said of incidents that end otherwise than by recovery.
func TestEndingsAreHonest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		happens func(*story)
		want    string
	}{
		"deleted": {func(s *story) {
			s.gone = map[string]incident.End{s.clbs["prod-web"].Key(): incident.EndDeleted}
		}, ":large_yellow_circle: web-01 stopped on prod-web, at worst 5 of 6 running" +
			" · over: it was deleted"},
		"not watched any more": {func(s *story) {
			s.gone = map[string]incident.End{s.clbs["prod-web"].Key(): incident.EndDropped}
		}, ":large_blue_circle: web-01 stopped on prod-web, at worst 5 of 6 running" +
			" · over: it is not watched any more"},
		"drained meanwhile": {func(s *story) {
			s.set("prod-web", 2, "web-01").change("prod-web", "web-02", func(b *lb.Backend) { b.Weight = 0 })
		}, ":large_blue_circle: web-01 was out on prod-web, at worst 5 of 6 running" +
			" · over, serving weight 50 of 60"},
		"back": {func(s *story) {
			s.set("prod-web", 2, "web-01")
		}, ":large_green_circle: Resolved after 1 min: web-01 was out on prod-web, at worst 5 of 6 running"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t).watch("prod-web", 6).set("prod-web", 4, "web-01").tick()
			tt.happens(s)
			if got := s.ticks(14).root().Text; got != tt.want {
				t.Errorf("it ends as\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

// TestBaselineCountsWhatItDoesNotName has more load balancers than a notice names, not all of them well.
func TestBaselineCountsWhatItDoesNotName(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	base := incident.Baseline{CLBs: 40, Backends: 400, Running: 380}
	for n := range 15 {
		c := lb.CLB{Region: "ap-guangzhou", ID: "lb-" + many("x", n, n)[0]}
		base.Worst = append(base.Worst, incident.Standing{CLB: c, Now: lb.Capacity{Running: 9, Total: 10}})
	}
	s.notices = []incident.Incident{{About: incident.Watching, Key: base.Worst[0].CLB.Key(), Baseline: &base}}
	got := s.tick().root().Plain
	contains(t, got, "Now watching 40 load balancers: 380 of 400 backends running")
	contains(t, got, "… and 25 more load balancers")
}

func contains(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("the message says\n%s, want\n%s", got, want)
	}
}

// TestLateEndingDoesNotTellHowThingsStand holds that a message which comes only when its incident is over
// does not say how many run, once a newer incident of the same load balancer does: by webhook, nobody can
// edit it.
func TestLateEndingDoesNotTellHowThingsStand(t *testing.T) {
	t.Parallel()
	for name, title := range map[string]string{
		"web-01": "Resolved after 3 min: web-01 was out on prod-web, at worst 3 of 4 running",
		"new-05": "new-05 added to prod-web, see incident 2",
	} {
		s := newStory(t).watch("prod-web", 4)
		s.rules.Route = "webhook:abcd"
		s.answer = func(incident.Call) incident.Class { return incident.Temporary }
		s.set("prod-web", 4, name).ticks(3).set("prod-web", lb.Running, name).ticks(1)
		for s.state.Roots[0].Open() { // which nobody is told of
			s.tick()
		}
		s.set("prod-web", 0, "web-02").tick()
		s.answer = nil
		s.ticks(6)
		late := 0
		for _, p := range s.posts {
			if !p.call.Post.End {
				continue
			}
			late++
			if !strings.Contains(p.Text, title) || !strings.Contains(p.Plain, "lb-08a3c2f1  ·  see incident 2") {
				t.Errorf("a late message about %s says\n%s\nwant it to lead to the newer incident", name, p.Plain)
			}
		}
		if late != 1 || len(s.posts) < 2 {
			t.Errorf("%d messages, %d of them about %s, want one beside the newer incident's", len(s.posts), late,
				name)
		}
	}
}
