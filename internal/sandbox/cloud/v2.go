package cloud

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"clbwatch/internal/sandbox"
)

// APIPath is where a Cloud answers; everything else is 404.
const APIPath = "/v2/index.php"

const (
	maxForm   = 1 << 20 // bytes of a POST body
	maxNonces = 1 << 16 // remembered per generation; at 20 calls a second that is most of an hour
)

// ServeHTTP answers one call of API 2.0.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.date(w)
	if r.URL.Path != APIPath {
		http.NotFound(w, r)
		return
	}
	form, err := readForm(w, r)
	c.mu.Lock()
	c.calls++
	c.callsTo[form.Get("Action")]++
	c.callsTo[form.Get("loadBalancerId")]++
	c.mu.Unlock()
	if c.Latency > 0 && !sandbox.Pause(r.Context(), c.Latency) {
		return
	}
	var q query
	if err == nil {
		q, err = c.check(r, form)
	}
	if err != nil {
		c.refuse(w, err)
		return
	}

	fault := c.due(q)
	a, pool, err := actionsV2[q.action].answer(c, q)
	if err != nil {
		a = answer{Code: 5000, CodeDesc: "ResourceNotFound", Message: "(15000)loadBalancer not exist"}
	}
	if fault.edit != nil {
		fault.edit(&a, pool, q)
	}
	a.under = actionsV2[q.action].under
	if fault.serve != nil {
		fault.serve(w, r, a)
		return
	}
	if err != nil {
		c.note(err)
	}
	writeJSON(w, a.body())
}

// query is a request that passed every check.
type query struct {
	action, region, lb string // lb is "" for a list
	offset, limit      int    // of the actions that have pages

	ids     []string // to list; nil for all
	forward int      // to list: a kind, or anyKind

	listeners      []string // ids of listeners to show; nil for all
	protocol, port int      // of listeners to show; 0 for all
}

// actionV2 is an action of API 2.0.
type actionV2 struct {
	// the name of the set in the answer
	under string
	// the action's own parameters
	read func(q *query, form url.Values) error
	// the right one, and the backends that it is about; an error is that there is no such thing
	answer func(c *Cloud, q query) (answer, []Instance, error)
}

var actionsV2 = map[string]actionV2{
	DescribeLoadBalancers:        {"loadBalancerSet", (*query).readList, (*Cloud).listV2},
	DescribeLoadBalancerBackends: {"backendSet", (*query).readBackends, (*Cloud).backendsV2},
	DescribeForwardLBBackends:    {"data", (*query).readForward, (*Cloud).forwardV2},
	DescribeLBHealthStatus:       {"data", (*query).readHealth, (*Cloud).healthV2},
}

// check applies the rules for every request, then those of the action.
func (c *Cloud) check(r *http.Request, form url.Values) (q query, err error) {
	for _, key := range []string{"Action", "Region", "Timestamp", "Nonce", "SecretId", "Signature"} {
		if form.Get(key) == "" {
			return q, fmt.Errorf("%s is missing", key)
		}
	}
	if err := c.authenticate(r, form); err != nil {
		return q, err
	}
	a := form.Get("Action")
	do, ok := actionsV2[a]
	if !ok {
		return q, apiError{6100, "ActionNotFound", "no such action [" + a + "]"}
	}
	if !c.may(form.Get("SecretId"), clbV3.service, a) {
		return q, apiError{4101, "AuthFailure", "no permission for the API"}
	}
	q = query{action: a, region: form.Get("Region")}
	if a != DescribeLoadBalancers {
		if q.lb = form.Get("loadBalancerId"); q.lb == "" {
			return q, errors.New("loadBalancerId is missing")
		}
	}
	return q, do.read(&q, form)
}

// readPage reads the parameters of a list with pages.
func (q *query) readPage(form url.Values) (err error) {
	if q.offset, err = number(form, "offset", 0, 0, math.MaxInt32); err != nil {
		return err
	}
	q.limit, err = number(form, "limit", defaultLimit, 1, maxLimit)
	return err
}

// noPages refuses the parameters of a list with pages where there are none.
func noPages(form url.Values) error {
	for _, key := range []string{"offset", "limit"} {
		if form.Has(key) {
			return fmt.Errorf("%s is no parameter of %s, which has no pages", key, form.Get("Action"))
		}
	}
	return nil
}

func number(form url.Values, key string, byDefault, low, high int) (int, error) {
	if !form.Has(key) {
		return byDefault, nil
	}
	n, err := strconv.Atoi(form.Get(key))
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s %q is not a number from %d to %d", key, form.Get(key), low, high)
	}
	return n, nil
}

// readForm returns the parameters: of the query for GET, of the body alone for POST. It never returns nil.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	none := url.Values{}
	var form url.Values
	switch r.Method {
	case http.MethodGet:
		var err error
		if form, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return none, fmt.Errorf("query: %w", err)
		}
	case http.MethodPost:
		if ct := r.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/x-www-form-urlencoded") {
			return none, fmt.Errorf("content type %q", ct)
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return none, fmt.Errorf("body: %w", err)
		}
		form = r.PostForm
	default:
		return none, fmt.Errorf("method %s", r.Method)
	}
	for key, values := range form {
		if len(values) > 1 {
			return form, fmt.Errorf("%s is given %d times", key, len(values))
		}
	}
	return form, nil
}

// missing is that there is no such thing, or not of the kind.
func missing(format string, args ...any) error {
	return apiError{5000, "ResourceNotFound", fmt.Sprintf(format, args...)}
}

// apiError is a refusal in the words of API 2.0.
type apiError struct {
	code          int
	desc, message string
}

func (e apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.code, e.desc, e.message) }

func (c *Cloud) refuse(w http.ResponseWriter, err error) {
	var e apiError
	if !errors.As(err, &e) {
		e = apiError{4000, "InvalidParameter", err.Error()}
	}
	c.note(e)
	message := fmt.Sprintf("(%d)%s", 100000+e.code, e.message)
	writeJSON(w, answer{Code: e.code, CodeDesc: e.desc, Message: message}.body())
}

func (c *Cloud) authenticate(r *http.Request, form url.Values) error {
	method := form.Get("SignatureMethod")
	if method != "" && method != "HmacSHA1" && method != "HmacSHA256" {
		return fmt.Errorf("SignatureMethod %q", method)
	}
	seconds, err := strconv.ParseInt(form.Get("Timestamp"), 10, 64)
	if err != nil {
		return fmt.Errorf("timestamp %q is not in UNIX seconds", form.Get("Timestamp"))
	}
	if n, err := strconv.ParseInt(form.Get("Nonce"), 10, 64); err != nil || n <= 0 {
		return fmt.Errorf("nonce %q is not a positive integer", form.Get("Nonce"))
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	id := form.Get("SecretId")
	cr, ok := c.credentials[id]
	if !ok {
		return apiError{4104, "SecretidNotExit", "the SecretId does not exist"} // the API spells it so
	}
	want := signature(r.Method, r.Host, r.URL.Path, form, cr.SecretKey)
	if subtle.ConstantTimeCompare([]byte(form.Get("Signature")), []byte(want)) == 0 {
		return apiError{4100, "AuthFailure", "the signature does not match"}
	}
	if form.Get("Token") != cr.Token {
		return apiError{4105, "TokenFailure", "the Token is missing or not that of the SecretId"}
	}
	if skew := c.Now().Sub(time.Unix(seconds, 0)).Abs(); skew > maxSkew {
		return apiError{4500, "ReplayAttack",
			fmt.Sprintf("the Timestamp is %v off", skew.Truncate(time.Second))}
	}
	if !c.fresh(id + " " + form.Get("Nonce") + " " + form.Get("Timestamp")) {
		return apiError{4500, "ReplayAttack", "Nonce and Timestamp were used before"}
	}
	return nil
}

// fresh reports whether a request is new, and remembers it. Memory is bounded: the oldest are forgotten, by
// which time their Timestamp has long expired unless somebody calls without a rate limit.
func (c *Cloud) fresh(key string) bool {
	if c.nonces[0][key] || c.nonces[1][key] {
		return false
	}
	if c.nonces[0] == nil || len(c.nonces[0]) == maxNonces {
		c.nonces = [2]map[string]bool{{}, c.nonces[0]}
	}
	c.nonces[0][key] = true
	return true
}

// signature is that of API 2.0, over raw values in byte order of the keys
// (https://cloud.tencent.com/document/api/214/1526); the host has no port.
func signature(method, host, path string, form url.Values, secretKey string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	pairs := make([]string, 0, len(form))
	for key := range form {
		if key != "Signature" {
			pairs = append(pairs, strings.ReplaceAll(key, "_", ".")+"="+form.Get(key))
		}
	}
	// The keys alone are in order: "=" sorts after "." and the digits of "a.0".
	slices.SortFunc(pairs, func(a, b string) int {
		ka, _, _ := strings.Cut(a, "=")
		kb, _, _ := strings.Cut(b, "=")
		return strings.Compare(ka, kb)
	})
	newHash := sha1.New
	if form.Get("SignatureMethod") == "HmacSHA256" {
		newHash = sha256.New
	}
	mac := hmac.New(newHash, []byte(secretKey))
	mac.Write([]byte(method + host + path + "?" + strings.Join(pairs, "&")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// answer is the body of API 2.0; a fault may leave fields out.
type answer struct {
	Code       any    `json:"code,omitempty"` // an int, or a string, which is legal too
	Message    string `json:"message"`
	CodeDesc   string `json:"codeDesc"`
	TotalCount *int   `json:"totalCount,omitempty"`
	Set        any    `json:"backendSet,omitempty"` // []row, or something else under another name

	under string // the set's name
}

// listAnswer and dataAnswer are answers with the set under another name.
type (
	listAnswer struct {
		Code       any    `json:"code,omitempty"`
		Message    string `json:"message"`
		CodeDesc   string `json:"codeDesc"`
		TotalCount *int   `json:"totalCount,omitempty"`
		Set        any    `json:"loadBalancerSet,omitempty"`

		under string
	}
	dataAnswer struct {
		Code       any    `json:"code,omitempty"`
		Message    string `json:"message"`
		CodeDesc   string `json:"codeDesc"`
		TotalCount *int   `json:"totalCount,omitempty"`
		Set        any    `json:"data,omitempty"`

		under string
	}
)

// body is the answer as bytes; the same state gives the same bytes.
func (a answer) body() []byte {
	switch a.under {
	case "loadBalancerSet":
		return marshal(listAnswer(a))
	case "data":
		return marshal(dataAnswer(a))
	}
	return marshal(a)
}
