package watch

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
)

const (
	// relist is how old the list of a region's load balancers may get before a tick asks for it again. It
	// also bounds the back-off from a list that fails.
	relist = 5 * time.Minute
	// maxFound bounds how many load balancers are discovered: beyond it one function cannot read them in its
	// time.
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
	// List returns all load balancers of a region, whole: a partial, foreign or failed answer is an error,
	// and ErrNoRegion if there is no such region. It gives up when ctx ends.
	List(ctx context.Context, region string) ([]Listed, error)
	// Exist returns those of some load balancers of a region that there are, by ID.
	Exist(ctx context.Context, region string, ids []string) (map[string]bool, error)
}

// roster is which load balancers a tick is about.
type roster struct {
	clbs     []lb.CLB                  // sorted by key
	scope    map[string]string         // of those that were discovered, by key: the Scope that did
	listed   map[string]time.Time      // when each scope was listed last
	listedAt bool                      // one was just now
	gone     []goneCLB                 // discovered once, and not to be watched any more
	empty    []Scope                   // listed for the first time, and found nothing
	unlisted map[string]state.Unlisted // why a scope could not be listed: what is known of it goes on
}

// goneCLB is a load balancer that was found once and is not to be watched any more: deleted, or not matching.
type goneCLB struct {
	lb.CLB
	deleted bool
}

// unlistedErr is why a Scope could not be listed, with advice; nil if it could.
func (r roster) unlistedErr(s Scope) error {
	u, ok := r.unlisted[s.String()]
	if !ok {
		return nil
	}
	return advice.Add(errors.New(u.Why), u.Do)
}

// enlist says which load balancers there are: those of the settings, and those that are discovered, by lists
// of regions where there are some and else by the snapshot. said is what reading said of those that were read
// already, by key.
func (w *Watcher) enlist(ctx context.Context, b base, ls *lists, said map[string]error) roster {
	r := roster{scope: make(map[string]string), listed: make(map[string]time.Time),
		unlisted: make(map[string]state.Unlisted)}
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
	for _, s := range w.Discover {
		var last time.Time
		if b.head != nil {
			last = b.head.Listed[s.String()]
		}
		list, listed := ls.found[s.Region]
		if err := ls.failed[s.Region]; err != nil {
			r.unlisted[s.String()] = failedAgain(b.unlisted(s), err, ls.at)
		} else if was := b.unlisted(s); !listed && was.Tries > 0 {
			r.unlisted[s.String()] = was
		}
		if listed {
			found := false
			for _, l := range list {
				if s.matches(l) {
					found = true
					add(s, lb.CLB{Region: s.Region, ID: l.ID, Title: l.Name})
				}
			}
			if !found && last.IsZero() && !b.found(s) {
				r.empty = append(r.empty, s)
			}
			last, r.listedAt = ls.at, true
		}
		if !last.IsZero() {
			r.listed[s.String()] = last
		}
		if listed {
			continue
		}
		for key, e := range b.known {
			if e.In == s.String() {
				add(s, named(key, e))
			}
		}
	}
	w.missing(ctx, b, &r, ls, taken, said)
	slices.SortFunc(r.clbs, func(a, b lb.CLB) int { return cmp.Compare(a.Key(), b.Key()) })
	return r
}

// found reports whether a Scope discovered something that is still known.
func (b base) found(s Scope) bool {
	for _, e := range b.known {
		if e.In == s.String() {
			return true
		}
	}
	return false
}

// failedAgain is a Scope after one more try that failed.
func failedAgain(was state.Unlisted, err error, at time.Time) state.Unlisted {
	u := state.Unlisted{Tries: was.Tries + 1}
	why := incident.ReasonOf(err)
	u.Why, u.Do = why.Why, why.Do
	u.Next = at.Add(min(time.Minute<<min(u.Tries-1, 10), relist))
	return u
}

// Found is what one Scope finds now.
type Found struct {
	Scope Scope
	CLBs  []lb.CLB // that it finds, of all shards
	There []Listed // all of its region
	Err   error    // why the region could not be listed; all else is zero then
}

// Search says what each Scope finds now.
func (w *Watcher) Search(ctx context.Context) []Found {
	ls := w.listAll(ctx, base{}, w.Now(), 0)
	ls.wait()
	all := make([]Found, len(w.Discover))
	for i, s := range w.Discover {
		all[i] = Found{Scope: s, There: ls.found[s.Region], Err: ls.failed[s.Region]}
		for _, l := range all[i].There {
			if s.matches(l) {
				all[i].CLBs = append(all[i].CLBs, lb.CLB{Region: s.Region, ID: l.ID, Title: l.Name})
			}
		}
	}
	return all
}

// Watched says which load balancers there are to watch now, by key, and why a Scope could not be listed, by
// its text.
func (w *Watcher) Watched(ctx context.Context) (clbs []lb.CLB, unlisted map[string]error) {
	ls := w.listAll(ctx, base{}, w.Now(), 0)
	ls.wait()
	unlisted = make(map[string]error)
	for _, s := range w.Discover {
		if err := ls.failed[s.Region]; err != nil {
			unlisted[s.String()] = err
		}
	}
	return w.enlist(ctx, base{}, ls, nil).clbs, unlisted
}

func named(key string, e state.Entry) lb.CLB {
	region, id, _ := strings.Cut(key, "/")
	return lb.CLB{Region: region, ID: id, Title: e.Name}
}

// missing looks for those that were discovered once and are in no list any more: deleted, if the cloud says
// so when it is asked for them alone and when they are read; else not what the settings ask for any more, or
// missing by mistake.
func (w *Watcher) missing(ctx context.Context, b base, r *roster, ls *lists, taken map[string]bool,
	said map[string]error) {
	if len(ls.found) == 0 { // as in most ticks
		return
	}
	present := make(map[string]bool)
	for region, list := range ls.found {
		for _, l := range list {
			present[region+"/"+l.ID] = true
		}
	}
	var doubtful []lb.CLB
	in := make(map[string]string)
	for _, s := range w.Discover {
		in[s.String()] = s.Region
	}
	keep := func(c lb.CLB) { r.clbs, r.scope[c.Key()] = append(r.clbs, c), b.known[c.Key()].In }
	for _, key := range slices.Sorted(maps.Keys(b.known)) {
		e := b.known[key]
		region, ok := in[e.In] // else it is forgotten quietly, as the settings say
		if _, listed := ls.found[region]; !ok || !listed || taken[key] || !w.Shard.Owns(key) {
			continue
		}
		switch {
		case present[key]:
			r.gone = append(r.gone, goneCLB{named(key, e), false})
		case errors.Is(said[key], lb.ErrNotFound):
			doubtful = append(doubtful, named(key, e))
		default: // a list may be wrong, in perfect form
			keep(named(key, e))
		}
	}
	for _, c := range w.deleted(ctx, doubtful, keep) {
		r.gone = append(r.gone, goneCLB{c, true})
	}
}

// deleted returns those of some load balancers, which reading did not find, that the cloud does not know
// either when it is asked for them; keep is called for the others.
func (w *Watcher) deleted(ctx context.Context, doubtful []lb.CLB, keep func(lb.CLB)) (gone []lb.CLB) {
	byRegion := make(map[string][]string)
	for _, c := range doubtful {
		byRegion[c.Region] = append(byRegion[c.Region], c.ID)
	}
	exist := make(map[string]map[string]bool)
	for region, ids := range byRegion {
		// else nobody knows: the next tick asks again
		if found, err := w.Finder.Exist(ctx, region, ids); err == nil {
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
