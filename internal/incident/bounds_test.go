package incident

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
)

// TestHeadStaysSmall holds how much room the worst state that anybody meets takes.
func TestHeadStaysSmall(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("<", 60)
	s := &State{Last: 90_000}
	rules := Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: bot, Suffix: "-12", Tag: "abcdefgh"}
	at := epoch.Add(123456789 * time.Nanosecond)
	clb := func(n int) lb.CLB {
		return lb.CLB{Region: "ap-shanghai-fsi", ID: fmt.Sprintf("lb-%08d", n), Label: name, Title: name}
	}
	for tick := range 30 {
		at = at.Add(time.Minute)
		rules.Tag = fmt.Sprintf("tag-%04d", tick)
		o := Observation{At: at}
		for n := range 20_000 {
			why := Reason{Why: fmt.Sprintf("%s %d %s", strings.Repeat("<", 200), n, name), Do: name}
			o.Unread = append(o.Unread, Unread{Key: clb(n).Key(), About: Reading, LastGood: at.Add(-time.Minute), Reason: why})
		}
		for n := 20_000 + tick*34; n < 20_000+tick*34+34; n++ {
			b := lb.Backend{ID: fmt.Sprintf("ins-%08d", n), Name: name, LanIP: "192.168.100.200", Status: lb.Running, Weight: 10}
			old := []lb.Backend{b, {ID: fmt.Sprintf("ins-%08d", n+50_000), Name: name, LanIP: "192.168.100.201", Status: lb.Running, Weight: 10}}
			b.Status = 4
			next, changes := lb.Diff(old, []lb.Backend{b, old[1]}, at, time.Time{})
			o.Changed = append(o.Changed, Changed{clb(n), lb.Compare(old, next, changes)})
		}
		s.Judge(o, rules)
		if tick == 1 {
			text, err := json.Marshal(s.Unread)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(text) / len(s.Unread); n > 150 || len(s.Unread) != 20_000 {
				t.Errorf("%d of what is not reported yet take %d bytes each, want at most 150", len(s.Unread), n)
			}
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	open, blind, roots := 0, 0, len(s.Roots)
	var record []byte
	for _, r := range s.Roots {
		for _, i := range r.Incidents {
			if i.About == Backends {
				open++
				continue
			}
			blind++
			if record, err = json.Marshal(i); err != nil || len(record) > 150 {
				t.Fatalf("a record without changes takes %d bytes, %v: %s", len(record), err, record)
			}
		}
	}
	t.Logf("%d incidents about backends, %d about reading, in %d roots: %d bytes; %s", open, blind, roots, len(text), record)
	if open < 1000 || blind != 20_000 {
		t.Errorf("%d incidents about backends and %d about reading, want 1000 and 20000", open, blind)
	}
	if len(text) > 4_000_000 {
		t.Errorf("it takes %d bytes", len(text))
	}
	if len(s.Reasons) > maxReasons {
		t.Errorf("%d reasons", len(s.Reasons))
	}
	var again State
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	again.mustBeValid(t)
	if back, err := json.Marshal(&again); err != nil || string(back) != string(text) {
		t.Errorf("decoded and encoded again it is another: %v", err)
	}
}
