package stories_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"clbwatch/internal/story"
	"clbwatch/internal/watchtest/stories"
)

// oracle holds what people can read in Slack against what is true. It knows the words of the messages and
// nothing of what made them.
type oracle struct {
	p       *player
	threads []*thread
	newest  map[string]*thread // by load balancer
	quiet   int                // minutes since when all is stable
	grace   int                // minutes until edits must have followed: there may be too many for one tick

	toldBlind bool // that something cannot be read was posted once
}

// thread is a message in the channel with its replies; by webhook, messages about the same load balancers.
type thread struct {
	root     *seen // nil by webhook
	all      []*seen
	clbs     map[string]int // and since when it names them
	bad      [2]bool        // a rise was shown in the channel, and no end since
	left     [2]int         // since when nothing of it is that bad
	mentions int
}

const (
	red     = "#a30200"
	orange  = "#e8912d"
	green   = "#2eb886"
	neutral = "#8d9096"
)

var (
	endWords   = regexp.MustCompile(`no longer|any more|[Rr]esolved after|\b[Oo]ver\b|[Ll]eft as it is`)
	inTitle    = regexp.MustCompile(`(\d+) of (\d+) running`)
	counted    = regexp.MustCompile(`\b(\d+) (?:load balancers )?(DOWN|degraded)`)
	onMany     = regexp.MustCompile(`(?:on|behind) (\d+) load balancers`)
	titleCount = regexp.MustCompile(`\b(\d+) (?:more )?(?:machines? )?(stopped|unhealthy)\b`)
	levels     = []stories.Level{stories.Degraded, stories.Down}
)

func newOracle(p *player) *oracle { return &oracle{p: p, newest: make(map[string]*thread)} }

func (p *player) complain(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf("minute %d: ", p.minute)+fmt.Sprintf(format, args...))
}

// takes reports whether Slack takes messages about the load balancer now.
func (o *oracle) takes(clb string) bool {
	bad, poisoned := strings.CutPrefix(o.p.world.Slack, story.Poison)
	return o.p.world.Slack == "" || poisoned && clb != bad
}

// takesAll reports whether Slack takes messages about all load balancers of a thread.
func (o *oracle) takesAll(t *thread) bool {
	for name := range t.clbs {
		if !o.takes(name) {
			return false
		}
	}
	return true
}

// check holds what is in the channel after a minute against the truth.
func (o *oracle) check() {
	p := o.p
	if p.minute < 0 {
		if len(p.posted) != 1 || !strings.Contains(p.channel[0].title, "ow watching") {
			p.complain("the baseline is not reported in one message")
		}
		return
	}
	o.sort()
	calm := !p.world.Fails
	for _, c := range p.truth.CLBs {
		if o.takes(c.Name) {
			o.duties(c)
			if !p.world.Fails {
				o.lasted(c)
				o.reminded(c)
			}
		}
		calm = calm && (!c.Open || c.Stable) && o.takes(c.Name)
	}
	for _, t := range o.threads {
		o.follow(t)
		if o.takesAll(t) {
			o.updates(t)
		}
	}
	o.blind()
	if o.quiet++; !calm {
		o.quiet = 0
	}
	if o.quiet > o.grace {
		o.calm()
	} else {
		o.fresh()
	}
	o.parted()
}

// sort finds out what new messages and edits are about.
func (o *oracle) sort() {
	for _, m := range slices.Concat(o.p.posted, o.p.edited) {
		if m.color == neutral {
			continue
		}
		var about []string
		for name := range o.p.truth.CLBs {
			if m.names(name) {
				about = append(about, name)
			}
		}
		slices.Sort(about)
		t := o.threadOf(m, about)
		for _, name := range about {
			if _, ok := t.clbs[name]; !ok {
				t.clbs[name], o.newest[name] = o.p.minute, t
			}
		}
	}
}

func (o *oracle) threadOf(m *seen, about []string) *thread {
	for _, t := range o.threads {
		if slices.Contains(t.all, m) {
			return t
		}
	}
	var t *thread
	if m.Bot {
		for _, x := range o.threads {
			if x.root != nil && x.root.TS == m.Thread {
				t = x
			}
		}
	} else {
		for _, name := range about {
			if x := o.newest[name]; x != nil && t != nil && x != t { // two threads turn out to be one
				maps.Copy(t.clbs, x.clbs)
				t.all, t.mentions = append(t.all, x.all...), t.mentions+x.mentions
				for n := range t.bad {
					t.bad[n] = t.bad[n] || x.bad[n]
				}
				for clb := range x.clbs {
					if o.newest[clb] == x {
						o.newest[clb] = t
					}
				}
				o.threads = slices.DeleteFunc(o.threads, func(y *thread) bool { return y == x })
			} else if x != nil {
				t = x
			}
		}
	}
	if t == nil {
		t = &thread{clbs: make(map[string]int), left: [2]int{-1, -1}}
		if m.Bot {
			t.root = m
		}
		o.threads = append(o.threads, t)
	}
	t.all = append(t.all, m)
	return t
}

// parted ends the threads of a webhook whose incidents are closed: what comes next is another story.
func (o *oracle) parted() {
	for name, t := range o.newest {
		if t.root != nil {
			continue
		}
		open, _ := o.mine(t)
		if len(open) == 0 && t.bad == [2]bool{} {
			delete(o.newest, name)
		}
	}
}

// duties holds that what must be in the channel at once is there.
func (o *oracle) duties(c *stories.CLB) {
	if len(c.Owed) == 0 {
		return
	}
	anywhere, channel, worst := false, false, stories.OK
	for _, m := range o.p.posted {
		s, ok := m.first.of(c.Name)
		if !ok && m.first.more > 0 { // it is one of those that have no room
			s.level, ok = m.first.level(), true
		}
		if !ok && m.first.names(c.Name) {
			ok = true
		}
		if !ok {
			continue
		}
		anywhere = true
		if s.level == unknown {
			s.level = m.first.level()
		}
		if m.inChannel() {
			channel, worst = true, max(worst, s.level)
		}
	}
	for _, d := range c.Owed {
		switch {
		case !anywhere:
			o.p.complain("%s: %s is in no post", c.Name, d.What)
		case !channel:
			o.p.complain("%s: %s is not in the channel", c.Name, d.What)
		case worst < min(d.Level, c.Level):
			o.p.complain("%s: %s to %v shows as %v", c.Name, d.What, d.Level, worst)
		}
	}
	c.Owed = nil
}

// since are the messages posted at a minute or later.
func (o *oracle) since(minute int) []*seen {
	all := o.p.channel
	n := len(all)
	for n > 0 && all[n-1].minute >= minute {
		n--
	}
	return all[n:]
}

// lasted holds that a change which has lasted for STABLE_AFTER is in a post.
func (o *oracle) lasted(c *stories.CLB) {
next:
	for id, at := range c.Changed {
		if o.p.minute-at != o.p.truth.Stable {
			continue
		}
		b, there := c.Pool[id]
		is := there && !b.Serves()
		for _, m := range o.since(at) {
			out, known := m.first.machine(id)
			if known && out == is || !known && m.first.counted(is) && o.about(m, c) {
				continue next
			}
		}
		o.p.complain("%s: %s has lasted for STABLE_AFTER, and no post shows it", c.Name, id)
	}
}

// about reports whether a message is of the thread that is about a load balancer, which it may not have room
// to name.
func (o *oracle) about(m *seen, c *stories.CLB) bool {
	t := o.newest[c.Name]
	return t != nil && slices.Contains(t.all, m) || m.first.more > 0
}

// reminded holds that what is out without news is posted again.
func (o *oracle) reminded(c *stories.CLB) {
	after := 6 * o.p.truth.Stable
	if !c.Open || c.Out() == 0 || o.p.minute-c.News != after {
		return
	}
	for _, m := range o.since(c.News + 1) { // a message about others of its thread starts the count again
		if o.about(m, c) || !m.Bot {
			return
		}
	}
	o.p.complain("%s: something is out for 6 x STABLE_AFTER, and nobody is reminded", c.Name)
}

// truncated reports whether there was no room for all load balancers.
func (m *seen) truncated() bool { return m.more > 0 || m.first.more > 0 }

// alarm is a level as far as titles and lines show it: below degraded, all are alike.
func alarm(l stories.Level) stories.Level {
	if l < stories.Degraded {
		return stories.OK
	}
	return l
}

// worst is how bad a message says that it is, in any of its parts.
func (p page) worst() stories.Level {
	worst := p.level()
	for _, s := range p.clbs {
		worst = max(worst, s.level)
	}
	if _, all, ok := strings.Cut(p.text, "\nIn all  "); ok {
		worst = max(worst, page{title: all}.level())
	}
	return worst
}

// follow holds that what a thread alarmed about has an end in the channel, and called somebody.
func (o *oracle) follow(t *thread) {
	p := o.p
	for _, m := range p.posted {
		if !slices.Contains(t.all, m) {
			continue
		}
		if m.first.mentions {
			t.mentions++
		}
		for n, l := range levels {
			switch worst := m.first.worst(); {
			case !m.inChannel():
			case worst >= l:
				t.bad[n], t.left[n] = true, -1
			case endWords.MatchString(m.first.title):
				t.bad[n] = false
			}
		}
	}
	worst, removal, takes, alone, others := stories.OK, false, true, true, stories.OK
	for name, c := range p.truth.CLBs {
		others = max(others, c.Level)
		if o.newest[name] != t {
			continue // it goes on elsewhere
		}
		worst = max(worst, c.Level)
		removal, takes = removal || c.Accepted, takes && o.takes(name)
		alone = alone && (c.Level < stories.Degraded || c.ByRemovals)
	}
	if takes && worst >= stories.Degraded && !alone && t.mentions == 0 {
		p.complain("%q is about what is %v, and mentions nobody", t.all[0].title, worst)
	}
	if t.root == nil { // which load balancers share a root cannot be read
		worst = others
	}
	for n, l := range levels {
		switch {
		case worst >= l:
			t.left[n] = -1
		case t.left[n] < 0:
			t.left[n] = p.minute
		}
		if t.bad[n] && removal && worst < l {
			t.bad[n] = false // nothing to announce
		}
		if t.bad[n] && takes && !p.world.Fails && t.left[n] >= 0 && p.minute-t.left[n] >= p.truth.Tenths(3) {
			p.complain("%q: the end of %v at minute %d is not in the channel", t.all[0].title, l, t.left[n])
			t.bad[n] = false
		}
	}
}

// blind holds that people know what cannot be read.
func (o *oracle) blind() {
	p := o.p
	says := func(pg page) bool { return strings.Contains(strings.ToLower(pg.title), "cannot read") }
	var last *seen
	for _, m := range p.channel {
		switch {
		case m.Thread == "" && says(m.page):
			last = m
		case !m.Bot && strings.Contains(m.title, "eadable again"):
			last = nil
		}
	}
	count := strconv.Itoa(len(p.truth.CLBs))
	o.toldBlind = o.toldBlind || last != nil
	blind := p.truth.Blind
	first := blind == 3 && last == nil && !o.toldBlind
	if first || blind >= 3 && p.bot || blind > p.truth.Stable {
		switch {
		case last == nil:
			p.complain("nothing can be read for %d minutes, and nothing says so", blind)
		case len(p.truth.CLBs) > 1 && !strings.Contains(last.title, count):
			p.complain("%q, but %s cannot be read", last.title, count)
		}
	}
	if p.truth.Seen > 0 && last != nil && last.Bot {
		p.complain("%q, but all can be read", last.title)
	}
	if seen := p.truth.Seen; seen >= p.truth.Tenths(3) && seen < p.minute && !p.bot && last != nil {
		p.complain("%q, and nothing says that all can be read again", last.title)
	}
}

// fresh holds that what was posted and edited this minute shows how things are now.
func (o *oracle) fresh() {
	for _, t := range o.threads {
		switch {
		case t.root == nil && len(t.all) == 1 && slices.Contains(o.p.posted, t.all[0]):
			o.shows(t, t.all[0].page)
		case t.root != nil && (slices.Contains(o.p.posted, t.root) || slices.Contains(o.p.edited, t.root)):
			o.shows(t, t.root.page)
		}
	}
}

// mine are the load balancers whose newest thread this is.
func (o *oracle) mine(t *thread) (open, closed []*stories.CLB) {
	for _, name := range slices.Sorted(maps.Keys(t.clbs)) {
		switch c := o.p.truth.CLBs[name]; {
		case o.newest[name] != t || c == nil: // it goes on elsewhere, or is not there any more
		case t.root != nil && c.Began > max(t.clbs[name], t.root.minute+o.p.truth.Tenths(3)):
			// it goes on where it has no line
		case c.Open:
			open = append(open, c)
		default:
			closed = append(closed, c)
		}
	}
	return open, closed
}

// all adds to the open load balancers of a thread those that must be in it, and have no line because there
// are too many.
func (o *oracle) all(t *thread, open []*stories.CLB, truncated bool) []*stories.CLB {
	if !truncated {
		return open
	}
	after := o.p.truth.Tenths(3)
	began := t.all[0].minute
	for name, c := range o.p.truth.CLBs {
		x := o.newest[name]
		elsewhere := x != nil && x != t && c.Began <= max(x.clbs[name], x.all[0].minute+after)
		if c.Open && !elsewhere && c.Began >= began && c.Began <= began+after && !slices.Contains(open, c) {
			open = append(open, c)
		}
	}
	return open
}

// out counts the machines of load balancers that are out, each once: those that fail their health check, or
// that do not run; only those that changed after a minute.
func (o *oracle) out(open []*stories.CLB, failing bool, after int) int {
	ids := make(map[string]bool)
	for _, c := range open {
		for id := range c.Pool {
			is := (c.Is(id) || c.Held[id]) && o.p.world.CLBs[c.Name][id].Failing == failing
			if is && (after < 0 || c.Changed[id] > after) {
				ids[id] = true
			}
		}
	}
	return len(ids)
}

// updates holds the numbers in the titles of updates against the model: of machines that are out now, all of
// them or those that changed since the message before.
func (o *oracle) updates(t *thread) {
	last := -1
	for n, m := range t.all {
		if n == 0 || !slices.Contains(o.p.posted, m) || o.p.world.Fails || m.first.ended() {
			last = max(last, m.minute)
			continue
		}
		open, _ := o.mine(t)
		open = o.all(t, open, slices.ContainsFunc(t.all, (*seen).truncated))
		for _, found := range titleCount.FindAllStringSubmatch(m.first.now(), -1) {
			failing := found[2] == "unhealthy"
			all, fresh := o.out(open, failing, -1), o.out(open, failing, last)
			if found[1] != strconv.Itoa(all) && found[1] != strconv.Itoa(fresh) {
				o.p.complain("%q, but %d are %s, %d of them since minute %d",
					m.first.title, all, found[2], fresh, last)
			}
		}
	}
}

// shows holds a root against how things are.
func (o *oracle) shows(t *thread, pg page) {
	if o.p.world.Fails || strings.Contains(strings.ToLower(pg.title), "read") && len(pg.clbs) == 0 {
		return
	}
	p := o.p
	open, closed := o.mine(t)
	if len(t.clbs) == 0 || !o.takesAll(t) {
		return
	}
	truncated := pg.more > 0
	open = o.all(t, open, truncated)
	worst, stopped, ill := stories.OK, o.out(open, false, -1), o.out(open, true, -1)
	for _, c := range open {
		worst = max(worst, c.Level)
		o.stands(c, pg, truncated)
		o.machines(c, pg, truncated)
	}
	if len(open) == 0 {
		o.over(t, pg, closed)
		return
	}
	if truncated && len(pg.clbs)+pg.more != len(t.clbs) && len(pg.clbs)+pg.more != len(open) {
		p.complain("%q shows %d and %d more load balancers of %d", pg.title, len(pg.clbs), pg.more, len(open))
	}
	if got := pg.level(); got != worst && (got >= stories.Degraded || worst >= stories.Degraded) {
		p.complain("%q shows %v, it is %v", pg.title, got, worst)
	}
	colors := [...]string{stories.OK: "", stories.Impaired: orange, stories.Degraded: red, stories.Down: red}
	want := colors[worst]
	if pg.color != want && (want != "" || pg.color == red || pg.color == orange || pg.color == green) {
		p.complain("%q is %s, want %q", pg.title, pg.color, want)
	}
	if pg.ended() || pg.struck {
		p.complain("%q looks closed, and is not", pg.title)
	}
	for _, found := range titleCount.FindAllStringSubmatch(pg.now(), -1) {
		want := stopped
		if found[2] == "unhealthy" {
			want = ill
		}
		if found[1] != strconv.Itoa(want) {
			p.complain("%q, but %d are %s", pg.title, want, found[2])
		}
	}
	o.counts(open, pg)
	if found := inTitle.FindStringSubmatch(pg.now()); found != nil && len(open) == 1 && len(t.clbs) == 1 {
		is := p.world.CLBs[open[0].Name]
		if found[1] != strconv.Itoa(running(is)) || found[2] != strconv.Itoa(len(is)) {
			p.complain("%q, but %d of %d run", pg.title, running(is), len(is))
		}
	}
}

// counts holds how many load balancers the title speaks of against how many there are.
func (o *oracle) counts(open []*stories.CLB, pg page) {
	if len(open) < 2 {
		return
	}
	for _, found := range counted.FindAllStringSubmatch(pg.now(), -1) {
		want := 0
		for _, c := range open {
			if strings.EqualFold(c.Level.String(), found[2]) {
				want++
			}
		}
		if found[1] != strconv.Itoa(want) {
			o.p.complain("%q, but %d load balancers are %s", pg.title, want, found[2])
		}
	}
	lost := 0
	for _, c := range open {
		if c.Out() > 0 {
			lost++
		}
	}
	found := onMany.FindStringSubmatch(pg.now())
	if found == nil || strings.Contains(pg.now(), "removed") || lost == 0 {
		return
	}
	if found[1] != strconv.Itoa(lost) {
		o.p.complain("%q, but it is about %d load balancers", pg.title, lost)
	}
}

func running(pool map[string]story.Backend) (n int) {
	for _, b := range pool {
		if b.Status == 2 {
			n++
		}
	}
	return n
}

// stands holds the line of a load balancer against how it is.
func (o *oracle) stands(c *stories.CLB, pg page, truncated bool) {
	p, is := o.p, o.p.world.CLBs[c.Name]
	s, ok := pg.of(c.Name)
	switch {
	case !ok && truncated:
	case !ok:
		p.complain("%s: %q does not say how it stands", c.Name, pg.title)
	case s.running >= 0 && (s.running != running(is) || s.total != len(is)):
		p.complain("%s: %q, but %d of %d run", c.Name, s.line, running(is), len(is))
	case s.running >= 0 && s.level != unknown && alarm(s.level) != alarm(c.Level):
		p.complain("%s: %q shows %v, it is %v", c.Name, s.line, s.level, c.Level)
	case s.ended && c.Open:
		p.complain("%s: %q looks closed, and is not", c.Name, s.line)
	}
}

// machines holds that each machine that is out is named or counted as out, and no other is.
func (o *oracle) machines(c *stories.CLB, pg page, truncated bool) {
	for id := range c.Pool {
		out, known := pg.machine(id)
		switch is := c.Is(id); {
		case c.Held[id]:
		case is && !known && !pg.counted(true) && !truncated:
			o.p.complain("%s: %q does not show that %s is out", c.Name, pg.title, id)
		case known && is != out && (is || c.Pool[id].Serves()):
			o.p.complain("%s: %q shows %s as out %v", c.Name, pg.title, id, out)
		}
	}
}

// over holds a root whose incidents are closed against how they ended.
func (o *oracle) over(t *thread, pg page, closed []*stories.CLB) {
	p := o.p
	if !pg.ended() {
		p.complain("%q looks open, and is not", pg.title)
	}
	if len(closed) < len(t.clbs) || len(closed) == 0 || pg.more > 0 {
		if pg.color == red {
			p.complain("%q is closed, and red", pg.title)
		}
		return
	}
	resolved, left := true, false
	for _, c := range closed {
		resolved, left = resolved && c.Resolved, left || c.Abandoned
	}
	switch {
	case pg.struck != resolved:
		p.complain("%q is struck through %v", pg.title, pg.struck)
	case (pg.color == green) != resolved, (pg.color == orange) != left, pg.color == red:
		p.complain("%q is %s, resolved %v", pg.title, pg.color, resolved)
	}
}

// calm holds that the channel shows how things are, once all is stable.
func (o *oracle) calm() {
	p := o.p
	if len(p.posted)+len(p.edited) == 0 && o.quiet > 3 && p.minute%60 != 0 {
		return
	}
	for _, t := range o.threads {
		if t.root != nil {
			o.shows(t, t.root.page)
		}
	}
	for name, c := range p.truth.CLBs {
		t := o.newest[name]
		if t == nil {
			if c.Open && !slices.ContainsFunc(o.threads, func(t *thread) bool {
				return slices.ContainsFunc(t.all, (*seen).truncated)
			}) {
				p.complain("%s: nothing in Slack is about it", name)
			}
			continue
		}
		if t.root != nil {
			continue
		}
		for id := range c.Pool { // by webhook the last word counts
			for _, m := range slices.Backward(t.all) {
				is := c.Is(id)
				out, known := m.machine(id)
				if known && is != out && (is || c.Pool[id].Serves()) {
					p.complain("%s: the last word about %s is out %v", name, id, out)
				}
				if known || m.counted(is) {
					break
				}
			}
		}
		for _, m := range slices.Backward(t.all) {
			s, ok := m.of(name)
			if !ok && m.more == 0 {
				continue
			}
			if !ok || s.level == unknown {
				break // it is one of those that have no room, or no word of their own
			}
			if is := p.world.CLBs[name]; s.running >= 0 && (s.running != running(is) || s.total != len(is)) {
				p.complain("%s: the last word is %q, but %d of %d run", name, s.line, running(is), len(is))
			}
			if alarm(s.level) != alarm(c.Level) {
				p.complain("%s: the last word is %q, it is %v", name, s.line, c.Level)
			}
			break
		}
	}
}
