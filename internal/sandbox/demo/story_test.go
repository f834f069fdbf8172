package demo

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"clbwatch/internal/sandbox"
)

// echo is a function that answers every event with itself, and has nothing to say to Slack.
func echo(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "echo")
	if err := sandbox.Build(t.Context(), path, "../scf/testdata/echo", ""); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheStoryNoticesSilence(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := Story{Function: echo(t), Out: &out, Fast: true}.Tell(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no message came") ||
		!strings.Contains(err.Error(), "hello from stderr") {
		t.Errorf("got %v, want an error that says what is missing, and the log", err)
	}
	if !strings.Contains(out.String(), `tick  {"Type":"Timer"`) {
		t.Errorf("the answer of the function is not shown: %s", out.String())
	}
}

// TestScenesAreStrict plays scenes with a function that posts nothing by itself.
func TestScenesAreStrict(t *testing.T) {
	t.Parallel()
	binary := echo(t)
	post := func(s *stage) { s.slack.Say("web-07 stopped on prod-web") }
	buttons := func(s *stage) {
		if err := s.typed(t.Context(), "/clb buttons"); err != nil {
			t.Error(err)
		}
		s.told = len(s.posts())
	}
	const event = `{"action":"silence","what":"prod-web"}`
	for _, tt := range []struct {
		name string
		sc   scene
		want string // in the error; "" for none
	}{
		{"a tick that posts nothing", scene{}, ""},
		{"an event that posts nothing", scene{event: event, answer: []string{"silence", "prod-web"}}, ""},
		{"an event and a tick", scene{event: event, ticks: 1}, ""},
		{"a message before the last tick", scene{do: post, want: []string{"web-07"}}, "a message came early"},
		{"a message that should not come", scene{do: post, event: event}, "should not have come"},
		{"no message", scene{event: event, want: []string{"web-07"}}, "no message came"},
		{"a message", scene{do: post, event: event, want: []string{"web-07", "prod-web"}}, ""},
		{"other words", scene{do: post, event: event, want: []string{"web-08"}}, `does not say "web-08"`},
		{"another order", scene{do: post, event: event, want: []string{"prod-web", "web-07"}},
			`does not say "web-07"`},
		{"another answer", scene{event: event, answer: []string{"prod-api"}}, `does not say "prod-api"`},
		{"a command", scene{typed: "/clb hello", answer: []string{"heard", "hello"}}, ""},
		{"a command and a tick", scene{typed: "/clb hello", answer: []string{"heard"}, ticks: 1}, ""},
		{"another answer to a command", scene{typed: "/clb hello", answer: []string{"refused"}},
			`does not say "refused"`},
		{"a private answer", scene{typed: "/clb alone", answer: []string{"only visible to @ada", "heard"}}, ""},
		{"no answer", scene{typed: "/clb nothing"}, "nothing was answered"},
		{"what is no command", scene{typed: "hello"}, "type a command"},
		{"a button", scene{do: buttons, pressed: "Press me", answer: []string{"in the thread", "pressed"}}, ""},
		{"no such button", scene{do: buttons, pressed: "Press it"}, `no message has a button "Press it"`},
		{"no edit", scene{edited: []string{"web-07"}}, "no message was edited"},
	} {
		st := newStage(Story{Function: binary, Out: io.Discard, Fast: true})
		connect(t, st, answers)
		err := st.play(t.Context(), tt.sc)
		st.function.end()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil ||
			!strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
