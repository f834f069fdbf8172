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
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func at(hour, minute int) time.Time { return time.Date(2026, 11, 23, hour, minute, 36, 0, time.UTC) }

func clb(label, id string) lb.CLB {
	return lb.CLB{Region: "ap-guangzhou", ID: id, Label: label}
}

var (
	web = clb("prod-web", "lb-8a3k2m1q")
	api = clb("prod-api", "lb-c4r9t0zw")
)

func left(name, ip string, s lb.Status) lb.Change {
	return lb.Change{Kind: lb.LeftRunning, At: at(4, 53), Was: lb.Running, Backend: lb.Backend{ID: "ins-" + name, Name: name, LanIP: ip, Status: s}}
}

func removed(name, ip string) lb.Change {
	return lb.Change{Kind: lb.Removed, At: at(4, 53), Backend: lb.Backend{ID: "ins-" + name, Name: name, LanIP: ip, Status: lb.Running}}
}

func added(name, ip string) lb.Change {
	return lb.Change{Kind: lb.Added, At: at(4, 53), Backend: lb.Backend{ID: "ins-" + name, Name: name, LanIP: ip, Status: lb.Running}}
}

func recovered(name, ip string, was lb.Status, out *lb.Out) lb.Change {
	return lb.Change{Kind: lb.Recovered, At: at(4, 53), Was: was, Out: out, Backend: lb.Backend{ID: "ins-" + name, Name: name, LanIP: ip, Status: lb.Running}}
}

// news has so many backends running of so many, each of weight 10.
func news(c lb.CLB, running, total int, changes ...lb.Change) watch.PoolNews {
	p := watch.PoolNews{CLB: c, Changes: changes}
	before := lb.Capacity{Running: running, Total: total}
	for _, ch := range changes {
		*p.Counts.Of(ch.Kind)++
		switch ch.Kind {
		case lb.LeftRunning:
			before.Running++
		case lb.Removed:
			before.Total++
			before.Running++
		case lb.Added:
			before.Total--
			before.Running--
		case lb.Recovered:
			before.Running--
		}
	}
	p.Capacity = lb.Capacity{Running: running, Total: total, Weight: 10 * total, Serving: 10 * running}
	before.Weight, before.Serving = 10*before.Total, 10*before.Running
	p.Before, p.Out = &before, total-running
	return p
}

func alert(pools ...watch.PoolNews) watch.Alert {
	return watch.Alert{ID: "1042-k3q9x-0", From: at(4, 53), To: at(4, 53), Pools: pools}
}

// crowd is n load balancers with the changes of each; what is beyond 100 load balancers and 600 changes is only counted,
// as watch bounds it.
func crowd(n int, c lb.Counts) watch.Alert {
	a := alert()
	for i := range n {
		p := watch.PoolNews{CLB: clb(fmt.Sprintf("prod-svc-%03d", i), fmt.Sprintf("lb-%08x", 0xabc000+7919*i)), Counts: c, Capacity: lb.Capacity{Running: 34, Total: 70, Weight: 700, Serving: 340}}
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

func between(c lb.Change, after time.Time) lb.Change {
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

	gap := alert(news(web, 11, 12, between(left("web-07", "10.0.3.17", 4), at(4, 38)), between(recovered("web-11", "10.0.3.121", 4, &lb.Out{Since: at(4, 20)}), at(4, 38))))
	readable := gap
	readable.Sighted = []watch.Sighted{{CLB: web, LastGood: at(4, 38), Since: at(4, 43), At: at(4, 53), Changes: 2}, {CLB: api, Since: at(4, 43), At: at(4, 53)}}

	everything := six
	everything.From = at(4, 41)
	everything.Pools = append([]watch.PoolNews{}, six.Pools...)
	flap := left("web-07", "10.0.3.17", 4)
	flap.At, flap.After = at(4, 41), at(4, 26)
	everything.Pools[0] = news(web, 10, 12, flap, removed("web-11", "10.0.3.121"), added("web-14", "10.0.4.9"), recovered("web-07", "10.0.3.17", 4, &lb.Out{Since: at(4, 41)}))
	everything.Blind = []watch.Blind{{CLB: clb("batch", "lb-77aa00bb"), Since: at(4, 43), LastGood: at(4, 38), Ticks: 3, Why: "dial tcp: i/o timeout", Do: "the API does not answer: check the function's network"}}
	everything.Sighted = []watch.Sighted{{CLB: lb.CLB{Region: "ap-beijing", ID: "lb-5zz1"}, LastGood: at(3, 2), Since: at(3, 7), At: at(4, 53)}}
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
		"added":             alert(news(web, 13, 14, added("web-14", "10.0.4.9"), func() lb.Change { c := added("web-15", "10.0.4.10"); c.Backend.Status = 8; return c }())),
		"recovered":         alert(news(web, 12, 12, recovered("web-07", "10.0.3.17", 4, &lb.Out{Since: at(4, 41)}), recovered("web-11", "10.0.3.121", 9, &lb.Out{Since: at(1, 3), AtLeast: true})), news(api, 7, 8, recovered("api-02", "10.0.5.5", 5, nil))),
		"last-one":          alert(news(web, 1, 3, left("web-07", "10.0.3.17", 4))),
		"none-running":      alert(news(web, 0, 3, left("web-07", "10.0.3.17", 4)), news(api, 6, 8, removed("api-05", "10.0.5.8"))),
		"emptied":           alert(news(web, 0, 0, removed("web-07", "10.0.3.17"))),
		"two-dead":          alert(news(web, 0, 0, removed("web-07", "10.0.3.17")), news(api, 0, 2, removed("api-05", "10.0.5.8")), news(clb("search", "lb-1qaz2wsx"), 3, 3, added("s-1", "10.0.6.1"))),
		"sixty-on-fifteen":  crowd(15, lb.Counts{LeftRunning: 2, Removed: 1, Added: 1}),
		"thousands":         crowd(120, lb.Counts{LeftRunning: 18, Removed: 18, Added: 6}),
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
func later(ch lb.Change, minutes int) lb.Change {
	ch.At = ch.At.Add(time.Duration(minutes) * time.Minute)
	return ch
}

// stories are alerts in which changes come together.
func stories() map[string]watch.Alert {
	away := alert(news(web, 12, 12, left("web-07", "10.0.3.17", 4), later(recovered("web-07", "10.0.3.17", 4, &lb.Out{Since: at(4, 53)}), 5)))
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
	weights.Pools[0].Capacity = lb.Capacity{Running: 9, Total: 12, Weight: 100, Serving: 45}
	weights.Pools[0].Before = &lb.Capacity{Running: 11, Total: 12, Weight: 100, Serving: 100}
	return map[string]watch.Alert{
		"replaced":      alert(news(web, 11, 12, old, removed("web-11", "10.0.3.121"), other, address)),
		"one-replaced":  alert(news(web, 12, 12, old, other)),
		"same-behind-3": alert(news(web, 11, 12, shared), news(api, 7, 8, shared, left("api-02", "10.0.5.5", 4)), news(clb("prod-admin", "lb-1qaz2wsx"), 1, 2, shared)),
		"one-behind-3":  alert(news(web, 11, 12, shared), news(api, 7, 8, shared), news(clb("prod-admin", "lb-1qaz2wsx"), 1, 2, shared)),
		"out-and-back":  away,
		"weights":       weights,
		"5000-on-50":    crowd(50, lb.Counts{LeftRunning: 60, Removed: 30, Added: 10}),
		"eight-behind-10": func() watch.Alert {
			a := alert()
			for i := range 10 {
				a.Pools = append(a.Pools, news(clb(fmt.Sprintf("svc-%02d", i), fmt.Sprintf("lb-00ab%04d", i)), 4, 5, shared))
			}
			return a
		}(),
	}
}

// shop is a load balancer that was discovered.
var shop = lb.CLB{Region: "ap-guangzhou", ID: "lb-k7d0w2pe", Title: "prod-shop"}

// some is a change of a part of a backend's bindings or checks.
func some(k lb.Kind, name, ip string, n, of int, names ...string) lb.Change {
	ch := added(name, ip)
	ch.Kind, ch.Part = k, &lb.Part{N: n, Of: of, Names: names, Rules: n == 1 && strings.Contains(names[0], "→") && k != lb.Unhealthy}
	return ch
}

func healthy(name, ip string, since time.Time) lb.Change {
	ch := added(name, ip)
	ch.Kind, ch.Out = lb.Healthy, &lb.Out{Since: since}
	return ch
}

// ill is news of a load balancer of which so many of those running fail a check.
func ill(n int, p watch.PoolNews) watch.PoolNews {
	p.Ill, p.Serving = n, p.Serving-10*n
	return p
}

func bare(p watch.PoolNews, n int, rules bool, names ...string) watch.PoolNews {
	p.Bare = &lb.Part{N: n, Of: n + 1, Rules: rules, Names: names}
	return p
}

// applications are alerts about application load balancers, and about health.
func applications() map[string]watch.Alert {
	three := []string{"HTTP:80", "HTTPS:443", "TCP:22"}
	rule := "HTTPS:443 shop.example.com/api → 8080"
	eni := some(lb.Added, "", "10.0.9.4", 1, 1, "TCP:22")
	eni.Backend.ID, eni.Backend.Type = "eni-4f0w8q1z", "ENI"
	port := some(lb.Bound, "web-09", "10.0.3.19", 1, 3, "HTTPS:443 shop.example.com/api → 8081")
	check := "HTTP:80 shop.example.com/ → 8080"
	fails := func(name, ip string) lb.Change { return some(lb.Unhealthy, name, ip, 1, 2, check) }
	cured := alert(news(shop, 3, 3, fails("web-07", "10.0.3.17"), later(healthy("web-07", "10.0.3.17", at(4, 53)), 5)))
	cured.To = at(4, 58)
	other := some(lb.Added, "web-07", "10.0.4.9", 2, 2, "HTTP:80", "HTTPS:443")
	other.Backend.ID = "ins-9o9ex9s1"
	many := alert()
	for i := range 70 {
		name := fmt.Sprintf("svc-%02d", i)
		many.Pools = append(many.Pools, ill(2, news(clb(name, fmt.Sprintf("lb-00ab%04d", i)), 9, 10, left(name+"-1", "10.0.0.1", 4), fails(name+"-2", "10.0.0.2"))))
	}
	return map[string]watch.Alert{
		"unbound": alert(news(shop, 3, 3, some(lb.Unbound, "web-07", "10.0.3.17", 1, 3, "TCP:22"))),
		"unbound-rule": alert(news(shop, 3, 3, some(lb.Unbound, "web-07", "10.0.3.17", 1, 4, rule), some(lb.Unbound, "web-08", "10.0.3.18", 1, 4, rule),
			some(lb.Unbound, "web-09", "10.0.3.19", 2, 3, "HTTP:80", "TCP:22"))),
		"bound":     alert(news(shop, 3, 3, some(lb.Bound, "web-07", "10.0.3.17", 1, 4, "TCP:2222"))),
		"app-added": alert(news(shop, 5, 5, some(lb.Added, "web-14", "10.0.4.9", 3, 3, three...), some(lb.Added, "web-15", "10.0.4.10", 3, 3, three...), eni)),
		"app-removed": alert(news(shop, 1, 1, some(lb.Removed, "web-07", "10.0.3.17", 3, 3, three...), some(lb.Removed, "web-08", "10.0.3.18", 3, 3, three...),
			some(lb.Removed, "web-09", "10.0.3.19", 1, 1, "TCP:22"))),
		"app-replaced": alert(news(shop, 3, 3, some(lb.Removed, "web-07", "10.0.3.17", 3, 3, three...), other)),
		"rebound": alert(news(shop, 3, 3, some(lb.Unbound, "web-07", "10.0.3.17", 3, 3, three...), some(lb.Bound, "web-07", "10.0.3.17", 3, 3, three...),
			some(lb.Unbound, "web-09", "10.0.3.19", 1, 3, rule), port)),
		"bare":            alert(bare(news(shop, 2, 3, left("web-07", "10.0.3.17", 4)), 1, false, "HTTPS:443")),
		"bare-on-two":     alert(bare(news(shop, 2, 3, left("web-07", "10.0.3.17", 4)), 4, true, "HTTPS:443 shop.example.com/", "HTTPS:443 shop.example.com/api", "TCP:22"), bare(news(api, 2, 2, removed("api-05", "10.0.5.8")), 1, false, "TCP:53")),
		"bare-of-one":     alert(bare(news(shop, 2, 3, left("web-07", "10.0.3.17", 4)), 3, false, three...), news(api, 7, 8, left("api-02", "10.0.5.5", 4))),
		"unhealthy":       alert(ill(1, news(shop, 3, 3, fails("web-07", "10.0.3.17")))),
		"unhealthy-more":  alert(ill(3, news(shop, 5, 6, left("web-01", "10.0.3.11", 4), fails("web-07", "10.0.3.17"), fails("web-08", "10.0.3.18"))), ill(1, news(api, 8, 8, some(lb.Unhealthy, "api-02", "10.0.5.5", 1, 1, "TCP:80 → 8080")))),
		"healthy":         alert(news(shop, 3, 3, healthy("web-07", "10.0.3.17", at(4, 41)))),
		"healthy-not-all": alert(ill(1, news(shop, 3, 3, healthy("web-07", "10.0.3.17", at(4, 41))))),
		"ill-and-back":    cured,
		"ill-seventy":     many,
		"deleted":         {ID: "1042-k3q9x-0", From: at(4, 53), To: at(4, 53), CLBs: []watch.CLBNews{{CLB: shop, Fate: watch.Deleted, At: at(4, 53), Before: &lb.Capacity{Running: 3, Total: 3}}}},
		"migrated": {ID: "1042-k3q9x-0", From: at(4, 53), To: at(4, 53), CLBs: []watch.CLBNews{{CLB: web, Fate: watch.Migrated, At: at(4, 53), Is: lb.Application,
			Before: &lb.Capacity{Running: 3, Total: 3}, Now: &lb.Capacity{Running: 3, Total: 3}}}},
		"fates": {ID: "1042-k3q9x-0", From: at(4, 41), To: at(4, 53), CLBs: []watch.CLBNews{
			{CLB: shop, Fate: watch.Deleted, At: at(4, 41), Before: &lb.Capacity{Running: 2, Total: 3, Ill: 1}},
			{CLB: lb.CLB{Region: "ap-guangzhou", ID: "lb-5zz1", Title: "prod-blog"}, Fate: watch.Deleted, At: at(4, 53)},
			{CLB: lb.CLB{Region: "ap-guangzhou", ID: "lb-77aa00bb", Title: "old-batch"}, Fate: watch.Unmatched, At: at(4, 53), Before: &lb.Capacity{Running: 1, Total: 1}},
			{CLB: web, Fate: watch.Migrated, At: at(4, 53), Is: lb.Application, Before: &lb.Capacity{Running: 3, Total: 3}, Now: &lb.Capacity{Running: 2, Total: 4, Ill: 1}},
		}},
		"blind-parts": {ID: "1042-k3q9x-0", From: at(4, 53), To: at(4, 53), Blind: []watch.Blind{blind(),
			{CLB: shop, What: watch.OfHealth, Since: at(4, 43), LastGood: at(4, 38), Ticks: 3, Why: "DescribeTargetHealth: UnauthorizedOperation", Do: "grant the role clb:DescribeTargetHealth"},
			{CLB: api, What: watch.OfHealth, Since: at(4, 43), LastGood: at(4, 38), Ticks: 3, Why: "DescribeTargetHealth: UnauthorizedOperation", Do: "grant the role clb:DescribeTargetHealth"},
			{CLB: lb.CLB{Region: "ap-guangzhou", ID: "ap-guangzhou/prod-*"}, What: watch.OfRegion, Since: at(4, 43), LastGood: at(4, 38), Ticks: 3, Why: "DescribeLoadBalancers: InternalError", Do: ""},
		}},
		"blind-region": {ID: "1042-k3q9x-0", From: at(4, 53), To: at(4, 53), Blind: []watch.Blind{
			{CLB: lb.CLB{Region: "ap-guangzhou", ID: "ap-guangzhou/prod-*"}, What: watch.OfRegion, Since: at(4, 43), LastGood: at(4, 38), Ticks: 3, Why: "DescribeLoadBalancers: UnauthorizedOperation", Do: "grant the role clb:DescribeLoadBalancers"},
		}},
		"readable-parts": {ID: "1042-k3q9x-0", From: at(4, 53), To: at(4, 53), Sighted: []watch.Sighted{
			{CLB: shop, What: watch.OfHealth, LastGood: at(4, 38), Since: at(4, 43), At: at(4, 53)},
			{CLB: lb.CLB{Region: "ap-guangzhou", ID: "ap-guangzhou/prod-*"}, What: watch.OfRegion, LastGood: at(4, 38), Since: at(4, 43), At: at(4, 53)},
		}},
		"hostile-parts": hostileParts(),
	}
}

func hostileParts() watch.Alert {
	c := lb.CLB{Region: "ap-guangzhou", ID: "lb-k7d0w2pe", Title: "shop <!channel> & `x` *b*\nprod-web"}
	names := []string{"HTTPS:443 <!channel>/`x`*b* → 8080", "HTTPS:443 https://evil.example/<https://evil.example|Console>\n:fire: → 8080", "\u202e" + strings.Repeat("数", 60) + " → 80"}
	fated := func(f watch.Fate) watch.CLBNews {
		return watch.CLBNews{CLB: c, Fate: f, At: at(4, 53), Before: &lb.Capacity{Running: 3, Total: 3}, Now: &lb.Capacity{Running: 3, Total: 3}}
	}
	eni := some(lb.Added, "", "", 3, 3, names...)
	eni.Backend.Type = "<!here>\n*b*"
	a := alert(bare(ill(1, news(c, 2, 3, some(lb.Unhealthy, "web-07", "10.0.3.17", 9, 9, names...), some(lb.Unbound, "web-08", "10.0.3.18", 1, 9, names[:1]...), eni)), 1, true, names[1]))
	a.CLBs = []watch.CLBNews{fated(watch.Deleted), fated(watch.Unmatched), fated(watch.Migrated)}
	a.Blind = []watch.Blind{{CLB: lb.CLB{Region: "<!here>", ID: "<!here>/*<@U1>*"}, What: watch.OfRegion, Since: at(4, 43), Ticks: 3, Why: "<!channel>"}}
	return a
}

// threads are messages of one thread: its first message as it is edited, and replies.
func threads() map[string]Message {
	first := alerts()["one-down"]
	capacity := func(running int) lb.Capacity {
		return lb.Capacity{Running: running, Total: 12, Weight: 120, Serving: 10 * running}
	}
	thread := func(a watch.Alert, course map[string]watch.Course) watch.Thread {
		return watch.Thread{Receipt: watch.Receipt{Channel: "C024BE91L", TS: "1.2"}, Alert: a, Course: course}
	}
	open := thread(first, map[string]watch.Course{web.Key(): {Capacity: capacity(5), Since: at(4, 53), Later: lb.Counts{LeftRunning: 6}}})
	over := thread(first, map[string]watch.Course{web.Key(): {Capacity: capacity(12), Since: at(4, 53), Over: at(5, 5), Later: lb.Counts{Recovered: 1}}})
	two := thread(alerts()["six-on-two"], map[string]watch.Course{
		web.Key(): {Capacity: capacity(12), Since: at(4, 53), Over: at(5, 5), Later: lb.Counts{Recovered: 2}},
		api.Key(): {Capacity: lb.Capacity{Running: 6, Total: 8, Weight: 80, Serving: 60}, Since: at(4, 53)},
	})
	both := thread(alerts()["six-on-two"], map[string]watch.Course{
		web.Key(): {Capacity: capacity(12), Since: at(4, 53), Over: at(5, 5), Later: lb.Counts{Recovered: 2}},
		api.Key(): {Capacity: lb.Capacity{Running: 8, Total: 8, Weight: 80, Serving: 80}, Since: at(4, 53), Over: at(6, 0), Later: lb.Counts{Recovered: 1}},
	})
	worse := alert(news(web, 5, 12, left("web-01", "10.0.3.11", 9), left("web-02", "10.0.3.12", 9), left("web-03", "10.0.3.13", 9), left("web-04", "10.0.3.14", 9), left("web-05", "10.0.3.15", 9), left("web-06", "10.0.3.16", 9)))
	back := alert(news(web, 12, 12, recovered("web-07", "10.0.3.17", 4, &lb.Out{Since: at(4, 41)})))
	last := alert(news(api, 8, 8, recovered("api-02", "10.0.5.5", 5, &lb.Out{Since: at(3, 53)})))
	mention := Style{Mention: "S024BE7LH", MentionAt: 50}
	sick := func(c watch.Course) watch.Thread {
		return thread(applications()["unhealthy"], map[string]watch.Course{shop.Key(): c})
	}
	barely := func(c watch.Course) watch.Thread {
		c.Capacity, c.Since = lb.Capacity{Running: 2, Total: 3, Weight: 30, Serving: 20}, at(4, 53)
		return thread(applications()["bare"], map[string]watch.Course{shop.Key(): c})
	}
	return map[string]Message{
		"thread-bare":      ThreadMessage(barely(watch.Course{Later: lb.Counts{Unhealthy: 1}})),
		"thread-served":    ThreadMessage(barely(watch.Course{Later: lb.Counts{Bound: 1}})),
		"thread-ill":       ThreadMessage(sick(watch.Course{Capacity: lb.Capacity{Running: 3, Total: 3, Ill: 1, Weight: 30, Serving: 20}, Since: at(4, 53)})),
		"thread-ill-over":  ThreadMessage(sick(watch.Course{Capacity: lb.Capacity{Running: 3, Total: 3, Weight: 30, Serving: 30}, Since: at(4, 53), Over: at(5, 5), Later: lb.Counts{Healthy: 1}})),
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
	messages := make(map[string]Message)
	maps.Copy(messages, threads())
	for name, a := range alerts() {
		messages[name] = AlertMessage(a, Style{})
	}
	for name, a := range stories() {
		messages[name] = AlertMessage(a, Style{})
	}
	for name, a := range applications() {
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
	maps.Copy(all, applications())
	for name, want := range map[string]string{
		"unbound":          "web-07 unbound from 1 of 3 listeners (TCP:22) on prod-shop",
		"unbound-rule":     "3 backends partly unbound on prod-shop",
		"bound":            "web-07 bound to 1 more listener (TCP:2222) on prod-shop",
		"rebound":          "2 backends bound anew on prod-shop",
		"app-added":        "3 backends added to prod-shop",
		"bare":             "web-07 stopped running on prod-shop: shut down (4), HTTPS:443 has none running",
		"bare-of-one":      "2 backends stopped running on 2 load balancers, 3 listeners of prod-shop have none running",
		"bare-on-two":      "1 stopped running, 1 removed on 2 load balancers, listeners of 2 of them have none running",
		"unhealthy":        "web-07 unhealthy on prod-shop: fails 1 of 2 checks, 3 of 3 running",
		"unhealthy-more":   "1 stopped running, 3 unhealthy on 2 load balancers",
		"healthy":          "web-07 healthy again on prod-shop after 12 min, all 3 running",
		"healthy-not-all":  "web-07 healthy again on prod-shop after 12 min, 3 of 3 running, 1 unhealthy",
		"ill-and-back":     "web-07 was unhealthy for 5 min on prod-shop, and is healthy again, all 3 running",
		"deleted":          "prod-shop was deleted",
		"migrated":         "prod-web is an application load balancer now",
		"fates":            "2 load balancers were deleted · old-batch is no longer watched · prod-web is an application load balancer now",
		"blind-parts":      "Cannot read prod-web · cannot read the health of 2 load balancers · cannot list the load balancers of ap-guangzhou/prod-*",
		"readable-parts":   "Readable again: the health of prod-shop, the load balancers of ap-guangzhou/prod-*",
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
	for _, all := range []map[string]watch.Alert{alerts(), stories(), applications()} {
		for name, a := range all {
			p, _ := alertPage(a, true)
			looks[name] = p.emoji
		}
	}
	for name, want := range map[string]string{
		"unbound":        "large_yellow_circle",
		"bound":          "large_blue_circle",
		"rebound":        "large_blue_circle",
		"bare":           "red_circle",
		"unhealthy":      "large_orange_circle",
		"healthy":        "large_green_circle",
		"ill-and-back":   "large_green_circle",
		"deleted":        "large_yellow_circle",
		"migrated":       "large_blue_circle",
		"fates":          "large_yellow_circle",
		"blind-region":   "warning",
		"readable-parts": "large_green_circle",
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

func TestChangesComeTogether(t *testing.T) {
	t.Parallel()
	const ip = "10.0.3.17"
	off := func(names ...string) lb.Change { return some(lb.Unbound, "a", ip, len(names), 3, names...) }
	on := func(names ...string) lb.Change { return some(lb.Bound, "a", ip, len(names), 3, names...) }
	sick := some(lb.Unhealthy, "a", ip, 1, 1, "TCP:80 → 80")
	well := func(since time.Time) lb.Change { return healthy("a", ip, since) }
	all := func(k lb.Kind, names ...string) lb.Change {
		return some(k, "a", ip, len(names), len(names), names...)
	}
	back := recovered("a", ip, 4, &lb.Out{Since: at(4, 53)})
	rules := func(k lb.Kind, names ...string) lb.Change {
		ch := some(k, "a", ip, len(names), 9, names...)
		ch.Part.Rules = true
		return ch
	}
	for name, tt := range map[string]struct {
		changes []lb.Change
		want    []string
	}{
		"unbound and bound at once":        {[]lb.Change{off("TCP:22"), on("TCP:23")}, []string{"bound anew: TCP:23 instead of TCP:22"}},
		"unbound, and bound later":         {[]lb.Change{off("TCP:22"), later(on("TCP:22"), 1)}, []string{"unbound from 1 of 3 listeners (TCP:22), seen 2026-11-23 04:53 UTC", "bound to 1 more listener (TCP:22), now 3"}},
		"unbound, then removed":            {[]lb.Change{off("TCP:22"), later(all(lb.Removed, "TCP:23", "TCP:24"), 1)}, []string{"removed: unbound from both listeners (TCP:23, TCP:24)"}},
		"unbound while it stopped":         {[]lb.Change{left("a", ip, 4), off("TCP:22")}, []string{"left running: shut down (4)", "unbound from 1 of 3 listeners (TCP:22)"}},
		"removed and added again":          {[]lb.Change{all(lb.Removed, "A", "B"), later(all(lb.Added, "A", "B"), 0)}, []string{"removed and back"}},
		"back on fewer listeners":          {[]lb.Change{all(lb.Removed, "A", "B"), later(all(lb.Added, "B"), 0)}, []string{"removed and back: B instead of 2 listeners (A, B)"}},
		"added, then started":              {[]lb.Change{func() lb.Change { c := all(lb.Added, "A"); c.Backend.Status = 8; return c }(), back}, []string{"added: running (2), bound to A"}},
		"unhealthy, then it stopped":       {[]lb.Change{sick, left("a", ip, 4)}, []string{"left running: shut down (4)"}},
		"out and back, and then unhealthy": {[]lb.Change{sick, left("a", ip, 4), back, sick}, []string{"unhealthy: fails its only check (TCP:80 → 80)", "left running and recovered, out for less than 1 min: 2026-11-23 04:53 UTC – 04:53 UTC"}},
		"unhealthy twice, out in between": {[]lb.Change{sick, later(left("a", ip, 4), 1), later(back, 2), later(sick, 3), later(well(at(4, 56)), 5)}, []string{
			"left running and recovered, out for 1 min: 2026-11-23 04:54 UTC – 04:55 UTC", "unhealthy and healthy again, for 2 min: 2026-11-23 04:56 UTC – 04:58 UTC"}},
		"two rules by another port":    {[]lb.Change{rules(lb.Unbound, "A x → 80", "A y → 80"), rules(lb.Bound, "A x → 81", "A y → 81")}, []string{"bound anew: 2 rules (A x → 81, A y → 81) instead of 2 rules (A x → 80, A y → 80)"}},
		"unhealthy, then removed":      {[]lb.Change{sick, removed("a", ip)}, []string{"removed"}},
		"healthy again":                {[]lb.Change{sick, well(at(4, 53))}, []string{"unhealthy and healthy again, for less than 1 min: 2026-11-23 04:53 UTC – 04:53 UTC"}},
		"it had been unhealthy before": {[]lb.Change{sick, well(at(4, 41))}, []string{"healthy again after 12 min"}},
		"healthy, unhealthy, healthy":  {[]lb.Change{well(at(4, 41)), sick, well(at(4, 53))}, []string{"healthy again after 12 min"}},
		"healthy, then unhealthy":      {[]lb.Change{well(at(4, 41)), sick}, []string{"unhealthy: fails its only check (TCP:80 → 80)"}},
	} {
		a := alert(news(shop, 3, 3, tt.changes...))
		a.To = tt.changes[len(tt.changes)-1].At
		var got []string
		for _, l := range strings.Split(AlertMessage(a, Style{}).Plain, "\n")[4:] {
			got = append(got, strings.TrimPrefix(l, "• a  "+ip+"  "))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// TestSameMachineIsOneLine holds that a machine which is removed is told once, however it was bound to each load balancer.
func TestSameMachineIsOneLine(t *testing.T) {
	t.Parallel()
	gone := func(names ...string) lb.Change {
		return some(lb.Removed, "a", "10.0.3.17", len(names), len(names), names...)
	}
	tell := func(one, two lb.Change) string {
		return AlertMessage(alert(news(shop, 3, 3, one), news(api, 3, 3, two)), Style{}).Plain
	}
	if got := tell(gone("A"), gone("A", "B")); !strings.Contains(got, "lb-c4r9t0zw  ·  3 of 3 running, 25 % of weight lost\n• a  10.0.3.17  removed") || strings.Contains(got, "unbound") {
		t.Errorf("it was bound in two ways, and is told as\n%s", got)
	}
	if got := tell(gone("A", "B"), gone("A", "B")); strings.Count(got, "removed: unbound from both listeners (A, B)") != 1 {
		t.Errorf("it was bound in the same way, and is told as\n%s", got)
	}
	off := func(name string) lb.Change { return some(lb.Unbound, "a", "10.0.3.17", 1, 3, name) }
	if got := tell(off("A"), off("B")); strings.Count(got, "• a  10.0.3.17  unbound from 1 of 3 listeners") != 2 {
		t.Errorf("it lost two listeners, and is told as\n%s", got)
	}
}

func TestTitlesOfWhatIsLeft(t *testing.T) {
	t.Parallel()
	off := some(lb.Unbound, "web-08", "10.0.3.18", 1, 3, "TCP:22")
	cut := news(shop, 3, 3, off)
	cut.Counts.Unbound = 9
	sick := news(shop, 9, 9, some(lb.Unhealthy, "web-07", "10.0.3.17", 1, 1, "TCP:80 → 80"))
	sick.Counts.Unhealthy, sick.Ill = 70, 70
	for want, p := range map[string]watch.PoolNews{
		"1 removed, 1 recovered on prod-shop, 9 left, 1 unhealthy":                            ill(1, news(shop, 9, 9, removed("a", ""), recovered("b", "", 4, nil))),
		"1 removed, 1 recovered on prod-shop, all 9 running":                                  news(shop, 9, 9, removed("a", ""), recovered("b", "", 4, nil)),
		"a added to prod-shop: running (2), 9 of 9 running, 1 unhealthy":                      ill(1, news(shop, 9, 9, added("a", ""))),
		"9 backends partly unbound on prod-shop":                                              cut,
		"70 backends unhealthy on prod-shop, 9 of 9 running":                                  sick,
		"web-08 unbound from 1 of 3 listeners (TCP:22) on prod-shop, none running":            news(shop, 0, 3, off),
		"web-08 unbound from 1 of 3 listeners (TCP:22) on prod-shop, TCP:22 has none running": bare(news(shop, 3, 3, off), 1, false, "TCP:22"),
		"a stopped running on prod-shop: shut down (4), none running":                         bare(news(shop, 0, 3, left("a", "", 4)), 1, false, "TCP:22"),
	} {
		page, _ := alertPage(alert(p), true)
		if page.title != want {
			t.Errorf("title %q, want %q", page.title, want)
		}
		if red := strings.Contains(want, "none running"); red != (page.emoji == "red_circle") {
			t.Errorf("%s looks like %s", want, page.emoji)
		}
	}
	if m := AlertMessage(alert(sick), Style{}); !strings.Contains(m.Plain, "load balancer  running  unhealthy\nprod-shop       9 of 9         70") {
		t.Errorf("a table with unhealthy ones:\n%s", m.Plain)
	}
}

func TestThreadsOfPartOfALoadBalancer(t *testing.T) {
	t.Parallel()
	tell := func(name string, c watch.Course) string {
		c.Since = at(4, 53)
		return ThreadMessage(watch.Thread{Alert: applications()[name], Course: map[string]watch.Course{shop.Key(): c}}).Plain
	}
	three, none := lb.Capacity{Running: 3, Total: 3}, lb.Capacity{Total: 3}
	for _, tt := range []struct{ got, want string }{
		{tell("unhealthy", watch.Course{Capacity: three, Over: at(5, 5), Later: lb.Counts{Healthy: 1}}), "3 of 3 running  ·  unhealthy 2026-11-23 04:53 UTC – 05:05 UTC (12 min)"},
		{tell("unhealthy", watch.Course{Capacity: three, Over: at(5, 5), Later: lb.Counts{LeftRunning: 1, Recovered: 1}}), "3 of 3 running  ·  out 2026-11-23 04:53 UTC – 05:05 UTC (12 min)"},
		{tell("bare", watch.Course{Capacity: none, Later: lb.Counts{LeftRunning: 2}}), "shut down (4) · now 0 of 3 running\n"},
		{tell("bare", watch.Course{Capacity: none, Later: lb.Counts{LeftRunning: 2}}), "now 0 of 3 running  ·  none running  ·  2 later changes"},
	} {
		if !strings.Contains(tt.got, tt.want) {
			t.Errorf("the thread does not say %q:\n%s", tt.want, tt.got)
		}
	}
}

func TestFatesThatAreTooManyAreCounted(t *testing.T) {
	t.Parallel()
	a := watch.Alert{To: at(4, 53), MoreCLBs: 12}
	for i := range 50 {
		a.CLBs = append(a.CLBs, watch.CLBNews{CLB: clb(fmt.Sprintf("svc-%02d", i), fmt.Sprintf("lb-00ab%04d", i)), Fate: watch.Deleted, At: at(4, 53)})
	}
	m := AlertMessage(a, Style{})
	for _, want := range []string{"50 or more load balancers were deleted (svc-00, svc-01, svc-02, +59 more)", "• svc-14  lb-00ab0014  ·  deleted\n• … and 47 more load balancers"} {
		if !strings.Contains(m.Plain, want) {
			t.Errorf("the message does not say %q:\n%s", want, m.Plain)
		}
	}
	two := a
	two.CLBs, two.MoreCLBs = slices.Clone(a.CLBs[:2]), 0
	two.CLBs[0].Fate, two.CLBs[1].Fate = watch.Migrated, watch.Migrated
	if got := AlertMessage(two, Style{}).Text; !strings.Contains(got, "2 load balancers are of another kind now") {
		t.Errorf("two of another kind are told as %s", got)
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
	deaf := failed("e", at(4, 43), "wait")
	deaf.What = watch.OfHealth
	m = AlertMessage(watch.Alert{To: at(4, 53), MoreBlind: 3, Blind: []watch.Blind{failed("a", at(4, 43), "wait"), deaf}}, Style{})
	for _, want := range []string{"Cannot read 4 load balancers · cannot read the health of e\n", "• a  lb-a  ·  cannot be read since", "• e  lb-e  ·  health cannot be read since", "Changes on what", "What becomes unhealthy"} {
		if !strings.Contains(m.Plain, want) {
			t.Errorf("what cannot be read, and of what the health cannot be, are told without %q:\n%s", want, m.Plain)
		}
	}
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
	cut.Pools[0].Counts = lb.Counts{LeftRunning: 9, Added: 2}
	cut.More = watch.More{CLBs: 2, Counts: lb.Counts{Removed: 5}}
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
	m, base := crowd(20, lb.Counts{LeftRunning: 3, Removed: 2, Added: 1}), alerts()["baseline-first"]
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
		clb  lb.CLB
		want string
	}{
		{web, "https://console.cloud.tencent.com/clb/detail?rid=1&id=lb-8a3k2m1q"},
		{lb.CLB{Region: "ap-tokyo", ID: "a&b=|> c"}, "https://console.cloud.tencent.com/clb/detail?rid=25&id=a%26b%3D%7C%3E+c"},
		{lb.CLB{Region: "mars", ID: "lb-1"}, "https://console.cloud.tencent.com/clb"},
		{lb.CLB{Region: "ap-guangzhou", ID: "ap-guangzhou/prod-*"}, "https://console.cloud.tencent.com/clb"},
	} {
		if got := consoleURL(tt.clb); got != tt.want {
			t.Errorf("consoleURL(%v) = %q, want %q", tt.clb, got, tt.want)
		}
	}
}

func TestInert(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"web_07 10.0.3.17: shut down (4)":   "web_07 10.0.3.17: shut down (4)",
		"<!channel> & >":                    "&lt;!channel&gt; &amp; &gt;",
		"*b* _i_ ~s~ `c`":                   "＊b＊ ＿i＿ ～s～ ｀c｀",
		"04:53 12:345:67 5:10:20 1:2:33":    "04:53 12：345:67 5：10:20 1：2:33",
		":fire: :a:":                        "：fire: ：a:",
		"HTTPS:443 (TCP_SSL:22, UDP:53)":    "HTTPS:443 (TCP_SSL:22, UDP:53)",
		"HTTP:80: x:80 A:1:2 A:1a :80 :80:": "HTTP：80: x：80 A：1：2 A：1a ：80 ：80:",
		"A:80,B:81 (A:80:) :5:80 5:55A:80":  "A:80,B：81 (A：80：) ：5:80 5:55A：80",
		"https://evil.example @here":        "https：//evil．example ＠here",
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
	for n := range uint8(8) { // the worst there is of each part, and of all
		f.Add(strings.Repeat("<", 4000), strings.Repeat("<", 4000), strings.Repeat("<", 4000), uint8(255), 15-n, 171+n, 1<<62+3, int64(-1<<40))
	}
	f.Fuzz(func(t *testing.T, name, label, why string, changes, pools, others uint8, n int, unix int64) {
		if n%8 != 3 { // the largest take seconds, and small ones reach as much
			changes, pools, others = changes%16, pools%6, others%8
			name, label, why = name[:min(len(name), 60)], label[:min(len(label), 60)], why[:min(len(why), 60)]
		}
		now, status := time.Unix(unix, 0), lb.Status(n)
		n = max(n, 0) // counts
		a := watch.Alert{ID: name, From: now.Add(-time.Duration(others) * time.Minute), To: now, MoreBlind: n, MoreSighted: n, More: watch.More{CLBs: n, Counts: lb.Counts{Removed: n, Unbound: n / 2}}}
		b := &watch.Baseline{CLBs: n, Backends: n, Running: n}
		for i := range int(pools) {
			c := lb.CLB{Region: []string{"ap-guangzhou", label, name}[i%3], ID: fmt.Sprint(label, i), Label: []string{name, label, ""}[i%3], Title: []string{"", name, why}[i%3]}
			p := watch.PoolNews{CLB: c, Capacity: lb.Capacity{Running: n, Total: n, Weight: n, Serving: n / 2}, Before: &lb.Capacity{Running: 1, Total: n, Weight: n, Serving: n}, Out: n, Counts: lb.Counts{LeftRunning: int(changes), Recovered: n / 3, Unhealthy: n / 5}}
			p.Ill = n / 2
			if i%2 == 1 {
				p.Bare = &lb.Part{N: n%4 + 1, Of: n, Rules: i%4 == 1, Names: []string{why, name, label}[:n%4]}
			}
			for j := range int(changes) / max(int(pools)/8, 1) {
				ch := lb.Change{Kind: []lb.Kind{lb.LeftRunning, lb.Removed, lb.Added, lb.Recovered, lb.Unbound, lb.Bound, lb.Unhealthy, lb.Healthy}[j%8], At: now, Was: status,
					Backend: lb.Backend{Type: []string{"", "", "ENI", why}[j%4], ID: []string{why, fmt.Sprint(why, j), fmt.Sprint(i, j)}[int(others)%3], Name: []string{name, fmt.Sprint(j, name)}[int(pools)%2], LanIP: label, WanIPs: []string{why}, Status: status}}
				if j%3 == 0 {
					ch.After, ch.Out = now.Add(-time.Hour), &lb.Out{Since: now.Add(-time.Duration(n)), AtLeast: j%2 == 0}
				}
				if j%5 > 0 {
					ch.Part = &lb.Part{N: j % 5, Of: n%5 + 1, Rules: j%2 == 0, Names: []string{fmt.Sprint(name, j), why, label}[:j%4]}
				}
				p.Changes = append(p.Changes, ch)
			}
			a.Pools, b.Pools = append(a.Pools, p), append(b.Pools, p)
		}
		for i := range int(others) {
			c := lb.CLB{Region: label, ID: fmt.Sprint(i, name), Label: label}
			what := []string{watch.OfBackends, watch.OfHealth, watch.OfRegion}[(i+int(changes))%3]
			if what == watch.OfRegion {
				c.ID = c.Region + "/" + name
			}
			a.Blind = append(a.Blind, watch.Blind{CLB: c, What: what, Since: now, LastGood: now, Ticks: n, Why: fmt.Sprint(i%4, why), Do: name})
			a.Sighted = append(a.Sighted, watch.Sighted{CLB: c, What: what, LastGood: now, Since: now, At: now, Changes: n})
			c = lb.CLB{Region: label, ID: fmt.Sprint(i, why), Title: name}
			a.CLBs = append(a.CLBs, watch.CLBNews{CLB: c, Fate: []watch.Fate{watch.Deleted, watch.Unmatched, watch.Migrated, watch.Fate(why)}[i%4], At: now, Is: lb.Type(label),
				Before: []*lb.Capacity{nil, {Total: n, Ill: n}}[i%2], Now: &lb.Capacity{Running: n, Ill: n}})
		}
		all := a // with a baseline
		all.Baseline = b
		parts := []watch.Alert{a, all, {Blind: a.Blind}, {Sighted: a.Sighted}, {CLBs: a.CLBs, MoreCLBs: n}, {Baseline: b}, {Pools: a.Pools[:min(1, len(a.Pools))]}, {Pools: a.Pools}}
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
			CLB: web, Counts: lb.Counts{LeftRunning: 1}, Capacity: lb.Capacity{Running: 11, Total: 12},
			Changes: []lb.Change{left("web-07 <!channel>", "10.0.3.17", 4)},
		}},
	}, Style{})
	fmt.Println(m.Text)
	// Output: :large_orange_circle: web-07 &lt;!channel&gt; stopped running on prod-web: shut down (4), 11 of 12 running
}
