package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"

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

// deployed is the file that deploy reads if it is there and no other is named.
const deployed = ".env"

// envFileFlag is the flag that every command takes.
func envFileFlag() cli.Flag {
	return &cli.StringFlag{Name: "env-file",
		Usage: "read settings that are not in the environment from `FILE`, such as .env, which deploy reads by " +
			"itself"}
}

// withSettings makes commands read the file of settings first. What is in the environment goes before it,
// even if that is empty: so one run can do without a setting of the file.
func (p *Program) withSettings(all []*cli.Command) []*cli.Command {
	for _, c := range all {
		c.Before = func(ctx context.Context, c *cli.Command) (context.Context, error) {
			file := c.String("env-file")
			switch {
			case c.IsSet("env-file") && file == "":
				return ctx, usageError{errors.New("--env-file needs a file, such as .env")}
			case c.IsSet("env-file"):
			case c.Name == "deploy" && !c.Bool("example"):
				if _, err := os.Stat(deployed); errors.Is(err, fs.ErrNotExist) {
					return ctx, nil
				}
				file = deployed
			default:
				return ctx, nil
			}
			settings, err := envfile.Read(file)
			if err != nil {
				return ctx, fmt.Errorf("--env-file: %w", err)
			}
			maps.Copy(settings, p.Environ)
			p.Environ = settings
			return ctx, nil
		}
	}
	return all
}
