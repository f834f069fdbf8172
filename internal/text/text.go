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

// Period reads how far back somebody wants to look, such as 30m, 24h or 7d: 1 minute to 90 days.
func Period(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(min(n, 1000)) * 24 * time.Hour
	}
	if err != nil || d < time.Minute || d > 90*24*time.Hour {
		return 0, fmt.Errorf("%.20q is not a time of 1m to 90d, such as 24h or 7d", s)
	}
	return d, nil
}
