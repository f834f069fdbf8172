package state

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"clbwatch/internal/lb"
)

// A snapshot is text: JSON Lines, sorted by key. The first line is the Index, each other one a Pool:
//
//	{"schema":1,"clbs":{"ap-guangzhou/lb-byhpduqt":{"digest":"…","backends":1}}}
//	{"key":"ap-guangzhou/lb-byhpduqt","backends":[{"id":"ins-9o9ex9s0", …}]}
//
// It is streamed and never held whole: lines that did not change are copied as bytes.

// snapshotSchema is the number of the form of snapshots. Others are refused.
const snapshotSchema = 1

// maxLine bounds a line of a snapshot, in bytes: an index of 10,000 load balancers takes less than 1 MB.
const maxLine = 64 << 20

// Blob names an immutable snapshot by its content.
type Blob struct {
	SHA256 string `json:"sha256"` // of the stored bytes, in hexadecimal
	Tag    string `json:"tag"`    // tells it from others of the same content
	Bytes  int64  `json:"bytes"`  // stored size
}

func (b *Blob) valid() bool { return blobName.MatchString(b.SHA256+"-"+b.Tag) && b.Bytes > 0 }

// Index is the first line of a snapshot.
type Index struct {
	Schema int              `json:"schema"`
	CLBs   map[string]Entry `json:"clbs"` // by lb.CLB.Key
}

// Entry is what a tick must know of a load balancer before it reads it.
type Entry struct {
	// of the answer that its line was made from; "" if it was never read
	Digest   lb.Digest `json:"digest"`
	Backends int       `json:"backends"`         // how many it has
	Kind     lb.Type   `json:"kind,omitempty"`   // as it was read last
	Health   bool      `json:"health,omitempty"` // the backends' health was read at least once
	By       string    `json:"by,omitempty"`     // the version of the API that it was read by
	// that reading was the first to lack something: one of the same bytes confirms it
	Doubt bool `json:"doubt,omitempty"`
	// rows that did not say what they are about when all that was known was there
	Unnamed int `json:"unnamed,omitempty"`
	// the search that found it, as CLB_DISCOVER has it; "" if the settings name it
	In   string `json:"in,omitempty"`
	Name string `json:"name,omitempty"` // of what was found; untrusted text
}

// Known reports whether there is a line for it.
func (e Entry) Known() bool { return e.Digest != "" }

// Pool is every other line of a snapshot: the backends of one load balancer.
type Pool struct {
	Key      string       `json:"key"`
	Backends []lb.Backend `json:"backends"`
}

// DecodePool returns the backends that a line holds.
func DecodePool(line []byte) ([]lb.Backend, error) {
	var p Pool
	if err := json.Unmarshal(line, &p); err != nil {
		// into a fresh one: a reused slice keeps old values of absent fields
		return nil, fmt.Errorf("snapshot: %w: %w", ErrDamaged, err)
	}
	return p.Backends, nil
}

// EncodePool returns the line, without its end, that holds the backends of a load balancer.
func EncodePool(key string, backends []lb.Backend) ([]byte, error) {
	var b bytes.Buffer
	if err := encodeLine(&b, Pool{key, backends}); err != nil {
		return nil, fmt.Errorf("snapshot: %s: %w", key, err)
	}
	return b.Bytes()[:b.Len()-1], nil
}

var keyPrefix = []byte(`{"key":"`)

// Snapshot reads a snapshot line by line. The zero value is an empty one.
type Snapshot struct {
	Index Index

	r     *bufio.Reader
	from  io.Closer // nil if there is nothing to close
	key   string    // of line
	line  []byte    // the current line, without its end; nil at the end and before the first
	ended bool
}

// OpenSnapshot opens the snapshot of a head and reads its index. Where there is no head, or no snapshot, it
// is empty. The caller closes it.
func OpenSnapshot(ctx context.Context, s Store, h *Head) (*Snapshot, error) {
	if h == nil || h.Snapshot == nil {
		return &Snapshot{}, nil
	}
	r, err := s.OpenSnapshot(ctx, *h.Snapshot)
	if err != nil {
		return nil, err
	}
	snap, err := ReadSnapshot(r)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	snap.from = r
	return snap, nil
}

// ReadSnapshot reads the index from r and stops before the first pool.
func ReadSnapshot(r io.Reader) (*Snapshot, error) {
	s := &Snapshot{r: bufio.NewReaderSize(r, 64<<10)}
	line, err := s.readLine()
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w: index: %w", ErrDamaged, noEOF(err))
	}
	if err := json.Unmarshal(line, &s.Index); err != nil {
		return nil, fmt.Errorf("snapshot: %w: index: %w", ErrDamaged, err)
	}
	if s.Index.Schema != snapshotSchema {
		return nil, fmt.Errorf("the snapshot has schema %d, this version knows %d only", s.Index.Schema,
			snapshotSchema)
	}
	return s, nil
}

// Close closes what the snapshot is read from.
func (s *Snapshot) Close() {
	if s.from != nil {
		_ = s.from.Close() // only read
	}
}

// Seek moves on to the pool with this key and returns its line, without the end; nil if there is none. Keys
// have to be asked for in rising order. The line is good until the next call.
func (s *Snapshot) Seek(key string) ([]byte, error) {
	for !s.ended && s.key < key {
		if err := s.next(); err != nil {
			return nil, err
		}
	}
	if s.ended || s.key != key {
		return nil, nil
	}
	return s.line, nil
}

// Drain reads on to the end, where the store checks the content. Before that, nothing in it may be believed.
func (s *Snapshot) Drain() error {
	for !s.ended {
		if err := s.next(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Snapshot) next() error {
	if s.r == nil {
		s.ended = true
		return nil
	}
	line, err := s.readLine()
	if errors.Is(err, io.EOF) {
		s.ended = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w after %q: %w", ErrDamaged, s.key, err)
	}
	key, ok := keyOf(line)
	if !ok || key <= s.key {
		return fmt.Errorf("snapshot: %w after %q: not a pool in order", ErrDamaged, s.key)
	}
	s.key, s.line = key, line
	return nil
}

// keyOf is the key that a line begins with.
func keyOf(line []byte) (key string, ok bool) {
	rest, begins := bytes.CutPrefix(line, keyPrefix)
	k, _, ends := bytes.Cut(rest, []byte(`"`))
	return string(k), begins && ends
}

// readLine returns the next line without its end. io.EOF means that there is none; a line without an end is
// an error.
func (s *Snapshot) readLine() ([]byte, error) {
	line, err := s.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(long) < maxLine {
			line, err = s.r.ReadSlice('\n')
			long = append(long, line...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("a line has more than %d bytes", maxLine)
		}
		line = long
	}
	if err != nil {
		if len(line) > 0 {
			err = noEOF(err)
		}
		return nil, err
	}
	return line[:len(line)-1], nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Draft is a snapshot that is being written.
type Draft struct {
	to   SnapshotWriter
	last string // key
}

// CreateSnapshot starts a snapshot with this index, whose Schema is filled in. The caller closes it.
func CreateSnapshot(ctx context.Context, s Store, clbs map[string]Entry) (*Draft, error) {
	to, err := s.CreateSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	if err := encodeLine(to, Index{snapshotSchema, clbs}); err != nil {
		return nil, errors.Join(fmt.Errorf("snapshot: index: %w", err), to.Close())
	}
	return &Draft{to: to}, nil
}

// Write adds a line, as EncodePool or Seek returned it. A key that does not follow the one before is an
// error: nobody could read the snapshot.
func (d *Draft) Write(line []byte) error {
	key, ok := keyOf(line)
	if !ok || key <= d.last {
		return fmt.Errorf("snapshot: %q does not follow %q", key, d.last)
	}
	d.last = key
	if _, err := d.to.Write(line); err != nil {
		return err
	}
	_, err := d.to.Write([]byte("\n"))
	return err
}

// Commit stores the snapshot; it is durable when this returns. It counts once a head points to it.
func (d *Draft) Commit() (*Blob, error) {
	blob, err := d.to.Commit()
	if err != nil {
		return nil, fmt.Errorf("commit snapshot: %w", err)
	}
	return &blob, nil
}

// Close drops what was not committed. A leftover is deleted by Collect.
func (d *Draft) Close() {
	_ = d.to.Close() // a temporary file
}
