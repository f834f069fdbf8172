package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"clbwatch/internal/advice"
	"clbwatch/internal/state"
)

const (
	// maxSegment bounds the stored bytes of a segment, which are held in memory: 16 MB of text take about 2
	// MB.
	maxSegment = 16 << 20
	// sumDigits is how many digits of the SHA-256 of its stored bytes a segment's name begins with.
	sumDigits = 20
	// tagLetters is how many letters of a random text follow them, so that no name is one of long ago, which
	// Collect may be about to delete.
	tagLetters = 6
)

func segmentKey(s state.Segment) string {
	return fmt.Sprintf("%s%s/%06d-%s.jsonl.zst", historyPrefix, s.Day, s.N, s.Name)
}

// OpenSegment returns the text of a segment of history, whose content is what its name says.
func (p *Place) OpenSegment(ctx context.Context, s state.Segment) (io.ReadCloser, error) {
	key := segmentKey(s)
	stored, err := p.b.get(ctx, key, min(s.Bytes, maxSegment))
	if errors.Is(err, errTooLarge) {
		err = fmt.Errorf("%w: %w", state.ErrDamaged, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if sum := sha256.Sum256(stored); !strings.HasPrefix(s.Name, hex.EncodeToString(sum[:])[:sumDigits]+"-") {
		err := fmt.Errorf("%s: %w: its content is not what its name says", key, state.ErrDamaged)
		return nil, advice.Add(err, repair)
	}
	text, err := unpack(bytes.NewReader(stored))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, state.ErrDamaged, err)
	}
	return text.IOReadCloser(), nil
}

// CreateSegment stores what write writes as the nth segment of a day.
func (p *Place) CreateSegment(ctx context.Context, day string, n int, write func(io.Writer) error) (
	state.Segment, error) {
	s := state.Segment{Day: day, N: n}
	var stored bytes.Buffer
	text, err := pack(&stored)
	if err != nil {
		return s, err
	}
	counted := &countingWriter{to: text}
	if err := errors.Join(write(counted), text.Close()); err != nil {
		return s, err
	}
	if stored.Len() > maxSegment {
		return s, fmt.Errorf("a segment of history has %d bytes, at most %d are allowed",
			stored.Len(), maxSegment)
	}
	sum := sha256.Sum256(stored.Bytes())
	s.Name = hex.EncodeToString(sum[:])[:sumDigits] + "-" + rand.Text()[:tagLetters]
	s.Bytes, s.Text = int64(stored.Len()), counted.n
	there, err := p.once(ctx, segmentKey(s), stored.Bytes(), maxSegment)
	if err == nil && !bytes.Equal(there, stored.Bytes()) {
		err = fmt.Errorf("%s: %w: something else is found there after writing it",
			segmentKey(s), state.ErrDamaged)
	}
	return s, err
}

// countingWriter counts what goes through it.
type countingWriter struct {
	to *zstd.Encoder
	n  int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.n += int64(n)
	return n, err
}
