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

// answer is the body of DescribeLoadBalancerBackends, or of DescribeLoadBalancers. What must be there is a
// pointer, so that its absence is seen.
type answer struct {
	Code       *number         `json:"code"`
	CodeDesc   json.RawMessage `json:"codeDesc"`
	Message    json.RawMessage `json:"message"`
	TotalCount *number         `json:"totalCount"`
	BackendSet list[row]       `json:"backendSet"`
	Balancers  list[balancer]  `json:"loadBalancerSet"` // of DescribeLoadBalancers
	// of DescribeForwardLBBackends and DescribeLBHealthStatus
	Data     json.RawMessage `json:"data"`
	Response *struct {
		Error struct{ Code, Message string }
	} `json:"Response"` // the envelope of API 3.0, which the gateway may answer with
}

// row is one backend of an answer.
type row struct {
	UnInstanceID   str  `json:"unInstanceId"`
	InstanceName   str  `json:"instanceName"`
	LanIP          str  `json:"lanIp"`
	WanIPSet       strs `json:"wanIpSet"`
	InstanceStatus num  `json:"instanceStatus"`
	Weight         num  `json:"weight"`
}

// weight is a weight that may be missing.
func (n num) weight() int {
	if !n.ok {
		return lb.UnknownWeight
	}
	return min(max(n.v, 0), math.MaxInt16)
}

// number is a whole number that must be there, which the API writes as a number or as a string.
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

// num is a whole number in a row, which may be odd: then it is not ok, and the rest of the answer holds.
type num struct {
	v     int
	ok    bool
	there bool // the row has the field, whatever is in it
}

// UnmarshalJSON reads 5 and "5", and takes anything else for missing.
func (n *num) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 32)
	*n = num{int(v), err == nil, true}
	return nil
}

// str is a text in a row: what is no text is "", and the rest of the answer holds.
type str string

// UnmarshalJSON reads a text.
func (s *str) UnmarshalJSON(b []byte) error {
	*s = str(text(b))
	return nil
}

// strs is a list of texts in a row, sorted: null, absent, empty, and what is no such list are nil.
type strs []string

// UnmarshalJSON reads a list of texts.
func (s *strs) UnmarshalJSON(b []byte) error {
	*s = texts(b)
	return nil
}

// lenient decodes an answer: rows and fields of the wrong type are left out. An error means that it is no
// JSON.
func lenient(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if errors.As(err, new(*json.UnmarshalTypeError)) {
		return nil // all else was decoded
	}
	return err
}

// decodeAnswer decodes a whole answer, leniently. What is no JSON was damaged on the way: another try may
// help.
func decodeAnswer(body []byte, into any) error {
	if err := lenient(body, into); err != nil {
		return transient{fmt.Errorf("the answer is damaged: %w", err)}
	}
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
	if err := decodeAnswer(body, a); err != nil {
		return nil, err
	}
	switch {
	case a.Code != nil && *a.Code == 0:
		return a, nil
	case a.Code != nil:
		return nil, &Error{Code: int(*a.Code), Desc: text(a.CodeDesc), Message: text(a.Message)}
	case a.Response != nil:
		return nil, advice.Add(
			fmt.Errorf("the answer is one of API 3.0: %.100q %.200q", a.Response.Error.Code,
				a.Response.Error.Message),
			"see whether CLB_ENDPOINT is right for API 2.0")
	}
	return nil, errors.New("the answer has no code")
}

// Bounds of what is kept of a backend: names and addresses in bytes, and how many addresses.
const (
	maxText      = 256
	maxAddress   = 64
	maxAddresses = 16
)

// text reads a string that nothing depends on: what is no string is left out.
func text(raw []byte) string {
	if n := len(raw); n >= 2 && raw[0] == '"' && plain(raw[1:n-1]) {
		return cut(string(raw[1:n-1]), maxText) // as nearly all are
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return cut(s, maxText)
}

// plain reports whether a JSON text stands for itself.
func plain(b []byte) bool {
	for _, c := range b {
		if c == '\\' || c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// texts reads a list of strings that nothing depends on, sorted; null, absent and empty are nil.
func texts(raw []byte) []string {
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
