package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/urfave/cli/v3"

	"clbwatch/internal/envfile"
)

// needs are the settings that commands cannot do without, for their help.
const needs = "Settings come from the environment, and those that are not in it from --env-file. " +
	"Needed are:\n\n" +
	"CLB_IDS or CLB_DISCOVER  which load balancers, such as lb-8a3k2m1q=shop\n" +
	"CLB_REGION               of those that name none, such as ap-guangzhou\n" +
	"TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY  to read them\n" +
	"SLACK_BOT_TOKEN, SLACK_CHANNEL, or SLACK_WEBHOOK_URL  to post: for tick and check\n" +
	"STATE_URL                of the state, if not in your own ~/.local/state/clbwatch\n\n" +
	"Times are in the zone TZ, or UTC. All settings: docs/settings.md.\n" +
	"Exit codes: 0 done, 1 failed or something is wrong, 2 wrong usage."

// envFileFlag is the flag that every command takes.
func envFileFlag() cli.Flag {
	return &cli.StringFlag{Name: "env-file",
		Usage: "read settings that are not in the environment from `FILE`, such as .env, which deploy reads by " +
			"itself"}
}

// withSettings makes commands read the file that --env-file names first.
func (p *Program) withSettings(all []*cli.Command) []*cli.Command {
	for _, c := range all {
		c.Before = func(ctx context.Context, c *cli.Command) (context.Context, error) {
			file := c.String("env-file")
			switch {
			case !c.IsSet("env-file"):
				return ctx, nil
			case file == "":
				return ctx, usageError{errors.New("--env-file needs a file, such as .env")}
			}
			if err := p.readSettings(file); err != nil {
				return ctx, fmt.Errorf("--env-file: %w", err)
			}
			return ctx, nil
		}
	}
	return all
}

// readSettings reads a file of settings. A setting that is in the environment too keeps that value, even an
// empty one: so one run can do without a setting of the file.
func (p *Program) readSettings(file string) error {
	settings, err := envfile.Read(file)
	if err != nil {
		return err
	}
	maps.Copy(settings, p.Environ)
	p.Environ = settings
	return nil
}
