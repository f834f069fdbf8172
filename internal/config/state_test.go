package config

import (
	"maps"
	"strings"
	"testing"
)

// TestStateURLHasNoUnsafeDefault: in a folder that dies with the instance, or in the one a person happens
// to be in.
func TestStateURLHasNoUnsafeDefault(t *testing.T) {
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
		"file:///mnt/state/":                             "/mnt/state",
		"cos://ops-1250000000/watch?region=ap-guangzhou": "COS ops-1250000000/watch",
	} {
		if c, err := Parse(with("STATE_URL", url)); err != nil || c.State.String() != want {
			t.Errorf("STATE_URL=%s: %q, %v, want %q", url, c.State, err, want)
		}
	}
}
