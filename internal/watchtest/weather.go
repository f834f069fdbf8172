package watchtest

import (
	"strings"
	"time"

	"pgregory.net/rapid"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// weather is what goes wrong all the time: numbers are percent of calls, unless they say otherwise.
type weather struct {
	Seed      int
	Dies      int // thousandths
	Freezes   int // thousandths
	Temporary int
	Unknown   int
	Lost      int
	Held      int
	Slow      int
	Store     int
	StoreLost int
	StoreLate int
	Reads     int
	Cursed    int              // of roots
	Clocks    [3]time.Duration // by how much those of machines are ahead
	Transient time.Duration    // see incident.Rules
	Stable    time.Duration    // STABLE_AFTER
	Silenced  bool             // something is from the start
	Apart     bool             // a load balancer has a channel of its own
}

// clocks are by how much those of machines may differ.
var clocks = []time.Duration{0, 0, 20 * time.Second, 59 * time.Second, 4 * time.Minute}

func drawWeather(t *rapid.T, own bool) (w weather) {
	percent := func(name string, some ...int) int {
		return rapid.SampledFrom(append([]int{0}, some...)).Draw(t, name)
	}
	w.Seed = rapid.IntRange(0, 1<<30).Draw(t, "seed")
	w.Dies, w.Freezes = percent("dies", 0, 5, 10, 30), percent("freezes", 0, 0, 2, 5, 10)
	w.Temporary, w.Unknown = percent("temporary", 0, 0, 3, 8, 15), percent("unknown", 0, 0, 3, 8, 15)
	w.Lost, w.Held = percent("lost", 0, 0, 3, 8, 15), percent("held", 0, 0, 2, 4, 8)
	w.Slow = percent("slow", 0, 0, 2, 5, 10)
	w.Store, w.StoreLost = percent("store", 0, 0, 1, 2, 5), percent("store lost", 0, 0, 1, 2, 5)
	w.StoreLate = percent("store late", 0, 0, 1, 3)
	w.Reads, w.Cursed = percent("reads", 0, 0, 2, 5), percent("cursed", 0, 0, 5, 20, 40)
	sign := time.Duration(1)
	if rapid.Bool().Draw(t, "behind") {
		sign = -1
	}
	for n := range w.Clocks[1:] {
		w.Clocks[n+1] = sign * rapid.SampledFrom(clocks).Draw(t, "clock")
	}
	w.Transient = rapid.SampledFrom([]time.Duration{0, 0, 0, 2 * time.Minute}).Draw(t, "transient")
	w.Stable = rapid.SampledFrom([]time.Duration{StableAfter, StableAfter, 3 * time.Minute}).Draw(t, "stable")
	w.Apart = rapid.IntRange(0, 2).Draw(t, "apart") == 2
	w.Silenced = rapid.IntRange(0, 3).Draw(t, "silenced") == 3
	return w
}

// longest is how late what a sender has given up may arrive: LATE must be over after that by every clock.
func (h *history) longest() time.Duration {
	longest := 9 * time.Minute
	if h.Own {
		for _, c := range h.weather.Clocks {
			longest = min(longest, 9*time.Minute-max(c, -c))
		}
	}
	return longest
}

// minute is what happens in a minute.
type minute struct {
	Changes []change
	Mishaps []mishap
	Event   happening
	Again   int // a run that is not planned, of some shard; 0: none
	Later   time.Duration
}

// mishap is what goes wrong with calls of one run.
type mishap struct {
	Run        int    // which, of those that begin in a minute
	Class      string // of the calls: "store", "slack" or "read"
	Key        string // of a reading
	Nth, Times int    // which calls, and how many
	Fate       fate
	Change     change // of a reading: what changes meanwhile
}

// on are the mishaps of a run.
func (m minute) on(run int) (all []mishap) {
	for _, x := range m.Mishaps {
		if x.Run == run {
			all = append(all, x)
		}
	}
	return all
}

// happening is something else that happens.
type happening struct {
	What   string
	N      int
	Outage outage
	For    time.Duration
}

func (h *history) drawMinute(t *rapid.T) (m minute) {
	m.Changes = rapid.SliceOfN(rapid.Custom(drawChange), 0, 3).Draw(t, "changes")
	if rapid.IntRange(0, 2).Draw(t, "mishaps") == 2 {
		m.Mishaps = rapid.SliceOfN(rapid.Custom(h.drawMishap), 1, 3).Draw(t, "mishaps")
	}
	if rapid.IntRange(0, 3).Draw(t, "happens") == 3 {
		m.Event = h.drawEvent(t)
	}
	if rapid.IntRange(0, 3).Draw(t, "again") == 3 {
		m.Again = rapid.IntRange(1, maxShards).Draw(t, "shard")
		m.Later = time.Duration(rapid.IntRange(0, 450).Draw(t, "later")) * 100 * time.Millisecond
	}
	return m
}

func drawChange(t *rapid.T) change {
	return change{
		Key:       rapid.SampledFrom(campaignKeys).Draw(t, "key"),
		ID:        rapid.SampledFrom(campaignIDs).Draw(t, "id"),
		Status:    rapid.SampledFrom([]lb.Status{0, 2, 2, 2, 4, 8, 9}).Draw(t, "status"),
		Listeners: rapid.IntRange(1, len(campaignBindings)).Draw(t, "listeners"),
		Fails:     rapid.IntRange(0, 3).Draw(t, "fails checks") == 3,
		At:        time.Duration(rapid.IntRange(0, 59).Draw(t, "at")) * time.Second,
	}
}

func (h *history) drawEvent(t *rapid.T) (e happening) {
	kinds := []string{"outage", "api out", "sleep", "days", "delete message", "route", "calm", "silence",
		"silence", "silence", "acknowledge", "end silence"}
	if h.Lively {
		kinds = append(kinds, "shards", "stray", "delete")
	}
	e.What = rapid.SampledFrom(kinds).Draw(t, "event")
	e.N = rapid.IntRange(0, 1000).Draw(t, "which")
	e.Outage = outage(rapid.IntRange(1, int(outageKinds)-1).Draw(t, "outage"))
	e.For = time.Duration(rapid.IntRange(2, 30).Draw(t, "minutes")) * time.Minute
	return e
}

func (h *history) drawMishap(t *rapid.T) (m mishap) {
	m.Run = rapid.IntRange(0, 1).Draw(t, "run")
	m.Class = rapid.SampledFrom([]string{"store", "slack", "slack", "read"}).Draw(t, "class")
	m.Times = rapid.IntRange(1, 3).Draw(t, "times")
	f := &m.Fate
	f.applied, f.before = rapid.Bool().Draw(t, "it happened"), rapid.Bool().Draw(t, "before")
	f.err = errMishap
	seconds := rapid.IntRange(1, 60).Draw(t, "seconds")
	f.took = time.Duration(seconds) * time.Second
	switch m.Class {
	case "store":
		most := 12
		if h.Place != nil {
			most = 30
		}
		m.Nth = rapid.IntRange(0, most).Draw(t, "call")
		f.how = rapid.SampledFrom([]how{fails, dies, slow, freezes, freezes, arrives, lies}).Draw(t, "how")
	case "slack":
		m.Nth = rapid.IntRange(0, 5).Draw(t, "call")
		f.how = rapid.SampledFrom([]how{temporary, down, unknown, lost, dies, slow, freezes, freezes, arrives,
			arrives}).
			Draw(t, "how")
	case "read":
		m.Key = rapid.SampledFrom(campaignKeys).Draw(t, "key")
		m.Nth = rapid.IntRange(0, 1).Draw(t, "call")
		f.how = rapid.SampledFrom([]how{fails, lies, changes, changes}).Draw(t, "how")
		m.Change = drawChange(t)
		m.Change.Key = m.Key
	}
	if f.how == freezes {
		f.lags = rapid.Bool().Draw(t, "sleeps")
	}
	return m
}

// happensTo says what becomes of a call that is not to Slack.
func (m *member) happensTo(op, what string) (f fate) {
	h := m.history
	h.mu.Lock()
	defer h.mu.Unlock()
	class, of := "store", "store"
	if parallel[op] {
		class, of = "read", op+" "+what
	}
	n := m.count[of]
	m.count[of]++
	if !h.faulty {
		f.how = well
	} else if x, ok := m.mishap(class, what, n); ok && op != "exist" && op != "list" {
		f = x.Fate
		if f.do = func() { h.happens(x.Change) }; x.Change.Key != what {
			f.do = func() {}
		}
		if f.how == lies {
			f = m.lie(op, what, f)
		}
	} else {
		f = h.passing(m, class, of, n)
	}
	if h.apiOut && class == "read" && op != "hear" {
		f = fate{how: fails, err: errMishap}
	}
	switch f.how {
	case freezes:
		f.took *= 20 // up to 20 minutes
		if f.lags && h.Own {
			f.took = min(f.took, h.longest())
		}
		h.tally.Freezes.Add(1)
	case arrives:
		if op != "commit" || h.Place != nil {
			f.how = fails
		} else {
			f.took *= 2
		}
	}
	if op == "read" && f.how != fails && f.how != lies {
		m.read[what] = true
	}
	if h.tally.fault(class, f); f.how != well {
		h.log("run %d: %s %s %s", m.number, op, what, f)
	}
	return f
}

// mishap finds what goes wrong with a call.
func (m *member) mishap(class, key string, n int) (mishap, bool) {
	for _, x := range m.mishaps {
		if x.Class == class && (class != "read" || x.Key == key) && n >= x.Nth && n < x.Nth+x.Times {
			return x, true
		}
	}
	return mishap{}, false
}

// lie is a fate in which something lies, if it can: twice in a row is one lie more than the watcher is proof
// against.
func (m *member) lie(op, what string, f fate) fate {
	h := m.history
	switch {
	case op == "read" && !h.lied[what]:
		h.lied[what], m.liar[what] = true, true
		f.err = ErrEmpty
	case op == "hear":
		f.err = ErrStale
	case op == "get":
		f.err = ErrAbsent
	case op == "list heads":
		f.err = ErrStale
	case op == "create object":
		f.err = ErrTaken
	default:
		return fate{}
	}
	return f
}

// passing is what the weather does to a call.
func (h *history) passing(m *member, class, of string, n int) fate {
	w, roll := h.weather, h.number("call", m.number, class, of, n)%1000
	under := func(share int) bool { roll -= share; return roll < 0 }
	seconds := time.Duration(1+h.number("seconds", m.number, of, n)%60) * time.Second
	every := func(n time.Duration) bool { return seconds%(n*time.Second) == 0 }
	f := fate{err: errMishap, took: seconds, applied: every(2), before: every(3), lags: every(5)}
	switch {
	case class == "read" && strings.HasPrefix(of, "exist"):
		return fate{}
	case class == "read":
		if !under(10 * w.Reads) {
			return fate{}
		}
		if f.how, f.applied = fails, false; of == "hear silences" && every(2) {
			f.how, f.err = lies, ErrStale
		}
	case under(w.Dies):
		f.how = dies
	case under(w.Freezes):
		f.how = freezes
	case class == "store" && under(10*w.Store):
		f.how, f.applied = fails, false
	case class == "store" && under(10*w.StoreLost):
		f.how, f.applied = fails, true
	case class == "store" && under(10*w.StoreLate):
		f.how = arrives
	case class == "slack" && under(10*w.Temporary):
		if f.how = temporary; f.applied {
			f.how = down
		}
	case class == "slack" && under(10*w.Unknown):
		f.how = unknown
	case class == "slack" && under(10*w.Lost):
		f.how = lost
	case class == "slack" && under(10*w.Held):
		f.how = arrives
	case under(10 * w.Slow):
		f.how, f.took = slow, seconds/6
	default:
		return fate{}
	}
	return f
}

// slackFate says what becomes of a call to Slack.
func (h *history) slackFate(m *member, call incident.Call) (f fate) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := m.count["slack"]
	m.count["slack"]++
	if !h.faulty {
		return fate{}
	}
	if x, ok := m.mishap("slack", "", n); ok {
		f = x.Fate
	} else {
		f = h.passing(m, "slack", "slack", n)
	}
	writes := call.Do != incident.Look && call.Do != incident.Copies && call.Do != incident.Ask
	switch f.how {
	case slow:
		f.took = min(f.took, gaveUp-time.Second)
	case freezes:
		h.tally.Freezes.Add(1)
		if f.took *= 20; f.lags {
			f.took = min(f.took, h.longest())
		}
	case arrives:
		if !writes {
			f.how = unknown
		}
		f.took = min(gaveUp+9*f.took, h.longest())
	case lost, unknown:
		if f.took = gaveUp; f.before {
			f.took = 0
		}
	}
	if h.tally.fault("slack", f); f.how != well {
		h.log("run %d: %s %s %s", m.number, ops[call.Do], call.Key, f)
	}
	return f
}

// arrivesLate plans a write that its sender gives up.
func (m *member) arrivesLate(effect func() error, d time.Duration) {
	m.proc.in(d, func() { _ = effect() }) // whoever made it is gone
}
