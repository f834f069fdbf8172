package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// settled is how long a process is left alone after a round: what it does after its answer is part of the
// round's cost.
const settled = 50 * time.Millisecond

// subject is a process that is measured.
type subject struct {
	pid   int
	round func() error // one round of its work
}

// sample is what one round took.
type sample struct{ cpu, wall time.Duration }

// alternate lets subjects work by turns, k rounds each, and returns what each round took, by subject. before,
// if there is one, is called before the i-th round of them all.
func alternate(ctx context.Context, k int, before func(i int), subjects ...subject) ([][]sample, error) {
	took := make([][]sample, len(subjects))
	for i := range k {
		if before != nil {
			before(i)
		}
		for j, s := range subjects {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			start, err := cpuOf(s.pid)
			if err != nil {
				return nil, err
			}
			began := time.Now()
			if err := s.round(); err != nil {
				return nil, err
			}
			wall := time.Since(began)
			time.Sleep(settled)
			end, err := cpuOf(s.pid)
			if err != nil {
				return nil, err
			}
			took[j] = append(took[j], sample{end - start, wall})
		}
	}
	return took, nil
}

// cpuOf is the CPU time that a process has taken, of all its threads, by its clock in the kernel.
func cpuOf(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h: to the nanosecond
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err != nil {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakOf is the most memory that a process had since its start or the last resetPeak, in bytes.
func peakOf(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := highWater.FindSubmatch(status)
	if m == nil {
		return 0, fmt.Errorf("process %d has no VmHWM", pid)
	}
	kb, err := strconv.Atoi(string(m[1]))
	return kb << 10, err
}

// resetPeak lets the high-water mark of a process begin anew.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// worker is another program that reads the load balancers, round by round: it gets its job as one line of
// JSON, then a line for each round, which it answers with one.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// done is what a worker says of one round.
type done struct {
	Calls   int `json:"calls"`
	Bytes   int `json:"bytes"`   // of the answers; not every worker sees them
	Changes int `json:"changes"` // found since its last round, if it looks for any
}

func startWorker(ctx context.Context, job any, program string, args ...string) (*worker, error) {
	w := &worker{cmd: exec.CommandContext(ctx, program, args...)}
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = bufio.NewReader(out)
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	return w, json.NewEncoder(w.in).Encode(job)
}

// round lets the worker do one round.
func (w *worker) round() (d done, err error) {
	if _, err := io.WriteString(w.in, "\n"); err != nil {
		return d, err
	}
	line, err := w.out.ReadBytes('\n')
	if err != nil {
		return d, fmt.Errorf("%s said nothing of its round: %w", w.cmd.Path, err)
	}
	return d, json.Unmarshal(line, &d)
}

// close ends the worker, which goes when its input does.
func (w *worker) close() error {
	return errors.Join(w.in.Close(), w.cmd.Wait())
}

func median[T any](all []T, by func(T) float64) float64 {
	v := make([]float64, len(all))
	for i, x := range all {
		v[i] = by(x)
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

func cpuMS(s sample) float64  { return s.cpu.Seconds() * 1000 }
func wallMS(s sample) float64 { return s.wall.Seconds() * 1000 }

// spread is the ratios of pairs.
type spread struct{ median, least, most float64 }

func ratios(over, under []sample, by func(sample) float64) spread {
	r := make([]float64, len(over))
	for i := range over {
		r[i] = by(over[i]) / by(under[i])
	}
	return spread{median(r, func(x float64) float64 { return x }), slices.Min(r), slices.Max(r)}
}

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.least, s.most) }

// milli shows milliseconds to three digits.
func milli(ms float64) string {
	switch {
	case ms >= 999.5:
		return fmt.Sprintf("%.2f s", ms/1000)
	case ms >= 99.5:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 9.95:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.2f ms", ms)
}

// mb shows bytes in units of 2^20, as the platform counts.
func mb(bytes int) string { return fmt.Sprintf("%.1f MB", float64(bytes)/(1<<20)) }

// thousands shows a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
