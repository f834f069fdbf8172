package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/state"
)

func TestCollect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	s := inFiles(t, dir, func() time.Time { return now }, plain)
	orphan := write(t, s, "nobody points to it")
	var blobs []state.Blob
	for n := range int64(150) {
		blob := write(t, s, fmt.Sprintln("snapshot", n))
		blobs = append(blobs, blob)
		h := headOf(n+1, fmt.Sprint("w", n))
		h.Snapshot = &blob
		commitTo(t, s, h)
	}
	for _, step := range []struct {
		name         string
		age          time.Duration
		heads, snaps int
	}{
		{"nothing is old", 23 * time.Hour, 150, 151},
		{"all is old: the newest 100 stay", 25 * time.Hour, 100, 100},
	} {
		now = time.Now().Add(step.age)
		if err := s.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		heads, _ := s.b.list(t.Context(), headPrefix, 0)
		snaps, _ := s.b.list(t.Context(), snapPrefix, 0)
		if len(heads) != step.heads || len(snaps) != step.snaps {
			t.Errorf("%s: %d heads and %d snapshots are left, want %d and %d", step.name, len(heads), len(snaps),
				step.heads, step.snaps)
		}
	}
	if h, err := s.Load(t.Context()); err != nil || h.N != 150 {
		t.Errorf("Load after Collect = %+v, %v, want head 150", h, err)
	}
	if got := read(t, s, blobs[149]); got != "snapshot 149\n" {
		t.Errorf("the newest snapshot is %q", got)
	}
	if err := readAll(t.Context(), s, orphan); !errors.Is(err, errAbsent) {
		t.Errorf("the orphan: %v, want it deleted", err)
	}
}

// TestCollectSparesASnapshotThatComesBack has the pool return, while Collect is at work, to what it was days
// ago.
func TestCollectSparesASnapshotThatComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := inFiles(t, dir, time.Now, plain)
	old := []state.Blob{write(t, s, "pool A\n"), write(t, s, "pool B\n")}
	commitTo(t, s, headOf(1, "x"))
	for _, b := range old {
		when := time.Now().Add(-48 * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, filepath.FromSlash(textKey(b.SHA256, b.Tag))), when,
			when); err != nil {
			t.Fatal(err)
		}
	}
	during := inFiles(t, dir, time.Now, func(b bucket) bucket {
		return &afterList{b, func() {
			again := write(t, s, "pool A\n")
			h := headOf(2, "y")
			h.Snapshot = &again
			commitTo(t, s, h)
		}}
	})
	if err := during.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := readAll(t.Context(), s, *h.Snapshot); err != nil {
		t.Errorf("the newest head's snapshot was collected: %v", err)
	}
	for _, b := range old {
		if err := readAll(t.Context(), s, b); !errors.Is(err, errAbsent) {
			t.Errorf("an old snapshot that nobody uses: %v, want it deleted", err)
		}
	}
}

// TestCollectOfTwoRunsAtOnce has another run delete a head while this one looks which snapshots they use.
func TestCollectOfTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := inFiles(t, dir, time.Now, plain)
	var blobs []state.Blob
	for n := range int64(3) {
		blobs = append(blobs, write(t, s, strings.Repeat("x", int(n)+1)))
		h := headOf(n+1, "a")
		h.Snapshot = &blobs[n]
		commitTo(t, s, h)
	}
	later := func() time.Time { return time.Now().Add(25 * time.Hour) }
	during := inFiles(t, dir, later, func(b bucket) bucket {
		return &afterList{b, func() {
			if err := b.remove(context.Background(), headKey(1)); err != nil {
				t.Error(err)
			}
		}}
	})
	if err := during.Collect(t.Context()); err != nil {
		t.Errorf("Collect = %v, want nil: the other run did what was to be done", err)
	}
	for _, b := range blobs[1:] {
		if err := readAll(t.Context(), s, b); err != nil {
			t.Errorf("a snapshot in use: %v", err)
		}
	}
}

// TestCollectNeverDeletesWhatIsInUse makes everything old, and the bucket answer wrongly once in each way.
func TestCollectNeverDeletesWhatIsInUse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		op    string
		fault cos.Fault
	}{
		{"LIST", cos.EmptyList()}, {"LIST", cos.StaleList(2)}, {"GET", cos.Answers(404, "NoSuchKey")},
		{"GET", cos.Answers(403, "AccessDenied")}, {"LIST", cos.HTML()},
	} {
		for _, after := range []int{0, 1, 2, 3, 4} { // requests that go well before
			t.Run(tt.op+" "+tt.fault.String(), func(t *testing.T) {
				t.Parallel()
				bucket, open, _ := begun(t)
				s := open(t.TempDir())
				blob := write(t, s, "another\n")
				h := headOf(2, "b")
				h.Snapshot = &blob
				commitTo(t, s, h)
				bucket.Age(48 * time.Hour)
				bucket.Fail(tt.op, cos.Delay(0), after)
				bucket.Fail(tt.op, tt.fault, 1)
				_ = s.Collect(t.Context()) // may fail: that is the point
				bucket.ClearFaults()
				h, err := open(t.TempDir()).Load(t.Context())
				if err != nil || h.N != 2 {
					t.Fatalf("Load = %+v, %v, want head 2", h, err)
				}
				read(t, open(t.TempDir()), *h.Snapshot)
			})
		}
	}
}

func TestCollectCostsFewRequests(t *testing.T) {
	t.Parallel()
	bucket, open, _ := begun(t)
	s := open(t.TempDir())
	for n := range int64(200) {
		commitTo(t, s, headOf(n+2, "w"))
	}
	before := bucket.Requests()
	if err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := bucket.Requests()["GET"] - before["GET"]; got > 4 {
		t.Errorf("%d GETs with 200 heads, want a few", got)
	}
}
