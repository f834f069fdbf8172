package page

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/go-analyze/charts/chartdraw"

	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
	"clbwatch/internal/timeline"
)

// balancers is the table of all load balancers.
type balancers struct {
	Columns []string
	Rows    []balancerRow
	More    int
}

type balancerRow struct {
	Chart, Name, About, Now, Severity string
	Strip                             template.HTML // what is in its svg element; "" if nothing is known
	Figures                           []string
}

func (p printer) tableOfBalancers(all []balancer) (t balancers) {
	t.Columns = report.FigureNames()
	all, t.More = upTo(maxBalancers, all)
	for _, b := range all {
		row := balancerRow{Chart: b.id, Name: report.Name(b.clb), About: p.about(b.clb),
			Figures: make([]string, len(t.Columns))}
		row.Now, row.Severity = b.now()
		if b.known() {
			row.Figures, row.Strip = report.FigureRow(b.line.Figures), p.strip(b.line)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// stripSize is that of a strip: a chart that fits into a line of a table.
var stripSize = size{"strip", 120, 18, 0}

// maxStrip is how many cells there are in a strip.
const maxStrip = 60

// strip is how a load balancer stood, small.
func (p printer) strip(l *timeline.Line) template.HTML {
	c := chart{past: p.Timeline, cells: coarse(p.Timeline.Cells(l)), zone: p.zone}
	r := chartdraw.SVG(stripSize.Width, stripSize.Height)
	box := chartdraw.Box{Right: stripSize.Width, Bottom: stripSize.Height, IsSet: true}
	x := &chartdraw.ContinuousRange{Min: unix(p.Timeline.From), Max: unix(p.Timeline.To),
		Domain: stripSize.Width}
	y := &chartdraw.ContinuousRange{Max: 1, Domain: stripSize.Height}
	layer{class: "unseen", fill: true, shapes: boxes(c.gaps(), 0, 1)}.Render(r, box, x, y, chartdraw.Style{})
	for _, l := range c.shares() {
		if l.fill {
			l.Render(r, box, x, y, chartdraw.Style{})
		}
	}
	var b bytes.Buffer
	_ = r.Save(&b) // a buffer takes all of it
	return inner(b.Bytes())
}

// coarse are the cells of a period as fewer cells, each of which is the worst of several.
func coarse(cells []timeline.Cell) []timeline.Cell {
	each := (len(cells) + maxStrip - 1) / maxStrip
	var all []timeline.Cell
	for some := range slices.Chunk(cells, max(each, 1)) {
		c := timeline.Cell{From: some[0].From, Share: 1, Lowest: 1}
		for _, s := range some {
			c.Watched, c.Seen = c.Watched || s.Watched, c.Seen || s.Seen
			if s.Seen {
				c.Share, c.Lowest = min(c.Share, s.Share), min(c.Lowest, s.Lowest)
			}
		}
		all = append(all, c)
	}
	return all
}

// incidents is the table of incidents.
type incidents struct {
	Rows []incidentRow
	More int
}

type incidentRow struct {
	Number, Name, Level, Took string
	Open                      string // of one that goes on: "open", and who has acknowledged it
	Began, Ended              moment
}

// tableOfIncidents lists incidents, newest first; if there are too many, the worst of them.
func (p printer) tableOfIncidents(all []balancer) (t incidents) {
	type found struct {
		timeline.Mark
		b balancer
	}
	var marks []found
	for _, b := range all {
		if b.line == nil {
			continue
		}
		for _, m := range b.line.Marks {
			marks = append(marks, found{m, b})
		}
		t.More += b.line.Incidents - len(b.line.Marks)
	}
	newest := func(a, b found) int { return cmp.Or(b.Began.Compare(a.Began), cmp.Compare(b.ID, a.ID)) }
	slices.SortFunc(marks, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), newest(a, b))
	})
	marks, more := upTo(maxIncidents, marks)
	t.More += more
	slices.SortFunc(marks, newest)
	open := make(map[string]report.Open)
	for _, o := range p.Open {
		open[o.ID] = o
	}
	for _, m := range marks {
		row := incidentRow{Number: text.Clean(m.ID, maxNumber), Name: report.Name(m.b.clb), Level: m.Level.String(),
			Took: text.Duration(length(m.Mark, p.At)), Began: p.moment(m.Began), Ended: p.until(m.Began, m.Ended)}
		if m.Ended.IsZero() {
			row.Open = "open" + acknowledged(open[m.ID])
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// acknowledged adds to the state of an incident who has acknowledged it.
func acknowledged(o report.Open) string {
	switch by := text.Clean(o.By, incident.MaxSilenceText); {
	case !o.Acknowledged:
		return ""
	case by == "":
		return ", acknowledged"
	default:
		return ", acknowledged by " + by
	}
}

// silences is the table of silences.
type silences struct {
	Rows []silenceRow
	More int
}

type silenceRow struct {
	Name, Scope, Times, All, By, Why string
	From, To                         moment
}

// tableOfSilences lists silences, newest first. What recurs, such as a window of the settings, is one row.
func (p printer) tableOfSilences() (t silences) {
	if p.Timeline == nil {
		return t
	}
	type sum struct {
		last  timeline.Silence
		times int
		took  time.Duration
	}
	sums := make(map[[2]string]*sum)
	var order []*sum
	for _, s := range slices.Backward(p.Timeline.Silences) {
		id := [2]string{s.ID, s.Scope()}
		if sums[id] == nil {
			sums[id] = &sum{last: s}
			order = append(order, sums[id])
		}
		from := s.From
		if from.Before(p.Timeline.From) {
			from = p.Timeline.From
		}
		sums[id].times++
		sums[id].took += max(s.To.Sub(from), 0)
	}
	order, t.More = upTo(maxSilences, order)
	for _, s := range order {
		row := silenceRow{Name: report.SilenceName(s.last.Silence), Scope: report.SilenceScope(s.last.Silence),
			All: text.Duration(s.took), By: text.Clean(s.last.By, incident.MaxSilenceText),
			Why: text.Clean(s.last.Why, incident.MaxSilenceText), From: p.moment(s.last.From),
			To: p.until(s.last.From, s.last.End())}
		if s.times > 1 {
			row.Times = fmt.Sprintf("%d times, last ", s.times)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// flapping is the table of backends that were out again and again.
type flapping struct {
	Rows []flappingRow
	More int
}

type flappingRow struct {
	Balancer, Backend string
}

func tableOfFlapping(all []balancer) (t flapping) {
	for _, b := range all {
		if b.line == nil {
			continue
		}
		for _, f := range b.line.Flapping {
			t.Rows = append(t.Rows, flappingRow{report.Name(b.clb), report.FlapperName(f)})
		}
		t.More += b.line.Flaps - len(b.line.Flapping)
	}
	rows, more := upTo(maxFlapping, t.Rows)
	return flapping{rows, t.More + more}
}
