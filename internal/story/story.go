// Package story reads stories: what happens to a few load balancers, to the cloud's API and to Slack, minute
// by minute, as JSON Lines that anybody can write or export; docs/stories.md says how. It knows nothing of
// how that is reported, and refuses a line that it does not understand.
package story

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/lb"
)

// Settle is how many minutes the last state of a story stays, which count too.
const Settle = 40

// Bounds of a story that is read.
const (
	maxTicks    = 90 * 24 * 60 // minutes
	maxLine     = 4 << 20      // bytes
	maxSteps    = 2_000_000
	maxCLBs     = 10_000
	maxBackends = 200_000 // of all load balancers
	maxName     = 200     // bytes, of a load balancer or a backend
	maxWeight   = 10_000
)

// Story is what happens, minute by minute.
type Story struct {
	Name     string            `json:"story"`
	Ticks    int               `json:"ticks"`    // minutes; Settle more follow
	Start    time.Time         `json:"start"`    // the time of minute 0; zero if it does not matter
	Settings map[string]string `json:"settings"` // other than those of Base
	Bot      *Bounds           `json:"bot"`      // nil: no bounds
	Webhook  *Bounds           `json:"webhook"`  // nil: no bounds
	Steps    []Step            `json:"-"`        // by T
}

// Bounds is how many of each Slack may accept at most. A webhook has Messages only, a bot the others.
type Bounds struct {
	Channel   int `json:"channel"`   // messages in the channel that are no updates
	Updates   int `json:"updates"`   // replies in threads, broadcast ones too
	Broadcast int `json:"broadcast"` // of those, the ones shown in the channel too
	Mentions  int `json:"mentions"`
	Messages  int `json:"messages"`
}

// Within reports whether nothing is more than the bounds allow.
func (b Bounds) Within(most Bounds) bool {
	return b.Channel <= most.Channel && b.Updates <= most.Updates && b.Broadcast <= most.Broadcast &&
		b.Mentions <= most.Mentions && b.Messages <= most.Messages
}

// Step is one thing that happens. Exactly one of CLB, API and Slack is set.
type Step struct {
	T       int             `json:"t"`       // minute of the tick that sees it; -1: watching begins
	CLB     string          `json:"clb"`     // a load balancer
	Set     map[string]int  `json:"set"`     // the statuses of its backends, by their ids; 0 is gone
	Weights map[string]int  `json:"weights"` // and the weights, 10 at first; 0 is drained
	Failing map[string]bool `json:"failing"` // and whether they fail their health check
	API     string          `json:"api"`     // "fails" or "well", for every load balancer
	Slack   string          `json:"slack"`   // "no connection", "well", or "500 to what names X"
}

// Poison begins what Step.Slack says of a Slack that answers 500 to whatever names a load balancer.
const Poison = "500 to what names "

// Base are the settings that all stories have, unless Story.Settings says otherwise.
func Base() map[string]string {
	return map[string]string{"STABLE_AFTER": "10m", "CLB_BLIND_AFTER": "3", "SLACK_MENTION": "here"}
}

// settings are those that a story may have.
var settings = []string{"CLB_BLIND_AFTER", "SILENCES", "SLACK_MENTION", "SLACK_MENTION_AT", "STABLE_AFTER",
	"TRANSIENT_FOR"}

// Setting is one of the story's settings, or of Base; "" if it is in neither.
func (s Story) Setting(name string) string { return cmp.Or(s.Settings[name], Base()[name]) }

// Duration is such a setting that is a time; 0 if it is not set, or is none.
func (s Story) Duration(name string) time.Duration {
	d, err := time.ParseDuration(s.Setting(name))
	if err != nil {
		return 0
	}
	return d
}

// Read reads a story. Its error names the line, counted from 1, and says what was expected.
func Read(r io.Reader) (Story, error) {
	var s Story
	clbs := make(map[string]bool)
	backends := make(map[string]bool)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		var err error
		switch {
		case len(line) == 0:
			continue
		case s.Name == "":
			err = s.head(line)
		default:
			err = s.step(line, clbs, backends)
		}
		if err != nil {
			return Story{}, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("line %d has more than %d bytes", n+1, maxLine)
		}
		return Story{}, err
	}
	if s.Name == "" {
		return Story{}, errors.New(`it is empty, expected a first line such as {"story":"my-day","ticks":1440}`)
	}
	slices.SortStableFunc(s.Steps, func(a, b Step) int { return cmp.Compare(a.T, b.T) })
	return s, nil
}

// strictly decodes one line.
func strictly(line []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the object, expected one for each line")
	}
	return nil
}

// head takes in the first line.
func (s *Story) head(line []byte) error {
	if err := strictly(line, s); err != nil {
		return err
	}
	switch {
	case s.Name == "":
		return errors.New(`it has no story, expected its name: {"story":"my-day","ticks":1440}`)
	case len(s.Name) > maxName:
		return fmt.Errorf("story has %d bytes, expected at most %d", len(s.Name), maxName)
	case s.Ticks < 1 || s.Ticks > maxTicks:
		return fmt.Errorf("ticks is %d, expected the minutes that it lasts, 1 to %d", s.Ticks, maxTicks)
	case !s.Start.IsZero() && (s.Start.Year() < 2000 || s.Start.Year() > 2200):
		return fmt.Errorf("start is in the year %d, expected a time such as 2026-11-30T20:00:00Z", s.Start.Year())
	}
	for name := range s.Settings {
		if !slices.Contains(settings, name) {
			return fmt.Errorf("settings has %.40q, expected some of %s", name, strings.Join(settings, ", "))
		}
	}
	return nil
}

// step takes in one of the other lines.
func (s *Story) step(line []byte, clbs, backends map[string]bool) error {
	var step Step
	if err := strictly(line, &step); err != nil {
		return err
	}
	if err := step.check(); err != nil {
		return err
	}
	if step.CLB != "" {
		clbs[step.CLB] = true
		for id := range step.Set {
			backends[step.CLB+"/"+id] = true
		}
	}
	switch {
	case len(s.Steps) == maxSteps:
		return fmt.Errorf("there are more than %d lines", maxSteps)
	case len(clbs) > maxCLBs:
		return fmt.Errorf("there are more than %d load balancers", maxCLBs)
	case len(backends) > maxBackends:
		return fmt.Errorf("there are more than %d backends", maxBackends)
	}
	s.Steps = append(s.Steps, step)
	return nil
}

// check says what is wrong with a step.
func (s Step) check() error {
	about := 0
	for _, is := range []string{s.CLB, s.API, s.Slack} {
		if is != "" {
			about++
		}
	}
	switch {
	case about != 1:
		return errors.New("expected exactly one of clb, api and slack")
	case s.T < -1 || s.T > maxTicks+Settle:
		return fmt.Errorf("t is %d, expected a minute, or -1 for the state when watching begins", s.T)
	case s.API != "" && s.API != "fails" && s.API != "well":
		return fmt.Errorf(`api is %.40q, expected "fails" or "well"`, s.API)
	case s.Slack != "" && s.Slack != "no connection" && s.Slack != "well" && !strings.HasPrefix(s.Slack, Poison):
		return fmt.Errorf(`slack is %.40q, expected "no connection", "well" or "%sX"`, s.Slack, Poison)
	case s.CLB == "" && len(s.Set)+len(s.Weights)+len(s.Failing) > 0:
		return errors.New("set, weights and failing are of a load balancer, and clb is missing")
	case len(s.CLB) > maxName:
		return fmt.Errorf("clb has %d bytes, expected at most %d", len(s.CLB), maxName)
	}
	for id, status := range s.Set {
		if id == "" || len(id) > maxName {
			return fmt.Errorf("set has an id of %d bytes, expected 1 to %d", len(id), maxName)
		}
		if status < 0 || status > 1000 {
			return fmt.Errorf("set gives %.40q the status %d, expected one of API 2.0's, such as %d for running, "+
				"or 0 for gone", id, status, lb.Running)
		}
	}
	for id, weight := range s.Weights {
		if weight < 0 || weight > maxWeight {
			return fmt.Errorf("weights gives %.40q the weight %d, expected 0 to %d", id, weight, maxWeight)
		}
	}
	return nil
}
