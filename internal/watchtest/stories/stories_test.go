package stories_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/replay"
	"clbwatch/internal/sandbox/terminal"
	"clbwatch/internal/story"
	"clbwatch/internal/watchtest/stories"
)

var (
	everything = flag.Bool("stories", false, "play long stories, too, and print what each took")
	show       = flag.String("show", "", "print every message of the stories whose names contain this")
)

// always are the stories that are played in every test: short ones, each for a rule of its own.
var always = []string{"all-unhealthy-by-turns", "broken-then-removed", "drained-then-removed",
	"one-machine-behind-110", "one-poisoned-incident", "reboot-one-of-two", "slack-away",
	"unhealthy-for-a-minute", "unrelated-two-minutes-later", "zone"}

// TestStories plays every story, by bot and by webhook. Each keeps to its bounds, and the channel shows how
// things are, unless the story has silences.
func TestStories(t *testing.T) {
	t.Parallel()
	all, err := stories.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if !*everything && !slices.Contains(always, s.Name) {
			continue
		}
		for _, bot := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%s", s.Name, by(bot)), func(t *testing.T) {
				t.Parallel()
				p := play(t, s, bot, nil)
				want := *s.Webhook
				if bot {
					want = *s.Bot
				}
				got := p.count()
				if !got.Within(want) {
					t.Errorf("too much: %v, want at most %v", words(got), words(want))
				}
				if again := replayed(t, s, bot, replay.Story(s), windows(t, s.Settings["SILENCES"], false)); again != got {
					t.Errorf("a replay takes %v, but it took %v", words(again), words(got))
				}
				if slackIsWell(s) {
					again, whole := replayed(t, s, bot, p.history(), p.windows), got
					if bot {
						whole.Channel++ // now watching
					} else {
						whole.Messages++
					}
					if again != whole {
						t.Errorf("a replay of its history takes %v, but it took %v", words(again), words(whole))
					}
				}
				p.report()
				p.tell(words(want))
			})
		}
	}
}

// replayed is what a replay takes.
func replayed(t *testing.T, s story.Story, bot bool, ticks replay.Ticks, silences incident.Windows) story.Bounds {
	t.Helper()
	rules := incident.Rules{StableAfter: s.Duration("STABLE_AFTER"), TransientFor: s.Duration("TRANSIENT_FOR"),
		MentionAt: 50, BlindAfter: 3, Windows: silences, Route: "webhook:abcd"}
	if bot {
		rules.Route = "C0123456789"
	}
	got, err := replay.Play(ticks, rules, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := got.Counts
	if bot {
		return story.Bounds{Channel: n.Channel, Updates: n.Updates, Broadcast: n.Broadcast, Mentions: n.Mentions}
	}
	return story.Bounds{Messages: n.Messages}
}

// slackIsWell reports whether Slack takes everything: the history does not say what it did not take.
func slackIsWell(s story.Story) bool {
	return !slices.ContainsFunc(s.Steps, func(s story.Step) bool { return s.Slack != "" && s.Slack != "well" })
}

// history are the ticks that the history has once the story is over.
func (p *player) history() replay.Ticks {
	v := p.life.Watcher()
	return replay.Past(func(take func(incident.Record, time.Time) error) error {
		return v.History(context.Background(), 90*24*time.Hour, take)
	})
}

// words are counts as stories.md and the table have them.
func words(b story.Bounds) string {
	if b.Messages > 0 || b == (story.Bounds{}) {
		return strconv.Itoa(b.Messages)
	}
	return fmt.Sprintf("%d (+%d) / %d / %d", b.Channel, b.Broadcast, b.Updates, b.Mentions)
}

// table is what each story took, for people.
var table struct {
	sync.Mutex
	rows []string
}

// tell adds what the story took to the table.
func (p *player) tell(bound string) {
	p.t.Helper()
	if *show != "" && strings.Contains(p.story.Name, *show) {
		p.print()
	}
	state := "ok"
	if p.t.Failed() {
		state = "FAILED"
	}
	table.Lock()
	defer table.Unlock()
	row := fmt.Sprintf("%-48s %-8s %-22s %-22s %s", p.story.Name, by(p.first), words(p.count()), bound, state)
	table.rows = append(table.rows, row)
}

func TestMain(m *testing.M) {
	code := m.Run()
	if *everything {
		slices.Sort(table.rows)
		fmt.Printf("%-48s %-8s %-22s %-22s\n", "story", "by", "took", "at most")
		for _, row := range table.rows {
			fmt.Println(row)
		}
		fmt.Println("\nby bot: messages in the channel (+ broadcast) / updates / mentions")
		fmt.Println("by webhook: messages")
	}
	os.Exit(code)
}

func by(bot bool) string {
	if bot {
		return "bot"
	}
	return "webhook"
}

// print writes what people saw, message by message: as it was posted and, where it was edited since, as it
// stands.
func (p *player) print() {
	var b strings.Builder
	taken := p.slack.Messages()
	for n, m := range p.channel {
		where := "channel"
		if m.Thread != "" {
			where = "thread"
			if m.Broadcast {
				where = "thread and channel"
			}
		}
		fmt.Fprintf(&b, "\n--- %s, minute %d, %s\n", p.story.Name, m.minute, where)
		_ = terminal.Render(&b, taken[n].Raw, terminal.Options{Width: 110}) // it was taken, and b takes all
		if !m.Edited.IsZero() {
			fmt.Fprintf(&b, "--- and at the end\n")
			_ = terminal.Render(&b, m.Raw, terminal.Options{Width: 110})
		}
	}
	p.t.Log(b.String())
}

// report makes the test fail for what the oracle complained about, the first few.
func (p *player) report() {
	for n, x := range p.problems {
		if n == 5 {
			p.t.Errorf("… and %d more", len(p.problems)-n)
			return
		}
		p.t.Error(x)
	}
}
