package config

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"clbwatch/internal/state"
)

// FuzzParse holds that any environment is either refused or within the bounds that the rest counts on, and
// that neither an error nor what prints the settings shows a secret.
func FuzzParse(f *testing.F) {
	const good = "CLB_IDS=lb-byhpduqt=web, " +
		"ap-shanghai/lb-aaaa1111\nCLB_REGION=ap-guangzhou\nSLACK_WEBHOOK_URL=https://hooks.slack.com/services/T0/B0/SECRET\n" +
		"TENCENTCLOUD_SECRET_ID=AKIDx\nTENCENTCLOUD_SECRET_KEY=SECRET\nHOME=/root\n"
	const scf = "TENCENTCLOUD_RUNENV=SCF\nTENCENTCLOUD_REGION=ap-guangzhou\nTENCENTCLOUD_SECRETID=AKIDx\nTENCENTCLOUD_SECRETKEY=SECRET\nTENCENTCLOUD_SESSIONTOKEN=SECRET\n" +
		"STATE_URL=cos://ops-1250000000/watch?region=ap-guangzhou&endpoint=https://ops-1250000000.cos-internal.ap-guangzhou.tencentcos.cn\n"
	for _, s := range []string{
		good, scf + "CLB_IDS=lb-byhpduqt", "",
		scf + "CLB_DISCOVER=ap-guangzhou/prod-*,ap-shanghai/tag:env=prod " +
			"ap-tokyo\nSILENCES=prod-*@Mon-Fri 20:00-08:00 Asia/Shanghai; a@b@Sun 00:00-24:00 UTC all\nSHARD=2/4\nCLB_HEALTH=on\nCLB_API=v3\nCLB_RATE=0.5\nCLB_BLIND_AFTER=10",
		good + "SLACK_BOT_TOKEN=xoxb-SECRET\nSLACK_CHANNEL=C024BE91L\nSLACK_MENTION=S024BE7LH\nSLACK_MENTION_AT=20\nSLACK_API_URL=https://slack.com/api\nLOG_LEVEL=debug",
		good + "SLACK_BOT_TOKEN=SECRET\nSLACK_CHANNEL=#ops\nSLACK_MENTION=boss\nCLB_RATE=NaN\nSHARD=5/4\nCLB_HEALTH=yes\nLOG_LEVEL=loud\nCLB_API=v4\nCLB_BLIND_AFTER=0\nSLACK_MENTION_AT=101",
		good + "CLB_ENDPOINT=http://127.0.0.1:8080\nCLB_V3_ENDPOINT=http://[::1]/x\nSTATE_URL=file:///var/lib/clbwatch",
		good + "CLB_ENDPOINT=https://user:SECRET@lb.api.qcloud.com/\nCLB_V3_ENDPOINT=http://clb.tencentcloudapi.com\nSTATE_URL=file://u:SECRET@/x",
		scf + "CLB_IDS=lb-byhpduqt\nSTATE_URL=file:///tmp/../tmp/x",
	} {
		f.Add(s)
	}
	// SECRET stands for a secret's value, which no other text is likely to be. Where a fuzzer puts it into a
	// setting that is no secret, nothing is said.
	const value = "hUnTeR2hUnTeR2"
	secret := regexp.MustCompile(`^(SLACK_WEBHOOK_URL|SLACK_BOT_TOKEN|TENCENTCLOUD_(SECRETKEY|SECRET_KEY|SESSIONTOKEN|TOKEN))$`)
	hidden := regexp.MustCompile(`^[a-z]+://[^/@ ]*$`) // what stands before the @ of a URL
	f.Fuzz(func(t *testing.T, text string) {
		environ := make(map[string]string)
		for l := range strings.Lines(text) {
			name, v, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "=")
			before, _, at := strings.Cut(v, "@")
			if secret.MatchString(name) || at && hidden.MatchString(before) && !strings.HasPrefix(name, "CLB_IDS") &&
				name != "SILENCES" {
				v = strings.ReplaceAll(v, "SECRET", value)
			}
			environ[name] = v
		}
		c, err := Parse(environ)
		if err != nil {
			if strings.Contains(err.Error(), value) {
				t.Errorf("the error shows a secret: %v", err)
			}
			return
		}
		shown, err := json.Marshal(c)
		if err != nil {
			t.Error(err)
		}
		c.Endpoint.User, c.EndpointV3.User = nil, nil // an endpoint with one is refused, see below
		if s := fmt.Sprintf("%s %+v %#v", shown, *c, *c); strings.Contains(s, value) {
			t.Errorf("printing the settings shows a secret: %s", s)
		}
		check := func(ok bool, what string, v any) {
			if !ok {
				t.Errorf("%s is taken: %+v", what, v)
			}
		}
		for i, found := range c.CLBs {
			check(i == 0 || c.CLBs[i-1].Key() < found.Key(), "an id twice or out of order", c.CLBs)
			check(idForm.MatchString(found.ID) && regionForm.MatchString(found.Region) && len(found.Label) <= 4*48,
				"a load balancer", found)
		}
		for i, s := range c.Discover {
			_, bad := path.Match(s.Glob, "x")
			check(regionForm.MatchString(s.Region) && bad == nil && !slices.Contains(c.Discover[:i], s), "a scope", s)
		}
		check(len(c.CLBs)+len(c.Discover) > 0, "nothing to watch", c)
		check(c.Shard == state.Shard{} || 1 <= c.Shard.N && c.Shard.N <= c.Shard.Of &&
			c.Shard.Of <= state.MaxShards, "a shard", c.Shard)
		check(slices.Contains([]string{"v2", "v3", "auto"}, c.API), "an API", c.API)
		check(c.Rate >= 0.1 && c.Rate <= 100_000, "a rate", c.Rate)
		check(c.BlindAfter >= 1 && c.BlindAfter <= 1000, "a number of ticks", c.BlindAfter)
		check(c.Slack.MentionAt >= 1 && c.Slack.MentionAt <= 100, "a percentage", c.Slack.MentionAt)
		check((c.Slack.Token == "") == (c.Slack.Channel == ""),
			"a bot without a channel, or a channel without a bot", c.Slack)
		check(!strings.ContainsAny(c.Slack.Channel+c.Slack.Mention, "<>|&@# \n"), "a channel or a mention", c.Slack)
		api, err := url.Parse(c.Slack.APIURL)
		check(err == nil && strings.HasSuffix(api.Path, "/"), "Slack's API", c.Slack.APIURL)
		for _, u := range []*url.URL{c.Endpoint, c.EndpointV3, api, c.State.Endpoint} {
			if u == nil {
				continue
			}
			check(u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()), "an address in the clear", u)
			check(u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && !u.ForceQuery,
				"an address with more than host and path", u)
		}
		scf := strings.TrimSpace(environ["TENCENTCLOUD_RUNENV"]) == "SCF"
		if c.State.Dir != "" {
			check(filepath.IsAbs(c.State.Dir) && filepath.Clean(c.State.Dir) == c.State.Dir && c.State.Bucket == "",
				"a folder", c.State)
			check(!scf || !strings.HasPrefix(c.State.Dir+"/", "/tmp/"), "a folder that dies with the instance",
				c.State)
		} else {
			check(bucketForm.MatchString(c.State.Bucket) && regionForm.MatchString(c.State.Region) &&
				!strings.Contains(c.State.Prefix, ".."+"/") &&
				c.State.Prefix != "" && len(c.State.Prefix) <= 200, "a bucket", c.State)
		}
		check(c.SecretID != "" && c.SecretKey != "", "no credentials", c.SecretID)
	})
}
