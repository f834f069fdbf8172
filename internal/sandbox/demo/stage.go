package demo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	function *function    // that ticks
	desk     *function    // that answers Slack
	ticks    int
	talks    int       // commands and clicks of the story
	told     int       // messages shown
	edited   time.Time // the last edit shown

	mu      sync.Mutex // guards what the page looks at, below
	change  chan struct{}
	live    bool
	failing failing
	runs    []runState
	orders  []string // events to invoke
	added   int      // backends that the page made up

	restarts  map[string]*rolling // by id of a load balancer
	minutes   int                 // that pass with the next ticks
	refused   string              // why the last order was refused, here or by the function; "" if it was not
	dismissed map[string]bool     // messages that only ada saw, by their ts
}

func newStage(story Story) *stage {
	s := &stage{Story: story, cloud: cloud.New(), slack: slack.New(), change: make(chan struct{})}
	s.Render.Width = cmp.Or(max(min(s.Render.Width, 120), 0), 100)
	s.Render.Names = people
	s.function = &function{binary: s.Function, cloud: s.cloud, settings: make(map[string]string)}
	s.desk = &function{binary: s.Function, cloud: s.cloud, settings: make(map[string]string),
		how: []scf.Option{scf.WithName("clbwatch-slack"), scf.WithTimeout(5 * time.Second)}}
	s.bucket = cos.New(s.cloud.Credential)
	s.slack.Now = s.now
	s.slack.Unlimited = true // the story squeezes an hour into a minute
	s.slack.Keep = maxPosts
	s.slack.Mention, s.slack.Users = "here", slices.Collect(maps.Keys(people))
	return s
}

func (s *stage) play(ctx context.Context, sc scene) error {
	s.say("%s", sc.title)
	s.wait(ctx, readLine)
	if sc.do != nil {
		sc.do(s)
	}
	ticks, answer := sc.ticks, ""
	var err error
	switch {
	case sc.event != "":
		answer, err = s.invoke(ctx, sc.event, true)
	case sc.typed != "" || sc.pressed != "":
		answer, err = s.talk(ctx, sc)
	default:
		ticks = max(ticks, 1)
	}
	if err != nil {
		return err
	}
	if word, ok := says(answer, sc.answer); !ok {
		return fmt.Errorf("the answer does not say %q where it should", word)
	}
	for i := range ticks {
		if n := len(s.posts()) - s.told; n > 0 {
			return fmt.Errorf("a message came early, %d ticks before the end", ticks-i)
		}
		s.later(time.Minute)
		if _, err := s.invoke(ctx, "", sc.ticks <= 3 || i == ticks-1); err != nil {
			return err
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
	if word, ok := says(text, sc.want); !ok {
		return fmt.Errorf("the message does not say %q where it should", word)
	}
	if word, ok := says(edited, sc.edited); !ok {
		return fmt.Errorf("no message was edited to say %q where it should", word)
	}
	if text == "" && edited == "" {
		s.wait(ctx, readLine)
		return nil
	}
	s.wait(ctx, readMessage)
	return nil
}

// says reports whether a text has all the words, in their order; if not, which it lacks.
func says(text string, words []string) (lacks string, ok bool) {
	text = strings.ToLower(text)
	for _, word := range words {
		_, rest, found := strings.Cut(text, word)
		if !found {
			return word, false
		}
		text = rest
	}
	return "", true
}

// later lets time pass, by the clocks of COS and Slack, which the function goes by.
func (s *stage) later(d time.Duration) {
	s.passed.Add(int64(d))
	s.bucket.Advance(d)
}

// now is the time by those clocks.
func (s *stage) now() time.Time { return time.Now().Add(time.Duration(s.passed.Load())) }

// invoke runs the function once, with an event by hand or, if that is "", with the timer's. It starts an
// instance if there is none, prints the answer if that is wanted, and returns it.
func (s *stage) invoke(ctx context.Context, event string, print bool) (string, error) {
	payload, what := []byte(event), actionOf(event)
	if event == "" {
		payload, what = scf.TimerEvent(time.Now().Truncate(time.Second)), "tick"
		s.ticks++
	}
	r, answer, ferr, err := s.run(ctx, s.function, what, payload)
	if err != nil {
		return "", err
	}
	if !s.isLive() && (print || ferr != nil) { // live, the page shows it
		line := fmt.Sprintf("  %s  %s  %d ms", what, r.Answer, r.MS)
		_, err = fmt.Fprintln(s.Out, s.paint(line, terminal.Dim))
	}
	if ferr != nil {
		return ferr.Error(), ferr
	}
	return string(answer), err
}

// run invokes a function, and notes that for the page.
func (s *stage) run(ctx context.Context, f *function, what string, event []byte) (r runState, payload []byte,
	ferr *scf.Error, err error) {
	r = runState{At: s.now(), What: what}
	began := time.Now()
	payload, ferr, err = f.invoke(ctx, event)
	r.MS, r.Answer, r.Wrong = time.Since(began).Milliseconds(), string(payload), ferr != nil || err != nil
	switch {
	case err != nil:
		r.Answer = err.Error()
	case ferr != nil:
		r.Answer = ferr.Error()
	}
	if len(r.Answer) > maxLine {
		r.Answer = r.Answer[:maxLine] + "…"
	}
	r.Answer = terminal.Clean(r.Answer)
	s.ran(r)
	return r, payload, ferr, err
}

// maxLine is how much of an answer is shown, in bytes.
const maxLine = 320

// actionOf is what an event by hand asks for; "" if it does not say.
func actionOf(event string) string {
	var e struct {
		Action string `json:"action"`
	}
	_ = json.Unmarshal([]byte(event), &e) // what it is then is for the function to say
	return e.Action
}

// addShop makes the load balancer of the application kind.
func (s *stage) addShop() {
	s.cloud.SetApplication(scf.Region, shop)
	s.cloud.Listen(scf.Region, shop, cloud.Listener{Protocol: "HTTPS", Port: 443, Rules: []cloud.Rule{
		{Domain: "shop.example.com", URL: "/"}, {Domain: "shop.example.com", URL: "/pay"}}},
		cloud.Listener{Protocol: "TCP", Port: 8443})
	for i := range 4 {
		s.cloud.Bind(scf.Region, shop, instance(fmt.Sprintf("shop-%02d", i+1), fmt.Sprintf("10.0.7.%d", 11+i)))
	}
}

// route gives prod-api a channel of its own.
func (s *stage) route() {
	s.slack.Add(teamChannel)
	s.slack.Invite(teamChannel)
	for _, f := range []*function{s.function, s.desk} {
		f.set("SLACK_ROUTES", "prod-api="+teamChannel)
	}
}

// show draws what is new in the channels since the last call, edits too, and returns both as plain text.
func (s *stage) show() (plain, edited string, err error) {
	o := s.Render
	o.Width -= 4
	uncoloured := o
	uncoloured.Color, uncoloured.Width = false, 10_000
	draw := func(p post, what string, text *bytes.Buffer) error {
		var drawn bytes.Buffer
		head := "Slack, #" + p.Channel + what
		text.WriteString(head + "\n")
		if err := errors.Join(terminal.Render(text, p.Raw, uncoloured),
			terminal.Render(&drawn, p.Raw, o)); err != nil {
			return err
		}
		body := strings.ReplaceAll(strings.TrimSuffix(drawn.String(), "\n"), "\n", "\n    ")
		_, err := fmt.Fprintf(s.Out, "%s\n    %s\n", s.paint("  "+head, "1;35"), body)
		return err
	}
	var text, edits bytes.Buffer
	posts := s.posts()
	for i, p := range posts {
		switch {
		case p.User == ada: // what she typed is shown
		case i >= s.told && p.Private:
			err = draw(p, ", only visible to @"+people[ada], &text)
		case i >= s.told && p.Thread != "" && p.Broadcast:
			err = draw(p, ", in the thread and in the channel", &text)
		case i >= s.told && p.Thread != "":
			err = draw(p, ", in the thread", &text)
		case i >= s.told:
			err = draw(p, "", &text)
		case p.Edited.After(s.edited):
			err = draw(p, ", an earlier message, edited", &edits)
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

// log is what the functions logged.
func (s *stage) log() []string { return slices.Concat(s.function.log(), s.desk.log()) }
