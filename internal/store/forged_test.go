package store

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"clbwatch/internal/state"
)

// TestForgedHeadReachesNoOtherFile: a head that somebody else put into the bucket names a snapshot by a path,
// and nothing outside of the cache is read, replaced or deleted.
func TestForgedHeadReachesNoOtherFile(t *testing.T) {
	t.Parallel()
	bucket, open := sandboxPlace(t)
	home := t.TempDir()
	s := open(filepath.Join(home, "cache"))
	mine := filepath.Join(home, "mine.zst")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	content := []byte("theirs")
	sum := sha256.Sum256(content)
	blob := state.Blob{SHA256: hex.EncodeToString(sum[:]), Tag: "x/../../../../mine", Bytes: int64(len(content))}
	forged, err := (&state.Head{Schema: state.Schema, N: 1, Writer: "they", Snapshot: &blob}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	bucket.Put("watch/"+headKey(1), forged)
	for _, key := range []string{"watch/" + textKey(blob.SHA256, blob.Tag), "mine.zst", "watch/mine.zst"} {
		// COS may clean a key, or not
		bucket.Put(key, content)
	}
	h, err := s.Load(t.Context())
	if err == nil {
		_ = readAll(t.Context(), s, *h.Snapshot)
		t.Error("a head whose snapshot is named by a path is taken")
	}
	if b, err := os.ReadFile(mine); string(b) != "mine" {
		t.Errorf("a file of ours is now %q, %v", b, err)
	}
}
