package cos

import (
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"clbwatch/internal/sandbox"
)

// answer is an answer; a fault may change it.
type answer struct {
	status int
	header http.Header
	body   []byte // of the object too where the answer to HEAD is only its length
}

func (a answer) write(w http.ResponseWriter, r *http.Request) {
	a.start(w, r)
	// not for HEAD and 204; else the client is gone if this fails, and there is nobody to tell
	_, _ = w.Write(a.body)
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

func xmlAnswer(status int, v any) answer {
	body, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return answer{status, http.Header{"Content-Type": {"application/xml"}},
		append([]byte(xml.Header), body...)}
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
	body := errorBody{Code: e.code, Message: e.message, Resource: q.resource,
		RequestID: sandbox.RandomHex(16), TraceID: sandbox.RandomHex(16)}
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
