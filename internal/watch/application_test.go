package watch_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// bound is a running backend of an application load balancer with these bindings, each "LISTENER[ RULE] PORT".
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

func TestBindingsAreToldPerInstance(t *testing.T) {
	t.Parallel()
	three := []string{"TCP:22 22", "HTTP:80 8080", "HTTPS:443 8080"}
	rules := []string{"HTTPS:443 a.com/ 8080", "HTTPS:443 a.com/api 8080", "TCP:22 22"}
	tests := []struct {
		name        string
		before, now []lb.Backend
		want        string
	}{
		{"bound everywhere", nil, []lb.Backend{bound("ins-7", three...)}, "ins-7 added 3/3 HTTP:80+HTTPS:443+TCP:22"},
		{"unbound everywhere", []lb.Backend{bound("ins-7", three...)}, nil, "ins-7 removed 3/3 HTTP:80+HTTPS:443+TCP:22"},
		{"unbound from one listener", []lb.Backend{bound("ins-7", three...)}, []lb.Backend{bound("ins-7", three[1:]...)}, "ins-7 unbound 1/3 TCP:22"},
		{"bound to two more", []lb.Backend{bound("ins-7", three[:1]...)}, []lb.Backend{bound("ins-7", three...)}, "ins-7 bound 2/3 HTTP:80+HTTPS:443"},
		{"unbound from one rule of a listener", []lb.Backend{bound("ins-7", rules...)}, []lb.Backend{bound("ins-7", rules[1:]...)},
			"ins-7 unbound 1/3 rules HTTPS:443 a.com/ → 8080"},
		{"unbound from all rules of a listener", []lb.Backend{bound("ins-7", rules...)}, []lb.Backend{bound("ins-7", rules[2:]...)}, "ins-7 unbound 1/2 HTTPS:443"},
		{"another port", []lb.Backend{bound("ins-7", "TCP:22 22")}, []lb.Backend{bound("ins-7", "TCP:22 2222")}, "ins-7 unbound 1/1 rules TCP:22 → 22, ins-7 bound 1/1 rules TCP:22 → 2222"},
		{"another weight is no news", []lb.Backend{bound("ins-7", three...)}, func() []lb.Backend {
			b := bound("ins-7", three...)
			b.Bindings[0].Weight, b.Weight = 90, 110
			return []lb.Backend{b}
		}(), ""},
		{"stopped and unbound from one", []lb.Backend{bound("ins-7", three...)}, func() []lb.Backend {
			b := bound("ins-7", three[1:]...)
			b.Status = 4
			return []lb.Backend{b}
		}(), "ins-7 left running, ins-7 unbound 1/3 TCP:22"},
	}
	for _, tt := range tests {
		w := watchtest.New()
		w.SetKind(web, lb.Application)
		w.Set(web, append(tt.before, bound("ins-1", "TCP:1 1"))...)
		tick(t, w, web)
		w.Set(web, append(tt.now, bound("ins-1", "TCP:1 1"))...)
		tick(t, w, web)
		tick(t, w, web)
		got := strings.TrimPrefix(strings.TrimPrefix(news(w), "baseline 1/2/2"), "baseline 1/1/1")
		if got = strings.TrimPrefix(got, " | "); got != tt.want {
			t.Errorf("%s: told %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAListenerThatLosesItsLastBackendIsToldAsSuch(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.SetKind(web, lb.Application)
	w.Set(web, bound("ins-1", "TCP:22 22", "TCP:80 80"), bound("ins-2", "TCP:80 80"), bound("ins-3", "TCP:80 80"))
	tick(t, w, web)
	w.Set(web, bound("ins-1", "TCP:80 80"), bound("ins-2", "TCP:80 80"), bound("ins-3", "TCP:80 80"))
	tick(t, w, web)
	p := w.Told()[1].Pools[0]
	if p.Bare == nil || p.Bare.N != 1 || p.Bare.Of != 2 || !slices.Equal(p.Bare.Names, []string{"TCP:22"}) || !p.Fell(90) {
		t.Errorf("told %+v of %+v, want that TCP:22 has none running, which is bad whatever it weighs", p.Bare, p)
	}
	w.Set(web, bound("ins-1", "TCP:80 80"), bound("ins-2", "TCP:80 80"))
	tick(t, w, web)
	if p := w.Told()[2].Pools[0]; p.Bare != nil || p.Fell(50) {
		t.Errorf("told %+v of %+v, want nothing: the listener was bare before", p.Bare, p)
	}
}

func TestPartIsBounded(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprintf("HTTP:80 example.com/%s%d 80", strings.Repeat("é", 100), i))
	}
	_, changes := lb.Diff(nil, []lb.Backend{bound("ins-1", many...)}, watchtest.New().Now(), watchtest.New().Now())
	p := changes[0].Part
	if len(changes[0].Backend.Bindings) > 0 || len(p.Names) > 3 || len(p.Names[0]) > 110 || p.N != 1 || p.Of != 1 {
		t.Errorf("a change of a backend with 2000 bindings has %d of them, and %+v", len(changes[0].Backend.Bindings), p)
	}
	_, changes = lb.Diff([]lb.Backend{bound("ins-1", many...)}, []lb.Backend{bound("ins-1", many[:10]...)}, watchtest.New().Now(), watchtest.New().Now())
	if p := changes[0].Part; len(p.Names) != 3 || len(p.Names[0]) > 110 || p.N != 1990 || p.Of != 2000 || !p.Rules {
		t.Errorf("unbound from 1990 rules: %+v", p)
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
	tests := []struct {
		name  string
		steps []lb.Backend // of ins-1, one each tick after the baseline
		want  string
	}{
		{"fails and recovers", []lb.Backend{ill("ins-1", 2, "TCP:80 → 80"), ill("ins-1", 2, "TCP:80 → 80"), ill("ins-1", 2)},
			"ins-1 unhealthy 1/2 TCP:80 → 80 | ins-1 healthy again"},
		{"fails one more", []lb.Backend{ill("ins-1", 2, "TCP:80 → 80"), ill("ins-1", 2, "TCP:80 → 80", "TCP:81 → 81"), ill("ins-1", 2, "TCP:81 → 81")},
			"ins-1 unhealthy 1/2 TCP:80 → 80 | ins-1 unhealthy 2/2 TCP:80 → 80+TCP:81 → 81"},
		{"stops: it fails everything, which goes without saying", []lb.Backend{stopped, ill("ins-1", 2)}, "ins-1 left running | ins-1 recovered"},
		{"runs again and needs a moment", []lb.Backend{stopped, ill("ins-1", 2, "TCP:80 → 80"), ill("ins-1", 2)}, "ins-1 left running | ins-1 recovered"},
		{"runs again and goes on failing", []lb.Backend{stopped, ill("ins-1", 2, "TCP:80 → 80"), ill("ins-1", 2, "TCP:80 → 80"), ill("ins-1", 2)},
			"ins-1 left running | ins-1 recovered | ins-1 unhealthy 1/2 TCP:80 → 80 | ins-1 healthy again"},
		{"not decided is as before", []lb.Backend{unclear, ill("ins-1", 2, "TCP:80 → 80"), unclear, ill("ins-1", 2)},
			"ins-1 unhealthy 1/2 TCP:80 → 80 | ins-1 healthy again"},
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
		if got := strings.TrimPrefix(news(w), "baseline 1/2/2 | "); got != tt.want {
			t.Errorf("%s: told %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestHealthSwitchedOnIsNoNews(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1))
	tick(t, w, web)
	w.Health(true)
	tick(t, w, web)
	tick(t, w, web)
	if got := news(w); got != "baseline 1/2/2" {
		t.Errorf("told %q when health was switched on, want nothing: what fails may have failed for long", got)
	}
	w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1, "TCP:80 → 80"))
	tick(t, w, web)
	w.Health(false)
	tick(t, w, web)
	if got := news(w); got != "baseline 1/2/2 | ins-2 unhealthy 1/1 TCP:80 → 80" {
		t.Errorf("told %q, want what failed since, and nothing when health was switched off", got)
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
		b := backend("ins-3", lb.Running) // it comes and goes meanwhile, which is told
		w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1, "TCP:80 → 80"), b)
		if i == 3 {
			w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1))
		}
		if sum := tick(t, w, web); sum.Unread == nil || sum.Unreadable != 0 {
			t.Errorf("without health: %+v, want it read, and said what could not be", sum)
		}
	}
	w.Fail(nil)
	tick(t, w, web)
	want := "baseline 1/2/2 | ins-2 unhealthy 1/1 TCP:80 → 80 | ins-3 added | blind lb-8a3k2m1q health | ins-3 removed | ins-2 healthy again, sighted lb-8a3k2m1q health"
	if got := news(w); got != want {
		t.Errorf("told %q\nwant %q", got, want)
	}
}

func TestUnhealthyIsPartOfTheIncident(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Thread()
	w.Health(true)
	w.Set(web, ill("ins-1", 1), ill("ins-2", 1))
	tick(t, w, web)
	w.Set(web, ill("ins-1", 1, "TCP:80 → 80"), ill("ins-2", 1))
	tick(t, w, web)
	p := w.Told()[1].Pools[0]
	if p.Running != 2 || p.Ill != 1 || p.Serving != 10 || p.Weight != 20 || !p.Open() {
		t.Errorf("told %+v, want 2 running, 1 of them ill, half of the weight serving, an incident", p)
	}
	w.Set(web, ill("ins-1", 1), ill("ins-2", 1))
	tick(t, w, web)
	if d := w.Deliveries()[2]; d.Thread == nil || d.Thread.Open() {
		t.Errorf("its end was told as %+v, want a reply that closes the thread", d)
	}
	if h := w.Head(); len(h.Threads) > 0 {
		t.Errorf("threads left: %+v", h.Threads)
	}
}

func TestMigrationIsToldOnceAsWhatItIs(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-1", "ins-2", "ins-3")...)
	tick(t, w, web)
	w.SetKind(web, lb.Application)
	stopped := bound("ins-2", "TCP:80 80")
	stopped.Status = 4
	w.Set(web, bound("ins-1", "TCP:80 80", "TCP:81 81"), stopped) // ins-3 was left behind
	tick(t, w, web)
	tick(t, w, web)
	if got, want := news(w), "baseline 1/3/3 | ins-2 left running, lb-8a3k2m1q migrated"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	n := w.Told()[1].CLBs[0]
	if n.Is != lb.Application || n.Before.Total != 3 || n.Now.Total != 2 || n.Now.Running != 1 {
		t.Errorf("told %+v, want 3 backends before and 2 now, 1 of them running", n)
	}
	w.Set(web, bound("ins-1", "TCP:80 80", "TCP:81 81"), bound("ins-2", "TCP:80 80"))
	tick(t, w, web)
	if got := news(w); !strings.HasSuffix(got, " | ins-2 recovered") {
		t.Errorf("told %q, want the recovery of what stopped meanwhile", got)
	}
}

// A backend that came and fails its checks is told if it still does at the next good reading, however long that takes.
func TestWhatWasNotToldYetIsNotForgotten(t *testing.T) {
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
			if got, want := news(w), "baseline 1/1/1 | ins-2 added | ins-2 unhealthy 1/1 TCP:80 → 80"; got != want {
				t.Errorf("%s away, then %d shards: told %q, want %q", op, of, got, want)
			}
		}
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
	if got, want := news(w), "baseline 1/2/2 | ins-3 added | ins-2 unhealthy 1/1 TCP:80 → 80"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestHealthThatIsAwayStaysSoWhileNothingCanBeRead(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Health(true)
	w.Set(web, ill("ins-1", 1))
	w.Set(api, ill("ins-2", 1))
	tick(t, w, web, api)
	away := func(ops ...string) {
		w.Fail(func(op, what string) (bool, error) {
			if what == web && slices.Contains(ops, op) {
				return false, errors.New("it is away")
			}
			return true, nil
		})
	}
	away("health")
	for range 3 {
		tick(t, w, web, api)
	}
	away("read")
	tick(t, w, web, api)
	w.Fail(nil)
	tick(t, w, web, api)
	if got, want := news(w), "baseline 2/2/2 | blind lb-8a3k2m1q health | sighted lb-8a3k2m1q health"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestABareListenerIsToldAlsoWhereSlackWasAway(t *testing.T) {
	t.Parallel()
	for _, back := range []bool{false, true} {
		w := watchtest.New()
		w.SetKind(web, lb.Application)
		w.Set(web, bound("ins-1", "TCP:22 22", "TCP:80 80"), bound("ins-2", "TCP:80 80"), bound("ins-3", "TCP:80 80"))
		tick(t, w, web)
		w.Fail(fail("notify", watch.ErrNotSent))
		w.Set(web, bound("ins-1", "TCP:80 80"), bound("ins-2", "TCP:80 80"), bound("ins-3", "TCP:80 80"))
		tick(t, w, web)
		w.Set(web, bound("ins-1", "TCP:80 80"), bound("ins-2", "TCP:80 80"))
		if back {
			w.Set(web, bound("ins-1", "TCP:22 22", "TCP:80 80"), bound("ins-2", "TCP:80 80"))
		}
		tick(t, w, web)
		w.Fail(nil)
		tick(t, w, web)
		if p := w.Told()[1].Pools[0]; (p.Bare == nil) != back {
			t.Errorf("bound again %v: told %+v in %+v", back, p.Bare, p)
		}
	}
}
