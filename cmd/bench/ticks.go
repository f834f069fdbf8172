package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// The bounds of the budget.
const (
	cpuBoundV2  = 1.5      // of the floor's
	cpuBoundV3  = 2.0      // the same by API 3.0, of application load balancers too
	memoryBound = 64 << 20 // bytes
	linear      = 1.1      // what a load balancer may cost among 10,000, of what it costs among 1,000
)

const largest = 10_000 // load balancers

// ticks measures ticks of more and more load balancers, and of every kind.
func ticks(ctx context.Context, b *bench) (table, error) {
	t := table{{"load balancers x backends", "quiet tick", "floor", "ratio", "1 % changed", "floor", "ratio",
		"baseline", "quiet, each", "peak: baseline", "quiet", "1 % changed"}}
	each := make(map[int]float64) // milliseconds of a quiet tick for each load balancer
	for _, row := range []struct {
		have   balancers
		rounds int
	}{
		{balancers{n: 100, pool: 100, api: "v2"}, 20},
		{balancers{n: 1000, pool: 100, api: "v2"}, 10},
		{balancers{n: largest, pool: 100, api: "v2"}, 5},
		{balancers{n: 1000, pool: 100, api: "v3"}, 10},
		{balancers{n: largest, pool: 100, api: "v3"}, 5},
		{balancers{n: 1000, pool: 100, api: "v2", application: true}, 5},
		{balancers{n: 1000, pool: 100, api: "v3", application: true}, 5},
	} {
		m, err := measureTicks(ctx, b, row.have, row.rounds)
		if err != nil {
			return nil, err
		}
		t.add(m.row(row.have)...)
		if row.have.api == "v2" && !row.have.application {
			each[row.have.n] = median(m.quiet[0], cpuMS) / float64(row.have.n)
		}
		bound := cpuBoundV2
		if row.have.api == "v3" {
			bound = cpuBoundV3
		}
		if row.have.n == largest || row.have.application && row.have.api == "v3" {
			r := ratios(m.quiet[0], m.quiet[1], cpuMS)
			b.judge(r.median <= bound, "CPU of a quiet tick, "+row.have.String(),
				fmt.Sprintf("%.1f x the floor", bound), "%s x", r)
		}
		if row.have.n == largest {
			most := max(m.peaks[0], m.peaks[1], m.peaks[2])
			b.judge(most <= memoryBound, "peak memory, "+row.have.String(), mb(memoryBound), "%s", mb(most))
		}
	}
	growth := each[largest] / each[1000]
	b.judge(growth <= linear, "growth from 1,000 to 10,000", fmt.Sprintf("linear: each costs at most %.1f x",
		linear), "%.2f x", growth)
	return t, nil
}

// tickCosts is what ticks cost: the function's first, then the floor's, if there is one.
type tickCosts struct {
	baseline       sample
	quiet, changed [][]sample
	peaks          [3]int // of the function, in bytes: baseline, quiet ticks, those with 1 % changed
}

func (m tickCosts) row(have balancers) []string {
	cells := func(s [][]sample) []string {
		if len(s) < 2 {
			return []string{milli(median(s[0], cpuMS)), "", ""}
		}
		return []string{milli(median(s[0], cpuMS)), milli(median(s[1], cpuMS)), ratios(s[0], s[1], cpuMS).String()}
	}
	row := append([]string{have.String()}, cells(m.quiet)...)
	row = append(row, cells(m.changed)...)
	row = append(row, milli(cpuMS(m.baseline)), fmt.Sprintf("%.0f µs",
		median(m.quiet[0], cpuMS)/float64(have.n)*1000))
	for _, p := range m.peaks {
		row = append(row, mb(p))
	}
	return row
}

// measureTicks measures a baseline, quiet ticks and ticks with 1 % changed, each in its turn with the floor.
func measureTicks(ctx context.Context, b *bench, have balancers, rounds int) (m tickCosts, err error) {
	w, err := newWorld(have, true)
	if err != nil {
		return m, err
	}
	defer debug.FreeOSMemory() // it was a large one
	defer w.close()
	f, err := w.start(ctx, b.clbwatch)
	if err != nil {
		return m, err
	}
	defer f.Close()
	function := w.subject(ctx, f)
	first, err := alternate(ctx, 1, nil, function)
	if err != nil {
		return m, err
	}
	m.baseline = first[0][0]
	if m.peaks[0], err = peakOf(f.Pid()); err != nil {
		return m, err
	}
	w.answers.count()
	if err := function.round(); err != nil { // what is measured is warm
		return m, err
	}
	subjects := []subject{function}
	if !have.application || have.api == "v3" { // else it asks two hosts
		floor, err := w.floor(ctx, 0)
		if err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, floor.close()) }()
		calls, bytes := w.answers.count()
		fetches := subject{floor.cmd.Process.Pid, func() error {
			d, err := floor.round()
			if err == nil && (d.Calls != calls || d.Bytes < bytes-bytes/100 || d.Bytes > bytes+bytes/100) {
				err = fmt.Errorf("the floor made %d calls for %d bytes, the function %d for %d", d.Calls, d.Bytes, calls,
					bytes)
			}
			return err
		}}
		if err := fetches.round(); err != nil {
			return m, err
		}
		subjects = append(subjects, fetches)
	}
	for i, s := range []struct {
		took   *[][]sample
		before func(int)
	}{{&m.quiet, nil}, {&m.changed, w.onePercent}} {
		if err := resetPeak(f.Pid()); err != nil {
			return m, err
		}
		if *s.took, err = alternate(ctx, rounds, s.before, subjects...); err != nil {
			return m, err
		}
		if m.peaks[1+i], err = peakOf(f.Pid()); err != nil {
			return m, err
		}
	}
	return m, w.refused()
}
