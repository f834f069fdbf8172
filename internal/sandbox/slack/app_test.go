package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// appTest is a workspace with an app that answers as a test says.
type appTest struct {
	*apiTest
	base string // of the workspace's server

	mu     sync.Mutex
	got    []*http.Request
	bodies []string
	answer http.HandlerFunc
}

func newAppTest(t *testing.T) *appTest {
	t.Helper()
	a := &appTest{apiTest: newAPITest(t)}
	a.says(http.StatusOK, "", "")
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.got, a.bodies = append(a.got, r), append(a.bodies, string(body))
		answer := a.answer
		a.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(func() { app.CloseClientConnections(); app.Close() })
	a.base = strings.TrimSuffix(a.url, apiPath)
	a.Connect(a.base+"/", app.URL+"/slack")
	return a
}

func (a *appTest) does(answer http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

func (a *appTest) says(status int, contentType, body string) {
	a.does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// requests are what came, and their bodies.
func (a *appTest) requests() ([]*http.Request, []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.got), slices.Clone(a.bodies)
}

// form is the form of the last request.
func (a *appTest) form() url.Values {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	form, err := url.ParseQuery(a.bodies[len(a.bodies)-1])
	if err != nil {
		a.t.Fatal(err)
	}
	return form
}

func (a *appTest) command(who Person, line string) Reaction {
	a.t.Helper()
	r, err := a.Command(a.t.Context(), who, "", line)
	if err != nil {
		a.t.Fatal(err)
	}
	return r
}

func (a *appTest) click(who Person, ts, button string) Reaction {
	a.t.Helper()
	r, err := a.Click(a.t.Context(), who, "", ts, button)
	if err != nil {
		a.t.Fatal(err)
	}
	return r
}

// reply posts to a response URL and returns "status body".
func (a *appTest) reply(responseURL, body string) string {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, responseURL, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "no answer"
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return "no answer"
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, answer)
}

const (
	withButtons = `[{"type":"section","text":{"type":"mrkdwn","text":"2 of 5 stopped: 网关"}},` +
		`{"type":"actions","elements":[` +
		`{"type":"button","action_id":"ack","text":{"type":"plain_text","text":"Acknowledge"},` +
		`"value":"incident/7","style":"primary"},` +
		`{"type":"button","action_id":"silence","text":{"type":"plain_text","text":"Silence 1 h",` +
		`"emoji":false}}]}]`
	attachedButtons = `[{"color":"#a30200","blocks":` + withButtons + `}]`
)

// root posts a message with buttons in an attachment, and returns its ts.
func (a *appTest) root(pairs ...string) string {
	a.t.Helper()
	got := a.call("chat.postMessage", append([]string{"text", "web is degraded", "attachments", attachedButtons},
		pairs...)...)
	ts, _ := got["ts"].(string)
	if ts == "" {
		a.t.Fatal(got)
	}
	return ts
}

var alice = Person{ID: "U0123ABCD"}

func TestCommandSendsWhatSlackSends(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	now := time.Unix(1_795_409_616, 0)
	a.Clock = func() time.Time { return now }
	a.Now = func() time.Time { return now.Add(time.Hour) } // it runs ahead
	r := a.command(alice, "/clb silence prod-*  2h why & wherefore + 50% <@U1> 网关")
	want := map[string]string{"team_id": "T0SANDBOX", "team_domain": "sandbox", "channel_id": a.ChannelID(),
		"channel_name": "alerts", "user_id": "U0123ABCD", "user_name": "u0123abcd", "command": "/clb",
		"text":       "silence prod-*  2h why & wherefore + 50% <@U1> 网关",
		"api_app_id": "A0SANDBOX", "is_enterprise_install": "false", "response_url": r.ResponseURL,
		"trigger_id": r.TriggerID}
	form := a.form()
	for name, value := range want {
		if !slices.Equal(form[name], []string{value}) || value == "" {
			t.Errorf("%s is %q, want %q", name, form[name], value)
		}
	}
	if len(form) != len(want)+1 || form.Get("token") == "" {
		t.Errorf("the form is %v", form)
	}
	got, _ := a.requests()
	h := got[0].Header
	if got[0].Method != http.MethodPost || got[0].URL.Path != "/slack" ||
		h.Get("Content-Type") != "application/x-www-form-urlencoded" ||
		!strings.HasPrefix(h.Get("User-Agent"), "Slackbot") ||
		h.Get("X-Slack-Request-Timestamp") != "1795409616" || len(h.Get("X-Slack-Signature")) != len("v0=")+64 {
		t.Errorf("the headers are %v", h)
	}
	if !strings.HasPrefix(r.ResponseURL, a.base+"/commands/T0SANDBOX/") {
		t.Errorf("the response URL is %s", r.ResponseURL)
	}
	a.Enterprise = "E0SANDBOX"
	if again := a.command(Person{Team: "T0ELSEWHERE"}, "/clb"); again.TriggerID == r.TriggerID ||
		again.ResponseURL == r.ResponseURL {
		t.Errorf("two commands have one trigger or response URL: %+v, %+v", r, again)
	}
	form = a.form()
	if form.Get("enterprise_id") != "E0SANDBOX" || form.Get("enterprise_name") == "" ||
		form.Get("team_id") != "T0ELSEWHERE" || form.Get("team_domain") != "t0elsewhere" ||
		form.Get("text") != "" || !form.Has("text") {
		t.Errorf("from another workspace, in an organization: %v", form)
	}
	for id, name := range map[string]string{"D0DIRECT": "directmessage", "G0CLOSED": "privategroup",
		"C0OTHER": "c0other"} {
		a.Add(id)
		if _, err := a.Command(t.Context(), alice, id, "/clb"); err != nil ||
			a.form().Get("channel_name") != name || a.form().Get("channel_id") != id {
			t.Errorf("in %s: %v, %v", id, err, a.form())
		}
	}
	if refused := a.Refused(); len(refused) > 0 {
		t.Errorf("refused: %q", refused)
	}
}

func TestCommandShowsTheAnswer(t *testing.T) {
	t.Parallel()
	const js, plain = "application/json; charset=utf-8", "text/plain"
	for _, tt := range []struct {
		name, contentType, body string
		channel                 []string // texts in the channel
		private                 []string // texts that only the person sees
		err                     string
	}{
		{"nothing", "", "", nil, nil, ""},
		{"a line feed", plain, "\n", nil, nil, ""},
		{"text", plain, "done", nil, []string{"done"}, ""},
		{"ephemeral by default", js, `{"text":"done"}`, nil, []string{"done"}, ""},
		{"ephemeral", js, `{"response_type":"ephemeral","text":"done"}`, nil, []string{"done"}, ""},
		{"in channel", js, `{"response_type":"in_channel","text":"done","unfurl_links":false}`,
			[]string{"/clb list", "done"}, nil, ""},
		{"only the command", js, `{"response_type":"in_channel"}`, []string{"/clb list"}, nil, ""},
		{"with blocks", js, `{"text":"done","blocks":` + withButtons + `}`, nil, []string{"done"}, ""},
		{"broken JSON", js, `{"text":"do`, nil, nil, "invalid_payload"},
		{"not an object", js, `"done"`, nil, nil, "invalid_payload"},
		{"an empty object", js, `{}`, nil, nil, "no_text"},
		{"no text", js, `{"blocks":` + withButtons + `}`, nil, nil, "no_text"},
		{"a wrong block", js, `{"text":"x","blocks":[{"type":"carousel"}]}`, nil, nil, "invalid_blocks"},
		{"too many attachments", js, `{"text":"x","attachments":[` +
			strings.TrimSuffix(strings.Repeat(`{"text":"x"},`, 21), ",") + `]}`, nil, nil, "too_many_attachments"},
		{"a mention", js, `{"text":"<!channel>"}`, nil, nil, "invalid_blocks"},
		{"an unknown response_type", js, `{"text":"x","response_type":"private"}`, nil, nil, "invalid_payload"},
		{"a misspelt name", js, `{"text":"x","responseType":"ephemeral"}`, nil, nil, "invalid_payload"},
		{"what only a response URL takes", js, `{"text":"x","replace_original":true}`, nil, nil,
			"invalid_payload"},
		{"unfurling", js, `{"text":"x","unfurl_links":true}`, nil, nil, "invalid_payload"},
		{"JSON as text", plain, `{"text":"done"}`, nil, nil, "invalid_payload"},
		{"HTML", "text/html", "<p>done", nil, nil, "invalid_payload"},
		{"no content type", "", "done", nil, nil, "invalid_payload"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAppTest(t)
			a.does(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{tt.contentType}
				_, _ = io.WriteString(w, tt.body)
			})
			changed := a.Changed()
			r := a.command(alice, "/clb list")
			if r.Error != tt.err || (len(a.Refused()) == 1) != (tt.err != "") || r.Response.Status != 200 ||
				string(r.Response.Body) != tt.body {
				t.Errorf("%+v, refused %q; want error %q", r, a.Refused(), tt.err)
			}
			var channel, private []string
			for _, p := range a.Channel() {
				channel = append(channel, textOf(p.Raw))
			}
			for _, e := range a.Ephemerals(alice.ID) {
				private = append(private, textOf(e.Raw))
				if e.Channel != a.ChannelID() || e.To != alice.ID || e.At.IsZero() || e.TS != r.TS || !r.Private {
					t.Errorf("the private message is %+v, its ts %s", e, r.TS)
				}
			}
			if !slices.Equal(channel, tt.channel) || !slices.Equal(private, tt.private) {
				t.Errorf("channel %q, private %q; want %q, %q", channel, private, tt.channel, tt.private)
			}
			if len(channel) > 0 && (a.Channel()[0].User != alice.ID || a.Channel()[0].Bot) {
				t.Errorf("the command is shown as %+v", a.Channel()[0])
			}
			if len(channel) == 2 && (!a.Channel()[1].Bot || a.Channel()[1].User != "" || r.Private ||
				r.TS != a.Channel()[1].TS || len(a.Messages()) != 1) {
				t.Errorf("the answer is shown as %+v, %+v", a.Channel()[1], r)
			}
			if shows := len(channel)+len(private) > 0; shows {
				<-changed
			}
			if got := a.Ephemerals("U0OTHERS0"); len(got) > 0 || len(a.Ephemerals("")) != len(private) {
				t.Errorf("somebody else sees %+v", got)
			}
		})
	}
}

func textOf(raw json.RawMessage) string {
	var m struct{ Text string }
	_ = json.Unmarshal(raw, &m)
	return m.Text
}

func TestAppsFailBeforePeople(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
		noted  bool
	}{
		{"too late", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}, "operation_timeout", false},
		{"headers in time, body too late", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "do")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "operation_timeout", false},
		{"reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "dispatch_failed",
			false},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "http_service_error", true},
		{"432", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(432) }, "http_client_error", true},
		{"401", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "http_client_error", true},
		{"202", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }, "http_client_error", true},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, "http_client_error", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAppTest(t)
			ts := a.root()
			if tt.want == "operation_timeout" {
				a.AnswerLimit = 250 * time.Millisecond
			}
			a.does(tt.answer)
			for what, r := range map[string]Reaction{"command": a.command(alice, "/clb list"),
				"click": a.click(alice, ts, "ack")} {
				if r.Error != tt.want || r.Shown != nil {
					t.Errorf("%s: %+v, want %s", what, r, tt.want)
				}
			}
			all, _ := a.requests()
			if got := a.Refused(); (len(got) == 2) != tt.noted || len(all) != 2 {
				t.Errorf("refused %q, noted: want %v; %d requests", got, tt.noted, len(all))
			}
		})
	}
}

func TestACommandEndsWithItsContext(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	a.does(func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	if _, err := a.Command(ctx, alice, "", "/clb"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestImpatientPeopleTypeItAgain(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	a.AnswerLimit = 250 * time.Millisecond
	var n atomic.Int32
	a.does(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) < 3 {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "done")
	})
	seen, err := a.Insist(t.Context(), alice, "", "/clb list", 2)
	_, bodies := a.requests()
	if err != nil || len(seen) != 2 || len(bodies) != 2 || seen[1].Error != "operation_timeout" ||
		seen[0].TriggerID == seen[1].TriggerID || bodies[0] == bodies[1] {
		t.Errorf("twice: %+v, %v", seen, err)
	}
	a.AnswerLimit = 0
	seen, err = a.Insist(t.Context(), alice, "", "/clb list", 5)
	if err != nil || len(seen) != 1 || seen[0].Error != "" || textOf(seen[0].Shown) != "done" {
		t.Errorf("once more: %+v, %v", seen, err)
	}
	if _, err := a.Insist(t.Context(), alice, "C0NOWHERE", "/clb list", 5); err == nil {
		t.Error("typed where no channel is")
	}
}

func TestNothingIsTypedOrPressedThatIsNotThere(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	ts, plain := a.root(), a.Say("hello")
	private := a.privateButtons()
	if _, err := a.NewClick(alice, "", plain, "ack"); err == nil ||
		!strings.Contains(err.Error(), "not the app's") {
		t.Errorf("a person's message: %v", err)
	}
	for _, tt := range []struct {
		name string
		err  func() error
	}{
		{"no command", func() error { _, err := a.Command(t.Context(), alice, "", "hello"); return err }},
		{"a slash", func() error { _, err := a.NewCommand(alice, "", "/ x"); return err }},
		{"no channel", func() error { _, err := a.Command(t.Context(), alice, "C0NOWHERE", "/clb"); return err }},
		{"no message", func() error { _, err := a.Click(t.Context(), alice, "", "1.000000", "ack"); return err }},
		{"no button", func() error { _, err := a.Click(t.Context(), alice, "", ts, "resolve"); return err }},
		{"in no channel", func() error { _, err := a.NewClick(alice, "C0NOWHERE", ts, "ack"); return err }},
		{"only another sees it", func() error {
			_, err := a.Click(t.Context(), Person{ID: "U0OTHER"}, "", private, "ack")
			return err
		}},
		{"deleted", func() error { a.Delete(ts); _, err := a.NewClick(alice, "", ts, "ack"); return err }},
		{"not connected", func() error {
			a.Connect(a.base, "")
			_, err := a.Command(t.Context(), alice, "", "/clb")
			return err
		}},
		{"nothing to replay", func() error { _, err := New().Replay(t.Context()); return err }},
	} {
		if tt.err() == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
	if all, _ := a.requests(); len(all) != 1 {
		t.Errorf("%d requests, want the one that was right", len(all))
	}
}

// privateButtons shows alice a message with buttons that only she sees, and returns its ts.
func (a *appTest) privateButtons() string {
	a.t.Helper()
	a.says(http.StatusOK, "application/json", `{"text":"list","blocks":`+withButtons+`}`)
	r := a.command(alice, "/clb list")
	a.says(http.StatusOK, "", "")
	if !r.Private || r.TS == "" {
		a.t.Fatalf("%+v", r)
	}
	return r.TS
}

func TestLabelsThatTwoButtonsHave(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	ts := a.root("blocks", `[{"type":"actions","elements":[{"type":"button","action_id":"ack2",`+
		`"text":{"type":"plain_text","text":"Acknowledge"}}]}]`)
	if _, err := a.NewClick(alice, "", ts, "Acknowledge"); err == nil {
		t.Error("one of two was pressed")
	}
	if r := a.click(alice, ts, "ack2"); r.Error != "" {
		t.Errorf("by its action_id: %+v", r)
	}
}

func TestAnAnswerToAClickIsEmpty(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	ts := a.root()
	a.says(http.StatusOK, "application/json", `{"text":"done"}`)
	if r := a.click(alice, ts, "ack"); r.Error != "" || r.Shown != nil || len(a.Refused()) != 1 ||
		len(a.Channel()) != 1 || len(a.Ephemerals("")) != 0 {
		t.Errorf("%+v, refused %q", r, a.Refused())
	}
}
