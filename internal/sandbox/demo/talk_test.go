package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// connect connects the Slack of a stage to an app.
func connect(t *testing.T, st *stage, app http.HandlerFunc) {
	t.Helper()
	hooks, srv := httptest.NewServer(st.slack), httptest.NewServer(app)
	t.Cleanup(func() { hooks.Close(); srv.CloseClientConnections(); srv.Close() })
	st.slack.Connect(hooks.URL, srv.URL)
}

// answers is an app that answers a command by its first word, and says in the thread who pressed a button.
func answers(w http.ResponseWriter, r *http.Request) {
	reply := func(to io.Writer, m map[string]any) { _ = json.NewEncoder(to).Encode(m) } // else a test sees it
	if raw := r.PostFormValue("payload"); raw != "" {
		var c struct {
			Reply     string              `json:"response_url"`
			User      struct{ ID string } `json:"user"`
			Container struct {
				TS string `json:"message_ts"`
			}
		}
		var body bytes.Buffer
		_ = json.Unmarshal([]byte(raw), &c)
		reply(&body, map[string]any{"text": "pressed by <@" + c.User.ID + ">", "response_type": "in_channel",
			"replace_original": false, "thread_ts": c.Container.TS})
		req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, c.Reply, &body)
		if err == nil {
			req.Header.Set("Content-Type", "application/json")
			var resp *http.Response
			if resp, err = http.DefaultClient.Do(req); err == nil {
				err = resp.Body.Close()
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		return
	}
	text := r.PostFormValue("text")
	w.Header().Set("Content-Type", "application/json")
	switch word, _, _ := strings.Cut(text, " "); word {
	case "nothing":
	case "fail":
		w.WriteHeader(http.StatusInternalServerError)
	case "hang":
		<-r.Context().Done()
	case "alone":
		reply(w, map[string]any{"text": "heard", "response_type": "ephemeral"})
	case "buttons":
		label := map[string]any{"type": "plain_text", "text": "Press me"}
		reply(w, map[string]any{"text": "heard", "response_type": "in_channel", "blocks": []any{map[string]any{
			"type": "actions", "elements": []any{map[string]any{"type": "button", "action_id": "me",
				"text": label}}}}})
	default:
		escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
		reply(w, map[string]any{"text": "heard " + escaped, "response_type": "in_channel"})
	}
}

// shown are the messages that the page shows, a line each.
func shown(t *testing.T, st *stage) (lines []string) {
	t.Helper()
	for _, p := range st.state(fewPosts).Posts {
		var m struct{ Text string }
		if err := json.Unmarshal(p.Raw, &m); err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("#%s %s: %s", p.Channel, p.User, m.Text)
		if p.Private {
			line += " (private)"
		}
		lines = append(lines, line)
	}
	return lines
}

func TestPageTypesCommands(t *testing.T) {
	t.Parallel()
	const hostile = `<img src=x onerror=alert(1)> <!channel> *b*`
	for _, tt := range []struct {
		name, text string
		why        string   // in the answer; "" if it was taken
		want       []string // messages
	}{
		{"for everybody", "/clb hello there", "",
			[]string{"#alerts " + ada + ": /clb hello there", "#alerts : heard hello there"}},
		{"for one person", "/clb alone", "", []string{"#alerts : heard (private)"}},
		{"with spaces around", "  /clb alone ", "", []string{"#alerts : heard (private)"}},
		{"without words", "/clb", "", []string{"#alerts " + ada + ": /clb", "#alerts : heard "}},
		{"that is hostile", "/clb " + hostile, "", []string{"#alerts " + ada + ": /clb " + hostile,
			"#alerts : heard &lt;img src=x onerror=alert(1)&gt; &lt;!channel&gt; *b*"}},
		{"no command", "hello", "type a command, such as /clb help", nil},
		{"another command", "/clbx help", "type a command, such as /clb help", nil},
		{"nothing", " ", "type a command, such as /clb help", nil},
		{"that fails", "/clb fail", `/clb failed with the error "http_service_error"`, nil},
		{"that hangs", "/clb hang", `/clb failed with the error "operation_timeout"`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st, url := newPageTest(t, true)
			st.slack.AnswerLimit = time.Second
			if strings.Contains(tt.why, "operation_timeout") {
				st.slack.AnswerLimit = 50 * time.Millisecond
			}
			connect(t, st, answers)
			order, err := json.Marshal(map[string]string{"text": tt.text})
			if err != nil {
				t.Fatal(err)
			}
			status, body, _ := request(t, http.MethodPost, url+"/type", string(order))
			want := http.StatusNoContent
			if tt.why != "" {
				want = http.StatusBadRequest
			}
			if status != want || !strings.Contains(body, tt.why) {
				t.Errorf("%q: %d %s, want %d and %q", tt.text, status, body, want, tt.why)
			}
			if got := shown(t, st); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("%q: the page shows %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

func TestPageDismissesWhatOnePersonSees(t *testing.T) {
	t.Parallel()
	st, url := newPageTest(t, true)
	connect(t, st, answers)
	for range 2 {
		request(t, http.MethodPost, url+"/type", `{"text":"/clb alone"}`)
	}
	public := st.slack.Say("hello")
	first := st.posts()[0]
	status, body, _ := request(t, http.MethodPost, url+"/do", `{"action":"dismiss","id":"`+first.TS+`"}`)
	if got := shown(t, st); status != http.StatusNoContent || len(got) != 2 ||
		st.state(fewPosts).Posts[0].TS == first.TS {
		t.Errorf("dismiss: %d %s, and the page shows %q, want the second and hello", status, body, got)
	}
	status, body, _ = request(t, http.MethodPost, url+"/do", `{"action":"dismiss","id":"`+public+`"}`)
	if status != http.StatusBadRequest || len(shown(t, st)) != 2 {
		t.Errorf("dismiss what all see: %d %s, want it refused", status, body)
	}
}

func TestPagePressesButtons(t *testing.T) {
	t.Parallel()
	st, url := newPageTest(t, true)
	connect(t, st, answers)
	request(t, http.MethodPost, url+"/type", `{"text":"/clb buttons"}`)
	root := st.posts()[1].TS
	order := func(channel, ts, button string) string {
		raw, err := json.Marshal(press{channel, ts, button})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for name, bad := range map[string]string{"no such button": order("alerts", root, "you"),
		"no such message": order("alerts", "1.2", "me"), "no such channel": order("C0SANDBOX1", root, "me"),
		"another's message": order("alerts", st.posts()[0].TS, "me")} {
		if status, body, _ := request(t, http.MethodPost, url+"/press", bad); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s, want 400", name, status, body)
		}
	}
	status, body, _ := request(t, http.MethodPost, url+"/press", order("alerts", root, "me"))
	posts := st.posts()
	last := posts[len(posts)-1]
	if got := shown(t, st); status != http.StatusNoContent || last.Thread != root ||
		got[len(got)-1] != "#alerts : pressed by <@"+ada+">" {
		t.Errorf("press: %d %s, and the page shows %q, the last one of the thread %q", status, body, got,
			last.Thread)
	}
}

func TestPageTicksAtOnceAfterACommand(t *testing.T) {
	t.Parallel()
	st, _ := newPageTest(t, true)
	connect(t, st, answers)
	p := newPage(st)
	for text, want := range map[string]int{"hello": 0, "/clb alone": 1} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:80/type",
			strings.NewReader(`{"text":"`+text+`"}`))
		r.Header.Set("Content-Type", "application/json")
		p.ServeHTTP(w, r)
		if got := len(p.kick); got != want {
			t.Errorf("after %q (%d %s) %d ticks are due, want %d", text, w.Code, w.Body, got, want)
		}
		for len(p.kick) > 0 {
			<-p.kick
		}
	}
}

func TestNobodyTypesWhileTheStoryIsTold(t *testing.T) {
	t.Parallel()
	st, url := newPageTest(t, false)
	connect(t, st, answers)
	if err := st.typed(t.Context(), "/clb buttons"); err != nil {
		t.Fatal(err)
	}
	n := len(st.posts())
	for route, order := range map[string]string{"/type": `{"text":"/clb hello"}`,
		"/press": `{"channel":"alerts","ts":"` + st.posts()[1].TS + `","button":"me"}`,
		"/do":    `{"action":"dismiss","id":"1.2"}`} {
		if status, body, _ := request(t, http.MethodPost, url+route, order); status != http.StatusConflict {
			t.Errorf("%s: %d %s, want 409", route, status, body)
		}
	}
	if len(st.posts()) != n {
		t.Errorf("the channel has %d messages, want %d", len(st.posts()), n)
	}
}

// TestDesk has a function that answers with its event, which Slack refuses.
func TestDesk(t *testing.T) {
	t.Parallel()
	st := newStage(Story{Function: echo(t), Out: io.Discard})
	hooks := httptest.NewServer(st.slack)
	defer hooks.Close()
	stop, err := st.serveDesk(hooks.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	defer st.desk.end()
	for range 2 { // the second time the instance is gone
		if err := st.typed(t.Context(), "/clb help"); err == nil ||
			!strings.Contains(err.Error(), "invalid_payload") {
			t.Errorf("got %v, want that Slack refuses the answer", err)
		}
		st.desk.close()
	}
	runs := st.state(fewPosts).Runs
	if len(runs) != 2 || runs[0].What != "slack" || !strings.Contains(runs[1].Answer, `command=%2Fclb`) {
		t.Errorf("the runs are %+v, want two by Slack", runs)
	}
	if got := strings.Count(strings.Join(st.log(), "\n"), "hello from stdout"); got != 2 {
		t.Errorf("the log tells of %d instances, want 2: %q", got, st.log())
	}
}

func TestEachInvocationHasACredentialOfItsOwn(t *testing.T) {
	t.Parallel()
	st := newStage(Story{Function: echo(t), Out: io.Discard})
	defer st.desk.end()
	var ids [2]string
	for i := range ids {
		ctx, cancel := context.WithCancel(t.Context())
		out, ferr, err := st.desk.invoke(ctx, []byte(`{"do":"now"}`))
		cancel() // the instance stays
		var got struct{ ID, Name string }
		if err != nil || ferr != nil || json.Unmarshal(out, &got) != nil || got.Name != "clbwatch-slack" {
			t.Fatalf("invoke = %s, %v, %v, want its name", out, ferr, err)
		}
		ids[i] = got.ID
	}
	_, old := st.cloud.Credential(ids[0])
	_, now := st.cloud.Credential(ids[1])
	if ids[0] == ids[1] || old || !now {
		t.Errorf("the credentials are %q; accepted: %v, %v, want the second", ids, old, now)
	}
	if got := strings.Count(strings.Join(st.log(), "\n"), "hello from stdout"); got != 1 {
		t.Errorf("%d instances were started, want 1", got)
	}
}
