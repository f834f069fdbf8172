// Package advice carries, along with an error, what a person can do about it. It words nothing itself.
package advice

import "errors"

// Add adds to an error what a person can do about it: one sentence, or several. Its text stays that of err.
func Add(err error, do string) error { return advised{err, do} }

// Of returns what a person can do about an error, or "": what the method Do of it, or of an error it wraps,
// returns.
func Of(err error) string {
	var a interface{ Do() string }
	if errors.As(err, &a) {
		return a.Do()
	}
	return ""
}

type advised struct {
	error
	do string
}

func (a advised) Do() string    { return a.do }
func (a advised) Unwrap() error { return a.error }
