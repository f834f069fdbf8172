package demo

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

// newPageTest is a page of a stage on which nothing runs.
func newPageTest(t *testing.T, live bool) (*stage, string) {
	t.Helper()
	st := &stage{cloud: cloud.New(), slack: slack.New(), change: make(chan struct{}), live: live}
	st.cloud.Bind(scf.Region, web, instance("web-01", "10.0.3.11"), instance("web-02", "10.0.3.12"))
	st.cloud.Create(scf.Region, api)
	srv := httptest.NewServer(newPage(st))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return st, srv.URL
}

func request(t *testing.T, method, url, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

func TestPageServesItsFiles(t *testing.T) {
	t.Parallel()
	_, url := newPageTest(t, true)
	for path, want := range map[string]string{"/": "<title>clbwatch sandbox</title>",
		"/page.js": "EventSource", "/page.css": "prefers-color-scheme"} {
		status, body, header := request(t, http.MethodGet, url+path, "")
		if status != http.StatusOK || !strings.Contains(body, want) ||
			!strings.HasPrefix(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s = %d, %v, want %q in it and a policy that lets nothing else in", path, status,
				header, want)
		}
	}
}

func TestPageTakesOrdersFromItselfOnly(t *testing.T) {
	t.Parallel()
	st, url := newPageTest(t, true)
	stop := `{"action":"stop","lb":"` + web + `","id":"ins-web01k2x"}`
	for name, header := range map[string][]string{
		"another page":    {"Origin", "https://evil.example"},
		"another port":    {"Origin", "http://127.0.0.1:1"},
		"a name for it":   {"Host", "evil.example:80"},
		"a form's type":   {"Content-Type", "text/plain"},
		"a sandboxed one": {"Origin", "null"},
	} {
		if status, body, _ := request(t, http.MethodPost, url+"/do", stop, header...); status < 400 {
			t.Errorf("%s: %d %s, want it refused", name, status, body)
		}
	}
	if status, _, _ := request(t, http.MethodGet, url+"/events", "", "Host",
		"evil.example:80"); status != http.StatusForbidden {
		t.Errorf("the state for another host: %d, want 403", status)
	}
	if pool := st.cloud.Pool(scf.Region, web); pool[0].Status != 2 {
		t.Error("an order that was refused took effect")
	}
	if status, body, _ := request(t, http.MethodPost, url+"/do", stop, "Origin",
		url); status != http.StatusNoContent || st.cloud.Pool(scf.Region, web)[0].Status != 4 {
		t.Errorf("its own order: %d %s", status, body)
	}
}

func TestPageRefusesBadOrders(t *testing.T) {
	t.Parallel()
	_, url := newPageTest(t, true)
	for body, want := range map[string]string{
		`{"action":"x"}`: "there are add, failAPI, failSlack, remove, report, start and stop",
		`x`:              "JSON",
		`{"action":"stop","lb":"lb-x","id":"ins-x"}`:          "no backend",
		`{"action":"remove","lb":"` + web + `","id":"ins-x"}`: "no backend",
		`{"action":"add","lb":"lb-x"}`:                        "no load balancer",
		`{"action":"failAPI","lb":"lb-x"}`:                    "no load balancer",
		`{"action":"stop","lb":"` + strings.Repeat("x", 5000): "JSON",
	} {
		if status, got, _ := request(t, http.MethodPost, url+"/do", body); status != http.StatusBadRequest ||
			!strings.Contains(got, want) {
			t.Errorf("%.60s: %d %s, want 400 and %q", body, status, got, want)
		}
	}
	_, url = newPageTest(t, false)
	if status, _, _ := request(t, http.MethodPost, url+"/do",
		`{"action":"report"}`); status != http.StatusConflict {
		t.Errorf("an order while the story is told: %d, want 409", status)
	}
}

func TestPageSendsTheStateWhenItChanges(t *testing.T) {
	t.Parallel()
	st, url := newPageTest(t, true)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewReader(resp.Body)
	next := func() (s state) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				if err := json.Unmarshal([]byte(data), &s); err != nil {
					t.Fatal(err)
				}
				return s
			}
		}
	}
	if s := next(); !s.Live || len(s.Balancers) != 2 || s.Balancers[0].Running != 2 || len(s.Posts) != 0 {
		t.Errorf("the first state is %+v", s)
	}
	st.slack.Say("hello")
	if s := next(); len(s.Posts) != 1 {
		t.Errorf("after a message the state has %d", len(s.Posts))
	}
	request(t, http.MethodPost, url+"/do", `{"action":"stop","lb":"`+web+`","id":"ins-web01k2x"}`)
	if s := next(); s.Balancers[0].Running != 1 || s.Balancers[0].Backends[0].Status != 4 {
		t.Errorf("after a stop the state is %+v", s.Balancers[0])
	}
	request(t, http.MethodPost, url+"/do", `{"action":"failAPI","lb":"`+web+`"}`)
	if s := next(); !s.Balancers[0].Fails || s.Balancers[1].Fails {
		t.Errorf("after the API was made to fail the state is %+v", s.Balancers)
	}
	request(t, http.MethodPost, url+"/do", `{"action":"failSlack"}`)
	if s := next(); !s.SlackFails {
		t.Error("the state does not say that Slack fails")
	}
	st.ran(runState{What: "tick", Answer: "{}"})
	if s := next(); len(s.Runs) != 1 {
		t.Errorf("after a run the state has %d", len(s.Runs))
	}
}
