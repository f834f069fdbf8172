package watchtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
)

// Main is m.Run for tests that draw with rapid: it makes so many histories of each, which are fewer than
// rapid would, unless -rapid.checks asks for some number.
func Main(m *testing.M, histories int) (code int) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set(strconv.Itoa(histories)); err != nil {
			panic(err)
		}
	}
	return m.Run()
}

// Campaign is one random history of load balancers and of all that goes wrong around them, against a model
// that knows what was there to be reported. Backends come, go, stop, start, are bound, unbound and fail
// checks, load balancers are deleted, and shards become more or fewer. Meanwhile readings, the store and
// Slack fail before or after they did something, are slow, lie, or do it minutes later; runs die, are frozen
// and continued, overlap and come late; clocks differ, machines sleep, and days pass; Slack refuses things
// for good, channels are out, change, or become a webhook; and people delete messages, silence load balancers
// and acknowledge incidents.
type Campaign struct {
	Place  Place          // of the state; nil is the world's own
	World  *World         // a new one, if the Place must know its time; nil makes one
	Route  incident.Route // where it begins to post; "" is a bot's channel
	Blind  bool           // the bot may not look for its messages
	Lively bool           // backends have bindings and health, and load balancers are found by a search
	Own    bool           // the store's clock is that of the machine, as in files
	Trace  bool           // log what happens
}

// Routes that a campaign posts to.
const (
	campaignBot     incident.Route = "C0WORLD"
	campaignOther   incident.Route = "C0OTHER"
	campaignApart   incident.Route = "C0APART"
	campaignWebhook incident.Route = "webhook:1"
)

const (
	campaignAPI = "ap-guangzhou/lb-c4r9t0zw" // an application load balancer, if the history is lively
	campaignWeb = "ap-guangzhou/lb-8a3k2m1q"
	campaignFar = "ap-shanghai/lb-far" // may be deleted, if the history is lively

	maxShards = 3
)

var (
	campaignKeys = []string{campaignAPI, campaignWeb, campaignFar}
	campaignIDs  = []string{"ins-a", "ins-b", "ins-c"}
	// One for each listener, so that what is known of listeners is known of bindings.
	campaignBindings = []lb.Binding{
		{Listener: "HTTPS:443", Rule: "a.com/", Port: 8080, Weight: 10},
		{Listener: "TCP:22", Port: 22, Weight: 10},
		{Listener: "TCP:80", Port: 80, Weight: 10},
	}
)

// history is a campaign that goes on.
type history struct {
	Campaign
	*rapid.T
	engine
	model
	weather weather
	route   incident.Route
	apart   string // a glob of load balancers that have a channel of their own; "" for none
	of      int    // shards
	numbers int    // of runs
	alive   map[*member]bool
	tally   *Tally

	faulty bool // things go wrong
	outage outage
	apiOut bool

	mu     sync.Mutex // what readings, which several goroutines make, may touch
	pools  map[string]map[string]lb.Backend
	past   map[string][]lb.Status // what each backend, "key/id", was in turn; 0 is absent
	gone   map[string]bool        // load balancers that were deleted
	lied   map[string]bool        // load balancers the cloud has lied about, unread since
	cursed map[string]curse
}

// member is one run of a history.
type member struct {
	*history
	*proc
	number  int
	shard   state.Shard
	mishaps []mishap
	count   map[string]int  // calls so far
	liar    map[string]bool // load balancers about which it was lied to
	read    map[string]bool // load balancers that it read as they were
	tooLate []string        // roots about which it did something after LATE
	knows   *state.Head     // the newest that it knows, or cannot but know; see learns
	before  *state.Head     // the one that it knew before that
	sum     watch.Summary
	err     error
}

// Run lives through the history, and fails t where people would know what is not so, or not know what is.
func (c Campaign) Run(t *rapid.T, tally *Tally) {
	h := &history{Campaign: c, T: t, tally: tally, of: 1, alive: map[*member]bool{}, model: newModel(),
		pools: map[string]map[string]lb.Backend{}, past: map[string][]lb.Status{}, gone: map[string]bool{},
		lied: map[string]bool{}, cursed: map[string]curse{}}
	if h.World == nil {
		h.World = New()
	}
	h.engine = engine{world: h.World}
	if h.Route == "" {
		h.Route = campaignBot
	}
	h.route = h.Route
	if c.Place != nil {
		h.world.In(c.Place)
	}
	h.world.Health(c.Lively)
	if c.Lively {
		h.world.SetKind(campaignAPI, lb.Application)
	}
	for _, key := range campaignKeys {
		h.pools[key] = map[string]lb.Backend{}
		for _, id := range campaignIDs[:2] {
			h.set(key, h.backend(key, id, lb.Running, len(campaignBindings)))
		}
		h.set(key, lb.Backend{ID: campaignIDs[2]}) // absent
	}
	defer h.end()
	if h.weather = drawWeather(t, c.Own); h.weather.Apart && h.route.Bot() {
		h.apart = "lb-far"
	}
	h.minute(minute{}) // the baseline
	if h.weather.Silenced {
		h.occurs(happening{What: "silence", N: h.number("silence"), For: 20 * time.Minute})
	}
	h.faulty = true
	for _, m := range rapid.SliceOfN(rapid.Custom(h.drawMinute), 12, 60).Draw(t, "minutes") {
		h.minute(m)
	}
	h.calm()
	h.heal()
	h.calm()
	h.last()
	tally.Histories.Add(1)
}

// end ends all runs.
func (h *history) end() {
	for m := range h.alive {
		if !m.done {
			m.stop()
		}
	}
}

// backend is a backend as the cloud has it.
func (h *history) backend(key, id string, status lb.Status, listeners int) lb.Backend {
	b := lb.Backend{ID: id, Name: id, Status: status, Weight: 10}
	on := 1
	if h.Lively && key == campaignAPI {
		b.Bindings = slices.Clone(campaignBindings[:listeners])
		on = len(b.Bindings)
	}
	b.Weight = 10 * on
	if h.Lively {
		b.Checked = on
	}
	return b
}

// set makes this of a backend; with the status 0 it is absent.
func (h *history) set(key string, b lb.Backend) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone[key] {
		return
	}
	delete(h.pools[key], b.ID)
	if b.Status != 0 {
		h.pools[key][b.ID] = b
	}
	of := key + "/" + b.ID
	if past := h.past[of]; len(past) == 0 || past[len(past)-1] != b.Status {
		h.past[of] = append(past, b.Status)
	}
	h.world.Set(key, slices.Collect(maps.Values(h.pools[key]))...)
}

// change is something that happens to one backend.
type change struct {
	Key, ID   string
	Status    lb.Status
	Listeners int
	Fails     bool
	At        time.Duration
}

// log says what happens, if anybody wants to know.
func (h *history) log(format string, args ...any) {
	if h.Trace {
		h.Logf("%s "+format, append([]any{h.world.Now().Format("02 15:04:05.0")}, args...)...)
	}
}

func (h *history) happens(c change) {
	h.log("%s %s is %d, fails %v", c.Key, c.ID, c.Status, c.Fails)
	h.tally.Changes.Add(1)
	b := h.backend(c.Key, c.ID, c.Status, c.Listeners)
	if c.Fails && b.Checked > 0 && b.Running() {
		b.Failing = []string{"TCP:80 → 80"}
	}
	h.set(c.Key, b)
}

// minute lets a minute pass: what changes, what else happens, and the runs of each shard.
func (h *history) minute(m minute) {
	h.occurs(m.Event)
	for _, c := range m.Changes {
		h.in(c.At, func() { h.happens(c) })
	}
	n := 0
	for _, s := range h.shards() {
		h.tick(s, time.Duration(n)*time.Second, m.on(n))
		n++
	}
	if m.Again > 0 {
		h.tally.Overlaps.Add(1)
		h.tick(h.shards()[m.Again%h.of], m.Later, m.on(n))
	}
	h.pass(time.Minute)
}

// shards are those that there are now.
func (h *history) shards() []state.Shard { return shards(h.of) }

func shards(of int) (all []state.Shard) {
	for n := range of {
		all = append(all, state.Shard{N: n + 1, Of: of})
	}
	return all
}

// tick plans a run of a shard.
func (h *history) tick(s state.Shard, later time.Duration, mishaps []mishap) {
	h.in(later, func() {
		h.numbers++
		m := &member{history: h, number: h.numbers, shard: s, mishaps: mishaps, count: map[string]int{},
			liar: map[string]bool{}, read: map[string]bool{}}
		m.proc = &proc{engine: &h.engine, run: &run{World: h.world}, own: h.Own, fate: m.happensTo,
			ahead: h.weather.Clocks[h.number("host", m.number)%len(h.weather.Clocks)]}
		if h.Place == nil {
			m.stale = m.arrivesLate
		}
		m.run.proc = m.proc
		h.alive[m] = true
		h.tally.Runs.Add(1)
		h.log("run %d of shard %s begins, %s ahead", m.number, s, m.ahead)
		m.spawn(m.tick, func() {
			delete(h.alive, m)
			h.ended(m)
		})
	})
}

// tick is the work of a run.
func (m *member) tick() {
	w := m.watcher()
	ctx, cancel := context.WithDeadline(context.Background(), m.local().Add(runTime))
	defer cancel()
	m.sum, m.err = w.Tick(ctx)
}

func (m *member) watcher() *watch.Watcher {
	h := m.history
	var keys []string
	if !h.Lively {
		keys = campaignKeys
	}
	w := m.run.watcher(keys...)
	if h.Lively {
		w.Discover = []watch.Scope{{Region: "ap-guangzhou"}, {Region: "ap-shanghai"}}
	}
	w.Rules.Route, w.Rules.TransientFor, w.Rules.StableAfter = h.route, h.weather.Transient, h.weather.Stable
	if h.apart != "" {
		w.Rules.Routes = []incident.RouteRule{{Glob: h.apart, Route: campaignApart}}
	}
	w.States = func(s state.Shard) (state.Store, error) {
		store, err := m.run.store(s)
		return &tap{store, m, unsharded(s)}, err
	}
	w.Shard = m.shard
	w.Store = must(w.States(m.shard))
	w.Notifier = channel{m}
	nonce := w.Nonce
	w.Nonce = func() string {
		n := nonce()
		h.born[n] = m.began
		return n
	}
	w.Sleep = func(_ context.Context, d time.Duration) error {
		m.pause(d)
		if m.run.isDead() {
			return ErrDied
		}
		return nil
	}
	return w
}

// tap is a store that shows the model what is committed.
type tap struct {
	state.Store
	m     *member
	shard state.Shard
}

func (t *tap) Load(ctx context.Context) (*state.Head, error) {
	t.m.learns(t.shard, t.m.heads[t.shard]) // whoever loads now gets that one, or a newer one
	head, err := t.Store.Load(ctx)
	if err == nil && head != nil {
		t.m.note(t.shard, head)
		t.m.learns(t.shard, head)
	}
	return head, err
}

func (t *tap) Commit(ctx context.Context, head *state.Head) error {
	err := t.Store.Commit(ctx, head)
	if err == nil {
		t.m.note(t.shard, head)
		t.m.learns(t.shard, head)
	}
	return err
}

// ended takes in how a run ended.
func (h *history) ended(m *member) {
	h.log("run %d ends, dead %v, stale %v: %v", m.number, m.run.isDead(), m.sum.Stale, m.err)
	if m.run.isDead() {
		h.tally.Deaths.Add(1)
		return
	}
	if m.err != nil {
		h.tally.Errors.Add(1)
	} else {
		h.mustFail(m)
	}
	done := m.err == nil || isOverdue(m.err)
	if done {
		h.marked(m)
	}
	if done && !m.sum.Stale {
		for key := range m.read {
			if !m.liar[key] && !h.believesLies(key) {
				delete(h.lied, key)
			}
		}
	}
	if m.sum.Stale {
		h.tally.Stale.Add(1)
	}
}

// believesLies reports whether a run that was lied to about a load balancer still goes on.
func (h *history) believesLies(key string) bool {
	for m := range h.alive {
		if m.liar[key] {
			return true
		}
	}
	return false
}

func isOverdue(err error) bool { return strings.Contains(err.Error(), "has not reached Slack") }

// errMishap is what a call says that goes wrong.
var errMishap = errors.New("it went wrong")

func (f fate) String() string {
	return fmt.Sprintf("%s, it happened %v, before %v, %s", howNames[f.how], f.applied, f.before, f.took)
}
