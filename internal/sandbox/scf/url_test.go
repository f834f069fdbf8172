package scf

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"clbwatch/internal/sandbox/slack"
)

const formBody = "command=%2Fclb&text=a+b%25"

// formRequest is a request as Slack makes it.
func formRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/slack?a=1&b=2",
		strings.NewReader(formBody))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Slack-Signature", "v0=00")
	req.Header.Set("X-Scf-Remote-Addr", "10.0.0.1") // a stranger may send it; the platform says who it is
	return req
}

func TestHTTPEventHasItsShape(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, shape := range Shapes() {
		names[shape.Name] = true
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			raw, err := HTTPEvent(shape, formRequest(t, "https://127.0.0.1"))
			if err != nil {
				t.Fatal(err)
			}
			var event map[string]json.RawMessage
			var e struct {
				Headers, QueryString map[string]string
				Body                 string
				RequestContext       struct{ SourceIp string }
			}
			if json.Unmarshal(raw, &event) != nil || json.Unmarshal(raw, &e) != nil {
				t.Fatalf("%s", raw)
			}
			want := map[string]bool{"httpMethod": true, "path": true, "headers": true, "body": true,
				"queryString": !shape.NoQuery, "isBase64Encoded": shape.Base64 != Absent,
				"queryStringParameters": shape.QueryParams, "headerParameters": shape.HeaderParams,
				"pathParameters": shape.PathParams, "requestContext": shape.Context}
			maps.DeleteFunc(want, func(_ string, has bool) bool { return !has })
			if got := slices.Sorted(maps.Keys(event)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
				t.Errorf("it has %q", got)
			}
			if string(event["httpMethod"]) != `"POST"` || string(event["path"]) != `"/slack"` {
				t.Errorf("method %s, path %s", event["httpMethod"], event["path"])
			}
			if !shape.NoQuery && !maps.Equal(e.QueryString, map[string]string{"a": "1", "b": "2"}) {
				t.Errorf("the query is %v", e.QueryString)
			}
			body := e.Body
			if shape.Base64 == True {
				decoded, _ := base64.StdEncoding.DecodeString(body)
				body = string(decoded)
			}
			if body != formBody || (string(event["isBase64Encoded"]) == "true") != (shape.Base64 == True) {
				t.Errorf("the body is %s", event["body"])
			}
			name := strings.ToLower
			if shape.AsSent {
				name = http.CanonicalHeaderKey
			}
			addr := "127.0.0.1"
			if shape.RemotePort {
				addr = "[127.0.0.1]:40000"
			}
			headers := map[string]string{"host": "127.0.0.1", "content-type": "application/x-www-form-urlencoded",
				"x-slack-signature": "v0=00", "x-scf-remote-addr": addr}
			if shape.Secrets {
				c := HeaderCredential()
				headers["x-scf-secret-id"], headers["x-scf-secret-key"] = c.SecretID, c.SecretKey
				headers["x-scf-session-token"] = c.Token
			}
			for key, value := range headers {
				if e.Headers[name(key)] != value {
					t.Errorf("header %s is %q, want %q", name(key), e.Headers[name(key)], value)
				}
			}
			if len(e.Headers) != len(headers) {
				t.Errorf("the headers are %v", e.Headers)
			}
			if shape.Context && e.RequestContext.SourceIp != "127.0.0.1" {
				t.Errorf("the context is %s", event["requestContext"])
			}
		})
	}
	if len(names) != len(Shapes()) {
		t.Error("two shapes have one name")
	}
}

func TestHTTPEventOfARequestWithoutABody(t *testing.T) {
	t.Parallel()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	req.RemoteAddr = "[::1]:4711"
	raw, err := HTTPEvent(Shape{RemotePort: true}, req)
	if err != nil || !strings.Contains(string(raw), `"body":""`) ||
		!strings.Contains(string(raw), `"x-scf-remote-addr":"[::1]:4711"`) {
		t.Errorf("%s, %v", raw, err)
	}
	req.Body = nil
	if _, err := HTTPEvent(Shape{}, req); err != nil {
		t.Error(err)
	}
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("a"), brokenReader{}))
	if _, err := HTTPEvent(Shape{}, req); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body that breaks off: %v", err)
	}
	req.Body = io.NopCloser(bytes.NewReader(make([]byte, 6<<20+1)))
	if _, err := HTTPEvent(Shape{}, req); err == nil {
		t.Error("a body of more than 6 MB was taken")
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestURLAnswersAsTheFunctionSays(t *testing.T) {
	t.Parallel()
	const js = "application/json"
	for _, tt := range []struct {
		name, payload string
		ferr          *Error
		err           error
		status        int
		contentType   string
		body          string // "-" for any
	}{
		{"an answer", `{"statusCode":200,"headers":{"Content-Type":"text/plain","X-A":"1"},"body":"done"}`, nil,
			nil, 200, "text/plain", "done"},
		{"refused", `{"statusCode":401}`, nil, nil, 401, "", ""},
		{"no headers", `{"statusCode":200,"body":"<p>"}`, nil, nil, 200, "", "<p>"},
		{"not in base64", `{"statusCode":200,"body":"x","isBase64Encoded":false}`, nil, nil, 200, "", "x"},
		{"without statusCode", ` {"ok":true, "n":1}`, nil, nil, 200, js, `{"ok":true, "n":1}`},
		{"a text", `"done"`, nil, nil, 200, js, `"done"`},
		{"null", `null`, nil, nil, 200, js, `null`},
		{"a list", `[{"statusCode":401}]`, nil, nil, 200, js, `[{"statusCode":401}]`},

		{"nothing", ``, nil, nil, 502, "-", "-"},
		{"no JSON", `done`, nil, nil, 502, "-", "-"},
		{"half of it", `{"statusCode":200`, nil, nil, 502, "-", "-"},
		{"statusCode as text", `{"statusCode":"200"}`, nil, nil, 502, "-", "-"},
		{"statusCode null", `{"statusCode":null}`, nil, nil, 502, "-", "-"},
		{"statusCode 42", `{"statusCode":42}`, nil, nil, 502, "-", "-"},
		{"statusCode 600", `{"statusCode":600}`, nil, nil, 502, "-", "-"},
		{"body that is an object", `{"statusCode":200,"body":{"text":"x"}}`, nil, nil, 502, "-", "-"},
		{"body null", `{"statusCode":200,"body":null}`, nil, nil, 502, "-", "-"},
		{"headers in lists", `{"statusCode":200,"headers":{"A":["1"]}}`, nil, nil, 502, "-", "-"},
		{"in base64", `{"statusCode":200,"body":"eA==","isBase64Encoded":true}`, nil, nil, 502, "-", "-"},
		{"too large", `"` + strings.Repeat("x", 6<<20) + `"`, nil, nil, 502, "-", "-"},
		{"an error", ``, &Error{Type: "errorString", Message: "as you wish"}, nil, 500, "-", "-"},
		{"the time limit", ``, &Error{Status: 433, Type: "TimeLimitReached"}, nil, 500, "-", "-"},
		{"busy", ``, Busy(), nil, 432, "-", "-"},
		{"no outcome", ``, nil, errors.New("gone"), 500, "-", "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := NewURL(Shape{}, func(_ context.Context, event []byte) ([]byte, *Error, error) {
				if !json.Valid(event) {
					t.Errorf("the event is %s", event)
				}
				return []byte(tt.payload), tt.ferr, tt.err
			})
			srv := httptest.NewServer(u)
			t.Cleanup(srv.Close)
			resp, err := http.DefaultClient.Do(formRequest(t, srv.URL))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || tt.body != "-" && string(body) != tt.body ||
				tt.contentType != "-" && resp.Header.Get("Content-Type") != tt.contentType {
				t.Errorf("%d %v %q, want %d %s %q", resp.StatusCode, resp.Header, body, tt.status, tt.contentType,
					tt.body)
			}
			logged := tt.payload
			switch {
			case tt.err != nil:
				logged = tt.err.Error()
			case tt.ferr != nil:
				logged = tt.ferr.Error()
			}
			if got := u.Answers(); !slices.Equal(got, []string{logged}) || u.Calls() != 1 {
				t.Errorf("logged %.100q, %d calls", got, u.Calls())
			}
		})
	}
}

// A function in a process of its own answers, whatever the events look like.
func TestURLInvokesAFunction(t *testing.T) {
	t.Parallel()
	f, err := Start(t.Context(), buildEcho(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	u := NewURL(Shape{}, func(ctx context.Context, event []byte) ([]byte, *Error, error) {
		return f.Invoke(ctx, event)
	})
	for _, shape := range Shapes() {
		u.SetShape(shape)
		want, err := HTTPEvent(shape, formRequest(t, "http://127.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		u.ServeHTTP(w, formRequest(t, "http://127.0.0.1"))
		if w.Code != http.StatusOK || w.Body.String() != string(want) { // it echoes the event
			t.Errorf("%s: %d %s, want %s", shape.Name, w.Code, w.Body, want)
		}
	}
}

// What people do in Slack arrives with its signature, whatever the events look like.
func TestURLKeepsSignatures(t *testing.T) {
	t.Parallel()
	workspace := slack.New()
	believed := 0
	u := NewURL(Shape{}, func(_ context.Context, raw []byte) ([]byte, *Error, error) {
		var e struct {
			Headers         map[string]string
			Body            string
			IsBase64Encoded bool
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, nil, err
		}
		if e.IsBase64Encoded {
			body, err := base64.StdEncoding.DecodeString(e.Body)
			if err != nil {
				return nil, nil, err
			}
			e.Body = string(body)
		}
		h := make(http.Header)
		for name, value := range e.Headers {
			h.Set(name, value)
		}
		mac := hmac.New(sha256.New, []byte(workspace.SigningSecret()))
		_, _ = io.WriteString(mac, "v0:"+h.Get("X-Slack-Request-Timestamp")+":"+e.Body)
		if "v0="+hex.EncodeToString(mac.Sum(nil)) != h.Get("X-Slack-Signature") {
			return []byte(`{"statusCode":401}`), nil, nil
		}
		believed++
		return []byte(`{"statusCode":200,"headers":{"Content-Type":"text/plain"},"body":"done"}`), nil, nil
	})
	srv := httptest.NewServer(u)
	t.Cleanup(srv.Close)
	workspace.Connect("http://127.0.0.1", srv.URL)
	for i, shape := range Shapes() {
		u.SetShape(shape)
		r, err := workspace.Command(t.Context(), slack.Person{}, "", "/clb silence 网关 1h a+b & c%")
		if err != nil || r.Error != "" || !r.Private {
			t.Errorf("%s: %+v, %v", shape.Name, r, err)
		}
		if believed != i+1 {
			t.Fatalf("%d of %d were believed", believed, i+1)
		}
	}
}

// FuzzURLAnswer holds that whatever a function returns becomes an answer that a client can read.
func FuzzURLAnswer(f *testing.F) {
	for _, s := range []string{`{"statusCode":200,"headers":{"Content-Type":"text/plain"},"body":"x"}`, `null`,
		`{"statusCode":204,"body":"x"}`, `{"statusCode":200,"headers":{"a b\r\nc":"\r\nd: e"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		u := NewURL(Shape{}, func(context.Context, []byte) ([]byte, *Error, error) { return payload, nil, nil })
		w := httptest.NewRecorder()
		u.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody))
		var out bytes.Buffer
		if err := w.Result().Write(&out); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(&out), nil)
		if err != nil || resp.StatusCode != w.Code || w.Code < 200 || w.Code > 599 {
			t.Errorf("%q became %q: %v", payload, out.String(), err)
		}
	})
}

func TestURLRefusesLargeRequests(t *testing.T) {
	t.Parallel()
	lengths := make(chan int, 1)
	u := NewURL(Shape{}, func(_ context.Context, event []byte) ([]byte, *Error, error) {
		var e struct{ Body string }
		err := json.Unmarshal(event, &e)
		lengths <- len(e.Body)
		return []byte(`{"statusCode":204}`), nil, err
	})
	srv := httptest.NewServer(u)
	t.Cleanup(srv.Close)
	for size, want := range map[int]int{6 << 20: 204, 6<<20 + 1: 413, 16 << 20: 413} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL,
			bytes.NewReader(bytes.Repeat([]byte("x"), size)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%d bytes: %d, want %d", size, resp.StatusCode, want)
		}
	}
	if n := <-lengths; n != 6<<20 || u.Calls() != 1 {
		t.Errorf("a body of %d bytes, %d calls; want one of 6 MB", n, u.Calls())
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", brokenReader{})
	w := httptest.NewRecorder()
	u.ServeHTTP(w, req)
	if w.Code != http.StatusBadRequest || u.Calls() != 1 {
		t.Errorf("a body that breaks off: %d, %d calls", w.Code, u.Calls())
	}
}

func TestURLChangesItsShapeAndForgetsOldAnswers(t *testing.T) {
	t.Parallel()
	u := NewURL(Shape{}, func(_ context.Context, event []byte) ([]byte, *Error, error) {
		return fmt.Appendf(nil, "%t", strings.Contains(string(event), "isBase64Encoded")), nil, nil
	})
	for i := range maxAnswers + 1 {
		if i == maxAnswers {
			u.SetShape(Shape{Base64: False})
		}
		u.ServeHTTP(httptest.NewRecorder(), formRequest(t, "http://127.0.0.1"))
	}
	if got := u.Answers(); len(got) != maxAnswers || got[0] != "false" || got[maxAnswers-1] != "true" {
		t.Errorf("%d answers, the last %s", len(got), got[len(got)-1])
	}
}
