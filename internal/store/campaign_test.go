package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"pgregory.net/rapid"

	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
)

// TestMain makes fewer histories than rapid would, unless it is asked for some number: with a server in between they take a
// while, and internal/watch has a hundred.
func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("30"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// TestCampaignInFiles and TestCampaignInCOS live through random histories with their state in real stores, whose every
// call may go wrong (watchtest.Campaign). `make campaign` runs 10,000 of each.
func TestCampaignInFiles(t *testing.T) {
	t.Parallel()
	campaigns(t, func(t *rapid.T) watchtest.Place {
		dir, err := os.MkdirTemp("", "clbwatch-campaign-") //nolint:usetesting // ten thousand of them must not wait for the end of the test
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		ages := &ages{}
		return func(s watch.Shard, do call, now func() time.Time) (watch.Store, error) {
			store := Files(filepath.Join(dir, below(s)), now)
			store.b = unreliable{store.b, do, ages, below(s), now}
			return store, nil
		}
	})
}

func TestCampaignInCOS(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var seq sync.Mutex
	made := 0
	campaigns(t, func(t *rapid.T) watchtest.Place {
		seq.Lock()
		made++
		through := bridge{address, "campaign-" + strconv.Itoa(made)}
		seq.Unlock()
		through.make(t)
		cache, err := os.MkdirTemp("", "clbwatch-campaign-") //nolint:usetesting // as above
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(cache) })
		endpoint := &url.URL{Scheme: "http", Host: "ops-1250000000.cos.test"}
		ages := &ages{}
		return func(s watch.Shard, do call, now func() time.Time) (watch.Store, error) {
			store, err := COS(COSConfig{Bucket: "ops-1250000000", Region: "ap-guangzhou", Prefix: path.Join("watch", below(s)), Endpoint: endpoint,
				SecretID: "AKIDtest", SecretKey: "key", Transport: wire{through, do}, Cache: cache, Now: now,
				Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
			if err != nil {
				return nil, err
			}
			store.b = unreliable{store.b, do, ages, below(s), now}
			return store, nil
		}
	})
}

// campaigns runs histories of every sort, each in a place of its own.
func campaigns(t *testing.T, place func(t *rapid.T) watchtest.Place) {
	t.Helper()
	var tally watchtest.Tally
	rapid.Check(t, func(t *rapid.T) {
		c := watchtest.Campaign{Place: place(t), Lively: rapid.Bool().Draw(t, "lively"), Finds: rapid.Bool().Draw(t, "finds")}
		c.Run(t, &tally)
	})
	t.Log(&tally)
}

type call = func(op, what string, effect func() error) error

func below(s watch.Shard) string {
	if s.Of <= 1 {
		return ""
	}
	return fmt.Sprintf("shards/%d-of-%d", s.N, s.Of)
}

// ages is when objects were made, in the world's time, which servers do not know.
type ages struct{ at sync.Map }

// unreliable is a bucket whose calls go wrong as a history says.
type unreliable struct {
	bucket
	do    call
	ages  *ages
	below string
	now   func() time.Time
}

func (b unreliable) get(ctx context.Context, key string, limit int64) (out []byte, err error) {
	err = b.do("get", key, func() error { out, err = b.bucket.get(ctx, key, limit); return err })
	// Two lies at once, an empty listing and a missing INIT, are one more than the store is proof against.
	if errors.Is(err, watchtest.ErrAbsent) && key != initKey {
		return nil, errAbsent
	}
	return out, err
}

func (b unreliable) open(ctx context.Context, key string, size int64) (out io.ReadCloser, err error) {
	err = b.do("open", key, func() error { out, err = b.bucket.open(ctx, key, size); return err })
	if err != nil && out != nil {
		_ = out.Close() // the answer is lost
	}
	return out, err
}

func (b unreliable) create(ctx context.Context, key string, content []byte) error {
	return b.made(key, b.do("create object", key, func() error { return b.bucket.create(ctx, key, content) }))
}

func (b unreliable) adopt(ctx context.Context, key string, file *os.File) error {
	return b.made(key, b.do("adopt", key, func() error { return b.bucket.adopt(ctx, key, file) }))
}

func (b unreliable) made(key string, err error) error {
	b.ages.at.LoadOrStore(b.below+"/"+key, b.now())
	if errors.Is(err, watchtest.ErrTaken) {
		return errExists
	}
	return err
}

func (b unreliable) list(ctx context.Context, prefix string, limit int) (out []object, err error) {
	op := "list"
	if prefix == headPrefix {
		op = "list heads"
	}
	err = b.do(op, prefix, func() error { out, err = b.bucket.list(ctx, prefix, 0); return err })
	if errors.Is(err, watchtest.ErrStale) {
		out, err = out[min(2, len(out)):], nil
	}
	for i, o := range out {
		if at, ok := b.ages.at.Load(b.below + "/" + o.key); ok {
			out[i].modified = at.(time.Time)
		}
	}
	if limit > 0 {
		out = out[:min(limit, len(out))]
	}
	return out, err
}

func (b unreliable) remove(ctx context.Context, keys ...string) error {
	return b.do("remove", strings.Join(keys, " "), func() error { return b.bucket.remove(ctx, keys...) })
}

// wire is the way to a server on which requests and answers are lost.
type wire struct {
	http.RoundTripper
	do call
}

func (w wire) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	err = w.do("wire", r.Method, func() error { resp, err = w.RoundTripper.RoundTrip(r); return err })
	if err != nil && resp != nil {
		_ = resp.Body.Close() // the answer is lost
		resp = nil
	}
	return resp, err
}
