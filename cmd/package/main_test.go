package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
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

func TestPackHoldsOneExecutableMain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "built"), filepath.Join(dir, "new", "function.zip")
	want := program(t, nil)
	if err := os.WriteFile(in, want, 0o600); err != nil {
		t.Fatal(err)
	}

	if err := pack(in, out); err != nil {
		t.Fatal(err)
	}

	z, err := zip.OpenReader(out)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if len(z.File) != 1 || z.File[0].Name != "main" || z.File[0].Mode() != 0o755 {
		t.Fatalf("zip holds %d entries, the first %q with mode %v; want only main with mode 0755", len(z.File),
			z.File[0].Name, z.File[0].Mode())
	}
	f, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("main holds %x, %v; want %x", got, err, want)
	}
}

func TestPackIsReproducible(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var zips [2][]byte
	for i, built := range []struct {
		name string
		mode os.FileMode
		at   time.Time
	}{
		{"here", 0o755, time.Date(2026, 11, 23, 4, 53, 36, 0, time.UTC)},
		{"there", 0o600, time.Date(2001, 2, 3, 4, 5, 6, 0, time.Local)},
	} {
		in, out := filepath.Join(dir, built.name), filepath.Join(dir, built.name+".zip")
		if err := os.WriteFile(in, program(t, nil), built.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(in, built.at, built.at); err != nil {
			t.Fatal(err)
		}
		if err := pack(in, out); err != nil {
			t.Fatal(err)
		}
		var err error
		if zips[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(zips[0], zips[1]) {
		t.Errorf("two zips of the same program differ:\n%x\n%x", zips[0], zips[1])
	}
}

func TestPackRefusesWhatSCFCannotStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   []byte
		want string // in the error
	}{
		{"empty file", nil, "not a Linux program"},
		{"script", []byte("#!/bin/sh\nexit 0\n"), "not a Linux program"},
		{"cut short", program(t, nil)[:70], "not a Linux program"},
		{"for another system", program(t, func(h *elf.Header64,
			_ *elf.Prog64) {
			h.Ident[elf.EI_OSABI] = byte(elf.ELFOSABI_FREEBSD)
		}), "ELFOSABI_FREEBSD"},
		{"object file", program(t, func(h *elf.Header64, _ *elf.Prog64) { h.Type = uint16(elf.ET_REL) }), "ET_REL"},
		{"for arm64", program(t, func(h *elf.Header64, _ *elf.Prog64) { h.Machine = uint16(elf.EM_AARCH64) }),
			"EM_AARCH64"},
		{"dynamically linked", program(t, func(_ *elf.Header64, p *elf.Prog64) { p.Type = uint32(elf.PT_INTERP) }),
			"dynamically linked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			in, out := filepath.Join(dir, "built"), filepath.Join(dir, "function.zip")
			if err := os.WriteFile(in, tt.in, 0o755); err != nil {
				t.Fatal(err)
			}

			err := pack(in, out)

			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "make build") {
				t.Errorf("pack(%s) = %v; want an error with %q that says how to build it", tt.name, err, tt.want)
			}
			if _, err := os.Stat(out); !os.IsNotExist(err) {
				t.Errorf("pack(%s) left a zip behind (stat: %v)", tt.name, err)
			}
		})
	}
}
