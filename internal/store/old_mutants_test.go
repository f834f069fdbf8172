package store

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/watch"
)

// The tests in this file were each written for a deliberate fault that no other test saw.

// TestStaleListingIsNotAFreshStart has a listing lag so far behind that the newest head is not found.
func TestOldStaleListingIsNotAFreshStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	commit(t, files1(t, dir, time.Now, plain), head(1, "a"))
	for n := range int64(maxProbe + 50) { // as if committed, without waiting for the disk each time
		b, err := head(n+2, "a").Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(headKey(n+2))), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := files1(t, dir, time.Now, func(b bucket) bucket { return &staleList{b, 1} })
	if h, err := s.Load(t.Context()); err == nil || h != nil || !strings.Contains(err.Error(), "behind") {
		t.Errorf("Load = %+v, %v, want an error: neither a fresh start nor an old head", h, err)
	}
}

// TestCollectOfTwoRunsAtOnce has another run delete a head while this one looks which snapshots they use.
func TestOldCollectOfTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := files1(t, dir, time.Now, plain)
	var blobs []watch.Blob
	for n := range int64(3) {
		blobs = append(blobs, writeSnapshot(t, s, strings.Repeat("x", int(n)+1)))
		h := head(n+1, "a")
		h.Snapshot = &blobs[n]
		commit(t, s, h)
	}
	later := func() time.Time { return time.Now().Add(25 * time.Hour) }
	during := files1(t, dir, later, func(b bucket) bucket {
		return &afterList{b, func() {
			if err := b.remove(context.Background(), headKey(1)); err != nil {
				t.Error(err)
			}
		}}
	})
	if err := during.Collect(t.Context()); err != nil {
		t.Errorf("Collect = %v, want nil: the other run did what was to be done", err)
	}
	for _, b := range blobs[1:] {
		if err := tryRead(t.Context(), s, b); err != nil {
			t.Errorf("a snapshot in use: %v", err)
		}
	}
}

func TestOldCOSIsReachedByHTTPSAtTheBucketsOwnAddress(t *testing.T) {
	t.Parallel()
	config := COSConfig{Bucket: "ops-1250000000", Region: "ap-guangzhou", Prefix: "watch", Cache: t.TempDir(), Now: time.Now}
	var got string
	config.Transport = road(func(r *http.Request) (*http.Response, error) {
		got = r.URL.Scheme + "://" + r.URL.Host
		return answers(http.StatusForbidden, "<Error><Code>AccessDenied</Code></Error>"), nil
	})
	s, err := COS(config)
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
	if _, err := COS(config); err == nil {
		t.Error("a store in a bucket with an impossible name")
	}
}

func TestOldCOSReadIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error) // to the first calls for the head
		first  int                                         // how many
		calls  int                                         // for the head, in all
		ok     bool
	}{
		{"after 500", func(*http.Request) (*http.Response, error) { return answers(500, ""), nil }, 2, 3, true},
		{"after a broken connection", func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, 2, 3, true},
		{"after an answer that broke off", func(*http.Request) (*http.Response, error) {
			a := answers(200, "")
			a.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"schema":1,`), iotest.ErrReader(io.ErrUnexpectedEOF)))
			return a, nil
		}, 1, 2, true},
		{"not for ever", func(*http.Request) (*http.Response, error) { return answers(503, ""), nil }, 99, 3, false},
		{"not if it is refused", func(*http.Request) (*http.Response, error) { return answers(403, ""), nil }, 99, 1, false},
		{"if it arrived damaged", func(*http.Request) (*http.Response, error) {
			a := answers(200, `{"schema":1,"n":1,"writer":"somebody else"}`)
			a.Header.Set("x-cos-hash-crc64ecma", "1")
			return a, nil
		}, 2, 3, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := s3Bucket(t)
			commit(t, cosOn(t, b, plain), head(1, "a"))
			calls := 0
			s := cosOn(t, road(func(r *http.Request) (*http.Response, error) {
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

func TestOldCOSSnapshotWhoseAnswerWasLost(t *testing.T) {
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
			s := cosOn(t, road(func(r *http.Request) (*http.Response, error) {
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
				if got := readSnapshot(t, cosOn(t, b, plain), blob); got != "one\n" {
					t.Errorf("the snapshot is %q", got)
				}
			}
		})
	}
}

func TestOldCOSBucketWithVersioningIsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"Enabled", "Suspended"} {
		b := s3Bucket(t)
		s := cosOn(t, road(func(r *http.Request) (*http.Response, error) {
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
	s := cosOn(t, road(func(r *http.Request) (*http.Response, error) {
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
func TestOldCOSListingOfSeveralPages(t *testing.T) {
	t.Parallel()
	s := cosOn(t, road(func(r *http.Request) (*http.Response, error) {
		page := map[string]string{"": "a", "watch/one/snap/a": "b", "watch/one/snap/b": "c"}[r.URL.Query().Get("marker")]
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
		s = cosOn(t, road(func(r *http.Request) (*http.Response, error) {
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
