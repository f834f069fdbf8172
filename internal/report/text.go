package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"

	"clbwatch/internal/watch"
)

// maxName is how many characters of a name are shown: enough to tell names apart, too little to hide a line behind.
const maxName = 48

// maxColumn is the widest column that rows are aligned to, in cells.
const maxColumn = 32

// Totals adds up the load balancers that could be read; unread is how many could not.
func (r Report) Totals() (backends, running, unread int) {
	for _, p := range r.Pools {
		if p.Err != "" {
			unread++
			continue
		}
		backends, running = backends+p.Backends, running+p.Running
	}
	return backends, running, unread
}

// Summary is the report in one line, such as "9 of 12 backends running on prod-web". It holds no control characters.
func (r Report) Summary() string {
	backends, running, unread := r.Totals()
	read := len(r.Pools) - unread
	where := func(n int) string {
		if len(r.Pools) == 1 {
			return Name(r.Pools[0].CLB)
		}
		return Plural(n, "load balancer")
	}
	var s string
	switch {
	case read == 0:
		return "Cannot read " + where(unread)
	case backends == 0 && read == 1:
		s = where(read) + " has no backends"
	case backends == 0:
		s = where(read) + " have no backends"
	default:
		s = fmt.Sprintf("%d of %s running on %s", running, Plural(backends, "backend"), where(read))
	}
	if unread > 0 {
		s += fmt.Sprintf(", %d cannot be read", unread)
	}
	return s
}

// WriteText writes the report for a terminal: a table of the load balancers, then what is not running and what could
// not be read. Names cannot move the cursor or start a line of their own.
func (r Report) WriteText(w io.Writer) error {
	pools := [][]string{{"LOAD BALANCER", "ID", "REGION", "BACKENDS", "RUNNING", "NOT RUNNING"}}
	var out, unread [][]string
	for _, p := range r.Pools {
		id := Clean(p.CLB.ID, maxName)
		if id == Name(p.CLB) {
			id = "-"
		}
		row := []string{Name(p.CLB), id, Clean(p.CLB.Region, maxName)}
		if p.Err != "" {
			pools = append(pools, append(row, "-", "-", "-"))
			unread = append(unread, []string{Name(p.CLB), Clean(p.Err, 300)})
			if p.Do != "" {
				unread = append(unread, []string{"", "→ " + Clean(p.Do, 300)})
			}
			continue
		}
		pools = append(pools, append(row, fmt.Sprint(p.Backends), fmt.Sprint(p.Running), fmt.Sprint(p.Backends-p.Running)))
		for _, b := range p.NotRunning {
			out = append(out, []string{Name(p.CLB), BackendName(b), Clean(b.ID, maxName), Address(b), b.Status.String(), since(b.Out)})
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nread %s in %.1f s\n", r.Summary(), r.At.UTC().Format("2006-01-02 15:04:05 UTC"), r.Took)
	if r.Note != "" {
		fmt.Fprintf(&b, "Note: %s\n", Clean(r.Note, 300))
	}
	section(&b, "", Columns(pools, 3))
	section(&b, "NOT RUNNING\n", Columns(out, 6))
	section(&b, "CANNOT BE READ\n", Columns(unread, 2))
	_, err := io.WriteString(w, b.String())
	return err
}

func section(b *strings.Builder, head string, lines []string) {
	if len(lines) > 0 {
		fmt.Fprintf(b, "\n%s%s\n", head, strings.Join(lines, "\n"))
	}
}

// WriteJSON writes the report as indented JSON.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Name is what people call the load balancer, Clean.
func Name(c watch.CLB) string {
	return cmp.Or(Clean(c.Label, maxName), Clean(c.ID, maxName), "(no id)")
}

// BackendName is the backend's name or, where that shows nothing, its id, Clean.
func BackendName(b watch.Backend) string {
	return cmp.Or(Clean(b.Name, maxName), Clean(b.ID, maxName), "(no name)")
}

// Address is where the backend is reached in its network, or from outside, Clean; "" if neither is known.
func Address(b watch.Backend) string {
	if a := Clean(b.LanIP, maxName); a != "" || len(b.WanIPs) == 0 {
		return a
	}
	return Clean(b.WanIPs[0], maxName)
}

// since says since when a backend is not running; "" if that is not known.
func since(o *watch.Out) string {
	if o == nil {
		return ""
	}
	before := ""
	if o.AtLeast {
		before = "before "
	}
	return "since " + before + o.Since.UTC().Format("2006-01-02 15:04 UTC")
}

// Plural counts things in words: "1 backend", "2 backends".
func Plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Clean makes text from outside one harmless line of at most n characters: white space of any kind becomes single
// spaces; controls, bidirectional overrides, zero-width and tag characters, private use and broken UTF-8 go. What is too
// long ends in "…".
func Clean(s string, n int) string {
	var out []rune
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) {
			space = len(out) > 0
			continue
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			continue
		}
		if space {
			out = append(out, ' ')
			space = false
		}
		if out = append(out, r); len(out) > n {
			return strings.TrimRight(string(out[:n-1]), " ") + "…"
		}
	}
	return string(out)
}

// Columns aligns rows of Clean cells for a monospaced font, two spaces apart; the columns from right on are aligned to
// the right. Chinese and other wide characters count as the two cells they take. A cell beyond maxColumn pushes its own row
// only, so that one long name does not make every row wrap. Columns without text are left out.
func Columns(rows [][]string, right int) []string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], min(cells(cell), maxColumn))
		}
	}
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		var b strings.Builder
		gap := ""
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
			pad := strings.Repeat(" ", max(widths[i]-cells(cell), 0))
			if i >= right {
				b.WriteString(gap + pad + cell)
			} else {
				b.WriteString(gap + cell + pad)
			}
			gap = "  "
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// cells is how many cells of a monospaced font s takes.
func cells(s string) (n int) {
	for _, r := range s {
		switch kind := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}
