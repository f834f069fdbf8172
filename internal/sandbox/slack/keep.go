package slack

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// took counts a message that Slack took, and keeps it. The caller holds s.mu.
func (s *Workspace) took(m Message) {
	s.taken++
	s.messages = newest(s.messages, m, s.Keep)
}

// newest appends to a list of which no more than keep are wanted; 0: all.
func newest[T any](all []T, one T, keep int) []T {
	if keep > 0 && len(all) >= keep {
		all = slices.Delete(all, 0, len(all)-keep+1)
	}
	return append(all, one)
}

// trim forgets what is too much: whole threads, and those first in which nothing happened for longest. It
// forgets an eighth more than it must, or each message would cost a look at all. The caller holds s.mu.
func (s *Workspace) trim() {
	if s.Keep == 0 || len(s.posts) <= s.Keep {
		return
	}
	size, last := make(map[string]int), make(map[string]time.Time) // by ts of the first message
	for _, p := range s.posts {
		root := cmp.Or(p.Thread, p.TS)
		size[root]++
		for _, at := range []time.Time{p.At, p.Edited} {
			if at.After(last[root]) {
				last[root] = at
			}
		}
	}
	roots := slices.SortedFunc(maps.Keys(last), func(a, b string) int {
		return cmp.Or(last[a].Compare(last[b]), strings.Compare(a, b))
	})
	gone := make(map[string]bool)
	for left := len(s.posts); len(roots) > 1 && left > s.Keep-s.Keep/8; roots = roots[1:] {
		gone[roots[0]] = true
		left -= size[roots[0]]
	}
	s.posts = slices.DeleteFunc(s.posts, func(p Post) bool { return gone[cmp.Or(p.Thread, p.TS)] })
	// what is left may be one thread
	over := len(s.posts) - s.Keep
	s.posts = slices.DeleteFunc(s.posts, func(p Post) bool {
		drop := p.Thread != "" && over > 0
		if drop {
			over--
		}
		return drop
	})
}

// invited keeps a response URL, and forgets those that end first if there are too many. The caller holds
// s.mu.
func (s *Workspace) invited(to *respond) {
	s.responses[to.path] = to
	if s.Keep == 0 || len(s.responses) <= s.Keep {
		return
	}
	paths := slices.SortedFunc(maps.Keys(s.responses), func(a, b string) int {
		return s.responses[a].until.Compare(s.responses[b].until)
	})
	for _, path := range paths[:len(paths)-s.Keep] {
		delete(s.responses, path)
	}
}
