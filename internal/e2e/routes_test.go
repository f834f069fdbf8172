package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/slack"
)

const team = "C0SANDBOX2"

// newTeam is a lab in which prod-web has a channel of its own, which the bot is in.
func newTeam(t *testing.T) *lab {
	t.Helper()
	l := newLab(t, byBot)
	l.slack.Add(team)
	l.slack.Invite(team)
	l.settings["SLACK_MENTION"], l.slack.Mention = "here", "here"
	l.settings["SLACK_ROUTES"] = "prod-*=" + team
	l.cloud.Bind(region, api, vm("api-3"))
	return l
}

// titlesIn are the texts of a channel's messages as they stand, threads left out.
func (l *lab) titlesIn(channel string) (all []string) {
	l.t.Helper()
	for _, p := range l.slack.ChannelOf(channel) {
		if p.Thread == "" {
			all = append(all, text(l.t, p.Raw))
		}
	}
	return all
}

// naming are those texts that have a word.
func naming(all []string, word string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.Contains(s, word) })
}

// TestChannelRefusesForAnHour: what belongs to one channel waits, in the other everything is posted in the
// minute in which it happens, and nothing is lost.
func TestChannelRefusesForAnHour(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]slack.Fault{
		"archived": slack.Error("is_archived"), "limited": slack.RateLimited("30"), "removed": {},
		"hangs up": slack.Reset(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newTeam(t)
			f := l.start()
			l.tick(f)
			l.tick(f)
			do := l.story()
			down := do[0]
			do[0] = func() {
				down()
				if name == "removed" {
					l.slack.Remove(team)
					return
				}
				calls := slack.Calls{Channel: team, Until: l.slack.Now().Add(time.Hour)}
				l.slack.FailCalls(calls, fault)
			}
			do[6] = func() {
				if got := l.standing(api); got != "2 of 3" {
					t.Errorf("in the minute when it happened the first channel says %q of its load "+
						"balancer, want 2 of 3", got)
				}
			}
			do[60] = func() {
				if l.slack.Invite(team); len(l.slack.ChannelOf(team)) != 0 {
					t.Errorf("the other channel took %q", l.titlesIn(team))
				}
			}
			failed := l.live(f, 95, do)
			if n := len(failed); n < 30 || failed[0] < 14 || failed[0] > 16 {
				t.Errorf("ticks failed in minutes %v, want from 15 on, until it takes messages", failed)
			}
			if got := naming(l.titlesIn(l.slack.ChannelID()), "prod-web"); len(got) != 0 {
				t.Errorf("the first channel has %q", got)
			}
			if got := naming(l.titlesIn(team), "prod-web"); len(got) != 1 {
				t.Errorf("the other channel has %q in the end, want what happened in its load balancer",
					l.titlesIn(team))
			}
			if got := naming(l.titlesIn(team), api); len(got) != 0 {
				t.Errorf("the other channel has %q", got)
			}
		})
	}
}

// TestRoutesChangeInTheMiddle: what is open goes to the channel that the settings name now, once, and a
// new label alone moves nothing.
func TestRoutesChangeInTheMiddle(t *testing.T) {
	t.Parallel()
	l := newTeam(t)
	delete(l.settings, "SLACK_ROUTES")
	f := l.start()
	l.tick(f)
	l.tick(f)
	l.stop("web-1", "web-2", "web-3", "api-1")()
	l.live(f, 2, nil)
	if got := l.titlesIn(l.slack.ChannelID()); len(got) != 2 || len(l.slack.ChannelOf(team)) != 0 {
		t.Fatalf("the first channel has %q, want what is watched, and one message about both", got)
	}
	l.settings["SLACK_ROUTES"] = "nobody-*=C0NOBODY1,prod-*=" + team
	f = l.start()
	l.live(f, 3, nil)
	l.settings["CLB_IDS"] = web + "=staging-web," + api
	f = l.start()
	l.run("web-1", "web-2", "web-3", "api-1")()
	l.live(f, 15, nil)
	here, there := l.standing(api), l.titlesIn(team)
	if here != "3 of 3" || len(there) != 1 || !strings.Contains(there[0], "staging-web") {
		t.Errorf("in the end the channels say %q and %q, want each its own load balancer", here, there)
	}
	old := naming(l.titlesIn(l.slack.ChannelID())[1:], "web")
	if len(old) != 1 || !strings.Contains(old[0], "continues in another channel") {
		t.Errorf("the first channel says %q of what moved, want where it continues", old)
	}
	mentions := 0
	for _, m := range l.slack.Messages() {
		if strings.Contains(text(t, m.Raw), "<!here>") {
			mentions++
		}
	}
	if mentions != 1 {
		t.Errorf("%d messages call people, want the first", mentions)
	}
}

// TestCheckTriesEveryChannel: each has a line, which says what to do, and --send posts a test message in
// each.
func TestCheckTriesEveryChannel(t *testing.T) {
	t.Parallel()
	l := newTeam(t)
	l.slack.Add("C0SANDBOX3")
	l.settings["SLACK_ROUTES"] += ",x*=C0SANDBOX3,y=C0SANDBOX3,z=C0SANDBOX4"
	want := func(code int, args []string, lines ...string) {
		t.Helper()
		out, errs, got := l.command(args...)
		if got != code {
			t.Errorf("%v = %d, want %d: %s%s", args, got, code, out, errs)
		}
		for _, line := range lines {
			if !strings.Contains(out+errs, line) {
				t.Errorf("%v says\n%s%s\nwant %q in it", args, out, errs, line)
			}
		}
	}
	want(1, []string{"check"},
		"ok     Slack          the bot is in the channel",
		"ok     Slack          C0SANDBOX2, for prod-*: the bot is in it; it takes 1 of 2 load balancers",
		"WRONG  Slack          C0SANDBOX3, for x*, y: look for a message in Slack: channel C0SANDBOX3 of "+
			"SLACK_ROUTES: Slack says not_in_channel",
		"→ the app is not in the channel (SLACK_ROUTES); write /invite",
		"WRONG  Slack          C0SANDBOX4, for z: ", "→ SLACK_ROUTES is not the ID of a channel")
	l.settings["SLACK_ROUTES"] = strings.TrimSuffix(l.settings["SLACK_ROUTES"], ",z=C0SANDBOX4")
	l.slack.Invite("C0SANDBOX3")
	want(0, []string{"check"}, "C0SANDBOX3, for x*, y: the bot is in it; it takes 0 of 2 load balancers")
	want(0, []string{"check", "--send"}, "C0SANDBOX2, for prod-*: a test message was posted")
	for _, id := range []string{l.slack.ChannelID(), team, "C0SANDBOX3"} {
		if n := len(l.slack.ChannelOf(id)); n != 1 {
			t.Errorf("%s has %d test messages, want 1", id, n)
		}
	}
}
