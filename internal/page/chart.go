package page

import (
	"bytes"
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/go-analyze/charts/chartdraw"

	"clbwatch/internal/incident"
	"clbwatch/internal/timeline"
)

// size is one in which a chart is drawn. Its text is not scaled with the page, so there is one for each width
// of the window.
type size struct {
	Class         string
	Width, Height int // pixels, at which text is as large as on the page
	labels        int // of the time axis, at most
}

var (
	wide   = size{"wide", 1160, 170, 9}
	narrow = size{"narrow", 340, 150, 5}
	small  = size{"small", 340, 90, 4} // of what is well
)

// Where things are, in the unit of the share: 0 and 1 are 0 % and 100 %.
const (
	bottom  = -0.24 // of the lane of incidents
	top     = 1.12
	capFrom = 1.05 // of the bar above a silence
)

// heights are how high the bar of an incident is, by its level: its colour is not the only sign.
var heights = map[incident.Level]float64{incident.OK: 0.04, incident.Impaired: 0.07, incident.Degraded: 0.12,
	incident.Down: 0.18}

// maxMarks is of how many incidents there are marks in one chart: more could not be told apart.
const maxMarks = 60

// maxSpans is how many times are shaded in one chart.
const maxSpans = 120

// chart is what is drawn of one load balancer.
type chart struct {
	past     *timeline.Past
	cells    []timeline.Cell
	marks    []timeline.Mark // the worst first
	silences []span          // that cover it, in order, without overlaps
	zone     *time.Location
	says     func(timeline.Mark) string // what is shown of an incident
}

// drawing is a chart in one size.
type drawing struct {
	size
	SVG  template.HTML // what is in the svg element
	Hits []hit         // what is shown of an incident where the pointer is on it
}

// hit is the part of a drawing that belongs to an incident.
type hit struct {
	X, Y, Width, Height int
	Says                string
}

// draw draws the chart in one size. chartdraw does the axes, the scales and the SVG. What is in the plot is
// layers: chartdraw's own series have no gaps and shade nothing, and its grid has no class, so that it could
// not be both light and dark.
func (c chart) draw(s size) (drawing, error) {
	axis := func(class string) chartdraw.Style {
		return chartdraw.Style{ClassName: class, FontStyle: chartdraw.FontStyle{FontSize: 12}}
	}
	from, to := unix(c.past.From), unix(c.past.To)
	times := []chartdraw.Tick{{Value: from}} // the first and last are the range
	// half a label, which would make the plot narrower
	margin := time.Duration(float64(c.past.To.Sub(c.past.From)) * 22 / float64(s.Width))
	for _, t := range ticks(c.past.From, c.past.To, c.zone, s.labels) {
		if c.past.To.Sub(t.at) > margin {
			times = append(times, chartdraw.Tick{Value: unix(t.at), Label: t.label})
		}
	}
	shares := []chartdraw.Tick{{Value: bottom}, {Value: 0, Label: "0 %"}, {Value: 0.5, Label: "50 %"},
		{Value: 1, Label: "100 %"}, {Value: top}}
	var plot chartdraw.Box
	picture := chartdraw.Chart{
		Width: s.Width, Height: s.Height, DPI: 72, Series: c.layers(s),
		Background: chartdraw.Style{ClassName: "none", Padding: chartdraw.Box{Top: 1, Left: 1, Right: 1, Bottom: 1,
			IsSet: true}},
		Canvas: chartdraw.Style{ClassName: "none"},
		XAxis: chartdraw.XAxis{Style: axis("time"), Ticks: append(times, chartdraw.Tick{Value: to}),
			GridMajorStyle: chartdraw.Hidden(), GridMinorStyle: chartdraw.Hidden()},
		// the primary axis is on the right
		YAxis: chartdraw.YAxis{Style: chartdraw.Hidden(), Range: &chartdraw.ContinuousRange{Max: 1}},
		YAxisSecondary: chartdraw.YAxis{Style: axis("percent"), Ticks: shares,
			Zero:           chartdraw.GridLine{Style: chartdraw.Hidden()},
			GridMajorStyle: chartdraw.Hidden(), GridMinorStyle: chartdraw.Hidden()},
		Elements: []chartdraw.Renderable{func(_ chartdraw.Renderer, box chartdraw.Box, _ chartdraw.Style) {
			plot = box
		}},
	}
	var b bytes.Buffer
	if err := picture.Render(chartdraw.SVG, &b); err != nil {
		return drawing{}, fmt.Errorf("draw a chart: %w", err)
	}
	d := drawing{size: s, SVG: inner(b.Bytes())}
	if s == wide { // a phone has no pointer
		d.Hits = c.hits(plot)
	}
	return d, nil
}

// inner is what is in the svg element that chartdraw writes. Its own start tag names the namespaces, which
// HTML does not need, and nothing else that the page wants.
func inner(svg []byte) template.HTML {
	_, svg, _ = bytes.Cut(svg, []byte(">"))
	svg = bytes.TrimSuffix(svg, []byte("</svg>"))
	//nolint:gosec // chartdraw's: numbers, our class names, and labels of ours, which it escapes
	return template.HTML(svg)
}

// unix is a time as axes have it.
func unix(t time.Time) float64 { return float64(t.Unix()) }

// layers are all that is drawn in the plot, from back to front.
func (c chart) layers(s size) []chartdraw.Series {
	from, to := unix(c.past.From), unix(c.past.To)
	across := func(y float64) []point { return []point{{from, y}, {to, y}} }
	// a pixel, as time and as share: nearly, because the axes take some room
	px, py := (to-from)/float64(s.Width-50), (top-bottom)/float64(s.Height-40)
	unseen := c.gaps()
	silences, areas := few(c.silences, px), c.shares()
	all := []layer{
		{class: "unseen", fill: true, shapes: boxes(unseen, 0, 1)},
		{class: "hatch", shapes: hatch(unseen, 7*px, px/py)},
	}
	all = append(all, areas[:2]...)
	all = append(all,
		layer{class: "silence", fill: true, shapes: boxes(silences, 0, 1)},
		layer{class: "cap", fill: true, shapes: boxes(silences, capFrom, top)},
		layer{class: "grid", shapes: [][]point{across(1), across(0.5)}},
		layer{class: "zero", shapes: [][]point{across(0)}})
	all = append(all, areas[2:]...)
	for _, l := range []incident.Level{incident.OK, incident.Impaired, incident.Degraded, incident.Down} {
		var bars [][]point
		for _, m := range c.marks {
			if m.Level == l {
				at := c.during(m, 3*px)
				bars = append(bars, boxes([]span{at}, bottom+0.02, bottom+0.02+heights[l])...)
			}
		}
		all = append(all, layer{class: l.String(), fill: true, shapes: bars})
	}
	series := make([]chartdraw.Series, 0, len(all))
	for _, l := range all {
		series = append(series, l)
	}
	return series
}

// during is when an incident was within the period, at least so many seconds long, so that it can be seen.
func (c chart) during(m timeline.Mark, least float64) span {
	from, to := unix(c.past.From), unix(c.past.To)
	s := span{max(unix(m.Began), from), to}
	if !m.Ended.IsZero() {
		s.to = min(unix(m.Ended), to)
	}
	s.from = max(min(s.from, to-least), from)
	s.to = max(s.to, s.from+least)
	return s
}

// hits are where the pointer finds the incidents in a plot, the worst on top.
func (c chart) hits(plot chartdraw.Box) []hit {
	from, to := unix(c.past.From), unix(c.past.To)
	perPixel := (to - from) / float64(max(plot.Width(), 1))
	hits := make([]hit, 0, len(c.marks))
	for _, m := range slices.Backward(c.marks) {
		at := c.during(m, 6*perPixel)
		hits = append(hits, hit{X: plot.Left + int((at.from-from)/perPixel), Y: plot.Top,
			Width: int((at.to - at.from) / perPixel), Height: plot.Height(), Says: c.says(m)})
	}
	return hits
}
