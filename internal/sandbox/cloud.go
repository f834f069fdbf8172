// Package sandbox is a cloud on the laptop: the load-balancer API, an incoming webhook of Slack and the platform's side of
// the SCF Go1 protocol, each as strict as its documentation, for `make demo` and the end-to-end tests. It is written
// independently of the code it tests, and refuses to import any of it or to reach beyond 127.0.0.1.
package sandbox

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
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
	ID     string   // unInstanceId, such as "ins-9o9ex9s0"
	Name   string   // instanceName
	LanIP  string   // lanIp
	WanIPs []string // wanIpSet; nil is sent as null, an empty slice as []
	Status int      // instanceStatus; 2 is running
	Weight int      // 0 to 100
}

// Credential is what a function gets from its role. Without a Token it is a long-term key.
type Credential struct {
	SecretID, SecretKey, Token string
}

// Cloud answers DescribeLoadBalancerBackends (https://cloud.tencent.com/document/api/214/1259) and DescribeLoadBalancers
// of API 2.0, and by V3 that of API 3.0, strictly: what the documentation calls an error is refused with its code. It is
// safe for concurrent use. Make one with NewCloud.
type Cloud struct {
	Latency time.Duration    // before every answer; set it before serving
	Now     func() time.Time // the clock for Timestamps and the header Date, asked by many at once; set it before serving

	mu                sync.Mutex
	balancers         map[string]*balancer // by "region/lb"
	applicationsEmpty bool
	credentials       map[string]Credential // by SecretID
	nonces            [2]map[string]bool    // of requests already answered: this generation and the last
	faults            []*pending
	faultsV3          []*pendingV3
	calls, callsV3    int
	callsTo           map[string]int // by loadBalancerId, or DescribeLoadBalancers
	refused           []string
}

// NewCloud returns an empty cloud that accepts no credential yet.
func NewCloud() *Cloud {
	return &Cloud{
		Now:         time.Now,
		balancers:   make(map[string]*balancer),
		credentials: make(map[string]Credential),
		callsTo:     make(map[string]int),
	}
}

// Create makes an empty load balancer, or empties one.
func (c *Cloud) Create(region, lb string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.balancer(region, lb).pool = nil
}

// Delete removes a load balancer: reading it is an error from now on.
func (c *Cloud) Delete(region, lb string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.balancers, region+"/"+lb)
}

// Bind binds instances to a load balancer, which it creates if need be. An instance with a known ID replaces the old one.
func (c *Cloud) Bind(region, lb string, ins ...Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.balancer(region, lb)
	pool := b.pool
	at := make(map[string]int, len(pool)+len(ins))
	for i, in := range pool {
		at[in.ID] = i
	}
	pool = slices.Grow(pool, len(ins))
	for _, in := range ins {
		in.WanIPs = slices.Clone(in.WanIPs)
		if i, ok := at[in.ID]; ok {
			pool[i] = in
			continue
		}
		at[in.ID] = len(pool)
		pool = append(pool, in)
	}
	b.pool = pool
}

// Unbind takes one instance from a load balancer; an unknown one is no news.
func (c *Cloud) Unbind(region, lb, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.balancers[region+"/"+lb]; ok {
		b.pool = slices.DeleteFunc(b.pool, func(in Instance) bool { return in.ID == id })
	}
}

// Pool returns what is bound to a load balancer, in the order of binding.
func (c *Cloud) Pool(region, lb string) []Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.balancers[region+"/"+lb]; ok {
		return slices.Clone(b.pool)
	}
	return nil
}

// SetStatus gives an instance a status on every load balancer it is bound to: a machine has only one.
func (c *Cloud) SetStatus(id string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.balancers {
		for i := range b.pool {
			if b.pool[i].ID == id {
				b.pool[i].Status = status
			}
		}
	}
}

// SetWeight gives an instance a weight on one load balancer.
func (c *Cloud) SetWeight(region, lb, id string, weight int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.balancers[region+"/"+lb]; ok {
		for i := range b.pool {
			if b.pool[i].ID == id {
				b.pool[i].Weight = weight
			}
		}
	}
}

// Issue returns a new temporary credential, accepted until it is revoked.
func (c *Cloud) Issue() Credential {
	cr := Credential{SecretID: "AKIDsandbox" + randomHex(12), SecretKey: randomHex(16), Token: randomHex(32)}
	c.Accept(cr)
	return cr
}

// Accept makes the cloud accept a given credential until it is revoked.
func (c *Cloud) Accept(cr Credential) {
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
func (c *Cloud) Credential(secretID string) (Credential, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cr, ok := c.credentials[secretID]
	return cr, ok
}

// Fail makes the next calls of API 2.0 for one load balancer go wrong, or the lists of them if lb is
// DescribeLoadBalancers, or every call if lb is "". times counts calls, and a load balancer of more than 100 backends
// takes several; below 0 it lasts until ClearFaults. Faults apply one after another, those of the load balancer first,
// and only to requests that are right themselves. A fault in the rows of backends leaves a list of load balancers right.
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

// CallsTo is how many requests of API 2.0 were for the backends of one load balancer, or for the list of them if lb is
// DescribeLoadBalancers, wrong ones included.
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
	to := form.Get("loadBalancerId")
	if form.Get("Action") == DescribeLoadBalancers {
		to = DescribeLoadBalancers
	}
	c.mu.Lock()
	c.calls++
	c.callsTo[to]++
	c.mu.Unlock()
	if c.Latency > 0 && !pause(r.Context(), c.Latency) {
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

	pool, known, fault := c.look(q)
	a := answer{Code: 5000, CodeDesc: "ResourceNotFound", Message: "(15000)loadBalancer not exist"}
	switch {
	case q.list:
		a = listV2(c.find(q.region, q.ids, q.forward), q)
	case known:
		a = page(pool, q)
	}
	if fault.edit != nil {
		fault.edit(&a, pool, q)
	}
	a.list = q.list
	if fault.serve != nil {
		fault.serve(w, r, a)
		return
	}
	if !known {
		c.note(apiError{5000, a.CodeDesc, q.lb + " in " + q.region})
	}
	writeJSON(w, a.body())
}

// query is a request that passed every check.
type query struct {
	region, lb    string // lb is DescribeLoadBalancers for a list of them
	offset, limit int

	list    bool
	ids     []string // to list; nil for all
	forward int      // to list: a kind, or anyKind
}

// look returns the backends of the load balancer asked for and the fault that is due, if any. A list is always known.
func (c *Cloud) look(q query) (pool []Instance, known bool, f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f = c.due(q)
	b, known := c.balancers[q.region+"/"+q.lb]
	switch {
	case q.list:
		return nil, true, f
	case known && b.forward == application:
		return nil, c.applicationsEmpty, f
	case known:
		return slices.Clone(b.pool), true, f
	}
	return nil, false, f
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
	q = query{region: form.Get("Region"), lb: form.Get("loadBalancerId")}
	switch a := form.Get("Action"); {
	case a == DescribeLoadBalancers:
		if err = q.readList(form); err != nil {
			return q, err
		}
	case a != "DescribeLoadBalancerBackends":
		return q, apiError{6100, "ActionNotFound", "no such action [" + a + "]"}
	case q.lb == "":
		return q, errors.New("loadBalancerId is missing")
	}
	if q.offset, err = number(form, "offset", 0, 0, math.MaxInt32); err != nil {
		return q, err
	}
	q.limit, err = number(form, "limit", defaultLimit, 1, maxLimit)
	return q, err
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
	BackendSet any    `json:"backendSet,omitempty"` // []row, or []listedV2 under the name of listAnswer

	list bool // of load balancers, not of backends
}

type row struct {
	InstanceID     string   `json:"instanceId"`
	UnInstanceID   string   `json:"unInstanceId,omitempty"`
	InstanceName   string   `json:"instanceName"`
	LanIP          string   `json:"lanIp"`
	WanIPSet       []string `json:"wanIpSet"`
	InstanceStatus *int     `json:"instanceStatus,omitempty"`
	Weight         int      `json:"weight"`
}

// page is the right answer to a query.
func page(pool []Instance, q query) answer {
	from := min(q.offset, len(pool))
	to := min(from+q.limit, len(pool))
	total := len(pool)
	return answer{Code: 0, CodeDesc: "Success", TotalCount: &total, BackendSet: rows(pool[from:to])}
}

func rows(pool []Instance) []row {
	out := make([]row, len(pool))
	for i, in := range pool {
		sum := md5.Sum([]byte(in.ID)) // the old form of the id looks like this
		out[i] = row{"qcvm" + hex.EncodeToString(sum[:]), in.ID, in.Name, in.LanIP, in.WanIPs, &pool[i].Status, in.Weight}
	}
	return out
}

// body is the answer as bytes; the same state gives the same bytes.
func (a answer) body() []byte {
	if a.list {
		return marshal(listAnswer(a))
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

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
