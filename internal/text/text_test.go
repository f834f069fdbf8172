package text_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/text"
)

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
			if got := text.Clean(tt.in, 48); got != tt.want {
				t.Errorf("Clean(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestPrintableLeavesNoControls(t *testing.T) {
	t.Parallel()
	got, want := text.Printable("\x00a\x1f \x7e\x7f\u0080b\u009b\u009f\u00a0界\n"), "a \x7eb\u00a0界"
	if got != want {
		t.Errorf("Printable = %q, want %q", got, want)
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"prod-web", 8, "prod-web"}, {"prod-web-07", 8, "prod…-07"}, {"prod-web-07", 9, "prod…b-07"},
		{"prod web 07", 10, "prod…b 07"},
		{"数据库", 6, "数据库"}, {"数据库服务器", 7, "数据…器"}, {"数据库服务器", 6, "数…器"}, {"数据库服务器", 1, "…"},
	} {
		if got := text.Short(tt.in, tt.n); got != tt.want || text.Cells(got) > tt.n {
			t.Errorf("Short(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}

func TestColumnsCountWideCharacters(t *testing.T) {
	t.Parallel()
	got := text.Columns([][]string{{"数据库", "1"}, {"db", "22"}, {"e\u0301", "3"}}, 1)
	want := []string{"数据库   1", "db      22", "e\u0301        3"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Columns = %q, want %q", got, want)
	}
}

func TestDurationIsSaidInTheUnitsOfPeople(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "less than 1 min", 29 * time.Second: "less than 1 min", 30 * time.Second: "1 min",
		59 * time.Minute: "59 min",
		time.Hour:        "1 h", 47*time.Hour + 59*time.Minute: "47 h 59 min",
		48 * time.Hour: "2 d", 73 * time.Hour: "3 d 1 h",
	} {
		if got := text.Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestPlural(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0 backends", 1: "1 backend", 2: "2 backends"} {
		if got := text.Plural(n, "backend"); got != want {
			t.Errorf("Plural(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestLength(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"30m": 30 * time.Minute, "2h": 2 * time.Hour, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour,
		"1d12h": 36 * time.Hour, "0d5m": 5 * time.Minute, "1.5h": 90 * time.Minute, "0": 0,
		"99999999999999999d": 1000 * 24 * time.Hour,
	} {
		if got, ok := text.Length(s); !ok || got != want {
			t.Errorf("Length(%q) = %v, %v, want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{
		"", "d", "2", "2x", "h", "-1h", "+1h", "-1d", "+1d", "1d-1h", "1d+1h", "1h1d", "1d1d", "1 d", "1d 2h",
		"2h ", "1w", "1.5d", "99999999999999999999d", "1d2562047h47m", "999999h9999999h", "1d\n", "１d",
	} {
		if got, ok := text.Length(s); ok {
			t.Errorf("Length(%q) = %v, want nothing", s, got)
		}
	}
}

func TestLengthFirst(t *testing.T) {
	t.Parallel()
	first := func(words ...string) (time.Duration, []string, error) {
		return text.LengthFirst(words, time.Minute, 7*24*time.Hour, "1m to 7d")
	}
	if d, rest, err := first("2h", "3", "deploys"); err != nil || d != 2*time.Hour || len(rest) != 2 {
		t.Errorf("2h 3 deploys: %v, %q, %v", d, rest, err)
	}
	if d, rest, err := first("deploy", "2h"); err != nil || d != 0 || len(rest) != 2 {
		t.Errorf("deploy 2h: %v, %q, %v, want no time", d, rest, err)
	}
	for _, words := range [][]string{nil, {""}} {
		if d, rest, err := first(words...); err != nil || d != 0 || len(rest) != len(words) {
			t.Errorf("%q: %v, %q, %v, want no time", words, d, rest, err)
		}
	}
	for _, word := range []string{"2", "8d", "30s", "0", "4711"} {
		if _, _, err := first(word); err == nil || !strings.Contains(err.Error(), "1m to 7d") {
			t.Errorf("%s: %v, want an error with the bounds", word, err)
		}
	}
}

func TestPeriod(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"1m": time.Minute, "24h": 24 * time.Hour, "90d": 90 * 24 * time.Hour, "1d12h": 36 * time.Hour,
	} {
		if got, err := text.Period(s); err != nil || got != want {
			t.Errorf("Period(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "59s", "90d1s", "91d", "x", "-1h"} {
		if got, err := text.Period(s); err == nil {
			t.Errorf("Period(%q) = %v, want an error", s, got)
		}
	}
}
