package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests need the zones wherever they run

	"clbwatch/internal/state"

	"golang.org/x/time/rate"
)

// settings are as few as there can be, and more, which replace them.
func settings(t *testing.T, more map[string]string) map[string]string {
	t.Helper()
	all := map[string]string{
		"CLB_IDS": "lb-8a3k2m1q", "CLB_REGION": "ap-guangzhou", "STATE_URL": "file://" + t.TempDir(),
		"TENCENTCLOUD_SECRET_ID": "AKIDtest", "TENCENTCLOUD_SECRET_KEY": "hunter2key",
	}
	maps.Copy(all, more)
	return all
}

var bot = map[string]string{"SLACK_BOT_TOKEN": "xoxb-hunter2", "SLACK_CHANNEL": "C024BE91L"}

func TestFunctionTakesItsShardFromTheEvent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ setting, event, want string }{
		{"", "", "1/1"}, {"1/4", "", "1/4"}, {"", "2/4", "2/4"}, {"1/4", "3/8", "3/8"},
	} {
		environ := settings(t, bot)
		environ["SHARD"] = tt.setting
		a, err := New(io.Discard, time.Now).Function(environ, "", tt.event, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.cfg.Shard.String(); got != tt.want {
			t.Errorf("SHARD %q, event %q: shard %q, want %q", tt.setting, tt.event, got, tt.want)
		}
	}
}

// TestSilencesReachTheRules checks that the windows of the setting are those that notification goes by.
func TestSilencesReachTheRules(t *testing.T) {
	t.Parallel()
	const window = "prod-*@Mon-Fri 20:00-08:00 Asia/Shanghai all"
	a, err := New(io.Discard, time.Now).Open(settings(t, map[string]string{"SILENCES": window}))
	if err != nil {
		t.Fatal(err)
	}
	if got := a.watcher.Rules.Windows; len(got) != 1 || got[0].String() != window {
		t.Errorf("SILENCES %q: windows %v", window, got)
	}
}

// TestFunctionForgetsWhatAnInvocationDoesNotHave checks that a variable which is gone is not used, wherever
// it was before.
func TestFunctionForgetsWhatAnInvocationDoesNotHave(t *testing.T) {
	t.Parallel()
	all := settings(t, bot)
	all["CLB_HEALTH"] = "on"
	for name, p := range map[string]*Process{
		"settings come with the invocation": NewFunction(io.Discard, time.Now,
			map[string]string{"HOME": "/"}),
		"and with the process": NewFunction(io.Discard, time.Now, maps.Clone(all)),
	} {
		first, err := p.Function(all, "", "", 0)
		if err != nil || !first.cfg.Health {
			t.Fatalf("%s: %v", name, err)
		}
		less := maps.Clone(all)
		delete(less, "CLB_HEALTH")
		if second, err := p.Function(less, "", "", 0); err != nil || second.cfg.Health {
			t.Errorf("%s: CLB_HEALTH is still on, %v", name, err)
		}
	}
	p := NewFunction(io.Discard, time.Now, all) // settings come with the process only
	if a, err := p.Function(map[string]string{"TENCENTCLOUD_SECRETID": "AKIDrole",
		"TENCENTCLOUD_SECRETKEY": "k"}, "", "", 0); err != nil || a.cfg.SecretID != "AKIDrole" {
		t.Errorf("Function = %v, want the settings of the process and the role's credentials", err)
	}
}

// TestFunctionLogsWhyItCannotStart checks that the reason is one JSON line of the log, and names no secret.
func TestFunctionLogsWhyItCannotStart(t *testing.T) {
	t.Parallel()
	webhook := map[string]string{"SLACK_WEBHOOK_URL": "https://hooks.slack.com"}
	for name, tt := range map[string]struct {
		more  map[string]string
		shard string
		want  string
	}{
		"a setting":           {map[string]string{"CLB_RATE": "x", "SLACK_BOT_TOKEN": "hunter2"}, "", "CLB_"},
		"the event's shard":   {bot, "5/4", "SHARD"},
		"nowhere to post to":  {nil, "", "neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set"},
		"a webhook of no use": {webhook, "", "SLACK_WEBHOOK_URL is not"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs bytes.Buffer
			_, err := New(&logs, time.Now).Function(settings(t, tt.more), "", tt.shard, 0)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Function = %v, want an error with %q", err, tt.want)
			}
			var line struct{ Level, Msg string }
			bad := json.Unmarshal(logs.Bytes(), &line)
			if bad != nil || line.Level != "ERROR" || line.Msg != err.Error() {
				t.Errorf("logged %q, want %q as one JSON line", &logs, err)
			}
			if strings.Contains(logs.String(), "hunter2") {
				t.Errorf("a secret is logged: %s", &logs)
			}
		})
	}
}

func TestWithoutSlackNothingIsReadThatWouldBePosted(t *testing.T) {
	t.Parallel()
	a, err := New(io.Discard, time.Now).Open(settings(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	a.api, a.watcher = nil, nil // reading anything would panic
	_, tickErr := a.Tick(t.Context())
	_, reportErr := a.Report(t.Context(), time.Hour)
	testErr := a.Test(t.Context())
	for what, err := range map[string]error{"Tick": tickErr, "Report": reportErr, "Test": testErr} {
		if !errors.Is(err, errNoSlack) {
			t.Errorf("%s = %v, want %v", what, err, errNoSlack)
		}
	}
}

// TestShardsShareTheRate checks the calls of one shard: the platform counts those of all shards together.
func TestShardsShareTheRate(t *testing.T) {
	t.Parallel()
	for shard, want := range map[string]rate.Limit{"": 20, "1/1": 20, "2/4": 5} {
		environ := settings(t, map[string]string{"SHARD": shard, "CLB_RATE": "20"})
		a, err := New(io.Discard, time.Now).Open(environ)
		if err != nil {
			t.Fatal(err)
		}
		if a.api.Rate != want {
			t.Errorf("SHARD %q: %v calls a second, want %v", shard, a.api.Rate, want)
		}
	}
}

// TestStateOfAShard checks where state is, because another place would mean a new baseline.
func TestStateOfAShard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		shard state.Shard
		below string
	}{
		{state.Shard{}, ""}, {state.Shard{N: 1, Of: 1}, ""}, {state.Shard{N: 2, Of: 4}, "shards/2-of-4"},
	} {
		environ := settings(t, nil)
		dir := strings.TrimPrefix(environ["STATE_URL"], "file://")
		p := New(io.Discard, time.Now)
		a, err := p.Open(environ)
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.openStore(a.cfg, tt.shard)
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.CreateSnapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(dir, tt.below, "snap", "*"))
		if err != nil || len(found) != 1 {
			t.Errorf("shard %v: %d snapshots below %q, %v, want one", tt.shard, len(found), tt.below, err)
		}
	}
}

func TestSettingsInWords(t *testing.T) {
	t.Parallel()
	for want, more := range map[string]map[string]string{
		"1 load balancer by id, at most 20 calls a second": nil,
		"2 load balancers by id, of them shard 2/4, at most 20 calls a second": {
			"CLB_IDS": "lb-1234,lb-5678", "SHARD": "2/4"},
		"1 load balancer by id, others by 1 of CLB_DISCOVER, at most 0.5 calls a second": {
			"CLB_DISCOVER": "ap-guangzhou/prod-*", "CLB_RATE": "0.5"},
	} {
		a, err := New(io.Discard, time.Now).Open(settings(t, more))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.settings(); got != want {
			t.Errorf("settings() = %q, want %q", got, want)
		}
	}
}
