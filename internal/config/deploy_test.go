package config

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestDeployRegion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ region, api, want, wrong string }{
		{"", "", "ap-guangzhou", ""},
		{"ap-hongkong", "http://127.0.0.1:8080", "ap-hongkong", ""},
		{"Guangzhou!", "", "", `DEPLOY_REGION is "Guangzhou!", expected one like ap-guangzhou`},
		{"", "http://example.com", "", "DEPLOY_API_URL has the scheme"},
		{"", "%", "", "DEPLOY_API_URL is not a URL like"},
	} {
		c, err := Parse(with("DEPLOY_REGION", tt.region, "DEPLOY_API_URL", tt.api))
		switch {
		case tt.wrong == "" && (err != nil || c.Deploy.Region != tt.want ||
			(c.Deploy.API == nil) != (tt.api == "")):
			t.Errorf("%q, %q: %+v, %v, want %s", tt.region, tt.api, c.Deploy, err, tt.want)
		case tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)):
			t.Errorf("%q, %q: %v, want %q", tt.region, tt.api, err, tt.wrong)
		}
	}
}

// TestFunctionsAreGivenTheirSettings holds that a function gets what it needs, and no key or secret beside
// that.
func TestFunctionsAreGivenTheirSettings(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"HOME": "/root", "PATH": "/bin", "EMPTY": "", "CLB_RATE": " ",
		"DEPLOY_API_URL": "x", "TENCENTCLOUD_SECRET_ID": "id", "TENCENTCLOUD_SECRET_KEY": "key", "TENCENTCLOUD_TOKEN": "token"}
	for _, name := range Names() {
		if environ[name] == "" && name != "CLB_RATE" {
			environ[name] = "x"
		}
	}
	ticks, answers := ForFunction(environ, false), ForFunction(environ, true)
	want := slices.DeleteFunc(Names(), func(name string) bool {
		return strings.HasPrefix(name, "DEPLOY_") || name == "CLB_RATE"
	})
	if got := slices.Sorted(maps.Keys(ticks)); !slices.Equal(got, want) {
		t.Errorf("the function that ticks gets %q, want %q", got, want)
	}
	secrets := []string{"HEARTBEAT_URL", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_WEBHOOK_URL"}
	if got := Secrets(); !slices.Equal(got, secrets) {
		t.Errorf("the settings that are secrets are %q, want %q", got, secrets)
	}
	for _, secret := range []string{"SLACK_BOT_TOKEN", "SLACK_WEBHOOK_URL", "HEARTBEAT_URL"} {
		if _, ok := answers[secret]; ok {
			t.Errorf("the function that answers Slack gets %s", secret)
		}
	}
	for _, needed := range []string{"SLACK_SIGNING_SECRET", "SLACK_CHANNEL", "STATE_URL"} {
		if _, ok := answers[needed]; !ok {
			t.Errorf("the function that answers Slack does not get %s", needed)
		}
	}
	for name := range answers {
		if !slices.Contains(Names(), name) {
			t.Errorf("the function that answers Slack gets %s, which is no setting", name)
		}
	}
}
