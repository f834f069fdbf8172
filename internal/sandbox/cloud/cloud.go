// Package cloud is Tencent Cloud on the laptop, as far as load balancers go: APIs 2.0 and 3.0 of CLB and CVM
// over one set of load balancers and machines, which a test changes and whose answers it makes go wrong. It
// is written independently of the code it tests and imports none of it, and it refuses every request that the
// documentation calls an error.
package cloud

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"clbwatch/internal/sandbox"
)

// The bounds of either API.
const (
	maxSkew    = 5 * time.Minute // between the Timestamp of a request of API 2.0 and the clock
	maxRefused = 100             // refusals kept for Refused

	defaultLimit = 20
	maxLimit     = 100
)

// Instance is a backend as the cloud has it. Nothing is checked: a test may bind what the real cloud would
// not.
type Instance struct {
	ID     string   // unInstanceId, such as "ins-9o9ex9s0"; of a network interface such as "eni-1234abcd"
	Name   string   // instanceName
	LanIP  string   // lanIp
	WanIPs []string // wanIpSet; nil is sent as null, an empty slice as []
	Status int      // instanceStatus; 2 is running
	Weight int      // 0 to 100

	// what it is, in the words of API 3.0: "" or "CVM", an instance; "ENI", a network interface; "CCN", an
	// address elsewhere
	Type string
}

// Cloud answers the actions of API 2.0 and, by V3, those of API 3.0 that say which load balancers there are,
// what is bound to them and how that is, strictly: what the documentation calls an error is refused with its
// code. It is safe for concurrent use. Make one with New.
type Cloud struct {
	// before every answer; set it before serving
	Latency time.Duration
	// the clock for Timestamps and the header Date, asked by many at once; set it before serving
	Now func() time.Time
	// what the owner of a SecretId may do, such as account.Account.May: action is like
	// name/clb:DescribeTargets, resource is *, because nothing less is asked for. nil is everything; set it
	// before serving
	May func(secretID, action, resource string) bool

	mu                sync.Mutex
	balancers         map[string]*balancer // by "region/lb"
	machines          map[string]*machine  // what CVM knows, by id
	applicationsEmpty bool
	credentials       map[string]sandbox.Credential // by SecretID
	nonces            [2]map[string]bool            // of answered requests: this generation and the last
	faults            []*pending
	faultsV3          []*pendingV3
	refusing          map[string]string // by instance, the code with which CVM refuses calls about it
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
		refusing:    make(map[string]string),
		credentials: make(map[string]sandbox.Credential),
		callsTo:     make(map[string]int),
		callsV3To:   make(map[string]int),
	}
}

// Issue returns a new temporary credential, accepted until it is revoked.
func (c *Cloud) Issue() sandbox.Credential {
	cr := sandbox.Credential{SecretID: "AKIDsandbox" + sandbox.RandomHex(12),
		SecretKey: sandbox.RandomHex(16), Token: sandbox.RandomHex(32)}
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
// DescribeLoadBalancers, if lb is its name, or every call if lb is "". times counts calls, and a load
// balancer of more than 100 backends takes several; below 0 it lasts until ClearFaults. Faults apply one
// after another, those of the load balancer first, then those of the action, and only to requests that are
// right themselves. A fault in what an answer does not have, such as in the rows of backends of a list of
// load balancers, leaves it right.
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
	clear(c.refusing)
}

// may reports whether the owner of a SecretId may call an action of a service.
func (c *Cloud) may(secretID, service, action string) bool {
	return c.May == nil || c.May(secretID, "name/"+service+":"+action, "*")
}

// Calls is how many requests of API 2.0 there were, wrong ones included.
func (c *Cloud) Calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// CallsTo is how many requests of API 2.0 were for one load balancer, lists not counted, or of one action,
// such as DescribeLoadBalancers, if lb is its name; wrong ones included.
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
