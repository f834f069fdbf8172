// Package store keeps heads and snapshots: numbered heads, each written once and never replaced, and snapshots named by
// their content, so that a reader never meets a half-written or mixed state. It refuses to guess: state that is
// missing where it must be, damaged or of another kind is an error.
package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/watch"
)

// maxHead bounds a stored head, in bytes. An outbox of 16 alerts of 1 MB, and 10,000 unreadable load balancers of 1 kB, are
// well inside.
const maxHead = 64 << 20

// Store is a watch.Store on a bucket: files (Files) or COS (COS), with the same algorithm for both.
type Store struct {
	b   bucket
	now func() time.Time
}

var _ watch.Store = (*Store)(nil)

// Load returns the newest head, or nil if nothing was ever committed here.
func (s *Store) Load(ctx context.Context) (*watch.Head, error) {
	head, err := s.listed(ctx)
	if errors.Is(err, errAbsent) { // deleted meanwhile, or not there yet
		head, err = s.listed(ctx)
	}
	if err != nil || head == nil {
		return nil, err
	}
	// A listing may lag behind: go on to the newest.
	for range maxProbe {
		next, err := s.head(ctx, head.N+1)
		if errors.Is(err, errAbsent) {
			return head, nil
		}
		if err != nil {
			return nil, err
		}
		head = next
	}
	return nil, fmt.Errorf("the listing of %s is more than %d heads behind", headPrefix, maxProbe)
}

// listed returns the newest head by the listing, or nil if there is none and need not be.
func (s *Store) listed(ctx context.Context) (*watch.Head, error) {
	newest, err := s.b.list(ctx, headPrefix, 1)
	if err != nil {
		return nil, err
	}
	if len(newest) == 0 {
		return nil, s.mustBeNew(ctx)
	}
	n, err := headNumber(newest[0].key)
	if err != nil {
		return nil, err
	}
	return s.head(ctx, n)
}

// mustBeNew says whether it is right that there are no heads.
func (s *Store) mustBeNew(ctx context.Context) error {
	switch _, err := s.b.get(ctx, initKey, maxHead); {
	case errors.Is(err, errAbsent):
		return s.b.suits(ctx)
	case err != nil:
		return err
	}
	return advice.Add(fmt.Errorf("%s says that there was state, but no head is found: it was deleted, or the listing is stale",
		initKey), startOver)
}

// Commit makes h the newest head. Whatever the write answers, what counts is whose head is found there afterwards.
func (s *Store) Commit(ctx context.Context, h *watch.Head) error {
	content, err := h.Encode()
	if err != nil {
		return err
	}
	if len(content) > maxHead {
		return fmt.Errorf("head %d has %d bytes, at most %d are allowed", h.N, len(content), maxHead)
	}
	// The second try is for a write that was lost: its answer said so, or nothing, and nothing is found.
	for range 2 {
		var there *watch.Head
		writeErr := s.b.create(ctx, headKey(h.N), content)
		if there, err = s.head(ctx, h.N); err == nil {
			if there.Writer != h.Writer {
				return watch.ErrConflict
			}
			return s.committed(ctx, h)
		}
		if !errors.Is(err, errAbsent) {
			return errors.Join(writeErr, fmt.Errorf("read back: %w", err))
		}
		err = errors.Join(writeErr, fmt.Errorf("head %d is not found after writing it", h.N))
	}
	return err
}

// committed does what is due after a commit.
func (s *Store) committed(ctx context.Context, h *watch.Head) error {
	if h.N > 2 { // 2, because a run may stop before it wrote INIT; Collect sees to it once more
		return nil
	}
	return s.writeInit(ctx)
}

// writeInit writes INIT, if it is not there.
func (s *Store) writeInit(ctx context.Context) error {
	err := s.b.create(ctx, initKey, []byte("clbwatch: while this exists, missing state is an error, not a fresh start\n"))
	if err != nil && !errors.Is(err, errExists) {
		return fmt.Errorf("the head is committed, but %s is not: %w", initKey, err)
	}
	return nil
}

func (s *Store) head(ctx context.Context, n int64) (*watch.Head, error) {
	b, err := s.b.get(ctx, headKey(n), maxHead)
	if err != nil {
		return nil, err
	}
	h, err := watch.DecodeHead(n, b)
	if err != nil {
		return nil, advice.Add(fmt.Errorf("%s: %w", headKey(n), err), startOver)
	}
	return h, nil
}

// startOver is what can be done about state that is beyond repair.
const startOver = "restore the state, or move it away: then the next tick takes a new baseline, and alerts still owed and " +
	"changes since the last tick are lost"

// Collect deletes, oldest first, heads that are old and not among the newest, then old snapshots that no remaining head
// points to, and what killed runs left over. What is in use it learns from heads, never from their absence.
func (s *Store) Collect(ctx context.Context) error {
	if err := s.b.sweep(ctx); err != nil {
		return err
	}
	newest, err := s.Load(ctx)
	if err != nil || newest == nil {
		return err
	}
	if err := s.writeInit(ctx); err != nil {
		return err
	}
	keep, err := s.b.list(ctx, headPrefix, 0)
	if err != nil {
		return err
	}
	before := s.now().Add(-keepFor)
	for len(keep) > keepHeads && keep[len(keep)-1].modified.Before(before) {
		if err := s.b.remove(ctx, keep[len(keep)-1].key); err != nil {
			return err
		}
		keep = keep[:len(keep)-1]
	}
	if len(keep) == 0 {
		return errors.New("no head is listed, though there are some: nothing is deleted")
	}
	oldest := keep[len(keep)-1]
	n, err := headNumber(oldest.key)
	if err != nil {
		return err
	}
	first, err := s.head(ctx, n)
	if err != nil {
		return fmt.Errorf("the oldest head that is kept: %w", err)
	}
	// A snapshot that a kept head points to is the one of the oldest, or younger than that.
	if oldest.modified.Before(before) {
		before = oldest.modified
	}
	return errors.Join(s.collect(ctx, snapPrefix, before, newest.Snapshot, first.Snapshot), s.collect(ctx, checkPrefix, before))
}

// collect deletes objects that are older than before, but for some snapshots.
func (s *Store) collect(ctx context.Context, prefix string, before time.Time, but ...*watch.Blob) error {
	objects, err := s.b.list(ctx, prefix, 0)
	if err != nil {
		return err
	}
	for _, o := range objects {
		used := slices.ContainsFunc(but, func(b *watch.Blob) bool { return b != nil && snapKey(*b) == o.key })
		if used || !o.modified.Before(before) {
			continue
		}
		if err := s.b.remove(ctx, o.key); err != nil {
			return err
		}
	}
	return nil
}

// Check tries what the store relies on: a write, the refusal of a second one under the same key, reading back, a
// listing, and the newest snapshot, to its end. What it writes it deletes.
func (s *Store) Check(ctx context.Context) error {
	key := checkPrefix + rand.Text()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
		defer cancel()
		_ = s.b.remove(ctx, key) // Collect sees to it otherwise
	}()
	if err := s.b.create(ctx, key, []byte("first")); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	second := s.b.create(ctx, key, []byte("second"))
	content, err := s.b.get(ctx, key, maxHead)
	unsuited := s.b.suits(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read back: %w", err)
	case second == nil || string(content) != "first":
		return advice.Add(errors.Join(errors.New("a second write under the same key is not refused"), unsuited),
			cmp.Or(advice.Of(unsuited), "two runs at once could overwrite each other's state here; use another place"))
	case !errors.Is(second, errExists):
		return fmt.Errorf("write again: %w", second)
	case unsuited != nil:
		return unsuited
	}
	if _, err := s.b.list(ctx, checkPrefix, 0); err != nil { // it may lag behind, and need not show the key
		return fmt.Errorf("list: %w", err)
	}
	return s.checkSnapshot(ctx)
}

func (s *Store) checkSnapshot(ctx context.Context) error {
	head, err := s.Load(ctx)
	if err != nil || head == nil || head.Snapshot == nil {
		return err
	}
	r, err := s.OpenSnapshot(ctx, *head.Snapshot)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

func snapKey(b watch.Blob) string { return textKey(b.SHA256, b.Tag) }
