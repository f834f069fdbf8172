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

	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
	"clbwatch/internal/watch"
)

// From here on an alert is a table of load balancers: lines for each change would not be read.
const (
	massChanges = 60
	massPools   = 15
)

// How many characters are shown.
const (
	maxText  = 200 // of an error, or of what to do about it
	maxTitle = 250 // of what an alert is about: the details say the rest
	maxType  = 12  // of what a backend is
)

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
		p.after = "all " + text.Plural(len(t.Course), "load balancer") + " of this thread are well again"
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
	none := ""
	for _, news := range t.Alert.Pools {
		if c, ok := t.Course[news.CLB.Key()]; ok && c.Over.IsZero() && c.Running > 0 && stillBare(news, c) != nil {
			p.look, none = look{"red_circle", "#a30200"}, ", "+noneServes(news.Bare, "", false)
		}
	}
	for _, c := range t.Course {
		if !c.Over.IsZero() {
			longest = max(longest, c.Over.Sub(c.Since))
			continue
		}
		open = append(open, c)
		if c.Running == 0 || much(c.NotServing()) {
			p.look = look{"red_circle", "#a30200"}
		}
	}
	switch {
	case len(open) == 0:
		p.look, p.struck, p.after = look{"large_green_circle", "#2eb886"}, true, "resolved after "+text.Duration(longest)
	case len(t.Course) == 1:
		p.after = "now " + running(open[0].Capacity) + none
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
		title:   text.Clean(alertTitle(a, events, n, capacity), maxTitle),
		url:     linkFor(alertCLBs(a), a.More.CLBs+a.MoreBlind+a.MoreSighted+a.MoreCLBs+len(fated(a, watch.Deleted))), // what is deleted has no page
		context: alertContext(a),
		named:   alertNames(a),
	}, events
}

// alertBlocks are the details; course is how the incidents went on, nil in the first message.
func alertBlocks(a watch.Alert, events []event, r room, course map[string]watch.Course) []block {
	return slices.Concat(poolBlocks(a, events, r, course), fateBlocks(a, r), blindBlocks(a, r), sightedBlocks(a, r), baselineBlocks(a.Baseline, r))
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

func alertLook(a watch.Alert, events []event, n map[lb.Kind]int) look {
	bad := make(map[int]bool)
	for _, e := range events {
		for _, i := range e.pools {
			bad[i] = bad[i] || costs(e.kind)
		}
	}
	red := len(deadPools(a)) > 0
	for i, p := range a.Pools {
		red = red || p.Bare != nil || (bad[i] || len(p.Changes) < p.Counts.Total()) && much(p.Lost())
	}
	switch {
	case red:
		return look{"red_circle", "#a30200"}
	case n[lb.LeftRunning]+n[lb.Unhealthy] > 0:
		return look{"large_orange_circle", "#e8912d"}
	case n[lb.Removed]+n[lb.Unbound] > 0, len(fated(a, watch.Deleted))+len(fated(a, watch.Unmatched))+a.MoreCLBs > 0:
		return look{"large_yellow_circle", "#daa038"}
	case len(a.Blind)+a.MoreBlind > 0:
		return look{"warning", "#daa038"}
	case n[lb.Added]+n[lb.Bound]+n[replaced]+n[rebound]+n[cameAndWent] > 0, len(fated(a, watch.Migrated)) > 0:
		return look{"large_blue_circle", "#439fe0"}
	case n[lb.Recovered]+n[lb.Healthy]+n[wasOut]+n[wasIll]+n[wasUnbound] > 0, len(a.Sighted)+a.MoreSighted > 0:
		return look{"large_green_circle", "#2eb886"}
	default:
		return look{"eyes", "#439fe0"}
	}
}

// alertTitle says everything the alert is about, the worst first; with capacity, also how one load balancer stands.
func alertTitle(a watch.Alert, events []event, counts map[lb.Kind]int, capacity bool) string {
	var parts []string
	// say adds a part that begins with a word of ours, which is capital at the beginning of the title.
	say := func(word, rest string) {
		if len(parts) == 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		parts = append(parts, word+rest)
	}
	changes := changesTitle(a, events, counts, capacity)
	serious := false
	for k, n := range counts {
		serious = serious || n > 0 && costs(k)
	}
	if serious {
		parts = append(parts, changes)
	}
	parts = append(parts, nonEmpty([]string{fateTitle(a, watch.Deleted), fateTitle(a, watch.Unmatched)})...)
	verbs, unread := objects(a.Blind, a.MoreBlind, func(b watch.Blind) (lb.CLB, string) { return b.CLB, b.What })
	for i, verb := range verbs {
		say("cannot", " "+verb+" "+unread[i])
	}
	if changes != "" && !serious {
		parts = append(parts, changes)
	}
	parts = append(parts, nonEmpty([]string{fateTitle(a, watch.Migrated)})...)
	if _, read := objects(a.Sighted, a.MoreSighted, func(s watch.Sighted) (lb.CLB, string) { return s.CLB, s.What }); len(read) > 0 {
		say("readable", " again: "+strings.Join(read, ", "))
	}
	if b := a.Baseline; b != nil {
		rest := " watching " + oneOrMany(b.CLBs, b.Pools, func(p watch.PoolNews) lb.CLB { return p.CLB })
		if len(parts) == 0 {
			rest += fmt.Sprintf(": %d of %s running", b.Running, text.Plural(b.Backends, "backend"))
		}
		say("now", rest)
	}
	return strings.Join(parts, " · ")
}

// oneOrMany names the load balancer if there is one, and counts them if there are more.
func oneOrMany[T any](n int, s []T, clb func(T) lb.CLB) string {
	if n == 1 && len(s) == 1 {
		return report.Name(clb(s[0]))
	}
	return text.Plural(n, "load balancer")
}

// changesTitle says what happened to backends; "" if nothing did.
func changesTitle(a watch.Alert, events []event, n map[lb.Kind]int, capacity bool) string {
	_, clbs := a.Totals()
	if clbs == 0 {
		return ""
	}
	where := oneOrMany(clbs, a.Pools, func(p watch.PoolNews) lb.CLB { return p.CLB })
	total := 0
	for _, k := range n {
		total += k
	}
	after := ""
	if capacity {
		after = capacityAfter(a, n)
	}
	if total == 1 && len(events) == 1 && len(events[0].pools) == clbs {
		return report.BackendName(events[0].b) + " " + eventTitle(events[0], where) + after
	}
	var says []string
	only := lb.Kind("") // if there is one
	for _, k := range kinds {
		if n[k] > 0 {
			only = k
			says = append(says, fmt.Sprintf("%d %s", n[k], word(k)))
		}
	}
	if len(says) > 1 {
		return strings.Join(says, ", ") + " on " + where + after
	}
	what := word(only)
	if total == len(events) && !slices.ContainsFunc(events, func(e event) bool { return e.bindings() != events[0].bindings() }) {
		what = events[0].word()
	}
	return text.Plural(total, "backend") + " " + what + preposition(only) + where + after
}

func eventTitle(e event, where string) string {
	s := e.word() + preposition(e.kind) + where
	switch e.kind {
	case lb.LeftRunning, lb.Added:
		return s + ": " + status(e.b)
	case lb.Unhealthy:
		if e.part != nil {
			return s + ": fails " + report.OutOf(e.part, "check")
		}
	case replaced:
		if !e.b.Running() {
			return s + ": " + status(e.b)
		}
	case wasOut:
		return "was out for " + text.Duration(e.at.Sub(e.out.Since)) + " on " + where + ", and is back"
	case wasIll:
		return "was unhealthy for " + text.Duration(e.at.Sub(e.out.Since)) + " on " + where + ", and is healthy again"
	case lb.Recovered, lb.Healthy:
		if out := outFor(e); out != "" {
			return s + " " + out
		}
	}
	return s
}

func preposition(k lb.Kind) string {
	switch k {
	case lb.Removed:
		return " from "
	case lb.Added:
		return " to "
	}
	return " on "
}

// capacityAfter adds to a title what is left: of one load balancer how much runs, of several those where nothing does. n is
// what the title says already.
func capacityAfter(a watch.Alert, n map[lb.Kind]int) string {
	if none := cmp.Or(noneRunning(a), bareTitle(a)); none != "" {
		return none
	}
	if _, clbs := a.Totals(); clbs != 1 || len(a.Pools) != 1 || a.Pools[0].Total == 0 {
		return ""
	}
	p := a.Pools[0]
	ill := report.AndUnhealthy(p.Ill)
	if p.Ill == n[lb.Unhealthy] {
		ill = ""
	}
	switch c := p.Counts; {
	case p.Running < p.Total, p.Ill > 0 && c.Removed <= c.Added:
		return fmt.Sprintf(", %d of %d running", p.Running, p.Total) + ill
	case c.LeftRunning+c.Recovered+c.Healthy > 0 && p.Total > 1 && p.Ill == 0:
		return fmt.Sprintf(", all %d running", p.Total)
	case c.Removed > c.Added:
		return fmt.Sprintf(", %d left", p.Total) + ill
	}
	return ""
}

// running says how many backends run, and how many of those are unhealthy.
func running(c lb.Capacity) string {
	return fmt.Sprintf("%d of %d running", c.Running, c.Total) + report.AndUnhealthy(c.Ill)
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
		return p.Running > 0 || p.Counts.Bad() == 0
	})
}

// bareTitle adds to a title which listeners and rules lost their last running backend, where no load balancer did.
func bareTitle(a watch.Alert) string {
	bare := slices.DeleteFunc(slices.Clone(a.Pools), func(p watch.PoolNews) bool { return p.Bare == nil })
	switch _, clbs := a.Totals(); {
	case len(bare) == 0:
		return ""
	case len(bare) > 1:
		return fmt.Sprintf(", listeners of %d of them have none running", len(bare))
	case clbs > 1:
		return ", " + noneServes(bare[0].Bare, " of "+report.Name(bare[0].CLB), false)
	default:
		return ", " + noneServes(bare[0].Bare, "", false)
	}
}

// noneServes says which listeners or rules, of what, have no running backend.
func noneServes(bare *lb.Part, of string, named bool) string {
	if bare.N == 1 {
		return report.Some(bare) + of + " has none running"
	}
	s := text.Plural(bare.N, report.Thing(bare)) + of + " have none running"
	if named {
		s += report.Names(bare)
	}
	return s
}

// word is a kind where it is counted or part of a sentence.
func word(k lb.Kind) string {
	switch k {
	case cameAndWent:
		return "added and removed again"
	case wasUnbound:
		return "removed and added again"
	case wasOut:
		return "out and back"
	case wasIll:
		return "unhealthy and healthy again"
	}
	return report.Happened(k)
}

// word is what happened as part of a sentence: to how much of the backend, where that is what matters.
func (e event) word() string {
	if p := e.part; p != nil {
		names := ""
		if p.N == 1 {
			names = report.Names(p)
		}
		switch e.kind {
		case lb.Unbound:
			return "unbound from " + report.OutOf(p, report.Thing(p)) + names
		case lb.Bound:
			return "bound to " + text.Plural(p.N, "more "+report.Thing(p)) + names
		}
	}
	return word(e.kind)
}

// bindings says which listeners and rules, or which health checks, it is about; "" if there is nothing to say.
func (e event) bindings() string {
	p := e.part
	if p == nil {
		return ""
	}
	outOf := report.OutOf(p, report.Thing(p)) + report.Names(p)
	switch e.kind {
	case lb.Unhealthy:
		return "fails " + report.OutOf(p, "check") + report.Names(p)
	case lb.Removed:
		return "unbound from " + outOf
	case lb.Unbound:
		return "from " + outOf
	case lb.Added:
		return "bound to " + report.Some(p)
	case lb.Bound:
		return fmt.Sprintf("to %s%s, now %d", text.Plural(p.N, "more "+report.Thing(p)), report.Names(p), p.Of)
	}
	if e.went == nil {
		return ""
	}
	is, was := report.Some(p), report.Some(e.went)
	switch on, port, _ := strings.Cut(was, " → "); {
	case is == was && e.kind == rebound:
		return is + ", by other rules or ports"
	case is == was:
		return ""
	case p.N == 1 && strings.HasPrefix(is, on+" → "):
		was = port
	}
	return is + " instead of " + was
}

// alertCLBs are the load balancers the alert names, in order.
func alertCLBs(a watch.Alert) []lb.CLB {
	var all []lb.CLB
	for _, p := range a.Pools {
		all = append(all, p.CLB)
	}
	for _, n := range a.CLBs {
		all = append(all, n.CLB)
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
func linkFor(clbs []lb.CLB, more int) string {
	if len(clbs) == 0 || more > 0 || slices.ContainsFunc(clbs, func(c lb.CLB) bool { return c.Key() != clbs[0].Key() }) {
		return console
	}
	return consoleURL(clbs[0])
}

// alertNames names the first load balancers, for the notification on a phone; "" if the title does already.
func alertNames(a watch.Alert) string {
	_, n := a.Totals()
	all := alertCLBs(a)[:len(a.Pools)]
	if n == 0 {
		n, all = len(a.CLBs)+a.MoreCLBs, alertCLBs(a)[:len(a.CLBs)]
	}
	if n < 2 || len(all) < 2 {
		return ""
	}
	shown := min(3, len(all))
	var names []string
	for _, c := range all[:shown] {
		names = append(names, report.Name(c))
	}
	if n > shown {
		names = append(names, fmt.Sprintf("+%d more", n-shown))
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
func regionsOf(clbs []lb.CLB) string {
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
		blocks = append(blocks, block{line(words(fmt.Sprintf("… and %s with %s", text.Plural(more, "more load balancer"), text.Plural(left.Total(), "change"))))})
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
		b = append(b, line(words(fmt.Sprintf("and %s", text.Plural(more, "more load balancer")))))
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
		if lines := text.Columns(rows, 2); n == 1 {
			b = append(b, line(append([]span{{text: lines[0], code: true}, words("  ")}, head...)...))
		} else {
			b = append(b, line(head...), pre(lines))
		}
		shown = shown[n:]
	}
	if more := len(s.events) - min(r.lines, len(s.events)) + cut; more > 0 {
		b = append(b, line(words(fmt.Sprintf("… and %s", text.Plural(more, "more change")))))
	}
	return b
}

// poolLine says how a load balancer stands: after the news or, where its incident went on since, now.
func poolLine(p watch.PoolNews, course map[string]watch.Course) part {
	says := append(named(p.CLB), words("  ·  "))
	c, followed := course[p.CLB.Key()]
	switch {
	case !followed:
		lost, all := p.Lost()
		how := "out"
		if p.Counts.Removed+p.Counts.Unbound > 0 {
			how = "lost"
		}
		return line(append(says, capacityOf(p.Capacity, lost, all, how, p.Bare, p.Counts.LeftRunning+p.Counts.Removed > 0)...)...)
	case !c.Over.IsZero():
		was := "out"
		if all := p.Counts.Plus(c.Later); all.Unhealthy == all.Bad() {
			was = "unhealthy"
		}
		return line(append(says, words(running(c.Capacity)+"  ·  "+was+" "), date(c.Since), words(" – "), clock(c.Over),
			words(" ("+text.Duration(c.Over.Sub(c.Since))+")"))...)
	}
	lost, all := c.NotServing()
	says = append(append(says, words("now ")), capacityOf(c.Capacity, lost, all, "out", stillBare(p, c), true)...)
	if n := c.Later.Total(); n > 0 {
		says = append(says, words("  ·  "+text.Plural(n, "later change")+" in the thread"))
	}
	return line(says...)
}

// stillBare are the listeners and rules that have no running backend: those that the news left so, if nothing came since.
func stillBare(p watch.PoolNews, c watch.Course) *lb.Part {
	if c.Later.Added+c.Later.Bound+c.Later.Recovered > 0 {
		return nil
	}
	return p.Bare
}

// capacityOf says how much runs, how much of the weight does not and, in words, when it is the last one or none, of all or
// of the listeners and rules that are bare.
func capacityOf(c lb.Capacity, lost, all int, how string, bare *lb.Part, bad bool) []span {
	s := running(c)
	if lost > 0 && c.Running > 0 {
		s += ", " + percent(lost, all) + " of weight " + how
	}
	says := []span{words(s)}
	switch {
	case c.Total == 0 && bad:
		says = append(says, bold("  ·  no backends left"))
	case c.Running == 0 && c.Total > 0:
		says = append(says, bold("  ·  none running"))
	case bare != nil:
		says = append(says, bold("  ·  "+noneServes(bare, "", true)))
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
	rest, colon := "", ": "
	switch e.kind {
	case lb.LeftRunning, lb.Added:
		rest, colon = ": "+why(e.b), ", "
	case lb.Removed:
		if !e.b.Running() && e.b.Status != 0 {
			rest = ", was " + e.b.Status.String()
		}
	case lb.Unbound, lb.Bound:
		colon = " "
	case replaced:
		if !e.b.Running() {
			rest, colon = ": "+why(e.b), ", "
		}
	case wasOut:
		return over("left running and recovered", "out for ", e)
	case wasIll:
		return over("unhealthy and healthy again", "for ", e)
	case lb.Recovered, lb.Healthy:
		if out := outFor(e); out != "" {
			rest = " " + out
		}
		if e.kind == lb.Recovered {
			rest += ", was " + e.was.String()
		}
	}
	if on := e.bindings(); on != "" {
		rest += colon + on
	}
	says := []span{bold(string(e.kind))}
	if rest != "" {
		says = append(says, words(rest))
	}
	return append(says, seen(e.at, e.after, a)...)
}

// over is the heading of what began and ended before it could be told: it is told late, or it would have been told in two
// messages.
func over(what, lasted string, e event) []span {
	return []span{bold(what), words(", " + lasted + text.Duration(e.at.Sub(e.out.Since)) + ": "), date(e.out.Since), words(" – "), clock(e.at)}
}

// seen says when something happened that was seen at a time, and not before another one if that is not zero; nothing if it
// was just now.
func seen(at, after time.Time, a watch.Alert) []span {
	switch {
	case !after.IsZero():
		return []span{words(", some time between "), date(after), words(" and "), date(at)}
	case a.To.Sub(at) >= time.Minute:
		return []span{words(", seen "), date(at)}
	}
	return nil
}

// status is a backend's status in words; what is no instance has none of its own.
func status(b lb.Backend) string {
	return cmp.Or(text.Clean(b.Type, maxType), b.Status.String())
}

// why is a backend's status in words, and what is to be expected of it.
func why(b lb.Backend) string {
	switch b.Status {
	case 5, 6:
		return status(b) + ": will not come back"
	case 7, 8:
		return status(b) + ": usually minutes"
	}
	return status(b)
}

// row is which backend it is.
func row(e event) []string {
	name := report.BackendName(e.b)
	if e.kind == replaced {
		if old := report.BackendName(e.old); old != name {
			return []string{old + " → " + name, report.Address(e.b)}
		}
		return []string{name, text.Clean(e.old.ID, 20) + " → " + text.Clean(e.b.ID, 20)}
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
	return about + text.Duration(e.at.Sub(e.out.Since))
}

// massTable says how the worst load balancers stand, and how many changes of the worst kind each has. The title counts all
// kinds; a column for each would be too wide for a phone.
func massTable(a watch.Alert, shown int) []string {
	c, _ := a.Totals()
	for _, k := range kinds {
		if n := c.Of(k); n != nil && *n > 0 {
			return poolTable(a.Pools[:shown], k)
		}
	}
	return poolTable(a.Pools[:shown], lb.Recovered)
}

// poolTable is a table of load balancers, with how many changes of a kind each has, if that is not "". It is narrow: phones
// wrap what is not.
func poolTable(pools []watch.PoolNews, k lb.Kind) []string {
	head, _, _ := strings.Cut(word(k), " ")
	switch k {
	case lb.Unbound, lb.Bound:
		head = string(k)
	}
	rows := [][]string{{"load balancer", "running", "", head}}
	for _, p := range pools {
		ill, count := "", ""
		if p.Ill > 0 && k != lb.Unhealthy {
			rows[0][2], ill = "ill", fmt.Sprint(p.Ill)
		}
		if n := p.Counts.Of(k); n != nil {
			count = fmt.Sprint(*n)
		}
		rows = append(rows, []string{text.Clean(report.Name(p.CLB), 28), fmt.Sprintf("%d of %d", p.Running, p.Total), ill, count})
	}
	return text.Columns(rows, 1)
}
