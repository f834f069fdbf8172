package main

import (
	"fmt"
	"image/gif"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"clbwatch/internal/text"
)

// page is a Markdown file.
type page struct {
	path    string
	lines   []string        // all of them
	prose   map[int]bool    // the lines, by index, that are not code
	shell   []string        // commands in blocks of sh, without comments
	heads   []string        // the levels of headings, such as "##"
	anchors map[string]bool // that a link may name after #
	links   []string        // outside of code
}

var (
	fence   = regexp.MustCompile("^ *```(\\w*)")
	heading = regexp.MustCompile(`^(#{1,6}) (.*)`)
	inline  = regexp.MustCompile("`[^`]*`")
	linked  = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
)

// pages reads all that we wrote: not what make licenses makes.
func pages(t *testing.T) map[string]*page {
	t.Helper()
	all := make(map[string]*page)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "build", "dist", "node_modules", "testdata"}, d.Name()):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md" && path != filepath.Join("docs", "third-party.md"):
			all[path], err = readPage(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 12 {
		t.Fatalf("found only %d pages", len(all))
	}
	return all
}

func readPage(path string) (*page, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &page{path: path, lines: strings.Split(string(b), "\n"), prose: make(map[int]bool),
		anchors: make(map[string]bool)}
	language, inside := "", false
	for i, l := range p.lines {
		if m := fence.FindStringSubmatch(l); m != nil {
			language, inside = m[1], !inside
			continue
		}
		if inside {
			command, _, _ := strings.Cut(strings.TrimSpace(l), " #")
			if command = strings.TrimSpace(command); language == "sh" && command != "" {
				p.shell = append(p.shell, command)
			}
			continue
		}
		// Code is what is indented after an empty line, or after code.
		indented := strings.HasPrefix(l, "    ") && (i == 0 || p.lines[i-1] == "" || !p.prose[i-1])
		p.prose[i] = !indented
		if m := heading.FindStringSubmatch(l); m != nil {
			p.heads = append(p.heads, m[1])
			p.anchors[p.anchor(m[2])] = true
		}
	}
	// A link may go over two lines, code may not.
	var prose []string
	for i, l := range p.lines {
		if p.prose[i] {
			prose = append(prose, inline.ReplaceAllString(l, ""))
		}
	}
	for _, m := range linked.FindAllStringSubmatch(strings.Join(prose, "\n"), -1) {
		p.links = append(p.links, m[1]+m[2])
	}
	return p, nil
}

// anchor is what GitHub makes of a heading: lower case, hyphens for spaces, without punctuation, and with a
// number if the page has it already.
func (p *page) anchor(heading string) string {
	heading = strings.ReplaceAll(heading, "`", "")
	slug := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
	unique := slug
	for n := 1; p.anchors[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", slug, n)
	}
	return unique
}

// TestLinks holds that every link within the repository leads somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	all := pages(t)
	n := 0
	for _, p := range all {
		for _, link := range p.links {
			if strings.HasPrefix(link, "https://") {
				continue
			}
			n++
			file, anchor, _ := strings.Cut(link, "#")
			target := p.path
			if file != "" {
				target = filepath.Join(filepath.Dir(p.path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", p.path, link, err)
				continue
			}
			if to := all[target]; anchor != "" && (to == nil || !to.anchors[anchor]) {
				t.Errorf("%s links to %s, and %s has no such heading", p.path, link, target)
			}
		}
	}
	if n < 80 {
		t.Errorf("only %d links were looked at", n)
	}
}

// TestEveryPageIsLinked holds that a reader of the README finds every page of docs.
func TestEveryPageIsLinked(t *testing.T) {
	t.Parallel()
	all := pages(t)
	found := map[string]bool{"README.md": true}
	for todo := []string{"README.md"}; len(todo) > 0; todo = todo[1:] {
		for _, link := range all[todo[0]].links {
			file, _, _ := strings.Cut(link, "#")
			target := filepath.Join(filepath.Dir(todo[0]), file)
			if all[target] != nil && !found[target] {
				found[target] = true
				todo = append(todo, target)
			}
		}
	}
	for path := range all {
		if !found[path] && (filepath.Dir(path) == "." || filepath.Dir(path) == "docs") {
			t.Errorf("no link leads from README.md to %s", path)
		}
	}
}

// TestReadmeIsShort holds that one can finish it in three minutes.
func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines, words := strings.Count(string(b), "\n"), len(strings.Fields(string(b)))
	if lines > 120 || words > 700 {
		t.Errorf("README.md has %d lines and %d words, want at most 120 and 700", lines, words)
	}
}

// TestReadmeInChinese holds that it has what the English one has: the same commands, links and headings.
func TestReadmeInChinese(t *testing.T) {
	t.Parallel()
	all := pages(t)
	en, zh := all["README.md"], all["README.zh-CN.md"]
	if zh == nil {
		t.Fatal("there is no README.zh-CN.md")
	}
	if !slices.Equal(en.shell, zh.shell) {
		t.Errorf("the commands are %q, want %q", zh.shell, en.shell)
	}
	if !slices.Equal(en.heads, zh.heads) {
		t.Errorf("the headings are %v, want %v", zh.heads, en.heads)
	}
	sorted := func(links []string, other string) (all []string) {
		for _, l := range links {
			if l != other { // each links to the other
				all = append(all, l)
			}
		}
		slices.Sort(all) // a sentence may have another order
		return all
	}
	got, want := sorted(zh.links, "README.md"), sorted(en.links, "README.zh-CN.md")
	if !slices.Equal(got, want) {
		t.Errorf("the links are\n%q, want\n%q", got, want)
	}
}

// TestLinesAreShort holds that prose is at most 110 columns wide.
func TestLinesAreShort(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for i, l := range p.lines {
			if n := text.Cells(l); n > 110 && p.prose[i] && !strings.HasPrefix(l, "|") {
				t.Errorf("%s:%d has %d columns, want at most 110", p.path, i+1, n)
			}
		}
	}
}

// TestAnimatedPicture holds what the README shows: three frames, not too large, and the same standing still.
func TestAnimatedPicture(t *testing.T) {
	t.Parallel()
	f, err := os.Open("docs/img/incident.gif")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := gif.DecodeAll(f)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Image) != 3 || slices.Min(g.Delay) < 300 || g.LoopCount != 0 || info.Size() > 400_000 {
		t.Errorf("the GIF has %d frames with delays of %v, %d loops and %d bytes, want 3 of 3 s or more, for "+
			"ever, in 400 kB", len(g.Image), g.Delay, g.LoopCount, info.Size())
	}
	s, err := os.Open("docs/img/incident.png")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	still, err := png.DecodeConfig(s)
	if err != nil {
		t.Fatal(err)
	}
	if still.Width != g.Config.Width {
		t.Errorf("the still is %d pixels wide, and the GIF %d", still.Width, g.Config.Width)
	}
}
