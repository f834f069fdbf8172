package message_test

import (
	"fmt"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/notifier/message"
)

func ExampleOf() {
	at := time.Date(2026, 11, 23, 4, 41, 0, 0, time.UTC)
	was := []lb.Backend{
		{ID: "ins-9o9ex9s0", Name: "web-07", Status: lb.Running, Weight: 10},
		{ID: "ins-a1b2c3d4", Name: "web-08", Status: 4, Weight: 10},
	}
	known := lb.Baseline(was, at.Add(-time.Hour))
	now := []lb.Backend{was[0], was[1]}
	now[0].Status = 4
	next, changes := lb.Diff(known, now, at, time.Time{})

	var s incident.State
	clb := lb.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q", Label: "prod-web"}
	rules := incident.Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: "C024BE91L"}
	news := incident.Changed{CLB: clb, Delta: lb.Compare(known, next, changes)}
	s.Judge(incident.Observation{At: at, Changed: []incident.Changed{news}}, rules)

	doc := incident.Document{Root: s.Roots[0], Reason: s.Reason}
	m := message.Of(doc, incident.Call{Post: incident.Post{Root: true}}, message.Style{})
	fmt.Println(m.Text)
	// Output: :red_circle: prod-web DOWN: 0 of 2 running (web-07 shut down)
}
