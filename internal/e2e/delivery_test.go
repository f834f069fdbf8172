package e2e

import (
	"cmp"
	"encoding/json"
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

// live ticks for some minutes, once a minute, and returns in which of them the tick failed. do is what
// happens before a tick, by minute.
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
		Type, Fallback string
		Text           label
		Elements       []element
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
					b.WriteString(string(e.Text) + e.Fallback)
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

// standing is Slack's last word about a load balancer, such as "3 of 3"; "" if there is none.
func (l *lab) standing(name string) string {
	l.t.Helper()
	if all := l.standings(name, false); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// standings are what Slack shows of a load balancer, the last word last; what was edited last counts as that.
// What is in threads only may be left out.
func (l *lab) standings(name string, inChannel bool) (all []string) {
	l.t.Helper()
	posts := slices.DeleteFunc(l.slack.Channel(), func(p slack.Post) bool {
		return inChannel && p.Thread != ""
	})
	at := func(p slack.Post) time.Time {
		if !inChannel && p.Edited.After(p.At) { // an older message may be edited once more to be sure of it
			return p.Edited
		}
		return p.At
	}
	slices.SortStableFunc(posts, func(a, b slack.Post) int { return at(a).Compare(at(b)) })
	for _, p := range posts {
		for _, line := range lines(l.t, p.Raw) {
			if n := running.FindStringSubmatch(line); n != nil && strings.Contains(line, name) {
				all = append(all, n[1])
			}
		}
	}
	return all
}

// colors are those of the messages in the channel that are still open, the baseline left out, by what a
// person sees.
func (l *lab) loud() (open []string) {
	l.t.Helper()
	for _, p := range l.slack.Channel()[1:] {
		if s := text(l.t, p.Raw); p.Thread == "" && (strings.HasPrefix(s, ":red_circle:") ||
			strings.HasPrefix(s, ":large_orange_circle:")) {
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

// story is what happens in the cloud while Slack misbehaves: prod-web is down for 20 minutes, and from minute
// 5 on, in another message, a backend of the other load balancer is out for 20.
func (l *lab) story() map[int]func() {
	return map[int]func(){
		0: l.stop("web-1", "web-2", "web-3"), 20: l.run("web-1", "web-2", "web-3"),
		5: l.stop("api-1"), 25: l.run("api-1"),
	}
}

// TestRefusedForGood: a kind of call is always refused, with one word of each class, and with one that nobody
// knows. Nothing else is held up by it, what is refused gets through in another form, and no tick fails.
func TestRefusedForGood(t *testing.T) {
	byBoth(t, func(t *testing.T, in place) {
		t.Helper()
		mention := slack.Calls{Methods: []string{"chat.postMessage", slack.Webhook}, Mentions: true}
		reply := slack.Calls{Replies: true}
		edit := slack.Calls{Methods: []string{"chat.update"}}
		look := slack.Calls{Methods: []string{"conversations.history", "conversations.replies"}}
		first := slack.Calls{Methods: []string{"chat.postMessage"}, Times: 1}
		// Of prod-web: that it is down, and in the same thread that its backends are back, and that it is no
		// longer down. Of the other: that a backend stopped, and is back.
		usual := counts{channel: 2, updates: 3, broadcasts: 1}
		for _, tt := range []struct {
			name  string
			calls slack.Calls
			codes []string
			bot   bool // by bot only
			want  counts
		}{
			{"mention", mention, []string{"service_unavailable", "restricted_action", "message_not_found",
				"invalid_blocks", "flux_capacitor_missing"}, false, usual},
			// Updates go to the channel.
			{"reply", reply, []string{"restricted_action_thread_locked", "cannot_reply_to_message",
				"flux_capacitor_missing"}, true,
				counts{channel: 5, mentions: 1}},
			// The root is gone: each update is a new one, which shows everything.
			{"reply", reply, []string{"thread_not_found"}, true, counts{channel: 5, mentions: 1}},
			// The root is gone: there is a new one for each change of its text, but for the end of it.
			{"edit", edit, []string{"message_not_found"}, true,
				counts{channel: 6, updates: 3, broadcasts: 1, mentions: 1}},
			// An update has the last word of each.
			{"edit", edit, []string{"service_unavailable", "restricted_action", "cant_update_message",
				"edit_window_closed", "flux_capacitor_missing"}, true,
				counts{channel: 2, updates: 5, broadcasts: 1, mentions: 1}},
			// The bot may not look: the first message is posted once more, without the mention.
			{"look-up", look, []string{"missing_scope", "not_in_channel", "invalid_arguments",
				"message_not_found", "flux_capacitor_missing"}, true, usual},
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
							t.Errorf("in the minute when it happened the channel says %q of the other load "+
								"balancer, want 2 of 3", got)
						}
					}
					if failed := l.live(f, 60, do); len(failed) > 0 {
						t.Errorf("ticks failed in minutes %v", failed)
					}
					if got := []string{l.standing("prod-web"), l.standing(api)}; !slices.Equal(got,
						[]string{"3 of 3", "3 of 3"}) {
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

// TestOutages: Slack misbehaves for an hour, from the minute on in which prod-web goes down.
func TestOutages(t *testing.T) {
	byBoth(t, func(t *testing.T, in place) {
		t.Helper()
		posts := slack.Calls{Methods: []string{"chat.postMessage", slack.Webhook}}
		once := slack.Calls{Methods: posts.Methods, Times: 1}
		edits := slack.Calls{Methods: []string{"chat.update"}}
		looks := slack.Calls{Methods: []string{"conversations.history", "conversations.replies"}}
		bad := slack.Calls{Methods: posts.Methods, Naming: "prod-web"}
		all := slack.Calls{}
		both := []place{byBot, inCOS}
		type fault struct {
			calls slack.Calls
			fault slack.Fault
		}
		failing := slack.Answer(http.StatusInternalServerError, "")
		// when ticks fail: for most of the hour, or some time after it began
		const never, hour, later = 0, 1, 2
		usual := counts{channel: 2, updates: 3, broadcasts: 1, mentions: 1}
		for _, tt := range []struct {
			name   string
			in     []place
			faults []fault
			alone  bool // the other load balancer's news is posted as if nothing were wrong
			fails  int
			bot    counts // what a bot posts
			hook   int    // how many messages the webhook takes
		}{
			// An update has the last word of each: the root cannot have it.
			{"edits are answered 500", both[:1], []fault{{edits, failing}}, true, never, counts{2, 5, 1, 1},
				0},
			{"edits are answered 429", both[:1], []fault{{edits, slack.RateLimited("30")}}, true, never,
				usual, 0},
			{"an answer is lost, and look-ups are answered 500", both[:1],
				[]fault{{once, slack.TakesThenDrops()}, {looks, failing}}, true, hour, counts{2, 2, 1, 1}, 0},
			{"an answer is lost, and look-ups are answered 429", both[:1],
				[]fault{{once, slack.TakesThenDrops()}, {looks, slack.RateLimited("30")}}, true, hour,
				counts{2, 2, 1, 1}, 0},
			{"one message is answered 500", both, []fault{{bad, failing}}, true, later, counts{2, 1, 0, 0},
				2},
			{"every answer to a post is lost", both[:1], []fault{{posts, slack.TakesThenDrops()}}, true,
				never, usual, 0},
			{"every answer of the webhook is lost", both[1:], []fault{{posts, slack.TakesThenDrops()}}, true,
				later, counts{0, 0, 0, 1}, 10},
			{"every call takes effect, and is answered 500", both, []fault{{all, slack.TakesThenFails()}},
				true, hour, counts{2, 2, 1, 1}, 4},
			// Where nobody knows where a root is, what is new gets a new one.
			{"the bot may not look, and every answer to a post is lost", both[:1],
				[]fault{{posts, slack.TakesThenDrops()}, {looks, slack.Error("missing_scope")}}, true, later,
				counts{14, 0, 0, 1}, 0},
			{"posts are refused with invalid_arguments", both,
				[]fault{{posts, slack.Error("invalid_arguments")}}, false, hour, counts{channel: 2}, 2},
			{"posts are refused with a word that nobody knows", both,
				[]fault{{posts, slack.Error("flux_capacitor_missing")}}, false, hour, counts{channel: 2}, 2},
			{"posts are too long", both[1:], []fault{{posts, slack.Answer(http.StatusRequestEntityTooLarge,
				"")}}, false, hour, counts{}, 2},
			// All is well by the time it can be posted.
			{"429", both, []fault{{all, slack.RateLimited("30")}}, false, hour, counts{channel: 1}, 1},
			{"invalid_auth", both[:1], []fault{{all, slack.Error("invalid_auth")}}, false, hour,
				counts{channel: 1}, 0},
			{"not_in_channel", both[:1], []fault{{all, slack.Error("not_in_channel")}}, false, hour,
				counts{channel: 1}, 0},
			{"404 no_service", both[1:], []fault{{all, slack.Answer(http.StatusNotFound, "no_service")}},
				false, hour, counts{}, 1},
		} {
			if !slices.Contains(tt.in, in) {
				continue
			}
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				l, f := newOutage(t, in)
				for _, x := range tt.faults {
					x.calls.Until = l.slack.Now().Add(time.Hour)
					l.slack.FailCalls(x.calls, x.fault)
				}
				do := l.story()
				do[6] = func() {
					if got := l.standing(api); tt.alone && got != "2 of 3" {
						t.Errorf("in the minute when it happened the channel says %q of the other load "+
							"balancer, want 2 of 3", got)
					}
				}
				do[27] = func() { // a tick that fails has done its work
					want := []string{"web-1 left running", "web-2 left running", "web-3 left running",
						"api-1 left running",
						"web-1 recovered", "web-2 recovered", "web-3 recovered", "api-1 recovered"}
					if got := l.past(); !same(got, want) {
						t.Errorf("the history has %q, want %q", got, want)
					}
				}
				failed := l.live(f, 95, do)
				switch n := len(failed); {
				case tt.fails == never && n > 0, tt.fails == later && n == 0:
					t.Errorf("ticks failed in minutes %v", failed)
				case tt.fails == hour && (n < 40 || failed[0] > 16 || failed[n-1] > 70):
					t.Errorf("ticks failed in minutes %v, want from 15 on, until it is over", failed)
				}
				want := tt.bot
				if in != byBot {
					want = counts{channel: tt.hook, mentions: min(tt.bot.mentions, 1)}
				}
				if got := l.counts(); got != want {
					t.Errorf("posted %+v, want %+v:\n%s", got, want, strings.Join(l.titles(), "\n"))
				}
				for number, name := range map[string]string{"incident 2": "prod-web", "incident 3": api} {
					if poisoned := tt.name == "one message is answered 500" && in != byBot &&
						name == "prod-web"; poisoned {
						if !slices.ContainsFunc(l.slack.Messages(), func(m slack.Message) bool {
							return strings.Contains(strings.Join(lines(t, m.Raw), "\n"),
								"Slack may not have shown, or did not take, earlier news of incident 2")
						}) {
							t.Errorf("no message names the one that did not arrive")
						}
						continue
					}
					if got := cmp.Or(l.standing(name), l.standing(number)); got != "3 of 3" {
						t.Errorf("in the end Slack says %q of %s, want all running", got, name)
					}
				}
			})
		}
	})
}
