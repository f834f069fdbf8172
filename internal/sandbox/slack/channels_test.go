package slack

import (
	"fmt"
	"testing"
)

// Each channel has messages, members and a rate of its own.
func TestChannelsAreApart(t *testing.T) {
	t.Parallel()
	s := newAPITest(t)
	const other = "C0SANDBOX2"
	first, _ := s.call("chat.postMessage", "text", "first")["ts"].(string)
	want := func(method, code string, pairs ...string) map[string]any {
		t.Helper()
		got := s.call(method, append(pairs, "channel", other)...)
		if code == "" && got["ok"] != true || code != "" && got["error"] != code {
			t.Errorf("%s in the other channel: %v, want %q", method, got, code)
		}
		return got
	}
	want("chat.postMessage", "channel_not_found", "text", "x")
	s.Add(other)
	want("chat.postMessage", "not_in_channel", "text", "x")
	s.Invite(other)
	if got := want("chat.postMessage", "", "text", "second"); got["channel"] != other {
		t.Errorf("the answer names %v", got["channel"])
	}
	edit := []string{"ts", first, "text", "x", "blocks", "[]", "attachments", "[]"}
	want("chat.update", "message_not_found", edit...)
	want("conversations.replies", "thread_not_found", "ts", first)
	want("chat.postMessage", "thread_not_found", "text", "x", "thread_ts", first)
	if all, _ := want("conversations.history", "")["messages"].([]any); len(all) != 1 {
		t.Errorf("the other channel's history has %d messages, want its own", len(all))
	}
	if a, b := s.Channel(), s.ChannelOf(other); len(a) != 1 || len(b) != 1 {
		t.Errorf("%d and %d messages, want one in each", len(a), len(b))
	}
	s.FailCalls(Calls{Channel: other}, Error("is_archived"))
	want("chat.postMessage", "is_archived", "text", "x")
	if got := s.call("chat.postMessage", "text", "x"); got["ok"] != true {
		t.Errorf("the fault of the other channel hits the first: %v", got)
	}
	s.ClearFaults()
	s.Unlimited = false
	for n := 0; fmt.Sprint(s.call("chat.postMessage", "text", "x")["error"]) != "429"; n++ {
		if n > 2*burst {
			t.Fatal("there is no limit")
		}
	}
	want("chat.postMessage", "", "text", "x")
	s.Remove(other)
	want("conversations.history", "not_in_channel")
}
