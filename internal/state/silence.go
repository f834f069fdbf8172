package state

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
)

// Silences lie at the root of the state, not with a shard, in objects that are written once: "silence/7" is
// what was made, and "silence/7.end" says who ended it, and when. So making a silence never costs a tick its
// commit, and every shard reads the same ones. A number belongs to whoever's bytes are found there
// afterwards.

const (
	// shownFor is how long a silence is listed after its end.
	shownFor = 24 * time.Hour
	// maxNumbers is how many numbers Make tries that other writers took since the listing.
	maxNumbers = 100
	// maxRead is how many silences one call reads. Those that it leaves are read by the next one.
	maxRead = 400
	// readers is how many are read at the same time.
	readers = 8
	// maxNamed is how many objects an error names.
	maxNamed = 5
)

// Objects keeps small objects, each of which is written once.
type Objects interface {
	// WriteOnce stores content under a key, unless something is stored there, and returns what is there
	// afterwards, whoever wrote it. ErrDamaged means that something else is there, which is too large. Any
	// other error leaves open whether content is stored; with ErrAbsent it was not found when it was looked
	// for.
	WriteOnce(ctx context.Context, key string, content []byte) (there []byte, err error)
	// ReadObject returns what is stored under a key, ErrAbsent, or ErrDamaged if it is larger than MaxObject.
	ReadObject(ctx context.Context, key string) ([]byte, error)
	// ListObjects lists what is stored below a prefix, by the keys, as Stored.Name. It may lag behind: lack
	// what is new, and show what is deleted.
	ListObjects(ctx context.Context, prefix string) ([]Stored, error)
	// Now is the store's clock: see Store.
	Now() time.Time
}

// Silences keeps the silences that people make. Its methods may be used by several runs at once. All fields
// must be set, unless they say otherwise.
type Silences struct {
	Store Objects       // the root of the state, whatever the shard
	Nonce func() string // a new random text each time, by which a writer knows its own
	Past  *Past         // nil: nothing is remembered from one List to the next
}

// Past remembers which silences of one state ended so long ago that nobody asks for them, so that they are
// not read again and again until they are collected. The zero Past is empty.
type Past struct {
	mu   sync.Mutex
	over map[int64]bool
}

func (p *Past) has(n int64) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over[n]
}

// add remembers more, and forgets what is not there any more.
func (p *Past) add(over []int64, there map[int64]silenceObjects) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.over, func(n int64, _ bool) bool { _, ok := there[n]; return !ok })
	if p.over == nil {
		p.over = make(map[int64]bool)
	}
	for _, n := range over {
		p.over[n] = true
	}
}

// Make stores a silence under the next free number, and returns it with that as its ID. Its Made and Until
// must be set. An error says whether it may have been made all the same.
func (s *Silences) Make(ctx context.Context, made incident.Silence) (incident.Silence, error) {
	made.Made, made.Until = made.Made.Round(0).UTC(), made.Until.Round(0).UTC()
	there, _, err := s.listed(ctx) // foreign objects have no numbers
	if err != nil {
		return made, fmt.Errorf("make a silence: %w", err)
	}
	if err := s.full(ctx, there); err != nil {
		return made, err
	}
	last := int64(0)
	for n := range there {
		last = max(last, n)
	}
	nonce := s.Nonce()
	for n := last + 1; n <= last+maxNumbers; n++ {
		made.ID = strconv.FormatInt(n, 10)
		if _, ok := silenceNumber(made.ID); !ok {
			err := fmt.Errorf("make a silence: no number is left after %s", silenceKey(n-1))
			return made, advice.Add(err, "see whether something else wrote it, and remove it")
		}
		content, err := encodeSilence(made, nonce, s.Store.Now())
		if err != nil {
			return made, fmt.Errorf("make a silence: %w", err)
		}
		// If we stop here or in the middle, the silence is there or not, and counts if it is.
		found, err := s.Store.WriteOnce(ctx, silenceKey(n), content)
		switch {
		case errors.Is(err, ErrDamaged): // of somebody else
		case err != nil:
			return made, doubtful(made.ID, "made", err)
		case bytes.Equal(found, content):
			return made, nil
		}
		// Another writer was first: the listing lags behind, or both wrote at once.
	}
	return made, fmt.Errorf("make a silence: other writers took the numbers %d to %d first; try again",
		last+1, last+maxNumbers)
}

// ErrDoubt means that it is not known whether a silence was made, or ended.
var ErrDoubt = errors.New("it is not known")

// doubtful is the error of a write whose outcome cannot be known.
func doubtful(id, did string, err error) error {
	says := fmt.Errorf("%w whether silence %s was %s: %w", ErrDoubt, id, did, err)
	if errors.Is(err, ErrAbsent) {
		says = fmt.Errorf("silence %s was probably not %s: %w", id, did, err)
	}
	const look = "run `clbwatch silence` to see which silences there are before you try again"
	return advice.Add(says, cmp.Or(advice.Of(err), look))
}

// full is an error if no more silences may be made. Writers at work at the same time may pass the limit by
// one each.
func (s *Silences) full(ctx context.Context, there map[int64]silenceObjects) error {
	open := 0
	for n, o := range there {
		if o.made && !o.ended && !s.Past.has(n) {
			open++
		}
	}
	if open < incident.MaxSilences {
		return nil // without reading any
	}
	all, err := s.List(ctx, nil)
	active, now := 0, s.Store.Now()
	for _, one := range all {
		if one.Active(now) {
			active++
		}
	}
	if active >= incident.MaxSilences {
		err := fmt.Errorf("%d silences are active, and no more than %d may be", active, incident.MaxSilences)
		return advice.Add(err, "end one that is not needed; `clbwatch silence` lists them")
	}
	if ctx.Err() != nil {
		return fmt.Errorf("make a silence: %w", err)
	}
	return nil // what cannot be read is not active, and List says what it is
}

// End ends a silence, and returns it. If it was ended before, that end stands. It is an error if there is
// none.
func (s *Silences) End(ctx context.Context, id, by string, at time.Time) (incident.Silence, error) {
	n, ok := silenceNumber(id)
	if !ok {
		return incident.Silence{ID: id}, noSilence(id)
	}
	content, err := s.Store.ReadObject(ctx, silenceKey(n))
	if errors.Is(err, ErrAbsent) {
		return incident.Silence{ID: id}, noSilence(id)
	}
	one := incident.Silence{ID: id}
	if err == nil {
		one, err = decodeSilence(n, content, s.Store.Now())
	}
	if err != nil {
		return one, fmt.Errorf("end silence %s: %w", id, err)
	}
	end, err := encodeEnd(by, at.Round(0).UTC(), s.Store.Now())
	if err != nil {
		return one, fmt.Errorf("end silence %s: %w", id, err)
	}
	// If we stop here or in the middle, the end is there or not, and ending it again is no error.
	found, err := s.Store.WriteOnce(ctx, endKey(n), end)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return one, doubtful(id, "ended", err)
	}
	if err == nil {
		one.Ended, one.EndedBy, err = decodeEnd(found, s.Store.Now())
	}
	if err != nil {
		one.Ended = s.Store.Now() // whatever is there: it has ended
		return one, fmt.Errorf("silence %s has ended, but its end cannot be read: %w", id, err)
	}
	return one, nil
}

func noSilence(id string) error {
	return advice.Add(fmt.Errorf("there is no silence %.40q", id),
		"`clbwatch silence`, or list in Slack, shows those that there are")
}

// List returns the silences that are active, and those that ended less than a day ago, by number. Those that
// known has are not read again, but for an end that known does not have. If something cannot be listed or
// read, or is damaged or foreign, the error says so, and all else is returned along with it. Of known,
// whatever is not the number of a silence is left out.
func (s *Silences) List(ctx context.Context, known []incident.Silence) ([]incident.Silence, error) {
	all := make(map[int64]incident.Silence)
	for _, k := range known {
		if n, ok := silenceNumber(k.ID); ok && all[n].Ended.IsZero() {
			all[n] = k
		}
	}
	there, foreign, err := s.listed(ctx)
	now := s.Store.Now() // the listing has set the clock
	unread := make(map[int64]silenceObjects)
	for n, o := range there {
		k, is := all[n]
		switch {
		case is && (!o.ended || !k.Ended.IsZero()): // nothing is new
		case !is && (!o.made || s.Past.has(n) || o.ended && now.Sub(o.endedAt) >= shownFor): // long over
		default:
			unread[n] = o
		}
	}
	order := slices.SortedFunc(maps.Keys(unread), func(a, b int64) int { return cmp.Compare(b, a) })
	var left error
	if n := len(order) - maxRead; n > 0 {
		left = fmt.Errorf("%d silences are not read yet: the next time reads more", n)
		order = order[:maxRead]
	}
	results := make([]outcome, len(order))
	each(len(order), readers, func(i int) {
		known, is := all[order[i]]
		results[i] = s.read(ctx, order[i], unread[order[i]], known, is)
	})
	var failed []error
	var over []int64
	for i, n := range order {
		f := results[i]
		if f.err != nil {
			failed = append(failed, f.err)
		}
		if f.ok {
			all[n] = f.silence
		}
		if f.ok && f.err == nil && now.Sub(f.silence.End()) >= shownFor {
			over = append(over, n)
		}
	}
	if err == nil {
		s.Past.add(over, there)
	}
	var out []incident.Silence
	for _, n := range slices.Sorted(maps.Keys(all)) {
		if now.Sub(all[n].End()) < shownFor {
			out = append(out, all[n])
		}
	}
	return out, errors.Join(err, foreign, left, few(failed))
}

// outcome is what was read of one silence. Where ok is false there is nothing, or nothing new.
type outcome struct {
	silence incident.Silence
	ok      bool
	err     error
}

// read reads one silence, or the end of one that is known. Whatever is stored as its end, it has ended: a
// silence that holds back too little does less harm than one that holds back too much.
func (s *Silences) read(ctx context.Context, n int64, o silenceObjects, one incident.Silence,
	known bool) outcome {
	if !known {
		content, err := s.Store.ReadObject(ctx, silenceKey(n))
		if errors.Is(err, ErrAbsent) {
			return outcome{} // collected, and the listing lags behind
		}
		if err == nil {
			one, err = decodeSilence(n, content, s.Store.Now())
		}
		if err != nil {
			return outcome{err: unreadable(silenceKey(n), err)}
		}
		if !o.ended && !one.Active(s.Store.Now()) {
			return outcome{one, true, nil} // over by itself
		}
	}
	content, err := s.Store.ReadObject(ctx, endKey(n)) // a listing that shows a silence may lack its end
	switch {
	case errors.Is(err, ErrAbsent) && !o.ended:
		return outcome{one, true, nil}
	case errors.Is(err, ErrAbsent):
		return outcome{} // collected, or not to be seen yet: it is read the next time
	case err == nil:
		one.Ended, one.EndedBy, err = decodeEnd(content, s.Store.Now())
	case !errors.Is(err, ErrDamaged):
		return outcome{err: unreadable(endKey(n), err)}
	}
	if err != nil {
		one.Ended = cmp.Or(o.endedAt, s.Store.Now())
		return outcome{one, true, unreadable(endKey(n), err)}
	}
	return outcome{one, true, nil}
}
