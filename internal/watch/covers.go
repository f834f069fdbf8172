package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
)

// maxChoices is how many names of load balancers or incidents an error lists.
const maxChoices = 8

// view is what all shards stored, as far as silences are about it: which load balancers are watched, how they
// stood when they were read last, and what is open.
type view struct {
	at        time.Time         // by the store's clock
	clbs      map[string]lb.CLB // by key
	level     state.Level
	roots     []*incident.Root
	snapshots []*state.Snapshot // open
}

// view opens what is stored. A load balancer of the settings is in it even if it was never read. The caller
// closes it.
func (w *Watcher) view(ctx context.Context) (*view, error) {
	all, err := w.current(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{
		level: all,
		at:    w.Store.Now().UTC().Truncate(time.Second),
		clbs:  make(map[string]lb.CLB),
	}
	v.snapshots, err = all.Open(ctx)
	if err != nil {
		v.close()
		return nil, fmt.Errorf("load state: %w", err)
	}
	for i, head := range all.Heads {
		for key, e := range v.snapshots[i].Index.CLBs {
			v.clbs[key] = named(key, e)
		}
		if head != nil {
			v.roots = append(v.roots, head.Incidents.Roots...)
		}
	}
	for _, c := range w.CLBs {
		v.clbs[c.Key()] = c
	}
	return v, nil
}

// part is a context with a share of the time that is left of another, so that what follows has some, too.
func part(ctx context.Context, of int) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/time.Duration(of))
}

// current is the newest state of all shards: a silence is of all of them.
func (w *Watcher) current(ctx context.Context) (state.Level, error) {
	store := w.Store
	if w.States != nil && w.Shard.Of > 1 {
		var err error
		if store, err = w.States(state.Shard{}); err != nil {
			return state.Level{}, err
		}
	}
	return state.Current(ctx, store, w.States)
}

func (v *view) close() {
	for _, s := range v.snapshots {
		s.Close()
	}
}

// wanted are the silences that a request is for. active are those that there are: of a root, a load balancer
// that one of them covers as long, or more strictly, needs no other.
func (v *view) wanted(r SilenceRequest, active []incident.Silence) ([]incident.Silence, error) {
	one := incident.Silence{What: r.What, Incident: r.Incident, All: r.All, Why: strings.TrimSpace(r.Why),
		By: strings.TrimSpace(r.By), Made: v.at, Until: v.at.Add(r.lasts())}
	if r.Root == "" {
		return []incident.Silence{one}, nil
	}
	keys, err := v.acknowledged(r.Root)
	if err != nil {
		return nil, err
	}
	if len(keys) > incident.MaxAtOnce {
		return nil, fmt.Errorf("incident %s is about %d load balancers, and at most %d are silenced at once: name "+
			"them by a glob", r.Root, len(keys), incident.MaxAtOnce)
	}
	var all []incident.Silence
	var until incident.Silence
	for _, key := range keys {
		one.What = v.glob(key)
		covers := func(s incident.Silence) bool {
			return !isAgain(one, s) && s.What != "" && v.named(key).Matches(s.What) &&
				(s.All || !s.Until.Before(one.Until))
		}
		if n := slices.IndexFunc(active, covers); n >= 0 {
			until = active[n]
			continue
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("it is silenced already, by silence %s until %s", until.ID,
			until.End().UTC().Format("2006-01-02 15:04 UTC"))
	}
	return all, nil
}

// named is a load balancer by the names that ticks know it by.
func (v *view) named(key string) lb.CLB {
	for _, r := range v.roots {
		for _, i := range r.Incidents {
			if c := i.CLB(); i.Key == key && (c.Label != "" || c.Title != "") {
				return c
			}
		}
	}
	return v.clbs[key]
}

// glob is what only one load balancer is matched by: its name, if that is so, else its id. The name is the
// one that ticks know it by, which go by the silence.
func (v *view) glob(key string) string {
	c := v.named(key)
	for _, name := range []string{c.Label, c.Title} {
		odd := func(r rune) bool { return r == '*' || r == '?' || unicode.IsControl(r) }
		if name == "" || len(name) > incident.MaxSilenceText || strings.ContainsFunc(name, odd) {
			continue
		}
		if keys, err := v.matching(name); err == nil && len(keys) == 1 && keys[0] == key {
			return name
		}
	}
	return lb.ParseKey(key).ID
}

// answer says what silences cover. It is an error if that is nothing. Backends are counted in a third of the
// time that is left: what was asked for must be done in any case. A view gives one answer: snapshots are read
// once, in order.
func (v *view) answer(ctx context.Context, all ...incident.Silence) (SilenceAnswer, error) {
	covered := make(map[string]bool)
	for _, s := range all {
		keys, err := v.matching(s.What)
		if s.Incident != "" {
			keys, err = v.acknowledged(s.Incident)
		}
		if err != nil {
			return SilenceAnswer{}, err
		}
		for _, key := range keys {
			covered[key] = true
		}
	}
	keys := slices.Sorted(maps.Keys(covered))
	a := SilenceAnswer{Silence: all[0], CLBs: len(keys)}
	counting, cancel := part(ctx, 3)
	defer cancel()
	var err error
	a.Backends, a.Out, err = v.count(counting, keys)
	switch {
	case err != nil && counting.Err() != nil && ctx.Err() == nil:
		a.Backends, a.Out, a.Uncounted = 0, 0, true
	case err != nil:
		return SilenceAnswer{}, fmt.Errorf("load state: %w", err)
	}
	a.Covers = a.words()
	return a, nil
}

// shown is the root that goes by a number, if a webhook posted it, with all silences taken in that there are
// by now; else no more of it than where it is.
func (v *view) shown(id string, silences []incident.Silence) incident.Document {
	asked := func(i *incident.Incident) bool { return i.ID == id }
	for _, h := range v.level.Heads {
		if h == nil || id == "" {
			continue
		}
		at := slices.IndexFunc(h.Incidents.Roots, func(r *incident.Root) bool {
			return r.Open() && (r.Leads(id) || slices.ContainsFunc(r.Incidents, asked))
		})
		if at < 0 {
			continue
		}
		if r := h.Incidents.Roots[at]; r.Delivery.Route.Bot() {
			return incident.Document{Root: r}
		}
		s := h.Incidents.Clone()
		s.Foresee(silences, v.at)
		return s.Document(s.Roots[at], func(key string) lb.CLB { return v.clbs[key] })
	}
	return incident.Document{}
}

// matching are the keys of the load balancers that a glob is about.
func (v *view) matching(glob string) (keys []string, err error) {
	var names []string
	for key, c := range v.clbs {
		if c.Matches(glob) {
			keys = append(keys, key)
		}
		names = append(names, fmt.Sprintf("%.60q", c.Name()))
	}
	if len(keys) > 0 {
		return slices.Sorted(slices.Values(keys)), nil
	}
	if len(names) == 0 {
		return nil, errors.New("no load balancer is known yet that could be silenced")
	}
	return nil, fmt.Errorf("no load balancer matches %q; there are %s", glob,
		choices(slices.Compact(slices.Sorted(slices.Values(names)))))
}

// acknowledged are the keys of the load balancers that an acknowledgement is about: of an incident or, if it
// is the first of a message, of all of that message that are open.
func (v *view) acknowledged(id string) ([]string, error) {
	keys, blind := make(map[string]bool), false
	var open []string
	for _, r := range v.roots {
		for _, i := range r.Incidents {
			if !i.Open() {
				continue
			}
			asked := i.ID == id || r.Leads(id)
			switch {
			case i.About.Blind():
				blind = blind || asked
			case asked:
				keys[i.Key] = true
			}
			if !i.About.Blind() {
				open = append(open, i.ID)
			}
		}
	}
	switch {
	case len(keys) > 0:
		return slices.Sorted(maps.Keys(keys)), nil
	case blind:
		return nil, fmt.Errorf("incident %s is about what cannot be read, which is never silenced", id)
	case len(open) == 0:
		return nil, fmt.Errorf("incident %s is not open; no incident is open that could be acknowledged", id)
	}
	slices.SortFunc(open, byNumber)
	return nil, fmt.Errorf("incident %s is not open; open are %s", id, choices(open))
}

// choices are the first few of many.
func choices(all []string) string {
	if more := len(all) - maxChoices; more > 0 {
		return strings.Join(all[:maxChoices], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(all, ", ")
}

// count counts the backends of load balancers, whose keys are sorted, and those of them that are out.
func (v *view) count(ctx context.Context, keys []string) (backends, out int, err error) {
	for _, s := range v.snapshots {
		for _, key := range keys {
			if err := ctx.Err(); err != nil {
				return 0, 0, err
			}
			line, err := s.Seek(key)
			if err != nil {
				return 0, 0, err
			}
			if line == nil {
				continue // another shard's, or never read
			}
			pool, err := state.DecodePool(line)
			if err != nil {
				return 0, 0, err
			}
			backends += len(pool)
			for _, b := range pool {
				if b.Stopped() || len(b.Failing) > 0 {
					out++
				}
			}
		}
		if err := s.Drain(); err != nil {
			return 0, 0, err
		}
	}
	return backends, out, nil
}

// words are what a silence covers, such as "3 load balancers, 41 backends, 2 of them out".
func (a SilenceAnswer) words() string {
	counted := func(n int, thing string) string {
		if n != 1 {
			thing += "s"
		}
		return fmt.Sprintf("%d %s", n, thing)
	}
	if a.Uncounted {
		return counted(a.CLBs, "load balancer") + "; there was no time to count backends"
	}
	says := counted(a.CLBs, "load balancer") + ", " + counted(a.Backends, "backend")
	switch {
	case a.Out == 0:
		return says + ", none out"
	case a.Backends == 1:
		return says + ", which is out"
	}
	return says + fmt.Sprintf(", %d of them out", a.Out)
}
