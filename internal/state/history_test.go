package state_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/state/statetest"
)

// record is one line of history; number tells it from others.
func record(number int, at time.Time) incident.Record {
	return incident.Record{At: at, Incident: fmt.Sprint(number),
		CLB:    lb.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q", Title: "prod-web"},
		Change: &incident.Past{Kind: lb.LeftRunning, ID: "ins-9o9ex9s0", Name: "web-07", Is: 4, Was: 2}}
}

// world is a state in memory, with a clock and a run that commits.
type world struct {
	*statetest.Memory
	now  time.Time
	made int // records
}

func newWorld() *world {
	w := &world{now: start}
	w.Memory = statetest.New(func() time.Time { return w.now })
	return w
}

// tick commits a head with so many more records.
func (w *world) tick(t *testing.T, n int) {
	t.Helper()
	for {
		err := w.try(t, n)
		if err == nil {
			break
		}
		if !errors.Is(err, state.ErrConflict) {
			t.Fatal(err)
		}
	}
	w.made += n
}

func (w *world) try(t *testing.T, n int) error {
	t.Helper()
	old, err := w.Load(t.Context())
	if err != nil {
		return err
	}
	return state.Commit(t.Context(), w.Memory, w.next(old, n))
}

func (w *world) next(old *state.Head, n int) *state.Head {
	h := old.Next(fmt.Sprint("W", w.made, w.now), ours, w.now)
	for i := range n {
		h.Tail = append(h.Tail, record(w.made+i, w.now))
	}
	return h
}

// read returns the numbers of the records since a time, and the errors.
func (w *world) read(t *testing.T, since time.Time) (numbers []int, errs []error) {
	t.Helper()
	level, err := state.Current(t.Context(), w.Memory, nil)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range level.Read(t.Context(), since) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var n int
		if _, err := fmt.Sscan(r.Incident, &n); err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	return numbers, errs
}

// all holds that the history has every record once, in order, from the first on.
func (w *world) all(t *testing.T, from int) {
	t.Helper()
	numbers, errs := w.read(t, time.Time{})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for i, n := range numbers {
		if n != from+i {
			t.Fatalf("record %d comes where %d should", n, from+i)
		}
	}
	if len(numbers) != w.made-from {
		t.Fatalf("%d records are read, want %d", len(numbers), w.made-from)
	}
}

func TestHistoryHasEveryRecordOnceAndInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for range 5 {
		for range 30 {
			w.tick(t, 40)
			w.now = w.now.Add(time.Hour)
		}
		w.all(t, 0)
	}
	h := w.Newest()
	if len(h.Tail) > 400 || len(h.History) < 7 {
		t.Errorf("%d records are in the tail, and %d segments: the days are not written", len(h.Tail),
			len(h.History))
	}
	for _, s := range h.History {
		if s.Day == w.now.Format(time.DateOnly) && s.Text < 64<<10 {
			t.Errorf("a segment of today has only %d bytes", s.Text)
		}
	}
}

func TestTailIsWrittenWhenItIsLongOrTheDayEnds(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.tick(t, 10)
	if h := w.Newest(); len(h.Tail) != 10 || len(h.History) != 0 {
		t.Fatalf("after 10 records there are %d in the tail and %d segments", len(h.Tail), len(h.History))
	}
	w.tick(t, 400)
	if h := w.Newest(); len(h.Tail) != 0 || len(h.History) != 1 || h.History[0].Lines != 410 ||
		!h.History[0].To.Equal(w.now) {
		t.Fatalf("after 410 there are %d in the tail and the segments %+v", len(h.Tail), h.History)
	}
	w.tick(t, 5)
	w.now = time.Date(2026, 11, 24, 0, 0, 30, 0, time.UTC)
	w.tick(t, 3)
	h := w.Newest()
	if len(h.Tail) != 3 || len(h.History) != 1 || h.History[0].Day != "2026-11-23" || h.History[0].Lines != 415 {
		t.Errorf("the next day there are %d in the tail and the segments %+v, want 3, and 415 lines of 2026-11-23",
			len(h.Tail), h.History)
	}
	w.all(t, 0)
}

// TestARunThatLosesItsRaceLeavesNoHistory has two runs write the same segment, and one of them lose.
func TestARunThatLosesItsRaceLeavesNoHistory(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.tick(t, 500)
	old, err := w.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	loser := w.next(old, 500) // both find the same changes
	loser.Writer = "LOSER"
	w.tick(t, 500)
	if err := state.Commit(t.Context(), w.Memory, loser); !errors.Is(err, state.ErrConflict) {
		t.Fatalf("the slower run: %v, want ErrConflict", err)
	}
	w.tick(t, 500)
	w.all(t, 0)
	if all, _ := w.Segments(t.Context()); len(all) != 4 || w.Newest().History[0].Name == all[2].Name {
		t.Errorf("segments %+v, of which counts %+v: nobody lost", all, w.Newest().History)
	}
}

// TestHistorySurvivesEveryFailure fails each call of a commit that writes history, once without effect and
// once with.
func TestHistorySurvivesEveryFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	for _, apply := range []bool{false, true} {
		for at := 1; ; at++ {
			w := newWorld()
			w.tick(t, 500)
			w.tick(t, 20)
			calls, failed, failedAt := 0, false, ""
			w.Fail(func(op, _ string) (bool, error) {
				if calls++; calls != at {
					return true, nil
				}
				failed, failedAt = true, op
				return apply, broken
			})
			err := w.try(t, 500) // the run may die of it
			w.Fail(nil)
			if err == nil || apply && failedAt == "commit" {
				// done, though the answer was lost: the next tick finds it there
				w.made += 500
			}
			for range 3 {
				w.tick(t, 300)
				w.now = w.now.Add(13 * time.Hour)
			}
			w.all(t, 0)
			if !failed {
				if at < 4 {
					t.Errorf("only %d calls were tried", at)
				}
				break
			}
		}
	}
}

func TestSegmentThatCannotBeReadHoldsNothingUp(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.tick(t, 500)
	lost := w.Newest().History[0]
	w.ForgetSegment(lost)
	w.tick(t, 500) // would take it in
	w.now = w.now.Add(24 * time.Hour)
	w.tick(t, 500)
	numbers, errs := w.read(t, time.Time{})
	if len(errs) != 1 || !errors.Is(errs[0], state.ErrAbsent) ||
		!strings.Contains(errs[0].Error(), "history of 2026-11-23, segment 1") {
		t.Errorf("errors %v, want one about the segment that is gone", errs)
	}
	if len(numbers) != 1000 || numbers[0] != 500 {
		t.Errorf("%d records are read, want the 1000 of the other segments", len(numbers))
	}
	if h := w.Newest().History; h[0].N != 1 || h[1].N != 2 {
		t.Errorf("segments %+v, want each its own number", h)
	}
}

// short gives segments that end early, at the end of a line, which no store should.
type short struct {
	*statetest.Memory
	lines int
}

func (s short) OpenSegment(ctx context.Context, seg state.Segment) (io.ReadCloser, error) {
	r, err := s.Memory.OpenSegment(ctx, seg)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	all := strings.SplitAfter(string(text), "\n")
	return io.NopCloser(strings.NewReader(strings.Join(all[:min(s.lines, len(all))], ""))), err
}

func TestSegmentThatEndsEarlyIsDamaged(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.tick(t, 500)
	s := short{w.Memory, 100}
	level, err := state.Current(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	read, failed := 0, error(nil)
	for r, err := range level.Read(t.Context(), time.Time{}) {
		failed = errors.Join(failed, err)
		if r.Change != nil {
			read++
		}
	}
	if read != 99 || !errors.Is(failed, state.ErrDamaged) {
		t.Errorf("%d records are read, %v, want 99 and ErrDamaged", read, failed)
	}
	// What a next one took in of it would be lost.
	h := w.next(w.Newest(), 500)
	if err := state.Commit(t.Context(), s, h); err != nil || len(h.History) != 2 {
		t.Errorf("Commit = %v, segments %+v, want two", err, h.History)
	}
	w.made += 1000 - 500
	w.all(t, 0)
	for _, text := range []string{"", "{}\n", `{"schema":2,"day":"2026-11-23"}` + "\n",
		`{"schema":1,"day":"2026-11-22"}` + "\n",
		`{"schema":1,"day":"2026-11-23"}` + "\n" + `{"at":"2026-11-23T04:53:00Z"}` + "\n",
		`{"schema":1,"day":"2026-11-23"}` + "\nhello\n"} {
		level.Stores[0] = fixed{w.Memory, text}
		n := 0
		for _, err := range level.Read(t.Context(), time.Time{}) {
			if n++; err == nil || n > 1 {
				t.Errorf("%q: record %d, %v, want one error", text, n, err)
			}
		}
	}
}

// fixed gives one text for every segment.
type fixed struct {
	*statetest.Memory
	text string
}

func (f fixed) OpenSegment(context.Context, state.Segment) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(f.text)), nil
}

func TestHistoryIsReadSinceATime(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for range 24 * 9 {
		w.tick(t, 20)
		w.now = w.now.Add(time.Hour)
	}
	before := w.Calls("open segment")
	numbers, errs := w.read(t, w.now.Add(-24*time.Hour))
	if len(errs) > 0 || len(numbers) != 24*20 || numbers[0] != w.made-24*20 {
		t.Errorf("of the last 24 h %d records are read, %v, want %d", len(numbers), errs, 24*20)
	}
	if cost := w.Calls("open segment") - before; cost > 3 {
		t.Errorf("the last 24 h cost %d segments, want a few", cost)
	}
}

// TestSevenDaysCostFewRequests has 1,000 incidents each day, of five lines.
func TestSevenDaysCostFewRequests(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for range 24 * 8 {
		w.tick(t, 5000/24)
		w.now = w.now.Add(time.Hour)
	}
	before := w.Calls("open segment")
	numbers, errs := w.read(t, w.now.AddDate(0, 0, -7))
	if len(errs) > 0 || len(numbers) != 7*24*(5000/24) {
		t.Errorf("of 7 days %d records are read, %v", len(numbers), errs)
	}
	if cost := w.Calls("open segment") - before + 3; cost > 40 { // 3 for the head
		t.Errorf("7 days cost %d requests, want at most 40", cost)
	}
}

func TestHistoryIsKeptFor90Days(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for range 100 {
		w.tick(t, 2)
		w.now = w.now.AddDate(0, 0, 1)
	}
	numbers, errs := w.read(t, time.Time{})
	if len(errs) > 0 || numbers[0] != 2*9 || len(w.Newest().History) != 90 {
		t.Errorf("the history goes back to record %d in %d segments, %v; want 90 days", numbers[0],
			len(w.Newest().History), errs)
	}
}

// TestAStormStaysBounded has 20,000 changes in one tick, of backends with long names: more than a segment
// takes.
func TestAStormStaysBounded(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for range 10 {
		w.tick(t, 500)
		w.now = w.now.Add(time.Minute)
	}
	h := w.next(w.Newest(), 20_000)
	for _, r := range h.Tail {
		r.Change.Name = strings.Repeat("<", 900)
	}
	w.made += 20_000
	if err := state.Commit(t.Context(), w.Memory, h); err != nil {
		t.Fatal(err)
	}
	w.all(t, 0)
	if b, err := w.Newest().Encode(); err != nil || len(b) > 8<<10 {
		t.Errorf("the head takes %d bytes, %v", len(b), err)
	}
	var text int64
	for i, s := range w.Newest().History {
		text += s.Text
		if s.Text > 18<<20 || s.N != i+1 {
			t.Errorf("segment %d is number %d and has %d bytes", i, s.N, s.Text)
		}
	}
	if text < 20<<20 {
		t.Errorf("%d bytes in all are not a storm", text)
	}
}

// TestRecordsOfAClockThatIsAheadStayInToday: a day that has not begun has no segments.
func TestRecordsOfAClockThatIsAheadStayInToday(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := (*state.Head)(nil).Next("W", ours, start)
	h.Tail = append(h.Tail, record(0, start.Add(48*time.Hour)), record(1, start))
	if err := state.Commit(t.Context(), w.Memory, h); err != nil {
		t.Fatal(err)
	}
	w.made = 2
	if got := w.Newest(); len(got.Tail) != 2 || len(got.History) != 0 {
		t.Errorf("there are %d records in the tail and the segments %+v", len(got.Tail), got.History)
	}
	w.all(t, 0)
}

func TestReadingTheHistoryEndsWhenTheReaderHasEnough(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.tick(t, 500)
	w.tick(t, 20)
	level, err := state.Current(t.Context(), w.Memory, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, enough := range []int{1, 500, 501} {
		n := 0
		for range level.Read(t.Context(), time.Time{}) {
			if n++; n == enough {
				break
			}
		}
		if n != enough {
			t.Errorf("read %d records, want %d", n, enough)
		}
	}
}
