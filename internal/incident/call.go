package incident

import (
	"slices"
	"strings"
	"time"

	"clbwatch/internal/lb"
)

// Call is one call to Slack about a root: what to do, not in which words.
type Call struct {
	Do    Do
	Route Route
	TS    string    // the thread an update goes to, or the message to edit; "" for the channel itself
	Key   string    // what the message is recognised by; of Copies: what those of all messages begin with
	Since time.Time // of Look and Copies: when the message was posted at the earliest
	Post  Post      // of Send: what it shows; of the edits: only Rev, what the root is to show
	Form  Form
}

// Do is what a Call does.
type Do int

// Calls.
const (
	Send   Do = iota // post the root or an update
	Look             // look for a post that may have arrived, by its key
	Ask              // ask something harmless, to learn whether Slack answers at all
	Edit             // bring the root up to date
	Copies           // look for all posts of the root that may have arrived twice
	Void             // edit a copy to say of what it is a repeat
	Leave            // edit a root in a channel that is not used any more to say where it continues
)

// Outcome is what an answer means.
type Outcome struct {
	Class Class
	TS    string // of Send and Look: where the message is
	Found []Copy // of Copies: all there are, oldest first
	Err   error  // why it is not Done, for the log; nil if it is
}

// Copy is a message found by its key.
type Copy struct{ Key, TS string }

// Class is all that a caller needs to know about an answer.
type Class int

// Classes of outcomes.
const (
	Done      Class = iota // it happened
	NotThere               // of Look: it is not there
	Unknown                // it may have happened: no answer, an answer 5xx, or one that says so
	Temporary              // it did not happen, and may the next time
	// it did not happen, and nothing else would on this route: no connection, a limit of the rate, a bad
	// token
	ChannelDown
	Gone    // it did not happen: the message that it is about is not there any more
	Content // it did not happen: Slack refuses it as it is
)

// Step is one call of a run and what came of it.
type Step struct {
	Root    string // Root.Prefix
	Call    Call
	Outcome Outcome
	Now     time.Time // when the answer came, by the store's clock
	At      time.Time // when the observation began that the run posts
}

// Claimed are the roots that a run has claimed: those it posts about, in that order, and those it then edits.
// Channels take turns.
func (s *State) Claimed(by string) (posts, edits []*Root) {
	for _, r := range s.Roots {
		if c := r.Delivery.Claim; c != nil && c.By == by {
			if c.Post != nil {
				posts = append(posts, r)
			}
			if c.Edit {
				edits = append(edits, r)
			}
		}
	}
	slices.SortStableFunc(posts, urgent)
	slices.SortStableFunc(edits, longestShown)
	return turns(posts), turns(edits)
}

// NextPost is the next call of the post that the root's claim names; ok is false once nothing is left to do
// about it.
func (r *Root) NextPost() (call Call, ok bool) {
	d := &r.Delivery
	c := d.Claim
	if c == nil || c.Post == nil || c.spent {
		return Call{}, false
	}
	call = Call{Do: Send, Route: d.Route, Post: *c.Post, Key: r.Key(*c.Post), Form: d.Form, Since: r.Made}
	if !c.Post.Root && d.Route.Bot() && !d.InChannel {
		call.TS = d.TS
	}
	if x := d.Doubt; x != nil {
		switch {
		case d.canLook() && !c.looked:
			call.Do, call.Key = Look, r.Key(x.Post)
		case !d.canLook() && !c.asked:
			call.Do = Ask
		case !d.canLook():
			call.Post.Repeat, call.Post.Mention = true, false
		}
	}
	if call.Form >= NoMention {
		call.Post.Mention = false
	}
	return call, true
}

// NextEdit is the next call of the edits that the root's claim allows; ok is false once nothing is left to
// do.
func (r *Root) NextEdit(now time.Time) (call Call, ok bool) {
	d := &r.Delivery
	c := d.Claim
	if c == nil || !c.Edit {
		return Call{}, false
	}
	shows := Post{Rev: r.Rev, End: !r.Open()}
	call = Call{Route: d.Route, TS: d.TS, Key: r.Prefix(), Since: r.Made, Post: shows}
	switch {
	case r.editDue(now):
		call.Do, call.Form = Edit, d.EditForm
	case len(c.copies) > 0:
		call.Do, call.TS = Void, c.copies[0]
	case r.sweepDue(now) && !c.swept:
		call.Do = Copies
	case r.leaveDue():
		call.Do, call.Route, call.TS = Leave, d.Left[0].Route, d.Left[0].TS
	default:
		return Call{}, false
	}
	return call, true
}

// Take takes in what came of a call. stop reports whether the round is over for the route: nothing would
// arrive there now.
func (r *Root) Take(s Step) (stop bool) {
	if s.Outcome.Class == ChannelDown && s.Call.Do != Leave {
		return true
	}
	switch s.Call.Do {
	case Send:
		r.sent(s)
	case Look:
		r.looked(s)
	case Ask:
		if c := r.Delivery.Claim; s.Outcome.Class == Done {
			c.asked = true
		} else {
			c.spent = true
			r.Delivery.NotBefore = s.Now.Add(backoff(1))
		}
	case Edit:
		r.edited(s)
	case Copies:
		r.swept(s)
	case Void:
		r.voided(s)
	case Leave:
		// at best effort: the incident goes on elsewhere
		r.Delivery.Left = slices.Delete(r.Delivery.Left, 0, 1)
	}
	return false
}

// sent takes in what came of a post.
func (r *Root) sent(s Step) {
	d, p := &r.Delivery, s.Call.Post
	switch s.Outcome.Class {
	case Done:
		r.delivered(p, s.Outcome.TS, s)
		if p.Root {
			d.Confirmed = s.Now
		}
	case Unknown:
		r.doubt(p, s.Now)
		r.fail(s)
	case Gone:
		if s.Call.TS == "" {
			r.refused(s)
			return
		}
		d.anew()
		d.Claim.spent = true
	case Content:
		r.refused(s)
	default:
		r.fail(s)
	}
}

// delivered notes that a post is in Slack.
func (r *Root) delivered(p Post, ts string, s Step) {
	d := &r.Delivery
	r.shown(p, ts, s.At)
	d.Messages++
	d.Doubt, d.Form, d.Fails, d.SendFails, d.NotBefore = nil, Full, 0, 0, time.Time{}
	d.Due, d.Undelivered, d.Named = time.Time{}, time.Time{}, false
	if p.Root {
		d.Presumed = time.Time{} // it shows everything; an update has to name what Slack may lack
	}
	if d.EndFails >= editTries {
		d.EditNotBefore = time.Time{} // once more
	}
	if d.Claim != nil {
		d.Claim.spent = true
	}
}

// refused moves one fallback down. In the last one the news waits: nothing is dropped, and other roots name
// it.
func (r *Root) refused(s Step) {
	d := &r.Delivery
	if r.stepDown(s) {
		return
	}
	d.NotBefore, d.Claim.spent = s.Now.Add(backoff(stepAfter)), true
}

// fail notes a failure of the root's own: it waits, longer each time, and each fourth post that fails moves
// one fallback down.
func (r *Root) fail(s Step) {
	d := &r.Delivery
	d.Fails++
	d.NotBefore, d.Claim.spent = s.Now.Add(backoff(d.Fails)), true
	if s.Call.Do != Send {
		return
	}
	if d.SendFails++; d.SendFails%stepAfter == 0 {
		r.stepDown(s)
	}
}

// stepDown moves one fallback down. It reports whether there was one.
func (r *Root) stepDown(s Step) bool {
	d := &r.Delivery
	switch {
	case s.Call.TS != "":
		d.InChannel = true
	case d.Form < Bare:
		if d.Form++; d.Form == NoMention && !s.Call.Post.Mention {
			d.Form++
		}
	default:
		if d.Undelivered.IsZero() {
			d.Undelivered, d.Named = s.Now, false
		}
		return false
	}
	return true
}

// backoff is how long to wait after so many failures, a tenth less: a timer never fires exactly on time.
func backoff(fails int) time.Duration {
	d := min(maxBackoff, time.Minute<<min(fails-1, 10))
	return d - min(d/10, 20*time.Second)
}

// looked takes in what came of looking for a post in doubt.
func (r *Root) looked(s Step) {
	d := &r.Delivery
	switch x := d.Doubt; {
	case x == nil:
	case s.Outcome.Class == Done:
		r.delivered(x.Post, s.Outcome.TS, s)
		if x.Root {
			d.RootRev = 0 // it may be any of the copies
		}
	// they may still arrive
	case s.Outcome.Class == NotThere && x.Copies >= maxCopies && s.Now.Sub(x.At) < late:
		d.NotBefore, d.Claim.spent = x.At.Add(late), true
	case s.Outcome.Class == NotThere:
		if x.Copies >= maxCopies {
			x.Copies = 0
		}
		d.Claim.looked = true
	case s.Outcome.Class == Content || s.Outcome.Class == Gone:
		d.NoLook = true
		d.Claim.spent = x.Copies >= maxCopies
	default:
		r.fail(s)
	}
}

// edited takes in what came of an edit of the root.
func (r *Root) edited(s Step) {
	d := &r.Delivery
	switch s.Outcome.Class {
	case Done:
		d.RootRev, d.Confirmed = s.Call.Post.Rev, s.Now
		d.EditFails, d.EndFails, d.EditNotBefore, d.EditForm = 0, 0, time.Time{}, Full
	case Gone:
		if !r.Open() && r.News <= d.Shown {
			d.NoEdit, d.ShownEnd = true, true // somebody has read it and deleted it
			return
		}
		d.anew()
		if d.Claim != nil {
			d.Claim.spent = true
		}
	case Content:
		switch d.EditForm {
		case Bare:
			d.NoEdit = true
		case Plain:
			d.EditForm = Bare
		default:
			d.EditForm = Plain
		}
	default:
		if s.Outcome.Class == Unknown {
			d.unknown(s.Now)
		}
		d.EditFails++
		d.EditNotBefore = s.Now.Add(backoff(d.EditFails))
		if s.Call.Post.End {
			d.EndFails++
		}
		d.NoEdit = d.EndFails > editTries && d.ShownEnd
	}
}

// swept takes in which posts of the root there are, and finds those that are copies.
func (r *Root) swept(s Step) {
	d := &r.Delivery
	d.Claim.swept = true
	switch s.Outcome.Class {
	case Done:
		seen := make(map[string]bool)
		for _, c := range s.Outcome.Found {
			root := strings.HasPrefix(c.Key, r.Prefix()+"root-")
			if root && c.TS != d.TS || !root && seen[c.Key] {
				d.Claim.copies = append(d.Claim.copies, c.TS)
			}
			seen[c.Key] = true
		}
		if len(d.Claim.copies) == 0 {
			d.noCopies()
		}
	case Content, Gone:
		d.NoLook = true
	default:
		r.sweepFails(s)
	}
}

// noCopies ends the search for copies.
func (d *Delivery) noCopies() {
	d.SweepFails, d.SweepNotBefore, d.Doubted = 0, time.Time{}, time.Time{}
}

// sweepFails notes that copies could not be looked for, or not be marked as such. Some time that is given up.
func (r *Root) sweepFails(s Step) {
	d := &r.Delivery
	if d.SweepFails++; d.SweepFails >= sweepTries {
		d.noCopies()
		return
	}
	d.SweepNotBefore = s.Now.Add(backoff(d.SweepFails))
}

// voided takes in what came of marking a copy as one.
func (r *Root) voided(s Step) {
	d := &r.Delivery
	switch s.Outcome.Class {
	case Done, Content, Gone:
		if d.Claim.copies = d.Claim.copies[min(1, len(d.Claim.copies)):]; len(d.Claim.copies) == 0 {
			d.noCopies()
		}
	default:
		d.Claim.copies = nil
		r.sweepFails(s)
	}
}

// Mark takes what a run did into the newest state, whoever wrote that, and ends its claims. Where another run
// took a claim over, that run knows best what to do: what this one did may only cast doubt. now is the
// store's clock.
func (s *State) Mark(by string, steps []Step, now time.Time) {
	mine := make(map[string]*Root)
	others := make(map[string]*Root)
	for _, r := range s.Roots {
		if c := r.Delivery.Claim; c != nil && c.By == by {
			mine[r.Prefix()] = r
		} else {
			others[r.Prefix()] = r
		}
	}
	for _, step := range steps {
		switch r := mine[step.Root]; {
		case r != nil:
			r.Take(step)
		case others[step.Root] != nil:
			others[step.Root].late(step, now)
		}
		if step.Call.Do == Send && step.Outcome.Class == Done {
			s.accepted(step)
		}
	}
	for _, r := range mine {
		r.Delivery.Claim = nil
	}
}

// late notes that a run which had lost its claim may have changed what Slack shows.
func (r *Root) late(s Step, now time.Time) {
	if c := s.Outcome.Class; c != Done && c != Unknown {
		return
	}
	switch d := &r.Delivery; s.Call.Do {
	case Send:
		d.unknown(now)
		d.Doubted = later(d.Doubted, now)
	case Edit:
		d.unknown(now)
	}
}

// unknown notes that a call may have taken effect, or may still do so.
func (d *Delivery) unknown(now time.Time) { d.LastUnknown, d.RootRev = later(d.LastUnknown, now), 0 }

// later is now, or what another run with a clock of its own has noted, if that is later and its clock was not
// wrong.
func later(was, now time.Time) time.Time {
	if was.After(now) && was.Sub(now) <= MaxBehind {
		return was
	}
	return now
}

// accepted notes that a route takes posts, and that people know what the post named.
func (s *State) accepted(step Step) {
	c := s.channel(step.Call.Route)
	if step.At.After(c.LastYes) {
		c.LastYes = step.At
	}
	for _, r := range s.Roots {
		if !slices.Contains(step.Call.Post.Names, r.ID()) {
			continue
		}
		if r.Delivery.Named = true; !r.Delivery.Presumed.After(step.Now) { // else it is about newer news
			r.Delivery.Presumed = time.Time{}
		}
	}
}

// Document is a root with all that its message needs beside it.
type Document struct {
	*Root
	Reason func(n int) Reason      // see State.Reason
	Name   func(key string) lb.CLB // the names of a load balancer whose incident does not hold them
	// Silence: what is known of a silence by its ID; nil if nothing is
	Silence func(id string) (q Silence, ok bool)
	// Newer: see State.Newer; nil if that is not known
	Newer func(i *Incident) string
}

// Document is a root of the state with all that its message needs; name may be nil.
func (s *State) Document(r *Root, name func(key string) lb.CLB) Document {
	return Document{Root: r, Reason: s.Reason, Name: name, Silence: s.SilenceByID, Newer: s.Newer}
}
