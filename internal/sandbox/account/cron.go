package account

import (
	"slices"
	"strconv"
	"strings"
)

// cronField is one of the seven fields of a timer's expression
// (https://cloud.tencent.com/document/product/583/9708).
type cronField struct {
	low, high int
	names     []string // that stand for low and what follows
	letters   string   // L, W and ? where they are taken
}

var cronFields = []cronField{
	{0, 59, nil, ""}, {0, 59, nil, ""}, {0, 23, nil, ""}, {1, 31, nil, "?LW"},
	{1, 12, []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}, ""},
	{0, 6, []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}, "?L#"}, {1970, 2099, nil, ""},
}

// isCron reports whether a timer takes an expression: seven fields, from seconds to years, each *, or a
// list of numbers, ranges and steps. Of the letters L, W and # only what stands alone behind a number is
// taken.
func isCron(s string) bool {
	fields := strings.Fields(s)
	if len(fields) != len(cronFields) {
		return false
	}
	for i, f := range fields {
		if !cronFields[i].takes(f) {
			return false
		}
	}
	return true
}

func (c cronField) takes(field string) bool {
	for item := range strings.SplitSeq(field, ",") {
		if !c.item(item) {
			return false
		}
	}
	return true
}

func (c cronField) item(s string) bool {
	if s == "?" || s == "L" {
		return strings.Contains(c.letters, s)
	}
	if day, ok := strings.CutSuffix(s, "W"); ok && strings.Contains(c.letters, "W") {
		return c.number(day) >= 0
	}
	if day, ok := strings.CutSuffix(s, "L"); ok && strings.Contains(c.letters, "L") {
		return c.number(day) >= 0
	}
	if day, nth, ok := strings.Cut(s, "#"); ok && strings.Contains(c.letters, "#") {
		n, err := strconv.Atoi(nth)
		return err == nil && n >= 1 && n <= 5 && c.number(day) >= 0
	}
	span, step, stepped := strings.Cut(s, "/")
	if n, err := strconv.Atoi(step); stepped && (err != nil || n < 1) {
		return false
	}
	if span == "*" {
		return true
	}
	first, last, ranged := strings.Cut(span, "-")
	from := c.number(first)
	return from >= 0 && (!ranged || c.number(last) >= from)
}

// number is a number or name that the field may have, or -1.
func (c cronField) number(s string) int {
	if i := slices.Index(c.names, strings.ToUpper(s)); i >= 0 {
		return c.low + i
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < c.low || n > c.high || strings.HasPrefix(s, "+") {
		return -1
	}
	return n
}
