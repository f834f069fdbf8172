package demo

import (
	"path/filepath"
	"strings"
	"testing"

	"clbwatch/internal/sandbox"
)

func TestTheStoryNoticesSilence(t *testing.T) {
	t.Parallel()
	echo := filepath.Join(t.TempDir(), "echo") // a function that has nothing to say to Slack
	if err := sandbox.Build(t.Context(), echo, "../scf/testdata/echo", ""); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err := Story{Function: echo, Out: &out, Fast: true}.Tell(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no message came") ||
		!strings.Contains(err.Error(), "hello from stderr") {
		t.Errorf("got %v, want an error that says what is missing, and the log", err)
	}
	if !strings.Contains(out.String(), `tick  {"Type":"Timer"`) {
		t.Errorf("the answer of the function is not shown: %s", out.String())
	}
}
