package replay_test

import (
	"fmt"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/replay"
	"clbwatch/internal/story"
	"clbwatch/internal/watchtest/stories"
)

const (
	bot     incident.Route = "C0123456789"
	webhook incident.Route = "webhook:abcd"
)

// rulesOf are the rules of a story, but for its silences.
func rulesOf(s story.Story, route incident.Route) incident.Rules {
	return incident.Rules{StableAfter: s.Duration("STABLE_AFTER"), TransientFor: s.Duration("TRANSIENT_FOR"),
		MentionAt: 50, BlindAfter: 3, Route: route}
}

// TestStoriesKeepTheirBounds holds that a replay of each story takes as few messages as it may, by bot and by
// webhook.
func TestStoriesKeepTheirBounds(t *testing.T) {
	t.Parallel()
	all, err := stories.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		for _, route := range []incident.Route{bot, webhook} {
			t.Run(fmt.Sprintf("%s/%s", s.Name, route), func(t *testing.T) {
				t.Parallel()
				if s.Settings["SILENCES"] != "" {
					t.Skip("the setting is parsed elsewhere")
				}
				begin := time.Now()
				got, err := replay.Play(replay.Story(s), rulesOf(s, route), nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%+v %v", got.Counts, time.Since(begin))
				want := *s.Bot
				is := story.Bounds{Channel: got.Counts.Channel, Updates: got.Counts.Updates,
					Broadcast: got.Counts.Broadcast, Mentions: got.Counts.Mentions}
				if !route.Bot() {
					want, is = *s.Webhook, story.Bounds{Messages: got.Counts.Messages}
				}
				if !is.Within(want) {
					t.Errorf("it takes %+v, want at most %+v", is, want)
				}
				if is != want {
					t.Logf("it takes %+v, may take %+v", is, want)
				}
			})
		}
	}
}
