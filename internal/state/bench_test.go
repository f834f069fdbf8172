package state_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/state"
)

// crowded is a head of so many things that cannot be read, each for a reason of its own, and so many open
// incidents with backends whose names are the worst that there are.
func crowded(unread, incidents int) *state.Head {
	h := (*state.Head)(nil).Next("WRITER", ours, start)
	o := incident.Observation{At: start}
	for i := range unread {
		o.Unread = append(o.Unread, incident.Unread{Key: fmt.Sprintf("ap-guangzhou/lb-%08d", i),
			About: incident.Reading, LastGood: start,
			Reason: incident.Reason{Why: fmt.Sprint("connection refused, request ", i)}})
	}
	for i := range incidents {
		o.Changed = append(o.Changed, changed(fmt.Sprintf("ap-guangzhou/lb-x%07d", i), fmt.Sprintf("ins-%08d", i),
			strings.Repeat("<", 60), start))
	}
	h.Incidents.Judge(o, rules())
	return h
}

// TestWorstHeadStaysBelow4MB has 20,000 load balancers unreadable for different reasons and 1,000 open
// incidents, all with names of 60 "<".
func TestWorstHeadStaysBelow4MB(t *testing.T) {
	t.Parallel()
	b, err := crowded(20_000, 1000).Encode()
	if err != nil || len(b) > state.MaxHead {
		t.Fatalf("it takes %d bytes, %v", len(b), err)
	}
	t.Logf("%d bytes", len(b))
	if h, err := state.DecodeHead(1, b); err != nil || len(h.Incidents.Unread) != 20_000 {
		t.Errorf("it is read again: %v", err)
	}
}

// BenchmarkHead encodes and decodes heads of 1 MB and of nearly 4 MB.
func BenchmarkHead(b *testing.B) {
	for _, size := range []struct {
		name              string
		unread, incidents int
	}{{"1 MB", 4500, 1000}, {"4 MB", 22_000, 1000}} {
		h := crowded(size.unread, size.incidents)
		stored, err := h.Encode()
		if err != nil {
			b.Fatal(err)
		}
		b.Run("encode "+size.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(stored)))
			for b.Loop() {
				if _, err := h.Encode(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode "+size.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(stored)))
			for b.Loop() {
				if _, err := state.DecodeHead(1, stored); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// box is the file of the head that TestHeadInABox reads, in a process of its own.
const box = "CLBWATCH_TEST_BOX"

// BenchmarkHeadInABox decodes a head of 20,000 records in a process that may use 128 MB, goes on from it and
// encodes that, and holds that the process never had more.
func BenchmarkHeadInABox(b *testing.B) {
	stored, err := crowded(20_000, 1000).Encode()
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "head.json")
	if err := os.WriteFile(file, stored, 0o600); err != nil {
		b.Fatal(err)
	}
	const most = 128 << 10 // kB
	peak := 0
	for b.Loop() {
		child := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestHeadInABox$", "-test.v")
		child.Env = append(os.Environ(), box+"="+file, "GOMEMLIMIT=100MiB")
		out, err := child.CombinedOutput()
		_, text, ok := strings.Cut(string(out), "VmHWM:")
		kb := 0
		if _, scanned := fmt.Sscan(text, &kb); err != nil || !ok || scanned != nil {
			b.Fatalf("%v: %s", err, out)
		}
		peak = max(peak, kb)
	}
	b.ReportMetric(float64(peak)/1024, "MB-peak")
	if peak > most {
		b.Errorf("it had %d kB, want at most %d", peak, most)
	}
}

func TestHeadInABox(t *testing.T) {
	file := os.Getenv(box)
	if file == "" {
		t.Skip("BenchmarkHeadInABox runs it")
	}
	for range 3 { // ticks of a warm instance
		stored, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h, err := state.DecodeHead(1, stored)
		if err != nil {
			t.Fatal(err)
		}
		next := h.Next("W", ours, start.Add(time.Minute))
		next.Incidents.Judge(incident.Observation{At: start.Add(time.Minute)}, rules())
		next.Incidents.Plan(start.Add(time.Minute), start.Add(time.Minute), "W", start.Add(2*time.Minute), rules())
		if _, err := next.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM:") {
			fmt.Print(line)
		}
	}
}
