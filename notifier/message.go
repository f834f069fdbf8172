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

// AlertMessage is the message that tells an alert: what is worst in the title, then each load balancer, as far as there
// is room, and always how much more there is.
func AlertMessage(a watch.Alert) Message {
	p := page{
		look:    alertLook(a),
		title:   alertTitle(a),
		url:     linkFor(alertCLBs(a), a.More.CLBs+a.MoreBlind+a.MoreSighted),
		context: alertContext(a),
		named:   alertNames(a),
	}
	return p.message(func(r room) []block {
		return slices.Concat(poolBlocks(a, r), blindBlocks(a, r), sightedBlocks(a, r), baselineBlocks(a.Baseline, r))
	})
}

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

func alertLook(a watch.Alert) look {
	c, _ := a.Totals()
	switch {
	case c.LeftRunning > 0, len(deadPools(a)) > 0:
		return look{"red_circle", "#a30200"}
	case c.Removed > 0:
		return look{"large_yellow_circle", "#daa038"}
	case len(a.Blind)+a.MoreBlind > 0:
		return look{"warning", "#daa038"}
	case c.Added > 0:
		return look{"large_blue_circle", "#439fe0"}
	case c.Recovered > 0, len(a.Sighted)+a.MoreSighted > 0:
		return look{"large_green_circle", "#2eb886"}
	default:
		return look{"eyes", "#439fe0"}
	}
}

// alertTitle says everything the alert is about, the worst first.
func alertTitle(a watch.Alert) string {
	var parts []string
	// say adds a part that begins with a word of ours, which is capital at the beginning of the title.
	say := func(word, rest string) {
		if len(parts) == 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		parts = append(parts, word+rest)
	}
	changes := changesTitle(a)
	c, _ := a.Totals()
	serious := c.LeftRunning+c.Removed > 0
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
func changesTitle(a watch.Alert) string {
	c, clbs := a.Totals()
	if clbs == 0 {
		return ""
	}
	where := oneOrMany(clbs, a.Pools, func(p watch.PoolNews) watch.CLB { return p.CLB })
	if c.Total() == 1 && len(a.Pools) == 1 && len(a.Pools[0].Changes) == 1 {
		ch := a.Pools[0].Changes[0]
		return report.BackendName(ch.Backend) + " " + changeTitle(ch, where) + noneRunning(a)
	}
	if kinds := kindsOf(c); len(kinds) == 1 {
		return report.Plural(c.Total(), "backend") + " " + word(kinds[0]) + preposition(kinds[0]) + where + noneRunning(a)
	}
	return strings.Join(counted(c), ", ") + " on " + where + noneRunning(a)
}

func changeTitle(ch watch.Change, where string) string {
	s := word(ch.Kind) + preposition(ch.Kind) + where
	switch ch.Kind {
	case watch.LeftRunning, watch.Added:
		return s + ": " + ch.Backend.Status.String()
	case watch.Recovered:
		if out := outFor(ch); out != "" {
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

// kindsOf are the kinds there are any changes of, worst first.
func kindsOf(c watch.Counts) []watch.Kind {
	all := []watch.Kind{watch.LeftRunning, watch.Removed, watch.Added, watch.Recovered}
	return slices.DeleteFunc(all, func(k watch.Kind) bool { return countOf(c, k) == 0 })
}

func countOf(c watch.Counts, k watch.Kind) int {
	switch k {
	case watch.LeftRunning:
		return c.LeftRunning
	case watch.Removed:
		return c.Removed
	case watch.Added:
		return c.Added
	default:
		return c.Recovered
	}
}

// word is a kind where it is counted or part of a sentence: "2 left running" would be read as "2 still run".
func word(k watch.Kind) string {
	if k == watch.LeftRunning {
		return "stopped running"
	}
	return string(k)
}

// counted says how many changes there are of each kind, such as "2 removed", worst first.
func counted(c watch.Counts) []string {
	var says []string
	for _, k := range kindsOf(c) {
		says = append(says, fmt.Sprintf("%d %s", countOf(c, k), word(k)))
	}
	return says
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

// poolBlocks tell what happened on each load balancer.
func poolBlocks(a watch.Alert, r room) []block {
	c, clbs := a.Totals()
	if clbs == 0 {
		return nil
	}
	shown := min(r.pools, len(a.Pools))
	var blocks []block
	if c.Total() > massChanges || clbs > massPools {
		blocks = []block{{pre(massTable(a, shown))}}
	} else {
		for _, p := range a.Pools[:shown] {
			blocks = append(blocks, poolBlock(p, a, r.lines))
		}
	}
	if more := clbs - shown; more > 0 {
		for _, p := range a.Pools[:shown] {
			c = c.Plus(watch.Counts{LeftRunning: -p.Counts.LeftRunning, Removed: -p.Counts.Removed, Added: -p.Counts.Added, Recovered: -p.Counts.Recovered})
		}
		blocks = append(blocks, block{line(text(fmt.Sprintf("… and %s with %s", report.Plural(more, "more load balancer"), report.Plural(c.Total(), "change"))))})
	}
	return blocks
}

func poolBlock(p watch.PoolNews, a watch.Alert, room int) block {
	head := append(named(p.CLB), text(fmt.Sprintf("  ·  %s  ·  %d of %d running", strings.Join(counted(p.Counts), " · "), p.Running, p.Total)))
	worse := p.Counts.LeftRunning+p.Counts.Removed > 0
	switch {
	case p.Total == 0 && worse:
		head = append(head, bold("  ·  no backends left"))
	case p.Running == 0 && p.Total > 0:
		head = append(head, bold("  ·  none running"))
	case p.Running == 1 && worse:
		head = append(head, bold("  ·  last one running"))
	}
	b := block{line(head...)}
	shown := min(room, len(p.Changes))
	var rows [][]string
	for _, ch := range p.Changes[:shown] {
		rows = append(rows, []string{string(ch.Kind), report.BackendName(ch.Backend), report.Address(ch.Backend), detail(ch, a)})
	}
	lines := report.Columns(rows, 4)
	if more := p.Counts.Total() - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("… and %s", report.Plural(more, "more change")))
	}
	if len(lines) > 0 {
		b = append(b, pre(lines))
	}
	return b
}

// detail is what the columns do not say about a change.
func detail(ch watch.Change, a watch.Alert) string {
	var says []string
	switch ch.Kind {
	case watch.LeftRunning, watch.Added:
		says = append(says, ch.Backend.Status.String())
	case watch.Removed:
		if !ch.Backend.Running() && ch.Backend.Status != 0 {
			says = append(says, "was "+ch.Backend.Status.String())
		}
	case watch.Recovered:
		if out := outFor(ch); out != "" {
			says = append(says, out)
		}
		says = append(says, "was "+ch.Was.String())
	}
	// No clock here: preformatted text cannot show it in the reader's zone, as the line below the title does.
	ago, gap := a.To.Sub(ch.At), !ch.After.IsZero()
	switch merged := ago >= time.Minute; {
	case merged && gap:
		says = append(says, duration(ago)+" to "+duration(a.To.Sub(ch.After))+" earlier")
	case merged:
		says = append(says, duration(ago)+" earlier")
	case gap:
		says = append(says, "some time in the "+duration(ch.At.Sub(ch.After))+" before")
	}
	return strings.Join(says, ", ")
}

// outFor says for how long a recovered backend was out; "" if that is not known.
func outFor(ch watch.Change) string {
	if ch.Out == nil {
		return ""
	}
	about := "after "
	switch {
	case ch.Out.AtLeast && ch.After.IsZero():
		about = "after at least "
	case ch.Out.AtLeast:
		about = "after about "
	case !ch.After.IsZero():
		about = "after at most "
	}
	return about + duration(ch.At.Sub(ch.Out.Since))
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
	total, _ := a.Totals()
	kind := append(kindsOf(total), watch.LeftRunning)[0] // stored news without a change must not end a tick
	head, _, _ := strings.Cut(word(kind), " ")
	rows := [][]string{append(tableHead(), head)}
	for _, p := range a.Pools[:shown] {
		rows = append(rows, append(tableRow(p.CLB, p.Running, p.Total), fmt.Sprint(countOf(p.Counts, kind))))
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
			left -= len(l)
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
		if more := len(together) - room; more > 0 {
			says = append(says, text(fmt.Sprintf(" and %d more", more)))
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

// ReportMessage is the message that tells a report: what is not running and what could not be read, then the load
// balancers, the worst first, as far as there is room.
func ReportMessage(r report.Report) Message {
	_, _, unread := r.Totals()
	rank := func(p report.Pool) int {
		switch {
		case p.Err != "":
			return 0
		case p.Running == 0:
			return 1
		default:
			return 2
		}
	}
	pools := slices.Clone(r.Pools)
	slices.SortStableFunc(pools, func(a, b report.Pool) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.Backends-b.Running, a.Backends-a.Running))
	})
	var clbs []watch.CLB
	out := 0
	for _, p := range pools {
		clbs = append(clbs, p.CLB)
		out += len(p.NotRunning)
	}
	read := "read " + dateMark(r.At)
	if r.Took >= 1 {
		read += fmt.Sprintf(" in %.1f s", r.Took)
	}
	if unread > 0 {
		read += fmt.Sprintf("  ·  %d of %s read", len(pools)-unread, report.Plural(len(pools), "load balancer"))
	}
	p := page{look: reportLook(r), title: r.Summary(), url: linkFor(clbs, 0), context: []string{regionsOf(clbs), read}}
	return p.message(func(room room) []block {
		var blocks []block
		if note := report.Clean(r.Note, maxText+100); note != "" {
			blocks = append(blocks, block{line(bold("Note"), text("  "+note))})
		}
		return slices.Concat(blocks, notRunningBlocks(r, pools, room, out), unreadBlocks(pools, room, unread), standBlocks(pools, room))
	})
}

func reportLook(r report.Report) look {
	var dead, unread, out bool
	for _, p := range r.Pools {
		switch {
		case p.Err != "":
			unread = true
		case p.Backends > 0 && p.Running == 0:
			dead = true
		case p.Backends == 0 || p.Running < p.Backends:
			out = true
		}
	}
	switch {
	case dead:
		return look{"red_circle", "#a30200"}
	case unread || r.Note != "":
		return look{"warning", "#daa038"}
	case out:
		return look{"large_yellow_circle", "#daa038"}
	default:
		return look{"large_green_circle", "#2eb886"}
	}
}

func notRunningBlocks(r report.Report, pools []report.Pool, room room, out int) []block {
	if out == 0 {
		return nil
	}
	var rows [][]string
	for _, p := range pools {
		for _, b := range p.NotRunning {
			if len(rows) < min(room.lines, 20) {
				rows = append(rows, []string{report.Name(p.CLB), report.BackendName(b), report.Address(b), b.Status.String(), outSince(b.Out, r.At)})
			}
		}
	}
	lines := report.Columns(rows, 5)
	if more := out - len(rows); more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more not running", more))
	}
	return []block{{line(bold(fmt.Sprintf("Not running (%d)", out))), pre(lines)}}
}

// outSince says for how long a backend is not running; "" if that is not known.
func outSince(o *watch.Out, now time.Time) string {
	if o == nil {
		return ""
	}
	about := "for "
	if o.AtLeast {
		about = "for at least "
	}
	return about + duration(now.Sub(o.Since))
}

func unreadBlocks(pools []report.Pool, room room, unread int) []block {
	if unread == 0 {
		return nil
	}
	var blocks []block
	for _, p := range pools[:min(unread, room.pools)] {
		b := block{line(append(named(p.CLB), text("  ·  cannot be read"))...), pre([]string{cmp.Or(report.Clean(p.Err, maxText), "(no reason given)")})}
		if do := report.Clean(p.Do, maxText); do != "" {
			b = append(b, line(bold("What to do"), text("  "+do)))
		}
		blocks = append(blocks, b)
	}
	if more := unread - len(blocks); more > 0 {
		blocks = append(blocks, block{line(text(fmt.Sprintf("… and %s that cannot be read", report.Plural(more, "more load balancer"))))})
	}
	return blocks
}

func standBlocks(pools []report.Pool, room room) []block {
	if len(pools) == 1 && pools[0].Err == "" {
		p, says := pools[0], "  ·  no backends"
		if p.Backends > 0 {
			says = fmt.Sprintf("  ·  %d of %d running", p.Running, p.Backends)
		}
		return []block{{line(append(named(p.CLB), text(says))...)}}
	}
	rows := [][]string{tableHead()}
	left := 0
	for _, p := range pools {
		switch {
		case p.Err != "":
		case len(rows) > room.pools:
			left++
		default:
			rows = append(rows, tableRow(p.CLB, p.Running, p.Backends))
		}
	}
	if len(rows) == 1 {
		return nil
	}
	lines := report.Columns(rows, 1)
	if left > 0 {
		lines = append(lines, fmt.Sprintf("… and %s", report.Plural(left, "more load balancer")))
	}
	return []block{{pre(lines)}}
}
