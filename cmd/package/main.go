// Command package puts the built function into the zip that SCF takes: one entry, main, executable, the same
// bytes for the same binary. It refuses a binary that SCF could not start, and builds and uploads nothing.
package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: package BINARY ZIP")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

// pack writes the zip file out with the binary in. Nothing is written if SCF could not start the binary.
func pack(in, out string) error {
	binary, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	if err := startable(binary); err != nil {
		return fmt.Errorf("%s: %w; build it with CGO_ENABLED=0 GOOS=linux GOARCH=amd64 (make build)", in, err)
	}
	var b bytes.Buffer
	if err := archive(&b, binary); err != nil {
		return fmt.Errorf("zip %s: %w", in, err)
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

// archive writes the zip. What a build machine would leave in it, such as the time and the mode of the file,
// is fixed.
func archive(w io.Writer, binary []byte) error {
	h := &zip.FileHeader{
		Name:     "main", // the handler of serverless.yml
		Method:   zip.Deflate,
		Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), // the first time that a zip can hold
	}
	h.SetMode(0o755) // without the executable bit SCF cannot start it
	z := zip.NewWriter(w)
	entry, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	if _, err := entry.Write(binary); err != nil {
		return err
	}
	return z.Close()
}
