// Package report says how things stand and what changed: what each load balancer has and what of it is not
// running, as text and as JSON. It reads nothing and sends nothing; Slack's rendering of a Report is the
// notifier's.
package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/text"
	"clbwatch/internal/timeline"
	"clbwatch/internal/watch"
)

// Report is how the watched load balancers stand at one moment.
type Report struct {
	At   time.Time `json:"at"`          // when the reading began
	Took float64   `json:"tookSeconds"` // how long it took
	// how old the reading is, if it is what ticks stored; 0 if it was made for this report
	Age time.Duration `json:"-"`
	// that the state, or the silences, cannot be read, and why; "" if they can
	Note string `json:"note,omitempty"`

	Silences []incident.Silence `json:"silences,omitempty"` // that are active, by number
	Open     []Open             `json:"open,omitempty"`     // incidents, the worst first
	Pools    []Pool             `json:"loadBalancers"`      // by key

	Unlisted []Unread `json:"unlisted,omitempty"` // regions that could not be searched for load balancers

	Since time.Time `json:"since"` // the time that it looks back on begins here
	// Changed is all that ticks found since then; zero if no tick has run
	ChangesFrom time.Time     `json:"changesFrom,omitzero"`
	Changed     []PoolChanges `json:"changes,omitempty"` // by load balancer, worst first as WorstFirst

	// Total: how all load balancers stood over that time, those among them that are not watched any more; nil
	// if that is not known
	Total *timeline.Numbers `json:"total,omitempty"`
	Cell  float64           `json:"cellSeconds,omitempty"` // how long a cell of a Course is; the first may be shorter
	// the same in full; nil if it is not known
	Timeline *timeline.Past `json:"-"`
}

// Pool is one load balancer in a Report.
type Pool struct {
	CLB      lb.CLB  `json:"loadBalancer"`
	Kind     lb.Type `json:"kind,omitempty"` // "application"; none if it is classic
	Backends int     `json:"backends"`       // how many are bound
	Running  int     `json:"running"`        // how many of those run
	// the sum of all weights; weight 0 is drained and counts nothing
	Weight  int `json:"weight"`
	Serving int `json:"servingWeight"` // of that, the weight of those that serve
	// by id; Out is nil where the state does not know since when
	NotRunning []lb.Backend `json:"notRunning,omitempty"`
	// running, and failing health checks; by id, Ill is as Out
	Unhealthy []lb.Backend `json:"unhealthy,omitempty"`
	Unknown   []lb.Backend `json:"unknown,omitempty"` // whose status the cloud does not tell now; by id
	// what is odd about rows of the answer, the first few. Untrusted text
	Odd       []string `json:"odd,omitempty"`
	Functions int      `json:"functions,omitempty"` // cloud functions that are bound: they are not watched
	// why their health could not be read; the rest holds. Untrusted text
	HealthErr string `json:"healthError,omitempty"`
	Err       string `json:"error,omitempty"` // why it could not be read; the counts are 0 then. Untrusted text
	Do        string `json:"do,omitempty"`    // what a person can do about Err or HealthErr

	Course *Course `json:"course,omitempty"` // how it stood over the time of the report; nil if that is not known

	// Members are the first of the backends: those not running, those unhealthy, then the others by name. They
	// are for lists that people read, and not in the JSON: a function's answer would become too long.
	Members []lb.Backend `json:"-"`
}

// Unread is what could not be read.
type Unread struct {
	CLB  lb.CLB         `json:"of"`
	What incident.About `json:"-"` // as in incident.About
	Err  string         `json:"error"`
	Do   string         `json:"do,omitempty"`
}

// New makes a report of what a survey found, and of what changed in the time before, which since says.
// incomplete is why the state cannot be read, which knows since when backends are not running and what
// changed, or nil.
func New(at time.Time, took time.Duration, found watch.Survey, since time.Duration, incomplete error) Report {
	r := Report{At: at.UTC().Truncate(time.Second), Took: math.Round(took.Seconds()*1000) / 1000,
		Pools: make([]Pool, 0, len(found.Standings))}
	for _, s := range found.Standings {
		if IsRegion(s.CLB) && s.Err != nil {
			r.Unlisted = append(r.Unlisted, Unread{s.CLB, incident.Listing, s.Err.Error(), advice.Of(s.Err)})
			continue
		}
		p := Pool{CLB: s.CLB, Kind: s.Kind, Backends: s.Total, Running: s.Running, Weight: s.Weight,
			Serving:    s.Serving,
			NotRunning: s.NotRunning, Unhealthy: s.Ill, Unknown: s.Unknown, Odd: s.Odd, Functions: s.Functions,
			Members: members(s), Course: courseOf(found.Timeline, s.CLB.Key())}
		switch {
		case s.Err != nil:
			p.Err, p.Do = s.Err.Error(), advice.Of(s.Err)
		case s.HealthErr != nil:
			p.HealthErr, p.Do = s.HealthErr.Error(), advice.Of(s.HealthErr)
		}
		r.Pools = append(r.Pools, p)
	}
	r.Silences, r.Note = found.Silences, note(incomplete, found.SilencesErr)
	r.Since = r.At.Add(-since)
	for _, doc := range found.Open {
		r.Open = append(r.Open, openOf(doc)...)
	}
	slices.SortStableFunc(r.Open, func(a, b Open) int { return cmp.Compare(b.level, a.level) })
	if found.Known {
		r.ChangesFrom, r.Changed = r.Since, r.changed(&found.Past)
	}
	if t := found.Timeline; t != nil {
		r.Timeline, r.Total, r.Cell = t, new(t.Total.Numbers()), t.Cell.Seconds()
	}
	return r
}

// Of makes a report of what ticks stored, and of what changed in the time before, which since says.
// incomplete is why not all of it could be read, or nil.
func Of(found watch.Survey, since time.Duration, incomplete error) Report {
	r := New(found.At.UTC(), 0, found, since, incomplete)
	r.Age = found.Age
	return r
}

// note says what the report lacks, and why; "" if nothing.
func note(stateErr, silencesErr error) string {
	const lists = "The silences cannot be listed, so some may be missing here: "
	const state = "The state cannot be read, so ticks fail and no change is posted: "
	switch {
	case stateErr != nil && silencesErr != nil: // the first is short, so that it leaves room for the other
		return lists + text.Clean(silencesErr.Error(), 100) + ". " + state + stateErr.Error()
	case stateErr != nil:
		return state + stateErr.Error()
	case silencesErr != nil:
		return lists + silencesErr.Error()
	}
	return ""
}

// Open is an incident that is open.
type Open struct {
	ID    string    `json:"incident"`
	CLB   lb.CLB    `json:"loadBalancer"`
	Level string    `json:"level"` // "ok", "impaired", "degraded" or "down"
	Since time.Time `json:"since"`
	// as last read; nil of what is not about backends
	Running  *int `json:"running,omitempty"`
	Backends *int `json:"backends,omitempty"`

	Acknowledged bool   `json:"acknowledged,omitempty"`
	By           string `json:"acknowledgedBy,omitempty"` // untrusted text

	level incident.Level
	is    string
}

// Degree is Level as levels compare.
func (o Open) Degree() incident.Level { return o.level }

// Is is how it stands, in a word or a few.
func (o Open) Is() string { return o.is }

// openOf are the open incidents that a document covers.
func openOf(doc incident.Document) (all []Open) {
	for _, i := range doc.Incidents {
		if !i.Open() {
			continue
		}
		o := Open{ID: i.ID, CLB: i.CLB(), Level: i.Level.String(), Since: i.Began,
			Acknowledged: i.Ack != "", level: i.Level, is: i.Level.String()}
		if i.About == incident.Backends {
			o.Running, o.Backends = &i.Now.Running, &i.Now.Total
		}
		if o.Backends != nil && *o.Backends > 0 {
			o.is += fmt.Sprintf(", %d of %d running", i.Now.Running, i.Now.Total)
		}
		if o.Acknowledged && doc.Silence != nil {
			q, _ := doc.Silence(i.Ack) // or nobody knows by whom
			o.By = q.By
		}
		if o.CLB.Label == "" && o.CLB.Title == "" && i.About != incident.Listing && doc.Name != nil {
			o.CLB = doc.Name(i.Key)
		}
		switch {
		case i.About.Blind() && i.Readable:
			o.is = "could not be read, and can be again,"
		case i.About.Blind():
			o.is = "cannot be read"
		}
		all = append(all, o)
	}
	return all
}

// members are the backends to be listed.
func members(s watch.Standing) []lb.Backend {
	all := slices.Concat(s.NotRunning, s.Unknown, s.Ill)
	first := len(all)
	for _, b := range s.Backends {
		if b.Running() && len(b.Failing) == 0 {
			all = append(all, b)
		}
	}
	slices.SortStableFunc(all[first:], func(a, b lb.Backend) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// IsRegion reports whether c is no load balancer, but what CLB_DISCOVER says of a region.
func IsRegion(c lb.CLB) bool {
	return c.Region != "" && (c.ID == c.Region || strings.HasPrefix(c.ID, c.Region+"/"))
}

// Unread is everything that could not be read: of load balancers, the worst first, then of regions.
func (r Report) Unread() []Unread {
	var all []Unread
	for _, p := range r.WorstFirst() {
		switch {
		case p.Err != "":
			all = append(all, Unread{p.CLB, incident.Reading, p.Err, p.Do})
		case p.HealthErr != "":
			all = append(all, Unread{p.CLB, incident.Health, p.HealthErr, p.Do})
		}
	}
	return append(all, r.Unlisted...)
}

// Whole reports whether all could be read that the report is about.
func (r Report) Whole() bool { return r.Note == "" && len(r.Unread()) == 0 }

// Way is a way in which backends are not well.
type Way struct {
	Name string                  // in words
	Of   func(Pool) []lb.Backend // those that are so
	Why  func(lb.Backend) string // in words
	Long bool                    // Why takes more than a phone's line
}

// Ways are all there are, the worst first.
func Ways() []Way {
	return []Way{
		{"not running", func(p Pool) []lb.Backend { return p.NotRunning },
			func(b lb.Backend) string { return b.Status.String() }, false},
		{"of unknown status", func(p Pool) []lb.Backend { return p.Unknown },
			func(lb.Backend) string { return "the cloud does not tell" }, true},
		{"unhealthy", func(p Pool) []lb.Backend { return p.Unhealthy }, Fails, true},
	}
}

// Severity says how bad it is, of a load balancer or of all.
type Severity int

// What there is to tell by a colour, the worst last.
const (
	Well    Severity = iota // every backend runs, and none is unhealthy
	Partial                 // some are not so, or there are none
	Unknown                 // it could not be read, or the health of its backends
	Down                    // none runs, or half of the weight or more does not serve
)

// Severity says how bad it is with the load balancer.
func (p Pool) Severity() Severity {
	switch {
	case p.Err != "":
		return Unknown
	case p.Backends == 0:
		return Partial
	case p.Running == 0, p.Weight > 0 && p.Weight-p.Serving >= p.Serving:
		return Down
	case p.HealthErr != "":
		return Unknown
	case p.Running < p.Backends, len(p.Unhealthy) > 0:
		return Partial
	}
	return Well
}

// Severity is that of the worst load balancer; none at all is Partial. State or a region that cannot be read
// is as bad as a load balancer that cannot.
func (r Report) Severity() Severity {
	worst := Well
	switch {
	case r.Note != "" || len(r.Unlisted) > 0:
		worst = Unknown
	case len(r.Pools) == 0:
		worst = Partial
	}
	for _, p := range r.Pools {
		worst = max(worst, p.Severity())
	}
	return worst
}

// WorstFirst are the load balancers by how bad it is: by Severity, then by the share of weight that does not
// serve, then by how many do not run, then by how many are unhealthy.
func (r Report) WorstFirst() []Pool {
	pools := slices.Clone(r.Pools)
	slices.SortStableFunc(pools, func(a, b Pool) int {
		return cmp.Or(cmp.Compare(b.Severity(), a.Severity()), cmp.Compare(a.percent(), b.percent()),
			cmp.Compare(b.Backends-b.Running, a.Backends-a.Running), cmp.Compare(len(b.Unhealthy), len(a.Unhealthy)))
	})
	return pools
}

// percent is how much of the weight serves: 100 only if all of it does, 0 only if nothing; 100 too where
// there is none.
func (p Pool) percent() int {
	switch {
	case p.Weight <= 0 || p.Serving >= p.Weight:
		return 100
	case p.Serving <= 0:
		return 0
	}
	return max(p.Serving*100/p.Weight, 1)
}

// Share shows how much of the weight serves, as "████████░░  83 %"; in words where no weight is.
func (p Pool) Share() string {
	const cells = 10
	switch {
	case p.Err != "":
		return "cannot be read"
	case p.Backends == 0:
		return "no backends"
	case p.Weight <= 0:
		return "drained"
	}
	n := p.percent()
	full := (n + 5) / 10
	if n < 100 {
		full = min(full, cells-1)
	}
	if n > 0 {
		full = max(full, 1)
	}
	return strings.Repeat("█", full) + strings.Repeat("░", cells-full) + fmt.Sprintf(" %3d %%", n)
}

// Ratio is how many backends run of how many, as "9/12"; "-" if that could not be read.
func (p Pool) Ratio() string {
	if p.Err != "" {
		return "-"
	}
	return fmt.Sprintf("%d/%d", p.Running, p.Backends)
}

// Totals adds up the load balancers that could be read; unread is how many could not.
func (r Report) Totals() (backends, running, unread int) {
	for _, p := range r.Pools {
		if p.Err != "" {
			unread++
			continue
		}
		backends, running = backends+p.Backends, running+p.Running
	}
	return backends, running, unread
}

// Summary is the report in one line, such as "9 of 12 backends running on prod-web". It holds no control
// characters.
func (r Report) Summary() string {
	s := r.summary()
	for _, what := range []incident.About{incident.Health, incident.Listing} {
		some := slices.DeleteFunc(r.Unread(), func(u Unread) bool { return u.What != what })
		switch {
		case len(some) == 0:
		case len(r.Pools) == 0:
			return "Cannot " + Verb(what) + " " + Objects(what, some[0].CLB, len(some))
		default:
			s += ", cannot " + Verb(what) + " " + Objects(what, some[0].CLB, len(some))
		}
	}
	return s
}

func (r Report) summary() string {
	backends, running, unread := r.Totals()
	read := len(r.Pools) - unread
	where := func(n int) string {
		if len(r.Pools) == 1 {
			return Name(r.Pools[0].CLB)
		}
		return text.Plural(n, "load balancer")
	}
	var s string
	switch {
	case len(r.Pools) == 0:
		return "No load balancer is watched"
	case read == 0:
		return "Cannot read " + where(unread)
	case backends == 0 && read == 1:
		s = where(read) + " has no backends"
	case backends == 0:
		s = where(read) + " have no backends"
	case running == 0:
		s = fmt.Sprintf("None of %s running on %s", text.Plural(backends, "backend"), where(read))
	default:
		s = fmt.Sprintf("%d of %s running on %s%s", running, text.Plural(backends, "backend"), where(read),
			r.noneRunning())
	}
	ill := 0
	for _, p := range r.Pools {
		ill += len(p.Unhealthy)
	}
	s += AndUnhealthy(ill)
	if unread > 0 {
		s += fmt.Sprintf(", %d cannot be read", unread)
	}
	return s
}

// noneRunning adds to a summary which load balancers have backends and none of them running.
func (r Report) noneRunning() string {
	var dead []Pool
	for _, p := range r.Pools {
		if p.Backends > 0 && p.Running == 0 {
			dead = append(dead, p)
		}
	}
	switch len(dead) {
	case 0:
		return ""
	case 1:
		return ", none on " + Name(dead[0].CLB)
	}
	return fmt.Sprintf(", none on %d of them", len(dead))
}
