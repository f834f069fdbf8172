package message

import (
	"fmt"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/text"
)

// ending says how a root ended, as what it is; nothing while it is open, and nothing of notices.
func (v view) ending() line {
	switch {
	case v.Open(), v.Notice():
		return nil
	case v.Resolved() && len(v.of(ofBackends)) == 0:
		return line{words("readable again after " + text.Duration(v.lasted()))}
	case v.Resolved():
		return line{words("resolved after " + text.Duration(v.lasted()))}
	case keys(v.Incidents) == 1:
		if all := v.of(ofBackends); len(all) > 0 {
			return v.end(all[0])
		}
		return v.end(v.Incidents[0])
	}
	n := keys(v.Incidents)
	if left := v.ended(incident.EndAbandoned); left > 0 {
		return line{words(fmt.Sprintf("left as it is on %d of %s", left, text.Plural(n, "load balancer")))}
	}
	less := 0
	for _, i := range v.Incidents {
		if i.End == incident.EndOver && fewer(i) {
			less++
		}
	}
	if less > 0 {
		of := text.Plural(n, "load balancer")
		return line{words(fmt.Sprintf("over, with less than before on %d of %s", less, of))}
	}
	return line{words("over")}
}

// end says how one incident ended.
func (v view) end(i *incident.Incident) line {
	switch i.End {
	case incident.EndResolved:
		return line{words("resolved after " + text.Duration(i.LastChange().Sub(i.Began)))}
	case incident.EndAbandoned:
		return line{words("left as it is: " + running(i.Now) + " since "), date(i.LastChange())}
	case incident.EndDeleted:
		return line{words("over: it was deleted")}
	case incident.EndDropped:
		return line{words("over: it is not watched any more")}
	}
	switch {
	case i.Now.Total < i.Before.Total:
		return line{words(fmt.Sprintf("over, %d of %d left", i.Now.Total, i.Before.Total))}
	case fewer(i) && i.WasOut:
		return line{words(fmt.Sprintf("over, serving weight %d of %d", i.Now.Serving, i.Before.Serving))}
	}
	return line{words("over")}
}

// fewer reports whether less serves, or fewer run, than when the incident began.
func fewer(i *incident.Incident) bool {
	return i.Now.Serving < i.Before.Serving || i.Now.Running < i.Before.Running
}

// lasted is how long the longest of the incidents took, from its first change to its last.
func (v view) lasted() (longest time.Duration) {
	for _, i := range v.Incidents {
		longest = max(longest, i.LastChange().Sub(i.Began))
	}
	return longest
}

// last is when the last change was observed.
func (v view) last() (at time.Time) {
	for _, i := range v.Incidents {
		if i.LastChange().After(at) {
			at = i.LastChange()
		}
	}
	return at
}
