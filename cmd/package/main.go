// Command package puts a built program and the licences that go with it into an archive: the zip that SCF
// takes, or what people download for their system. The same files give the same bytes. A function that SCF
// could not start is refused. It builds and uploads nothing.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"clbwatch/internal/deploy"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: package ARCHIVE PROGRAM [FILE...]; ARCHIVE ends in .zip or .tar.gz, and a "+
			"PROGRAM that is called main is the function")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2], os.Args[3:]...); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

// function is what SCF calls the program: the handler of serverless.yml.
const function = "main"

// pack writes the archive out, with the program and other files at its root. Nothing is written if the
// program is the function and SCF could not start it.
func pack(out, program string, others ...string) error {
	var all []deploy.File
	for i, name := range append([]string{program}, others...) {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f := deploy.File{Name: filepath.Base(name), Mode: 0o644, Content: content}
		if i == 0 {
			f.Mode = 0o755
		}
		all = append(all, f)
	}
	if all[0].Name == function {
		if err := deploy.Startable(all[0].Content); err != nil {
			return fmt.Errorf("%s: %w; build it with CGO_ENABLED=0 GOOS=linux GOARCH=amd64 (make build)", program, err)
		}
	}
	write := deploy.Pack
	switch {
	case strings.HasSuffix(out, ".tar.gz"):
		write = tarred
	case !strings.HasSuffix(out, ".zip"):
		return fmt.Errorf("%s ends neither in .zip nor in .tar.gz", out)
	}
	var b bytes.Buffer
	if err := write(&b, all...); err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}

func tarred(w io.Writer, all ...deploy.File) error {
	g := gzip.NewWriter(w)
	t := tar.NewWriter(g)
	for _, f := range all {
		h := &tar.Header{Name: f.Name, Mode: int64(f.Mode), Size: int64(len(f.Content)), ModTime: deploy.First(),
			Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.Content); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), g.Close())
}
