package replay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/replay"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
	"clbwatch/notifier/message"
)

// life is a watcher's life in a world in which Slack is well.
type life struct {
	w       *watchtest.World
	keys    []string
	pools   map[string]map[string]int // statuses of backends
	unread  map[string]bool
	begin   time.Time
	stable  time.Duration
	passing time.Duration
}

func newLife(stable, passing time.Duration, clbs int) *life {
	l := &life{w: watchtest.New(), pools: make(map[string]map[string]int), unread: make(map[string]bool),
		stable: stable, passing: passing}
	l.begin = l.w.Now()
	for n := range clbs {
		key := fmt.Sprintf("ap-test/lb-%d", n)
		l.keys = append(l.keys, key)
		l.pools[key] = map[string]int{"w0": 2, "w1": 2, "w2": 2, "w3": 2}
	}
	return l
}

func (l *life) watcher() *watch.Watcher {
	v := l.w.Watcher(l.keys...)
	for n := range v.CLBs {
		v.CLBs[n].Label = "prod-" + strings.TrimPrefix(v.CLBs[n].ID, "lb-")
	}
	v.Rules.StableAfter, v.Rules.TransientFor = l.stable, l.passing
	return v
}

func (l *life) tick() error {
	for key, pool := range l.pools {
		var bs []lb.Backend
		for id, status := range pool {
			bs = append(bs, lb.Backend{ID: key[8:] + id, Name: id, Status: lb.Status(status), Weight: 10})
		}
		lb.SortBackends(bs)
		l.w.Set(key, bs...)
	}
	l.w.Fail(func(op, key string) (bool, error) {
		if op == "read" && l.unread[key] {
			return false, errors.New("RequestLimitExceeded")
		}
		return true, nil
	})
	ctx, cancel := context.WithDeadline(context.Background(), l.w.Now().Add(58*time.Second))
	defer cancel()
	_, err := l.watcher().Tick(ctx)
	if next := l.w.Now().Truncate(time.Minute).Add(time.Minute); err == nil || len(l.unread) > 0 {
		l.w.Advance(next.Sub(l.w.Now()))
		return nil
	}
	return err
}

func (l *life) say(at time.Time, call incident.Call, shows *incident.Root) string {
	p, thread := call.Post, call.TS != ""
	says := fmt.Sprintf("%d %s", int(at.Sub(l.begin)/time.Minute),
		message.Of(incident.Document{Root: shows, Name: l.name}, call, message.Style{}).Text)
	for _, is := range []struct {
		so   bool
		what string
	}{{p.Root, "root"}, {p.Broadcast, "broadcast"}, {p.Mention, "mention"}, {p.Reminder, "reminder"},
		{p.End, "end"}, {thread, "thread"}} {
		if is.so {
			says += " " + is.what
		}
	}
	return says
}

// open are the numbers of the incidents that are open.
func (l *life) open() (all []string) {
	if h := l.w.Head(); h != nil {
		for _, r := range h.Incidents.Roots {
			for _, i := range r.Incidents {
				if i.Open() {
					all = append(all, i.ID)
				}
			}
		}
	}
	return all
}

// name is what a load balancer is called.
func (l *life) name(key string) lb.CLB {
	c := lb.ParseKey(key)
	c.Label = "prod-" + strings.TrimPrefix(c.ID, "lb-")
	return c
}

// posted are the messages that there were.
func (l *life) posted() (all []string) {
	for _, m := range l.w.Slack() {
		all = append(all, l.say(m.At, m.Call, &m.First))
	}
	return all
}

// lines is the history.
func (l *life) lines() replay.Lines {
	return func(take func(incident.Record, time.Time) error) error {
		return l.watcher().History(context.Background(), 24*time.Hour, take)
	}
}

// replayed are the messages of a replay.
func (l *life) replayed(rules incident.Rules) (all []string, err error) {
	_, err = replay.Play(replay.Past(l.lines()), rules, nil, func(m replay.Message) error {
		all = append(all, l.say(m.At, m.Call, m.Document.Root))
		return nil
	})
	return all, err
}

// step is something that happens to lives.
type step func(l *life) error

// drawStep draws what happens in a minute or more. Two lives to which the same happens see the same, but for
// acknowledgements: their incidents have other numbers.
func drawStep(t *rapid.T, clbs int, acks bool) step {
	n := rapid.IntRange(0, clbs-1).Draw(t, "load balancer")
	key := fmt.Sprintf("ap-test/lb-%d", n)
	id := rapid.SampledFrom([]string{"w0", "w1", "w2", "w3", "w4"}).Draw(t, "backend")
	some := rapid.IntRange(2, 30).Draw(t, "minutes")
	yes := rapid.Bool().Draw(t, "yes")
	what := rapid.IntRange(0, 30).Draw(t, "what")
	return func(l *life) error {
		ticks := 1
		switch what {
		case 0, 1, 2:
			l.pools[key][id] = map[bool]int{true: 4, false: 7}[yes]
		case 3, 4, 5:
			l.pools[key][id] = 2
		case 6:
			delete(l.pools[key], id)
		case 7:
			if l.unread[key] {
				delete(l.unread, key)
			} else if len(l.unread) < clbs-1 { // or the tick fails
				l.unread[key] = true
			}
		case 8:
			if some < 6 {
				l.w.Advance(time.Duration(12+some) * time.Minute)
			}
		case 9:
			if n := slices.Index(l.keys, key); n >= 0 && len(l.keys) > 1 && !l.unread[key] {
				l.keys = slices.Delete(slices.Clone(l.keys), n, n+1)
			} else if n < 0 {
				l.keys = append(slices.Clone(l.keys), key)
			}
		case 10, 11:
			l.w.Silence(incident.Silence{What: "prod-" + key[len(key)-1:], By: "ada", All: yes},
				time.Duration(some)*time.Minute)
		case 12, 13:
			if open := l.open(); acks && len(open) > 0 {
				l.w.Silence(incident.Silence{Incident: open[some%len(open)], By: "ada"}, time.Hour)
			}
		case 14:
			l.w.EndSilence(fmt.Sprint(some % 4))
		case 15:
			ticks = 25
		}
		for range ticks {
			if err := l.tick(); err != nil {
				return err
			}
		}
		return nil
	}
}

// drawSettings draws how patient a watcher is.
func drawSettings(t *rapid.T) (stable, passing time.Duration) {
	return rapid.SampledFrom([]time.Duration{time.Minute, 2 * time.Minute, 10 * time.Minute}).Draw(t, "stable"),
		rapid.SampledFrom([]time.Duration{0, 3 * time.Minute}).Draw(t, "passing")
}

// TestPastIsPlayedAsItWas holds that a replay of random lives has the very messages that there were, minute
// by minute and word for word.
func TestPastIsPlayedAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clbs := rapid.IntRange(1, 3).Draw(t, "load balancers")
		stable, passing := drawSettings(t)
		l := newLife(stable, passing, clbs)
		for range rapid.IntRange(5, 16).Draw(t, "steps") {
			if err := drawStep(t, clbs, true)(l); err != nil {
				t.Fatal(err)
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "no ticks at the end") == 0 {
			l.w.Advance(time.Hour)
		}
		l.mustReplay(t, l)
	})
}

// TestOtherSettingsArePlayedAsTheyWouldHaveBeen holds that a replay with other settings has the very messages
// that these would have posted.
func TestOtherSettingsArePlayedAsTheyWouldHaveBeen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clbs := rapid.IntRange(1, 3).Draw(t, "load balancers")
		stable, passing := drawSettings(t)
		was := newLife(stable, passing, clbs)
		stable, passing = drawSettings(t)
		other := newLife(stable, passing, clbs)
		for range rapid.IntRange(5, 12).Draw(t, "steps") {
			s := drawStep(t, clbs, false)
			if err := errors.Join(s(was), s(other)); err != nil {
				t.Fatal(err)
			}
		}
		was.mustReplay(t, other)
	})
}

// TestWhatIsLeftAsItIsUnderOtherSettings has a backend that is out for so long that one of two watchers takes
// it for granted, and then something else happens.
func TestWhatIsLeftAsItIsUnderOtherSettings(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(pool map[string]int){
		"it is back":               func(pool map[string]int) { pool["w0"] = 2 },
		"it is removed":            func(pool map[string]int) { delete(pool, "w0") },
		"another stops":            func(pool map[string]int) { pool["w1"] = 4 },
		"all others stop":          func(pool map[string]int) { pool["w1"], pool["w2"], pool["w3"] = 4, 4, 4 },
		"it and another are gone":  func(pool map[string]int) { delete(pool, "w0"); delete(pool, "w1") },
		"it is back, another gone": func(pool map[string]int) { delete(pool, "w1"); pool["w0"] = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lives := []*life{newLife(2*time.Minute, 0, 1), newLife(10*time.Minute, 0, 1)}
			for _, l := range lives {
				pool := l.pools[l.keys[0]]
				for minute := range 420 { // the first takes it for granted after 288
					switch minute {
					case 1:
						pool["w0"] = 4
					case 320:
						then(pool)
					case 380: // and once more
						pool["w1"], pool["w2"] = 4, 2
					}
					if err := l.tick(); err != nil {
						t.Fatal(err)
					}
				}
			}
			for n, l := range lives {
				other := lives[1-n]
				got, err := l.replayed(other.watcher().Rules)
				if want := other.posted(); err != nil || !slices.Equal(got, want) {
					t.Errorf("a replay of %v with %v has\n%s\n%v, want\n%s", l.stable, other.stable,
						strings.Join(got, "\n"), err, strings.Join(want, "\n"))
				}
			}
		})
	}
}

// mustReplay holds that a replay of the history of a life with the settings of another has the messages of
// the other.
func (l *life) mustReplay(t *rapid.T, other *life) {
	t.Helper()
	got, err := l.replayed(other.watcher().Rules)
	if err != nil {
		t.Fatal(err)
	}
	if want := other.posted(); !slices.Equal(got, want) {
		t.Errorf("a replay has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// record is a line of the history.
func record(minute int, r incident.Record) incident.Record {
	r.At = time.Date(2026, 11, 30, 0, minute, 0, 5e8, time.UTC)
	return r
}

// playLines plays lines of the history until minute 60, and counts the messages.
func playLines(t *testing.T, rules incident.Rules, lines ...incident.Record) replay.Counts {
	t.Helper()
	got, err := replay.Play(replay.Past(func(take func(incident.Record, time.Time) error) error {
		for _, r := range lines {
			if err := take(r, record(60, incident.Record{}).At); err != nil {
				return err
			}
		}
		return nil
	}), rules, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got.Counts
}

var (
	prodA = lb.CLB{Region: "ap-test", ID: "lb-a", Label: "prod-a"}
	prodB = lb.CLB{Region: "ap-test", ID: "lb-b", Label: "prod-b"}
)

// stops is the line of a backend that stopped, when so many of ten run then.
func stops(minute int, c lb.CLB, id string, running int) incident.Record {
	was, is := lb.Capacity{Running: running + 1, Total: 10, Weight: 100, Serving: 10*running + 10},
		lb.Capacity{Running: running, Total: 10, Weight: 100, Serving: 10 * running, Lost: 10, Out: 1}
	return record(minute, incident.Record{CLB: c, Incident: "1", Change: &incident.Past{Kind: lb.LeftRunning,
		ID: id,
		Is: 4, Was: 2, Lost: 10}, Stood: &incident.Stood{Before: was, Now: is}})
}

// TestNoticesArePlayed holds that news that needs nobody has its message, which lines tell later.
func TestNoticesArePlayed(t *testing.T) {
	t.Parallel()
	rules := incident.Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: bot}
	first := record(0, incident.Record{CLB: prodA, First: &lb.Capacity{Running: 10, Total: 10}})
	deleted := record(22, incident.Record{CLB: prodA, Incident: "2",
		Closed: &incident.Summary{About: incident.Deleted,
			Began: record(10, incident.Record{}).At, Ended: record(10, incident.Record{}).At,
			End: incident.EndNotice}})
	if got, want := playLines(t, rules, first, deleted), (replay.Counts{Messages: 2, Channel: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestAnObservationIsOneTick holds that what a line says later counts as seen in the very observation that
// other lines are of, although lines tell whole seconds.
func TestAnObservationIsOneTick(t *testing.T) {
	t.Parallel()
	rules := incident.Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 4, Route: bot}
	lines := []incident.Record{stops(4, prodB, "w0", 9)}
	for minute := 5; minute < 8; minute++ { // at each of which lb-a cannot be read
		lines = append(lines, stops(minute, prodB, fmt.Sprint("w", minute-4), 13-minute))
	}
	since := lines[1].At.Truncate(time.Second)
	lines = append(lines, record(8, incident.Record{CLB: prodA, Unseen: &since}))
	if got := playLines(t, rules, lines...); got.Channel != 1 {
		t.Errorf("%+v, want one message in the channel: three ticks without a reading are no news", got)
	}
}

// TestHealthAndSearchesThatCannotBeReadArePlayed holds that what only an incident tells is played, too.
func TestHealthAndSearchesThatCannotBeReadArePlayed(t *testing.T) {
	t.Parallel()
	rules := incident.Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: bot}
	for _, about := range []incident.About{incident.Health, incident.Listing} {
		c := prodA
		if about == incident.Listing {
			c = lb.CLB{Region: "ap-test", ID: "ap-test/prod-*"}
		}
		for name, ended := range map[string]time.Time{"over": record(40, incident.Record{}).At, "open": {}} {
			at := 50
			if ended.IsZero() {
				at = 60
			}
			line := record(at, incident.Record{CLB: c, Incident: "7", Closed: &incident.Summary{About: about,
				Began: record(10, incident.Record{}).At, Last: record(30, incident.Record{}).At, Ended: ended}})
			want := replay.Counts{Messages: 1, Channel: 1}
			if name == "over" {
				want = replay.Counts{Messages: 3, Channel: 1, Updates: 2, Broadcast: 1}
			}
			if got := playLines(t, rules, line); got != want {
				t.Errorf("%q that is %s: %+v, want %+v", about, name, got, want)
			}
		}
	}
}
