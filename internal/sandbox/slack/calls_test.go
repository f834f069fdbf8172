package slack

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const ( // metadata and a mention are no text
	mentionsYou = `[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[` +
		`{"type":"user","user_id":"U024BE7LH"}]}]}]`
	namesWeb07 = `[{"color":"#a30200","blocks":[{"type":"section",` +
		`"text":{"type":"mrkdwn","text":"on web-07"}}]}]`
	keyOfWeb07 = `{"event_type":"e","event_payload":{"id":"web-07"}}`
)

func TestFaultsHitTheCallsTheyArePickedFor(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_795_409_616, 0)
	none := []string{}
	for _, tt := range []struct {
		name  string
		calls Calls
		hit   []string // of the calls below, in that order
	}{
		{"all", Calls{}, nil},
		{"one method", Calls{Methods: []string{"chat.update"}}, []string{"edit"}},
		{"look-ups", Calls{Methods: []string{"conversations.history", "conversations.replies"}},
			[]string{"history", "thread"}},
		{"replies", Calls{Replies: true}, []string{"reply"}},
		{"what names a text", Calls{Naming: "web-07"}, []string{"naming"}},
		{"edits that name a text", Calls{Methods: []string{"chat.update"}, Naming: "web-07"}, none},
		{"mentions", Calls{Mentions: true}, []string{"mention"}},
		{"the webhook", Calls{Methods: []string{Webhook}}, []string{"hook"}},
		{"the webhook's question", Calls{Methods: []string{WebhookAsk}}, []string{"hook ask"}},
		{"the first two", Calls{Times: 2}, []string{"post", "reply"}},
		{"before now", Calls{Until: now}, none},
		{"before later", Calls{Until: now.Add(1)}, nil},
	} {
		s := newAPITest(t)
		s.Now, s.Mention = func() time.Time { return now }, "U024BE7LH"
		hook := &webhookTest{Workspace: s.Workspace}
		ts, _ := s.call("chat.postMessage", "text", "first")["ts"].(string)
		s.FailCalls(tt.calls, Answer(503, "picked"))
		all, hit := none, none
		seen := func(name, got string) {
			all = append(all, name)
			if strings.HasPrefix(got, "503") {
				hit = append(hit, name)
			}
		}
		call := func(name, method string, pairs ...string) {
			seen(name, fmt.Sprint(s.call(method, pairs...)["error"]))
		}
		call("post", "chat.postMessage", "text", "x", "metadata", keyOfWeb07)
		call("reply", "chat.postMessage", "text", "x", "thread_ts", ts)
		call("naming", "chat.postMessage", "text", "x", "attachments", namesWeb07)
		call("mention", "chat.postMessage", "text", "x", "blocks", mentionsYou)
		call("edit", "chat.update", "ts", ts, "text", "x", "blocks", "[]", "attachments", "[]")
		call("history", "conversations.history")
		call("thread", "conversations.replies", "ts", ts)
		call("ask", "auth.test")
		address := strings.TrimSuffix(s.url, apiPath)
		seen("hook", hook.request(t.Context(), "POST", s.URL(address), "application/json", plainText))
		seen("hook ask", hook.request(t.Context(), "POST", s.URL(address), "application/json", `{"x":1}`))
		want := tt.hit
		if want == nil {
			want = all
		}
		if fmt.Sprint(hit) != fmt.Sprint(want) {
			t.Errorf("%s: hit %q, want %q", tt.name, hit, want)
		}
	}
}

func TestRefusalsComeAsEachWayInGivesThem(t *testing.T) {
	t.Parallel()
	s := newWebhookTest(t)
	s.FailCalls(Calls{}, Error("invalid_arguments"))
	if got := s.post(t.Context(), plainText); got != "400 invalid_arguments" {
		t.Errorf("by webhook: %s", got)
	}
	api := newAPITest(t)
	api.FailCalls(Calls{}, Error("invalid_arguments"))
	if got := api.call("auth.test"); got["ok"] != false || got["error"] != "invalid_arguments" {
		t.Errorf("by the Web API: %v", got)
	}
}

func TestAnswerBrokenOff(t *testing.T) {
	t.Parallel()
	s := newAPITest(t)
	s.Fail(TakesThenBreaksOff(), 1)
	if got := s.call("chat.postMessage", "text", "x"); got["error"] != "no answer" || len(s.Channel()) != 1 {
		t.Errorf("%v, with %d messages, want it taken and half an answer", got, len(s.Channel()))
	}
}

func TestWhatIsHeldBackTakesEffectLater(t *testing.T) {
	t.Parallel()
	s := newAPITest(t)
	var passed atomic.Int64
	s.Now = func() time.Time { return time.Unix(1_795_409_616, passed.Load()) }
	ts, _ := s.call("chat.postMessage", "text", "first")["ts"].(string)
	gone := s.call("chat.postMessage", "text", "second")
	edit := func(ts any, text string) map[string]any {
		return s.call("chat.update", "ts", fmt.Sprint(ts), "text", text, "blocks", "[]", "attachments", "[]")
	}
	texts := func() (all string) {
		for _, m := range s.Channel() {
			all += fmt.Sprint(shown(m, false)["text"]) + ", "
		}
		return strings.TrimSuffix(all, ", ")
	}
	check := func(when, want string, held int) {
		t.Helper()
		if got := texts(); got != want || s.Held() != held {
			t.Errorf("%s: %q and %d held back, want %q and %d", when, got, s.Held(), want, held)
		}
	}

	for _, after := range []time.Duration{5 * time.Minute, 3 * time.Minute, -1} {
		s.Fail(HeldBack(after), 1)
		got := s.call("chat.postMessage", "text", fmt.Sprint("late ", after))
		if got["error"] != "no answer" {
			t.Errorf("a post that is held back: %v, want no answer", got)
		}
	}
	s.FailMethod("chat.update", HeldBack(4*time.Minute), 2)
	edit(ts, "an old edit")
	edit(gone["ts"], "of what will be gone")
	if got := edit(ts, "a new edit"); got["ok"] != true {
		t.Fatal(got)
	}
	s.Delete(fmt.Sprint(gone["ts"]))
	check("at once", "a new edit", 5)
	passed.Add(int64(4*time.Minute - 1))
	check("before the edit's time", "a new edit, late 3m0s", 4)
	passed.Add(int64(2 * time.Minute))
	if got := fmt.Sprint(s.call("conversations.history")); !strings.Contains(got, "late 5m0s") {
		t.Errorf("the history after the time is %s, want the message there", got)
	}
	check("after all times", "an old edit, late 3m0s, late 5m0s", 1)
	if n := s.Release(); n != 1 || s.Release() != 0 {
		t.Errorf("%d calls were released, want the one that no time ends", n)
	}
	check("after the release", "an old edit, late 3m0s, late 5m0s, late -1ns", 0)
	at := s.Channel()[2]
	if want := time.Unix(1_795_409_616, 0).Add(5 * time.Minute); !at.At.Equal(want) {
		t.Errorf("the late message is of %v, want %v, when it arrived", at.At, want)
	}
	if r := s.Refused(); len(r) > 0 {
		t.Errorf("refused: %q", r)
	}
}

func TestWhatIsHeldBackArrivesInTheOrderOfTheTimes(t *testing.T) {
	t.Parallel()
	s := newWebhookTest(t)
	var passed atomic.Int64
	s.Now = func() time.Time { return time.Unix(1_795_409_616, passed.Load()) }
	order := func() (all string) {
		for _, m := range s.Messages() {
			all += fmt.Sprint(shown(Post{Raw: m.Raw}, false)["text"])
		}
		return all
	}
	s.Fail(HeldBack(2*time.Minute), 1)
	s.Fail(HeldBack(time.Minute), 1)
	s.post(t.Context(), `{"text":"C"}`)
	s.post(t.Context(), `{"text":"B"}`)
	s.post(t.Context(), `{"text":"A"}`)
	passed.Add(int64(2 * time.Minute))
	s.post(t.Context(), `{"text":"D"}`)
	s.Fail(HeldBack(time.Minute), 1)
	s.post(t.Context(), `{"text":"E"}`)
	passed.Add(int64(time.Minute))
	if got := order(); got != "ABCDE" {
		t.Errorf("the messages came as %s, want ABCDE", got)
	}
}

func TestWebhookMessageHeldBack(t *testing.T) {
	t.Parallel()
	s := newWebhookTest(t)
	s.Fail(HeldBack(-1), 1)
	if got := s.post(t.Context(), plainText); !strings.Contains(got, "reset") || len(s.Messages()) != 0 {
		t.Errorf("%s, with %d messages, want no answer and none", got, len(s.Messages()))
	}
	if s.Release() != 1 || len(s.Messages()) != 1 || len(s.Channel()) != 1 {
		t.Errorf("%d messages after the release, want one", len(s.Messages()))
	}
}
