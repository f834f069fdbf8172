package incident

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
)

// desk judges what a test lets happen, minute by minute. Slack takes everything at once unless the test says
// otherwise.
type desk struct {
	t     *testing.T
	s     *State
	rules Rules
	now   time.Time
	snap  map[string][]lb.Backend
	world map[string][]lb.Backend
	blind map[string]About // what cannot be read now
	why   func(key string) string
	slack *fakeSlack
	mute  bool // nothing is posted at all
	// answer is what Slack does with a call, and whether it happens; nil if it does everything.
	answer func(c Call, r *Root) (class Class, happens bool)
	calls  []string // of the last tick, and what came of them
	// resolved are the roots, by ID, that an edit showed as resolved.
	resolved map[string]bool
	past     []Record
	ticks    int
	silences []Silence // that people made, as the store lists them
}

func newDesk(t *testing.T, pools map[string]string) *desk {
	t.Helper()
	d := &desk{t: t, s: &State{}, now: epoch, snap: make(map[string][]lb.Backend),
		world: make(map[string][]lb.Backend),
		blind: make(map[string]About), why: func(string) string { return "InternalError" }, slack: newSlack(),
		resolved: make(map[string]bool),
		rules:    Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: bot}}
	for name, pool := range pools {
		d.world[name] = backends(pool)
		d.snap[name] = lb.Baseline(d.world[name], epoch)
	}
	d.s.At = epoch
	return d
}

// backends are written as words: "w0", or "w1:4" with a status, "w2*0" with a weight, "w3!" that fails its
// check, and "w4@HTTP:80,TCP:25" that is bound to listeners.
func backends(pool string) (bs []lb.Backend) {
	for _, word := range strings.Fields(pool) {
		b := lb.Backend{Status: lb.Running, Weight: 10}
		word, on, bound := strings.Cut(word, "@")
		if strings.HasSuffix(word, "!") {
			word = strings.TrimSuffix(word, "!")
			b.Checked, b.Failing = 1, []string{"TCP:80 → 80"}
		}
		if head, weight, ok := strings.Cut(word, "*"); ok {
			word = head
			b.Weight, _ = strconv.Atoi(weight)
		}
		if head, status, ok := strings.Cut(word, ":"); ok {
			word = head
			n, _ := strconv.Atoi(status)
			b.Status = lb.Status(n)
		}
		if bound {
			weight := b.Weight
			b.Weight = 0
			for _, l := range strings.Split(on, ",") {
				b.Bindings = append(b.Bindings, lb.Binding{Listener: l, Port: 80, Weight: weight})
				b.Weight += weight
			}
			lb.SortBindings(b.Bindings)
		}
		b.ID = word
		bs = append(bs, b)
	}
	lb.SortBackends(bs)
	return bs
}

func many(n int, status int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("w%02d:%d", i, status)
	}
	return strings.Join(words, " ")
}

// set changes what backends a load balancer has.
func (d *desk) set(name, pool string) *desk {
	d.world[name] = backends(pool)
	return d
}

// pass lets minutes pass, with a tick at the end of each.
func (d *desk) pass(n int) *desk {
	for range n {
		d.now = d.now.Add(time.Minute)
		d.tick()
	}
	return d
}

func (d *desk) observe() Observation {
	o := Observation{At: d.now, Accepted: make(map[string]bool), Silences: d.silences}
	abandoning := d.s.Abandoning(d.now, d.rules)
	for _, name := range slices.Sorted(maps.Keys(d.world)) {
		clb := lb.ParseKey(keyOf(name))
		clb.Label = name
		if about, ok := d.blind[name]; ok {
			o.Unread = append(o.Unread, Unread{Key: clb.Key(), About: about, LastGood: d.s.At,
				Reason: Reason{Why: d.why(clb.Key())}})
			if about == Reading {
				continue
			}
		}
		next, changes := lb.Diff(d.snap[name], d.world[name], d.now, time.Time{})
		if len(changes) > 0 {
			o.Changed = append(o.Changed, Changed{clb, lb.Compare(d.snap[name], next, changes)})
		} else if abandoning[clb.Key()] {
			lb.Accept(next)
			o.Accepted[clb.Key()] = true
		}
		d.snap[name] = next
	}
	return o
}

func (d *desk) tick() { d.judge(d.observe()) }

func (d *desk) judge(o Observation) {
	d.t.Helper()
	d.ticks++
	rules := d.rules
	rules.Tag = fmt.Sprintf("tag%d", d.ticks)
	by := fmt.Sprint("run", d.ticks)
	d.past = append(d.past, d.s.Judge(o, rules)...)
	if d.mute {
		return
	}
	d.past = append(d.past, d.s.Plan(o.At, d.now, by, d.now.Add(time.Minute), rules)...)
	d.s.Mark(by, d.notify(by, o.At), d.now)
	d.s.mustBeValid(d.t)
}

// notify makes the calls that a run has claimed.
func (d *desk) notify(by string, at time.Time) (steps []Step) {
	d.t.Helper()
	d.calls = nil
	run := d.s.Clone()
	posts, edits := run.Claimed(by)
	stopped := make(map[Route]bool)
	do := func(r *Root, c Call, ok bool) bool {
		if !ok || stopped[c.Route] {
			return false
		}
		if len(steps) > 200 {
			d.t.Fatalf("calls never end: %+v", c)
		}
		class, happens := Done, true
		if d.answer != nil {
			class, happens = d.answer(c, r)
		}
		out := Outcome{Class: class, Err: errSlack}
		if happens {
			if got := d.slack.do(c, r, d.now, false); class == Done {
				out = got
			}
		}
		steps = append(steps, Step{Root: r.Prefix(), Call: c, Outcome: out, Now: d.now, At: at})
		if c.Do == Edit && out.Class == Done {
			d.resolved[r.ID()] = r.Resolved()
		}
		word := doWords[c.Do]
		if c.Do == Send {
			word += []string{"", " no-mention", " plain", " bare"}[c.Form]
			for _, x := range []struct {
				is   bool
				word string
			}{{c.Post.Mention, "+mention"}, {c.Post.Repeat, "+repeat"}, {!c.Post.Root && c.TS == "" &&
				c.Route.Bot(), "+channel"}} {
				if x.is {
					word += x.word
				}
			}
		}
		d.calls = append(d.calls, word+":"+classWords[out.Class])
		stopped[c.Route] = r.Take(steps[len(steps)-1])
		return true
	}
	for _, r := range posts {
		for c, ok := r.NextPost(); do(r, c, ok); c, ok = r.NextPost() {
		}
	}
	for _, r := range edits {
		for c, ok := r.NextEdit(d.now); do(r, c, ok); c, ok = r.NextEdit(d.now) {
		}
	}
	return steps
}

var (
	doWords = map[Do]string{Send: "send", Look: "look", Ask: "ask", Edit: "edit", Copies: "copies",
		Void: "void", Leave: "leave"}
	classWords = map[Class]string{Done: "done", NotThere: "none", Unknown: "unknown", Temporary: "temporary",
		ChannelDown: "down", Gone: "gone",
		Content: "content"}
)

// only is the one incident there is about a load balancer's backends, the newest if there are several.
func (d *desk) only(name string) *Incident {
	d.t.Helper()
	for _, r := range slices.Backward(d.s.Roots) {
		for _, i := range r.Incidents {
			if i.Key == keyOf(name) {
				return i
			}
		}
	}
	d.t.Fatalf("no incident about %s", name)
	return nil
}

func (d *desk) root(name string) *Root {
	d.t.Helper()
	for _, r := range slices.Backward(d.s.Roots) {
		for _, i := range r.Incidents {
			if i.Key == keyOf(name) {
				return r
			}
		}
	}
	d.t.Fatalf("no root about %s", name)
	return nil
}

// since are the messages that appeared after the desk's n-th minute.
func (d *desk) since(n int) (all []*message) {
	for _, m := range d.slack.messages {
		if m.at.After(epoch.Add(minutes(n))) {
			all = append(all, m)
		}
	}
	return all
}

func words(all []*message) string {
	var out []string
	for _, m := range all {
		w := "update"
		if m.post.Root {
			w = "root"
		}
		for _, x := range []struct {
			is   bool
			word string
		}{{m.post.Reminder, "reminder"}, {m.post.Broadcast, "broadcast"}, {m.post.Mention, "mention"},
			{m.post.Ends != 0, "ends"}} {
			if x.is {
				w += "+" + x.word
			}
		}
		out = append(out, fmt.Sprintf("%d:%s", int(m.at.Sub(epoch).Minutes()), w))
	}
	return strings.Join(out, " ")
}

func (s *State) mustBeValid(t *testing.T) {
	t.Helper()
	if err := s.Validate(); err != nil {
		t.Fatalf("a state that the rules made is refused: %v", err)
	}
}

// TestLevel holds what is a loss, and how bad it is.
func TestLevel(t *testing.T) {
	t.Parallel()
	const two = "x@HTTP:80,TCP:25 y@HTTP:80"
	for _, c := range []struct {
		name   string
		before string
		then   []string // each a minute later; "…" is ten minutes without a change
		at     int      // MentionAt; 0 is 50
		want   Level
		alone  bool
		lost   int
	}{
		{"one of ten stops", many(10, 2), []string{many(10, 2) + " w03:4"}, 0, Impaired, false, 10},
		{"five of ten stop", many(5, 2) + " a b c d e", []string{many(5, 2) + " a:4 b:4 c:4 d:4 e:4"}, 0,
			Degraded, false, 50},
		{"four of ten stop", many(6, 2) + " b c d e", []string{many(6, 2) + " b:4 c:4 d:4 e:4"}, 0, Impaired,
			false, 40},
		{"four of ten stop, from 40 % on", many(6, 2) + " b c d e", []string{many(6, 2) + " b:4 c:4 d:4 e:4"},
			40, Degraded, false, 40},
		{"all stop", "a b", []string{"a:4 b:4"}, 0, Down, false, 20},
		{"the only one stops", "a", []string{"a:5"}, 0, Down, false, 10},
		{"all stop, one is back", "a b", []string{"a:4 b:4", "a b:4"}, 0, Degraded, false, 10},
		{"all stop and are back", "a b", []string{"a:4 b:4", "a b"}, 0, OK, true, 0},
		{"what was out at first sight is no loss", "a:4 b c d", []string{"a:4 b c d:4"}, 0, Impaired, false,
			10},
		{"nothing ran at first sight, and one was added stopped", "a:4", []string{"a:4 b:4"}, 0, Impaired,
			true, 0},
		{"added stopped: no capacity is lost with it", "a", []string{"a b:4 c:4"}, 0, Impaired, true, 0},
		{"added stopped, and removed again", "a", []string{"a b:4", "a"}, 0, OK, true, 0},
		{"added stopped, ran, and stops", "a", []string{"a b:4", "a b", "a b:4"}, 0, Degraded, false, 10},
		{"a drained one stops", "a*0 b", []string{"a:4*0 b"}, 0, Impaired, true, 0},
		{"all are drained, then one of them stops", "a b", []string{"a*0 b*0", "a:4*0 b*0"}, 0, Impaired,
			true, 0},
		{"nine are drained, the tenth stops", "a b c", []string{"a*0 b*0 c:4"}, 0, Down, false, 10},
		{"six of ten are removed", many(10, 2), []string{many(4, 2)}, 0, Degraded, true, 60},
		{"all are removed", "a b", []string{""}, 0, Down, true, 20},
		{"all are removed, and that is accepted", "a b c:4", []string{"c:4", "…"}, 0, OK, true, 0},
		{"removed and replaced", "a b", []string{"a c"}, 0, OK, true, 0},
		{"removed, then replaced", "a b", []string{"a", "a c"}, 0, OK, true, 0},
		{"more is added than removed, then removed", "a b", []string{"a b c d", "a b"}, 0, OK, true, 0},
		{"removed after it stopped is lost all the same", "a b", []string{"a b:4", "a"}, 0, Degraded, true,
			10},
		{"what was out at first sight is removed", "a b:4", []string{"a"}, 0, OK, true, 0},
		{"removed, and accepted once stable, while another is out", "a b c d e:4 f",
			[]string{"a b c d e:4 f:4", "a b e:4 f:4", "…"}, 0, Impaired,
			false, 10},
		{"stays lost when stable", "a b", []string{"a b:4", "…"}, 0, Degraded, false, 10},
		{"down compares with the beginning", "a b c", []string{"a:4 b c", "a:4", "…"}, 0, Down, false, 10},
		{"fails its health check", "a b", []string{"a b!"}, 0, Degraded, false, 10},
		{"failed its health check at first sight", "a b!", []string{"a:4 b!"}, 0, Down, false, 10},
		{"failed its health check at first sight, and is removed", "a b!", []string{"a"}, 0, OK, true, 0},
		{"added failing its health check: no capacity is lost with it", "a", []string{"a b! c!", "a b! c!"},
			0, Impaired, true, 0},
		{"added failing, passed, and fails", "a", []string{"a b!", "a b!", "a b", "a b!"}, 0, Degraded, false,
			10},
		{"a listener's only backend stops", two, []string{"x:4@HTTP:80,TCP:25 y@HTTP:80"}, 0, Down, false,
			20},
		{"a listener keeps a backend", two, []string{"x@HTTP:80,TCP:25 y:4@HTTP:80"}, 0, Impaired, false, 10},
		{"a listener loses its last binding", two, []string{"x@HTTP:80 y@HTTP:80"}, 0, Down, true, 10},
		{"a listener's last binding is drained", "x@HTTP:80 y*10@TCP:25", []string{"x@HTTP:80 y*0@TCP:25",
			"x@HTTP:80 y*0@TCP:25 z@HTTP:80"}, 0, OK,
			true, 0},
		{"a listener is bound again", two, []string{"x@HTTP:80 y@HTTP:80", "x@HTTP:80 y@HTTP:80,TCP:25"}, 0,
			OK, true, 0},
		{"a listener served nobody at first sight", "x:4@TCP:25 y@HTTP:80 z@HTTP:80",
			[]string{"x:4@TCP:25 y:4@HTTP:80 z@HTTP:80"}, 0, Degraded, false, 10},
		{"a listener whose backend was out at first sight is unbound", "x:4@TCP:25,HTTP:80 y@HTTP:80",
			[]string{"x:4@HTTP:80 y@HTTP:80"}, 0, OK, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, map[string]string{"a": c.before})
			if c.at > 0 {
				d.rules.MentionAt = c.at
			}
			for _, pool := range c.then {
				if pool == "…" {
					d.pass(10)
					continue
				}
				last := make(map[string]string) // of a machine named twice, the last counts
				for _, w := range strings.Fields(pool) {
					last[strings.FieldsFunc(w, func(r rune) bool {
						return strings.ContainsRune(":*!@",
							r)
					})[0]] = w
				}
				d.set("a", strings.Join(slices.Collect(maps.Values(last)), " ")).pass(1)
			}
			i := d.only("a")
			lost, _ := i.Lost()
			if i.Level != c.want || i.Alone != c.alone || lost != c.lost {
				t.Errorf("level %v, by removals alone %v, lost %d; want %v, %v, %d", i.Level, i.Alone, lost,
					c.want, c.alone, c.lost)
			}
		})
	}
}
