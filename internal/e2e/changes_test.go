package e2e

import (
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
		{func() { l.cloud.SetStatus("ins-api-1", 99); l.cloud.Unbind(region, web, "ins-web-2") },
			[]string{"api-1 stopped", "web-2 removed"}},
		// really emptied
		{func() { l.cloud.Create(region, api) }, []string{"api-1 removed", "api-2 removed"}},
	} {
		before := len(l.slack.Messages())
		step.do()
		l.tick(f)
		messages := l.slack.Messages()[before:]
		if got := l.toldBy(messages); !same(got, step.want) || len(messages) > 1 {
			t.Errorf("posted %q in %d messages, want %q in one at the most", got, len(messages), step.want)
		}
	}
	if got, want := l.past(), []string{"web-1 left running", "web-1 recovered", "web-1 removed",
		"web-4 added", "api-1 left running",
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

// TestAnIncidentIsOneThread has each tick in an instance of its own: what a message was is in the state, or
// lost.
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
	if closed := strings.Contains(raw, `"strike":true`) && strings.Contains(raw, `"color":"#2eb886"`) &&
		!first.Edited.IsZero(); closed != bot {
		t.Errorf("the first message is %s, want it struck through and green: %v", raw, bot)
	}
	if r := l.slack.Refused(); len(r) > 0 {
		t.Errorf("Slack refused %q", r)
	}
}

var inBrackets = regexp.MustCompile(` \([^)]*\)`)

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
	if got := text(t, l.slack.Messages()[1].Raw); !strings.Contains(strings.ReplaceAll(got, ",", ""),
		"5000") || !strings.Contains(got, "50 load balancers") {
		t.Errorf("the message is %q, want the exact total", got)
	}
	if _, err := l.invoke(f, `{}`); err != nil {
		t.Error(err)
	}
	if r := l.slack.Refused(); len(r) > 0 {
		t.Errorf("Slack refused %q", r)
	}
}
