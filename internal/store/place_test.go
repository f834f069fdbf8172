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

	"clbwatch/internal/state"
)

// placeOpener opens one and the same state again, as another process would; wrap comes between it and its
// bucket.
type placeOpener func(wrap func(bucket) bucket) *Place

// testPlace is what every state.Store has to pass. fresh makes a place for state and says how to open it.
func testPlace(t *testing.T, fresh func(t *testing.T) placeOpener) {
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
		blob := write(t, open(plain), "one\ntwo\n")
		for n := range int64(3) {
			commitTo(t, open(plain), &state.Head{Schema: state.Schema, N: n + 1, Writer: fmt.Sprint("w", n+1), Era: 1,
				Snapshot: &blob})
		}
		h, err := open(plain).Load(t.Context())
		if err != nil || h.N != 3 || h.Writer != "w3" {
			t.Fatalf("Load() = %+v, %v, want head 3", h, err)
		}
		if got := read(t, open(plain), *h.Snapshot); got != "one\ntwo\n" {
			t.Errorf("the snapshot is %q", got)
		}
	})
	t.Run("a number is taken once", func(t *testing.T) {
		t.Parallel()
		open := fresh(t)
		commitTo(t, open(plain), headOf(1, "a"))
		if err := open(plain).Commit(t.Context(), headOf(1, "b")); !errors.Is(err, state.ErrConflict) {
			t.Errorf("Commit of a number that is taken = %v, want ErrConflict", err)
		}
		if err := open(plain).Commit(t.Context(), headOf(1, "a")); err != nil {
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
	t.Run("writes that fail", func(t *testing.T) { testLostWrites(t, fresh) })
	t.Run("stale answers", func(t *testing.T) { testStaleAnswers(t, fresh) })
	t.Run("history", func(t *testing.T) { testHistory(t, fresh) })
	t.Run("silences", func(t *testing.T) { testSilences(t, fresh) })
	t.Run("16 writers lose no commit", func(t *testing.T) { testManyWriters(t, fresh) })
}

func testLostWrites(t *testing.T, fresh func(t *testing.T) placeOpener) {
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
		{"create happened, the answer was lost", fault{op: "create", times: 1, apply: true, err: broken}, nil,
			true},
		{"create happened, a repeat says that it exists", fault{op: "create", times: 1, apply: true,
			err: errExists}, nil, true},
		{"a false 404 on reading back", fault{op: "get", times: 1, err: errAbsent}, nil, true},
		{"reading back fails", fault{op: "get", times: 99, err: broken}, broken, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			open := fresh(t)
			commitTo(t, open(plain), headOf(1, "a"))
			err := open(tt.fault.wrap).Commit(t.Context(), headOf(2, "b"))
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

func testStaleAnswers(t *testing.T, fresh func(t *testing.T) placeOpener) {
	t.Parallel()
	open := fresh(t)
	for n := range int64(5) {
		commitTo(t, open(plain), headOf(n+1, fmt.Sprint("w", n+1)))
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
				_, err = s.OpenSnapshot(t.Context(), state.Blob{SHA256: strings.Repeat("0", 64), Bytes: 1})
			}
			if !errors.Is(err, broken) {
				t.Errorf("%+v, %v, want %v", h, err, broken)
			}
		})
	}
}

// testWriters lets 16 writers count together in what their heads hold, through a bucket that loses every
// tenth answer.
func testManyWriters(t *testing.T, fresh func(t *testing.T) placeOpener) {
	t.Parallel()
	const writers, each = 16, 8
	open := fresh(t)
	commitTo(t, open(plain), headOf(1, "start"))
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
					next := headOf(old.N+1, fmt.Sprintf("w%d-%d-%d", i, k, n))
					next.Unposted = append(old.Unposted, fmt.Sprintf("%d-%d", i, k))
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
	for _, id := range h.Unposted {
		ids[id] = true
	}
	if len(ids) != writers*each {
		t.Errorf("%d of %d acknowledged commits survived", len(ids), writers*each)
	}
}

func TestFilesRefuseDamagedState(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		damage func(t *testing.T, dir, head, snap string)
		want   string
	}{
		{"head cut short", func(t *testing.T, _, head,
			_ string) {
			rewrite(t, head, func(b []byte) []byte { return b[:len(b)/2] })
		}, "damaged"},
		{"head with one bit turned", func(t *testing.T, _, head, _ string) {
			rewrite(t, head, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}, "damaged"},
		{"head of more than 4 MB", func(t *testing.T, _, head, _ string) {
			rewrite(t, head, func(b []byte) []byte { return append(b, make([]byte, 4<<20)...) })
		}, "damaged"},
		{"head empty", func(t *testing.T, _, head, _ string) {
			rewrite(t, head,
				func([]byte) []byte { return nil })
		}, "damaged"},
		{"head of another number", func(t *testing.T, _, head, _ string) {
			other, err := headOf(7, "a").Encode()
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, head, func([]byte) []byte { return other })
		}, "calls itself 7"},
		{"head of another version", func(t *testing.T, _, head, _ string) {
			rewrite(t, head, func([]byte) []byte { return []byte(`{"schema":4,"n":1,"writer":"a"}` + "\n") })
		}, "schema 4"},
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
		{"snapshot cut short", func(t *testing.T, _, _,
			snap string) {
			rewrite(t, snap, func(b []byte) []byte { return b[:len(b)-3] })
		}, "snapshot"},
		{"snapshot with something behind it", func(t *testing.T, _, _, snap string) {
			rewrite(t, snap, func(b []byte) []byte { return append(b[:len(b):len(b)], "more"...) })
		}, ""}, // what is behind its size is not read
		{"snapshot replaced by another", func(t *testing.T, dir, _, snap string) {
			other := write(t, inFiles(t, dir, time.Now, plain), strings.Repeat("another\n", 100))
			if err := os.Rename(filepath.Join(dir, filepath.FromSlash(textKey(other.SHA256, other.Tag))),
				snap); err != nil {
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
			s := inFiles(t, dir, time.Now, plain)
			blob := write(t, s, strings.Repeat("a line\n", 100))
			h := headOf(1, "a")
			h.Snapshot = &blob
			commitTo(t, s, h)
			tt.damage(t, dir, filepath.Join(dir, filepath.FromSlash(headKey(1))),
				filepath.Join(dir, filepath.FromSlash(textKey(blob.SHA256, blob.Tag))))
			_, err := s.Load(t.Context())
			if err == nil {
				err = errors.Join(err, readAll(t.Context(), s, blob))
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

// TestInitIsWrittenInTheEnd has the run die that should have written INIT.
func TestInitIsWrittenInTheEnd(t *testing.T) {
	t.Parallel()
	for name, mend := range map[string]func(t *testing.T, s *Place){
		"by the next commit": func(t *testing.T, s *Place) { commitTo(t, s, headOf(2, "b")) },
		"by a collection": func(t *testing.T, s *Place) {
			if err := s.Collect(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			broken := errors.New("killed")
			if err := inFiles(t, dir, time.Now, (&noInit{err: broken}).wrap).Commit(t.Context(),
				headOf(1, "a")); !errors.Is(err, broken) {
				t.Fatalf("Commit = %v", err)
			}
			s := inFiles(t, dir, time.Now, plain)
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

func TestHeadThatIsTooLargeIsRefusedBeforeItIsWritten(t *testing.T) {
	t.Parallel()
	s := inFiles(t, t.TempDir(), time.Now, plain)
	h := headOf(1, strings.Repeat("x", state.MaxHead))
	if err := s.Commit(t.Context(), h); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("Commit = %v, want it refused", err)
	}
	if h, err := s.Load(t.Context()); h != nil || err != nil {
		t.Errorf("Load = %v, %v, want nothing stored", h, err)
	}
}

func headOf(n int64, writer string) *state.Head {
	return &state.Head{Schema: state.Schema, N: n, Writer: writer, Era: 1}
}

func commitTo(t *testing.T, s *Place, h *state.Head) {
	t.Helper()
	if err := s.Commit(t.Context(), h); err != nil {
		t.Fatalf("Commit(%d): %v", h.N, err)
	}
}

func write(t *testing.T, s *Place, text string) state.Blob {
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

func read(t *testing.T, s *Place, b state.Blob) string {
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

func readAll(ctx context.Context, s *Place, b state.Blob) error {
	r, err := s.OpenSnapshot(ctx, b)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// FuzzSnapshot checks that no stored bytes pass for a snapshot but those that its name stands for.
func FuzzSnapshot(f *testing.F) {
	f.Add([]byte("x"))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x00, 0x09, 0x00, 0x00, 'x'})
	dir := f.TempDir()
	s := OpenFiles(dir, time.Now)
	if err := os.Mkdir(filepath.Join(dir, "snap"), 0o700); err != nil {
		f.Fatal(err)
	}
	blob := state.Blob{SHA256: strings.Repeat("0", 64)}
	f.Fuzz(func(t *testing.T, stored []byte) {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(textKey(blob.SHA256, blob.Tag))), stored,
			0o600); err != nil {
			t.Fatal(err)
		}
		blob.Bytes = int64(len(stored))
		if err := readAll(t.Context(), s, blob); err == nil {
			t.Errorf("%q passes for a snapshot of another name", stored)
		}
	})
}

func TestSnapshotUnderAnotherNameIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := OpenFiles(dir, time.Now)
	asked, other := write(t, s, "one\n"), write(t, s, "two\n")
	if err := os.Rename(filepath.Join(dir, textKey(other.SHA256, other.Tag)),
		filepath.Join(dir, textKey(asked.SHA256, asked.Tag))); err != nil {
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

// TestStaleListingIsNotAFreshStart has a listing lag so far behind that the newest head is not found.
func TestStaleListingIsNotAFreshStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	commitTo(t, inFiles(t, dir, time.Now, plain), headOf(1, "a"))
	for n := range int64(maxProbe + 50) { // as if committed, without waiting for the disk each time
		b, err := headOf(n+2, "a").Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(headKey(n+2))), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := inFiles(t, dir, time.Now, func(b bucket) bucket { return &staleList{b, 1} })
	if h, err := s.Load(t.Context()); err == nil || h != nil || !strings.Contains(err.Error(), "behind") {
		t.Errorf("Load = %+v, %v, want an error: neither a fresh start nor an old head", h, err)
	}
}
