// Package app connects the parts of clbwatch according to the settings, and does what events and commands ask
// for. It decides nothing about load balancers, and has settings and clock only from its caller.
package app

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"clbwatch/internal/clb"
	"clbwatch/internal/config"
	"clbwatch/internal/incident"
	"clbwatch/internal/state"
	"clbwatch/internal/store"
	"clbwatch/internal/watch"
	"clbwatch/notifier"
	"clbwatch/notifier/message"
)

// App is one invocation: its settings, and the parts connected according to them.
type App struct {
	cfg     *config.Config
	log     *slog.Logger
	now     func() time.Time
	watcher *watch.Watcher
	api     *clb.Client
	store   *store.Place
	root    *store.Place // of the state, whatever the shard
	// at the root
	silences *state.Silences
	http     *http.Client
	memory   *memory
	slack    *notifier.Slack // nil if neither a bot nor a webhook is set
}

// Process is what outlives an invocation.
type Process struct {
	http *http.Client // keeps connections from one tick to the next
	logs io.Writer
	now  func() time.Time
	own  map[string]string // the environment of the process as it started; of a function only

	memory memory
	past   past
}

// New returns a Process that logs to logs and reads the clock by now.
func New(logs io.Writer, now func() time.Time) *Process {
	return &Process{http: clb.NewHTTP(), logs: logs, now: now}
}

// NewFunction returns a Process of a function that started with an environment.
func NewFunction(logs io.Writer, now func() time.Time, environ map[string]string) *Process {
	p := New(logs, now)
	p.own = environ
	return p
}

// errNoSlack is returned by whatever has to post, if no place to post to is set.
var errNoSlack = errors.New("neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set; see docs/settings.md")

// Function makes the App of one event from the environment of its invocation, beside that with which the
// process started. function is its "region/namespace/name", if the platform says it. shard is the one that
// the event names; "" leaves it to the setting SHARD. memory is how many bytes the platform grants; 0 if it
// does not say. It is an error if it can neither post nor answer. An error is logged here as well as
// returned, because without an App the caller has no log.
func (p *Process) Function(invocation map[string]string, function, shard string, memory int64) (*App, error) {
	environ := p.environ(invocation)
	if shard != "" {
		environ["SHARD"] = shard
	}
	a, err := p.open(environ, cmp.Or(function, state.CLI))
	if err == nil {
		a.api.Memory = memory
	}
	if err == nil && a.slack == nil && a.cfg.Slack.Signing == "" {
		err = errNoSlack
	}
	if err != nil {
		slog.New(slog.NewJSONHandler(p.logs, nil)).Error(err.Error())
		return nil, err
	}
	return a, nil
}

// environ is the environment of one invocation. Which way settings come is not documented: with the
// invocation, with the process, or both. If some come with the invocation, all do, and the process may have
// one that is gone.
func (p *Process) environ(invocation map[string]string) map[string]string {
	environ := make(map[string]string)
	for k, v := range p.own {
		if _, whole := invocation["STATE_URL"]; !whole || platforms(k) {
			environ[k] = v
		}
	}
	maps.Copy(environ, invocation)
	return environ
}

// platforms reports whether a variable is the platform's, and not a setting.
func platforms(key string) bool {
	return key == "HOME" || strings.HasPrefix(key, "XDG_") || key == "TENCENTCLOUD_RUNENV" ||
		key == "TENCENTCLOUD_REGION"
}

// Open connects the parts of a command according to the settings in an environment. Its error names every
// setting that is wrong. It touches neither the network nor the disk.
func (p *Process) Open(environ map[string]string) (*App, error) { return p.open(environ, state.CLI) }

// open connects the parts; by is who commits to the state.
func (p *Process) open(environ map[string]string, by string) (*App, error) {
	cfg, err := config.Parse(environ)
	if err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, now: p.now, api: p.openAPI(cfg), http: p.http, memory: &p.memory}
	a.log = slog.New(slog.NewJSONHandler(p.logs, &slog.HandlerOptions{Level: cfg.LogLevel}))
	if a.store, err = p.openStore(cfg, cfg.Shard); err != nil {
		return nil, fmt.Errorf("STATE_URL: %w", err)
	}
	root, shard, err := p.openRoot(cfg, a.store)
	if err != nil {
		return nil, fmt.Errorf("STATE_URL: %w", err)
	}
	a.root = root
	a.silences = &state.Silences{Store: root, Nonce: rand.Text, Past: p.past.of(cfg.State.String())}
	a.watcher = &watch.Watcher{
		Part: state.Part{
			Shard: cfg.Shard, Store: shard, By: by, Nonce: rand.Text,
			States: func(s state.Shard) (state.Store, error) { return p.openStore(cfg, s) },
		},
		CLBs:     cfg.CLBs,
		Discover: cfg.Discover,
		Source:   a.api,
		Finder:   a.api,
		Silences: a.silences,
		Rules: incident.Rules{
			StableAfter: cfg.StableAfter, TransientFor: cfg.TransientFor, MentionAt: cfg.Slack.MentionAt,
			BlindAfter: cfg.BlindAfter, Windows: cfg.Silences,
		},
		Spool: spool,
		Now:   p.now,
		Sleep: sleep,
	}
	if cfg.Slack.Webhook == "" && cfg.Slack.Token == "" {
		return a, nil
	}
	if a.slack, err = p.openSlack(cfg); err != nil {
		return nil, err
	}
	a.watcher.Notifier, a.watcher.Rules.Route = a.slack, a.slack.Route()
	for _, r := range cfg.Slack.Routes {
		a.watcher.Rules.Routes = append(a.watcher.Rules.Routes,
			incident.RouteRule{Glob: r.Glob, Route: incident.Route(r.Channel)})
	}
	return a, nil
}

// openAPI makes the client of the cloud's API.
func (p *Process) openAPI(cfg *config.Config) *clb.Client {
	return &clb.Client{
		Endpoint:   cfg.Endpoint,
		EndpointV3: cfg.EndpointV3,
		API:        clb.API(cfg.API),
		Health:     cfg.Health,
		Credentials: clb.Credentials{
			SecretID: cfg.SecretID, SecretKey: cfg.SecretKey.Reveal(), Token: cfg.Token.Reveal(),
		},
		HTTP:  p.http,
		Rate:  rate.Limit(cfg.Rate / float64(max(cfg.Shard.Of, 1))), // the platform counts all shards as one
		Now:   p.now,
		Sleep: sleep,
	}
}

// openStore opens the state of a shard: that of all load balancers is where STATE_URL says, that of a part
// below it.
func (p *Process) openStore(cfg *config.Config, s state.Shard) (*store.Place, error) {
	at := cfg.State
	if at.Dir != "" {
		return store.OpenFiles(filepath.Join(at.Dir, below(s)), p.now), nil
	}
	return store.OpenCOS(store.COSConfig{
		Bucket: at.Bucket, Region: at.Region, Prefix: path.Join(at.Prefix, below(s)), Endpoint: at.Endpoint,
		SecretID: cfg.SecretID, SecretKey: cfg.SecretKey.Reveal(), Token: cfg.Token.Reveal(),
		Transport: p.http.Transport, Cache: cmp.Or(at.Cache, os.TempDir()), Now: p.now, Sleep: sleep,
	})
}

// below is where the state of a shard is, below that of all load balancers.
func below(s state.Shard) string {
	if s.Of <= 1 {
		return ""
	}
	return fmt.Sprintf("shards/%d-of-%d", s.N, s.Of)
}

// openSlack makes the notifier.
func (p *Process) openSlack(cfg *config.Config) (*notifier.Slack, error) {
	to := cfg.Slack
	return notifier.New(notifier.Config{
		WebhookURL: to.Webhook.Reveal(),
		Token:      to.Token.Reveal(), Channel: to.Channel, Others: others(to), APIURL: to.APIURL,
		Style: style(cfg),
		Now:   p.now, Sleep: sleep,
	})
}

// others are the channels that routes lead to beside the bot's own, in their order, each once.
func others(to config.Slack) (ids []string) {
	for _, r := range to.Routes {
		if r.Channel != to.Channel && !slices.Contains(ids, r.Channel) {
			ids = append(ids, r.Channel)
		}
	}
	return ids
}

// style is what people set about messages.
func style(cfg *config.Config) message.Style {
	to := cfg.Slack
	return message.Style{Mention: to.Mention, ConsoleURL: to.Console, RunbookURL: to.Runbook, Zone: cfg.Zone,
		Buttons: to.Signing != ""}
}
