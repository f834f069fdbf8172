package app

import (
	"context"

	"clbwatch/internal/talk"
	"clbwatch/notifier"
)

// Talk answers a request of Slack's: see package talk.
func (a *App) Talk(ctx context.Context, r talk.Request) talk.Answer {
	to := a.cfg.Slack
	t := talk.Talk{
		Secret: to.Signing.Reveal(), Desk: a.watcher, Once: a.root.Once, Style: style(a.cfg),
		Reply: func(ctx context.Context, r talk.Reply) error {
			return notifier.Respond(ctx, a.http.Transport, to.APIURL, r)
		},
	}
	if to.Channel != "" {
		t.Channels = append(t.Channels, to.Channel)
	}
	t.Channels = append(t.Channels, others(to)...)
	return t.Answer(ctx, r)
}
