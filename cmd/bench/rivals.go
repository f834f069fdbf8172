package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
)

// rivalJob is what a rival reads: every load balancer in each round, by DescribeClassicalLBTargets, several
// at once.
type rivalJob struct {
	Host      string   `json:"host"` // with the port
	Region    string   `json:"region"`
	SecretID  string   `json:"secretId"`
	SecretKey string   `json:"secretKey"`
	Token     string   `json:"token"`
	IDs       []string `json:"ids"`
	Workers   int      `json:"workers"`
}

// rivals runs what people would write instead beside the function: the official SDKs for Go and Node, reading
// the same load balancers by API 3.0, and comparing in memory. They keep no state and tell nobody.
func rivals(ctx context.Context, b *bench) (t table, err error) {
	const rounds = 10
	have := balancers{n: 1000, pool: 100, api: "v3"}
	w, err := newWorld(have, true)
	if err != nil {
		return nil, err
	}
	defer w.close()
	npm, err := exec.CommandContext(ctx, "tools/npm-cache", "bench-node-sdk").Output()
	if err != nil {
		return nil, fmt.Errorf("tools/npm-cache bench-node-sdk: %w", err)
	}
	node := strings.TrimSpace(string(npm))
	f, err := w.start(ctx, b.clbwatch)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := w.tick(ctx, f); err != nil {
		return nil, err
	}
	floor, err := w.floor(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.close()) }()
	key := w.cloud.Issue()
	job := rivalJob{strings.TrimPrefix(w.url, "http://"), region, key.SecretID, key.SecretKey, key.Token, w.ids,
		readers}
	changes := make(map[string]int) // that a rival found in its last round
	names := []string{"clbwatch", "the floor", "official SDK for Go", "official SDK for Node"}
	subjects := []subject{w.subject(ctx, f), {floor.cmd.Process.Pid,
		func() error { _, err := floor.round(); return err }}}
	for i, program := range [][]string{{b.goSDK}, {"node", filepath.Join(node, "rival.mjs")}} {
		rival, err := startWorker(ctx, job, program[0], program[1:]...)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, rival.close()) }()
		name := names[2+i]
		s := subject{rival.cmd.Process.Pid, func() error {
			d, err := rival.round()
			changes[name] = d.Changes
			if err == nil && d.Calls != have.n {
				err = fmt.Errorf("%s made %d calls", name, d.Calls)
			}
			return err
		}}
		w.answers.forget(w.ids...) // so that the cloud checks its requests, once
		if err := s.round(); err != nil {
			return nil, err
		}
		subjects = append(subjects, s)
	}
	took, err := alternate(ctx, rounds, nil, subjects...)
	if err != nil {
		return nil, err
	}
	w.onePercent(0)
	if _, err := w.tick(ctx, f); err != nil {
		return nil, err
	}
	for i, s := range subjects[2:] {
		if err := s.round(); err != nil {
			return nil, err
		}
		if found := changes[names[2+i]]; found != have.n/100 {
			return nil, fmt.Errorf("%s found %d changes of %d", names[2+i], found, have.n/100)
		}
	}

	ships := make([]string, len(subjects))
	for i, paths := range [][]string{{b.clbwatch}, nil, {b.goSDK},
		{filepath.Join(node, "node_modules"), filepath.Join(node, "rival.mjs")}} {
		total := 0
		for _, path := range paths {
			n, err := sizeBelow(path)
			if err != nil {
				return nil, err
			}
			total += n
		}
		if paths != nil {
			ships[i] = mb(total)
		}
	}
	version, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return nil, err
	}
	names[3] += " (node " + strings.TrimSpace(string(version)) + ", not counted in what ships)"
	t = table{{have.String(), "CPU of a quiet round", "of the floor's", "wall time", "peak memory", "ships"}}
	for i, s := range subjects {
		peak, err := peakOf(s.pid)
		if err != nil {
			return nil, err
		}
		t.add(names[i], milli(median(took[i], cpuMS)), ratios(took[i], took[1], cpuMS).String(),
			milli(median(took[i], wallMS)), mb(peak), ships[i])
	}
	return t, w.refused()
}

// sizeBelow is the bytes of a file, or of all files in a folder.
func sizeBelow(path string) (total int, err error) {
	err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += int(info.Size())
		}
		return err
	})
	return total, err
}
