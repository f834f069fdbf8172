// Sandbox tells a story: the built function in a cloud on the laptop, with what people read in Slack. It
// needs no account, and reaches nothing beyond 127.0.0.1.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"clbwatch/internal/sandbox/demo"
	"clbwatch/internal/sandbox/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	function := flag.String("function", "", "path of the built function (required)")
	fast := flag.Bool("fast", false, "no pauses")
	listen := flag.String("listen", "127.0.0.1:0", "where to serve the page; \"\" for no page")
	live := flag.Bool("live", false, "no story: the page's buttons work at once, until Ctrl-C")
	flag.Parse()
	if *function == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	path, err := filepath.Abs(*function) // the function is started in another folder
	if err != nil {
		return err
	}
	width, _ := strconv.Atoi(os.Getenv("COLUMNS")) // 0, the default width, if it is not a number
	tty := isTerminal(os.Stdout)
	return demo.Story{
		Function: path,
		Out:      os.Stdout,
		Fast:     *fast,
		Listen:   *listen,
		Live:     *live,
		Stay:     tty && isTerminal(os.Stdin) && *listen != "", // where nobody sits, nobody presses buttons
		Render: terminal.Options{Color: tty && os.Getenv("NO_COLOR") == "", Width: width,
			Location: time.Local},
	}.Tell(ctx)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
