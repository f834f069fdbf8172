package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

// Guarantee 1: no change is lost.

func TestEveryKindOfChangeIsPostedOnce(t *testing.T) {
	everywhere(t, testEveryKindOfChangeIsPostedOnce)
}

func testEveryKindOfChangeIsPostedOnce(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	l.tick(f)
	for _, step := range []struct {
		do   func()
		want []string
	}{
		{func() {}, nil},
		{func() { l.cloud.SetStatus("ins-web-1", 4) }, []string{"web-1 stopped"}},
		{func() { l.cloud.SetStatus("ins-web-1", 9) }, nil},
		{func() { l.cloud.SetStatus("ins-web-1", 2) }, []string{"web-1 back"}},
		{func() { l.cloud.Unbind(region, web, "ins-web-1") }, []string{"web-1 removed"}},
		{func() { l.cloud.Bind(region, web, vm("web-4")) }, []string{"web-4 added"}},
		{func() { l.cloud.SetWeight(region, web, "ins-web-2", 0) }, nil},
		{func() { l.cloud.SetStatus("ins-api-1", 99); l.cloud.Unbind(region, web, "ins-web-2") }, []string{"api-1 stopped", "web-2 removed"}},
		{func() { l.cloud.Create(region, api) }, []string{"api-1 removed", "api-2 removed"}}, // really emptied
	} {
		before := len(l.slack.Messages())
		step.do()
		l.tick(f)
		messages := l.slack.Messages()[before:]
		if got := l.toldBy(messages); !same(got, step.want) || len(messages) > 1 {
			t.Errorf("posted %q in %d messages, want %q in one at the most", got, len(messages), step.want)
		}
	}
	if got, want := l.past(), []string{"web-1 left running", "web-1 recovered", "web-1 removed", "web-4 added", "api-1 left running",
		"web-2 removed", "api-1 removed", "api-2 removed"}; !same(got, want) {
		t.Errorf("the history has %q, want %q", got, want)
	}
	if r := l.slack.Refused(); len(r) > 0 {
		t.Errorf("Slack refused %q", r)
	}
}

func TestFourOverlappingInstances(t *testing.T) { everywhere(t, testFourOverlappingInstances) }

func testFourOverlappingInstances(t *testing.T, in place) {
	l := newLab(t, in)
	var fs []*scf.Function
	for range 4 {
		fs = append(fs, l.start())
	}
	l.tick(fs[0])
	var want []string
	for i := range 10 {
		name := fmt.Sprintf("new-%d", i)
		l.cloud.Bind(region, web, vm(name))
		want = append(want, name+" added")
		var wg sync.WaitGroup
		for _, f := range fs {
			wg.Go(func() {
				if _, err := l.try(f); err != nil {
					t.Errorf("tick: %v", err)
				}
			})
		}
		wg.Wait()
	}
	l.settle(fs[0])
	if got := l.news(); !same(got, want) {
		t.Errorf("posted %q, want each once: %q", got, want)
	}
	if got := l.past(); !same(got, want) {
		t.Errorf("the history has %q, want each once: %q", got, want)
	}
}

func TestTheSameEventThreeTimes(t *testing.T) { everywhere(t, testTheSameEventThreeTimes) }

func testTheSameEventThreeTimes(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	l.tick(f)
	l.cloud.SetStatus("ins-web-1", 4)
	event := string(scf.TimerEvent(time.Now()))
	for range 3 {
		if _, err := l.invoke(f, event); err != nil {
			t.Fatal(err)
		}
	}
	l.cloud.SetStatus("ins-web-2", 4)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { _, _ = l.invoke(f, event) })
	}
	wg.Wait()
	l.settle(f)
	if got, want := l.news(), []string{"web-1 stopped", "web-2 stopped"}; !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
}

func TestSlackDownAcrossAColdStart(t *testing.T) { everywhere(t, testSlackDownAcrossAColdStart) }

func testSlackDownAcrossAColdStart(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	l.tick(f)
	l.slack.FailCalls(slack.Calls{}, slack.RateLimited(""))
	l.cloud.SetStatus("ins-web-1", 4)
	if sum := l.tick(f); sum.Pending != 1 || sum.Sent != 0 {
		t.Errorf("with Slack down: %+v, want 1 due", sum)
	}
	l.end(f)
	l.cloud.SetStatus("ins-web-1", 2) // it begins and ends while nothing can be posted
	f = l.start()
	if sum := l.tick(f); sum.Pending == 0 {
		t.Errorf("with Slack down: %+v, want something due", sum)
	}
	l.end(f)
	l.slack.ClearFaults()
	f = l.start()
	if sum := l.tick(f); sum.Pending != 0 || sum.Sent != 1 {
		t.Errorf("with Slack back: %+v, want one message, and nothing due", sum)
	}
	if got, want := l.news(), []string{"web-1 back"}; !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q: as it is now, and what it was meanwhile", got, want)
	}
}

func TestStateThatCannotBeWritten(t *testing.T) { everywhere(t, testStateThatCannotBeWritten) }

func testStateThatCannotBeWritten(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	l.tick(f)
	mend := func() { l.bucket.ClearFaults() }
	if in == inCOS {
		l.bucket.Fail("", cos.Answers(http.StatusForbidden, "AccessDenied"), -1)
	} else {
		heads := filepath.Join(l.dir, "head")
		if err := errors.Join(os.Rename(heads, heads+"-away"), os.WriteFile(heads, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		mend = func() {
			if err := errors.Join(os.Remove(heads), os.Rename(heads+"-away", heads)); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.cloud.SetStatus("ins-web-1", 4)
	if sum, err := l.try(f); err == nil {
		t.Errorf("tick without state: %+v, want an error", sum)
	}
	if got := l.troubles(); len(got) != 1 {
		t.Errorf("posted %q, want once that it cannot work", got)
	}
	mend()
	l.tick(f)
	if got, want := l.news(), []string{"web-1 stopped"}; !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
}

// Guarantee 3: nothing is posted more than twice, and by a bot that may look once.

func TestSlackFaults(t *testing.T) { everywhere(t, testSlackFaults) }

func testSlackFaults(t *testing.T, in place) {
	for _, tt := range []struct {
		fault   slack.Fault
		doubled bool // Slack took it, and the answer was lost
	}{
		{slack.Answer(http.StatusInternalServerError, "rollup_error"), false},
		{slack.Answer(http.StatusServiceUnavailable, ""), false},
		{slack.Answer(http.StatusOK, "<html>"), false},
		{slack.Answer(http.StatusNotFound, "no_service"), false},
		{slack.Answer(http.StatusForbidden, "invalid_token"), false},
		{slack.Answer(http.StatusGone, "channel_is_archived"), false},
		{slack.RateLimited("30"), false},
		{slack.RateLimited(""), false},
		{slack.RateLimited("Mon, 23 Nov 2126 04:53:00 GMT"), false},
		{slack.RefusesBlocks(), false},
		{slack.Redirect("/elsewhere"), false},
		{slack.Reset(), false},
		{slack.TakesThenDrops(), true},
		{slack.TakesThenFails(), true},
		{slack.TakesThenHangs(), true},
		{slack.TakesLate(100 * time.Millisecond), false},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, in)
			f := l.start(scf.WithTimeout(5 * time.Second))
			l.tick(f)
			l.slack.Fail(tt.fault, 1)
			l.cloud.SetStatus("ins-web-1", 4)
			l.tick(f)
			l.settle(f)
			l.cloud.SetStatus("ins-web-2", 4)
			l.tick(f)
			var got []string
			for _, m := range l.slack.Messages()[1:] {
				for _, name := range []string{"web-1", "web-2"} {
					if strings.Contains(strings.Join(strs(t, m.Raw), "\n"), name) {
						got = append(got, name)
					}
				}
			}
			want := []string{"web-1", "web-2"}
			if tt.doubled && in != byBot {
				want = []string{"web-1", "web-1", "web-2"}
			}
			if !slices.Equal(got, want) {
				t.Errorf("told of %q, want %q", got, want)
			}
		})
	}
}

// TestAnIncidentIsOneThread has each tick in an instance of its own: what a message was is in the state, or lost.
func TestAnIncidentIsOneThread(t *testing.T) { everywhere(t, testAnIncidentIsOneThread) }

func testAnIncidentIsOneThread(t *testing.T, in place) {
	l := newLab(t, in)
	l.settings["SLACK_MENTION"], l.slack.Mention = "U024BE7LH", "U024BE7LH"
	tick := func(do ...func()) {
		for _, f := range do {
			f()
		}
		f := l.start()
		l.tick(f)
		l.end(f)
	}
	stop := func(id string, status int) func() { return func() { l.cloud.SetStatus(id, status) } }
	tick()
	tick(stop("ins-web-1", 4))
	tick(stop("ins-web-2", 9), stop("ins-web-3", 9)) // none is left
	l.later(time.Minute)
	tick(stop("ins-web-1", 2), stop("ins-web-2", 2), stop("ins-web-3", 2))
	for range 3 { // until it has been well for 2 minutes, and for 10
		l.later(4 * time.Minute)
		tick()
	}
	tick(stop("ins-web-1", 4)) // another incident
	bot := in == byBot
	var got []string
	first := l.slack.Channel()[1]
	for n, p := range l.slack.Channel()[1:] {
		says := inBrackets.ReplaceAllString(text(t, p.Raw), "") // which machines it were is told elsewhere
		for _, mark := range []struct {
			is   bool
			name string
		}{{strings.Contains(says, "<@U024BE7LH>"), "mentions"}, {p.Broadcast, "broadcast"}} {
			if mark.is {
				says += ", " + mark.name
			}
		}
		if in := p.Thread == first.TS; n > 0 && in != bot && n < 4 || n == 4 && p.Thread != "" {
			t.Errorf("message %d is in the thread %q: %s", n+1, p.Thread, says)
		}
		got = append(got, says)
	}
	want := []string{
		":large_orange_circle: web-1 stopped on prod-web, 2 of 3 running",
		":red_circle: prod-web DOWN: 0 of 3 running <@U024BE7LH>, mentions",
		":large_green_circle: 3 machines out and back on prod-web, 3 of 3 running",
		":large_green_circle: prod-web no longer down: 3 of 3 running",
		":large_orange_circle: web-1 stopped on prod-web, 2 of 3 running",
	}
	if bot {
		want[0] = ":large_green_circle: Resolved after 1 min: prod-web was DOWN, at worst 0 of 3 running"
		want[1] += ", broadcast"
		want[3] += ", broadcast"
	}
	if !slices.Equal(got, want) {
		t.Errorf("posted\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	raw := string(first.Raw)
	if closed := strings.Contains(raw, `"strike":true`) && strings.Contains(raw, `"color":"#2eb886"`) && !first.Edited.IsZero(); closed != bot {
		t.Errorf("the first message is %s, want it struck through and green: %v", raw, bot)
	}
	if r := l.slack.Refused(); len(r) > 0 {
		t.Errorf("Slack refused %q", r)
	}
}

var inBrackets = regexp.MustCompile(` \([^)]*\)`)

// Guarantee 3: nothing but a whole and verified reading is taken for a removal.

func TestAPIFaults(t *testing.T) { byV2(t, testAPIFaults) }

func testAPIFaults(t *testing.T, in place) {
	faults := cloud.Faults()
	if !in.classic() {
		faults = cloud.ForwardFaults()
	}
	for _, fault := range append(faults, cloud.FaultCode(4300, "RequestForbidden", "closed"),
		cloud.FaultCode(6100, "ActionNotFound", "x"), cloud.FaultHang()) {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, in)
			for i := range 130 { // two pages
				l.cloud.Bind(region, web, vm(fmt.Sprintf("web-%d", i)))
			}
			f := l.start(scf.WithTimeout(4 * time.Second))
			l.tick(f)
			times := -1
			if fault.Plausible() {
				times = 1 // for longer it cannot be told from the truth
			}
			l.cloud.Fail(web, fault, times)
			for range 4 {
				l.tick(f)
			}
			l.cloud.ClearFaults()
			l.tick(f)
			l.cloud.Unbind(region, web, "ins-web-3")
			l.tick(f)
			l.tick(f) // which confirms it, if there was no time to
			got := l.news()
			backends := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !strings.HasSuffix(s, "removed") })
			if !slices.Equal(backends, []string{"web-3 removed"}) {
				t.Errorf("posted %q, want the one removal that happened", got)
			}
			others := len(got) - 1
			if others != 0 && others != 2 {
				t.Errorf("posted %q, want nothing else, or that it cannot be read and that it can again", got)
			}
		})
	}
}

// TestAPI3Faults has every fault of API 3.0 during a change: it must never be told as something that did not happen, and
// the change must be told when it is over.
func TestAPI3Faults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in     place
		action string
		faults []cloud.V3Fault
	}{
		{byV3, cloud.DescribeClassicalLBTargets, cloud.V3Faults()},
		{appByV3, cloud.DescribeTargets, cloud.TargetFaults()},
		{appByV3, cloud.DescribeInstancesStatus, cloud.InstanceFaults()},
		{app, cloud.DescribeInstancesStatus, cloud.InstanceFaults()}, // with API 2.0 too the status is CVM's
	} {
		for _, fault := range tt.faults {
			t.Run(string(tt.in)+" "+tt.action+" "+fault.String(), func(t *testing.T) {
				t.Parallel()
				l := newLab(t, tt.in)
				f := l.start()
				l.tick(f)
				times := 20
				switch {
				case fault.Plausible() && tt.action == cloud.DescribeInstancesStatus:
					times = 1 // what is missing is asked for again
				case fault.Plausible():
					times = 2 // both load balancers read as empty, once
				}
				l.cloud.FailV3On(tt.action, fault, times)
				_, _ = l.try(f)
				if got := l.news(); len(got) > 0 {
					t.Errorf("posted %q", got)
				}
				l.cloud.ClearFaults()
				if tt.in != app {
					l.closeV2()
				}
				l.cloud.SetStatus("ins-web-1", 4)
				l.settle(f)
				if got, want := l.news(), []string{"web-1 stopped"}; !slices.Equal(got, want) {
					t.Errorf("posted %q, want %q", got, want)
				}
			})
		}
	}
}

// TestAPI2ClosesInMidRun has the whole life of a backend across the turn from one API to the other and back.
func TestAPI2ClosesInMidRun(t *testing.T) { in(t, testAPI2ClosesInMidRun, inFiles, app) }

func testAPI2ClosesInMidRun(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	l.tick(f)
	l.cloud.SetStatus("ins-web-1", 4)
	l.tick(f)
	before := l.cloud.Calls()
	l.closeV2()
	l.tick(f) // the turn itself is no news
	if n := l.cloud.Calls() - before; n != 1 {
		t.Errorf("%d calls of API 2.0 when it closed, want 1", n)
	}
	l.cloud.SetStatus("ins-web-1", 2)
	l.tick(f)
	l.cloud.Unbind(region, web, "ins-web-2")
	l.end(f)
	f = l.start() // what was learned is in the state
	l.tick(f)
	if n := l.cloud.Calls() - before; n != 1 {
		t.Errorf("%d calls of API 2.0 after it closed, want 1", n)
	}
	l.cloud.ClearFaults()
	l.cloud.Bind(region, web, vm("web-4"))
	l.tick(f, scf.WithSetting("CLB_API", "v2")) // and back
	l.tick(f, scf.WithSetting("CLB_API", "v3"))
	l.tick(f)
	if got, want := l.news(), []string{"web-1 stopped", "web-1 back", "web-2 removed", "web-4 added"}; !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
}

func TestAPIFaultThatPassesIsNotNews(t *testing.T) { byV2(t, testAPIFaultThatPassesIsNotNews) }

func testAPIFaultThatPassesIsNotNews(t *testing.T, in place) {
	faults := cloud.Faults()
	if !in.classic() {
		faults = cloud.ForwardFaults()
	}
	for _, fault := range faults {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, in)
			f := l.start()
			l.tick(f)
			for range 2 {
				l.cloud.Fail("", fault, 1)
				l.tick(f)
			}
			l.tick(f)
			if got := l.news(); len(got) != 0 {
				t.Errorf("posted %q, want nothing", got)
			}
		})
	}
}

// Guarantee 4: one unreadable load balancer delays no other; a hanging call does not outlive the deadline.

func TestOneHangingLoadBalancerDelaysNoOther(t *testing.T) {
	byV2(t, testOneHangingLoadBalancerDelaysNoOther)
}

func testOneHangingLoadBalancerDelaysNoOther(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start(scf.WithTimeout(5 * time.Second))
	l.tick(f)
	l.cloud.Fail(web, cloud.FaultHang(), -1)
	l.cloud.SetStatus("ins-api-1", 4)
	if sum := l.tick(f); sum.Read != 1 || sum.Unreadable != 1 || sum.Sent != 1 {
		t.Errorf("%+v, want the other read and told", sum)
	}
	if got, want := l.news(), []string{"api-1 stopped"}; !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
}

func TestShortDeadlines(t *testing.T) { byV2(t, testShortDeadlines) }

func testShortDeadlines(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start(scf.WithGrace(2 * time.Second)) // so that a busy machine is not told from a function that is late
	l.tick(f)
	l.cloud.Fail("", cloud.FaultHang(), -1)
	for _, limit := range []time.Duration{time.Millisecond, 50 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second} {
		sum, err := l.try(f, scf.WithTimeout(limit))
		if err == nil || strings.Contains(err.Error(), "TimeLimitReached") {
			t.Errorf("with %v for a hanging API: %+v, %v, want an error of its own in time", limit, sum, err)
		}
	}
	l.cloud.ClearFaults()
	l.cloud.SetStatus("ins-web-1", 4)
	l.slack.Fail(slack.TakesThenHangs(), 1)
	if sum, err := l.try(f, scf.WithTimeout(2*time.Second)); err != nil || sum.Pending == 0 {
		t.Errorf("with 2 s for a hanging Slack: %+v, %v, want it owed, in time", sum, err)
	}
}

// Guarantee 5: no secret in a log, an error, an answer or the stored state.

// TestNoSecretLeaks makes everything go wrong that may say too much. What it saw is searched after all tests (leaks_test.go).
func TestNoSecretLeaks(t *testing.T) { byV2(t, testNoSecretLeaks) }

func testNoSecretLeaks(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start(scf.WithTimeout(3 * time.Second))
	l.tick(f)
	n := 0
	for _, fault := range cloud.Faults() {
		l.cloud.Fail("", fault, -1)
		l.cloud.SetStatus("ins-web-1", 2+2*(n%2))
		_, _ = l.try(f)
		l.cloud.ClearFaults()
		n++
	}
	for _, fault := range []slack.Fault{
		slack.Reset(), slack.Answer(404, "no_service"), slack.Answer(400, "invalid_payload"), slack.Redirect("/x"),
		slack.RateLimited(""), slack.TakesThenHangs(), slack.TakesThenDrops(), slack.Answer(500, "x"),
	} {
		l.slack.Fail(fault, -1)
		l.cloud.SetStatus("ins-web-1", 2+2*(n%2))
		_, _ = l.try(f)
		_, _ = l.invoke(f, `{"action":"report"}`)
		_, _ = l.invoke(f, `{"action":"test"}`)
		l.slack.ClearFaults()
		n++
	}
	for _, name := range []string{"SLACK_WEBHOOK_URL", "SLACK_API_URL"} {
		_, _ = l.try(f, scf.WithSetting(name, strings.Replace(l.settings[name], "127.0.0.1", "127.0.0.9", 1)))
	}
	seen.secret("a wrong setting", "hunter2hunter2")
	_, _ = l.try(f, scf.WithSetting("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/hunter2hunter2\x7f"))
	_, _ = l.try(f, scf.WithSetting("SLACK_BOT_TOKEN", "hunter2hunter2"))
	_, _ = l.try(f, scf.WithSetting("SLACK_CHANNEL", "hunter2hunter2"))
	_, _ = l.try(f, scf.WithSetting("CLB_RATE", "x"))
	_, _ = l.invoke(f, `{"action":"nonsense"}`)
	if in == inCOS {
		f2 := l.start(scf.WithTimeout(5 * time.Second))
		for _, fault := range cos.Faults() {
			l.bucket.Fail("", fault, 4)
			l.cloud.SetStatus("ins-web-1", 2+2*(n%2))
			_, _ = l.try(f2)
			l.bucket.ClearFaults()
			n++
		}
		l.end(f2)
	}
	for _, args := range [][]string{{"report"}, {"report", "--json"}, {"check"}, {"check", "--send"}, {"tick", "--dry-run"}, {"tick"}, {"version"}, {"x"}} {
		l.command(args...)
	}
	l.end(f)
}

// Guarantee 6: no text from the cloud is markup to Slack; every message is inside Slack's limits.

func TestHostileNames(t *testing.T) { byV2(t, testHostileNames) }

func testHostileNames(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	l.tick(f)
	hostile := "<!channel> <@U024BE7LH|boss> <https://evil.example|Open console> *b* `c` :fire: & \n>quote\u202e\u2028\x00" + strings.Repeat("界", 40)
	bad := vm("x")
	bad.Name, bad.LanIP = hostile, hostile
	l.cloud.Bind(region, web, bad)
	l.tick(f)
	l.cloud.SetStatus("ins-x", 4)
	l.tick(f)
	l.cloud.Fail(api, cloud.FaultCode(6000, hostile, hostile), -1)
	for range 3 {
		l.tick(f)
	}
	if _, err := l.invoke(f, `{"action":"report"}`); err != nil {
		t.Error(err)
	}
	messages := l.slack.Messages()[1:]
	if len(messages) < 4 || len(l.slack.Refused()) != 0 {
		t.Fatalf("%d messages, want 4 at the least; refused: %q", len(messages), l.slack.Refused())
	}
	for _, p := range l.slack.Channel() { // as they are after edits
		messages = append(messages, slack.Message{Raw: p.Raw})
	}
	for _, m := range messages {
		var v any
		if err := json.Unmarshal(m.Raw, &v); err != nil {
			t.Fatal(err)
		}
		for _, s := range markup(v) {
			for _, bad := range []string{"<!channel>", "<@U", "<https://evil", "\u202e", "\u2028", "\x00"} {
				if strings.Contains(s, bad) {
					t.Errorf("markup that Slack parses has %q in it: %q", bad, s)
				}
			}
		}
	}
}

// markup are the texts of a message that Slack parses: text and fallback, and mrkdwn text objects.
func markup(v any) (found []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			found = append(found, markup(e)...)
		}
	case map[string]any:
		_, hasType := v["type"]
		for k, e := range v {
			if s, ok := e.(string); ok && (k == "fallback" || k == "text" && (!hasType || v["type"] == "mrkdwn")) {
				found = append(found, s)
			}
			found = append(found, markup(e)...)
		}
	}
	return found
}

func TestFiveThousandChangesAreOneMessage(t *testing.T) {
	everywhere(t, testFiveThousandChangesAreOneMessage)
}

func testFiveThousandChangesAreOneMessage(t *testing.T, in place) {
	l := newLab(t, in)
	var ids []string
	for i := range 50 {
		lb := fmt.Sprintf("lb-mass%04d", i)
		ids = append(ids, lb)
		var pool []cloud.Instance
		for j := range 100 {
			pool = append(pool, vm(fmt.Sprintf("m-%d-%d", i, j)))
		}
		l.cloud.Bind(region, lb, pool...)
	}
	l.settings["CLB_IDS"] = strings.Join(ids, " ")
	f := l.start(scf.WithTimeout(2 * time.Minute)) // the machine may be busy
	if sum := l.tick(f); sum.Read != 50 {
		t.Fatalf("baseline: %+v, want all read", sum)
	}
	for i, lb := range ids {
		var pool []cloud.Instance
		for j := range 100 {
			down := vm(fmt.Sprintf("m-%d-%d", i, j))
			down.Status = 4
			pool = append(pool, down)
		}
		l.cloud.Bind(region, lb, pool...)
	}
	if sum := l.tick(f); sum.Changes != 5000 || sum.Sent != 1 || sum.Pending != 0 {
		t.Fatalf("%+v, want 5000 changes in one message", sum)
	}
	if got := text(t, l.slack.Messages()[1].Raw); !strings.Contains(strings.ReplaceAll(got, ",", ""), "5000") || !strings.Contains(got, "50 load balancers") {
		t.Errorf("the message is %q, want the exact total", got)
	}
	if _, err := l.invoke(f, `{}`); err != nil {
		t.Error(err)
	}
	if r := l.slack.Refused(); len(r) > 0 {
		t.Errorf("Slack refused %q", r)
	}
}

// Guarantee 7: state that is damaged, foreign or unreadable is an error, never a fresh start.

func TestDamagedState(t *testing.T) { everywhere(t, testDamagedState) }

func testDamagedState(t *testing.T, in place) {
	for name, damage := range map[string]func(l *lab){
		"newest head cut short": func(l *lab) { l.put(l.objects("head/")[0], []byte(`{"schema":1,"n":2,`)) },
		"newest head empty":     func(l *lab) { l.put(l.objects("head/")[0], []byte{}) },
		"a foreign file":        func(l *lab) { l.put("head/0.json", []byte("{}")) },
		"all heads deleted": func(l *lab) {
			for _, key := range l.objects("head/") {
				l.put(key, nil)
			}
		},
		"snapshot deleted":          func(l *lab) { l.put(l.objects("snap/")[0], nil) },
		"snapshot of other content": func(l *lab) { l.put(l.objects("snap/")[0], []byte("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, in)
			f := l.start()
			l.tick(f)
			l.end(f)
			damage(l)
			f = l.start() // one that has nothing in its cache
			l.cloud.SetStatus("ins-web-1", 4)
			for range 3 {
				if sum, err := l.try(f); err == nil {
					t.Errorf("tick = %+v, want an error", sum)
				}
			}
			if got := l.news(); len(got) != 0 {
				t.Errorf("posted %q, want no news", got)
			}
			if got := l.troubles(); len(got) != 1 {
				t.Errorf("posted %q, want once that it cannot work", got)
			}
		})
	}
}

// The platform.

func TestSettingsAndCredentialsArePerInvocation(t *testing.T) {
	everywhere(t, testSettingsAndCredentialsArePerInvocation)
}

func testSettingsAndCredentialsArePerInvocation(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	if _, err := l.try(f, scf.WithSetting("CLB_IDS", "lb!")); err == nil || !strings.Contains(err.Error(), "CLB_IDS") {
		t.Errorf("with a bad setting: %v, want an error that names it", err)
	}
	if _, err := l.try(f, scf.WithSetting("SLACK_WEBHOOK_URL", ""), scf.WithSetting("SLACK_BOT_TOKEN", ""), scf.WithSetting("SLACK_CHANNEL", "")); err == nil ||
		!strings.Contains(err.Error(), "neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set") {
		t.Errorf("without a webhook: %v, want an error that names it", err)
	}
	if _, err := l.try(f, scf.WithSetting("STATE_URL", "file:///tmp/x")); err == nil || !strings.Contains(err.Error(), "STATE_URL") {
		t.Errorf("with state in /tmp: %v, want an error that names it", err)
	}
	noRole, err := scf.Start(t.Context(), *binary, l.settings)
	if err != nil {
		t.Fatal(err)
	}
	defer l.end(noRole)
	if _, err := l.try(noRole); err == nil || !strings.Contains(err.Error(), "no execution role") {
		t.Errorf("without a role: %v, want an error that says so", err)
	}
	if len(l.slack.Messages()) != 0 || strings.Contains(l.stateText(), `"n":1`) {
		t.Error("a bad setting touched the state or Slack")
	}
	for range 20 { // role() takes old credentials back
		l.tick(f)
	}
	// What one invocation has, the next one does not inherit: not a setting, and not the credential of its role.
	runbook := scf.WithSetting("RUNBOOK_URL", "https://runbook.example/{clb}")
	l.cloud.SetStatus("ins-web-1", 4)
	l.tick(f, runbook)
	l.later(4 * time.Minute)
	l.cloud.SetStatus("ins-api-1", 4)
	l.tick(f)
	if got, want := l.news(), []string{"web-1 stopped", "api-1 stopped"}; !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
	for i, m := range l.slack.Messages()[1:] {
		if has := strings.Contains(string(m.Raw), "runbook.example"); has != (i == 0) {
			t.Errorf("message %d has the runbook of the first invocation: %v", i+1, has)
		}
	}
	if _, err := l.try(f, scf.WithoutCredential()); err == nil || !strings.Contains(err.Error(), "no execution role") {
		t.Errorf("without a role, after one with it: %v, want an error that says so", err)
	}
}

func TestEvents(t *testing.T) { everywhere(t, testEvents) }

func testEvents(t *testing.T, in place) {
	l := newLab(t, in)
	l.settings["CLB_IDS"] = "lb-byhpduqt"
	// The sample of the API's document.
	l.cloud.Bind(region, "lb-byhpduqt", cloud.Instance{ID: "ins-9o9ex9s0", Name: "test_k8s_1", LanIP: "10.104.222.152",
		WanIPs: []string{"193.112.93.144"}, Status: 4, Weight: 44})
	f := l.start()
	for _, event := range []string{"{}", "null", `"report"`, `{"action":"report"}`, `{"action":"report","since":"7d"}`, "",
		`{"key1":"test value 1","key2":"test value 2"}`} { // the last is what the console's Test button sends
		before := len(l.slack.Messages())
		out, err := l.invoke(f, event)
		if err != nil {
			t.Errorf("event %q: %v", event, err)
			continue
		}
		for _, want := range []string{"ins-9o9ex9s0", "test_k8s_1", "10.104.222.152", `"status":4`, `"weight":44`, "lb-byhpduqt", "193.112.93.144"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("event %q: the answer %s has no %s", event, out, want)
			}
		}
		m := l.slack.Messages()
		if len(m) != before+1 || !strings.Contains(strings.Join(strs(t, m[before].Raw), "\n"), "test_k8s_1") {
			t.Errorf("event %q: %d messages, want one report with test_k8s_1", event, len(m)-before)
		}
	}
	before := len(l.slack.Messages())
	calls := l.cloud.Calls() + l.cloud.CallsV3()
	for _, event := range []string{
		`{"action":"nonsense"}`, `{"action":"Tick"}`, `{"action":7}`, `{"actoin":"report"}`, `"nonsense"`, `{"key1":"x","key3":"y"}`, `[]`, `[{"action":"tick"}]`, "7", "true", "{",
		`{"httpMethod":"POST","body":"{\"action\":\"tick\"}"}`, `{"Records":[{"cos":{}}]}`,
		`{"action":"report","since":"tomorrow"}`, `{"Type":"Timer","Message":"{\"action\":\"nonsense\"}"}`,
	} {
		out, err := l.invoke(f, event)
		if err == nil || strings.Contains(event, "since") == strings.Contains(err.Error(), `"check", "report", "test" or "tick"`) {
			t.Errorf("event %s = %s, %v, want an error that lists the actions", event, out, err)
		}
	}
	if s := l.stateText(); s != "" || len(l.slack.Messages()) != before || l.cloud.Calls()+l.cloud.CallsV3() != calls {
		t.Errorf("reports and wrong events left state: %q, or wrong events posted or asked something", s)
	}
	if _, err := l.invoke(f, `{"action":"test"}`); err != nil || len(l.slack.Messages()) != before+1 {
		t.Errorf("a test message: %v, %d messages, want one", err, len(l.slack.Messages())-before)
	}
	if out, err := l.invoke(f, `{"action":"check"}`); err != nil || !strings.Contains(string(out), `"Slack"`) || len(l.slack.Messages()) != before+1 {
		t.Errorf("a check = %s, %v, want what it found, and nothing posted", out, err)
	}
	if out, err := l.invoke(f, `{"action":"tick"}`); err != nil || string(out) != `{"clbs":1,"read":1,"unreadable":0,"changes":0,"sent":1,"pending":0}` {
		t.Errorf("a tick by hand = %s, %v", out, err)
	}
	if _, err := l.invoke(f, `{"Type":"Timer","Message":"{\"action\":\"report\",\"since\":\"7d\"}"}`); err != nil || len(l.slack.Messages()) != before+3 {
		t.Errorf("a timer that asks for a report: %v, %d messages, want the third", err, len(l.slack.Messages())-before)
	}
	for _, line := range f.Logs() {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil || v["msg"] == nil || v["level"] == nil {
			t.Errorf("a log line that is not one JSON object: %s", line)
		}
	}
}

func TestCommandLine(t *testing.T) { byV2(t, testCommandLine) }

func testCommandLine(t *testing.T, in place) {
	l := newLab(t, in)
	l.cloud.SetStatus("ins-web-1", 4)
	check := func(wantCode int, inOut, inErr string, args ...string) {
		t.Helper()
		out, errs, code := l.command(args...)
		if code != wantCode || !strings.Contains(out, inOut) || !strings.Contains(errs, inErr) {
			t.Errorf("clbwatch %s = %d, want %d; out %q, want %q in it; err %q, want %q in it", strings.Join(args, " "), code, wantCode, out, inOut, errs, inErr)
		}
	}
	check(2, "", "USAGE")
	check(2, "", `no command "nonsense"`, "nonsense")
	check(2, "", "nosuchflag", "report", "--nosuchflag")
	check(2, "", `not "now"`, "tick", "now")
	check(0, "USAGE", "", "--help")
	check(0, version, "", "version")
	check(0, "web-1", "", "report")
	check(0, `"ins-web-1"`, "", "report", "--json")
	check(0, "no state yet", "", "check")
	check(0, "Now watching", "", "tick", "--dry-run")
	check(0, version, "", "--version")
	if n := len(l.slack.Messages()); n != 0 {
		t.Errorf("report, check and a dry run posted %d messages", n)
	}
	check(0, `"sent":1`, "", "tick")
	check(0, "a test message was posted", "", "check", "--send")
	if n := len(l.slack.Messages()); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	check(0, "nothing to post: 2 of 2 load balancers read", "", "tick", "--dry-run")
	l.cloud.Unbind(region, web, "ins-web-2")
	check(0, "web-2", "", "tick", "--dry-run")
	l.settings["CLB_RATE"] = "x"
	check(1, "", "CLB_RATE", "report")
	check(1, "CLB_RATE", "", "check")
	l.settings["CLB_RATE"] = "100"
	l.cloud.Fail("", cloud.FaultCode(4104, "SecretidNotExit", ""), -1)
	check(1, "4104", "", "check")
	check(1, "", "no load balancer could be read", "tick")
	check(1, "", "see whether the keys are right", "tick", "--dry-run")
	check(1, "4104", "", "report")
	l.cloud.ClearFaults()
	l.revoke()
	check(1, map[bool]string{true: "invalid_auth", false: "no_service"}[in == byBot], "", "check")
	l.noSlack()
	check(1, "SLACK_WEBHOOK_URL is set", "", "check")
	check(1, "", "SLACK_WEBHOOK_URL is set", "tick")
	check(0, "web-1", "", "report")
}

// TestCheck breaks what clbwatch needs, one thing at a time: check has to find it and say what to do.
func TestCheck(t *testing.T) { in(t, testCheck, inFiles, inCOS, byBot) }

func testCheck(t *testing.T, in place) {
	for _, tt := range []struct {
		name string
		do   func(l *lab)
		well bool
		want []string // in the output, or in the error output
	}{
		{"all is well", func(*lab) {}, true, []string{
			"ok     settings       2 load balancers", "ok     clock", "ok     API 2.0        takes the keys in ap-guangzhou, and knows 2 of 2 load balancers",
			"ok     API 3.0        takes the keys in ap-guangzhou, and knows 2 of 2 load balancers", `lb-8a3k2m1q ("production web") is classic and has 3 backends, read in 1 call of API 2.0`,
			"ok     state", "has no state yet", "ok     Slack          the "}},
		{"several settings", func(l *lab) { l.settings["CLB_RATE"] = "x"; l.settings["LOG_LEVEL"] = "y" }, false, []string{"CLB_RATE", "LOG_LEVEL"}},
		{"the key", func(l *lab) { l.settings["TENCENTCLOUD_SECRET_KEY"] = "wrong" }, false,
			[]string{"note   API 2.0        the signature is refused", "WRONG  load balancer", "→ see whether the keys are right", "note   API 3.0", "AuthFailure.SignatureFailure"}},
		{"API 2.0 is closed", func(l *lab) { l.cloud.Fail("", cloud.FaultCode(4300, "RequestForbidden", "x"), -1) }, true,
			[]string{"note   API 2.0        API 2.0 is closed for this account", `lb-8a3k2m1q ("production web") is classic and has 3 backends, read in 1 call of API 3.0`}},
		{"API 2.0 is closed, and nothing else is wanted", func(l *lab) {
			l.settings["CLB_API"] = "v2"
			l.cloud.Fail("", cloud.FaultCode(4300, "RequestForbidden", "x"), -1)
		}, false, []string{"WRONG  load balancer  ap-guangzhou/lb-8a3k2m1q: look up its kind: API 2.0 is closed for this account", "→ set CLB_API to auto or v3"}},
		{"API 2.0 is not to be reached", func(l *lab) { l.settings["CLB_ENDPOINT"] = "http://127.0.0.1:1/" }, true, []string{"ok     clock", "note   API 2.0", "of API 3.0"}},
		{"only API 3.0 is wanted", func(l *lab) { l.settings["CLB_API"] = "v3" }, true, []string{"read in 1 call of API 3.0"}},
		{"API 3.0 is not granted", func(l *lab) { l.cloud.FailV3(cloud.V3Code("UnauthorizedOperation", "no"), -1) }, true,
			[]string{"note   API 3.0", "UnauthorizedOperation", "→ grant clb:DescribeLoadBalancers"}},
		{"API 3.0 does not answer", func(l *lab) { l.cloud.FailV3(cloud.V3Reset(), -1) }, true, []string{"note   API 3.0"}},
		{"a load balancer that is not there", func(l *lab) { l.cloud.Delete(region, web) }, false,
			[]string{"knows 1 of 2", "WRONG  load balancer  ap-guangzhou/lb-8a3k2m1q: there is no such load balancer"}},
		{"an application load balancer", func(l *lab) { l.cloud.SetApplication(region, web) }, true,
			[]string{`("production web") is application and has 3 backends, read in 1 call of API 2.0; their status is CVM's`}},
		{"an application load balancer, and CVM is not granted", func(l *lab) {
			l.cloud.SetApplication(region, web)
			l.cloud.FailV3On(cloud.DescribeInstancesStatus, cloud.V3Code("UnauthorizedOperation", "no"), -1)
		}, false, []string{"WRONG  load balancer", "ask CVM", "→ grant cvm:DescribeInstancesStatus"}},
		{"health", func(l *lab) { l.settings["CLB_HEALTH"] = "on" }, true, []string{"read in 1 call of API 2.0; their health was read"}},
		{"health that is not granted", func(l *lab) {
			l.settings["CLB_HEALTH"] = "on"
			l.cloud.Fail(cloud.DescribeLBHealthStatus, cloud.FaultCode(4101, "AuthFailure", "x"), -1)
		}, false, []string{"WRONG  load balancer", "not authorised for this action"}},
		{"a search", func(l *lab) { l.settings["CLB_IDS"], l.settings["CLB_DISCOVER"] = "", region+"/production*" }, true,
			[]string{"ok     search         ap-guangzhou/production* finds 1 load balancer", `lb-8a3k2m1q ("production web") is classic`}},
		{"a search that is not granted", func(l *lab) {
			l.settings["CLB_DISCOVER"] = region
			l.cloud.FailV3On(cloud.DescribeLoadBalancers, cloud.V3Code("UnauthorizedOperation", "no"), -1)
		}, false, []string{"WRONG  search", "list the load balancers of ap-guangzhou"}},
		{"many backends", func(l *lab) {
			for i := range 150 {
				l.cloud.Bind(region, web, vm(fmt.Sprintf("new-%d", i)))
			}
		}, true, []string{"has 153 backends, read in 2 calls of API 2.0"}},
		{"the webhook or token", (*lab).revoke, false, map[bool][]string{
			true: {"WRONG  Slack", "invalid_auth", "copy it from"}, false: {"WRONG  Slack", "no_service", "make a new one"},
		}[in == byBot]},
		{"neither webhook nor bot", (*lab).noSlack, false, []string{"WRONG  Slack          neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set"}},
		{"the channel", func(l *lab) {
			if l.slack.Leave(); in != byBot {
				l.revoke()
			}
		}, false, map[bool][]string{true: {"WRONG  Slack", "not_in_channel", "/invite"}}[in == byBot]},
		{"the clock", func(l *lab) { l.ahead.Store(int64(time.Hour)) }, false,
			[]string{"WRONG  clock", "→ set this machine's clock"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, in)
			l.cloud.SetName(region, web, "production web")
			tt.do(l)
			out, errs, code := l.command("check")
			if (code == 0) != tt.well {
				t.Errorf("check = %d, want well: %v\n%s%s", code, tt.well, out, errs)
			}
			for _, want := range tt.want {
				if !strings.Contains(out+errs, want) {
					t.Errorf("check says\n%s%s\nwant %q in it", out, errs, want)
				}
			}
			var results []struct {
				Name, Wrong  string
				OK, Optional bool
			}
			out, _, code = l.command("check", "--json")
			if err := json.Unmarshal([]byte(out), &results); err != nil || (code == 0) != tt.well {
				t.Fatalf("check --json = %d, %s, %v", code, out, err)
			}
			well := true
			for _, r := range results {
				well = well && (r.OK || r.Optional)
			}
			if well != tt.well {
				t.Errorf("check --json says %s, want well: %v", out, tt.well)
			}
		})
	}
	t.Run("news that does not reach Slack", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, in)
		f := l.start()
		l.tick(f)
		l.slack.Fail(slack.RateLimited(""), -1)
		l.cloud.SetStatus("ins-web-1", 4)
		l.tick(f)
		if out, _, code := l.command("check"); code != 0 || !strings.Contains(out, "1 message due") {
			t.Errorf("check, a moment later = %d\n%s\nwant it to say that a message is due", code, out)
		}
		l.later(16 * time.Minute)
		if out, _, code := l.command("check"); code != 1 || !strings.Contains(out, "incident 2 has not reached Slack for 15 minutes") {
			t.Errorf("check, 16 min later = %d\n%s\nwant it to say what has not reached Slack", code, out)
		}
	})
}

// The state in COS.

func TestCOSFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range cos.Faults() {
		for _, op := range []string{"PUT", "GET", "LIST"} {
			for _, times := range []int{1, 5} {
				t.Run(fmt.Sprintf("%s, %s, %d times", fault, op, times), func(t *testing.T) {
					t.Parallel()
					l := newLab(t, inCOS)
					f := l.start(scf.WithTimeout(10 * time.Second))
					l.tick(f)
					l.bucket.Fail(op, fault, times)
					for _, id := range []string{"ins-web-1", "ins-web-2", "ins-api-1"} {
						l.cloud.SetStatus(id, 4)
						_, _ = l.try(f) // may fail: that is the point
						l.end(f)
						f = l.start(scf.WithTimeout(10 * time.Second))
					}
					l.bucket.ClearFaults()
					l.settle(f)
					count := make(map[string]int)
					for _, n := range l.news() {
						count[n]++
					}
					for _, name := range []string{"web-1", "web-2", "api-1"} {
						// The mark of a message may have been among the writes that went wrong.
						if n := count[name+" stopped"]; n == 0 || n > 2 || n > 1 && op != "PUT" && op != "GET" {
							t.Errorf("%q was posted %d times", name, n)
						}
						delete(count, name+" stopped")
					}
					if len(count) > 0 {
						t.Errorf("posted %v, which did not happen", count)
					}
					if got, want := l.past(), []string{"web-1 left running", "web-2 left running", "api-1 left running"}; !same(got, want) {
						t.Errorf("the history has %q, want each once: %q", got, want)
					}
				})
			}
		}
	}
}

func TestCOSWithVersioningIsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"Enabled", "Suspended"} {
		l := newLab(t, inCOS)
		l.bucket.SetVersioning(status)
		if sum, err := l.try(l.start()); err == nil || !strings.Contains(err.Error(), "versioning") {
			t.Errorf("first tick with versioning %s: %+v, %v, want an error that says so", status, sum, err)
		}
		if out, _, code := l.command("check"); code != 1 || !strings.Contains(out, "never had versioning") {
			t.Errorf("check with versioning %s = %d, %s", status, code, out)
		}
	}
}

func TestCOSRequests(t *testing.T) {
	t.Parallel()
	l := newLab(t, inCOS)
	f := l.start()
	l.tick(f)
	l.tick(f) // the notice that watching began is closed, and leaves the state
	requests := func(do func()) string {
		before := l.bucket.Requests()
		do()
		var s []string
		for _, op := range []string{"LIST", "GET", "PUT", "HEAD", "DELETE", "VERSIONING"} {
			s = append(s, fmt.Sprint(op, " ", l.bucket.Requests()[op]-before[op]))
		}
		return strings.Join(s, ", ")
	}
	if got, want := requests(func() { l.tick(f) }), "LIST 1, GET 2, PUT 0, HEAD 0, DELETE 0, VERSIONING 0"; got != want {
		t.Errorf("a quiet tick of a warm instance: %s, want %s", got, want)
	}
	cold := l.start()
	if got, want := requests(func() { l.tick(cold) }), "LIST 1, GET 3, PUT 0, HEAD 0, DELETE 0, VERSIONING 0"; got != want {
		t.Errorf("a quiet tick of a cold instance: %s, want %s", got, want)
	}
	l.cloud.SetStatus("ins-web-1", 4)
	if got, want := requests(func() { l.tick(f) }), "LIST 1, GET 4, PUT 3, HEAD 0, DELETE 0, VERSIONING 0"; got != want {
		t.Errorf("a tick with news: %s, want %s", got, want)
	}
	if r := l.bucket.Refused(); len(r) > 0 {
		t.Errorf("COS refused %q", r)
	}
}
