package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/cli"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// lastWeek is a history with an incident of each kind.
func lastWeek() []incident.Record {
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC) }
	web := lb.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q", Label: "prod-web"}
	api := lb.CLB{Region: "ap-guangzhou", ID: "lb-c4r9t0zw", Title: "prod-\x1b[31mapi"}
	return []incident.Record{
		{Incident: "12", CLB: web, Closed: &incident.Summary{Began: at(23, 4, 41), Ended: at(23, 5, 12),
			End: incident.EndResolved, Level: incident.Down, Before: lb.Capacity{Running: 6, Total: 6},
			Worst: lb.Capacity{Running: 0, Total: 6}, Counts: lb.Counts{LeftRunning: 6, Recovered: 6}, Messages: 4, By: "ada"}},
		{Incident: "13", CLB: api, Closed: &incident.Summary{About: incident.Reading, Began: at(23, 6, 0),
			Ended: at(23, 6, 30), End: incident.EndResolved, Level: incident.Impaired, Messages: 2,
			Undelivered: "Slack answers 500"}},
		{Incident: "14", CLB: web, Closed: &incident.Summary{About: incident.Watching, Began: at(23, 7, 0),
			End: incident.EndNotice}},
		{Incident: "15", CLB: web, Closed: &incident.Summary{Began: at(24, 4, 50), Level: incident.Impaired,
			Before: lb.Capacity{Running: 6, Total: 6}, Worst: lb.Capacity{Running: 5, Total: 6},
			Counts: lb.Counts{LeftRunning: 1}, Messages: 1}},
	}
}

// runs is what a command line prints, and its exit code.
func runs(t *testing.T, a *fake, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	p := cli.Program{Stdout: &o, Stderr: &e, Open: func(map[string]string) (cli.App, error) { return a, nil }}
	code = p.Run(t.Context(), append([]string{"clbwatch"}, args...))
	return o.String(), e.String(), code
}

func TestHistory(t *testing.T) {
	t.Parallel()
	a := fake{past: lastWeek()}
	out, errs, code := runs(t, &a, "history")
	const want = "2026-11-23 12:41 CST  incident 12  prod-web  down, 6 stopped running, 6 recovered, at worst 0 of 6 " +
		"running, 4 messages  resolved after 31 min\n  acknowledged by ada\n" +
		"2026-11-23 14:00 CST  incident 13  prod-[31mapi  cannot be read  resolved after 30 min\n" +
		"  not delivered: Slack answers 500\n" +
		"2026-11-24 12:50 CST  incident 15  prod-web  1 stopped running, at worst 5 of 6 running, 1 message  open for " +
		"10 min\n3 incidents in the last 7 d\n"
	if code != 0 || out != want || errs != "" || strings.Join(a.calls, ",") != "incidents 168h0m0s" {
		t.Errorf("history = %d, %q, %q, %v, want %q", code, out, errs, a.calls, want)
	}
	out, _, code = runs(t, &a, "history", "--clb", "prod-w*", "--since", "30d", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var first struct {
		Incident string
		Level    string
		End      string
		Worst    lb.Capacity
		By       string `json:"acknowledgedBy"`
	}
	if code != 0 || len(lines) != 2 || json.Unmarshal([]byte(lines[0]), &first) != nil || first.Incident != "12" ||
		first.Level != "down" || first.Worst.Total != 6 || first.By != "ada" || !strings.Contains(lines[1], `"end":"open"`) {
		t.Errorf("history --json = %d, %s", code, out)
	}
	if a.calls[1] != "incidents 720h0m0s" {
		t.Errorf("--since 30d asks for %s", a.calls[1])
	}
}

// TestHistoryThatIsNotWhole holds that what can be read is printed, and that the command fails all the same.
func TestHistoryThatIsNotWhole(t *testing.T) {
	t.Parallel()
	a := fake{past: lastWeek()[:1], err: errors.New("read the history: damaged")}
	out, errs, code := runs(t, &a, "history")
	if code != 1 || !strings.Contains(out, "incident 12") || strings.Contains(out, "1 incident in") ||
		!strings.Contains(errs, "damaged") {
		t.Errorf("history = %d, %q, %q, want what there is, and why it is not all", code, out, errs)
	}
	for _, args := range [][]string{{"history", "--since", "100d"}, {"history", "--clb", ""}, {"history", "x"}} {
		if _, errs, code := runs(t, &fake{}, args...); code != 2 || errs == "" {
			t.Errorf("%q = %d, %q, want a wrong usage", args, code, errs)
		}
	}
}
