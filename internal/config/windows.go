package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"clbwatch/internal/incident"
)

// windowForm is what each part of SILENCES is.
const windowForm = "glob@days hours zone, such as prod-*@Mon-Fri 20:00-08:00 Asia/Shanghai"

// parseWindows reads SILENCES: "glob@days hours zone[ all]", separated by semicolons.
func parseWindows(s string) (windows incident.Windows, errs []error) {
	var entries []string
	for entry := range strings.SplitSeq(s, ";") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	if len(entries) > incident.MaxWindows {
		return nil, []error{fmt.Errorf("has %d windows, expected at most %d", len(entries),
			incident.MaxWindows)}
	}
	for _, entry := range entries {
		w, err := parseWindow(entry)
		if err != nil {
			errs = append(errs, fmt.Errorf("has %.40q %w", entry, err))
			continue
		}
		windows = append(windows, w)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	if glob := windows.Endless(); glob != "" {
		return nil, []error{fmt.Errorf("never ends for %.40q: its windows fill the week, expected a gap "+
			"between them", glob)}
	}
	return windows, nil
}

// parseWindow reads one window. What its error says follows the window.
func parseWindow(entry string) (w incident.Window, err error) {
	at := endOfGlob(entry)
	if at < 0 {
		return w, errors.New("without an @, expected " + windowForm)
	}
	words := strings.Fields(entry[at+1:])
	w.What = strings.TrimSpace(entry[:at])
	switch {
	case w.What == "":
		return w, errors.New("without a glob of load balancers before the @, expected " + windowForm)
	case len(w.What) > incident.MaxSilenceText:
		return w, fmt.Errorf("with a glob of %d bytes, expected at most %d", len(w.What),
			incident.MaxSilenceText)
	case len(words) == 0:
		return w, errors.New("without days, expected " + windowForm)
	}
	var ok bool
	if w.Days, ok = parseDays(words[0]); !ok {
		return w, fmt.Errorf("with the days %.40q, expected some like Mon-Fri, Sat,Sun or Fri-Mon", words[0])
	}
	if len(words) < 2 {
		return w, errors.New("without hours, expected " + windowForm)
	}
	if w.From, w.To, err = parseHours(words[1]); err != nil {
		return w, err
	}
	if len(words) < 3 || words[2] == "all" {
		return w, errors.New("without a time zone, expected one like Asia/Shanghai or UTC after the hours")
	}
	if w.Zone, err = time.LoadLocation(words[2]); err != nil || words[2] == "Local" {
		return w, fmt.Errorf("with the time zone %.40q, expected one like Asia/Shanghai or UTC", words[2])
	}
	w.All = len(words) == 4 && words[3] == "all"
	if len(words) > 3 && !w.All {
		return w, fmt.Errorf("with %.40q after the time zone, expected all or the end",
			strings.Join(words[3:], " "))
	}
	return w, nil
}

// endOfGlob is where the @ is that days follow: the last such, because names of load balancers may have an @
// in them; else the last of all. It is -1 if there is none.
func endOfGlob(entry string) int {
	last := strings.LastIndexByte(entry, '@')
	for at := last; at >= 0; at = strings.LastIndexByte(entry[:at], '@') {
		words := strings.Fields(entry[at+1:])
		if len(words) == 0 {
			continue
		}
		if _, ok := parseDays(words[0]); ok {
			return at
		}
	}
	return last
}

// parseDays reads days such as Mon-Fri, Sat,Sun or Fri-Mon, which is Friday to Monday. Capitals do not count.
func parseDays(s string) (days [7]bool, ok bool) {
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, ok := parseDay(from)
		if !ok {
			return days, false
		}
		last := first
		if isRange {
			if last, ok = parseDay(to); !ok || last == first { // Mon-Mon may be a day or a week
				return days, false
			}
		}
		for d := first; ; d = (d + 1) % 7 {
			days[d] = true
			if d == last {
				break
			}
		}
	}
	return days, true
}

func parseDay(s string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(s, d.String()[:3]) {
			return d, true
		}
	}
	return 0, false
}

// parseHours reads hours such as 20:00-08:00, in minutes of the day. A day ends at 24:00 or at 00:00, which
// are the same.
func parseHours(s string) (from, to int, err error) {
	begin, end, _ := strings.Cut(s, "-")
	from, ok1 := parseMinute(begin)
	to, ok2 := parseMinute(end)
	if to == 0 {
		to = 24 * 60
	}
	switch {
	case !ok1 || !ok2 || from == 24*60:
		return 0, 0, fmt.Errorf("with the hours %.40q, expected some like 20:00-08:00, from 00:00 to 24:00",
			s)
	case from == to:
		return 0, 0, fmt.Errorf("with the hours %.40q, which may be a day or nothing, expected two times "+
			"that differ; a whole day is 00:00-24:00", s)
	}
	return from, to, nil
}

// parseMinute reads a time of the day such as 08:00 or 8:00.
func parseMinute(s string) (int, bool) {
	hour, minute, _ := strings.Cut(s, ":")
	h, err1 := strconv.ParseUint(hour, 10, 8)
	m, err2 := strconv.ParseUint(minute, 10, 8)
	ok := err1 == nil && err2 == nil && len(hour) <= 2 && len(minute) == 2 && m < 60 && h*60+m <= 24*60
	return int(h*60 + m), ok
}
