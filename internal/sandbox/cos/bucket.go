// Package cos is one bucket of Cloud Object Storage on the laptop, as strict as its documentation, whose answers a test makes
// go wrong. Whatever the real one knows and this one does not, it refuses rather than ignores.
package cos

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"clbwatch/internal/sandbox"
)

const (
	bucketName = "sandbox-1250000000"

	maxObject  = 64 << 20 // bytes of an object; COS takes 5 GB
	maxKey     = 850      // bytes of a key
	maxList    = 1000     // keys of one listing or one multi-delete
	maxRefused = 100      // refusals kept for Refused
	maxChanges = 100      // remembered for StaleList
)

// Bucket is one bucket of Cloud Object Storage at the root of a server, as a virtual-host address has it: the path is the key.
// It has PUT, GET, HEAD, DELETE and multi-delete of objects, the listing (without a delimiter) and the versioning status;
// whatever else the real one knows is refused rather than ignored. Requests must be signed in their Authorization header.
// It is safe for concurrent use. Make one with New.
type Bucket struct {
	Now      func() time.Time // the clock of signatures and of LastModified; set it before serving
	Prefix   string           // of the keys, and of listings, that the policy of every credential allows; set it before serving
	DenyList bool             // the policy allows no listing; set it before serving

	accepts func(secretID string) (sandbox.Credential, bool)

	mu         sync.Mutex
	objects    map[string]stored
	versioning string   // "" until it is enabled for the first time
	changes    []change // the last maxChanges, oldest first
	faults     []*pending
	requests   map[string]int // by operation
	refused    []string
}

// stored is what a key holds. Its content is never written to.
type stored struct {
	content     []byte
	contentType string
	etag        string // with its quotes
	crc         string
	modified    time.Time
}

// change is what a key held before a PUT or DELETE.
type change struct {
	key     string
	before  stored
	existed bool
}

// New returns an empty bucket for the credentials that accepts knows, such as those of cloud.Cloud.Credential.
func New(accepts func(secretID string) (sandbox.Credential, bool)) *Bucket {
	return &Bucket{Now: time.Now, accepts: accepts, objects: make(map[string]stored), requests: make(map[string]int)}
}

// Keys lists the keys that begin with prefix, in order.
func (c *Bucket) Keys(prefix string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.objects)), func(k string) bool { return !strings.HasPrefix(k, prefix) })
}

// Get returns the content of a key, and whether there is one.
func (c *Bucket) Get(key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.objects[key]
	return bytes.Clone(o.content), ok
}

// Put gives a key a content.
func (c *Bucket) Put(key string, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(key, bytes.Clone(content), "")
}

// Delete removes a key; an absent one is no news.
func (c *Bucket) Delete(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(key)
}

// SetVersioning sets the status, "Enabled" or "Suspended". From the first time on, forbid-overwrite is ignored for good.
// Old versions are not kept.
func (c *Bucket) SetVersioning(status string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.versioning = status
}

// Age makes every object older.
func (c *Bucket) Age(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, o := range c.objects {
		o.modified = o.modified.Add(-d)
		c.objects[key] = o
	}
}

// Fail makes the next requests of an operation go wrong, or any if op is "". The operations are PUT, GET, HEAD, DELETE
// (multi-delete too), LIST and VERSIONING. times below 0 lasts until ClearFaults. Faults apply one after another, those of
// the operation first, and only to requests that are right themselves.
func (c *Bucket) Fail(op string, f Fault, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &pending{op, f, times})
}

// ClearFaults ends every fault; requests that hang go on hanging.
func (c *Bucket) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

// Requests counts the requests by operation, as Fail has them, wrong ones included; what is none of them is under "".
func (c *Bucket) Requests() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.requests)
}

// Refused lists why requests were refused, faults, 404 and 409 not counted: the last 100, oldest first.
func (c *Bucket) Refused() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.refused)
}

// ServeHTTP answers one request.
func (c *Bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := request{op: operation(r), key: strings.TrimPrefix(r.URL.Path, "/"), resource: r.Host + r.URL.Path}
	c.mu.Lock()
	c.requests[q.op]++
	c.mu.Unlock()
	if err := c.check(r, &q); err != nil {
		c.refuse(w, r, q, err)
		return
	}
	f, a := c.do(q)
	if f.serve != nil {
		f.serve(w, r, a)
		return
	}
	a.write(w, r)
}

// do does what the request asks for, as far as the fault that is due lets it.
func (c *Bucket) do(q request) (f Fault, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f = c.due(q)
	if !f.instead {
		a = c.apply(q, f)
	}
	if f.edit != nil {
		f.edit(&a, q)
	}
	return f, a
}

// apply is the right answer, and its effect. The caller holds c.mu.
func (c *Bucket) apply(q request, f Fault) answer {
	o, exists := c.objects[q.key]
	switch q.op {
	case "VERSIONING":
		return xmlAnswer(http.StatusOK, versioningStatus{Status: c.versioning})
	case "LIST":
		return xmlAnswer(http.StatusOK, list(c.asOf(f.back), q))
	case "PUT":
		if c.conflicts(q) && !f.overwrites {
			return refusal{http.StatusConflict, "FileAlreadyExists", "the key exists and forbid-overwrite is set", ""}.answer(q)
		}
		o = c.put(q.key, q.body, q.contentType)
		return answer{http.StatusOK, o.header(), nil}
	case "DELETE":
		if q.multi != nil {
			return c.removeAll(q)
		}
		c.remove(q.key)
		return answer{http.StatusNoContent, http.Header{}, nil}
	}
	if !exists {
		return refusal{http.StatusNotFound, "NoSuchKey", "the key does not exist", ""}.answer(q)
	}
	a := answer{http.StatusOK, o.header(), o.content}
	a.header.Set("Content-Type", o.contentType)
	a.header.Set("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
	return a
}

// conflicts reports whether a PUT must not overwrite what is there (https://cloud.tencent.com/document/product/436/7749).
func (c *Bucket) conflicts(q request) bool {
	_, exists := c.objects[q.key]
	return exists && q.forbid && c.versioning == ""
}

func (c *Bucket) put(key string, content []byte, contentType string) stored {
	sum := md5.Sum(content)
	o := stored{
		content:     content,
		contentType: cmp.Or(contentType, "application/octet-stream"),
		etag:        `"` + hex.EncodeToString(sum[:]) + `"`,
		crc:         strconv.FormatUint(crc64.Checksum(content, crc64.MakeTable(crc64.ECMA)), 10),
		modified:    c.Now(),
	}
	c.remember(key)
	c.objects[key] = o
	return o
}

func (c *Bucket) remove(key string) {
	if _, ok := c.objects[key]; ok {
		c.remember(key)
		delete(c.objects, key)
	}
}

func (c *Bucket) removeAll(q request) answer {
	var result deleteResult
	for _, o := range q.multi.Objects {
		if !strings.HasPrefix(o.Key, c.Prefix) {
			result.Errors = append(result.Errors, deleteError{o.Key, "AccessDenied", "Access Denied."})
			continue
		}
		c.remove(o.Key)
		if !q.multi.Quiet {
			result.Deleted = append(result.Deleted, o)
		}
	}
	return xmlAnswer(http.StatusOK, result)
}

func (c *Bucket) remember(key string) {
	if len(c.changes) == maxChanges {
		c.changes = slices.Delete(c.changes, 0, 1)
	}
	o, ok := c.objects[key]
	c.changes = append(c.changes, change{key, o, ok})
}

// asOf is the bucket as it was so many changes ago, or without any object if back is below 0.
func (c *Bucket) asOf(back int) map[string]stored {
	if back < 0 {
		return nil
	}
	then := maps.Clone(c.objects)
	for _, ch := range slices.Backward(c.changes[max(0, len(c.changes)-back):]) {
		delete(then, ch.key)
		if ch.existed {
			then[ch.key] = ch.before
		}
	}
	return then
}

func (o stored) header() http.Header {
	h := http.Header{}
	h.Set("ETag", o.etag)
	h.Set("X-Cos-Hash-Crc64ecma", o.crc)
	return h
}

// request is a request that passed every check.
type request struct {
	op, key, resource string

	body        []byte // of a PUT
	contentType string
	forbid      bool // to overwrite

	prefix, marker string // of a LIST
	max            int
	encoded        bool

	multi *deleteMany // nil unless DELETE is a multi-delete
}

// operation names what a request asks for, "" if it is nothing that the bucket does.
func operation(r *http.Request) string {
	query := r.URL.Query()
	switch {
	case r.URL.Path != "/":
		if slices.Contains([]string{http.MethodPut, http.MethodGet, http.MethodHead, http.MethodDelete}, r.Method) {
			return r.Method
		}
	case r.Method == http.MethodGet && query.Has("versioning"):
		return "VERSIONING"
	case r.Method == http.MethodGet:
		return "LIST"
	case r.Method == http.MethodPost && query.Has("delete"):
		return "DELETE"
	}
	return ""
}

// check applies the rules for every request, then those of the operation, and completes q.
func (c *Bucket) check(r *http.Request, q *request) error {
	body, bodyErr := readBody(r) // before any refusal, so that the client reads the answer and not a broken pipe
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	if err := c.authorize(r, query); err != nil {
		return err
	}
	if q.op == "" {
		return refusal{http.StatusMethodNotAllowed, "MethodNotAllowed", "not in this sandbox", r.Method + " " + r.URL.RequestURI()}
	}
	if bodyErr != nil {
		return bodyErr
	}
	if err := c.permit(q, query); err != nil {
		return err
	}
	if err := onlyKnown(r, q.op, query); err != nil {
		return err
	}
	if err := checkMD5(r, body); err != nil {
		return err
	}
	switch {
	case q.op == "LIST":
		return q.readList(query)
	case r.Method == http.MethodPost:
		return q.readMulti(r, body)
	case len(q.key) > maxKey:
		return refusal{http.StatusBadRequest, "KeyTooLong", "the key is too long", fmt.Sprintf("%d bytes", len(q.key))}
	}
	q.body, q.contentType = body, r.Header.Get("Content-Type")
	switch v := r.Header.Get("X-Cos-Forbid-Overwrite"); v {
	case "true":
		q.forbid = true
	case "", "false":
	default:
		return fmt.Errorf("x-cos-forbid-overwrite %q is not true or false", v)
	}
	return nil
}

func readBody(r *http.Request) ([]byte, error) {
	switch {
	case r.ContentLength < 0 && (r.Method == http.MethodPut || r.Method == http.MethodPost):
		return nil, refusal{http.StatusLengthRequired, "MissingContentLength", "Content-Length is missing", ""}
	case r.ContentLength > maxObject:
		return nil, refusal{http.StatusBadRequest, "EntityTooLarge", "the body is too large for this sandbox", fmt.Sprintf("%d bytes", r.ContentLength)}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxObject))
	if err != nil {
		return nil, refusal{http.StatusBadRequest, "IncompleteBody", "the body is shorter than its Content-Length", err.Error()}
	}
	return body, nil
}

// permit holds the request against a policy for one prefix.
func (c *Bucket) permit(q *request, query url.Values) error {
	what := ""
	switch {
	case q.op == "LIST" && (c.DenyList || !strings.HasPrefix(query.Get("prefix"), c.Prefix)):
		what = "listing of prefix " + query.Get("prefix")
	case q.key != "" && !strings.HasPrefix(q.key, c.Prefix):
		what = "key " + q.key
	default:
		return nil
	}
	return refusal{http.StatusForbidden, "AccessDenied", "Access Denied.", "the policy does not allow " + q.op + ", " + what}
}

// onlyKnown refuses what the real COS would act upon and this one does not.
func onlyKnown(r *http.Request, op string, query url.Values) error {
	params := map[string][]string{
		"LIST": {"prefix", "marker", "max-keys", "encoding-type"}, "VERSIONING": {"versioning"}, "DELETE": {"delete"},
	}[op]
	if op == "DELETE" && r.Method != http.MethodPost {
		params = nil
	}
	for name, values := range query {
		if !slices.Contains(params, name) {
			return refusal{http.StatusNotImplemented, "NotImplemented", "not in this sandbox", "parameter " + name}
		}
		if len(values) > 1 {
			return fmt.Errorf("parameter %s is given %d times", name, len(values))
		}
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		known := slices.Contains([]string{"x-cos-security-token", "x-cos-forbid-overwrite", "x-cos-sdk-retry"}, name)
		if strings.HasPrefix(name, "x-cos-") && !known || strings.HasPrefix(name, "if-") || name == "range" {
			return refusal{http.StatusNotImplemented, "NotImplemented", "not in this sandbox", "header " + name}
		}
	}
	return nil
}

func checkMD5(r *http.Request, body []byte) error {
	given := r.Header.Get("Content-MD5")
	if given == "" {
		return nil
	}
	sum, err := base64.StdEncoding.DecodeString(given)
	if err != nil || len(sum) != md5.Size {
		return refusal{http.StatusBadRequest, "InvalidDigest", "Content-MD5 is not the base64 of an MD5", given}
	}
	if want := md5.Sum(body); !bytes.Equal(sum, want[:]) {
		return refusal{http.StatusBadRequest, "BadDigest", "Content-MD5 is not that of the body", given}
	}
	return nil
}

func (q *request) readList(query url.Values) (err error) {
	q.prefix, q.marker = query.Get("prefix"), query.Get("marker")
	switch e := query.Get("encoding-type"); e {
	case "url":
		q.encoded = true
	case "":
	default:
		return fmt.Errorf("encoding-type %q", e)
	}
	q.max = maxList
	if given := query.Get("max-keys"); query.Has("max-keys") {
		if q.max, err = strconv.Atoi(given); err != nil || q.max < 1 || q.max > maxList {
			return fmt.Errorf("max-keys %q is not a number from 1 to %d", given, maxList)
		}
	}
	return nil
}

func (q *request) readMulti(r *http.Request, body []byte) error {
	if r.Header.Get("Content-MD5") == "" {
		return errors.New("a multi-delete has no Content-MD5")
	}
	if err := xml.Unmarshal(body, &q.multi); err != nil || len(q.multi.Objects) == 0 || len(q.multi.Objects) > maxList {
		return refusal{http.StatusBadRequest, "MalformedXML", "not a Delete of 1 to 1000 objects", fmt.Sprintf("error %v", err)}
	}
	return nil
}

// authorize checks who sent the request, and that it is what they signed. Codes are those of
// https://cloud.tencent.com/document/product/436/40105; for a wrong token none is documented.
func (c *Bucket) authorize(r *http.Request, query url.Values) error {
	mismatch := func(format string, args ...any) error {
		return refusal{http.StatusForbidden, "SignatureDoesNotMatch", "the signature does not match", fmt.Sprintf(format, args...)}
	}
	if r.Header.Get("Authorization") == "" {
		return refusal{http.StatusForbidden, "AccessDenied", "Access Denied.", "Authorization is missing"}
	}
	a, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return mismatch("Authorization: %v", err)
	}
	cr, ok := c.accepts(a.secretID)
	if !ok {
		return refusal{http.StatusForbidden, "InvalidAccessKeyId", "the SecretId does not exist", a.secretID}
	}
	if now := c.Now(); now.Before(a.from) || now.After(a.to) {
		return refusal{http.StatusForbidden, "AccessDenied", "Request has expired", fmt.Sprintf("signed for %s, now %d", a.keyTime, now.Unix())}
	}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-cos-") && !slices.Contains(a.headers, name) {
			return mismatch("header %s is not signed", name)
		}
	}
	if want := a.sign(r, query, cr.SecretKey); subtle.ConstantTimeCompare([]byte(a.signature), []byte(want)) == 0 {
		return mismatch("of %s", a.secretID)
	}
	if r.Header.Get("X-Cos-Security-Token") != cr.Token {
		return refusal{http.StatusForbidden, "AccessDenied", "Access Denied.", "x-cos-security-token is missing or not that of the SecretId"}
	}
	return nil
}

// authorization is the header of that name (https://cloud.tencent.com/document/product/436/7778).
type authorization struct {
	secretID, keyTime, signature string
	from, to                     time.Time // as keyTime has them
	headers, params              []string  // signed: escaped, in lower case and in order
}

func parseAuthorization(s string) (a authorization, err error) {
	fields := make(map[string]string)
	for _, part := range strings.Split(s, "&") {
		key, value, ok := strings.Cut(part, "=")
		if _, twice := fields[key]; twice || !ok {
			return a, fmt.Errorf("%q is given twice or has no value", key)
		}
		fields[key] = value
	}
	for _, key := range []string{"q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature"} {
		if _, ok := fields[key]; !ok || len(fields) != 7 {
			return a, fmt.Errorf("%s is missing, or there is a field too many", key)
		}
	}
	if fields["q-sign-algorithm"] != "sha1" {
		return a, fmt.Errorf("algorithm %q", fields["q-sign-algorithm"])
	}
	a = authorization{secretID: fields["q-ak"], keyTime: fields["q-key-time"], signature: fields["q-signature"]}
	first, last, _ := strings.Cut(a.keyTime, ";")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if err1 != nil || err2 != nil || fields["q-sign-time"] != a.keyTime {
		return a, fmt.Errorf("q-key-time %q and q-sign-time %q are not one start;end in UNIX seconds", a.keyTime, fields["q-sign-time"])
	}
	a.from, a.to = time.Unix(from, 0), time.Unix(to, 0)
	if a.headers, err = signedNames(fields["q-header-list"]); err != nil {
		return a, err
	}
	a.params, err = signedNames(fields["q-url-param-list"])
	return a, err
}

func signedNames(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	names := strings.Split(s, ";")
	if !slices.IsSorted(names) || strings.ToLower(s) != s {
		return nil, fmt.Errorf("list %q is not in lower case and in order", s)
	}
	return slices.Compact(names), nil // a header that is given twice is listed twice
}

// sign is what the signature should be.
func (a authorization) sign(r *http.Request, query url.Values, secretKey string) string {
	headers := map[string][]string{"host": {r.Host}}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = values
	}
	params := make(map[string][]string)
	for name, values := range query {
		name = strings.ToLower(escape(name))
		params[name] = append(params[name], values...)
	}
	request := sha1.Sum([]byte(strings.ToLower(r.Method) + "\n" + r.URL.Path + "\n" + pairs(a.params, params) + "\n" + pairs(a.headers, headers) + "\n"))
	return hmacSHA1(hmacSHA1(secretKey, a.keyTime), "sha1\n"+a.keyTime+"\n"+hex.EncodeToString(request[:])+"\n")
}

func pairs(names []string, values map[string][]string) string {
	var out []string
	for _, name := range names {
		for _, v := range slices.Sorted(slices.Values(values[name])) {
			out = append(out, name+"="+escape(v))
		}
	}
	return strings.Join(out, "&")
}

// escape leaves letters, digits, "-", "_", "." and "~" alone.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func hmacSHA1(key, text string) string {
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// refusal is an error in the words of COS (https://cloud.tencent.com/document/product/436/7730).
type refusal struct {
	status        int
	code, message string
	why           string // for the person who debugs; COS does not say
}

func (e refusal) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%d %s: %s (%s)", e.status, e.code, e.message, e.why), " ()")
}

func (e refusal) answer(q request) answer {
	body := errorBody{Code: e.code, Message: e.message, Resource: q.resource, RequestID: sandbox.RandomHex(16), TraceID: sandbox.RandomHex(16)}
	a := xmlAnswer(e.status, body)
	a.header.Set("X-Cos-Request-Id", body.RequestID)
	a.header.Set("X-Cos-Trace-Id", body.TraceID)
	return a
}

func (c *Bucket) refuse(w http.ResponseWriter, r *http.Request, q request, err error) {
	var e refusal
	if !errors.As(err, &e) {
		e = refusal{http.StatusBadRequest, "InvalidArgument", err.Error(), ""}
	}
	c.mu.Lock()
	if len(c.refused) == maxRefused {
		c.refused = slices.Delete(c.refused, 0, 1)
	}
	c.refused = append(c.refused, e.Error())
	c.mu.Unlock()
	e.answer(q).write(w, r)
}

// answer is an answer; a fault may change it.
type answer struct {
	status int
	header http.Header
	body   []byte // of the object too where the answer to HEAD is only its length
}

func xmlAnswer(status int, v any) answer {
	body, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return answer{status, http.Header{"Content-Type": {"application/xml"}}, append([]byte(xml.Header), body...)}
}

func (a answer) write(w http.ResponseWriter, r *http.Request) {
	a.start(w, r)
	_, _ = w.Write(a.body) // not for HEAD and 204; else the client is gone if this fails, and there is nobody to tell
}

// start writes everything but the body.
func (a answer) start(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Cos-Request-Id", sandbox.RandomHex(16))
	maps.Copy(h, a.header)
	switch {
	case a.status == http.StatusNoContent:
	case r.Method == http.MethodHead && a.status != http.StatusOK:
		h.Del("Content-Type")
		h.Set("Content-Length", "0")
	default:
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
}

// The bodies of answers, and that of a multi-delete.
type (
	errorBody struct {
		XMLName                 xml.Name `xml:"Error"`
		Code, Message, Resource string
		RequestID               string `xml:"RequestId"`
		TraceID                 string `xml:"TraceId"`
	}
	versioningStatus struct {
		XMLName xml.Name `xml:"VersioningConfiguration"`
		Status  string   `xml:",omitempty"`
	}
	listing struct {
		XMLName        xml.Name `xml:"ListBucketResult"`
		Name           string
		EncodingType   string `xml:",omitempty"`
		Prefix, Marker string
		MaxKeys        int
		IsTruncated    bool
		NextMarker     string `xml:",omitempty"`
		Contents       []listed
	}
	listed struct {
		Key, LastModified, ETag string
		Size                    int
		StorageClass            string
	}
	deleteMany struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Objects []deletion `xml:"Object"`
	}
	deletion     struct{ Key string }
	deleteResult struct {
		XMLName xml.Name      `xml:"DeleteResult"`
		Deleted []deletion    `xml:"Deleted"`
		Errors  []deleteError `xml:"Error"`
	}
	deleteError struct{ Key, Code, Message string }
)

// list is a page of the objects: those after the marker, in the order of their bytes.
func list(objects map[string]stored, q request) listing {
	show := func(s string) string { return s }
	l := listing{Name: bucketName, MaxKeys: q.max}
	if q.encoded {
		show, l.EncodingType = escape, "url"
	}
	l.Prefix, l.Marker = show(q.prefix), show(q.marker)
	last := ""
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if !strings.HasPrefix(key, q.prefix) || key <= q.marker {
			continue
		}
		if len(l.Contents) == q.max {
			l.IsTruncated, l.NextMarker = true, show(last)
			break
		}
		o := objects[key]
		last = key
		l.Contents = append(l.Contents, listed{show(key), o.modified.UTC().Format("2006-01-02T15:04:05.000Z"), o.etag, len(o.content), "STANDARD"})
	}
	return l
}
