package message

import (
	"fmt"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
)

// running says how many backends run.
func running(c lb.Capacity) string {
	if c.Total == 0 {
		return "no backends left"
	}
	return fmt.Sprintf("%d of %d running", c.Running, c.Total)
}

// after says how a load balancer stands after what a title says happened: how many run, or how many are
// healthy.
func after(c lb.Capacity, t incident.Tally) string {
	if t.Kinds[incident.Failing] > 0 && c.Ill > 0 {
		return fmt.Sprintf(", %d of %d healthy", c.Running-c.Ill, c.Total)
	}
	return ", " + running(c)
}

// serving is the one figure for capacity, "serving 86 %"; "" where no weight counts.
func serving(i *incident.Incident) string {
	percent, ok := i.ServingPercent()
	if !ok {
		return ""
	}
	return fmt.Sprintf("serving %d %%", percent)
}

// newer is the number of an incident that began on the load balancer after one was closed: how that one ended
// is not how things stand any more, and where its message comes late, nobody must take it for that. It is ""
// if there is none.
func (v view) newer(i *incident.Incident) string {
	if v.doc.Newer == nil {
		return ""
	}
	return v.doc.Newer(i)
}

// now says how many run, behind what a title says happened; or which incident says so.
func (v view) now(i *incident.Incident, before string) string {
	if n := v.newer(i); n != "" {
		return ", see incident " + n
	}
	return before + running(i.Now)
}

// stands says how a load balancer stands.
func stands(i *incident.Incident) line {
	s := running(i.Now) + report.AndUnhealthy(i.Now.Ill)
	if i.Before.Total > i.Now.Total && i.Now.Total > 0 {
		s += fmt.Sprintf(", %d before", i.Before.Total)
	}
	l := line{words(s)}
	if i.Open() && i.Level > incident.OK {
		if p := serving(i); p != "" {
			l = append(l, words("  ·  "+p))
		}
	}
	switch {
	case !i.Open():
	case i.Level == incident.Down && downWhere(i) != "":
		l = append(l, words("  ·  "), bold("DOWN"+downWhere(i)))
	case i.Level == incident.Down:
		l = append(l, words("  ·  "), bold("DOWN"))
	case i.Level == incident.Degraded:
		l = append(l, words("  ·  "), bold("degraded"))
	}
	return l
}

// statusWord is a status in words, without its number.
func statusWord(s lb.Status) string {
	word, _, _ := strings.Cut(status(s), " (")
	if word == "unknown" {
		return fmt.Sprintf("in status %d", int(s))
	}
	return word
}

// status is a status in words, with its number.
func status(s lb.Status) string {
	switch s {
	case 5:
		return "terminated (5)"
	case 6:
		return "being terminated (6)"
	}
	return s.String()
}

// outlook is what is to be expected of a status; "" if nobody knows.
func outlook(s lb.Status) string {
	switch s {
	case 5, 6:
		return ", it will not come back"
	case 7, 8:
		return ", usually minutes"
	}
	return ""
}
