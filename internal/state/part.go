package state

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
)

const (
	// maxConflicts is how often taking over starts again because another run was first.
	maxConflicts = 8
	// maxClaim is how far ahead a claim may end: beyond it the clock was wrong that it was made by.
	maxClaim = 16 * time.Minute
	// maxReasons is how many reasons incident.State holds; the last one is then "other reasons".
	maxReasons = 20
)

// States opens the state of any shard, of however many there are or were. It may be called several times at
// once, and what it opens used so.
type States func(Shard) (Store, error)

// Part is the state of one shard, as one run uses it.
type Part struct {
	Shard  Shard
	Store  Store
	States States        // of all shards; nil if there never was but one
	By     string        // who commits: see Committer
	Nonce  func() string // a new random text each time, of at least 8 bytes

	atOnce int // how many shards are loaded at the same time; 0: one
}

// Next starts the head after h, with the same content, committed by this run; h may be nil.
func (p Part) Next(h *Head) *Head { return h.Next(p.Nonce(), p.By, p.Store.Now()) }

// Load returns the newest head of the shard, nil if there never was one. It is an error if the state went
// over to another number of shards since Begin, or if another function is at work with it.
func (p Part) Load(ctx context.Context) (*Head, error) {
	h, err := p.Store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	if h == nil {
		return nil, nil
	}
	if h.Moved != 0 {
		return nil, fmt.Errorf("load state: it went over to %d shards", h.Moved)
	}
	return h, h.By.Check(p.By, p.Store.Now())
}

// Begin loads what a tick starts from: the newest head of the shard, nil if nothing was ever committed. Where
// the shard has no state, or its state went over to another number of shards, it is brought here first. It is
// an error if another function is at work with the state.
func (p Part) Begin(ctx context.Context) (*Head, error) {
	for range maxConflicts {
		h, err := p.Store.Load(ctx)
		if err != nil {
			return nil, fmt.Errorf("load state: %w", err)
		}
		if h != nil {
			if err := h.By.Check(p.By, p.Store.Now()); err != nil {
				return nil, err
			}
		}
		if p.States == nil || (h != nil || p.Shard.Of <= 1) && (h == nil || h.Moved == 0) {
			if h != nil && h.Moved != 0 {
				return nil, fmt.Errorf("load state: it went over to %d shards", h.Moved)
			}
			return h, nil
		}
		// Other shards may be at it too.
		if err := p.takeOver(ctx, h); err != nil && !errors.Is(err, ErrConflict) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("take over the state: %w, %d times in a row", ErrConflict, maxConflicts)
}

// Level is the state of all shards of one number: a head for each of them, and where it is.
type Level struct {
	Of     int
	Heads  []*Head // nil where there is none
	Stores []Store

	states States
	era    int // how often the state went over before it came here; of the shards that are there
}

// Current loads the newest state, of however many shards it is now, and changes nothing. store is where to
// begin: the state of the shard that the settings name. states may be nil if there never was but one.
func Current(ctx context.Context, store Store, states States) (Level, error) {
	h, err := store.Load(ctx)
	if err != nil {
		return Level{}, fmt.Errorf("load state: %w", err)
	}
	if h == nil || h.Moved == 0 || states == nil {
		return Level{Of: 1, Heads: []*Head{h}, Stores: []Store{store}, states: states}, nil
	}
	l, err := Part{States: states, atOnce: readers}.trace(ctx, nil, nowhere) // somebody waits for it
	if err != nil {
		return Level{}, fmt.Errorf("load state: %w", err)
	}
	return l, nil
}

// Open opens the snapshots of all shards. The caller closes them, and those that come along with an error.
func (l Level) Open(ctx context.Context) ([]*Snapshot, error) {
	snapshots, errs := make([]*Snapshot, len(l.Heads)), make([]error, len(l.Heads))
	each(len(l.Heads), readers, func(i int) {
		snapshots[i], errs[i] = OpenSnapshot(ctx, l.Stores[i], l.Heads[i])
	})
	if err := errors.Join(errs...); err != nil {
		return slices.DeleteFunc(snapshots, func(s *Snapshot) bool { return s == nil }), err
	}
	return snapshots, nil
}

// level loads the state of so many shards, some at once, and says which of them are not there: those without a
// head, and those whose head is not younger than an era, left from when the state was here before.
func (s States) level(ctx context.Context, of, era, atOnce int) (l Level, absent []int, err error) {
	l = Level{Of: of, Heads: make([]*Head, of), Stores: make([]Store, of), states: s, era: math.MaxInt}
	errs := make([]error, of)
	each(of, atOnce, func(i int) {
		if l.Stores[i], errs[i] = s(Shard{i + 1, of}); errs[i] == nil {
			l.Heads[i], errs[i] = l.Stores[i].Load(ctx)
		}
	})
	for i, h := range l.Heads {
		switch {
		case errs[i] != nil:
			return l, nil, fmt.Errorf("state of shard %d/%d: %w", i+1, of, errs[i])
		case h == nil || h.Era <= era:
			absent = append(absent, i)
		default:
			l.era = min(l.era, h.Era)
		}
	}
	return l, absent, nil
}

// each does something for each of n, so many at once.
func each(n, atOnce int, do func(i int)) {
	if atOnce == 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var doing sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		doing.Go(func() { do(i); <-slots })
	}
	doing.Wait()
}

// moved is how many shards the state is going over to, or went; 0 if it stays.
func (l Level) moved() (to int, err error) {
	for _, h := range l.Heads {
		switch {
		case h == nil || h.Moved == 0 || h.Moved == to:
		case to == 0:
			to = h.Moved
		default:
			return 0, fmt.Errorf("the state of %d shards went over to %d and to %d", l.Of, to, h.Moved)
		}
	}
	return to, nil
}

// nowhere is not a number of shards: trace then looks for the state as it is now, and changes nothing.
const nowhere = -1

// trace follows the state from where it begins, a single shard, to where it went over to so many shards, or
// is about to: each shard's last head says how many took over from it. own is the last head of a shard that
// has been one of so many before; what was before that is not meant. Where some of the shards that the state
// went over to have not run, because they were not meant to or died, their part is still with the former
// ones, and is brought to them.
func (p Part) trace(ctx context.Context, own *Head, to int) (Level, error) {
	var prev Level
	of, era, since := 1, 0, 0
	if own != nil {
		since = own.Era
	}
	for range 2 * MaxShards {
		l, absent, err := p.States.level(ctx, of, era, max(p.atOnce, 1))
		if err != nil {
			return l, err
		}
		if prev.Of == 0 && len(absent) > 0 {
			return l, nil // the first run there ever was
		}
		if len(absent) > 0 {
			if to == nowhere {
				err := fmt.Errorf("the state of %d shards is not whole: %d of them have not run yet",
					of, len(absent))
				return l, advice.Add(err, "it is once each of them has run")
			}
			for _, i := range absent {
				part := p
				part.Shard, part.Store = Shard{i + 1, of}, l.Stores[i]
				if err := part.bring(ctx, prev, l.Heads[i]); err != nil {
					return l, err
				}
			}
			continue
		}
		next, err := l.moved()
		if err != nil {
			return l, err
		}
		switch {
		case next == 0 && of == to:
			return l, ErrConflict // another run brought it here since own was loaded
		case next == 0, next == to && l.era > since:
			return l, nil
		}
		prev, of, era = l, next, l.era
	}
	return prev, errors.New("the state went from one number of shards to another without end")
}

// takeOver brings the state of this shard here from where another number of shards left it. own is this
// shard's head, if it ever had one.
func (p Part) takeOver(ctx context.Context, own *Head) error {
	l, err := p.trace(ctx, own, max(p.Shard.Of, 1))
	if err != nil {
		return err
	}
	return p.bring(ctx, l, own)
}

// bring makes this shard's head from those of the former ones. What was open goes on being open, once; what
// was known goes on being known. If we stop at any point, the next tick goes on from there: a former shard's
// head says that it moved, and nobody changes it any more.
func (p Part) bring(ctx context.Context, l Level, own *Head) error {
	mine := max(p.Shard.Of, 1)
	for i, h := range l.Heads {
		if err := free(l, i); err != nil {
			return err
		}
		if h != nil {
			if err := h.By.Check(p.By, l.Stores[i].Now()); err != nil {
				return err
			}
		}
		if h == nil || h.Moved != mine {
			next := h.Next(p.Nonce(), p.By, l.Stores[i].Now())
			next.Moved = mine
			if err := l.Stores[i].Commit(ctx, next); err != nil {
				return fmt.Errorf("take over from shard %d/%d: %w", i+1, l.Of, err)
			}
			l.Heads[i] = next
		}
	}
	next := own.Next(p.Nonce(), p.By, p.Store.Now())
	h := &Head{Schema: next.Schema, N: next.N, Writer: next.Writer, Parent: next.Parent,
		CommittedAt: next.CommittedAt, By: next.By, Era: l.Heads[0].Era + 1}
	for i, old := range l.Heads {
		p.Shard.inherit(h, old, Shard{i + 1, l.Of})
	}
	if !h.ObservedAt.IsZero() {
		h.Observation = h.Writer
	}
	slices.SortStableFunc(h.Incidents.Roots, func(a, b *incident.Root) int { return a.Made.Compare(b.Made) })
	slices.SortStableFunc(h.Tail, func(a, b incident.Record) int { return a.At.Compare(b.At) })
	slices.SortStableFunc(h.History, compareSegments)
	slices.Sort(h.Unposted)
	blob, err := p.gather(ctx, l)
	if err != nil {
		return fmt.Errorf("take over from %d shards: %w", l.Of, err)
	}
	h.Snapshot = blob
	if err := Commit(ctx, p.Store, h); err != nil { // the tails of many may be long
		return fmt.Errorf("take over from %d shards: %w", l.Of, err)
	}
	return nil
}

// free is an error while a run of the ith former shard may still post: nobody else knows what.
func free(l Level, i int) error {
	if l.Heads[i] == nil {
		return nil
	}
	now := l.Stores[i].Now()
	for _, r := range l.Heads[i].Incidents.Roots {
		if c := r.Delivery.Claim; c != nil && now.Before(c.Until) && c.Until.Sub(now) <= maxClaim {
			err := fmt.Errorf("shard %d/%d is still at work with the state, until %s",
				i+1, l.Of, c.Until.Format(time.TimeOnly))
			return advice.Add(err, "it goes on by itself once the former timers are closed")
		}
	}
	return nil
}

// inherit adds to a head what belongs to this shard of the head of a former one. A root goes over whole,
// since people may have its message; of the load balancers in it that belong to other shards, later news
// becomes new incidents there.
func (s Shard) inherit(h, old *Head, from Shard) {
	h.ObservedAt = later(h.ObservedAt, old.ObservedAt)
	for scope, at := range old.Listed { // each shard makes every search
		if h.Listed == nil {
			h.Listed = make(map[string]time.Time)
		}
		if last, ok := h.Listed[scope]; !ok || at.Before(last) {
			h.Listed[scope] = at
		}
	}
	for _, key := range old.Unposted {
		if s.Owns(key) {
			h.Unposted = append(h.Unposted, key)
		}
	}
	for _, r := range old.Tail {
		if s.keeps(r) {
			h.Tail = append(h.Tail, r)
		}
	}
	for _, seg := range old.History {
		if s.takesSegment(&seg, from) {
			h.History = append(h.History, seg)
		}
	}
	s.inheritIncidents(&h.Incidents, old.Incidents.Clone())
}

// takesSegment reports whether a segment goes to this shard: the one whose store has it or, if no shard of
// the new number has, the first. It notes where it is. from is the shard whose head lists it.
func (s Shard) takesSegment(seg *Segment, from Shard) bool {
	at := from
	if seg.In != "" {
		var err error
		if at, err = parseShard(seg.In); err != nil {
			return false // validate has seen to it
		}
	}
	mine := Shard{max(s.N, 1), max(s.Of, 1)}
	if at.Of == mine.Of {
		seg.In = ""
		return at.N == mine.N
	}
	seg.In = at.String()
	return s.First()
}

// inheritIncidents adds what is this shard's of the incidents of a former one, which it takes over.
func (s Shard) inheritIncidents(to, from *incident.State) {
	to.Last = max(to.Last, from.Last) // no number is used twice
	to.At = later(to.At, from.At)
	to.Learn(from.Silences)
	for _, r := range from.Roots {
		if r = s.share(r, from.At); r == nil {
			continue
		}
		for _, i := range r.Incidents {
			i.Why = addReason(to, from.Reason(i.Why))
		}
		if len(to.Roots) == 0 {
			to.Routing = from.Routing
		} else if to.Routing != from.Routing {
			to.Routing = "" // some of them may have to move
		}
		to.Roots = append(to.Roots, r)
	}
	for key, u := range from.Unread {
		if !s.reports(u.Key, u.About) {
			continue
		}
		if to.Unread == nil {
			to.Unread = make(map[string]incident.Unread)
		}
		u.Why = addReason(to, from.Reason(u.Why))
		to.Unread[key] = u
	}
	for route, c := range from.Channels {
		if to.Channels == nil {
			to.Channels = make(map[incident.Route]*incident.Channel)
		}
		if was := to.Channels[route]; was == nil || was.LastYes.Before(c.LastYes) {
			to.Channels[route] = c
		}
	}
}

// share is what a root has that is this shard's; nil if that is nothing. One shard has the root itself. What
// goes on about load balancers of others is in roots of theirs, which are posted anew, and due since at: each
// message has one editor.
func (s Shard) share(r *incident.Root, at time.Time) *incident.Root {
	whole := s.has(r)
	var mine []*incident.Incident
	for _, i := range r.Incidents {
		if i.Open() && s.reports(i.Key, i.About) || whole && !i.Open() {
			mine = append(mine, i)
		}
	}
	switch {
	case len(mine) == 0:
		return nil
	case len(mine) == len(r.Incidents) && whole:
		return r
	}
	if !whole {
		return r.Apart(mine, at)
	}
	own := *r
	own.Incidents = mine
	own.Rev++
	return &own
}

// addReason finds or adds a reason, and returns its number; 0 for none.
func addReason(s *incident.State, why incident.Reason) int {
	if why == (incident.Reason{}) {
		return 0
	}
	if at := slices.Index(s.Reasons, why); at >= 0 {
		return at + 1
	}
	if len(s.Reasons) == maxReasons {
		s.Reasons[maxReasons-1] = incident.Reason{Why: "other reasons"}
		return maxReasons
	}
	s.Reasons = append(s.Reasons, why)
	return len(s.Reasons)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// gather writes the snapshot of this shard from those of the former ones; nil if they had none.
func (p Part) gather(ctx context.Context, l Level) (*Blob, error) {
	clbs := make(map[string]Entry)
	var from []*Snapshot
	defer func() {
		for _, s := range from {
			s.Close()
		}
	}()
	for i, h := range l.Heads {
		s, err := OpenSnapshot(ctx, l.Stores[i], h)
		if err != nil {
			return nil, err
		}
		from = append(from, s)
		for key, e := range s.Index.CLBs {
			if p.Shard.Owns(key) && ownerOf(key, l.Of).N == i+1 {
				clbs[key] = e
			}
		}
	}
	if len(clbs) == 0 {
		return nil, nil
	}
	to, err := CreateSnapshot(ctx, p.Store, clbs)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	for _, key := range slices.Sorted(maps.Keys(clbs)) {
		line, err := from[ownerOf(key, l.Of).N-1].Seek(key)
		if err != nil {
			return nil, err
		}
		if line == nil {
			continue // it was never read
		}
		if err := to.Write(line); err != nil {
			return nil, err
		}
	}
	for _, s := range from {
		if err := s.Drain(); err != nil {
			return nil, err
		}
	}
	return to.Commit()
}
