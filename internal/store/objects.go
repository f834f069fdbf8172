package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"clbwatch/internal/state"
)

var _ state.Objects = (*Place)(nil)

// WriteOnce stores content under the key of a silence or of its end, unless something is stored there, and
// returns what is there afterwards. See state.Objects.
func (p *Place) WriteOnce(ctx context.Context, key string, content []byte) (there []byte, err error) {
	if err := ofSilence(key); err != nil {
		return nil, err
	}
	there, err = p.once(ctx, key, content, state.MaxObject)
	return there, tooLarge(err)
}

// ReadObject returns what is stored under the key of a silence or of its end.
func (p *Place) ReadObject(ctx context.Context, key string) ([]byte, error) {
	if err := ofSilence(key); err != nil {
		return nil, err
	}
	content, err := p.b.get(ctx, key, state.MaxObject)
	return content, tooLarge(err)
}

// ListObjects lists everything below the prefix of silences, whatever it is.
func (p *Place) ListObjects(ctx context.Context, prefix string) ([]state.Stored, error) {
	if prefix != silencePrefix {
		return nil, fmt.Errorf("%q is not the prefix of silences", prefix)
	}
	objects, err := p.b.list(ctx, prefix, 0)
	all := make([]state.Stored, len(objects))
	for i, o := range objects {
		all[i] = state.Stored{Name: o.key, Modified: o.modified}
	}
	return all, err
}

// ofSilence is an error if a key is not one of a silence: it must not be one of anything else.
func ofSilence(key string) error {
	if _, _, ok := state.SilenceOf(key); !ok {
		return fmt.Errorf("%.80q is not the key of a silence", key)
	}
	return nil
}

// tooLarge says of what is too large that it is damaged: nothing of ours is.
func tooLarge(err error) error {
	if errors.Is(err, errTooLarge) {
		return fmt.Errorf("%w: %w", state.ErrDamaged, err)
	}
	return err
}

// CollectRoot deletes what people asked for and is too old to matter: silences, and the marks of requests.
// Both lie at the root of the state: Collect calls this, and where the state is divided into shards, so that
// nobody collects the root, whoever runs the first shard does (package app).
func (p *Place) CollectRoot(ctx context.Context) error {
	before := p.Now().Add(-keepFor)
	return errors.Join(p.collectSilences(ctx),
		p.collect(ctx, askedPrefix, func(o object) bool { return !o.modified.Before(before) }))
}

// collectSilences deletes silences, with their ends, that are too old to be active or listed. No number may
// be used twice, and whoever makes a silence takes the number after the last one listed. So the last number
// stays, and because listings lag behind, it is the last of those that are a day old.
func (p *Place) collectSilences(ctx context.Context) error {
	objects, err := p.b.list(ctx, silencePrefix, 0)
	if err != nil {
		return err
	}
	written := make(map[int64]time.Time) // of the end, if only that is listed
	for _, o := range objects {
		n, end, ok := state.SilenceOf(o.key)
		if _, both := written[n]; ok && !(end && both) {
			written[n] = o.modified
		}
	}
	now, last := p.Now(), int64(0)
	for n, at := range written {
		if now.Sub(at) >= keepFor {
			last = max(last, n)
		}
	}
	var old []int64
	for n, at := range written {
		if n < last && now.Sub(at) > keepSilences {
			old = append(old, n)
		}
	}
	slices.Sort(old)
	for _, n := range old {
		// If we stop within this, the end is left, and goes the next time.
		if err := p.b.remove(ctx, state.SilenceKeys(n)...); err != nil {
			return err
		}
	}
	return nil
}
