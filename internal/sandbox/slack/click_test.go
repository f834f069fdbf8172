package slack

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// payload is that of the last click.
func (a *appTest) payload() map[string]any {
	a.t.Helper()
	form := a.form()
	text := form.Get("payload")
	for _, r := range text {
		if r >= 0x80 {
			a.t.Errorf("the payload has %q, want it in ASCII", r)
		}
	}
	var p map[string]any
	if err := json.Unmarshal([]byte(text), &p); err != nil || len(form) != 1 {
		a.t.Fatalf("%v: %v", form, err)
	}
	return p
}

// at walks a decoded JSON value by keys and indexes, such as "actions/0/text/text".
func at(v any, path string) any {
	for key := range strings.SplitSeq(path, "/") {
		switch w := v.(type) {
		case map[string]any:
			v = w[key]
		case []any:
			var i int
			if _, err := fmt.Sscan(key, &i); err != nil || i >= len(w) {
				return nil
			}
			v = w[i]
		default:
			return nil
		}
	}
	return v
}

func wantAt(t *testing.T, v any, want map[string]any) {
	t.Helper()
	for path, w := range want {
		if got := at(v, path); got != w {
			t.Errorf("%s is %v, want %v", path, got, w)
		}
	}
}

func TestClickSendsWhatSlackSends(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	ts := a.root("metadata", `{"event_type":"e","event_payload":{"id":"1"}}`)
	r := a.click(Person{ID: "U0123ABCD", Team: "T0GUESTS"}, ts, "Acknowledge")
	if r.Error != "" || !strings.HasPrefix(r.ResponseURL, a.base+"/actions/T0SANDBOX/") {
		t.Fatalf("%+v", r)
	}
	p := a.payload()
	wantAt(t, p, map[string]any{
		"type": "block_actions", "user/id": "U0123ABCD", "user/username": "u0123abcd",
		"user/name": "u0123abcd", "user/team_id": "T0GUESTS", "team/id": "T0SANDBOX", "team/domain": "sandbox",
		"api_app_id": "A0SANDBOX", "enterprise": nil, "is_enterprise_install": false,
		"container/type": "message_attachment", "container/message_ts": ts, "container/attachment_id": 1.0,
		"container/channel_id": a.ChannelID(), "container/is_ephemeral": false,
		"container/is_app_unfurl": false, "container/thread_ts": nil, "trigger_id": r.TriggerID,
		"channel/id": a.ChannelID(), "channel/name": "alerts", "response_url": r.ResponseURL,
		"message/ts": ts, "message/bot_id": "B0SANDBOX", "message/user": "U0SANDBOX",
		"message/type": "message", "message/text": "web is degraded", "message/thread_ts": nil,
		"message/attachments/0/id": 1.0, "message/attachments/0/color": "a30200",
		"message/attachments/0/fallback":                      "[no preview available]",
		"message/attachments/0/blocks/0/text/text":            "2 of 5 stopped: 网关",
		"message/attachments/0/blocks/1/elements/0/action_id": "ack", "message/metadata/event_type": "e",
		"actions/0/type": "button", "actions/0/action_id": "ack", "actions/0/value": "incident/7",
		"actions/0/style": "primary", "actions/0/text/type": "plain_text",
		"actions/0/text/text": "Acknowledge", "actions/0/text/emoji": true, "actions/1": nil,
		"actions/0/block_id": at(p, "message/attachments/0/blocks/1/block_id"),
	})
	for _, path := range []string{"token", "actions/0/block_id", "actions/0/action_ts"} {
		if s, _ := at(p, path).(string); s == "" {
			t.Errorf("%s is %v", path, at(p, path))
		}
	}
	if state, _ := at(p, "state/values").(map[string]any); state == nil {
		t.Errorf("the state is %v", p["state"])
	}
	if a := at(p, "message/attachments/0/blocks/0/block_id"); a == at(p, "actions/0/block_id") {
		t.Errorf("two blocks have the id %v", a)
	}
	if !strings.Contains(a.form().Get("payload"), `\/actions\/`) {
		t.Error("slashes are not escaped, as Slack's are")
	}
	second := a.click(alice, ts, "silence")
	if second.TriggerID == r.TriggerID || second.ResponseURL == r.ResponseURL {
		t.Error("two clicks have one trigger or response URL")
	}
	wantAt(t, a.payload(), map[string]any{"actions/0/action_id": "silence", "actions/0/value": nil,
		"actions/0/style": nil, "actions/0/text/emoji": false, "user/team_id": "T0SANDBOX"})
}

func TestClicksInOtherPlaces(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	a.Enterprise = "E0SANDBOX"
	root := a.root()
	reply := a.root("thread_ts", root)
	a.click(alice, reply, "ack")
	wantAt(t, a.payload(), map[string]any{"message/thread_ts": root, "container/thread_ts": root,
		"enterprise/id": "E0SANDBOX"})
	a.click(alice, root, "ack")
	wantAt(t, a.payload(), map[string]any{"message/thread_ts": root, "container/thread_ts": nil})

	got := a.call("chat.postMessage", "text", "x", "blocks", strings.Replace(withButtons,
		`"type":"actions"`, `"type":"actions","block_id":"mine"`, 1))
	ts, _ := got["ts"].(string)
	a.click(alice, ts, "ack")
	wantAt(t, a.payload(), map[string]any{"container/type": "message", "container/attachment_id": nil,
		"actions/0/block_id": "mine", "message/blocks/1/block_id": "mine"})

	if got := a.reply(a.URL(a.base), `{"text":"hook","attachments":`+attachedButtons+`}`); got != "200 ok" {
		t.Fatal(got)
	}
	posts := a.Channel()
	hook := posts[len(posts)-1].TS
	a.click(alice, hook, "ack")
	wantAt(t, a.payload(), map[string]any{"message/ts": hook, "message/subtype": "bot_message",
		"message/user": nil, "message/bot_id": "B0SANDBOX"})

	private := a.privateButtons()
	a.click(alice, private, "ack")
	wantAt(t, a.payload(), map[string]any{"message": nil, "container/message_ts": private,
		"container/is_ephemeral": true, "container/type": "message"})

	if got := a.Refused(); len(got) > 0 {
		t.Errorf("refused: %q", got)
	}
}

func TestMessagesWithButtonsAreEditedAndListed(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	now := time.Unix(1_795_409_616, 0)
	a.Now = func() time.Time { return now }
	ts := a.root()
	listed := func() any {
		t.Helper()
		got := a.call("conversations.history")
		wantAt(t, got, map[string]any{"messages/0/attachments/0/id": 1.0,
			"messages/0/attachments/0/blocks/1/type": "actions"})
		return at(got, "messages/0/attachments/0/blocks/1/block_id")
	}
	a.click(alice, ts, "ack")
	first := listed()
	if shown := at(a.payload(), "actions/0/block_id"); shown != first || first == nil {
		t.Errorf("the block is %v in the click and %v in the history", shown, first)
	}
	now = now.Add(time.Minute)
	edit := strings.Replace(attachedButtons, "Acknowledge", "Release", 1)
	if got := a.call("chat.update", "ts", ts, "text", "web is ok", "blocks", "[]", "attachments",
		edit); got["ok"] != true {
		t.Fatal(got)
	}
	if second := listed(); second == first {
		t.Errorf("after an edit the block is still %v", second)
	}
	if _, err := a.NewClick(alice, "", ts, "Acknowledge"); err == nil {
		t.Error("a button was pressed that is gone")
	}
	a.click(alice, ts, "Release")
	wantAt(t, a.payload(), map[string]any{"message/text": "web is ok", "actions/0/text/text": "Release",
		"message/edited/ts": "1795409676.000000"})
}

func TestManyPressOneButtonAtOnce(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	ts := a.root()
	const people = 8
	seen := make(chan Reaction, people)
	var wg sync.WaitGroup
	for i := range people {
		wg.Go(func() {
			r, err := a.Click(t.Context(), Person{ID: fmt.Sprint("U", i)}, "", ts, "ack")
			if err != nil || r.Error != "" {
				t.Errorf("%+v, %v", r, err)
			}
			seen <- r
		})
	}
	wg.Wait()
	close(seen)
	triggers := make(map[string]bool)
	for r := range seen {
		triggers[r.TriggerID], triggers[r.ResponseURL] = true, true
	}
	if all, _ := a.requests(); len(all) != people || len(triggers) != 2*people {
		t.Errorf("%d requests, %d triggers and response URLs; want %d and %d", len(all), len(triggers), people,
			2*people)
	}
}
