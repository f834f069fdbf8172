package cli

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"clbwatch/internal/page"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// output is the name of a file that means standard output.
const output = "-"

// pageFile is the file that a page is written to: where a name leads, if there is a file or nothing yet.
func pageFile(name string) (string, error) {
	if name == output {
		return name, nil
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, err = os.Stat(filepath.Dir(name))
	case err == nil && !info.Mode().IsRegular():
		err = errors.New("it is not a file; for standard output, write --html -")
	case err == nil:
		name, err = filepath.EvalSymlinks(name)
	}
	if err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return name, nil
}

// page writes a report as a page, and says what it has written.
func (p *Program) page(file string, r report.Report, zone *time.Location) error {
	var b bytes.Buffer
	if err := page.Write(&b, r, zone); err != nil {
		return err
	}
	if file == output {
		_, err := p.Stdout.Write(b.Bytes())
		return err
	}
	if err := replace(file, b.Bytes()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	says := fmt.Sprintf("wrote %s: %s, %s", text.Printable(file), text.Plural(len(r.Pools), "load balancer"),
		size(b.Len()))
	if !r.Whole() {
		says += "; not all could be read, the page says what and why"
	}
	_, err := fmt.Fprintln(p.Stdout, says)
	return err
}

// replace writes a file anew: beside its place first, so that nobody ever finds half of it.
func replace(file string, content []byte) error {
	beside := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+"."+rand.Text()[:8]+".tmp")
	//nolint:gosec // others may read it: a page is to be passed on
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(beside, file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside))
	}
	return nil
}

// size is a number of bytes in words.
func size(bytes int) string {
	if bytes < 1e6 {
		return fmt.Sprintf("%d kB", (bytes+999)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}
