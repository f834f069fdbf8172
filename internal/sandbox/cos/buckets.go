package cos

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// private is the ACL of a bucket that says nothing else.
const private = "private"

// owner is whom buckets belong to.
const owner = "qcs::cam::uin/100000000001:uin/100000000001"

// bucketForm is how buckets are called: 1 to 50 small letters, digits and hyphens, and the APPID
// (https://cloud.tencent.com/document/product/436/13312).
var bucketForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?-[1-9][0-9]{5,}$`)

// bucketOperation names what a request asks of the bucket itself; "" if it is nothing, or a listing.
//
// Sources: HEAD Bucket 436/7735, PUT Bucket 436/7738, GET and PUT Bucket acl 436/7733 and 436/7737, GET and
// PUT Bucket versioning 436/19888 and 436/19889, each at https://cloud.tencent.com/document/product/.
func bucketOperation(method string, query url.Values) string {
	of := method
	for _, name := range []string{"acl", "versioning"} {
		if query.Has(name) {
			of += " " + name
		}
	}
	return map[string]string{"HEAD": "HEAD BUCKET", "PUT": "PUT BUCKET", "GET acl": "ACL",
		"PUT acl":        "PUT ACL",
		"GET versioning": "VERSIONING", "PUT versioning": "PUT VERSIONING"}[of]
}

// ofBucket reports whether an operation is of the bucket itself, and not the listing.
func ofBucket(op string) bool {
	return slices.Contains([]string{"HEAD BUCKET", "PUT BUCKET", "ACL", "PUT ACL", "VERSIONING",
		"PUT VERSIONING"}, op)
}

// readBucket reads what only such operations have.
func (q *request) readBucket(r *http.Request, body []byte) error {
	if q.op != "PUT VERSIONING" {
		if len(body) > 0 {
			return refusal{http.StatusNotImplemented, "NotImplemented", "not in this sandbox", "a body of " +
				q.op}
		}
		q.acl = r.Header.Get("X-Cos-Acl")
		if !slices.Contains([]string{"", private, "public-read", "public-read-write"}, q.acl) {
			return fmt.Errorf("x-cos-acl %q", q.acl)
		}
		return nil
	}
	var given versioningStatus
	err := xml.Unmarshal(body, &given)
	if err != nil || given.Status != "Enabled" && given.Status != "Suspended" {
		return refusal{http.StatusBadRequest, "MalformedXML", "not a VersioningConfiguration with a Status",
			fmt.Sprintf("%s: %v", body, err)}
	}
	q.status = given.Status
	return nil
}

// cosActions are what policies call the operations (https://cloud.tencent.com/document/product/436/31923).
var cosActions = map[string]string{"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject",
	"DELETE": "DeleteObject", "LIST": "GetBucket", "HEAD BUCKET": "HeadBucket", "PUT BUCKET": "PutBucket",
	"ACL": "GetBucketACL", "PUT ACL": "PutBucketACL", "VERSIONING": "GetBucketVersioning",
	"PUT VERSIONING": "PutBucketVersioning"}

// may asks May, if there is one. Of a multi-delete it is asked for each key: see denyMulti.
func (c *Bucket) may(q *request, secretID string) error {
	multi := q.op == "DELETE" && q.key == ""
	if action, resource := c.policyOf(q, q.key); !multi && c.May != nil && !c.May(secretID, action,
		resource) {
		return refusal{http.StatusForbidden, "AccessDenied", "Access Denied.",
			"no policy allows " + action + " on " + resource}
	}
	return nil
}

// denyMulti notes which keys of a multi-delete may not be deleted. Source: "each deleted object will be
// checked individually to see if the current account has the cos:DeleteObject permission" (436/8289).
func (c *Bucket) denyMulti(q *request, secretID string) {
	q.denied = make(map[string]bool)
	for _, o := range q.multi.Objects {
		action, resource := c.policyOf(q, o.Key)
		q.denied[o.Key] = !strings.HasPrefix(o.Key, c.Prefix) || c.May != nil && !c.May(secretID, action,
			resource)
	}
}

// policyOf is what policies call an operation, and a key of the bucket.
func (c *Bucket) policyOf(q *request, key string) (action, resource string) {
	c.mu.Lock()
	region := c.region
	if c.absent && q.region != "" {
		region = q.region
	}
	c.mu.Unlock()
	appID := c.name[strings.LastIndex(c.name, "-")+1:]
	return "name/cos:" + cosActions[q.op], "qcs::cos:" + region + ":uid/" + appID + ":" + c.name + "/" + key
}

// applyToBucket is what a request does to the bucket itself, or that there is none, or not for this account.
// The caller holds c.mu.
func (c *Bucket) applyToBucket(q request) (a answer, done bool) {
	switch {
	case q.op == "PUT BUCKET":
		return c.make(q), true
	case c.absent || q.region != "" && q.region != c.region:
		return refusal{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.",
				""}.answer(q),
			true
	case c.foreign:
		return refusal{http.StatusForbidden, "AccessDenied", "Access Denied.", ""}.answer(q), true
	}
	switch q.op {
	case "HEAD BUCKET":
		return answer{http.StatusOK, http.Header{"X-Cos-Bucket-Region": {c.region}}, nil}, true
	case "ACL":
		return xmlAnswer(http.StatusOK, c.aclAnswer()), true
	case "PUT ACL":
		if c.acl = q.acl; c.acl == "" {
			c.acl = private
		}
		return answer{http.StatusOK, http.Header{}, nil}, true
	case "VERSIONING":
		return xmlAnswer(http.StatusOK, versioningStatus{Status: c.versioning}), true
	case "PUT VERSIONING":
		c.versioning = q.status
		return answer{http.StatusOK, http.Header{}, nil}, true
	}
	return a, false
}

// make creates the bucket. A name is taken in all regions at once.
func (c *Bucket) make(q request) answer {
	switch {
	case !bucketForm.MatchString(c.name):
		return refusal{http.StatusBadRequest, "InvalidBucketName", "The specified bucket is not valid.",
			c.name}.answer(q)
	case c.foreign:
		return refusal{http.StatusConflict, "BucketAlreadyExists",
			"The requested bucket name is not available.", ""}.answer(q)
	case !c.absent:
		return refusal{http.StatusConflict, "BucketAlreadyOwnedByYou",
			"Your previous request to create the named bucket succeeded and you already own it.",
			""}.answer(q)
	}
	c.absent = false
	if q.region != "" {
		c.region = q.region
	}
	if c.acl = q.acl; c.acl == "" {
		c.acl = private
	}
	return answer{http.StatusOK, http.Header{"Location": {"/" + c.name}}, nil}
}

// The body of GET Bucket acl.
type (
	accessControl struct {
		XMLName xml.Name  `xml:"AccessControlPolicy"`
		Owner   accountID `xml:"Owner"`
		Grants  []grant   `xml:"AccessControlList>Grant"`
	}
	accountID struct{ ID, DisplayName string }
	grant     struct {
		Grantee    grantee
		Permission string
	}
	grantee struct {
		Schema      string `xml:"xmlns:xsi,attr"`
		Type        string `xml:"xsi:type,attr"`
		URI         string `xml:",omitempty"`
		ID          string `xml:",omitempty"`
		DisplayName string `xml:",omitempty"`
	}
)

// aclAnswer grants everything to the owner, and to everyone what the ACL says.
func (c *Bucket) aclAnswer() accessControl {
	const schema = "http://www.w3.org/2001/XMLSchema-instance"
	p := accessControl{Owner: accountID{owner, owner}, Grants: []grant{
		{grantee{Schema: schema, Type: "CanonicalUser", ID: owner, DisplayName: owner}, "FULL_CONTROL"}}}
	everyone := grantee{Schema: schema, Type: "Group", URI: "http://cam.qcloud.com/groups/global/AllUsers"}
	if c.acl != private {
		p.Grants = append(p.Grants, grant{everyone, "READ"})
	}
	if c.acl == "public-read-write" {
		p.Grants = append(p.Grants, grant{everyone, "WRITE"})
	}
	return p
}
