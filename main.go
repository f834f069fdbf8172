// Clbwatch watches the backends of Tencent Cloud load balancers and tells Slack what happens to them. On SCF
// it is a function; anywhere else it is a command line. This file chooses between them and decides nothing.
package main

import (
	_ "time/tzdata" // SCF has no zones of its own

	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"clbwatch/handler"
	"clbwatch/internal/app"
	"clbwatch/internal/cli"
)

// version is set by the Makefile.
var version = "dev"

func main() {
	if os.Getenv("_LAMBDA_SERVER_PORT") != "" {
		p := app.NewFunction(os.Stdout, time.Now, environ())
		handler.Serve(&handler.Handler{
			Open: func(i handler.Invocation) (handler.App, error) {
				return p.Function(i.Environment, i.Function, i.Shard, i.Memory)
			},
			Now: time.Now,
		})
	}
	os.Exit(commandLine())
}

func commandLine() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := app.New(os.Stderr, time.Now)
	c := cli.Program{
		Version: version,
		Environ: environ(),
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Deploy:  p.Deploy,
		Columns: cli.Columns(os.Stdout),
		Open:    func(environ map[string]string) (cli.App, error) { return p.Open(environ) },
	}
	return c.Run(ctx, os.Args)
}

func environ() map[string]string {
	m := make(map[string]string)
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		m[k] = v
	}
	return m
}
