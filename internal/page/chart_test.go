package page_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// picture is a chart, in hours since the beginning of a day and in percent.
type picture struct {
	svg    *element
	paths  map[string][][][2]int // by class: shapes of points
	x0, x1 float64               // pixels of the beginning and the end
	y0, y1 float64               // of 0 % and 100 %
}

// pictures are the charts of a load balancer, in each size.
func pictures(t *testing.T, all []*element, name string) (found []*picture) {
	t.Helper()
	of := make(map[*element]*picture)
	for _, e := range all {
		article := e.within("article")
		if e.has("chart") && strings.HasPrefix(words(article.text()), name+" ") {
			of[e] = &picture{svg: e, paths: make(map[string][][][2]int)}
			found = append(found, of[e])
		}
		if p := of[e.parent]; p != nil && e.name == "path" {
			class, _, _ := strings.Cut(e.attr["class"], " ")
			p.paths[class] = append(p.paths[class], points(t, e.attr["d"])...)
		}
	}
	for _, p := range found {
		zero, hundred := p.paths["zero"][0], p.paths["grid"][0]
		p.x0, p.x1, p.y0, p.y1 = float64(zero[0][0]), float64(zero[1][0]), float64(zero[0][1]),
			float64(hundred[0][1])
	}
	if len(found) == 0 {
		t.Fatalf("there is no chart of %s", name)
	}
	return found
}

// points are the shapes of a path.
func points(t *testing.T, d string) (shapes [][][2]int) {
	t.Helper()
	f := strings.Fields(d)
	for n := 0; n+2 < len(f); n += 3 {
		x, err := strconv.Atoi(f[n+1])
		y, bad := strconv.Atoi(f[n+2])
		if err != nil || bad != nil || f[n] != "M" && f[n] != "L" {
			t.Fatalf("a path is %q", d)
		}
		if f[n] == "M" {
			shapes = append(shapes, nil)
		}
		shapes[len(shapes)-1] = append(shapes[len(shapes)-1], [2]int{x, y})
	}
	return shapes
}

// says is what a chart has of a class: for each shape the hours and percents that it is between.
func (p *picture) says(class string, hours float64) string {
	var all []string
	for _, shape := range p.paths[class] {
		left, right, low, high := 1e9, -1e9, 1e9, -1e9
		for _, point := range shape {
			x := (float64(point[0]) - p.x0) / (p.x1 - p.x0) * hours
			y := (p.y0 - float64(point[1])) / (p.y0 - p.y1) * 100
			left, right, low, high = min(left, x), max(right, x), min(low, y), max(high, y)
		}
		all = append(all, fmt.Sprintf("%.2fh to %.2fh %.0f%% to %.0f%%", left, right, low, high))
	}
	return strings.Join(all, ", ")
}

// number is a number of hours, or of percents.
var number = regexp.MustCompile(`(-?[0-9.]+)(h|%)`)

// near reports whether two such texts are the same but for a pixel or two.
func near(got, want string, hours float64) bool {
	g, w := number.FindAllStringSubmatch(got, -1), number.FindAllStringSubmatch(want, -1)
	return slices.EqualFunc(g, w, func(a, b []string) bool {
		x, _ := strconv.ParseFloat(a[1], 64)
		y, _ := strconv.ParseFloat(b[1], 64)
		return a[2] == b[2] && max(x-y, y-x) <= map[string]float64{"h": hours / 150, "%": 3}[a[2]]
	})
}

// TestCharts holds what is drawn of a day, by what happened.
func TestCharts(t *testing.T) {
	t.Parallel()
	h := func(hours float64) time.Time { return now.Add(-day).Add(time.Duration(hours * float64(time.Hour))) }
	for _, tt := range []struct {
		name string
		does func(w *world, web lb.CLB)
		want map[string]string // by class
	}{
		{"nothing", func(*world, lb.CLB) {}, map[string]string{"serving": "0h to 24h 0% to 100%",
			"share": "0h to 24h 100% to 100%",
			"lost":  "", "least": "", "unseen": "", "hatch": "", "silence": "", "cap": ""}},
		{"half out for two hours", func(w *world, web lb.CLB) { w.outage(web, h(6), 2*time.Hour, 1, 2) },
			map[string]string{"serving": "0h to 24h 0% to 100%", "lost": "6h to 8h 50% to 100%", "least": "",
				"share":    "0h to 6h 100% to 100%, 6h to 8h 50% to 50%, 8h to 24h 100% to 100%",
				"degraded": "6h to 8.2h -22% to -10%"}},
		{"all out for a minute", func(w *world, web lb.CLB) { w.outage(web, h(6), time.Minute, 1, 2, 3, 4) },
			map[string]string{"serving": "0h to 24h 0% to 100%", "lost": "6h to 6.1h 80% to 100%",
				"least": "6h to 6.1h 0% to 80%",
				"share": "0h to 6h 100% to 100%, 6h to 6.1h 80% to 80%, 6.1h to 24h 100% to 100%",
				"down":  "6h to 6.2h -22% to -4%"}},
		{"out since before, and until now", func(w *world, web lb.CLB) { w.outage(web, h(-6), 99*time.Hour, 1) },
			map[string]string{"share": "0h to 24h 75% to 75%", "lost": "0h to 24h 75% to 100%",
				"degraded": "0h to 24h -22% to -10%"}},
		{"not seen for four hours", func(w *world, web lb.CLB) { w.noTick(h(10), 4*time.Hour) },
			map[string]string{"serving": "0h to 10h 0% to 100%, 14h to 24h 0% to 100%",
				"unseen": "10h to 14h 0% to 100%",
				"share":  "0h to 10h 100% to 100%, 14h to 24h 100% to 100%", "lost": "", "least": ""}},
		{"not seen while something was out", func(w *world, web lb.CLB) {
			w.outage(web, h(6), 10*time.Hour, 1, 2)
			w.unseen(web, h(10), 4*time.Hour)
		}, map[string]string{"serving": "0h to 10h 0% to 100%, 14h to 24h 0% to 100%",
			"unseen": "10h to 14h 0% to 100%",
			"share":  "0h to 6h 100% to 100%, 6h to 10h 50% to 50%, 14h to 16h 50% to 50%, 16h to 24h 100% to 100%",
			"lost":   "6h to 10h 50% to 100%, 14h to 16h 50% to 100%"}},
		{"watched from noon on", func(w *world, web lb.CLB) {
			w.line(h(12), incident.Record{CLB: web, First: &lb.Capacity{Running: 4, Total: 4, Weight: 40,
				Serving: 40}})
			w.noTick(h(4), 4*time.Hour)
			w.silence(silenceOf("1", "prod-*", "", "", h(11)))
		}, map[string]string{"serving": "12h to 24h 0% to 100%", "share": "12h to 24h 100% to 100%", "lost": "",
			"unseen":  "",
			"silence": "12h to 13h 0% to 100%"}},
		{"deleted at noon", func(w *world, web lb.CLB) {
			w.outage(web, h(2), time.Hour, 1)
			w.line(h(12), incident.Record{CLB: web, Gone: incident.EndDeleted})
			delete(w.stands, web.Key())
		}, map[string]string{"serving": "0h to 12h 0% to 100%",
			"share":  "0h to 2h 100% to 100%, 2h to 3h 75% to 75%, 3h to 12h 100% to 100%",
			"unseen": ""}},
		{"silences", func(w *world, web lb.CLB) {
			w.outage(web, h(6), time.Hour, 1)
			w.outage(w.add("stage-web", 2), h(6), time.Hour, 1)
			w.silence(silenceOf("1", "prod-*", "", "", h(2)))
			w.silence(silenceOf("2", "prod-web", "", "", h(3))) // as one with it
			within := silenceOf("7", "*-web", "", "", h(3.5))
			within.Until = h(4)
			w.silence(within)
			w.silence(silenceOf("3", "stage-*", "", "", h(9))) // another's
			ack, others := silenceOf("4", "", "", "", h(12)), silenceOf("5", "", "", "", h(16))
			ack.Incident, others.Incident = "1", "2"
			w.silence(ack)
			w.silence(others)
			w.silence(silenceOf("6", "*", "", "", h(23)))
		}, map[string]string{"silence": "2h to 5h 0% to 100%, 12h to 14h 0% to 100%, 23h to 24h 0% to 100%",
			"cap": "2h to 5h 105% to 112%, 12h to 14h 105% to 112%, 23h to 24h 105% to 112%"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(day)
			tt.does(w, w.add("prod-web", 4))
			for _, p := range pictures(t, parse(t, write(t, w.report())), "prod-web") {
				for class, want := range tt.want {
					if got := p.says(class, 24); !near(got, want, 24) {
						t.Errorf("the %s is\n%s\nwant\n%s", class, got, want)
					}
				}
				hatched := p.says("hatch", 24)
				if (hatched == "") != (tt.want["unseen"] == "") {
					t.Errorf("the hatch is %q, want one where it was not seen", hatched)
				}
			}
		})
	}
}

// TestTimeNotSeenIsNotDrawnAsWellOrBad holds that nothing of a share is where nothing was seen, to the pixel.
func TestTimeNotSeenIsNotDrawnAsWellOrBad(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"prod-search", "prod-web-v2", "batch-night"} {
		for _, p := range pictures(t, parse(t, write(t, sample())), name) {
			seen := make(map[int]bool)
			for _, class := range []string{"serving", "share", "lost", "least"} {
				for _, shape := range p.paths[class] {
					left, right := shape[0][0], shape[0][0]
					for _, point := range shape {
						left, right = min(left, point[0]), max(right, point[0])
					}
					for x := left; x < right; x++ {
						seen[x] = true
					}
				}
			}
			for _, gap := range p.paths["unseen"] {
				for x := gap[0][0]; x < gap[2][0]; x++ {
					if seen[x] {
						t.Fatalf("%s, %s: at pixel %d it was not seen, and a share is drawn", name, p.svg.attr["class"], x)
					}
				}
			}
		}
	}
}

// TestLevelsAreToldByHeight holds that the mark of an incident is the higher the worse it was, and can be
// seen however short it was.
func TestLevelsAreToldByHeight(t *testing.T) {
	t.Parallel()
	for _, p := range pictures(t, parse(t, write(t, sample())), "prod-web") {
		if got := len(p.paths["degraded"]) + len(p.paths["impaired"]) + len(p.paths["down"]); got != 3 {
			t.Errorf("%d marks, want 3", got)
		}
	}
	w := newWorld(30 * day)
	web := w.add("prod-web", 10)
	for n, out := range [][]int{{1}, {1, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}} {
		w.outage(web, w.from.Add(time.Duration(n+1)*5*day), time.Minute, out...)
	}
	for _, p := range pictures(t, parse(t, write(t, w.report())), "prod-web") {
		last := 0
		for _, level := range []string{"impaired", "degraded", "down"} {
			if len(p.paths[level]) != 1 {
				t.Fatalf("%d marks of %s, want 1", len(p.paths[level]), level)
			}
			mark := p.paths[level][0]
			wide, high := mark[2][0]-mark[0][0], mark[0][1]-mark[1][1]
			if wide < 2 || high <= last {
				t.Errorf("the mark of %s is %d x %d pixels, want at least 2 wide, and higher than %d", level, wide, high,
					last)
			}
			last = high
		}
	}
}
