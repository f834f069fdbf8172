package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/sandbox/scf"
)

// Guarantee 8: state that is damaged, foreign or unreadable is an error, never a fresh start.

func TestDamagedState(t *testing.T) { everywhere(t, testDamagedState) }

func testDamagedState(t *testing.T, in place) {
	for name, damage := range map[string]func(l *lab){
		"newest head cut short": func(l *lab) { l.put(l.objects("head/")[0], []byte(`{"schema":1,"n":2,`)) },
		"newest head empty":     func(l *lab) { l.put(l.objects("head/")[0], []byte{}) },
		"a foreign file":        func(l *lab) { l.put("head/0.json", []byte("{}")) },
		"all heads deleted": func(l *lab) {
			for _, key := range l.objects("head/") {
				l.put(key, nil)
			}
		},
		"snapshot deleted": func(l *lab) { l.put(l.objects("snap/")[0], nil) },
		"snapshot with another end": func(l *lab) {
			key := l.objects("snap/")[0]
			content := bytes.Clone(l.content(key))
			content[len(content)-1] ^= 1
			l.put(key, content)
		},
		"snapshot of other content": func(l *lab) { l.put(l.objects("snap/")[0], []byte("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, in)
			f := l.start()
			l.tick(f)
			l.end(f)
			damage(l)
			out, _, code := l.command("report")
			if code != 1 || !strings.Contains(out, "Note: The state cannot be read") {
				t.Errorf("report = %d, %q, want 1, and why", code, out)
			}
			f = l.start() // one that has nothing in its cache
			l.cloud.SetStatus("ins-web-1", 4)
			for range 3 {
				if sum, err := l.try(f); err == nil {
					t.Errorf("tick = %+v, want an error", sum)
				}
			}
			if got := l.news(); len(got) != 0 {
				t.Errorf("posted %q, want no news", got)
			}
			if got := l.troubles(); len(got) != 1 {
				t.Errorf("posted %q, want once that it cannot work", got)
			}
		})
	}
}

// The state in COS.

func TestCOSFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range cos.Faults() {
		for _, op := range []string{"PUT", "GET", "LIST"} {
			for _, times := range []int{1, 5} {
				t.Run(fmt.Sprintf("%s, %s, %d times", fault, op, times), func(t *testing.T) {
					t.Parallel()
					l := newLab(t, inCOS)
					f := l.start(scf.WithTimeout(10 * time.Second))
					l.tick(f)
					l.bucket.Fail(op, fault, times)
					for _, id := range []string{"ins-web-1", "ins-web-2", "ins-api-1"} {
						l.cloud.SetStatus(id, 4)
						_, _ = l.try(f) // may fail: that is the point
						l.end(f)
						f = l.start(scf.WithTimeout(10 * time.Second))
					}
					l.bucket.ClearFaults()
					l.settle(f)
					count := make(map[string]int)
					for _, n := range l.news() {
						count[n]++
					}
					for _, name := range []string{"web-1", "web-2", "api-1"} {
						// The mark of a message may have been among the writes that went wrong.
						if n := count[name+" stopped"]; n == 0 || n > 2 || n > 1 && op != "PUT" &&
							op != "GET" {
							t.Errorf("%q was posted %d times", name, n)
						}
						delete(count, name+" stopped")
					}
					if len(count) > 0 {
						t.Errorf("posted %v, which did not happen", count)
					}
					if got, want := l.past(), []string{"web-1 left running", "web-2 left running",
						"api-1 left running"}; !same(got, want) {
						t.Errorf("the history has %q, want each once: %q", got, want)
					}
				})
			}
		}
	}
}

func TestCOSWithVersioningIsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"Enabled", "Suspended"} {
		l := newLab(t, inCOS)
		l.bucket.SetVersioning(status)
		if sum, err := l.try(l.start()); err == nil || !strings.Contains(err.Error(), "versioning") {
			t.Errorf("first tick with versioning %s: %+v, %v, want an error that says so", status, sum, err)
		}
		if out, _, code := l.command("check"); code != 1 || !strings.Contains(out, "never had versioning") {
			t.Errorf("check with versioning %s = %d, %s", status, code, out)
		}
	}
}

func TestCOSRequests(t *testing.T) {
	t.Parallel()
	l := newLab(t, inCOS)
	f := l.start()
	l.tick(f)
	l.tick(f) // the notice that watching began is closed, and leaves the state
	requests := func(do func()) string {
		before := l.bucket.Requests()
		do()
		var s []string
		for _, op := range []string{"LIST", "GET", "PUT", "HEAD", "DELETE", "VERSIONING"} {
			s = append(s, fmt.Sprint(op, " ", l.bucket.Requests()[op]-before[op]))
		}
		return strings.Join(s, ", ")
	}
	if got, want := requests(func() { l.tick(f) }),
		"LIST 2, GET 2, PUT 0, HEAD 0, DELETE 0, VERSIONING 0"; got != want {
		t.Errorf("a quiet tick of a warm instance: %s, want %s", got, want)
	}
	cold := l.start()
	if got, want := requests(func() { l.tick(cold) }),
		"LIST 2, GET 3, PUT 0, HEAD 0, DELETE 0, VERSIONING 0"; got != want {
		t.Errorf("a quiet tick of a cold instance: %s, want %s", got, want)
	}
	l.cloud.SetStatus("ins-web-1", 4)
	if got, want := requests(func() { l.tick(f) }),
		"LIST 2, GET 4, PUT 3, HEAD 0, DELETE 0, VERSIONING 0"; got != want {
		t.Errorf("a tick with news: %s, want %s", got, want)
	}
	if r := l.bucket.Refused(); len(r) > 0 {
		t.Errorf("COS refused %q", r)
	}
}
