package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"clbwatch/internal/check"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
	"clbwatch/internal/timeline"
)

// commands are all there are.
func (p *Program) commands() []*cli.Command {
	asJSON := &cli.BoolFlag{Name: "json", Usage: "print JSON"}
	since := &cli.StringFlag{Name: "since", Value: "24h", Usage: "how far back to look: 1m to 90d"}
	return []*cli.Command{
		command("report", "read now and print how things stand; posts nothing", p.report, asJSON, since,
			&cli.StringFlag{Name: "html", Usage: "write a page with charts to `FILE` instead; - is standard output"}),
		command("tick", "read, compare with the last tick, and post what changed", p.tick,
			&cli.BoolFlag{Name: "dry-run", Usage: "print what would be posted; post and store nothing"}),
		command("check", "try settings, clock, credentials, each load balancer, the state and Slack", p.check,
			asJSON, &cli.BoolFlag{Name: "send", Usage: "post a test message too"}),
		p.historyCommand(),
		p.replayCommand(),
		p.silenceCommand(),
		command("state", "print what is stored, and what to do if it is damaged; changes nothing", p.state,
			&cli.BoolFlag{Name: "take", Usage: "let whichever function ticks next go on with this state"},
			&cli.BoolFlag{Name: "repair", Usage: "go back to the newest head that can be read"}),
		p.deployCommand(),
		p.manifestCommand(),
		command("version", "print the version", func(context.Context, *cli.Command) error {
			_, err := fmt.Fprintln(p.Stdout, p.Version)
			return err
		}),
		p.helpCommand(),
	}
}

// command is one command, which takes flags only.
func command(name, about string, run cli.ActionFunc, flags ...cli.Flag) *cli.Command {
	return &cli.Command{
		Name: name, Usage: about, Flags: flags, OnUsageError: wrongUsage, HideHelpCommand: true,
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return usageError{fmt.Errorf("%s takes no argument, not %q", name, c.Args().First())}
			}
			return run(ctx, c)
		},
	}
}

// report prints how things stand, or writes a page. It fails if not all could be read: load balancers, the
// health of their backends, regions that are searched, silences or the state.
func (p *Program) report(ctx context.Context, c *cli.Command) error {
	since, err := text.Period(c.String("since"))
	file := c.String("html")
	switch {
	case err != nil:
		return usageError{fmt.Errorf("--since: %w", err)}
	case c.IsSet("html") && file == "":
		return usageError{errors.New("--html needs a file, or - for standard output")}
	case file != "" && c.Bool("json"):
		return usageError{errors.New("--html and --json are not for one run")}
	}
	a, err := p.Open(p.Environ)
	if err != nil {
		return err
	}
	cell := time.Duration(0)
	if file != "" {
		if file, err = pageFile(file); err != nil { // before reading, which takes a while
			return err
		}
		cell = timeline.FineCellOf(since)
	}
	r := a.Read(ctx, since, cell)
	switch {
	case file != "":
		err = p.page(file, r, a.Zone())
	case c.Bool("json"):
		err = r.WriteJSON(p.Stdout)
	default:
		err = r.WriteText(p.Stdout, report.Look{Color: p.color(), Columns: p.Columns, Zone: a.Zone()})
	}
	if err != nil {
		return err
	}
	if !r.Whole() {
		return errSaid // the report says which, and why
	}
	return nil
}

// tick does one tick and prints its summary as JSON. It does not fail because of a load balancer that could
// not be read while others could, nor because of alerts that are still owed: the tick did its job.
func (p *Program) tick(ctx context.Context, c *cli.Command) error {
	a, err := p.Open(p.Environ)
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		return p.preview(ctx, a)
	}
	sum, err := a.Tick(ctx)
	if sum.Unread != nil && !errors.Is(err, sum.Unread) { // which would say it again
		p.complain(sum.Unread)
	}
	p.complain(sum.Unsent)
	if err != nil {
		return err
	}
	return json.NewEncoder(p.Stdout).Encode(sum)
}

// preview prints what a tick would post.
func (p *Program) preview(ctx context.Context, a App) error {
	message, sum, err := a.Preview(ctx)
	if err != nil {
		return err
	}
	p.complain(sum.Unread)
	if message == "" {
		_, err = fmt.Fprintf(p.Stdout, "nothing to post: %d of %d load balancers read\n", sum.Read, sum.CLBs)
		return err
	}
	_, err = fmt.Fprintln(p.Stdout, message)
	return err
}

// check tries what a tick needs and prints what was found. It fails if something is wrong that a tick cannot
// do without.
func (p *Program) check(ctx context.Context, c *cli.Command) error {
	a, err := p.Open(p.Environ)
	probes := []check.Probe{check.Settings("", err)}
	if err == nil {
		probes = a.Probes(ctx, c.Bool("send"))
	}
	well, err := check.Run(ctx, p.Stdout, probes, c.Bool("json"), p.Columns)
	if err == nil && !well {
		err = errSaid
	}
	return err
}
