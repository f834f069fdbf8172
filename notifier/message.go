// Package notifier tells people in Slack what happened: it turns alerts and reports into messages and posts them by
// incoming webhook. It decides nothing about what is news, and refuses to let text from the cloud become markup, a
// message exceed Slack's limits, or the webhook's URL reach an error.
package notifier

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/report"
	"clbwatch/internal/watch"
)

// From here on an alert is a table of load balancers: lines for each change would not be read.
const (
	massChanges = 60
	massPools   = 15
)

// maxText is how many characters of an error, or of what to do about it, are shown.
const maxText = 200

// look is the emoji and the colour of a message: they tell the state before a word is read.
type look struct{ emoji, color string }

// room is how much detail there is room for. It shrinks until the message is inside Slack's limits.
type room struct {
	lines int // changes of one load balancer
	pools int // load balancers, in each part of the message
}

// rooms are tried in turn. The last one fits whatever the names are; FuzzAlertMessage holds that.
func rooms() []room {
	rs := []room{{massChanges, massPools}, {20, massPools}, {10, massPools}, {6, massPools}, {4, massPools}}
	for n := massPools - 1; n > 0; n-- {
		rs = append(rs, room{min(n, 4), n})
	}
	return rs
}

// Style is what people set about messages.
type Style struct {
	Mention   string // who is mentioned when it is bad: the ID of a user or user group, or "here", "channel", "everyone"; "" for nobody
	MentionAt int    // percent of a load balancer's weight lost from which it is bad, 1 to 100
}

// AlertMessage is the message that tells an alert: what is worst in the title, then each load balancer, as far as there
// is room, and always how much more there is.
func AlertMessage(a watch.Alert, s Style) Message {
	p, events := alertPage(a, true)
	p.mention = s.mention(a)
	return p.message(func(r room) []block { return alertBlocks(a, events, r, nil) })
}

// ReplyMessage is the message that tells later news of open incidents, in their thread t, which has the news in it. What
// made it much worse must be seen in the channel too.
func ReplyMessage(t watch.Thread, a watch.Alert, s Style) Message {
	p, events := alertPage(a, true)
	p.mention = s.mention(a)
	if !t.Open() && len(t.Course) > 1 {
		p.after = "all " + report.Plural(len(t.Course), "load balancer") + " of this thread are well again"
	}
	m := p.message(func(r room) []block { return alertBlocks(a, events, r, nil) })
	m.Broadcast = slices.ContainsFunc(a.Pools, func(p watch.PoolNews) bool { return p.Fell(muchPercent) })
	return m
}

// ThreadMessage is the first message of a thread as it is edited: with how its incidents stand now or, when all are over,
// struck through and green. It mentions nobody: an edit reaches nobody.
func ThreadMessage(t watch.Thread) Message {
	p, events := alertPage(t.Alert, false)
	var longest time.Duration
	var open []watch.Course
	p.look = look{"large_orange_circle", "#e8912d"}
	for _, c := range t.Course {
		if !c.Over.IsZero() {
			longest = max(longest, c.Over.Sub(c.Since))
			continue
		}
		open = append(open, c)
		if c.Running == 0 || much(c.Lost()) {
			p.look = look{"red_circle", "#a30200"}
		}
	}
	switch {
	case len(open) == 0:
		p.look, p.struck, p.after = look{"large_green_circle", "#2eb886"}, true, "resolved after "+duration(longest)
	case len(t.Course) == 1:
		p.after = fmt.Sprintf("now %d of %d running", open[0].Running, open[0].Total)
	default:
		p.after = fmt.Sprintf("still open on %d of %d load balancers", len(open), len(t.Course))
	}
	return p.message(func(r room) []block { return alertBlocks(t.Alert, events, r, t.Course) })
}

// alertPage is the head of a message about an alert.
func alertPage(a watch.Alert, capacity bool) (page, []event) {
	events := eventsOf(a)
	n := tally(a, events)
	return page{
		look:    alertLook(a, events, n),
		title:   alertTitle(a, events, n, capacity),
		url:     linkFor(alertCLBs(a), a.More.CLBs+a.MoreBlind+a.MoreSighted),
		context: alertContext(a),
		named:   alertNames(a),
	}, events
}

// alertBlocks are the details; course is how the incidents went on, nil in the first message.
func alertBlocks(a watch.Alert, events []event, r room, course map[string]watch.Course) []block {
	return slices.Concat(poolBlocks(a, events, r, course), blindBlocks(a, r), sightedBlocks(a, r), baselineBlocks(a.Baseline, r))
}

// mention is who must be mentioned; "" for nobody.
func (s Style) mention(a watch.Alert) string {
	if s.Mention != "" && slices.ContainsFunc(a.Pools, func(p watch.PoolNews) bool { return p.Fell(s.MentionAt) }) {
		return s.Mention
	}
	return ""
}

// muchPercent is from how many percent of its weight lost a load balancer's news is red, and not only orange.
const muchPercent = 50

func much(lost, all int) bool { return all > 0 && lost*100 >= muchPercent*all }

// testMessage says that alerts will arrive where it is read.
func testMessage(now time.Time) Message {
	p := page{
		look:    look{"wave", "#2eb886"},
		title:   "clbwatch is connected: alerts will arrive here",
		url:     console,
		context: []string{dateMark(now), "test message"},
	}
	return p.message(func(room) []block {
		return []block{{line(text("This is a test; nothing happened. You will be told when a backend is added, removed, stops running or recovers, and when a load balancer cannot be read."))}}
	})
}

func alertLook(a watch.Alert, events []event, n map[watch.Kind]int) look {
	bad := make(map[int]bool)
	for _, e := range events {
		for _, i := range e.pools {
			bad[i] = bad[i] || e.kind == watch.LeftRunning || e.kind == watch.Removed
		}
	}
	red := len(deadPools(a)) > 0
	for i, p := range a.Pools {
		red = red || (bad[i] || len(p.Changes) < p.Counts.Total()) && much(p.Lost())
	}
	switch {
	case red:
		return look{"red_circle", "#a30200"}
	case n[watch.LeftRunning] > 0:
		return look{"large_orange_circle", "#e8912d"}
	case n[watch.Removed] > 0:
		return look{"large_yellow_circle", "#daa038"}
	case len(a.Blind)+a.MoreBlind > 0:
		return look{"warning", "#daa038"}
	case n[watch.Added]+n[replaced]+n[cameAndWent] > 0:
		return look{"large_blue_circle", "#439fe0"}
	case n[watch.Recovered]+n[wasOut]+n[wasUnbound] > 0, len(a.Sighted)+a.MoreSighted > 0:
		return look{"large_green_circle", "#2eb886"}
	default:
		return look{"eyes", "#439fe0"}
	}
}

// alertTitle says everything the alert is about, the worst first; with capacity, also how one load balancer stands.
func alertTitle(a watch.Alert, events []event, counts map[watch.Kind]int, capacity bool) string {
	var parts []string
	// say adds a part that begins with a word of ours, which is capital at the beginning of the title.
	say := func(word, rest string) {
		if len(parts) == 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		parts = append(parts, word+rest)
	}
	changes := changesTitle(a, events, counts, capacity)
	serious := counts[watch.LeftRunning]+counts[watch.Removed] > 0
	if changes != "" && serious {
		parts = append(parts, changes)
	}
	if n := len(a.Blind) + a.MoreBlind; n > 0 {
		say("cannot", " read "+oneOrMany(n, a.Blind, func(b watch.Blind) watch.CLB { return b.CLB }))
	}
	if changes != "" && !serious {
		parts = append(parts, changes)
	}
	if n := len(a.Sighted) + a.MoreSighted; n > 0 {
		say("readable", " again: "+oneOrMany(n, a.Sighted, func(s watch.Sighted) watch.CLB { return s.CLB }))
	}
	if b := a.Baseline; b != nil {
		rest := " watching " + oneOrMany(b.CLBs, b.Pools, func(p watch.PoolNews) watch.CLB { return p.CLB })
		if len(parts) == 0 {
			rest += fmt.Sprintf(": %d of %s running", b.Running, report.Plural(b.Backends, "backend"))
		}
		say("now", rest)
	}
	return strings.Join(parts, " · ")
}

// oneOrMany names the load balancer if there is one, and counts them if there are more.
func oneOrMany[T any](n int, s []T, clb func(T) watch.CLB) string {
	if n == 1 && len(s) == 1 {
		return report.Name(clb(s[0]))
	}
	return report.Plural(n, "load balancer")
}

// changesTitle says what happened to backends; "" if nothing did.
func changesTitle(a watch.Alert, events []event, n map[watch.Kind]int, capacity bool) string {
	_, clbs := a.Totals()
	if clbs == 0 {
		return ""
	}
	where := oneOrMany(clbs, a.Pools, func(p watch.PoolNews) watch.CLB { return p.CLB })
	total := 0
	for _, k := range n {
		total += k
	}
	after := ""
	if capacity {
		after = capacityAfter(a)
	}
	if total == 1 && len(events) == 1 && len(events[0].pools) == clbs {
		return report.BackendName(events[0].b) + " " + eventTitle(events[0], where) + after
	}
	var kinds []watch.Kind
	for _, k := range slices.SortedFunc(maps.Keys(rank), func(k, o watch.Kind) int { return cmp.Compare(rank[k], rank[o]) }) {
		if n[k] > 0 {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 1 {
		return report.Plural(total, "backend") + " " + word(kinds[0]) + preposition(kinds[0]) + where + after
	}
	var says []string
	for _, k := range kinds {
		says = append(says, fmt.Sprintf("%d %s", n[k], word(k)))
	}
	return strings.Join(says, ", ") + " on " + where + after
}

func eventTitle(e event, where string) string {
	s := word(e.kind) + preposition(e.kind) + where
	switch e.kind {
	case watch.LeftRunning, watch.Added:
		return s + ": " + e.b.Status.String()
	case replaced:
		if !e.b.Running() {
			return s + ": " + e.b.Status.String()
		}
	case wasOut:
		return "was out for " + duration(e.at.Sub(e.out.Since)) + " on " + where + ", and is back"
	case watch.Recovered:
		if out := outFor(e); out != "" {
			return s + " " + out
		}
	}
	return s
}

func preposition(k watch.Kind) string {
	switch k {
	case watch.Removed:
		return " from "
	case watch.Added:
		return " to "
	}
	return " on "
}

// capacityAfter adds to a title what is left: of one load balancer how much runs, of several those where nothing does.
func capacityAfter(a watch.Alert) string {
	if none := noneRunning(a); none != "" {
		return none
	}
	if _, clbs := a.Totals(); clbs != 1 || len(a.Pools) != 1 || a.Pools[0].Total == 0 {
		return ""
	}
	p := a.Pools[0]
	switch {
	case p.Running == p.Total && p.Counts.LeftRunning+p.Counts.Recovered > 0 && p.Total > 1:
		return fmt.Sprintf(", all %d running", p.Total)
	case p.Running == p.Total && p.Counts.Removed > p.Counts.Added:
		return fmt.Sprintf(", %d left", p.Total)
	case p.Running == p.Total:
		return ""
	}
	return fmt.Sprintf(", %d of %d running", p.Running, p.Total)
}

// noneRunning adds to a title what makes an outage of a change: load balancers that lost their last running backend.
func noneRunning(a watch.Alert) string {
	dead := deadPools(a)
	if len(dead) == 0 {
		return ""
	}
	if len(dead) > 1 {
		atLeast := ""
		if a.More.CLBs > 0 {
			atLeast = "at least "
		}
		return fmt.Sprintf(", none running on %s%d of them", atLeast, len(dead))
	}
	s := ", none running"
	if dead[0].Total == 0 {
		s = ", no backends left"
	}
	if _, clbs := a.Totals(); clbs > 1 {
		s += " on " + report.Name(dead[0].CLB)
	}
	return s
}

// deadPools are the load balancers, of those the alert names, that lost their last running backend.
func deadPools(a watch.Alert) []watch.PoolNews {
	return slices.DeleteFunc(slices.Clone(a.Pools), func(p watch.PoolNews) bool {
		return p.Running > 0 || p.Counts.LeftRunning+p.Counts.Removed == 0
	})
}

// word is a kind where it is counted or part of a sentence: "2 left running" would be read as "2 still run".
func word(k watch.Kind) string {
	switch k {
	case watch.LeftRunning:
		return "stopped running"
	case cameAndWent:
		return "added and removed again"
	case wasUnbound:
		return "removed and added again"
	case wasOut:
		return "out and back"
	}
	return string(k)
}

// alertCLBs are the load balancers the alert names, in order.
func alertCLBs(a watch.Alert) []watch.CLB {
	var all []watch.CLB
	for _, p := range a.Pools {
		all = append(all, p.CLB)
	}
	for _, b := range a.Blind {
		all = append(all, b.CLB)
	}
	for _, s := range a.Sighted {
		all = append(all, s.CLB)
	}
	if a.Baseline != nil {
		for _, p := range a.Baseline.Pools {
			all = append(all, p.CLB)
		}
	}
	return all
}

// linkFor leads to the load balancer if there is only one, else to all of them.
func linkFor(clbs []watch.CLB, more int) string {
	if len(clbs) == 0 || more > 0 || slices.ContainsFunc(clbs, func(c watch.CLB) bool { return c.Key() != clbs[0].Key() }) {
		return console
	}
	return consoleURL(clbs[0])
}

// alertNames names the first load balancers, for the notification on a phone; "" if the title does already.
func alertNames(a watch.Alert) string {
	_, clbs := a.Totals()
	if clbs < 2 || len(a.Pools) < 2 {
		return ""
	}
	shown := min(3, len(a.Pools))
	var names []string
	for _, p := range a.Pools[:shown] {
		names = append(names, report.Name(p.CLB))
	}
	if clbs > shown {
		names = append(names, fmt.Sprintf("+%d more", clbs-shown))
	}
	return strings.Join(names, ", ")
}

func alertContext(a watch.Alert) []string {
	when := dateMark(a.To)
	if a.To.Sub(a.From) >= time.Minute && !a.From.IsZero() {
		when = dateMark(a.From) + " – " + when
	}
	return []string{regionsOf(alertCLBs(a)), when, "alert `" + cmp.Or(token(a.ID), "-") + "`"}
}

// regionsOf names at most three regions.
func regionsOf(clbs []watch.CLB) string {
	set := make(map[string]bool)
	for _, c := range clbs {
		if r := token(c.Region); r != "" {
			set[r] = true
		}
	}
	all := slices.Sorted(maps.Keys(set))
	if len(all) > 3 {
		return strings.Join(all[:3], ", ") + fmt.Sprintf(" +%d more", len(all)-3)
	}
	return strings.Join(all, ", ")
}

// scene is what happened to the same load balancers.
type scene struct {
	pools  []int
	events []event
}

// scenes groups events by the load balancers they are on, in the order of the first of those, the shared ones first.
func scenes(a watch.Alert, events []event) []scene {
	var all []scene
	at := make(map[string]int)
	told := make(map[int]bool)
	for _, e := range events {
		key := fmt.Sprint(e.pools)
		n, ok := at[key]
		if !ok {
			n = len(all)
			at[key], all = n, append(all, scene{pools: e.pools})
		}
		all[n].events = append(all[n].events, e)
		for _, i := range e.pools {
			told[i] = true
		}
	}
	for i := range a.Pools {
		if !told[i] {
			all = append(all, scene{pools: []int{i}}) // its changes were cut
		}
	}
	slices.SortStableFunc(all, func(s, o scene) int {
		return cmp.Or(cmp.Compare(s.pools[0], o.pools[0]), cmp.Compare(len(o.pools), len(s.pools)))
	})
	return all
}

// poolBlocks tell what happened on each load balancer.
func poolBlocks(a watch.Alert, events []event, r room, course map[string]watch.Course) []block {
	c, clbs := a.Totals()
	if clbs == 0 {
		return nil
	}
	var blocks []block
	headed := make(map[int]bool)
	if c.Total() > massChanges || clbs > massPools {
		shown := min(r.pools, len(a.Pools))
		blocks = []block{{pre(massTable(a, shown))}}
		for i := range shown {
			headed[i] = true
		}
	} else {
		for _, s := range scenes(a, events) { // only few: more are a table
			if len(headed) < r.pools || headed[s.pools[0]] {
				blocks = append(blocks, sceneBlock(s, a, r, headed, course))
			}
		}
	}
	if more := clbs - len(headed); more > 0 {
		left := a.More.Counts
		for i, p := range a.Pools {
			if !headed[i] {
				left = left.Plus(p.Counts)
			}
		}
		blocks = append(blocks, block{line(text(fmt.Sprintf("… and %s with %s", report.Plural(more, "more load balancer"), report.Plural(left.Total(), "change"))))})
	}
	return blocks
}

// maxShared is how many load balancers that share an event are shown with how they stand; the others are counted.
const maxShared = 6

func sceneBlock(s scene, a watch.Alert, r room, headed map[int]bool, course map[string]watch.Course) block {
	var b block
	cut := 0 // changes that the alert has no room to name
	for n, i := range s.pools {
		p := a.Pools[i]
		switch {
		case n >= min(maxShared, r.pools) && n > 0:
		case headed[i]:
			b = append(b, line(named(p.CLB)...))
		default:
			b = append(b, poolLine(p, course))
			cut += p.Counts.Total() - len(p.Changes)
		}
		headed[i] = true
	}
	if more := len(s.pools) - len(b); more > 0 {
		b = append(b, line(text(fmt.Sprintf("and %s", report.Plural(more, "more load balancer")))))
	}
	shown := s.events[:min(r.lines, len(s.events))]
	for len(shown) > 0 {
		head := heading(shown[0], a)
		n := 1
		for n < len(shown) && shown[n].kind == shown[0].kind && slices.Equal(heading(shown[n], a), head) {
			n++
		}
		var rows [][]string
		for _, e := range shown[:n] {
			rows = append(rows, row(e))
		}
		if lines := report.Columns(rows, 2); n == 1 {
			b = append(b, line(append([]span{{text: lines[0], code: true}, text("  ")}, head...)...))
		} else {
			b = append(b, line(head...), pre(lines))
		}
		shown = shown[n:]
	}
	if more := len(s.events) - min(r.lines, len(s.events)) + cut; more > 0 {
		b = append(b, line(text(fmt.Sprintf("… and %s", report.Plural(more, "more change")))))
	}
	return b
}

// poolLine says how a load balancer stands: after the news or, where its incident went on since, now.
func poolLine(p watch.PoolNews, course map[string]watch.Course) part {
	says := append(named(p.CLB), text("  ·  "))
	c, followed := course[p.CLB.Key()]
	switch {
	case !followed:
		lost, all := p.Lost()
		how := "out"
		if p.Counts.Removed > 0 {
			how = "lost"
		}
		return line(append(says, capacityOf(p.Capacity, lost, all, how, p.Counts.LeftRunning+p.Counts.Removed > 0)...)...)
	case !c.Over.IsZero():
		return line(append(says, text(fmt.Sprintf("%d of %d running  ·  out ", c.Running, c.Total)), date(c.Since), text(" – "), clock(c.Over),
			text(" ("+duration(c.Over.Sub(c.Since))+")"))...)
	}
	lost, all := c.Lost()
	says = append(append(says, text("now ")), capacityOf(c.Capacity, lost, all, "out", true)...)
	if n := c.Later.Total(); n > 0 {
		says = append(says, text("  ·  "+report.Plural(n, "later change")+" in the thread"))
	}
	return line(says...)
}

// capacityOf says how much runs, how much of the weight does not and, in words, when it is the last one or none.
func capacityOf(c watch.Capacity, lost, all int, how string, bad bool) []span {
	s := fmt.Sprintf("%d of %d running", c.Running, c.Total)
	if lost > 0 && c.Running > 0 {
		s += ", " + percent(lost, all) + " of weight " + how
	}
	says := []span{text(s)}
	switch {
	case c.Total == 0 && bad:
		says = append(says, bold("  ·  no backends left"))
	case c.Running == 0 && c.Total > 0:
		says = append(says, bold("  ·  none running"))
	case c.Running == 1 && bad && c.Total > 0:
		says = append(says, bold("  ·  last one running"))
	}
	return says
}

// percent is a share that is neither nothing nor all unless it is.
func percent(part, all int) string {
	switch p := (part*100 + all/2) / all; {
	case p == 0:
		return "less than 1 %"
	case p == 100 && part < all:
		return "more than 99 %"
	default:
		return fmt.Sprintf("%d %%", p)
	}
}

// heading says what happened and why, and when if that was not just now.
func heading(e event, a watch.Alert) []span {
	s := string(e.kind)
	switch e.kind {
	case watch.LeftRunning, watch.Added:
		s += ": " + why(e.b.Status)
	case watch.Removed:
		if !e.b.Running() && e.b.Status != 0 {
			s += ", was " + e.b.Status.String()
		}
	case replaced:
		if !e.b.Running() {
			s += ": " + why(e.b.Status)
		}
	case wasOut:
		// It is told late, or it would have been told in two messages.
		return []span{bold("left running and recovered"), text(", out for " + duration(e.at.Sub(e.out.Since)) + ": "), date(e.out.Since), text(" – "), clock(e.at)}
	case watch.Recovered:
		if out := outFor(e); out != "" {
			s += " " + out
		}
		s += ", was " + e.was.String()
	}
	kind, rest := s[:len(e.kind)], s[len(e.kind):]
	says := []span{bold(kind)}
	if rest != "" {
		says = append(says, text(rest))
	}
	switch {
	case !e.after.IsZero():
		says = append(says, text(", some time between "), date(e.after), text(" and "), date(e.at))
	case a.To.Sub(e.at) >= time.Minute:
		says = append(says, text(", seen "), date(e.at))
	}
	return says
}

// why is a status in words, and what is to be expected of it.
func why(s watch.Status) string {
	switch s {
	case 5, 6:
		return s.String() + ": will not come back"
	case 7, 8:
		return s.String() + ": usually minutes"
	}
	return s.String()
}

// row is which backend it is.
func row(e event) []string {
	name := report.BackendName(e.b)
	if e.kind == replaced {
		if old := report.BackendName(e.old); old != name {
			return []string{old + " → " + name, report.Address(e.b)}
		}
		return []string{name, report.Clean(e.old.ID, 20) + " → " + report.Clean(e.b.ID, 20)}
	}
	return []string{name, report.Address(e.b)}
}

// outFor says for how long a recovered backend was out; "" if that is not known.
func outFor(e event) string {
	if e.out == nil {
		return ""
	}
	about := "after "
	switch {
	case e.out.AtLeast && e.after.IsZero():
		about = "after at least "
	case e.out.AtLeast:
		about = "after about "
	case !e.after.IsZero():
		about = "after at most "
	}
	return about + duration(e.at.Sub(e.out.Since))
}

func duration(d time.Duration) string {
	minutes := int(d.Round(time.Minute) / time.Minute)
	switch h := minutes / 60; {
	case minutes < 1:
		return "less than 1 min"
	case h < 1:
		return fmt.Sprintf("%d min", minutes)
	case h < 48:
		return strings.TrimSuffix(fmt.Sprintf("%d h %d min", h, minutes%60), " 0 min")
	default:
		return strings.TrimSuffix(fmt.Sprintf("%d d %d h", h/24, h%24), " 0 h")
	}
}

// massTable says how the worst load balancers stand, and how many changes of the worst kind each has. The title counts all
// kinds; a column for each would be too wide for a phone.
func massTable(a watch.Alert, shown int) []string {
	c, _ := a.Totals()
	head, count := "recovered", func(c watch.Counts) int { return c.Recovered }
	switch {
	case c.LeftRunning > 0:
		head, count = "stopped", func(c watch.Counts) int { return c.LeftRunning }
	case c.Removed > 0:
		head, count = "removed", func(c watch.Counts) int { return c.Removed }
	case c.Added > 0:
		head, count = "added", func(c watch.Counts) int { return c.Added }
	}
	rows := [][]string{append(tableHead(), head)}
	for _, p := range a.Pools[:shown] {
		rows = append(rows, append(tableRow(p.CLB, p.Running, p.Total), fmt.Sprint(count(p.Counts))))
	}
	return report.Columns(rows, 1)
}

// tableHead and tableRow begin the rows of a table of load balancers. It is narrow: phones wrap what is not.
func tableHead() []string { return []string{"load balancer", "running"} }

func tableRow(c watch.CLB, running, total int) []string {
	return []string{report.Clean(report.Name(c), 28), fmt.Sprintf("%d of %d", running, total)}
}

// blindBlocks tell what cannot be read: in one block what has the same remedy, in one line of it what failed together.
func blindBlocks(a watch.Alert, r room) []block {
	left := len(a.Blind) + a.MoreBlind
	if left == 0 {
		return nil
	}
	room := min(r.pools, 6) // blocks, lines in each, and names in each line
	remedy := func(b watch.Blind) string { return cmp.Or(b.Do, b.Why) }
	groups := group(a.Blind, func(b, o watch.Blind) bool { return remedy(b) == remedy(o) })
	var blocks []block
	for _, alike := range groups[:min(room, len(groups))] {
		lines := group(alike, func(b, o watch.Blind) bool {
			return b.Since.Equal(o.Since) && b.LastGood.Equal(o.LastGood) && b.Ticks == o.Ticks
		})
		var b block
		for _, l := range lines[:min(room, len(lines))] {
			b = append(b, blindLine(l, room))
			left -= min(len(l), room)
		}
		if why := report.Clean(alike[0].Why, maxText); why != "" {
			b = append(b, pre([]string{why}))
		}
		if len(blocks) == 0 {
			b = append(b, line(bold("What it means"), text("  Changes on what cannot be read are "), bold("not"), text(" being detected. The last known state is kept; what changes meanwhile is told after the next good reading.")))
		}
		if do := report.Clean(alike[0].Do, maxText); do != "" {
			b = append(b, line(bold("What to do"), text("  "+do)))
		}
		blocks = append(blocks, b)
	}
	if left > 0 {
		blocks = append(blocks, block{line(text(fmt.Sprintf("… and %s that cannot be read", report.Plural(left, "more load balancer"))))})
	}
	return blocks
}

// group puts together what is the same, in the order of the first of each.
func group(all []watch.Blind, same func(b, o watch.Blind) bool) [][]watch.Blind {
	var groups [][]watch.Blind
	for _, b := range all {
		i := slices.IndexFunc(groups, func(g []watch.Blind) bool { return same(g[0], b) })
		if i < 0 {
			i, groups = len(groups), append(groups, nil)
		}
		groups[i] = append(groups[i], b)
	}
	return groups
}

// blindLine says since when load balancers that failed together cannot be read.
func blindLine(together []watch.Blind, room int) part {
	b := together[0]
	says := named(b.CLB)
	if len(together) > 1 {
		says = nil
		for i, o := range together[:min(room, len(together))] {
			if i > 0 {
				says = append(says, text(", "))
			}
			says = append(says, named(o.CLB)[0])
		}
		if len(together) > room {
			says = append(says, text(" and others")) // counted once, at the end
		}
	}
	failed := "the reading failed"
	if b.Ticks > 1 {
		failed = fmt.Sprintf("%d readings in a row failed", b.Ticks)
	}
	says = append(says, text("  ·  cannot be read since "), date(b.Since), text(", "+failed+"  ·  "))
	switch {
	case b.LastGood.IsZero():
		says = append(says, text("never read before"))
	case b.Since.Sub(b.LastGood) < 12*time.Hour:
		says = append(says, text("last good reading "), clock(b.LastGood))
	default:
		says = append(says, text("last good reading "), date(b.LastGood))
	}
	return line(says...)
}

// sightedBlocks tell what can be read again.
func sightedBlocks(a watch.Alert, r room) []block {
	if len(a.Sighted)+a.MoreSighted == 0 {
		return nil
	}
	shown := a.Sighted[:min(r.pools, len(a.Sighted))]
	var b block
	for _, s := range shown {
		from := s.LastGood
		if from.IsZero() {
			from = s.Since
		}
		found := "nothing changed meanwhile"
		if s.Changes > 0 {
			found = report.Plural(s.Changes, "change") + " found in between"
		}
		b = append(b, line(append(named(s.CLB), text("  ·  readable again, gap "), date(from), text(" – "), clock(s.At),
			text(fmt.Sprintf(" (%s)  ·  %s", duration(s.At.Sub(from)), found)))...))
	}
	if more := len(a.Sighted) - len(shown) + a.MoreSighted; more > 0 {
		b = append(b, line(text(fmt.Sprintf("… and %s", report.Plural(more, "more load balancer")))))
	}
	return []block{b}
}

// baselineBlocks tell what is watched from now on.
func baselineBlocks(base *watch.Baseline, r room) []block {
	if base == nil {
		return nil
	}
	const from = "This is where watching begins; changes from here on are told."
	if base.CLBs == 1 && len(base.Pools) == 1 {
		p := base.Pools[0]
		return []block{{line(append(named(p.CLB), text(fmt.Sprintf("  ·  %d of %d running", p.Running, p.Total)))...), line(text(from))}}
	}
	b := block{line(text(from))}
	// The worst few, and all that have backends not running: rows of zeros are noise.
	notWhole := len(slices.DeleteFunc(slices.Clone(base.Pools), func(p watch.PoolNews) bool { return p.Running == p.Total }))
	shown := min(r.pools, max(notWhole, 3), len(base.Pools))
	rows := [][]string{tableHead()}
	out := base.Backends - base.Running
	for _, p := range base.Pools[:shown] {
		rows = append(rows, tableRow(p.CLB, p.Running, p.Total))
		out -= p.Total - p.Running
	}
	lines := report.Columns(rows, 1)
	if more := base.CLBs - shown; more > 0 && out == 0 {
		lines = append(lines, fmt.Sprintf("… and %d more, all running", more))
	} else if more > 0 {
		lines = append(lines, fmt.Sprintf("… and %s", report.Plural(more, "more load balancer")))
	}
	return []block{append(b, pre(lines))}
}
