package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

// What Slack may do to a message, and what becomes of it: a tick a minute, in simulated time.

// counts are what Slack accepted since the baseline.
type counts struct{ channel, updates, broadcasts, mentions int }

func (l *lab) counts() (c counts) {
	l.t.Helper()
	for _, p := range l.slack.Channel()[1:] {
		switch {
		case isTrouble(text(l.t, p.Raw)):
		case p.Thread == "":
			c.channel++
		default:
			c.updates++
			if p.Broadcast {
				c.broadcasts++
			}
		}
	}
	for _, m := range l.slack.Messages()[1:] {
		if strings.Contains(text(l.t, m.Raw), "<!here>") {
			c.mentions++
		}
	}
	return c
}

// live ticks for some minutes, once a minute, and returns in which of them the tick failed. do is what happens before a
// tick, by minute.
func (l *lab) live(f *scf.Function, minutes int, do map[int]func()) (failed []int) {
	l.t.Helper()
	for m := range minutes {
		if do[m] != nil {
			do[m]()
		}
		if _, err := l.try(f); err != nil {
			if !strings.Contains(err.Error(), "has not reached Slack, or may not have, for 15 minutes") {
				l.t.Fatalf("minute %d: %v", m, err)
			}
			failed = append(failed, m)
		}
		l.later(time.Minute)
	}
	return failed
}

// lines are what a message shows, line by line.
func lines(t testing.TB, raw json.RawMessage) (all []string) {
	t.Helper()
	type element struct {
		Type, Text, Fallback string
		Elements             []element
	}
	var m struct {
		Text        string
		Attachments []struct{ Blocks []element }
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	all = strings.Split(m.Text, "\n")
	for _, a := range m.Attachments {
		for _, block := range a.Blocks {
			for _, part := range block.Elements {
				var b strings.Builder
				for _, e := range part.Elements {
					b.WriteString(e.Text + e.Fallback)
				}
				all = append(all, strings.Split(b.String(), "\n")...)
			}
		}
	}
	return all
}

var running = regexp.MustCompile(`(\d+ of \d+) running`)

// titles are the texts of all messages as they were posted.
func (l *lab) titles() (all []string) {
	l.t.Helper()
	for _, m := range l.slack.Messages() {
		all = append(all, text(l.t, m.Raw))
	}
	return all
}

// standing is Slack's last word about a load balancer, such as "3 of 3"; what was edited last counts as last.
func (l *lab) standing(name string) (is string) {
	l.t.Helper()
	posts := l.slack.Channel()
	at := func(p slack.Post) time.Time {
		if p.Edited.After(p.At) {
			return p.Edited
		}
		return p.At
	}
	slices.SortStableFunc(posts, func(a, b slack.Post) int { return at(a).Compare(at(b)) })
	for _, p := range posts {
		for _, line := range lines(l.t, p.Raw) {
			if n := running.FindStringSubmatch(line); n != nil && strings.Contains(line, name) {
				is = n[1]
			}
		}
	}
	return is
}

// colors are those of the messages in the channel that are still open, the baseline left out, by what a person sees.
func (l *lab) loud() (open []string) {
	l.t.Helper()
	for _, p := range l.slack.Channel()[1:] {
		if s := text(l.t, p.Raw); p.Thread == "" && (strings.HasPrefix(s, ":red_circle:") || strings.HasPrefix(s, ":large_orange_circle:")) {
			open = append(open, s)
		}
	}
	return open
}

// byBoth runs a test with a bot and with a webhook.
func byBoth(t *testing.T, test func(t *testing.T, in place)) {
	t.Helper()
	in(t, test, inCOS, byBot)
}

// newOutage is a lab in which people are mentioned, and an instance that took the baseline.
func newOutage(t *testing.T, in place) (*lab, *scf.Function) {
	t.Helper()
	l := newLab(t, in)
	l.settings["SLACK_MENTION"], l.slack.Mention = "here", "here"
	l.cloud.Bind(region, api, vm("api-3")) // one that is out is not yet a third of the weight lost twice over
	f := l.start()
	l.tick(f)
	l.tick(f)
	return l, f
}

// stop and run set the status of instances.
func (l *lab) stop(names ...string) func() { return l.set(4, names...) }
func (l *lab) run(names ...string) func()  { return l.set(2, names...) }

func (l *lab) set(status int, names ...string) func() {
	return func() {
		for _, n := range names {
			l.cloud.SetStatus("ins-"+n, status)
		}
	}
}

// story is what happens in the cloud while Slack misbehaves: prod-web is down for 20 minutes, and from minute 5 on, in
// another message, a backend of the other load balancer is out for 20.
func (l *lab) story() map[int]func() {
	return map[int]func(){
		0: l.stop("web-1", "web-2", "web-3"), 20: l.run("web-1", "web-2", "web-3"),
		5: l.stop("api-1"), 25: l.run("api-1"),
	}
}

// TestRefusedForGood: a kind of call is always refused, with one word of each class, and with one that nobody knows. Nothing
// else is held up by it, what is refused gets through in another form, and no tick fails.
func TestRefusedForGood(t *testing.T) {
	byBoth(t, func(t *testing.T, in place) {
		t.Helper()
		mention := slack.Calls{Methods: []string{"chat.postMessage", slack.Webhook}, Mentions: true}
		reply := slack.Calls{Replies: true}
		edit := slack.Calls{Methods: []string{"chat.update"}}
		look := slack.Calls{Methods: []string{"conversations.history", "conversations.replies"}}
		first := slack.Calls{Methods: []string{"chat.postMessage"}, Times: 1}
		// Of prod-web: that it is down, and in the same thread that its backends are back, and that it is no longer down.
		// Of the other: that a backend stopped, and is back.
		usual := counts{channel: 2, updates: 3, broadcasts: 1}
		for _, tt := range []struct {
			name  string
			calls slack.Calls
			codes []string
			bot   bool // by bot only
			want  counts
		}{
			{"mention", mention, []string{"service_unavailable", "restricted_action", "message_not_found", "invalid_blocks", "flux_capacitor_missing"}, false, usual},
			// Updates go to the channel.
			{"reply", reply, []string{"restricted_action_thread_locked", "cannot_reply_to_message", "flux_capacitor_missing"}, true,
				counts{channel: 5, mentions: 1}},
			// The root is gone: each update is a new one, which shows everything.
			{"reply", reply, []string{"thread_not_found"}, true, counts{channel: 5, mentions: 1}},
			// The root is gone: there is a new one for each change of its text.
			{"edit", edit, []string{"message_not_found"}, true, counts{channel: 6, updates: 5, broadcasts: 1, mentions: 1}},
			// An update has the last word of each.
			{"edit", edit, []string{"service_unavailable", "restricted_action", "cant_update_message", "edit_window_closed", "flux_capacitor_missing"}, true,
				counts{channel: 2, updates: 5, broadcasts: 1, mentions: 1}},
			// The bot may not look: the first message is posted once more, without the mention.
			{"look-up", look, []string{"missing_scope", "not_in_channel", "invalid_arguments", "message_not_found", "flux_capacitor_missing"}, true, usual},
		} {
			if tt.bot && in != byBot {
				continue
			}
			if in != byBot {
				tt.want = counts{channel: tt.want.channel + tt.want.updates, mentions: tt.want.mentions}
			}
			for _, code := range tt.codes {
				t.Run(tt.name+" "+code, func(t *testing.T) {
					t.Parallel()
					l, f := newOutage(t, in)
					l.slack.FailCalls(tt.calls, slack.Error(code))
					if tt.name == "look-up" { // there must be something to look for
						l.slack.FailCalls(first, slack.Reset())
					}
					do := l.story()
					do[6] = func() {
						if got := l.standing(api); got != "2 of 3" {
							t.Errorf("in the minute when it happened the channel says %q of the other load balancer, want 2 of 3", got)
						}
					}
					if failed := l.live(f, 60, do); len(failed) > 0 {
						t.Errorf("ticks failed in minutes %v", failed)
					}
					if got := []string{l.standing("prod-web"), l.standing(api)}; !slices.Equal(got, []string{"3 of 3", "3 of 3"}) {
						t.Errorf("in the end Slack says %q, want all running", got)
					}
					if got := l.counts(); got != tt.want {
						t.Errorf("posted %+v, want %+v:\n%s", got, tt.want, strings.Join(l.titles(), "\n"))
					}
				})
			}
		}
	})
}

var _ = fmt.Sprint(http.StatusOK)
