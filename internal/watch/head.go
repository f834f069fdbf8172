package watch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"
)

// Numbers of the stored forms. Others are refused, not guessed at. Heads of schema 1 had neither threads nor a log, those
// of schema 2 neither lists nor shards, those of schema 3 no eras; all that they have means the same.
const (
	schema         = 4
	oldestSchema   = 1
	snapshotSchema = 1
)

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
	Threads     Threads          `json:"threads,omitempty"`  // messages that tell of open incidents
	Log         []Past           `json:"log,omitempty"`      // the last changes, oldest first; at most maxLog
	LogFrom     time.Time        `json:"logFrom,omitzero"`   // the log has every change since

	Listed   map[string]time.Time `json:"listed,omitempty"`   // when each Scope was listed last
	Unlisted map[string]Unlisted  `json:"unlisted,omitempty"` // Scopes that cannot be listed now, and when they are tried again

	Untold []string `json:"untold,omitempty"` // load balancers with backends that fail checks since they came or ran again: told if they still do next time; by key, sorted
	Moved  int      `json:"moved,omitempty"`  // the state went over to so many shards: this head is its last word; 0 if not
	Era    int      `json:"era,omitempty"`    // how often the state had gone over when this shard got its own; 0 in heads of schemas before 4
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

// Bounds of what a head holds.
const (
	maxOutbox = 64  // beyond it news joins an alert that a crashed sender may have told already
	maxLog    = 100 // changes
)

// Encode returns the stored form of the head.
func (h *Head) Encode() ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode head %d: %w", h.N, err)
	}
	return append(b, '\n'), nil
}

// snapshotName is what a Blob's SHA256 and Tag may be: they are part of a file's name, and whoever writes the state must
// not choose which file that is. A tag is of crypto/rand's Text.
var snapshotName = regexp.MustCompile(`^[0-9a-f]{64}-[A-Z2-7]*$`)

// DecodeHead reads the stored form of head n. Anything that is not exactly that is an error.
func DecodeHead(n int64, b []byte) (*Head, error) {
	var v struct{ Schema int }
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if v.Schema < oldestSchema || v.Schema > schema {
		return nil, fmt.Errorf("it has schema %d, this version knows up to %d: run the version that wrote it, or a newer one", v.Schema, schema)
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
	case h.Snapshot != nil && (!snapshotName.MatchString(h.Snapshot.SHA256+"-"+h.Snapshot.Tag) || h.Snapshot.Bytes <= 0):
		return nil, errors.New("it is damaged: its snapshot has no name or size")
	}
	return h, nil
}

// successor starts the head after h, with the same content; h may be nil.
func (h *Head) successor(writer string, now time.Time) *Head {
	if h == nil {
		return &Head{Schema: schema, N: 1, Writer: writer, CommittedAt: now, LogFrom: now, Era: 1}
	}
	next := *h
	next.Schema, next.N, next.Writer, next.Parent, next.CommittedAt = schema, h.N+1, writer, h.Writer, now
	next.Outbox, next.Blind = slices.Clone(h.Outbox), maps.Clone(h.Blind)
	if next.LogFrom.IsZero() { // of schema 1
		next.LogFrom = now
	}
	return &next
}

// owe puts news into the outbox: what belongs to an open incident goes to its thread, all else into a message of its own.
func (h *Head) owe(a Alert) {
	rest := a
	rest.Pools = nil
	replies := make(map[string][]PoolNews)
	for _, p := range a.Pools {
		if id := h.incident(p.CLB.Key()); id != "" {
			replies[id] = append(replies[id], p)
		} else {
			rest.Pools = append(rest.Pools, p)
		}
	}
	n := 0
	put := func(a Alert) {
		n++
		a.ID = fmt.Sprintf("%d-%.8s", h.N, h.Writer)
		if n > 1 {
			a.ID += fmt.Sprintf("-%d", n)
		}
		h.put(a)
	}
	if !rest.Empty() {
		put(rest)
	}
	for _, id := range slices.Sorted(maps.Keys(replies)) {
		put(Alert{From: a.From, To: a.To, Thread: id, Reply: true, Pools: replies[id]})
	}
}

// incident is the thread that news about a load balancer belongs to; "" if it has no open incident that was told, or
// is about to be.
func (h *Head) incident(key string) string {
	for _, a := range slices.Backward(h.Outbox) {
		for _, p := range a.Pools {
			if p.CLB.Key() == key && p.Open() {
				return a.Thread
			} else if p.CLB.Key() == key {
				return ""
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(h.Threads)) {
		if c, ok := h.Threads[id].Course[key]; ok && c.Over.IsZero() {
			return id
		}
	}
	return ""
}

// put adds one alert to the outbox. It joins one of the same thread, or one of no thread an other of no thread, that
// nobody took up yet, so that people who were out of reach get one message and not one a tick.
func (h *Head) put(a Alert) {
	last := len(h.Outbox) - 1
	join := -1
	for i, o := range slices.Backward(h.Outbox) {
		if !o.Claimed && (a.Reply && o.Thread == a.Thread || !a.Reply && !o.Reply) {
			join = i
			break
		}
		if o.shares(a) { // news of a load balancer stays in order
			break
		}
	}
	if join < 0 && last >= maxOutbox-2 { // room is left for one more
		a.Reply, a.Thread = false, ""
		if !h.Outbox[last].Reply {
			join = last
		}
	}
	if join < 0 {
		if a.Thread == "" {
			a.Thread = a.ID
		}
		h.Outbox = append(h.Outbox, a.bound())
		return
	}
	a = merge(h.Outbox[join], a)
	a.Claimed = false
	h.Outbox[join] = a
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
		known[a.ID] = outcome{fate: notSent}
		if a.Claimed {
			known[a.ID] = outcome{fate: unknown}
		}
		h.Outbox[i].Claimed = true
	}
	return known
}

// mark takes out of the outbox what sender delivered, keeps where it is, and ends its lease.
func (h *Head) mark(sender string, sent map[string]outcome) {
	mine := h.Lease != nil && h.Lease.By == sender
	if mine {
		h.Lease = nil
	}
	var owed []Alert
	for _, a := range h.Outbox {
		became, claimed := sent[a.ID]
		switch {
		case claimed && became.fate == done:
			h.Threads = h.Threads.after(a, became.receipt)
			continue
		case mine && claimed && became.fate == notSent:
			// Only the holder of the lease can know that nobody else took the alert up.
			a.Claimed = false
		}
		owed = append(owed, a)
	}
	h.Outbox = owed
}

// outcome is what became of an alert that a run had claimed.
type outcome struct {
	fate    fate
	receipt Receipt // if done
}

type fate int

const (
	notSent fate = iota // certainly not with people: never tried, or known not to have arrived
	unknown             // people may have it
	done                // people have it, or it was refused for good
)
