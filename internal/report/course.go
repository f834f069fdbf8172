package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/text"
	"clbwatch/internal/timeline"
)

// Course is how a load balancer stood over the time that the report looks back on.
type Course struct {
	Figures timeline.Figures `json:"-"`
	Numbers timeline.Numbers `json:"figures"` // the same
	// the share of the weight in service, a character for each cell: see timeline.Past
	Strip string `json:"strip"`
	// the same in numbers, 0 to 1, on average and at the least; null where nothing was seen
	Cells  []*float64 `json:"cells"`
	Lowest []*float64 `json:"lowest"`
}

// courseOf is how a load balancer stood; nil if that is not known.
func courseOf(past *timeline.Past, key string) *Course {
	l := past.Of(key)
	if l == nil || l.Watched == 0 {
		return nil
	}
	c := &Course{Figures: l.Figures, Numbers: l.Numbers(), Strip: past.Strip(l)}
	for _, cell := range past.Cells(l) {
		var share, lowest *float64
		if cell.Seen {
			share, lowest = new(number(cell.Share)), new(number(cell.Lowest))
		}
		c.Cells, c.Lowest = append(c.Cells, share), append(c.Lowest, lowest)
	}
	return c
}

// number has four digits behind the point, and is 1 only if nothing was missing.
func number(share float64) float64 {
	n := math.Round(share*1e4) / 1e4
	if n == 1 && share < 1 {
		return 0.9999
	}
	return n
}

// Percent is a share in words, with as many digits as it takes; "-" if it is not known. It is "100 %" only if
// nothing was missing, and "0 %" only if there was nothing.
func Percent(share float64, ok bool) string {
	p := share * 100
	switch {
	case !ok:
		return "-"
	case share >= 1:
		return "100 %"
	case share <= 0:
		return "0 %"
	case p < 0.01:
		return "0.01 %"
	case p >= 99.99:
		return "99.99 %"
	case p >= 99 || p < 1:
		return fmt.Sprintf("%.2f %%", math.Floor(p*100)/100)
	}
	return fmt.Sprintf("%.1f %%", math.Floor(p*10)/10)
}

// Back is the time that the report looks back on, in words: "the last 24 h".
func (r Report) Back() string { return "the last " + text.Duration(r.At.Sub(r.Since)) }

// ByCell says what one character of a strip stands for: "by the hour" or "by the day".
func (r Report) ByCell() string {
	if r.Timeline == nil || r.Timeline.Cell <= time.Hour {
		return "by the hour"
	}
	return "by the day"
}

// Courses are the load balancers of which it is known how they stood: those that were not wholly in service
// all the time, or not seen, or had incidents, the worst first; and the others.
func (r Report) Courses() (bad, well []Pool) {
	for _, p := range r.Pools {
		switch {
		case p.Course == nil:
		case p.Course.Figures.Well():
			well = append(well, p)
		default:
			bad = append(bad, p)
		}
	}
	slices.SortStableFunc(bad, func(a, b Pool) int { return a.Course.Figures.Worse(b.Course.Figures) })
	return bad, well
}

// FigureNames are what Figures are called, in their order.
func FigureNames() []string {
	return []string{"UP", "ALL WEIGHT", "IN SERVICE", "INCIDENTS", "RECOVERY", "WORST", "FLAPPING", "NOT SEEN"}
}

// FigureRow are figures in words, by FigureNames; "" where there is nothing to tell.
func FigureRow(f timeline.Figures) []string {
	count := func(n int) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	row := []string{Percent(f.Share(f.Up)), Percent(f.Share(f.Whole)), Percent(f.InService()),
		count(f.Incidents), "", "", count(f.Flaps), ""}
	if median, worst, ok := f.Recovery(); ok {
		row[4], row[5] = text.Duration(median), text.Duration(worst)
	}
	if n := f.NotSeen(); n > 0 {
		row[7] = Percent(n, true)
	}
	return row
}

// Course says how all load balancers stood over the time that the report looks back on, in a sentence; "" if
// that is not known.
func (r Report) Course() string {
	if r.Timeline == nil || r.Timeline.Total.Watched == 0 {
		return ""
	}
	f := r.Timeline.Total
	var says []string
	if f.Seen > 0 {
		says = append(says, "at least one backend running "+Percent(f.Share(f.Up))+" of the time",
			"all of the weight in service "+Percent(f.Share(f.Whole)))
	}
	if n := f.NotSeen(); n > 0 {
		says = append(says, Percent(n, true)+" not seen")
	}
	incidents := text.Plural(f.Incidents, "incident")
	if median, worst, ok := f.Recovery(); ok {
		incidents += ", recovered after " + text.Duration(median) + " (median), " + text.Duration(worst) +
			" at worst"
	}
	says = append(says, incidents, MessagesADay(f.Messages, r.At.Sub(r.Since)))
	if f.Flaps > 0 {
		says = append(says, text.Plural(f.Flaps, "backend")+" flapping")
	}
	return strings.Join(says, "  ·  ")
}

// MessagesADay is how many messages a day so many in a period are, in words.
func MessagesADay(n int, period time.Duration) string {
	days := period.Hours() / 24
	if days <= 1 {
		return text.Plural(n, "message")
	}
	a := float64(n) / days
	switch {
	case n > 0 && a < 0.1:
		return "less than 0.1 messages a day"
	case a < 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", a), ".0") + " messages a day"
	}
	return fmt.Sprintf("%.0f messages a day", a)
}

// FlapperName is what people call a backend that flaps, and how often it was out, Clean.
func FlapperName(f timeline.Flapper) string {
	return fmt.Sprintf("%s (%s)", MachineName(f.ID, f.Name), text.Plural(f.Outages, "outage"))
}

// MachineName is what people call a backend, Clean.
func MachineName(id, name string) string { return BackendName(lb.Backend{ID: id, Name: name}) }
