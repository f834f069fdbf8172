package store

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
)

func plain(b bucket) bucket { return b }

type noInit struct {
	bucket
	err error
}

func (b *noInit) wrap(inner bucket) bucket { return &noInit{inner, b.err} }

func (b *noInit) create(ctx context.Context, key string, content []byte) error {
	if key == initKey {
		return b.err
	}
	return b.bucket.create(ctx, key, content)
}

type afterList struct {
	bucket
	do func()
}

func (b *afterList) list(ctx context.Context, prefix string, limit int) ([]object, error) {
	objects, err := b.bucket.list(ctx, prefix, limit)
	if prefix == snapPrefix {
		b.do()
	}
	return objects, err
}

func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fault makes the first calls of one operation fail, with or without effect.
type fault struct {
	op    string
	key   string // "": any
	times int
	apply bool
	err   error
}

func (f *fault) wrap(b bucket) bucket { return &faulty{b, f} }

type faulty struct {
	bucket
	f *fault
}

func (b *faulty) hit(op, key string, effect func() error) error {
	if b.f.op != op || b.f.times == 0 || b.f.key != "" && b.f.key != key {
		return effect()
	}
	b.f.times--
	if b.f.apply {
		_ = effect()
	}
	return b.f.err
}

func (b *faulty) get(ctx context.Context, key string, limit int64) (out []byte, err error) {
	err = b.hit("get", key, func() error { out, err = b.bucket.get(ctx, key, limit); return err })
	return out, err
}

func (b *faulty) open(ctx context.Context, key string, size int64) (out io.ReadCloser, err error) {
	err = b.hit("open", key, func() error { out, err = b.bucket.open(ctx, key, size); return err })
	return out, err
}

func (b *faulty) create(ctx context.Context, key string, content []byte) error {
	return b.hit("create", key, func() error { return b.bucket.create(ctx, key, content) })
}

func (b *faulty) list(ctx context.Context, prefix string, limit int) (out []object, err error) {
	err = b.hit("list", prefix, func() error { out, err = b.bucket.list(ctx, prefix, limit); return err })
	return out, err
}

// staleList hides all heads beyond one from listings.
type staleList struct {
	bucket
	upTo int64
}

func (b *staleList) list(ctx context.Context, prefix string, limit int) ([]object, error) {
	all, err := b.bucket.list(ctx, prefix, 0)
	var out []object
	for _, o := range all {
		if n, err := headNumber(o.key); err == nil && n <= b.upTo {
			out = append(out, o)
		}
	}
	if limit > 0 {
		out = out[:min(limit, len(out))]
	}
	return out, err
}

// lossy loses answers of writes at random, in both ways.
type lossy struct {
	bucket
	rand *rand.Rand
}

func (b *lossy) create(ctx context.Context, key string, content []byte) error {
	switch b.rand.IntN(20) {
	case 0:
		return errors.New("not done")
	case 1:
		_ = b.bucket.create(ctx, key, content)
		return errors.New("done, and the answer lost")
	}
	return b.bucket.create(ctx, key, content)
}

// road is the way to COS.
type road func(*http.Request) (*http.Response, error)

func (f road) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answers(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}
