package cos

import (
	"crypto/hmac"
	"crypto/sha1"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cloud"
)

// percentEncode percent-encodes a string as the documentation has it.
func percentEncode(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// signRequest signs a request as the documentation has it, written apart from the code under test. Headers
// named in unsigned are left out.
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
	what := fmt.Sprintf("%x",
		sha1.Sum([]byte(strings.ToLower(r.Method)+"\n"+r.URL.Path+"\n"+paramText+"\n"+headerText+"\n")))
	r.Header.Set("Authorization",
		fmt.Sprintf("q-sign-algorithm=sha1&q-ak=%s&q-sign-time=%s&q-key-time=%s&q-header-list=%s&"+
			"q-url-param-list=%s&q-signature=%s",
			cr.SecretID, keyTime, keyTime, headerList, paramList,
			mac(mac(cr.SecretKey, keyTime), "sha1\n"+keyTime+"\n"+what+"\n")))
}

// The vectors were computed once with cos-go-sdk-v5 v0.7.70.
func TestCOSSignatureVectors(t *testing.T) {
	t.Parallel()
	cr := sandbox.Credential{SecretID: "AKIDvector", SecretKey: "vectorKey", Token: "vectorToken"}
	c := New(func(string) (sandbox.Credential, bool) { return cr, true })
	c.Now = func() time.Time { return time.Unix(1790000000, 0) }
	const head = "q-sign-algorithm=sha1&q-ak=AKIDvector&q-sign-time=1790000000;1790003600&" +
		"q-key-time=1790000000;1790003600&q-header-list="
	tests := []struct {
		method, target, body string
		header               map[string]string
		want                 string
	}{
		{"PUT", "/state%2Fhead%2F0001%20%E5%A4%B4.json", "{}", map[string]string{
			"x-cos-forbid-overwrite": "true", "Content-Type": "application/json", "Content-Length": "2",
			"Content-MD5": "mZFLkyvTelC5g8XnyQrpOw==",
		}, head + "content-length;content-md5;content-type;host;x-cos-forbid-overwrite;" +
			"x-cos-security-token&q-url-param-list=&" +
			"q-signature=bf7d5240a578f9042fb59c2174c83b101047e648"},
		{"GET", "/?prefix=state%2Fhead%2F&marker=state%2Fhead%2Fa%21%27%28%29%2A~b&max-keys=1", "", nil,
			head +
				"host;x-cos-security-token&q-url-param-list=marker;max-keys;prefix&" +
				"q-signature=110e08f12bc83eaea46e4f7b814410508f65ca37"},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(tt.method,
			"http://alerts-1250000000.cos.ap-guangzhou.myqcloud.com"+tt.target, strings.NewReader(tt.body))
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

func FuzzParseAuthorization(f *testing.F) {
	f.Add("q-sign-algorithm=sha1&q-ak=x&q-sign-time=1;2&q-key-time=1;2&q-header-list=host&" +
		"q-url-param-list=&q-signature=00")
	f.Add("&=&;")
	r := httptest.NewRequest("GET", "http://127.0.0.1/k?a=b", nil)
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAuthorization(s)
		if err == nil && a.sign(r, url.Values{"a": {"b"}}, "key") == "" {
			t.Errorf("%q has no signature", s)
		}
	})
}
