package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"clbwatch/internal/watch"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func sample() Report {
	at := time.Date(2026, 11, 23, 4, 53, 36, 0, time.UTC)
	return Report{At: at, Took: 2.14, Pools: []Pool{
		{CLB: watch.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q", Label: "prod-web"}, Backends: 12, Running: 10, NotRunning: []watch.Backend{
			{ID: "ins-9o9ex9s0", Name: "web-07", Status: 4, LanIP: "10.0.3.17", Out: &watch.Out{Since: at.Add(-12 * time.Minute)}},
			{ID: "ins-9o9ex9s1", Name: "网页服务器-11", Status: 9, LanIP: "10.0.3.121", Out: &watch.Out{Since: at.Add(-72 * time.Hour), AtLeast: true}},
		}},
		{CLB: watch.CLB{Region: "ap-beijing", ID: "lb-c4r9t0zw"}, Backends: 3, Running: 2, NotRunning: []watch.Backend{
			{ID: "ins-1", Name: "bad\x1b[2J\nprod-web  all fine \u202egnp", Status: 99, WanIPs: []string{"203.0.113.9"}},
		}},
		{CLB: watch.CLB{Region: "ap-beijing", ID: "lb-gone", Label: "old"}, Err: "LBNotFound: no such\nload balancer", Do: "check the id and its region in CLB_IDS"},
	}}
}

func TestWriteText(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]Report{
		"report.txt":   sample(),
		"no-state.txt": New(sample().At, 300*time.Millisecond, []watch.Standing{{CLB: sample().Pools[0].CLB, Backends: 1, Running: 1}}, errors.New("load state: permission denied")),
		"unread.txt":   {At: sample().At, Took: 0.3, Pools: sample().Pools[2:]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			if err := r.WriteText(&got); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("WriteText:\n%s\nwant:\n%s", &got, want)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	shop, unread := Pool{CLB: watch.CLB{ID: "lb-1", Label: "shop"}}, Pool{Err: "timeout"}
	for _, tt := range []struct {
		pools []Pool
		want  string
	}{
		{sample().Pools, "12 of 15 backends running on 2 load balancers, 1 cannot be read"},
		{sample().Pools[:1], "10 of 12 backends running on prod-web"},
		{sample().Pools[2:], "Cannot read old"},
		{[]Pool{unread, unread}, "Cannot read 2 load balancers"},
		{[]Pool{shop}, "shop has no backends"},
		{[]Pool{shop, shop}, "2 load balancers have no backends"},
		{[]Pool{shop, unread}, "1 load balancer has no backends, 1 cannot be read"},
	} {
		if got := (Report{Pools: tt.pools}).Summary(); got != tt.want {
			t.Errorf("Summary of %+v = %q, want %q", tt.pools, got, tt.want)
		}
	}
}

func TestWriteJSONReadsBack(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sample()) {
		t.Errorf("read back %+v, want %+v", got, sample())
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, want string }{
		"plain":                      {"web-07", "web-07"},
		"markup is left as it is":    {"<!channel> *b* `c` :fire:", "<!channel> *b* `c` :fire:"},
		"newlines become a space":    {"a\r\n\tb", "a b"},
		"line separators":            {"a\u2028b\u2029c", "a b c"},
		"escape sequences":           {"\x1b[31mred\x07", "[31mred"},
		"bidirectional overrides":    {"a\u202egnp\u2066", "agnp"},
		"zero width and tags":        {"a\u200b\u200d\ufeff\U000e0041b", "ab"},
		"private use":                {"a\ue000\U0010fffdb", "ab"},
		"broken UTF-8":               {"a\xff\xc3b\ufffd", "ab"},
		"space around":               {"\u00a0 a\u3000", "a"},
		"nothing visible":            {"\u200b\n", ""},
		"too long":                   {strings.Repeat("界", 60), strings.Repeat("界", 47) + "…"},
		"as long as is shown":        {strings.Repeat("界", 48), strings.Repeat("界", 48)},
		"emoji and Chinese are kept": {"🔥数据库", "🔥数据库"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Clean(tt.in, maxName); got != tt.want {
				t.Errorf("Clean(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestColumnsCountWideCharacters(t *testing.T) {
	t.Parallel()
	got := Columns([][]string{{"数据库", "1"}, {"db", "22"}, {"e\u0301", "3"}}, 1)
	want := []string{"数据库   1", "db      22", "e\u0301        3"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Columns = %q, want %q", got, want)
	}
}

func FuzzWriteText(f *testing.F) {
	f.Add("prod-web", "web-07", "LBNotFound", "check CLB_IDS")
	f.Add("\x1b]0;x\x07", "a\nb", "\u202e\xff", "\u2028")
	f.Fuzz(func(t *testing.T, label, name, err, do string) {
		r := Report{Note: do, Pools: []Pool{
			{CLB: watch.CLB{ID: name, Region: label, Label: label}, Backends: 1, NotRunning: []watch.Backend{{ID: err, Name: name, LanIP: do}}},
			{CLB: watch.CLB{ID: label}, Err: err + "x", Do: do},
		}}
		var b strings.Builder
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.String(), "\n"); n > 14 {
			t.Errorf("%d lines: a name started one of its own:\n%s", n, b.String())
		}
		for _, r := range b.String() {
			if r != '\n' && !unicode.IsPrint(r) || r == utf8.RuneError {
				t.Fatalf("%U in %q", r, b.String())
			}
		}
	})
}
