package handler

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/text"
)

// takeSilence takes what an object asks of silences. It is strict: a silence that is not what somebody meant
// may hide an outage.
func (r *request) takeSilence(object map[string]json.RawMessage) error {
	s := &r.silence
	for _, key := range slices.Sorted(maps.Keys(object)) {
		var err error
		switch raw := object[key]; key {
		case "action":
		case "what":
			s.What, err = word(key, raw, `a glob of load balancers, such as "prod-*"`)
		case "incident":
			s.Incident, err = word(key, raw, `the number of an incident in quotes, such as "12"`)
		case "end":
			s.End, err = word(key, raw, `the number of a silence in quotes, such as "7"`)
		case "for":
			s.For, err = length(raw)
		case "why":
			s.Why, err = words(key, raw, `a reason, such as "deploy 4711"`)
		case "by":
			s.By, err = words(key, raw, `who it is, such as "U0123ABCD" or "ada"`)
		case "all":
			if s.All = string(raw) == "true"; !s.All && string(raw) != "false" {
				err = wrong(key, raw, "true or false")
			}
		default:
			err = fmt.Errorf("the event has %.40q, expected what, incident, end, for, why, by or all", key)
		}
		if err != nil {
			return err
		}
	}
	if err := s.Check(); err != nil {
		return fmt.Errorf("the event's silence: %w", err)
	}
	return nil
}

// words is a text.
func words(key string, raw json.RawMessage, expected string) (s string, err error) {
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", wrong(key, raw, expected)
	}
	return s, nil
}

// word is a text that is not empty.
func word(key string, raw json.RawMessage, expected string) (string, error) {
	s, err := words(key, raw, expected)
	if err == nil && s == "" {
		err = wrong(key, raw, expected)
	}
	return s, err
}

// length is how long a silence lasts.
func length(raw json.RawMessage) (time.Duration, error) {
	const expected = `a time of 1m to 7d, such as "2h"`
	s, err := words("for", raw, expected)
	if err != nil {
		return 0, err
	}
	d, ok := text.Length(s)
	if !ok || d < incident.MinSilence || d > incident.MaxSilence {
		return 0, wrong("for", raw, expected)
	}
	return d, nil
}

func wrong(key string, raw json.RawMessage, expected string) error {
	return fmt.Errorf("the event's %s is %.40q, expected %s", key, raw, expected)
}
