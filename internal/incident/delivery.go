package incident

import (
	"slices"
	"time"
)

// The rules of delivery were tried in 20,000 random histories, and again with each one left out; see
// docs/reliability.md.
const (
	late       = 10 * time.Minute // how long a call of unknown outcome may still take effect
	overdue    = 15 * time.Minute // how long something may be due before ticks fail
	forgotten  = 24 * time.Hour   // how long a presumption lasts that no message could name
	maxBackoff = 4 * time.Minute
	maxCopies  = 2                // posts that may have arrived, of one message
	sweepTries = 15               // failed searches for copies, before they are left
	editTries  = 4                // failed edits of a closed root before an update has the last word
	stepAfter  = 4                // failures that move one fallback down
	maxEdits   = 20               // of one tick; Slack counts those of all channels together
	maxPosts   = 40               // of one tick and channel; Slack takes one a second there
	maxClaim   = 16 * time.Minute // no run lasts longer: a claim that ends later was made under a wrong clock
)

// Form is how much of a message is sent. What is refused is sent again in the next form.
type Form int

// Forms, from the full message to one line that no text from the cloud is in.
const (
	Full      Form = iota
	NoMention      // without the mention, and it says so
	Plain          // text only
	Bare           // one line with counts and the incident's number
)

// Delivery is the record of what Slack shows of a root. Judge does not touch it, but for the Route.
type Delivery struct {
	Route      Route  `json:"route"`
	Posted     bool   `json:"posted,omitempty"`     // the root is in Slack, or presumed to be
	TS         string `json:"ts,omitempty"`         // where; "" if that is not known, as ever by webhook
	Series     int    `json:"series,omitempty"`     // which root it is: they can be deleted
	Shown      int    `json:"shown,omitempty"`      // the revision that posts have shown
	ShownEnd   bool   `json:"shownEnd,omitempty"`   // the last post showed the root as closed
	ShownLevel Level  `json:"shownLevel,omitempty"` // how bad the last post showed it
	// RootRev: the revision that the root shows; 0 if that is not known
	RootRev   int       `json:"rootRev,omitempty"`
	Confirmed time.Time `json:"confirmed,omitzero"`  // when it was accepted last that it shows that
	Updates   int       `json:"updates,omitempty"`   // updates in Slack, or presumed to be
	Counted   int       `json:"counted,omitempty"`   // of those, the ones that count for the pace
	Messages  int       `json:"messages,omitempty"`  // posts that Slack accepted
	Reminders int       `json:"reminders,omitempty"` // since the last news

	UpdatedAt  time.Time `json:"updatedAt,omitzero"`  // observation that the last post went with
	RemindedAt time.Time `json:"remindedAt,omitzero"` // and the last reminder, or news

	Claim *Claim `json:"claim,omitempty"` // who is posting; nil if nobody is
	Doubt *Doubt `json:"doubt,omitempty"` // a post that may have arrived

	Form      Form `json:"form,omitempty"`      // the next post's
	EditForm  Form `json:"editForm,omitempty"`  // the next edit's
	InChannel bool `json:"inChannel,omitempty"` // updates go to the channel: the thread takes none
	NoLook    bool `json:"noLook,omitempty"`    // the bot may not look for its posts
	NoEdit    bool `json:"noEdit,omitempty"`    // the root cannot be edited

	// Fails: failures in a row, of posts and of looking for them
	Fails         int       `json:"fails,omitempty"`
	SendFails     int       `json:"sendFails,omitempty"` // of those, the posts
	NotBefore     time.Time `json:"notBefore,omitzero"`
	EditFails     int       `json:"editFails,omitempty"`  // failed edits in a row
	EndFails      int       `json:"endFails,omitempty"`   // of those, the ones since the root is closed
	SweepFails    int       `json:"sweepFails,omitempty"` // failed searches for copies
	EditNotBefore time.Time `json:"editNotBefore,omitzero"`
	// SweepNotBefore holds up searches for copies only: an edit that Slack does not take must not, nor they it
	SweepNotBefore time.Time `json:"sweepNotBefore,omitzero"`
	LastUnknown    time.Time `json:"lastUnknown,omitzero"` // the last call that may still take effect
	// Doubted: the last post in doubt whose copies were not looked for yet
	Doubted time.Time `json:"doubted,omitzero"`

	Due time.Time `json:"due,omitzero"` // since when something is due
	// Presumed: since when news is presumed delivered, and no message has named it
	Presumed    time.Time `json:"presumed,omitzero"`
	Undelivered time.Time `json:"undelivered,omitzero"` // since when no form of it gets through
	Named       bool      `json:"named,omitempty"`      // a message has named what is undelivered

	Left []Receipt `json:"left,omitempty"` // roots that are to say where it continues
}

// Receipt says where a message is.
type Receipt struct {
	Route Route  `json:"route"`
	TS    string `json:"ts"`
}

// Claim says what one run is about to do, and until when nobody else may.
type Claim struct {
	By    string    `json:"by"`             // Writer of the head that made it
	Until time.Time `json:"until"`          // by the store's clock
	Post  *Post     `json:"post,omitempty"` // what it posts; nil if it only edits
	Edit  bool      `json:"edit,omitempty"` // it edits the root, looks for copies or leaves a channel

	looked, asked, spent bool
	copies               []string // that are still to be edited; set once they were looked for
	swept                bool
}

// Doubt is a post that may have arrived.
type Doubt struct {
	Post
	At     time.Time `json:"at"`     // the last time it may have been posted
	Copies int       `json:"copies"` // how many may arrive
}

func (d Delivery) clone() Delivery {
	if d.Claim != nil {
		c := *d.Claim
		d.Claim = &c
	}
	if d.Doubt != nil {
		x := *d.Doubt
		d.Doubt = &x
	}
	d.Left = slices.Clone(d.Left)
	return d
}

// failedAlone reports whether posting failed for a reason of the root's own.
func (d *Delivery) failedAlone() bool { return d.Fails > 0 || !d.Undelivered.IsZero() }

func (d *Delivery) canLook() bool { return d.Route.Bot() && !d.NoLook }

// Plan says what a run is to do: it claims posts and edits in the state that the run commits, and takes
// closed roots out of it whose last word is in Slack. at is when the observation began, now is the store's
// clock, by names the run's commit, and until is when it will have ended. It returns what the history is to
// have of the roots that left.
func (s *State) Plan(at, now time.Time, by string, until time.Time, rules Rules) (past []Record) {
	past = s.retire(at)
	var posts, edits []*Root
	s.Roots = slices.DeleteFunc(s.Roots, func(r *Root) bool {
		d := &r.Delivery
		if c := d.Claim; c != nil {
			if now.Before(c.Until) && c.Until.Sub(now) <= maxClaim {
				return false
			}
			r.lost(now)
		}
		if d.Doubt != nil && !d.canLook() && d.Doubt.Copies >= maxCopies {
			r.presume(now, at)
		}
		r.expire(now)
		p, due := r.due(at, rules)
		// nobody knows where it is: what is new gets a new root
		if due && d.Posted && d.Route.Bot() && d.TS == "" {
			d.anew()
			p, due = r.due(at, rules)
		}
		r.wait(due, at)
		if r.done(due, now) {
			past = append(past, r.records(at, r.undelivered())...)
			return true
		}
		switch {
		case now.Before(d.NotBefore):
		case d.Doubt != nil:
			posts = append(posts, r)
			again := d.Doubt.Post
			if q, _ := r.due(at, rules); d.Doubt.Root == q.Root && d.Doubt.N == q.N {
				again = q // the same message, as things stand now
			}
			again.Repeat = !d.canLook()
			again.Mention = again.Mention && !again.Repeat
			d.Claim = &Claim{By: by, Until: until, Post: &again}
		case due:
			posts = append(posts, r)
			d.Claim = &Claim{By: by, Until: until, Post: &p}
		}
		if r.editDue(now) || r.sweepDue(now) || r.leaveDue() {
			edits = append(edits, r)
		}
		return false
	})
	s.cut(posts, edits, by, until)
	return past
}

// cut keeps what one tick has time for, in the order in which it is posted, and names in each post what Slack
// may lack. No channel takes another's share.
func (s *State) cut(posts, edits []*Root, by string, until time.Time) {
	slices.SortStableFunc(posts, urgent)
	n := make(map[Route]int)
	for _, r := range posts {
		d := &r.Delivery
		if n[d.Route]++; n[d.Route] > maxPosts {
			d.Claim = nil
			continue
		}
		d.Claim.Post.Names = s.missing(r, d.Claim.Post.Root)
	}
	slices.SortStableFunc(edits, longestShown)
	edits = turns(edits)
	for _, r := range edits[:min(len(edits), maxEdits)] {
		if r.Delivery.Claim == nil {
			r.Delivery.Claim = &Claim{By: by, Until: until}
		}
		r.Delivery.Claim.Edit = true
	}
}

// turns lets channels take turns, each in the order of its own: first comes the first of each, then the
// second.
func turns(roots []*Root) []*Root {
	turn, n := make(map[*Root]int, len(roots)), make(map[Route]int)
	for _, r := range roots {
		turn[r] = n[r.Delivery.Route]
		n[r.Delivery.Route]++
	}
	slices.SortStableFunc(roots, func(a, b *Root) int { return turn[a] - turn[b] })
	return roots
}

// longestShown orders edits: the least recently shown first.
func longestShown(a, b *Root) int { return a.Delivery.Confirmed.Compare(b.Delivery.Confirmed) }

// urgent orders posts: roots and rises that no post has shown, the worst first; then updates, the longest due
// first.
func urgent(a, b *Root) int {
	first := func(r *Root) int {
		if p := r.Delivery.Claim.Post; p.Root || p.Rises != 0 {
			return 0
		}
		return 1
	}
	if c := first(a) - first(b); c != 0 {
		return c
	}
	if first(a) == 0 {
		if c := int(b.Level() - a.Level()); c != 0 {
			return c
		}
	}
	return a.Delivery.Due.Compare(b.Delivery.Due)
}

// missing are the numbers of the roots of a channel whose news people may not have. The root that the post is
// about comes first, unless the post is its root message, which shows everything.
func (s *State) missing(about *Root, root bool) (names []string) {
	if d := &about.Delivery; !root && !d.Presumed.IsZero() {
		names = append(names, about.ID())
	}
	for _, r := range s.Roots {
		d := &r.Delivery
		lacks := !d.Presumed.IsZero() || !d.Undelivered.IsZero() && !d.Named
		if lacks && r != about && d.Route == about.Delivery.Route && len(names) < maxNames {
			names = append(names, r.ID())
		}
	}
	return names
}

// wait notes since when something is due.
func (r *Root) wait(due bool, at time.Time) {
	d := &r.Delivery
	switch waits := due || d.Doubt != nil; {
	case !waits:
		d.Due = time.Time{}
	case d.Due.IsZero():
		d.Due = at
	}
}

// Overdue are the roots whose news was due, or presumed delivered, for too long.
func (s *State) Overdue(now time.Time) (roots []*Root) {
	for _, r := range s.Roots {
		for _, since := range []time.Time{r.Delivery.Due, r.Delivery.Presumed, r.Delivery.Undelivered} {
			if !since.IsZero() && now.Sub(since) >= overdue {
				roots = append(roots, r)
				break
			}
		}
	}
	return roots
}

// lost turns a claim that ended without a word into doubt.
func (r *Root) lost(now time.Time) {
	d := &r.Delivery
	c := d.Claim
	d.Claim = nil
	d.unknown(now)
	if c.Post != nil {
		r.doubt(*c.Post, now)
	}
}

// doubt notes that a post may have arrived.
func (r *Root) doubt(p Post, now time.Time) {
	d := &r.Delivery
	if x := d.Doubt; x == nil || x.Root != p.Root || x.N != p.N {
		d.Doubt = &Doubt{Post: p}
	}
	x := d.Doubt
	x.Post = x.or(p)
	x.At = later(x.At, now)
	x.Copies++
	d.LastUnknown, d.Doubted = later(d.LastUnknown, now), later(d.Doubted, now)
}

// or is what is sure of a message of which p, q or both may be in Slack: what both show was shown, and what
// one of them alarmed about has an end.
func (p Post) or(q Post) Post {
	p.Rev, p.Level = min(p.Rev, q.Rev), max(p.Level, q.Level)
	p.Rises, p.Current, p.Ends = p.Rises&q.Rises, p.Current|q.Current, p.Ends&q.Ends
	p.End, p.Broadcast, p.Reminder = p.End && q.End, p.Broadcast && q.Broadcast, p.Reminder && q.Reminder
	p.Mention = p.Mention || q.Mention
	unnamed := func(n string) bool { return !slices.Contains(q.Names, n) }
	p.Names = slices.DeleteFunc(slices.Clone(p.Names), unnamed)
	return p
}

// presume takes news for delivered that may have been, as often as it may be posted.
func (r *Root) presume(now, at time.Time) {
	d := &r.Delivery
	p := d.Doubt.Post
	d.Doubt = nil
	if !p.Root && d.Route.Bot() {
		d.InChannel = true // the thread may be what does not work
	}
	r.shown(p, "", at)
	d.RootRev, d.Presumed = 0, now
}

// expire ends what lasts no longer than a day.
func (r *Root) expire(now time.Time) {
	if d := &r.Delivery; !d.Presumed.IsZero() && now.Sub(d.Presumed) >= forgotten {
		d.Presumed = time.Time{}
	}
}

// shown notes that a post is in Slack, or counts as that.
func (r *Root) shown(p Post, ts string, at time.Time) {
	d := &r.Delivery
	news := d.Shown < r.News && p.Rev >= r.News
	if p.Root {
		d.Posted, d.TS, d.RootRev = true, ts, p.Rev
	} else {
		d.Updates = p.N + 1
	}
	d.Shown, d.ShownEnd, d.ShownLevel, d.UpdatedAt = max(d.Shown, p.Rev), p.End, p.Level, at
	switch {
	case p.Reminder, p.Root && !news: // a root that is posted anew for a reminder says nothing new
		d.Reminders++
		d.RemindedAt = at
	case news: // reminders are measured from when the news was shown
		d.Reminders, d.RemindedAt = 0, at
	}
	if !p.Reminder && !p.Root {
		d.Counted++
	}
	if p.Root || p.Broadcast || !d.Route.Bot() || d.InChannel {
		for _, i := range r.Incidents {
			if i.Loud <= p.Rev {
				i.Loud = 0
			}
		}
	}
	if p.Root {
		r.toldAll(p.Rev)
	}
	for m := range r.Marks {
		mark := &r.Marks[m]
		if p.Rises.Has(m) && mark.Rise <= p.Rev {
			mark.Rise, mark.Shown = 0, p.Current.Has(m)
			if !mark.Shown {
				r.unrise(m)
			}
		}
		if p.Root && m != blindMark && p.Level >= levelOfMark[m] && !p.Rises.Has(m) {
			mark.Shown, mark.Again = true, false // a new root shows it, though it is no news
		}
		if p.Ends.Has(m) {
			mark.Shown, mark.Again = false, false
		}
		if p.Mention && m != blindMark && (p.Rises.Has(m) || p.Rises.Has(downMark)) {
			mark.Mentioned = at
		}
	}
}

// unrise makes the next rise news where the one that was shown was over by then: it has called nobody.
func (r *Root) unrise(m int) {
	if m == blindMark {
		return
	}
	for _, i := range r.Incidents {
		if i.Level < levelOfMark[m] {
			i.Risen[m], i.Left[m] = false, time.Time{}
		}
	}
	if r.at(m) { // it has risen again since
		r.Marks[m].Rise = r.News
	}
}

// anew gives up the root that is there: the next post is a new one. The number of an update in doubt is not
// used again.
func (d *Delivery) anew() {
	d.Updates = d.nextUpdate()
	d.Posted, d.TS, d.RootRev, d.Doubt, d.InChannel = false, "", 0, nil, false
	d.Series++
}

// nextUpdate is the number of an update that no message in Slack can have.
func (d *Delivery) nextUpdate() int {
	n := d.Updates
	if d.Doubt != nil && !d.Doubt.Root {
		n = max(n, d.Doubt.N+1)
	}
	if d.Claim != nil && d.Claim.Post != nil && !d.Claim.Post.Root {
		n = max(n, d.Claim.Post.N+1)
	}
	return n
}

// editDue reports whether the root does not show how things are, or that is not certain.
func (r *Root) editDue(now time.Time) bool {
	d := &r.Delivery
	if !d.Route.Bot() || !d.Posted || d.TS == "" || d.NoEdit || now.Before(d.EditNotBefore) {
		return false
	}
	return d.RootRev != r.Rev || !d.confirmed() && now.Sub(d.LastUnknown) >= late
}

// confirmed reports whether nothing that is still on its way can change what the root shows.
func (d *Delivery) confirmed() bool {
	return d.LastUnknown.IsZero() || d.Confirmed.Sub(d.LastUnknown) >= late
}

// sweepDue reports whether copies of posts in doubt are to be looked for.
func (r *Root) sweepDue(now time.Time) bool {
	d := &r.Delivery
	there := d.Posted && d.TS != "" && d.Doubt == nil
	past := !d.Doubted.IsZero() && now.Sub(d.Doubted) >= late
	return d.canLook() && there && past && !now.Before(d.SweepNotBefore)
}

// leaveDue reports whether a root in a channel that is not used any more is to say where it continues.
func (r *Root) leaveDue() bool { return len(r.Delivery.Left) > 0 && r.Delivery.TS != "" }

// done reports whether a root may leave the state: it is closed, and its last word is in Slack for good, or
// Slack did not take it for a day.
func (r *Root) done(due bool, now time.Time) bool {
	d := &r.Delivery
	switch {
	case r.Open(), r.withheld():
		return false
	case !d.Undelivered.IsZero() && now.Sub(d.Undelivered) >= forgotten:
		return true
	case due, d.Doubt != nil, r.leaveDue(), !d.Presumed.IsZero():
		return false
	case !d.Posted, !d.Route.Bot(), d.TS == "":
		return true
	case d.canLook() && !d.Doubted.IsZero():
		return false
	}
	return d.NoEdit || d.RootRev == r.Rev && d.confirmed()
}

// undelivered says why people may not have all of it; "" if they have.
func (r *Root) undelivered() string {
	switch d := &r.Delivery; {
	case !d.Undelivered.IsZero():
		return "Slack took it in no form"
	case !d.Posted && !r.reportable() && slices.ContainsFunc(r.Incidents, (*Incident).wasSilenced):
		return "a silence held it back"
	case d.Posted && d.Route.Bot() && d.TS == "", d.NoLook && !d.Doubted.IsZero():
		return "Slack's answer was lost: it may have arrived, or twice"
	}
	return ""
}
