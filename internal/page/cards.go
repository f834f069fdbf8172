package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
	"clbwatch/internal/timeline"
)

// card is a chart with what is said about it.
type card struct {
	ID, Name, About, Now, Severity string
	Facts                          []figure
	Flapping                       string
	NotMarked                      int    // incidents without a mark
	Label                          string // for those who do not see the picture
	Drawings                       []drawing
}

// legend says which signs there are in the charts.
type legend struct {
	Lowest, Lost, Silence, Unseen, Unwatched bool
	Levels                                   []string
}

// charts draws the load balancers, those with something to tell first. Where there are many, those without
// have no chart: they all look alike.
func (p printer) charts(all []balancer, v *view) error {
	n := len(all)
	for n > 0 && all[n-1].rank() == 2 {
		n--
	}
	known := all[:n]
	telling := slices.IndexFunc(known, func(b balancer) bool { return b.rank() > 0 })
	if telling < 0 {
		telling = n
	}
	if n > maxCharts {
		n = min(telling, maxCharts)
	}
	levels := make(map[incident.Level]bool)
	for i := range known[:n] {
		b := &known[i]
		b.id = fmt.Sprintf("chart-%d", i+1)
		c := p.chartOf(*b)
		sizes := []size{wide, narrow}
		if i >= telling {
			sizes = []size{small}
		}
		made, err := p.card(*b, c, sizes)
		if err != nil {
			return err
		}
		if i >= telling {
			v.Well = append(v.Well, made)
		} else {
			v.Charts = append(v.Charts, made)
		}
		v.Legend.add(c)
		for _, m := range c.marks {
			levels[m.Level] = true
		}
	}
	for _, l := range []incident.Level{incident.OK, incident.Impaired, incident.Degraded, incident.Down} {
		if levels[l] {
			v.Legend.Levels = append(v.Legend.Levels, l.String())
		}
	}
	v.NotDrawn = notDrawn(telling-n, len(known)-max(n, telling))
	return nil
}

// notDrawn says which load balancers have no chart: of those with something to tell, and of the others.
func notDrawn(telling, well int) string {
	var says []string
	if telling > 0 {
		says = append(says, text.Plural(telling, "load balancer")+" less bad than these")
	}
	if well > 0 {
		says = append(says, text.Plural(well, "load balancer")+" with all of the weight in service")
	}
	if len(says) == 0 {
		return ""
	}
	return "Only in the table: " + strings.Join(says, "; ") + "."
}

// chartOf is what is drawn of a load balancer.
func (p printer) chartOf(b balancer) chart {
	c := chart{past: p.Timeline, cells: p.Timeline.Cells(b.line), zone: p.zone, says: p.markSays}
	ours := make(map[string]bool)
	for _, m := range b.line.Marks {
		ours[m.ID] = true
	}
	for _, s := range p.Timeline.Silences {
		if s.What != "" && b.clb.Matches(s.What) || s.Incident != "" && ours[s.Incident] {
			c.silences = append(c.silences, span{unix(s.From), unix(s.To)})
		}
	}
	c.silences = c.watched(joined(c.silences, 1))
	marks := slices.Clone(b.line.Marks)
	slices.SortStableFunc(marks, func(a, b timeline.Mark) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), b.Began.Compare(a.Began))
	})
	c.marks = marks[:min(len(marks), maxMarks)]
	return c
}

// add notes which signs a chart has.
func (l *legend) add(c chart) {
	l.Silence = l.Silence || len(c.silences) > 0
	for _, cell := range c.cells {
		l.Lost = l.Lost || cell.Seen && cell.Share < 1
		l.Lowest = l.Lowest || cell.Seen && cell.Lowest < cell.Share
		l.Unseen = l.Unseen || cell.Watched && !cell.Seen
		l.Unwatched = l.Unwatched || !cell.Watched
	}
}

// card draws the chart of a load balancer in some sizes, and says what there is to say.
func (p printer) card(b balancer, c chart, sizes []size) (made card, err error) {
	made = card{ID: b.id, Name: report.Name(b.clb), About: p.about(b.clb)}
	made.Now, made.Severity = b.now()
	for n, s := range report.FigureRow(b.line.Figures) {
		if s != "" {
			made.Facts = append(made.Facts, figure{s, strings.ToLower(report.FigureNames()[n])})
		}
	}
	var names []string
	for _, f := range b.line.Flapping {
		names = append(names, report.FlapperName(f))
	}
	made.Flapping = text.Few(names, 3)
	made.NotMarked = b.line.Incidents - len(c.marks)
	made.Label = label(b.line.Figures, p.Back())
	for _, s := range sizes {
		d, err := c.draw(s)
		if err != nil {
			return card{}, fmt.Errorf("%s: %w", made.Name, err)
		}
		made.Drawings = append(made.Drawings, d)
	}
	return made, nil
}

// label is a chart in a sentence.
func label(f timeline.Figures, back string) string {
	return fmt.Sprintf("Share of the weight in service over %s: %s on average, %s", back,
		report.Percent(f.InService()), text.Plural(f.Incidents, "incident"))
}
