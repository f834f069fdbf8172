package stories_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

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
				if got := p.count(); !got.Within(want) {
					t.Errorf("too much: %v, want at most %v", words(got), words(want))
				}
				p.report()
				p.tell(words(want))
			})
		}
	}
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
