package page_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/timeline"
	"clbwatch/internal/watch"
)

const day = 24 * time.Hour

var (
	now   = time.Date(2026, 11, 29, 8, 4, 0, 0, time.UTC)
	china = time.FixedZone("CST", 8*3600)
)

// world makes up the history of some load balancers.
type world struct {
	from   time.Time
	lines  []incident.Record
	number int
	open   []*incident.Incident
	names  map[string]lb.CLB
	stands map[string]lb.Capacity
	errs   map[string]error
}

func newWorld(back time.Duration) *world {
	return &world{from: now.Add(-back), names: make(map[string]lb.CLB), stands: make(map[string]lb.Capacity),
		errs: make(map[string]error)}
}

// add adds a load balancer with so many backends of weight 10, all of which run.
func (w *world) add(name string, backends int) lb.CLB {
	c := lb.CLB{Region: "ap-guangzhou", ID: fmt.Sprintf("lb-%08x", uint32(len(w.names)+1)*2654435761),
		Label: name}
	w.names[c.Key()], w.stands[c.Key()] = c, capacity(backends, backends)
	return c
}

func capacity(running, of int) lb.Capacity {
	return lb.Capacity{Running: running, Total: of, Weight: 10 * of, Serving: 10 * running}
}

func (w *world) line(at time.Time, r incident.Record) {
	r.At = at
	w.lines = append(w.lines, r)
}

// outage takes backends out of a load balancer for a time; one that does not end before now goes on.
func (w *world) outage(c lb.CLB, at time.Time, length time.Duration, out ...int) {
	w.number++
	is, id := w.stands[c.Key()], fmt.Sprint(w.number)
	n := is.Total
	change := func(at time.Time, kind lb.Kind, machine, from, to int) {
		w.line(at, incident.Record{Incident: id, CLB: c, Change: &incident.Past{Kind: kind,
			ID: fmt.Sprintf("ins-%d", machine), Name: fmt.Sprintf("%s-%02d", c.Label, machine)},
			Stood: &incident.Stood{Before: capacity(from, n), Now: capacity(to, n)}})
	}
	for k, machine := range out {
		change(at, lb.LeftRunning, machine, n-k, n-k-1)
	}
	level := incident.Impaired
	switch {
	case len(out) == n:
		level = incident.Down
	case 5*len(out) >= n:
		level = incident.Degraded
	}
	end := at.Add(length)
	sum := &incident.Summary{Began: at, Level: level, Messages: 2}
	if !end.Before(now) {
		w.stands[c.Key()] = capacity(n-len(out), n)
		w.open = append(w.open, &incident.Incident{ID: id, Key: c.Key(), Label: c.Label, Level: level, Began: at,
			Now: capacity(n-len(out), n)})
		w.line(now, incident.Record{Incident: id, CLB: c, Closed: sum})
		return
	}
	for k, machine := range out {
		change(end, lb.Recovered, machine, n-len(out)+k, n-len(out)+k+1)
	}
	sum.Last, sum.Ended, sum.End = end, end.Add(10*time.Minute), incident.EndResolved
	w.line(end.Add(10*time.Minute), incident.Record{Incident: id, CLB: c, Closed: sum})
}

func (w *world) unseen(c lb.CLB, at time.Time, length time.Duration) {
	w.line(at.Add(length), incident.Record{CLB: c, Unseen: &at})
}

func (w *world) noTick(at time.Time, length time.Duration) {
	w.line(at.Add(length), incident.Record{Shard: "1/1", Unseen: &at})
}

func (w *world) silence(q incident.Silence) { w.line(q.Made, incident.Record{Silence: &q}) }

// report is what there is to report of the world.
func (w *world) report() report.Report {
	slices.SortStableFunc(w.lines, func(a, b incident.Record) int { return a.At.Compare(b.At) })
	back := now.Sub(w.from)
	past := timeline.New(w.from, now, timeline.FineCellOf(back), func(shard,
		_ string) bool {
		return shard == "1/1"
	})
	for _, l := range w.lines {
		past.Take(l)
	}
	found := watch.Survey{Known: true}
	var stand []timeline.Standing
	for key, is := range w.stands {
		s := watch.Standing{CLB: w.names[key], Capacity: is}
		if err := w.errs[key]; err != nil {
			s = watch.Standing{CLB: s.CLB, Err: err}
		} else {
			stand = append(stand, timeline.Standing{CLB: s.CLB, Capacity: is})
		}
		found.Standings = append(found.Standings, s)
	}
	slices.SortFunc(found.Standings, func(a, b watch.Standing) int {
		return cmp.Compare(a.CLB.Key(),
			b.CLB.Key())
	})
	found.Timeline = past.Done(stand)
	found.Open = []incident.Document{{Root: &incident.Root{Incidents: w.open},
		Name: func(key string) lb.CLB { return w.names[key] }}}
	return report.New(now, 840*time.Millisecond, found, back, nil)
}

// sample is a month of twelve load balancers, of which one came and one went.
func sample() report.Report {
	w := newWorld(30 * day)
	at := func(days, hour, minute int) time.Time {
		return w.from.Truncate(day).Add(time.Duration(days)*day + time.Duration(hour-8)*time.Hour +
			time.Duration(minute)*time.Minute) // by the clock of UTC+8
	}
	web, api, pay := w.add("prod-web", 12), w.add("prod-api", 8), w.add("prod-pay", 3)
	search, cdn, batch := w.add("prod-search", 6), w.add("cdn-origin", 4), w.add("batch-night", 5)
	w.add("prod-auth", 4)
	w.add("prod-static", 2)
	w.add("数据库-代理", 2)
	w.add("stage-web", 2)
	fresh, old := w.add("prod-web-v2", 6), w.add("legacy-soap", 2)

	w.outage(pay, at(11, 3, 12), 97*time.Minute, 1, 2, 3)
	w.outage(pay, at(18, 14, 2), 4*time.Minute, 2)
	for n := range 9 { // a backend that flaps for an afternoon
		w.outage(api, at(20, 13, 19*n), time.Duration(3+n%4)*time.Minute, 7)
	}
	w.outage(api, at(4, 10, 40), 26*time.Hour, 2, 3)
	w.outage(web, at(7, 22, 5), 50*time.Minute, 1, 2, 3, 4, 5)
	w.outage(web, at(16, 9, 30), 3*day, 11)
	w.outage(web, at(29, 6, 0), 90*day, 4, 5, 6)
	w.outage(search, at(24, 1, 0), 12*time.Minute, 1)
	w.outage(cdn, at(2, 17, 20), 8*time.Hour, 1, 2)
	w.outage(old, at(9, 12, 0), 35*time.Minute, 1, 2)
	for night := 1; night <= 30; night++ { // restarts each night, in a window that silences them
		w.silence(incident.Silence{ID: "window 1", What: "batch-*", Made: at(night, 1, 0), Until: at(night, 5, 0)})
		if night == 14 { // in which no tick ran
			continue
		}
		w.outage(batch, at(night, 1, 30), time.Duration(25+night%7*9)*time.Minute, 1, 2, 3)
	}
	w.silence(incident.Silence{ID: "7", What: "prod-web*", Made: at(16, 9, 50), Until: at(18, 9, 50), By: "ada",
		Why: "disk of web-11 is being replaced, ticket OPS-4711"})
	w.silence(incident.Silence{ID: "8", Incident: "15", Made: at(29, 6, 10), Until: at(30, 6, 10), By: "grace"})
	w.noTick(at(13, 20, 0), 11*time.Hour)
	w.unseen(search, at(21, 2, 0), 40*time.Hour)
	w.line(at(19, 11, 0), incident.Record{CLB: fresh, First: &lb.Capacity{Running: 6, Total: 6, Weight: 60,
		Serving: 60}})
	w.line(at(15, 16, 0), incident.Record{CLB: old, Gone: incident.EndDeleted})
	delete(w.stands, old.Key())
	w.errs[cdn.Key()] = advice.Add(errors.New("UnauthorizedOperation: the role may not call DescribeTargets"),
		"grant the role clb:DescribeTargets; see README, Permissions")
	r := w.report()
	for n := range r.Open {
		r.Open[n].Acknowledged, r.Open[n].By = true, "grace"
	}
	return r
}

// many is a month of so many load balancers, of which some had trouble.
func many(balancers int) report.Report {
	w, random := newWorld(30*day), rand.New(rand.NewPCG(1, 2))
	for n := range balancers {
		c := w.add(fmt.Sprintf("%s-%s-%03d", []string{"prod", "stage", "edge"}[n%3],
			[]string{"web", "api", "pay", "search", "img"}[n%5], n), 2+random.IntN(12))
		for range random.IntN(12) * random.IntN(2) * random.IntN(2) {
			size := w.stands[c.Key()].Total
			out := random.Perm(size)[:1+random.IntN(1+size/3)]
			if random.IntN(40) == 0 {
				out = random.Perm(size)
			}
			w.outage(c, w.from.Add(time.Duration(random.Int64N(int64(30*day-4*time.Hour)))),
				time.Duration(2+random.IntN(200))*time.Minute, out...)
		}
	}
	for night := range 30 {
		begins := w.from.Truncate(day).Add(time.Duration(night)*day + 17*time.Hour)
		w.silence(incident.Silence{ID: "window 1", What: "stage-*", Made: begins, Until: begins.Add(5 * time.Hour)})
	}
	w.noTick(w.from.Add(12*day), 5*time.Hour)
	return w.report()
}

// single is a day of one load balancer.
func single() report.Report {
	w := newWorld(day)
	web := w.add("prod-web", 7)
	w.outage(web, now.Add(-17*time.Hour), 8*time.Minute, 1, 2, 3, 4, 5, 6, 7)
	w.outage(web, now.Add(-9*time.Hour), 75*time.Minute, 2)
	w.silence(incident.Silence{ID: "2", What: "*", Made: now.Add(-26 * time.Hour),
		Until: now.Add(-23 * time.Hour)})
	w.silence(incident.Silence{ID: "3", What: "prod-web", Made: now.Add(-9 * time.Hour),
		Until: now.Add(-7 * time.Hour),
		By:    "ada", Why: "deploy 4711"})
	return w.report()
}

// well is a day of one load balancer on which nothing happened.
func well() report.Report {
	w := newWorld(day)
	w.add("prod-web", 7)
	return w.report()
}

// long is some time of one load balancer of which half was out for half of it.
func long(back time.Duration) report.Report {
	w := newWorld(back)
	w.outage(w.add("prod-web", 2), w.from.Add(back/4), back/2, 1)
	return w.report()
}

// unknown is a report of what cannot be known.
func unknown() report.Report {
	web := lb.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q", Label: "prod-web"}
	found := watch.Survey{Standings: []watch.Standing{
		{CLB: web, Capacity: capacity(6, 7)},
		{CLB: lb.CLB{Region: "ap-guangzhou", ID: "lb-c4r9t0zw", Label: "stage-web"}, Err: errors.New("timeout")}}}
	return report.New(now, 840*time.Millisecond, found, 30*day, errors.New("open state.json: permission denied"))
}

// none is a report of nothing at all.
func none() report.Report { return report.New(now, time.Second, watch.Survey{}, 30*day, nil) }

// worst is a report of more than a page has room for: each part of it is as long as it can be.
func worst(balancers int) report.Report {
	w := newWorld(30 * day)
	long := strings.Repeat("界&\"", 100)
	for n := range balancers {
		c := w.add(fmt.Sprintf("%d %s", n, long), 97)
		dips, length := 600, 36*time.Minute
		if n >= 60 { // it has no chart
			dips = 6
		}
		every := 30 * day / time.Duration(dips)
		for k := range dips {
			at, out := w.from.Add(time.Duration(k)*every), 1+(k*37+n)%97
			w.line(at, incident.Record{CLB: c, Change: &incident.Past{Kind: lb.LeftRunning, ID: long},
				Stood: &incident.Stood{Before: capacity(97, 97), Now: capacity(97-out, 97)}})
			w.line(at.Add(length), incident.Record{CLB: c, Change: &incident.Past{Kind: lb.Recovered, ID: long},
				Stood: &incident.Stood{Before: capacity(97-out, 97), Now: capacity(97, 97)}})
			w.line(at.Add(length), incident.Record{Incident: fmt.Sprintf("%d-%s", k, long), CLB: c,
				Closed: &incident.Summary{Began: at, Last: at.Add(length), Ended: at.Add(length),
					Level: incident.Level(k % 4), End: incident.EndResolved}})
		}
		for k := range 36 * min(30-n, 1) { // twelve backends flap
			w.line(w.from.Add(time.Duration(k)*time.Minute), incident.Record{CLB: c,
				Change: &incident.Past{Kind: lb.LeftRunning, ID: fmt.Sprint(k % 12), Name: long}})
		}
		w.errs[c.Key()] = errors.New(long)
	}
	for n := range 550 {
		q := incident.Silence{ID: fmt.Sprint(n), What: "*", By: long, Why: long,
			Made: w.from.Add(time.Duration(n) * 78 * time.Minute)}
		q.Until = q.Made.Add(30 * time.Minute)
		w.silence(q)
	}
	return w.report()
}

// silenceOf is a silence of two hours.
func silenceOf(id, what, by, why string, at time.Time) incident.Silence {
	return incident.Silence{ID: id, What: what, By: by, Why: why, Made: at, Until: at.Add(2 * time.Hour)}
}
