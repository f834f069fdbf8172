package app

import (
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	tencent "clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/slack"
	"clbwatch/internal/state"
)

// kept is a state in files, and functions that tick on it.
type kept struct {
	t     *testing.T
	set   map[string]string
	cloud *tencent.Cloud
}

func keep(t *testing.T) kept {
	t.Helper()
	k := kept{t, nil, tencent.New()}
	channel := slack.New()
	api, hooks := httptest.NewServer(k.cloud), httptest.NewServer(channel)
	t.Cleanup(api.Close)
	t.Cleanup(hooks.Close)
	c := k.cloud.Issue()
	k.set = settings(t, map[string]string{
		"CLB_ENDPOINT": api.URL + tencent.APIPath, "CLB_API": "v2",
		"SLACK_WEBHOOK_URL":      channel.URL(hooks.URL),
		"TENCENTCLOUD_SECRET_ID": c.SecretID, "TENCENTCLOUD_SECRET_KEY": c.SecretKey,
		"TENCENTCLOUD_TOKEN": c.Token,
	})
	for _, id := range []string{"ins-1", "ins-2"} {
		k.cloud.Bind("ap-guangzhou", "lb-8a3k2m1q", tencent.Instance{ID: id, Name: id, Status: 2, Weight: 10})
	}
	return k
}

// function is a function on the state, or the command line if it has no name.
func (k kept) function(name, shard string) *App {
	k.t.Helper()
	a, err := New(io.Discard, time.Now).Function(k.set, name, shard, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	return a
}

func (k kept) tick(name, shard string) error {
	k.t.Helper()
	_, err := k.function(name, shard).Tick(k.t.Context())
	return err
}

func (k kept) look() []*state.Inventory {
	k.t.Helper()
	all, err := k.function("", "").State(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	return all
}

// files are the names of files of the state, sorted.
func (k kept) files() []string {
	k.t.Helper()
	var all []string
	err := filepath.WalkDir(k.dir(), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return all
}

func (k kept) dir() string { return strings.TrimPrefix(k.set["STATE_URL"], "file://") }

// damage flips a byte of the newest head.
func (k kept) damage() {
	k.t.Helper()
	heads, err := filepath.Glob(filepath.Join(k.dir(), "head", "*.json"))
	if err != nil || len(heads) == 0 {
		k.t.Fatal(heads, err)
	}
	newest := slices.Min(heads) // the number is counted down
	b, err := os.ReadFile(newest)
	if err != nil {
		k.t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.Chmod(newest, 0o600); err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(newest, b, 0o600); err != nil {
		k.t.Fatal(err)
	}
}

const (
	first  = "ap-guangzhou/default/first"
	second = "ap-guangzhou/default/second"
)

func TestStateIsRepairedAndTicksGoOn(t *testing.T) {
	t.Parallel()
	k := keep(t)
	if v := k.look(); len(v) != 1 || v[0].Head != nil || len(v[0].Damage) != 0 || v[0].Place != k.dir() {
		t.Errorf("fresh: State = %+v", v[0])
	}
	if made := k.files(); len(made) != 0 {
		t.Errorf("looking at no state made %q", made)
	}
	if _, err := k.function("", "").Repair(t.Context()); err == nil {
		t.Error("no state was repaired")
	}

	if err := k.tick(first, ""); err != nil {
		t.Fatal(err)
	}
	k.cloud.SetStatus("ins-1", 4)
	if err := k.tick(first, ""); err != nil {
		t.Fatal(err)
	}
	before := k.files()
	healthy := k.look()[0]
	if len(healthy.Damage) != 0 || healthy.CLBs != 1 || healthy.Backends != 2 ||
		healthy.Head.By[0].Name != first ||
		healthy.Newest != healthy.Head.N || len(healthy.Head.Incidents.Roots) == 0 {
		t.Errorf("healthy: State = %+v", healthy)
	}
	if done, err := k.function("", "").Repair(t.Context()); err != nil || len(done) != 1 || done[0].N != 0 {
		t.Errorf("healthy: Repair = %+v, %v, want nothing", done, err)
	}

	k.damage()
	hurt := k.look()[0]
	if len(hurt.Damage) != 1 || !hurt.Damage[0].Can || hurt.Newest != healthy.Newest ||
		hurt.Head.N >= hurt.Newest {
		t.Errorf("damaged: State = %+v", hurt)
	}
	if !slices.Equal(k.files(), before) {
		t.Errorf("looking changed the state: %q, before %q", k.files(), before)
	}
	if err := k.tick(first, ""); err == nil {
		t.Error("a tick went on from a damaged head")
	}
	done, err := k.function("", "").Repair(t.Context())
	if err != nil || len(done) != 1 || done[0].From != hurt.Head.N || done[0].N != hurt.Newest+1 {
		t.Fatalf("Repair = %+v, %v, want head %d from %d", done, err, hurt.Newest+1, hurt.Head.N)
	}
	if v := k.look()[0]; len(v.Damage) != 0 || v.Head.By[0].Name != state.CLI {
		t.Errorf("repaired: State = %+v", v)
	}
	if err := k.tick(first, ""); err != nil {
		t.Errorf("repaired: Tick = %v", err)
	}
	if v := k.look()[0]; len(v.Head.Incidents.Roots) == 0 {
		t.Error("what happened since the head that was gone back to is not found again")
	}
}

func TestTakenStateGoesOnWithAnotherFunction(t *testing.T) {
	t.Parallel()
	k := keep(t)
	if _, _, err := k.function("", "").Take(t.Context()); err == nil {
		t.Error("a state that is not there was taken")
	}
	if err := k.tick(first, ""); err != nil {
		t.Fatal(err)
	}
	if err := k.tick(second, ""); err == nil || !strings.Contains(advice.Of(err), "clbwatch state --take") {
		t.Fatalf("the second function: Tick = %v, want what to do", err)
	}
	took, was, err := k.function("", "").Take(t.Context())
	if err != nil || len(took) != 1 || len(was) != 1 || was[0].Name != first {
		t.Fatalf("Take = %v, %v, %v", took, was, err)
	}
	if err := k.tick(second, ""); err != nil {
		t.Errorf("taken: Tick = %v", err)
	}
	if err := k.tick(first, ""); err == nil {
		t.Error("the first function goes on beside the second")
	}
}

// TestStateOfShards holds that a command whose settings name no shard finds those that there are.
func TestStateOfShards(t *testing.T) {
	t.Parallel()
	k := keep(t)
	if err := k.tick(first, ""); err != nil {
		t.Fatal(err)
	}
	for _, shard := range []string{"1/2", "2/2"} {
		if err := k.tick(first, shard); err != nil && !strings.Contains(err.Error(), "no load balancer") {
			t.Fatal(shard, err)
		}
	}
	all := k.look()
	if len(all) != 2 || all[0].Shard != (state.Shard{N: 1, Of: 2}) ||
		all[1].Shard != (state.Shard{N: 2, Of: 2}) ||
		all[0].CLBs+all[1].CLBs != 1 || !strings.HasSuffix(all[1].Place, "/shards/2-of-2") {
		t.Errorf("State = %+v", all)
	}
	took, was, err := k.function("", "").Take(t.Context())
	if err != nil || len(took) != 2 || len(was) != 1 {
		t.Errorf("Take = %v, %v, %v, want both shards, and the function once", took, was, err)
	}
	done, err := k.function("", "").Repair(t.Context())
	if err != nil || len(done) != 2 || done[0].N+done[1].N != 0 {
		t.Errorf("Repair = %+v, %v, want that both are sound", done, err)
	}
	own, err := k.function("", "2/2").State(t.Context())
	if err != nil || len(own) != 1 || own[0].Shard != (state.Shard{N: 2, Of: 2}) {
		t.Errorf("with SHARD: State = %+v, %v", own, err)
	}
}
