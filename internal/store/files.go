package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tempDir holds files that are being written. It is beside the others, because link(2) stays inside a file
// system.
const tempDir = "tmp"

// files is a bucket in a folder.
type files struct {
	dir string
	now func() time.Time
}

func (f files) path(key string) string { return filepath.Join(f.dir, filepath.FromSlash(key)) }

func (f files) get(ctx context.Context, key string, limit int64) ([]byte, error) {
	r, err := f.open(ctx, key, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only read
	b, err := readLimited(r, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path(key), err)
	}
	return b, nil
}

func (f files) open(_ context.Context, key string, _ int64) (io.ReadCloser, error) {
	r, err := os.Open(f.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", errAbsent, f.path(key))
	}
	return r, err
}

func (files) forget(string) {} // there is only the one copy

func (f files) create(ctx context.Context, key string, content []byte) error {
	file, err := f.temp()
	if err != nil {
		return err
	}
	defer func() {
		_ = file.Close()           // link synced it
		_ = os.Remove(file.Name()) // sweep deletes what is left over
	}()
	if _, err := file.Write(content); err != nil {
		return err
	}
	return f.link(ctx, key, file)
}

func (f files) adopt(ctx context.Context, key string, file *os.File) error {
	return f.link(ctx, key, file)
}

// link makes a temporary file appear under its key, whole and durable, or returns errExists.
func (f files) link(_ context.Context, key string, file *os.File) error {
	if err := file.Sync(); err != nil {
		return err
	}
	// If we stop here, the temporary file is left over and nobody looks at it.
	if err := os.MkdirAll(filepath.Dir(f.path(key)), 0o700); err != nil {
		return err
	}
	err := os.Link(file.Name(), f.path(key))
	if errors.Is(err, fs.ErrExist) && links(file) < 2 { // with 2, NFS did it and lost the answer
		return fmt.Errorf("%w: %s", errExists, f.path(key))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return f.syncDir(key)
}

// syncDir makes a new name durable.
func (f files) syncDir(key string) error {
	return syncFolder(filepath.Dir(f.path(key)))
}

func (f files) list(_ context.Context, prefix string, limit int) ([]object, error) {
	objects, err := f.below(prefix, limit)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(objects, func(a, b object) int { return cmp.Compare(a.key, b.key) })
	return objects, nil
}

// below lists a folder and those in it. The folder itself may be absent.
func (f files) below(prefix string, limit int) ([]object, error) {
	entries, err := os.ReadDir(f.path(prefix)) // by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	objects := make([]object, 0, len(entries))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // an NFS client keeps a deleted file that is still open as .nfs…
		}
		key := path.Join(prefix, e.Name())
		if e.IsDir() {
			more, err := f.below(key, 0)
			if err != nil {
				return nil, err
			}
			objects = append(objects, more...)
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // another run collected it
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, object{key, info.ModTime()})
		if len(objects) == limit {
			break
		}
	}
	return objects, nil
}

func (f files) remove(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := os.Remove(f.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if dir := path.Dir(key); strings.Contains(dir, "/") { // a day of the history
			_ = os.Remove(f.path(dir)) // if nothing is left in it
		}
	}
	return nil
}

func (files) suits(context.Context) error { return nil }

func (f files) clock() time.Time { return f.now().Round(0).UTC() }

func (f files) temp() (*os.File, error) {
	dir := f.path(tempDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return os.CreateTemp(dir, "new-*")
}

// sweep deletes temporary files that killed runs left over.
func (f files) sweep(ctx context.Context) error {
	left, err := f.list(ctx, tempDir, 0)
	if err != nil {
		return err
	}
	left = slices.DeleteFunc(left, func(o object) bool { return f.now().Sub(o.modified) < keepFor })
	for _, o := range left {
		if err := f.remove(ctx, o.key); err != nil {
			return err
		}
	}
	return nil
}
