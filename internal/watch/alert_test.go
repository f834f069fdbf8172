package watch

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
)

func ExampleDiff() {
	at := time.Date(2026, 11, 23, 4, 53, 0, 0, time.UTC)
	old := []lb.Backend{{ID: "ins-a", Status: lb.Running}, {ID: "ins-b", Status: lb.Running}}
	now := []lb.Backend{{ID: "ins-a", Status: 4}, {ID: "ins-c", Status: lb.Running}}
	_, changes := lb.Diff(old, now, at, time.Time{})
	for _, c := range changes {
		fmt.Println(c.Backend.ID, c.Kind, c.Backend.Status)
	}
	// Output:
	// ins-a left running shut down (4)
	// ins-b removed running (2)
	// ins-c added running (2)
}

// FuzzDiff checks the one law of Diff: applied to old, the changes give now.
func FuzzDiff(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{2, 4})
	f.Add([]byte{}, []byte{2})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		pool := func(bytes []byte) []lb.Backend {
			byID := map[string]lb.Backend{}
			for _, x := range bytes {
				id := fmt.Sprintf("ins-%d", x/4%16)
				byID[id] = lb.Backend{ID: id, Status: lb.Status(1 + x%4)}
			}
			var p []lb.Backend
			for _, be := range byID {
				p = append(p, be)
			}
			lb.SortBackends(p)
			return p
		}
		at := time.Unix(1795409616, 0).UTC()
		old, now := pool(a), pool(b)
		next, changes := lb.Diff(old, now, at, time.Time{})
		running := map[string]bool{}
		for _, be := range old {
			running[be.ID] = be.Running()
		}
		for _, c := range changes {
			was, there := running[c.Backend.ID]
			ok := false
			switch c.Kind {
			case lb.Added:
				ok = !there
				running[c.Backend.ID] = c.Backend.Running()
			case lb.Removed:
				ok = there
				delete(running, c.Backend.ID)
			case lb.LeftRunning:
				ok = there && was
				running[c.Backend.ID] = false
			case lb.Recovered:
				ok = there && !was
				running[c.Backend.ID] = true
			}
			if !ok {
				t.Errorf("Diff(%v, %v) tells %s of %s, which was there: %v, running: %v", old, now, c.Kind, c.Backend.ID, there, was)
			}
		}
		if len(running) != len(now) {
			t.Errorf("Diff(%v, %v) = %v, which gives %v", old, now, changes, running)
		}
		for i, be := range next {
			if running[be.ID] != be.Running() || (be.Out == nil) != be.Running() {
				t.Errorf("Diff(%v, %v): next %+v after changes that give running %v", old, now, be, running[be.ID])
			}
			if be.Out = nil; !reflect.DeepEqual(be, now[i]) {
				t.Errorf("Diff(%v, %v): next %+v is not %+v", old, now, be, now[i])
			}
		}
	})
}

func TestAlertIsBounded(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("界", 85)
	var a Alert
	for i := range 3000 {
		p := PoolNews{CLB: lb.CLB{Region: "ap-guangzhou", ID: fmt.Sprintf("lb-%d", i), Label: name[:48*3]}, Capacity: lb.Capacity{Total: 100}}
		for j := range 5 + i%20 {
			p.Changes = append(p.Changes, lb.Change{Kind: lb.LeftRunning, Backend: lb.Backend{ID: fmt.Sprint("ins-", j), Name: name, LanIP: name}})
		}
		p.Counts = lb.Count(p.Changes)
		a.Pools = append(a.Pools, p)
		a.Blind = append(a.Blind, Blind{CLB: p.CLB, Why: strings.Repeat("y", maxWhy), Do: strings.Repeat("d", 200)})
		a.Sighted = append(a.Sighted, Sighted{CLB: p.CLB})
	}
	want, _ := a.Totals()
	bounded := a.bound()
	if got, clbs := bounded.Totals(); got != want || clbs != 3000 {
		t.Errorf("after bound the alert tells of %+v on %d load balancers, want %+v on 3000", got, clbs, want)
	}
	if n := bounded.MoreBlind + len(bounded.Blind); n != 3000 {
		t.Errorf("after bound it counts %d unreadable load balancers, want 3000", n)
	}
	b, err := json.Marshal(bounded)
	if err != nil || len(b) > 900<<10 {
		t.Errorf("it takes %d bytes, %v; want at most 900 kB with the longest names there are", len(b), err)
	}
	if bounded.Pools[0].Counts.LeftRunning != 24 {
		t.Errorf("the first load balancer has %+v, want the worst", bounded.Pools[0].Counts)
	}
}

func TestMergeTellsOfBoth(t *testing.T) {
	t.Parallel()
	testCLB := lb.CLB{Region: "r", ID: "lb-1"}
	change := func(k lb.Kind, id string) lb.Change { return lb.Change{Kind: k, Backend: lb.Backend{ID: id}} }
	older := Alert{ID: "1", From: time.Unix(1, 0), To: time.Unix(1, 0), Baseline: &Baseline{CLBs: 1, Backends: 2, Running: 2},
		Pools: []PoolNews{{CLB: testCLB, Counts: lb.Counts{LeftRunning: 1}, Capacity: lb.Capacity{Running: 1, Total: 2}, Changes: []lb.Change{change(lb.LeftRunning, "a")}}}}
	newer := Alert{ID: "2", From: time.Unix(2, 0), To: time.Unix(2, 0), Blind: []Blind{{CLB: testCLB}}, Baseline: &Baseline{CLBs: 1, Backends: 3, Running: 1},
		Pools: []PoolNews{{CLB: testCLB, Counts: lb.Counts{Recovered: 1}, Capacity: lb.Capacity{Running: 2, Total: 2}, Changes: []lb.Change{change(lb.Recovered, "a")}}}}
	got := merge(older, newer)
	want := Alert{ID: "2", From: time.Unix(1, 0), To: time.Unix(2, 0), Blind: newer.Blind, Baseline: &Baseline{CLBs: 2, Backends: 5, Running: 3},
		Pools: []PoolNews{{CLB: testCLB, Counts: lb.Counts{LeftRunning: 1, Recovered: 1}, Capacity: lb.Capacity{Running: 2, Total: 2},
			Changes: []lb.Change{change(lb.LeftRunning, "a"), change(lb.Recovered, "a")}}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("merge = %+v\nwant %+v", got, want)
	}
}

func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	var h *Head
	for i := range 100 {
		// Every run is killed after it took the lease: nothing is known of any alert.
		h = h.successor(fmt.Sprint("w", i), time.Unix(int64(i), 0))
		h.owe(Alert{Pools: []PoolNews{{CLB: lb.CLB{ID: "lb-1"}, Counts: lb.Counts{Added: 1}, Changes: []lb.Change{{Kind: lb.Added}}}}})
		h.claim(time.Unix(int64(i), 0))
	}
	total := 0
	for _, a := range h.Outbox {
		c, _ := a.Totals()
		total += c.Added
	}
	if len(h.Outbox) > maxOutbox || total != 100 {
		t.Errorf("the outbox has %d alerts with %d changes, want at most %d with all 100", len(h.Outbox), total, maxOutbox)
	}
}

func TestMarkLeavesWhatOthersSend(t *testing.T) {
	t.Parallel()
	h := &Head{Lease: &Lease{By: "other"}, Outbox: []Alert{{ID: "1", Claimed: true}, {ID: "2", Claimed: true}, {ID: "3"}}}
	h.mark("me", map[string]outcome{"1": {fate: done}})
	if h.Lease == nil || len(h.Outbox) != 2 || !h.Outbox[0].Claimed {
		t.Errorf("after a mark by a run without the lease: lease %v, outbox %+v; want only alert 1 gone", h.Lease, h.Outbox)
	}
	h.mark("other", map[string]outcome{"2": {fate: unknown}})
	if h.Lease != nil || len(h.Outbox) != 2 || !h.Outbox[0].Claimed || h.Outbox[1].Claimed {
		t.Errorf("after a mark by the holder: lease %v, outbox %+v; want no lease and 2 still claimed", h.Lease, h.Outbox)
	}
}

// FuzzDecodeHead checks that whatever is taken for a head can be stored again.
func FuzzDecodeHead(f *testing.F) {
	h := (&Head{Schema: 1, N: 6, Writer: "w"}).successor("v", time.Unix(1795409616, 0).UTC())
	h.owe(Alert{Baseline: &Baseline{CLBs: 1}})
	b, err := h.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"schema":2,"n":7}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHead(7, b)
		if err != nil {
			return
		}
		again, err := h.Encode()
		if err != nil {
			t.Skip() // a time that JSON cannot hold
		}
		if _, err := DecodeHead(7, again); err != nil {
			t.Errorf("%q is taken for a head, stored as %q, and then refused: %v", b, again, err)
		}
	})
}

// FuzzSnapshot checks that damaged text is an error and never a shorter snapshot that passes for whole.
func FuzzSnapshot(f *testing.F) {
	f.Add(`{"schema":1,"clbs":{"r/a":{"digest":"d","backends":0}}}` + "\n" + `{"key":"r/a","backends":[]}` + "\n")
	f.Add("{}\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, _, err := openSnapshot(strings.NewReader(text))
		if err != nil {
			return
		}
		var keys []string
		for !s.ended {
			if err := s.next(); err != nil {
				return
			}
			if !s.ended {
				keys = append(keys, s.key)
			}
		}
		if !slices.IsSorted(keys) || strings.Count(text, "\n") != len(keys)+1 {
			t.Errorf("%q is read as %q", text, keys)
		}
	})
}

func TestSnapshotWithLongLines(t *testing.T) {
	t.Parallel()
	long := `{"key":"r/b","backends":[{"id":"` + strings.Repeat("x", 1<<20) + `","status":2,"weight":0}]}`
	text := `{"schema":1,"clbs":{}}` + "\n" + `{"key":"r/a","backends":[]}` + "\n" + long + "\n" + `{"key":"r/c","backends":[]}` + "\n"
	s, _, err := openSnapshot(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"r/b": long} {
		if got, err := s.seek(key); string(got) != want || err != nil {
			t.Errorf("seek(%s) = %d bytes, %v, want %d", key, len(got), err, len(want))
		}
	}
	if got, err := s.seek("r/bb"); got != nil || err != nil {
		t.Errorf("seek of what is not there = %q, %v", got, err)
	}
	if got, err := s.seek("r/c"); string(got) != `{"key":"r/c","backends":[]}` || err != nil {
		t.Errorf("seek(r/c) = %q, %v", got, err)
	}
}

// poolNews is news of one load balancer, with so many running of so many.
func poolNews(id string, before, running, total int, c lb.Counts) PoolNews {
	return PoolNews{CLB: lb.CLB{Region: "r", ID: id}, Counts: c, Out: total - running, Before: &lb.Capacity{Running: before, Total: total, Weight: 10 * total, Serving: 10 * before},
		Capacity: lb.Capacity{Running: running, Total: total, Weight: 10 * total, Serving: 10 * running}}
}

func TestMergeKeepsWhatWasBeforeItAll(t *testing.T) {
	t.Parallel()
	got := mergePools([]PoolNews{poolNews("lb-1", 4, 3, 4, lb.Counts{LeftRunning: 1})}, []PoolNews{poolNews("lb-1", 3, 2, 4, lb.Counts{LeftRunning: 1})})
	if !got[0].Fell(50) || got[0].Before.Running != 4 || got[0].Running != 2 {
		t.Errorf("4 of 4, then 3, then 2: %+v, want a fall from 4 to 2", got[0])
	}
}

func TestTheLargerShareOfWeightLostIsWorse(t *testing.T) {
	t.Parallel()
	much, many := poolNews("lb-much", 2, 1, 2, lb.Counts{LeftRunning: 1}), poolNews("lb-many", 100, 90, 100, lb.Counts{LeftRunning: 10})
	if worse(much, many) >= 0 || worse(many, much) <= 0 {
		t.Error("half of the weight lost is not worse than a tenth")
	}
}

func TestThreadsAreBoundedTheNewestStay(t *testing.T) {
	t.Parallel()
	var threads Threads
	for i := range maxThreads + 5 {
		a := Alert{Thread: fmt.Sprintf("t%03d", i), To: time.Unix(int64(i), 0), Pools: []PoolNews{poolNews(fmt.Sprint("lb-", i), 2, 1, 2, lb.Counts{LeftRunning: 1})}}
		threads = threads.after(a, Receipt{TS: fmt.Sprint(i)})
	}
	if _, oldest := threads["t004"]; len(threads) != maxThreads || oldest {
		t.Errorf("%d threads, with the fifth: %v; want the newest %d", len(threads), oldest, maxThreads)
	}
}

func TestAThreadCountsWhatCameLater(t *testing.T) {
	t.Parallel()
	threads := Threads(nil).after(Alert{Thread: "t", Pools: []PoolNews{poolNews("lb-1", 4, 3, 4, lb.Counts{LeftRunning: 1})}}, Receipt{TS: "1"})
	threads = threads.after(Alert{Thread: "t", Reply: true, Pools: []PoolNews{poolNews("lb-1", 3, 1, 4, lb.Counts{LeftRunning: 2})}}, Receipt{TS: "1"})
	if c := threads["t"].Course["r/lb-1"]; c.Later != (lb.Counts{LeftRunning: 2}) || c.Running != 1 {
		t.Errorf("the course is %+v, want two later changes and one running", c)
	}
}

func TestAnAlertOfTheVersionBeforeOpensNoThread(t *testing.T) {
	t.Parallel()
	// It has no name that later news could be sent to.
	if got := Threads(nil).after(Alert{Pools: []PoolNews{poolNews("lb-1", 4, 3, 4, lb.Counts{LeftRunning: 1})}}, Receipt{TS: "1"}); got != nil {
		t.Errorf("threads %+v, want none", got)
	}
	h := (&Head{Schema: 1, N: 5, Writer: "w"}).successor("x", time.Unix(9, 0))
	if h.Schema != schema || !h.LogFrom.Equal(time.Unix(9, 0)) {
		t.Errorf("after a head of schema 1: schema %d, log since %v, want %d and since now", h.Schema, h.LogFrom, schema)
	}
}

func TestACrowdedOutboxKeepsEverythingInOrder(t *testing.T) {
	t.Parallel()
	h := &Head{N: 1, Writer: "w"}
	told := make(map[string]int)
	for i := range 3 * maxOutbox {
		h = h.successor(fmt.Sprint("w", i), time.Unix(int64(i), 0))
		id := fmt.Sprint("lb-", i%7)
		h.owe(Alert{Pools: []PoolNews{poolNews(id, 4, 3, 4, lb.Counts{LeftRunning: 1})}}) // an incident that stays open
		told["r/"+id]++
		h.claim(time.Unix(int64(i), 0)) // by a run that is killed
	}
	total := make(map[string]int)
	for _, a := range h.Outbox {
		for _, p := range a.Pools {
			total[p.CLB.Key()] += p.Counts.LeftRunning
		}
	}
	if len(h.Outbox) > maxOutbox || !reflect.DeepEqual(total, told) {
		t.Errorf("the outbox has %d alerts with %v, want at most %d with %v", len(h.Outbox), total, maxOutbox, told)
	}
	for i, a := range h.Outbox[:len(h.Outbox)-1] {
		if !a.Claimed {
			t.Errorf("alert %d is not claimed any more, though people may have it", i)
		}
	}
}
