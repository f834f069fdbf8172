// Package account is an account of Tencent Cloud on the laptop, as far as deploying a function goes: the
// functions of SCF, the roles and policies of CAM, and who a caller is (STS), over API 3.0. It is written
// from the documentation, imports nothing of what it tests, and refuses whatever the documentation calls an
// error as well as what it has not got.
//
// Names of parameters and fields, and the codes that each action may answer, are those of Tencent's SDK for
// Go at 144f6c8d (2026-08-21: models.go, and the lists of codes in client.go). Which of these codes a
// mistake gets follows from what the SDK says of the code; where that leaves a choice, a comment says so.
package account

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"clbwatch/internal/sandbox"
)

const (
	maxRefused = 100       // refusals kept for Refused
	defaultNS  = "default" // the one namespace there is
)

// Account answers API 3.0 of scf, cam and sts for one account. It is safe for concurrent use. Make one with
// New, and close it in the end.
type Account struct {
	// What follows is to be set before serving.

	AppID   string   // in names of buckets and in URLs: 1250000000
	UIN     string   // of the account: 100000000001
	UserUIN string   // of the user whose keys Accept takes: 100000000002
	Regions []string // that there are; X-TC-Region must be one of them
	// the clock of time stamps and of the header Date, asked by many at once
	Now func() time.Time
	// how many GetFunction say Creating or Updating after each change, before the function is Active again
	Polls int
	// MB of memory that the functions of a region may have at once. Reservations take at most 12,800 less
	Quota int64
	// returns an object of COS that code is deployed from; nil if there are none. bucket ends in the AppID
	Object func(bucket, region, key string) ([]byte, bool)
	// runs a deployed function; nil if Invoke is refused
	Run Runner

	mu          sync.Mutex
	credentials map[string]issued // by SecretID
	functions   map[string]*function
	roles       map[string]*role   // by name
	policies    map[uint64]*policy // by id
	lastPolicy  uint64
	lastRole    int
	faults      []*pending
	calls       []Call
	refused     []string
	folder      string         // of unpacked code; "" until there is some
	running     sync.WaitGroup // asynchronous invocations
}

// issued is a credential and whose it is.
type issued struct {
	sandbox.Credential
	role string // "" for the user's
}

// Runner runs a deployed function once, in a way that the platform would: a process that serves the
// protocol of its runtime, with the given settings and credential.
type Runner func(ctx context.Context, d Deployment, event []byte) Outcome

// Deployment is what a Runner needs to know of a function.
type Deployment struct {
	Region, Name string
	Binary       string            // the handler, unpacked; it is there until the code changes
	Environment  map[string]string // the user's settings
	MemoryMB     int
	Timeout      time.Duration
	InitTimeout  time.Duration
	Role         string             // "" if it has none
	Credential   sandbox.Credential // a new one of the role; zero if it has none
}

// Outcome is how an invocation ended.
type Outcome struct {
	Payload []byte // what the function returned, as JSON
	Status  int    // such as 433, if the platform ended it
	Type    string // of the error; "" if there was none
	Message string
	Log     string // what it wrote
	// no outcome: the function could not be run
	Err error
}

// New returns an account without functions, roles and policies, that accepts no credential yet.
func New() *Account {
	return &Account{
		AppID: "1250000000", UIN: "100000000001", UserUIN: "100000000002",
		Regions:     []string{"ap-guangzhou", "ap-shanghai", "ap-hongkong", "ap-singapore"},
		Now:         time.Now,
		Polls:       2,
		Quota:       128_000,
		credentials: make(map[string]issued),
		functions:   make(map[string]*function),
		roles:       make(map[string]*role),
		policies:    make(map[uint64]*policy),
		lastPolicy:  10_000,
	}
}

// Close waits for asynchronous invocations, and removes unpacked code.
func (a *Account) Close() error {
	a.running.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.folder == "" {
		return nil
	}
	return os.RemoveAll(a.folder)
}

// Issue returns a new long-term key of the account's user, who may do everything, until it is revoked.
func (a *Account) Issue() sandbox.Credential {
	cr := sandbox.Credential{SecretID: "AKIDsandbox" + sandbox.RandomHex(12),
		SecretKey: sandbox.RandomHex(16)}
	a.Accept(cr)
	return cr
}

// Accept makes the account take a given key as the user's, until it is revoked.
func (a *Account) Accept(cr sandbox.Credential) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.credentials[cr.SecretID] = issued{cr, ""}
}

// Assume returns a new temporary credential of a role, as the platform gives one to a function that runs as
// it, and false if there is no such role or the platform may not assume it.
func (a *Account) Assume(role string) (sandbox.Credential, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.assume(role)
}

// assume is Assume. The caller holds a.mu.
func (a *Account) assume(name string) (sandbox.Credential, bool) {
	r := a.roles[name]
	if r == nil || !r.trust.trusts(functionService) {
		return sandbox.Credential{}, false
	}
	cr := sandbox.Credential{SecretID: "AKIDsandbox" + sandbox.RandomHex(12),
		SecretKey: sandbox.RandomHex(16), Token: sandbox.RandomHex(32)}
	a.credentials[cr.SecretID] = issued{cr, name}
	return cr, true
}

// Revoke ends a credential at once.
func (a *Account) Revoke(secretID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.credentials, secretID)
}

// Credential returns the credential of a SecretID, and whether it is accepted now: what cos.New asks for.
func (a *Account) Credential(secretID string) (sandbox.Credential, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	cr, ok := a.credentials[secretID]
	return cr.Credential, ok
}

// May reports whether the owner of an accepted credential may do something: the user everything, a role what
// Allows says of it.
func (a *Account) May(secretID, action, resource string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	cr, ok := a.credentials[secretID]
	return ok && (cr.role == "" || a.allows(cr.role, action, resource))
}

// Call is a request that was understood as one of an action, wrong ones included.
type Call struct {
	Service, Action, Region string

	// the action changes something; if it was refused, it did not
	Writes bool
	// why it was refused; "" if it was not. Where an answer was lost, it is what that would have said
	Code string
	// what was asked for
	Body string
}

// Calls lists the requests so far, in the order in which they came.
func (a *Account) Calls() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// Writes lists the requests so far of actions that change something.
func (a *Account) Writes() []Call {
	return slices.DeleteFunc(a.Calls(), func(c Call) bool { return !c.Writes })
}

// Refused lists why requests were refused, faults not counted: the last 100, oldest first. What says only
// that something is not there, or is there already, counts too.
func (a *Account) Refused() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.refused)
}
