package page

import (
	"slices"
	"testing"
	"time"
)

func TestTicksAreWherePeopleLookForThem(t *testing.T) {
	t.Parallel()
	china := time.FixedZone("CST", 8*3600)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 29, 8, 4, 0, 0, time.UTC)
	spring := time.Date(2026, 3, 29, 12, 0, 0, 0, berlin) // on which 02:00 is 03:00
	autumn := time.Date(2026, 10, 25, 12, 0, 0, 0, berlin)
	for _, tt := range []struct {
		name string
		to   time.Time
		back time.Duration
		zone *time.Location
		most int
		want []string
	}{
		{"a minute", now, time.Minute, china, 5, nil},
		{"ten minutes", now, 10 * time.Minute, china, 5, []string{"15:56", "15:58", "16:00", "16:02"}},
		{"an hour", now, time.Hour, china, 5, []string{"15:15", "15:30", "15:45", "16:00"}},
		{"a day, narrow", now, 24 * time.Hour, china, 5, []string{"18:00", "Nov 29", "06:00", "12:00"}},
		{"a day, wide", now, 24 * time.Hour, china, 9, []string{"18:00", "21:00", "Nov 29", "03:00", "06:00",
			"09:00",
			"12:00", "15:00"}},
		{"a week", now, 7 * 24 * time.Hour, china, 9, []string{"Nov 23", "Nov 24", "Nov 25", "Nov 26", "Nov 27",
			"Nov 28", "Nov 29"}},
		{"a month, narrow: Mondays", now, 30 * 24 * time.Hour, china, 5, []string{"Nov 2", "Nov 9", "Nov 16",
			"Nov 23"}},
		{"a month, wide", now, 30 * 24 * time.Hour, china, 9, []string{"Nov 4", "Nov 9", "Nov 14", "Nov 19",
			"Nov 24",
			"Nov 29"}},
		{"a quarter, narrow", now, 90 * 24 * time.Hour, china, 5, []string{"Sep 28", "Oct 26", "Nov 23"}},
		{"an hour is left out", spring, 18 * time.Hour, berlin, 9, []string{"18:00", "20:00", "22:00", "Mar 29",
			"03:00", "04:00", "06:00", "08:00", "10:00"}},
		{"an hour is left out of each hour", spring.Add(-6 * time.Hour), 7 * time.Hour, berlin, 9, []string{"23:00",
			"Mar 29", "01:00", "03:00", "04:00", "05:00"}},
		{"an hour comes twice", autumn, 18 * time.Hour, berlin, 9, []string{"20:00", "22:00", "Oct 25", "02:00",
			"04:00",
			"06:00", "08:00", "10:00"}},
		{"longer than any step", now, 1000 * 24 * time.Hour, china, 1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			last := tt.to.Add(-tt.back)
			for _, tick := range ticks(last, tt.to, tt.zone, tt.most) {
				if !tick.at.After(last) || !tick.at.Before(tt.to) {
					t.Errorf("%s is at %v, want a time after %v and before %v", tick.label, tick.at, last, tt.to)
				}
				last = tick.at
				got = append(got, tick.label)
			}
			if tt.want != nil && !slices.Equal(got, tt.want) || len(got) > 60 {
				t.Errorf("ticks(%v, %v, %d) = %q, want %q", tt.to, tt.back, tt.most, got, tt.want)
			}
		})
	}
}
