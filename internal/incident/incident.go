// Package incident holds the rules of notification: which changes make an incident, how bad it is, which
// incidents share a message, what of it is due, and what an answer of Slack's means for what comes next. It
// is pure: it knows neither the network nor the clock nor a word of any message, and refuses to lose or to
// repeat a change.
package incident

import (
	"cmp"
	"slices"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
)

// State is everything that notification knows: what is open, what Slack shows of it, and what is not reported
// yet.
type State struct {
	Last     int64              `json:"last,omitempty"`     // number of the newest incident
	At       time.Time          `json:"at,omitzero"`        // when the observation began that was judged last
	Roots    []*Root            `json:"roots,omitempty"`    // oldest first
	Unread   Unreads            `json:"unread,omitempty"`   // cannot be read, and not reported yet
	Reasons  []Reason           `json:"reasons,omitempty"`  // why things cannot be read; at most maxReasons
	Channels map[Route]*Channel `json:"channels,omitempty"` // what is known of each channel in use
	Silences []Silence          `json:"silences,omitempty"` // active, or ended less than a day ago; by ID
	// Routing: a digest of Rules.Route and Routes as they were last
	Routing string `json:"routing,omitempty"`

	byKey   map[string]place        // while Judge works
	name    func(key string) lb.CLB // Observation.Name, while Judge works; may be nil
	crowded bool                    // Reasons has no room for any more in this observation
	stirred bool                    // a silence began or ended in this observation
}

// Root is one message in the channel, with the incidents it covers and the record of its delivery.
type Root struct {
	Incidents []*Incident `json:"incidents"` // in the order they began; never empty
	// Tag: tells its posts from those of any other root of the same number
	Tag  string    `json:"tag"`
	Made time.Time `json:"made"` // observation that made it
	Rev  int       `json:"rev"`  // of what it says; the first is 1
	// News: the newest revision that is news: others only change the root's text
	News   int       `json:"news"`
	NewsAt time.Time `json:"newsAt"` // observation that brought it
	// Delivery.Counted when all was stable last: the pace starts over there
	PaceFrom int `json:"paceFrom,omitempty"`
	Beyond   int `json:"beyond,omitzero"` // changes of machines that had no room; see maxCrowd
	// Over: incidents that are over and have left the root, because the state had no room; see maxOver
	Over int `json:"over,omitempty"`
	// Unmended: one of those was not resolved
	Unmended bool        `json:"unmended,omitempty"`
	Takers   []Taker     `json:"takers,omitempty"` // who acknowledged its incidents; the last maxTakers
	Marks    [marks]Mark `json:"marks"`            // by Mark's constants
	Delivery Delivery    `json:"delivery"`
}

// Taker is who made an acknowledgement: the silence itself may be forgotten before the incident is over.
type Taker struct {
	Ack string `json:"ack"` // its ID
	By  string `json:"by"`  // see Silence
}

// Incident is what happens on one load balancer, from its first change until it is closed; or that something
// cannot be read; or a notice.
type Incident struct {
	ID string `json:"id"` // such as "12", or "12-2" in the second shard; unique
	// Key: of the load balancer; of a list, what CLB_DISCOVER says of the region
	Key   string    `json:"k"`
	About About     `json:"a,omitempty"` // what it is about
	Label string    `json:"l,omitempty"` // what people call the load balancer
	Title string    `json:"n,omitempty"` // its name in the cloud; untrusted text
	Began time.Time `json:"t"`           // observation of its first change

	// Of backends.
	Before  lb.Capacity `json:"before,omitzero"`   // when it began
	Now     lb.Capacity `json:"now,omitzero"`      // as last read
	Worst   lb.Capacity `json:"worst,omitzero"`    // when the fewest ran
	Removed int         `json:"removed,omitempty"` // weight unbound since it began, or was stable last
	Added   int         `json:"added,omitempty"`   // weight bound since then
	// Bare: listeners or rules that nothing serves because backends are out
	Bare *lb.Part `json:"bare,omitempty"`
	// Emptied: listeners, or hashes of rules, whose last backend was unbound; at most maxEmptied
	Emptied []string  `json:"emptied,omitempty"`
	Counts  lb.Counts `json:"counts,omitzero"` // changes, exactly
	// Machines: what its changes amount to, in the order they were first seen
	Machines []Machine `json:"machines,omitempty"`
	Crowd    Crowd     `json:"crowd,omitempty"` // machines that have no room in Machines
	// CrowdRev: the first revision by a change in the Crowd that no post has shown
	CrowdRev int       `json:"crowdRev,omitempty"`
	CrowdAt  time.Time `json:"crowdAt,omitzero"`   // its observation
	WasOut   bool      `json:"wasOut,omitempty"`   // something was out of service
	Baseline *Baseline `json:"baseline,omitempty"` // of a notice that watching begins

	// Of reading.
	Why      int       `json:"w,omitempty"` // which of State.Reasons, from 1
	LastGood time.Time `json:"g,omitzero"`  // the last reading known to be good; zero if there was none
	Readable bool      `json:"r,omitempty"` // it can be read, for the time being
	Times    int       `json:"x,omitempty"` // how often it became unreadable again

	// Of levels.
	Level Level `json:"level,omitempty"` // without a rise that a silence mutes
	Peak  Level `json:"peak,omitempty"`  // the worst that it was at, silences or not
	// Risen: a rise to degraded, to down was news: the next is not, until the level was left long enough
	Risen [2]bool      `json:"risen,omitzero"`
	Left  [2]time.Time `json:"left,omitzero"`   // since when it has not been at the level; zero while it is
	Alone bool         `json:"alone,omitempty"` // what was lost was lost by removals alone

	// Of time. See State.Judge.
	Changed time.Time `json:"c,omitzero"` // observation of its last change; zero: Began
	// Calm: unchanged since, not counting the time it could not be read; zero: Changed
	Calm   time.Time `json:"calm,omitzero"`
	Paused time.Time `json:"paused,omitzero"`  // unreadable since; zero while it can be read
	Stable bool      `json:"stable,omitempty"` // unchanged for long enough
	Closed time.Time `json:"closed,omitzero"`
	End    End       `json:"end,omitempty"` // how it was closed
	Rev    int       `json:"rev,omitempty"` // the root's revision that brought its last news
	// Loud: the revision that must be in the channel: its first, or a change after being stable; 0 if none
	Loud   int  `json:"loud,omitempty"`
	Hushed bool `json:"hushed,omitempty"` // it changed after being stable, and that is held back

	// Of silences. See Silence.
	Silence  string `json:"q,omitempty"`    // the ID of the one that covers its load balancer; "" if none does
	Mute     bool   `json:"mute,omitempty"` // of that: not even a rise breaks through
	Capped   bool   `json:"cap,omitempty"`  // its level is worse than Level: that is no rise yet
	Ack      string `json:"ack,omitempty"`  // the ID of its acknowledgement; "" if it has none
	AckLevel Level  `json:"ackLevel,omitempty"`
	Took     string `json:"took,omitempty"` // the ID of its last acknowledgement, which may be over
	// Withheld: a silence holds back news that no machine's record tells
	Withheld bool `json:"held,omitempty"`
	// LiftedBy: the ID of the last silence that ended; Lifted: the revision by its first news since, or 0
	LiftedBy string `json:"liftedBy,omitempty"`
	Lifted   int    `json:"lifted,omitempty"`
}

// About is what an incident is about.
type About string

// What incidents are about. Those from Watching on are notices: news that needs nobody.
const (
	Backends  About = ""        // the backends of a load balancer
	Reading   About = "reading" // a load balancer that cannot be read
	Health    About = "health"  // a load balancer whose health cannot be read; its status can
	Listing   About = "list"    // a search that cannot be made
	Watching  About = "watching"
	Deleted   About = "deleted"
	Unmatched About = "unmatched" // it is not what CLB_DISCOVER asks for any more
	Upgraded  About = "upgraded"  // from a classic load balancer to an application one
	Nothing   About = "nothing"   // a search that finds nothing
)

// Notice reports whether it is news that needs nobody: closed from the start.
func (a About) Notice() bool {
	switch a {
	case Watching, Deleted, Unmatched, Upgraded, Nothing:
		return true
	}
	return false
}

// Blind reports whether it is about something that cannot be read.
func (a About) Blind() bool { return a == Reading || a == Health || a == Listing }

// End is how an incident was closed.
type End string

// How incidents are closed. The zero value is open.
const (
	EndResolved End = "resolved" // something was out, and at least as much serves and runs as before
	// EndOver: nothing is out any more, but the capacity is not what it was, or nothing ever was out
	EndOver      End = "over"
	EndAbandoned End = "abandoned" // something is still out, and nobody does anything about it
	EndDeleted   End = "deleted"   // the load balancer was deleted
	EndDropped   End = "dropped"   // it is not watched any more
	EndNotice    End = "notice"    // a notice is closed from the start
)

// Baseline is what a notice says of load balancers that were read for the first time.
type Baseline struct {
	CLBs     int        `json:"clbs"`     // how many
	Backends int        `json:"backends"` // how many they have
	Running  int        `json:"running"`  // how many of those run
	Worst    []Standing `json:"worst"`    // the first few, worst first; at most maxBaseline
}

// Standing is how one load balancer stands.
type Standing struct {
	CLB lb.CLB      `json:"clb"`
	Now lb.Capacity `json:"now"`
}

// Unread is something that cannot be read. It is not reported until it has lasted for some ticks.
type Unread struct {
	Key      string
	About    About     // Reading, Health or Listing
	Since    time.Time // the first observation that lacked it
	LastGood time.Time // the last reading known to be good; zero if there was none
	Ticks    int       // observations without it
	Why      int       // which of State.Reasons, from 1

	Reason Reason // in an Observation only: why
}

func (u Unread) key() string { return blindKey(u.Key, u.About) }

func blindKey(key string, a About) string { return key + " " + string(a) }

// Reason is why something cannot be read, and what a person can do about it. Untrusted text of at most maxWhy
// bytes each.
type Reason struct {
	Why string `json:"why"`
	Do  string `json:"do,omitempty"`
}

// ReasonOf is why something cannot be read, and the advice that comes with the error.
func ReasonOf(err error) Reason { return Reason{cut(err.Error()), cut(advice.Of(err))} }

// Bounds of the state, so that a head stays below 4 MB whatever happens.
const (
	// open roots of a channel: beyond it new incidents join the newest that may take them
	maxRoots    = 50
	maxAllRoots = 200     // open roots of all channels: beyond it the same, on channels that have one
	maxReasons  = 20      // the last one is then "other reasons"
	maxWhy      = 300     // bytes
	maxMachines = 600     // of one root; see maxInHead
	maxInHead   = 2000    // machines with details in one head
	maxCrowd    = 20_000  // machines without, in one head: beyond it changes are only counted
	maxEmptied  = 50      // of one incident
	maxNamed    = 1000    // incidents about backends with names: those of others are in the snapshot
	maxDetails  = 800_000 // bytes of machines with details, as they are stored
	maxBaseline = 15
	maxOver     = 1000 // incidents that are over, in open roots: beyond it the oldest leave
	maxNotices  = 50   // of one observation, of each kind but Watching
)

// CLB is the load balancer, as far as the incident knows its names. Of a search, ID is what CLB_DISCOVER says
// of the region.
func (i *Incident) CLB() lb.CLB {
	c := lb.ParseKey(i.Key)
	if i.About == Listing || i.About == Nothing {
		c.ID = i.Key
	}
	c.Label, c.Title = i.Label, i.Title
	return c
}

// Open reports whether the incident goes on.
func (i *Incident) Open() bool { return i.End == "" }

// LastChange is when the last of its changes was observed.
func (i *Incident) LastChange() time.Time {
	if i.Changed.IsZero() {
		return i.Began
	}
	return i.Changed
}

// Open reports whether any of its incidents goes on.
func (r *Root) Open() bool { return slices.ContainsFunc(r.Incidents, (*Incident).Open) }

// Notice reports whether the root covers notices.
func (r *Root) Notice() bool { return r.Incidents[0].About.Notice() }

// ID is the number that people know the root by: that of its first incident.
func (r *Root) ID() string { return r.Incidents[0].ID }

// Began is when its first incident began.
func (r *Root) Began() time.Time { return r.Incidents[0].Began }

// Level is how bad it is now where it is worst, of what people were told of.
func (r *Root) Level() (worst Level) {
	for _, i := range r.Incidents {
		if i.Open() && !i.Untold() {
			worst = max(worst, i.Level)
		}
	}
	return worst
}

// Resolved reports whether the root may turn green and be struck through: every one of its incidents is
// resolved, or was about reading and can be read again.
func (r *Root) Resolved() bool {
	unresolved := func(i *Incident) bool { return i.End != EndResolved }
	return !r.Unmended && !slices.ContainsFunc(r.Incidents, unresolved)
}

// Worst orders incidents by how bad they are, the worst first: level, share of weight lost, machines out,
// then name.
func Worst(a, b *Incident) int {
	share := func(i *Incident) int {
		lost, total := i.Lost()
		return lost * 1000 / max(total, 1)
	}
	open := func(i *Incident) int {
		if i.Open() {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(open(b), open(a)), cmp.Compare(b.Level, a.Level),
		cmp.Compare(share(b), share(a)),
		cmp.Compare(b.Now.Out, a.Now.Out), cmp.Compare(a.Key, b.Key))
}
