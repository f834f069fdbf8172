package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// historyCommand lists incidents.
func (p *Program) historyCommand() *cli.Command {
	return command("history", "print what happened: incidents, how long and how bad, oldest first", p.history,
		&cli.StringFlag{Name: "since", Value: "7d", Usage: "how far back to look: 1m to 90d"},
		&cli.StringFlag{Name: "clb", Usage: "only load balancers whose label, name or id matches, such as 'prod-*'"},
		&cli.BoolFlag{Name: "json", Usage: "print JSON, a line for each incident"})
}

// history prints each incident as it is read, so that many take no room. It fails if not all could be read.
func (p *Program) history(ctx context.Context, c *cli.Command) error {
	back, err := text.Period(c.String("since"))
	if err != nil {
		return usageError{fmt.Errorf("--since: %w", err)}
	}
	if c.IsSet("clb") && c.String("clb") == "" {
		return usageError{errors.New("--clb needs a glob of load balancers, such as 'prod-*'")}
	}
	a, err := p.Open(p.Environ)
	if err != nil {
		return err
	}
	found, out := 0, json.NewEncoder(p.Stdout)
	out.SetEscapeHTML(false)
	err = a.History(ctx, back, func(r incident.Record, now time.Time) error {
		past, ok := report.PastOf(r)
		if !ok || c.IsSet("clb") && !r.CLB.Matches(c.String("clb")) {
			return nil
		}
		found++
		if c.Bool("json") {
			return out.Encode(past)
		}
		for _, l := range past.Lines(now, a.Zone()) {
			if _, err := fmt.Fprintln(p.Stdout, l); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !c.Bool("json") {
		_, err = fmt.Fprintf(p.Stdout, "%s in the last %s\n", text.Plural(found, "incident"), text.Duration(back))
	}
	return err
}
