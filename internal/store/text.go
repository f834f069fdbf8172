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
	"clbwatch/internal/state"
)

// window bounds the memory of compressing and of reading back, in bytes: the library's default takes 45 MB.
const window = 1 << 20

// openText returns the text of a snapshot. It is checked against its name while it is read: the error comes
// with the last Read.
func openText(ctx context.Context, b bucket, key, sha string, size int64) (io.ReadCloser, error) {
	file, err := b.open(ctx, key, size)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", key, err)
	}
	sum := sha256.New()
	stored := io.TeeReader(io.LimitReader(file, size), sum)
	text, err := unpack(stored)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("snapshot %s: %w", key, err), file.Close())
	}
	return &snapshotText{b: b, key: key, want: sha, file: file, stored: stored, sum: sum, text: text}, nil
}

// unpack reads compressed text in little memory.
func unpack(stored io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(stored, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(window))
}

// pack compresses text in little memory.
func pack(to io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(window))
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
		return n, advice.Add(fmt.Errorf("snapshot %s: %w: %w", t.key, state.ErrDamaged, err), repair)
	}
	if _, err := io.Copy(io.Discard, t.stored); err != nil {
		return n, fmt.Errorf("snapshot %s: %w", t.key, err)
	}
	if hex.EncodeToString(t.sum.Sum(nil)) != t.want {
		return n, advice.Add(fmt.Errorf("snapshot %s: %w: its content is not what its name says", t.key,
			state.ErrDamaged), repair)
	}
	return n, io.EOF
}

func (t *snapshotText) Close() error {
	t.text.Close()
	return t.file.Close()
}

// createText starts a snapshot in a temporary file.
func createText(ctx context.Context, b bucket) (*snapshotWriter, error) {
	file, err := b.temp()
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	w := &snapshotWriter{ctx: ctx, b: b, file: file, sum: sha256.New()}
	if w.text, err = pack(io.MultiWriter(file, w.sum)); err != nil {
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
func (w *snapshotWriter) Commit() (state.Blob, error) {
	if err := w.text.Close(); err != nil {
		return state.Blob{}, err
	}
	size, err := w.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return state.Blob{}, err
	}
	// The tag keeps the name from being one of long ago, which Collect may be about to delete.
	blob := state.Blob{SHA256: hex.EncodeToString(w.sum.Sum(nil)), Tag: rand.Text(), Bytes: size}
	if err := w.b.adopt(w.ctx, textKey(blob.SHA256, blob.Tag), w.file); err != nil {
		return state.Blob{}, err
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
