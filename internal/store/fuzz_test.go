package store

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/state"
)

// FuzzCOSAnswers gives a store in COS any listing, any head and any error. It holds that loading ends soon,
// that what is taken for a head is one that the listing names or one after it, that nothing but a yes of COS
// is one, and that no error shows a secret that an answer echoes.
func FuzzCOSAnswers(f *testing.F) {
	h := headOf(1, "a")
	content, err := h.Encode()
	if err != nil {
		f.Fatal(err)
	}
	entry := func(key string) string {
		return "<Contents><Key>watch/" + key + "</Key><LastModified>2026-11-23T04:53:00.000Z</LastModified><ETag>&quot;x&quot;</ETag><Size>9</Size></Contents>"
	}
	listing := func(truncated string, entries ...string) string {
		return `<?xml version="1.0" encoding="utf-8" ?><ListBucketResult><Name>ops-1250000000</Name><Prefix>watch/head/</Prefix><MaxKeys>1000</MaxKeys>` +
			"<IsTruncated>" + truncated + "</IsTruncated>" + strings.Join(entries, "") + "</ListBucketResult>"
	}
	refusal := func(code string) string {
		return `<?xml version="1.0" encoding="utf-8" ?><Error><Code>` + code +
			`</Code><Message>SECRET</Message><RequestId>NWNm</RequestId></Error>`
	}
	key := headKey(1)
	for _, l := range []string{
		listing("false", entry(key)), listing("true", entry(key)), listing("true", entry(headKey(2)), entry(key)),
		listing("false"), listing("true"),
		listing("false", entry("head/0.json")), listing("false", entry("../"+key)),
		"<html><body>proxy</body></html>", "", refusal("AccessDenied"),
		`<ListBucketResult><Contents><Key>other</Key></Contents></ListBucketResult>`,
	} {
		f.Add(200, []byte(l), 200, content, true)
	}
	f.Add(200, []byte(listing("false", entry(key))), 404, []byte(refusal("NoSuchKey")), true)
	f.Add(200, []byte(listing("false")), 404, []byte(refusal("NoSuchKey")), true)
	f.Add(200, []byte(listing("false", entry(key))), 404, []byte(refusal("NoSuchBucket")), true)
	f.Add(200, []byte(listing("false", entry(key))), 200, content, false)
	f.Add(403, []byte(refusal("SignatureDoesNotMatch")), 403, []byte(refusal("AccessDenied")), true)
	f.Add(503, []byte("SECRET"), 500, []byte("SECRET"), true)
	f.Add(302, []byte(""), 301, content, true)
	const secret = "hUnTeR2hUnTeR2"
	endpoint, _ := url.Parse("https://ops-1250000000.cos.ap-guangzhou.myqcloud.com")
	f.Fuzz(func(t *testing.T, listStatus int, list []byte, status int, object []byte, ofCOS bool) {
		listStatus, status = min(max(listStatus, 200), 599), min(max(status, 200), 599)
		calls, first := 0, "" // the object that is asked for first: the listed head, or INIT. There is no other
		transport := road(func(r *http.Request) (*http.Response, error) {
			if calls++; calls > 4*maxPages {
				t.Fatalf("more than %d calls", 4*maxPages)
			}
			code, said, sure := status, object, false
			switch first = cmp.Or(first, strings.TrimSuffix(r.URL.Path, "/")); {
			case r.URL.Path == "/":
				code, said = listStatus, list
			case r.URL.Path != first:
				code, said, sure = 404, []byte(refusal("NoSuchKey")), true
			}
			header := http.Header{"Location": {"https://evil.example/"}}
			if ofCOS || sure {
				header.Set("X-Cos-Request-Id", "NWNm")
			}
			return &http.Response{StatusCode: code, Header: header, Request: r, ProtoMajor: 1, ProtoMinor: 1,
				Body: io.NopCloser(strings.NewReader(strings.ReplaceAll(string(said), "SECRET", secret)))}, nil
		})
		s, err := OpenCOS(COSConfig{Bucket: "ops-1250000000", Region: "ap-guangzhou", Prefix: "watch",
			Endpoint: endpoint, SecretID: "AKID", SecretKey: secret, Token: secret,
			Transport: transport, Cache: t.TempDir(), Now: time.Now, Sleep: func(ctx context.Context,
				_ time.Duration) error {
				return ctx.Err()
			}})
		if err != nil {
			t.Fatal(err)
		}
		h, err := s.Load(t.Context())
		if err != nil {
			if strings.Contains(err.Error(), secret) || len(err.Error()) > 4000 {
				t.Errorf("%d bytes, or a secret: %v", len(err.Error()), err)
			}
			return
		}
		if listStatus/100 != 2 { // the SDK takes any
			t.Errorf("a listing of %d was taken", listStatus)
		}
		if h == nil {
			if status != 404 {
				t.Errorf("nothing is stored, it says, where objects answer %d %q", status, object)
			}
			return
		}
		if status/100 != 2 || !ofCOS {
			t.Errorf("a head was taken of %d, of COS: %v", status, ofCOS)
		}
		if _, err := state.DecodeHead(h.N, object); err != nil ||
			!strings.Contains(string(list), strings.TrimSuffix(path.Base(headKey(h.N)), ".json")) {
			t.Errorf("head %d was taken of the listing %q and the content %q: %v", h.N, list, object, err)
		}
	})
}
