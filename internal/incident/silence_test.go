package incident

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// hush makes somebody silence a glob, as of the next tick, for so many minutes.
func (d *desk) hush(what string, n int) *desk { return d.hushBy(Silence{What: what}, n) }

func (d *desk) hushBy(q Silence, n int) *desk {
	q.ID, q.By = fmt.Sprint(len(d.silences)+1), "ada"
	q.Made, q.Until = d.now, d.now.Add(minutes(n))
	d.silences = append(d.silences, q)
	return d
}

// end makes somebody end a silence.
func (d *desk) end(id string) *desk {
	for n := range d.silences {
		if d.silences[n].ID == id {
			d.silences[n].Ended, d.silences[n].EndedBy = d.now, "bob"
		}
	}
	return d
}

// hears holds which messages there are by now.
func (d *desk) hears(when, want string) *desk {
	d.t.Helper()
	if got := words(d.slack.messages); got != want {
		d.t.Errorf("%s: %q, want %q", when, got, want)
	}
	return d
}

func TestSilence(t *testing.T) {
	t.Parallel()
	six := func(out ...string) string {
		words := []string{"w0", "w1", "w2", "w3", "w4", "w5"}
		for n := range words {
			if slices.Contains(out, words[n]) {
				words[n] += ":4"
			}
		}
		return strings.Join(words, " ")
	}
	newSix := func() *desk {
		return newDesk(t, map[string]string{"prod-a": six(), "prod-b": six(), "dev-a": six()})
	}
	for _, route := range []Route{bot, webhook} {
		t.Run(string(route), func(t *testing.T) {
			t.Parallel()
			desk := func() *desk {
				d := newSix()
				d.t, d.rules.Route = t, route
				return d
			}

			d := desk().hush("prod-*", 60).pass(1).set("prod-a", six("w0")).pass(5)
			d.hears("what stops in a silence", "")
			d.set("prod-a", six()).pass(100)
			d.hears("what came and went in a silence", "")
			if len(d.s.Roots) != 0 {
				t.Errorf("it is over, and stays in the state: %+v", d.s.Roots[0].Incidents[0])
			}
			if p := d.past; len(p) != 5 || p[0].Silence == nil || p[1].Change == nil || p[2].Change == nil ||
				p[3].Closed == nil || p[3].Closed.End != EndResolved || p[4].Silence == nil ||
				!p[4].Silence.Ended.Equal(p[4].Silence.Until) {
				t.Errorf("the history has %+v, want the silence, both changes, and the end of each", p)
			}

			d = desk().hush("prod-*", 30).pass(1).set("prod-a", six("w0")).pass(28)
			d.hears("what lasts, before the silence ends", "")
			d.pass(1)
			d.hears("what lasts, when the silence ends", "30:root")
			if i := d.only("prod-a"); i.LiftedBy != "1" || i.Lifted == 0 {
				t.Errorf("the message does not name the silence: %+v", i)
			}
			if p := d.slack.messages[0].of(keyOf("prod-a")); !p.out["w0"] {
				t.Errorf("it shows %+v", p)
			}

			d = desk().set("prod-a", six("w0")).pass(2).hush("prod-a", 60).pass(1)
			d.set("prod-a", six("w0", "w1")).pass(5)
			d.hears("what stops in a silence that began in the middle", "1:root")
			d.set("prod-a", six("w1")).pass(1)
			d.hears("the recovery of what people know of", "1:root 9:update")
			d.set("prod-a", six()).pass(40)
			want := 2
			if !route.Bot() {
				want = 3 // nothing is edited: the last word says that all run
			}
			if n := len(d.slack.messages); n != want {
				t.Errorf("the recovery of what nobody knows of: %s", words(d.slack.messages))
			}

			d = desk().hush("prod-*", 60).pass(1).set("prod-a", six("w0", "w1", "w2")).pass(1)
			d.hears("a rise breaks through", "2:root+mention")
			d.set("prod-a", six("w0", "w1", "w2", "w3")).pass(1).hears("more of the same", "2:root+mention")
			d.set("prod-a", six("w0", "w1", "w2", "w3", "w4", "w5")).pass(1)
			d.hears("down breaks through", "2:root+mention 4:update+broadcast+mention")
			d.set("prod-a", six()).pass(3)
			if m := d.slack.messages[len(d.slack.messages)-1]; m.post.Ends == 0 && !m.post.End {
				t.Errorf("no end of what broke through: %s", words(d.slack.messages))
			}

			d = desk().hushBy(Silence{What: "prod-*", All: true}, 60).pass(1)
			d.set("prod-a", six("w0", "w1", "w2", "w3", "w4", "w5")).pass(30).hears("nothing breaks through `all`", "")
			d.set("dev-a", six("w0")).pass(1)
			if m := d.slack.messages; len(m) != 1 || m[0].post.Level != Impaired || m[0].post.Mention {
				t.Errorf("another load balancer: %s, want an ordinary message", words(m))
			}
			d.pass(30)
			if m := d.slack.messages; len(m) != 2 || !m[1].post.Mention || m[1].post.Level != Down {
				t.Errorf("it is still down when the silence ends: %s", words(m))
			}

			d = desk().hushBy(Silence{What: "prod-*", All: true}, 60).pass(1)
			d.set("prod-a", six("w0", "w1", "w2", "w3", "w4", "w5")).pass(10).set("prod-a", six("w0")).pass(60)
			if m := d.slack.messages; len(m) != 1 || m[0].post.Mention || m[0].post.Level != Impaired {
				t.Errorf("it was down in between: %s, want one message about what is left", words(m))
			}
		})
	}
}

// TestSilenceKeepsWhatLasts: what is not undone when a silence ends is told then, however long it is stable.
func TestSilenceKeepsWhatLasts(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2 w3"}).hush("a", 60).pass(1)
	d.set("a", "w0 w1 w2").pass(40).set("a", "w0 w1 w2 n").pass(18)
	d.hears("removed in a silence", "")
	d.pass(2)
	m := d.slack.messages
	if len(m) != 1 || !m[0].post.Root || !m[0].post.End {
		t.Fatalf("what is removed, once the silence ends: %s", words(m))
	}
	d.pass(15)
	if d.endOf("1") != EndOver {
		t.Errorf("it ends as %q", d.endOf("1"))
	}
	// Replaced by others, one by one, and all is as before: nothing to tell.
	d = newDesk(t, map[string]string{"a": "w0 w1 w2 w3"}).hush("a", 60).pass(1)
	d.set("a", "w0 w1 w2 w3 n").pass(5).set("a", "w0 w1 w2 w3").pass(70).hears("added and removed again", "")
}

func TestSilenceEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": allIn}).hush("a", 600).pass(1).set("a", oneOut).pass(20)
	d.hears("before somebody ends it", "")
	d.end("1").pass(1).hears("when somebody ends it", "22:root")
	// A listing that is a tick behind does not bring it back, nor end what it does not list yet.
	d.silences[0].Ended = time.Time{}
	d.pass(1).set("a", allOut).pass(1)
	if n := len(d.slack.messages); n != 2 {
		t.Errorf("a silence that was ended is back: %s", words(d.slack.messages))
	}
	d = newDesk(t, map[string]string{"a": allIn}).hush("a", 600).pass(1)
	d.silences = []Silence{}
	d.set("a", oneOut).pass(10).hears("a listing without it", "")
	d.silences = nil
	d.pass(10).hears("no listing at all", "")

	// The same scope replaces: the last one counts, also if it ends first.
	d = newDesk(t, map[string]string{"a": allIn}).hush("a", 600).pass(1).hush("a", 10).set("a", oneOut).pass(9)
	d.hears("while the second lasts", "")
	d.pass(2).hears("when the second has ended", "11:root")

	// Another glob that covers it goes on.
	d = newDesk(t, map[string]string{"a": allIn}).hush("a", 5).hush("*", 30).set("a", oneOut).pass(29)
	d.hears("while one of two lasts", "")
	d.pass(1).hears("when both have ended", "30:root")

	// What breaks out after it has ended is told at once, and names it for an hour.
	d = newDesk(t, map[string]string{"a": allIn}).hush("a", 5).pass(20).set("a", oneOut).pass(1)
	d.hears("after it has ended", "21:root")
	if i := d.only("a"); i.LiftedBy != "1" {
		t.Error("it does not name the silence that has ended")
	}
	d = newDesk(t, map[string]string{"a": allIn}).hush("a", 5).pass(120).set("a", oneOut).pass(1)
	if i := d.only("a"); i.LiftedBy != "" {
		t.Error("it names a silence that ended long ago")
	}
}

// TestSilenceIsNoBlindness: what cannot be read is reported in any silence.
func TestSilenceIsNoBlindness(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": allIn}).hushBy(Silence{What: "*", All: true}, 600).pass(1)
	d.blind["a"] = Reading
	if d.pass(5); len(d.slack.messages) != 1 {
		t.Errorf("it cannot be read: %s", words(d.slack.messages))
	}
}

// TestRootWithSilenced: a root that covers silenced and other load balancers.
func TestRootWithSilenced(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": allIn, "b": "v0 v1 v2"}).hush("a", 60).pass(1)
	d.set("a", oneOut).set("b", "v0:4 v1 v2").pass(1)
	m := d.slack.messages
	if len(m) != 1 || m[0].of(keyOf("a")) == nil || m[0].of(keyOf("b")) == nil {
		t.Fatalf("%s, want one message that shows both", words(m))
	}
	if i := d.only("a"); !i.Untold() || i.Silence != "1" {
		t.Errorf("the silenced one is not marked: %+v", i)
	}
	d.set("b", "v0 v1 v2").pass(1).hears("the other recovers", "2:root 3:update")
	d.pass(15).hears("the other is stable", "2:root 3:update")
	if d.root("b").Level() != OK {
		t.Error("the level of the root is that of what nobody is told of")
	}
	d.pass(50)
	if m := d.slack.messages; len(m) != 3 || !m[2].post.Broadcast {
		t.Errorf("when the silence ends: %s, want an update that is broadcast", words(m))
	}
}

func TestAcknowledgement(t *testing.T) {
	t.Parallel()
	desk := func() *desk {
		d := newDesk(t, map[string]string{"a": "w0 w1 w2 w3 w4 w5"}).set("a", "w0:4 w1 w2 w3 w4 w5").pass(1)
		rev := d.root("a").Rev
		d.hushBy(Silence{Incident: "1"}, 24*60).pass(1)
		if r := d.root("a"); r.Rev == rev || r.Delivery.RootRev != r.Rev || r.Incidents[0].Ack != "1" {
			t.Fatal("its root does not show who has it")
		}
		return d
	}
	d := desk()
	for range 20 {
		d.set("a", "w0:4 w1:4 w2 w3 w4 w5").pass(1).set("a", "w0:4 w1 w2 w3 w4 w5").pass(1)
	}
	d.hears("it flaps", "1:root")
	d.pass(150).hears("no reminder", "1:root")
	d.set("a", "w0:4 w1:4 w2:4 w3 w4 w5").pass(1)
	if m := d.slack.messages; len(m) != 2 || !m[1].post.Mention {
		t.Errorf("it is worse: %s, want an update with a mention", words(m))
	}
	if i := d.only("a"); i.Ack != "" || i.LiftedBy != "1" {
		t.Errorf("it is worse, and the acknowledgement goes on")
	}

	d = desk().set("a", "w0 w1 w2 w3 w4 w5").pass(1).hears("it recovers", "1:root 3:update")
	d.pass(15)
	if d.endOf("1") != EndResolved {
		t.Errorf("it ends as %q", d.endOf("1"))
	}
	d.set("a", "w0:4 w1 w2 w3 w4 w5").pass(1)
	if n := len(d.slack.messages); n != 3 {
		t.Errorf("the next incident is held back: %s", words(d.slack.messages))
	}

	// What an acknowledgement held back is told when it ends with its incident.
	d = desk().set("a", "w0:4 w1 w2 w3 w4 w5 n").pass(5).hears("added while acknowledged", "1:root")
	d.set("a", "w0 w1 w2 w3 w4 w5 n").pass(20)
	if m := d.slack.messages; len(m) != 3 {
		t.Errorf("it is over: %s, want that n was added", words(m))
	}

	// At most a day.
	d = desk().set("a", "w0:4 w1:4 w2 w3 w4 w5").pass(24*60-2).hears("a day", "1:root")
	if d.pass(2); len(d.slack.messages) == 1 {
		t.Error("nothing is told after a day")
	}
}

// TestAcknowledgedRoot: the number of a root acknowledges what it covers by then, another one only itself.
func TestAcknowledgedRoot(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"1": "1 1", "2": " 1", "3": " "} {
		d := newDesk(t, map[string]string{"a": allIn, "b": "v0 v1 v2", "c": "u0 u1 u2"})
		d.set("a", oneOut).set("b", "v0:4 v1 v2").pass(1)
		d.hushBy(Silence{Incident: id}, 600).set("c", "u0:4 u1 u2").pass(1)
		if got := d.only("a").Ack + " " + d.only("b").Ack; got != want || d.only("c").Ack != "" {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}
