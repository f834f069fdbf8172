package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
	"clbwatch/internal/timeline"
)

// maxID is how many characters of an id are shown, as of a name in package report.
const maxID = 48

// maxNumber is how many characters of an incident's number are shown.
const maxNumber = 20

// balancer is one load balancer: as it stands, as it stood, or both.
type balancer struct {
	clb  lb.CLB
	pool *report.Pool   // nil if it is not watched any more
	line *timeline.Line // nil if nothing is known
	id   string         // of its chart; "" if it has none
}

// known reports whether it is known how it stood.
func (b balancer) known() bool { return b.line != nil && b.line.Watched > 0 }

// rank is in which group it comes: something to tell; all of the weight in service whenever it was seen, and
// no incident; nothing known.
func (b balancer) rank() int {
	switch {
	case !b.known():
		return 2
	case b.line.Incidents == 0 && b.line.Whole == b.line.Seen:
		return 1
	}
	return 0
}

// balancers are all load balancers, those among them that are not watched any more, the worst first.
func (p printer) balancers() (all []balancer) {
	watched := make(map[string]bool)
	for n := range p.Pools {
		pool := &p.Pools[n]
		watched[pool.CLB.Key()] = true
		all = append(all, balancer{clb: pool.CLB, pool: pool, line: p.Timeline.Of(pool.CLB.Key())})
	}
	if p.Timeline != nil {
		for _, l := range p.Timeline.Lines {
			if b := (balancer{clb: l.CLB, line: l}); !watched[l.CLB.Key()] && (b.known() || len(l.Marks) > 0) {
				all = append(all, b)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b balancer) int {
		by := cmp.Compare(a.rank(), b.rank())
		switch {
		case by != 0:
		case a.known():
			by = a.line.Worse(b.line.Figures)
		case a.pool != nil && b.pool != nil:
			by = cmp.Compare(b.pool.Severity(), a.pool.Severity())
		}
		return cmp.Or(by, cmp.Compare(report.Name(a.clb), report.Name(b.clb)))
	})
	return all
}

// about is the id of a load balancer, where that is not its name, and its region, where there are several.
func (p printer) about(c lb.CLB) string {
	var parts []string
	for n, s := range []string{c.ID, c.Region} {
		if s = text.Clean(s, maxID); s != "" && s != report.Name(c) && (n == 0 || p.region == "") {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " · ")
}

// now is how the load balancer stands, and how bad that is.
func (b balancer) now() (says, severity string) {
	switch {
	case b.pool == nil:
		return "not watched any more", "gone"
	case b.pool.Err != "":
		return "cannot be read", severities[b.pool.Severity()]
	case b.pool.Backends == 0:
		return "no backends", severities[b.pool.Severity()]
	}
	return fmt.Sprintf("%d of %d running", b.pool.Running, b.pool.Backends) +
		report.AndUnhealthy(len(b.pool.Unhealthy)), severities[b.pool.Severity()]
}

// length is how long an incident took, or takes.
func length(m timeline.Mark, now time.Time) time.Duration {
	if m.Ended.IsZero() {
		return now.Sub(m.Began)
	}
	return m.Ended.Sub(m.Began)
}
