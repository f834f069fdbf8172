package sandbox

import (
	"strings"
	"testing"
	"time"
)

func TestEarlierMovesEveryTime(t *testing.T) {
	t.Parallel()
	const line = `{"at":"2026-11-23T04:53:00.25Z","in":[{"t":"2026-03-01T00:00:30Z"}],` +
		`"no":["0001-01-01T00:00:00Z","2026-13-45T00:00:00Z","2026-11-23"]}`
	const want = `{"at":"2026-11-23T04:52:00.25Z","in":[{"t":"2026-02-28T23:59:30Z"}],` +
		`"no":["0001-01-01T00:00:00Z","2026-13-45T00:00:00Z","2026-11-23"]}`
	got, sum, _ := strings.Cut(string(Earlier(Seal([]byte(line)), time.Minute)), "\n")
	if got != want {
		t.Errorf("Earlier(%s) = %s, want %s", line, got, want)
	}
	if _, is, _ := strings.Cut(string(Seal([]byte(want))), "\n"); sum != is ||
		len(sum) != len("sha256 \n")+64 {
		t.Errorf("its checksum is %q, want %q", sum, is)
	}
}
