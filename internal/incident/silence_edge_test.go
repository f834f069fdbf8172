package incident

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var bothRoutes = []Route{bot, webhook}

// TestDownAgainInASilence holds that a level is news in a silence even if it was left not long ago.
func TestDownAgainInASilence(t *testing.T) {
	t.Parallel()
	for _, route := range bothRoutes {
		d := newDesk(t, map[string]string{"a": allIn})
		d.rules.Route = route
		d.hush("a", 7*24*60).pass(1)
		d.set("a", allOut).pass(3).set("a", allIn).pass(4) // root+mention, update, update+broadcast+ends
		before := words(d.slack.messages)
		d.set("a", allOut).pass(24 * 60)
		if words(d.slack.messages) == before {
			t.Errorf("%s: %v for a day in a silence without `all`; the last that people read is its end: %q",
				route, d.only("a").Level, before)
		}
	}
}

// TestBareListenerAfterAll holds that a level which `all` muted is told afterwards, whatever machines say.
func TestBareListenerAfterAll(t *testing.T) {
	t.Parallel()
	for _, route := range bothRoutes {
		d := newDesk(t, map[string]string{"a": "x@HTTP:80,TCP:25 y@HTTP:80"})
		d.rules.Route = route
		d.hushBy(Silence{What: "a", All: true}, 60).pass(1)
		d.set("a", "y@HTTP:80").pass(2).set("a", "x@HTTP:80 y@HTTP:80").pass(200)
		if len(d.slack.messages) == 0 {
			t.Errorf("%s: nothing is bound to TCP:25 any more, the silence is long over, nobody was told: %+v",
				route, d.past[len(d.past)-1].Closed)
		}
	}
}

// TestWebhookLastWordAfterASilence holds that by webhook the last message is right.
func TestWebhookLastWordAfterASilence(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2 w3 w4 w5"})
	d.rules.Route = webhook
	d.set("a", "w0:4 w1 w2 w3 w4 w5").pass(2).hush("a", 600).pass(1)
	d.set("a", "w0:4 w1:4 w2 w3 w4 w5").pass(2)
	d.set("a", "w0 w1:4 w2 w3 w4 w5").pass(2) // the recovery of w0 is posted, and says that 5 of 6 run
	d.set("a", "w0 w1 w2 w3 w4 w5").pass(700)
	last := d.slack.messages[len(d.slack.messages)-1]
	if s := last.of(keyOf("a")); s.running != 6 || s.level != OK {
		t.Errorf("the last word: %d of %d, %v; it is resolved since hours: %q", s.running, s.total, s.level,
			words(d.slack.messages))
	}
}

// TestPendingInASilenceIsValid holds that what is pending in a silence has no revision that never was.
func TestPendingInASilenceIsValid(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": allIn})
	d.rules.TransientFor = 4 * time.Minute
	d.hush("a", 60).pass(1).set("a", "w0! w1 w2").pass(8) // mustBeValid fails
}

// TestPendingWhenASilenceEnds holds that the end of a silence tells nothing that is still pending.
func TestPendingWhenASilenceEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": allIn})
	d.rules.TransientFor = 10 * time.Minute
	d.hush("a", 10).pass(7).set("a", "w0! w1 w2").pass(4)
	d.hears("it has failed for 3 of 10 minutes", "")
	d.set("a", allIn).pass(30).hears("it has passed", "")
}

// TestManySilencesPushNoneOut holds that silences that are over make room for those that go on.
func TestManySilencesPushNoneOut(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": allIn}).hush("a", 6*24*60).pass(1).set("a", oneOut).pass(5)
	for n := range 320 { // a pipeline silences its deployments
		if d.hush(fmt.Sprint("x", n%40), 1); n%3 == 0 {
			d.pass(1)
		}
	}
	d.pass(3).hears("silence 1 lasts for 6 days", "")
}

// TestReplacedSilenceStaysReplaced holds that a silence does not come back once its successor is forgotten.
func TestReplacedSilenceStaysReplaced(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": allIn}).hush("a", 6*24*60).pass(1).hush("a", 30).pass(25*60 + 5)
	d.silences = d.silences[:1] // a day after its end the store lists the second one no more
	if d.set("a", oneOut).pass(60); len(d.slack.messages) == 0 {
		t.Errorf("silence 1 was replaced a day ago, and holds back: %+v", d.s.Silences)
	}
}

// TestBindingsInASilence holds that only bindings that changed in the silence and stay so are told.
func TestBindingsInASilence(t *testing.T) {
	t.Parallel()
	const all = "x@HTTP:80,TCP:25 y@HTTP:80,TCP:25 z@HTTP:80,TCP:25"
	d := newDesk(t, map[string]string{"a": all})
	d.set("a", strings.Replace(all, ",TCP:25", "", 1)).pass(2).hush("a", 30).pass(1)
	d.set("a", "x:4@HTTP:80 y@HTTP:80,TCP:25 z@HTTP:80,TCP:25").pass(2)
	d.set("a", strings.Replace(all, ",TCP:25", "", 1)).pass(100)
	d.hears("out and back in a silence", "1:root")
	d = newDesk(t, map[string]string{"a": all}).hush("a", 30).pass(1)
	d.set("a", strings.Replace(all, ",TCP:25", "", 1)).pass(2).set("a", all).pass(100)
	d.hears("unbound and bound again in a silence", "")
}

// TestCrowdInASilence holds the same of machines without details.
func TestCrowdInASilence(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": many(2000, 2)})
	d.set("a", strings.Replace(many(2000, 2), ":2", ":4", 800)).pass(2)
	detailed := make(map[string]bool)
	for _, m := range d.only("a").Machines {
		detailed[m.ID] = true
	}
	d.hush("a", 600).pass(1)
	before := words(d.slack.messages)
	pool := strings.Fields(strings.Replace(many(2000, 2), ":2", ":4", 800))
	for n, w := range pool {
		if id, _, _ := strings.Cut(w, ":"); !detailed[id] {
			pool[n] = id + ":2"
		}
	}
	if d.set("a", strings.Join(pool, " ")).pass(60); words(d.slack.messages) == before {
		t.Error("200 machines that people know of recovered an hour ago")
	}
	d = newDesk(t, map[string]string{"a": many(2000, 2)}).hush("a", 60).pass(1)
	d.set("a", many(1200, 2)).pass(2).set("a", many(2000, 2)).pass(120)
	d.hears("800 removed and added again in a silence", "")
}

// TestWindowNumber holds that a window is not named by the number that another has now.
func TestWindowNumber(t *testing.T) {
	t.Parallel()
	all := [7]bool{true, true, true, true, true, true, true}
	d := newDesk(t, map[string]string{"a": allIn})
	w := func(what string) Window { return Window{What: what, Days: all, From: 0, To: 600, Zone: time.UTC} }
	d.rules.Windows = Windows{w("a"), w("b")} // the desk's day begins at 00:00
	d.pass(2).set("a", oneOut).pass(3)
	d.rules.Windows = d.rules.Windows[1:]
	d.pass(2)
	if q, _ := d.s.SilenceByID(d.only("a").LiftedBy); q.What == "b" {
		t.Errorf("the message comes \"after %s %s until …\", which is still active and about others", q.ID, q.What)
	}
}

// TestAcknowledgedLevel holds that a level that is known shows, though it is no news.
func TestAcknowledgedLevel(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2 w3"}).set("a", "w0:4 w1:4 w2 w3").pass(2)
	d.hushBy(Silence{Incident: "1"}, 24*60).pass(1)
	d.set("a", "w0:4 w1 w2 w3").pass(20).set("a", "w0:4 w1:4 w2:4 w3").pass(5)
	if i := d.only("a"); i.Level != i.level(d.rules) {
		t.Errorf("its root shows %v; it is %v", i.Level, i.level(d.rules))
	}
}

// TestFirstOfWhatIsShown holds that the first number in a message stands for all of it.
func TestFirstOfWhatIsShown(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": allIn, "b": "v0 v1 v2", "c": "u0 u1 u2"}).hush("a", 600).pass(1)
	d.set("a", oneOut).set("b", "v0:4 v1 v2").set("c", "u0:4 u1 u2").pass(1)
	d.hushBy(Silence{Incident: "2"}, 600).pass(1) // the message says "incidents 2 and 3"
	if d.only("b").Ack == "" || d.only("c").Ack == "" {
		t.Errorf("the first in the message is acknowledged; b %q, c %q", d.only("b").Ack, d.only("c").Ack)
	}
}

// TestSilenceBeforeThePost holds that what was found before a silence goes out, once, and calls nobody if it
// says `all`.
func TestSilenceBeforeThePost(t *testing.T) {
	t.Parallel()
	for _, route := range bothRoutes {
		d := newDesk(t, map[string]string{"a": allIn})
		d.rules.Route = route
		d.answer = func(Call, *Root) (Class, bool) { return ChannelDown, false }
		d.set("a", allOut).pass(1).hushBy(Silence{What: "a", All: true}, 600).pass(1)
		d.answer = nil
		d.pass(3).hears("`all` began before the rise was posted", "3:root")
		d = newDesk(t, map[string]string{"a": allIn})
		d.rules.Route = route
		d.answer = func(Call, *Root) (Class, bool) { return ChannelDown, false }
		d.set("a", oneOut).pass(1).hush("a", 600).pass(1).set("a", allIn).pass(1)
		d.answer = nil
		d.pass(700).hears("the one message that says it was out and is back", "4:root")
	}
}

// TestDoubtWhenASilenceBegins holds that the recovery of what people may know is told.
func TestDoubtWhenASilenceBegins(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": allIn})
	d.answer = func(c Call, r *Root) (Class, bool) { return Unknown, true }
	d.set("a", oneOut).pass(1)
	d.answer = nil
	d.hush("a", 600).set("a", allIn).pass(30)
	if n := len(d.slack.messages); n < 2 {
		t.Errorf("people were told that w0 is out, not that it is back: %q", words(d.slack.messages))
	}
}
