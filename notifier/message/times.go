package message

import (
	"time"

	"clbwatch/internal/text"
)

// Forms of a time for each reader, in the reader's zone: "today 12:53" where that is true, or the time alone.
const (
	dateFormat  = "{date_short_pretty} {time}"
	clockFormat = "{time}"
)

func (s Style) zone() *time.Location {
	if s.Zone == nil {
		return time.UTC
	}
	return s.Zone
}

func date(t time.Time) span  { return moment(t, dateFormat, "2006-01-02 15:04 UTC") }
func clock(t time.Time) span { return moment(t, clockFormat, "15:04 UTC") }

// moment is a time in one of the forms. Slack shows none before 1970: a clock that is wrong must not cost the
// message.
func moment(t time.Time, format, fallback string) span {
	s := span{text: t.UTC().Format(fallback)}
	if t.Unix() >= 0 {
		s.at, s.format = t, format
	}
	return s
}

// stamp is a time where Slack does not show it.
func (s span) stamp(zone *time.Location) string {
	if s.format == clockFormat {
		return s.at.In(zone).Format("15:04 MST")
	}
	return s.at.In(zone).Format("2006-01-02 15:04 MST")
}

// between says from when until when something lasted, and for how long: a span over days with both dates.
func (s Style) between(from, to time.Time) line {
	l := line{date(from), words(" – ")}
	a, b := from.In(s.zone()), to.In(s.zone())
	if to.Sub(from) < 12*time.Hour && a.YearDay() == b.YearDay() {
		l = append(l, clock(to))
	} else {
		l = append(l, date(to))
	}
	return append(l, words(" ("+text.Duration(to.Sub(from))+")"))
}
