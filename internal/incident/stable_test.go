package incident

import (
	"testing"
	"time"

	"clbwatch/internal/lb"
)

// TestStable holds when a load balancer counts as stable, and how its incident ends then.
func TestStable(t *testing.T) {
	t.Parallel()
	pools := map[string]string{"a": "w0 w1 w2 w3"}
	for _, c := range []struct {
		name   string
		do     func(*desk)
		stable bool
		end    End
	}{
		{"nine minutes after the change", func(d *desk) { d.pass(9) }, false, ""},
		{"ten minutes after", func(d *desk) { d.pass(10) }, true, ""},
		{"ten minutes less 15 s: a timer is never exact", func(d *desk) {
			d.pass(9)
			d.now = d.now.Add(45 * time.Second)
			d.tick()
		}, true, ""},
		{"ten minutes less 25 s", func(d *desk) {
			d.pass(9)
			d.now = d.now.Add(35 * time.Second)
			d.tick()
		}, false, ""},
		{"another change starts the count again", func(d *desk) {
			d.pass(6).set("a",
				"w0:4 w1:4 w2 w3").pass(9)
		}, false, ""},
		{"unreadable for 5 of 14 minutes", func(d *desk) {
			d.blind["a"] = Reading
			d.pass(5)
			delete(d.blind, "a")
			d.pass(9)
		}, false, ""},
		{"unreadable for 5 of 15 minutes", func(d *desk) {
			d.blind["a"] = Reading
			d.pass(5)
			delete(d.blind, "a")
			d.pass(10)
		}, true, ""},
		{"unreadable, every other minute", func(d *desk) {
			for range 9 {
				d.blind["a"] = Reading
				d.pass(1)
				delete(d.blind, "a")
				d.pass(1)
			}
		}, false, ""},
		{"its health unreadable for 5 of 14 minutes", func(d *desk) {
			d.blind["a"] = Health
			d.pass(5)
			delete(d.blind, "a")
			d.pass(9)
		}, false, ""},
		{"unreadable now", func(d *desk) {
			d.pass(5)
			d.blind["a"] = Reading
			d.pass(30)
		}, false, ""},
		{"changed while its health was unreadable", func(d *desk) {
			d.blind["a"] = Health
			d.pass(8).set("a", "w0:4 w1:4 w2 w3").pass(1)
			delete(d.blind, "a")
			d.pass(10)
		}, false, ""},
		{"changed while its health was unreadable, a minute later", func(d *desk) {
			d.blind["a"] = Health
			d.pass(8).set("a", "w0:4 w1:4 w2 w3").pass(1)
			delete(d.blind, "a")
			d.pass(11)
		}, true, ""},
		{"no tick for 9 minutes, which are known for half of STABLE_AFTER only", func(d *desk) {
			d.now = d.now.Add(9 * time.Minute)
			d.tick()
			d.pass(1)
		}, false, ""},
		{"no tick for 9 minutes, and 5 more", func(d *desk) {
			d.now = d.now.Add(9 * time.Minute)
			d.tick()
			d.pass(5)
		}, true, ""},
		{"back", func(d *desk) { d.set("a", "w0 w1 w2 w3").pass(11) }, true, EndResolved},
		{"back, nine minutes ago", func(d *desk) { d.set("a", "w0 w1 w2 w3").pass(10) }, false, ""},
		{"removed: not resolved", func(d *desk) { d.set("a", "w1 w2 w3").pass(11) }, true, EndOver},
		{"replaced", func(d *desk) { d.set("a", "w1 w2 w3 w9").pass(11) }, true, EndResolved},
		{"back, but drained", func(d *desk) { d.set("a", "w0*0 w1 w2 w3").pass(11) }, true, EndOver},
		{"back, with one more", func(d *desk) { d.set("a", "w0 w1 w2 w3 w4").pass(11) }, true, EndResolved},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, pools)
			d.set("a", "w0:4 w1 w2 w3").pass(1)
			i := d.only("a")
			id := i.ID
			c.do(d)
			for _, r := range d.s.Roots { // a clone may have taken its place
				for _, x := range r.Incidents {
					if x.ID == id {
						i = x
					}
				}
			}
			if i.Stable != c.stable || i.End != c.end {
				t.Errorf("stable %v, end %q; want %v, %q", i.Stable, i.End, c.stable, c.end)
			}
		})
	}
}

// TestEndsAreHonest holds that only an outage that is made good looks resolved.
func TestEndsAreHonest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, before, after string
		want                End
	}{
		{"nothing was ever out: removed", "w0 w1 w2", "w0", EndOver},
		{"nothing was ever out: added", "w0 w1", "w0 w1 w2 w3", EndOver},
		{"out at first sight, and back", "w0:4 w1", "w0 w1", EndResolved},
		{"out at first sight, and removed: nothing was lost, nothing is resolved", "w0:4 w1", "w1", EndOver},
		{"added stopped, and removed", "w0 w1", "w0 w1 w2:4", EndOver},
		{"drained ones only", "w0 w1*0", "w0 w1:4*0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, map[string]string{"a": c.before})
			d.set("a", c.after).pass(1)
			if c.name == "added stopped, and removed" {
				d.set("a", c.before).pass(1)
			}
			i := d.only("a")
			d.pass(10)
			if i.End != c.want && d.endOf(i.ID) != c.want {
				t.Errorf("ends as %q, want %q", d.endOf(i.ID), c.want)
			}
		})
	}
}

// endOf is how an incident ended, by the state or the history.
func (d *desk) endOf(id string) End {
	for _, r := range d.s.Roots {
		for _, i := range r.Incidents {
			if i.ID == id {
				return i.End
			}
		}
	}
	for _, p := range d.past {
		if p.Closed != nil && p.Incident == id {
			return p.Closed.End
		}
	}
	return ""
}

// TestGoneLoadBalancersCloseTheirIncidents holds that what is deleted, or not watched any more, has an end
// with that reason.
func TestGoneLoadBalancersCloseTheirIncidents(t *testing.T) {
	t.Parallel()
	for _, end := range []End{EndDeleted, EndDropped} {
		d := newDesk(t, map[string]string{"a": "w0 w1", "b": "w2 w3"})
		d.set("a", "w0:4 w1:4").pass(1)
		d.blind["b"] = Reading
		d.pass(4)
		delete(d.blind, "b")
		d.now = d.now.Add(time.Minute)
		delete(d.world, "a")
		delete(d.world, "b")
		o := d.observe()
		o.Gone = map[string]End{keyOf("a"): end, keyOf("b"): end}
		d.judge(o)
		for _, r := range d.s.Roots {
			for _, i := range r.Incidents {
				if i.End != end {
					t.Errorf("incident %s about %s ends as %q, want %q", i.ID, i.Key, i.End, end)
				}
			}
			if r.Open() || r.Resolved() {
				t.Errorf("its root is open %v, resolved %v", r.Open(), r.Resolved())
			}
		}
		if got := words(d.since(5)); got != "6:update+broadcast+ends 6:update+broadcast+ends" {
			t.Errorf("posted %s: what was broadcast as down ends in the channel", got)
		}
	}
}

// TestAbandoned holds that what nobody repairs ends some day, and is not news again.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2 w3"})
	d.set("a", "w0:4 w1 w2 w3").pass(1 + 1439)
	i := d.only("a")
	if !i.Open() {
		t.Fatalf("it is abandoned before 24 h")
	}
	id := i.ID
	n := len(d.slack.messages)
	d.pass(1)
	if got := d.endOf(id); got != EndAbandoned {
		t.Fatalf("after 24 h it ends as %q", got)
	}
	if got := words(d.slack.messages[n:]); got != "1441:update" {
		t.Errorf("posted %s, want an update that says so", got)
	}
	d.pass(30)
	if len(d.s.Roots) != 0 {
		t.Errorf("%d roots are left", len(d.s.Roots))
	}
	// It is out in the background now: another incident compares with that.
	d.set("a", "w0:4 w1:4 w2 w3").pass(1)
	if i := d.only("a"); i.Level != Impaired || i.Now.Lost != 10 || i.Now.Out != 1 {
		t.Errorf("another one stops: %v, lost %d, out %d; want impaired, 10, 1", i.Level, i.Now.Lost,
			i.Now.Out)
	}
	d.set("a", "w0:4 w1 w2 w3").pass(1)
	id = d.only("a").ID
	if d.pass(10); d.endOf(id) != EndResolved {
		t.Errorf("it ends as %q, want resolved: what was abandoned does not count", d.endOf(id))
	}
	// A change in between starts the day again; so does a minute without a reading not.
	d = newDesk(t, map[string]string{"a": "w0 w1 w2 w3"})
	d.set("a", "w0:4 w1 w2 w3").pass(1000).set("a", "w0:4 w1:4 w2 w3").pass(1)
	id = d.only("a").ID
	d.blind["a"] = Reading
	d.pass(2)
	delete(d.blind, "a")
	if d.pass(1438); d.endOf(id) != "" {
		t.Errorf("it ends as %q, a day after its first change, not its last", d.endOf(id))
	}
	if d.pass(5); d.endOf(id) != EndAbandoned {
		t.Errorf("it ends as %q a day after its last change", d.endOf(id))
	}
}

// TestNothingIsResolvedWhileAListenerHasNothing: all weight may be back, behind other listeners.
func TestNothingIsResolvedWhileAListenerHasNothing(t *testing.T) {
	t.Parallel()
	full := lb.Capacity{Running: 2, Total: 2, Weight: 20, Serving: 20}
	i := &Incident{WasOut: true, Before: full, Now: full, Emptied: []string{"TCP:443"}}
	if got := i.outcome(); got != EndOver {
		t.Errorf("nothing is bound to TCP:443 any more: %s, want %s", got, EndOver)
	}
	i.Emptied = nil
	if got := i.outcome(); got != EndResolved {
		t.Errorf("all is back: %s, want %s", got, EndResolved)
	}
}
