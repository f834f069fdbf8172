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
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/state"
	"clbwatch/internal/watchtest"
)

var trace = flag.Bool("trace", false, "log what happens in each history that fails")

// TestMain makes fewer histories than rapid would, unless it is asked for some number: with real stores they
// take a while, and internal/watch has more.
func TestMain(m *testing.M) {
	os.Exit(watchtest.Main(m, 4))
}

// TestCampaignInFiles and TestCampaignInCOS live through random histories with their state in real stores,
// whose every call may go wrong (watchtest.Campaign). `make campaign` runs 10,000 of each.
func TestCampaignInFiles(t *testing.T) {
	t.Parallel()
	campaigns(t, true, func(t *rapid.T, w *watchtest.World) watchtest.Place {
		dir := campaignDir(t)
		ages := &ages{}
		return func(s state.Shard, do call, now func() time.Time) (state.Store, error) {
			place := OpenFiles(filepath.Join(dir, below(s)), now)
			place.b = unreliable{place.b, do, ages, below(s), w.Now}
			return place, nil
		}
	})
}

func TestCampaignInCOS(t *testing.T) {
	t.Parallel()
	campaigns(t, false, func(t *rapid.T, w *watchtest.World) watchtest.Place {
		server := cos.New(func(string) (sandbox.Credential, bool) {
			return sandbox.Credential{SecretKey: "key"}, true
		})
		cache := campaignDir(t)
		endpoint := &url.URL{Scheme: "http", Host: "ops-1250000000.cos.test"}
		ages := &ages{}
		return func(s state.Shard, do call, now func() time.Time) (state.Store, error) {
			place, err := OpenCOS(COSConfig{Bucket: "ops-1250000000", Region: "ap-guangzhou",
				Endpoint: endpoint, Prefix: path.Join("watch", below(s)),
				SecretID: "AKIDtest", SecretKey: "key", Cache: cache, Now: now, Transport: wire{server, do, w.Now},
				Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
			if err != nil {
				return nil, err
			}
			place.b = unreliable{place.b, do, ages, below(s), w.Now}
			return place, nil
		}
	})
}

func campaignDir(t *rapid.T) string {
	dir, err := os.MkdirTemp("", "clbwatch-campaign-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// campaigns runs histories of every sort, each in a place of its own. own says that the store's clock is the
// machine's.
func campaigns(t *testing.T, own bool, place func(t *rapid.T, w *watchtest.World) watchtest.Place) {
	t.Helper()
	var tally watchtest.Tally
	rapid.Check(t, func(t *rapid.T) {
		w := watchtest.New()
		c := watchtest.Campaign{Place: place(t, w), World: w, Own: own, Trace: *trace}
		c.Lively = rapid.Bool().Draw(t, "lively")
		switch rapid.IntRange(0, 4).Draw(t, "route") {
		case 1, 2:
			c.Route = "webhook:1"
		case 3:
			c.Blind = true
		}
		c.Run(t, &tally)
	})
	t.Log(&tally)
}

type call = func(op, what string, effect func() error) error

func below(s state.Shard) string {
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
	op := "list objects"
	if prefix == headPrefix {
		op = "list heads"
	}
	err = b.do(op, prefix, func() error { out, err = b.bucket.list(ctx, prefix, 0); return err })
	if errors.Is(err, watchtest.ErrStale) {
		out, err = out[min(2, len(out)):], nil
	}
	for i, o := range out {
		if at, ok := b.ages.at.Load(b.below + "/" + o.key); ok {
			out[i].modified, _ = at.(time.Time)
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

// wire is the way to a server on which requests and answers are lost. The server's clock is right.
type wire struct {
	server http.Handler
	do     call
	now    func() time.Time
}

func (w wire) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	err = w.do("wire", r.Method, func() error {
		in := httptest.NewRecorder()
		q := r.Clone(r.Context())
		q.RequestURI = r.URL.RequestURI()
		if q.Host == "" {
			q.Host = r.URL.Host
		}
		if q.Body == nil {
			q.Body = http.NoBody
		}
		w.server.ServeHTTP(in, q)
		resp = in.Result()
		resp.Request = r
		resp.Header.Set("Date", w.now().UTC().Format(http.TimeFormat))
		return nil
	})
	if err != nil && resp != nil {
		_ = resp.Body.Close() // the answer is lost
		resp = nil
	}
	return resp, err
}
