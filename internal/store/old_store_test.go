package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/watch"
)

// opener opens one and the same state again, as another process would; wrap comes between it and its bucket.
type opener func(wrap func(bucket) bucket) *Store

// testContract is what every watch.Store has to pass. fresh makes a place for state and says how to open it.
func testContract(t *testing.T, fresh func(t *testing.T) opener) {
	t.Helper()
	t.Run("a check finds that all is well", func(t *testing.T) {
		t.Parallel()
		open := fresh(t)
		for range 2 {
			if err := open(plain).Check(t.Context()); err != nil {
				t.Errorf("Check = %v", err)
			}
		}
		if h, err := open(plain).Load(t.Context()); h != nil || err != nil {
			t.Errorf("Load after Check = %v, %v, want no head and no error", h, err)
		}
	})
	t.Run("nothing was ever committed", func(t *testing.T) {
		t.Parallel()
		if h, err := fresh(t)(plain).Load(t.Context()); h != nil || err != nil {
			t.Errorf("Load() = %v, %v, want no head and no error", h, err)
		}
	})
	t.Run("another process finds what was committed", func(t *testing.T) {
		t.Parallel()
		open := fresh(t)
		blob := writeSnapshot(t, open(plain), "one\ntwo\n")
		for n := range int64(3) {
			commit(t, open(plain), &watch.Head{Schema: 1, N: n + 1, Writer: fmt.Sprint("w", n+1), Snapshot: &blob})
		}
		h, err := open(plain).Load(t.Context())
		if err != nil || h.N != 3 || h.Writer != "w3" {
			t.Fatalf("Load() = %+v, %v, want head 3", h, err)
		}
		if got := readSnapshot(t, open(plain), *h.Snapshot); got != "one\ntwo\n" {
			t.Errorf("the snapshot is %q", got)
		}
	})
	t.Run("a number is taken once", func(t *testing.T) {
		t.Parallel()
		open := fresh(t)
		commit(t, open(plain), head(1, "a"))
		if err := open(plain).Commit(t.Context(), head(1, "b")); !errors.Is(err, watch.ErrConflict) {
			t.Errorf("Commit of a number that is taken = %v, want ErrConflict", err)
		}
		if err := open(plain).Commit(t.Context(), head(1, "a")); err != nil {
			t.Errorf("Commit of one's own head again = %v, want nil", err)
		}
	})
	t.Run("an uncommitted snapshot leaves nothing", func(t *testing.T) {
		t.Parallel()
		w, err := fresh(t)(plain).CreateSnapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, "x"); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Errorf("Close without Commit = %v", err)
		}
	})
	t.Run("writes that fail", func(t *testing.T) { testLostAnswers(t, fresh) })
	t.Run("stale answers", func(t *testing.T) { testStale(t, fresh) })
	t.Run("16 writers lose no commit", func(t *testing.T) { testWriters(t, fresh) })
}

func testLostAnswers(t *testing.T, fresh func(t *testing.T) opener) {
	t.Parallel()
	broken := errors.New("broken pipe")
	tests := []struct {
		name  string
		fault fault
		want  error // of Commit; nil if it must succeed
		there bool
	}{
		{"create did not happen, once", fault{op: "create", times: 1, err: broken}, nil, true},
		{"create did not happen, ever", fault{op: "create", times: 99, err: broken}, broken, false},
		{"create happened, the answer was lost", fault{op: "create", times: 1, apply: true, err: broken}, nil, true},
		{"create happened, a repeat says that it exists", fault{op: "create", times: 1, apply: true, err: errExists}, nil, true},
		{"a false 404 on reading back", fault{op: "get", times: 1, err: errAbsent}, nil, true},
		{"reading back fails", fault{op: "get", times: 99, err: broken}, broken, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			open := fresh(t)
			commit(t, open(plain), head(1, "a"))
			err := open(tt.fault.wrap).Commit(t.Context(), head(2, "b"))
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("Commit = %v, want %v", err, tt.want)
			}
			h, err := open(plain).Load(t.Context())
			if err != nil || (h.N == 2) != tt.there {
				t.Errorf("Load = %+v, %v; want head 2 there: %v", h, err, tt.there)
			}
		})
	}
}

func testStale(t *testing.T, fresh func(t *testing.T) opener) {
	t.Parallel()
	open := fresh(t)
	for n := range int64(5) {
		commit(t, open(plain), head(n+1, fmt.Sprint("w", n+1)))
	}
	t.Run("a listing that lags is probed forward", func(t *testing.T) {
		t.Parallel()
		h, err := open(func(b bucket) bucket { return &staleList{b, 3} }).Load(t.Context())
		if err != nil || h.N != 5 {
			t.Errorf("Load = %+v, %v, want head 5", h, err)
		}
	})
	t.Run("an empty listing is no fresh start", func(t *testing.T) {
		t.Parallel()
		h, err := open(func(b bucket) bucket { return &staleList{b, 0} }).Load(t.Context())
		if err == nil || !strings.Contains(err.Error(), "INIT") {
			t.Errorf("Load = %+v, %v, want an error: there was state", h, err)
		}
	})
	for _, op := range []string{"list", "get", "open"} {
		t.Run(op+" that fails is an error", func(t *testing.T) {
			t.Parallel()
			broken := errors.New("broken pipe")
			s := open((&fault{op: op, times: 99, err: broken}).wrap)
			h, err := s.Load(t.Context())
			if op == "open" {
				_, err = s.OpenSnapshot(t.Context(), watch.Blob{SHA256: strings.Repeat("0", 64), Bytes: 1})
			}
			if !errors.Is(err, broken) {
				t.Errorf("%+v, %v, want %v", h, err, broken)
			}
		})
	}
}

// testWriters lets 16 writers count together in the heads' outboxes, through a bucket that loses every tenth answer.
func testWriters(t *testing.T, fresh func(t *testing.T) opener) {
	t.Parallel()
	const writers, each = 16, 8
	open := fresh(t)
	commit(t, open(plain), head(1, "start"))
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			s := open(func(b bucket) bucket { return &lossy{bucket: b, rand: rand.New(rand.NewPCG(1, uint64(i)))} })
			for k := range each {
				for n := 0; ; n++ {
					old, err := s.Load(t.Context())
					if err != nil {
						continue
					}
					next := head(old.N+1, fmt.Sprintf("w%d-%d-%d", i, k, n))
					next.Outbox = append(old.Outbox, watch.Alert{ID: fmt.Sprintf("%d-%d", i, k)})
					// An unknown outcome counts as committed only if the own commit is found later.
					if err := s.Commit(t.Context(), next); err == nil {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	h, err := open(plain).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, a := range h.Outbox {
		ids[a.ID] = true
	}
	if len(ids) != writers*each {
		t.Errorf("%d of %d acknowledged commits survived", len(ids), writers*each)
	}
}

func TestOldFiles(t *testing.T) {
	t.Parallel()
	testContract(t, func(t *testing.T) opener {
		t.Helper()
		dir := t.TempDir()
		return func(wrap func(bucket) bucket) *Store { return files1(t, dir, time.Now, wrap) }
	})
}

func files1(t *testing.T, dir string, now func() time.Time, wrap func(bucket) bucket) *Store {
	t.Helper()
	s := Files(dir, now)
	s.b = wrap(s.b)
	return s
}

func TestOldFilesRefuseDamagedState(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		damage func(t *testing.T, dir, head, snap string)
		want   string
	}{
		{"head cut short", func(t *testing.T, _, head, _ string) { rewrite(t, head, func(b []byte) []byte { return b[:len(b)/2] }) }, "damaged"},
		{"head empty", func(t *testing.T, _, head, _ string) { rewrite(t, head, func([]byte) []byte { return nil }) }, "damaged"},
		{"head of another number", func(t *testing.T, _, head, _ string) {
			rewrite(t, head, func(b []byte) []byte { return []byte(strings.Replace(string(b), `"n":1`, `"n":7`, 1)) })
		}, "calls itself 7"},
		{"head of another version", func(t *testing.T, _, head, _ string) {
			rewrite(t, head, func(b []byte) []byte { return []byte(strings.Replace(string(b), `"schema":1`, `"schema":9`, 1)) })
		}, "schema 9"},
		{"a foreign file among the heads", func(t *testing.T, dir, _, _ string) {
			if err := os.WriteFile(filepath.Join(dir, "head", "0.txt"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is not the name of a head"},
		{"a head below the first number", func(t *testing.T, dir, head, _ string) {
			content, err := os.ReadFile(head)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "head", "-0000000000000000001.json"), content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "is not the name of a head"},
		{"heads deleted", func(t *testing.T, _, head, _ string) {
			if err := os.Remove(head); err != nil {
				t.Fatal(err)
			}
		}, "INIT"},
		{"snapshot with one bit turned", func(t *testing.T, _, _, snap string) {
			rewrite(t, snap, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}, "snapshot"},
		{"snapshot cut short", func(t *testing.T, _, _, snap string) { rewrite(t, snap, func(b []byte) []byte { return b[:len(b)-3] }) }, "snapshot"},
		{"snapshot with something behind it", func(t *testing.T, _, _, snap string) {
			rewrite(t, snap, func(b []byte) []byte { return append(b[:len(b):len(b)], "more"...) })
		}, ""}, // what is behind its size is not read
		{"snapshot replaced by another", func(t *testing.T, dir, _, snap string) {
			other := writeSnapshot(t, files1(t, dir, time.Now, plain), strings.Repeat("another\n", 100))
			if err := os.Rename(filepath.Join(dir, filepath.FromSlash(snapKey(other))), snap); err != nil {
				t.Fatal(err)
			}
		}, "snapshot"},
		{"snapshot deleted", func(t *testing.T, _, _, snap string) {
			if err := os.Remove(snap); err != nil {
				t.Fatal(err)
			}
		}, "no such object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := files1(t, dir, time.Now, plain)
			blob := writeSnapshot(t, s, strings.Repeat("a line\n", 100))
			h := head(1, "a")
			h.Snapshot = &blob
			commit(t, s, h)
			tt.damage(t, dir, filepath.Join(dir, filepath.FromSlash(headKey(1))), filepath.Join(dir, filepath.FromSlash(snapKey(blob))))
			_, err := s.Load(t.Context())
			if err == nil {
				err = errors.Join(err, tryRead(t.Context(), s, blob))
			}
			if tt.want == "" && err == nil {
				return
			}
			if err == nil || tt.want == "" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestOldCollect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	s := files1(t, dir, func() time.Time { return now }, plain)
	orphan := writeSnapshot(t, s, "nobody points to it")
	var blobs []watch.Blob
	for n := range int64(150) {
		blob := writeSnapshot(t, s, fmt.Sprintln("snapshot", n))
		blobs = append(blobs, blob)
		h := head(n+1, fmt.Sprint("w", n))
		h.Snapshot = &blob
		commit(t, s, h)
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
			t.Errorf("%s: %d heads and %d snapshots are left, want %d and %d", step.name, len(heads), len(snaps), step.heads, step.snaps)
		}
	}
	if h, err := s.Load(t.Context()); err != nil || h.N != 150 {
		t.Errorf("Load after Collect = %+v, %v, want head 150", h, err)
	}
	if got := readSnapshot(t, s, blobs[149]); got != "snapshot 149\n" {
		t.Errorf("the newest snapshot is %q", got)
	}
	if err := tryRead(t.Context(), s, orphan); !errors.Is(err, errAbsent) {
		t.Errorf("the orphan: %v, want it deleted", err)
	}
}

func TestOldFilesIgnoreWhatAnNFSClientKeeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := files1(t, dir, time.Now, plain)
	commit(t, s, head(1, "a"))
	if err := os.WriteFile(filepath.Join(dir, "head", ".nfs000000000000a1b200000001"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if h, err := s.Load(t.Context()); err != nil || h.N != 1 {
		t.Errorf("Load = %+v, %v, want head 1", h, err)
	}
}

// TestInitIsWrittenInTheEnd has the run die that should have written INIT.
func TestOldInitIsWrittenInTheEnd(t *testing.T) {
	t.Parallel()
	for name, mend := range map[string]func(t *testing.T, s *Store){
		"by the next commit": func(t *testing.T, s *Store) { commit(t, s, head(2, "b")) },
		"by a collection": func(t *testing.T, s *Store) {
			if err := s.Collect(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			broken := errors.New("killed")
			if err := files1(t, dir, time.Now, (&noInit{err: broken}).wrap).Commit(t.Context(), head(1, "a")); !errors.Is(err, broken) {
				t.Fatalf("Commit = %v", err)
			}
			s := files1(t, dir, time.Now, plain)
			mend(t, s)
			if err := os.RemoveAll(filepath.Join(dir, "head")); err != nil {
				t.Fatal(err)
			}
			if h, err := s.Load(t.Context()); err == nil {
				t.Errorf("all heads deleted: Load = %+v, a fresh start", h)
			}
		})
	}
}

// TestCollectSparesASnapshotThatComesBack has the pool return, while Collect is at work, to what it was days ago.
func TestOldCollectSparesASnapshotThatComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := files1(t, dir, time.Now, plain)
	old := []watch.Blob{writeSnapshot(t, s, "pool A\n"), writeSnapshot(t, s, "pool B\n")}
	commit(t, s, head(1, "x"))
	for _, b := range old {
		when := time.Now().Add(-48 * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, filepath.FromSlash(snapKey(b))), when, when); err != nil {
			t.Fatal(err)
		}
	}
	during := files1(t, dir, time.Now, func(b bucket) bucket {
		return &afterList{b, func() {
			again := writeSnapshot(t, s, "pool A\n")
			h := head(2, "y")
			h.Snapshot = &again
			commit(t, s, h)
		}}
	})
	if err := during.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := tryRead(t.Context(), s, *h.Snapshot); err != nil {
		t.Errorf("the newest head's snapshot was collected: %v", err)
	}
	for _, b := range old {
		if err := tryRead(t.Context(), s, b); !errors.Is(err, errAbsent) {
			t.Errorf("an old snapshot that nobody uses: %v, want it deleted", err)
		}
	}
}

func TestOldHeadThatIsTooLargeIsRefusedBeforeItIsWritten(t *testing.T) {
	t.Parallel()
	s := files1(t, t.TempDir(), time.Now, plain)
	h := head(1, strings.Repeat("x", maxHead))
	if err := s.Commit(t.Context(), h); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("Commit = %v, want it refused", err)
	}
	if h, err := s.Load(t.Context()); h != nil || err != nil {
		t.Errorf("Load = %v, %v, want nothing stored", h, err)
	}
}

func TestOldTempFilesAreGoneInTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := files1(t, dir, time.Now, plain)
	writeSnapshot(t, s, "kept")
	commit(t, s, head(1, "a"))
	w, err := s.CreateSnapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, tempDir))
	if err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestOldFilesDeleteWhatKilledRunsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := files1(t, dir, time.Now, plain)
	f, err := s.b.temp() // as if killed before it was linked
	if err != nil {
		t.Fatal(err)
	}
	collect := func(later time.Duration) {
		t.Helper()
		if err := files1(t, dir, func() time.Time { return time.Now().Add(later) }, plain).Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	collect(0)
	if _, err := os.Stat(f.Name()); err != nil {
		t.Errorf("a young temporary file was deleted: %v", err)
	}
	collect(25 * time.Hour)
	if _, err := os.Stat(f.Name()); err == nil {
		t.Error("an old temporary file is still there")
	}
}

func head(n int64, writer string) *watch.Head { return &watch.Head{Schema: 1, N: n, Writer: writer} }

func commit(t *testing.T, s *Store, h *watch.Head) {
	t.Helper()
	if err := s.Commit(t.Context(), h); err != nil {
		t.Fatalf("Commit(%d): %v", h.N, err)
	}
}

func writeSnapshot(t *testing.T, s *Store, text string) watch.Blob {
	t.Helper()
	w, err := s.CreateSnapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	blob, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return blob
}

func readSnapshot(t *testing.T, s *Store, b watch.Blob) string {
	t.Helper()
	r, err := s.OpenSnapshot(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func tryRead(ctx context.Context, s *Store, b watch.Blob) error {
	r, err := s.OpenSnapshot(ctx, b)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// FuzzSnapshot checks that no stored bytes pass for a snapshot but those that its name stands for.
func FuzzOldSnapshot(f *testing.F) {
	f.Add([]byte("x"))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x00, 0x09, 0x00, 0x00, 'x'})
	dir := f.TempDir()
	s := Files(dir, time.Now)
	if err := os.Mkdir(filepath.Join(dir, "snap"), 0o700); err != nil {
		f.Fatal(err)
	}
	blob := watch.Blob{SHA256: strings.Repeat("0", 64)}
	f.Fuzz(func(t *testing.T, stored []byte) {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(snapKey(blob))), stored, 0o600); err != nil {
			t.Fatal(err)
		}
		blob.Bytes = int64(len(stored))
		if err := tryRead(t.Context(), s, blob); err == nil {
			t.Errorf("%q passes for a snapshot of another name", stored)
		}
	})
}

func TestOldSnapshotUnderAnotherNameIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := Files(dir, time.Now)
	asked, other := writeSnapshot(t, s, "one\n"), writeSnapshot(t, s, "two\n")
	if err := os.Rename(filepath.Join(dir, snapKey(other)), filepath.Join(dir, snapKey(asked))); err != nil {
		t.Fatal(err)
	}
	asked.Bytes = other.Bytes
	r, err := s.OpenSnapshot(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err == nil {
		t.Errorf("the snapshot reads as %q, want an error: its content is not what its name says", text)
	}
}
