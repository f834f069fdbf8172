package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zstd"

	"clbwatch/internal/advice"
	"clbwatch/internal/watch"
)

// window bounds the memory of compressing and of reading back, in bytes: the library's default takes 45 MB.
const window = 1 << 20

// OpenSnapshot returns the text of a snapshot. It is checked against its name while it is read: the error comes with
// the last Read.
func (s *Store) OpenSnapshot(ctx context.Context, b watch.Blob) (io.ReadCloser, error) {
	key := snapKey(b)
	file, err := s.b.open(ctx, key, b.Bytes)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", key, err)
	}
	sum := sha256.New()
	stored := io.TeeReader(io.LimitReader(file, b.Bytes), sum)
	text, err := zstd.NewReader(stored, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("snapshot %s: %w", key, err), file.Close())
	}
	return &snapshotText{b: s.b, key: key, want: b.SHA256, file: file, stored: stored, sum: sum, text: text}, nil
}

type snapshotText struct {
	b         bucket
	key, want string
	file      io.Closer
	stored    io.Reader
	sum       hash.Hash
	text      *zstd.Decoder
}

func (t *snapshotText) Read(p []byte) (int, error) {
	n, err := t.read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		t.b.forget(t.key)
	}
	return n, err
}

func (t *snapshotText) read(p []byte) (int, error) {
	n, err := t.text.Read(p)
	if err == nil {
		return n, nil
	}
	if !errors.Is(err, io.EOF) {
		return n, advice.Add(fmt.Errorf("snapshot %s: %w", t.key, err), startOver)
	}
	if _, err := io.Copy(io.Discard, t.stored); err != nil {
		return n, fmt.Errorf("snapshot %s: %w", t.key, err)
	}
	if hex.EncodeToString(t.sum.Sum(nil)) != t.want {
		return n, advice.Add(fmt.Errorf("snapshot %s: its content is not what its name says", t.key), startOver)
	}
	return n, io.EOF
}

func (t *snapshotText) Close() error {
	t.text.Close()
	return t.file.Close()
}

// CreateSnapshot starts a snapshot in a temporary file.
func (s *Store) CreateSnapshot(ctx context.Context) (watch.SnapshotWriter, error) {
	file, err := s.b.temp()
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	w := &snapshotWriter{ctx: ctx, b: s.b, file: file, sum: sha256.New()}
	w.text, err = zstd.NewWriter(io.MultiWriter(file, w.sum), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(window))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create snapshot: %w", err), w.Close())
	}
	return w, nil
}

type snapshotWriter struct {
	ctx  context.Context //nolint:containedctx // a writer lives inside one call; io.Writer has no room for a context
	b    bucket
	file *os.File // nil after Close
	sum  hash.Hash
	text *zstd.Encoder
}

func (w *snapshotWriter) Write(p []byte) (int, error) { return w.text.Write(p) }

// Commit stores what was written under the name of its content.
func (w *snapshotWriter) Commit() (watch.Blob, error) {
	if err := w.text.Close(); err != nil {
		return watch.Blob{}, err
	}
	size, err := w.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return watch.Blob{}, err
	}
	// The tag keeps the name from being one of long ago, which Collect may be about to delete.
	blob := watch.Blob{SHA256: hex.EncodeToString(w.sum.Sum(nil)), Tag: rand.Text(), Bytes: size}
	if err := w.b.adopt(w.ctx, snapKey(blob), w.file); err != nil {
		return watch.Blob{}, err
	}
	return blob, nil
}

// Close drops the temporary file.
func (w *snapshotWriter) Close() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	if gone := os.Remove(w.file.Name()); !errors.Is(gone, fs.ErrNotExist) { // adopt may have moved it
		err = errors.Join(err, gone)
	}
	w.file = nil
	return err
}
