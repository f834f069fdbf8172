// Package state holds the stored forms of what the watcher knows: numbered heads, the snapshot that a head
// points to, the shards that load balancers are divided into, and the history. It knows what makes each of
// them whole and what follows what; where they are stored is behind Store, and it refuses to guess at
// anything that is damaged or foreign.
package state

import (
	"context"
	"errors"
	"io"
	"time"
)

// Errors by which callers decide.
var (
	// ErrConflict means that another run committed this number first. Nothing was written.
	ErrConflict = errors.New("another run committed first")
	// ErrDamaged means that what is stored is not what was stored.
	ErrDamaged = errors.New("it is damaged")
	// ErrAbsent means that nothing is stored under this name.
	ErrAbsent = errors.New("no such object")
)

// Store keeps the state of one shard. Any error but those named leaves open whether the call took effect.
type Store interface {
	// Load returns the newest head, or nil if nothing was ever committed. Damaged, foreign or unreadable
	// state is an error, never nil. ErrDamaged means that Repair may help.
	Load(ctx context.Context) (*Head, error)
	// Commit makes h the newest head if its number is still free, else it returns ErrConflict. A run calls
	// the function Commit, which writes history first.
	Commit(ctx context.Context, h *Head) error

	// OpenSnapshot returns the text of a snapshot. A Read error, io.EOF apart, means that it is damaged.
	OpenSnapshot(ctx context.Context, b Blob) (io.ReadCloser, error)
	// CreateSnapshot starts a snapshot. It is stored by Commit and dropped by Close without Commit.
	CreateSnapshot(ctx context.Context) (SnapshotWriter, error)

	// OpenSegment returns the text of a segment of history, or ErrAbsent, or ErrDamaged.
	OpenSegment(ctx context.Context, s Segment) (io.ReadCloser, error)
	// CreateSegment stores what write writes as the nth segment of a day, under a name of its own that no
	// other run uses, and returns that name and its sizes. A segment counts only once a head lists it.
	CreateSegment(ctx context.Context, day string, n int, write func(io.Writer) error) (Segment, error)

	// Once reports whether this call is the first ever with this name, such as "trouble/2026-11-23T04": of
	// all that ask, at most one is. A name is "trouble/" and letters, digits and hyphens; it is kept for a
	// day.
	Once(ctx context.Context, name string) (first bool, err error)

	// Collect deletes, by age, what nobody can need any more.
	Collect(ctx context.Context) error
	// Now is the store's clock, in UTC: the one that runs on different machines share. Before the first
	// answer of the store it is the local clock. In COS it is never more than a second behind, nor 5 s ahead.
	Now() time.Time
}

// SnapshotWriter takes the text of a snapshot.
type SnapshotWriter interface {
	io.Writer
	Commit() (Blob, error) // the snapshot is durable when this returns
	Close() error          // after Commit it does nothing
}
