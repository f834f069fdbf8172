package cos

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
)

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
	const mismatch, denied = "403 SignatureDoesNotMatch", "403 AccessDenied"
	const invalid, absent = "400 InvalidArgument", "501 NotImplemented"
	tests := []struct {
		name, method, target, body string
		prepare                    func(*bucketTest, *http.Request) // signs, rightly if nil
		want, why                  string                           // why is part of the reason
	}{
		{"nothing wrong", "PUT", "/p/k", "x", nil, "200", ""},
		{"nothing wrong, signed a minute ago", "GET", "/p/a", "", resign(-time.Minute, time.Minute), "200",
			""},
		{"anonymous", "GET", "/p/a", "", func(*bucketTest, *http.Request) {}, denied,
			"Authorization is missing"},
		{"expired", "GET", "/p/a", "", resign(-time.Hour, -time.Minute), denied, "Request has expired"},
		{"signed for the future", "GET", "/p/a", "", resign(time.Minute, time.Hour), denied,
			"Request has expired"},
		{"unknown secret id", "GET", "/p/a", "", as(func(cr *sandbox.Credential) {
			cr.SecretID = "AKIDnobody"
		}), "403 InvalidAccessKeyId", "AKIDnobody"},
		{"wrong key", "GET", "/p/a", "", as(func(cr *sandbox.Credential) {
			cr.SecretKey += "x"
		}), mismatch, ""},
		{"another algorithm", "GET", "/p/a", "", edit("=sha1", "=sha256"), mismatch, "algorithm"},
		{"no secret id", "GET", "/p/a", "", edit("&q-ak=", "&q-x="), mismatch, "q-ak is missing"},
		{"a field twice", "GET", "/p/a", "", edit("&q-url", "&q-ak=x&q-url"), mismatch, "given twice"},
		{"a field too many", "GET", "/p/a", "", edit("&q-url", "&q-x=x&q-url"), mismatch, "too many"},
		{"times that differ", "GET", "/p/a", "", edit("q-sign-time=", "q-sign-time=1"), mismatch,
			"start;end"},
		{"times in words", "GET", "/p/a", "", func(c *bucketTest, r *http.Request) {
			r.Header.Set("Authorization",
				"q-sign-algorithm=sha1&q-ak=x&q-sign-time=a;b&q-key-time=a;b&q-header-list=&"+
					"q-url-param-list=&q-signature=")
		}, mismatch, "start;end"},
		{"header list in capitals", "GET", "/p/a", "", edit("=host;", "=Host;"), mismatch, "lower case"},
		{"header list in disorder", "GET", "/p/a", "",
			edit("host;x-cos-security-token", "x-cos-security-token;host"), mismatch, "in order"},
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
		{"wrong token", "GET", "/p/a", "", header("x-cos-security-token", "x"), denied,
			"x-cos-security-token"},
		{"wrong forbid-overwrite", "PUT", "/p/k", "x", header("x-cos-forbid-overwrite", "yes"), invalid,
			"yes"},
		{"digest that is none", "PUT", "/p/k", "x", header("Content-MD5", "eA=="), "400 InvalidDigest", ""},
		{"digest of something else", "PUT", "/p/k", "x", header("Content-MD5", contentMD5("y")),
			"400 BadDigest", ""},
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
		{"compare and swap, which COS has not", "PUT", "/p/k", "x", header("If-None-Match", "*"), absent,
			"if-none-match"},
		{"a range", "GET", "/p/a", "", header("Range", "bytes=0-1"), absent, "range"},
		{"deleting a bucket", "DELETE", "/", "", nil, "405 MethodNotAllowed", "DELETE /"},
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
		if tt.want == "200" && len(why) != 0 || tt.want != "200" &&
			(len(why) != 1 || !strings.Contains(why[0], tt.why) || !strings.HasPrefix(why[0], tt.want)) {
			t.Errorf("%s: refused %q, want one reason with %q", tt.name, why, tt.why)
		}
		if tt.want != "200" && !slices.Equal(c.Keys(""), []string{"p/a"}) {
			t.Errorf("%s: it had an effect, keys are %q", tt.name, c.Keys(""))
		}
	}
}

func TestCOSRefusesListingsOnly(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.DenyList = true
	for target, want := range map[string]string{"/?prefix=p/": "403 AccessDenied", "/?versioning": "200",
		"/k": "404 NoSuchKey"} {
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
		if c.ServeHTTP(w, r); w.Code != 400 || !strings.Contains(w.Body.String(), want) ||
			len(c.Keys("")) != 0 {
			t.Errorf("%d %s, want 400 %s", w.Code, w.Body, want)
		}
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestCOSKeepsTheLastRefusals(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	for i := range maxRefused + 1 {
		c.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprintf("/%d?x=%%zz", i), nil))
		c.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/k", nil))
	}
	got := c.Refused()
	if len(got) != maxRefused || !strings.HasPrefix(got[0], "400") ||
		!strings.HasPrefix(got[maxRefused-1], "403") {
		t.Errorf("%d refusals, from %q to %q", len(got), got[0], got[len(got)-1])
	}
}
