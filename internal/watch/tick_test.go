package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

const (
	web = "ap-guangzhou/lb-web"
	api = "ap-guangzhou/lb-api"
)

func backend(id string, status lb.Status) lb.Backend {
	return lb.Backend{ID: id, Name: strings.TrimPrefix(id, "ins-"), Status: status, Weight: 10,
		LanIP: "10.0.3.17"}
}

// up are running backends.
func up(ids ...string) (pool []lb.Backend) {
	for _, id := range ids {
		pool = append(pool, backend(id, lb.Running))
	}
	return pool
}

// many makes n load balancers with two running backends each, and returns their keys.
func many(w *watchtest.World, n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("ap-guangzhou/lb-%04d", i))
		w.Set(keys[i], up("ins-a", "ins-b")...)
	}
	return keys
}

// deadline is the end of a run that begins now and has 50 seconds, as on the platform.
func deadline(t *testing.T, w *watchtest.World) context.Context {
	t.Helper()
	ctx, cancel := context.WithDeadline(t.Context(), w.Now().Add(50*time.Second))
	t.Cleanup(cancel)
	return ctx
}

// try does one tick a minute after the last, in a new process.
func try(t *testing.T, w *watchtest.World, keys ...string) (watch.Summary, error) {
	t.Helper()
	w.Advance(time.Minute)
	return w.Watcher(keys...).Tick(deadline(t, w))
}

// tick does one tick a minute after the last, which must succeed.
func tick(t *testing.T, w *watchtest.World, keys ...string) watch.Summary {
	t.Helper()
	sum, err := try(t, w, keys...)
	if err != nil {
		t.Fatalf("Tick: %v, %+v", err, sum)
	}
	return sum
}

// ticks does so many.
func ticks(t *testing.T, n int, w *watchtest.World, keys ...string) (sum watch.Summary) {
	t.Helper()
	for range n {
		sum = tick(t, w, keys...)
	}
	return sum
}

// run does one tick of a watcher that a test has changed, a minute after the last; it must succeed.
func run(t *testing.T, w *watchtest.World, v *watch.Watcher) watch.Summary {
	t.Helper()
	w.Advance(time.Minute)
	sum, err := v.Tick(deadline(t, w))
	if err != nil {
		t.Fatalf("Tick: %v, %+v", err, sum)
	}
	return sum
}

// news is what the messages in Slack say for the first time, messages separated by "|". Of a baseline it is
// how many load balancers are watched, and how many of their backends run: "watching 1: 2 of 2". Messages
// that say nothing new (reminders, ends of levels) are left out, as is what a copy only repeats.
func news(w *watchtest.World) string {
	var messages []string
	seen := make(map[string]bool)
	for _, m := range w.Slack() {
		words := slices.DeleteFunc(slices.Clone(m.News), func(word string) bool { return seen[m.Key+word] })
		if len(words) == 0 {
			continue
		}
		for _, word := range words {
			seen[m.Key+word] = true
		}
		for i, word := range words {
			words[i] = strings.TrimPrefix(word, "ap-guangzhou/")
		}
		for _, i := range m.First.Incidents {
			if b := i.Baseline; b != nil && m.Call.Post.Root {
				if at := slices.Index(words, strings.TrimPrefix(i.Key, "ap-guangzhou/")+" watching"); at >= 0 {
					words[at] = fmt.Sprintf("watching %d: %d of %d", b.CLBs, b.Running, b.Backends)
				}
			}
		}
		messages = append(messages, strings.Join(words, ", "))
	}
	return strings.Join(messages, " | ")
}

// kinds are the words for changes, as messages have them.
var kinds = map[lb.Kind]string{
	lb.Added: "added", lb.Removed: "removed", lb.LeftRunning: "stopped", lb.Recovered: "recovered",
	lb.Unbound: "unbound",
	lb.Bound:   "bound", lb.Unhealthy: "unhealthy", lb.Healthy: "healthy",
}

// history is everything that the state remembers to have happened to backends, in order.
func history(t *testing.T, w *watchtest.World) (changes []string) {
	t.Helper()
	for _, rec := range records(t, w) {
		if rec.Change != nil {
			changes = append(changes, rec.Change.ID+" "+kinds[rec.Change.Kind])
		}
	}
	return changes
}

func records(t *testing.T, w *watchtest.World) (all []incident.Record) {
	t.Helper()
	v := w.Watcher()
	l, err := state.Current(t.Context(), v.Store, v.States)
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range l.Read(t.Context(), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rec)
	}
	return all
}

// settled checks that everything is in Slack: nothing is due, claimed or in doubt, and each root shows how
// things are.
func settled(t *testing.T, w *watchtest.World) {
	t.Helper()
	for _, r := range w.Head().Incidents.Roots {
		if d := r.Delivery; !d.Due.IsZero() || d.Claim != nil || d.Doubt != nil || d.RootRev != r.Rev {
			t.Errorf("incident %s is not settled: %+v, revision %d", r.ID(), d, r.Rev)
		}
	}
}

// fail makes one operation fail, undone.
func fail(op string, err error) watchtest.Fault {
	return func(o, _ string) (bool, error) {
		if o == op {
			return false, err
		}
		return true, nil
	}
}

// failOf makes one operation fail, undone, on one load balancer.
func failOf(op, key string, err error) watchtest.Fault {
	return func(o, what string) (bool, error) {
		if o == op && what == key {
			return false, err
		}
		return true, nil
	}
}

// ops records the calls that a run makes, but for the one that lists silences, which is made beside readings.
func ops(w *watchtest.World) *[]string {
	var all []string
	w.Fail(func(op, _ string) (bool, error) {
		if op != "hear" {
			all = append(all, op)
		}
		return true, nil
	})
	return &all
}

func nothing(*watchtest.World) {}

func pool(bs ...lb.Backend) func(*watchtest.World) {
	return func(w *watchtest.World) { w.Set(web, bs...) }
}

func TestTick(t *testing.T) {
	t.Parallel()
	type steps = []func(*watchtest.World) // a tick follows each
	tests := []struct {
		name  string
		steps steps
		want  string // after the baseline
	}{
		{"first run is a baseline", nil, ""},
		{"quiet ticks report nothing", steps{nothing, nothing}, ""},
		{"added", steps{pool(up("ins-a", "ins-b", "ins-c")...)}, " | ins-c added"},
		{"removed", steps{pool(up("ins-b")...)}, " | ins-a removed"},
		{"stopped and recovered",
			steps{pool(backend("ins-a", 4), backend("ins-b", 2)), nothing, pool(up("ins-a", "ins-b")...)},
			" | ins-a stopped | ins-a back"},
		{"from one status to another, neither running, is the same outage",
			steps{pool(backend("ins-a", 9), backend("ins-b", 2)), pool(backend("ins-a", 4), backend("ins-b", 2))},
			" | ins-a stopped"},
		{"a status without a published meaning is not running",
			steps{pool(backend("ins-a", 99), backend("ins-b", 2))}, " | ins-a stopped"},
		{"weight, name and addresses are not news",
			steps{pool(lb.Backend{ID: "ins-a", Name: "x", Status: 2, LanIP: "1.2.3.4", WanIPs: []string{"5.6.7.8"}},
				backend("ins-b", 2))}, ""},
		{"really emptied", steps{pool()}, " | ins-a removed, ins-b removed"},
		{"replaced", steps{pool(up("ins-b", "ins-c")...)}, " | ins-a removed, ins-c added"},
		{"added and removed again", steps{pool(up("ins-a", "ins-b", "ins-c")...), pool(up("ins-a", "ins-b")...)},
			" | ins-c added | ins-c came and went"},
		{"several at once are one message", steps{pool(backend("ins-b", 7), backend("ins-c", 2))},
			" | ins-a removed, ins-b stopped, ins-c added"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			w.Set(web, up("ins-a", "ins-b")...)
			tick(t, w, web)
			for _, step := range tt.steps {
				step(w)
				tick(t, w, web)
			}
			if got, want := news(w), "watching 1: 2 of 2"+tt.want; got != want {
				t.Errorf("posted %q, want %q", got, want)
			}
			settled(t, w)
		})
	}
}

func TestTickEndsWhatIsOver(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
	tick(t, w, web)
	w.Set(web, up("ins-a", "ins-b")...)
	ticks(t, 30, w, web)
	if roots := w.Head().Incidents.Roots; len(roots) != 0 {
		t.Errorf("half an hour after all was well there are still %d roots: %+v", len(roots), roots[0])
	}
	last := w.Slack()[1].Shows
	if i := last.Incidents[0]; i.End != incident.EndResolved || !last.Resolved() {
		t.Errorf("the root shows an incident that ended as %q, want resolved", i.End)
	}
	closed := 0
	for _, rec := range records(t, w) {
		if c := rec.Closed; c != nil && c.About == incident.Backends {
			closed++
			if c.End != incident.EndResolved || c.Counts.LeftRunning != 1 || c.Counts.Recovered != 1 {
				t.Errorf("the history has %+v, want one stopped and recovered, resolved", c)
			}
		}
	}
	if closed != 1 {
		t.Errorf("the history has %d closed incidents, want 1", closed)
	}
}

func TestRecoverySaysForHowLongItWasOut(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, backend("ins-a", 2), backend("ins-b", 4))
	tick(t, w, web)
	w.Set(web, backend("ins-a", 4), backend("ins-b", 4))
	tick(t, w, web)
	down := w.Now()
	ticks(t, 11, w, web)
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	all := w.Slack()
	machines := make(map[string]incident.Machine)
	for _, m := range all[len(all)-1].First.Incidents[0].Machines {
		machines[m.ID] = m
	}
	a, b := machines["ins-a"], machines["ins-b"]
	if a.Was != lb.Running || !a.OutAt.Equal(down) || a.OutFor != 12*time.Minute || a.Longer {
		t.Errorf("ins-a: %+v, want out for 12 min since %v", a, down)
	}
	if b.Was != 4 || b.OutFor != 13*time.Minute || !b.Longer {
		t.Errorf("ins-b: %+v, want recovered from 4 after at least the 13 min since the baseline", b)
	}
}

func TestQuietTickCostsNothing(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	ticks(t, 2, w, web) // the notice leaves the state in the second
	calls := ops(w)
	tick(t, w, web)
	if got, want := strings.Join(*calls, " "), "load open read"; got != want {
		t.Errorf("a quiet tick did %q, want %q", got, want)
	}
}

// A tick that posts writes two heads: one that claims, one that marks. A tick that only waits writes one.
func TestBusyTickWritesOneOrTwoHeads(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	ticks(t, 2, w, web)
	for _, step := range []struct {
		name string
		pool []lb.Backend
		want string
	}{
		{"something stops", []lb.Backend{backend("ins-a", 4), backend("ins-b", 2)},
			"load open read open open create commit snapshot commit send commit"},
		{"nothing new", []lb.Backend{backend("ins-a", 4), backend("ins-b", 2)}, "load open read commit"},
		{"it recovers", up("ins-a", "ins-b"),
			"load open read open open create commit snapshot commit send edit commit"},
		{"nothing new again", up("ins-a", "ins-b"), "load open read commit"},
	} {
		w.Set(web, step.pool...)
		calls := ops(w)
		tick(t, w, web)
		if got := strings.Join(*calls, " "); got != step.want {
			t.Errorf("%s: the tick did %q, want %q", step.name, got, step.want)
		}
	}
}

func TestQuietTickRenewsTheHeadNowAndThen(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	for range 30 {
		tick(t, w, web)
		if age := w.Now().Sub(w.Head().ObservedAt); age > 5*time.Minute {
			t.Fatalf("the head is %v old, want at most 5 minutes", age)
		}
	}
	if n := w.Head().N; n > 10 {
		t.Errorf("30 quiet ticks took the head to %d, want a heartbeat every 5 minutes", n)
	}
}

func TestChangeAfterAGapSaysSinceWhen(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	last := w.Head().ObservedAt
	w.Advance(3 * time.Hour)
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	if m := w.Slack()[1].First.Incidents[0].Machines[0]; !m.After.Equal(last) {
		t.Errorf("removed in a gap: reported as since %v, want %v", m.After, last)
	}
	w.Set(web, up("ins-a", "ins-b")...)
	tick(t, w, web)
	if m := w.Slack()[2].First.Incidents[0].Machines[0]; !m.After.IsZero() {
		t.Errorf("added without a gap: reported as since %v, want no such time", m.After)
	}
}

func TestTickWithNothingReadable(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	w.Set(web, backend("ins-a", 4)) // its message is due when the API goes down
	w.Fail(fail("send", watchtest.ErrDown))
	tick(t, w, web)
	good := w.Head().ObservedAt
	w.Fail(fail("read", errors.New("code 4500")))
	sum, err := try(t, w, web)
	if err == nil || !strings.Contains(err.Error(), "no load balancer could be read") ||
		!strings.Contains(err.Error(), "4500") {
		t.Errorf("Tick with the API down: %v, want an error that says so, and why", err)
	}
	if got, want := news(w), "watching 1: 1 of 1 | ins-a stopped"; got != want || sum.Sent != 1 {
		t.Errorf("posted %q, %+v; want %q: what is due is posted all the same", got, sum, want)
	}
	if at := w.Head().ObservedAt; !at.Equal(good) {
		t.Errorf("the head says that it was observed at %v, want %v: nothing was since", at, good)
	}
}

func TestSummaryCountsAndNamesWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	sum := tick(t, w, web, api)
	if sum.CLBs != 2 || sum.Read != 1 || sum.Unreadable != 1 || sum.Odd != nil || sum.Unread == nil ||
		!strings.Contains(sum.Unread.Error(), "cannot read "+api) {
		t.Errorf("%+v, Unread = %v; want it to count and name %s", sum, sum.Unread, api)
	}
	w = watchtest.New()
	keys := many(w, 20)
	for _, key := range keys[1:] {
		w.Delete(key)
	}
	if sum := tick(t, w, keys...); sum.Unreadable != 19 || strings.Count(sum.Unread.Error(), "\n") != 4 {
		t.Errorf("%d unreadable, named as %q, want 19 and the first five", sum.Unreadable, sum.Unread)
	}
}

func TestSummaryNamesOddRows(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	v := w.Watcher(web)
	v.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
		return lb.Reading{Digest: "odd", Backends: up("ins-a"),
			Odd: []string{"ins-2 has no RunFlag", "ins-3 has no RunFlag"}}, nil
	})
	sum := run(t, w, v)
	if want := web + ": ins-2 has no RunFlag; ins-3 has no RunFlag"; sum.Odd == nil || sum.Odd.Error() != want {
		t.Errorf("Odd = %v, want %s", sum.Odd, want)
	}
}

func TestSummaryNamesOddRowsOfAFew(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	v := w.Watcher(many(w, 7)...)
	v.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
		return lb.Reading{Digest: "odd", Backends: up("ins-a"), Odd: []string{"ins-2 has no RunFlag"}}, nil
	})
	if sum := run(t, w, v); strings.Count(sum.Odd.Error(), "\n") != 4 {
		t.Errorf("Odd = %v, want five lines", sum.Odd)
	}
}

func TestWatchingAgainIsABaseline(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Set(api, up("ins-c")...)
	tick(t, w, web)
	tick(t, w, web, api)
	tick(t, w, api)
	w.Set(web, up("ins-z")...)
	tick(t, w, web, api)
	if got, want := news(w), "watching 1: 1 of 1 | watching 1: 1 of 1 | watching 1: 1 of 1"; got != want {
		t.Errorf("posted %q, want %q", got, want)
	}
}

func TestCollectIsCalledNowAndThen(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	for i := range 100 {
		w.Set(web, up("ins-a", string(rune('b'+i%2)))...)
		tick(t, w, web)
	}
	if n, head := w.Collections(), w.Head().N; int64(n) != head/64 || n == 0 {
		t.Errorf("%d collections in %d heads, want one for 64", n, head)
	}
	w.Fail(fail("collect", errors.New("no permission to list")))
	untidy := 0
	for i := range 64 {
		w.Set(web, up("ins-a", string(rune('b'+i%2)))...)
		if sum := tick(t, w, web); sum.Untidy != nil {
			untidy++
		}
	}
	if untidy == 0 {
		t.Error("no summary says that old state could not be deleted")
	}
}

// readFunc is a source in a function.
type readFunc func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error)

func (f readFunc) Read(ctx context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error) {
	return f(ctx, c, known)
}
