package app

import (
	"context"
	"strings"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/replay"
	"clbwatch/internal/story"
	"clbwatch/notifier/message"
)

// Where a replay posts if the settings have neither a bot nor a webhook, or another one.
const (
	aBot     incident.Route = "C0123456789"
	aWebhook incident.Route = "webhook:replay"
)

// Rules are the rules that the settings make. With webhook set they are those of a webhook, whatever the
// settings have.
func (a *App) Rules(webhook bool) incident.Rules {
	r := a.watcher.Rules
	switch {
	case webhook:
		r.Route, r.Routes = aWebhook, nil
	case r.Route == "":
		r.Route = aBot
	}
	return r
}

// Replay plays a story, or if that is nil the history of the time before, through rules, and compares that
// with others, if there are any. say is given each message of the first in words. It posts nothing and
// changes no state; for a story it needs none.
func (a *App) Replay(ctx context.Context, back time.Duration, s *story.Story, rules incident.Rules,
	others *incident.Rules, say func(m replay.Message, words string) error) (replay.Result, error) {
	ticks := replay.Past(func(take func(incident.Record, time.Time) error) error {
		return a.watcher.History(ctx, back, take)
	})
	if s != nil {
		ticks = replay.Story(*s)
	}
	return replay.Play(ticks, rules, others, func(m replay.Message) error {
		words, _, _ := strings.Cut(message.Text(m.Document, m.Call, style(a.cfg)), "\n")
		if _, after, ok := strings.Cut(strings.TrimPrefix(words, ":"), ": "); ok && words[0] == ':' {
			words = after // without the emoji
		}
		return say(m, words)
	})
}
