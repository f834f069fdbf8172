package handler_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"clbwatch/handler"
	"clbwatch/internal/talk"
)

func TestInvokeTakesHTTP(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ event, body, decoded string }{
		"as documented": {`{"body":"text=list","headers":{"x-a":"b"},"httpMethod":"POST","path":"/","queryString":{}}`,
			"text=list", ""},
		"encoded, and says so": {`{"body":"dGV4dD1saXN0","headers":{"x-a":"b"},"httpMethod":"POST","isBase64Encoded":true}`,
			"text=list", ""},
		"encoded without a word": {`{"body":"dGV4dD1saXN0","headers":{"x-a":"b"},"httpMethod":"POST","isBase64Encoded":false}`,
			"dGV4dD1saXN0", "text=list"},
		"what looks like an action": {`{"body":"{\"action\":\"tick\"}","headers":{"x-a":"b"},"httpMethod":"POST","action":"tick","Type":"Timer"}`,
			`{"action":"tick"}`, ""},
		"a header of several values": {`{"body":"a","headers":{"x-a":"b","x-b":["c"]},"httpMethod":"POST"}`, "a", ""},
		"no body":                    {`{"body":null,"headers":{"x-a":"b"},"httpMethod":"POST"}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &app{says: talk.Answer{Status: 200, Body: []byte(`{"text":"hi"}`), Log: []string{"asked", "list"}}}
			out, err := serve(a).Invoke(t.Context(), []byte(tt.event))
			const want = `{"statusCode":200,"headers":{"Content-Type":"application/json"},"body":"{\"text\":\"hi\"}"}`
			if err != nil || string(out) != want {
				t.Errorf("Invoke = %s, %v, want %s", out, err, want)
			}
			if a.asked != "talk" || string(a.talk.Body) != tt.body || string(a.talk.Decoded) != tt.decoded ||
				a.talk.Method != "POST" || a.talk.Headers["x-a"] != "b" || len(a.talk.Headers) != 1 {
				t.Errorf("%s: asked %q for %+v", tt.event, a.asked, a.talk)
			}
			if got := a.log.String(); !strings.Contains(got, `"asked":"list"`) || strings.Contains(got, "x-a") {
				t.Errorf("logged %s, want what was asked, and no header", got)
			}
		})
	}
}

// TestInvokeRefusesHTTPWithoutAnError checks that whatever is wrong, the platform is told of no error, and
// the answer says nothing.
func TestInvokeRefusesHTTPWithoutAnError(t *testing.T) {
	t.Parallel()
	const event = `{"body":"text=list","headers":{"x-a":"hunter2"},"httpMethod":"POST"}`
	const want = `{"statusCode":401,"headers":{},"body":""}`
	a := &app{says: talk.Answer{Status: 401, Body: []byte("no"), Log: []string{"refused", "it is not signed"}}}
	out, err := serve(a).Invoke(t.Context(), []byte(event))
	if err != nil || string(out) != want || !strings.Contains(a.log.String(), "it is not signed") {
		t.Errorf("Invoke = %s, %v, logged %s, want %s", out, err, &a.log, want)
	}
	closed := &handler.Handler{Now: time.Now, Open: func(handler.Invocation) (handler.App, error) {
		return nil, errors.New("STATE_URL is missing")
	}}
	if out, err := closed.Invoke(t.Context(), []byte(event)); err != nil || string(out) != want {
		t.Errorf("with wrong settings: Invoke = %s, %v, want %s", out, err, want)
	}
	large, _ := json.Marshal(map[string]any{"httpMethod": "POST", "headers": map[string]string{},
		"body": strings.Repeat("a", 6<<20)})
	if _, err := serve(a).Invoke(t.Context(), large); err != nil || len(a.talk.Body) > 0 {
		t.Errorf("6 MB: Invoke = %v, and %d bytes went on, want none", err, len(a.talk.Body))
	}
}
