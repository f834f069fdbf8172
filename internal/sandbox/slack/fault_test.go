package slack

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestSlackFaults(t *testing.T) {
	t.Parallel()
	const date = "Mon, 23 Nov 2026 04:53:36 GMT"
	tests := []struct {
		fault         Fault
		message, want string
		taken         bool
	}{
		{Answer(404, "no_service"), plainText, "404 no_service", false},
		{Answer(500, "rollup_error"), plainText, "500 rollup_error", false},
		{Answer(200, "not quite"), plainText, "200 not quite", false},
		{RateLimited("30"), plainText, "429 rate_limited, retry after 30", false},
		{RateLimited(""), plainText, "429 rate_limited", false},
		{RateLimited(date), plainText, "429 rate_limited, retry after " + date, false},
		{RefusesBlocks(), withBlocks, "400 invalid_blocks", false},
		{RefusesBlocks(), withinAttch, "400 invalid_blocks", false},
		{RefusesBlocks(), plainText, "200 ok", true},
		{Redirect("https://example.com"), plainText, "302 ", false},
		{Reset(), plainText, "reset by peer", false},
		{TakesThenDrops(), plainText, "reset by peer", true},
		{TakesThenFails(), plainText, "500 rollup_error", true},
		{TakesThenHangs(), plainText, "deadline exceeded", true},
		{Hangs(), plainText, "deadline exceeded", false},
		{TakesThenBreaksOff(), plainText, "unexpected EOF", true},
		{Error("invalid_arguments"), plainText, "400 invalid_arguments", false},
		{HeldBack(time.Hour), plainText, "reset by peer", false},
		{TakesLate(time.Hour), plainText, "deadline exceeded", true},
		{TakesLate(time.Millisecond), plainText, "200 ok", true},
	}
	for _, tt := range tests {
		t.Run(tt.fault.String(), func(t *testing.T) {
			t.Parallel()
			s := newWebhookTest(t)
			s.Fail(tt.fault, -1)
			ctx := t.Context()
			if strings.Contains(tt.want, "deadline") {
				short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
				ctx = short
			}
			if got := s.post(t.Context(), `{}`); got != "400 no_text" {
				t.Errorf("a wrong message: %s, want its own refusal", got)
			}
			if got := s.post(ctx, tt.message); !strings.HasSuffix(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if got := len(s.Messages()) == 1; got != tt.taken {
				t.Errorf("taken: %v, want %v", got, tt.taken)
			}
			s.ClearFaults()
			if got := s.post(t.Context(), withBlocks); got != "200 ok" {
				t.Errorf("cleared: %s, want 200 ok", got)
			}
		})
	}
}

func TestSlackFaultsCount(t *testing.T) {
	t.Parallel()
	s := newWebhookTest(t)
	s.Fail(Answer(500, "a"), 2)
	s.Fail(Answer(500, "b"), 1)
	for _, want := range []string{"500 a", "500 a", "500 b", "200 ok"} {
		if got := s.post(t.Context(), plainText); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestWebAPIFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault Fault
		want  string
		taken bool
	}{
		{Error("internal_error"), "internal_error", false},
		{OKFalse(), "<nil>", false},
		{NoTS(), "<nil>", true},
		{EmptyAnswer(), "200", false},
		{HTML(), "200", false},
		{Answer(503, "x"), "503", false},
		{Reset(), "no answer", false},
		{TakesThenDrops(), "no answer", true},
		{TakesThenFails(), "500", true},
		{RateLimited("7"), "429", false},
	} {
		s := newAPITest(t)
		ts, _ := s.call("chat.postMessage", "text", "first")["ts"].(string)
		s.FailMethod("chat.postMessage", tt.fault, 1)
		s.FailMethod("chat.update", tt.fault, 1)
		if got := s.call("chat.postMessage", "text", "second"); fmt.Sprint(got["error"]) != tt.want ||
			(len(s.Channel()) == 2) != tt.taken {
			t.Errorf("%s on a post: %v, and %d messages; want %s", tt.fault, got, len(s.Channel()), tt.want)
		}
		got := s.call("chat.update", "ts", ts, "text", "edited", "blocks", "[]", "attachments", "[]")
		if edited := strings.Contains(string(s.Channel()[0].Raw),
			"edited"); fmt.Sprint(got["error"]) != tt.want || edited != tt.taken {
			t.Errorf("%s on an edit: %v, edited: %v; want %s", tt.fault, got, edited, tt.want)
		}
		if got := s.call("chat.postMessage", "text", "third"); got["ok"] != true {
			t.Errorf("after %s: %v", tt.fault, got)
		}
	}
	// What hits every post does not hit other methods.
	s := newAPITest(t)
	s.Fail(Error("is_archived"), -1)
	if got := s.call("conversations.history"); got["ok"] != true {
		t.Errorf("a fault of posts on the history: %v", got)
	}
	if got := s.call("chat.postMessage", "text", "x"); got["error"] != "is_archived" {
		t.Errorf("a fault of posts on a post: %v", got)
	}
}
