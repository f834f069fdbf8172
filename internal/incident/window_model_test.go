package incident

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// clock is what the clocks of a zone have shown at the latest by each minute of a year, in UTC, and somewhat
// longer. They never go back. It counts minutes from the beginning of 1970, as a clock would.
type clock []int32

const minutesOfDay = 24 * 60

func newClock(year int, zone *time.Location) clock {
	at := time.Date(year, time.January, 1, 0, 0, 0, 0, time.UTC)
	c := make(clock, 390*minutesOfDay)
	for n := range c {
		local := at.In(zone)
		_, offset := local.Zone()
		c[n] = int32((at.Unix() + int64(offset)) / 60)
		if n > 0 {
			c[n] = max(c[n], c[n-1])
		}
		at = at.Add(time.Minute)
	}
	return c
}

// active reports whether a window is active in a minute: its start has been shown, and its end has not.
func (c clock) active(w Window, minute int) bool {
	now := int(c[minute])
	for _, day := range []int{now / minutesOfDay, now/minutesOfDay - 1} {
		begin, end := day*minutesOfDay+w.From, day*minutesOfDay+w.To
		if w.To <= w.From {
			end += minutesOfDay
		}
		if w.Days[(day+4)%7] && begin <= now && now < end { // 1970 began on a Thursday
			return true
		}
	}
	return false
}

// windowModel says minute by minute what windows make.
type windowModel struct {
	year    int
	windows Windows
	clocks  []clock // of each window
}

// first is the position, from 1, of the first window of a scope that is active in a minute; 0 if none is.
func (m *windowModel) first(what string, all bool, minute int) int {
	for n, w := range m.windows {
		if w.What == what && w.All == all && m.clocks[n].active(w, minute) {
			return n + 1
		}
	}
	return 0
}

// silence is that of a scope in a minute, and whether there is one. It ends its search after ten days.
func (m *windowModel) silence(what string, all bool, minute int) (Silence, bool) {
	const far = 10 * minutesOfDay
	first, from, until := len(m.windows), minute, minute
	for n := m.first(what, all, from); n > 0 && minute-from < far; n = m.first(what, all, from) {
		first, from = min(first, n), from-1
	}
	for n := m.first(what, all, until); n > 0 && until-minute < far; n = m.first(what, all, until) {
		first, until = min(first, n), until+1
	}
	at := func(minute int) time.Time {
		return time.Date(m.year, time.January, 1, 0, minute, 0, 0, time.UTC)
	}
	return Silence{ID: fmt.Sprint("window ", first), What: what, All: all, By: "SILENCES", Made: at(from + 1),
		Until: at(until)}, from != minute
}

// active are the silences in a minute.
func (m *windowModel) active(minute int) (all []Silence) {
	for _, what := range []string{"x", "y"} {
		s, ok := m.silence(what, true, minute)
		if !ok {
			s, ok = m.silence(what, false, minute)
		}
		if ok {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Silence) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// TestWindowsModel holds what windows make, in several zones over a year, against a model that knows only
// what the clocks show.
func TestWindowsModel(t *testing.T) {
	t.Parallel()
	clocks, locations := make(map[string]clock), make(map[string]*time.Location) // by zone
	zones := map[int][]string{
		// Apia skipped December 30, and St. John's changed its clocks at one minute past midnight.
		2011: {"UTC", "Pacific/Apia", "America/St_Johns"},
		2027: {"Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca",
			"Antarctica/Troll"},
	}
	for _, name := range slices.Concat(zones[2011], zones[2027]) {
		locations[name] = zoneOf(t, name)
	}
	minutes := rapid.OneOf(rapid.IntRange(0, minutesOfDay-1),
		rapid.SampledFrom([]int{0, 1, 60, 90, 119, 120, 121, 135, 150, 179, 180, 240, 1439}))
	rapid.Check(t, func(t *rapid.T) {
		m := windowModel{year: rapid.SampledFrom([]int{2011, 2027}).Draw(t, "year")}
		for range rapid.IntRange(1, 5).Draw(t, "windows") {
			name := rapid.SampledFrom(zones[m.year]).Draw(t, "zone")
			w := Window{What: rapid.SampledFrom([]string{"x", "x", "y"}).Draw(t, "glob"),
				All: rapid.IntRange(0, 3).Draw(t, "all") == 0, From: minutes.Draw(t, "from"),
				To: minutes.Draw(t, "to") + 1, Zone: locations[name]}
			for d := range w.Days {
				w.Days[d] = rapid.IntRange(0, 2).Draw(t, "day") > 0
			}
			if clocks[name] == nil {
				clocks[name] = newClock(m.year, w.Zone)
			}
			m.windows, m.clocks = append(m.windows, w), append(m.clocks, clocks[name])
		}
		if m.windows.Endless() != "" {
			return
		}
		m.check(t, rapid.IntRange(20*minutesOfDay, 366*minutesOfDay).Draw(t, "minute"))
		// Around the end of March and of October, most zones change their clocks.
		m.check(t, rapid.IntRange(72*minutesOfDay, 92*minutesOfDay).Draw(t, "minute in March"))
		m.check(t, rapid.IntRange(298*minutesOfDay, 312*minutesOfDay).Draw(t, "minute in October"))
		m.check(t, rapid.IntRange(361*minutesOfDay, 366*minutesOfDay).Draw(t, "minute in December"))
	})
}

// check compares the windows with the model in a minute, and at the edges of what is active then.
func (m *windowModel) check(t *rapid.T, minute int) {
	minutes := []int{minute}
	for _, s := range m.active(minute) {
		if s.Until.Sub(s.Made) > longestStretch {
			return // Endless tries another year, in which no day is skipped
		}
		start := time.Date(m.year, time.January, 1, 0, 0, 0, 0, time.UTC)
		made, until := int(s.Made.Sub(start)/time.Minute), int(s.Until.Sub(start)/time.Minute)
		minutes = append(minutes, made-1, made, until-1, until)
	}
	for _, minute := range minutes {
		want := m.active(minute)
		for _, second := range []int{0, 59} {
			at := time.Date(m.year, time.January, 1, 0, minute, second, 0, time.UTC)
			got := m.windows.Active(at)
			if !slices.Equal(got, want) {
				t.Fatalf("%v at %v: %+v, want %+v", m.windows, at, got, want)
			}
		}
	}
}
