package cli

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/urfave/cli/v3"

	"clbwatch/internal/deploy"
)

// example is a file of settings, to be filled in.
//
//go:embed example.env
var example string

// settingsFile is read if it is there and --env-file names no other.
const settingsFile = ".env"

// deployCommand brings the function to an account.
func (p *Program) deployCommand() *cli.Command {
	return command("deploy", "bring the function to your account, or bring it up to date; a second run changes "+
		"only what differs", p.deploy,
		&cli.BoolFlag{Name: "example", Usage: "print a .env to fill in, and do nothing else"},
		&cli.BoolFlag{Name: "dry-run", Usage: "print each call that would change something; change nothing"},
		&cli.BoolFlag{Name: "slack",
			Usage: "the function that answers Slack's commands and buttons too, and its URL"},
		&cli.BoolFlag{Name: "remove", Usage: "remove all that deploy made, but for the state"},
		&cli.StringFlag{Name: "name", Value: "clbwatch", Usage: "of the function, its role and its policies"},
		&cli.StringFlag{Name: "zip", Usage: "the function's zip, where this program is not for Linux on amd64"})
}

// functionName is what the platform takes, with room for what is appended
// (https://cloud.tencent.com/document/api/583/18586).
var functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,43}[A-Za-z0-9]$`)

func (p *Program) deploy(ctx context.Context, c *cli.Command) error {
	r := deploy.Request{Name: c.String("name"), Zip: c.String("zip"), Slack: c.Bool("slack"),
		Remove: c.Bool("remove"), DryRun: c.Bool("dry-run"), Version: p.Version}
	switch {
	case c.Bool("example"):
		_, err := io.WriteString(p.Stdout, example)
		return err
	case !functionName.MatchString(r.Name):
		return usageError{fmt.Errorf("--name is %.60q, expected 2 to 45 letters, digits, - and _ that begin with "+
			"a letter", r.Name)}
	case r.Remove && (r.Slack || r.Zip != ""):
		return usageError{errors.New("--remove takes all away: --slack and --zip are for deploying")}
	}
	if _, err := os.Stat(settingsFile); !c.IsSet("env-file") && err == nil {
		if err := p.readSettings(settingsFile); err != nil {
			return err
		}
	}
	return p.Deploy(ctx, p.Environ, r, p.Stdout)

}
