package lb

import (
	"slices"
	"strings"
)

// Part is which of a backend's bindings a change is about, or which of its health checks: not each one, but
// enough to know where to look.
type Part struct {
	N int `json:"n"` // how many
	// of all that it has: before the change if they went, after it if they came
	Of    int  `json:"of"`
	Rules bool `json:"rules,omitempty"` // bindings are counted; else whole listeners (or health checks)
	// the first of them, such as "HTTPS:443" or "HTTPS:443 example.com/api → 8080"; untrusted text
	Names []string `json:"names,omitempty"`
}

// Bounds of what a Part names: the rest is counted.
const (
	maxNames = 3
	maxName  = 100 // bytes
)

// partOf says which of all bindings some are: in listeners where those are concerned as a whole, else one by
// one, or always if it must be exact.
func partOf(some, all []Binding, exactly bool) *Part {
	if len(some) == 0 {
		return nil
	}
	of, in := perListener(all), perListener(some)
	p := &Part{N: len(in), Of: len(of), Rules: exactly}
	for listener, n := range in {
		p.Rules = p.Rules || n < of[listener]
	}
	var names []string
	if p.Rules {
		p.N, p.Of = len(some), len(all)
	}
	for _, b := range some {
		if name := b.String(); p.Rules {
			names = append(names, name)
		} else if !slices.Contains(names, b.Listener) {
			names = append(names, b.Listener)
		}
	}
	p.name(names)
	return p
}

func (p *Part) name(all []string) {
	for _, n := range all[:min(len(all), maxNames)] {
		if len(n) > maxName {
			n = strings.ToValidUTF8(n[:maxName], "") + "…"
		}
		p.Names = append(p.Names, n)
	}
}

func perListener(bs []Binding) map[string]int {
	n := make(map[string]int)
	for _, b := range bs {
		n[b.Listener]++
	}
	return n
}

// checksOf says which of a backend's health checks some are.
func checksOf(some []string, of int) *Part {
	p := &Part{N: len(some), Of: max(of, len(some))}
	p.name(some)
	return p
}

// without returns the bindings of a that b has not, whatever their weight. Both are sorted.
func without(a, b []Binding) (only []Binding) {
	has := make(map[bindingKey]int, len(b))
	for _, x := range b {
		has[x.key()]++
	}
	for _, x := range a {
		if key := x.key(); has[key] > 0 {
			has[key]--
		} else {
			only = append(only, x)
		}
	}
	return only
}
