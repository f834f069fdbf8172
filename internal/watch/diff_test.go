package watch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// bound is a running backend of an application load balancer with these bindings, each "LISTENER[ RULE]
// PORT".
func bound(id string, bindings ...string) lb.Backend {
	b := backend(id, lb.Running)
	b.Weight = 0
	for _, on := range bindings {
		f := strings.Fields(on)
		binding := lb.Binding{Listener: f[0], Weight: 10}
		if len(f) == 3 {
			binding.Rule = f[1]
		}
		_, _ = fmt.Sscan(f[len(f)-1], &binding.Port) // the test says a number
		b.Bindings = append(b.Bindings, binding)
		b.Weight += 10
	}
	lb.SortBindings(b.Bindings)
	return b
}

// part is what a change is about, such as " 1/3 TCP:22".
func part(kind string, p *lb.Part) string {
	if p == nil {
		return ""
	}
	rules := ""
	if p.Rules {
		rules = " rules"
	}
	return fmt.Sprintf(", %s %d/%d%s %s", kind, p.N, p.Of, rules, strings.Join(p.Names, "+"))
}

// newest is the incident of backends that was posted or edited last.
func newest(t *testing.T, w *watchtest.World) incident.Incident {
	t.Helper()
	for _, r := range slices.Backward(w.Head().Incidents.Roots) {
		for _, i := range slices.Backward(r.Incidents) {
			if i.About == incident.Backends {
				return *i
			}
		}
	}
	t.Fatal("there is no incident")
	return incident.Incident{}
}

func TestBindingsAreReportedPerInstance(t *testing.T) {
	t.Parallel()
	three := []string{"TCP:22 22", "HTTP:80 8080", "HTTPS:443 8080"}
	rules := []string{"HTTPS:443 a.com/ 8080", "HTTPS:443 a.com/api 8080", "TCP:22 22"}
	heavier := bound("ins-7", three...)
	heavier.Bindings[0].Weight, heavier.Weight = 90, 110
	stopped := bound("ins-7", three[1:]...)
	stopped.Status = 4
	tests := []struct {
		name        string
		before, now []lb.Backend
		want        string
	}{
		{"bound everywhere", nil, []lb.Backend{bound("ins-7", three...)}, "ins-7 added"},
		{"unbound everywhere", []lb.Backend{bound("ins-7", three...)}, nil, "ins-7 removed"},
		{"unbound from one listener", []lb.Backend{bound("ins-7", three...)},
			[]lb.Backend{bound("ins-7", three[1:]...)},
			"ins-7 rebound, unbound 1/3 TCP:22"},
		{"bound to two more", []lb.Backend{bound("ins-7", three[:1]...)}, []lb.Backend{bound("ins-7", three...)},
			"ins-7 rebound, bound 2/3 HTTP:80+HTTPS:443"},
		{"unbound from one rule of a listener", []lb.Backend{bound("ins-7", rules...)},
			[]lb.Backend{bound("ins-7", rules[1:]...)},
			"ins-7 rebound, unbound 1/3 rules HTTPS:443 a.com/ → 8080"},
		{"unbound from all rules of a listener", []lb.Backend{bound("ins-7", rules...)},
			[]lb.Backend{bound("ins-7", rules[2:]...)},
			"ins-7 rebound, unbound 1/2 HTTPS:443"},
		{"another port", []lb.Backend{bound("ins-7", "TCP:22 22")}, []lb.Backend{bound("ins-7", "TCP:22 2222")},
			"ins-7 rebound, unbound 1/1 rules TCP:22 → 22, bound 1/1 rules TCP:22 → 2222"},
		{"another weight is no news", []lb.Backend{bound("ins-7", three...)}, []lb.Backend{heavier}, ""},
		{"stopped and unbound from one", []lb.Backend{bound("ins-7", three...)}, []lb.Backend{stopped},
			"ins-7 stopped, unbound 1/3 TCP:22"},
	}
	for _, tt := range tests {
		w := watchtest.New()
		w.SetKind(web, lb.Application)
		w.Set(web, append(tt.before, bound("ins-1", "TCP:1 1"))...)
		tick(t, w, web)
		before := len(w.News())
		w.Set(web, append(tt.now, bound("ins-1", "TCP:1 1"))...)
		ticks(t, 2, w, web)
		got := strings.Join(w.News()[before:], ", ")
		if got != "" {
			m := newest(t, w).Machines[0]
			got += part("unbound", m.Unbound) + part("bound", m.Bound)
		}
		if got != tt.want {
			t.Errorf("%s: posted %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestListenerThatLosesItsLastBackendIsDown(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.SetKind(web, lb.Application)
	full := []lb.Backend{bound("ins-1", "TCP:22 22", "TCP:80 80"), bound("ins-2", "TCP:80 80"),
		bound("ins-3", "TCP:80 80")}
	w.Set(web, full...)
	tick(t, w, web)
	w.Set(web, bound("ins-1", "TCP:80 80"), full[1], full[2])
	tick(t, w, web)
	if i := newest(t, w); !slices.Equal(i.Emptied, []string{"TCP:22"}) || i.Level != incident.Down {
		t.Errorf("unbound: %v emptied, %v, want TCP:22 and down, whatever it weighs", i.Emptied, i.Level)
	}
	w.Set(web, full...)
	tick(t, w, web)
	if i := newest(t, w); len(i.Emptied) > 0 || i.Level != incident.OK {
		t.Errorf("bound again: %v emptied, %v, want none, and ok", i.Emptied, i.Level)
	}
	full[0].Status = 4
	w.Set(web, full...)
	tick(t, w, web)
	if i := newest(t, w); i.Bare == nil || i.Bare.N != 1 || i.Bare.Of != 2 || i.Level != incident.Down {
		t.Errorf("stopped: bare %+v, %v, want one of two listeners, and down", i.Bare, i.Level)
	}
}

// ill is a running backend with so many checks, some of which fail.
func ill(id string, checked int, failing ...string) lb.Backend {
	b := backend(id, lb.Running)
	b.Checked, b.Failing = checked, failing
	return b
}

func TestHealth(t *testing.T) {
	t.Parallel()
	stopped := ill("ins-1", 2, "TCP:80 → 80", "TCP:81 → 81")
	stopped.Status = 4
	unclear := ill("ins-1", 2)
	unclear.Unclear = []string{"TCP:80 → 80"}
	one, other := "TCP:80 → 80", "TCP:81 → 81"
	tests := []struct {
		name  string
		steps []lb.Backend // of ins-1, one each tick after the baseline
		want  string
	}{
		{"fails and recovers", []lb.Backend{ill("ins-1", 2, one), ill("ins-1", 2, one), ill("ins-1", 2)},
			"ins-1 unhealthy, ins-1 healthy"},
		{"fails one more", []lb.Backend{ill("ins-1", 2, one), ill("ins-1", 2, one, other), ill("ins-1", 2, other)},
			"ins-1 unhealthy, ins-1 unhealthy"},
		{"stops: it fails everything, which goes without saying", []lb.Backend{stopped, ill("ins-1", 2)},
			"ins-1 stopped, ins-1 recovered"},
		{"runs again and needs a moment", []lb.Backend{stopped, ill("ins-1", 2, one), ill("ins-1", 2)},
			"ins-1 stopped, ins-1 recovered"},
		{"runs again and goes on failing", []lb.Backend{stopped, ill("ins-1", 2, one), ill("ins-1", 2, one),
			ill("ins-1", 2)},
			"ins-1 stopped, ins-1 recovered, ins-1 unhealthy, ins-1 healthy"},
		{"not decided is as before", []lb.Backend{unclear, ill("ins-1", 2, one), unclear, ill("ins-1", 2, one),
			ill("ins-1", 2)},
			"ins-1 unhealthy, ins-1 healthy"},
	}
	for _, tt := range tests {
		w := watchtest.New()
		w.Health(true)
		w.Set(web, ill("ins-1", 2), ill("ins-9", 2))
		tick(t, w, web)
		for _, b := range tt.steps {
			w.Set(web, b, ill("ins-9", 2))
			tick(t, w, web)
		}
		if got := strings.Join(history(t, w), ", "); got != tt.want {
			t.Errorf("%s: reported %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestFailingChecksAreAnIncident(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Health(true)
	w.Set(web, ill("ins-1", 1), ill("ins-2", 1))
	tick(t, w, web)
	w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1))
	tick(t, w, web)
	i := newest(t, w)
	if c := i.Now; c.Running != 2 || c.Ill != 1 || c.Serving != 10 || c.Weight != 20 ||
		i.Level != incident.Degraded {
		t.Errorf("%+v, %v, want 2 running, 1 of them ill, half of the weight serving, degraded", c, i.Level)
	}
	if p := i.Machines[0].Fails; p == nil || p.N != 1 || p.Of != 1 || p.Names[0] != "TCP:80 → 80" {
		t.Errorf("it fails %+v, want TCP:80", p)
	}
	w.Set(web, ill("ins-1", 1), ill("ins-2", 1))
	ticks(t, 12, w, web)
	if roots := w.Head().Incidents.Roots; len(roots) > 0 || !w.Slack()[1].Shows.Resolved() {
		t.Errorf("in the end there are %d roots, and the message shows %+v", len(roots), w.Slack()[1].Shows)
	}
}

func TestHealthSwitchedOnOrOffIsNoNews(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1))
	tick(t, w, web)
	w.Health(true)
	ticks(t, 2, w, web)
	if got := history(t, w); len(got) > 0 {
		t.Errorf("reported %q when health was switched on, want nothing: what fails may have failed for long", got)
	}
	w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1, "TCP:80 → 80"))
	tick(t, w, web)
	w.Health(false)
	tick(t, w, web)
	if got := strings.Join(history(t, w), ", "); got != "ins-2 unhealthy" {
		t.Errorf("reported %q, want what failed since, and nothing when health was switched off", got)
	}
}

func TestHealthThatCannotBeReadIsAsItWas(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Health(true)
	w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1))
	tick(t, w, web)
	w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1, "TCP:80 → 80"))
	tick(t, w, web)
	w.Fail(fail("health", errors.New("health is away")))
	for i := range 4 {
		b := backend("ins-3", lb.Running) // it comes and goes meanwhile, which is reported
		w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1, "TCP:80 → 80"), b)
		if i == 3 {
			w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1))
		}
		if sum := tick(t, w, web); sum.Unread == nil || sum.Unreadable != 0 ||
			!strings.Contains(sum.Unread.Error(), "the health of "+web) {
			t.Errorf("without health: %+v, want it read, and said what could not be", sum)
		}
	}
	w.Fail(nil)
	tick(t, w, web)
	want := "watching 1: 2 of 2 | ins-2 failing | ins-3 added | lb-web unreadable: health | ins-3 came and " +
		"went | " +
		"ins-2 back | lb-web readable"
	if got := news(w); got != want {
		t.Errorf("posted %q\nwant %q", got, want)
	}
}

func TestHealthReadOnceIsKnownThroughAChangeWithoutIt(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Health(true)
	w.Set(web, ill("ins-1", 1), ill("ins-2", 1))
	tick(t, w, web)
	w.Fail(fail("health", errors.New("it is away")))
	w.Set(web, ill("ins-1", 1), ill("ins-2", 1), ill("ins-3", 1))
	tick(t, w, web)
	w.Fail(nil)
	w.Set(web, ill("ins-1", 1), ill("ins-2", 1, "TCP:80 → 80"), ill("ins-3", 1))
	tick(t, w, web)
	if got, want := strings.Join(history(t, w), ", "), "ins-3 added, ins-2 unhealthy"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
}

// A backend that came and fails its checks is news if it still does at the next good reading, however long
// that takes.
func TestNewBackendThatGoesOnFailingIsNotForgotten(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"health", "read"} {
		for _, of := range []int{1, 2} { // and across a change of the number of shards
			w := watchtest.New()
			w.Health(true)
			w.Set(web, ill("ins-1", 1))
			shards(t, w, 1, web)
			w.Set(web, ill("ins-1", 1), ill("ins-2", 1, "TCP:80 → 80"))
			shards(t, w, 1, web)
			w.Fail(fail(op, errors.New("it is away")))
			w.Advance(time.Minute)
			_, _ = shard(t, w, 1, 1, web)
			w.Fail(nil)
			shards(t, w, of, web)
			shards(t, w, of, web)
			if got, want := strings.Join(history(t, w), ", "), "ins-2 added, ins-2 unhealthy"; got != want {
				t.Errorf("%s away, then %d shards: reported %q, want %q", op, of, got, want)
			}
			for n := 1; n <= of; n++ {
				if h := w.HeadOf(state.Shard{N: n, Of: of}); len(h.Unposted) > 0 {
					t.Errorf("%s away, then %d shards: the head still has %v to report", op, of, h.Unposted)
				}
			}
		}
	}
}

// A load balancer that is upgraded from classic to application has other bindings: that is the upgrade, and
// no removal.
func TestUpgradeIsReportedOnceAsWhatItIs(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1", "ins-2", "ins-3")...)
	tick(t, w, web)
	w.SetKind(web, lb.Application)
	stopped := bound("ins-2", "TCP:80 80")
	stopped.Status = 4
	w.Set(web, bound("ins-1", "TCP:80 80", "TCP:81 81"), stopped) // ins-3 was left behind
	reads := w.Reads()
	ticks(t, 2, w, web)
	if n := w.Reads() - reads; n != 2 {
		t.Errorf("%d readings in two ticks, want 2: nothing is to be confirmed", n)
	}
	if got, want := strings.Join(history(t, w), ", "), "ins-2 stopped"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
	var notices []incident.Incident
	for _, m := range w.Slack() {
		for _, i := range m.First.Incidents {
			if i.About == incident.Upgraded {
				notices = append(notices, *i)
			}
		}
	}
	if len(notices) != 1 || notices[0].Before.Total != 3 || notices[0].Now.Total != 2 ||
		notices[0].Now.Running != 1 {
		t.Errorf("posted %+v, want one notice: 3 backends before and 2 now, 1 of them running", notices)
	}
	if i := newest(t, w); i.Removed != 0 || i.Added != 0 || len(i.Emptied) > 0 {
		t.Errorf("the incident counts %d removed, %d added, %v emptied, want none", i.Removed, i.Added, i.Emptied)
	}
	w.Set(web, bound("ins-1", "TCP:80 80", "TCP:81 81"), bound("ins-2", "TCP:80 80"))
	tick(t, w, web)
	if got, want := strings.Join(history(t, w), ", "), "ins-2 stopped, ins-2 recovered"; got != want {
		t.Errorf("reported %q, want the recovery of what stopped meanwhile", got)
	}
}

func TestUnreadableLoadBalancer(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Set(api, up("ins-c")...)
	tick(t, w, web, api)
	good := w.Head().ObservedAt
	w.Fail(failOf("read", web, errors.New("code 6000")))
	w.Set(api, backend("ins-c", 4))
	if sum := tick(t, w, web, api); sum.Read != 1 || sum.Unreadable != 1 || sum.Sent != 1 {
		t.Errorf("%+v, want the other load balancer read and its news sent", sum)
	}
	since := w.Now()
	if u := w.Head().Unposted; len(u) > 0 {
		t.Errorf("the head has %v to report, want nothing", u)
	}
	ticks(t, 10, w, web, api)
	if got, want := news(w), "watching 2: 2 of 2 | ins-c stopped | lb-web unreadable: reading"; got != want {
		t.Fatalf("posted %q, want %q", got, want)
	}
	at := slices.IndexFunc(w.Slack(), func(m watchtest.Message) bool {
		return slices.Contains(m.News,
			web+" unreadable: reading")
	})
	for _, i := range w.Slack()[at].First.Incidents {
		if i.About == incident.Reading && (!i.Began.Equal(since) || !i.LastGood.Equal(good) ||
			!w.Slack()[at].At.Equal(since.Add(2*time.Minute))) {
			t.Errorf("reported at %v as unreadable since %v, last good %v, want after 3 ticks, %v and %v",
				w.Slack()[at].At, i.Began, i.LastGood, since, good)
		}
	}
	w.Fail(nil)
	w.Set(web, up("ins-b")...)
	tick(t, w, web, api)
	if got, want := strings.Join(history(t, w), ", "), "ins-c stopped, ins-a removed, ins-b added"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
	if m := newest(t, w).Machines[0]; !m.After.Equal(good) {
		t.Errorf("a change while it was unreadable is reported as since %v, want %v", m.After, good)
	}
	ticks(t, 5, w, web, api)
	if got := news(w); !strings.Contains(got, "lb-web readable") {
		t.Errorf("posted %q, want that it is readable again", got)
	}
}

func TestLoadBalancerThatWasNeverReadHasNoLastGoodReading(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(api, up("ins-c")...)
	tick(t, w, api)
	ticks(t, 3, w, web, api)
	all := w.Slack()
	if i := all[len(all)-1].First.Incidents[0]; i.About != incident.Reading || i.Key != web ||
		!i.LastGood.IsZero() {
		t.Errorf("posted %+v, want that %s cannot be read, with no last good reading", i, web)
	}
}

// One that cannot be read, known or not, does not make each tick write the snapshot anew.
func TestUnreadableLoadBalancerCostsNoSnapshot(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Set(api, up("ins-c")...)
	ticks(t, 2, w, web, api)
	w.Delete(web)
	for range 5 {
		calls := ops(w)
		tick(t, w, web, api, "ap-guangzhou/lb-never")
		if slices.Contains(*calls, "create") {
			t.Errorf("the tick did %q, want no snapshot", *calls)
		}
	}
}

func TestUnreadableForAMomentIsNoNews(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	w.Set(api, up("ins-c")...)
	tick(t, w, web, api)
	for range 5 {
		w.Fail(failOf("read", web, errors.New("code 4500")))
		ticks(t, 2, w, web, api)
		w.Fail(nil)
		tick(t, w, web, api)
	}
	if got, want := news(w), "watching 2: 2 of 2"; got != want {
		t.Errorf("posted %q, want %q", got, want)
	}
}

// Health that could not be read stays unreadable while nothing can be read, and is then not reported a second
// time.
func TestHealthThatIsAwayStaysSoWhileNothingCanBeRead(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Health(true)
	w.Set(web, ill("ins-1", 1))
	w.Set(api, ill("ins-2", 1))
	tick(t, w, web, api)
	w.Fail(failOf("health", web, errors.New("it is away")))
	ticks(t, 3, w, web, api)
	w.Fail(failOf("read", web, errors.New("it is away")))
	tick(t, w, web, api)
	w.Fail(nil)
	ticks(t, 3, w, web, api)
	if got, want := news(w), "watching 2: 2 of 2 | lb-web unreadable: health | lb-web readable"; got != want {
		t.Errorf("posted %q, want %q", got, want)
	}
}

// What is open about a load balancer that is not watched any more is closed, with that reason.
func TestIncidentOfWhatIsNotWatchedAnyMoreIsClosed(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b")...)
	w.Set(api, up("ins-x")...)
	tick(t, w, web, api)
	w.Set(web, backend("ins-a", 4), backend("ins-b", 2))
	tick(t, w, web, api)
	w.Fail(failOf("read", api, errors.New("code 6000")))
	tick(t, w, web, api)
	w.Fail(nil)
	w.Set("ap-guangzhou/lb-other", up("ins-1")...)
	tick(t, w, "ap-guangzhou/lb-other")
	if n := len(w.Head().Incidents.Unread); n > 0 {
		t.Errorf("%d load balancers that are not watched count as unreadable", n)
	}
	root := w.Slack()[1].Shows
	if i := root.Incidents[0]; i.End != incident.EndDropped || root.Open() {
		t.Errorf("the root shows an incident that ended as %q, want dropped", i.End)
	}
	if got := news(w); !strings.Contains(got, "lb-web is over: dropped") {
		t.Errorf("posted %q, want that it is over", got)
	}
	ticks(t, 2, w, "ap-guangzhou/lb-other")
	if n := len(w.Head().Incidents.Roots); n > 0 {
		t.Errorf("%d roots are left", n)
	}
}

// TestAbandonedOutage leaves a backend out for a day: then the incident ends, and what is out is taken for
// granted.
func TestAbandonedOutage(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Health(true)
	w.Set(web, backend("ins-a", 2), ill("ins-b", 1), backend("ins-c", 2))
	tick(t, w, web)
	w.Set(web, backend("ins-a", 4), ill("ins-b", 1, "TCP:80 → 80"), backend("ins-c", 2))
	tick(t, w, web)
	began := w.Now()
	for len(w.Head().Incidents.Roots) > 0 && w.Now().Sub(began) < 30*time.Hour {
		w.Advance(4 * time.Minute)
		tick(t, w, web)
	}
	if after := w.Now().Sub(began); after < 23*time.Hour || after > 25*time.Hour {
		t.Fatalf("it ended after %v, want a day", after)
	}
	root := w.Slack()[1].Shows
	if i := root.Incidents[0]; i.End != incident.EndAbandoned || root.Resolved() {
		t.Errorf("it ended as %q, want abandoned", i.End)
	}
	if s := w.Snapshot(); strings.Count(s, `"atLeast":true`) != 2 {
		t.Errorf("the snapshot does not take both outages for granted: %s", s)
	}
	// From now on they are as they were: a later incident does not count them as lost, and their end is news.
	w.Set(web, backend("ins-a", 4), ill("ins-b", 1, "TCP:80 → 80"), backend("ins-c", 4))
	tick(t, w, web)
	if i := newest(t, w); i.Now.Out != 1 || i.Now.Lost != 10 {
		t.Errorf("a later incident: %+v, want one out, with a weight of 10", i.Now)
	}
	w.Set(web, backend("ins-a", 2), ill("ins-b", 1), backend("ins-c", 2))
	tick(t, w, web)
	if got, want := strings.Join(history(t, w)[2:], ", "),
		"ins-c stopped, ins-a recovered, ins-c recovered, ins-b healthy"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
}

// An outage is not abandoned by a tick that cannot read it, or in which something about it changes.
func TestOutageIsNotAbandonedUnseen(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]func(*watchtest.World){
		"unreadable":           func(w *watchtest.World) { w.Fail(failOf("read", web, errors.New("code 6000"))) },
		"its health is unread": func(w *watchtest.World) { w.Fail(failOf("health", web, errors.New("code 6000"))) },
		"its health is unread, its status another": func(w *watchtest.World) {
			w.Set(web, backend("ins-a", 9), backend("ins-b", 2), backend("ins-c", 2))
			w.Fail(failOf("health", web, errors.New("code 6000")))
		},
		"it changes": func(w *watchtest.World) {
			w.Set(web, backend("ins-a", 4), backend("ins-b", 4),
				backend("ins-c", 2))
		},
		"the cloud denies it": func(w *watchtest.World) { w.Delete(web) },
	} {
		w := watchtest.New()
		w.Health(true)
		w.Set(web, up("ins-a", "ins-b", "ins-c")...)
		w.Set(api, up("ins-x")...)
		tick(t, w, web, api)
		w.Set(web, backend("ins-a", 4), backend("ins-b", 2), backend("ins-c", 2))
		tick(t, w, web, api)
		began := w.Now()
		for w.Now().Sub(began) < 1435*time.Minute {
			w.Advance(4 * time.Minute)
			tick(t, w, web, api)
		}
		last(w)
		for range 3 {
			w.Advance(4 * time.Minute)
			tick(t, w, web, api)
		}
		if i := newest(t, w); !i.Open() || strings.Contains(w.Snapshot(), "atLeast") {
			t.Errorf("%s: the incident ended as %q; the snapshot is %s", name, i.End, w.Snapshot())
		}
	}
}

func TestBaselineOfManyNamesAFew(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 40)
	w.Set(keys[39], backend("ins-a", 4), backend("ins-b", 4))
	tick(t, w, keys...)
	b := w.Slack()[0].First.Incidents[0].Baseline
	if b.CLBs != 40 || b.Backends != 80 || b.Running != 78 || len(b.Worst) > 20 ||
		b.Worst[0].CLB.Key() != keys[39] {
		t.Errorf("baseline %d: %d of %d names %d load balancers, the first %s; want 40: 78 of 80, a few of them, "+
			"the worst first",
			b.CLBs, b.Running, b.Backends, len(b.Worst), b.Worst[0].CLB.Key())
	}
}

// A weight that the first reading of all does not tell is the default.
func TestBaselineOfAWeightThatIsNotTold(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, lb.Backend{ID: "ins-a", Status: lb.Running, Weight: lb.UnknownWeight})
	tick(t, w, web)
	if b := w.Slack()[0].First.Incidents[0].Baseline; b.Worst[0].Now.Weight != lb.DefaultWeight {
		t.Errorf("baseline %+v, want a weight of %d", b.Worst[0].Now, lb.DefaultWeight)
	}
	if s := w.Snapshot(); !strings.Contains(s, `"weight":10`) {
		t.Errorf("the snapshot is %s, want a weight of 10", s)
	}
}

// Bytes that nobody needs change for good: the new digest is stored with the next heartbeat, and then ticks
// are quiet.
func TestDigestThatChangesAloneIsStoredInTime(t *testing.T) {
	t.Parallel()
	for _, busy := range []bool{false, true} { // an incident of another load balancer writes a head each minute
		w := watchtest.New()
		w.Set(api, up("ins-x", "ins-y")...)
		digest := lb.Digest("one")
		do := func() {
			v := w.Watcher(web, api)
			source := v.Source
			v.Source = readFunc(func(ctx context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error) {
				switch {
				case c.Key() == api:
					return source.Read(ctx, c, known)
				case known == digest:
					return lb.Reading{Digest: known, Unchanged: true}, nil
				}
				return lb.Reading{Digest: digest, Backends: up("ins-a")}, nil
			})
			run(t, w, v)
		}
		do()
		if busy {
			w.Set(api, backend("ins-x", 4), backend("ins-y", 2))
		}
		do()
		do()
		digest = "two"
		for range 7 {
			do()
		}
		calls := ops(w)
		do()
		if slices.Contains(*calls, "create") || !strings.Contains(w.Snapshot(), `"two"`) {
			t.Errorf("busy %v: minutes later a tick did %q, and the snapshot is %s; want the new digest stored", busy,
				*calls, w.Snapshot())
		}
	}
}

// An API whose bytes differ at each call does not make each tick write a snapshot.
func TestAnswerThatDiffersInNothingIsNotStoredEachTick(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	n, snapshots := 0, 0
	w.Fail(func(op, _ string) (bool, error) {
		if op == "commit snapshot" {
			snapshots++
		}
		return true, nil
	})
	for range 21 {
		v := w.Watcher(web)
		v.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
			n++
			return lb.Reading{Digest: lb.Digest(fmt.Sprint("digest ", n)), Backends: up("ins-a")}, nil
		})
		run(t, w, v)
	}
	if snapshots > 6 || w.Head().N > 10 {
		t.Errorf("%d snapshots and %d heads in 20 minutes without news, want one in 5 minutes or so", snapshots,
			w.Head().N)
	}
}

func TestDigestToRememberIsStoredAtOnce(t *testing.T) {
	t.Parallel()
	for _, remember := range []bool{false, true} {
		w := watchtest.New()
		w.Set(web, up("ins-a")...)
		ticks(t, 2, w, web)
		v := w.Watcher(web)
		v.Source = readFunc(func(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
			return lb.Reading{Backends: up("ins-a"), Digest: "learned", Remember: remember}, nil
		})
		w.Advance(-30 * time.Second) // not across the next heartbeat
		if sum := run(t, w, v); sum.Changes != 0 {
			t.Fatal(sum)
		}
		if stored := strings.Contains(w.Snapshot(), "learned"); stored != remember {
			t.Errorf("a digest to remember: %v; stored a moment after the last head: %v", remember, stored)
		}
	}
}

// rewriting changes the text of stored snapshots.
type rewriting struct {
	state.Store
	change func(string) string
}

func (s rewriting) OpenSnapshot(ctx context.Context, b state.Blob) (io.ReadCloser, error) {
	r, err := s.Store.OpenSnapshot(ctx, b)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	return struct {
		io.Reader
		io.Closer
	}{strings.NewReader(s.change(string(text))), r}, err
}

// TestSnapshotThatIsNotWholeStopsTheTick: what is missing would be taken for a new load balancer, and its
// changes lost.
func TestSnapshotThatIsNotWholeStopsTheTick(t *testing.T) {
	t.Parallel()
	lines := func(order ...int) func(string) string {
		return func(text string) string {
			l := strings.SplitAfter(text, "\n")
			var out strings.Builder
			for _, i := range order {
				out.WriteString(l[i])
			}
			return out.String()
		}
	}
	replace := func(old, new string) func(string) string {
		return func(text string) string { return strings.Replace(text, old, new, 1) }
	}
	second := func(change func(string) string) func(string) string {
		n := 0
		return func(text string) string {
			if n++; n >= 2 {
				return change(text)
			}
			return text
		}
	}
	for name, change := range map[string]func(string) string{
		"of another schema":             replace(`"schema":1`, `"schema":2`),
		"its index no JSON":             replace(`{"schema"`, `["schema"`),
		"empty":                         func(string) string { return "" },
		"its records out of order":      lines(0, 2, 1, 3),
		"a record twice":                lines(0, 1, 2, 2, 3),
		"a record of another form":      replace(`{"key":"ap-guangzhou/lb-0001"`, `{"Key":"ap-guangzhou/lb-0001"`),
		"a record that is no JSON":      replace(`"backends":[{`, `"backends":[[`),
		"empty from the second look on": second(func(string) string { return "" }),
		"the last line cut short":       func(text string) string { return text[:len(text)-1] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchtest.New()
			keys := many(w, 3)
			tick(t, w, keys...)
			before := w.Head().N
			for _, key := range keys {
				w.Set(key, up("ins-a", "ins-9")...)
			}
			w.Advance(time.Minute)
			v := w.Watcher(keys...)
			v.Store = rewriting{v.Store, change}
			if sum, err := v.Tick(deadline(t, w)); err == nil || w.Head().N != before {
				t.Errorf("Tick = %+v, %v, head %d; want an error and the head still %d", sum, err, w.Head().N, before)
			}
		})
	}
}

// truncating cuts the end off snapshots, and says so as a store does, at the end.
type truncating struct{ state.Store }

func (s truncating) OpenSnapshot(ctx context.Context, b state.Blob) (io.ReadCloser, error) {
	r, err := s.Store.OpenSnapshot(ctx, b)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	cut := strings.NewReader(string(text[:len(text)-10]))
	return io.NopCloser(io.MultiReader(cut, iotest.ErrReader(errors.New("its content is not what its name says")))), nil
}

func TestSnapshotThatIsDamagedAtItsEndIsNotCarriedOn(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	keys := many(w, 3)
	tick(t, w, keys...)
	// The last load balancer is dropped from the settings, so that only reading on to the end meets the damage
	// in it.
	v := w.Watcher(keys[:2]...)
	v.Store = truncating{v.Store}
	w.Set(keys[0], up("ins-b")...)
	w.Advance(time.Minute)
	if sum, err := v.Tick(deadline(t, w)); err == nil {
		t.Errorf("a tick on a damaged snapshot: %+v, want an error", sum)
	}
	if got := history(t, w); len(got) > 0 {
		t.Errorf("reported %q, want nothing", got)
	}
}

var _ watch.Source = readFunc(nil)
