package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests need the zones wherever they run

	"clbwatch/internal/incident"
)

// days is some days of the week.
func days(on ...time.Weekday) (d [7]bool) {
	for _, day := range on {
		d[day] = true
	}
	return d
}

func TestParseSilences(t *testing.T) {
	t.Parallel()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	const sun, mon, tue, wed, thu, fri, sat = time.Sunday, time.Monday, time.Tuesday, time.Wednesday,
		time.Thursday, time.Friday, time.Saturday
	workdays := days(mon, tue, wed, thu, fri)
	night := incident.Window{What: "prod-*", Days: workdays, From: 20 * 60, To: 8 * 60, Zone: shanghai}
	with := func(change func(w *incident.Window)) incident.Windows {
		w := night
		change(&w)
		return incident.Windows{w}
	}
	onDays := func(on ...time.Weekday) incident.Windows {
		return with(func(w *incident.Window) { w.Days = days(on...) })
	}
	hours := func(from, to int) incident.Windows {
		return with(func(w *incident.Window) { w.From, w.To = from, to })
	}
	named := func(glob string) incident.Windows { return with(func(w *incident.Window) { w.What = glob }) }
	for setting, want := range map[string]incident.Windows{
		"":  nil,
		";": nil,
		"prod-*@Mon-Fri 20:00-08:00 Asia/Shanghai":          {night},
		" prod-* @ Mon-Fri  20:00-08:00\tAsia/Shanghai ; ;": {night},
		"prod-*@mon-FRI 20:00-8:00 Asia/Shanghai":           {night},
		"prod-*@Mon-Fri 20:00-08:00 Asia/Shanghai all":      with(func(w *incident.Window) { w.All = true }),
		"prod-*@Sun 20:00-08:00 UTC; prod-*@Mon-Fri 20:00-08:00 Asia/Shanghai": {
			{What: "prod-*", Days: days(sun), From: 20 * 60, To: 8 * 60, Zone: time.UTC}, night},
		"prod-*@Sat,Sun 20:00-08:00 Asia/Shanghai":     onDays(sat, sun),
		"prod-*@Mon 20:00-08:00 Asia/Shanghai":         onDays(mon),
		"prod-*@Fri-Mon 20:00-08:00 Asia/Shanghai":     onDays(fri, sat, sun, mon),
		"prod-*@Mon,Wed-Fri 20:00-08:00 Asia/Shanghai": onDays(mon, wed, thu, fri),
		"prod-*@Tue-Mon,Tue 20:00-08:00 Asia/Shanghai": onDays(sun, mon, tue, wed, thu, fri, sat),
		"prod-*@Mon-Fri 00:00-24:00 Asia/Shanghai":     hours(0, 1440),
		"prod-*@Mon-Fri 00:00-00:00 Asia/Shanghai":     hours(0, 1440),
		"prod-*@Mon-Fri 20:30-00:00 Asia/Shanghai":     hours(20*60+30, 1440),
		"prod-*@Mon-Fri 23:59-00:01 Asia/Shanghai":     hours(1439, 1),
		"web 1@home@Mon-Fri 20:00-08:00 Asia/Shanghai": named("web 1@home"),
		"a@Mon@Mon-Fri 20:00-08:00 Asia/Shanghai":      named("a@Mon"),
		"@@Mon-Fri 20:00-08:00 Asia/Shanghai":          named("@"),
		"支付-?@Mon-Fri 20:00-08:00 Asia/Shanghai":       named("支付-?"),
		"Mon 20:00@Mon-Fri 20:00-08:00 Asia/Shanghai":  named("Mon 20:00"),
		strings.Repeat("x", incident.MaxSilenceText) + "@Mon-Fri 20:00-08:00 Asia/Shanghai": named(
			strings.Repeat("x", incident.MaxSilenceText)),
	} {
		c, err := Parse(withSilences(setting))
		if err != nil {
			t.Errorf("SILENCES=%s: %v", setting, err)
			continue
		}
		if got := fmt.Sprint(c.Silences); got != fmt.Sprint(want) {
			t.Errorf("SILENCES=%s is %s, want %s", setting, got, want)
		}
	}
	if c, err := Parse(laptop); err != nil || c.Silences != nil {
		t.Errorf("by default: %v, %v, want none", c.Silences, err)
	}
}

func withSilences(setting string) map[string]string { return with("SILENCES", setting) }

func TestParseSilencesRefuses(t *testing.T) {
	t.Parallel()
	const form = "expected glob@days hours zone, such as prod-*@Mon-Fri 20:00-08:00 Asia/Shanghai"
	long := strings.Repeat("x", incident.MaxSilenceText+1)
	const endless = `never ends for "x": its windows fill the week, expected a gap between them`
	const zoneForm = "expected one like Asia/Shanghai or UTC"
	const daysForm = "expected some like Mon-Fri, Sat,Sun or Fri-Mon"
	const hoursForm = "expected some like 20:00-08:00, from 00:00 to 24:00"
	for setting, want := range map[string][]string{
		"prod-*":                          {`has "prod-*" without an @, ` + form},
		"@Mon 20:00-08:00 UTC":            {`without a glob of load balancers before the @, ` + form},
		"x@":                              {`has "x@" without days, ` + form},
		"x@Mon":                           {`has "x@Mon" without hours, ` + form},
		"x@Mon 20:00-08:00":               {`has "x@Mon 20:00-08:00" without a time zone, ` + zoneForm},
		"x@Mon 20:00-08:00 all":           {`has "x@Mon 20:00-08:00 all" without a time zone, ` + zoneForm},
		"x@Mon 20:00-08:00 CET2":          {`with the time zone "CET2", ` + zoneForm},
		"x@Mon 20:00-08:00 Local":         {`with the time zone "Local", ` + zoneForm},
		"x@Mon 20:00-08:00 ../UTC":        {`with the time zone "../UTC", ` + zoneForm},
		"x@Mon 20:00-08:00 UTC nothing":   {`with "nothing" after the time zone, expected all or the end`},
		"x@Mon 20:00-08:00 UTC all of it": {`with "all of it" after the time zone, expected all or the end`},
		"x@Funday 20:00-08:00 UTC":        {`with the days "Funday", ` + daysForm},
		"x@Monday 20:00-08:00 UTC":        {`with the days "Monday", ` + daysForm},
		"x@Mon- 20:00-08:00 UTC":          {`with the days "Mon-", ` + daysForm},
		"x@Mon,,Tue 20:00-08:00 UTC":      {`with the days "Mon,,Tue", ` + daysForm},
		"x@Mon, Tue 20:00-08:00 UTC":      {`with the days "Mon,", ` + daysForm},
		"x@Mon-Tue-Wed 20:00-08:00 UTC":   {`with the days "Mon-Tue-Wed", ` + daysForm},
		"x@Mon-Mon 20:00-08:00 UTC":       {`with the days "Mon-Mon", ` + daysForm},
		"x@20:00-08:00 UTC":               {`with the days "20:00-08:00", ` + daysForm},
		"x@Mon 20-8 UTC":                  {`with the hours "20-8", ` + hoursForm},
		"x@Mon 20:00 UTC":                 {`with the hours "20:00", ` + hoursForm},
		"x@Mon 20:00-08:60 UTC":           {`with the hours "20:00-08:60", ` + hoursForm},
		"x@Mon 20:00-24:01 UTC":           {`with the hours "20:00-24:01", ` + hoursForm},
		"x@Mon 24:00-08:00 UTC":           {`with the hours "24:00-08:00", ` + hoursForm},
		"x@Mon 20:00-+8:00 UTC":           {`with the hours "20:00-+8:00", ` + hoursForm},
		"x@Mon 20:0-08:00 UTC":            {`with the hours "20:0-08:00", ` + hoursForm},
		"x@Mon 020:00-08:00 UTC":          {`with the hours "020:00-08:00", ` + hoursForm},
		"x@Mon 20:00-20:00 UTC": {`which may be a day or nothing, expected two ` +
			`times that differ`},

		long + "@Mon 20:00-08:00 UTC": {
			`has "` + long[:40] + `" with a glob of 201 bytes, expected at most 200`},
		strings.Repeat("x@Mon 0:00-1:00 UTC;", 101): {"has 101 windows, expected at most 100"},
		"a; b@Mon 20:00-08:00 UTC; c@Mon":           {`has "a" without an @`, `has "c@Mon" without hours`},
		"x@Mon-Sun 00:00-24:00 UTC":                 {endless},

		"x@Mon-Sun 20:00-08:00 UTC all; x@Mon-Sun 16:00-04:00 Asia/Shanghai": {endless},
	} {
		_, err := Parse(withSilences(setting))
		if err == nil {
			t.Errorf("SILENCES=%s is taken", setting)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		for n, line := range lines {
			if len(lines) != len(want) || !strings.HasPrefix(line, "SILENCES ") ||
				!strings.Contains(line, want[n]) {
				t.Errorf("SILENCES=%s: %v, want %q", setting, err, want)
			}
		}
	}
}

// TestMaxWindows holds that as many windows as may be are taken.
func TestMaxWindows(t *testing.T) {
	t.Parallel()
	c, err := Parse(withSilences(strings.Repeat("x@Mon 0:00-1:00 UTC;", incident.MaxWindows)))
	if err != nil || len(c.Silences) != incident.MaxWindows {
		t.Errorf("%d windows: %d, %v", incident.MaxWindows, len(c.Silences), err)
	}
}

// FuzzParseWindows holds that any SILENCES is either refused or within bounds, and is read the same once
// written by Window.String.
func FuzzParseWindows(f *testing.F) {
	for _, s := range []string{
		"", "prod-*@Mon-Fri 20:00-08:00 Asia/Shanghai", "a b@c@Sat,Sun 00:00-24:00 UTC all",
		"支付@fri-mon 8:00-00:00 Europe/Berlin;x@Mon,Wed-Fri 23:59-00:01 Pacific/Apia all",
		"x@Mon@Tue 00:00-00:00 UTC", "x@Mon-Sun 00:00-24:00 UTC",
		"x@Mon-Sun 12:00-00:00 UTC;x@Mon-Sun 00:00-12:01 UTC all",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, setting string) {
		windows, errs := parseWindows(setting)
		if len(errs) > 0 {
			if windows != nil {
				t.Errorf("SILENCES=%q is refused and taken: %v, %v", setting, windows, errs)
			}
			return
		}
		var written []string
		for _, w := range windows {
			if w.What == "" || len(w.What) > incident.MaxSilenceText || w.Days == [7]bool{} || w.From < 0 ||
				w.From >= 1440 || w.To <= 0 || w.To > 1440 || w.From == w.To || w.Zone == nil {
				t.Errorf("SILENCES=%q has %v", setting, w)
			}
			written = append(written, w.String())
		}
		again, errs := parseWindows(strings.Join(written, ";"))
		if len(errs) > 0 || len(windows) > incident.MaxWindows ||
			fmt.Sprint(again) != fmt.Sprint(windows) {
			t.Errorf("SILENCES=%q is %v, and written and read again %v, %v", setting, windows, again, errs)
		}
		at := time.Date(2027, time.March, 28, 1, 0, 0, 0, time.UTC)
		for _, s := range windows.Active(at) {
			if !s.Active(at) || s.Made.After(at) || s.Until.Sub(s.Made) > 8*24*time.Hour {
				t.Errorf("SILENCES=%q at %v: %+v", setting, at, s)
			}
		}
	})
}
