package watch

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// CLB names one load balancer, as the settings do.
type CLB struct {
	Region string `json:"region"`          // such as "ap-guangzhou"
	ID     string `json:"id"`              // such as "lb-byhpduqt"
	Label  string `json:"label,omitempty"` // what people call it; "" if the settings give none
}

// Key identifies a load balancer in the stored state: "region/id". The label is not part of it.
func (c CLB) Key() string { return c.Region + "/" + c.ID }

// Name is what people call the load balancer: its label, or its id if it has none.
func (c CLB) Name() string { return cmp.Or(c.Label, c.ID) }

// Status is the number the cloud gives an instance (instanceStatus of API 2.0,
// https://cloud.tencent.com/document/api/214/1259). Numbers without a published meaning are legal.
type Status int

// Running is the one status in which a backend serves traffic.
const Running Status = 2

// statusWords are the published meanings; 15 to 18 and 20 have none.
var statusWords = map[Status]string{
	1: "failed", 2: "running", 3: "creating", 4: "shut down", 5: "returned", 6: "being returned", 7: "restarting",
	8: "starting", 9: "shutting down", 10: "resetting password", 11: "formatting", 12: "creating image",
	13: "setting bandwidth", 14: "reinstalling", 19: "upgrading", 21: "hot migrating",
}

// String is the status in words with its number, such as "shut down (4)"; "unknown (99)" where no meaning is published.
func (s Status) String() string {
	word, ok := statusWords[s]
	if !ok {
		word = "unknown"
	}
	return fmt.Sprintf("%s (%d)", word, int(s))
}

// Backend is one instance bound to a load balancer, as a verified reading or the snapshot has it.
type Backend struct {
	ID     string   `json:"id"`               // unInstanceId, such as "ins-9o9ex9s0"; unique in its load balancer
	Name   string   `json:"name,omitempty"`   // untrusted text, as the cloud gives it
	Status Status   `json:"status"`           // see Status
	Weight int      `json:"weight"`           // 0 to 100; 0 is drained: no traffic
	LanIP  string   `json:"lanIp,omitempty"`  // untrusted text
	WanIPs []string `json:"wanIps,omitempty"` // sorted; absent, null and empty are the same
	Out    *Out     `json:"out,omitempty"`    // since when it is not running; nil while it runs, and in a Reading
}

// Running reports whether the backend is in the running status.
func (b Backend) Running() bool { return b.Status == Running }

// Out says since when a backend is not running.
type Out struct {
	Since   time.Time `json:"since"`             // when it was first read so
	AtLeast bool      `json:"atLeast,omitempty"` // it was so when first seen: it may be out for longer
}

// SortBackends puts backends into the one order used everywhere: by ID.
func SortBackends(bs []Backend) {
	slices.SortFunc(bs, func(a, b Backend) int { return cmp.Compare(a.ID, b.ID) })
}
