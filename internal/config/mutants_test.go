package config

import (
	"log/slog"
	"maps"
	"strings"
	"testing"
)

// The tests in this file were each written for a deliberate fault that no other test saw.

func TestSetToNothingIsNotSet(t *testing.T) {
	t.Parallel()
	c, err := Parse(with("CLB_RATE", "", "CLB_BLIND_AFTER", " ", "CLB_ENDPOINT", "", "LOG_LEVEL", "\n",
		"STATE_URL", ""))
	if err != nil || c.Rate != 20 || c.BlindAfter != 3 || c.Endpoint.Host != "lb.api.qcloud.com" ||
		c.LogLevel != slog.LevelInfo {
		t.Errorf("Parse = %+v, %v, want the defaults", c, err)
	}
}

func TestBoundsThemselvesAreTaken(t *testing.T) {
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

// TestStateIsNeverSomewhereByChance: in a folder that dies with the instance, or in the one a person happens
// to be in.
func TestStateIsNeverSomewhereByChance(t *testing.T) {
	t.Parallel()
	homeless := maps.Clone(laptop)
	delete(homeless, "HOME")
	for name, environ := range map[string]map[string]string{
		"on SCF, with a home": onSCF("STATE_URL", "", "HOME", "/home/qcloud"),
		"without a home":      homeless,
	} {
		if c, err := Parse(environ); err == nil || !strings.Contains(err.Error(), "STATE_URL is not set") {
			t.Errorf("%s: state in %q, %v, want an error", name, c.State, err)
		}
	}
}

func TestStateNamesItsPlace(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"file:///mnt/state/": "/mnt/state", "cos://ops-1250000000/watch?region=ap-guangzhou": "COS ops-1250000000/watch",
	} {
		if c, err := Parse(with("STATE_URL", url)); err != nil || c.State.String() != want {
			t.Errorf("STATE_URL=%s: %q, %v, want %q", url, c.State, err, want)
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
func TestVariableWithoutANameIsNobodys(t *testing.T) {
	t.Parallel()
	if c, err := Parse(with("", "1")); err != nil || c.Shard.N != 0 {
		t.Errorf("a variable without a name: shard %v, %v", c.Shard, err)
	}
}

func TestEndpointsAreHostAndPath(t *testing.T) {
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
