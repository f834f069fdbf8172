package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"pgregory.net/rapid"
)

// The COS store against S3 servers that we did not write: gofakes3 in this process, and with -s3 any other. A
// bridge translates the dialect. So this proves the store's logic on an independent store; COS's own
// conditional header, signature and error bodies it does not prove: internal/sandbox/cos has those, after the
// documentation.
var (
	s3URL = flag.String("s3", "", "an S3 server, such as http://127.0.0.1:7070, to test against instead "+
		"of gofakes3 (make test-versitygw)")
	s3Key      = flag.String("s3-key", "", "its access key")
	s3Secret   = flag.String("s3-secret", "", "its secret key")
	s3Ignorant = flag.Bool("s3-ignorant", false,
		"expect the server to ignore conditions, and Check to say so (s3rver)")
	s3BucketSeq = time.Now().UnixNano()
)

// bridge lets the COS SDK talk to an S3 server: paths for virtual hosts, x-amz- for x-cos-, If-None-Match for
// x-cos-forbid-overwrite, and the answers back.
type bridge struct {
	server *url.URL
	bucket string
}

func (b bridge) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	q := r.Clone(r.Context())
	q.URL.Scheme, q.URL.Host, q.Host = b.server.Scheme, b.server.Host, b.server.Host
	q.URL.Path, q.URL.RawPath = "/"+b.bucket+q.URL.Path, ""
	q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	q.Header = http.Header{"Content-Type": {"application/octet-stream"}}
	if r.Header.Get("x-cos-forbid-overwrite") == "true" {
		q.Header.Set("If-None-Match", "*")
	}
	if *s3Key != "" {
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:])
		q.Header.Set("X-Amz-Content-Sha256", hash)
		creds := aws.Credentials{AccessKeyID: *s3Key, SecretAccessKey: *s3Secret}
		if err := v4.NewSigner().SignHTTP(r.Context(), creds, q, hash, "s3", "us-east-1", time.Now()); err != nil {
			return nil, err
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	resp.Header.Set("x-cos-request-id", "bridge")
	if resp.StatusCode == http.StatusPreconditionFailed {
		resp.StatusCode = http.StatusConflict
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(strings.NewReader("<Error><Code>FileAlreadyExists</Code></Error>"))
	}
	if r.Method == http.MethodPut && resp.StatusCode == http.StatusOK {
		resp.Header.Set("x-cos-hash-crc64ecma", strconv.FormatUint(crc64.Checksum(body,
			crc64.MakeTable(crc64.ECMA)), 10))
	}
	return resp, nil
}

// s3Bucket makes a bucket on the server and returns the way to it.
func s3Bucket(t *testing.T) bridge {
	t.Helper()
	server := *s3URL
	if server == "" {
		s := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
		t.Cleanup(s.Close)
		server = s.URL
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", ",", "", ":", "").Replace(t.Name()))
	b := bridge{u, strconv.FormatInt(s3BucketSeq, 36) + "-" + strings.Trim(name[max(0, len(name)-40):], "-")}
	b.make(t)
	return b
}

// make makes the bucket.
func (b bridge) make(t rapid.TB) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPut, "http://bucket/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("make bucket: %+v, %v", resp, err)
	}
	_ = resp.Body.Close() // it is empty
}

// placeOn opens a COS store through a transport, as a new instance with a cache of its own.
func placeOn(t *testing.T, through http.RoundTripper, wrap func(bucket) bucket) *Place {
	t.Helper()
	endpoint, err := url.Parse("http://ops-1250000000.cos.test")
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenCOS(COSConfig{Bucket: "ops-1250000000", Region: "ap-guangzhou", Prefix: "watch/one",
		Endpoint: endpoint,
		SecretID: "AKIDtest", SecretKey: "key", Token: "token", Transport: through, Cache: t.TempDir(),
		Now:   time.Now,
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
	s.b = wrap(s.b)
	return s
}

func TestCOSOnAnIndependentServer(t *testing.T) {
	t.Parallel()
	if *s3Ignorant {
		t.Skip("this server ignores conditions")
	}
	testPlace(t, func(t *testing.T) placeOpener {
		t.Helper()
		b := s3Bucket(t)
		return func(wrap func(bucket) bucket) *Place { return placeOn(t, b, wrap) }
	})
}

// TestCheckSeesThroughAnIgnorantServer is the negative control: s3rver takes a second write to the same key,
// and Check must refuse it.
func TestCheckSeesThroughAnIgnorantServer(t *testing.T) {
	t.Parallel()
	if !*s3Ignorant {
		t.Skip("needs -s3-ignorant and a server that ignores conditions (make test-s3rver)")
	}
	err := placeOn(t, s3Bucket(t), plain).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "is not refused") {
		t.Errorf("Check = %v, want that a second write is not refused", err)
	}
}
