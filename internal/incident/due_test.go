package incident

import (
	"slices"
	"testing"
	"time"
)

// TestRisesAndEnds holds what is broadcast, and whom it calls, as the level of a load balancer goes up and
// down.
func TestRisesAndEnds(t *testing.T) {
	t.Parallel()
	const (
		well = "w0 w1 w2 w3"
		one  = "w0:4 w1 w2 w3"
		half = "w0:4 w1:4 w2 w3"
		none = "w0:4 w1:4 w2:4 w3:4"
	)
	for _, c := range []struct {
		name string
		do   func(*desk)
		want string // of all that was posted
	}{
		{"to degraded at once, and back", func(d *desk) { d.set("a", half).pass(1).set("a", well).pass(20) },
			"1:root+mention 2:update 4:update+broadcast+ends"},
		{"an end lasts for 2 minutes before it is announced", func(d *desk) {
			d.set("a", half).pass(1).set("a", well).pass(1).set("a", half).pass(1).set("a", well).pass(20)
		}, "1:root+mention 2:update 3:update 4:update 6:update+broadcast+ends"},
		{"first impaired, then degraded, then down", func(d *desk) {
			d.set("a", one).pass(1).set("a", half).pass(1).set("a", none).pass(1)
		}, "1:root 2:update+broadcast+mention 3:update+broadcast+mention"},
		{"to down at once, which includes degraded", func(d *desk) {
			d.set("a", none).pass(1).set("a", half).pass(5)
		}, "1:root+mention 2:update 4:update+broadcast+ends"},
		{"down, degraded, well: both ends", func(d *desk) {
			d.set("a", none).pass(1).set("a", half).pass(5).set("a", well).pass(20)
		}, "1:root+mention 2:update 4:update+broadcast+ends 7:update 9:update+broadcast+ends"},
		{"degraded again within STABLE_AFTER is no rise, but its end is posted at close", func(d *desk) {
			d.set("a", half).pass(1).set("a", well).pass(4).set("a", half).pass(1).set("a", well).pass(20)
		}, "1:root+mention 2:update 4:update+broadcast+ends 6:update 7:update 17:update+broadcast+ends"},
		{"degraded again after STABLE_AFTER is one", func(d *desk) {
			d.set("a", half).pass(1)
			d.set("a", one).pass(12) // stable then, and not closed
			d.set("a", half).pass(1)
		}, "1:root+mention 2:update 4:update+broadcast+ends 14:update+broadcast+mention"},
		{"degraded again after STABLE_AFTER that was not stable", func(d *desk) {
			d.set("a", half).pass(1)
			for range 6 {
				d.set("a", one).pass(1).set("a", well).pass(1)
			}
			d.set("a", half).pass(1)
		},
			"1:root+mention 2:update 3:update 4:update+broadcast+ends 5:update 6:update 7:update 8:update 9:update " +
				"10:update 11:update 12:update " +
				"14:update+broadcast+mention"},
		{"removals alone call nobody", func(d *desk) { d.set("a", "w0 w1").pass(1) }, "1:root"},
		{"a level that ends because a removal is accepted has no end", func(d *desk) {
			d.set("a",
				"w0 w1").pass(20)
		}, "1:root"},
		{"a level that ends because a removal is accepted, while another is out", func(d *desk) {
			d.set("a", "w0:4 w1").pass(1).set("a", "w0:4 w1 w5 w6 w7 w8 w9").pass(1).set("a",
				"w0:4 w1").pass(20)
		}, "1:root+mention 2:update 3:update"},
		{"what began as removals, and is an outage too, calls", func(d *desk) {
			d.set("a", "w0 w1").pass(1).set("a", "w0 w1:4").pass(1)
		}, "1:root 2:update+broadcast+mention"},
		{"a change after being stable is in the channel", func(d *desk) {
			d.set("a", one).pass(15).set("a", "w0:4 w1 w2 w3 w4").pass(1)
		}, "1:root 16:update+broadcast"},
		{"recoveries alone after being stable are not", func(d *desk) {
			d.set("a", "w0:4 w1:4 w2 w3 w4 w5").pass(15).set("a", "w0:4 w1 w2 w3 w4 w5").pass(1)
		}, "1:root 16:update"},
		{"a rise while nothing is posted, over before it can be: it calls nobody, and the next does",
			func(d *desk) {
				d.mute = true
				d.set("a", none).pass(1).set("a", one).pass(2)
				d.mute = false
				d.pass(1).set("a", none).pass(1)
			}, "4:root 5:update+broadcast+mention"},
		{"a rise while nothing is posted, still on", func(d *desk) {
			d.mute = true
			d.set("a", none).pass(5)
			d.mute = false
			d.pass(1)
		}, "6:root+mention"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, map[string]string{"a": well})
			c.do(d)
			if got := words(d.slack.messages); got != c.want {
				t.Errorf("posted\n %s, want\n %s", got, c.want)
			}
		})
	}
}

// TestMentionsOncePerLevelAndRoot holds that load balancers of one root call once for each level in
// STABLE_AFTER.
func TestMentionsOncePerLevelAndRoot(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1", "b": "w2 w3", "c": "w4 w5"})
	d.set("a", "w0:4 w1").pass(1).set("b", "w2:4 w3").pass(1).set("c", "w4:4 w5").pass(1)
	if got := words(d.slack.messages); got != "1:root+mention 2:update+broadcast 3:update+broadcast" {
		t.Errorf("posted %s", got)
	}
	d.set("b", "w2:4 w3:4").pass(1)
	if got := words(d.since(3)); got != "4:update+broadcast+mention" {
		t.Errorf("b is down: posted %s", got)
	}
	d.set("a", "w0:4 w1:4").pass(1) // down too
	d.set("c", "w4:4 w5:4").pass(11)
	if got := words(d.since(4)); got != "5:update+broadcast 6:update+broadcast" {
		t.Errorf("a and c are down too: posted %s", got)
	}
	d.set("a", "w0:4 w1").pass(12).set("a", "w0:4 w1:4").pass(1) // a, once more, after STABLE_AFTER
	last := d.slack.messages[len(d.slack.messages)-1]
	if !last.post.Mention || !last.post.Broadcast {
		t.Errorf("a is down again after 12 min: posted %s", words(d.since(17)))
	}
}

// TestEndsWaitForAllOfTheRoot holds that a level has no end while another load balancer of the root is at it.
func TestEndsWaitForAllOfTheRoot(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1", "b": "w2 w3"})
	d.set("a", "w0:4 w1").set("b", "w2:4 w3").pass(1).set("a", "w0 w1").pass(5)
	if got := words(d.slack.messages); got != "1:root+mention 2:update" {
		t.Errorf("posted %s", got)
	}
	d.set("b", "w2 w3").pass(3)
	if got := words(d.since(2)); got != "7:update 9:update+broadcast+ends" {
		t.Errorf("then posted %s", got)
	}
}

// TestTwoEndsInOneMinute holds that a removal that is accepted does not hide an end that another load
// balancer has.
func TestTwoEndsInOneMinute(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2 w3", "b": "v0 v1 v2 v3"})
	d.set("a", "w0 w1").set("b", "v0:4 v1:4 v2 v3").pass(10).set("b", "v0 v1 v2 v3").pass(3)
	if got := words(d.slack.messages); got != "1:root+mention 11:update 13:update+broadcast+ends" {
		t.Errorf("posted %s", got)
	}
}

// TestPace holds how updates follow one another while something flaps.
func TestPace(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2 w3"})
	var at []int
	flap := func(n int) {
		for range n {
			if d.world["a"][0].Running() {
				d.set("a", "w0:4 w1 w2 w3")
			} else {
				d.set("a", "w0 w1 w2 w3")
			}
			d.pass(1)
		}
	}
	flap(200)
	for _, m := range d.slack.messages[1:] {
		at = append(at, int(m.at.Sub(epoch).Minutes()))
	}
	if want := []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 32, 92, 152}; !slices.Equal(at, want) {
		t.Errorf("updates at %v, want %v", at, want)
	}
	// The root shows it at once.
	if root := d.slack.messages[0]; root.rev != d.root("a").Rev {
		t.Errorf("the root shows revision %d of %d", root.rev, d.root("a").Rev)
	}
	// When it lasts for STABLE_AFTER, that is posted, and the pace starts over.
	n := len(d.slack.messages)
	d.set("a", "w0:4 w1 w2 w3").pass(15)
	if got := words(d.slack.messages[n:]); got != "211:update" && got != "210:update" {
		t.Errorf("when stable: posted %s", got)
	}
	n = len(d.slack.messages)
	flap(10)
	if got := len(d.slack.messages) - n; got != 10 {
		t.Errorf("after being stable %d updates in 10 min, want 10", got)
	}
}

// TestWhatLastsIsPosted holds that a change that has lasted STABLE_AFTER is in a post by then, whatever flaps
// beside it.
func TestWhatLastsIsPosted(t *testing.T) {
	t.Parallel()
	for _, crowd := range []bool{false, true} {
		d := newDesk(t, map[string]string{"a": many(40, 2)})
		flap := func(n int, stop string) {
			for range n {
				pool := backends(many(40, 2))
				for k := range pool {
					if pool[k].ID == stop || pool[k].ID == "w00" && d.ticks%2 == 0 {
						pool[k].Status = 4
					}
				}
				d.world["a"] = pool
				d.pass(1)
			}
		}
		flap(45, "")
		if crowd { // as if there were no room for it
			i := d.only("a")
			i.Crowd = Crowd{hash("w33"): Member{Began: Serving, Now: Serving}}
		}
		n := len(d.slack.messages)
		flap(11, "w33")
		found := false
		for _, m := range d.slack.messages[n:] {
			found = found || m.at.Sub(epoch) <= 56*time.Minute
		}
		if !found {
			t.Errorf("in the crowd %v: a machine stopped 10 min ago is in no post; posted %s", crowd,
				words(d.slack.messages[n:]))
		}
	}
}

// TestReminders holds when something that is out is posted again.
func TestReminders(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2 w3"})
	d.set("a", "w0:4 w1 w2 w3").pass(1430)
	want := "1:root 61:update+reminder 181:update+reminder 421:update+reminder 901:update+reminder"
	if got := words(d.slack.messages); got != want {
		t.Errorf("posted %s", got)
	}
	d = newDesk(t, map[string]string{"a": "w0 w1"})
	d.set("a", "w0:4 w1").pass(70).set("a", "w0:4 w1 w5").pass(65).set("a", "w0 w1 w5").pass(100)
	want = "1:root+mention 61:update+reminder+broadcast 71:update+broadcast " +
		"73:update+broadcast+ends 131:update+reminder 136:update"
	if got := words(d.slack.messages); got != want {
		t.Errorf("posted %s: reminders of what is degraded are broadcast, and news starts them again", got)
	}
	d = newDesk(t, map[string]string{"a": "w0 w1"})
	d.set("a", "w0 w1 w2").pass(200)
	if got := words(d.slack.messages); got != "1:root" {
		t.Errorf("posted %s about what needs nobody", got)
	}
}
