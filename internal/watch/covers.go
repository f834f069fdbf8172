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
	heads     []*state.Head // of level
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
	v := &view{level: all, heads: all.Heads, at: w.Store.Now().UTC().Truncate(time.Second), clbs: make(map[string]lb.CLB)}
	for i, head := range all.Heads {
		s, err := state.OpenSnapshot(ctx, all.Stores[i], head)
		if err != nil {
			v.close()
			return nil, fmt.Errorf("load state: %w", err)
		}
		v.snapshots = append(v.snapshots, s)
		for key, e := range s.Index.CLBs {
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

// wanted are the silences that a request is for.
func (v *view) wanted(r SilenceRequest) ([]incident.Silence, error) {
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
	for _, key := range keys {
		one.What = v.glob(key)
		all = append(all, one)
	}
	return all, nil
}

// glob is what only one load balancer is matched by: its name, if that is so, else its id. The name is the one
// that ticks know it by, which go by the silence.
func (v *view) glob(key string) string {
	for _, r := range v.roots {
		for _, i := range r.Incidents {
			c := i.CLB()
			for _, name := range []string{c.Label, c.Title} {
				odd := func(r rune) bool { return r == '*' || r == '?' || unicode.IsControl(r) }
				if i.Key != key || name == "" || len(name) > incident.MaxSilenceText || strings.ContainsFunc(name, odd) {
					continue
				}
				if keys, err := v.matching(name); err == nil && len(keys) == 1 && keys[0] == key {
					return name
				}
			}
		}
	}
	return lb.ParseKey(key).ID
}

// answer says what silences cover. It is an error if that is nothing. A view gives one answer: snapshots are
// read once, in order.
func (v *view) answer(all ...incident.Silence) (SilenceAnswer, error) {
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
	var err error
	if a.Backends, a.Out, err = v.count(keys); err != nil {
		return SilenceAnswer{}, fmt.Errorf("load state: %w", err)
	}
	a.Covers = a.words()
	return a, nil
}

// shown is the root that goes by a number, with silences taken in.
func (v *view) shown(id string, silences []incident.Silence) incident.Document {
	for _, h := range v.heads {
		if h == nil || id == "" {
			continue
		}
		s := h.Incidents.Clone()
		for _, r := range s.Roots {
			if r.Open() && (r.Leads(id) || slices.ContainsFunc(r.Incidents, func(i *incident.Incident) bool {
				return i.ID == id
			})) {
				s.Foresee(silences, v.at)
				return incident.Document{Root: r, Reason: s.Reason, Silence: s.SilenceByID,
					Name: func(key string) lb.CLB { return v.clbs[key] }}
			}
		}
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
func (v *view) count(keys []string) (backends, out int, err error) {
	for _, s := range v.snapshots {
		for _, key := range keys {
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
	says := counted(a.CLBs, "load balancer") + ", " + counted(a.Backends, "backend")
	switch {
	case a.Out == 0:
		return says + ", none out"
	case a.Backends == 1:
		return says + ", which is out"
	}
	return says + fmt.Sprintf(", %d of them out", a.Out)
}
