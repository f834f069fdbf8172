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
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caarlos0/env/v11"

	"clbwatch/internal/lb"
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
	Discover   []watch.Scope // each once
	Shard      watch.Shard
	Health     bool
	API        string   // v2, v3 or auto
	Endpoint   *url.URL // of API 2.0
	EndpointV3 *url.URL // of API 3.0
	Rate       float64  // API calls a second
	BlindAfter int      // ticks without a reading before people are told
	Slack      Slack
	State      State
	LogLevel   slog.Level

	SecretID  string
	SecretKey Secret
	Token     Secret // "" for long-term keys
}

// Slack is where messages go: by bot if Token is set, else to the webhook, if that is.
type Slack struct {
	Webhook   Secret
	Token     Secret
	Channel   string // the ID of the bot's channel
	APIURL    string // ends in "/"
	Mention   string // the ID of a user or user group, or "here", "channel", "everyone"; "" for nobody
	MentionAt int    // percent of a load balancer's weight lost
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

// settings is the environment as it comes. README's table of settings is held against it by a test.
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
	Mention  string     `env:"SLACK_MENTION"`
	At       percent    `env:"SLACK_MENTION_AT"  envDefault:"50"   expect:"a percentage of a load balancer's weight, 1 to 100"`
	SlackAPI string     `env:"SLACK_API_URL"     envDefault:"https://slack.com/api/"`
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
	CacheHome string `env:"XDG_CACHE_HOME"`
	Home      string `env:"HOME"`
}

func (p platform) onSCF() bool { return p.RunEnv == "SCF" }

// Parse reads the settings. Its error names every setting that is wrong, and says what was expected.
func Parse(environ map[string]string) (*Config, error) {
	trimmed := make(map[string]string, len(environ))
	for k, v := range environ {
		if v = strings.TrimSpace(v); k != "" && v != "" { // set to nothing is not set; and env takes no name for that of a part
			trimmed[k] = v
		}
	}
	var s settings
	var p platform
	errs := parseInto(&s, trimmed)
	errs = append(errs, parseInto(&p, trimmed)...)

	c := &Config{API: string(s.API), Health: s.Health == "on", Shard: watch.Shard(s.Shard), Rate: float64(s.Rate), BlindAfter: int(s.Blind), LogLevel: s.Level}
	note := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %w", name, err))
		}
	}
	var wrong []error
	var err error
	if s.IDs != "" || s.Discover == "" {
		c.CLBs, wrong = parseCLBs(s.IDs, cmp.Or(s.Region, p.Region))
		for _, err := range wrong {
			note("CLB_IDS", err)
		}
	}
	c.Discover, wrong = parseScopes(s.Discover, c.API)
	for _, err := range wrong {
		note("CLB_DISCOVER", err)
	}
	c.Endpoint, err = parseEndpoint(s.Endpoint, "https://lb.api.qcloud.com/v2/index.php")
	note("CLB_ENDPOINT", err)
	c.EndpointV3, err = parseEndpoint(s.V3, "https://clb.tencentcloudapi.com")
	note("CLB_V3_ENDPOINT", err)
	c.Slack, wrong = parseSlack(s)
	errs = append(errs, wrong...)
	c.State, err = parseState(s.State, p)
	note("STATE_URL", err)
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

// rate is a number of calls a second. The bounds only catch mistakes: what an account may is the platform's to say.
type rate float64

// UnmarshalText reads a rate, and takes none beyond its bounds.
func (r *rate) UnmarshalText(b []byte) error {
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(v >= 0.1 && v <= 100_000) { // NaN is neither
		return errBounds
	}
	*r = rate(v)
	return nil
}

// ticks is a number of ticks.
type ticks int

// UnmarshalText reads a number of ticks, and takes none beyond its bounds.
func (t *ticks) UnmarshalText(b []byte) error {
	v, err := strconv.Atoi(string(b))
	if err != nil || v < 1 || v > 1000 {
		return errBounds
	}
	*t = ticks(v)
	return nil
}

// version says which API is asked.
type version string

// UnmarshalText reads v2, v3 or auto.
func (v *version) UnmarshalText(b []byte) error {
	switch s := string(b); s {
	case "v2", "v3", "auto":
		*v = version(s)
		return nil
	}
	return errBounds
}

// onOff is a switch.
type onOff string

// UnmarshalText reads on or off.
func (o *onOff) UnmarshalText(b []byte) error {
	if s := string(b); s != "on" && s != "off" {
		return errBounds
	}
	*o = onOff(b)
	return nil
}

// shard is a part of the load balancers.
type shard watch.Shard

// UnmarshalText reads N/M, with N from 1 to M.
func (s *shard) UnmarshalText(b []byte) error {
	n, of, ok := strings.Cut(string(b), "/")
	var err1, err2 error
	s.N, err1 = strconv.Atoi(n)
	s.Of, err2 = strconv.Atoi(of)
	if !ok || err1 != nil || err2 != nil || s.N < 1 || s.N > s.Of || s.Of > watch.MaxShards {
		return errBounds
	}
	return nil
}

// percent is a share in hundredths.
type percent int

// UnmarshalText reads a percentage, and takes none beyond its bounds.
func (p *percent) UnmarshalText(b []byte) error {
	v, err := strconv.Atoi(string(b))
	if err != nil || v < 1 || v > 100 {
		return errBounds
	}
	*p = percent(v)
	return nil
}

var errBounds = errors.New("not a number within the bounds") // parseInto says which

var (
	regionForm = regexp.MustCompile(`^[a-z]{2,20}(-[a-z0-9]{1,20}){1,3}$`)
	idForm     = regexp.MustCompile(`^[a-z]{1,8}-?[A-Za-z0-9]{4,60}$`)
)

// parseCLBs reads "[region/]lb-id[=label]", separated by commas or spaces.
func parseCLBs(s, region string) ([]lb.CLB, []error) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(words) == 0 {
		return nil, []error{errors.New("is not set, and neither is CLB_DISCOVER; expected [region/]lb-id[=label], separated by commas; see README, Settings")}
	}
	var clbs []lb.CLB
	var errs []error
	seen := make(map[string]bool)
	for _, word := range words {
		c, err := parseCLB(word, region)
		if err == nil && seen[c.Key()] {
			err = fmt.Errorf("has %s twice", c.Key())
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		seen[c.Key()] = true
		clbs = append(clbs, c)
	}
	slices.SortFunc(clbs, func(a, b lb.CLB) int { return cmp.Compare(a.Key(), b.Key()) })
	return clbs, errs
}

func parseCLB(word, region string) (lb.CLB, error) {
	c := lb.CLB{Region: region, ID: word}
	c.ID, c.Label, _ = strings.Cut(c.ID, "=")
	if r, id, ok := strings.Cut(c.ID, "/"); ok {
		c.Region, c.ID = r, id
	}
	switch {
	case !idForm.MatchString(c.ID):
		return c, fmt.Errorf("has %.60q, expected [region/]lb-id[=label], such as ap-guangzhou/lb-byhpduqt=web", word)
	case c.Region == "":
		return c, fmt.Errorf("has %.60q without a region, and CLB_REGION is not set", word)
	case !regionForm.MatchString(c.Region):
		return c, fmt.Errorf("has %.60q with the region %.40q, expected one like ap-guangzhou", word, c.Region)
	case utf8.RuneCountInString(c.Label) > 48:
		return c, fmt.Errorf("has a label of more than 48 characters for %s", c.ID)
	}
	return c, nil
}

// scopeForms is what CLB_DISCOVER may be.
const scopeForms = "region, region/name-* or region/tag:key=value, separated by commas, such as ap-guangzhou/prod-*"

// parseScopes reads CLB_DISCOVER.
func parseScopes(s, api string) (scopes []watch.Scope, errs []error) {
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		region, filter, filtered := strings.Cut(word, "/")
		scope := watch.Scope{Region: region}
		tag, isTag := strings.CutPrefix(filter, "tag:")
		if isTag {
			scope.Key, scope.Tag, isTag = strings.Cut(tag, "=")
			filtered = isTag && scope.Key != ""
		} else {
			scope.Glob = filter
		}
		_, bad := path.Match(scope.Glob, "")
		switch {
		case !regionForm.MatchString(region):
			errs = append(errs, fmt.Errorf("has the region %.40q, expected %s", region, scopeForms))
		case bad != nil || strings.HasSuffix(word, "/") || strings.HasPrefix(filter, "tag:") && !filtered || len(filter) > 128:
			errs = append(errs, fmt.Errorf("has %.80q, expected %s", word, scopeForms))
		case scope.Key != "" && api == "v2":
			errs = append(errs, fmt.Errorf("has %.80q, and CLB_API is v2: only API 3.0 tells tags", word))
		case slices.Contains(scopes, scope):
			errs = append(errs, fmt.Errorf("has %.80q twice", word))
		default:
			scopes = append(scopes, scope)
		}
	}
	return scopes, errs
}

func parseEndpoint(s, like string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
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

// stateForms is what STATE_URL may be.
const stateForms = "cos://bucket-appid/prefix?region=ap-guangzhou or file:///dir"

var (
	bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,58}-[0-9]{4,20}$`)
	prefixForm = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)
)

// parseState reads STATE_URL. On a laptop the default is the user's own folder.
func parseState(s string, p platform) (State, error) {
	if s == "" {
		home := p.StateHome
		if !filepath.IsAbs(home) && p.Home != "" { // a relative one is to be ignored, says its specification
			home = filepath.Join(p.Home, ".local", "state")
		}
		if p.onSCF() || !filepath.IsAbs(home) {
			return State{}, errors.New("is not set; expected " + stateForms)
		}
		return State{Dir: filepath.Join(home, "clbwatch")}, nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.User != nil || u.Fragment != "" || strings.Contains(u.Path, "\x00"): // no file has that in its name
		return State{}, fmt.Errorf("is not a URL, expected %s", stateForms)
	case u.Scheme == "cos":
		return parseCOS(u, p)
	case u.Scheme != "file" || u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "":
		return State{}, fmt.Errorf("is %.80q, expected %s", s, stateForms)
	}
	dir := filepath.Clean(u.Path)
	if p.onSCF() && (dir == "/tmp" || strings.HasPrefix(dir, "/tmp/")) {
		return State{}, fmt.Errorf("is %.80q: on SCF /tmp dies with the instance, and with it alerts that are owed; expected a place "+
			"that outlives it, such as %s", s, stateForms)
	}
	return State{Dir: dir}, nil
}

func parseCOS(u *url.URL, p platform) (State, error) {
	query := u.Query()
	state := State{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Region: cmp.Or(query.Get("region"), p.Region)}
	if e := query.Get("endpoint"); e != "" {
		var err error
		if state.Endpoint, err = parseEndpoint(e, "https://bucket-appid.cos-internal.ap-guangzhou.tencentcos.cn"); err != nil {
			return State{}, fmt.Errorf("has an endpoint that %w", err)
		}
	}
	if !p.onSCF() {
		switch {
		case filepath.IsAbs(p.CacheHome):
			state.Cache = p.CacheHome
		case filepath.IsAbs(p.Home):
			state.Cache = filepath.Join(p.Home, ".cache")
		}
	}
	query.Del("region")
	query.Del("endpoint")
	switch {
	case !bucketForm.MatchString(state.Bucket):
		return State{}, fmt.Errorf("has the bucket %.80q, expected its whole name with the appid, such as ops-1250000000", state.Bucket)
	case !prefixForm.MatchString(state.Prefix) || len(state.Prefix) > 200 || path.Clean(state.Prefix) != state.Prefix ||
		strings.HasPrefix(state.Prefix, ".."):
		return State{}, fmt.Errorf("has the prefix %.80q, expected one of letters, digits, '.', '_', '-' and '/', such as clbwatch", state.Prefix)
	case !regionForm.MatchString(state.Region):
		return State{}, fmt.Errorf("has the region %.40q, expected one like ap-guangzhou", state.Region)
	case len(query) > 0:
		return State{}, errors.New("has more than region and endpoint behind its question mark")
	}
	return state, nil
}

// credentials takes those of SCF, which come with each invocation, else those that the official SDK looks for.
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
		return errors.New("no credentials came with the invocation: the function has no execution role; see README, Deploy")
	}
	return fmt.Errorf("%s and %s are not set; they sign the API calls", id, key)
}
