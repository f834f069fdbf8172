package cos

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc64"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a client sees of each fault, and what the bucket holds afterwards.
func TestCOSFaults(t *testing.T) {
	t.Parallel()
	const list = "/?prefix=p/"
	tests := []struct {
		fault          Fault
		method, target string
		want           string // status, code and a part of the body, or a part of the error
		applied        bool   // of a PUT to p/new or a DELETE of p/a
	}{
		{Answers(403, "AccessDenied"), "GET", "/p/a", "403 AccessDenied", false},
		{Answers(403, "AccessDenied"), "HEAD", "/p/a", "403", false},
		{Answers(404, "NoSuchKey"), "GET", "/p/a", "404 NoSuchKey", false},
		{Answers(404, "NoSuchBucket"), "GET", list, "404 NoSuchBucket", false},
		{Answers(500, "InternalError"), "GET", "/?versioning", "500 InternalError", false},
		{Answers(503, "SlowDown"), "PUT", "/p/new", "503 SlowDown", false},
		{Answers(503, "SlowDown"), "DELETE", "/p/a", "503 SlowDown", false},
		{HTML(), "PUT", "/p/new", "200 <html>", false},
		{HTML(), "GET", list, "200 <html>", false},
		{Reset(), "PUT", "/p/new", "connection reset", false},
		{Reset(), "DELETE", "/p/a", "connection reset", false},
		{AppliesThenAnswers(500, "InternalError"), "PUT", "/p/new", "500 InternalError", true},
		{AppliesThenAnswers(503, "SlowDown"), "DELETE", "/p/a", "503 SlowDown", true},
		{AppliesThenDrops(), "PUT", "/p/new", "connection reset", true},
		{AppliesThenDrops(), "DELETE", "/p/a", "connection reset", true},
		{Cut(), "GET", "/p/a", "unexpected EOF", false},
		{Cut(), "GET", list, "unexpected EOF", false},
		{Flip(), "GET", "/p/a", "200 hemd", false}, // "held", but for one bit
		{Delay(time.Millisecond), "PUT", "/p/new", "200", true},
		{StaleList(1), "GET", list, "200 [p/a] next", false},
		{StaleList(2), "GET", list, "200 [] next", false},
		{EmptyList(), "GET", list, "200 [] next", false},
		{NoChecksum(), "PUT", "/p/new", "200 crc absent", true},
		{WrongChecksum(), "PUT", "/p/new", "200 crc wrong", true},
		{Overwrites(), "PUT", "/p/a", "200", true},
	}
	tested := map[string]bool{}
	for _, tt := range tests {
		tested[tt.fault.String()] = true
		t.Run(tt.fault.String()+" "+tt.method, func(t *testing.T) {
			t.Parallel()
			c := newBucketTest(t)
			c.Put("p/a", []byte("held"))
			c.Put("p/b", nil)
			op := tt.method
			if tt.target == list {
				op = "LIST"
			}
			if strings.HasSuffix(tt.target, "versioning") {
				op = "VERSIONING"
			}
			c.Fail(op, tt.fault, 1)
			var h map[string]string
			if tt.method == "PUT" {
				h = noOverwrite()
			}
			r, err := c.try(t.Context(), tt.method, tt.target, map[string]string{"PUT": "new"}[tt.method], h)
			if got := tell(r, err, tt.target == list); !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s; body %q", got, tt.want, r.body)
			}
			applied := slices.Contains(c.Keys(""), "p/new") || !slices.Contains(c.Keys(""), "p/a")
			if a, ok := c.Get("p/a"); ok && string(a) != "held" {
				applied = true
			}
			if applied != tt.applied {
				t.Errorf("applied is %v, want %v; keys %q", applied, tt.applied, c.Keys(""))
			}
			c.Put("p/a", []byte("held"))
			if r := c.send(t, "GET", "/p/a", "", nil); r.body != "held" {
				t.Errorf("after the fault: %s %q", r, r.body)
			}
			if len(c.Refused()) != 0 {
				t.Errorf("a fault is no refusal: %q", c.Refused())
			}
		})
	}
	for _, f := range Faults() {
		if !tested[f.String()] {
			t.Errorf("no test of %q", f)
		}
	}
}

func tell(r reply, err error, list bool) string {
	if err != nil {
		return err.Error()
	}
	got := r.String() + " "
	var l listReply
	switch crc := r.header.Get("x-cos-hash-crc64ecma"); {
	case list && xml.Unmarshal([]byte(r.body), &l) == nil:
		return got + l.String()
	case r.status == 200 && crc == "" && r.body == "":
		return got + "crc absent"
	case crc != "" && r.body == "" &&
		crc != fmt.Sprint(crc64.Checksum([]byte("new"), crc64.MakeTable(crc64.ECMA))):
		return got + "crc wrong"
	}
	return got + r.body
}

func TestCOSFlipsOneBitAndKeepsTheChecksum(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.Put("k", []byte("held"))
	right := c.send(t, "GET", "/k", "", nil)
	c.Fail("GET", Flip(), 1)
	wrong := c.send(t, "GET", "/k", "", nil)
	if wrong.body == right.body || len(wrong.body) != len(right.body) {
		t.Errorf("%q, want one bit of %q changed", wrong.body, right.body)
	}
	if again := c.send(t, "GET", "/k", "", nil); again.body != right.body {
		t.Errorf("then the bucket holds %q, want %q", again.body, right.body)
	}
	for _, h := range []string{"x-cos-hash-crc64ecma", "ETag"} {
		if wrong.header.Get(h) != right.header.Get(h) {
			t.Errorf("%s is %q, want %q", h, wrong.header.Get(h), right.header.Get(h))
		}
	}
}

// A writer that tries again after a lost answer meets 409 for what it wrote itself.
func TestCOSLostAnswerThenConflict(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.Fail("PUT", AppliesThenDrops(), 1)
	if _, err := c.try(t.Context(), "PUT", "/k", "mine", noOverwrite()); err == nil {
		t.Error("the answer was not lost")
	}
	if r := c.send(t, "PUT", "/k", "mine", noOverwrite()); r.String() != "409 FileAlreadyExists" {
		t.Errorf("again: %s, want 409", r)
	}
	if got, _ := c.Get("k"); string(got) != "mine" {
		t.Errorf("the key holds %q", got)
	}
}

func TestCOSFaultsCount(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	c.Put("k", []byte("first"))
	c.Fail("GET", Answers(500, "InternalError"), 2)
	get := func() string { return c.send(t, "GET", "/k", "", nil).String() }
	if got := c.send(t, "HEAD", "/k", "", nil).String(); got != "200" {
		t.Errorf("another operation met the fault: %s", got)
	}
	if got := []string{get(), get(), get()}; !slices.Equal(got,
		[]string{"500 InternalError", "500 InternalError", "200"}) {
		t.Errorf("twice: %q", got)
	}
	c.Fail("", Answers(503, "SlowDown"), -1)
	c.Fail("GET", Answers(403, "AccessDenied"), 1)
	if got := []string{get(), get(), c.send(t, "PUT", "/x", "", nil).String()}; !slices.Equal(got,
		[]string{"403 AccessDenied", "503 SlowDown", "503 SlowDown"}) {
		t.Errorf("its own first, then everyone's: %q", got)
	}
	c.ClearFaults()
	if got := get(); got != "200" {
		t.Errorf("cleared: %s", got)
	}
	// The fault of a race waits for one.
	c.Fail("", Overwrites(), 1)
	var got []string
	for _, key := range []string{"/new", "/k", "/k"} {
		got = append(got, c.send(t, "PUT", key, "again", noOverwrite()).String())
	}
	if k, _ := c.Get("k"); !slices.Equal(got, []string{"200", "200", "409 FileAlreadyExists"}) ||
		string(k) != "again" {
		t.Errorf("%q, and the key holds %q", got, k)
	}
	c.Fail("", Cut(), 1)
	c.Fail("", StaleList(1), 1)
	if r := c.send(t, "PUT", "/k", "x", nil); r.String() != "200" {
		t.Errorf("a PUT met a fault of reading: %s", r)
	}
	if r, err := c.try(t.Context(), "GET", "/k", "", nil); err == nil {
		t.Errorf("a PUT used up a fault of reading: GET %s", r)
	}
}

func TestCOSStaleListing(t *testing.T) {
	t.Parallel()
	c := newBucketTest(t)
	for i := range maxChanges {
		c.Put(fmt.Sprintf("old/%03d", i), nil)
	}
	c.Put("a", []byte("1"))
	c.Put("a", []byte("22"))
	c.Delete("a")
	c.Delete("a") // no change
	c.send(t, "PUT", "/b", "", nil)
	for changes, want := range map[int]string{0: "b 0", 1: "", 2: "a 2", 3: "a 1", 4: ""} {
		c.Fail("LIST", StaleList(changes), 1)
		got := ""
		for _, o := range c.list(t, "max-keys=1").Contents {
			if !strings.HasPrefix(o.Key, "old/") {
				got = fmt.Sprintf("%s %d", o.Key, o.Size)
			}
		}
		if got != want {
			t.Errorf("%d changes ago: %q, want %q", changes, got, want)
		}
	}
	c.Fail("LIST", StaleList(1000), 1)
	if got := len(c.list(t, "prefix=old/").Contents); got != 4 {
		t.Errorf("longer ago than is remembered: %d keys, want 4", got)
	}
}

func TestCOSHangsUntilTheClientGoesAway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault   Fault
		applied bool
	}{{Hang(), false}, {AppliesThenHangs(), true}, {Delay(time.Hour), true}} {
		c := newBucketTest(t)
		c.Fail("PUT", tt.fault, 1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := c.try(ctx, "PUT", "/k", "x", nil)
			ended <- err
		}()
		stored := func() bool {
			_, ok := c.Get("k")
			return ok
		}
		for c.Requests()["PUT"] == 0 || tt.applied && !stored() {
			runtime.Gosched()
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want that it was cancelled", tt.fault, err)
		}
		c.srv.Close() // waits for its handlers: if one hung on, the test would not end
		if stored() != tt.applied {
			t.Errorf("%s: stored is %v, want %v", tt.fault, stored(), tt.applied)
		}
	}
}

func TestAnswersTellTheBucketsTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault Fault
		want  string
	}{
		{"right", Delay(0), "Mon, 23 Nov 2026 04:53:00 GMT"},
		{"ahead", WrongDate(time.Hour), "Mon, 23 Nov 2026 05:53:00 GMT"},
		{"behind", WrongDate(-time.Minute), "Mon, 23 Nov 2026 04:52:00 GMT"},
		{"with an error", Answers(503, "SlowDown"), "Mon, 23 Nov 2026 04:53:00 GMT"},
		{"not at all", NoDate(), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newBucketTest(t)
			c.Bucket.Now = func() time.Time { return time.Date(2026, 11, 23, 4, 53, 0, 5e8, time.UTC) }
			c.Put("p/a", []byte("held"))
			c.Fail("GET", tt.fault, 1)
			r, err := c.try(t.Context(), "GET", "/p/a", "", nil)
			if got := r.header.Get("Date"); err != nil || got != tt.want {
				t.Errorf("the Date is %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}
