package sdkcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cloud"
)

var (
	binary = flag.String("binary", "", "the built function")
	npm    = flag.String("npm", "", "a folder with sdk.mjs and the npm packages")
)

const (
	region  = "ap-guangzhou"
	version = "2018-03-17"
	web     = "lb-byhpduqt"
)

// key is a credential of a role.
var key = sandbox.Credential{SecretID: "AKIDsdkcheck0123456789",
	SecretKey: "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", Token: "a/token+with=signs"}

// newCloud has one load balancer with two backends.
func newCloud() *cloud.Cloud {
	c := cloud.New()
	c.Accept(key)
	c.SetName(region, web, "商城 shop")
	c.Bind(region, web,
		cloud.Instance{ID: "ins-1", Name: "web-1", LanIP: "10.0.0.1", Status: 2, Weight: 10},
		cloud.Instance{ID: "ins-2", Name: "网页-2", LanIP: "10.0.0.2", Status: 4, Weight: 0})
	return c
}

// call is one that the SDK makes.
type call struct {
	SecretID  string         `json:"secretId"`
	SecretKey string         `json:"secretKey"`
	Token     string         `json:"token"` // "" for none
	Action    string         `json:"action"`
	Params    map[string]any `json:"params"`
}

// TestTheirs has the SDK call the sandbox: who checks signatures wrongly refuses it, or takes what it should
// refuse.
func TestTheirs(t *testing.T) {
	needSDK(t)
	permanent := sandbox.Credential{SecretID: "AKIDsdkcheckpermanent", SecretKey: "permanent"}
	list, targets := map[string]any{"LoadBalancerIds": []string{web}}, map[string]any{"LoadBalancerId": web}
	const whole, backends = web + " 商城 shop", "ins-1 10.0.0.1 2 10, ins-2 10.0.0.2 4 0"
	rows := []struct {
		name   string
		cred   sandbox.Credential
		action string
		params map[string]any
		want   string
	}{
		{"list", key, "DescribeLoadBalancers", list, whole},
		{"list without parameters", key, "DescribeLoadBalancers", map[string]any{}, whole},
		{"targets", key, "DescribeClassicalLBTargets", targets, backends},
		{"a permanent key, which has no token", permanent, "DescribeClassicalLBTargets", targets, backends},
		{"a body that is not ASCII", key, "DescribeClassicalLBTargets", map[string]any{"LoadBalancerId": "lb-负载 é"},
			"InvalidParameter.LBIdNotFound"},
		{"another's key", sandbox.Credential{SecretID: key.SecretID, SecretKey: permanent.SecretKey,
			Token: key.Token}, "DescribeClassicalLBTargets", targets, "AuthFailure.SignatureFailure"},
		{"list, another's key", sandbox.Credential{SecretID: key.SecretID, SecretKey: permanent.SecretKey,
			Token: key.Token}, "DescribeLoadBalancers", list, "AuthFailure.SignatureFailure"},
		{"no token", sandbox.Credential{SecretID: key.SecretID, SecretKey: key.SecretKey},
			"DescribeClassicalLBTargets", targets, "AuthFailure.TokenFailure"},
		{"an unknown id", sandbox.Credential{SecretID: "AKIDnobody", SecretKey: key.SecretKey, Token: key.Token},
			"DescribeLoadBalancers", list, "AuthFailure.SecretIdNotFound"},
	}
	cloud := newCloud()
	cloud.Accept(permanent)
	server := httptest.NewServer(cloud.V3())
	defer server.Close()
	var calls []call
	for _, row := range rows {
		calls = append(calls, call{row.cred.SecretID, row.cred.SecretKey, row.cred.Token, row.action, row.params})
	}
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var answers []answer
	ask(t, "call", map[string]any{"port": address.Port(), "region": region, "version": version, "calls": calls},
		&answers)
	if len(answers) != len(rows) {
		t.Fatalf("%d answers to %d calls", len(answers), len(rows))
	}
	refused := 0
	for i, row := range rows {
		if got := answers[i].String(); got != row.want {
			t.Errorf("%s: the SDK got %q (%s), want %q", row.name, got, answers[i].Message, row.want)
		}
		if answers[i].Response == nil {
			refused++
		}
	}
	if cloud.CallsV3() != len(rows) {
		t.Errorf("the sandbox had %d calls, want %d", cloud.CallsV3(), len(rows))
	}
	if !t.Failed() {
		fmt.Printf("The sandbox answers %d calls signed by npm's SDK and refuses %d, each as it should.\n",
			len(rows)-refused, refused)
	}
}

// answer is what the SDK made of one.
type answer struct {
	Response *struct {
		TotalCount      int
		LoadBalancerSet []struct{ LoadBalancerID, LoadBalancerName string }
		Targets         []struct {
			InstanceID         string
			PrivateIPAddresses []string
			RunFlag, Weight    int
		}
	} `json:"response"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// String is the code of an error, or what was asked for.
func (a answer) String() string {
	if a.Response == nil {
		return a.Code
	}
	var found []string
	for _, b := range a.Response.LoadBalancerSet {
		found = append(found, b.LoadBalancerID+" "+b.LoadBalancerName)
	}
	for _, b := range a.Response.Targets {
		found = append(found, fmt.Sprint(b.InstanceID, " ", strings.Join(b.PrivateIPAddresses, "+"), " ", b.RunFlag,
			" ", b.Weight))
	}
	return strings.Join(found, ", ")
}

// request is one to be signed.
type request struct {
	Method      string `json:"method"`
	Host        string `json:"host"`
	ContentType string `json:"contentType"`
	Body        []byte `json:"body"`
	Timestamp   int64  `json:"timestamp"` // UNIX seconds
	Service     string `json:"service"`
	SecretID    string `json:"secretId"`
	SecretKey   string `json:"secretKey"`
}

// TestOurs has the function read a load balancer, and the SDK sign each of its requests again.
func TestOurs(t *testing.T) {
	needSDK(t)
	requests, sent, actions := record(t)

	// Each wrong request differs in one thing from the first right one: the comparison must see it.
	wrong := map[string]func(*request){
		"key":          func(r *request) { r.SecretKey += "x" },
		"body":         func(r *request) { r.Body = append(slices.Clone(r.Body), ' ') },
		"second":       func(r *request) { r.Timestamp++ },
		"host":         func(r *request) { r.Host, _, _ = strings.Cut(r.Host, ":") },
		"content type": func(r *request) { r.ContentType += "; charset=utf-8" },
		"method":       func(r *request) { r.Method = http.MethodGet },
		"service":      func(r *request) { r.Service = "cvm" },
	}
	names := slices.Sorted(maps.Keys(wrong))
	asked := slices.Clone(requests)
	for _, name := range names {
		r := requests[0]
		wrong[name](&r)
		asked = append(asked, r)
	}
	var theirs []string
	ask(t, "sign", asked, &theirs)
	if len(theirs) != len(asked) {
		t.Fatalf("%d signatures of %d requests", len(theirs), len(asked))
	}
	for i, got := range sent {
		if got != theirs[i] {
			t.Errorf("%s: Authorization is\n%s\nthe SDK's for the same request is\n%s", requests[i].Body, got,
				theirs[i])
		}
	}
	for i, name := range names {
		if _, signature, ok := strings.Cut(theirs[len(requests)+i], ", Signature="); !ok ||
			strings.HasSuffix(sent[0], signature) {
			t.Errorf("with another %s the SDK gives %q, want another signature than that of %q", name,
				theirs[len(requests)+i], sent[0])
		}
	}
	if !t.Failed() {
		fmt.Printf("Our Authorization of %s is npm's SDK's, byte for byte; with another %s it is not.\n",
			strings.Join(actions, " and "), strings.Join(names, ", "))
	}
}

// record runs the function's report, and returns the requests that it sent, each with its header
// Authorization, and the actions they were for.
func record(t *testing.T) (requests []request, sent, actions []string) {
	t.Helper()
	cloud := newCloud()
	v3 := cloud.V3()
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		stamp, err2 := strconv.ParseInt(r.Header.Get("X-TC-Timestamp"), 10, 64)
		if err = errors.Join(err, err2); err != nil || r.RequestURI != "/" {
			t.Errorf("%s %s with the body %q: %v", r.Method, r.RequestURI, body, err)
		}
		mu.Lock()
		requests = append(requests, request{r.Method, r.Host, r.Header.Get("Content-Type"), body, stamp, "clb",
			key.SecretID, key.SecretKey})
		sent = append(sent, r.Header.Get("Authorization"))
		actions = append(actions, r.Header.Get("X-TC-Action"))
		mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		v3.ServeHTTP(w, r)
	}))
	defer server.Close()

	state, err := os.MkdirTemp("/var/tmp", "clbwatch-sdk-check-") //nolint:usetesting // as on SCF, state under /tmp is refused
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(state) }() // what is left there harms nobody
	report := exec.CommandContext(t.Context(), *binary, "report", "--json")
	report.Dir = state
	report.Env = []string{
		"CLB_API=v3", "CLB_V3_ENDPOINT=" + server.URL, "CLB_ENDPOINT=" + server.URL + "/none", "CLB_IDS=" + web,
		"CLB_REGION=" + region,
		"TENCENTCLOUD_SECRET_ID=" + key.SecretID, "TENCENTCLOUD_SECRET_KEY=" + key.SecretKey,
		"TENCENTCLOUD_TOKEN=" + key.Token,
		"STATE_URL=file://" + state,
	}
	out, err := output(report)
	if refused := cloud.Refused(); len(refused) > 0 {
		t.Errorf("the sandbox refused %q", refused)
	}
	if len(actions) == 0 {
		t.Fatalf("the report called nobody: %v\n%s", err, out)
	}
	if !slices.Contains(actions, "DescribeClassicalLBTargets") { // it goes on: the SDK's view says more
		t.Errorf("the report called %q, want DescribeClassicalLBTargets among them", actions)
	} else if !bytes.Contains(out, []byte("ins-2")) { // its exit status says only that this one does not run
		t.Errorf("the report does not tell of ins-2: %v\n%s", err, out)
	}
	return requests, sent, actions
}

func needSDK(t *testing.T) {
	t.Helper()
	if *npm == "" || *binary == "" {
		t.Skip("needs npm's SDK and the built function (tools/sdk-check/check)")
	}
}

// ask has sdk.mjs do one kind of work.
func ask(t *testing.T, work string, input, answer any) {
	t.Helper()
	in, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", filepath.Join(*npm, "sdk.mjs"), work)
	node.Stdin = bytes.NewReader(in)
	out, err := output(node)
	if err == nil {
		err = json.Unmarshal(out, answer)
	}
	if err != nil {
		t.Fatalf("sdk.mjs %s: %v\n%s", work, err, out)
	}
}

// output runs a command; its error tells what the command wrote as one.
func output(c *exec.Cmd) ([]byte, error) {
	out, err := c.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return out, err
}
