package handler

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"clbwatch/internal/talk"
)

// maxHTTP bounds an event that is an HTTP request, in bytes: the platform takes 6 MB, and what Slack sends is
// far below this even in base64 with every byte escaped.
const maxHTTP = 2 << 20

// parseHTTP takes an event of the Function URL: it has an httpMethod, which is a text. Whoever calls the URL
// chooses what is in the other fields, but not which fields there are: what looks like an action in a body
// stays in the body. ok is false if it is another event. Source:
// cloud.tencent.com/document/product/583/96099.
func parseHTTP(event []byte) (r talk.Request, ok bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(event, &fields) != nil || json.Unmarshal(fields["httpMethod"], &r.Method) != nil ||
		string(fields["httpMethod"]) == "null" {
		return r, false
	}
	var body string
	var headers map[string]json.RawMessage
	if len(event) > maxHTTP || json.Unmarshal(fields["body"], &body) != nil ||
		json.Unmarshal(fields["headers"], &headers) != nil {
		return talk.Request{Method: r.Method}, true // which no signature fits
	}
	r.Headers = make(map[string]string)
	for name, raw := range headers {
		var value string
		if json.Unmarshal(raw, &value) == nil { // of several values none is what Slack sends
			r.Headers[name] = value
		}
	}
	r.Body = []byte(body)
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(body))
	switch {
	case err != nil:
	case string(fields["isBase64Encoded"]) == "true":
		r.Body = decoded
	default: // the platform may encode a body without saying so
		r.Decoded = decoded
	}
	return r, true
}

// answered is the answer to an event of the Function URL.
type answered struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// answer answers an event of the Function URL. It is never an error: the platform logs one, and Slack would
// show that something went wrong where nothing did. The platform logs the answer, too, which holds no secret.
func (h *Handler) answer(ctx context.Context, r talk.Request) ([]byte, error) {
	refused := answered{Status: http.StatusUnauthorized, Headers: map[string]string{}}
	app, err := h.Open(invocation(ctx, ""))
	if err != nil { // it is logged; without settings nobody can tell whether it comes from Slack
		return json.Marshal(refused)
	}
	start := h.Now()
	a := app.Talk(ctx, r)
	log := app.Log().With("action", "slack", "ms", h.Now().Sub(start).Milliseconds())
	for i := 0; i+1 < len(a.Log); i += 2 {
		log = log.With(a.Log[i], a.Log[i+1])
	}
	if a.Status != http.StatusOK {
		log.Warn("refused")
		return json.Marshal(refused)
	}
	log.Info("done")
	answer := answered{Status: a.Status, Headers: map[string]string{}, Body: string(a.Body)}
	if len(a.Body) > 0 {
		answer.Headers["Content-Type"] = "application/json"
	}
	return json.Marshal(answer)
}
