package incident

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests need the zones wherever they run
)

// zoneOf is a time zone.
func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// windowOf reads what Window.String writes, of days that are written one by one.
func windowOf(t testing.TB, text string) (w Window) {
	t.Helper()
	var days, zone, all string
	var fromHour, fromMinute, toHour, toMinute int
	glob, rest, _ := strings.Cut(text, "@")
	n, err := fmt.Sscanf(rest+" .", "%s %d:%d-%d:%d %s %s", &days, &fromHour, &fromMinute, &toHour, &toMinute,
		&zone, &all)
	if n != 7 || err != nil {
		t.Fatalf("%q is not a window", text)
	}
	w = Window{What: glob, All: all == "all", From: fromHour*60 + fromMinute, To: toHour*60 + toMinute,
		Zone: zoneOf(t, zone)}
	for d := range w.Days {
		w.Days[d] = days == "daily" || strings.Contains(days, time.Weekday(d).String()[:3])
	}
	return w
}

// windowsOf are the windows of a setting.
func windowsOf(t testing.TB, setting string) (ws Windows) {
	t.Helper()
	for text := range strings.SplitSeq(setting, "; ") {
		ws = append(ws, windowOf(t, text))
	}
	return ws
}

const span = "2006-01-02T15:04Z"

// spansOf are the silences of a time of some days from a date on: each as "ID glob Made Until". It asks at
// every quarter of an hour, so it sees no silence that is shorter.
func spansOf(ws Windows, from time.Time, days int) (spans []string) {
	for at := from; at.Before(from.AddDate(0, 0, days)); at = at.Add(15 * time.Minute) {
		for _, s := range ws.Active(at) {
			all := ""
			if s.All {
				all = " all"
			}
			text := fmt.Sprintf("%s %s%s %s %s", s.ID, s.What, all, s.Made.Format(span), s.Until.Format(span))
			if !slices.Contains(spans, text) {
				spans = append(spans, text)
			}
		}
	}
	return spans
}

// TestWindowsAreActive holds which silences windows make in some days, in UTC.
func TestWindowsAreActive(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, setting string
		from          string // the first day
		days          int
		want          []string
	}{
		{"in a day", "x@Mon 09:00-17:30 UTC",
			"2027-03-01", 8, []string{
				"window 1 x 2027-03-01T09:00Z 2027-03-01T17:30Z",
				"window 1 x 2027-03-08T09:00Z 2027-03-08T17:30Z",
			}},
		{"over midnight", "x@Mon 20:00-08:00 UTC",
			"2027-03-01", 7, []string{
				"window 1 x 2027-03-01T20:00Z 2027-03-02T08:00Z",
			}},
		{"until midnight", "x@Mon 20:00-24:00 UTC",
			"2027-03-01", 7, []string{
				"window 1 x 2027-03-01T20:00Z 2027-03-02T00:00Z",
			}},
		{"a whole day", "x@Mon 00:00-24:00 UTC",
			"2027-03-01", 7, []string{
				"window 1 x 2027-03-01T00:00Z 2027-03-02T00:00Z",
			}},
		{"24 hours", "x@Mon 20:00-20:00 UTC",
			"2027-03-01", 7, []string{
				"window 1 x 2027-03-01T20:00Z 2027-03-02T20:00Z",
			}},
		{"a zone ahead", "x@Mon 00:00-06:00 Asia/Shanghai",
			"2027-02-28", 3, []string{
				"window 1 x 2027-02-28T16:00Z 2027-02-28T22:00Z",
			}},
		{"a zone behind", "x@Mon 20:00-23:00 America/Los_Angeles",
			"2027-03-01", 3, []string{
				"window 1 x 2027-03-02T04:00Z 2027-03-02T07:00Z",
			}},
		{"the days of a weekend join", "x@Sat,Sun 00:00-24:00 Asia/Shanghai",
			"2027-03-01", 10, []string{
				"window 1 x 2027-03-05T16:00Z 2027-03-07T16:00Z",
			}},
		{"from Friday to Monday", "x@Fri,Sat,Sun,Mon 08:00-08:00 UTC",
			"2027-03-03", 7, []string{
				"window 1 x 2027-03-05T08:00Z 2027-03-09T08:00Z",
			}},
		{"a weekend that begins and ends in the day",
			"x@Fri 18:00-24:00 UTC; x@Sat,Sun 00:00-24:00 UTC; x@Mon 00:00-07:00 UTC",
			"2027-03-03", 7, []string{
				"window 1 x 2027-03-05T18:00Z 2027-03-08T07:00Z",
			}},
		{"overlapping windows join, and the first listed names them",
			"y@Mon 01:00-01:15 UTC; x@Mon 12:00-14:00 UTC; x@Mon 10:00-13:00 UTC",
			"2027-03-01", 7, []string{
				"window 1 y 2027-03-01T01:00Z 2027-03-01T01:15Z",
				"window 2 x 2027-03-01T10:00Z 2027-03-01T14:00Z",
			}},
		{"one window within another", "x@Mon 10:00-16:00 UTC; x@Mon 12:00-13:00 UTC",
			"2027-03-01", 7, []string{
				"window 1 x 2027-03-01T10:00Z 2027-03-01T16:00Z",
			}},
		{"touching windows join, in two zones too", "x@Mon 18:00-20:00 Asia/Shanghai; x@Mon 12:00-13:00 UTC",
			"2027-03-01", 7, []string{
				"window 1 x 2027-03-01T10:00Z 2027-03-01T13:00Z",
			}},
		{"a gap parts windows", "x@Mon 10:00-12:00 UTC; x@Mon 12:15-13:00 UTC",
			"2027-03-01", 7, []string{
				"window 1 x 2027-03-01T10:00Z 2027-03-01T12:00Z",
				"window 2 x 2027-03-01T12:15Z 2027-03-01T13:00Z",
			}},
		{"other globs do not join", "x@Mon 10:00-12:00 UTC; y@Mon 11:00-13:00 UTC",
			"2027-03-01", 7, []string{
				"window 1 x 2027-03-01T10:00Z 2027-03-01T12:00Z",
				"window 2 y 2027-03-01T11:00Z 2027-03-01T13:00Z",
			}},
		{"all wins as long as it lasts", "x@Mon 10:00-16:00 UTC; x@Mon 12:00-13:00 UTC all",
			"2027-03-01", 7, []string{
				"window 1 x 2027-03-01T10:00Z 2027-03-01T16:00Z",
				"window 2 x all 2027-03-01T12:00Z 2027-03-01T13:00Z",
			}},
		{"all does not join what is not all", "x@Mon 10:00-12:00 UTC; x@Mon 12:00-13:00 UTC all",
			"2027-03-01", 7, []string{
				"window 1 x 2027-03-01T10:00Z 2027-03-01T12:00Z",
				"window 2 x all 2027-03-01T12:00Z 2027-03-01T13:00Z",
			}},
		{"no days", "x@none 10:00-12:00 UTC", "2027-03-01", 7, nil},
	}
	for _, tt := range tests {
		from, err := time.Parse(time.DateOnly, tt.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := spansOf(windowsOf(t, tt.setting), from, tt.days); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %s makes\n%s\nwant\n%s", tt.name, tt.setting, strings.Join(got, "\n"),
				strings.Join(tt.want, "\n"))
		}
	}
}

// TestWindowsWhenClocksChange holds when windows are active, in UTC, on days on which the clocks change.
func TestWindowsWhenClocksChange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, window, from string
		days               int
		want               string // Made and Until
	}{
		// In Berlin, 02:00 to 03:00 (01:00Z) does not exist on 2027-03-28, a Sunday.
		{"starts in the skipped hour", "x@Sun 02:30-05:00 Europe/Berlin", "2027-03-28", 1,
			"2027-03-28T01:00Z 2027-03-28T03:00Z"},
		{"starts as it begins", "x@Sun 02:00-05:00 Europe/Berlin", "2027-03-28", 1,
			"2027-03-28T01:00Z 2027-03-28T03:00Z"},
		{"starts as it ends", "x@Sun 03:00-05:00 Europe/Berlin", "2027-03-28", 1,
			"2027-03-28T01:00Z 2027-03-28T03:00Z"},
		{"ends in the skipped hour", "x@Sun 00:00-02:30 Europe/Berlin", "2027-03-27", 2,
			"2027-03-27T23:00Z 2027-03-28T01:00Z"},
		{"ends as it begins", "x@Sun 00:00-02:00 Europe/Berlin", "2027-03-27", 2,
			"2027-03-27T23:00Z 2027-03-28T01:00Z"},
		{"ends as it ends", "x@Sun 00:00-03:00 Europe/Berlin", "2027-03-27", 2,
			"2027-03-27T23:00Z 2027-03-28T01:00Z"},
		{"lies within the skipped hour", "x@Sun 02:15-02:45 Europe/Berlin", "2027-03-27", 2, ""},
		{"is the skipped hour", "x@Sun 02:00-03:00 Europe/Berlin", "2027-03-27", 2, ""},
		{"spans the skipped hour", "x@Sat 20:00-08:00 Europe/Berlin", "2027-03-27", 2,
			"2027-03-27T19:00Z 2027-03-28T06:00Z"},
		{"a day of 23 hours", "x@Sun 00:00-24:00 Europe/Berlin", "2027-03-27", 3,
			"2027-03-27T23:00Z 2027-03-28T22:00Z"},
		// In Berlin, 02:00 to 03:00 (00:00Z and 01:00Z) exists twice on 2027-10-31, a Sunday.
		{"starts in the doubled hour", "x@Sun 02:30-05:00 Europe/Berlin", "2027-10-31", 1,
			"2027-10-31T00:30Z 2027-10-31T04:00Z"},
		{"starts as the doubled hour begins", "x@Sun 02:00-05:00 Europe/Berlin", "2027-10-31", 1,
			"2027-10-31T00:00Z 2027-10-31T04:00Z"},
		{"starts as the doubled hour ends", "x@Sun 03:00-05:00 Europe/Berlin", "2027-10-31", 1,
			"2027-10-31T02:00Z 2027-10-31T04:00Z"},
		{"ends in the doubled hour", "x@Sun 01:00-02:30 Europe/Berlin", "2027-10-30", 2,
			"2027-10-30T23:00Z 2027-10-31T00:30Z"},
		{"ends as the doubled hour begins", "x@Sun 01:00-02:00 Europe/Berlin", "2027-10-30", 2,
			"2027-10-30T23:00Z 2027-10-31T00:00Z"},
		{"ends as the doubled hour ends", "x@Sun 01:00-03:00 Europe/Berlin", "2027-10-30", 2,
			"2027-10-30T23:00Z 2027-10-31T02:00Z"},
		{"lies within the doubled hour", "x@Sun 02:15-02:45 Europe/Berlin", "2027-10-31", 1,
			"2027-10-31T00:15Z 2027-10-31T00:45Z"},
		{"is the doubled hour", "x@Sun 02:00-03:00 Europe/Berlin", "2027-10-31", 1,
			"2027-10-31T00:00Z 2027-10-31T02:00Z"},
		{"spans the doubled hour", "x@Sat 20:00-08:00 Europe/Berlin", "2027-10-30", 2,
			"2027-10-30T18:00Z 2027-10-31T07:00Z"},
		{"a day of 25 hours", "x@Sun 00:00-24:00 Europe/Berlin", "2027-10-30", 3,
			"2027-10-30T22:00Z 2027-10-31T23:00Z"},
		// Apia went from Thursday, 2011-12-29 (10:00Z is its midnight), to Saturday, 2011-12-31.
		{"the day before a skipped day", "x@Thu 00:00-24:00 Pacific/Apia", "2011-12-28", 4,
			"2011-12-29T10:00Z 2011-12-30T10:00Z"},
		{"ends on a skipped day", "x@Thu 20:00-08:00 Pacific/Apia", "2011-12-28", 4,
			"2011-12-30T06:00Z 2011-12-30T10:00Z"},
		{"a skipped day", "x@Fri 00:00-24:00 Pacific/Apia", "2011-12-28", 4, ""},
		{"starts on a skipped day", "x@Fri 20:00-08:00 Pacific/Apia", "2011-12-28", 4,
			"2011-12-30T10:00Z 2011-12-30T18:00Z"},
		{"the day after a skipped day", "x@Sat 00:00-24:00 Pacific/Apia", "2011-12-28", 5,
			"2011-12-30T10:00Z 2011-12-31T10:00Z"},
		// Lord Howe goes from 02:00 to 02:30 on 2027-10-03 (15:30Z), and from 02:00 to 01:30 on 2027-04-04
		// (15:00Z).
		{"starts in a skipped half-hour", "x@Sun 02:15-04:00 Australia/Lord_Howe", "2027-10-02", 2,
			"2027-10-02T15:30Z 2027-10-02T17:00Z"},
		{"starts in a doubled half-hour", "x@Sun 01:45-04:00 Australia/Lord_Howe", "2027-04-03", 2,
			"2027-04-03T14:45Z 2027-04-03T17:30Z"},
		{"the clocks do not change", "x@Sun 02:30-05:00 Asia/Shanghai", "2027-03-27", 2,
			"2027-03-27T18:30Z 2027-03-27T21:00Z"},
	}
	for _, tt := range tests {
		from, err := time.Parse(time.DateOnly, tt.from)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if tt.want != "" {
			want = []string{"window 1 x " + tt.want}
		}
		if got := spansOf(windowsOf(t, tt.window), from, tt.days); !slices.Equal(got, want) {
			t.Errorf("%s: %s is active %q, want %q", tt.name, tt.window, got, want)
		}
	}
}

// TestWindowEdges holds that a window is active from its first moment on, and not any more at its end.
func TestWindowEdges(t *testing.T) {
	t.Parallel()
	ws := windowsOf(t, "x@Mon 20:00-08:00 Asia/Shanghai all")
	begin := time.Date(2027, time.March, 1, 12, 0, 0, 0, time.UTC)
	end := begin.Add(12 * time.Hour)
	want := Silence{ID: "window 1", What: "x", All: true, By: "SILENCES", Made: begin, Until: end}
	for _, zone := range []string{"UTC", "Asia/Shanghai", "America/New_York"} {
		for _, at := range []time.Time{begin, begin.Add(1), end.Add(-1)} {
			got := ws.Active(at.In(zoneOf(t, zone)))
			if len(got) != 1 || got[0] != want || !got[0].Active(at) {
				t.Errorf("at %v: %+v, want %+v", at, got, want)
			}
		}
		for _, at := range []time.Time{begin.Add(-1), end} {
			if got := ws.Active(at.In(zoneOf(t, zone))); got != nil {
				t.Errorf("at %v: %+v, want none", at, got)
			}
		}
	}
	if got := Windows(nil).Active(begin); got != nil {
		t.Errorf("without windows: %+v, want none", got)
	}
}

// TestAllOverrulesTheSameGlob holds that of two silences of a glob only the one with All is returned, and
// that those of other globs stay.
func TestAllOverrulesTheSameGlob(t *testing.T) {
	t.Parallel()
	ws := windowsOf(t, "x@Mon 10:00-16:00 UTC; y@Mon 10:00-16:00 UTC; x@Mon 12:00-13:00 UTC all")
	for hour, want := range map[int][]string{
		11: {"window 1", "window 2"}, 12: {"window 2", "window 3"}, 13: {"window 1", "window 2"},
	} {
		var got []string
		for _, s := range ws.Active(time.Date(2027, time.March, 1, hour, 0, 0, 0, time.UTC)) {
			got = append(got, s.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("at %d: %q, want %q", hour, got, want)
		}
	}
}

// TestEndless holds which windows leave a gap.
func TestEndless(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, setting, want string }{
		{"whole days", "x@daily 00:00-24:00 UTC", "x"},
		{"24 hours of each day", "x@daily 08:00-08:00 Europe/Berlin", "x"},
		{"two halves", "y@Mon 10:00-12:00 UTC; x@daily 20:00-08:00 UTC; x@daily 08:00-20:00 UTC", "x"},
		{"two halves in two zones", "x@daily 20:00-08:00 Asia/Shanghai; x@daily 00:00-12:00 UTC", "x"},
		{"two halves, one of them with all", "x@daily 20:00-08:00 UTC; x@daily 08:00-20:00 UTC all", "x"},
		{"two halves of two globs", "x@daily 20:00-08:00 UTC; y@daily 08:00-20:00 UTC", ""},
		{"a gap of a minute in a day", "x@daily 00:00-23:59 Europe/Berlin", ""},
		{"a gap of a minute in a week", "x@Mon,Tue,Wed,Thu,Fri,Sat 00:00-24:00 Europe/Berlin; " +
			"x@Sun 00:01-24:00 Europe/Berlin", ""},
		{"a gap that the clocks skip", "x@Mon,Tue,Wed,Thu,Fri,Sat 00:00-24:00 Europe/Berlin; " +
			"x@Sun 00:00-02:00 Europe/Berlin; x@Sun 03:00-24:00 Europe/Berlin", "x"},
		{"without a gap in winter only", "x@daily 20:00-08:00 Europe/Berlin; x@daily 07:00-19:00 UTC", "x"},
		{"a gap in winter and in summer", "x@daily 20:00-08:00 Europe/Berlin; x@daily 07:00-17:59 UTC", ""},
		{"none", "x@none 00:00-24:00 UTC", ""},
	}
	for _, tt := range tests {
		if got := windowsOf(t, tt.setting).Endless(); got != tt.want {
			t.Errorf("%s: Endless of %s = %q, want %q", tt.name, tt.setting, got, tt.want)
		}
	}
}

func ExampleWindows_Active() {
	night := Window{What: "prod-*", From: 20 * 60, To: 8 * 60, Zone: time.UTC}
	for d := time.Monday; d <= time.Friday; d++ {
		night.Days[d] = true
	}
	fmt.Println(night)
	for _, s := range (Windows{night}).Active(time.Date(2027, time.March, 6, 3, 0, 0, 0, time.UTC)) {
		fmt.Println(s.ID, "silences", s.What, "until", s.Until.Format(time.DateTime))
	}
	// Output:
	// prod-*@Mon-Fri 20:00-08:00 UTC
	// window 1 silences prod-* until 2027-03-06 08:00:00
}

func TestWindowString(t *testing.T) {
	t.Parallel()
	for days, want := range map[string]string{
		"daily": "Mon-Sun", "Mon": "Mon", "Sat,Sun": "Sat-Sun", "Sun": "Sun",
		"Fri,Sat,Sun,Mon": "Mon,Fri-Sun", "Mon,Wed,Thu,Fri": "Mon,Wed-Fri", "Mon,Wed,Fri": "Mon,Wed,Fri",
	} {
		w := windowOf(t, "a b@"+days+" 08:05-24:00 Asia/Shanghai all")
		if got, want := w.String(), "a b@"+want+" 08:05-24:00 Asia/Shanghai all"; got != want {
			t.Errorf("String of %v = %q, want %q", w.Days, got, want)
		}
	}
}
