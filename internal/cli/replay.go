package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"clbwatch/internal/incident"
	"clbwatch/internal/replay"
	"clbwatch/internal/report"
	"clbwatch/internal/story"
	"clbwatch/internal/text"
)

// tried are the settings that a replay tries, by flag.
func tried() map[string]string {
	return map[string]string{"stable-after": "STABLE_AFTER", "transient-for": "TRANSIENT_FOR",
		"silences": "SILENCES"}
}

// replayCommand tries settings on what happened.
func (p *Program) replayCommand() *cli.Command {
	c := command("replay", "try settings on the history, or on a file: which messages, what later or not at all",
		p.replay,
		&cli.StringFlag{Name: "since", Value: "30d", Usage: "how far back to look: 1m to 90d"},
		&cli.StringFlag{Name: "stable-after", Usage: "STABLE_AFTER to try, such as 5m"},
		&cli.StringFlag{Name: "transient-for", Usage: "TRANSIENT_FOR to try, such as 2m"},
		&cli.StringFlag{Name: "silences",
			Usage: "SILENCES to try, such as 'dev-*@Mon-Fri 20:00-08:00 UTC'; '' for none"},
		&cli.BoolFlag{Name: "webhook", Usage: "as a webhook would post, whatever is set"},
		&cli.BoolFlag{Name: "quiet", Usage: "print no messages, only how many"})
	c.ArgsUsage = "[FILE]"
	c.Description = "FILE is a story as docs/stories.md describes it, - is standard input. It needs no settings."
	c.Action = p.replay
	return c
}

// replay plays the history or a file with the settings as they are and, if some are to be tried, with those.
// A file may say how many messages it may take at most: then more are an error.
func (p *Program) replay(ctx context.Context, c *cli.Command) error {
	if c.Args().Len() > 1 {
		return usageError{errors.New("replay takes one file at most")}
	}
	back, err := text.Period(c.String("since"))
	if err != nil {
		return usageError{fmt.Errorf("--since: %w", err)}
	}
	environ := p.Environ
	var s *story.Story
	if file := c.Args().First(); file != "" {
		if c.IsSet("since") {
			return usageError{errors.New("--since is for the history, and a file has its own times")}
		}
		if s, err = p.readStory(file); err != nil {
			return err
		}
		environ = ofStory(*s, p.Environ["TZ"])
	}
	a, err := p.Open(environ)
	if err != nil {
		if s != nil {
			err = fmt.Errorf("%s: its settings: %w", s.Name, err)
		}
		return err
	}
	rules, others, err := p.try(c, environ, a)
	if err != nil {
		return err
	}
	said := 0
	result, err := a.Replay(ctx, back, s, rules, others, func(m replay.Message, words string) error {
		if said++; c.Bool("quiet") {
			return nil
		}
		_, err := fmt.Fprintln(p.Stdout, messageLine(m, words, a.Zone()))
		return err
	})
	if err != nil {
		return err
	}
	w := &lines{to: p.Stdout}
	if said > 0 && !c.Bool("quiet") {
		w.print("")
	}
	w.result(result, back, s, others != nil, a.Zone())
	if w.err != nil {
		return w.err
	}
	if others != nil {
		return nil
	}
	return bounded(w, s, result.Counts, rules.Route.Bot())
}

// try returns the rules to be tried and, if they differ from those that are set, these as others.
func (p *Program) try(c *cli.Command, environ map[string]string,
	a App) (incident.Rules, *incident.Rules, error) {
	rules := a.Rules(c.Bool("webhook"))
	environ = maps.Clone(environ)
	var flags []string
	for _, flag := range slices.Sorted(maps.Keys(tried())) {
		if c.IsSet(flag) {
			environ[tried()[flag]], flags = c.String(flag), append(flags, "--"+flag)
		}
	}
	if len(flags) == 0 {
		return rules, nil, nil
	}
	b, err := p.Open(environ)
	if err != nil {
		return rules, nil, usageError{fmt.Errorf("%s: %w", strings.Join(flags, ", "), err)}
	}
	return b.Rules(c.Bool("webhook")), &rules, nil
}

// readStory reads a file, or standard input.
func (p *Program) readStory(file string) (*story.Story, error) {
	from := p.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // only read
		from = f
	}
	s, err := story.Read(from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &s, nil
}

// ofStory are the settings of a story, with what a replay does not need and settings cannot do without.
func ofStory(s story.Story, zone string) map[string]string {
	environ := map[string]string{"CLB_IDS": "lb-story", "CLB_REGION": "ap-guangzhou",
		"STATE_URL": "file:///story", "TENCENTCLOUD_SECRET_ID": "story", "TENCENTCLOUD_SECRET_KEY": "story",
		"TZ": zone}
	maps.Copy(environ, story.Base())
	maps.Copy(environ, s.Settings)
	delete(environ, "SLACK_MENTION") // whom it mentions does not matter, and needs a bot or a webhook
	return environ
}

// messageLine is one message.
func messageLine(m replay.Message, words string, zone *time.Location) string {
	what := "message"
	switch {
	case m.Update() && m.Call.Post.Broadcast:
		what = "  update, in the channel too"
	case m.Update():
		what = "  update"
	}
	if m.Call.Post.Mention {
		what += ", mentions"
	}
	return fmt.Sprintf("%s  %s: %s", m.At.In(zone).Format("2006-01-02 15:04 MST"), what, words)
}

// lines prints lines until one fails.
type lines struct {
	to  io.Writer
	err error
}

func (l *lines) print(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.to, format+"\n", args...)
	}
}

// result prints what came of a replay.
func (l *lines) result(r replay.Result, back time.Duration, s *story.Story, compared bool,
	zone *time.Location) {
	period := "in the last " + text.Duration(back)
	if s != nil {
		back = time.Duration(s.Ticks+story.Settle) * time.Minute
		period = "in " + text.Duration(back)
	}
	rate := ""
	if back >= 48*time.Hour {
		rate = ", " + report.MessagesADay(r.Counts.Messages, back)
	}
	l.print("%s %s%s", countWords(r.Counts), period, rate)
	if !compared {
		return
	}
	l.print("with the settings as they are: %s", countWords(r.Other))
	l.print("of %s:", text.Plural(r.Changes, "change"))
	none := true
	for _, kind := range []struct {
		replay.Shift
		what, by string
	}{
		{r.Never, "not reported any more", ""}, {r.Later, "reported later", "later"},
		{r.Sooner, "reported sooner", "sooner"}, {r.Only, "reported that is not now", ""},
	} {
		if kind.N == 0 {
			continue
		}
		none = false
		head := fmt.Sprintf("%d %s", kind.N, kind.what)
		if kind.Longest > 0 {
			head += ", by " + text.Duration(kind.Longest) + " at most"
		}
		l.print("%s", head)
		listed := 0
		for _, m := range kind.Listed {
			listed += 1 + m.More
			l.print("  %s", movedLine(m, kind.by, zone))
		}
		if more := kind.N - listed; more > 0 {
			l.print("  … and %d of other backends", more)
		}
	}
	if none {
		l.print("each is reported when it is now")
	}
}

// movedLine is a change that is reported at another time.
func movedLine(m replay.Moved, by string, zone *time.Location) string {
	line := fmt.Sprintf("%s  %s %s on %s", m.At.In(zone).Format("2006-01-02 15:04 MST"),
		report.MachineName(m.ID, m.Name), report.Happened(m.Kind), report.Name(m.CLB))
	if by != "" {
		line += "  " + text.Duration(m.By) + " " + by
	}
	if m.More > 0 {
		line += fmt.Sprintf(", and %d more of it", m.More)
	}
	return line
}

// countWords are counts in a line.
func countWords(c replay.Counts) string {
	says := text.Plural(c.Messages, "message")
	if c.Updates > 0 {
		says += fmt.Sprintf(" (%d in the channel, %s, %d of them in the channel too)", c.Channel,
			text.Plural(c.Updates, "update"), c.Broadcast)
	}
	if c.Mentions > 0 {
		says += ", " + text.Plural(c.Mentions, "mention")
	}
	return says
}

// bounded says whether a story took no more than it may.
func bounded(w *lines, s *story.Story, c replay.Counts, bot bool) error {
	if s == nil {
		return nil
	}
	most, took := s.Webhook, story.Bounds{Messages: c.Messages}
	if bot {
		most = s.Bot
		took = story.Bounds{Channel: c.Channel, Updates: c.Updates, Broadcast: c.Broadcast, Mentions: c.Mentions}
	}
	if most == nil {
		return nil
	}
	if !took.Within(*most) {
		return fmt.Errorf("%s takes more than it may: %+v, at most %+v", s.Name, took, *most)
	}
	w.print("within its bounds")
	return w.err
}
