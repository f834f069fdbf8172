package store

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"clbwatch/internal/state"
)

// BenchmarkSnapshot writes and reads a snapshot of 1,000 load balancers with 100 backends each, in files.
func BenchmarkSnapshot(b *testing.B) {
	var text bytes.Buffer
	for lb := range 1000 {
		fmt.Fprintf(&text, `{"clb":"ap-guangzhou/lb-%08d","backends":[`, lb)
		for i := range 100 {
			fmt.Fprintf(&text, `{"id":"ins-%05d-%03d","name":"web-%05d-%03d","status":2,"weight":10,"lanIp":"10.%d.%d.%d"},`, lb, i, lb, i, lb/256, lb%256, i)
		}
		text.WriteString("]}\n")
	}
	dir, err := os.MkdirTemp("/var/tmp", "clbwatch-bench-") //nolint:usetesting // a disk, as on SCF, and not memory
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	s := OpenFiles(dir, time.Now)
	write := func(b *testing.B) state.Blob {
		b.Helper()
		w, err := s.CreateSnapshot(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer w.Close()
		if _, err := w.Write(text.Bytes()); err != nil {
			b.Fatal(err)
		}
		blob, err := w.Commit()
		if err != nil {
			b.Fatal(err)
		}
		return blob
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(text.Len()))
		for b.Loop() {
			blob := write(b)
			b.StopTimer()
			if err := os.Remove(filepath.Join(dir, textKey(blob.SHA256, blob.Tag))); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
	b.Run("read", func(b *testing.B) {
		blob := write(b)
		b.ReportAllocs()
		b.SetBytes(int64(text.Len()))
		for b.Loop() {
			r, err := s.OpenSnapshot(b.Context(), blob)
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, r)
			if err != nil || int(n) != text.Len() {
				b.Fatalf("read %d bytes of %d: %v", n, text.Len(), err)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkHistory reads the history of 100,000 incidents of a day, two lines each, from files.
func BenchmarkHistory(b *testing.B) {
	s := OpenFiles(b.TempDir(), time.Now)
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	var h *state.Head
	for i := range 200 {
		h = lines(h, at.Add(time.Duration(i)*time.Minute), 1000*i, 1000)
		if err := state.Commit(b.Context(), s, h); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	var most uint64
	for b.Loop() {
		level, err := state.Current(b.Context(), s, nil)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for _, err := range level.Read(b.Context(), time.Time{}) {
			if err != nil {
				b.Fatal(err)
			}
			if n++; n%10_000 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
		if n != 200_000 {
			b.Fatalf("%d records are read", n)
		}
	}
	b.ReportMetric(float64(most)/(1<<20), "MB-heap")
	b.ReportMetric(float64(len(h.History)), "segments")
}
