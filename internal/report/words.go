package report

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

// maxName is how many characters of a name are shown: enough to tell names apart, too little to hide a line behind.
const maxName = 48

// maxColumn is the widest column that rows are aligned to, in cells.
const maxColumn = 32

// Name is what people call the load balancer, Clean.
func Name(c lb.CLB) string {
	return cmp.Or(Clean(c.Label, maxName), Clean(c.Title, maxName), Clean(c.ID, maxName), "(no id)")
}

// AndUnhealthy adds to how many backends run how many of these are unhealthy: "" if none is.
func AndUnhealthy(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(", %d unhealthy", n)
}

// Objects are what could not be read, or can be again, as part of a sentence: n load balancers, or what of them, as
// watch.Blind has it. It is for the first of them if there is one.
func Objects(what string, first lb.CLB, n int) string {
	of := Name(first)
	switch {
	case what == watch.OfRegion && n > 1:
		of += fmt.Sprintf(" and %d more", n-1) // there may be several of one region
	case n > 1:
		of = Plural(n, "load balancer")
	}
	switch what {
	case watch.OfHealth:
		return "the health of " + of
	case watch.OfRegion:
		return "the load balancers of " + of
	}
	return of
}

// Verb is what is done with Objects.
func Verb(what string) string {
	if what == watch.OfRegion {
		return "list"
	}
	return "read"
}

// Happened is a kind of change where it is counted or part of a sentence: "2 left running" would be read as "2 still run".
func Happened(k lb.Kind) string {
	switch k {
	case lb.LeftRunning:
		return "stopped running"
	case lb.Unbound:
		return "partly unbound"
	case lb.Bound:
		return "bound to more listeners"
	}
	return string(k)
}

// Thing is what a Part of a backend's bindings counts.
func Thing(p *lb.Part) string {
	if p.Rules {
		return "rule"
	}
	return "listener"
}

// OutOf says how many things a Part is, and of how many, such as "1 of 3 listeners" or "both listeners".
func OutOf(p *lb.Part, thing string) string {
	switch all := Plural(p.Of, thing); {
	case p.N < p.Of:
		return fmt.Sprintf("%d of %s", p.N, all)
	case p.Of == 1:
		return "its only " + thing
	case p.Of == 2:
		return "both " + thing + "s"
	default:
		return "all " + all
	}
}

// Names are those that a Part names, in brackets after a space, Clean; "" if it names none.
func Names(p *lb.Part) string {
	names := names(p)
	if len(names) == 0 {
		return ""
	}
	if p.N > len(names) {
		names = append(names, "…")
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// Some is a Part where it does not matter of how many: the name if it is one, as "HTTPS:443", else "2 rules (…, …)".
func Some(p *lb.Part) string {
	if names := names(p); p.N == 1 && len(names) == 1 {
		return names[0]
	}
	return Plural(p.N, Thing(p)) + Names(p)
}

func names(p *lb.Part) []string {
	var all []string
	for _, n := range p.Names {
		all = append(all, cmp.Or(Short(Clean(n, 2*maxName), maxName), "?")) // the port is at the end
	}
	return all
}

// Fails says which health checks a backend fails.
func Fails(b lb.Backend) string {
	const named = 3
	p := &lb.Part{N: len(b.Failing), Of: max(b.Checked, len(b.Failing)), Names: b.Failing[:min(len(b.Failing), named)]}
	return "fails " + OutOf(p, "check") + Names(p)
}

// BackendName is the backend's name or, where that shows nothing, its id, Clean.
func BackendName(b lb.Backend) string {
	return cmp.Or(Clean(b.Name, maxName), Clean(b.ID, maxName), "(no name)")
}

// Address is where the backend is reached in its network, or from outside, Clean; "" if neither is known.
func Address(b lb.Backend) string {
	if a := Clean(b.LanIP, maxName); a != "" || len(b.WanIPs) == 0 {
		return a
	}
	return Clean(b.WanIPs[0], maxName)
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

// Short cuts the middle out of Clean text that takes more than n cells: what tells names apart is often at their end.
func Short(s string, n int) string {
	if cells(s) <= n {
		return s
	}
	rs := []rune(s)
	from, to := 0, len(rs) // what is between is cut
	for left, atEnd := n-1, false; from < to; atEnd = !atEnd {
		r := rs[from]
		if atEnd {
			r = rs[to-1]
		}
		if left -= cells(string(r)); left < 0 {
			break
		}
		if atEnd {
			to--
		} else {
			from++
		}
	}
	return strings.TrimRight(string(rs[:from]), " ") + "…" + strings.TrimLeft(string(rs[to:]), " ")
}
