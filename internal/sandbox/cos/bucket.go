// Package cos is Cloud Object Storage on the laptop, one bucket or several, as strict as its documentation,
// whose answers a test makes go wrong. Whatever the real one knows and this one does not, it refuses rather
// than ignores.
package cos

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"hash/crc64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"clbwatch/internal/sandbox"
)

const (
	bucketName, bucketRegion = "sandbox-1250000000", "ap-guangzhou" // of New

	maxRefused = 100 // refusals kept for Refused
	maxChanges = 100 // remembered for StaleList
)

// Bucket is one bucket of Cloud Object Storage at the root of a server, as a virtual-host address has it:
// the path is the key. It has PUT, GET, HEAD, DELETE and multi-delete of objects, the listing (without a
// delimiter), and of buckets HEAD and PUT, the ACL and the versioning status; whatever else the real one
// knows is refused rather than ignored. A Service has several, which need not be there yet. Requests must
// be signed in their Authorization header. It is safe for concurrent use. Make one with New.
type Bucket struct {
	// the clock of signatures; set it before serving
	Now func() time.Time
	// of the keys, and of listings, that the policy of every credential allows; set it before serving
	Prefix string
	// the policy allows no listing; set it before serving
	DenyList bool
	// what whoever has a SecretId may do besides, such as account.Account.May: action is like
	// name/cos:GetObject, resource like qcs::cos:ap-guangzhou:uid/1250000000:ops-1250000000/key. nil is
	// everything; set it before serving
	May func(secretID, action, resource string) bool

	accepts      func(secretID string) (sandbox.Credential, bool)
	name, region string

	mu         sync.Mutex
	absent     bool          // it was not made yet
	foreign    bool          // it is somebody else's
	acl        string        // private, public-read or public-read-write
	ahead      time.Duration // of Now: see Advance
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

// New returns an empty bucket for the credentials that accepts knows, such as those of
// cloud.Cloud.Credential.
func New(accepts func(secretID string) (sandbox.Credential, bool)) *Bucket {
	return &Bucket{Now: time.Now, accepts: accepts, name: bucketName, region: bucketRegion, acl: private,
		objects: make(map[string]stored), requests: make(map[string]int)}
}

// Keys lists the keys that begin with prefix, in order.
func (c *Bucket) Keys(prefix string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.objects)), func(k string) bool {
		return !strings.HasPrefix(k, prefix)
	})
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

// SetVersioning sets the status, "Enabled" or "Suspended". From the first time on, forbid-overwrite is
// ignored for good. Old versions are not kept.
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

// Advance lets time pass, by the Date of answers and by LastModified. Signatures go by Now as before.
func (c *Bucket) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// time is what Date and LastModified go by. The caller holds c.mu.
func (c *Bucket) time() time.Time { return c.Now().Add(c.ahead) }

// Fail makes the next requests of an operation go wrong, or any if op is "". The operations are PUT, GET,
// HEAD, DELETE (multi-delete too), LIST, HEAD BUCKET, PUT BUCKET, ACL, PUT ACL, VERSIONING and PUT
// VERSIONING. times below 0 lasts until ClearFaults. Faults apply one after another, those of the operation
// first, and only to requests that are right themselves.
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

// Requests counts the requests by operation, as Fail has them, wrong ones included; what is none of them is
// under "".
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
func (c *Bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.serve(w, r, "") }

// serve is ServeHTTP for an address that names a region; "" if it names none.
func (c *Bucket) serve(w http.ResponseWriter, r *http.Request, region string) {
	q := request{op: operation(r), key: strings.TrimPrefix(r.URL.Path, "/"), resource: r.Host + r.URL.Path,
		region: region}
	c.mu.Lock()
	c.requests[q.op]++
	w.Header().Set("Date", c.time().UTC().Format(http.TimeFormat))
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
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header["Date"] = nil // else the server tells its own time
	if !f.noDate {
		a.header.Set("Date", c.time().Add(f.ahead).UTC().Format(http.TimeFormat))
	}
	return f, a
}

// apply is the right answer, and its effect. The caller holds c.mu.
func (c *Bucket) apply(q request, f Fault) answer {
	if a, done := c.applyToBucket(q); done {
		return a
	}
	o, exists := c.objects[q.key]
	switch q.op {
	case "LIST":
		return xmlAnswer(http.StatusOK, list(c.name, c.asOf(f.back), q))
	case "PUT":
		if c.conflicts(q) && !f.overwrites {
			return refusal{http.StatusConflict, "FileAlreadyExists",
				"the key exists and forbid-overwrite is set", ""}.answer(q)
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

// conflicts reports whether a PUT must not overwrite what is there
// (https://cloud.tencent.com/document/product/436/7749).
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
		modified:    c.time(),
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
		if q.denied[o.Key] {
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

// list is a page of the objects: those after the marker, in the order of their bytes.
func list(bucket string, objects map[string]stored, q request) listing {
	show := func(s string) string { return s }
	l := listing{Name: bucket, MaxKeys: q.max}
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
		modified := o.modified.UTC().Format("2006-01-02T15:04:05.000Z")
		l.Contents = append(l.Contents, listed{show(key), modified, o.etag, len(o.content), "STANDARD"})
	}
	return l
}
