package state

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// Shard is one of several parts that load balancers are divided into where one function cannot read them all
// in its time. Each part has a state of its own. The zero Shard is all of them.
type Shard struct {
	N, Of int // the Nth, from 1
}

// MaxShards bounds how many shards there may be: more would ask the cloud for the same lists over and over.
const MaxShards = 64

// Owns reports whether a load balancer is in the shard. That depends on its key and on how many shards there
// are.
func (s Shard) Owns(key string) bool {
	if s.Of <= 1 {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	return int(h.Sum32()%uint32(s.Of)) == s.N-1
}

// OwnedBy reports whether a load balancer is in a shard that String wrote; not if that is none.
func OwnedBy(shard, key string) bool {
	s, err := parseShard(shard)
	return err == nil && s.Owns(key)
}

// First reports whether the shard is the one that speaks for all.
func (s Shard) First() bool { return s.N <= 1 }

// String is the shard as the settings have it, such as "2/4"; "1/1" for all.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", max(s.N, 1), max(s.Of, 1)) }

// Suffix is what the numbers of the shard's incidents end in, such as "-2", so that no two shards use the
// same; "" where there is only one. See incident.Rules.
func (s Shard) Suffix() string {
	if s.Of <= 1 {
		return ""
	}
	return "-" + strconv.Itoa(s.N)
}

// parseShard reads what String wrote.
func parseShard(text string) (Shard, error) {
	n, of, _ := strings.Cut(text, "/")
	var s Shard
	var err1, err2 error
	s.N, err1 = strconv.Atoi(n)
	s.Of, err2 = strconv.Atoi(of)
	if err1 != nil || err2 != nil || s.N < 1 || s.N > s.Of || s.Of > MaxShards {
		return Shard{}, fmt.Errorf("%w: %.20q is not a shard", ErrDamaged, text)
	}
	return s, nil
}

// ownerOf is the shard, of so many, that a load balancer is in.
func ownerOf(key string, of int) Shard {
	s := Shard{1, of}
	for !s.Owns(key) {
		s.N++
	}
	return s
}

// reports reports whether the shard is the one that posts about something. Every shard makes every search:
// the first one posts about it.
func (s Shard) reports(key string, about incident.About) bool {
	if about == incident.Listing || about == incident.Nothing {
		return s.First()
	}
	return s.Owns(key)
}

// keeps reports whether a line of the history goes to this shard: that of its load balancer, or the first if
// it is about none.
func (s Shard) keeps(r incident.Record) bool {
	switch {
	case r.CLB == (lb.CLB{}):
		return s.First()
	case r.Closed != nil:
		return s.reports(r.CLB.Key(), r.Closed.About)
	}
	return s.Owns(r.CLB.Key())
}

// has reports whether a root goes to the shard: where the first incident in it that is still open belongs.
func (s Shard) has(r *incident.Root) bool {
	i := r.Incidents[0]
	for _, open := range r.Incidents {
		if open.Open() {
			i = open
			break
		}
	}
	return s.reports(i.Key, i.About)
}
