// Package page writes a report as one HTML page with charts, for people to look at and to pass on. All that a
// page shows is in it: the package refuses to name anything on a network, to run a script, and to write more
// than 6 MB, whatever there is to report.
package page

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/report"
	"clbwatch/internal/text"
	"clbwatch/internal/timeline"
)

//go:embed page.html page.css
var files embed.FS

// Bounds of the page, whatever the report says. What is left out is counted.
const (
	maxCharts    = 50
	maxBalancers = 1000 // rows of the table, as of the others
	maxIncidents = 500
	maxSilences  = 200
	maxFlapping  = 200
	maxNotes     = 20
	maxWhy       = 300 // characters of an error, or of what to do about it
)

// view is what the template shows.
type view struct {
	Title, Summary, Severity string
	Region                   string // of all load balancers; "" if there are several
	From, To                 moment
	Zone, Took               string
	Known                    bool // how load balancers stood
	Cell                     string
	Notes                    []note
	MoreNotes                int
	Figures                  []figure
	Charts, Well             []card // those with something to tell, the worst first; the others
	NotDrawn                 string // why not all load balancers have a chart; "" if they have
	Legend                   legend
	Balancers                balancers
	Incidents                incidents
	Silences                 silences
	Flapping                 flapping
}

// moment is a time.
type moment struct{ Machine, Human string }

// note is something that people must know before they look at figures.
type note struct{ What, Why, Do string }

// figure is one of the big numbers.
type figure struct{ Value, Name string }

// Write writes the report as a page, with times in a zone. Its Timeline has cells that are fine enough to be
// drawn (timeline.FineCellOf), or is nil.
func Write(w io.Writer, r report.Report, zone *time.Location) error {
	t, err := template.ParseFS(files, "page.html", "page.css")
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	p := printer{Report: r, zone: zone, region: oneRegion(r)}
	v, err := p.view()
	if err != nil {
		return err
	}
	if err := t.ExecuteTemplate(w, "page.html", v); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// printer puts a report into words and charts.
type printer struct {
	report.Report
	zone   *time.Location
	region string // see view
}

// oneRegion is the region of all load balancers; "" if there are several.
func oneRegion(r report.Report) string {
	all := make(map[string]bool)
	for _, p := range r.Pools {
		all[p.CLB.Region] = true
	}
	if r.Timeline != nil {
		for _, l := range r.Timeline.Lines {
			all[l.CLB.Region] = true
		}
	}
	if len(all) == 1 {
		for region := range all {
			return region
		}
	}
	return ""
}

func (p printer) view() (view, error) {
	all := p.balancers()
	v := view{
		Title: "Load balancers, " + strings.TrimPrefix(p.Back(), "the "), Summary: p.Summary(),
		Severity: severities[p.Severity()], Region: text.Clean(p.region, maxID),
		From: p.dated(p.Since), To: p.dated(p.At),
		Zone: zoneName(p.At.In(p.zone)), Took: fmt.Sprintf("%.1f s", p.Took),
		Known:     p.Timeline != nil && slices.ContainsFunc(all, balancer.known),
		Incidents: p.tableOfIncidents(all), Silences: p.tableOfSilences(), Flapping: tableOfFlapping(all),
	}
	v.Notes, v.MoreNotes = upTo(maxNotes, p.notes())
	if v.Known {
		v.Figures, v.Cell = p.figures(), text.Duration(p.Timeline.Cell)
		if err := p.charts(all, &v); err != nil {
			return view{}, err
		}
	}
	v.Balancers = p.tableOfBalancers(all) // with links to the charts
	return v, nil
}

// upTo are the first of some, and how many more there are.
func upTo[T any](most int, all []T) (some []T, more int) {
	some = all[:min(len(all), most)]
	return some, len(all) - len(some)
}

// severities are report.Severity as the page's classes have them.
var severities = map[report.Severity]string{
	report.Well: "well", report.Partial: "partial", report.Unknown: "unknown", report.Down: "bad",
}

// moment is a time for people, with the year where that is not the report's.
func (p printer) moment(t time.Time) moment {
	t, now := t.In(p.zone), p.At.In(p.zone)
	layout := "Jan 2 15:04"
	if t.Year() != now.Year() {
		layout = "Jan 2 2006 15:04"
	}
	return moment{t.Format(time.RFC3339), t.Format(layout)}
}

// until is when something ended that began at a time: without the day where that is the same.
func (p printer) until(from, to time.Time) moment {
	m := p.moment(to)
	if from, to = from.In(p.zone), to.In(p.zone); from.Year() == to.Year() && from.YearDay() == to.YearDay() {
		m.Human = to.Format("15:04")
	}
	return m
}

// dated is a time for people, with its year.
func (p printer) dated(t time.Time) moment {
	t = t.In(p.zone)
	return moment{t.Format(time.RFC3339), t.Format("Jan 2 2006 15:04")}
}

// zoneName is the zone of a time, and how far it is from UTC.
func zoneName(t time.Time) string {
	return strings.TrimSuffix(t.Format("MST (UTC-07:00)"), " (UTC+00:00)")
}

// notes are what the report lacks and what could not be read, then what is odd.
func (p printer) notes() (all []note) {
	if p.Note != "" {
		all = append(all, note{What: text.Clean(p.Note, maxWhy)})
	}
	for _, u := range p.Unread() {
		all = append(all, note{"Cannot " + report.Verb(u.What) + " " + report.Objects(u.What, u.CLB, 1),
			text.Clean(u.Err, maxWhy), text.Clean(u.Do, maxWhy)})
	}
	for _, pool := range p.WorstFirst() {
		for _, o := range pool.Odd {
			all = append(all, note{What: report.Name(pool.CLB), Why: text.Clean(o, maxWhy)})
		}
		if pool.Functions > 0 {
			all = append(all, note{What: report.Name(pool.CLB), Why: text.Plural(pool.Functions, "cloud function") +
				" bound, which clbwatch does not watch"})
		}
	}
	return all
}

// figures are the big numbers: sums over all load balancers.
func (p printer) figures() []figure {
	f := p.Timeline.Total
	percent := func(d time.Duration) string { return report.Percent(f.Share(d)) }
	open := 0
	for _, l := range p.Timeline.Lines {
		for _, m := range l.Marks {
			if m.Ended.IsZero() {
				open++
			}
		}
	}
	number, incidents, _ := strings.Cut(text.Plural(f.Incidents, "incident"), " ")
	if open > 0 {
		incidents += fmt.Sprintf(", %d open", open)
	}
	all := []figure{
		{percent(f.Up), "of the time, at least one backend was running"},
		{percent(f.Whole), "of the time, all of the weight was in service"},
		{number, incidents},
	}
	if median, worst, ok := f.Recovery(); ok {
		all = append(all, figure{text.Duration(median), "to recover (median)"},
			figure{text.Duration(worst), "to recover, at worst"})
	}
	messages := report.MessagesADay(f.Messages, p.At.Sub(p.Since))
	at := strings.Index(messages, " message")
	all = append(all, figure{messages[:at], messages[at+1:]})
	return append(all, figure{report.Percent(f.NotSeen(), true), "of the time was not seen"})
}

// markSays is an incident in a line.
func (p printer) markSays(m timeline.Mark) string {
	says := fmt.Sprintf("incident %s: %s, %s", text.Clean(m.ID, maxNumber), m.Level, p.moment(m.Began).Human)
	if m.Ended.IsZero() {
		return says + ", open for " + text.Duration(length(m, p.At))
	}
	return says + " – " + p.until(m.Began, m.Ended).Human + " (" + text.Duration(length(m, p.At)) + ")"
}
