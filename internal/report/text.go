package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/text"
)

// maxWhy is how many characters of an error, or of what to do about it, are shown.
const maxWhy = 300

// maxNamed is how many of those that cannot be read for one reason are named.
const maxNamed = 5

// maxOpen is how many silences, and how many open incidents, are listed.
const maxOpen = 20

// maxCourses is of how many load balancers the figures are listed.
const maxCourses = 50

// WriteJSON writes the report as indented JSON.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Look is how a report is written as text.
type Look struct {
	Color   bool
	Columns int            // of the terminal, to which errors are cut; 0: to maxWhy characters
	Zone    *time.Location // of times; nil is UTC
}

// WriteText writes the report for a terminal: silences, open incidents, a table of the load balancers, then
// what is not running or unhealthy, what could not be read, and what changed. Names cannot move the cursor,
// change a colour or start a line of their own.
func (r Report) WriteText(w io.Writer, look Look) error {
	t := terminal{Look: look, at: r.At, width: text.Width{Columns: look.Columns}}
	if t.Zone == nil {
		t.Zone = time.UTC
	}
	t.line(paint{bold, r.Severity().ink()}, r.Summary())
	t.line(paint{dim}, fmt.Sprintf("read %s in %.1f s; times are %s",
		r.At.In(t.Zone).Format("2006-01-02 15:04:05"), r.Took, zoneName(r.At.In(t.Zone))))
	if r.Note != "" {
		t.line(paint{yellow}, t.width.Fit("Note: "+text.Clean(r.Note, maxWhy), 0))
	}
	t.silences(r)
	t.open(r)
	pools := r.WorstFirst()
	t.pools(r, pools)
	t.course(r)
	for _, w := range Ways() {
		t.notWell(w, pools, r.ChangesFrom)
	}
	t.odd(pools)
	t.unread(r)
	t.changes(r)
	if t.width.Cut {
		t.line(nil, "")
		t.line(paint{dim}, text.IsCut)
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// ink is the number of a colour of the terminal's (ECMA-48, SGR).
type ink int

const (
	bold   ink = 1
	dim    ink = 2
	red    ink = 31
	green  ink = 32
	yellow ink = 33
)

func (s Severity) ink() ink {
	switch s {
	case Down:
		return red
	case Unknown, Partial:
		return yellow
	default:
		return green
	}
}

type paint []ink

// terminal is text for a terminal.
type terminal struct {
	strings.Builder
	Look
	at    time.Time // of the report
	width text.Width
}

// zoneName is the zone of a time, and how far it is from UTC.
func zoneName(t time.Time) string {
	return strings.TrimSuffix(t.Format("MST (UTC-07:00)"), " (UTC+00:00)")
}

// line writes one line, in colour if that is wanted.
func (t *terminal) line(p paint, s string) {
	if !t.Color || len(p) == 0 || s == "" {
		t.WriteString(s + "\n")
		return
	}
	for _, i := range p {
		s = fmt.Sprintf("\x1b[%dm", i) + s
	}
	t.WriteString(s + "\x1b[0m\n")
}

// head begins a section.
func (t *terminal) head(s string) {
	t.line(nil, "")
	t.line(paint{bold}, s)
}

func (t *terminal) pools(r Report, pools []Pool) {
	if len(pools) == 0 {
		return
	}
	strips := ""
	if r.Timeline != nil {
		strips = strings.ToUpper(strings.TrimPrefix(r.Back(), "the ") + " " + r.ByCell())
	}
	kinds := slices.ContainsFunc(pools, func(p Pool) bool { return p.Kind != lb.Classic })
	rows := [][]string{{"LOAD BALANCER", "ID", "REGION", "", "RUNNING", "", fmt.Sprintf("%-16s",
		"WEIGHT SERVING"), strips}}
	for _, p := range pools {
		ill := ""
		if n := len(p.Unhealthy); n > 0 {
			rows[0][5], ill = "UNHEALTHY", fmt.Sprint(n)
		}
		kind := ""
		if kinds {
			rows[0][3], kind = "KIND", text.Clean(p.Kind.String(), maxName)
		}
		id := text.Clean(p.CLB.ID, maxName)
		if id == Name(p.CLB) {
			id = "-"
		}
		rows = append(rows, []string{Name(p.CLB), id, text.Clean(p.CLB.Region, maxName), kind, p.Ratio(), ill,
			fmt.Sprintf("%-16s", p.Share()), fmt.Sprintf("%-*s", len(strips), strip(p))})
	}
	lines := text.Columns(rows, 4)
	t.head(lines[0])
	for i, l := range lines[1:] {
		var p paint
		if s := pools[i].Severity(); s != Well {
			p = paint{s.ink()}
		}
		t.line(p, l)
	}
}

// strip is how the load balancer stood over the time of the report, a character for each cell; "" if that is
// not known.
func strip(p Pool) string {
	if p.Course == nil {
		return ""
	}
	return p.Course.Strip
}

// course writes the figures of the time that the report looks back on: of all load balancers, and of those of
// which there is something to tell.
func (t *terminal) course(r Report) {
	all := r.Course()
	if all == "" {
		return
	}
	t.head(strings.ToUpper("in " + r.Back()))
	t.line(nil, all)
	pools, well := r.Courses()
	if len(pools) == 0 {
		return
	}
	rows := [][]string{append([]string{""}, FigureNames()...)}
	for _, p := range pools[:min(len(pools), maxCourses)] {
		rows = append(rows, append([]string{Name(p.CLB)}, FigureRow(p.Course.Figures)...))
	}
	for _, l := range text.Columns(rows, 9) {
		t.line(nil, l)
	}
	if more := len(pools) - maxCourses; more > 0 {
		t.line(nil, fmt.Sprintf("… and %d more", more))
	}
	if len(well) > 0 {
		t.line(nil, text.Plural(len(well), "other")+" in service all the time, with all of the weight")
	}
	for _, p := range pools {
		var names []string
		for _, f := range p.Course.Figures.Flapping {
			names = append(names, FlapperName(f))
		}
		if len(names) > 0 {
			t.line(nil, "Flapping on "+Name(p.CLB)+": "+text.Few(names, 3))
		}
	}
}

// odd writes what of the answers nobody can make sense of, and what is bound and not watched.
func (t *terminal) odd(pools []Pool) {
	var lines []string
	for _, p := range pools {
		for _, o := range p.Odd {
			lines = append(lines, Name(p.CLB)+": "+text.Clean(o, maxWhy))
		}
		if p.Functions > 0 {
			lines = append(lines, Name(p.CLB)+": "+text.Plural(p.Functions,
				"cloud function")+" bound, which clbwatch does not watch")
		}
	}
	if len(lines) == 0 {
		return
	}
	t.head("NOTES")
	for _, l := range lines {
		t.line(paint{yellow}, l)
	}
}

// notWell writes which backends are not well in one way, why, and since when, which is known from a time on.
func (t *terminal) notWell(w Way, pools []Pool, known time.Time) {
	head := strings.ToUpper(w.Name)
	for _, p := range pools {
		if len(w.Of(p)) == 0 {
			continue
		}
		if head != "" {
			t.head(head)
			head = ""
		}
		rows := make([][]string, 0, len(w.Of(p)))
		for _, b := range w.Of(p) {
			id := text.Clean(b.ID, maxName)
			if id == BackendName(b) {
				id = ""
			}
			rows = append(rows, []string{"  " + BackendName(b), Address(b), w.Why(b), t.outSince(b, known), id})
		}
		t.of(p.CLB, rows)
	}
}

// of writes what there is to tell about a load balancer.
func (t *terminal) of(c lb.CLB, rows [][]string) {
	t.line(nil, Name(c))
	for _, l := range text.Columns(rows, 5) {
		t.line(nil, l)
	}
}

// outSince says since when a backend is not running, or unhealthy; "" if that is not known.
func (t *terminal) outSince(b lb.Backend, known time.Time) string {
	out := cmp.Or(b.Out, b.Ill)
	switch {
	case out == nil && known.IsZero():
		return ""
	case out == nil: // no tick has seen it so
		return "seen just now"
	case out.AtLeast:
		return "since before " + t.stamp(out.Since)
	}
	return "since " + t.stamp(out.Since)
}

// stamp is a time, with as much of the date as it takes beside that of the report.
func (t *terminal) stamp(at time.Time) string {
	at, now := at.In(t.Zone), t.at.In(t.Zone)
	switch {
	case at.Year() != now.Year():
		return at.Format("Jan 2 2006 15:04")
	case at.YearDay() != now.YearDay():
		return at.Format("Jan 2 15:04")
	}
	return at.Format("15:04")
}

// unread writes what could not be read: together what is so for the same reason.
func (t *terminal) unread(r Report) {
	all := r.Unread()
	if len(all) > 0 {
		t.head("CANNOT BE READ")
	}
	for i, u := range all {
		same := func(v Unread) bool { return advice.Same(u.Err, v.Err) && u.Do == v.Do }
		if slices.ContainsFunc(all[:i], same) {
			continue
		}
		var what []string
		for _, v := range all[i:] {
			if same(v) {
				what = append(what, Objects(v.What, v.CLB, 1))
			}
		}
		t.line(nil, t.width.Fit(text.Few(what, maxNamed)+"  "+text.Clean(u.Err, maxWhy), 0))
		if u.Do != "" {
			t.line(nil, "  → "+text.Clean(u.Do, maxWhy))
		}
	}
}

// silences lists what is silenced.
func (t *terminal) silences(r Report) {
	if len(r.Silences) == 0 {
		return
	}
	t.head("Silences")
	for _, s := range r.Silences[:min(len(r.Silences), maxOpen)] {
		t.line(nil, fmt.Sprintf("  %s  %s  until %s%s", SilenceName(s), SilenceScope(s), t.stamp(s.Until),
			SilencedBy(s.By, s.Why)))
	}
	if more := len(r.Silences) - maxOpen; more > 0 {
		t.line(nil, fmt.Sprintf("  … and %d more", more))
	}
}

// open lists the incidents that are open.
func (t *terminal) open(r Report) {
	if len(r.Open) == 0 {
		return
	}
	t.head("Open incidents")
	for _, o := range r.Open[:min(len(r.Open), maxOpen)] {
		says := fmt.Sprintf("  incident %s  %s  %s since %s", o.ID, Name(o.CLB), o.Is(),
			o.Since.In(t.Zone).Format("2006-01-02 15:04 MST"))
		if o.Acknowledged {
			says += "  acknowledged" + strings.TrimPrefix(SilencedBy(o.By, ""), " ")
		}
		t.line(nil, says)
	}
	if more := len(r.Open) - maxOpen; more > 0 {
		t.line(nil, fmt.Sprintf("  … and %d more", more))
	}
}

func (t *terminal) changes(r Report) {
	title := r.ChangesTitle()
	if title == nil {
		return
	}
	t.head(strings.ToUpper(t.sentence(title)))
	for _, p := range r.Changed {
		rows := make([][]string, 0, len(p.Backends))
		for _, c := range p.Backends {
			rows = append(rows, []string{"  " + c.Backend, t.sentence(c.Says)})
		}
		t.of(p.CLB, rows)
	}
}

// sentence is spans as text.
func (t *terminal) sentence(spans []Span) string {
	var b strings.Builder
	for _, s := range spans {
		switch {
		case s.At.IsZero():
			b.WriteString(s.Text)
		case s.Near:
			b.WriteString(s.At.In(t.Zone).Format("15:04"))
		default:
			b.WriteString(t.stamp(s.At))
		}
	}
	return b.String()
}
