package message

import (
	"fmt"
	"slices"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// manyCLBs is from how many load balancers on they are a table.
const manyCLBs = 8

// details are how each load balancer stands, then what became of machines, what is out now first, then what
// cannot be read.
func (v view) details(r room) []block {
	return slices.Concat(v.balancers(r), v.machines(r), v.blind(r), v.notices(r), v.untold(r))
}

// named begins a line about what an incident is about.
func (v view) named(i *incident.Incident) line {
	l := v.style.named(v.clb(i))
	if i.About == incident.Deleted || i.End == incident.EndDeleted {
		l[0].url = v.style.console() + "/clb" // it has no page any more
	}
	return l
}

// named begins a line about a load balancer: its name, which leads to the console, and its id.
func (s Style) named(c lb.CLB) line {
	name := span{text: report.Name(c), url: s.clbURL(c), bold: true}
	id := text.Clean(c.ID, 28)
	if id == "" || id == name.text || report.IsRegion(c) {
		return line{name}
	}
	return line{name, words("  "), {text: id, code: true}}
}

// balancers say how load balancers stand, the worst first.
func (v view) balancers(r room) []block {
	all := v.of(ofBackends)
	if len(all) == 0 {
		return nil
	}
	var b block
	if m := v.shared(all); m != "" {
		b = append(b, lineOf(bold(m)))
	}
	shown := all[:min(len(all), r.clbs)]
	if len(all) > manyCLBs && len(b) == 0 {
		b = append(b, v.table(shown))
	} else {
		if len(b) > 0 {
			shown = shown[:min(len(shown), 3)]
		}
		for _, i := range shown {
			l := append(append(v.named(i), words("  ·  ")), v.stands(i)...)
			b = append(b, lineOf(append(l, v.silenced(i)...)...))
		}
	}
	if more := len(all) - len(shown); more > 0 {
		b = append(b, lineOf(words("… and "+text.Plural(more, "more load balancer"))))
	}
	return []block{b}
}

// shared says that it is one machine behind many load balancers, where it is.
func (v view) shared(all []*incident.Incident) string {
	if n := keys(all); n > 1 && v.Tally(ofBackends).Machines == 1 {
		return fmt.Sprintf("1 machine behind %d load balancers", n)
	}
	return ""
}

// stands says how a load balancer stands or, if its incident is closed, how that ended and how bad it was.
func (v view) stands(i *incident.Incident) line {
	if n := v.newer(i); n != "" {
		return line{words("see incident " + n)}
	}
	l := stands(i)
	if i.End == incident.EndDeleted || i.End == incident.EndDropped {
		l = line{words(running(i.Now) + " when last read")}
	}
	if i.Open() {
		if i.WasOut && i.Worst.Running < i.Now.Running && i.Worst.Running < i.Before.Running {
			l = append(l, words(fmt.Sprintf("  ·  at worst %d of %d", i.Worst.Running, i.Worst.Total)))
		}
		if !i.Paused.IsZero() {
			l = append(l, words("  ·  as last read: cannot be read since "), date(i.Paused))
		}
		if keys(v.Incidents) > 1 && !i.Began.Equal(v.Began()) {
			l = append(append(l, words("  ·  since ")), date(i.Began))
		}
		return l
	}
	same := i.Worst.Running == i.Now.Running && i.Worst.Total == i.Now.Total
	if i.WasOut && i.Worst.Running < i.Before.Running && !same {
		l = append(l, words(fmt.Sprintf("  ·  at worst %d of %d", i.Worst.Running, i.Worst.Total)))
	}
	if len(v.Incidents) > 1 {
		l = append(append(l, words("  ·  ")), v.end(i)...)
	}
	return l
}

// table is how many load balancers stand. It is narrow: phones wrap what is not.
func (v view) table(all []*incident.Incident) part {
	rows := []line{{words("running"), words("serving"), words("load balancer")}}
	for _, i := range all {
		percent := "-"
		if p, ok := i.ServingPercent(); ok {
			percent = fmt.Sprintf("%d %%", p)
		}
		if i.Open() && i.Level == incident.Down {
			percent += " DOWN"
		}
		name := span{text: v.name(i), url: v.style.clbURL(v.clb(i))}
		ratio := fmt.Sprintf("%d of %d", i.Now.Running, i.Now.Total)
		rows = append(rows, line{words(ratio), words(percent), name})
	}
	return aligned(rows)
}
