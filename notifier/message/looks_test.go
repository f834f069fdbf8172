package message_test

import (
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/notifier/message"
)

// fails makes a backend fail its health check.
func fails(b *lb.Backend) { b.Checked, b.Failing = 1, []string{"TCP:80 → 80"} }

// TestTitlesSayWhatMattersMostFirst has the forms that people read on a lock screen.
func TestTitlesSayWhatMattersMostFirst(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		happens func(*story)
		want    string
	}{
		"last one stops": {func(s *story) {
			s.watch("prod-web", 3)
			s.set("prod-web", 4, "web-01", "web-02")
			s.known["prod-web"] = lb.Baseline(s.pools["prod-web"], s.at)
			s.set("prod-web", 4, "web-03")
		}, "prod-web DOWN: 0 of 3 running (web-03 shut down)"},
		"half stops": {func(s *story) {
			s.watch("prod-web", 6).set("prod-web", 4, "web-01", "web-02", "web-03")
		}, "prod-web degraded: 3 of 6 running"},
		"half restarts or fails": {func(s *story) {
			s.watch("prod-web", 6).set("prod-web", 7, "web-01", "web-02")
			s.change("prod-web", "web-03", fails)
		}, "prod-web degraded: 4 of 6 running (2 stopped, 1 unhealthy)"},
		"one of seven stops": {func(s *story) {
			s.watch("prod-web", 7).set("prod-web", 4, "web-07")
		}, "web-07 stopped on prod-web, 6 of 7 running"},
		"some of many stop": {func(s *story) {
			s.watch("prod-web", 9).set("prod-web", 4, "web-01", "web-02")
		}, "2 machines stopped on prod-web, 7 of 9 running"},
		"all fail their checks": {func(s *story) {
			s.watch("prod-web", 2)
			for _, name := range many("web", 1, 2) {
				s.change("prod-web", name, fails)
			}
		}, "prod-web DOWN: 0 of 2 serving (2 unhealthy)"},
		"all are removed": {func(s *story) {
			s.watch("prod-web", 2).set("prod-web", 0, "web-01", "web-02")
		}, "prod-web DOWN: no backends left (2 removed)"},
		"terminated": {func(s *story) {
			s.watch("prod-web", 1).set("prod-web", 5, "web-01")
		}, "prod-web DOWN: 0 of 1 running (web-01 terminated)"},
		"a status without a word": {func(s *story) {
			s.watch("prod-web", 1).set("prod-web", 99, "web-01")
		}, "prod-web DOWN: 0 of 1 running (web-01 in status 99)"},
		"several load balancers, one down": {func(s *story) {
			s.watch("prod-web", 2).set("prod-web", 4, "web-01", "web-02")
			s.watch("prod-api", 4).set("prod-api", 4, "api-01")
		}, "prod-web DOWN, 3 machines stopped on 2 load balancers"},
		"a shared machine takes one down": {func(s *story) {
			s.watch("prod-web", 0).watch("prod-api", 4)
			both := lb.Backend{ID: "ins-x", Name: "both-01", Status: lb.Running, Weight: 10}
			s.share(both, "prod-web", "prod-api")
			s.set("prod-web", 4, "both-01").set("prod-api", 4, "both-01")
		}, "prod-web DOWN, both-01 stopped, behind 2 load balancers"},
		"removed and added": {func(s *story) {
			s.watch("prod-web", 9).set("prod-web", 0, "web-01", "web-02").set("prod-web", 2, "web-11")
		}, "2 machines removed, 1 added on prod-web, 8 of 8 running"},
		"as many added as removed": {func(s *story) {
			s.watch("prod-web", 9).set("prod-web", 0, "web-01", "web-02")
			s.set("prod-web", 2, "web-11", "web-12")
		}, "2 machines replaced on prod-web, 9 of 9 running"},
		"one added": {func(s *story) {
			s.watch("prod-web", 2).set("prod-web", 2, "web-03")
		}, "web-03 added to prod-web, 3 of 3 running"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t)
			tt.happens(s)
			text := s.tick().root().Text
			_, got, _ := strings.Cut(strings.TrimSuffix(text, " <!subteam^S024BE7LH>"), ": ")
			if got != tt.want {
				t.Errorf("the title is\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

// TestLevelAloneDecidesTheLook holds that SLACK_MENTION_AT moves title, colour and mention together.
func TestLevelAloneDecidesTheLook(t *testing.T) {
	t.Parallel()
	for at, want := range map[int]string{
		30: ":red_circle: prod-web degraded: 6 of 9 running <!subteam^S024BE7LH>",
		40: ":large_orange_circle: 3 machines stopped on prod-web, 6 of 9 running",
	} {
		s := newStory(t).watch("prod-web", 9)
		s.rules.MentionAt = at
		if got := s.set("prod-web", 4, "web-01", "web-02", "web-03").tick().root().Text; got != want {
			t.Errorf("with SLACK_MENTION_AT=%d the message says\n%s, want\n%s", at, got, want)
		}
	}
}

func TestLooks(t *testing.T) {
	t.Parallel()
	all := messages(t)
	for name, want := range map[string]string{
		"down": "red_circle #a30200", "degraded": "red_circle #a30200",
		"removed-degraded": "red_circle #a30200",
		"one-stopped":      "large_orange_circle #e8912d", "failing": "large_orange_circle #e8912d",
		"abandoned": "large_orange_circle #e8912d", "cannot-read": "warning #e8912d",
		"removed": "large_yellow_circle #daa038", "removed-over": "large_yellow_circle #daa038",
		"broken-removed-over": "large_yellow_circle #daa038", "unbound": "large_yellow_circle #daa038",
		"added": "large_blue_circle #439fe0", "added-over": "large_blue_circle #439fe0",
		"replaced":        "large_blue_circle #439fe0",
		"autoscaler-over": "large_blue_circle #439fe0", "one-back": "large_blue_circle #439fe0",
		"one-back-update": "large_green_circle #2eb886", "down-ended-update": "large_green_circle #2eb886",
		"resolved": "large_green_circle #2eb886", "readable-closed": "large_green_circle #2eb886",
		"watching-1": "information_source #8d9096", "deleted": "information_source #8d9096",
	} {
		m := all[name]
		emoji, _, _ := strings.Cut(m.Text[1:], ":")
		if got := emoji + " " + m.Attachment.Color; got != want {
			t.Errorf("%s looks like %s, want %s", name, got, want)
		}
	}
}

// TestOnlyTheResolvedIsStruckThrough holds which of all messages have a line through their title.
func TestOnlyTheResolvedIsStruckThrough(t *testing.T) {
	t.Parallel()
	struck := 0
	for name, m := range messages(t) {
		want := strings.HasSuffix(name, "resolved") || name == "readable-closed" || name == "over-days"
		got := strings.Contains(string(wire(t, m)), `"strike": true`)
		if got != want {
			t.Errorf("%s is struck through: %v, want %v", name, got, want)
		}
		if got {
			struck++
		}
	}
	if struck < 5 {
		t.Errorf("only %d messages are struck through", struck)
	}
}

func TestRemovedCapacityIsNeverResolved(t *testing.T) {
	t.Parallel()
	s := newStory(t).
		watch("prod-web", 6).
		set("prod-web", 4, many("web", 1, 5)...).
		ticks(20).
		set("prod-web", 0, many("web", 1, 5)...).
		ticks(20)
	for _, p := range s.posts {
		if strings.Contains(strings.ToLower(p.Plain), "resolved") || strings.Contains(p.Text, "green") {
			t.Errorf("capacity that was removed is called resolved:\n%s", p.Plain)
		}
	}
	if got := s.root().Text; !strings.HasSuffix(got, "over, 1 of 6 left") {
		t.Errorf("it ends as %q", got)
	}
}

// TestMentionIsTheCallsDecision holds that nobody is mentioned unless the call says so and the settings name
// somebody.
func TestMentionIsTheCallsDecision(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 1).set("prod-web", 4, "web-01").tick()
	for mention, marks := range map[string]string{
		"S024BE7LH": "<!subteam^S024BE7LH>", "U024BE7LH": "<@U024BE7LH>", "here": "<!here>", "": "",
	} {
		for _, asked := range []bool{true, false} {
			m := message.Of(
				s.document(s.state.Roots[0]),
				incident.Call{Post: incident.Post{Root: true, Mention: asked}},
				message.Style{Mention: mention},
			)
			want := ":red_circle: prod-web DOWN: 0 of 1 running (web-01 shut down)"
			if asked && marks != "" {
				want += " " + marks
			}
			if m.Text != want {
				t.Errorf("a mention of %q, asked for: %v: %q, want %q", mention, asked, m.Text, want)
			}
		}
	}
}

// TestRootSaysNothingThatTimeAloneChanges holds that a root which goes on is the same text however late it is
// rendered.
func TestRootSaysNothingThatTimeAloneChanges(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 7).set("prod-web", 4, "web-07").tick()
	edit := incident.Call{Do: incident.Edit}
	first := string(wire(t, s.as(edit)))
	if s.ticks(5); string(wire(t, s.as(edit))) != first {
		t.Errorf("after five minutes without news the root says\n%s, it said\n%s", wire(t, s.as(edit)), first)
	}
	if len(s.posts) != 1 {
		t.Errorf("%d messages were sent for one change", len(s.posts))
	}
}

func TestTimesInPlainTextAreInTheZoneOfTheSettings(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 7)
	s.style.Zone = time.FixedZone("CST", 8*3600)
	m := s.set("prod-web", 4, "web-07").
		tick().
		as(incident.Call{Post: incident.Post{Root: true}, Form: incident.Plain})
	if !strings.Contains(m.Text, "shut down (4) since 2026-11-23 12:41 CST") ||
		strings.Contains(m.Text, "<!date") {
		t.Errorf("the plain text says\n%s", m.Text)
	}
	if m.Blocks != nil || m.Attachment.Color != "" {
		t.Errorf("the plain form has blocks: %+v", m)
	}
}

// TestMoreThanCanBeCounted has a root that says that its numbers are not all.
func TestMoreThanCanBeCounted(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 9).set("prod-web", 4, "web-01", "web-02").tick()
	s.state.Roots[0].Beyond = 7
	got, want := s.as(incident.Call{Do: incident.Edit}).Text, "more than 2 machines stopped on prod-web"
	if !strings.Contains(got, want) {
		t.Errorf("the title is %q", got)
	}
}

// TestRepeatsSaySo holds that a message which may be there already says so in every form.
func TestRepeatsSaySo(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 1).set("prod-web", 4, "web-01").tick()
	for form := incident.Full; form <= incident.Bare; form++ {
		m := s.as(incident.Call{Post: incident.Post{Root: true, Repeat: true}, Form: form})
		contains(t, m.Text, "(may be a repeat)")
	}
}

// TestBareHasNoTextFromTheCloud holds that the last fallback says how bad it is, in numbers and words of our
// own.
func TestBareHasNoTextFromTheCloud(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	for _, label := range []string{"zebra-one", "zebra-two"} {
		s.watch(label, 2).set(label, 4, many(label[6:], 1, 2)...)
	}
	m := s.tick().
		as(incident.Call{Post: incident.Post{Root: true, Names: []string{"7"}}, Form: incident.Bare})
	want := "clbwatch: incidents 1, 2; 2 load balancers down; machines: 4 stopped; " +
		"Slack may not have shown, or did not take, earlier news of incident 7. " +
		"`clbwatch history` has the details."
	if m.Text != want || m.Blocks != nil {
		t.Errorf("the last fallback is\n%s, want\n%s", m.Text, want)
	}
}
