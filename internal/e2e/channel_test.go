package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

// What the first edition of notification did to the channel (docs/reliability.md), measured on the built
// function again. What was refused or lost is in delivery_test.go; longer stories are played in simulated
// time (make stories).

// TestOneBackendThatFlaps: one of three is out every other minute for two hours.
func TestOneBackendThatFlaps(t *testing.T) {
	byBoth(t, func(t *testing.T, in place) {
		t.Helper()
		l, f := newOutage(t, in)
		do := make(map[int]func())
		for m := range 120 {
			do[m] = []func(){l.stop("web-1"), l.run("web-1")}[m%2]
		}
		l.live(f, 150, do)
		// Ten updates at once, then after 1, 5, 15, 60 minutes; and one once it is stable.
		want := counts{channel: 1, updates: 15}
		if in != byBot {
			want = counts{channel: 16}
		}
		if got := l.counts(); got != want {
			t.Errorf("posted %+v, want %+v:\n%s", got, want, strings.Join(l.titles(), "\n"))
		}
		if got := l.standing("prod-web"); got != "3 of 3" {
			t.Errorf("in the end the channel says %q, want 3 of 3", got)
		}
	})
}

// TestAutoscalerThatCannotDecide: two are added and removed by turns.
func TestAutoscalerThatCannotDecide(t *testing.T) {
	byBoth(t, func(t *testing.T, in place) {
		t.Helper()
		l, f := newOutage(t, in)
		do := make(map[int]func())
		for m := range 30 {
			do[m] = func() { l.cloud.Bind(region, web, vm("new-1"), vm("new-2")) }
			if m%2 == 1 {
				do[m] = func() {
					l.cloud.Unbind(region, web, "ins-new-1")
					l.cloud.Unbind(region, web, "ins-new-2")
				}
			}
		}
		l.live(f, 45, do)
		if c := l.counts(); c.channel+c.updates > 16 || in == byBot && c.channel > 1 || c.mentions > 0 {
			t.Errorf("posted %+v, want 16 at most:\n%s", c, strings.Join(l.titles(), "\n"))
		}
		if got := l.standing("prod-web"); got != "3 of 3" {
			t.Errorf("in the end the channel says %q, want 3 of 3", got)
		}
	})
}

// TestManyLoadBalancersInTrouble: 33 lose a backend, one a minute, and all are well again after half an hour.
func TestManyLoadBalancersInTrouble(t *testing.T) {
	byBoth(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		do := make(map[int]func())
		var ids, out []string
		for i := range 33 {
			id, name := fmt.Sprintf("lb-many%04d", i), fmt.Sprintf("m-%d-1", i)
			l.cloud.Bind(region, id, vm(name), vm(fmt.Sprintf("m-%d-2", i)), vm(fmt.Sprintf("m-%d-3", i)))
			ids, out = append(ids, id), append(out, name)
			do[i] = l.stop(name)
		}
		do[60] = l.run(out...)
		l.settings["CLB_IDS"] = strings.Join(ids, " ")
		f := l.start()
		l.tick(f)
		l.tick(f)
		l.live(f, 75, do)
		if c := l.counts(); in == byBot && c.channel > 33/3+1 {
			t.Errorf("posted %+v, want one message in the channel for those of three minutes", c)
		}
		if open := l.loud(); in == byBot && len(open) > 0 {
			t.Errorf("these still look open: %q", open)
		}
		for _, id := range ids {
			if got := l.standing(id); got != "3 of 3" {
				t.Errorf("in the end the channel says %q of %s, want 3 of 3", got, id)
			}
		}
	})
}

// TestOutTwiceWhileSlackIsDown: two outages are two, and not one from the beginning of the first to the end
// of the second.
func TestOutTwiceWhileSlackIsDown(t *testing.T) {
	byBoth(t, func(t *testing.T, in place) {
		t.Helper()
		for well, want := range map[int][]string{
			5:  {"out twice", "2 min in all"}, // one incident
			30: {"(1 min)", "(1 min)"},        // two
		} {
			l, f := newOutage(t, in)
			l.slack.FailCalls(slack.Calls{}, slack.RateLimited("30"))
			l.live(f, well+5, map[int]func(){0: l.stop("web-1"), 1: l.run("web-1"), 1 + well: l.stop("web-1"),
				2 + well: l.run("web-1")})
			l.slack.ClearFaults()
			l.live(f, 1, nil)
			var says string
			for _, m := range l.slack.Messages()[1:] {
				says += strings.Join(lines(t, m.Raw), "\n") + "\n"
			}
			rest := says
			for _, w := range want {
				_, after, ok := strings.Cut(rest, w)
				if rest = after; !ok {
					t.Errorf("well for %d min in between: posted\n%s\nwant %q", well, says, want)
				}
			}
			if strings.Contains(says, fmt.Sprint(well+2, " min")) {
				t.Errorf("well for %d min in between: posted\n%s\nas if it had been out all the time", well,
					says)
			}
		}
	})
}

// TestRemovedIsNotResolved: five of six stop, and are removed.
func TestRemovedIsNotResolved(t *testing.T) {
	byBoth(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		l.cloud.Bind(region, web, vm("web-4"), vm("web-5"), vm("web-6"))
		f := l.start()
		l.tick(f)
		l.tick(f)
		names := []string{"web-1", "web-2", "web-3", "web-4", "web-5"}
		l.live(f, 35, map[int]func(){0: l.stop(names...), 20: func() {
			for _, n := range names {
				l.cloud.Unbind(region, web, "ins-"+n)
			}
		}})
		posts := l.slack.Channel()[1:]
		for _, p := range posts {
			s := text(t, p.Raw)
			if strings.Contains(s, "esolved") || strings.HasPrefix(s, ":large_green_circle:") {
				t.Errorf("it looks resolved: %s", s)
			}
		}
		if s := text(t, posts[0].Raw); in == byBot && !strings.Contains(s, "ver, 1 of 6 left") {
			t.Errorf("in the end the message is %s, want that it is over, 1 of 6 left", s)
		}
	})
}

// TestOneMachineBehindManyLoadBalancers: it is named, and counted once.
func TestOneMachineBehindManyLoadBalancers(t *testing.T) {
	byBoth(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		var ids []string
		for i := range 60 {
			id := fmt.Sprintf("lb-many%04d", i)
			l.cloud.Bind(region, id, vm("web-07"), vm(fmt.Sprintf("m-%d-2", i)), vm(fmt.Sprintf("m-%d-3", i)))
			ids = append(ids, id)
		}
		l.settings["CLB_IDS"] = strings.Join(ids, " ")
		f := l.start()
		l.tick(f)
		l.tick(f)
		for _, step := range []struct {
			do   func()
			want string
		}{
			{l.stop("web-07"), "web-07 stopped, behind 60 load balancers"},
			{l.run("web-07"), "1 machine"},
		} {
			before := len(l.slack.Messages())
			l.live(f, 1, map[int]func(){0: step.do})
			got := l.titles()[before:]
			if len(got) != 1 || !strings.Contains(got[0], "web-07") ||
				!strings.Contains(got[0], "60 load balancers") {
				t.Errorf("posted %q, want one message like %q", got, step.want)
			}
		}
	})
}

// TestAnEditThatArrivesLate: the network hands on an edit after its sender gave up, and after newer ones.
func TestAnEditThatArrivesLate(t *testing.T) {
	t.Parallel()
	l := newLab(t, byBot)
	l.settings["STABLE_AFTER"] = "1m"
	f := l.start()
	l.tick(f)
	l.tick(f)
	root := func() string { return text(t, l.slack.Channel()[1].Raw) }
	l.live(f, 15, map[int]func(){
		0: l.stop("web-1", "web-2"),
		1: func() { // the root is to show that one is back
			l.run("web-1")()
			l.slack.FailCalls(slack.Calls{Methods: []string{"chat.update"}, Times: 1}, slack.HeldBack(-1))
		},
		2: l.run("web-2"),
		8: func() {
			if !strings.Contains(root(), "Resolved") {
				t.Errorf("the message is %s, want it resolved", root())
			}
			if n := l.slack.Release(); n != 1 || strings.Contains(root(), "Resolved") {
				t.Errorf("%d edits were held back, want one, after which the message is as it was: %s", n,
					root())
			}
		},
	})
	if !strings.Contains(root(), "Resolved") {
		t.Errorf("the message stays %s", root())
	}
	if n := len(l.head().Incidents.Roots); n > 0 {
		t.Errorf("%d messages are still in the state", n)
	}
}

// TestTwoFunctionsOnOneState: an error says so, and what to do.
func TestTwoFunctionsOnOneState(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		f, g := l.start(), l.start(scf.WithName("another"))
		l.tick(f)
		for range 2 {
			sum, err := l.try(g)
			if err == nil || !strings.Contains(err.Error(), "clbwatch-sandbox works with this state, too") ||
				!strings.Contains(err.Error(), "another") {
				t.Errorf("the second function's tick = %+v, %v, want an error that names both", sum, err)
			}
		}
		l.cloud.SetStatus("ins-web-1", 4)
		l.tick(f)
		if _, _, code := l.command("tick"); code != 0 {
			t.Error("the command line is refused; it disturbs nobody")
		}
		if got := l.news(); !slices.Equal(got, []string{"web-1 stopped"}) {
			t.Errorf("posted %q, want what happened, once", got)
		}
		l.later(11 * time.Minute) // the first one is gone
		l.cloud.SetStatus("ins-web-1", 2)
		l.tick(g)
		if got := l.news(); !slices.Equal(got, []string{"web-1 stopped", "web-1 back"}) {
			t.Errorf("posted %q, want what happened, once", got)
		}
		if _, err := l.try(f); err == nil {
			t.Error("now the first one is the second, and is not refused")
		}
	})
}
