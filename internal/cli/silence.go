package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
	"clbwatch/internal/watch"
)

// maxCell is how many characters of an untrusted text are shown in a table.
const maxCell = incident.MaxSilenceText

// silenceCommand is the one command that takes arguments.
func (p *Program) silenceCommand() *cli.Command {
	return &cli.Command{
		Name: "silence",
		Usage: "hold notifications back, such as 'prod-*' 2h deploy 4711, acknowledge an incident, or " +
			"list silences",
		ArgsUsage: "['GLOB'] [TIME] [REASON…]",
		Description: "GLOB is matched against labels, names and ids of load balancers. Put it in quotes, " +
			"or the shell may replace it. TIME is 1m to 7d, such as 30m, 2h or 1d12h; without it, 1h. From " +
			"4h on a REASON is needed. An acknowledgement lasts until its incident ends or gets worse, 24h " +
			"at most. Without arguments, the silences that are active are listed.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "incident", Usage: "acknowledge the incident of this number"},
			&cli.StringFlag{Name: "end", Usage: "end the silence of this number"},
			&cli.BoolFlag{Name: "all", Usage: "hold back even that a load balancer becomes degraded or DOWN"},
		},
		OnUsageError: wrongUsage, HideHelpCommand: true,
		Action: p.silence,
	}
}

// silence makes, ends or lists silences.
func (p *Program) silence(ctx context.Context, c *cli.Command) error {
	if !c.IsSet("incident") && !c.IsSet("end") && !c.IsSet("all") && !c.Args().Present() {
		return p.listSilences(ctx)
	}
	r, err := silenceOf(c)
	if err != nil {
		return usageError{err}
	}
	r.By = cmp.Or(p.Environ["USER"], "the command line")
	if err := r.Check(); err != nil {
		return usageError{err}
	}
	a, err := p.Open(p.Environ)
	if err != nil {
		return err
	}
	answer, err := a.Silence(ctx, r)
	if answer.Silence.ID != "" { // it may be there in spite of an error
		if _, bad := io.WriteString(p.Stdout, silenced(answer, a.Zone())); bad != nil {
			return bad
		}
	}
	return err
}

// silenceOf is what a command line asks for.
func silenceOf(c *cli.Command) (r watch.SilenceRequest, err error) {
	words := c.Args().Slice()
	r.All = c.Bool("all")
	switch {
	case c.IsSet("end") && c.IsSet("incident"):
		return r, errors.New("--end and --incident are not for one run")
	case c.IsSet("end"):
		if len(words) > 0 {
			return r, fmt.Errorf("--end takes no argument, not %q", words[0])
		}
		if r.End = c.String("end"); r.End == "" {
			return r, errors.New("--end needs the number of a silence; clbwatch silence lists them")
		}
		return r, nil
	case c.IsSet("incident"):
		if r.Incident = c.String("incident"); r.Incident == "" {
			return r, errors.New("--incident needs the number of an incident; clbwatch report lists them")
		}
	case len(words) == 0 || words[0] == "":
		return r, errors.New("say what to silence: load balancers, such as 'prod-*', or --incident 12")
	default:
		r.What, words = words[0], words[1:]
	}
	r.For, words, err = text.LengthFirst(words, incident.MinSilence, incident.MaxSilence, "1m to 7d")
	if err != nil {
		return r, err
	}
	r.Why = strings.TrimSpace(strings.Join(words, " "))
	return r, nil
}

// silenced says what was done.
func silenced(a watch.SilenceAnswer, zone *time.Location) string {
	s := a.Silence
	says, verb, by := report.SilenceName(s)+"  "+report.SilenceScope(s), "covers", s.By
	if s.Ended.IsZero() {
		says += "  until " + until(s, zone)
	} else {
		says, verb, by = says+"  ended", "covered", s.EndedBy
	}
	says += report.SilencedBy(by, s.Why)
	if a.Covers != "" {
		says += "\n" + verb + " " + text.Clean(a.Covers, maxCell)
	}
	if a.Replaces != "" {
		says += "\nreplaces silence " + text.Clean(a.Replaces, maxCell)
	}
	switch {
	case a.Again && s.Ended.IsZero():
		return says + "\nit was so already\n"
	case a.Again:
		return says + " before\n"
	}
	if a.Still != "" {
		says += "\nsilence " + text.Clean(a.Still, maxCell) + " goes on, and covers the same"
	}
	return says + "\nthe next tick goes by it\n"
}

// listSilences prints the silences that are active.
func (p *Program) listSilences(ctx context.Context) error {
	a, err := p.Open(p.Environ)
	if err != nil {
		return err
	}
	all, err := a.Silences(ctx)
	var lines []string
	switch {
	case len(all) > 0:
		rows := [][]string{{"NUMBER", "WHAT", "UNTIL", "BY", "WHY"}}
		for _, s := range all {
			rows = append(rows, []string{text.Clean(s.ID, maxCell), report.SilenceScope(s),
				until(s, a.Zone()), text.Clean(s.By, maxCell), text.Clean(s.Why, maxCell)})
		}
		lines = text.Columns(rows, len(rows[0]))
	case err == nil:
		lines = []string{"no silence is active"}
	}
	for _, l := range lines {
		if _, bad := fmt.Fprintln(p.Stdout, l); bad != nil {
			return bad
		}
	}
	return err
}

// until is when a silence ends.
func until(s incident.Silence, zone *time.Location) string {
	return s.Until.In(zone).Format("2006-01-02 15:04 MST")
}
