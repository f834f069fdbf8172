package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/state"
)

// segment writes a segment of history with some text.
func segment(t *testing.T, s *Place, day string, n int, text string) state.Segment {
	t.Helper()
	seg, err := s.CreateSegment(t.Context(), day, n,
		func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
	if err != nil {
		t.Fatal(err)
	}
	return seg
}

func textOf(ctx context.Context, s *Place, seg state.Segment) (string, error) {
	r, err := s.OpenSegment(ctx, seg)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), errors.Join(err, r.Close())
}

// testHistory is what a state.Store has to do about segments and about what happens once.
func testHistory(t *testing.T, fresh func(t *testing.T) placeOpener) {
	t.Parallel()
	t.Run("a segment is read as it was written", func(t *testing.T) {
		t.Parallel()
		open := fresh(t)
		text := strings.Repeat("a line\n", 1000)
		a, b := segment(t, open(plain), "2026-11-23", 1, text), segment(t, open(plain), "2026-11-23", 1, text)
		if a.Name == b.Name || a.Text != 7000 || a.Bytes <= 0 || a.Bytes > 1000 {
			t.Errorf("two segments of the same number: %+v and %+v, want two names, 7000 bytes of text and few stored",
				a, b)
		}
		for _, seg := range []state.Segment{a, b} {
			if got, err := textOf(t.Context(), open(plain), seg); got != text || err != nil {
				t.Errorf("it reads as %d bytes, %v", len(got), err)
			}
		}
		all, err := open(plain).Segments(t.Context())
		if err != nil || len(all) != 2 || all[0].Day != "2026-11-23" || all[0].N != 1 ||
			all[0].Name != min(a.Name, b.Name) || all[0].Modified.IsZero() {
			t.Errorf("Segments = %+v, %v", all, err)
		}
		a.N = 2
		if _, err := open(plain).OpenSegment(t.Context(), a); !errors.Is(err, state.ErrAbsent) {
			t.Errorf("a segment that is not there: %v, want ErrAbsent", err)
		}
		failed := errors.New("no more lines")
		if _, err := open(plain).CreateSegment(t.Context(), "2026-11-23", 3,
			func(io.Writer) error { return failed }); !errors.Is(err, failed) {
			t.Errorf("CreateSegment = %v, want %v", err, failed)
		}
	})
	t.Run("what happens once is first once", func(t *testing.T) {
		t.Parallel()
		open := fresh(t)
		firsts := make(chan bool)
		const askers = 16
		for range askers {
			go func() {
				first, err := open(plain).Once(t.Context(), "trouble/2026-11-23T04")
				if err != nil {
					t.Error(err)
				}
				firsts <- first
			}()
		}
		n := 0
		for range askers {
			if <-firsts {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d of %d are first", n, askers)
		}
		if first, err := open(plain).Once(t.Context(), "trouble/2026-11-23T05"); !first || err != nil {
			t.Errorf("the next hour: %v, %v", first, err)
		}
		if first, err := open(plain).Once(t.Context(), "asked/"+strings.Repeat("a1", 32)); !first || err != nil {
			t.Errorf("what somebody asked for: %v, %v", first, err)
		}
		for _, name := range []string{"INIT", "head/1", "trouble/", "asked/", "silence/7", "trouble/../INIT", "trouble/a/b", "snap/x",
			""} {
			if first, err := open(plain).Once(t.Context(), name); first || err == nil {
				t.Errorf("Once(%q) = %v, %v, want an error", name, first, err)
			}
		}
	})
	broken := errors.New("broken pipe")
	for _, tt := range []struct {
		name  string
		fault fault
		ok    bool
	}{
		{"create did not happen, once", fault{op: "create", times: 1, err: broken}, true},
		{"create did not happen, ever", fault{op: "create", times: 99, err: broken}, false},
		{"create happened, the answer was lost", fault{op: "create", times: 1, apply: true, err: broken}, true},
		{"create happened, a repeat says that it exists", fault{op: "create", times: 1, apply: true,
			err: errExists}, true},
		{"a false 404 on reading back", fault{op: "get", times: 1, err: errAbsent}, true},
		{"reading back fails", fault{op: "get", times: 99, err: broken}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			open := fresh(t)
			f := tt.fault
			seg, err := open((&f).wrap).CreateSegment(t.Context(), "2026-11-23", 1,
				func(w io.Writer) error { _, err := io.WriteString(w, "text"); return err })
			if (err == nil) != tt.ok {
				t.Errorf("CreateSegment = %v, want it done: %v", err, tt.ok)
			}
			if err == nil {
				if got, err := textOf(t.Context(), open(plain), seg); got != "text" || err != nil {
					t.Errorf("it reads as %q, %v", got, err)
				}
			}
			f = tt.fault
			first, err := open((&f).wrap).Once(t.Context(), "trouble/x")
			if first != tt.ok || (err == nil) != tt.ok {
				t.Errorf("Once = %v, %v, want it first: %v", first, err, tt.ok)
			}
			if again, err := open(plain).Once(t.Context(), "trouble/x"); tt.ok && (again || err != nil) {
				t.Errorf("Once again = %v, %v", again, err)
			}
		})
	}
	t.Run("every failure of a commit", func(t *testing.T) { testCommitFailures(t, fresh) })
}

// lines is a head with so many more lines of history.
func lines(old *state.Head, at time.Time, from, n int) *state.Head {
	h := old.Next(fmt.Sprint("W", from, "-", n), state.CLI, at)
	for i := range n {
		h.Tail = append(h.Tail, incident.Record{At: at, Incident: fmt.Sprint(from + i),
			CLB:    lb.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q"},
			Change: &incident.Past{Kind: lb.LeftRunning, ID: "ins-9o9ex9s0", Name: strings.Repeat("web", 30)}})
	}
	return h
}

// testCommitFailures fails every call of a commit that writes history, before and after it took effect, and
// holds that what is read then is what the newest head says.
func testCommitFailures(t *testing.T, fresh func(t *testing.T) placeOpener) {
	t.Parallel()
	broken := errors.New("broken pipe")
	at := time.Date(2026, 11, 23, 4, 53, 0, 0, time.UTC)
	for _, apply := range []bool{false, true} {
		for n := 1; ; n++ {
			open := fresh(t)
			first := lines(nil, at, 0, 500)
			if err := state.Commit(t.Context(), open(plain), first); err != nil {
				t.Fatal(err)
			}
			all := &nth{at: n, apply: apply, err: broken}
			err := state.Commit(t.Context(), open(all.wrap), lines(first, at.Add(time.Minute), 500, 500))
			newest, lerr := open(plain).Load(t.Context())
			if lerr != nil || err == nil && newest.N != 2 {
				t.Fatalf("call %d, apply %v: Commit = %v, Load = %+v, %v", n, apply, err, newest, lerr)
			}
			if err := state.Commit(t.Context(), open(plain), lines(newest, at.Add(2*time.Minute), int(newest.N)*500,
				500)); err != nil {
				t.Fatal(err)
			}
			level, err := state.Current(t.Context(), open(plain), nil)
			if err != nil {
				t.Fatal(err)
			}
			next := 0
			for r, err := range level.Read(t.Context(), time.Time{}) {
				if err != nil || r.Incident != fmt.Sprint(next) {
					t.Fatalf("call %d, apply %v: record %d is %+v, %v", n, apply, next, r, err)
				}
				next++
			}
			if next != int(newest.N+1)*500 {
				t.Fatalf("call %d, apply %v: %d records are read, want %d", n, apply, next, int(newest.N+1)*500)
			}
			if all.calls < n {
				if n < 5 {
					t.Errorf("only %d calls were tried", n)
				}
				break
			}
		}
	}
}

// nth makes one call fail, whichever that is.
type nth struct {
	bucket
	at, calls int
	apply     bool
	err       error
}

func (f *nth) wrap(b bucket) bucket { f.bucket = b; return f }

func (f *nth) hit(effect func() error) error {
	if f.calls++; f.calls != f.at {
		return effect()
	}
	if f.apply {
		_ = effect()
	}
	return f.err
}

func (f *nth) get(ctx context.Context, key string, limit int64) (out []byte, err error) {
	err = f.hit(func() error { out, err = f.bucket.get(ctx, key, limit); return err })
	return out, err
}

func (f *nth) create(ctx context.Context, key string, content []byte) error {
	return f.hit(func() error { return f.bucket.create(ctx, key, content) })
}

func TestDamagedSegmentIsAnError(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a line\n", 100)
	for name, damage := range map[string]func(b []byte) []byte{
		"one bit turned":          func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut short":               func(b []byte) []byte { return b[:len(b)-3] },
		"empty":                   func([]byte) []byte { return nil },
		"with something behind":   func(b []byte) []byte { return append(b, "more"...) },
		"the segment of a friend": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := inFiles(t, dir, time.Now, plain)
			seg := segment(t, s, "2026-11-23", 1, text)
			path := filepath.Join(dir, filepath.FromSlash(segmentKey(seg)))
			if damage == nil {
				other := segment(t, s, "2026-11-23", 2, strings.Repeat("b line\n", 100))
				seg.Bytes = other.Bytes
				if err := os.Rename(filepath.Join(dir, filepath.FromSlash(segmentKey(other))), path); err != nil {
					t.Fatal(err)
				}
			} else {
				rewrite(t, path, damage)
			}
			if got, err := textOf(t.Context(), s, seg); !errors.Is(err, state.ErrDamaged) {
				t.Errorf("it reads as %d bytes, %v, want ErrDamaged", len(got), err)
			}
		})
	}
}

// TestCollectKeepsTheHistoryThatCounts lets days pass, with runs that lose and segments that take in others.
func TestCollectKeepsTheHistoryThatCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Date(2026, 11, 23, 4, 53, 0, 0, time.UTC)
	s := inFiles(t, dir, func() time.Time { return now }, plain)
	var head *state.Head
	commit := func(n int) {
		t.Helper()
		from := 0
		if head != nil {
			from = int(head.N) * 1000
		}
		h := lines(head, now, from, n)
		if err := state.Commit(t.Context(), s, h); err != nil {
			t.Fatal(err)
		}
		head = h
	}
	files := func() (names []string) {
		t.Helper()
		all, err := s.Segments(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			when := now
			if err := os.Chtimes(filepath.Join(dir, filepath.FromSlash(segmentKey(state.Segment{Day: o.Day,
				N: int(o.N), Name: o.Name}))), when, when); err != nil {
				t.Fatal(err)
			}
			names = append(names, o.Name)
		}
		return names
	}
	collect := func() (names []string) {
		t.Helper()
		if err := s.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := s.Segments(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			names = append(names, o.Name)
		}
		return names
	}
	commit(500)
	orphan := segment(t, s, "2026-11-23", 1, "of a run that lost").Name
	coming := segment(t, s, "2026-11-23", 2, "of a run whose head is not there yet").Name
	before := head.History[0].Name
	_ = files() // all are of now
	now = now.Add(23 * time.Hour)
	if got := collect(); !slices.Contains(got, orphan) || !slices.Contains(got, before) ||
		!slices.Contains(got, coming) {
		t.Fatalf("after 23 h there are %v", got)
	}
	now = now.Add(2 * time.Hour)
	commit(10)
	if got := collect(); slices.Contains(got, orphan) || !slices.Contains(got, before) || len(got) != 1 {
		t.Fatalf("after 25 h there are %v, want only %s", got, before)
	}
	now = now.Add(24 * time.Hour)
	commit(10) // the day is over: its segment takes in nothing, that of the day before is as it was
	older := head.History[len(head.History)-1]
	path := filepath.Join(dir, filepath.FromSlash(segmentKey(older)))
	old := now.Add(-30 * time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	head.Tail = append(head.Tail, incident.Record{At: now.Add(-24 * time.Hour), Incident: "late",
		Change: &incident.Past{ID: "x"}})
	commit(1)
	newer := head.History[len(head.History)-1]
	if newer.N != older.N || newer.Name == older.Name {
		t.Fatalf("%+v did not take in %+v", newer, older)
	}
	when := now
	if err := os.Chtimes(filepath.Join(dir, filepath.FromSlash(segmentKey(newer))), when, when); err != nil {
		t.Fatal(err)
	}
	if got := collect(); !slices.Contains(got, older.Name) {
		t.Errorf("%s is gone: going back one head would miss it", older.Name)
	}
	now = now.Add(25 * time.Hour)
	if got := collect(); slices.Contains(got, older.Name) || !slices.Contains(got, newer.Name) {
		t.Errorf("a day later there are %v, want %s and not %s", got, newer.Name, older.Name)
	}
	now = now.AddDate(0, 0, 92)
	commit(0) // writes what was still in the tail
	commit(0)
	if got := collect(); len(got) != 0 {
		t.Errorf("after 90 days there are %v", got)
	}
	if days, err := os.ReadDir(filepath.Join(dir, "history")); err != nil || len(days) != 0 {
		t.Errorf("empty folders are left: %v, %v", days, err)
	}
}

func TestCollectForgetsTroubleAfterADay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	s := inFiles(t, dir, func() time.Time { return now }, plain)
	commitTo(t, s, headOf(1, "a"))
	for _, step := range []struct {
		later time.Duration
		first bool
	}{{0, true}, {23 * time.Hour, false}, {2 * time.Hour, true}} {
		now = now.Add(step.later)
		if err := s.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if first, err := s.Once(t.Context(), "trouble/x"); first != step.first || err != nil {
			t.Errorf("%s later: first %v, %v, want %v", step.later, first, err, step.first)
		}
	}
}

// TestDamagedHeadThatOthersFollowIsOfNoConcern: Repair commits such, and old heads are not read.
func TestDamagedHeadThatOthersFollowIsOfNoConcern(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	s := inFiles(t, dir, func() time.Time { return now }, plain)
	for n := range int64(3) {
		commitTo(t, s, headOf(n+1, "a"))
	}
	flip := func(n int64) {
		rewrite(t, filepath.Join(dir, filepath.FromSlash(headKey(n))),
			func(b []byte) []byte { b[9] ^= 1; return b })
	}
	flip(1) // the oldest, which Collect asks what it uses
	flip(3)
	if h, err := s.Load(t.Context()); !errors.Is(err, state.ErrDamaged) {
		t.Fatalf("Load = %+v, %v, want ErrDamaged", h, err)
	}
	if h, from, err := state.Repair(t.Context(), s, "REPAIR"); err != nil || from != 2 || h.N != 4 {
		t.Fatalf("Repair = %+v from %d, %v", h, from, err)
	}
	for name, wrap := range map[string]func(bucket) bucket{
		"a true listing": plain, "a listing that ends before it": func(b bucket) bucket { return &staleList{b, 2} },
		"a listing that ends with it": func(b bucket) bucket { return &staleList{b, 3} },
	} {
		if h, err := inFiles(t, dir, time.Now, wrap).Load(t.Context()); err != nil || h.N != 4 {
			t.Errorf("%s: Load = %+v, %v, want head 4", name, h, err)
		}
	}
	now = now.Add(25 * time.Hour)
	if err := s.Collect(t.Context()); err != nil {
		t.Errorf("Collect = %v", err)
	}
}

// TestAWeekOfHistoryTakesFewRequests: seven days of up to 1,000 incidents cost at most 40 requests to COS.
func TestAWeekOfHistoryTakesFewRequests(t *testing.T) {
	t.Parallel()
	bucket, open := sandboxPlace(t)
	p := open("")
	var head *state.Head
	for day := range 8 {
		for hour := range 24 {
			at := p.Now()
			head = head.Next(fmt.Sprintf("nonce-%02d-%02d", day, hour), state.CLI, at)
			for n := range 6 { // 1,152 incidents of 5 lines each
				head.Tail = append(head.Tail, incidentLines(fmt.Sprint(day*1000+hour*10+n), at)...)
			}
			if err := state.Commit(t.Context(), p, head); err != nil {
				t.Fatal(err)
			}
			bucket.Advance(time.Hour)
		}
	}
	before := requests(bucket)
	all, err := state.Current(t.Context(), open(""), nil)
	if err != nil {
		t.Fatal(err)
	}
	closed := 0
	for r, err := range all.Read(t.Context(), p.Now().Add(-7*24*time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Closed != nil {
			closed++
		}
	}
	if n := requests(bucket) - before; closed < 1000 || n > 40 {
		t.Errorf("%d incidents of 7 days took %d requests, want at most 40", closed, n)
	}
}

func requests(b *cos.Bucket) (n int) {
	for _, count := range b.Requests() {
		n += count
	}
	return n
}

// incidentLines are what the history has of an incident in which two machines stop and recover.
func incidentLines(id string, at time.Time) (lines []incident.Record) {
	clb := lb.CLB{Region: "ap-guangzhou", ID: "lb-" + id, Title: "load-balancer-" + id}
	is := lb.Capacity{Running: 6, Total: 8, Weight: 80, Serving: 60}
	for n, kind := range []lb.Kind{lb.LeftRunning, lb.LeftRunning, lb.Recovered, lb.Recovered} {
		lines = append(lines, incident.Record{At: at, Incident: id, CLB: clb,
			Change: &incident.Past{Kind: kind, ID: fmt.Sprintf("ins-%s-%d", id, n%2), Name: "machine", Is: 4, Was: 2, Lost: 10},
			Stood:  &incident.Stood{Before: is, Now: is}})
	}
	return append(lines, incident.Record{At: at, Incident: id, CLB: clb, Closed: &incident.Summary{Began: at, Ended: at,
		End: incident.EndResolved, Level: incident.Impaired, Before: is, Worst: is, Now: is, Messages: 3}})
}

// BenchmarkReadHistory reads 100,000 incidents of 90 days, and reports the most that is in memory.
func BenchmarkReadHistory(b *testing.B) {
	now := time.Date(2026, 11, 23, 4, 53, 0, 0, time.UTC)
	p := OpenFiles(b.TempDir(), func() time.Time { return now })
	var head *state.Head
	id := 0
	for day := range 90 {
		head = head.Next(fmt.Sprintf("nonce-%06d", day), state.CLI, now)
		for range 1112 {
			id++
			head.Tail = append(head.Tail, incidentLines(fmt.Sprint(id), now)...)
		}
		now = now.Add(24 * time.Hour)
		if err := state.Commit(b.Context(), p, head); err != nil {
			b.Fatal(err)
		}
	}
	var most uint64
	for b.Loop() {
		all, err := state.Current(b.Context(), p, nil)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for r, err := range all.Read(b.Context(), now.Add(-100*24*time.Hour)) {
			if err != nil {
				b.Fatal(err)
			}
			if r.Closed != nil {
				if n++; n%20_000 == 0 {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					most = max(most, m.HeapInuse)
				}
			}
		}
		if n != id {
			b.Fatalf("%d of %d incidents", n, id)
		}
	}
	b.ReportMetric(float64(most)/(1<<20), "MB-in-use")
}
