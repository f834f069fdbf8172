package watch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// schema is the number of the stored form of heads and snapshots. Other numbers are refused, not guessed at.
const schema = 1

// Head is the small root of the stored state: a numbered chain in which each is written once and replaces its parent.
type Head struct {
	Schema      int              `json:"schema"`
	N           int64            `json:"n"`                  // 1, 2, 3 …
	Writer      string           `json:"writer"`             // nonce of the commit that wrote it
	Parent      string           `json:"parent,omitempty"`   // Writer of the head before
	ObservedAt  time.Time        `json:"observedAt"`         // when the newest observation in it began
	CommittedAt time.Time        `json:"committedAt"`        // when it was written
	Snapshot    *Blob            `json:"snapshot,omitempty"` // the backends as last read; nil before the first reading
	Lease       *Lease           `json:"lease,omitempty"`    // who is sending; nil if nobody is
	Outbox      []Alert          `json:"outbox,omitempty"`   // alerts owed, oldest first
	Blind       map[string]Blind `json:"blind,omitempty"`    // load balancers that cannot be read now, by key
}

// Blob names an immutable snapshot by its content.
type Blob struct {
	SHA256 string `json:"sha256"` // of the stored bytes, in hexadecimal
	Tag    string `json:"tag"`    // tells it from others of the same content
	Bytes  int64  `json:"bytes"`  // stored size
}

// Lease makes one run the only sender until it ends: messages keep their order, and nobody sends what another is sending.
type Lease struct {
	By    string    `json:"by"` // Writer of the head that took it
	Until time.Time `json:"until"`
}

// maxOutbox bounds the outbox: beyond it news joins an alert that a crashed sender may have told already.
const maxOutbox = 16

// Encode returns the stored form of the head.
func (h *Head) Encode() ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode head %d: %w", h.N, err)
	}
	return append(b, '\n'), nil
}

// DecodeHead reads the stored form of head n. Anything that is not exactly that is an error.
func DecodeHead(n int64, b []byte) (*Head, error) {
	var v struct{ Schema int }
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if v.Schema != schema {
		return nil, fmt.Errorf("it has schema %d, this version knows %d: run the version that wrote it, or a newer one", v.Schema, schema)
	}
	h := new(Head)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // a field with a broken name is not a field left out
	if err := d.Decode(h); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	switch {
	case h.N != n:
		return nil, fmt.Errorf("it is damaged: it should be head %d and calls itself %d", n, h.N)
	case h.Writer == "":
		return nil, errors.New("it is damaged: it has no writer")
	case h.Snapshot != nil && (len(h.Snapshot.SHA256) != 64 || h.Snapshot.Bytes <= 0):
		return nil, errors.New("it is damaged: its snapshot has no name or size")
	}
	return h, nil
}

// successor starts the head after h, with the same content; h may be nil.
func (h *Head) successor(writer string, now time.Time) *Head {
	if h == nil {
		return &Head{Schema: schema, N: 1, Writer: writer, CommittedAt: now}
	}
	next := *h
	next.N, next.Writer, next.Parent, next.CommittedAt = h.N+1, writer, h.Writer, now
	next.Outbox, next.Blind = slices.Clone(h.Outbox), maps.Clone(h.Blind)
	return &next
}

// owe puts an alert into the outbox. News joins an alert that nobody took up yet, so that people who were out of reach
// get one message and not one a tick.
func (h *Head) owe(a Alert) {
	a.ID = fmt.Sprintf("%d-%.8s", h.N, h.Writer)
	last := len(h.Outbox) - 1
	if last >= 0 && (!h.Outbox[last].Claimed || len(h.Outbox) >= maxOutbox) {
		a = merge(h.Outbox[last], a)
		a.Claimed = false
		h.Outbox = h.Outbox[:last]
	}
	h.Outbox = append(h.Outbox, a.bound())
}

// leased reports whether another run may be sending now. A lease that ends later than any run can was taken under a
// clock that was wrong.
func (h *Head) leased(now time.Time) bool {
	return h.Lease != nil && now.Before(h.Lease.Until) && h.Lease.Until.Sub(now) <= maxLease
}

// claim makes this head's writer the sender of everything that is owed. It returns what is known of each alert: nothing
// was sent of those that nobody had claimed before.
func (h *Head) claim(until time.Time) map[string]outcome {
	h.Lease = &Lease{By: h.Writer, Until: until}
	known := make(map[string]outcome, len(h.Outbox))
	for i, a := range h.Outbox {
		known[a.ID] = notSent
		if a.Claimed {
			known[a.ID] = unknown
		}
		h.Outbox[i].Claimed = true
	}
	return known
}

// mark takes out of the outbox what sender delivered, and ends its lease.
func (h *Head) mark(sender string, sent map[string]outcome) {
	mine := h.Lease != nil && h.Lease.By == sender
	if mine {
		h.Lease = nil
	}
	h.Outbox = slices.DeleteFunc(h.Outbox, func(a Alert) bool { return sent[a.ID] == done })
	for i, a := range h.Outbox {
		// Only the holder of the lease can know that nobody else took the alert up.
		if became, claimed := sent[a.ID]; mine && claimed && became == notSent {
			h.Outbox[i].Claimed = false
		}
	}
}

// outcome is what became of an alert that a run had claimed.
type outcome int

const (
	notSent outcome = iota // certainly not with people: never tried, or known not to have arrived
	unknown                // people may have it
	done                   // people have it, or it was refused for good
)
