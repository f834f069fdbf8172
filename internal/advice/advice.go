// Package advice carries, along with an error, what a person can do about it, and puts together errors that
// say the same. It words nothing itself.
package advice

import (
	"errors"
	"regexp"
)

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

// Group is an error, and all that has it, each once.
type Group struct {
	Names []string
	Err   error // that of the first
}

// Put adds to groups that something has an error: to the group of those that say the same and have the same
// advice, else as a group of its own, of which there are no more than most.
func Put(groups []Group, most int, name string, err error) []Group {
	for i := range groups {
		g := &groups[i]
		if Same(g.Err.Error(), err.Error()) && Of(g.Err) == Of(err) {
			if g.Names[len(g.Names)-1] != name { // what is tried again comes next
				g.Names = append(g.Names, name)
			}
			return groups
		}
	}
	if len(groups) < most {
		groups = append(groups, Group{[]string{name}, err})
	}
	return groups
}

// request is what a server calls a request: another word each time.
var request = regexp.MustCompile(`, request "[^"]*"`)

// Same reports whether the texts of two errors say the same to a person.
func Same(a, b string) bool { return a == b || Nameless(a) == Nameless(b) }

// Nameless is the text of an error without the names of requests.
func Nameless(s string) string { return request.ReplaceAllString(s, "") }
