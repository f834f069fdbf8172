package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"clbwatch/internal/state"
)

// TestSnapshotWithALargeWindowIsRefused: one that somebody else put there, under the right name, whose
// frame asks for a window of its own.
func TestSnapshotWithALargeWindowIsRefused(t *testing.T) {
	t.Parallel()
	for size, refused := range map[int]bool{window: false, 64 << 20: true} {
		var stored bytes.Buffer
		w, err := zstd.NewWriter(&stored, zstd.WithWindowSize(size), zstd.WithSingleSegment(false))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := w.Write(bytes.Repeat([]byte("a line\n"), size/7)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(stored.Bytes())
		blob := state.Blob{SHA256: hex.EncodeToString(sum[:]), Tag: "T", Bytes: int64(stored.Len())}
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "snap"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, textKey(blob.SHA256, blob.Tag)), stored.Bytes(),
			0o600); err != nil {
			t.Fatal(err)
		}
		if err := readAll(t.Context(), OpenFiles(dir, time.Now), blob); (err != nil) != refused || refused &&
			!strings.Contains(err.Error(), "window") {
			t.Errorf("a snapshot with a window of %d bytes: %v, want it refused: %v", size, err, refused)
		}
	}
}
