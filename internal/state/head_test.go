package state_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
)

var start = time.Date(2026, 11, 23, 4, 53, 0, 0, time.UTC)

func rules() incident.Rules {
	return incident.Rules{StableAfter: 10 * time.Minute, MentionAt: 50, BlindAfter: 3, Route: "C0123ABCD",
		Tag: "TAGTAGTAG"}
}

// changed is what a tick sees of a load balancer on which a backend stopped.
func changed(key, id, name string, at time.Time) incident.Changed {
	b := lb.Backend{ID: id, Name: name, LanIP: "10.0.0.7", Status: 4, Weight: 10}
	return incident.Changed{CLB: lb.ParseKey(key), Delta: lb.Delta{
		Changes: []lb.Change{{Kind: lb.LeftRunning, Backend: b, Was: lb.Running, At: at, Lost: 10}},
		Before:  lb.Capacity{Total: 3, Running: 3, Serving: 30}, Now: lb.Capacity{Total: 3, Running: 2, Out: 1,
			Serving: 20, Lost: 10},
	}}
}

// busy is a head in which every field is used.
func busy(t testing.TB) *state.Head {
	t.Helper()
	var first *state.Head
	first = first.Next("WRITER1", state.CLI, start)
	h := first.Next("WRITER2", "ap-guangzhou/default/clbwatch", start.Add(time.Minute))
	h.Observe("OBSERVATION", start)
	h.Snapshot = &state.Blob{SHA256: strings.Repeat("0a", 32), Tag: "TAG", Bytes: 77}
	o := incident.Observation{At: start.Add(time.Minute),
		Changed: []incident.Changed{changed("ap-guangzhou/lb-a", "ins-a", "web-07 <&>", start),
			changed("ap-guangzhou/lb-b", "ins-b", "web-08", start)},
		Unread: []incident.Unread{{Key: "ap-guangzhou/lb-c", About: incident.Reading, LastGood: start,
			Reason: incident.Reason{Why: "connection refused", Do: "wait"}}}}
	h.Tail = append(h.Tail, h.Incidents.Judge(o, rules())...)
	h.Tail = append(h.Tail, h.Incidents.Plan(o.At, h.CommittedAt, h.Writer, h.CommittedAt.Add(time.Minute),
		rules())...)
	if len(h.Tail) != 2 || len(h.Incidents.Roots) == 0 || h.Incidents.Roots[0].Delivery.Claim == nil ||
		len(h.Incidents.Unread) != 1 {
		t.Fatalf("not a busy head: %+v", h)
	}
	h.Listed = map[string]time.Time{"ap-guangzhou/prod-*": start}
	h.Unlisted = map[string]state.Unlisted{"ap-shanghai": {Tries: 2, Next: start, Why: "no route", Do: "wait"}}
	h.Unposted = []string{"ap-guangzhou/lb-a"}
	h.History = []state.Segment{{Day: "2026-11-22", N: 1, Name: "0a1b-T", Bytes: 9, Text: 99, Lines: 3,
		To: start.Add(-time.Hour)},
		{Day: "2026-11-22", N: 2, Name: "0a1c-T", Bytes: 9, Text: 99, Lines: 3, To: start.Add(-time.Hour),
			In: "2/4"}}
	return h
}

func encode(t testing.TB, h *state.Head) []byte {
	t.Helper()
	b, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHeadSurvivesItsStoredForm(t *testing.T) {
	t.Parallel()
	h := busy(t)
	got, err := state.DecodeHead(h.N, encode(t, h))
	if err != nil {
		t.Fatal(err)
	}
	if again := encode(t, got); !bytes.Equal(again, encode(t, h)) {
		t.Errorf("decoded and encoded again:\n%s\nwant\n%s", again, encode(t, h))
	}
	if !reflect.DeepEqual(got.By, h.By) || got.Holds() != "OBSERVATION" || !got.Tail[0].At.Equal(h.Tail[0].At) {
		t.Errorf("decoded %+v, want %+v", got, h)
	}
}

// TestEverySingleBitFlipOfAHeadIsRefused turns each bit of a real head once.
func TestEverySingleBitFlipOfAHeadIsRefused(t *testing.T) {
	t.Parallel()
	h := busy(t)
	b := encode(t, h)
	taken := 0
	for i := range len(b) * 8 {
		b[i/8] ^= 1 << (i % 8)
		if _, err := state.DecodeHead(h.N, b); err == nil {
			taken++
		}
		b[i/8] ^= 1 << (i % 8)
	}
	if taken > 0 {
		t.Errorf("%d of %d single-bit flips are taken for a head", taken, len(b)*8)
	}
	if _, err := state.DecodeHead(h.N, b); err != nil {
		t.Errorf("without a flip: %v", err)
	}
}

func TestEveryHeadCutShortIsRefused(t *testing.T) {
	t.Parallel()
	h := busy(t)
	b := encode(t, h)
	for n := range b {
		if _, err := state.DecodeHead(h.N, b[:n]); !errors.Is(err, state.ErrDamaged) {
			t.Fatalf("the first %d of %d bytes: %v, want ErrDamaged", n, len(b), err)
		}
	}
}

// sealed puts the right checksum behind a line of JSON, as somebody could who forges a head.
func sealed(text string) []byte {
	text += "\n"
	sum := sha256.Sum256([]byte(text))
	return []byte(text + "sha256 " + hex.EncodeToString(sum[:]) + "\n")
}

func TestHeadsThatNoVersionWroteAreRefused(t *testing.T) {
	t.Parallel()
	const good = `{"schema":5,"n":7,"writer":"W","committedAt":"2026-11-23T04:53:00Z","incidents":{},"era":1}`
	if _, err := state.DecodeHead(7, sealed(good)); err != nil {
		t.Fatal(err)
	}
	with := func(field string) string { return strings.TrimSuffix(good, "}") + "," + field + "}" }
	blob := func(sha, tag string, size int) string {
		return with(fmt.Sprintf(`"snapshot":{"sha256":%q,"tag":%q,"bytes":%d}`, sha, tag, size))
	}
	sha := strings.Repeat("0a", 32)
	root := func(root string) string {
		return strings.Replace(good, `"incidents":{}`, `"incidents":{"roots":[`+root+`]}`, 1)
	}
	tests := []struct{ name, text, want string }{
		{"another number", strings.Replace(good, `"n":7`, `"n":8`, 1), "calls itself 8"},
		{"no writer", strings.Replace(good, `"W"`, `""`, 1), "no writer"},
		{"an unknown field", with(`"outbox":[]`), "unknown field"},
		{"no era", strings.Replace(good, `"era":1`, `"era":0`, 1), "impossible"},
		{"moved to shards that there cannot be", with(`"moved":65`), "impossible"},
		{"a newer schema", strings.Replace(good, `"schema":5`, `"schema":6`, 1), "schema 6"},
		{"an older schema with a checksum", strings.Replace(good, `"schema":5`, `"schema":4`, 1), "never released"},
		{"no schema", strings.Replace(good, `"schema":5`, `"x":5`, 1), "schema 0"},
		{"not JSON", "hello", "invalid character"},
		{"two values", good + good, "behind it"},
		{"two values, in another order", `{"n":7,` + strings.TrimPrefix(good, "{") + good, "invalid character"},
		{"null", "null", "schema 0"},
		{"a snapshot named by a path", blob(sha, "x/../../../../mine", 9), "snapshot"},
		{"a snapshot named by no hash", blob("../"+sha, "T", 9), "snapshot"},
		{"a snapshot without a size", blob(sha, "T", 0), "snapshot"},
		{"a segment named by a path", with(`"history":[{"d":"2026-11-23","n":1,"k":"../x","b":1,"s":1}]`),
			"segment"},
		{"a segment of a day that is a path", with(`"history":[{"d":"../2026-11","n":1,"k":"x","b":1,"s":1}]`),
			"segment"},
		{"a segment without a size", with(`"history":[{"d":"2026-11-23","n":1,"k":"x","b":0,"s":1}]`), "segment"},
		{"a segment in a shard that there is not", with(`"history":[{"d":"2026-11-23","n":1,"k":"x","b":1,"s":1,"in":"3/2"}]`), "segment"},
		{"history that says nothing", with(`"tail":[{"at":"2026-11-23T04:53:00Z","incident":"1","clb":{}}]`),
			"says nothing"},
		{"a message that is null", root(`null`), "about nothing"},
		{"a message without incidents", root(`{"incidents":[]}`), "about nothing"},
		{"a message about null", root(`{"incidents":[null]}`), "about nothing"},
		{"a level that there is not", root(`{"incidents":[{"id":"1","level":4}]}`), "impossible"},
		{"a level below all", root(`{"incidents":[{"id":"1","level":-1}]}`), "impossible"},
		{"a negative count", root(`{"incidents":[{"id":"1"}],"delivery":{"fails":-1}}`), "impossible"},
		{"a channel that is null", strings.Replace(good, `"incidents":{}`, `"incidents":{"channels":{"C1":null}}`,
			1), "channel"},
		{"incidents below zero", strings.Replace(good, `"incidents":{}`, `"incidents":{"last":-1}`, 1),
			"impossible"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, err := state.DecodeHead(7, sealed(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("DecodeHead(%s) = %+v, %v, want an error with %q", tt.text, h, err, tt.want)
			}
		})
	}
	for name, b := range map[string][]byte{
		"without a checksum":       []byte(good + "\n"),
		"with something behind it": append(sealed(good), ' '),
		"checksum in capitals":     bytes.ToUpper(sealed("{}")),
		"too large":                append(sealed(good), make([]byte, state.MaxHead)...),
		"too large, and whole":     sealed(strings.Replace(good, ",", ","+strings.Repeat(" ", state.MaxHead), 1)),
		"empty":                    nil,
	} {
		if _, err := state.DecodeHead(7, b); !errors.Is(err, state.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}

// TestHeadOfAnotherVersionIsNotCalledDamaged: Repair would go back to the head before it, and undo what it
// did.
func TestHeadOfAnotherVersionIsNotCalledDamaged(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{
		// as version 4 wrote it
		[]byte(`{"schema":4,"n":7,"writer":"W","observedAt":"2026-11-23T04:53:00Z"}` + "\n"),
		sealed(`{"schema":6,"n":7}`),
	} {
		_, err := state.DecodeHead(7, b)
		if err == nil || errors.Is(err, state.ErrDamaged) || advice.Of(err) == "" {
			t.Errorf("DecodeHead(%s) = %v, want an error that says what to do and is not ErrDamaged", b, err)
		}
	}
}

// TestNamesDoNotBlowUpAHead: JSON may make six bytes of one.
func TestNamesDoNotBlowUpAHead(t *testing.T) {
	t.Parallel()
	size := func(name string) int {
		var none *state.Head
		h := none.Next("W", state.CLI, start)
		for i := range 300 {
			c := changed("ap-guangzhou/lb-a", fmt.Sprintf("ins-%03d", i), name, start)
			h.Tail = append(h.Tail, h.Incidents.Judge(incident.Observation{At: start.Add(time.Duration(i) * time.Minute),
				Changed: []incident.Changed{c}}, rules())...)
		}
		return len(encode(t, h))
	}
	if plain, odd := size(strings.Repeat("x", 60)), size(strings.Repeat("<", 60)); odd != plain {
		t.Errorf("a head with names of 60 letters takes %d bytes, and %d if they are <", plain, odd)
	}
}

func TestHeadThatIsTooLargeIsRefusedAndSaysOfWhat(t *testing.T) {
	t.Parallel()
	h := busy(t)
	h.Incidents.Unread = make(map[string]incident.Unread)
	for i := range 120_000 {
		key := fmt.Sprintf("ap-guangzhou/lb-%08d", i)
		h.Incidents.Unread[key] = incident.Unread{Key: key, About: incident.Reading, Since: start}
	}
	_, err := h.Encode()
	if err == nil || !strings.Contains(err.Error(), "at most 4194304") ||
		!strings.Contains(err.Error(), "120000 things that cannot be read") ||
		advice.Of(err) == "" {
		t.Errorf("Encode = %v, advice %q; want the bound, what takes the room, and what to do", err, advice.Of(err))
	}
}

func TestNextHeadLeavesTheOneBeforeAsItIs(t *testing.T) {
	t.Parallel()
	h := busy(t)
	before := encode(t, h)
	next := h.Next("WRITER3", "ap-guangzhou/default/clbwatch", start.Add(2*time.Minute))
	if next.N != h.N+1 || next.Parent != h.Writer || next.Writer != "WRITER3" || next.Holds() != h.Holds() ||
		next.Era != h.Era {
		t.Errorf("after %d of %s comes %d of %s after %s", h.N, h.Writer, next.N, next.Writer, next.Parent)
	}
	o := incident.Observation{At: start.Add(2 * time.Minute),
		Changed: []incident.Changed{changed("ap-guangzhou/lb-a", "ins-z", "web-09", start)}}
	next.Tail = append(next.Tail, next.Incidents.Judge(o, rules())...)
	next.Listed["x"], next.Unlisted["x"], next.Unposted[0], next.History[0].N = start, state.Unlisted{}, "x", 99
	next.Observe("ANOTHER", start)
	if after := encode(t, h); !bytes.Equal(before, after) {
		t.Errorf("the head before is now\n%s\nwas\n%s", after, before)
	}
	var none *state.Head
	if none.Holds() != "" || none.Number() != 0 || h.Number() != 2 {
		t.Errorf("no head holds %q and has number %d", none.Holds(), none.Number())
	}
}

// FuzzDecodeHead holds that whatever is stored is refused or can be gone on from: nothing panics, neither in
// reading nor in the rules of notification that then take it up.
func FuzzDecodeHead(f *testing.F) {
	real := busy(f)
	real.N = 7
	text, _, _ := bytes.Cut(encode(f, real), []byte("\n"))
	f.Add(text)
	f.Add([]byte(`{"schema":5,"n":7,"writer":"W","incidents":{"roots":[{"incidents":[{"id":"1","k":"r/x","level":3}]}]},"era":1}`))
	f.Add([]byte(`{"schema":5,"n":7,"writer":"W","incidents":{"unread":{"r/x reading":{"k":"r/x","a":"reading","n":2,"w":1}},"reasons":[{"why":"x"}]},"era":1}`))
	f.Add([]byte(`{"schema":4}`))
	f.Add([]byte(`{"schema":5,"n":7,"writer":"W","incidents":{"roots":[{"incidents":[{"id":"1","crowd":"AAAAAAAAAAAA"}],` +
		`"delivery":{"posted":true,"doubt":{"rev":1,"copies":2},"claim":{"by":"x","post":{"rev":1}},"reminders":3,"fails":2}}]},"era":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, b := range [][]byte{text, sealed(strings.ReplaceAll(string(text), "\n", " "))} {
			h, err := state.DecodeHead(7, b)
			if err != nil {
				continue
			}
			next := h.Next("W2", state.CLI, start)
			at := start
			if !next.Incidents.At.Before(at) {
				at = next.Incidents.At.Add(time.Minute)
			}
			next.Incidents.Judge(incident.Observation{At: at,
				Changed: []incident.Changed{changed("r/x", "ins-a", "web", at)}}, rules())
			next.Incidents.Plan(at, at, "W2", at.Add(time.Minute), rules())
			for _, r := range next.Incidents.Roots {
				_ = r.Level().String()
				for call, ok := r.NextPost(); ok; call, ok = r.NextPost() {
					r.Take(incident.Step{Root: r.Prefix(), Call: call, Outcome: incident.Outcome{Class: incident.Temporary},
						Now: at, At: at})
				}
				r.NextEdit(at)
			}
			if b, err := next.Encode(); err == nil {
				if _, err := state.DecodeHead(next.N, b); err != nil && json.Valid(b[:bytes.IndexByte(b, '\n')]) {
					t.Fatalf("what came of it cannot be read again: %v\n%s", err, b)
				}
			}
		}
	})
}
