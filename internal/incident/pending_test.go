package incident

import (
	"testing"
	"time"
)

// TestPending holds that what may pass by itself is reported only if it lasts, with TRANSIENT_FOR.
func TestPending(t *testing.T) {
	t.Parallel()
	const well = "w0 w1 w2 w3"
	for _, c := range []struct {
		name string
		wait time.Duration
		from string // how it is at first sight; "" is well
		do   func(*desk)
		want string
	}{
		{"off: a restart is posted at once", 0, "", func(d *desk) { d.set("a", "w0:7 w1 w2 w3").pass(1) },
			"1:root"},
		{"a restart that takes a minute", 2 * time.Minute, "", func(d *desk) {
			d.set("a", "w0:7 w1 w2 w3").pass(1).set("a", well).pass(30)
		}, ""},
		{"a restart that takes longer", 2 * time.Minute, "", func(d *desk) {
			d.set("a",
				"w0:7 w1 w2 w3").pass(4)
		}, "3:root"},
		{"a restart that takes longer, and its end", 2 * time.Minute, "", func(d *desk) {
			d.set("a", "w0:7 w1 w2 w3").pass(4).set("a", well).pass(1)
		}, "3:root 5:update"},
		{"shut down is posted at once", 2 * time.Minute, "", func(d *desk) {
			d.set("a",
				"w0:4 w1 w2 w3").pass(1)
		}, "1:root"},
		{"a failing check waits", 2 * time.Minute, "", func(d *desk) {
			d.set("a",
				"w0! w1 w2 w3").pass(2).set("a", well).pass(9)
		}, ""},
		{"half restart: what may pass does not count for degraded", 2 * time.Minute, "", func(d *desk) {
			d.set("a", "w0:7 w1:7 w2 w3").pass(2)
		}, ""},
		{"half restart for long: degraded then", 2 * time.Minute, "", func(d *desk) {
			d.set("a",
				"w0:7 w1:7 w2 w3").pass(3)
		}, "3:root+mention"},
		{"down cuts it short", 2 * time.Minute, "", func(d *desk) {
			d.set("a",
				"w0:7 w1:7 w2:7 w3:7").pass(1)
		}, "1:root+mention"},
		{"down cuts short what was held back before", 5 * time.Minute, "", func(d *desk) {
			d.set("a", "w0:7 w1 w2 w3").pass(1).set("a", "w0:7 w1:7 w2:7 w3:7").pass(1)
		}, "2:root+mention"},
		{"something else is posted, and shows it as it is", 5 * time.Minute, "", func(d *desk) {
			d.set("a", "w0:7 w1 w2 w3").pass(1).set("a", "w0:7 w1:4 w2 w3").pass(1)
		}, "2:root"},
		{"what was shown beside something else passes: that is news", 5 * time.Minute, "", func(d *desk) {
			d.set("a", "w0! w1:4 w2 w3").pass(1).set("a", "w0 w1:4 w2 w3").pass(1)
		}, "1:root 2:update"},
		{"a removal is posted at once", 5 * time.Minute, "", func(d *desk) { d.set("a", "w1 w2 w3").pass(1) },
			"1:root"},
		{"what was out at first sight recovers: that is news", 2 * time.Minute, "w0:4 w1 w2 w3",
			func(d *desk) { d.set("a", well).pass(1) },
			"1:root"},
		{"what was restarting at first sight recovers", 2 * time.Minute, "w0:7 w1 w2 w3",
			func(d *desk) { d.set("a", well).pass(1) }, "1:root"},
		{"after being stable, one restarts for long: in the channel", 2 * time.Minute, "", func(d *desk) {
			d.set("a", "w0:4 w1 w2 w3").pass(15).set("a", "w0:4 w1:7 w2 w3 ").pass(3)
		}, "1:root 18:update+broadcast+mention"},
		{"after being stable, one of ten restarts for long: in the channel", 2 * time.Minute, many(10, 2),
			func(d *desk) {
				d.set("a", many(10, 2)+" x:4").pass(15).set("a",
					"w00:7 w01 w02 w03 w04 w05 w06 w07 w08 w09 x:4").pass(3)
			}, "1:root 18:update+broadcast"},
		{"after being stable, one restarts shortly", 2 * time.Minute, "", func(d *desk) {
			d.set("a", "w0:4 w1 w2 w3").pass(15).set("a", "w0:4 w1:7 w2 w3 ").pass(1).set("a",
				"w0:4 w1 w2 w3").pass(20)
		}, "1:root"},
		{"it joins a root, unseen until it lasts", 3 * time.Minute, "", func(d *desk) {
			d.set("b", "v0:4 v1 v2").pass(1).set("a", "w0:7 w1 w2 w3").pass(3)
		}, "1:root"},
		{"it joins a root, and lasts", 3 * time.Minute, "", func(d *desk) {
			d.set("b", "v0:4 v1 v2").pass(1).set("a", "w0:7 w1 w2 w3").pass(5)
		}, "1:root 5:update+broadcast"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.from == "" {
				c.from = well
			}
			d := newDesk(t, map[string]string{"a": c.from, "b": "v0 v1 v2"})
			d.rules.TransientFor = c.wait
			c.do(d)
			if got := words(d.slack.messages); got != c.want {
				t.Errorf("posted %s, want %s", got, c.want)
			}
		})
	}
}

// TestWhatPassedIsInTheHistory holds that what was held back and passed is not lost, and leaves the state.
func TestWhatPassedIsInTheHistory(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1"})
	d.rules.TransientFor = 2 * time.Minute
	d.set("a", "w0:7 w1").pass(1).set("a", "w0 w1").pass(12)
	changes, closed := 0, 0
	for _, p := range d.past {
		if p.Change != nil {
			changes++
		}
		if p.Closed != nil {
			closed++
			if p.Closed.End != EndResolved || p.Closed.Messages != 0 || p.Closed.Undelivered != "" {
				t.Errorf("the history has %+v", *p.Closed)
			}
		}
	}
	if changes != 2 || closed != 1 || len(d.s.Roots) != 0 || len(d.slack.messages) != 0 {
		t.Errorf("%d changes and %d ends in the history, %d roots left, %d messages; want 2, 1, none, none",
			changes, closed, len(d.s.Roots),
			len(d.slack.messages))
	}
}
