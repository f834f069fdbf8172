package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean turns text from outside into one harmless line of at most n characters, n > 0. White space of any
// kind becomes single spaces; controls, bidirectional overrides, zero-width and tag characters, private use
// and broken UTF-8 are dropped. Text that is cut off ends in "…". Markup is left as it is: each renderer
// escapes its own.
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

// Printable drops control characters, so that text from outside cannot drive the terminal. Unlike Clean it
// keeps all the rest, spaces included, at any length.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, s)
}
