package message

import (
	"fmt"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// noticed says what notices are about; "" if there are none.
func (v view) noticed() string {
	var parts []string
	for _, about := range []incident.About{
		incident.Deleted, incident.Unmatched, incident.Upgraded, incident.Watching, incident.Nothing,
	} {
		some := v.of(func(i *incident.Incident) bool { return i.About == about })
		if len(some) == 0 {
			continue
		}
		parts = append(parts, v.notice(about, some))
	}
	s := strings.Join(parts, " · ")
	if strings.HasPrefix(s, "now ") {
		s = "N" + s[1:]
	}
	return s
}

func (v view) notice(about incident.About, some []*incident.Incident) string {
	who, is, was := text.Plural(len(some), "load balancer"), " are ", " were "
	if len(some) == 1 {
		who, is, was = v.name(some[0]), " is ", " was "
	}
	switch about {
	case incident.Deleted:
		return who + was + "deleted"
	case incident.Unmatched:
		return who + is + "not watched any more"
	case incident.Upgraded:
		if len(some) == 1 {
			return who + " is an application load balancer now"
		}
		return who + " are application load balancers now"
	case incident.Nothing:
		if len(some) == 1 {
			return "CLB_DISCOVER finds no load balancer in " + who
		}
		return fmt.Sprintf("CLB_DISCOVER finds no load balancer in %d searches", len(some))
	}
	return v.watching(some)
}

// watching says what is watched from now on.
func (v view) watching(some []*incident.Incident) string {
	var all incident.Baseline
	for _, i := range some {
		if b := i.Baseline; b != nil {
			all.CLBs += b.CLBs
			all.Backends += b.Backends
			all.Running += b.Running
			all.Worst = append(all.Worst, b.Worst...)
		}
	}
	who := text.Plural(all.CLBs, "load balancer")
	if all.CLBs == 1 && len(all.Worst) == 1 {
		who = text.Short(report.Name(all.Worst[0].CLB), maxNameInTitle)
	}
	backends := text.Plural(all.Backends, "backend")
	return fmt.Sprintf("now watching %s: %d of %s running", who, all.Running, backends)
}

// notices say what became of load balancers as a whole, and which are watched from now on.
func (v view) notices(r room) (blocks []block) {
	some := v.of(func(i *incident.Incident) bool { return i.About.Notice() && i.About != incident.Watching })
	var b block
	for _, i := range some[:min(len(some), r.clbs)] {
		is, rest := fate(i)
		b = append(b, lineOf(append(v.named(i), words("  ·  "), bold(is), words(rest))...))
	}
	if more := len(some) - r.clbs; more > 0 {
		b = append(b, lineOf(words("… and "+plural(more, "more"))))
	}
	if len(b) > 0 {
		blocks = append(blocks, b)
	}
	for _, i := range v.of(func(i *incident.Incident) bool { return i.Baseline != nil }) {
		if len(blocks) < maxGroups {
			blocks = append(blocks, v.baseline(*i.Baseline, r))
		}
	}
	return blocks
}

// fate is what became of a load balancer: in a few words, and the rest of it.
func fate(i *incident.Incident) (is, rest string) {
	had := ""
	if c := i.Before; c.Total > 0 {
		had = fmt.Sprintf("; it had %s, %d running", text.Plural(c.Total, "backend"), c.Running)
		had += report.AndUnhealthy(c.Ill)
	}
	switch i.About {
	case incident.Deleted:
		return "deleted", had
	case incident.Unmatched:
		return "not watched any more", ": it does not match CLB_DISCOVER any more" + had
	case incident.Nothing:
		return "nothing found", ": no load balancer matches. Check CLB_DISCOVER, the region and the account"
	}
	if i.Now.Total > 0 || i.Before.Total > 0 {
		before := text.Plural(i.Before.Total, "backend")
		had = fmt.Sprintf(": %s before, %d now, %d running", before, i.Now.Total, i.Now.Running)
	}
	return "an application load balancer now", ", it was classic" + had + "; same id"
}

// baseline says what is watched from now on, the worst first.
func (v view) baseline(base incident.Baseline, r room) block {
	b := block{lineOf(words("Baseline taken. You will be alerted to changes from now on."))}
	if base.CLBs == 1 && len(base.Worst) == 1 {
		s := base.Worst[0]
		l := append(v.style.named(s.CLB), words("  ·  "+allRunning(s.Now)))
		return append(block{lineOf(l...)}, b...)
	}
	notWhole := 0
	for _, s := range base.Worst {
		if s.Now.Running < s.Now.Total || s.Now.Ill > 0 {
			notWhole++
		}
	}
	shown := base.Worst[:min(r.clbs, max(notWhole, 3), len(base.Worst))] // rows in which all runs are noise
	rows := []line{{words("running"), words("load balancer")}}
	out := base.Backends - base.Running
	for _, s := range shown {
		rows = append(rows, line{words(fmt.Sprintf("%d of %d", s.Now.Running, s.Now.Total)),
			{text: text.Short(report.Name(s.CLB), maxNameInTitle), url: v.style.clbURL(s.CLB)}})
		out -= s.Now.Total - s.Now.Running
	}
	if len(shown) > 0 {
		b = append(b, aligned(rows))
	}
	if more := base.CLBs - len(shown); more > 0 && out == 0 {
		b = append(b, lineOf(words("… and "+plural(more, "more, all running"))))
	} else if more > 0 {
		b = append(b, lineOf(words("… and "+text.Plural(more, "more load balancer"))))
	}
	return b
}

// allRunning says how many backends run, of a load balancer that may have none.
func allRunning(c lb.Capacity) string {
	if c.Total == 0 {
		return "no backends"
	}
	return running(c) + report.AndUnhealthy(c.Ill)
}
