package app

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"clbwatch/internal/check"
	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/watch"
	"clbwatch/notifier/message"
)

// Log returns the invocation's log.
func (a *App) Log() *slog.Logger { return a.log }

// Preview does the first half of a tick and returns, as text for a terminal, the message that the tick would
// post; "" if it would post none. Nothing is stored or posted, and no Slack is needed.
func (a *App) Preview(ctx context.Context) (words string, sum watch.Summary, err error) {
	posts, sum, err := a.watcher.Preview(ctx)
	var texts []string
	for _, p := range posts {
		texts = append(texts, message.Text(p.Document, p.Call, style(a.cfg)))
	}
	return strings.Join(texts, "\n\n"), sum, err
}

// Report reads how things stand and what happened in the time before, posts it and returns it. Without Slack
// it is an error, and nothing is read. It asks Slack for nothing, and changes no state.
func (a *App) Report(ctx context.Context, since time.Duration) (report.Report, error) {
	if a.slack == nil {
		return report.Report{}, errNoSlack
	}
	r := a.Read(ctx, since, 0)
	return r, a.slack.Report(ctx, r)
}

// Read reads how things stand, and what happened in the time before. It posts nothing, and needs no Slack.
// cell is how long each cell of the timeline is; 0 lets timeline.CellOf choose.
func (a *App) Read(ctx context.Context, since, cell time.Duration) report.Report {
	start := a.now()
	found, err := a.watcher.Survey(ctx, start.Add(-since), cell)
	return report.New(start.UTC(), a.now().Sub(start), found, since, err)
}

// Silence makes or ends a silence, and says what it covers. It needs no Slack.
func (a *App) Silence(ctx context.Context, r watch.SilenceRequest) (watch.SilenceAnswer, error) {
	return a.watcher.Silence(ctx, r)
}

// Silences are those that are active, with the windows of the settings that are open. An error leaves the
// windows.
func (a *App) Silences(ctx context.Context) ([]incident.Silence, error) {
	return a.watcher.ListSilences(ctx)
}

// History hands on each line of the history of the time before: see package watch.
func (a *App) History(ctx context.Context, back time.Duration,
	take func(r incident.Record, now time.Time) error) error {
	return a.watcher.History(ctx, back, take)
}

// Zone is the zone of times in a terminal.
func (a *App) Zone() *time.Location { return a.cfg.Zone }

// Check tries what a tick needs and returns what it found, as JSON.
func (a *App) Check(ctx context.Context) (json.RawMessage, error) {
	var found bytes.Buffer
	_, err := check.Run(ctx, &found, a.Probes(ctx, false), true, 0)
	return found.Bytes(), err
}

// Test posts one test message.
func (a *App) Test(ctx context.Context) error {
	if a.slack == nil {
		return errNoSlack
	}
	return a.slack.Test(ctx)
}
