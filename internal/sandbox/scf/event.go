package scf

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"clbwatch/internal/sandbox"
)

// Presence says how an event has a field that is a flag.
type Presence int

// A flag may be missing, false or true.
const (
	Absent Presence = iota
	False
	True
)

// Shape is what an HTTP event looks like. The zero value is the event as it is documented (583/96099 of the
// platform's documentation); everything else was seen by others or is of the older gateway's events, and no
// function may rely on either.
type Shape struct {
	Name string // for a subtest

	Base64       Presence // isBase64Encoded; the body is so encoded if it is True
	Context      bool     // requestContext with sourceIp
	NoQuery      bool     // no queryString; documented is an object, which may be empty
	QueryParams  bool     // queryStringParameters, as well as queryString
	HeaderParams bool     // headerParameters, an empty object
	PathParams   bool     // pathParameters, an empty object
	AsSent       bool     // header names as they were sent, not in lower case
	RemotePort   bool     // x-scf-remote-addr with brackets and a port, such as "[127.0.0.1]:40000"
	Secrets      bool     // x-scf-secret-id, -secret-key and -session-token: those of HeaderCredential
}

// Shapes are events as they may be: the documented one, one for each way in which it may differ, and one that
// differs in all of them.
func Shapes() []Shape {
	return []Shape{
		{Name: "documented"},
		{Name: "isBase64Encoded false", Base64: False},
		{Name: "body in base64", Base64: True},
		{Name: "requestContext", Context: true},
		{Name: "no queryString", NoQuery: true},
		{Name: "queryStringParameters", QueryParams: true},
		{Name: "headerParameters", HeaderParams: true},
		{Name: "pathParameters", PathParams: true},
		{Name: "header names as sent", AsSent: true},
		{Name: "remote address with port", RemotePort: true},
		{Name: "the role's keys in headers", Secrets: true},
		{Name: "all of it", Base64: True, Context: true, NoQuery: true, QueryParams: true, HeaderParams: true,
			PathParams: true, AsSent: true, RemotePort: true, Secrets: true},
	}
}

// HeaderCredential is the role's credential as the headers of an event have it if its Shape has Secrets. None
// of its parts may be found in a log.
func HeaderCredential() sandbox.Credential {
	return sandbox.Credential{SecretID: "AKIDsandboxinheaders00000000000000",
		SecretKey: "sandboxKeyInHeaders0000000000000", Token: "sandboxTokenInHeaders" + strings.Repeat("0", 200)}
}

// HTTPEvent is the event that a Function URL makes of a request. It reads the request's body, and refuses one
// of more than 6 MB.
func HTTPEvent(shape Shape, r *http.Request) ([]byte, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, maxURLBody+1)); err != nil {
			return nil, fmt.Errorf("make an event: %w", err)
		}
	}
	if len(body) > maxURLBody {
		return nil, fmt.Errorf("make an event: the body has more than %d bytes", maxURLBody)
	}
	return shape.event(r, body), nil
}

func (s Shape) event(r *http.Request, body []byte) []byte {
	host, port, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host, port = "127.0.0.1", "40000" // a request that was not received
	}
	query := make(map[string]string)
	for name, values := range r.URL.Query() {
		query[name] = strings.Join(values, ",")
	}
	event := map[string]any{"httpMethod": r.Method, "path": r.URL.Path, "headers": s.headers(r, host, port),
		"body": string(body), "queryString": query}
	switch s.Base64 {
	case False:
		event["isBase64Encoded"] = false
	case True:
		event["isBase64Encoded"], event["body"] = true, base64.StdEncoding.EncodeToString(body)
	}
	if s.NoQuery {
		delete(event, "queryString")
	}
	for name, has := range map[string]bool{"headerParameters": s.HeaderParams, "pathParameters": s.PathParams} {
		if has {
			event[name] = map[string]string{}
		}
	}
	if s.QueryParams {
		event["queryStringParameters"] = query
	}
	if s.Context {
		event["requestContext"] = map[string]string{"sourceIp": host}
	}
	raw, err := json.Marshal(event)
	if err != nil {
		panic(err) // maps of strings always marshal
	}
	return raw
}

// headers are the request's, each name once, and what the platform puts in their place.
func (s Shape) headers(r *http.Request, host, port string) map[string]string {
	all := http.Header{"Host": {r.Host}}
	for name, values := range r.Header {
		all.Set(name, strings.Join(values, ","))
	}
	all.Set("X-Scf-Remote-Addr", host)
	if s.RemotePort {
		all.Set("X-Scf-Remote-Addr", "["+host+"]:"+port)
	}
	if c := HeaderCredential(); s.Secrets {
		all.Set("X-Scf-Secret-Id", c.SecretID)
		all.Set("X-Scf-Secret-Key", c.SecretKey)
		all.Set("X-Scf-Session-Token", c.Token)
	}
	headers := make(map[string]string)
	for name := range all {
		key := strings.ToLower(name)
		if s.AsSent {
			key = name
		}
		headers[key] = all.Get(name)
	}
	return headers
}
