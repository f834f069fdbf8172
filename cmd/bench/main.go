// Bench measures the built function, as a process, against its budget, and prints tables in Markdown. The
// cloud that it reads is internal/sandbox, in this process, so the figures of the function's process are its
// own. Linux only: CPU and memory of another process are read from the kernel.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// part is one subject, with a table of its own.
type part struct {
	name, about string
	run         func(context.Context, *bench) (table, error)
}

var parts = []part{
	{"ticks", "CPU and memory of a tick, against the floor", ticks},
	{"memory", "the largest cases within the memory they are given", memory},
	{"calls", "API calls of a quiet tick", calls},
	{"wall", "how long a tick takes at the API's pace", wall},
	{"start", "the binary and its start", start},
	{"slack", "what Slack is sent", slackTraffic},
	{"rivals", "what people would write instead", rivals},
}

// bench is one run of the parts.
type bench struct {
	clbwatch, hello, goSDK string // binaries
	verdicts               []verdict
}

// verdict is a row of the budget.
type verdict struct {
	what, bound, measured string
	meets                 bool
	part                  string
}

// judge notes whether a bound of the budget is met.
func (b *bench) judge(meets bool, what, bound, format string, args ...any) {
	b.verdicts = append(b.verdicts, verdict{what: what, bound: bound, measured: fmt.Sprintf(format, args...),
		meets: meets})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	run := runParts
	if len(os.Args) == 2 && os.Args[1] == floorCommand {
		run = runFloor
	}
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func runParts(ctx context.Context) error {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	b := &bench{}
	flag.StringVar(&b.clbwatch, "clbwatch", "build/clbwatch", "the built function")
	flag.StringVar(&b.hello, "hello", "build/hello", "testdata/hello, built with the same flags")
	flag.StringVar(&b.goSDK, "go-sdk", "build/bench-go-sdk", "tools/bench-go-sdk, built with the same flags")
	only := flag.String("only", "", "parts to run, by commas: "+strings.Join(names, ", "))
	write := flag.String("write", "",
		"a file whose blocks between <!-- bench NAME --> and <!-- end --> are written anew")
	flag.Parse()
	chosen := parts
	if *only != "" {
		chosen = nil
		for name := range strings.SplitSeq(*only, ",") {
			i := slices.Index(names, name)
			if i < 0 {
				return fmt.Errorf("there is no part %q; there are %s", name, strings.Join(names, ", "))
			}
			chosen = append(chosen, parts[i])
		}
	}
	for _, path := range []*string{&b.clbwatch, &b.hello, &b.goSDK} {
		if _, err := os.Stat(*path); err != nil {
			return fmt.Errorf("%w; make bench builds it", err)
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil { // the function is started in another folder
			return err
		}
	}

	blocks := map[string]string{"machine": machine()}
	fmt.Println(blocks["machine"])
	for _, p := range chosen {
		fmt.Fprintf(os.Stderr, "bench: %s ...\n", p.name)
		began, before := time.Now(), len(b.verdicts)
		t, err := p.run(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		for i := range b.verdicts[before:] {
			b.verdicts[before+i].part = p.name
		}
		blocks[p.name] = t.String()
		fmt.Printf("\n%s (`-only %s`, %.0f s):\n\n%s", p.about, p.name, time.Since(began).Seconds(), t)
	}
	budget := b.budget().String()
	fmt.Printf("\nthe budget:\n\n%s", budget)
	if *only == "" { // the budget is whole
		blocks["budget"] = budget
	}
	if *write == "" {
		return nil
	}
	return rewrite(*write, blocks)
}

// budget says of each bound whether it is met.
func (b *bench) budget() table {
	t := table{{"what", "bound", "measured", "", "part"}}
	for _, v := range b.verdicts {
		says := "meets"
		if !v.meets {
			says = "**MISSES**"
		}
		t.add(v.what, v.bound, v.measured, says, "`"+v.part+"`")
	}
	return t
}

// machine says where the figures are from.
func machine() string {
	model := "unknown CPU"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(info); m != nil {
			model = string(m[1])
		}
	}
	commit := "an unknown commit"
	if out, err := exec.Command("git", "describe", "--always", "--dirty",
		"--abbrev=12").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%d cores of %s, %s/%s, %s; %s, %s.\n", runtime.NumCPU(), model, runtime.GOOS,
		runtime.GOARCH, runtime.Version(),
		commit, time.Now().UTC().Format(time.DateOnly))
}

// table is rows of cells, the headings first.
type table [][]string

func (t *table) add(cells ...string) { *t = append(*t, cells) }

// String is the table in Markdown.
func (t table) String() string {
	var s strings.Builder
	for i, row := range t {
		s.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			s.WriteString("|" + strings.Repeat("---|", len(row)) + "\n")
		}
	}
	return s.String()
}

// rewrite replaces the blocks of a file by those that were measured.
func rewrite(path string, blocks map[string]string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(old)
	for name, block := range blocks {
		mark := "<!-- bench " + name + " -->\n"
		before, rest, ok := strings.Cut(text, mark)
		_, after, ok2 := strings.Cut(rest, "<!-- end -->")
		if !ok || !ok2 {
			return fmt.Errorf("%s has no block between %q and <!-- end -->", path, strings.TrimSpace(mark))
		}
		text = before + mark + "\n" + block + "\n<!-- end -->" + after
	}
	if text == string(old) {
		return errors.New("nothing in " + path + " changed")
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
