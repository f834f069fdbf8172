package timeline

import (
	"math"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
)

// Past is how load balancers stood over a period.
type Past struct {
	From, To time.Time
	Cell     time.Duration // how long a cell is; the first may be shorter
	Lines    []*Line       // by key, those among them that are not watched any more
	Total    Figures       // of all of them; of its Messages, each once
	Silences []Silence     // that were active, oldest first

	byKey map[string]*Line
}

// Of is how a load balancer stood; nil if nothing is known.
func (p *Past) Of(key string) *Line {
	if p == nil {
		return nil
	}
	return p.byKey[key]
}

// Line is how one load balancer stood.
type Line struct {
	CLB lb.CLB
	Figures
	Marks []Mark // its incidents, in the order in which they ended; the first 500

	sums []sum
}

// Mark is one incident.
type Mark struct {
	ID    string
	Level incident.Level // at worst
	Began time.Time
	Ended time.Time // zero if it goes on
}

// Silence is a silence and when it was active within the period.
type Silence struct {
	incident.Silence
	From, To time.Time
}

// Figures are sums over a period: of one load balancer, or of several.
type Figures struct {
	Watched time.Duration // of the period
	Seen    time.Duration // of that, what was seen: the rest counts neither as well nor as bad
	Up      time.Duration // of what was seen: at least one backend ran
	Whole   time.Duration // of what was seen: all of the weight was in service

	Incidents int       // about backends that began or ended in the period
	Messages  int       // of the roots that they were in, whatever else these were about
	Flaps     int       // backends that were out of service three times within an hour
	Flapping  []Flapper // of those, the ones most often out; of one load balancer only

	service    float64 // seconds of Seen, times the share of the weight
	recoveries []time.Duration
}

// Flapper is a backend that was out of service again and again.
type Flapper struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"` // untrusted text
	Outages int    `json:"outages"`        // in the whole period
}

// sum is what is known of a cell.
type sum struct {
	watched bool // in any of it
	seen    time.Duration
	service float64 // seconds, times the share of the weight
	lowest  float64
}

func (s *sum) add(d time.Duration, is standing) {
	if s.seen == 0 || is.share < s.lowest {
		s.lowest = is.share
	}
	s.seen += d
	s.service += d.Seconds() * is.share
}

// count takes in a time that was seen.
func (f *Figures) count(d time.Duration, is standing) {
	f.Seen += d
	f.service += d.Seconds() * is.share
	if is.up {
		f.Up += d
	}
	if is.whole {
		f.Whole += d
	}
}

// add adds those of another load balancer.
func (f *Figures) add(o Figures) {
	f.Watched, f.Seen, f.Up, f.Whole = f.Watched+o.Watched, f.Seen+o.Seen, f.Up+o.Up, f.Whole+o.Whole
	f.Incidents, f.Flaps, f.service = f.Incidents+o.Incidents, f.Flaps+o.Flaps, f.service+o.service
	f.recoveries = append(f.recoveries, o.recoveries...)
}

// Share is which part of what was seen a time is, 0 to 1; ok is false if nothing was seen.
func (f Figures) Share(d time.Duration) (share float64, ok bool) {
	if f.Seen <= 0 {
		return 0, false
	}
	return min(float64(d)/float64(f.Seen), 1), true
}

// InService is the share of the weight that was in service on average, 0 to 1; ok is false if nothing was
// seen.
func (f Figures) InService() (share float64, ok bool) {
	if f.Seen <= 0 {
		return 0, false
	}
	if f.Whole == f.Seen {
		return 1, true // whatever the sum of so many fractions is
	}
	return min(f.service/f.Seen.Seconds(), 1), true
}

// NotSeen is the share of the time watched that was not seen, 0 to 1.
func (f Figures) NotSeen() float64 {
	if f.Watched <= 0 {
		return 0
	}
	return float64(f.Watched-f.Seen) / float64(f.Watched)
}

// Recovery is how long it took from the first change of an incident until all was back: the median, and the
// longest; ok is false if nothing recovered.
func (f Figures) Recovery() (median, worst time.Duration, ok bool) {
	if len(f.recoveries) == 0 {
		return 0, 0, false
	}
	all := slices.Sorted(slices.Values(f.recoveries))
	return all[(len(all)-1)/2], all[len(all)-1], true
}

// Well reports whether there is nothing to tell: it was seen all the time, and all of the weight was in
// service.
func (f Figures) Well() bool {
	return f.Watched > 0 && f.Whole == f.Watched && f.Incidents == 0
}

// Worse orders figures by how bad they are, the worst first: by the share of the time in which nothing ran,
// then by the weight in service, then by incidents, then by what was not seen.
func (f Figures) Worse(o Figures) int {
	up := func(f Figures) float64 { s, ok := f.Share(f.Up); return orOne(s, ok) }
	in := func(f Figures) float64 { s, ok := f.InService(); return orOne(s, ok) }
	for _, d := range []float64{up(f) - up(o), in(f) - in(o), float64(o.Incidents - f.Incidents),
		o.NotSeen() - f.NotSeen()} {
		switch {
		case d < 0:
			return -1
		case d > 0:
			return 1
		}
	}
	return 0
}

func orOne(share float64, ok bool) float64 {
	if !ok {
		return 1
	}
	return share
}

// Cell is one part of a period.
type Cell struct {
	From    time.Time
	Watched bool    // in any of it
	Seen    bool    // any of it was; else the rest is 0
	Share   float64 // of the weight in service on average, 0 to 1
	Lowest  float64 // and at the least
}

// Cells are the parts of the period, oldest first.
func (p *Past) Cells(l *Line) []Cell {
	cells := make([]Cell, len(l.sums))
	for n, s := range l.sums {
		c := Cell{From: later(p.From, p.To.Add(-time.Duration(len(l.sums)-n)*p.Cell)), Watched: s.watched,
			Seen: s.seen > 0}
		if c.Seen {
			c.Share, c.Lowest = min(s.service/s.seen.Seconds(), 1), s.lowest
			if s.lowest == 1 {
				c.Share = 1 // whatever the sum of so many fractions is
			}
		}
		cells[n] = c
	}
	return cells
}

// Strip shows the cells as characters, one each: "▇" where all of the weight was in service all the time, "▁"
// where none ever was, four heights between them, and "·" where nothing was seen.
func (p *Past) Strip(l *Line) string {
	var b strings.Builder
	between := []rune("▂▃▄▅")
	for _, c := range p.Cells(l) {
		switch {
		case !c.Seen:
			b.WriteRune('·')
		case c.Share >= 1:
			b.WriteRune('▇')
		case c.Share <= 0:
			b.WriteRune('▁')
		default:
			b.WriteRune(between[min(int(c.Share*float64(len(between))), len(between)-1)])
		}
	}
	return b.String()
}

// Numbers are Figures as programs read them. Shares are of 1, and null where nothing was seen.
type Numbers struct {
	Up        *float64  `json:"up"`        // share of the time with at least one backend running
	Whole     *float64  `json:"allWeight"` // share of the time with all of the weight in service
	Service   *float64  `json:"inService"` // share of the weight in service, on average
	NotSeen   float64   `json:"notSeen"`   // share of the time, which counts in none of these
	Incidents int       `json:"incidents"`
	Median    *float64  `json:"medianRecoverySeconds,omitempty"`
	Worst     *float64  `json:"worstRecoverySeconds,omitempty"`
	Messages  int       `json:"messages"`
	Flaps     int       `json:"flappingBackends"`
	Flapping  []Flapper `json:"flapping,omitempty"`
}

// Numbers are the figures as programs read them.
func (f Figures) Numbers() Numbers {
	j := Numbers{NotSeen: digits(f.NotSeen()), Incidents: f.Incidents, Messages: f.Messages, Flaps: f.Flaps,
		Flapping: f.Flapping}
	number := func(x float64, ok bool) *float64 {
		if x = digits(x); !ok {
			return nil
		}
		return &x
	}
	j.Up, j.Whole = number(f.Share(f.Up)), number(f.Share(f.Whole))
	j.Service = number(f.InService())
	median, worst, ok := f.Recovery()
	j.Median, j.Worst = number(median.Seconds(), ok), number(worst.Seconds(), ok)
	return j
}

// digits rounds to six digits behind the point, but never to 1 what is less.
func digits(x float64) float64 {
	if r := math.Round(x*1e6) / 1e6; r != 1 || x >= 1 {
		return r
	}
	return 0.999999
}
