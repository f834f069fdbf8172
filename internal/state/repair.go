package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
)

// maxBack is how many heads Repair goes back at most. A tick commits two.
const maxBack = 20

// Inspector is a Store that shows what is in it.
type Inspector interface {
	Store
	// Head returns head n, ErrAbsent, or ErrDamaged.
	Head(ctx context.Context, n int64) (*Head, error)
	// Heads lists the heads that are there, newest first. It may miss the newest.
	Heads(ctx context.Context) ([]Stored, error)
	// Segments lists the segments of history that are there, those that do not count among them.
	Segments(ctx context.Context) ([]Stored, error)
}

// Stored is one head or segment that is there.
type Stored struct {
	N        int64     // of the head; of the segment, each day
	Day      string    // of the segment
	Name     string    // of the segment: see Segment
	Modified time.Time // when it was written, by the store's clock
}

// Inventory is what is there of the state of one shard, for people.
type Inventory struct {
	Shard Shard  // whoever opened the store says which it is, and where; Inspect does not know
	Place string // such as "COS ops-1250000000/clbwatch"

	At     time.Time // by the store's clock
	Heads  []Stored  // newest first
	Newest int64     // number of the newest head, readable or not; 0 if there is none
	Head   *Head     // the newest that can be read, which is what Repair goes back to; nil if there is none

	CLBs     int // load balancers in its snapshot
	Backends int // and their backends

	// those that are active; they are at the root of the state, and not a shard's: whoever opened it adds
	// them
	Silences []incident.Silence

	History []Day // of Head, oldest first
	Orphans int   // segments that do not count: they will be collected
	Damage  []Damage
}

// Day is one day of the history.
type Day struct {
	Day      string // in UTC
	Segments int
	Lines    int
	Bytes    int64 // stored
}

// Damage is one thing that is wrong with the state. An error may come with advice (package advice).
type Damage struct {
	What string // such as "head 4711"
	Err  error
	Can  bool // Repair can mend it
}

// Inspect says what is there, and what is wrong with it. It changes nothing. Where deep is true it reads the
// history, else it only looks whether all of it is there. Its error is one of reading the store; what is
// damaged is in the Inventory.
func Inspect(ctx context.Context, s Inspector, deep bool) (*Inventory, error) {
	v := &Inventory{}
	var err error
	if v.Heads, err = s.Heads(ctx); err != nil {
		return nil, err
	}
	head, err := s.Load(ctx)
	v.At = s.Now()
	switch {
	case errors.Is(err, ErrDamaged):
		if v.Newest, err = newest(ctx, s, v.Heads); err != nil {
			return nil, err
		}
		if err := v.back(ctx, s); err != nil {
			return nil, err
		}
	case err != nil:
		v.Damage = append(v.Damage, Damage{What: "heads", Err: err})
		return v, nil
	case head == nil:
		return v, nil
	default:
		v.Newest, v.Head = head.N, head
	}
	if v.Head == nil {
		return v, nil
	}
	if err := v.readSnapshot(ctx, s); err != nil {
		if !isLost(err) {
			return nil, err
		}
		v.Damage = append(v.Damage, Damage{fmt.Sprintf("snapshot of head %d", v.Head.N), err, true})
	}
	return v, v.readHistory(ctx, s, deep)
}

// newest is the number of the newest head, readable or not.
func newest(ctx context.Context, s Inspector, listed []Stored) (int64, error) {
	if len(listed) == 0 {
		return 0, errors.New("no head is listed, though there are some")
	}
	for n := listed[0].N; ; n++ {
		if _, err := s.Head(ctx, n+1); errors.Is(err, ErrAbsent) {
			return n, nil
		} else if err != nil && !errors.Is(err, ErrDamaged) {
			return 0, err
		}
	}
}

// back looks for the newest head that can be read.
func (v *Inventory) back(ctx context.Context, s Inspector) error {
	for n := v.Newest; n > max(0, v.Newest-maxBack); n-- {
		h, err := s.Head(ctx, n)
		if err == nil {
			v.Head = h
			return nil
		}
		if !isLost(err) {
			return err
		}
		v.Damage = append(v.Damage, Damage{fmt.Sprintf("head %d", n), err, true})
	}
	for i := range v.Damage {
		v.Damage[i].Can = false // there is nothing to go back to
	}
	return nil
}

func isLost(err error) bool { return errors.Is(err, ErrDamaged) || errors.Is(err, ErrAbsent) }

func (v *Inventory) readSnapshot(ctx context.Context, s Store) error {
	snap, err := OpenSnapshot(ctx, s, v.Head)
	if err != nil {
		return err
	}
	defer snap.Close()
	v.CLBs = len(snap.Index.CLBs)
	for _, e := range snap.Index.CLBs {
		v.Backends += e.Backends
	}
	return snap.Drain()
}

func (v *Inventory) readHistory(ctx context.Context, s Inspector, deep bool) error {
	there, err := s.Segments(ctx)
	if err != nil {
		return err
	}
	type name struct {
		day, name string
		n         int64
	}
	have := make(map[name]bool)
	for _, o := range there {
		have[name{o.Day, o.Name, o.N}] = true
	}
	v.Orphans = len(have)
	for _, seg := range v.Head.History {
		if len(v.History) == 0 || v.History[len(v.History)-1].Day != seg.Day {
			v.History = append(v.History, Day{Day: seg.Day})
		}
		d := &v.History[len(v.History)-1]
		d.Segments, d.Lines, d.Bytes = d.Segments+1, d.Lines+seg.Lines, d.Bytes+seg.Bytes
		if seg.In != "" {
			continue // it is with another shard's state
		}
		lost := error(nil)
		if !have[name{seg.Day, seg.Name, int64(seg.N)}] {
			lost = ErrAbsent
		} else if v.Orphans--; deep {
			for _, err := range records(ctx, s, seg, time.Time{}) {
				lost = errors.Join(lost, err)
			}
		}
		if lost != nil {
			what := fmt.Sprintf("history of %s, segment %d", seg.Day, seg.N)
			v.Damage = append(v.Damage, Damage{What: what, Err: lost})
		}
	}
	return nil
}

// Repaired is what Repair did with the state of one shard.
type Repaired struct {
	Shard Shard
	N     int64 // number of the head that it committed; 0 if nothing was to be repaired
	From  int64 // and of the one that this continues
}

// ErrSound means that there is nothing to repair.
var ErrSound = errors.New("the newest head and its snapshot can be read: there is nothing to repair")

// Repair goes back to the newest head that can be read whole, with its snapshot, where the newest cannot: it
// commits a new head with the content of that one. What happened since is found again by the next reading,
// and posted again. nonce is a new random text. It returns the head that it committed and the number of the
// one that this continues; ErrSound if nothing was to be done.
func Repair(ctx context.Context, s Inspector, nonce string) (h *Head, from int64, err error) {
	listed, err := s.Heads(ctx)
	if err != nil {
		return nil, 0, err
	}
	if len(listed) == 0 {
		return nil, 0, errors.New("there are no heads to go back to")
	}
	last, err := newest(ctx, s, listed)
	if err != nil {
		return nil, 0, err
	}
	var number int64 // of the newest incident: none is used twice
	for n := last; n > max(0, last-maxBack); n-- {
		old, err := s.Head(ctx, n)
		if err == nil {
			number = max(number, old.Incidents.Last)
			err = (&Inventory{Head: old}).readSnapshot(ctx, s)
		}
		switch {
		case err == nil && n == last:
			return nil, 0, ErrSound
		case err == nil:
			h = old.Next(nonce, CLI, s.Now())
			h.N, h.By, h.Incidents.Last = last+1, old.By.with(CLI, h.CommittedAt), number
			return h, n, s.Commit(ctx, h)
		case !isLost(err):
			return nil, 0, fmt.Errorf("head %d: %w", n, err) // perhaps another time
		}
	}
	err = fmt.Errorf("none of the heads %d to %d can be read with its snapshot", max(1, last-maxBack+1), last)
	return nil, 0, advice.Add(err,
		"restore the state from a copy, or move it away: then the next tick takes a new baseline")
}

// Take makes the state forget which functions were at work with it, so that another may go on at once. owner
// is the function that is to, as in Committer; "" is whichever commits first. nonce is a new random text. It
// returns the functions that were alive.
func Take(ctx context.Context, s Store, owner, nonce string) (was Lineage, err error) {
	for range maxConflicts {
		old, err := s.Load(ctx)
		if err != nil {
			return nil, fmt.Errorf("load state: %w", err)
		}
		if old == nil {
			return nil, errors.New("there is no state yet: nobody needs to take it")
		}
		h := old.Next(nonce, CLI, s.Now())
		h.By = Lineage{{CLI, h.CommittedAt}}
		if owner != "" {
			h.By = append(h.By, Committer{owner, h.CommittedAt})
		}
		if err = Commit(ctx, s, h); err == nil {
			was = slices.DeleteFunc(slices.Clone(old.By), func(c Committer) bool {
				return c.Name == CLI || c.Name == owner || h.CommittedAt.Sub(c.Alive) >= aliveFor
			})
			return was, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("take the state: %w, %d times in a row", ErrConflict, maxConflicts)
}
