package lb

import (
	"strings"
	"testing"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	c := CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q", Label: "prod-web", Title: "商店/web [1]"}
	for glob, want := range map[string]bool{
		"prod-web": true, "prod-*": true, "*web": true, "*": true, "p??d-web": true, "*o*e*": true, "**": true,
		"lb-8a3k2m1q": true, "lb-*": true, "商店*": true, "商店/web [1]": true, "商?/*": true, "*[1]": true,
		"": false, "prod": false, "web": false, "prod-web?": false, "Prod-*": false, "[p]rod-web": false,
		"ap-guangzhou*": false, "prod-web*x": false, "?": false, "staging-*": false,
	} {
		if got := c.Matches(glob); got != want {
			t.Errorf("%q: %v, want %v", glob, got, want)
		}
	}
	if (CLB{}).Matches("*") {
		t.Error("what has no name matches")
	}
}

// TestMatchesHostileNames: a name and a glob of many stars take no time to speak of.
func TestMatchesHostileNames(t *testing.T) {
	t.Parallel()
	c := CLB{ID: strings.Repeat("a", 4096)}
	if c.Matches(strings.Repeat("*a", 2000) + "*b") {
		t.Error("it matches")
	}
}
