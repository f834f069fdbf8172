package message_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
	"clbwatch/notifier/message"
)

func at(hour, minute int) time.Time { return time.Date(2026, 11, 23, hour, minute, 36, 0, time.UTC) }

func clb(label, id string) lb.CLB { return lb.CLB{Region: "ap-guangzhou", ID: id, Label: label} }

var (
	web  = clb("prod-web", "lb-8a3k2m1q")
	api  = clb("prod-api", "lb-c4r9t0zw")
	shop = lb.CLB{Region: "ap-guangzhou", ID: "lb-k7d0w2pe", Title: "prod-shop"} // discovered
)

// member is backend j of load balancer i.
func member(i, j int) lb.Backend {
	return lb.Backend{ID: fmt.Sprintf("ins-%04d%04d", i, j), Name: fmt.Sprintf("svc-%02d-%02d", i, j),
		Status: lb.Running, Weight: 10, LanIP: fmt.Sprintf("10.0.%d.%d", i, j+9)}
}

// standing is load balancer c with so many backends, of which the first do not run.
func standing(c lb.CLB, i, total, out int) watch.Standing {
	s := watch.Standing{CLB: c, Capacity: lb.Capacity{Total: total, Running: total - out, Weight: 10 * total,
		Serving: 10 * (total - out)}}
	for j := range total {
		b := member(i, j)
		if j < out {
			b.Status = []lb.Status{4, 4, 7}[j%3]
			s.Backends = append(s.Backends, b)
			b.Out = &lb.Out{Since: at(4, 41).Add(-time.Duration(i*j) * time.Hour)}
			s.NotRunning = append(s.NotRunning, b)
			continue
		}
		s.Backends = append(s.Backends, b)
	}
	return s
}

// crew is n load balancers with so many backends; out says how many of each do not run.
func crew(n, backends int, out func(i int) int) []watch.Standing {
	names := []string{"prod-web", "prod-api", "batch", "admin", "search", "auth", "payments",
		"media-transcoding", "gateway", "internal", "staging-web", "staging-api"}
	var all []watch.Standing
	for i := range n {
		name := fmt.Sprintf("%s-%02d", names[i%len(names)], i)
		if n <= len(names) {
			name = names[i]
		}
		total := backends / n
		if i < backends%n {
			total++
		}
		all = append(all, standing(clb(name, fmt.Sprintf("lb-00ab%04d", i)), i, total, min(out(i), total)))
	}
	return all
}

func past(c lb.CLB, when time.Time, k lb.Kind, name string) incident.Record {
	return pastOf(c, when, incident.Past{Kind: k, ID: "ins-" + name, Name: name, Is: lb.Running})
}

func pastOf(c lb.CLB, when time.Time, p incident.Past) incident.Record {
	return incident.Record{At: when, CLB: c, Change: &p}
}

// surveyed is a survey whose history has these lines.
func surveyed(log []incident.Record, all ...watch.Standing) watch.Survey {
	slices.SortStableFunc(log, func(a, b incident.Record) int { return a.At.Compare(b.At) })
	p, _ := incident.PeriodOf(time.Time{}, func(yield func(incident.Record, error) bool) {
		for _, rec := range log {
			if !yield(rec, nil) {
				return
			}
		}
	})
	return watch.Survey{Standings: all, Known: true, Past: p,
		Timeline: watchtest.Course(at(4, 53), 24*time.Hour, log, all...)}
}

func small() watch.Standing {
	s := standing(web, 3, 12, 2)
	s.NotRunning[0].Name, s.NotRunning[0].Out = "web-07", &lb.Out{Since: at(4, 41)}
	s.NotRunning[1].Name, s.NotRunning[1].Status, s.NotRunning[1].Out = "数据库-11", 9,
		&lb.Out{Since: at(4, 53).Add(-72 * time.Hour), AtLeast: true}
	return s
}

// application is load balancer c with so many backends bound to listeners, of which the first fail a check.
func application(c lb.CLB, i, total, ill int) watch.Standing {
	s := standing(c, i, total, 0)
	s.Kind, s.Capacity.Ill, s.Serving = lb.Application, ill, s.Serving-10*ill
	for j := range s.Backends {
		b := &s.Backends[j]
		b.Bindings, b.Checked = []lb.Binding{{Listener: "HTTP:80", Rule: "shop.example.com/", Port: 8080},
			{Listener: "HTTPS:443", Rule: "shop.example.com/", Port: 8080},
			{Listener: "HTTPS:443", Rule: "shop.example.com/api", Port: 8080}}, 2
		if j < ill {
			b.Failing = []string{"HTTP:80 shop.example.com/ → 8080"}
			out := *b
			out.Ill = &lb.Out{Since: at(4, 41)}
			s.Ill = append(s.Ill, out)
		}
	}
	last := &s.Backends[total-1]
	last.ID, last.Name, last.Type, last.Bindings = "eni-4f0w8", "", "ENI", last.Bindings[:1]
	return s
}

// history is what ticks found on two load balancers in the last day.
func history(web, api lb.CLB) []incident.Record {
	return []incident.Record{
		past(web, at(22, 50).AddDate(0, 0, -1), lb.LeftRunning, "web-02"), past(web, at(23, 58).AddDate(0, 0, -1),
			lb.Recovered, "web-02"),
		past(api, at(1, 10), lb.Removed, "api-03"), past(api, at(1, 12), lb.Removed, "api-04"),
		past(web, at(2, 30), lb.Added, "web-14"),
		pastOf(api, at(1, 14), incident.Past{Kind: lb.Added, ID: "ins-new", Name: "api-04", Is: lb.Running}),
		past(web, at(3, 0), lb.LeftRunning, "web-03"), past(web, at(3, 1), lb.Recovered, "web-03"),
		past(web, at(3, 2), lb.LeftRunning, "web-03"), past(web, at(3, 4), lb.Recovered, "web-03"),
		pastOf(web, at(4, 41), incident.Past{Kind: lb.LeftRunning, ID: small().NotRunning[0].ID, Name: "web-07",
			Is: 4}),
	}
}

// tales are reports that people may get.
func tales() map[string]report.Report {
	tell := func(found watch.Survey, err error) report.Report {
		return report.New(at(4, 53), 2100*time.Millisecond, found, 24*time.Hour, err)
	}
	one := func(i int) int { return map[int]int{0: 2, 1: 1, 2: 1}[i] }
	some := func(i int) int { return map[int]int{3: 40, 7: 100, 11: 3, 20: 1}[i] }
	twelve := crew(12, 200, one)
	dead, idle, empty := standing(api, 1, 2, 2), standing(clb("old-site", "lb-0ld"), 2, 4, 0),
		watch.Standing{CLB: clb("备用负载均衡", "lb-byhpduqt")}
	idle.Weight, idle.Serving = 0, 0
	for i := range idle.Backends {
		idle.Backends[i].Weight = 0
	}
	unread := watch.Standing{CLB: clb("batch", "lb-77aa00bb"),
		Err: advice.Add(errors.New("LBNotFound (4000): load balancer not exist\nrequest 7f0c"),
			"check the id and its region in CLB_IDS")}
	slow := unread
	slow.CLB, slow.Err = clb("search", "lb-1qaz2wsx"), errors.New("dial tcp 10.0.0.1:443: i/o timeout")

	log := history(web, api)
	var rolling []incident.Record // a restart of everything, one by one
	for i, s := range twelve[:4] {
		for j := range s.Backends[:12] {
			rolling = append(rolling, past(s.CLB, at(3, 2*j), lb.LeftRunning, fmt.Sprint(i, j)),
				past(s.CLB, at(3, 2*j+1), lb.Recovered, fmt.Sprint(i, j)))
		}
	}

	fresh := application(shop, 0, 3, 1)
	fresh.Ill[0].Ill = nil
	mixed := []watch.Standing{standing(web, 3, 12, 1), application(shop, 0, 6, 3),
		application(lb.CLB{Region: "ap-guangzhou", ID: "lb-5zz1", Title: "prod-blog"}, 1, 3, 0)}
	many := mixed[1]
	many.Ill = slices.Clone(many.Ill)
	many.Ill[1].Failing, many.Ill[1].Ill = append(many.Ill[1].Failing, "TCP:22 → 22"),
		&lb.Out{Since: at(1, 0).AddDate(0, 0, -1), AtLeast: true}
	mixed[1] = many
	deaf := application(shop, 0, 3, 0)
	deaf.HealthErr = advice.Add(errors.New("DescribeTargetHealth: UnauthorizedOperation"),
		"grant the role clb:DescribeTargetHealth")
	region := watch.Standing{CLB: lb.CLB{Region: "ap-guangzhou", ID: "ap-guangzhou/prod-*"},
		Err: advice.Add(errors.New("DescribeLoadBalancers: UnauthorizedOperation"),
			"grant the role clb:DescribeLoadBalancers")}
	partLog := []incident.Record{
		past(shop, at(3, 0), lb.Unbound, "web-02"), past(shop, at(3, 0), lb.Bound, "web-02"),
		past(shop, at(3, 5), lb.Unhealthy, "web-03"),
		past(shop, at(3, 9), lb.Healthy, "web-03"), past(shop, at(4, 0), lb.Unbound, "web-04"), pastOf(shop,
			at(4, 41), incident.Past{Kind: lb.Unhealthy, ID: fresh.Ill[0].ID, Name: fresh.Ill[0].Name,
				Is: lb.Running}),
	}

	return map[string]report.Report{
		"report-application": tell(surveyed(partLog, fresh), nil),
		"report-mixed":       tell(surveyed(partLog, mixed...), nil),
		"report-health":      tell(surveyed(nil, deaf, standing(web, 3, 12, 0)), nil),
		"report-region": tell(surveyed(nil, application(shop, 0, 3, 0), standing(web, 3, 12, 0), region),
			nil),
		"report-only-region":  tell(surveyed(nil, region), nil),
		"report-nothing":      tell(surveyed(nil), nil),
		"report-single":       tell(surveyed(nil, small()), nil),
		"report-well":         tell(surveyed(nil, standing(web, 3, 12, 0), standing(api, 1, 8, 0)), nil),
		"report-none-running": tell(surveyed(nil, standing(web, 3, 12, 0), dead, idle, empty), nil),
		"report-empty":        tell(surveyed(nil, empty), nil),
		"report-unread": tell(surveyed(nil, standing(web, 3, 12, 1), unread, slow,
			watch.Standing{CLB: clb("auth", "lb-aa"), Err: slow.Err}), nil),
		"report-broken-state": tell(watch.Survey{Standings: []watch.Standing{small()}},
			errors.New("load state: open head-42.json: permission denied")),
		"report-no-tick":       tell(watch.Survey{Standings: []watch.Standing{small()}}, nil),
		"report-changes":       tell(surveyed(log, small(), standing(api, 1, 8, 0)), nil),
		"report-restarts":      tell(surveyed(rolling, twelve...), nil),
		"report-200":           tell(surveyed(history(twelve[0].CLB, twelve[1].CLB), twelve...), nil),
		"report-thousands":     tell(surveyed(rolling, crew(50, 5000, some)...), nil),
		"report-silences":      tell(silenced(surveyed(log, small(), standing(api, 1, 8, 0))), nil),
		"report-unlisted":      tell(unlisted(surveyed(nil, small())), nil),
		"report-hostile":       hostileReport(),
		"report-hostile-parts": hostileApplication(),
	}
}

// silenced is a survey with what is silenced, and with an incident that is open.
func silenced(found watch.Survey) watch.Survey {
	found.Silences = []incident.Silence{
		{ID: "7", What: "prod-*", Until: at(14, 0), By: "ada", Why: "deploy 4711"},
		{ID: "8", Incident: "12", Until: at(4, 42).AddDate(0, 0, 1), By: "U0123ABCD"},
		{ID: "9", What: "*", Until: at(5, 30), By: "U0123ABCD", Why: "move to another zone", All: true},
		{ID: "window 2", What: "batch-*", Until: at(6, 0)},
	}
	found.Open = []incident.Document{{Root: &incident.Root{Incidents: []*incident.Incident{{ID: "12",
		Key: web.Key(), Label: web.Label, Level: incident.Impaired, Began: at(4, 41),
		Now: found.Standings[0].Capacity}}}}}
	return found
}

// unlisted is a survey whose silences could not be listed, but for a window of the settings.
func unlisted(found watch.Survey) watch.Survey {
	found.Silences = []incident.Silence{{ID: "window 1", What: "batch-*", Until: at(6, 0), Why: "nightly"}}
	found.SilencesErr = errors.New("list the silences: COS answers 503")
	return found
}

func hostileReport() report.Report {
	c := clb("prod-api <!channel> & `x` *b*", "lb-c4r9t0zw")
	s := watch.Standing{CLB: c, Capacity: lb.Capacity{Total: 20, Running: 12, Weight: 100, Serving: 60}}
	var log []incident.Record
	for i, name := range []string{"<!channel>", "<@U123|boss>", "web\nremoved  web-01  10.0.0.1",
		"```code``` :fire: _i_ ~s~", "\u202egnp.exe\u2066 \u200bx\U000e0041",
		"🔥 on fire 🧯", strings.Repeat("数据库服务器", 10), "https://evil.example/ <https://evil.example|Console>"} {
		b := lb.Backend{ID: fmt.Sprint("ins-", i), Name: name, LanIP: "10.0.3.17 <!here>",
			Status: lb.Status(4 + i%2*95), Weight: 5}
		s.NotRunning, s.Backends = append(s.NotRunning, b),
			append(s.Backends, b, lb.Backend{ID: name, Status: lb.Running})
		log = append(log, past(c, at(4, i), lb.LeftRunning, name))
	}
	unread := watch.Standing{CLB: clb("<!here>", "`lb`"),
		Err: advice.Add(errors.New("<!channel> \x1b[2J:fire: x"), "click <https://evil.example|here>")}
	found := surveyed(log, s, unread)
	for _, text := range []string{"<!channel>", "<@U0123ABCD>", "U0123ABCD\n", "U0123ABCD>", "WALTERSMITH",
		":fire: *b* `c` \u202ex https://evil.example"} {
		found.Silences = append(found.Silences, incident.Silence{ID: "7", What: text, Why: text, By: text,
			Until: at(6, 0), All: true})
	}
	return report.New(at(4, 53), 0, found, 24*time.Hour, errors.New("<!everyone>\n\x1b[2J *x*"))
}

func hostileApplication() report.Report {
	c := lb.CLB{Region: "ap-guangzhou", ID: "lb-k7d0w2pe", Title: "shop <!channel> & `x` *b*\nprod-web"}
	b := lb.Backend{ID: "ins-9", Name: "<!channel>", Type: "<!here>", Status: lb.Running,
		Failing: []string{"HTTP:80 <!channel> *b* \u202e\n → 80"}}
	s := watch.Standing{CLB: c, Kind: "<!here> *b*", Capacity: lb.Capacity{Total: 1, Running: 1, Ill: 1},
		Ill: []lb.Backend{b}, Backends: []lb.Backend{b}, HealthErr: errors.New("<!channel> \x1b[2J")}
	region := watch.Standing{CLB: lb.CLB{Region: "<!here>", ID: "<!here>/*<@U1>*"},
		Err: errors.New("<!channel>")}
	return report.New(at(4, 53), 0, surveyed(nil, s, region), 24*time.Hour, nil)
}

// TestReports compares reports with what people looked at and found good: the message, and the pages of its
// thread.
func TestReports(t *testing.T) {
	t.Parallel()
	for name, r := range tales() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkReport(t, r)
			m := message.Report(r, message.Style{})
			checkMessage(t, m)
			golden(t, name+".golden.json", wire(t, m))
			golden(t, name+".golden.txt", []byte(m.Plain+"\n"))
			for i, m := range message.ReportPages(r, message.Style{}) {
				checkPage(t, m)
				golden(t, fmt.Sprintf("%s-page-%d.golden.json", name, i+1), wire(t, m))
			}
		})
	}
}

// texts are all texts of a message, the attachment's first.
func texts(t *testing.T, m message.Message) (lines []string, bytes int) {
	t.Helper()
	raw, err := json.Marshal([]any{m.Attachment.Blocks, m.Blocks})
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`"text":("(?:[^"\\]|\\.)*")`).FindAllSubmatch(raw, -1) {
		var s string
		if err := json.Unmarshal(found[1], &s); err != nil {
			t.Fatal(err)
		}
		lines, bytes = append(lines, strings.Split(s, "\n")...), bytes+len(s)
	}
	return lines, bytes
}

func checkPage(t *testing.T, m message.Message) {
	t.Helper()
	checkMessage(t, m)
	if lines, bytes := texts(t, m); bytes > 8000 || len(lines) > 116 {
		t.Fatalf("a page of %d bytes and %d lines", bytes, len(lines))
	}
}

func TestReportLooks(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"report-none-running": "red_circle",
		"report-thousands":    "red_circle",
		"report-unread":       "warning",
		"report-application":  "large_orange_circle",
		"report-health":       "warning",
		"report-region":       "warning",
		"report-nothing":      "large_yellow_circle",
		"report-broken-state": "warning",
		"report-single":       "large_orange_circle",
		"report-empty":        "large_yellow_circle",
		"report-200":          "large_orange_circle",
		"report-well":         "large_green_circle",
	} {
		if _, got, _ := strings.Cut(strings.Split(message.Report(tales()[name], message.Style{}).Text, ": ")[0],
			":"); got != want {
			t.Errorf("%s looks like %s, want %s", name, got, want)
		}
	}
}

func TestPagesListEveryBackendOnce(t *testing.T) {
	t.Parallel()
	pages := message.ReportPages(tales()["report-200"], message.Style{})
	if len(pages) != 2 {
		t.Fatalf("%d pages, want 2", len(pages))
	}
	var all []string
	for i, m := range pages {
		if want := fmt.Sprintf(":clipboard: Backends of 12 load balancers, page %d of 2", i+1); m.Text != want {
			t.Errorf("page %d is called %q, want %q", i+1, m.Text, want)
		}
		lines, _ := texts(t, m)
		all = append(all, lines...)
	}
	listed := make(map[string]int)
	running := 0
	for _, l := range all {
		if f := strings.Fields(l); len(f) > 3 && strings.HasPrefix(f[1], "10.0.") {
			listed[f[0]]++
			if strings.HasSuffix(l, "10  running") {
				running++
			}
		}
	}
	if len(listed) != 200 || running != 196 {
		t.Errorf("%d backends are listed, %d as running with weight 10, want 200 and 196", len(listed), running)
	}
	for name, n := range listed {
		if n != 1 {
			t.Errorf("%s is listed %d times", name, n)
		}
	}
	if all[0] != "prod-web  15/17  █████████░  88 %" ||
		!strings.Contains(all[1], "svc-00-00  10.0.0.9    10  shut down") {
		t.Errorf("the first page begins with %q, want the worst load balancer, and what does not run on it",
			all[:2])
	}
	if i := slices.IndexFunc(all, func(l string) bool { return strings.HasSuffix(l, "(continued)") }); i < 0 ||
		!strings.HasPrefix(all[i+1], "  svc-") {
		t.Error("no page goes on with what the one before broke off")
	}
}

func TestPagesCountWhatIsLeft(t *testing.T) {
	t.Parallel()
	r := tales()["report-thousands"]
	pages := message.ReportPages(r, message.Style{})
	if len(pages) != 5 {
		t.Fatalf("%d pages, want 5", len(pages))
	}
	listed, left := 0, ""
	for i, m := range pages {
		lines, _ := texts(t, m)
		for _, l := range lines {
			if strings.HasPrefix(l, "  ") && strings.Contains(l, "10.0.") {
				listed++
			}
			if strings.HasPrefix(l, "… and") {
				left += fmt.Sprintf("%d: %s", i+1, l)
			}
		}
	}
	// Five hundred and some rows: five load balancers, and some of the sixth.
	if want := fmt.Sprintf("5: … and %d more backends on 45 load balancers", 5000-listed); listed < 530 ||
		left != want {
		t.Errorf("%d backends are listed, and the pages say %q, want %q", listed, left, want)
	}
}

func TestPagesOfMoreThanWasListed(t *testing.T) {
	t.Parallel()
	s := standing(web, 0, 40, 2)
	s.Backends, s.Total = s.Backends[:30], 1500
	pages := message.ReportPages(report.New(at(4, 53), 0, surveyed(nil, s), 24*time.Hour, nil), message.Style{})
	if len(pages) != 1 {
		t.Fatalf("%d pages, want 1", len(pages))
	}
	lines, _ := texts(t, pages[0])
	if want := "… and 1470 more backends on 1 load balancer"; !slices.Contains(lines, want) ||
		!strings.Contains(pages[0].Text, "Backends of prod-web") {
		t.Errorf("the page does not say %q:\n%s", want, strings.Join(lines, "\n"))
	}
}

func TestNoPagesForWhatTheMessageTells(t *testing.T) {
	t.Parallel()
	many := standing(web, 0, 16, 0)
	for name, tt := range map[string]struct {
		report report.Report
		pages  int
		names  bool
	}{
		"a few backends":      {tales()["report-single"], 0, true},
		"too many to name":    {report.New(at(4, 53), 0, surveyed(nil, many), 24*time.Hour, nil), 1, false},
		"two load balancers":  {tales()["report-well"], 1, false},
		"no backends":         {tales()["report-empty"], 0, false},
		"none that are known": {report.Report{Pools: []report.Pool{{Backends: 3, Running: 3}}}, 1, false},
		"nothing can be read": {report.Report{Pools: []report.Pool{{Err: "timeout"}, {Err: "timeout"}}}, 0, false},
	} {
		if got := len(message.ReportPages(tt.report, message.Style{})); got != tt.pages {
			t.Errorf("%s: %d pages, want %d", name, got, tt.pages)
		}
		if got := strings.Contains(message.Report(tt.report, message.Style{}).Plain, "Running ("); got != tt.names {
			t.Errorf("%s: the message names what runs: %v, want %v", name, got, tt.names)
		}
	}
	m := message.Report(tales()["report-single"], message.Style{}).Plain
	for _, b := range small().Backends[2:] {
		if !strings.Contains(m, b.Name) {
			t.Errorf("the message does not name %s:\n%s", b.Name, m)
		}
	}
}

func TestReportSays(t *testing.T) {
	t.Parallel()
	for name, wants := range map[string][]string{
		"report-single": {"prod-web  lb-8a3k2m1q  ·  10 of 12 running  ·  ████████░░  83 % of weight",
			"Not running (2)\nshut down (4)\n  web-07     10.0.3.9   for 12 min\n",
			"shutting down (9)\n  数据库-11  10.0.3.10  over 3 d\n", "Nothing changed in the last 24 h"},
		"report-application": {"prod-shop  lb-k7d0w2pe  ·  application  ·  3 of 3 running, 1 unhealthy  ·  " +
			"███████░░░  66 % of weight", "• Unhealthy (1)\n• fails 1 of 2 checks (HTTP:80 shop．example．com/ → " +
			"8080)\n  svc-00-00  10.0.0.9  seen just now\n",
			"Running (3)  svc-00-00 (unhealthy), eni-4f0w8 (ENI), svc-00-01", "web-02  bound to other listeners",
			"web-03  out 2026-11-23 03:05 UTC – 03:09 UTC, back", "web-04  partly unbound",
			"svc-00-00  unhealthy since"},
		"report-mixed": {"20 of 21 backends running on 3 load balancers, 3 unhealthy",
			"→ 8080)\n  svc-00-00  10.0.0.9   for 12 min\n  svc-00-02  10.0.0.11  for 12 min\n• prod-shop: fails " +
				"both checks (HTTP:80 shop．example．com/ → 8080, TCP:22 → 22)\n  svc-00-01  10.0.0.10  over 27 h",
			"6/6  prod-shop  3 unhealthy\n"},
		"report-health": {"cannot read the health of prod-shop",
			"prod-shop  lb-k7d0w2pe  ·  health cannot be read\n"},
		"report-region": {"cannot list the load balancers of ap-guangzhou/prod-＊",
			"load balancers cannot be listed\n"},
		"report-well": {"20 of 20 backends running on 2 load balancers",
			"██████████ 100 %  12/12  prod-web", "Nothing changed in the last 24 h"},
		"report-none-running": {"none on prod-api",
			"░░░░░░░░░░   0 %    0/2  prod-api\nno backends         0/0  备用负载均衡\n██████████ 100 %  12/12  " +
				"prod-web\ndrained             4/4  old-site\n"},
		"report-empty": {"备用负载均衡 has no backends", "lb-byhpduqt  ·  no backends"},
		"report-unread": {"search, auth  ·  cannot be read\ndial tcp",
			"batch  lb-77aa00bb  ·  cannot be read\nLBNotFound (4000)： load balancer not exist request 7f0c\n• What " +
				"to do  check the id"},
		"report-broken-state": {"Note  The state cannot be read"},
		"report-silences": {"\n\n• Silences (4)\n• silence 7  prod-＊  until 2026-11-23 14:00 UTC  by ada: deploy 4711\n" +
			"• silence 8  incident 12  until 2026-11-24 04:42 UTC  by <@U0123ABCD>\n" +
			"• silence 9  ＊ (all)  until 2026-11-23 05:30 UTC  by <@U0123ABCD>: move to another zone\n" +
			"• window 2  batch-＊  until 2026-11-23 06:00 UTC\n\n" +
			"• Open incidents (1)\n• incident 12  prod-web  impaired, 10 of 12 running since " +
			"2026-11-23 04:41 UTC\n\n• Not running"},
		"report-unlisted": {"Note  The silences cannot be listed, so some may be missing here: list the silences",
			"• Silences (1)\n• window 1  batch-＊  until 2026-11-23 06:00 UTC: nightly\n"},
		"report-no-tick": {"What changed is not known: no tick has run yet"},
		"report-changes": {"• Changed in the last 24 h\n• prod-web  web-07  out since 2026-11-23 04:41 UTC\n" +
			"• prod-web  web-14  added 2026-11-23 02:30 UTC\n" +
			"• prod-web  web-02  out 2026-11-22 22:50 UTC – 23:58 UTC, back\n" +
			"• prod-web  web-03  out 2 times, last 2026-11-23 03:02 UTC – 03:04 UTC, back\n" +
			"• prod-api  api-03  removed 2026-11-23 01:10 UTC\n• prod-api  api-04  replaced 2026-11-23 01:14 UTC"},
		"report-restarts":  {"• prod-web  12 stopped running, 12 recovered\n"},
		"report-thousands": {"… and 130 more not running", "… and 35 more load balancers, all running"},
	} {
		got := strings.ReplaceAll(message.Report(tales()[name], message.Style{}).Plain, "：", ":")
		for _, want := range wants {
			if want = strings.ReplaceAll(want, "：", ":"); !strings.Contains(got, want) {
				t.Errorf("%s does not say\n%s\nbut\n%s", name, want, got)
			}
		}
	}
	if got := message.Report(report.New(at(4, 53), 0, surveyed(history(web, api), small()), 24*time.Hour, nil),
		message.Style{}).Plain; !strings.Contains(got, "\n• web-14  added 2026-11-23 02:30 UTC\n") {
		t.Errorf("of a single load balancer, each line names it again:\n%s", got)
	}
	alone := tales()["report-unread"]
	alone.Pools = alone.Pools[1:2]
	if got := message.Report(alone, message.Style{}).Plain; strings.Count(got, "cannot be read") != 1 ||
		!strings.Contains(got, "Cannot read batch") {
		t.Errorf("a single load balancer that cannot be read is told of like this:\n%s", got)
	}
	fresh := small()
	fresh.NotRunning[0].Out = nil
	if m := message.Report(report.New(at(4, 53), 0, surveyed(nil, fresh), 24*time.Hour, nil),
		message.Style{}).Plain; !strings.Contains(m, "web-07     10.0.3.9   seen just now\n") {
		t.Errorf("what no tick has seen yet is not told as new:\n%s", m)
	}
	if m := message.Report(report.New(at(4, 53), 0, watch.Survey{Standings: []watch.Standing{fresh}},
		24*time.Hour, nil), message.Style{}).Plain; !strings.Contains(m, "web-07     10.0.3.9\n") {
		t.Errorf("without state it is told as new:\n%s", m)
	}
	fresh.NotRunning[1].Out = &lb.Out{Since: at(4, 53), AtLeast: true}
	if m := message.Report(report.New(at(4, 53), 0, surveyed(nil, fresh), 24*time.Hour, nil),
		message.Style{}).Plain; !strings.Contains(m, "10.0.3.10  for less than 1 min\n") {
		t.Errorf("what was first seen just now:\n%s", m)
	}
}

func TestWhatCannotBeReadIsGrouped(t *testing.T) {
	t.Parallel()
	unread := func(n int, why, do string) (all []watch.Standing) {
		for i := range n {
			all = append(all, watch.Standing{CLB: clb(fmt.Sprint(why, i), fmt.Sprint("lb-", i)),
				Err: advice.Add(errors.New(why), do)})
		}
		return all
	}
	tell := func(all ...[]watch.Standing) string {
		return message.Report(report.New(at(4, 53), 0, surveyed(nil, slices.Concat(all...)...), 24*time.Hour, nil),
			message.Style{}).Plain
	}
	for _, tt := range []struct{ got, want string }{
		{tell(unread(6, "a", "x")), "• a0, a1, a2, a3, a4, a5  ·  cannot be read\na\n• What to do  x\n"},
		{tell(unread(7, "a", "x")), "• a0, a1, a2, a3, a4, a5 and 1 more  ·  cannot be read\na\n"},
		{tell(unread(1, "a", "x"), unread(1, "a", "y")),
			"• a0  lb-0  ·  cannot be read\na\n• What to do  x\n\n• a0  lb-0  ·  cannot be read\na\n• What to do  y\n"},
		{tell(unread(1, "a", "x"), []watch.Standing{{CLB: clb("c", "lb-1"),
			HealthErr: advice.Add(errors.New("a"), "x")}}),
			"• a0  lb-0  ·  cannot be read\na\n• What to do  x\n\n• c  lb-1  ·  health cannot be read\na\n• What to " +
				"do  x\n"},
		{tell(unread(1, "a", "x"), unread(1, "b", "x")),
			"• a0  lb-0  ·  cannot be read\na\n• What to do  x\n\n• b0  lb-0  ·  cannot be read\nb\n• What to do  x\n"},
		{tell(unread(2, "a", ""), unread(2, "b", ""), unread(2, "c", ""), unread(2, "d", ""), unread(2, "e", ""),
			unread(2, "f", ""), unread(1, "g", "")),
			"• f0, f1  ·  cannot be read\nf\n\n• … and 1 more load balancer that cannot be read\n"},
	} {
		if !strings.Contains(tt.got, tt.want) {
			t.Errorf("the message does not say\n%s\nbut\n%s", tt.want, tt.got)
		}
	}
}

func TestWhatTheTableLeavesOutIsNotSaidToRun(t *testing.T) {
	t.Parallel()
	m := message.Report(report.New(at(4, 53), 0, surveyed(nil, crew(16, 160, func(int) int { return 1 })...),
		24*time.Hour, nil), message.Style{}).Plain
	if !strings.Contains(m, "… and 1 more load balancer\n") {
		t.Errorf("of the last one a backend does not run:\n%s", m)
	}
}

func TestPagesAreShort(t *testing.T) {
	t.Parallel()
	for what, address := range map[string]string{"wide": strings.Repeat("数", 48),
		"escaped": strings.Repeat("<", 48)} {
		s := standing(web, 0, 300, 0)
		for i := range s.Backends {
			s.Backends[i].LanIP = address
		}
		pages := message.ReportPages(report.New(at(4, 53), 0, surveyed(nil, s), 24*time.Hour, nil), message.Style{})
		if len(pages) != 5 {
			t.Errorf("%s: %d pages, want 5", what, len(pages))
		}
		for _, m := range pages {
			checkPage(t, m)
		}
	}
}

func TestEveryPageBeginsWithALoadBalancer(t *testing.T) {
	t.Parallel()
	pages := message.ReportPages(report.New(at(4, 53), 0, surveyed(nil, standing(web, 0, 109, 0),
		standing(api, 1, 5, 0)), 24*time.Hour, nil), message.Style{})
	if len(pages) != 2 {
		t.Fatalf("%d pages, want 2", len(pages))
	}
	if first, second := rows(pages[0]), rows(pages[1]); len(first) != 110 ||
		second[0] != "prod-api  5/5  ██████████ 100 %" || len(second) != 6 {
		t.Errorf("pages of %d rows and %d, the second begins with %q, want 110, 6 and prod-api", len(first),
			len(second), second[0])
	}
}

func TestChangesAreToldOneByOneOrCounted(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{15: "• 14  removed 2026-11-23 04:14 UTC", 16: "• prod-web  16 removed"} {
		var log []incident.Record
		for i := range n {
			log = append(log, past(web, at(4, i), lb.Removed, fmt.Sprint(i)))
		}
		if m := message.Report(report.New(at(4, 53), 0, surveyed(log, standing(web, 0, 3, 0)), 24*time.Hour, nil),
			message.Style{}).Plain; !strings.Contains(m, want) {
			t.Errorf("%d changes are told without %q:\n%s", n, want, m)
		}
	}
}

func TestChangesThatAreTooManyAreCounted(t *testing.T) {
	t.Parallel()
	var log []incident.Record
	var all []watch.Standing
	for i := range 40 {
		c := clb(fmt.Sprintf("svc-%02d", i), fmt.Sprintf("lb-%02d", i))
		all = append(all, standing(c, i, 2, 0))
		log = append(log, past(c, at(4, i), lb.Added, "new"), past(c, at(4, i), lb.Removed, "gone"))
	}
	m := message.Report(report.New(at(4, 53), 0, surveyed(log, all...), 24*time.Hour, nil),
		message.Style{}).Plain
	if !strings.Contains(m, "• svc-14  1 removed, 1 added\n• … and 25 more load balancers with 50 changes") {
		t.Errorf("the changes are not counted:\n%s", m)
	}
}

// wide is a row's width in cells of a phone: Chinese characters take two.
func wide(s string) int {
	n := utf8.RuneCountInString(s)
	for _, r := range s {
		if r >= 0x4e00 && r < 0xa000 {
			n++
		}
	}
	return n
}

// rows are the lines of the preformatted text of a message: they do not wrap at words.
func rows(m message.Message) (rows []string) {
	for _, b := range m.Attachment.Blocks.BlockSet {
		for _, e := range b.(*slack.RichTextBlock).Elements {
			if pre, ok := e.(*slack.RichTextPreformatted); ok {
				rows = append(rows, strings.Split(pre.Elements[0].(*slack.RichTextSectionTextElement).Text, "\n")...)
			}
		}
	}
	return rows
}

// TestReportsFitAPhone holds that rows are not torn there: those of backends not at all, those of load
// balancers not before the name, with which they end.
func TestReportsFitAPhone(t *testing.T) {
	t.Parallel()
	beforeName := regexp.MustCompile("^[█░]+ +[0-9]+ % +[0-9/]+  ")
	for name, r := range tales() {
		if strings.HasPrefix(name, "report-hostile") {
			continue
		}
		balancers, backends := 0, 0
		for _, m := range append(message.ReportPages(r, message.Style{}), message.Report(r, message.Style{})) {
			for _, l := range rows(m) {
				switch head := beforeName.FindString(l); {
				case head != "":
					balancers++
					if wide(head) > 28 {
						t.Errorf("%s has a row in which the name begins at %d: %s", name, wide(head), l)
					}
				case strings.HasPrefix(l, "  "):
					backends++
					if wide(l) > 42 {
						t.Errorf("%s has a row of %d cells: %s", name, wide(l), l)
					}
				}
			}
		}
		if len(r.Pools) > 1 && (balancers == 0 || backends == 0) {
			t.Errorf("%s: %d rows of load balancers, %d of backends", name, balancers, backends)
		}
	}
}

func FuzzReport(f *testing.F) {
	f.Add("web-07", "prod-web", "LBNotFound", "check CLB_IDS", uint8(3), uint8(2), uint8(5), 5, int64(1))
	f.Add(strings.Repeat("<", 4000), strings.Repeat("&", 4000), strings.Repeat("🔥", 4000),
		strings.Repeat("`", 400), uint8(29), uint8(79), uint8(39), 1<<62, int64(1)<<62)
	f.Add(strings.Repeat("<", 60), strings.Repeat("<", 60), "", "", uint8(0), uint8(15), uint8(15), 10,
		int64(60))
	f.Add("\u202e", "\n", "\xff", ":fire:", uint8(1), uint8(1), uint8(0), -1, int64(-1))
	f.Fuzz(func(t *testing.T, name, label, why, do string, pools, backends, out uint8, n int, ago int64) {
		now := time.Unix(int64(n), 0)
		var found watch.Survey
		var log []incident.Record
		pools, backends, out = pools%20, backends%30, out%20 // more takes long and tells nothing new
		for i := range int(pools) + 1 {
			c := lb.CLB{Region: label, ID: fmt.Sprint(why, i), Label: []string{label, ""}[i%2], Title: name}
			s := watch.Standing{CLB: c, Capacity: lb.Capacity{Total: int(backends) + int(out), Running: int(backends),
				Weight: n, Serving: n / (i + 1)}}
			if i%7 == 3 {
				s.Total = n
			}
			if i%5 == 4 {
				s.Err = advice.Add(errors.New(why), fmt.Sprint(do, i%3))
			}
			if i%3 == 1 {
				s.Kind, s.HealthErr = lb.Type([]string{"application", do}[i%2]), errors.New(fmt.Sprint(do, i%2))
			}
			if i%6 == 5 {
				s.CLB, s.Err = lb.CLB{Region: "r", ID: "r/" + fmt.Sprint(label, i)}, errors.New(why)
			}
			for j := range int(backends) {
				b := lb.Backend{ID: fmt.Sprint(why, j), Type: []string{"", "ENI", do}[j%3], Name: name,
					WanIPs: []string{do}, Status: lb.Running, Weight: n, Bindings: []lb.Binding{{Listener: why},
						{Listener: do}}}
				if j < int(out) {
					b.Failing, b.Checked, b.Ill = []string{fmt.Sprint(j%4, why), name, do, label}[:j%4+1], n,
						&lb.Out{Since: time.Unix(ago, 0)}
					s.Ill = append(s.Ill, b)
				}
				s.Backends = append(s.Backends, b)
			}
			for j := range int(out) {
				b := lb.Backend{ID: fmt.Sprint(j, why), Name: name, LanIP: do, Status: lb.Status(n + j%3),
					Out: &lb.Out{Since: time.Unix(ago, 0), AtLeast: j%2 == 0}}
				s.NotRunning = append(s.NotRunning, b)
				log = append(log, pastOf(c, now.Add(time.Duration(j)*time.Second),
					incident.Past{ID: fmt.Sprint(why, j%15), Name: name, Is: b.Status,
						Kind: []lb.Kind{lb.LeftRunning, lb.Removed, lb.Added, lb.Recovered, lb.Unhealthy, lb.Healthy,
							lb.Unbound, lb.Bound, lb.Kind(do)}[j%9]}))
			}
			found.Standings = append(found.Standings, s)
		}
		for i := range int(pools) {
			found.Silences = append(found.Silences, incident.Silence{ID: fmt.Sprint(i, []string{"", do}[i%2]),
				What: label, Why: why, By: []string{name, "U0123ABCD"}[i%2], All: i%3 == 0, Until: now})
		}
		quiet := surveyed(log[:min(len(log), 20)], found.Standings[0])
		quiet.Silences, quiet.SilencesErr = found.Silences, errors.New(why)
		for _, r := range []report.Report{
			report.New(now, 0, quiet, 24*time.Hour, nil),
			report.New(now, time.Duration(ago), surveyed(log, found.Standings...), time.Duration(ago), nil),
			report.New(now, 0, surveyed(log[:min(len(log), 20)], found.Standings[0]), 24*time.Hour, errors.New(do)),
			report.New(now, 0, watch.Survey{Standings: found.Standings}, 24*time.Hour, nil),
		} {
			checkMessage(t, message.Report(r, message.Style{}))
			pages := message.ReportPages(r, message.Style{})
			if len(pages) > 5 {
				t.Fatalf("%d pages", len(pages))
			}
			for _, m := range pages {
				checkPage(t, m)
			}
		}
	})
}
