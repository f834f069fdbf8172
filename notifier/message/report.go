package message

import (
	"cmp"
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
	maxOut       = 20 // backends named as not running, and as unhealthy
	maxChanged   = 15 // backends of which is told what happened to them; of more, the changes are counted
	maxFew       = 15 // backends of a single load balancer that the message names: then there are no pages
	maxType      = 12 // characters of what a backend is
	maxNameCells = 28 // cells of a load balancer's name in a row
	maxStrip     = 48 // characters that show how a load balancer stood over time: the last ones
)

// Report renders a report: silences and open incidents, then what is not running or unhealthy and what could
// not be read, then the load balancers, the worst first, then what changed, then how they stood over time, as
// far as there is room.
func Report(r report.Report, s Style) Message {
	pools := r.WorstFirst()
	p := s.reportPage(r, pools)
	p.look, p.title = reportLook(r), r.Summary()
	changed := r.Changed
	return p.message(func(room room) []block {
		var blocks []block
		if note := text.Clean(r.Note, maxWhy+100); note != "" {
			blocks = append(blocks, block{lineOf(bold("Note"), words("  "+note))})
		}
		blocks = append(blocks, silenceBlocks(r, room)...)
		blocks = append(blocks, s.openBlocks(r, room)...)
		single := len(pools) == 1 && pools[0].Err == ""
		if single {
			blocks = append(blocks, s.standBlock(pools[0]))
		}
		for _, w := range report.Ways() {
			blocks = append(blocks, notWellBlocks(w, r, pools, room)...)
		}
		blocks = append(blocks, s.unreadBlocks(r.Unread(), room)...)
		if single {
			blocks = append(blocks, runningBlocks(r)...)
		} else {
			blocks = append(blocks, standBlocks(pools, room)...)
		}
		blocks = append(blocks, changedBlocks(r, changed, room)...)
		return append(blocks, courseBlocks(r, room)...)
	})
}

// reportPage begins a message of the report: what all of them have in common.
func (s Style) reportPage(r report.Report, pools []report.Pool) page {
	clbs := make([]lb.CLB, 0, len(pools))
	for _, p := range pools {
		clbs = append(clbs, p.CLB)
	}
	read := line{words("read "), date(r.At)}
	switch {
	case r.Age > 0:
		read = line{words("as ticks stored it "), date(r.At), words(", " + text.Duration(r.Age) + " ago")}
	case r.Took >= 1:
		read = append(read, words(fmt.Sprintf(" in %.1f s", r.Took)))
	}
	if _, _, unread := r.Totals(); unread > 0 {
		of := text.Plural(len(pools), "load balancer")
		read = append(read, words(fmt.Sprintf("  ·  %d of %s read", len(pools)-unread, of)))
	}
	url := s.console() + "/clb"
	if len(clbs) == 1 && len(r.Unlisted) == 0 {
		url = s.clbURL(clbs[0])
	}
	for _, u := range r.Unlisted {
		clbs = append(clbs, u.CLB)
	}
	return page{url: url, context: []line{{words(regionsOf(clbs))}, read}, style: s}
}

func reportLook(r report.Report) look {
	backends, running, _ := r.Totals()
	ill := func(p report.Pool) bool { return len(p.Unhealthy) > 0 }
	switch s := r.Severity(); {
	case s == report.Down:
		return look{"red_circle", "#a30200"}
	case s == report.Unknown:
		return look{"warning", "#daa038"}
	case s == report.Partial && (running < backends || slices.ContainsFunc(r.Pools, ill)):
		return look{"large_orange_circle", "#e8912d"}
	case s == report.Partial: // nothing is out, and a load balancer is empty
		return look{"large_yellow_circle", "#daa038"}
	default:
		return look{"large_green_circle", "#2eb886"}
	}
}

// notWellBlocks name what is not well in one way, by load balancer and why. Where that is more than there is
// room for, each load balancer gets a fair share, the worst first.
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
	left := min(room.rows, maxOut)
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
			name := "  " + text.Short(report.BackendName(b.Backend), maxCells)
			rows = append(rows, []string{name, report.Address(b.Backend), outSince(b.Backend, r)})
		}
	}
	b := block{lineOf(bold(fmt.Sprintf("%s (%d)", strings.ToUpper(w.Name[:1])+w.Name[1:], out)))}
	var lines []string
	for i, row := range text.Columns(rows, 3) {
		switch first := i == 0 || heads[i] != heads[i-1]; {
		case first && w.Long: // what is preformatted is torn within words
			if len(lines) > 0 {
				b, lines = append(b, pre(lines)), nil
			}
			b = append(b, lineOf(words(heads[i])))
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
func (s Style) unreadBlocks(unread []report.Unread, room room) []block {
	left := len(unread)
	same := func(u, o report.Unread) bool { return u.What == o.What && u.Err == o.Err && u.Do == o.Do }
	groups := group(unread, same)
	most := min(room.clbs, 6) // blocks, and names in each
	var blocks []block
	for _, g := range groups[:min(len(groups), most)] {
		says := s.named(g[0].CLB)
		if len(g) > 1 {
			says = says[:1]
		}
		for _, u := range g[1:min(len(g), most)] {
			says = append(says, words(", "), s.named(u.CLB)[0])
		}
		if more := len(g) - most; more > 0 {
			says = append(says, words(fmt.Sprintf(" and %d more", more)))
		}
		says = append(says, words("  ·  "+cannot(g[0].What)))
		b := block{lineOf(says...), pre([]string{cmp.Or(text.Clean(g[0].Err, maxWhy), "(no reason given)")})}
		if do := text.Clean(g[0].Do, maxWhy); do != "" {
			b = append(b, lineOf(bold("What to do"), words("  "+do)))
		}
		blocks = append(blocks, b)
		left -= len(g)
	}
	if left > 0 {
		more := text.Plural(left, "more load balancer")
		blocks = append(blocks, block{lineOf(words("… and " + more + " that cannot be read"))})
	}
	return blocks
}

// standBlock says how a load balancer stands that is the only one.
func (s Style) standBlock(p report.Pool) block {
	says := s.named(p.CLB)
	if p.Kind != lb.Classic {
		says = append(says, words("  ·  "+text.Clean(p.Kind.String(), maxType)))
	}
	if p.Backends > 0 {
		now := lb.Capacity{Running: p.Running, Total: p.Backends, Ill: len(p.Unhealthy)}
		says = append(says, words("  ·  "+allRunning(now)))
	}
	share := p.Share()
	if p.Backends > 0 && p.Weight > 0 {
		share += " of weight"
	}
	return block{lineOf(append(says, words("  ·  "+share))...)}
}

// runningBlocks name the running backends of the only load balancer, where they are few.
func runningBlocks(r report.Report) []block {
	p := r.Pools[0]
	if !few(r) || p.Running == 0 {
		return nil
	}
	var names []string
	for _, b := range p.Members[len(p.NotRunning)+len(p.Unknown):] {
		name := text.Short(report.BackendName(b), maxNameCells)
		if s := state(b); s != plainRunning {
			name += " (" + s + ")"
		}
		names = append(names, name)
	}
	head := bold(fmt.Sprintf("Running (%d)", p.Running))
	return []block{{lineOf(head, words("  "+strings.Join(names, ", ")))}}
}

// few reports whether there is one load balancer, with so few backends that the message names them all.
func few(r report.Report) bool {
	if len(r.Pools) != 1 {
		return false
	}
	p := r.Pools[0]
	return len(p.Members) == p.Backends && p.Backends <= maxFew
}

// standBlocks are a table of the load balancers that could be read.
func standBlocks(pools []report.Pool, room room) []block {
	pools = slices.DeleteFunc(slices.Clone(pools), func(p report.Pool) bool { return p.Err != "" })
	if len(pools) == 0 {
		return nil
	}
	shown, widest := min(len(pools), room.clbs), 0
	for _, p := range pools[:shown] {
		widest = max(widest, len(p.Ratio()))
	}
	lines := make([]string, 0, shown+1)
	for _, p := range pools[:shown] { // the name last: where a row is too wide, nothing else is torn
		name := text.Short(report.Name(p.CLB), maxNameCells)
		l := fmt.Sprintf("%-16s  %*s  %s", p.Share(), widest, p.Ratio(), name)
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
	return []block{{lineOf(bold("In service"), words("  of weight, of backends")), pre(lines)}}
}

// openBlocks list the incidents that are open, the worst first.
func (s Style) openBlocks(r report.Report, room room) []block {
	if len(r.Open) == 0 {
		return nil
	}
	b := block{lineOf(bold(fmt.Sprintf("Open incidents (%d)", len(r.Open))))}
	shown := min(len(r.Open), room.clbs)
	for _, o := range r.Open[:shown] {
		says := append(line{words("incident " + o.ID + "  ")}, s.named(o.CLB)[0], words("  "+o.Is()+" since "),
			date(o.Since))
		if o.Acknowledged {
			says = append(append(says, words("  ·  acknowledged")), by("", o.By, maxByCells)...)
		}
		b = append(b, lineOf(says...))
	}
	if more := len(r.Open) - shown; more > 0 {
		b = append(b, lineOf(words(fmt.Sprintf("… and %d more", more))))
	}
	return []block{b}
}

// courseBlocks show how load balancers stood over the time of the report: a character for each hour or day,
// the worst first.
func courseBlocks(r report.Report, room room) []block {
	all := r.Course()
	if all == "" {
		return nil
	}
	b := block{lineOf(bold("In "+r.Back()), words("  "+all))}
	bad, well := r.Courses()
	pools := slices.Concat(bad, well)
	shown := min(len(pools), room.clbs)
	cells := 0
	lines := make([]string, 0, 2*shown+1) // a phone has no room for both in one
	for _, p := range pools[:shown] {
		strip := []rune(p.Course.Strip)
		cells = len(strip)
		name := ""
		if len(r.Pools) > 1 {
			name = "  " + text.Short(report.Name(p.CLB), maxNameCells)
		}
		lines = append(lines, fmt.Sprintf("%7s%s", report.Percent(p.Course.Figures.InService()), name),
			string(strip[max(0, len(strip)-maxStrip):]))
	}
	if rest := pools[shown:]; len(rest) > 0 {
		more := "… and " + text.Plural(len(rest), "more load balancer")
		if rest[0].Course.Figures.Well() {
			more += ", in service all the time"
		}
		lines = append(lines, more)
	}
	if len(lines) > 0 {
		key := "Weight in service " + r.ByCell()
		if cells > maxStrip {
			key += fmt.Sprintf(", the last %d", maxStrip)
		}
		b = append(b, lineOf(words(key)), pre(lines))
	}
	return []block{b}
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
	b := block{lineOf(sentence(title, len(pools) > 0)...)}
	if backends <= min(room.rows, maxChanged) {
		for _, p := range pools {
			for _, c := range p.Backends {
				says := append(line{bold(c.Backend), words("  ")}, sentence(c.Says, false)...)
				if len(r.Pools) > 1 {
					says = append(line{words(report.Name(p.CLB) + "  ")}, says...)
				}
				b = append(b, lineOf(says...))
			}
		}
		return []block{b}
	}
	shown := pools[:min(len(pools), room.clbs)]
	for _, p := range shown {
		b = append(b, lineOf(bold(report.Name(p.CLB)), words("  "+report.Counted(p.Counts))))
		changes -= p.Counts.Total()
	}
	if more := len(pools) - len(shown); more > 0 {
		on := text.Plural(more, "more load balancer")
		b = append(b, lineOf(words("… and "+on+" with "+text.Plural(changes, "change"))))
	}
	return []block{b}
}

// sentence is a sentence of the report with its times in the reader's zone.
func sentence(spans []report.Span, heavy bool) line {
	says := make(line, 0, len(spans))
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
