package cli_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/cli"
	"clbwatch/internal/incident"
	"clbwatch/internal/state"
)

const (
	ours   = "ap-guangzhou/default/clbwatch"
	theirs = "ap-guangzhou/default/clbwatch-\x1b[2Jold"
)

var at = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// kept is a state with something of everything.
func kept() *state.Inventory {
	h := (*state.Head)(nil).Next("A", theirs, at.Add(-2*time.Hour)).Next("B", state.CLI, at.Add(-time.Hour)).
		Next("C", ours, at.Add(-5*time.Minute))
	h.Snapshot, h.ObservedAt = &state.Blob{}, at.Add(-6*time.Minute)
	h.Tail = make([]incident.Record, 3)
	h.Unlisted = map[string]state.Unlisted{"ap-hongkong/*": {Tries: 2, Why: "denied\nclbwatch: all is well"}}
	open := &incident.Incident{ID: "12", Key: "ap-guangzhou/lb-8a3k2m1q", Label: "prod-\x1b[2Jweb",
		Level: incident.Down, Began: at.Add(-time.Hour)}
	blind := &incident.Incident{ID: "13", Key: "ap-guangzhou/lb-c4r9t0zw", About: incident.Reading, Why: 1,
		Began: at.Add(-time.Hour)}
	h.Incidents.Reasons = []incident.Reason{{Why: "time\x1b[2Jout"}}
	late := incident.Delivery{Due: at.Add(-50 * time.Minute)}
	h.Incidents.Roots = []*incident.Root{
		{Incidents: []*incident.Incident{open}, Delivery: late}, {Incidents: []*incident.Incident{blind}},
	}
	h.Incidents.Unread = incident.Unreads{
		"x": {Key: "ap-guangzhou/lb-f0f0f0f0", Since: at.Add(-time.Minute), About: incident.Health},
	}
	return &state.Inventory{
		Place: "/var/\x1b[2Jlib", At: at, Heads: []state.Stored{{N: 3}, {N: 2}}, Newest: 3, Head: h,
		CLBs: 2, Backends: 5, Orphans: 1,
		History: []state.Day{
			{Day: "2026-11-20", Segments: 2, Lines: 400, Bytes: 900},
			{Day: "2026-11-22", Segments: 1, Lines: 100, Bytes: 100},
		},
	}
}

const wantKept = `state in /var/[2Jlib
head            3, committed 2026-11-23 17:55:00 CST (5 min ago) by function ap-guangzhou/default/clbwatch
heads           2 heads, the oldest is 2
committers      function ap-guangzhou/default/clbwatch, last 2026-11-23 17:55:00 CST (5 min ago)
                the command line, last 2026-11-23 17:00:00 CST (1 h ago)
                function ap-guangzhou/default/clbwatch-[2Jold, last 2026-11-23 16:00:00 CST (2 h ago)
snapshot        2 load balancers, 5 backends
observed        2026-11-23 17:54:00 CST (6 min ago)
incidents       incident 12  prod-[2Jweb  down since 2026-11-23 17:00 CST
                incident 13  lb-c4r9t0zw  cannot be read since 2026-11-23 17:00 CST
messages        1 due, 1 overdue: incident 12
cannot be read  lb-c4r9t0zw  since 2026-11-23 17:00 CST: time[2Jout
                the health of lb-f0f0f0f0  since 2026-11-23 17:59 CST
                search ap-hongkong/*, tried 2 times in a row: denied; clbwatch: all is well
history         2 days from 2026-11-20 to 2026-11-22: 500 lines, 1000 bytes in 3 segments; 3 lines in the head
orphans         1 segment beside the history, to be collected
`

func TestState(t *testing.T) {
	t.Parallel()
	broken := advice.Add(fmt.Errorf("head/1.json: %w: its checksum\nis \x1b[2Jwrong", state.ErrDamaged),
		"`clbwatch state` shows what is there")
	with := func(v *state.Inventory, all ...state.Damage) fake {
		v.Damage = all
		return fake{found: []*state.Inventory{v}}
	}
	behind := func() *state.Inventory {
		v := kept()
		v.Newest = 4
		return v
	}
	many := kept()
	for range 25 {
		many.Head.Incidents.Roots = append(many.Head.Incidents.Roots, many.Head.Incidents.Roots[0])
	}
	quieted := kept()
	quieted.Silences = make([]incident.Silence, 2)
	moved := kept()
	moved.Head.Moved = 4
	second := &state.Inventory{Shard: state.Shard{N: 2, Of: 4}, Place: "/var/lib/shards/2-of-4"}
	trouble := advice.Add(errors.New("\x1b[2Jtimeout"), "wait")
	const complaint = "clbwatch: [2Jtimeout\nclbwatch: → wait\n"
	had := state.Lineage{{Name: theirs, Alive: at}, {Name: ours, Alive: at}}
	one, all := []state.Shard{{N: 1, Of: 1}}, []state.Shard{{N: 1, Of: 2}, {N: 2, Of: 2}}
	for _, tt := range []struct {
		name, args, calls string
		app               fake
		code              int
		out, errors       string // as run has them
	}{
		{"all", "state", "state", with(kept()), 0, wantKept, ""},
		{"nothing yet", "state", "state", with(&state.Inventory{}), 0, "there is no state yet", ""},
		{"quiet", "state", "state", with(&state.Inventory{Head: (*state.Head)(nil).Next("A", ours, at)}), 0,
			"none open, and no message is due", ""},
		{"many incidents", "state", "state", with(many), 0, "\n                … and 7 more\n", ""},
		{"moved", "state", "state", with(moved), 0, "it went over to 4 shards", ""},
		{"shards", "state", "state", fake{found: []*state.Inventory{second, second}}, 0,
			"\n\nstate of shard 2/4 in /var/lib/shards/2-of-4\n", ""},
		{"one shard cannot be read now", "state", "state",
			fake{found: []*state.Inventory{second}, err: trouble}, 1, "state of shard 2/4", complaint},
		{"cannot be read now", "state", "state", fake{err: trouble}, 1, "", complaint},
		{"damaged head", "state", "state",
			with(behind(), state.Damage{What: "head 4", Err: broken, Can: true}), 1,
			"DAMAGED         head 4: head/1.json: it is damaged: its checksum; is [2Jwrong\n" +
				"→               `clbwatch state --repair` goes back", ""},
		{"damaged head, what follows", "state", "state",
			with(behind(), state.Damage{Err: broken, Can: true}), 1,
			"newest head     4, which cannot be read; what follows is in head 3\n", ""},
		{"damaged history", "state", "state",
			with(kept(), state.Damage{What: "history of 2026-11-20, segment 1", Err: state.ErrAbsent}), 1,
			"→               nothing can be done about the history", ""},
		{"damaged silence", "state", "state",
			with(kept(), state.Damage{What: "silences", Err: errors.Join(state.ErrDamaged,
				errors.New("and more"))}), 1,
			"DAMAGED         silences: it is damaged; and more\n" +
				"→               ticks go on without the silences", ""},
		{"silences", "state", "state", with(quieted), 0, "\nsilences        2 active; `clbwatch silence`",
			""},
		{"nothing can be read", "state", "state", with(&state.Inventory{Newest: 2},
			state.Damage{What: "head 2", Err: broken}, state.Damage{What: "head 1", Err: broken}), 1,
			"→               nothing can be repaired: restore a copy or start over; " +
				"see docs/operations.md, Lost\n",
			""},
		{"of another version", "state", "state", with(&state.Inventory{}, state.Damage{What: "heads",
			Err: advice.Add(errors.New("it has schema 6"), "run that version")}), 1,
			"DAMAGED         heads: it has schema 6\n→               run that version\n", ""},

		{"take", "state --take", "take", fake{took: one, was: had}, 0,
			"the state goes on with whichever function ticks next; it was that of function " +
				"ap-guangzhou/default/clbwatch-[2Jold, function ap-guangzhou/default/clbwatch\n", ""},
		{"take, from nobody", "state --take", "take", fake{took: one}, 0,
			"no other function was at work", ""},
		{"take shards", "state --take", "take", fake{took: all}, 0,
			"the state of shards 1/2, 2/2 goes on", ""},
		{"take fails", "state --take", "take", fake{err: trouble}, 1, "", complaint},

		{"repair", "state --repair", "repair", fake{repaired: []state.Repaired{{N: 5, From: 3}}}, 0,
			"went back to head 3: now head 5; the next tick finds the changes since\n", ""},
		{"nothing to repair", "state --repair", "repair",
			fake{repaired: []state.Repaired{{Shard: all[1]}}}, 0,
			"nothing to repair: the newest head of shard 2/2 and its snapshot can be read\n", ""},
		{"repair fails in one shard", "state --repair", "repair",
			fake{repaired: []state.Repaired{{Shard: all[0], N: 5, From: 3}}, err: trouble}, 1,
			"went back to head 3 of shard 1/2", complaint},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := tt.app
			p := cli.Program{Open: func(map[string]string) (cli.App, error) { return &a, nil }}
			run(t, p, tt.args, tt.code, tt.out, tt.errors)
			if calls := strings.Join(a.calls, ", "); calls != tt.calls {
				t.Errorf("clbwatch %s calls %q, want %q", tt.args, calls, tt.calls)
			}
		})
	}
}
