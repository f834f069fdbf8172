package clb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
)

// answer is the body of DescribeLoadBalancerBackends, or of DescribeLoadBalancers. What must be there is a pointer, so
// that its absence is seen.
type answer struct {
	Code       *number         `json:"code"`
	CodeDesc   json.RawMessage `json:"codeDesc"`
	Message    json.RawMessage `json:"message"`
	TotalCount *number         `json:"totalCount"`
	BackendSet *[]row          `json:"backendSet"`
	Balancers  *[]balancer     `json:"loadBalancerSet"` // of DescribeLoadBalancers
	Data       json.RawMessage `json:"data"`            // of DescribeForwardLBBackends and DescribeLBHealthStatus
	Response   *struct {
		Error struct{ Code, Message string }
	} `json:"Response"` // the envelope of API 3.0, which the gateway may answer with
}

// row is one backend of an answer.
type row struct {
	UnInstanceID   string          `json:"unInstanceId"`
	InstanceName   json.RawMessage `json:"instanceName"`
	LanIP          json.RawMessage `json:"lanIp"`
	WanIPSet       json.RawMessage `json:"wanIpSet"`
	InstanceStatus *number         `json:"instanceStatus"`
	Weight         json.RawMessage `json:"weight"`
}

// defaultWeight is a backend's weight where the answer gives none. Source: ClassicalTarget of API 3.0.
const defaultWeight = 10

// weightOf reads a weight that may be missing.
func weightOf(raw json.RawMessage) int {
	weight := number(defaultWeight)
	if json.Unmarshal(raw, &weight) != nil {
		weight = defaultWeight
	}
	return int(min(max(weight, 0), math.MaxInt16))
}

// number is a whole number, which the API writes as a number or as a string.
type number int

// UnmarshalJSON reads 5 and "5".
func (n *number) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 32)
	if err != nil {
		return fmt.Errorf("%.40q is not a whole number", b)
	}
	*n = number(v)
	return nil
}

// page is one answer: as it came, and decoded, if it is not the one that was expected.
type page struct {
	body   []byte
	sum    string // stands for body
	answer *answer
}

// decodeV2 reads an answer and says what is wrong with it. What comes back has code 0.
func decodeV2(body []byte) (*answer, error) {
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return nil, transient{fmt.Errorf("the answer is not JSON: %.60q", body)}
	}
	a := new(answer)
	if err := json.Unmarshal(body, a); err != nil {
		return nil, transient{fmt.Errorf("the answer is damaged: %w", err)}
	}
	switch {
	case a.Code != nil && *a.Code == 0:
		return a, nil
	case a.Code != nil:
		return nil, &Error{int(*a.Code), text(a.CodeDesc), text(a.Message)}
	case a.Response != nil:
		return nil, advice.Add(
			fmt.Errorf("the answer is one of API 3.0: %.100q %.200q", a.Response.Error.Code, a.Response.Error.Message),
			"see whether CLB_ENDPOINT is right for API 2.0")
	}
	return nil, errors.New("the answer has no code")
}

// pool gathers the pages of one reading.
type pool struct {
	backends []lb.Backend
	ids      map[string]bool
	total    int
	pages    int
}

// errShifted: the pages of one reading do not fit together.
var errShifted = errors.New("the pages do not fit together")

// add takes the next page.
func (p *pool) add(next page) error {
	a := next.answer
	if a == nil {
		var err error
		if a, err = decodeV2(next.body); err != nil {
			return err
		}
	}
	switch {
	case a.TotalCount == nil || *a.TotalCount < 0:
		return errors.New("the answer has no totalCount")
	case *a.TotalCount > maxPages*pageSize:
		return fmt.Errorf("the answer's totalCount is %d: not a plausible one", *a.TotalCount)
	case a.BackendSet == nil:
		return errors.New("the answer has no backendSet")
	case p.pages > 0 && int(*a.TotalCount) != p.total:
		return fmt.Errorf("%w: totalCount was %d, now %d", errShifted, p.total, *a.TotalCount)
	}
	rows := *a.BackendSet
	p.total = int(*a.TotalCount)
	p.pages++
	if len(p.backends)+len(rows) > p.total {
		return fmt.Errorf("the answer has more backends than its totalCount %d", p.total)
	}
	if len(rows) < pageSize && len(p.backends)+len(rows) < p.total {
		return fmt.Errorf("%w: page %d has %d backends, with %d of %d", errShifted, p.pages, len(rows), len(p.backends)+len(rows), p.total)
	}
	if p.ids == nil {
		p.ids = make(map[string]bool, p.total)
	}
	p.backends = slices.Grow(p.backends, len(rows))
	for i, r := range rows {
		b, err := r.backend()
		if err != nil {
			return fmt.Errorf("backend %d of page %d: %w", i+1, p.pages, err)
		}
		if p.ids[b.ID] {
			return fmt.Errorf("%w: %.60q is in it twice", errShifted, b.ID)
		}
		p.ids[b.ID] = true
		p.backends = append(p.backends, b)
	}
	return nil
}

func (p *pool) whole() bool { return len(p.backends) == p.total }

func (r row) backend() (lb.Backend, error) {
	if r.UnInstanceID == "" || len(r.UnInstanceID) > 100 {
		return lb.Backend{}, fmt.Errorf("unInstanceId is missing or not plausible: %.60q", r.UnInstanceID)
	}
	if r.InstanceStatus == nil {
		return lb.Backend{}, fmt.Errorf("%s has no instanceStatus", r.UnInstanceID)
	}
	return lb.Backend{
		ID:     r.UnInstanceID,
		Name:   text(r.InstanceName),
		Status: lb.Status(*r.InstanceStatus),
		Weight: weightOf(r.Weight),
		LanIP:  text(r.LanIP),
		WanIPs: texts(r.WanIPSet),
	}, nil
}

// Bounds of what is kept of a backend: names and addresses in bytes, and how many addresses.
const (
	maxText      = 256
	maxAddress   = 64
	maxAddresses = 16
)

// text reads a string that nothing depends on: what is no string is left out.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return cut(s, maxText)
}

// texts reads a list of strings that nothing depends on, sorted; null, absent and empty are nil.
func texts(raw json.RawMessage) []string {
	var list []string
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil
	}
	for i, s := range list {
		list[i] = cut(s, maxAddress)
	}
	slices.Sort(list) // before the rest is left out, so that their order makes no difference
	return list[:min(len(list), maxAddresses)]
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
