package incident

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestUnreadable holds when what cannot be read is posted, and when it can be read again.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		about About
		do    func(d *desk, blind func(bool))
		want  string
	}{
		{"two ticks are nothing", Reading, func(d *desk, blind func(bool)) {
			blind(true)
			d.pass(2)
			blind(false)
			d.pass(5)
		}, ""},
		{"two ticks, one with a reading, two ticks", Reading, func(d *desk, blind func(bool)) {
			for range 5 {
				blind(true)
				d.pass(2)
				blind(false)
				d.pass(1)
			}
		}, ""},
		{"three ticks", Reading, func(d *desk, blind func(bool)) { blind(true); d.pass(10) }, "3:root"},
		{"its health, for three ticks", Health, func(d *desk, blind func(bool)) { blind(true); d.pass(10) },
			"3:root"},
		{"readable again", Reading, func(d *desk, blind func(bool)) {
			blind(true)
			d.pass(5)
			blind(false)
			d.pass(30)
		}, "3:root 6:update 8:update+broadcast+ends"},
		{"readable for a minute is no end", Reading, func(d *desk, blind func(bool)) {
			blind(true)
			d.pass(5)
			for range 3 {
				blind(false)
				d.pass(1)
				blind(true)
				d.pass(1)
			}
		}, "3:root 6:update 7:update 8:update 9:update 10:update 11:update"},
		{"unreadable again within STABLE_AFTER: no new incident, an end at close", Reading, func(d *desk,
			blind func(bool)) {
			blind(true)
			d.pass(5)
			blind(false)
			d.pass(5)
			blind(true)
			d.pass(1)
			blind(false)
			d.pass(20)
		}, "3:root 6:update 8:update+broadcast+ends 11:update 12:update 22:update+broadcast+ends"},
		{"unreadable again later is a new one", Reading, func(d *desk, blind func(bool)) {
			blind(true)
			d.pass(5)
			blind(false)
			d.pass(15)
			blind(true)
			d.pass(5)
		}, "3:root 6:update 8:update+broadcast+ends 23:root"},
		{"reminded of", Reading, func(d *desk, blind func(bool)) { blind(true); d.pass(200) },
			"3:root 63:update+reminder 183:update+reminder"},
		{"every tick reports it", Reading, func(d *desk,
			blind func(bool)) {
			d.rules.BlindAfter = 1
			blind(true)
			d.pass(2)
		}, "1:root"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, map[string]string{"a": "w0 w1", "b": "w2"})
			c.do(d, func(is bool) {
				if delete(d.blind, "a"); is {
					d.blind["a"] = c.about
				}
			})
			if got := words(d.slack.messages); got != c.want {
				t.Errorf("posted %s, want %s", got, c.want)
			}
			for _, m := range d.slack.messages {
				if m.post.Mention {
					t.Errorf("it mentions somebody")
				}
			}
		})
	}
}

// TestUnreadableIsAnIncidentOfItsOwn holds that outage and blindness of one load balancer do not mix.
func TestUnreadableIsAnIncidentOfItsOwn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1"})
	d.set("a", "w0:4 w1").pass(1)
	d.blind["a"] = Reading
	d.pass(10)
	d.set("a", "w0 w1")
	delete(d.blind, "a")
	d.pass(1)
	var kinds []string
	for _, r := range d.s.Roots {
		for _, i := range r.Incidents {
			kinds = append(kinds, fmt.Sprintf("%s%s/%s", i.Key, i.About, i.Level))
		}
	}
	if want := []string{keyOf("a") + "/ok", keyOf("a") + "reading/ok"}; !slices.Equal(kinds, want) {
		t.Errorf("incidents %v, want %v", kinds, want)
	}
	d.pass(30)
	ends := make(map[About]End)
	for _, p := range d.past {
		if p.Closed != nil {
			ends[p.Closed.About] = p.Closed.End
		}
	}
	if ends[Backends] != EndResolved || ends[Reading] != EndResolved || len(d.s.Roots) != 0 {
		t.Errorf("they end as %v, %d roots left", ends, len(d.s.Roots))
	}
}

// TestHealthIsUnknownWhileUnreadable holds that nobody claims that health can be read because nothing could
// be asked.
func TestHealthIsUnknownWhileUnreadable(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1"})
	d.blind["a"] = Health
	d.pass(5)
	d.blind["a"] = Reading
	d.pass(10)
	for _, r := range d.s.Roots {
		for _, i := range r.Incidents {
			if i.About == Health && (i.Readable || !i.Open()) {
				t.Errorf("its health counts as readable while nothing can be read")
			}
		}
	}
	// Nor is the count of ticks lost.
	d = newDesk(t, map[string]string{"a": "w0 w1"})
	d.blind["a"] = Health
	d.pass(2)
	d.blind["a"] = Reading
	d.pass(1)
	d.blind["a"] = Health
	d.pass(1)
	if got := words(d.slack.messages); got != "4:root" {
		t.Errorf("posted %s, want the health in its third tick", got)
	}
}

// TestReasons holds that why things cannot be read is a table of 20, whatever there is.
func TestReasons(t *testing.T) {
	t.Parallel()
	pools := make(map[string]string)
	for n := range 40 {
		pools[fmt.Sprintf("l%02d", n)] = fmt.Sprintf("w%d", n)
	}
	d := newDesk(t, pools)
	d.why = func(key string) string { return "no answer from " + key }
	for name := range pools {
		d.blind[name] = Reading
	}
	d.pass(4)
	if len(d.s.Reasons) != 20 || d.s.Reasons[19].Why != "other reasons" {
		t.Errorf("%d reasons, the last %q", len(d.s.Reasons), d.s.Reasons[len(d.s.Reasons)-1].Why)
	}
	own, other := 0, 0
	for _, r := range d.s.Roots {
		for _, i := range r.Incidents {
			switch d.s.Reason(i.Why).Why {
			case "no answer from " + i.Key:
				own++
			case "other reasons":
				other++
			default:
				t.Errorf("%s: %q", i.Key, d.s.Reason(i.Why).Why)
			}
		}
	}
	if own != 19 || other != 21 {
		t.Errorf("%d with their own reason, %d with others", own, other)
	}
	// A reason that nothing has any more makes room, and numbers of others stay.
	for name := range pools {
		if name != "l07" {
			delete(d.blind, name)
		}
	}
	d.pass(15)
	i := d.only("l07")
	if got := d.s.Reason(i.Why).Why; got != "no answer from "+keyOf("l07") && got != "other reasons" {
		t.Errorf("l07: %q", got)
	}
	d.why = func(string) string { return "another" }
	if d.pass(1); d.s.Reason(d.only("l07").Why).Why != "another" {
		t.Errorf("the reason is not the newest: %q", d.s.Reason(d.only("l07").Why).Why)
	}
	for name := range pools {
		delete(d.blind, name)
	}
	if d.pass(30); len(d.s.Reasons) != 0 {
		t.Errorf("%d reasons are kept for nothing", len(d.s.Reasons))
	}
	for _, n := range []int{-1, 0, 21, 1 << 40} {
		if d.s.Reason(n) != (Reason{}) {
			t.Errorf("Reason(%d) = %+v", n, d.s.Reason(n))
		}
	}
}

// TestLastGood holds that an incident knows when it was read last, and since when it is not.
func TestLastGood(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0"})
	d.pass(5)
	d.blind["a"] = Reading
	d.pass(4)
	i := d.only("a")
	if !i.Began.Equal(epoch.Add(6*time.Minute)) || !i.LastGood.Equal(epoch.Add(5*time.Minute)) {
		t.Errorf("unreadable since %v, last read %v; want minute 6 and 5", i.Began, i.LastGood)
	}
}
