// Package cloud is Tencent Cloud on the laptop, as far as load balancers go: APIs 2.0 and 3.0 of CLB and CVM over one set of
// load balancers and machines, which a test changes and whose answers it makes go wrong. It is written independently of the
// code it tests and imports none of it, and it refuses every request that the documentation calls an error.
package cloud

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"clbwatch/internal/sandbox"
)

// APIPath is where a Cloud answers; everything else is 404.
const APIPath = "/v2/index.php"

const (
	maxSkew    = 5 * time.Minute // between a request's Timestamp and the Cloud's clock
	maxForm    = 1 << 20         // bytes of a POST body
	maxNonces  = 1 << 16         // remembered per generation; at 20 calls a second that is most of an hour
	maxRefused = 100             // refusals kept for Refused

	defaultLimit = 20
	maxLimit     = 100
)

// Instance is a backend as the cloud has it. Nothing is checked: a test may bind what the real cloud would not.
type Instance struct {
	ID     string   // unInstanceId, such as "ins-9o9ex9s0"; of a network interface such as "eni-1234abcd"
	Name   string   // instanceName
	LanIP  string   // lanIp
	WanIPs []string // wanIpSet; nil is sent as null, an empty slice as []
	Status int      // instanceStatus; 2 is running
	Weight int      // 0 to 100
	Type   string   // what it is, in the words of API 3.0: "" or "CVM", an instance; "ENI", a network interface; "CCN", an address elsewhere
}

// Cloud answers the actions of API 2.0 and, by V3, those of API 3.0 that say which load balancers there are, what is bound
// to them and how that is, strictly: what the documentation calls an error is refused with its code. It is safe for
// concurrent use. Make one with New.
type Cloud struct {
	Latency time.Duration    // before every answer; set it before serving
	Now     func() time.Time // the clock for Timestamps and the header Date, asked by many at once; set it before serving

	mu                sync.Mutex
	balancers         map[string]*balancer // by "region/lb"
	machines          map[string]*machine  // what CVM knows, by id
	applicationsEmpty bool
	credentials       map[string]sandbox.Credential // by SecretID
	nonces            [2]map[string]bool            // of requests already answered: this generation and the last
	faults            []*pending
	faultsV3          []*pendingV3
	calls, callsV3    int
	callsTo           map[string]int // of API 2.0, by loadBalancerId and by action
	callsV3To         map[string]int // by action
	refused           []string
}

// New returns an empty cloud that accepts no credential yet.
func New() *Cloud {
	return &Cloud{
		Now:         time.Now,
		balancers:   make(map[string]*balancer),
		machines:    make(map[string]*machine),
		credentials: make(map[string]sandbox.Credential),
		callsTo:     make(map[string]int),
		callsV3To:   make(map[string]int),
	}
}

// Issue returns a new temporary credential, accepted until it is revoked.
func (c *Cloud) Issue() sandbox.Credential {
	cr := sandbox.Credential{SecretID: "AKIDsandbox" + sandbox.RandomHex(12), SecretKey: sandbox.RandomHex(16), Token: sandbox.RandomHex(32)}
	c.Accept(cr)
	return cr
}

// Accept makes the cloud accept a given credential until it is revoked.
func (c *Cloud) Accept(cr sandbox.Credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.credentials[cr.SecretID] = cr
}

// Revoke ends a credential at once.
func (c *Cloud) Revoke(secretID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.credentials, secretID)
}

// Credential returns the credential of a SecretID, and whether it is accepted now.
func (c *Cloud) Credential(secretID string) (sandbox.Credential, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cr, ok := c.credentials[secretID]
	return cr, ok
}

// Fail makes the next calls of API 2.0 for one load balancer go wrong, or those of one action, such as
// DescribeLoadBalancers, if lb is its name, or every call if lb is "". times counts calls, and a load balancer of more than
// 100 backends takes several; below 0 it lasts until ClearFaults. Faults apply one after another, those of the load
// balancer first, then those of the action, and only to requests that are right themselves. A fault in what an answer does
// not have, such as in the rows of backends of a list of load balancers, leaves it right.
func (c *Cloud) Fail(lb string, f Fault, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &pending{lb, f, times})
}

// ClearFaults ends every fault of either API; calls that hang go on hanging.
func (c *Cloud) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults, c.faultsV3 = nil, nil
}

// Calls is how many requests of API 2.0 there were, wrong ones included.
func (c *Cloud) Calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// CallsTo is how many requests of API 2.0 were for one load balancer, lists not counted, or of one action, such as
// DescribeLoadBalancers, if lb is its name; wrong ones included.
func (c *Cloud) CallsTo(lb string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.callsTo[lb]
}

// Refused lists why requests of either API were refused, faults not counted: the last 100, oldest first.
func (c *Cloud) Refused() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.refused)
}

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
	under  string                                              // the name of the set in the answer
	read   func(q *query, form url.Values) error               // the action's own parameters
	answer func(c *Cloud, q query) (answer, []Instance, error) // the right one, and the backends that it is about; an error is that there is no such thing
}

var actionsV2 = map[string]actionV2{
	DescribeLoadBalancers:        {"loadBalancerSet", (*query).readList, (*Cloud).listV2},
	DescribeLoadBalancerBackends: {"backendSet", (*query).readBackends, (*Cloud).backendsV2},
	DescribeForwardLBBackends:    {"data", (*query).readForward, (*Cloud).forwardV2},
	DescribeLBHealthStatus:       {"data", (*query).readHealth, (*Cloud).healthV2},
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
	writeJSON(w, answer{Code: e.code, CodeDesc: e.desc, Message: fmt.Sprintf("(%d)%s", 100000+e.code, e.message)}.body())
}

// date makes the answer tell the time by the Cloud's clock.
func (c *Cloud) date(w http.ResponseWriter) {
	w.Header().Set("Date", c.Now().UTC().Format(http.TimeFormat))
}

func (c *Cloud) note(e error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.refused) == maxRefused {
		c.refused = slices.Delete(c.refused, 0, 1)
	}
	c.refused = append(c.refused, e.Error())
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
		return apiError{4500, "ReplayAttack", fmt.Sprintf("the Timestamp is %v off", skew.Truncate(time.Second))}
	}
	if !c.fresh(id + " " + form.Get("Nonce") + " " + form.Get("Timestamp")) {
		return apiError{4500, "ReplayAttack", "Nonce and Timestamp were used before"}
	}
	return nil
}

// fresh reports whether a request is new, and remembers it. Memory is bounded: the oldest are forgotten, by which time
// their Timestamp has long expired unless somebody calls without a rate limit.
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

func marshal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return body
}

func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client is gone if this fails, and there is nobody to tell
}
