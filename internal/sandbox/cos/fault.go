package cos

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"time"

	"clbwatch/internal/sandbox"
)

// Fault is one way in which COS fails, or answers oddly. Make one with the functions below. A PUT or DELETE
// takes effect all the same unless the function says otherwise.
type Fault struct {
	name       string
	ops        []string      // only these are hit, and counted; nil is all
	instead    bool          // nothing takes effect
	overwrites bool          // forbid-overwrite is ignored
	back       int           // the listing is so many changes old; below 0 it is empty
	ahead      time.Duration // of the bucket's clock is the Date of the answer
	noDate     bool          // the answer has none
	edit       func(a *answer, q request)
	serve      func(http.ResponseWriter, *http.Request, answer) // answers instead
}

// String names the fault, for a subtest.
func (f Fault) String() string { return f.name }

// Faults returns every fault after which no change may be lost and none told twice. Those that wait are not
// among them.
func Faults() []Fault {
	return []Fault{
		Answers(http.StatusForbidden, "AccessDenied"), Answers(http.StatusNotFound, "NoSuchKey"),
		Answers(http.StatusNotFound, "NoSuchBucket"),
		Answers(http.StatusInternalServerError, "InternalError"),
		Answers(http.StatusServiceUnavailable, "SlowDown"), HTML(), Reset(),
		AppliesThenAnswers(http.StatusInternalServerError, "InternalError"),
		AppliesThenAnswers(http.StatusServiceUnavailable, "SlowDown"), AppliesThenDrops(),
		Cut(), Flip(), StaleList(1), StaleList(2), EmptyList(), NoChecksum(), WrongChecksum(), Overwrites(),
	}
}

// Answers answers with an error of COS, and nothing takes effect: 403 AccessDenied, 404 NoSuchKey for a key
// that is there, 404 NoSuchBucket, 500 InternalError, 503 SlowDown.
func Answers(status int, code string) Fault {
	f := AppliesThenAnswers(status, code)
	f.name, f.instead = fmt.Sprintf("%d %s", status, code), true
	return f
}

// AppliesThenAnswers answers with an error of COS.
func AppliesThenAnswers(status int, code string) Fault {
	return Fault{name: fmt.Sprintf("applied, then %d %s", status, code), edit: func(a *answer, q request) {
		*a = refusal{status, code, "injected", ""}.answer(q)
	}}
}

// HTML answers 200 with a page of somebody else's, and nothing takes effect.
func HTML() Fault {
	return Fault{name: "200 with HTML", instead: true,
		serve: func(w http.ResponseWriter, _ *http.Request, _ answer) {
			sandbox.WriteHTML(w, http.StatusOK)
		}}
}

// Reset resets the connection, and nothing takes effect.
func Reset() Fault {
	f := AppliesThenDrops()
	f.name, f.instead = "connection reset", true
	return f
}

// AppliesThenDrops resets the connection: the answer is lost. A PUT with forbid-overwrite that is tried again
// then meets 409, for what it wrote itself.
func AppliesThenDrops() Fault {
	return Fault{name: "applied, answer lost", serve: func(w http.ResponseWriter, _ *http.Request, _ answer) {
		sandbox.Reset(w)
	}}
}

// Hang never answers, and nothing takes effect; the call ends when the client goes away.
func Hang() Fault {
	f := AppliesThenHangs()
	f.name, f.instead = "hang", true
	return f
}

// AppliesThenHangs never answers; the call ends when the client goes away.
func AppliesThenHangs() Fault {
	return Fault{name: "applied, then hangs", serve: func(_ http.ResponseWriter, r *http.Request, _ answer) {
		sandbox.Hang(r)
	}}
}

// Delay gives the right answer after a while.
func Delay(d time.Duration) Fault {
	return Fault{name: "delay", serve: func(w http.ResponseWriter, r *http.Request, a answer) {
		if sandbox.Pause(r.Context(), d) {
			a.write(w, r)
		}
	}}
}

// Cut announces the whole body of a GET or LIST, sends half of it and drops the connection.
func Cut() Fault {
	return Fault{name: "body cut", ops: []string{"GET", "LIST"},
		serve: func(w http.ResponseWriter, r *http.Request, a answer) {
			a.start(w, r)
			_, _ = w.Write(a.body[:len(a.body)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}}
}

// Flip turns one bit in the body of a GET; the headers are those of the right one.
func Flip() Fault {
	return Fault{name: "bit flipped", ops: []string{"GET"}, edit: func(a *answer, _ request) {
		if a.body = bytes.Clone(a.body); len(a.body) > 0 {
			a.body[len(a.body)/2] ^= 1
		}
	}}
}

// StaleList lists the bucket as it was so many changes ago, at most 100: this is legal.
func StaleList(changes int) Fault {
	return Fault{name: fmt.Sprintf("listing %d changes old", changes), ops: []string{"LIST"}, back: changes}
}

// EmptyList lists nothing.
func EmptyList() Fault {
	return Fault{name: "listing empty", ops: []string{"LIST"}, back: -1}
}

// NoChecksum leaves x-cos-hash-crc64ecma out of the answer to a PUT.
func NoChecksum() Fault {
	return Fault{name: "checksum absent", ops: []string{"PUT"}, edit: func(a *answer, _ request) {
		a.header.Del("X-Cos-Hash-Crc64ecma")
	}}
}

// WrongChecksum sends a wrong x-cos-hash-crc64ecma in the answer to a PUT.
func WrongChecksum() Fault {
	return Fault{name: "checksum wrong", ops: []string{"PUT"}, edit: func(a *answer, _ request) {
		a.header.Set("X-Cos-Hash-Crc64ecma", "1")
	}}
}

// WrongDate tells a time in the answer that is so far ahead of the bucket's clock, or behind it if d is below
// 0.
func WrongDate(d time.Duration) Fault {
	return Fault{name: fmt.Sprintf("date %s ahead", d), ahead: d}
}

// NoDate tells no time in the answer.
func NoDate() Fault { return Fault{name: "no date", noDate: true} }

// Overwrites ignores forbid-overwrite, as if two writers raced: both see 200, and the last one stays. Only a
// PUT that should have met 409 is hit, and counted.
func Overwrites() Fault {
	return Fault{name: "forbid-overwrite ignored", ops: []string{"PUT"}, overwrites: true}
}

// pending is a fault that was asked for.
type pending struct {
	op    string // "" for every one
	fault Fault
	times int // requests left; below 0 without end
}

// due takes the fault for this request, if there is one. The caller holds c.mu.
func (c *Bucket) due(q request) Fault {
	for _, of := range []string{q.op, ""} {
		for _, p := range c.faults {
			if p.op != of || p.times == 0 || p.fault.ops != nil && !slices.Contains(p.fault.ops, q.op) ||
				p.fault.overwrites && !c.conflicts(q) {
				continue
			}
			if p.times > 0 {
				p.times--
			}
			return p.fault
		}
	}
	return Fault{}
}
