package message_test

import (
	"fmt"
	"slices"
	"strings"
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

	s = newStory(t).
		watch("prod-web", 3).
		set("prod-web", 4, "web-01", "web-02").
		ticks(2).
		set("prod-web", 4, "web-03").
		tick()
	all["down"], all["down-update"] = s.root(), s.update()
	s.ticks(5).set("prod-web", 2, "web-01", "web-02", "web-03").ticks(4)
	all["down-ended-update"] = s.update()
	s.ticks(10)
	all["down-resolved"] = s.root()

	// What docs/img/incident.gif shows.
	s = newStory(t).watch("prod-web", 3).set("prod-web", 4, "web-01").tick()
	all["incident-1-alert"] = s.root()
	s.tick().set("prod-web", 4, "web-02", "web-03").tick()
	all["incident-2-worse"], all["incident-2-worse-update"] = s.root(), s.update()
	s.ticks(5).set("prod-web", 2, "web-01", "web-02", "web-03").ticks(14)
	all["incident-3-resolved"] = s.root()

	s = newStory(t).watch("prod-web", 6).set("prod-web", 4, "web-01", "web-02", "web-03").tick()
	all["degraded"] = s.root()

	s = newStory(t).watch("prod-web", 6).watch("test-web", 3)
	s.silence(incident.Silence{What: "test-*", Why: "rebuilding <test> & all"}, time.Hour)
	s.set("prod-web", 4, "web-01").set("test-web", 4, "web-02").tick()
	all["silenced-other"] = s.root()
	s.ticks(60)
	all["silence-over-update"] = s.update()

	s = newStory(t).watch("prod-web", 6).set("prod-web", 4, "web-01").tick()
	s.silence(incident.Silence{Incident: "1"}, incident.MaxAck).tick()
	all["acknowledged"] = s.root()
	s.set("prod-web", 4, "web-02").tick().set("prod-web", 4, "web-03", "web-04").tick()
	all["outgrown-update"] = s.update()

	s = newStory(t).watch("prod-web", 6).watch("prod-api", 4)
	s.style.Buttons = true
	s.set("prod-web", 4, "web-01").tick()
	all["buttons"] = s.root()
	s.silence(incident.Silence{Incident: "1"}, incident.MaxAck).tick()
	all["buttons-acknowledged"] = s.root()
	s.set("prod-api", 4, "api-01", "api-02").tick()
	all["buttons-of-two"] = s.root()

	s = newStory(t).watch("test-web", 6)
	s.silence(incident.Silence{What: "test-*", Why: "deploy 4711"}, 30*time.Minute)
	s.set("test-web", 4, "web-02").ticks(31)
	all["silence-over"] = s.root()

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
	s.ticks(3)
	for i := range 12 {
		label := fmt.Sprintf("prod-%c", 'a'+i)
		s.set(label, 2, many(label[5:], 1, 10)...)
	}
	all["zone-ended-update"] = s.ticks(4).update()
	all["zone-resolved"] = s.ticks(12).root()

	s = newStory(t)
	var labels []string
	for i := range 110 {
		label := fmt.Sprintf("shop-%03d", i)
		s.watch(label, 3)
		labels = append(labels, label)
	}
	s.share(
		lb.Backend{ID: "ins-9o9ex9s0", Name: "web-07", Status: lb.Running, Weight: 10, LanIP: "10.0.3.17"},
		labels...)
	for _, label := range labels {
		s.set(label, 4, "web-07")
	}
	all["behind-110"] = s.tick().root()

	s = newStory(t).watch("prod-web", 6)
	s.change("prod-web", "web-02", func(b *lb.Backend) { b.ID = "ins-fresh0a1" }).tick()
	all["replaced"] = s.root()

	s = newStory(t).watch("prod-web", 60)
	for i := 1; i <= 60; i += 3 {
		s.set("prod-web", 7, many("web", i, i+2)...).tick().set("prod-web", 2, many("web", i, i+2)...)
	}
	s.tick()
	all["rolling-restart"], all["rolling-restart-update"] = s.root(), s.update()
	s.ticks(12)
	all["rolling-restart-resolved"] = s.root()

	s = newStory(t).watch("prod-web", 10)
	for range 4 {
		s.set("prod-web", 2, "web-11", "web-12", "web-13").
			tick().
			set("prod-web", 0, "web-11", "web-12", "web-13").
			tick()
	}
	all["autoscaler"], all["autoscaler-update"] = s.root(), s.update()
	s.ticks(12)
	all["autoscaler-over"] = s.root()

	s = newStory(t).watch("prod-web", 10).set("prod-web", 0, "web-03", "web-04").tick()
	all["removed"] = s.root()
	s = newStory(t).watch("prod-web", 10).set("prod-web", 0, many("web", 1, 6)...).tick()
	all["removed-degraded"] = s.root()
	s.ticks(12)
	all["removed-over"] = s.root()

	s = newStory(t).watch("prod-web", 6).set("prod-web", 2, "web-07", "web-08", "web-09").tick()
	all["added"] = s.root()
	s.ticks(12)
	all["added-over"] = s.root()

	s = forward(t, 4)
	s.change("prod-shop", "shop-02", func(b *lb.Backend) { b.Bindings, b.Weight = b.Bindings[:1], 10 }).tick()
	all["unbound"] = s.root()
	s.change("prod-shop", "shop-03", func(b *lb.Backend) {
		b.Bindings = append(slices.Clone(b.Bindings), lb.Binding{Listener: "TCP:22", Port: 22, Weight: 10})
		b.Weight += 10
	}).tick()
	all["bound-update"] = s.update()

	s = forward(t, 3)
	for _, name := range many("shop", 1, 3) {
		s.change("prod-shop", name, func(b *lb.Backend) { b.Bindings = b.Bindings[1:] })
	}
	s.change("prod-shop", "shop-01", func(b *lb.Backend) { b.Bindings = machineOf(s, "shop-01").Bindings })
	s.known["prod-shop"] = lb.Baseline(s.pools["prod-shop"], s.at)
	all["listener-bare"] = s.set("prod-shop", 4, "shop-01").tick().root()

	s = forward(t, 3)
	failing := []string{"HTTPS:443 shop.example.com/api → 8080"}
	s.change("prod-shop", "shop-01", func(b *lb.Backend) { b.Failing = failing }).
		tick()
	all["failing"] = s.root()
	s.ticks(2).change("prod-shop", "shop-01", func(b *lb.Backend) { b.Failing = nil }).tick()
	all["healthy-update"] = s.update()

	s = newStory(t).
		watch("prod-web", 6).
		set("prod-web", 4, many("web", 1, 5)...).
		ticks(20).
		set("prod-web", 0, many("web", 1, 5)...).
		tick()
	all["broken-removed-update"] = s.update()
	s.ticks(12)
	all["broken-removed-over"] = s.root()
	all["broken-removed-last-update"] = s.update()

	s = newStory(t).watch("prod-web", 10).set("prod-web", 4, "web-09").tick().skip(6 * time.Hour)
	all["reminder"] = s.update()
	s.skip(20 * time.Hour)
	all["abandoned"], all["abandoned-update"] = s.root(), s.update()

	s = newStory(t).
		watch("prod-web", 3).
		set("prod-web", 4, "web-01").
		tick().
		set("prod-web", 2, "web-01").
		ticks(5)
	s.set("prod-web", 4, "web-01").tick().set("prod-web", 2, "web-01").tick()
	all["out-twice"] = s.root()

	s = newStory(t).watch("prod-web", 3).set("prod-web", 4, "web-01").tick().skip(20 * time.Hour)
	s.set("prod-web", 2, "web-01").skip(time.Hour)
	all["over-days"] = s.root()

	s = newStory(t).
		watch("prod-web", 6).
		watch("prod-api", 4).
		set("prod-web", 4, "web-01").
		ticks(2).
		set("prod-api", 4, "api-02").
		tick()
	all["joined"], all["joined-update"] = s.root(), s.update()
	s.set("prod-api", 4, "api-01", "api-03", "api-04").tick()
	all["broadcast-mention-update"] = s.update()
	s.set("prod-api", 2, "api-01", "api-02", "api-03", "api-04").ticks(4)
	all["one-of-two-ended-update"] = s.update()

	notices(t, all)
	blindness(t, all)
	forms(t, all)
	all["test"] = message.Test(start, message.Style{})
	hostile(t, all)
	return all
}

// forward is a load balancer with n backends, each behind three rules.
func forward(t *testing.T, n int) *story {
	s := newStory(t).watch("prod-shop", n)
	for _, name := range many("shop", 1, n) {
		s.change("prod-shop", name, func(b *lb.Backend) {
			b.Weight, b.Checked = 30, 3
			b.Bindings = []lb.Binding{
				{Listener: "HTTP:80", Rule: "shop.example.com/", Port: 8080, Weight: 10},
				{Listener: "HTTPS:443", Rule: "shop.example.com/", Port: 8080, Weight: 10},
				{Listener: "HTTPS:443", Rule: "shop.example.com/api", Port: 8080, Weight: 10},
			}
		})
	}
	s.known["prod-shop"] = lb.Baseline(s.pools["prod-shop"], s.at)
	return s
}

func machineOf(s *story, name string) lb.Backend {
	for _, pool := range s.known {
		for _, b := range pool {
			if b.Name == name {
				return b
			}
		}
	}
	return lb.Backend{}
}

func notices(t *testing.T, all map[string]message.Message) {
	standing := func(label string, running, total int) incident.Standing {
		return incident.Standing{
			CLB: lb.CLB{Region: "ap-guangzhou", ID: "lb-" + label, Label: label},
			Now: lb.Capacity{Running: running, Total: total, Weight: 10 * total, Serving: 10 * running},
		}
	}
	watching := func(clbs, backends, running int, worst ...incident.Standing) incident.Incident {
		return incident.Incident{
			About:    incident.Watching,
			Key:      worst[0].CLB.Key(),
			Baseline: &incident.Baseline{CLBs: clbs, Backends: backends, Running: running, Worst: worst},
		}
	}
	post := func(name string, ns ...incident.Incident) {
		s := newStory(t)
		s.notices = ns
		all[name] = s.tick().root()
	}
	post("watching-1", watching(1, 6, 5, standing("prod-web", 5, 6)))
	post(
		"watching-3",
		watching(3, 18, 16, standing("prod-web", 4, 6), standing("prod-api", 6, 6), standing("batch", 6, 6)),
	)
	var worst []incident.Standing
	for i := range 15 {
		worst = append(worst, standing(fmt.Sprintf("prod-%03d", i), i/3, 100))
	}
	post("watching-10000", watching(10_000, 1_000_000, 998_530, worst...))
	post(
		"deleted",
		incident.Incident{
			About:  incident.Deleted,
			Key:    "ap-guangzhou/lb-8a3k2m1q",
			Label:  "prod-web",
			Before: lb.Capacity{Running: 5, Total: 6},
		},
	)
	post(
		"unmatched",
		incident.Incident{
			About:  incident.Unmatched,
			Key:    "ap-guangzhou/lb-8a3k2m1q",
			Title:  "prod-web",
			Before: lb.Capacity{Running: 6, Total: 6},
		},
	)
	post(
		"upgraded",
		incident.Incident{
			About:  incident.Upgraded,
			Key:    "ap-guangzhou/lb-8a3k2m1q",
			Title:  "prod-web",
			Before: lb.Capacity{Running: 6, Total: 6},
			Now:    lb.Capacity{Running: 5, Total: 5},
		},
	)
	post("nothing-found", incident.Incident{About: incident.Nothing, Key: "ap-guangzhou/prod-*"})
	post(
		"notices-together",
		watching(2, 12, 12, standing("prod-new", 6, 6), standing("prod-newer", 6, 6)),
		incident.Incident{
			About:  incident.Deleted,
			Key:    "ap-guangzhou/lb-8a3k2m1q",
			Label:  "prod-web",
			Before: lb.Capacity{Running: 5, Total: 6},
		},
		incident.Incident{About: incident.Deleted, Key: "ap-guangzhou/lb-8a3k2m1r", Label: "prod-web-old"},
	)
}

func blindness(t *testing.T, all map[string]message.Message) {
	s := newStory(t).watch("prod-web", 6)
	s.unread = []incident.Unread{
		{Key: s.clbs["prod-web"].Key(), About: incident.Reading, LastGood: s.at.Add(-time.Minute),
			Reason: incident.Reason{
				Why: "DescribeLoadBalancerBackends: RequestLimitExceeded, request 7f0c2a1e",
				Do:  "It usually clears by itself. If it lasts, raise the timer's interval or ask for quota.",
			}},
	}
	all["cannot-read"] = s.ticks(3).root()
	s.unread = nil
	s.ticks(4)
	all["readable-again"], all["readable-again-update"] = s.root(), s.update()
	s.ticks(12)
	all["readable-closed"] = s.root()

	s = newStory(t)
	for i := range 300 {
		label := fmt.Sprintf("prod-%03d", i)
		s.watch(label, 1)
		s.unread = append(
			s.unread,
			incident.Unread{
				Key:      s.clbs[label].Key(),
				About:    incident.Reading,
				LastGood: s.at.Add(-time.Minute),
				Reason: incident.Reason{
					Why: fmt.Sprintf("InternalError %d: the backend timed out", i%20*(i%3)),
					Do:  fmt.Sprintf("Wait, or open ticket %d.", i%20*(i%3)),
				},
			},
		)
	}
	all["cannot-read-300"] = s.ticks(3).root()

	s = newStory(t).watch("prod-web", 6)
	s.unread = []incident.Unread{
		{
			Key:   "ap-guangzhou/prod-*",
			About: incident.Listing,
			Reason: incident.Reason{
				Why: "DescribeLoadBalancers: UnauthorizedOperation",
				Do:  "Grant the role clb:DescribeLoadBalancers.",
			},
		},
		{
			Key:      s.clbs["prod-web"].Key(),
			About:    incident.Health,
			LastGood: s.at.Add(-time.Hour * 30),
			Reason: incident.Reason{
				Why: "DescribeTargetHealth: UnauthorizedOperation",
				Do:  "Grant the role clb:DescribeTargetHealth.",
			},
		}}
	all["cannot-list"] = s.ticks(3).root()
}

func forms(t *testing.T, all map[string]message.Message) {
	s := newStory(t).watch("prod-web", 3)
	s.set("prod-web", 4, "web-01", "web-02", "web-03").tick()
	root := incident.Call{
		Do:    incident.Send,
		Route: s.rules.Route,
		Post:  incident.Post{Root: true, Mention: true},
	}
	all["form-full"] = s.as(root)
	for form, name := range map[incident.Form]string{
		incident.NoMention: "form-no-mention", incident.Plain: "form-plain", incident.Bare: "form-bare",
	} {
		call := root
		call.Post.Mention, call.Form = false, form
		all[name] = s.as(call)
	}
	root.Post = incident.Post{Root: true, Repeat: true, Names: []string{"12", "15"}}
	all["repeat-names"] = s.as(root)
	all["void"] = s.as(incident.Call{Do: incident.Void})
	all["leave"] = s.as(incident.Call{Do: incident.Leave, Route: "C0LD"})
}

func hostile(t *testing.T, all map[string]message.Message) {
	s := newStory(t).watch("prod-api <!channel> & `x` *b*", 12)
	label := "prod-api <!channel> & `x` *b*"
	for i, name := range []string{
		"<!channel>", "<@U123|boss>", "web\nremoved  web-01  10.0.0.1", "```code``` :fire: _i_ ~s~",
		"\u202egnp.exe\u2066 \u200bx\U000e0041",
		"🔥 on fire 🧯", strings.Repeat("数据库服务器", 10), "https://evil.example/ <https://evil.example|Console>"} {
		s.pools[label][i].Name, s.pools[label][i].LanIP = name, "10.0.3.17 <!here>"
	}
	s.known[label] = lb.Baseline(s.pools[label], s.at)
	for i := range 8 {
		s.pools[label] = slices.Clone(s.pools[label])
		s.pools[label][i].Status = lb.Status(4 + i%2*95)
	}
	all["hostile"] = s.tick().root()
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
