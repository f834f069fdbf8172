package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/state"
)

const (
	// listGrace is how long lists are waited for once all that was known has been read: a region that hangs
	// must not delay what is known about others.
	listGrace = 3 * time.Second
	// listSlack is how much too early a timer may come for the next try of a list that failed.
	listSlack = 10 * time.Second
)

// lists are the lists of regions, as far as they are due: each region is asked on its own, all at once.
type lists struct {
	at     time.Time
	cancel context.CancelFunc
	done   chan struct{} // closed once all have answered, or were given up

	// To be read once done is closed.
	found  map[string][]Listed // by region, each whole
	failed map[string]error    // by region
}

// listAll begins to list the regions whose last list is older than maxAge, by scopes that are not to be left
// alone for now. It takes a third of the time until the deadline at most.
func (w *Watcher) listAll(ctx context.Context, b base, at time.Time, maxAge time.Duration) *lists {
	ls := &lists{at: at, done: make(chan struct{}), found: make(map[string][]Listed),
		failed: make(map[string]error)}
	if deadline, ok := ctx.Deadline(); ok {
		now := w.Now() // which deadlines go by; at is the store's clock
		ctx, ls.cancel = context.WithDeadline(ctx, now.Add(deadline.Sub(now)/3))
	} else {
		ctx, ls.cancel = context.WithCancel(ctx)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for region := range w.due(b, at, maxAge) {
		wg.Go(func() {
			list, err := w.list(ctx, region)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				ls.failed[region] = err
			} else {
				ls.found[region] = list
			}
		})
	}
	go func() {
		wg.Wait()
		close(ls.done)
	}()
	return ls
}

// wait waits for the lists.
func (ls *lists) wait() {
	<-ls.done
	ls.cancel()
}

// waitUntil waits for the lists until a time, or until ctx ends, and then gives up those that did not answer.
func (ls *lists) waitUntil(ctx context.Context, until time.Time) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	select {
	case <-ls.done:
	case <-ctx.Done():
		ls.cancel()
	}
	ls.wait()
}

// due are the regions to be listed.
func (w *Watcher) due(b base, at time.Time, maxAge time.Duration) map[string]bool {
	named := make(map[string]bool, len(w.CLBs))
	for _, c := range w.CLBs {
		named[c.Key()] = true
	}
	// regions with one that the settings named and do not any more: a search may find it
	left := make(map[string]bool)
	for key, e := range b.known {
		if region, _, _ := strings.Cut(key, "/"); e.In == "" && !named[key] {
			left[region] = true
		}
	}
	regions := make(map[string]bool)
	for _, s := range w.Discover {
		var last time.Time
		if b.head != nil {
			last = b.head.Listed[s.String()]
		}
		u := b.unlisted(s)
		age, pause := at.Sub(last), u.Next.Sub(at)
		switch {
		// a longer one was noted under a wrong clock
		case maxAge > 0 && u.Tries > 0 && pause > listSlack && pause <= relist:
		case age >= maxAge, age < -clockSlack, left[s.Region]:
			regions[s.Region] = true
		}
	}
	return regions
}

func (w *Watcher) list(ctx context.Context, region string) ([]Listed, error) {
	list, err := w.Finder.List(ctx, region)
	if err != nil {
		if ctx.Err() != nil {
			err = advice.Add(errors.New("it did not answer in time"), "usually clears by itself")
		}
		return nil, fmt.Errorf("list the load balancers of %s: %w", region, err)
	}
	if len(list) > maxFound {
		return nil, advice.Add(fmt.Errorf("%s has %d load balancers, more than %d", region, len(list),
			maxFound),
			"say in CLB_IDS which to watch")
	}
	return list, nil
}

// unlisted is what the head knows of a Scope that could not be listed; zero if it could.
func (b base) unlisted(s Scope) state.Unlisted {
	if b.head == nil {
		return state.Unlisted{}
	}
	return b.head.Unlisted[s.String()]
}
