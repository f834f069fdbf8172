package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program is the smallest file that debug/elf takes for a static linux/amd64 program; change makes another of
// it.
func program(t *testing.T, change func(*elf.Header64, *elf.Prog64)) []byte {
	t.Helper()
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB),
			byte(elf.EV_CURRENT)},
		Type:      uint16(elf.ET_EXEC),
		Machine:   uint16(elf.EM_X86_64),
		Version:   uint32(elf.EV_CURRENT),
		Phoff:     64, // right after this header
		Ehsize:    64,
		Phentsize: 56,
		Phnum:     1,
	}
	p := elf.Prog64{Type: uint32(elf.PT_LOAD)}
	if change != nil {
		change(&h, &p)
	}
	var b bytes.Buffer
	for _, part := range []any{h, p} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// written is what an archive holds: for each file its mode and content.
func written(t *testing.T, archive string) (all []string) {
	t.Helper()
	b, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	note := func(name string, mode os.FileMode, r io.Reader) {
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %v %x", name, mode, content))
	}
	if strings.HasSuffix(archive, ".zip") {
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			note(f.Name, f.Mode(), r)
		}
		return all
	}
	g, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(g); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		note(h.Name, os.FileMode(h.Mode), r)
	}
}

func TestPackHoldsAnExecutableProgramAndLicences(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"main": program(t, nil), "clbwatch": []byte("any program"), "LICENSE": []byte("terms"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ archive, program, want string }{
		{"function.zip", "main", fmt.Sprintf("main -rwxr-xr-x %x", program(t, nil))},
		{"linux.tar.gz", "clbwatch", fmt.Sprintf("clbwatch -rwxr-xr-x %x", "any program")},
		{"windows.zip", "clbwatch", fmt.Sprintf("clbwatch -rwxr-xr-x %x", "any program")},
	} {
		out := filepath.Join(dir, "new", tt.archive)
		if err := pack(out, filepath.Join(dir, tt.program), filepath.Join(dir, "LICENSE")); err != nil {
			t.Fatal(err)
		}
		want := []string{tt.want, fmt.Sprintf("LICENSE -rw-r--r-- %x", "terms")}
		if got := written(t, out); !slices.Equal(got, want) {
			t.Errorf("%s holds %q, want %q", tt.archive, got, want)
		}
	}
	if err := pack(filepath.Join(dir, "a.rar"), filepath.Join(dir, "clbwatch")); err == nil {
		t.Error("packed a .rar")
	}
}

func TestPackIsReproducible(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{".zip", ".tar.gz"} {
		dir := t.TempDir()
		var archives [2][]byte
		for i, built := range []struct {
			folder string
			mode   os.FileMode
			at     time.Time
		}{
			{"here", 0o755, time.Date(2026, 11, 23, 4, 53, 36, 0, time.UTC)},
			{"there", 0o600, time.Date(2001, 2, 3, 4, 5, 6, 0, time.Local)},
		} {
			in, out := filepath.Join(dir, built.folder, "main"), filepath.Join(dir, built.folder+suffix)
			if err := os.Mkdir(filepath.Dir(in), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(in, program(t, nil), built.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(in, built.at, built.at); err != nil {
				t.Fatal(err)
			}
			if err := pack(out, in, in); err != nil {
				t.Fatal(err)
			}
			var err error
			if archives[i], err = os.ReadFile(out); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(archives[0], archives[1]) {
			t.Errorf("two archives of the same program differ:\n%x\n%x", archives[0], archives[1])
		}
	}
}

func TestPackRefusesWhatSCFCannotStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   []byte
		want string // in the error
	}{
		{"empty file", nil, "not built for Linux on amd64"},
		{"script", []byte("#!/bin/sh\nexit 0\n"), "not built for Linux on amd64"},
		{"cut short", program(t, nil)[:70], "not built for Linux on amd64"},
		{"for another system", program(t, func(h *elf.Header64,
			_ *elf.Prog64) {
			h.Ident[elf.EI_OSABI] = byte(elf.ELFOSABI_FREEBSD)
		}), "not built for Linux on amd64"},
		{"object file", program(t, func(h *elf.Header64, _ *elf.Prog64) { h.Type = uint16(elf.ET_REL) }), "not built for Linux on amd64"},
		{"for arm64", program(t, func(h *elf.Header64, _ *elf.Prog64) { h.Machine = uint16(elf.EM_AARCH64) }),
			"not built for Linux on amd64"},
		{"dynamically linked", program(t, func(_ *elf.Header64, p *elf.Prog64) { p.Type = uint32(elf.PT_INTERP) }),
			"dynamically linked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			in, out := filepath.Join(dir, "main"), filepath.Join(dir, "function.zip")
			if err := os.WriteFile(in, tt.in, 0o755); err != nil {
				t.Fatal(err)
			}

			err := pack(out, in)

			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "make build") {
				t.Errorf("pack(%s) = %v; want an error with %q that says how to build it", tt.name, err, tt.want)
			}
			if _, err := os.Stat(out); !os.IsNotExist(err) {
				t.Errorf("pack(%s) left a zip behind (stat: %v)", tt.name, err)
			}
		})
	}
}
