package report

import (
	"cmp"
	"fmt"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/text"
)

// maxName is how many characters of a name are shown: enough to tell names apart, too little to hide a line
// behind.
const maxName = 48

// Name is what people call the load balancer, Clean.
func Name(c lb.CLB) string {
	return cmp.Or(text.Clean(c.Label, maxName), text.Clean(c.Title, maxName), text.Clean(c.ID, maxName),
		"(no id)")
}

// SilenceName is what people call a silence, Clean: "silence 7"; of a window of the settings "window 2".
func SilenceName(s incident.Silence) string {
	name := text.Clean(s.ID, maxName)
	if strings.Trim(name, "0123456789") != "" {
		return name
	}
	return "silence " + cmp.Or(name, "?")
}

// SilenceScope is what a silence is about, Clean: a glob or "incident 12", with "(all)" if nothing breaks
// through.
func SilenceScope(s incident.Silence) string {
	scope := cmp.Or(text.Clean(s.Scope(), incident.MaxSilenceText), "?")
	if s.All {
		scope += " (all)"
	}
	return scope
}

// SilencedBy adds to a silence, or to its end, who did it and why: "  by ada: deploy 4711". Clean.
func SilencedBy(who, why string) (says string) {
	if who = text.Clean(who, incident.MaxSilenceText); who != "" {
		says = "  by " + who
	}
	if why = text.Clean(why, incident.MaxSilenceText); why != "" {
		says += ": " + why
	}
	return says
}

// AndUnhealthy adds to how many backends run how many of these are unhealthy: "" if none is.
func AndUnhealthy(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(", %d unhealthy", n)
}

// Objects are what could not be read, or can be again, as part of a sentence: n load balancers, or what of
// them, as incident.About has it. It is for the first of them if there is one.
func Objects(what incident.About, first lb.CLB, n int) string {
	of := Name(first)
	switch {
	case what == incident.Listing && n > 1:
		of += fmt.Sprintf(" and %d more", n-1) // there may be several of one region
	case n > 1:
		of = text.Plural(n, "load balancer")
	}
	switch what {
	case incident.Health:
		return "the health of " + of
	case incident.Listing:
		return "the load balancers of " + of
	}
	return of
}

// Verb is what is done with Objects.
func Verb(what incident.About) string {
	if what == incident.Listing {
		return "list"
	}
	return "read"
}

// Happened is a kind of change where it is counted or part of a sentence: "2 left running" would be read as
// "2 still run".
func Happened(k lb.Kind) string {
	switch k {
	case lb.LeftRunning:
		return "stopped running"
	case lb.Unbound:
		return "partly unbound"
	case lb.Bound:
		return "bound to more listeners"
	}
	return string(k)
}

// Thing is what a Part of a backend's bindings counts.
func Thing(p *lb.Part) string {
	if p.Rules {
		return "rule"
	}
	return "listener"
}

// OutOf says how many things a Part is, and of how many, such as "1 of 3 listeners" or "both listeners".
func OutOf(p *lb.Part, thing string) string {
	switch all := text.Plural(p.Of, thing); {
	case p.N < p.Of:
		return fmt.Sprintf("%d of %s", p.N, all)
	case p.Of == 1:
		return "its only " + thing
	case p.Of == 2:
		return "both " + thing + "s"
	default:
		return "all " + all
	}
}

// Names are those that a Part names, in brackets after a space, Clean; "" if it names none.
func Names(p *lb.Part) string {
	names := names(p)
	if len(names) == 0 {
		return ""
	}
	if p.N > len(names) {
		names = append(names, "…")
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// Some is a Part where it does not matter of how many: the name if it is one, as "HTTPS:443", else "2 rules
// (…, …)".
func Some(p *lb.Part) string {
	if names := names(p); p.N == 1 && len(names) == 1 {
		return names[0]
	}
	return text.Plural(p.N, Thing(p)) + Names(p)
}

func names(p *lb.Part) []string {
	var all []string
	for _, n := range p.Names {
		all = append(all, cmp.Or(text.Short(text.Clean(n, 2*maxName), maxName), "?")) // the port is at the end
	}
	return all
}

// Fails says which health checks a backend fails.
func Fails(b lb.Backend) string {
	const named = 3
	p := &lb.Part{N: len(b.Failing), Of: max(b.Checked, len(b.Failing)),
		Names: b.Failing[:min(len(b.Failing), named)]}
	return "fails " + OutOf(p, "check") + Names(p)
}

// BackendName is the backend's name or, where that shows nothing, its id, Clean.
func BackendName(b lb.Backend) string {
	return cmp.Or(text.Clean(b.Name, maxName), text.Clean(b.ID, maxName), "(no name)")
}

// Address is where the backend is reached in its network, or from outside, Clean; "" if neither is known.
func Address(b lb.Backend) string {
	if a := text.Clean(b.LanIP, maxName); a != "" || len(b.WanIPs) == 0 {
		return a
	}
	return text.Clean(b.WanIPs[0], maxName)
}
