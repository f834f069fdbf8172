package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxWindows is how many windows the setting SILENCES may have.
const MaxWindows = 100

// longestStretch is for how long windows may be active without a gap: a week, and what a change of the clocks
// may add to it.
const longestStretch = MaxSilence + 24*time.Hour

// Window is a silence that recurs every week. Its times are those that the clocks of its zone show. A time
// that the clocks skip stands for the moment at which they go on. Of a time that they show twice, the first
// counts. A window of which that leaves nothing is not active on that day.
type Window struct {
	What     string         // see lb.CLB.Matches
	All      bool           // see Silence
	Days     [7]bool        // on which days it starts, by time.Weekday
	From, To int            // minutes of the day, 0 to 1440; unless To is after From, it is on the next day
	Zone     *time.Location // must be set
}

// Windows are those of the setting SILENCES, in its order.
type Windows []Window

// Active returns the silences that the windows make at a time, in the order of the setting.
//
// Windows of the same glob and the same All that overlap or touch make one silence: Made when the first of
// them starts, Until the last of them ends, and numbered as the one that is listed first. So none of its
// fields changes while it lasts. If a glob has a silence with All and one without at the same time, only the
// one with All is returned, because it holds back more. Once that has ended, the other is returned again,
// with the Made and Until that it has by itself.
//
// Active looks 8 days back and ahead. A silence that lasts longer is cut off there; see Endless.
func (ws Windows) Active(at time.Time) (active []Silence) {
	var on []stretch
	for n, w := range ws {
		if slices.ContainsFunc(ws[:n], w.joins) {
			continue // both are in the same stretches
		}
		if s, ok := ws.stretchAt(at, w.joins); ok {
			on = append(on, s)
		}
	}
	slices.SortFunc(on, func(a, b stretch) int { return cmp.Compare(a.first, b.first) })
	for _, s := range on {
		w := ws[s.first]
		overruled := func(o stretch) bool { return ws[o.first].All && ws[o.first].What == w.What }
		if w.All || !slices.ContainsFunc(on, overruled) {
			active = append(active, Silence{ID: fmt.Sprintf("window %d", s.first+1), What: w.What, All: w.All,
				By: "SILENCES", Made: s.begin.UTC(), Until: s.end.UTC()})
		}
	}
	return active
}

// Endless returns a glob that the windows silence for more than a week without a gap, some with All or not;
// "" if there is none. It tries the days and the clock changes of 2027.
func (ws Windows) Endless() string {
	year := time.Date(2027, time.January, 1, 0, 0, 0, 0, time.UTC)
	for n, w := range ws {
		same := func(o Window) bool { return o.What == w.What }
		if slices.ContainsFunc(ws[:n], same) || ws.minutes(same) < 6*24*60 {
			continue // seen before, or too little to fill a week, however the clocks change
		}
		for _, s := range ws.stretches(same, year, year.AddDate(1, 0, 0)) {
			if s.end.Sub(s.begin) > longestStretch {
				return w.What
			}
		}
	}
	return ""
}

// minutes is how long some of the windows are in a week, if the clocks do not change.
func (ws Windows) minutes(which func(Window) bool) (sum int) {
	for _, w := range ws {
		for _, starts := range w.Days {
			if starts && which(w) {
				sum += w.end() - w.From
			}
		}
	}
	return sum
}

// joins reports whether two windows are the same silence when they overlap or touch.
func (w Window) joins(o Window) bool { return w.What == o.What && w.All == o.All }

// end is when the window ends, in minutes from the beginning of the day on which it starts.
func (w Window) end() int {
	if w.To <= w.From {
		return w.To + 24*60
	}
	return w.To
}

// stretch is a time without a gap in which windows are active: from begin on, and before end.
type stretch struct {
	begin, end time.Time
	first      int // which of its windows comes first in the setting, from 0
}

// stretchAt is the stretch of some of the windows at a time, and whether there is one.
func (ws Windows) stretchAt(at time.Time, which func(Window) bool) (found stretch, ok bool) {
	for _, far := range []time.Duration{24 * time.Hour, longestStretch} { // most end soon
		from, to := at.Add(-far), at.Add(far)
		all := ws.stretches(which, from, to)
		n := slices.IndexFunc(all, func(s stretch) bool { return !at.Before(s.begin) && at.Before(s.end) })
		if n < 0 {
			return stretch{}, false
		}
		if found = all[n]; from.Before(found.begin) && found.end.Before(to) {
			break // all of it was seen
		}
	}
	return found, true
}

// stretches are those of some of the windows, in order. They are complete between two times.
func (ws Windows) stretches(which func(Window) bool, from, to time.Time) []stretch {
	var each []stretch
	for n, w := range ws {
		if which(w) {
			each = append(each, w.occurrences(n, from, to)...)
		}
	}
	slices.SortFunc(each, func(a, b stretch) int { return a.begin.Compare(b.begin) })
	joined := each[:0]
	for _, s := range each {
		last := len(joined) - 1
		if last < 0 || s.begin.After(joined[last].end) {
			joined = append(joined, s)
			continue
		}
		if s.end.After(joined[last].end) {
			joined[last].end = s.end
		}
		joined[last].first = min(joined[last].first, s.first)
	}
	return joined
}

// occurrences are those of window n of the setting that start on the days from one time to another, or on the
// day before, which may last until then.
func (w Window) occurrences(n int, from, to time.Time) (each []stretch) {
	last := midnight(to.In(w.Zone))
	for day := midnight(from.In(w.Zone)).AddDate(0, 0, -1); !day.After(last); day = day.AddDate(0, 0, 1) {
		if !w.Days[day.Weekday()] {
			continue
		}
		s := stretch{first: n}
		s.begin = shown(day.Add(time.Duration(w.From)*time.Minute), w.Zone)
		s.end = shown(day.Add(time.Duration(w.end())*time.Minute), w.Zone)
		if s.begin.Before(s.end) {
			each = append(each, s)
		}
	}
	return each
}

// midnight is the beginning of a day as a clock shows it: a date and time written in UTC, whatever the zone.
func midnight(at time.Time) time.Time {
	year, month, day := at.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// shown is when the clocks of a zone first show a date and time, which is written in UTC. If they skip it, it
// is the moment at which they go on.
func shown(clock time.Time, zone *time.Location) time.Time {
	at := clock.AddDate(0, 0, -1).In(zone) // no zone is a day ahead of UTC
	for {
		_, offset := at.Zone()
		_, change := at.ZoneBounds()
		found := clock.Add(-time.Duration(offset) * time.Second)
		if found.Before(at) {
			found = at
		}
		if change.IsZero() || found.Before(change) {
			return found
		}
		at = change
	}
}

// String writes the window as in the setting, such as "prod-*@Mon-Fri 20:00-08:00 Asia/Shanghai all".
func (w Window) String() string {
	s := fmt.Sprintf("%s@%s %02d:%02d-%02d:%02d %v", w.What, w.days(), w.From/60, w.From%60, w.To/60, w.To%60,
		w.Zone)
	if w.All {
		s += " all"
	}
	return s
}

// days writes the days on which the window starts, from Monday on: such as "Mon,Wed-Fri".
func (w Window) days() string {
	var runs []string
	for d := 1; d <= 7; d++ {
		from := d
		for d <= 7 && w.Days[d%7] {
			d++
		}
		first, last := time.Weekday(from % 7).String()[:3], time.Weekday((d - 1) % 7).String()[:3]
		switch d - from {
		case 0:
		case 1:
			runs = append(runs, first)
		default:
			runs = append(runs, first+"-"+last)
		}
	}
	return strings.Join(runs, ",")
}
