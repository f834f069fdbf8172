package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports holds the layout of docs/design.md: what is behind the front door, and who may touch what.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Standard,Doc", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	type pkg struct {
		ImportPath, Doc string
		Imports         []string
	}
	imports := make(map[string][]string)
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		imports[p.ImportPath] = p.Imports
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}

	only := func(imported string, why string, importers ...string) {
		t.Helper()
		found := false
		for p, list := range imports {
			if !slices.ContainsFunc(list, func(i string) bool { return i == imported || strings.HasPrefix(i, imported+"/") }) {
				continue
			}
			found = true
			if !slices.Contains(importers, p) {
				t.Errorf("%s imports %s, which only %v may: %s", p, imported, importers, why)
			}
		}
		if !found {
			t.Errorf("nobody imports %s", imported)
		}
	}
	only("github.com/tencentyun/scf-go-lib", "the platform is behind the way in", "clbwatch/handler")
	only("github.com/slack-go/slack", "Slack is behind the way out", "clbwatch/notifier")
	only("github.com/caarlos0/env/v11", "there is one parser of settings", "clbwatch/internal/config")
	only("github.com/klauspost/compress", "how snapshots are stored is the store's business", "clbwatch/internal/store")
	only("github.com/urfave/cli/v3", "the command line is main's", "clbwatch")
	only("clbwatch/internal/config", "parts get what they need, not the settings", "clbwatch")
	only("clbwatch/internal/clb", "adapters do not know one another", "clbwatch")
	only("clbwatch/internal/store", "adapters do not know one another", "clbwatch")
	only("clbwatch/handler", "it is the way in, not a library", "clbwatch")
	only("clbwatch/notifier", "it is the way out, not a library", "clbwatch")
	only("clbwatch/internal/sandbox", "it is for the demo, the benchmarks and the tests", "clbwatch/cmd/sandbox", "clbwatch/cmd/bench")

	for _, i := range imports["clbwatch/internal/watch"] {
		if strings.Contains(i, ".") || strings.HasPrefix(i, "clbwatch/") || i == "os" || i == "net" || strings.HasPrefix(i, "net/") {
			t.Errorf("watch imports %s: it decides, and touches nothing", i)
		}
	}
	for _, i := range imports["clbwatch/internal/sandbox"] {
		if strings.HasPrefix(i, "clbwatch") {
			t.Errorf("sandbox imports %s: it must not share a mistake with what it tests", i)
		}
	}
}
