// Package config reads every setting from the environment, and reports all that is wrong with them at once. It never
// prints a secret and never falls back to a default where a value was given and is wrong.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caarlos0/env/v11"

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
	CLBs       []watch.CLB // sorted by key, each once
	Endpoint   *url.URL    // of API 2.0
	Rate       float64     // API calls a second
	BlindAfter int         // ticks without a reading before people are told
	Webhook    Secret      // "" if none is set
	StateDir   string      // absolute path
	LogLevel   slog.Level

	SecretID  string
	SecretKey Secret
	Token     Secret // "" for long-term keys
}

// settings is the environment as it comes. README's table of settings is held against it by a test.
type settings struct {
	IDs      string     `env:"CLB_IDS"`
	Region   string     `env:"CLB_REGION"`
	Endpoint string     `env:"CLB_ENDPOINT"      envDefault:"https://lb.api.qcloud.com/v2/index.php"`
	Rate     float64    `env:"CLB_RATE"          envDefault:"20"   expect:"a number of calls a second, 0.1 to 100000"`
	Blind    int        `env:"CLB_BLIND_AFTER"   envDefault:"3"    expect:"a number of ticks, 1 to 1000"`
	Webhook  Secret     `env:"SLACK_WEBHOOK_URL"`
	State    string     `env:"STATE_URL"`
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
	Home      string `env:"HOME"`
}

func (p platform) onSCF() bool { return p.RunEnv == "SCF" }

// Parse reads the settings. Its error names every setting that is wrong, and says what was expected.
func Parse(environ map[string]string) (*Config, error) {
	trimmed := make(map[string]string, len(environ))
	for k, v := range environ {
		if v = strings.TrimSpace(v); v != "" { // set to nothing is not set
			trimmed[k] = v
		}
	}
	var s settings
	var p platform
	errs := parseInto(&s, trimmed)
	errs = append(errs, parseInto(&p, trimmed)...)

	c := &Config{Rate: s.Rate, BlindAfter: s.Blind, Webhook: s.Webhook, LogLevel: s.Level}
	note := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %w", name, err))
		}
	}
	var err error
	c.CLBs, err = parseCLBs(s.IDs, cmp.Or(s.Region, p.Region))
	note("CLB_IDS", err)
	c.Endpoint, err = parseEndpoint(s.Endpoint)
	note("CLB_ENDPOINT", err)
	c.StateDir, err = stateDir(s.State, p)
	note("STATE_URL", err)
	if len(errs) == 0 {
		note("CLB_RATE", between(s.Rate, 0.1, 100_000))
		note("CLB_BLIND_AFTER", between(s.Blind, 1, 1000))
	}
	if err := c.credentials(p); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

// parseInto fills one struct and names the variable, and not its value if that is a secret, of each that is wrong.
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

func between[T int | float64](v, low, high T) error {
	if v >= low && v <= high {
		return nil
	}
	return fmt.Errorf("is %v, expected %v to %v", v, low, high)
}

var (
	regionForm = regexp.MustCompile(`^[a-z][a-z0-9-]{1,39}$`)
	idForm     = regexp.MustCompile(`^[a-z]{1,8}-?[A-Za-z0-9]{4,60}$`)
)

// parseCLBs reads "[region/]lb-id[=label]", separated by commas or spaces.
func parseCLBs(s, region string) ([]watch.CLB, error) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(words) == 0 {
		return nil, errors.New("is not set; expected [region/]lb-id[=label], separated by commas; see README, Settings")
	}
	var clbs []watch.CLB
	seen := make(map[string]bool)
	for _, word := range words {
		c := watch.CLB{Region: region, ID: word}
		c.ID, c.Label, _ = strings.Cut(c.ID, "=")
		if r, id, ok := strings.Cut(c.ID, "/"); ok {
			c.Region, c.ID = r, id
		}
		switch {
		case !idForm.MatchString(c.ID):
			return nil, fmt.Errorf("has %.60q, expected [region/]lb-id[=label], such as ap-guangzhou/lb-byhpduqt=web", word)
		case c.Region == "":
			return nil, fmt.Errorf("has %.60q without a region, and CLB_REGION is not set", word)
		case !regionForm.MatchString(c.Region):
			return nil, fmt.Errorf("has %.60q with the region %.40q, expected one like ap-guangzhou", word, c.Region)
		case utf8.RuneCountInString(c.Label) > 48:
			return nil, fmt.Errorf("has a label of more than 48 characters for %s", c.ID)
		case seen[c.Key()]:
			return nil, fmt.Errorf("has %s twice", c.Key())
		}
		seen[c.Key()] = true
		clbs = append(clbs, c)
	}
	slices.SortFunc(clbs, func(a, b watch.CLB) int { return cmp.Compare(a.Key(), b.Key()) })
	return clbs, nil
}

func parseEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, errors.New("is not a URL like https://lb.api.qcloud.com/v2/index.php")
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

// stateDir is the folder that STATE_URL names, or the user's own on a laptop.
func stateDir(s string, p platform) (string, error) {
	if s == "" {
		home := p.StateHome
		if home == "" && p.Home != "" {
			home = filepath.Join(p.Home, ".local", "state")
		}
		if p.onSCF() || home == "" {
			return "", errors.New("is not set; expected file:///dir, a folder that outlives the instance, such as a CFS mount")
		}
		return filepath.Join(home, "clbwatch"), nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "file" || u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("is %.80q, expected file:///dir", s)
	}
	dir := filepath.Clean(u.Path)
	if p.onSCF() && (dir == "/tmp" || strings.HasPrefix(dir, "/tmp/")) {
		return "", fmt.Errorf("is %.80q: on SCF /tmp dies with the instance, and with it alerts that are owed; expected a folder "+
			"that outlives it, such as a CFS mount", s)
	}
	return dir, nil
}

// credentials takes those of SCF, which come with each invocation, else those that the official SDK looks for.
func (c *Config) credentials(p platform) error {
	c.SecretID, c.SecretKey, c.Token = p.SCFID, p.SCFKey, p.SCFToken
	if c.SecretID == "" && c.SecretKey == "" {
		c.SecretID, c.SecretKey, c.Token = p.SDKID, p.SDKKey, p.SDKToken
	}
	switch {
	case c.SecretID != "" && c.SecretKey != "":
		return nil
	case c.SecretID != "":
		return errors.New("TENCENTCLOUD_SECRET_ID is set and TENCENTCLOUD_SECRET_KEY is not; both are needed")
	case c.SecretKey != "":
		return errors.New("TENCENTCLOUD_SECRET_KEY is set and TENCENTCLOUD_SECRET_ID is not; both are needed")
	case p.onSCF():
		return errors.New("no credentials came with the invocation: the function has no execution role; see README, Deploy")
	}
	return errors.New("TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are not set; they sign the API calls")
}
