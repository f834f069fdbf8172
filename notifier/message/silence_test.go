package message_test

import (
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
)

// TestLongReasonsFit holds that names and reasons of silences leave a message within its limits.
func TestLongReasonsFit(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	for _, l := range []string{"a-web", "b-web", "c-web"} {
		s.watch(l, 6).silence(incident.Silence{What: l, All: true, Why: strings.Repeat("&", 200)}, 10*time.Minute)
		s.silences[len(s.silences)-1].By = strings.Repeat("<", 200)
	}
	s.tick().set("a-web", 4, "web-01", "web-02", "web-03", "web-04", "web-05", "web-06")
	s.set("b-web", 4, "web-01").set("c-web", 4, "web-01")
	s.sent = nil
	s.ticks(10) // the tick that posts "a-web DOWN" with its mention: checkMessage fails
}

// TestNoticeInASilence holds that a notice that is held back does not speak of backends.
func TestNoticeInASilence(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 6).watch("test-web", 3)
	s.silence(incident.Silence{What: "test-*"}, 20*time.Minute).tick()
	for _, l := range []string{"prod-web", "test-web"} {
		c, had := s.clbs[l], incident.Incident{About: incident.Unmatched}
		had.Key, had.Label = c.Key(), c.Label
		s.notices = append(s.notices, had)
	}
	if text := s.tick().root().Plain; strings.Contains(text, "no backends left") {
		t.Errorf("it has its 3 backends, and is not watched any more:\n%s", text)
	}
}

// TestSilenceThatIsOver holds that a message does not go on to say that something is silenced.
func TestSilenceThatIsOver(t *testing.T) {
	t.Parallel()
	s := newStory(t).watch("prod-web", 6).watch("test-web", 3)
	s.silence(incident.Silence{What: "test-*"}, 20*time.Minute)
	s.set("prod-web", 4, "web-01").set("test-web", 4, "web-02").tick().set("test-web", 2, "web-02").ticks(40)
	text := s.set("prod-web", 4, "web-03").tick().root().Plain
	if strings.Contains(text, "silenced until 2026-11-23 05:01") {
		t.Errorf("at %v:\n%s", s.at, text)
	}
}
