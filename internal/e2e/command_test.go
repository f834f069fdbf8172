package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/slack"
)

func TestCommandLine(t *testing.T) { byV2(t, testCommandLine) }

func testCommandLine(t *testing.T, in place) {
	l := newLab(t, in)
	l.cloud.SetStatus("ins-web-1", 4)
	check := func(wantCode int, inOut, inErr string, args ...string) {
		t.Helper()
		out, errs, code := l.command(args...)
		if code != wantCode || !strings.Contains(out, inOut) || !strings.Contains(errs, inErr) {
			t.Errorf("clbwatch %s = %d, want %d; out %q, want %q in it; err %q, want %q in it",
				strings.Join(args, " "), code, wantCode, out, inOut, errs, inErr)
		}
	}
	check(2, "", "USAGE")
	check(2, "", `no command "nonsense"`, "nonsense")
	check(2, "", "nosuchflag", "report", "--nosuchflag")
	check(2, "", `not "now"`, "tick", "now")
	check(0, "USAGE", "", "--help")
	check(0, version, "", "version")
	check(0, "web-1", "", "report")
	check(0, `"ins-web-1"`, "", "report", "--json")
	check(0, "It is not known how load balancers stood", "", "report", "--html", "-")
	check(0, "no state yet", "", "check")
	check(0, "Now watching", "", "tick", "--dry-run")
	check(0, version, "", "--version")
	if n := len(l.slack.Messages()); n != 0 {
		t.Errorf("report, check and a dry run posted %d messages", n)
	}
	check(0, `"sent":1`, "", "tick")
	check(0, "a test message was posted", "", "check", "--send")
	page := filepath.Join(t.TempDir(), "page.html")
	check(0, "wrote "+page+": 2 load balancers, ", "", "report", "--html", page, "--since", "30d")
	if b, err := os.ReadFile(page); err != nil || !strings.Contains(string(b), `<svg class="chart `) {
		t.Errorf("%s: %v, want a page with charts", page, err)
	}
	if n := len(l.slack.Messages()); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	check(0, "nothing to post: 2 of 2 load balancers read", "", "tick", "--dry-run")
	l.cloud.Unbind(region, web, "ins-web-2")
	check(0, "web-2", "", "tick", "--dry-run")
	l.settings["CLB_RATE"] = "x"
	check(1, "", "CLB_RATE", "report")
	check(1, "CLB_RATE", "", "check")
	l.settings["CLB_RATE"] = "100"
	l.cloud.Fail("", cloud.FaultCode(4104, "SecretidNotExit", ""), -1)
	check(1, "4104", "", "check")
	check(1, "", "no load balancer could be read", "tick")
	check(1, "", "see whether the keys are right", "tick", "--dry-run")
	check(1, "4104", "", "report")
	l.cloud.ClearFaults()
	l.revoke()
	check(1, map[bool]string{true: "invalid_auth", false: "no_service"}[in == byBot], "", "check")
	l.noSlack()
	check(1, "SLACK_WEBHOOK_URL is set", "", "check")
	check(1, "", "SLACK_WEBHOOK_URL is set", "tick")
	check(0, "web-1", "", "report")
}

// TestCheck breaks what clbwatch needs, one thing at a time: check has to find it and say what to do.
func TestCheck(t *testing.T) { in(t, testCheck, inFiles, inCOS, byBot) }

func testCheck(t *testing.T, in place) {
	for _, tt := range []struct {
		name string
		do   func(l *lab)
		well bool
		want []string // in the output, or in the error output
	}{
		{"all is well", func(*lab) {}, true, []string{
			"ok     settings       2 load balancers", "ok     clock",
			"ok     API 2.0        takes the keys in ap-guangzhou, and knows 2 of 2 load balancers",
			"ok     API 3.0        takes the keys in ap-guangzhou, and knows 2 of 2 load balancers",
			`lb-8a3k2m1q ("production web") is classic and has 3 backends, read in 1 call of API 2.0`,
			"ok     state", "has no state yet", "ok     Slack          the "}},
		{"several settings", func(l *lab) { l.settings["CLB_RATE"] = "x"; l.settings["LOG_LEVEL"] = "y" },
			false, []string{"CLB_RATE", "LOG_LEVEL"}},
		{"the key", func(l *lab) { l.settings["TENCENTCLOUD_SECRET_KEY"] = "wrong" }, false,
			[]string{"note   API 2.0        the signature is refused", "WRONG  load balancer",
				"→ see whether the keys are right", "note   API 3.0", "AuthFailure.SignatureFailure"}},
		{"API 2.0 is closed", func(l *lab) {
			l.cloud.Fail("", cloud.FaultCode(4300, "RequestForbidden", "x"),
				-1)
		}, true,
			[]string{"note   API 2.0        API 2.0 is closed for this account",
				`lb-8a3k2m1q ("production web") is classic and has 3 backends, read in 1 call of API 3.0`}},
		{"API 2.0 is closed, and nothing else is wanted", func(l *lab) {
			l.settings["CLB_API"] = "v2"
			l.cloud.Fail("", cloud.FaultCode(4300, "RequestForbidden", "x"), -1)
		}, false, []string{"WRONG  load balancer  ap-guangzhou/lb-8a3k2m1q: look up its kind: see API 2.0 " +
			"above", "→ set CLB_API to auto or v3"}},
		{"API 2.0 is not to be reached", func(l *lab) { l.settings["CLB_ENDPOINT"] = "http://127.0.0.1:1/" },
			true, []string{"ok     clock", "note   API 2.0", "of API 3.0"}},
		{"only API 3.0 is wanted", func(l *lab) { l.settings["CLB_API"] = "v3" }, true,
			[]string{"read in 1 call of API 3.0"}},
		{"API 3.0 is not granted", func(l *lab) {
			l.cloud.FailV3(cloud.V3Code("UnauthorizedOperation", "no"),
				-1)
		}, true,
			[]string{"note   API 3.0", "UnauthorizedOperation", "→ grant clb:DescribeLoadBalancers"}},
		{"API 3.0 does not answer", func(l *lab) { l.cloud.FailV3(cloud.V3Reset(), -1) }, true,
			[]string{"note   API 3.0"}},
		{"a load balancer that is not there", func(l *lab) { l.cloud.Delete(region, web) }, false,
			[]string{"knows 1 of 2", "WRONG  load balancer  ap-guangzhou/lb-8a3k2m1q: there is no such " +
				"load balancer"}},
		{"an application load balancer", func(l *lab) { l.cloud.SetApplication(region, web) }, true,
			[]string{`("production web") is application and has 3 backends, read in 1 call of API 2.0; ` +
				`their status is CVM's`}},
		{"an application load balancer, and CVM is not granted", func(l *lab) {
			l.cloud.SetApplication(region, web)
			l.cloud.FailV3On(cloud.DescribeInstancesStatus, cloud.V3Code("UnauthorizedOperation", "no"), -1)
		}, false, []string{"WRONG  load balancer", "ask CVM", "→ grant cvm:DescribeInstancesStatus"}},
		{"health", func(l *lab) { l.settings["CLB_HEALTH"] = "on" }, true,
			[]string{"read in 1 call of API 2.0; their health was read"}},
		{"health that is not granted", func(l *lab) {
			l.settings["CLB_HEALTH"] = "on"
			l.cloud.Fail(cloud.DescribeLBHealthStatus, cloud.FaultCode(4101, "AuthFailure", "x"), -1)
		}, false, []string{"WRONG  load balancer", "not authorised for this action"}},
		{"a search", func(l *lab) {
			l.settings["CLB_IDS"], l.settings["CLB_DISCOVER"] = "",
				region+"/production*"
		}, true,
			[]string{"ok     search         ap-guangzhou/production* finds 1 load balancer",
				`lb-8a3k2m1q ("production web") is classic`}},
		{"a search that is not granted", func(l *lab) {
			l.settings["CLB_DISCOVER"] = region
			l.cloud.FailV3On(cloud.DescribeLoadBalancers, cloud.V3Code("UnauthorizedOperation", "no"), -1)
		}, false, []string{"WRONG  search", "list the load balancers of ap-guangzhou"}},
		{"many backends", func(l *lab) {
			for i := range 150 {
				l.cloud.Bind(region, web, vm(fmt.Sprintf("new-%d", i)))
			}
		}, true, []string{"has 153 backends, read in 2 calls of API 2.0"}},
		{"the webhook or token", (*lab).revoke, false, map[bool][]string{
			true:  {"WRONG  Slack", "invalid_auth", "copy it from"},
			false: {"WRONG  Slack", "no_service", "make a new one"},
		}[in == byBot]},
		{"neither webhook nor bot", (*lab).noSlack, false,
			[]string{"WRONG  Slack          neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set"}},
		{"the channel", func(l *lab) {
			if l.slack.Leave(); in != byBot {
				l.revoke()
			}
		}, false, map[bool][]string{true: {"WRONG  Slack", "not_in_channel", "/invite"}}[in == byBot]},
		{"the clock", func(l *lab) { l.ahead.Store(int64(time.Hour)) }, false,
			[]string{"WRONG  clock", "→ set this machine's clock"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, in)
			l.cloud.SetName(region, web, "production web")
			tt.do(l)
			out, errs, code := l.command("check")
			if (code == 0) != tt.well {
				t.Errorf("check = %d, want well: %v\n%s%s", code, tt.well, out, errs)
			}
			for _, want := range tt.want {
				if !strings.Contains(out+errs, want) {
					t.Errorf("check says\n%s%s\nwant %q in it", out, errs, want)
				}
			}
			var results []struct {
				Name, Wrong  string
				OK, Optional bool
			}
			out, _, code = l.command("check", "--json")
			if err := json.Unmarshal([]byte(out), &results); err != nil || (code == 0) != tt.well {
				t.Fatalf("check --json = %d, %s, %v", code, out, err)
			}
			well := true
			for _, r := range results {
				well = well && (r.OK || r.Optional)
			}
			if well != tt.well {
				t.Errorf("check --json says %s, want well: %v", out, tt.well)
			}
		})
	}
	t.Run("news that does not reach Slack", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, in)
		f := l.start()
		l.tick(f)
		l.slack.Fail(slack.RateLimited(""), -1)
		l.cloud.SetStatus("ins-web-1", 4)
		l.tick(f)
		if out, _, code := l.command("check"); code != 0 || !strings.Contains(out, "1 message due") {
			t.Errorf("check, a moment later = %d\n%s\nwant it to say that a message is due", code, out)
		}
		l.later(16 * time.Minute)
		if out, _, code := l.command("check"); code != 1 || !strings.Contains(out,
			"incident 2 has not reached Slack for 15 minutes") {
			t.Errorf("check, 16 min later = %d\n%s\nwant it to say what has not reached Slack", code, out)
		}
	})
}
