package notifier

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// From here on an alert is a table of load balancers: lines for each change would not be read.
const (
	massChanges = 60
	massPools   = 15
)

// How many characters are shown.
const (
	maxText  = 200 // of an error, or of what to do about it
	maxTitle = 250 // of what an alert is about: the details say the rest
	maxType  = 12  // of what a backend is
)

// look is the emoji and the colour of a message: they tell the state before a word is read.
type look struct{ emoji, color string }

// room is how much detail there is room for. It shrinks until the message is inside Slack's limits.
type room struct {
	lines int // changes of one load balancer
	pools int // load balancers, in each part of the message
}

// rooms are tried in turn. The last one fits whatever the names are; FuzzAlertMessage holds that.
func rooms() []room {
	rs := []room{{massChanges, massPools}, {20, massPools}, {10, massPools}, {6, massPools}, {4, massPools}}
	for n := massPools - 1; n > 0; n-- {
		rs = append(rs, room{min(n, 4), n})
	}
	return rs
}

// testMessage says that alerts will arrive where it is read.
func testMessage(now time.Time) Message {
	p := page{
		look:    look{"wave", "#2eb886"},
		title:   "clbwatch is connected: alerts will arrive here",
		url:     console,
		context: []string{dateMark(now), "test message"},
	}
	return p.message(func(room) []block {
		return []block{{line(words("This is a test; nothing happened. You will be told when a backend is added, removed, stops running or recovers, and when a load balancer cannot be read."))}}
	})
}

// linkFor leads to the load balancer if there is only one, else to all of them.
func linkFor(clbs []lb.CLB, more int) string {
	if len(clbs) == 0 || more > 0 || slices.ContainsFunc(clbs, func(c lb.CLB) bool { return c.Key() != clbs[0].Key() }) {
		return console
	}
	return consoleURL(clbs[0])
}

// regionsOf names at most three regions.
func regionsOf(clbs []lb.CLB) string {
	set := make(map[string]bool)
	for _, c := range clbs {
		if r := token(c.Region); r != "" {
			set[r] = true
		}
	}
	all := slices.Sorted(maps.Keys(set))
	if len(all) > 3 {
		return strings.Join(all[:3], ", ") + fmt.Sprintf(" +%d more", len(all)-3)
	}
	return strings.Join(all, ", ")
}

// running says how many backends run, and how many of those are unhealthy.
func running(c lb.Capacity) string {
	return fmt.Sprintf("%d of %d running", c.Running, c.Total) + report.AndUnhealthy(c.Ill)
}

// percent is a share that is neither nothing nor all unless it is.
func percent(part, all int) string {
	switch p := (part*100 + all/2) / all; {
	case p == 0:
		return "less than 1 %"
	case p == 100 && part < all:
		return "more than 99 %"
	default:
		return fmt.Sprintf("%d %%", p)
	}
}

// status is a backend's status in words; what is no instance has none of its own.
func status(b lb.Backend) string {
	return cmp.Or(text.Clean(b.Type, maxType), b.Status.String())
}

// capacityOf says how much runs, how much of the weight does not and, in words, when it is the last one or none, of all or
// of the listeners and rules that are bare.
func capacityOf(c lb.Capacity, lost, all int, how string, bare *lb.Part, bad bool) []span {
	s := running(c)
	if lost > 0 && c.Running > 0 {
		s += ", " + percent(lost, all) + " of weight " + how
	}
	says := []span{words(s)}
	switch {
	case c.Total == 0 && bad:
		says = append(says, bold("  ·  no backends left"))
	case c.Running == 0 && c.Total > 0:
		says = append(says, bold("  ·  none running"))
	case bare != nil:
		says = append(says, bold("  ·  "+noneServes(bare, "", true)))
	case c.Running == 1 && bad && c.Total > 0:
		says = append(says, bold("  ·  last one running"))
	}
	return says
}

// Errors of what is not about an incident.
var (
	errNotSent = errors.New("message not sent")
	errRefused = errors.New("message refused")
)

// noneServes says which listeners or rules, of what, have no running backend.
func noneServes(bare *lb.Part, of string, named bool) string {
	if bare.N == 1 {
		return report.Some(bare) + of + " has none running"
	}
	s := text.Plural(bare.N, report.Thing(bare)) + of + " have none running"
	if named {
		s += report.Names(bare)
	}
	return s
}

// group puts together what is the same, in the order of the first of each.
func group[T any](all []T, same func(b, o T) bool) [][]T {
	var groups [][]T
	for _, b := range all {
		i := slices.IndexFunc(groups, func(g []T) bool { return same(g[0], b) })
		if i < 0 {
			i, groups = len(groups), append(groups, nil)
		}
		groups[i] = append(groups[i], b)
	}
	return groups
}

// cannot is what goes wrong, beside the name of a load balancer.
func cannot(what incident.About) string {
	switch what {
	case incident.Health:
		return "health cannot be read"
	case incident.Listing:
		return "load balancers cannot be listed"
	}
	return "cannot be read"
}

// word is a kind where it is counted or part of a sentence.
func word(k lb.Kind) string {
	switch k {
	}
	return report.Happened(k)
}

// oneOrMany names the load balancer if there is one, and counts them if there are more.
func oneOrMany[T any](n int, s []T, clb func(T) lb.CLB) string {
	if n == 1 && len(s) == 1 {
		return report.Name(clb(s[0]))
	}
	return text.Plural(n, "load balancer")
}

// kinds are all there are, by how much they matter.
var kinds = []lb.Kind{lb.LeftRunning, lb.Unhealthy, lb.Removed, lb.Unbound, lb.Added, lb.Bound, lb.Recovered, lb.Healthy}

// troubleMessage says that nothing is watched.
func troubleMessage(why error) Message {
	p := page{look: look{"warning", "#daa038"}, title: "clbwatch cannot work: nothing is watched until this is mended"}
	return p.message(func(room) []block {
		details := block{line(words(text.Clean(why.Error(), 3*maxText)))}
		if do := advice.Of(why); do != "" {
			details = append(details, line(bold("What to do  "), words(text.Clean(do, 2*maxText))))
		}
		return []block{details}
	})
}
