package notifier

import (
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/sandbox/slack"
)

const otherChannel = "C0SANDBOX2"

// newChannels is a bot with another channel, which it is in.
func newChannels(t *testing.T) (*Slack, *slack.Workspace, *testClock) {
	t.Helper()
	s, w, c := newDoer(t)
	w.Add(otherChannel)
	w.Invite(otherChannel)
	s.cfg.Others = []string{otherChannel}
	return s, w, c
}

// rootIn is a root in a channel.
func rootIn(s *Slack, channel string) *incident.Root {
	r := rootOf(s, time.Now(), "")
	r.Delivery.Route = incident.Route(channel)
	return r
}

// Every call about a root is made in the root's channel.
func TestCallsGoToTheChannelOfTheRoot(t *testing.T) {
	t.Parallel()
	s, w, _ := newChannels(t)
	r := rootIn(s, otherChannel)
	root := incident.Post{Root: true, Rev: 1}
	r.Delivery.TS = postRoot(t, s, r)
	if o := do(t, s, r, sendOf(r, incident.Post{Rev: 2})); o.Class != incident.Done {
		t.Fatalf("a reply: %+v", o)
	}
	look := sendOf(r, root)
	look.Do = incident.Look
	if o := do(t, s, r, look); o.TS != r.Delivery.TS {
		t.Errorf("looking for it: %+v, want %s", o, r.Delivery.TS)
	}
	find := incident.Call{Do: incident.Copies, Route: otherChannel, TS: r.Delivery.TS, Key: r.Prefix()}
	if o := do(t, s, r, find); len(o.Found) != 2 {
		t.Errorf("looking for copies: %+v, want the root and the reply", o)
	}
	for _, what := range []incident.Do{incident.Edit, incident.Void, incident.Leave} {
		o := do(t, s, r, incident.Call{Do: what, Route: otherChannel, TS: r.Delivery.TS, Post: root})
		if o.Class != incident.Done {
			t.Errorf("call %d: %+v", what, o)
		}
	}
	if here, there := w.Channel(), w.ChannelOf(otherChannel); len(here) != 0 || len(there) != 2 {
		t.Errorf("%d messages in the bot's channel and %d in the root's, want 0 and 2", len(here), len(there))
	}
}

// What belongs to no incident goes to the bot's own channel.
func TestReportsGoToTheBotsChannel(t *testing.T) {
	t.Parallel()
	s, w, _ := newChannels(t)
	if err := s.Report(t.Context(), whole()); err != nil {
		t.Fatal(err)
	}
	n := len(w.Channel())
	there := func() int { return len(w.ChannelOf(otherChannel)) }
	if err := s.Test(t.Context()); err != nil || len(w.Channel()) != n+1 || there() != 0 {
		t.Errorf("%d messages in the other channel, %v", there(), err)
	}
	if err := s.TestIn(t.Context(), otherChannel); err != nil || there() != 1 {
		t.Errorf("a test message in the other channel: %d, %v", there(), err)
	}
}

// Slack takes a message a second in each channel: none waits for another's.
func TestEachChannelHasItsPace(t *testing.T) {
	t.Parallel()
	s, w, c := newChannels(t)
	start := c.now()
	for _, channel := range []string{w.ChannelID(), otherChannel} {
		postRoot(t, s, rootIn(s, channel))
	}
	if took := c.now().Sub(start); took > 500*time.Millisecond {
		t.Errorf("a post in each of two channels took %v", took)
	}
	postRoot(t, s, rootIn(s, otherChannel))
	if took := c.now().Sub(start); took < 900*time.Millisecond {
		t.Errorf("a second post in one of them took %v in all, want a second", took)
	}
}

// Where there are other channels, a long wait for one is left to the next tick.
func TestLongWaitOfOneChannelIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for after, want := range map[string]incident.Class{"1": incident.Done, "5": incident.ChannelDown} {
		s, w, c := newChannels(t)
		w.FailCalls(slack.Calls{Channel: otherChannel, Times: 1}, slack.RateLimited(after))
		start := c.now()
		r := rootIn(s, otherChannel)
		o := do(t, s, r, sendOf(r, incident.Post{Root: true}))
		if took := c.now().Sub(start); o.Class != want || took > 3*time.Second {
			t.Errorf("asked to wait for %s s: %+v after %v, want class %d", after, o, took, want)
		}
	}
	s, w, _ := newDoer(t)
	w.FailCalls(slack.Calls{Times: 1}, slack.RateLimited("5"))
	r := rootOf(s, time.Now(), "")
	if o := do(t, s, r, sendOf(r, incident.Post{Root: true})); o.Class != incident.Done {
		t.Errorf("one channel alone: %+v, want it waited for", o)
	}
}

// An error about a channel names it, and the setting that it is in.
func TestErrorsNameTheChannel(t *testing.T) {
	t.Parallel()
	s, w, _ := newChannels(t)
	w.Remove(otherChannel)
	w.Leave()
	w.Add("C0FORMER1")
	for channel, want := range map[string][2]string{
		w.ChannelID(): {"SLACK_CHANNEL: Slack says not_in_channel", "(SLACK_CHANNEL); write /invite"},
		otherChannel: {"channel C0SANDBOX2 of SLACK_ROUTES: Slack says not_in_channel",
			"(SLACK_ROUTES); write /invite"},
		"C0FORMER1": {"channel C0FORMER1, which is not in use any more: Slack says not_in_channel", ""},
	} {
		r := rootIn(s, channel)
		o := do(t, s, r, sendOf(r, incident.Post{Root: true}))
		if o.Class != incident.ChannelDown || !strings.HasPrefix(o.Err.Error(), "post to Slack: "+want[0]) ||
			!strings.Contains(advice.Of(o.Err), want[1]) || want[1] == "" && advice.Of(o.Err) != "" {
			t.Errorf("%s: %+v, do %q, want %q", channel, o, advice.Of(o.Err), want)
		}
	}
	w.Join()
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("the bot's own channel: %v", err)
	}
	err := s.CheckIn(t.Context(), otherChannel)
	if err == nil || !strings.Contains(err.Error(), "channel C0SANDBOX2 of SLACK_ROUTES: ") ||
		!strings.Contains(advice.Of(err), "(SLACK_ROUTES); write /invite") {
		t.Errorf("the other channel: %v, do %q", err, advice.Of(err))
	}
	w.Invite(otherChannel)
	w.FailMethod("conversations.history", slack.Error("invalid_auth"), -1)
	err = s.CheckIn(t.Context(), otherChannel)
	if err == nil || !strings.Contains(err.Error(), "SLACK_BOT_TOKEN: ") {
		t.Errorf("a token that is not valid: %v", err)
	}
}
