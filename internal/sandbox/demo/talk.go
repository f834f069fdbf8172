package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

// ada is who types commands and presses buttons: her ID in Slack.
const ada = "U0123ABCD"

// people are the names of users, by ID.
var people = map[string]string{ada: "ada"}

const (
	command = "/clb"
	usable  = "nobody answers that here; type a command, such as " + command + " help, " + command +
		" status or " + command + " silence prod-web 1h deploy"
)

// serveDesk connects Slack to the function that answers it, which has neither a token nor a load balancer to
// read. slackURL is where Slack's own server is.
func (s *stage) serveDesk(slackURL string) (stop func(), err error) {
	url := scf.NewURL(scf.Shapes()[0], func(ctx context.Context, event []byte) ([]byte, *scf.Error, error) {
		_, payload, ferr, err := s.run(ctx, s.desk, "slack", event)
		return payload, ferr, err
	})
	address, stop, err := serve("127.0.0.1:0", url)
	if err != nil {
		return nil, err
	}
	s.slack.Connect(slackURL, address)
	return stop, nil
}

// typed is ada typing something in the first channel. An error is what she sees beside her text.
func (s *stage) typed(ctx context.Context, text string) error {
	line := strings.TrimSpace(text)
	if first, _, _ := strings.Cut(line, " "); first != command {
		return errors.New(usable)
	}
	r, err := s.slack.Command(ctx, slack.Person{ID: ada}, "", line)
	if err != nil {
		return err
	}
	if r.Error != "" {
		return fmt.Errorf("%s failed with the error %q", command, r.Error)
	}
	return nil
}

// press is a press of a message's button.
type press struct {
	Channel string `json:"channel"` // its name
	TS      string `json:"ts"`
	Button  string `json:"button"` // its action_id, or its label
}

// pressed is ada pressing a button. An error is what she sees beside it.
func (s *stage) pressed(ctx context.Context, b press) error {
	id, known := s.channels()[b.Channel]
	if !known {
		return fmt.Errorf("there is no channel %.60q", b.Channel)
	}
	r, err := s.slack.Click(ctx, slack.Person{ID: ada}, id, b.TS, b.Button)
	if err != nil {
		return err
	}
	if r.Error != "" {
		return fmt.Errorf("the button failed with the error %q", r.Error)
	}
	return nil
}

// channels are the IDs of the channels, by name.
func (s *stage) channels() map[string]string {
	return map[string]string{"alerts": s.slack.ChannelID(), teamName: teamChannel}
}

// post is a message of one of the channels.
type post struct {
	slack.Post
	Channel string `json:"channel"` // its name
	Private bool   `json:"private"` // only ada sees it

	Replies int       `json:"replies"`            // in its thread, with those that are not shown
	Last    time.Time `json:"lastReply,omitzero"` // when the last of them came
	About   string    `json:"about"`              // of a broadcast reply: what its thread is about
}

// posts are the messages of all channels as ada sees them, in the order in which they came.
func (s *stage) posts() []post {
	var all []post
	ids := s.channels()
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		for _, p := range s.slack.ChannelOf(ids[name]) {
			all = append(all, post{Post: p, Channel: name})
		}
		for _, p := range s.slack.Ephemerals(ada) {
			if p.Channel == ids[name] {
				all = append(all, post{Post: p.Post, Channel: name, Private: true})
			}
		}
	}
	slices.SortFunc(all, func(a, b post) int { return strings.Compare(a.TS, b.TS) }) // they rise everywhere
	return all
}

// withButton is the newest message with a button of that label.
func (s *stage) withButton(label string) (press, error) {
	for _, p := range slices.Backward(s.posts()) {
		if strings.Contains(string(p.Raw), `"actions"`) && strings.Contains(string(p.Raw), `"`+label+`"`) {
			return press{p.Channel, p.TS, label}, nil
		}
	}
	return press{}, fmt.Errorf("no message has a button %q", label)
}

// talk is what ada types or presses in a scene. It returns what she is answered, as plain text.
func (s *stage) talk(ctx context.Context, sc scene) (answer string, err error) {
	s.talks++
	does, what := "types", sc.typed
	began := time.Now()
	if sc.typed != "" {
		err = s.typed(ctx, sc.typed)
	} else {
		does, what = "presses", sc.pressed
		var b press
		if b, err = s.withButton(sc.pressed); err == nil {
			err = s.pressed(ctx, b)
		}
	}
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("  @%s %s  %s", people[ada], does, what)
	_, err = fmt.Fprintf(s.Out, "%s  %s\n", s.paint(line, "1;33"),
		s.paint(fmt.Sprintf("%d ms", time.Since(began).Milliseconds()), "2"))
	if err != nil {
		return "", err
	}
	answer, _, err = s.show()
	if err == nil && answer == "" {
		err = errors.New("nothing was answered")
	}
	s.wait(ctx, readLine)
	return answer, err
}
