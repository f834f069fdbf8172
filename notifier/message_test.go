package notifier

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"clbwatch/internal/watch"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func at(hour, minute int) time.Time { return time.Date(2026, 11, 23, hour, minute, 36, 0, time.UTC) }

func clb(label, id string) watch.CLB {
	return watch.CLB{Region: "ap-guangzhou", ID: id, Label: label}
}

var (
	web = clb("prod-web", "lb-8a3k2m1q")
	api = clb("prod-api", "lb-c4r9t0zw")
)

func left(name, ip string, s watch.Status) watch.Change {
	return watch.Change{Kind: watch.LeftRunning, At: at(4, 53), Was: watch.Running, Backend: watch.Backend{ID: "ins-" + name, Name: name, LanIP: ip, Status: s}}
}

func removed(name, ip string) watch.Change {
	return watch.Change{Kind: watch.Removed, At: at(4, 53), Backend: watch.Backend{ID: "ins-" + name, Name: name, LanIP: ip, Status: watch.Running}}
}

func added(name, ip string) watch.Change {
	return watch.Change{Kind: watch.Added, At: at(4, 53), Backend: watch.Backend{ID: "ins-" + name, Name: name, LanIP: ip, Status: watch.Running}}
}

func recovered(name, ip string, was watch.Status, out *watch.Out) watch.Change {
	return watch.Change{Kind: watch.Recovered, At: at(4, 53), Was: was, Out: out, Backend: watch.Backend{ID: "ins-" + name, Name: name, LanIP: ip, Status: watch.Running}}
}

// news has so many backends running of so many, each of weight 10.
func news(c watch.CLB, running, total int, changes ...watch.Change) watch.PoolNews {
	p := watch.PoolNews{CLB: c, Changes: changes}
	before := watch.Capacity{Running: running, Total: total}
	for _, ch := range changes {
		switch ch.Kind {
		case watch.LeftRunning:
			p.Counts.LeftRunning++
			before.Running++
		case watch.Removed:
			p.Counts.Removed++
			before.Total++
			before.Running++
		case watch.Added:
			p.Counts.Added++
			before.Total--
			before.Running--
		case watch.Recovered:
			p.Counts.Recovered++
			before.Running--
		}
	}
	p.Capacity = watch.Capacity{Running: running, Total: total, Weight: 10 * total, Serving: 10 * running}
	before.Weight, before.Serving = 10*before.Total, 10*before.Running
	p.Before, p.Out = &before, total-running
	return p
}

func alert(pools ...watch.PoolNews) watch.Alert {
	return watch.Alert{ID: "1042-k3q9x-0", From: at(4, 53), To: at(4, 53), Pools: pools}
}

// crowd is n load balancers with the changes of each; what is beyond 100 load balancers and 600 changes is only counted,
// as watch bounds it.
func crowd(n int, c watch.Counts) watch.Alert {
	a := alert()
	for i := range n {
		p := watch.PoolNews{CLB: clb(fmt.Sprintf("prod-svc-%03d", i), fmt.Sprintf("lb-%08x", 0xabc000+7919*i)), Counts: c, Capacity: watch.Capacity{Running: 34, Total: 70, Weight: 700, Serving: 340}}
		if i == 0 { // the worst comes first, as watch orders them
			p.Running, p.Serving = 0, 0
		}
		for j := 0; j < c.Total() && (c.Total() < 10 || j < 6); j++ {
			name, ip := fmt.Sprintf("svc-%03d-%02d", i, j), fmt.Sprintf("10.0.%d.%d", i, 10+j)
			switch {
			case j < c.LeftRunning:
				p.Changes = append(p.Changes, left(name, ip, 4))
			case j < c.LeftRunning+c.Removed:
				p.Changes = append(p.Changes, removed(name, ip))
			default:
				p.Changes = append(p.Changes, added(name, ip))
			}
		}
		if i >= 100 {
			a.More.CLBs++
			a.More.Counts = a.More.Counts.Plus(c)
			continue
		}
		a.Pools = append(a.Pools, p)
	}
	return a
}

func blind() watch.Blind {
	return watch.Blind{CLB: web, Since: at(4, 43), LastGood: at(4, 38), Ticks: 3,
		Why: "DescribeLoadBalancerBackends: RequestLimitExceeded (4400): your request is over the limit <!channel>\nrequest 7f0c2a1e",
		Do:  "the cloud throttles the API: it usually clears by itself; if it lasts, lower CLB_RATE or ask for quota"}
}

func between(c watch.Change, after time.Time) watch.Change {
	c.After = after
	return c
}

func alerts() map[string]watch.Alert {
	six := alert(
		news(web, 9, 12, left("web-07", "10.0.3.17", 4), left("web-11", "10.0.3.121", 9), added("web-14", "10.0.4.9")),
		news(api, 6, 8, left("api-02", "10.0.5.5", 5), removed("api-05", "10.0.5.8"), added("api-06", "10.0.5.9")))

	hostile := alert(news(clb("prod-api <!channel> & `x` *b*", "lb-c4r9t0zw"), 3, 12,
		left("<!channel>", "10.0.3.17", 4),
		left("<@U123|boss>", "10.0.3.18", 4),
		left("web\nremoved  web-01  10.0.0.1", "10.0.3.19", 4),
		left("```code``` :fire: _i_ ~s~", "10.0.3.20", 4),
		left("\u202egnp.exe\u2066 \u200bx\U000e0041", "10.0.3.21", 99),
		left("🔥 on fire 🧯", "10.0.3.22", 4),
		left(strings.Repeat("数据库服务器", 10), "10.0.3.23", 4),
		left("https://evil.example/ <https://evil.example|Console>", "10.0.3.24", 4),
		left("", "", 4),
	))
	hostile.Pools[0].CLB.Region = "<!here> *x*"

	gap := alert(news(web, 11, 12, between(left("web-07", "10.0.3.17", 4), at(4, 38)), between(recovered("web-11", "10.0.3.121", 4, &watch.Out{Since: at(4, 20)}), at(4, 38))))
	readable := gap
	readable.Sighted = []watch.Sighted{{CLB: web, LastGood: at(4, 38), Since: at(4, 43), At: at(4, 53), Changes: 2}, {CLB: api, Since: at(4, 43), At: at(4, 53)}}

	everything := six
	everything.From = at(4, 41)
	everything.Pools = append([]watch.PoolNews{}, six.Pools...)
	flap := left("web-07", "10.0.3.17", 4)
	flap.At, flap.After = at(4, 41), at(4, 26)
	everything.Pools[0] = news(web, 10, 12, flap, removed("web-11", "10.0.3.121"), added("web-14", "10.0.4.9"), recovered("web-07", "10.0.3.17", 4, &watch.Out{Since: at(4, 41)}))
	everything.Blind = []watch.Blind{{CLB: clb("batch", "lb-77aa00bb"), Since: at(4, 43), LastGood: at(4, 38), Ticks: 3, Why: "dial tcp: i/o timeout", Do: "the API does not answer: check the function's network"}}
	everything.Sighted = []watch.Sighted{{CLB: watch.CLB{Region: "ap-beijing", ID: "lb-5zz1"}, LastGood: at(3, 2), Since: at(3, 7), At: at(4, 53)}}
	everything.Baseline = &watch.Baseline{CLBs: 1, Backends: 6, Running: 6, Pools: []watch.PoolNews{news(clb("search", "lb-1qaz2wsx"), 6, 6)}}

	base := &watch.Baseline{CLBs: 40, Backends: 480, Running: 470}
	for i := range 15 {
		base.Pools = append(base.Pools, news(clb(fmt.Sprintf("svc-%02d", i), fmt.Sprintf("lb-00ab%04d", i)), 12-max(0, 4-i), 12))
	}

	blinds := watch.Alert{ID: "1042-k3q9x-0", From: at(4, 53), To: at(4, 53), MoreBlind: 12}
	for i := range 50 {
		b := blind()
		b.CLB = clb(fmt.Sprintf("svc-%02d", i), fmt.Sprintf("lb-00ab%04d", i))
		blinds.Blind = append(blinds.Blind, b)
	}

	return map[string]watch.Alert{
		"one-down":          alert(news(web, 11, 12, left("web-07", "10.0.3.17", 4))),
		"six-on-two":        six,
		"removed":           alert(news(web, 9, 9, removed("web-07", "10.0.3.17"), removed("web-11", "10.0.3.121"))),
		"added":             alert(news(web, 13, 14, added("web-14", "10.0.4.9"), func() watch.Change { c := added("web-15", "10.0.4.10"); c.Backend.Status = 8; return c }())),
		"recovered":         alert(news(web, 12, 12, recovered("web-07", "10.0.3.17", 4, &watch.Out{Since: at(4, 41)}), recovered("web-11", "10.0.3.121", 9, &watch.Out{Since: at(1, 3), AtLeast: true})), news(api, 7, 8, recovered("api-02", "10.0.5.5", 5, nil))),
		"last-one":          alert(news(web, 1, 3, left("web-07", "10.0.3.17", 4))),
		"none-running":      alert(news(web, 0, 3, left("web-07", "10.0.3.17", 4)), news(api, 6, 8, removed("api-05", "10.0.5.8"))),
		"emptied":           alert(news(web, 0, 0, removed("web-07", "10.0.3.17"))),
		"two-dead":          alert(news(web, 0, 0, removed("web-07", "10.0.3.17")), news(api, 0, 2, removed("api-05", "10.0.5.8")), news(clb("search", "lb-1qaz2wsx"), 3, 3, added("s-1", "10.0.6.1"))),
		"sixty-on-fifteen":  crowd(15, watch.Counts{LeftRunning: 2, Removed: 1, Added: 1}),
		"thousands":         crowd(120, watch.Counts{LeftRunning: 18, Removed: 18, Added: 6}),
		"hostile-names":     hostile,
		"blind":             {ID: "1042-k3q9x-0", From: at(4, 53), To: at(4, 53), Blind: []watch.Blind{blind()}},
		"blind-all":         blinds,
		"readable-again":    readable,
		"everything":        everything,
		"baseline-first":    {ID: "1-k3q9x-0", From: at(4, 53), To: at(4, 53), Baseline: base},
		"baseline-one-new":  {ID: "88-k3q9x-0", From: at(4, 53), To: at(4, 53), Baseline: everything.Baseline},
		"after-gap":         gap,
		"one-hostile-title": alert(news(clb("<!channel>", "lb-1"), 1, 2, left("*x* <@U1> :fire: evil.example", "10.0.0.1", 4))),
	}
}

// later is a change that was seen so many minutes after 04:53.
func later(ch watch.Change, minutes int) watch.Change {
	ch.At = ch.At.Add(time.Duration(minutes) * time.Minute)
	return ch
}

// stories are alerts in which changes come together.
func stories() map[string]watch.Alert {
	away := alert(news(web, 12, 12, left("web-07", "10.0.3.17", 4), later(recovered("web-07", "10.0.3.17", 4, &watch.Out{Since: at(4, 53)}), 5)))
	away.To = at(4, 58)
	other := added("web-07", "10.0.4.9")
	other.Backend.ID = "ins-9o9ex9s1"
	address := added("web-21", "10.0.3.121")
	address.Backend.Status = 8
	old := removed("web-07", "10.0.3.17")
	old.Backend.ID = "ins-9o9ex9s0"
	shared := left("web-07", "10.0.3.17", 6)
	drained := left("web-11", "10.0.3.121", 4)
	weights := alert(news(web, 9, 12, left("web-07", "10.0.3.17", 7), drained))
	weights.Pools[0].Capacity = watch.Capacity{Running: 9, Total: 12, Weight: 100, Serving: 45}
	weights.Pools[0].Before = &watch.Capacity{Running: 11, Total: 12, Weight: 100, Serving: 100}
	return map[string]watch.Alert{
		"replaced":      alert(news(web, 11, 12, old, removed("web-11", "10.0.3.121"), other, address)),
		"one-replaced":  alert(news(web, 12, 12, old, other)),
		"same-behind-3": alert(news(web, 11, 12, shared), news(api, 7, 8, shared, left("api-02", "10.0.5.5", 4)), news(clb("prod-admin", "lb-1qaz2wsx"), 1, 2, shared)),
		"one-behind-3":  alert(news(web, 11, 12, shared), news(api, 7, 8, shared), news(clb("prod-admin", "lb-1qaz2wsx"), 1, 2, shared)),
		"out-and-back":  away,
		"weights":       weights,
		"5000-on-50":    crowd(50, watch.Counts{LeftRunning: 60, Removed: 30, Added: 10}),
		"eight-behind-10": func() watch.Alert {
			a := alert()
			for i := range 10 {
				a.Pools = append(a.Pools, news(clb(fmt.Sprintf("svc-%02d", i), fmt.Sprintf("lb-00ab%04d", i)), 4, 5, shared))
			}
			return a
		}(),
	}
}

// threads are messages of one thread: its first message as it is edited, and replies.
func threads() map[string]Message {
	first := alerts()["one-down"]
	capacity := func(running int) watch.Capacity {
		return watch.Capacity{Running: running, Total: 12, Weight: 120, Serving: 10 * running}
	}
	thread := func(a watch.Alert, course map[string]watch.Course) watch.Thread {
		return watch.Thread{Receipt: watch.Receipt{Channel: "C024BE91L", TS: "1.2"}, Alert: a, Course: course}
	}
	open := thread(first, map[string]watch.Course{web.Key(): {Capacity: capacity(5), Since: at(4, 53), Later: watch.Counts{LeftRunning: 6}}})
	over := thread(first, map[string]watch.Course{web.Key(): {Capacity: capacity(12), Since: at(4, 53), Over: at(5, 5), Later: watch.Counts{Recovered: 1}}})
	two := thread(alerts()["six-on-two"], map[string]watch.Course{
		web.Key(): {Capacity: capacity(12), Since: at(4, 53), Over: at(5, 5), Later: watch.Counts{Recovered: 2}},
		api.Key(): {Capacity: watch.Capacity{Running: 6, Total: 8, Weight: 80, Serving: 60}, Since: at(4, 53)},
	})
	both := thread(alerts()["six-on-two"], map[string]watch.Course{
		web.Key(): {Capacity: capacity(12), Since: at(4, 53), Over: at(5, 5), Later: watch.Counts{Recovered: 2}},
		api.Key(): {Capacity: watch.Capacity{Running: 8, Total: 8, Weight: 80, Serving: 80}, Since: at(4, 53), Over: at(6, 0), Later: watch.Counts{Recovered: 1}},
	})
	worse := alert(news(web, 5, 12, left("web-01", "10.0.3.11", 9), left("web-02", "10.0.3.12", 9), left("web-03", "10.0.3.13", 9), left("web-04", "10.0.3.14", 9), left("web-05", "10.0.3.15", 9), left("web-06", "10.0.3.16", 9)))
	back := alert(news(web, 12, 12, recovered("web-07", "10.0.3.17", 4, &watch.Out{Since: at(4, 41)})))
	last := alert(news(api, 8, 8, recovered("api-02", "10.0.5.5", 5, &watch.Out{Since: at(3, 53)})))
	mention := Style{Mention: "S024BE7LH", MentionAt: 50}
	return map[string]Message{
		"thread-open":      ThreadMessage(open),
		"thread-resolved":  ThreadMessage(over),
		"thread-half-over": ThreadMessage(two),
		"thread-both-over": ThreadMessage(both),
		"reply-worse":      ReplyMessage(open, worse, mention),
		"reply-recovered":  ReplyMessage(over, back, mention),
		"reply-last":       ReplyMessage(both, last, mention),
		"mention":          AlertMessage(alerts()["none-running"], mention),
	}
}

// TestMessages compares messages with what people looked at and found good. See one as Slack shows it with the
// checker's --png; the .txt files are the plain form.
func TestMessages(t *testing.T) {
	t.Parallel()
	messages := map[string]Message{"test-message": testMessage(at(4, 53))}
	maps.Copy(messages, threads())
	for name, a := range alerts() {
		messages[name] = AlertMessage(a, Style{})
	}
	for name, a := range stories() {
		messages[name] = AlertMessage(a, Style{})
	}
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkMessage(t, m)
			golden(t, name+".golden.json", posted(t, m))
			golden(t, name+".golden.txt", []byte(m.Plain+"\n"))
		})
	}
}

// posted is the message as it goes over the wire, indented.
func posted(t *testing.T, m Message) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	w := m.webhook()
	if err := e.Encode(map[string]any{"text": w.Text, "blocks": w.Blocks, "attachments": w.Attachments}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestTitles(t *testing.T) {
	t.Parallel()
	all := alerts()
	maps.Copy(all, stories())
	for name, want := range map[string]string{
		"one-down":         "web-07 stopped running on prod-web: shut down (4), 11 of 12 running",
		"six-on-two":       "3 stopped running, 1 removed, 2 added on 2 load balancers",
		"removed":          "2 backends removed from prod-web, 9 left",
		"added":            "2 backends added to prod-web, 13 of 14 running",
		"replaced":         "2 backends replaced on prod-web, 11 of 12 running",
		"one-replaced":     "web-07 replaced on prod-web",
		"same-behind-3":    "2 backends stopped running on 3 load balancers",
		"one-behind-3":     "web-07 stopped running on 3 load balancers: being returned (6)",
		"out-and-back":     "web-07 was out for 5 min on prod-web, and is back, all 12 running",
		"weights":          "2 backends stopped running on prod-web, 9 of 12 running",
		"recovered":        "3 backends recovered on 2 load balancers",
		"none-running":     "1 stopped running, 1 removed on 2 load balancers, none running on prod-web",
		"emptied":          "web-07 removed from prod-web, no backends left",
		"two-dead":         "2 removed, 1 added on 3 load balancers, none running on 2 of them",
		"thousands":        "2160 stopped running, 2160 removed, 720 added on 120 load balancers, none running on prod-svc-000",
		"blind":            "Cannot read prod-web",
		"baseline-first":   "Now watching 40 load balancers: 470 of 480 backends running",
		"baseline-one-new": "Now watching search: 6 of 6 backends running",
	} {
		if p, _ := alertPage(all[name], true); p.title != want {
			t.Errorf("title of %s = %q, want %q", name, p.title, want)
		}
	}
}

func TestLooks(t *testing.T) {
	t.Parallel()
	looks := make(map[string]string)
	for _, all := range []map[string]watch.Alert{alerts(), stories()} {
		for name, a := range all {
			p, _ := alertPage(a, true)
			looks[name] = p.emoji
		}
	}
	for name, want := range map[string]string{
		"one-down":       "large_orange_circle",
		"emptied":        "red_circle",
		"two-dead":       "red_circle",
		"removed":        "large_yellow_circle",
		"blind":          "warning",
		"added":          "large_blue_circle",
		"recovered":      "large_green_circle",
		"baseline-first": "eyes",
	} {
		if got := looks[name]; got != want {
			t.Errorf("%s looks like %s, want %s", name, got, want)
		}
	}
}

func TestWhatCannotBeReadIsToldTogether(t *testing.T) {
	t.Parallel()
	failed := func(name string, since time.Time, do string) watch.Blind {
		b := blind()
		b.CLB, b.Since, b.Do = clb(name, "lb-"+name), since, do
		return b
	}
	m := AlertMessage(watch.Alert{To: at(4, 53), MoreBlind: 3, Blind: []watch.Blind{
		failed("a", at(4, 43), "wait"), failed("b", at(4, 40), "wait"), failed("c", at(4, 43), "hurry"), failed("d", at(4, 43), "wait")}}, Style{})
	_, got, _ := strings.Cut(m.Plain, "\n\n")
	want := strings.Join([]string{"• a, d  ·  cannot be read since 2026-11-23 04:43 UTC, ", "• b  lb-b  ·  cannot be read since 2026-11-23 04:40 UTC, ",
		"Describe", "• What it means  ", "• What to do  wait", "", "• c  lb-c  ·  cannot be read since 2026-11-23 04:43 UTC, ", "Describe", "• What to do  hurry", "",
		"• … and 3 more load balancers that cannot be read"}, "\n")
	var heads []string
	for i, l := range strings.Split(got, "\n") {
		if w := strings.Split(want, "\n"); i < len(w) && strings.HasPrefix(l, w[i]) {
			l = w[i]
		}
		heads = append(heads, l)
	}
	if got := strings.Join(heads, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestWhatIsCutIsCounted(t *testing.T) {
	t.Parallel()
	cut := alert(news(web, 3, 12, left("web-07", "10.0.3.17", 4), left("web-11", "10.0.3.121", 4)))
	cut.Pools[0].Counts = watch.Counts{LeftRunning: 9, Added: 2}
	cut.More = watch.More{CLBs: 2, Counts: watch.Counts{Removed: 5}}
	m := AlertMessage(cut, Style{})
	for _, want := range []string{"9 stopped running, 5 removed, 2 added on 3 load balancers", "… and 9 more changes", "… and 2 more load balancers with 5 changes"} {
		if !bytes.Contains(posted(t, m), []byte(want)) || !strings.Contains(m.Plain, want) {
			t.Errorf("the message does not say %q:\n%s", want, m.Plain)
		}
	}
	if m := AlertMessage(alerts()["thousands"], Style{}); !strings.Contains(m.Plain, "… and 105 more load balancers with 4410 changes") {
		t.Errorf("mass message:\n%s", m.Plain)
	}
}

func TestTablesFitAPhone(t *testing.T) {
	t.Parallel()
	m, base := crowd(20, watch.Counts{LeftRunning: 3, Removed: 2, Added: 1}), alerts()["baseline-first"]
	for i := range 16 {
		m.Pools[i].CLB.Label = "sixteen-cells-xx"
	}
	base.Baseline.Pools[0].CLB.Label = "sixteen-cells-xx"
	for _, got := range []string{AlertMessage(m, Style{}).Plain, AlertMessage(base, Style{}).Plain} {
		_, table, _ := strings.Cut(got, "\nload balancer")
		if !strings.Contains(table, "sixteen-cells-xx") {
			t.Errorf("no table in:\n%s", got)
		}
		for l := range strings.Lines(table) {
			if n := utf8.RuneCountInString(l); n > 37 && !strings.HasPrefix(l, "•") {
				t.Errorf("a line of %d cells: %s", n, l)
			}
		}
	}
}

func TestConsoleLink(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		clb  watch.CLB
		want string
	}{
		{web, "https://console.cloud.tencent.com/clb/detail?rid=1&id=lb-8a3k2m1q"},
		{watch.CLB{Region: "ap-tokyo", ID: "a&b=|> c"}, "https://console.cloud.tencent.com/clb/detail?rid=25&id=a%26b%3D%7C%3E+c"},
		{watch.CLB{Region: "mars", ID: "lb-1"}, "https://console.cloud.tencent.com/clb"},
	} {
		if got := consoleURL(tt.clb); got != tt.want {
			t.Errorf("consoleURL(%v) = %q, want %q", tt.clb, got, tt.want)
		}
	}
}

func TestInert(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"web_07 10.0.3.17: shut down (4)": "web_07 10.0.3.17: shut down (4)",
		"<!channel> & >":                  "&lt;!channel&gt; &amp; &gt;",
		"*b* _i_ ~s~ `c`":                 "＊b＊ ＿i＿ ～s～ ｀c｀",
		"04:53 12:345:67 5:10:20 1:2:33":  "04:53 12：345:67 5：10:20 1：2:33",
		":fire: :a:":                      "：fire: ：a:",
		"https://evil.example @here":      "https：//evil．example ＠here",
	} {
		if got := inert(in); got != want {
			t.Errorf("inert(%q) = %q, want %q", in, got, want)
		}
	}
}

// markup is what would mean something to Slack in mrkdwn; ours is taken out before.
var (
	ours   = regexp.MustCompile("<!date\\^-?[0-9]+\\^\\{date_short_pretty\\} \\{time\\}\\|[0-9: UTC-]+>|`[A-Za-z0-9-]+`|^:[a-z_]+: | <!subteam\\^S024BE7LH>\n?$")
	markup = regexp.MustCompile("[<>*~`@#]|&(?:[^alg]|$)|:[^ \n]+:|://|[^A-Za-z0-9]_|_[^A-Za-z0-9]|\\.[A-Za-z]")
)

func checkMrkdwn(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || s == "" {
		t.Fatalf("mrkdwn %q: empty or not UTF-8", s)
	}
	for l := range strings.Lines(s) {
		if found := markup.FindString(ours.ReplaceAllString(l, "")); found != "" {
			t.Fatalf("markup %q in %q", found, l)
		}
	}
}

// checkMessage holds what is true of every message, whatever it tells.
func checkMessage(t *testing.T, m Message) {
	t.Helper()
	type node = map[string]any
	raw, err := json.Marshal(m.webhook())
	if err != nil {
		t.Fatal(err)
	}
	var w struct {
		Text        string
		Blocks      []node
		Attachments []node
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"blocks": w.Blocks, "attachments": w.Attachments})
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > 11_000 || !m.fits() {
		t.Fatalf("blocks and attachments take %d bytes", len(body))
	}
	if n := len(w.Blocks) + len(w.Attachments[0]["blocks"].([]any)); n > 45 || len(w.Attachments) != 1 {
		t.Fatalf("%d blocks, %d attachments", n, len(w.Attachments))
	}
	for _, s := range []string{m.Text, m.Plain} {
		if len(s) == 0 || len(s) > 3800 {
			t.Fatalf("text of %d bytes: %q", len(s), s)
		}
		checkMrkdwn(t, s)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case node:
			switch v["type"] {
			case "rich_text", "rich_text_section", "rich_text_preformatted":
				if es, _ := v["elements"].([]any); len(es) == 0 {
					t.Fatalf("%v has no elements", v)
				}
			case "context", "emoji":
			case "date":
				checkLiteral(t, v["fallback"])
			case "link":
				if u, _ := v["url"].(string); !strings.HasPrefix(u, console) || len(u) > 3000 || strings.ContainsAny(u, "<>| \n") {
					t.Fatalf("link to %q", u)
				}
				checkLiteral(t, v["text"])
			case "text":
				checkLiteral(t, v["text"])
			case "usergroup":
				if v["usergroup_id"] != "S024BE7LH" {
					t.Fatalf("%v is mentioned", v)
				}
			case "mrkdwn":
				checkMrkdwn(t, v["text"].(string))
				if v["verbatim"] != true || len(v["text"].(string)) > 3000 {
					t.Fatalf("mrkdwn %v is not verbatim, or too long", v)
				}
			default:
				t.Fatalf("an element of type %v, which no message needs", v["type"])
			}
			walk(v["elements"])
		}
	}
	for _, b := range w.Blocks {
		walk(b)
	}
	walk(w.Attachments[0]["blocks"])
	for key := range w.Attachments[0] {
		if key != "color" && key != "fallback" && key != "blocks" {
			t.Fatalf("attachment has %q, which Slack refuses beside blocks", key)
		}
	}
}

func checkLiteral(t *testing.T, v any) {
	t.Helper()
	s, _ := v.(string)
	if s == "" {
		t.Fatal("an element without text")
	}
	for _, r := range s {
		if r != '\n' && !unicode.IsPrint(r) || r == utf8.RuneError {
			t.Fatalf("%U in %q", r, s)
		}
	}
}

func FuzzAlertMessage(f *testing.F) {
	f.Add("web-07", "prod-web", "LBNotFound: no such load balancer", uint8(3), uint8(2), uint8(1), 1, int64(1795409616))
	f.Add("<!channel> *b* `c` :fire: _x_", "<@U123|boss>", "a\nb\u2028c\u202e\U000e0041", uint8(60), uint8(15), uint8(0), 1<<40, int64(0))
	f.Add(strings.Repeat("<", 4000), strings.Repeat("&", 4000), strings.Repeat("🔥", 4000), uint8(255), uint8(255), uint8(255), 1<<62, int64(-1<<40))
	f.Add(strings.Repeat("數", 60), strings.Repeat("_", 60), strings.Repeat(">", 60), uint8(20), uint8(14), uint8(60), -5, int64(1)<<50)
	f.Add("", "\u200b", "\xff\xfe", uint8(1), uint8(1), uint8(1), 0, int64(1))
	f.Fuzz(func(t *testing.T, name, label, why string, changes, pools, others uint8, n int, unix int64) {
		now, status := time.Unix(unix, 0), watch.Status(n)
		n = max(n, 0) // counts
		a := watch.Alert{ID: name, From: now.Add(-time.Duration(others) * time.Minute), To: now, MoreBlind: n, MoreSighted: n, More: watch.More{CLBs: n, Counts: watch.Counts{Removed: n}}}
		b := &watch.Baseline{CLBs: n, Backends: n, Running: n}
		for i := range int(pools) {
			c := watch.CLB{Region: []string{"ap-guangzhou", label, name}[i%3], ID: fmt.Sprint(label, i), Label: []string{name, label, ""}[i%3]}
			p := watch.PoolNews{CLB: c, Capacity: watch.Capacity{Running: n, Total: n, Weight: n, Serving: n / 2}, Before: &watch.Capacity{Running: 1, Total: n, Weight: n, Serving: n}, Out: n, Counts: watch.Counts{LeftRunning: int(changes), Recovered: n / 3}}
			for j := range int(changes) / max(int(pools)/8, 1) {
				ch := watch.Change{Kind: []watch.Kind{watch.LeftRunning, watch.Removed, watch.Added, watch.Recovered}[j%4], At: now, Was: status,
					Backend: watch.Backend{ID: []string{why, fmt.Sprint(why, j), fmt.Sprint(i, j)}[int(others)%3], Name: []string{name, fmt.Sprint(j, name)}[int(pools)%2], LanIP: label, WanIPs: []string{why}, Status: status}}
				if j%3 == 0 {
					ch.After, ch.Out = now.Add(-time.Hour), &watch.Out{Since: now.Add(-time.Duration(n)), AtLeast: j%2 == 0}
				}
				p.Changes = append(p.Changes, ch)
			}
			a.Pools, b.Pools = append(a.Pools, p), append(b.Pools, p)
		}
		for i := range int(others) {
			c := watch.CLB{Region: label, ID: fmt.Sprint(i, name), Label: label}
			a.Blind = append(a.Blind, watch.Blind{CLB: c, Since: now, LastGood: now, Ticks: n, Why: fmt.Sprint(i%4, why), Do: name})
			a.Sighted = append(a.Sighted, watch.Sighted{CLB: c, LastGood: now, Since: now, At: now, Changes: n})
		}
		all := a // with a baseline
		all.Baseline = b
		parts := []watch.Alert{a, all, {Blind: a.Blind}, {Sighted: a.Sighted}, {Baseline: b}, {Pools: a.Pools[:min(1, len(a.Pools))]}, {Pools: a.Pools}}
		if part := parts[(int(changes)+int(others))%len(parts)]; !part.Empty() {
			checkMessage(t, AlertMessage(part, Style{Mention: "S024BE7LH", MentionAt: 1}))
			course := make(map[string]watch.Course)
			for i, p := range part.Pools {
				c := watch.Course{Capacity: p.Capacity, Since: now.Add(-time.Duration(n)), Later: p.Counts}
				if (i+int(others))%3 > 0 {
					c.Over = now
				}
				course[p.CLB.Key()] = c
			}
			thread := watch.Thread{Alert: part, Course: course}
			checkMessage(t, ThreadMessage(thread))
			checkMessage(t, ReplyMessage(thread, part, Style{Mention: "S024BE7LH", MentionAt: 1}))
		}
	})
}

func ExampleAlertMessage() {
	m := AlertMessage(watch.Alert{
		ID: "1042-k3q9x-0", From: at(4, 53), To: at(4, 53),
		Pools: []watch.PoolNews{{
			CLB: web, Counts: watch.Counts{LeftRunning: 1}, Capacity: watch.Capacity{Running: 11, Total: 12},
			Changes: []watch.Change{left("web-07 <!channel>", "10.0.3.17", 4)},
		}},
	}, Style{})
	fmt.Println(m.Text)
	// Output: :large_orange_circle: web-07 &lt;!channel&gt; stopped running on prod-web: shut down (4), 11 of 12 running
}
