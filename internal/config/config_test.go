package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
)

const console = "https://console.cloud.tencent.com"

// laptop is an environment in which everything is well.
var laptop = map[string]string{
	"CLB_IDS": "lb-byhpduqt", "CLB_REGION": "ap-guangzhou", "HOME": "/home/me",
	"TENCENTCLOUD_SECRET_ID": "AKIDlaptop", "TENCENTCLOUD_SECRET_KEY": "laptop-key",
}

func with(pairs ...string) map[string]string {
	m := maps.Clone(laptop)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func onSCF(pairs ...string) map[string]string {
	m := with("TENCENTCLOUD_RUNENV", "SCF", "TENCENTCLOUD_REGION", "ap-shanghai", "STATE_URL",
		"file:///mnt/state",
		"TENCENTCLOUD_SECRETID", "AKIDrole", "TENCENTCLOUD_SECRETKEY", "role-key", "TENCENTCLOUD_SESSIONTOKEN",
		"role-token")
	for _, k := range []string{"HOME", "TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "CLB_REGION"} {
		delete(m, k)
	}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func ExampleParse() {
	_, err := Parse(map[string]string{"CLB_IDS": "lb-byhpduqt", "CLB_RATE": "fast", "STATE_URL": "/var/lib",
		"SLACK_WEBHOOK_URL": "https://x"})
	fmt.Println(err)
	// Output:
	// CLB_RATE is "fast", expected a number of calls a second, 0.1 to 100000
	// CLB_IDS has "lb-byhpduqt" without a region, and CLB_REGION is not set
	// STATE_URL is "/var/lib", expected cos://bucket-appid/prefix?region=ap-guangzhou or file:///dir
	// TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are not set; they sign the API calls
}

func TestParse(t *testing.T) {
	t.Parallel()
	c, err := Parse(laptop)
	if err != nil {
		t.Fatal(err)
	}
	if c.Endpoint.String() != "https://lb.api.qcloud.com/v2/index.php" || c.Rate != 20 || c.BlindAfter != 3 ||
		c.LogLevel != slog.LevelInfo ||
		c.State.Dir != "/home/me/.local/state/clbwatch" || c.SecretID != "AKIDlaptop" ||
		c.SecretKey.Reveal() != "laptop-key" || c.Token != "" || c.Slack.Webhook != "" {
		t.Errorf("the defaults are %+v", c)
	}
	c, err = Parse(onSCF("CLB_RATE", "0.5", "CLB_BLIND_AFTER", "10", "LOG_LEVEL", "debug", "SLACK_WEBHOOK_URL",
		" https://hooks.slack.com/x\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Rate != 0.5 || c.BlindAfter != 10 || c.LogLevel != slog.LevelDebug || c.State.Dir != "/mnt/state" ||
		c.CLBs[0].Region != "ap-shanghai" ||
		c.SecretID != "AKIDrole" || c.SecretKey.Reveal() != "role-key" || c.Token.Reveal() != "role-token" ||
		c.Slack.Webhook.Reveal() != "https://hooks.slack.com/x" {
		t.Errorf("on SCF: %+v", c)
	}
	both := onSCF("TENCENTCLOUD_SECRET_ID", "AKIDold", "TENCENTCLOUD_SECRET_KEY", "old-key",
		"TENCENTCLOUD_TOKEN", "old-token")
	if c, err := Parse(both); err != nil || c.SecretID != "AKIDrole" || c.Token.Reveal() != "role-token" {
		t.Errorf("with both kinds of credentials: %+v, %v, want those of the invocation", c, err)
	}
	cos := onSCF("STATE_URL", "cos://ops-1250000000/watch/one/?endpoint=https://ops-1250000000.cos-internal.ap-shanghai.tencentcos.cn")
	if c, err := Parse(cos); err != nil || c.State.Bucket != "ops-1250000000" || c.State.Prefix != "watch/one" ||
		c.State.Region != "ap-shanghai" ||
		c.State.Endpoint.Host != "ops-1250000000.cos-internal.ap-shanghai.tencentcos.cn" || c.State.Dir != "" {
		t.Errorf("with state in COS: %+v, %v", c.State, err)
	}
	if c, err := Parse(with("TENCENTCLOUD_TOKEN", "laptop-token")); err != nil ||
		c.Token.Reveal() != "laptop-token" {
		t.Errorf("with a temporary key: %+v, %v, want its token", c, err)
	}
	if c, err := Parse(with("XDG_STATE_HOME", "rel")); err != nil ||
		c.State.Dir != "/home/me/.local/state/clbwatch" {
		t.Errorf("with a relative XDG_STATE_HOME: %+v, %v, want it ignored", c, err)
	}
	if c, err := Parse(with("XDG_STATE_HOME", "/s")); err != nil || c.State.Dir != "/s/clbwatch" {
		t.Errorf("with XDG_STATE_HOME: %+v, %v", c, err)
	}
}

func TestParseCLBs(t *testing.T) {
	t.Parallel()
	gz, sh := "ap-guangzhou", "ap-shanghai"
	tests := []struct {
		ids  string
		want []lb.CLB
		err  string
	}{
		{"lb-byhpduqt", []lb.CLB{{Region: gz, ID: "lb-byhpduqt"}}, ""},
		{"lb-byhpduqt=web", []lb.CLB{{Region: gz, ID: "lb-byhpduqt", Label: "web"}}, ""},
		{"lb-byhpduqt=生产", []lb.CLB{{Region: gz, ID: "lb-byhpduqt", Label: "生产"}}, ""},
		{"lb-byhpduqt=a/b", []lb.CLB{{Region: gz, ID: "lb-byhpduqt", Label: "a/b"}}, ""},
		{"lb-zzzz1111, ap-shanghai/lb-aaaa1111=x\n lb-aaaa1111,,", []lb.CLB{
			{Region: gz, ID: "lb-aaaa1111"}, {Region: gz, ID: "lb-zzzz1111"}, {Region: sh, ID: "lb-aaaa1111",
				Label: "x"},
		}, ""},
		{"gz/lb-byhpduqt", nil, "expected one like ap-guangzhou"},
		{"lb! lb-byhpduqt=" + strings.Repeat("x", 49), nil, "more than 48 characters"}, // all that is wrong
		{"", nil, "CLB_IDS is not set"},
		{" , ", nil, "CLB_IDS is not set"},
		{"lb-byhpduqt lb-byhpduqt=x", nil, "CLB_IDS has ap-guangzhou/lb-byhpduqt twice"},
		{`lb-"evil`, nil, `expected [region/]lb-id[=label]`},
		{"=web", nil, `expected [region/]lb-id[=label]`},
		{"lb-byhpduqt;lb-aaaa1111", nil, `expected [region/]lb-id[=label]`},
		{"Guangzhou!/lb-byhpduqt", nil, "expected one like ap-guangzhou"},
		{"lb-byhpduqt=" + strings.Repeat("x", 49), nil, "more than 48 characters"},
	}
	for _, tt := range tests {
		c, err := Parse(with("CLB_IDS", tt.ids))
		if tt.err == "" && (err != nil || !reflect.DeepEqual(c.CLBs, tt.want)) {
			t.Errorf("CLB_IDS=%q: %+v, %v, want %+v", tt.ids, c.CLBs, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("CLB_IDS=%q: %v, want an error with %q", tt.ids, err, tt.err)
		}
	}
}

func TestParseDiscover(t *testing.T) {
	t.Parallel()
	tests := []struct {
		discover string
		want     []watch.Scope
		err      string
	}{
		{"ap-guangzhou", []watch.Scope{{Region: "ap-guangzhou"}}, ""},
		{"ap-guangzhou,ap-shanghai/prod-*, ap-hongkong/tag:env=prod", []watch.Scope{
			{Region: "ap-guangzhou"}, {Region: "ap-shanghai", Glob: "prod-*"}, {Region: "ap-hongkong", Key: "env",
				Tag: "prod"},
		}, ""},
		{"ap-guangzhou/tag:team=a=b", []watch.Scope{{Region: "ap-guangzhou", Key: "team", Tag: "a=b"}}, ""},
		{"ap-guangzhou/tag:team=", []watch.Scope{{Region: "ap-guangzhou", Key: "team"}}, ""},
		{"gz", nil, `the region "gz"`},
		{"ap-guangzhou/", nil, `"ap-guangzhou/"`},
		{"ap-guangzhou/tag:team", nil, `"ap-guangzhou/tag:team"`},
		{"ap-guangzhou/tag:=x", nil, `"ap-guangzhou/tag:=x"`},
		{"ap-guangzhou/[", nil, `"ap-guangzhou/["`},
		{"ap-guangzhou/a ap-guangzhou/a", nil, `"ap-guangzhou/a" twice`},
	}
	for _, tt := range tests {
		env := with("CLB_DISCOVER", tt.discover)
		delete(env, "CLB_IDS") // it is not needed then
		c, err := Parse(env)
		if tt.err == "" && (err != nil || !reflect.DeepEqual(c.Discover, tt.want) || len(c.CLBs) > 0) {
			t.Errorf("CLB_DISCOVER=%q: %+v, %v, want %+v", tt.discover, c.Discover, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), "CLB_DISCOVER has "+tt.err)) {
			t.Errorf("CLB_DISCOVER=%q: %v, want an error with %q", tt.discover, err, tt.err)
		}
	}
	if _, err := Parse(with("CLB_DISCOVER", "ap-guangzhou/tag:a=b", "CLB_API", "v2")); err == nil ||
		!strings.Contains(err.Error(), "only API 3.0") {
		t.Errorf("a tag by API 2.0: %v, want an error", err)
	}
}

func TestParseShardAndHealth(t *testing.T) {
	t.Parallel()
	if c, err := Parse(with("SHARD", "2/4", "CLB_HEALTH", "on")); err != nil ||
		c.Shard != (state.Shard{N: 2, Of: 4}) || !c.Health {
		t.Errorf("shard 2/4 with health: %+v, %v", c, err)
	}
	if c, err := Parse(laptop); err != nil || c.Shard != (state.Shard{}) || c.Health {
		t.Errorf("by default: %+v, %v, want no shard and no health", c, err)
	}
	for _, wrong := range []string{"2", "0/4", "5/4", "1/65", "a/b", "1/", "-1/2", "1/2/3"} {
		if _, err := Parse(with("SHARD", wrong)); err == nil || !strings.Contains(err.Error(), "SHARD is") ||
			!strings.Contains(err.Error(), "2/4") {
			t.Errorf("SHARD=%s: %v, want an error that says what it may be", wrong, err)
		}
	}
	if _, err := Parse(with("CLB_HEALTH", "yes")); err == nil ||
		!strings.Contains(err.Error(), `CLB_HEALTH is "yes", expected on or off`) {
		t.Errorf("CLB_HEALTH=yes: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  map[string]string
		want string
	}{
		{"no role on SCF", onSCF("TENCENTCLOUD_SECRETID", "", "TENCENTCLOUD_SECRETKEY", ""), "no execution role"},
		{"half a role's key", onSCF("TENCENTCLOUD_SECRETKEY", ""), "TENCENTCLOUD_SECRETKEY is not"},
		{"half a key", with("TENCENTCLOUD_SECRET_KEY", ""), "TENCENTCLOUD_SECRET_KEY is not"},
		{"the other half", with("TENCENTCLOUD_SECRET_ID", ""), "TENCENTCLOUD_SECRET_ID is not"},
		{"no state on SCF", onSCF("STATE_URL", ""), "STATE_URL is not set"},
		{"state in /tmp on SCF", onSCF("STATE_URL", "file:///tmp/x"), "dies with the instance"},
		{"state in /tmp on SCF, disguised", onSCF("STATE_URL", "file:///var/../tmp"), "dies with the instance"},
		{"state elsewhere", with("STATE_URL", "s3://bucket/x"), "or file:///dir"},
		{"bucket without its appid", with("STATE_URL", "cos://bucket/x?region=ap-guangzhou"), "the appid"},
		{"no prefix", with("STATE_URL", "cos://bucket-1250000000?region=ap-guangzhou"), "the prefix"},
		{"a prefix with surprises", with("STATE_URL", "cos://bucket-1250000000/a%20b?region=ap-guangzhou"),
			"the prefix"},
		{"a prefix that leads elsewhere", with("STATE_URL", "cos://bucket-1250000000/a/../b?region=ap-guangzhou"),
			"the prefix"},
		{"a prefix that leads up", with("STATE_URL", "cos://bucket-1250000000/../b?region=ap-guangzhou"),
			"the prefix"},
		{"no region", with("STATE_URL", "cos://bucket-1250000000/x"), "the region"},
		{"a misspelt parameter", with("STATE_URL", "cos://bucket-1250000000/x?region=ap-guangzhou&zone=1"),
			"more than region"},
		{"a bad endpoint", with("STATE_URL", "cos://bucket-1250000000/x?region=ap-guangzhou&endpoint=http://example.com"), "has an endpoint that has the scheme"},
		{"a key in it", with("STATE_URL", "cos://AKID:hunter2@bucket-1250000000/x"), "is not a URL"},
		{"state on a host", with("STATE_URL", "file://host/x"), "file:///dir"},
		{"relative state", with("STATE_URL", "file:x"), "file:///dir"},
		{"plain http", with("CLB_ENDPOINT", "http://lb.api.qcloud.com/v2/index.php"),
			"CLB_ENDPOINT has the scheme"},
		{"endpoint without a host", with("CLB_ENDPOINT", "lb.api.qcloud.com"), "CLB_ENDPOINT is not a URL"},
		{"endpoint with a password", with("CLB_ENDPOINT", "https://me:hunter2@x/"), "CLB_ENDPOINT is not a URL"},
		{"rate 0", with("CLB_RATE", "0"), `CLB_RATE is "0", expected a number of calls a second, 0.1 to 100000`},
		{"rate no number", with("CLB_RATE", "NaN"), `CLB_RATE is "NaN", expected`},
		{"blind after 0", with("CLB_BLIND_AFTER", "0"),
			`CLB_BLIND_AFTER is "0", expected a number of ticks, 1 to 1000`},
		{"blind after a while", with("CLB_BLIND_AFTER", "a while"),
			`CLB_BLIND_AFTER is "a while", expected a number of ticks`},
		{"no bot token", with("SLACK_BOT_TOKEN", "xoxp-hunter2", "SLACK_CHANNEL", "C024BE91L"),
			"SLACK_BOT_TOKEN is not a bot token"},
		{"rotating bot token", with("SLACK_BOT_TOKEN", "xoxe.xoxb-1-hunter2", "SLACK_CHANNEL", "C024BE91L"),
			"SLACK_BOT_TOKEN is a rotating token (xoxe)"},
		{"refresh token", with("SLACK_BOT_TOKEN", "xoxe-1-hunter2", "SLACK_CHANNEL", "C024BE91L"),
			"a rotating token"},
		{"bot without a channel", with("SLACK_BOT_TOKEN", "xoxb-hunter2"), "SLACK_CHANNEL is not"},
		{"channel without a bot", with("SLACK_CHANNEL", "C024BE91L"), "SLACK_BOT_TOKEN is not"},
		{"a channel's name", with("SLACK_BOT_TOKEN", "xoxb-1", "SLACK_CHANNEL", "#alerts"),
			"expected one such as C024BE91L"},
		{"a token as the channel", with("SLACK_BOT_TOKEN", "xoxb-1", "SLACK_CHANNEL", "xoxb-hunter2"),
			"expected one such as C024BE91L"},
		{"routes by webhook", with("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/hunter2",
			"SLACK_ROUTES", "a=C024BE91L"),
			"a webhook posts to the channel it was made for, so routes need a bot"},
		{"routes without Slack", with("SLACK_WEBHOOK_URL", "", "SLACK_ROUTES", "a=C024BE91L"),
			"SLACK_ROUTES is set and SLACK_BOT_TOKEN is not; only a bot"},
		{"a token as a route's channel", routed("a=xoxb-hunter2"),
			`SLACK_ROUTES has "a=xox…", which does not end in the ID of a channel`},
		{"a webhook as a route's channel", routed("a=https://hooks.slack.com/hunter2"),
			`SLACK_ROUTES has "a=https://…"`},
		{"a route without a channel", routed("a=C024BE91L,prod-*"),
			`SLACK_ROUTES has "prod-*", expected glob=CHANNEL_ID, separated by commas`},
		{"a route with a channel's name", routed("prod-*=#ops"),
			`"prod-*=#ops", which does not end in the ID of a channel, expected one such as C024BE91L`},
		{"a comma inside a glob", routed("a,b=C024BE91L"), `SLACK_ROUTES has "a", expected glob=CHANNEL_ID`},
		{"a route for nothing", routed(" =C024BE91L"), `SLACK_ROUTES has "=C024BE91L" without a glob`},
		{"a long glob", routed(strings.Repeat("x", 201) + "=C024BE91L"),
			"whose glob has 201 bytes, expected at most 200"},
		{"a glob twice", routed("a=C024BE91L, a=C024BE91M"), `SLACK_ROUTES has the glob "a" twice`},
		{"many routes", routed(manyRoutes(101)), "SLACK_ROUTES has 101 entries, expected at most 100"},
		{"mention by name", with("SLACK_MENTION", "@boss"), "SLACK_MENTION is not a user or group ID"},
		{"mention at nothing", with("SLACK_MENTION_AT", "0"), `SLACK_MENTION_AT is "0", expected a percentage`},
		{"mention beyond all", with("SLACK_MENTION_AT", "101"), `SLACK_MENTION_AT is "101", expected a percentage`},
		{"Slack in the clear", with("SLACK_API_URL", "http://slack.com/api/"), "SLACK_API_URL has the scheme"},
		{"an API of tomorrow", with("CLB_API", "v4"), `CLB_API is "v4", expected v2, v3 or auto`},
		{"too patient", with("STABLE_AFTER", "2h"), `STABLE_AFTER is "2h", expected a time of 1s to 1h`},
		{"not patient", with("STABLE_AFTER", "0s"), `STABLE_AFTER is "0s", expected a time of 1s to 1h`},
		{"held back for ever", with("TRANSIENT_FOR", "61m"), `TRANSIENT_FOR is "61m", expected a time of up to 1h`},
		{"no zone", with("TZ", "Asia/Nowhere"), `TZ is "Asia/Nowhere", expected a time zone`},
		{"no console", with("CONSOLE_URL", "console"), "CONSOLE_URL is not a URL like " + console},
		{"no runbook", with("RUNBOOK_URL", "wiki/{clb}"), "RUNBOOK_URL is not a URL"},
		{"a runbook for nobody", with("RUNBOOK_URL", "https://wiki/{name}"), "RUNBOOK_URL has a brace"},
		{"heartbeat in the clear", with("HEARTBEAT_URL", "http://hc-ping.com/hunter2"),
			"HEARTBEAT_URL is not an https URL"},
		{"no heartbeat", with("HEARTBEAT_URL", "hunter2"), "HEARTBEAT_URL is not a URL like"},
		{"level", with("LOG_LEVEL", "loud"), `LOG_LEVEL is "loud", expected debug, info, warn or error`},
	}
	for _, tt := range tests {
		_, err := Parse(tt.env)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", tt.name, err, tt.want)
		}
		for _, secret := range []string{"laptop-key", "role-key", "role-token", "hunter2"} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error has %q in it: %v", tt.name, secret, err)
			}
		}
	}
}

func TestParseSlack(t *testing.T) {
	t.Parallel()
	want := Slack{Token: "xoxb-1", Channel: "C024BE91L", APIURL: "https://slack.com/api/", MentionAt: 50,
		Console: console}
	if c, err := Parse(with("SLACK_BOT_TOKEN", "xoxb-1", "SLACK_CHANNEL", "C024BE91L")); err != nil ||
		!reflect.DeepEqual(c.Slack, want) {
		t.Errorf("with a bot: %+v, %v, want %+v", c.Slack, err, want)
	}
	for _, who := range []string{"U024BE7LH", "W024BE7LH", "S024BE7LH", "here", "channel", "everyone"} {
		c, err := Parse(with("SLACK_MENTION", who, "SLACK_MENTION_AT", "80", "SLACK_API_URL",
			"http://127.0.0.1:1/api"))
		if want := (Slack{Mention: who, MentionAt: 80, APIURL: "http://127.0.0.1:1/api/",
			Console: console}); err != nil || !reflect.DeepEqual(c.Slack, want) {
			t.Errorf("with a mention: %+v, %v, want %+v", c.Slack, err, want)
		}
	}
}

// TestParseOfAFunctionThatAnswers holds what a function needs that only answers Slack: no token, and no load
// balancers.
func TestParseOfAFunctionThatAnswers(t *testing.T) {
	t.Parallel()
	const secret = "8f742231b10e8888abcd99baac85a5e1"
	for name, env := range map[string]map[string]string{
		"only answers":            onSCF("SLACK_SIGNING_SECRET", secret, "SLACK_CHANNEL", "C024BE91L", "CLB_IDS", ""),
		"answers where routes go": onSCF("SLACK_SIGNING_SECRET", secret, "SLACK_ROUTES", "a*=C024BE91M", "CLB_IDS", ""),
		"knows the names":         onSCF("SLACK_SIGNING_SECRET", secret, "SLACK_CHANNEL", "C024BE91L"),
		"posts by webhook, too": with("SLACK_SIGNING_SECRET", secret, "SLACK_CHANNEL", "C024BE91L",
			"SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/1"),
		"posts by bot, too": with("SLACK_SIGNING_SECRET", secret, "SLACK_CHANNEL", "C024BE91L",
			"SLACK_BOT_TOKEN", "xoxb-1"),
		"posts by webhook, and answers elsewhere": with("SLACK_SIGNING_SECRET", secret,
			"SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/1"),
	} {
		if c, err := Parse(env); err != nil || c.Slack.Signing.Reveal() != secret {
			t.Errorf("%s: %v, want no error", name, err)
		}
	}
	for name, tt := range map[string]struct {
		env  map[string]string
		want string
	}{
		"a webhook posts to load balancers": {with("SLACK_SIGNING_SECRET", secret, "CLB_IDS", "",
			"SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/1"), "CLB_IDS"},
		"routes by webhook": {with("SLACK_SIGNING_SECRET", secret, "SLACK_ROUTES", "a=C024BE91M",
			"SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/1"), "routes need a bot"},
		"a token for a secret": {with("SLACK_SIGNING_SECRET", "xoxb-hunter2"), "SLACK_SIGNING_SECRET is not"},
		"a URL for a secret":   {with("SLACK_SIGNING_SECRET", "https://hunter2"), "SLACK_SIGNING_SECRET is not"},
		"words for a secret":   {with("SLACK_SIGNING_SECRET", "hunter2 x"), "SLACK_SIGNING_SECRET is not"},
		"a channel's name": {with("SLACK_SIGNING_SECRET", secret, "SLACK_CHANNEL", "#alerts"),
			"SLACK_CHANNEL is not a channel's ID"},
	} {
		if _, err := Parse(tt.env); err == nil || !strings.Contains(err.Error(), tt.want) ||
			strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q, and no secret", name, err, tt.want)
		}
	}
}

// routed is an environment with a bot and routes.
func routed(routes string) map[string]string {
	return with("SLACK_BOT_TOKEN", "xoxb-1", "SLACK_CHANNEL", "C024BE91L", "SLACK_ROUTES", routes)
}

func manyRoutes(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("prod-%d-*=C024BE91L", i))
	}
	return strings.Join(all, ",")
}

func TestParseRoutes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]Route{
		"prod-*=C0PAYMENTS":               {{"prod-*", "C0PAYMENTS"}},
		" b = C0000000B ,,\n*=C0000000A,": {{"b", "C0000000B"}, {"*", "C0000000A"}}, // in order
		// The last = separates.
		"a=b=C0000000A":                         {{"a=b", "C0000000A"}},
		"生产 集群?=C0000000A":                      {{"生产 集群?", "C0000000A"}},
		strings.Repeat("x", 200) + "=G0000000A": {{strings.Repeat("x", 200), "G0000000A"}},
		",":                                     nil,
	} {
		c, err := Parse(routed(in))
		if err != nil || !reflect.DeepEqual(c.Slack.Routes, want) || c.Slack.Channel != "C024BE91L" {
			t.Errorf("SLACK_ROUTES=%q is read as %q, %v, want %q", in, c.Slack.Routes, err, want)
		}
	}
	if c, err := Parse(routed(manyRoutes(100))); err != nil || len(c.Slack.Routes) != 100 {
		t.Errorf("100 routes: %d, %v", len(c.Slack.Routes), err)
	}
}

func TestParsePatienceAndLinks(t *testing.T) {
	t.Parallel()
	c, err := Parse(laptop)
	if err != nil || c.StableAfter != 10*time.Minute || c.TransientFor != 0 || c.Zone != time.UTC ||
		c.Heartbeat != "" {
		t.Errorf("by default: %v, %v, %v, heartbeat %v, %v", c.StableAfter, c.TransientFor, c.Zone,
			c.Heartbeat != "", err)
	}
	c, err = Parse(with("STABLE_AFTER", "90s", "TRANSIENT_FOR", "2m", "TZ", "Asia/Shanghai", "SHARD", "2/4",
		"CONSOLE_URL", "https://console.tencentcloud.com/", "RUNBOOK_URL",
		"https://wiki.example.com/{region}/{clb}?l={label}",
		"HEARTBEAT_URL", "https://hc-ping.com/key/clb-{shard}"))
	if err != nil || c.StableAfter != 90*time.Second || c.TransientFor != 2*time.Minute ||
		c.Zone.String() != "Asia/Shanghai" ||
		c.Slack.Console != "https://console.tencentcloud.com" || !strings.Contains(c.Slack.Runbook, "{clb}") ||
		c.Heartbeat.Reveal() != "https://hc-ping.com/key/clb-2%2F4" {
		t.Errorf("Parse = %+v, heartbeat %q, %v", c, c.Heartbeat.Reveal(), err)
	}
}

func TestParseTakesTheSandbox(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"http://127.0.0.1:8080/v2/index.php", "http://[::1]:1/", "http://localhost:1/"} {
		if _, err := Parse(with("CLB_ENDPOINT", u)); err != nil {
			t.Errorf("CLB_ENDPOINT=%s: %v", u, err)
		}
	}
}

func TestSecretHides(t *testing.T) {
	t.Parallel()
	s := Secret("hunter2")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "c", &Config{SecretKey: s})
	b, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %s %q %#v %+v %x %s %s", s, s, s, s, Config{Slack: Slack{Webhook: s, Token: s}}, s,
		b, log.String())
	if strings.Contains(shown, "hunter2") || strings.Contains(shown, fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("the secret shows in %s", shown)
	}
}

// TestDocsListEverySetting compares the table of docs/settings.md with the struct.
func TestDocsListEverySetting(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z0-9_]+)` \\| ([^|]*) \\|").FindAllStringSubmatch(string(b), -1) {
		got[m[1]] = strings.Trim(strings.TrimSpace(m[2]), "`")
	}
	want := make(map[string]string)
	for f := range reflect.TypeFor[settings]().Fields() {
		want[f.Tag.Get("env")] = f.Tag.Get("envDefault")
	}
	for name, def := range want {
		if d, ok := got[name]; !ok || def != "" && d != def {
			t.Errorf("docs/settings.md says that the default of %s is %q (in the table: %v), want %q", name, d,
				ok, def)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("docs/settings.md lists settings that do not exist: %v", got)
	}
}

func FuzzParseCLBs(f *testing.F) {
	f.Add("lb-byhpduqt=web, ap-shanghai/lb-aaaa1111")
	f.Fuzz(func(t *testing.T, ids string) {
		clbs, err := parseCLBs(ids, "ap-guangzhou")
		if err != nil {
			return
		}
		for i, c := range clbs {
			if strings.ContainsAny(c.Key(), "\"\\ \n\x00") || c.ID == "" || i > 0 && clbs[i-1].Key() >= c.Key() {
				t.Errorf("CLB_IDS=%q is read as %+v", ids, clbs)
			}
		}
	})
}

func TestSetToNothingIsNotSet(t *testing.T) {
	t.Parallel()
	c, err := Parse(with("CLB_RATE", "", "CLB_BLIND_AFTER", " ", "CLB_ENDPOINT", "", "LOG_LEVEL", "\n",
		"STATE_URL", ""))
	if err != nil || c.Rate != 20 || c.BlindAfter != 3 || c.Endpoint.Host != "lb.api.qcloud.com" ||
		c.LogLevel != slog.LevelInfo {
		t.Errorf("Parse = %+v, %v, want the defaults", c, err)
	}
}

func TestBoundsAreInclusive(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, value string
		ok          bool
	}{
		{"CLB_RATE", "0.1", true}, {"CLB_RATE", "0.09", false}, {"CLB_RATE", "100000", true},
		{"CLB_RATE", "100001", false},
		{"CLB_BLIND_AFTER", "1", true}, {"CLB_BLIND_AFTER", "1000", true}, {"CLB_BLIND_AFTER", "1001", false},
		{"CLB_IDS", "lb-byhpduqt=" + strings.Repeat("界", 48), true},
		{"CLB_IDS", "lb-byhpduqt=" + strings.Repeat("界", 49), false},
	} {
		if _, err := Parse(with(tt.name, tt.value)); (err == nil) != tt.ok {
			t.Errorf("%s=%s: %v, want it taken: %v", tt.name, tt.value, err, tt.ok)
		}
	}
}

// TestEndpointWithoutAPathHasTheRootPath: the path is signed as it is sent.
func TestEndpointWithoutAPathHasTheRootPath(t *testing.T) {
	t.Parallel()
	if c, err := Parse(with("CLB_ENDPOINT", "https://lb.example.com")); err != nil || c.Endpoint.Path != "/" {
		t.Errorf("the path is %q, %v, want /", c.Endpoint.Path, err)
	}
}

// A variable without a name set the parts of SHARD, and its value was shown: found by FuzzParse.
func TestVariableWithoutANameIsIgnored(t *testing.T) {
	t.Parallel()
	if c, err := Parse(with("", "1")); err != nil || c.Shard.N != 0 {
		t.Errorf("a variable without a name: shard %v, %v", c.Shard, err)
	}
}

func TestEndpointsHaveNoQueryOrFragment(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"https://:443/", "https://lb.example.com/#x", "https://lb.example.com/?",
		"https://lb.example.com/?a=b"} {
		for _, name := range []string{"CLB_ENDPOINT", "CLB_V3_ENDPOINT", "SLACK_API_URL"} {
			if _, err := Parse(with(name, u)); err == nil || !strings.Contains(err.Error(), name+" is not a URL") {
				t.Errorf("%s=%s: %v, want it refused", name, u, err)
			}
		}
	}
}
