package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
	"clbwatch/internal/sandbox/terminal"
)

// stage is everything a story plays on.
type stage struct {
	Story
	cloud    *cloud.Cloud
	slack    *slack.Workspace
	bucket   *cos.Bucket  // of the state
	passed   atomic.Int64 // how much time later has let pass, in nanoseconds
	function *scf.Function
	settings map[string]string
	role     sandbox.Credential
	logs     []string // of instances that are gone
	ticks    int
	told     int       // messages shown
	edited   time.Time // the last edit shown

	mu      sync.Mutex // guards what the page looks at, below
	change  chan struct{}
	live    bool
	failing failing
	runs    []runState
	orders  []string // events to invoke
	added   int      // backends that the page made up
}

func (s *stage) play(ctx context.Context, sc scene) error {
	s.say("%s", sc.title)
	s.wait(ctx, readLine)
	if sc.do != nil {
		sc.do(s)
	}
	for i := range max(sc.ticks, 1) {
		if sc.event == "" {
			s.later(time.Minute)
		}
		last := i == max(sc.ticks, 1)-1
		if err := s.invoke(ctx, sc.event, sc.ticks <= 3 || last); err != nil {
			return err
		}
		if n := len(s.slack.Messages()) - s.told; n > 0 && !last {
			return fmt.Errorf("a message came %d ticks early", max(sc.ticks, 1)-1-i)
		}
	}
	text, edited, err := s.show()
	if err != nil {
		return err
	}
	switch {
	case len(sc.want) == 0 && text != "":
		return fmt.Errorf("a message came that should not have come")
	case len(sc.want) > 0 && text == "":
		return fmt.Errorf("no message came")
	}
	for _, word := range sc.want {
		if !strings.Contains(strings.ToLower(text), word) {
			return fmt.Errorf("the message does not say %q", word)
		}
	}
	for _, word := range sc.edited {
		if !strings.Contains(strings.ToLower(edited), word) {
			return fmt.Errorf("no message was edited to say %q", word)
		}
	}
	if text == "" && edited == "" {
		s.wait(ctx, readLine)
		return nil
	}
	s.wait(ctx, readMessage)
	return nil
}

// later lets time pass, by the clocks of COS and Slack, which the function goes by.
func (s *stage) later(d time.Duration) {
	s.passed.Add(int64(d))
	s.bucket.Advance(d)
}

// invoke runs the function once, starting an instance if there is none, and prints what it answers if that is
// wanted.
func (s *stage) invoke(ctx context.Context, event string, print bool) error {
	payload, word := []byte(event), "report"
	if event == "" {
		payload, word = scf.TimerEvent(time.Now().Truncate(time.Second)), "tick"
		s.ticks++
	}
	if s.function != nil && s.function.Gone() {
		s.logs = append(s.logs, s.function.Logs()...)
		s.function = nil
	}
	if s.function == nil {
		f, err := scf.Start(ctx, s.Function, s.settings, scf.WithCredential(s.rotate))
		if err != nil {
			return fmt.Errorf("start the function: %w", err)
		}
		s.function = f
	}
	began := time.Now()
	answer, ferr, err := s.function.Invoke(ctx, payload)
	if err != nil {
		return err
	}
	line := string(answer)
	if ferr != nil {
		line = ferr.Error()
	}
	if len(line) > 160 {
		line = line[:160] + "…"
	}
	s.ran(runState{At: began, What: word, MS: time.Since(began).Milliseconds(), Answer: terminal.Clean(line),
		Wrong: ferr != nil})
	if s.isLive() || !print && ferr == nil {
		return nil // the page shows it
	}
	line = fmt.Sprintf("  %s  %s  %d ms", word, terminal.Clean(line), time.Since(began).Milliseconds())
	_, err = fmt.Fprintln(s.Out, s.paint(line, terminal.Dim))
	if ferr != nil && err == nil {
		err = ferr
	}
	return err
}

// rotate gives the function a new credential with each invocation and ends the last: who keeps one is
// refused.
func (s *stage) rotate() sandbox.Credential {
	s.cloud.Revoke(s.role.SecretID)
	s.role = s.cloud.Issue()
	return s.role
}

// show draws what is new in the channel since the last call, edits too, and returns both as plain text.
func (s *stage) show() (plain, edited string, err error) {
	o := s.Render
	o.Width -= 4
	uncoloured := o
	uncoloured.Color, uncoloured.Width = false, 10_000
	draw := func(p slack.Post, head string, text *bytes.Buffer) error {
		var drawn bytes.Buffer
		if err := errors.Join(terminal.Render(text, p.Raw, uncoloured),
			terminal.Render(&drawn, p.Raw, o)); err != nil {
			return err
		}
		body := strings.ReplaceAll(strings.TrimSuffix(drawn.String(), "\n"), "\n", "\n    ")
		_, err := fmt.Fprintf(s.Out, "%s\n    %s\n", s.paint("  "+head, "1;35"), body)
		return err
	}
	var text, edits bytes.Buffer
	posts := s.slack.Channel()
	for i, p := range posts {
		switch {
		case i >= s.told && p.Thread != "" && p.Broadcast:
			err = draw(p, "Slack, in the thread and in the channel", &text)
		case i >= s.told && p.Thread != "":
			err = draw(p, "Slack, in the thread", &text)
		case i >= s.told:
			err = draw(p, "Slack", &text)
		case p.Edited.After(s.edited):
			err = draw(p, "Slack, an earlier message, edited", &edits)
		}
		if err != nil {
			return "", "", err
		}
	}
	for _, p := range posts {
		if p.Edited.After(s.edited) {
			s.edited = p.Edited
		}
	}
	s.told = len(posts)
	return text.String(), edits.String(), nil
}

func (s *stage) say(format string, args ...any) {
	// the next message tells of a lost terminal
	_, _ = fmt.Fprintf(s.Out, "\n%s\n", s.paint(fmt.Sprintf(format, args...), terminal.Bold))
}

func (s *stage) paint(text, sgr string) string {
	return s.Render.Paint(text, sgr)
}

func (s *stage) wait(ctx context.Context, d time.Duration) {
	if !s.Fast {
		sandbox.Pause(ctx, d)
	}
}

// log is what the function logged, at most the last 30 lines.
func (s *stage) log() []string {
	all := s.logs
	if s.function != nil {
		all = append(all, s.function.Logs()...)
	}
	return all[max(len(all)-30, 0):]
}
