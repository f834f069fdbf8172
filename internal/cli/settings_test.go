package cli_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/app"
	"clbwatch/internal/check"
	"clbwatch/internal/cli"
)

// TestEnvFile holds that every command takes --env-file, before its name and behind it, and that what is in
// the environment goes before the file, even if it is empty.
func TestEnvFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, ".env")
	content := []byte("CLB_IDS=lb-file\nCLB_REGION=ap-a\nRUNBOOK_URL=https://x\n")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"CLB_IDS": "lb-own", "CLB_REGION": "ap-a", "RUNBOOK_URL": ""}
	for _, args := range []string{
		"report", "tick", "tick --dry-run", "check", "history", "silence", "silence prod-* 1h", "state", "replay",
		"version", "manifest", "help",
	} {
		for _, line := range []string{"--env-file " + file + " " + args, args + " --env-file " + file} {
			opened := false
			p := cli.Program{Environ: map[string]string{"CLB_IDS": "lb-own", "RUNBOOK_URL": ""},
				Open: func(got map[string]string) (cli.App, error) {
					opened = true
					if !maps.Equal(got, want) {
						t.Errorf("clbwatch %s: opened with %v, want %v", line, got, want)
					}
					return &fake{probes: []check.Probe{check.Settings("x", nil)}}, nil
				}}
			var out, errs bytes.Buffer
			p.Stdout, p.Stderr = &out, &errs
			code := p.Run(t.Context(), append([]string{"clbwatch"}, strings.Fields(line)...))
			if none := args == "version" || args == "manifest" || args == "help"; code != 0 || opened == none {
				t.Errorf("clbwatch %s = %d, opened %v, %s", line, code, opened, &errs)
			}
		}
	}
}

func TestEnvFileThatIsWrong(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte("A=1\nhunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"report --env-file " + file, 1,
			"clbwatch: --env-file: " + file + ": line 2: expected NAME=VALUE, and there is no =\n"},
		{"report --env-file no", 1, "clbwatch: --env-file: open no: "},
		{"report --env-file=", 2, "clbwatch: --env-file needs a file, such as .env\n"},
		{"report --env-file", 2, "clbwatch: flag needs an argument"},
	} {
		p := cli.Program{Open: func(map[string]string) (cli.App, error) {
			t.Errorf("clbwatch %s: the settings were read", tt.args)
			return nil, errors.New("opened")
		}}
		run(t, p, tt.args, tt.code, "", tt.want)
	}
}

// TestHelpNamesEverySettingThatIsNeeded holds that the settings that the help names are enough, and that
// there is none more without which a command does not work.
func TestHelpNamesEverySettingThatIsNeeded(t *testing.T) {
	t.Parallel()
	var help bytes.Buffer
	(&cli.Program{Stdout: &help, Stderr: &help}).Run(t.Context(), []string{"clbwatch", "--help"})
	named := make(map[string]bool)
	for _, name := range regexp.MustCompile(`[A-Z]+(_[A-Z]+)+`).FindAllString(help.String(), -1) {
		named[name] = true
	}
	examples := map[string]string{"CLB_IDS": "lb-8a3k2m1q", "CLB_REGION": "ap-guangzhou",
		"TENCENTCLOUD_SECRET_ID": "x", "TENCENTCLOUD_SECRET_KEY": "y", "SLACK_BOT_TOKEN": "xoxb-1-2",
		"SLACK_CHANNEL": "C0123456789",
		"STATE_URL":     "file://" + t.TempDir()}
	open := func(environ map[string]string) error {
		_, err := app.New(io.Discard, time.Now).Open(environ)
		return err
	}
	if err := open(examples); err != nil {
		t.Fatalf("what the help names is not enough: %v", err)
	}
	for name := range examples {
		some := maps.Clone(examples)
		delete(some, name)
		if err := open(some); err == nil && name != "SLACK_BOT_TOKEN" {
			t.Errorf("%s is not needed", name)
		}
		if !named[name] {
			t.Errorf("the help does not name %s:\n%s", name, &help)
		}
	}
	for _, name := range []string{"CLB_DISCOVER", "SLACK_WEBHOOK_URL"} {
		if !named[name] {
			t.Errorf("the help does not name %s", name)
		}
	}
}
