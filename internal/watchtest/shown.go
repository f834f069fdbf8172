package watchtest

import (
	"encoding/json"
	"fmt"
	"slices"

	"clbwatch/internal/incident"
)

// show is a root, for a failure.
func show(r *incident.Root) string {
	b, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// about is a message with what the model knows of it.
type about struct {
	Message
	delivery
	n int
}

// checkRoot holds that Slack shows a root as it is, and showed it as often as it may. open says that it is in
// the state.
func (h *history) checkRoot(r *incident.Root, open bool) {
	key, d := r.Prefix(), &r.Delivery
	c := h.curse(key)
	var all []about
	for n, m := range h.world.Slack() {
		if m.First.Prefix() == key && m.Call.Route == d.Route {
			all = append(all, about{m, h.messages[n], n})
		}
	}
	looks := d.Route.Bot() && !h.Blind && c != noLooks
	fail := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		for _, m := range all {
			text += fmt.Sprintf("\n%d %s ts %s thread %q deleted %v repeat %v late %v broadcast %v", m.n, m.Key,
				m.TS, m.Thread, m.Deleted, m.Repeat, m.late, m.Call.Post.Broadcast)
			text += fmt.Sprintf(" level %v rev %d, shows rev %d end %v", m.First.Level(), m.Call.Post.Rev,
				m.Shows.Rev, !m.Shows.Open())
		}
		h.Fatalf("incident %s (%s, in the state: %v) %s\n%s", r.ID(), curseNames[c], open, text, show(r))
	}
	if h.tooLate[key] {
		return
	}
	if nobodyKnows(r) {
		if len(all) > 0 && !h.moved[key] && !h.sharded { // else with incidents that are elsewhere now
			fail("was posted, and nothing of it is news")
		}
		return
	}
	h.checkCopies(all, looks, !h.moved[key], fail)
	if c.muted() || (h.handled[key] || h.moved[key]) && !(r.Open() && open) {
		return
	}
	if d.Route.Bot() {
		h.checkBot(r, all, c, looks, fail)
	} else {
		h.checkWebhook(r, all, fail)
	}
	h.checkEnds(r, all, fail)
}

// checkCopies holds that nothing was posted more often than it may be, and that copies are marked.
func (h *history) checkCopies(all []about, looks, marked bool, fail func(string, ...any)) {
	type posted struct {
		n, late, open int
		deleted       bool
	}
	posts := make(map[string]*posted)
	for _, m := range all {
		p := posts[m.Key]
		if p == nil {
			p = &posted{}
			posts[m.Key] = p
		}
		p.n++
		if m.late {
			p.late++
		}
		if !m.Repeat && !m.Deleted {
			p.open++
		}
		p.deleted = p.deleted || m.Deleted
	}
	for key, p := range posts {
		switch {
		case p.deleted:
		case p.n > 2:
			fail("was posted %d times as %s", p.n, key)
		case p.n == 2 && looks && p.late == 0:
			fail("was posted twice as %s by a bot that may look", key)
		case p.n == 2 && looks:
			h.tally.Doubles.Add(1)
		case p.n == 2:
			h.tally.BlindDoubles.Add(1)
		}
		if looks && marked && p.open > 1 {
			fail("has copies of %s that are not marked", key)
		}
	}
}

// checkBot holds that the root shows how things are.
func (h *history) checkBot(r *incident.Root, all []about, c curse, looks bool, fail func(string, ...any)) {
	key, d := r.Prefix(), &r.Delivery
	if !d.Posted {
		if h.weather.Transient == 0 {
			fail("was never posted")
		}
		return
	}
	if d.TS == "" {
		if looks && !h.moved[key] {
			fail("was posted by a bot that may look, and nobody knows where")
		}
		return
	}
	at := slices.IndexFunc(all, func(m about) bool { return m.TS == d.TS })
	if at < 0 {
		fail("is not where it was posted")
		return
	}
	for _, m := range all {
		if looks && !h.moved[key] && m.Call.Post.Root && m.TS != d.TS && !m.Deleted && !m.Repeat {
			fail("has another root that is not marked")
		}
	}
	root := all[at]
	if c == noEdits || c == edits500 || d.NoEdit {
		last := all[len(all)-1]
		ended := !last.Shows.Open()
		if !looks && last.late { // a copy that the network held back is found by nobody
			ended = slices.ContainsFunc(all, func(m about) bool { return !m.Shows.Open() })
		}
		unknown := !looks && h.vanished[key] > 0 // presumed delivered, and it was not
		if !r.Open() && !ended && !unknown && !h.moved[key] {
			fail("cannot be edited, and no message has the last word")
		}
		return
	}
	if root.Shows.Rev != r.Rev || root.Shows.Open() != r.Open() {
		fail("is shown at revision %d, it has %d (deleted: %v)", root.Shows.Rev, r.Rev, root.Deleted)
	}
}

// checkWebhook holds that the last message says all that is news.
func (h *history) checkWebhook(r *incident.Root, all []about, fail func(string, ...any)) {
	key, d := r.Prefix(), &r.Delivery
	unknown := h.vanished[key] > 0 && d.Shown >= r.News // presumed delivered, and it was not
	if !d.Posted && h.weather.Transient > 0 {
		return
	}
	all = slices.DeleteFunc(slices.Clone(all), func(m about) bool { return m.late })
	if len(all) == 0 {
		if !unknown {
			fail("was never posted")
		}
		return
	}
	last := all[len(all)-1]
	switch {
	case unknown:
		h.tally.Presumed.Add(1)
	case last.Shows.Rev < r.News:
		fail("was shown last at revision %d, its news is %d", last.Shows.Rev, r.News)
	case last.Shows.Level() > r.Level() && last.Shows.Level() >= incident.Degraded:
		fail("was shown last as %v, it is %v", last.Shows.Level(), r.Level())
	}
}

// checkEnds holds that whatever was shown as bad in the channel was shown there as better once it was.
func (h *history) checkEnds(r *incident.Root, all []about, fail func(string, ...any)) {
	key := r.Prefix()
	if h.removed[key] || h.moved[key] || h.vanished[key] > 0 || r.Notice() {
		return
	}
	for _, i := range r.Incidents {
		if i.End == incident.EndAbandoned {
			return
		}
	}
	for mark, l := range []incident.Level{incident.Degraded, incident.Down} {
		bad := false
		for _, m := range all {
			post := m.Call.Post
			switch {
			case !m.InChannel():
			case m.First.Level() < l:
				bad = false
			case m.late || m.Deleted:
			case post.Root || post.Rises.Has(mark) || !r.Open(): // else it ends at the close
				bad = true
			}
		}
		if bad && r.Level() < l {
			fail("was shown in the channel as %v, and its end was not", l)
		}
	}
}
