package incident

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
)

// TestHeadStaysSmall holds how much room the worst state that anybody meets takes.
func TestHeadStaysSmall(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("<", 60)
	s := &State{Last: 90_000}
	rules := Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: bot, Suffix: "-12",
		Tag: "abcdefgh"}
	at := epoch.Add(123456789 * time.Nanosecond)
	clb := func(n int) lb.CLB {
		return lb.CLB{Region: "ap-shanghai-fsi", ID: fmt.Sprintf("lb-%08d", n), Label: name, Title: name}
	}
	unread := make([]Unread, 20_000)
	for n := range unread {
		why := Reason{Why: fmt.Sprintf("%s %d %s", strings.Repeat("<", 200), n, name), Do: name}
		unread[n] = Unread{Key: clb(n).Key(), About: Reading, LastGood: at, Reason: why}
	}
	for tick := range 15 {
		at = at.Add(time.Minute)
		rules.Tag = fmt.Sprintf("tag-%04d", tick)
		o := Observation{At: at, Unread: unread}
		for n := 20_000 + tick*68; n < 20_000+tick*68+68; n++ {
			b := lb.Backend{ID: fmt.Sprintf("ins-%08d", n), Name: name, LanIP: "192.168.100.200",
				Status: lb.Running, Weight: 10}
			old := []lb.Backend{b, {ID: fmt.Sprintf("ins-%08d", n+50_000), Name: name,
				LanIP: "192.168.100.201", Status: lb.Running, Weight: 10}}
			b.Status = 4
			next, changes := lb.Diff(old, []lb.Backend{b, old[1]}, at, time.Time{})
			o.Changed = append(o.Changed, Changed{clb(n), lb.Compare(old, next, changes)})
		}
		s.Judge(o, rules)
		if tick == 1 {
			text, err := json.Marshal(s.Unread)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(text) / len(s.Unread); n > 150 || len(s.Unread) != 20_000 {
				t.Errorf("%d of what is not reported yet take %d bytes each, want at most 150", len(s.Unread),
					n)
			}
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	open, blind, roots := 0, 0, len(s.Roots)
	var record []byte
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.About == Backends {
				open++
				continue
			}
			blind++
			if record, err = json.Marshal(i); err != nil || len(record) > 150 {
				t.Fatalf("a record without changes takes %d bytes, %v: %s", len(record), err, record)
			}
		}
	}
	t.Logf("%d incidents about backends, %d about reading, in %d roots: %d bytes; %s", open, blind, roots,
		len(text), record)
	if open < 1000 || blind != 20_000 {
		t.Errorf("%d incidents about backends and %d about reading, want 1000 and 20000", open, blind)
	}
	if len(text) > 4_000_000 {
		t.Errorf("it takes %d bytes", len(text))
	}
	if len(s.Reasons) > maxReasons {
		t.Errorf("%d reasons", len(s.Reasons))
	}
	var again State
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	again.mustBeValid(t)
	if back, err := json.Marshal(&again); err != nil || string(back) != string(text) {
		t.Errorf("decoded and encoded again it is another: %v", err)
	}
}

// TestCrowd holds that of too many machines the counts stay exact, however few have details.
func TestCrowd(t *testing.T) {
	t.Parallel()
	pool := func(root, n int, stopped func(int) bool) []lb.Backend {
		bs := make([]lb.Backend, n)
		for k := range bs {
			bs[k] = lb.Backend{ID: fmt.Sprintf("i%d-%05d", root, k), Status: lb.Running, Weight: 1}
			if stopped(k) {
				bs[k].Status = 4
			}
		}
		return bs
	}
	d := newDesk(t, nil)
	d.mute = true
	const roots, each = 6, 3000
	var names []string
	for n := range roots {
		name := fmt.Sprint("l", n)
		names = append(names, name)
		d.world[name] = pool(n, each, func(int) bool { return false })
		d.snap[name] = lb.Baseline(d.world[name], epoch)
	}
	for n, name := range names {
		d.s.channel(bot).LastYes = d.now.Add(time.Hour)
		d.world[name] = pool(n, each, func(k int) bool { return k%3 == 0 })
		d.pass(4)
	}
	if len(d.s.Roots) != roots {
		t.Fatalf("%d roots, want %d", len(d.s.Roots), roots)
	}
	all := func(*Incident) bool { return true }
	details, crowd := 0, 0
	for n, r := range d.s.Roots {
		tally := r.Tally(all)
		if tally.Machines != each/3 || tally.Kinds[Stopped] != each/3 || tally.AtLeast {
			t.Errorf("root %d: %+v, want %d stopped", n, tally, each/3)
		}
		if len(r.Incidents[0].Machines) > 600 {
			t.Errorf("root %d has details of %d machines", n, len(r.Incidents[0].Machines))
		}
		details += len(r.Incidents[0].Machines)
		crowd += len(r.Incidents[0].Crowd)
	}
	if details != 2000 || details+crowd != roots*each/3 {
		t.Errorf("details of %d machines, hashes of %d; want 2000 and the others", details, crowd)
	}
	if n := len(d.s.Roots[roots-1].Incidents[0].Machines); n != 600 {
		t.Errorf("the newest root has details of %d machines, want 600", n)
	}
	// Some are back: what is out matters more, and nobody is counted twice.
	d.world["l0"] = pool(0, each, func(k int) bool { return k%6 == 0 })
	d.pass(1)
	tally := d.s.Roots[0].Tally(all)
	if tally.Kinds[Stopped] != each/6 || tally.Kinds[Back] != each/6 || tally.Machines != each/3 {
		t.Errorf("half of them are back: %+v", tally)
	}
	for _, m := range d.s.Roots[5].Incidents[0].Machines {
		if m.Now != Out {
			t.Fatalf("details of a machine that is back, and not of one that is out")
		}
	}
	// What was removed before it was seen, what came and went, in the crowd.
	d.world["l0"] = pool(0, each, func(int) bool { return false })[each/3:]
	d.pass(1)
	if tally := d.s.Roots[0].Tally(all); tally.Kinds[Removed] != each/3 ||
		tally.Machines != each/3+each/3*2/3 {
		t.Errorf("a third is removed: %+v", tally)
	}
	s := decoded(t, encoded(t, d.s))
	s.mustBeValid(t)
	if got, want := s.Roots[0].Tally(all), d.s.Roots[0].Tally(all); got != want {
		t.Errorf("stored, the tally is %+v, was %+v", got, want)
	}
	// Beyond 20,000 of them it says that there are more.
	d.world["big"] = pool(9, 25_000, func(int) bool { return false })
	d.snap["big"] = lb.Baseline(d.world["big"], epoch)
	d.world["big"] = pool(9, 25_000, func(int) bool { return true })
	d.pass(1)
	sum, beyond := 0, 0
	for _, r := range d.s.Roots {
		beyond += r.Beyond
		for _, i := range r.Incidents {
			sum += len(i.Crowd)
		}
	}
	if r := d.s.Roots[len(d.s.Roots)-1]; sum != maxCrowd || beyond == 0 || !r.Tally(all).AtLeast {
		t.Errorf("%d hashes, %d machines beyond, at least: %v", sum, beyond, r.Tally(all).AtLeast)
	}
	if i := d.only("big"); i.Counts.LeftRunning != 25_000 || i.Now.Out != 25_000 {
		t.Errorf("%d changes, %d out: counts are not exact", i.Counts.LeftRunning, i.Now.Out)
	}
}

// TestOneMachineBehindMany holds that a machine is counted once, and is one row, however many load balancers
// it is behind.
func TestOneMachineBehindMany(t *testing.T) {
	t.Parallel()
	pools := make(map[string]string)
	for n := range 110 {
		pools[fmt.Sprintf("l%03d", n)] = fmt.Sprintf("m x%d y%d", n, n)
	}
	d := newDesk(t, pools)
	for name := range pools {
		n := strings.TrimLeft(name[1:], "0")
		if n == "" {
			n = "0"
		}
		d.set(name, fmt.Sprintf("m:4 x%s y%s", n, n))
	}
	d.pass(1)
	r := d.s.Roots[0]
	rows := r.Rows()
	if tally := r.Tally(func(*Incident) bool { return true }); tally.Machines != 1 ||
		tally.Kinds[Stopped] != 1 || len(r.Incidents) != 110 {
		t.Errorf("%+v in %d incidents, want one machine in 110", tally, len(r.Incidents))
	}
	if len(rows) != 1 || len(rows[0].In) != 110 || rows[0].ID != "m" {
		t.Errorf("%d rows, the first in %d load balancers", len(rows), len(rows[0].In))
	}
}

// TestMachines holds what several changes of one machine amount to.
func TestMachines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, before string
		then         []string
		want         RowKind
		outages      int
		out          time.Duration
	}{
		{"stops", "w x", []string{"w:4 x"}, Stopped, 1, 0},
		{"fails its check", "w x", []string{"w! x"}, Failing, 1, 0},
		{"fails its check, then stops", "w x", []string{"w! x", "w:4 x"}, Stopped, 1, 0},
		{"is back", "w x", []string{"w:4 x", "w x"}, Back, 1, time.Minute},
		{"twice", "w x", []string{"w:4 x", "w x", "w:4 x", "w:4 x", "w x"}, Back, 2, 3 * time.Minute},
		{"removed", "w x", []string{"x"}, Removed, 0, 0},
		{"stops, and is removed", "w x", []string{"w:4 x", "w:4 x", "x"}, Removed, 1, 2 * time.Minute},
		{"out at first sight, and removed", "w:4 x", []string{"x"}, Removed, 0, time.Minute},
		{"out at first sight, and back", "w:4 x", []string{"w x"}, Recovered, 1, time.Minute},
		{"failed at first sight, and is removed", "w! x", []string{"x"}, Removed, 0, 0},
		{"added", "x", []string{"w x"}, Added, 0, 0},
		{"added stopped", "x", []string{"w:4 x"}, Stopped, 1, 0},
		{"added, and removed", "x", []string{"w x", "x"}, CameAndWent, 0, 0},
		{"removed, and added again", "w x", []string{"x", "w x"}, Back, 0, 0},
		{"of unknown status", "w x", []string{"w:-1 x y"}, Added, 0, 0}, // of y: w did not change
		{"unbound from one listener", "w@A:1,B:2 x@A:1,B:2", []string{"w@A:1 x@A:1,B:2"}, Partly, 0, 0},
		{"unbound from one listener, and back", "w@A:1,B:2 x@A:1,B:2", []string{"w@A:1 x@A:1,B:2",
			"w@A:1,B:2 x@A:1,B:2"}, Partly, 0, 0},
		{"unbound, and stopped", "w@A:1,B:2 x@A:1,B:2", []string{"w:4@A:1 x@A:1,B:2"}, Stopped, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, map[string]string{"a": c.before})
			d.mute = true
			for _, pool := range c.then {
				d.set("a", pool).pass(1)
			}
			rows := d.s.Roots[0].Rows()
			if len(rows) != 1 {
				t.Fatalf("%d rows: %+v", len(rows), rows)
			}
			if m := rows[0]; m.Kind != c.want || m.Outages != c.outages || m.OutFor != c.out {
				t.Errorf("kind %d, out %d times, for %v; want %d, %d, %v", m.Kind, m.Outages, m.OutFor,
					c.want, c.outages, c.out)
			}
		})
	}
}

// TestReplaced holds that one that takes another's name or address is one row, and counts as two machines.
func TestReplaced(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.mute = true
	of := func(id, name, ip string) lb.Backend {
		return lb.Backend{ID: id, Name: name, LanIP: ip, Status: 2, Weight: 10}
	}
	d.world["a"] = []lb.Backend{of("i1", "web", "10.0.0.1"), of("i2", "web", "10.0.0.2"), of("i3", "db",
		"10.0.0.3")}
	d.snap["a"] = lb.Baseline(d.world["a"], epoch)
	d.world["a"] = []lb.Backend{of("i3", "db", "10.0.0.3"), of("i4", "web", "10.0.0.1"), of("i5", "other",
		"10.0.0.9")}
	d.pass(1)
	var got []string
	for _, row := range d.s.Roots[0].Rows() {
		s := fmt.Sprintf("%d:%s", row.Kind, row.ID)
		if row.Old != nil {
			s += "<" + row.Old.ID
		}
		got = append(got, s)
	}
	want := []string{fmt.Sprintf("%d:i2", Removed), fmt.Sprintf("%d:i4<i1", Replaced), fmt.Sprintf("%d:i5",
		Added)}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("rows %v, want %v", got, want)
	}
	if tally := d.s.Roots[0].Tally(func(*Incident) bool { return true }); tally.Kinds[Removed] != 2 ||
		tally.Kinds[Added] != 2 || tally.Machines != 4 {
		t.Errorf("%+v, want 2 removed and 2 added", tally)
	}
}

// TestIncidentsThatAreOverMakeRoom holds that a root which never closes does not grow for ever.
func TestIncidentsThatAreOverMakeRoom(t *testing.T) {
	t.Parallel()
	pools := map[string]string{"a": "w0 w1 w2"}
	for n := range 1200 {
		pools[fmt.Sprintf("l%04d", n)] = fmt.Sprintf("a%d b%d c%d", n, n, n)
	}
	d := newDesk(t, pools)
	d.set("a", "w0:4 w1 w2")
	for n := range 1200 {
		d.set(fmt.Sprintf("l%04d", n), fmt.Sprintf("a%d:4 b%d c%d", n, n, n))
	}
	d.pass(1)
	for n := range 1200 {
		pool := fmt.Sprintf("a%d b%d c%d", n, n, n)
		if n == 0 {
			pool = "b0 c0" // removed: not resolved
		}
		d.set(fmt.Sprintf("l%04d", n), pool)
	}
	d.pass(15)
	r := d.root("a")
	if len(r.Incidents) != 1+maxOver || r.Over != 200 || !r.Unmended {
		t.Errorf("the root has %d incidents, %d have left, unmended %v; want %d, 200, true", len(r.Incidents),
			r.Over, r.Unmended, 1+maxOver)
	}
	closed := make(map[string]bool)
	for _, p := range d.past {
		if p.Closed != nil {
			closed[p.Incident] = true
		}
	}
	for _, i := range r.Incidents {
		if closed[i.ID] {
			t.Errorf("incident %s is in the history and in the state", i.ID)
		}
	}
	if len(closed) != 200 {
		t.Errorf("%d incidents are in the history, want 200", len(closed))
	}
	d.set("a", "w0 w1 w2").pass(30)
	if len(d.s.Roots) != 0 {
		t.Fatalf("it stays")
	}
	if m := d.slack.messages[0]; m.rev == 0 || d.resolved["1"] {
		t.Errorf("the root looks resolved, and one of its incidents was not")
	}
}

// TestCrowdIsOfTheSameKinds holds that a machine without details counts as what it was with them, when it
// moves to the crowd, when it is stored, and when it changes there.
func TestCrowdIsOfTheSameKinds(t *testing.T) {
	t.Parallel()
	part := &lb.Part{Of: 2}
	kinds := []lb.Change{
		{Kind: lb.Added}, {Kind: lb.Removed}, {Kind: lb.LeftRunning}, {Kind: lb.Recovered},
		{Kind: lb.Unhealthy, Part: part}, {Kind: lb.Healthy},
		{Kind: lb.Unbound, Part: part}, {Kind: lb.Bound, Part: part},
	}
	for _, first := range kinds {
		for _, second := range kinds {
			first.Backend.ID, second.Backend.ID = "ins-1", "ins-1"
			m := newMachine(first)
			m.take(first, 1, Rules{})
			crowd := Crowd{hash(m.ID): m.member()}
			text, err := json.Marshal(crowd)
			if err == nil {
				err = json.Unmarshal(text, &crowd)
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := crowd[hash(m.ID)].machine().Kind(); got != m.Kind() {
				t.Errorf("%s: of kind %d, with details %d", first.Kind, got, m.Kind())
			}
			m.take(second, 2, Rules{})
			crowd.take(second)
			if got := crowd[hash(m.ID)].machine().Kind(); got != m.Kind() {
				t.Errorf("%s, then %s: of kind %d, with details %d", first.Kind, second.Kind, got, m.Kind())
			}
		}
	}
}
