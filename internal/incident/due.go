package incident

import (
	"slices"
	"time"
)

// Post is one message about a root: the root itself, or an update. It names what the message shows, not its
// words.
type Post struct {
	Root      bool  `json:"root,omitempty"`      // the root; else an update
	N         int   `json:"n,omitempty"`         // which: roots and updates are counted apart, from 0
	Rev       int   `json:"rev"`                 // of the root's, that it shows
	Rises     Set   `json:"rises,omitempty"`     // marks whose rise it shows
	Current   Set   `json:"current,omitempty"`   // of those, the marks that the root is at now
	Ends      Set   `json:"ends,omitempty"`      // marks whose end it shows
	End       bool  `json:"end,omitempty"`       // the root is closed
	Level     Level `json:"level,omitempty"`     // how bad it is now where it is worst
	Broadcast bool  `json:"broadcast,omitempty"` // an update that is shown in the channel too
	Mention   bool  `json:"mention,omitempty"`   // it mentions whom the settings name
	Reminder  bool  `json:"reminder,omitempty"`  // nothing in it is news
	Repeat    bool  `json:"repeat,omitempty"`    // an earlier copy may have arrived, and nobody may look
	// Names: numbers of roots whose earlier news Slack may not have, or does not take
	Names []string `json:"names,omitempty"`
}

// Set is a set of marks.
type Set uint8

// Has reports whether a mark is in the set.
func (s Set) Has(mark int) bool { return s>>mark&1 != 0 }

func (s *Set) add(mark int) { *s |= 1 << mark }

// pace is how long after an update the next may follow, in tenths of STABLE_AFTER, once freely were posted at
// once.
var pace = [...]int{1, 5, 15, 60}

const (
	freely   = 10 // updates that are posted at once
	maxNames = 10 // of roots whose news is missing, in one message
	reminder = 6  // times STABLE_AFTER until the first reminder; each takes twice as long as the one before
	reminds  = 4  // reminders, then silence
)

// due says which post is due, if any is. It does not look at what holds delivery up.
func (r *Root) due(at time.Time, rules Rules) (p Post, ok bool) {
	d := &r.Delivery
	p = Post{Root: !d.Posted, Rev: r.Rev, End: !r.Open(), Level: r.Level()}
	loud := false
	for m := range r.Marks {
		mark := &r.Marks[m]
		if mark.Rise > 0 {
			p.Rises.add(m)
			if r.at(m) {
				p.Current.add(m)
				fresh := mark.Mentioned.IsZero() || elapsed(rules.StableAfter, mark.Mentioned, at)
				p.Mention = p.Mention || m != blindMark && !mark.Alone && fresh && r.calls(m)
			}
		}
		if r.endDue(mark, at, rules) {
			p.Ends.add(m)
		}
	}
	for _, i := range r.Incidents {
		loud = loud || i.Loud > d.Shown
	}
	if p.Root {
		p.N = d.Series
		return p, r.reportable()
	}
	p.N = d.Updates
	p.Broadcast = loud || p.Rises != 0 || p.Ends != 0
	switch {
	case p.Broadcast, r.lastWordDue():
		return p, true
	case r.News > d.Shown:
		return p, r.lasted(at, rules) || r.paced(at, rules)
	}
	p.Reminder = true
	p.Broadcast = r.unsilenced() >= Degraded
	return p, r.reminderDue(at, rules)
}

// reportable reports whether anything in it is news: not all is pending, or held back by a silence.
func (r *Root) reportable() bool {
	return slices.ContainsFunc(r.Incidents, func(i *Incident) bool { return i.Rev > 0 })
}

// endDue reports whether the end of what was shown in the channel is to be shown there.
func (r *Root) endDue(m *Mark, at time.Time, rules Rules) bool {
	if m.Left.IsZero() {
		return false
	}
	return m.Shown && (!r.Open() || elapsed(rules.tenths(2), m.Left, at)) || m.Again && !r.Open()
}

// lasted reports whether something that no post has shown has lasted for STABLE_AFTER.
func (r *Root) lasted(at time.Time, rules Rules) bool {
	shown := r.Delivery.Shown
	return slices.ContainsFunc(r.Incidents, func(i *Incident) bool {
		if i.Rev <= shown {
			return false
		}
		if i.CrowdRev > shown && elapsed(rules.StableAfter, i.CrowdAt, at) {
			return true
		}
		if i.Stable || elapsed(rules.StableAfter, i.LastChange(), at) {
			return true
		}
		return slices.ContainsFunc(i.Machines, func(m Machine) bool {
			return m.Rev > shown && !m.Held() && elapsed(rules.StableAfter, m.Since, at)
		})
	})
}

// paced reports whether the pace of updates lets the next one go.
func (r *Root) paced(at time.Time, rules Rules) bool {
	d := &r.Delivery
	n := d.Counted - r.PaceFrom - freely
	return n < 0 || elapsed(rules.tenths(pace[min(n, len(pace)-1)]), d.UpdatedAt, at)
}

// reminderDue reports whether something is out and nothing was posted about it for long.
func (r *Root) reminderDue(at time.Time, rules Rules) bool {
	d := &r.Delivery
	if r.unsilenced() == OK || d.Reminders >= reminds {
		return false
	}
	since := r.NewsAt
	if d.RemindedAt.After(since) {
		since = d.RemindedAt
	}
	return elapsed(rules.StableAfter*reminder<<d.Reminders, since, at)
}

// calls reports whether anybody wants to be called because the root is at a level: a silence may have begun
// since.
func (r *Root) calls(mark int) bool {
	return slices.ContainsFunc(r.Incidents, func(i *Incident) bool {
		return i.Open() && i.Level >= levelOfMark[mark] && !i.muted(levelOfMark[mark])
	})
}

// unsilenced is how bad it is where no silence holds reminders back.
func (r *Root) unsilenced() (worst Level) {
	for _, i := range r.Incidents {
		if i.Open() && !i.silenced() {
			worst = max(worst, i.Level)
		}
	}
	return worst
}

// lastWordDue reports whether an update must say how things are, because no root can be edited to say so.
func (r *Root) lastWordDue() bool {
	d := &r.Delivery
	// a level whose end nobody announced is over: a removal was accepted, or a silence held the rest back
	if !d.Route.Bot() {
		return r.stable() && r.Level() < d.ShownLevel && (d.ShownLevel >= Degraded || r.Level() == OK)
	}
	return !r.Open() && !r.Notice() && !d.ShownEnd && (d.NoEdit || d.EndFails >= editTries || d.TS == "")
}

// stable reports whether all of its incidents are stable.
func (r *Root) stable() bool {
	return !slices.ContainsFunc(r.Incidents, func(i *Incident) bool { return i.Open() && !i.Stable })
}
