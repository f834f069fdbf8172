package state_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/state/statetest"
)

// pools writes a snapshot of some load balancers, of two backends each, and returns where it is.
func pools(t *testing.T, s state.Store, keys ...string) *state.Blob {
	t.Helper()
	clbs := make(map[string]state.Entry)
	for _, key := range keys {
		clbs[key] = state.Entry{Digest: lb.Digest("digest of " + key), Backends: 2}
	}
	d, err := state.CreateSnapshot(t.Context(), s, clbs)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, key := range keys {
		if err := d.Write(line(t, key)); err != nil {
			t.Fatal(err)
		}
	}
	blob, err := d.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func line(t *testing.T, key string) []byte {
	t.Helper()
	l, err := state.EncodePool(key, []lb.Backend{{ID: "ins-a", Name: "of " + key, Status: lb.Running,
		Weight: 10}, {ID: "ins-b", Name: "<b>"}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSnapshotGivesBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	w := newWorld()
	keys := []string{"ap-guangzhou/lb-a", "ap-guangzhou/lb-b", "ap-shanghai/lb-a"}
	h := (*state.Head)(nil).Next("W", ours, start)
	h.Snapshot = pools(t, w, keys...)
	s, err := state.OpenSnapshot(t.Context(), w, h)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(s.Index.CLBs) != 3 || !s.Index.CLBs[keys[1]].Known() || (state.Entry{Name: "x"}).Known() {
		t.Errorf("the index is %+v", s.Index)
	}
	for _, tt := range []struct {
		key   string
		there bool
	}{{keys[0], true}, {keys[0], true}, {"ap-guangzhou/lb-aa", false}, {keys[2], true}, {"b", false},
		{"c", false}} {
		got, err := s.Seek(tt.key)
		if err != nil || (got != nil) != tt.there {
			t.Fatalf("Seek(%s) = %q, %v, want it there: %v", tt.key, got, err, tt.there)
		}
		if !tt.there {
			continue
		}
		backends, err := state.DecodePool(got)
		if err != nil || len(backends) != 2 || backends[0].Name != "of "+tt.key || backends[1].Name != "<b>" ||
			backends[1].Weight != 0 {
			t.Errorf("%s has %+v, %v", tt.key, backends, err)
		}
		if !strings.Contains(string(got), `"<b>"`) {
			t.Errorf("%s: six bytes for one", got)
		}
	}
	if err := s.Drain(); err != nil {
		t.Error(err)
	}
}

func TestNoSnapshotIsAnEmptyOne(t *testing.T) {
	t.Parallel()
	for _, h := range []*state.Head{nil, (*state.Head)(nil).Next("W", ours, start)} {
		s, err := state.OpenSnapshot(t.Context(), statetest.New(nil), h)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Seek("ap-guangzhou/lb-a")
		if got != nil || err != nil || len(s.Index.CLBs) != 0 || s.Drain() != nil {
			t.Errorf("Seek = %q, %v", got, err)
		}
		s.Close()
	}
}

func TestDamagedSnapshotIsAnError(t *testing.T) {
	t.Parallel()
	const index = `{"schema":1,"clbs":{}}` + "\n"
	tests := []struct{ name, text, want string }{
		{"nothing", "", "index"},
		{"an index cut short", `{"schema":1,`, "index"},
		{"an index that is not one", "hello\n", "index"},
		{"another schema", `{"schema":2,"clbs":{}}` + "\n", "schema 2"},
		{"a line cut short", index + `{"key":"a"}` + "\n" + `{"key":"b"`, "after \"a\""},
		{"a line that is not one", index + "hello\n", "not a pool in order"},
		{"keys that fall", index + `{"key":"b"}` + "\n" + `{"key":"a"}` + "\n", "not a pool in order"},
		{"a key twice", index + `{"key":"b"}` + "\n" + `{"key":"b"}` + "\n", "not a pool in order"},
		{"a line too long", index + strings.Repeat("x", 65<<20), "more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := state.ReadSnapshot(strings.NewReader(tt.text))
			if err == nil {
				err = s.Drain()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an error with %q", err, tt.want)
			}
			if damaged := tt.want != "schema 2"; errors.Is(err, state.ErrDamaged) != damaged {
				t.Errorf("%v, want ErrDamaged: %v", err, damaged)
			}
		})
	}
	broken := errors.New("broken pipe")
	s, err := state.ReadSnapshot(io.MultiReader(strings.NewReader(index+`{"key":"a"}`+"\n"),
		iotest.ErrReader(broken)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Seek("b"); !errors.Is(err, broken) {
		t.Errorf("Seek = %v, want %v", err, broken)
	}
	if _, err := state.DecodePool([]byte(`{"key":`)); !errors.Is(err, state.ErrDamaged) {
		t.Errorf("DecodePool = %v, want ErrDamaged", err)
	}
}

// TestDraftRefusesWhatCouldNotBeRead: the tick fails, and not every tick after it.
func TestDraftRefusesWhatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"keys that fall": {`{"key":"b"}`, `{"key":"a"}`},
		"a key twice":    {`{"key":"b"}`, `{"key":"b"}`},
		"not a pool":     {`{"clb":"b"}`},
	} {
		d, err := state.CreateSnapshot(t.Context(), statetest.New(nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			err = d.Write([]byte(l))
		}
		if err == nil {
			t.Errorf("%s: written", name)
		}
		d.Close()
	}
}

func TestSnapshotOfManyLinesIsStreamed(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, `{"schema":1,"clbs":{}}`+"\n")
		for i := range 1000 {
			_, _ = fmt.Fprintf(w, `{"key":"%04d","backends":[]}`+"\n", i)
		}
		w.Close()
	}()
	s, err := state.ReadSnapshot(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Seek("0500"); string(got) != `{"key":"0500","backends":[]}` || err != nil {
		t.Errorf("Seek = %q, %v", got, err)
	}
	if err := s.Drain(); err != nil {
		t.Error(err)
	}
}

// FuzzSnapshot holds that any text is a snapshot in order or an error.
func FuzzSnapshot(f *testing.F) {
	f.Add(`{"schema":1,"clbs":{"a":{"digest":"x"}}}` + "\n" + `{"key":"a","backends":[{"id":"ins-a"}]}` + "\n")
	f.Add("\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := state.ReadSnapshot(strings.NewReader(text))
		if err != nil {
			return
		}
		last := ""
		for _, key := range []string{"a", "b", "c"} {
			line, err := s.Seek(key)
			if err != nil {
				return
			}
			if line != nil && (key <= last || !strings.HasPrefix(string(line), `{"key":"`+key+`"`)) {
				t.Errorf("Seek(%q) = %q after %q", key, line, last)
			}
			if line != nil {
				_, _ = state.DecodePool(line)
				last = key
			}
		}
		_ = s.Drain()
	})
}
