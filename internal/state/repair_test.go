package state_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/state"
)

// grown is a state of some heads, the newest two with snapshots and news of their own.
func grown(t *testing.T) *world {
	t.Helper()
	w := newWorld()
	w.tick(t, 500)
	for i := range 2 {
		w.now = w.now.Add(time.Minute)
		old := w.Newest()
		h := w.next(old, 5)
		w.made += 5
		h.Snapshot = pools(t, w, "ap-guangzhou/lb-a", fmt.Sprint("ap-guangzhou/lb-b", i))
		h.Observe(fmt.Sprint("O", i), w.now)
		h.Incidents.Judge(incident.Observation{At: w.now, Changed: []incident.Changed{
			changed(fmt.Sprint("ap-guangzhou/lb-b", i), "ins-a", "web", w.now)}}, rules())
		if err := state.Commit(t.Context(), w.Memory, h); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func TestInspectShowsWhatIsThere(t *testing.T) {
	t.Parallel()
	w := grown(t)
	w.now = w.now.Add(24 * time.Hour)
	w.tick(t, 1)
	for _, deep := range []bool{false, true} {
		v, err := state.Inspect(t.Context(), w, deep)
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Heads) != 4 || v.Heads[0].N != 4 || v.Newest != 4 || v.Head.N != 4 || v.CLBs != 2 ||
			v.Backends != 4 || len(v.Damage) != 0 ||
			!v.At.Equal(w.now) || v.Head.By[0].Name != ours {
			t.Errorf("Inspect = %+v", v)
		}
		if len(v.History) != 1 || v.History[0] != (state.Day{Day: "2026-11-23", Segments: 1, Lines: 510,
			Bytes: w.Newest().History[0].Bytes}) || v.Orphans != 1 {
			t.Errorf("history %+v, %d orphans; want one day of 510 lines and the segment that it took in", v.History,
				v.Orphans)
		}
	}
	if v, err := state.Inspect(t.Context(), newWorld(), true); err != nil || v.Head != nil ||
		len(v.Damage) != 0 {
		t.Errorf("Inspect of nothing = %+v, %v", v, err)
	}
}

func TestRepairGoesBackToWhatCanBeRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		damage func(w *world)
		says   string // of Inspect
		from   int64  // the head that goes on; 0 if nothing is to be repaired, -1 if nothing can be
	}{
		{"nothing", func(*world) {}, "", 0},
		{"the newest head", func(w *world) { w.Damage(3) }, "head 3", 2},
		{"the newest two heads", func(w *world) { w.Damage(3); w.Damage(2) }, "head 2", 1},
		{"the newest head, and the one before is gone", func(w *world) { w.Damage(3); w.Forget(2) }, "head 2", 1},
		{"the newest snapshot is gone", func(w *world) { w.ForgetSnapshot(*w.Newest().Snapshot) },
			"snapshot of head 3", 2},
		{"every head", func(w *world) { w.Damage(3); w.Damage(2); w.Damage(1) }, "head 1", -1},
		{"an old head", func(w *world) { w.Damage(1) }, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := grown(t)
			tt.damage(w)
			v, err := state.Inspect(t.Context(), w, false)
			if err != nil {
				t.Fatal(err)
			}
			if said := fmt.Sprint(v.Damage); (tt.says == "") != (len(v.Damage) == 0) ||
				!strings.Contains(said, tt.says) || v.Newest != 3 {
				t.Errorf("Inspect says %s, newest %d; want %q", said, v.Newest, tt.says)
			}
			for _, d := range v.Damage {
				if d.Can != (tt.from > 0) {
					t.Errorf("%s can be mended: %v", d.What, d.Can)
				}
			}
			h, from, err := state.Repair(t.Context(), w, "REPAIR")
			switch {
			case tt.from == 0 && !errors.Is(err, state.ErrSound):
				t.Errorf("Repair = %v, want that there is nothing to do", err)
			case tt.from < 0 && (err == nil || advice.Of(err) == ""):
				t.Errorf("Repair = %v, want an error that says what to do", err)
			}
			if tt.from <= 0 {
				return
			}
			if err != nil || from != tt.from || h.N != 4 {
				t.Fatalf("Repair = head %d from %d, %v; want head 4 from %d", h.Number(), from, err, tt.from)
			}
			got, err := w.Load(t.Context())
			if err != nil || got.Writer != "REPAIR" || got.By[0].Name != state.CLI || got.By[1].Name != ours {
				t.Fatalf("Load = %+v, %v", got, err)
			}
			old, err := w.Head(t.Context(), tt.from)
			if err != nil || got.Holds() != old.Holds() || len(got.Tail) != len(old.Tail) ||
				len(got.Incidents.Roots) != len(old.Incidents.Roots) {
				t.Errorf("head 4 is not as head %d was: %+v", tt.from, got)
			}
			s, err := state.OpenSnapshot(t.Context(), w, got)
			if err != nil || s.Drain() != nil {
				t.Errorf("its snapshot: %v", err)
			}
			w.tick(t, 1) // and life goes on
		})
	}
}

// TestRepairUsesNoNumberTwice: people would know two incidents by one number.
func TestRepairUsesNoNumberTwice(t *testing.T) {
	t.Parallel()
	w := grown(t)
	w.ForgetSnapshot(*w.Newest().Snapshot)
	last := w.Newest().Incidents.Last
	if h, _, err := state.Repair(t.Context(), w, "REPAIR"); err != nil || h.Incidents.Last != last {
		t.Errorf("the next incident follows %d, %v; want %d", h.Incidents.Last, err, last)
	}
}

// TestRepairGoesBackForDamageOnly: what cannot be read now may be read later, and going back would undo it.
func TestRepairGoesBackForDamageOnly(t *testing.T) {
	t.Parallel()
	refused := errors.New("access denied")
	for _, op := range []string{"heads", "head", "open"} {
		w := grown(t)
		w.Damage(3)
		w.Fail(func(o, _ string) (bool, error) {
			if o == op {
				return false, refused
			}
			return true, nil
		})
		if h, _, err := state.Repair(t.Context(), w, "REPAIR"); !errors.Is(err, refused) {
			t.Errorf("%s fails: Repair = %+v, %v, want that error", op, h, err)
		}
		if _, err := state.Inspect(t.Context(), w, false); !errors.Is(err, refused) {
			t.Errorf("%s fails: Inspect = %v, want that error", op, err)
		}
		if w.Calls("commit") != 3 {
			t.Errorf("%s fails: something was committed", op)
		}
	}
}

func TestInspectFindsWhatTheHistoryLacks(t *testing.T) {
	t.Parallel()
	w := grown(t)
	w.ForgetSegment(w.Newest().History[0])
	v, err := state.Inspect(t.Context(), w, true)
	if err != nil || len(v.Damage) != 1 || v.Damage[0].Can ||
		!strings.Contains(v.Damage[0].What, "history of 2026-11-23") {
		t.Errorf("Inspect = %+v, %v, want that a segment is gone, and cannot be mended", v.Damage, err)
	}
}

func TestTakeLetsAnotherFunctionGoOn(t *testing.T) {
	t.Parallel()
	for _, owner := range []string{"", ours} {
		w := newWorld()
		h := (*state.Head)(nil).Next("W", "ap-guangzhou/default/of-long-ago", w.now)
		w.now = w.now.Add(20 * time.Minute)
		h = h.Next("W", ours, w.now).Next("W", theirs, w.now)
		h.N = 1
		if err := state.Commit(t.Context(), w.Memory, h); err != nil {
			t.Fatal(err)
		}
		part := state.Part{Store: w.Memory, By: ours, Nonce: func() string { return "N" }}
		if _, err := part.Begin(t.Context()); err == nil {
			t.Fatal("two functions on one state")
		}
		was, err := state.Take(t.Context(), w.Memory, owner, "TAKE")
		if names := fmt.Sprint(was); err != nil || !strings.Contains(names, theirs) ||
			strings.Contains(names, "long-ago") ||
			strings.Contains(names, ours+" ") != (owner == "") {
			t.Errorf("Take = %v, %v, want those that were alive, but for %q", was, err, owner)
		}
		if _, err := part.Begin(t.Context()); err != nil {
			t.Errorf("after Take: %v", err)
		}
		part.By = theirs
		if _, err := part.Begin(t.Context()); (err == nil) != (owner == "") {
			t.Errorf("owner %q: the other function: %v", owner, err)
		}
	}
	if _, err := state.Take(t.Context(), newWorld().Memory, "", "TAKE"); err == nil {
		t.Error("a state that is not there was taken")
	}
}

func TestTakeBesideARunThatCommits(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.tick(t, 1)
	once := true
	w.Fail(func(op, _ string) (bool, error) {
		if op == "commit" && once {
			once = false
			w.tick(t, 1)
		}
		return true, nil
	})
	if _, err := state.Take(t.Context(), w.Memory, "", "TAKE"); err != nil {
		t.Fatal(err)
	}
	if h := w.Newest(); h.N != 3 || len(h.Tail) != 2 || len(h.By) != 1 {
		t.Errorf("the newest head is %+v, want what the run committed, taken", h)
	}
}
