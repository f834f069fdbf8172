package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	testPlace(t, func(t *testing.T) placeOpener {
		t.Helper()
		dir := t.TempDir()
		return func(wrap func(bucket) bucket) *Place { return inFiles(t, dir, time.Now, wrap) }
	})
}

func inFiles(t *testing.T, dir string, now func() time.Time, wrap func(bucket) bucket) *Place {
	t.Helper()
	s := OpenFiles(dir, now)
	s.b = wrap(s.b)
	return s
}

func TestFilesIgnoreWhatAnNFSClientKeeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := inFiles(t, dir, time.Now, plain)
	commitTo(t, s, headOf(1, "a"))
	if err := os.WriteFile(filepath.Join(dir, "head", ".nfs000000000000a1b200000001"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if h, err := s.Load(t.Context()); err != nil || h.N != 1 {
		t.Errorf("Load = %+v, %v, want head 1", h, err)
	}
}

func TestTempFilesAreGoneInTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := inFiles(t, dir, time.Now, plain)
	write(t, s, "kept")
	commitTo(t, s, headOf(1, "a"))
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

func TestFilesDeleteWhatKilledRunsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := inFiles(t, dir, time.Now, plain)
	f, err := s.b.temp() // as if killed before it was linked
	if err != nil {
		t.Fatal(err)
	}
	collect := func(later time.Duration) {
		t.Helper()
		if err := inFiles(t, dir, func() time.Time { return time.Now().Add(later) },
			plain).Collect(t.Context()); err != nil {
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

// TestLinkWhoseAnswerWasLostIsDone has the kernel say that the name exists because the same link was made
// before, as an NFS client does when it repeats a call.
func TestLinkWhoseAnswerWasLostIsDone(t *testing.T) {
	t.Parallel()
	f := files{t.TempDir(), time.Now}
	mine, err := f.temp()
	if err != nil {
		t.Fatal(err)
	}
	other, err := f.temp()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(mine.Close(), other.Close()) }() // only linked
	for range 2 {
		if err := f.link(t.Context(), "head/1", mine); err != nil {
			t.Errorf("link of one's own file = %v, want nil however often", err)
		}
	}
	if err := f.link(t.Context(), "head/1", other); !errors.Is(err, errExists) {
		t.Errorf("link of another's file = %v, want errExists", err)
	}
}

// TestFileThatCannotBeLinkedIsAnError: else a head would point to a snapshot that is not there.
func TestFileThatCannotBeLinkedIsAnError(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*os.File) error{
		"not on the disk yet": (*os.File).Close, // so that it cannot be synced
		"gone":                func(file *os.File) error { return os.Remove(file.Name()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := files{t.TempDir(), time.Now}
			file, err := f.temp()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = file.Close() }() // perhaps for the second time
			if err := spoil(file); err != nil {
				t.Fatal(err)
			}
			if err := f.link(t.Context(), "head/1", file); err == nil {
				t.Error("link = nil, want an error")
			}
			if _, err := f.open(t.Context(), "head/1", 1<<20); !errors.Is(err, errAbsent) {
				t.Errorf("open = %v, want nothing there", err)
			}
		})
	}
}

func TestAllThatKilledRunsLeftIsDeletedAtOnce(t *testing.T) {
	t.Parallel()
	f := files{t.TempDir(), func() time.Time { return time.Now().Add(25 * time.Hour) }}
	for range 3 {
		file, err := f.temp()
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := f.list(t.Context(), tempDir, 0); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v, want nothing", left, err)
	}
}
