package cos

import (
	"context"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cloud"
)

// serviceTest is a service, a credential for it, and a client that finds every bucket's host there.
type serviceTest struct {
	*Service
	cred   sandbox.Credential
	client *http.Client
}

func newServiceTest(t *testing.T) *serviceTest {
	c := cloud.New()
	s := &serviceTest{Service: NewService(c.Credential), cred: c.Issue()}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", srv.Listener.Addr().String())
		}}}
	return s
}

const opsHost = "ops-1250000000.cos.ap-shanghai.myqcloud.com"

// try makes a signed request, and returns its status and code, and the answer.
func (s *serviceTest) try(t *testing.T, method, host, target, body string, header map[string]string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+target,
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	req.Header.Set("x-cos-security-token", s.cred.Token)
	now := time.Now().Unix()
	signRequest(req, s.cred, now, now+600)
	resp, err := s.client.Do(req)
	if err != nil {
		return reply{code: "no answer"}
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, body: string(got), header: resp.Header}
	var e struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}
	if xml.Unmarshal(got, &e) == nil {
		r.code = e.Code
	}
	return r
}

func TestBucketsOverTheirLife(t *testing.T) {
	t.Parallel()
	s := newServiceTest(t)
	s.AddForeign("taken-1250000000", "ap-shanghai")
	private := map[string]string{"x-cos-acl": "private"}
	const suspended = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
	for _, step := range []struct {
		name, method, host, target, body string
		header                           map[string]string
		want, has                        string
	}{
		{"there is none", "HEAD", opsHost, "/", "", nil, "404", ""},
		{"nor its keys", "GET", opsHost, "/k", "", nil, "404 NoSuchBucket", ""},
		{"nor can they be written", "PUT", opsHost, "/k", "x", nil, "404 NoSuchBucket", ""},
		{"nor its status", "GET", opsHost, "/?versioning", "", nil, "404 NoSuchBucket", ""},
		{"making it with an odd ACL", "PUT", opsHost, "/", "", map[string]string{"x-cos-acl": "secret"},
			"400 InvalidArgument", ""},
		{"making it with grants", "PUT", opsHost, "/", "", map[string]string{"x-cos-grant-read": `id="1"`},
			"501 NotImplemented", ""},
		{"making one of a bad name", "PUT", "Ops_x-1250000000.cos.ap-shanghai.myqcloud.com", "/", "", nil,
			"400 InvalidBucketName", ""},
		{"making one without an APPID", "PUT", "ops.cos.ap-shanghai.myqcloud.com", "/", "", nil,
			"400 InvalidBucketName", ""},
		{"making it", "PUT", opsHost, "/", "", private, "200", ""},
		{"making it again", "PUT", opsHost, "/", "", private, "409 BucketAlreadyOwnedByYou",
			"already own it"},
		{"making it elsewhere", "PUT", "ops-1250000000.cos.ap-guangzhou.myqcloud.com", "/", "", nil,
			"409 BucketAlreadyOwnedByYou", ""},
		{"making somebody else's", "PUT", "taken-1250000000.cos.ap-shanghai.myqcloud.com", "/", "", nil,
			"409 BucketAlreadyExists", ""},
		{"asking for somebody else's", "HEAD", "taken-1250000000.cos.ap-shanghai.myqcloud.com", "/", "", nil,
			"403",
			""},
		{"it is there", "HEAD", opsHost, "/", "", nil, "200", ""},
		{"but not elsewhere", "HEAD", "ops-1250000000.cos.ap-guangzhou.myqcloud.com", "/", "", nil, "404",
			""},
		{"it never had versions", "GET", opsHost, "/?versioning", "", nil, "200",
			"<VersioningConfiguration></VersioningConfiguration>"},
		{"an odd status", "PUT", opsHost, "/?versioning", strings.Replace(suspended, "Suspended", "Off", 1),
			nil,
			"400 MalformedXML", ""},
		{"suspended", "PUT", opsHost, "/?versioning", suspended, nil, "200", ""},
		{"which is shown", "GET", opsHost, "/?versioning", "", nil, "200", "<Status>Suspended</Status>"},
		{"its owner has it all", "GET", opsHost, "/?acl", "", nil, "200", "FULL_CONTROL"},
		{"open it", "PUT", opsHost, "/?acl", "", map[string]string{"x-cos-acl": "public-read"}, "200", ""},
		{"which is shown", "GET", opsHost, "/?acl", "", nil, "200", "global/AllUsers"},
		{"close it", "PUT", opsHost, "/?acl", "", private, "200", ""},
		{"an ACL by its body", "PUT", opsHost, "/?acl", "<AccessControlPolicy/>", nil, "501 NotImplemented",
			""},
		{"two things at once", "PUT", opsHost, "/?acl&versioning", suspended, nil, "405 MethodNotAllowed",
			""},
		{"write a key", "PUT", opsHost, "/k", "x", nil, "200", ""},
		{"list it", "GET", opsHost, "/", "", nil, "200", "<Name>ops-1250000000</Name>"},
		{"a host that names none", "GET", "example.com", "/", "", nil, "400 InvalidURI", ""},
	} {
		r := s.try(t, step.method, step.host, step.target, step.body, step.header)
		if r.String() != step.want || !strings.Contains(r.body, step.has) {
			t.Errorf("%s: %s %s%s = %s %s, want %s with %q", step.name, step.method, step.host, step.target,
				r,
				r.body, step.want, step.has)
		}
	}
	if r := s.try(t, "HEAD", opsHost, "/", "", nil); r.header.Get("x-cos-bucket-region") != "ap-shanghai" {
		t.Errorf("HEAD names the region %q", r.header.Get("x-cos-bucket-region"))
	}
	if r := s.try(t, "GET", opsHost, "/?acl", "", nil); strings.Contains(r.body, "AllUsers") {
		t.Errorf("closed, its ACL is %s", r.body)
	}
	if got := s.Bucket("ops-1250000000").Requests()["PUT BUCKET"]; got != 5 {
		t.Errorf("%d requests to make it, want 5", got)
	}
}

// A bucket whose making was not answered is there when it is made again.
func TestMakingABucketFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault Fault
		want  []string
	}{
		{Answers(http.StatusForbidden, "AccessDenied"), []string{"403 AccessDenied", "200"}},
		{Answers(http.StatusServiceUnavailable, "SlowDown"), []string{"503 SlowDown", "200"}},
		{Reset(), []string{"0 no answer", "200"}},
		{AppliesThenDrops(), []string{"0 no answer", "409 BucketAlreadyOwnedByYou"}},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			t.Parallel()
			s := newServiceTest(t)
			s.Bucket("ops-1250000000").Fail("PUT BUCKET", test.fault, 1)
			for i, want := range test.want {
				if got := s.try(t, "PUT", opsHost, "/", "", nil).String(); got != want {
					t.Errorf("time %d: %s, want %s", i+1, got, want)
				}
			}
		})
	}
}

func TestMayIsAskedForEachOperation(t *testing.T) {
	t.Parallel()
	s := newServiceTest(t)
	var asked []string
	s.May = func(_, action, resource string) bool {
		asked = append(asked, action+" "+resource)
		return !strings.HasSuffix(resource, "/no")
	}
	at := "qcs::cos:ap-shanghai:uid/1250000000:ops-1250000000/"
	const both = "<Delete><Object><Key>yes</Key></Object><Object><Key>no</Key></Object></Delete>"
	for _, step := range []struct{ method, target, body, want, asks string }{
		{"PUT", "/", "", "200", "name/cos:PutBucket " + at},
		{"HEAD", "/", "", "200", "name/cos:HeadBucket " + at},
		{"GET", "/?acl", "", "200", "name/cos:GetBucketACL " + at},
		{"PUT", "/?acl", "", "200", "name/cos:PutBucketACL " + at},
		{"GET", "/?versioning", "", "200", "name/cos:GetBucketVersioning " + at},
		{"GET", "/", "", "200", "name/cos:GetBucket " + at},
		{"PUT", "/yes", "x", "200", "name/cos:PutObject " + at + "yes"},
		{"PUT", "/no", "x", "403 AccessDenied", "name/cos:PutObject " + at + "no"},
		{"GET", "/no", "", "403 AccessDenied", "name/cos:GetObject " + at + "no"},
		{"DELETE", "/no", "", "403 AccessDenied", "name/cos:DeleteObject " + at + "no"},
		{"POST", "/?delete", both, "200", "name/cos:DeleteObject " + at + "yes,name/cos:DeleteObject " + at +
			"no"},
	} {
		asked = nil
		r := s.try(t, step.method, opsHost, step.target, step.body,
			map[string]string{"Content-MD5": contentMD5(step.body)})
		if got := strings.Join(asked, ","); r.String() != step.want || got != step.asks {
			t.Errorf("%s %s = %s and asks %s, want %s and %s", step.method, step.target, r, got, step.want,
				step.asks)
		}
		if step.body == both && (!strings.Contains(r.body, "<Error>") ||
			s.Bucket("ops-1250000000").Keys("") != nil &&
				len(s.Bucket("ops-1250000000").Keys("")) != 0) {
			t.Errorf("a multi-delete answers %s", r.body)
		}
	}
}

func TestABucketAtAnotherAddress(t *testing.T) {
	t.Parallel()
	s := newServiceTest(t)
	srv := httptest.NewServer(s.At("ops-1250000000", "ap-hongkong"))
	t.Cleanup(srv.Close)
	c := &bucketTest{Bucket: s.Bucket("ops-1250000000"), srv: srv, cred: s.cred}
	for _, step := range []struct{ method, target, want string }{
		{"GET", "/", "404 NoSuchBucket"}, {"PUT", "/", "200"}, {"GET", "/", "200"},
	} {
		if got := c.send(t, step.method, step.target, "", nil).String(); got != step.want {
			t.Errorf("%s %s = %s, want %s", step.method, step.target, got, step.want)
		}
	}
	if r := c.send(t, "HEAD", "/", "", nil); r.header.Get("x-cos-bucket-region") != "ap-hongkong" {
		t.Errorf("it is in %q", r.header.Get("x-cos-bucket-region"))
	}
	if b := s.Add("ops-1250000000", "ap-guangzhou"); b != c.Bucket || b.region != "ap-hongkong" {
		t.Error("Add makes a bucket that is there anew")
	}
}
