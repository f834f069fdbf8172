package main

import (
	"context"
	"fmt"
)

// slackTraffic counts what Slack is sent by webhook, for more and more changes at once.
func slackTraffic(ctx context.Context, b *bench) (table, error) {
	t := table{{"what happens", "changes", "messages", "bytes", "bytes for each change"}}
	for _, row := range []struct {
		what  string
		have  balancers
		stops func(w *world, status int)
	}{
		{"one backend of one load balancer", balancers{n: 2, pool: 3, api: "v2"},
			func(w *world, s int) { w.set(0, 1, s) }},
		{"six backends of two", balancers{n: 2, pool: 10, api: "v2"},
			func(w *world, s int) { w.set(0, 3, s); w.set(1, 3, s) }},
		{"all backends of one of two", balancers{n: 2, pool: 10, api: "v2"},
			func(w *world, s int) { w.set(0, 10, s) }},
		{"1 % of 10,000, one on each of 100", balancers{n: 100, pool: 100, api: "v2"}, func(w *world, s int) {
			for i := range 100 {
				w.set(i, 1, s)
			}
		}},
		{"all of 10,000, on 100", balancers{n: 100, pool: 100, api: "v2"}, func(w *world, s int) {
			for i := range 100 {
				w.set(i, 100, s)
			}
		}},
	} {
		w, err := newWorld(row.have, false)
		if err != nil {
			return nil, err
		}
		rows, err := traffic(ctx, b, w, row.what, row.stops)
		w.close()
		if err != nil {
			return nil, err
		}
		t = append(t, rows...)
	}
	return t, nil
}

// traffic lets backends stop and run again, and says what each was told with.
func traffic(ctx context.Context, b *bench, w *world, what string,
	change func(w *world, status int)) (rows table, err error) {
	f, err := w.start(ctx, b.clbwatch)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := w.tick(ctx, f); err != nil { // the baseline
		return nil, err
	}
	for _, s := range []struct {
		status int
		how    string
	}{{stopped, "stop"}, {running, "run again"}} {
		change(w, s.status)
		before := len(w.slack.Messages())
		sum, err := w.tick(ctx, f)
		if err != nil {
			return nil, err
		}
		told := w.slack.Messages()[before:]
		bytes := 0
		for _, m := range told {
			bytes += len(m.Raw)
		}
		if sum.Changes == 0 || len(told) == 0 {
			return nil, fmt.Errorf("%s, which %s: %d changes, %d messages", what, s.how, sum.Changes, len(told))
		}
		rows.add(what+" "+s.how, thousands(sum.Changes), fmt.Sprint(len(told)), thousands(bytes),
			fmt.Sprintf("%.1f", float64(bytes)/float64(sum.Changes)))
	}
	return rows, w.refused()
}
