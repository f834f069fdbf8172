package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestImports holds the layout of the packages: who may import what, and why nobody else may.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Standard,Doc",
		"./...").Output()
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
			if !slices.ContainsFunc(list, func(i string) bool {
				return i == imported ||
					strings.HasPrefix(i, imported+"/")
			}) {
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
	only("github.com/slack-go/slack", "Slack is behind the way out, and behind the talk with it",
		"clbwatch/notifier", "clbwatch/notifier/message", "clbwatch/internal/talk")
	only("github.com/caarlos0/env/v11", "there is one parser of settings", "clbwatch/internal/config")
	only("github.com/klauspost/compress", "how snapshots are stored is the store's business",
		"clbwatch/internal/store")
	only("github.com/urfave/cli/v3", "there is one command line", "clbwatch/internal/cli")
	only("github.com/go-analyze/charts", "charts are on the page, and nowhere else", "clbwatch/internal/page")
	only("golang.org/x/term", "only the command line has a terminal", "clbwatch/internal/cli")
	only("clbwatch/internal/envfile", "files of settings are for the command line", "clbwatch/internal/cli")
	only("html/template", "what is HTML is the page", "clbwatch/internal/page")
	only("clbwatch/internal/page", "it is a file that the command line writes", "clbwatch/internal/cli")
	only("clbwatch/internal/config", "parts get what they need, not the settings", "clbwatch/internal/app")
	only("clbwatch/internal/clb", "adapters do not know one another", "clbwatch/internal/app")
	only("clbwatch/internal/store", "adapters do not know one another", "clbwatch/internal/app")
	only("clbwatch/internal/check", "the parts do not diagnose themselves", "clbwatch/internal/app",
		"clbwatch/internal/cli")
	only("clbwatch/internal/app", "what connects the parts is not itself a part", "clbwatch")
	only("clbwatch/internal/cli", "it is the command line, not a library", "clbwatch")
	only("clbwatch/handler", "it is the way in, not a library", "clbwatch")
	only("clbwatch/internal/talk", "it is a part, and asks nothing of the others but what it is given",
		"clbwatch/internal/app", "clbwatch/handler", "clbwatch/notifier")
	only("clbwatch/notifier", "it is the way out, not a library", "clbwatch/internal/app", "clbwatch/notifier",
		"clbwatch/internal/talk") // which takes messages from it, and may not send any: see below
	inSandbox := func(p string) bool {
		return p == "clbwatch/internal/sandbox" || strings.HasPrefix(p, "clbwatch/internal/sandbox/")
	}
	users := []string{"clbwatch/cmd/sandbox", "clbwatch/cmd/bench"}
	for p := range imports {
		if inSandbox(p) {
			users = append(users, p)
		}
	}
	only("clbwatch/internal/sandbox", "it is for the demo, the benchmarks and the tests", users...)

	// What decides touches nothing, and imports never run backwards.
	for p, mayImport := range map[string][]string{
		"clbwatch/internal/lb":       nil,
		"clbwatch/internal/advice":   nil,
		"clbwatch/internal/text":     {"golang.org/x/text/width"},
		"clbwatch/internal/incident": {"clbwatch/internal/lb", "clbwatch/internal/advice"},
		"clbwatch/internal/watch": {"clbwatch/internal/lb", "clbwatch/internal/advice",
			"clbwatch/internal/incident", "clbwatch/internal/text",
			"clbwatch/internal/state", "clbwatch/internal/timeline"},
		"clbwatch/internal/timeline": {"clbwatch/internal/lb", "clbwatch/internal/incident"},
		"clbwatch/internal/state": {"clbwatch/internal/lb", "clbwatch/internal/advice",
			"clbwatch/internal/incident"},
		"clbwatch/internal/page": {"clbwatch/internal/incident", "clbwatch/internal/lb", "clbwatch/internal/report",
			"clbwatch/internal/text", "clbwatch/internal/timeline", "github.com/go-analyze/charts/chartdraw"},
		"clbwatch/notifier/message": {"clbwatch/internal/incident", "clbwatch/internal/lb",
			"clbwatch/internal/report", "clbwatch/internal/text", "clbwatch/internal/advice",
			"net/url", "github.com/slack-go/slack"},
		"clbwatch/internal/talk": {"clbwatch/internal/advice", "clbwatch/internal/incident",
			"clbwatch/internal/report", "clbwatch/internal/text", "clbwatch/internal/watch",
			"clbwatch/notifier/message", "net/http", "net/url", "github.com/slack-go/slack"},
		"clbwatch/internal/check": {"clbwatch/internal/lb", "clbwatch/internal/advice", "clbwatch/internal/text",
			"clbwatch/internal/state", "clbwatch/internal/watch"},
	} {
		for _, i := range imports[p] {
			outside := i == "os" || i == "net" || strings.HasPrefix(i, "net/") || strings.Contains(i, ".")
			if (outside || strings.HasPrefix(i, "clbwatch/")) && !slices.Contains(mayImport, i) {
				t.Errorf("%s imports %s: it may import the standard library but for os and net, and %v", p, i, mayImport)
			}
		}
	}

	const shared, demo = "clbwatch/internal/sandbox", "clbwatch/internal/sandbox/demo"
	parts := 0
	for p, list := range imports {
		if !inSandbox(p) {
			continue
		}
		parts++
		for _, i := range list {
			switch {
			case !strings.HasPrefix(i, "clbwatch"):
			case !inSandbox(i):
				t.Errorf("%s imports %s: it must not share a mistake with what it tests", p, i)
			case p != demo && i != shared:
				t.Errorf("%s imports %s: only the demo puts the parts of the sandbox together", p, i)
			}
		}
	}
	if parts < 8 {
		t.Errorf("only %d packages of the sandbox were looked at", parts)
	}
}

// TestSecurityDocIsTrue holds that each line of docs/security.md names what shows it, and that this is there.
func TestSecurityDocIsTrue(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testsHere(t)
	lines := 0
	for l := range strings.Lines(string(doc)) {
		if !strings.HasPrefix(l, "| ") || strings.HasPrefix(l, "| they try |") {
			continue
		}
		lines++
		cells := strings.Split(strings.Trim(l, "| \n"), " | ")
		named := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(cells) != 3 || len(named) == 0 {
			t.Errorf("nothing shows %q", l)
		}
		for _, m := range named {
			_, err := os.Stat(m[1])
			if !tests[m[1]] && err != nil && !strings.HasPrefix(m[1], "make ") {
				t.Errorf("there is no %s, which is to show %q", m[1], cells[0])
			}
		}
	}
	if lines < 20 {
		t.Errorf("only %d lines were looked at", lines)
	}
}

// TestDocsNameTestsThatExist holds that whatever a page shows something by is there.
func TestDocsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	tests, named := testsHere(t), regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	for path, p := range pages(t) {
		for _, m := range named.FindAllStringSubmatch(strings.Join(p.lines, "\n"), -1) {
			if !tests[m[1]] {
				t.Errorf("%s names %s, and there is none", path, m[1])
			}
		}
	}
}

// testsHere are the names of all tests, fuzz tests and benchmarks of the module.
func testsHere(t *testing.T) map[string]bool {
	t.Helper()
	tests := make(map[string]bool)
	isTest := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range isTest.FindAllStringSubmatch(string(b), -1) {
			tests[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// TestWorkflowsArePinned holds that what runs beside our code is pinned to a commit, and may only read.
func TestWorkflowsArePinned(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(".github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	uses, pinned := regexp.MustCompile(`uses:.*`), regexp.MustCompile(`^uses: [\w./-]+@[0-9a-f]{40} # v[0-9.]+$`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range uses.FindAllString(string(b), -1) {
			if !pinned.MatchString(u) {
				t.Errorf("%s: %s: not pinned to a commit, with its version beside it", f, u)
			}
		}
		if strings.Count(string(b), "permissions:") != 1 ||
			!strings.Contains(string(b), "\npermissions:\n  contents: read\n\n") {
			t.Errorf("%s: may do more than read", f)
		}
		if strings.Count(string(b), "actions/checkout@") != strings.Count(string(b), "persist-credentials: false") {
			t.Errorf("%s: leaves its credentials to what it runs", f)
		}
	}
}
