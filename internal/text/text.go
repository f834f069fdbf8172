// Package text cleans, shortens, aligns and counts: it handles words without knowing what they mean. It knows
// nothing of load balancers or Slack, imports no other package of clbwatch, and never fails.
package text

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Plural counts things in words: "1 backend", "2 backends".
func Plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Few names the first few of some texts, and says how many more there are: "a, b, and 3 more".
func Few(all []string, most int) string {
	if n := len(all) - most; n > 0 {
		all = append(all[:most:most], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(all, ", ")
}

// Duration is a length of time in words, in whole minutes or, from two days on, in whole hours: "2 min", "1 h
// 5 min", "3 d". Anything that rounds to no minute is "less than 1 min".
func Duration(d time.Duration) string {
	minutes := int(d.Round(time.Minute) / time.Minute)
	switch h := minutes / 60; {
	case minutes < 1:
		return "less than 1 min"
	case h < 1:
		return fmt.Sprintf("%d min", minutes)
	case h < 48:
		return strings.TrimSuffix(fmt.Sprintf("%d h %d min", h, minutes%60), " 0 min")
	default:
		return strings.TrimSuffix(fmt.Sprintf("%d d %d h", h/24, h%24), " 0 h")
	}
}

// Length reads a length of time such as 30m, 1h30m, 7d or 1d12h. It reports false for anything else: there
// are no weeks, and nothing is negative.
func Length(s string) (d time.Duration, ok bool) {
	days, rest, hasDays := strings.Cut(s, "d")
	if !hasDays {
		days, rest = "0", s
	}
	n, err := strconv.ParseUint(days, 10, 64)
	if err != nil || strings.ContainsAny(rest, "+-") {
		return 0, false
	}
	if rest != "" {
		if d, err = time.ParseDuration(rest); err != nil {
			return 0, false
		}
	}
	d += time.Duration(min(n, 1000)) * 24 * time.Hour // more is beyond any bound, and must not overflow
	return d, d >= 0 && s != ""
}

// LengthFirst takes a length of time from the beginning of some words, if they begin with one, and returns
// the others. A first word that begins with a digit and is none from least to most, which bounds has in
// words, is an error: somebody meant it to be one.
func LengthFirst(words []string, least, most time.Duration, bounds string) (d time.Duration, rest []string,
	err error) {
	if len(words) == 0 || words[0] == "" || words[0][0] < '0' || words[0][0] > '9' {
		return 0, words, nil
	}
	d, ok := Length(words[0])
	if !ok || d < least || d > most {
		return 0, words, fmt.Errorf("%.40q is not a time of %s, such as 30m, 2h or 1d12h; a reason may begin with "+
			"a number only after the time", words[0], bounds)
	}
	return d, words[1:], nil
}

// Period reads how far back somebody wants to look, such as 30m, 24h or 7d: 1 minute to 90 days.
func Period(s string) (time.Duration, error) {
	d, ok := Length(s)
	if !ok || d < time.Minute || d > 90*24*time.Hour {
		return 0, fmt.Errorf("%.20q is not a time of 1m to 90d, such as 24h or 7d", s)
	}
	return d, nil
}
