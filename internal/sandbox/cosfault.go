package sandbox

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// COSFault is one way in which COS fails, or answers oddly. Make one with the functions below. A PUT or DELETE takes effect
// all the same unless the function says otherwise.
type COSFault struct {
	name       string
	ops        []string // only these are hit, and counted; nil is all
	instead    bool     // nothing takes effect
	overwrites bool     // forbid-overwrite is ignored
	back       int      // the listing is so many changes old; below 0 it is empty
	edit       func(a *cosAnswer, q cosRequest)
	serve      func(http.ResponseWriter, *http.Request, cosAnswer) // answers instead
}

// String names the fault, for a subtest.
func (f COSFault) String() string { return f.name }

// COSFaults returns every fault after which no change may be lost and none told twice. Those that wait are not among them.
func COSFaults() []COSFault {
	return []COSFault{
		COSAnswers(http.StatusForbidden, "AccessDenied"), COSAnswers(http.StatusNotFound, "NoSuchKey"),
		COSAnswers(http.StatusNotFound, "NoSuchBucket"), COSAnswers(http.StatusInternalServerError, "InternalError"),
		COSAnswers(http.StatusServiceUnavailable, "SlowDown"), COSHTML(), COSReset(),
		COSAppliesThenAnswers(http.StatusInternalServerError, "InternalError"),
		COSAppliesThenAnswers(http.StatusServiceUnavailable, "SlowDown"), COSAppliesThenDrops(),
		COSCut(), COSFlip(), COSStaleList(1), COSStaleList(2), COSEmptyList(), COSNoChecksum(), COSWrongChecksum(), COSOverwrites(),
	}
}

// COSAnswers answers with an error of COS, and nothing takes effect: 403 AccessDenied, 404 NoSuchKey for a key that is
// there, 404 NoSuchBucket, 500 InternalError, 503 SlowDown.
func COSAnswers(status int, code string) COSFault {
	f := COSAppliesThenAnswers(status, code)
	f.name, f.instead = fmt.Sprintf("%d %s", status, code), true
	return f
}

// COSAppliesThenAnswers answers with an error of COS.
func COSAppliesThenAnswers(status int, code string) COSFault {
	return COSFault{name: fmt.Sprintf("applied, then %d %s", status, code), edit: func(a *cosAnswer, q cosRequest) {
		*a = cosError{status, code, "injected", ""}.answer(q)
	}}
}

// COSHTML answers 200 with a page of somebody else's, and nothing takes effect.
func COSHTML() COSFault {
	return COSFault{name: "200 with HTML", instead: true, serve: func(w http.ResponseWriter, _ *http.Request, _ cosAnswer) {
		writeHTML(w, http.StatusOK)
	}}
}

// COSReset resets the connection, and nothing takes effect.
func COSReset() COSFault {
	f := COSAppliesThenDrops()
	f.name, f.instead = "connection reset", true
	return f
}

// COSAppliesThenDrops resets the connection: the answer is lost. A PUT with forbid-overwrite that is tried again then meets
// 409, for what it wrote itself.
func COSAppliesThenDrops() COSFault {
	return COSFault{name: "applied, answer lost", serve: func(w http.ResponseWriter, _ *http.Request, _ cosAnswer) { reset(w) }}
}

// COSHang never answers, and nothing takes effect; the call ends when the client goes away.
func COSHang() COSFault {
	f := COSAppliesThenHangs()
	f.name, f.instead = "hang", true
	return f
}

// COSAppliesThenHangs never answers; the call ends when the client goes away.
func COSAppliesThenHangs() COSFault {
	return COSFault{name: "applied, then hangs", serve: func(_ http.ResponseWriter, r *http.Request, _ cosAnswer) { hang(r) }}
}

// COSDelay gives the right answer after a while.
func COSDelay(d time.Duration) COSFault {
	return COSFault{name: "delay", serve: func(w http.ResponseWriter, r *http.Request, a cosAnswer) {
		if pause(r.Context(), d) {
			a.write(w, r)
		}
	}}
}

// COSCut announces the whole body of a GET or LIST, sends half of it and drops the connection.
func COSCut() COSFault {
	return COSFault{name: "body cut", ops: []string{"GET", "LIST"}, serve: func(w http.ResponseWriter, r *http.Request, a cosAnswer) {
		a.start(w, r)
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}}
}

// COSFlip turns one bit in the body of a GET; the headers are those of the right one.
func COSFlip() COSFault {
	return COSFault{name: "bit flipped", ops: []string{"GET"}, edit: func(a *cosAnswer, _ cosRequest) {
		if a.body = bytes.Clone(a.body); len(a.body) > 0 {
			a.body[len(a.body)/2] ^= 1
		}
	}}
}

// COSStaleList lists the bucket as it was so many changes ago, at most 100: this is legal.
func COSStaleList(changes int) COSFault {
	return COSFault{name: fmt.Sprintf("listing %d changes old", changes), ops: []string{"LIST"}, back: changes}
}

// COSEmptyList lists nothing.
func COSEmptyList() COSFault {
	return COSFault{name: "listing empty", ops: []string{"LIST"}, back: -1}
}

// COSNoChecksum leaves x-cos-hash-crc64ecma out of the answer to a PUT.
func COSNoChecksum() COSFault {
	return COSFault{name: "checksum absent", ops: []string{"PUT"}, edit: func(a *cosAnswer, _ cosRequest) {
		a.header.Del("X-Cos-Hash-Crc64ecma")
	}}
}

// COSWrongChecksum sends a wrong x-cos-hash-crc64ecma in the answer to a PUT.
func COSWrongChecksum() COSFault {
	return COSFault{name: "checksum wrong", ops: []string{"PUT"}, edit: func(a *cosAnswer, _ cosRequest) {
		a.header.Set("X-Cos-Hash-Crc64ecma", "1")
	}}
}

// COSOverwrites ignores forbid-overwrite, as if two writers raced: both see 200, and the last one stays. Only a PUT that
// should have met 409 is hit, and counted.
func COSOverwrites() COSFault {
	return COSFault{name: "forbid-overwrite ignored", ops: []string{"PUT"}, overwrites: true}
}

// pendingCOS is a fault that was asked for.
type pendingCOS struct {
	op    string // "" for every one
	fault COSFault
	times int // requests left; below 0 without end
}

// due takes the fault for this request, if there is one. The caller holds c.mu.
func (c *COS) due(q cosRequest) COSFault {
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
	return COSFault{}
}
