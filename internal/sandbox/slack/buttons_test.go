package slack

import (
	"fmt"
	"strings"
	"testing"
)

func TestRulesForButtons(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	block := func(elements string) string {
		return `{"text":"t","blocks":[{"type":"actions","elements":[` + elements + `]}]}`
	}
	but := func(more string) string {
		return `{"type":"button","text":{"type":"plain_text","text":"OK"},"action_id":"a"` + more + `}`
	}
	many := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(
				`{"type":"button","text":{"type":"plain_text","text":"OK"},"action_id":"%d"}`, i))
		}
		return strings.Join(all, ",")
	}
	label := func(text string) string { return `{"type":"button","action_id":"a","text":` + text + `}` }
	id := func(id string) string {
		return `{"type":"button","text":{"type":"plain_text","text":"OK"},"action_id":"` + id + `"}`
	}
	x := func(n int) string { return strings.Repeat("字", n) }
	for _, tt := range []struct {
		name, message string
		ok            bool
	}{
		{"one button", block(but("")), true},
		{"25 buttons", block(many(25)), true},
		{"26 buttons", block(many(26)), false},
		{"no buttons", block(""), false},
		{"no elements", `{"text":"t","blocks":[{"type":"actions"}]}`, false},
		{"in an attachment", `{"text":"t","attachments":` + attachedButtons + `}`, true},
		{"a key more on the block", `{"text":"t","blocks":[{"type":"actions","elements":[` + but("") +
			`],"text":"x"}]}`, false},
		{"block_id on the block", `{"text":"t","blocks":[{"type":"actions","block_id":"b","elements":[` +
			but("") + `]}]}`, true},
		{"a menu", block(`{"type":"static_select","action_id":"a"}`), false},
		{"no object", block(`"OK"`), false},
		{"label of 75", block(label(`{"type":"plain_text","text":"` + x(75) + `"}`)), true},
		{"label of 76", block(label(`{"type":"plain_text","text":"` + x(76) + `"}`)), false},
		{"label in mrkdwn", block(label(`{"type":"mrkdwn","text":"OK"}`)), false},
		{"empty label", block(label(`{"type":"plain_text","text":""}`)), false},
		{"label as text", block(label(`"OK"`)), false},
		{"no label", block(`{"type":"button","action_id":"a"}`), false},
		{"action_id of 255", block(id(x(255))), true},
		{"action_id of 256", block(id(x(256))), false},
		{"no action_id", block(`{"type":"button","text":{"type":"plain_text","text":"OK"}}`), false},
		{"empty action_id", block(id("")), false},
		{"action_id twice in a block", block(but("") + "," + but("")), false},
		{"action_id twice in a message", `{"text":"t","blocks":[{"type":"actions","elements":[` + id("ack") +
			`]}],"attachments":` + attachedButtons + `}`, false},
		{"value of 2,000", block(but(`,"value":"` + x(2000) + `"`)), true},
		{"value of 2,001", block(but(`,"value":"` + x(2001) + `"`)), false},
		{"value that is no text", block(but(`,"value":7`)), false},
		{"primary", block(but(`,"style":"primary"`)), true},
		{"danger", block(but(`,"style":"danger"`)), true},
		{"default", block(but(`,"style":"default"`)), false},
		{"style that is no text", block(but(`,"style":1`)), false},
		{"accessibility_label of 75", block(but(`,"accessibility_label":"` + x(75) + `"`)), true},
		{"accessibility_label of 76", block(but(`,"accessibility_label":"` + x(76) + `"`)), false},
		{"url of 3,000", block(but(`,"url":"` + x(3000) + `"`)), true},
		{"url of 3,001", block(but(`,"url":"` + x(3001) + `"`)), false},
		{"confirm", block(but(`,"confirm":{}`)), false},
		{"block_id on the button", block(but(`,"block_id":"b"`)), false},
	} {
		a.mu.Lock()
		err := a.check([]byte(tt.message))
		a.mu.Unlock()
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v, want taken: %v", tt.name, err, tt.ok)
		}
		if err != nil && asRefusal(err).body != "invalid_blocks" {
			t.Errorf("%s: %v, want invalid_blocks", tt.name, err)
		}
	}
}

func TestButtonsNeedAnApp(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	ts := a.root()
	hook := func() string {
		return a.reply(a.URL(a.base), `{"text":"t","attachments":`+attachedButtons+`}`)
	}
	edit := []string{"ts", ts, "text", "t", "blocks", withButtons, "attachments", "[]"}
	a.Connect(a.base, "")
	if got := a.call("chat.postMessage", "text", "t", "blocks", withButtons); got["error"] != "invalid_blocks" {
		t.Errorf("posted without an app: %v", got)
	}
	if got := a.call("chat.update", edit...); got["error"] != "invalid_blocks" {
		t.Errorf("edited without an app: %v", got)
	}
	if got := hook(); got != "400 invalid_blocks" {
		t.Errorf("by webhook without an app: %s", got)
	}
	if got := a.call("chat.postMessage", "text", "t"); got["ok"] != true {
		t.Errorf("a message without buttons: %v", got)
	}
	a.Connect(a.base, "http://127.0.0.1:1/")
	if got := a.call("chat.update", edit...); got["ok"] != true {
		t.Errorf("edited with an app: %v", got)
	}
	if got := hook(); got != "200 ok" {
		t.Errorf("by webhook with an app: %s", got)
	}
}
