// Clbwatch watches the backends of Tencent Cloud load balancers and tells Slack what happens to them. On SCF it is a
// function; anywhere else it is a command line. This file connects the packages and decides nothing.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/time/rate"

	"clbwatch/handler"
	"clbwatch/internal/advice"
	"clbwatch/internal/check"
	"clbwatch/internal/clb"
	"clbwatch/internal/config"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/store"
	"clbwatch/internal/text"
	"clbwatch/internal/watch"
	"clbwatch/notifier"
)

// version is set by the Makefile.
var version = "dev"

func main() {
	p := &process{http: clb.NewHTTP(), environ: environ, stdout: os.Stdout, stderr: os.Stderr}
	if os.Getenv("_LAMBDA_SERVER_PORT") != "" {
		p.logs = os.Stdout
		handler.Serve(&handler.Handler{Open: p.function, Now: time.Now})
	}
	p.logs = os.Stderr
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := p.command(ctx, os.Args)
	stop()
	os.Exit(code)
}

// process is what outlives an invocation.
type process struct {
	http                 *http.Client // keeps connections from one tick to the next
	environ              func() map[string]string
	stdout, stderr, logs io.Writer
}

func environ() map[string]string {
	m := make(map[string]string)
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		m[k] = v
	}
	return m
}

// app is one invocation: its settings, and the parts connected by them.
type app struct {
	cfg     *config.Config
	log     *slog.Logger
	watcher *watch.Watcher
	api     *clb.Client
	store   *store.Store
	slack   *notifier.Slack // nil if neither a bot nor a webhook is set
}

var _ handler.App = (*app)(nil)

// open connects the parts by the settings.
func (p *process) open(environ map[string]string) (*app, error) {
	cfg, err := config.Parse(environ)
	if err != nil {
		return nil, err
	}
	a := &app{cfg: cfg, log: slog.New(slog.NewJSONHandler(p.logs, &slog.HandlerOptions{Level: cfg.LogLevel}))}
	a.api = &clb.Client{
		Endpoint:    cfg.Endpoint,
		EndpointV3:  cfg.EndpointV3,
		API:         clb.API(cfg.API),
		Health:      cfg.Health,
		Credentials: clb.Credentials{SecretID: cfg.SecretID, SecretKey: cfg.SecretKey.Reveal(), Token: cfg.Token.Reveal()},
		HTTP:        p.http,
		Rate:        rate.Limit(cfg.Rate / float64(max(cfg.Shard.Of, 1))), // the platform counts what all shards call
		Now:         time.Now,
		Sleep:       sleep,
	}
	if a.store, err = p.openStore(cfg, cfg.Shard); err != nil {
		return nil, fmt.Errorf("STATE_URL: %w", err)
	}
	a.watcher = &watch.Watcher{
		CLBs:       cfg.CLBs,
		Discover:   cfg.Discover,
		Shard:      cfg.Shard,
		Source:     a.api,
		Finder:     a.api,
		Store:      a.store,
		Stores:     func(s watch.Shard) (watch.Store, error) { return p.openStore(cfg, s) },
		BlindAfter: cfg.BlindAfter,
		Spool:      spool,
		Now:        time.Now,
		Sleep:      sleep,
		Nonce:      rand.Text,
	}
	if cfg.Slack.Webhook == "" && cfg.Slack.Token == "" {
		return a, nil
	}
	a.slack, err = notifier.New(notifier.Config{
		WebhookURL: cfg.Slack.Webhook.Reveal(),
		Token:      cfg.Slack.Token.Reveal(), Channel: cfg.Slack.Channel, APIURL: cfg.Slack.APIURL,
		Style: notifier.Style{Mention: cfg.Slack.Mention, MentionAt: cfg.Slack.MentionAt},
		Now:   time.Now, Sleep: sleep,
	})
	a.watcher.Notifier = a.slack
	return a, err
}

// openStore opens the state of a shard where STATE_URL says: of all load balancers there itself, of a part below it.
func (p *process) openStore(cfg *config.Config, s watch.Shard) (*store.Store, error) {
	below := ""
	if s.Of > 1 {
		below = fmt.Sprintf("shards/%d-of-%d", s.N, s.Of)
	}
	if cfg.State.Dir != "" {
		return store.Files(filepath.Join(cfg.State.Dir, below), time.Now), nil
	}
	return store.COS(store.COSConfig{
		Bucket: cfg.State.Bucket, Region: cfg.State.Region, Prefix: path.Join(cfg.State.Prefix, below), Endpoint: cfg.State.Endpoint,
		SecretID: cfg.SecretID, SecretKey: cfg.SecretKey.Reveal(), Token: cfg.Token.Reveal(),
		Transport: p.http.Transport, Cache: cmp.Or(cfg.State.Cache, os.TempDir()), Now: time.Now, Sleep: sleep,
	})
}

var errNoSlack = errors.New("neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set; see README, Settings")

// function makes the App of one event, which may say which shard it is about.
func (p *process) function(shard string) (handler.App, error) {
	environ := p.environ()
	if shard != "" {
		environ["SHARD"] = shard
	}
	a, err := p.open(environ)
	if err == nil && a.slack == nil {
		err = errNoSlack
	}
	if err != nil {
		slog.New(slog.NewJSONHandler(p.logs, nil)).Error(err.Error())
		return nil, err
	}
	return a, nil
}

// Log returns the invocation's log.
func (a *app) Log() *slog.Logger { return a.log }

// Tick does one tick.
func (a *app) Tick(ctx context.Context) (watch.Summary, error) { return a.watcher.Tick(ctx) }

// lastReportTimeout is how long the last report is looked for: a Slack that hangs must leave time to read.
const lastReportTimeout = 5 * time.Second

// Report reads how things stand and posts it.
func (a *app) Report(ctx context.Context) (report.Report, error) {
	lookCtx, cancel := context.WithTimeout(ctx, lastReportTimeout)
	defer cancel()
	last, err := a.slack.LastReport(lookCtx)
	if err != nil { // the report says since when it tells changes
		a.log.Warn("cannot find the last report", "why", err.Error())
	}
	r := a.read(ctx, last)
	return r, a.slack.Report(ctx, r)
}

// read reads how things stand, and what changed since the last report, if there is a time of that.
func (a *app) read(ctx context.Context, last time.Time) report.Report {
	start := time.Now()
	found, err := a.watcher.Survey(ctx)
	return report.New(start.UTC(), time.Since(start), found, last, err)
}

// Test posts one test message.
func (a *app) Test(ctx context.Context) error { return a.slack.Test(ctx) }

// sleep waits for d, or less if ctx ends: then its error says so.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// spool is a temporary file without a name: it goes when it is closed, or the process ends.
func spool() (watch.Spool, error) {
	f, err := os.CreateTemp("", "clbwatch-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// command runs a command line and returns its exit code: 0 done, 1 failed, 2 usage.
func (p *process) command(ctx context.Context, args []string) int {
	usage := false // the error is about the command line itself
	asUsage := func(_ context.Context, _ *cli.Command, err error, _ bool) error {
		usage = true
		return err
	}
	jsonFlag := &cli.BoolFlag{Name: "json", Usage: "print JSON"}
	sub := func(name, about string, run func(context.Context, *cli.Command) error, flags ...cli.Flag) *cli.Command {
		return &cli.Command{Name: name, Usage: about, Flags: flags, OnUsageError: asUsage, HideHelpCommand: true,
			Action: func(ctx context.Context, c *cli.Command) error {
				if c.Args().Present() {
					usage = true
					return fmt.Errorf("%s takes no argument, not %q", name, c.Args().First())
				}
				return run(ctx, c)
			}}
	}
	root := &cli.Command{
		Name:  "clbwatch",
		Usage: "tells Slack when a backend of a Tencent Cloud load balancer is added, removed or leaves the running status",
		Description: "Settings come from the environment: CLB_IDS, CLB_REGION, SLACK_WEBHOOK_URL, TENCENTCLOUD_SECRET_ID, " +
			"TENCENTCLOUD_SECRET_KEY and others; see README, Settings. Exit codes: 0 done, 1 failed, 2 wrong usage.",
		UsageText:       "clbwatch COMMAND",
		Version:         version,
		HideHelpCommand: true,
		Writer:          p.stdout,
		ErrWriter:       p.stderr,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {}, // the exit code is ours
		OnUsageError:    asUsage,
		Commands: []*cli.Command{
			sub("report", "read now and print how things stand; posts nothing", p.reportCommand, jsonFlag),
			sub("tick", "read, compare with the last tick, and post what changed", p.tickCommand, &cli.BoolFlag{Name: "dry-run", Usage: "print what would be told; post and store nothing"}),
			sub("check", "try settings, clock, credentials, each load balancer, the state and Slack", p.checkCommand, jsonFlag,
				&cli.BoolFlag{Name: "send", Usage: "post a test message too"}),
			sub("version", "print the version", func(context.Context, *cli.Command) error {
				_, err := fmt.Fprintln(p.stdout, version)
				return err
			}),
		},
		Action: func(_ context.Context, c *cli.Command) error {
			usage = true
			if c.Args().Present() {
				return fmt.Errorf("there is no command %q; clbwatch --help lists them", c.Args().First())
			}
			c.Writer = p.stderr
			return cli.ShowRootCommandHelp(c)
		},
	}
	err := root.Run(ctx, args)
	p.complain(err)
	switch {
	case usage:
		return 2
	case err != nil:
		return 1
	}
	return 0
}

// complain prints an error, each line of it, and what can be done about it.
func (p *process) complain(err error) {
	if err == nil || errors.Is(err, errNotWell) {
		return
	}
	lines := strings.Split(err.Error(), "\n")
	if do := advice.Of(err); do != "" {
		lines = append(lines, "→ "+do)
	}
	for _, l := range lines {
		_, _ = fmt.Fprintln(p.stderr, "clbwatch:", text.Printable(l)) // nothing is left to tell it to
	}
}

func (p *process) reportCommand(ctx context.Context, c *cli.Command) error {
	a, err := p.open(p.environ())
	if err != nil {
		return err
	}
	r := a.read(ctx, time.Time{})
	if c.Bool("json") {
		err = r.WriteJSON(p.stdout)
	} else {
		err = r.WriteText(p.stdout, p.color())
	}
	if err != nil {
		return err
	}
	if _, _, unread := r.Totals(); unread > 0 {
		return errNotWell // the report says which, and why
	}
	return nil
}

func (p *process) tickCommand(ctx context.Context, c *cli.Command) error {
	a, err := p.open(p.environ())
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		return p.preview(ctx, a)
	}
	if a.slack == nil {
		return errNoSlack
	}
	sum, err := a.Tick(ctx)
	if err != nil {
		return err
	}
	p.complain(sum.Unread)
	p.complain(sum.Unsent) // the tick did its job; what is owed stays owed
	return json.NewEncoder(p.stdout).Encode(sum)
}

// color reports whether colours are welcome: on a terminal, unless NO_COLOR is set (https://no-color.org).
func (p *process) color() bool {
	f, ok := p.stdout.(*os.File)
	if !ok || p.environ()["NO_COLOR"] != "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// preview prints what a tick would tell.
func (p *process) preview(ctx context.Context, a *app) error {
	alert, sum, err := a.watcher.Preview(ctx)
	if err != nil {
		return err
	}
	p.complain(sum.Unread)
	if alert.Empty() {
		_, err = fmt.Fprintf(p.stdout, "nothing to tell: %d of %d load balancers read\n", sum.Read, sum.CLBs)
		return err
	}
	_, err = fmt.Fprintln(p.stdout, notifier.Text(alert))
	return err
}

var errNotWell = errors.New("something is wrong") // the lines above it said what

func (p *process) checkCommand(ctx context.Context, c *cli.Command) error {
	a, err := p.open(p.environ())
	probes := []check.Probe{{Name: "settings", Run: func(context.Context) (string, error) {
		if err != nil {
			return "", err
		}
		return a.settings(), nil
	}}}
	if err == nil {
		probes = append(probes, a.probes(ctx, c.Bool("send"))...)
	}
	well, err := check.Run(ctx, p.stdout, probes, c.Bool("json"))
	if err == nil && !well {
		err = errNotWell
	}
	return err
}

// settings says what is set, in a few words.
func (a *app) settings() string {
	says := []string{text.Plural(len(a.cfg.CLBs), "load balancer") + " by id"}
	if n := len(a.cfg.Discover); n > 0 {
		says = append(says, "others by "+fmt.Sprint(n)+" of CLB_DISCOVER")
	}
	if a.cfg.Shard.Of > 1 {
		says = append(says, "of them shard "+a.cfg.Shard.String())
	}
	return fmt.Sprintf("%s, at most %g calls a second", strings.Join(says, ", "), a.cfg.Rate)
}

// probes look at what a tick needs. They leave nothing behind, but for the message if send is set.
func (a *app) probes(ctx context.Context, send bool) []check.Probe {
	probes := []check.Probe{{Name: "clock", Run: a.probeClock}}
	clbs, unlisted := a.watcher.Watched(ctx)
	names := make(map[string]string) // in the cloud, by key
	for region, ids := range regions(clbs) {
		probes = append(probes,
			a.probeAPI("API 2.0", a.cfg.API != string(clb.V2), clb.V2, region, ids, names),
			a.probeAPI("API 3.0", a.cfg.API != string(clb.V3), clb.V3, region, ids, names))
	}
	for _, s := range a.cfg.Discover {
		probes = append(probes, check.Probe{Name: "search", Run: func(context.Context) (string, error) {
			return s.String() + " was searched for load balancers", unlisted[s.String()]
		}})
	}
	for _, balancer := range clbs {
		probes = append(probes, check.Probe{Name: "load balancer", Run: func(ctx context.Context) (string, error) {
			return a.probeBalancer(ctx, balancer, names[balancer.Key()])
		}})
	}
	return append(probes,
		check.Probe{Name: "state", Run: a.probeState},
		check.Probe{Name: "Slack", Run: func(ctx context.Context) (string, error) {
			if a.slack == nil {
				return "", errNoSlack
			}
			if send {
				return "a test message was posted", a.slack.Test(ctx)
			}
			if a.cfg.Slack.Token != "" {
				return "the bot is in the channel and may look for its messages; --send posts a test message", a.slack.Check(ctx)
			}
			return "the webhook answers; --send posts a test message", a.slack.Check(ctx)
		}})
}

// probeAPI asks one version of the API for the load balancers of a region, and notes their names. One of two need not answer.
func (a *app) probeAPI(name string, optional bool, by clb.API, region string, ids []string, names map[string]string) check.Probe {
	return check.Probe{Name: name, Optional: optional, Run: func(ctx context.Context) (string, error) {
		found, err := a.api.Describe(ctx, by, region, ids)
		for id, b := range found {
			names[region+"/"+id] = b.Name
		}
		return fmt.Sprintf("takes the keys in %s, and knows %d of %s", region, len(found), text.Plural(len(ids), "load balancer")), err
	}}
}

// regions are load balancers' ids by region, in order.
func regions(clbs []lb.CLB) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for i := 0; i < len(clbs); {
			region := clbs[i].Region
			var ids []string
			for ; i < len(clbs) && clbs[i].Region == region; i++ {
				ids = append(ids, clbs[i].ID)
			}
			if !yield(region, ids) {
				return
			}
		}
	}
}

// maxSkew is how far the clock may be off: the API allows five minutes, of which some are for what is to come.
const maxSkew = 2 * time.Minute

func (a *app) probeClock(ctx context.Context) (string, error) {
	skew, err := a.api.Skew(ctx)
	if err != nil {
		return "", err
	}
	if skew.Abs() > maxSkew {
		return "", advice.Add(fmt.Errorf("it is %v off the API's, which refuses requests 5 min off", skew), "set this machine's clock")
	}
	return "agrees with the API's", nil
}

func (a *app) probeBalancer(ctx context.Context, balancer lb.CLB, name string) (string, error) {
	r, err := a.api.Read(ctx, balancer, "")
	if err == nil {
		err = r.HealthErr
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", balancer.Key(), err)
	}
	is := balancer.Key()
	if name != "" {
		is += fmt.Sprintf(" (%q)", name)
	}
	says := fmt.Sprintf("%s is %s and has %s, read in %s", is, r.Kind, text.Plural(len(r.Backends), "backend"),
		text.Plural(clb.Pages(r), "call")+" of API "+clb.ReadBy(r))
	if r.Kind == lb.Application {
		says += "; their status is CVM's"
	}
	if r.Health {
		says += "; their health was read"
	}
	return says, nil
}

// owedFor is how long an alert may be owed before that is a fault.
const owedFor = 5 * time.Minute

func (a *app) probeState(ctx context.Context) (string, error) {
	if err := a.store.Check(ctx); err != nil {
		return "", fmt.Errorf("%s (STATE_URL): %w", a.cfg.State, err)
	}
	head, err := a.store.Load(ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s (STATE_URL): %w", a.cfg.State, err)
	case head == nil:
		return a.cfg.State.String() + " has no state yet: the next tick takes the baseline", nil
	case len(head.Outbox) > 0 && time.Since(head.Outbox[0].From) > owedFor:
		return "", advice.Add(fmt.Errorf("%s: an alert of %s is still owed", a.cfg.State, head.Outbox[0].From.Format(time.RFC3339)),
			"see below what Slack says, and whether ticks run")
	}
	return fmt.Sprintf("%s was last written %s, %s owed", a.cfg.State, head.CommittedAt.Format(time.RFC3339),
		text.Plural(len(head.Outbox), "alert")), nil
}
