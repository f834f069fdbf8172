package lb

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// CLB names one load balancer, as the settings do.
type CLB struct {
	Region string `json:"region"`          // such as "ap-guangzhou"
	ID     string `json:"id"`              // such as "lb-byhpduqt"
	Label  string `json:"label,omitempty"` // what people call it; "" if the settings give none
	Title  string `json:"name,omitempty"`  // its name in the cloud, where it was discovered; untrusted text
}

// Key identifies a load balancer in the stored state: "region/id". The label is not part of it.
func (c CLB) Key() string { return c.Region + "/" + c.ID }

// Name is what people call the load balancer: its label, else its name in the cloud, else its id.
func (c CLB) Name() string { return cmp.Or(c.Label, c.Title, c.ID) }

// Type is the kind of a load balancer. It may change: a classic one can be upgraded, and keeps its id.
type Type string

// Kinds of load balancers. The zero value is classic, as in state from before there were others.
const (
	Classic     Type = ""            // backends are bound to the load balancer as a whole
	Application Type = "application" // backends are bound to listeners and their rules
)

// String is the kind in a word.
func (k Type) String() string { return cmp.Or(string(k), "classic") }

// Status is the number the cloud gives an instance (instanceStatus of API 2.0,
// https://cloud.tencent.com/document/api/214/1259). Numbers without a published meaning are legal.
type Status int

// Running is the one status in which a backend serves traffic.
const Running Status = 2

// Statuses for which API 2.0 has no number.
const (
	// Rescue is the status of an instance in CVM's rescue mode.
	Rescue Status = 101
	// Unknown is the status of a backend whose row does not tell it, or whose instance CVM does not tell: it
	// is neither running nor out. A Diff keeps the status that was known before.
	Unknown Status = -1
)

// UnknownWeight is the weight, in a Reading, of a backend or binding whose row does not tell it.
const UnknownWeight = -1

// DefaultWeight is the weight of what no reading ever told. Source: ClassicalTarget of API 3.0.
const DefaultWeight = 10

// statusWords are the published meanings; 15 to 18 and 20 have none.
var statusWords = map[Status]string{
	1: "failed", 2: "running", 3: "creating", 4: "shut down", 5: "returned", 6: "being returned",
	7: "restarting",
	8: "starting", 9: "shutting down", 10: "resetting password", 11: "formatting", 12: "creating image",
	13: "setting bandwidth", 14: "reinstalling", 19: "upgrading", 21: "hot migrating",
	Rescue: "in rescue mode",
}

// String is the status in words with its number, such as "shut down (4)"; "unknown (99)" where no meaning is
// published, and just "unknown" where the cloud does not tell it.
func (s Status) String() string {
	if s == Unknown {
		return "unknown"
	}
	word, ok := statusWords[s]
	if !ok {
		word = "unknown"
	}
	return fmt.Sprintf("%s (%d)", word, int(s))
}

// Transient reports whether the status passes by itself: restarting, starting, resetting password, creating
// image, setting bandwidth, upgrading, hot migrating.
func (s Status) Transient() bool {
	switch s {
	case 7, 8, 10, 12, 13, 19, 21:
		return true
	}
	return false
}

// Backend is one instance bound to a load balancer, as a verified reading or the snapshot has it. Of an
// application load balancer it has all its bindings in it.
type Backend struct {
	ID string `json:"id"` // such as "ins-9o9ex9s0"; unique in its load balancer
	// what is no instance: "ENI", "CCN"; it has no status of its own and runs while it is bound
	Type   string `json:"type,omitempty"`
	Name   string `json:"name,omitempty"` // untrusted text, as the cloud gives it
	Status Status `json:"status"`         // see Status
	// 0 to 100, or the sum of those of its bindings; 0 is drained: no traffic
	Weight int      `json:"weight"`
	LanIP  string   `json:"lanIp,omitempty"`  // untrusted text
	WanIPs []string `json:"wanIps,omitempty"` // sorted; absent, null and empty are the same
	// since when it is not running; nil while it runs, and in a Reading
	Out *Out `json:"out,omitempty"`

	// sorted; none on a classic load balancer, where it serves every listener
	Bindings []Binding `json:"bindings,omitempty"`

	// the last whole reading lacked it: a second one that does removes it
	Missing bool `json:"missing,omitempty"`
	// in a Reading only: a row of it does not tell which binding it is of
	Vague bool `json:"vague,omitempty"`

	// Health is not always read. What a backend that does not run fails is not kept: it fails everything.
	Checked int `json:"checked,omitempty"` // how many of its ports are checked; 0 if health is not read
	// which of them fail, such as "TCP:80 → 8080", sorted; untrusted text
	Failing []string `json:"failing,omitempty"`
	Passing []string `json:"passing,omitempty"` // in a Reading with VagueHealth only: those that pass
	Unclear []string `json:"unclear,omitempty"` // in a Reading only: not decided yet, so as they were
	// VagueHealth, in a Reading only, says that rows about health do not tell what they are about: what is
	// neither in Failing nor in Passing is as it was.
	VagueHealth bool `json:"vagueHealth,omitempty"`
	Ill         *Out `json:"ill,omitempty"` // since when it fails; nil while it does not, and in a Reading
}

// Binding is one way in which traffic reaches a backend of an application load balancer.
type Binding struct {
	Listener string `json:"on"`             // protocol and port, such as "HTTPS:443"
	Rule     string `json:"rule,omitempty"` // domain and path of an HTTP or HTTPS listener; untrusted text
	Port     int    `json:"port"`           // the backend's
	Weight   int    `json:"weight"`         // 0 to 100

	// ID is what the API tells bindings of one port apart by: the listener's id, or "listener/rule". Nobody
	// is shown it: two listeners may have one name. "" if the API gives none.
	ID      string `json:"id,omitempty"`
	Missing bool   `json:"missing,omitempty"` // as in Backend
}

// String is the binding as people see it, such as "HTTPS:443 example.com/api → 8080".
func (b Binding) String() string {
	listener := cmp.Or(b.Listener, b.ID) // an odd row may have an id only
	if b.Rule == "" {
		return fmt.Sprintf("%s → %d", listener, b.Port)
	}
	return fmt.Sprintf("%s %s → %d", listener, b.Rule, b.Port)
}

// SortBindings puts bindings into the one order used everywhere.
func SortBindings(bs []Binding) {
	slices.SortFunc(bs, func(a, b Binding) int {
		return cmp.Or(cmp.Compare(a.Listener, b.Listener), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Port,
			b.Port), cmp.Compare(a.ID, b.ID))
	})
}

// Running reports whether the backend is in the running status.
func (b Backend) Running() bool { return b.Status == Running }

// Stopped reports whether the backend is known not to run.
func (b Backend) Stopped() bool { return b.Status != Running && b.Status != Unknown }

// Serving is the weight with which the backend takes traffic: none if it is stopped, and none of what fails
// its check. A backend of unknown status counts as one that serves: nothing says that it does not.
func (b Backend) Serving() int {
	switch {
	case b.Stopped():
		return 0
	case len(b.Failing) == 0:
		return b.Weight
	case len(b.Bindings) == 0: // classic: one weight for all listeners
		return b.Weight * max(b.Checked-len(b.Failing), 0) / max(b.Checked, 1)
	}
	// two listeners may have one name: then it is in there once for each
	failing := make(map[string]int, len(b.Failing))
	for _, name := range b.Failing {
		failing[name]++
	}
	sum := 0
	for _, on := range b.Bindings {
		if name := on.String(); failing[name] > 0 {
			failing[name]--
		} else {
			sum += on.Weight
		}
	}
	return sum
}

// Out says since when a backend is not running, or fails its checks.
type Out struct {
	Since   time.Time `json:"since"`             // when it was first read so
	AtLeast bool      `json:"atLeast,omitempty"` // it was so when first seen: it may be out for longer
	// it was added so and has not run yet: no capacity is lost with it
	New bool `json:"new,omitempty"`
}

// SortBackends puts backends into the one order used everywhere: by ID.
func SortBackends(bs []Backend) {
	slices.SortFunc(bs, func(a, b Backend) int { return cmp.Compare(a.ID, b.ID) })
}

// ParseKey is the load balancer with this Key, without names.
func ParseKey(key string) CLB {
	region, id, _ := strings.Cut(key, "/")
	return CLB{Region: region, ID: id}
}
