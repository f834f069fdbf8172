// Package report says how things stand: what each load balancer has and what of it is not running, as text and as JSON.
// It reads nothing and sends nothing; Slack's rendering of a Report is the notifier's.
package report

import (
	"time"

	"clbwatch/internal/watch"
)

// Report is how the watched load balancers stand at one moment.
type Report struct {
	At    time.Time `json:"at"`             // when the reading began
	Took  float64   `json:"tookSeconds"`    // how long it took
	Pools []Pool    `json:"loadBalancers"`  // by key
	Note  string    `json:"note,omitempty"` // that the state cannot be read, and why; "" if it can
}

// Pool is one load balancer in a Report.
type Pool struct {
	CLB        watch.CLB       `json:"loadBalancer"`
	Backends   int             `json:"backends"`             // how many are bound
	Running    int             `json:"running"`              // how many of those run
	NotRunning []watch.Backend `json:"notRunning,omitempty"` // by id; Out is nil where the state does not know since when
	Err        string          `json:"error,omitempty"`      // why it could not be read; the counts are 0 then. Untrusted text
	Do         string          `json:"do,omitempty"`         // what a person can do about Err
}
