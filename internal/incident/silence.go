package incident

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"clbwatch/internal/lb"
)

// Bounds of silences.
const (
	DefaultSilence = time.Hour          // how long one lasts if nobody says
	MinSilence     = time.Minute        // a tick is a minute
	MaxSilence     = 7 * 24 * time.Hour // every silence ends
	SilenceNeedWhy = 4 * time.Hour      // from here on it needs a reason
	MaxAck         = 24 * time.Hour     // an acknowledgement ends with its incident, or then
	MaxSilences    = 100                // that are active at once
	MaxAtOnce      = 5                  // that one click makes
	MaxSilenceText = 200                // bytes of a glob, of a reason and of who made it

	keepSilence = 24 * time.Hour // how long one is remembered after its end, so that a listing cannot revive it
	maxKept     = 300            // how many are remembered
	nameSilence = time.Hour      // how long after its end a new incident names it
)

// Silence holds notifications back: of the load balancers that a glob matches or, as an acknowledgement, of
// one incident. It never stops watching, and it always ends.
type Silence struct {
	ID       string    `json:"id"`                 // a number such as "7"; of a window "window 2"
	What     string    `json:"what,omitempty"`     // see lb.CLB.Matches; "" of an acknowledgement
	Incident string    `json:"incident,omitempty"` // of an acknowledgement: the number of the incident
	All      bool      `json:"all,omitempty"`      // not even a rise to degraded or down breaks through
	Why      string    `json:"why,omitempty"`      // untrusted text
	By       string    `json:"by,omitempty"`       // a Slack user's ID, or a name. Untrusted text
	Made     time.Time `json:"made"`               // by the store's clock
	Until    time.Time `json:"until"`              // when it ends by itself
	Ended    time.Time `json:"ended,omitzero"`     // when somebody ended it
	EndedBy  string    `json:"endedBy,omitempty"`  // untrusted text
	Named    bool      `json:"named,omitempty"`    // news has named it since its end
}

// Active reports whether nobody has ended it and its time is not over. It counts as soon as it is known,
// whatever the clock of whoever made it said.
func (s Silence) Active(at time.Time) bool { return s.Ended.IsZero() && at.Before(s.Until) }

// Scope is what it is about, in words: see Replace.
func (s Silence) Scope() string {
	if s.Incident != "" {
		return "incident " + s.Incident
	}
	return s.What
}

// number is the silence's ID as a number. A window of the settings has none, and counts as the newest.
func (s Silence) number() int {
	n, err := strconv.Atoi(s.ID)
	if err != nil {
		return math.MaxInt
	}
	return n
}

// recurs reports whether it is a window of the settings.
func (s Silence) recurs() bool { return s.number() == math.MaxInt }

// End is when it ended, or will.
func (s Silence) End() time.Time {
	if !s.Ended.IsZero() && s.Ended.Before(s.Until) {
		return s.Ended
	}
	return s.Until
}

// silenced reports whether a silence covers the incident now.
func (i *Incident) silenced() bool { return i.Silence != "" || i.Ack != "" }

func (i *Incident) wasSilenced() bool { return i.silenced() || i.LiftedBy != "" }

// Untold reports whether a silence holds back all there is to tell of it.
func (i *Incident) Untold() bool { return i.Rev == 0 && i.silenced() }

// muted reports whether a rise to a level does not break through the silences that cover the incident.
func (i *Incident) muted(l Level) bool {
	return i.Silence != "" && i.Mute || i.known(l)
}

// known reports whether whoever has acknowledged the incident knows that it is so bad.
func (i *Incident) known(l Level) bool { return i.Ack != "" && l <= i.AckLevel }

// Held reports whether what happened to the machine last is not told yet: it is pending, or a silence holds
// it back.
func (m Machine) Held() bool { return m.Pending || m.Silent }

// silence notes whether what just happened to a machine is held back by a silence. was is how it was before.
func (m *Machine) silence(silent bool, was Condition) {
	if silent && !m.Silent {
		m.Known = was
	}
	m.Silent, m.Rebound = silent, m.Rebound && silent
}

// samePart reports whether two changes of bindings are about the same.
func samePart(a, b *lb.Part) bool {
	return a != nil && b != nil && a.N == b.N && slices.Equal(a.Names, b.Names)
}

// differs reports whether a machine is not as it was when a silence began to hold back what happened to it.
func (m Machine) differs() bool { return m.Silent && (m.Now != m.Known || m.Rebound) }

// withheld reports whether a silence of its load balancer holds back what is not over yet: it must be told
// once the silence ends.
func (i *Incident) withheld() bool {
	lasts := i.Capped || i.crowdHeld() || slices.ContainsFunc(i.Machines, Machine.differs)
	return i.Silence != "" && (i.Withheld || i.Open() && lasts)
}

// crowdHeld reports whether machines without details are not as they were, of which people may not know.
func (i *Incident) crowdHeld() bool {
	for _, m := range i.Crowd {
		if m.Now != m.Began {
			return i.silenced()
		}
	}
	return false
}

func (r *Root) withheld() bool { return slices.ContainsFunc(r.Incidents, (*Incident).withheld) }

// tell ends what silences hold back of an incident, in a revision that shows it, and reports whether there
// was anything that is not over.
func (i *Incident) tell(rev int) (news bool) {
	news = i.Withheld || i.Capped
	for n := range i.Machines {
		if m := &i.Machines[n]; m.differs() && !m.Pending {
			m.Silent, m.Rebound, m.Rev, news = false, false, rev, true
		}
	}
	if i.crowdHeld() {
		i.CrowdRev, i.CrowdAt, news = rev, i.LastChange(), true
	}
	i.Withheld = false
	return news
}

// breaks reports whether how bad it has become is news in spite of the silences that cover the incident, and
// ends an acknowledgement that it has outgrown. rev is the revision that shows it.
func (i *Incident) breaks(rev int, rules Rules) (news bool) {
	if !i.silenced() {
		return false
	}
	is := i.level(rules)
	if i.Ack != "" && is > i.AckLevel {
		i.LiftedBy, i.Lifted, i.Ack = i.Ack, 0, ""
		if !i.silenced() {
			return i.tell(rev)
		}
	}
	for m, level := range levelOfMark {
		rises := !i.Risen[m] || i.Level < level // to a level that it has not left for long, it is news too
		if is >= level && rises && !i.muted(level) {
			i.tell(rev)
			return true
		}
	}
	return false
}

// toldAll notes that a root message shows machines of which a silence held something back.
func (r *Root) toldAll(rev int) {
	for _, i := range r.Incidents {
		if i.Untold() {
			continue
		}
		for n := range i.Machines {
			if m := &i.Machines[n]; m.Rev <= rev {
				m.silence(false, m.Now)
			}
		}
	}
}

// unack ends an acknowledgement because its incident is over.
func (r *Root) unack(i *Incident, at time.Time) {
	if i.Ack == "" {
		return
	}
	if i.Ack = ""; i.tell(r.Rev + 1) {
		r.news(i, at)
	}
}

// hush takes in which silences there are, and which incidents they cover from now on. It returns the
// incidents that none covers any more: what was held back of those is told once this observation's changes
// are taken in, so that what is over is not told as if it went on. past is what the history is to have of
// silences that began or ended.
func (s *State) hush(o Observation, rules Rules) (over map[*Incident]string, past []Record) {
	before := make(map[string]Silence, len(s.Silences))
	for _, q := range s.Silences {
		before[q.ID] = q
	}
	s.learn(o, rules)
	s.stirred = false
	others := make(map[string]bool) // numbers that another window of the settings has now
	for _, q := range s.Silences {
		old, known := before[q.ID]
		past = append(past, s.turned(old, q, o.At)...)
		s.stirred = s.stirred || q.Active(o.At) != old.Active(s.At)
		switch {
		case !known && q.Incident != "" && q.Active(o.At):
			s.acknowledge(q)
		case known && old.What != q.What:
			others[q.ID] = true
			s.forgetName(q.ID)
		}
	}
	over = make(map[*Incident]string)
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if !i.Open() && !i.Withheld {
				continue
			}
			silence, ack := i.Silence, i.Ack
			s.cover(i, o.At)
			if i.Silence != silence || i.Ack != ack {
				s.stirred = true
				r.Rev++ // its root says so
			}
			if (silence != "" || ack != "") && !i.silenced() {
				if over[i] = cmp.Or(silence, ack); others[over[i]] {
					over[i] = ""
				}
				i.Silence, i.Ack = silence, ack // until lift
			}
		}
	}
	return over, past
}

// turned is what the history is to have of a silence that was old at the last observation, zero if it was not
// known, and is now at this one: that it ended, or began, or ended and another began under its number.
func (s *State) turned(old, now Silence, at time.Time) (past []Record) {
	same := old.What == now.What && old.Made.Equal(now.Made)
	was, is := old.Active(s.At), now.Active(at)
	if was && !(same && is) {
		ended := old
		if same {
			ended = now
		}
		ended.Ended = ended.End()
		if ended.Ended.After(at) {
			ended.Ended = at.Truncate(time.Second)
		}
		past = append(past, Record{At: at, Silence: &ended})
	}
	if is && !(same && was) {
		began := now
		past = append(past, Record{At: at, Silence: &began})
	}
	return past
}

// Learn adds what is known of silences elsewhere. What is known to have ended has ended: a listing may be
// behind.
func (s *State) Learn(more []Silence) {
	all := slices.Clone(s.Silences)
	for _, q := range more {
		at := slices.IndexFunc(all, func(known Silence) bool { return known.ID == q.ID })
		switch {
		case at < 0:
			all = append(all, q)
		case all[at].Ended.IsZero():
			all[at] = q
		}
	}
	slices.SortFunc(all, func(a, b Silence) int {
		return cmp.Or(cmp.Compare(a.number(), b.number()), cmp.Compare(a.ID, b.ID))
	})
	s.Silences = all
}

// forgetName makes no incident name a silence any more.
func (s *State) forgetName(id string) {
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.LiftedBy == id {
				i.LiftedBy, i.Lifted = "", 0
			}
		}
	}
}

// learn takes in what is known of silences by now: those that people made, and the windows of the settings.
func (s *State) learn(o Observation, rules Rules) {
	s.Learn(o.Silences)
	windows := rules.Windows.Active(o.At)
	s.Silences = slices.DeleteFunc(s.Silences, func(q Silence) bool {
		again := func(w Silence) bool { return w.ID == q.ID }
		// by its own time: what was replaced may have no end in the store
		return o.At.Sub(q.Until) >= keepSilence || slices.ContainsFunc(windows, again)
	})
	for n := range s.Silences {
		if q := &s.Silences[n]; q.recurs() && q.Active(o.At) { // the settings have changed
			q.Ended = o.At
		}
	}
	s.Learn(windows)
	Replace(s.Silences)
	for over := len(s.Silences) - maxKept; over > 0; over-- { // the oldest that has ended, or the oldest
		ended := func(q Silence) bool { return !q.Active(o.At) }
		n := max(0, slices.IndexFunc(s.Silences, ended))
		s.Silences = slices.Delete(s.Silences, n, n+1)
	}
}

// Replace ends each silence in a list, which is in the order of their numbers, that a later one of the same
// scope has replaced.
func Replace(all []Silence) {
	newest := make(map[[2]string]*Silence)
	for n := range all {
		q := &all[n]
		if q.recurs() {
			continue
		}
		scope := [2]string{q.What, q.Incident}
		if old := newest[scope]; old != nil && old.Ended.IsZero() {
			old.Ended, old.EndedBy = q.Made, "silence "+q.ID
		}
		newest[scope] = q
	}
}

// acknowledge notes who has an incident, or all that are open of the root that goes by the number, and how
// bad each is by now.
func (s *State) acknowledge(q Silence) {
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.Open() && !i.About.Blind() && (i.ID == q.Incident || r.Leads(q.Incident)) {
				i.Ack, i.AckLevel, i.Took = q.ID, i.Level, q.ID
				r.Rev++ // its root says so
				r.taken(q)
			}
		}
	}
}

// maxTakers is how many acknowledgements a root remembers the makers of.
const maxTakers = 4

// taken notes who made an acknowledgement.
func (r *Root) taken(q Silence) {
	if q.By == "" || slices.ContainsFunc(r.Takers, func(t Taker) bool { return t.Ack == q.ID }) {
		return
	}
	r.Takers = append(slices.Clone(r.Takers[max(0, len(r.Takers)-maxTakers+1):]), Taker{q.ID, q.By})
}

// Foresee takes in silences before an observation does, for a message that shows them at once. Nothing that
// it changes is stored.
func (s *State) Foresee(made []Silence, at time.Time) {
	s.Learn(made)
	for _, q := range made {
		if q.Incident != "" {
			s.acknowledge(q)
		}
	}
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.Open() {
				s.cover(i, at)
			}
		}
	}
}

// Leads reports whether people know the root by a number: that of its first incident, or of the first in it
// that they were told of.
func (r *Root) Leads(id string) bool {
	for _, i := range r.Incidents {
		if i.ID == id {
			return true
		}
		if !i.Untold() {
			break
		}
	}
	return false
}

// cover notes which silences cover an incident at a time.
func (s *State) cover(i *Incident, at time.Time) {
	if q := s.silence(i.Ack); q == nil || !q.Active(at) {
		i.Ack = ""
	}
	i.Silence, i.Mute = "", false
	switch i.About {
	case Backends, Deleted, Unmatched, Upgraded:
	default:
		return // what cannot be read is never silenced
	}
	c := s.clb(i)
	var best, after *Silence
	for n := range s.Silences {
		q := &s.Silences[n]
		switch {
		case q.What == "" || !q.Active(at) && !i.Began.Equal(at) || !c.Matches(q.What):
		case !q.Active(at):
			if i.Began.Equal(at) && !q.Named && at.Sub(q.End()) < nameSilence {
				i.LiftedBy, after = q.ID, q
			}
		case best == nil || q.All && !best.All || q.All == best.All && q.Until.After(best.Until):
			best = q
		}
	}
	switch {
	case best != nil:
		i.Silence, i.Mute, i.LiftedBy = best.ID, best.All, ""
	case after != nil:
		after.Named = true
	}
}

// lift tells what silences held back that have ended, where it is not over.
func (s *State) lift(over map[*Incident]string, at time.Time) {
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			by, ok := over[i]
			if !ok {
				continue
			}
			i.Silence, i.Mute, i.Ack, i.LiftedBy, i.Lifted = "", false, "", by, 0
			if i.tell(r.Rev + 1) {
				r.news(i, at)
				if q := s.silence(by); q != nil {
					q.Named = true
				}
			}
		}
	}
}

// SilenceByID is what is known of a silence; ok is false if nothing is.
func (s *State) SilenceByID(id string) (q Silence, ok bool) {
	if q := s.silence(id); q != nil {
		return *q, true
	}
	return Silence{}, false
}

// silence is what is known of a silence; nil if nothing is.
func (s *State) silence(id string) *Silence {
	for n := range s.Silences {
		if s.Silences[n].ID == id {
			return &s.Silences[n]
		}
	}
	return nil
}

// Stirred reports whether a silence began or ended in the observation that was judged last.
func (s *State) Stirred() bool { return s.stirred }

// validate refuses what no run writes.
func (s Silence) validate() error {
	switch {
	case s.ID == "" || len(s.ID) > 20 || (s.What == "") == (s.Incident == ""):
		return errors.New("it is about nothing, or about two things")
	case max(len(s.What), len(s.Why), len(s.By), len(s.EndedBy), len(s.Incident)) > MaxSilenceText:
		return errors.New("its texts are too long")
	case !sane(s.Made, s.Until, s.Ended):
		return errors.New("its times are impossible")
	}
	return nil
}
