package cli_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/app"
	"clbwatch/internal/cli"
)

const aDay = `{"story":"a-day","ticks":60,"start":"2026-11-30T00:00:00Z","bot":{"channel":3,"updates":4},` +
	`"webhook":{"messages":7}}
{"t":-1,"clb":"prod-web","set":{"web-1":2,"web-2":2,"web-3":2,"web-4":2}}
{"t":0,"clb":"prod-web","set":{"web-1":7}}
{"t":1,"clb":"prod-web","set":{"web-1":2}}
{"t":30,"clb":"prod-web","set":{"web-2":7}}
{"t":36,"clb":"prod-web","set":{"web-2":2}}
`

// replays is what a replay prints, and its exit code. file is the story; "" for none.
func replays(t *testing.T, file, stdin string, environ map[string]string, args ...string) (out, errs string,
	code int) {
	t.Helper()
	if file != "" {
		name := filepath.Join(t.TempDir(), "day.jsonl")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
	}
	var o, e bytes.Buffer
	p := cli.Program{Environ: environ, Stdin: strings.NewReader(stdin), Stdout: &o, Stderr: &e,
		Open: func(environ map[string]string) (cli.App, error) {
			return app.New(io.Discard, time.Now).Open(environ)
		}}
	code = p.Run(t.Context(), append([]string{"clbwatch", "replay"}, args...))
	return o.String(), e.String(), code
}

func TestReplayOfAFile(t *testing.T) {
	t.Parallel()
	const plain = `2026-11-30 00:00 UTC  message: web-1 stopped on prod-web, 3 of 4 running
2026-11-30 00:01 UTC    update: web-1 back on prod-web after 1 min, 4 of 4 running
2026-11-30 00:30 UTC  message: web-2 stopped on prod-web, 3 of 4 running
2026-11-30 00:36 UTC    update: web-2 back on prod-web after 6 min, 4 of 4 running

4 messages (2 in the channel, 2 updates, 0 of them in the channel too) in 1 h 40 min
within its bounds
`
	const tried = `2 messages (1 in the channel, 1 update, 0 of them in the channel too) in 1 h 40 min
with the settings as they are: 4 messages (2 in the channel, 2 updates, 0 of them in the channel too)
of 4 changes:
2 not reported any more
  2026-11-30 00:00 UTC  web-1 stopped running on prod-web, and 1 more of it
1 reported later, by 3 min at most
  2026-11-30 00:30 UTC  web-2 stopped running on prod-web  3 min later
`
	for _, tt := range []struct {
		name, file, stdin string
		environ           map[string]string
		args              []string
		want              string
	}{
		{"a file", aDay, "", nil, nil, plain},
		{"standard input", "", aDay, nil, []string{"-"}, plain},
		{"settings to try", aDay, "", nil, []string{"--transient-for", "3m", "--quiet"}, tried},
		{"the same settings", aDay, "", nil, []string{"--stable-after", "10m", "--quiet"},
			"4 messages (2 in the channel, 2 updates, 0 of them in the channel too) in 1 h 40 min\n" +
				"with the settings as they are: 4 messages (2 in the channel, 2 updates, 0 of them in the channel " +
				"too)\n" +
				"of 4 changes:\neach is reported when it is now\n"},
		{"a webhook", aDay, "", nil, []string{"--webhook", "--quiet"},
			"4 messages in 1 h 40 min\nwithin its bounds\n"},
		{"a silence", aDay, "", nil, []string{"--silences", "prod-*@Mon-Sun 00:00-12:00 UTC all", "--quiet"},
			"0 messages in 1 h 40 min\nwith the settings as they are: 4 messages (2 in the channel, 2 updates, 0 of " +
				"them in the channel too)\nof 4 changes:\n4 not reported any more\n" +
				"  2026-11-30 00:00 UTC  web-1 stopped running on prod-web, and 1 more of it\n" +
				"  2026-11-30 00:30 UTC  web-2 stopped running on prod-web, and 1 more of it\n"},
		{"a zone", "", aDay, map[string]string{"TZ": "Asia/Shanghai"}, []string{"-"},
			strings.NewReplacer("00:", "08:", "UTC", "CST").Replace(plain)},
		{"settings of another deployment", "", aDay, map[string]string{"STABLE_AFTER": "1s", "CLB_IDS": "!"},
			[]string{"-"}, plain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, errs, code := replays(t, tt.file, tt.stdin, tt.environ, tt.args...)
			if code != 0 || errs != "" || out != tt.want {
				t.Errorf("exit code %d, %q, prints\n%s\nwant\n%s", code, errs, out, tt.want)
			}
		})
	}
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(aDay, "\n")
	with := func(line string) string { return lines[0] + line }
	for _, tt := range []struct {
		name, stdin string
		args        []string
		code        int
		want        string
	}{
		{"nothing", "", []string{"-"}, 1,
			`it is empty, expected a first line such as {"story":"my-day","ticks":1440}`},
		{"no story", `{"ticks":3}`, []string{"-"}, 1, "line 1: it has no story"},
		{"no ticks", `{"story":"x"}`, []string{"-"}, 1, "line 1: ticks is 0, expected the minutes that it lasts"},
		{"too many ticks", `{"story":"x","ticks":1000000}`, []string{"-"}, 1, "line 1: ticks is 1000000"},
		{"another setting", `{"story":"x","ticks":3,"settings":{"STATE_URL":"file:///etc"}}`, []string{"-"}, 1,
			`line 1: settings has "STATE_URL", expected some of`},
		{"a wrong setting", `{"story":"x","ticks":3,"settings":{"STABLE_AFTER":"soon"}}`, []string{"-"}, 1,
			`x: its settings: STABLE_AFTER is "soon", expected a time of 1s to 1h`},
		{"no JSON", with("x"), []string{"-"}, 1, "line 2: invalid character"},
		{"two objects", with(`{"t":0,"api":"well"}{"t":0,"api":"well"}`), []string{"-"}, 1,
			"line 2: there is something behind the object"},
		{"an unknown field", with(`{"t":0,"lb":"a"}`), []string{"-"}, 1, `line 2: json: unknown field "lb"`},
		{"nothing happens", with(`{"t":0}`), []string{"-"}, 1,
			"line 2: expected exactly one of clb, api and slack"},
		{"two things happen", with(`{"t":0,"clb":"a","api":"well"}`), []string{"-"}, 1,
			"line 2: expected exactly one"},
		{"before the beginning", with(`{"t":-2,"clb":"a"}`), []string{"-"}, 1, "line 2: t is -2"},
		{"an odd API", with(`{"t":0,"api":"slow"}`), []string{"-"}, 1, `line 2: api is "slow", expected`},
		{"an odd Slack", with(`{"t":0,"slack":"slow"}`), []string{"-"}, 1, `line 2: slack is "slow", expected`},
		{"backends of nothing", with(`{"t":0,"api":"well","set":{"a":2}}`), []string{"-"}, 1,
			"line 2: set, weights and failing are of a load balancer"},
		{"an odd status", with(`{"t":0,"clb":"a","set":{"w":-1}}`), []string{"-"}, 1,
			`line 2: set gives "w" the status -1`},
		{"an odd weight", with(`{"t":0,"clb":"a","weights":{"w":-1}}`), []string{"-"}, 1,
			`line 2: weights gives "w" the weight -1`},
		{"a long line", with(`{"t":0,"clb":"` + strings.Repeat("x", 5<<20) + `"}`), []string{"-"}, 1,
			"line 2 has more than 4194304 bytes"},
		{"no file", "", []string{"no-such-file"}, 1, "open no-such-file: no such file"},
		{"two files", "", []string{"a", "b"}, 2, "replay takes one file at most"},
		{"since and a file", "", []string{"--since", "7d", "a"}, 2, "--since is for the history"},
		{"an odd since", "", []string{"--since", "x"}, 2, `--since: "x" is not a time of 1m to 90d`},
		{"an odd setting to try", aDay, []string{"--stable-after", "2h", "-"}, 2,
			`--stable-after: STABLE_AFTER is "2h", expected a time of 1s to 1h`},
		{"more than it may", strings.Replace(aDay, `"channel":3`, `"channel":1`, 1), []string{"--quiet", "-"}, 1,
			"a-day takes more than it may"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, errs, code := replays(t, "", tt.stdin, nil, tt.args...)
			if code != tt.code || !strings.Contains(errs, tt.want) {
				t.Errorf("exit code %d, %q, want %d and %q", code, errs, tt.code, tt.want)
			}
		})
	}
}

// TestReplayPrintsNoControls holds that names of a file cannot move the cursor or start a line.
func TestReplayPrintsNoControls(t *testing.T) {
	t.Parallel()
	hostile := strings.NewReplacer("prod-web", `a\u001b[2J\nb\u202e`, "web-1",
		`w\u001b]0;x\u0007\n1`).Replace(aDay)
	out, errs, code := replays(t, "", hostile, nil, "--transient-for", "3m", "-")
	if code != 0 || errs != "" || strings.ContainsAny(out, "\x1b\x07\u202e") || strings.Count(out, "\n") != 10 {
		t.Errorf("exit code %d, %q, prints %q", code, errs, out)
	}
}
