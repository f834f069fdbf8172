package check_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"clbwatch/internal/check"
	"clbwatch/internal/watch"
)

func ExampleRun() {
	check.Run(context.Background(), os.Stdout, []check.Probe{
		{Name: "settings", Run: func(context.Context) (string, error) { return "2 load balancers", nil }},
		{Name: "reading", Run: func(context.Context) (string, error) {
			return "", watch.Advise(errors.New("code 4104\nand more\x1b[2J"), "see whether the keys are right")
		}},
	})
	// Output:
	// ok     settings     2 load balancers
	// WRONG  reading      code 4104
	// WRONG  reading      and more[2J
	//                     → see whether the keys are right
}

func TestRunSaysWhetherAllIsWell(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{nil: true, errors.New("x"): false} {
		probe := check.Probe{Name: "x", Run: func(context.Context) (string, error) { return "", err }}
		if got := check.Run(t.Context(), &strings.Builder{}, []check.Probe{probe}); got != want {
			t.Errorf("Run with %v = %v, want %v", err, got, want)
		}
	}
}
