// Package watch holds the rules: what is news about a load balancer's backends, and how news survives until
// people have it. It decides and does nothing else: it never touches the network, the disk or the clock,
// which the interfaces in this file bring in, and imports only the standard library.
package watch

import (
	"context"
	"errors"
	"io"

	"clbwatch/internal/lb"
)

// Source reads load balancers.
type Source interface {
	// Read reads one load balancer, whole: a partial, foreign or failed answer is an error, never a short
	// Reading. known is the digest of the last verified answer, or "". Read is called from several goroutines at
	// once and gives up when ctx ends. An error may come with advice (package advice).
	Read(ctx context.Context, clb lb.CLB, known lb.Digest) (lb.Reading, error)
}

// ErrNoRegion means that the cloud says there is no such region.
var ErrNoRegion = errors.New("there is no such region")

// Spool is room outside memory for the readings of one tick, such as an unlinked temporary file.
type Spool interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// DoTime is what to do where a run has too little time.
const DoTime = "raise the function's timeout and the timer's interval, or CLB_RATE if the account may call " +
	"more often"
