package message

import (
	"slices"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/text"
)

// updatePage is a reply in the thread or, by webhook, a message of its own: what no post has shown, and how
// it stands.
func updatePage(doc incident.Document, p incident.Post, s Style) (page, func(room) []block) {
	whole := viewOf(doc, s)
	whole.update, whole.quiet = true, nil
	v := whole.news(p)
	looks := v
	title := v.headline()
	switch {
	case p.Reminder:
		title = "Still: " + title
	case p.End && !doc.Open():
		v, looks = whole, whole
		title = whole.headline()
	case p.Ends != 0:
		looks = whole
		title = whole.noLonger(p.Ends)
	}
	pg := v.page(p)
	pg.look, pg.title = looks.look(), inBetween(title, p)
	pg.context[whenAt] = line{date(v.last())}
	pg.context = append(pg.context, v.lifted(doc.Delivery.Shown)...)
	if p.Reminder {
		pg.context[whenAt] = line{words("since "), date(v.Began())}
	}
	if p.End && !doc.Open() {
		pg.after = whole.ending()
		pg.leads = whole.ended(incident.EndAbandoned) == 0
	}
	return pg, func(r room) []block {
		var all []block
		if total := whole.headline(); len(v.Incidents) < len(whole.Incidents) && total != "" {
			all = []block{{lineOf(bold("In all"), words("  "+total))}}
		}
		return slices.Concat(namesBlock(p), v.details(r), all)
	}
}

// inBetween adds to a title the levels that rose, and were left before that could be posted.
func inBetween(title string, p incident.Post) string {
	was := ""
	switch {
	case p.Rises.Has(incident.MarkDown) && !p.Current.Has(incident.MarkDown):
		was = "was DOWN"
	case p.Rises.Has(incident.MarkDegraded) && !p.Current.Has(incident.MarkDegraded):
		was = "was degraded"
	}
	if was == "" || strings.Contains(title, was) {
		return title
	}
	return title + ", " + was + " in between"
}

// news is what no post has shown: incidents with news, and of their machines those with news. Where there is
// none, or it cannot be told apart, it is everything; a reminder shows what is open.
func (v view) news(p incident.Post) view {
	shown := v.doc.Delivery.Shown
	root := *v.Root
	root.Incidents = nil
	for _, i := range v.Incidents {
		switch {
		case p.Reminder && i.Open():
			root.Incidents = append(root.Incidents, i)
		case p.Reminder || i.Rev <= shown && i.Loud <= shown:
		case len(i.Crowd) > 0: // which of its machines have news is not known: all are counted everywhere
			return v
		default:
			root.Incidents = append(root.Incidents, trimmed(i, shown))
		}
	}
	if len(root.Incidents) > 0 {
		v.Root = &root
	}
	return v
}

// trimmed is an incident with only the machines that have news, if any has.
func trimmed(i *incident.Incident, shown int) *incident.Incident {
	t := *i
	old := func(m incident.Machine) bool { return m.Rev <= shown || m.Held() }
	t.Machines = slices.DeleteFunc(slices.Clone(i.Machines), old)
	if len(t.Machines) == 0 {
		return i
	}
	return &t
}

// noLonger says which levels ended, and how it is now.
func (v view) noLonger(ends incident.Set) string {
	var parts []string
	now := v.outNow()
	switch {
	case ends.Has(incident.MarkDown):
		parts = append(parts, v.left(incident.MarkDown, "down"))
	case ends.Has(incident.MarkDegraded):
		parts = append(parts, v.left(incident.MarkDegraded, "degraded"))
	}
	switch all := v.of(ofBackends); {
	case now != "" && (keys(all) > 1 || v.Level() >= incident.Degraded):
		parts = append(parts, now)
	case now == "" && keys(all) > 1:
		parts = append(parts, v.happened(ofBackends, allKinds))
	}
	if ends.Has(incident.MarkBlind) {
		parts = append(parts, v.readAgain())
	}
	if parts = nonEmpty(parts); len(parts) == 0 {
		return v.headline()
	}
	return strings.Join(parts, " · ")
}

// left says which load balancers left a level, or how many.
func (v view) left(mark int, word string) string {
	all := v.of(ofBackends)
	was := v.of(func(i *incident.Incident) bool {
		return ofBackends(i) && i.Risen[mark] && !i.Left[mark].IsZero()
	})
	if keys(all) == 1 {
		was = all[:1]
	}
	switch n := keys(was); {
	case n == 0:
		return "No load balancer is " + word + " any more"
	case n > 1:
		return text.Plural(n, "load balancer") + " no longer " + word
	}
	return v.name(was[0]) + " no longer " + word + v.now(was[0], ": ")
}
