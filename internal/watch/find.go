package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
)

const (
	// relist is how old the list of a region's load balancers may get before a tick asks for it again.
	relist = 5 * time.Minute
	// maxFound bounds how many load balancers are discovered: beyond it one function cannot read them in its time.
	maxFound = 20_000
)

// Scope says which load balancers of a region are to be discovered.
type Scope struct {
	Region   string
	Glob     string // what their names must match, in the manner of path.Match; "" for any
	Key, Tag string // the tag they must have, and its value; "" for any
}

// String is the scope as CLB_DISCOVER has it: "region", "region/glob" or "region/tag:key=value".
func (s Scope) String() string {
	switch {
	case s.Key != "":
		return s.Region + "/tag:" + s.Key + "=" + s.Tag
	case s.Glob != "":
		return s.Region + "/" + s.Glob
	}
	return s.Region
}

// matches reports whether a load balancer of the region is in the scope.
func (s Scope) matches(l Listed) bool {
	if value, tagged := l.Tags[s.Key]; s.Key != "" {
		return tagged && value == s.Tag
	}
	letter := strings.NewReplacer("/", "_") // a slash is a letter like others
	ok, err := path.Match(letter.Replace(s.Glob), letter.Replace(l.Name))
	return s.Glob == "" || err == nil && ok
}

// Listed is a load balancer as the list of its region has it.
type Listed struct {
	ID, Name string            // Name is untrusted text
	Tags     map[string]string // untrusted text
}

// Finder finds load balancers.
type Finder interface {
	// List returns all load balancers of a region, whole: a partial, foreign or failed answer is an error.
	List(ctx context.Context, region string) ([]Listed, error)
	// Exist returns those of some load balancers of a region that there are, by ID.
	Exist(ctx context.Context, region string, ids []string) (map[string]bool, error)
}

// roster is which load balancers a tick is about.
type roster struct {
	clbs     []lb.CLB             // sorted by key
	scope    map[string]string    // of those that were discovered, by key: the Scope that did
	listed   map[string]time.Time // when each scope was listed last
	gone     []CLBNews            // discovered once, and not to be watched any more
	unlisted map[string]error     // why a scope could not be listed: what is known of it goes on
}

// find says which load balancers there are: those of the settings, and those that are discovered. Most ticks take these
// from the snapshot; the regions are asked where the last list is older than maxAge.
func (w *Watcher) find(ctx context.Context, b base, at time.Time, maxAge time.Duration) roster {
	r := roster{scope: make(map[string]string), listed: make(map[string]time.Time), unlisted: make(map[string]error)}
	taken := make(map[string]bool)
	for _, c := range w.CLBs {
		if w.Shard.Owns(c.Key()) {
			r.clbs = append(r.clbs, c)
		}
		taken[c.Key()] = true
	}
	add := func(s Scope, c lb.CLB) {
		if !taken[c.Key()] && w.Shard.Owns(c.Key()) {
			taken[c.Key()] = true
			r.clbs, r.scope[c.Key()] = append(r.clbs, c), s.String()
		}
	}
	left := make(map[string]bool) // regions with one that the settings named and do not any more: a search may find it
	for key, e := range b.known.CLBs {
		if region, _, _ := strings.Cut(key, "/"); e.In == "" && !taken[key] {
			left[region] = true
		}
	}
	lists := make(map[string][]Listed) // by region
	for _, s := range w.Discover {
		var last time.Time
		if b.head != nil {
			last = b.head.Listed[s.String()]
		}
		if age := at.Sub(last); age >= maxAge || age < -clockSlack || left[s.Region] {
			list, ok := lists[s.Region]
			var err error
			if !ok {
				list, err = w.list(ctx, s.Region)
			}
			if err == nil {
				lists[s.Region], last = list, at
			} else {
				r.unlisted[s.String()] = err
			}
		}
		if !last.IsZero() {
			r.listed[s.String()] = last
		}
		if list, ok := lists[s.Region]; ok {
			for _, l := range list {
				if s.matches(l) {
					add(s, lb.CLB{Region: s.Region, ID: l.ID, Title: l.Name})
				}
			}
			continue
		}
		for key, e := range b.known.CLBs {
			if e.In == s.String() {
				add(s, named(key, e))
			}
		}
	}
	w.missing(ctx, b, &r, lists, taken, at)
	slices.SortFunc(r.clbs, func(a, b lb.CLB) int { return cmp.Compare(a.Key(), b.Key()) })
	return r
}

// Watched says which load balancers there are to watch now, by key, and why a Scope could not be listed, by its text.
func (w *Watcher) Watched(ctx context.Context) (clbs []lb.CLB, unlisted map[string]error) {
	r := w.find(ctx, base{}, w.Now(), 0)
	return r.clbs, r.unlisted
}

func (w *Watcher) list(ctx context.Context, region string) ([]Listed, error) {
	list, err := w.Finder.List(ctx, region)
	if err != nil {
		return nil, fmt.Errorf("list the load balancers of %s: %w", region, err)
	}
	if len(list) > maxFound {
		return nil, advice.Add(fmt.Errorf("%s has %d load balancers, more than %d", region, len(list), maxFound), "say in CLB_IDS which to watch")
	}
	return list, nil
}

func named(key string, e entry) lb.CLB {
	region, id, _ := strings.Cut(key, "/")
	return lb.CLB{Region: region, ID: id, Title: e.Name}
}

// missing looks for those that were discovered once and are in no list any more: deleted, if the cloud says so when it is
// asked for them alone; else not what the settings ask for any more, or missing by mistake.
func (w *Watcher) missing(ctx context.Context, b base, r *roster, lists map[string][]Listed, taken map[string]bool, at time.Time) {
	if len(lists) == 0 { // as in most ticks
		return
	}
	present := make(map[string]bool)
	for region, list := range lists {
		for _, l := range list {
			present[region+"/"+l.ID] = true
		}
	}
	var doubtful []lb.CLB
	in := make(map[string]string)
	for _, s := range w.Discover {
		in[s.String()] = s.Region
	}
	for _, key := range slices.Sorted(maps.Keys(b.known.CLBs)) {
		e := b.known.CLBs[key]
		region, ok := in[e.In] // else it is forgotten quietly, as the settings say
		if _, listed := lists[region]; !ok || !listed || taken[key] || !w.Shard.Owns(key) {
			continue
		}
		if present[key] {
			r.gone = append(r.gone, CLBNews{CLB: named(key, e), Fate: Unmatched, At: at})
			continue
		}
		doubtful = append(doubtful, named(key, e))
	}
	for _, c := range w.deleted(ctx, doubtful, func(c lb.CLB) {
		r.clbs, r.scope[c.Key()] = append(r.clbs, c), b.known.CLBs[c.Key()].In
	}) {
		r.gone = append(r.gone, CLBNews{CLB: c, Fate: Deleted, At: at})
	}
}

// deleted returns those of some load balancers that are not there any more; keep is called for the others.
func (w *Watcher) deleted(ctx context.Context, doubtful []lb.CLB, keep func(lb.CLB)) (gone []lb.CLB) {
	byRegion := make(map[string][]string)
	for _, c := range doubtful {
		byRegion[c.Region] = append(byRegion[c.Region], c.ID)
	}
	exist := make(map[string]map[string]bool)
	for region, ids := range byRegion {
		if found, err := w.Finder.Exist(ctx, region, ids); err == nil { // else nobody knows: the next tick asks again
			exist[region] = found
		}
	}
	for _, c := range doubtful {
		if found, asked := exist[c.Region]; asked && !found[c.ID] {
			gone = append(gone, c)
		} else {
			keep(c)
		}
	}
	return gone
}

// strike takes load balancers out of a sweep that were discovered, and that reading found to be deleted.
func (w *Watcher) strike(ctx context.Context, s *sweep) {
	var doubtful []lb.CLB
	for i, o := range s.seen {
		if errors.Is(o.err, lb.ErrNotFound) && s.roster.scope[s.clbs[i].Key()] != "" {
			doubtful = append(doubtful, s.clbs[i])
		}
	}
	struck := make(map[string]bool)
	for _, c := range w.deleted(ctx, doubtful, func(lb.CLB) {}) {
		struck[c.Key()] = true
		s.gone = append(s.gone, CLBNews{CLB: c, Fate: Deleted, At: s.at})
	}
	if len(struck) == 0 {
		return
	}
	var clbs []lb.CLB
	var seen []observation
	for i, c := range s.clbs {
		if !struck[c.Key()] {
			clbs, seen = append(clbs, c), append(seen, s.seen[i])
		}
	}
	s.clbs, s.seen = clbs, seen
}
