package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"clbwatch/internal/cli"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const functionURL = "https://1250000000-a1b2c3d4e5.ap-guangzhou.tencentscf.com"

// manifest runs clbwatch manifest with an empty environment, and returns its exit code and what it printed.
func manifest(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	p := cli.Program{Stdout: &o, Stderr: &e, Open: func(map[string]string) (cli.App, error) {
		t.Errorf("manifest %q: the settings were read", args)
		return nil, errors.New("opened")
	}}
	code = p.Run(t.Context(), append([]string{"clbwatch", "manifest"}, args...))
	return code, o.String(), e.String()
}

// linked decodes the manifest in the link that was printed.
func linked(t *testing.T, out string) (m any) {
	t.Helper()
	for line := range strings.Lines(out) {
		link, err := url.Parse(strings.TrimSpace(strings.TrimPrefix(line, "# ")))
		if err != nil || link.Host != "api.slack.com" || link.Path != "/apps" {
			continue
		}
		if got := link.Query().Get("new_app"); got != "1" {
			t.Errorf("new_app=%q in the link, want 1", got)
		}
		if err := json.Unmarshal([]byte(link.Query().Get("manifest_json")), &m); err != nil {
			t.Errorf("%v in %s", err, link)
		}
		return m
	}
	t.Fatalf("no link in %s", out)
	return nil
}

// TestManifest holds all of the output. tools/manifest-check holds that the YAML and the link are the same
// document, and that Slack's types allow it.
func TestManifest(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"manifest-posts.yaml":    nil,
		"manifest-commands.yaml": {"--url", functionURL},
	} {
		code, got, errs := manifest(t, args...)
		if code != 0 || errs != "" {
			t.Errorf("manifest %q = %d, %q, want 0 and no errors", args, code, errs)
		}
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got != string(want) {
			t.Errorf("manifest %q is not %s (%v):\n%s", args, file, err, got)
		}
	}
}

// TestManifestLink holds what the link asks Slack for.
func TestManifestLink(t *testing.T) {
	t.Parallel()
	const (
		app    = `"display_information":{"name":"clbwatch","description":"*"}`
		bot    = `"bot_user":{"display_name":"clbwatch","always_online":true}`
		scopes = `"chat:write","channels:history","groups:history"`
		off    = `"org_deploy_enabled":false,"socket_mode_enabled":false,"token_rotation_enabled":false`
	)
	withURL := func(address, slash string) string {
		return `{` + app + `,"features":{` + bot + `,"slash_commands":[{"command":"` + slash + `",
			"url":"` + address + `","description":"*","should_escape":false,
			"usage_hint":"status | report | silence prod-* 2h why | list | end 7 | help"}]},
			"oauth_config":{"scopes":{"bot":[` + scopes + `,"commands"]}},
			"settings":{"interactivity":{"is_enabled":true,"request_url":"` + address + `"},` + off + `}}`
	}
	for _, tt := range []struct {
		name string
		args []string
		want string // as JSON, with * for a description
	}{
		{"only posts", nil, `{` + app + `,"features":{` + bot + `},
			"oauth_config":{"scopes":{"bot":[` + scopes + `]}},"settings":{` + off + `}}`},
		{"commands and buttons", []string{"--url", functionURL}, withURL(functionURL, "/clb")},
		{"another command", []string{"--url=" + functionURL, "--command=/lb"}, withURL(functionURL, "/lb")},
		{"signs that mean something in a URL", []string{"--url", "https://clb.example:443/a+b&c=%20;<d>"},
			withURL("https://clb.example:443/a+b&c=%20;<d>", "/clb")},
		{"Chinese, 32 characters", []string{"--url", functionURL, "--command", "/" + strings.Repeat("载", 31)},
			withURL(functionURL, "/"+strings.Repeat("载", 31))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := manifest(t, tt.args...)
			var want any
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			got := linked(t, out)
			hideDescriptions(got)
			if code != 0 || errs != "" || !reflect.DeepEqual(got, want) {
				t.Errorf("manifest %q = %d, %q, and links to\n%v, want\n%v", tt.args, code, errs, got, want)
			}
		})
	}
}

// hideDescriptions puts * for each description that is there.
func hideDescriptions(v any) {
	switch v := v.(type) {
	case []any:
		for _, part := range v {
			hideDescriptions(part)
		}
	case map[string]any:
		for key, part := range v {
			if text, ok := part.(string); ok && key == "description" && text != "" {
				v[key] = "*"
			}
			hideDescriptions(part)
		}
	}
}

// TestManifestSaysWhatAURLAdds holds that whoever gives none learns what they miss, and nobody else.
func TestManifestSaysWhatAURLAdds(t *testing.T) {
	t.Parallel()
	const hint = "# This app only posts. --url https://… (the Function URL) adds a slash command and buttons.\n"
	for _, tt := range []struct {
		args []string
		want bool
	}{
		{nil, true},
		{[]string{"--url", functionURL}, false},
	} {
		if _, out, _ := manifest(t, tt.args...); strings.Contains(out, hint) != tt.want {
			t.Errorf("manifest %q: the hint is there = %v, want %v: %s", tt.args, !tt.want, tt.want, out)
		}
	}
}

// TestManifestUsage holds that what Slack would refuse, or could not reach, is an error at once.
func TestManifestUsage(t *testing.T) {
	t.Parallel()
	const badURL, badCommand = "clbwatch: --url is ", "clbwatch: --command is "
	long := strings.Repeat("x", 1000)
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no https", []string{"--url", "http://a.example"}, badURL + `"http://a.example", expected`},
		{"not absolute", []string{"--url", "clb.example/x"}, badURL},
		{"no host", []string{"--url", "https:///x"}, badURL},
		{"only a port", []string{"--url", "https://:443"}, badURL},
		{"empty", []string{"--url", ""}, badURL + `""`},
		{"user", []string{"--url", "https://ada@clb.example"}, badURL},
		{"query", []string{"--url", "https://clb.example/?"}, badURL},
		{"fragment", []string{"--url", "https://clb.example/#"}, badURL},
		{"space", []string{"--url", "https://clb.example/a b"}, badURL},
		{"line break", []string{"--url", "https://clb.example/\nx: y"}, badURL},
		{"not ASCII", []string{"--url", "https://clb.example/负载"}, badURL},
		{"long URL", []string{"--url", "http://" + long}, "…xxx"},
		{"command without URL", []string{"--command", "/lb"}, "clbwatch: --command needs --url"},
		{"no slash", []string{"--url", functionURL, "--command", "clb"}, badCommand + `"clb", expected a slash`},
		{"only a slash", []string{"--url", functionURL, "--command", "/"}, badCommand},
		{"upper case", []string{"--url", functionURL, "--command", "/Clb"}, badCommand},
		{"command with a space", []string{"--url", functionURL, "--command", "/c lb"}, badCommand},
		{"command with a tab", []string{"--url", functionURL, "--command", "/c\tlb"}, badCommand},
		{"command that is not UTF-8", []string{"--url", functionURL, "--command", "/c\xff"}, badCommand},
		{"33 characters", []string{"--url", functionURL, "--command", "/" + long[:32]}, badCommand},
		{"long command", []string{"--url", functionURL, "--command", "/" + long}, "…xxx"},
		{"argument", []string{"now"}, `manifest takes no argument, not "now"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := manifest(t, tt.args...)
			if code != 2 || out != "" || !strings.Contains(errs, tt.want) || strings.Count(errs, "x") > 80 {
				t.Errorf("manifest %q = %d, %q, %q, want 2, nothing, and %q", tt.args, code, out, errs, tt.want)
			}
		})
	}
}
