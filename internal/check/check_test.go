package check_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"clbwatch/internal/advice"
	"clbwatch/internal/check"
)

func ExampleRun() {
	probes := []check.Probe{
		{Name: "settings", Run: func(context.Context) (string, error) { return "2 load balancers", nil }},
		{Name: "reading", Run: func(context.Context) (string, error) {
			return "", advice.Add(errors.New("code 4104\nand more\x1b[2J"), "see whether the keys are right")
		}},
		{Name: "API 3.0", Optional: true, Run: func(context.Context) (string, error) {
			return "",
				errors.New("not granted")
		}},
	}
	well, _ := check.Run(context.Background(), os.Stdout, probes, false, 0)
	fmt.Println(well)
	// Output:
	// ok     settings       2 load balancers
	// WRONG  reading        code 4104
	//                       and more[2J
	//                       → see whether the keys are right
	// note   API 3.0        not granted
	// false
}

func TestRunSaysWhetherAllIsWell(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		err      error
		optional bool
		want     bool
	}{
		{"all is well", nil, false, true},
		{"something is wrong", errors.New("x"), false, false},
		{"something that is not needed", errors.New("x"), true, true},
	} {
		for _, asJSON := range []bool{false, true} {
			probe := check.Probe{Name: "x", Optional: tt.optional,
				Run: func(context.Context) (string, error) { return "found", tt.err }}
			var out strings.Builder
			got, err := check.Run(t.Context(), &out, []check.Probe{probe}, asJSON, 0)
			if got != tt.want || err != nil {
				t.Errorf("%s: Run = %v, %v, want %v", tt.name, got, err, tt.want)
			}
			if !asJSON {
				continue
			}
			var results []check.Result
			if err := json.Unmarshal([]byte(out.String()), &results); err != nil || len(results) != 1 ||
				results[0].OK != (tt.err == nil) {
				t.Errorf("%s: as JSON %s, %v", tt.name, out.String(), err)
			}
		}
	}
}

// brokenPipe is an output that nobody reads any more.
type brokenPipe struct{ err error }

func (p brokenPipe) Write([]byte) (int, error) { return 0, p.err }

func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	probe := check.Probe{Name: "x", Run: func(context.Context) (string, error) { return "found", nil }}
	for _, asJSON := range []bool{false, true} {
		if _, err := check.Run(t.Context(), brokenPipe{broken}, []check.Probe{probe}, asJSON, 0); !errors.Is(err,
			broken) {
			t.Errorf("Run, as JSON: %v: %v, want %v", asJSON, err, broken)
		}
	}
}

func TestErrorsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	const why = "call the API: dial tcp 127.0.0.1:9: connection refused"
	fails := func(name, says, do string) check.Probe {
		return check.Probe{Name: name, Run: func(context.Context) (string, error) {
			return "", advice.Add(errors.New(says), do)
		}}
	}
	probes := []check.Probe{
		fails("clock", why, "see whether a can be reached"),
		fails("API 2.0", why+" (3 attempts)", "see whether a can be reached"),
		fails("API 3.0", why+" (3 attempts)", "see whether b can be reached"),
		fails("load balancer", `denied by the API, request "r-1"`, "grant it"),
		fails("state", `load state: denied by the API, request "r-2"`, "grant it"),
		fails("Slack", "too short", "wait"),
		fails("Slack", "too short", "wait"),
	}
	var out strings.Builder
	if _, err := check.Run(t.Context(), &out, probes, false, 0); err != nil {
		t.Fatal(err)
	}
	want := `WRONG  clock          call the API: dial tcp 127.0.0.1:9: connection refused
                      → see whether a can be reached
WRONG  API 2.0        see clock above (3 attempts)
WRONG  API 3.0        see API 2.0 above
                      → see whether b can be reached
WRONG  load balancer  denied by the API, request "r-1"
                      → grant it
WRONG  state          load state: see load balancer above
WRONG  Slack          too short
                      → wait
WRONG  Slack          too short
                      → wait
`
	if out.String() != want {
		t.Errorf("Run writes\n%s, want\n%s", &out, want)
	}
}
