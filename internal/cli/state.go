package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/state"
	"clbwatch/internal/text"
)

// maxListed is how many open incidents, or things that cannot be read, are listed.
const maxListed = 20

// state prints what is there of the state, or takes or repairs it. It fails if something is damaged.
func (p *Program) state(ctx context.Context, c *cli.Command) error {
	take, repair := c.Bool("take"), c.Bool("repair")
	if take && repair {
		return usageError{errors.New("--take and --repair are not for one run: repair first, then take")}
	}
	a, err := p.Open(p.Environ)
	switch {
	case err != nil:
		return err
	case take:
		return p.take(ctx, a)
	case repair:
		return p.repair(ctx, a)
	}
	all, err := a.State(ctx)
	sound := true
	out := stored{zone: a.Zone()}
	for i, v := range all {
		if i > 0 {
			out.line("")
		}
		out.inventory(v)
		sound = sound && len(v.Damage) == 0
	}
	if _, bad := io.WriteString(p.Stdout, out.String()); bad != nil {
		return bad
	}
	if err == nil && !sound {
		err = errSaid
	}
	return err
}

// take makes the state that of whichever function ticks next.
func (p *Program) take(ctx context.Context, a App) error {
	shards, was, err := a.Take(ctx)
	if len(shards) > 0 {
		had := "no other function was at work with it"
		if len(was) > 0 {
			had = "it was that of " + strings.Join(names(was), ", ")
		}
		var out stored
		out.line("the state%s goes on with whichever function ticks next; %s", of(shards...), had)
		if _, bad := io.WriteString(p.Stdout, out.String()); bad != nil {
			return bad
		}
	}
	return err
}

// repair goes back to what can be read.
func (p *Program) repair(ctx context.Context, a App) error {
	done, err := a.Repair(ctx)
	var out stored
	for _, r := range done {
		if r.N == 0 {
			out.line("nothing to repair: the newest head%s and its snapshot can be read", of(r.Shard))
		} else {
			out.line("went back to head %d%s: now head %d; the next tick finds the changes since",
				r.From, of(r.Shard), r.N)
		}
	}
	if _, bad := io.WriteString(p.Stdout, out.String()); bad != nil {
		return bad
	}
	return err
}

// of says of which shards something is; "" if there is only one.
func of(shards ...state.Shard) string {
	if len(shards) == 1 && shards[0].Of <= 1 {
		return ""
	}
	all := make([]string, len(shards))
	for i, s := range shards {
		all[i] = s.String()
	}
	if len(all) == 1 {
		return " of shard " + all[0]
	}
	return " of shards " + strings.Join(all, ", ")
}

// names are the functions in a lineage.
func names(l state.Lineage) (all []string) {
	for _, c := range l {
		all = append(all, committer(c.Name))
	}
	return all
}

// committer is who commits, in words.
func committer(name string) string {
	if name == state.CLI {
		return "the command line"
	}
	return "function " + name
}

// stored is what is there of the state, as text for a terminal.
type stored struct {
	strings.Builder
	zone *time.Location
}

// line writes one line. Text from outside can neither drive the terminal nor begin a line of its own.
func (w *stored) line(format string, args ...any) {
	w.WriteString(strings.TrimRight(text.Printable(fmt.Sprintf(format, args...)), " ") + "\n")
}

// field writes what a line is about, and the line; "" goes on with what the line before was about.
func (w *stored) field(about, format string, args ...any) {
	w.line("%-15s %s", about, fmt.Sprintf(format, args...))
}

// list writes lines about one thing, the first few of them.
func (w *stored) list(about string, lines []string) {
	for _, l := range lines[:min(len(lines), maxListed)] {
		w.field(about, "%s", l)
		about = ""
	}
	if more := len(lines) - maxListed; more > 0 {
		w.field("", "… and %d more", more)
	}
}

// inventory writes what is there of one shard.
func (w *stored) inventory(v *state.Inventory) {
	w.line("state%s in %s", of(v.Shard), v.Place)
	switch h := v.Head; {
	case h != nil:
		w.heads(v)
		w.incidents(&h.Incidents, v.At)
		w.unread(h)
		w.history(v)
	case len(v.Damage) == 0:
		w.field("heads", "none: there is no state yet, and the first tick takes a baseline")
	case v.Newest > 0:
		w.field("newest head", "%d, which cannot be read, and none before it", v.Newest)
	}
	if n := len(v.Silences); n > 0 {
		w.field("silences", "%d active; `clbwatch silence` lists them", n)
	}
	var damage []string
	for _, d := range v.Damage {
		damage = append(damage, d.What+": "+strings.ReplaceAll(d.Err.Error(), "\n", "; "))
	}
	w.list("DAMAGED", damage)
	w.list("→", remedies(v.Damage))
}

// remedies are what can be done about damage, each once.
func remedies(all []state.Damage) (do []string) {
	for _, d := range all {
		lost := errors.Is(d.Err, state.ErrDamaged) || errors.Is(d.Err, state.ErrAbsent)
		own := advice.Of(d.Err)
		if strings.Contains(own, "clbwatch state") { // this is it
			own = ""
		}
		says := own
		switch {
		case d.Can:
			says = "`clbwatch state --repair` goes back to the newest head that can be read with its snapshot"
		case strings.HasPrefix(d.What, "history"):
			says = "nothing can be done about the history: ticks go on, and reports lack these lines"
		case d.What == "silences" && own == "":
			says = "ticks go on without the silences that cannot be read; see docs/operations.md, Damaged"
		case lost && own == "":
			says = "nothing can be repaired: restore a copy or start over; see docs/operations.md, Lost"
		case own == "":
			says = "see docs/operations.md, Lost"
		}
		if !slices.Contains(do, says) {
			do = append(do, says)
		}
	}
	return do
}

// heads writes which heads there are, and who committed.
func (w *stored) heads(v *state.Inventory) {
	h := v.Head
	if v.Newest != h.N {
		w.field("newest head", "%d, which cannot be read; what follows is in head %d", v.Newest, h.N)
	}
	by := ""
	if len(h.By) > 0 {
		by = " by " + committer(h.By[0].Name)
	}
	w.field("head", "%d, committed %s%s", h.N, w.when(h.CommittedAt, v.At), by)
	if n := len(v.Heads); n > 0 {
		w.field("heads", "%s, the oldest is %d", text.Plural(n, "head"), v.Heads[n-1].N)
	}
	if h.Moved != 0 {
		w.field("moved", "it went over to %s: this is its last word", text.Plural(h.Moved, "shard"))
	}
	var all []string
	for _, c := range h.By {
		all = append(all, committer(c.Name)+", last "+w.when(c.Alive, v.At))
	}
	w.list("committers", all)
	if h.Snapshot == nil {
		w.field("snapshot", "none: nothing was ever read")
		return
	}
	w.field("snapshot", "%s, %s", text.Plural(v.CLBs, "load balancer"), text.Plural(v.Backends, "backend"))
	w.field("observed", "%s", w.when(h.ObservedAt, v.At))
}

// when is a time, and how long ago that was.
func (w *stored) when(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	says := t.In(w.zone).Format("2006-01-02 15:04:05 MST")
	if ago := now.Sub(t); ago >= 0 {
		return says + " (" + text.Duration(ago) + " ago)"
	}
	return says + " (ahead of the clock)"
}

// incidents writes what is open, and what Slack is owed.
func (w *stored) incidents(s *incident.State, now time.Time) {
	if !s.Busy() {
		w.field("incidents", "none open, and no message is due")
		return
	}
	var open []string
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if !i.Open() {
				continue
			}
			how := i.Level.String()
			if i.About.Blind() {
				how = "cannot be read"
				if i.Readable {
					how = "can be read again, for the time being"
				}
			}
			open = append(open, fmt.Sprintf("incident %s  %s  %s since %s",
				i.ID, report.Objects(i.About, i.CLB(), 1), how, i.Began.In(w.zone).Format("2006-01-02 15:04 MST")))
		}
	}
	if len(open) == 0 {
		open = []string{"none open"}
	}
	w.list("incidents", open)
	due := "none due"
	if n := s.Pending(); n > 0 {
		due = fmt.Sprintf("%d due", n)
	}
	if late := s.Overdue(now); len(late) > 0 {
		due += fmt.Sprintf(", %d overdue", len(late))
		for i, r := range late[:min(len(late), maxListed)] {
			due += map[bool]string{true: ": incident ", false: ", "}[i == 0] + r.ID()
		}
	}
	w.field("messages", "%s", due)
}

// unread writes what cannot be read, and why.
func (w *stored) unread(h *state.Head) {
	s := &h.Incidents
	var all []string
	var reasons []advice.Group
	add := func(i incident.Incident, since time.Time) {
		says := report.Objects(i.About, i.CLB(), 1) + "  since " + since.In(w.zone).Format("2006-01-02 15:04 MST")
		if why := s.Reason(i.Why).Why; why != "" {
			says += ": " + strings.ReplaceAll(sameAs(&reasons, report.Objects(i.About, i.CLB(), 1), why), "\n", "; ")
		}
		all = append(all, says)
	}
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.About.Blind() && i.Open() && !i.Readable {
				add(*i, i.Began)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Unread)) {
		u := s.Unread[key]
		add(incident.Incident{Key: u.Key, About: u.About, Why: u.Why}, u.Since)
	}
	for _, search := range slices.Sorted(maps.Keys(h.Unlisted)) {
		u := h.Unlisted[search]
		all = append(all, fmt.Sprintf("search %s, tried %s in a row: %s",
			search, text.Plural(u.Tries, "time"), strings.ReplaceAll(u.Why, "\n", "; ")))
	}
	w.list("cannot be read", all)
}

// sameAs is why something cannot be read or, if that is so of something else, what that was.
func sameAs(reasons *[]advice.Group, name, why string) string {
	*reasons = advice.Put(*reasons, maxListed, name, errors.New(why))
	for _, g := range *reasons {
		if advice.Same(g.Err.Error(), why) && g.Names[0] != name {
			return "as " + g.Names[0]
		}
	}
	return why
}

// history writes how much of it there is.
func (w *stored) history(v *state.Inventory) {
	var segments, lines int
	var bytes int64
	for _, d := range v.History {
		segments, lines, bytes = segments+d.Segments, lines+d.Lines, bytes+d.Bytes
	}
	says := "no day yet"
	if n := len(v.History); n > 0 {
		says = fmt.Sprintf("%s from %s to %s: %s, %d bytes in %s", text.Plural(n, "day"), v.History[0].Day,
			v.History[n-1].Day, text.Plural(lines, "line"), bytes, text.Plural(segments, "segment"))
	}
	w.field("history", "%s; %s in the head", says, text.Plural(len(v.Head.Tail), "line"))
	if v.Orphans > 0 {
		w.field("orphans", "%s beside the history, to be collected", text.Plural(v.Orphans, "segment"))
	}
}
