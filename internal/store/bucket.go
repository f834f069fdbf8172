package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/state"
)

const (
	initKey       = "INIT"     // written after the first head; while it exists, missing heads are lost heads
	headPrefix    = "head/"    // + MaxInt64-n, 20 digits, so that the newest sorts first; + ".json"
	snapPrefix    = "snap/"    // + sha256 of the stored bytes, a tag of its own, and ".zst"
	historyPrefix = "history/" // + day, "/", number, "-", a name, and ".jsonl.zst"
	troublePrefix = "trouble/" // + what happened once
	askedPrefix   = "asked/"   // + what somebody asked for once
	checkPrefix   = "check/"   // what Check writes
	// + number, of what was made, and + number and ".end"; at the root of the state only, not with a shard
	silencePrefix = state.SilencePrefix

	// maxProbe bounds how many heads beyond a listing are looked for: a listing so stale is no listing.
	maxProbe = 1000

	// checkTimeout is how long Check takes at most to clean up.
	checkTimeout = 5 * time.Second

	// Collect keeps what is younger, and the newest heads whatever their age. A number must not be used again
	// while a run that read the old head may still be alive: keeping a few heads only lost acknowledged
	// commits (docs/design.md).
	keepFor   = 24 * time.Hour
	keepHeads = 100

	// keepSilences is as long as a silence may last, and a day, for which it is listed after its end.
	keepSilences = incident.MaxSilence + 24*time.Hour
)

// bucket is the little that a place for state must be able to do. Keys are slash-separated paths.
type bucket interface {
	// get returns the content, or errAbsent. It returns errTooLarge instead of more than limit bytes.
	get(ctx context.Context, key string, limit int64) ([]byte, error)
	// open streams the content of a snapshot of this size, or returns errAbsent.
	open(ctx context.Context, key string, size int64) (io.ReadCloser, error)
	// forget drops a local copy, if there is one, that turned out to be damaged.
	forget(key string)
	// create stores content under a key that nobody has used, or returns errExists. Any other error leaves
	// open whether it is stored.
	create(ctx context.Context, key string, content []byte) error
	// adopt stores a file under a key that names its content and that nobody else uses.
	adopt(ctx context.Context, key string, file *os.File) error
	// list returns objects with this prefix, by key, at most limit of them if limit > 0. It may miss the
	// newest.
	list(ctx context.Context, prefix string, limit int) ([]object, error)
	// remove deletes keys; one that is absent is no error.
	remove(ctx context.Context, keys ...string) error
	// temp creates a file from which adopt can take content.
	temp() (*os.File, error)
	// sweep deletes temporary files that killed runs left over.
	sweep(ctx context.Context) error
	// suits is an error if create may overwrite here, so far as that can be asked.
	suits(ctx context.Context) error
	// clock is the time that all who use the bucket share, in UTC and without a monotonic reading.
	clock() time.Time
}

// object is one entry of a listing.
type object struct {
	key      string
	modified time.Time
}

var (
	errAbsent   = state.ErrAbsent
	errExists   = errors.New("object exists")
	errTooLarge = errors.New("object is too large")
)

func headKey(n int64) string { return fmt.Sprintf("%s%020d.json", headPrefix, math.MaxInt64-n) }

func headNumber(key string) (int64, error) {
	digits, ok := strings.CutSuffix(strings.TrimPrefix(key, headPrefix), ".json")
	inverted, err := strconv.ParseUint(digits, 10, 63)
	if !ok || err != nil || headKey(math.MaxInt64-int64(inverted)) != key {
		err := fmt.Errorf("%q is not the name of a head", key)
		return 0, advice.Add(err, "see whether something else writes here, and remove it")
	}
	return math.MaxInt64 - int64(inverted), nil
}

// textKey is the key of a text that is named by its content.
func textKey(sha256, tag string) string { return snapPrefix + sha256 + "-" + tag + ".zst" }

func readLimited(r io.Reader, limit int64) ([]byte, error) {
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, errTooLarge
	}
	return buf.Bytes(), nil
}
