package incident

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
)

// fill sets every exported field to something that is not zero.
func fill(v reflect.Value, seed *int) {
	*seed++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), seed)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(epoch.Add(time.Duration(*seed) * time.Second)))
			return
		}
		for n := range v.NumField() {
			if v.Type().Field(n).IsExported() {
				fill(v.Field(n), seed)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), seed)
	case reflect.Array:
		for n := range v.Len() {
			fill(v.Index(n), seed)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, seed)
		fill(value, seed)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(fmt.Sprint("s", *seed))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*seed%2 + 1)) // a Condition, too
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(*seed))
	default:
		panic(v.Kind())
	}
}

// TestEveryFieldIsStored holds that nothing of the state is lost on its way through bytes.
func TestEveryFieldIsStored(t *testing.T) {
	t.Parallel()
	seed := 0
	var s State
	fill(reflect.ValueOf(&s).Elem(), &seed)
	u := Unread{Key: "k", About: Reading, Since: epoch, LastGood: epoch.Add(time.Second), Ticks: 2, Why: 1}
	s.Unread = Unreads{u.key(): u}
	blind := &Incident{ID: "2", Key: "k2", About: Reading, Label: "l", Title: "t", Began: epoch, Why: 1,
		LastGood: epoch, Readable: true, Times: 3,
		Alone: true, Changed: epoch.Add(time.Minute), Rev: 2, Loud: 2, Stable: true,
		Closed: epoch.Add(time.Hour), End: EndResolved}
	s.Roots[0].Incidents[0].About = Backends
	s.Roots[0].Incidents = append(s.Roots[0].Incidents, blind)
	text, err := json.Marshal(&s)
	if err != nil {
		t.Fatal(err)
	}
	var back State
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s, back) {
		a, _ := json.MarshalIndent(&s, "", " ")
		b, _ := json.MarshalIndent(&back, "", " ")
		x, y := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
		for n := range x {
			if n >= len(y) || x[n] != y[n] {
				t.Fatalf("line %d: %s", n, x[n])
			}
		}
		t.Errorf("not stored: %+v\nwas %+v", back.Roots[0].Incidents[0], s.Roots[0].Incidents[0])
	}
}

// TestCloneIsApart holds that whatever is done to a copy, the original stays as it was.
func TestCloneIsApart(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		s := newSim(general, []Route{bot, webhook}[seed%2], seed+1)
		s.end = 70 * minute
		s.play()
		for n := 1; n < len(s.heads); n += 7 {
			h := s.heads[n]
			before := encoded(t, h.state)
			twin := h.state.Clone()
			if encoded(t, twin) != before {
				t.Fatalf("seed %d: a clone is another", seed)
			}
			at := h.at.time().Add(time.Minute)
			rules := s.rules
			rules.Tag = "clone"
			var o Observation
			o.At = at
			for _, name := range s.clbs {
				old := h.snap[name]
				next := make([]lb.Backend, len(old))
				copy(next, old)
				for n := range next {
					if next[n].Status = 4; next[n].Running() {
						next[n].Status = 2
					}
				}
				next, changes := lb.Diff(old, next, at, time.Time{})
				if len(changes) > 0 {
					o.Changed = append(o.Changed, Changed{lb.ParseKey(keyOf(name)), lb.Compare(old, next,
						changes)})
				}
			}
			twin.Judge(o, rules)
			twin.Plan(at, at, "clone", at.Add(time.Minute), rules)
			shake(twin, "clone", at, rand.New(rand.NewPCG(seed, 5)))
			for _, r := range twin.Roots {
				r.Delivery.Left = append(r.Delivery.Left, Receipt{})
				for _, i := range r.Incidents {
					i.Emptied = append(i.Emptied, "x")
					for k := range i.Crowd {
						i.Crowd[k] = Member{}
					}
					for n := range i.Machines {
						i.Machines[n].Rev = 99
					}
				}
			}
			for k := range twin.Unread {
				delete(twin.Unread, k)
			}
			for n := range twin.Reasons {
				twin.Reasons[n].Why = "x"
			}
			for _, c := range twin.Channels {
				c.LastYes = epoch
			}
			if encoded(t, h.state) != before {
				t.Fatalf("seed %d: what was done to a clone shows in the original", seed)
			}
		}
	}
}

// shake carries out everything that a run has claimed, with answers drawn by chance.
func shake(s *State, by string, now time.Time, rng *rand.Rand) (steps []Step) {
	run := s.Clone()
	posts, edits := run.Claimed(by)
	answer := func(r *Root, c Call) {
		o := Outcome{Class: Class(rng.IntN(int(Content) + 1)), TS: fmt.Sprint(rng.IntN(100))}
		if c.Do == Copies {
			for n := range rng.IntN(4) {
				o.Found = append(o.Found, Copy{fmt.Sprint(r.Prefix(), []string{"root-", ""}[n%2],
					rng.IntN(3)), fmt.Sprint(n)})
			}
		}
		steps = append(steps, Step{Root: r.Prefix(), Call: c, Outcome: o, Now: now, At: now})
		r.Take(steps[len(steps)-1])
	}
	for _, r := range posts {
		for n := 0; n < 30; n++ {
			c, ok := r.NextPost()
			if !ok {
				break
			}
			answer(r, c)
		}
	}
	for _, r := range edits {
		for n := 0; n < 30; n++ {
			c, ok := r.NextEdit(now)
			if !ok {
				break
			}
			answer(r, c)
		}
	}
	s.Mark(by, steps, now)
	return steps
}

func encoded(t *testing.T, s *State) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func decoded(t *testing.T, text string) *State {
	t.Helper()
	s := new(State)
	if err := json.Unmarshal([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStoredStateBehavesTheSame holds that a state which went through bytes is judged, planned and marked as
// the one that did not.
func TestStoredStateBehavesTheSame(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 11))
		one := &State{}
		two := &State{}
		rules := Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 2, Route: []Route{bot,
			webhook}[seed%2],
			TransientFor: []time.Duration{0, 3 * time.Minute}[seed%3%2]}
		snap := make(map[string][]lb.Backend)
		at := epoch.Add(123 * time.Millisecond)
		for tick := range 120 {
			at = at.Add(time.Minute + time.Duration(rng.IntN(2000))*time.Millisecond)
			rules.Tag = fmt.Sprint("t", tick)
			o := Observation{At: at, Accepted: make(map[string]bool)}
			for n := range 5 {
				clb := lb.CLB{Region: "r", ID: fmt.Sprint("lb", n), Title: "title"}
				if rng.IntN(20) == 0 {
					o.Unread = append(o.Unread, Unread{Key: clb.Key(), About: []About{Reading, Health}[n%2],
						LastGood: at, Reason: Reason{Why: "no"}})
					continue
				}
				var now []lb.Backend
				for k := range 4 {
					if rng.IntN(30) > 0 {
						now = append(now, lb.Backend{ID: fmt.Sprint("w", k), Name: "n", Weight: 10,
							Status: []lb.Status{2, 2, 2, 2, 2, 2, 4, 7}[rng.IntN(7)*(tick%40/20)]})
					}
				}
				if snap[clb.ID] == nil {
					snap[clb.ID] = lb.Baseline(now, at)
					continue
				}
				next, changes := lb.Diff(snap[clb.ID], now, at, time.Time{})
				if len(changes) > 0 {
					o.Changed = append(o.Changed, Changed{clb, lb.Compare(snap[clb.ID], next, changes)})
				}
				snap[clb.ID] = next
			}
			by := fmt.Sprint("run", tick)
			var texts [2]string
			for n, s := range []*State{one, two} {
				past := s.Judge(o, rules)
				past = append(past, s.Plan(at, at, by, at.Add(time.Minute), rules)...)
				shake(s, by, at, rand.New(rand.NewPCG(seed, uint64(tick))))
				s.mustBeValid(t)
				text, _ := json.Marshal(past)
				texts[n] = encoded(t, s) + string(text)
			}
			if texts[0] != texts[1] {
				at := 0
				for texts[0][at] == texts[1][at] {
					at++
				}
				at = max(0, at-300)
				t.Fatalf("seed %d, tick %d: a state that was stored is another:\n%.600s\n%.600s", seed, tick,
					texts[0][at:], texts[1][at:])
			}
			two = decoded(t, encoded(t, two))
		}
	}
}

// TestValidate holds that what no run writes is refused.
func TestValidate(t *testing.T) {
	t.Parallel()
	good := func() *State {
		d := newDesk(t, map[string]string{"a": "w0 w1 w2", "b": "w3 w4 w5"})
		d.set("a", "w0:4 w1 w2").pass(1).set("b", "w3:4 w4 w5").pass(5)
		d.blind["a"] = Reading
		d.pass(4)
		d.blind["b"] = Health
		return d.pass(1).s
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(*State){
		"nil root":             func(s *State) { s.Roots[0] = nil },
		"no incident":          func(s *State) { s.Roots[0].Incidents = nil },
		"nil incident":         func(s *State) { s.Roots[0].Incidents[0] = nil },
		"no tag":               func(s *State) { s.Roots[0].Tag = "" },
		"a root twice":         func(s *State) { s.Roots = append(s.Roots, s.Roots[0]) },
		"news of tomorrow":     func(s *State) { s.Roots[0].News = s.Roots[0].Rev + 1 },
		"a number of tomorrow": func(s *State) { s.Last = 0 },
		"no number":            func(s *State) { s.Roots[0].Incidents[0].ID = "" },
		"one number twice":     func(s *State) { s.Roots[0].Incidents[1].ID = s.Roots[0].Incidents[0].ID },
		"about nothing known":  func(s *State) { s.Roots[0].Incidents[0].About = "x" },
		"a notice among them": func(s *State) {
			s.Roots[0].Incidents[0].About,
				s.Roots[0].Incidents[0].End = Deleted, EndNotice
		},
		"an open notice":    func(s *State) { s.Roots[0].Incidents[0].About = Deleted },
		"an unknown end":    func(s *State) { s.Roots[0].Incidents[0].End = "x" },
		"a level beyond":    func(s *State) { s.Roots[0].Incidents[0].Level = 4 },
		"a level below":     func(s *State) { s.Roots[0].Incidents[0].Level = -1 },
		"shown tomorrow":    func(s *State) { s.Roots[0].Delivery.Shown = s.Roots[0].Rev + 1 },
		"no channel":        func(s *State) { s.Roots[0].Delivery.Route = "" },
		"a form beyond":     func(s *State) { s.Roots[0].Delivery.Form = Bare + 1 },
		"fails below":       func(s *State) { s.Roots[0].Delivery.Fails = -1 },
		"reminders below":   func(s *State) { s.Roots[0].Delivery.Reminders = -1 },
		"a claim of nobody": func(s *State) { s.Roots[0].Delivery.Claim = &Claim{} },
		"a claim of tomorrow": func(s *State) {
			s.Roots[0].Delivery.Claim = &Claim{By: "x",
				Post: &Post{Rev: 99}}
		},
		"a doubt of tomorrow":  func(s *State) { s.Roots[0].Delivery.Doubt = &Doubt{Post: Post{Rev: 99}} },
		"a nil channel":        func(s *State) { s.Channels["x"] = nil },
		"a reason beyond":      func(s *State) { s.Roots[1].Incidents[0].Why = 2 },
		"an unread of another": func(s *State) { s.Unread["x"] = Unread{Key: "y", About: Reading} },
		"an unread notice": func(s *State) {
			u := Unread{Key: "y",
				About: Deleted}
			s.Unread[u.key()] = u
		},
		"too many reasons": func(s *State) { s.Reasons = make([]Reason, 21) },
		"two open ones":    func(s *State) { s.Roots[0].Incidents[1].Key = s.Roots[0].Incidents[0].Key },
		"a machine twice": func(s *State) {
			i := s.Roots[0].Incidents[0]
			i.Machines = append(i.Machines, i.Machines[0])
		},
		"a condition beyond": func(s *State) { s.Roots[0].Incidents[0].Machines[0].Now = 3 },
		"the year 10000":     func(s *State) { s.Roots[1].Incidents[0].Changed = time.Unix(1<<40, 0) },
		"a negative last":    func(s *State) { s.Last = -1 },
		"a rise of tomorrow": func(s *State) { s.Roots[0].Marks[0].Rise = 99 },
		"a set beyond": func(s *State) {
			s.Roots[0].Delivery.Claim = &Claim{By: "x", Post: &Post{Rev: 1,
				Ends: 8}}
		},
	} {
		s := good()
		if damage(s); s.Validate() == nil {
			t.Errorf("%s: nobody notices", name)
		}
	}
}

// FuzzState holds that no bytes make the rules panic, and that what Validate lets through stays so.
func FuzzState(f *testing.F) {
	for seed := range uint64(6) {
		s := newSim(general, []Route{bot, webhook}[seed%2], seed+3)
		s.end = 60 * minute
		s.play()
		for n := 10; n < len(s.heads); n += 30 {
			text, err := json.Marshal(s.heads[n].state)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add([]byte(`{"last":1,"roots":[{"incidents":[{"id":"1","k":"r/a","a":"reading","w":1,"at":[1,2,3]}],` +
		`"tag":"t","rev":1,"delivery":{"route":"C"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := new(State)
		if json.Unmarshal(text, s) != nil || s.Validate() != nil {
			return
		}
		rules := Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 1, Route: bot,
			Tag: "fuzz-tag"}
		s.Clone()
		rng := rand.New(rand.NewPCG(uint64(len(text)), 1))
		at := epoch.Add(30 * time.Minute)
		for tick := range 4 {
			at = at.Add(5 * time.Minute)
			rules.Tag = fmt.Sprint("fuzz", tick)
			b := lb.Backend{ID: "l0-0", Status: lb.Running, Weight: 10}
			old := []lb.Backend{b}
			b.Status = 4
			next, changes := lb.Diff(old, []lb.Backend{b}, at, time.Time{})
			o := Observation{At: at, Changed: []Changed{{lb.ParseKey("ap-test/l0"), lb.Compare(old, next,
				changes)}},
				Unread: []Unread{{Key: "ap-test/l1", About: Reading}}, Accepted: s.Abandoning(at, rules)}
			for key := range s.Unread {
				o.Gone = map[string]End{key: EndDeleted}
			}
			s.Judge(o, rules)
			s.Plan(at, at, "fuzz", at.Add(time.Minute), rules)
			shake(s, "fuzz", at, rng)
			s.Overdue(at)
			for _, r := range s.Roots {
				r.Rows()
				r.Tally(func(*Incident) bool { return true })
				r.Level()
				r.Resolved()
				for _, i := range r.Incidents {
					i.ServingPercent()
				}
			}
			if err := s.Validate(); err != nil {
				t.Fatalf("the rules made of a valid state one that is not: %v", err)
			}
			if _, err := json.Marshal(s); err != nil {
				t.Fatalf("what was decoded cannot be encoded: %v", err)
			}
		}
	})
}
