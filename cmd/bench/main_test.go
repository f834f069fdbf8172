package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRewrite writes every part into the page that they are for, twice: the second time it replaces what the
// first wrote.
func TestRewrite(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, page, 0o600); err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{"machine": "", "budget": ""}
	for _, p := range parts {
		blocks[p.name] = ""
	}
	for _, round := range []string{"first", "second"} {
		for name := range blocks {
			blocks[name] = table{{"part", "round"}, {name, round}}.String()
		}
		if err := rewrite(path, blocks); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range blocks {
		if n := strings.Count(string(written), block); n != 1 {
			t.Errorf("the block %s is in the page %d times, want once", name, n)
		}
	}
	if strings.Contains(string(written), "| first |") {
		t.Error("the page still has blocks of the first round")
	}
	if err := rewrite(path, map[string]string{"nonsense": "x"}); err == nil {
		t.Error("a block that the page has no place for was written")
	}
}
