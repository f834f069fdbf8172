package app

import (
	"context"
	"log/slog"
	"time"

	"clbwatch/internal/report"
	"clbwatch/internal/watch"
	"clbwatch/notifier"
)

// Log returns the invocation's log.
func (a *App) Log() *slog.Logger { return a.log }

// Tick does one tick. Without Slack it is an error, and nothing is read.
func (a *App) Tick(ctx context.Context) (watch.Summary, error) {
	if a.slack == nil {
		return watch.Summary{}, errNoSlack
	}
	return a.watcher.Tick(ctx)
}

// Preview does the first half of a tick and returns, as text for a terminal, the message that the tick would
// post; "" if it would post none. Nothing is stored or posted, and no Slack is needed.
func (a *App) Preview(ctx context.Context) (message string, sum watch.Summary, err error) {
	alert, sum, err := a.watcher.Preview(ctx)
	if err != nil || alert.Empty() {
		return "", sum, err
	}
	return notifier.Text(alert), sum, nil
}

// lastReportTimeout is how long the last report is looked for: a Slack that hangs must leave time to read.
const lastReportTimeout = 5 * time.Second

// Report reads how things stand, posts it and returns it. Without Slack it is an error, and nothing is read.
func (a *App) Report(ctx context.Context) (report.Report, error) {
	if a.slack == nil {
		return report.Report{}, errNoSlack
	}
	lookCtx, cancel := context.WithTimeout(ctx, lastReportTimeout)
	defer cancel()
	last, err := a.slack.LastReport(lookCtx)
	if err != nil { // the report says how far back its changes go
		a.log.Warn("cannot find the last report", "why", err.Error())
	}
	r := a.read(ctx, last)
	return r, a.slack.Report(ctx, r)
}

// Read reads how things stand, and what changed in the last 24 h. It posts nothing, and needs no Slack.
func (a *App) Read(ctx context.Context) report.Report { return a.read(ctx, time.Time{}) }

// read reads how things stand, and what changed since the last report or, if that is zero, in the last 24 h.
func (a *App) read(ctx context.Context, last time.Time) report.Report {
	start := a.now()
	found, err := a.watcher.Survey(ctx)
	return report.New(start.UTC(), a.now().Sub(start), found, last, err)
}

// Test posts one test message.
func (a *App) Test(ctx context.Context) error {
	if a.slack == nil {
		return errNoSlack
	}
	return a.slack.Test(ctx)
}
