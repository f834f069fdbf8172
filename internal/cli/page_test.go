package cli_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clbwatch/internal/cli"
	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

func TestReportAsAPage(t *testing.T) {
	t.Parallel()
	web := lb.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q", Label: "prod-web"}
	well := watch.Standing{CLB: web, Capacity: lb.Capacity{Total: 1, Running: 1, Weight: 10, Serving: 10}}
	gone := watch.Standing{CLB: lb.CLB{ID: "lb-gone"}, Err: errors.New("timeout")}
	for _, tt := range []struct {
		name, args, calls string // DIR is a folder
		standings         []watch.Standing
		code              int
		out, errors       string // as run has them
		page              string // the file that is there then; "" if none is
	}{
		{"a new file", "report --html DIR/page.html --since 30d", "read in cells of 2h0m0s",
			[]watch.Standing{well}, 0,
			"wrote DIR/page.html: 1 load balancer, ", "", "page.html"},
		{"the time that a report looks back on by itself", "report --html DIR/page.html", "read in cells of 5m0s",
			[]watch.Standing{well}, 0, "wrote DIR/page.html", "", "page.html"},
		{"one unread", "report --html DIR/page.html", "read in cells of 5m0s", []watch.Standing{well, gone}, 1,
			" kB; not all could be read, the page says what and why\n", "", "page.html"},
		{"a file that is there", "report --html DIR/old.html", "read in cells of 5m0s", []watch.Standing{well}, 0,
			"wrote DIR/old.html", "", "old.html"},
		{"a link to a file", "report --html DIR/link.html", "read in cells of 5m0s", []watch.Standing{well}, 0,
			"wrote DIR/old.html", "", "old.html"},
		{"standard output", "report --html -", "read in cells of 5m0s", []watch.Standing{well}, 0,
			"<!doctype html>", "", ""},
		{"no such folder", "report --html DIR/none/page.html", "", nil, 1, "",
			"clbwatch: write DIR/none/page.html: stat DIR/none: no such file or directory\n", ""},
		{"a folder", "report --html DIR", "", nil, 1, "",
			"clbwatch: write DIR: it is not a file; for standard output, write --html -\n", ""},
		{"a device", "report --html /dev/null", "", nil, 1, "",
			"clbwatch: write /dev/null: it is not a file; for standard output, write --html -\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := errors.Join(os.WriteFile(filepath.Join(dir, "old.html"), []byte("old"), 0o600),
				os.Symlink("old.html", filepath.Join(dir, "link.html"))); err != nil {
				t.Fatal(err)
			}
			a := &fake{standings: tt.standings}
			p := cli.Program{Open: func(map[string]string) (cli.App, error) { return a, nil }}
			in := func(s string) string { return strings.ReplaceAll(s, "DIR", dir) }
			run(t, p, in(tt.args), tt.code, in(tt.out), in(tt.errors))
			if calls := strings.Join(a.calls, ", "); calls != tt.calls {
				t.Errorf("clbwatch %s calls %q, want %q", tt.args, calls, tt.calls)
			}
			for name, content := range files(t, dir) {
				switch is := strings.HasPrefix(content, "<!doctype html>") && strings.HasSuffix(content, "</html>\n"); {
				case name == "old.html" && content == "old" && tt.page != name, name == "link.html":
				case name != tt.page || !is:
					t.Errorf("%s is %.40q, want no such file, or a page", name, content)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, tt.page)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPageThatCannotBeWrittenLeavesTheOldOne holds that a file is replaced as a whole or not at all. There is
// no room for a file beside one with so long a name.
func TestPageThatCannotBeWrittenLeavesTheOldOne(t *testing.T) {
	t.Parallel()
	dir, name := t.TempDir(), strings.Repeat("p", 250)
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := cli.Program{Open: func(map[string]string) (cli.App, error) { return &fake{}, nil }}
	run(t, p, "report --html "+file, 1, "", "clbwatch: write "+file+": open ")
	if got := files(t, dir); len(got) != 1 || got[name] != "old" {
		t.Errorf("the folder has %q, want the old file only", got)
	}
}

// files are the files of a folder, with what is in them.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, path))
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
