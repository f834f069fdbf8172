package page_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"clbwatch/internal/page"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestPageOfADay holds the page of one load balancer to the letter.
func TestPageOfADay(t *testing.T) {
	t.Parallel()
	golden, got := filepath.Join("testdata", "day.html"), write(t, single())
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("Write:\n%s\nwant:\n%s", got, want)
	}
}

// maxRows is how many load balancers a page lists.
const maxRows = 1000

// TestPageShowsEverything looks for what a report has.
func TestPageShowsEverything(t *testing.T) {
	t.Parallel()
	r := sample()
	all := parse(t, write(t, r))
	var rows, cards, notes, says []string
	for _, e := range all {
		switch {
		case e.name == "tr":
			rows = append(rows, words(e.text()))
		case e.name == "article":
			cards = append(cards, words(e.text()))
		case e.name == "li" && e.within("section") != nil:
			notes = append(notes, words(e.text()))
		case e.name == "p", e.name == "h1", e.name == "div" && e.within("dl") != nil:
			says = append(says, words(e.text()))
		}
	}
	for _, want := range []string{
		"Load balancers, last 30 d", "47 of 50 backends running on 10 load balancers, 1 cannot be read",
		"ap-guangzhou · Oct 30 2026 16:04 – Nov 29 2026 16:04, CST (UTC+08:00) · read in 0.8 s",
		"of the time, at least one backend was running 99.97 %",
		"of the time, all of the weight was in service 97.7 %",
		"incidents, 1 open 47", "to recover (median) 43 min", "to recover, at worst 3 d", "messages a day 3.1",
		"of the time was not seen 2.0 %", "Flapping: prod-api-07 (9 outages)",
	} {
		wantIn(t, "what the page says", says, want)
	}
	wantIn(t, "notes", notes,
		"Cannot read cdn-origin: UnauthorizedOperation: the role may not call DescribeTargets → "+
			"grant the role clb:DescribeTargets; see README, Permissions")
	marks := 0
	for _, l := range r.Timeline.Lines {
		wantIn(t, "cards", cards, l.CLB.Label)
		wantIn(t, "rows", rows, l.CLB.Label+" "+l.CLB.ID)
		marks += len(l.Marks)
		for _, m := range l.Marks {
			wantIn(t, "rows", rows, fmt.Sprintf("%s %s %s ", l.CLB.Label, m.Level, m.ID))
			wantIn(t, "cards", cards, fmt.Sprintf("incident %s: %s, ", m.ID, m.Level))
		}
	}
	if marks != 47 {
		t.Errorf("the sample has %d incidents, want 47", marks)
	}
	for _, want := range []string{
		"prod-web degraded 15 Nov 28 06:00 open, acknowledged by grace 34 h 4 min",
		"prod-pay down 1 Nov 10 03:12 04:59 1 h 47 min", "prod-api degraded 12 Nov 3 10:40 Nov 4 12:50 26 h 10 min",
		"silence 7 prod-web* Nov 15 09:50 – Nov 17 09:50 2 d ada disk of web-11 is being replaced, ticket OPS-4711",
		"silence 8 incident 15 Nov 28 06:10 – Nov 29 06:10 24 h grace",
		"window 1 batch-* 30 times, last Nov 29 01:00 – 05:00 5 d", "prod-api-07 (9 outages) prod-api",
		"legacy-soap lb-6a99b44c not watched any more 99.83 %", "prod-pay lb-daa66d13 3 of 3 running 99.77 %",
		"cdn-origin lb-17156075 cannot be read 100 %",
	} {
		wantIn(t, "rows", rows, want)
	}
	// the worst first
	wantOrder(t, cards, "prod-pay", "legacy-soap", "batch-night", "prod-web", "prod-api", "cdn-origin",
		"prod-search",
		"prod-auth", "prod-static", "stage-web", "数据库-代理", "prod-web-v2")
}

func words(s string) string { return strings.Join(strings.Fields(s), " ") }

func wantIn(t *testing.T, what string, all []string, want string) {
	t.Helper()
	for _, s := range all {
		if strings.Contains(s, want) {
			return
		}
	}
	t.Errorf("%s are\n%.1000s\nwant %q among them", what, strings.Join(all, "\n"), want)
}

// wantOrder holds that texts begin with words.
func wantOrder(t *testing.T, all []string, want ...string) {
	t.Helper()
	if len(all) != len(want) {
		t.Errorf("%d of them, want %d", len(all), len(want))
	}
	for n := range min(len(all), len(want)) {
		if !strings.HasPrefix(all[n], want[n]+" ") {
			t.Errorf("number %d is %.40q, want %q", n+1, all[n], want[n])
		}
	}
}

func TestPageSaysWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		page string
		want []string
		not  []string
	}{
		{"no state", write(t, unknown()), []string{"It is not known how load balancers stood",
			"The state cannot be read", "permission denied",
			"stage-web lb-c4r9t0zw cannot be read prod-web lb-8a3k2m1q 6 of 7 running",
			"Cannot read stage-web: timeout"},
			[]string{"UP", "COURSE", "Incidents", "In figures"}},
		{"nothing is watched", write(t, none()), []string{"It is not known how load balancers stood",
			"No load balancer is watched"}, []string{"UP", "Please note", "Load balancers "}},
		{"nothing happened", write(t, well()), []string{"All of the weight in service, whenever they were seen",
			"prod-web", "7 of 7 running", "up 100 %", "of the time was not seen 0 %", "incidents 0"},
			[]string{"Please note", "Silences", "Flapping backends", "to recover", "silenced"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got string
			for _, e := range parse(t, tt.page) {
				if e.name == "body" {
					got = words(e.text())
				}
			}
			for _, want := range tt.want {
				wantIn(t, "the words", []string{got}, want)
			}
			for _, not := range tt.not {
				if strings.Contains(got, not) {
					t.Errorf("the page says %q, want no %q in it", got, not)
				}
			}
		})
	}
}

// TestWhatIsLeftOutIsSaid holds that a page counts what it has no room for.
func TestWhatIsLeftOutIsSaid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                string
		page                string
		charts, rows, marks int // rows of load balancers; marks in the first chart
		want                []string
	}{
		{"twelve", write(t, sample()), 12, 12, 2, nil},
		{"many", write(t, many(600)), 50, 600, 6,
			[]string{"Only in the table: 79 load balancers less bad than these; " +
				"471 load balancers with all of the weight in service.",
				"The worst 500, newest first; 191 more are not listed"}},
		{"few of them bad", write(t, many(70)), 15, 70, 6,
			[]string{"Only in the table: 55 load balancers with all of " +
				"the weight in service."}},
		{"all bad", write(t, worst(70)), 50, 70, 60,
			[]string{"Only in the table: 20 load balancers less bad than these.",
				"540 more incidents have no mark.", "The worst 500, newest first; 35560 more are not listed",
				"… and 350 more.",
				"… and 50 more", "… and 160 more."}},
		{"more than a table holds", write(t, many(maxRows+100)), 50, maxRows, 6, []string{"… and 100 more."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			charts, rows, marks := 0, 0, 0
			var body string
			for _, e := range parse(t, tt.page) {
				switch table := e.within("table"); {
				case e.name == "body":
					body = words(e.text())
				case e.name == "article":
					charts++
				case e.name == "tr" && table != nil && table.has("balancers") && e.within("tbody") != nil:
					rows++
				case e.has("hit") && charts == 1:
					marks++
				}
			}
			if charts != tt.charts || rows != tt.rows || marks != tt.marks {
				t.Errorf("%d charts, %d rows and %d marks, want %d, %d and %d", charts, rows, marks, tt.charts, tt.rows,
					tt.marks)
			}
			for _, want := range tt.want {
				if !strings.Contains(body, want) {
					t.Errorf("the page does not say %q", want)
				}
			}
		})
	}
}

// TestPageIsBounded holds how large a page of 30 days becomes: of 600 load balancers, and of more than there
// is room for, where every cell of each chart is another, and all texts are as long as can be.
func TestPageIsBounded(t *testing.T) {
	t.Parallel()
	const mb = 1_000_000
	for _, tt := range []struct {
		name  string
		page  string
		bound int
	}{
		{"a fifth of 600 had incidents", write(t, many(600)), 1.1 * mb},
		{"more than there is room for", write(t, worst(maxRows+50)), 6 * mb},
	} {
		if got := len(tt.page); got > tt.bound || got < tt.bound*3/4 {
			t.Errorf("%s: the page has %d bytes, want at most %d and not much less", tt.name, got, tt.bound)
		}
	}
}

// TestWriteFails holds that an error says what was being done.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	err := page.Write(failing{}, sample(), china)
	if err == nil || err.Error() != "write the page: disk full" {
		t.Errorf("Write = %v, want an error that says what", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestColoursAreTold holds the contrasts of WCAG 2.2 AA, in light and dark: 4.5 for text, 3 for signs.
func TestColoursAreTold(t *testing.T) {
	t.Parallel()
	css, err := os.ReadFile("page.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllSubmatch(css, -1)
	if len(schemes) != 2 {
		t.Fatalf("%d schemes, want light and dark", len(schemes))
	}
	for n, scheme := range [2]string{"light", "dark"} {
		colours := make(map[string]string)
		for _, m := range regexp.MustCompile(`--(\w+): #(\w+);`).FindAllSubmatch(schemes[n][1], -1) {
			colours[string(m[1])] = string(m[2])
		}
		for _, tt := range []struct {
			on, of string
			least  float64
		}{
			{"back", "text quiet share", 4.5}, {"card", "text quiet share", 4.5},
			{"card", "least silence well partial bad ok impaired degraded down", 3}, {"serving",
				"share least silence", 3},
			{"unseen", "hatch least", 3}, {"lost", "share", 3},
		} {
			for _, of := range strings.Fields(tt.of) {
				if got := contrast(t, colours[tt.on], colours[of]); got < tt.least {
					t.Errorf("%s: %s on %s has a contrast of %.2f, want %v", scheme, of, tt.on, got, tt.least)
				}
			}
		}
	}
}

// contrast is the ratio of two colours, as WCAG has it.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(c string) float64 {
		if len(c) == 3 {
			c = fmt.Sprintf("%c%c%c%c%c%c", c[0], c[0], c[1], c[1], c[2], c[2])
		}
		sum := 0.0
		for n, weight := range [3]float64{0.2126, 0.7152, 0.0722} {
			v, err := strconv.ParseUint(c[2*n:2*n+2], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			x := float64(v) / 255
			if x <= 0.04045 {
				x /= 12.92
			} else {
				x = math.Pow((x+0.055)/1.055, 2.4)
			}
			sum += weight * x
		}
		return sum
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
