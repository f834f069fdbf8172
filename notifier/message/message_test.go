package message_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/notifier/message"
)

// many are n names such as web-01.
func many(kind string, from, to int) (names []string) {
	for i := from; i <= to; i++ {
		names = append(names, fmt.Sprintf("%s-%02d", kind, i))
	}
	return names
}

// messages are what people may see, made by short histories.
func messages(t *testing.T) map[string]message.Message {
	all := make(map[string]message.Message)

	s := newStory(t).watch("prod-web", 7).set("prod-web", 4, "web-07").tick()
	all["one-stopped"] = s.root()
	s.ticks(3).set("prod-web", 2, "web-07").tick()
	all["one-back"], all["one-back-update"] = s.root(), s.update()
	s.ticks(12)
	all["resolved"] = s.root()

	s = newStory(t).watch("prod-web", 3).set("prod-web", 4, "web-01", "web-02").ticks(2).set("prod-web", 4, "web-03").tick()
	all["down"], all["down-update"] = s.root(), s.update()
	s.ticks(5).set("prod-web", 2, "web-01", "web-02", "web-03").ticks(4)
	all["down-ended-update"] = s.update()
	s.ticks(10)
	all["down-resolved"] = s.root()

	s = newStory(t).watch("prod-web", 6).set("prod-web", 4, "web-01", "web-02", "web-03").tick()
	all["degraded"] = s.root()

	s = newStory(t)
	for i := range 12 {
		s.watch(fmt.Sprintf("prod-%c", 'a'+i), 10)
	}
	for i := range 12 {
		label := fmt.Sprintf("prod-%c", 'a'+i)
		n := []int{10, 10, 10, 5, 1, 2, 1, 2, 1, 1, 2, 1}[i]
		s.set(label, 4, many(label[5:], 1, n)...)
	}
	all["zone"] = s.tick().root()

	s = newStory(t)
	var labels []string
	for i := range 110 {
		label := fmt.Sprintf("shop-%03d", i)
		s.watch(label, 3)
		labels = append(labels, label)
	}
	s.share(lb.Backend{ID: "ins-9o9ex9s0", Name: "web-07", Status: lb.Running, Weight: 10, LanIP: "10.0.3.17"}, labels...)
	for _, label := range labels {
		s.set(label, 4, "web-07")
	}
	all["behind-110"] = s.tick().root()
	_ = maps.Keys[map[string]int]
	_ = slices.Sorted[int]
	_ = time.Now
	_ = incident.Done
	return all
}

func TestMessages(t *testing.T) {
	t.Parallel()
	for name, m := range messages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkMessage(t, m)
			golden(t, name+".golden.json", wire(t, m))
			golden(t, name+".golden.txt", []byte(m.Plain+"\n"))
		})
	}
}
