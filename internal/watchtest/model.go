package watchtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
)

// model is what a history knows of the documents and of Slack beside what the watcher knows.
type model struct {
	heads     map[state.Shard]*state.Head // the newest of each, as far as it was seen
	docs      map[string]*incident.Root   // the newest form of each root that there ever was, by its Prefix
	seen      map[string]time.Time        // true time since when a root is a new message
	born      map[string]time.Time        // true time at which the run began that made a commit
	news      map[string]int              // the newest revision of a root that is news
	waits     map[string][]wait           // news that no post has shown
	claimed   map[string]map[string]int   // the revision that each run claimed to post of a root
	vanished  map[string]int              // the revision of a root that is presumed delivered
	presumed  map[string]time.Time        // since when it is
	unnamed   map[string]time.Time        // true time since when it is
	heard     map[string]time.Time        // when a shard came to know a silence, "1/2 7"
	rose      map[string]bool             // incidents that were degraded or down, by ID
	tooLate   map[string]bool             // roots that a call reached after LATE, and nobody said so
	removed   map[string]bool             // roots that a removal has made degraded or down
	handled   map[string]bool             // roots of which somebody deleted a message
	moved     map[string]bool             // roots that were there when the route changed
	messages  []delivery                  // beside those of Slack
	outageEnd time.Time
	sharded   bool // the state went over to another number of shards
	counted   int  // changes in the history so far
}

// wait is news on its way.
type wait struct {
	rev  int
	from time.Time
}

func newModel() model {
	return model{heads: map[state.Shard]*state.Head{}, docs: map[string]*incident.Root{},
		seen: map[string]time.Time{}, born: map[string]time.Time{},
		news: map[string]int{}, waits: map[string][]wait{},
		claimed: map[string]map[string]int{}, vanished: map[string]int{}, unnamed: map[string]time.Time{},
		presumed: map[string]time.Time{}, heard: map[string]time.Time{}, rose: map[string]bool{},
		tooLate: map[string]bool{},
		removed: map[string]bool{}, handled: map[string]bool{}, moved: map[string]bool{}}
}

// freely is how many updates of a root are posted at once, whatever they say.
const freely = 10

// note takes in a head that was committed.
func (h *history) note(s state.Shard, head *state.Head) {
	last := h.heads[s]
	if last != nil && last.N >= head.N {
		return
	}
	if last != nil && last.Incidents.Routing != head.Incidents.Routing {
		h.moves() // maybe back, by a run that was frozen while the settings changed
	}
	h.heads[s] = head
	if head.Moved != 0 {
		return
	}
	now := h.world.Now()
	h.hears(s, head)
	from, ok := h.born[head.Writer]
	if !ok {
		from = now
	}
	for _, r := range head.Incidents.Roots {
		key := r.Prefix()
		if h.docs[key] == nil {
			h.tally.Roots.Add(1)
		}
		if was := h.docs[key]; was == nil || was.Delivery.Series != r.Delivery.Series {
			h.seen[key] = now
		} else if nobodyKnows(was) && !nobodyKnows(r) { // a silence has ended
			h.seen[key] = now
		}
		if was := h.docs[key]; was != nil && was.Delivery.Route != r.Delivery.Route {
			h.moved[key] = true // maybe by a run that was frozen while the settings changed
		}
		if was := h.docs[key]; was != nil {
			h.named(was, r)
		}
		h.docs[key] = r
		if r.News > h.news[key] {
			h.news[key] = r.News
			if paced := r.Delivery.Counted-r.PaceFrom >= freely; !paced && h.weather.Transient == 0 {
				h.waits[key] = append(h.waits[key], wait{r.News, from})
			}
		}
		h.claims(r)
		for _, i := range r.Incidents {
			h.rose[i.ID] = h.rose[i.ID] || i.Level >= incident.Degraded
			if i.Level >= incident.Degraded && (i.Removed > i.Added || len(i.Emptied) > 0) {
				h.removed[key] = true
			}
		}
	}
}

// claims follows how often news was, or may have been, on its way before it is presumed delivered.
func (h *history) claims(r *incident.Root) {
	key, d := r.Prefix(), &r.Delivery
	if c := d.Claim; c != nil && c.Post != nil {
		if h.claimed[key] == nil {
			h.claimed[key] = make(map[string]int)
		}
		h.claimed[key][c.By] = c.Post.Rev
	}
	if d.Presumed.IsZero() || d.Presumed.Equal(h.presumed[key]) {
		return
	}
	h.presumed[key], h.unnamed[key] = d.Presumed, h.world.Now()
	if h.vanished[key] >= d.Shown {
		return // a reminder
	}
	tries := 0
	for _, rev := range h.claimed[key] {
		if rev > h.vanished[key] {
			tries++
		}
	}
	if looks := d.Route.Bot() && !h.Blind && h.curse(key) != noLooks; looks || tries < 2 {
		h.Fatalf("incident %s is presumed delivered after %d tries: %s", r.ID(), tries, show(r))
	}
	h.vanished[key] = d.Shown
}

// named holds that news which was presumed delivered is so until a message names it, or shows its root anew,
// or for a day.
func (h *history) named(was, is *incident.Root) {
	key, since := is.Prefix(), was.Delivery.Presumed
	ended := !since.IsZero() && is.Delivery.Presumed.IsZero()
	if !ended || h.moved[key] || h.world.Now().Sub(since) >= 23*time.Hour {
		return
	}
	for _, m := range h.world.Slack() {
		if m.At.Before(h.unnamed[key].Add(-clocksDiffer)) {
			continue
		}
		if slices.Contains(m.Call.Post.Names, is.ID()) || m.First.Prefix() == key && m.Call.Post.Root {
			return
		}
	}
	h.Fatalf("incident %s is no longer presumed delivered, and no message has named it: %s", is.ID(), show(is))
}

// accepted notes that a post shows a root as it was.
func (h *history) accepted(r *incident.Root) {
	h.tally.Posts.Add(1)
	key := r.Prefix()
	h.waits[key] = slices.DeleteFunc(h.waits[key], func(w wait) bool {
		if w.rev > r.Rev {
			return false
		}
		if h.curse(key) == unharmed {
			from := w.from
			if h.outageEnd.After(from) {
				from = h.outageEnd
			}
			h.tally.delay(h.world.Now().Sub(from))
		}
		return true
	})
}

// slept does not count time in which nobody ran as a delay.
func (h *history) slept(d time.Duration) {
	for n := range h.born { // of heads that nobody has seen yet
		h.born[n] = h.born[n].Add(d)
	}
	for key := range h.seen {
		h.seen[key] = h.seen[key].Add(d)
	}
	for _, all := range h.waits {
		for n := range all {
			all[n].from = all[n].from.Add(d)
		}
	}
}

// deletes makes somebody delete a message.
func (h *history) deletes(m Message) {
	h.world.DeleteMessage(m.TS)
	h.handled[m.First.Prefix()] = true
}

// moves notes that the route changed.
func (h *history) moves() {
	for key := range h.docs {
		h.moved[key] = true
	}
}

// current are the newest heads of all shards, as the store has them.
func (h *history) current() (all []*state.Head) {
	for _, s := range h.shards() {
		if head := h.world.HeadOf(s); head != nil {
			all = append(all, head)
		}
	}
	return all
}

// unrest says what is still to be done; "" if nothing is.
func (h *history) unrest() string {
	for _, head := range h.current() {
		for _, r := range head.Incidents.Roots {
			if why := h.restless(r, head.Incidents.At); why != "" {
				c := curseNames[h.curse(r.Prefix())]
				return fmt.Sprintf("incident %s (%s) %s: %s", r.ID(), c, why, show(r))
			}
		}
		if len(head.Incidents.Unread) > 0 {
			return "something cannot be read"
		}
	}
	for _, s := range h.shards() {
		for m := range h.alive {
			if m.shard == s {
				return "a run has not ended"
			}
		}
	}
	return ""
}

// restless says why a root is not at rest.
func (h *history) restless(r *incident.Root, at time.Time) string {
	d, c := &r.Delivery, h.curse(r.Prefix())
	edits := d.Route.Bot() && d.TS != "" && !d.NoEdit && c != edits500
	switch {
	case c.muted():
		return ""
	case d.Claim != nil:
		return "is claimed"
	case !d.Due.IsZero():
		return "has news that is due"
	case d.Doubt != nil:
		return "is in doubt"
	case edits && d.RootRev != r.Rev:
		return "is not shown as it is"
	case edits && !d.LastUnknown.IsZero() && d.Confirmed.Sub(d.LastUnknown) < 10*time.Minute:
		return "has calls that may still take effect"
	case d.Route.Bot() && !d.NoLook && d.TS != "" && !d.Doubted.IsZero():
		return "may have copies"
	case len(d.Left) > 0 && d.TS != "":
		return "has not left a channel"
	case nobodyKnows(r): // a silence holds a notice back
		return ""
	case !r.Open() && d.Presumed.IsZero() && (edits || !d.Route.Bot() || c == edits500):
		return "is closed and has not left the state"
	}
	for _, i := range r.Incidents {
		if i.Open() && !i.Stable {
			return "is not stable"
		}
	}
	return ""
}

// empty says what is in the state; "" if nothing is.
func (h *history) empty() string {
	for _, head := range h.current() {
		for _, r := range head.Incidents.Roots {
			return "incident " + r.ID() + " is still there: " + show(r)
		}
	}
	return ""
}

// check compares what the watcher knows, what Slack shows and what is.
func (h *history) check() {
	heads := h.current()
	open := make(map[string]*incident.Root)
	for _, head := range heads {
		for _, r := range head.Incidents.Roots {
			open[r.Prefix()] = r
		}
	}
	records := h.records()
	h.checkHistory(records, open)
	h.checkWorld(records, heads, open)
	for _, key := range slices.Sorted(maps.Keys(h.docs)) {
		r := h.docs[key]
		if now := open[key]; now != nil {
			r = now
		}
		h.checkRoot(r, open[key] != nil)
	}
	for n, m := range h.world.Slack() {
		if h.docs[m.First.Prefix()] == nil {
			h.Fatalf("message %d is about incident %s, which no head has", n, m.First.ID())
		}
	}
}

// records are the whole history, in the order in which it happened.
func (h *history) records() (all []incident.Record) {
	states := (&run{World: h.world}).store
	l, err := state.Current(context.Background(), must(states(state.Shard{})), states)
	if err != nil {
		h.Fatalf("find the history: %v", err)
	}
	for r, err := range l.Read(context.Background(), time.Time{}) {
		if err != nil {
			h.Fatalf("read the history: %v", err)
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b incident.Record) int { return a.At.Compare(b.At) })
	return all
}

// checkHistory holds that each change is in exactly one incident, and that each is the one after the last.
func (h *history) checkHistory(records []incident.Record, open map[string]*incident.Root) {
	type of struct {
		key    string
		counts lb.Counts
		is     lb.Counts
		about  incident.About
	}
	incidents := make(map[string]*of)
	add := func(id, key string, about incident.About, counts lb.Counts) {
		if incidents[id] != nil {
			h.Fatalf("there are two incidents %s: about %s and %s", id, incidents[id].key, key)
		}
		incidents[id] = &of{key: key, counts: counts, about: about}
	}
	for _, r := range open {
		for _, i := range r.Incidents {
			add(i.ID, i.Key, i.About, i.Counts)
		}
	}
	for _, r := range records {
		if r.Closed != nil {
			add(r.Incident, r.CLB.Key(), r.Closed.About, r.Closed.Counts)
			h.heldBack(r)
		}
	}
	believed, told := make(map[string]belief), make(map[string]int)
	for _, key := range campaignKeys {
		for _, id := range campaignIDs[:2] {
			believed[key+"/"+id] = belief{there: true, running: true}
		}
	}
	changes := 0
	for _, r := range records {
		if r.Change == nil {
			continue
		}
		changes++
		i := incidents[r.Incident]
		if i == nil || i.key != r.CLB.Key() || i.about != incident.Backends {
			h.Fatalf("%s of %s at %s is in incident %s, which is about %+v", r.Change.Kind, r.CLB.Key(), r.At,
				r.Incident, i)
		}
		*i.is.Of(r.Change.Kind)++
		key := r.CLB.Key() + "/" + r.Change.ID
		believed[key] = h.follow(believed[key], key, r)
		told[key] = h.happened(key, told[key], r)
	}
	for id, i := range incidents {
		if i.is != i.counts {
			h.Fatalf("incident %s counts %+v, and the history has %+v", id, i.counts, i.is)
		}
	}
	for _, key := range campaignKeys {
		for _, id := range campaignIDs {
			is, of := belief{}, key+"/"+id
			if b, ok := h.pools[key][id]; ok {
				is = belief{true, b.Running(), b.Running() && len(b.Failing) > 0}
			}
			if got := believed[of]; got != is && !h.gone[key] {
				h.Fatalf("by its history %s is %+v, and it is %+v", of, got, is)
			}
		}
	}
	h.tally.News.Add(int64(changes - h.counted))
	h.counted = changes
}

// belief is what the history says of a backend. The zero belief is that it is not there.
type belief struct{ there, running, ill bool }

// follow is one step of what the history says. A step from where a backend is not was lost, doubled or out of
// order.
func (h *history) follow(was belief, of string, r incident.Record) (is belief) {
	ch := r.Change
	possible := was.there
	is = was
	switch ch.Kind {
	case lb.Added:
		possible, is = !was.there, belief{there: true, running: ch.Is == lb.Running}
	case lb.Removed:
		is = belief{}
	case lb.LeftRunning:
		possible, is.running, is.ill = was.running, false, false
	case lb.Recovered:
		possible, is.running, is.ill = was.there && !was.running, true, false
	case lb.Unhealthy:
		possible, is.ill = was.running, true
	case lb.Healthy:
		possible, is.ill = was.ill, false
	case lb.Bound, lb.Unbound:
	}
	if !possible {
		h.Fatalf("the history has %s as %s at %s, when it was %+v", of, ch.Kind, r.At, was)
	}
	return is
}

// happened looks for what is in the history in what became of the backend since, and returns how far that
// goes.
func (h *history) happened(of string, last int, r incident.Record) int {
	status := r.Change.Is
	switch r.Change.Kind {
	case lb.Removed:
		status = 0
	case lb.Added, lb.LeftRunning, lb.Recovered:
	default:
		return last // it may come beside another change, or have had the status for long
	}
	past := h.past[of]
	for i := last + 1; i < len(past); i++ {
		if past[i] == status {
			return i
		}
	}
	h.Fatalf("the history has %s as %s (%v) at %s, which did not happen since: it was %v, known up to %d",
		of, r.Change.Kind, status, r.At, past, last)
	return last
}
