package store

import (
	"context"
	"strconv"
	"strings"

	"clbwatch/internal/state"
)

var _ state.Inspector = (*Place)(nil)

// Heads lists the heads that are there, newest first. It may miss the newest.
func (p *Place) Heads(ctx context.Context) ([]state.Stored, error) {
	objects, err := p.b.list(ctx, headPrefix, 0)
	if err != nil {
		return nil, err
	}
	all := make([]state.Stored, len(objects))
	for i, o := range objects {
		n, err := headNumber(o.key)
		if err != nil {
			return nil, err
		}
		all[i] = state.Stored{N: n, Modified: o.modified}
	}
	return all, nil
}

// Segments lists the segments of history that are there, those that do not count among them.
func (p *Place) Segments(ctx context.Context) ([]state.Stored, error) {
	objects, err := p.b.list(ctx, historyPrefix, 0)
	if err != nil {
		return nil, err
	}
	var all []state.Stored
	for _, o := range objects {
		if s, ok := segmentOf(o.key); ok {
			all = append(all, state.Stored{Day: s.Day, N: int64(s.N), Name: s.Name, Modified: o.modified})
		}
	}
	return all, nil
}

// segmentOf is the segment that a key is of.
func segmentOf(key string) (s state.Segment, ok bool) {
	day, file, _ := strings.Cut(strings.TrimPrefix(key, historyPrefix), "/")
	n, name, _ := strings.Cut(strings.TrimSuffix(file, ".jsonl.zst"), "-")
	number, err := strconv.ParseUint(n, 10, 31)
	s = state.Segment{Day: day, N: int(number), Name: name}
	return s, err == nil && segmentKey(s) == key
}
