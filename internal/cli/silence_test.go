package cli_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/cli"
	"clbwatch/internal/incident"
	"clbwatch/internal/watch"
)

var until = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

// TestSilenceAsksFor holds how a command line is read.
func TestSilenceAsksFor(t *testing.T) {
	t.Parallel()
	type asked = watch.SilenceRequest
	for _, tt := range []struct {
		args []string
		want asked
	}{
		{[]string{"prod-*"}, asked{What: "prod-*"}},
		{[]string{"a*", "2h", "deploy", "4711"}, asked{What: "a*", For: 2 * time.Hour, Why: "deploy 4711"}},
		{[]string{"a*", "2h", "deploy 4711"}, asked{What: "a*", For: 2 * time.Hour, Why: "deploy 4711"}},
		{[]string{"prod-*", "deploy", "2h"}, asked{What: "prod-*", Why: "deploy 2h"}},
		{[]string{"商店*", "1d12h", "搬家"}, asked{What: "商店*", For: 36 * time.Hour, Why: "搬家"}},
		{[]string{"prod-*", "7d", "2x"}, asked{What: "prod-*", For: 168 * time.Hour, Why: "2x"}},
		{[]string{"2h", "1h30m"}, asked{What: "2h", For: 90 * time.Minute}}, // one may be called so
		{[]string{"prod-*", "", " x "}, asked{What: "prod-*", Why: "x"}},
		{[]string{"--all", "prod-*", "30m"}, asked{What: "prod-*", For: 30 * time.Minute, All: true}},
		{[]string{"prod-*", "30m", "--all"}, asked{What: "prod-*", For: 30 * time.Minute, All: true}},
		{[]string{"--", "a*", "30m", "--all"}, asked{What: "a*", For: 30 * time.Minute, Why: "--all"}},
		{[]string{"--incident", "12"}, asked{Incident: "12"}},
		{[]string{"--incident", "12-2", "on", "it"}, asked{Incident: "12-2", Why: "on it"}},
		{[]string{"--incident=12", "2h", "on it"}, asked{Incident: "12", For: 2 * time.Hour, Why: "on it"}},
		{[]string{"--end", "7"}, asked{End: "7"}},
	} {
		for user, by := range map[string]string{"ada": "ada", "": "the command line"} {
			a := &fake{}
			var errs bytes.Buffer
			p := cli.Program{Stdout: &bytes.Buffer{}, Stderr: &errs, Environ: map[string]string{"USER": user},
				Open: func(map[string]string) (cli.App, error) { return a, nil }}
			code := p.Run(t.Context(), append([]string{"clbwatch", "silence"}, tt.args...))
			tt.want.By = by
			if code != 0 || a.asked != tt.want || errs.Len() > 0 {
				t.Errorf("silence %q = %d, %s, and asks for %+v, want %+v", tt.args, code, &errs, a.asked,
					tt.want)
			}
		}
	}
}

func TestSilenceUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"prod-* 2x":               `"2x" is not a time of 1m to 7d, such as 30m, 2h or 1d12h`,
		"prod-* 4711 is deployed": `"4711" is not a time`,
		"prod-* 2 h":              `"2" is not a time`,
		"prod-* 8d move":          `"8d" is not a time`,
		"prod-* 30s":              `"30s" is not a time`,
		"prod-* 4h":               "needs a reason",
		"--all":                   "say what to silence",
		"--incident":              "flag needs an argument",
		"--incident 12 3y":        `"3y" is not a time`,
		"--incident 12 2d":        "lasts from 1m to 24h",
		"--incident 12 --all":     "all and incident are given together",
		"--incident= x":           "--incident needs the number",
		"--incident x":            `incident is "x", expected the number`,
		"--end":                   "flag needs an argument",
		"--end=":                  "--end needs the number",
		"--end x":                 `end is "x", expected the number`,
		"--end 7 8":               `--end takes no argument, not "8"`,
		"--end 7 --incident 12":   "--end and --incident are not for one run",
		"--end 7 --all":           "all and end are given together",
		"--for 2h prod-*":         "flag provided but not defined: -for",
	} {
		p := cli.Program{Open: func(map[string]string) (cli.App, error) {
			t.Errorf("silence %s: the settings were read", args)
			return nil, errors.New("opened")
		}}
		run(t, p, "silence "+args, 2, "", want)
	}
}

func TestSilenceSays(t *testing.T) {
	t.Parallel()
	made := incident.Silence{ID: "8", What: "prod-*", Until: until, By: "ada", Why: "deploy 4711"}
	acknowledged := incident.Silence{ID: "8", Incident: "12", Until: until}
	ended := made
	ended.Ended, ended.EndedBy = until, "bob"
	const covers = "3 load balancers, 41 backends, 2 of them out"
	trouble := advice.Add(errors.New("COS: 503"), "wait")
	hostile := incident.Silence{ID: "9\x1b[2J", What: "x\n7  y", Until: until, By: "\u202ebob",
		Why: "\x1b[2J\nz", All: true}
	for _, tt := range []struct {
		name, args, calls string
		app               fake
		code              int
		out, errors       string // as run has them
	}{
		{"make", "silence prod-*", "silence",
			fake{answer: watch.SilenceAnswer{Silence: made, Covers: covers, Replaces: "7"}}, 0,
			"silence 8  prod-*  until 2026-11-23 22:00 CST  by ada: deploy 4711\ncovers " + covers +
				"\nreplaces silence 7\nthe next tick goes by it\n", ""},
		{"acknowledge", "silence --incident 12", "silence",
			fake{answer: watch.SilenceAnswer{Silence: acknowledged}}, 0,
			"silence 8  incident 12  until 2026-11-23 22:00 CST\nthe next", ""},
		{"end", "silence --end 8", "silence",
			fake{answer: watch.SilenceAnswer{Silence: ended, Covers: covers}}, 0,
			"silence 8  prod-*  ended  by bob: deploy 4711\ncovered " + covers + "\nthe next", ""},
		{"fails", "silence prd-*", "silence", fake{err: trouble}, 1, "",
			"clbwatch: COS: 503\nclbwatch: → wait\n"},
		{"made, and then fails", "silence prd-*", "silence",
			fake{answer: watch.SilenceAnswer{Silence: made}, err: trouble}, 1, "silence 8", "COS: 503"},
		{"make, hostile", "silence x", "silence", fake{answer: watch.SilenceAnswer{Silence: hostile}}, 0,
			"9[2J  x 7 y (all)  until 2026-11-23 22:00 CST  by bob: [2J z\n", ""},

		{"list", "silence", "silences", fake{silences: []incident.Silence{made,
			{ID: "9", Incident: "12", Until: until.Add(time.Hour), By: "U0123ABCD"},
			{ID: "window 2", What: "batch-*", All: true, Until: until, Why: "nightly"}}}, 0,
			"NUMBER    WHAT           UNTIL                 BY         WHY\n" +
				"8         prod-*         2026-11-23 22:00 CST  ada        deploy 4711\n" +
				"9         incident 12    2026-11-23 23:00 CST  U0123ABCD\n" +
				"window 2  batch-* (all)  2026-11-23 22:00 CST             nightly\n", ""},
		{"list, hostile", "silence", "silences", fake{silences: []incident.Silence{hostile}}, 0,
			"9[2J    x 7 y (all)  2026-11-23 22:00 CST  bob  [2J z\n", ""},
		{"list none", "silence", "silences", fake{}, 0, "no silence is active\n", ""},
		{"list fails", "silence", "silences", fake{err: trouble}, 1, "", "clbwatch: COS: 503"},
		{"list windows only", "silence", "silences", fake{err: trouble,
			silences: []incident.Silence{{ID: "window 1", What: "batch-*", Until: until}}}, 1,
			"window 1  batch-*", "clbwatch: COS: 503"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := tt.app
			p := cli.Program{Open: func(map[string]string) (cli.App, error) { return &a, nil }}
			run(t, p, tt.args, tt.code, tt.out, tt.errors)
			if calls := strings.Join(a.calls, ", "); calls != tt.calls {
				t.Errorf("clbwatch %s calls %q, want %q", tt.args, calls, tt.calls)
			}
		})
	}
}
