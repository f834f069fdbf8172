package clb

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"clbwatch/internal/lb"
)

// memory is what a Client knows of a load balancer from the last reading: its digest, which the state keeps,
// says it.
type memory struct {
	api    API     // by which it was read: V2 or V3; "" if nothing is known
	kind   lb.Type // what it is
	week   string  // of Auto by V3: in another one, 2.0 is tried again
	region string  // of an application load balancer's instances, where that is another than its own
	sum    string  // over the answer, or over each of its pages, joined by "."
	states string  // over the states of an application load balancer's instances
	gone   string  // over those of its instances that CVM does not know
	health string  // over the health of its backends; "" if that was not read
}

// digest is the memory as text. Eight fields, so that a digest of another form is known for one.
func (m memory) digest() lb.Digest {
	return lb.Digest(strings.Join([]string{string(m.api), string(m.kind), m.week, m.region, m.sum, m.states,
		m.gone, m.health}, ":"))
}

// recall reads a digest; what it cannot read is nothing known.
func recall(d lb.Digest) (m memory) {
	f := strings.Split(string(d), ":")
	if len(f) != 8 {
		return memory{}
	}
	return memory{API(f[0]), lb.Type(f[1]), f[2], f[3], f[4], f[5], f[6], f[7]}
}

// Pages is how many calls a reading of backends took.
func Pages(r lb.Reading) int { return strings.Count(recall(r.Digest).sum, ".") + 1 }

// version is the number of a version of the API: "2.0" or "3.0".
func (a API) version() string {
	if a == V3 {
		return "3.0"
	}
	return "2.0"
}

func week(now time.Time) string { return fmt.Sprint(now.Unix() / (7 * 24 * 3600)) }

// absent is an error because of a load balancer that is not there.
type absent struct{ error }

func (a absent) Unwrap() error        { return a.error }
func (a absent) Is(target error) bool { return target == lb.ErrNotFound }

// contradicts reports whether an error says that the load balancer is not of the kind it was known to be, or
// not there.
func contradicts(err error) bool {
	var code *Error
	var refused *refusal
	switch {
	case errors.As(err, &code):
		return code.Code == 4000 || code.Code == 5000
	case errors.As(err, &refused):
		return strings.HasPrefix(refused.code, "InvalidParameter") || strings.HasPrefix(refused.code,
			"ResourceNotFound") ||
			strings.HasPrefix(refused.code, "UnsupportedOperation")
	}
	return false
}
