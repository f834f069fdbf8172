package message

import (
	"fmt"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/text"
)

// bare is the last fallback: one line with counts and the numbers of the incidents, and no text from the
// cloud or the settings at all.
func bare(doc incident.Document, call incident.Call) string {
	v := viewOf(doc, Style{})
	if call.Do == incident.Void {
		return "clbwatch: repeat of " + v.numbers()
	}
	says := []string{"clbwatch: " + v.numbers()}
	if call.Post.Repeat {
		says[0] += " (may be a repeat)"
	}
	for _, l := range []incident.Level{incident.Down, incident.Degraded} {
		at := func(i *incident.Incident) bool { return openBackends(i) && i.Level == l }
		if n := keys(v.of(at)); n > 0 {
			says = append(says, text.Plural(n, "load balancer")+" "+l.String())
		}
	}
	which := openBackends
	if len(v.of(which)) == 0 {
		which = ofBackends
	}
	t := v.Tally(which)
	if counts := counted(t, allKinds, len(allKinds)); len(counts) > 0 {
		of := "machines: "
		if t.AtLeast {
			of = "more than these machines: "
		}
		says = append(says, of+strings.Join(counts, ", "))
	}
	if all := v.of(ofBackends); keys(all) == 1 {
		says = append(says, running(all[0].Now))
	}
	if n := len(v.of(unreadable)); n > 0 {
		says = append(says, fmt.Sprintf("%d cannot be read", n))
	}
	switch {
	case call.Do == incident.Leave:
		says = append(says, "continues in another channel")
	case doc.Resolved():
		says = append(says, "resolved")
	case !doc.Open() && !doc.Notice():
		says = append(says, "over")
	}
	if names := call.Post.Names; len(names) > 0 {
		says = append(says, "Slack may not have shown, or did not take, earlier news of "+incidents(names))
	}
	return strings.Join(says, "; ") + ". `clbwatch history` has the details."
}
