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
		return []block{{line(text("This is a test; nothing happened. You will be told when a backend is added, removed, leaves running or recovers, and when a load balancer cannot be read."))}}
	})
}

func alertLook(a watch.Alert) look {
	c, _ := a.Totals()
	switch {
	case c.LeftRunning > 0:
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
	return cmp.Or(strings.Join(parts, " · "), "Nothing to tell")
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
	var kinds []string
	for _, k := range kindCounts(c) {
		kinds = append(kinds, fmt.Sprintf("%d %s", k.n, k.kind))
	}
	s := strings.Join(kinds, ", ")
	link := " on "
	if len(kinds) == 1 {
		k := kindCounts(c)[0]
		s = report.Plural(k.n, "backend") + " " + string(k.kind)
		link = preposition(k.kind)
	}
	return s + link + where + noneRunning(a)
}

func changeTitle(ch watch.Change, where string) string {
	s := string(ch.Kind) + preposition(ch.Kind) + where
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
	var dead []watch.PoolNews
	for _, p := range a.Pools {
		if p.Running == 0 && p.Counts.LeftRunning+p.Counts.Removed > 0 {
			dead = append(dead, p)
		}
	}
	switch _, clbs := a.Totals(); {
	case len(dead) == 0:
		return ""
	case clbs == 1:
		return ", none running"
	case len(dead) == 1 && a.More.CLBs == 0:
		return ", none running on " + report.Name(dead[0].CLB)
	case a.More.CLBs > 0:
		return fmt.Sprintf(", none running on at least %d of them", len(dead))
	default:
		return fmt.Sprintf(", none running on %d of them", len(dead))
	}
}

type kindCount struct {
	kind watch.Kind
	n    int
}

// kindCounts are the kinds there are any of, worst first.
func kindCounts(c watch.Counts) []kindCount {
	all := []kindCount{{watch.LeftRunning, c.LeftRunning}, {watch.Removed, c.Removed}, {watch.Added, c.Added}, {watch.Recovered, c.Recovered}}
	return slices.DeleteFunc(all, func(k kindCount) bool { return k.n == 0 })
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
	var says string
	for i, k := range kindCounts(p.Counts) {
		sep := " · "
		if i == 0 {
			sep = "  ·  "
		}
		says += fmt.Sprintf("%s%d %s", sep, k.n, k.kind)
	}
	head := append(named(p.CLB), text(fmt.Sprintf("%s  ·  %d of %d running", says, p.Running, p.Total)))
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
	switch {
	case !ch.After.IsZero():
		says = append(says, fmt.Sprintf("between %s and %s", strings.TrimSuffix(report.Clock(ch.After, a.To), " UTC"), report.Clock(ch.At, a.To)))
	case a.To.Sub(ch.At) >= time.Minute:
		says = append(says, "at "+report.Clock(ch.At, a.To))
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
		return fmt.Sprintf("%d h %d min", h, minutes%60)
	default:
		return fmt.Sprintf("%d d %d h", h/24, h%24)
	}
}

// massTable counts the changes of the worst load balancers; kinds that nothing happened of have no column.
func massTable(a watch.Alert, shown int) []string {
	total, _ := a.Totals()
	heads := [2][]string{{"", "", "now"}, {"load balancer", "id", "running"}}
	for _, k := range kindCounts(total) {
		first, second, two := strings.Cut(string(k.kind), " ")
		if !two {
			first, second = "", first
		}
		heads[0], heads[1] = append(heads[0], first), append(heads[1], second)
	}
	rows := [][]string{heads[0], heads[1]}
	for _, p := range a.Pools[:shown] {
		row := append(nameAndID(p.CLB), fmt.Sprintf("%d of %d", p.Running, p.Total))
		of := map[watch.Kind]int{watch.LeftRunning: p.Counts.LeftRunning, watch.Removed: p.Counts.Removed, watch.Added: p.Counts.Added, watch.Recovered: p.Counts.Recovered}
		for _, k := range kindCounts(total) {
			row = append(row, fmt.Sprint(of[k.kind]))
		}
		rows = append(rows, row)
	}
	return report.Columns(rows, 2)
}

// nameAndID are two cells of a table of many load balancers; the second is empty where it would repeat the first.
func nameAndID(c watch.CLB) []string {
	name, id := report.Clean(report.Name(c), 28), report.Clean(c.ID, 28)
	if id == name {
		id = ""
	}
	return []string{name, id}
}

// blindBlocks tell what cannot be read. What has the same remedy is told together.
func blindBlocks(a watch.Alert, r room) []block {
	if len(a.Blind)+a.MoreBlind == 0 {
		return nil
	}
	shown := a.Blind[:min(r.pools, 6, len(a.Blind))]
	remedy := func(b watch.Blind) string { return cmp.Or(b.Do, b.Why) }
	var blocks []block
	for i, b := range shown {
		if slices.ContainsFunc(shown[:i], func(o watch.Blind) bool { return remedy(o) == remedy(b) }) {
			continue
		}
		var group block
		for _, o := range shown[i:] {
			if remedy(o) != remedy(b) {
				continue
			}
			says := append(named(o.CLB), text("  ·  cannot be read since "), date(o.Since), text(fmt.Sprintf(", %s  ·  ", report.Plural(o.Ticks, "tick"))))
			switch {
			case o.LastGood.IsZero():
				says = append(says, text("never read before"))
			case o.Since.Sub(o.LastGood) < 12*time.Hour:
				says = append(says, text("last good reading "), clock(o.LastGood))
			default:
				says = append(says, text("last good reading "), date(o.LastGood))
			}
			group = append(group, line(says...))
		}
		if why := report.Clean(b.Why, maxText); why != "" {
			group = append(group, pre([]string{why}))
		}
		if do := report.Clean(b.Do, maxText); do != "" {
			group = append(group, line(bold("What to do"), text("  "+do)))
		}
		blocks = append(blocks, group)
	}
	if more := len(a.Blind) - len(shown) + a.MoreBlind; more > 0 {
		blocks = append(blocks, block{line(text(fmt.Sprintf("… and %s that cannot be read", report.Plural(more, "more load balancer"))))})
	}
	return append(blocks, block{line(bold("What it means"), text("  Changes there are "), bold("not"), text(" being detected. The last known state is kept; what changes meanwhile is told after the next good reading."))})
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
	rows := [][]string{{"load balancer", "id", "backends", "running", "not running"}}
	for _, p := range base.Pools[:shown] {
		rows = append(rows, append(nameAndID(p.CLB), fmt.Sprint(p.Total), fmt.Sprint(p.Running), fmt.Sprint(p.Total-p.Running)))
	}
	lines := report.Columns(rows, 2)
	if more := base.CLBs - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("… and %s", report.Plural(more, "more load balancer")))
	}
	return []block{append(b, pre(lines))}
}

// ReportMessage is the message that tells a report: what is not running and what could not be read, then the load
// balancers, the worst first, as far as there is room.
func ReportMessage(r report.Report) Message {
	_, _, unread := r.Totals()
	pools := slices.Clone(r.Pools)
	slices.SortStableFunc(pools, func(a, b report.Pool) int {
		switch {
		case a.Err != "" && b.Err == "":
			return -1
		case a.Err == "" && b.Err != "":
			return 1
		}
		return cmp.Compare(b.Backends-b.Running, a.Backends-a.Running)
	})
	var clbs []watch.CLB
	out := 0
	for _, p := range pools {
		clbs = append(clbs, p.CLB)
		out += len(p.NotRunning)
	}
	p := page{
		title:   r.Summary(),
		url:     linkFor(clbs, 0),
		context: []string{regionsOf(clbs), "read " + dateMark(r.At) + fmt.Sprintf(" in %.1f s", r.Took), fmt.Sprintf("%d of %s read", len(pools)-unread, report.Plural(len(pools), "load balancer"))},
	}
	switch {
	case unread > 0:
		p.look = look{"warning", "#daa038"}
	case out > 0:
		p.look = look{"large_yellow_circle", "#daa038"}
	default:
		p.look = look{"large_green_circle", "#2eb886"}
	}
	return p.message(func(room room) []block {
		var blocks []block
		if note := report.Clean(r.Note, maxText); note != "" {
			blocks = append(blocks, block{line(bold("Note"), text("  "+note))})
		}
		return slices.Concat(blocks, notRunningBlocks(r, pools, room, out), unreadBlocks(pools, room, unread), standBlocks(pools, room))
	})
}

func notRunningBlocks(r report.Report, pools []report.Pool, room room, out int) []block {
	if out == 0 {
		return nil
	}
	var rows [][]string
	for _, p := range pools {
		for _, b := range p.NotRunning {
			if len(rows) < min(room.lines, 20) {
				rows = append(rows, []string{report.Name(p.CLB), report.BackendName(b), report.Address(b), b.Status.String(), report.Since(b.Out, r.At)})
			}
		}
	}
	lines := report.Columns(rows, 5)
	if more := out - len(rows); more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more not running", more))
	}
	return []block{{line(bold(fmt.Sprintf("Not running (%d)", out))), pre(lines)}}
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
		p := pools[0]
		return []block{{line(append(named(p.CLB), text(fmt.Sprintf("  ·  %d of %d running", p.Running, p.Backends)))...)}}
	}
	rows := [][]string{{"load balancer", "id", "backends", "running", "not running"}}
	left := 0
	for _, p := range pools {
		switch {
		case p.Err != "":
		case len(rows) > room.pools:
			left++
		default:
			rows = append(rows, append(nameAndID(p.CLB), fmt.Sprint(p.Backends), fmt.Sprint(p.Running), fmt.Sprint(p.Backends-p.Running)))
		}
	}
	if len(rows) == 1 {
		return nil
	}
	lines := report.Columns(rows, 2)
	if left > 0 {
		lines = append(lines, fmt.Sprintf("… and %s", report.Plural(left, "more load balancer")))
	}
	return []block{{pre(lines)}}
}
