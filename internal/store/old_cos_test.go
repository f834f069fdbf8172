package store

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/watch"
)

// sandboxBucket is the sandbox's strict COS, and how to open a store in it: with the real header, signature and errors.
func sandboxBucket(t *testing.T) (*cos.Bucket, func(cache string) *Store) {
	t.Helper()
	cr := sandbox.Credential{SecretID: "AKIDtest", SecretKey: "hunter2key", Token: "hunter2token"}
	bucket := cos.New(func(id string) (sandbox.Credential, bool) { return cr, id == cr.SecretID })
	server := httptest.NewServer(bucket)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	endpoint, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return bucket, func(cache string) *Store {
		s, err := COS(COSConfig{Bucket: "sandbox-1250000000", Region: "ap-guangzhou", Prefix: "watch", Endpoint: endpoint,
			SecretID: cr.SecretID, SecretKey: cr.SecretKey, Token: cr.Token, Transport: server.Client().Transport, Cache: cache, Now: time.Now,
			Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
		if err != nil {
			t.Fatal(err)
		}
		b := s.b.(cosBucket)
		b.limit = time.Second // a call that hangs is given up sooner than in earnest
		s.b = b
		return s
	}
}

func TestOldCOSOnTheSandbox(t *testing.T) {
	t.Parallel()
	testContract(t, func(t *testing.T) opener {
		t.Helper()
		_, open := sandboxBucket(t)
		return func(wrap func(bucket) bucket) *Store {
			s := open(t.TempDir())
			s.b = wrap(s.b)
			return s
		}
	})
}

// started is a state with one head and its snapshot, and a cache that knows nothing of them.
func started(t *testing.T) (*cos.Bucket, func(cache string) *Store, watch.Blob) {
	t.Helper()
	bucket, open := sandboxBucket(t)
	s := open(t.TempDir())
	blob := writeSnapshot(t, s, strings.Repeat("a line\n", 100))
	h := head(1, "a")
	h.Snapshot = &blob
	commit(t, s, h)
	return bucket, open, blob
}

func TestOldCOSDownloadThatGoesWrongOnceIsHealed(t *testing.T) {
	t.Parallel()
	for _, fault := range []cos.Fault{
		cos.Flip(), cos.HTML(), cos.Cut(), cos.Reset(), cos.Answers(503, "SlowDown"), cos.Hang(),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			bucket, open, blob := started(t)
			s := open(t.TempDir())
			bucket.Fail("GET", fault, 1)
			for range 2 { // from the bucket, and from the cache
				if got := readSnapshot(t, s, blob); got != strings.Repeat("a line\n", 100) {
					t.Errorf("the snapshot is %q", got)
				}
			}
		})
	}
}

func TestOldCOSCallThatHangsOnceLeavesTimeForAnother(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"LIST", "GET", "PUT"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			bucket, open, _ := started(t)
			bucket.Fail(op, cos.Hang(), 1)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			s := open(t.TempDir())
			h, err := s.Load(ctx)
			if err != nil || h.N != 1 {
				t.Fatalf("Load = %+v, %v, want head 1", h, err)
			}
			if err := s.Commit(ctx, head(2, "b")); err != nil {
				t.Errorf("Commit = %v", err)
			}
		})
	}
}

func TestOldCOSCacheIsOnlyAHelp(t *testing.T) {
	t.Parallel()
	t.Run("a damaged copy is dropped", func(t *testing.T) {
		t.Parallel()
		_, open, blob := started(t)
		cache := t.TempDir()
		s := open(cache)
		readSnapshot(t, s, blob)
		copies, err := filepath.Glob(filepath.Join(cache, "*", "snap", "*"))
		if err != nil || len(copies) != 1 {
			t.Fatalf("copies: %v, %v", copies, err)
		}
		rewrite(t, copies[0], func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		if err := tryRead(t.Context(), s, blob); err == nil {
			t.Error("a damaged copy is taken")
		}
		readSnapshot(t, s, blob)
	})
	t.Run("a cache that cannot be made is done without", func(t *testing.T) {
		t.Parallel()
		_, open, blob := started(t)
		cache := filepath.Join(t.TempDir(), "a file")
		if err := os.WriteFile(cache, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(cache)
		readSnapshot(t, s, blob)
		again := writeSnapshot(t, s, "another\n")
		if got := readSnapshot(t, s, again); got != "another\n" {
			t.Errorf("the snapshot is %q", got)
		}
	})
	t.Run("it holds one snapshot", func(t *testing.T) {
		t.Parallel()
		_, open, _ := started(t)
		cache := t.TempDir()
		s := open(cache)
		for _, text := range []string{"1", "2", "3"} {
			writeSnapshot(t, s, text)
		}
		if copies, err := filepath.Glob(filepath.Join(cache, "*", "snap", "*")); err != nil || len(copies) != 1 {
			t.Errorf("copies: %v, %v, want the newest", copies, err)
		}
	})
}

// TestCollectNeverDeletesWhatIsInUse makes everything old, and the bucket answer wrongly once in each way.
func TestOldCollectNeverDeletesWhatIsInUse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		op    string
		fault cos.Fault
	}{
		{"LIST", cos.EmptyList()}, {"LIST", cos.StaleList(2)}, {"GET", cos.Answers(404, "NoSuchKey")},
		{"GET", cos.Answers(403, "AccessDenied")}, {"LIST", cos.HTML()},
	} {
		for _, after := range []int{0, 1, 2, 3, 4} { // requests that go well before
			t.Run(tt.op+" "+tt.fault.String(), func(t *testing.T) {
				t.Parallel()
				bucket, open, _ := started(t)
				s := open(t.TempDir())
				blob := writeSnapshot(t, s, "another\n")
				h := head(2, "b")
				h.Snapshot = &blob
				commit(t, s, h)
				bucket.Age(48 * time.Hour)
				bucket.Fail(tt.op, cos.Delay(0), after)
				bucket.Fail(tt.op, tt.fault, 1)
				_ = s.Collect(t.Context()) // may fail: that is the point
				bucket.ClearFaults()
				h, err := open(t.TempDir()).Load(t.Context())
				if err != nil || h.N != 2 {
					t.Fatalf("Load = %+v, %v, want head 2", h, err)
				}
				readSnapshot(t, open(t.TempDir()), *h.Snapshot)
			})
		}
	}
}

func TestOldCollectCostsFewRequests(t *testing.T) {
	t.Parallel()
	bucket, open, _ := started(t)
	s := open(t.TempDir())
	for n := range int64(200) {
		commit(t, s, head(n+2, "w"))
	}
	before := bucket.Requests()
	if err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := bucket.Requests()["GET"] - before["GET"]; got > 4 {
		t.Errorf("%d GETs with 200 heads, want a few", got)
	}
}

func TestOldCheckOfCOS(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, op string
		fault    cos.Fault
		times    int
		want     string // in the error; "" if all is well
	}{
		{"a stale listing is legal", "LIST", cos.EmptyList(), 1, ""},
		{"no right to list", "LIST", cos.Answers(403, "AccessDenied"), -1, "403"},
		{"no right to write", "PUT", cos.Answers(403, "AccessDenied"), -1, "write:"},
		{"a write that fails says nothing about overwriting", "PUT", cos.Answers(503, "SlowDown"), -1, "503"},
		{"no right to ask for the versioning", "VERSIONING", cos.Answers(403, "AccessDenied"), -1, "versioning"},
		{"a proxy in between", "GET", cos.HTML(), -1, "not one of COS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bucket, open, _ := started(t)
			bucket.Fail(tt.op, tt.fault, tt.times)
			err := open(t.TempDir()).Check(t.Context())
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check = %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "not refused") {
				t.Errorf("Check = %v, which it did not see", err)
			}
			bucket.ClearFaults()
			if left := bucket.Keys("watch/check/"); len(left) > 0 && tt.op != "" {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("a snapshot that is gone", func(t *testing.T) {
		t.Parallel()
		bucket, open, blob := started(t)
		bucket.Delete("watch/" + snapKey(blob))
		if err := open(t.TempDir()).Check(t.Context()); !errors.Is(err, errAbsent) {
			t.Errorf("Check = %v, want that the snapshot is gone", err)
		}
	})
}

func TestOldCOSErrorsSayWhatToDoAndNoSecret(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"AccessDenied": "COS policy", "RequestTimeTooSkewed": "clock", "InvalidAccessKeyId": "keys are right", "SignatureDoesNotMatch": "keys are right",
	} {
		bucket, open, _ := started(t)
		bucket.Fail("", cos.Answers(403, code), -1)
		_, err := open(t.TempDir()).Load(t.Context())
		if err == nil || !strings.Contains(advice.Of(err), want) || !strings.Contains(err.Error(), "sandbox-1250000000/watch/head") {
			t.Errorf("%s: %v, advice %q; want the place, and advice about %q", code, err, advice.Of(err), want)
		}
		for _, secret := range []string{"AKIDtest", "hunter2", "q-signature"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error has %q in it: %v", code, secret, err)
			}
		}
	}
}

func TestOldCheckTellsAFailedSecondWriteFromOneThatWasTaken(t *testing.T) {
	t.Parallel()
	bucket, open, _ := started(t)
	bucket.Fail("PUT", cos.Delay(0), 1)
	bucket.Fail("PUT", cos.Answers(503, "SlowDown"), 1)
	if err := open(t.TempDir()).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "write again") || strings.Contains(err.Error(), "not refused") {
		t.Errorf("Check = %v, want that the second write failed", err)
	}
}

func TestOldListedHeadThatIsNotThereYetIsLookedForAgain(t *testing.T) {
	t.Parallel()
	bucket, open, _ := started(t)
	bucket.Fail("GET", cos.Answers(404, "NoSuchKey"), 1)
	if h, err := open(t.TempDir()).Load(t.Context()); err != nil || h.N != 1 {
		t.Errorf("Load after a false 404 = %+v, %v, want head 1", h, err)
	}
}

// cosOn opens a COS store through a transport, as a new instance with a cache of its own.
func cosOn(t *testing.T, through http.RoundTripper, wrap func(bucket) bucket) *Store {
	t.Helper()
	endpoint, err := url.Parse("http://ops-1250000000.cos.test")
	if err != nil {
		t.Fatal(err)
	}
	s, err := COS(COSConfig{Bucket: "ops-1250000000", Region: "ap-guangzhou", Prefix: "watch/one", Endpoint: endpoint,
		SecretID: "AKIDtest", SecretKey: "key", Token: "token", Transport: through, Cache: t.TempDir(), Now: time.Now,
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
	s.b = wrap(s.b)
	return s
}
