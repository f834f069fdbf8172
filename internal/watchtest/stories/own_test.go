package stories_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"clbwatch/internal/sandbox/slack"
	"clbwatch/internal/story"
	"clbwatch/internal/watchtest/stories"
)

// pool are so many backends of a load balancer, in a status.
func pool(clb string, n, status int) map[string]int {
	m := make(map[string]int, n)
	for k := range n {
		m[fmt.Sprintf("%s-w%d", clb, k)] = status
	}
	return m
}

// step is a step that sets backends.
func step(t int, clb string, set map[string]int) story.Step {
	return story.Step{T: t, CLB: clb, Set: set}
}

// one is one backend in a status.
func one(id string, status int) map[string]int { return map[string]int{id: status} }

// TestStoryOfLostAnswers has Slack take posts, and never say so for an hour. It holds how often people see
// each of them.
func TestStoryOfLostAnswers(t *testing.T) {
	t.Parallel()
	posts := []string{"chat.postMessage", slack.Webhook}
	for _, c := range []struct {
		name   string
		bot    bool
		look   bool     // the bot may
		calls  []string // that go wrong; nil: all
		fault  slack.Fault
		copies int
		fails  bool // ticks fail after 15 minutes
	}{
		{"answers to posts are lost", true, true, posts, slack.TakesThenDrops(), 1, false},
		{"answers are lost, and it may not look", true, false, posts, slack.TakesThenDrops(), 2, true},
		{"answers to posts are lost", false, false, posts, slack.TakesThenDrops(), 2, true},
		{"500 to everything", true, true, nil, slack.TakesThenFails(), 1, true},
		{"500 to everything, and it may not look", true, false, nil, slack.TakesThenFails(), 1, true},
		{"500 to everything", false, false, nil, slack.TakesThenFails(), 1, true},
	} {
		t.Run(c.name+"/"+by(c.bot), func(t *testing.T) {
			t.Parallel()
			s := story.Story{Name: c.name, Ticks: 60, Steps: []story.Step{
				step(-1, "a", pool("a", 4, 2)), step(0, "a", pool("a", 4, 4))}}
			p := play(t, s, c.bot, func(p *player) {
				p.without = true
				p.extra = func(p *player) {
					p.slack.ClearFaults()
					if c.bot && !c.look {
						looks := []string{"conversations.history", "conversations.replies"}
						p.slack.FailCalls(slack.Calls{Methods: looks}, slack.Error("missing_scope"))
					}
					if p.minute >= 0 && p.minute < 60 {
						p.slack.FailCalls(slack.Calls{Methods: c.calls}, c.fault)
					}
				}
			})
			copies, mentions := 0, 0
			titles := make(map[string]int)
			for _, m := range p.channel[1:] {
				if m.minute < 60 {
					copies++
				}
				if m.first.mentions {
					mentions++
				}
				titles[cmp.Or(keyOf(m.Raw), m.first.title)]++
			}
			if copies != c.copies {
				t.Errorf("%d messages in the hour, want %d", copies, c.copies)
			}
			if mentions != 1 {
				t.Errorf("%d mentions, want 1", mentions)
			}
			for title, n := range titles {
				if n > 2 {
					t.Errorf("%q is there %d times", title, n)
				}
			}
			first := -1
			if len(p.failed) > 0 {
				first = p.failed[0].minute
			}
			if c.fails != (first >= 14 && first <= 18) {
				t.Errorf("ticks fail from minute %d on", first)
			}
			if last := p.channel[1]; c.bot && c.look && last.level() != stories.Down {
				t.Errorf("the root says %q", last.title)
			}
			p.report()
			p.tell(fmt.Sprintf("at most %d in the hour, 1 mention", c.copies))
		})
	}
}

// TestStoryOfMoreEditsThanOneTickMakes has thirty incidents, each with a message of its own, change in one
// minute.
func TestStoryOfMoreEditsThanOneTickMakes(t *testing.T) {
	t.Parallel()
	s := story.Story{Name: "more than 20 edits", Ticks: 42,
		Settings: map[string]string{"STABLE_AFTER": "2m"}}
	const clbs = 30
	for n := range clbs {
		clb := fmt.Sprintf("m%02d", n)
		s.Steps = append(s.Steps, step(-1, clb, pool(clb, 6, 2)), step(n, clb, one(clb+"-w0", 4)),
			step(40, clb, one(clb+"-w1", 4)),
			step(42, clb, map[string]int{clb + "-w0": 2, clb + "-w1": 2}))
	}
	slices.SortStableFunc(s.Steps, func(a, b story.Step) int { return a.T - b.T })
	edits, most := 0, 0
	p := play(t, s, true, func(p *player) {
		p.oracle.grace = 2
		p.extra = func(p *player) {
			now := p.slack.CallsOf("chat.update")
			most, edits = max(most, now-edits), now
		}
	})
	if most > 20 {
		t.Errorf("%d edits in a tick, want at most 20", most)
	}
	roots := 0
	for _, m := range p.channel[1:] {
		if m.Thread == "" {
			roots++
			if !m.struck {
				t.Errorf("%q is not struck through", m.title)
			}
		}
	}
	if roots != clbs || most < 20 {
		t.Errorf("%d messages in the channel, at most %d edits in a tick, want %d and 20", roots, most, clbs)
	}
	p.report()
	p.tell("30 in the channel")
}

// TestStoryOfNoticesBesideIncidents has load balancers deleted, and found, while incidents go on.
func TestStoryOfNoticesBesideIncidents(t *testing.T) {
	t.Parallel()
	for _, bot := range []bool{true, false} {
		t.Run(by(bot), func(t *testing.T) {
			t.Parallel()
			s := story.Story{Name: "notices beside incidents", Ticks: 40, Steps: []story.Step{
				step(-1, "a", pool("a", 4, 2)), step(-1, "gone", pool("gone", 3, 2)),
				step(-1, "ill", pool("ill", 3, 2)),
				step(0, "a", one("a-w0", 4)), step(4, "ill", one("ill-w0", 4)),
				step(10, "new", pool("new", 2, 2)), step(20, "a", one("a-w0", 2)),
			}}
			p := play(t, s, bot, func(p *player) {
				p.finds = true
				p.extra = func(p *player) {
					for clb, at := range map[string]int{"gone": 8, "ill": 9} {
						if p.minute == at {
							p.gone[clb] = true
							delete(p.truth.CLBs, clb)
						}
					}
				}
			})
			var notices []string
			for _, m := range p.channel {
				if m.color != neutral {
					continue
				}
				notices = append(notices, m.title)
				switch {
				case m.Thread != "" || m.struck || m.mentions:
					t.Errorf("the notice %q is a reply, struck through or mentions", m.title)
				case m.names("a") && m.minute >= 0:
					t.Errorf("the notice %q is about a", m.title)
				}
				for _, reply := range p.channel {
					if reply.Thread == m.TS {
						t.Errorf("the notice %q has the reply %q", m.title, reply.title)
					}
				}
			}
			for _, want := range []string{"prod-gone was deleted", "ow watching prod-new: 2 of 2"} {
				if !slices.ContainsFunc(notices, func(n string) bool { return strings.Contains(n, want) }) {
					t.Errorf("no notice says %q: %q", want, notices)
				}
			}
			var last *seen
			for _, m := range p.channel {
				if m.names("ill") && m.color != neutral {
					last = m
				}
			}
			wrong := last == nil || !strings.Contains(last.title, "deleted") || last.struck
			if wrong || last.color == green || last.color == red {
				t.Errorf("the incident of what was deleted ends as %+v", last)
			}
			if last != nil && !strings.Contains(last.text, "2 of 3 running when last read") {
				t.Errorf("of what was deleted it says %q", last.text)
			}
			p.report()
			p.tell("")
		})
	}
}

// TestStoryOfAChangedTransport has the settings change from the bot to the webhook while something is down:
// people go on being told, and what the bot posted is not repeated for what did not change.
func TestStoryOfAChangedTransport(t *testing.T) {
	t.Parallel()
	for _, bot := range []bool{true, false} {
		t.Run("from "+by(bot), func(t *testing.T) {
			t.Parallel()
			s := story.Story{Name: "transport changes, from " + by(bot), Ticks: 60, Steps: []story.Step{
				step(-1, "a", pool("a", 4, 2)), step(0, "a", pool("a", 4, 4)),
				step(20, "a", pool("a", 4, 2))}}
			p := play(t, s, bot, func(p *player) {
				p.without = true
				p.extra = func(p *player) {
					if p.minute == 10 {
						p.connect(!bot)
					}
				}
			})
			var after []*seen
			for _, m := range p.channel[1:] {
				if m.minute >= 10 {
					after = append(after, m)
				}
				if m.minute >= 10 && m.Bot == bot {
					t.Errorf("%q went the old way at minute %d", m.title, m.minute)
				}
			}
			at := func(m *seen) bool {
				return m.minute == 10 && m.Thread == "" && m.first.level() == stories.Down
			}
			if len(after) == 0 || !at(after[0]) {
				t.Fatalf("what is down is not posted the new way at once: %+v", after)
			}
			end := slices.IndexFunc(after, func(m *seen) bool {
				return m.inChannel() && strings.Contains(m.first.title, "no longer down") && m.minute <= 20+3
			})
			if end < 0 {
				t.Errorf("the end of down is not posted the new way")
			}
			if !bot && !after[0].ended() {
				t.Errorf("the root says %q at the end", after[0].title)
			}
			if got := p.count(); len(after) > 3 || len(p.channel) > 5 {
				t.Errorf("%d messages after the change, %+v in all", len(after), got)
			}
			p.report()
			p.tell("")
		})
	}
}

// twoChannels gives one workspace's bot a second channel, in which another workspace keeps its messages.
func twoChannels(p *player) (second *slack.Workspace) {
	second = slack.New()
	second.Now, second.Mention = p.life.Now, p.slack.Mention
	front := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			p.t.Error(err)
		}
		to := p.slack
		if form, err := url.ParseQuery(string(body)); err == nil && form.Get("channel") == secondChannel {
			form.Set("channel", second.ChannelID())
			if form.Has("token") {
				form.Set("token", second.Token())
			}
			r.Header.Set("Authorization", "Bearer "+second.Token())
			to, body = second, []byte(form.Encode())
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		to.ServeHTTP(w, r)
	})
	server := httptest.NewServer(front)
	p.t.Cleanup(server.Close)
	p.server.Close()
	p.server = server
	return second
}

const secondChannel = "C0SANDBOX2"

// TestStoryOfAChangedChannel has the settings name another channel while something is down.
func TestStoryOfAChangedChannel(t *testing.T) {
	t.Parallel()
	s := story.Story{Name: "channel changes", Ticks: 60, Steps: []story.Step{
		step(-1, "a", pool("a", 4, 2)), step(0, "a", pool("a", 4, 4)), step(20, "a", pool("a", 4, 2))}}
	var second *slack.Workspace
	p := play(t, s, true, func(p *player) {
		p.without = true
		second = twoChannels(p)
		p.connect(true)
		p.extra = func(p *player) {
			if p.minute == 10 {
				p.to = secondChannel
				p.connect(true)
			}
		}
	})
	old := p.channel[1]
	continues := strings.Contains(old.title, "continues in another channel")
	if len(p.channel) != 2 || !continues || old.color == red {
		t.Errorf("%d messages in the old channel, and its root says %q", len(p.channel), old.title)
	}
	if !strings.Contains(old.context, secondChannel) {
		t.Errorf("the old root does not say where it continues: %q", old.context)
	}
	posts := second.Channel()
	if len(posts) == 0 || len(posts) > 3 {
		t.Fatalf("%d messages in the new channel", len(posts))
	}
	root, first := read(t, posts[0].Raw), read(t, second.Messages()[0].Raw)
	if first.level() != stories.Down || !root.struck || root.color != green {
		t.Errorf("the new root said %q, and says %q", first.title, root.title)
	}
	p.report()
	p.tell("")
}

// crowd is a story of up to so many changes of machines, each of which is behind several load balancers: what
// happens at first, what joins that and what happens in between is drawn.
func crowd(seed uint64, machines, clbs, most int) story.Story {
	r := rand.New(rand.NewPCG(seed, 1))
	s := story.Story{Name: fmt.Sprintf("crowd %02d", seed), Ticks: 5}
	behind := make(map[string][]string) // by machine
	sets := make([]map[string]map[string]int, 5)
	for n := range sets {
		sets[n] = make(map[string]map[string]int)
	}
	set := func(when int, clb, id string, status int) {
		if sets[when][clb] == nil {
			sets[when][clb] = make(map[string]int)
		}
		sets[when][clb][id] = status
	}
	for n := range machines {
		id := fmt.Sprintf("m%d", n)
		for _, k := range r.Perm(clbs)[:1+r.IntN(min(8, clbs))] {
			clb := fmt.Sprintf("c%02d", k)
			behind[id] = append(behind[id], clb)
			set(0, clb, id, 2)
		}
	}
	share := []int{0, 20 + r.IntN(80), 10 + r.IntN(40), 50, 30} // percent of machines that stop, or recover
	changes := 0
	for _, id := range slices.Sorted(maps.Keys(behind)) {
		stopped := false
		for when := 1; when < len(sets); when++ {
			if r.IntN(100) >= share[when] || changes+len(behind[id]) > most {
				continue
			}
			status := 4
			if stopped && when >= 3 {
				status = 2
			} else if stopped || when == 3 {
				continue
			}
			stopped = status == 4
			for _, clb := range behind[id] {
				set(when, clb, id, status)
				changes++
			}
		}
	}
	for when, t := range []int{-1, 0, 2, 5, 30} { // at first; joining; back; after being stable
		for _, clb := range slices.Sorted(maps.Keys(sets[when])) {
			s.Steps = append(s.Steps, step(t, clb, sets[when][clb]))
		}
	}
	return s
}

// TestStoryOfCrowds holds that the numbers in titles are those of the model's machines and load balancers: at
// first, after edits, in updates, and when incidents share a root.
func TestStoryOfCrowds(t *testing.T) {
	t.Parallel()
	sizes := []struct{ machines, clbs, most int }{
		{30, 5, 300}, {3, 60, 300}, {700, 3, 1500}, {1000, 40, 5000},
	}
	for seed := range 12 {
		size := sizes[seed%len(sizes)]
		for _, bot := range []bool{true, false} {
			if !*everything && (seed > 2 || seed == 2 && !bot) {
				continue
			}
			t.Run(fmt.Sprintf("%d/%s", seed, by(bot)), func(t *testing.T) {
				t.Parallel()
				s := crowd(uint64(seed), size.machines, size.clbs, size.most)
				p := play(t, s, bot, func(p *player) { p.oracle.grace = 1 })
				p.report()
				p.tell("")
			})
		}
	}
}
