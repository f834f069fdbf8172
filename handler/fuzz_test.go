package handler_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"clbwatch/handler"
	"clbwatch/internal/talk"
)

// FuzzInvoke checks that any bytes are an event that is understood, or an error of bounded length before
// anything is touched; that nothing is a tick but what says so; and that a shard is one that the event spells
// out.
func FuzzInvoke(f *testing.F) {
	for _, event := range []string{
		`{"Type":"Timer","TriggerName":"every-minute","Time":"2026-11-23T04:53:00Z","Message":""}`,
		`{"Type":"Timer","TriggerName":"every-minute","Time":"2026-11-23T04:53:00Z","Message":"{\"shard\":\"2/4\"}"}`,
		`{"Type":"Timer"}`, `{"Type":7}`, `{"type":"timer"}`,
		`{"action":"report"}`, `{"action":"tick","shard":"1/2"}`, `{"action":"test"}`, `{"action":"nonsense"}`,
		`{"action":["tick"]}`, `{"action":"tick","shard":2}`,
		// API gateway, whose body is no business of ours; a COS trigger; a message queue's.
		`{"requestContext":{"serviceId":"service-f94sy04v","path":"/test/{path}","httpMethod":"POST","requestId":"c6af9ac6","identity":{"secretId":"abd"},"sourceIp":"10.0.2.14","stage":"release"},"headers":{"accept-Language":"en-US"},"body":"{\"action\":\"tick\"}","pathParameters":{"path":"value"},"queryStringParameters":{"foo":"bar"},"httpMethod":"POST","path":"/test/value"}`,
		`{"Records":[{"event":{"eventName":"cos:ObjectCreated:Put","eventTime":1545205770},"cos":{"cosObject":{"key":"/1250000000/b/k","size":"1"}}}]}`,
		`{"action":"silence","what":"prod-*","for":"2h","why":"deploy 4711","by":"U0123ABCD","all":true}`,
		`{"action":"silence","incident":"12"}`, `{"action":"silence","end":"7"}`, `{"action":"silence","for":"1d"}`,
		`{"action":"silence","what":"*","incident":"12","why":null}`, `"silence"`,
		`{"Type":"Timer","Message":"{\"action\":\"silence\",\"what\":\"batch-*\",\"for\":\"2h\"}"}`,
		`"tick"`, `"test"`, `null`, ``, ` {} `, `[1]`, "\xff",
		`{"body":"command=%2Fclb&text=status","headers":{"x-slack-signature":"v0=ab"},"httpMethod":"POST","path":"/","queryString":{}}`,
		`{"httpMethod":"POST","headers":{"a":["b"]},"body":"YQ==","isBase64Encoded":true,"action":"tick"}`,
		`{"httpMethod":null,"action":"tick"}`, `{"httpMethod":"GET","body":null}`, `{"httpMethod":7,"action":"tick"}`,
	} {
		f.Add([]byte(event))
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		a := &app{says: talk.Answer{Status: 401}}
		opened, shard := 0, ""
		h := &handler.Handler{Now: time.Now, Open: func(i handler.Invocation) (handler.App, error) {
			opened, shard = opened+1, i.Shard
			return a, nil
		}}
		out, err := h.Invoke(t.Context(), event)
		if (err == nil) != json.Valid(out) || (err == nil) != (a.asked != "") || (err == nil) != (opened == 1) {
			t.Errorf("Invoke(%q) = %q, %v, and did %q", event, out, err, a.asked)
		}
		if err != nil {
			if len(err.Error()) > 600 {
				t.Errorf("Invoke(%q) fails with %d bytes", event, len(err.Error()))
			}
			return
		}
		if s := a.quiet; a.asked == "silence" && (s.Check() != nil || s.For < 0 || s.For > 7*24*time.Hour) {
			t.Errorf("Invoke(%q) asked for %+v", event, s)
		}
		var http struct {
			Status int               `json:"statusCode"`
			Header map[string]string `json:"headers"`
			Body   string            `json:"body"`
		}
		if a.asked == "talk" {
			if json.Unmarshal(out, &http) != nil || http.Status != 401 || http.Body != "" || len(http.Header) > 0 {
				t.Errorf("Invoke(%q) = %q, want an empty 401", event, out)
			}
			return
		}
		var text string
		var object map[string]any
		_ = json.Unmarshal(event, &text) // one of them, or neither
		_ = json.Unmarshal(event, &object)
		action, _ := object["action"].(string)
		var argument struct {
			Action string `json:"action"`
		}
		if message, ok := object["Message"].(string); ok && object["Type"] == "Timer" {
			_ = json.Unmarshal([]byte(message), &argument) // or it is the user's own
		}
		said := text == a.asked || action == a.asked || argument.Action == a.asked
		if a.asked != "report" && !said && (a.asked != "tick" || object["Type"] != "Timer") {
			t.Errorf("Invoke(%q) did a %s", event, a.asked)
		}
		if message, _ := object["Message"].(string); shard != "" && object["shard"] != shard &&
			!bytes.Contains([]byte(message), []byte(`"`)) {
			t.Errorf("Invoke(%q) opened shard %q", event, shard)
		}
	})
}
