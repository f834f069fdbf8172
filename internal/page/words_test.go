package page

import (
	"testing"
	"time"

	"clbwatch/internal/report"
)

func TestTimesAreAsShortAsTheyCanBe(t *testing.T) {
	t.Parallel()
	p := printer{Report: report.Report{At: time.Date(2026, 1, 2, 17, 0, 0, 0, time.UTC)},
		zone: time.FixedZone("CST", 8*3600)} // Jan 3 there
	at := func(year int, month time.Month, day, hour int) time.Time {
		return time.Date(year, month, day, hour, 5, 0, 0, time.UTC)
	}
	for _, tt := range []struct {
		from, to   time.Time
		began, end string
	}{
		{at(2026, 1, 1, 3), at(2026, 1, 1, 4), "Jan 1 11:05", "12:05"},
		{at(2026, 1, 1, 15), at(2026, 1, 1, 16), "Jan 1 23:05", "Jan 2 00:05"},
		{at(2025, 12, 31, 15), at(2025, 12, 31, 16), "Dec 31 2025 23:05", "Jan 1 00:05"},
		{at(2025, 1, 1, 3), at(2026, 1, 1, 3), "Jan 1 2025 11:05", "Jan 1 11:05"},
	} {
		machine := tt.from.In(p.zone).Format(time.RFC3339)
		if got := p.moment(tt.from); got.Human != tt.began || got.Machine != machine {
			t.Errorf("moment(%v) = %v, want %q", tt.from, got, tt.began)
		}
		if got := p.until(tt.from, tt.to).Human; got != tt.end {
			t.Errorf("until(%v, %v) = %q, want %q", tt.from, tt.to, got, tt.end)
		}
	}
	for zone, want := range map[*time.Location]string{time.UTC: "UTC", p.zone: "CST (UTC+08:00)"} {
		if got := zoneName(p.At.In(zone)); got != want {
			t.Errorf("zoneName(%v) = %q, want %q", zone, got, want)
		}
	}
}
