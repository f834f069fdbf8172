package incident

import (
	"slices"
	"time"
)

// Level is how bad it is on one load balancer. It alone decides title, colour, mention and broadcast.
type Level int

// Levels, from well to worst.
const (
	OK       Level = iota // nothing is out, and enough of the weight is there
	Impaired              // something is out, or cannot be read
	Degraded              // it lost at least Rules.MentionAt percent of its weight
	Down                  // it, or one of its listeners or rules, has no serving weight left but had some
)

// String is the level in a word.
func (l Level) String() string {
	return [...]string{"ok", "impaired", "degraded", "down"}[l]
}

// Lost is the weight that the load balancer lost, of all that it would have: what is out now, and what was
// removed and not made up for since the incident began or was stable last. Draining a backend to weight 0 is
// no loss.
func (i *Incident) Lost() (lost, total int) {
	lost = i.Now.Lost + max(0, i.Removed-i.Added)
	return lost, i.Now.Serving + lost
}

// ServingPercent is the share of its weight that serves, rounded down; ok is false where no weight counts.
func (i *Incident) ServingPercent() (percent int, ok bool) {
	_, total := i.Lost()
	if total == 0 {
		return 0, false
	}
	return i.Now.Serving * 100 / total, true
}

// level says how bad it is. It is the one place where that is decided.
func (i *Incident) level(r Rules) Level {
	lost, total := i.Lost()
	switch {
	case i.About.Notice(), i.About.Blind() && i.Readable:
		return OK
	case i.About.Blind():
		return Impaired
	case i.Now.Serving == 0 && i.Before.Serving > 0 && lost > 0, i.Bare != nil, len(i.Emptied) > 0:
		return Down
	case total > 0 && (lost-i.pendingLoss())*100 >= r.MentionAt*total:
		return Degraded
	case i.Now.Out > 0:
		return Impaired
	}
	return OK
}

// pendingLoss is the weight of what is out and not reported yet, because it may pass.
func (i *Incident) pendingLoss() (sum int) {
	for _, m := range i.Machines {
		if m.Pending && m.Now == Out {
			sum += m.Lost
		}
	}
	return sum
}

// Marks of a root, one for each thing whose beginning and end is shown in the channel.
const (
	degradedMark = iota
	downMark
	blindMark
	marks
)

// levelOfMark is the level that a mark of levels stands for.
var levelOfMark = [2]Level{Degraded, Down}

// Mark is what a root knows of the beginning and end of a level, or of not being able to read.
type Mark struct {
	// Rise: the revision of a rise that the channel has not been shown; 0 if there is none
	Rise  int  `json:"rise,omitempty"`
	Alone bool `json:"alone,omitempty"` // that rise came from removals alone: it mentions nobody
	Shown bool `json:"shown,omitempty"` // a rise was shown in the channel: its end is to be shown
	Again bool `json:"again,omitempty"` // it was so again after its end was shown
	// Left: since when no incident has been so; zero while one is, or none ever was
	Left      time.Time `json:"left,omitzero"`
	Mentioned time.Time `json:"mentioned,omitzero"` // when it last mentioned anybody
}

// at reports whether any incident of the root is at the mark now.
func (r *Root) at(mark int) bool {
	return slices.ContainsFunc(r.Incidents, func(i *Incident) bool {
		switch {
		case !i.Open():
			return false
		case mark == blindMark:
			return i.About.Blind() && !i.Readable
		}
		return i.Level >= levelOfMark[mark]
	})
}

// watchMarks notes, once a reading was judged, which marks the root is at and which it has left.
func (r *Root) watchMarks(at time.Time) {
	for m := range r.Marks {
		mark := &r.Marks[m]
		switch is := r.at(m); {
		case is && !mark.Shown && mark.Rise == 0:
			mark.Again, mark.Left = true, time.Time{}
		case is:
			mark.Left = time.Time{}
		case mark.Left.IsZero() && (mark.Shown || mark.Again || mark.Rise > 0):
			mark.Left = at
		}
	}
}

// forgetMarks drops the ends of levels at which an incident was until now, and is not any more only because
// its removals do not count any longer, or it is closed as it is. If another one left such a level by itself
// now, that has an end.
func (r *Root) forgetMarks(i *Incident, at time.Time) {
	for m := range levelOfMark {
		mark := &r.Marks[m]
		if r.at(m) || !mark.Left.IsZero() {
			continue
		}
		left := func(o *Incident) bool { return o != i && o.Risen[m] && o.Left[m].Equal(at) }
		if slices.ContainsFunc(r.Incidents, left) {
			continue
		}
		mark.Shown, mark.Again = false, false
	}
}

// relevel decides the incident's level anew, and notes a rise that is news.
func (r *Root) relevel(i *Incident, at time.Time, rules Rules) {
	alone := i.Alone
	is := i.level(rules)
	i.Level = is
	if !i.About.Blind() {
		i.Peak = max(i.Peak, is)
	}
	for m := range slices.Backward(levelOfMark[:]) {
		switch l := levelOfMark[m]; {
		case i.Level < l || i.Risen[m]:
		case i.known(l):
			i.Risen[m] = true // it is no news, and the level shows it all the same
		case i.Level == l && i.muted(l): // it is news once the silence has ended
			i.Level--
		}
	}
	i.Capped = i.Level < is
	i.Alone = i.Now.Lost == 0 && i.Bare == nil
	for m, level := range levelOfMark {
		switch {
		case i.Level >= level:
			i.Left[m] = time.Time{}
			// To down includes to degraded. What began as removals alone and is an outage by now has called
			// nobody yet.
			if !i.Risen[m] || alone && !i.Alone && r.Marks[m].Alone {
				i.Risen[m] = true
				r.rise(m, i)
			}
		case i.Risen[m] && i.Left[m].IsZero():
			i.Left[m] = at
		}
	}
}

// rise notes a rise that is to be shown in the channel.
func (r *Root) rise(mark int, i *Incident) {
	m := &r.Marks[mark]
	m.Alone = i.Alone && (m.Rise == 0 || m.Alone)
	m.Rise, m.Again = r.News, false
}

// rearm makes rises news again that are to levels which the incident has left for long enough, or at once.
func (i *Incident) rearm(at time.Time, rules Rules, now bool) {
	for m := range i.Risen {
		if left := i.Left[m]; i.Risen[m] && !left.IsZero() && (now || elapsed(rules.StableAfter, left, at)) {
			i.Risen[m], i.Left[m] = false, time.Time{}
		}
	}
}
