package message_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/notifier/message"
)

// calls are one of each kind that carries a message, in each form.
func calls(pick func(int) int) (all []incident.Call) {
	names := []string{"12", "13-2", "14", "20"}[:pick(5)]
	yes := func() bool { return pick(2) == 0 }
	set := func() incident.Set { return incident.Set(pick(8)) }
	for _, c := range []incident.Call{
		{Do: incident.Send, Post: incident.Post{Root: true, Rises: set(),
			Mention: yes(), Repeat: yes(), Names: names}},
		{Do: incident.Send, Post: incident.Post{Rises: set(), Current: set(), Ends: set(), Broadcast: true,
			Mention: yes(), End: yes(), Reminder: yes(), Repeat: yes(), Names: names}},
		{Do: incident.Edit}, {Do: incident.Void}, {Do: incident.Leave},
	} {
		for c.Form = incident.Full; c.Form <= incident.Bare; c.Form++ {
			all = append(all, c)
		}
	}
	return all
}

// FuzzRender holds that every message is one that Slack takes and that says nothing in markup, whatever the
// cloud calls things and whatever happens.
func FuzzRender(f *testing.F) {
	f.Add(
		"web-07",
		"prod-web",
		"LBNotFound: no such load balancer",
		uint64(1),
		uint8(3),
		uint8(5),
		int64(1795409616),
	)
	f.Add(
		"<!channel> *b* `c` :fire: _x_",
		"<@U123|boss>",
		"a\nb\u2028c\u202e\U000e0041",
		uint64(2),
		uint8(20),
		uint8(9),
		int64(0),
	)
	f.Add("", "\u200b", "\xff\xfe", uint64(3), uint8(1), uint8(1), int64(1))
	for n, s := range []string{"<", "&", "🔥", "數", "_", `"`, "\\"} {
		f.Add(
			strings.Repeat(s, 60),
			strings.Repeat(s, 60),
			strings.Repeat(s, 400),
			uint64(2+n),
			uint8(255),
			uint8(250-n),
			int64(-1<<33),
		)
		f.Add(
			strings.Repeat(s, 60),
			strings.Repeat(s, 60),
			strings.Repeat(s, 400),
			uint64(2+n),
			uint8(2),
			uint8(60),
			int64(1)<<33,
		)
	}
	f.Fuzz(func(t *testing.T, name, label, why string, seed uint64, clbs, machines uint8, unix int64) {
		clbs, machines = clbs%24, machines%80
		if seed%5 > 1 { // small ones reach as much, and are faster
			clbs, machines = clbs%5, machines%7
		}
		if unix < -1<<34 || unix > 1<<37 {
			return // no clock says so
		}
		pick := picker(seed)
		s := newStory(t)
		s.at, s.rules.TransientFor = time.Unix(unix, 0), time.Duration(pick(2))*2*time.Minute
		s.style.Zone = time.FixedZone("CST", 8*3600)
		s.quiet, s.style.Buttons = true, pick(2) == 0
		names := []string{name, label, why, "web-07", ""}
		any := func() string { return names[pick(len(names))] }
		for c := range int(clbs) + 1 {
			key := fmt.Sprint(c)
			s.clbs[key] = lb.CLB{
				Region: []string{"ap-guangzhou", label, "ap-tokyo"}[pick(3)],
				ID:     fmt.Sprint(c, name),
				Label:  any(),
				Title:  any(),
			}
			for n := range int(machines) {
				s.pools[key] = append(
					s.pools[key],
					lb.Backend{
						ID:       fmt.Sprint(n, []string{why, name}[c%2]),
						Name:     any(),
						LanIP:    any(),
						Type:     []string{"", "", "ENI", why}[pick(4)],
						Status:   lb.Running,
						Weight:   pick(12),
						Checked:  1,
						Bindings: bindings(pick, any),
					},
				)
			}
			lb.SortBackends(s.pools[key])
			s.known[key] = lb.Baseline(s.pools[key], s.at)
		}
		for range 1 + pick(6) {
			s.mutate(pick, any)
			s.tick()
			if pick(4) == 0 {
				s.ticks(pick(14))
			}
			if pick(40) == 0 {
				s.skip(26 * time.Hour)
			}
			for _, r := range s.state.Roots[:min(3, len(s.state.Roots))] {
				for _, c := range calls(pick) {
					if pick(4) == 0 {
						checkMessage(t, message.Of(s.document(r), c, s.style))
					}
				}
			}
		}
	})
}

func bindings(pick func(int) int, any func() string) (all []lb.Binding) {
	for range pick(4) {
		all = append(all, lb.Binding{Listener: any(), Rule: any(), Port: pick(4), Weight: pick(4)})
	}
	lb.SortBindings(all)
	return slices.Compact(all)
}

// mutate changes some of everything.
func (s *story) mutate(pick func(int) int, any func() string) {
	for c := range len(s.clbs) {
		key := fmt.Sprint(c)
		pool := slices.Clone(s.pools[key])
		for n := range pool {
			switch pick(8) {
			case 0, 1:
				pool[n].Status, pool[n].Failing = lb.Status(pick(24)), nil
			case 2:
				pool[n].Status = lb.Running
			case 3:
				pool[n].Failing = []string{any()}
			case 4:
				pool[n].Bindings = bindings(pick, any)
			case 5:
				pool[n].ID += "x" // another one under the same name
			}
		}
		if pick(3) == 0 && len(pool) > 0 {
			pool = slices.Delete(pool, 0, 1+pick(len(pool)))
		}
		lb.SortBackends(pool)
		s.pools[key] = slices.CompactFunc(pool, func(a, b lb.Backend) bool { return a.ID == b.ID })
	}
	s.unread = nil
	for c := range len(s.clbs) {
		if pick(3) == 0 {
			about := []incident.About{incident.Reading, incident.Health, incident.Listing}[pick(3)]
			s.unread = append(
				s.unread,
				incident.Unread{
					Key:      s.clbs[fmt.Sprint(c)].Key(),
					About:    about,
					LastGood: s.at.Add(-time.Duration(pick(1e6)) * time.Second),
					Reason:   incident.Reason{Why: any(), Do: any()},
				},
			)
		}
		ends := []incident.End{incident.EndDeleted, incident.EndDropped}
		if pick(9) == 0 {
			s.gone = map[string]incident.End{
				s.clbs[fmt.Sprint(c)].Key(): ends[pick(2)],
			}
		}
	}
	s.rules.BlindAfter = 1 + pick(3)
	for range pick(4) {
		c := s.clbs[fmt.Sprint(pick(len(s.clbs)))]
		about := []incident.About{
			incident.Watching, incident.Deleted, incident.Unmatched, incident.Upgraded, incident.Nothing,
		}[pick(5)]
		i := incident.Incident{
			About:  about,
			Key:    c.Key(),
			Label:  c.Label,
			Title:  c.Title,
			Before: lb.Capacity{Total: pick(9)},
			Now:    lb.Capacity{Total: pick(9)},
		}
		if about == incident.Watching {
			i.Baseline = &incident.Baseline{CLBs: pick(40), Backends: pick(1 << 30), Running: pick(1 << 30)}
			for range pick(16) {
				i.Baseline.Worst = append(
					i.Baseline.Worst,
					incident.Standing{CLB: c, Now: lb.Capacity{Running: pick(1 << 20), Total: pick(1 << 20)}},
				)
			}
		}
		s.notices = append(s.notices, i)
	}
}

// TestThousandIncidentsInARootFit holds the size where it is worst: each of 1,000 load balancers has the
// longest name.
func TestThousandIncidentsInARootFit(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("<", 60), strings.Repeat("🔥", 60)} {
		s := newStory(t)
		for c := range 1000 {
			key := fmt.Sprint(c)
			s.clbs[key] = lb.CLB{Region: "ap-guangzhou", ID: fmt.Sprint(c, name), Label: name, Title: name}
			s.pools[key] = []lb.Backend{
				{ID: fmt.Sprint(c, name), Name: name, LanIP: name, Status: lb.Running, Weight: 10},
			}
			s.known[key] = s.pools[key]
			s.set(key, lb.Status(4+c%3), name)
		}
		m := s.tick().root()
		want := "1000 load balancers DOWN, 1000 machines stopped on 1000 load balancers"
		if !strings.Contains(m.Text, want) {
			t.Errorf("%q does not say %q", m.Text, want)
		}
	}
}
