package state

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"regexp"
	"slices"
	"time"

	"clbwatch/internal/incident"
)

// The history is the tail of the newest head, and before that segments: JSON Lines, written once, each of one
// UTC day. The first line of a segment says what it is, each other one is an incident.Record:
//
//	{"schema":1,"day":"2026-11-23"}
//	{"at":"2026-11-23T04:53:00Z","incident":"12","clb":{…},"change":{…}}
//
// A segment counts because the newest head lists it, and not because it is there: what a run wrote that lost
// the race for its head, or was killed before that, is nobody's and is collected. So no line is lost, and
// none is read twice.

const (
	historySchema = 1

	// maxTail is how long the tail may get before it becomes a segment, in bytes.
	maxTail = 64 << 10
	// grow is how long a segment's text may get, in bytes, by taking in the tails that follow: a day without
	// storms is one or two segments. Where a head lists more than manySegments, they may be longer, so that
	// it stays small.
	grow         = 1 << 20
	manySegments = 250
	mostGrown    = 16 << 20
	// maxSegment bounds what is read of a segment, in bytes of text.
	maxSegment = 2 * mostGrown

	// keepHistory is how many days the history goes back, and maxSegments how many segments: as many as 64
	// shards have when they become one. They take some 130 bytes of a head each.
	keepHistory = 90
	maxSegments = 6000

	dayForm = "2006-01-02"
)

// Segment names one segment of the history. Its stored form is the store's own.
type Segment struct {
	Day   string    `json:"d"`            // in UTC, such as "2026-11-23"
	N     int       `json:"n"`            // from 1, each day
	Name  string    `json:"k"`            // tells it from those of the same number that do not count
	Bytes int64     `json:"b"`            // stored size
	Text  int64     `json:"s"`            // size of its text
	Lines int       `json:"l"`            // records
	To    time.Time `json:"t"`            // when the newest record in it was
	In    string    `json:"in,omitempty"` // the shard whose store has it, such as "2/4"; "" if its own
}

// segmentName is what a Segment's Name may be: it is part of a file's name.
var segmentName = regexp.MustCompile(`^[0-9a-zA-Z-]{1,100}$`)

func (s Segment) valid() bool {
	_, err := time.Parse(dayForm, s.Day)
	if _, where := parseShard(s.In); s.In != "" && where != nil {
		return false
	}
	return err == nil && s.N > 0 && segmentName.MatchString(s.Name) && s.Bytes > 0 && s.Text > 0
}

// Commit makes h the newest head. Where the tail is long, or has lines of a day that is over, it first writes
// them as segments of history. On ErrConflict nothing has happened: h is to be built again from the newest
// head.
func Commit(ctx context.Context, s Store, h *Head) error {
	// If we stop after this, the segment is an orphan that Collect deletes, and the tail is still in the head
	// before.
	if err := h.archive(ctx, s); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return s.Commit(ctx, h)
}

// archive moves lines of the tail into segments, and forgets segments that are too old.
func (h *Head) archive(ctx context.Context, s Store) error {
	today := h.CommittedAt.UTC().Format(dayForm)
	oldest := h.CommittedAt.UTC().AddDate(0, 0, -keepHistory).Format(dayForm)
	h.History = slices.DeleteFunc(h.History, func(s Segment) bool { return s.Day < oldest })
	h.History = h.History[max(0, len(h.History)-maxSegments):]
	days := make(map[string][]incident.Record)
	var order []string
	for _, r := range h.Tail {
		day := min(r.At.UTC().Format(dayForm), today) // a clock may be ahead
		if days[day] == nil {
			order = append(order, day)
		}
		days[day] = append(days[day], r)
	}
	slices.Sort(order)
	var tail []incident.Record
	for _, day := range order {
		lines := days[day]
		if day == today && size(lines) <= maxTail {
			tail = append(tail, lines...)
			continue
		}
		for len(lines) > 0 {
			n := fits(lines, mostGrown)
			if err := h.addSegment(ctx, s, day, lines[:n]); err != nil {
				return err
			}
			lines = lines[n:]
		}
	}
	h.Tail = tail
	return nil
}

// size is how many bytes lines take.
func size(lines []incident.Record) int {
	var n counter
	for _, r := range lines {
		_ = encodeLine(&n, r) // a time beyond the year 9999: Encode says so
	}
	return int(n)
}

// fits is how many lines take at most so many bytes, and at least one.
func fits(lines []incident.Record, most int) int {
	var n counter
	for i, r := range lines {
		_ = encodeLine(&n, r) // as above
		if int(n) > most && i > 0 {
			return i
		}
	}
	return len(lines)
}

// addSegment writes lines as the newest segment of a day: behind those of the one before, as long as that one
// is short.
func (h *Head) addSegment(ctx context.Context, s Store, day string, lines []incident.Record) error {
	last := len(h.History) - 1
	for last >= 0 && h.History[last].Day > day {
		last--
	}
	n, before := 1, Segment{}
	if last >= 0 && h.History[last].Day == day {
		n = h.History[last].N + 1
		most := int64(min(grow<<(len(h.History)/manySegments), mostGrown))
		if h.History[last].Text < most && h.History[last].In == "" {
			n, before = n-1, h.History[last]
		}
	}
	seg, err := write(ctx, s, day, n, before, lines)
	if before.Day != "" && errors.Is(err, errBefore) { // it cannot be read: nobody else suffers from that
		n, before = n+1, Segment{}
		seg, err = write(ctx, s, day, n, before, lines)
	}
	if err != nil {
		return err
	}
	if before.Day != "" {
		h.History[last] = seg
	} else {
		h.History = slices.Insert(h.History, last+1, seg)
	}
	return nil
}

// errBefore: the segment that another is to take in cannot be read.
var errBefore = errors.New("the segment before")

// write stores the lines of a segment before, if that is not zero, and others behind them.
func write(ctx context.Context, s Store, day string, n int, before Segment, lines []incident.Record) (
	Segment, error) {
	to, count := before.To, before.Lines
	seg, err := s.CreateSegment(ctx, day, n, func(w io.Writer) error {
		if before.Day == "" {
			if err := encodeLine(w, segmentHead{historySchema, day}); err != nil {
				return err
			}
		} else if err := copySegment(ctx, s, before, w); err != nil {
			return fmt.Errorf("%w: %w", errBefore, err)
		}
		for _, r := range lines {
			if err := encodeLine(w, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Segment{}, err
	}
	for _, r := range lines {
		if r.At.After(to) {
			to = r.At
		}
	}
	seg.To, seg.Lines = to, count+len(lines)
	return seg, nil
}

// segmentHead is the first line of a segment.
type segmentHead struct {
	Schema int    `json:"schema"`
	Day    string `json:"day"`
}

func copySegment(ctx context.Context, s Store, seg Segment, w io.Writer) error {
	r, err := s.OpenSegment(ctx, seg)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read
	n, err := io.Copy(w, io.LimitReader(r, maxSegment+1))
	if err == nil && n != seg.Text {
		err = fmt.Errorf("%w: it has %d bytes and not %d", ErrDamaged, n, seg.Text)
	}
	return err
}

// records reads a segment line by line.
func records(ctx context.Context, s Store, seg Segment, since time.Time) iter.Seq2[incident.Record, error] {
	return func(yield func(incident.Record, error) bool) {
		failed := func(err error) {
			yield(incident.Record{}, fmt.Errorf("history of %s, segment %d: %w", seg.Day, seg.N, err))
		}
		r, err := s.OpenSegment(ctx, seg)
		if err != nil {
			failed(err)
			return
		}
		defer func() { _ = r.Close() }() // only read
		d := json.NewDecoder(bufio.NewReader(io.LimitReader(r, maxSegment)))
		d.DisallowUnknownFields()
		var head segmentHead
		if err := d.Decode(&head); err != nil {
			failed(fmt.Errorf("%w: %w", ErrDamaged, err))
			return
		}
		if head.Schema != historySchema || head.Day != seg.Day {
			failed(fmt.Errorf("it has schema %d and is of %.20q, this version knows only schema %d",
				head.Schema, head.Day, historySchema))
			return
		}
		lines := 0
		for {
			var rec incident.Record
			switch err := d.Decode(&rec); {
			case errors.Is(err, io.EOF) && lines != seg.Lines:
				failed(fmt.Errorf("%w: it has %d lines and not %d", ErrDamaged, lines, seg.Lines))
				return
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				failed(fmt.Errorf("%w: line %d: %w", ErrDamaged, lines+2, err))
				return
			}
			if !rec.Valid() {
				failed(fmt.Errorf("%w: line %d says nothing", ErrDamaged, lines+2))
				return
			}
			if lines++; !rec.At.Before(since) && !yield(rec, nil) {
				return
			}
		}
	}
}

// compareSegments orders segments by day, then by where they are, then by number.
func compareSegments(a, b Segment) int {
	return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.In, b.In), cmp.Compare(a.N, b.N))
}

// place is a segment and the store that has it.
type place struct {
	Segment
	store Store
}

// places are the segments that the head of the ith shard lists and that have lines since a time.
func (l Level) places(i int, since time.Time) (all []place, err error) {
	for _, seg := range l.Heads[i].History {
		if seg.To.Before(since) {
			continue
		}
		store, damage := l.storeOf(seg, i)
		if damage != nil {
			err = errors.Join(err, fmt.Errorf("history of %s: %w", seg.Day, damage))
			continue
		}
		all = append(all, place{seg, store})
	}
	return all, err
}

// Read streams the history since a time: the segments that the heads list, then their tails. Of one shard it
// is in order, oldest first; of several, one day after the other. What cannot be read is an error in its
// place, and the next segment follows. It holds no more in memory than a segment's stored bytes.
func (l Level) Read(ctx context.Context, since time.Time) iter.Seq2[incident.Record, error] {
	return func(yield func(incident.Record, error) bool) {
		var all []place
		for i, h := range l.Heads {
			if h == nil {
				continue
			}
			segments, err := l.places(i, since)
			if err != nil && !yield(incident.Record{}, err) {
				return
			}
			all = append(all, segments...)
		}
		slices.SortStableFunc(all, func(a, b place) int { return cmp.Compare(a.Day, b.Day) })
		if !read(ctx, all, since, yield) {
			return
		}
		for _, h := range l.Heads {
			if h != nil && !h.readTail(since, yield) {
				return
			}
		}
	}
}

// read streams segments, and reports whether to go on.
func read(ctx context.Context, all []place, since time.Time, yield func(incident.Record, error) bool) bool {
	for _, seg := range all {
		for r, err := range records(ctx, seg.store, seg.Segment, since) {
			if !yield(r, err) || err != nil && ctx.Err() != nil {
				return false
			}
		}
	}
	return true
}

func (h *Head) readTail(since time.Time, yield func(incident.Record, error) bool) bool {
	for _, r := range h.Tail {
		if !r.At.Before(since) && !yield(r, nil) {
			return false
		}
	}
	return true
}

// InOrder streams the same, oldest first whatever the shard. It holds a segment's stored bytes for each shard
// that there is, and that there was in the time.
func (l Level) InOrder(ctx context.Context, since time.Time) iter.Seq2[incident.Record, error] {
	return func(yield func(incident.Record, error) bool) {
		var merged merge
		defer func() { merged.stop() }()
		for i, h := range l.Heads {
			if h == nil {
				continue
			}
			segments, err := l.places(i, since)
			if err != nil && !yield(incident.Record{}, err) {
				return
			}
			of := make(map[string][]place) // by the shard that wrote them
			for _, seg := range segments {
				of[seg.In] = append(of[seg.In], seg)
			}
			for _, in := range slices.Sorted(maps.Keys(of)) {
				merged.add(func(yield func(incident.Record, error) bool) { read(ctx, of[in], since, yield) })
			}
			merged.add(func(yield func(incident.Record, error) bool) { h.readTail(since, yield) })
		}
		merged.each(yield)
	}
}

// merge makes one stream of several that are each in order.
type merge []*stream

// stream is one of them, with the line that comes next.
type stream struct {
	next func() (incident.Record, error, bool)
	stop func()
	line incident.Record
	err  error
}

// add adds a stream. Of lines of the same time, those of streams that were added before come first.
func (m *merge) add(lines iter.Seq2[incident.Record, error]) {
	s := new(stream)
	s.next, s.stop = iter.Pull2(lines)
	if s.advance() {
		*m = append(*m, s)
	}
}

// advance goes to the next line, and reports whether there is one.
func (s *stream) advance() (ok bool) {
	if s.line, s.err, ok = s.next(); !ok {
		s.stop()
	}
	return ok
}

func (m *merge) each(yield func(incident.Record, error) bool) {
	for len(*m) > 0 {
		first := 0
		for n, s := range *m {
			if s.err != nil { // it has no time
				first = n
				break
			}
			if s.line.At.Before((*m)[first].line.At) {
				first = n
			}
		}
		s := (*m)[first]
		if !yield(s.line, s.err) {
			return
		}
		if !s.advance() {
			*m = slices.Delete(*m, first, first+1)
		}
	}
}

func (m *merge) stop() {
	for _, s := range *m {
		s.stop()
	}
}

// storeOf is the store that has a segment which the ith shard's head lists.
func (l Level) storeOf(seg Segment, i int) (Store, error) {
	if seg.In == "" {
		return l.Stores[i], nil
	}
	s, err := parseShard(seg.In)
	if err != nil {
		return nil, err
	}
	if l.states == nil {
		return nil, fmt.Errorf("it is with the state of shard %s", s)
	}
	return l.states(s)
}
