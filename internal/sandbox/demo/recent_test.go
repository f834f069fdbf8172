package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"clbwatch/internal/sandbox/slack"
)

func TestRecentHasWholeThreads(t *testing.T) {
	t.Parallel()
	message := func(ts, thread string, broadcast bool) post {
		raw := json.RawMessage(fmt.Sprintf(`{"text":"message %s\nand more"}`, ts))
		return post{Post: slack.Post{TS: ts, Thread: thread, Broadcast: broadcast, Raw: raw}}
	}
	posts := []post{message("1", "", false), message("2", "1", false), message("3", "", false),
		message("4", "3", false), message("5", "3", true), message("6", "0", false), message("7", "", false)}
	for few, want := range map[int]string{
		0: "7 (4 older)", 1: "7 (4 older)", 2: "6 7 (3 older)", 3: "5 of 3 'message 3' 6 7 (2 older)",
		4:    "3+2 4 of 3 5 of 3 'message 3' 6 7 (1 older)",
		5:    "1+1 2 of 1 3+2 4 of 3 5 of 3 'message 3' 6 7 (0 older)",
		9999: "1+1 2 of 1 3+2 4 of 3 5 of 3 'message 3' 6 7 (0 older)",
	} {
		shown, older := recent(append([]post(nil), posts...), few)
		var words []string
		for _, p := range shown {
			word := p.TS
			if p.Replies > 0 {
				word += fmt.Sprint("+", p.Replies)
			}
			if p.Thread != "" && p.Thread != "0" {
				word += " of " + p.Thread
			}
			if p.About != "" {
				word += " '" + p.About + "'"
			}
			words = append(words, word)
		}
		if got := fmt.Sprintf("%s (%d older)", strings.Join(words, " "), older); got != want {
			t.Errorf("recent(%d) = %s, want %s", few, got, want)
		}
	}
}

// TestPageStaysShort lets pass what passes in days of pressing buttons.
func TestPageStaysShort(t *testing.T) {
	t.Parallel()
	st, url := newPageTest(t, true)
	connect(t, st, answers)
	for i := range 5000 {
		st.slack.Say(fmt.Sprintf("message %d %s", i, strings.Repeat("x", 1000)))
		st.ran(runState{What: "tick", Answer: strings.Repeat("x", maxLine)})
	}
	for range maxPosts + maxPosts/8 {
		if err := st.typed(t.Context(), "/clb alone"); err != nil {
			t.Fatal(err)
		}
		posts := st.posts()
		if err := st.dismiss(order{ID: posts[len(posts)-1].TS}); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.typed(t.Context(), "/clb buttons"); err != nil {
		t.Fatal(err)
	}
	posts := st.posts()
	root := posts[len(posts)-1]
	for range 2 * maxReplies {
		if err := st.pressed(t.Context(), press{root.Channel, root.TS, "me"}); err != nil {
			t.Fatal(err)
		}
	}
	posts = st.posts()
	if n, gone := len(posts), len(st.dismissed); n > 2*maxPosts || gone > maxPosts {
		t.Errorf("%d messages are kept, and %d dismissed ones, want at most %d and %d", n, gone, 2*maxPosts,
			maxPosts)
	}
	for asked, most := range map[int]int{0: 100_000, fewPosts: 100_000, 1_000_000: 1_500_000} {
		s := st.state(asked)
		doc, err := json.Marshal(s)
		if err != nil || len(doc) > most || len(s.Runs) != maxRuns || len(s.Posts)+s.Older > maxPosts+maxReplies {
			t.Errorf("asked for %d messages the page is sent %d bytes, %d runs, %d messages and %d older: %v", asked,
				len(doc), len(s.Runs), len(s.Posts), s.Older, err)
		}
	}
	s := st.state(fewPosts)
	replies := 0
	for _, p := range s.Posts {
		if p.Thread == root.TS {
			replies++
		} else if p.TS == root.TS && p.Replies != 2*maxReplies {
			t.Errorf("the thread has %d replies, want %d", p.Replies, 2*maxReplies)
		}
	}
	if replies != maxReplies || len(s.Posts) != fewPosts+maxReplies || s.Older < maxPosts/2 {
		t.Errorf("%d messages, of them %d replies, and %d older, want %d, %d and about %d", len(s.Posts), replies,
			s.Older, fewPosts+maxReplies, maxReplies, maxPosts)
	}
	status, _, _ := request(t, http.MethodPost, url+"/do", `{"action":"report"}`)
	if status != http.StatusNoContent {
		t.Errorf("an order after all that: %d", status)
	}
}

// TestInstancesAreReplaced has a function that logs two lines when it starts, and one with each invocation.
func TestInstancesAreReplaced(t *testing.T) {
	t.Parallel()
	st := newStage(Story{Function: echo(t), Out: io.Discard})
	defer st.function.end()
	for i := range 2*maxServed + 1 {
		if _, ferr, err := st.function.invoke(t.Context(), []byte(`{}`)); err != nil || ferr != nil {
			t.Fatalf("invocation %d: %v, %v", i, ferr, err)
		}
	}
	if got := len(st.function.logs); got == 0 || got > maxLogs || st.function.served != 1 {
		t.Errorf("%d lines of instances that are gone, and %d invocations of this one, want at most %d, and 1", got,
			st.function.served, maxLogs)
	}
}
