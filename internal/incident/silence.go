package incident

import "time"

// Bounds of silences.
const (
	DefaultSilence = time.Hour          // how long one lasts if nobody says
	MaxSilence     = 7 * 24 * time.Hour // every silence ends
	SilenceNeedWhy = 4 * time.Hour      // from here on it needs a reason
	MaxAck         = 24 * time.Hour     // an acknowledgement ends with its incident, or then
	MaxSilences    = 100                // that are active at once
	MaxSilenceText = 200                // bytes of a glob, of a reason and of who made it
)

// Silence holds notifications back: of the load balancers that a glob matches or, as an acknowledgement, of one
// incident. It never stops watching, and it always ends.
type Silence struct {
	ID       string    `json:"id"`                 // a number such as "7"; of a window of the settings "window 2"
	What     string    `json:"what,omitempty"`     // see lb.CLB.Matches; "" of an acknowledgement
	Incident string    `json:"incident,omitempty"` // of an acknowledgement: the number of the incident
	All      bool      `json:"all,omitempty"`      // not even a rise to degraded or down breaks through
	Why      string    `json:"why,omitempty"`      // untrusted text
	By       string    `json:"by,omitempty"`       // a Slack user's ID, or a name. Untrusted text
	Made     time.Time `json:"made"`               // by the store's clock
	Until    time.Time `json:"until"`              // when it ends by itself
	Ended    time.Time `json:"ended,omitzero"`     // when somebody ended it
	EndedBy  string    `json:"endedBy,omitempty"`  // untrusted text
}

// Active reports whether nobody has ended it and its time is not over. It counts as soon as it is known, whatever
// the clock of whoever made it said.
func (s Silence) Active(at time.Time) bool { return s.Ended.IsZero() && at.Before(s.Until) }

// Scope is what it is about, as people write it: a later silence of the same scope replaces it.
func (s Silence) Scope() string {
	if s.Incident != "" {
		return "incident " + s.Incident
	}
	return s.What
}
