package incident

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
)

const (
	teamA Route = "C0TEAMA01"
	teamB Route = "C0TEAMB01"
)

// routed is a desk of some load balancers with routes; names are what Observation.Name returns.
func routed(t *testing.T, rules ...RouteRule) *desk {
	t.Helper()
	d := newDesk(t, map[string]string{"a": "a0 a1 a2", "b": "b0 b1 b2", "c": "c0 c1 c2"})
	d.rules.Routes = rules
	return d
}

// out stops one backend of each of these load balancers.
func (d *desk) out(names ...string) *desk {
	for _, n := range names {
		d.set(n, fmt.Sprintf("%s0:4 %s1 %s2", n, n, n))
	}
	return d
}

// allOut stops all of them.
func (d *desk) allOut(names ...string) *desk {
	for _, n := range names {
		d.set(n, fmt.Sprintf("%s0:4 %s1:4 %s2:4", n, n, n))
	}
	return d
}

func (d *desk) well(names ...string) *desk {
	for _, n := range names {
		d.set(n, fmt.Sprintf("%s0 %s1 %s2", n, n, n))
	}
	return d
}

// open are the open roots, as "channel: names".
func (d *desk) open() (all []string) {
	for _, r := range d.s.Roots {
		var names []string
		for _, i := range r.Incidents {
			if i.Open() {
				names = append(names, i.Label)
			}
		}
		if len(names) > 0 {
			all = append(all, fmt.Sprintf("%s: %s", r.Delivery.Route, strings.Join(names, " ")))
		}
	}
	return all
}

// messages are what Slack has, as "channel: root" or "channel: update", with "!" if it mentions.
func (d *desk) messages() (all []string) {
	for _, m := range d.slack.messages {
		what := "update"
		if m.post.Root {
			what = "root"
		}
		if m.post.Mention {
			what += "!"
		}
		all = append(all, fmt.Sprintf("%s: %s", m.route, what))
	}
	return all
}

func wantAll(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func on(c Route, text string) string { return string(c) + ": " + text }

// TestRouteOf holds which channel an incident goes to: that of the first glob that matches a name, and the
// default for what is about no load balancer, or about many.
func TestRouteOf(t *testing.T) {
	t.Parallel()
	rules := Rules{Route: bot, Routes: []RouteRule{{"prod-db-*", teamA}, {"prod-*", teamB},
		{"lb-12345678", teamA}}}
	known := map[string]lb.CLB{"r/lb-found": {Title: "prod-found"}}
	s := State{name: func(key string) lb.CLB { return known[key] }}
	for _, tt := range []struct {
		name string
		i    Incident
		want Route
	}{
		{"the first of two globs", Incident{Key: "r/lb-1", Label: "prod-db-1"}, teamA},
		{"the second", Incident{Key: "r/lb-1", Title: "prod-web"}, teamB},
		{"by id", Incident{Key: "r/lb-12345678", Title: "x"}, teamA},
		{"by the name that a search found", Incident{Key: "r/lb-found", About: Reading}, teamB},
		{"none", Incident{Key: "r/lb-1", Label: "staging"}, bot},
		{"a part of a name", Incident{Key: "r/lb-1", Label: "my-prod-db-1"}, bot},
		{"a deleted one", Incident{Key: "r/lb-1", Title: "prod-db-1", About: Deleted}, teamA},
		{"a search", Incident{Key: "prod-db-x", About: Listing}, bot},
		{"a search that finds nothing", Incident{Key: "prod-db-x", About: Nothing}, bot},
		{"now watching", Incident{Key: "r/lb-1", Label: "prod-db-1", About: Watching}, bot},
	} {
		if got := s.routeOf(&tt.i, rules); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestRoutesPartIncidents holds that what begins at the same time is one message in each channel, and that
// each goes on where it began.
func TestRoutesPartIncidents(t *testing.T) {
	t.Parallel()
	d := routed(t, RouteRule{"a", teamA}, RouteRule{"[b", teamB}, RouteRule{"b", teamB})
	d.out("a", "b", "c").pass(1)
	wantAll(t, "open", d.open(), on(teamA, "a"), on(teamB, "b"), on(bot, "c"))
	d.pass(4).set("b", "b0:4 b1:4 b2:4").pass(1)
	wantAll(t, "posted", d.messages(), on(teamA, "root"), on(teamB, "root"), on(bot, "root"),
		on(teamB, "update!"))
	d.blind["a"] = Reading
	d.pass(4)
	wantAll(t, "cannot read", d.messages()[4:], on(teamA, "root"))
	for c, m := range map[Route]int{teamA: 0, teamB: 1, bot: 2} {
		if key := d.slack.messages[m].sent[0].key; d.slack.messages[m].route != c {
			t.Errorf("%s is posted in %s", key, d.slack.messages[m].route)
		}
	}
}

// TestRenamingMovesNothing holds that an incident stays where it began, and that the next goes by the new
// name.
func TestRenamingMovesNothing(t *testing.T) {
	t.Parallel()
	d := routed(t, RouteRule{"prod-*", teamA})
	name := "prod-a"
	tick := func(minutes int) {
		for range minutes {
			d.now = d.now.Add(time.Minute)
			o := d.observe()
			for n := range o.Changed {
				o.Changed[n].CLB = lb.CLB{Region: "ap-test", ID: o.Changed[n].CLB.ID, Title: name}
			}
			o.Name = func(key string) lb.CLB {
				c := lb.ParseKey(key)
				c.Title = name
				return c
			}
			d.judge(o)
		}
	}
	d.out("a")
	tick(2)
	name = "staging-a"
	d.allOut("a")
	tick(2)
	d.well("a")
	tick(15)
	d.out("a")
	tick(1)
	wantAll(t, "posted", d.messages(), on(teamA, "root"), on(teamA, "update!"), on(teamA, "update"),
		on(teamA, "update"), on(bot, "root"))
}

// TestChangedRoutesMoveAndDivide holds that incidents which belong to different channels under new
// settings have messages of their own there, that nobody is called again, and that the old message says
// where it continues.
func TestChangedRoutesMoveAndDivide(t *testing.T) {
	t.Parallel()
	d := routed(t).allOut("a", "b", "c").pass(2)
	wantAll(t, "open", d.open(), on(bot, "a b c"))
	wantAll(t, "posted", d.messages(), on(bot, "root!"))
	d.rules.Routes = []RouteRule{{"b", teamB}, {"c", teamA}}
	d.pass(2)
	wantAll(t, "open", d.open(), on(bot, "a"), on(teamB, "b"), on(teamA, "c"))
	wantAll(t, "posted", d.messages(), on(bot, "root!"), on(teamB, "root"), on(teamA, "root"))
	if m := d.slack.messages[0]; m.continues || len(m.shows) != 1 || m.shows[0].key != keyOf("a") {
		t.Errorf("the first message shows %+v and continues elsewhere: %v, want what stays", m.shows,
			m.continues)
	}
	// A moves, too: its message says so.
	d.rules.Routes = append(d.rules.Routes, RouteRule{"a", teamB})
	d.pass(2)
	wantAll(t, "open", d.open(), on(teamB, "a"), on(teamB, "b"), on(teamA, "c"))
	if !d.slack.messages[0].continues {
		t.Errorf("the old message of a does not say where it continues")
	}
	// Each end is shown where the incident is now.
	n := len(d.slack.messages)
	d.well("a", "b", "c").pass(13)
	for _, m := range d.slack.messages[n:] {
		if m.route == bot || m.post.Root {
			t.Errorf("after that, %+v is posted in %s", m.post, m.route)
		}
	}
	if len(d.s.Roots) != 0 {
		t.Errorf("in the end there are %q", d.open())
	}
}

// TestDividedRootIsPostedIfItWasNot holds that news which a channel never took reaches the channels that the
// corrected settings name, and calls people there.
func TestDividedRootIsPostedIfItWasNot(t *testing.T) {
	t.Parallel()
	d := routed(t, RouteRule{"*", "C0WRONG01"}).allOut("a", "b").set("c", "c0 c1")
	d.answer = func(c Call, _ *Root) (Class, bool) {
		if c.Route == "C0WRONG01" {
			return ChannelDown, false
		}
		return Done, true
	}
	d.pass(5).set("c", "c0 c1 c2").pass(1)
	d.rules.Routes = []RouteRule{{"a", teamA}, {"b", teamB}}
	d.pass(1)
	wantAll(t, "posted", d.messages(), on(teamA, "root!"), on(teamB, "root!"), on(bot, "root"))
	if late := d.s.Overdue(d.now.Add(10 * time.Minute)); len(late) > 0 {
		t.Errorf("%d roots are overdue, though all is posted", len(late))
	}
}

// TestChangedRoutesLeaveWhatIsOver holds that what is over and was reported is posted nowhere again.
func TestChangedRoutesLeaveWhatIsOver(t *testing.T) {
	t.Parallel()
	d := routed(t).out("a", "b").pass(2).well("a").pass(12)
	wantAll(t, "open", d.open(), on(bot, "b"))
	n := len(d.slack.messages)
	d.rules.Routes = []RouteRule{{"a", teamA}}
	if d.pass(3); len(d.slack.messages) != n {
		t.Errorf("posted %q", d.messages()[n:])
	}
	d.rules.Routes = []RouteRule{{"b", teamB}}
	d.pass(3)
	wantAll(t, "posted", d.messages()[n:], on(teamB, "root"))
}

// TestChangedRoutesOfASearch holds that a search stays on the default channel whatever its routes are.
func TestChangedRoutesOfASearch(t *testing.T) {
	t.Parallel()
	d := routed(t)
	search := func() {
		d.now = d.now.Add(time.Minute)
		o := d.observe()
		o.Unread = append(o.Unread, Unread{Key: "ap-test/prod-*", About: Listing, Reason: Reason{Why: "403"}})
		d.judge(o)
	}
	for range 4 {
		search()
	}
	d.rules.Routes = []RouteRule{{"*", teamA}}
	search()
	wantAll(t, "posted", d.messages(), on(bot, "root"))
}

// TestOrderOfRoutesIsASetting holds that the settings have changed if only the order has.
func TestOrderOfRoutesIsASetting(t *testing.T) {
	t.Parallel()
	d := routed(t, RouteRule{"*", teamA}, RouteRule{"a", teamB}).out("a").pass(2)
	d.rules.Routes = []RouteRule{{"a", teamB}, {"*", teamA}}
	d.pass(2)
	wantAll(t, "posted", d.messages(), on(teamA, "root"), on(teamB, "root"))
}

// TestChannelsInUseAreRemembered holds that what is known of a channel is kept while a rule or a root uses
// it.
func TestChannelsInUseAreRemembered(t *testing.T) {
	t.Parallel()
	d := routed(t, RouteRule{"a", teamA}, RouteRule{"b", teamB}).out("a", "b", "c").pass(2)
	if n := len(d.s.Channels); n != 3 {
		t.Errorf("%d channels are known, want 3", n)
	}
	d.rules.Routes = []RouteRule{{"a", teamA}}
	if d.pass(2); len(d.s.Channels) != 2 || d.s.Channels[teamB] != nil {
		t.Errorf("known: %v, want what is used", d.s.Channels)
	}
}

// TestChannelThatRefusesDelaysNoOther holds that a channel with more messages than a tick makes, none of
// which it takes, keeps nobody waiting in another.
func TestChannelThatRefusesDelaysNoOther(t *testing.T) {
	t.Parallel()
	for _, class := range []Class{ChannelDown, Temporary, Unknown} {
		name := classWords[class]
		d := newDesk(t, nil)
		d.rules.Routes = []RouteRule{{"x*", teamA}}
		d.answer = func(c Call, _ *Root) (Class, bool) {
			if c.Route == teamA {
				return class, false
			}
			return Done, true
		}
		add := func(name string) {
			pool := strings.ReplaceAll("N0 N1 N2", "N", name)
			d.world[name] = backends(pool)
			d.snap[name] = lb.Baseline(d.world[name], d.now)
		}
		for n := range 60 {
			x := fmt.Sprintf("x%02d", n)
			add(x)
			d.allOut(x).pass(1)
			for _, r := range d.s.Roots {
				r.Delivery.Fails = max(r.Delivery.Fails, 1) // none joins it
			}
		}
		if n := len(d.s.Roots); n < maxPosts {
			t.Fatalf("%s: %d roots", name, n)
		}
		add("a")
		if d.out("a").pass(1); !slices.Contains(d.messages(), on(bot, "root")) {
			t.Errorf("%s: the other channel has %q, want its news in the same minute", name, d.messages())
		}
	}
}

// TestEditsTakeTurns holds that a channel with many messages to be edited leaves room for another's.
func TestEditsTakeTurns(t *testing.T) {
	t.Parallel()
	var edits []*Root
	for n := range 30 {
		to := teamA
		if n == 29 {
			to = teamB
		}
		edits = append(edits, &Root{Made: epoch, Delivery: Delivery{Route: to}})
	}
	last := edits[29]
	(&State{}).cut(nil, edits, "run", epoch)
	if c := last.Delivery.Claim; c == nil || !c.Edit {
		t.Errorf("the only edit of a channel is not made")
	}
	n := 0
	for _, r := range edits {
		if r.Delivery.Claim != nil {
			n++
		}
	}
	if n != maxEdits {
		t.Errorf("%d edits, want %d", n, maxEdits)
	}
}

// TestRootsOfAllChannelsAreBounded holds that a channel never has more than maxRoots open roots, and that
// many channels together have a bound, too.
func TestRootsOfAllChannelsAreBounded(t *testing.T) {
	t.Parallel()
	s := &State{}
	rules := Rules{StableAfter: time.Second, MentionAt: 50, BlindAfter: 1, Route: bot}
	for n := range 10 {
		to := Route(fmt.Sprintf("C0TEAM%03d", n))
		rules.Routes = append(rules.Routes, RouteRule{fmt.Sprintf("t%d-*", n), to})
	}
	at := epoch
	for n := range 60 {
		for team := range 10 {
			at = at.Add(time.Minute)
			rules.Tag = fmt.Sprint("tag", at.Unix())
			i := Incident{Key: fmt.Sprintf("r/lb-%d-%d", team, n), Label: fmt.Sprintf("t%d-%d", team, n)}
			s.begin(i, at, rules)
			s.channel(Route(fmt.Sprintf("C0TEAM%03d", team))).LastYes = at.Add(time.Second)
		}
	}
	of := make(map[Route]int)
	for _, r := range s.Roots {
		of[r.Delivery.Route]++
	}
	if len(s.Roots) != maxAllRoots || len(of) != 10 {
		t.Errorf("%d roots in %d channels, want %d in 10", len(s.Roots), len(of), maxAllRoots)
	}
	only := &State{}
	for n := range 60 {
		at = at.Add(time.Minute)
		only.begin(Incident{Key: fmt.Sprintf("r/lb-%d", n), Label: "t0-x"}, at, rules)
		only.begin(Incident{Key: fmt.Sprintf("r/lb-b%d", n), Label: "t1-x"}, at, rules)
		for team := range 2 {
			only.channel(Route(fmt.Sprintf("C0TEAM%03d", team))).LastYes = at.Add(time.Second)
		}
	}
	if n := len(only.Roots); n != 2*maxRoots {
		t.Errorf("%d roots in two channels, want %d in each", n, maxRoots)
	}
}

// TestDividedRootSaysNothingAboutTheOthers holds that what goes to another channel leaves no news and no
// end of a level behind, and that nobody is called because of it.
func TestDividedRootSaysNothingAboutTheOthers(t *testing.T) {
	t.Parallel()
	toB := []RouteRule{{"b", teamB}}
	down := answers{Send: ChannelDown}.answer
	for name, tt := range map[string]struct {
		before func(d *desk)
		want   []string // what is posted because of it
	}{
		"news that no post has shown": {func(d *desk) {
			d.out("a", "b").pass(2)
			d.answer = down
			d.set("b", "b0:4 b1 b2 b3").pass(1)
		}, []string{on(teamB, "root")}},
		"the end of a level": {func(d *desk) { d.out("a").allOut("b").pass(2) }, []string{on(teamB, "root")}},
		"who was called already": {func(d *desk) {
			d.allOut("a", "b").pass(1)
		}, []string{on(teamB, "root")}},
		"who was not": {func(d *desk) {
			d.answer = down
			d.allOut("a", "b").pass(2)
		}, []string{on(bot, "root!"), on(teamB, "root!")}},
		"who may have been": {func(d *desk) {
			d.answer = answers{Send: Unknown}.answer
			d.allOut("a", "b").pass(1)
		}, []string{on(bot, "root!"), on(teamB, "root")}},
		"who is called for an outage only": {func(d *desk) {
			d.answer = down
			d.set("a", "a0").allOut("b").pass(2)
		}, []string{on(bot, "root"), on(teamB, "root!")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := routed(t)
			tt.before(d)
			n := len(d.slack.messages)
			d.answer, d.rules.Routes = nil, toB
			d.pass(4)
			got := d.messages()[n:]
			slices.Sort(got)
			wantAll(t, "posted", got, tt.want...)
		})
	}
}

// TestOldMessageContinuesInTheLastChannel holds that a message says where it continues even if the channel in
// between took nothing.
func TestOldMessageContinuesInTheLastChannel(t *testing.T) {
	t.Parallel()
	d := routed(t).out("a").pass(2)
	d.answer = func(c Call, _ *Root) (Class, bool) {
		if c.Route == teamA {
			return ChannelDown, false
		}
		return Done, true
	}
	d.rules.Routes = []RouteRule{{"a", teamA}}
	d.pass(2)
	d.rules.Routes = []RouteRule{{"a", teamB}}
	d.pass(2)
	wantAll(t, "posted", d.messages(), on(bot, "root"), on(teamB, "root"))
	if !d.slack.messages[0].continues {
		t.Errorf("the old message does not say where it continues")
	}
}

// TestLeastRecentlyShownIsEditedFirst holds which edits are made if there are too many.
func TestLeastRecentlyShownIsEditedFirst(t *testing.T) {
	t.Parallel()
	var edits []*Root
	for n := range maxEdits + 5 {
		shown := epoch.Add(-time.Duration(n) * time.Minute)
		edits = append(edits, &Root{Delivery: Delivery{Route: bot, Confirmed: shown}})
	}
	newest := slices.Clone(edits[:5])
	(&State{}).cut(nil, edits, "run", epoch)
	for _, r := range newest {
		if r.Delivery.Claim != nil {
			t.Errorf("a message that was shown at %v is edited before older ones", r.Delivery.Confirmed)
		}
	}
}
