package timeline_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/timeline"
)

var (
	begin = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	web   = lb.CLB{Region: "ap-test", ID: "lb-web", Label: "prod-web"}
	api   = lb.CLB{Region: "ap-test", ID: "lb-api", Label: "prod-api"}
)

func at(minute int) time.Time { return begin.Add(time.Duration(minute) * time.Minute) }

// of is a capacity of ten backends of weight 10, of which so many serve.
func of(serving int) lb.Capacity {
	return lb.Capacity{Running: serving, Total: 10, Weight: 100, Serving: 10 * serving, Lost: 100 - 10*serving}
}

// changed is a line of one backend that stopped, with which the load balancer changed.
func changed(c lb.CLB, minute, from, to int, id string) incident.Record {
	p := &incident.Past{Kind: lb.LeftRunning, ID: id, Name: "web-" + id}
	if to > from {
		p.Kind = lb.Recovered
	}
	return incident.Record{At: at(minute), Incident: "1", CLB: c, Change: p,
		Stood: &incident.Stood{Before: of(from), Now: of(to)}}
}

// emptied is a line of a load balancer that has so many backends before and after, all of which serve.
func emptied(c lb.CLB, minute, from, to int) incident.Record {
	r := changed(c, minute, from, to, "a")
	r.Change.Kind = lb.Removed
	whole := func(n int) lb.Capacity {
		return lb.Capacity{Running: n, Total: n, Weight: 10 * n, Serving: 10 * n}
	}
	r.Stood = &incident.Stood{Before: whole(from), Now: whole(to)}
	return r
}

func unseen(c lb.CLB, from, to int) incident.Record {
	since := at(from)
	return incident.Record{At: at(to), CLB: c, Unseen: &since}
}

func noTick(shard string, from, to int) incident.Record {
	since := at(from)
	return incident.Record{At: at(to), Shard: shard, Unseen: &since}
}

func first(c lb.CLB, minute, serving int) incident.Record {
	is := of(serving)
	return incident.Record{At: at(minute), CLB: c, First: &is}
}

// owns divides load balancers into two shards.
func owns(shard, key string) bool {
	return shard == "1/1" || shard == "1/2" && key == web.Key() || shard == "2/2" && key != web.Key()
}

// of24h is the past of a day, by the lines and how the two load balancers stand at its end.
func of24h(now map[lb.CLB]int, lines ...incident.Record) *timeline.Past {
	r := timeline.New(begin, at(24*60), time.Hour, owns)
	for _, l := range lines {
		r.Take(l)
	}
	var standing []timeline.Standing
	for c, serving := range now {
		standing = append(standing, timeline.Standing{CLB: c, Capacity: of(serving)})
	}
	return r.Done(standing)
}

// TestFigures holds what lines of the history amount to.
func TestFigures(t *testing.T) {
	t.Parallel()
	both := map[lb.CLB]int{web: 10, api: 10}
	gone := incident.Record{At: at(720), CLB: web, Gone: incident.EndDeleted}
	const well = "▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇"
	for _, tt := range []struct {
		name  string
		lines []incident.Record
		now   map[lb.CLB]int
		strip string
		want  string // up, all weight, in service, not seen, of prod-web
	}{
		{"nothing happened", nil, both, well, "1 1 1 0"},
		{"half of it is out all the time, and nothing happened", nil, map[lb.CLB]int{web: 5},
			"▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄", "1 0 0.5 0"},
		{"all out for an hour", []incident.Record{changed(web, 120, 10, 0, "a"), changed(web, 180, 0, 10, "a")}, both,
			"▇▇▁▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇", "0.9583 0.9583 0.9583 0"},
		{"all out for a minute", []incident.Record{changed(web, 121, 10, 0, "a"), changed(web, 122, 0, 10, "a")}, both,
			"▇▇▅▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇", "0.9993 0.9993 0.9993 0"},
		{"one of ten out for a minute", []incident.Record{changed(web, 121, 10, 9, "a"), changed(web, 122, 9, 10, "a")},
			both, "▇▇▅▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇", "1 0.9993 0.9999 0"},
		{"the last backend removed for an hour", []incident.Record{emptied(web, 60, 1, 0), emptied(web, 120, 0, 1)},
			map[lb.CLB]int{web: 10}, "▇▁▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇", "0.9583 0.9583 0.9583 0"},
		{"no backends until noon", []incident.Record{emptied(web, 720, 0, 1)}, both,
			"············▇▇▇▇▇▇▇▇▇▇▇▇", "1 1 1 0"},
		{"one of ten out from noon on", []incident.Record{changed(web, 720, 10, 9, "a")}, map[lb.CLB]int{web: 9},
			"▇▇▇▇▇▇▇▇▇▇▇▇▅▅▅▅▅▅▅▅▅▅▅▅", "1 0.5 0.95 0"},
		{"one was out from before until noon", []incident.Record{changed(web, 720, 9, 10, "a")}, both,
			"▅▅▅▅▅▅▅▅▅▅▅▅▇▇▇▇▇▇▇▇▇▇▇▇", "1 0.5 0.95 0"},
		{"several changes at once: the last line says how it stood", []incident.Record{
			{At: at(60), Incident: "1", CLB: web, Change: &incident.Past{Kind: lb.LeftRunning, ID: "a"}},
			changed(web, 60, 10, 0, "b"), changed(web, 120, 0, 10, "b")}, both,
			"▇▁▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇", "0.9583 0.9583 0.9583 0"},
		{"not readable for two hours", []incident.Record{unseen(web, 60, 180)}, both,
			"▇··▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇", "1 1 1 0.0833"},
		{"not readable, and half of it out when it is again",
			[]incident.Record{changed(web, 180, 10, 5, "a"), unseen(web, 60, 180)}, map[lb.CLB]int{web: 5},
			"▇··▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄", "1 0.0455 0.5227 0.0833"},
		{"no tick for two hours, and half of it out at the next",
			[]incident.Record{noTick("1/1", 60, 180), changed(web, 180, 10, 5, "a")}, map[lb.CLB]int{web: 5},
			"▇··▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄", "1 0.0455 0.5227 0.0833"},
		{"no tick while it cannot be read: each minute counts once", []incident.Record{
			noTick("1/1", 90, 150), unseen(web, 60, 180)}, both,
			"▇··▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇", "1 1 1 0.0833"},
		{"no tick of its shard", []incident.Record{noTick("1/2", 60, 120)}, both,
			"▇·▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇", "1 1 1 0.0417"},
		{"no tick of the other shard, later", []incident.Record{changed(web, 0, 9, 10, "a"), noTick("2/2", 60, 120)}, both,
			well, "1 1 1 0"},
		{"no tick of the other shard", []incident.Record{noTick("2/2", 60, 120)}, both, well, "1 1 1 0"},
		{"watched from noon on", []incident.Record{first(web, 720, 10)}, both,
			"············▇▇▇▇▇▇▇▇▇▇▇▇", "1 1 1 0"},
		{"watched from noon on, half of it out", []incident.Record{first(web, 720, 5)}, map[lb.CLB]int{web: 5},
			"············▄▄▄▄▄▄▄▄▄▄▄▄", "1 0 0.5 0"},
		{"no tick before it was watched", []incident.Record{noTick("1/1", 60, 120), first(web, 720, 10)}, both,
			"············▇▇▇▇▇▇▇▇▇▇▇▇", "1 1 1 0"},
		{"lines of another shard come first", []incident.Record{noTick("1/1", 60, 120), noTick("1/1", 300, 360),
			first(web, 30, 10), changed(web, 360, 10, 5, "a")}, map[lb.CLB]int{web: 5},
			"▇·▇▇▇·▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄", "1 0.1628 0.5814 0.0851"},
		{"deleted at noon", []incident.Record{changed(web, 0, 9, 10, "a"), gone}, map[lb.CLB]int{api: 10},
			"▇▇▇▇▇▇▇▇▇▇▇▇············", "1 1 1 0"},
		{"deleted at noon, and watched again at six", []incident.Record{changed(web, 0, 9, 10, "a"), gone,
			first(web, 1080, 5)}, map[lb.CLB]int{web: 5}, "▇▇▇▇▇▇▇▇▇▇▇▇······▄▄▄▄▄▄", "1 0.6667 0.8333 0"},
		{"it could not be read, and cannot be read now", []incident.Record{unseen(web, 60, 1440)}, nil,
			"························", "- - - 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := of24h(tt.now, tt.lines...)
			l := p.Of(web.Key())
			if got := p.Strip(l); got != tt.strip {
				t.Errorf("the strip is %s, want %s", got, tt.strip)
			}
			share := func(x float64, ok bool) string {
				if !ok {
					return "-"
				}
				return fmt.Sprint(math.Round(x*1e4) / 1e4)
			}
			got := fmt.Sprint(share(l.Share(l.Up)), " ", share(l.Share(l.Whole)), " ", share(l.InService()), " ",
				share(l.NotSeen(), true))
			if got != tt.want {
				t.Errorf("up, whole, in service and not seen are %s, want %s", got, tt.want)
			}
		})
	}
}

// TestManyTimesWithoutAReading holds that they count once and in their places, however many there are, and
// that what changed when it could be read again changed then.
func TestManyTimesWithoutAReading(t *testing.T) {
	t.Parallel()
	for change := range 100 {
		var lines []incident.Record
		for n := range 100 {
			if n == change {
				lines = append(lines, changed(web, 10*n+5, 10, 5, "a"))
			}
			lines = append(lines, unseen(web, 10*n, 10*n+5))
		}
		l := of24h(map[lb.CLB]int{web: 5}, lines...).Of(web.Key())
		whole := time.Duration(5*change) * time.Minute
		if seen := (24*60 - 500) * time.Minute; l.Seen != seen || l.Whole != whole {
			t.Errorf("changed after time %d: seen for %v, whole for %v, want %v and %v", change, l.Seen, l.Whole, seen,
				whole)
		}
	}
}

// TestIncidentsAndMachines holds what is counted beside time.
func TestIncidentsAndMachines(t *testing.T) {
	t.Parallel()
	closed := func(c lb.CLB, id, root string, end incident.End, began, last, messages int) incident.Record {
		return incident.Record{At: at(last + 20), Incident: id, CLB: c, Closed: &incident.Summary{Began: at(began),
			Last: at(last), Ended: at(last + 10), End: end, Level: incident.Degraded, Root: root, Messages: messages}}
	}
	lines := []incident.Record{
		closed(web, "3", "", incident.EndResolved, 10, 14, 4),
		closed(api, "4", "3", incident.EndResolved, 11, 31, 4), // in the message of 3
		closed(web, "5", "", incident.EndResolved, 100, 130, 2),
		closed(web, "6", "", incident.EndOver, 200, 400, 1),
		closed(web, "7", "", incident.EndNotice, 500, 500, 1),
		closed(web, "8", "", incident.EndResolved, 600, 700, 2),
	}
	lines[4].Closed.About, lines[5].Closed.About = incident.Upgraded, incident.Reading
	for _, minute := range []int{0, 30, 60, 300, 500} {
		lines = append(lines, changed(web, minute, 10, 9, "flaps"), changed(web, minute+1, 9, 10, "flaps"))
	}
	for _, minute := range []int{0, 100, 200, 300} { // each night, say
		lines = append(lines, changed(api, minute, 10, 9, "stops"), changed(api, minute+1, 9, 10, "stops"))
	}
	p := of24h(map[lb.CLB]int{web: 10, api: 10}, lines...)
	got, err := json.MarshalIndent([]timeline.Numbers{p.Of(web.Key()).Numbers(), p.Total.Numbers()}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `[
 {
  "up": 1,
  "allWeight": 0.996528,
  "inService": 0.999653,
  "notSeen": 0,
  "incidents": 3,
  "medianRecoverySeconds": 240,
  "worstRecoverySeconds": 1800,
  "messages": 9,
  "flappingBackends": 1,
  "flapping": [
   {
    "id": "flaps",
    "name": "web-flaps",
    "outages": 5
   }
  ]
 },
 {
  "up": 1,
  "allWeight": 0.996875,
  "inService": 0.999688,
  "notSeen": 0,
  "incidents": 4,
  "medianRecoverySeconds": 1200,
  "worstRecoverySeconds": 1800,
  "messages": 10,
  "flappingBackends": 1
 }
]`
	if string(got) != want {
		t.Errorf("the figures of prod-web and of all are\n%s\nwant\n%s", got, want)
	}
	marks := p.Of(web.Key()).Marks
	if len(marks) != 3 || marks[2].ID != "6" || !marks[2].Began.Equal(at(200)) || !marks[2].Ended.Equal(at(410)) {
		t.Errorf("the incidents of prod-web are %+v", marks)
	}
}

// TestCellsTellNotSeenFromNotWatched holds what of a cell in which nothing was seen is known.
func TestCellsTellNotSeenFromNotWatched(t *testing.T) {
	t.Parallel()
	gone := incident.Record{At: at(20 * 60), CLB: web, Gone: incident.EndDeleted}
	for _, tt := range []struct {
		name  string
		lines []incident.Record
		want  string // w: watched and seen, x: watched and not seen, -: not watched
	}{
		{"watched all the time", []incident.Record{unseen(web, 60, 180)}, "wxxwwwwwwwwwwwwwwwwwwwww"},
		{"added and deleted", []incident.Record{first(web, 270, 10), noTick("1/1", 360, 480), gone},
			"----wwxxwwwwwwwwwwww----"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := map[lb.CLB]int{web: 10}
			if slices.ContainsFunc(tt.lines, func(r incident.Record) bool { return r.Gone != "" }) {
				now = nil
			}
			p := of24h(now, tt.lines...)
			got := ""
			for _, c := range p.Cells(p.Of(web.Key())) {
				switch {
				case c.Seen:
					got += "w"
				case c.Watched:
					got += "x"
				default:
					got += "-"
				}
			}
			if got != tt.want {
				t.Errorf("the cells are %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSilences(t *testing.T) {
	t.Parallel()
	says := func(minute int, q incident.Silence) incident.Record {
		return incident.Record{At: at(minute), Silence: &q}
	}
	q := incident.Silence{ID: "7", What: "prod-*", Made: at(59), Until: at(180)}
	ended := q
	ended.Ended = at(90)
	window := func(from, to int) incident.Silence {
		return incident.Silence{ID: "window 1", What: "dev-*", Made: at(from), Until: at(to)}
	}
	p := of24h(nil, says(60, q), says(90, ended), says(200, window(200, 260)), says(260, window(200, 260)),
		says(1400, window(1400, 1500)), says(10, incident.Silence{ID: "6", What: "x", Made: at(-90), Until: at(10),
			Ended: at(5)}), says(2, incident.Silence{ID: "5", What: "x", Made: at(-90), Until: at(0)}))
	var got []string
	for _, s := range p.Silences {
		got = append(got, fmt.Sprintf("%s %v-%v", s.ID, s.From.Sub(begin).Minutes(), s.To.Sub(begin).Minutes()))
	}
	want := []string{"6 -90-5", "7 60-90", "window 1 200-260", "window 1 1400-1440"}
	if !slices.Equal(got, want) {
		t.Errorf("the silences are %q, want %q", got, want)
	}
}

func TestCellsOfAPeriod(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		back       time.Duration
		cell, fine time.Duration
		cells      int
	}{
		{time.Minute, time.Hour, time.Minute, 1},
		{90 * time.Minute, time.Hour, time.Minute, 2},
		{24 * time.Hour, time.Hour, 5 * time.Minute, 24},
		{48 * time.Hour, time.Hour, 10 * time.Minute, 48},
		{7 * 24 * time.Hour, 24 * time.Hour, 30 * time.Minute, 7},
		{30 * 24 * time.Hour, 24 * time.Hour, 2 * time.Hour, 30},
		{90 * 24 * time.Hour, 24 * time.Hour, 6 * time.Hour, 90},
	} {
		if got := timeline.CellOf(tt.back); got != tt.cell {
			t.Errorf("CellOf(%v) = %v, want %v", tt.back, got, tt.cell)
		}
		if got := timeline.FineCellOf(tt.back); got != tt.fine {
			t.Errorf("FineCellOf(%v) = %v, want %v", tt.back, got, tt.fine)
		}
		r := timeline.New(begin, begin.Add(tt.back), timeline.CellOf(tt.back), owns)
		p := r.Done([]timeline.Standing{{CLB: web, Capacity: of(10)}})
		if got := len(p.Cells(p.Of(web.Key()))); got != tt.cells {
			t.Errorf("%v have %d cells, want %d", tt.back, got, tt.cells)
		}
	}
}

// TestFiguresAgainstEachMinute holds the sums of random days against a model that looks at each minute.
func TestFiguresAgainstEachMinute(t *testing.T) {
	t.Parallel()
	const day = 24 * 60
	rapid.Check(t, func(t *rapid.T) {
		var lines []incident.Record
		var seen [day]bool
		var serves [day]int
		is := rapid.IntRange(0, 10).Draw(t, "at first")
		since := -1 // when it became unreadable
		last := 0   // the observation before
		calm := rapid.Bool().Draw(t, "calm")
		for minute := 0; minute < day; {
			// from one observation to the next, nothing is known to change
			step := 1
			if rapid.IntRange(0, 20).Draw(t, "no tick") == 0 {
				step = rapid.IntRange(12, 200).Draw(t, "for")
			}
			next := min(minute+step, day)
			for m := minute; m < next; m++ {
				seen[m], serves[m] = step == 1 && since < 0, is
			}
			if minute = next; step > 1 {
				lines = append(lines, noTick("1/1", last, minute))
			}
			if last = minute; minute == day {
				break
			}
			readable := rapid.IntRange(0, 5).Draw(t, "readable") > 0
			if readable {
				most := map[bool]int{true: 500, false: 20}[calm]
				if to := rapid.IntRange(-most, 10).Draw(t, "serves"); to >= 0 && to != is {
					lines = append(lines, changed(web, minute, is, to, "a"))
					is = to
				}
			}
			switch {
			case !readable && since < 0:
				since = minute
			case readable && since >= 0:
				lines = append(lines, unseen(web, since, minute))
				since = -1
			}
		}
		if since >= 0 {
			lines = append(lines, unseen(web, since, day))
		}
		p := of24h(map[lb.CLB]int{web: is}, lines...)
		l := p.Of(web.Key())
		var up, whole, dark int
		for m := range day {
			switch {
			case !seen[m]:
				dark++
			default:
				if serves[m] > 0 {
					up++
				}
				if serves[m] == 10 {
					whole++
				}
			}
		}
		minutes := func(d time.Duration) int { return int(d / time.Minute) }
		if minutes(l.Seen) != day-dark || minutes(l.Up) != up || minutes(l.Whole) != whole {
			t.Fatalf("seen, up and whole for %d, %d and %d minutes, want %d, %d and %d", minutes(l.Seen),
				minutes(l.Up), minutes(l.Whole), day-dark, up, whole)
		}
		for n, c := range p.Cells(l) {
			sum, count := 0, 0
			for m := 60 * n; m < 60*(n+1); m++ {
				if seen[m] {
					sum, count = sum+serves[m], count+1
				}
			}
			if c.Seen != (count > 0) || count > 0 && math.Abs(c.Share-float64(sum)/10/float64(count)) > 1e-9 {
				t.Fatalf("hour %d is %+v, want %d of %d", n, c, sum, 10*count)
			}
		}
	})
}
