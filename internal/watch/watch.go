// Package watch holds the rules: what is news about a load balancer's backends, and how news survives until people have it.
// It decides and does nothing else: it never touches the network, the disk or the clock, which the interfaces in this
// file bring in, and imports only the standard library.
package watch

import (
	"context"
	"errors"
	"io"

	"clbwatch/internal/lb"
)

// Source reads load balancers.
type Source interface {
	// Read reads one load balancer, whole: a partial, foreign or failed answer is an error, never a short Reading.
	// known is the digest of the last verified answer, or "". Read is called from several goroutines at once and
	// gives up when ctx ends. An error may come with advice (package advice).
	Read(ctx context.Context, clb lb.CLB, known lb.Digest) (lb.Reading, error)
}

// Receipt is what the notifier needs to know of a message later, to edit it or to answer in its thread.
type Receipt struct {
	Channel string `json:"channel,omitempty"`
	TS      string `json:"ts,omitempty"` // "" where messages cannot be found again: then there are no threads
}

// Delivery is one alert on its way to people.
type Delivery struct {
	Alert  Alert
	Again  bool    // an earlier run may have delivered it
	Thread *Thread // where it belongs to a message that people have: that message, as it is once the alert is told
}

// Notifier tells people.
type Notifier interface {
	// Notify sends one alert as one message. nil means that it was delivered. ErrRefused and ErrNotSent say what is
	// known otherwise; any other error leaves open whether people have it. The Receipt is that of the message that
	// later news belongs to: the thread's first one or, if that is gone, the new one.
	Notify(ctx context.Context, d Delivery) (Receipt, error)
}

// Errors by which a tick decides.
var (
	// ErrConflict: another writer committed this number first. Nothing was written.
	ErrConflict = errors.New("another run committed first")
	// ErrRefused: this message will never be taken, in no form. It is dropped, loudly, so that later ones get through.
	ErrRefused = errors.New("message refused for good")
	// ErrNoRegion: the cloud says that there is no such region.
	ErrNoRegion = errors.New("there is no such region")
	// ErrNotSent: people certainly do not have the message. It stays owed and may be joined with later news.
	ErrNotSent = errors.New("message not sent")
)

// Store keeps heads and snapshots. Any error but those named means that the outcome is unknown.
type Store interface {
	// Load returns the newest head, or nil if nothing was ever committed. Damaged, foreign or unreadable state is an
	// error, never nil.
	Load(ctx context.Context) (*Head, error)
	// Commit makes h the newest head, if its number is still free: else ErrConflict.
	Commit(ctx context.Context, h *Head) error
	// OpenSnapshot returns the text of a snapshot. A Read error, io.EOF apart, means that it is damaged.
	OpenSnapshot(ctx context.Context, b Blob) (io.ReadCloser, error)
	// CreateSnapshot starts a snapshot. It is stored by Commit and dropped by Close without Commit.
	CreateSnapshot(ctx context.Context) (SnapshotWriter, error)
	// Collect deletes heads and snapshots that nobody can need any more, by age.
	Collect(ctx context.Context) error
}

// SnapshotWriter takes the text of a snapshot.
type SnapshotWriter interface {
	io.Writer
	Commit() (Blob, error) // the snapshot is durable when this returns
	Close() error          // after Commit it does nothing
}

// Spool is room outside memory for the readings of one tick, such as an unlinked temporary file.
type Spool interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// DoTime is what to do where a run has too little time.
const DoTime = "raise the function's timeout and the timer's interval, or CLB_RATE if the account may call more often"
