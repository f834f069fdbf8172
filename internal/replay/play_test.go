package replay_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/replay"
	"clbwatch/internal/story"
)

// day is a story of a load balancer with four backends, of which some do something.
func day(t *testing.T, ticks int, steps ...string) story.Story {
	t.Helper()
	text := fmt.Sprintf(`{"story":"day","ticks":%d,"start":"2026-11-30T00:00:00Z"}
{"t":-1,"clb":"web","set":{"w0":2,"w1":2,"w2":2,"w3":2}}
%s`, ticks, strings.Join(steps, "\n"))
	s, err := story.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func says(s replay.Shift) (all []string) {
	for _, m := range s.Listed {
		line := fmt.Sprintf("%s %s %s", m.At.Format("15:04"), m.ID, m.Kind)
		if m.By > 0 {
			line += fmt.Sprint(" ", m.By.Round(time.Minute))
		}
		if m.More > 0 {
			line += fmt.Sprint(" +", m.More)
		}
		all = append(all, line)
	}
	return all
}

// TestSettingsAreCompared holds what is said to be reported later, sooner or not at all.
func TestSettingsAreCompared(t *testing.T) {
	t.Parallel()
	reboots := day(t, 60,
		`{"t":0,"clb":"web","set":{"w0":7}}`, `{"t":1,"clb":"web","set":{"w0":2}}`, // passes by itself
		`{"t":30,"clb":"web","set":{"w1":7}}`, `{"t":36,"clb":"web","set":{"w1":2}}`) // lasts longer
	night := day(t, 60, `{"t":10,"clb":"web","set":{"w0":4}}`, `{"t":12,"clb":"web","set":{"w0":2}}`,
		`{"t":40,"clb":"web","set":{"w0":4}}`)
	// dev is silenced, and shares messages with web; so does what restarts while something else stops
	both := day(t, 60, `{"t":-1,"clb":"dev","set":{"d0":2,"d1":2,"d2":2}}`,
		`{"t":10,"clb":"web","set":{"w0":4}}`,
		`{"t":10,"clb":"dev","set":{"d0":4}}`, `{"t":12,"clb":"web","set":{"w0":2}}`,
		`{"t":12,"clb":"dev","set":{"d0":2}}`)
	beside := day(t, 60, `{"t":0,"clb":"web","set":{"w0":4}}`, `{"t":1,"clb":"web","set":{"w1":7}}`,
		`{"t":2,"clb":"web","set":{"w1":2}}`, `{"t":3,"clb":"web","set":{"w0":2}}`)
	rooted := day(t, 60, `{"t":0,"clb":"web","set":{"w1":7}}`, `{"t":1,"clb":"web","set":{"w0":4}}`,
		`{"t":4,"clb":"web","set":{"w0":2,"w1":2}}`)
	patient := incident.Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: bot}
	waits, silent := patient, patient
	waits.TransientFor = 3 * time.Minute
	silent.Windows = incident.Windows{{What: "web", Days: [7]bool{true, true, true, true, true, true, true},
		To: 30, Zone: time.UTC}}
	quiet := patient
	quiet.Windows = incident.Windows{{What: "dev", Days: silent.Windows[0].Days, To: 59, Zone: time.UTC}}
	for _, tt := range []struct {
		name                       string
		story                      story.Story
		rules, others              incident.Rules
		messages, otherMessages    int
		never, later, sooner, only []string
	}{
		{"the same settings", reboots, patient, patient, 4, 4, nil, nil, nil, nil},
		{"what passes is held back", reboots, waits, patient, 2, 4,
			[]string{"00:00 w0 left running +1"}, []string{"00:30 w1 left running 3m0s"}, nil, nil},
		{"what passes is held back no more", reboots, patient, waits, 4, 2, nil, nil,
			[]string{"00:30 w1 left running 3m0s"}, []string{"00:00 w0 left running +1"}},
		{"a window of silence", night, silent, patient, 1, 3,
			[]string{"00:10 w0 left running +1"}, nil, nil, nil},
		{"a silence of one of two", both, quiet, patient, 2, 2,
			[]string{"00:10 d0 left running +1"}, nil, nil, nil},
		{"what passes beside something else", beside, waits, patient, 2, 5,
			[]string{"00:01 w1 left running +1"}, nil, nil, nil},
		{"what is held back is in the message about something else", rooted, waits, patient, 4, 4,
			nil, []string{"00:00 w1 left running 1m0s"}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			said := 0
			got, err := replay.Play(replay.Story(tt.story), tt.rules, &tt.others, func(replay.Message) error {
				said++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got.Counts.Messages != tt.messages || got.Other.Messages != tt.otherMessages || said != tt.messages {
				t.Errorf("%d messages, %d with the others, %d handed on, want %d, %d and %d", got.Counts.Messages,
					got.Other.Messages, said, tt.messages, tt.otherMessages, tt.messages)
			}
			for _, kind := range []struct {
				what string
				is   replay.Shift
				want []string
			}{{"never", got.Never, tt.never}, {"later", got.Later, tt.later}, {"sooner", got.Sooner, tt.sooner},
				{"only", got.Only, tt.only}} {
				n := len(kind.want)
				for _, m := range kind.is.Listed {
					n += m.More
				}
				if is := says(kind.is); !slices.Equal(is, kind.want) || kind.is.N != n {
					t.Errorf("%s: %q, want %q", kind.what, is, kind.want)
				}
			}
		})
	}
}

// TestManyMovedChangesAreCounted holds that a list has some changes, of each backend one, by time.
func TestManyMovedChangesAreCounted(t *testing.T) {
	t.Parallel()
	steps := []string{`{"t":-1,"clb":"web","set":{"w0":2}}`}
	for n := range 30 { // the first is out twice
		steps = append(steps, fmt.Sprintf(`{"t":-1,"clb":"web-%d","set":{"w":2,"x":2}}`, n),
			fmt.Sprintf(`{"t":%d,"clb":"web-%d","set":{"w":7}}`, 60*n, n),
			fmt.Sprintf(`{"t":%d,"clb":"web-%d","set":{"w":2}}`, 60*n+10, n))
	}
	steps = append(steps, `{"t":1900,"clb":"web-0","set":{"w":7}}`, `{"t":1910,"clb":"web-0","set":{"w":2}}`)
	rules := incident.Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: bot}
	waits := rules
	waits.TransientFor = 5 * time.Minute
	got, err := replay.Play(replay.Story(day(t, 2000, steps...)), waits, &rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	list := got.Later.Listed
	sorted := slices.IsSortedFunc(list, func(a, b replay.Moved) int { return a.At.Compare(b.At) })
	if got.Later.N != 31 || len(list) != 20 || !sorted ||
		got.Later.Longest.Round(time.Minute) != 5*time.Minute ||
		list[0].More != 1 {
		t.Errorf("%d later, %d listed, in order: %v, by %v at most, %d more of the first, want 31, 20, in order, "+
			"by 5 min, 1",
			got.Later.N, len(list), sorted, got.Later.Longest, list[0].More)
	}
}

// TestMessagesAreCountedByKind counts those of a load balancer that goes down, by bot and by webhook.
func TestMessagesAreCountedByKind(t *testing.T) {
	t.Parallel()
	s := day(t, 60, `{"t":0,"clb":"web","set":{"w0":4}}`, `{"t":5,"clb":"web","set":{"w1":4,"w2":4,"w3":4}}`,
		`{"t":20,"clb":"web","set":{"w0":2,"w1":2,"w2":2,"w3":2}}`)
	for route, want := range map[incident.Route]replay.Counts{
		bot:     {Messages: 4, Channel: 1, Updates: 3, Broadcast: 2, Mentions: 1},
		webhook: {Messages: 4, Channel: 4, Mentions: 1},
	} {
		rules := incident.Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: route}
		got, err := replay.Play(replay.Story(s), rules, nil, nil)
		if err != nil || got.Counts != want {
			t.Errorf("%s: %+v, %v, want %+v", route, got.Counts, err, want)
		}
	}
}

func TestWhatIsOpenAtTheEndIsCompared(t *testing.T) {
	t.Parallel()
	rules := incident.Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: bot}
	waits := rules
	waits.TransientFor = time.Hour
	got, err := replay.Play(replay.Story(day(t, 1, `{"t":0,"clb":"web","set":{"w0":7}}`)), waits, &rules, nil)
	if err != nil || got.Never.N != 1 || got.Changes != 1 {
		t.Errorf("%+v, %v, want one change that is not reported any more", got, err)
	}
}

func TestReplayEndsWhereItsReaderFails(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	rules := incident.Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: bot}
	s := day(t, 10, `{"t":0,"clb":"web","set":{"w0":4}}`)
	if _, err := replay.Play(replay.Story(s), rules, nil,
		func(replay.Message) error { return enough }); !errors.Is(
		err, enough) {
		t.Errorf("Play = %v, want what say failed with", err)
	}
	broken := func(func(incident.Record, time.Time) error) error { return enough }
	if _, err := replay.Play(replay.Past(broken), rules, nil, nil); !errors.Is(err, enough) {
		t.Errorf("Play = %v, want what reading the history failed with", err)
	}
}

// TestNothingIsKnownOfAnEmptyPast holds that no history is no news.
func TestNothingIsKnownOfAnEmptyPast(t *testing.T) {
	t.Parallel()
	none := func(func(incident.Record, time.Time) error) error { return nil }
	rules := incident.Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: bot}
	got, err := replay.Play(replay.Past(none), rules, &rules, nil)
	if err != nil || got.Counts != (replay.Counts{}) {
		t.Errorf("Play = %+v, %v, want nothing", got, err)
	}
}

// TestPastOfAnApplication plays what hides in listeners: bindings, and rules that nothing serves.
func TestPastOfAnApplication(t *testing.T) {
	t.Parallel()
	l := newLife(10*time.Minute, 0, 1)
	key := l.keys[0]
	l.w.SetKind(key, lb.Application)
	on := func(id string, status lb.Status, listeners ...string) lb.Backend {
		b := lb.Backend{ID: id, Name: id, Status: status, Weight: 10 * len(listeners)}
		for _, listener := range listeners {
			b.Bindings = append(b.Bindings, lb.Binding{Listener: listener, Port: 80, Weight: 10})
		}
		if id == "a" { // so that only the listener that nothing serves is bad
			b.Weight, b.Bindings[0].Weight = 100, 100
		}
		return b
	}
	l.pools = nil // they are set here
	for _, pool := range [][]lb.Backend{
		{on("a", 2, "TCP:80"), on("b", 2, "TCP:80", "TCP:443")},
		{on("a", 2, "TCP:80"), on("b", 4, "TCP:80", "TCP:443")}, // nothing serves TCP:443
		{on("a", 2, "TCP:80"), on("b", 2, "TCP:80", "TCP:443")},
		{on("a", 2, "TCP:80"), on("b", 2, "TCP:80")}, // nor now, because it was unbound
		{on("a", 2, "TCP:80"), on("b", 2, "TCP:80", "TCP:443")},
	} {
		l.w.Set(key, pool...)
		for range 15 {
			if err := l.tick(); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := l.replayed(l.watcher().Rules)
	if want := l.posted(); err != nil || !slices.Equal(got, want) || len(want) < 6 {
		t.Errorf("a replay has\n%s\n%v, want\n%s", strings.Join(got, "\n"), err, strings.Join(want, "\n"))
	}
}
