// Command package puts a built program and the licences that go with it into an archive: the zip that SCF takes,
// or what people download for their system. The same files give the same bytes. A function that SCF could not
// start is refused. It builds and uploads nothing.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
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

// pack writes the archive out, with the program and other files at its root. Nothing is written if the program
// is the function and SCF could not start it.
func pack(out, program string, others ...string) error {
	var all []file
	for i, name := range append([]string{program}, others...) {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f := file{filepath.Base(name), 0o644, content}
		if i == 0 {
			f.mode = 0o755 // without the executable bit SCF cannot start it
		}
		all = append(all, f)
	}
	if all[0].name == function {
		if err := startable(all[0].content); err != nil {
			return fmt.Errorf("%s: %w; build it with CGO_ENABLED=0 GOOS=linux GOARCH=amd64 (make build)", program, err)
		}
	}
	write := zipped
	switch {
	case strings.HasSuffix(out, ".tar.gz"):
		write = tarred
	case !strings.HasSuffix(out, ".zip"):
		return fmt.Errorf("%s ends neither in .zip nor in .tar.gz", out)
	}
	var b bytes.Buffer
	if err := write(&b, all); err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}

// startable is nil for a static linux/amd64 program. A dynamic one is refused because SCF runs CentOS 7.6,
// whose C library is older than the one it would be linked with.
func startable(binary []byte) error {
	f, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		return fmt.Errorf("not a Linux program: %w", err)
	}
	if f.Type != elf.ET_EXEC || f.OSABI != elf.ELFOSABI_NONE && f.OSABI != elf.ELFOSABI_LINUX {
		return fmt.Errorf("not a Linux program (%v, %v)", f.Type, f.OSABI)
	}
	if f.Machine != elf.EM_X86_64 {
		return fmt.Errorf("built for %v, not for amd64", f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("dynamically linked")
		}
	}
	return nil
}

// file is one file of an archive. What a build machine would leave in it, such as times and owners, is fixed.
type file struct {
	name    string
	mode    os.FileMode
	content []byte
}

// first is the first time that a zip can hold.
func first() time.Time { return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) }

func zipped(w io.Writer, all []file) error {
	z := zip.NewWriter(w)
	for _, f := range all {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: first()}
		h.SetMode(f.mode)
		entry, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.content); err != nil {
			return err
		}
	}
	return z.Close()
}

func tarred(w io.Writer, all []file) error {
	g := gzip.NewWriter(w)
	t := tar.NewWriter(g)
	for _, f := range all {
		h := &tar.Header{Name: f.name, Mode: int64(f.mode), Size: int64(len(f.content)), ModTime: first(),
			Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.content); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), g.Close())
}
