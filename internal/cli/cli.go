// Package cli is the command line: it runs one command and returns the exit code. It decides nothing about
// load balancers, and touches nothing of the process but the arguments, environment and writers that it is
// given, and the files that the arguments name.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"clbwatch/internal/advice"
	"clbwatch/internal/check"
	"clbwatch/internal/deploy"
	"clbwatch/internal/incident"
	"clbwatch/internal/replay"
	"clbwatch/internal/report"
	"clbwatch/internal/state"
	"clbwatch/internal/story"
	"clbwatch/internal/text"
	"clbwatch/internal/watch"
)

// App does what commands ask for.
type App interface {
	// Read reads how things stand, and how they stood in the time before, in cells of a length; 0: as long as
	// is good to read as text. It posts and stores nothing.
	Read(ctx context.Context, since, cell time.Duration) report.Report
	// Tick does one tick.
	Tick(ctx context.Context) (watch.Summary, error)
	// Preview returns the message that a tick would post, as text for a terminal; "" if it would post none.
	// It posts and stores nothing.
	Preview(ctx context.Context) (message string, sum watch.Summary, err error)
	// Probes look at what a tick needs, and post a test message if send is set.
	Probes(ctx context.Context, send bool) []check.Probe
	// Silence makes or ends a silence, and says what it covers.
	Silence(ctx context.Context, r watch.SilenceRequest) (watch.SilenceAnswer, error)
	// Silences are those that are active, with the windows of the setting SILENCES that are open. If those
	// that people made cannot be listed, the windows come along with the error.
	Silences(ctx context.Context) ([]incident.Silence, error)
	// History hands on each line of the history of the time before, oldest first, and then what goes on. now
	// is the time by the state's clock. What cannot be read is left out, and the error at the end says why.
	History(ctx context.Context, back time.Duration, take func(r incident.Record, now time.Time) error) error
	// Rules are the rules of notification that the settings make; with webhook set, those of a webhook.
	Rules(webhook bool) incident.Rules
	// Replay plays a story, or if that is nil the history of the time before, through rules, and compares
	// that with others, if there are any. say is given each message of the first, in words.
	Replay(ctx context.Context, back time.Duration, s *story.Story, rules incident.Rules, others *incident.Rules,
		say func(m replay.Message, words string) error) (replay.Result, error)
	// Zone is the zone of times in the terminal.
	Zone() *time.Location
	// State says what is there of the state, of each of its shards. It changes nothing. What it found comes
	// along with an error.
	State(ctx context.Context) ([]*state.Inventory, error)
	// Take makes the state that of whichever function ticks next. It returns the shards that it took, and the
	// functions that were at work with them, which come along with an error.
	Take(ctx context.Context) (shards []state.Shard, was state.Lineage, err error)
	// Repair goes back to the newest head that can be read, in each shard where that is not the newest.
	// What it did comes along with an error.
	Repair(ctx context.Context) ([]state.Repaired, error)
}

// Program is clbwatch as a command line.
type Program struct {
	Version        string
	Environ        map[string]string // the settings, NO_COLOR, and USER, who silences
	Stdin          io.Reader         // of a replay
	Stdout, Stderr io.Writer
	// Deploy deploys the function, or takes it away, and says what it does.
	Deploy func(ctx context.Context, environ map[string]string, r deploy.Request, out io.Writer) error
	// Columns is how many a line of Stdout has; 0 if it is no terminal.
	Columns int
	// Open makes the App from the environment. Its error names every setting that is wrong.
	Open func(environ map[string]string) (App, error)
}

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Run runs a command line, of which the first argument is the program's name, and returns its exit code: 0 if
// the command did its job and found nothing wrong, 1 if not, 2 if the command line itself is wrong. Errors go
// to Stderr.
func (p *Program) Run(ctx context.Context, args []string) int {
	err := p.root().Run(ctx, args)
	p.complain(err)
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case err != nil:
		return exitFailed
	}
	return exitDone
}

// usageError is an error about the command line itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errSaid is the error of a command whose output says already what is wrong.
var errSaid = errors.New("see the output")

// complain prints an error, each line of it, and what can be done about it.
func (p *Program) complain(err error) {
	if err == nil || errors.Is(err, errSaid) {
		return
	}
	lines := strings.Split(err.Error(), "\n")
	if do := advice.Of(err); do != "" {
		lines = append(lines, "→ "+do)
	}
	for _, l := range lines {
		_, _ = fmt.Fprintln(p.Stderr, "clbwatch:", text.Printable(l)) // nowhere is left to report an error to
	}
}

// root is the command line as a whole.
func (p *Program) root() *cli.Command {
	return &cli.Command{
		Name: "clbwatch",
		Usage: "tells Slack when a backend of a Tencent Cloud load balancer is added, removed or " +
			"stops, and when it is back",
		Description:     needs,
		UsageText:       "clbwatch [--env-file FILE] COMMAND",
		Flags:           []cli.Flag{envFileFlag()},
		Version:         p.Version,
		HideHelpCommand: true,
		Writer:          p.Stdout,
		ErrWriter:       p.Stderr,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {}, // the exit code is ours
		OnUsageError:    wrongUsage,
		Commands:        p.withSettings(p.commands()),
		Action:          p.noCommand,
	}
}

// helpCommand is what people type who do not know --help.
func (p *Program) helpCommand() *cli.Command {
	c := command("help", "print this, or the help of a command", p.help)
	c.ArgsUsage, c.Action = "[COMMAND]", p.help
	return c
}

// help prints the help of a command, or of all.
func (p *Program) help(ctx context.Context, c *cli.Command) error {
	name := c.Args().First()
	switch {
	case c.Args().Len() > 1:
		return usageError{fmt.Errorf("help takes one command, not %q too", c.Args().Get(1))}
	case name == "":
		return cli.ShowRootCommandHelp(c.Root())
	case c.Root().Command(name) == nil:
		return noSuchCommand(name)
	}
	return cli.ShowCommandHelp(ctx, c.Root(), name)
}

func noSuchCommand(name string) error {
	return usageError{fmt.Errorf("there is no command %q; clbwatch --help lists them", name)}
}

// noCommand is what runs if the command line names no command that there is.
func (p *Program) noCommand(_ context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return noSuchCommand(c.Args().First())
	}
	c.Writer = p.Stderr
	if err := cli.ShowRootCommandHelp(c); err != nil {
		return usageError{err}
	}
	return usageError{errSaid}
}

// wrongUsage marks what the library finds wrong with flags.
func wrongUsage(_ context.Context, _ *cli.Command, err error, _ bool) error { return usageError{err} }
