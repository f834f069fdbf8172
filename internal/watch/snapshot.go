package watch

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

// A snapshot is text: JSON Lines, sorted by key. The first line is the index, each other one a load balancer:
//
//	{"schema":1,"clbs":{"ap-guangzhou/lb-byhpduqt":{"digest":"…","backends":1}}}
//	{"key":"ap-guangzhou/lb-byhpduqt","backends":[{"id":"ins-9o9ex9s0", …}]}
//
// It is streamed and never held whole: lines that did not change are copied as bytes.

// index is the first line of a snapshot.
type index struct {
	Schema int              `json:"schema"`
	CLBs   map[string]entry `json:"clbs"`
}

// entry is what a tick must know of a load balancer before it reads it.
type entry struct {
	Digest   lb.Digest `json:"digest"` // "" if it was never read
	Backends int       `json:"backends"`
	Kind     lb.Type   `json:"kind,omitempty"`
	Health   bool      `json:"health,omitempty"`  // the backends' health was read at least once
	By       string    `json:"by,omitempty"`      // the version of the API that it was read by
	Doubt    bool      `json:"doubt,omitempty"`   // that reading was the first to lack something: one of the same bytes confirms it
	Unnamed  int       `json:"unnamed,omitempty"` // rows that did not tell what they are about when all that was known was there
	In       string    `json:"in,omitempty"`      // the Scope that discovered it; "" if the settings name it
	Name     string    `json:"name,omitempty"`    // of what was discovered; untrusted text
}

// known reports whether there is a record of it.
func (e entry) known() bool { return e.Digest != "" }

// record is every other line of a snapshot.
type record struct {
	Key      string       `json:"key"`
	Backends []lb.Backend `json:"backends"`
}

// maxLine bounds a line of a snapshot, in bytes: an index of 10,000 load balancers takes less than 1 MB.
const maxLine = 64 << 20

var keyPrefix = []byte(`{"key":"`)

// snapshotReader reads a snapshot line by line. The zero value is an empty one.
type snapshotReader struct {
	r     *bufio.Reader
	from  io.Closer // nil if there is nothing to close
	key   string    // of line
	line  []byte    // the current line, without its end; nil at the end and before the first
	ended bool
}

// snapshot opens the snapshot of a head, an empty one if it has none, and reads its index.
func (w *Watcher) snapshot(ctx context.Context, h *Head) (*snapshotReader, index, error) {
	if h == nil || h.Snapshot == nil {
		return &snapshotReader{}, index{}, nil
	}
	r, err := w.Store.OpenSnapshot(ctx, *h.Snapshot)
	if err != nil {
		return nil, index{}, err
	}
	s, idx, err := openSnapshot(r)
	if err != nil {
		return nil, index{}, errors.Join(err, r.Close())
	}
	s.from = r
	return s, idx, nil
}

func (s *snapshotReader) close() {
	if s.from != nil {
		_ = s.from.Close() // only read
	}
}

// openSnapshot reads the index and stops before the first record.
func openSnapshot(r io.Reader) (*snapshotReader, index, error) {
	s := &snapshotReader{r: bufio.NewReaderSize(r, 64<<10)}
	line, err := s.readLine()
	if err != nil {
		return nil, index{}, fmt.Errorf("snapshot is damaged: index: %w", noEOF(err))
	}
	var idx index
	if err := json.Unmarshal(line, &idx); err != nil {
		return nil, index{}, fmt.Errorf("snapshot is damaged: index: %w", err)
	}
	if idx.Schema != snapshotSchema {
		return nil, index{}, fmt.Errorf("snapshot has schema %d, this version knows %d", idx.Schema, snapshotSchema)
	}
	return s, idx, nil
}

// seek moves to the record with this key, over those before it, and returns its line; nil if there is none.
// Keys have to be asked for in rising order. The line is good until the next call.
func (s *snapshotReader) seek(key string) ([]byte, error) {
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

// next moves to the next record. Every snapshot is read to its end, where the store checks its content.
func (s *snapshotReader) next() error {
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
		return fmt.Errorf("snapshot is damaged after %q: %w", s.key, err)
	}
	rest, ok := bytes.CutPrefix(line, keyPrefix)
	key, _, ok2 := bytes.Cut(rest, []byte(`"`))
	if !ok || !ok2 || string(key) <= s.key {
		return fmt.Errorf("snapshot is damaged after %q: not a record in order", s.key)
	}
	s.key, s.line = string(key), line
	return nil
}

// drain reads on to the end.
func (s *snapshotReader) drain() error {
	for !s.ended {
		if err := s.next(); err != nil {
			return err
		}
	}
	return nil
}

// readLine returns the next line without its end. io.EOF means that there is none; a line without an end is an error.
func (s *snapshotReader) readLine() ([]byte, error) {
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

func decodeRecord(line []byte) ([]lb.Backend, error) {
	var rec record
	if err := json.Unmarshal(line, &rec); err != nil {
		return nil, fmt.Errorf("snapshot is damaged: %w", err)
	}
	return rec.Backends, nil
}
