package incident

import (
	"testing"
	"time"

	"clbwatch/internal/lb"
)

// A post in doubt keeps its number when the route changes: after a return, a look-up would take it for
// another.
func TestDoubtfulUpdateKeepsItsNumberWhenTheRouteReturns(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 4, 53, 0, 0, time.UTC)
	rules := Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: "C1", Tag: "tag"}
	doubt := Post{N: 3, Rev: 2}
	s := State{At: at, Roots: []*Root{{
		Incidents: []*Incident{{ID: "1", Key: "r/lb-a", Began: at,
			Rev: 2}}, Tag: "tag", Made: at, Rev: 2, News: 2, NewsAt: at,
		Delivery: Delivery{Route: "C1", Posted: true, TS: "1", Shown: 1, Updates: 3,
			Doubt: &Doubt{Post: doubt, At: at, Copies: 1}},
	}}}
	r := s.Roots[0]
	was := r.Key(doubt)
	for _, route := range []Route{"C2", "C1"} {
		at = at.Add(time.Minute)
		rules.Route = route
		s.Judge(Observation{At: at}, rules)
	}
	r.Delivery.Posted, r.Delivery.TS = true, "2"
	if now := r.Key(Post{N: r.Delivery.Updates}); now == was {
		t.Errorf("the next update has the key %s, which one in doubt has", now)
	}
}

// The same goes for a root that somebody deleted.
func TestDoubtfulUpdateKeepsItsNumberWhenTheRootIsGone(t *testing.T) {
	t.Parallel()
	d := Delivery{Route: "C1", Posted: true, TS: "1", Updates: 3, Doubt: &Doubt{Post: Post{N: 3}, Copies: 1}}
	if d.anew(); d.Updates != 4 {
		t.Errorf("the next update has number %d, which one in doubt has", d.Updates)
	}
}

// Where nobody knows where the root is, a reminder becomes a new root, which counts as that reminder.
func TestReminderOfALostRootIsPostedOnce(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 4, 53, 0, 0, time.UTC)
	rules := Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: "C1", Tag: "tag"}
	s := State{At: at, Roots: []*Root{{
		Incidents: []*Incident{{ID: "1", Key: "r/lb-a", Began: at, Rev: 1, Stable: true, Level: Impaired,
			Now:      lb.Capacity{Running: 1, Total: 2, Weight: 20, Serving: 10, Lost: 10, Out: 1},
			Machines: []Machine{{ID: "ins-a", Now: Out, Rev: 1}}}},
		Tag: "tag", Made: at, Rev: 1, News: 1, NewsAt: at,
		Delivery: Delivery{Route: "C1", Posted: true, Shown: 1, NoLook: true}, // its answer was lost
	}}}
	posts := 0
	for range 100 {
		at = at.Add(time.Minute)
		s.Judge(Observation{At: at}, rules)
		s.Plan(at, at, "run", at.Add(time.Minute), rules)
		all, _ := s.Claimed("run")
		for _, r := range all {
			for {
				call, ok := r.NextPost()
				if !ok {
					break
				}
				out := Outcome{}
				if call.Do == Send {
					posts++
					out = Outcome{Class: Unknown, Err: errSlack}
				}
				r.Take(Step{Root: r.Prefix(), Call: call, Outcome: out, Now: at, At: at})
			}
			r.Delivery.Claim = nil
		}
	}
	if posts > 2 {
		t.Errorf("one reminder was posted %d times, want at most 2", posts)
	}
}
