package config

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"clbwatch/internal/state"
)

// rate is a number of calls a second. The bounds only catch mistakes: what an account may is the platform's
// to say.
type rate float64

// UnmarshalText reads a rate, and takes none beyond its bounds.
func (r *rate) UnmarshalText(b []byte) error {
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(v >= 0.1 && v <= 100_000) { // NaN is neither
		return errBounds
	}
	*r = rate(v)
	return nil
}

// ticks is a number of ticks.
type ticks int

// UnmarshalText reads a number of ticks, and takes none beyond its bounds.
func (t *ticks) UnmarshalText(b []byte) error {
	v, err := strconv.Atoi(string(b))
	if err != nil || v < 1 || v > 1000 {
		return errBounds
	}
	*t = ticks(v)
	return nil
}

// version says which API is asked.
type version string

// UnmarshalText reads v2, v3 or auto.
func (v *version) UnmarshalText(b []byte) error {
	switch s := string(b); s {
	case "v2", "v3", "auto":
		*v = version(s)
		return nil
	}
	return errBounds
}

// onOff is a switch.
type onOff string

// UnmarshalText reads on or off.
func (o *onOff) UnmarshalText(b []byte) error {
	if s := string(b); s != "on" && s != "off" {
		return errBounds
	}
	*o = onOff(b)
	return nil
}

// shard is a part of the load balancers.
type shard state.Shard

// UnmarshalText reads N/M, with N from 1 to M.
func (s *shard) UnmarshalText(b []byte) error {
	n, of, ok := strings.Cut(string(b), "/")
	var err1, err2 error
	s.N, err1 = strconv.Atoi(n)
	s.Of, err2 = strconv.Atoi(of)
	if !ok || err1 != nil || err2 != nil || s.N < 1 || s.N > s.Of || s.Of > state.MaxShards {
		return errBounds
	}
	return nil
}

// percent is a share in hundredths.
type percent int

// UnmarshalText reads a percentage, and takes none beyond its bounds.
func (p *percent) UnmarshalText(b []byte) error {
	v, err := strconv.Atoi(string(b))
	if err != nil || v < 1 || v > 100 {
		return errBounds
	}
	*p = percent(v)
	return nil
}

// patience is how long the watcher waits until it takes what it sees for stable.
type patience time.Duration

// UnmarshalText reads a time of 1 s to 1 h, such as 10m.
func (p *patience) UnmarshalText(b []byte) error { return within(b, time.Second, (*time.Duration)(p)) }

// pending is how long news is held back that may pass by itself.
type pending time.Duration

// UnmarshalText reads a time of up to 1 h, such as 2m.
func (p *pending) UnmarshalText(b []byte) error { return within(b, 0, (*time.Duration)(p)) }

func within(b []byte, least time.Duration, into *time.Duration) error {
	v, err := time.ParseDuration(string(b))
	if err != nil || v < least || v > time.Hour {
		return errBounds
	}
	*into = v
	return nil
}

// zone is a time zone, by its name in the IANA data base.
type zone struct{ *time.Location }

// UnmarshalText reads the name of a zone, such as Asia/Shanghai.
func (z *zone) UnmarshalText(b []byte) error {
	at, err := time.LoadLocation(string(b))
	if err != nil {
		return errBounds
	}
	z.Location = at
	return nil
}

var errBounds = errors.New("not a number within the bounds") // parseInto says which
