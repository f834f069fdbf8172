package deploy

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"clbwatch/internal/advice"
)

// Code is the program as SCF wants it.
type Code struct {
	sum string // tells it from other code: 16 hexadecimal digits
	// zip is made when it is needed, and once: packing takes longer than all else that is done here
	zip func() ([]byte, error)
}

const maxZip = 50 << 20 // bytes that SCF takes (https://cloud.tencent.com/document/product/583/11637)

// codeOf is the code of which content tells what it is.
func codeOf(content []byte, zip func() ([]byte, error)) Code {
	sum := sha256.Sum256(content)
	return Code{hex.EncodeToString(sum[:8]), sync.OnceValues(zip)}
}

// ReadZip reads a zip that `make package` or a release made.
func ReadZip(file string) (Code, error) {
	text, err := readUpTo(file, maxZip)
	if err != nil {
		return Code{}, err
	}
	z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return Code{}, fmt.Errorf("%s: %w", file, err)
	}
	for _, f := range z.File {
		if f.Name == handler && f.Mode()&0o111 != 0 {
			return codeOf(text, func() ([]byte, error) { return text, nil }), nil
		}
	}
	return Code{}, fmt.Errorf("%s: there is no program %s in it", file, handler)
}

func readUpTo(file string, most int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes", file, most)
	}
	return text, err
}

// FromProgram packs a program, which may be this one. It is an error if SCF could not start it.
func FromProgram(file string) (Code, error) {
	binary, err := readUpTo(file, 4*maxZip)
	if err != nil {
		return Code{}, err
	}
	if err := Startable(binary); err != nil {
		return Code{}, fmt.Errorf("%s: %w", file, err)
	}
	return codeOf(binary, func() ([]byte, error) {
		var packed bytes.Buffer
		if err := Pack(&packed, File{handler, 0o755, binary}); err != nil {
			return nil, fmt.Errorf("pack %s: %w", file, err)
		}
		return packed.Bytes(), nil
	}), nil
}

// Startable is nil for a static linux/amd64 program. A dynamic one is refused because SCF runs CentOS 7.6,
// whose C library is older than the one it would be linked with.
func Startable(binary []byte) error {
	f, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil || f.OSABI != elf.ELFOSABI_NONE && f.OSABI != elf.ELFOSABI_LINUX ||
		f.Machine != elf.EM_X86_64 {
		return errOtherMachine
	}
	switch f.Type {
	case elf.ET_EXEC:
	case elf.ET_DYN:
		return errLinked
	default:
		return errOtherMachine
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errLinked
		}
	}
	return nil
}

// File is one file of an archive.
type File struct {
	Name    string
	Mode    os.FileMode // with its executable bits, without which SCF cannot start a program
	Content []byte
}

// Pack writes a zip of files. What a machine would leave in it, such as times and owners, is fixed: the same
// files give the same bytes.
func Pack(w io.Writer, all ...File) error {
	z := zip.NewWriter(w)
	for _, f := range all {
		h := &zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: First()}
		h.SetMode(f.Mode)
		entry, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.Content); err != nil {
			return err
		}
	}
	return z.Close()
}

// First is the first time that a zip can hold.
func First() time.Time { return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) }

// errLinked is the error of a program that needs a C library.
var errLinked = advice.Add(errors.New("this program is dynamically linked, and SCF's C library is old"),
	"build it with make build/clbwatch")

// errOtherMachine is the error of a program that SCF cannot run.
var errOtherMachine = advice.Add(errors.New("this program is not built for Linux on amd64, as SCF is"),
	"give the function's zip of the same release with --zip clbwatch.zip")
