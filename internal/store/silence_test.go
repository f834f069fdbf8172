package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/state"
)

// silences are those of the state that a place is the root of.
func silences(p *Place) *state.Silences { return &state.Silences{Store: p, Nonce: rand.Text} }

// hour is a silence of an hour as somebody asks for it.
func hour(p *Place, what string) incident.Silence {
	return incident.Silence{What: what, By: "U0123ABCD", Made: p.Now(), Until: p.Now().Add(time.Hour)}
}

func silence(t *testing.T, p *Place, what string) incident.Silence {
	t.Helper()
	s, err := silences(p).Make(t.Context(), hour(p, what))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// quiet are the numbers of the silences that are listed, with ! behind those that were ended, and what they
// are about.
func quiet(t *testing.T, p *Place, known ...incident.Silence) string {
	t.Helper()
	all, err := silences(p).List(t.Context(), known)
	if err != nil {
		t.Errorf("List: %v", err)
	}
	var out []string
	for _, s := range all {
		out = append(out, s.ID+map[bool]string{true: "!"}[!s.Ended.IsZero()]+" "+s.What)
	}
	return strings.Join(out, ", ")
}

// testSilences is what the root of a state has to do about silences.
func testSilences(t *testing.T, fresh func(t *testing.T) placeOpener) {
	t.Parallel()
	t.Run("another process finds them", func(t *testing.T) {
		t.Parallel()
		open := fresh(t)
		made := silence(t, open(plain), "prod-*")
		silence(t, open(plain), "staging")
		if _, err := silences(open(plain)).End(t.Context(), "1", "U0ENDER", made.Made); err != nil {
			t.Fatal(err)
		}
		all, err := silences(open(plain)).List(t.Context(), nil)
		made.Ended, made.EndedBy = made.Made, "U0ENDER"
		if err != nil || len(all) != 2 || all[0] != made || all[1].What != "staging" {
			t.Errorf("List = %+v, %v, want %+v and another", all, err, made)
		}
		if h, err := open(plain).Load(t.Context()); h != nil || err != nil {
			t.Errorf("Load = %v, %v: a silence is no head", h, err)
		}
	})
	for _, op := range []string{"made", "ended"} {
		testWritesOfSilences(t, fresh, op)
	}
	t.Run("16 makers and enders at once", func(t *testing.T) { testMakers(t, fresh) })
	t.Run("keys of other things are refused", func(t *testing.T) {
		t.Parallel()
		p := fresh(t)(plain)
		for _, key := range []string{"", initKey, headKey(1), "silence", "silence/", "silence/../INIT",
			"silence/0",
			"silence/1/2", "silence/1.end.end", "silence/1.txt", "/silence/1", "shards/1-of-2/silence/1"} {
			if there, err := p.WriteOnce(t.Context(), key, []byte("x")); err == nil {
				t.Errorf("WriteOnce(%q) = %q, want an error", key, there)
			}
			if there, err := p.ReadObject(t.Context(), key); err == nil || errors.Is(err, errAbsent) {
				t.Errorf("ReadObject(%q) = %q, %v, want an error", key, there, err)
			}
		}
		for _, prefix := range []string{"", headPrefix, "silence", "silence/1"} {
			if all, err := p.ListObjects(t.Context(), prefix); err == nil {
				t.Errorf("ListObjects(%q) = %v, want an error", prefix, all)
			}
		}
	})
}

// testWritesOfSilences has the writes of one silence, or of its end, fail in each way.
func testWritesOfSilences(t *testing.T, fresh func(t *testing.T) placeOpener, op string) {
	t.Helper()
	broken := errors.New("broken pipe")
	for _, tt := range []struct {
		name  string
		fault fault
		says  string // in the error; "" if it must succeed
		there bool
	}{
		{"create did not happen, once", fault{op: "create", times: 1, err: broken}, "", true},
		{"create did not happen, ever", fault{op: "create", times: 99, err: broken}, "probably not", false},
		{"create happened, the answer was lost", fault{op: "create", times: 1, apply: true, err: broken}, "",
			true},
		{"create happened, a repeat says that it exists", fault{op: "create", times: 1, apply: true,
			err: errExists}, "", true},
		{"a false 404 on reading back", fault{op: "get", key: "silence/1", times: 1, err: errAbsent}, "",
			true},
		{"reading back fails", fault{op: "get", key: "silence/1", times: 99, err: broken},
			"not known whether", true},
	} {
		if op == "ended" && tt.fault.key != "" {
			tt.fault.key = "silence/1.end"
		}
		t.Run(op+": "+tt.name, func(t *testing.T) {
			t.Parallel()
			open := fresh(t)
			faulty := silences(open(tt.fault.wrap))
			want := map[string]string{"made": "", "ended": "1 prod-*"}[op]
			var err error
			if op == "made" {
				_, err = faulty.Make(t.Context(), hour(open(plain), "prod-*"))
			} else {
				made := silence(t, open(plain), "prod-*")
				_, err = faulty.End(t.Context(), "1", "U0ENDER", made.Made)
			}
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
			if tt.there {
				want = map[string]string{"made": "1 prod-*", "ended": "1! prod-*"}[op]
			}
			if got := quiet(t, open(plain)); got != want {
				t.Errorf("List = %q, want %q", got, want)
			}
		})
	}
}

// testMakers lets 16 make and end silences at once, through a bucket that loses every tenth answer and whose
// listings lag behind. Each that was made is there, under a number of its own, and none is there twice.
func testMakers(t *testing.T, fresh func(t *testing.T) placeOpener) {
	t.Parallel()
	const makers, each = 16, 3
	open := fresh(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, ended, doubts := make(map[string]string), make(map[string]bool), make(map[string]bool)
	for i := range makers {
		wg.Go(func() {
			r := mathrand.New(mathrand.NewPCG(2, uint64(i)))
			p := open(func(b bucket) bucket {
				return &lagging{&lossy{bucket: b, rand: r}, func() int { return r.IntN(3) * r.IntN(10) }}
			})
			for k := range each {
				what := fmt.Sprintf("%d-%d", i, k)
				s, err := silences(p).Make(t.Context(), hour(p, what))
				mu.Lock()
				if err != nil {
					doubts[what] = true
					mu.Unlock()
					continue
				}
				if made[s.ID] != "" {
					t.Errorf("number %s is of %s and of %s", s.ID, made[s.ID], what)
				}
				made[s.ID] = what
				mu.Unlock()
				if k == 0 {
					if _, err := silences(p).End(t.Context(), s.ID, "U", s.Made); err == nil {
						mu.Lock()
						ended[s.ID] = true
						mu.Unlock()
					}
				}
			}
		})
	}
	wg.Wait()
	all, err := silences(open(plain)).List(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	found, times := make(map[string]string), make(map[string]int)
	for _, s := range all {
		found[s.ID] = s.What
		if times[s.What]++; times[s.What] > 1 {
			t.Errorf("%s is there %d times", s.What, times[s.What])
		}
		if ended[s.ID] && s.Ended.IsZero() {
			t.Errorf("silence %s was ended, and is active", s.ID)
		}
	}
	for id, what := range made {
		if found[id] != what {
			t.Errorf("silence %s of %s was made, and is %q", id, what, found[id])
		}
	}
	if len(made)+len(doubts) != makers*each || len(doubts) > 3 {
		t.Errorf("%d made and %d in doubt, want %d in all and few in doubt", len(made), len(doubts),
			makers*each)
	}
}

// TestSilencesOnCOSThatFails has the strict COS fail in each way while a silence is made and ended.
func TestSilencesOnCOSThatFails(t *testing.T) {
	t.Parallel()
	for _, fault := range cos.Faults() {
		if fault.String() == cos.Overwrites().String() {
			continue // with that, whoever writes last wins: docs/design.md, Limits that no rule can lift
		}
		for _, op := range []string{"LIST", "PUT", "GET"} {
			t.Run(op+" "+fault.String(), func(t *testing.T) {
				t.Parallel()
				bucket, open := sandboxPlace(t)
				p := open(t.TempDir())
				silence(t, p, "first")
				bucket.Fail(op, fault, 1)
				s, err := silences(p).Make(t.Context(), hour(p, "second"))
				bucket.ClearFaults()
				if err == nil && s.ID != "2" {
					t.Errorf("Make = %+v, want number 2", s)
				}
				want := []string{"1 first, 2 second"}
				if err != nil {
					want = append(want, "1 first")
				}
				if err != nil && strings.HasPrefix(err.Error(), "make a silence:") { // then it is certain
					want = want[1:]
				}
				got := quiet(t, p)
				if !slices.Contains(want, got) {
					t.Errorf("Make = %v, and there are %q; want %q", err, got, want)
				}
				bucket.Fail(op, fault, 1)
				_, err = silences(p).End(t.Context(), "1", "U0ENDER", p.Now())
				bucket.ClearFaults()
				if after := quiet(t, p); err == nil && after != strings.Replace(got, "1 ", "1! ", 1) {
					t.Errorf("End = %v, and there are %q", err, after)
				}
			})
		}
	}
}

func TestSilenceThatMayNotBeWrittenSaysWhatToDo(t *testing.T) {
	t.Parallel()
	bucket, open := sandboxPlace(t)
	p := open(t.TempDir())
	bucket.Fail("PUT", cos.Answers(403, "AccessDenied"), -1)
	_, err := silences(p).Make(t.Context(), hour(p, "prod-*"))
	if err == nil || !strings.Contains(err.Error(), "probably not made") || !strings.Contains(err.Error(),
		"403") {
		t.Errorf("Make = %v, want that it was probably not made, and why", err)
	}
	bucket.ClearFaults()
	if got := bucket.Keys("watch/silence/"); len(got) != 0 {
		t.Errorf("keys %q", got)
	}
}

// TestHostileSilencesInABucket: whoever can write there hides no silence, and takes no memory.
func TestHostileSilencesInABucket(t *testing.T) {
	t.Parallel()
	bucket, open := sandboxPlace(t)
	p := open(t.TempDir())
	silence(t, p, "first")
	for key, content := range map[string]string{
		"2": strings.Repeat("x", 10<<20), "3": "{}", "4.end": "x", "x": "x", "../head/1": "x", "0": "x",
		"": "",
	} {
		bucket.Put("watch/silence/"+key, []byte(content))
	}
	all, err := silences(p).List(t.Context(), nil)
	if len(all) != 1 || all[0].What != "first" || err == nil {
		t.Errorf("List = %+v, %v, want the first one, and an error", all, err)
	}
	for _, want := range []string{"silence/2", "silence/3", `"silence/x"`, `"silence/../head/1"`,
		`"silence/0"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if s := silence(t, p, "second"); s.ID != "5" {
		t.Errorf("Make = %s, want 5", s.ID)
	}
	if err := p.CollectRoot(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestMarksOfRequestsAreCollected: whoever sends a request again has to do so within minutes.
func TestMarksOfRequestsAreCollected(t *testing.T) {
	t.Parallel()
	at := time.Now()
	p := OpenFiles(t.TempDir(), func() time.Time { return at })
	name := "asked/" + strings.Repeat("a", 64)
	for _, tt := range []struct {
		passes time.Duration
		first  bool
	}{{0, true}, {time.Hour, false}, {24 * time.Hour, true}} {
		at = at.Add(tt.passes)
		if err := p.CollectRoot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if first, err := p.Once(t.Context(), name); err != nil || first != tt.first {
			t.Errorf("after another %v: Once = %v, %v, want %v", tt.passes, first, err, tt.first)
		}
	}
}

// keysBelow are the keys of silences.
func keysBelow(t *testing.T, p *Place) string {
	t.Helper()
	all, err := p.ListObjects(t.Context(), silencePrefix)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, o := range all {
		keys = append(keys, strings.TrimPrefix(o.Name, silencePrefix))
	}
	return strings.Join(keys, " ")
}

func TestOldSilencesAreCollected(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name string
		ages map[string]time.Duration // of what is there
		want string
	}{
		{"none", nil, ""},
		{"what is young stays", map[string]time.Duration{"1": 8*day - time.Minute, "1.end": day,
			"2": 2 * day},
			"1 1.end 2"},
		{"what is old goes", map[string]time.Duration{"1": 9 * day, "2": 9 * day, "2.end": 9 * day,
			"3": 2 * day}, "3"},
		{"a young end goes with an old silence", map[string]time.Duration{"1": 9 * day, "1.end": 0,
			"2": 2 * day}, "2"},
		{"an old end without a silence goes", map[string]time.Duration{"1.end": 9 * day, "2": 2 * day}, "2"},
		{"the last number stays", map[string]time.Duration{"1": 90 * day, "9": 90 * day, "9.end": 80 * day,
			"10": 90 * day}, "10"},
		{"the last number is an end", map[string]time.Duration{"9": 90 * day, "10": 90 * day,
			"10.end": 90 * day},
			"10 10.end"},
		{"the last one may not be listed yet", map[string]time.Duration{"1": 90 * day, "2": 90 * day,
			"3": time.Hour},
			"2 3"},
		{"foreign objects stay", map[string]time.Duration{"x": 90 * day, "0": 90 * day, "1": 90 * day,
			"2": 90 * day},
			"0 2 x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			now := time.Now()
			p := inFiles(t, dir, func() time.Time { return now }, plain)
			if err := os.MkdirAll(filepath.Join(dir, "silence"), 0o700); err != nil {
				t.Fatal(err)
			}
			for key, age := range tt.ages {
				path := filepath.Join(dir, "silence", key)
				if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := p.Collect(t.Context()); err != nil { // there are no heads
					t.Fatal(err)
				}
			}
			if got := keysBelow(t, p); got != tt.want {
				t.Errorf("%v: %q is left, want %q", tt.ages, got, tt.want)
			}
		})
	}
}

// TestCollectedNumbersAreNotUsedAgain makes silences for months on the strict COS, with listings that lag
// behind while they are made and collected.
func TestCollectedNumbersAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	bucket, open := sandboxPlace(t)
	p := open(t.TempDir())
	used := make(map[string]bool)
	for range 30 {
		for range 2 {
			bucket.Fail("LIST", cos.StaleList(3), 1)
			s := silence(t, p, "prod-*")
			if used[s.ID] {
				t.Fatalf("number %s is used twice", s.ID)
			}
			used[s.ID] = true
			if _, err := silences(p).End(t.Context(), s.ID, "U", s.Made); err != nil {
				t.Fatal(err)
			}
		}
		bucket.Fail("LIST", cos.StaleList(3), 1)
		if err := p.CollectRoot(t.Context()); err != nil {
			t.Fatal(err)
		}
		bucket.ClearFaults()
		bucket.Advance(5 * 24 * time.Hour)
	}
	if n := len(bucket.Keys("watch/silence/")); n > 16 {
		t.Errorf("%d objects are left", n)
	}
}

// TestCollectionThatDiesMakesNoSilenceActive has a collection die after each of its deletions.
func TestCollectionThatDiesMakesNoSilenceActive(t *testing.T) {
	t.Parallel()
	for deletions := range 4 {
		dir := t.TempDir()
		now := time.Now()
		clock := func() time.Time { return now }
		p := inFiles(t, dir, clock, plain)
		for range 3 {
			s, err := silences(p).Make(t.Context(), incident.Silence{What: "*", Made: p.Now(),
				Until: p.Now().Add(incident.MaxSilence)})
			if err == nil && s.ID != "3" {
				_, err = silences(p).End(t.Context(), s.ID, "U", p.Now())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(9 * 24 * time.Hour)
		died := errors.New("killed")
		dying := inFiles(t, dir, clock, func(b bucket) bucket { return &dying{b, deletions, died} })
		if err := dying.CollectRoot(t.Context()); !errors.Is(err, died) {
			t.Fatalf("CollectRoot = %v, want it to die", err)
		}
		kept := strings.Fields(keysBelow(t, p))
		for _, key := range kept {
			if key != "3" && !strings.HasSuffix(key, ".end") && !slices.Contains(kept, key+".end") {
				t.Errorf("after %d deletions %q is left: silence %s has lost its end", deletions, kept, key)
			}
		}
		if err := p.CollectRoot(t.Context()); err != nil || keysBelow(t, p) != "3" {
			t.Errorf("%q is left, %v, want 3", keysBelow(t, p), err)
		}
	}
}

// TestPrefixesAreApart: no key of one thing is one of another.
func TestPrefixesAreApart(t *testing.T) {
	t.Parallel()
	all := map[string]bool{initKey: true, headPrefix: true, snapPrefix: true, historyPrefix: true,
		troublePrefix: true, askedPrefix: true, checkPrefix: true, silencePrefix: true, tempDir + "/": true,
		"shards/": true}
	if len(all) != 10 {
		t.Fatal("two prefixes are the same")
	}
	for a := range maps.Keys(all) {
		for b := range maps.Keys(all) {
			if a != b && strings.HasPrefix(a, b) {
				t.Errorf("%q begins with %q", a, b)
			}
		}
	}
}

// dying deletes so many objects, and then nothing any more.
type dying struct {
	bucket
	left int
	err  error
}

func (b *dying) remove(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if b.left--; b.left < 0 {
			return b.err
		}
		if err := b.bucket.remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// lagging leaves the last numbers out of a listing of silences.
type lagging struct {
	bucket
	lag func() int
}

func (b *lagging) list(ctx context.Context, prefix string, limit int) ([]object, error) {
	all, err := b.bucket.list(ctx, prefix, limit)
	if prefix != silencePrefix {
		return all, err
	}
	last := int64(0)
	for _, o := range all {
		n, _, _ := state.SilenceOf(o.key)
		last = max(last, n)
	}
	last -= int64(b.lag())
	return slices.DeleteFunc(all, func(o object) bool { n, _, _ := state.SilenceOf(o.key); return n > last }),
		err
}
