package incident

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/lb"
)

var simSeed = flag.Uint64("sim.seed", 0, "the one history to play")

var simTrace = flag.String("sim.trace", "", "the Prefix of a root whose calls are printed")

// simStats adds up what happened in histories, so that it is known that the faults happen.
type simStats struct {
	histories, roots, changes, posts, calls     int
	kills, freezes, gaps, fenced, dropped, held int
	twice, heldTwice, mute, blind, late, never  int
	presumed, gone                              int
	hist                                        [2][]ms
}

func (st *simStats) delay(d ms, urgent bool) {
	n := 0
	if urgent {
		n = 1
	}
	st.hist[n] = append(st.hist[n], d)
}

func (st *simStats) add(o *simStats) {
	st.histories += o.histories
	st.roots += o.roots
	st.changes += o.changes
	st.posts += o.posts
	st.calls += o.calls
	st.kills += o.kills
	st.freezes += o.freezes
	st.gaps += o.gaps
	st.fenced += o.fenced
	st.dropped += o.dropped
	st.held += o.held
	st.twice += o.twice
	st.heldTwice += o.heldTwice
	st.mute += o.mute
	st.blind += o.blind
	st.late += o.late
	st.never += o.never
	st.presumed += o.presumed
	st.gone += o.gone
	for n := range st.hist {
		st.hist[n] = append(st.hist[n], o.hist[n]...)
	}
}

func (st *simStats) quantiles() string {
	h := slices.Clone(st.hist[1])
	slices.Sort(h)
	at := func(q float64) int {
		if len(h) == 0 {
			return 0
		}
		return int(h[min(len(h)-1, int(q*float64(len(h))))] / second)
	}
	return fmt.Sprintf("%d/%d/%d/%d s", at(.5), at(.9), at(.99), at(1))
}

// family is which faults a history draws.
type family int

const (
	general   family = iota // everything
	rare                    // everything, a tenth as often
	isolation               // roots that are refused something, nothing else
	lateCalls               // calls that are held back for up to 8 min, nothing else
	clocks                  // runs overlap, freeze, and their clocks differ, nothing else
	plain                   // no faults
)

func newSim(fam family, route Route, seed uint64) *sim {
	g := rand.New(rand.NewPCG(seed, 7))
	s := &sim{seed: seed, rng: rand.New(rand.NewPCG(seed, 99)), world: make(map[string][]int8),
		slack: newSlack(), runs: make(map[int]*run),
		final: make(map[string]*Root), isOpen: make(map[string]bool), cursed: make(map[string]curse),
		heldKey: make(map[string]bool),
		waiting: make(map[string][]waiting), removal: make(map[string]bool), gone: make(map[string]bool),
		tooLate: make(map[string]bool), over15: make(map[string]ms), stats: &simStats{histories: 1}}
	s.rules = Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: route}
	for n := range 1 + g.IntN(6) {
		name := fmt.Sprintf("l%d", n)
		s.clbs = append(s.clbs, name)
		for range 1 + g.IntN(6) {
			is := absent
			if g.Float64() < .85 {
				is = up
			}
			s.world[name] = append(s.world[name], is)
		}
	}
	f := &s.f
	on := func(p, x float64) float64 {
		if g.Float64() < p {
			return x * g.Float64()
		}
		return 0
	}
	f.freezeMax, f.heldMax = 20*minute, 5*minute
	for c := noCurse + 1; c < curseKinds; c++ {
		f.curses = append(f.curses, c)
	}
	channelOut := 0.
	switch fam {
	case general, rare:
		f.kill, f.freeze, f.gap = on(.6, .03), on(.4, .01), g.Float64() < .5
		f.clean, f.unknown, f.lost, f.held, f.temp = on(.5, .15), on(.5, .15), on(.5, .15), on(.4, .08),
			on(.4, .1)
		f.storeFails, f.storeLate, f.read = on(.4, .05), on(.3, .03), on(.4, .1)
		f.twice, f.slow, f.curse = on(.5, .3), on(.4, .1), on(.4, .4)
		channelOut, f.noLook = on(.7, 1), g.Float64() < .15
		if g.Float64() < .5 {
			for i := range f.skew {
				f.skew[i] = ms(g.Int64N(int64(4 * minute)))
			}
		}
		if fam == rare {
			for _, x := range []*float64{&f.kill, &f.freeze, &f.clean, &f.unknown, &f.lost, &f.held, &f.temp,
				&f.storeFails, &f.storeLate,
				&f.read, &f.slow, &f.curse} {
				*x /= 10
			}
		}
	case isolation:
		f.curse = .5
	case lateCalls:
		f.held, f.heldMax = .1, 8*minute
	case clocks:
		f.freeze, f.twice, f.slow, f.gap = .005, .5, .1, true
		for i := range f.skew {
			f.skew[i] = ms(g.Int64N(int64(4 * minute)))
		}
	}
	first := &simHead{n: 1, writer: "w0", snap: make(map[string][]lb.Backend), state: &State{}}
	for _, name := range s.clbs {
		first.snap[name] = lb.Baseline(s.pool(name), epoch)
	}
	s.heads = []*simHead{nil, first}
	s.script(g, channelOut)
	return s
}

// script is what happens: two phases of changes and faults, each with a calm one after it.
func (s *sim) script(g *rand.Rand, channelOut float64) {
	begin := 2 * minute
	calm := begin + ms(20+g.IntN(40))*minute
	again := calm + 50*minute
	last := again + ms(20+g.IntN(40))*minute
	s.end = last + 100*minute
	rate := []float64{.05, .15, .4, .9}[g.IntN(4)]
	s.phase(g, begin, calm, rate, channelOut)
	s.phase(g, again, last, rate, channelOut)
	for m := ms(0); m < s.end; m += minute {
		at, host := m+s.between(0, 3*second), s.rng.IntN(3)
		s.at(at, func() { s.spawn(s.f.skew[host], (*run).tick) })
		if g.Float64() < s.f.twice {
			at, host := at+ms(g.Int64N(int64(40*second))), g.IntN(3)
			s.at(at, func() {
				if s.faulty {
					s.spawn(s.f.skew[host], (*run).tick)
				}
			})
		}
	}
	s.at(again-1, func() { s.check(false) })
	s.at(s.end-1, func() { s.check(true) })
}

func (s *sim) phase(g *rand.Rand, from, to ms, rate, channelOut float64) {
	flap := []int{-1, 0}
	flip := func(clb string, n int) {
		switch pool := s.world[clb]; pool[n] {
		case up:
			pool[n] = down
		case down:
			pool[n] = up
		}
	}
	for m := from; m < to; m += minute {
		at := m + ms(g.Int64N(int64(minute)))
		if flap[0] >= 0 && g.Float64() < .1 {
			flap[0] = -1
		}
		if flap[0] < 0 && g.Float64() < .03 {
			flap = []int{g.IntN(len(s.clbs)), 0}
		}
		if flap[0] >= 0 {
			clb := s.clbs[flap[0]]
			s.at(at, func() { flip(clb, 0) })
		}
		if g.Float64() >= rate {
			continue
		}
		clb, kind := s.clbs[g.IntN(len(s.clbs))], g.IntN(10)
		n := g.IntN(len(s.world[clb]))
		s.at(at, func() {
			pool := s.world[clb]
			switch {
			case kind < 6:
				flip(clb, n)
			case kind < 7: // a zone fails
				for _, pool := range s.world {
					for k := n % 3; k < len(pool); k += 3 {
						if pool[k] == up {
							pool[k] = down
						}
					}
				}
			case kind < 8:
				for k := range pool {
					flip(clb, k)
				}
			case kind < 9:
				pool[n] = absent
			case pool[n] == absent:
				pool[n] = up
			}
		})
	}
	heal, remove := g.Float64() < .7, g.Float64() < .3
	s.at(to, func() {
		for _, pool := range s.world {
			for k, is := range pool {
				if is == down && heal {
					if pool[k] = up; remove {
						pool[k] = absent
					}
				}
			}
		}
	})
	s.at(from, func() { s.faulty = true })
	s.at(to, func() { s.faulty, s.outage, s.outEnd = false, fine, s.now })
	if g.Float64() < channelOut {
		at, is := from+ms(g.Int64N(int64(to-from))), outage(1+g.IntN(int(outages)-1))
		if until := at + ms(2+g.IntN(40))*minute; until < to {
			s.at(at, func() { s.outage = is })
			s.at(until, func() { s.outage, s.outEnd = fine, s.now })
		}
	}
	if channelOut > 0 && g.Float64() < .1 { // somebody deletes a root
		s.at(from+ms(g.Int64N(int64(to-from))), func() {
			for _, m := range s.slack.messages {
				if m.post.Root && !m.deleted && m.route.Bot() {
					m.deleted = true
					return
				}
			}
		})
	}
}

// committed holds a new head against the one before, and notes what is news.
func (s *sim) committed(h *simHead) {
	before := s.heads[h.n-1]
	// Each change is in exactly one incident.
	want := make(map[string]int)
	for _, clb := range s.clbs {
		_, changes := lb.Diff(before.snap[clb], h.snap[clb], time.Time{}, time.Time{})
		for _, c := range changes {
			want[fmt.Sprint(keyOf(clb), c.Kind, c.Backend.ID)]++
			s.stats.changes++
		}
	}
	for _, p := range h.past {
		if p.Change != nil {
			want[fmt.Sprint(p.CLB.Key(), p.Change.Kind, p.Change.ID)]--
		}
	}
	for what, n := range want {
		if n != 0 {
			s.complain("head %d: change %s is in %d incidents", h.n, what, 1-n)
		}
	}
	in := make(map[string]bool)
	for _, r := range h.state.Roots {
		key := r.Prefix()
		in[key] = true
		was := 0
		if old := s.final[key]; old != nil {
			was = old.News
		} else {
			s.stats.roots++
		}
		if old := s.final[key]; old != nil && r.Delivery.Presumed.After(old.Delivery.Presumed) {
			s.stats.presumed++
			if s.gone[key] = true; old.Delivery.Doubt != nil &&
				len(s.slack.byKey[r.Key(old.Delivery.Doubt.Post)]) > 0 {
				s.gone[key] = false
			}
		}
		if r.News > was {
			urgent := was == 0
			for _, m := range r.Marks {
				urgent = urgent || m.Rise > was
			}
			if r.reportable() {
				s.waiting[key] = append(s.waiting[key], waiting{r.News, s.now, urgent})
			}
		}
		for _, i := range r.Incidents {
			s.removal[key] = s.removal[key] || i.Counts.Removed > 0
		}
		s.final[key] = r
	}
	for key := range s.isOpen {
		if !in[key] {
			delete(s.isOpen, key)
		}
	}
	for key := range in {
		s.isOpen[key] = true
	}
	s.overdue(h)
}

// overdue holds that ticks fail once something is due for a quarter of an hour.
func (s *sim) overdue(h *simHead) {
	says := make(map[string]bool)
	for _, r := range h.state.Overdue(s.now.time()) {
		says[r.Prefix()] = true
	}
	for _, r := range h.state.Roots {
		key := r.Prefix()
		if r.Delivery.Posted || !r.reportable() {
			delete(s.over15, key)
			continue
		}
		if s.over15[key] == 0 {
			s.over15[key] = s.now
		}
		if s.now-s.over15[key] > 20*minute && !says[key] {
			s.complain("%s is unposted for %d min, and ticks do not fail", key, (s.now-s.over15[key])/minute)
		}
	}
}

// check holds what Slack shows against the documents, at a time of calm.
func (s *sim) check(final bool) {
	top := s.newest()
	for _, clb := range s.clbs {
		if _, changes := lb.Diff(top.snap[clb], s.pool(clb), time.Time{}, time.Time{}); len(changes) > 0 {
			s.complain("the snapshot of %s is not the world", clb)
		}
	}
	for _, r := range top.state.Roots {
		s.settled(r, final)
	}
	for prefix, r := range s.final {
		s.lastWord(prefix, r)
	}
	if !final {
		return
	}
	for key, all := range s.slack.byKey {
		is := s.curse(all[0].prefix)
		look := all[0].route.Bot() && !s.f.noLook && is != badLook
		switch {
		case slices.ContainsFunc(all, func(m *message) bool { return m.deleted }):
		case len(all) > 2:
			s.complain("%d copies of %s", len(all), key)
		case len(all) == 2 && !look:
			s.stats.twice++
		case len(all) == 2 && s.heldKey[key]:
			s.stats.heldTwice++
		case len(all) == 2:
			s.complain("two copies of %s, by a bot that may look", key)
		}
	}
}

// settled holds that nothing is stuck.
func (s *sim) settled(r *Root, final bool) {
	d := &r.Delivery
	is := s.curse(r.Prefix())
	if is.mute() {
		s.stats.mute++
		return
	}
	long := !d.Due.IsZero() && s.now.time().Sub(d.Due) > 45*time.Minute
	if d.Doubt != nil && is != alwaysLost && long {
		s.complain("%s is still in doubt: %+v", r.Prefix(), d.Doubt)
	}
	if p, due := r.due(top(r.NewsAt, s.now.time()), s.rules); due && !p.Reminder && is != alwaysLost && long {
		s.complain("%s is still due: %+v %+v", r.Prefix(), p, d)
	}
	if final && !r.Open() && d.Presumed.IsZero() && is != edit500 &&
		r.NewsAt.Add(60*time.Minute).Before(s.now.time()) {
		s.complain("%s is over, and does not leave: %+v", r.Prefix(), d)
	}
}

func top(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lastWord holds that Slack shows how a root stands.
func (s *sim) lastWord(prefix string, r *Root) {
	is := s.curse(prefix)
	if is.mute() || !r.reportable() {
		return
	}
	var root, last *message
	gone := false
	for _, m := range s.slack.messages {
		if m.prefix != prefix {
			continue
		}
		gone = gone || m.deleted
		last = m
		if m.post.Root && !m.void && !m.deleted && (root == nil || same(m.shows, photograph(r), true)) {
			root = m
		}
	}
	if gone {
		return // who deletes a root knows
	}
	if last == nil && r.Delivery.Posted { // both copies were lost
		s.stats.never++
		return
	}
	if last == nil {
		s.complain("%s was never posted: %+v", prefix, r.Delivery)
		return
	}
	want := photograph(r)
	if !r.Delivery.Route.Bot() {
		if !same(last.shows, want, false) {
			s.problem(prefix, last, "the last message of %s shows %v, want %v", prefix, last.shows, want)
		}
		return
	}
	ok := root != nil && same(root.shows, want, true)
	if (is == badEdit || is == edit500 || r.Delivery.NoEdit) && (r.Open() || same(last.shows, want, false)) {
		ok = true // an update says how it ended
	}
	if !ok {
		s.problem(prefix, last, "root %s does not show how it stands, want %v", prefix, want)
	}
	for _, m := range s.slack.messages {
		if m.prefix == prefix && m.post.Root && !m.void && !same(m.shows, want, true) && is != badEdit &&
			is != edit500 && !r.Delivery.NoEdit {
			if s.f.noLook || is == badLook {
				s.stats.blind++
			} else {
				s.problem(prefix, m, "a copy of root %s shows what was: rev %d of %d", prefix, m.rev, r.Rev)
			}
		}
	}
	if !r.Open() && !s.removal[prefix] {
		s.ends(prefix, r)
	}
}

// problem is a wrong last word. It is only counted where no rule can mend it: all requests of a message were
// lost, or the network held one of a webhook's back.
func (s *sim) problem(prefix string, last *message, format string, args ...any) {
	if s.gone[prefix] {
		s.stats.gone++
		return
	}
	if s.tooLate[prefix] {
		s.stats.late++
		return
	}
	if !last.route.Bot() {
		for _, m := range s.slack.messages {
			if m.prefix == prefix && m.held {
				s.stats.late++
				return
			}
		}
	}
	s.complain(format, args...)
}

// ends holds that what was shown in the channel as degraded or down is shown there as over.
func (s *sim) ends(prefix string, r *Root) {
	var bad [2]bool
	for _, m := range s.slack.messages {
		if m.prefix != prefix || !m.inChannel() || m.void {
			continue
		}
		worst := OK
		for _, x := range m.sent {
			if x.open {
				worst = max(worst, x.level)
			}
		}
		for n, l := range levelOfMark {
			bad[n] = worst >= l
		}
	}
	if bad[0] || bad[1] {
		s.problem(prefix, &message{route: r.Delivery.Route}, "%s was %v in the channel, and its end is not",
			prefix, bad)
	}
}

// same reports whether two messages say the same; by webhook it does not matter whether they look closed, and
// only the worst level gives a message its colour.
func same(a, b shots, ends bool) bool {
	worst := [2]Level{}
	equal := slices.EqualFunc(a, b, func(a, b shot) bool {
		if a.open && b.open {
			worst[0], worst[1] = max(worst[0], a.level), max(worst[1], b.level)
		}
		if !ends {
			a.open, a.end, a.level = b.open, b.end, b.level
		}
		return a.id == b.id && a.open == b.open && a.end == b.end && a.level == b.level &&
			a.running == b.running &&
			a.total == b.total && a.blind == b.blind && len(a.out) == len(b.out)
	})
	return equal && worst[0] == worst[1]
}

func histories(n int) int {
	if *simSeed != 0 {
		return 1
	}
	if env, err := strconv.Atoi(os.Getenv("HISTORIES")); err == nil {
		return env
	}
	return n
}

// simulate plays histories of a family on all processors.
func simulate(t *testing.T, fam family, route Route, n int) *simStats {
	t.Helper()
	var mu sync.Mutex
	total := &simStats{}
	var bad []string
	seeds := make(chan uint64)
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for seed := range seeds {
				s := newSim(fam, route, seed)
				s.play()
				mu.Lock()
				total.add(s.stats)
				bad = append(bad, s.bad...)
				mu.Unlock()
			}
		})
	}
	for seed := range uint64(n) {
		if *simSeed != 0 {
			seed = *simSeed - 1
		}
		seeds <- seed + 1
	}
	close(seeds)
	wait.Wait()
	slices.Sort(bad)
	for i, x := range bad {
		if i == 10 {
			t.Errorf("… and %d more in %d histories", len(bad)-i, n)
			break
		}
		t.Error(x)
	}
	t.Logf("%d histories: %d roots, %d changes, %d posts, %d calls; kills %d, "+
		"freezes %d (%d before a call), fenced %d, dropped %d, held %d; "+
		"twice %d (%d late), mute %d, blind copies %d, late last words %d, presumed %d, "+
		"never shown %d, lost twice %d; delay of what is urgent p50/p90/p99/max %s",
		total.histories, total.roots, total.changes, total.posts, total.calls, total.kills, total.freezes,
		total.gaps, total.fenced,
		total.dropped, total.held, total.twice, total.heldTwice, total.mute, total.blind, total.late,
		total.presumed, total.never, total.gone, total.quantiles())
	return total
}

// TestDeliveryHolds plays random histories of faults, by bot and by webhook.
func TestDeliveryHolds(t *testing.T) {
	for _, c := range []struct {
		name  string
		fam   family
		share int
	}{
		{"general", general, 1}, {"rare", rare, 4}, {"isolation", isolation, 4}, {"late calls", lateCalls, 4},
		{"clocks", clocks, 4},
		{"plain", plain, 10},
	} {
		for _, route := range []Route{bot, webhook} {
			t.Run(fmt.Sprintf("%s/%s", c.name, route), func(t *testing.T) {
				simulate(t, c.fam, route, max(1, histories(20)/c.share))
			})
		}
	}
}

// TestFence holds that looking at the clock before each call matters, and that these histories would show it.
func TestFence(t *testing.T) {
	t.Parallel()
	late := 0
	for seed := range uint64(8) {
		for _, unfenced := range []bool{true, false} {
			s := newSim(clocks, bot, seed+1)
			s.f.gap, s.unfenced = false, unfenced
			s.play()
			held := 0
			for _, m := range s.slack.messages {
				if m.held {
					held++
				}
			}
			if unfenced {
				late += held
			} else if held > 0 {
				t.Errorf("seed %d: %d messages appeared after their claims had ended", seed+1, held)
			}
		}
	}
	if late == 0 {
		t.Errorf("without the fence no message is late: nothing is tested")
	}
}
