package message

import (
	"slices"

	"github.com/slack-go/slack"

	"clbwatch/internal/incident"
)

// The action_id of the button that acknowledges what is open of a root, and how those begin that silence its
// load balancers: a length of time follows, such as 30m, as text.Length reads it. The value of a button is
// the number of the root.
const (
	Acknowledge = "acknowledge"
	SilenceFor  = "silence-"
)

// buttons are those of a root, as a block of Slack's; nil if it has none. Only what is open and could be
// silenced has some, and what is acknowledged already, or silenced, has none for that.
func (v view) buttons() slack.Block {
	all := v.of(openBackends)
	if !v.style.Buttons || len(all) == 0 {
		return nil
	}
	var elements []slack.BlockElement
	add := func(id, label, says string) {
		text := slack.NewTextBlockObject(slack.PlainTextType, label, false, false)
		b := slack.NewButtonBlockElement(id, v.ID(), text)
		b.AccessibilityLabel = says
		elements = append(elements, b)
	}
	if slices.ContainsFunc(all, func(i *incident.Incident) bool { return i.Ack == "" }) {
		add(Acknowledge, "Acknowledge", "Acknowledge incident "+v.ID())
	}
	// each load balancer takes a silence of its own
	spoken := slices.ContainsFunc(all, func(i *incident.Incident) bool { return i.Silence == "" })
	if n := keys(all); spoken && n <= incident.MaxAtOnce {
		about := v.name(all[0])
		if n > 1 {
			about = "these load balancers"
		}
		for _, length := range [][2]string{{"30m", "30 min"}, {"1h", "1 h"}, {"4h", "4 h"}} {
			add(SilenceFor+length[0], "Silence "+length[1], "Silence "+about+" for "+length[1])
		}
	}
	if len(elements) == 0 {
		return nil
	}
	return slack.NewActionBlock("", elements...)
}
