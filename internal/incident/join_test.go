package incident

import (
	"fmt"
	"testing"
	"time"

	"clbwatch/internal/lb"
)

// TestJoining holds which root a new incident joins.
func TestJoining(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) *desk { // a has stopped a minute ago
		d := newDesk(t, map[string]string{"a": "w0 w1 w2", "b": "w3 w4 w5", "c": "w6 w7 w8"})
		return d.set("a", "w0:4 w1 w2").pass(1)
	}
	for _, c := range []struct {
		name string
		do   func(*desk)
		want bool // b's incident joins a's root
	}{
		{"in the same minute", func(d *desk) { d.set("b", "w3:4 w4 w5").pass(1) }, true},
		{"two minutes later", func(d *desk) { d.pass(1).set("b", "w3:4 w4 w5").pass(1) }, true},
		{"three minutes later", func(d *desk) { d.pass(2).set("b", "w3:4 w4 w5").pass(1) }, false},
		{"two minutes later, with a STABLE_AFTER of 5 min", func(d *desk) {
			d.rules.StableAfter = 5 * time.Minute
			d.pass(1).set("b", "w3:4 w4 w5").pass(1)
		}, false},
		{"the first is closed", func(d *desk) {
			d.mute = true
			d.root("a").Incidents[0].Closed, d.root("a").Incidents[0].End = d.now, EndResolved
			d.set("b", "w3:4 w4 w5").pass(1)
		}, false},
		{"the first failed on its own", func(d *desk) {
			d.root("a").Delivery.Fails = 1
			d.set("b", "w3:4 w4 w5").pass(1)
		}, false},
		{"the first is refused in every form", func(d *desk) {
			d.root("a").Delivery.Undelivered = d.now
			d.set("b", "w3:4 w4 w5").pass(1)
		}, false},
		{"another channel", func(d *desk) {
			d.root("a").Delivery.Route = "C9"
			d.s.rootFor(false, d.now, d.rules)
			if r := d.s.rootFor(false, d.now, d.rules); r != nil {
				d.t.Errorf("it would join a root of another channel")
			}
			d.root("a").Delivery.Route = bot
			d.set("b", "w3:4 w4 w5").pass(1)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := begin(t)
			c.do(d)
			if got := d.root("a") == d.root("b"); got != c.want {
				t.Errorf("joins: %v, want %v", got, c.want)
			}
		})
	}
}

// TestOutageIsOneRoot holds that what begins while the channel accepts nothing is one message, however long
// that is.
func TestOutageIsOneRoot(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2", "b": "w3 w4 w5", "c": "w6 w7 w8", "e": "w9 v0"})
	d.mute = true
	d.set("a", "w0:4 w1 w2").pass(20).set("b", "w3:4 w4 w5").pass(20).set("c", "w6:4 w7 w8").pass(1)
	if len(d.s.Roots) != 1 {
		t.Fatalf("%d roots, want 1", len(d.s.Roots))
	}
	d.mute = false
	d.pass(1)
	if got := words(d.slack.messages); got != "42:root" {
		t.Errorf("posted %s, want one root", got)
	}
	d.pass(1).set("e", "w9:4 v0").pass(1)
	if d.root("e") == d.root("a") {
		t.Errorf("what began after the outage joins the root of the outage")
	}
	// The channel accepts others, and one root waits: that one is not joined for ever.
	d = newDesk(t, map[string]string{"a": "w0 w1 w2", "b": "w3 w4 w5", "c": "w6 w7 w8"})
	d.set("a", "w0:4 w1 w2")
	d.mute = true
	d.pass(1)
	d.s.channel(bot).LastYes = d.now.Add(time.Second)
	if d.pass(4).set("b", "w3:4 w4 w5").pass(1); d.root("a") == d.root("b") {
		t.Errorf("it joins an old root though the channel accepts messages")
	}
}

// TestFiftyRoots holds that nothing is evicted: beyond fifty open roots, incidents join the newest that may
// take them.
func TestFiftyRoots(t *testing.T) {
	t.Parallel()
	pools := make(map[string]string)
	for n := range 60 {
		pools[fmt.Sprintf("l%02d", n)] = fmt.Sprintf("a%d b%d c%d", n, n, n)
	}
	d := newDesk(t, pools)
	for n := range 60 {
		if n == 55 {
			d.s.Roots[49].Delivery.Fails = 3 // the newest takes no more
		}
		d.set(fmt.Sprintf("l%02d", n), fmt.Sprintf("a%d:4 b%d c%d", n, n, n)).pass(5)
	}
	in := make([]int, 0, 50)
	for _, r := range d.s.Roots {
		in = append(in, len(r.Incidents))
	}
	if len(in) != 50 || in[0] != 1 || in[48] != 1+5 || in[49] != 1+5 {
		t.Errorf("incidents in roots: %v; want 50 roots, and 5 more in each of the last two", in)
	}
}

// TestNoticesStayApart holds that news that needs nobody shares no root with incidents.
func TestNoticesStayApart(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2"})
	d.set("a", "w0:4 w1 w2")
	o := func() Observation {
		d.now = d.now.Add(time.Minute)
		o := d.observe()
		for n := range 3 {
			o.Notices = append(o.Notices, Incident{Key: fmt.Sprintf("ap-test/gone%d", n), About: Deleted})
		}
		return o
	}
	d.judge(o())
	if len(d.s.Roots) != 2 || d.s.Roots[0].Notice() || !d.s.Roots[1].Notice() ||
		len(d.s.Roots[1].Incidents) != 3 {
		t.Fatalf("roots: %+v; want one of the incident, one of three notices", d.s.Roots)
	}
	if r := d.s.Roots[1]; r.Open() || r.Resolved() || r.Level() != OK {
		t.Errorf("a notice is open %v, resolved %v, %v", r.Open(), r.Resolved(), r.Level())
	}
	d.judge(o()) // the first ones are posted: these get a message of their own
	if got := words(d.slack.messages); got != "1:root 1:root 2:root" {
		t.Errorf("posted %s", got)
	}
	d.pass(1)
	for _, r := range d.s.Roots {
		if r.Notice() {
			t.Errorf("a notice that was posted stays in the state: %+v", r.Delivery)
		}
	}
	d.mute = true
	d.judge(o())
	d.judge(o())
	if n := len(d.s.Roots[len(d.s.Roots)-1].Incidents); n != 6 {
		t.Errorf("a root of notices that is not posted yet has %d of them, want 6", n)
	}
	// Of one kind only so many in one observation.
	many := o()
	for n := range 200 {
		many.Notices = append(many.Notices, Incident{Key: fmt.Sprint("ap-test/x", n), About: Unmatched})
	}
	before := len(d.s.Roots[len(d.s.Roots)-1].Incidents)
	d.judge(many)
	if n := len(d.s.Roots[len(d.s.Roots)-1].Incidents) - before; n != 3+maxNotices {
		t.Errorf("%d notices, want %d", n, 3+maxNotices)
	}
}

// TestFirstNewsOfEachIncidentIsInTheChannel holds that whom it concerns sees it, in a root or as a broadcast.
func TestFirstNewsOfEachIncidentIsInTheChannel(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2", "b": "w3 w4 w5"})
	d.set("a", "w0:4 w1 w2").pass(2).set("b", "w3:4 w4 w5").pass(1)
	if got := words(d.slack.messages); got != "1:root 3:update+broadcast" {
		t.Errorf("posted %s", got)
	}
	d.set("b", "w3:4 w4:4 w5").pass(1) // degraded
	d.set("b", "w3:4 w4 w5").pass(1)   // news, but no rise
	if got := words(d.since(3)); got != "4:update+broadcast+mention 5:update" {
		t.Errorf("then posted %s", got)
	}
}

// TestEachChangeIsInOneIncident holds that no change is counted twice, or not at all.
func TestEachChangeIsInOneIncident(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2", "b": "w0 w3"})
	d.set("a", "w0:4 w1").set("b", "w0:4 w3 w9").pass(1)
	d.set("a", "w0 w1 w2").pass(1).set("b", "w3").pass(15)
	d.set("a", "w0:5 w1 w2").pass(1)
	counts, records := lb.Counts{}, 0
	for _, p := range d.past {
		if p.Change != nil {
			records++
		}
	}
	seen := make(map[string]bool)
	for _, p := range d.past {
		if p.Closed != nil {
			counts = counts.Plus(p.Closed.Counts)
			seen[p.Incident] = true
		}
	}
	for _, r := range d.s.Roots {
		for _, i := range r.Incidents {
			if !seen[i.ID] {
				counts = counts.Plus(i.Counts)
			}
		}
	}
	want := lb.Counts{LeftRunning: 3, Removed: 3, Added: 2, Recovered: 1}
	if counts != want || records != want.Total() {
		t.Errorf("counted %+v in %d records, want %+v", counts, records, want)
	}
}
