package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestKeepForgetsWholeThreadsThatAreQuiet(t *testing.T) {
	t.Parallel()
	s := New()
	s.Keep = 40
	at := time.Unix(1_800_000_000, 0)
	s.Now = func() time.Time { return at }
	reply := func(thread string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		at = at.Add(time.Second)
		s.post(json.RawMessage(`{"text":"reply"}`), Post{Bot: true, Thread: thread, channel: mainChannel})
	}
	say := func(text string) string {
		at = at.Add(time.Second)
		return s.Say(text)
	}
	busy, quiet := say("busy"), say("quiet")
	reply(quiet)
	for i := range 100 {
		say(fmt.Sprint(i))
		if i%5 == 0 {
			reply(busy)
		}
		posts := s.Channel()
		if len(posts) > s.Keep {
			t.Fatalf("after %d messages %d are kept, want at most %d", i, len(posts), s.Keep)
		}
		for _, p := range posts {
			if p.Thread != "" && !slices.ContainsFunc(posts, func(q Post) bool { return q.TS == p.Thread }) {
				t.Fatalf("after %d messages a reply has lost its thread", i)
			}
		}
	}
	posts := s.Channel()
	has := func(ts string) bool { return slices.ContainsFunc(posts, func(p Post) bool { return p.TS == ts }) }
	if !has(busy) || has(quiet) {
		t.Errorf("kept are %+v, want the busy thread and the newest, and not the quiet one", posts)
	}
	for range 100 {
		reply(busy)
	}
	posts = s.Channel()
	if n := len(posts); n > s.Keep || n < s.Keep/2 || posts[0].TS != busy {
		t.Errorf("of one thread %d messages are kept, the first of them %s, want %s and about %d", n, posts[0].TS,
			busy, s.Keep)
	}
}

// TestKeepForgetsNothingThatSlackCounts takes messages of which few are kept.
func TestKeepForgetsNothingThatSlackCounts(t *testing.T) {
	t.Parallel()
	s := New()
	s.Keep = 10
	s.Connect("http://127.0.0.1:1", "http://127.0.0.1:1")
	for range 50 {
		if _, err := s.NewCommand(Person{}, "", "/clb help"); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.took(Message{})
		s.show(reply{raw: json.RawMessage(`{}`)}, &respond{channel: mainChannel})
		s.mu.Unlock()
	}
	s.mu.Lock()
	responses := len(s.responses)
	s.mu.Unlock()
	if m, p := len(s.Messages()), len(s.Ephemerals("")); m != 10 || p != 10 || responses != 10 {
		t.Errorf("%d messages, %d private ones and %d response URLs are kept, want 10 each", m, p, responses)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.Wait(ctx, 50); err != nil {
		t.Errorf("wait for all 50: %v", err)
	}
}
