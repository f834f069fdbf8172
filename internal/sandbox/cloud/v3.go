package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"clbwatch/internal/sandbox"
)

const maxIDsV3 = 20 // load balancers. Source: DescribeLoadBalancers, LoadBalancerIds

// V3 answers API 3.0 at the path /, for POST with JSON signed by TC3-HMAC-SHA256: what there is to know of
// load balancers, and of CVM's instances, as the action says. It shows the same cloud to the same
// credentials. What is no parameter of an action, or one that the sandbox has not got, is refused.
func (c *Cloud) V3() http.Handler { return http.HandlerFunc(c.serveV3) }

// CallsV3 is how many requests of API 3.0 there were, wrong ones included.
func (c *Cloud) CallsV3() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.callsV3
}

// CallsV3To is how many requests of API 3.0 were for one action, wrong ones included.
func (c *Cloud) CallsV3To(action string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.callsV3To[action]
}

// actionV3 is an action of API 3.0.
type actionV3 struct {
	product  product
	params   map[string]paramV3
	required []string
	answer   func(*Cloud, queryV3) (map[string]any, error) // the right one; an error is an errorV3
}

// product is what an action is of: its name in the scope of a signature and in the host's name, and its
// version.
type product struct{ service, version string }

var (
	clbV3 = product{"clb", "2018-03-17"}
	cvmV3 = product{"cvm", "2017-03-12"}
)

// paramV3 reads a parameter.
type paramV3 func(*queryV3, json.RawMessage) error

var actionsV3 = map[string]actionV3{
	DescribeLoadBalancers: {clbV3, map[string]paramV3{
		"LoadBalancerIds": readIDs, "Forward": readForwardV3, "Offset": readOffset, "Limit": readLimit,
	}, nil, (*Cloud).listV3},
	DescribeClassicalLBTargets: {clbV3, map[string]paramV3{"LoadBalancerId": readLB},
		[]string{"LoadBalancerId"}, (*Cloud).classicTargetsV3},
	DescribeTargets: {clbV3, map[string]paramV3{"LoadBalancerId": readLB},
		[]string{"LoadBalancerId"}, (*Cloud).forwardV3},
	DescribeClassicalLBListeners: {clbV3, map[string]paramV3{"LoadBalancerId": readLB},
		[]string{"LoadBalancerId"}, (*Cloud).classicListenersV3},
	DescribeClassicalLBHealthStatus: {clbV3,
		map[string]paramV3{"LoadBalancerId": readLB, "ListenerId": readListener},
		[]string{"LoadBalancerId", "ListenerId"}, (*Cloud).classicHealthV3},
	DescribeTargetHealth: {clbV3, map[string]paramV3{"LoadBalancerIds": readIDs},
		[]string{"LoadBalancerIds"}, (*Cloud).targetHealthV3},
	DescribeInstancesStatus: {cvmV3, map[string]paramV3{
		"InstanceIds": readInstances, "Offset": readOffset, "Limit": readLimit,
	}, nil, (*Cloud).statesV3},
}

func (c *Cloud) serveV3(w http.ResponseWriter, r *http.Request) {
	c.date(w)
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	name := r.Header.Get("X-TC-Action")
	c.mu.Lock()
	c.callsV3++
	c.callsV3To[name]++
	c.mu.Unlock()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, sandbox.MaxBodyTC3))
	if c.Latency > 0 && !sandbox.Pause(r.Context(), c.Latency) {
		return
	}
	var q queryV3
	if err == nil {
		q, err = c.checkV3(r, body)
	}
	var response map[string]any
	if err == nil {
		response, err = actionsV3[name].answer(c, q)
	}
	if wanted := (refusalV3{}); errors.As(err, &wanted) {
		writeJSON(w, errorV3(wanted).body())
		return
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
	fault := c.dueV3(name, q)
	if fault.edit != nil {
		response = fault.edit(response, func(offset int) map[string]any {
			q.offset = offset
			if again, err := actionsV3[name].answer(c, q); err == nil {
				return again
			}
			return response // the load balancer was deleted meanwhile
		})
	}
	if right := envelopeV3(response); fault.serve != nil {
		fault.serve(w, r, right)
	} else {
		writeJSON(w, right)
	}
}

// refusalV3 is a refusal that the test asked for: the request was right.
type refusalV3 errorV3

func (e refusalV3) Error() string { return errorV3(e).Error() }

// errorV3 is a refusal in the words of API 3.0.
type errorV3 struct{ code, message string }

func (e errorV3) Error() string { return "3.0 " + e.code + ": " + e.message }

func (e errorV3) body() []byte {
	return envelopeV3(map[string]any{"Error": map[string]string{"Code": e.code, "Message": e.message}})
}

// envelopeV3 is the body of API 3.0, with a new RequestId.
func envelopeV3(response map[string]any) []byte {
	response["RequestId"] = sandbox.RequestID()
	return marshal(map[string]any{"Response": response})
}

// queryV3 is the parameters of a request that passed every check.
type queryV3 struct {
	region, lb, listener   string
	ids                    []string // of load balancers or instances; nil for all
	forward, offset, limit int      // forward is a kind, or anyKind
}

// checkV3 applies the rules for every request, then those of the action.
func (c *Cloud) checkV3(r *http.Request, body []byte) (q queryV3, err error) {
	if r.Method != http.MethodPost {
		return q, errorV3{"UnsupportedProtocol", "the sandbox takes POST only, not " + r.Method}
	}
	name := r.Header.Get("X-TC-Action")
	action, known := actionsV3[name]
	if !known {
		action.product = clbV3 // the rest of it may be right
	}
	if err := c.authenticateV3(r, body, action.product.service); err != nil {
		return q, err
	}
	ct := r.Header.Get("Content-Type")
	if ct != "application/json" && !strings.HasPrefix(ct, "application/json;") {
		return q, fmt.Errorf("content type %q", ct)
	}
	if v := r.Header.Get("X-TC-Version"); v != action.product.version {
		return q, errorV3{"NoSuchVersion", fmt.Sprintf("X-TC-Version %q", v)}
	}
	if !known || !action.product.at(r.Host) {
		return q, errorV3{"InvalidAction", fmt.Sprintf("X-TC-Action %q at %s", name, r.Host)}
	}
	if auth, err := sandbox.ParseTC3(r.Header.Get("Authorization")); err != nil ||
		!c.may(auth.SecretID, action.product.service, name) {
		return q, errorV3{"UnauthorizedOperation", "no policy allows " + name}
	}
	switch region := r.Header.Get("X-TC-Region"); {
	case region == "":
		return q, errorV3{"MissingParameter", "X-TC-Region is missing"}
	case !strings.Contains(region, "-"):
		return q, errorV3{"UnsupportedRegion", fmt.Sprintf("X-TC-Region %q is of API 2.0", region)}
	default:
		return action.read(region, body)
	}
}

// at reports whether a product may be asked at a host: not at one that has the name of another.
func (p product) at(host string) bool {
	first, _, _ := strings.Cut(host, ".")
	return first == p.service || first != clbV3.service && first != cvmV3.service
}

// read reads the parameters, whose names count with their case.
func (a actionV3) read(region string, body []byte) (q queryV3, err error) {
	q = queryV3{region: region, forward: anyKind, limit: defaultLimit}
	var params map[string]json.RawMessage
	if json.Unmarshal(body, &params) != nil || params == nil {
		return q, errors.New("the body is no JSON object")
	}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		read, ok := a.params[key]
		if !ok {
			return q, errorV3{"UnknownParameter", key}
		}
		var e errorV3
		if err := read(&q, params[key]); errors.As(err, &e) {
			return q, e
		} else if err != nil {
			return q, errorV3{"InvalidParameterValue", key + " is " + err.Error()}
		}
	}
	for _, key := range a.required {
		if _, ok := params[key]; !ok {
			return q, errorV3{"MissingParameter", key + " is missing"}
		}
	}
	return q, nil
}

func readIDs(q *queryV3, raw json.RawMessage) error {
	if json.Unmarshal(raw, &q.ids) != nil || len(q.ids) == 0 || len(q.ids) > maxIDsV3 {
		return fmt.Errorf("not 1 to %d ids", maxIDsV3)
	}
	return nil
}

func readLB(q *queryV3, raw json.RawMessage) error { return textV3(raw, &q.lb) }

func readListener(q *queryV3, raw json.RawMessage) error { return textV3(raw, &q.listener) }

func textV3(raw json.RawMessage, to *string) error {
	if json.Unmarshal(raw, to) != nil {
		return errors.New("no text")
	}
	if *to == "" {
		return errorV3{"MissingParameter", "an id is empty"}
	}
	return nil
}

func readForwardV3(q *queryV3, raw json.RawMessage) (err error) {
	q.forward, err = numberV3(raw, classic, application)
	return err
}

func readOffset(q *queryV3, raw json.RawMessage) (err error) {
	q.offset, err = numberV3(raw, 0, math.MaxInt32)
	return err
}

func readLimit(q *queryV3, raw json.RawMessage) (err error) {
	q.limit, err = numberV3(raw, 1, maxLimit)
	return err
}

func numberV3(raw json.RawMessage, low, high int) (int, error) {
	n, err := strconv.Atoi(string(raw)) // a string is no number here
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("not a number from %d to %d", low, high)
	}
	return n, nil
}

// authenticateV3 checks who sent a request, and that it is what they signed.
func (c *Cloud) authenticateV3(r *http.Request, body []byte, service string) error {
	err := sandbox.CheckTC3(r, body, service, c.Now(), c.Credential)
	var e sandbox.APIError
	if errors.As(err, &e) {
		return errorV3{e.Code, e.Message}
	}
	return err
}
