package page

import "time"

// tick is a labelled moment of a time axis.
type tick struct {
	at    time.Time
	label string
}

const day = 24 * 60 // minutes

// steps are how far apart ticks may be, in minutes of the clock on the wall. A week's begin on Mondays.
var steps = []int{1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, day, 2 * day, 5 * day, 7 * day, 14 * day,
	28 * day}

// ticks are at most so many moments between two times, where a person would look for them on a clock or a
// calendar.
func ticks(from, to time.Time, zone *time.Location, most int) (all []tick) {
	step := steps[len(steps)-1]
	for _, s := range steps {
		if to.Sub(from) <= time.Duration(s*most)*time.Minute {
			step = s
			break
		}
	}
	first := from.In(zone)
	if step%(7*day) == 0 {
		first = first.AddDate(0, 0, -(int(first.Weekday())+6)%7)
	}
	for n := 0; ; n++ {
		// by the clock on the wall, so that a day on which it is changed has its ticks where the others have
		at := time.Date(first.Year(), first.Month(), first.Day(), 0, n*step, 0, 0, zone)
		switch {
		case !at.Before(to):
			return all
		case !at.After(from), len(all) > 0 && !at.After(all[len(all)-1].at): // an hour that there is not
			continue
		}
		label := at.Format("15:04")
		if at.Hour() == 0 && at.Minute() == 0 {
			label = at.Format("Jan 2")
		}
		all = append(all, tick{at, label})
	}
}
