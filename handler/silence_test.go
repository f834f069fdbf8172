package handler_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"clbwatch/handler"
	"clbwatch/internal/watch"
)

func TestInvokeUnderstandsSilences(t *testing.T) {
	t.Parallel()
	type asked = watch.SilenceRequest
	for event, want := range map[string]asked{
		`{"action":"silence","what":"a*","for":"2h","why":"deploy 4711","by":"U0123ABCD"}`: {
			What: "a*", For: 2 * time.Hour, Why: "deploy 4711", By: "U0123ABCD"},
		`{"action":"silence","what":"prod-*","all":true}`:              {What: "prod-*", All: true},
		`{"action":"silence","what":"*","all":false,"why":"","by":""}`: {What: "*"},
		`{"action":"silence","incident":"12"}`:                         {Incident: "12"},
		`{"action":"silence","incident":"12-2","for":"1h30m","why":"x"}`: {
			Incident: "12-2", For: 90 * time.Minute, Why: "x"},
		`{"action":"silence","end":"7","by":"ada"}`: {End: "7", By: "ada"},
		`{"action":"silence","what":"*","for":"1d12h","why":"x"}`: {
			What: "*", For: 36 * time.Hour, Why: "x"},
		// a window that nobody had to set: the timer asks for it
		`{"Type":"Timer","Message":"{\"action\":\"silence\",\"what\":\"batch-*\"}"}`: {What: "batch-*"},
	} {
		a := &app{}
		out, err := serve(a).Invoke(t.Context(), []byte(event))
		if err != nil || a.asked != "silence" || a.quiet != want {
			t.Errorf("Invoke(%s) = %s, %v, and asked for %+v, want %+v", event, out, err, a.quiet, want)
		}
		if !strings.Contains(string(out), `"id":"7"`) || !strings.Contains(a.log.String(), `"silence":"7"`) {
			t.Errorf("Invoke(%s) = %s, and logged %s, want the silence's number in both", event, out, &a.log)
		}
	}
}

func TestInvokeRefusesSilencesBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	const nothing, actions = "nothing to silence, expected one of what", `"report", "silence", "test"`
	refused := map[string]string{
		`"silence"`: nothing, `{"action":"silence"}`: nothing,
		`{"Type":"Timer","Message":"{\"action\":\"silence\"}"}`: nothing,
		`{"action":"Silence","what":"*"}`:                       actions, `{"what":"*"}`: actions,
	}
	for fields, want := range map[string]string{
		`"what":"*","incident":"12"`:                "what and incident are given together",
		`"incident":"12","end":"7"`:                 "incident and end are given together",
		`"what":"*","end":"7"`:                      "what and end are given together",
		`"end":"7","for":"1h"`:                      "for and end are given together",
		`"end":"7","all":true`:                      "all and end are given together",
		`"end":"7","why":"x"`:                       "why and end are given together",
		`"incident":"12","all":true`:                "all and incident are given together",
		`"what":7`:                                  `what is "7", expected a glob`,
		`"what":""`:                                 "expected a glob",
		`"what":null`:                               `what is "null", expected a glob`,
		`"what":["*"]`:                              "expected a glob",
		`"incident":12`:                             `incident is "12", expected the number of an incident`,
		`"incident":"x"`:                            `incident is "x", expected the number`,
		`"end":7`:                                   `end is "7", expected the number of a silence`,
		`"end":"window 2"`:                          "ends by itself",
		`"what":"*","for":2`:                        `for is "2", expected a time of 1m to 7d`,
		`"what":"*","for":"2x"`:                     "expected a time of 1m to 7d",
		`"what":"*","for":""`:                       "expected a time of 1m to 7d",
		`"what":"*","for":"0"`:                      "expected a time of 1m to 7d",
		`"what":"*","for":"-2h"`:                    "expected a time of 1m to 7d",
		`"what":"*","for":"8d","why":"x"`:           "expected a time of 1m to 7d",
		`"what":"*","for":"4h"`:                     "needs a reason",
		`"incident":"12","for":"25h"`:               "lasts from 1m to 24h",
		`"what":"*","why":7`:                        `why is "7", expected a reason`,
		`"what":"*","why":"a\nb"`:                   "control characters",
		`"what":"*","by":{}`:                        "by is",
		`"what":"*","all":"true"`:                   "expected true or false",
		`"what":"*","all":1`:                        "expected true or false",
		`"what":"*","all":null`:                     "expected true or false",
		`"What":"*"`:                                `has "What"`,
		`"what":"*","until":"14:00"`:                `has "until"`,
		`"what":"*","shard":"1/2"`:                  `has "shard"`, // it is of all shards
		`"what":"*","since":"1h"`:                   `has "since"`,
		`"why":"` + strings.Repeat("x", 201) + `"`:  "expected one of what",
		`"what":"` + strings.Repeat("x", 201) + `"`: "what has 201 bytes",
	} {
		refused[`{"action":"silence",`+fields+`}`] = want
	}
	for event, want := range refused {
		h := &handler.Handler{Now: time.Now, Open: func(handler.Invocation) (handler.App, error) {
			t.Errorf("Invoke(%s) opened the settings", event)
			return nil, errors.New("no")
		}}
		out, err := h.Invoke(t.Context(), []byte(event))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Invoke(%s) = %s, %v, want an error with %s", event, out, err, want)
		}
	}
}

func TestInvokeSaysWhyNothingIsSilenced(t *testing.T) {
	t.Parallel()
	a := &app{err: errors.New("no load balancer matches")}
	out, err := serve(a).Invoke(t.Context(), []byte(`{"action":"silence","what":"prd-*"}`))
	if !errors.Is(err, a.err) || out != nil || !strings.Contains(a.log.String(), `"level":"ERROR"`) {
		t.Errorf("Invoke = %s, %v, and logged %s, want the error", out, err, &a.log)
	}
}
