package text

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// maxColumn is the widest column that rows are aligned to, in cells.
const maxColumn = 32

// Columns aligns rows of Clean cells for a monospaced font, two spaces apart; columns from index right on are
// aligned to the right. Chinese and other wide characters count as the two cells they take. A cell beyond
// maxColumn pushes only its own row, so that one long name does not make every row wrap. Columns without text
// are left out.
func Columns(rows [][]string, right int) []string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], min(Cells(cell), maxColumn))
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
			pad := strings.Repeat(" ", max(widths[i]-Cells(cell), 0))
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

// Cells is how many cells of a monospaced font s takes: two for each wide character, none for a combining
// mark.
func Cells(s string) (n int) {
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

// Short cuts the middle out of Clean text that takes more than n cells, n > 0, and puts "…" there: what
// distinguishes names is often at their end.
func Short(s string, n int) string {
	if Cells(s) <= n {
		return s
	}
	rs := []rune(s)
	from, to := 0, len(rs) // what is between them is cut
	for left, atEnd := n-1, false; from < to; atEnd = !atEnd {
		r := rs[from]
		if atEnd {
			r = rs[to-1]
		}
		if left -= Cells(string(r)); left < 0 {
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

// minColumns is how many columns a text has on the narrowest terminal.
const minColumns = 40

// IsCut says that a Width has cut an error.
const IsCut = "errors are cut to this terminal's width; --json has them whole"

// Width cuts errors to the width of a terminal.
type Width struct {
	Columns int  // of the terminal; 0 if there is none: then nothing is cut
	Cut     bool // something was
}

// Fit is an error as far as there is room behind a margin: 40 columns at least.
func (w *Width) Fit(s string, margin int) string {
	most := max(w.Columns-margin, minColumns)
	if w.Columns == 0 || Cells(s) <= most {
		return s
	}
	w.Cut = true
	return Short(s, most)
}
