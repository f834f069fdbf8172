package notifier

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// Bounds of a report's message.
const (
	maxOut         = 20 // backends named as not running, and as unhealthy
	maxChanged     = 15 // backends of which is told what happened to them; of more, the changes are counted
	maxFew         = 15 // backends of a single load balancer that the message names all, so that no page needs to
	maxNameCells   = 28 // cells of a load balancer's name in a row
	maxMemberCells = 20 // cells of a backend's name in a row, which phones break from about 38 on
)

// Bounds of the pages that list every backend: about the longest message that people still read.
const (
	maxLists     = 5
	maxPageLines = 110   // and the line that counts what is left
	maxPageText  = 7_300 // bytes; with title, context and that line below 8,000
	maxPageJSON  = 9_000 // bytes of the same in JSON, where < takes six
)

// ReportMessage is the message that tells a report: what is not running or unhealthy and what could not be read, then the
// load balancers, the worst first, then what changed, as far as there is room.
func ReportMessage(r report.Report) Message {
	pools := r.WorstFirst()
	p := reportPage(r, pools)
	p.look, p.title = reportLook(r), r.Summary()
	changed := r.Changed()
	return p.message(func(room room) []block {
		var blocks []block
		if note := text.Clean(r.Note, maxText+100); note != "" {
			blocks = append(blocks, block{line(bold("Note"), words("  "+note))})
		}
		single := len(pools) == 1 && pools[0].Err == ""
		if single {
			blocks = append(blocks, standBlock(pools[0]))
		}
		for _, w := range report.Ways() {
			blocks = append(blocks, notWellBlocks(w, r, pools, room)...)
		}
		blocks = append(blocks, unreadBlocks(r.Unread(), room)...)
		if single {
			blocks = append(blocks, runningBlocks(r)...)
		} else {
			blocks = append(blocks, standBlocks(pools, room)...)
		}
		return append(blocks, changedBlocks(r, changed, room)...)
	})
}

// reportPage begins a message of the report: what all of them have in common.
func reportPage(r report.Report, pools []report.Pool) page {
	clbs := make([]lb.CLB, 0, len(pools))
	for _, p := range pools {
		clbs = append(clbs, p.CLB)
	}
	read := "read " + dateMark(r.At)
	if r.Took >= 1 {
		read += fmt.Sprintf(" in %.1f s", r.Took)
	}
	if _, _, unread := r.Totals(); unread > 0 {
		read += fmt.Sprintf("  ·  %d of %s read", len(pools)-unread, text.Plural(len(pools), "load balancer"))
	}
	url := linkFor(clbs, len(r.Unlisted))
	for _, u := range r.Unlisted {
		clbs = append(clbs, u.CLB)
	}
	return page{url: url, context: []string{regionsOf(clbs), read}}
}

func reportLook(r report.Report) look {
	backends, running, _ := r.Totals()
	switch s := r.Severity(); {
	case s == report.Down:
		return look{"red_circle", "#a30200"}
	case s == report.Unknown:
		return look{"warning", "#daa038"}
	case s == report.Partial && (running < backends || slices.ContainsFunc(r.Pools, func(p report.Pool) bool { return len(p.Unhealthy) > 0 })):
		return look{"large_orange_circle", "#e8912d"}
	case s == report.Partial: // nothing is out, and a load balancer is empty
		return look{"large_yellow_circle", "#daa038"}
	default:
		return look{"large_green_circle", "#2eb886"}
	}
}

// notWellBlocks name what is not well in one way, by load balancer and why. Where that is more than there is room for, each
// load balancer gets a fair share, the worst first.
func notWellBlocks(w report.Way, r report.Report, pools []report.Pool, room room) []block {
	out := 0
	var broken []report.Pool
	for _, p := range pools {
		if n := len(w.Of(p)); n > 0 {
			out, broken = out+n, append(broken, p)
		}
	}
	if out == 0 {
		return nil
	}
	var heads []string // what each row belongs to
	var rows [][]string
	left := min(room.lines, maxOut)
	for i, p := range broken[:min(len(broken), left)] {
		head := ""
		if len(r.Pools) > 1 {
			head = text.Short(report.Name(p.CLB), maxNameCells) + ": "
		}
		type row struct {
			lb.Backend
			why string
		}
		var alike []row
		for _, b := range w.Of(p) {
			alike = append(alike, row{b, w.Why(b)})
		}
		slices.SortStableFunc(alike, func(a, b row) int {
			return cmp.Or(cmp.Compare(a.Status, b.Status), cmp.Compare(a.why, b.why))
		})
		share := min(len(alike), max(left/(len(broken)-i), 1))
		left -= share
		for _, b := range alike[:share] {
			heads = append(heads, head+b.why)
			rows = append(rows, []string{"  " + text.Short(report.BackendName(b.Backend), maxMemberCells), report.Address(b.Backend), outSince(b.Backend, r)})
		}
	}
	b := block{line(bold(fmt.Sprintf("%s (%d)", strings.ToUpper(w.Name[:1])+w.Name[1:], out)))}
	var lines []string
	for i, row := range text.Columns(rows, 3) {
		switch first := i == 0 || heads[i] != heads[i-1]; {
		case first && w.Long: // what is preformatted is torn within words
			if len(lines) > 0 {
				b, lines = append(b, pre(lines)), nil
			}
			b = append(b, line(words(heads[i])))
		case first:
			lines = append(lines, heads[i])
		}
		lines = append(lines, row)
	}
	if more := out - len(rows); more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more %s", more, w.Name))
	}
	return []block{append(b, pre(lines))}
}

// outSince says for how long a backend is not running, or unhealthy, in one unit; "" if that is not known.
func outSince(b lb.Backend, r report.Report) string {
	since := cmp.Or(b.Out, b.Ill)
	if since == nil {
		if r.ChangesFrom.IsZero() {
			return ""
		}
		return "seen just now" // no tick has seen it so
	}
	out := text.Duration(r.At.Sub(since.Since))
	for _, unit := range []string{" d", " h"} {
		if n, _, ok := strings.Cut(out, unit+" "); ok {
			out = n + unit
		}
	}
	if since.AtLeast && r.At.Sub(since.Since) >= time.Minute {
		return "over " + out
	}
	return "for " + out
}

// unreadBlocks tell what could not be read, and together what has the same reason.
func unreadBlocks(unread []report.Unread, room room) []block {
	left := len(unread)
	groups := group(unread, func(u, o report.Unread) bool { return u.What == o.What && u.Err == o.Err && u.Do == o.Do })
	most := min(room.pools, 6) // blocks, and names in each
	var blocks []block
	for _, g := range groups[:min(len(groups), most)] {
		says := named(g[0].CLB)
		if len(g) > 1 {
			says = says[:1]
		}
		for _, u := range g[1:min(len(g), most)] {
			says = append(says, words(", "), named(u.CLB)[0])
		}
		if more := len(g) - most; more > 0 {
			says = append(says, words(fmt.Sprintf(" and %d more", more)))
		}
		b := block{line(append(says, words("  ·  "+cannot(g[0].What)))...), pre([]string{cmp.Or(text.Clean(g[0].Err, maxText), "(no reason given)")})}
		if do := text.Clean(g[0].Do, maxText); do != "" {
			b = append(b, line(bold("What to do"), words("  "+do)))
		}
		blocks = append(blocks, b)
		left -= len(g)
	}
	if left > 0 {
		blocks = append(blocks, block{line(words(fmt.Sprintf("… and %s that cannot be read", text.Plural(left, "more load balancer"))))})
	}
	return blocks
}

// standBlock says how a load balancer stands that is the only one.
func standBlock(p report.Pool) block {
	says := named(p.CLB)
	if p.Kind != lb.Classic {
		says = append(says, words("  ·  "+text.Clean(p.Kind.String(), maxType)))
	}
	if p.Backends > 0 {
		says = append(says, words("  ·  "+running(lb.Capacity{Running: p.Running, Total: p.Backends, Ill: len(p.Unhealthy)})))
	}
	share := p.Share()
	if p.Backends > 0 && p.Weight > 0 {
		share += " of weight"
	}
	return block{line(append(says, words("  ·  "+share))...)}
}

// runningBlocks name the running backends of the only load balancer, where they are few.
func runningBlocks(r report.Report) []block {
	p := r.Pools[0]
	if !few(r) || p.Running == 0 {
		return nil
	}
	var names []string
	for _, b := range p.Members[len(p.NotRunning):] {
		name := text.Short(report.BackendName(b), maxNameCells)
		if s := state(b); s != plainRunning {
			name += " (" + s + ")"
		}
		names = append(names, name)
	}
	return []block{{line(bold(fmt.Sprintf("Running (%d)", p.Running)), words("  "+strings.Join(names, ", ")))}}
}

// few reports whether there is one load balancer, with so few backends that the message names them all.
func few(r report.Report) bool {
	return len(r.Pools) == 1 && len(r.Pools[0].Members) == r.Pools[0].Backends && r.Pools[0].Backends <= maxFew
}

// standBlocks are a table of the load balancers that could be read.
func standBlocks(pools []report.Pool, room room) []block {
	pools = slices.DeleteFunc(slices.Clone(pools), func(p report.Pool) bool { return p.Err != "" })
	if len(pools) == 0 {
		return nil
	}
	shown, widest := min(len(pools), room.pools), 0
	for _, p := range pools[:shown] {
		widest = max(widest, len(p.Ratio()))
	}
	lines := make([]string, 0, shown+1)
	for _, p := range pools[:shown] { // the name last: where a row is too wide for a phone, nothing else is torn
		l := fmt.Sprintf("%-16s  %*s  %s", p.Share(), widest, p.Ratio(), text.Short(report.Name(p.CLB), maxNameCells))
		if ill := len(p.Unhealthy); ill > 0 {
			l += fmt.Sprintf("  %d unhealthy", ill)
		}
		lines = append(lines, l)
	}
	if rest := pools[shown:]; len(rest) > 0 {
		more := fmt.Sprintf("… and %s", text.Plural(len(rest), "more load balancer"))
		if (report.Report{Pools: rest}).Severity() == report.Well {
			more += ", all running"
		}
		lines = append(lines, more)
	}
	return []block{{line(bold("In service"), words("  of weight, of backends")), pre(lines)}}
}

// changedBlocks tell what changed: of each backend or, where these are many, counted by load balancer.
func changedBlocks(r report.Report, pools []report.PoolChanges, room room) []block {
	title := r.ChangesTitle()
	if title == nil {
		return nil
	}
	backends, changes := 0, 0
	for _, p := range pools {
		backends, changes = backends+len(p.Backends), changes+p.Counts.Total()
	}
	b := block{line(sentence(title, len(pools) > 0)...)}
	if backends <= min(room.lines, maxChanged) {
		for _, p := range pools {
			for _, c := range p.Backends {
				says := append([]span{bold(c.Backend), words("  ")}, sentence(c.Says, false)...)
				if len(r.Pools) > 1 {
					says = append([]span{words(report.Name(p.CLB) + "  ")}, says...)
				}
				b = append(b, line(says...))
			}
		}
		return []block{b}
	}
	shown := pools[:min(len(pools), room.pools)]
	for _, p := range shown {
		b = append(b, line(bold(report.Name(p.CLB)), words("  "+countChanges(p.Counts))))
		changes -= p.Counts.Total()
	}
	if more := len(pools) - len(shown); more > 0 {
		b = append(b, line(words(fmt.Sprintf("… and %s with %s", text.Plural(more, "more load balancer"), text.Plural(changes, "change")))))
	}
	return []block{b}
}

func countChanges(c lb.Counts) string {
	var says []string
	for _, k := range kinds {
		if n := c.Of(k); n != nil && *n > 0 {
			says = append(says, fmt.Sprintf("%d %s", *n, word(k)))
		}
	}
	return strings.Join(says, ", ")
}

// sentence is a sentence of the report with its times in the reader's zone.
func sentence(spans []report.Span, heavy bool) []span {
	says := make([]span, 0, len(spans))
	for _, s := range spans {
		switch {
		case s.At.IsZero():
			says = append(says, span{text: s.Text, bold: heavy})
		case s.Near:
			says = append(says, clock(s.At))
		default:
			says = append(says, date(s.At))
		}
	}
	return says
}

// ReportPages are the messages that list every backend, for the report's thread: at most five, the last of which counts
// what is left. There are none where the report's message names all backends.
func ReportPages(r report.Report) []Message {
	if backends, _, _ := r.Totals(); backends == 0 || few(r) {
		return nil
	}
	pools := r.WorstFirst()
	lists := fill(pools)
	messages := make([]Message, 0, len(lists))
	for i, lines := range lists {
		p := reportPage(r, pools)
		p.look, p.title = look{"clipboard", "#dddddd"}, "Backends of "+oneOrMany(len(pools), pools, func(p report.Pool) lb.CLB { return p.CLB })
		if len(lists) > 1 {
			p.title += fmt.Sprintf(", page %d of %d", i+1, len(lists))
		}
		columns := "name, address, weight, status"
		if slices.ContainsFunc(pools, func(p report.Pool) bool { return p.Kind == lb.Application }) {
			columns = "name, address, weight, listeners of application load balancers, status"
		}
		p.context = append(p.context, columns)
		messages = append(messages, p.render([]block{{pre(lines)}}))
	}
	return messages
}

// fill lists the backends of the load balancers, in pages of lines.
func fill(pools []report.Pool) [][]string {
	lists := []list{{}}
	add := func(lines, onNewPage []string) bool {
		if lists[len(lists)-1].take(lines) {
			return true
		}
		if len(lists) == maxLists {
			return false
		}
		lists = append(lists, list{})
		return lists[len(lists)-1].take(onNewPage)
	}
	full := false
	left, leftOn := 0, 0 // backends that are not listed, on load balancers
	for _, p := range pools {
		head := report.Name(p.CLB) + "  " + p.Share()
		if p.Backends > 0 {
			head = report.Name(p.CLB) + "  " + p.Ratio() + "  " + p.Share()
		}
		var rows []string
		if !full {
			rows = memberRows(p)
		}
		if len(rows) == 0 {
			full = full || !add([]string{head}, []string{head})
		}
		listed := 0
		for i, row := range rows {
			lines, onNewPage := []string{row}, []string{report.Name(p.CLB) + " (continued)", row}
			if i == 0 {
				lines, onNewPage = []string{head, row}, []string{head, row}
			}
			if full = !add(lines, onNewPage); full {
				break
			}
			listed++
		}
		if listed < p.Backends {
			left, leftOn = left+p.Backends-listed, leftOn+1
		}
	}
	pages := make([][]string, 0, len(lists))
	for _, l := range lists {
		pages = append(pages, l.lines)
	}
	if left > 0 {
		pages[len(pages)-1] = append(pages[len(pages)-1], fmt.Sprintf("… and %s on %s", text.Plural(left, "more backend"), text.Plural(leftOn, "load balancer")))
	}
	return pages
}

// memberRows are the backends of a load balancer: name, address, weight, listeners and state.
func memberRows(p report.Pool) []string {
	rows := make([][]string, 0, len(p.Members))
	for _, b := range p.Members {
		listeners := ""
		if p.Kind == lb.Application {
			on := make(map[string]bool)
			for _, x := range b.Bindings {
				on[x.Listener] = true
			}
			listeners = fmt.Sprint(len(on))
		}
		rows = append(rows, []string{"  " + text.Short(report.BackendName(b), maxMemberCells), report.Address(b), fmt.Sprintf("%3d", b.Weight), listeners, state(b)})
	}
	return text.Columns(rows, 5)
}

// plainRunning is the state of a backend that is well.
const plainRunning = "running"

// state is how a backend is in a word or two: its status, unless it is unhealthy or has none of its own.
func state(b lb.Backend) string {
	status, _, _ := strings.Cut(b.Status.String(), " (")
	switch ill, kind := len(b.Failing) > 0, text.Clean(b.Type, maxType); {
	case status == "unknown":
		return b.Status.String()
	case !b.Running():
		return status
	case ill && kind != "":
		return kind + ", unhealthy"
	case ill:
		return "unhealthy"
	case kind != "":
		return kind
	}
	return plainRunning
}

// list is one page of a listing.
type list struct {
	lines       []string
	bytes, json int
}

// take adds lines, if there is room for all of them.
func (l *list) take(lines []string) bool {
	bytes, quoted := l.bytes, l.json
	for _, s := range lines {
		q, err := json.Marshal(s)
		if err != nil {
			return false // no string is an error
		}
		bytes, quoted = bytes+len(s)+1, quoted+len(q)
	}
	if len(l.lines)+len(lines) > maxPageLines || bytes > maxPageText || quoted > maxPageJSON {
		return false
	}
	l.lines, l.bytes, l.json = append(l.lines, lines...), bytes, quoted
	return true
}
