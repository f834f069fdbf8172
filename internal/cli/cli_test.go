package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/app"
	"clbwatch/internal/check"
	"clbwatch/internal/cli"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/replay"
	"clbwatch/internal/report"
	"clbwatch/internal/state"
	"clbwatch/internal/story"
	"clbwatch/internal/watch"
)

// fake is an App whose answers are given.
type fake struct {
	standings []watch.Standing
	sum       watch.Summary
	err       error // of Tick, Preview, Silence, Silences, State, Take and Repair
	message   string
	probes    []check.Probe
	found     []*state.Inventory
	took      []state.Shard
	was       state.Lineage
	repaired  []state.Repaired
	silences  []incident.Silence
	past      []incident.Record
	answer    watch.SilenceAnswer
	asked     watch.SilenceRequest
	calls     []string
}

func (f *fake) Silence(_ context.Context, r watch.SilenceRequest) (watch.SilenceAnswer, error) {
	f.calls, f.asked = append(f.calls, "silence"), r
	return f.answer, f.err
}

func (f *fake) Silences(context.Context) ([]incident.Silence, error) {
	f.calls = append(f.calls, "silences")
	return f.silences, f.err
}

func (f *fake) History(_ context.Context, back time.Duration,
	take func(incident.Record, time.Time) error) error {
	f.calls = append(f.calls, "incidents "+back.String())
	for _, r := range f.past {
		if err := take(r, time.Date(2026, 11, 24, 5, 0, 0, 0, time.UTC)); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fake) Zone() *time.Location { return time.FixedZone("CST", 8*3600) }

func (f *fake) State(context.Context) ([]*state.Inventory, error) {
	f.calls = append(f.calls, "state")
	return f.found, f.err
}

func (f *fake) Take(context.Context) ([]state.Shard, state.Lineage, error) {
	f.calls = append(f.calls, "take")
	return f.took, f.was, f.err
}

func (f *fake) Repair(context.Context) ([]state.Repaired, error) {
	f.calls = append(f.calls, "repair")
	return f.repaired, f.err
}

func (f *fake) Rules(webhook bool) incident.Rules {
	return incident.Rules{Route: map[bool]incident.Route{true: "webhook:x", false: "C0123456789"}[webhook]}
}

func (f *fake) Replay(context.Context, time.Duration, *story.Story, incident.Rules, *incident.Rules,
	func(replay.Message, string) error) (replay.Result, error) {
	return replay.Result{}, nil
}

func (f *fake) Read(_ context.Context, since, cell time.Duration) report.Report {
	f.calls = append(f.calls, strings.TrimSuffix("read in cells of "+cell.String(), " in cells of 0s"))
	return report.New(time.Time{}, 0, watch.Survey{Standings: f.standings}, since, nil)
}

func (f *fake) Tick(context.Context) (watch.Summary, error) {
	f.calls = append(f.calls, "tick")
	return f.sum, f.err
}

func (f *fake) Preview(context.Context) (string, watch.Summary, error) {
	f.calls = append(f.calls, "preview")
	return f.message, f.sum, f.err
}

func (f *fake) Probes(_ context.Context, send bool) []check.Probe {
	f.calls = append(f.calls, map[bool]string{false: "probes", true: "probes and message"}[send])
	return f.probes
}

// run runs a command line and checks its exit code, and that its output and its errors each hold what is
// wanted; "" wants nothing at all.
func run(t *testing.T, p cli.Program, args string, code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	p.Version, p.Stdout, p.Stderr = "v1.2.3", &o, &e
	got := p.Run(t.Context(), append([]string{"clbwatch"}, strings.Fields(args)...))
	if got != code {
		t.Errorf("clbwatch %s = %d, want %d", args, got, code)
	}
	for what, tt := range map[string]struct{ got, want string }{
		"output": {o.String(), out}, "errors": {e.String(), errs},
	} {
		if tt.want == "" && tt.got != "" || !strings.Contains(tt.got, tt.want) {
			t.Errorf("clbwatch %s: %s %q, want %q in it", args, what, tt.got, tt.want)
		}
		if strings.Contains(tt.got, "hunter2") {
			t.Errorf("clbwatch %s: a secret in its %s: %q", args, what, tt.got)
		}
	}
}

// TestUsage runs command lines that touch nothing: what is wrong with them, and help, needs no settings.
func TestUsage(t *testing.T) {
	t.Parallel()
	const unknown = "clbwatch: flag provided but not defined: "
	for _, tt := range []struct {
		name, args  string
		code        int
		out, errors string // as run has them
	}{
		{"no command", "", 2, "", "USAGE"},
		{"unknown command", "nonsense", 2, "",
			"clbwatch: there is no command \"nonsense\"; clbwatch --help lists them\n"},
		{"unknown flag", "--nonsense", 2, "", unknown + "-nonsense\n"},
		{"unknown flag of a command", "report --nonsense", 2, "", unknown + "-nonsense\n"},
		{"flag of another command", "tick --send", 2, "", unknown + "-send\n"},
		{"value that is no boolean", "report --json=maybe", 2, "", "maybe"},
		{"page and JSON", "report --html page.html --json", 2, "",
			"clbwatch: --html and --json are not for one run\n"},
		{"page without a file", "report --html=", 2, "",
			"clbwatch: --html needs a file, or - for standard output\n"},
		{"argument", "tick now", 2, "", "clbwatch: tick takes no argument, not \"now\"\n"},
		{"take and repair", "state --take --repair", 2, "",
			"clbwatch: --take and --repair are not for one run: repair first, then take\n"},
		{"help names the state", "--help", 0, "   state ", ""},
		{"help names the manifest", "--help", 0, "   manifest ", ""},
		{"help", "--help", 0, "COMMANDS:\n   report ", ""},
		{"help of a command", "tick --help", 0, "dry-run", ""},
		{"help command", "help", 0, "COMMANDS:\n   report ", ""},
		{"help command of a command", "help tick", 0, "dry-run", ""},
		{"help of no command", "help nonsense", 2, "",
			"clbwatch: there is no command \"nonsense\"; clbwatch --help lists them\n"},
		{"help of two commands", "help tick report", 2, "",
			"clbwatch: help takes one command, not \"report\" too\n"},
		{"version flag", "--version", 0, "v1.2.3", ""},
		{"version", "version", 0, "v1.2.3\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := cli.Program{Open: func(map[string]string) (cli.App, error) {
				t.Error("the settings were read")
				return nil, errors.New("opened")
			}}
			run(t, p, tt.args, tt.code, tt.out, tt.errors)
		})
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	trouble := advice.Add(errors.New("lb-1: timeout\nlb-2: \x1b[2Jtimeout"), "wait")
	const complaint = "clbwatch: lb-1: timeout\nclbwatch: lb-2: [2Jtimeout\nclbwatch: → wait\n"
	web := lb.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q", Label: "prod-web"}
	well := watch.Standing{CLB: web, Capacity: lb.Capacity{Total: 1, Running: 1, Weight: 10, Serving: 10}}
	gone := watch.Standing{CLB: lb.CLB{ID: "lb-1"}, Err: trouble}
	gone2 := watch.Standing{CLB: lb.CLB{ID: "lb-2"}, Err: trouble}
	unlisted := watch.Standing{CLB: lb.CLB{Region: "ap-a", ID: "ap-a/x-*"}, Err: errors.New("denied")}
	sick := well
	sick.HealthErr = errors.New("timeout")
	unread := watch.Summary{CLBs: 2, Read: 1, Unread: trouble}
	owed := watch.Summary{Pending: 1, Unsent: trouble}
	reads := func(s ...watch.Standing) fake { return fake{standings: s} }
	ticks := func(s watch.Summary) fake { return fake{sum: s} }
	probes := func(err error, optional bool) fake {
		state := func(context.Context) (string, error) { return "written", err }
		return fake{probes: []check.Probe{{Name: "state", Optional: optional, Run: state}}}
	}
	for _, tt := range []struct {
		name, args, calls string
		app               fake
		code              int
		out, errors       string // as run has them
	}{
		{"report", "report", "read", reads(well), 0, "prod-web", ""},
		{"report as JSON", "report --json", "read", reads(well), 0, `"label": "prod-web"`, ""},
		{"report, one unread", "report", "read", reads(well, gone), 1, "CANNOT BE READ", ""},

		{"report, health unread", "report", "read", reads(sick), 1, "the health of prod-web  timeout", ""},
		{"report, region unlisted", "report", "read", reads(well, unlisted), 1, "CANNOT BE READ", ""},
		{"report, for one reason", "report", "read", reads(gone, gone2), 1, "lb-1, lb-2  lb-1: timeout", ""},
		{"report in the zone", "report", "read", reads(well), 0, "times are CST (UTC+08:00)\n", ""},

		{"tick, one unread and overdue", "tick", "tick", fake{sum: watch.Summary{Unsent: errors.New("no answer")},
			err: errors.New("overdue")}, 1, "", "clbwatch: no answer\nclbwatch: overdue\n"},
		{"tick, none read", "tick", "tick", fake{sum: unread, err: fmt.Errorf("none: %w", trouble)}, 1, "",
			"clbwatch: none: lb-1: timeout\nclbwatch: lb-2: [2Jtimeout\nclbwatch: → wait\n"},
		{"tick", "tick", "tick", ticks(watch.Summary{CLBs: 2, Read: 2, Sent: 1}), 0, `"sent":1`, ""},
		{"tick fails", "tick", "tick", fake{err: trouble}, 1, "", complaint},
		{"tick, one unread", "tick", "tick", ticks(unread), 0, `"read":1`, complaint},
		{"tick, one owed", "tick", "tick", ticks(owed), 0, `"pending":1`, complaint},

		{"dry run", "tick --dry-run", "preview", fake{message: "web-07 stopped"}, 0, "web-07 stopped\n", ""},
		{"dry run, no news, one unread", "tick --dry-run", "preview", ticks(unread), 0,
			"nothing to post: 1 of 2 load balancers read\n", complaint},
		{"dry run fails", "tick --dry-run", "preview", fake{err: trouble}, 1, "", complaint},

		{"check", "check", "probes", probes(nil, false), 0, "ok     state          written\n", ""},
		{"check as JSON", "check --json", "probes", probes(nil, false), 0, `"found": "written"`, ""},
		{"check with a test message", "check --send", "probes and message", probes(nil, false), 0, "ok ", ""},
		{"check, something wrong", "check", "probes", probes(trouble, false), 1, "→ wait", ""},
		{"check, something optional wrong", "check", "probes", probes(trouble, true), 0, "note ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, environ := tt.app, map[string]string{"CLB_IDS": "lb-8a3k2m1q"}
			p := cli.Program{Environ: environ, Open: func(got map[string]string) (cli.App, error) {
				if !maps.Equal(got, environ) {
					t.Errorf("opened with %v, want %v", got, environ)
				}
				return &a, nil
			}}
			run(t, p, tt.args, tt.code, tt.out, tt.errors)
			if calls := strings.Join(a.calls, ", "); calls != tt.calls {
				t.Errorf("clbwatch %s calls %q, want %q", tt.args, calls, tt.calls)
			}
		})
	}
}

func TestErrorsAreCutToTheTerminal(t *testing.T) {
	t.Parallel()
	long := errors.New("call the API: " + strings.Repeat("and so on, ", 20) + "connection refused")
	clock := func(context.Context) (string, error) { return "", long }
	a := &fake{probes: []check.Probe{{Name: "clock", Run: clock}},
		standings: []watch.Standing{{CLB: lb.CLB{ID: "lb-1"}, Err: long}}}
	for _, args := range []string{"check", "report"} {
		p := cli.Program{Columns: 80, Open: func(map[string]string) (cli.App, error) { return a, nil }}
		run(t, p, args, 1, "connection refused\n", "")
		run(t, p, args, 1, "errors are cut to this terminal's width; --json has them whole\n", "")
		run(t, p, args+" --json", 1, long.Error(), "")
		var out bytes.Buffer
		p.Stdout = &out
		p.Run(t.Context(), []string{"clbwatch", args})
		for l := range strings.Lines(out.String()) {
			if n := len([]rune(strings.TrimSpace(l))); n > 80 {
				t.Errorf("clbwatch %s: %d columns in %q", args, n, l)
			}
		}
		p.Columns = 0
		run(t, p, args, 1, long.Error(), "")
	}
}

// TestSettings runs commands with the real App. Their environment is a map: that of the test plays no part.
func TestSettings(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"CLB_IDS": "lb-8a3k2m1q", "CLB_REGION": "ap-guangzhou", "STATE_URL": "file://" + t.TempDir(),
		"TENCENTCLOUD_SECRET_ID": "AKIDtest", "TENCENTCLOUD_SECRET_KEY": "hunter2key",
	}
	bad := maps.Clone(good)
	bad["CLB_RATE"], bad["LOG_LEVEL"], bad["TENCENTCLOUD_SECRET_ID"] = "x", "y", ""
	const noSlack = "clbwatch: neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set; see docs/settings.md\n"
	for _, tt := range []struct {
		name, args  string
		environ     map[string]string
		out, errors string
	}{
		{"wrong settings, report", "report", bad, "", "clbwatch: LOG_LEVEL is \"y\""},
		{"wrong settings, tick", "tick", bad, "", "clbwatch: CLB_RATE is \"x\""},
		{"wrong settings, dry run", "tick --dry-run", bad, "", "TENCENTCLOUD_SECRET_ID"},
		{"wrong settings, check", "check", bad, "WRONG  settings       CLB_RATE is \"x\"", ""},
		{"no settings", "report", nil, "", "CLB_IDS is not set"},
		{"nowhere to post to", "tick", good, "", noSlack},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := cli.Program{Environ: tt.environ, Open: func(environ map[string]string) (cli.App, error) {
				return app.New(io.Discard, time.Now).Open(environ)
			}}
			run(t, p, tt.args, 1, tt.out, tt.errors)
		})
	}
}

// closed is an output that cannot be written.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"report", "report --json", "report --html -", "tick", "tick --dry-run", "check", "check --json", "version",
		"silence", "silence prod-*", "state", "state --take", "state --repair", "manifest",
	} {
		var errs bytes.Buffer
		a := &fake{probes: []check.Probe{check.Settings("2 load balancers", nil)},
			answer: watch.SilenceAnswer{Silence: incident.Silence{ID: "7"}},
			found:  []*state.Inventory{{}}, took: []state.Shard{{}}, repaired: []state.Repaired{{}}}
		open := func(map[string]string) (cli.App, error) { return a, nil }
		p := cli.Program{Stdout: closed{}, Stderr: &errs, Open: open}
		code := p.Run(t.Context(), append([]string{"clbwatch"}, strings.Fields(args)...))
		if code != 1 || errs.String() != "clbwatch: broken pipe\n" {
			t.Errorf("clbwatch %s = %d, %q, want 1, and why", args, code, &errs)
		}
	}
}
