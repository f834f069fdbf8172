// Package stories is what a day does to a few load balancers, to the cloud's API and to Slack, with the
// number of messages that each may take, and what is true of the load balancers minute by minute. It knows
// nothing of how that is reported: whoever plays a story counts what came of it and holds it against this.
package stories

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

//go:embed *.jsonl
var files embed.FS

// Settle is how many minutes the last state of a story stays, which count too.
const Settle = 40

// Story is what happens, minute by minute.
type Story struct {
	Name     string            `json:"story"`
	Ticks    int               `json:"ticks"`    // minutes; Settle more follow
	Start    time.Time         `json:"start"`    // the time of minute 0; zero if it does not matter
	Settings map[string]string `json:"settings"` // other than those of Base
	Bot      Bounds            `json:"bot"`
	Webhook  Bounds            `json:"webhook"`
	Steps    []Step            `json:"-"` // by T
}

// Bounds is how many of each Slack may accept at most. A webhook has Messages only, a bot the others.
type Bounds struct {
	Channel   int `json:"channel"`   // messages in the channel that are no updates
	Updates   int `json:"updates"`   // replies in threads, broadcast ones too
	Broadcast int `json:"broadcast"` // of those, the ones shown in the channel too
	Mentions  int `json:"mentions"`
	Messages  int `json:"messages"`
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

// Base are the settings that all stories have, unless Story.Settings says otherwise.
var Base = map[string]string{"STABLE_AFTER": "10m", "CLB_BLIND_AFTER": "3", "SLACK_MENTION": "here"}

// Setting is one of the story's settings, or of Base; "" if it is in neither.
func (s Story) Setting(name string) string { return cmp.Or(s.Settings[name], Base[name]) }

// Duration is such a setting that is a time; 0 if it is not set, or is none.
func (s Story) Duration(name string) time.Duration {
	d, err := time.ParseDuration(s.Setting(name))
	if err != nil {
		return 0
	}
	return d
}

// All are the stories, by name.
func All() ([]Story, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	all := make([]Story, len(entries))
	for i, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		if all[i], err = parse(text); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		if want := strings.TrimSuffix(e.Name(), ".jsonl"); all[i].Name != want {
			return nil, fmt.Errorf("%s: its name is %q, not that of the file", e.Name(), all[i].Name)
		}
	}
	return all, nil
}

func parse(text []byte) (s Story, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, err
	}
	for {
		var step Step
		if err := d.Decode(&step); err == io.EOF {
			break
		} else if err != nil {
			return s, err
		}
		s.Steps = append(s.Steps, step)
	}
	slices.SortStableFunc(s.Steps, func(a, b Step) int { return cmp.Compare(a.T, b.T) })
	return s, nil
}
