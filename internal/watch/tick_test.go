package watch_test

import (
	"slices"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watchtest"
)

const web = "ap-guangzhou/lb-web"

func vm(id string, status lb.Status) lb.Backend {
	return lb.Backend{ID: "ins-" + id, Name: id, Status: status, Weight: 10, LanIP: "10.0.0.1"}
}

func TestTickPostsEachKindOfChangeOnce(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, vm("a", 2), vm("b", 2), vm("c", 2))
	tick := func() {
		t.Helper()
		w.Advance(time.Minute)
		if sum, err := w.Watcher(web).Tick(t.Context()); err != nil {
			t.Fatalf("tick: %v, %+v", err, sum)
		}
	}
	tick()
	for _, step := range []struct {
		pool []lb.Backend
		want []string
	}{
		{[]lb.Backend{vm("a", 2), vm("b", 2), vm("c", 2)}, nil},
		{[]lb.Backend{vm("a", 4), vm("b", 2), vm("c", 2)}, []string{"ins-a stopped"}},
		{[]lb.Backend{vm("a", 9), vm("b", 2), vm("c", 2)}, nil},
		{[]lb.Backend{vm("a", 2), vm("b", 2), vm("c", 2)}, []string{"ins-a back"}},
		{[]lb.Backend{vm("a", 2), vm("b", 2)}, []string{"ins-c removed"}},
		{[]lb.Backend{vm("a", 2), vm("b", 2), vm("d", 2)}, []string{"ins-d added"}},
	} {
		before := len(w.News())
		w.Set(web, step.pool...)
		tick()
		if got := w.News()[before:]; !slices.Equal(got, step.want) {
			t.Errorf("news %q, want %q", got, step.want)
		}
	}
	for range 40 {
		tick()
	}
	if roots := w.Head().Incidents.Roots; len(roots) != 0 {
		t.Errorf("after 40 quiet minutes there are still %d roots: %+v", len(roots), roots[0])
	}
	for _, m := range w.Slack() {
		t.Logf("%s %s thread %q rev %d edits %d news %q", m.At.Format(time.TimeOnly), m.Key, m.Thread, m.Shows.Rev, m.Edits, m.News)
	}
}
