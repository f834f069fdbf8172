package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/state"
)

func TestCOSIsReachedByHTTPSAtTheBucketsOwnAddress(t *testing.T) {
	t.Parallel()
	config := COSConfig{Bucket: "ops-1250000000", Region: "ap-guangzhou", Prefix: "watch", Cache: t.TempDir(),
		Now: time.Now}
	var got string
	config.Transport = road(func(r *http.Request) (*http.Response, error) {
		got = r.URL.Scheme + "://" + r.URL.Host
		return answers(http.StatusForbidden, "<Error><Code>AccessDenied</Code></Error>"), nil
	})
	s, err := OpenCOS(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context()); err == nil || !strings.Contains(advice.Of(err), "COS policy") {
		t.Errorf("Load = %v, advice %q, want an error with advice on the policy", err, advice.Of(err))
	}
	if want := "https://ops-1250000000.cos.ap-guangzhou.myqcloud.com"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	config.Bucket = "no bucket"
	if _, err := OpenCOS(config); err == nil {
		t.Error("a store in a bucket with an impossible name")
	}
}

func TestCOSReadIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error) // to the first calls for the head
		first  int                                         // how many
		calls  int                                         // for the head, in all
		ok     bool
	}{
		{"after 500", func(*http.Request) (*http.Response, error) { return answers(500, ""), nil }, 2, 3, true},
		{"after a broken connection", func(*http.Request) (*http.Response, error) {
			return nil,
				io.ErrUnexpectedEOF
		}, 2, 3, true},
		{"after an answer that broke off", func(*http.Request) (*http.Response, error) {
			a := answers(200, "")
			a.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"schema":1,`),
				iotest.ErrReader(io.ErrUnexpectedEOF)))
			return a, nil
		}, 1, 2, true},
		{"not for ever", func(*http.Request) (*http.Response, error) { return answers(503, ""), nil }, 99, 3,
			false},
		{"not if it is refused", func(*http.Request) (*http.Response, error) { return answers(403, ""), nil }, 99,
			1, false},
		{"if it arrived damaged", func(*http.Request) (*http.Response, error) {
			a := answers(200, `{"schema":1,"n":1,"writer":"somebody else"}`)
			a.Header.Set("x-cos-hash-crc64ecma", "1")
			return a, nil
		}, 2, 3, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := s3Bucket(t)
			commitTo(t, placeOn(t, b, plain), headOf(1, "a"))
			calls := 0
			s := placeOn(t, road(func(r *http.Request) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, headKey(1)) {
					if calls++; calls <= tt.first {
						return tt.answer(r)
					}
				}
				return b.RoundTrip(r)
			}), plain)
			h, err := s.Load(t.Context())
			if (err == nil) != tt.ok || tt.ok && h.Writer != "a" || calls != tt.calls {
				t.Errorf("Load = %+v, %v after %d calls, want it read: %v, after %d", h, err, calls, tt.ok, tt.calls)
			}
		})
	}
}

func TestCOSSnapshotWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		lost  int // answers to writes
		apply bool
		puts  int
		ok    bool
	}{
		{"is not written again if it is there", 1, true, 1, true},
		{"is written again if it is not", 1, false, 2, true},
		{"is an error if it never is", 99, false, 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := s3Bucket(t)
			puts := 0
			s := placeOn(t, road(func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodPut {
					return b.RoundTrip(r)
				}
				if puts++; puts > tt.lost {
					return b.RoundTrip(r)
				}
				if tt.apply {
					if resp, err := b.RoundTrip(r); err == nil {
						_ = resp.Body.Close() // the lost answer
					}
				}
				return nil, io.ErrUnexpectedEOF
			}), plain)
			w, err := s.CreateSnapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, "one\n"); err != nil {
				t.Fatal(err)
			}
			blob, err := w.Commit()
			if (err == nil) != tt.ok || puts != tt.puts {
				t.Errorf("Commit = %v after %d writes, want it stored: %v, after %d", err, puts, tt.ok, tt.puts)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			if tt.ok {
				if got := read(t, placeOn(t, b, plain), blob); got != "one\n" {
					t.Errorf("the snapshot is %q", got)
				}
			}
		})
	}
}

func TestCOSBucketWithVersioningIsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"Enabled", "Suspended"} {
		b := s3Bucket(t)
		s := placeOn(t, road(func(r *http.Request) (*http.Response, error) {
			if r.URL.Query().Has("versioning") {
				return answers(200, "<VersioningConfiguration><Status>"+status+"</Status></VersioningConfiguration>"), nil
			}
			return b.RoundTrip(r)
		}), plain)
		if h, err := s.Load(t.Context()); err == nil || !strings.Contains(advice.Of(err), "never had versioning") {
			t.Errorf("versioning %s: Load = %+v, %v, want it refused before anything is stored", status, h, err)
		}
	}
	b := s3Bucket(t)
	s := placeOn(t, road(func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Has("versioning") {
			return answers(200, ""), nil
		}
		return b.RoundTrip(r)
	}), plain)
	if h, err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "versioning") {
		t.Errorf("an empty answer about versioning: Load = %+v, %v, want an error: it may have been on", h, err)
	}
}

// TestCOSListingOfSeveralPages has a listing come in three pages, and some that are none.
func TestCOSListingOfSeveralPages(t *testing.T) {
	t.Parallel()
	s := placeOn(t, road(func(r *http.Request) (*http.Response, error) {
		page := map[string]string{"": "a", "watch/one/snap/a": "b",
			"watch/one/snap/b": "c"}[r.URL.Query().Get("marker")]
		return answers(200, fmt.Sprintf("<ListBucketResult><IsTruncated>%v</IsTruncated><Contents><Key>watch/one/snap/%s</Key>"+
			"<LastModified>2026-11-23T04:53:00Z</LastModified></Contents></ListBucketResult>", page != "c", page)), nil
	}), plain)
	objects, err := s.b.list(t.Context(), snapPrefix, 0)
	var keys []string
	for _, o := range objects {
		keys = append(keys, o.key)
	}
	if got, want := strings.Join(keys, " "), "snap/a snap/b snap/c"; err != nil || got != want {
		t.Errorf("list = %s, %v, want %s", got, err, want)
	}
	for _, answer := range []string{"", "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"} {
		s = placeOn(t, road(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/" {
				return answers(200, answer), nil
			}
			return answers(404, "<Error><Code>NoSuchKey</Code></Error>"), nil
		}), plain)
		if h, err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "list") {
			t.Errorf("Load with the listing %q = %+v, %v, want an error: it is no empty listing", answer, h, err)
		}
	}
}

// sandboxBucket is the sandbox's strict COS, and how to open a store in it: with the real header, signature
// and errors.
func sandboxPlace(t *testing.T) (*cos.Bucket, func(cache string) *Place) {
	t.Helper()
	cr := sandbox.Credential{SecretID: "AKIDtest", SecretKey: "hunter2key", Token: "hunter2token"}
	bucket := cos.New(func(id string) (sandbox.Credential, bool) { return cr, id == cr.SecretID })
	server := httptest.NewServer(bucket)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	endpoint, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return bucket, func(cache string) *Place {
		s, err := OpenCOS(COSConfig{Bucket: "sandbox-1250000000", Region: "ap-guangzhou", Prefix: "watch",
			Endpoint: endpoint,
			SecretID: cr.SecretID, SecretKey: cr.SecretKey, Token: cr.Token, Transport: server.Client().Transport,
			Cache: cache, Now: time.Now,
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

func TestCOSOnTheSandbox(t *testing.T) {
	t.Parallel()
	testPlace(t, func(t *testing.T) placeOpener {
		t.Helper()
		_, open := sandboxPlace(t)
		return func(wrap func(bucket) bucket) *Place {
			s := open(t.TempDir())
			s.b = wrap(s.b)
			return s
		}
	})
}

// started is a state with one head and its snapshot, and a cache that knows nothing of them.
func begun(t *testing.T) (*cos.Bucket, func(cache string) *Place, state.Blob) {
	t.Helper()
	bucket, open := sandboxPlace(t)
	s := open(t.TempDir())
	blob := write(t, s, strings.Repeat("a line\n", 100))
	h := headOf(1, "a")
	h.Snapshot = &blob
	commitTo(t, s, h)
	return bucket, open, blob
}

func TestCOSDownloadThatGoesWrongOnceIsHealed(t *testing.T) {
	t.Parallel()
	for _, fault := range []cos.Fault{
		cos.Flip(), cos.HTML(), cos.Cut(), cos.Reset(), cos.Answers(503, "SlowDown"), cos.Hang(),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			bucket, open, blob := begun(t)
			s := open(t.TempDir())
			bucket.Fail("GET", fault, 1)
			for range 2 { // from the bucket, and from the cache
				if got := read(t, s, blob); got != strings.Repeat("a line\n", 100) {
					t.Errorf("the snapshot is %q", got)
				}
			}
		})
	}
}

func TestCOSCallThatHangsOnceLeavesTimeForAnother(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"LIST", "GET", "PUT"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			bucket, open, _ := begun(t)
			bucket.Fail(op, cos.Hang(), 1)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			s := open(t.TempDir())
			h, err := s.Load(ctx)
			if err != nil || h.N != 1 {
				t.Fatalf("Load = %+v, %v, want head 1", h, err)
			}
			if err := s.Commit(ctx, headOf(2, "b")); err != nil {
				t.Errorf("Commit = %v", err)
			}
		})
	}
}

func TestCOSCacheIsOnlyAHelp(t *testing.T) {
	t.Parallel()
	t.Run("a damaged copy is dropped", func(t *testing.T) {
		t.Parallel()
		_, open, blob := begun(t)
		cache := t.TempDir()
		s := open(cache)
		read(t, s, blob)
		copies, err := filepath.Glob(filepath.Join(cache, "*", "snap", "*"))
		if err != nil || len(copies) != 1 {
			t.Fatalf("copies: %v, %v", copies, err)
		}
		rewrite(t, copies[0], func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		if err := readAll(t.Context(), s, blob); err == nil {
			t.Error("a damaged copy is taken")
		}
		read(t, s, blob)
	})
	t.Run("a cache that cannot be made is done without", func(t *testing.T) {
		t.Parallel()
		_, open, blob := begun(t)
		cache := filepath.Join(t.TempDir(), "a file")
		if err := os.WriteFile(cache, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(cache)
		read(t, s, blob)
		again := write(t, s, "another\n")
		if got := read(t, s, again); got != "another\n" {
			t.Errorf("the snapshot is %q", got)
		}
	})
	t.Run("it holds one snapshot", func(t *testing.T) {
		t.Parallel()
		_, open, _ := begun(t)
		cache := t.TempDir()
		s := open(cache)
		for _, text := range []string{"1", "2", "3"} {
			write(t, s, text)
		}
		if copies, err := filepath.Glob(filepath.Join(cache, "*", "snap", "*")); err != nil || len(copies) != 1 {
			t.Errorf("copies: %v, %v, want the newest", copies, err)
		}
	})
}

func TestCheckOfCOS(t *testing.T) {
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
			bucket, open, _ := begun(t)
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
		bucket, open, blob := begun(t)
		bucket.Delete("watch/" + textKey(blob.SHA256, blob.Tag))
		if err := open(t.TempDir()).Check(t.Context()); !errors.Is(err, errAbsent) {
			t.Errorf("Check = %v, want that the snapshot is gone", err)
		}
	})
}

func TestCOSErrorsSayWhatToDoAndNoSecret(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"AccessDenied": "COS policy", "RequestTimeTooSkewed": "clock", "InvalidAccessKeyId": "keys are right",
		"SignatureDoesNotMatch": "keys are right",
	} {
		bucket, open, _ := begun(t)
		bucket.Fail("", cos.Answers(403, code), -1)
		_, err := open(t.TempDir()).Load(t.Context())
		if err == nil || !strings.Contains(advice.Of(err), want) ||
			!strings.Contains(err.Error(), "sandbox-1250000000/watch/head") {
			t.Errorf("%s: %v, advice %q; want the place, and advice about %q", code, err, advice.Of(err), want)
		}
		for _, secret := range []string{"AKIDtest", "hunter2", "q-signature"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error has %q in it: %v", code, secret, err)
			}
		}
	}
}

func TestCheckTellsAFailedSecondWriteFromOneThatWasTaken(t *testing.T) {
	t.Parallel()
	bucket, open, _ := begun(t)
	bucket.Fail("PUT", cos.Delay(0), 1)
	bucket.Fail("PUT", cos.Answers(503, "SlowDown"), 1)
	if err := open(t.TempDir()).Check(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "write again") || strings.Contains(err.Error(), "not refused") {
		t.Errorf("Check = %v, want that the second write failed", err)
	}
}

func TestListedHeadThatIsNotThereYetIsLookedForAgain(t *testing.T) {
	t.Parallel()
	bucket, open, _ := begun(t)
	bucket.Fail("GET", cos.Answers(404, "NoSuchKey"), 1)
	if h, err := open(t.TempDir()).Load(t.Context()); err != nil || h.N != 1 {
		t.Errorf("Load after a false 404 = %+v, %v, want head 1", h, err)
	}
}

// TestForgedHeadReachesNoOtherFile: a head that somebody else put into the bucket names a snapshot by a path,
// and nothing outside of the cache is read, replaced or deleted.
func TestForgedHeadReachesNoOtherFile(t *testing.T) {
	t.Parallel()
	bucket, open := sandboxPlace(t)
	home := t.TempDir()
	s := open(filepath.Join(home, "cache"))
	mine := filepath.Join(home, "mine.zst")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	content := []byte("theirs")
	sum := sha256.Sum256(content)
	blob := state.Blob{SHA256: hex.EncodeToString(sum[:]), Tag: "x/../../../../mine", Bytes: int64(len(content))}
	forged, err := (&state.Head{Schema: state.Schema, N: 1, Writer: "they", Snapshot: &blob}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	bucket.Put("watch/"+headKey(1), forged)
	for _, key := range []string{"watch/" + textKey(blob.SHA256, blob.Tag), "mine.zst", "watch/mine.zst"} {
		// COS may clean a key, or not
		bucket.Put(key, content)
	}
	h, err := s.Load(t.Context())
	if err == nil {
		_ = readAll(t.Context(), s, *h.Snapshot)
		t.Error("a head whose snapshot is named by a path is taken")
	}
	if b, err := os.ReadFile(mine); string(b) != "mine" {
		t.Errorf("a file of ours is now %q, %v", b, err)
	}
}
