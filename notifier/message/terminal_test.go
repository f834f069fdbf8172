package message_test

import (
	"strings"
	"testing"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/notifier/message"
)

func TestTerminalShowsNamesAsTheyAre(t *testing.T) {
	t.Parallel()
	const label = "shop.example.com & *<x>*"
	s := newStory(t).watch(label, 2)
	const name = "db.internal:5432 &amp;"
	s.change(label, s.pools[label][0].Name, func(b *lb.Backend) { b.Name, b.Status = name, 4 })
	s.tick()
	got := message.Text(s.document(s.state.Roots[0]), incident.Call{Post: incident.Post{Root: true}}, s.style)
	contains(t, got, label)
	contains(t, got, name)
	contains(t, got, " · Runbook https://runbook.example.com/")
	if strings.ContainsAny(got, "．＊：") {
		t.Errorf("the terminal shows twins that no one can copy:\n%s", got)
	}
}
