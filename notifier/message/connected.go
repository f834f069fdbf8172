package message

import "time"

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
