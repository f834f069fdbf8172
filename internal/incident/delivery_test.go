package incident

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// refuse answers calls by their words, such as "send" or "edit"; "send:Full" is a post in full.
type answers map[Do]Class

func (a answers) answer(c Call, _ *Root) (Class, bool) {
	class, ok := a[c.Do]
	if !ok {
		return Done, true
	}
	return class, false
}

// stopped is a desk where one of three has stopped, and nothing was posted yet.
func stopped(t *testing.T, route Route, pool string) *desk {
	t.Helper()
	d := newDesk(t, map[string]string{"a": "w0 w1 w2", "b": "v0 v1 v2", "c": "u0 u1 u2"})
	d.rules.Route = route
	return d.set("a", pool)
}

// minutesOf plays minutes and returns the calls of each, as "minute: call, call".
func (d *desk) minutesOf(n int) (all []string) {
	for range n {
		d.pass(1)
		if len(d.calls) > 0 {
			all = append(all, fmt.Sprintf("%d: %s", int(d.now.Sub(epoch).Minutes()), strings.Join(d.calls,
				", ")))
		}
	}
	return all
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("calls\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const (
	oneOut = "w0:4 w1 w2"
	allOut = "w0:4 w1:4 w2:4"
	allIn  = "w0 w1 w2"
)

// TestBackoff holds how long a root waits after failures of its own, and that every fourth moves its posts a
// fallback down.
func TestBackoff(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, oneOut)
	d.answer = answers{Send: Temporary}.answer
	expect(t, d.minutesOf(28), "1: send:temporary", "2: send:temporary", "4: send:temporary",
		"8: send:temporary", "12: send plain:temporary",
		"16: send plain:temporary", "20: send plain:temporary", "24: send plain:temporary",
		"28: send bare:temporary")
	d.answer = nil
	expect(t, d.minutesOf(5), "32: send bare:done")
	if d.set("a", "w0:4 w1:4 w2"); true { // the record remembers the step until a post succeeds
		expect(t, d.minutesOf(1), "34: send+mention:done, edit:done")
	}
}

// TestChannelFailuresCountAgainstNobody holds that an outage of the channel causes no back-off and no
// fallback.
func TestChannelFailuresCountAgainstNobody(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, oneOut)
	d.set("b", "v0:4 v1 v2")
	d.answer = answers{Send: ChannelDown}.answer
	var want []string
	for n := range 30 {
		want = append(want, fmt.Sprintf("%d: send:down", n+1)) // one call a round
	}
	expect(t, d.minutesOf(30), want...)
	d.answer = nil
	expect(t, d.minutesOf(1), "31: send:done")
}

// TestOneRootDelaysNoOther holds that a root which is refused for good does not keep another waiting.
func TestOneRootDelaysNoOther(t *testing.T) {
	t.Parallel()
	for _, class := range []Class{Unknown, Temporary, Content, Gone} {
		d := stopped(t, bot, oneOut)
		d.answer = func(c Call, r *Root) (Class, bool) {
			if r.Incidents[0].Key == keyOf("a") && c.Do == Send {
				return class, false
			}
			return Done, true
		}
		d.pass(5).set("b", "v0:4 v1 v2").pass(1)
		if got := words(d.slack.messages); got != "6:root" {
			t.Errorf("%s: posted %s, want the other root at once", classWords[class], got)
		}
	}
}

// TestFallbacks holds in which order a message that Slack refuses is made simpler.
func TestFallbacks(t *testing.T) {
	t.Parallel()
	refuse := func(least Form) func(Call, *Root) (Class, bool) {
		return func(c Call, _ *Root) (Class, bool) {
			if c.Do == Send && c.Form < least {
				return Content, false
			}
			return Done, true
		}
	}
	d := stopped(t, bot, allOut)
	d.answer = refuse(Bare)
	expect(t, d.minutesOf(1),
		"1: send+mention:content, send no-mention:content, send plain:content, send bare:done")
	d = stopped(t, bot, oneOut) // mentions nobody
	d.answer = refuse(Plain)
	expect(t, d.minutesOf(1), "1: send:content, send plain:done")
	d = stopped(t, bot, allOut)
	d.answer = refuse(NoMention)
	expect(t, d.minutesOf(1), "1: send+mention:content, send no-mention:done")
	d = stopped(t, webhook, oneOut)
	d.answer = refuse(Bare + 1)
	got := d.minutesOf(9)
	expect(t, got, "1: send:content, send plain:content, send bare:content", "5: send bare:content",
		"9: send bare:content")
	if d.s.Roots[0].Delivery.Undelivered.IsZero() {
		t.Errorf("it does not count as undelivered")
	}
}

// TestRefusedThread holds that updates go to the channel where the thread takes none, and that the root is
// still edited.
func TestRefusedThread(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, oneOut)
	d.answer = func(c Call, _ *Root) (Class, bool) {
		if c.Do == Send && c.TS != "" {
			return Content, false
		}
		return Done, true
	}
	d.pass(1).set("a", "w0:4 w1 w2 w3")
	expect(t, d.minutesOf(1), "2: send:content, send+channel:done, edit:done")
	d.set("a", allIn)
	expect(t, d.minutesOf(1), "3: send+channel:done, edit:done")
	d = stopped(t, bot, oneOut)
	d.answer = func(c Call, _ *Root) (Class, bool) {
		if c.Do == Send && c.TS != "" {
			return Temporary, false
		}
		return Done, true
	}
	d.pass(1).set("a", "w0:4 w1 w2 w3")
	expect(t, d.minutesOf(12), "2: send:temporary, edit:done", "3: send:temporary", "5: send:temporary",
		"9: send:temporary",
		"12: edit:done", "13: send+channel:done")
}

// TestGoneRootIsReplaced holds that a root somebody deleted is posted again while it is open, in the next
// tick.
func TestGoneRootIsReplaced(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, oneOut).pass(1)
	d.slack.messages[0].deleted = true
	d.set("a", "w0:4 w1 w2 w3")
	expect(t, d.minutesOf(2), "2: send:gone", "3: send:done")
	d.set("a", "w0:4 w1 w2")
	expect(t, d.minutesOf(1), "4: send:done, edit:done")
	if m := d.slack.messages[len(d.slack.messages)-1]; m.thread != d.slack.messages[1].ts {
		t.Errorf("an update goes to %q, not to the new root", m.thread)
	}
	// When all was shown and it is closed, who deleted it knows.
	d = stopped(t, bot, oneOut).pass(1)
	d.set("a", allIn).pass(1)
	d.slack.messages[0].deleted = true
	expect(t, d.minutesOf(12), "12: edit:gone")
	if len(d.s.Roots) != 0 {
		t.Errorf("it stays in the state")
	}
}

// TestDoubtByBot holds that a bot looks before it posts again, and that only two copies may be on their way.
func TestDoubtByBot(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, allOut)
	d.answer = func(c Call, _ *Root) (Class, bool) {
		switch c.Do {
		case Send:
			return Unknown, false
		case Look:
			return NotThere, false
		}
		return Done, true
	}
	expect(t, d.minutesOf(30), "1: send+mention:unknown", "2: look:none, send+mention:unknown",
		"4: look:none", "12: look:none, send+mention:unknown",
		"16: look:none, send+mention:unknown", "20: look:none", "26: look:none, send no-mention:unknown",
		"30: look:none, send no-mention:unknown")
	// The post arrived: it is found, and not posted again.
	d = stopped(t, bot, allOut)
	d.answer = func(c Call, _ *Root) (Class, bool) {
		if c.Do == Send {
			return Unknown, true
		}
		return Done, true
	}
	// which copy it is nobody knows
	expect(t, d.minutesOf(4), "1: send+mention:unknown", "2: look:done", "3: edit:done")
	if got := words(d.slack.messages); got != "1:root+mention" {
		t.Errorf("posted %s", got)
	}
	// A look-up that fails is made again, and the post waits.
	d = stopped(t, bot, allOut)
	d.answer = answers{Send: Unknown, Look: Temporary}.answer
	expect(t, d.minutesOf(40), "1: send+mention:unknown", "2: look:temporary", "4: look:temporary",
		"8: look:temporary", "12: look:temporary",
		"16: look:temporary", "20: look:temporary", "24: look:temporary", "28: look:temporary",
		"32: look:temporary", "36: look:temporary",
		"40: look:temporary")
}

// TestDoubtByWebhook holds that who may not look posts one second copy, in a later tick, after Slack has
// answered a question.
func TestDoubtByWebhook(t *testing.T) {
	t.Parallel()
	for _, route := range []Route{webhook, bot} {
		d := stopped(t, route, allOut)
		asks := 0
		d.answer = func(c Call, _ *Root) (Class, bool) {
			switch c.Do {
			case Send:
				return Unknown, false
			case Ask:
				if asks++; asks < 3 {
					return Temporary, false
				}
			case Look:
				return Content, false
			}
			return Done, true
		}
		look := ""
		if route.Bot() {
			look = "look:content, "
		}
		expect(t, d.minutesOf(8), "1: send+mention:unknown", "2: "+look+"ask:temporary", "3: ask:temporary",
			"4: ask:done, send+repeat:unknown")
		r := d.s.Roots[0]
		if r.Delivery.Presumed.IsZero() || len(d.s.Overdue(d.now.Add(14*time.Minute))) != 1 {
			t.Errorf("%s: it is not presumed delivered, or ticks do not fail: %+v", route, r.Delivery)
		}
	}
	// A bot whose second copy is out, and that learns only then that it may not look: no third.
	d := stopped(t, bot, allOut)
	looks := 0
	d.answer = func(c Call, _ *Root) (Class, bool) {
		switch c.Do {
		case Send:
			return Unknown, false
		case Look:
			if looks++; looks == 1 {
				return NotThere, false
			}
			return Content, false
		}
		return Done, true
	}
	expect(t, d.minutesOf(10), "1: send+mention:unknown", "2: look:none, send+mention:unknown",
		"4: look:content")
}

// TestPresumedNewsIsNamed holds that the next message Slack confirms names what it may not have, and that
// this ends the presumption; so does a day.
func TestPresumedNewsIsNamed(t *testing.T) {
	t.Parallel()
	presumed := func() *desk {
		d := stopped(t, webhook, oneOut)
		d.answer = answers{Send: Unknown}.answer
		d.pass(3)
		d.answer = nil
		if len(d.slack.messages) != 0 || d.s.Roots[0].Delivery.Presumed.IsZero() {
			t.Fatalf("it is not presumed delivered")
		}
		return d
	}
	d := presumed().pass(10).set("b", "v0:4 v1 v2").pass(1)
	if m := d.slack.messages[0]; !slices.Equal(m.post.Names, []string{"1"}) {
		t.Errorf("the next message names %v, want 1", m.post.Names)
	}
	if !d.s.Roots[0].Delivery.Presumed.IsZero() || len(d.s.Overdue(d.now.Add(time.Hour))) != 0 {
		t.Errorf("it is named, and still presumed")
	}
	if d.set("b", "v0:4 v1 v2 v3").pass(1); len(d.slack.messages[1].post.Names) != 0 {
		t.Errorf("it is named twice")
	}
	// What did not arrive names nobody.
	d = presumed().pass(10).set("b", "v0:4 v1 v2")
	d.answer = answers{Send: Unknown, Ask: Temporary}.answer
	if d.pass(1); d.s.Roots[0].Delivery.Presumed.IsZero() {
		t.Errorf("a message in doubt ended the presumption")
	}
	// An update shows only what is new: it names its own root, too, and a second one does not.
	d = presumed()
	d.set("a", "v0:4 v1:4 v2").pass(15).set("a", "v0:4 v1:4 v2:4").pass(15)
	for i, m := range d.slack.messages {
		if named := slices.Equal(m.post.Names, []string{"1"}); m.post.Root || named != (i == 0) {
			t.Errorf("update %d of a root that people may not have names %v", i, m.post.Names)
		}
	}
	if len(d.slack.messages) < 2 {
		t.Errorf("%d updates, want two", len(d.slack.messages))
	}
	// A message that was sent before names older news, and does not end the presumption.
	d = presumed()
	since := d.s.Roots[0].Delivery.Presumed
	call := Call{Do: Send, Route: webhook, Post: Post{Names: []string{"1"}}}
	for _, later := range []time.Duration{-time.Minute, time.Minute} {
		d.s.accepted(Step{Call: call, Outcome: Outcome{Class: Done}, Now: since.Add(later)})
		if ends := d.s.Roots[0].Delivery.Presumed.IsZero(); ends != (later > 0) {
			t.Errorf("named %v after it was presumed: it ends %v", later, ends)
		}
	}
	d = presumed()
	d.set("a", allIn).pass(1)
	if d.pass(30); len(d.s.Roots) != 0 || len(d.s.Overdue(d.now)) != 0 {
		t.Errorf("its own next message does not end the presumption")
	}
	d = presumed()
	d.answer = answers{Send: ChannelDown}.answer
	if d.pass(24*60 + 5); !d.s.Roots[0].Delivery.Presumed.IsZero() {
		t.Errorf("it is presumed for more than a day")
	}
}

// TestUndeliveredNews holds that what Slack takes in no form is named, fails ticks, and leaves after a day.
func TestUndeliveredNews(t *testing.T) {
	t.Parallel()
	for _, class := range []Class{Content, Temporary} {
		for _, route := range []Route{bot, webhook} {
			d := stopped(t, route, oneOut)
			d.answer = func(c Call, r *Root) (Class, bool) {
				if c.Do == Send && r.Incidents[0].Key == keyOf("a") {
					return class, false
				}
				return Done, true
			}
			d.pass(60)
			if o := d.s.Overdue(d.now); len(o) != 1 || o[0].ID() != "1" {
				t.Errorf("%s, %s: overdue %v", classWords[class], route, o)
			}
			d.set("b", "v0:4 v1 v2").pass(1).set("b", "v0:4 v1 v2 v3").pass(1)
			if m := d.slack.messages; len(m) != 2 || !slices.Equal(m[0].post.Names, []string{"1"}) ||
				len(m[1].post.Names) != 0 {
				t.Errorf("%s, %s: it is not named once", classWords[class], route)
			}
			d.set("a", allIn).set("b", "v0 v1 v2 v3").pass(25 * 60)
			if len(d.s.Roots) != 0 {
				t.Errorf("%s, %s: it does not leave after a day: %+v", classWords[class], route,
					d.s.Roots[0].Delivery)
			}
			found := false
			for _, p := range d.past {
				found = found || p.Closed != nil && p.Incident == "1" && p.Closed.Undelivered != ""
			}
			if !found {
				t.Errorf("%s, %s: the history does not say that it was not delivered", classWords[class],
					route)
			}
		}
	}
}

// TestLastWord holds that a root is edited once more after a call of unknown outcome, and leaves only then.
func TestLastWord(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, oneOut).pass(1)
	d.set("a", allIn).pass(1)
	expect(t, d.minutesOf(12), "12: edit:done")
	if len(d.s.Roots) != 0 {
		t.Errorf("nothing was in doubt, and it stays")
	}
	d = stopped(t, bot, oneOut).pass(1)
	d.answer = answers{Edit: Unknown}.answer
	d.set("a", allIn).pass(1) // at minute 2
	d.answer = nil
	expect(t, d.minutesOf(14), "3: edit:done", "12: edit:done")
	if len(d.s.Roots) != 0 {
		t.Errorf("it stays: %+v", d.s.Roots[0].Delivery)
	}
	d = stopped(t, bot, oneOut).pass(1)
	d.set("a", allIn).pass(9)
	d.answer = answers{Edit: Unknown}.answer
	d.pass(2) // closed at minute 12
	d.answer = nil
	expect(t, d.minutesOf(3), "13: edit:done")
	if len(d.s.Roots) != 1 {
		t.Errorf("it leaves before it is certain")
	}
	expect(t, d.minutesOf(12), "22: edit:done")
	if len(d.s.Roots) != 0 {
		t.Errorf("it stays: %+v", d.s.Roots[0].Delivery)
	}
}

// TestEditsThatFail holds that where the root cannot be edited, an update says how it ended.
func TestEditsThatFail(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, oneOut).pass(1)
	d.answer = answers{Edit: Content}.answer
	d.set("a", allIn)
	expect(t, d.minutesOf(14), "2: send:done, edit:content, edit:content, edit:content", "12: send:done")
	if len(d.s.Roots) != 0 {
		t.Errorf("it stays: %+v", d.s.Roots[0].Delivery)
	}
	d = stopped(t, bot, oneOut).pass(1)
	d.answer = answers{Edit: Temporary}.answer
	d.set("a", allIn)
	got := d.minutesOf(45)
	// those do not count
	expect(t, got, "2: send:done, edit:temporary", "3: edit:temporary", "5: edit:temporary",
		"9: edit:temporary",
		"13: edit:temporary", "17: edit:temporary", "21: edit:temporary", "25: edit:temporary",
		"26: send:done", "27: edit:temporary")
	if len(d.s.Roots) != 0 {
		t.Errorf("it stays: %+v", d.s.Roots[0].Delivery)
	}
	if m := d.slack.messages[len(d.slack.messages)-1]; !m.post.End {
		t.Errorf("the last update does not say how it ended")
	}
	// An edit that works in a simpler form is enough.
	d = stopped(t, bot, oneOut).pass(1)
	d.answer = func(c Call, _ *Root) (Class, bool) {
		if c.Do == Edit && c.Form < Bare {
			return Content, false
		}
		return Done, true
	}
	d.set("a", allIn)
	expect(t, d.minutesOf(12), "2: send:done, edit:content, edit:content, edit:done",
		"12: edit:content, edit:content, edit:done")
}

// TestClaims holds that nobody posts what another run has claimed, and what becomes of a claim that nobody
// marks.
func TestClaims(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, oneOut)
	d.mute = true
	d.pass(1)
	claim := func(by string, until time.Duration) {
		d.s.Plan(d.now, d.now, by, d.now.Add(until), d.rules)
	}
	claimed := func(by string) int { posts, edits := d.s.Claimed(by); return len(posts) + len(edits) }
	claim("one", time.Minute)
	claim("two", time.Minute)
	if claimed("one") != 1 || claimed("two") != 0 {
		t.Errorf("claims: one %d, two %d; want 1, 0", claimed("one"), claimed("two"))
	}
	if c := d.s.Roots[0].Delivery.Claim; c.Post == nil || !c.Post.Root || c.Post.Rev != 1 {
		t.Errorf("the claim does not say what it posts: %+v", c)
	}
	d.now = d.now.Add(61 * time.Second)
	claim("three", time.Minute)
	x := d.s.Roots[0].Delivery
	if x.Doubt == nil || x.Doubt.Copies != 1 || x.Claim == nil || x.Claim.By != "three" {
		t.Errorf("a claim that ended without a mark: %+v", x)
	}
	if c, ok := d.s.Roots[0].NextPost(); !ok || c.Do != Look {
		t.Errorf("the next call is %v, want a look-up", c.Do)
	}
	// A claim that lasts longer than any run was made under a wrong clock.
	d = stopped(t, bot, oneOut)
	d.mute = true
	d.pass(1)
	claim("one", 17*time.Minute)
	claim("two", time.Minute)
	if claimed("two") != 1 {
		t.Errorf("a claim for 17 min keeps others out")
	}
}

// TestLateMark holds that a run which lost its claim may only cast doubt.
func TestLateMark(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, oneOut)
	d.mute = true
	d.pass(1)
	d.s.Plan(d.now, d.now, "one", d.now.Add(time.Minute), d.rules)
	steps := d.notify("one", d.now) // it posts, and freezes
	d.now = d.now.Add(2 * time.Minute)
	d.s.Plan(d.now, d.now, "two", d.now.Add(time.Minute), d.rules)
	before := d.s.Roots[0].Delivery
	d.s.Mark("one", steps, d.now)
	after := d.s.Roots[0].Delivery
	if after.Posted || after.TS != "" || after.Shown != before.Shown || after.Claim == nil ||
		after.Claim.By != "two" {
		t.Errorf("a run that lost its claim marks what it did as certain: %+v", after)
	}
	if !after.LastUnknown.Equal(d.now) || !after.Doubted.Equal(d.now) || after.RootRev != 0 {
		t.Errorf("it casts no doubt: %+v", after)
	}
	d.s.Mark("two", d.notify("two", d.now), d.now)
	if got := d.s.Roots[0].Delivery; !got.Posted || got.TS != "000001" || len(d.slack.messages) != 1 {
		t.Errorf("the other run does not find the post: %+v", got)
	}
	// What it did about others, and what is not there any more, is nothing to it.
	d.s.Mark("one", append(steps, Step{Root: "gone."}), d.now)
}

// TestCopiesAreMarked holds that copies of a root and of updates are looked for, LATE after the last doubt,
// and marked.
func TestCopiesAreMarked(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, oneOut)
	first := true
	d.answer = func(c Call, _ *Root) (Class, bool) {
		switch {
		case c.Do == Send && first:
			first = false
			return Unknown, true // it appears later than it is looked for
		case c.Do == Look:
			return NotThere, false
		}
		return Done, true
	}
	d.pass(2)
	if got := words(d.slack.messages); got != "1:root 2:root" {
		t.Fatalf("posted %s", got)
	}
	d.answer = nil
	got := d.minutesOf(12)
	expect(t, got, "11: edit:done, copies:done, void:done")
	if m := d.slack.messages; !m[0].void || m[1].void {
		t.Errorf("the copy is not marked, or the root is: %v, %v", m[0].void, m[1].void)
	}
}

// TestCopiesAreMarkedWhereEditsFail holds that copies are looked for although the root cannot be edited.
func TestCopiesAreMarkedWhereEditsFail(t *testing.T) {
	t.Parallel()
	for _, edits := range []Class{Temporary, Unknown} {
		d := stopped(t, bot, oneOut)
		first := true
		d.answer = func(c Call, _ *Root) (Class, bool) {
			switch {
			case c.Do == Send && first:
				first = false
				return Unknown, true
			case c.Do == Look:
				return NotThere, false
			case c.Do == Edit:
				return edits, false
			}
			return Done, true
		}
		d.pass(2)
		d.set("l", "a:4 b:4 c d").pass(12)
		if m := d.slack.messages; !m[0].void || m[1].void {
			t.Errorf("%v: after 12 minutes the copy is not marked, or the root is: %v, %v", edits, m[0].void,
				m[1].void)
		}
	}
}

// TestClockThatIsBehindForgetsNoDoubt holds that a run whose clock is behind does not make a doubt of another
// run look older than it is: the last word comes LATE after the doubt.
func TestClockThatIsBehindForgetsNoDoubt(t *testing.T) {
	t.Parallel()
	for _, behind := range []time.Duration{8 * time.Minute, MaxBehind, MaxBehind + 1} {
		want := epoch
		if behind > MaxBehind {
			want = epoch.Add(-behind) // the other clock was wrong
		}
		now := epoch.Add(-behind)
		edit := Step{Call: Call{Do: Edit}, Outcome: Outcome{Class: Unknown}, Now: now}
		for name, note := range map[string]func(*Root){
			"an edit":           func(r *Root) { r.Take(edit) },
			"an edit, too late": func(r *Root) { r.late(edit, now) },
			"a post, too late": func(r *Root) {
				r.late(Step{Call: Call{Do: Send}, Outcome: Outcome{Class: Unknown}},
					now)
			},
			"a claim that ended": func(r *Root) { r.lost(now) },
		} {
			r := &Root{Delivery: Delivery{LastUnknown: epoch, Claim: &Claim{Post: &Post{}}}}
			if note(r); !r.Delivery.LastUnknown.Equal(want) {
				t.Errorf("%s, %v behind: noted for %v, want %v", name, behind, r.Delivery.LastUnknown, want)
			}
		}
	}
}

// TestOrderOfPosting holds what comes first when there is not time for all.
func TestOrderOfPosting(t *testing.T) {
	t.Parallel()
	pools := make(map[string]string)
	for n := range 50 {
		pools[fmt.Sprintf("l%02d", n)] = fmt.Sprintf("a%d b%d c%d d%d", n, n, n, n)
	}
	d := newDesk(t, pools)
	for n := range 50 {
		// a root for each
		d.set(fmt.Sprintf("l%02d", n), fmt.Sprintf("a%d:4 b%d c%d d%d", n, n, n, n)).pass(4)
	}
	for n := range 50 { // news for all: 47 and 48 are degraded and down
		switch n {
		case 47:
			d.set("l47", "a47:4 b47:4 c47 d47")
		case 48:
			d.set("l48", "a48:4 b48:4 c48:4 d48:4")
		default:
			d.set(fmt.Sprintf("l%02d", n), fmt.Sprintf("a%d:4 b%d c%d d%d e%d", n, n, n, n, n))
		}
	}
	before := len(d.slack.messages)
	d.pass(1)
	var order []string
	for _, m := range d.slack.messages[before:] {
		order = append(order, m.key[:strings.Index(m.key, ".")])
	}
	if len(order) != maxPosts || order[0] != "49" || order[1] != "48" {
		t.Errorf("%d posts in this order: %v; want 40, down first, then degraded", len(order), order)
	}
	edits := 0
	for _, c := range d.calls {
		if c == "edit:done" {
			edits++
		}
	}
	if edits != maxEdits {
		t.Errorf("%d edits in one tick, want 20", edits)
	}
	d.pass(4)
	for _, m := range d.slack.messages {
		if !m.post.Root {
			continue
		}
		if r := d.s.Roots[slices.IndexFunc(d.s.Roots,
			func(r *Root) bool { return r.Prefix() == m.prefix })]; m.rev != r.Rev {
			t.Errorf("after 5 ticks root %s shows revision %d of %d", m.key, m.rev, r.Rev)
		}
	}
	if n := len(d.slack.messages) - before; n != 50 {
		t.Errorf("%d updates after 5 ticks, want 50", n)
	}
}

// TestClosedRootsStayWhereTheyWere holds that nothing is due about a closed root where the settings want
// messages now, and that no number of an update is used again.
func TestClosedRootsStayWhereTheyWere(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, allOut)
	d.pass(2)
	r := d.s.Roots[0]
	r.Incidents[0].Closed, r.Incidents[0].End = d.now, EndAbandoned
	r.Marks[downMark] = Mark{Shown: true, Left: d.now}
	r.Delivery.Updates = 2
	for _, to := range []Route{"C0OTHER", webhook, bot} {
		rules := Rules{Route: to, StableAfter: 10 * time.Minute}
		d.s.settleRoutes(rules)
		if p, ok := r.due(d.now.Add(time.Hour), rules); ok || p.Root || p.N != 2 || r.Delivery.Route != to {
			t.Errorf("at %s this is due: %+v (%v), want nothing, and next update 2", to, p, ok)
		}
	}
}

// TestRouteChanges holds that an incident goes on where the settings want it now, under a new root.
func TestRouteChanges(t *testing.T) {
	t.Parallel()
	const other Route = "C222"
	d := stopped(t, bot, oneOut).pass(1).set("a", "w0:4 w1 w2 w3").pass(1)
	d.rules.Route = other
	expect(t, d.minutesOf(2), "3: send:done", "4: leave:done")
	m := d.slack.messages
	if last := m[len(m)-1]; last.route != other || !last.post.Root || !m[0].continues {
		t.Errorf("the new root is %+v; the old one continues: %v", last, m[0].continues)
	}
	d.rules.Route = bot // and back: no key is used twice
	d.pass(1).set("a", "w0:4 w1 w2").pass(1)
	seen := make(map[string]bool)
	for _, m := range d.slack.messages {
		if k := string(m.route) + m.key; seen[k] {
			t.Errorf("%s is posted twice", k)
		} else {
			seen[k] = true
		}
	}
	if d.only("a").ID != "1" {
		t.Errorf("it is another incident")
	}
	// From a bot to a webhook and back.
	d.rules.Route = webhook
	expect(t, d.minutesOf(1), "7: send:done")
	d.rules.Route = bot
	expect(t, d.minutesOf(1), "8: send:done")
	// What is closed and was reported is not posted again elsewhere.
	d.set("a", allIn).pass(1)
	d.answer = answers{Edit: Temporary}.answer
	d.pass(10)
	d.rules.Route = other
	n := len(d.slack.messages)
	d.answer = nil
	if d.pass(3); len(d.slack.messages) != n || len(d.s.Roots) != 0 {
		t.Errorf("a closed incident is posted in the new channel, or stays")
	}
}

// TestRootApartIsPostedAnew holds that a root of some of the incidents shows how bad these are, and how that
// ends, whatever was shown of all of them, and calls nobody again.
func TestRootApartIsPostedAnew(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"a": "a0 a1", "b": "b0 b1 b2"})
	d.set("a", "a0:4 a1:4").set("b", "b0:4 b1 b2").pass(2)
	r := d.s.Roots[0]
	if len(d.s.Roots) != 1 || len(r.Incidents) != 2 {
		t.Fatalf("%d roots", len(d.s.Roots))
	}
	for n, want := range []bool{true, false} {
		r.Marks[downMark].Shown, r.Marks[downMark].Again = false, true // its end was shown, and it was so again
		r.Delivery.Due = time.Time{}
		own := r.Apart(r.Incidents[n:n+1], epoch)
		down := own.Marks[downMark]
		if p, ok := own.due(d.now, d.rules); !ok || !p.Root || p.N != 0 || p.Mention ||
			p.Rises.Has(downMark) != want ||
			down.Again || down.Shown || !own.Delivery.Due.Equal(epoch) {
			t.Errorf("of incident %d alone this is due: %+v (%v); its mark: %+v", n, p, ok, down)
		}
	}
}

// TestOverdue holds that ticks fail once something is due for 15 minutes, and not before.
func TestOverdue(t *testing.T) {
	t.Parallel()
	d := stopped(t, bot, oneOut)
	d.answer = answers{Send: ChannelDown}.answer
	d.pass(15)
	if n := len(d.s.Overdue(d.now)); n != 0 {
		t.Errorf("after 14 min %d roots are overdue", n)
	}
	d.pass(1)
	if n := len(d.s.Overdue(d.now)); n != 1 {
		t.Errorf("after 15 min %d roots are overdue", n)
	}
	d.answer = nil
	d.pass(1)
	if n := len(d.s.Overdue(d.now.Add(time.Hour))); n != 0 {
		t.Errorf("all is posted, and %d roots are overdue", n)
	}
	// Another channel does not make it younger.
	moved := stopped(t, bot, oneOut)
	moved.answer = answers{Send: ChannelDown}.answer
	moved.pass(10)
	moved.rules.Route = "C222"
	moved.pass(6)
	if n := len(moved.s.Overdue(moved.now)); n != 1 {
		t.Errorf("after 15 min on two channels %d roots are overdue", n)
	}
	// What a pace holds back is not due.
	flap := newDesk(t, map[string]string{"a": "w0 w1 w2"})
	for n := range 90 {
		flap.set("a", []string{oneOut, allIn}[n%2]).pass(1)
		if n := len(flap.s.Overdue(flap.now)); n != 0 {
			t.Fatalf("an update that may wait is overdue")
		}
	}
}

// TestWebhookEditsNothing holds that by webhook there are posts only, and that nothing stays in the state for
// long.
func TestWebhookEditsNothing(t *testing.T) {
	t.Parallel()
	d := stopped(t, webhook, allOut)
	var all []string
	all = append(all, d.minutesOf(2)...)
	d.set("a", allIn)
	all = append(all, d.minutesOf(20)...)
	expect(t, all, "1: send+mention:done", "3: send:done", "5: send:done")
	if len(d.s.Roots) != 0 {
		t.Errorf("it stays: %+v", d.s.Roots[0].Delivery)
	}
}
