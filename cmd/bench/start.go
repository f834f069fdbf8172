package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"clbwatch/internal/sandbox/scf"
)

const (
	sizeBound  = 1.6 // of the hello world's
	startBound = 2.0 // as well

	starts = 21 // of each
)

// start compares the function with the least that can be one: in size, and in the time from its start to its
// first answer.
func start(ctx context.Context, b *bench) (table, error) {
	t := table{{"", "size", "x", "start to first answer", "x", "of it until it takes events"}}
	own, err := size(b.clbwatch)
	if err != nil {
		return nil, err
	}
	least, err := size(b.hello)
	if err != nil {
		return nil, err
	}
	w, err := newWorld(balancers{n: 2, pool: 3, api: "v2"}, false)
	if err != nil {
		return nil, err
	}
	defer w.close()
	f, err := w.start(ctx, b.clbwatch)
	if err != nil {
		return nil, err
	}
	_, err = w.tick(ctx, f) // the baseline
	_ = f.Close()           // never fails
	if err != nil {
		return nil, err
	}
	rows := []struct {
		name, binary, event string
		refuses             bool // the answer is an error of the function's
	}{
		{"hello world of scf-go-lib", b.hello, "{}", false},
		{"clbwatch, an action that there is not", b.clbwatch, `{"action":"nonsense"}`, true},
		{"clbwatch, a quiet tick of 2 load balancers", b.clbwatch, string(scf.TimerEvent(time.Now())), false},
	}
	took := make([][]startTime, len(rows))
	for range starts {
		for i, r := range rows {
			s, err := startOnce(ctx, w, r.binary, r.event, r.refuses)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			took[i] = append(took[i], s)
		}
	}
	answer := func(i int) float64 {
		return median(took[i], func(s startTime) float64 { return s.answer.Seconds() * 1000 })
	}
	for i, r := range rows {
		bytes, times := own, fmt.Sprintf("%.2f", float64(own)/float64(least))
		if r.binary == b.hello {
			bytes, times = least, ""
		}
		row := []string{r.name, thousands(bytes) + " bytes", times, milli(answer(i)), "",
			milli(median(took[i], func(s startTime) float64 { return s.ready.Seconds() * 1000 }))}
		if i > 0 {
			row[4] = fmt.Sprintf("%.2f", answer(i)/answer(0))
		}
		t.add(row...)
	}
	b.judge(float64(own) <= sizeBound*float64(least), "binary", fmt.Sprintf("%.1f x a hello world", sizeBound),
		"%.2f x", float64(own)/float64(least))
	b.judge(answer(1) <= startBound*answer(0), "first answer after start, reading nothing",
		fmt.Sprintf("%.0f x a hello world", startBound), "%.2f x", answer(1)/answer(0))
	b.judge(answer(2) <= startBound*answer(0), "first answer after start, a whole quiet tick",
		fmt.Sprintf("%.0f x a hello world", startBound), "%.2f x", answer(2)/answer(0))
	return t, w.refused()
}

// startTime is when a process takes events, and when it has answered one, since it was begun.
type startTime struct{ ready, answer time.Duration }

func startOnce(ctx context.Context, w *world, binary, event string, refuses bool) (s startTime, err error) {
	began := time.Now()
	f, err := w.start(ctx, binary)
	if err != nil {
		return s, err
	}
	defer f.Close()
	s.ready = time.Since(began)
	_, ferr, err := f.Invoke(ctx, []byte(event))
	s.answer = time.Since(began)
	switch {
	case err != nil:
		return s, err
	case ferr != nil && !refuses:
		return s, ferr
	case ferr == nil && refuses:
		return s, fmt.Errorf("it takes the event %s", event)
	}
	return s, nil
}

func size(path string) (int, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return int(info.Size()), nil
}
