package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
)

// Schema is the number of the stored form of heads. Others are refused, not guessed at; 1 to 4 were never
// released.
const Schema = 5

// MaxHead bounds a stored head, in bytes. It aims at a quarter of that: see the bounds of incident.State.
const MaxHead = 4 << 20

// Head is the small root of the stored state: a numbered chain in which each is written once and replaces its
// parent. Whoever has read a snapshot and the head that points to it knows everything.
type Head struct {
	Schema      int       `json:"schema"`
	N           int64     `json:"n"`                // 1, 2, 3 …
	Writer      string    `json:"writer"`           // nonce of the commit that wrote it
	Parent      string    `json:"parent,omitempty"` // Writer of the head before
	CommittedAt time.Time `json:"committedAt"`      // by the store's clock
	By          Lineage   `json:"by,omitempty"`     // who commits here

	Observation string               `json:"observation,omitempty"` // nonce of what it holds: see Observe
	ObservedAt  time.Time            `json:"observedAt,omitzero"`   // when that began
	Snapshot    *Blob                `json:"snapshot,omitempty"`    // the backends as last read; nil if never
	Incidents   incident.State       `json:"incidents"`
	Listed      map[string]time.Time `json:"listed,omitempty"`   // when each search was made last
	Unlisted    map[string]Unlisted  `json:"unlisted,omitempty"` // searches that cannot be made now, likewise
	// Unposted are load balancers with backends that fail checks since they came or ran again: it is news if
	// they still do at the next reading. By key, sorted.
	Unposted []string `json:"unposted,omitempty"`

	Tail    []incident.Record `json:"tail,omitempty"`    // history that is in no segment yet
	History []Segment         `json:"history,omitempty"` // the segments that count, oldest first

	// Moved is how many shards the state went over to: this head is its last word. 0 if it did not.
	Moved int `json:"moved,omitempty"`
	// Era is how often the state had gone over when this shard got its own, from 1.
	Era int `json:"era"`
}

// Unlisted is a search that cannot be made now.
type Unlisted struct {
	Tries int       `json:"tries"` // in a row
	Next  time.Time `json:"next"`  // not tried before
	Why   string    `json:"why"`   // the last error; untrusted text of at most some 300 bytes
	Do    string    `json:"do,omitempty"`
}

// Next starts the head after h, with the same content; h may be nil. by is who commits it, and now the
// store's clock. What the new head holds may be changed while h stays as it is.
func (h *Head) Next(writer, by string, now time.Time) *Head {
	now = now.UTC().Truncate(time.Millisecond)
	next := &Head{Schema: Schema, N: 1, Writer: writer, CommittedAt: now, Era: 1}
	if h != nil {
		*next = *h
		next.Schema, next.N, next.Writer, next.Parent, next.CommittedAt = Schema, h.N+1, writer, h.Writer, now
		next.Incidents = *h.Incidents.Clone()
		next.Listed, next.Unlisted = maps.Clone(h.Listed), maps.Clone(h.Unlisted)
		next.Unposted = slices.Clone(h.Unposted)
		next.Tail, next.History = slices.Clone(h.Tail), slices.Clone(h.History)
	}
	next.By = next.By.with(by, now)
	return next
}

// Observe notes that the head holds what an observation saw that began at some time. A run remembers the
// Observation of the head that it started from: if the newest head has another one when the run commits,
// another run has observed since, and this one's readings are dropped. Clocks do not matter.
func (h *Head) Observe(nonce string, at time.Time) { h.Observation, h.ObservedAt = nonce, at }

// Holds reports the nonce of the observation that a head holds; "" if h is nil or has none.
func (h *Head) Holds() string {
	if h == nil {
		return ""
	}
	return h.Observation
}

// Number is the number of the head; 0 if h is nil.
func (h *Head) Number() int64 {
	if h == nil {
		return 0
	}
	return h.N
}

// The stored form is a line of JSON and a line with its checksum: "sha256 " and 64 hexadecimal digits.
const (
	sumPrefix = "sha256 "
	sumLine   = len(sumPrefix) + 2*sha256.Size + 1
)

// Encode returns the stored form of the head. More than MaxHead bytes are an error: then nothing can be
// committed until less is open.
func (h *Head) Encode() ([]byte, error) {
	var b bytes.Buffer
	if err := encodeLine(&b, h); err != nil {
		return nil, fmt.Errorf("encode head %d: %w", h.N, err)
	}
	if size := b.Len() + sumLine; size > MaxHead {
		err := fmt.Errorf("head %d would take %d bytes, at most %d are allowed: %s",
			h.N, size, MaxHead, h.parts())
		return nil, advice.Add(err, "watch fewer load balancers in one state: see SHARD")
	}
	sum := sha256.Sum256(b.Bytes())
	b.WriteString(sumPrefix + hex.EncodeToString(sum[:]) + "\n")
	return b.Bytes(), nil
}

// parts says what takes how much room, for the error.
func (h *Head) parts() string {
	size := func(v any) int {
		var n counter
		_ = encodeLine(&n, v) // it was encoded before
		return int(n)
	}
	return fmt.Sprintf("%d for %d messages, %d for %d things that cannot be read, %d for %d lines of history",
		size(h.Incidents.Roots), len(h.Incidents.Roots), size(h.Incidents.Unread), len(h.Incidents.Unread),
		size(h.Tail)+size(h.History), len(h.Tail))
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// encodeLine writes a value as one line of JSON. Without the escapes for HTML, which make six bytes of each
// "<" in a name.
func encodeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// DecodeHead reads the stored form of head n. Anything that is not exactly what Encode wrote is an error:
// ErrDamaged, or that another version wrote it.
func DecodeHead(n int64, b []byte) (*Head, error) {
	if len(b) > MaxHead {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrDamaged, len(b), MaxHead)
	}
	text, err := checked(b)
	if err != nil {
		return nil, err
	}
	if err := ofThisSchema(text); err != nil {
		return nil, err
	}
	h := new(Head)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a field with a broken name is not a field left out
	if err := d.Decode(h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is something behind it", ErrDamaged)
	}
	if h.N != n {
		return nil, fmt.Errorf("%w: it should be head %d and calls itself %d", ErrDamaged, n, h.N)
	}
	if err := h.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return h, nil
}

// checked returns the line of JSON that the checksum is of.
func checked(b []byte) ([]byte, error) {
	text, sum, _ := bytes.Cut(b, []byte("\n"))
	text = b[:min(len(text)+1, len(b))]
	is := sha256.Sum256(text)
	if want := sumPrefix + hex.EncodeToString(is[:]) + "\n"; string(sum) == want {
		return text, nil
	}
	var v struct{ Schema int }
	if json.Unmarshal(b, &v) == nil && v.Schema > 0 && v.Schema < Schema { // these had no checksum
		return nil, otherSchema(v.Schema)
	}
	return nil, fmt.Errorf("%w: its checksum is missing or wrong", ErrDamaged)
}

// ofThisSchema is an error if the line of JSON is not of this version.
func ofThisSchema(text []byte) error {
	if bytes.HasPrefix(text, schemaFirst) {
		return nil // the whole line need not be read for it
	}
	var v struct{ Schema int }
	if err := json.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if v.Schema != Schema {
		return otherSchema(v.Schema)
	}
	return nil
}

var schemaFirst = fmt.Appendf(nil, `{"schema":%d,`, Schema)

// otherSchema is not ErrDamaged: nothing is to be repaired there.
func otherSchema(n int) error {
	if n < Schema {
		err := fmt.Errorf("it has schema %d, which was never released; this version knows only %d", n, Schema)
		return advice.Add(err, "move the state away: then the next tick takes a new baseline")
	}
	err := fmt.Errorf("it has schema %d, this version knows only %d", n, Schema)
	return advice.Add(err, "run the version that wrote it, or a newer one")
}

// blobName is what a Blob's SHA256 and Tag may be. They are part of a file's name, and whoever writes the
// state must not choose which file that is. A tag is of crypto/rand's Text.
var blobName = regexp.MustCompile(`^[0-9a-f]{64}-[A-Z2-7]*$`)

// validate refuses what no version ever wrote, so that the rest of the program need not expect it.
func (h *Head) validate() error {
	switch {
	case h.Writer == "":
		return errors.New("it has no writer")
	case h.N < 1, h.Era < 1, h.Moved < 0, h.Moved > MaxShards:
		return errors.New("its numbers are impossible")
	case h.Snapshot != nil && !h.Snapshot.valid():
		return errors.New("its snapshot has no name or size")
	}
	for _, s := range h.History {
		if !s.valid() {
			return fmt.Errorf("its history has a segment without a name: %.80q", s.Name)
		}
	}
	for _, r := range h.Tail {
		if !r.Valid() {
			return errors.New("its history has a line that says nothing")
		}
	}
	return validIncidents(&h.Incidents)
}

// validIncidents refuses what the rules of notification never produce and could not go on from.
func validIncidents(s *incident.State) error {
	if s.Last < 0 {
		return errors.New("its incidents have impossible numbers")
	}
	for _, c := range s.Channels {
		if c == nil {
			return errors.New("it has an empty channel")
		}
	}
	for _, u := range s.Unread {
		if u.Why < 0 || u.Ticks < 0 {
			return errors.New("its counts of what cannot be read are impossible")
		}
	}
	for _, r := range s.Roots {
		if r == nil || len(r.Incidents) == 0 || slices.Contains(r.Incidents, nil) {
			return errors.New("it has a message about nothing")
		}
		d := &r.Delivery
		if d.Fails < 0 || d.EditFails < 0 || d.Reminders < 0 || d.Form < 0 || d.Form > incident.Bare {
			return fmt.Errorf("the delivery of incident %.40q has impossible counts", r.ID())
		}
		for _, i := range r.Incidents {
			if i.Level < incident.OK || i.Level > incident.Down || i.Why < 0 {
				return fmt.Errorf("incident %.40q has an impossible level", i.ID)
			}
		}
	}
	return nil
}
