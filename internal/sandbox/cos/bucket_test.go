package cos

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cloud"
)

// bucketTest is a bucket, a credential for it and a server.
type bucketTest struct {
	*Bucket
	srv  *httptest.Server
	cred sandbox.Credential
}

func newBucketTest(t *testing.T) *bucketTest {
	cloud := cloud.New()
	c := &bucketTest{Bucket: New(cloud.Credential), cred: cloud.Issue()}
	c.srv = httptest.NewServer(c.Bucket)
	t.Cleanup(c.srv.Close)
	return c
}

// reply is what a client makes of an answer.
type reply struct {
	status int
	code   string // of an XML error
	body   string
	header http.Header
}

func (r reply) String() string { return strings.TrimSpace(fmt.Sprintf("%d %s", r.status, r.code)) }

func (c *bucketTest) request(ctx context.Context, method, target, body string,
	header map[string]string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, c.srv.URL+target, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	req.Header.Set("x-cos-security-token", c.cred.Token)
	return req
}

func (c *bucketTest) sign(req *http.Request) {
	now := c.Now().Unix()
	signRequest(req, c.cred, now, now+600)
}

func roundTrip(req *http.Request) (reply, error) {
	// so that a reset is not retried by the transport
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	r := reply{status: resp.StatusCode, body: string(body), header: resp.Header}
	var e struct {
		XMLName                                     xml.Name `xml:"Error"`
		Code, Message, Resource, RequestId, TraceId string
	}
	if xml.Unmarshal(body, &e) == nil {
		if r.code = e.Code; e.Message == "" || e.Resource == "" || e.TraceId == "" ||
			e.RequestId != resp.Header.Get("x-cos-request-id") {
			return r, fmt.Errorf("an error lacks a field: %s", body)
		}
	}
	return r, err
}

// try is a right request, and its answer or error.
func (c *bucketTest) try(ctx context.Context, method, target, body string, header map[string]string) (reply,
	error) {
	req := c.request(ctx, method, target, body, header)
	c.sign(req)
	return roundTrip(req)
}

func (c *bucketTest) send(t *testing.T, method, target, body string, header map[string]string) reply {
	t.Helper()
	r, err := c.try(t.Context(), method, target, body, header)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return r
}

func noOverwrite() map[string]string { return map[string]string{"x-cos-forbid-overwrite": "true"} }

func contentMD5(body string) string {
	sum := md5.Sum([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestCOSObjects(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	const body = "two load balancers"
	c.Now = func() time.Time { return time.Unix(1790000000, 0) }
	sum := md5.Sum([]byte(body))
	etag := fmt.Sprintf(`"%x"`, sum)
	crc := fmt.Sprint(crc64.Checksum([]byte(body), crc64.MakeTable(crc64.ECMA)))

	for _, method := range []string{"GET", "HEAD"} {
		r := c.send(t, method, "/p/a", "", nil)
		if want := map[string]string{"GET": "404 NoSuchKey", "HEAD": "404"}[method]; r.String() != want ||
			r.header.Get("x-cos-request-id") == "" {
			t.Errorf("absent: %s %s, want %s with a request id", method, r, want)
		}
		if method == "HEAD" && (r.header.Get("Content-Length") != "0" || r.header.Get("Content-Type") != "") {
			t.Errorf("absent: HEAD announces a body: %v", r.header)
		}
	}
	put := c.send(t, "PUT", "/p%2Fa", body,
		map[string]string{"Content-MD5": contentMD5(body), "Content-Type": "text/plain"})
	get := c.send(t, "GET", "/p/a", "", nil)
	head := c.send(t, "HEAD", "/p/a", "", nil)
	for name, r := range map[string]reply{"put": put, "get": get, "head": head} {
		if r.status != 200 || r.header.Get("ETag") != etag || r.header.Get("x-cos-hash-crc64ecma") != crc ||
			r.header.Get("x-cos-request-id") == "" {
			t.Errorf("%s: %s, headers %v, want ETag %s and crc64 %s", name, r, r.header, etag, crc)
		}
	}
	if get.body != body || head.body != "" || put.body != "" {
		t.Errorf("bodies %q, %q and %q, want only the first", get.body, head.body, put.body)
	}
	for _, r := range []reply{get, head} {
		lm, ct := r.header.Get("Last-Modified"), r.header.Get("Content-Type")
		cl := r.header.Get("Content-Length")
		if lm != "Mon, 21 Sep 2026 14:13:20 GMT" || ct != "text/plain" || cl != fmt.Sprint(len(body)) {
			t.Errorf("last modified %q, type %q, length %s", lm, ct, cl)
		}
	}
	c.Age(24 * time.Hour)
	if lm := c.send(t, "HEAD", "/p/a", "",
		nil).header.Get("Last-Modified"); lm != "Sun, 20 Sep 2026 14:13:20 GMT" {
		t.Errorf("a day older: last modified %q", lm)
	}
	if r := c.send(t, "PUT", "/p/a", "", nil); r.String() != "200" {
		t.Errorf("put over it, empty: %s", r)
	}
	if got, ok := c.Get("p/a"); !ok || len(got) != 0 {
		t.Errorf("the bucket has %q, %v, want an empty object", got, ok)
	}
	for range 2 {
		if r := c.send(t, "DELETE", "/p/a", "", nil); r.String() != "204" {
			t.Errorf("delete: %s, want 204", r)
		}
	}
	if _, ok := c.Get("p/a"); ok {
		t.Error("the deleted key is there")
	}
	want := map[string]int{"GET": 2, "HEAD": 3, "PUT": 2, "DELETE": 2}
	if got := c.Requests(); fmt.Sprint(got) != fmt.Sprint(want) || len(c.Refused()) != 0 {
		t.Errorf("requests %v, want %v; refused %q", got, want, c.Refused())
	}
}

func TestCOSForbidsOverwriting(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, versioning, value, want, stays string }{
		{"never versioned", "", "true", "409 FileAlreadyExists", "old"},
		{"never versioned, not asked for", "", "false", "200", "new"},
		{"versioned", "Enabled", "true", "200", "new"},
		{"versioned once", "Suspended", "true", "200", "new"},
	} {
		c := newBucketTest(t)
		if tt.versioning != "" {
			c.SetVersioning(tt.versioning)
		}
		if r := c.send(t, "PUT", "/k", "old", noOverwrite()); r.String() != "200" {
			t.Errorf("%s: first PUT: %s, want 200", tt.name, r)
		}
		if r := c.send(t, "PUT", "/k", "new",
			map[string]string{"x-cos-forbid-overwrite": tt.value}); r.String() != tt.want {
			t.Errorf("%s: second PUT: %s, want %s", tt.name, r, tt.want)
		}
		if got, _ := c.Get("k"); string(got) != tt.stays {
			t.Errorf("%s: the key holds %q, want %q", tt.name, got, tt.stays)
		}
		status := "<Status>" + tt.versioning + "</Status>"
		if r := c.send(t, "GET", "/?versioning", "", nil); r.status != 200 ||
			strings.Contains(r.body, "Status") != (tt.versioning != "") ||
			tt.versioning != "" && !strings.Contains(r.body, status) {
			t.Errorf("%s: status %s", tt.name, r.body)
		}
	}
}

func TestCOSOneOfManyWritersWins(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for i := range 16 {
		wg.Go(func() {
			r, err := c.try(t.Context(), "PUT", "/k", fmt.Sprint(i), noOverwrite())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[r.String()]++
			c.Keys("")
			c.Age(time.Second)
		})
	}
	wg.Wait()
	if got["200"] != 1 || got["409 FileAlreadyExists"] != 15 {
		t.Errorf("answers %v, want one 200 and 15 409", got)
	}
}

// listReply is a listing as a client reads it.
type listReply struct {
	XMLName                                        xml.Name `xml:"ListBucketResult"`
	Name, Prefix, Marker, NextMarker, EncodingType string
	MaxKeys                                        int
	IsTruncated                                    bool
	Contents                                       []struct {
		Key, LastModified, ETag string
		Size                    int
	}
}

func (l listReply) String() string {
	var keys []string
	for _, o := range l.Contents {
		keys = append(keys, o.Key)
	}
	return fmt.Sprintf("%v next %q", keys, l.NextMarker)
}

func (c *bucketTest) list(t *testing.T, query string) (l listReply) {
	t.Helper()
	r := c.send(t, "GET", "/?"+query, "", nil)
	if err := xml.Unmarshal([]byte(r.body), &l); err != nil || r.status != 200 {
		t.Fatalf("list %s: %s, %v, body %s", query, r, err, r.body)
	}
	return l
}

func TestCOSLists(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.Now = func() time.Time { return time.Unix(1790000000, 5e6) }
	for _, key := range []string{"p/b", "p/a", "p/c", "q/<&>", "q/头 1"} {
		c.Put(key, []byte(key))
	}
	for query, want := range map[string]string{
		"":                                `[p/a p/b p/c q/<&> q/头 1] next ""`,
		"prefix=p/":                       `[p/a p/b p/c] next ""`,
		"prefix=p/&max-keys=2":            `[p/a p/b] next "p/b"`,
		"prefix=p/&max-keys=2&marker=p/b": `[p/c] next ""`,
		"prefix=p/&max-keys=3":            `[p/a p/b p/c] next ""`,
		"marker=p/bb&max-keys=1":          `[p/c] next "p/c"`,
		"prefix=q/&encoding-type=url":     `[q%2F%3C%26%3E q%2F%E5%A4%B4%201] next ""`,
		"prefix=x":                        `[] next ""`,
	} {
		l := c.list(t, query)
		if l.String() != want || l.IsTruncated != (l.NextMarker != "") {
			t.Errorf("%q: %s (truncated %v), want %s", query, l, l.IsTruncated, want)
		}
	}
	l := c.list(t, "prefix=q/&max-keys=1&encoding-type=url&marker=q/")
	if l.MaxKeys != 1 || l.Prefix != "q%2F" || l.Marker != "q%2F" || l.NextMarker != "q%2F%3C%26%3E" ||
		l.EncodingType != "url" || l.Name == "" {
		t.Errorf("%+v", l)
	}
	o := l.Contents[0]
	if o.Size != 5 || o.LastModified != "2026-09-21T14:13:20.005Z" ||
		o.ETag != fmt.Sprintf(`"%x"`, md5.Sum([]byte("q/<&>"))) {
		t.Errorf("%+v", o)
	}
	for i := range 1001 {
		c.Put(fmt.Sprintf("many/%04d", i), nil)
	}
	if l := c.list(t, "prefix=many/"); len(l.Contents) != 1000 || l.MaxKeys != 1000 ||
		l.NextMarker != "many/0999" {
		t.Errorf("%d of 1001 keys, at most %d, next %q", len(l.Contents), l.MaxKeys, l.NextMarker)
	}
}

func TestCOSDeletesMany(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.Prefix = "p/"
	multi := func(body string) reply {
		return c.send(t, "POST", "/?delete", body, map[string]string{"Content-MD5": contentMD5(body)})
	}
	for _, key := range []string{"p/a", "p/b", "p/c", "q/a"} {
		c.Put(key, nil)
	}
	r := multi("<Delete><Quiet>false</Quiet><Object><Key>p/a</Key></Object>" +
		"<Object><Key>p/none</Key></Object><Object><Key>q/a</Key></Object></Delete>")
	if r.status != 200 || strings.Count(r.body, "<Deleted>") != 2 ||
		strings.Count(r.body, "<Code>AccessDenied</Code>") != 1 {
		t.Errorf("%s: %s", r, r.body)
	}
	if r := multi("<Delete><Quiet>true</Quiet><Object><Key>p/b</Key></Object></Delete>"); r.status != 200 ||
		strings.Contains(r.body, "Deleted") {
		t.Errorf("quiet: %s: %s", r, r.body)
	}
	if got := c.Keys(""); !slices.Equal(got, []string{"p/c", "q/a"}) {
		t.Errorf("left: %q", got)
	}
	for body, want := range map[string]string{
		"nothing":           "400 MalformedXML",
		"<Delete></Delete>": "400 MalformedXML",
		"<Delete>" + strings.Repeat("<Object><Key>p/c</Key></Object>", 1001) +
			"</Delete>": "400 MalformedXML",
	} {
		if r := multi(body); r.String() != want {
			t.Errorf("%.40s: %s, want %s", body, r, want)
		}
	}
	if r := c.send(t, "POST", "/?delete", "<Delete><Object><Key>p/c</Key></Object></Delete>",
		nil); r.String() != "400 InvalidArgument" {
		t.Errorf("without Content-MD5: %s", r)
	}
	if got := c.Requests()["DELETE"]; got != 6 {
		t.Errorf("%d requests, want 6", got)
	}
}

func TestCOSSharesNothing(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	content := []byte("held")
	c.Put("k", content)
	content[0] = 'x'
	got, _ := c.Get("k")
	got[0] = 'y'
	if r := c.send(t, "GET", "/k", "", nil); r.body != "held" {
		t.Errorf("the bucket holds %q, want held", r.body)
	}
	c.Requests()["GET"] = 7
	if n := c.Requests()["GET"]; n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestAdvanceMovesDateAndLastModifiedAndNoSignature(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.Advance(time.Hour)
	put := c.send(t, http.MethodPut, "/a", "x", nil) // signed by the real time
	got := c.send(t, http.MethodGet, "/a", "", nil)
	if put.status != http.StatusOK || got.status != http.StatusOK {
		t.Fatalf("PUT = %v, GET = %v, want both done", put, got)
	}
	for _, name := range []string{"Date", "Last-Modified"} {
		at, err := http.ParseTime(got.header.Get(name))
		if ahead := time.Until(at); err != nil || ahead < 59*time.Minute || ahead > time.Hour {
			t.Errorf("%s is %q, %v ahead, want an hour", name, got.header.Get(name), ahead)
		}
	}
}
