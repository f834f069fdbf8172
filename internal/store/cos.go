package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"clbwatch/internal/advice"

	"github.com/tencentyun/cos-go-sdk-v5"
)

// COSConfig names a place in a COS bucket, and how to reach it.
type COSConfig struct {
	Bucket   string   // such as "ops-1250000000"
	Region   string   // such as "ap-guangzhou"
	Prefix   string   // of every key, without slashes at its ends; "" is the whole bucket
	Endpoint *url.URL // nil: the bucket's own address, https://<bucket>.cos.<region>.myqcloud.com

	SecretID, SecretKey string
	Token               string            // "" for long-term keys
	Transport           http.RoundTripper // outlives an invocation, and with it its connections
	// a folder of the user's own for the last snapshot; it may be lost at any time
	Cache string
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error // returns early, with an error, when ctx ends
}

const (
	// of a read, in all; a write is tried again only after it was read back
	readTries    = 3
	readInterval = 100 * time.Millisecond // before the second; twice that before the third
	callTimeout  = 5 * time.Second        // of one call: a connection that hangs must leave time for another
	impatient    = 3 * time.Second        // how little time a caller has who waits for an answer: see limited
	least        = 300 * time.Millisecond // of one call, then
	slowest      = 256 << 10              // bytes a second that a snapshot moves at least, beyond that
	maxListing   = 8 << 20                // bytes of a page of a listing, 1,000 keys, and of an error
	maxPages     = 1000                   // of a listing
)

func newCOSBucket(c COSConfig) (b cosBucket, err error) {
	if c.Endpoint == nil {
		u, err := cos.NewBucketURL(c.Bucket, c.Region, true)
		if err != nil {
			return b, err
		}
		c.Endpoint = u
	}
	// One cache for each place, so that two states on one machine do not throw out each other's snapshots.
	place := sha256.Sum256([]byte(c.Endpoint.String() + "/" + c.Bucket + "/" + c.Prefix))
	cache := files{filepath.Join(c.Cache, "clbwatch-"+hex.EncodeToString(place[:8])), c.Now}
	now := newClock(c.Now)
	client := cos.NewClient(&cos.BaseURL{BucketURL: c.Endpoint}, &http.Client{
		Transport: &cos.AuthorizationTransport{SecretID: c.SecretID, SecretKey: c.SecretKey, SessionToken: c.Token,
			Transport: bounded{c.Transport, now}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	client.Conf.RetryOpt = cos.RetryOptions{Count: 1} // it would neither stop with ctx nor read back
	return cosBucket{c, client, cache, callTimeout, now}, nil
}

// cosBucket is a bucket in COS. Errors name bucket and key; the SDK's own would show whole URLs and headers.
type cosBucket struct {
	cfg    COSConfig
	client *cos.Client
	cache  files         // the newest snapshot, by its key. Where it cannot be used, it is done without
	limit  time.Duration // of one call: callTimeout
	time   *clock
}

// retry makes a call that only reads until it succeeds, or fails for good, or readTries are used up. size is
// how many bytes it may move.
func (b cosBucket) retry(ctx context.Context, size int64, call func(ctx context.Context) error) error {
	for n := 1; ; n++ {
		err := b.limited(ctx, size, call)
		var answer *cos.ErrorResponse
		final := errors.As(err, &answer) && answer.Response.StatusCode < http.StatusInternalServerError
		if err == nil || final || n == readTries || b.cfg.Sleep(ctx, time.Duration(n)*readInterval) != nil {
			return err
		}
	}
}

// limited makes a call within the time that it may take: where somebody waits for an answer, no more than a
// third of what is left, so that another one has time.
func (b cosBucket) limited(ctx context.Context, size int64, call func(ctx context.Context) error) error {
	limit := b.limit
	if end, ok := ctx.Deadline(); ok && time.Until(end) < impatient {
		limit = min(limit, max(time.Until(end)/3, least))
	}
	ctx, cancel := context.WithTimeout(ctx, limit+time.Duration(size/slowest)*time.Second)
	defer cancel()
	return call(ctx)
}

func (b cosBucket) key(key string) string { return strings.TrimPrefix(b.cfg.Prefix+"/"+key, "/") }

func (b cosBucket) get(ctx context.Context, key string, limit int64) ([]byte, error) {
	var content bytes.Buffer
	err := b.retry(ctx, 0, func(ctx context.Context) error {
		content.Reset()
		return b.stream(ctx, key, limit, &content)
	})
	if err != nil {
		return nil, b.failed(ctx, "read", key, err)
	}
	return content.Bytes(), nil
}

// stream writes an object to w, and checks that it is COS's, for a proxy's page is no answer, and arrived as
// it was sent.
func (b cosBucket) stream(ctx context.Context, key string, limit int64, w io.Writer) error {
	resp, err := b.client.Object.Get(ctx, b.key(key), nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.Header.Get("x-cos-request-id") == "" {
		return errForeign
	}
	crc := crc64.New(crc64.MakeTable(crc64.ECMA))
	n, err := io.Copy(io.MultiWriter(w, crc), io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return err
	case n > limit:
		return errTooLarge
	}
	if want := resp.Header.Get("x-cos-hash-crc64ecma"); want != "" && want != strconv.FormatUint(crc.Sum64(),
		10) {
		return errors.New("it arrived damaged")
	}
	return nil
}

var errEmpty = errors.New("the answer is empty")

var errForeign = errors.New("the answer is not one of COS; see whether a proxy is in between")

// open downloads a snapshot into the cache, unless it is there.
func (b cosBucket) open(ctx context.Context, key string, size int64) (io.ReadCloser, error) {
	if r, err := b.cache.open(ctx, key, size); err == nil {
		return r, nil
	}
	file, err := b.temp()
	if err != nil {
		return nil, err
	}
	err = b.retry(ctx, size, func(ctx context.Context) error {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := file.Truncate(0); err != nil {
			return err
		}
		sum := sha256.New()
		if err := b.stream(ctx, key, size, io.MultiWriter(file, sum)); err != nil {
			return err
		}
		if !names(key, sum) {
			return errors.New("its content is not what its name says")
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(b.failed(ctx, "read", key, err), file.Close(), os.Remove(file.Name()))
	}
	b.keep(key, file)
	_, err = file.Seek(0, io.SeekStart)
	return file, err
}

// names reports whether a snapshot's key is that of this content.
func names(key string, sum hash.Hash) bool {
	return strings.HasPrefix(key, snapPrefix+hex.EncodeToString(sum.Sum(nil))+"-")
}

// keep makes a file the only snapshot in the cache, or does without one.
func (b cosBucket) keep(key string, file *os.File) {
	others, _ := b.cache.list(context.Background(), snapPrefix, 0)
	for _, o := range others {
		b.forget(o.key)
	}
	dir := filepath.Dir(b.cache.path(key))
	if os.MkdirAll(dir, 0o700) != nil || os.Rename(file.Name(), b.cache.path(key)) != nil {
		_ = os.Remove(file.Name()) // it is open, and goes when it is closed
	}
}

// forget drops a snapshot from the cache. If that does not work, it stays, and is checked whenever it is
// read.
func (b cosBucket) forget(key string) { _ = b.cache.remove(context.Background(), key) }

func (b cosBucket) create(ctx context.Context, key string, content []byte) error {
	header := http.Header{"X-Cos-Forbid-Overwrite": {"true"}}
	return b.put(ctx, key, strings.NewReader(string(content)), int64(len(content)), &header)
}

// put writes once. A reader that cannot be rewound keeps the SDK from repeating the write behind our back:
// the repeat of a write whose answer was lost is told that the key exists.
func (b cosBucket) put(ctx context.Context, key string, content io.Reader, size int64,
	header *http.Header) error {
	err := b.limited(ctx, size, func(ctx context.Context) error {
		_, err := b.client.Object.Put(ctx, b.key(key), struct{ io.Reader }{content}, &cos.ObjectPutOptions{
			ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{ContentLength: size, XOptionHeader: header}})
		return err
	})
	if err != nil {
		return b.failed(ctx, "write", key, err)
	}
	return nil
}

// adopt uploads a snapshot. If the answer is not a plain yes, what is stored is read back and compared with
// the name.
func (b cosBucket) adopt(ctx context.Context, key string, file *os.File) error {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	for range 2 {
		if err = b.put(ctx, key, io.NewSectionReader(file, 0, size), size, nil); err == nil {
			break
		}
		sum := sha256.New()
		lost := b.limited(ctx, size, func(ctx context.Context) error { return b.stream(ctx, key, size, sum) })
		if lost != nil {
			err = errors.Join(err, b.failed(ctx, "read back", key, lost))
			continue
		}
		if names(key, sum) {
			err = nil
			break
		}
	}
	if err != nil {
		return err
	}
	b.keep(key, file)
	return nil
}

func (b cosBucket) list(ctx context.Context, prefix string, limit int) ([]object, error) {
	var objects []object
	opt := cos.BucketGetOptions{Prefix: b.key(prefix), MaxKeys: limit}
	for range maxPages {
		var page *cos.BucketGetResult
		err := b.retry(ctx, 0, func(ctx context.Context) (err error) {
			page, _, err = b.client.Bucket.Get(ctx, &opt)
			switch {
			case err != nil:
				return err
			case page.XMLName.Local == "":
				return errEmpty // which the SDK takes for an empty listing
			case page.IsTruncated && len(page.Contents) == 0:
				return errors.New("the listing is cut off before its first entry")
			}
			return nil
		})
		if err != nil {
			return nil, b.failed(ctx, "list", prefix, err)
		}
		for _, o := range page.Contents {
			modified, err := time.Parse(time.RFC3339, o.LastModified)
			key, ok := strings.CutPrefix(o.Key, b.key(""))
			if err != nil || !ok {
				return nil, b.failed(ctx, "list", prefix, fmt.Errorf("an entry that is not one: %.80q of %.40q", o.Key,
					o.LastModified))
			}
			objects = append(objects, object{key, modified})
		}
		if !page.IsTruncated || limit > 0 {
			return objects, nil
		}
		opt.Marker = page.Contents[len(page.Contents)-1].Key
	}
	return nil, b.failed(ctx, "list", prefix, fmt.Errorf("more than %d pages", maxPages))
}

func (b cosBucket) remove(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		err := b.limited(ctx, 0, func(ctx context.Context) error {
			_, err := b.client.Object.Delete(ctx, b.key(key))
			return err
		})
		if err != nil {
			if err = b.failed(ctx, "delete", key, err); !errors.Is(err, errAbsent) {
				return err
			}
		}
	}
	return nil
}

func (b cosBucket) temp() (*os.File, error) {
	if f, err := b.cache.temp(); err == nil {
		return f, nil
	}
	return os.CreateTemp("", "clbwatch-*")
}

func (b cosBucket) sweep(ctx context.Context) error {
	_ = b.cache.sweep(ctx) // nothing depends on the cache
	return nil
}

// suits says whether a key can be kept from being overwritten here.
func (b cosBucket) suits(ctx context.Context) error {
	var v *cos.BucketGetVersionResult
	err := b.retry(ctx, 0, func(ctx context.Context) (err error) {
		if v, _, err = b.client.Bucket.GetVersioning(ctx); err == nil && v.XMLName.Local == "" {
			return errEmpty // which the SDK takes for "never"
		}
		return err
	})
	if err != nil {
		return b.failed(ctx, "ask for the versioning of", "", err)
	}
	if v.Status != "" {
		return advice.Add(fmt.Errorf("bucket %s has versioning %s: a head could be overwritten unnoticed",
			b.cfg.Bucket, v.Status),
			"use a bucket that never had versioning")
	}
	return nil
}

// failed says what went wrong, with bucket and key, the COS code and the request id, and nothing that was
// sent.
func (b cosBucket) failed(ctx context.Context, did, key string, err error) error {
	where := path.Join(b.cfg.Bucket, b.key(key))
	var answer *cos.ErrorResponse
	switch {
	case errors.As(err, &answer):
		return b.refused(fmt.Sprintf("%s %s", did, where), answer)
	case ctx.Err() != nil:
		return fmt.Errorf("%s %s: %w", did, where, ctx.Err())
	}
	var retried *cos.RetryError // it does not unwrap
	if errors.As(err, &retried) && len(retried.Errs) > 0 {
		err = retried.Errs[len(retried.Errs)-1]
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if strings.Contains(err.Error(), "x-cos-hash-crc64ecma") {
		// the SDK's text has all headers of the answer in it
		err = errors.New("the checksum of what was stored is missing or wrong")
	}
	return advice.Add(fmt.Errorf("%s %s: %w", did, where, err),
		"see whether "+b.cfg.Endpoint.Hostname()+" can be reached from here: DNS, firewall, proxy, region and "+
			"endpoint in STATE_URL")
}

// refused is an error answer of COS. Source: 错误码, https://cloud.tencent.com/document/product/436/7730.
func (b cosBucket) refused(what string, a *cos.ErrorResponse) error {
	status := a.Response.StatusCode
	err := fmt.Errorf("%s: COS answers %d %.40q, request %.60q", what, status, a.Code, a.RequestID)
	switch {
	case status == http.StatusNotFound && a.Code == "NoSuchKey":
		return fmt.Errorf("%w: %w", errAbsent, err)
	case status == http.StatusConflict && a.Code == "FileAlreadyExists":
		return fmt.Errorf("%w: %w", errExists, err)
	case a.Code == "NoSuchBucket":
		return advice.Add(err, "see whether bucket and region in STATE_URL are right")
	case a.Code == "RequestTimeTooSkewed":
		return advice.Add(err, "set this machine's clock")
	case a.Code == "InvalidAccessKeyId", a.Code == "SignatureDoesNotMatch", a.Code == "ExpiredToken",
		a.Code == "InvalidToken":
		return advice.Add(err, "see whether the keys are right and enabled, on SCF whether the function has its "+
			"execution role")
	case status == http.StatusForbidden:
		return advice.Add(err, "see whether the execution role has the COS policy for this bucket and prefix "+
			"(docs/deploy.md)")
	}
	return err
}

func (b cosBucket) clock() time.Time { return b.time.now() }

// bounded bounds the answers that the SDK reads whole: everything but objects. It takes the time from them.
type bounded struct {
	next http.RoundTripper
	time *clock
}

// RoundTrip sends the request on.
func (t bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := t.time.read()
	resp, err := t.next.RoundTrip(r)
	if err == nil {
		t.time.heard(resp.Header, sent)
	}
	if err == nil && (resp.StatusCode != http.StatusOK || r.URL.Path == "/") {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxListing), resp.Body}
	}
	return resp, err
}
