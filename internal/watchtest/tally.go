package watchtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Tally counts what campaigns lived through, to be shown: what never happened proves nothing.
type Tally struct {
	Histories, Runs, Calls, Changes, Roots, News, Posts, Edits, Voids       atomic.Int64
	Deaths, Errors, Stale, Overlaps, Freezes, Late, TooLate, Held, Refusals atomic.Int64
	Doubles, BlindDoubles, Presumed, Silences, Acks, HeldBack               atomic.Int64
	Calms, Sleeps, Days, Deleted, Routes, Shards, Strays, APIOuts           atomic.Int64
	Outages                                                                 [outageKinds]atomic.Int64
	Curses                                                                  [curseKinds]atomic.Int64

	mu     sync.Mutex
	faults map[string]int
	delays []time.Duration
}

func (t *Tally) delay(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.delays = append(t.delays, d)
}

var howNames = [...]string{"well", "fails", "dies", "slow", "frozen", "lies", "late", "changes", "not done",
	"channel down", "unknown", "lost"}

// fault counts what goes wrong with a call.
func (t *Tally) fault(class string, f fate) {
	if f.how == well {
		return
	}
	what := class + " " + howNames[f.how]
	switch {
	case f.how == fails && f.applied, f.how == dies && f.applied:
		what += " after it took effect"
	case f.how == freezes && f.before:
		what += " before the call"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.faults == nil {
		t.faults = make(map[string]int)
	}
	t.faults[what]++
}

// Delay is how long it took until so many percent of the news was in Slack, from the beginning of the run
// that found it or, if later, the end of the channel's outage.
func (t *Tally) Delay(percent float64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.delays) == 0 {
		return 0
	}
	all := slices.Sorted(slices.Values(t.delays))
	return all[min(len(all)-1, int(percent*float64(len(all))/100))]
}

// String is the tally in some lines.
func (t *Tally) String() string {
	var b strings.Builder
	f := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	f("%d histories, %d runs, %d calls to Slack; ", t.Histories.Load(), t.Runs.Load(), t.Calls.Load())
	f("%d things done to backends, %d changes in %d roots, ", t.Changes.Load(), t.News.Load(), t.Roots.Load())
	f("%d posts, %d edits, %d copies marked\n", t.Posts.Load(), t.Edits.Load(), t.Voids.Load())
	f("%d deaths, %d runs that failed, %d stale, %d overlaps, ", t.Deaths.Load(), t.Errors.Load(),
		t.Stale.Load(), t.Overlaps.Load())
	f("%d frozen, %d calls after their claim was taken over (%d of them after LATE), %d held back\n",
		t.Freezes.Load(), t.Late.Load(), t.TooLate.Load(), t.Held.Load())
	f("posted twice where that is allowed: %d by bots that may look, %d by others; ", t.Doubles.Load(),
		t.BlindDoubles.Load())
	f("%d silences, %d acknowledgements, %d incidents that nobody was told of\n", t.Silences.Load(),
		t.Acks.Load(), t.HeldBack.Load())
	f("%d presumed delivered that were not\n", t.Presumed.Load())
	f("%d calm times, %d machines slept, %d days passed, ", t.Calms.Load(), t.Sleeps.Load(), t.Days.Load())
	f("%d messages deleted, %d routes changed, ", t.Deleted.Load(), t.Routes.Load())
	f("%d times other shards, %d stray shards, %d outages of the API\n", t.Shards.Load(), t.Strays.Load(),
		t.APIOuts.Load())
	f("outages of the channel: %d unsent, %d answered 500, %d without answers, %d that hang\n",
		t.Outages[outUnsent].Load(), t.Outages[outFails].Load(),
		t.Outages[outAnswers].Load(), t.Outages[outHangs].Load())
	f("%d refusals; roots with", t.Refusals.Load())
	for c, name := range curseNames {
		if name != "" {
			f(" %s: %d;", name, t.Curses[c].Load())
		}
	}
	f("\ncalls that went wrong:")
	t.mu.Lock()
	var names []string
	for name := range t.faults {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f(" %s: %d;", name, t.faults[name])
	}
	n := len(t.delays)
	t.mu.Unlock()
	in := func(percent float64) time.Duration { return t.Delay(percent).Round(time.Second) }
	f("\nfrom the observation of %d news to Slack: p50 %s, p90 %s, p99 %s, most %s", n, in(50), in(90),
		in(99), in(100))
	return b.String()
}
