package message

import (
	"strings"
	"testing"
)

// TestAddressesCanBeCopied holds what stays as it is where Slack parses, and what does not because it would
// be a link, an emoji or formatting.
func TestAddressesCanBeCopied(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"10.0.3.17": "10.0.3.17", "10.0.3.17:8080": "10.0.3.17:8080",
		"at 10.0.3.17:80, 10.0.3.18:80.": "at 10.0.3.17:80, 10.0.3.18:80.",
		"HTTPS:443":                      "HTTPS:443", "04:53": "04:53",
		"evil.example":  "evil．example",
		"10.0.3.17:80:": "10.0.3.17：80:", // Slack has emojis that are called by a number
		"04:53a:":       "04：53a:", ".7:8a:": ".7：8a:",
	} {
		if got := inert(in); got != want {
			t.Errorf("inert(%q) = %q, want %q", in, got, want)
		}
	}
	if got := unlinked("shop.example.com *x*"); got != "shop.example.com ＊x＊" {
		t.Errorf("where Slack makes no links: %q", got)
	}
}

// TestNoEmojiIsMadeOfAddresses holds that two colons that stay never have an emoji's name between them.
func TestNoEmojiIsMadeOfAddresses(t *testing.T) {
	t.Parallel()
	parts := []string{"10.0.0.1:80", "04:53", "HTTP:80", ":", "a", " ", ".1:2", "7", "_", ",", "-"}
	var walk func(s string, n int)
	walk = func(s string, n int) {
		_, rest, found := strings.Cut(inert(s), ":")
		for found {
			name, after, again := strings.Cut(rest, ":")
			if again && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_+-'") == "" {
				t.Errorf("inert(%q) = %q, which has an emoji in it", s, inert(s))
			}
			rest, found = after, again
		}
		for _, p := range parts {
			if n > 0 {
				walk(s+p, n-1)
			}
		}
	}
	walk("", 4)
}
