// Package store keeps heads, snapshots and history: numbered heads, each written once and never replaced, and
// all else named by its content or once, so that a reader never meets a half-written or mixed state. It
// refuses to guess: state that is missing where it must be, damaged or of another kind is an error.
package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/state"
)

// Place is a state.Store on a bucket: files (OpenFiles) or COS (OpenCOS), with the same algorithm for both.
type Place struct{ b bucket }

var _ state.Store = (*Place)(nil)

// OpenFiles returns the state in a folder, which the first write makes if it is not there. Several processes
// may use it at once, also over NFS: it relies on link(2) and on no lock. now is the local clock, which the
// ages of files are by, too.
func OpenFiles(dir string, now func() time.Time) *Place { return &Place{files{dir, now}} }

// OpenCOS returns the state in a bucket. A key that must be new is written with x-cos-forbid-overwrite, which
// has no effect in a bucket that ever had versioning: such a bucket is refused before anything is stored in
// it.
func OpenCOS(c COSConfig) (*Place, error) {
	b, err := newCOSBucket(c)
	if err != nil {
		return nil, err
	}
	return &Place{b}, nil
}

// repair is what can be done about state that is damaged or gone.
const repair = "`clbwatch state` shows what is there and what can be done; see docs/operations.md"

// Now is the time that all who use the state share, in UTC.
func (p *Place) Now() time.Time { return p.b.clock() }

// Load returns the newest head, or nil if nothing was ever committed here.
func (p *Place) Load(ctx context.Context) (*state.Head, error) {
	n, err := p.listed(ctx)
	if err != nil || n == 0 {
		return nil, err
	}
	head, damage := p.Head(ctx, n)
	if errors.Is(damage, errAbsent) { // deleted meanwhile, or not there yet
		if n, err = p.listed(ctx); err != nil || n == 0 {
			return nil, err
		}
		head, damage = p.Head(ctx, n)
	}
	// A listing may lag behind: go on to the newest. A damaged head matters only if it is that: Repair writes
	// another.
	for range maxProbe {
		if damage != nil && !errors.Is(damage, state.ErrDamaged) {
			return nil, damage
		}
		next, err := p.Head(ctx, n+1)
		if errors.Is(err, errAbsent) {
			return head, damage
		}
		head, damage, n = next, err, n+1
	}
	return nil, fmt.Errorf("the listing of %s is more than %d heads behind", headPrefix, maxProbe)
}

// listed returns the number of the newest head by the listing, or 0 if there is none and need not be.
func (p *Place) listed(ctx context.Context) (int64, error) {
	newest, err := p.b.list(ctx, headPrefix, 1)
	if err != nil {
		return 0, err
	}
	if len(newest) == 0 {
		return 0, p.mustBeNew(ctx)
	}
	return headNumber(newest[0].key)
}

// mustBeNew is an error if it is wrong that there are no heads.
func (p *Place) mustBeNew(ctx context.Context) error {
	switch _, err := p.b.get(ctx, initKey, state.MaxHead); {
	case errors.Is(err, errAbsent):
		return p.b.suits(ctx)
	case err != nil:
		return err
	}
	return advice.Add(fmt.Errorf("%s says that there was state, but no head is found: "+
		"it was deleted, or the listing is stale", initKey), repair)
}

// Head returns head n. A head that is not what was stored is state.ErrDamaged.
func (p *Place) Head(ctx context.Context, n int64) (*state.Head, error) {
	b, err := p.b.get(ctx, headKey(n), state.MaxHead)
	var h *state.Head
	switch {
	case errors.Is(err, errTooLarge):
		err = fmt.Errorf("%w: %w", state.ErrDamaged, err)
	case err != nil:
		return nil, err
	default:
		h, err = state.DecodeHead(n, b)
	}
	if err != nil {
		return nil, advice.Add(fmt.Errorf("%s: %w", headKey(n), err), cmp.Or(advice.Of(err), repair))
	}
	return h, nil
}

// Commit makes h the newest head. Whatever the write answers, what counts is whose head is found there
// afterwards.
func (p *Place) Commit(ctx context.Context, h *state.Head) error {
	content, err := h.Encode()
	if err != nil {
		return err
	}
	there, err := p.once(ctx, headKey(h.N), content, state.MaxHead)
	if err != nil {
		return err
	}
	if !bytes.Equal(there, content) {
		other, err := state.DecodeHead(h.N, there)
		switch {
		case err != nil:
			return advice.Add(fmt.Errorf("read back: %s: %w", headKey(h.N), err), repair)
		case other.Writer != h.Writer:
			return state.ErrConflict
		}
	}
	if h.N > 2 { // 2, because a run may stop before it wrote INIT; Collect sees to it once more
		return nil
	}
	return p.writeInit(ctx)
}

// once writes content under a key that nobody may have used, and returns what is stored there afterwards,
// whoever wrote it. limit bounds that.
func (p *Place) once(ctx context.Context, key string, content []byte, limit int64) (there []byte, err error) {
	// The second try is for a write that was lost: its answer said so, or nothing, and nothing is found.
	for range 2 {
		wrote := p.b.create(ctx, key, content)
		if there, err = p.b.get(ctx, key, limit); err == nil {
			return there, nil
		}
		if !errors.Is(err, errAbsent) {
			return nil, errors.Join(wrote, fmt.Errorf("read back: %w", err))
		}
		err = errors.Join(wrote, fmt.Errorf("%s is not found after writing it: %w", key, errAbsent))
	}
	return nil, err
}

// writeInit writes INIT, if it is not there.
func (p *Place) writeInit(ctx context.Context) error {
	const says = "clbwatch: while this exists, missing state is an error, not a fresh start\n"
	err := p.b.create(ctx, initKey, []byte(says))
	if err != nil && !errors.Is(err, errExists) {
		return fmt.Errorf("the head is committed, but %s is not: %w", initKey, err)
	}
	return nil
}

// OpenSnapshot returns the text of a snapshot. It is checked against its name while it is read: the error
// comes with the last Read.
func (p *Place) OpenSnapshot(ctx context.Context, b state.Blob) (io.ReadCloser, error) {
	return openText(ctx, p.b, textKey(b.SHA256, b.Tag), b.SHA256, b.Bytes)
}

// CreateSnapshot starts a snapshot in a temporary file.
func (p *Place) CreateSnapshot(ctx context.Context) (state.SnapshotWriter, error) {
	w, err := createText(ctx, p.b)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// happening is what a name of Once may be. It is a key, and must not be one of anything else.
var happening = regexp.MustCompile(`^(` + troublePrefix + `|` + askedPrefix + `)[0-9A-Za-z-]{1,80}$`)

// Once reports whether this call is the first ever with this name.
func (p *Place) Once(ctx context.Context, name string) (first bool, err error) {
	if !happening.MatchString(name) {
		return false, fmt.Errorf("%q is not a name for what happens once", name)
	}
	mine := []byte(rand.Text())
	there, err := p.once(ctx, name, mine, 1<<10)
	return bytes.Equal(there, mine), err
}

// Check tries what the state relies on: a write, the refusal of a second one under the same key, reading
// back, a listing, and the newest snapshot, to its end. What it writes it deletes.
func (p *Place) Check(ctx context.Context) error {
	key := checkPrefix + rand.Text()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
		defer cancel()
		_ = p.b.remove(ctx, key) // Collect sees to it otherwise
	}()
	if err := p.b.create(ctx, key, []byte("first")); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	second := p.b.create(ctx, key, []byte("second"))
	content, err := p.b.get(ctx, key, 1<<10)
	unsuited := p.b.suits(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read back: %w", err)
	case second == nil || string(content) != "first":
		const do = "two runs at once could overwrite each other's state here; use another place"
		err = errors.Join(errors.New("a second write under the same key is not refused"), unsuited)
		return advice.Add(err, cmp.Or(advice.Of(unsuited), do))
	case !errors.Is(second, errExists):
		return fmt.Errorf("write again: %w", second)
	case unsuited != nil:
		return unsuited
	}
	if _, err := p.b.list(ctx, checkPrefix, 0); err != nil { // it may lag behind, and need not show the key
		return fmt.Errorf("list: %w", err)
	}
	return p.checkSnapshot(ctx)
}

func (p *Place) checkSnapshot(ctx context.Context) error {
	head, err := p.Load(ctx)
	if err != nil || head == nil || head.Snapshot == nil {
		return err
	}
	r, err := p.OpenSnapshot(ctx, *head.Snapshot)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}
