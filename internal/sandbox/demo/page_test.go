package demo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/scf"
)

// newPageTest is a page of a stage on which nothing runs.
func newPageTest(t *testing.T, live bool) (*stage, string) {
	t.Helper()
	st := newStage(Story{Out: io.Discard})
	st.live = live
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
	connect(t, st, answers)
	if err := st.typed(t.Context(), "/clb buttons"); err != nil {
		t.Fatal(err)
	}
	root, n := st.posts()[1].TS, len(st.posts())
	stop := `{"action":"stop","lb":"` + web + `","id":"ins-web01k2x"}`
	orders := map[string]string{"/do": stop, "/type": `{"text":"/clb hello"}`,
		"/press": `{"channel":"alerts","ts":"` + root + `","button":"me"}`}
	for name, header := range map[string][]string{
		"another page":    {"Origin", "https://evil.example"},
		"another port":    {"Origin", "http://127.0.0.1:1"},
		"a name for it":   {"Host", "evil.example:80"},
		"a form's type":   {"Content-Type", "text/plain"},
		"a sandboxed one": {"Origin", "null"},
	} {
		for route, order := range orders {
			if status, body, _ := request(t, http.MethodPost, url+route, order, header...); status < 400 {
				t.Errorf("%s to %s: %d %s, want it refused", name, route, status, body)
			}
		}
	}
	for route := range orders {
		if status, body, _ := request(t, http.MethodGet, url+route, ""); status < 400 {
			t.Errorf("GET %s: %d %s, want it refused", route, status, body)
		}
	}
	if status, _, _ := request(t, http.MethodGet, url+"/events", "", "Host",
		"evil.example:80"); status != http.StatusForbidden {
		t.Errorf("the state for another host: %d, want 403", status)
	}
	if pool := st.cloud.Pool(scf.Region, web); pool[0].Status != 2 || len(st.posts()) != n {
		t.Error("an order that was refused took effect")
	}
	for route, order := range orders {
		status, body, header := request(t, http.MethodPost, url+route, order, "Origin", url)
		if policy := header.Get("Content-Security-Policy"); status != http.StatusNoContent ||
			!strings.HasPrefix(policy, "default-src 'none'") {
			t.Errorf("its own order to %s: %d %s, policy %q", route, status, body, policy)
		}
	}
	if st.cloud.Pool(scf.Region, web)[0].Status != 4 || len(st.posts()) != n+3 { // a command, and two answers
		t.Errorf("its own orders: the channel has %d messages, want %d", len(st.posts()), n+3)
	}
}

func TestPageRefusesBadOrders(t *testing.T) {
	t.Parallel()
	_, url := newPageTest(t, true)
	for body, want := range map[string]string{
		`{"action":"x"}`: "only add, dismiss, failAPI, failCheck, failSlack, later, passCheck, " +
			"remove, report, restart, start, stop, stopHalf",
		`x`: "JSON",
		`{"action":"stop","lb":"lb-x","id":"ins-x"}`:          "no backend",
		`{"action":"remove","lb":"` + web + `","id":"ins-x"}`: "no backend",
		`{"action":"add","lb":"lb-x"}`:                        "no load balancer",
		`{"action":"failAPI","lb":"lb-x"}`:                    "no load balancer",
		`{"action":"restart","lb":"lb-x"}`:                    "no load balancer",
		`{"action":"stopHalf","lb":"` + api + `"}`:            "no backend of prod-api runs",
		`{"action":"restart","lb":"` + api + `"}`:             "no backend of prod-api runs",
		`{"action":"dismiss","id":"1.2"}`:                     "no message",
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
	if s := next(); !s.Live || len(s.Balancers) != 3 || s.Balancers[0].Running != 2 || len(s.Posts) != 0 {
		t.Errorf("the first state is %+v", s)
	}
	st.slack.Say("hello")
	if s := next(); len(s.Posts) != 1 || s.Posts[0].Channel != "alerts" {
		t.Errorf("after a message the state has %+v", s.Posts)
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

func TestPageAsksForReports(t *testing.T) {
	t.Parallel()
	st, url := newPageTest(t, true)
	request(t, http.MethodPost, url+"/do", `{"action":"report"}`)
	if events, passing := st.next(); !slices.Equal(events, []string{report}) || passing {
		t.Errorf("next = %q, %v, want a report", events, passing)
	}
	if events, _ := st.next(); len(events) > 0 {
		t.Errorf("the events %q are asked for twice", events)
	}
}

// statuses are those of the backends of prod-web.
func (s *stage) statuses() (all []int) {
	for _, ins := range s.cloud.Pool(scf.Region, web) {
		all = append(all, ins.Status)
	}
	return all
}

func TestPageStopsHalf(t *testing.T) {
	t.Parallel()
	st, url := newPageTest(t, true)
	st.cloud.Bind(scf.Region, web, instance("web-03", "10.0.3.13"))
	order := `{"action":"stopHalf","lb":"` + web + `"}`
	for _, want := range [][]int{{4, 4, 2}, {4, 4, 4}} {
		request(t, http.MethodPost, url+"/do", order)
		if got := st.statuses(); !slices.Equal(got, want) {
			t.Errorf("the statuses are %v, want %v", got, want)
		}
	}
}

func TestPageRestartsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	st, url := newPageTest(t, true)
	st.cloud.Bind(scf.Region, web, instance("web-03", "10.0.3.13"), instance("web-04", "10.0.3.14"))
	st.cloud.SetStatus("ins-web03k2x", 4) // stays as it is
	order := `{"action":"restart","lb":"` + web + `"}`
	request(t, http.MethodPost, url+"/do", order)
	if status, body, _ := request(t, http.MethodPost, url+"/do", order); status != http.StatusBadRequest ||
		!strings.Contains(body, "under way") || st.state(fewPosts).Balancers[0].Restarting != 3 {
		t.Errorf("a second restart: %d %s, and the state is %+v", status, body, st.state(fewPosts).Balancers[0])
	}
	for i, want := range [][]int{{4, 2, 4, 2}, {2, 4, 4, 2}, {2, 4, 4}, {2, 4, 2}} {
		if i == 2 {
			st.cloud.Unbind(scf.Region, web, "ins-web02k2x") // while it is stopped
		}
		st.next()
		if got := st.statuses(); !slices.Equal(got, want) {
			t.Errorf("after step %d the statuses are %v, want %v", i+1, got, want)
		}
	}
	if n := st.state(fewPosts).Balancers[0].Restarting; n != 0 {
		t.Errorf("%d backends are still to be restarted", n)
	}
}

func TestPageLetsTenMinutesPass(t *testing.T) {
	t.Parallel()
	st, url := newPageTest(t, true)
	began := st.state(fewPosts).Now
	request(t, http.MethodPost, url+"/do", `{"action":"later"}`)
	status, body, _ := request(t, http.MethodPost, url+"/do", `{"action":"later"}`)
	if why := st.state(fewPosts).Refused; status != http.StatusBadRequest || why != strings.TrimSpace(body) {
		t.Errorf("ten minutes more: %d %s, and the page shows %q", status, body, why)
	}
	for left := 9; left >= 0; left-- {
		if _, passing := st.next(); !passing || st.state(fewPosts).Minutes != left+1 {
			t.Errorf("next = %v, with %d minutes to go, want %d", passing, st.state(fewPosts).Minutes, left+1)
		}
		if more := st.minuteOver(); more != (left > 0) || st.state(fewPosts).Minutes != left {
			t.Errorf("minuteOver = %v, with %d minutes to go, want %d", more, st.state(fewPosts).Minutes, left)
		}
	}
	if _, passing := st.next(); passing {
		t.Error("an eleventh minute passes")
	}
	if took := st.state(fewPosts).Now.Sub(began); took < 10*time.Minute || took > 11*time.Minute {
		t.Errorf("%v passed", took)
	}
	request(t, http.MethodPost, url+"/do", `{"action":"report"}`)
	if why := st.state(fewPosts).Refused; why != "" {
		t.Errorf("after an order that is taken the page shows %q", why)
	}
}

// TestPageShowsWhatTheBucketHas has silences and an incident in the bucket as the function keeps them.
func TestPageShowsWhatTheBucketHas(t *testing.T) {
	t.Parallel()
	st, _ := newPageTest(t, true)
	put := func(id, fields string, until time.Duration) {
		st.bucket.Put("watch/silence/"+id, fmt.Appendf(nil, `{"schema":1,"id":%q,%s,"until":%q}`, id, fields,
			st.now().Add(until).Format(time.RFC3339)))
	}
	put("1", `"what":"prod-web"`, -time.Second)
	put("2", `"what":"prod-web"`, time.Hour)
	put("3", `"what":"prod-*","by":"ada"`, time.Hour)
	put("4", `"what":"lb-x"`, time.Hour)
	put("5", `"incident":"8","by":"ada"`, time.Hour)
	st.bucket.Put("watch/silence/2.end", []byte(`{"schema":1}`))
	st.bucket.Put("watch/silence/9", []byte(`{`))
	const heads = "watch/head/0922337203685477580"
	st.bucket.Put(heads+"4.json", []byte("{}\n"))
	st.bucket.Put(heads+"3.json", []byte(`{"incidents":{"roots":[{"incidents":[`+
		`{"id":"6","k":"ap-guangzhou/`+web+`","closed":"2026-11-29T05:38:45Z"},`+
		`{"id":"8","k":"ap-guangzhou/`+web+`","c":"2026-11-29T05:38:45Z","ack":"5"},`+
		`{"id":"9","k":"ap-guangzhou/`+web+`","a":"reading"}]},{"incidents":[`+
		`{"id":"10","k":"ap-guangzhou/`+api+`"},{"id":"11","k":"ap-guangzhou/`+api+`"}]}]}}`+"\nsha256 0\n"))
	on, off := st.state(fewPosts).Balancers[0], st.state(fewPosts).Balancers[1]
	for _, b := range []balancerState{on, off} {
		if len(b.Silences) != 1 || b.Silences[0].ID != "3" || b.Silences[0].By != "ada" {
			t.Errorf("the silences of %s are %+v, want 3", b.Name, b.Silences)
		}
	}
	if i := on.Incident; i == nil || i.ID != "8" || i.Ack == nil || i.Ack.ID != "5" || i.Ack.By != "ada" {
		t.Errorf("the incident of prod-web is %+v, want 8, acknowledged", i)
	}
	if i := off.Incident; i == nil || i.ID != "11" || i.Ack != nil {
		t.Errorf("the incident of prod-api is %+v, want 11", i)
	}
	st.later(time.Hour)
	if b := st.state(fewPosts).Balancers[0]; len(b.Silences) != 0 || b.Incident.Ack != nil {
		t.Errorf("an hour later the silences are %+v and the incident is %+v", b.Silences, b.Incident)
	}
}

func TestPageFailsAHealthCheck(t *testing.T) {
	t.Parallel()
	st, url := newPageTest(t, true)
	st.addShop()
	order := func(action, lb, id string) (int, string) {
		status, body, _ := request(t, http.MethodPost, url+"/do",
			`{"action":"`+action+`","lb":"`+lb+`","id":"`+id+`"}`)
		return status, body
	}
	const shop02 = "ins-shop02k2x"
	seen := func() string {
		b := st.state(fewPosts).Balancers[2]
		return fmt.Sprint(b.Places, b.Backends[1].Failing, b.Running)
	}
	const well = "[{HTTPS:443 shop.example.com/ 4 4} {HTTPS:443 shop.example.com/pay 4 4} {TCP:8443 4 4}] [] 4"
	for _, tt := range []struct{ action, want string }{
		{"failCheck", "[{HTTPS:443 shop.example.com/ 4 3} {HTTPS:443 shop.example.com/pay 4 3} {TCP:8443 4 4}] " +
			"[HTTPS:443 shop.example.com/ HTTPS:443 shop.example.com/pay] 4"},
		{"passCheck", well},
		{"stop", "[{HTTPS:443 shop.example.com/ 4 3} {HTTPS:443 shop.example.com/pay 4 3} {TCP:8443 4 3}] [] 3"},
		{"start", well},
	} {
		status, body := order(tt.action, shop, shop02)
		if got := seen(); status != http.StatusNoContent || got != tt.want {
			t.Errorf("%s: %d %s, and the page shows %s, want %s", tt.action, status, body, got, tt.want)
		}
	}
	for _, tt := range []struct{ action, lb, id, want string }{
		{"failCheck", web, "ins-web01k2x", "not an application load balancer"},
		{"failCheck", shop, "ins-x", "no backend"}, {"passCheck", shop, "ins-x", "no backend"},
	} {
		if status, body := order(tt.action, tt.lb, tt.id); status != http.StatusBadRequest ||
			!strings.Contains(body, tt.want) {
			t.Errorf("%s of %s: %d %s, want 400 and %q", tt.action, tt.id, status, body, tt.want)
		}
	}
}
