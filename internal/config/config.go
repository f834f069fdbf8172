// Package config reads every setting from the environment, and reports all that is wrong with them at once.
// It never prints a secret and never falls back to a default where a value was given and is wrong.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
)

// Secret is a text that must not be shown. Only Reveal gives it away.
type Secret string

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the text.
func (s Secret) String() string { return "[secret]" }

// GoString hides the text.
func (s Secret) GoString() string { return "[secret]" }

// MarshalText hides the text, in JSON and logs too.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Config is the settings of one invocation.
type Config struct {
	CLBs       []lb.CLB      // sorted by key, each once
	Region     string        // of those that name none, or ""
	Discover   []watch.Scope // each once
	Shard      state.Shard
	Health     bool
	API        string   // v2, v3 or auto
	Endpoint   *url.URL // of API 2.0
	EndpointV3 *url.URL // of API 3.0
	Rate       float64  // API calls a second
	BlindAfter int      // ticks without a reading before that is reported

	StableAfter  time.Duration  // how long what is seen must stay the same to be taken for stable
	TransientFor time.Duration  // how long news is held back that may pass by itself; 0: not at all
	Heartbeat    Secret         // the URL that is called after each good tick; "" for none
	Zone         *time.Location // of times in the terminal and in plain text

	Silences incident.Windows // those that recur

	Deploy Deploy

	Slack    Slack
	State    State
	LogLevel slog.Level

	SecretID  string
	SecretKey Secret
	Token     Secret // "" for long-term keys
}

// Slack is where messages go, by bot if Token is set, else to the webhook, if that is. If Signing is set, it
// is where commands and clicks come from, too: Channel and those of Routes.
type Slack struct {
	Webhook   Secret
	Token     Secret
	Channel   string  // the ID of the bot's channel
	Routes    []Route // in order; what none of them is about goes to Channel
	Signing   Secret  // what Slack signs commands and clicks with; "" for neither
	APIURL    string  // ends in "/"
	Mention   string  // the ID of a user or user group, or "here", "channel", "everyone"; "" for nobody
	MentionAt int     // percent of its weight lost from which a load balancer is degraded
	Console   string  // where links to the console lead, without a slash at its end
	Runbook   string  // a link in every message, with {clb}, {label} and {region}; "" for none
}

// Route sends what happens on some load balancers to a channel of their own.
type Route struct {
	Glob    string // of their labels, names and ids: see lb.CLB.Matches
	Channel string // an ID
}

// Deploy is where `clbwatch deploy` puts the function.
type Deploy struct {
	Region string
	API    *url.URL // instead of the hosts of API 3.0; nil for those
}

// State is where the state lives: in the folder Dir or, if that is "", in a COS bucket.
type State struct {
	Dir string // absolute path

	Bucket, Region, Prefix string   // see store.COSConfig
	Endpoint               *url.URL // nil: the bucket's own
	Cache                  string   // a folder of the user's own for copies; "" on SCF: the instance's /tmp
}

// String names the place.
func (s State) String() string {
	if s.Dir != "" {
		return s.Dir
	}
	return "COS " + s.Bucket + "/" + s.Prefix
}

// settings is the environment as it comes. A test compares the table in docs/settings.md with it.
type settings struct {
	IDs      string     `env:"CLB_IDS"`
	Region   string     `env:"CLB_REGION"`
	Discover string     `env:"CLB_DISCOVER"`
	Health   onOff      `env:"CLB_HEALTH"        envDefault:"off"  expect:"on or off"`
	Shard    shard      `env:"SHARD"                               expect:"which part of how many, such as 2/4, of at most 64"`
	API      version    `env:"CLB_API"           envDefault:"auto" expect:"v2, v3 or auto"`
	Endpoint string     `env:"CLB_ENDPOINT"      envDefault:"https://lb.api.qcloud.com/v2/index.php"`
	V3       string     `env:"CLB_V3_ENDPOINT"   envDefault:"https://clb.tencentcloudapi.com"`
	Rate     rate       `env:"CLB_RATE"          envDefault:"20"   expect:"a number of calls a second, 0.1 to 100000"`
	Blind    ticks      `env:"CLB_BLIND_AFTER"   envDefault:"3"    expect:"a number of ticks, 1 to 1000"`
	Webhook  Secret     `env:"SLACK_WEBHOOK_URL"`
	Token    Secret     `env:"SLACK_BOT_TOKEN"`
	Channel  string     `env:"SLACK_CHANNEL"`
	Routes   string     `env:"SLACK_ROUTES"`
	Signing  Secret     `env:"SLACK_SIGNING_SECRET"`
	Mention  string     `env:"SLACK_MENTION"`
	At       percent    `env:"SLACK_MENTION_AT"  envDefault:"50"   expect:"a percentage of a load balancer's weight, 1 to 100"`
	Stable   patience   `env:"STABLE_AFTER"      envDefault:"10m"  expect:"a time of 1s to 1h, such as 10m"`
	Passing  pending    `env:"TRANSIENT_FOR"     envDefault:"0s"   expect:"a time of up to 1h, such as 2m"`
	Silences string     `env:"SILENCES"`
	Console  string     `env:"CONSOLE_URL"       envDefault:"https://console.cloud.tencent.com"`
	Runbook  string     `env:"RUNBOOK_URL"`
	Beat     Secret     `env:"HEARTBEAT_URL"`
	Zone     zone       `env:"TZ"                envDefault:"UTC"  expect:"a time zone, such as Asia/Shanghai"`
	SlackAPI string     `env:"SLACK_API_URL"     envDefault:"https://slack.com/api/"`
	State    string     `env:"STATE_URL"`
	Target   string     `env:"DEPLOY_REGION"     envDefault:"ap-guangzhou"`
	Control  string     `env:"DEPLOY_API_URL"`
	Level    slog.Level `env:"LOG_LEVEL"         envDefault:"info" expect:"debug, info, warn or error"`
}

// platform is what SCF and the official SDK put into the environment.
type platform struct {
	RunEnv string `env:"TENCENTCLOUD_RUNENV"`
	Region string `env:"TENCENTCLOUD_REGION"`

	SCFID    string `env:"TENCENTCLOUD_SECRETID"`
	SCFKey   Secret `env:"TENCENTCLOUD_SECRETKEY"`
	SCFToken Secret `env:"TENCENTCLOUD_SESSIONTOKEN"`
	SDKID    string `env:"TENCENTCLOUD_SECRET_ID"`
	SDKKey   Secret `env:"TENCENTCLOUD_SECRET_KEY"`
	SDKToken Secret `env:"TENCENTCLOUD_TOKEN"`

	StateHome string `env:"XDG_STATE_HOME"`
	CacheHome string `env:"XDG_CACHE_HOME"`
	Home      string `env:"HOME"`
	Local     string `env:"LOCALAPPDATA"` // of Windows: no path of it is absolute elsewhere
}

func (p platform) onSCF() bool { return p.RunEnv == "SCF" }

// answers reports whether it can only be a function that answers Slack: it has nowhere to post to, so it does
// not tick, and need not know which load balancers are watched.
func (s settings) answers() bool { return s.Signing != "" && s.Token == "" && s.Webhook == "" }

// Parse reads the settings. Its error names every setting that is wrong, and says what was expected.
func Parse(environ map[string]string) (*Config, error) {
	trimmed := make(map[string]string, len(environ))
	for k, v := range environ {
		if v = strings.TrimSpace(v); k != "" && v != "" {
			// set to nothing is not set; and env takes no name for that of a part
			trimmed[k] = v
		}
	}
	var s settings
	var p platform
	errs := parseInto(&s, trimmed)
	errs = append(errs, parseInto(&p, trimmed)...)

	c := &Config{Region: cmp.Or(s.Region, p.Region), API: string(s.API), Health: s.Health == "on",
		Shard: state.Shard(s.Shard),
		Rate:  float64(s.Rate), BlindAfter: int(s.Blind), StableAfter: time.Duration(s.Stable),
		TransientFor: time.Duration(s.Passing),
		Zone:         s.Zone.Location, LogLevel: s.Level}
	note := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %w", name, err))
		}
	}
	var wrong []error
	var err error
	if s.IDs != "" || s.Discover == "" && !s.answers() {
		c.CLBs, wrong = parseCLBs(s.IDs, cmp.Or(s.Region, p.Region))
		for _, err := range wrong {
			note("CLB_IDS", err)
		}
	}
	c.Discover, wrong = parseScopes(s.Discover, c.API)
	for _, err := range wrong {
		note("CLB_DISCOVER", err)
	}
	c.Silences, wrong = parseWindows(s.Silences)
	for _, err := range wrong {
		note("SILENCES", err)
	}
	c.Endpoint, err = parseEndpoint(s.Endpoint, "https://lb.api.qcloud.com/v2/index.php")
	note("CLB_ENDPOINT", err)
	c.EndpointV3, err = parseEndpoint(s.V3, "https://clb.tencentcloudapi.com")
	note("CLB_V3_ENDPOINT", err)
	c.Slack, wrong = parseSlack(s)
	errs = append(errs, wrong...)
	c.Heartbeat, err = parseHeartbeat(s.Beat, c.Shard.String())
	note("HEARTBEAT_URL", err)
	c.State, err = parseState(s.State, p)
	note("STATE_URL", err)
	c.Deploy, wrong = parseDeploy(s)
	errs = append(errs, wrong...)
	if err := c.credentials(p); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

// parseInto fills one struct and names the variable, and not its value if that is a secret, of each that is
// wrong.
func parseInto(into any, environ map[string]string) []error {
	err := env.ParseWithOptions(into, env.Options{Environment: environ})
	var all env.AggregateError
	if !errors.As(err, &all) {
		if err != nil {
			return []error{err}
		}
		return nil
	}
	var errs []error
	for _, err := range all.Errors {
		var pe env.ParseError
		if !errors.As(err, &pe) {
			errs = append(errs, err)
			continue
		}
		field, _ := reflect.TypeOf(into).Elem().FieldByName(pe.Name)
		name := field.Tag.Get("env")
		errs = append(errs, fmt.Errorf("%s is %.40q, expected %s", name, environ[name], field.Tag.Get("expect")))
	}
	return errs
}

func parseEndpoint(s, like string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery ||
		u.Fragment != "" {
		return nil, fmt.Errorf("is not a URL like %s", like)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("has the scheme %.10q, expected https, or http for this machine only", u.Scheme)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// credentials takes those of SCF, which come with each invocation, else those that the official SDK looks
// for.
func (c *Config) credentials(p platform) error {
	id, key := "TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY"
	c.SecretID, c.SecretKey, c.Token = p.SCFID, p.SCFKey, p.SCFToken
	if c.SecretID == "" && c.SecretKey == "" {
		id, key = "TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"
		c.SecretID, c.SecretKey, c.Token = p.SDKID, p.SDKKey, p.SDKToken
	}
	switch {
	case c.SecretID != "" && c.SecretKey != "":
		return nil
	case c.SecretID != "":
		return fmt.Errorf("%s is set and %s is not; both are needed", id, key)
	case c.SecretKey != "":
		return fmt.Errorf("%s is set and %s is not; both are needed", key, id)
	case p.onSCF():
		return errors.New("no credentials came with the invocation: the function has no execution role; see " +
			"docs/deploy.md")
	}
	return fmt.Errorf("%s and %s are not set; they sign the API calls", id, key)
}
