package store

import (
	"context"
	"io"

	"clbwatch/internal/watch"
)

// OpenSnapshot returns the text of a snapshot.
func (s *Store) OpenSnapshot(ctx context.Context, b watch.Blob) (io.ReadCloser, error) {
	return openText(ctx, s.b, snapKey(b), b.SHA256, b.Bytes)
}

// CreateSnapshot starts a snapshot in a temporary file.
func (s *Store) CreateSnapshot(ctx context.Context) (watch.SnapshotWriter, error) {
	w, err := createText(ctx, s.b)
	if err != nil {
		return nil, err
	}
	return oldWriter{w}, nil
}

type oldWriter struct{ *snapshotWriter }

// Commit stores what was written under the name of its content.
func (w oldWriter) Commit() (watch.Blob, error) {
	b, err := w.snapshotWriter.Commit()
	return watch.Blob(b), err
}
