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
	well, _ := check.Run(context.Background(), os.Stdout, probes, false)
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
			if got, err := check.Run(t.Context(), &out, []check.Probe{probe}, asJSON); got != tt.want || err != nil {
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
		if _, err := check.Run(t.Context(), brokenPipe{broken}, []check.Probe{probe}, asJSON); !errors.Is(err,
			broken) {
			t.Errorf("Run, as JSON: %v: %v, want %v", asJSON, err, broken)
		}
	}
}
