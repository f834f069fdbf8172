package store

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cos"
)

// machine is what a clock goes by.
type machine struct{ instant }

// pass lets time pass on the machine. Asleep, it counts no time but on the wall clock.
func (m *machine) pass(d time.Duration)  { m.wall, m.mono = m.wall.Add(d), m.mono+d }
func (m *machine) sleep(d time.Duration) { m.wall = m.wall.Add(d) }
func (m *machine) set(d time.Duration)   { m.wall = m.wall.Add(d) }

func answerAt(date time.Time) http.Header {
	return http.Header{"Date": {date.Format(http.TimeFormat)}, "X-Cos-Request-Id": {"NWNm"}}
}

func TestClockIsThatOfTheAnswers(t *testing.T) {
	t.Parallel()
	local := time.Date(2026, 11, 23, 4, 53, 0, 0, time.UTC)
	cloud := local.Add(4 * time.Minute) // this machine's clock is behind
	tests := []struct {
		name string
		do   func(m *machine, c *clock)
		want time.Time
	}{
		{"before the first answer it is the local one", func(m *machine, _ *clock) { m.pass(time.Second) },
			local.Add(time.Second)},
		{"an answer", func(_ *machine, c *clock) { c.heard(answerAt(cloud), c.read()) }, cloud},
		{"the time since", func(m *machine, c *clock) {
			c.heard(answerAt(cloud), c.read())
			m.pass(90 * time.Second)
		}, cloud.Add(90 * time.Second)},
		{"a machine that slept", func(m *machine, c *clock) {
			c.heard(answerAt(cloud), c.read())
			m.pass(time.Second)
			m.sleep(time.Hour)
		}, cloud.Add(time.Hour + time.Second)},
		{"a clock that was set back", func(m *machine, c *clock) {
			c.heard(answerAt(cloud), c.read())
			m.pass(time.Minute)
			m.set(-time.Hour)
		}, cloud.Add(time.Minute)},
		{"a clock that was set forward, until the next answer", func(m *machine, c *clock) {
			c.heard(answerAt(cloud), c.read())
			m.set(time.Hour)
			c.heard(answerAt(cloud.Add(time.Second)), c.read())
		}, cloud.Add(time.Second)},
		{"an answer that took a while is from when it was asked for, at the earliest", func(m *machine, c *clock) {
			sent := c.read()
			m.pass(3 * time.Second)
			c.heard(answerAt(cloud), sent)
		}, cloud.Add(3 * time.Second)},
		{"a run that was stopped while it waited knows nothing from that answer", func(m *machine, c *clock) {
			c.heard(answerAt(cloud), c.read())
			sent := c.read()
			m.pass(5 * time.Minute)
			c.heard(answerAt(cloud), sent)
		}, cloud.Add(5 * time.Minute)},
		{"fractions of a second do not turn it back", func(m *machine, c *clock) {
			c.heard(answerAt(cloud), c.read())
			m.pass(1900 * time.Millisecond)
			c.heard(answerAt(cloud.Add(time.Second)), c.read())
		}, cloud.Add(1900 * time.Millisecond)},
		{"a server that was wrong is believed until the next answer", func(m *machine, c *clock) {
			c.heard(answerAt(cloud.Add(time.Hour)), c.read())
			m.pass(time.Second)
			c.heard(answerAt(cloud), c.read())
		}, cloud},
		{"what is not COS's tells no time", func(_ *machine, c *clock) {
			c.heard(http.Header{"Date": {cloud.Format(http.TimeFormat)}}, c.read())
		}, local},
		{"an answer without a time", func(_ *machine, c *clock) {
			c.heard(answerAt(cloud), c.read())
			c.heard(http.Header{"X-Cos-Request-Id": {"NWNm"}}, c.read())
			c.heard(http.Header{"X-Cos-Request-Id": {"NWNm"}, "Date": {"yesterday"}}, c.read())
		}, cloud},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := &machine{instant{local, 0}}
			c := &clock{read: func() instant { return m.instant }}
			tt.do(m, c)
			if got := c.now(); !got.Equal(tt.want) || got.Location() != time.UTC {
				t.Errorf("it is %s, want %s", got, tt.want)
			}
		})
	}
}

// TestClockHasNoMonotonicReading: a time that is compared with one must see what a machine slept through.
func TestClockHasNoMonotonicReading(t *testing.T) {
	t.Parallel()
	_, open := sandboxPlace(t)
	cos := open(t.TempDir())
	for name, s := range map[string]*Place{"files": OpenFiles(t.TempDir(), time.Now),
		"COS before an answer": cos} {
		if now := s.Now(); strings.Contains(now.String(), "m=") || now.Location() != time.UTC {
			t.Errorf("%s: %v has a monotonic reading, or a zone", name, now)
		}
	}
	if _, err := cos.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := cos.Now(); strings.Contains(now.String(), "m=") || now.Location() != time.UTC {
		t.Errorf("COS: %v has a monotonic reading, or a zone", now)
	}
}

func TestClockOfCOSIsTheBuckets(t *testing.T) {
	t.Parallel()
	bucket, open := sandboxPlace(t)
	bucket.Fail("", cos.WrongDate(4*time.Minute), -1)
	s := open(t.TempDir())
	if off := time.Until(s.Now()); off > time.Second || off < -time.Second {
		t.Errorf("before the first answer it is off by %s", off)
	}
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if off := time.Until(s.Now()) - 4*time.Minute; off > maxAnswer || off < -2*time.Second {
		t.Errorf("it differs from the bucket's by %s", off)
	}
	// An error is an answer too.
	bucket.ClearFaults()
	bucket.Fail("", cos.Answers(503, "SlowDown"), -1)
	if _, err := s.Load(t.Context()); err == nil {
		t.Fatal("a store that refuses everything loads")
	}
	if off := time.Until(s.Now()); off > maxAnswer || off < -2*time.Second {
		t.Errorf("then it differs from the bucket's by %s", off)
	}
}
