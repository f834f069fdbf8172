package message

import (
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/text"
)

// Test renders the message that says that alerts will arrive where it is read.
func Test(now time.Time, s Style) Message {
	p := page{
		look: look{"wave", "#2eb886"}, style: s,
		title: "clbwatch is connected: alerts will arrive here", url: s.console() + "/clb",
		context: []line{{date(now)}, {words("test message")}},
	}
	return p.message(func(room) []block {
		return []block{{lineOf(words("This is a test; nothing happened. You will be alerted when a backend " +
			"is added, removed, stops, fails its health checks or recovers, and when a load balancer cannot " +
			"be read."))}}
	})
}

// Trouble renders the message that says that nothing is watched, why, and what to do about it.
func Trouble(why error, s Style) Message {
	p := page{look: look{"warning", "#daa038"}, title: "clbwatch cannot work: nothing is watched until this is " +
		"mended",
		url: s.console() + "/scf", context: []line{{words("what changes meanwhile is reported once it works again")}}, style: s}
	return p.message(func(room) []block {
		details := block{lineOf(words(text.Clean(why.Error(), 3*maxText)))}
		if do := advice.Of(why); do != "" {
			details = append(details, lineOf(bold("What to do  "), words(text.Clean(do, 2*maxText))))
		}
		return []block{details}
	})
}
