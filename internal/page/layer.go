package page

import (
	"slices"

	"github.com/go-analyze/charts/chartdraw"

	"clbwatch/internal/timeline"
)

// point is a place in a plot: seconds since 1970, and a share.
type point struct{ x, y float64 }

// span is a time, in seconds since 1970.
type span struct{ from, to float64 }

// layer is a part of a chart that has one colour, which its class says: lines or, filled, areas, all of them
// in one path.
type layer struct {
	class  string
	fill   bool
	shapes [][]point
}

var _ chartdraw.Series = layer{}

// GetName returns nothing: there is no legend in the picture.
func (l layer) GetName() string { return "" }

// GetYAxis returns the axis on the left.
func (l layer) GetYAxis() chartdraw.YAxisType { return chartdraw.YAxisSecondary }

// GetStyle returns nothing: the class says it all.
func (l layer) GetStyle() chartdraw.Style { return chartdraw.Style{} }

// Validate accepts all layers.
func (l layer) Validate() error { return nil }

// Render draws the layer.
func (l layer) Render(r chartdraw.Renderer, box chartdraw.Box, x, y chartdraw.Range, _ chartdraw.Style) {
	style := chartdraw.Style{ClassName: l.class, StrokeColor: chartdraw.ColorBlack, StrokeWidth: 1}
	if l.fill {
		style = chartdraw.Style{ClassName: l.class, FillColor: chartdraw.ColorBlack}
	}
	style.WriteDrawingOptionsToRenderer(r)
	for _, shape := range l.shapes {
		for n, p := range shape {
			draw := r.LineTo
			if n == 0 {
				draw = r.MoveTo
			}
			draw(box.Left+x.Translate(p.x), box.Bottom-y.Translate(p.y))
		}
	}
	if l.fill {
		r.Fill()
	} else {
		r.Stroke()
	}
	r.ResetStyle()
}

// boxes are times as areas between two heights.
func boxes(spans []span, low, high float64) (shapes [][]point) {
	for _, s := range spans {
		shapes = append(shapes, []point{{s.from, low}, {s.from, high}, {s.to, high}, {s.to, low}})
	}
	return shapes
}

// hatch are slanted lines in times, so many seconds apart, each of which takes so many seconds to climb by 1.
func hatch(spans []span, apart, slant float64) (shapes [][]point) {
	for _, s := range spans {
		for x := s.from - slant + apart/2; x < s.to; x += apart {
			from, to := max(x, s.from), min(x+slant, s.to)
			shapes = append(shapes, []point{{from, (from - x) / slant}, {to, (to - x) / slant}})
		}
	}
	return shapes
}

// joined are times in the order in which they begin, of which those become one that are less than so many
// seconds apart.
func joined(spans []span, apart float64) (all []span) {
	for _, s := range spans {
		if n := len(all) - 1; n >= 0 && s.from-all[n].to < apart {
			all[n].to = max(all[n].to, s.to)
			continue
		}
		all = append(all, s)
	}
	return all
}

// few are times of which those become one that are less than a pixel apart; if that leaves too many to be
// drawn, those that are further apart, too.
func few(spans []span, pixel float64) []span {
	for spans = joined(spans, pixel); len(spans) > maxSpans; pixel *= 2 {
		spans = joined(spans, 2*pixel)
	}
	return spans
}

// gaps are the times in which the load balancer was watched, and nothing was seen.
func (c chart) gaps() (all []span) {
	for _, r := range c.runs(func(cell timeline.Cell) bool { return cell.Watched && !cell.Seen }) {
		all = append(all, c.time(r))
	}
	return all
}

// watched are the parts of times, in order, in which the load balancer was watched.
func (c chart) watched(spans []span) (all []span) {
	for _, r := range c.runs(func(cell timeline.Cell) bool { return cell.Watched }) {
		for _, s := range spans {
			if s = (span{max(s.from, c.time(r).from), min(s.to, c.time(r).to)}); s.from < s.to {
				all = append(all, s)
			}
		}
	}
	return all
}

// time is when a run begins and ends.
func (c chart) time(r run) span { return span{unix(c.cells[r.first].From), c.end(r.last)} }

// end is when a cell ends.
func (c chart) end(n int) float64 {
	if n+1 < len(c.cells) {
		return unix(c.cells[n+1].From)
	}
	return unix(c.past.To)
}

// shares are all of the weight, on that what was missing of it, the lowest share in each cell where that is
// another than the average, and the average. Each run of cells that were seen is a shape of its own.
func (c chart) shares() []layer {
	share := func(cell timeline.Cell) float64 { return cell.Share }
	lowest := func(cell timeline.Cell) float64 { return cell.Lowest }

	line := layer{class: "share"}
	whole := layer{class: "serving", fill: true}
	for _, r := range c.runs(func(cell timeline.Cell) bool { return cell.Seen }) {
		line.shapes = append(line.shapes, level(c.steps(r, share))...)
		whole.shapes = append(whole.shapes, boxes([]span{c.time(r)}, 0, 1)...)
	}
	lost := layer{class: "lost", fill: true}
	for _, r := range c.runs(func(cell timeline.Cell) bool { return cell.Seen && cell.Share < 1 }) {
		lost.shapes = append(lost.shapes, between(c.steps(r, share), 1, 1))
	}
	least := layer{class: "least"}
	dips := func(cell timeline.Cell) bool { return cell.Seen && cell.Share-cell.Lowest > 0.005 }
	for _, r := range c.runs(dips) {
		dip := between(c.steps(r, lowest), c.cells[r.first].Share, c.cells[r.last].Share)
		least.shapes = append(least.shapes, dip)
	}
	return []layer{whole, lost, least, line}
}

// level are the level parts of steps: what goes up and down would hide short dips.
func level(steps []point) (all [][]point) {
	for pair := range slices.Chunk(steps, 2) {
		all = append(all, pair)
	}
	return all
}

// between are the points of a line with one before and one after, at other heights.
func between(line []point, first, last float64) []point {
	all := append([]point{{line[0].x, first}}, line...)
	return append(all, point{line[len(line)-1].x, last})
}

// run is several cells that follow one another.
type run struct{ first, last int }

// runs are the longest runs of cells that are so.
func (c chart) runs(is func(timeline.Cell) bool) (all []run) {
	for n, cell := range c.cells {
		switch {
		case !is(cell):
		case len(all) > 0 && all[len(all)-1].last == n-1:
			all[len(all)-1].last = n
		default:
			all = append(all, run{n, n})
		}
	}
	return all
}

// steps is a value of some cells as a line, with points only where it changes.
func (c chart) steps(r run, value func(timeline.Cell) float64) []point {
	y := value(c.cells[r.first])
	line := []point{{unix(c.cells[r.first].From), y}}
	for _, cell := range c.cells[r.first+1 : r.last+1] {
		if next := value(cell); next != y {
			line = append(line, point{unix(cell.From), y}, point{unix(cell.From), next})
			y = next
		}
	}
	return append(line, point{c.end(r.last), y})
}
