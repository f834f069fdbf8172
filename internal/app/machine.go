package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/watch"
)

// sleep waits for d. If ctx ends first, it returns its error at once.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// spool returns room for readings: the first few MB in memory, the rest in a temporary file without a name,
// which is gone when it is closed, or when the process ends.
func spool() (watch.Spool, error) { return &overflow{create: tempFile}, nil }

// inMemory is how many bytes of a spool are in memory, so that most ticks need no file: where /tmp is full or
// missing they do their job all the same.
const inMemory = 4 << 20

// overflow is a spool that begins in memory.
type overflow struct {
	create func() (*os.File, error)
	head   []byte
	file   *os.File // what does not fit into head; nil until there is some
	size   int64    // of what is in the file
}

// Write appends to the spool. What was begun in memory ends there.
func (o *overflow) Write(p []byte) (int, error) {
	if o.file == nil && len(o.head)+len(p) <= inMemory {
		o.head = append(o.head, p...)
		return len(p), nil
	}
	if o.file == nil {
		f, err := o.create()
		if err != nil {
			return 0, advice.Add(fmt.Errorf("more than %d MB of readings need a temporary file: %w",
				inMemory>>20, err), doTemp)
		}
		o.file = f
	}
	n, err := o.file.WriteAt(p, o.size)
	o.size += int64(n)
	return n, err
}

// ReadAt reads what was written in one piece at an offset.
func (o *overflow) ReadAt(p []byte, off int64) (int, error) {
	if off < int64(len(o.head)) {
		n := copy(p, o.head[off:])
		if n < len(p) {
			return n, io.ErrUnexpectedEOF
		}
		return n, nil
	}
	if o.file == nil {
		return 0, io.EOF
	}
	return o.file.ReadAt(p, off-int64(len(o.head)))
}

// Close drops it.
func (o *overflow) Close() error {
	o.head = nil
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}

const doTemp = "see whether the folder for temporary files is there and has room; TMPDIR says which it is"

// probeFiles tries the place for temporary files.
func probeFiles() error {
	f, err := tempFile()
	if err == nil {
		_, err = f.Write(make([]byte, 1<<20))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return advice.Add(fmt.Errorf("no temporary files: %w; ticks with little news need none", err), doTemp)
	}
	return nil
}
