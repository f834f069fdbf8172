package message

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// Bounds of the pages that list every backend: about the longest message that people still read.
const (
	maxLists     = 5
	maxPageLines = 110   // and the line that counts what is left
	maxPageText  = 7_300 // bytes; with title, context and that line below 8,000
	maxPageJSON  = 9_000 // bytes of the same in JSON, where < takes six
)

// ReportPages are the messages that list every backend, for the report's thread: at most five, the last of
// which counts what is left. There are none where the report's message names all backends.
func ReportPages(r report.Report, s Style) []Message {
	if backends, _, _ := r.Totals(); backends == 0 || few(r) {
		return nil
	}
	pools := r.WorstFirst()
	lists := fill(pools)
	messages := make([]Message, 0, len(lists))
	whose := text.Plural(len(pools), "load balancer")
	if len(pools) == 1 {
		whose = report.Name(pools[0].CLB)
	}
	for i, lines := range lists {
		p := s.reportPage(r, pools)
		p.look, p.title = look{"clipboard", "#dddddd"}, "Backends of "+whose
		if len(lists) > 1 {
			p.title += fmt.Sprintf(", page %d of %d", i+1, len(lists))
		}
		columns := "name, address, weight, status"
		if slices.ContainsFunc(pools, func(p report.Pool) bool { return p.Kind == lb.Application }) {
			columns = "name, address, weight, listeners of application load balancers, status"
		}
		p.context = append(p.context, line{words(columns)})
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
		last := &pages[len(pages)-1]
		more, on := text.Plural(left, "more backend"), text.Plural(leftOn, "load balancer")
		*last = append(*last, fmt.Sprintf("… and %s on %s", more, on))
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
		name, weight := "  "+text.Short(report.BackendName(b), maxCells), fmt.Sprintf("%3d", b.Weight)
		rows = append(rows, []string{name, report.Address(b), weight, listeners, state(b)})
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
