package cos

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	maxObject = 64 << 20 // bytes of an object; COS takes 5 GB
	maxKey    = 850      // bytes of a key
	maxList   = 1000     // keys of one listing or one multi-delete
)

// request is a request that passed every check.
type request struct {
	op, key, resource string

	body        []byte // of a PUT
	contentType string
	forbid      bool // to overwrite

	prefix, marker string // of a LIST
	max            int
	encoded        bool

	multi  *deleteMany     // nil unless DELETE is a multi-delete
	denied map[string]bool // keys of it that may not be deleted

	region string // that the address named; "" if it named none
	acl    string // of a PUT BUCKET or PUT ACL; "" if it was not given
	status string // of a PUT VERSIONING
}

// operation names what a request asks for, "" if it is nothing that the bucket does.
func operation(r *http.Request) string {
	query := r.URL.Query()
	switch {
	case r.URL.Path != "/":
		if slices.Contains([]string{http.MethodPut, http.MethodGet, http.MethodHead, http.MethodDelete},
			r.Method) {
			return r.Method
		}
	case bucketOperation(r.Method, query) != "":
		return bucketOperation(r.Method, query)
	case r.Method == http.MethodGet:
		return "LIST"
	case r.Method == http.MethodPost && query.Has("delete"):
		return "DELETE"
	}
	return ""
}

// check applies the rules for every request, then those of the operation, and completes q.
func (c *Bucket) check(r *http.Request, q *request) error {
	// before any refusal, so that the client reads the answer and not a broken pipe
	body, bodyErr := readBody(r)
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	secretID, err := c.authorize(r, query)
	if err != nil {
		return err
	}
	if q.op == "" {
		return refusal{http.StatusMethodNotAllowed, "MethodNotAllowed", "not in this sandbox",
			r.Method + " " + r.URL.RequestURI()}
	}
	if bodyErr != nil {
		return bodyErr
	}
	if err := c.permit(q, query, secretID); err != nil {
		return err
	}
	if err := onlyKnown(r, q.op, query); err != nil {
		return err
	}
	if err := checkMD5(r, body); err != nil {
		return err
	}
	switch {
	case ofBucket(q.op):
		return q.readBucket(r, body)
	case q.op == "LIST":
		return q.readList(query)
	case r.Method == http.MethodPost:
		if err := q.readMulti(r, body); err != nil {
			return err
		}
		c.denyMulti(q, secretID)
		return nil
	case len(q.key) > maxKey:
		return refusal{http.StatusBadRequest, "KeyTooLong", "the key is too long",
			fmt.Sprintf("%d bytes", len(q.key))}
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
		return nil, refusal{http.StatusLengthRequired, "MissingContentLength",
			"Content-Length is missing", ""}
	case r.ContentLength > maxObject:
		return nil, refusal{http.StatusBadRequest, "EntityTooLarge", "the body is too large for this sandbox",
			fmt.Sprintf("%d bytes", r.ContentLength)}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxObject))
	if err != nil {
		return nil, refusal{http.StatusBadRequest, "IncompleteBody",
			"the body is shorter than its Content-Length", err.Error()}
	}
	return body, nil
}

// permit holds the request against the policy of whoever signed it, if there is May, and one for one prefix.
func (c *Bucket) permit(q *request, query url.Values, secretID string) error {
	if err := c.may(q, secretID); err != nil {
		return err
	}
	what := ""
	switch {
	case q.op == "LIST" && (c.DenyList || !strings.HasPrefix(query.Get("prefix"), c.Prefix)):
		what = "listing of prefix " + query.Get("prefix")
	case q.key != "" && !strings.HasPrefix(q.key, c.Prefix):
		what = "key " + q.key
	default:
		return nil
	}
	return refusal{http.StatusForbidden, "AccessDenied", "Access Denied.",
		"the policy does not allow " + q.op + ", " + what}
}

// onlyKnown refuses what the real COS would act upon and this one does not.
func onlyKnown(r *http.Request, op string, query url.Values) error {
	params := map[string][]string{
		"LIST": {"prefix", "marker", "max-keys", "encoding-type"}, "VERSIONING": {"versioning"},
		"DELETE": {"delete"}, "PUT VERSIONING": {"versioning"}, "ACL": {"acl"}, "PUT ACL": {"acl"},
	}[op]
	if op == "DELETE" && r.Method != http.MethodPost {
		params = nil
	}
	for name, values := range query {
		if !slices.Contains(params, name) {
			return refusal{http.StatusNotImplemented, "NotImplemented", "not in this sandbox",
				"parameter " + name}
		}
		if len(values) > 1 {
			return fmt.Errorf("parameter %s is given %d times", name, len(values))
		}
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		known := slices.Contains([]string{"x-cos-security-token", "x-cos-forbid-overwrite",
			"x-cos-sdk-retry"}, name) || name == "x-cos-acl" && (op == "PUT BUCKET" || op == "PUT ACL")
		if strings.HasPrefix(name, "x-cos-") && !known || strings.HasPrefix(name, "if-") || name == "range" {
			return refusal{http.StatusNotImplemented, "NotImplemented", "not in this sandbox",
				"header " + name}
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
		return refusal{http.StatusBadRequest, "InvalidDigest", "Content-MD5 is not the base64 of an MD5",
			given}
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
	err := xml.Unmarshal(body, &q.multi)
	if err != nil || len(q.multi.Objects) == 0 || len(q.multi.Objects) > maxList {
		return refusal{http.StatusBadRequest, "MalformedXML", "not a Delete of 1 to 1000 objects",
			fmt.Sprintf("error %v", err)}
	}
	return nil
}
