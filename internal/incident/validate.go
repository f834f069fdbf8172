package incident

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Validate refuses what no run writes, so that the rules need not expect it: a state that was damaged, or
// made by hand.
func (s *State) Validate() error {
	crowd := 0
	prefixes, open := make(map[string]bool), make(map[string]bool)
	for n, r := range s.Roots {
		if r == nil || len(r.Incidents) == 0 || slices.Contains(r.Incidents, nil) {
			return fmt.Errorf("root %d has no incident", n)
		}
		if err := r.validate(len(s.Reasons)); err != nil {
			return fmt.Errorf("root %.40q: %w", r.Prefix(), err)
		}
		if prefixes[r.Prefix()] {
			return fmt.Errorf("root %.40q is there twice", r.Prefix())
		}
		prefixes[r.Prefix()] = true
		for _, i := range r.Incidents {
			number, _, _ := strings.Cut(i.ID, "-")
			if n, err := strconv.ParseInt(number, 10, 64); err != nil || n < 1 || n > s.Last {
				return fmt.Errorf("incident %.40q is not one of %d", i.ID, s.Last)
			}
			key := blindKey(i.Key, i.About)
			if i.Open() && open[key] {
				return fmt.Errorf("two open incidents are about %.80q", key)
			}
			open[key] = open[key] || i.Open()
			crowd += len(i.Crowd)
		}
	}
	for key, u := range s.Unread {
		counted := u.Ticks >= 0 && within(u.Why, len(s.Reasons)) && sane(u.Since, u.LastGood)
		if key != u.key() || !u.About.Blind() || !counted {
			return fmt.Errorf("what is known of unreadable %.80q is impossible", key)
		}
	}
	for route, c := range s.Channels {
		if route == "" || c == nil {
			return errors.New("a channel is empty")
		}
	}
	for _, q := range s.Silences {
		if err := q.validate(); err != nil {
			return fmt.Errorf("silence %.20q: %w", q.ID, err)
		}
	}
	switch {
	case len(s.Silences) > maxKept:
		return fmt.Errorf("%d silences, at most %d are kept", len(s.Silences), maxKept)
	case s.Last < 0:
		return errors.New("the number of the last incident is negative")
	case len(s.Reasons) > maxReasons:
		return fmt.Errorf("%d reasons, at most %d are kept", len(s.Reasons), maxReasons)
	case crowd > maxCrowd:
		return fmt.Errorf("%d machines without details, at most %d are kept", crowd, maxCrowd)
	}
	return nil
}

// within reports whether a number is from 0 to most.
func within(n, most int) bool { return n >= 0 && n <= most }

// sane reports whether times can be stored again.
func sane(all ...time.Time) bool {
	return !slices.ContainsFunc(all, func(t time.Time) bool { return t.Year() < 1 || t.Year() > 9999 })
}

func (r *Root) validate(reasons int) error {
	if r.Tag == "" {
		return errors.New("it has no tag")
	}
	if r.Rev < 1 || !within(r.News, r.Rev) || min(r.Beyond, r.Over, r.PaceFrom) < 0 {
		return errors.New("its revisions are impossible")
	}
	ids := make(map[string]bool)
	for _, i := range r.Incidents {
		if err := i.validate(r.Rev, reasons); err != nil {
			return fmt.Errorf("incident %.40q: %w", i.ID, err)
		}
		if i.About.Notice() != r.Notice() {
			return errors.New("it mixes notices and incidents")
		}
		if ids[i.ID] {
			return fmt.Errorf("incident %.40q is there twice", i.ID)
		}
		ids[i.ID] = true
	}
	for _, m := range r.Marks {
		if !within(m.Rise, r.Rev) {
			return errors.New("a rise is newer than the root")
		}
	}
	return r.Delivery.validate(r.Rev)
}

// ends are all of them.
var ends = []End{"", EndResolved, EndOver, EndAbandoned, EndDeleted, EndDropped, EndNotice}

func (i *Incident) validate(rev, reasons int) error {
	switch {
	case i.About != Backends && !i.About.Blind() && !i.About.Notice():
		return fmt.Errorf("it is about %.40q", i.About)
	case !slices.Contains(ends, i.End):
		return fmt.Errorf("it ends as %.40q", i.End)
	case i.About.Notice() != (i.End == EndNotice):
		return errors.New("a notice is closed from the start, and nothing else is")
	case min(i.Level, i.AckLevel) < OK || max(i.Level, i.AckLevel) > Down:
		return errors.New("its level is impossible")
	case !within(i.Rev, rev), !within(i.Loud, rev), !within(i.CrowdRev, rev), !within(i.Lifted, rev):
		return errors.New("its revisions are newer than its root's")
	case !within(i.Why, reasons), i.Times < 0, i.Removed < 0, i.Added < 0, len(i.Emptied) > maxEmptied:
		return errors.New("its counts are impossible")
	case !sane(i.Began, i.LastGood, i.Changed, i.Closed):
		return errors.New("its times are impossible")
	}
	ids := make(map[string]bool, len(i.Machines))
	for _, m := range i.Machines {
		conditions := min(m.Began, m.Now, m.Known) >= Absent && max(m.Began, m.Now, m.Known) <= Out
		if m.ID == "" || ids[m.ID] || !conditions || m.Outages < 0 || m.OutFor < 0 || !within(m.Rev, rev) {
			return fmt.Errorf("what is known of machine %.40q is impossible", m.ID)
		}
		ids[m.ID] = true
	}
	return nil
}

func (d *Delivery) validate(rev int) error {
	switch {
	case d.Route == "":
		return errors.New("it has no channel")
	case d.Form < Full || d.Form > Bare || d.EditForm < Full || d.EditForm > Bare:
		return errors.New("its fallback is impossible")
	case !within(d.Shown, rev), !within(d.RootRev, rev), d.ShownLevel < OK, d.ShownLevel > Down:
		return errors.New("what is shown of it is newer than it is")
	case min(d.Series, d.Updates, d.Counted, d.Messages, d.Reminders) < 0,
		min(d.Fails, d.SendFails, d.EditFails, d.EndFails, d.SweepFails) < 0:
		return errors.New("the counts of its delivery are impossible")
	}
	if c := d.Claim; c != nil {
		if c.By == "" || c.Post != nil && !c.Post.valid(rev) {
			return errors.New("its claim is impossible")
		}
	}
	if x := d.Doubt; x != nil && (!x.valid(rev) || x.Copies < 0) {
		return errors.New("its doubt is impossible")
	}
	return nil
}

func (p *Post) valid(rev int) bool {
	const all = 1<<marks - 1
	sets := p.Rises <= all && p.Current <= all && p.Ends <= all
	return p.N >= 0 && within(p.Rev, rev) && sets && p.Level >= OK && p.Level <= Down
}
