package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clbwatch/internal/advice"
)

// What is written in pieces is read back, wherever each of them is.
func TestSpoolOverflowsIntoAFile(t *testing.T) {
	t.Parallel()
	files := 0
	o := &overflow{create: func() (*os.File, error) {
		files++
		return os.Create(filepath.Join(t.TempDir(),
			"spool"))
	}}
	defer func() { _ = o.Close() }()
	var offs []int64
	var pieces [][]byte
	off := int64(0)
	for i, n := range []int{10, 1 << 20, 3 << 20, 2 << 20, 5, 6 << 20} {
		p := bytes.Repeat([]byte{byte('a' + i)}, n)
		if m, err := o.Write(p); err != nil || m != n {
			t.Fatal(m, err)
		}
		offs, pieces, off = append(offs, off), append(pieces, p), off+int64(n)
		if want := min(i/2, 1); files != want {
			t.Errorf("%d files after %d bytes, want %d", files, off, want)
		}
	}
	for i, p := range pieces {
		got := make([]byte, len(p))
		if _, err := o.ReadAt(got, offs[i]); err != nil || !bytes.Equal(got, p) {
			t.Errorf("piece %d: %v, or not what was written", i, err)
		}
	}
}

func TestSpoolNeedsNoFileForLittle(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	o := &overflow{create: func() (*os.File, error) { return nil, full }}
	if _, err := o.Write(make([]byte, 3<<20)); err != nil {
		t.Error(err)
	}
	if _, err := o.Write(make([]byte, 2<<20)); !errors.Is(err, full) || !strings.Contains(advice.Of(err),
		"TMPDIR") {
		t.Errorf("Write = %v, advice %q, want the reason and what to do", err, advice.Of(err))
	}
	if _, err := o.Write(make([]byte, 10)); err != nil { // what is smaller still fits
		t.Error(err)
	}
}
