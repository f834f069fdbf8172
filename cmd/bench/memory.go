package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"clbwatch/internal/sandbox/scf"
)

// boxed is a world for a function that has no more than so much memory, and so much of a core.
type boxed struct {
	have   balancers
	memory int  // bytes
	tenth  bool // it has a tenth of a core, as SCF gives with 128 MB; else all it wants
}

// memory runs the largest cases where the kernel gives the function no more than the bound, and the platform
// tells it so.
func memory(ctx context.Context, b *bench) (table, error) {
	t := table{{"load balancers x backends", "memory", "cores", "in a cgroup of that", "baseline: CPU",
		"wall", "quiet tick: CPU", "wall",
		"1 % changed: CPU", "wall", "the most charged", "killed"}}
	wide := balancers{n: 600, pool: 100, api: "v3", application: true, listeners: 50}
	for _, c := range []boxed{
		{wide, wideBound, false}, {wide, wideBound, true},
		{balancers{n: largest, pool: 100, api: "v2"}, memoryBound, false},
		{balancers{n: largest, pool: 100, api: "v3"}, memoryBound, false},
		{balancers{n: 1000, pool: 100, api: "v2", application: true}, memoryBound, false},
		{balancers{n: 1000, pool: 100, api: "v3", application: true}, memoryBound, false},
	} {
		box, err := newBox(c.memory, c.tenth)
		if err != nil {
			t.add(c.have.String(), mb(c.memory), "", "this machine lets us make none: "+err.Error(), "", "",
				"", "", "", "", "", "")
			continue
		}
		row, err := inBox(ctx, b, c, box)
		if err = errors.Join(err, box.remove()); err != nil {
			return nil, err
		}
		t.add(row...)
	}
	return t, nil
}

func inBox(ctx context.Context, b *bench, c boxed, box *box) ([]string, error) {
	w, err := newWorld(c.have, true)
	if err != nil {
		return nil, err
	}
	defer debug.FreeOSMemory() // it was a large one
	defer w.close()
	// The shell puts itself into the cgroups and becomes the function, all of whose memory is so charged
	// there.
	script := filepath.Join(w.dir, "in-box")
	text := "#!/bin/sh\n"
	for _, dir := range box.dirs {
		text += fmt.Sprintf("echo $$ >%s/cgroup.procs\n", dir)
	}
	text += "exec " + b.clbwatch + "\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		return nil, err
	}
	f, err := w.start(ctx, script, scf.WithMemory(c.memory>>20))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cores := "all"
	if c.tenth {
		cores = "0.1"
	}
	row := []string{c.have.String(), mb(c.memory), cores}
	var costs []string
	survives := true
	for _, before := range []func(int){nil, nil, w.onePercent} {
		took, err := alternate(ctx, 1, before, w.subject(ctx, f))
		if err != nil {
			if survives = box.kills() == 0; survives {
				return nil, err // it did not die of the box
			}
			costs = append(costs, make([]string, 6)...)[:6]
			break
		}
		wall := "" // with all the cores it is the machine's affair
		if c.tenth {
			wall = milli(wallMS(took[0][0]))
		}
		costs = append(costs, milli(cpuMS(took[0][0])), wall)
	}
	says := "lives"
	if !survives {
		says = "dies"
	}
	row = append(append(row, says), costs...)
	b.judge(survives, "memory, "+c.have.String()+", "+cores+" cores", "lives in a cgroup of "+mb(c.memory),
		"%s", says)
	return append(row, mb(box.most()), strconv.Itoa(box.kills())), w.refused()
}

// wideBound is the memory that load balancers with many listeners must do with, in bytes: the platform's
// default.
const wideBound = 128 << 20

// box is a memory cgroup, of version 1 or 2.
type box struct {
	dirs         []string // of the cgroups: that of memory, and that of CPU if there is one
	peak, events string
}

// newBox makes a cgroup whose processes, and what the kernel keeps for them, may have limit bytes, and if
// tenth is set a tenth of a core.
func newBox(limit int, tenth bool) (*box, error) {
	b, err := newMemoryBox(limit)
	if err != nil || !tenth {
		return b, err
	}
	dir, err := os.MkdirTemp("/sys/fs/cgroup/cpu", "clbwatch-bench-")
	if err != nil { // version 2 has one cgroup for both
		return b, os.WriteFile(filepath.Join(b.dirs[0], "cpu.max"), []byte("10000 100000"), 0)
	}
	b.dirs = append(b.dirs, dir)
	return b, errors.Join(
		os.WriteFile(filepath.Join(dir, "cpu.cfs_period_us"), []byte("100000"), 0),
		os.WriteFile(filepath.Join(dir, "cpu.cfs_quota_us"), []byte("10000"), 0))
}

func newMemoryBox(limit int) (*box, error) {
	for _, v := range []struct{ root, limit, peak, events string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"},
		{"/sys/fs/cgroup", "memory.max", "memory.peak", "memory.events"},
	} {
		if _, err := os.Stat(v.root + "/cgroup.procs"); err != nil {
			continue
		}
		dir, err := os.MkdirTemp(v.root, "clbwatch-bench-")
		if err != nil {
			return nil, errors.Unwrap(err)
		}
		if err := os.WriteFile(filepath.Join(dir, v.limit), []byte(strconv.Itoa(limit)), 0); err != nil {
			return nil, errors.Join(errors.Unwrap(err), os.Remove(dir))
		}
		return &box{[]string{dir}, filepath.Join(dir, v.peak), filepath.Join(dir, v.events)}, nil
	}
	return nil, errors.New("no cgroups")
}

// most is the most memory that was charged, in bytes, the page cache included, which gives way before anybody
// is killed.
func (b *box) most() int {
	text, _ := os.ReadFile(b.peak) // 0 if the kernel does not say
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// kills is how many processes were killed because of the limit.
func (b *box) kills() int {
	text, _ := os.ReadFile(b.events) // as above
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(rest))
			return n
		}
	}
	return 0
}

func (b *box) remove() (err error) {
	for _, dir := range b.dirs {
		err = errors.Join(err, os.Remove(dir))
	}
	return err
}
