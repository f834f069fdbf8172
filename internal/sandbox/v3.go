package sandbox

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	versionV3   = "2018-03-17"
	serviceV3   = "clb" // in the scope of a credential
	algorithmV3 = "TC3-HMAC-SHA256"
	maxBodyV3   = 10 << 20 // bytes of a POST signed with TC3-HMAC-SHA256
	maxIDsV3    = 20

	describeTargets = "DescribeClassicalLBTargets"
)

// V3 answers DescribeLoadBalancers (https://cloud.tencent.com/document/api/214/30685) and DescribeClassicalLBTargets
// (https://cloud.tencent.com/document/api/214/31790) of API 3.0 at the path /, for POST with JSON signed by
// TC3-HMAC-SHA256. It shows the same load balancers to the same credentials.
func (c *Cloud) V3() http.Handler { return http.HandlerFunc(c.serveV3) }

// FailV3 makes the next calls of API 3.0 go wrong; below 0 times until ClearFaults. Faults apply one after another, and
// only to requests that are right themselves.
func (c *Cloud) FailV3(f V3Fault, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faultsV3 = append(c.faultsV3, &pendingV3{f, times})
}

// CallsV3 is how many requests of API 3.0 there were, wrong ones included.
func (c *Cloud) CallsV3() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.callsV3
}

// V3Fault is one way in which API 3.0 answers wrongly. Make one with the functions below.
type V3Fault struct {
	name  string
	serve func(w http.ResponseWriter, r *http.Request, body []byte) // body is the right answer
}

// String names the fault, for a subtest.
func (f V3Fault) String() string { return f.name }

// V3Faults returns every kind of fault but V3Hang.
func V3Faults() []V3Fault {
	return []V3Fault{
		V3Code("RequestLimitExceeded", "the request limit is exceeded"), V3Code("InternalError", "internal error"),
		V3Code("UnauthorizedOperation", "not authorised by CAM"), V3HTML(http.StatusOK), V3HTML(http.StatusBadGateway), V3Reset(),
		V3Half(), V3Edit("no RequestId", `"RequestId"`, `"RequestIt"`), V3Edit("no Targets", `"Targets"`, `"Target"`), V3Edit("no InstanceId", `"InstanceId"`, `"InstanceIt"`),
		V3Edit("no RunFlag", `"RunFlag"`, `"RanFlag"`), V3Edit("the envelope of API 2.0", `{"Response":`, `{"code":0,"data":`), V3Empty(),
	}
}

// V3Half sends half of the JSON as a whole and valid HTTP answer.
func V3Half() V3Fault {
	return V3Fault{"half the JSON", func(w http.ResponseWriter, _ *http.Request, body []byte) { writeJSON(w, body[:len(body)/2]) }}
}

// V3Edit sends the right answer with one text in it replaced, wherever it is.
func V3Edit(name, old, with string) V3Fault {
	return V3Fault{name, func(w http.ResponseWriter, _ *http.Request, body []byte) {
		writeJSON(w, bytes.ReplaceAll(body, []byte(old), []byte(with)))
	}}
}

// V3Empty answers in perfect form that nothing is bound.
func V3Empty() V3Fault {
	return V3Fault{"no targets", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		writeJSON(w, envelopeV3(map[string]any{"Targets": []any{}}))
	}}
}

// V3Null answers that there are no targets with null, as API 3.0 may.
func V3Null() V3Fault {
	return V3Fault{"null for no targets", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		writeJSON(w, envelopeV3(map[string]any{"Targets": nil}))
	}}
}

// V3Code answers with an error of API 3.0, such as RequestLimitExceeded.
func V3Code(code, message string) V3Fault {
	return V3Fault{code, func(w http.ResponseWriter, _ *http.Request, _ []byte) { writeJSON(w, errorV3{code, message}.body()) }}
}

// V3HTML answers with an HTTP status and a gateway's page.
func V3HTML(status int) V3Fault {
	return V3Fault{fmt.Sprintf("%d with HTML", status), func(w http.ResponseWriter, _ *http.Request, _ []byte) { writeHTML(w, status) }}
}

// V3Reset resets the connection before an answer.
func V3Reset() V3Fault {
	return V3Fault{"connection reset", func(w http.ResponseWriter, _ *http.Request, _ []byte) { reset(w) }}
}

// V3Hang never answers; the call ends when the client goes away.
func V3Hang() V3Fault {
	return V3Fault{"hang", func(_ http.ResponseWriter, r *http.Request, _ []byte) { hang(r) }}
}

// pendingV3 is a fault that was asked for.
type pendingV3 struct {
	fault V3Fault
	times int // calls left; below 0 without end
}

// dueV3 takes the fault for this call, if there is one.
func (c *Cloud) dueV3() V3Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.faultsV3 {
		if p.times == 0 {
			continue
		}
		if p.times > 0 {
			p.times--
		}
		return p.fault
	}
	return V3Fault{}
}

func (c *Cloud) serveV3(w http.ResponseWriter, r *http.Request) {
	c.date(w)
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	c.mu.Lock()
	c.callsV3++
	c.mu.Unlock()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyV3))
	if c.Latency > 0 && !pause(r.Context(), c.Latency) {
		return
	}
	var q queryV3
	if err == nil {
		q, err = c.checkV3(r, body)
	}
	if err != nil {
		var e errorV3
		if !errors.As(err, &e) {
			e = errorV3{"InvalidParameter", err.Error()}
		}
		c.note(e)
		writeJSON(w, e.body())
		return
	}
	region := r.Header.Get("X-TC-Region")
	right := listV3(c.find(region, q.ids, q.forward), q)
	if q.lb != "" {
		if right, err = c.targetsV3(region, q.lb); err != nil {
			c.note(err)
			var e errorV3
			_ = errors.As(err, &e) // targetsV3 has no others
			writeJSON(w, e.body())
			return
		}
	}
	if fault := c.dueV3(); fault.serve != nil {
		fault.serve(w, r, right)
		return
	}
	writeJSON(w, right)
}

// targetV3 is a backend as DescribeClassicalLBTargets shows it. RunFlag has the numbers of instanceStatus of API 2.0.
type targetV3 struct {
	Type               string
	InstanceID         string `json:"InstanceId"`
	Weight             int
	PublicIPAddresses  []string `json:"PublicIpAddresses"`
	PrivateIPAddresses []string `json:"PrivateIpAddresses"`
	InstanceName       string
	RunFlag            int
}

// targetsV3 is the right answer to DescribeClassicalLBTargets, which has no pages. For a load balancer of the application
// kind it is refused, as was seen (facts: tencentcloud-sdk-go issue 135).
func (c *Cloud) targetsV3(region, lb string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.balancers[region+"/"+lb]
	switch {
	case !ok:
		return nil, errorV3{"InvalidParameter.LBIdNotFound", "there is no LoadBalancerId " + lb}
	case b.forward == application:
		return nil, errorV3{"InvalidParameter", "Invalid LoadBalancerId, LoadBalancerId: " + lb}
	}
	targets := []targetV3{}
	for _, ins := range b.pool {
		targets = append(targets, targetV3{"CVM", ins.ID, ins.Weight, ins.WanIPs, []string{ins.LanIP}, ins.Name, ins.Status})
	}
	return envelopeV3(map[string]any{"Targets": targets}), nil
}

// errorV3 is a refusal in the words of API 3.0.
type errorV3 struct{ code, message string }

func (e errorV3) Error() string { return "3.0 " + e.code + ": " + e.message }

func (e errorV3) body() []byte {
	return envelopeV3(map[string]any{"Error": map[string]string{"Code": e.code, "Message": e.message}})
}

// envelopeV3 is the body of API 3.0, with a new RequestId.
func envelopeV3(response map[string]any) []byte {
	id := randomHex(16)
	response["RequestId"] = strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
	return marshal(map[string]any{"Response": response})
}

// queryV3 is the parameters of a request that passed every check.
type queryV3 struct {
	lb                     string   // DescribeClassicalLBTargets; else it is a list of load balancers
	ids                    []string // nil for all
	forward, offset, limit int      // forward is a kind, or anyKind
}

// checkV3 applies the rules for every request, then those of the action.
func (c *Cloud) checkV3(r *http.Request, body []byte) (q queryV3, err error) {
	if r.Method != http.MethodPost {
		return q, errorV3{"UnsupportedProtocol", "the sandbox takes POST only, not " + r.Method}
	}
	if err := c.authenticateV3(r, body); err != nil {
		return q, err
	}
	if ct := r.Header.Get("Content-Type"); ct != "application/json" && !strings.HasPrefix(ct, "application/json;") {
		return q, fmt.Errorf("content type %q", ct)
	}
	if v := r.Header.Get("X-TC-Version"); v != versionV3 {
		return q, errorV3{"NoSuchVersion", fmt.Sprintf("X-TC-Version %q", v)}
	}
	action := r.Header.Get("X-TC-Action")
	if action != DescribeLoadBalancers && action != describeTargets {
		return q, errorV3{"InvalidAction", fmt.Sprintf("X-TC-Action %q", action)}
	}
	switch region := r.Header.Get("X-TC-Region"); {
	case region == "":
		return q, errorV3{"MissingParameter", "X-TC-Region is missing"}
	case !strings.Contains(region, "-"):
		return q, errorV3{"UnsupportedRegion", fmt.Sprintf("X-TC-Region %q is of API 2.0", region)}
	}
	if action == describeTargets {
		return readTargetsV3(body)
	}
	return readV3(body)
}

// readTargetsV3 reads the one parameter of DescribeClassicalLBTargets.
func readTargetsV3(body []byte) (q queryV3, err error) {
	var params map[string]json.RawMessage
	if json.Unmarshal(body, &params) != nil || params == nil {
		return q, errors.New("the body is no JSON object")
	}
	for key, raw := range params {
		if key != "LoadBalancerId" {
			return q, errorV3{"UnknownParameter", key}
		}
		if json.Unmarshal(raw, &q.lb) != nil {
			return q, errorV3{"InvalidParameterValue", "LoadBalancerId is no text"}
		}
	}
	if q.lb == "" {
		return q, errorV3{"MissingParameter", "LoadBalancerId is missing"}
	}
	return q, nil
}

// readV3 reads the parameters, whose names count with their case.
func readV3(body []byte) (q queryV3, err error) {
	q = queryV3{forward: anyKind, limit: defaultLimit}
	var params map[string]json.RawMessage
	if json.Unmarshal(body, &params) != nil || params == nil {
		return q, errors.New("the body is no JSON object")
	}
	for key, raw := range params {
		switch key {
		case "LoadBalancerIds":
			if json.Unmarshal(raw, &q.ids) != nil || len(q.ids) == 0 || len(q.ids) > maxIDsV3 {
				err = fmt.Errorf("not 1 to %d ids", maxIDsV3)
			}
		case "Forward":
			q.forward, err = numberV3(raw, classic, application)
		case "Offset":
			q.offset, err = numberV3(raw, 0, math.MaxInt32)
		case "Limit":
			q.limit, err = numberV3(raw, 1, maxLimit)
		default:
			return q, errorV3{"UnknownParameter", key}
		}
		if err != nil {
			return q, errorV3{"InvalidParameterValue", key + " is " + err.Error()}
		}
	}
	return q, nil
}

func numberV3(raw json.RawMessage, low, high int) (int, error) {
	n, err := strconv.Atoi(string(raw)) // a string is no number here
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("not a number from %d to %d", low, high)
	}
	return n, nil
}

func (c *Cloud) authenticateV3(r *http.Request, body []byte) error {
	a, err := parseTC3(r.Header.Get("Authorization"))
	if err != nil {
		return errorV3{"AuthFailure.InvalidAuthorization", err.Error()}
	}
	stamp := r.Header.Get("X-TC-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("X-TC-Timestamp %q is not in UNIX seconds", stamp)
	}
	at := time.Unix(seconds, 0).UTC()
	if skew := c.Now().Sub(at).Abs(); skew > maxSkew {
		return errorV3{"AuthFailure.SignatureExpire", fmt.Sprintf("the X-TC-Timestamp is %v off", skew.Truncate(time.Second))}
	}
	cr, ok := c.Credential(a.id)
	if !ok {
		return errorV3{"AuthFailure.SecretIdNotFound", "the SecretId does not exist"}
	}
	if want := at.Format(time.DateOnly) + "/" + serviceV3 + "/tc3_request"; a.scope != want {
		return errorV3{"AuthFailure.SignatureFailure", fmt.Sprintf("the scope %q is not %q", a.scope, want)}
	}
	want, err := a.sign(r, body, cr.SecretKey)
	if err != nil {
		return errorV3{"AuthFailure.SignatureFailure", err.Error()}
	}
	if subtle.ConstantTimeCompare([]byte(a.signature), []byte(want)) == 0 {
		return errorV3{"AuthFailure.SignatureFailure", "the signature does not match"}
	}
	if r.Header.Get("X-TC-Token") != cr.Token {
		return errorV3{"AuthFailure.TokenFailure", "the X-TC-Token is missing or not that of the SecretId"}
	}
	return nil
}

// tc3 is what a header Authorization says.
type tc3 struct {
	id, scope string   // scope is date/service/tc3_request
	signed    []string // names of headers, in order
	signature string
}

func parseTC3(s string) (a tc3, err error) {
	rest, ok := strings.CutPrefix(s, algorithmV3+" Credential=")
	credential, rest, ok2 := strings.Cut(rest, ", SignedHeaders=")
	signed, signature, ok3 := strings.Cut(rest, ", Signature=")
	id, scope, ok4 := strings.Cut(credential, "/")
	if !ok || !ok2 || !ok3 || !ok4 || id == "" {
		return a, errors.New("not of the form " + algorithmV3 + " Credential=ID/SCOPE, SignedHeaders=NAMES, Signature=HEX")
	}
	a = tc3{id, scope, strings.Split(signed, ";"), signature}
	if !slices.IsSorted(a.signed) || strings.ToLower(signed) != signed {
		return a, errors.New("SignedHeaders are not in lower case and in order")
	}
	if !slices.Contains(a.signed, "content-type") || !slices.Contains(a.signed, "host") {
		return a, errors.New("SignedHeaders lack content-type or host")
	}
	return a, nil
}

// sign returns the signature that a request should have. Other headers than content-type and host, such as x-tc-token,
// are signed only if the client says so; the host is signed as it was sent, with its port.
func (a tc3) sign(r *http.Request, body []byte, secretKey string) (string, error) {
	var headers strings.Builder
	for _, name := range a.signed {
		values := r.Header.Values(name)
		if name == "host" {
			values = []string{r.Host} // net/http keeps it apart
		}
		if len(values) != 1 {
			return "", fmt.Errorf("the signed header %s was sent %d times", name, len(values))
		}
		headers.WriteString(name + ":" + strings.ToLower(strings.TrimSpace(values[0])) + "\n")
	}
	request := strings.Join([]string{r.Method, "/", r.URL.RawQuery, headers.String(), strings.Join(a.signed, ";"), sha256Hex(body)}, "\n")
	date, rest, _ := strings.Cut(a.scope, "/")
	service, end, _ := strings.Cut(rest, "/")
	key := "TC3" + secretKey
	for _, part := range []string{
		date, service, end,
		strings.Join([]string{algorithmV3, r.Header.Get("X-TC-Timestamp"), a.scope, sha256Hex([]byte(request))}, "\n"),
	} {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(part))
		key = string(mac.Sum(nil))
	}
	return hex.EncodeToString([]byte(key)), nil
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// listedV3 is a load balancer as API 3.0 lists it. Unlike API 2.0 it has the type and the VPC in words.
type listedV3 struct {
	LoadBalancerID   string `json:"LoadBalancerId"`
	LoadBalancerName string
	LoadBalancerType string
	Forward          int
	Status           int // 1: running
	LoadBalancerVips []string
	CreateTime       string
	VpcID            string `json:"VpcId"`
	NumericalVpcID   int    `json:"NumericalVpcId"`
	Isolation        int
}

// listV3 is the right answer to a query for load balancers.
func listV3(found []balancer, q queryV3) []byte {
	set := []listedV3{}
	for _, b := range cut(found, q.offset, q.limit) {
		set = append(set, listedV3{b.id, b.name, "OPEN", b.forward, 1, b.vips(), created, vpcName, vpc, 0})
	}
	return envelopeV3(map[string]any{"TotalCount": len(found), "LoadBalancerSet": set})
}
