package demo

import (
	"encoding/json"
	"slices"
	"strings"
)

// How much of the channels is kept and sent, so that the page stays short when it runs for hours.
const (
	maxPosts   = 400 // messages that Slack keeps: see slack.Workspace.Keep
	fewPosts   = 12  // of the channel, that are sent if nobody asks for more
	maxReplies = 30  // of one thread, that are sent
	maxAbout   = 80  // characters of what a thread is about
)

// recent cuts posts down to the newest few of the channel, with the newest replies in their threads, and
// counts those of the channel that are left out.
func recent(posts []post, few int) (shown []post, older int) {
	few = min(max(few, 1), maxPosts)
	roots := make(map[string]*post) // the first messages of threads
	for i := range posts {
		p := &posts[i]
		if p.Thread == "" {
			roots[p.TS] = p
		} else if root := roots[p.Thread]; root != nil {
			root.Replies++
			root.Last = p.At
		}
	}
	inChannel, inThread := make(map[string]bool), make(map[string]int)
	for _, p := range slices.Backward(posts) {
		root := roots[p.Thread]
		// a reply whose thread is gone is shown in the channel, rather than nowhere
		if p.Thread == "" || p.Broadcast || root == nil {
			if few > 0 {
				inChannel[p.TS] = true
				few--
			} else {
				older++
			}
		}
	}
	for _, p := range slices.Backward(posts) {
		reply := inThread[p.Thread] < maxReplies && inChannel[p.Thread]
		if inThread[p.Thread]++; !reply && !inChannel[p.TS] {
			continue
		}
		if root := roots[p.Thread]; root != nil && p.Broadcast {
			p.About = about(root.Raw)
		}
		shown = append(shown, p)
	}
	slices.Reverse(shown)
	return shown, older
}

// about is the first line of a message's text. The page shows it as text.
func about(raw json.RawMessage) string {
	var m struct{ Text string }
	_ = json.Unmarshal(raw, &m) // Slack took it
	line, _, _ := strings.Cut(m.Text, "\n")
	if r := []rune(line); len(r) > maxAbout {
		return string(r[:maxAbout]) + "…"
	}
	return line
}
