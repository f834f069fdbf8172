package app

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/state"
)

// silenced makes a silence of an hour, through the watcher of an app.
func silenced(t *testing.T, a *App, what string) incident.Silence {
	t.Helper()
	now := a.silences.Store.Now()
	s, err := a.watcher.Silences.Make(t.Context(),
		incident.Silence{What: what, Made: now, Until: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSilencesAreOfAllShards checks that they are at the root of the state, whichever shard asks.
func TestSilencesAreOfAllShards(t *testing.T) {
	t.Parallel()
	environ := settings(t, bot)
	dir := strings.TrimPrefix(environ["STATE_URL"], "file://")
	for i, shard := range []string{"", "1/4", "3/4"} {
		a, err := New(io.Discard, time.Now).Function(environ, "", shard, 0)
		if err != nil {
			t.Fatal(err)
		}
		made := silenced(t, a, "prod-*")
		if _, err := os.Stat(filepath.Join(dir, "silence", made.ID)); err != nil {
			t.Errorf("shard %q: %v", shard, err)
		}
		if all, err := a.watcher.Silences.List(t.Context(), nil); err != nil || len(all) != i+1 {
			t.Errorf("shard %q: List = %+v, %v, want %d", shard, all, err, i+1)
		}
	}
}

// TestFirstShardCollectsSilences checks that one shard deletes old silences, and no other.
func TestFirstShardCollectsSilences(t *testing.T) {
	t.Parallel()
	for shard, collects := range map[string]bool{"": true, "1/4": true, "2/4": false} {
		environ := settings(t, bot)
		dir := strings.TrimPrefix(environ["STATE_URL"], "file://")
		later := func() time.Time { return time.Now().Add(9 * 24 * time.Hour) }
		for i, now := range []func() time.Time{time.Now, later} {
			a, err := New(io.Discard, now).Function(environ, "", shard, 0)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				silenced(t, a, "prod-*")
				silenced(t, a, "staging")
				continue
			}
			if err := a.watcher.Store.Collect(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "silence", "1")); os.IsNotExist(err) != collects {
			t.Errorf("shard %q: %v, want the old silence deleted: %v", shard, err, collects)
		}
		if _, err := os.Stat(filepath.Join(dir, "silence", "2")); err != nil {
			t.Errorf("shard %q: %v, want the last number kept", shard, err)
		}
	}
}

// TestProcessRemembersWhichSilencesAreOver checks that it does so for one state at a time.
func TestProcessRemembersWhichSilencesAreOver(t *testing.T) {
	t.Parallel()
	p := New(io.Discard, time.Now)
	open := func(environ map[string]string) *state.Past {
		a, err := p.Function(environ, "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		return a.silences.Past
	}
	one, sharded, other := settings(t, bot), settings(t, bot), settings(t, bot)
	maps.Copy(sharded, one)
	sharded["SHARD"] = "2/4"
	first := open(one)
	if open(one) != first || open(sharded) != first {
		t.Error("the next invocation knows nothing of it")
	}
	if open(other) == first {
		t.Error("what is known of one state is taken for another's")
	}
}

// TestStateShowsSilencesAndWhatIsDamaged checks what `clbwatch state` prints of them.
func TestStateShowsSilencesAndWhatIsDamaged(t *testing.T) {
	t.Parallel()
	k := keep(t)
	if err := k.tick(first, ""); err != nil {
		t.Fatal(err)
	}
	silenced(t, k.function("", ""), "prod-*")
	if v := k.look()[0]; len(v.Silences) != 1 || len(v.Damage) != 0 {
		t.Errorf("State = %+v, want one silence", v)
	}
	if err := os.WriteFile(filepath.Join(k.dir(), "silence", "2"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := k.look()[0]
	if len(v.Silences) != 1 || len(v.Damage) != 1 || v.Damage[0].Can ||
		!strings.Contains(v.Damage[0].Err.Error(), "silence/2") || advice.Of(v.Damage[0].Err) == "" {
		t.Errorf("State = %+v, want one silence, and the damaged one named", v)
	}
	if err := k.tick(first, ""); err != nil {
		t.Errorf("a tick beside a damaged silence: %v", err)
	}
}
