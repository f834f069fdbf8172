package slack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestResponseURLOfAClick(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, want string }{
		{"ephemeral by default", `{"text":"new","replace_original":false}`, "200 ok"},
		{"ephemeral", `{"text":"new","response_type":"ephemeral","replace_original":false}`, "200 ok"},
		{"in channel", `{"text":"new","response_type":"in_channel","replace_original":false}`, "200 ok"},
		{"in the thread", `{"text":"new","response_type":"in_channel","replace_original":false,` +
			`"thread_ts":"ROOT"}`, "200 ok"},
		{"ephemeral in the thread", `{"text":"new","replace_original":false,"thread_ts":"ROOT"}`, "200 ok"},
		{"replaced", `{"text":"new","replace_original":true,"attachments":` + attachedButtons + `}`, "200 ok"},
		{"replaced, in channel", `{"text":"new","replace_original":true,"response_type":"in_channel"}`,
			"200 ok"},
		{"deleted", `{"delete_original":true}`, "200 ok"},
		{"no unfurling", `{"text":"new","replace_original":false,"unfurl_links":false,"unfurl_media":false}`,
			"200 ok"},

		{"replace_original not named", `{"text":"new"}`, "400 invalid_payload"},
		{"replace_original as text", `{"text":"new","replace_original":"true"}`, "400 invalid_payload"},
		{"replaced and ephemeral", `{"text":"new","replace_original":true,"response_type":"ephemeral"}`,
			"400 invalid_payload"},
		{"replaced in a thread", `{"text":"new","replace_original":true,"thread_ts":"ROOT"}`,
			"400 invalid_payload"},
		{"deleted and more", `{"text":"new","delete_original":true}`, "400 invalid_payload"},
		{"no such thread", `{"text":"new","replace_original":false,"thread_ts":"1.000000"}`,
			"400 thread_not_found"},
		{"thread of a reply", `{"text":"new","replace_original":false,"thread_ts":"REPLY"}`,
			"400 cannot_reply_to_message"},
		{"empty thread_ts", `{"text":"new","replace_original":false,"thread_ts":""}`, "400 invalid_payload"},
		{"unfurling", `{"text":"new","replace_original":false,"unfurl_links":true}`, "400 invalid_payload"},
		{"a misspelt name", `{"text":"new","replace":true}`, "400 invalid_payload"},
		{"an unknown response_type", `{"text":"new","replace_original":false,"response_type":"x"}`,
			"400 invalid_payload"},
		{"no text", `{"replace_original":true}`, "400 no_text"},
		{"a wrong block", `{"text":"new","replace_original":true,"blocks":[{"type":"x"}]}`,
			"400 invalid_blocks"},
		{"a mention", `{"text":"<!here>","replace_original":false}`, "400 invalid_blocks"},
		{"broken JSON", `{"text":`, "400 invalid_payload"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAppTest(t)
			root := a.root()
			reply, _ := a.call("chat.postMessage", "text", "reply", "thread_ts", root)["ts"].(string)
			r := a.click(alice, root, "ack")
			a.Leave() // a response URL works where the bot is no member
			body := strings.NewReplacer("ROOT", root, "REPLY", reply).Replace(tt.body)
			got := a.reply(r.ResponseURL, body)
			if ok := tt.want == "200 ok"; got != tt.want || (len(a.Refused()) == 0) != ok {
				t.Fatalf("%s, refused %q; want %s", got, a.Refused(), tt.want)
			}
			has := func(posts, private int, last string) {
				t.Helper()
				all := a.Channel()
				if len(all) != posts || len(a.Ephemerals(alice.ID)) != private ||
					len(all) > 0 && textOf(all[len(all)-1].Raw) != last {
					t.Errorf("the channel is %+v, private %+v", all, a.Ephemerals(""))
				}
			}
			switch replaced := strings.HasPrefix(tt.name, "replaced"); {
			case tt.want != "200 ok":
				has(2, 0, "reply")
				if p := a.Channel()[0]; textOf(p.Raw) != "web is degraded" || !p.Edited.IsZero() {
					t.Errorf("the message is %+v", p)
				}
			case tt.name == "deleted":
				has(1, 0, "reply")
				if got := a.reply(r.ResponseURL, tt.body); got != "404 message_not_found" {
					t.Errorf("deleted twice: %s", got)
				}
			case replaced:
				has(2, 0, "reply")
				p := a.Channel()[0]
				if textOf(p.Raw) != "new" || p.Edited.IsZero() || strings.Contains(string(p.Raw), "original") ||
					strings.Contains(tt.body, "ack") != (len(buttons(p.Raw)) == 2) {
					t.Errorf("the message is %s", p.Raw)
				}
			case strings.Contains(tt.body, "in_channel"):
				has(3, 0, "new")
				p := a.Channel()[2]
				if !p.Bot || p.User != "" || (p.Thread == root) != strings.Contains(tt.body, "ROOT") ||
					p.Broadcast || string(p.Raw) != `{"text":"new"}` {
					t.Errorf("the message is %+v", p)
				}
			default:
				has(2, 1, "reply")
				if e := a.Ephemerals("")[0]; (e.Thread == root) != strings.Contains(tt.body, "ROOT") {
					t.Errorf("the message is %+v", e)
				}
			}
		})
	}
}

func TestResponseURLIsForFiveUses(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	r := a.command(alice, "/clb list")
	const wrong, right = `{"text":"x","replace_original":true}`, `{"text":"x","replace_original":false}`
	for i := range 5 {
		if got := a.reply(r.ResponseURL, wrong); got != "400 invalid_payload" {
			t.Errorf("there is nothing to replace: %s", got)
		}
		if got := a.reply(r.ResponseURL, right); got != "200 ok" {
			t.Errorf("use %d: %s", i+1, got)
		}
	}
	if got := a.reply(r.ResponseURL, right); got != `404 {"ok":false,"error":"used_url"}` {
		t.Errorf("use 6: %s", got)
	}
	if got := len(a.Ephemerals(alice.ID)); got != 5 || a.CallsOf(ResponseURL) != 11 {
		t.Errorf("%d messages and %d calls, want 5 and 11", got, a.CallsOf(ResponseURL))
	}
	if got := a.reply(r.ResponseURL+"0", right); got != "404 no_service" {
		t.Errorf("another URL: %s", got)
	}
}

func TestResponseURLIsForHalfAnHour(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	now := time.Unix(1_795_409_616, 0)
	a.Now = func() time.Time { return now }
	ts := a.root()
	command, click := a.command(alice, "/clb list"), a.click(alice, ts, "ack")
	now = now.Add(30*time.Minute - time.Second)
	for i, want := range []string{"200 ok", `404 {"ok":false,"error":"expired_url"}`} {
		for _, u := range []string{command.ResponseURL, click.ResponseURL} {
			if got := a.reply(u, `{"text":"x","replace_original":false}`); got != want {
				t.Errorf("time %d: %s, want %s", i, got, want)
			}
		}
		now = now.Add(time.Second)
	}
}

func TestResponseURLOfAPrivateMessage(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	ts := a.privateButtons()
	r := a.click(alice, ts, "ack")
	for _, tt := range []struct{ body, want string }{
		{`{"text":"new","replace_original":true,"response_type":"in_channel"}`, "400 invalid_payload"},
		{`{"text":"new","replace_original":true}`, "200 ok"},
		{`{"text":"second","replace_original":true,"response_type":"ephemeral"}`, "200 ok"},
	} {
		if got := a.reply(r.ResponseURL, tt.body); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.body, got, tt.want)
		}
	}
	if e := a.Ephemerals(alice.ID); len(e) != 1 || textOf(e[0].Raw) != "second" || e[0].Edited.IsZero() ||
		len(a.Channel()) != 0 {
		t.Errorf("private are %+v", e)
	}
	if got := a.reply(r.ResponseURL, `{"delete_original":true}`); got != "200 ok" ||
		len(a.Ephemerals("")) != 0 {
		t.Errorf("%s; private are %+v", got, a.Ephemerals(""))
	}
	if got := a.reply(r.ResponseURL, `{"text":"x","replace_original":true}`); got != "404 message_not_found" {
		t.Errorf("after it was deleted: %s", got)
	}
}

func TestResponseURLWantsAPostOfJSON(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	r := a.command(alice, "/clb list")
	hook := &webhookTest{Workspace: a.Workspace}
	for _, tt := range []struct{ method, contentType, want string }{
		{http.MethodPost, "application/json; charset=utf-8", "200 ok"},
		{http.MethodPost, "application/x-www-form-urlencoded", "400 invalid_payload"},
		{http.MethodPut, "application/json", "400 invalid_payload"},
	} {
		if got := hook.request(t.Context(), tt.method, r.ResponseURL, tt.contentType,
			`{"text":"x"}`); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.method, tt.contentType, got, tt.want)
		}
	}
}

func TestResponseURLFails(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	const body = `{"text":"x"}`
	for i, tt := range []struct {
		fault Fault
		want  string
		taken bool
	}{
		{Answer(500, "rollup_error"), "500 rollup_error", false},
		{RateLimited("30"), "429 rate_limited", false},
		{Reset(), "no answer", false},
		{TakesThenDrops(), "no answer", true},
		{HeldBack(-1), "no answer", false},
	} {
		r := a.command(Person{ID: fmt.Sprint("U", i)}, "/clb list")
		a.FailMethod(ResponseURL, tt.fault, 1)
		if got := a.reply(r.ResponseURL, body); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.fault, got, tt.want)
		}
		if got := len(a.Ephemerals(fmt.Sprint("U", i))) == 1; got != tt.taken {
			t.Errorf("%v: taken: %v, want %v", tt.fault, got, tt.taken)
		}
		if got := a.reply(r.ResponseURL, body); got != "200 ok" {
			t.Errorf("after %v: %s", tt.fault, got)
		}
	}
	if n := a.Release(); n != 1 || len(a.Ephemerals("U4")) != 2 {
		t.Errorf("%d were held back; then there are %+v", n, a.Ephemerals("U4"))
	}
}

// FuzzReply holds that what is taken as a reply is a message, without the rest.
func FuzzReply(f *testing.F) {
	for _, s := range []string{`{"text":"x","response_type":"in_channel","replace_original":false}`,
		`{"delete_original":true}`, `{"text":"x","thread_ts":"1.0","replace_original":null}`, `null`, `{`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := readReply(raw, "response_type", "replace_original", "delete_original", "thread_ts")
		if err != nil {
			if asRefusal(err).body != "invalid_payload" {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		var message map[string]json.RawMessage
		if err := json.Unmarshal(m.raw, &message); err != nil {
			t.Fatalf("%q became %q: %v", raw, m.raw, err)
		}
		for name := range message {
			if name != "text" && name != "blocks" && name != "attachments" {
				t.Errorf("%q became %q", raw, m.raw)
			}
		}
	})
}
