package state_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/state"
	"clbwatch/internal/state/statetest"
)

// hush is the silences of one state in memory.
type hush struct {
	*state.Silences
	mem *statetest.Memory
	now time.Time // of the store
}

func newHush() *hush {
	h := &hush{now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
	h.mem = statetest.New(func() time.Time { return h.now })
	var n atomic.Int64
	h.Silences = &state.Silences{Store: h.mem, Past: new(state.Past),
		Nonce: func() string { return "N" + strconv.FormatInt(n.Add(1), 10) }}
	return h
}

// request is a silence of an hour as somebody asks for it.
func (h *hush) request(what string) incident.Silence {
	return incident.Silence{What: what, Why: "deploy", By: "U0123ABCD", Made: h.now,
		Until: h.now.Add(time.Hour)}
}

func (h *hush) make(t *testing.T, what string) incident.Silence {
	t.Helper()
	s, err := h.Make(t.Context(), h.request(what))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h *hush) end(t *testing.T, id string) incident.Silence {
	t.Helper()
	s, err := h.End(t.Context(), id, "U0ENDER", h.now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h *hush) list(t *testing.T, known ...incident.Silence) []incident.Silence {
	t.Helper()
	all, err := h.List(t.Context(), known)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// brief is silences in short: their numbers, with ! behind those that were ended.
func brief(all []incident.Silence) string {
	var out []string
	for _, s := range all {
		out = append(out, s.ID+map[bool]string{true: "!"}[!s.Ended.IsZero()])
	}
	return strings.Join(out, " ")
}

func TestSilenceIsReadAsItWasMade(t *testing.T) {
	t.Parallel()
	h := newHush()
	ack := incident.Silence{Incident: "12-2", By: "U0123ABCD", Made: h.now, Until: h.now.Add(24 * time.Hour)}
	glob := incident.Silence{What: "prod-*", All: true, Why: "deploy 4711, <&> \"今日\"", By: "a\x00name",
		Made: h.now.Add(time.Nanosecond), Until: h.now.Add(7 * 24 * time.Hour)}
	for i, want := range []incident.Silence{ack, glob} {
		got, err := h.Make(t.Context(), want)
		want.ID = strconv.Itoa(i + 1)
		if err != nil || got != want {
			t.Errorf("Make = %+v, %v, want %+v", got, err, want)
		}
	}
	h.now = h.now.Add(time.Minute)
	ended := h.end(t, "1")
	if !ended.Ended.Equal(h.now) || ended.EndedBy != "U0ENDER" || ended.Incident != "12-2" {
		t.Errorf("End = %+v", ended)
	}
	glob.ID = "2"
	if got := h.list(t); len(got) != 2 || got[0] != ended || got[1] != glob {
		t.Errorf("List = %+v, want %+v and %+v", got, ended, glob)
	}
	if want := []string{"silence/1", "silence/1.end", "silence/2"}; !slices.Equal(h.mem.Keys(), want) {
		t.Errorf("keys %q, want %q", h.mem.Keys(), want)
	}
}

func TestSilencesAreListedForADayAfterTheirEnd(t *testing.T) {
	t.Parallel()
	h := newHush()
	h.make(t, "over by itself")
	h.make(t, "ended")
	h.now = h.now.Add(30 * time.Minute)
	h.end(t, "2")
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{
		{0, "1 2!"}, {24*time.Hour - time.Second, "1 2!"}, {24 * time.Hour, "1"}, {25 * time.Hour, ""},
	} {
		at := h.now
		h.now = h.now.Add(tt.after)
		for _, known := range [][]incident.Silence{nil, h.list(t), {h.request("of no number")}} {
			if got := brief(h.list(t, known...)); got != tt.want {
				t.Errorf("after %v, known %q: List = %q, want %q", tt.after, brief(known), got, tt.want)
			}
		}
		h.now = at
	}
}

// TestSilencesThatAreKnownAreNotReadAgain counts what a call reads.
func TestSilencesThatAreKnownAreNotReadAgain(t *testing.T) {
	t.Parallel()
	h := newHush()
	for range 5 {
		h.make(t, "prod-*")
	}
	reads := func(known ...incident.Silence) int {
		before := h.mem.Calls("read object")
		h.list(t, known...)
		return h.mem.Calls("read object") - before
	}
	known := h.list(t)
	if got := reads(known...); got != 0 {
		t.Errorf("nothing new: %d reads, want none", got)
	}
	h.end(t, "3")
	if got := reads(known...); got != 1 {
		t.Errorf("one has ended: %d reads, want that of its end", got)
	}
	known = h.list(t, known...)
	if got := reads(known...); got != 0 || brief(known) != "1 2 3! 4 5" {
		t.Errorf("known as ended: %d reads, %q", got, brief(known))
	}
	h.make(t, "prod-*")
	if got := reads(known...); got != 2 {
		t.Errorf("a new one: %d reads, want that and a look for its end", got)
	}
	h.now = h.now.Add(26 * time.Hour)
	h.list(t)
	if got := reads(); got != 0 {
		t.Errorf("long over: %d reads, want none, for they are remembered", got)
	}
	h.make(t, "staging")
	if got := brief(h.list(t)); got != "7" {
		t.Errorf("List = %q, want the new one", got)
	}
	h.Past = nil
	before := h.mem.Calls("read object")
	if got := brief(h.list(t)); got != "7" {
		t.Errorf("without a memory: List = %q, want the new one", got)
	}
	if got := h.mem.Calls("read object") - before; got != 7 {
		t.Errorf("without a memory: %d reads, want all but what ended a day ago, and a look for an end", got)
	}
}

// TestWritesOfSilencesThatFail has each write not happen, and happen and lose its answer.
func TestWritesOfSilencesThatFail(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	absent := fmt.Errorf("%w: silence/1 is not found after writing it: %w", broken, state.ErrAbsent)
	for _, tt := range []struct {
		name  string
		apply bool
		err   error
		says  string
	}{
		{"it did not happen", false, absent, "silence 1 was probably not "},
		{"it did not happen, and nobody knows", false, broken, "it is not known whether silence 1 was "},
		{"it happened, and nobody knows", true, broken, "it is not known whether silence 1 was "},
	} {
		for _, op := range []string{"made", "ended"} {
			t.Run(op+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				h := newHush()
				if op == "ended" {
					h.make(t, "prod-*")
				}
				h.mem.Fail(func(op, _ string) (bool, error) {
					if op == "write once" {
						return tt.apply, tt.err
					}
					return true, nil
				})
				var err error
				want := "1!"
				if op == "made" {
					_, err = h.Make(t.Context(), h.request("prod-*"))
					want = "1"
				} else {
					_, err = h.End(t.Context(), "1", "U0ENDER", h.now)
				}
				if err == nil || !errors.Is(err, broken) || !strings.Contains(err.Error(), tt.says+op) ||
					!strings.Contains(advice.Of(err), "`clbwatch silence`") {
					t.Errorf("%v, advice %q; want %q", err, advice.Of(err), tt.says+op)
				}
				if got := h.mem.Calls("write once"); op == "made" && got != 1 {
					t.Errorf("%d writes, want one: another could make a second silence", got)
				}
				h.mem.Fail(nil)
				if !tt.apply {
					want = strings.TrimSuffix(map[string]string{"made": "", "ended": "1"}[op], "!")
				}
				if got := brief(h.list(t)); got != want {
					t.Errorf("List = %q, want %q", got, want)
				}
			})
		}
	}
	t.Run("nothing is written after a listing that fails", func(t *testing.T) {
		t.Parallel()
		h := newHush()
		h.mem.Fail(func(op, _ string) (bool, error) { return op != "list objects", broken })
		if _, err := h.Make(t.Context(), h.request("*")); !errors.Is(err, broken) ||
			h.mem.Calls("write once") != 0 {
			t.Errorf("Make = %v after %d writes, want it failed before", err, h.mem.Calls("write once"))
		}
	})
}

func TestManyMakersGetNumbersOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := newHush()
	const makers = 50
	var wg sync.WaitGroup
	ids := make([]string, makers)
	for i := range makers {
		wg.Go(func() {
			s, err := h.Make(t.Context(), h.request(fmt.Sprint("pool-", i)))
			if err != nil {
				t.Error(err)
			}
			ids[i] = s.ID
		})
	}
	wg.Wait()
	all := h.list(t)
	if len(all) != makers {
		t.Errorf("%d silences, want %d", len(all), makers)
	}
	for _, s := range all {
		var i int
		if _, err := fmt.Sscanf(s.What, "pool-%d", &i); err != nil || ids[i] != s.ID {
			t.Errorf("silence %s is of %s, whose maker was told %s: %v", s.ID, s.What, ids[i], err)
		}
	}
}

// TestMakerAndEnderAtOnce has many end a silence at once, while it is listed and others are made.
func TestMakerAndEnderAtOnce(t *testing.T) {
	t.Parallel()
	h := newHush()
	h.make(t, "prod-*")
	var wg sync.WaitGroup
	ends := make([]incident.Silence, 20)
	for i := range ends {
		wg.Go(func() {
			var err error
			ends[i], err = h.End(t.Context(), "1", fmt.Sprint("U", i),
				h.now.Add(time.Duration(i)*time.Second))
			if err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { h.make(t, "staging") })
		wg.Go(func() { h.list(t) })
	}
	wg.Wait()
	all := h.list(t)
	if len(all) != 21 || all[0].Ended.IsZero() {
		t.Fatalf("List = %q, want 21 silences, the first one ended", brief(all))
	}
	for _, e := range ends {
		if e != all[0] {
			t.Errorf("End = %+v, want the first end, %+v", e, all[0])
		}
	}
}

func TestEndingASilenceTwiceKeepsTheFirstEnd(t *testing.T) {
	t.Parallel()
	h := newHush()
	h.make(t, "prod-*")
	first := h.end(t, "1")
	h.now = h.now.Add(time.Minute)
	if again, err := h.End(t.Context(), "1", "U0OTHER", h.now); err != nil || again != first {
		t.Errorf("End again = %+v, %v, want %+v", again, err, first)
	}
	for _, id := range []string{"2", "0", "-1", "01", "", "1.end", "window 2", "../head/1", "9999999999"} {
		if _, err := h.End(t.Context(), id, "U0ENDER", h.now); err == nil ||
			!strings.Contains(err.Error(), fmt.Sprintf("no silence %q", id)) ||
			!strings.Contains(advice.Of(err), "`clbwatch silence`, or list in Slack") {
			t.Errorf("End(%q) = %v, want an error that names it and says what to do", id, err)
		}
	}
	if got := h.mem.Keys(); len(got) != 2 {
		t.Errorf("keys %q", got)
	}
}

// TestListingThatLagsChangesNothing has listings lack what was written last.
func TestListingThatLagsChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHush()
	for range 3 {
		h.make(t, "prod-*")
	}
	h.end(t, "2")
	known := h.list(t)
	for lag := range 6 {
		h.mem.Lag(lag)
		if got := h.list(t, known...); !slices.Equal(got, known) {
			t.Errorf("listing %d writes old: List = %q, want %q", lag, brief(got), brief(known))
		}
	}
	h.mem.Lag(1) // it lacks the end
	if got := brief(h.list(t)); got != "1 2! 3" {
		t.Errorf("nothing known, the end not listed: List = %q, want it found all the same", got)
	}
	h.mem.Lag(5)
	if s := h.make(t, "prod-*"); s.ID != "4" {
		t.Errorf("Make after an empty listing = %s, want 4", s.ID)
	}
	if got := brief(h.list(t, known...)); got != "1 2! 3" {
		t.Errorf("List = %q", got)
	}
	h.mem.Lag(0)
	if got := brief(h.list(t, known...)); got != "1 2! 3 4" {
		t.Errorf("List = %q", got)
	}
	t.Run("deleted objects that are still listed", func(t *testing.T) {
		t.Parallel()
		h := newHush()
		h.make(t, "a")
		h.make(t, "b")
		h.end(t, "1")
		ended := h.list(t)[:1]
		h.mem.Fail(func(op, what string) (bool, error) {
			if op == "read object" && strings.HasPrefix(what, "silence/1") {
				return false, state.ErrAbsent
			}
			return true, nil
		})
		if got := brief(h.list(t)); got != "2" {
			t.Errorf("List = %q, want the one that is there", got)
		}
		if got := brief(h.list(t, ended...)); got != "1! 2" {
			t.Errorf("List = %q, want the one that is known, too", got)
		}
		alive := ended[0] // as somebody knows it who does not know its end
		alive.Ended, alive.EndedBy = time.Time{}, ""
		if got := brief(h.list(t, alive)); got != "1 2" {
			t.Errorf("List = %q, want the one whose end is not to be seen yet as it was", got)
		}
		h.mem.Fail(func(op, what string) (bool, error) { // a listing shows the end, and it is not found
			if op == "read object" && what == "silence/1.end" {
				return false, state.ErrAbsent
			}
			return true, nil
		})
		if got, err := h.List(t.Context(), nil); brief(got) != "2" {
			t.Errorf("List = %q, %v, want no ended silence as an active one", brief(got), err)
		}
	})
}

func TestNumbersCountEndsAndSkipWhatIsTaken(t *testing.T) {
	t.Parallel()
	h := newHush()
	h.mem.Put("silence/7.end", "{}")
	if s := h.make(t, "a"); s.ID != "8" {
		t.Errorf("Make beside the end of 7 = %s, want 8", s.ID)
	}
	h.mem.Put("silence/9", strings.Repeat("x", state.MaxObject+1))
	h.mem.Lag(1)
	if s := h.make(t, "b"); s.ID != "10" {
		t.Errorf("Make where a large foreign object is not listed = %s, want 10", s.ID)
	}
	h.mem.Put("silence/11", "{}")
	h.mem.Lag(1)
	if s := h.make(t, "c"); s.ID != "12" {
		t.Errorf("Make where a small foreign object is not listed = %s, want 12", s.ID)
	}
	for n := range 200 {
		h.mem.Put(fmt.Sprint("silence/", 13+n), "{}")
	}
	h.mem.Lag(200)
	before := h.mem.Calls("write once")
	if _, err := h.Make(t.Context(), h.request("d")); err == nil || !strings.Contains(err.Error(),
		"other writers") ||
		h.mem.Calls("write once")-before > 100 {
		t.Errorf("Make = %v after %d writes, want it given up", err, h.mem.Calls("write once")-before)
	}
	h = newHush()
	h.mem.Put("silence/999999999", "{}")
	if s, err := h.Make(t.Context(), h.request("e")); err == nil || len(h.mem.Keys()) != 1 {
		t.Errorf("Make after the last number = %+v, %v, and keys %q; want an error", s, err, h.mem.Keys())
	}
}

func TestMoreThanMaxSilencesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHush()
	for range incident.MaxSilences {
		h.make(t, "prod-*")
	}
	_, err := h.Make(t.Context(), h.request("one more"))
	if err == nil || !strings.Contains(err.Error(), "100 silences are active") || advice.Of(err) == "" {
		t.Errorf("Make of the 101st = %v, advice %q", err, advice.Of(err))
	}
	h.end(t, "50")
	h.make(t, "after an end")
	if _, err := h.Make(t.Context(), h.request("one more")); err == nil {
		t.Error("101 are active")
	}
	h.now = h.now.Add(2 * time.Hour) // all are over by themselves
	h.make(t, "later")
	if got := h.mem.Calls("write once"); got != incident.MaxSilences+3 {
		t.Errorf("%d writes, want one for each that was made or ended", got)
	}
}

// TestMakingASilenceCostsFewCalls: somebody waits for the answer, and Slack only for 3 s.
func TestMakingASilenceCostsFewCalls(t *testing.T) {
	t.Parallel()
	h := newHush()
	for range 40 {
		h.make(t, "prod-*")
	}
	if lists, reads, writes := h.mem.Calls("list objects"), h.mem.Calls("read object"),
		h.mem.Calls("write once"); lists != 40 || reads != 0 || writes != 40 {
		t.Errorf("%d listings, %d reads and %d writes for 40 silences, want 40, 0 and 40", lists, reads,
			writes)
	}
}

func TestWrongSilencesAreNotStored(t *testing.T) {
	t.Parallel()
	h := newHush()
	for name, change := range map[string]func(s *incident.Silence){
		"neither what nor incident": func(s *incident.Silence) { s.What = "" },
		"both what and incident":    func(s *incident.Silence) { s.Incident = "12" },
		"no time":                   func(s *incident.Silence) { s.Made = time.Time{} },
		"no end":                    func(s *incident.Silence) { s.Until = time.Time{} },
		"an end before it is made":  func(s *incident.Silence) { s.Until = s.Made },
		"too long":                  func(s *incident.Silence) { s.Until = s.Made.Add(7*24*time.Hour + 1) },
		"made in the future": func(s *incident.Silence) {
			s.Made, s.Until = s.Made.Add(2*time.Hour), s.Until.Add(2*time.Hour)
		},
		"ended":           func(s *incident.Silence) { s.Ended = s.Made },
		"ended by":        func(s *incident.Silence) { s.EndedBy = "U" },
		"a long glob":     func(s *incident.Silence) { s.What = strings.Repeat("x", 201) },
		"a long incident": func(s *incident.Silence) { s.What, s.Incident = "", strings.Repeat("1", 201) },
		"a long reason":   func(s *incident.Silence) { s.Why = strings.Repeat("x", 201) },
		"a long name":     func(s *incident.Silence) { s.By = strings.Repeat("x", 201) },
		"no UTF-8":        func(s *incident.Silence) { s.Why = "a\xff" },
	} {
		s := h.request("prod-*")
		change(&s)
		if _, err := h.Make(t.Context(), s); err == nil {
			t.Errorf("%s: it is made", name)
		}
	}
	h.make(t, "prod-*")
	for name, end := range map[string]struct {
		by string
		at time.Time
	}{
		"no time": {"U", time.Time{}}, "in the future": {"U", h.now.Add(2 * time.Hour)},
		"a long name": {strings.Repeat("x", 201), h.now}, "no UTF-8": {"\xff", h.now},
	} {
		if _, err := h.End(t.Context(), "1", end.by, end.at); err == nil {
			t.Errorf("an end with %s: it is stored", name)
		}
	}
	if got := h.mem.Keys(); len(got) != 1 {
		t.Errorf("keys %q, want one silence", got)
	}
}

// TestLongestSilenceFits has texts of the characters that take most room in JSON.
func TestLongestSilenceFits(t *testing.T) {
	t.Parallel()
	h := newHush()
	h.Nonce = func() string { return strings.Repeat("N", 26) }
	long := strings.Repeat("\x01", incident.MaxSilenceText)
	s, err := h.Make(t.Context(), incident.Silence{What: long, All: true, Why: long, By: long,
		Made: h.now.Add(1), Until: h.now.Add(time.Hour + 1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.End(t.Context(), s.ID, long, h.now); err != nil {
		t.Error(err)
	}
	if got := h.list(t); len(got) != 1 || got[0].What != long || got[0].EndedBy != long {
		t.Errorf("List = %+v", got)
	}
}

// stored is a sound silence as it is stored, with some fields changed.
func (h *hush) stored(id string, change map[string]any) string {
	all := map[string]any{"schema": 1, "nonce": "X", "id": id, "what": "prod-*", "by": "U",
		"made": h.now.Format(time.RFC3339), "until": h.now.Add(time.Hour).Format(time.RFC3339)}
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	b, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestDamagedSilenceHidesNoOther(t *testing.T) {
	t.Parallel()
	at := func(h *hush, d time.Duration) string { return h.now.Add(d).Format(time.RFC3339) }
	for _, tt := range []struct {
		name    string
		content func(h *hush) string
		want    string // in the error; "" if it is sound
	}{
		{"sound", func(h *hush) string { return h.stored("2", nil) }, ""},
		{"empty", func(*hush) string { return "" }, "damaged"},
		{"cut short", func(h *hush) string { return h.stored("2", nil)[:60] }, "damaged"},
		{"something behind it", func(h *hush) string { return h.stored("2", nil) + "{}" }, "damaged"},
		{"null", func(*hush) string { return "null" }, "damaged"},
		{"an array", func(*hush) string { return "[[[[[[]]]]]]" }, "damaged"},
		{"too large", func(h *hush) string { return h.stored("2", nil) + strings.Repeat(" ", 4<<10) },
			"damaged"},
		{"of another number", func(h *hush) string { return h.stored("1", nil) }, `calls itself "1"`},
		{"an unknown field", func(h *hush) string { return h.stored("2", map[string]any{"x": 1}) },
			"damaged"},
		{"no schema", func(h *hush) string { return h.stored("2", map[string]any{"schema": nil}) },
			"damaged"},
		{"of a newer version", func(h *hush) string {
			return h.stored("2", map[string]any{"schema": 2,
				"x": 1})
		},
			"knows only 1"},
		{"no UTF-8", func(h *hush) string {
			return strings.Replace(h.stored("2", nil), "prod", "pr\xffd",
				1)
		},
			"UTF-8"},
		{"of nothing", func(h *hush) string { return h.stored("2", map[string]any{"what": ""}) }, "damaged"},
		{"of both", func(h *hush) string { return h.stored("2", map[string]any{"incident": "1"}) },
			"damaged"},
		{"a long text", func(h *hush) string {
			return h.stored("2", map[string]any{"why": strings.Repeat("x", 201)})
		}, "at most 200"},
		{"for ever", func(h *hush) string {
			return h.stored("2", map[string]any{"until": at(h, 8*24*time.Hour)})
		}, "at most 7 days"},
		{"never", func(h *hush) string { return h.stored("2", map[string]any{"until": nil}) }, "damaged"},
		{"of the far future", func(h *hush) string {
			return h.stored("2", map[string]any{"made": "2126-11-23T10:00:00Z",
				"until": "2126-11-23T11:00:00Z"})
		}, "2126"},
		{"ended from the start", func(h *hush) string {
			return h.stored("2", map[string]any{"ended": at(h,
				0)})
		},
			"damaged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHush()
			h.make(t, "prod-*")
			h.mem.Put("silence/2", tt.content(h))
			h.mem.Put("silence/3", h.stored("3", nil))
			for range 2 {
				got, err := h.List(t.Context(), nil)
				if tt.want == "" && (err != nil || brief(got) != "1 2 3") {
					t.Errorf("List = %q, %v, want all", brief(got), err)
				}
				if tt.want != "" && (brief(got) != "1 3" || err == nil || !strings.Contains(err.Error(),
					tt.want) ||
					!strings.Contains(err.Error(), "silence/2")) {
					t.Errorf("List = %q, %v, want 1 and 3, and an error with silence/2 and %q", brief(got),
						err, tt.want)
				}
			}
			if _, err := h.End(t.Context(), "2", "U", h.now); (err == nil) != (tt.want == "") {
				t.Errorf("End = %v, want an error: %v", err, tt.want != "")
			}
			if s := h.make(t, "another"); s.ID != "4" {
				t.Errorf("Make = %s, want 4", s.ID)
			}
		})
	}
}

// TestDamagedEndEndsTheSilence: whatever is there, somebody ended it.
func TestDamagedEndEndsTheSilence(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"empty": "", "of a newer version": `{"schema":2,"x":1}`, "no time": `{"schema":1,"by":"U"}`,
		"in the future": `{"schema":1,"at":"2126-11-23T10:00:00Z"}`, "too large": strings.Repeat("x", 5000),
		"a long name": `{"schema":1,"at":"2026-11-23T10:00:00Z","by":"` + strings.Repeat("x", 201) + `"}`,
	} {
		h := newHush()
		alive := h.make(t, "prod-*")
		h.mem.Put("silence/1.end", content)
		for _, known := range [][]incident.Silence{nil, {alive}} {
			got, err := h.List(t.Context(), known)
			if brief(got) != "1!" || !got[0].Ended.Equal(h.now) || err == nil ||
				!strings.Contains(err.Error(), "silence/1.end") {
				t.Errorf("%s: List = %+v, %v, want it ended, and an error", name, got, err)
			}
			if again := h.list(t, got...); !slices.Equal(again, got) {
				t.Errorf("%s: List again = %+v, want %+v", name, again, got)
			}
		}
		if got, err := h.End(t.Context(), "1", "U", h.now); err == nil || got.Ended.IsZero() {
			t.Errorf("%s: End = %+v, %v, want it ended, and an error", name, got, err)
		}
	}
}

func TestForeignObjectsAreNamed(t *testing.T) {
	t.Parallel()
	h := newHush()
	h.make(t, "prod-*")
	for _, key := range []string{"silence/", "silence/0", "silence/01", "silence/1.END", "silence/1.end.end",
		"silence/-1", "silence/+1", "silence/1/2", "silence/１", "silence/1000000000",
		"silence/x\n\x1b[2J"} {
		h.mem.Put(key, h.stored("1", nil))
		got, err := h.List(t.Context(), nil)
		if brief(got) != "1" || err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", key)) ||
			!strings.Contains(advice.Of(err), "remove it") {
			t.Errorf("with %q: List = %q, %v, want 1 and an error that names it", key, brief(got), err)
		}
		if s := h.make(t, "staging"); s.ID != "2" {
			t.Errorf("with %q: Make = %s, want 2", key, s.ID)
		}
		h.mem.Delete(key)
		h.mem.Delete("silence/2")
	}
	for n := range 1000 {
		h.mem.Put(fmt.Sprint("silence/x", n), "")
	}
	if _, err := h.List(t.Context(), nil); err == nil || len(err.Error()) > 1000 ||
		!strings.Contains(err.Error(), "and 995 more") {
		t.Errorf("many foreign objects: %v, want a short error", err)
	}
}

// TestListReadsNoMoreThanItMay has somebody put many objects there.
func TestListReadsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	h := newHush()
	const many = 1000
	for n := range many {
		h.mem.Put(fmt.Sprint("silence/", n+1), h.stored(strconv.Itoa(n+1), nil))
	}
	var known []incident.Silence
	for round := 1; ; round++ {
		before := h.mem.Calls("read object")
		got, err := h.List(t.Context(), known)
		if reads := h.mem.Calls("read object") - before; reads > 800 {
			t.Fatalf("%d reads in one call", reads)
		}
		if got[len(got)-1].ID != "1000" {
			t.Fatalf("the newest is not read first: %s", got[len(got)-1].ID)
		}
		known = got
		if err == nil {
			break
		}
		if round > 3 || !strings.Contains(err.Error(), "not read yet") {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	if len(known) != many {
		t.Errorf("%d of %d are read", len(known), many)
	}
}

// TestListThatFailsKeepsWhatIsKnown has the store fail in every way, for a while.
func TestListThatFailsKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	for op, want := range map[string]struct{ known, fresh string }{
		"list objects": {"1 2!", ""}, "read object": {"1 2!", ""},
		"silence/1": {"1 2! 3", "2! 3"}, "silence/2.end": {"1 2! 3", "1 3"}, "silence/3": {"1 2!", "1 2!"},
		"silence/3.end": {"1 2!", "1 2!"},
	} {
		h := newHush()
		h.make(t, "a")
		h.make(t, "b")
		h.end(t, "2")
		known := h.list(t)
		h.make(t, "c")
		h.mem.Fail(func(did, what string) (bool, error) {
			if did == op || did == "read object" && what == op {
				return false, broken
			}
			return true, nil
		})
		got, err := h.List(t.Context(), known)
		if brief(got) != want.known || (err == nil) != (want.known == "1 2! 3") {
			t.Errorf("%s fails: List = %q, %v, want %q", op, brief(got), err, want.known)
		}
		if got, err := h.List(t.Context(), nil); brief(got) != want.fresh || !errors.Is(err, broken) {
			t.Errorf("%s fails, nothing known: List = %q, %v, want %q", op, brief(got), err, want.fresh)
		}
		h.mem.Fail(nil)
		if got := brief(h.list(t, known...)); got != "1 2! 3" {
			t.Errorf("%s failed before: List = %q, want all", op, got)
		}
	}
	h := newHush()
	alive := h.make(t, "a")
	h.end(t, "1")
	h.mem.Fail(func(op, _ string) (bool, error) { return op != "read object", broken })
	if got, err := h.List(t.Context(), []incident.Silence{alive}); brief(got) != "1" || !errors.Is(err,
		broken) {
		t.Errorf("the end cannot be read now: List = %q, %v, want it as it was, and an error", brief(got),
			err)
	}
}

// FuzzSilence holds that what is stored is an error or a silence within its bounds, and that its end counts
// whatever it is.
func FuzzSilence(f *testing.F) {
	seed := newHush()
	f.Add(seed.stored("1", nil), `{"schema":1,"by":"U","at":"2026-11-23T10:00:00Z"}`)
	f.Add(seed.stored("1", map[string]any{"what": nil, "incident": "12-2"}), "")
	f.Add("null", "{}")
	f.Fuzz(func(t *testing.T, made, end string) {
		h := newHush()
		h.mem.Put("silence/1", made)
		first, err := h.List(t.Context(), nil)
		for _, s := range first {
			if err != nil || s.ID != "1" || (s.What == "") == (s.Incident == "") || !s.Ended.IsZero() ||
				s.Until.After(h.now.Add(incident.MaxSilence+time.Hour)) || !s.Until.After(s.Made) ||
				max(len(s.What), len(s.Incident), len(s.Why), len(s.By)) > incident.MaxSilenceText {
				t.Errorf("List = %+v, %v", s, err)
			}
		}
		h.mem.Put("silence/1.end", end)
		for _, known := range [][]incident.Silence{nil, first} {
			all, _ := h.List(t.Context(), known)
			for _, s := range all {
				if s.Ended.IsZero() || s.Ended.After(h.now.Add(time.Hour)) ||
					len(s.EndedBy) > incident.MaxSilenceText {
					t.Errorf("List = %+v, want it ended", s)
				}
			}
		}
	})
}
