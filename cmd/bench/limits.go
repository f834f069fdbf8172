package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clbwatch/internal/sandbox/scf"
)

// calls counts the API calls of quiet ticks, each of which the cloud checks. By API 2.0 a classic load
// balancer takes one for every 100 backends, or begun; by API 3.0, and an application one by either, one
// whatever it has. The states of an application one's instances are asked for 100 at once, those of several
// load balancers together.
func calls(ctx context.Context, b *bench) (table, error) {
	t := table{{"load balancers x backends", "calls", "the minimum"}}
	all := true
	total, least := 0, 0
	for _, row := range []struct {
		have balancers
		want int
	}{
		{balancers{n: 50, pool: 1, api: "v2"}, 50},
		{balancers{n: 50, pool: 100, api: "v2"}, 50},
		{balancers{n: 50, pool: 101, api: "v2"}, 100},
		{balancers{n: 50, pool: 250, api: "v2"}, 150},
		{balancers{n: 50, pool: 250, api: "v3"}, 50},
		{balancers{n: 50, pool: 10, api: "v2", application: true}, 50 + 5},
		{balancers{n: 50, pool: 10, api: "v3", application: true}, 50 + 5},
	} {
		n, err := callsOf(ctx, b, row.have)
		if err != nil {
			return nil, err
		}
		all = all && n == row.want
		total, least = total+n, least+row.want
		t.add(row.have.String(), fmt.Sprint(n), fmt.Sprint(row.want))
	}
	b.judge(all, "API calls of a quiet tick", fmt.Sprintf("the minimum, in all cases %d", least), "%d", total)
	return t, nil
}

func callsOf(ctx context.Context, b *bench, have balancers) (int, error) {
	w, err := newWorld(have, false)
	if err != nil {
		return 0, err
	}
	defer w.close()
	f, err := w.start(ctx, b.clbwatch)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	before := 0
	for range 2 { // the first asks what the load balancers are, too
		before = w.cloud.Calls() + w.cloud.CallsV3()
		if _, err := w.tick(ctx, f); err != nil {
			return 0, err
		}
	}
	return w.cloud.Calls() + w.cloud.CallsV3() - before, w.refused()
}

// What the API is like, for wall.
const (
	pace    = 20 // calls a second
	latency = 50 * time.Millisecond
)

// wall measures ticks as they are in the field: at the API's pace, which leaves the function waiting most of
// the time.
func wall(ctx context.Context, b *bench) (t table, err error) {
	have := balancers{n: 400, pool: 100, api: "v2"}
	w, err := newWorld(have, true)
	if err != nil {
		return nil, err
	}
	defer w.close()
	f, err := w.start(ctx, b.clbwatch)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := w.tick(ctx, f); err != nil { // the baseline is as fast as can be
		return nil, err
	}
	w.answers.latency = latency
	least := time.Duration(have.n) * time.Second / pace
	floor, err := w.floor(ctx, least)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.close()) }()
	took, err := alternate(ctx, 1, nil, w.subject(ctx, f, scf.WithSetting("CLB_RATE", fmt.Sprint(pace))),
		subject{floor.cmd.Process.Pid, func() error {
			_, err := floor.round()
			return err
		}})
	if err != nil {
		return nil, err
	}
	limit := least + least/20 + latency
	own, floors := took[0][0], took[1][0]
	b.judge(own.wall <= limit, fmt.Sprintf("wall time at %d calls a second, %s", pace, have),
		fmt.Sprintf("%.2f s", limit.Seconds()), "%.2f s", own.wall.Seconds())
	t = table{{"", "wall time", "CPU"}}
	t.add("quiet tick, "+have.String(), fmt.Sprintf("%.2f s", own.wall.Seconds()), milli(cpuMS(own)))
	t.add("the floor, at the same pace", fmt.Sprintf("%.2f s", floors.wall.Seconds()), milli(cpuMS(floors)))
	t.add("calls / rate", fmt.Sprintf("%.2f s", least.Seconds()), "")
	return t, nil
}
