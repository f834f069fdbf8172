package state_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/state"
	"clbwatch/internal/state/statetest"
)

// shards is the state of every shard there ever was.
type shards struct {
	mu     sync.Mutex // guards places
	t      *testing.T
	now    time.Time
	places map[state.Shard]*statetest.Memory
	hook   statetest.Hook
	nonces int
	keys   []string
}

func newShards(t *testing.T, keys int) *shards {
	t.Helper()
	s := &shards{t: t, now: start, places: make(map[state.Shard]*statetest.Memory)}
	for i := range keys {
		s.keys = append(s.keys, fmt.Sprintf("ap-guangzhou/lb-%04d", i))
	}
	return s
}

func (s *shards) open(shard state.Shard) (state.Store, error) {
	if shard.Of <= 1 {
		shard = state.Shard{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places[shard] == nil {
		m := statetest.New(func() time.Time { return s.now })
		m.Fail(func(op, what string) (bool, error) {
			if s.hook == nil {
				return true, nil
			}
			return s.hook(op, what)
		})
		s.places[shard] = m
	}
	return s.places[shard], nil
}

func (s *shards) part(n, of int) state.Part {
	shard := state.Shard{N: n, Of: of}
	if of == 1 {
		shard = state.Shard{}
	}
	store, _ := s.open(shard)
	return state.Part{Shard: shard, Store: store, States: s.open, By: ours, Nonce: func() string {
		s.nonces++
		return fmt.Sprint("NONCE", s.nonces)
	}}
}

// baseline is the first commit of a single shard: all load balancers, with an incident on every fourth,
// together in a message with the one after it, another that cannot be read, and more.
func (s *shards) baseline() {
	s.t.Helper()
	p := s.part(1, 1)
	h := p.Next(nil)
	h.Snapshot = pools(s.t, p.Store, s.keys...)
	h.Listed = map[string]time.Time{"ap-guangzhou": s.now}
	// Every message was posted before the next incident began.
	h.Incidents.Channels = map[incident.Route]*incident.Channel{rules().Route: {LastYes: s.now.AddDate(1, 0, 0)}}
	for i := 0; i+2 < len(s.keys); i += 4 {
		at := s.now.Add(time.Duration(i) * time.Hour)
		h.Tail = append(h.Tail, h.Incidents.Judge(incident.Observation{At: at, Changed: []incident.Changed{
			changed(s.keys[i], "ins-a", "web", at), changed(s.keys[i+1], "ins-a", "web", at)}}, rules())...)
	}
	h.Incidents.Unread = make(map[string]incident.Unread)
	for i := 2; i < len(s.keys); i += 4 {
		key := s.keys[i] + " reading"
		h.Incidents.Unread[key] = incident.Unread{Key: s.keys[i], About: incident.Reading, Ticks: 1, Since: s.now,
			Why: 1 + i%3}
		h.Unposted = append(h.Unposted, s.keys[i])
	}
	h.Incidents.Unread["ap-guangzhou/prod-* list"] = incident.Unread{Key: "ap-guangzhou/prod-*",
		About: incident.Listing, Ticks: 1, Since: s.now, Why: 1}
	h.Incidents.Reasons = []incident.Reason{{Why: "A"}, {Why: "B", Do: "wait"}, {Why: "C"}}
	h.Observe("FIRST", s.now)
	s.must(state.Commit(s.t.Context(), p.Store, h))
}

func (s *shards) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// round is a commit of each of so many shards, with a record for each load balancer of theirs.
func (s *shards) round(of int) {
	s.t.Helper()
	s.now = s.now.Add(time.Minute)
	for n := 1; n <= of; n++ {
		s.must(s.tick(n, of))
	}
}

func (s *shards) tick(n, of int) error {
	p := s.part(n, of)
	h, err := p.Begin(s.t.Context())
	if err != nil {
		return err
	}
	next := p.Next(h)
	return state.Commit(s.t.Context(), p.Store, next)
}

// sum is all that the shards of one number know, told apart by nothing.
type sum struct {
	pools, roots, unread, unposted, tail []string
}

func (s *shards) sum(of int) (all sum) {
	s.t.Helper()
	for n := 1; n <= of; n++ {
		p := s.part(n, of)
		h, err := p.Load(s.t.Context())
		s.must(err)
		snap, err := state.OpenSnapshot(s.t.Context(), p.Store, h)
		s.must(err)
		for _, key := range slices.Sorted(maps.Keys(snap.Index.CLBs)) {
			line, err := snap.Seek(key)
			s.must(err)
			if !p.Shard.Owns(key) || line == nil {
				s.t.Errorf("shard %s has %s, with the line %q", p.Shard, key, line)
			}
			all.pools = append(all.pools, key)
		}
		s.must(snap.Drain())
		snap.Close()
		for _, r := range h.Incidents.Roots {
			for _, i := range r.Incidents {
				all.roots = append(all.roots, i.ID+" of "+i.Key)
			}
		}
		for key, u := range h.Incidents.Unread {
			all.unread = append(all.unread, key+" because of "+h.Incidents.Reason(u.Why).Why)
		}
		all.unposted = append(all.unposted, h.Unposted...)
		for _, r := range h.Tail {
			all.tail = append(all.tail, r.Incident+" of "+r.CLB.Key())
		}
		if h.Holds() == "" {
			s.t.Errorf("shard %s: nobody knows which observation it holds", p.Shard)
		}
		if h.Incidents.Last != int64(len(s.keys)/2) || len(h.Listed) != 1 {
			s.t.Errorf("shard %s: the last incident is %d, and %d searches were made", p.Shard, h.Incidents.Last,
				len(h.Listed))
		}
	}
	for _, list := range []*[]string{&all.pools, &all.roots, &all.unread, &all.unposted, &all.tail} {
		slices.Sort(*list)
	}
	return all
}

func (a sum) String() string {
	return fmt.Sprintf("pools %v\nroots %v\nunread %v\nunposted %v\ntail %v", a.pools, a.roots, a.unread,
		a.unposted, a.tail)
}

// history reads all records, of whatever shards there are.
func (s *shards) history() (all []string) {
	s.t.Helper()
	store, _ := s.open(state.Shard{})
	level, err := state.Current(s.t.Context(), store, s.open)
	s.must(err)
	for r, err := range level.Read(s.t.Context(), time.Time{}) {
		s.must(err)
		all = append(all, r.Incident+" of "+r.CLB.Key())
	}
	slices.Sort(all)
	return all
}

func TestShardsOwnEachLoadBalancerOnce(t *testing.T) {
	t.Parallel()
	for of := 1; of <= 8; of++ {
		counts := make([]int, of)
		for i := range 4000 {
			for n := 1; n <= of; n++ {
				if (state.Shard{N: n, Of: of}).Owns(fmt.Sprintf("ap-guangzhou/lb-%08x", i*2654435761)) {
					counts[n-1]++
				}
			}
		}
		sum := 0
		for _, c := range counts {
			sum += c
			if c < 4000/of*8/10 || c > 4000/of*12/10 {
				t.Errorf("%d shards have %v of 4000, want about as many each", of, counts)
			}
		}
		if sum != 4000 {
			t.Errorf("%d shards have %d of 4000 in all", of, sum)
		}
	}
	if !(state.Shard{N: 4, Of: 4}).Owns("ap-guangzhou/lb-8a3k2m1q") {
		// or every state there is would be divided in another way
		t.Error("ap-guangzhou/lb-8a3k2m1q is not in 4/4 any more")
	}
	for _, tt := range []struct {
		shard        state.Shard
		text, suffix string
		first        bool
	}{
		{state.Shard{}, "1/1", "", true}, {state.Shard{N: 1, Of: 1}, "1/1", "", true}, {state.Shard{N: 1, Of: 4},
			"1/4", "-1", true},
		{state.Shard{N: 3, Of: 4}, "3/4", "-3", false},
	} {
		if tt.shard.String() != tt.text || tt.shard.Suffix() != tt.suffix || tt.shard.First() != tt.first {
			t.Errorf("%+v is %s, %q, first: %v; want %+v", tt.shard, tt.shard, tt.shard.Suffix(), tt.shard.First(), tt)
		}
	}
}

func TestChangingTheNumberOfShardsKeepsEverythingOnce(t *testing.T) {
	t.Parallel()
	s := newShards(t, 40)
	s.baseline()
	want, history := s.sum(1), s.history()
	if len(want.pools) != 40 || len(want.roots) != 20 || len(want.unread) != 11 || len(want.unposted) != 10 ||
		len(history) != 20 {
		t.Fatalf("it begins with\n%s\nand the history %v", want, history)
	}
	for _, of := range []int{4, 4, 1, 2, 3, 4, 1, 64, 1} {
		s.round(of)
		s.round(of)
		got := s.sum(of)
		want.tail = got.tail // may be written as history
		if got.String() != want.String() {
			t.Fatalf("%d shards have\n%s\nwant\n%s", of, got, want)
		}
		if now := s.history(); !slices.Equal(now, history) {
			t.Fatalf("the history of %d shards is\n%v\nwant\n%v", of, now, history)
		}
	}
}

// TestHistoryGoesWithTheState has segments in the stores of former shards, to and fro.
func TestHistoryGoesWithTheState(t *testing.T) {
	t.Parallel()
	s := newShards(t, 12)
	s.baseline()
	made := len(s.history())
	for round, of := range []int{1, 4, 1, 3, 4, 2, 1} {
		for n := 1; n <= of; n++ {
			p := s.part(n, of)
			h, err := p.Begin(t.Context())
			s.must(err)
			next := p.Next(h)
			for i := range 500 {
				next.Tail = append(next.Tail, record(1000*round+500*n+i, s.now))
			}
			made += 500
			s.must(state.Commit(t.Context(), p.Store, next))
		}
		if got := s.history(); len(got) != made || len(slices.Compact(got)) > made {
			t.Fatalf("after %d shards the history has %d records, want %d", of, len(got), made)
		}
		s.now = s.now.Add(30 * time.Hour)
	}
}

func TestRootWithIncidentsOfSeveralShardsGoesToOne(t *testing.T) {
	t.Parallel()
	s := newShards(t, 8)
	s.baseline()
	s.round(4)
	for n := 1; n <= 4; n++ {
		h, err := s.part(n, 4).Load(t.Context())
		s.must(err)
		for _, r := range h.Incidents.Roots {
			if first := r.Incidents[0]; !(state.Shard{N: n, Of: 4}).Owns(first.Key) {
				t.Errorf("the root of %s is with shard %d", first.Key, n)
			}
		}
		for _, u := range h.Incidents.Unread {
			if u.About == incident.Listing && n != 1 {
				t.Errorf("shard %d reports %s, too", n, u.Key)
			}
		}
	}
}

func TestShardsFromTheBeginning(t *testing.T) {
	t.Parallel()
	s := newShards(t, 0)
	s.round(3)
	s.round(3)
	for n := 1; n <= 3; n++ {
		if h, err := s.part(n, 3).Load(t.Context()); err != nil || h.Snapshot != nil || h.Era != 2 ||
			h.Holds() != "" {
			t.Errorf("shard %d: %+v, %v", n, h, err)
		}
	}
}

// TestTakeOverDies kills the first run of each new shard at every call it makes, before and after the call
// took effect.
func TestTakeOverDies(t *testing.T) {
	t.Parallel()
	died := errors.New("killed")
	for _, apply := range []bool{false, true} {
		for at := 1; ; at++ {
			s := newShards(t, 12)
			s.baseline()
			s.round(2)
			want, history := s.sum(2), s.history()
			n, hit := 0, false
			s.hook = func(string, string) (bool, error) {
				if n++; n == at {
					hit = true
					return apply, died
				}
				return true, nil
			}
			for i := 1; i <= 3; i++ {
				if err := s.tick(i, 3); err != nil && !errors.Is(err, died) {
					t.Fatalf("died at call %d, apply %v: shard %d: %v", at, apply, i, err)
				}
			}
			s.hook = nil
			for range 2 {
				s.round(3)
			}
			if got := s.sum(3); got.String() != want.String() || !slices.Equal(s.history(), history) {
				t.Fatalf("died at call %d, apply %v: 3 shards have\n%s\nwant\n%s", at, apply, got, want)
			}
			if !hit {
				if at < 20 {
					t.Errorf("only %d calls were tried", at)
				}
				break
			}
		}
	}
}

func TestFormerShardAtWorkIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newShards(t, 8)
	s.baseline()
	p := s.part(1, 1)
	h, err := p.Begin(t.Context())
	s.must(err)
	next := p.Next(h)
	next.Incidents.Plan(s.now, s.now, next.Writer, s.now.Add(time.Minute), rules())
	s.must(state.Commit(t.Context(), p.Store, next))
	if err := s.tick(1, 2); err == nil || !strings.Contains(err.Error(), "still at work") ||
		advice.Of(err) == "" {
		t.Errorf("a new shard while the former one may post: %v, want an error that says what to do", err)
	}
	s.now = s.now.Add(time.Minute)
	s.round(2)

	// A claim that no run can have made under a right clock holds nobody up.
	claims := 0
	for n := 1; n <= 2; n++ {
		p = s.part(n, 2)
		h, err = p.Begin(t.Context())
		s.must(err)
		next = p.Next(h)
		for _, r := range next.Incidents.Roots {
			r.Delivery.Claim = &incident.Claim{By: "x", Until: s.now.Add(time.Hour)}
			claims++
		}
		s.must(state.Commit(t.Context(), p.Store, next))
	}
	s.round(3)
	if claims < 2 {
		t.Errorf("%d claims were made, want some in each shard", claims)
	}
}

// TestLateRunOfAFormerNumberChangesNothing has one under way when the state goes over.
func TestLateRunOfAFormerNumberChangesNothing(t *testing.T) {
	t.Parallel()
	s := newShards(t, 8)
	s.baseline()
	p := s.part(1, 1)
	h, err := p.Begin(t.Context())
	s.must(err)
	s.round(2)
	if n := s.places[state.Shard{}].Newest().N; n != h.N+1 {
		t.Errorf("the former state is at head %d, want one after %d", n, h.N)
	}
	if err := state.Commit(t.Context(), p.Store, p.Next(h)); !errors.Is(err, state.ErrConflict) {
		t.Errorf("the late run commits: %v, want ErrConflict", err)
	}
	if h, err := p.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "went over to 2 shards") {
		t.Errorf("the late run loads %+v, %v, want an error", h, err)
	}
	p.States = nil
	if h, err := p.Begin(t.Context()); err == nil || !strings.Contains(err.Error(), "went over to 2 shards") {
		t.Errorf("a run that knows no other shards: %+v, %v, want an error", h, err)
	}
}

func TestShardsOfAnotherFunctionAreNotTakenOver(t *testing.T) {
	t.Parallel()
	s := newShards(t, 8)
	s.baseline()
	p := s.part(1, 2)
	p.By = theirs
	if _, err := p.Begin(t.Context()); err == nil || !strings.Contains(err.Error(), ours) {
		t.Errorf("Begin = %v, want an error that names %s", err, ours)
	}
	if h, _ := p.Store.Load(t.Context()); h != nil {
		t.Errorf("it was taken over: %+v", h)
	}
	s.now = s.now.Add(10 * time.Minute)
	if _, err := p.Begin(t.Context()); err != nil {
		t.Errorf("10 minutes later: %v", err)
	}
}

func TestStateThatIsNotWholeIsNotShown(t *testing.T) {
	t.Parallel()
	s := newShards(t, 8)
	s.baseline()
	s.must(s.tick(1, 2)) // the other has not run
	store, _ := s.open(state.Shard{})
	if _, err := state.Current(t.Context(), store, s.open); err == nil ||
		!strings.Contains(err.Error(), "not whole") || advice.Of(err) == "" {
		t.Errorf("Current = %v, want an error that says what to do", err)
	}
	s.must(s.tick(2, 2))
	if l, err := state.Current(t.Context(), store, s.open); err != nil || l.Of != 2 {
		t.Errorf("Current = %+v, %v, want 2 shards", l, err)
	}
}

func TestReasonsOfManyShardsStayFew(t *testing.T) {
	t.Parallel()
	s := newShards(t, 100)
	s.baseline()
	s.round(4)
	for n := 1; n <= 4; n++ { // each shard has reasons of its own
		p := s.part(n, 4)
		h, err := p.Begin(t.Context())
		s.must(err)
		next := p.Next(h)
		why := 0
		for key, u := range next.Incidents.Unread {
			next.Incidents.Reasons = append(next.Incidents.Reasons, incident.Reason{Why: "because of " + key})
			why = len(next.Incidents.Reasons)
			u.Why = why
			next.Incidents.Unread[key] = u
		}
		s.must(state.Commit(t.Context(), p.Store, next))
	}
	s.round(1)
	h, err := s.part(1, 1).Load(t.Context())
	s.must(err)
	exact, other := 0, 0
	for key, u := range h.Incidents.Unread {
		switch h.Incidents.Reason(u.Why).Why {
		case "because of " + key:
			exact++
		case "other reasons":
			other++
		default:
			t.Errorf("%s cannot be read because of %q", key, h.Incidents.Reason(u.Why).Why)
		}
	}
	if len(h.Incidents.Reasons) != 20 || exact+other != 26 {
		t.Errorf("%d reasons, of %d things exact and of %d other", len(h.Incidents.Reasons), exact, other)
	}
}

// TestWhatGoesOverOfMessages has one whose first incident is closed, reasons, and a channel that two shards
// know of.
func TestWhatGoesOverOfMessages(t *testing.T) {
	t.Parallel()
	s := newShards(t, 8)
	s.baseline()
	s.round(2)
	mine := func(n, of, from int) string {
		for i := from; ; i++ {
			if key := fmt.Sprintf("ap-guangzhou/lb-%04d", i); (state.Shard{N: n, Of: of}).Owns(key) {
				return key
			}
		}
	}
	for n := 1; n <= 2; n++ {
		p := s.part(n, 2)
		h, err := p.Begin(t.Context())
		s.must(err)
		next := p.Next(h)
		next.Incidents.Roots = nil
		next.Incidents.Reasons = []incident.Reason{{Why: fmt.Sprint("reason of shard ", n)}}
		if n == 2 {
			next.Incidents.Roots = []*incident.Root{{Tag: "MIXED", Delivery: incident.Delivery{Posted: true},
				Incidents: []*incident.Incident{
					{ID: "5", Key: mine(1, 3, 0), About: incident.Reading, Why: 1, End: incident.EndResolved},
					{ID: "6", Key: mine(3, 3, 0), About: incident.Reading, Why: 1}, {ID: "7", Key: mine(2, 3, 0)}}}}
		}
		next.Incidents.Channels = map[incident.Route]*incident.Channel{"C1": {LastYes: start.Add(time.Duration(n) * time.Hour)},
			"C2": {LastYes: start.Add(time.Duration(-n) * time.Hour)}}
		s.must(state.Commit(t.Context(), p.Store, next))
	}
	s.round(3)
	for n := 1; n <= 3; n++ {
		h, err := s.part(n, 3).Load(t.Context())
		s.must(err)
		var has []string
		for _, r := range h.Incidents.Roots {
			for _, i := range r.Incidents {
				has = append(has, i.ID+h.Incidents.Reason(i.Why).Why)
			}
			has = append(has, fmt.Sprint(r.Delivery.Posted))
		}
		want := []string{"", "7 false", "5reason of shard 2 6reason of shard 2 true"}[n-1]
		if got := strings.Join(has, " "); got != want {
			t.Errorf("shard %d has %q, want %q: a message goes where its first open incident belongs", n, got, want)
		}
		c := h.Incidents.Channels
		if !c["C1"].LastYes.Equal(start.Add(2*time.Hour)) || !c["C2"].LastYes.Equal(start.Add(-time.Hour)) {
			t.Errorf("shard %d knows of C1 %s and of C2 %s, want the last yes of each", n, c["C1"].LastYes,
				c["C2"].LastYes)
		}
	}
}

// TestManyShardsBecomeOne has 64 shards with much history each: what the one gets must fit into a head.
func TestManyShardsBecomeOne(t *testing.T) {
	t.Parallel()
	s := newShards(t, 128)
	s.baseline()
	s.round(64)
	for n := 1; n <= 64; n++ {
		p := s.part(n, 64)
		h, err := p.Begin(t.Context())
		s.must(err)
		next := p.Next(h)
		for day := range 89 {
			next.History = append(next.History, state.Segment{Day: start.AddDate(0, 0, day-89).Format(time.DateOnly),
				N:    1,
				Name: "0123456789abcdef0123-ABCDEF", Bytes: 123456, Text: 1234567, Lines: 12345, To: start.AddDate(0, 0,
					day-89)})
		}
		for i := range 300 {
			next.Tail = append(next.Tail, record(1000*n+i, s.now))
		}
		for i := range next.Tail { // of a load balancer of its own
			next.Tail[i].CLB.ID = s.keys[i%128][len("ap-guangzhou/"):]
		}
		s.must(p.Store.Commit(t.Context(), next))
	}
	s.round(1)
	h, err := s.part(1, 1).Load(t.Context())
	s.must(err)
	if len(h.History) < 89*64 || len(h.Tail) != 0 {
		t.Errorf("it has %d segments and %d records in the tail, want %d and none", len(h.History), len(h.Tail),
			89*64)
	}
	if b, err := h.Encode(); err != nil || len(b) > 1<<20 {
		t.Errorf("it takes %d bytes, %v, want at most 1 MB", len(b), err)
	}
}
