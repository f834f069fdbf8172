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

// memory runs the largest cases where the kernel gives the function no more than the bound, and the platform tells it so.
func memory(ctx context.Context, b *bench) (table, error) {
	t := table{{"load balancers x backends", "in a cgroup of 64 MB", "baseline", "quiet tick", "1 % changed", "the most charged", "killed"}}
	for _, have := range []balancers{
		{n: largest, pool: 100, api: "v2"}, {n: largest, pool: 100, api: "v3"},
		{n: 1000, pool: 100, api: "v2", application: true}, {n: 1000, pool: 100, api: "v3", application: true},
	} {
		box, err := newBox(memoryBound)
		if err != nil {
			t.add(have.String(), "this machine lets us make none: "+err.Error(), "", "", "", "", "")
			continue
		}
		row, err := inBox(ctx, b, have, box)
		if err = errors.Join(err, box.remove()); err != nil {
			return nil, err
		}
		t.add(row...)
	}
	return t, nil
}

func inBox(ctx context.Context, b *bench, have balancers, box *box) ([]string, error) {
	w, err := newWorld(have, true)
	if err != nil {
		return nil, err
	}
	defer debug.FreeOSMemory() // it was a large one
	defer w.close()
	// The shell puts itself into the cgroup and becomes the function, all of whose memory is so charged there.
	script := filepath.Join(w.dir, "in-box")
	text := fmt.Sprintf("#!/bin/sh\necho $$ >%s/cgroup.procs\nexec %s\n", box.dir, b.clbwatch)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		return nil, err
	}
	f, err := w.start(ctx, script, scf.WithMemory(memoryBound>>20))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	row := []string{have.String()}
	var costs []string
	survives := true
	for _, before := range []func(int){nil, nil, w.onePercent} {
		took, err := alternate(ctx, 1, before, w.subject(ctx, f))
		if err != nil {
			if survives = box.kills() == 0; survives {
				return nil, err // it did not die of the box
			}
			costs = append(costs, "", "", "")[:3]
			break
		}
		costs = append(costs, milli(cpuMS(took[0][0])))
	}
	says := "lives"
	if !survives {
		says = "dies"
	}
	row = append(append(row, says), costs...)
	b.judge(survives, "memory, "+have.String(), "lives in a cgroup of "+mb(memoryBound), "%s", says)
	return append(row, mb(box.most()), strconv.Itoa(box.kills())), w.refused()
}

// box is a memory cgroup, of version 1 or 2.
type box struct{ dir, peak, events string }

// newBox makes a cgroup whose processes, and what the kernel keeps for them, may have limit bytes.
func newBox(limit int) (*box, error) {
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
		return &box{dir, filepath.Join(dir, v.peak), filepath.Join(dir, v.events)}, nil
	}
	return nil, errors.New("no cgroups")
}

// most is the most memory that was charged, in bytes, the page cache included, which gives way before anybody is killed.
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

func (b *box) remove() error { return os.Remove(b.dir) }
