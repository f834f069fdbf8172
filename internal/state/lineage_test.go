package state_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/state"
)

const (
	ours   = "ap-guangzhou/default/clbwatch"
	theirs = "ap-guangzhou/default/clbwatch-old"
)

func TestTwoFunctionsOnOneStateAreAnError(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before string        // who committed
		after  time.Duration // so long ago
		by     string        // who asks
		ok     bool
	}{
		{"the same function", ours, time.Minute, ours, true},
		{"another function a minute ago", theirs, time.Minute, ours, false},
		{"another function just now", theirs, 0, ours, false},
		{"another function 9 min 59 s ago", theirs, 10*time.Minute - time.Second, ours, false},
		{"another function 10 min ago", theirs, 10 * time.Minute, ours, true},
		{"another function whose clock is a little ahead", theirs, -time.Minute, ours, false},
		{"another function whose clock was far ahead", theirs, -time.Hour, ours, true},
		{"the command line before a function", state.CLI, 0, ours, true},
		{"the command line beside a function", theirs, 0, state.CLI, true},
		{"the same name in another namespace", "ap-guangzhou/test/clbwatch", 0, ours, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var none *state.Head
			h := none.Next("W", tt.before, start)
			err := h.By.Check(tt.by, start.Add(tt.after))
			if (err == nil) != tt.ok {
				t.Fatalf("Check = %v, want it allowed: %v", err, tt.ok)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.before) || !strings.Contains(err.Error(), tt.by) ||
				!strings.Contains(advice.Of(err), "clbwatch state --take")) {
				t.Errorf("Check = %v, advice %q; want both functions, and what to do", err, advice.Of(err))
			}
		})
	}
}

func TestLineageRemembersTheLastFew(t *testing.T) {
	t.Parallel()
	var h *state.Head
	for i := range 30 {
		h = h.Next("W", fmt.Sprint("ap-guangzhou/default/f", i%20), start.Add(time.Duration(i)*time.Hour))
	}
	if len(h.By) != 8 || h.By[0].Name != "ap-guangzhou/default/f9" ||
		h.By[7].Name != "ap-guangzhou/default/f2" ||
		!h.By[7].Alive.Equal(start.Add(22*time.Hour)) {
		t.Errorf("remembered are %v, want f9 down to f2", h.By)
	}
	for range 3 {
		h = h.Next("W", ours, start)
		h = h.Next("W", state.CLI, start)
	}
	if names := fmt.Sprint(h.By[0].Name, h.By[1].Name, h.By[2].Name); names != state.CLI+ours+
		"ap-guangzhou/default/f9" {
		t.Errorf("the last are %s, want each once", names)
	}
	h = h.Next(strings.Repeat("W", 9), strings.Repeat("é", 500), start)
	if n := len(h.By[0].Name); n > 200 {
		t.Errorf("a name of %d bytes is kept", n)
	}
}
