package message_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/watchtest"
	"clbwatch/notifier/message"
)

// TestMain makes fewer histories than rapid would, unless it is asked for some number.
func TestMain(m *testing.M) {
	os.Exit(watchtest.Main(m, 25))
}

// condition is how a backend is, as the model sees it.
type condition int

const (
	absent condition = iota
	serves
	out
	ill
)

func conditionOf(b *lb.Backend) condition {
	switch {
	case b == nil:
		return absent
	case !b.Running():
		return out
	case len(b.Failing) > 0:
		return ill
	}
	return serves
}

// step is one thing that happened to one machine.
type step struct {
	at       time.Time
	id       string
	was, now condition
}

// model knows what happened to machines, without a word from the code under test: which incident a change
// belongs to follows from when that began and was closed.
type model struct {
	steps map[string][]step // by key of the load balancer
}

// kinds are what became of machines, as titles call it, in the order in which they matter.
var kinds = []string{
	"stopped",
	"unhealthy",
	"removed",
	"added",
	"added and removed again",
	"recovered",
	"out and back",
}

// count counts the machines of incidents by what became of them, each once; on says on how many load
// balancers each kind is.
func (m *model) count(all []*incident.Incident) (n map[string]int, on map[string]map[string]bool) {
	worst := make(map[string]int)
	n, on = make(map[string]int), make(map[string]map[string]bool)
	for _, i := range all {
		type course struct {
			began, now condition
			wasOut     bool
		}
		machines := make(map[string]*course)
		for _, s := range m.steps[i.Key] {
			if s.at.Before(i.Began) || !i.Closed.IsZero() && s.at.After(i.Closed) {
				continue
			}
			c := machines[s.id]
			if c == nil {
				c = &course{began: s.was}
				machines[s.id] = c
			}
			c.now = s.now
			c.wasOut = c.wasOut || s.now >= out
		}
		for id, c := range machines {
			kind := "out and back"
			switch {
			case c.now == out:
				kind = "stopped"
			case c.now == ill:
				kind = "unhealthy"
			case c.now == absent && c.began == absent:
				kind = "added and removed again"
			case c.now == absent:
				kind = "removed"
			case c.began == absent:
				kind = "added"
			case c.began >= out:
				kind = "recovered"
			}
			at := slices.Index(kinds, kind)
			if was, ok := worst[id]; !ok || at < was {
				worst[id] = at
			}
			if on[kind] == nil {
				on[kind] = make(map[string]bool)
			}
			on[kind][i.Key] = true
		}
	}
	for _, at := range worst {
		n[kinds[at]]++
	}
	return n, on
}

var (
	inTitle = regexp.MustCompile(
		`(?:^|[ (])(\d+) (?:machines? )?` +
			`(added and removed again|out and back|stopped|unhealthy|removed|added|recovered|replaced)`,
	)
	where   = regexp.MustCompile(`(?:on|from|to|behind) (\d+) load balancers`)
	howMany = regexp.MustCompile(`(\d+) of (\d+) running`)
)

// checkTitle holds that the numbers in a root's title are those of the model.
func (m *model) checkTitle(t failer, r *incident.Root, text string) {
	t.Helper()
	if r.Notice() {
		return
	}
	var open, all []*incident.Incident
	for _, i := range r.Incidents {
		if i.About == incident.Backends {
			all = append(all, i)
			if i.Open() {
				open = append(open, i)
			}
		}
	}
	of := all
	if n, _ := m.count(open); n["stopped"]+n["unhealthy"] > 0 ||
		slices.ContainsFunc(open, func(i *incident.Incident) bool { return i.Level >= incident.Degraded }) {
		of = open
	}
	n, on := m.count(of)
	keys := make(map[string]bool)
	for _, i := range of {
		keys[i.Key] = true
	}
	said := make(map[string]int)
	for _, found := range inTitle.FindAllStringSubmatch(text, -1) {
		said[found[2]], _ = strconv.Atoi(found[1])
	}
	if slices.ContainsFunc(of, func(i *incident.Incident) bool { return len(i.Crowd) > 0 }) {
		// A machine without details is out of service: whether it fails or does not run is not kept.
		n["stopped"], said["stopped"] = n["stopped"]+n["unhealthy"], said["stopped"]+said["unhealthy"]
		n["unhealthy"], said["unhealthy"] = 0, 0
	}
	for kind, number := range said {
		want := n[kind]
		if kind == "replaced" {
			if want = n["added"]; n["removed"] != want {
				t.Fatalf("%q: %d removed, %d added", text, n["removed"], want)
			}
		}
		if number != want {
			t.Fatalf("%q says %d %s of\n%v", text, number, kind, n)
		}
	}
	level := r.Level()
	lossless := n["stopped"]+n["unhealthy"]+n["removed"] == 0
	switch {
	case len(keys) > 1 && n["stopped"] > 1 && said["stopped"] == 0:
		t.Fatalf("%q does not say that %d are stopped", text, n["stopped"])
	case len(keys) == 1 && n["stopped"] > 1 && level < incident.Degraded && r.Open() && said["stopped"] == 0:
		t.Fatalf("%q does not say that %d are stopped", text, n["stopped"])
	case len(keys) > 1 && lossless && n["out and back"] > 1 && said["out and back"] == 0:
		t.Fatalf("%q does not say that %d are back", text, n["out and back"])
	}
	if found := where.FindStringSubmatch(text); found != nil {
		clbs := make(map[string]bool)
		for kind := range said {
			if kind == "replaced" {
				for key := range on["removed"] {
					clbs[key] = true
				}
				kind = "added"
			}
			for key := range on[kind] {
				clbs[key] = true
			}
		}
		if len(said) > 0 && found[1] != strconv.Itoa(len(clbs)) {
			t.Fatalf("%q is about %d load balancers", text, len(clbs))
		}
	}
	if found := howMany.FindStringSubmatch(text); found != nil && len(keys) == 1 &&
		!strings.Contains(text, "at worst") {
		now := of[len(of)-1].Now
		for _, i := range of {
			if i.Open() {
				now = i.Now
			}
		}
		if found[1] != strconv.Itoa(now.Running) || found[2] != strconv.Itoa(now.Total) {
			t.Fatalf("%q, but %d of %d run", text, now.Running, now.Total)
		}
	}
}

// life draws what happens to some load balancers that share machines.
type life struct {
	*story
	model
	pick func(n int) int // a number below n
	max  int             // machines of one load balancer at first
}

func newHistory(t failer, clbs, machines int, pick func(int) int) *life {
	h := &life{story: newStory(t), model: model{make(map[string][]step)}, pick: pick, max: machines}
	for c := range clbs {
		h.watch(fmt.Sprintf("prod-%c%d", 'a'+c%26, c/26), 1+pick(machines))
	}
	for n := range pick(3) { // behind several
		for _, label := range slices.Sorted(maps.Keys(h.pools)) {
			if len(label)%2 == n%2 || pick(2) == 0 {
				h.share(
					lb.Backend{
						ID:     fmt.Sprintf("ins-shared%d", n),
						Name:   fmt.Sprintf("shared-%d", n),
						Status: lb.Running,
						Weight: 10,
					},
					label,
				)
			}
		}
	}
	h.sent = func(r *incident.Root, call incident.Call, m message.Message) {
		if call.Form <= incident.NoMention &&
			(call.Do == incident.Edit || call.Do == incident.Send && call.Post.Root) {
			h.checkTitle(t, r, m.Text)
		}
	}
	return h
}

// happen changes about so many backends, and judges that.
func (h *life) happen(changes int) {
	fresh := h.state.Last // names of what is added differ
	labels := slices.Sorted(maps.Keys(h.pools))
	for n := range changes {
		label := labels[h.pick(len(labels))]
		pool := slices.Clone(h.pools[label])
		switch at, kind := h.pick(max(len(pool), 1)), h.pick(8); {
		case len(pool) == 0, kind == 0:
			pool = append(
				pool,
				lb.Backend{
					ID:     fmt.Sprintf("ins-%s-%d-%d-%d", label, fresh, h.at.Unix(), n),
					Name:   fmt.Sprintf("new-%d", n),
					Status: lb.Running,
					Weight: 10,
				},
			)
		case kind == 1:
			pool = slices.Delete(pool, at, at+1)
		case kind == 2 && pool[at].Running() && len(h.known[label]) > 0:
			pool[at].Checked, pool[at].Failing = 1, []string{"TCP:80 → 80"}
		case kind <= 4:
			pool[at].Status, pool[at].Failing = 4, nil
		default:
			pool[at].Status, pool[at].Failing = lb.Running, nil
		}
		h.pools[label] = pool
	}
	for _, label := range labels {
		pool := h.pools[label]
		lb.SortBackends(pool)
		was := make(map[string]*lb.Backend)
		for _, b := range h.known[label] {
			was[b.ID] = &b
		}
		seen := make(map[string]bool)
		for n := range pool {
			b := &pool[n]
			seen[b.ID] = true
			if old := was[b.ID]; old == nil || !old.Running() { // it needs a reading until its checks count
				b.Failing = nil
			}
			h.note(label, b.ID, conditionOf(was[b.ID]), conditionOf(b))
		}
		for id, b := range was {
			if !seen[id] {
				h.note(label, id, conditionOf(b), absent)
			}
		}
	}
	h.tick()
}

func (h *life) note(label, id string, was, now condition) {
	if was != now {
		key := h.clbs[label].Key()
		h.steps[key] = append(h.steps[key], step{h.at, id, was, now})
	}
}

// TestNumbersInTitlesAreThoseOfMachines draws histories of up to 5,000 changes on load balancers that share
// machines, and compares the titles of all roots, as they are posted and as they are edited, with a model of
// their own.
func TestNumbersInTitlesAreThoseOfMachines(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clbs := rapid.SampledFrom([]int{1, 2, 3, 12, 40}).Draw(t, "load balancers")
		machines := rapid.SampledFrom([]int{1, 3, 10, 60, 300}).Draw(t, "machines")
		machines = min(machines, 3000/clbs) // more takes long and tells nothing new
		most := rapid.SampledFrom([]int{1, 2, 3, 30, 500}).Draw(t, "changes a minute")
		minutes := rapid.IntRange(1, 10).Draw(t, "minutes")
		seed := rapid.Uint64().Draw(t, "seed")
		h := newHistory(t, clbs, machines, picker(seed))
		for range minutes {
			h.happen(h.pick(most + 1))
			if h.pick(4) == 0 {
				h.ticks(h.pick(13))
			}
		}
		h.ticks(13)
	})
}

// picker draws numbers: many more than a property may draw by itself.
func picker(seed uint64) func(int) int {
	return func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % max(n, 1)
	}
}
