package cos

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cloud"
)

// percentEncode percent-encodes a string as the documentation has it.
func percentEncode(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// signRequest signs a request as the documentation has it, written apart from the code under test. Headers named in
// unsigned are left out.
func signRequest(r *http.Request, cr sandbox.Credential, from, to int64, unsigned ...string) {
	mac := func(key, text string) string {
		m := hmac.New(sha1.New, []byte(key))
		_, _ = io.WriteString(m, text)
		return fmt.Sprintf("%x", m.Sum(nil))
	}
	join := func(values map[string]string) (names, text string) {
		var keys, parts []string
		for k := range values {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			parts = append(parts, k+"="+percentEncode(values[k]))
		}
		return strings.Join(keys, ";"), strings.Join(parts, "&")
	}
	params := map[string]string{}
	for k, v := range r.URL.Query() {
		params[strings.ToLower(percentEncode(k))] = v[0]
	}
	headers := map[string]string{"host": r.Host}
	for k, v := range r.Header {
		if k = strings.ToLower(k); k != "authorization" && !slices.Contains(unsigned, k) {
			headers[k] = v[0]
		}
	}
	paramList, paramText := join(params)
	headerList, headerText := join(headers)
	keyTime := fmt.Sprintf("%d;%d", from, to)
	what := fmt.Sprintf("%x", sha1.Sum([]byte(strings.ToLower(r.Method)+"\n"+r.URL.Path+"\n"+paramText+"\n"+headerText+"\n")))
	r.Header.Set("Authorization", fmt.Sprintf("q-sign-algorithm=sha1&q-ak=%s&q-sign-time=%s&q-key-time=%s&q-header-list=%s&q-url-param-list=%s&q-signature=%s",
		cr.SecretID, keyTime, keyTime, headerList, paramList, mac(mac(cr.SecretKey, keyTime), "sha1\n"+keyTime+"\n"+what+"\n")))
}

// The vectors were computed once with cos-go-sdk-v5 v0.7.70.
func TestCOSSignatureVectors(t *testing.T) {
	t.Parallel()
	cr := sandbox.Credential{SecretID: "AKIDvector", SecretKey: "vectorKey", Token: "vectorToken"}
	c := New(func(string) (sandbox.Credential, bool) { return cr, true })
	c.Now = func() time.Time { return time.Unix(1790000000, 0) }
	const head = "q-sign-algorithm=sha1&q-ak=AKIDvector&q-sign-time=1790000000;1790003600&q-key-time=1790000000;1790003600&q-header-list="
	tests := []struct {
		method, target, body string
		header               map[string]string
		want                 string
	}{
		{"PUT", "/state%2Fhead%2F0001%20%E5%A4%B4.json", "{}", map[string]string{
			"x-cos-forbid-overwrite": "true", "Content-Type": "application/json", "Content-Length": "2", "Content-MD5": "mZFLkyvTelC5g8XnyQrpOw==",
		}, head + "content-length;content-md5;content-type;host;x-cos-forbid-overwrite;x-cos-security-token&q-url-param-list=&" +
			"q-signature=bf7d5240a578f9042fb59c2174c83b101047e648"},
		{"GET", "/?prefix=state%2Fhead%2F&marker=state%2Fhead%2Fa%21%27%28%29%2A~b&max-keys=1", "", nil, head +
			"host;x-cos-security-token&q-url-param-list=marker;max-keys;prefix&q-signature=110e08f12bc83eaea46e4f7b814410508f65ca37"},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(tt.method, "http://alerts-1250000000.cos.ap-guangzhou.myqcloud.com"+tt.target, strings.NewReader(tt.body))
		for k, v := range tt.header {
			r.Header.Set(k, v)
		}
		r.Header.Set("x-cos-security-token", cr.Token)
		signRequest(r, cr, 1790000000, 1790003600)
		if got := r.Header.Get("Authorization"); got != tt.want {
			t.Errorf("%s: the test's signature is\n%s, want\n%s", tt.method, got, tt.want)
		}
		r.Header.Set("Authorization", tt.want)
		w := httptest.NewRecorder()
		if c.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s, want 200; refused %q", tt.method, w.Code, w.Body, c.Refused())
		}
	}
	if got := c.Keys(""); !slices.Equal(got, []string{"state/head/0001 头.json"}) {
		t.Errorf("keys %q", got)
	}
}

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

func (c *bucketTest) request(ctx context.Context, method, target, body string, header map[string]string) *http.Request {
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
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // so that a reset is not retried by the transport
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
		if r.code = e.Code; e.Message == "" || e.Resource == "" || e.TraceId == "" || e.RequestId != resp.Header.Get("x-cos-request-id") {
			return r, fmt.Errorf("an error lacks a field: %s", body)
		}
	}
	return r, err
}

// try is a right request, and its answer or error.
func (c *bucketTest) try(ctx context.Context, method, target, body string, header map[string]string) (reply, error) {
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
		if want := map[string]string{"GET": "404 NoSuchKey", "HEAD": "404"}[method]; r.String() != want || r.header.Get("x-cos-request-id") == "" {
			t.Errorf("absent: %s %s, want %s with a request id", method, r, want)
		}
		if method == "HEAD" && (r.header.Get("Content-Length") != "0" || r.header.Get("Content-Type") != "") {
			t.Errorf("absent: HEAD announces a body: %v", r.header)
		}
	}
	put := c.send(t, "PUT", "/p%2Fa", body, map[string]string{"Content-MD5": contentMD5(body), "Content-Type": "text/plain"})
	get := c.send(t, "GET", "/p/a", "", nil)
	head := c.send(t, "HEAD", "/p/a", "", nil)
	for name, r := range map[string]reply{"put": put, "get": get, "head": head} {
		if r.status != 200 || r.header.Get("ETag") != etag || r.header.Get("x-cos-hash-crc64ecma") != crc || r.header.Get("x-cos-request-id") == "" {
			t.Errorf("%s: %s, headers %v, want ETag %s and crc64 %s", name, r, r.header, etag, crc)
		}
	}
	if get.body != body || head.body != "" || put.body != "" {
		t.Errorf("bodies %q, %q and %q, want only the first", get.body, head.body, put.body)
	}
	for _, r := range []reply{get, head} {
		if lm, ct, cl := r.header.Get("Last-Modified"), r.header.Get("Content-Type"), r.header.Get("Content-Length"); lm != "Mon, 21 Sep 2026 14:13:20 GMT" ||
			ct != "text/plain" || cl != fmt.Sprint(len(body)) {
			t.Errorf("last modified %q, type %q, length %s", lm, ct, cl)
		}
	}
	c.Age(24 * time.Hour)
	if lm := c.send(t, "HEAD", "/p/a", "", nil).header.Get("Last-Modified"); lm != "Sun, 20 Sep 2026 14:13:20 GMT" {
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
		if r := c.send(t, "PUT", "/k", "new", map[string]string{"x-cos-forbid-overwrite": tt.value}); r.String() != tt.want {
			t.Errorf("%s: second PUT: %s, want %s", tt.name, r, tt.want)
		}
		if got, _ := c.Get("k"); string(got) != tt.stays {
			t.Errorf("%s: the key holds %q, want %q", tt.name, got, tt.stays)
		}
		status := "<Status>" + tt.versioning + "</Status>"
		if r := c.send(t, "GET", "/?versioning", "", nil); r.status != 200 || strings.Contains(r.body, "Status") != (tt.versioning != "") ||
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
	if l.MaxKeys != 1 || l.Prefix != "q%2F" || l.Marker != "q%2F" || l.NextMarker != "q%2F%3C%26%3E" || l.EncodingType != "url" || l.Name == "" {
		t.Errorf("%+v", l)
	}
	if o := l.Contents[0]; o.Size != 5 || o.LastModified != "2026-09-21T14:13:20.005Z" || o.ETag != fmt.Sprintf(`"%x"`, md5.Sum([]byte("q/<&>"))) {
		t.Errorf("%+v", o)
	}
	for i := range 1001 {
		c.Put(fmt.Sprintf("many/%04d", i), nil)
	}
	if l := c.list(t, "prefix=many/"); len(l.Contents) != 1000 || l.MaxKeys != 1000 || l.NextMarker != "many/0999" {
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
	r := multi("<Delete><Quiet>false</Quiet><Object><Key>p/a</Key></Object><Object><Key>p/none</Key></Object><Object><Key>q/a</Key></Object></Delete>")
	if r.status != 200 || strings.Count(r.body, "<Deleted>") != 2 || strings.Count(r.body, "<Code>AccessDenied</Code>") != 1 {
		t.Errorf("%s: %s", r, r.body)
	}
	if r := multi("<Delete><Quiet>true</Quiet><Object><Key>p/b</Key></Object></Delete>"); r.status != 200 || strings.Contains(r.body, "Deleted") {
		t.Errorf("quiet: %s: %s", r, r.body)
	}
	if got := c.Keys(""); !slices.Equal(got, []string{"p/c", "q/a"}) {
		t.Errorf("left: %q", got)
	}
	for body, want := range map[string]string{
		"nothing":           "400 MalformedXML",
		"<Delete></Delete>": "400 MalformedXML",
		"<Delete>" + strings.Repeat("<Object><Key>p/c</Key></Object>", 1001) + "</Delete>": "400 MalformedXML",
	} {
		if r := multi(body); r.String() != want {
			t.Errorf("%.40s: %s, want %s", body, r, want)
		}
	}
	if r := c.send(t, "POST", "/?delete", "<Delete><Object><Key>p/c</Key></Object></Delete>", nil); r.String() != "400 InvalidArgument" {
		t.Errorf("without Content-MD5: %s", r)
	}
	if got := c.Requests()["DELETE"]; got != 6 {
		t.Errorf("%d requests, want 6", got)
	}
}

func TestCOSRefuses(t *testing.T) {
	t.Parallel()
	const sixHundred = 600
	resign := func(from, to time.Duration) func(*bucketTest, *http.Request) {
		return func(c *bucketTest, r *http.Request) {
			now := time.Now()
			signRequest(r, c.cred, now.Add(from).Unix(), now.Add(to).Unix())
		}
	}
	as := func(change func(*sandbox.Credential)) func(*bucketTest, *http.Request) {
		return func(c *bucketTest, r *http.Request) {
			cr := c.cred
			change(&cr)
			now := time.Now().Unix()
			signRequest(r, cr, now, now+sixHundred)
		}
	}
	edit := func(before, after string) func(*bucketTest, *http.Request) {
		return func(c *bucketTest, r *http.Request) {
			c.sign(r)
			a := r.Header.Get("Authorization")
			if !strings.Contains(a, before) {
				panic(a)
			}
			r.Header.Set("Authorization", strings.Replace(a, before, after, 1))
		}
	}
	header := func(key, value string) func(*bucketTest, *http.Request) {
		return func(c *bucketTest, r *http.Request) {
			r.Header.Set(key, value)
			c.sign(r)
		}
	}
	const mismatch, denied, invalid, absent = "403 SignatureDoesNotMatch", "403 AccessDenied", "400 InvalidArgument", "501 NotImplemented"
	tests := []struct {
		name, method, target, body string
		prepare                    func(*bucketTest, *http.Request) // signs, rightly if nil
		want, why                  string                           // why is part of the reason
	}{
		{"nothing wrong", "PUT", "/p/k", "x", nil, "200", ""},
		{"nothing wrong, signed a minute ago", "GET", "/p/a", "", resign(-time.Minute, time.Minute), "200", ""},
		{"anonymous", "GET", "/p/a", "", func(*bucketTest, *http.Request) {}, denied, "Authorization is missing"},
		{"expired", "GET", "/p/a", "", resign(-time.Hour, -time.Minute), denied, "Request has expired"},
		{"signed for the future", "GET", "/p/a", "", resign(time.Minute, time.Hour), denied, "Request has expired"},
		{"unknown secret id", "GET", "/p/a", "", as(func(cr *sandbox.Credential) { cr.SecretID = "AKIDnobody" }), "403 InvalidAccessKeyId", "AKIDnobody"},
		{"wrong key", "GET", "/p/a", "", as(func(cr *sandbox.Credential) { cr.SecretKey += "x" }), mismatch, ""},
		{"another algorithm", "GET", "/p/a", "", edit("=sha1", "=sha256"), mismatch, "algorithm"},
		{"no secret id", "GET", "/p/a", "", edit("&q-ak=", "&q-x="), mismatch, "q-ak is missing"},
		{"a field twice", "GET", "/p/a", "", edit("&q-url", "&q-ak=x&q-url"), mismatch, "given twice"},
		{"a field too many", "GET", "/p/a", "", edit("&q-url", "&q-x=x&q-url"), mismatch, "too many"},
		{"times that differ", "GET", "/p/a", "", edit("q-sign-time=", "q-sign-time=1"), mismatch, "start;end"},
		{"times in words", "GET", "/p/a", "", func(c *bucketTest, r *http.Request) {
			r.Header.Set("Authorization", "q-sign-algorithm=sha1&q-ak=x&q-sign-time=a;b&q-key-time=a;b&q-header-list=&q-url-param-list=&q-signature=")
		}, mismatch, "start;end"},
		{"header list in capitals", "GET", "/p/a", "", edit("=host;", "=Host;"), mismatch, "lower case"},
		{"header list in disorder", "GET", "/p/a", "", edit("host;x-cos-security-token", "x-cos-security-token;host"), mismatch, "in order"},
		{"another key than signed", "GET", "/p/a", "", func(c *bucketTest, r *http.Request) {
			c.sign(r)
			r.URL.Path = "/p/b"
		}, mismatch, ""},
		{"another parameter than signed", "GET", "/?prefix=p/", "", func(c *bucketTest, r *http.Request) {
			c.sign(r)
			r.URL.RawQuery = "prefix=p/p"
		}, mismatch, ""},
		{"another method than signed", "GET", "/p/a", "", func(c *bucketTest, r *http.Request) {
			c.sign(r)
			r.Method = "DELETE"
		}, mismatch, ""},
		{"forbid-overwrite not signed", "PUT", "/p/k", "x", func(c *bucketTest, r *http.Request) {
			r.Header.Set("x-cos-forbid-overwrite", "true")
			now := time.Now().Unix()
			signRequest(r, c.cred, now, now+sixHundred, "x-cos-forbid-overwrite")
		}, mismatch, "x-cos-forbid-overwrite is not signed"},
		{"no token", "GET", "/p/a", "", func(c *bucketTest, r *http.Request) {
			r.Header.Del("x-cos-security-token")
			c.sign(r)
		}, denied, "x-cos-security-token"},
		{"wrong token", "GET", "/p/a", "", header("x-cos-security-token", "x"), denied, "x-cos-security-token"},
		{"wrong forbid-overwrite", "PUT", "/p/k", "x", header("x-cos-forbid-overwrite", "yes"), invalid, "yes"},
		{"digest that is none", "PUT", "/p/k", "x", header("Content-MD5", "eA=="), "400 InvalidDigest", ""},
		{"digest of something else", "PUT", "/p/k", "x", header("Content-MD5", contentMD5("y")), "400 BadDigest", ""},
		{"no length", "PUT", "/p/k", "x", func(c *bucketTest, r *http.Request) {
			r.ContentLength = -1
			c.sign(r)
		}, "411 MissingContentLength", ""},
		{"key too long", "PUT", "/p/" + strings.Repeat("k", 849), "", nil, "400 KeyTooLong", ""},
		{"key outside the prefix, put", "PUT", "/k", "x", nil, denied, "PUT, key k"},
		{"key outside the prefix, get", "GET", "/pa", "", nil, denied, "GET, key pa"},
		{"key outside the prefix, head", "HEAD", "/k", "", nil, "403", "HEAD, key k"},
		{"key outside the prefix, delete", "DELETE", "/k", "", nil, denied, "DELETE, key k"},
		{"listing outside the prefix", "GET", "/?prefix=p", "", nil, denied, "listing of prefix p"},
		{"listing of everything", "GET", "/", "", nil, denied, "listing"},
		{"delimiter", "GET", "/?prefix=p/&delimiter=/", "", nil, absent, "delimiter"},
		{"too many keys", "GET", "/?prefix=p/&max-keys=1001", "", nil, invalid, "max-keys"},
		{"no keys", "GET", "/?prefix=p/&max-keys=0", "", nil, invalid, "max-keys"},
		{"another encoding", "GET", "/?prefix=p/&encoding-type=base64", "", nil, invalid, "encoding-type"},
		{"a parameter twice", "GET", "/?prefix=p/", "", func(c *bucketTest, r *http.Request) {
			c.sign(r)
			r.URL.RawQuery += "&marker=p/a&marker=p/b" // which need not be signed
		}, invalid, "marker is given 2 times"},
		{"a broken query", "GET", "/?prefix=p/&x=%zz", "", nil, invalid, "query"},
		{"an acl", "GET", "/p/a?acl", "", nil, absent, "parameter acl"},
		{"an old version", "DELETE", "/p/a?versionId=1", "", nil, absent, "parameter versionId"},
		{"metadata", "PUT", "/p/k", "x", header("x-cos-meta-writer", "me"), absent, "x-cos-meta-writer"},
		{"compare and swap, which COS has not", "PUT", "/p/k", "x", header("If-None-Match", "*"), absent, "if-none-match"},
		{"a range", "GET", "/p/a", "", header("Range", "bytes=0-1"), absent, "range"},
		{"making a bucket", "PUT", "/", "", nil, "405 MethodNotAllowed", "PUT /"},
		{"appending", "POST", "/p/a?append&position=0", "x", nil, "405 MethodNotAllowed", "POST /p/a"},
	}
	for _, tt := range tests {
		c := newBucketTest(t)
		c.Prefix = "p/"
		c.Put("p/a", []byte("here"))
		c.Fail("", Answers(500, "InternalError"), -1)
		if tt.want == "200" {
			c.ClearFaults()
		}
		req := c.request(t.Context(), tt.method, tt.target, tt.body, nil)
		if tt.prepare == nil {
			tt.prepare = func(c *bucketTest, r *http.Request) { c.sign(r) }
		}
		tt.prepare(c, req)
		got, err := roundTrip(req)
		if err != nil || got.String() != tt.want {
			t.Errorf("%s: %s, error %v, want %s; refused %q", tt.name, got, err, tt.want, c.Refused())
		}
		why := c.Refused()
		if tt.want == "200" && len(why) != 0 || tt.want != "200" && (len(why) != 1 || !strings.Contains(why[0], tt.why) || !strings.HasPrefix(why[0], tt.want)) {
			t.Errorf("%s: refused %q, want one reason with %q", tt.name, why, tt.why)
		}
		if tt.want != "200" && !slices.Equal(c.Keys(""), []string{"p/a"}) {
			t.Errorf("%s: it had an effect, keys are %q", tt.name, c.Keys(""))
		}
	}
}

func TestCOSRefusesALongTermKeyWithAToken(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.accepts = func(id string) (sandbox.Credential, bool) {
		return sandbox.Credential{SecretID: id, SecretKey: c.cred.SecretKey}, true
	}
	if r := c.send(t, "PUT", "/k", "x", nil); r.String() != "403 AccessDenied" {
		t.Errorf("with a token: %s", r)
	}
	req := c.request(t.Context(), "PUT", "/k", "x", nil)
	req.Header.Del("x-cos-security-token")
	c.sign(req)
	if r, err := roundTrip(req); err != nil || r.String() != "200" {
		t.Errorf("without: %s, error %v", r, err)
	}
}

func TestCOSRefusesListingsOnly(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.DenyList = true
	for target, want := range map[string]string{"/?prefix=p/": "403 AccessDenied", "/?versioning": "200", "/k": "404 NoSuchKey"} {
		if r := c.send(t, "GET", target, "", nil); r.String() != want {
			t.Errorf("GET %s: %s, want %s", target, r, want)
		}
	}
}

// A body that is announced larger than allowed is not read, one that is shorter than announced is not stored.
func TestCOSBoundsBodies(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	for want, body := range map[string]io.Reader{
		"EntityTooLarge": http.NoBody,
		"IncompleteBody": io.MultiReader(strings.NewReader("half"), errReader{}),
	} {
		r := httptest.NewRequest("PUT", c.srv.URL+"/k", body)
		r.ContentLength = 8
		if want == "EntityTooLarge" {
			r.ContentLength = maxObject + 1
		}
		r.Header.Set("x-cos-security-token", c.cred.Token)
		c.sign(r)
		w := httptest.NewRecorder()
		if c.ServeHTTP(w, r); w.Code != 400 || !strings.Contains(w.Body.String(), want) || len(c.Keys("")) != 0 {
			t.Errorf("%d %s, want 400 %s", w.Code, w.Body, want)
		}
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What a client sees of each fault, and what the bucket holds afterwards.
func TestCOSFaults(t *testing.T) {
	t.Parallel()
	const list = "/?prefix=p/"
	tests := []struct {
		fault          Fault
		method, target string
		want           string // status, code and a part of the body, or a part of the error
		applied        bool   // of a PUT to p/new or a DELETE of p/a
	}{
		{Answers(403, "AccessDenied"), "GET", "/p/a", "403 AccessDenied", false},
		{Answers(403, "AccessDenied"), "HEAD", "/p/a", "403", false},
		{Answers(404, "NoSuchKey"), "GET", "/p/a", "404 NoSuchKey", false},
		{Answers(404, "NoSuchBucket"), "GET", list, "404 NoSuchBucket", false},
		{Answers(500, "InternalError"), "GET", "/?versioning", "500 InternalError", false},
		{Answers(503, "SlowDown"), "PUT", "/p/new", "503 SlowDown", false},
		{Answers(503, "SlowDown"), "DELETE", "/p/a", "503 SlowDown", false},
		{HTML(), "PUT", "/p/new", "200 <html>", false},
		{HTML(), "GET", list, "200 <html>", false},
		{Reset(), "PUT", "/p/new", "connection reset", false},
		{Reset(), "DELETE", "/p/a", "connection reset", false},
		{AppliesThenAnswers(500, "InternalError"), "PUT", "/p/new", "500 InternalError", true},
		{AppliesThenAnswers(503, "SlowDown"), "DELETE", "/p/a", "503 SlowDown", true},
		{AppliesThenDrops(), "PUT", "/p/new", "connection reset", true},
		{AppliesThenDrops(), "DELETE", "/p/a", "connection reset", true},
		{Cut(), "GET", "/p/a", "unexpected EOF", false},
		{Cut(), "GET", list, "unexpected EOF", false},
		{Flip(), "GET", "/p/a", "200 hemd", false}, // "held", but for one bit
		{Delay(time.Millisecond), "PUT", "/p/new", "200", true},
		{StaleList(1), "GET", list, "200 [p/a] next", false},
		{StaleList(2), "GET", list, "200 [] next", false},
		{EmptyList(), "GET", list, "200 [] next", false},
		{NoChecksum(), "PUT", "/p/new", "200 crc absent", true},
		{WrongChecksum(), "PUT", "/p/new", "200 crc wrong", true},
		{Overwrites(), "PUT", "/p/a", "200", true},
	}
	tested := map[string]bool{}
	for _, tt := range tests {
		tested[tt.fault.String()] = true
		t.Run(tt.fault.String()+" "+tt.method, func(t *testing.T) {
			t.Parallel()
			c := newBucketTest(t)
			c.Put("p/a", []byte("held"))
			c.Put("p/b", nil)
			op := tt.method
			if tt.target == list {
				op = "LIST"
			}
			if strings.HasSuffix(tt.target, "versioning") {
				op = "VERSIONING"
			}
			c.Fail(op, tt.fault, 1)
			var h map[string]string
			if tt.method == "PUT" {
				h = noOverwrite()
			}
			r, err := c.try(t.Context(), tt.method, tt.target, map[string]string{"PUT": "new"}[tt.method], h)
			if got := tell(r, err, tt.target == list); !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s; body %q", got, tt.want, r.body)
			}
			applied := slices.Contains(c.Keys(""), "p/new") || !slices.Contains(c.Keys(""), "p/a")
			if a, ok := c.Get("p/a"); ok && string(a) != "held" {
				applied = true
			}
			if applied != tt.applied {
				t.Errorf("applied is %v, want %v; keys %q", applied, tt.applied, c.Keys(""))
			}
			c.Put("p/a", []byte("held"))
			if r := c.send(t, "GET", "/p/a", "", nil); r.body != "held" {
				t.Errorf("after the fault: %s %q", r, r.body)
			}
			if len(c.Refused()) != 0 {
				t.Errorf("a fault is no refusal: %q", c.Refused())
			}
		})
	}
	for _, f := range Faults() {
		if !tested[f.String()] {
			t.Errorf("no test of %q", f)
		}
	}
}

func tell(r reply, err error, list bool) string {
	if err != nil {
		return err.Error()
	}
	got := r.String() + " "
	var l listReply
	switch crc := r.header.Get("x-cos-hash-crc64ecma"); {
	case list && xml.Unmarshal([]byte(r.body), &l) == nil:
		return got + l.String()
	case r.status == 200 && crc == "" && r.body == "":
		return got + "crc absent"
	case crc != "" && r.body == "" && crc != fmt.Sprint(crc64.Checksum([]byte("new"), crc64.MakeTable(crc64.ECMA))):
		return got + "crc wrong"
	}
	return got + r.body
}

func TestCOSFlipsOneBitAndKeepsTheChecksum(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.Put("k", []byte("held"))
	right := c.send(t, "GET", "/k", "", nil)
	c.Fail("GET", Flip(), 1)
	wrong := c.send(t, "GET", "/k", "", nil)
	if wrong.body == right.body || len(wrong.body) != len(right.body) {
		t.Errorf("%q, want one bit of %q changed", wrong.body, right.body)
	}
	if again := c.send(t, "GET", "/k", "", nil); again.body != right.body {
		t.Errorf("then the bucket holds %q, want %q", again.body, right.body)
	}
	for _, h := range []string{"x-cos-hash-crc64ecma", "ETag"} {
		if wrong.header.Get(h) != right.header.Get(h) {
			t.Errorf("%s is %q, want %q", h, wrong.header.Get(h), right.header.Get(h))
		}
	}
}

// A writer that tries again after a lost answer meets 409 for what it wrote itself.
func TestCOSLostAnswerThenConflict(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.Fail("PUT", AppliesThenDrops(), 1)
	if _, err := c.try(t.Context(), "PUT", "/k", "mine", noOverwrite()); err == nil {
		t.Error("the answer was not lost")
	}
	if r := c.send(t, "PUT", "/k", "mine", noOverwrite()); r.String() != "409 FileAlreadyExists" {
		t.Errorf("again: %s, want 409", r)
	}
	if got, _ := c.Get("k"); string(got) != "mine" {
		t.Errorf("the key holds %q", got)
	}
}

func TestCOSFaultsCount(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.Put("k", []byte("first"))
	c.Fail("GET", Answers(500, "InternalError"), 2)
	get := func() string { return c.send(t, "GET", "/k", "", nil).String() }
	if got := c.send(t, "HEAD", "/k", "", nil).String(); got != "200" {
		t.Errorf("another operation met the fault: %s", got)
	}
	if got := []string{get(), get(), get()}; !slices.Equal(got, []string{"500 InternalError", "500 InternalError", "200"}) {
		t.Errorf("twice: %q", got)
	}
	c.Fail("", Answers(503, "SlowDown"), -1)
	c.Fail("GET", Answers(403, "AccessDenied"), 1)
	if got := []string{get(), get(), c.send(t, "PUT", "/x", "", nil).String()}; !slices.Equal(got, []string{"403 AccessDenied", "503 SlowDown", "503 SlowDown"}) {
		t.Errorf("its own first, then everyone's: %q", got)
	}
	c.ClearFaults()
	if got := get(); got != "200" {
		t.Errorf("cleared: %s", got)
	}
	// The fault of a race waits for one.
	c.Fail("", Overwrites(), 1)
	var got []string
	for _, key := range []string{"/new", "/k", "/k"} {
		got = append(got, c.send(t, "PUT", key, "again", noOverwrite()).String())
	}
	if k, _ := c.Get("k"); !slices.Equal(got, []string{"200", "200", "409 FileAlreadyExists"}) || string(k) != "again" {
		t.Errorf("%q, and the key holds %q", got, k)
	}
	c.Fail("", Cut(), 1)
	c.Fail("", StaleList(1), 1)
	if r := c.send(t, "PUT", "/k", "x", nil); r.String() != "200" {
		t.Errorf("a PUT met a fault of reading: %s", r)
	}
	if r, err := c.try(t.Context(), "GET", "/k", "", nil); err == nil {
		t.Errorf("a PUT used up a fault of reading: GET %s", r)
	}
}

func TestCOSStaleListing(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	for i := range maxChanges {
		c.Put(fmt.Sprintf("old/%03d", i), nil)
	}
	c.Put("a", []byte("1"))
	c.Put("a", []byte("22"))
	c.Delete("a")
	c.Delete("a") // no change
	c.send(t, "PUT", "/b", "", nil)
	for changes, want := range map[int]string{0: "b 0", 1: "", 2: "a 2", 3: "a 1", 4: ""} {
		c.Fail("LIST", StaleList(changes), 1)
		got := ""
		for _, o := range c.list(t, "max-keys=1").Contents {
			if !strings.HasPrefix(o.Key, "old/") {
				got = fmt.Sprintf("%s %d", o.Key, o.Size)
			}
		}
		if got != want {
			t.Errorf("%d changes ago: %q, want %q", changes, got, want)
		}
	}
	c.Fail("LIST", StaleList(1000), 1)
	if got := len(c.list(t, "prefix=old/").Contents); got != 4 {
		t.Errorf("longer ago than is remembered: %d keys, want 4", got)
	}
}

func TestCOSHangsUntilTheClientGoesAway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault   Fault
		applied bool
	}{{Hang(), false}, {AppliesThenHangs(), true}, {Delay(time.Hour), true}} {
		c := newBucketTest(t)
		c.Fail("PUT", tt.fault, 1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := c.try(ctx, "PUT", "/k", "x", nil)
			ended <- err
		}()
		stored := func() bool {
			_, ok := c.Get("k")
			return ok
		}
		for c.Requests()["PUT"] == 0 || tt.applied && !stored() {
			runtime.Gosched()
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want that it was cancelled", tt.fault, err)
		}
		c.srv.Close() // waits for its handlers: if one hung on, the test would not end
		if stored() != tt.applied {
			t.Errorf("%s: stored is %v, want %v", tt.fault, stored(), tt.applied)
		}
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

// A revoked credential is no longer accepted by the bucket of the same cloud.
func TestCOSFollowsTheCloudsCredentials(t *testing.T) {
	t.Parallel()
	cloud := cloud.New()
	cr := cloud.Issue()
	if got, ok := cloud.Credential(cr.SecretID); !ok || got != cr {
		t.Errorf("%v, %v, want %v", got, ok, cr)
	}
	c := &bucketTest{Bucket: New(cloud.Credential), cred: cr}
	c.srv = httptest.NewServer(c.Bucket)
	t.Cleanup(c.srv.Close)
	cloud.Revoke(cr.SecretID)
	if r := c.send(t, "GET", "/k", "", nil); r.String() != "403 InvalidAccessKeyId" {
		t.Errorf("revoked: %s", r)
	}
}

func TestCOSKeepsTheLastRefusals(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	for i := range maxRefused + 1 {
		c.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprintf("/%d?x=%%zz", i), nil))
		c.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/k", nil))
	}
	if got := c.Refused(); len(got) != maxRefused || !strings.HasPrefix(got[0], "400") || !strings.HasPrefix(got[maxRefused-1], "403") {
		t.Errorf("%d refusals, from %q to %q", len(got), got[0], got[len(got)-1])
	}
}

func FuzzParseAuthorization(f *testing.F) {
	f.Add("q-sign-algorithm=sha1&q-ak=x&q-sign-time=1;2&q-key-time=1;2&q-header-list=host&q-url-param-list=&q-signature=00")
	f.Add("&=&;")
	r := httptest.NewRequest("GET", "http://127.0.0.1/k?a=b", nil)
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAuthorization(s)
		if err == nil && a.sign(r, url.Values{"a": {"b"}}, "key") == "" {
			t.Errorf("%q has no signature", s)
		}
	})
}
