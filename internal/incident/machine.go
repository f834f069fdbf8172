package incident

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"clbwatch/internal/lb"
)

// Machine is what the changes of one backend amount to in one incident.
type Machine struct {
	ID     string    `json:"id"`
	Name   string    `json:"n,omitempty"`  // untrusted text
	IP     string    `json:"ip,omitempty"` // untrusted text
	Type   string    `json:"y,omitempty"`  // see lb.Backend
	Status lb.Status `json:"s,omitempty"`  // as last read
	Was    lb.Status `json:"o,omitempty"`  // before its first change; 0 if it was not bound
	Began  Condition `json:"b,omitempty"`  // before its first change
	Now    Condition `json:"w,omitempty"`
	First  time.Time `json:"f"`          // observation of its first change
	Since  time.Time `json:"t"`          // observation since when it is as it is now
	After  time.Time `json:"a,omitzero"` // the reading before Since, where that is long ago

	// Outages: how often it was out since First, the one that goes on among them
	Outages int           `json:"x,omitempty"`
	OutFor  time.Duration `json:"for,omitempty"`  // how long all of them took that are over
	OutAt   time.Time     `json:"at,omitzero"`    // since when it is out, or was last
	Longer  bool          `json:"long,omitempty"` // it was out at first sight: maybe for longer
	Lost    int           `json:"lost,omitempty"` // weight that is out with it

	Fails   *lb.Part `json:"fails,omitempty"` // the checks that it fails, while it runs
	Unbound *lb.Part `json:"went,omitempty"`  // what it was unbound from last
	Bound   *lb.Part `json:"came,omitempty"`  // what it was bound to last

	Pending bool      `json:"p,omitempty"`   // all that happened may pass by itself: not reported yet
	Silent  bool      `json:"q,omitempty"`   // a silence holds back, or held back, what happened last
	Known   Condition `json:"k,omitempty"`   // how it was before that
	Rebound bool      `json:"rb,omitempty"`  // what is held back changed its bindings
	Rev     int       `json:"rev,omitempty"` // of its root, by its last change
}

// Condition is how a backend is, as far as notification goes.
type Condition int

// Conditions. The zero value is not bound at all.
const (
	Absent  Condition = iota
	Serving           // it runs and does not fail its health check; its weight may be 0
	Out               // it does not run, or fails
)

// before is how a backend was before a change.
func before(ch lb.Change) Condition {
	switch ch.Kind {
	case lb.Added:
		return Absent
	case lb.Recovered, lb.Healthy:
		return Out
	case lb.Removed, lb.Unbound, lb.Bound:
		if ch.Backend.Stopped() || ch.Ill {
			return Out
		}
	}
	return Serving
}

// newMachine is a machine before its first change in an incident.
func newMachine(ch lb.Change) Machine {
	is := before(ch)
	m := Machine{ID: ch.Backend.ID, Began: is, Now: is, First: ch.At, Since: ch.At, Pending: true}
	switch ch.Kind {
	case lb.Added:
	case lb.LeftRunning, lb.Recovered:
		m.Was = ch.Was
	default:
		m.Was = ch.Backend.Status
	}
	switch {
	case is != Out:
	case ch.Out != nil: // it recovers
		m.OutAt, m.Longer, m.Outages = ch.Out.Since, ch.Out.AtLeast, 1
	case ch.Backend.Out != nil:
		m.OutAt, m.Longer = ch.Backend.Out.Since, ch.Backend.Out.AtLeast
	default: // it fails its health check, and the change does not say since when
		m.OutAt, m.Longer = ch.At, true
	}
	return m
}

// take adds one change.
func (m *Machine) take(ch lb.Change, rev int, rules Rules) {
	b := ch.Backend
	m.Name, m.IP, m.Type, m.Status, m.Rev = b.Name, b.LanIP, b.Type, b.Status, rev
	was := m.Now
	switch ch.Kind {
	case lb.Added:
		m.Now = Serving
		if b.Stopped() {
			m.Now = Out
		}
	case lb.Removed:
		m.Now, m.Fails = Absent, nil
	case lb.LeftRunning:
		m.Now, m.Fails = Out, nil
	case lb.Unhealthy:
		m.Now, m.Fails = Out, ch.Part
	case lb.Recovered, lb.Healthy:
		m.Now, m.Fails = Serving, nil
	case lb.Unbound:
		m.Unbound = ch.Part
	case lb.Bound:
		m.Bound = ch.Part
	}
	m.Lost = ch.Lost
	switch {
	case m.Now == Out && was != Out:
		m.Outages++
		m.OutAt, m.Longer = ch.At, false
	case m.Now != Out && was == Out:
		m.OutFor += max(0, ch.At.Sub(m.OutAt))
	}
	if m.Now != was || ch.Kind == lb.Unbound || ch.Kind == lb.Bound {
		m.Since, m.After = ch.At, ch.After
	}
	if !m.passes(ch, rules) {
		m.Pending = false
	}
}

// passes reports whether a change is of a status that passes by itself, or a failing check, or the end of
// that, where the settings ask to wait for such. What was out before the incident did not pass.
func (m *Machine) passes(ch lb.Change, rules Rules) bool {
	if rules.TransientFor <= 0 {
		return false
	}
	switch ch.Kind {
	case lb.LeftRunning:
		return ch.Backend.Status.Transient()
	case lb.Unhealthy:
		return true
	case lb.Recovered, lb.Healthy:
		return m.Began != Out
	}
	return false
}

// Crowd is what is kept of machines without details: enough to count each once. By a hash of the machine's
// id.
type Crowd map[uint64]Member

// Member is one machine of a Crowd: what its Kind depends on.
type Member struct {
	Began, Now Condition
	Outages    bool // it was out
	Fails      bool // it runs and fails its health check
	Partly     bool // it was unbound from some listeners or rules, or bound to more
}

// take adds one change of a machine without details.
func (c Crowd) take(ch lb.Change) {
	key := hash(ch.Backend.ID)
	m := Machine{Began: before(ch), Now: before(ch)}
	if was, ok := c[key]; ok {
		m = was.machine()
	}
	m.take(ch, 0, Rules{})
	c[key] = m.member()
}

func (m Machine) member() Member {
	return Member{m.Began, m.Now, m.Outages > 0, m.Fails != nil, m.Unbound != nil || m.Bound != nil}
}

// machine is one of the same Kind.
func (m Member) machine() Machine {
	is := Machine{Began: m.Began, Now: m.Now}
	if m.Outages {
		is.Outages = 1
	}
	if m.Fails {
		is.Fails = &lb.Part{}
	}
	if m.Partly {
		is.Unbound = &lb.Part{}
	}
	return is
}

func hash(id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	return h.Sum64()
}

const memberBytes = 9

// MarshalJSON stores nine bytes a machine, in base64, sorted.
func (c Crowd) MarshalJSON() ([]byte, error) {
	keys := make([]uint64, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b := make([]byte, 0, memberBytes*len(c))
	for _, k := range keys {
		m := c[k]
		flags := byte(m.Began)<<2 | byte(m.Now)
		for n, set := range []bool{m.Outages, m.Fails, m.Partly} {
			if set {
				flags |= 1 << (4 + n)
			}
		}
		b = append(binary.BigEndian.AppendUint64(b, k), flags)
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(b))
}

// UnmarshalJSON reads what MarshalJSON wrote, and nothing else.
func (c *Crowd) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b)%memberBytes != 0 || len(b) > memberBytes*maxCrowd {
		return errors.New("a crowd of machines is damaged")
	}
	*c = make(Crowd, len(b)/memberBytes)
	for ; len(b) > 0; b = b[memberBytes:] {
		flags := b[8]
		m := Member{Condition(flags >> 2 & 3), Condition(flags & 3), flags&16 != 0, flags&32 != 0, flags&64 != 0}
		if m.Began > Out || m.Now > Out || flags > 127 {
			return errors.New("a crowd of machines is damaged")
		}
		(*c)[binary.BigEndian.Uint64(b)] = m
	}
	return nil
}
